//! From the fleet file to the engine: what to observe, and how each peer is connected to.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::mpsc;

use super::features;
use super::shell::Told;
use super::ways::Ways;
use crate::clock::{Clock, SystemClock};
use crate::config::{Fleet, FleetCluster, Paths, Settings};
use crate::domain::ids::{ClusterName, HostName};
use crate::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use crate::domain::settings::Catalogue;
use crate::domain::snapshot::{Cluster, Limits, Peer};
use crate::drivers::{self, Dials, Profile};
use crate::engine::runtime::{self, Commander, Connector, Observer, Reconfigurer};
use crate::engine::{ClusterConfig, Config, Reconfiguration};
use crate::ssh::net::OsNet;

/// What a face is, seen from the peers and from the engine.
#[derive(Clone, Copy, Debug)]
pub struct Face {
    /// Its name in the peers' lists of sessions.
    pub name: &'static str,
    /// Whether somebody can be asked about an unknown host key.
    pub interactive: bool,
    /// One look: a condition counts at once, nothing is waited for.
    pub one_shot: bool,
}

/// An engine that runs.
pub struct Connected {
    /// Looks.
    pub observer: Observer,
    /// Acts; faces that only look drop it at once.
    pub commander: Commander,
    /// How the peers are connected to.
    pub links: Arc<Links>,
}

/// Starts the engine on `fleet`. Must be called within a runtime.
///
/// # Errors
/// When the system's resolver can't be set up, or the site's features can't be read.
pub fn start(fleet: &Fleet, paths: &Paths, face: Face) -> anyhow::Result<Connected> {
    let links = Arc::new(Links::new(fleet, paths, face)?);
    let config = engine_config(fleet, &features::catalogue(fleet)?, &links.ways(), face);
    let (observer, commander) = runtime::spawn(config, Arc::clone(&links) as Arc<dyn Connector>, links.clock.clone());
    Ok(Connected { observer, commander, links })
}

/// An engine that is only looked at: whoever gets this can't act on any peer (rule 8).
pub struct Looking {
    /// Looks.
    pub observer: Observer,
    /// How the peers are connected to.
    pub links: Arc<Links>,
    /// Hands another fleet in, when its file changes.
    pub reconfigurer: Reconfigurer,
}

/// As [`start`], for faces that never act: what could is gone before they begin.
///
/// # Errors
/// As of [`start`].
pub fn look(fleet: &Fleet, paths: &Paths, face: Face) -> anyhow::Result<Looking> {
    let Connected { observer, commander, links } = start(fleet, paths, face)?;
    Ok(Looking { observer, links, reconfigurer: commander.reconfigurer() })
}

fn engine_config(fleet: &Fleet, catalogue: &Arc<Catalogue>, ways: &Ways, face: Face) -> Config {
    let cluster = |c: &FleetCluster| {
        let limits = c.settings.limits();
        let limits = if face.one_shot {
            // One look has no time to see how long something lasts; what a peer says is down is down.
            let zero = std::time::Duration::ZERO;
            Limits { unreachable: zero, group: zero, recovery: zero, ..limits }
        } else {
            limits
        };
        ClusterConfig {
            name: c.name.clone(),
            endpoints: c.peers.iter().map(|p| ways.endpoint(&c.name, &p.host, &p.settings)).collect(),
            discover: c.discover,
            limits,
            catalogue: Arc::clone(catalogue),
        }
    };
    Config { clusters: fleet.clusters.iter().map(cluster).collect() }
}

/// How each peer is connected to: the connector of the engine.
pub struct Links {
    ways: RwLock<Ways>,
    paths: Paths,
    face: Face,
    dials: Dials,
    /// The clock of the engine and of all actors.
    pub clock: Arc<dyn Clock>,
    started: Mutex<Vec<Endpoint>>,
}

impl Links {
    /// For `fleet`.
    ///
    /// # Errors
    /// When the system's resolver can't be set up.
    pub fn new(fleet: &Fleet, paths: &Paths, face: Face) -> anyhow::Result<Self> {
        Ok(Self {
            ways: RwLock::new(Ways::new(fleet, paths, None)?),
            paths: paths.clone(),
            face,
            dials: Dials::default(),
            clock: Arc::new(SystemClock::new()),
            started: Mutex::new(Vec::new()),
        })
    }

    /// For another fleet from now on: what the engine shall change. Reads files.
    ///
    /// # Errors
    /// When the system's resolver can't be set up, or the site's features can't be read; then everything stays as it
    /// was.
    pub fn change(&self, fleet: &Fleet) -> anyhow::Result<Reconfiguration> {
        let catalogue = features::catalogue(fleet)?;
        let new = Ways::new(fleet, &self.paths, Some(&self.ways()))?;
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.ways();
        let other = |key: &&EndpointKey| old.description(key) != new.description(key);
        let restart = started.iter().map(|e| &e.key).filter(other).cloned().collect();
        drop((old, started));
        let config = engine_config(fleet, &catalogue, &new, self.face);
        *self.ways.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(Reconfiguration { config, restart })
    }

    fn ways(&self) -> RwLockReadGuard<'_, Ways> {
        self.ways.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint of a peer that the fleet file names.
    #[must_use]
    pub fn endpoint(&self, cluster: &ClusterName, host: &HostName, settings: &Settings) -> Endpoint {
        self.ways().endpoint(cluster, host, settings)
    }

    /// How the endpoint is connected to. One that the fleet file does not name takes its cluster's settings.
    #[must_use]
    pub fn profile(&self, key: &EndpointKey) -> Option<Profile> {
        self.ways().profile(key, self.face)
    }

    /// What the fleet file says about the way to a peer, for OpenSSH's own client.
    #[must_use]
    pub fn told(&self, cluster: &Cluster, peer: &Peer) -> Option<Told> {
        let (endpoint, profile) = self.of(cluster, peer)?;
        self.ways().told(&endpoint, profile, peer.reach.address)
    }

    /// How the engine connects to a peer of its picture; `None` when it only hears of it from fellows.
    #[must_use]
    pub fn of(&self, cluster: &Cluster, peer: &Peer) -> Option<(Endpoint, Profile)> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let dialled = |e: &Endpoint| {
            peer.reach.address.is_some_and(|a| a.ip().to_string() == e.key.host.as_str() && a.port() == e.key.port)
        };
        let fits = |e: &&Endpoint| e.expected.as_ref() == Some(&peer.id) || e.key.host == peer.host || dialled(e);
        // Two clusters may have a peer of the same name.
        let same = started.iter().rev().find(|e| fits(e) && e.key.cluster == cluster.name);
        let endpoint = same.or_else(|| started.iter().rev().find(fits))?.clone();
        let profile = self.profile(&endpoint.key)?;
        Some((endpoint, profile))
    }
}

impl Connector for Links {
    fn start(&self, endpoint: Endpoint, events: mpsc::Sender<(EndpointKey, PeerEvent)>) -> mpsc::Sender<PeerRequest> {
        let profile = self.profile(&endpoint.key);
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.retain(|e| e.key != endpoint.key);
        started.push(endpoint.clone());
        drop(started);
        let Some(profile) = profile else {
            tracing::error!("{}:{} has no settings: it is not connected to", endpoint.key.host, endpoint.key.port);
            return mpsc::channel(1).0;
        };
        drivers::start(endpoint, profile, self.dials.clone(), self.clock.clone(), Arc::new(OsNet), events)
    }
}

/// Who runs this process, as the environment says.
#[must_use]
pub fn own_user_name() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|v| !v.is_empty());
    named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "admin".into())
}
