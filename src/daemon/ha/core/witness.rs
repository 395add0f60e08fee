//! The third voter of a group: it holds no address, it answers (B1; `10-peer.md`, "Who may hold the address").

use std::collections::BTreeMap;
use std::time::Duration;

use super::voter::Voter;
use crate::domain::ids::PeerId;
use crate::domain::time::{Time, human};
use crate::proto::beat::{Beat, Message, Want};

/// Units that are remembered: a group has two; more are strangers with the password.
const UNITS_MAX: usize = 4;

/// The witness of one group.
#[derive(Clone, Debug)]
pub struct Witness {
    voter: Voter,
    units: BTreeMap<PeerId, Heard>,
}

/// What was last heard of a unit.
#[derive(Clone, Debug)]
struct Heard {
    at: Time,
    beat: Beat,
}

impl Witness {
    /// A witness that starts at `now`, for a group with this lease.
    #[must_use]
    pub fn new(now: Time, lease: Duration) -> Self {
        Self { voter: Voter::new(now, lease), units: BTreeMap::new() }
    }

    /// Takes an authentic message of `from` that is no replay; what to answer, the same way.
    pub fn heard(&mut self, now: Time, from: &PeerId, message: Message) -> Option<Message> {
        match message {
            Message::Beat(beat) => {
                if self.units.contains_key(from) || self.units.len() < UNITS_MAX {
                    self.units.insert(from.clone(), Heard { at: now, beat });
                }
                None
            }
            Message::Ask { epoch, n, what } => {
                let refused = match what {
                    Want::Hold => self.voter.ask(now, from, epoch).err(),
                    Want::TakeOver => self.veto(now, from),
                };
                Some(Message::Grant { n, unit: from.to_string(), epoch, refused })
            }
            // The sender has deleted its addresses: its vote is free for the other.
            Message::Release { epoch, .. } => {
                self.voter.give_back(from, epoch);
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

    /// What speaks against a takeover by `unit`: another unit that holds the address is heard here.
    fn veto(&self, now: Time, unit: &PeerId) -> Option<String> {
        let holds = |h: &&Heard| h.beat.holds && now.since(h.at) < Duration::from_millis(h.beat.threshold);
        let (id, heard) = self.units.iter().filter(|(id, _)| *id != unit).find(|(_, h)| holds(h))?;
        Some(format!("the witness heard {id} {} ago: it holds the address", human(now.since(heard.at))))
    }

    /// When each unit was last heard, by serial number.
    pub fn units(&self) -> impl Iterator<Item = (&PeerId, Time)> {
        self.units.iter().map(|(id, heard)| (id, heard.at))
    }

    /// The vote, for the log.
    #[must_use]
    pub fn voter(&self) -> &Voter {
        &self.voter
    }
}
