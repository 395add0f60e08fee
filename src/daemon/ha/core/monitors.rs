//! Service monitors: when they run, when they fire, what that sets off (F10, F11, F18; rows 3 to 6).

use std::time::Duration;

use super::Core;
use super::table::Trigger;
use super::wish::Ask;
use crate::daemon::ha::types::Effect;
use crate::domain::ha::config::{MonitorConfig, SERVICES_AS_HEARTBEAT_MAX};
use crate::domain::ha::{Effective, MonitorKind, MonitorState, OnFailure};
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

/// A check whose answer does not come counts as failed so long after its own wait.
const GRACE: Duration = Duration::from_secs(5);

/// One monitor.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) config: MonitorConfig,
    active: bool,
    pub(super) next: Time,
    running: Option<Time>,
    pub(super) failures: u32,
    pub(super) state: MonitorState,
    pub(super) detail: Line,
    last_ok: Option<Time>,
    last: Option<Time>,
}

impl Monitor {
    pub(super) fn new(config: MonitorConfig, now: Time) -> Self {
        Self {
            config,
            active: false,
            next: now,
            running: None,
            failures: 0,
            state: MonitorState::Idle,
            detail: Line::default(),
            last_ok: None,
            last: None,
        }
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.active.then(|| self.running.map_or(self.next, |since| since + self.config.wait + GRACE))
    }

    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    fn done(&mut self, now: Time, result: Result<(), String>) {
        self.running = None;
        self.last = Some(now);
        self.next = self.next.max(now) + self.config.interval.max(Duration::from_millis(10));
        match result {
            Ok(()) => {
                self.failures = 0;
                self.state = MonitorState::Ok;
                self.last_ok = Some(now);
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                self.detail = Line::new(&why);
                let fired = self.failures >= self.config.retries.max(1);
                self.state = if fired { MonitorState::Failed } else { MonitorState::Failing };
            }
        }
    }
}

impl Core {
    fn runs(&self, kind: MonitorKind) -> bool {
        if self.stopping.is_some() {
            return false;
        }
        match (kind.is_remote(), self.role) {
            (true, Effective::Secondary) => {
                self.other.as_ref().is_some_and(|o| o.beat.said.effective == Effective::Primary)
            }
            (true, Effective::Failed) => self.failed_by == Some(4),
            (false, role) => matches!(role, Effective::Primary | Effective::Failed),
            (
                true,
                Effective::Off
                | Effective::Primary
                | Effective::HoldOff
                | Effective::ConfigPrimary
                | Effective::ConfigSecondary,
            ) => false,
        }
    }

    pub(super) fn on_checked(&mut self, now: Time, kind: MonitorKind, result: Result<(), String>) {
        let Some(monitor) = self.monitors.iter_mut().find(|m| m.config.kind == kind) else { return };
        if !monitor.active || monitor.running.is_none() {
            return;
        }
        let before = monitor.state;
        monitor.done(now, result);
        let (state, failures, detail) = (monitor.state, monitor.failures, monitor.detail.clone());
        if state == before {
            return;
        }
        self.out.push(Effect::Changed);
        let name = kind.as_str();
        match state {
            MonitorState::Failed => self.log(&format!("{name} failed {failures} times in a row: {detail}")),
            MonitorState::Ok if before != MonitorState::Idle => self.log(&format!("{name} is good again")),
            MonitorState::Ok | MonitorState::Failing | MonitorState::Idle => {}
        }
    }

    pub(super) fn advance_monitors(&mut self, now: Time) {
        let heard = self.heard_at();
        let hurry = self.config.ha.services_as_heartbeat && now.since(heard) * 2 >= self.config.ha.takeover_after();
        let virtual_ones: Vec<bool> = self.monitors.iter().map(|m| self.is_virtual(m)).collect();
        for (i, is_virtual) in virtual_ones.into_iter().enumerate() {
            let runs = self.runs(self.monitors[i].config.kind);
            let monitor = &mut self.monitors[i];
            if runs != monitor.active {
                *monitor = Monitor { active: runs, ..Monitor::new(monitor.config.clone(), now) };
                if runs {
                    // What was bad stays bad until a check is good.
                    monitor.next = now;
                }
            }
            if !runs {
                continue;
            }
            if hurry && is_virtual && monitor.running.is_none() && monitor.last.is_none_or(|at| at <= heard) {
                monitor.next = monitor.next.min(now);
            }
            match monitor.running {
                Some(since) if now.since(since) >= monitor.config.wait + GRACE => {
                    let why = format!("no result within {}", human(monitor.config.wait + GRACE));
                    monitor.done(now, Err(why));
                }
                None if now >= monitor.next => {
                    monitor.running = Some(now);
                    monitor.next = now;
                    let kind = monitor.config.kind;
                    self.out.push(Effect::Check { kind });
                }
                Some(_) | None => {}
            }
        }
        self.judge(now);
    }

    /// What fired monitors set off, and what their recovery does.
    fn judge(&mut self, now: Time) {
        if self.taking.is_some() || self.ceding.is_some() || self.stopping.is_some() {
            return;
        }
        match self.role {
            Effective::Primary => {
                let quiet = self.quiet_until.is_some_and(|at| now < at);
                if let Some((row, why)) = self.local_failure().filter(|_| !quiet) {
                    self.begin_quiet(now);
                    self.step_down(now, row, Trigger::MonitorFired, &why);
                }
            }
            Effective::Secondary => self.accuse(now),
            Effective::Failed => self.recover(now),
            Effective::Off | Effective::HoldOff | Effective::ConfigPrimary | Effective::ConfigSecondary => {}
        }
    }

    fn local_failure(&self) -> Option<(u8, String)> {
        if self.disk.failures >= super::disk::FAILURES {
            return self.disk.trouble.as_ref().map(|why| (6, why.as_str().to_owned()));
        }
        let fired = self.monitors.iter().find(|m| m.state == MonitorState::Failed && !m.config.kind.is_remote())?;
        let row = if fired.config.kind == MonitorKind::Disk { 6 } else { 5 };
        Some((row, format!("{}: {}", fired.config.kind.as_str(), fired.detail)))
    }

    /// A remote service has failed: the holder is asked to yield (row 4); while its beats come nothing else happens.
    fn accuse(&mut self, now: Time) {
        let quiet = self.quiet_until.is_some_and(|at| now < at);
        if quiet || self.wish.is_some() || self.distrust().is_some() || !self.is_heard(now) || now < self.accuse_at {
            return;
        }
        let fired = self.monitors.iter().find(|m| m.state == MonitorState::Failed && m.config.kind.is_remote());
        let Some(fired) = fired else { return };
        let why = format!("{}: {}", fired.config.kind.as_str(), fired.detail);
        self.ask_holder(now, 4, Ask::Yield, &why, None);
    }

    /// `FAILED`: whether what made it fail is gone (4.3).
    fn recover(&mut self, now: Time) {
        let good = |remote: bool| {
            self.monitors.iter().filter(|m| m.config.kind.is_remote() == remote).all(|m| m.state == MonitorState::Ok)
        };
        let silent = now.since(self.heard_at()) >= self.config.ha.takeover_after();
        let well = match self.failed_by {
            // The accuser is gone, or the way to it is good again.
            Some(4) => silent || good(true),
            Some(_) | None => true,
        };
        if !well || !good(false) || self.disk.trouble.is_some() {
            return;
        }
        let (row, text) = match self.config.ha.on_failure {
            OnFailure::Off => return,
            OnFailure::RestoreRole => (19, "its checks are good"),
            OnFailure::BecomeSecondary => (20, "its checks are good"),
        };
        if self.change(now, row, Trigger::Recovered, text) {
            self.failed_by = None;
            self.disk.want.failed = false;
            if self.returns() {
                self.return_at = Some(self.quiet_until.map_or(now, |at| at.max(now)));
            }
        }
    }

    fn is_virtual(&self, monitor: &Monitor) -> bool {
        let target = monitor.config.target.map(|t| t.ip());
        monitor.config.kind.is_remote() && self.config.ha.addresses.iter().any(|a| Some(a.address) == target)
    }

    /// Row 3: services that answer at the virtual address in place of heartbeats, for a while.
    pub(super) fn services_answer(&self, now: Time) -> Option<String> {
        let heard = self.heard_at();
        if !self.config.ha.services_as_heartbeat || now.since(heard) >= SERVICES_AS_HEARTBEAT_MAX {
            return None;
        }
        let answers = |m: &&Monitor| {
            let young = m.config.interval + m.config.wait + self.config.ha.interval;
            m.state == MonitorState::Ok && m.last_ok.is_some_and(|at| at > heard && now.since(at) <= young)
        };
        let virtual_ones: Vec<&Monitor> = self.monitors.iter().filter(|m| self.is_virtual(m)).collect();
        let all = !virtual_ones.is_empty() && virtual_ones.iter().all(answers);
        all.then(|| virtual_ones.iter().map(|m| m.config.kind.as_str()).collect::<Vec<_>>().join(", "))
    }

    /// When the answer of [`Core::services_answer`] may change by time alone.
    pub(super) fn services_deadline(&self) -> Option<Time> {
        if !self.config.ha.services_as_heartbeat {
            return None;
        }
        let heard = self.heard_at();
        let half = heard + self.config.ha.takeover_after() / 2;
        if self.now < half {
            return Some(half);
        }
        let old = self.monitors.iter().filter(|m| self.is_virtual(m)).filter_map(|m| {
            m.last_ok
                .map(|at| at + m.config.interval + m.config.wait + self.config.ha.interval + Duration::from_millis(1))
        });
        old.chain([heard + SERVICES_AS_HEARTBEAT_MAX]).filter(|at| *at > self.now).min()
    }
}
