//! What was told and what was done: the last toasts, and the commands with what became of them.

use std::collections::VecDeque;
use std::sync::Arc;

use strum::IntoEnumIterator;

use super::App;
use crate::domain::event::EventKind;
use crate::domain::{ClusterName, Event, OutcomeState, Severity, Time};

/// Toasts that are kept after they are gone from the screen.
pub const NOTICES_MAX: usize = 100;

/// Lines of the command log that are kept.
pub const LOG_MAX: usize = 500;

/// Who sends what the engine and the app report: no other operator's command comes that way.
const SELF: &str = "you";

/// A toast as it was shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
    /// How bad.
    pub severity: Severity,
}

/// A line of the command log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub at: Time,
    /// In which cluster; `None` for what belongs to none.
    pub cluster: Option<ClusterName>,
    /// By whom.
    pub by: &'static str,
    /// What was sent, or what became of it.
    pub text: String,
}

impl Entry {
    /// How far the command had come, where the line says it.
    #[must_use]
    pub fn state(&self) -> Option<OutcomeState> {
        let (_, told) = self.text.split_once(": ")?;
        let word = told.split(',').next().unwrap_or(told);
        OutcomeState::iter().find(|s| <&str>::from(*s) == word)
    }
}

/// Both, newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    notices: VecDeque<Notice>,
    log: VecDeque<Entry>,
}

impl Journal {
    pub fn notice(&mut self, text: &str, severity: Severity, at: Time) {
        push(&mut self.notices, NOTICES_MAX, Notice { at, text: text.to_owned(), severity });
    }

    pub fn done(&mut self, cluster: Option<ClusterName>, text: String, at: Time) {
        push(&mut self.log, LOG_MAX, Entry { at, cluster, by: SELF, text });
    }

    /// Takes the commands among the events that `new` has and `old` had not.
    pub fn take(&mut self, old: &Arc<Vec<Event>>, new: &Arc<Vec<Event>>) {
        if Arc::ptr_eq(old, new) {
            return;
        }
        // The ring only grows at its end and shrinks at its beginning.
        let known = old.last().and_then(|last| new.iter().rposition(|e| e == last)).map_or(0, |at| at + 1);
        self.take_all(&new[known..]);
    }

    pub fn take_all(&mut self, events: &[Event]) {
        for event in events.iter().filter(|e| e.kind == EventKind::Command) {
            self.done(event.cluster.clone(), event.text.to_string(), event.at);
        }
    }
}

fn push<T>(kept: &mut VecDeque<T>, max: usize, item: T) {
    if kept.len() == max {
        kept.pop_front();
    }
    kept.push_back(item);
}

impl App {
    /// The last toasts, oldest first.
    #[must_use]
    pub fn notices(&self) -> impl DoubleEndedIterator<Item = &Notice> {
        self.journal.notices.iter()
    }

    /// The commands of the cluster on screen and those of none, oldest first.
    #[must_use]
    pub fn command_log(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.journal.log.iter().filter(|e| e.cluster.as_ref().is_none_or(|name| self.is_name_here(name)))
    }
}
