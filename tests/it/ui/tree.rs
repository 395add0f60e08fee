//! Settings made by hand, for the cluster of [`super::scene::Scene::lab`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::settings::json;
use peerdeck::domain::settings::catalogue::{Kind, Path, Reference};
use peerdeck::domain::settings::{
    Catalogue, Content, Entry, Feature, Key, Levels, ModeId, Stamp, Tree, Value, Version, VersionId,
};
use peerdeck::domain::{GroupId, HostName, Line, MemberId};

use super::scene::NOW;

/// A tree that is being made up.
#[derive(Clone, Default)]
pub struct TreeScene {
    registers: BTreeMap<Key, Vec<Version>>,
    count: u32,
}

pub fn member(i: usize) -> MemberId {
    MemberId::new(&format!("m{i:04}"))
}

pub fn machine(i: usize) -> ModeId {
    ModeId::Machine(member(i))
}

/// The group with this number: `Main_Group`, `Paris`, `Rome`.
pub fn group(i: usize) -> ModeId {
    ModeId::Group(GroupId::new(&format!("g{i}")))
}

pub fn value(text: &str) -> Value {
    json::parse(text).unwrap()
}

/// A few features, so that pictures of them don't change with the real table.
pub fn catalogue() -> Arc<Catalogue> {
    let feature = |name: &str, title: &str, levels, factory: Option<&str>, references: Vec<Reference>| Feature {
        name: name.into(),
        title: Line::new(title),
        kind: Kind::Feature,
        levels,
        clusterable: true,
        factory: factory.map(|f| Arc::new(value(f))),
        references,
        // As in the real table, of one feature.
        secrets: if name == "userconfig" { vec![Path::new("*.password")] } else { vec![] },
        site: false,
    };
    let names_interface = Reference {
        path: Path::new("*.interface"),
        to: "interfaceconfig".into(),
        items: Path::default(),
        what: Line::new("IP interface"),
        except: vec![],
    };
    Arc::new(Catalogue::new([
        feature("addressconfig", "Address settings", Levels::Any, None, vec![]),
        feature("bounceconfig", "Bounce profiles", Levels::Any, Some("{\"retries\": 5}"), vec![]),
        feature("dnsconfig", "DNS servers", Levels::Any, Some("{\"servers\": []}"), vec![]),
        feature("interfaceconfig", "IP interfaces", Levels::MachineOnly, None, vec![]),
        feature("listenerconfig", "Listeners", Levels::Any, None, vec![names_interface]),
        feature("ntpconfig", "Time servers", Levels::Any, Some("{\"server\": \"pool.ntp.org\"}"), vec![]),
        feature("smtproutes", "SMTP routes", Levels::Any, Some("{}"), vec![]),
        feature("userconfig", "Users", Levels::ClusterOnly, None, vec![]),
    ]))
}

impl TreeScene {
    /// `n` machines in three groups, nothing set.
    pub fn bare(n: usize) -> Self {
        let mut scene = Self::default();
        let text = |t: &str| Content::Value(Arc::new(Value::text(t)));
        scene.write(Key::ClusterName, text("americas"), 90_000, 0);
        for (i, name) in ["Main_Group", "Paris", "Rome"].into_iter().enumerate() {
            let ModeId::Group(id) = group(i) else { unreachable!() };
            scene.write(Key::GroupName(id), text(name), 90_000 - i as u64, 0);
        }
        let per_group = n.div_ceil(3).max(1);
        for i in 0..n {
            let ModeId::Group(id) = group((i / per_group).min(2)) else { unreachable!() };
            let identity = Value::table([
                ("serial", Value::text(&format!("SN{i:04}"))),
                ("host", Value::text(HostName::new(&format!("lab{}.example.com", i + 1)).as_str())),
            ]);
            scene.write(Key::MachineIdentity(member(i)), Content::Value(Arc::new(identity)), 80_000, i);
            scene.write(Key::MachineGroup(member(i)), text(id.as_str()), 80_000, i);
        }
        scene
    }

    /// Of everything something: inherited, overridden, empty, not set, in conflict, named in vain.
    pub fn lab() -> Self {
        let mut scene = Self::bare(6);
        scene
            .set(&ModeId::Cluster, "smtproutes", "{\"example.org\": [\"mx1\", \"mx2\"]}", 7200, 0)
            .set(&group(1), "smtproutes", "{}", 3600, 2)
            .set(&machine(4), "smtproutes", "{\"example.org\": [\"mx9\"]}", 600, 4)
            .set(&ModeId::Cluster, "dnsconfig", "{\"servers\": [\"10.0.0.53\", \"10.0.1.53\"]}", 7100, 0)
            .also(&ModeId::Cluster, "dnsconfig", "{\"servers\": [\"192.0.2.53\"]}", 7150, 3)
            .set(&group(1), "bounceconfig", "{\"notify\": true, \"retries\": 3, \"sender\": \"mailer-daemon\"}", 500, 2)
            .set(&machine(0), "interfaceconfig", "{\"Management\": {\"ip\": \"10.0.0.1\"}}", 70_000, 0)
            .set(&ModeId::Cluster, "listenerconfig", "{\"In\": {\"interface\": \"Management\", \"port\": 25}}", 400, 1);
        scene
    }

    fn write(&mut self, key: Key, content: Content, seconds: u64, on: usize) -> &mut Self {
        self.registers.insert(key.clone(), vec![]);
        self.add(key, content, seconds, on)
    }

    fn add(&mut self, key: Key, content: Content, seconds: u64, on: usize) -> &mut Self {
        self.count += 1;
        let stamp = Stamp { at: NOW.before(Duration::from_secs(seconds)), count: self.count, on: member(on) };
        let id = VersionId::new(&format!("v{}", self.count));
        let version = Version { id, content, stamp, by: Line::new("admin") };
        self.registers.entry(key).or_default().push(version);
        self
    }

    /// Written by admin on this machine, so long ago.
    pub fn set(&mut self, mode: &ModeId, feature: &str, text: &str, seconds: u64, on: usize) -> &mut Self {
        let content = Content::Value(Arc::new(value(text)));
        self.write(Key::Feature(mode.clone(), feature.into()), content, seconds, on)
    }

    /// At the same time another value, elsewhere.
    pub fn also(&mut self, mode: &ModeId, feature: &str, text: &str, seconds: u64, on: usize) -> &mut Self {
        let content = Content::Value(Arc::new(value(text)));
        self.add(Key::Feature(mode.clone(), feature.into()), content, seconds, on)
    }

    pub fn build(&self) -> Arc<Tree> {
        let entries = self.registers.iter().map(|(key, versions)| (key.clone(), Entry::new(versions.clone()).unwrap()));
        Arc::new(Tree::new(Line::new("c0ffee"), entries))
    }
}
