//! What the peers of a lab say of each other, seen as any observer sees it: over SSH and JSON-RPC.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peerdeck::domain::mesh::{Cause, LinkState};
use peerdeck::lab::Lab;
use peerdeck::proto::observe::{Report, WireLink, WireRow};
use peerdeck::proto::rpc::{ObserveParams, Request, SUBSYSTEM};
use peerdeck::ssh::client::{
    ConnectError, Credential, Deadlines, HostKeyPolicy, HostKeyVerdict, Session, Target, connect,
};
use peerdeck::ssh::net::OsNet;
use russh::keys::{PrivateKey, PublicKey};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::support::PATIENCE;

/// Trusts what the lab's `known_hosts` says, and nothing else.
struct KnownHosts(String);

impl HostKeyPolicy for KnownHosts {
    fn judge(&self, host: &str, port: u16, key: &PublicKey) -> HostKeyVerdict {
        let mut key = key.clone();
        key.set_comment("");
        let key = key.to_openssh().unwrap();
        let known = self.0.lines().find(|l| l.starts_with(&format!("[{host}]:{port},")));
        match known {
            Some(line) if line.ends_with(key.trim()) => HostKeyVerdict::Accepted,
            Some(_) => HostKeyVerdict::Refused("another key is known".to_owned()),
            None => HostKeyVerdict::Unknown,
        }
    }
}

/// Logs in to a peer with the files that the lab has written.
pub async fn log_in(lab: &Lab, peer: usize) -> Result<Session, ConnectError> {
    let dir = lab.state_dir();
    let address = lab.address(peer).unwrap();
    let key = PrivateKey::from_openssh(std::fs::read(dir.join("lab_key")).unwrap()).unwrap();
    let short = Duration::from_secs(3);
    let target = Target {
        host: lab.roster().peers[peer].host.to_string(),
        port: address.port(),
        user: "admin".to_owned(),
        credentials: vec![Credential::Key(Arc::new(key))],
        policy: Arc::new(KnownHosts(std::fs::read_to_string(dir.join("known_hosts")).unwrap())),
        deadlines: Deadlines {
            resolve: short,
            connect: short,
            key_exchange: short,
            auth: short,
            channel: short,
            silence: short,
        },
    };
    connect(&OsNet, address, &target).await
}

/// The newest word of one peer.
#[derive(Default)]
struct Seen {
    row: WireRow,
    reports: u64,
    /// Wall clock of the peer against ours, seconds.
    clock_off: i64,
    error: Option<String>,
}

/// Observes one peer for as long as it lives.
struct Eye {
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

impl Eye {
    fn open(lab: &Lab, peer: usize) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (lab, kept) = (lab.clone(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            // As a console does, it comes back by itself.
            loop {
                let ended = watch(&lab, peer, &kept).await;
                kept.lock().unwrap().error = Some(ended);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { seen, task }
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(lab: &Lab, peer: usize, seen: &Mutex<Seen>) -> String {
    let session = match log_in(lab, peer).await {
        Ok(session) => session,
        Err(e) => return format!("{}: {e}", e.cause.as_str()),
    };
    let stream = match session.subsystem(SUBSYSTEM).await {
        Ok(stream) => stream,
        Err(e) => return e.to_string(),
    };
    let (reader, mut writer) = tokio::io::split(stream);
    let params = ObserveParams { as_what: "test".to_owned(), ..ObserveParams::default() };
    let mut request = serde_json::to_vec(&Request::call(1, "observe", &params)).unwrap();
    request.push(b'\n');
    if let Err(e) = writer.write_all(&request).await {
        return e.to_string();
    }
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(message) = serde_json::from_str::<Request>(&line) else { continue };
        let report: Report = serde_json::from_value(message.params).unwrap();
        take(&mut seen.lock().unwrap(), report);
    }
    "the connection ended".to_owned()
}

fn take(seen: &mut Seen, report: Report) {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let off = i128::from(report.wall) - i128::try_from(wall).unwrap();
    seen.clock_off = i64::try_from(off / 1000).unwrap();
    seen.reports += 1;
    if let Some(row) = report.row {
        seen.row = row;
    }
    if let Some(delta) = report.delta {
        seen.row.level = delta.level;
        for link in delta.changed {
            seen.row.links.retain(|l| l.to != link.to);
            seen.row.links.push(link);
        }
        seen.row.links.retain(|l| !delta.removed.contains(&l.to));
        seen.row.links.sort_by(|a, b| a.to.cmp(&b.to));
        for (link, rtt) in seen.row.links.iter_mut().zip(delta.pings) {
            link.rtt = u64::try_from(rtt).ok().filter(|us| *us > 0);
        }
    }
}

/// Observes all peers of a lab.
pub struct Grid {
    eyes: Vec<Eye>,
    names: Vec<(String, String)>,
}

impl Grid {
    pub fn open(lab: &Lab) -> Self {
        let peers = &lab.roster().peers;
        let eyes = (0..peers.len()).map(|i| Eye::open(lab, i)).collect();
        let names = peers.iter().map(|p| (p.id.to_string(), p.host.short().to_owned())).collect();
        Self { eyes, names }
    }

    /// What `from` says of `to` (1 is lab1).
    pub fn link(&self, from: usize, to: usize) -> WireLink {
        let seen = self.eyes[from - 1].seen.lock().unwrap();
        seen.row.links.iter().find(|l| l.to == self.names[to - 1].0).cloned().unwrap_or_default()
    }

    pub fn is_up(&self, from: usize, to: usize) -> bool {
        self.link(from, to).state == LinkState::Connected.as_str()
    }

    pub fn is_down(&self, from: usize, to: usize, cause: Cause) -> bool {
        let link = self.link(from, to);
        link.state == LinkState::Down.as_str() && link.cause.as_deref() == Some(cause.as_str())
    }

    /// Whether all links between these are up, both ways.
    pub fn all_up(&self, peers: &[usize]) -> bool {
        let pairs = peers.iter().flat_map(|a| peers.iter().map(move |b| (*a, *b)));
        pairs.filter(|(a, b)| a != b).all(|(a, b)| self.is_up(a, b))
    }

    pub fn level(&self, peer: usize) -> u32 {
        self.eyes[peer - 1].seen.lock().unwrap().row.level
    }

    pub fn reports(&self, peer: usize) -> u64 {
        self.eyes[peer - 1].seen.lock().unwrap().reports
    }

    /// Wall clock of the peer against ours, seconds.
    pub fn clock_off(&self, peer: usize) -> i64 {
        self.eyes[peer - 1].seen.lock().unwrap().clock_off
    }

    /// Why the last connection to it ended.
    pub fn error(&self, peer: usize) -> String {
        self.eyes[peer - 1].seen.lock().unwrap().error.clone().unwrap_or_default()
    }

    /// Everything, for the message of a test that fails.
    fn dump(&self) -> String {
        let mut text = String::new();
        for (eye, (_, name)) in self.eyes.iter().zip(&self.names) {
            let seen = eye.seen.lock().unwrap();
            writeln!(text, "{name}: {} reports, {:?}", seen.reports, seen.error).unwrap();
            for l in &seen.row.links {
                let to = self.names.iter().find(|n| n.0 == l.to).map_or("?", |n| &n.1);
                writeln!(
                    text,
                    "  {to}: {} {:?} probe={} dns={}/{} rtt={:?} changes={} {}",
                    l.state, l.cause, l.probe, l.dns_forward, l.dns_reverse, l.rtt, l.changes, l.detail
                )
                .unwrap();
            }
        }
        text
    }

    /// Asks again and again until `condition` holds.
    #[track_caller]
    pub fn until<'a>(&'a self, what: &'a str, condition: impl Fn(&Self) -> bool + 'a) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let start = Instant::now();
            while !condition(self) {
                assert!(start.elapsed() < PATIENCE, "{caller}: not within {PATIENCE:?}: {what}\n{}", self.dump());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
