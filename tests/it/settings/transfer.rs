use peerdeck::domain::settings::rules::{copy, publish, shift, start_fresh};
use peerdeck::domain::settings::{Edit, ModeId, Target, Tree, Value};
use proptest::prelude::*;

use super::made::*;

fn to(mode: ModeId) -> Target {
    Target::Mode(mode)
}

proptest! {
    #![proptest_config(cases())]

    /// C11: a copy is the same there and stays here; taken back at its source, it is a move.
    #[test]
    fn c11_a_move_is_a_copy_and_then_an_unset(tree in any_americas(), name in feature_name(), from in mode(), into in mode()) {
        let catalogue = catalogue();
        let copied = copy(&tree, &catalogue, &name, &from, &to(into.clone()));
        let moved = shift(&tree, &catalogue, &name, &from, &to(into.clone()));
        prop_assert_eq!(copied.is_ok(), moved.is_ok());
        let (Ok(copied), Ok(moved)) = (copied, moved) else { return Ok(()) };
        let Ok(_) = writes(&tree, &copied) else { return Ok(()) };
        let content = |t: &Tree, mode: &ModeId| t.defined(mode, &name).map(|v| v.content.clone());
        let after = done(&tree, &copied);
        prop_assert_eq!(content(&after, &into), content(&tree, &from));
        prop_assert_eq!(content(&after, &from), content(&tree, &from));
        let unset = Edit::Unset { mode: from.clone(), feature: name.clone() };
        let then = done(&after, &[unset]);
        let at_once = done(&tree, &moved);
        let all = |t: &Tree| t.modes().into_iter().map(|m| content(t, &m.id)).collect::<Vec<_>>();
        prop_assert_eq!(all(&then), all(&at_once));
        prop_assert_eq!(content(&at_once, &from), None);
        // Moved to a mode above it, nothing changes for a machine, unless something between overrides.
        if let ModeId::Machine(m) = &from
            && tree.above(&from).contains(&into)
            && (into.level() == peerdeck::domain::settings::Level::Group || content(&tree, &tree.above(&from)[1]).is_none())
        {
            prop_assert_eq!(value_at(&tree, m.as_str(), name.as_str()), value_at(&at_once, m.as_str(), name.as_str()));
        }
    }

    #[test]
    fn c11_copied_to_all_groups_it_applies_on_all_machines_without_their_own(tree in any_americas(), name in feature_name(), from in mode()) {
        let Ok(edits) = copy(&tree, &catalogue(), &name, &from, &Target::AllGroups) else { return Ok(()) };
        let value = tree.defined(&from, &name).unwrap().content.value().cloned();
        let after = done(&tree, &edits);
        for m in &after.structure().members {
            if after.defined(&ModeId::Machine(m.id.clone()), &name).is_none() {
                prop_assert_eq!(value_at(&after, m.id.as_str(), name.as_str()), value.clone());
            }
        }
    }
}

#[test]
fn c11_what_can_not_be_copied_says_why() {
    let catalogue = catalogue();
    let tree = with(
        americas(),
        [
            (ModeId::Cluster, "smtproutes", Value::text("all")),
            (machine("m1"), "interfaceconfig", Value::table([])),
            (ModeId::Cluster, "userconfig", Value::table([])),
        ],
    );
    let refuse = |name: &str, from: &ModeId, target: &Target| {
        copy(&tree, &catalogue, &feature(name), from, target).unwrap_err().to_string()
    };
    assert_eq!(
        refuse("smtproutes", &machine("m3"), &to(ModeId::Cluster)),
        "smtproutes is not defined at Machine lab3.example.com, which inherits it from Cluster americas: \
         take it from there"
    );
    assert_eq!(
        refuse("dnsconfig", &group("g2"), &to(ModeId::Cluster)),
        "dnsconfig is not defined at Group Paris, nor above it: the factory default applies"
    );
    assert_eq!(
        refuse("aliasconfig", &group("g2"), &to(ModeId::Cluster)),
        "aliasconfig is not defined at Group Paris, nor above it"
    );
    assert!(refuse("smtproutes", &ModeId::Cluster, &to(ModeId::Cluster)).contains("no mode other than"));
    assert!(refuse("interfaceconfig", &machine("m1"), &Target::AllGroups).contains("on single machines only"));
    assert!(refuse("userconfig", &ModeId::Cluster, &to(machine("m1"))).contains("for the whole cluster only"));
    assert!(refuse("smtprouts", &ModeId::Cluster, &to(machine("m1"))).contains("did you mean"));
}

#[test]
fn c11_modes_that_are_gone_neither_give_nor_take() {
    let catalogue = catalogue();
    let tree = with(americas(), [(group("g2"), "smtproutes", Value::text("paris"))]);
    let tree = done(&tree, &[Edit::DeleteGroup { group: "g2".into(), into: "g1".into() }]);
    let refuse = |from: &ModeId, mode: ModeId| {
        copy(&tree, &catalogue, &feature("smtproutes"), from, &to(mode)).unwrap_err().to_string()
    };
    assert!(refuse(&group("g2"), ModeId::Cluster).contains("there is no group g2"));
    assert!(refuse(&machine("m9"), ModeId::Cluster).contains("m9 is not a member"));
    let tree = with(tree, [(group("g3"), "smtproutes", Value::text("rome"))]);
    let gone = copy(&tree, &catalogue, &feature("smtproutes"), &group("g3"), &to(group("g2")));
    assert!(gone.unwrap_err().as_str().contains("there is no group g2"));
}

#[test]
fn c11_moved_from_a_group_to_all_groups_it_stays_there_too() {
    let tree = with(americas(), [(group("g2"), "smtproutes", Value::text("paris"))]);
    let edits = shift(&tree, &catalogue(), &feature("smtproutes"), &group("g2"), &Target::AllGroups).unwrap();
    let after = done(&tree, &edits);
    for m in 1..=6 {
        assert_eq!(*value_at(&after, &format!("m{m}"), "smtproutes").unwrap(), Value::text("paris"));
    }
    let edits = shift(&tree, &catalogue(), &feature("smtproutes"), &group("g2"), &to(group("g3"))).unwrap();
    assert_eq!(value_at(&done(&tree, &edits), "m3", "smtproutes"), None);
}

/// Copied down, changed, tried out, published.
#[test]
fn c13_an_experiment_on_one_machine_is_published() {
    let catalogue = catalogue();
    let tree = with(americas(), [(ModeId::Cluster, "listenerconfig", Value::text("old"))]);
    let own = machine("m5");
    let down = copy(&tree, &catalogue, &feature("listenerconfig"), &ModeId::Cluster, &to(own.clone())).unwrap();
    let tree = done(&tree, &down);
    let tree = done(&tree, &[set(&own, "listenerconfig", Value::text("new"))]);
    let tree = done(&tree, &[set(&own, "interfaceconfig", Value::text("its own"))]);
    assert_eq!(*value_at(&tree, "m1", "listenerconfig").unwrap(), Value::text("old"));
    let up = publish(&tree, &catalogue, &"m5".into(), &[]).unwrap();
    let after = done(&tree, &up);
    for m in ["m1", "m5"] {
        assert_eq!(*value_at(&after, m, "listenerconfig").unwrap(), Value::text("new"));
    }
    assert!(after.defined(&own, &feature("listenerconfig")).is_none(), "it inherits again");
    assert_eq!(*value_at(&after, "m5", "interfaceconfig").unwrap(), Value::text("its own"), "bound to the machine");
    assert!(
        publish(&after, &catalogue, &"m5".into(), &[])
            .unwrap_err()
            .as_str()
            .contains("defines nothing that the cluster may have")
    );
    let named = publish(&after, &catalogue, &"m5".into(), &[feature("interfaceconfig")]);
    assert!(named.unwrap_err().as_str().contains("on single machines only"));
}

#[test]
fn c27_an_override_may_begin_with_the_factory_default() {
    let catalogue = catalogue();
    let tree = with(americas(), [(ModeId::Cluster, "bvconfig", Value::text("on"))]);
    let edit = start_fresh(&tree, &catalogue, &feature("bvconfig"), &group("g2")).unwrap();
    let after = done(&tree, &[edit]);
    assert_eq!(value_at(&after, "m3", "bvconfig"), catalogue.feature(&feature("bvconfig")).unwrap().factory);
    let none = start_fresh(&tree, &catalogue, &feature("smtproutes"), &group("g2"));
    assert!(none.unwrap_err().as_str().contains("no factory default"));
}
