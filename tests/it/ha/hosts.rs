//! Real hosts (network namespaces), the real daemon, real mail: the address is held by one at a time (F12, B1, B2), and the
//! other takes it within the stated bound. The long form is `cargo bench --bench failover`.

use std::time::Duration;

use super::trial::{Fault, Hosts, Outcome, Setting, System};

const PEERDECK: &str = env!("CARGO_BIN_EXE_peerdeck");
const SECOND: Setting = Setting { interval: Duration::from_secs(1), missed: 3 };
const SETTLE: Duration = Duration::from_secs(4);

/// The recorder and the harness against a program that is known to let two hold.
#[test]
#[ignore = "needs root and keepalived"]
fn f12_the_harness_sees_what_keepalived_does() {
    let quick = Setting { interval: Duration::from_millis(100), missed: 3 };
    let mut hosts = Hosts::start(PEERDECK, System::Keepalived, quick);
    let killed = hosts.trial(Fault::KillAll, SETTLE);
    assert!(killed.two.0 > 0 && killed.took.is_some(), "{killed:?}\n{}", hosts.logs());
    let cut = hosts.trial(Fault::Partition, SETTLE);
    assert!(cut.two.0 > 0 && cut.took.is_some(), "{cut:?}\n{}", hosts.logs());
}

/// How often a trial may be late: what is wrong is late each time, a machine that had no time now and then.
const LATE: usize = 3;

/// Plays a trial; again if it was late. `two`: whether two may hold.
fn play(hosts: &mut Hosts, fault: Fault, two: bool) -> Outcome {
    // The bound is for a release build on a machine that has time.
    let bound = hosts.setting.bound(hosts.system) + Duration::from_millis(500);
    for turn in 1.. {
        let outcome = hosts.trial(fault, SETTLE);
        println!("{}: {:?}, two holders {:?}, nobody {:?}", fault.text(), outcome.took, outcome.two, outcome.nobody);
        assert!(two || outcome.two == (0, Duration::ZERO), "{fault:?}: two held: {:?}\n{}", outcome.seen, hosts.logs());
        if outcome.took.is_none_or(|took| took <= bound) {
            return outcome;
        }
        assert!(turn < LATE, "{fault:?} was late each time: {:?}\n{}", outcome.seen, hosts.logs());
    }
    unreachable!("a turn ends it")
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_b1_with_a_witness_never_two_holders_and_takeover_in_time() {
    let mut hosts = Hosts::start(PEERDECK, System::Peerdeck("require"), SECOND);
    for fault in [
        Fault::Kill,
        Fault::KillAll,
        Fault::Stop(3),
        Fault::StopAll(1),
        Fault::StopAll(3),
        Fault::End,
        Fault::PortsOff,
        Fault::Partition,
        Fault::Between,
        Fault::FromWitness,
    ] {
        let outcome = play(&mut hosts, fault, false);
        let must = !matches!(fault, Fault::StopAll(1) | Fault::Stop(1) | Fault::Between | Fault::FromWitness);
        assert!(outcome.took.is_some() || !must, "{fault:?}: nobody took over: {outcome:?}\n{}", hosts.logs());
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_without_a_witness_two_hold_only_in_a_cut() {
    let mut hosts = Hosts::start(PEERDECK, System::Peerdeck("off"), SECOND);
    for fault in [Fault::Kill, Fault::KillAll, Fault::StopAll(3), Fault::End, Fault::Partition] {
        let outcome = play(&mut hosts, fault, fault == Fault::Partition);
        assert!(outcome.took.is_some(), "{fault:?}: nobody took over: {outcome:?}\n{}", hosts.logs());
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f13_a_clean_switchover_leaves_a_short_gap() {
    let mut hosts = Hosts::start(PEERDECK, System::Peerdeck("require"), SECOND);
    let short = |_| {
        let gap = hosts.switchover_gap(SETTLE);
        println!("service gap of a clean switchover: {gap:?}");
        gap <= Duration::from_millis(100)
    };
    assert!((0..LATE).any(short), "each was too long\n{}", hosts.logs());
}
