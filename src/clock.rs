//! The one place that reads clocks. Runtimes hold an `Arc<dyn Clock>`; everything below gets `now` as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::Time;

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// Never steps: anchored once at the wall clock, then counts boot time.
    fn now(&self) -> Time;

    /// The wall clock, milliseconds since 1970 UTC; may step.
    fn wall_ms(&self) -> u64;
}

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    anchor_wall: u64,
    anchor_boot: Duration,
}

impl SystemClock {
    /// Anchored now.
    #[must_use]
    pub fn new() -> Self {
        Self { anchor_wall: wall_ms(), anchor_boot: boot_time() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::from_millis(self.anchor_wall) + boot_time().saturating_sub(self.anchor_boot)
    }

    fn wall_ms(&self) -> u64 {
        wall_ms()
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Time since boot, suspend included where the system counts it.
fn boot_time() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let id = rustix::time::ClockId::Monotonic;
    let t = rustix::time::clock_gettime(id);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}
