use peerdeck::domain::settings::rules::{self, dangling};
use peerdeck::domain::settings::{Dangling, Edit, ModeId, Origin, Remedy, Tree, Value};
use proptest::prelude::*;

use super::made::*;

fn listeners<const N: usize>(items: [(&str, &str); N]) -> Value {
    Value::table([("IncomingMail", Value::table(items.map(|(field, name)| (field, Value::text(name)))))])
}

fn texts(name: &str) -> Value {
    Value::table([(name, Value::table([("text", Value::text("Hello"))]))])
}

/// The example of the documents: the listener of the cluster names a text that one machine has.
fn disclaimer() -> Tree {
    with(
        americas(),
        [
            (ModeId::Cluster, "listenerconfig", listeners([("disclaimer", "disclaimer")])),
            (machine("m2"), "textconfig", texts("disclaimer")),
        ],
    )
}

fn tell(found: &[Dangling]) -> Vec<String> {
    found.iter().map(|d| format!("{} {} {}: {} {}", d.machine, d.feature, d.item, d.what, d.name)).collect()
}

#[test]
fn c25_what_is_named_must_be_there_on_each_machine() {
    let found = dangling(&disclaimer(), &catalogue());
    assert_eq!(
        tell(&found),
        ["m1", "m3", "m4", "m5", "m6"].map(|m| format!("{m} listenerconfig IncomingMail: text resource disclaimer"))
    );
    assert_eq!(found[0].origin, Origin::Mode(ModeId::Cluster));
    assert_eq!(found[0].to, feature("textconfig"));
}

#[test]
fn c25_promote_and_demote_are_offered_and_both_mend_it() {
    let catalogue = catalogue();
    let tree = disclaimer();
    let (text, listener) = (feature("textconfig"), feature("listenerconfig"));
    let promote = Remedy::Promote { feature: text.clone(), from: machine("m2"), to: ModeId::Cluster };
    let demote = Remedy::Demote { feature: listener.clone(), from: ModeId::Cluster, to: machine("m2") };
    assert_eq!(dangling(&tree, &catalogue)[0].remedies, [promote, demote]);
    let target = peerdeck::domain::settings::Target::Mode;
    for (name, from, to) in [(text, machine("m2"), ModeId::Cluster), (listener, ModeId::Cluster, machine("m2"))] {
        let edits = rules::shift(&tree, &catalogue, &name, &from, &target(to)).unwrap();
        assert_eq!(dangling(&done(&tree, &edits), &catalogue), []);
    }
}

#[test]
fn c25_what_is_bound_to_machines_can_not_be_promoted() {
    let tree = with(
        americas(),
        [
            (group("g2"), "listenerconfig", listeners([("interface", "Data 2")])),
            (machine("m3"), "interfaceconfig", Value::table([("Data 2", Value::table([]))])),
            (machine("m4"), "interfaceconfig", Value::table([("Data 1", Value::table([]))])),
            // Of another group: it helps nobody in Paris.
            (machine("m5"), "interfaceconfig", Value::table([("Data 2", Value::table([]))])),
        ],
    );
    let found = dangling(&tree, &catalogue());
    assert_eq!(tell(&found), ["m4 listenerconfig IncomingMail: IP interface Data 2"]);
    let demote = Remedy::Demote { feature: feature("listenerconfig"), from: group("g2"), to: machine("m3") };
    assert_eq!(found[0].remedies, [demote]);
}

#[test]
fn c25_an_override_that_is_empty_lacks_what_is_above_it() {
    let tree = with(
        disclaimer(),
        [(ModeId::Cluster, "textconfig", texts("disclaimer")), (group("g3"), "textconfig", Value::table([]))],
    );
    let found = dangling(&tree, &catalogue());
    assert_eq!(
        tell(&found),
        ["m5", "m6"].map(|m| format!("{m} listenerconfig IncomingMail: text resource disclaimer"))
    );
    assert_eq!(found[0].remedies, [], "it is there above already: what is below must be mended");
}

#[test]
fn c25_lists_paths_exceptions_and_factory_defaults() {
    let catalogue = catalogue();
    let names = |tree: &Tree| tell(&dangling(tree, &catalogue));
    // "Auto" is no interface, and an empty name is none at all.
    let tree = with(
        americas(),
        [
            (ModeId::Cluster, "dnsconfig", Value::table([("interface", Value::text("Auto"))])),
            (ModeId::Cluster, "deliveryconfig", Value::table([("interface", Value::text(""))])),
        ],
    );
    assert_eq!(names(&tree), [""; 0]);
    // The bounce profile `Default` is there without anybody's doing.
    let tree = with(americas(), [(group("g1"), "listenerconfig", listeners([("bounce-profile", "Default")]))]);
    assert_eq!(names(&tree), [""; 0]);
    // Lists of names, two levels deep; queries are items of items.
    let policies = Value::table([(
        "incoming",
        Value::table([(
            "Sales",
            Value::table([
                ("dictionaries", Value::List(vec![Value::text("words"), Value::text("gone")])),
                ("ldap-group", Value::text("staff")),
            ]),
        )]),
    )]);
    let ldap = Value::table([("main", Value::table([("queries", Value::table([("staff", Value::text("(q)"))]))]))]);
    let tree = with(
        americas(),
        [
            (machine("m1"), "policyconfig", policies),
            (ModeId::Cluster, "dictionaryconfig", Value::table([("words", Value::List(vec![]))])),
            (ModeId::Cluster, "ldapconfig", ldap),
        ],
    );
    assert_eq!(names(&tree), ["m1 policyconfig incoming Sales: dictionary gone"]);
    // Values of any other form name nothing.
    let odd = Value::List(vec![Value::Int(1), Value::table([("interface", Value::Bool(true))])]);
    assert_eq!(names(&with(americas(), [(ModeId::Cluster, "listenerconfig", odd)])), [""; 0]);
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever the settings are: nothing dangles on a machine that has all that is named, and each thing that does is
    /// on a member, once.
    #[test]
    fn c25_dangling_items_are_told_once_for_each_member(
        tree in any_americas(),
        modes in proptest::collection::vec((mode(), proptest::sample::select(&["a", "b"][..])), 0..5),
        holders in proptest::collection::vec((mode(), proptest::sample::select(&["a", "b"][..])), 0..5),
    ) {
        let mut tree = tree;
        for (mode, name) in modes {
            tree = with(tree, [(mode, "listenerconfig", listeners([("disclaimer", name)]))]);
        }
        for (mode, name) in holders {
            tree = with(tree, [(mode, "textconfig", texts(name))]);
        }
        let found = dangling(&tree, &catalogue());
        let mut told = tell(&found);
        told.sort();
        told.dedup();
        prop_assert_eq!(told.len(), found.len());
        for m in &tree.structure().members {
            let named = value_at(&tree, m.id.as_str(), "listenerconfig")
                .and_then(|v| Some(v.field("IncomingMail")?.field("disclaimer")?.as_text()?.to_owned()));
            let there = value_at(&tree, m.id.as_str(), "textconfig");
            let missing = named.filter(|n| there.as_ref().is_none_or(|t| t.field(n).is_none()));
            let reported = found.iter().find(|d| d.machine == m.id && d.feature == feature("listenerconfig"));
            prop_assert_eq!(reported.map(|d| d.name.to_string()), missing);
        }
        // What is offered can be done.
        for remedy in found.iter().flat_map(|d| &d.remedies) {
            let (name, from, to) = match remedy {
                Remedy::Promote { feature, from, to } | Remedy::Demote { feature, from, to } => (feature, from, to),
            };
            let to = peerdeck::domain::settings::Target::Mode(to.clone());
            let edits: Vec<Edit> = rules::shift(&tree, &catalogue(), name, from, &to).unwrap();
            prop_assert!(writes(&tree, &edits).is_ok());
        }
    }
}

#[test]
fn made_up_names_are_bounded() {
    let names = (0..20_000).map(|i| Value::text(&format!("n{i}"))).collect();
    let value = Value::table([("x", Value::table([("dictionaries", Value::List(names))]))]);
    let tree = with(americas(), [(ModeId::Cluster, "contentfilters", value)]);
    assert_eq!(dangling(&tree, &catalogue()).len(), peerdeck::domain::settings::DANGLING_MAX);
    let lines = rules::notices(&americas(), &tree, &catalogue(), &[]);
    assert!(lines.len() <= 51, "{}", lines.len());
    assert_eq!(lines.last().unwrap().as_str(), "9950 more items name what is not there");
}
