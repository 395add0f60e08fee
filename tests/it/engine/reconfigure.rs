//! Another fleet while the engine runs: what has not changed is not touched.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::PeerId;
use peerdeck::domain::finding::Transition;
use peerdeck::domain::mesh::link::Cause;
use peerdeck::domain::reach::{EndpointKey, ReachState};
use peerdeck::domain::snapshot::Limits;
use peerdeck::engine::{ClusterConfig, Config, Effect, Event, Reconfiguration};

use super::world::{World, endpoint};

fn world(names: &[&str]) -> World {
    let groups = vec![("Main_Group".to_owned(), names.iter().map(|n| (*n).to_owned()).collect())];
    let mut world = World::new(&groups, Limits::default(), &|_| true, false);
    world.connect_all();
    world.run(1.5);
    world
}

fn cluster(world: &World, names: &[&str]) -> ClusterConfig {
    let endpoints = names.iter().map(|n| endpoint(&world.cluster, n)).collect();
    ClusterConfig {
        name: world.cluster.clone(),
        endpoints,
        discover: false,
        limits: Limits::default(),
        catalogue: Arc::default(),
    }
}

/// Hands another fleet in; which actors are started and stopped for it, in order.
fn change(world: &mut World, clusters: Vec<ClusterConfig>, restart: &[&str]) -> (Vec<EndpointKey>, Vec<EndpointKey>) {
    let restart: BTreeSet<EndpointKey> = restart.iter().map(|n| world.key(n)).collect();
    let new = Reconfiguration { config: Config { clusters }, restart };
    let effects = world.engine.step(world.now, Event::Reconfigure(new));
    let (mut started, mut stopped) = (Vec::new(), Vec::new());
    for effect in effects {
        match effect {
            Effect::Start(endpoint) => started.push(endpoint.key),
            Effect::Stop(key) => stopped.push(key),
            Effect::Alert(transition, finding) => world.alerts.push((world.now, transition, finding)),
            Effect::Request { .. } | Effect::Happened(_) | Effect::Outcome { .. } | Effect::History { .. } => {}
        }
    }
    (started, stopped)
}

#[test]
fn the_same_fleet_again_touches_no_connection() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let before = world.snapshot();
    let same = cluster(&world, &["lab1", "lab2", "lab3"]);
    assert_eq!(change(&mut world, vec![same], &[]), (vec![], vec![]));
    let after = world.snapshot();
    let mut pairs = before.clusters[0].peers.iter().zip(&after.clusters[0].peers);
    assert!(pairs.all(|(a, b)| Arc::ptr_eq(a, b)), "no peer was even written");
    assert_eq!(after.clusters[0].link_counts(world.now), (6, 6));
}

#[test]
fn a_peer_that_the_file_no_longer_names_ends_and_a_new_one_begins_alone() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let fewer = cluster(&world, &["lab1", "lab2"]);
    let (started, stopped) = change(&mut world, vec![fewer], &[]);
    assert_eq!((started, stopped), (vec![], vec![world.key("lab3")]));
    let snapshot = world.snapshot();
    let lab3 = snapshot.clusters[0].peer(&PeerId::new("lab3")).unwrap();
    assert!(!lab3.observed, "the membership still names it");
    let reached = snapshot.clusters[0].peers.iter().filter(|p| p.is_reached()).count();
    assert_eq!(reached, 2);
    let all = cluster(&world, &["lab1", "lab2", "lab3"]);
    let (started, stopped) = change(&mut world, vec![all], &[]);
    assert_eq!((started, stopped), (vec![world.key("lab3")], vec![]));
    world.connect("lab3");
    world.run(1.0);
    assert!(world.snapshot().clusters[0].peers.iter().all(|p| p.is_reached()));
}

#[test]
fn changed_settings_of_one_endpoint_begin_that_one_anew_and_keep_what_is_known() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let same = cluster(&world, &["lab1", "lab2", "lab3"]);
    let (started, stopped) = change(&mut world, vec![same], &["lab2"]);
    assert_eq!((started, stopped), (vec![world.key("lab2")], vec![world.key("lab2")]));
    let snapshot = world.snapshot();
    let state = |name: &str| snapshot.clusters[0].peer(&PeerId::new(name)).map(|p| p.reach.state);
    assert_eq!(state("lab2"), Some(ReachState::Connecting));
    assert_eq!(state("lab1"), Some(ReachState::Connected));
    assert_eq!(snapshot.clusters[0].peers.len(), 3, "it does not stand there twice");
    assert!(snapshot.clusters[0].peer(&PeerId::new("lab2")).unwrap().row.is_some());
    world.connect("lab2");
    world.run(1.0);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.clusters[0].peers.len(), 3);
    assert!(snapshot.clusters[0].peers.iter().all(|p| p.is_reached()));
}

#[test]
fn limits_are_swapped_without_a_new_connection() {
    let mut world = world(&["lab1", "lab2"]);
    let stale = Duration::from_mins(2);
    let limits = Limits { stale, ..Limits::default() };
    let other = ClusterConfig { limits, ..cluster(&world, &["lab1", "lab2"]) };
    assert_eq!(change(&mut world, vec![other], &[]), (vec![], vec![]));
    assert_eq!(world.snapshot().clusters[0].limits.stale, stale);
    let usual = cluster(&world, &["lab1", "lab2"]);
    change(&mut world, vec![usual], &[]);
    assert!(world.snapshot().clusters[0].limits.stale < stale, "and back");
}

#[test]
fn c32_a_new_cluster_comes_beside_and_one_that_is_gone_takes_its_findings_with_it() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    world.lose("lab2", Cause::Auth);
    world.run(10.0);
    let raised = world.snapshot().clusters[0].findings.len();
    assert!(raised > 0, "a refused login is a finding");
    world.alerts.clear();
    let name = "europe".into();
    let endpoints = vec![endpoint(&name, "lab9")];
    let europe =
        ClusterConfig { name, endpoints, discover: true, limits: Limits::default(), catalogue: Arc::default() };
    let old = cluster(&world, &["lab1", "lab2", "lab3"]);
    let (started, stopped) = change(&mut world, vec![europe.clone(), old], &[]);
    assert_eq!(started.iter().map(|k| k.host.short()).collect::<Vec<_>>(), ["lab9"]);
    assert_eq!(stopped, []);
    let snapshot = world.snapshot();
    let names: Vec<&str> = snapshot.clusters.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["europe", "americas"], "in the order of the file");
    assert_eq!(snapshot.clusters[1].findings.len(), raised, "nothing of the other one moved");
    let (started, stopped) = change(&mut world, vec![europe], &[]);
    assert_eq!((started.len(), stopped.len()), (0, 3));
    assert_eq!(world.snapshot().clusters.len(), 1);
    let cleared = world.alerts.iter().filter(|(_, t, _)| *t == Transition::Cleared).count();
    assert_eq!(cleared, raised, "every finding that was told is cleared");
    world.report("lab1");
    assert_eq!(world.snapshot().clusters.len(), 1, "a last word of an actor that was stopped changes nothing");
}
