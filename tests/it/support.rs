//! Helpers for several test modules.

use std::time::{Duration, Instant};

/// Long enough for a busy machine; a test that passes never waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough to see that nothing comes.
pub const QUIET: Duration = Duration::from_millis(150);

/// Asks again and again until `condition` holds; panics with `what` after `deadline`.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < deadline, "{caller}: not within {deadline:?}: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
