//! The cluster core in the simulated network.

use std::time::Duration;

use peerdeck::daemon::cluster::{Event, RequestId};
use peerdeck::domain::mesh::{Cause, LinkState, Probe, Route};
use peerdeck::domain::{Line, Time};
use peerdeck::proto::rpc::{ExecuteParams, WireBasis};
use proptest::prelude::*;

use super::sim::{FAILURES, INTERVAL, NOTICED, SETTLED, Sim, id};

const SECOND: Duration = Duration::from_secs(1);

fn log_of(sim: &Sim, i: usize) -> Vec<String> {
    sim.view(i).log.iter().map(|l| l.text.to_string()).collect()
}

fn execute(sim: &mut Sim, at: usize, command: &str, target: usize, basis: WireBasis) {
    let params = ExecuteParams {
        act: None,
        command: command.into(),
        peer: id(target).to_string(),
        reason: "test".into(),
        lasting: None,
        edits: Vec::new(),
        basis,
    };
    sim.event(at, Event::Execute { request: RequestId(1), by: Line::new("admin"), params });
}

#[test]
fn c18_a_full_mesh_forms_at_once_and_with_one_connection_a_pair() {
    let mut sim = Sim::new(8, 1);
    sim.run(SECOND);
    sim.assert_all_up("start");
    sim.assert_same_rows("start");
    assert_eq!((sim.open_pipes(), sim.opened), (28, 28), "one connection a pair, none dialled twice");
}

#[test]
fn c18_a_cut_link_turns_within_the_ping_limits_has_a_route_and_heals() {
    let mut sim = Sim::new(4, 2);
    sim.run(3 * SECOND);
    let before = sim.now;
    sim.cut(0, 2);
    sim.run(INTERVAL);
    assert_eq!(sim.state(0, 2), LinkState::Connected, "one lost ping is no fault");
    sim.run(NOTICED.saturating_sub(INTERVAL));
    for (a, b) in [(0, 2), (2, 0)] {
        let link = sim.link(a, b);
        assert_eq!((link.state, link.cause), (LinkState::Down, Some(Cause::Timeout)), "{link:?}");
        assert!(link.since > before);
        assert!(link.failures >= FAILURES, "{link:?}");
    }
    assert_eq!(sim.state(0, 1), LinkState::Connected);
    let routes = sim.nodes[0].core.as_ref().unwrap().routes(sim.now);
    assert!(matches!(&routes[&id(2)], Route::Relayed { via, .. } if via.len() == 1), "{:?}", routes[&id(2)]);
    sim.run(6 * SECOND);
    assert_eq!(sim.link(0, 2).probe, Probe::Silent, "neither direction carries a datagram");
    assert_eq!(sim.link(2, 0).probe, Probe::Silent);
    sim.assert_same_rows("cut: over the others every row arrives all the same");
    sim.heal();
    sim.run(SETTLED);
    sim.assert_all_up("healed");
    assert_eq!(sim.link(0, 2).probe, Probe::Untested);
    assert_eq!(sim.open_pipes(), 6);
}

#[test]
fn a_one_way_cut_is_told_apart_by_the_datagrams() {
    let mut sim = Sim::new(3, 3);
    sim.run(3 * SECOND);
    sim.cut_one_way(0, 2); // What 0 sends does not reach 2.
    sim.run(NOTICED * 2);
    assert_eq!((sim.state(0, 2), sim.state(2, 0)), (LinkState::Down, LinkState::Down), "TCP fails both ways");
    assert_eq!(sim.link(0, 2).probe, Probe::Heard, "0 hears 2");
    assert_eq!(sim.link(2, 0).probe, Probe::Silent, "2 does not hear 0");
}

#[test]
fn c21_a_killed_peer_is_down_at_once_logged_once_and_comes_back_by_itself() {
    let mut sim = Sim::new(4, 4);
    sim.run(3 * SECOND);
    sim.kill(3);
    sim.run(Duration::from_millis(100));
    assert_eq!(sim.state(0, 3), LinkState::Down);
    assert!(log_of(&sim, 0).iter().any(|l| l.contains("lab3.example.com is down, it was connected (dropped")));
    sim.run(20 * SECOND);
    for i in 0..3 {
        let link = sim.link(i, 3);
        assert_eq!(link.cause, Some(Cause::Refused), "what the last dial said");
        assert!(link.attempts >= 15, "pings to a dead peer go on, never slower than the interval: {}", link.attempts);
        let said = log_of(&sim, i).iter().filter(|l| l.contains("remote host has disconnected: lab3")).count();
        assert_eq!(said, 1, "{:?}", log_of(&sim, i));
    }
    sim.start(3);
    sim.run(2 * SECOND);
    sim.assert_all_up("restarted");
    assert!(log_of(&sim, 0).iter().any(|l| l.contains("remote host is back: lab3")));
    sim.run(INTERVAL * 2);
    sim.assert_same_rows("restarted");
}

#[test]
fn a_host_that_vanishes_without_a_word_is_noticed_by_the_pings() {
    let mut sim = Sim::new(3, 5);
    sim.run(3 * SECOND);
    sim.cut(0, 1);
    sim.cut(2, 1);
    sim.run(NOTICED);
    sim.nodes[1].host_up = false;
    sim.kill(1);
    sim.run(5 * SECOND);
    assert_eq!(sim.link(0, 1).cause, Some(Cause::Timeout));
    // It boots again while its old connections still hang in the cut: the newer start wins.
    sim.nodes[1].host_up = true;
    sim.start(1);
    sim.heal();
    sim.run(SETTLED);
    sim.assert_all_up("back");
    sim.assert_same_rows("back");
    assert_eq!(sim.open_pipes(), 3);
}

#[test]
fn a_partition_heals_completely() {
    let mut sim = Sim::new(6, 6);
    sim.run(3 * SECOND);
    for a in 0..3 {
        for b in 3..6 {
            sim.cut(a, b);
        }
    }
    sim.run(20 * SECOND);
    assert_eq!(sim.state(0, 5), LinkState::Down);
    assert_eq!(sim.state(0, 2), LinkState::Connected);
    assert!(!sim.nodes[0].core.as_ref().unwrap().routes(sim.now).contains_key(&id(5)), "no way leads across");
    sim.heal();
    sim.run(SETTLED);
    sim.assert_all_up("healed");
    sim.assert_same_rows("healed");
}

#[test]
fn c18_over_a_chain_every_peer_knows_the_whole_grid() {
    let mut sim = Sim::new(5, 7);
    for a in 0..5 {
        for b in 0..5_usize {
            if b.abs_diff(a) > 1 {
                sim.cut_one_way(a, b);
            }
        }
    }
    sim.run(20 * SECOND);
    assert_eq!(sim.open_pipes(), 4);
    sim.assert_same_rows("chain");
    let routes = sim.nodes[0].core.as_ref().unwrap().routes(sim.now);
    assert_eq!(routes[&id(4)].hops(), vec![id(1), id(2), id(3)]);
    let oldest = sim.view(0).rows.values().map(|r| sim.now.since(r.vouched)).max().unwrap();
    assert!(oldest <= INTERVAL * 8, "rows stay fresh over four hops: {oldest:?}");
}

trait Hops {
    fn hops(&self) -> Vec<peerdeck::domain::PeerId>;
}

impl Hops for Route {
    fn hops(&self) -> Vec<peerdeck::domain::PeerId> {
        match self {
            Route::Relayed { via, .. } => via.clone(),
            Route::Direct | Route::None => Vec::new(),
        }
    }
}

#[test]
fn c15_a_level_mismatch_is_named_on_both_sides_and_pings_go_on() {
    let mut sim = Sim::new(3, 8);
    sim.run(2 * SECOND);
    sim.event(2, Event::SetLevel(2));
    sim.run(5 * SECOND);
    let (there, here) = (sim.link(0, 2), sim.link(2, 0));
    assert_eq!((there.state, there.cause), (LinkState::Down, Some(Cause::Version)));
    assert_eq!(there.detail.as_str(), "level 2 there, 1 here");
    assert_eq!(here.detail.as_str(), "level 1 there, 2 here");
    assert!(there.rtt.is_some() && sim.now.since(there.heard.unwrap()) < INTERVAL * 2, "{there:?}");
    assert_eq!(sim.open_pipes(), 3, "the session stays");
    sim.event(2, Event::SetLevel(1));
    sim.run(SECOND);
    sim.assert_all_up("same level again");
}

#[test]
fn c22_detach_and_reconnect_are_carried_out_on_the_machine_itself() {
    let mut sim = Sim::new(4, 9);
    sim.run(2 * SECOND);
    let basis = WireBasis { membership: Some(7), detached: Some(false), ..WireBasis::default() };
    execute(&mut sim, 0, "disconnect", 3, basis.clone());
    sim.run(SECOND);
    assert_eq!(sim.nodes[0].answers.pop(), Some(Ok("accepted".into())), "by the machine itself");
    for i in 0..3 {
        for (a, b) in [(i, 3), (3, i)] {
            let link = sim.link(a, b);
            assert_eq!((link.state, link.cause), (LinkState::Detached, Some(Cause::Detached)), "{a} {b}");
        }
    }
    assert_eq!(sim.state(0, 1), LinkState::Connected);
    assert!(sim.nodes[3].detached.is_some(), "kept on disk");
    assert_eq!(sim.open_pipes(), 6, "the control links stay");

    execute(&mut sim, 3, "disconnect", 0, WireBasis::default());
    sim.run(SECOND);
    assert!(sim.nodes[3].answers.pop().unwrap().unwrap_err().contains("detached and can't be used"));

    // A restart changes nothing about it.
    sim.kill(3);
    sim.run(3 * SECOND);
    assert_eq!(sim.state(0, 3), LinkState::Detached);
    assert!(sim.link(0, 3).detail.as_str().contains("no control link either (refused"), "{:?}", sim.link(0, 3));
    sim.start(3);
    sim.run(3 * SECOND);
    assert_eq!((sim.state(0, 3), sim.state(3, 0)), (LinkState::Detached, LinkState::Detached));

    execute(&mut sim, 1, "reconnect", 3, basis);
    sim.run(SECOND);
    let refusal = sim.nodes[1].answers.pop().unwrap().unwrap_err();
    assert!(refusal.contains("is detached now"), "a basis that does not hold: {refusal}");
    execute(
        &mut sim,
        1,
        "reconnect",
        3,
        WireBasis { membership: Some(7), detached: Some(true), ..WireBasis::default() },
    );
    sim.run(SECOND);
    sim.assert_all_up("reconnected");
    sim.assert_same_rows("reconnected");
}

#[test]
fn a_command_finds_its_way_over_others_and_an_old_basis_is_refused() {
    let mut sim = Sim::new(3, 10);
    sim.run(2 * SECOND);
    sim.cut(0, 2);
    sim.run(NOTICED);
    execute(&mut sim, 0, "disconnect", 2, WireBasis { membership: Some(6), ..WireBasis::default() });
    sim.run(SECOND);
    assert!(sim.nodes[0].answers.pop().unwrap().unwrap_err().contains("revision 7 now, 6"));
    assert_eq!(sim.state(1, 2), LinkState::Connected);
    execute(&mut sim, 0, "disconnect", 2, WireBasis::default());
    sim.run(SECOND);
    assert_eq!(sim.nodes[0].answers.pop(), Some(Ok("accepted".into())), "it came back over 1");
    assert_eq!(sim.state(1, 2), LinkState::Detached);
    sim.run(2 * SECOND);
    assert_eq!(sim.state(0, 2), LinkState::Detached, "0 learns it over 1");
}

#[test]
fn a_thawed_peer_accuses_nobody() {
    let mut sim = Sim::new(4, 11);
    sim.run(3 * SECOND);
    sim.freeze(1);
    sim.run(Duration::from_millis(2600)); // Too short for the others, long enough for two missed beats.
    sim.thaw(1);
    for _ in 0..50 {
        sim.run(Duration::from_millis(100));
        sim.assert_all_up("after a short freeze");
    }
    let changes: u32 = [0, 2, 3].iter().map(|to| sim.link(1, *to).changes).sum();
    assert_eq!(changes, 3, "each link came up once and never changed since");
    assert!(sim.view(1).late.iter().any(|(_, late)| *late > SECOND), "it says how late it was");

    sim.freeze(1);
    sim.run(20 * SECOND);
    assert_eq!(sim.link(0, 1).cause, Some(Cause::Timeout), "{:?}", sim.link(0, 1));
    sim.thaw(1);
    sim.run(Duration::from_millis(10));
    for to in [0, 2, 3] {
        assert_ne!(sim.link(1, to).cause, Some(Cause::Timeout), "it has not waited for anybody");
    }
    sim.run(SETTLED);
    sim.assert_all_up("thawed");
    sim.assert_same_rows("thawed");
}

#[test]
fn flapping_is_counted_and_does_not_multiply_connections() {
    let mut sim = Sim::new(3, 12);
    sim.run(2 * SECOND);
    for _ in 0..4 {
        sim.cut(0, 1);
        sim.run(NOTICED);
        sim.heal();
        sim.run(Duration::from_secs(4));
    }
    assert_eq!(sim.link(0, 1).changes, 9, "up, then four times down and up");
    assert_eq!(sim.open_pipes(), 3);
    sim.run(Duration::from_secs(700));
    assert_eq!(sim.link(0, 1).changes, 0, "forgotten after ten minutes");
}

#[test]
fn a_probe_that_is_played_again_counts_for_nothing() {
    let mut sim = Sim::new(2, 13);
    sim.run(2 * SECOND);
    sim.kill(1);
    sim.run(NOTICED);
    let replay = Event::Probe { peer: id(1), boot: peerdeck::domain::BootId(1), n: 5 };
    sim.event(0, replay.clone());
    sim.run(SECOND);
    assert_eq!(sim.link(0, 1).probe, Probe::Heard);
    sim.run(NOTICED);
    assert_eq!(sim.link(0, 1).probe, Probe::Silent);
    sim.event(0, replay);
    sim.run(SECOND);
    assert_eq!(sim.link(0, 1).probe, Probe::Silent);
}

#[test]
fn an_idle_mesh_floods_nothing() {
    let mut sim = Sim::new(6, 14);
    sim.run(5 * SECOND);
    let before = sim.row_frames;
    sim.run(Duration::from_mins(1));
    assert_eq!(sim.row_frames, before, "rows are sent when they change");
}

/// What may happen to a network of five.
#[derive(Clone, Debug)]
enum Mishap {
    Cut(usize, usize),
    CutOneWay(usize, usize),
    Kill(usize),
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    Heal,
    Wait(u64),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    let peer = 0..5_usize;
    prop_oneof![
        3 => (peer.clone(), peer.clone()).prop_map(|(a, b)| Mishap::Cut(a, b)),
        3 => (peer.clone(), peer.clone()).prop_map(|(a, b)| Mishap::CutOneWay(a, b)),
        2 => peer.clone().prop_map(Mishap::Kill),
        2 => peer.clone().prop_map(Mishap::Start),
        1 => peer.clone().prop_map(Mishap::Freeze),
        1 => peer.prop_map(Mishap::Thaw),
        1 => Just(Mishap::Heal),
        6 => (1..6000_u64).prop_map(Mishap::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn d4_whatever_happened_after_a_heal_all_links_come_back_and_all_hold_the_same_rows(
        seed in any::<u64>(),
        loss in 0.0..0.5_f64,
        mishaps in proptest::collection::vec(mishap(), 1..25),
    ) {
        let mut sim = Sim::new(5, seed);
        sim.loss = loss;
        sim.run(Duration::from_millis(seed % 1500));
        for mishap in &mishaps {
            match *mishap {
                Mishap::Cut(a, b) if a != b => sim.cut(a, b),
                Mishap::CutOneWay(a, b) if a != b => sim.cut_one_way(a, b),
                Mishap::Cut(..) | Mishap::CutOneWay(..) => {}
                Mishap::Kill(i) => sim.kill(i),
                Mishap::Start(i) => sim.start(i),
                Mishap::Freeze(i) => sim.freeze(i),
                Mishap::Thaw(i) => sim.thaw(i),
                Mishap::Heal => sim.heal(),
                Mishap::Wait(ms) => sim.run(Duration::from_millis(ms)),
            }
        }
        sim.heal();
        for i in 0..5 {
            sim.thaw(i);
            sim.start(i);
        }
        sim.run(SETTLED + Duration::from_secs(6));
        sim.assert_all_up("healed");
        sim.assert_same_rows("healed");
        prop_assert_eq!(sim.open_pipes(), 10);
    }
}

#[test]
fn a_run_repeats_exactly_from_its_seed() {
    let play = || {
        let mut sim = Sim::new(5, 77);
        sim.run(SECOND);
        sim.cut(0, 3);
        sim.kill(2);
        sim.run(NOTICED);
        sim.heal();
        sim.start(2);
        sim.run(SETTLED);
        (0..5).map(|i| format!("{:?}", sim.view(i))).collect::<Vec<String>>()
    };
    assert_eq!(play(), play());
    assert_ne!(Time::ZERO, Sim::new(1, 1).now);
}

#[test]
fn c18_slow_dials_at_the_start_don_t_drown_the_mesh_in_rows() {
    let mut sim = Sim::new(20, 15);
    sim.slow_dials = 8 * SECOND;
    sim.run(15 * SECOND);
    sim.assert_all_up("slow start");
    sim.assert_same_rows("slow start");
    // Twenty peers tell nineteen others once a second while something changes; copies for the deaf come on top.
    assert!(sim.row_frames < 20 * 19 * 20, "{} rows were sent", sim.row_frames);
}

#[test]
fn a_link_that_flaps_faster_than_pings_notice_is_told_of_and_forgotten_once_it_is_calm() {
    let half = Duration::from_millis(500);
    for seed in 100..108 {
        let mut sim = Sim::new(4, seed);
        sim.run(10 * SECOND);
        for _ in 0..45 {
            sim.cut(0, 1);
            sim.run(half);
            sim.heal();
            sim.run(half);
        }
        let (there, back) = (sim.link(0, 1), sim.link(1, 0));
        assert_eq!((there.state, back.state), (LinkState::Connected, LinkState::Connected), "seed {seed}");
        assert!(there.falters.max(back.falters) >= 10, "seed {seed}: {} and {}", there.falters, back.falters);
        for (from, to) in [(0, 2), (2, 0), (1, 2), (2, 3)] {
            assert_eq!(sim.link(from, to).falters, 0, "seed {seed}: another link");
        }
        sim.run(Duration::from_mins(3));
        assert_eq!((sim.link(0, 1).falters, sim.link(1, 0).falters), (0, 0), "seed {seed}");
    }
}

#[test]
fn late_answers_of_everybody_say_nothing_about_a_link() {
    for seed in 100..104 {
        let mut sim = Sim::new(6, seed);
        sim.run(10 * SECOND);
        // The machine of one peer stutters: half a second in each.
        for _ in 0..60 {
            (1..6).for_each(|other| sim.cut(0, other));
            sim.run(Duration::from_millis(500));
            sim.heal();
            sim.run(Duration::from_millis(500));
        }
        let told: Vec<u32> = (1..6).map(|other| sim.link(0, other).falters).collect();
        assert!(told.iter().filter(|n| **n >= 10).count() <= 1, "seed {seed}: {told:?}");
        let accusers = (1..6).filter(|other| sim.link(*other, 0).falters >= 10).count();
        assert!(accusers >= 3, "seed {seed}: its fellows say that it stutters, {accusers} of them");
    }
}
