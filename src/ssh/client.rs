//! One SSH connection, built stage by stage, each with its own deadline and its own error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use strum::IntoStaticStr;

use super::net::{BoxStream, Net};
use crate::domain::mesh::Cause;

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
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(3),
            connect: Duration::from_secs(4),
            key_exchange: Duration::from_secs(4),
            auth: Duration::from_secs(6),
            channel: Duration::from_secs(4),
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

/// Connects over `net` to `address`: TCP, key exchange, host key, login.
///
/// # Errors
/// [`ConnectError`], with the stage that failed.
pub async fn connect(net: &dyn Net, address: SocketAddr, target: &Target) -> Result<Session, ConnectError> {
    let _ = (net, address, target);
    unimplemented!("helper C")
}

/// As [`connect`], over a stream that already stands (a jump host's channel).
///
/// # Errors
/// [`ConnectError`], with the stage that failed.
pub async fn connect_stream(stream: BoxStream, target: &Target) -> Result<Session, ConnectError> {
    let _ = (stream, target);
    unimplemented!("helper C")
}

/// A connection that stands and is logged in. Dropping it closes it.
pub struct Session {}

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
        let _ = name;
        unimplemented!("helper C")
    }

    /// Runs a command and reads at most `max` bytes of each of its outputs, within `deadline`.
    ///
    /// # Errors
    /// [`ConnectError`] of [`Stage::Channel`].
    pub async fn exec(&self, command: &str, max: usize, deadline: Duration) -> Result<ExecOutput, ConnectError> {
        let _ = (command, max, deadline);
        unimplemented!("helper C")
    }

    /// A stream through this host to another (jump hosts).
    ///
    /// # Errors
    /// [`ConnectError`] of [`Stage::Tcp`].
    pub async fn forward(&self, host: &str, port: u16) -> Result<BoxStream, ConnectError> {
        let _ = (host, port);
        unimplemented!("helper C")
    }

    /// Resolves when the connection has ended.
    pub async fn closed(&self) {
        unimplemented!("helper C")
    }

    /// Says good-bye and closes.
    pub async fn close(self) {
        unimplemented!("helper C")
    }
}
