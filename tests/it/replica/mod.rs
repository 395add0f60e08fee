//! The replicated settings: one document, many peers (C16, C18, C22, C23, C32).

mod basics;
mod hostile;
mod mending;
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peerdeck::daemon::replica::{Batch, Config, Note, Replica, ReplicaError, Signing, StoredChange};
use peerdeck::domain::ids::{ClusterName, FeatureName, GroupName, HostName, MemberId, PeerId};
use peerdeck::domain::membership::{Addressing, Machine, Membership};
use peerdeck::domain::settings::{Content, Key, ModeId, Value};
use peerdeck::domain::text::Line;
use peerdeck::domain::time::Time;
use ring::digest::{SHA256, digest};

/// A signature is the hash of the public key and the message: deterministic, and wrong for any other key.
pub struct Fake(pub String);

impl Signing for Fake {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        digest(&SHA256, &[self.0.as_bytes(), message].concat()).as_ref().to_vec()
    }

    fn verify(&self, public_key: &str, message: &[u8], signature: &[u8]) -> bool {
        digest(&SHA256, &[public_key.as_bytes(), message].concat()).as_ref() == signature
    }
}

pub const NOON: u64 = 1_800_000_000_000;

pub fn peer(n: usize) -> PeerId {
    PeerId::new(&format!("SERIAL{n}"))
}

pub fn machine_key(n: usize) -> String {
    format!("ssh-ed25519 AAAAkey{n}")
}

/// A cluster of `n` machines in two groups.
pub fn membership(id: &str, n: usize) -> Membership {
    let group = |i: usize| GroupName::new(if i.is_multiple_of(2) { "Main_Group" } else { "Paris" });
    let machine = |i: usize| Machine {
        id: peer(i),
        host: HostName::new(&format!("lab{i}.example.com")),
        group: group(i),
        address: HostName::new(&format!("lab{i}.example.com")),
        port: 22,
        machine_key: Line::new(&machine_key(i)),
        host_key: Line::new(&format!("ssh-ed25519 AAAAhost{i}")),
    };
    let mut membership = Membership {
        cluster_id: Line::new(id),
        name: ClusterName::new("americas"),
        revision: 7,
        addressing: Addressing::HostName,
        groups: vec![GroupName::new("Main_Group"), GroupName::new("Paris")],
        machines: (0..n).map(|i| Arc::new(machine(i))).collect(),
    };
    membership.sort();
    membership
}

pub fn config(n: usize, seed: u64) -> Config {
    Config {
        peer: peer(n),
        host: HostName::new(&format!("lab{n}.example.com")),
        actor: None,
        seed,
        signing: Arc::new(Fake(machine_key(n))),
    }
}

/// A peer with its disk.
pub struct Site {
    pub n: usize,
    pub replica: Replica,
    pub disk: Vec<StoredChange>,
    pub notes: Vec<Note>,
}

impl Site {
    pub fn new(cluster: &Membership, n: usize) -> Self {
        let (replica, batch) = Replica::found(config(n, n as u64), cluster).unwrap();
        Self { n, replica, disk: batch.changes, notes: Vec::new() }
    }

    /// Starts anew from its disk, with the actor that it had.
    pub fn restart(&mut self) {
        let config = Config { actor: Some(self.replica.actor()), ..config(self.n, 1_000 + self.n as u64) };
        self.replica = Replica::load(config, self.disk.clone()).unwrap();
    }

    pub fn keep(&mut self, batch: Batch) {
        self.disk.retain(|c| !batch.forget.contains(&c.hash));
        self.disk.extend(batch.changes);
        self.notes.extend(batch.notes);
        self.replica.kept(batch.id);
    }

    pub fn commit_at(&mut self, wall: u64, writes: &[(Key, Content)]) -> Result<(), ReplicaError> {
        let batch = self.replica.commit(Time::from_millis(wall), &Line::new("ann"), &Line::new("why"), writes)?;
        self.keep(batch);
        Ok(())
    }

    pub fn set(&mut self, wall: u64, feature: &str, value: i64) {
        self.commit_at(wall, &[set(feature, value)]).unwrap();
    }

    pub fn values(&self, feature: &str) -> Vec<i64> {
        let Some(entry) = self.replica.tree().entry(&key(feature)) else { return Vec::new() };
        entry.versions().iter().filter_map(|v| v.content.value()?.as_int()).collect()
    }

    pub fn member(&self) -> MemberId {
        self.replica.member().unwrap().clone()
    }

    pub fn digest(&self) -> Line {
        self.replica.holding().digest.clone()
    }

    pub fn refusals(&self) -> Vec<String> {
        self.notes.iter().filter(|n| matches!(n, Note::Refused { .. })).map(Note::to_string).collect()
    }
}

pub fn key(feature: &str) -> Key {
    Key::Feature(ModeId::Cluster, FeatureName::new(feature))
}

pub fn set(feature: &str, value: i64) -> (Key, Content) {
    (key(feature), Content::Value(Value::Int(value).into()))
}

pub fn remove(member: &MemberId) -> (Key, Content) {
    (Key::MachineRemoved(member.clone()), Content::Value(Value::Bool(true).into()))
}

pub fn sites(n: usize) -> Vec<Site> {
    let cluster = membership("c1", n);
    (0..n).map(|i| Site::new(&cluster, i)).collect()
}

/// Links two peers anew and lets them talk until both have nothing to say. Returns the number of messages.
pub fn sync(sites: &mut [Site], a: usize, b: usize) -> usize {
    let (pa, pb) = (peer(sites[a].n), peer(sites[b].n));
    sites[a].replica.connect(&pb);
    sites[b].replica.connect(&pa);
    let count = talk(sites, a, b);
    sites[a].replica.disconnect(&pb);
    sites[b].replica.disconnect(&pa);
    count
}

/// Lets two connected peers talk until both have nothing to say.
pub fn talk(sites: &mut [Site], a: usize, b: usize) -> usize {
    let mut count = 0;
    loop {
        let mut silent = true;
        for (from, to) in [(a, b), (b, a)] {
            let (pf, pt) = (peer(sites[from].n), peer(sites[to].n));
            while let Some(message) = sites[from].replica.poll(&pt) {
                silent = false;
                count += 1;
                assert!(count < 1_000, "they never stop talking");
                let batch = sites[to].replica.receive(&pf, &message, Time::from_millis(NOON)).unwrap();
                sites[to].keep(batch);
            }
        }
        if silent {
            return count;
        }
    }
}

/// Every two of these talk, until nothing moves any more.
pub fn mix(sites: &mut [Site], those: &[usize]) {
    loop {
        let before: Vec<Line> = those.iter().map(|i| sites[*i].digest()).collect();
        for (at, a) in those.iter().enumerate() {
            for b in &those[at + 1..] {
                sync(sites, *a, *b);
            }
        }
        if those.iter().map(|i| sites[*i].digest()).collect::<Vec<_>>() == before {
            break;
        }
    }
}

pub fn assert_equal(sites: &[Site]) {
    for site in &sites[1..] {
        assert_eq!(site.replica.holding(), sites[0].replica.holding(), "peer {}", site.n);
        assert_eq!(site.replica.tree(), sites[0].replica.tree(), "peer {}", site.n);
        assert_eq!(site.replica.revision(), sites[0].replica.revision(), "peer {}", site.n);
        let loaded = Replica::load(config(site.n, 5), site.disk.clone()).unwrap();
        assert_eq!(loaded.tree(), site.replica.tree(), "peer {} after a restart", site.n);
    }
}

/// Which values of a feature stand in its history.
pub fn past(site: &Site, feature: &str) -> BTreeMap<i64, bool> {
    let all = site.replica.history(Some(&key(feature)), 1_000);
    all.into_iter().filter_map(|p| Some((p.version.content.value()?.as_int()?, p.stands))).collect()
}

pub fn features(site: &Site) -> BTreeSet<String> {
    site.replica.tree().at(&ModeId::Cluster).map(|(f, _)| f.to_string()).collect()
}
