//! Notices a terminal that is gone.
//!
//! Reading at the end of input gives nothing at once, for ever: a reader that only waits for keys would spin
//! without ever learning it. So the descriptor itself is watched, also where SIGHUP is ignored (`nohup`).

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches the terminal that keys come from.
#[derive(Debug)]
pub struct Hangup(Option<AsyncFd<OwnedFd>>);

impl Hangup {
    /// Watches from now on; where the system can't watch a terminal, only SIGHUP and read errors tell.
    #[expect(
        deprecated,
        reason = "sound for an OwnedFd, which never changes its number; what replaces it is unsafe to call"
    )]
    #[must_use]
    pub fn watch() -> Self {
        let tty = || -> io::Result<AsyncFd<OwnedFd>> {
            let stdin = io::stdin();
            let fd =
                if stdin.is_terminal() { stdin.as_fd().try_clone_to_owned()? } else { File::open("/dev/tty")?.into() };
            AsyncFd::with_interest(fd, Interest::READABLE)
        };
        Self(tty().ok())
    }

    /// Returns when the terminal is gone. Safe to cancel.
    pub async fn gone(&self) {
        let Some(fd) = &self.0 else { return std::future::pending().await };
        loop {
            match fd.readable().await {
                Ok(mut ready) if !ready.ready().is_read_closed() => ready.clear_ready(),
                Ok(_) | Err(_) => return,
            }
        }
    }
}
