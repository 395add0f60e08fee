//! What a service manager is told (`sd_notify`) of a watch or a peer, when there is one.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

/// The service manager's end.
#[derive(Debug)]
pub(super) struct Service {
    /// It wants to hear that we live this often at least.
    every: Option<Duration>,
    last: Option<Instant>,
    status: String,
}

impl Service {
    pub(super) fn new() -> Self {
        // Twice as often as it has to be.
        Self { every: sd_notify::watchdog_enabled().map(|w| w / 2), last: None, status: String::new() }
    }

    /// All is up.
    pub(super) fn ready() {
        say(&[NotifyState::Ready]);
    }

    /// In one line, for people; said when it is another one.
    pub(super) fn status(&mut self, text: String) {
        if text != self.status {
            say(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }

    /// How often to call [`Service::lives`] at least.
    pub(super) fn every(&self) -> Option<Duration> {
        self.every
    }

    /// The loop turns, and what it serves answers.
    pub(super) fn lives(&mut self) {
        let Some(every) = self.every else { return };
        let is_due = self.last.is_none_or(|at| at.elapsed() + Duration::from_millis(50) >= every);
        if is_due {
            self.last = Some(Instant::now());
            say(&[NotifyState::Watchdog]);
        }
    }

    /// Files are read again from here to [`Service::ready`].
    pub(super) fn reloads() {
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now());
        say(&states);
    }

    /// It ends.
    pub(super) fn stops() {
        say(&[NotifyState::Stopping]);
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager can't be told: {error}");
    }
}
