//! The `asyncos` dialect: words and shapes as in the appliance's documents, where they are known.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::Output;
use crate::daemon::VERSION_TEXT;
use crate::daemon::cluster::View;
use crate::domain::ids::PeerId;
use crate::domain::maintenance::Maintenance;
use crate::domain::membership::Machine;
use crate::domain::mesh::{Cause, Link, LinkState, Route, Row};
use crate::domain::text::clean;
use crate::domain::time::{Time, human, millis};

/// What commands print from.
pub(super) struct Facts<'a> {
    pub id: &'a PeerId,
    pub view: &'a View,
    pub routes: &'a BTreeMap<PeerId, Route>,
    pub wall_ms: u64,
    /// Rows older than this are told as old.
    pub fresh: Duration,
    pub operators: usize,
}

const HELP: &str = "\
clusterconfig list             the groups and machines of the cluster
clusterconfig connstatus       the links between all machines, as each of them reports
clusterconfig disconnect HOST  take a machine out of the cluster for a while
clusterconfig reconnect HOST   take it in again
maintenance on HOST [MINUTES] [REASON]
                               announce that a machine is worked on (60 minutes if none are given)
maintenance off HOST           the work is done; these two are peerdeck's own, no appliance has them
status                         how this machine fares
version                        product, version, serial number
help                           this list
exit, quit                     leave
";

/// As the appliance has it: the mode in parentheses, and a mark when the machine is detached.
pub(super) fn prompt(view: &View) -> String {
    if view.membership.machines.is_empty() {
        return format!("\n{}> ", view.host);
    }
    let mark = if view.row.detached.is_some() { " [Disconnected]" } else { "" };
    let work = if holding(&view.row, view.at).is_some() { " [Maintenance]" } else { "" };
    format!("\n(Machine {}){mark}{work}> ", view.host)
}

/// Carries out one command.
pub(super) fn run(line: &str, facts: &Facts) -> Output {
    let words: Vec<String> = line.split_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (done, failed) = (Output::done, Output::failed);
    match words.as_slice() {
        ["help" | "?"] => done(HELP.into()),
        ["exit" | "quit" | "q"] => Output { text: String::new(), status: 0, leave: true },
        ["version"] => done(version(facts)),
        ["status"] => done(status(facts)),
        ["clusterconfig", "list" | "connstatus"] if facts.view.membership.machines.is_empty() => {
            failed("This machine is not part of a cluster.\n".into())
        }
        ["clusterconfig", "list"] => done(list(facts)),
        ["clusterconfig", "connstatus"] => done(connstatus(facts)),
        ["clusterconfig", ..] => failed(
            "Invalid arguments when processing: clusterconfig\nThere are: clusterconfig list, connstatus, disconnect HOST, reconnect HOST\n"
                .into(),
        ),
        // Each mode sees the whole mesh, so that scripts which set one first work.
        ["clustermode", "cluster" | "machine" | "group", ..] | [] => done(String::new()),
        [word, ..] => failed(format!("Unknown command or missing feature key: {}\n", clean(word, 60))),
    }
}

fn version(facts: &Facts) -> String {
    format!(
        "Current Version\n===============\nProduct: peerdeck peer\nModel: peerdeck\nVersion: {}\nLevel: {}\nHost name: {}\nSerial #: {}\n",
        VERSION_TEXT.trim_start_matches("peerdeck "),
        facts.view.row.level,
        facts.view.host,
        facts.id,
    )
}

fn status(facts: &Facts) -> String {
    let links = &facts.view.row.links;
    let up = links.iter().filter(|l| l.state == LinkState::Connected).count();
    let since = date(facts.view.row.boot.0);
    let standing = match facts.view.row.detached {
        Some(at) => format!("Disconnected from its cluster for {}", human(facts.view.at.since(at))),
        None => "Online".into(),
    };
    let mut text = format!(
        "Status as of:                  {}\nUp since:                      {since}\nSystem status:                 {standing}\n",
        date(facts.wall_ms)
    );
    // Infallible: a String takes everything.
    let _ = writeln!(text, "Cluster links:                 {up} of {} connected", links.len());
    if let Some(m) = holding(&facts.view.row, facts.view.at) {
        let _ = writeln!(text, "Maintenance:                   {}", announced(m, facts));
    }
    let _ = writeln!(text, "Sessions:                      {}", facts.operators);
    text
}

/// The maintenance of this row's machine, if it still holds.
fn holding(row: &Row, now: Time) -> Option<&Maintenance> {
    row.maintenance.as_ref().filter(|m| m.holds(now))
}

/// `until Sat Nov 21 14:05:00 2026 GMT by admin from 10.0.0.9: new disk`
fn announced(m: &Maintenance, facts: &Facts) -> String {
    // Times of the core are anchored at the wall clock and counted from there: the rest of the time is exact.
    let left = m.until.since(facts.view.at);
    let because = if m.reason.is_empty() { String::new() } else { format!(": {}", m.reason) };
    format!("until {} by {}{because}", date(facts.wall_ms.saturating_add(millis(left))), m.by)
}

fn date(wall_ms: u64) -> String {
    let stamp = i64::try_from(wall_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| "unknown".into(), |t| t.strftime("%a %b %d %H:%M:%S %Y GMT").to_string())
}

fn list(facts: &Facts) -> String {
    let membership = &facts.view.membership;
    let mut text = format!("cluster = {}\n", membership.name);
    for group in &membership.groups {
        let _ = writeln!(text, "Group {group}:");
        for machine in membership.machines.iter().filter(|m| m.group == *group) {
            let mark = if is_detached(facts, &machine.id) { " (disconnected)" } else { "" };
            let row = row_of(facts, &machine.id);
            let work = if row.and_then(|r| holding(r, facts.view.at)).is_some() { " (maintenance)" } else { "" };
            let _ = writeln!(text, "    Machine {} (Serial #: {}){mark}{work}", machine.host, machine.id);
        }
    }
    text
}

fn is_detached(facts: &Facts, id: &PeerId) -> bool {
    row_of(facts, id).is_some_and(|r| r.detached.is_some())
}

fn row_of<'a>(facts: &'a Facts, id: &PeerId) -> Option<&'a Row> {
    if id == facts.id { Some(&facts.view.row) } else { facts.view.rows.get(id).map(|r| &**r) }
}

fn connstatus(facts: &Facts) -> String {
    let membership = &facts.view.membership;
    let title = format!("Cluster {}", membership.name);
    let mut text = format!("{title}\n{}\n", "=".repeat(title.chars().count()));
    for machine in &membership.machines {
        let age = row_of(facts, &machine.id).map(|r| facts.view.at.since(r.vouched));
        let note = match age {
            Some(age) if age > facts.fresh => format!(" as of {} ago", human(age)),
            Some(_) | None => String::new(),
        };
        let _ = writeln!(text, "Machine {} (Serial #: {}){note}:", machine.host, machine.id);
        if let Some(m) = row_of(facts, &machine.id).and_then(|r| holding(r, facts.view.at)) {
            let _ = writeln!(text, "    in maintenance {}", announced(m, facts));
        }
        match row_of(facts, &machine.id) {
            None => text.push_str("    unknown: nothing was heard of this machine since the start\n"),
            Some(row) => {
                for to in membership.machines.iter().filter(|m| m.id != machine.id) {
                    let _ = writeln!(text, "    {}", link_line(facts, machine, to, row.link(&to.id).map(|l| &**l)));
                }
            }
        }
    }
    text
}

fn link_line(facts: &Facts, from: &Machine, to: &Machine, link: Option<&Link>) -> String {
    let Some(link) = link else { return format!("{}: unknown", to.host) };
    let address = link.address.map_or_else(|| to.address.to_string(), |a| a.ip().to_string());
    let state = match link.state {
        LinkState::Connected => "connected".to_owned(),
        LinkState::Connecting => "connecting".into(),
        LinkState::Detached => format!("disconnected ({})", link.detail),
        LinkState::Down => {
            let cause = link.cause.map_or("unknown", Cause::as_str);
            format!("disconnected ({cause}: {})", link.detail)
        }
        LinkState::Unknown => "unknown".into(),
    };
    let mut text = format!("{} ({address}): {state}", to.host);
    if link.dns.forward.is_bad() || link.dns.reverse.is_bad() {
        let _ = write!(text, "; DNS: {}", link.dns.answer);
    }
    // How it is reached all the same is known for this machine's own links only.
    if from.id == *facts.id
        && link.state != LinkState::Connected
        && let Some(Route::Relayed { via, .. }) = facts.routes.get(&to.id)
    {
        let hosts: Vec<String> = via
            .iter()
            .map(|id| facts.view.membership.machine(id).map_or_else(|| id.to_string(), |m| m.host.to_string()))
            .collect();
        let _ = write!(text, "; reached over {}", hosts.join(", "));
    }
    text
}
