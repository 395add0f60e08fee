//! Looking back: the whole console shows a picture of a recording, with a loud badge, until it is live again (B6).

use super::App;
use crate::domain::{Line, Moment, Severity, Time};

/// What is shown while somebody looks back.
#[derive(Clone, Debug, Default)]
pub struct Looking {
    /// The moment that is on screen; `None` until the recording has told one.
    pub moment: Option<Moment>,
    /// Alerts that came meanwhile.
    pub alerts: usize,
}

impl App {
    /// What the recording told.
    pub(super) fn past_came(&mut self, told: Result<Moment, Line>, now: Time) {
        let Some(looking) = &mut self.past else { return };
        match told {
            Ok(moment) => looking.moment = Some(moment),
            Err(why) => {
                if looking.moment.is_none() && !self.options.replay {
                    self.past = None;
                }
                self.toast(format!("no picture of then: {why}"), Severity::Warning, now);
            }
        }
    }
}
