//! How each peer of one fleet is connected to: settings, `ssh_config`, host keys, resolvers, credentials.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::connect::{Face, own_user_name};
use super::shell::Told;
use crate::config::{AuthRef, Fleet, Paths, Settings, Via};
use crate::dns::Resolver;
use crate::domain::ids::{ClusterName, HostName};
use crate::domain::reach::{Endpoint, EndpointKey};
use crate::drivers::{JumpHost, Profile};
use crate::ssh::auth::CredentialSource;
use crate::ssh::config_file::{HostSettings, SshConfig};
use crate::ssh::known_hosts::KnownHosts;

/// The port where nothing else is said.
const SSH_PORT: u16 = 22;

/// What is needed to connect to the peers of one fleet.
pub struct Ways {
    clusters: HashMap<ClusterName, Settings>,
    named: HashMap<EndpointKey, Settings>,
    ssh_config: SshConfig,
    known_hosts: HashMap<Vec<PathBuf>, KnownHosts>,
    resolvers: HashMap<Vec<SocketAddr>, Resolver>,
    /// One source for each word, so that a password command asks once and not once a peer.
    credentials: HashMap<String, CredentialSource>,
    paths: Paths,
}

/// How one endpoint is connected to, to be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    user: Option<String>,
    auth: Option<Vec<AuthRef>>,
    ssh: HostSettings,
    via: Option<Via>,
    jump: Option<HostSettings>,
    dns: Vec<SocketAddr>,
    known_hosts: Vec<PathBuf>,
    own_host_keys: PathBuf,
    interval: Option<Duration>,
}

impl Ways {
    /// For `fleet`. What `before` has fetched and opened is used on, so that nobody is asked for a password again.
    ///
    /// # Errors
    /// When the system's resolver can't be set up.
    pub fn new(fleet: &Fleet, paths: &Paths, before: Option<&Self>) -> anyhow::Result<Self> {
        let ssh_config = SshConfig::load(&paths.ssh_config());
        for note in ssh_config.notes() {
            tracing::info!("{note}");
        }
        let mut ways = Self {
            clusters: HashMap::new(),
            named: HashMap::new(),
            ssh_config,
            known_hosts: before.map(|b| b.known_hosts.clone()).unwrap_or_default(),
            resolvers: before.map(|b| b.resolvers.clone()).unwrap_or_default(),
            credentials: before.map(|b| b.credentials.clone()).unwrap_or_default(),
            paths: paths.clone(),
        };
        for cluster in &fleet.clusters {
            ways.prepare(&cluster.settings)?;
            ways.clusters.insert(cluster.name.clone(), cluster.settings.clone());
            for peer in &cluster.peers {
                ways.prepare(&peer.settings)?;
                let key = ways.endpoint(&cluster.name, &peer.host, &peer.settings).key;
                ways.named.insert(key, peer.settings.clone());
            }
        }
        Ok(ways)
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
    pub fn profile(&self, key: &EndpointKey, face: Face) -> Option<Profile> {
        let settings = self.settings(key)?;
        let resolver = self.resolvers.get(&servers(settings))?.clone();
        let known_hosts = self.known_hosts.get(&self.host_key_files(settings))?.clone();
        let ssh = self.ssh_host(settings, key.host.as_str());
        let user = settings.user.as_ref().map(|u| u.value.clone()).or_else(|| ssh.user.clone());
        let user = user.unwrap_or_else(own_user_name);
        let mut profile = Profile::new(&user, resolver, known_hosts, face.name);
        match self.credentials(settings) {
            Some(credentials) => {
                profile.credentials = credentials;
                profile.host_name.clone_from(&ssh.host_name);
            }
            None => profile = profile.with_ssh_config(&ssh),
        }
        profile.via = self.jump(settings, &ssh, &user, &profile.credentials);
        profile.interactive = face.interactive;
        profile.interval = settings.interval.as_ref().map(|i| i.value).unwrap_or_default();
        Some(profile)
    }

    /// The settings of an endpoint; its cluster's where the fleet file does not name it.
    fn settings(&self, key: &EndpointKey) -> Option<&Settings> {
        let of_cluster = || match self.clusters.get(&key.cluster) {
            Some(settings) => Some(settings),
            None if self.clusters.len() == 1 => self.clusters.values().next(),
            None => None,
        };
        self.named.get(key).or_else(of_cluster)
    }

    /// Everything that decides how an endpoint is connected to: two of these are the same exactly when the connection
    /// would be.
    #[must_use]
    pub fn description(&self, key: &EndpointKey) -> Option<Description> {
        let settings = self.settings(key)?;
        let jump_host = settings.via.as_ref().map(|v| v.value.host.clone());
        let ssh = self.ssh_host(settings, key.host.as_str());
        let jump_host = jump_host.or_else(|| ssh.proxy_jump.first().map(|j| j.host.clone()));
        Some(Description {
            user: settings.user.as_ref().map(|u| u.value.clone()),
            auth: settings.auth.as_ref().map(|a| a.value.clone()),
            via: settings.via.as_ref().map(|v| v.value.clone()),
            jump: jump_host.map(|host| self.ssh_config.host(&host)),
            dns: servers(settings),
            known_hosts: self.host_key_files(settings),
            own_host_keys: self.own_host_keys(settings),
            interval: settings.interval.as_ref().map(|i| i.value),
            ssh,
        })
    }

    /// What the fleet file says about the way to an endpoint that was reached at `reached`, for OpenSSH's own client.
    #[must_use]
    pub fn told(&self, endpoint: &Endpoint, profile: Profile, reached: Option<SocketAddr>) -> Option<Told> {
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
            address: reached.filter(|_| own_names).map(|a| a.ip().to_string()),
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
}

fn is_lab(settings: &Settings) -> bool {
    settings.lab.as_ref().is_some_and(|l| l.value)
}

fn servers(settings: &Settings) -> Vec<SocketAddr> {
    settings.dns.as_ref().map(|d| d.value.clone()).unwrap_or_default()
}
