//! What speaks to peers: frames and text into observations, commands into frames and text.
//!
//! One actor per endpoint ([`start`]): it dials, observes, and dials again for ever. It never waits for the
//! engine while a peer speaks; what the engine does not take in time is dropped, counted and asked for again.

mod actor;
mod desk;
pub mod diagnose;
mod dial;
mod lines;
mod native;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use crate::clock::Clock;
use crate::dns::Resolver;
use crate::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use crate::ssh::auth::CredentialSource;
use crate::ssh::client::Deadlines;
use crate::ssh::config_file::HostSettings;
use crate::ssh::known_hosts::KnownHosts;
use crate::ssh::net::Net;

/// Requests that wait for an actor.
const REQUESTS: usize = 32;

/// How one peer is reached and observed.
#[derive(Clone)]
pub struct Profile {
    /// User name.
    pub user: String,
    /// Ways to log in, tried in order.
    pub credentials: Vec<CredentialSource>,
    /// The host through which it is reached.
    pub via: Option<JumpHost>,
    /// Of each stage of a dial.
    pub deadlines: Deadlines,
    /// Who answers look-ups.
    pub resolver: Resolver,
    /// The host keys that are known.
    pub known_hosts: KnownHosts,
    /// Whether somebody can be asked about an unknown host key.
    pub interactive: bool,
    /// What the observer is, for the peer's list of sessions (`console`, `watch`, ...).
    pub as_what: String,
    /// Wanted time between reports; zero leaves it to the peer.
    pub interval: Duration,
    /// The name or address to dial instead of the endpoint's own (`HostName` of an `ssh_config`).
    pub host_name: Option<String>,
}

/// A host in between.
#[derive(Clone)]
pub struct JumpHost {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User name.
    pub user: String,
    /// Ways to log in there.
    pub credentials: Vec<CredentialSource>,
}

impl Profile {
    /// A profile with the usual deadlines, the default credentials, nobody to ask, and the peer's own interval.
    #[must_use]
    pub fn new(user: &str, resolver: Resolver, known_hosts: KnownHosts, as_what: &str) -> Self {
        Self {
            user: user.to_owned(),
            credentials: CredentialSource::defaults(),
            via: None,
            deadlines: Deadlines::default(),
            resolver,
            known_hosts,
            interactive: false,
            as_what: as_what.to_owned(),
            interval: Duration::ZERO,
            host_name: None,
        }
    }

    /// Adds what an `ssh_config` says of the host: the name to dial, and its key files after the credentials that
    /// are there. User, port and jump host are for the caller, who knows what the fleet file left open.
    #[must_use]
    pub fn with_ssh_config(mut self, settings: &HostSettings) -> Self {
        self.host_name.clone_from(&settings.host_name);
        self.credentials.extend(settings.identity_files.iter().map(|f| CredentialSource::key_file(f)));
        self
    }
}

/// How many dials run at the same time over all actors: the first sessions are there ten times earlier than
/// when all dial at once (measured).
#[derive(Clone)]
pub struct Dials {
    permits: Arc<Semaphore>,
    /// Sessions with jump hosts: one carries all peers behind it.
    jumps: Arc<dial::Jumps>,
}

impl Dials {
    /// At most `n` at a time.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(n)), jumps: Arc::default() }
    }
}

impl Default for Dials {
    fn default() -> Self {
        Self::new(64)
    }
}

/// Starts the actor of `endpoint`. It ends when the returned sender, or the receiver of `events`, is dropped.
#[must_use]
pub fn start(
    endpoint: Endpoint,
    profile: Profile,
    dials: Dials,
    clock: Arc<dyn Clock>,
    net: Arc<dyn Net>,
    events: mpsc::Sender<(EndpointKey, PeerEvent)>,
) -> mpsc::Sender<PeerRequest> {
    let (sender, requests) = mpsc::channel(REQUESTS);
    let desk = desk::Desk::new(endpoint.key.clone(), requests, events, clock);
    tokio::spawn(actor::Actor { endpoint, profile, dials, net, desk }.run());
    sender
}
