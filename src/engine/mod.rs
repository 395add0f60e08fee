//! Observations in; snapshot, findings and plans out. Pure but for `runtime.rs`.
//!
//! [`Engine::step`] is the one owner of the truth: nobody else writes. It takes the time as an argument and
//! answers with effects, which the runtime carries out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::ids::{ClusterName, PeerId};
use crate::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use crate::domain::settings::{Catalogue, Key, Past};
use crate::domain::snapshot::Limits;
use crate::domain::text::Line;
use crate::domain::{Event as Happening, Finding, Outcome, Plan};

mod advice;
pub mod bulk;
mod cluster;
mod commands;
mod commit_plans;
mod core;
mod dns_rules;
mod findings;
mod flaps;
mod ha_links;
mod ha_plans;
mod ha_rules;
mod ha_word;
mod held_back;
mod out;
pub mod plans;
mod reach;
mod reconfigure;
mod relay;
mod roster;
mod rows;
mod rules;
pub mod runtime;
pub mod settings;
mod settings_rules;

pub use cluster::Look;
pub use core::Engine;

/// What is to be observed.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// In the order of the fleet file; nothing of one ever mixes with another (C32).
    pub clusters: Vec<ClusterConfig>,
}

/// One cluster of the fleet.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// As the fleet file names it.
    pub name: ClusterName,
    /// The peers that the fleet file names.
    pub endpoints: Vec<Endpoint>,
    /// Whether fellows that a peer's membership names are connected to as well.
    pub discover: bool,
    /// What counts as too old.
    pub limits: Limits,
    /// The features that are known.
    pub catalogue: Arc<Catalogue>,
}

/// Another fleet, to be taken over without dropping what has not changed.
#[derive(Clone, Debug, Default)]
pub struct Reconfiguration {
    /// The whole of it.
    pub config: Config,
    /// Endpoints that are connected to in another way from now on; those that are not there are of no account.
    pub restart: BTreeSet<EndpointKey>,
}

/// What can happen to the engine.
#[derive(Clone, Debug)]
pub enum Event {
    /// A peer's actor says something.
    Peer {
        /// Which.
        key: EndpointKey,
        /// What.
        event: PeerEvent,
    },
    /// Time has passed; at the latest when [`Engine::next_look`] says.
    Tick,
    /// Somebody with the right to act has submitted a plan.
    Submit {
        /// Chosen by the submitter.
        id: u64,
        /// In which cluster: its name in the fleet file or the one it is shown with.
        cluster: ClusterName,
        /// What.
        plan: Plan,
    },
    /// Somebody wants to know what a register was.
    History {
        /// Chosen by whoever asks; names the answer.
        id: u64,
        /// In which cluster.
        cluster: ClusterName,
        /// Which register; `None`: the newest versions of all.
        key: Option<Key>,
    },
    /// Somebody has looked at a fingerprint and accepts the key.
    TrustHostKey {
        /// In which cluster.
        cluster: ClusterName,
        /// Of which peer.
        peer: PeerId,
        /// What was looked at: the fingerprint or the key of [`PeerEvent::AskHostKey`]. Where the peer has
        /// meanwhile offered another key, nothing is trusted.
        line: Line,
    },
    /// Somebody does not want to wait for the end of the back-off.
    DialNow {
        /// In which cluster.
        cluster: ClusterName,
        /// Which peer; `None` for all that are not connected.
        peer: Option<PeerId>,
    },
    /// The fleet file says something else than before.
    Reconfigure(Reconfiguration),
    /// An actor was too busy to take a request.
    NotTaken {
        /// Which actor.
        key: EndpointKey,
        /// What it was asked.
        request: PeerRequest,
    },
}

/// What the runtime shall do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Start an actor.
    Start(Endpoint),
    /// Stop an actor.
    Stop(EndpointKey),
    /// Tell an actor.
    Request {
        /// Which.
        key: EndpointKey,
        /// What.
        request: PeerRequest,
    },
    /// A finding was raised, changed or cleared. Never coalesced.
    Alert(crate::domain::finding::Transition, Finding),
    /// Something happened.
    Happened(Happening),
    /// How far a submitted plan has come.
    Outcome {
        /// As submitted.
        id: u64,
        /// How far.
        outcome: Outcome,
    },
    /// What a register was, as asked for.
    History {
        /// As asked.
        id: u64,
        /// The past, newest first; or why there is none.
        past: Result<Vec<Past>, Line>,
    },
}
