//! Trees that are made up: one that reads well, and any at all.

use std::sync::Arc;

use peerdeck::domain::ids::{FeatureName, GroupId, MemberId};
use peerdeck::domain::settings::rules;
use peerdeck::domain::settings::{
    Catalogue, Content, Edit, Entry, Key, ModeId, Stamp, Tree, Value, Version, VersionId,
};
use peerdeck::domain::text::Line;
use peerdeck::domain::time::Time;
use proptest::prelude::*;

/// Fewer cases than usual: most of them have many machines and settings. `PROPTEST_CASES` asks for more.
pub fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() { usual } else { ProptestConfig { cases: 48, ..usual } }
}

/// Any level, cluster only, machine only, cluster or group; with and without a factory default.
pub const FEATURES: [&str; 8] =
    ["smtproutes", "dnsconfig", "listenerconfig", "textconfig", "interfaceconfig", "userconfig", "settz", "unknown"];

pub fn catalogue() -> Arc<Catalogue> {
    peerdeck::proto::features::built_in()
}

pub fn feature(name: &str) -> FeatureName {
    FeatureName::new(name)
}

pub fn group(id: &str) -> ModeId {
    ModeId::Group(GroupId::new(id))
}

pub fn machine(id: &str) -> ModeId {
    ModeId::Machine(MemberId::new(id))
}

pub fn key(mode: &ModeId, name: &str) -> Key {
    Key::Feature(mode.clone(), feature(name))
}

pub fn says(value: Value) -> Content {
    Content::Value(Arc::new(value))
}

pub fn version(id: &str, at: u64, on: &str, content: Content) -> Version {
    let stamp = Stamp { at: Time::from_millis(at), count: 0, on: MemberId::new(on) };
    Version { id: VersionId::new(id), content, stamp, by: "admin".into() }
}

/// One version, written at `at`.
pub fn entry(at: u64, content: Content) -> Entry {
    Entry::new(vec![version(&format!("v{at}"), at, "m1", content)]).unwrap()
}

pub fn identity(serial: &str, host: &str) -> Value {
    Value::table([
        ("serial", Value::text(serial)),
        ("host", Value::text(host)),
        ("address", Value::text(host)),
        ("port", Value::Int(22)),
        ("machine-key", Value::text("ssh-ed25519 AAAA")),
    ])
}

/// `americas`: `Main_Group` (g1) with lab1 and lab2, Paris (g2) with lab3 and lab4, Rome (g3) with lab5 and lab6;
/// memberships m1 to m6. No settings.
pub fn americas() -> Tree {
    let mut registers = vec![(Key::ClusterName, entry(1, says(Value::text("americas"))))];
    for (i, name) in [(1, "Main_Group"), (2, "Paris"), (3, "Rome")] {
        registers.push((Key::GroupName(GroupId::new(&format!("g{i}"))), entry(i, says(Value::text(name)))));
    }
    for i in 1..=6u64 {
        let id = MemberId::new(&format!("m{i}"));
        let identity = identity(&format!("S{i}"), &format!("lab{i}.example.com"));
        registers.push((Key::MachineIdentity(id.clone()), entry(i, says(identity))));
        registers.push((Key::MachineGroup(id), entry(i, says(Value::text(&format!("g{}", i.div_ceil(2)))))));
    }
    Tree::new("c1".into(), registers)
}

/// `tree` with these settings.
pub fn with<const N: usize>(mut tree: Tree, settings: [(ModeId, &str, Value); N]) -> Tree {
    tree.update(settings.map(|(mode, name, value)| (key(&mode, name), Some(entry(100, says(value))))));
    tree
}

/// Ids n1, n2 and so on.
pub fn ids() -> impl FnMut() -> GroupId {
    let mut n = 0;
    move || {
        n += 1;
        GroupId::new(&format!("n{n}"))
    }
}

pub fn writes(tree: &Tree, edits: &[Edit]) -> Result<Vec<(Key, Content)>, Line> {
    rules::writes(tree, &catalogue(), edits, &mut ids())
}

/// The tree after edits that must be taken.
pub fn done(tree: &Tree, edits: &[Edit]) -> Tree {
    rules::after(tree, &writes(tree, edits).unwrap())
}

/// Why edits are refused.
pub fn refused(tree: &Tree, edits: &[Edit]) -> String {
    writes(tree, edits).unwrap_err().to_string()
}

pub fn set(mode: &ModeId, name: &str, value: Value) -> Edit {
    Edit::Set { mode: mode.clone(), feature: feature(name), value: Arc::new(value) }
}

pub fn unset(mode: &ModeId, name: &str) -> Edit {
    Edit::Unset { mode: mode.clone(), feature: feature(name) }
}

pub fn value_at(tree: &Tree, machine: &str, name: &str) -> Option<Arc<Value>> {
    rules::effective(tree, &catalogue(), &MemberId::new(machine), &feature(name)).value
}

pub fn group_id() -> impl Strategy<Value = GroupId> {
    (1..5u8).prop_map(|i| GroupId::new(&format!("g{i}")))
}

pub fn member_id() -> impl Strategy<Value = MemberId> {
    (1..7u8).prop_map(|i| MemberId::new(&format!("m{i}")))
}

pub fn mode() -> impl Strategy<Value = ModeId> {
    prop_oneof![
        Just(ModeId::Cluster),
        group_id().prop_map(ModeId::Group),
        member_id().prop_map(ModeId::Machine),
        member_id().prop_map(ModeId::Machine),
    ]
}

pub fn feature_name() -> impl Strategy<Value = FeatureName> {
    proptest::sample::select(&FEATURES[..]).prop_map(FeatureName::new)
}

/// Few different ones, so that equal ones meet.
pub fn small_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::table([])),
        Just(Value::text("")),
        (0..3i64).prop_map(|n| Value::table([("a", Value::Int(n))])),
        (0..3i64).prop_map(|n| Value::List(vec![Value::Int(n)])),
    ]
}

fn small_content() -> impl Strategy<Value = Content> {
    prop_oneof![1 => Just(Content::Inherits), 3 => small_value().prop_map(says)]
}

/// Versions of a register that say one of `contents`.
fn versions(content: impl Strategy<Value = Content>) -> impl Strategy<Value = Vec<Version>> {
    let one = (content, 1..6u64, 0..2u32, member_id());
    proptest::collection::vec(one, 1..4).prop_map(|all| {
        let make = |(i, (content, at, count, on)): (usize, (Content, u64, u32, MemberId))| {
            let stamp = Stamp { at: Time::from_millis(at), count, on };
            Version { id: VersionId::new(&format!("v{i}")), content, stamp, by: "admin".into() }
        };
        all.into_iter().enumerate().map(make).collect()
    })
}

type Register = (Key, Vec<Version>);

fn texts(texts: &'static [&'static str]) -> impl Strategy<Value = Content> {
    proptest::sample::select(texts).prop_map(|t| says(Value::text(t)))
}

/// Any structure and any settings: deleted groups, unknown ones, equal names, machines that joined twice.
pub fn registers() -> impl Strategy<Value = Vec<Register>> {
    let group = || texts(&["g1", "g2", "g3", "g4", "g9"]);
    let name = (group_id(), versions(texts(&["Paris", "Rome", "", "Paris-2"])));
    let deleted = (group_id(), versions(prop_oneof![Just(Content::Inherits), group()]));
    let identity = (member_id(), 1..8u8).prop_map(|(id, serial)| {
        let content = says(identity(&format!("S{serial}"), &format!("lab{serial}.example.com")));
        (Key::MachineIdentity(id), vec![version("i", u64::from(serial), "m1", content)])
    });
    let place = (member_id(), versions(group()));
    let removed = (member_id(), versions(prop_oneof![Just(Content::Inherits), Just(says(Value::Bool(true)))]));
    let setting = (mode(), feature_name(), versions(small_content()));
    let some = |most: usize| 0..most;
    (
        proptest::collection::vec(name.prop_map(|(id, v)| (Key::GroupName(id), v)), some(6)),
        proptest::collection::vec(deleted.prop_map(|(id, v)| (Key::GroupDeleted(id), v)), some(4)),
        proptest::collection::vec(identity, some(8)),
        proptest::collection::vec(place.prop_map(|(id, v)| (Key::MachineGroup(id), v)), some(8)),
        proptest::collection::vec(removed.prop_map(|(id, v)| (Key::MachineRemoved(id), v)), some(3)),
        proptest::collection::vec(setting.prop_map(|(mode, f, v)| (Key::Feature(mode, f), v)), some(40)),
    )
        .prop_map(|(a, b, c, d, e, f)| {
            // One register for each key: the last counts.
            let all = [a, b, c, d, e, f].into_iter().flatten();
            all.collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
        })
}

pub fn tree_of(registers: &[Register]) -> Tree {
    let entries = registers.iter().map(|(key, versions)| (key.clone(), Entry::new(versions.clone()).unwrap()));
    Tree::new("c1".into(), entries)
}

pub fn any_tree() -> impl Strategy<Value = Tree> {
    registers().prop_map(|r| tree_of(&r))
}

/// `americas` with any settings.
pub fn any_americas() -> impl Strategy<Value = Tree> {
    proptest::collection::vec((mode(), feature_name(), versions(small_content())), 0..60).prop_map(|settings| {
        let mut tree = americas();
        let registers = settings.into_iter().map(|(mode, f, v)| (Key::Feature(mode, f), Entry::new(v)));
        tree.update(registers);
        tree
    })
}

/// Any edit but those that settle conflicts, which need one.
pub fn any_edit() -> impl Strategy<Value = Edit> {
    let name = || proptest::sample::select(&["Paris", "Oslo", "Lima", "", "a/b", "Cluster"][..]);
    prop_oneof![
        4 => (mode(), feature_name(), small_value())
            .prop_map(|(mode, feature, value)| Edit::Set { mode, feature, value: Arc::new(value) }),
        3 => (mode(), feature_name()).prop_map(|(mode, feature)| Edit::Unset { mode, feature }),
        1 => name().prop_map(|n| Edit::SetName { name: n.into() }),
        1 => name().prop_map(|n| Edit::AddGroup { name: n.into() }),
        1 => (group_id(), name()).prop_map(|(group, n)| Edit::RenameGroup { group, name: n.into() }),
        1 => (group_id(), group_id()).prop_map(|(group, into)| Edit::DeleteGroup { group, into }),
        2 => (member_id(), group_id()).prop_map(|(machine, group)| Edit::SetGroup { machine, group }),
        1 => member_id().prop_map(|machine| Edit::RemoveMachine { machine }),
        1 => (member_id(), 1..9u8).prop_map(|(machine, n)| {
            let host = format!("lab{n}.example.com");
            Edit::SetHost { machine, host: host.as_str().into(), address: host.as_str().into() }
        }),
    ]
}

/// Every feature that anybody could ask about.
pub fn all_features(trees: &[&Tree]) -> Vec<FeatureName> {
    let mut all: Vec<FeatureName> = catalogue().settings().map(|f| f.name.clone()).collect();
    all.extend(FEATURES.map(feature));
    for tree in trees {
        all.extend(tree.registers().filter_map(|(key, _)| match key {
            Key::Feature(_, f) => Some(f.clone()),
            _ => None,
        }));
    }
    all.sort();
    all.dedup();
    all
}
