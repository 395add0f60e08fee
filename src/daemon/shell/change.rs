//! Commands that change something: `clusterconfig disconnect` and `reconnect`, and `maintenance`, which is our own (C22).

use std::time::Duration;

use super::Output;
use crate::daemon::cluster::View;
use crate::daemon::rpc::execute;
use crate::daemon::session::Visitor;
use crate::daemon::shared::Shared;
use crate::domain::command::PeerAct;
use crate::domain::ids::PeerId;
use crate::domain::maintenance::LASTING_MAX;
use crate::domain::membership::Machine;
use crate::domain::text::clean;
use crate::proto::ms;
use crate::proto::rpc::{ExecuteParams, WireBasis};

/// How long maintenance lasts where nobody says it.
const LASTING: Duration = Duration::from_hours(1);

/// How it is typed.
const USAGE: &str = "There are: maintenance on HOST [MINUTES] [REASON], maintenance off HOST\n";

/// What a line asks for.
struct Wanted<'a> {
    kind: PeerAct,
    /// As it was typed.
    host: &'a str,
    lasting: Option<Duration>,
    reason: String,
}

/// Carries out `line` if it is such a command.
pub(super) async fn run(shared: &Shared, visitor: &Visitor, view: &View, line: &str) -> Option<Output> {
    let wanted = match parse(line)? {
        Ok(wanted) => wanted,
        Err(why) => return Some(Output::failed(why)),
    };
    if view.membership.machines.is_empty() {
        return Some(Output::failed("This machine is not part of a cluster.\n".into()));
    }
    let Some(machine) = find(&view.membership.machines, &wanted.host.to_ascii_lowercase()) else {
        let host = clean(wanted.host, 60);
        return Some(Output::failed(format!(
            "No machine {host} is in the cluster; clusterconfig list shows those that are.\n"
        )));
    };
    let params = ExecuteParams {
        act: None,
        command: <&str>::from(wanted.kind).into(),
        peer: machine.id.to_string(),
        reason: wanted.reason.clone(),
        lasting: wanted.lasting.map(ms),
        edits: Vec::new(),
        basis: basis(view, wanted.kind, &machine.id),
    };
    Some(match execute(shared, visitor, params).await {
        Ok(result) => Output::done(format!("{}: {}.\n", result.state, result.detail)),
        Err(why) => Output::failed(format!("Not done: {why}.\n")),
    })
}

/// What whoever types it can be taken to know.
fn basis(view: &View, kind: PeerAct, machine: &PeerId) -> WireBasis {
    let detached = match kind {
        PeerAct::Disconnect => Some(false),
        PeerAct::Reconnect => Some(true),
        PeerAct::MaintenanceOn | PeerAct::MaintenanceOff => None,
    };
    let row = if *machine == view.row.origin { Some(&view.row) } else { view.rows.get(machine) };
    let maintenance = match kind {
        // Replaced only by somebody who can have seen it.
        PeerAct::MaintenanceOn => row.map(|r| r.maintenance.as_ref().is_some_and(|m| m.holds(view.at))),
        PeerAct::Disconnect | PeerAct::Reconnect | PeerAct::MaintenanceOff => None,
    };
    WireBasis { membership: Some(view.membership.revision), detached, maintenance, ..WireBasis::default() }
}

/// `None` where the line is none of these commands; else what is wanted, or what is missing.
fn parse(line: &str) -> Option<Result<Wanted<'_>, String>> {
    let mut words = line.split_whitespace();
    let verb = words.next()?.to_ascii_lowercase();
    let what = words.next().map(str::to_ascii_lowercase);
    let rest: Vec<&str> = words.collect();
    let simple = |kind, reason: &str| Wanted { kind, host: rest[0], lasting: None, reason: reason.into() };
    Some(match (verb.as_str(), what.as_deref()) {
        ("clusterconfig", Some(command @ ("disconnect" | "reconnect"))) => {
            let kind = if command == "disconnect" { PeerAct::Disconnect } else { PeerAct::Reconnect };
            match rest.len() {
                1 => Ok(simple(kind, "from the command line")),
                _ => Err(format!("Which machine? clusterconfig {command} HOST\n")),
            }
        }
        ("maintenance", Some("off")) if rest.len() == 1 => Ok(simple(PeerAct::MaintenanceOff, "")),
        ("maintenance", Some("on")) if !rest.is_empty() => begin(&rest),
        ("maintenance", _) => Err(USAGE.into()),
        _ => return None,
    })
}

/// Of `maintenance on`: the host, then minutes if the next word is a number, then the reason.
fn begin<'a>(words: &[&'a str]) -> Result<Wanted<'a>, String> {
    let (host, rest) = (words[0], &words[1..]);
    let most = LASTING_MAX.as_secs() / 60;
    let (lasting, reason) = match rest.first() {
        Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => {
            let minutes = number.parse::<u64>().ok().filter(|m| (1..=most).contains(m));
            let Some(minutes) = minutes else {
                return Err(format!("Maintenance lasts 1 to {most} minutes.\n{USAGE}"));
            };
            (Duration::from_secs(minutes * 60), &rest[1..])
        }
        Some(_) | None => (LASTING, rest),
    };
    Ok(Wanted { kind: PeerAct::MaintenanceOn, host, lasting: Some(lasting), reason: reason.join(" ") })
}

/// The machine that `word` names: its host name, the first part of it, or its serial number.
fn find<'a>(machines: &'a [std::sync::Arc<Machine>], word: &str) -> Option<&'a Machine> {
    let named = |m: &&std::sync::Arc<Machine>| m.host.as_str() == word || m.id.as_str().eq_ignore_ascii_case(word);
    let mut short = machines.iter().filter(|m| m.host.short() == word);
    let only = short.next().filter(|_| short.next().is_none());
    machines.iter().find(named).or(only).map(|m| &**m)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(line: &str) -> (PeerAct, String, Option<u64>, String) {
        let w = parse(line).unwrap().unwrap_or_else(|e| panic!("{line}: {e}"));
        (w.kind, w.host.to_owned(), w.lasting.map(|l| l.as_secs() / 60), w.reason)
    }

    #[test]
    fn maintenance_takes_minutes_and_a_reason_or_neither() {
        let on = PeerAct::MaintenanceOn;
        assert_eq!(wanted("maintenance on lab3"), (on, "lab3".into(), Some(60), String::new()));
        assert_eq!(wanted("Maintenance ON Lab3 90"), (on, "Lab3".into(), Some(90), String::new()));
        assert_eq!(wanted("maintenance on lab3 5 New  Disk"), (on, "lab3".into(), Some(5), "New Disk".into()));
        assert_eq!(wanted("maintenance on lab3 new disk"), (on, "lab3".into(), Some(60), "new disk".into()));
        assert_eq!(wanted("maintenance off lab3"), (PeerAct::MaintenanceOff, "lab3".into(), None, String::new()));
    }

    #[test]
    fn what_is_missing_is_told_and_other_lines_are_left_alone() {
        for line in ["maintenance", "maintenance on", "maintenance off", "maintenance off a b", "maintenance lab3"] {
            assert_eq!(parse(line).unwrap().err().unwrap(), USAGE, "{line}");
        }
        for minutes in ["0", "43201", "99999999999999999999"] {
            let why = parse(&format!("maintenance on lab3 {minutes}")).unwrap().err().unwrap();
            assert!(why.starts_with("Maintenance lasts 1 to 43200 minutes."), "{why}");
        }
        assert!(parse("clusterconfig list").is_none() && parse("status").is_none() && parse("").is_none());
        assert!(parse("clusterconfig disconnect").unwrap().is_err());
    }
}
