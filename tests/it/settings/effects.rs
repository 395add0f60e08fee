use peerdeck::domain::ids::MemberId;
use peerdeck::domain::settings::{Edit, Effect, ModeId, Tree, Value, rules};
use proptest::prelude::*;

use super::made::*;

/// By asking for everything on both sides.
fn brute_force(before: &Tree, after: &Tree) -> Vec<Effect> {
    let catalogue = catalogue();
    let members = |tree: &Tree| tree.structure().members.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
    let mut machines: Vec<MemberId> = members(before).into_iter().chain(members(after)).collect();
    machines.sort();
    machines.dedup();
    let mut found = Vec::new();
    for machine in machines {
        for name in all_features(&[before, after]) {
            let (old, new) = (
                rules::effective(before, &catalogue, &machine, &name),
                rules::effective(after, &catalogue, &machine, &name),
            );
            if old.value != new.value {
                found.push(Effect { machine: machine.clone(), feature: name, before: old, after: new });
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn b4_effects_are_the_difference_of_all_effective_values(before in any_tree(), after in any_tree()) {
        prop_assert_eq!(rules::effects(&before, &after, &catalogue()), brute_force(&before, &after));
    }

    #[test]
    fn b4_effects_of_edits_are_the_difference_too(
        tree in any_americas(),
        edits in proptest::collection::vec(any_edit(), 1..6),
    ) {
        // Those that can be carried out, one after the other.
        let mut after = tree.clone();
        for edit in edits {
            if let Ok(writes) = writes(&after, &[edit]) {
                after = rules::after(&after, &writes);
            }
        }
        prop_assert_eq!(rules::effects(&tree, &after, &catalogue()), brute_force(&tree, &after));
        prop_assert_eq!(rules::effects(&tree, &tree.clone(), &catalogue()), []);
    }
}

#[test]
fn b4_setgroup_lists_what_changes() {
    let tree = with(
        americas(),
        [
            (ModeId::Cluster, "smtproutes", Value::text("all")),
            (group("g2"), "smtproutes", Value::text("paris")),
            (group("g3"), "dnsconfig", Value::text("rome")),
            (machine("m3"), "dnsconfig", Value::text("own")),
        ],
    );
    let effects = |machine: &str| {
        let after = done(&tree, &[Edit::SetGroup { machine: machine.into(), group: "g3".into() }]);
        let tell = |e: Effect| format!("{} {}", e.machine, e.feature);
        rules::effects(&tree, &after, &catalogue()).into_iter().map(tell).collect::<Vec<_>>()
    };
    assert_eq!(effects("m3"), ["m3 smtproutes"]);
    assert_eq!(effects("m4"), ["m4 dnsconfig", "m4 smtproutes"]);
    assert_eq!(effects("m1"), ["m1 dnsconfig"]);
}
