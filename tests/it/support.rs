//! Helpers for several test modules.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use peerdeck::lab::{Lab, Options};

/// Long enough for a busy machine; a test that passes never waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough to see that nothing comes.
pub const QUIET: Duration = Duration::from_millis(150);

/// A port of 127.0.0.1 that nobody has and no other test gets: below those that the system gives to connections, of which
/// other tests open many.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id().wrapping_mul(101) % 20_000;
    loop {
        let n = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let at = (Ipv4Addr::LOCALHOST, u16::try_from(10_000 + (first + n) % 20_000).unwrap());
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return at.1;
        }
    }
}

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

/// A lab in a directory of its own that is gone with it.
pub struct TestLab {
    /// The lab.
    pub lab: Lab,
    _dir: tempfile::TempDir,
}

impl TestLab {
    /// So many peers that ping often, all links up.
    pub async fn start(peers: usize) -> Self {
        let test = Self::start_with(Options { peers, ..quick() }).await;
        test.lab.wait_links_up(PATIENCE).await.unwrap();
        test
    }

    /// With other options; waits for nothing.
    pub async fn start_with(options: Options) -> Self {
        let dir = tempfile::Builder::new().prefix("pd").tempdir().unwrap();
        let state_dir = Some(dir.path().join("lab"));
        let lab = Lab::start(Options { state_dir, ..options }).await.unwrap();
        Self { lab, _dir: dir }
    }

    /// Applies a fault by its words.
    #[track_caller]
    pub fn fault(&self, words: &str) -> impl Future<Output = ()> + '_ {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        async move {
            self.lab.apply_words(&words).await.unwrap_or_else(|e| panic!("{words:?}: {e}"));
        }
    }
}

/// Pings and reports often, so that tests don't wait long.
pub fn quick() -> Options {
    Options {
        ping_interval: Duration::from_millis(250),
        report_interval: Duration::from_millis(200),
        seed: Some(1),
        ..Options::default()
    }
}
