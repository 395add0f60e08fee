//! How long to wait before the next dial: exponential with full jitter.

use std::time::{Duration, Instant};

use crate::clock::shared_moment;

/// The bounds of a back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The range of the first wait; it doubles with each failure.
    pub base: Duration,
    /// No wait is longer.
    pub cap: Duration,
}

/// After a connection whose silence was borne while it stood: each lasted for seconds, so nobody is pressed.
pub const AT_ONCE: Backoff = Backoff { base: Duration::ZERO, cap: Duration::ZERO };

/// After ordinary failures of an observer's connection.
pub const OBSERVER: Backoff = Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(5) };

/// After a dial that ended by a deadline: it has waited for the peer already.
pub const TIMED_OUT: Backoff = Backoff { base: Duration::from_secs(4), cap: Duration::from_secs(5) };

/// After so many of them that the peer is gone for longer.
pub const LASTING_OBSERVER: Backoff = Backoff { base: Duration::from_secs(20), cap: Duration::from_secs(20) };

/// After what repeating soon won't mend: a refused login (it may lock the account), another machine than the
/// expected one, an answer that can't be read.
pub const WARY: Backoff = Backoff { base: Duration::from_secs(4), cap: Duration::from_mins(1) };

impl Backoff {
    /// The longest wait after `failures` failures in a row.
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// The end of the wait after `failures` failures in a row, on a moment that all dials of this process have in
    /// common ([`shared_moment`]), so that many of them wake it once: moments lie about the longest wait apart. Seen from a
    /// peer the wait is spread over that range all the same, because each process has moments of its own.
    #[must_use]
    pub fn shared(&self, failures: u32, now: Instant) -> Instant {
        let apart = self.ceiling(failures);
        // A timer may ring a little early: then its own moment is not the next one.
        shared_moment(now + apart / 8, apart)
    }

    /// The wait after `failures` failures in a row. `draw` is drawn evenly from 0 to 1; it spreads the wait
    /// over the whole range, so that peers that were lost together don't come back together.
    #[must_use]
    pub fn delay(&self, failures: u32, draw: f64) -> Duration {
        self.ceiling(failures).mul_f64(if draw.is_finite() { draw.clamp(0.0, 1.0) } else { 1.0 })
    }
}
