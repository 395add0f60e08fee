//! What is known of one finding between being seen and being told.

use std::collections::VecDeque;
use std::time::Duration;

use super::rules::{Flapping, Terms};
use crate::domain::alert::{Ack, Alert, Held, Seen, Told};
use crate::domain::finding::Severity;
use crate::domain::time::Time;

/// No more changes than this are remembered of one finding.
const TOGGLES_MAX: usize = 64;

/// What was explained by something else waits for so long once that is gone, as it may be going with it.
const GRACE: Duration = Duration::from_secs(5);

/// What is kept of one finding, over restarts too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its newest form.
    pub seen: Seen,
    /// Whether it is there; over a restart that is as it was last known.
    pub present: bool,
    /// Since when it is there, or gone.
    pub since: Time,
    /// Since when it counts as an alert.
    pub raised: Option<Time>,
    /// What was told last, while it is an alert; `None`: it has been held back so far.
    pub told: Option<LastTold>,
    /// Who looks after it.
    pub ack: Option<Ack>,
    /// When it came and went lately, oldest first.
    pub toggles: VecDeque<Time>,
    /// It comes and goes, and that is what was told.
    pub flapping: bool,
    /// The engine has told of other words than those that were told on.
    pub reworded: bool,
    /// When something else last explained it.
    pub explained: Option<Time>,
}

/// What was told last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastTold {
    /// When.
    pub at: Time,
    /// How bad it was.
    pub severity: Severity,
    /// That it flapped.
    pub flapping: bool,
    /// That somebody looks after it.
    pub acknowledged: bool,
}

impl Kept {
    pub(super) fn new(seen: Seen, now: Time) -> Self {
        Self {
            seen,
            present: true,
            since: now,
            raised: None,
            told: None,
            ack: None,
            toggles: VecDeque::from([now]),
            flapping: false,
            reworded: false,
            explained: None,
        }
    }

    /// It is there, in this form; `reworded`: and that is news.
    pub(super) fn is_seen(&mut self, seen: Seen, reworded: bool, now: Time) {
        self.reworded |= reworded && self.seen.finding.text != seen.finding.text;
        self.seen = seen;
        self.turn(true, now);
    }

    /// It is gone.
    pub(super) fn is_gone(&mut self, now: Time) {
        self.turn(false, now);
    }

    fn turn(&mut self, present: bool, now: Time) {
        if self.present == present {
            return;
        }
        self.present = present;
        self.since = now;
        if self.toggles.len() == TOGGLES_MAX {
            self.toggles.pop_front();
        }
        self.toggles.push_back(now);
    }

    /// Forgets changes outside of the window; how many there are within it.
    pub(super) fn count(&mut self, flapping: &Flapping, now: Time) -> u32 {
        while self.toggles.front().is_some_and(|t| now.since(*t) >= flapping.window) {
            self.toggles.pop_front();
        }
        u32::try_from(self.toggles.len()).unwrap_or(u32::MAX)
    }

    /// Whether it has been there for long enough to be told, or gone for long enough.
    pub(super) fn is_due(&self, terms: &Terms, now: Time) -> bool {
        now.since(self.since) >= if self.present { terms.hold } else { terms.recovery }
    }

    /// Whether something else explained it a moment ago: it may go as that has gone.
    pub(super) fn is_explained(&self, now: Time) -> bool {
        self.explained.is_some_and(|at| now.since(at) < GRACE)
    }

    /// When time alone may change something, at the earliest after `now`.
    pub(super) fn next(&self, terms: &Terms, flapping: &Flapping, held: Option<Held>, now: Time) -> Option<Time> {
        let calm = self.flapping.then(|| self.calm_at(flapping)).flatten();
        let span = if self.present { terms.hold } else { terms.recovery };
        let turn = (self.present != self.raised.is_some()).then_some(self.since + span);
        let again = match (&self.told, terms.repeat, &self.ack, held) {
            (Some(told), Some(repeat), None, None) if self.present => Some(told.at + repeat),
            _ => None,
        };
        let alone = self.explained.filter(|_| held != Some(Held::Inhibited)).map(|at| at + GRACE);
        let forgotten =
            (!self.present && self.raised.is_none()).then(|| self.toggles.back().map(|t| *t + flapping.window));
        [calm, turn, again, alone, forgotten.flatten()].into_iter().flatten().filter(|t| *t > now).min()
    }

    /// When so many changes have left the window that it no longer flaps, if nothing more happens.
    fn calm_at(&self, flapping: &Flapping) -> Option<Time> {
        let leave = self.toggles.len().checked_sub(usize::try_from(flapping.low).ok()?)?;
        let last = self.toggles.get(leave.checked_sub(1)?)?;
        Some(*last + flapping.window)
    }

    /// As it is told.
    pub(super) fn alert(&self, raised: Time, severity: Severity, changes: u32) -> Alert {
        let mut seen = self.seen.clone();
        seen.finding.severity = severity;
        Alert { seen, raised, flapping: self.flapping.then_some(changes), ack: self.ack.clone() }
    }

    /// What there is to tell of a raised alert, and the severity that it had, if that is another now.
    pub(super) fn news(&self, terms: &Terms, now: Time) -> Option<(Told, Option<Severity>)> {
        let Some(last) = &self.told else { return Some((Told::Raised, None)) };
        if last.severity != terms.severity {
            return Some((Told::Changed, Some(last.severity)));
        }
        if self.flapping && !last.flapping {
            return Some((Told::Changed, None));
        }
        // While it comes and goes its words change with it.
        if self.reworded && self.present && !self.flapping {
            return Some((Told::Changed, None));
        }
        if self.ack.is_some() && !last.acknowledged {
            return Some((Told::Acknowledged, None));
        }
        let again = terms.repeat.filter(|_| self.ack.is_none()).is_some_and(|repeat| now.since(last.at) >= repeat);
        again.then_some((Told::Repeated, None))
    }

    /// It is told now.
    pub(super) fn is_told(&mut self, severity: Severity, now: Time) {
        self.reworded = false;
        self.told = Some(LastTold { at: now, severity, flapping: self.flapping, acknowledged: self.ack.is_some() });
    }

    /// It is over.
    pub(super) fn is_over(&mut self) {
        (self.raised, self.told, self.ack, self.explained) = (None, None, None, None);
        self.reworded = false;
    }
}
