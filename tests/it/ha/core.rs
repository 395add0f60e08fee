//! The HA core: a test for each row of the state table, then rules that hold whatever happens.

use peerdeck::daemon::ha::core::table::{TABLE, Trigger, find};
use peerdeck::daemon::ha::{Configuration, Event, GuardReport, Kept};
use peerdeck::domain::ha::status::Rehearsal;
use peerdeck::domain::ha::{Configured, Effective, HaAct, LinkName, MonitorKind, OnFailure, SplitBrain, WitnessMode};
use peerdeck::domain::text::Line;

use proptest::prelude::*;

use super::world::{A, B, SMTP, WITNESS, World, monitor, ms, sec};

use Effective::{Failed, HoldOff, Off, Primary, Secondary};

const MODES: [WitnessMode; 3] = [WitnessMode::Off, WitnessMode::Advise, WitnessMode::Require];

#[test]
fn f2_a_pair_starts_as_configured_and_the_primary_holds_the_address() {
    for mode in MODES {
        let w = World::settled(|_, ha| ha.witness = mode);
        assert_eq!((w.rows(A), w.rows(B)), (vec![0], vec![0]), "{}", w.story());
        assert_eq!(w.status(A).epoch, 1);
        assert_eq!(w.status(B).epoch, 1, "the secondary adopts it");
        assert_eq!(w.units[A].hooks, [(Off, Primary, 1)]);
        assert_eq!(w.status(A).troubles, Vec::<Line>::new());
        assert!(w.status(A).holds() && !w.status(B).holds());
    }
}

#[test]
fn f9_row_1_silence_on_all_links_for_the_wait_and_not_before() {
    for mode in MODES {
        for choice in [OnFailure::Off, OnFailure::RestoreRole, OnFailure::BecomeSecondary] {
            let mut w = World::settled(|_, ha| (ha.witness, ha.on_failure) = (mode, choice));
            w.kill(A);
            let killed = w.now;
            w.run(sec(3));
            assert_eq!(w.role(B), Secondary, "{mode:?}: not before its time\n{}", w.story());
            assert!(w.run_until(sec(4), |w| w.role(B) == Primary), "{mode:?}\n{}", w.story());
            assert!(w.now.since(killed) >= sec(4), "{mode:?}: after {:?}", w.now.since(killed));
            assert_eq!(w.rows(B), [0, 1]);
            assert_eq!(w.status(B).epoch, 2);
            assert!(w.status(B).quiet_until.is_some());
            assert_eq!(w.overlaps, [], "{}", w.story());
            w.run(sec(20));
            assert_eq!(w.holders(), [B], "{}", w.story());
        }
    }
}

#[test]
fn f16_the_rehearsal_counts_down_until_the_takeover() {
    // `require` wants to have heard the witness, and this world's speaks only when it votes.
    for mode in [WitnessMode::Off, WitnessMode::Advise] {
        let mut w = World::settled(|_, ha| (ha.witness, ha.threshold, ha.lease) = (mode, sec(3), sec(1)));
        let ha = &w.status(B);
        assert!(ha.takeover_after > ha.threshold, "it acts some time after the threshold");
        w.kill(A);
        w.run(ms(50)); // Its last beat.
        let mut left = sec(60);
        while w.role(B) == Secondary {
            let told = w.status(B).rehearsal;
            let Rehearsal::Takes { from, .. } = told else {
                panic!("{mode:?}: {told:?}, {left:?} left\n{}", w.story())
            };
            assert!(from <= left, "{mode:?}: {from:?} after {left:?}\n{}", w.story());
            left = from;
            w.run(ms(50));
        }
        assert!(left <= ms(500), "{mode:?}: {left:?}");
    }
}

#[test]
fn f2_row_2_one_silent_link_changes_nothing() {
    let mut w = World::settled(|_, _| {});
    w.cut.extend([(A, B, Some(LinkName::Primary)), (B, A, Some(LinkName::Primary))]);
    w.run(sec(60));
    assert_eq!(w.roles(), (Primary, Secondary));
    assert!(w.story().contains("one heartbeat link is silent: primary"), "{}", w.story());
    w.cut.clear();
    w.run(sec(3));
    assert!(w.story().contains("the primary heartbeat link is heard again"), "{}", w.story());
    assert_eq!(w.gaps, []);
}

#[test]
fn f18_row_3_services_at_the_virtual_address_stand_in_for_five_minutes() {
    let services = |unit: usize, ha: &mut peerdeck::domain::ha::HaConfig| {
        ha.services_as_heartbeat = true;
        if unit == B {
            ha.monitors = vec![monitor(SMTP)];
        }
    };
    let mut w = World::settled(services);
    w.cut_links();
    w.run(sec(280));
    assert_eq!(w.roles(), (Primary, Secondary), "{}", w.story());
    assert!(w.story().contains("services answer"), "{}", w.story());
    assert!(w.run_until(sec(30), |w| w.role(B) == Primary), "{}", w.story());

    // They must really answer, and at the virtual address.
    for own in [false, true] {
        let mut w = World::settled(|unit, ha| {
            services(unit, ha);
            if own {
                ha.monitors.iter_mut().for_each(|m| m.target = Some(([10, 0, 1, 1], 25).into()));
            }
        });
        if !own {
            w.units[B].bad.insert(SMTP);
        }
        w.cut_links();
        assert!(w.run_until(sec(7), |w| w.role(B) == Primary), "own {own}: {}", w.story());
    }
}

/// What a failure leaves of the old primary, and what it is when the fault is gone.
fn after(choice: OnFailure) -> (Effective, Effective) {
    match choice {
        OnFailure::Off => (Off, Off),
        OnFailure::RestoreRole | OnFailure::BecomeSecondary => (Failed, Secondary),
    }
}

#[test]
fn f10_row_4_a_service_that_fails_makes_the_holder_yield() {
    for mode in MODES {
        for choice in [OnFailure::Off, OnFailure::RestoreRole, OnFailure::BecomeSecondary] {
            let mut w = World::settled(|_, ha| {
                (ha.witness, ha.on_failure, ha.monitors) = (mode, choice, vec![monitor(SMTP)]);
            });
            for unit in [A, B] {
                w.units[unit].bad.insert(SMTP);
            }
            assert!(w.run_until(sec(10), |w| w.role(B) == Primary), "{mode:?} {choice:?}\n{}", w.story());
            w.run(ms(10));
            assert_eq!(w.role(A), after(choice).0, "{}", w.story());
            assert_eq!((w.rows(A), w.rows(B)), (vec![0, 4], vec![0, 4]), "{}", w.story());
            assert_eq!(w.overlaps, []);
            let gap = w.gaps.last().unwrap().1;
            assert!(gap <= ms(100), "by release, not by silence: {gap:?}");
            w.units[A].bad.clear();
            w.run(sec(120));
            assert_eq!(w.role(B), Primary, "quiet: its own service sets nothing off {}", w.story());
            let asked = w.story().matches("asks the primary to hand over").count();
            assert!(asked < 30, "{asked} times: {}", w.story());
            w.units[B].bad.clear();
            w.run(sec(30));
            assert_eq!(w.roles(), (after(choice).1, Primary), "{choice:?}: {}", w.story());
        }
    }
}

#[test]
fn f11_rows_5_and_6_local_monitors_make_the_primary_fail_and_release() {
    for (kind, row) in [(MonitorKind::Ports, 5), (MonitorKind::Disk, 6)] {
        for mode in MODES {
            for choice in [OnFailure::Off, OnFailure::RestoreRole, OnFailure::BecomeSecondary] {
                let mut w = World::settled(|_, ha| {
                    (ha.witness, ha.on_failure, ha.monitors) = (mode, choice, vec![monitor(kind)]);
                });
                w.units[A].bad.insert(kind);
                if row == 6 {
                    w.units[A].disk = false;
                }
                assert!(w.run_until(sec(10), |w| w.role(B) == Primary), "{mode:?}\n{}", w.story());
                w.run(ms(10));
                assert_eq!(w.role(A), after(choice).0, "{}", w.story());
                assert_eq!((w.rows(A), w.rows(B)), (vec![0, row], vec![0, row]), "{}", w.story());
                assert!(w.gaps.last().unwrap().1 <= ms(100), "{:?}", w.gaps);
                w.run(sec(30));
                assert_eq!(w.roles(), (after(choice).0, Primary), "not while it lasts: {}", w.story());
                w.units[A].bad.clear();
                w.units[A].disk = true;
                w.run(sec(10));
                assert_eq!(w.roles(), (after(choice).1, Primary), "{choice:?}: {}", w.story());
                w.run(sec(620));
                let back = choice == OnFailure::RestoreRole;
                let end = if back { (Primary, Secondary) } else { (after(choice).1, Primary) };
                assert_eq!(w.roles(), end, "rows 18 to 20, {choice:?}: {}", w.story());
                assert_eq!(w.overlaps, []);
            }
        }
    }
}

#[test]
fn f9_rows_7_8_and_9_a_restart_that_was_announced_is_waited_for() {
    for mode in MODES {
        let mut w = World::settled(|_, ha| ha.witness = mode);
        w.tell(A, Event::Stop { restarting: true });
        assert!(w.run_until(sec(5), |w| w.units[A].stopped), "{}", w.story());
        assert_eq!(w.holders(), [0; 0], "the announcer releases first");
        w.kill(A);
        w.run(sec(60));
        assert_eq!(w.role(B), HoldOff, "{}", w.story());
        assert!(w.status(B).hold_off_until.is_some());
        w.start(A);
        w.run(sec(15));
        assert_eq!(w.roles(), (Primary, Secondary), "{}", w.story());
        assert_eq!(w.rows(B), [0, 7, 8], "{}", w.story());

        w.tell(A, Event::Stop { restarting: true });
        w.run(sec(1));
        w.kill(A);
        w.run(sec(290));
        assert_eq!(w.role(B), HoldOff, "{}", w.story());
        assert!(w.run_until(sec(20), |w| w.role(B) == Primary), "{}", w.story());
        assert_eq!(w.rows(B), [0, 7, 8, 7, 9]);
    }
}

#[test]
fn f9_rows_10_and_11_the_primary_stays_when_the_secondary_goes() {
    for mode in MODES {
        let mut w = World::settled(|_, ha| ha.witness = mode);
        w.tell(B, Event::Stop { restarting: true });
        w.run(sec(1));
        w.kill(B);
        assert!(w.story().contains("the secondary restarts"), "{}", w.story());
        w.run(sec(60));
        assert!(w.story().contains("the secondary's heartbeat disappeared"), "{}", w.story());
        assert_eq!((w.role(A), w.holders()), (Primary, vec![A]), "{mode:?} {}", w.story());
        assert_eq!(w.gaps, [], "{mode:?} {}", w.story());
    }
}

#[test]
fn f9_row_12_the_old_primary_comes_back_by_on_failure() {
    for mode in MODES {
        for choice in [OnFailure::Off, OnFailure::RestoreRole, OnFailure::BecomeSecondary] {
            let mut w = World::settled(|_, ha| (ha.witness, ha.on_failure) = (mode, choice));
            w.kill(A);
            w.run(sec(20));
            w.start(A);
            w.run(sec(20));
            let role = if choice == OnFailure::Off { Off } else { Secondary };
            assert_eq!(w.roles(), (role, Primary), "{choice:?} {}", w.story());
            w.run(sec(700));
            let end = if choice == OnFailure::RestoreRole { (Primary, Secondary) } else { (role, Primary) };
            assert_eq!(w.roles(), end, "{choice:?} {}", w.story());
            assert_eq!(w.overlaps, []);
        }
    }
}

#[test]
fn f15_row_13_a_switchover_takes_less_than_50_ms_at_any_interval() {
    for mode in MODES {
        for (interval, threshold) in [(ms(50), ms(150)), (sec(1), sec(3)), (sec(5), sec(15))] {
            let mut w = World::new(|_, ha| (ha.witness, ha.interval, ha.threshold) = (mode, interval, threshold));
            w.run(sec(40));
            assert_eq!((w.roles(), w.holders()), ((Primary, Secondary), vec![A]), "{}", w.story());
            w.gaps.clear();
            let request = w.act(A, HaAct::Switchover);
            w.run(sec(1));
            assert_eq!(w.roles(), (Secondary, Primary), "{}", w.story());
            assert!(w.units[A].answers[&request].is_ok());
            assert_eq!((w.holders(), w.overlaps.len()), (vec![B], 0));
            assert_eq!(w.gaps.len(), 1);
            assert!(w.gaps[0].1 <= ms(50), "{mode:?} {interval:?}: {:?}", w.gaps);
            assert_eq!((w.rows(A).last(), w.rows(B).last()), (Some(&13), Some(&13)));
            assert_eq!(w.status(B).quiet_until, None, "nobody has failed");
            w.run(sec(60));
            assert_eq!((w.roles(), w.gaps.len()), ((Secondary, Primary), 1), "{mode:?} {interval:?} {}", w.story());
        }
    }
}

#[test]
fn f15_rows_14_and_15_asked_at_the_secondary_and_restored() {
    for mode in MODES {
        let mut w = World::settled(|_, ha| ha.witness = mode);
        let request = w.act(B, HaAct::Switchover);
        w.run(sec(1));
        assert!(w.units[B].answers[&request].is_ok(), "{}", w.story());
        assert_eq!((w.roles(), w.rows(B)), ((Secondary, Primary), vec![0, 14]), "{}", w.story());
        for unit in [A, B] {
            w.act(unit, HaAct::Restore);
            w.run(sec(1));
            assert_eq!((w.roles(), w.rows(A).last()), ((Primary, Secondary), Some(&15)), "{}", w.story());
            w.act(A, HaAct::Switchover);
            w.run(sec(1));
            assert_eq!(w.roles(), (Secondary, Primary), "{}", w.story());
        }
        assert_eq!(w.overlaps, []);
    }
}

#[test]
fn f15_row_14_forced_asks_a_holder_that_is_heard_and_takes_from_one_that_is_not() {
    for mode in MODES {
        let mut w = World::settled(|_, ha| ha.witness = mode);
        // No preflight: a configuration that differs does not matter.
        let digest = Configuration { digest: "abc".to_owned(), trouble: None };
        w.tell(A, Event::Configuration(digest));
        w.run(sec(2));
        let refused = w.act(A, HaAct::Switchover);
        assert!(w.units[A].answers[&refused].as_ref().unwrap_err().contains("synchronise"));
        w.act(B, HaAct::Failover);
        w.run(sec(1));
        assert_eq!(w.roles(), (Secondary, Primary), "{}", w.story());
        assert_eq!(w.overlaps, []);

        // One that is waited for is taken from.
        w.tell(B, Event::Stop { restarting: true });
        w.run(sec(1));
        w.kill(B);
        w.run(sec(10));
        assert_eq!(w.role(A), HoldOff, "{}", w.story());
        let request = w.act(A, HaAct::Failover);
        w.run(sec(1));
        assert_eq!(w.role(A), Primary, "{}", w.story());
        assert!(w.units[A].answers[&request].as_ref().unwrap().contains("may be lost"));
    }
}

#[test]
fn f15_row_16_restart_ends_off() {
    let mut w = World::settled(|_, ha| (ha.on_failure, ha.monitors) = (OnFailure::Off, vec![monitor(SMTP)]));
    w.units[B].bad.insert(SMTP);
    assert!(w.run_until(sec(10), |w| w.roles() == (Off, Primary)), "{}", w.story());
    w.run(sec(2));
    let request = w.act(A, HaAct::Restart);
    w.run(sec(3));
    assert!(w.units[A].answers[&request].is_ok());
    assert_eq!(w.roles(), (Secondary, Primary), "{}", w.story());
    let request = w.act(A, HaAct::Restart);
    assert!(w.units[A].answers[&request].is_err(), "it runs");
}

#[test]
fn b2_row_17_two_primaries_resolve_or_hold() {
    for split_brain in [SplitBrain::Resolve, SplitBrain::Hold] {
        let mut w = World::settled(|_, ha| ha.split_brain = split_brain);
        w.cut_links();
        w.run(sec(30));
        assert_eq!((w.roles(), w.holders()), ((Primary, Primary), vec![A, B]), "what `off` gives up");
        w.cut.clear();
        w.run(sec(2));
        let story = w.story();
        assert!(story.contains("split brain"), "{story}");
        match split_brain {
            SplitBrain::Resolve => {
                assert_eq!((w.roles(), w.holders()), ((Secondary, Primary), vec![B]), "{story}");
                assert_eq!(w.rows(A), [0, 17]);
            }
            SplitBrain::Hold => {
                assert_eq!((w.roles(), w.holders()), ((Primary, Primary), vec![A, B]), "{story}");
                assert!(w.status(A).troubles.iter().any(|t| t.as_str().contains("two primaries")));
                a_person_ends_it(&mut w);
            }
        }
    }
}

/// The right one keeps the address, the wrong one lets go; then roles can be restored as ever.
fn a_person_ends_it(w: &mut World) {
    for (unit, act) in [(B, HaAct::Switchover), (A, HaAct::Restore), (B, HaAct::Restore)] {
        let request = w.act(unit, act);
        w.run(sec(1));
        assert!(w.units[unit].answers[&request].is_err(), "{act:?} {}", w.story());
        assert_eq!(w.roles(), (Primary, Primary));
    }
    let request = w.act(A, HaAct::Switchover);
    w.run(sec(2));
    assert!(w.units[A].answers[&request].is_ok(), "{}", w.story());
    assert_eq!((w.roles(), w.holders()), ((Secondary, Primary), vec![B]), "{}", w.story());
    w.run(sec(20));
    w.act(B, HaAct::Restore);
    w.run(sec(2));
    assert_eq!((w.roles(), w.holders()), ((Primary, Secondary), vec![A]), "{}", w.story());
}

#[test]
fn b1_require_never_gives_two_holders_in_a_cut() {
    for (from, to) in [(A, B), (B, A)] {
        let mut w = World::settled(|_, ha| ha.witness = WitnessMode::Require);
        w.cut_links();
        w.run(sec(30));
        assert_eq!((w.holders(), w.overlaps.len()), (vec![A], 0), "the witness is A's: {}", w.story());
        w.cut.extend([(from, WITNESS, None), (WITNESS, from, None)]);
        w.run(sec(30));
        assert_eq!((w.holders(), w.overlaps.len()), (vec![to], 0), "{}", w.story());
        w.cut.clear();
        w.run(sec(30));
        assert_eq!((w.holders().len(), w.overlaps.len()), (1, 0), "{}", w.story());
        let primaries = [A, B].into_iter().filter(|u| w.role(*u) == Primary).count();
        assert_eq!(primaries, 1, "{}", w.story());
    }
}

#[test]
fn b1_require_alone_the_address_goes() {
    let mut w = World::settled(|_, ha| ha.witness = WitnessMode::Require);
    w.witness_up = false;
    w.run(sec(30));
    assert_eq!(w.holders(), [A], "the secondary's vote carries: {}", w.story());
    assert!(matches!(w.status(B).rehearsal, Rehearsal::Refuses(_)), "{:?}", w.status(B).rehearsal);
    w.kill(B);
    w.run(sec(10));
    assert_eq!(w.holders(), [0; 0]);
    assert!(w.status(A).troubles.iter().any(|t| t.as_str().contains("does not hold")), "{:?}", w.status(A).troubles);
    w.witness_up = true;
    w.run(sec(5));
    assert_eq!(w.holders(), [A], "{}", w.story());
}

#[test]
fn b1_advise_a_witness_that_hears_the_primary_speaks_against_a_takeover() {
    let mut w = World::settled(|_, ha| ha.witness = WitnessMode::Advise);
    w.cut_links();
    w.run(sec(60));
    assert_eq!((w.roles(), w.holders()), ((Primary, Secondary), vec![A]), "{}", w.story());
    assert!(w.story().contains("the witness speaks against"), "{}", w.story());
    w.kill(A);
    assert!(w.run_until(sec(8), |w| w.role(B) == Primary), "{}", w.story());
}

#[test]
fn b1_off_a_one_way_cut_and_a_freeze_never_give_two() {
    for (interval, threshold) in [(sec(1), sec(3)), (sec(1), sec(15)), (ms(100), ms(300)), (sec(5), sec(15))] {
        let set =
            |_: usize, ha: &mut peerdeck::domain::ha::HaConfig| (ha.interval, ha.threshold) = (interval, threshold);
        let mut w = World::new(set);
        w.run(sec(60));
        assert_eq!((w.roles(), w.holders()), ((Primary, Secondary), vec![A]), "{}", w.story());
        w.cut_way(A, B);
        w.run(sec(60));
        assert_eq!((w.holders(), w.overlaps.len()), (vec![B], 0), "{interval:?} {}", w.story());
        w.cut.clear();
        w.run(sec(60));
        assert_eq!((w.roles(), w.holders(), w.overlaps.len()), ((Secondary, Primary), vec![B], 0), "{}", w.story());

        for times in [1, 3, 10] {
            let mut w = World::new(set);
            w.run(sec(60));
            w.freeze(A, threshold * times);
            w.run(sec(60));
            assert_eq!((w.holders().len(), &w.overlaps[..]), (1, &[][..]), "{interval:?} x {times}: {}", w.story());
            let mut roles = [w.role(A), w.role(B)];
            roles.sort();
            assert_eq!(roles, [Primary, Secondary], "{}", w.story());
        }
    }
}

#[test]
fn b1_a_lapsed_address_comes_back_only_with_proof() {
    let mut w = World::settled(|_, _| {});
    w.units[A].held = None;
    w.tell(A, Event::Guard(GuardReport::Lapsed));
    assert_eq!(w.holders(), [0; 0]);
    w.run(sec(3));
    assert_eq!(w.holders(), [A], "a beat of the other is proof: {}", w.story());
    w.kill(B);
    w.run(sec(2));
    w.units[A].held = None;
    w.tell(A, Event::Guard(GuardReport::Lapsed));
    w.run(sec(4));
    assert_eq!(w.holders(), [0; 0], "a dead other proves nothing before the wait: {}", w.story());
    w.run(sec(3));
    assert_eq!(w.holders(), [A], "{}", w.story());
}

#[test]
fn f12_somebody_else_who_has_the_address_stops_a_takeover() {
    let mut w = World::settled(|_, _| {});
    w.units[B].conflict = true;
    w.kill(A);
    w.run(sec(30));
    assert_eq!(w.role(B), Secondary, "{}", w.story());
    assert!(w.status(B).troubles.iter().any(|t| t.as_str().contains("somebody else has the address")));
    w.units[B].conflict = false;
    w.run(sec(10));
    assert_eq!((w.role(B), w.holders()), (Primary, vec![B]), "{}", w.story());
}

#[test]
fn f9_a_unit_that_ran_late_or_feels_nothing_neither_accuses_nor_takes_over() {
    let mut w = World::settled(|_, _| {});
    w.tell(B, Event::Footing(Err(Line::new("no carrier on any port"))));
    w.kill(A);
    w.run(sec(30));
    assert_eq!(w.role(B), Secondary, "{}", w.story());
    assert!(w.status(B).distrust.is_some());
    w.tell(B, Event::Footing(Ok(())));
    assert!(w.run_until(sec(7), |w| w.role(B) == Primary), "{}", w.story());
}

#[test]
fn f9_a_disk_that_takes_no_epoch_takes_over_nothing() {
    let mut w = World::settled(|_, _| {});
    w.units[B].disk = false;
    w.kill(A);
    w.run(sec(30));
    assert_eq!((w.role(B), w.holders()), (Secondary, vec![]), "{}", w.story());
    assert!(w.status(B).troubles.iter().any(|t| t.as_str().contains("disk")), "{:?}", w.status(B).troubles);
    w.units[B].disk = true;
    assert!(w.run_until(sec(10), |w| w.role(B) == Primary), "{}", w.story());
}

#[test]
fn f9_a_disk_that_hangs_is_told_and_the_takeover_comes_when_it_goes_on() {
    let mut w = World::settled(|_, ha| ha.witness = WitnessMode::Off);
    w.units[B].write = sec(20);
    w.kill(A);
    w.run(sec(10));
    let hangs = |line: &Line| line.as_str().contains("the disk has not taken the HA state");
    let status = w.status(B);
    assert_eq!((w.role(B), w.holders()), (Secondary, vec![]), "{}", w.story());
    assert!(status.troubles.iter().any(hangs), "{:?}", status.troubles);
    assert!(matches!(&status.rehearsal, Rehearsal::Refuses(why) if hangs(why)), "{:?}", status.rehearsal);
    w.run(sec(17));
    assert_eq!((w.role(B), w.holders()), (Primary, vec![B]), "with the write that hung: {}", w.story());
    w.units[B].write = ms(3);
    w.run(sec(40));
    assert!(!w.status(B).troubles.iter().any(hangs), "{:?}", w.status(B).troubles);
}

#[test]
fn f9_a_clean_stop_is_a_switchover() {
    for mode in MODES {
        let mut w = World::settled(|_, ha| ha.witness = mode);
        w.tell(A, Event::Stop { restarting: false });
        assert!(w.run_until(sec(5), |w| w.units[A].stopped), "{}", w.story());
        w.kill(A);
        w.run(sec(1));
        assert_eq!((w.role(B), w.holders()), (Primary, vec![B]), "{}", w.story());
        assert!(w.gaps[0].1 <= ms(50), "{:?}", w.gaps);
        let story = w.story();
        assert!(story.contains("is primary now, epoch 2: the other stops: a clean stop"), "{story}");
        assert!(story.contains("is handed the role in epoch 2: the other stops: a clean stop"), "{story}");
        // Alone, it just lets go.
        w.tell(B, Event::Stop { restarting: false });
        assert!(w.run_until(sec(6), |w| w.units[B].stopped), "{}", w.story());
        assert_eq!(w.holders(), [0; 0]);
    }
}

#[test]
fn f1_two_configured_primaries_are_told_and_the_lower_serial_serves() {
    let mut w = World::new(|_, ha| ha.configured = Configured::Primary);
    w.run(sec(20));
    assert_eq!((w.roles(), w.holders()), ((Primary, Secondary), vec![A]), "{}", w.story());
    for unit in [A, B] {
        let troubles = w.status(unit).troubles;
        assert!(troubles.iter().any(|t| t.as_str().contains("configured as primary too")), "{troubles:?}");
    }
}

#[test]
fn f9_a_secondary_that_starts_alone_takes_over_after_the_wait() {
    for mode in MODES {
        let kept = Kept { epoch: 7, role: Some(Secondary), ..Kept::default() };
        let mut w = World::with_kept(|_, ha| ha.witness = mode, [kept.clone(), kept]);
        w.kill(A);
        w.run(sec(4));
        assert_eq!(w.role(B), Off);
        w.run(sec(6));
        assert_eq!((w.role(B), w.status(B).epoch), (Primary, 8), "{}", w.story());
    }
}

#[test]
fn f1_config_only_units_keep_their_roles_and_beat() {
    let mut w = World::new(|unit, ha| {
        ha.configured = if unit == A { Configured::ConfigPrimary } else { Configured::ConfigSecondary };
        ha.addresses.clear();
    });
    w.run(sec(3));
    assert_eq!(w.status(B).heartbeats[0].said.unwrap().effective, Effective::ConfigPrimary);
    w.kill(A);
    w.run(sec(60));
    assert_eq!(w.role(B), Effective::ConfigSecondary);
    let request = w.act(B, HaAct::Failover);
    assert!(w.units[B].answers[&request].is_err());
    w.act(B, HaAct::Sync);
    assert_eq!(w.units[B].syncs, 1);
    assert!(w.status(B).changes.is_empty());
}

#[test]
fn f14_without_virtual_addresses_roles_move_all_the_same() {
    for mode in MODES {
        let mut w = World::new(|_, ha| {
            ha.witness = mode;
            ha.addresses.clear();
        });
        w.run(sec(15));
        assert_eq!(w.roles(), (Primary, Secondary), "{}", w.story());
        w.act(A, HaAct::Switchover);
        w.run(sec(1));
        assert_eq!(w.roles(), (Secondary, Primary), "{}", w.story());
        w.kill(B);
        w.run(sec(12));
        assert_eq!(w.role(A), Primary, "{}", w.story());
    }
}

#[test]
fn f9_every_row_of_the_table_can_be_found_and_none_hides_another() {
    for row in TABLE {
        for from in row.from {
            for choice in [OnFailure::Off, OnFailure::RestoreRole, OnFailure::BecomeSecondary] {
                for split in [SplitBrain::Resolve, SplitBrain::Hold] {
                    let wanted = (row.on_failure.is_empty() || row.on_failure.contains(&choice))
                        && row.split_brain.is_none_or(|s| s == split);
                    if wanted {
                        let found = find(row.number, row.trigger, *from, choice, split).unwrap();
                        assert!(std::ptr::eq(found, row), "{row:?} is hidden by {found:?}");
                    }
                }
            }
        }
    }
    let numbers: std::collections::BTreeSet<u8> = TABLE.iter().map(|r| r.number).collect();
    assert_eq!(numbers, (0..=20).collect());
    assert!(find(17, Trigger::TwoPrimaries, Secondary, OnFailure::Off, SplitBrain::Hold).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn b1_require_never_gives_two_holders_whatever_is_cut_killed_or_frozen(
        steps in prop::collection::vec((0_u8..9, 0_usize..2, 1_u64..12_000), 1..25),
    ) {
        let mut w = World::new(|_, ha| (ha.witness, ha.threshold) = (WitnessMode::Require, sec(3)));
        for (what, unit, wait) in steps {
            match what {
                0 => w.cut_links(),
                1 => w.cut_way(unit, 1 - unit),
                2 => w.cut.extend([(unit, WITNESS, None), (WITNESS, unit, None)]),
                3 => w.cut.clear(),
                4 => w.kill(unit),
                5 => (0..2).for_each(|u| if !w.units[u].up { w.start(u) }),
                6 if w.units[unit].up => w.freeze(unit, ms(wait)),
                7 if w.units[unit].up => drop(w.act(unit, HaAct::Switchover)),
                8 if w.units[unit].up => drop(w.act(unit, HaAct::Failover)),
                _ => {}
            }
            w.run(ms(wait));
            prop_assert_eq!(&w.overlaps[..], &[][..], "{}", w.story());
        }
        // Healed, it ends with one primary that holds.
        w.cut.clear();
        (0..2).for_each(|u| if !w.units[u].up { w.start(u) });
        w.run(sec(400));
        prop_assert_eq!(&w.overlaps[..], &[][..], "{}", w.story());
        prop_assert_eq!(w.holders().len(), 1, "{:?}\n{}", w.roles(), w.story());
    }
}

#[test]
fn f2_a_fifth_of_all_datagrams_lost_takes_nobody_over_at_the_default_threshold() {
    let mut w = World::new(|_, ha| ha.threshold = sec(15));
    // Any number will do that is spread well: Knuth's multiplier.
    w.lost = |n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & 0xFF < 51;
    w.run(sec(3600));
    assert_eq!((w.roles(), w.rows(A), w.rows(B)), ((Primary, Secondary), vec![0], vec![0]), "{}", w.story());
    assert_eq!(w.status(A).epoch, 1);
    assert!(w.status(B).heartbeats.iter().all(|h| h.missed > 100 && h.intervals.len() == 60));
}
