//! The world around the HA core, so that a lab can put its own in place.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::types::{GuardConfig, GuardOrder, GuardReport};
use crate::ssh::net::BoxFuture;

/// Reports of a guard that may wait; the newest of them are the ones that count, and there are few.
pub const REPORTS: usize = 64;

/// Who sets virtual addresses.
pub trait Addresses: Send + Sync + 'static {
    /// Starts a guard. Addresses that an earlier start has left behind are deleted first.
    ///
    /// # Errors
    /// When the system will not let it set addresses (no right, no such port): a peer with such a configuration does
    /// not start, so that nobody learns of it at a failover.
    fn start(&self, config: GuardConfig) -> BoxFuture<'_, io::Result<Guard>>;
}

/// A guard at work. Dropping it ends the guard, which lets its addresses go.
pub struct Guard {
    /// Gives it an order; never blocks.
    pub orders: mpsc::Sender<GuardOrder>,
    /// What it reports.
    pub reports: mpsc::Receiver<GuardReport>,
}

/// What a unit can feel of its own machine.
pub trait Senses: Send + Sync + 'static {
    /// Whether the port is there, up, and has a carrier; else why not.
    fn port<'a>(&'a self, interface: &'a str) -> BoxFuture<'a, Result<(), String>>;

    /// Writes, syncs and reads back a file in `dir`; else why it failed.
    fn disk<'a>(&'a self, dir: &'a std::path::Path) -> BoxFuture<'a, Result<(), String>>;

    /// Whether `address` answers (ARP or neighbour discovery for one on our own links).
    fn answers(&self, address: IpAddr) -> BoxFuture<'_, Result<(), String>>;
}

/// What HA needs of the world beside clock and network.
#[derive(Clone)]
pub struct HaWorld {
    /// Sets addresses.
    pub addresses: Arc<dyn Addresses>,
    /// Feels.
    pub senses: Arc<dyn Senses>,
}

impl HaWorld {
    /// For peers without HA: no address can be set, nothing is felt.
    #[must_use]
    pub fn none() -> Self {
        Self { addresses: Arc::new(Nothing), senses: Arc::new(Nothing) }
    }
}

struct Nothing;

impl Addresses for Nothing {
    fn start(&self, _config: GuardConfig) -> BoxFuture<'_, io::Result<Guard>> {
        Box::pin(async { Err(io::Error::new(io::ErrorKind::Unsupported, "no addresses can be set here")) })
    }
}

impl Senses for Nothing {
    fn port<'a>(&'a self, _interface: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("ports can't be looked at here".to_owned()) })
    }

    fn disk<'a>(&'a self, _dir: &'a std::path::Path) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("the disk can't be tried here".to_owned()) })
    }

    fn answers(&self, _address: IpAddr) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("no address can be asked from here".to_owned()) })
    }
}
