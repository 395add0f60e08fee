//! A machine that is in no cluster: what it may configure, the cluster that is made of it, and what stays of a cluster
//! when its last machine leaves.

use peerdeck::domain::ids::{GroupId, MemberId};
use peerdeck::domain::settings::{Content, Edit, Effective, Key, Level, ModeId, Tree, Value, rules};
use proptest::prelude::*;

use super::made::*;

/// lab1, as a peer founds its settings that was given no membership.
fn lone() -> Tree {
    let registers = [
        (Key::ClusterName, entry(1, says(Value::text("")))),
        (Key::GroupName("g1".into()), entry(1, says(Value::text("Main_Group")))),
        (Key::MachineIdentity("m1".into()), entry(1, says(identity("S1", "lab1.example.com")))),
        (Key::MachineGroup("m1".into()), entry(1, says(Value::text("g1")))),
    ];
    Tree::new("c1".into(), registers)
}

fn create(name: &str) -> Edit {
    Edit::Create { name: name.into() }
}

fn all_effective(tree: &Tree) -> Vec<Effective> {
    FEATURES.iter().map(|f| rules::effective(tree, &catalogue(), &"m1".into(), &feature(f))).collect()
}

fn values(tree: &Tree) -> Vec<Option<Value>> {
    all_effective(tree).into_iter().map(|e| e.value.map(|v| Value::clone(&v))).collect()
}

/// As one who never was in a cluster: one group, itself, and nothing above it.
fn is_like_new(tree: &Tree) -> bool {
    let s = tree.structure();
    let above = |(key, entry): (&Key, &peerdeck::domain::settings::Entry)| {
        matches!(key, Key::Feature(ModeId::Cluster | ModeId::Group(_), _))
            && entry.effective().content != Content::Inherits
    };
    let groups: Vec<&str> = s.groups.iter().map(|(_, name)| name.as_str()).collect();
    s.is_alone() && groups == ["Main_Group"] && s.mended.is_empty() && !tree.registers().any(above)
}

#[test]
fn c3_a_machine_in_no_cluster_has_its_own_level_only() {
    let tree = lone();
    assert!(is_like_new(&tree));
    let modes: Vec<ModeId> = tree.modes().into_iter().map(|m| m.id).collect();
    assert_eq!(modes, [machine("m1")]);
    // Whatever the level that a cluster would have it at.
    let own: Vec<Edit> =
        FEATURES.iter().filter(|f| **f != "unknown").map(|f| set(&machine("m1"), f, Value::text(f))).collect();
    let set_all = done(&tree, &own);
    assert_eq!(*value_at(&set_all, "m1", "userconfig").unwrap(), Value::text("userconfig"));
    for mode in [ModeId::Cluster, group("g1")] {
        let why = refused(&tree, &[set(&mode, "smtproutes", Value::text("x"))]);
        assert!(why.contains("lab1.example.com is in no cluster") && why.contains("peerdeck create NAME"), "{why}");
        assert!(refused(&tree, &[unset(&mode, "smtproutes")]).contains("is in no cluster"));
    }
    let structural = [
        Edit::SetName { name: "x".into() },
        Edit::AddGroup { name: "x".into() },
        Edit::RenameGroup { group: "g1".into(), name: "x".into() },
        Edit::DeleteGroup { group: "g1".into(), into: "g1".into() },
        Edit::SetGroup { machine: "m1".into(), group: "g1".into() },
        Edit::RemoveMachine { machine: "m1".into() },
    ];
    for edit in structural {
        let why = refused(&tree, std::slice::from_ref(&edit));
        assert!(why.contains("is in no cluster"), "{edit:?}: {why}");
    }
    let host = Edit::SetHost { machine: "m1".into(), host: "mx1".into(), address: "mx1".into() };
    assert!(is_like_new(&done(&tree, &[host])), "its name is its own");
}

#[test]
fn c3_what_makes_no_sense_above_the_machine_stays_there() {
    let own = |f: &'static str| (machine("m1"), f, Value::text(f));
    let tree =
        with(lone(), [own("smtproutes"), own("userconfig"), own("settz"), own("interfaceconfig"), own("unknown")]);
    let after = done(&tree, &[create("europe")]);
    let s = after.structure();
    assert_eq!((s.name.as_str(), s.members.len(), s.is_alone()), ("europe", 1, false));
    assert_eq!((s.members[0].group.as_str(), s.groups[0].1.as_str()), ("g1", "Main_Group"));
    let at = |mode: &ModeId, f: &str| after.defined(mode, &feature(f)).is_some();
    for (name, level) in [
        ("smtproutes", Level::Cluster),
        ("userconfig", Level::Cluster),
        ("settz", Level::Cluster),
        ("interfaceconfig", Level::Machine),
        ("unknown", Level::Machine),
    ] {
        let is = (at(&ModeId::Cluster, name), at(&machine("m1"), name));
        assert_eq!(is, (level == Level::Cluster, level == Level::Machine), "{name}");
    }
    assert!(refused(&after, &[create("again")]).contains("there is a cluster already, europe"));
    assert!(refused(&tree, &[create("")]).contains("1 to 253"));
    let both = [create("europe"), set(&machine("m1"), "userconfig", Value::text("x"))];
    assert!(refused(&tree, &both).contains("a commit of its own"));
    assert!(refused(&americas(), &[create("x")]).contains("there is a cluster already, americas"));
}

#[test]
fn c14_the_last_machine_leaves_no_cluster_behind_and_may_make_another() {
    let tree = with(
        done(&lone(), &[create("europe")]),
        [
            (ModeId::Cluster, "smtproutes", Value::text("all")),
            (group("g1"), "dnsconfig", Value::text("main")),
            (machine("m1"), "interfaceconfig", Value::text("own")),
        ],
    );
    let named = Edit::RenameGroup { group: "g1".into(), name: "Paris".into() };
    let tree = done(&done(&tree, &[Edit::AddGroup { name: "Rome".into() }]), &[named]);
    let remove = Edit::RemoveMachine { machine: "m1".into() };
    let after = done(&tree, std::slice::from_ref(&remove));
    assert!(is_like_new(&after), "{:?}", after.structure());
    assert_eq!(values(&tree), values(&after));
    assert!(refused(&after, &[remove]).contains("there is nothing to leave"));
    let again = done(&after, &[create("africa")]);
    assert_eq!((again.structure().name.as_str(), values(&again)), ("africa", values(&tree)));
    // Where the main group is another one, it is the one that stays.
    let moved = [
        Edit::SetGroup { machine: "m1".into(), group: "g2".into() },
        Edit::RemoveMachine { machine: "m2".into() },
        Edit::RemoveMachine { machine: "m3".into() },
        Edit::RemoveMachine { machine: "m4".into() },
        Edit::RemoveMachine { machine: "m5".into() },
        Edit::RemoveMachine { machine: "m6".into() },
        Edit::RemoveMachine { machine: "m1".into() },
    ];
    let after = done(&americas(), &moved);
    assert!(is_like_new(&after), "{:?}", after.structure());
    assert_eq!(after.structure().members[0].group, GroupId::new("g1"));
}

proptest! {
    #![proptest_config(cases())]

    /// C3: what applied before applies after.
    #[test]
    fn c3_a_cluster_that_is_made_changes_no_effective_setting(
        settings in proptest::collection::vec((feature_name(), small_value()), 0..12),
        taken_back in proptest::collection::vec(feature_name(), 0..3),
    ) {
        let mut tree = lone();
        let own = machine("m1");
        tree.update(settings.into_iter().map(|(f, v)| (Key::Feature(own.clone(), f), Some(entry(50, says(v))))));
        tree.update(taken_back.into_iter().map(|f| (Key::Feature(own.clone(), f), Some(entry(60, Content::Inherits)))));
        let after = done(&tree, &[create("europe")]);
        prop_assert_eq!(values(&tree), values(&after));
        prop_assert_eq!(rules::effects(&tree, &after, &catalogue()), []);
        // And back, and again.
        let alone = done(&after, &[Edit::RemoveMachine { machine: MemberId::new("m1") }]);
        prop_assert!(is_like_new(&alone), "{:?}", alone.structure());
        prop_assert_eq!(values(&tree), values(&alone));
        prop_assert_eq!(values(&tree), values(&done(&alone, &[create("africa")])));
    }

    /// C14: whatever the cluster of one machine has, nothing changes for it when it leaves.
    #[test]
    fn c14_the_last_machine_keeps_what_applied(
        settings in proptest::collection::vec((0..3u8, feature_name(), small_value()), 0..16),
    ) {
        let mut tree = done(&lone(), &[create("europe")]);
        let at = |n: u8| [ModeId::Cluster, group("g1"), machine("m1")][usize::from(n)].clone();
        tree.update(settings.into_iter().map(|(n, f, v)| (Key::Feature(at(n), f), Some(entry(50, says(v))))));
        let after = done(&tree, &[Edit::RemoveMachine { machine: MemberId::new("m1") }]);
        prop_assert!(is_like_new(&after), "{:?}", after.structure());
        prop_assert_eq!(values(&tree), values(&after));
        prop_assert_eq!(rules::effects(&tree, &after, &catalogue()), []);
    }
}
