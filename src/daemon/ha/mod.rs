//! High availability of a peer: a pure core ([`core`]) and the runtime around it (F1 to F18, B1, B2).

pub mod core;
pub mod guard;
pub mod keys;
pub mod monitor;
pub mod ports;
pub mod types;
pub mod wire;

pub(super) mod runtime;

mod hooks;
pub mod keep;
mod witness;

pub use keys::{KeyError, Keys};
pub use ports::{Addresses, Guard, HaWorld, Senses};
pub use runtime::HaError;
pub use types::{Config, Configuration, Effect, Event, GuardAddress, GuardConfig, GuardOrder, GuardReport, Kept, Way};

use std::path::PathBuf;

use crate::domain::ha::{HaConfig, WitnessConfig};

/// The HA part of what a peer is started with.
#[derive(Clone, Debug, Default)]
pub struct HaSetup {
    /// The group that this machine is a unit of, and its passwords.
    pub unit: Option<(HaConfig, Secrets)>,
    /// Groups that it is the witness of.
    pub witness: Vec<(WitnessConfig, Secrets)>,
    /// Everything that must be punctual runs on a thread of its own, so that a busy peer is not late. Where many peers
    /// share a process (lab, tests) it would only be one thread more for each.
    pub own_thread: bool,
}

/// Where a group's passwords come from (rule 9: never the text itself). The first one authenticates what is sent, all are
/// accepted: that is how a password is rotated.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Secrets(pub Vec<Secret>);

/// One of them.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file for its owner only.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// The text itself: only for a lab and for tests, which make it up.
    MadeUp(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "variable {name}"),
            Self::MadeUp(_) => f.write_str("made up"),
        }
    }
}
