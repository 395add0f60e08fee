//! What is known of the other unit, link by link.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::domain::ha::config::LinkConfig;
use crate::domain::ha::status::{INTERVALS_MAX, Said};
use crate::domain::ha::{BeatState, Configured, Effective, LinkName};
use crate::domain::ids::{BootId, PeerId};
use crate::domain::text::Line;
use crate::domain::time::{Time, millis};
use crate::proto::beat::Beat;

/// One heartbeat link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: LinkName,
    pub(super) address: IpAddr,
    pub(super) peer: Option<PeerId>,
    pub(super) heard: Option<Time>,
    pub(super) missed: u64,
    pub(super) intervals: VecDeque<u32>,
    pub(super) said: Option<Said>,
    pub(super) hears_us: Option<bool>,
    pub(super) digest: String,
    /// A silent link was told of.
    pub(super) told: bool,
}

impl Link {
    pub(super) fn new(config: &LinkConfig) -> Self {
        Self {
            name: config.name,
            address: config.peer,
            peer: None,
            heard: None,
            missed: 0,
            intervals: VecDeque::new(),
            said: None,
            hears_us: None,
            digest: String::new(),
            told: false,
        }
    }

    /// Takes a beat of `from` in.
    pub(super) fn beat(&mut self, now: Time, from: &PeerId, heard: &Heard) {
        if let Some(before) = self.heard {
            let gap = now.since(before);
            if self.intervals.len() == INTERVALS_MAX {
                self.intervals.pop_front();
            }
            self.intervals.push_back(u32::try_from(millis(gap)).unwrap_or(u32::MAX));
            self.missed = self.missed.saturating_add(missed(gap, heard.interval));
        }
        self.heard = Some(now);
        self.peer = Some(from.clone());
        self.said = Some(heard.said);
        self.digest.clone_from(&heard.digest);
    }

    pub(super) fn state(&self, now: Time, threshold: Duration) -> BeatState {
        match self.heard.map(|at| now.since(at)) {
            None => BeatState::Waiting,
            Some(age) if age >= threshold => BeatState::Silent,
            Some(age) if age >= threshold / 2 => BeatState::Late,
            Some(_) => BeatState::Ok,
        }
    }
}

/// Beats that should have come in a gap, less the one that ended it.
pub(super) fn missed(gap: Duration, interval: Duration) -> u64 {
    let interval = millis(interval).max(1);
    ((millis(gap) + interval / 2) / interval).saturating_sub(1)
}

/// A beat, understood.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) said: Said,
    pub(super) interval: Duration,
    pub(super) threshold: Duration,
    pub(super) at: u64,
    /// It lived after we sent a beat at this time.
    pub(super) seen: Option<Time>,
    pub(super) restarting: bool,
    pub(super) leaving: bool,
    pub(super) unreliable: bool,
    pub(super) digest: String,
    pub(super) level: u32,
    pub(super) version: Line,
}

impl Heard {
    /// Words that are not known become the most careful ones: who may be primary is one.
    pub(super) fn new(beat: Beat) -> Self {
        Self {
            said: Said {
                configured: beat.configured.parse().unwrap_or(Configured::Off),
                effective: beat.effective.parse().unwrap_or(Effective::Primary),
                epoch: beat.epoch,
                holds: beat.holds,
            },
            interval: Duration::from_millis(beat.interval),
            threshold: Duration::from_millis(beat.threshold),
            at: beat.at,
            seen: beat.seen.map(Time::from_millis),
            restarting: beat.restarting,
            leaving: beat.leaving,
            unreliable: beat.unreliable,
            digest: beat.digest,
            level: beat.level,
            version: Line::new(&beat.version),
        }
    }

    /// Whether it is primary, or may add the address any moment.
    pub(super) fn claims(&self) -> bool {
        self.said.holds || self.said.effective == Effective::Primary
    }
}

/// The other unit of a pair.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) id: PeerId,
    pub(super) boot: BootId,
    pub(super) heard: Time,
    /// When this start of it was first heard.
    pub(super) first: Time,
    /// Since when its beats have come without a longer pause.
    pub(super) streak: Time,
    /// When its last beat came in which it claimed the address.
    pub(super) claimed: Option<Time>,
    /// Its newest beat.
    pub(super) beat: Heard,
    /// It was primary when it was last heard before its present start.
    pub(super) was_primary: bool,
    /// Somebody else on the same links.
    pub(super) stranger: Option<PeerId>,
}
