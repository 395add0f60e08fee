//! A machine that somebody works on: the machine itself keeps it, and its row tells everybody (C22).

use std::time::Duration;

use crate::domain::text::Line;
use crate::domain::time::Time;

/// The longest time that maintenance may be announced for: what is forgotten must end by itself.
pub const LASTING_MAX: Duration = Duration::from_hours(24 * 30);

/// What one announcement may shift by, told twice.
const TOLD_APART: Duration = Duration::from_secs(2);

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
    /// Announced at `since` for `lasting`, which is cut to [`LASTING_MAX`].
    #[must_use]
    pub fn lasting(since: Time, lasting: Duration, by: Line, reason: Line) -> Self {
        Self { since, until: since + lasting.min(LASTING_MAX), by, reason }
    }

    /// Whether `other` is the same announcement, told at another moment: times that went over the wire differ by what
    /// the message took.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let apart = self.since.since(other.since).max(other.since.since(self.since));
        let same = (&self.by, &self.reason, self.until.since(self.since))
            == (&other.by, &other.reason, other.until.since(other.since));
        same && apart <= TOLD_APART
    }

    /// Whether it still holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Time) -> bool {
        now < self.until
    }
}
