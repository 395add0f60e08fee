//! Lines of the palette: what can be meant by what was typed, best first.

use strum::IntoEnumIterator;

use crate::app::grid::Sort;
use crate::app::lists::ListSort;
use crate::app::settings::FeatureOrder;
use crate::app::{App, View, action, view};
use crate::domain::Time;

/// Commands that take a word, what follows, and what they do.
pub(super) const VERBS: &[(&str, &str, &str)] = &[
    ("theme", "NAME", "this theme"),
    ("sort", "NAME", "this order"),
    ("filter", "TEXT", "this filter; none without a text"),
    ("peer", "NAME", "go to this peer; in Settings, to this machine"),
    ("cluster", "NAME", "go into this cluster"),
    ("view", "NAME", "this view"),
    ("columns", "NAME...", "these columns, in this order; `usual` for the usual ones"),
    ("at", "TIME", "look back: 14:03, 14:03:22, 2026-03-14 14:03, -10m, start, end"),
    ("fault", "KIND ...", "bring a fault into this lab"),
];

/// A line of the palette.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What stands in the field when it is chosen.
    pub text: String,
    /// What must still follow; empty when it is whole.
    pub args: String,
    /// The key that does the same.
    pub key: String,
    /// What it does.
    pub help: String,
    /// Why it does nothing now.
    pub why_not: Option<String>,
    /// Whether it only looks: then its beginning is enough.
    pub looks: bool,
    score: u32,
}

impl Entry {
    /// The text of the field once it is completed with this line.
    #[must_use]
    pub fn completed(&self) -> String {
        if self.args.is_empty() { self.text.clone() } else { format!("{} ", self.text) }
    }

    fn word(text: String, help: impl Into<String>, score: u32) -> Self {
        Self { text, args: String::new(), key: String::new(), help: help.into(), why_not: None, looks: true, score }
    }
}

/// How well `typed` (lower case) fits `name`; the higher the better, `None` when it does not.
fn fit(typed: &str, name: &str) -> Option<u32> {
    let low = name.to_lowercase();
    if typed.is_empty() || low == typed {
        return Some(100);
    }
    if low.starts_with(typed) {
        return Some(80);
    }
    if low.split(['-', ' ', '.', '_']).any(|part| part.starts_with(typed)) {
        return Some(60);
    }
    if low.contains(typed) {
        return Some(40);
    }
    let mut rest = low.chars();
    typed.chars().all(|c| rest.any(|n| n == c)).then_some(20)
}

impl App {
    /// What can be meant by what stands in the palette, best first.
    #[must_use]
    pub fn entries(&self, now: Time) -> Vec<Entry> {
        let Some(palette) = self.palette() else { return Vec::new() };
        let text = palette.text().trim_start_matches([':', ' ']);
        let mut entries = match text.split_once(char::is_whitespace) {
            Some((verb, rest)) if self.is_verb(verb) => self.words_of(verb, rest),
            Some(_) => Vec::new(),
            None => self.names(text, now),
        };
        // What works now stands first; equals keep the order of the table.
        entries.sort_by_key(|e| (e.why_not.is_some(), std::cmp::Reverse(e.score)));
        entries
    }

    pub(super) fn is_verb(&self, word: &str) -> bool {
        VERBS.iter().any(|(verb, ..)| *verb == word) && (word != "fault" || !self.options.faults.is_empty())
    }

    /// Actions and commands whose name or help fits.
    fn names(&self, typed: &str, now: Time) -> Vec<Entry> {
        let low = typed.to_lowercase();
        let mut entries = Vec::new();
        for spec in action::TABLE {
            let name = spec.action.name();
            let helps = low.len() > 2 && crate::app::filter::contains(spec.help, &low);
            let Some(score) = fit(&low, name).or(helps.then_some(10)) else { continue };
            entries.push(Entry {
                text: name.to_owned(),
                args: String::new(),
                key: self.key_of(spec),
                help: spec.help.to_owned(),
                why_not: self.why_not(spec, now),
                looks: spec.class.is_none(),
                score,
            });
        }
        for (verb, args, help) in VERBS.iter().filter(|(verb, ..)| self.is_verb(verb)) {
            // With nothing typed they stand behind the plain ones.
            let Some(score) = fit(&low, verb) else { continue };
            let score = if low.is_empty() { 99 } else { score.saturating_sub(1) };
            entries.push(Entry {
                args: (*args).to_owned(),
                why_not: self.why_not_verb(verb),
                ..Entry::word((*verb).to_owned(), *help, score)
            });
        }
        entries
    }

    pub(super) fn why_not_verb(&self, verb: &str) -> Option<String> {
        let why = match verb {
            "columns" if self.list().is_none() => "the grid has no columns to choose: Enter on a row lists its links",
            "sort" if self.view == View::Ha => "the HA view has one order",
            "cluster" if !self.has_clusters() => "the fleet has one cluster",
            "fault" if self.options.read_only => "this console is read-only",
            "fault" if self.past.is_some() => crate::app::past::IN_THE_PAST,
            "at" if self.past.is_none() => return self.no_look_back(),
            "sort" | "filter" | "columns" if self.base_scope() != self.view_scope() => "works in a view",
            _ => return None,
        };
        Some(why.to_owned())
    }

    /// What can follow `verb`.
    fn words_of(&self, verb: &str, rest: &str) -> Vec<Entry> {
        let (before, last) = rest.rsplit_once(char::is_whitespace).map_or(("", rest), |(b, l)| (b.trim(), l));
        let low = last.to_lowercase();
        // What is named already is not named again.
        let named = |name: &str| before.split_whitespace().any(|b| b == name);
        let head = if before.is_empty() { verb.to_owned() } else { format!("{verb} {before}") };
        let word = |(name, help): (String, String)| {
            if named(&name) {
                return None;
            }
            let score = fit(&low, &name)?;
            Some(Entry::word(format!("{head} {name}"), help, score))
        };
        let takes_several = matches!(verb, "columns" | "fault");
        if !before.is_empty() && !takes_several {
            return Vec::new();
        }
        self.values(verb, before).into_iter().filter_map(word).collect()
    }

    /// The words that can stand behind `verb` and `before`, with what each means.
    pub(super) fn values(&self, verb: &str, before: &str) -> Vec<(String, String)> {
        let named = |names: Vec<&str>| names.into_iter().map(|n| (n.to_owned(), String::new())).collect();
        match verb {
            "theme" => named(self.options.themes.names.iter().map(String::as_str).collect()),
            "view" => View::iter()
                .map(|v| (v.name().to_lowercase(), String::new()))
                .chain(self.has_clusters().then(|| ("overview".to_owned(), "all clusters".to_owned())))
                .collect(),
            "sort" => self.orders().into_iter().map(|(name, help)| (name.to_owned(), help.to_owned())).collect(),
            "columns" => {
                let all = self.list().map_or(&[][..], crate::app::lists::List::columns);
                named(all.iter().copied().chain(before.is_empty().then_some("usual")).collect())
            }
            "cluster" => {
                let line = |c: &std::sync::Arc<crate::domain::Cluster>| {
                    let worst = c.findings.first().map_or("nothing is wrong", |f| f.text.as_str());
                    (c.name.to_string(), worst.to_owned())
                };
                self.picture().clusters.iter().map(line).collect()
            }
            "at" => named(vec!["-10m", "-1h", "start", "end"]),
            "peer" => self.peer_words(),
            "fault" => self.fault_words(before),
            _ => Vec::new(),
        }
    }

    /// The orders of the view on screen, by name.
    pub(super) fn orders(&self) -> Vec<(&'static str, &'static str)> {
        if self.view == View::Settings {
            let help = |o: &FeatureOrder| match o {
                FeatureOrder::Name => "by name",
                FeatureOrder::State => "what is set here first",
                FeatureOrder::Overridden => "what most modes below override first",
            };
            return FeatureOrder::iter().map(|o| (o.into(), help(&o))).collect();
        }
        match self.list() {
            Some(list) if !list.sorts().is_empty() => {
                let help = |s: &ListSort| match s {
                    ListSort::Usual if list == crate::app::lists::List::Findings => "worst first",
                    ListSort::Usual => "by time, newest at the bottom",
                    ListSort::Newest => "newest first",
                    ListSort::Kind => "by kind",
                    ListSort::About => "by the names of the peers",
                };
                list.sorts().iter().map(|s| (s.into(), help(s))).collect()
            }
            Some(_) | None => Sort::iter().map(|s| (s.into(), s.title())).collect(),
        }
    }

    fn peer_words(&self) -> Vec<(String, String)> {
        let Some(cluster) = self.cluster() else { return Vec::new() };
        let labels = view::labels(cluster);
        let help = |p: &crate::domain::Peer| {
            let group = p.group.as_ref().map_or("", |g| g.as_str());
            format!("{}  {}  {group}", p.host, p.id)
        };
        labels.iter().zip(&cluster.peers).map(|(label, p)| ((*label).to_owned(), help(p))).collect()
    }

    /// The next word of a fault, by the usage of its kind.
    fn fault_words(&self, before: &str) -> Vec<(String, String)> {
        let mut words = before.split_whitespace();
        let Some(kind) = words.next() else {
            let line = |k: &super::FaultKind| (k.word.clone(), format!("{} {}", k.args, k.help).trim().to_owned());
            return self.options.faults.iter().map(line).collect();
        };
        let Some(kind) = self.options.faults.iter().find(|k| k.word == kind) else { return Vec::new() };
        let Some(part) = kind.args.split_whitespace().nth(words.count()) else { return Vec::new() };
        let mut found: Vec<(String, String)> = Vec::new();
        for choice in part.split('|') {
            match choice {
                "A" | "B" => {
                    found.extend(self.peer_words());
                    if kind.args.starts_with("A B") {
                        found.push(("console".to_owned(), "this console".to_owned()));
                    }
                }
                "group:G" => {
                    let groups = self.cluster().map(|c| c.groups.clone()).unwrap_or_default();
                    found.extend(groups.iter().map(|g| (format!("group:{g}"), String::new())));
                }
                number if number.chars().all(|c| c.is_ascii_uppercase()) => {}
                word => found.push((word.to_owned(), String::new())),
            }
        }
        found
    }
}
