//! "If the other died now": the decision without the action, all the time.

use std::time::Duration;

use super::Core;
use crate::domain::ha::config::grant_length;
use crate::domain::ha::status::Rehearsal;
use crate::domain::ha::{Effective, WitnessMode};
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

/// What writing the epoch, asking and adding the address take, with room.
const SETTLE: Duration = Duration::from_millis(500);

impl Core {
    pub(super) fn rehearsal(&self, now: Time) -> Rehearsal {
        if !self.is_pair() {
            return Rehearsal::None;
        }
        let ha = &self.config.ha;
        let require = ha.witness == WitnessMode::Require;
        let witness = self.witness_heard.filter(|at| now.since(*at) < ha.permit_length() + ha.interval);
        if self.role == Effective::Primary {
            let alone = require && witness.is_none();
            return if alone {
                Rehearsal::Refuses(Line::new(
                    "this unit is primary, but without the other and without the witness it would let its address go",
                ))
            } else {
                Rehearsal::None
            };
        }
        if let Some(why) = self.would_not(now, require && witness.is_none()) {
            return Rehearsal::Refuses(Line::new(&why));
        }
        let wait = ha.takeover_after();
        let mut from = (self.heard_at() + wait).since(now);
        let mut to = from + SETTLE;
        if let Some(until) = self.hold_off_until {
            from = from.max(until.since(now));
            to = from + SETTLE;
        }
        if require {
            // The last vote for the holder may have been asked for with its last breath.
            to = to.max(grant_length(ha.lease) + ha.permit_length() / 10 + SETTLE);
        }
        if ha.witness == WitnessMode::Advise && witness.is_none() {
            to += Duration::from_secs(1);
        }
        Rehearsal::Takes { from, to, may_split: !require }
    }

    fn would_not(&self, now: Time, alone: bool) -> Option<String> {
        if self.role == Effective::Off && self.starting.is_none() {
            return Some("HA is off here until a person restarts it".to_owned());
        }
        if self.role == Effective::Off {
            return Some("HA is starting here".to_owned());
        }
        if self.role == Effective::Failed {
            return Some(format!("this unit is failed: {}", self.reason));
        }
        if self.stopping.is_some() {
            return Some("this unit stops".to_owned());
        }
        if let Some(why) = self.distrust() {
            return Some(format!("this unit distrusts itself: {why}"));
        }
        if let Some(trouble) = self.disk.stands(now).or_else(|| self.guard_trouble.clone()) {
            return Some(trouble.as_str().to_owned());
        }
        if alone {
            return Some("the witness does not answer: there would be no majority".to_owned());
        }
        // Until then it counts down, and what has begun is a takeover.
        let age = now.since(self.heard_at());
        let overdue = age >= self.config.ha.takeover_after() && self.taking.is_none();
        overdue.then(|| format!("the other is silent already, for {}", human(age)))
    }
}
