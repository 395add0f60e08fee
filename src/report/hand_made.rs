//! A settings tree made by hand, for tests: three groups, six machines, an empty override and a conflict.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::ids::{BootId, ClusterName, FeatureName, GroupId, HostName, MemberId, PeerId};
use crate::domain::mesh::row::Row;
use crate::domain::observation::Health;
use crate::domain::reach::{Reach, ReachState};
use crate::domain::settings::catalogue::{Feature, Kind, Levels};
use crate::domain::settings::{Content, Entry, Holding, Key, ModeId, Stamp, Tree, Value, Version, VersionId};
use crate::domain::snapshot::{Cluster, Limits, Peer, Settings, Snapshot};
use crate::domain::text::Line;
use crate::domain::time::Time;

pub const NOW: Time = Time::from_millis(1_794_950_000_500);

pub fn gid(id: &str) -> GroupId {
    GroupId::new(id)
}

pub fn mid(id: &str) -> MemberId {
    MemberId::new(id)
}

pub fn feature(name: &str) -> FeatureName {
    FeatureName::new(name)
}

/// A version, written `seconds` before [`NOW`] on machine `on`.
pub fn version(id: &str, content: Content, seconds: u64, on: &str) -> Version {
    let at = Time::from_millis(NOW.as_millis() - seconds * 1000);
    let stamp = Stamp { at, count: 0, on: mid(on) };
    Version { id: VersionId::new(id), content, stamp, by: Line::new(&format!("admin from {on}")) }
}

pub fn of(value: Value) -> Content {
    Content::Value(Arc::new(value))
}

/// `{"example.com": ["<route>"]}`.
pub fn routes(route: &str) -> Value {
    Value::table([("example.com", Value::List(vec![Value::text(route)]))])
}

fn entry(versions: Vec<Version>) -> Entry {
    Entry::new(versions).unwrap()
}

fn one(id: &str, value: Value) -> Entry {
    entry(vec![version(id, of(value), 600, "m1")])
}

pub fn registers() -> BTreeMap<Key, Entry> {
    let mut all = BTreeMap::new();
    all.insert(Key::ClusterName, one("n", Value::text("americas")));
    for (id, name) in [("main", "Main_Group"), ("paris", "Paris"), ("rome", "Rome")] {
        all.insert(Key::GroupName(gid(id)), one(id, Value::text(name)));
    }
    for (n, group) in [(1, "main"), (2, "main"), (3, "paris"), (4, "paris"), (5, "paris"), (6, "rome")] {
        let id = mid(&format!("m{n}"));
        let identity = Value::table([
            ("serial", Value::text(&format!("SERIAL-{n}"))),
            ("host", Value::text(&format!("lab{n}.example.com"))),
        ]);
        all.insert(Key::MachineIdentity(id.clone()), one("i", identity));
        all.insert(Key::MachineGroup(id), one("g", Value::text(group)));
    }
    let smtproutes = |mode| Key::Feature(mode, feature("smtproutes"));
    all.insert(smtproutes(ModeId::Cluster), one("c1", routes("mx1")));
    all.insert(smtproutes(ModeId::Group(gid("paris"))), one("p1", Value::table([])));
    all.insert(smtproutes(ModeId::Machine(mid("m5"))), one("m1", routes("mx5")));
    let back = vec![version("b1", Content::Inherits, 300, "m3")];
    all.insert(smtproutes(ModeId::Machine(mid("m3"))), entry(back));
    let dns = vec![
        version("d2", of(Value::table([("server", Value::text("10.0.0.2"))])), 120, "m2"),
        version("d4", of(Value::table([("server", Value::text("10.0.0.4"))])), 60, "m4"),
    ];
    all.insert(Key::Feature(ModeId::Cluster, feature("dnsconfig")), entry(dns));
    all
}

pub fn tree() -> Tree {
    Tree::new(Line::new("c-1"), registers())
}

/// With one more group.
pub fn with_group(id: &str, name: &str) -> Tree {
    let mut all = registers();
    all.insert(Key::GroupName(gid(id)), one("x", Value::text(name)));
    Tree::new(Line::new("c-1"), all)
}

/// A picture of the cluster with `tree`, told by lab1.
pub fn snapshot(tree: Tree) -> Snapshot {
    let holding = |have: u64, digest: &str| Holding {
        digest: Line::new(digest),
        have: BTreeMap::from([(Line::new("actor-1"), have)]),
        changes: 7,
        bytes: 4096,
        trouble: Line::default(),
    };
    let peers: Vec<Arc<Peer>> = tree
        .structure()
        .members
        .iter()
        .map(|m| {
            let mut reach = Reach::new(NOW);
            reach.state = ReachState::Connected;
            reach.heard = Some(NOW);
            Arc::new(Peer {
                id: m.machine.id.clone(),
                host: m.machine.host.clone(),
                group: Some(m.machine.group.clone()),
                observed: true,
                reach,
                identity: None,
                row: Some(Arc::new(row(&m.machine.id, m.machine.host == HostName::new("lab4.example.com")))),
                confirmed: NOW,
                cells: [].into(),
                pulses: [].into(),
                health: Health::default(),
                holding: match m.machine.host.short() {
                    "lab4" => Some(Arc::new(holding(2, "other"))),
                    "lab6" => None,
                    _ => Some(Arc::new(holding(3, "same"))),
                },
                ha: None,
                sessions: [].into(),
            })
        })
        .collect();
    let index = peers.iter().enumerate().map(|(i, p)| (p.id.clone(), i)).collect();
    let groups = tree.structure().groups.iter().map(|(_, name)| name.clone()).collect();
    let settings =
        Settings { tree: Arc::new(tree), source: PeerId::new("SERIAL-1"), digest: Line::new("same"), at: NOW };
    let cluster = Cluster {
        name: ClusterName::new("americas"),
        groups,
        peers,
        index: Arc::new(index),
        membership_revision: Some(1),
        verdicts: Arc::default(),
        findings: Arc::default(),
        settings: Some(Arc::new(settings)),
        catalogue: Arc::default(),
        commits: Arc::default(),
        limits: Limits::default(),
        changes: 0,
    };
    Snapshot { at: NOW, generation: 1, clusters: vec![Arc::new(cluster)], events: Arc::default(), dropped: 0 }
}

fn row(origin: &PeerId, detached: bool) -> Row {
    Row {
        origin: origin.clone(),
        boot: BootId(1),
        seq: 1,
        vouched: NOW,
        via: None,
        detached: detached.then_some(NOW),
        maintenance: None,
        level: 1,
        links: Vec::new(),
    }
}

/// A feature that may be defined anywhere and has no factory default.
pub fn known(name: &str) -> Feature {
    Feature {
        name: feature(name),
        title: Line::new(name),
        kind: Kind::Feature,
        levels: Levels::Any,
        clusterable: true,
        factory: None,
        references: Vec::new(),
        secrets: Vec::new(),
        site: false,
    }
}
