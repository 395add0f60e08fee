//! Which role, by what is heard and what is not: start, takeover, hold-off, two primaries, none.

use std::time::Duration;

use rand::RngExt;

use super::Core;
use super::table::Trigger;
use crate::domain::ha::config::grant_length;
use crate::domain::ha::group::rank;
use crate::domain::ha::{Configured, Effective, OnFailure, WitnessMode};
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

/// A beat is current for so many intervals.
const CURRENT: u32 = 3;

impl Core {
    /// Whether the other was heard just now.
    pub(super) fn is_heard(&self, now: Time) -> bool {
        self.other.as_ref().is_some_and(|o| now.since(o.heard) < self.config.ha.interval * CURRENT)
    }

    /// Whether its newest beat proves that it lived, and hears this unit, after this moment.
    fn proves_since(&self, at: Time) -> bool {
        self.other.as_ref().is_some_and(|o| o.beat.seen.is_some_and(|seen| seen >= at && seen <= self.now))
    }

    /// Whether what it says is true now: fresh, and no answer from before a pause of ours.
    fn is_proved(&self, now: Time) -> bool {
        let fresh = now.before(self.config.ha.takeover_after() / 2);
        self.is_heard(now) && self.proves_since(fresh.max(self.listen_from).max(self.began))
    }

    /// Since when nothing was heard of the other; never: since the start.
    pub(super) fn heard_at(&self) -> Time {
        self.other.as_ref().map_or(self.began, |o| o.heard)
    }

    /// Silence on all links for `wait`, really listened for.
    fn is_silent_for(&self, now: Time, wait: Duration) -> bool {
        now.since(self.heard_at()) >= wait
            && (self.listen_from == self.began || now >= self.listen_from + self.config.ha.interval)
    }

    /// Whether this unit is the right one of two.
    pub(super) fn outranks(&self) -> bool {
        let Some(other) = &self.other else { return true };
        let said = &other.beat.said;
        rank(self.epoch, self.config.ha.configured, &self.config.id) > rank(said.epoch, said.configured, &other.id)
    }

    fn may_take(&self, now: Time) -> bool {
        let voted = self.config.ha.witness == WitnessMode::Require && self.has_voted(now);
        !voted && now >= self.retry_at && self.distrust().is_none() && self.disk.trouble.is_none()
    }

    pub(super) fn other_name(&self) -> String {
        self.other.as_ref().map_or_else(|| "the other".to_owned(), |o| o.id.as_str().to_owned())
    }

    pub(super) fn jitter(&mut self) -> Duration {
        let most = u64::try_from(self.config.ha.interval.as_millis()).unwrap_or(1000).max(2);
        Duration::from_millis(self.rng.random_range(1..most))
    }

    /// What a beat says about restarts takes effect at once.
    pub(super) fn on_said(&mut self, now: Time, restarting: bool) {
        let name = self.other_name();
        if !restarting {
            self.restart_logged = false;
            if self.role == Effective::HoldOff {
                self.change(now, 8, Trigger::OtherBack, &name);
            }
            return;
        }
        let was_primary = self.other.as_ref().is_some_and(|o| o.claimed.is_some());
        if self.role == Effective::Secondary && was_primary && self.taking.is_none() {
            let until = now + self.config.ha.hold_off;
            let text = format!("{name} is waited for, {} at most", human(self.config.ha.hold_off));
            if self.change(now, 7, Trigger::OtherRestarts, &text) {
                self.hold_off_until = Some(until);
                self.wish = None;
            }
        } else if !std::mem::replace(&mut self.restart_logged, true) {
            self.change(now, 10, Trigger::OtherRestarts, &name);
        }
    }

    pub(super) fn advance_role(&mut self, now: Time) {
        if self.quiet_until.is_some_and(|at| now >= at) {
            self.quiet_until = None;
            self.out.push(crate::daemon::ha::types::Effect::Changed);
        }
        let calm = self.is_heard(now) && self.other.as_ref().is_some_and(|o| !o.beat.claims());
        self.calm_since = if calm { self.calm_since.or(Some(now)) } else { None };
        if self.taking.is_some() || self.ceding.is_some() || self.stopping.is_some() {
            return;
        }
        match self.role {
            Effective::Off if self.starting.is_some() => self.advance_start(now),
            Effective::Secondary => self.advance_secondary(now),
            Effective::HoldOff => self.advance_hold_off(now),
            Effective::Primary => self.advance_primary(now),
            Effective::Off | Effective::Failed | Effective::ConfigPrimary | Effective::ConfigSecondary => {}
        }
    }

    fn take(&mut self, now: Time, row: u8, trigger: Trigger, why: &str) {
        if self.row(row, trigger).is_some() {
            let epoch = self.next_epoch();
            self.start_taking(now, row, trigger, epoch, why, false);
        }
    }

    fn advance_start(&mut self, now: Time) {
        let Some(until) = self.starting else { return };
        if self.is_heard(now) {
            let name = self.other_name();
            let Some(other) = &self.other else { return };
            let (claims, role, theirs) = (other.beat.claims(), other.beat.said.effective, other.beat.said.epoch);
            let leaves = other.beat.leaving || other.beat.restarting;
            if claims {
                self.find_primary(now, theirs, &name);
            } else if self.is_proved(now) {
                let kept = &self.disk.on;
                let was = kept.role == Some(Effective::Primary) && !kept.failed;
                let lived = matches!(role, Effective::Secondary | Effective::HoldOff);
                let mine = role == Effective::Failed || leaves || (was && lived) || (!kept.failed && self.outranks());
                if !mine {
                    self.change(now, 0, Trigger::Started, &format!("{name} is to be primary"));
                } else if self.may_take(now) {
                    self.take(now, 0, Trigger::NoPrimary, &format!("{name} is {}", role.as_str()));
                }
            } else if now >= until {
                self.change(now, 0, Trigger::Started, &format!("{name} does not hear this unit"));
            }
        } else if now >= until && self.may_take(now) && self.is_silent_for(now, self.config.ha.takeover_after()) {
            let wait = human(self.config.ha.takeover_after());
            self.take(now, 1, Trigger::AllSilent, &format!("nobody was heard since the start for {wait}"));
        }
    }

    /// At the start the other turns out to be primary (row 12).
    fn find_primary(&mut self, now: Time, theirs: u64, name: &str) {
        let ha = &self.config.ha;
        let kept = &self.disk.want; // As it was left, unless a person has restarted HA since.
        let failed = kept.failed || (kept.role == Some(Effective::Primary) && theirs > self.config.kept.epoch);
        let (choice, primary) = (ha.on_failure, ha.configured == Configured::Primary);
        if !failed && choice != OnFailure::RestoreRole {
            self.change(now, 0, Trigger::FoundPrimary, name);
            return;
        }
        if failed && choice == OnFailure::Off {
            self.change(now, 12, Trigger::FoundPrimary, name);
            self.starting = None;
            self.since = now;
            self.reason = Line::new(&format!("{name} took over, and on-failure is off: a person restarts HA"));
            self.disk.want.failed = true;
            return;
        }
        if failed {
            self.begin_quiet(now);
        }
        self.disk.want.failed = false;
        let quiet = self.config.ha.quiet;
        self.change(now, 12, Trigger::FoundPrimary, name);
        if choice == OnFailure::RestoreRole && primary {
            self.return_at = Some(now + quiet);
        }
    }

    fn advance_secondary(&mut self, now: Time) {
        let takes = self.config.ha.takeover_after();
        if !self.may_take(now) {
            return;
        }
        let asked = self.wish.as_ref().is_some_and(|w| w.row == 4);
        let by_votes = self.config.ha.witness == WitnessMode::Require && asked;
        let wait = if by_votes { self.config.ha.permit_length().min(takes) } else { takes };
        if self.is_silent_for(now, wait) {
            let name = self.other_name();
            if let Some(services) = self.services_answer(now) {
                if !std::mem::replace(&mut self.services_logged, true) {
                    self.change(now, 3, Trigger::ServicesAnswer, &services);
                }
                return;
            }
            let age = human(now.since(self.heard_at()));
            self.take(now, 1, Trigger::AllSilent, &format!("{name} was last heard {age} ago"));
            return;
        }
        if !self.is_proved(now) {
            return;
        }
        let Some((calm, other)) = self.calm_since.zip(self.other.as_ref()) else { return };
        let (calm, role, name) = (now.since(calm), other.beat.said.effective, other.id.clone());
        if other.beat.leaving {
            self.take(now, 0, Trigger::OtherOut, name.as_str());
        } else if role == Effective::Failed {
            self.take(now, 5, Trigger::OtherOut, &format!("{name} is failed"));
        } else {
            let theirs = other.was_primary || !self.outranks();
            // A unit that has just started can't be voted for at once.
            let wait = takes + if theirs { takes.max(grant_length(self.config.ha.lease)) } else { Duration::ZERO };
            if calm >= wait {
                let text = format!("{name} is {} for {}", role.as_str(), human(calm));
                let (row, trigger) =
                    if role == Effective::Off { (5, Trigger::OtherOut) } else { (0, Trigger::NoPrimary) };
                self.take(now, row, trigger, &text);
            }
        }
    }

    fn advance_hold_off(&mut self, now: Time) {
        if self.hold_off_until.is_some_and(|at| now < at) || !self.may_take(now) {
            return;
        }
        if self.is_silent_for(now, self.config.ha.takeover_after()) {
            let text = format!("{} was waited for {}", self.other_name(), human(self.config.ha.hold_off));
            self.take(now, 9, Trigger::HoldOffOver, &text);
        }
    }

    /// Two primaries (B2), or one that the other has overtaken.
    fn advance_primary(&mut self, now: Time) {
        let Some(other) = &self.other else { return };
        let said = other.beat.said;
        if !self.is_heard(now) || said.effective != Effective::Primary {
            self.two_logged = false;
            return;
        }
        let name = self.other_name();
        let text = format!("{name} is primary in epoch {}, this unit in {}", said.epoch, self.epoch);
        if !std::mem::replace(&mut self.two_logged, true) {
            self.log(&format!("split brain: {text}"));
            self.change_of_two(now, &text);
        }
        if self.outranks() {
            return;
        }
        let nothing_to_hold = self.config.ha.holds_addresses() && self.address.is_gone(now);
        if nothing_to_hold {
            self.step_down(now, 0, Trigger::Overtaken, &text);
        } else if self.row(17, Trigger::TwoPrimaries).is_some_and(|r| r.to.is_some()) {
            self.step_down(now, 17, Trigger::TwoPrimaries, &text);
        }
    }

    /// `hold`: said once, by the row that changes nothing.
    fn change_of_two(&mut self, now: Time, text: &str) {
        if self.row(17, Trigger::TwoPrimaries).is_some_and(|r| r.to.is_none()) {
            self.change(now, 17, Trigger::TwoPrimaries, text);
        }
    }

    /// Moments at which [`Core::advance_role`] and [`Core::advance_holding`] have something to do.
    pub(super) fn role_deadlines(&self) -> Vec<Option<Time>> {
        let ha = &self.config.ha;
        let takes = ha.takeover_after();
        let heard = self.heard_at();
        let lapsed = self.address.lapsed;
        vec![
            self.starting,
            Some(heard + takes),
            Some(heard + ha.permit_length()),
            Some(heard + ha.threshold),
            Some(heard + ha.interval * CURRENT),
            Some(self.listen_from + ha.interval),
            Some(self.retry_at),
            Some(self.accuse_at),
            self.hold_off_until,
            self.calm_since.map(|at| at + takes),
            self.calm_since.map(|at| at + takes + takes.max(grant_length(ha.lease))),
            self.return_at,
            self.quiet_until,
            self.unheard_until(),
            lapsed.map(|at| at.max(heard).max(self.listen_from) + takes),
            (!self.address.is_gone(self.now)).then_some(self.address.until),
            self.late.map(|(_, at)| at + ha.threshold),
            self.services_deadline(),
        ]
    }
}
