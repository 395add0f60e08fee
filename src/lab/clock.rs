//! The clocks of one peer of a lab: its wall clock can be set wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Clock;
use crate::domain::Time;

/// Another clock, with a wall clock that is off.
pub struct SkewedClock {
    truth: Arc<dyn Clock>,
    off_ms: AtomicI64,
}

impl SkewedClock {
    /// Right at first.
    #[must_use]
    pub fn new(truth: Arc<dyn Clock>) -> Self {
        Self { truth, off_ms: AtomicI64::new(0) }
    }

    /// The wall clock is ahead by so many milliseconds from now on (behind if negative).
    pub fn set_off(&self, ms: i64) {
        self.off_ms.store(ms, Ordering::Relaxed);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Time {
        self.truth.now() // Counts on whatever the wall clock says.
    }

    fn wall_ms(&self) -> u64 {
        self.truth.wall_ms().saturating_add_signed(self.off_ms.load(Ordering::Relaxed))
    }

    fn boot_time(&self, at: Time) -> std::time::Duration {
        self.truth.boot_time(at)
    }
}
