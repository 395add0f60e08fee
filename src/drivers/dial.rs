//! From an endpoint to a session: look-up, jump host, connection, login.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use russh::keys::PublicKey;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{JumpHost, Profile};
use crate::domain::mesh::{Cause, DnsResult};
use crate::domain::reach::Endpoint;
use crate::ssh::auth::{self, AuthError};
use crate::ssh::client::{self, ConnectError, Credential, Session, Stage, Target};
use crate::ssh::known_hosts::{KnownHosts, KnownHostsPolicy};
use crate::ssh::net::{BoxStream, Net};

/// A session, and what must live as long as it does.
pub(super) struct Dialed {
    pub(super) session: Session,
    pub(super) address: Option<SocketAddr>,
    /// The jump host's session carries the other one.
    _jump: Option<Arc<Session>>,
}

/// The sessions with jump hosts, by user, host and port: a bastion would refuse one for each peer behind it.
#[derive(Default)]
pub(super) struct Jumps {
    sessions: std::sync::Mutex<HashMap<JumpKey, Arc<Mutex<Jump>>>>,
    /// When known hosts were last looked at, by the file that is ours.
    looked: Mutex<HashMap<PathBuf, Instant>>,
}

/// Dials that begin this close together share one look at the known hosts.
const SAME_LOOK: Duration = Duration::from_millis(50);

type JumpKey = (String, String, u16);

/// One of them.
#[derive(Default)]
struct Jump {
    session: Weak<Session>,
    /// The last failure, so that all who waited for the same dial share it instead of repeating it one by one.
    failed: Option<(Instant, DialError)>,
}

impl Jumps {
    /// Reads the known hosts again if they have changed, off the runtime's threads.
    async fn refresh(&self, known: &KnownHosts) {
        let came = Instant::now();
        let mut looked = self.looked.lock().await;
        if looked.get(known.own_file()).is_some_and(|at| came < *at + SAME_LOOK) {
            return;
        }
        let began = Instant::now();
        let file = known.own_file().to_owned();
        let known = known.clone();
        // A panic there would leave what was read before, which is what is wanted.
        let _ = tokio::task::spawn_blocking(move || known.refresh()).await;
        looked.insert(file, began);
    }

    async fn session(
        &self,
        via: &JumpHost,
        profile: &Profile,
        net: &dyn Net,
        now: u64,
    ) -> Result<Arc<Session>, DialError> {
        let came = Instant::now();
        let key = (via.user.clone(), via.host.clone(), via.port);
        let slot = Arc::clone(self.sessions.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        let mut slot = slot.lock().await;
        if let Some(session) = slot.session.upgrade().filter(|s| !s.is_closed()) {
            return Ok(session);
        }
        if let Some((_, error)) = slot.failed.as_ref().filter(|(at, _)| *at > came) {
            return Err(error.clone());
        }
        match jump(via, profile, net, now).await {
            Ok(session) => {
                let session = Arc::new(session);
                slot.session = Arc::downgrade(&session);
                Ok(session)
            }
            Err(e) => {
                slot.failed = Some((Instant::now(), e.clone()));
                Err(e)
            }
        }
    }
}

/// Why there is none.
#[derive(Clone, Debug)]
pub(super) struct DialError {
    pub(super) error: ConnectError,
    pub(super) address: Option<SocketAddr>,
    /// The unknown key belongs to this host, the jump host's if it is not the endpoint's.
    pub(super) host: String,
    pub(super) port: u16,
}

/// Dials `endpoint` as `profile` says. `now` is the wall clock in seconds since 1970, for certificates.
pub(super) async fn dial(
    endpoint: &Endpoint,
    profile: &Profile,
    jumps: &Jumps,
    net: &dyn Net,
    now: u64,
) -> Result<Dialed, DialError> {
    let (host, port) = (endpoint.key.host.as_str(), endpoint.key.port);
    let name = wanted_name(endpoint, profile);
    let failed =
        |error: ConnectError, address: Option<SocketAddr>| DialError { error, address, host: host.to_owned(), port };
    let (credentials, problems) = auth::resolve(&profile.credentials).await;
    let mut target = target(endpoint, profile, credentials, now);
    let explain = |error: ConnectError, address| failed(with_problems(error, &problems), address);
    if let Some(via) = &profile.via {
        jumps.refresh(&profile.known_hosts).await;
        let jump = jumps.session(via, profile, net, now).await?;
        let stream = jump.forward(&name, port).await.map_err(|e| failed(e, None))?;
        let session = client::connect_stream(stream, &target).await.map_err(|e| explain(e, None))?;
        return Ok(Dialed { session, address: None, _jump: Some(jump) });
    }
    let addresses = resolve(&name, profile, &target).await.map_err(|e| failed(e, None))?;
    let (stream, address) = first_that_answers(&addresses, port, net, &target).await.map_err(|(e, a)| failed(e, a))?;
    jumps.refresh(&profile.known_hosts).await;
    set_also(&mut target, endpoint, profile, &[name, address.ip().to_string()], now);
    let session = client::connect_stream(stream, &target).await.map_err(|e| explain(e, Some(address)))?;
    Ok(Dialed { session, address: Some(address), _jump: None })
}

/// The name or address that is dialled.
pub(super) fn wanted_name(endpoint: &Endpoint, profile: &Profile) -> String {
    let told = endpoint.address.as_ref().map(crate::domain::HostName::as_str).filter(|a| a.parse::<IpAddr>().is_ok());
    told.or(profile.host_name.as_deref()).unwrap_or(endpoint.key.host.as_str()).to_owned()
}

pub(super) fn target(endpoint: &Endpoint, profile: &Profile, credentials: Vec<Credential>, now: u64) -> Target {
    let mut target = Target {
        host: endpoint.key.host.to_string(),
        port: endpoint.key.port,
        user: profile.user.clone(),
        credentials,
        policy: policy(profile, Vec::new(), None, now),
        deadlines: profile.deadlines,
    };
    set_also(&mut target, endpoint, profile, &[wanted_name(endpoint, profile)], now);
    target
}

/// The host is known under these names too.
pub(super) fn set_also(target: &mut Target, endpoint: &Endpoint, profile: &Profile, names: &[String], now: u64) {
    let vouched = endpoint.vouched_host_key.as_ref().and_then(|k| PublicKey::from_openssh(k.as_str()).ok());
    let also = names.iter().filter(|n| **n != target.host).cloned().collect();
    target.policy = policy(profile, also, vouched, now);
}

fn policy(profile: &Profile, also: Vec<String>, vouched: Option<PublicKey>, now: u64) -> Arc<KnownHostsPolicy> {
    Arc::new(KnownHostsPolicy { files: profile.known_hosts.clone(), also, vouched, now })
}

/// The addresses of `name`.
pub(super) async fn resolve(name: &str, profile: &Profile, target: &Target) -> Result<Vec<IpAddr>, ConnectError> {
    let found = profile.resolver.forward(name, target.deadlines.resolve).await;
    if found.result == DnsResult::Ok {
        return Ok(found.answers);
    }
    Err(ConnectError {
        stage: Stage::DnsForward,
        cause: Cause::DnsForward,
        detail: format!("{}:{}: {}", target.host, target.port, found.detail),
        unknown_key: None,
    })
}

/// Tries the addresses in turn; the first error is the one that is told.
pub(super) async fn first_that_answers(
    addresses: &[IpAddr],
    port: u16,
    net: &dyn Net,
    target: &Target,
) -> Result<(BoxStream, SocketAddr), (ConnectError, Option<SocketAddr>)> {
    // Some names have many addresses; the whole dial must still end soon.
    const TRIES: usize = 4;
    let mut first = None;
    for ip in addresses.iter().take(TRIES) {
        let address = SocketAddr::new(*ip, port);
        match client::dial(net, address, target).await {
            Ok(stream) => return Ok((stream, address)),
            Err(e) => first = first.or(Some((e, Some(address)))),
        }
    }
    Err(first.unwrap_or_else(|| {
        let detail = format!("{}:{port}: the name has no address", target.host);
        (ConnectError { stage: Stage::DnsForward, cause: Cause::DnsForward, detail, unknown_key: None }, None)
    }))
}

/// Logs in to the jump host.
pub(super) async fn jump(via: &JumpHost, profile: &Profile, net: &dyn Net, now: u64) -> Result<Session, DialError> {
    let failed = |error: ConnectError, address: Option<SocketAddr>| {
        let detail = format!("jump host {}", error.detail);
        DialError { error: ConnectError { detail, ..error }, address, host: via.host.clone(), port: via.port }
    };
    let (credentials, problems) = auth::resolve(&via.credentials).await;
    let target = Target {
        host: via.host.clone(),
        port: via.port,
        user: via.user.clone(),
        credentials,
        policy: policy(profile, Vec::new(), None, now),
        deadlines: profile.deadlines,
    };
    let addresses = resolve(&via.host, profile, &target).await.map_err(|e| failed(e, None))?;
    let (stream, address) =
        first_that_answers(&addresses, via.port, net, &target).await.map_err(|(e, a)| failed(e, a))?;
    client::connect_stream(stream, &target).await.map_err(|e| failed(with_problems(e, &problems), Some(address)))
}

/// A refused login is explained by the credentials that could not be had.
fn with_problems(error: ConnectError, problems: &[AuthError]) -> ConnectError {
    if error.stage != Stage::Auth || problems.is_empty() {
        return error;
    }
    let problems = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    ConnectError { detail: format!("{}; not usable: {problems}", error.detail), ..error }
}
