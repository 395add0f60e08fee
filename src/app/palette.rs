//! The palette: every action by its name, and commands that take a word; completed, explained, remembered.
//!
//! A beginning of a name is completed and never taken for the whole: only what is written out, chosen in the list,
//! or merely looks is done by Enter. Names of peers and clusters must be whole, always.

use strsim::damerau_levenshtein;

mod entries;
mod run;

use super::action::{self, Spec};
use super::field::{Edit, TextField};
use super::past::IN_THE_PAST;
use super::{Action, App, Overlay, Scope, acts};
use crate::app::keys::{Code, Key};
use crate::domain::Time;
pub use entries::Entry;

/// Lines of the palette that are remembered.
pub const HISTORY_MAX: usize = 200;

/// A kind of fault of the lab, for completion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultKind {
    /// `cut`
    pub word: String,
    /// `A B`
    pub args: String,
    /// What it does.
    pub help: String,
}

/// What is typed, and where in the lists one stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Palette {
    field: TextField,
    /// The chosen line, once one was chosen.
    chosen: Option<usize>,
    /// How far back in the history, from 0.
    walked: Option<usize>,
    /// Why nothing was done.
    told: String,
}

impl Palette {
    /// What stands in it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.field.as_str()
    }

    /// The chosen line; the first one is meant before any was chosen.
    #[must_use]
    pub fn chosen(&self) -> Option<usize> {
        self.chosen
    }

    /// Why nothing was done; empty before anything was tried.
    #[must_use]
    pub fn told(&self) -> &str {
        &self.told
    }

    fn set(&mut self, text: &str) {
        self.field = TextField::new(text);
        self.chosen = None;
        self.told.clear();
    }

    /// Gives a key to the field; false if it is none of a field's.
    pub(super) fn key(&mut self, key: Key) -> bool {
        let asks = key == Key::plain(Code::Char('?')) && self.text().is_empty();
        if matches!(key.code, Code::Enter | Code::Esc) || asks || self.field.key(key) == Edit::Ignored {
            return false;
        }
        self.chosen = None;
        self.walked = None;
        self.told.clear();
        true
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.field.paste(text);
        self.chosen = None;
        self.told.clear();
    }
}

/// What was typed before, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History(Vec<String>);

impl History {
    /// The newest of `lines`.
    #[must_use]
    pub fn new(lines: Vec<String>) -> Self {
        let mut history = Self::default();
        for line in lines {
            history.add(&line);
        }
        history
    }

    /// Adds a line; whether it was worth keeping. One that begins with a space is not kept, as shells do it.
    fn add(&mut self, line: &str) -> bool {
        if line.is_empty() || line.starts_with(' ') || self.0.last().is_some_and(|last| last == line) {
            return false;
        }
        if self.0.len() == HISTORY_MAX {
            self.0.remove(0);
        }
        self.0.push(line.to_owned());
        true
    }

    fn back(&self, steps: usize) -> Option<&str> {
        self.0.len().checked_sub(steps + 1).map(|at| self.0[at].as_str())
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl App {
    /// The palette, if it is open.
    #[must_use]
    pub fn palette(&self) -> Option<&Palette> {
        if let Some(Overlay::Palette(palette)) = &self.overlay { Some(palette) } else { None }
    }

    /// What was typed into the palette before.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    fn with_palette(&mut self, change: impl FnOnce(&mut Palette)) {
        if let Some(Overlay::Palette(palette)) = &mut self.overlay {
            change(palette);
        }
    }

    /// Up and Down: through the history as long as nothing was typed, else through the lines.
    pub(super) fn step_palette(&mut self, down: bool, now: Time) {
        let Some(palette) = self.palette() else { return };
        let walks = palette.walked.is_some() || (palette.text().is_empty() && palette.chosen.is_none() && !down);
        if walks && !self.history.is_empty() {
            let steps = match (palette.walked, down) {
                (None, _) => Some(0),
                (Some(n), false) => Some((n + 1).min(self.history.len() - 1)),
                (Some(n), true) => n.checked_sub(1),
            };
            let text = steps.and_then(|n| self.history.back(n)).unwrap_or("").to_owned();
            self.with_palette(|p| {
                p.set(&text);
                p.walked = steps;
            });
            return;
        }
        let len = self.entries(now).len();
        let at = match (palette.chosen, down) {
            (None, true) if palette.text().is_empty() => 0,
            // The first line is meant already.
            (None, true) => 1,
            (Some(at), true) => at + 1,
            (at, false) => at.unwrap_or(0).saturating_sub(1),
        };
        let at = (len > 0).then(|| at.min(len - 1));
        self.with_palette(|p| {
            p.chosen = at;
            p.told.clear();
        });
    }

    /// Tab: what was typed becomes the chosen line, or the first.
    pub(super) fn complete_palette(&mut self, now: Time) {
        let Some(palette) = self.palette() else { return };
        let entries = self.entries(now);
        let Some(entry) = entries.get(palette.chosen.unwrap_or(0)) else { return };
        let text = entry.completed();
        self.with_palette(|p| {
            p.set(&text);
            p.walked = None;
        });
    }

    /// The key that does it where one is, or the first anywhere.
    pub(super) fn key_of(&self, spec: &Spec) -> String {
        let here = [self.base_scope()];
        let mut scopes = here.iter().chain(spec.scopes).filter(|s| spec.scopes.contains(s));
        scopes.find_map(|s| self.keymap.first_key(*s, spec.action)).unwrap_or_default()
    }

    /// Why `spec` would do nothing now; `None` when it works.
    #[must_use]
    pub fn why_not(&self, spec: &Spec, now: Time) -> Option<String> {
        let base = self.base_scope();
        if !self.is_offered(spec.action) {
            return Some("this console is read-only".to_owned());
        }
        if self.past.is_some() && Self::needs_the_present(spec.action) {
            return Some(IN_THE_PAST.to_owned());
        }
        let past = self.past.is_some() && base == self.view_scope() && spec.scopes.contains(&Scope::Past);
        if !spec.scopes.contains(&base) && !past {
            let places: Vec<&str> = spec.scopes.iter().take(3).map(|s| s.title()).collect();
            let more = if spec.scopes.len() > 3 { ", ..." } else { "" };
            return Some(format!("works in {}{more}", places.join(", ")));
        }
        if acts::command_of(spec.action).is_some() || acts::ha_act_of(spec.action).is_some() {
            return self.refusal_of(spec.action, now);
        }
        let reasons = [
            (Action::NextCluster, "the fleet has one cluster"),
            (Action::Overview, "the fleet has one cluster"),
            (Action::NextFault, "no link is in trouble"),
            (Action::PreviousFault, "no link is in trouble"),
            (Action::Theme, "there is one theme"),
            (Action::Back, "there is nothing to go back from"),
            (Action::Diagnose, "no link is selected"),
            (Action::Redial, "no peer is selected"),
            (Action::Zoom, "nothing is selected"),
            (Action::Open, "nothing is selected"),
            (Action::Sort, "there is nothing to sort"),
            (Action::FaultsOnly, "there is nothing to choose from"),
        ];
        let reason = reasons.iter().find(|(a, _)| *a == spec.action).map_or("not possible now", |(_, why)| why);
        (!self.can(spec.action, now)).then(|| reason.to_owned())
    }
}

/// The row of the action of this name.
fn spec_of(name: &str) -> Option<&'static Spec> {
    let name = if name == "q" { Action::Quit.name() } else { name };
    action::TABLE.iter().find(|s| s.action.name() == name)
}

/// The known word that was probably meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let low = word.to_lowercase();
    let limit = (word.chars().count() / 2).max(1);
    let far = |k: &str| damerau_levenshtein(&low, &k.to_lowercase());
    known.into_iter().map(|k| (far(k), k)).filter(|(d, _)| *d <= limit).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}
