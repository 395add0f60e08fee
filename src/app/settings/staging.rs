//! What staged changes would do: who is affected, and what to know.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rows::brief;
use crate::app::{App, plural};
use crate::domain::settings::catalogue::Catalogue;
use crate::domain::settings::rules;
use crate::domain::settings::{Edit, Tree};
use crate::domain::{FeatureName, GroupId, Line};

/// Lines of each kind that are told; what is more is counted.
const LINES_MAX: usize = 100;

/// Names in one sentence.
const NAMES_MAX: usize = 6;

/// Characters of a value in one sentence.
const VALUE_MAX: usize = 80;

/// What changes would do to a tree.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    tree: Arc<Tree>,
    edits: Vec<Edit>,
    /// Which effective settings would change on which machines (B4).
    pub effects: Vec<Line>,
    /// What to know about it: overrides, blanks, references that would lead nowhere (C11, C12, C25).
    pub notices: Vec<Line>,
    /// Why it would be refused.
    pub refusal: Option<Line>,
}

impl Told {
    /// Of `edits` to `tree`.
    #[must_use]
    pub fn of(tree: &Arc<Tree>, catalogue: &Catalogue, edits: &[Edit]) -> Self {
        let mut told = Self {
            tree: Arc::clone(tree),
            edits: edits.to_vec(),
            effects: Vec::new(),
            notices: Vec::new(),
            refusal: None,
        };
        let mut n = 0;
        // The peer draws the real ids.
        let mut new_group = || {
            n += 1;
            GroupId::new(&format!("new{n}"))
        };
        let writes = match rules::writes(tree, catalogue, edits, &mut new_group) {
            Ok(writes) => writes,
            Err(why) => {
                told.refusal = Some(why);
                return told;
            }
        };
        let after = rules::after(tree, &writes);
        told.effects = effects(tree, &after, catalogue);
        told.notices = bounded(rules::notices(tree, &after, catalogue, edits));
        told
    }

    /// Whether it is what these edits would do to this tree.
    #[must_use]
    pub fn is_of(&self, tree: &Arc<Tree>, edits: &[Edit]) -> bool {
        Arc::ptr_eq(&self.tree, tree) && self.edits == edits
    }
}

/// A sentence for each setting that changes alike on some machines.
fn effects(tree: &Tree, after: &Tree, catalogue: &Catalogue) -> Vec<Line> {
    let mut alike: BTreeMap<(FeatureName, String, String), Vec<String>> = BTreeMap::new();
    for effect in rules::effects(tree, after, catalogue) {
        let (was, is) = (brief(effect.before.value.as_ref()), brief(effect.after.value.as_ref()));
        let host = tree.host(&effect.machine);
        let short = host.split('.').next().unwrap_or(&host).to_owned();
        alike.entry((effect.feature, was, is)).or_default().push(short);
    }
    let sentence = |((feature, was, is), hosts): ((FeatureName, String, String), Vec<String>)| {
        let hosts = names(&hosts);
        Line::new(&format!("{feature} on {hosts}: {} becomes {}", short(&was), short(&is)))
    };
    let lines: Vec<Line> = alike.into_iter().map(sentence).collect();
    if lines.is_empty() {
        return vec![Line::new("no effective setting changes on any machine")];
    }
    bounded(lines)
}

fn bounded(mut lines: Vec<Line>) -> Vec<Line> {
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(Line::new(&format!("and {more} {} like these", plural(more, "line"))));
    }
    lines
}

fn names(hosts: &[String]) -> String {
    match hosts.len() {
        n if n > NAMES_MAX => format!("{} and {} more", hosts[..NAMES_MAX].join(", "), n - NAMES_MAX),
        _ => hosts.join(", "),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

impl App {
    /// What the next commit of the stage would do; only while it is reviewed.
    #[must_use]
    pub fn told(&self) -> Option<&Told> {
        self.desk.told.as_deref()
    }

    /// Works out what the stage would do, if that is not known yet.
    pub(super) fn tell(&mut self) {
        let Some(tree) = self.tree().cloned() else {
            self.desk.told = None;
            return;
        };
        let edits = self.stage().map(super::Stage::edits).unwrap_or_default();
        if self.desk.told.as_ref().is_some_and(|t| t.is_of(&tree, &edits)) {
            return;
        }
        self.desk.told =
            if edits.is_empty() { None } else { Some(Arc::new(Told::of(&tree, self.catalogue(), &edits))) };
    }
}
