//! What people ask (F15; rows 13 to 16): each command is checked against what it was decided on, and answered.

use super::Core;
use super::link::Other;
use super::table::Trigger;
use super::wish::Ask;
use crate::daemon::ha::types::Effect;
use crate::domain::ha::{Configured, Effective, HaAct, WitnessMode};
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

impl Core {
    pub(super) fn on_act(
        &mut self,
        now: Time,
        request: u64,
        act: HaAct,
        by: &Line,
        reason: &Line,
        basis: Option<(Effective, u64)>,
    ) {
        if let Some((role, epoch)) = basis.filter(|b| *b != (self.role, self.epoch)) {
            let text = format!(
                "it was decided on {} in epoch {epoch}, but this unit is {} in epoch {}: look again",
                role.as_str(),
                self.role.as_str(),
                self.epoch
            );
            return self.answer(request, Err(text));
        }
        if self.stopping.is_some() {
            return self.answer(request, Err("this unit stops".to_owned()));
        }
        let why = if reason.is_empty() { format!("by {by}") } else { format!("by {by}: {reason}") };
        self.log(&format!("{} asked {why}", act.as_str()));
        let result = match act {
            HaAct::Switchover => self.switchover(now, 13, &why, request),
            HaAct::Failover => self.failover(now, &why, request),
            HaAct::Restore => self.restore(now, &why, request),
            HaAct::Restart => self.restart(now, 16, &why).map(Some),
            HaAct::Sync => {
                self.out.push(Effect::Sync);
                Ok(Some("the configuration is brought in step".to_owned()))
            }
            HaAct::Accept => match self.quiet_until.take() {
                Some(_) => Ok(Some("the takeover is acknowledged: the quiet period is over".to_owned())),
                None => Err("there is no takeover to acknowledge".to_owned()),
            },
        };
        match result {
            Ok(Some(text)) => self.answer(request, Ok(text)),
            Ok(None) => {} // When the other has answered.
            Err(why) => self.answer(request, Err(why)),
        }
    }

    /// Both units are primary, by what is heard.
    fn two_primaries(&self, now: Time) -> bool {
        let primary = |o: &Other| o.beat.said.effective == Effective::Primary;
        self.role == Effective::Primary && self.is_heard(now) && self.other.as_ref().is_some_and(primary)
    }

    fn pair_only(&self) -> Result<(), String> {
        if self.is_pair() {
            Ok(())
        } else {
            Err("roles are fixed here: only an active-passive pair changes them".to_owned())
        }
    }

    fn switchover(&mut self, now: Time, row: u8, why: &str, request: u64) -> Result<Option<String>, String> {
        self.pair_only()?;
        match self.role {
            Effective::Primary if self.two_primaries(now) => {
                let other = self.other_name();
                if self.outranks() {
                    return Err(format!("{other} is primary too, and wrong: it is the one that shall hand over"));
                }
                self.step_down(now, row, Trigger::Asked, &format!("{why}; {other} is primary too, and right"));
                Ok(Some(format!("lets go; {other} stays primary")))
            }
            Effective::Primary => {
                let to = self.preflight(now)?;
                let epoch = self.cede_planned(now, row, Trigger::Asked, to.clone(), why);
                Ok(Some(format!("hands over to {to} in epoch {epoch}")))
            }
            Effective::Secondary => {
                let primary = self.other.as_ref().is_some_and(|o| o.beat.said.effective == Effective::Primary);
                if !primary || !self.is_heard(now) {
                    return Err(
                        "no primary is heard that could hand over; a failover takes its role by force".to_owned()
                    );
                }
                if let Some(why) = self.distrust() {
                    return Err(format!("this unit distrusts itself: {why}"));
                }
                let row = if row == 13 { 14 } else { row };
                self.ask_holder(now, row, Ask::Swap, why, Some(request));
                Ok(None)
            }
            Effective::Off
            | Effective::Failed
            | Effective::HoldOff
            | Effective::ConfigPrimary
            | Effective::ConfigSecondary => Err(format!("this unit is {}: nothing to switch", self.role.as_str())),
        }
    }

    /// By force: without preflight and without waiting for silence, but never knowingly beside a holder.
    fn failover(&mut self, now: Time, why: &str, request: u64) -> Result<Option<String>, String> {
        self.pair_only()?;
        if !matches!(self.role, Effective::Secondary | Effective::HoldOff) {
            return Err(format!("this unit is {}: only a secondary takes over by force", self.role.as_str()));
        }
        if self.taking.is_some() {
            return Err("it is taking over already".to_owned());
        }
        if let Some(trouble) = &self.disk.trouble {
            return Err(trouble.as_str().to_owned());
        }
        let claims = self.other.as_ref().is_some_and(|o| o.beat.claims());
        let silence = now.since(self.heard_at());
        if claims && self.is_heard(now) {
            if self.role == Effective::HoldOff {
                return Err("the primary is still there, and restarts: it releases first".to_owned());
            }
            self.ask_holder(now, 14, Ask::Yield, why, Some(request));
            return Ok(None);
        }
        // Votes are proof; without them the other may hold for as long as its last beat allows.
        let wait = self.config.ha.takeover_after();
        if claims && self.config.ha.witness != WitnessMode::Require && silence < wait {
            let left = human(wait.saturating_sub(silence));
            return Err(format!("the other may hold the address for {left} more: try again then"));
        }
        let epoch = self.next_epoch();
        self.start_taking(now, 14, Trigger::AllSilent, epoch, why, false);
        let lost = if claims { human(silence) } else { "nothing known".to_owned() };
        Ok(Some(format!(
            "takes over in epoch {epoch} by force; what the other took in since it was last heard may be lost ({lost})"
        )))
    }

    fn restore(&mut self, now: Time, why: &str, request: u64) -> Result<Option<String>, String> {
        self.pair_only()?;
        match (self.config.ha.configured, self.role) {
            (_, Effective::Primary) if self.two_primaries(now) => {
                Err("two units are primary: a switchover ends that, then roles can be restored".to_owned())
            }
            (Configured::Primary, Effective::Primary) | (Configured::Secondary, Effective::Secondary) => {
                Ok(Some("it is in its configured role already".to_owned()))
            }
            (_, Effective::Primary | Effective::Secondary) => self.switchover(now, 15, why, request),
            (configured, Effective::Off | Effective::Failed) => {
                let text = self.restart(now, 15, why)?;
                if configured == Configured::Primary {
                    self.return_at = Some(now);
                    self.quiet_until = None;
                }
                Ok(Some(text))
            }
            (_, Effective::HoldOff | Effective::ConfigPrimary | Effective::ConfigSecondary) => {
                Err(format!("this unit is {}: nothing to restore", self.role.as_str()))
            }
        }
    }

    fn restart(&mut self, now: Time, row: u8, why: &str) -> Result<String, String> {
        self.pair_only()?;
        if self.starting.is_some() || !matches!(self.role, Effective::Off | Effective::Failed) {
            return Err(format!("HA runs here, this unit is {}", self.role.as_str()));
        }
        self.change(now, row, Trigger::Asked, why);
        self.failed_by = None;
        self.disk.want.failed = false;
        self.disk.want.role = None;
        self.disk.failures = 0;
        self.starting = Some(now + self.config.ha.takeover_after());
        self.listen_from = now;
        self.retry_at = now;
        Ok("HA starts again".to_owned())
    }
}
