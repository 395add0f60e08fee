//! Maintenance of this machine: announced, replaced, ended by somebody or by itself (C22).

use std::time::Duration;

use super::{Core, Effect};
use crate::domain::maintenance::{LASTING_MAX, Maintenance};
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

impl Core {
    /// Announces it, in place of one that may hold already.
    pub(super) fn begin_maintenance(
        &mut self,
        now: Time,
        by: &Line,
        reason: &Line,
        lasting: Option<u64>,
        out: &mut Vec<Effect>,
    ) -> Result<String, String> {
        let days = LASTING_MAX.as_secs() / 86_400;
        let lasting = lasting.map(Duration::from_millis).filter(|l| !l.is_zero() && *l <= LASTING_MAX);
        let Some(lasting) = lasting else {
            return Err(format!("maintenance must say how long it lasts, up to {days} days"));
        };
        let announced = Maintenance::lasting(now, lasting, by.clone(), reason.clone());
        let span = human(lasting);
        let host = self.config.host.clone();
        let anew = if self.config.maintenance.is_some() { "anew " } else { "" };
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        self.log.push(now, None, &format!("{host} was put in maintenance {anew}for {span} by {by}{because}"));
        self.keep_maintenance(now, Some(announced), out);
        Ok(format!("{host} is in maintenance for {span}"))
    }

    /// The work is done.
    pub(super) fn finish_maintenance(
        &mut self,
        now: Time,
        by: &Line,
        reason: &Line,
        out: &mut Vec<Effect>,
    ) -> Result<String, String> {
        let host = self.config.host.clone();
        if self.config.maintenance.is_none() {
            return Err(format!("{host} is not in maintenance"));
        }
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        self.log.push(now, None, &format!("maintenance of {host} was ended by {by}{because}"));
        self.keep_maintenance(now, None, out);
        Ok(format!("{host} is no longer in maintenance"))
    }

    /// What was forgotten ends by itself, and everybody is told.
    pub(super) fn end_maintenance(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.config.maintenance.as_ref().is_some_and(|m| !m.holds(now)) {
            let text = format!("maintenance of {} has ended by itself", self.config.host);
            self.log.push(now, None, &text);
            self.keep_maintenance(now, None, out);
        }
    }

    /// After a start. A clock that was set back meanwhile must not make it last longer than any may.
    pub(super) fn resume_maintenance(&mut self, now: Time, out: &mut Vec<Effect>) {
        if let Some(m) = &mut self.config.maintenance {
            m.until = m.until.min(now + LASTING_MAX);
        }
        self.end_maintenance(now, out);
        let held = self.config.maintenance.clone();
        std::sync::Arc::make_mut(&mut self.pushed).maintenance = held;
    }

    fn keep_maintenance(&mut self, now: Time, maintenance: Option<Maintenance>, out: &mut Vec<Effect>) {
        self.config.maintenance.clone_from(&maintenance);
        out.push(Effect::KeepMaintenance(maintenance));
        // At once, not gathered with other changes: the machine may be switched off the next moment.
        self.flush_at = Some(now);
        self.flood_at = Some(now);
    }
}
