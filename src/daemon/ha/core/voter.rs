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
    /// What it was before, in case that takeover is given up.
    before: Option<(PeerId, u64)>,
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
        Self { from: now + length, length, granted: None, top: None, before: None }
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
            let is_news = self.top.as_ref().is_none_or(|(_, top)| *top < epoch);
            let before = self.top.replace((unit.clone(), epoch));
            if is_news {
                self.before = before;
            }
        }
        Ok(())
    }

    /// A unit that holds this vote gives it back: it has deleted its addresses (a release is proof).
    pub fn give_back(&mut self, unit: &PeerId, epoch: u64) {
        if self.granted.as_ref().is_some_and(|g| g.unit == *unit && g.epoch <= epoch) {
            self.granted = None;
        }
        // Who gives an epoch back that was its own has given the takeover up: nobody was primary in it.
        if self.top.as_ref().is_some_and(|(of, top)| of == unit && *top == epoch) {
            self.top = self.before.take();
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

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(1);

    #[test]
    fn b1_an_epoch_belongs_to_one_unit_unless_it_was_given_back() {
        let (a, b) = (PeerId::new("A"), PeerId::new("B"));
        let began = Time::from_millis(1_000_000);
        let mut voter = Voter::new(began, LEASE);
        let at = |s| began + Duration::from_secs(s);
        assert!(voter.ask(at(1), &a, 1).is_err(), "it may have forgotten a vote");
        assert_eq!(voter.ask(at(10), &a, 1), Ok(()));
        assert!(voter.ask(at(11), &b, 2).is_err(), "A has it");
        assert_eq!(voter.ask(at(20), &b, 2), Ok(()));
        assert_eq!((voter.top_beside(&a), voter.top_beside(&b)), (2, 0));
        // B takes over after all: A's epoch is over.
        assert!(voter.ask(at(30), &a, 1).is_err() && voter.ask(at(30), &a, 2).is_err());
        // B gives up: A goes on in its own.
        voter.give_back(&b, 2);
        assert_eq!(voter.ask(at(31), &a, 1), Ok(()));
    }
}
