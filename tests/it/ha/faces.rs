//! What people and programs are told of HA groups: reports, plans, events, thresholds tried.

use std::time::Duration;

use peerdeck::domain::command::OutcomeState;
use peerdeck::domain::event::EventKind;
use peerdeck::domain::finding::FindingKind;
use peerdeck::domain::ha::HaAct;
use peerdeck::domain::ha::what_if::Collector;
use peerdeck::domain::mesh::link::{Cause, LinkState};
use peerdeck::domain::observation::{Fact, Identity, Observation};
use peerdeck::domain::reach::PeerEvent;
use peerdeck::domain::snapshot::Limits;
use peerdeck::domain::{BootId, Cluster, Command, HostName, PeerId, Plan};
use peerdeck::engine::plans::plan;
use peerdeck::record::encode::Encoder;
use peerdeck::report::{self, Style, ha, ha_table, metrics};

use crate::engine::pair::Unit;
use crate::engine::world::World;
use crate::record::codec::Back;

fn unit(configured: &str) -> Unit {
    Unit { configured: Some(configured.into()), ..Unit::default() }
}

fn becomes(effective: &str, epoch: u64, reason: &str) -> Unit {
    let holds = Some(effective == "primary");
    Unit {
        effective: Some(effective.into()),
        epoch: Some(epoch),
        reason: Some(reason.into()),
        holds,
        ..Unit::default()
    }
}

/// lab1 is primary, lab2 secondary, lab3 the witness.
fn pair() -> World {
    let groups = [("Main_Group".to_owned(), ["lab1", "lab2", "lab3"].map(str::to_owned).to_vec())];
    let mut world = World::new(&groups, Limits::default(), &|_| true, false);
    world.unit("lab1", &Unit { holds: Some(true), ..unit("primary") });
    let monitors = [("remote-smtp".to_owned(), "failing".to_owned())].into();
    world.unit("lab2", &Unit { refuses: Some(String::new()), monitors, ..unit("secondary") });
    world.connect_all();
    world.run(3.2);
    world
}

fn cluster(world: &mut World) -> std::sync::Arc<Cluster> {
    world.snapshot().clusters[0].clone()
}

fn asked(world: &mut World, act: HaAct, on: &str) -> Plan {
    let command = Command::Ha { act, on: PeerId::new(on), reason: "".into() };
    let (cluster, now) = (cluster(world), world.now);
    plan(&cluster, command, now)
}

fn lines(of: &[peerdeck::domain::Line]) -> Vec<&str> {
    of.iter().map(peerdeck::domain::Line::as_str).collect()
}

#[test]
fn f14_a_pair_as_document_table_and_line() {
    let mut world = pair();
    let mut changed = becomes("primary", 2, "nothing heard of lab1 for 5.0 s");
    changed.row = 1;
    changed.quiet = Some(600.0);
    world.unit("lab2", &changed);
    world.unit("lab1", &becomes("secondary", 2, "the other is primary in epoch 2"));
    world.run(4.0);
    let snapshot = world.snapshot();
    insta::assert_snapshot!("ha_json", report::document(&ha::document(&snapshot, None, None, true)));
    insta::assert_snapshot!("ha_text", ha_table::text(&snapshot, None, None, true, Style::default()));
    insta::assert_snapshot!("ha_plugin", ha::plugin(&snapshot, None, Some("gw"), true));
    assert_eq!(ha::check(&snapshot, None, None, true).code(), 1);
    assert_eq!(ha::names(&snapshot, None), ["gw"]);
}

#[test]
fn f14_a_unit_that_is_not_heard_has_no_role_and_the_answer_is_unknown() {
    let mut world = pair();
    world.actors.get_mut("lab2").unwrap().talks = false;
    world.run(4.0);
    let snapshot = world.snapshot();
    let document = serde_json::to_value(ha::document(&snapshot, None, None, true)).unwrap();
    let members = &document["groups"][0]["members"];
    assert_eq!(members[0]["effective"], "primary");
    assert_eq!(members[1]["peer"], "lab2.example.com");
    assert!(members[1]["effective"].is_null() && members[1]["heartbeats"][0]["state"].is_null(), "{members:#}");
    assert_eq!(ha::check(&snapshot, None, None, true).code(), 3);
}

#[test]
fn f14_what_is_no_group_is_unknown_and_two_primaries_or_none_are_critical_at_once() {
    let groups = [("Main_Group".to_owned(), vec!["lab1".to_owned()])];
    let mut alone = World::new(&groups, Limits::default(), &|_| true, false);
    alone.connect_all();
    assert_eq!(ha::check(&alone.snapshot(), None, None, true).code(), 3);
    let mut world = pair();
    world.unit("lab2", &becomes("primary", 2, "cut"));
    world.run(1.1);
    assert_eq!(ha::check(&world.snapshot(), None, None, true).code(), 2, "two");
    world.unit("lab1", &becomes("failed", 2, "disk"));
    world.unit("lab2", &becomes("secondary", 2, "resolved"));
    world.run(1.1);
    assert_eq!(ha::check(&world.snapshot(), None, None, true).code(), 2, "none");
}

#[test]
fn f14_two_primaries_stand_before_what_has_been_as_critical_for_longer() {
    let mut world = pair();
    world.set_state("lab1", "lab3", LinkState::Down, Some(Cause::Timeout));
    world.set_state("lab3", "lab1", LinkState::Down, Some(Cause::Timeout));
    world.run(5.0);
    world.unit("lab2", &becomes("primary", 2, "cut"));
    world.run(5.0);
    let findings = cluster(&mut world).findings.clone();
    let link = findings.iter().find(|f| f.kind == FindingKind::LinkDown).unwrap();
    assert_eq!(findings[0].kind, FindingKind::HaTwoPrimaries, "{findings:#?}");
    assert!(link.severity == findings[0].severity && link.since < findings[0].since, "{findings:#?}");
}

#[test]
fn f15_a_switchover_is_planned_with_what_is_known_and_refused_when_the_other_is_not_well() {
    let mut world = pair();
    let good = asked(&mut world, HaAct::Switchover, "lab1");
    assert_eq!(lines(&good.obstacles), [] as [&str; 0]);
    insta::assert_snapshot!("switchover_plan", format!("{:#?}\n{:#?}", lines(&good.evidence), lines(&good.effects)));
    assert_eq!(
        lines(&asked(&mut world, HaAct::Switchover, "lab2").obstacles),
        ["lab2 is secondary, only the primary can hand over"]
    );
    world.unit("lab1", &Unit { beats: Some(vec!["silent".into(), "silent".into()]), ..Unit::default() });
    world.actors.get_mut("lab2").unwrap().level = 2;
    world.unit(
        "lab2",
        &Unit { sync_trouble: Some("another level".into()), distrust: Some("late".into()), ..Unit::default() },
    );
    world.lose("lab2", peerdeck::domain::Cause::Dropped);
    world.connect("lab2");
    world.run(2.0);
    assert_eq!(
        lines(&asked(&mut world, HaAct::Switchover, "lab1").obstacles),
        [
            "lab1 hears nothing of lab2: `failover` takes the role by force",
            "lab2 distrusts itself: late",
            "lab1 is of level 1, lab2 of level 2",
            "the configuration of lab2 is not in step: another level",
        ]
    );
    assert_eq!(lines(&asked(&mut world, HaAct::Failover, "lab2").obstacles), [] as [&str; 0]);
}

#[test]
fn f15_a_failover_is_observed_only_when_the_epoch_has_risen() {
    let mut world = pair();
    let failover = asked(&mut world, HaAct::Failover, "lab2");
    world.submit(7, failover);
    world.run(0.5);
    world.unit("lab2", &becomes("primary", 1, "of old"));
    world.run(2.0);
    let states = |world: &World| world.outcomes.iter().map(|(_, o)| o.state).collect::<Vec<_>>();
    assert_eq!(states(&world), [OutcomeState::Sent], "an epoch that has not risen shows nothing");
    world.unit("lab2", &becomes("primary", 2, "failover"));
    world.run(2.0);
    assert_eq!(states(&world), [OutcomeState::Sent, OutcomeState::Observed]);
}

#[test]
fn f15_a_plan_whose_role_or_epoch_has_changed_is_refused() {
    let mut world = pair();
    let old = asked(&mut world, HaAct::Switchover, "lab1");
    world.unit("lab1", &becomes("primary", 5, "meanwhile"));
    world.run(1.5);
    world.submit(1, old);
    let (_, outcome) = world.outcomes.last().unwrap();
    assert_eq!(outcome.state, OutcomeState::Refused);
    assert!(outcome.detail.as_str().contains("primary in epoch 5 now, it was primary in epoch 1"), "{outcome:?}");
}

#[test]
fn f14_each_role_change_is_an_event_once_also_after_a_reconnect() {
    let mut world = pair();
    world.unit("lab2", &becomes("primary", 2, "nothing heard"));
    world.run(2.0);
    world.lose("lab2", peerdeck::domain::Cause::Dropped);
    world.run(1.0);
    world.connect("lab2");
    world.run(2.0);
    let roles = |world: &World| -> Vec<String> {
        let of = world.events.iter().filter(|e| e.kind == EventKind::Role);
        of.map(|e| format!("{} {}", e.subject, e.text)).collect()
    };
    assert_eq!(roles(&world), ["ha:gw gw: lab2 is primary, was secondary (epoch 2): nothing heard"]);
    world.unit("lab2", &becomes("secondary", 3, "switchover"));
    world.run(1.5);
    assert_eq!(roles(&world).len(), 2, "{:?}", roles(&world));
}

#[test]
fn f14_a_peer_that_starts_again_without_ha_is_no_unit_any_more() {
    let mut world = pair();
    assert!(cluster(&mut world).peers[1].ha.is_some());
    let actor = world.actors.get_mut("lab2").unwrap();
    (actor.ha, actor.talks) = (None, false);
    let id = PeerId::new("lab2");
    let identity = Identity {
        id: id.clone(),
        host: HostName::new("lab2.example.com"),
        version: "peerdeck 0.1.0".into(),
        level: 1,
        boot: BootId(2),
        interval: Duration::from_secs(1),
    };
    let facts = vec![Observation { at: world.now, observer: id, fact: Fact::Identity(identity) }];
    world.say("lab2", PeerEvent::Observed(facts));
    assert!(cluster(&mut world).peers[1].ha.is_none());
}

#[test]
fn f14_metrics_count_groups_by_how_they_stand() {
    let mut world = pair();
    world.unit("lab2", &becomes("primary", 2, "cut"));
    world.run(1.1);
    let text = metrics::text(&world.snapshot(), &report::vitals::Vitals::default(), world.now);
    let of: Vec<&str> = text.lines().filter(|l| l.starts_with("peerdeck_ha_groups{")).collect();
    assert_eq!(
        of,
        [
            "peerdeck_ha_groups{cluster=\"americas\",state=\"all\"} 1",
            "peerdeck_ha_groups{cluster=\"americas\",state=\"without-primary\"} 0",
            "peerdeck_ha_groups{cluster=\"americas\",state=\"two-primaries\"} 1",
            "peerdeck_ha_groups{cluster=\"americas\",state=\"takeover-not-accepted\"} 0",
        ]
    );
}

#[test]
fn b6_a_second_of_a_pair_costs_little_to_record_and_comes_back_as_it_was() {
    let mut world = pair();
    let (mut encoder, mut back) = (Encoder::new(&[7; 32]), Back::default());
    let key = encoder.frame(&world.snapshot(), false).unwrap();
    back.read(&key).unwrap();
    let mut most = 0;
    for _ in 0..20 {
        world.run(1.0);
        let snapshot = world.snapshot();
        let frame = encoder.frame(&snapshot, false).unwrap();
        most = most.max(frame.lines.len());
        let read = back.read(&frame).unwrap();
        assert_eq!(read.clusters[0].peers[0].ha, snapshot.clusters[0].peers[0].ha);
    }
    assert!(most < 1_500, "{most} bytes for a picture in which only ages differ");
}

#[test]
fn f2_other_thresholds_are_tried_on_the_silences_that_were_seen() {
    let mut world = pair();
    let mut collector = Collector::default();
    let watch = |world: &mut World, seconds: usize, collector: &mut Collector| {
        for _ in 0..seconds {
            world.run(1.0);
            let (cluster, now) = (cluster(world), world.now);
            collector.look(&cluster, now);
        }
    };
    let beats = |state: &str| Unit { beats: Some(vec![state.into(), state.into()]), ..Unit::default() };
    watch(&mut world, 20, &mut collector);
    for silence in [4, 9] {
        world.unit("lab2", &beats("late"));
        watch(&mut world, silence, &mut collector);
        world.unit("lab2", &beats("ok"));
        watch(&mut world, 10, &mut collector);
    }
    let found = collector.finish();
    let [gw] = found.as_slice() else { panic!("{found:?}") };
    let takeovers = |s| gw.rows.iter().find(|(t, _)| *t == Duration::from_secs(s)).unwrap().1;
    assert_eq!([takeovers(3), takeovers(5), takeovers(8), takeovers(10), takeovers(30)], [2, 1, 1, 0, 0], "{gw:#?}");
    assert_eq!((gw.took, gw.longest.len()), (0, 2));
    assert_eq!(gw.threshold, Duration::from_secs(5));
    assert!(gw.watched >= Duration::from_secs(50), "{:?}", gw.watched);
}
