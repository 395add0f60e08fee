//! Giving the role away and taking what is given: switchover, YIELD, a failure of our own (`10-peer.md`, "Changing roles").

use std::time::Duration;

use super::Core;
use super::permit::Address;
use super::table::{Trigger, is_failure};
use super::taking::Taking;
use crate::daemon::ha::types::Effect;
use crate::domain::ha::{Configured, Effective, OnFailure};
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::{Time, human};
use crate::proto::beat::Message;

/// Time between two RELEASEs.
pub const RELEASE_EVERY: Duration = Duration::from_millis(5);

/// A release that nobody answers for so long is over; who takes the role then waits as for any takeover.
pub const RELEASE_FOR: Duration = Duration::from_secs(3);

/// A switchover whose first line is not on disk by then is given up.
const KEEP_LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Until it is on disk that the role is given away.
    Keeping { until: Time },
    /// Until the guard has let go, or the address is gone by itself.
    Dropping,
    /// Until the other has answered.
    Releasing { until: Time, next: Time },
}

/// A role that is being given away.
#[derive(Debug)]
pub(super) struct Ceding {
    row: u8,
    trigger: Trigger,
    why: Line,
    /// The epoch of the new holder.
    epoch: u64,
    /// Nobody: it is only put down.
    to: Option<PeerId>,
    stage: Stage,
    began: Time,
}

impl Ceding {
    pub(super) fn next(&self, address: &Address) -> Time {
        match self.stage {
            Stage::Keeping { until } => until,
            Stage::Dropping => address.until,
            Stage::Releasing { until, next } => until.min(next),
        }
    }
}

impl Core {
    /// Why a planned change of roles must not be begun.
    pub(super) fn preflight(&self, now: Time) -> Result<PeerId, String> {
        let id = self.successor(now)?;
        if let Some(why) = self.distrust() {
            return Err(format!("this unit distrusts itself: {why}"));
        }
        let Some(other) = &self.other else { return Ok(id) };
        if other.beat.level != self.config.level {
            return Err(format!("{id} has level {}, this unit {}", other.beat.level, self.config.level));
        }
        if let Some(trouble) = &self.configuration.trouble {
            return Err(format!("the configuration is not synchronised: {trouble}"));
        }
        if other.beat.digest != self.configuration.digest {
            return Err(format!("the configuration of {id} is not that of this unit: synchronise first"));
        }
        Ok(id)
    }

    /// Who could take over now, or why nobody. That the configuration is not in step does not keep a unit that stops from
    /// handing over: the other would take over anyway, only later.
    fn successor(&self, now: Time) -> Result<PeerId, String> {
        let Some(other) = &self.other else {
            return Err("the other unit was never heard".to_owned());
        };
        let id = &other.id;
        let age = now.since(other.heard);
        if !self.is_heard(now) {
            return Err(format!("{id} was last heard {} ago: it could not take over", human(age)));
        }
        if other.beat.seen.is_none() {
            return Err(format!("{id} does not hear this unit"));
        }
        if other.beat.said.effective != Effective::Secondary {
            return Err(format!("{id} is {}, not secondary", other.beat.said.effective.as_str()));
        }
        if other.beat.unreliable {
            return Err(format!("{id} distrusts itself"));
        }
        if self.taking.is_some() || self.ceding.is_some() || self.stopping.is_some() {
            return Err("another change of roles is under way".to_owned());
        }
        Ok(id.clone())
    }

    /// A planned change: on disk first that it is given away.
    pub(super) fn cede_planned(&mut self, now: Time, row: u8, trigger: Trigger, to: PeerId, why: &str) -> u64 {
        let epoch = self.next_epoch();
        self.top = epoch;
        self.disk.want.ceding = Some(epoch);
        self.disk.retry = now;
        self.log(&format!("hands over to {to} in epoch {epoch}: {why}"));
        let stage = Stage::Keeping { until: now + KEEP_LIMIT };
        self.ceding = Some(Ceding { row, trigger, why: Line::new(why), epoch, to: Some(to), stage, began: now });
        self.pump_disk(now);
        epoch
    }

    /// The address goes first, then the rest: a failure of our own, a split brain, being overtaken.
    pub(super) fn step_down(&mut self, now: Time, row: u8, trigger: Trigger, why: &str) {
        let failure = is_failure(row);
        let epoch = self.next_epoch();
        let to = if failure { self.other.as_ref().map(|o| o.id.clone()) } else { None };
        if failure {
            self.top = epoch;
            self.disk.want.ceding = Some(epoch);
            self.disk.want.failed = true;
            self.failed_by = Some(row);
        }
        let stage = Stage::Dropping;
        self.ceding = Some(Ceding { row, trigger, why: Line::new(why), epoch, to, stage, began: now });
        self.order_drop(now);
        self.advance_ceding(now);
    }

    /// A clean stop is a switchover if the other is healthy and is not asked to wait.
    pub(super) fn cede_for_stop(&mut self, now: Time, restarting: bool) {
        let stopping = self.stopping.take(); // Not against itself.
        let healthy = self.successor(now).ok().filter(|_| !restarting);
        self.stopping = stopping;
        match healthy {
            Some(id) => {
                self.cede_planned(now, 0, Trigger::Stopping, id, "a clean stop");
            }
            None => self.step_down(now, 0, Trigger::Stopping, if restarting { "it restarts" } else { "by command" }),
        }
    }

    pub(super) fn advance_ceding(&mut self, now: Time) {
        let Some(ceding) = &mut self.ceding else { return };
        if let Stage::Keeping { until } = ceding.stage {
            let kept = self.disk.on.ceding >= Some(ceding.epoch);
            let hopeless = self.disk.trouble.is_some() || now >= until;
            if !kept && !hopeless {
                return;
            }
            if !kept && self.stopping.is_none() {
                let text = "gives the switchover up: that it cedes can't be written to disk";
                // Nobody was told of it: the address may stay.
                self.disk.want.ceding = self.disk.on.ceding;
                self.ceding = None;
                self.log(text);
                self.out.push(Effect::Changed);
                return;
            }
            ceding.stage = Stage::Dropping;
            self.order_drop(now);
        }
        let Some(ceding) = &mut self.ceding else { return };
        if ceding.stage == Stage::Dropping {
            if !self.address.is_gone(now) {
                return;
            }
            let (row, trigger, why, epoch) = (ceding.row, ceding.trigger, ceding.why.clone(), ceding.epoch);
            if ceding.to.is_some() {
                ceding.stage = Stage::Releasing { until: now + RELEASE_FOR, next: now };
            }
            let done = ceding.to.is_none();
            self.give_back(epoch, why.as_str());
            self.address.lapsed = None;
            self.two_logged = false;
            self.change(now, row, trigger, why.as_str());
            if done {
                self.ceding = None;
                self.retry_at = self.retry_at.max(now + self.jitter());
                return;
            }
        }
        self.release(now);
    }

    fn release(&mut self, now: Time) {
        let Some(ceding) = &mut self.ceding else { return };
        let Stage::Releasing { until, next } = &mut ceding.stage else { return };
        let taken = self.other.as_ref().is_some_and(|o| o.beat.said.epoch >= ceding.epoch && o.beat.claims());
        if taken || now >= *until {
            let text = if taken { "took over" } else { "did not answer" };
            self.end_ceding(now, text);
            return;
        }
        if now < *next {
            return;
        }
        *next = now + RELEASE_EVERY;
        let message = Message::Release {
            epoch: ceding.epoch,
            to: ceding.to.as_ref().map(|to| to.as_str().to_owned()).unwrap_or_default(),
            reason: ceding.why.as_str().to_owned(),
            row: ceding.row,
        };
        for way in self.link_ways() {
            self.out.push(Effect::Send { way, message: message.clone() });
        }
    }

    fn end_ceding(&mut self, now: Time, text: &str) {
        let Some(ceding) = self.ceding.take() else { return };
        let to = ceding.to.as_ref().map_or("the other", |to| to.as_str()).to_owned();
        self.log(&format!("{to} {text} {} after the hand-over began", human(now.since(ceding.began))));
        // Who was refused or not answered waits as for any takeover.
        self.out.push(Effect::Changed);
    }

    /// The address that was released is held by the other.
    pub(super) fn on_taken(&mut self, now: Time, epoch: u64) {
        if self.ceding.as_ref().is_some_and(|c| c.epoch == epoch && matches!(c.stage, Stage::Releasing { .. })) {
            self.end_ceding(now, "took over");
        }
    }

    pub(super) fn on_refused(&mut self, now: Time, epoch: u64, reason: &Line) {
        self.wish_refused(now, epoch, reason);
        let released = |c: &&Ceding| c.epoch == epoch && matches!(c.stage, Stage::Releasing { .. });
        let Some(ceding) = self.ceding.as_ref().filter(released) else { return };
        let planned = !is_failure(ceding.row);
        self.end_ceding(now, &format!("refused ({reason})"));
        if planned && self.role == Effective::Secondary && self.stopping.is_none() {
            let next = self.next_epoch();
            self.start_taking(now, 0, Trigger::GivenBack, next, reason.as_str(), false);
        }
    }

    /// The other has deleted the address for us.
    pub(super) fn on_release(&mut self, now: Time, from: &PeerId, epoch: u64, reason: &Line, row: u8) {
        if self.role == Effective::Primary && self.taking.is_none() && self.epoch >= epoch {
            if self.epoch == epoch {
                self.tell_taken(epoch);
            }
            return;
        }
        if self.taking.as_ref().is_some_and(|t| t.release && t.epoch == epoch) {
            return;
        }
        let why = if epoch <= self.refused || epoch <= self.epoch || epoch <= self.ceded() {
            Some("it was refused, or is of an earlier change".to_owned())
        } else if self.row(row, Trigger::Released).is_none() {
            Some(format!("this unit is {}", self.role.as_str()))
        } else if self.ceding.is_some() || self.stopping.is_some() {
            Some("this unit gives its own role away".to_owned())
        } else if self.taking.as_ref().is_some_and(Taking::is_adding) {
            return; // It is taking over anyway.
        } else if let Some(trouble) = &self.disk.trouble {
            Some(trouble.as_str().to_owned())
        } else if let Some(trouble) = self.guard_trouble.as_ref().filter(|_| !is_failure(row)) {
            Some(trouble.as_str().to_owned())
        } else {
            self.distrust().map(|why| why.as_str().to_owned())
        };
        if let Some(why) = why {
            self.refused = self.refused.max(epoch);
            self.tell_refused(epoch, &why);
            return;
        }
        // A release is proof: the vote that the other had of us is free.
        self.voter.give_back(from, epoch);
        if self.taking.take().is_some() {
            self.votes.clear(0);
        }
        self.wish_granted(now);
        self.start_taking(now, row, Trigger::Released, epoch, reason.as_str(), true);
    }

    pub(super) fn tell_taken(&mut self, epoch: u64) {
        for way in self.link_ways() {
            self.out.push(Effect::Send { way, message: Message::Taken { epoch } });
        }
    }

    pub(super) fn tell_refused(&mut self, epoch: u64, why: &str) {
        for way in self.link_ways() {
            let message = Message::Refused { epoch, reason: why.to_owned() };
            self.out.push(Effect::Send { way, message });
        }
    }

    /// The other asks us to let go: a service of ours fails for it, or a person forces it.
    pub(super) fn on_yield(&mut self, now: Time, epoch: u64, reason: &Line, row: u8) {
        if self.ceding.is_some() || self.stopping.is_some() || self.role != Effective::Primary {
            return; // It hears of us by RELEASE or by beats.
        }
        let why = if epoch != self.epoch {
            Some(format!("this unit is in epoch {}, not {epoch}", self.epoch))
        } else if row == 4 && self.quiet_until.is_some_and(|at| now < at) {
            Some("it took over lately: services change no roles now".to_owned())
        } else {
            None
        };
        match (why, row) {
            (Some(why), _) => self.tell_refused(epoch, &why),
            (None, 4) => {
                self.begin_quiet(now);
                self.step_down(now, 4, Trigger::Asked, reason.as_str());
            }
            (None, _) => {
                if let Some(to) = self.other.as_ref().map(|o| o.id.clone()) {
                    self.cede_planned(now, 14, Trigger::Asked, to, reason.as_str());
                }
            }
        }
    }

    /// The other asks to change roles, in good order.
    pub(super) fn on_swap(&mut self, now: Time, epoch: u64, reason: &Line, row: u8) {
        if self.ceding.is_some() || self.role != Effective::Primary {
            return;
        }
        let quiet = row == 19 && self.quiet_until.is_some_and(|at| now < at);
        let result = if epoch != self.epoch {
            Err(format!("this unit is in epoch {}, not {epoch}", self.epoch))
        } else if quiet {
            Err("it took over lately: nobody returns by himself now".to_owned())
        } else {
            self.preflight(now)
        };
        match result {
            Err(why) => {
                self.log(&format!("keeps its role: {why}"));
                self.tell_refused(epoch, &why);
            }
            Ok(to) => {
                let row = if self.row(row, Trigger::Asked).is_some() { row } else { 13 };
                self.cede_planned(now, row, Trigger::Asked, to, reason.as_str());
            }
        }
    }

    /// `restore-role`: whether this unit shall ask for its role back.
    pub(super) fn returns(&self) -> bool {
        self.config.ha.on_failure == OnFailure::RestoreRole && self.config.ha.configured == Configured::Primary
    }
}
