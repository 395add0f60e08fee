//! What scenario files can't say: commands, discovery, relays, sharing, hostile peers.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::finding::Transition;
use peerdeck::domain::maintenance::Maintenance;
use peerdeck::domain::mesh::link::{Cause, LinkState};
use peerdeck::domain::observation::{Fact, Observation, RowDelta};
use peerdeck::domain::reach::{PeerEvent, PeerRequest, ReachState};
use peerdeck::domain::snapshot::{Limits, Snapshot};
use peerdeck::domain::{BootId, Command, FindingKind, Outcome, OutcomeState, PeerId, Plan, Row, Severity, Time};
use peerdeck::engine::{ClusterConfig, Config, Effect, Engine, Event};

use super::world::{World, endpoint, machine, time};

fn groups(names: &[&str]) -> Vec<(String, Vec<String>)> {
    vec![("Main_Group".to_owned(), names.iter().map(|n| (*n).to_owned()).collect())]
}

fn world(names: &[&str]) -> World {
    let mut world = World::new(&groups(names), Limits::default(), &|_| true, false);
    world.connect_all();
    world.run(1.5);
    world
}

fn state(snapshot: &Snapshot, from: &str, to: &str, now: Time) -> LinkState {
    let cluster = &snapshot.clusters[0];
    let at = |n: &str| cluster.index[&PeerId::new(n)];
    cluster.cell(at(from), at(to), now).state
}

fn plan(world: &mut World, command: Command) -> Plan {
    let snapshot = world.snapshot();
    peerdeck::engine::plans::plan(&snapshot.clusters[0], command, snapshot.at)
}

fn disconnect(world: &mut World, name: &str) -> Plan {
    plan(world, Command::Disconnect { peer: PeerId::new(name), reason: "test".into() })
}

fn states(world: &World, id: u64) -> Vec<OutcomeState> {
    world.outcomes.iter().filter(|(i, _)| *i == id).map(|(_, o)| o.state).collect()
}

fn accept(world: &mut World, name: &str, id: u64) {
    let outcome = Outcome { state: OutcomeState::Accepted, at: world.now, detail: "ok".into() };
    world.say(name, PeerEvent::Executed { id, outcome, commit: None });
}

#[test]
fn c31_the_grid_is_complete_once_all_have_reported() {
    let mut world = world(&["lab1", "lab2", "lab10"]);
    let snapshot = world.snapshot();
    let cluster = &snapshot.clusters[0];
    let order: Vec<&str> = cluster.peers.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(order, ["lab1", "lab2", "lab10"], "in natural order of the host names");
    assert_eq!(cluster.link_counts(world.now), (6, 6));
    assert!(cluster.peers.iter().all(|p| p.cells.len() == 3 && p.pulses.len() == 3));
}

#[test]
fn the_same_picture_is_shared_as_long_as_nothing_changes() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let first = world.snapshot();
    assert!(!world.engine.is_dirty());
    assert!(Arc::ptr_eq(&first, &world.snapshot()));
    world.report("lab2");
    assert!(world.engine.is_aged() && !world.engine.is_dirty(), "nothing but ages and round trips");
    let second = world.snapshot();
    assert!(second.generation > first.generation);
    let same = |n: usize| Arc::ptr_eq(&first.clusters[0].peers[n], &second.clusters[0].peers[n]);
    assert_eq!((same(0), same(1), same(2)), (true, false, true), "one report replaces one part");
}

#[test]
fn stale_evidence_is_unknown_not_connected() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    world.actors.get_mut("lab2").unwrap().talks = false;
    world.run(5.0);
    let snapshot = world.snapshot();
    assert_eq!(state(&snapshot, "lab2", "lab1", world.now), LinkState::Unknown);
    assert_eq!(state(&snapshot, "lab1", "lab2", world.now), LinkState::Connected);
}

#[test]
fn a_lost_peer_is_relayed_by_two_fellows_and_by_none_once_it_is_back() {
    let mut world = world(&["lab1", "lab2", "lab3", "lab4"]);
    world.requests.clear();
    world.lose("lab2", Cause::Timeout);
    world.run(2.0);
    let asked: Vec<&str> = world
        .requests
        .iter()
        .filter(|(_, r)| *r == PeerRequest::Relay(vec![PeerId::new("lab2")]))
        .map(|(k, _)| k.host.short())
        .collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    world.run(6.0);
    let snapshot = world.snapshot();
    assert_eq!(state(&snapshot, "lab2", "lab1", world.now), LinkState::Connected, "by the word of a relay");
    let row = snapshot.clusters[0].peer(&PeerId::new("lab2")).unwrap().row.clone().unwrap();
    assert!(row.via.is_some());
    assert_eq!(world.requests.len(), 2, "asked again only on a change");
    world.connect("lab2");
    world.run(1.0);
    let released = world.requests.iter().filter(|(_, r)| *r == PeerRequest::Relay(Vec::new())).count();
    assert_eq!(released, 2);
    let row = world.snapshot().clusters[0].peer(&PeerId::new("lab2")).unwrap().row.clone().unwrap();
    assert!(row.via.is_none(), "its own word counts again");
}

#[test]
fn a_relayed_row_never_replaces_what_the_peer_says_itself() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let forged = Row {
        origin: PeerId::new("lab2"),
        boot: BootId(99),
        seq: 999,
        vouched: world.now,
        via: Some(PeerId::new("lab1")),
        detached: None,
        maintenance: None,
        level: 1,
        links: Vec::new(),
    };
    let fact = Fact::Row(Arc::new(forged));
    let facts = vec![Observation { at: world.now, observer: PeerId::new("lab1"), fact }];
    world.say("lab1", PeerEvent::Observed(facts));
    let snapshot = world.snapshot();
    assert_eq!(state(&snapshot, "lab2", "lab1", world.now), LinkState::Connected);
}

#[test]
fn a_peer_speaks_for_nobody_else_and_a_change_without_its_row_is_counted() {
    let mut world = World::new(&groups(&["lab1", "lab2"]), Limits::default(), &|_| true, false);
    let delta = || {
        Fact::RowDelta(RowDelta {
            seq: 7,
            detached: None,
            maintenance: None,
            level: 1,
            changed: vec![],
            removed: vec![],
            pings: vec![],
        })
    };
    let say = |world: &World, observer: &str, fact: Fact| {
        PeerEvent::Observed(vec![Observation { at: world.now, observer: PeerId::new(observer), fact }])
    };
    let (connected, early) = (
        PeerEvent::Connected { address: None, took: Duration::ZERO, id: PeerId::new("lab1") },
        say(&world, "lab1", delta()),
    );
    world.say("lab1", connected);
    world.say("lab1", early);
    assert_eq!(world.snapshot().dropped, 1, "a change without a base");
    let other = say(&world, "lab2", delta());
    world.say("lab1", other);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.dropped, 2, "another observer");
    assert!(snapshot.clusters[0].peers.iter().all(|p| p.row.is_none()));
}

#[test]
fn members_are_discovered_and_those_that_left_are_let_go() {
    let all = groups(&["lab1", "lab2", "lab3"]);
    let mut world = World::new(&all, Limits::default(), &|n| n == "lab1", true);
    assert_eq!(world.started.len(), 1);
    world.connect("lab1");
    assert_eq!(world.started.len(), 3, "{:?}", world.started);
    world.connect_all();
    world.run(1.0);
    let membership = world.membership.as_mut().unwrap();
    membership.revision = 2;
    membership.machines.retain(|m| m.id != PeerId::new("lab3"));
    world.lose("lab1", Cause::Dropped);
    world.connect("lab1");
    assert_eq!(world.started.len(), 2);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.clusters[0].membership_revision, Some(2));
    assert_eq!(snapshot.clusters[0].peers.len(), 2);
    // An older revision, and that of another cluster, change nothing.
    let membership = world.membership.as_mut().unwrap();
    membership.revision = 1;
    membership.machines.push(Arc::new(machine("lab9", "lab9.example.com", "Main_Group")));
    world.lose("lab2", Cause::Dropped);
    world.connect("lab2");
    assert_eq!(world.started.len(), 2);
    let membership = world.membership.as_mut().unwrap();
    membership.revision = 50;
    membership.cluster_id = "another".into();
    world.lose("lab2", Cause::Dropped);
    world.connect("lab2");
    assert_eq!(world.snapshot().clusters[0].membership_revision, Some(2));
}

#[test]
fn the_cluster_of_most_peers_is_shown_and_no_fellow_renames_a_peer() {
    let mut world = World::new(&groups(&["lab1", "lab2", "lab3"]), Limits::default(), &|_| true, false);
    let honest = world.membership.clone();
    let lie = world.membership.as_mut().unwrap();
    lie.cluster_id = "another".into();
    lie.name = "evil".into();
    lie.revision = u64::MAX;
    lie.machines = ["lab1", "lab2", "lab3", "lab9"].map(|n| Arc::new(machine(n, "evil.example", "Evil"))).into();
    let lie = world.membership.clone();
    world.connect("lab1");
    assert_eq!(world.snapshot().clusters[0].name.as_str(), "evil", "nobody else has told anything");
    world.membership = honest;
    world.connect("lab2");
    assert_eq!(world.snapshot().clusters[0].membership_revision, Some(u64::MAX), "one against one: the first");
    world.connect("lab3");
    let check = |world: &mut World| {
        let snapshot = world.snapshot();
        let cluster = &snapshot.clusters[0];
        assert_eq!((cluster.name.as_str(), cluster.membership_revision), ("americas", Some(1)));
        let hosts: Vec<&str> = cluster.peers.iter().map(|p| p.host.as_str()).collect();
        assert_eq!(hosts, ["lab1.example.com", "lab2.example.com", "lab3.example.com"]);
    };
    check(&mut world);
    // Nor does it win while the others are away.
    for name in ["lab1", "lab2", "lab3"] {
        world.lose(name, Cause::Dropped);
    }
    world.membership = lie;
    world.connect("lab1");
    check(&mut world);
    // In the same cluster a fellow may tell a newer membership, but not how a peer is called that answers itself.
    let membership = world.membership.as_mut().unwrap();
    membership.cluster_id = "c1".into();
    world.lose("lab1", Cause::Dropped);
    world.connect("lab1");
    let snapshot = world.snapshot();
    let names = snapshot.clusters[0].peers.iter().map(|p| (p.id.as_str(), p.host.as_str()));
    let lab2 = names.clone().find(|(id, _)| *id == "lab2");
    assert_eq!(lab2, Some(("lab2", "lab2.example.com")), "{:?}", names.collect::<Vec<_>>());
}

#[test]
fn a_first_answer_that_cannot_be_read_is_a_finding_of_that_peer() {
    let mut world = World::new(&groups(&["lab1", "lab2"]), Limits::default(), &|_| true, false);
    world.connect("lab1");
    let fact = Fact::Unparsed { why: "nonsense".into() };
    let observer = PeerId::unheard("lab2.example.com", 22);
    world.say("lab2", PeerEvent::Observed(vec![Observation { at: world.now, observer, fact }]));
    world.run(3.0);
    let snapshot = world.snapshot();
    let found: Vec<_> = snapshot.clusters[0].findings.iter().map(|f| (f.kind, f.subject.clone())).collect();
    let lab2 = peerdeck::domain::Subject::Peer(PeerId::new("lab2"));
    assert!(found.contains(&(peerdeck::domain::finding::FindingKind::AnswerUnparsed, lab2)), "{found:?}");
}

#[test]
fn a_peer_with_the_wrong_serial_number_is_not_taken_for_the_one_that_is_expected() {
    let all = groups(&["lab1", "lab2"]);
    let mut world = World::new(&all, Limits::default(), &|n| n == "lab1", true);
    world.connect("lab1");
    let stranger = PeerId::new("stranger");
    world.say("lab2", PeerEvent::Connected { address: None, took: Duration::ZERO, id: stranger.clone() });
    let fact = Fact::Event(peerdeck::domain::Event {
        cluster: None,
        at: world.now,
        kind: peerdeck::domain::event::EventKind::Peer,
        subject: peerdeck::domain::Subject::Cluster,
        text: "planted".into(),
    });
    let facts = vec![Observation { at: world.now, observer: stranger.clone(), fact }];
    world.say("lab2", PeerEvent::Observed(facts));
    world.run(3.0);
    let snapshot = world.snapshot();
    let cluster = &snapshot.clusters[0];
    assert!(cluster.peer(&stranger).is_none());
    assert!(!cluster.peer(&PeerId::new("lab2")).unwrap().is_reached());
    assert!(!snapshot.events.iter().any(|e| e.text.as_str() == "planted"));
    let text = "answered with serial number stranger where the membership has lab2";
    assert!(cluster.findings.iter().any(|f| f.text.as_str().contains(text)), "{:?}", cluster.findings);
}

#[test]
fn lines_of_a_peers_log_are_taken_once_even_when_they_are_told_again() {
    let all = groups(&["lab1", "lab2"]);
    let mut world = World::new(&all, Limits::default(), &|_| true, false);
    world.connect_all();
    let tell = |world: &mut World, lines: std::ops::RangeInclusive<u64>| {
        let observer = PeerId::new("lab1");
        let event = |n: u64| peerdeck::domain::Event {
            cluster: None,
            at: world.now,
            kind: peerdeck::domain::event::EventKind::Peer,
            subject: peerdeck::domain::Subject::Peer(observer.clone()),
            text: format!("line {n}").as_str().into(),
        };
        let fact =
            |n| Observation { at: world.now, observer: observer.clone(), fact: Fact::Logged { n, event: event(n) } };
        let facts = lines.map(fact).collect();
        world.say("lab1", PeerEvent::Observed(facts));
    };
    tell(&mut world, 1..=2);
    world.lose("lab1", Cause::Dropped);
    world.connect("lab1");
    tell(&mut world, 1..=3);
    let snapshot = world.snapshot();
    let lines: Vec<&str> = snapshot.events.iter().map(|e| e.text.as_str()).filter(|t| t.starts_with("line ")).collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3"]);
}

#[test]
fn c32_two_clusters_of_one_name_never_mix() {
    let now = time(0.0);
    let config = |name: &str| ClusterConfig {
        name: name.into(),
        endpoints: vec![endpoint(&name.into(), "lab1")],
        discover: true,
        limits: Limits::default(),
        catalogue: Arc::default(),
    };
    let (mut engine, effects) = Engine::new(Config { clusters: vec![config("east"), config("west")] }, now);
    assert_eq!(effects.len(), 2);
    for (name, serial) in [("east", "S1"), ("west", "S2")] {
        let key = endpoint(&name.into(), "lab1").key;
        let id = PeerId::new(serial);
        engine.step(
            now,
            Event::Peer {
                key: key.clone(),
                event: PeerEvent::Connected { address: None, took: Duration::ZERO, id: id.clone() },
            },
        );
        let mut membership = peerdeck::domain::Membership {
            cluster_id: name.into(),
            name: "americas".into(),
            revision: 1,
            addressing: peerdeck::domain::membership::Addressing::HostName,
            groups: vec!["Main_Group".into()],
            machines: vec![Arc::new(machine(serial, "lab1.example.com", "Main_Group"))],
        };
        membership.sort();
        let fact = Fact::Membership(Arc::new(membership));
        engine.step(
            now,
            Event::Peer { key, event: PeerEvent::Observed(vec![Observation { at: now, observer: id, fact }]) },
        );
    }
    let snapshot = engine.snapshot(now);
    let names: Vec<&str> = snapshot.clusters.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["americas", "west"], "the second keeps the name of the fleet file");
    let ids: Vec<&str> = snapshot.clusters.iter().flat_map(|c| &c.peers).map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["S1", "S2"]);
}

#[test]
fn c22_a_command_is_done_when_it_is_observed() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let plan = disconnect(&mut world, "lab2");
    world.submit(1, plan);
    accept(&mut world, "lab2", 1);
    world.run(2.0);
    assert_eq!(states(&world, 1), [OutcomeState::Sent, OutcomeState::Accepted]);
    let now = world.now;
    world.actors.get_mut("lab2").unwrap().detached = Some(now);
    world.run(1.5);
    assert_eq!(states(&world, 1), [OutcomeState::Sent, OutcomeState::Accepted, OutcomeState::Observed]);
}

#[test]
fn a_plan_whose_basis_has_changed_is_refused_and_nothing_is_sent() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let plan = disconnect(&mut world, "lab2");
    let now = world.now;
    world.actors.get_mut("lab2").unwrap().detached = Some(now);
    world.run(1.5);
    world.requests.clear();
    world.submit(1, plan);
    assert_eq!(states(&world, 1), [OutcomeState::Refused]);
    assert!(world.outcomes[0].1.detail.as_str().contains("lab2 is detached now"), "{:?}", world.outcomes);
    assert!(world.requests.is_empty());
}

#[test]
fn a_command_goes_by_way_of_a_fellow_when_its_target_is_not_reached() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    world.set_state("lab1", "lab2", LinkState::Down, Some(Cause::Timeout));
    world.lose("lab2", Cause::Timeout);
    world.run(1.5);
    let plan = disconnect(&mut world, "lab2");
    world.requests.clear();
    world.submit(1, plan);
    let to: Vec<&str> = world.requests.iter().map(|(k, _)| k.host.short()).collect();
    assert_eq!(to, ["lab3"], "the one that sees it");
}

#[test]
fn silence_after_a_command_is_unknown_not_failed() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let plan = disconnect(&mut world, "lab2");
    world.submit(1, plan.clone());
    world.run(16.0);
    assert_eq!(states(&world, 1), [OutcomeState::Sent, OutcomeState::Unknown]);
    world.submit(2, plan);
    world.lose("lab2", Cause::Dropped);
    assert_eq!(states(&world, 2), [OutcomeState::Sent, OutcomeState::Unknown], "the peer went away");
}

#[test]
fn a_peer_that_vanishes_in_the_middle_of_a_command_leaves_it_unknown_taken_or_not() {
    for taken in [false, true] {
        let mut world = world(&["lab1", "lab2", "lab3"]);
        let plan = disconnect(&mut world, "lab2");
        world.submit(1, plan);
        if taken {
            accept(&mut world, "lab2", 1);
        }
        world.actors.get_mut("lab2").unwrap().talks = false;
        world.lose("lab2", Cause::Dropped);
        for fellow in ["lab1", "lab3"] {
            world.set_state(fellow, "lab2", LinkState::Down, Some(Cause::Refused));
        }
        world.run(16.0);
        let said = states(&world, 1);
        assert_eq!(said.last(), Some(&OutcomeState::Unknown), "{said:?}");
        assert_eq!(said.iter().filter(|s| s.is_final()).count(), 1, "said once: {said:?}");
        assert!(!said.contains(&OutcomeState::Failed), "nobody knows that: {said:?}");
        // It did come about after all: too late for the command, visible all the same.
        let now = world.now;
        world.actors.get_mut("lab2").unwrap().detached = Some(now);
        world.connect("lab2");
        world.run(1.5);
        assert_eq!(states(&world, 1), said);
    }
}

#[test]
fn c22_what_the_target_refuses_over_a_fellow_is_refused_here_with_its_reason() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    world.lose("lab2", Cause::Timeout);
    world.run(1.5);
    let plan = disconnect(&mut world, "lab2");
    world.submit(1, plan);
    let why = "lab2.example.com is in maintenance now";
    let outcome = Outcome { state: OutcomeState::Refused, at: world.now, detail: why.into() };
    let via = world.requests.last().unwrap().0.host.short().to_owned();
    world.say(&via, PeerEvent::Executed { id: 1, outcome, commit: None });
    assert_eq!(states(&world, 1), [OutcomeState::Sent, OutcomeState::Refused]);
    assert_eq!(world.outcomes.last().unwrap().1.detail.as_str(), why);
}

fn maintain(world: &mut World, name: &str, seconds: u64, reason: &str) {
    let span = Duration::from_secs(seconds);
    let told = Maintenance::lasting(world.now, span, "admin".into(), reason.into());
    world.actors.get_mut(name).unwrap().maintenance = Some(told);
}

#[test]
fn c22_what_is_held_back_stands_with_the_finding_that_holds_it_back() {
    let mut world = world(&["lab1", "lab2", "lab3", "lab4"]);
    maintain(&mut world, "lab2", 600, "new disk");
    world.set_state("lab1", "lab2", LinkState::Down, Some(Cause::Timeout));
    world.set_state("lab2", "lab1", LinkState::Down, Some(Cause::Timeout));
    world.run(6.0);
    let findings = world.snapshot().clusters[0].findings.clone();
    assert_eq!(findings.len(), 1, "{findings:?}");
    let f = &findings[0];
    assert_eq!((f.kind, f.severity), (FindingKind::Maintenance, Severity::Notice));
    assert!(f.text.as_str().ends_with(", announced by admin: new disk"), "{}", f.text);
    assert!(f.evidence.iter().any(|e| e.as_str().starts_with("held back: ")), "{:?}", f.evidence);
}

#[test]
fn the_times_of_an_announcement_don_t_move_with_every_report() {
    let mut world = world(&["lab1", "lab2"]);
    maintain(&mut world, "lab2", 600, "new disk");
    world.run(2.0);
    let told =
        |world: &mut World| world.snapshot().clusters[0].peer(&PeerId::new("lab2")).unwrap().row.clone().unwrap();
    let first = told(&mut world).maintenance.clone();
    // Each report takes another time on its way.
    let shift = |m: &Maintenance, ms: u64| Maintenance {
        since: m.since + Duration::from_millis(ms),
        until: m.until + Duration::from_millis(ms),
        ..m.clone()
    };
    for ms in [40, 3, 900] {
        let later = first.as_ref().map(|m| shift(m, ms));
        world.actors.get_mut("lab2").unwrap().maintenance = later;
        world.run(1.5);
        assert_eq!(told(&mut world).maintenance, first, "{ms}");
    }
    maintain(&mut world, "lab2", 1200, "new disk");
    world.run(1.5);
    assert_ne!(told(&mut world).maintenance, first, "a new one is a new one");
    assert_eq!(world.alerts.iter().filter(|(_, t, _)| *t == Transition::Raised).count(), 1, "{:?}", world.alerts);
}

#[test]
fn a_host_key_is_trusted_only_as_it_was_looked_at() {
    let mut world = world(&["lab1", "lab2"]);
    world.say("lab2", PeerEvent::AskHostKey { key: "ssh-ed25519 NEW".into(), fingerprint: "SHA256:new".into() });
    let snapshot = world.snapshot();
    let reach = &snapshot.clusters[0].peer(&PeerId::new("lab2")).unwrap().reach;
    assert_eq!((reach.state, reach.detail.as_str()), (ReachState::AskHostKey, "SHA256:new"));
    let cluster = world.cluster.clone();
    world.requests.clear();
    let trust =
        |line: &str| Event::TrustHostKey { cluster: cluster.clone(), peer: PeerId::new("lab2"), line: line.into() };
    world.step(trust("SHA256:old"));
    assert!(world.requests.is_empty(), "another key than the one that was looked at");
    world.step(trust("SHA256:new"));
    let request = PeerRequest::TrustHostKey { key: "ssh-ed25519 NEW".into() };
    assert_eq!(world.requests, [(world.key("lab2"), request)]);
}

#[test]
fn the_ring_of_events_is_bounded() {
    let mut world = world(&["lab1", "lab2"]);
    for _ in 0..2_500 {
        world.lose("lab2", Cause::Dropped);
        let id = PeerId::new("lab2");
        world.say("lab2", PeerEvent::Connected { address: None, took: Duration::ZERO, id });
    }
    let events = world.snapshot().events.len();
    assert!((1_000..=2_000).contains(&events), "{events}");
}

#[test]
fn what_an_unknown_endpoint_says_is_nobodys_word() {
    let mut world = world(&["lab1", "lab2"]);
    let before = world.snapshot();
    let mut key = world.key("lab1");
    key.cluster = "elsewhere".into();
    let event = PeerEvent::Connected { address: None, took: Duration::ZERO, id: PeerId::new("x") };
    let effects: Vec<Effect> = world.engine.step(world.now, Event::Peer { key, event });
    assert!(effects.is_empty());
    assert!(Arc::ptr_eq(&before, &world.snapshot()));
}

#[test]
fn pings_of_a_delta_go_into_pulse_and_round_trip() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    let fact = Fact::RowDelta(RowDelta {
        seq: 1,
        detached: None,
        maintenance: None,
        level: 1,
        changed: Vec::new(),
        removed: Vec::new(),
        pings: vec![Some(Some(Duration::from_millis(8))), Some(None)],
    });
    let facts = vec![Observation { at: world.now, observer: PeerId::new("lab1"), fact }];
    world.say("lab1", PeerEvent::Observed(facts));
    let snapshot = world.snapshot();
    let peer = &snapshot.clusters[0].peers[0];
    assert_eq!(peer.rtt(1), Some(Duration::from_millis(8)));
    assert_eq!(snapshot.clusters[0].cell(0, 1, world.now).rtt, peer.rtt(1));
    assert_eq!(peer.rtt(2), peer.cells[2].as_ref().unwrap().rtt, "a lost ping leaves what was measured before");
    let last = |n: usize| peer.pulses[n].beats().last().unwrap();
    assert!(matches!(last(1), peerdeck::domain::mesh::pulse::Beat::Answered(_)));
    assert_eq!(last(2), peerdeck::domain::mesh::pulse::Beat::Lost);
}

#[test]
fn an_unknown_host_key_is_told_from_a_changed_one_where_nobody_can_be_asked() {
    let mut world = world(&["lab1", "lab2", "lab3"]);
    for _ in 0..8 {
        world.say("lab2", PeerEvent::Dialing { attempt: 1 });
        world.say("lab2", PeerEvent::AskHostKey { key: "ssh-ed25519 NEW".into(), fingerprint: "SHA256:new".into() });
        world.lose("lab2", Cause::HostKey);
        world.run(1.0);
    }
    let kinds: Vec<&str> = world.snapshot().clusters[0].findings.iter().map(|f| f.kind.as_str()).collect();
    assert_eq!(kinds, ["host-key-unknown"]);
    world.say("lab2", PeerEvent::Dialing { attempt: 9 });
    world.connect("lab2");
    world.lose("lab2", Cause::HostKey);
    world.run(9.0);
    let kinds: Vec<&str> = world.snapshot().clusters[0].findings.iter().map(|f| f.kind.as_str()).collect();
    assert_eq!(kinds, ["host-key-changed"]);
}

/// Three that have fallen silent, and how often the engine looks at them by itself from then on.
#[test]
fn peers_that_stay_away_are_dialled_without_waking_anybody_and_looked_at_ever_more_rarely() {
    let names = ["lab1", "lab2", "lab3"];
    let mut world = world(&names);
    for name in names {
        world.lose(name, Cause::Timeout);
    }
    let mut looks = Vec::new();
    let lost = world.now;
    let mut dial = world.now;
    while world.now.since(lost) < Duration::from_mins(10) {
        if world.now >= dial {
            dial = world.now + Duration::from_secs(8);
            world.snapshot();
            let dirty = world.engine.is_dirty();
            assert!(!dirty, "a picture was just taken");
            // As after each step.
            world.engine.look_sooner(world.now);
            let before = world.engine.next_look(world.now);
            for name in names {
                world.say(name, PeerEvent::Dialing { attempt: 7 });
                world.lose(name, Cause::Timeout);
            }
            if world.now > lost {
                assert!(!world.engine.is_dirty(), "a repeated failure is no news at {:?}", world.now);
                assert_eq!(world.engine.look_sooner(world.now), None, "and nothing is looked at for it");
                assert_eq!(world.engine.next_look(world.now), before);
            }
            let peer = &world.snapshot().clusters[0].peers[0];
            assert_eq!((peer.reach.attempts, peer.reach.state), (7, ReachState::Unreachable), "but it is shown");
            assert!(peer.reach.next_attempt > Some(world.now));
        }
        let look = world.engine.next_look(world.now).at;
        if look > dial {
            world.now = dial;
            continue;
        }
        world.now = look;
        looks.push(look);
        world.step(Event::Tick);
    }
    assert!(world.alerts.iter().any(|(_, t, _)| *t == Transition::Raised), "it was told all the same");
    let late = looks.iter().filter(|at| at.since(lost) > Duration::from_mins(5)).count();
    assert!((15..=25).contains(&late), "{late} looks in five minutes");
    // Another reason is news at once.
    world.lose("lab2", Cause::Refused);
    assert!(world.engine.is_dirty());
}

#[test]
fn c21_a_peer_that_a_fellow_reaches_again_is_dialled_at_once_but_not_one_that_refuses_the_login() {
    let dialled = |w: &World| {
        let dials = w.requests.iter().filter(|(_, r)| *r == PeerRequest::DialNow);
        dials.map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    for (cause, wanted) in [(Cause::Refused, true), (Cause::Auth, false)] {
        let mut w = world(&["n1", "n2", "n3", "n4"]);
        w.connect_all();
        w.run(5.0);
        w.lose("n4", cause);
        for from in ["n1", "n2", "n3"] {
            w.set_state(from, "n4", LinkState::Down, Some(Cause::Refused));
        }
        w.run(10.0);
        w.requests.clear();
        for from in ["n1", "n2", "n3"] {
            w.set_state(from, "n4", LinkState::Connected, None);
        }
        w.run(3.0);
        let key = w.key("n4");
        assert_eq!(dialled(&w), if wanted { vec![key] } else { Vec::new() }, "once, whoever reaches it ({cause:?})");
    }
}
