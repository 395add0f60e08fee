//! A voter about the address: one of the two units, or the witness (`10-peer.md`, "Who may hold the address").
//!
//! Safety rests on three lines: a vote is given to one (unit, epoch) at a time; the voter counts it from when it answers and
//! 1 % longer, the holder from when it asked; a voter that was started anew grants nothing until every vote that it may
//! have forgotten has run out. Beside that, no epoch is granted to two units, as long as the voter remembers.

use std::time::Duration;

use crate::domain::ha::config::grant_length;
use crate::domain::ids::PeerId;
use crate::domain::time::{Time, human};

/// The vote of one voter.
#[derive(Clone, Debug)]
pub struct Voter {
    /// What it may have granted before it was started has run out then.
    from: Time,
    length: Duration,
    granted: Option<Granted>,
    /// The highest epoch that was granted, and to whom: an epoch has one holder at most.
    top: Option<(PeerId, u64)>,
}

#[derive(Clone, Debug)]
struct Granted {
    unit: PeerId,
    epoch: u64,
    until: Time,
}

impl Voter {
    /// A voter that starts at `now`, for a group with this lease.
    #[must_use]
    pub fn new(now: Time, lease: Duration) -> Self {
        let length = grant_length(lease);
        Self { from: now + length, length, granted: None, top: None }
    }

    /// A unit asks for the vote, to hold the address in `epoch`.
    ///
    /// # Errors
    /// Why it is not given now.
    pub fn ask(&mut self, now: Time, unit: &PeerId, epoch: u64) -> Result<(), String> {
        if now < self.from {
            let left = human(self.from.since(now));
            return Err(format!("this voter was started lately and may have forgotten a vote: none for {left}"));
        }
        if let Some(granted) = self.granted.as_ref().filter(|g| g.until > now) {
            let same = granted.unit == *unit && granted.epoch <= epoch;
            if !same {
                let left = human(granted.until.since(now));
                return Err(format!("{} has this vote in epoch {} for {left}", granted.unit, granted.epoch));
            }
        }
        if let Some((other, top)) = self.top.as_ref().filter(|(other, top)| other != unit && *top >= epoch) {
            return Err(format!("{other} had this vote in epoch {top}: epoch {epoch} is over"));
        }
        self.granted = Some(Granted { unit: unit.clone(), epoch, until: now + self.length });
        if self.top.as_ref().is_none_or(|(_, top)| *top <= epoch) {
            self.top = Some((unit.clone(), epoch));
        }
        Ok(())
    }

    /// A unit that holds this vote gives it back: it has deleted its addresses (a release is proof).
    pub fn give_back(&mut self, unit: &PeerId, epoch: u64) {
        if self.granted.as_ref().is_some_and(|g| g.unit == *unit && g.epoch <= epoch) {
            self.granted = None;
        }
    }

    /// The highest epoch that this voter has granted, if another than `unit` had it; else 0.
    #[must_use]
    pub fn top_beside(&self, unit: &PeerId) -> u64 {
        self.top.as_ref().filter(|(other, _)| other != unit).map_or(0, |(_, epoch)| *epoch)
    }

    /// Who has the vote now, in which epoch, and until when.
    #[must_use]
    pub fn granted(&self, now: Time) -> Option<(&PeerId, u64, Time)> {
        self.granted.as_ref().filter(|g| g.until > now).map(|g| (&g.unit, g.epoch, g.until))
    }
}
