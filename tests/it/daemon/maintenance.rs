//! Maintenance, the basis of commands and the way of their answers, in the simulated network.

use std::collections::BTreeMap;
use std::time::Duration;

use peerdeck::daemon::cluster::{Event, RequestId};
use peerdeck::domain::Line;
use peerdeck::domain::maintenance::{LASTING_MAX, Maintenance};
use peerdeck::domain::mesh::LinkState;
use peerdeck::proto::frame::Frame;
use peerdeck::proto::rpc::{ExecuteParams, WireBasis};

use super::sim::{NOTICED, SETTLED, Sim, id};

const SECOND: Duration = Duration::from_secs(1);

fn params(command: &str, target: usize, lasting: Option<Duration>, basis: WireBasis) -> ExecuteParams {
    ExecuteParams {
        act: None,
        command: command.into(),
        peer: id(target).to_string(),
        reason: "new disk".into(),
        lasting: lasting.map(|l| u64::try_from(l.as_millis()).unwrap()),
        edits: Vec::new(),
        basis,
    }
}

fn ask(sim: &mut Sim, at: usize, params: ExecuteParams) -> Result<String, String> {
    sim.event(at, Event::Execute { request: RequestId(1), by: Line::new("admin from 10.0.0.9"), params });
    sim.run(SECOND);
    sim.nodes[at].answers.pop().expect("an answer within a second")
}

fn on(sim: &mut Sim, at: usize, target: usize, lasting: Duration) -> Result<String, String> {
    ask(sim, at, params("maintenance-on", target, Some(lasting), WireBasis::default()))
}

fn told(sim: &Sim, at: usize, of: usize) -> Option<Maintenance> {
    let view = sim.view(at);
    if at == of { view.row.maintenance.clone() } else { view.rows[&id(of)].maintenance.clone() }
}

fn log_of(sim: &Sim, i: usize) -> Vec<String> {
    sim.view(i).log.iter().map(|l| l.text.to_string()).collect()
}

#[test]
fn c22_maintenance_is_kept_by_the_machine_told_to_all_and_survives_a_restart() {
    let mut sim = Sim::new(4, 31);
    sim.run(3 * SECOND);
    let begun = sim.now;
    assert_eq!(on(&mut sim, 0, 2, Duration::from_hours(24 * 7)), Ok("accepted".into()));
    for i in 0..4 {
        let m = told(&sim, i, 2).unwrap_or_else(|| panic!("{i} does not know it"));
        assert_eq!((m.by.as_str(), m.reason.as_str()), ("admin from 10.0.0.9, at lab0.example.com", "new disk"));
        assert!(m.since.since(begun) < SECOND);
        assert_eq!(m.until.since(m.since), Duration::from_hours(24 * 7), "not cut to what other stamps may lie ahead");
    }
    assert!(told(&sim, 0, 1).is_none());
    sim.assert_all_up("maintenance touches no link");

    sim.kill(2);
    sim.run(3 * SECOND);
    assert!(told(&sim, 0, 2).is_some(), "still known while the machine is down");
    sim.start(2);
    sim.run(SETTLED);
    for i in 0..4 {
        assert_eq!(told(&sim, i, 2).map(|m| m.reason.to_string()), Some("new disk".into()), "{i}");
    }

    let before = told(&sim, 2, 2).unwrap();
    assert_eq!(on(&mut sim, 3, 2, Duration::from_hours(1)), Ok("accepted".into()), "anew takes its place");
    let after = told(&sim, 0, 2).unwrap();
    assert!(after.since > before.since && after.until < before.until, "{before:?} {after:?}");
    assert_eq!(after.by.as_str(), "admin from 10.0.0.9, at lab3.example.com");

    let off = params("maintenance-off", 2, None, WireBasis { maintenance: Some(true), ..WireBasis::default() });
    assert_eq!(ask(&mut sim, 2, off.clone()), Ok("accepted".into()));
    for i in 0..4 {
        assert_eq!(told(&sim, i, 2), None, "{i}");
    }
    assert_eq!(sim.nodes[2].maintenance, None, "nothing is left on disk");
    let again = ask(&mut sim, 2, ExecuteParams { basis: WireBasis::default(), ..off }).unwrap_err();
    assert_eq!(again, "lab2.example.com is not in maintenance");
}

#[test]
fn c22_a_machine_that_is_switched_off_right_after_it_was_announced_has_told_everybody() {
    let mut sim = Sim::new(4, 39);
    sim.run(3 * SECOND);
    let reason = "x".repeat(390);
    let command = ExecuteParams {
        reason: reason.clone(),
        ..params("maintenance-on", 2, Some(60 * SECOND), WireBasis::default())
    };
    sim.event(0, Event::Execute { request: RequestId(1), by: Line::new("admin"), params: command });
    sim.run(Duration::from_millis(20));
    assert_eq!(sim.nodes[0].answers, [Ok("accepted".into())]);
    sim.kill(2);
    sim.run(SECOND);
    for i in [0, 1, 3] {
        assert_eq!(told(&sim, i, 2).map(|m| m.reason.to_string()), Some(reason.clone()), "{i}: whole, too");
    }
}

#[test]
fn c22_forgotten_maintenance_ends_by_itself_and_everybody_learns_it() {
    let mut sim = Sim::new(3, 32);
    sim.run(3 * SECOND);
    on(&mut sim, 0, 1, 20 * SECOND).unwrap();
    on(&mut sim, 0, 2, 20 * SECOND).unwrap();
    sim.kill(2);
    sim.run(17 * SECOND);
    assert!(told(&sim, 0, 1).is_some(), "not before its time");
    sim.run(4 * SECOND);
    assert_eq!((told(&sim, 0, 1), told(&sim, 1, 1)), (None, None));
    assert_eq!(sim.nodes[1].maintenance, None);
    let ended = |i: usize| log_of(&sim, i).iter().filter(|l| l.contains("has ended by itself")).count();
    assert_eq!(ended(1), 1, "{:?}", log_of(&sim, 1));
    assert!(!told(&sim, 0, 2).unwrap().holds(sim.now), "of one that is down everybody knows the end");
    sim.start(2);
    sim.run(SETTLED);
    assert_eq!((told(&sim, 0, 2), sim.nodes[2].maintenance.clone()), (None, None), "over when it starts");
}

#[test]
fn maintenance_has_a_longest_time_even_after_the_clock_was_set_back() {
    let mut sim = Sim::new(1, 33);
    let long = on(&mut sim, 0, 0, LASTING_MAX + Duration::from_millis(1)).unwrap_err();
    assert!(long.contains("up to 30 days"), "{long}");
    assert!(on(&mut sim, 0, 0, Duration::ZERO).is_err());
    let without = params("maintenance-on", 0, None, WireBasis::default());
    assert!(ask(&mut sim, 0, without).unwrap_err().contains("must say how long"));
    assert_eq!(told(&sim, 0, 0), None);

    sim.kill(0);
    let future = sim.now + Duration::from_hours(24 * 365);
    sim.nodes[0].maintenance = Some(Maintenance::lasting(future, LASTING_MAX, "admin".into(), "".into()));
    sim.start(0);
    sim.run(SECOND);
    assert!(told(&sim, 0, 0).unwrap().until <= sim.now + LASTING_MAX);
}

#[test]
fn c22_the_word_of_the_target_comes_back_over_the_relays() {
    let mut sim = Sim::new(4, 34);
    for (a, b) in [(0, 2), (0, 3), (1, 3)] {
        sim.cut(a, b);
    }
    sim.run(20 * SECOND);
    assert_eq!(on(&mut sim, 0, 3, 60 * SECOND), Ok("accepted".into()), "over 1 and 2");
    sim.run(3 * SECOND);
    assert_eq!(told(&sim, 0, 3).unwrap().by.as_str(), "admin from 10.0.0.9, at lab0.example.com");
    let refused = ask(&mut sim, 0, params("reconnect", 3, None, WireBasis::default())).unwrap_err();
    assert_eq!(refused, "lab3.example.com is connected already", "a reason that only the target can give");
    assert!(log_of(&sim, 3).iter().any(|l| l.contains("refused \"reconnect") && l.contains("is connected already")));
}

#[test]
fn a_target_that_says_nothing_leaves_the_command_as_sent() {
    let mut sim = Sim::new(2, 35);
    sim.run(3 * SECOND);
    sim.freeze(1);
    let command = params("maintenance-on", 1, Some(60 * SECOND), WireBasis::default());
    sim.event(0, Event::Execute { request: RequestId(1), by: Line::new("admin"), params: command });
    sim.run(2 * SECOND);
    assert!(sim.nodes[0].answers.is_empty(), "it is waited for");
    sim.run(4 * SECOND);
    assert_eq!(sim.nodes[0].answers, [Ok("sent".into())], "answered once, by the deadline");
    sim.thaw(1);
    sim.run(SETTLED);
    assert_eq!(sim.nodes[0].answers.len(), 1, "a late word is no second answer");
}

#[test]
fn a_basis_that_has_changed_is_refused_by_name_before_it_is_sent_and_where_it_is_carried_out() {
    let mut sim = Sim::new(3, 36);
    sim.run(3 * SECOND);
    on(&mut sim, 0, 2, 60 * SECOND).unwrap();
    let maintenance = |was: bool| WireBasis { maintenance: Some(was), ..WireBasis::default() };
    for at in [0, 2] {
        let refused = ask(&mut sim, at, params("disconnect", 2, None, maintenance(false))).unwrap_err();
        assert_eq!(refused, "lab2.example.com is in maintenance now");
        let refused = ask(&mut sim, at, params("maintenance-off", 1, None, maintenance(true))).unwrap_err();
        assert_eq!(refused, "lab1.example.com is no longer in maintenance");
    }
    sim.cut(1, 2);
    sim.run(NOTICED);
    let links = |up: [bool; 2]| WireBasis {
        links: BTreeMap::from([(id(0).to_string(), up[0]), (id(1).to_string(), up[1])]),
        ..WireBasis::default()
    };
    for at in [0, 2] {
        let refused = ask(&mut sim, at, params("disconnect", 2, None, links([true, true]))).unwrap_err();
        assert_eq!(refused, "the link from lab2.example.com to lab1.example.com is no longer connected");
        let refused = ask(&mut sim, at, params("disconnect", 2, None, links([false, false]))).unwrap_err();
        assert_eq!(refused, "the link from lab2.example.com to lab0.example.com is connected now");
    }
    assert_eq!(sim.state(0, 2), LinkState::Connected, "nothing was done");
    assert_eq!(ask(&mut sim, 0, params("disconnect", 2, None, links([true, false]))), Ok("accepted".into()));
}

#[test]
fn an_unknown_command_is_answered_with_what_can_be_done() {
    let mut sim = Sim::new(2, 37);
    sim.run(2 * SECOND);
    for target in [0, 1] {
        let refused = ask(&mut sim, 0, params("explode\u{1b}[2J", target, None, WireBasis::default())).unwrap_err();
        let can = "it can: disconnect, reconnect, maintenance-on, maintenance-off";
        assert!(refused.contains(can) && !refused.contains('\u{1b}'), "{refused}");
    }
}

#[test]
fn commands_of_older_peers_are_understood_and_an_outcome_is_nothing_new_to_them() {
    let old = br#"{"t":"command","to":"A","ttl":3,"command":{"command":"disconnect","peer":"A"}}"#;
    match peerdeck::proto::read::<Frame>(old).unwrap() {
        Frame::Command { n: None, by, .. } => assert!(by.is_empty()),
        other => panic!("{other:?}"),
    }
    let plain =
        Frame::Command { to: "A".into(), ttl: 3, command: ExecuteParams::default(), n: None, by: String::new() };
    let text = String::from_utf8(peerdeck::proto::write(&plain)).unwrap();
    assert!(!text.contains("\"n\"") && !text.contains("\"by\""), "{text}");
    // A kind without a word, as `outcome` is to them.
    assert!(matches!(peerdeck::proto::read(br#"{"t":"thing","n":1}"#).unwrap(), Frame::Unknown));
}

#[test]
fn an_outcome_from_somebody_who_was_not_asked_counts_for_nothing() {
    let mut sim = Sim::new(3, 38);
    sim.run(3 * SECOND);
    sim.freeze(1);
    let command = params("maintenance-on", 1, Some(60 * SECOND), WireBasis::default());
    sim.event(0, Event::Execute { request: RequestId(1), by: Line::new("admin"), params: command });
    sim.run(Duration::from_millis(100));
    sim.say(2, 0, &Frame::Outcome { n: 1, state: "refused".into(), detail: "by a liar".into(), commit: None });
    sim.run(Duration::from_millis(100));
    assert!(sim.nodes[0].answers.is_empty(), "{:?}", sim.nodes[0].answers);
    sim.thaw(1);
    sim.run(SECOND);
    assert_eq!(sim.nodes[0].answers, [Ok("accepted".into())]);
}
