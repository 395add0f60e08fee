//! Looking closely at links whose answers come late by turns.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::{Core, Effect, Fellow};
use crate::domain::ids::PeerId;
use crate::domain::time::Time;
use crate::proto::frame::{Frame, Ping};

/// A link is looked at closely for so many ping intervals after each turn.
const LOOK: u32 = 10;

/// And for so many after an answer that took longer than others.
const SHORT_LOOK: u32 = 3;

/// So many pings in one interval, beside the regular one, while it is.
const EXTRA: u32 = 4;

/// One ping in so many is followed by another at any moment.
const OUT_OF_STEP: u32 = 8;

/// Nor does anything when our own loop was this late.
const OWN_LATE: Duration = Duration::from_millis(100);

/// Where most fellows answer late, and at least so many, it is this machine: it says nothing about a link.
const EVERYBODY_MIN: usize = 3;

impl Core {
    /// Takes note of how long an answer took.
    pub(super) fn note_answer(&mut self, now: Time, id: &PeerId, rtt: Duration) {
        let interval = self.config.ping_interval;
        let late = self.fellows.get(id).is_some_and(|f| f.steady.is_late(rtt));
        self.late_answers.retain(|(at, who)| now.since(*at) < interval * LOOK && !(late && who == id));
        if late {
            self.late_answers.push((now, id.clone()));
        }
        let own = self
            .late
            .iter()
            .rev()
            .take_while(|(at, _)| now.since(*at) < interval * 2)
            .any(|(_, late)| *late >= OWN_LATE);
        let everybody = self.late_answers.len() >= EVERYBODY_MIN.max(self.fellows.len() / 2 + 1);
        let Some(fellow) = self.fellows.get_mut(id) else { return };
        if fellow.steady.answered(rtt) && !own && !everybody {
            fellow.steady.turned(now, interval * LOOK);
        } else if fellow.steady.is_odd(rtt) {
            fellow.steady.look(now, interval * SHORT_LOOK);
        }
        if everybody {
            self.fellows.values_mut().for_each(|f| f.steady.disregard());
        }
    }

    /// Out of step with the regular pings now and then one at any moment: what comes and goes in step with them would
    /// never be seen.
    pub(super) fn look_out_of_step(&mut self, now: Time, id: &PeerId) {
        if !self.rng.random_ratio(1, OUT_OF_STEP) {
            return;
        }
        let at = now + self.config.ping_interval.mul_f64(self.rng.random_range(0.0..1.0));
        if let Some(fellow) = self.fellows.get_mut(id) {
            fellow.steady.extra_at.get_or_insert(at);
        }
    }

    /// Sends the pings that are due beside the regular ones. That one of them is not answered counts for nothing.
    pub(super) fn look_closely(&mut self, now: Time, out: &mut Vec<Effect>) {
        let due = |f: &&mut Fellow| f.steady.extra_at.is_some_and(|t| t <= now);
        let (row, gap) = ((self.config.boot.0, self.pushed.seq), self.config.ping_interval / (EXTRA + 1));
        for fellow in self.fellows.values_mut().filter(due) {
            fellow.steady.next_extra(now, gap);
            let Some(conn) = fellow.active_mut() else { continue };
            conn.ping += 1;
            let ping = Ping { n: conn.ping, heard: conn.heard, row, want: Vec::new() };
            out.push(Effect::Send { conn: conn.id, frame: Arc::new(Frame::Ping(ping)) });
        }
    }
}
