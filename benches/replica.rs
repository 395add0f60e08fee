//! The replicated settings of 1,000 machines with 50 features each: `cargo bench --bench replica`, with the names of
//! parts (`load`, `lookup`, `commit`, `return`, `first`, `lab`) to run only those. Figures go to `benches/README.md`.
//!
//! Signatures are real ed25519, and what is written is written to a real disk: that of the temporary directory.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]

#[path = "replica_lab.rs"]
mod replica_lab;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerdeck::daemon::disk::Disk;
use peerdeck::daemon::replica::{Batch, Config, Replica, Signing, StoredChange};
use peerdeck::domain::ids::{ClusterName, FeatureName, GroupName, HostName, PeerId};
use peerdeck::domain::membership::{Addressing, Machine, Membership};
use peerdeck::domain::settings::{Content, Key, ModeId, Value, rules};
use peerdeck::domain::text::Line;
use peerdeck::domain::time::Time;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData};
use russh::keys::{PublicKey, PublicKeyBase64};
use tempfile::TempDir;

const MACHINES: usize = 1_000;
const GROUPS: usize = 20;
const FEATURES: usize = 50;
const AUTHORS: usize = 10;
const NOON: u64 = 1_800_000_000_000;

/// As the peer signs.
struct Ed25519(Ed25519KeyPair);

impl Ed25519 {
    fn new(n: usize) -> Self {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&n.to_be_bytes());
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap())
    }

    fn public(&self) -> String {
        let key: [u8; 32] = self.0.public_key().as_ref().try_into().unwrap();
        format!("ssh-ed25519 {}", PublicKey::from(KeyData::Ed25519(Ed25519PublicKey(key))).public_key_base64())
    }
}

impl Signing for Ed25519 {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    fn verify(&self, public_key: &str, message: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = PublicKey::from_openssh(public_key) else { return false };
        let KeyData::Ed25519(key) = key.key_data() else { return false };
        UnparsedPublicKey::new(&ED25519, key.as_ref()).verify(message, signature).is_ok()
    }
}

fn peer(n: usize) -> PeerId {
    PeerId::new(&format!("SERIAL{n:04}"))
}

fn membership() -> Membership {
    let group = |i: usize| GroupName::new(&format!("Group{i}"));
    let machine = |i: usize| Machine {
        id: peer(i),
        host: HostName::new(&format!("lab{i}.example.com")),
        group: group(i % GROUPS),
        address: HostName::new(&format!("lab{i}.example.com")),
        port: 22,
        machine_key: Line::new(&Ed25519::new(i).public()),
        host_key: Line::new(&Ed25519::new(MACHINES + i).public()),
    };
    let mut membership = Membership {
        cluster_id: Line::new("bench"),
        name: ClusterName::new("americas"),
        revision: 1,
        addressing: Addressing::HostName,
        groups: (0..GROUPS).map(group).collect(),
        machines: (0..MACHINES).map(|i| Arc::new(machine(i))).collect(),
    };
    membership.sort();
    membership
}

fn config(n: usize, actor: Option<Vec<u8>>) -> Config {
    let host = HostName::new(&format!("lab{n}.example.com"));
    Config { peer: peer(n), host, actor, seed: n as u64, signing: Arc::new(Ed25519::new(n)) }
}

fn feature(n: usize) -> FeatureName {
    FeatureName::new(&format!("feature{n}"))
}

fn routes(i: usize) -> Content {
    let fields = [("example.com", Value::text(&format!("relay{i}.example.net"))), ("port", Value::Int(25))];
    Content::Value(Value::table(fields).into())
}

/// All features of one machine.
fn writes(replica: &Replica, machine: usize) -> Vec<(Key, Content)> {
    let member = replica.tree().structure().member_of(&peer(machine)).unwrap().id.clone();
    (0..FEATURES).map(|f| (Key::Feature(ModeId::Machine(member.clone()), feature(f)), routes(machine))).collect()
}

fn commit(replica: &mut Replica, wall: u64, writes: &[(Key, Content)]) -> Batch {
    replica.commit(Time::from_millis(wall), &"admin".into(), &"bench".into(), writes).unwrap()
}

/// Each machine's features in a commit of their own, by several authors.
fn history(membership: &Membership, machines: usize) -> Vec<StoredChange> {
    let (_, batch) = Replica::found(config(0, None), membership).unwrap();
    let mut stored = batch.changes;
    for author in 0..AUTHORS {
        let mut replica = Replica::load(config(author, None), stored.clone()).unwrap();
        for at in 0..machines / AUTHORS {
            let n = author * (machines / AUTHORS) + at;
            let writes = writes(&replica, n);
            let batch = commit(&mut replica, NOON + n as u64, &writes);
            replica.kept(batch.id);
            stored.extend(batch.changes);
        }
    }
    stored
}

/// One line of a table: percentiles of these times.
fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |p: usize| times[(times.len() - 1) * p / 100].as_secs_f64() * 1e3;
    println!("| {what} | {} | {:.4} | {:.4} | {:.4} | {:.4} |", times.len(), at(0), at(50), at(95), at(100));
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let done = work();
    (began.elapsed(), done)
}

/// A peer with its disk.
struct Site {
    n: usize,
    replica: Replica,
    disk: Disk,
    _dir: TempDir,
}

impl Site {
    fn new(n: usize, stored: &[StoredChange]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut disk, _) = Disk::open(&dir.path().join("state")).unwrap();
        let replica = Replica::load(config(n, None), stored.to_vec()).unwrap();
        disk.append(stored, Some(&replica.actor())).unwrap();
        Self { n, replica, disk, _dir: dir }
    }

    fn keep(&mut self, batch: &Batch) {
        if !batch.is_empty() {
            self.disk.replace(&batch.forget, &batch.changes, batch.actor.as_deref()).unwrap();
            self.replica.kept(batch.id);
        }
    }
}

/// Links two peers and lets them talk until both have nothing to say.
fn sync(a: &mut Site, b: &mut Site) {
    a.replica.connect(&peer(b.n));
    b.replica.connect(&peer(a.n));
    talk(a, b);
}

fn talk(a: &mut Site, b: &mut Site) {
    loop {
        let mut silent = true;
        for turn in 0..2 {
            let (from, to) = if turn == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
            while let Some(message) = from.replica.poll(&peer(to.n)) {
                silent = false;
                let batch = to.replica.receive(&peer(from.n), &message, Time::from_millis(NOON)).unwrap();
                to.keep(&batch);
            }
        }
        if silent {
            return;
        }
    }
}

fn load(stored: &[StoredChange]) {
    let mut times = Vec::new();
    for _ in 0..20 {
        let stored = stored.to_vec();
        let (time, replica) = timed(|| Replica::load(config(0, None), stored).unwrap());
        times.push(time);
        black_box(replica.tree());
    }
    let registers = Replica::load(config(0, None), stored.to_vec()).unwrap().tree().registers().len();
    tell(&format!("load {} changes, {registers} registers", stored.len()), times);
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    Disk::open(&state).unwrap().0.append(stored, None).unwrap();
    let mut times = Vec::new();
    for _ in 0..5 {
        let (time, kept) = timed(|| Disk::open(&state).unwrap().1);
        times.push(time);
        black_box(kept);
    }
    tell("read and check the disk", times);
}

fn lookup(stored: &[StoredChange]) {
    let replica = Replica::load(config(0, None), stored.to_vec()).unwrap();
    let tree = replica.tree();
    let catalogue = peerdeck::proto::features::built_in();
    let mut times = Vec::new();
    for _ in 0..5 {
        for member in &tree.structure().members {
            for f in 0..FEATURES {
                let feature = feature(f);
                times.push(timed(|| black_box(rules::effective(tree, &catalogue, &member.id, &feature))).0);
            }
        }
    }
    tell("effective value of a machine's feature", times);
}

fn commits(stored: &[StoredChange]) {
    let mut a = Site::new(0, stored);
    let mut b = Site::new(1, stored);
    sync(&mut a, &mut b);
    let (mut commits, mut written, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    let (mut told, mut received) = (Vec::new(), Vec::new());
    for n in 0..100 {
        let writes = &writes(&a.replica, n)[..1];
        let (time, batch) = timed(|| commit(&mut a.replica, NOON + 5_000 + n as u64, writes));
        commits.push(time);
        written.push(timed(|| a.disk.append(&batch.changes, batch.actor.as_deref()).unwrap()).0);
        shown.push(timed(|| a.replica.kept(batch.id)).0);
        let (time, message) = timed(|| a.replica.poll(&peer(1)).unwrap());
        told.push(time);
        let (time, batch) = timed(|| b.replica.receive(&peer(0), &message, Time::from_millis(NOON)).unwrap());
        received.push(time);
        b.keep(&batch);
        talk(&mut a, &mut b);
    }
    tell("commit of one register: make it", commits);
    tell("commit of one register: on disk", written);
    tell("commit of one register: show it", shown);
    tell("its message: make it", told);
    tell("its message: take it", received);
}

fn returns(stored: &[StoredChange], registers: usize) {
    let mut times = Vec::new();
    for round in 0..5 {
        let (mut a, mut b) = (Site::new(0, stored), Site::new(1, stored));
        sync(&mut a, &mut b);
        a.replica.disconnect(&peer(1));
        b.replica.disconnect(&peer(0));
        for (site, base) in [(&mut a, 0), (&mut b, MACHINES / 2)] {
            let keys: Vec<_> = (0..20).flat_map(|m| writes(&site.replica, base + m)).map(|(k, _)| k).collect();
            for (i, keys) in keys.chunks(registers).enumerate() {
                let writes: Vec<_> = keys.iter().map(|k| (k.clone(), routes(round))).collect();
                let batch = commit(&mut site.replica, NOON + 10_000 + i as u64, &writes);
                site.keep(&batch);
            }
        }
        times.push(timed(|| sync(&mut a, &mut b)).0);
        assert_eq!(a.replica.holding(), b.replica.holding());
        assert_eq!(a.replica.tree(), b.replica.tree());
    }
    tell(&format!("return with 1,000 changed keys on each side, {} commits each", 1_000 / registers), times);
}

fn first(stored: &[StoredChange], many: usize) {
    // Many small commits: they cost most.
    let mut a = Site::new(0, stored);
    let keys: Vec<_> = (0..MACHINES).map(|n| writes(&a.replica, n)[0].0.clone()).collect();
    for n in 0..many {
        let write = (keys[n % MACHINES].clone(), routes(n));
        let batch = commit(&mut a.replica, NOON + 20_000 + n as u64, &[write]);
        a.keep(&batch);
    }
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut b = Site::new(1, &stored[..1]);
        times.push(timed(|| sync(&mut a, &mut b)).0);
        assert_eq!(a.replica.holding(), b.replica.holding());
    }
    tell(&format!("first sync of {} changes", a.replica.holding().changes), times);
}

fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let membership = membership();
    let stored = if parts == ["lab"] { Vec::new() } else { history(&membership, MACHINES) };
    println!("| milliseconds | samples | least | p50 | p95 | most |\n|---|---|---|---|---|---|");
    if wanted("load") {
        load(&stored);
    }
    if wanted("lookup") {
        lookup(&stored);
    }
    if wanted("commit") {
        commits(&stored);
    }
    if wanted("return") {
        returns(&stored, 1);
        returns(&stored, 50);
    }
    if wanted("first") {
        first(&history(&membership, 0), 10_000);
    }
    if wanted("lab") {
        replica_lab::commits();
    }
}
