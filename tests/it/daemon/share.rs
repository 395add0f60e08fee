//! Settings of the units of an HA group: the primary's count, and are the same on all (F3, F4, F6).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::daemon::cluster::{Event, Share};
use peerdeck::domain::settings::{Edit, ModeId, Value};
use peerdeck::domain::{FeatureName, HaName};

use super::sim::{Sim, id};

const SHARED: &str = "smtproutes";
const BOUND: &str = "interfaceconfig";

fn share(unit: usize, primary: usize) -> Event {
    Event::Share(Some(Share {
        group: HaName::new("gw"),
        others: vec![id(1 - unit)],
        writes: unit == primary,
        primary: (unit != primary).then(|| id(primary)),
    }))
}

/// Two units and a third peer; unit 0 is the primary.
fn units() -> Sim {
    let mut sim = Sim::with_settings(3, 7);
    sim.run(Duration::from_secs(4));
    for unit in 0..2 {
        sim.event(unit, share(unit, 0));
    }
    sim.run(Duration::from_millis(100));
    sim
}

fn machine(sim: &Sim, i: usize) -> ModeId {
    ModeId::Machine(sim.tree(0).structure().member_of(&id(i)).unwrap().id.clone())
}

fn set(sim: &Sim, i: usize, feature: &str, text: &str) -> Edit {
    let value = Arc::new(Value::table([("text", Value::text(text))]));
    Edit::Set { mode: machine(sim, i), feature: FeatureName::new(feature), value }
}

fn says(sim: &Sim, at: usize, of: usize, feature: &str) -> Option<String> {
    let tree = sim.tree(at);
    tree.defined(&machine(sim, of), &FeatureName::new(feature))
        .and_then(|v| v.content.value())
        .map(|v| format!("{v:?}"))
}

#[test]
fn f3_what_the_primary_sets_for_itself_holds_for_its_units_within_a_second_and_f6_what_is_bound_to_a_network_stays() {
    let mut sim = units();
    let edits = [set(&sim, 0, SHARED, "here"), set(&sim, 0, BOUND, "own")];
    sim.commit(0, &edits, &BTreeMap::new());
    sim.run(Duration::from_secs(1));
    let own = says(&sim, 1, 0, SHARED);
    assert!(own.as_ref().is_some_and(|v| v.contains("here")));
    for at in 0..3 {
        assert_eq!(says(&sim, at, 1, SHARED), own, "as peer {at} has it");
        assert_eq!(says(&sim, at, 1, BOUND), None);
        assert_eq!(says(&sim, at, 2, SHARED), None, "not for a peer beside the group");
    }
    sim.commit(0, &[Edit::Unset { mode: machine(&sim, 0), feature: FeatureName::new(SHARED) }], &BTreeMap::new());
    sim.run(Duration::from_secs(1));
    assert_eq!(says(&sim, 1, 1, SHARED), None);
}

#[test]
fn f3_what_is_written_elsewhere_for_a_secondary_is_made_like_the_primary_again() {
    let mut sim = units();
    sim.commit(2, &[set(&sim, 1, SHARED, "stray")], &BTreeMap::new());
    sim.run(Duration::from_secs(1));
    assert_eq!(says(&sim, 2, 1, SHARED), None);
}

#[test]
fn f3_a_secondary_refuses_what_the_group_shares_and_takes_what_is_its_own() {
    let mut sim = units();
    sim.commit(1, &[set(&sim, 1, SHARED, "no")], &BTreeMap::new());
    sim.run(Duration::from_secs(1));
    let refused = sim.nodes[1].answers.last().unwrap().clone().unwrap_err();
    assert!(
        refused.starts_with("HA secondary can't set attribute smtproutes: group gw shares it; write at"),
        "{refused}"
    );
    sim.commit(1, &[set(&sim, 1, BOUND, "own")], &BTreeMap::new());
    sim.run(Duration::from_secs(1));
    assert_eq!(sim.nodes[1].answers.last().unwrap(), &Ok("accepted".to_owned()));
}

#[test]
fn f3_of_two_primaries_none_writes_for_the_other() {
    let mut sim = units();
    // Each hears that the other is primary too: the HA core then lets neither write.
    for unit in 0..2 {
        let Event::Share(Some(told)) = share(unit, 0) else { unreachable!() };
        sim.event(unit, Event::Share(Some(Share { writes: false, primary: None, ..told })));
    }
    sim.run(Duration::from_millis(100));
    sim.commit(2, &[set(&sim, 1, SHARED, "b"), set(&sim, 0, SHARED, "a")], &BTreeMap::new());
    sim.run(Duration::from_secs(2));
    assert_ne!(says(&sim, 2, 0, SHARED), says(&sim, 2, 1, SHARED));
}

#[test]
fn f4_a_manual_sync_makes_the_units_alike_after_a_role_change() {
    let mut sim = units();
    sim.commit(0, &[set(&sim, 0, SHARED, "old")], &BTreeMap::new());
    sim.run(Duration::from_secs(1));
    for unit in 0..2 {
        sim.event(unit, share(unit, 1));
    }
    sim.run(Duration::from_millis(100));
    sim.commit(1, &[set(&sim, 1, SHARED, "new")], &BTreeMap::new());
    sim.event(0, Event::SyncShare);
    sim.run(Duration::from_secs(1));
    assert!(says(&sim, 0, 0, SHARED).is_some_and(|v| v.contains("new")));
}

#[test]
fn f3_the_primary_refuses_what_it_would_undo_a_moment_later() {
    let mut sim = units();
    sim.commit(0, &[set(&sim, 1, SHARED, "for one")], &BTreeMap::new());
    let refused = sim.nodes[0].answers.last().unwrap().clone().unwrap_err();
    assert!(refused.contains("HA group gw shares smtproutes: set it for"), "{refused}");
    sim.commit(0, &[set(&sim, 1, BOUND, "own")], &BTreeMap::new());
    sim.run(Duration::from_secs(1));
    assert!(says(&sim, 2, 1, BOUND).is_some());
}
