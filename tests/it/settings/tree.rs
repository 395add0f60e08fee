use std::collections::BTreeSet;

use peerdeck::domain::ids::{GroupId, GroupName, MemberId};
use peerdeck::domain::settings::{Content, Entry, Key, ModeId, Origin, Tree, Value, rules};
use proptest::prelude::*;

use super::made::*;

proptest! {
    #![proptest_config(cases())]

    /// Machine, group, cluster, factory: in that order, whatever there is.
    #[test]
    fn c2_inheritance_is_machine_group_cluster_factory(tree in any_tree()) {
        let catalogue = catalogue();
        for member in &tree.structure().members {
            for name in all_features(&[&tree]) {
                let found = rules::effective(&tree, &catalogue, &member.id, &name);
                let modes = [ModeId::Machine(member.id.clone()), ModeId::Group(member.group.clone()), ModeId::Cluster];
                let defined = modes.into_iter().find_map(|mode| {
                    let wanted = Key::Feature(mode.clone(), name.clone());
                    // Not by the tree's own look-up: by a search through all that it holds.
                    let (_, entry) = tree.registers().find(|(key, _)| **key == wanted)?;
                    match &entry.effective().content {
                        Content::Value(value) => Some((Some(value.clone()), Origin::Mode(mode))),
                        Content::Inherits => None,
                    }
                });
                let factory = catalogue.feature(&name).and_then(|f| f.factory.clone());
                let (value, origin) = defined.unwrap_or((factory, Origin::Factory));
                prop_assert_eq!(found.value, value);
                prop_assert_eq!(found.origin, origin);
            }
        }
    }

    /// Neither the order of registers nor that of versions, nor how they came, makes a difference.
    #[test]
    fn c18_the_order_of_registers_does_not_matter(registers in registers(), seed in any::<u64>()) {
        let whole = tree_of(&registers);
        let mut shuffled = registers;
        shuffled.sort_by_key(|(key, _)| {
            let mut hasher = std::hash::DefaultHasher::new();
            std::hash::Hash::hash(&(seed, key), &mut hasher);
            std::hash::Hasher::finish(&hasher)
        });
        for (_, versions) in &mut shuffled {
            versions.reverse();
        }
        prop_assert_eq!(&tree_of(&shuffled), &whole);
        let mut grown = Tree::new("c1".into(), []);
        for (key, versions) in &shuffled {
            grown.update([(key.clone(), Entry::new(versions.clone()))]);
        }
        prop_assert_eq!(&grown, &whole);
        prop_assert_eq!(grown.structure(), whole.structure());
        let count = whole.registers().len();
        prop_assert_eq!(whole.registers().count(), count);
        let keys: Vec<&Key> = whole.registers().map(|(key, _)| key).collect();
        prop_assert!(keys.is_sorted());
    }

    /// A copy of a tree shares what is the same, and is none the less a copy.
    #[test]
    fn a_clone_does_not_feel_what_happens_to_the_other(first in registers(), second in registers()) {
        let before = tree_of(&first);
        let kept = before.clone();
        let mut changed = before.clone();
        let gone = before.registers().map(|(key, _)| (key.clone(), None)).collect::<Vec<_>>();
        changed.update(gone);
        prop_assert_eq!(changed.registers().len(), 0);
        prop_assert_eq!(&changed, &Tree::new("c1".into(), []));
        changed.update(second.iter().map(|(key, v)| (key.clone(), Entry::new(v.clone()))));
        prop_assert_eq!(&changed, &tree_of(&second));
        prop_assert_eq!(&before, &kept);
        prop_assert_eq!(&before, &tree_of(&first));
    }

    #[test]
    fn c1_every_machine_is_in_exactly_one_group(tree in any_tree()) {
        let s = tree.structure();
        let named = tree.registers().any(|(key, _)| matches!(key, Key::GroupName(_)));
        prop_assert_eq!(s.groups.is_empty(), !named, "a group stays if there ever was one");
        let names: BTreeSet<&GroupName> = s.groups.iter().map(|(_, name)| name).collect();
        prop_assert_eq!(names.len(), s.groups.len());
        prop_assert!(names.iter().all(|name| !name.as_str().is_empty()));
        let serials: BTreeSet<_> = s.members.iter().map(|m| &m.machine.id).collect();
        prop_assert_eq!(serials.len(), s.members.len());
        for m in &s.members {
            prop_assert_eq!(s.group(&m.group), Some(&m.machine.group));
            prop_assert_eq!(s.member(&m.id), Some(m));
            prop_assert_eq!(s.member_of(&m.machine.id), Some(m));
        }
        // Whoever joined and was not removed is a member, if there is a group at all.
        for (key, entry) in tree.registers() {
            let Key::MachineIdentity(id) = key else { continue };
            let removed = tree.entry(&Key::MachineRemoved(id.clone()));
            if removed.is_some_and(|e| e.effective().content.value().is_some()) || !named {
                prop_assert!(s.member(id).is_none());
            } else {
                let serial = entry.effective().content.value().unwrap().field("serial").unwrap().as_text().unwrap();
                prop_assert!(s.members.iter().any(|m| m.machine.id.as_str() == serial));
            }
        }
        let listed: Vec<_> = tree.modes().into_iter().map(|m| m.id).collect();
        prop_assert_eq!(listed.len(), if s.is_alone() { 1 } else { 1 + s.groups.len() + s.members.len() });
    }
}

fn deleted(group: &str, into: &str) -> (Key, Option<Entry>) {
    (Key::GroupDeleted(GroupId::new(group)), Some(entry(50, says(Value::text(into)))))
}

fn place(tree: &Tree, machine: &str) -> String {
    tree.structure().members.iter().find(|m| m.id.as_str() == machine).unwrap().group.to_string()
}

#[test]
fn c7_machines_of_a_deleted_group_go_where_the_deletion_says() {
    let mut tree = americas();
    tree.update([deleted("g2", "g3")]);
    assert_eq!(place(&tree, "m3"), "g3");
    // From there on, when that group goes too.
    tree.update([deleted("g3", "g1")]);
    assert_eq!(place(&tree, "m3"), "g1");
    assert_eq!(tree.structure().groups.len(), 1);
    assert_eq!(tree.structure().mended, []);
}

#[test]
fn c7_groups_that_were_deleted_into_each_other_leave_their_machines_to_the_lowest() {
    let mut tree = americas();
    tree.update([deleted("g2", "g3"), deleted("g3", "g2")]);
    assert_eq!([place(&tree, "m3"), place(&tree, "m5")], ["g1", "g1"]);
    tree.update([deleted("g1", "g2")]);
    assert_eq!(tree.structure().groups, [(GroupId::new("g1"), GroupName::new("Main_Group"))]);
    assert_eq!(place(&tree, "m6"), "g1");
    assert_eq!(tree.structure().mended[0].as_str(), "all groups were deleted: group Main_Group stays");
}

#[test]
fn c7_of_two_groups_with_one_name_the_later_made_gets_a_suffix() {
    let mut tree = americas();
    let name = |id: &str, at| (Key::GroupName(GroupId::new(id)), Some(entry(at, says(Value::text("Oslo")))));
    tree.update([name("g8", 30), name("g7", 31), name("g9", 20)]);
    let s = tree.structure();
    let called = |id: &str| s.group(&GroupId::new(id)).unwrap().to_string();
    assert_eq!([called("g9"), called("g8"), called("g7")], ["Oslo", "Oslo-2", "Oslo-3"]);
    assert_eq!(s.mended.len(), 2);
}

#[test]
fn names_that_are_as_long_as_can_be_get_a_suffix_too() {
    let mut tree = americas();
    let long = "x".repeat(400);
    let name = |id: String, at| (Key::GroupName(GroupId::new(&id)), Some(entry(at, says(Value::text(&long)))));
    tree.update((0..20).map(|i| name(format!("h{i}"), 10 + i)));
    let s = tree.structure();
    let names: BTreeSet<&GroupName> = s.groups.iter().map(|(_, n)| n).collect();
    assert_eq!(names.len(), 23);
}

#[test]
fn a_group_whose_name_is_invisible_is_called_by_its_id() {
    let mut tree = americas();
    tree.update([(Key::GroupName(GroupId::new("g4")), Some(entry(9, says(Value::text("\u{200b}")))))]);
    assert_eq!(tree.structure().group(&GroupId::new("g4")).unwrap().as_str(), "g4");
}

#[test]
fn c1_a_machine_that_joined_twice_is_a_member_once() {
    let mut tree = americas();
    let twice = Key::MachineIdentity("m9".into());
    tree.update([(twice, Some(entry(60, says(identity("S2", "lab2.example.com")))))]);
    let s = tree.structure();
    assert_eq!(s.members.len(), 6);
    assert_eq!(s.member_of(&"S2".into()).unwrap().id, "m9".into());
    assert!(s.member(&"m2".into()).is_none());
    assert_eq!(s.mended[0].as_str(), "lab2.example.com (S2) joined twice: its later membership counts");
}

#[test]
fn c2_an_empty_override_is_inherited_as_empty_and_is_not_none() {
    let tree = with(
        americas(),
        [
            (ModeId::Cluster, "smtproutes", Value::table([("example.com", Value::text("relay"))])),
            (group("g2"), "smtproutes", Value::table([])),
        ],
    );
    assert!(value_at(&tree, "m3", "smtproutes").unwrap().is_empty());
    assert!(!value_at(&tree, "m1", "smtproutes").unwrap().is_empty());
    assert_eq!(value_at(&tree, "m1", "aliasconfig"), None);
}

#[test]
fn c10_where_a_feature_is_defined() {
    let tree = with(
        americas(),
        [
            (ModeId::Cluster, "dnsconfig", Value::table([("a", Value::Int(1))])),
            (group("g2"), "dnsconfig", Value::table([])),
        ],
    );
    let shown: Vec<String> = peerdeck::domain::settings::show(&tree, &feature("dnsconfig"))
        .into_iter()
        .map(|(mode, version)| {
            let word = match version.as_ref().and_then(|v| v.content.value()) {
                None => "no",
                Some(value) if value.is_empty() => "empty",
                Some(_) => "yes",
            };
            format!("{}: {word}", tree.mode_name(&mode.id))
        })
        .collect();
    let expected = [
        "Cluster americas: yes",
        "Group Main_Group: no",
        "Machine lab1.example.com: no",
        "Machine lab2.example.com: no",
        "Group Paris: empty",
        "Machine lab3.example.com: no",
        "Machine lab4.example.com: no",
        "Group Rome: no",
        "Machine lab5.example.com: no",
        "Machine lab6.example.com: no",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn entries_of_equal_versions_are_no_conflict() {
    let pair = |a: Value, b: Value| {
        let versions = vec![version("x", 1, "m1", says(a)), version("y", 2, "m2", says(b))];
        Entry::new(versions).unwrap()
    };
    assert!(!pair(Value::Int(1), Value::Int(1)).is_conflict());
    assert!(pair(Value::Int(1), Value::Int(2)).is_conflict());
    assert_eq!(pair(Value::Int(1), Value::Int(2)).effective().id.as_str(), "y");
    assert_eq!(Entry::new(Vec::new()), None);
}

/// What a peer may make up: long chains of deletions, and very many equal names.
#[test]
fn hostile_structures_are_quick_to_read() {
    let n = 20_000;
    let group = |i: usize| GroupId::new(&format!("h{i:05}"));
    let mut registers = Vec::new();
    for i in 0..n {
        registers.push((Key::GroupName(group(i)), entry(1, says(Value::text("same")))));
        // Half of them in one chain, whose end is not a group.
        if i % 2 == 0 {
            registers.push((Key::GroupDeleted(group(i)), entry(2, says(Value::text(group(i + 2).as_str())))));
        }
        let id = MemberId::new(&format!("m{i:05}"));
        let value = identity(&format!("S{i}"), "same.example.com");
        registers.push((Key::MachineIdentity(id.clone()), entry(1, says(value))));
        registers.push((Key::MachineGroup(id), entry(1, says(Value::text(group(i).as_str())))));
    }
    let start = std::time::Instant::now();
    let tree = Tree::new("c1".into(), registers);
    let took = start.elapsed();
    assert_eq!(tree.structure().members.len(), n);
    assert_eq!(tree.structure().groups.len(), n / 2);
    assert!(tree.structure().mended.len() <= 100);
    assert_eq!(place(&tree, "m00000"), "h00001", "the chain leads nowhere: the lowest that lives");
    // Following each machine's chain anew would take minutes.
    assert!(took.as_secs() < 20, "{took:?}");
}
