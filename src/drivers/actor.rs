//! The life of one endpoint: dial, observe, lose, wait, dial again.

use std::sync::Arc;
use std::time::Duration;

use russh::keys::PublicKey;
use tokio::time::{Instant, sleep, sleep_until};

use super::desk::{Desk, Gone};
use super::dial::{self, DialError};
use super::native::{self, Lost};
use super::{Dials, Profile};
use crate::domain::mesh::Cause;
use crate::domain::reach::{Endpoint, PeerEvent};
use crate::domain::text::Line;
use crate::ssh::backoff::{AT_ONCE, Backoff, LASTING_OBSERVER, OBSERVER, TIMED_OUT, WARY};
use crate::ssh::client::fingerprint;
use crate::ssh::net::{Net, deadline};

/// A connection that held this long ends a row of failures.
const HELD: Duration = Duration::from_secs(5);

/// A dial that fails after this long has waited for the peer.
const SLOW: Duration = Duration::from_secs(1);

/// After more failures in a row a peer counts as gone for longer: half a minute of dials that are refused at once.
const LASTING: u32 = 10;

/// So it does where dials run into deadlines, and so long a time has passed with fewer of them.
const GONE: Duration = Duration::from_secs(30);

/// The wait of a peer that is dialled rarely ends on moments this far apart.
const ROUNDED: Duration = Duration::from_millis(1024);

/// How often an unknown host key is looked up again while somebody is asked: `peerdeck trust` may run elsewhere.
const ASK_AGAIN: Duration = Duration::from_mins(5);

pub(super) struct Actor {
    pub(super) endpoint: Endpoint,
    pub(super) profile: Profile,
    pub(super) dials: Dials,
    pub(super) net: Arc<dyn Net>,
    pub(super) desk: Desk,
}

impl Actor {
    /// Until the engine is gone.
    pub(super) async fn run(mut self) {
        let Gone = self.live().await;
    }

    /// Never comes back otherwise.
    async fn live(&mut self) -> Gone {
        let (mut attempt, mut failures) = (0_u32, 0_u32);
        let mut missed = Instant::now();
        loop {
            attempt = attempt.saturating_add(1);
            let began = Instant::now();
            let (lost, connected) = match self.once(attempt).await {
                Ok(ended) => ended,
                Err(gone) => return gone,
            };
            if connected {
                attempt = 0;
            }
            if connected {
                missed = Instant::now();
            }
            failures = if connected && began.elapsed() >= HELD { 1 } else { failures.saturating_add(1) };
            let slow = !connected && began.elapsed() >= SLOW;
            // After our own patience has run out nothing is gained by another wait.
            let waited = connected && failures == 1 && lost.cause == Cause::Timeout;
            let backoff = match failures {
                _ if waited => AT_ONCE,
                _ if slow && missed.elapsed() >= GONE => LASTING_OBSERVER,
                0..=LASTING if slow => TIMED_OUT,
                0..=LASTING => OBSERVER,
                _ => LASTING_OBSERVER,
            };
            if let Err(gone) = self.pause(lost, failures, backoff).await {
                return gone;
            }
        }
    }

    /// One dial and what follows. Says why it ended and whether the peer had reported.
    async fn once(&mut self, attempt: u32) -> Result<(Lost, bool), Gone> {
        let dials = Arc::clone(&self.dials.permits);
        // The semaphore is never closed; without a permit the dial goes on all the same.
        let permit = self.desk.attend(dials.acquire_owned()).await?.ok();
        self.desk.dial_now = false;
        self.desk.gap = false;
        self.desk.post(PeerEvent::Dialing { attempt });
        let began = Instant::now();
        let now = self.desk.clock.wall_ms() / 1000;
        let dialed =
            self.desk.attend(dial::dial(&self.endpoint, &self.profile, &self.dials.jumps, &*self.net, now)).await?;
        drop(permit);
        // Whoever wanted a dial meanwhile has got it.
        self.desk.dial_now = false;
        match dialed {
            Ok(dialed) => {
                let watch = native::Watch::new(&self.endpoint, &self.profile, dialed, began);
                watch.run(&mut self.desk).await
            }
            Err(e) => {
                let DialError { error, address, host, port } = e;
                // Repeating a wrong login may lock the account; a wrong host key is seen before anything is sent.
                let wary = error.cause == Cause::Auth;
                let unknown = error.unknown_key.map(|key| (host, port, key));
                Ok((Lost { cause: error.cause, detail: error.detail, address, wary, unknown }, false))
            }
        }
    }

    /// Says that the connection is lost and waits as long as it takes until the next dial.
    async fn pause(&mut self, lost: Lost, failures: u32, backoff: Backoff) -> Result<(), Gone> {
        let Lost { cause, mut detail, address, wary, unknown } = lost;
        if let Some((host, port, key)) = unknown {
            if self.profile.interactive {
                return self.ask(&host, port, &key).await;
            }
            // Told apart from a key that changed: the reason follows.
            let line = PublicKey::new(key.key_data().clone(), "").to_openssh().unwrap_or_default();
            let fingerprint = Line::new(&fingerprint(&key));
            self.desk.post(PeerEvent::AskHostKey { key: Line::new(&line), fingerprint });
            let how = if port == 22 { host } else { format!("{host}:{port}") };
            detail = format!("{detail}. Look at the fingerprint, then: peerdeck trust {how}");
        }
        let now = Instant::now();
        let again = if wary {
            deadline(WARY.delay(failures, rand::random()), ROUNDED)
        } else {
            backoff.shared(failures, now.into_std()).into()
        };
        let retry_in = again.duration_since(now);
        let detail = Line::new(&detail);
        self.desk.post(PeerEvent::Lost { cause, detail, address, retry_in: Some(retry_in) });
        // A key that was accepted for an earlier question does not cut this wait short.
        self.desk.trusted = None;
        self.desk.wait(sleep_until(again)).await
    }

    /// Asks about an unknown key until it is accepted or a dial is wanted anyway.
    async fn ask(&mut self, host: &str, port: u16, key: &PublicKey) -> Result<(), Gone> {
        let line = PublicKey::new(key.key_data().clone(), "").to_openssh().unwrap_or_default();
        let line = Line::new(&line);
        self.desk.trusted = None;
        self.desk.post(PeerEvent::AskHostKey { key: line.clone(), fingerprint: Line::new(&fingerprint(key)) });
        loop {
            self.desk.wait(sleep(ASK_AGAIN)).await?;
            match self.desk.trusted.take() {
                // An answer to another question.
                Some(other) if other != line => {}
                Some(_) => {
                    let (known, host, key) = (self.profile.known_hosts.clone(), host.to_owned(), key.clone());
                    let kept = tokio::task::spawn_blocking(move || known.append(&host, port, &key));
                    let kept = self.desk.attend(kept).await?;
                    let failed = kept.map_err(std::io::Error::other).and_then(|r| r).err();
                    let Some(e) = failed else { return Ok(()) };
                    let file = self.profile.known_hosts.own_file().display().to_string();
                    let detail = format!("the host key could not be kept in {file}: {e}");
                    self.desk.post(PeerEvent::Lost {
                        cause: Cause::HostKey,
                        detail: Line::new(&detail),
                        address: None,
                        retry_in: None,
                    });
                }
                None => return Ok(()),
            }
        }
    }
}
