//! HA groups as tables for people: `ha` without `--json`.

use std::fmt::Write;

use super::check::Check;
use super::findings::tone;
use super::ha::{Seen, check, gauge, wanted};
use super::rfc3339;
use super::table::{Style, Table, Tone, cell, paint};
use crate::domain::ha::group::Member;
use crate::domain::ha::{AddressAction, BeatState, Effective, GroupKind, MonitorState};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::{Time, human};

/// Role changes that are shown without `-v`.
const CHANGES: usize = 8;

/// Signs of a gauge.
const CELLS: usize = 10;

/// The groups, one after the other.
#[must_use]
pub fn text(snapshot: &Snapshot, only: Option<&str>, name: Option<&str>, complete: bool, style: Style) -> String {
    let of = check(snapshot, only, name, complete);
    let mut out = paint(of.word(), tone_of(of), style);
    if !complete {
        out.push_str("  not every peer has answered or failed within the time; --timeout gives more");
    }
    out.push('\n');
    let seen = wanted(snapshot, only, name);
    if seen.is_empty() {
        out.push_str("no peer tells of an HA group\n");
    }
    for s in &seen {
        out.push('\n');
        out.push_str(&group(s, style));
    }
    out
}

fn tone_of(check: Check) -> Tone {
    match check {
        Check::Ok => Tone::Good,
        Check::Warning | Check::Unknown => Tone::Warn,
        Check::Critical => Tone::Bad,
    }
}

fn group(s: &Seen<'_>, style: Style) -> String {
    let head = format!("{}  {}  epoch {}  {}", s.group.name, s.group.kind.as_str(), s.group.epoch(), s.cluster.name);
    let mut out = paint(&head, Tone::Head, style) + "\n";
    for f in s.findings() {
        let word = paint(f.severity.as_str(), tone(f.severity), style);
        let _ = writeln!(out, "  {word}: {}", f.text); // Writing into a text can't fail.
        if style.verbose {
            let _ = writeln!(out, "      {}", f.advice);
        }
    }
    out.push_str(&roles(s, style));
    for part in [heartbeats(s, style), services(s, style), addresses(s, style)] {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    out.push_str(&sentences(s));
    out.push_str(&time_line(s, style));
    out
}

fn ago(at: Option<Time>, now: Time) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", human(now.since(at))))
}

fn roles(s: &Seen<'_>, style: Style) -> String {
    let mut table =
        Table::new(&["UNIT", "CONFIGURED", "IS", "FOR", "EPOCH", "ON FAILURE", "CONFIGURATION", "MAIL DATA"]);
    for m in &s.group.members {
        let st = &m.status;
        let (role, tone) = match (m.fresh, st.effective) {
            (false, _) => (format!("unknown, said {} {}", st.effective.as_str(), ago(Some(m.at), s.now)), Tone::Dim),
            (true, Effective::Failed | Effective::HoldOff) => (st.effective.as_str().to_owned(), Tone::Bad),
            (true, _) if st.is_as_configured() => (st.effective.as_str().to_owned(), Tone::Good),
            (true, role) => (format!("{} (differs)", role.as_str()), Tone::Warn),
        };
        let since = if m.fresh { human(s.now.since(st.since)) } else { "-".to_owned() };
        let (config, config_tone) = match &st.sync_trouble {
            Some(why) => (why.to_string(), Tone::Bad),
            None => (ago(st.config_synced, s.now), Tone::Plain),
        };
        table.row([
            s.label(m).into(),
            st.configured.as_str().into(),
            cell(role, tone),
            since.into(),
            st.epoch.to_string().into(),
            st.on_failure.as_str().into(),
            cell(config, config_tone),
            ago(st.data_synced, s.now).into(),
        ]);
    }
    table.render(style)
}

fn heartbeats(s: &Seen<'_>, style: Style) -> String {
    let mut table = Table::new(&["HEARTBEAT", "LINK", "LAST HEARD", "AGAINST THRESHOLD", "STATE", "MISSED"]);
    for m in s.group.members.iter().filter(|m| m.fresh) {
        for h in &m.status.heartbeats {
            let to = h.peer.as_ref().map_or_else(|| h.address.to_string(), |id| s.cluster.label(id).to_owned());
            let age = h.heard.map(|at| s.now.since(at));
            let drawn = age.map_or_else(String::new, |age| {
                format!("{} {} of {}", gauge(age, m.status.threshold, CELLS), human(age), human(m.status.threshold))
            });
            let tone = match h.state {
                BeatState::Ok => Tone::Good,
                BeatState::Waiting => Tone::Dim,
                BeatState::Late => Tone::Warn,
                BeatState::Silent => Tone::Bad,
            };
            let unheard = if h.hears_us == Some(false) { ", is not heard there" } else { "" };
            table.row([
                format!("{} hears {to}", s.label(m)).into(),
                h.link.as_str().into(),
                ago(h.heard, s.now).into(),
                drawn.into(),
                cell(format!("{}{unheard}", h.state.as_str()), tone),
                h.missed.to_string().into(),
            ]);
        }
    }
    if table.is_empty() { String::new() } else { table.render(style) }
}

fn services(s: &Seen<'_>, style: Style) -> String {
    let mut table = Table::new(&["MONITOR", "OF", "STATE", "FAILURES", "NEXT CHECK", "LAST FAILURE"]);
    for m in s.group.members.iter().filter(|m| m.fresh) {
        for x in &m.status.monitors {
            let tone = match x.state {
                MonitorState::Idle => Tone::Dim,
                MonitorState::Ok => Tone::Good,
                MonitorState::Failing => Tone::Warn,
                MonitorState::Failed => Tone::Bad,
            };
            let next = x.next.map_or_else(|| "-".to_owned(), |at| format!("in {}", human(at.since(s.now))));
            table.row([
                x.kind.as_str().into(),
                s.label(m).into(),
                cell(x.state.as_str(), tone),
                format!("{} of {}", x.failures, x.retries).into(),
                next.into(),
                x.detail.as_str().into(),
            ]);
        }
    }
    if table.is_empty() { String::new() } else { table.render(style) }
}

fn addresses(s: &Seen<'_>, style: Style) -> String {
    let mut table = Table::new(&["ADDRESS", "HELD BY", "PORT", "ACTION", "LEASE"]);
    let blind = s.group.members.iter().any(|m| !m.fresh);
    for (address, who) in s.group.holders() {
        let has = |m: &&Member| who.contains(&&m.id) || who.is_empty();
        let of = s.group.members.iter().filter(has).find_map(|m| {
            let of = m.status.addresses.iter().find(|a| a.address == address && a.action != AddressAction::Ignore)?;
            Some((of, m.at))
        });
        let Some((of, told)) = of else { continue };
        let names: Vec<&str> = who.iter().map(|id| s.cluster.label(id)).collect();
        let holder = match names.as_slice() {
            [] if blind => cell("unknown", Tone::Dim),
            [] => cell("nobody", Tone::Bad),
            [one] => cell(*one, Tone::Good),
            _ => cell(format!("TWO: {}", names.join(" and ")), Tone::Bad),
        };
        let lease = of.lease_until.filter(|_| !who.is_empty());
        let left = lease.map_or_else(|| "-".to_owned(), |at| format!("{} left", human(at.since(told))));
        let port = if of.interface.is_empty() { "-" } else { of.interface.as_str() };
        table.row([
            format!("{address}/{}", of.prefix).into(),
            holder,
            port.into(),
            of.action.as_str().into(),
            left.into(),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render(style) }
}

/// Permit, witness, rehearsal, and what is unusual with a unit.
fn sentences(s: &Seen<'_>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for m in s.group.members.iter().filter(|m| m.fresh) {
        let (name, st) = (s.label(m), &m.status);
        if st.effective == Effective::Primary {
            let permit = match st.permit.until.filter(|until| *until > s.now) {
                Some(until) => format!("for {} more", human(until.since(s.now))),
                None => "for no longer".to_owned(),
            };
            lines.push(format!("{name} may hold the address {permit}; {}", witness(m, s.now)));
        }
        lines.extend(
            st.hold_off_until
                .filter(|at| *at > s.now)
                .map(|at| format!("{name} waits for an announced restart, {} more", human(at.since(s.now)))),
        );
        lines.extend(st.quiet_until.filter(|at| *at > s.now).map(|at| {
            let left = human(at.since(s.now));
            format!("{name} is in its quiet period after a takeover, {left} more (`accept {}` ends it)", s.group.name)
        }));
        lines.extend(st.distrust.iter().map(|why| format!("{name} distrusts itself: {why}")));
        let troubles = st.troubles.iter().chain(&st.hook_trouble);
        lines.extend(troubles.map(|why| format!("{name} has trouble: {why}")));
        if st.strangers + st.replays > 0 {
            lines.push(format!("{name} refused {} strange heartbeats and {} repeated ones", st.strangers, st.replays));
        }
    }
    if s.group.kind == GroupKind::ActivePassive {
        lines.extend(s.rehearsal());
    }
    if lines.is_empty() { String::new() } else { format!("\n{}\n", lines.join("\n")) }
}

fn witness(m: &Member, now: Time) -> String {
    let permit = &m.status.permit;
    match (permit.mode, permit.witness_heard) {
        (crate::domain::ha::WitnessMode::Off, _) => "no witness is asked".to_owned(),
        (mode, Some(at)) => {
            format!("witness {}, heard {} ago, {} of 3 votes", mode.as_str(), human(now.since(at)), permit.votes)
        }
        (mode, None) => format!("witness {}, never heard, {} of 3 votes", mode.as_str(), permit.votes),
    }
}

fn time_line(s: &Seen<'_>, style: Style) -> String {
    let all = s.changes();
    let skip = if style.verbose { 0 } else { all.len().saturating_sub(CHANGES) };
    let mut table = Table::new(&["WHEN", "UNIT", "ROLE", "EPOCH", "ROW", "WHY"]);
    for (m, c) in all.into_iter().skip(skip) {
        let row = if c.row > 0 { c.row.to_string() } else { "-".to_owned() };
        table.row([
            rfc3339(c.at).into(),
            s.label(m).into(),
            format!("{} → {}", c.from.as_str(), c.to.as_str()).into(),
            c.epoch.to_string().into(),
            row.into(),
            c.reason.as_str().into(),
        ]);
    }
    if table.is_empty() { String::new() } else { format!("\n{}", table.render(style)) }
}
