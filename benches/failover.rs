//! Failover of an address between two hosts, ours beside keepalived: `cargo bench --bench failover`, or with the number of
//! trials behind `--` (10), then names of systems (`keepalived`, `require`, `off`) and of faults (a part of their text).
//! Needs root and Debian's keepalived; `--profile dev` builds sooner and differs by nothing that can be seen here. Figures
//! go to `benches/README.md`.
//!
//! Hosts are network namespaces on bridges. Who holds comes from the kernel's events over one socket for all namespaces, so
//! that their order is the kernel's: two holders are two holders however short.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]

use std::time::Duration;

#[path = "../tests/it/ha/ns.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod ns;
#[path = "../tests/it/ha/trial.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod trial;

use trial::{Fault, Hosts, Setting, System};

const PEERDECK: &str = env!("CARGO_BIN_EXE_peerdeck");

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let trials: usize = args.iter().find_map(|a| a.parse().ok()).unwrap_or(10);
    let args: Vec<String> = args.into_iter().filter(|a| a.parse::<usize>().is_err()).collect();
    let wanted = |word: &str, all: &[&str]| {
        let asked = args.iter().any(|a| all.iter().any(|known| known.contains(a.as_str())));
        !asked || args.iter().any(|a| word.contains(a.as_str()))
    };
    let systems = [System::Keepalived, System::Peerdeck("require"), System::Peerdeck("off")];
    let names = ["keepalived", "require", "off"];
    // All side by side, each on hosts of its own: they have the same machine under them, and wait nearly all the time.
    let rows: Vec<String> = std::thread::scope(|scope| {
        let mut runs = Vec::new();
        for ms in [1000, 100] {
            for (system, name) in systems.into_iter().zip(names).filter(|(_, name)| wanted(name, &names)) {
                let faults = faults(system);
                let texts: Vec<String> = faults.iter().map(|f| f.text()).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let faults: Vec<Fault> = faults.iter().copied().filter(|f| wanted(&f.text(), &texts)).collect();
                let setting = Setting { interval: Duration::from_millis(ms), missed: 3 };
                runs.push(scope.spawn(move || run(system, name, setting, &faults, trials)));
            }
        }
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    println!("| setting | system | fault | takeover ms min / median / max | taken over | two holders | longest ms |");
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        println!("{row}");
    }
}

/// All of one system at one setting: rows of the table, told on stderr as they come.
fn run(system: System, name: &str, setting: Setting, faults: &[Fault], trials: usize) -> Vec<String> {
    let mut hosts = Hosts::start(PEERDECK, system, setting);
    let settle = settle(system, setting);
    let head = format!("{} ms x {} | {name}", setting.interval.as_millis(), setting.missed);
    let mut rows = Vec::new();
    let mut tell = |row: String| {
        eprintln!("{row}");
        rows.push(row);
    };
    for fault in faults {
        tell(row(&mut hosts, *fault, trials, settle, &head));
    }
    let mut gaps: Vec<Duration> = (0..trials).map(|_| hosts.switchover_gap(settle)).collect();
    gaps.sort();
    tell(format!("| {head} | clean stop, gap of a service | {} | | | |", spread(&gaps)));
    rows
}

fn faults(system: System) -> Vec<Fault> {
    let mut faults = vec![
        Fault::KillAll,
        Fault::StopAll(1),
        Fault::StopAll(3),
        Fault::StopAll(10),
        Fault::End,
        Fault::PortsOff,
        Fault::Partition,
        Fault::Between,
    ];
    match system {
        System::Keepalived => {}
        System::Peerdeck(_) => faults.extend([Fault::Kill, Fault::Stop(3), Fault::FromWitness]),
    }
    faults
}

/// Until all is as before: ours waits for a whole takeover before it takes part again.
fn settle(system: System, setting: Setting) -> Duration {
    match system {
        System::Keepalived => setting.threshold() + Duration::from_secs(1),
        System::Peerdeck(_) => setting.bound(system) + Duration::from_secs(1),
    }
}

fn row(hosts: &mut Hosts, fault: Fault, trials: usize, settle: Duration, head: &str) -> String {
    let outcomes: Vec<_> = (0..trials).map(|_| hosts.trial(fault, settle)).collect();
    let mut took: Vec<Duration> = outcomes.iter().filter_map(|o| o.took).collect();
    took.sort();
    let two = outcomes.iter().filter(|o| o.two.0 > 0).count();
    let longest = outcomes.iter().map(|o| o.two.1).max().unwrap();
    format!(
        "| {head} | {} | {} | {} of {trials} | {two} of {trials} | {} |",
        fault.text(),
        spread(&took),
        took.len(),
        longest.as_millis()
    )
}

fn spread(sorted: &[Duration]) -> String {
    let Some((first, last)) = sorted.first().zip(sorted.last()) else { return "-".into() };
    format!("{} / {} / {}", first.as_millis(), sorted[sorted.len() / 2].as_millis(), last.as_millis())
}
