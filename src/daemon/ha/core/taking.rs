//! A takeover, step by step: the epoch on disk, votes or advice, the address, the role (`10-peer.md`).

use std::time::Duration;

use super::Core;
use super::table::{Trigger, is_failure};
use crate::daemon::ha::types::Effect;
use crate::domain::ha::{Effective, WitnessMode};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::beat::{Message, Want};

/// A guard that has not added the address by then is given up.
const ADD_LIMIT: Duration = Duration::from_secs(10);

/// A witness that does not answer is not waited for any longer (`advise`).
const ADVICE_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// For the disk, votes or advice.
    Preparing,
    /// For the guard.
    Adding { since: Time },
    /// For the guard to have let go again.
    Undoing,
}

/// A takeover that is under way.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that hold independently of each other")]
pub(super) struct Taking {
    pub(super) row: u8,
    pub(super) trigger: Trigger,
    why: Line,
    pub(super) epoch: u64,
    /// The other has deleted the address and waits for an answer.
    pub(super) release: bool,
    stage: Stage,
    /// The address was ordered: in this epoch it may have been held.
    added: bool,
    began: Time,
    /// When the witness is next asked, and since when it has not answered (`advise`).
    next_advice: Time,
    silent_since: Time,
    advised: bool,
    vetoed: bool,
    undone: Line,
}

impl Taking {
    pub(super) fn is_adding(&self) -> bool {
        self.stage != Stage::Preparing
    }

    /// Whether votes are to be asked for it.
    pub(super) fn asks(&self, on_disk: u64) -> bool {
        match self.stage {
            Stage::Preparing => self.release || on_disk >= self.epoch,
            Stage::Adding { .. } => true,
            Stage::Undoing => false,
        }
    }

    pub(super) fn next(&self, now: Time) -> Option<Time> {
        match self.stage {
            Stage::Preparing if self.release => Some(self.began + ADD_LIMIT),
            Stage::Preparing => Some(self.next_advice).filter(|at| *at > now),
            Stage::Adding { since } => Some(since + ADD_LIMIT),
            Stage::Undoing => Some(now + Duration::from_millis(50)),
        }
    }
}

impl Core {
    /// Begins one in `epoch`.
    pub(super) fn start_taking(&mut self, now: Time, row: u8, trigger: Trigger, epoch: u64, why: &str, release: bool) {
        self.top = self.top.max(epoch);
        self.disk.want.epoch = self.disk.want.epoch.max(epoch);
        self.address.lapsed = None;
        let reason = self.row(row, trigger).map_or_else(|| why.to_owned(), |row| row.reason.replace("{}", why));
        let text = if release { "is handed the role" } else { "is about to take over" };
        self.log(&format!("{text} in epoch {epoch}: {reason}"));
        self.taking = Some(Taking {
            row,
            trigger,
            why: Line::new(why),
            epoch,
            release,
            stage: Stage::Preparing,
            added: false,
            began: now,
            next_advice: now,
            silent_since: now,
            advised: false,
            vetoed: false,
            undone: Line::default(),
        });
        self.out.push(Effect::Changed);
        if release {
            self.advance_asks(now);
        }
    }

    pub(super) fn advance_taking(&mut self, now: Time) {
        if self.ceding.is_some() {
            return;
        }
        let Some(taking) = &self.taking else { return };
        if taking.stage == Stage::Undoing {
            if self.address.is_gone(now) {
                self.end_undoing(now);
            }
            return;
        }
        if let Some(why) = self.speaks_against() {
            self.undo_taking(now, &why);
            return;
        }
        let Some(taking) = &self.taking else { return };
        if let Stage::Adding { since } = taking.stage {
            let (epoch, probe) = (taking.epoch, !taking.release);
            if now.since(since) >= ADD_LIMIT {
                self.undo_taking(now, "the guard did not add the address in time");
            } else {
                self.order_hold(now, epoch, probe);
            }
            return;
        }
        if self.disk.on.epoch < taking.epoch {
            self.pump_disk(now);
            return;
        }
        if taking.release && now.since(taking.began) >= ADD_LIMIT {
            self.undo_taking(now, "votes and address could not be had in time");
            return;
        }
        let Some(taking) = &self.taking else { return };
        let (epoch, probe) = (taking.epoch, !taking.release);
        let agreed = match self.config.ha.witness {
            WitnessMode::Off => true,
            WitnessMode::Advise => taking.release || self.is_advised(now),
            WitnessMode::Require => self.permit().is_some_and(|until| now + self.config.ha.gone_after() <= until),
        };
        if !agreed {
            return;
        }
        if !self.config.ha.holds_addresses() {
            self.become_primary(now);
        } else if self.order_hold(now, epoch, probe) {
            if let Some(taking) = &mut self.taking {
                (taking.stage, taking.added) = (Stage::Adding { since: now }, true);
            }
            self.send_beats(now);
        }
    }

    /// Why a takeover that has begun must not go on.
    fn speaks_against(&self) -> Option<String> {
        let taking = self.taking.as_ref()?;
        if self.disk.trouble.is_some() && self.disk.on.epoch < taking.epoch {
            return Some("the new epoch can't be written to disk".to_owned());
        }
        let forced = taking.row == 14;
        if let Some(why) = self.distrust().filter(|_| !forced && taking.stage == Stage::Preparing) {
            return Some(why.as_str().to_owned());
        }
        if taking.release {
            return None;
        }
        let other = self.other.as_ref()?;
        let heard_since = other.heard > taking.began;
        let by_silence = matches!(taking.trigger, Trigger::AllSilent | Trigger::HoldOffOver);
        // What it said before says nothing about now, but what it says now counts.
        let against = heard_since && (by_silence || other.beat.claims());
        against.then(|| format!("{} is heard again", other.id))
    }

    /// `advise`: whether the witness has nothing against it, or can't be asked.
    fn is_advised(&mut self, now: Time) -> bool {
        let Some(taking) = &mut self.taking else { return false };
        if taking.advised {
            return true;
        }
        if now >= taking.next_advice {
            taking.next_advice = now + self.config.ha.permit_length() / 10;
            let epoch = taking.epoch;
            let n = self.votes.open(now);
            for way in self.witness_ways() {
                self.out.push(Effect::Send { way, message: Message::Ask { epoch, n, what: Want::TakeOver } });
            }
        }
        self.taking.as_ref().is_some_and(|t| now.since(t.silent_since) >= ADVICE_LIMIT)
    }

    pub(super) fn on_advice(&mut self, now: Time, epoch: u64, refused: Option<String>) {
        let Some(taking) = self.taking.as_mut().filter(|t| t.epoch == epoch && t.stage == Stage::Preparing) else {
            return;
        };
        taking.silent_since = now;
        taking.advised = refused.is_none();
        if let Some(why) = refused
            && !std::mem::replace(&mut taking.vetoed, true)
        {
            self.log(&format!("the witness speaks against a takeover: {why}"));
        }
    }

    /// The guard holds the address.
    pub(super) fn on_held(&mut self, now: Time, epoch: u64) {
        let waits = |t: &Taking| t.epoch == epoch && matches!(t.stage, Stage::Adding { .. });
        if self.taking.as_ref().is_some_and(waits) {
            self.become_primary(now);
        }
    }

    fn become_primary(&mut self, now: Time) {
        let Some(taking) = self.taking.take() else { return };
        self.epoch = taking.epoch;
        self.disk.want.failed = false;
        self.failed_by = None;
        self.return_at = None;
        self.wish = self.wish.take().filter(|w| w.request.is_some());
        let was_off = self.role == Effective::Off;
        self.change(now, taking.row, taking.trigger, taking.why.as_str());
        if is_failure(taking.row) && !was_off {
            self.begin_quiet(now);
        }
        if taking.release {
            self.tell_taken(taking.epoch);
        }
    }

    pub(super) fn begin_quiet(&mut self, now: Time) {
        self.quiet_until = Some(now + self.config.ha.quiet);
    }

    /// Gives it up: at once if nothing was added, else when that is gone again.
    pub(super) fn undo_taking(&mut self, now: Time, why: &str) {
        let Some(taking) = &mut self.taking else { return };
        if taking.stage == Stage::Undoing {
            return;
        }
        taking.stage = Stage::Undoing;
        taking.undone = Line::new(why);
        self.log(&format!("does not take over: {why}"));
        self.order_drop(now);
        if self.address.is_gone(now) {
            self.end_undoing(now);
        }
    }

    fn end_undoing(&mut self, now: Time) {
        let Some(taking) = self.taking.take() else { return };
        // The vote is free; the epoch only if nothing was held in it.
        let upto = taking.epoch.saturating_add(u64::from(taking.added));
        self.give_back(upto, taking.undone.as_str());
        // A guard that fails is not tried all the time.
        let pause = if self.guard_trouble.is_some() { self.config.ha.takeover_after() } else { Duration::ZERO };
        self.retry_at = self.retry_at.max(now + pause + self.jitter());
        self.address.lapsed = None;
        if taking.release {
            // The other retakes upon this: it is final.
            self.refused = self.refused.max(taking.epoch);
            self.tell_refused(taking.epoch, taking.undone.as_str());
        }
        self.out.push(Effect::Changed);
    }
}
