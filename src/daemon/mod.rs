//! The peer: a member of a management cluster on any Linux mail host, in the lab as in a rack.

pub mod cluster;
pub mod config;
pub mod disk;
pub mod ha;
pub mod replica;
pub mod runtime;
pub mod store;
pub mod vault;

mod dial;
mod life;
mod rpc;
mod server;
mod session;
mod shared;
mod shell;
mod signing;
mod udp;
mod wire;

pub use runtime::{LinkCounts, Running, StartError, start};
pub use store::{StoreError, new_host_key, provision, read_membership, write_membership};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::ids::{HostName, PeerId};
use crate::ssh::net::Net;

/// Level of settings and mesh that this build speaks (C15).
pub const LEVEL: u32 = 1;

/// The world around a peer, so that a lab can put its own in place.
#[derive(Clone)]
pub struct Environment {
    /// Its network.
    pub net: Arc<dyn Net>,
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// Its resolver.
    pub resolver: crate::dns::Resolver,
    /// True while the peer is frozen (lab): then its loop, its server and its sessions handle nothing.
    pub gate: tokio::sync::watch::Receiver<bool>,
    /// What the disk does with settings (lab); [`disk::Disk::heed`] takes it.
    pub disk: tokio::sync::watch::Receiver<disk::DiskFault>,
    /// What HA needs of it.
    pub ha: ha::HaWorld,
}

/// What a peer is started with. Its identity, keys and membership stand in `state_dir`.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Holds `identity.json`, `machine_key`, `host_key` (0600) and `membership.json`; made by [`provision`] if empty.
    pub state_dir: PathBuf,
    /// Main host name.
    pub host: HostName,
    /// Administration port: logins and cluster traffic, TCP; probes, UDP.
    pub listen: SocketAddr,
    /// Level that it speaks.
    pub level: u32,
    /// Every this long each fellow is pinged (60 s; the lab 1 s).
    pub ping_interval: Duration,
    /// So many unanswered pings make a link down.
    pub ping_failures: u32,
    /// How often observers get a report.
    pub report_interval: Duration,
    /// Who may log in.
    pub users: Vec<User>,
    /// Sessions of users at a time; cluster links have their own reserve.
    pub max_sessions: usize,
    /// Seed of the jitter; `None` draws one.
    pub seed: Option<u64>,
    /// The HA groups that it is a unit or the witness of.
    pub ha: ha::HaSetup,
}

/// Somebody who may log in with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Public keys (`ssh-ed25519 AAAA...`).
    pub keys: Vec<String>,
    /// What may be done.
    pub role: Role,
}

/// What a user may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    /// Everything.
    Administrator,
    /// Everything but users.
    Operator,
    /// Looks only.
    #[default]
    Guest,
}

/// Who a peer is: what [`provision`] made, as a membership needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// Serial number.
    pub id: PeerId,
    /// `ssh-ed25519 AAAA...`
    pub machine_key: String,
    /// `ssh-ed25519 AAAA...`
    pub host_key: String,
}

impl Role {
    /// Whether commands that change something may be given.
    #[must_use]
    pub fn may_execute(self) -> bool {
        match self {
            Self::Administrator | Self::Operator => true,
            Self::Guest => false,
        }
    }
}

/// Product and version, as identity and `version` tell it.
pub const VERSION_TEXT: &str = concat!("peerdeck ", env!("CARGO_PKG_VERSION"));
