//! A machine that somebody works on: the machine itself keeps it, and its row tells everybody (C22).

use std::time::Duration;

use crate::domain::text::Line;
use crate::domain::time::Time;

/// The longest time that maintenance may be announced for: what is forgotten must end by itself.
pub const LASTING_MAX: Duration = Duration::from_hours(24 * 30);

/// What is announced. Alerts about the machine are held back until it ends; automatic failover is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Maintenance {
    /// Since when.
    pub since: Time,
    /// When it ends by itself.
    pub until: Time,
    /// Who announced it.
    pub by: Line,
    /// Why.
    pub reason: Line,
}

impl Maintenance {
    /// Whether it still holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Time) -> bool {
        now < self.until
    }
}
