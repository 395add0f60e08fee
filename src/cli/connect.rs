//! From the fleet file to the engine: what to observe, and how each peer is connected to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::shell::Told;
use crate::clock::{Clock, SystemClock};
use crate::config::{AuthRef, Fleet, FleetCluster, Paths, Settings};
use crate::dns::Resolver;
use crate::domain::ids::{ClusterName, HostName};
use crate::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use crate::domain::snapshot::{Cluster, Limits, Peer};
use crate::drivers::{self, Dials, JumpHost, Profile};
use crate::engine::runtime::{self, Commander, Connector, Observer};
use crate::engine::{ClusterConfig, Config};
use crate::ssh::auth::CredentialSource;
use crate::ssh::config_file::{HostSettings, SshConfig};
use crate::ssh::known_hosts::KnownHosts;
use crate::ssh::net::OsNet;

/// The port where nothing else is said.
const SSH_PORT: u16 = 22;

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
/// When the system's resolver can't be set up.
pub fn start(fleet: &Fleet, paths: &Paths, face: Face) -> anyhow::Result<Connected> {
    let links = Arc::new(Links::new(fleet, paths, face)?);
    let config = engine_config(fleet, &links, face);
    let (observer, commander) = runtime::spawn(config, Arc::clone(&links) as Arc<dyn Connector>, links.clock.clone());
    Ok(Connected { observer, commander, links })
}

fn engine_config(fleet: &Fleet, links: &Links, face: Face) -> Config {
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
            endpoints: c.peers.iter().map(|p| links.endpoint(&c.name, &p.host, &p.settings)).collect(),
            discover: c.discover,
            limits,
        }
    };
    Config { clusters: fleet.clusters.iter().map(cluster).collect() }
}

/// How each peer is connected to: the connector of the engine.
pub struct Links {
    clusters: HashMap<ClusterName, Settings>,
    named: HashMap<EndpointKey, Settings>,
    ssh_config: SshConfig,
    known_hosts: HashMap<Vec<PathBuf>, KnownHosts>,
    resolvers: HashMap<Vec<SocketAddr>, Resolver>,
    /// One source for each word, so that a password command asks once and not once a peer.
    credentials: HashMap<String, CredentialSource>,
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
        let ssh_config = SshConfig::load(&paths.ssh_config());
        for note in ssh_config.notes() {
            tracing::info!("{note}");
        }
        let mut links = Self {
            clusters: HashMap::new(),
            named: HashMap::new(),
            ssh_config,
            known_hosts: HashMap::new(),
            resolvers: HashMap::new(),
            credentials: HashMap::new(),
            paths: paths.clone(),
            face,
            dials: Dials::default(),
            clock: Arc::new(SystemClock::new()),
            started: Mutex::new(Vec::new()),
        };
        for cluster in &fleet.clusters {
            links.prepare(&cluster.settings)?;
            links.clusters.insert(cluster.name.clone(), cluster.settings.clone());
            for peer in &cluster.peers {
                links.prepare(&peer.settings)?;
                let key = links.endpoint(&cluster.name, &peer.host, &peer.settings).key;
                links.named.insert(key, peer.settings.clone());
            }
        }
        Ok(links)
    }

    /// Reads host key files and sets up resolvers, once for each set that occurs.
    fn prepare(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let files = self.host_key_files(settings);
        let own = self.own_host_keys(settings);
        self.known_hosts.entry(files.clone()).or_insert_with(|| {
            let known = KnownHosts::load(&files, &own);
            for note in known.notes().into_iter().chain(known.unreadable()) {
                tracing::warn!("{note}");
            }
            known
        });
        let servers = servers(settings);
        if let Entry::Vacant(free) = self.resolvers.entry(servers) {
            let resolver = if free.key().is_empty() {
                Resolver::system().context("the system's resolver can't be set up; name DNS servers with `dns`")?
            } else {
                Resolver::with_servers(free.key())
            };
            free.insert(resolver);
        }
        for word in settings.auth.iter().flat_map(|a| &a.value).map(AuthRef::to_string) {
            if let Entry::Vacant(free) = self.credentials.entry(word) {
                let source = free.key().parse::<CredentialSource>().context("an entry of `auth` can't be used")?;
                free.insert(source);
            }
        }
        Ok(())
    }

    fn host_key_files(&self, settings: &Settings) -> Vec<PathBuf> {
        match &settings.known_hosts {
            Some(set) => set.value.clone(),
            None => vec![self.paths.ssh_known_hosts(), "/etc/ssh/ssh_known_hosts".into()],
        }
    }

    /// Where accepted keys are written: a lab's never go among the real ones.
    fn own_host_keys(&self, settings: &Settings) -> PathBuf {
        let lab = settings.known_hosts.as_ref().filter(|_| is_lab(settings)).and_then(|f| f.value.first());
        lab.cloned().unwrap_or_else(|| self.paths.known_hosts())
    }

    /// What `~/.ssh/config` says of a host; a lab is not asked about there, its names are made up.
    fn ssh_host(&self, settings: &Settings, host: &str) -> HostSettings {
        if is_lab(settings) { HostSettings::default() } else { self.ssh_config.host(host) }
    }

    /// The endpoint of a peer that the fleet file names.
    #[must_use]
    pub fn endpoint(&self, cluster: &ClusterName, host: &HostName, settings: &Settings) -> Endpoint {
        let port = settings.port.as_ref().map(|p| p.value);
        let port = port.or_else(|| self.ssh_host(settings, host.as_str()).port).unwrap_or(SSH_PORT);
        let key = EndpointKey { cluster: cluster.clone(), host: host.clone(), port };
        Endpoint { key, expected: None, address: None, vouched_host_key: None }
    }

    /// How the endpoint is connected to. One that the fleet file does not name takes its cluster's settings.
    #[must_use]
    pub fn profile(&self, key: &EndpointKey) -> Option<Profile> {
        let settings = self.settings(key)?;
        let resolver = self.resolvers.get(&servers(settings))?.clone();
        let known_hosts = self.known_hosts.get(&self.host_key_files(settings))?.clone();
        let ssh = self.ssh_host(settings, key.host.as_str());
        let user = settings.user.as_ref().map(|u| u.value.clone()).or_else(|| ssh.user.clone());
        let user = user.unwrap_or_else(own_user_name);
        let mut profile = Profile::new(&user, resolver, known_hosts, self.face.name);
        match self.credentials(settings) {
            Some(credentials) => {
                profile.credentials = credentials;
                profile.host_name.clone_from(&ssh.host_name);
            }
            None => profile = profile.with_ssh_config(&ssh),
        }
        profile.via = self.jump(settings, &ssh, &user, &profile.credentials);
        profile.interactive = self.face.interactive;
        profile.interval = settings.interval.as_ref().map(|i| i.value).unwrap_or_default();
        Some(profile)
    }

    fn settings(&self, key: &EndpointKey) -> Option<&Settings> {
        let of_cluster = || match self.clusters.get(&key.cluster) {
            Some(settings) => Some(settings),
            None if self.clusters.len() == 1 => self.clusters.values().next(),
            None => None,
        };
        self.named.get(key).or_else(of_cluster)
    }

    /// What the fleet file says about the way to a peer, for OpenSSH's own client.
    #[must_use]
    pub fn told(&self, cluster: &Cluster, peer: &Peer) -> Option<Told> {
        let (endpoint, profile) = self.of(cluster, peer)?;
        let settings = self.settings(&endpoint.key)?;
        let own_names = settings.dns.is_some() || endpoint.address.is_some();
        let jump = profile.via.filter(|_| settings.via.is_some());
        let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let named = settings.known_hosts.as_ref().map(|set| set.value.clone());
        let mut known_hosts = named.unwrap_or_else(|| vec![self.paths.ssh_known_hosts()]);
        known_hosts.push(self.own_host_keys(settings));
        let key = |auth: &AuthRef| match auth {
            AuthRef::Key(path) => Some(path.clone()),
            AuthRef::Agent | AuthRef::PasswordCommand(_) | AuthRef::PasswordEnv(_) | AuthRef::PasswordFile(_) => None,
        };
        Some(Told {
            host: endpoint.key.host.to_string(),
            address: peer.reach.address.filter(|_| own_names).map(|a| a.ip().to_string()),
            port: endpoint.key.port,
            user: settings.user.as_ref().map(|u| u.value.clone()),
            jump: jump.map(|j| format!("{}@{}:{}", j.user, bracketed(&j.host), j.port)),
            known_hosts,
            identities: settings.auth.iter().flat_map(|a| &a.value).filter_map(key).collect(),
        })
    }

    fn credentials(&self, settings: &Settings) -> Option<Vec<CredentialSource>> {
        let words = settings.auth.as_ref()?;
        Some(words.value.iter().filter_map(|w| self.credentials.get(&w.to_string()).cloned()).collect())
    }

    fn jump(
        &self,
        settings: &Settings,
        ssh: &HostSettings,
        user: &str,
        credentials: &[CredentialSource],
    ) -> Option<JumpHost> {
        let (host, port, named) = match (&settings.via, ssh.proxy_jump.first()) {
            (Some(via), _) => (via.value.host.clone(), via.value.port, via.value.user.clone()),
            (None, Some(jump)) => (jump.host.clone(), jump.port, jump.user.clone()),
            (None, None) => return None,
        };
        let about = self.ssh_config.host(&host);
        let mut credentials = credentials.to_vec();
        if settings.auth.is_none() {
            credentials.extend(about.identity_files.iter().map(|f| CredentialSource::key_file(f)));
        }
        Some(JumpHost {
            port: port.or(about.port).unwrap_or(SSH_PORT),
            user: named.or(about.user).unwrap_or_else(|| user.to_owned()),
            host: about.host_name.unwrap_or(host),
            credentials,
        })
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

fn is_lab(settings: &Settings) -> bool {
    settings.lab.as_ref().is_some_and(|l| l.value)
}

fn servers(settings: &Settings) -> Vec<SocketAddr> {
    settings.dns.as_ref().map(|d| d.value.clone()).unwrap_or_default()
}

/// Who runs this process, as the environment says.
#[must_use]
pub fn own_user_name() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|v| !v.is_empty());
    named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "admin".into())
}
