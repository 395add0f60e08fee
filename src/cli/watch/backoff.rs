//! How long to wait after failures: longer each time, and never all at the same moment.

use std::time::Duration;

/// After the first failure at most.
const FIRST: Duration = Duration::from_secs(1);
/// After many at most.
pub(super) const LONGEST: Duration = Duration::from_mins(5);
/// What the other side asked for is kept up to this.
const ASKED: Duration = Duration::from_hours(1);

/// Exponential with full jitter.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It has worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It has failed: how long to wait. `asked`: no less than the other side said. `luck`: 0 to 1.
    pub(super) fn wait(&mut self, asked: Option<Duration>, luck: f64) -> Duration {
        let most = FIRST.saturating_mul(2_u32.saturating_pow(self.failures.min(16))).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let wait = most.mul_f64(luck.clamp(0.0, 1.0)).max(Duration::from_millis(50));
        wait.max(asked.unwrap_or_default().min(ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b5_waits_grow_to_five_minutes_and_no_further() {
        let mut backoff = Backoff::default();
        let most: Vec<u64> = (0..12).map(|_| backoff.wait(None, 1.0).as_secs()).collect();
        assert_eq!(most, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert!(backoff.wait(None, 0.5) == LONGEST / 2, "anything below it");
        assert_eq!(backoff.wait(None, 0.0), Duration::from_millis(50), "never at once");
        backoff.reset();
        assert_eq!(backoff.wait(None, 1.0), Duration::from_secs(1));
    }

    #[test]
    fn b5_what_the_other_side_asks_for_is_kept_within_reason() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.wait(Some(Duration::from_secs(90)), 0.1), Duration::from_secs(90));
        assert_eq!(backoff.wait(Some(Duration::from_hours(99)), 0.1), ASKED);
    }
}
