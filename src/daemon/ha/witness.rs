//! The third voter (B1): a peer that belongs to neither unit of a group, and votes on which of them may hold the address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::info;

use super::core::voter::Voter;
use super::runtime::{Heard, Post, Voice};
use super::wire::{Refusal, Sealer, Via};
use crate::daemon::cluster;
use crate::daemon::shared::{Input, Shared};
use crate::domain::ha::{Effective, WitnessConfig};
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
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
pub(super) struct Ballot {
    voter: Voter,
    units: BTreeMap<PeerId, Seen>,
}

impl Ballot {
    /// Begins at `now`; grants nothing until a vote that it may have forgotten has run out.
    pub fn new(config: &WitnessConfig, now: Time) -> Self {
        Self { voter: Voter::new(now, config.lease), units: BTreeMap::new() }
    }

    /// What is answered to a unit, if anything.
    pub fn take(&mut self, now: Time, from: &PeerId, message: Message) -> Option<Message> {
        match message {
            Message::Beat(beat) => {
                self.hear(now, from, &beat);
                None
            }
            Message::Ask { epoch, n, what } => {
                let vote = match what {
                    Want::Hold => self.voter.ask(now, from, epoch),
                    Want::TakeOver => self.may_take_over(now, from),
                };
                Some(Message::Grant { n, unit: from.to_string(), epoch, refused: vote.err() })
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

/// A witness that is ready to run.
pub(super) struct Witness {
    shared: Arc<Shared>,
    config: WitnessConfig,
    ballot: Ballot,
    post: Arc<Post>,
    heard: mpsc::Receiver<Heard>,
    sealer: Sealer,
    /// Who had the vote when it was last told.
    told: Option<(PeerId, u64)>,
}

impl Witness {
    pub fn new(shared: Arc<Shared>, config: WitnessConfig, post: Arc<Post>, heard: mpsc::Receiver<Heard>) -> Self {
        let ballot = Ballot::new(&config, shared.env.clock.now());
        let sealer = Sealer::new(config.group.clone(), shared.keys.id.clone(), shared.boot);
        Self { shared, config, ballot, post, heard, sealer, told: None }
    }

    /// Until the peer ends.
    pub async fn run(mut self, voice: Arc<Voice>) {
        let (clock, over) = (self.shared.env.clock.clone(), self.shared.over.clone());
        info!(group = %self.config.group, "votes on which unit may hold the address");
        loop {
            let heard = tokio::select! {
                () = over.cancelled() => return,
                heard = self.heard.recv() => heard,
            };
            tokio::select! {
                () = over.cancelled() => return,
                () = self.shared.thawed() => {}
            }
            let Some(heard) = heard else { return };
            let now = clock.now();
            if !heard.is_stale(now) {
                self.take(&voice, now, heard);
            }
        }
    }

    fn take(&mut self, voice: &Voice, now: Time, heard: Heard) {
        let (to, from) = (heard.to, heard.from);
        match heard.what {
            Ok(opened) => {
                if let Some(answer) = self.ballot.take(now, &opened.from, opened.message) {
                    self.answer(voice, to, from, answer);
                }
                self.tell(now);
            }
            Err(Refusal::Stranger(ref why)) => self.note(&heard.stranger(why)),
            Err(Refusal::Replayed) => self.note(&Line::new(&format!("a replay, from {from}"))),
        }
    }

    fn answer(&mut self, voice: &Voice, from: SocketAddr, to: SocketAddr, answer: Message) {
        if let Some(datagram) = self.sealer.seal(&self.post.keys, Via::Witness, answer) {
            voice.say(from, to, datagram, &self.post.counters);
        }
    }

    /// Says who has the vote when that is another one.
    fn tell(&mut self, now: Time) {
        let holder = self.ballot.granted(now).map(|(unit, epoch, _)| (unit.clone(), epoch));
        if holder != self.told && holder.is_some() {
            if let Some((unit, epoch)) = &holder {
                self.note(&Line::new(&format!("the vote of this witness is with {unit} in epoch {epoch}")));
            }
            self.told = holder;
        }
    }

    fn note(&self, line: &Line) {
        info!(group = %self.config.group, "witness: {line}");
        let note = cluster::Event::Note(Line::new(&format!("HA {}: {line}", self.config.group)));
        if self.shared.inbox.try_send(Input::Event(note)).is_err() {
            self.shared.count_drop();
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
            Some(Message::Grant { n: 1, unit: of, epoch: e, refused }) if of == unit && e == epoch => refused,
            other => panic!("{other:?}"),
        }
    }

    fn beat(ballot: &mut Ballot, now: Time, unit: &str, effective: &str, holds: bool, leaving: bool) {
        let beat = Beat { effective: effective.into(), holds, leaving, threshold: 3000, ..Beat::default() };
        assert_eq!(ballot.take(now, &PeerId::new(unit), Message::Beat(beat)), None);
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
