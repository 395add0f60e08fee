//! The one place that reads clocks. Runtimes hold an `Arc<dyn Clock>`; everything below gets `now` as an argument.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::Time;

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// Never steps: anchored once at the wall clock, then counts boot time.
    fn now(&self) -> Time;

    /// The wall clock, milliseconds since 1970 UTC; may step.
    fn wall_ms(&self) -> u64;

    /// `at` on the system's boot-time clock, which another process can compare with its own reading of it.
    fn boot_time(&self, at: Time) -> Duration {
        boot_time() + at.since(self.now())
    }
}

/// From when on shared moments are counted.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// tokio rounds a timer up to its next millisecond: one that is due this much before is not moved to another.
const BEFORE: Duration = Duration::from_micros(500);

/// Says that the runtime whose timers matter began at `at`; later calls change nothing. Shared moments then are such
/// that a timer of tokio's wheel (64 slots of 1 ms, 64 of 64 ms, 64 of 4,096 ms) wakes the process once: others wake it
/// once more for each ring that they go through.
pub fn timers_began(at: Instant) {
    let _ = BEGAN.set(at); // Of two runtimes only one can be first.
}

/// The first shared moment that is not before `at`. They lie `apart` from each other, rounded down to 64 ms times a power
/// of two (or below that to a power of two); those further apart are among those that are closer. All who wait for one
/// wake the process together; the moments of two processes have nothing to do with each other.
#[must_use]
pub fn shared_moment(at: Instant, apart: Duration) -> Instant {
    let began = *BEGAN.get_or_init(Instant::now);
    let apart = 1_u128 << apart.as_millis().max(1).ilog2();
    let since = (at + BEFORE).saturating_duration_since(began).as_micros();
    let due = u64::try_from(since.div_ceil(apart * 1000) * apart).unwrap_or(u64::MAX);
    (began + Duration::from_millis(due)).checked_sub(BEFORE).unwrap_or(at).max(at)
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

    fn boot_time(&self, at: Time) -> Duration {
        self.anchor_boot + at.since(Time::from_millis(self.anchor_wall))
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Time since boot, suspend included where the system counts it.
#[must_use]
pub fn boot_time() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let id = rustix::time::ClockId::Monotonic;
    let t = rustix::time::clock_gettime(id);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}
