use std::collections::BTreeSet;

use peerdeck::domain::ids::{GroupId, MemberId};
use peerdeck::domain::settings::rules::{self, GROUP_NAME_MAX, VALUE_MAX};
use peerdeck::domain::settings::{
    Content, DEPTH_MAX, EDITS_MAX, Edit, Entry, Key, ModeId, Origin, Tree, Value, VersionId,
};
use proptest::prelude::*;

use super::made::*;

fn contents(tree: &Tree) -> Vec<(Key, Content)> {
    tree.registers().map(|(key, entry)| (key.clone(), entry.effective().content.clone())).collect()
}

/// Every effective value of every machine.
fn all_effective(tree: &Tree, machines: &[MemberId]) -> Vec<(MemberId, String, Option<Value>)> {
    let catalogue = catalogue();
    let mut all = Vec::new();
    for machine in machines {
        for name in all_features(&[tree]) {
            let found = rules::effective(tree, &catalogue, machine, &name);
            all.push((machine.clone(), name.to_string(), found.value.map(|v| (*v).clone())));
        }
    }
    all
}

proptest! {
    #![proptest_config(cases())]

    /// What is planned is what is read again; nothing but the written registers moves.
    #[test]
    fn after_the_writes_the_tree_says_what_they_say(tree in any_tree(), edit in any_edit()) {
        let Ok(writes) = writes(&tree, &[edit]) else { return Ok(()) };
        let after = rules::after(&tree, &writes);
        let keys: BTreeSet<&Key> = writes.iter().map(|(key, _)| key).collect();
        prop_assert_eq!(keys.len(), writes.len(), "each key once");
        for (key, content) in &writes {
            let entry = after.entry(key).unwrap();
            prop_assert_eq!(&entry.effective().content, content);
            prop_assert_eq!(entry.versions().len(), 1, "what was there is superseded");
        }
        let others = |t: &Tree| t.registers().filter(|(k, _)| !keys.contains(k)).map(|(k, e)| (k.clone(), e.clone())).collect::<Vec<_>>();
        prop_assert_eq!(others(&tree), others(&after));
        let again = Tree::new(after.cluster_id.clone(), after.registers().map(|(k, e)| (k.clone(), e.clone())));
        prop_assert_eq!(again, after);
    }

    /// Several edits in one commit lead where they would lead one by one, or are refused as a whole.
    #[test]
    fn one_commit_of_many_edits_is_as_many_commits(
        tree in any_americas(),
        edits in proptest::collection::vec(any_edit(), 1..6),
    ) {
        let mut one_by_one = tree.clone();
        let mut new_group = ids();
        let mut fine = true;
        for edit in &edits {
            // An edit that finds all as it asks is refused alone, and left out among others.
            match rules::writes(&one_by_one, &catalogue(), std::slice::from_ref(edit), &mut new_group) {
                Ok(writes) => one_by_one = rules::after(&one_by_one, &writes),
                Err(why) if ["already", "nothing to take back"].iter().any(|w| why.as_str().ends_with(w))
                    && !why.as_str().contains("another member") => {}
                Err(_) => fine = false,
            }
            if !fine {
                break;
            }
        }
        match writes(&tree, &edits) {
            Ok(writes) => {
                prop_assert!(fine);
                let after = rules::after(&tree, &writes);
                prop_assert_eq!(contents(&after), contents(&one_by_one));
                let groups = |t: &Tree| t.structure().members.iter().map(|m| (m.id.clone(), m.group.clone())).collect::<Vec<_>>();
                prop_assert_eq!(groups(&after), groups(&one_by_one));
            }
            Err(why) => {
                let nothing = contents(&tree) == contents(&one_by_one);
                prop_assert!(!fine || nothing, "{why}");
            }
        }
    }

    /// C14: removed, a machine works as it did, whatever the cluster does from then on.
    #[test]
    fn c14_what_a_removed_machine_inherited_becomes_its_own(
        tree in any_americas(),
        machine in member_id(),
        later in (feature_name(), small_value()),
    ) {
        let members: Vec<MemberId> = tree.structure().members.iter().map(|m| m.id.clone()).collect();
        let after = done(&tree, &[Edit::RemoveMachine { machine: machine.clone() }]);
        prop_assert!(after.structure().member(&machine).is_none());
        prop_assert_eq!(after.structure().members.len(), members.len() - 1);
        let before = all_effective(&tree, &members);
        prop_assert_eq!(&before, &all_effective(&after, &members));
        prop_assert_eq!(rules::effects(&tree, &after, &catalogue()), []);
        // Even where it inherited nothing.
        let mut changed = after.clone();
        changed.update([(key(&ModeId::Cluster, later.0.as_str()), Some(entry(900, says(later.1))))]);
        let own = std::slice::from_ref(&machine);
        let was: Vec<_> = before.into_iter().filter(|(m, _, _)| *m == machine).collect();
        prop_assert_eq!(was, all_effective(&changed, own));
    }

    /// C23: what was seen has moved when, and only when, the set of versions is another one.
    #[test]
    fn c23_what_was_seen_moves_with_the_set_of_versions(first in registers(), second in registers()) {
        let (a, b) = (tree_of(&first), tree_of(&second));
        let keys: BTreeSet<Key> = a.registers().chain(b.registers()).map(|(k, _)| k.clone()).collect();
        let seen = rules::seen(&a, &keys);
        prop_assert_eq!(rules::moved(&a, &seen), []);
        let set = |t: &Tree, key: &Key| -> BTreeSet<VersionId> {
            t.entry(key).map(|e| e.versions().iter().map(|v| v.id.clone()).collect()).unwrap_or_default()
        };
        let expected: Vec<Key> = keys.iter().filter(|k| set(&a, k) != set(&b, k)).cloned().collect();
        prop_assert_eq!(rules::moved(&b, &seen), expected);
    }

    /// The last group stays, whatever is deleted.
    #[test]
    fn c7_the_last_group_stays(tree in any_tree(), edits in proptest::collection::vec((group_id(), group_id()), 1..6)) {
        let mut after = tree.clone();
        for (group, into) in edits {
            let left = after.structure().groups.len();
            if let Ok(writes) = writes(&after, &[Edit::DeleteGroup { group, into }]) {
                after = rules::after(&after, &writes);
                prop_assert_eq!(after.structure().groups.len(), left - 1);
            }
        }
        prop_assert_eq!(after.structure().groups.is_empty(), tree.structure().groups.is_empty());
        prop_assert_eq!(after.structure().members.len(), tree.structure().members.len());
    }
}

#[test]
fn c17_a_restricted_feature_says_where_it_may_be_set() {
    let tree = americas();
    let refuse = |mode: ModeId, name: &str| refused(&tree, &[set(&mode, name, Value::table([]))]);
    assert_eq!(
        refuse(machine("m3"), "userconfig"),
        "userconfig is set for the whole cluster only, not at Machine lab3.example.com: set it at Cluster americas"
    );
    assert_eq!(
        refuse(machine("m3"), "ntpconfig"),
        "ntpconfig is set for the cluster or a group only, not at Machine lab3.example.com: \
         set it at Group Paris or Cluster americas"
    );
    assert_eq!(
        refuse(group("g2"), "interfaceconfig"),
        "interfaceconfig is set on single machines only, not at Group Paris: set it at a machine, such as lab3.example.com"
    );
    assert_eq!(refuse(ModeId::Cluster, "reboot"), "reboot is a command: it has no settings");
    assert_eq!(
        refuse(ModeId::Cluster, "smtproute"),
        "no feature is called \"smtproute\" here, did you mean \"smtproutes\"?"
    );
    assert_eq!(refuse(ModeId::Cluster, "zzzzzz"), "no feature is called \"zzzzzz\" here");
    assert!(writes(&tree, &[set(&group("g2"), "settz", Value::text("Europe/Paris"))]).is_ok());
    assert!(writes(&tree, &[set(&machine("m1"), "interfaceconfig", Value::table([]))]).is_ok());
}

#[test]
fn modes_must_exist() {
    let tree = americas();
    let refuse = |mode: ModeId| refused(&tree, &[set(&mode, "smtproutes", Value::table([]))]);
    assert_eq!(refuse(group("g7")), "there is no group g7 (any more): look at the list of groups");
    assert_eq!(refuse(machine("m7")), "m7 is not a member of this cluster (any more)");
    let gone = done(&tree, &[Edit::RemoveMachine { machine: "m2".into() }]);
    assert_eq!(
        refused(&gone, &[set(&machine("m2"), "smtproutes", Value::table([]))]),
        "lab2.example.com (removed) is not a member of this cluster (any more)"
    );
    // Gone within the same commit.
    let delete = Edit::DeleteGroup { group: "g2".into(), into: "g1".into() };
    assert!(refused(&tree, &[delete, set(&group("g2"), "smtproutes", Value::table([]))]).contains("no group g2"));
}

#[test]
fn values_are_bounded() {
    let tree = americas();
    let refuse = |value: Value| refused(&tree, &[set(&ModeId::Cluster, "smtproutes", value)]);
    let nested = |depth: usize| (1..depth).fold(Value::Int(1), |v, _| Value::List(vec![v]));
    assert!(writes(&tree, &[set(&ModeId::Cluster, "smtproutes", nested(DEPTH_MAX))]).is_ok());
    assert_eq!(refuse(nested(DEPTH_MAX + 1)), "smtproutes: nested more than 32 deep");
    let large = |n: usize| Value::text(&"x".repeat(n));
    assert!(writes(&tree, &[set(&ModeId::Cluster, "smtproutes", large(VALUE_MAX - 8))]).is_ok());
    assert_eq!(refuse(large(VALUE_MAX)), "smtproutes: a value of 262152 bytes, 262144 are kept");
    // Many small parts cost memory although they have no text.
    assert!(refuse(Value::List(vec![Value::Bool(true); VALUE_MAX / 8])).contains("bytes"));
    assert!(refuse(Value::Float(f64::NAN)).contains("infinite or none"));
}

#[test]
fn a_commit_has_edits_but_not_too_many() {
    let tree = americas();
    assert_eq!(refused(&tree, &[]), "there is nothing to commit");
    let edit = set(&ModeId::Cluster, "smtproutes", Value::table([]));
    assert!(writes(&tree, &vec![edit.clone(); EDITS_MAX]).is_ok());
    assert!(refused(&tree, &vec![edit; EDITS_MAX + 1]).contains("10000 are taken"));
}

#[test]
fn of_two_settings_for_one_mode_the_last_counts() {
    let mode = group("g2");
    let edits = [
        set(&mode, "smtproutes", Value::text("a")),
        unset(&mode, "smtproutes"),
        set(&mode, "smtproutes", Value::text("b")),
    ];
    assert_eq!(writes(&americas(), &edits).unwrap(), [(key(&mode, "smtproutes"), says(Value::text("b")))]);
    assert_eq!(writes(&americas(), &edits[..2]).unwrap(), [(key(&mode, "smtproutes"), Content::Inherits)]);
}

#[test]
fn unset_lets_a_mode_inherit_again_and_says_when_it_does_already() {
    let tree = with(
        americas(),
        [(ModeId::Cluster, "smtproutes", Value::text("all")), (machine("m1"), "smtproutes", Value::table([]))],
    );
    let after = done(&tree, &[unset(&machine("m1"), "smtproutes")]);
    assert_eq!(*value_at(&after, "m1", "smtproutes").unwrap(), Value::text("all"));
    assert_eq!(
        refused(&after, &[unset(&machine("m1"), "smtproutes")]),
        "smtproutes is not defined at Machine lab1.example.com: nothing to take back"
    );
    // A feature that only another machine's table knows can be taken back all the same.
    let tree = with(americas(), [(ModeId::Cluster, "sitething", Value::text("x"))]);
    assert!(writes(&tree, &[unset(&ModeId::Cluster, "sitething")]).is_ok());
    assert!(refused(&americas(), &[unset(&ModeId::Cluster, "smtprouts")]).contains("did you mean"));
}

#[test]
fn c7_c8_names_of_groups_and_of_the_cluster() {
    let tree = americas();
    let add = |name: &str| Edit::AddGroup { name: name.into() };
    for (name, why) in [
        ("", "a group's name has 1 to 64 characters"),
        ("a/b", "begins with a letter or digit"),
        ("-x", "begins with a letter or digit"),
        ("Cluster", "is the name of a level"),
        ("paris", "there is a group Paris already"),
    ] {
        assert!(refused(&tree, &[add(name)]).contains(why), "{name}: {}", refused(&tree, &[add(name)]));
        let rename = Edit::RenameGroup { group: "g1".into(), name: name.into() };
        assert!(refused(&tree, &[rename]).contains(why), "{name}");
    }
    assert!(refused(&tree, &[add(&"x".repeat(GROUP_NAME_MAX + 1))]).contains("1 to 64"));
    assert!(refused(&tree, &[add("Oslo"), add("oslo")]).contains("already"));
    let after = done(&tree, &[add("São Paulo 2"), Edit::SetGroup { machine: "m1".into(), group: "n1".into() }]);
    assert_eq!(after.structure().member(&"m1".into()).unwrap().machine.group.as_str(), "São Paulo 2");
    // Only its letters' case: the group itself is no other group.
    let after = done(&tree, &[Edit::RenameGroup { group: "g2".into(), name: "PARIS".into() }]);
    assert_eq!(after.structure().group(&GroupId::new("g2")).unwrap().as_str(), "PARIS");
    assert_eq!(after.structure().member(&"m3".into()).unwrap().group, "g2".into());
    let same = Edit::RenameGroup { group: "g2".into(), name: "Paris".into() };
    assert_eq!(refused(&tree, &[same]), "the group is called Paris already");
    assert_eq!(done(&tree, &[Edit::SetName { name: "emea".into() }]).structure().name.as_str(), "emea");
    assert!(refused(&tree, &[Edit::SetName { name: "".into() }]).contains("1 to 253"));
}

#[test]
fn ids_that_are_taken_are_drawn_again() {
    let tree = americas();
    let mut drawn = ["g1", "", "a/b", "g9"].into_iter();
    let mut draw = || GroupId::new(drawn.next().unwrap());
    let add = Edit::AddGroup { name: "Oslo".into() };
    let writes = rules::writes(&tree, &catalogue(), std::slice::from_ref(&add), &mut draw).unwrap();
    assert_eq!(writes[0].0, Key::GroupName("g9".into()));
    let none = rules::writes(&tree, &catalogue(), &[add], &mut || GroupId::new("g1"));
    assert!(none.unwrap_err().as_str().contains("no free id"));
}

#[test]
fn c7_deleting_groups() {
    let tree = americas();
    let delete = |group: &str, into: &str| Edit::DeleteGroup { group: group.into(), into: into.into() };
    assert!(refused(&tree, &[delete("g2", "g2")]).contains("another group than Paris"));
    assert!(refused(&tree, &[delete("g2", "g7")]).contains("no group g7"));
    assert!(refused(&tree, &[delete("g7", "g1")]).contains("no group g7"));
    let all = [delete("g1", "g2"), delete("g2", "g3"), delete("g3", "g1")];
    assert_eq!(refused(&tree, &all), "Rome is the last group: a cluster has at least one");
    let after = done(&tree, &all[..2]);
    assert!(after.structure().members.iter().all(|m| m.group == "g3".into()));
    // Settings of machines follow their group at once.
    let tree = with(tree, [(group("g3"), "smtproutes", Value::text("rome"))]);
    assert_eq!(*value_at(&done(&tree, &all[..2]), "m1", "smtproutes").unwrap(), Value::text("rome"));
}

#[test]
fn c7_a_machine_that_is_there_already() {
    let tree = americas();
    let go = |machine: &str| Edit::SetGroup { machine: machine.into(), group: "g3".into() };
    assert_eq!(refused(&tree, &[go("m5")]), "lab5.example.com is in group Rome already");
    // Among others it is no reason to refuse.
    assert_eq!(writes(&tree, &[go("m5"), go("m1")]).unwrap().len(), 1);
}

#[test]
fn c14_the_last_machine_can_go_too() {
    let tree = with(
        americas(),
        [(ModeId::Cluster, "smtproutes", Value::text("all")), (ModeId::Cluster, "userconfig", Value::text("users"))],
    );
    let all: Vec<Edit> = (1..=6).map(|i| Edit::RemoveMachine { machine: format!("m{i}").as_str().into() }).collect();
    let after = done(&tree, &all);
    // The last one takes the cluster with it; of the others only what was their own is left.
    let s = after.structure();
    assert!(s.is_alone() && s.members[0].id == "m6".into(), "{s:?}");
    assert_eq!(s.groups.len(), 1);
    for i in 1..=6 {
        assert_eq!(*value_at(&after, &format!("m{i}"), "smtproutes").unwrap(), Value::text("all"));
        // Alone it needs its own users, although in a cluster there is one set.
        assert_eq!(*value_at(&after, &format!("m{i}"), "userconfig").unwrap(), Value::text("users"));
    }
    assert!(refused(&after, &all[..1]).contains("is in no cluster"));
}

#[test]
fn c14_a_removal_takes_what_the_same_commit_sets_above() {
    let tree = with(americas(), [(ModeId::Cluster, "smtproutes", Value::text("old"))]);
    let edits = [
        set(&ModeId::Cluster, "smtproutes", Value::text("new")),
        Edit::SetGroup { machine: "m1".into(), group: "g3".into() },
        set(&group("g3"), "aliasconfig", Value::text("rome")),
        Edit::RemoveMachine { machine: "m1".into() },
    ];
    let after = done(&tree, &edits);
    assert_eq!(*value_at(&after, "m1", "smtproutes").unwrap(), Value::text("new"));
    assert_eq!(*value_at(&after, "m1", "aliasconfig").unwrap(), Value::text("rome"));
}

#[test]
fn c33_a_new_host_name_leaves_nothing_of_the_old_one() {
    let tree = americas();
    let rename =
        |host: &str, address: &str| Edit::SetHost { machine: "m2".into(), host: host.into(), address: address.into() };
    let after = done(&tree, &[rename("mail2.example.net", "192.0.2.7")]);
    let m = after.structure().member(&"m2".into()).unwrap().machine.clone();
    assert_eq!((m.host.as_str(), m.address.as_str()), ("mail2.example.net", "192.0.2.7"));
    assert_eq!((m.id.as_str(), m.port, m.machine_key.as_str()), ("S2", 22, "ssh-ed25519 AAAA"), "all else stays");
    assert!(!format!("{:?}", after.structure()).contains("lab2"));
    for (host, address, why) in [
        ("lab3.example.com", "lab3.example.com", "another member is called lab3.example.com already"),
        ("", "x", "\"\" is no host name"),
        ("a b", "x", "\"a b\" is no host name"),
        ("-a.example.com", "x", "is no host name"),
        ("a..b", "x", "is no host name"),
        ("x.example.com", "no/address", "is no address"),
    ] {
        assert!(refused(&tree, &[rename(host, address)]).contains(why), "{host} {address}");
    }
    // Two machines may exchange their names in three steps of one commit.
    let name = |m: &str, host: &str| Edit::SetHost { machine: m.into(), host: host.into(), address: host.into() };
    let swap = [name("m1", "tmp"), name("m2", "lab1.example.com"), name("m1", "lab2.example.com")];
    assert_eq!(done(&tree, &swap).structure().member(&"m1".into()).unwrap().machine.host.as_str(), "lab2.example.com");
}

fn in_conflict() -> (Tree, Key) {
    let key = key(&ModeId::Cluster, "smtproutes");
    let versions = vec![
        version("old", 5, "m2", says(Value::text("two"))),
        version("new", 9, "m4", says(Value::text("four"))),
        version("none", 7, "m5", Content::Inherits),
    ];
    let mut tree = americas();
    tree.update([(key.clone(), Entry::new(versions))]);
    (tree, key)
}

#[test]
fn c23_c24_the_most_recent_applies_until_somebody_resolves() {
    let (tree, key) = in_conflict();
    assert_eq!(*value_at(&tree, "m1", "smtproutes").unwrap(), Value::text("four"));
    let found = rules::conflicts(&tree);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, key);
    assert_eq!(found[0].1.versions().len(), 3);
    let resolve = |version: &str| Edit::Resolve { key: key.clone(), version: VersionId::new(version) };
    let after = done(&tree, &[resolve("old")]);
    assert_eq!(*value_at(&after, "m1", "smtproutes").unwrap(), Value::text("two"));
    assert_eq!(rules::conflicts(&after), []);
    let after = done(&tree, &[resolve("none")]);
    assert_eq!(value_at(&after, "m1", "smtproutes"), None);
    assert_eq!(
        refused(&after, &[resolve("old")]),
        "smtproutes at Cluster americas: that version is settled already, look again"
    );
    // Taking back and setting anew settle it as well.
    assert_eq!(rules::conflicts(&done(&tree, &[unset(&ModeId::Cluster, "smtproutes")])), []);
    assert_eq!(rules::conflicts(&done(&tree, &[set(&ModeId::Cluster, "smtproutes", Value::text("x"))])), []);
}

#[test]
fn c24_conflicts_of_the_structure_are_settled_alike() {
    let mut tree = americas();
    let key = Key::MachineGroup("m1".into());
    let there = |id: &str, at, on: &str, g: &str| version(id, at, on, says(Value::text(g)));
    tree.update([(key.clone(), Entry::new(vec![there("a", 5, "m1", "g2"), there("b", 6, "m2", "g3")]))]);
    assert_eq!(tree.structure().member(&"m1".into()).unwrap().group, "g3".into());
    let after = done(&tree, &[Edit::Resolve { key: key.clone(), version: VersionId::new("a") }]);
    assert_eq!(after.structure().member(&"m1".into()).unwrap().group, "g2".into());
    // Where it is already, while there is a conflict about it: that is an answer.
    let stay = Edit::SetGroup { machine: "m1".into(), group: "g3".into() };
    assert_eq!(rules::conflicts(&done(&tree, &[stay])), []);
}

#[test]
fn c23_order_does_not_move_what_was_seen() {
    let (tree, key) = in_conflict();
    let mut seen = rules::seen(&tree, [&key]);
    seen.get_mut(&key).unwrap().reverse();
    assert_eq!(rules::moved(&tree, &seen), []);
    seen.get_mut(&key).unwrap().pop();
    assert_eq!(rules::moved(&tree, &seen), std::slice::from_ref(&key));
    assert_eq!(rules::moved(&Tree::default(), &rules::seen(&tree, [&key])), std::slice::from_ref(&key));
}

#[test]
fn origins_are_told() {
    let tree = with(americas(), [(group("g2"), "dnsconfig", Value::text("x"))]);
    let origin = |m: &str| rules::effective(&tree, &catalogue(), &m.into(), &feature("dnsconfig")).origin;
    assert_eq!(origin("m3"), Origin::Mode(group("g2")));
    assert_eq!(origin("m1"), Origin::Factory);
    let at = |mode: &ModeId| rules::at(&tree, &catalogue(), mode, &feature("dnsconfig")).origin;
    assert_eq!(at(&group("g2")), Origin::Mode(group("g2")));
    assert_eq!(at(&group("g3")), Origin::Factory);
}
