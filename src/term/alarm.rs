//! A timer that wakes its thread once.
//!
//! tokio's own timers wake it twice, when they come near and when they are due: on an idle screen that is half of all.

use std::time::Instant;

use tokio::time::sleep_until;

#[cfg(target_os = "linux")]
use {
    rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    },
    std::os::fd::OwnedFd,
    tokio::io::{Interest, unix::AsyncFd},
};

/// A timer of the system; where there is none, tokio's.
#[derive(Debug)]
pub struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<AsyncFd<OwnedFd>>,
}

impl Alarm {
    /// A timer for the runtime that this is called in.
    #[cfg_attr(
        target_os = "linux",
        expect(
            deprecated,
            reason = "sound for an OwnedFd, which never changes its number; what replaces it is unsafe to call"
        )
    )]
    #[must_use]
    pub fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
                .ok()
                .and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE).ok()),
        }
    }

    /// Returns at `due`, or at once if that is over. Safe to cancel; one caller at a time.
    pub async fn at(&self, due: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer
            && set(timer, due)
        {
            // What was due earlier may still be marked: only the time tells.
            while Instant::now() < due {
                match timer.readable().await {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => break,
                }
            }
            if Instant::now() >= due {
                return;
            }
        }
        sleep_until(due.into()).await;
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets the timer, whatever it was set to; this also takes back that it has run out.
#[cfg(target_os = "linux")]
fn set(timer: &AsyncFd<OwnedFd>, due: Instant) -> bool {
    let left = due.saturating_duration_since(Instant::now());
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    // A timer of zero never runs out.
    let it_value = Timespec { tv_sec: seconds, tv_nsec: i64::from(left.subsec_nanos().max(1)) };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value }).is_ok()
}
