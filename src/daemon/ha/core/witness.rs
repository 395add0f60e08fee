//! The third voter (B1), pure: what it answers to the units of its group.

use std::collections::BTreeMap;
use std::time::Duration;

use super::voter::Voter;
use crate::domain::ha::{Effective, WitnessConfig};
use crate::domain::ids::PeerId;
use crate::domain::time::{Time, human};
use crate::proto::beat::{Beat, Message, Want};

/// Units that are remembered: there are two, and one that was replaced.
const UNITS_MAX: usize = 8;

/// What a unit last said of itself.
#[derive(Debug)]
struct Seen {
    at: Time,
    /// It serves, or may hold the address.
    holds: bool,
    threshold: Duration,
}

/// The vote for one group.
#[derive(Debug)]
pub struct Ballot {
    voter: Voter,
    units: BTreeMap<PeerId, Seen>,
}

impl Ballot {
    /// Begins at `now`; grants nothing until a vote that it may have forgotten has run out.
    #[must_use]
    pub fn new(config: &WitnessConfig, now: Time) -> Self {
        Self { voter: Voter::new(now, config.lease), units: BTreeMap::new() }
    }

    /// What is answered to a unit, if anything.
    pub fn take(&mut self, now: Time, from: &PeerId, message: Message) -> Option<Message> {
        match message {
            Message::Beat(beat) => {
                self.hear(now, from, &beat);
                // A sign that it lives: who waits rehearses with it.
                Some(Message::Beat(Beat::default()))
            }
            Message::Ask { epoch, n, what } => {
                let vote = match what {
                    Want::Hold => self.voter.ask(now, from, epoch),
                    Want::TakeOver => self.may_take_over(now, from),
                };
                let (unit, top) = (from.to_string(), self.voter.top_beside(from));
                Some(Message::Grant { n, unit, epoch, refused: vote.err(), top })
            }
            Message::Release { epoch, .. } => {
                // The old holder's own word, after its addresses are deleted.
                self.voter.give_back(from, epoch);
                if let Some(seen) = self.units.get_mut(from) {
                    seen.holds = false;
                }
                None
            }
            Message::Grant { .. }
            | Message::Yield { .. }
            | Message::Swap { .. }
            | Message::Taken { .. }
            | Message::Refused { .. }
            | Message::Unlisted => None,
        }
    }

    /// Who has the vote.
    #[must_use]
    pub fn granted(&self, now: Time) -> Option<(&PeerId, u64, Time)> {
        self.voter.granted(now)
    }

    fn hear(&mut self, now: Time, from: &PeerId, beat: &Beat) {
        if self.units.len() >= UNITS_MAX && !self.units.contains_key(from) {
            let oldest = self.units.iter().min_by_key(|(_, seen)| seen.at).map(|(id, _)| id.clone());
            oldest.map(|id| self.units.remove(&id));
        }
        let serves = beat.holds || beat.effective.parse() == Ok(Effective::Primary);
        let seen = Seen { at: now, holds: serves && !beat.leaving, threshold: Duration::from_millis(beat.threshold) };
        self.units.insert(from.clone(), seen);
    }

    /// Whether no other unit that serves was heard within its threshold.
    fn may_take_over(&self, now: Time, unit: &PeerId) -> Result<(), String> {
        let other =
            self.units.iter().find(|(id, seen)| *id != unit && seen.holds && now.since(seen.at) < seen.threshold);
        match other {
            Some((id, seen)) => Err(format!("the witness heard {id} serve {} ago", human(now.since(seen.at)))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::domain::ha::config::{grant_length, permit_length};
    use crate::domain::ids::HaName;

    const LEASE: Duration = Duration::from_secs(1);

    fn ballot() -> (Ballot, Time) {
        let config = WitnessConfig {
            group: HaName::new("gw"),
            base_port: 20_000,
            local: vec![Ipv4Addr::LOCALHOST.into()],
            lease: LEASE,
            units: Vec::new(),
        };
        let began = Time::from_millis(1_000_000);
        (Ballot::new(&config, began), began)
    }

    fn ask(ballot: &mut Ballot, now: Time, unit: &str, epoch: u64, what: Want) -> Option<String> {
        match ballot.take(now, &PeerId::new(unit), Message::Ask { epoch, n: 1, what }) {
            Some(Message::Grant { n: 1, unit: of, epoch: e, refused, .. }) if of == unit && e == epoch => refused,
            other => panic!("{other:?}"),
        }
    }

    fn beat(ballot: &mut Ballot, now: Time, unit: &str, effective: &str, holds: bool, leaving: bool) {
        let beat = Beat { effective: effective.into(), holds, leaving, threshold: 3000, ..Beat::default() };
        assert!(matches!(ballot.take(now, &PeerId::new(unit), Message::Beat(beat)), Some(Message::Beat(_))));
    }

    #[test]
    fn b1_a_witness_that_was_started_lately_grants_nothing() {
        let (mut ballot, began) = ballot();
        assert!(ask(&mut ballot, began + permit_length(LEASE), "A", 1, Want::Hold).is_some());
        assert_eq!(ask(&mut ballot, began + grant_length(LEASE), "A", 1, Want::Hold), None);
    }

    #[test]
    fn b1_one_unit_at_a_time_until_it_gives_the_vote_back() {
        let (mut ballot, began) = ballot();
        let now = began + grant_length(LEASE);
        assert_eq!(ask(&mut ballot, now, "A", 4, Want::Hold), None);
        let refused = ask(&mut ballot, now, "B", 5, Want::Hold).unwrap();
        assert!(refused.contains("A has this vote in epoch 4"), "{refused}");
        // A release of somebody else, or of another's epoch, is none.
        let release = |epoch| Message::Release { epoch, to: "B".into(), reason: String::new(), row: 0 };
        ballot.take(now, &PeerId::new("B"), release(5));
        ballot.take(now, &PeerId::new("A"), release(3));
        assert!(ask(&mut ballot, now, "B", 5, Want::Hold).is_some());
        ballot.take(now, &PeerId::new("A"), release(5));
        assert_eq!(ask(&mut ballot, now, "B", 5, Want::Hold), None);
        assert!(ask(&mut ballot, now, "A", 6, Want::Hold).is_some(), "now it is the other's");
    }

    #[test]
    fn b1_a_witness_that_hears_the_primary_advises_against_a_takeover() {
        let (mut ballot, now) = ballot();
        beat(&mut ballot, now, "A", "primary", true, false);
        let refused = ask(&mut ballot, now + Duration::from_millis(2999), "B", 5, Want::TakeOver).unwrap();
        assert!(refused.contains("heard A serve 2.9 s ago"), "{refused}");
        assert_eq!(ask(&mut ballot, now + Duration::from_secs(3), "B", 5, Want::TakeOver), None);
        beat(&mut ballot, now, "A", "primary", false, true);
        assert_eq!(ask(&mut ballot, now, "B", 5, Want::TakeOver), None, "it said that it leaves");
        beat(&mut ballot, now, "A", "failed", false, false);
        assert_eq!(ask(&mut ballot, now, "B", 5, Want::TakeOver), None, "it says that it does not serve");
        beat(&mut ballot, now, "B", "primary", true, false);
        assert_eq!(ask(&mut ballot, now, "B", 5, Want::TakeOver), None, "its own beats are no objection");
    }

    #[test]
    fn b1_units_are_bounded() {
        let (mut ballot, now) = ballot();
        for n in 0..100 {
            beat(&mut ballot, now + Duration::from_millis(n), &format!("U{n}"), "primary", true, false);
        }
        assert_eq!(ballot.units.len(), UNITS_MAX);
    }
}
