//! What is kept on disk: one write at a time, what waits for it looks at what is there.

use std::time::Duration;

use super::Core;
use crate::daemon::ha::types::{Effect, Kept};
use crate::domain::ha::Effective;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// So many writes that fail in a row make a primary fail, as its disk monitor would.
pub(super) const FAILURES: u32 = 3;

/// A disk that takes longer for a write is told, as its monitor would.
const SLOW: Duration = Duration::from_secs(2);

/// What is on disk, and what shall be.
#[derive(Debug)]
pub(super) struct Disk {
    /// What is there for certain.
    pub(super) on: Kept,
    /// What shall be there.
    pub(super) want: Kept,
    /// A ticket, what is written, and since when.
    writing: Option<(u64, Kept, Time)>,
    ticket: u64,
    pub(super) retry: Time,
    pub(super) failures: u32,
    pub(super) trouble: Option<Line>,
}

impl Disk {
    pub(super) fn new(kept: Kept, now: Time) -> Self {
        Self { want: kept.clone(), on: kept, writing: None, ticket: 0, retry: now, failures: 0, trouble: None }
    }

    /// Whether a write is due at some time that [`Disk::retry`] names.
    pub(super) fn waits(&self) -> bool {
        self.writing.is_none() && self.want != self.on
    }

    /// Why nothing that must be on disk first goes on, a takeover above all: writes fail, or one does not end. The latter is
    /// no reason to give anything up: it goes on when the disk does.
    pub(super) fn stands(&self, now: Time) -> Option<Line> {
        let slow = || {
            let (.., since) = self.writing.as_ref()?;
            let text = "the disk has not taken the HA state for more than 2 s: a takeover has to wait for it";
            (now.since(*since) > SLOW).then(|| Line::new(text))
        };
        self.trouble.clone().or_else(slow)
    }
}

impl Core {
    /// Writes what shall be on disk and is not.
    pub(super) fn pump_disk(&mut self, now: Time) {
        if !self.disk.waits() || now < self.disk.retry {
            return;
        }
        self.disk.ticket += 1;
        let (ticket, kept) = (self.disk.ticket, self.disk.want.clone());
        self.disk.writing = Some((ticket, kept.clone(), now));
        self.out.push(Effect::Keep { ticket, kept });
    }

    pub(super) fn on_kept(&mut self, now: Time, ticket: u64, result: Result<(), String>) {
        let Some((_, kept, _)) = self.disk.writing.take_if(|(t, ..)| *t == ticket) else { return };
        match result {
            Ok(()) => {
                self.disk.on = kept;
                if self.disk.trouble.take().is_some() {
                    self.log("the disk takes the HA state again");
                }
                self.disk.failures = 0;
                // A higher epoch that was heard is ours once it is on disk; one that is only meant for a takeover is not.
                if self.role != Effective::Primary && self.adopt <= self.disk.on.epoch {
                    self.epoch = self.epoch.max(self.adopt);
                }
            }
            Err(why) => {
                self.disk.failures += 1;
                self.disk.retry = now + self.config.ha.interval;
                let line = Line::new(&format!("the HA state can't be kept on disk, so no takeover is possible: {why}"));
                if self.disk.trouble.as_ref() != Some(&line) {
                    self.out.push(Effect::Log(line.clone()));
                }
                self.disk.trouble = Some(line);
            }
        }
    }
}
