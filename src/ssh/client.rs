//! One SSH connection, built stage by stage, each with its own deadline and its own error.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::keys::ssh_key::{Algorithm, Certificate};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Disconnect};
use strum::IntoStaticStr;
use tokio::time::{Instant, timeout, timeout_at};

use super::channel::{Cuttable, Drained, INBOX_MAX};
use super::handshake::{self, Ending, Hooks, Witness};
use super::login;
use super::net::{BoxStream, Net, deadline};
use crate::domain::mesh::Cause;
use crate::domain::text::clean;
use crate::domain::time::human;

/// The stages of a connection, in order; `diagnose` shows each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Stage {
    /// Host name to address.
    DnsForward,
    /// Address to host name.
    DnsReverse,
    /// TCP connection.
    Tcp,
    /// SSH version and key exchange.
    KeyExchange,
    /// Is the host key the right one?
    HostKey,
    /// Login.
    Auth,
    /// Channel and subsystem.
    Channel,
}

/// How long each stage may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// A look-up.
    pub resolve: Duration,
    /// The TCP connection.
    pub connect: Duration,
    /// Version and key exchange.
    pub key_exchange: Duration,
    /// The whole login.
    pub auth: Duration,
    /// Opening a channel, asking for a subsystem or command.
    pub channel: Duration,
    /// The connection, without a sign of life of the peer, once it stands.
    pub silence: Duration,
}

/// Deadlines that silent peers run into are rounded up to this.
const ROUNDED: Duration = Duration::from_millis(256);

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(3),
            connect: Duration::from_secs(4),
            key_exchange: Duration::from_secs(4),
            auth: Duration::from_secs(6),
            channel: Duration::from_secs(4),
            silence: Duration::from_secs(20),
        }
    }
}

/// Why a connection did not come about or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ConnectError {
    /// How far it came.
    pub stage: Stage,
    /// In the field's words.
    pub cause: Cause,
    /// What was tried, on which peer, why it failed.
    pub detail: String,
    /// For [`Stage::HostKey`]: the key that was offered and is not known at all, so that somebody can be asked.
    pub unknown_key: Option<Box<PublicKey>>,
}

/// What is to be thought of a host key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeyVerdict {
    /// It is the right one.
    Accepted,
    /// Nobody has ever said anything about this host.
    Unknown,
    /// Another one is known, or this one is revoked; the text says which and where it stands.
    Refused(String),
}

/// Judges host keys. Implementations: pinned keys of a membership, `known_hosts` with what peers vouch for.
pub trait HostKeyPolicy: Send + Sync + 'static {
    /// The verdict on `key`, offered by `host:port`.
    fn judge(&self, host: &str, port: u16, key: &PublicKey) -> HostKeyVerdict;

    /// The verdict on a host certificate; asked only if [`Self::takes_certificates`]. By default its key is judged alone.
    fn judge_certificate(&self, host: &str, port: u16, certificate: &Certificate) -> HostKeyVerdict {
        self.judge(host, port, &PublicKey::from(certificate.public_key().clone()))
    }

    /// Algorithms of the keys that are recorded for `host:port`: they are asked for first, so that a host with
    /// several keys shows the one that is known. Empty: no preference.
    fn recorded(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let _ = (host, port);
        Vec::new()
    }

    /// Whether an authority is known that may certify `host:port`.
    fn takes_certificates(&self, host: &str, port: u16) -> bool {
        let _ = (host, port);
        false
    }
}

/// `SHA256:...` of a key, as `ssh-keygen -l` prints it.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// One way to log in, tried in order.
#[derive(Clone)]
pub enum Credential {
    /// A key at hand (machine keys, the lab's user key, key files that are read).
    Key(Arc<PrivateKey>),
    /// All keys of the agent at `SSH_AUTH_SOCK`.
    Agent,
    /// A password, already fetched from where the fleet file points to; also answers keyboard-interactive.
    Password(Arc<str>),
}

impl std::fmt::Debug for Credential {
    /// Never the secret itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, "Key({})", fingerprint(key.public_key())),
            Self::Agent => f.write_str("Agent"),
            Self::Password(_) => f.write_str("Password(...)"),
        }
    }
}

/// Everything that is needed to connect once addresses are known.
#[derive(Clone)]
pub struct Target {
    /// For messages and for the host key policy.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User name; for mesh links the caller's serial number.
    pub user: String,
    /// Ways to log in.
    pub credentials: Vec<Credential>,
    /// Judge of the host key.
    pub policy: Arc<dyn HostKeyPolicy>,
    /// Deadlines.
    pub deadlines: Deadlines,
}

impl Target {
    /// `user@host:port`, for messages.
    pub(super) fn name(&self) -> String {
        clean(&format!("{}@{}:{}", self.user, self.host, self.port), 300)
    }

    pub(super) fn error(&self, stage: Stage, cause: Cause, why: &str) -> ConnectError {
        ConnectError { stage, cause, detail: format!("{}: {why}", self.name()), unknown_key: None }
    }
}

/// Connects over `net` to `address`: TCP, key exchange, host key, login.
///
/// # Errors
/// [`ConnectError`], with the stage that failed.
pub async fn connect(net: &dyn Net, address: SocketAddr, target: &Target) -> Result<Session, ConnectError> {
    let stream = dial(net, address, target).await?;
    connect_stream(stream, target).await
}

/// The TCP connection alone.
///
/// # Errors
/// [`ConnectError`] of [`Stage::Tcp`].
pub async fn dial(net: &dyn Net, address: SocketAddr, target: &Target) -> Result<BoxStream, ConnectError> {
    let limit = target.deadlines.connect;
    match timeout_at(deadline(limit, ROUNDED), net.connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => {
            let (cause, why) = tcp_cause(&e);
            Err(target.error(Stage::Tcp, cause, &format!("TCP to {address}: {why}")))
        }
        Err(_) => Err(target.error(
            Stage::Tcp,
            Cause::Timeout,
            &format!("TCP to {address}: no answer within {}", human(limit)),
        )),
    }
}

fn tcp_cause(e: &io::Error) -> (Cause, String) {
    match e.kind() {
        io::ErrorKind::ConnectionRefused => (Cause::Refused, "refused: nothing listens there".into()),
        io::ErrorKind::TimedOut => (Cause::Timeout, "no answer".into()),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            (Cause::Timeout, format!("no way there: {e}"))
        }
        _ => (Cause::Dropped, clean(&e.to_string(), 160)),
    }
}

/// As [`connect`], over a stream that already stands (a jump host's channel).
///
/// # Errors
/// [`ConnectError`], with the stage that failed.
pub async fn connect_stream(stream: BoxStream, target: &Target) -> Result<Session, ConnectError> {
    let witness = Witness::new();
    // Cut when this function gives up or the session is dropped: a peer that hangs in the key exchange would otherwise
    // keep russh's task and the socket for ever, because the task listens to nobody until the exchange is over.
    let cut = witness.ended.child_token();
    let guard = cut.clone().drop_guard();
    let stream = Cuttable::new(stream, cut);
    let config = handshake::config(target);
    let hooks = Hooks::new(target, &witness);
    let begin = Instant::now();
    let limit = target.deadlines.key_exchange;
    let connected = timeout_at(deadline(limit, ROUNDED), russh::client::connect_stream(config, stream, hooks)).await;
    let mut handle = match connected {
        Ok(Ok(handle)) => handle,
        Ok(Err(e)) => return Err(handshake::error(target, &witness, &e)),
        Err(_) => {
            let why = format!("the SSH key exchange was not over within {}", human(limit));
            return Err(target.error(Stage::KeyExchange, Cause::Timeout, &why));
        }
    };
    let key_exchange = begin.elapsed();
    let limit = target.deadlines.auth;
    match timeout(limit, login::login(&mut handle, target, &witness)).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return Err(e),
        Err(_) => {
            let why = format!("the login was not over within {}", human(limit));
            return Err(target.error(Stage::Auth, Cause::Timeout, &why));
        }
    }
    let login = begin.elapsed().saturating_sub(key_exchange);
    let key = witness.verdict().map(|(key, _)| format!("{} {}", key.algorithm(), fingerprint(&key)));
    let established =
        Established { algorithms: witness.algorithms(), host_key: key.unwrap_or_default(), key_exchange, login };
    Ok(Session { handle, witness, target: target.clone(), established, _cut: guard })
}

/// How a session came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Established {
    /// Key exchange, host key and cipher that were agreed on.
    pub algorithms: String,
    /// Algorithm and fingerprint of the host key.
    pub host_key: String,
    /// How long the key exchange took, the verdict on the host key included.
    pub key_exchange: Duration,
    /// How long the login took.
    pub login: Duration,
}

/// A connection that stands and is logged in. Dropping it closes it.
pub struct Session {
    handle: Handle<Hooks>,
    witness: Arc<Witness>,
    target: Target,
    established: Established,
    /// Closes the stream on drop, channels or not.
    _cut: tokio_util::sync::DropGuard,
}

/// What a command printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output, bounded.
    pub stdout: Vec<u8>,
    /// Standard error, bounded.
    pub stderr: Vec<u8>,
    /// Exit status, if the peer told one.
    pub status: Option<u32>,
}

impl Session {
    /// Opens a channel with a subsystem, as a byte stream. A task of its own drains the channel into a bounded
    /// queue all the time, because an unread channel freezes the whole session (measured); when that queue is full the channel is closed.
    ///
    /// # Errors
    /// [`ConnectError`] of [`Stage::Channel`].
    pub async fn subsystem(&self, name: &str) -> Result<BoxStream, ConnectError> {
        let what = format!("subsystem {name}");
        self.within(self.target.deadlines.channel, &what, async {
            let mut channel = self.open(&what).await?;
            channel.request_subsystem(true, name).await.map_err(|e| self.channel_error(&what, &e))?;
            let early = self.granted(&mut channel, &what).await?;
            Ok(Box::new(Drained::new(channel, &early, INBOX_MAX)) as BoxStream)
        })
        .await
    }

    /// Runs a command and reads at most `max` bytes of each of its outputs, within `deadline`.
    ///
    /// # Errors
    /// [`ConnectError`] of [`Stage::Channel`].
    pub async fn exec(&self, command: &str, max: usize, deadline: Duration) -> Result<ExecOutput, ConnectError> {
        let what = format!("command `{}`", clean(command, 80));
        self.within(deadline, &what, async {
            let mut channel = self.open(&what).await?;
            channel.exec(true, command).await.map_err(|e| self.channel_error(&what, &e))?;
            let mut output = ExecOutput::default();
            while let Some(message) = channel.wait().await {
                match message {
                    ChannelMsg::Data { data } => append(&mut output.stdout, &data, max),
                    ChannelMsg::ExtendedData { data, ext: 1 } => append(&mut output.stderr, &data, max),
                    ChannelMsg::ExitStatus { exit_status } => output.status = Some(exit_status),
                    ChannelMsg::Failure => {
                        return Err(self.error(
                            Stage::Channel,
                            Cause::Dropped,
                            &format!("the peer refuses the {what}"),
                        ));
                    }
                    ChannelMsg::Close => break,
                    _ => {} // Messages of russh that don't concern a command.
                }
            }
            if output.status.is_none() && self.witness.ended.is_cancelled() {
                return Err(self.channel_error(&what, &russh::Error::Disconnect));
            }
            Ok(output)
        })
        .await
    }

    /// A stream through this host to another (jump hosts).
    ///
    /// # Errors
    /// [`ConnectError`] of [`Stage::Tcp`].
    pub async fn forward(&self, host: &str, port: u16) -> Result<BoxStream, ConnectError> {
        let what = format!("way through the jump host to {}:{port}", clean(host, 253));
        let opened = self.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
        match timeout(self.target.deadlines.connect, opened).await {
            Ok(Ok(channel)) => Ok(Box::new(Drained::new(channel, &[], INBOX_MAX))),
            Ok(Err(russh::Error::ChannelOpenFailure(why))) => {
                let (cause, why) = match why {
                    ChannelOpenFailure::ConnectFailed => (Cause::Refused, "it could not connect".to_owned()),
                    ChannelOpenFailure::AdministrativelyProhibited => {
                        (Cause::Refused, "it does not forward (AllowTcpForwarding)".to_owned())
                    }
                    ChannelOpenFailure::UnknownChannelType => (Cause::Refused, "it can't forward".to_owned()),
                    ChannelOpenFailure::ResourceShortage => {
                        (Cause::TooManyConnections, "it has no room left".to_owned())
                    }
                    ChannelOpenFailure::Other { reason, .. } => (Cause::Dropped, clean(&reason, 120)),
                };
                Err(self.error(Stage::Tcp, cause, &format!("no {what}: {why}")))
            }
            Ok(Err(e)) => Err(ConnectError { stage: Stage::Tcp, ..self.channel_error(&what, &e) }),
            Err(_) => {
                let why = format!("no {what} within {}", human(self.target.deadlines.connect));
                Err(self.error(Stage::Tcp, Cause::Timeout, &why))
            }
        }
    }

    /// How it came about.
    #[must_use]
    pub fn established(&self) -> &Established {
        &self.established
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.witness.ended.is_cancelled()
    }

    /// Resolves when the connection has ended.
    pub async fn closed(&self) {
        self.witness.ended.cancelled().await;
    }

    /// Why the connection ended, once [`Self::closed`] has resolved.
    #[must_use]
    pub fn ending(&self) -> (Cause, String) {
        match self.witness.ending() {
            Some(ending) => (ending.cause, format!("{}: {}", self.target.name(), ending.why)),
            None => (Cause::Dropped, format!("{}: the connection ended", self.target.name())),
        }
    }

    /// Says good-bye and closes.
    pub async fn close(self) {
        const FAREWELL: Duration = Duration::from_millis(500);
        // Whether the farewell arrives does not matter: what follows closes the stream anyway.
        let _ = timeout(FAREWELL, self.handle.disconnect(Disconnect::ByApplication, "bye", "")).await;
        let _ = timeout(FAREWELL, self.closed()).await;
    }

    fn error(&self, stage: Stage, cause: Cause, why: &str) -> ConnectError {
        self.target.error(stage, cause, why)
    }

    /// Bounds `work` on a channel.
    async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        /// How long a session that is over takes to say why.
        const LAST_WORDS: Duration = Duration::from_millis(500);
        match timeout(limit, work).await {
            Ok(Err(e)) if e.cause == Cause::Dropped && self.handle.is_closed() => {
                // The reason may still be on its way from the session's task.
                let _ = timeout(LAST_WORDS, self.witness.ended.cancelled()).await;
                Err(self.channel_error(what, &russh::Error::Disconnect))
            }
            Ok(result) => result,
            Err(_) => {
                let why = format!("no answer to the {what} within {}", human(limit));
                Err(self.error(Stage::Channel, Cause::Timeout, &why))
            }
        }
    }

    async fn open(&self, what: &str) -> Result<Channel<Msg>, ConnectError> {
        self.handle.channel_open_session().await.map_err(|e| self.channel_error(what, &e))
    }

    /// Waits for the peer's yes or no to a request on `channel`. Gives what it said before its yes.
    async fn granted(&self, channel: &mut Channel<Msg>, what: &str) -> Result<Vec<u8>, ConnectError> {
        const EARLY_MAX: usize = 1024 * 1024;
        let mut early = Vec::new();
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => return Ok(early),
                Some(ChannelMsg::Data { data }) if early.len() + data.len() <= EARLY_MAX => {
                    early.extend_from_slice(&data);
                }
                Some(ChannelMsg::Data { .. }) => {
                    return Err(self.error(
                        Stage::Channel,
                        Cause::Dropped,
                        &format!("{what}: too much before its begin"),
                    ));
                }
                Some(ChannelMsg::Failure) => {
                    return Err(self.error(Stage::Channel, Cause::Dropped, &format!("the peer refuses the {what}")));
                }
                Some(ChannelMsg::Close) | None => return Err(self.channel_error(what, &russh::Error::Disconnect)),
                Some(_) => {} // Window changes and the like.
            }
        }
    }

    fn channel_error(&self, what: &str, e: &russh::Error) -> ConnectError {
        let ending = self.witness.ending();
        let (cause, why) = match (e, ending) {
            (russh::Error::ChannelOpenFailure(ChannelOpenFailure::ResourceShortage), _) => {
                (Cause::TooManyConnections, "the peer has no room for another session".to_owned())
            }
            (russh::Error::ChannelOpenFailure(failure), _) => {
                let words = clean(&format!("{failure:?}"), 160);
                (Ending::cause_in(&words).unwrap_or(Cause::Dropped), format!("the peer opens no channel: {words}"))
            }
            (_, Some(ending)) => (ending.cause, ending.why),
            (e, None) => (Cause::Dropped, clean(&e.to_string(), 160)),
        };
        self.error(Stage::Channel, cause, &format!("{what}: {why}"))
    }
}

/// Appends what fits into `max` bytes.
fn append(to: &mut Vec<u8>, data: &[u8], max: usize) {
    let room = max.saturating_sub(to.len()).min(data.len());
    to.extend_from_slice(&data[..room]);
}
