//! The pure HA core: events in, effects out; no clock, no socket, no file.

pub mod voter;
pub mod witness;

use crate::domain::ha::HaStatus;
use crate::domain::ha::status::{Permit, Rehearsal};
use crate::domain::text::Line;
use crate::domain::time::Time;

use super::types::{Config, Effect, Event};

/// One unit.
#[derive(Debug)]
pub struct Core {
    config: Config,
    began: Time,
}

impl Core {
    /// A core that begins at `now`, with what to do first.
    #[must_use]
    pub fn new(config: Config, now: Time) -> (Self, Vec<Effect>) {
        (Self { config, began: now }, Vec::new())
    }

    /// Takes one event.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Effect> {
        let _ = (now, event);
        Vec::new()
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn next_wake(&self) -> Time {
        self.began + self.config.ha.interval
    }

    /// How the unit stands.
    #[must_use]
    pub fn status(&self, now: Time) -> HaStatus {
        let _ = now;
        let ha = &self.config.ha;
        HaStatus {
            group: ha.group.clone(),
            kind: ha.kind(),
            configured: ha.configured,
            effective: crate::domain::ha::Effective::Off,
            epoch: self.config.kept.epoch,
            since: self.began,
            reason: Line::default(),
            on_failure: ha.on_failure,
            interval: ha.interval,
            threshold: ha.threshold,
            takeover_after: ha.takeover_after(),
            split_brain: ha.split_brain,
            heartbeats: Vec::new(),
            monitors: Vec::new(),
            addresses: Vec::new(),
            permit: Permit { mode: ha.witness, until: None, witness_heard: None, votes: 0 },
            rehearsal: Rehearsal::None,
            hold_off_until: None,
            quiet_until: None,
            distrust: None,
            config_synced: None,
            data_synced: None,
            sync_trouble: None,
            strangers: 0,
            replays: 0,
            last_stranger: None,
            hook_trouble: None,
            troubles: Vec::new(),
            changes: Vec::new(),
        }
    }
}
