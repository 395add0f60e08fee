use peerdeck::domain::settings::rules::notices;
use peerdeck::domain::settings::{Edit, Key, ModeId, Tree, Value, good_practice};

use super::made::*;

fn told(tree: &Tree, edits: &[Edit]) -> Vec<String> {
    let after = done(tree, edits);
    notices(tree, &after, &catalogue(), edits).iter().map(ToString::to_string).collect()
}

#[test]
fn c12_edits_above_overrides_name_who_is_not_affected() {
    let tree = with(
        americas(),
        [
            (group("g2"), "smtproutes", Value::table([])),
            (machine("m3"), "smtproutes", Value::text("own")),
            (machine("m5"), "smtproutes", Value::text("own")),
        ],
    );
    let edit = |mode: ModeId| set(&mode, "smtproutes", Value::text("x"));
    assert_eq!(
        told(&tree, &[edit(ModeId::Cluster)]),
        ["smtproutes at Cluster americas will not affect Group Paris, Machine lab5.example.com, which override it"]
    );
    assert_eq!(
        told(&tree, &[edit(group("g2")), edit(group("g2"))]),
        ["smtproutes at Group Paris will not affect Machine lab3.example.com, which override it"]
    );
    assert_eq!(told(&tree, &[edit(group("g1"))]), [""; 0]);
    assert_eq!(told(&tree, &[edit(machine("m3"))]), [""; 0]);
    // An override that goes with the same commit stands in nobody's way.
    let edits = [edit(ModeId::Cluster), unset(&group("g2"), "smtproutes"), unset(&machine("m5"), "smtproutes")];
    let lines = told(&tree, &edits);
    assert!(lines[0].ends_with("will not affect Machine lab3.example.com, which override it"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn c11_a_move_that_leaves_others_with_nothing_is_warned_of() {
    let tree = with(
        americas(),
        [
            (ModeId::Cluster, "smtproutes", Value::text("all")),
            (ModeId::Cluster, "bvconfig", Value::text("all")),
            (group("g1"), "smtproutes", Value::text("main")),
        ],
    );
    let moved = |name: &str| {
        let to = peerdeck::domain::settings::Target::Mode(group("g2"));
        peerdeck::domain::settings::rules::shift(&tree, &catalogue(), &feature(name), &ModeId::Cluster, &to).unwrap()
    };
    let lines = told(&tree, &moved("smtproutes"));
    assert!(
        lines.contains(
            &"smtproutes has no factory default: it becomes empty on lab5.example.com, lab6.example.com; \
              copy it instead"
                .to_owned()
        ),
        "{lines:?}"
    );
    // The factory default takes its place.
    assert!(!told(&tree, &moved("bvconfig")).iter().any(|l| l.contains("becomes empty")));
}

#[test]
fn c25_a_change_that_lets_references_dangle_says_so_once() {
    let listener = Value::table([("Mail", Value::table([("disclaimer", Value::text("legal"))]))]);
    let tree = with(americas(), [(machine("m2"), "textconfig", Value::table([("legal", Value::text("..."))]))]);
    let edits = [set(&ModeId::Cluster, "listenerconfig", listener)];
    assert_eq!(
        told(&tree, &edits),
        ["listenerconfig Mail names the text resource legal, which is not there on lab1.example.com, \
          lab3.example.com, lab4.example.com, lab5.example.com, lab6.example.com: it is disabled there; \
          promote textconfig from Machine lab2.example.com to Cluster americas, \
          or demote listenerconfig from Cluster americas to Machine lab2.example.com"]
    );
    // It was so before: not this change's doing.
    let tree = done(&tree, &edits);
    assert_eq!(told(&tree, &[set(&ModeId::Cluster, "aliasconfig", Value::table([]))]), [""; 0]);
}

#[test]
fn c28_practices_that_are_not_good() {
    let tree = americas();
    assert_eq!(good_practice(&tree), []);
    let told = |tree: &Tree| good_practice(tree).iter().map(ToString::to_string).collect::<Vec<_>>();
    let named = done(&tree, &[Edit::SetName { name: "paris".into() }]);
    assert_eq!(told(&named), ["group Paris is called like the cluster: rename one of them"]);

    let mut many = tree.clone();
    let add = |i: u64| {
        let identity = identity(&format!("S{i}"), &format!("lab{i}.example.com"));
        (Key::MachineIdentity(format!("m{i}").as_str().into()), Some(entry(i, says(identity))))
    };
    many.update((7..=20).map(add));
    assert_eq!(told(&many), [""; 0]);
    many.update([add(21)]);
    assert_eq!(told(&many), ["21 machines in one cluster: more than 20 slow each other down; make several clusters"]);

    let move_to = |address: &str| Edit::SetHost {
        machine: "m2".into(),
        host: "lab2.example.com".into(),
        address: address.into(),
    };
    let mixed = done(&tree, &[move_to("192.0.2.2")]);
    assert_eq!(told(&mixed), ["the cluster uses host names, but addresses for lab2.example.com: use one kind for all"]);
    assert_eq!(notices(&tree, &mixed, &catalogue(), &[move_to("192.0.2.2")]).len(), 1);
    assert_eq!(notices(&mixed, &mixed, &catalogue(), &[]), []);
}

#[test]
fn a_change_to_hundreds_of_machines_is_told_in_a_sentence() {
    let mut tree = americas();
    tree.update((7..400u64).map(|i| {
        let identity = identity(&format!("S{i}"), &format!("lab{i}.example.com"));
        (Key::MachineIdentity(format!("m{i}").as_str().into()), Some(entry(i, says(identity))))
    }));
    let tree = with(tree, [(ModeId::Cluster, "smtproutes", Value::text("all"))]);
    let lines = told(&tree, &[unset(&ModeId::Cluster, "smtproutes")]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("and 393 more"), "{lines:?}");
}

#[test]
fn c28_overrides_that_pile_up_on_a_machine() {
    let names: Vec<String> = catalogue()
        .settings()
        .filter(|f| f.levels == peerdeck::domain::settings::Levels::Any)
        .map(|f| f.name.to_string())
        .take(10)
        .collect();
    let at = |mode: ModeId| names.iter().map(|name| set(&mode, name, Value::table([]))).collect::<Vec<_>>();
    // Only on the machine: it overrides nothing.
    let tree = done(&americas(), &at(machine("m3")));
    assert_eq!(good_practice(&tree), []);
    let tree = done(&tree, &at(group("g2")));
    assert_eq!(
        good_practice(&tree).iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10 or more settings are overridden on lab3.example.com: leave them to group or cluster"]
    );
    assert_eq!(good_practice(&done(&tree, &[unset(&machine("m3"), &names[0])])), []);
}

#[test]
fn c28_interfaces_that_are_called_otherwise() {
    let own = |m: &str, name: &str| set(&machine(m), "interfaceconfig", Value::table([(name, Value::table([]))]));
    let alike = done(&americas(), &[own("m1", "Data 1"), own("m2", "Data 1")]);
    assert_eq!(good_practice(&alike), []);
    let odd = done(&alike, &[own("m5", "Data")]);
    assert_eq!(
        good_practice(&odd)[0].as_str(),
        "interfaces are called otherwise on lab5.example.com: call them alike, so that listeners fit"
    );
}
