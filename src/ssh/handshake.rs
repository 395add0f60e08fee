//! What happens until the host key is accepted: algorithms, the verdict on the key, and why a connection ended.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{Config, DisconnectReason, Handler, Session};
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Disconnect, Limits, Names, Preferred, SshId, cipher};
use tokio_util::sync::CancellationToken;

use super::PACKET_MAX;
use super::client::{ConnectError, HostKeyPolicy, HostKeyVerdict, Stage, Target, fingerprint};
use crate::domain::mesh::Cause;
use crate::domain::text::clean;

/// So many keepalives without an answer end the connection; one is sent after each third of the bearable silence: later
/// than an observer gives up on reports that come each second, so that a peer that fell silent is not asked in vain.
const KEEPALIVES_LOST: usize = 2;

/// Keys are exchanged anew after an hour, give or take a quarter, so that sessions of one start don't do it together.
const REKEY_SECONDS: std::ops::Range<u64> = 2700..4500;

/// AES-GCM first: half the CPU of `ChaCha` for bulk (measured).
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// What russh's task saw of the connection, kept for whoever has to explain it.
pub(super) struct Witness {
    /// Cancelled when the task has ended.
    pub(super) ended: CancellationToken,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    host_key: Option<(PublicKey, HostKeyVerdict)>,
    banner: Option<String>,
    ending: Option<Ending>,
    algorithms: String,
}

/// Why a connection ended.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) cause: Cause,
    pub(super) why: String,
}

impl Ending {
    /// One of our own words in what a peer says when it closes.
    pub(super) fn cause_in(words: &str) -> Option<Cause> {
        [
            Cause::NotInCluster,
            Cause::TooManyConnections,
            Cause::Version,
            Cause::Detached,
            Cause::DnsForward,
            Cause::DnsReverse,
        ]
        .into_iter()
        .find(|c| words.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|w| w == c.as_str()))
    }
}

impl Witness {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { ended: CancellationToken::new(), seen: Mutex::default() })
    }

    fn see<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the connection ended, if it has and anything is known.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.see(|s| s.ending.clone())
    }

    /// What the peer said before the login, cleaned.
    pub(super) fn banner(&self) -> Option<String> {
        self.see(|s| s.banner.clone())
    }

    /// What was agreed on: key exchange, host key and cipher.
    pub(super) fn algorithms(&self) -> String {
        self.see(|s| s.algorithms.clone())
    }

    /// The key that was offered, and what was thought of it.
    pub(super) fn verdict(&self) -> Option<(PublicKey, HostKeyVerdict)> {
        self.see(|s| s.host_key.clone())
    }
}

/// russh's call-backs. Dropped with its task, which is how the end is noticed.
pub(super) struct Hooks {
    host: String,
    port: u16,
    policy: Arc<dyn HostKeyPolicy>,
    witness: Arc<Witness>,
    /// For so long nothing may be heard.
    silence: Duration,
}

impl Hooks {
    pub(super) fn new(target: &Target, witness: &Arc<Witness>) -> Self {
        Self {
            host: target.host.clone(),
            port: target.port,
            policy: Arc::clone(&target.policy),
            witness: Arc::clone(witness),
            silence: target.deadlines.silence,
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.witness.ended.cancel();
    }
}

impl Handler for Hooks {
    type Error = russh::Error;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = offered.public_key();
        let verdict = match offered.certificate() {
            Some(certificate) => self.policy.judge_certificate(&self.host, self.port, certificate),
            None => self.policy.judge(&self.host, self.port, &key),
        };
        let accepted = verdict == HostKeyVerdict::Accepted;
        self.witness.see(|s| s.host_key = Some((key, verdict)));
        Ok(accepted)
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, names: &Names, _: &mut Session) -> Result<(), russh::Error> {
        let algorithms = format!("{}, {}, {}", names.kex.as_ref(), names.key, names.cipher.as_ref());
        self.witness.see(|s| s.algorithms = algorithms);
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), russh::Error> {
        self.witness.see(|s| s.banner = Some(clean(banner, 200)));
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let (ending, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                let words = clean(&info.message, 200);
                let cause = Ending::cause_in(&words).unwrap_or(match info.reason_code {
                    Disconnect::TooManyConnections => Cause::TooManyConnections,
                    Disconnect::KeyExchangeFailed | Disconnect::MACError | Disconnect::CompressionError => {
                        Cause::KeyExchange
                    }
                    Disconnect::HostKeyNotVerifiable => Cause::HostKey,
                    Disconnect::NoMoreAuthMethodsAvailable
                    | Disconnect::IllegalUserName
                    | Disconnect::AuthCancelledByUser => Cause::Auth,
                    Disconnect::HostNotAllowedToConnect
                    | Disconnect::ProtocolError
                    | Disconnect::Reserved
                    | Disconnect::ServiceNotAvailable
                    | Disconnect::ProtocolVersionNotSupported
                    | Disconnect::ConnectionLost
                    | Disconnect::ByApplication => Cause::Dropped,
                });
                (Ending { cause, why: format!("the peer closed the connection: {words}") }, Ok(()))
            }
            DisconnectReason::Error(e) => {
                let ending = match &e {
                    russh::Error::KeepaliveTimeout => {
                        let why = format!("nothing was heard for {}", crate::domain::time::human(self.silence));
                        Ending { cause: Cause::Timeout, why }
                    }
                    russh::Error::Disconnect | russh::Error::HUP => {
                        Ending { cause: Cause::Dropped, why: "the connection was closed without a word".into() }
                    }
                    russh::Error::NoAuthMethod => {
                        Ending { cause: Cause::Auth, why: "the peer takes no further way to log in".into() }
                    }
                    other => Ending {
                        cause: Cause::Dropped,
                        why: format!("the connection broke: {}", clean(&other.to_string(), 160)),
                    },
                };
                (ending, Err(e))
            }
        };
        self.witness.see(|s| s.ending.get_or_insert(ending).cause);
        result
    }
}

/// The client's side of the negotiation for `target`.
pub(super) fn config(target: &Target) -> Arc<Config> {
    let (host, port) = (target.host.as_str(), target.port);
    let mut keys = host_key_algorithms();
    let recorded = target.policy.recorded(host, port);
    // Stable: what is recorded first, otherwise our own order.
    keys.sort_by_key(|k| !recorded.iter().any(|r| same_kind(k, r)));
    let certificates = if target.policy.takes_certificates(host, port) { host_key_algorithms() } else { Vec::new() };
    let rekey = Duration::from_secs(rand::random_range(REKEY_SECONDS));
    Arc::new(Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-peerdeck_", env!("CARGO_PKG_VERSION")))),
        limits: Limits::new(1 << 30, 1 << 30, rekey),
        preferred: Preferred {
            key: Cow::Owned(keys),
            host_key_certificates: Cow::Owned(certificates),
            cipher: Cow::Borrowed(CIPHERS),
            compression: Cow::Borrowed(&[russh::compression::NONE]),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(target.deadlines.silence / 3),
        keepalive_max: KEEPALIVES_LOST,
        nodelay: true,
        // Buffers of this size stay with each session for good.
        maximum_packet_size: PACKET_MAX,
        ..Config::default()
    })
}

/// In our order; SHA-1 signatures (`ssh-rsa`) are not taken.
fn host_key_algorithms() -> Vec<Algorithm> {
    let mut all = vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    ];
    if cfg!(feature = "rsa") {
        all.push(Algorithm::Rsa { hash: Some(HashAlg::Sha512) });
        all.push(Algorithm::Rsa { hash: Some(HashAlg::Sha256) });
    }
    all
}

/// An RSA key signs with any hash.
fn same_kind(a: &Algorithm, b: &Algorithm) -> bool {
    a == b || matches!((a, b), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// Why no session came about before the login.
pub(super) fn error(target: &Target, witness: &Witness, e: &russh::Error) -> ConnectError {
    if let Some((key, verdict)) = witness.verdict() {
        let offered = format!("{} {}", key.algorithm(), fingerprint(&key));
        match verdict {
            HostKeyVerdict::Accepted => {}
            HostKeyVerdict::Unknown => {
                let why = format!("the host key is unknown; it offers {offered}");
                let error = target.error(Stage::HostKey, Cause::HostKey, &why);
                return ConnectError { unknown_key: Some(Box::new(key)), ..error };
            }
            HostKeyVerdict::Refused(why) => {
                let why = format!("the host key is refused: it offers {offered}; {why}");
                return target.error(Stage::HostKey, Cause::HostKey, &why);
            }
        }
    }
    if let Some(ending) = witness.ending() {
        return target.error(Stage::KeyExchange, ending.cause, &ending.why);
    }
    let (cause, why) = match e {
        russh::Error::NoCommonAlgo { kind, ours, theirs } => {
            let (ours, theirs) = (clean(&ours.join(","), 120), clean(&theirs.join(","), 160));
            (Cause::KeyExchange, format!("no common {kind:?} algorithm: we offer {ours}, the peer {theirs}"))
        }
        russh::Error::Version => (Cause::KeyExchange, "what answers there does not speak SSH".to_owned()),
        russh::Error::Disconnect | russh::Error::HUP => {
            (Cause::Dropped, "the peer closed the connection before the key exchange was over".to_owned())
        }
        russh::Error::IO(e) => (Cause::Dropped, format!("the connection broke: {}", clean(&e.to_string(), 160))),
        other => (Cause::KeyExchange, format!("the key exchange failed: {}", clean(&other.to_string(), 160))),
    };
    target.error(Stage::KeyExchange, cause, &why)
}
