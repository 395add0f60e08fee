//! The SSH server on the administration port: takes connections, bounds them, ends them.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::server::{Config, Handle, RunningSession, run_stream};
use russh::{Disconnect, Limits, MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::session::SessionHandler;
use super::shared::Shared;
use crate::ssh::net::{BoxStream, Listener};
use crate::ssh::{Cuttable, PACKET_MAX};

/// Connections that have not logged in yet; more are closed at once.
const STRANGERS_MAX: usize = 64;

/// How long a login may take.
const LOGIN_LIMIT: Duration = Duration::from_secs(10);

/// Refused logins of one connection.
const ATTEMPTS_MAX: usize = 6;

/// A user's connection ends after so long without a sign of life.
const IDLE: Duration = Duration::from_mins(30);

/// After so much silence the client is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR, cipher::AES_128_CTR];
const MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM];

/// How the outside of a connection talks to its inside.
#[derive(Default)]
pub(super) struct Control {
    handle: OnceLock<Handle>,
    /// Somebody has logged in.
    pub known: CancellationToken,
    /// It shall end; the words to say stand in `farewell`.
    pub end: CancellationToken,
    farewell: Mutex<Option<(Disconnect, String)>>,
}

impl Control {
    /// Ends the connection with these words; the first ones count.
    pub fn disconnect(&self, reason: Disconnect, text: String) {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((reason, text));
        self.end.cancel();
    }

    async fn say_farewell(&self) {
        let words = self.farewell.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (reason, text) = words.unwrap_or((Disconnect::ByApplication, "closed".into()));
        if let Some(handle) = self.handle.get() {
            // One that hangs is cut right after.
            let _ = timeout(FAREWELL, handle.disconnect(reason, text, String::new())).await;
        }
    }
}

/// How long the SSH layer bears silence. It never decides before the pings do: those tell a link's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Patience {
    /// Keepalives without an answer.
    keepalives: usize,
    /// Without anything at all, keepalives included.
    idle: Duration,
}

fn patience(ping_interval: Duration, ping_failures: u32) -> Patience {
    let pings = ping_interval * (ping_failures + 1);
    let keepalives = pings.as_secs().div_ceil(KEEPALIVE.as_secs()) + 1;
    Patience { keepalives: usize::try_from(keepalives.max(3)).unwrap_or(usize::MAX), idle: IDLE.max(pings * 2) }
}

fn config(shared: &Shared) -> Config {
    let patience = patience(shared.setup.ping_interval, shared.setup.ping_failures);
    let rekey = Duration::from_secs(rand::random_range(2700..4500));
    Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-peerdeck_", env!("CARGO_PKG_VERSION")))),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // Keys can't be guessed, and OpenSSH offers several: no refusal has to wait.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![shared.keys.host.clone()],
        limits: Limits::new(1 << 30, 1 << 30, rekey),
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        max_auth_attempts: ATTEMPTS_MAX,
        inactivity_timeout: Some(patience.idle),
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: patience.keepalives,
        nodelay: true,
        // Buffers of this size stay with each session for good.
        maximum_packet_size: PACKET_MAX,
        ..Config::default()
    }
}

/// Takes connections until the peer ends.
pub(super) async fn accept(shared: Arc<Shared>, listener: Box<dyn Listener>) {
    let config = Arc::new(config(&shared));
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    loop {
        let taken = tokio::select! {
            () = shared.closing.cancelled() => return,
            taken = async { shared.thawed().await; listener.accept().await } => taken,
        };
        let (stream, from) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                debug!(%error, "accept");
                // Out of file handles, for instance: try again, but don't spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = strangers.clone().try_acquire_owned() else {
            shared.count_drop();
            continue;
        };
        tokio::spawn(serve(shared.clone(), config.clone(), stream, from, permit));
    }
}

async fn serve(
    shared: Arc<Shared>,
    config: Arc<Config>,
    stream: BoxStream,
    from: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    let _tracked = shared.connections.token();
    let deadline = Instant::now() + LOGIN_LIMIT;
    let cut = shared.over.child_token();
    // russh's task lives on by itself: only the end of its stream ends it.
    let _cut_on_return = cut.clone().drop_guard();
    let control = Arc::new(Control::default());
    let handler = SessionHandler::new(shared.clone(), control.clone(), from);
    let stream = Cuttable::new(stream, cut);
    let Ok(Ok(mut running)) = timeout_at(deadline, run_stream(config, stream, handler)).await else { return };
    if control.handle.set(running.handle()).is_err() {
        return;
    }
    tokio::select! {
        _ = &mut running => return,
        () = control.known.cancelled() => {}
        () = control.end.cancelled() => {}
        () = tokio::time::sleep_until(deadline) => return,
    }
    drop(permit);
    finish(&control, running).await;
}

async fn finish(control: &Control, mut running: RunningSession<SessionHandler>) {
    tokio::select! {
        _ = &mut running => return,
        () = control.end.cancelled() => {}
    }
    control.say_farewell().await;
    let _ = timeout(FAREWELL, running).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_decide_before_the_keepalives_do() {
        for (interval, failures) in [(1, 3), (10, 3), (60, 3), (60, 10), (600, 5)] {
            let interval = Duration::from_secs(interval);
            let patience = patience(interval, failures);
            let pings = interval * failures;
            let keepalives = KEEPALIVE * u32::try_from(patience.keepalives).unwrap();
            assert!(keepalives > pings && patience.idle > pings, "{interval:?} {failures}: {patience:?}");
        }
        assert_eq!(patience(Duration::from_secs(1), 3).keepalives, 3, "users that are gone are noticed soon");
    }
}
