//! Opening control connections to fellows, and what DNS has to say about them (C19).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cluster::{DialError, Dialled};
use super::shared::{DialOutcome, Member, Shared};
use crate::domain::ids::PeerId;
use crate::domain::membership::{Addressing, Machine};
use crate::domain::mesh::{Cause, DnsCheck, DnsResult};
use crate::domain::text::Line;
use crate::proto::frame::MESH_SUBSYSTEM;
use crate::ssh::client::{
    self, ConnectError, Credential, Deadlines, HostKeyPolicy, HostKeyVerdict, Session, Stage, Target, fingerprint,
};
use crate::ssh::net::BoxStream;

/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// The host key that the membership carries, and no other.
struct Pinned {
    key: KeyData,
    members: Arc<BTreeMap<PeerId, Member>>,
    /// Another member answered.
    other: OnceLock<PeerId>,
}

impl HostKeyPolicy for Pinned {
    fn judge(&self, host: &str, _port: u16, key: &PublicKey) -> HostKeyVerdict {
        if *key.key_data() == self.key {
            return HostKeyVerdict::Accepted;
        }
        if let Some(member) = self.members.values().find(|m| m.host_key == *key.key_data()) {
            // The first one counts; one of several addresses is enough to know.
            let _ = self.other.set(member.id.clone());
        }
        let pinned = fingerprint(&PublicKey::new(self.key.clone(), ""));
        HostKeyVerdict::Refused(format!("the membership pins {pinned} for {host}, {} was offered", fingerprint(key)))
    }
}

/// Handshakes of one process under way at a time. They cost CPU: when all peers of a lab begin hundreds at once,
/// each crawls, all run into their deadlines and begin again, for ever (measured with 20 peers in a debug build).
static HANDSHAKES: Semaphore = Semaphore::const_new(8);

/// A handshake that takes longer waits for the other side and no longer keeps others from theirs.
const HANDSHAKE_TURN: Duration = Duration::from_secs(1);

/// Short ping intervals want short waits for a machine that does not answer at all. Once it answers it may take its time.
fn deadlines(shared: &Shared) -> Deadlines {
    let most = (shared.setup.ping_interval * 2).max(Duration::from_secs(1));
    let d = Deadlines::default();
    // Pings tell whether a link lives; the SSH layer must not decide before they do.
    let silence = d.silence.max(shared.setup.ping_interval * (shared.setup.ping_failures + 1));
    Deadlines { resolve: d.resolve.min(most), connect: d.connect.min(most), silence, ..d }
}

/// Dials a fellow: look-ups, SSH with the machine key, the mesh subsystem.
pub(super) async fn dial(shared: &Shared, machine: &Machine, last_good: Option<SocketAddr>) -> DialOutcome {
    let deadlines = deadlines(shared);
    let mut dns = DnsCheck::default();
    let addresses = match addresses(shared, machine, deadlines.resolve, &mut dns).await {
        Ok(addresses) => addresses,
        Err((cause, detail)) => return Err(DialError { cause, detail, address: None, dns }),
    };
    let roster = shared.roster();
    let Some(member) = roster.members.get(&machine.id) else {
        let detail = format!("{} is not in the membership", machine.id);
        return Err(DialError { cause: Cause::NotInCluster, detail, address: None, dns });
    };
    let policy =
        Arc::new(Pinned { key: member.host_key.clone(), members: roster.members.clone(), other: OnceLock::new() });
    let target = Target {
        host: machine.host.to_string(),
        port: machine.port,
        user: shared.keys.id.to_string(),
        credentials: vec![Credential::Key(Arc::new(shared.keys.machine.clone()))],
        policy: policy.clone(),
        deadlines,
    };
    let mut failed = None;
    for ip in &addresses {
        let address = SocketAddr::new(*ip, machine.port);
        match open(shared, address, &target).await {
            Ok((stream, session)) => return Ok((Dialled { address, dns }, stream, session)),
            Err(error) => failed = Some((address, error)),
        }
    }
    let Some((address, error)) = failed else {
        let detail = format!("{} has no address", machine.address);
        return Err(DialError { cause: Cause::DnsForward, detail, address: None, dns });
    };
    let mut cause = mesh_cause(&error);
    // We log in with our own serial number, which tells the reader nothing.
    let mut detail = error.detail.replace(&format!("{}@", target.user), "");
    // Another member answered there: the address is wrong, nobody's key has changed.
    if let Some(other) = policy.other.get().filter(|_| dns.forward == DnsResult::Ok) {
        dns.forward = DnsResult::Wrong;
        cause = Cause::DnsForward;
        let host = roster.membership.machine(other).map_or_else(|| other.to_string(), |m| m.host.to_string());
        detail = format!("{} leads to {}, where {host} answers", machine.address, address.ip());
    }
    // The name leads elsewhere than to where the machine was: the look-up is what is wrong.
    if let Some(good) = last_good.filter(|g| dns.forward == DnsResult::Ok && !addresses.contains(&g.ip())) {
        dns.forward = DnsResult::Wrong;
        cause = Cause::DnsForward;
        detail =
            format!("{} leads to {}, it was at {} before; there: {detail}", machine.address, address.ip(), good.ip());
    }
    Err(DialError { cause, detail, address: Some(address), dns })
}

async fn open(shared: &Shared, address: SocketAddr, target: &Target) -> Result<(BoxStream, Session), ConnectError> {
    let stream = client::dial(&shared.net, address, target).await?;
    let handshake = async {
        let session = client::connect_stream(stream, target).await?;
        let stream = session.subsystem(MESH_SUBSYSTEM).await?;
        Ok((stream, session))
    };
    let mut handshake = pin!(handshake);
    // Never closed: nobody has the right to.
    let turn = HANDSHAKES.acquire().await.ok();
    if let Ok(done) = timeout(HANDSHAKE_TURN, &mut handshake).await {
        return done;
    }
    drop(turn);
    handshake.await
}

/// A fellow whose host key is right and that refuses our machine key does not know us.
fn mesh_cause(error: &ConnectError) -> Cause {
    if error.stage == Stage::Auth && error.cause == Cause::Auth { Cause::NotInCluster } else { error.cause }
}

/// Where to dial, with the look-ups that are obligatory.
async fn addresses(
    shared: &Shared,
    machine: &Machine,
    deadline: Duration,
    dns: &mut DnsCheck,
) -> Result<Vec<IpAddr>, (Cause, String)> {
    if let Ok(ip) = machine.address.as_str().parse::<IpAddr>() {
        if shared.roster().membership.addressing == Addressing::Ip {
            dns.reverse = reverse(shared, ip, machine, deadline, &mut dns.answer).await;
            if dns.reverse != DnsResult::Ok {
                return Err((Cause::DnsReverse, dns.answer.to_string()));
            }
        }
        return Ok(vec![ip]);
    }
    let found = shared.env.resolver.forward(machine.address.as_str(), deadline).await;
    dns.forward = found.result;
    dns.answer = Line::new(&found.detail);
    if found.result != DnsResult::Ok || found.answers.is_empty() {
        return Err((Cause::DnsForward, found.detail));
    }
    Ok(found.answers.into_iter().take(ADDRESSES_MAX).collect())
}

async fn reverse(shared: &Shared, ip: IpAddr, machine: &Machine, deadline: Duration, answer: &mut Line) -> DnsResult {
    let found = shared.env.resolver.reverse(ip, deadline).await;
    if found.result != DnsResult::Ok {
        *answer = Line::new(&found.detail);
        return found.result;
    }
    if found.answers.iter().any(|name| name == machine.host.as_str()) {
        return DnsResult::Ok;
    }
    *answer = Line::new(&format!("{ip} is {}, not {}", found.answers.join(", "), machine.host));
    DnsResult::Wrong
}

/// The look-ups on a live link: only reported.
pub(super) async fn check(shared: &Shared, peer: &PeerId, address: SocketAddr) -> Option<DnsCheck> {
    let roster = shared.roster();
    let machine = roster.membership.machine(peer)?;
    let deadline = deadlines(shared).resolve;
    let mut dns = DnsCheck::default();
    let literal = machine.address.as_str().parse::<IpAddr>().is_ok();
    if literal && roster.membership.addressing == Addressing::HostName {
        return Some(dns); // Nothing depends on DNS here.
    }
    let mut answer = Line::default();
    dns.reverse = reverse(shared, address.ip(), machine, deadline, &mut answer).await;
    if !literal {
        let found = shared.env.resolver.forward(machine.address.as_str(), deadline).await;
        dns.forward = found.result;
        if found.result != DnsResult::Ok {
            answer = Line::new(&found.detail);
        } else if !found.answers.contains(&address.ip()) {
            dns.forward = DnsResult::Wrong;
            let answers = found.answers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            answer =
                Line::new(&format!("{} leads to {answers}, the link's other end is {}", machine.address, address.ip()));
        }
    }
    dns.answer = answer;
    Some(dns)
}
