//! What peer and guard tell each other: a JSON document a line. Moments are nanoseconds of `CLOCK_BOOTTIME`, the one
//! clock that both read and that counts suspend.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::daemon::ha::types::{GuardAddress, GuardConfig};
use crate::domain::ha::AddressAction;

/// A line to the guard. The first one is [`ToGuard::Start`], and only the first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToGuard {
    /// What there is to guard.
    Start(Start),
    /// See [`GuardOrder::Hold`](crate::daemon::ha::types::GuardOrder::Hold).
    Hold {
        /// In which epoch.
        epoch: u64,
        /// When the permit ends, nanoseconds since boot.
        until: u64,
        /// Ask for other holders first.
        probe: bool,
    },
    /// Delete them now.
    Drop,
}

/// How a guard begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Start {
    /// Where it keeps what it must remember over a crash.
    pub state_dir: PathBuf,
    /// Seconds of a lease.
    pub lease: u32,
    /// What to hold.
    pub addresses: Vec<Address>,
}

/// A virtual address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Address {
    /// The port.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Its prefix.
    pub prefix: u8,
    /// In place of the port's own addresses of its family.
    pub instead: bool,
}

/// A line from the guard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromGuard {
    /// It can hold them; the first line, unless it is [`FromGuard::Refused`].
    Ready,
    /// It can't, and ends.
    Refused(String),
    /// All are there.
    Held {
        /// In which epoch.
        epoch: u64,
        /// Until then without renewal, nanoseconds since boot.
        until: u64,
    },
    /// Deleted by order.
    Dropped,
    /// Gone without order.
    Lapsed,
    /// Somebody else has one.
    Conflict(String),
    /// Nothing is held that was not before.
    Failed(String),
}

impl Start {
    /// Of what a peer is told; addresses to be ignored are left out.
    #[must_use]
    pub fn new(state_dir: PathBuf, config: &GuardConfig) -> Self {
        let addresses = config.addresses.iter().filter_map(Address::new).collect();
        // Checked where it is read: 1 to 60.
        let lease = u32::try_from(config.lease.as_secs()).unwrap_or(u32::MAX);
        Self { state_dir, lease, addresses }
    }
}

impl Address {
    fn new(of: &GuardAddress) -> Option<Self> {
        let instead = match of.action {
            AddressAction::Ignore => return None,
            AddressAction::Set => true,
            AddressAction::Add => false,
        };
        Some(Self { interface: of.interface.clone(), address: of.address, prefix: of.prefix, instead })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} on {}", self.address, self.prefix, self.interface)
    }
}

/// As a line says it.
#[must_use]
pub fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

/// Cuts `text` so that a line stays within what a pipe takes at once (4,096 bytes): then it is written whole or not at all.
#[must_use]
pub fn short(text: &str) -> String {
    text.chars().take(500).collect()
}
