//! A unit of a pair: role, heartbeats, monitors, addresses, permit, and what it is waiting for.

use super::gauge::{figures, gauge, silence, sparkline, word_of};
use super::{Detail, Scene};
use crate::app::ha::face::{self, Countdown, countdown, tenths, troubles};
use crate::domain::Time;
use crate::domain::ha::group::{HaGroup, Member};
use crate::domain::ha::status::{Address, Heartbeat, Monitor};
use crate::domain::ha::{AddressAction, Effective, HaStatus, MonitorState, WitnessMode};
use crate::domain::time::human;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Columns of the labels of a card.
const LABEL: usize = 11;

/// Intervals that are shown at most.
const SPARKS: usize = 24;

/// The lines of a unit in `width` columns.
pub fn lines(
    pen: &Pen<'_>,
    scene: &Scene<'_>,
    group: &HaGroup,
    member: &Member,
    width: u16,
    detail: Detail,
) -> Vec<Vec<Piece>> {
    let g = pen.glyphs();
    let (status, now) = (&member.status, scene.now);
    let columns = usize::from(width).saturating_sub(LABEL + 3);
    let mut lines = vec![head(g, scene, member)];
    let mut card = Card { g, lines: &mut lines, columns, sure: member.fresh };
    card.wrapped("since", &since(scene, status), Role::Muted, if detail == Detail::Full { 2 } else { 1 });
    if !member.fresh {
        // What it held and heard then says nothing of now; all of it stands among the details.
        for address in &status.addresses {
            let was = if address.held { "was held" } else { "was not here" };
            card.add("address", vec![piece(format!("{} {was}", address_name(address)), Role::Stale)]);
        }
        return lines;
    }
    for beat in &status.heartbeats {
        let pieces = beat_pieces(g, member, beat, now, columns);
        card.add(beat.link.as_str(), pieces);
    }
    if let Some(countdown) = countdown(member, now) {
        card.add(g.finding, vec![countdown_piece(scene, group, member, &countdown)]);
    }
    card.add("services", monitors(g, &status.monitors, now, detail));
    if detail == Detail::Full {
        let role = if status.sync_trouble.is_some() { Role::Warn } else { Role::Text };
        card.wrapped("sync", &sync(status, now), role, 1);
    }
    for address in &status.addresses {
        // Leases and permits are renewed all the time: what is left of them counts from the unit's word.
        card.add("address", address_pieces(g, address, member.at));
    }
    if detail == Detail::Full {
        let (text, role) = permit(status, member.at, now);
        card.add("permit", vec![piece(text, role)]);
        card.wrapped("on failure", &policy(status, now), Role::Muted, 2);
    }
    let most = if detail == Detail::Full { 4 } else { 1 };
    for trouble in troubles(status, now).iter().take(most) {
        card.wrapped(g.finding, &face::named(scene.cluster, trouble), Role::Warn, 2);
    }
    lines
}

/// A card that is being written.
struct Card<'a> {
    g: &'a Glyphs,
    lines: &'a mut Vec<Vec<Piece>>,
    columns: usize,
    /// Whether its word is young: what is old is hatched and dim.
    sure: bool,
}

impl Card<'_> {
    fn add(&mut self, label: &str, pieces: Vec<Piece>) {
        let hatch = if self.sure { " " } else { self.g.hatch };
        let mut line = vec![piece(format!("  {hatch}{}", text::pad(label, LABEL)), Role::Muted)];
        let dim = |p: Piece| if self.sure { p } else { piece(p.text, Role::Stale) };
        line.extend(pieces.into_iter().map(dim));
        self.lines.push(line);
    }

    fn wrapped(&mut self, label: &str, value: &str, role: Role, most: usize) {
        for (n, part) in text::wrap(value, self.columns, most, self.g.ellipsis).into_iter().enumerate() {
            self.add(if n == 0 { label } else { "" }, vec![piece(part, role)]);
        }
    }
}

/// The name, and configured and effective role; of an old word that it is old, and how old.
pub fn head(g: &Glyphs, scene: &Scene<'_>, member: &Member) -> Vec<Piece> {
    let status = &member.status;
    let selected = Some(&member.id) == scene.app.unit();
    let pointer = if selected { g.pointer } else { " " };
    let name = scene.cluster.label(&member.id);
    let (sign, role) = sign(g, member);
    let mut pieces = vec![
        piece(format!("{pointer}{sign} "), role),
        piece(format!("{} ", text::cut_middle(name, 30, g.ellipsis)), Role::Accent),
    ];
    if !member.fresh {
        let age = human(scene.now.since(member.at));
        let was = status.effective.as_str();
        pieces.push(piece(format!(" unknown, last word {age} ago (was {was})"), Role::Unknown));
        return pieces;
    }
    pieces.extend(roles(g, status));
    let epoch = format!("  epoch {}", status.epoch);
    pieces.push(piece(epoch, Role::Muted));
    if let Some(identity) = scene.cluster.peer(&member.id).and_then(|p| p.identity.as_ref()) {
        pieces.push(piece(format!("  {}", identity.version), Role::Muted));
    }
    pieces
}

/// Configured and effective role; where they differ, that is told by a sign and a word.
pub fn roles(g: &Glyphs, status: &HaStatus) -> Vec<Piece> {
    let (configured, effective) = (status.configured.as_str(), status.effective.as_str());
    let mut pieces = vec![
        piece(format!(" {configured} {} ", g.arrow), Role::Muted),
        piece(effective.to_owned(), role_of(status.effective)),
    ];
    if !status.is_as_configured() {
        pieces.push(piece(format!(" {} differs", g.differs), Role::Warn));
    }
    pieces
}

/// What a unit's sign is: never a good one on an old word.
pub fn sign(g: &Glyphs, member: &Member) -> (&'static str, Role) {
    if !member.fresh {
        return (g.unknown, Role::Unknown);
    }
    match member.status.effective {
        Effective::Primary | Effective::ConfigPrimary => (g.connected, Role::Ok),
        Effective::Secondary | Effective::ConfigSecondary => (g.connecting, Role::Ok),
        Effective::HoldOff => (g.connecting, Role::Warn),
        Effective::Failed | Effective::Off => (g.down, Role::Crit),
    }
}

/// The role in which an effective role is written.
pub fn role_of(effective: Effective) -> Role {
    match effective {
        Effective::Primary | Effective::ConfigPrimary => Role::Ok,
        Effective::Secondary | Effective::ConfigSecondary => Role::Text,
        Effective::HoldOff => Role::Warn,
        Effective::Failed | Effective::Off => Role::Crit,
    }
}

/// Since when, and why.
pub fn since(scene: &Scene<'_>, status: &HaStatus) -> String {
    let reason = face::named(scene.cluster, status.reason.as_str());
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    format!("{}, {}{reason}", scene.clock(status.since), text::age(scene.now.since(status.since)))
}

/// One heartbeat link: gauge, figures, sparkline, and whether the other hears us.
fn beat_pieces(g: &Glyphs, member: &Member, beat: &Heartbeat, now: Time, columns: usize) -> Vec<Piece> {
    let status = &member.status;
    // The silence of an old word stands still: how long it lasts by now, nobody knows.
    let at = if member.fresh { now } else { member.at };
    let Some(silent) = silence(beat, at) else {
        return vec![piece("waiting for the first beat", Role::Unknown)];
    };
    let cells = if columns >= 60 { 16 } else { 10 };
    let mut pieces = gauge(g, status, silent, cells, member.fresh);
    let role = if member.fresh { super::gauge::role_of(status, silent) } else { Role::Stale };
    let word = word_of(status, silent);
    let figures = figures(status, silent);
    let width = figures.len() + word.len() + 2;
    pieces.push(piece(format!(" {figures} {word}"), if role == Role::Ok { Role::Text } else { role }));
    let (hears, hears_role) = match beat.hears_us {
        Some(true) => ("hears us", Role::Muted),
        Some(false) => ("hears us not", Role::Warn),
        None => ("", Role::Muted),
    };
    let used = cells + 2 + width;
    let left = columns.saturating_sub(used + hears.len() + 2);
    if left >= 6 {
        let line = sparkline(g, status, beat, left.min(SPARKS));
        pieces.push(piece(format!(" {line}"), Role::Muted));
    }
    if used + hears.len() < columns {
        pieces.push(piece(format!(" {hears}"), hears_role));
    }
    pieces
}

fn countdown_piece(scene: &Scene<'_>, group: &HaGroup, member: &Member, countdown: &Countdown) -> Piece {
    let words = countdown.words("");
    let words = words.trim_start();
    match countdown.silent() {
        Some(silent) => {
            let other = face::fellow(group, member).map_or("the other", |id| scene.cluster.label(id));
            piece(format!("{words} ({other} silent for {})", tenths(silent)), Role::Crit)
        }
        None => piece(words.to_owned(), Role::Warn),
    }
}

/// Monitors in one line: sign, name, failures out of retries, when the next check is.
fn monitors(g: &Glyphs, monitors: &[Monitor], now: Time, detail: Detail) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut idle = Vec::new();
    for m in monitors {
        let name = short(m);
        let (sign, role) = monitor_sign(g, m.state);
        if m.state == MonitorState::Idle {
            idle.push(name);
            continue;
        }
        let word = match m.state {
            MonitorState::Failing => " failing",
            MonitorState::Failed => " FAILED",
            MonitorState::Ok | MonitorState::Idle => "",
        };
        let next = m.next.filter(|at| *at > now).map(|at| format!(" in {}", text::short_span(at.since(now))));
        pieces.push(piece(format!("{sign} {name}{word} {}/{}", m.failures, m.retries), role));
        pieces.push(piece(format!("{}  ", next.unwrap_or_default()), Role::Muted));
    }
    if !idle.is_empty() && (detail == Detail::Full || pieces.is_empty()) {
        pieces.push(piece(format!("{} idle in this role: {}", g.own, idle.join(", ")), Role::Muted));
    }
    if pieces.is_empty() {
        pieces.push(piece("none is watched", Role::Muted));
    }
    pieces
}

/// The sign of a monitor.
pub fn monitor_sign(g: &Glyphs, state: MonitorState) -> (&'static str, Role) {
    match state {
        MonitorState::Idle => (g.own, Role::Muted),
        MonitorState::Ok => (g.connected, Role::Ok),
        MonitorState::Failing => (g.differs, Role::Warn),
        MonitorState::Failed => (g.down, Role::Crit),
    }
}

fn short(monitor: &Monitor) -> &'static str {
    let name = monitor.kind.as_str();
    name.split_once('-').map_or(name, |(_, rest)| rest)
}

/// How old configuration and data are.
pub fn sync(status: &HaStatus, now: Time) -> String {
    let config = match status.config_synced {
        Some(at) => format!("config in step {} ago", human(now.since(at))),
        None => "config not compared yet".to_owned(),
    };
    let data = match status.data_synced {
        Some(at) => format!("data {} ago", human(now.since(at))),
        None => "data off".to_owned(),
    };
    format!("{config}, {data}")
}

/// An address: whether it is held, and how long the kernel keeps it without renewal.
pub fn address_pieces(g: &Glyphs, address: &Address, now: Time) -> Vec<Piece> {
    let name = address_name(address);
    let (sign, word, role) = match (address.held, address.action) {
        (true, _) => {
            let lease = address.lease_until.map_or_else(String::new, |until| match until.since(now) {
                left if left.is_zero() => ", lease over".to_owned(),
                left => format!(", lease {} s", super::gauge::seconds(left)),
            });
            (g.connected, format!("held{lease}"), Role::Ok)
        }
        (false, AddressAction::Ignore) => (g.own, "left alone".to_owned(), Role::Muted),
        (false, AddressAction::Set | AddressAction::Add) => (g.own, "not here".to_owned(), Role::Muted),
    };
    vec![piece(format!("{sign} "), role), piece(format!("{name} "), Role::Text), piece(word, role)]
}

fn address_name(address: &Address) -> String {
    let name = format!("{}/{}", address.address, address.prefix);
    if address.interface.is_empty() { name } else { format!("{name} {}", address.interface) }
}

/// By what it may hold addresses.
pub fn permit(status: &HaStatus, told: Time, now: Time) -> (String, Role) {
    let permit = &status.permit;
    let left = match permit.until {
        Some(until) if until > told => format!("{} s left", super::gauge::seconds(until.since(told))),
        Some(until) => format!("over since {}", human(now.since(until))),
        None => "none".to_owned(),
    };
    let heard = || match permit.witness_heard {
        Some(at) => format!("witness heard {} ago", human(now.since(at))),
        None => "witness never heard".to_owned(),
    };
    let mut role = Role::Text;
    let text = match permit.mode {
        WitnessMode::Off => format!("{left}; no witness, a cut may split"),
        WitnessMode::Advise => format!("{left}; may be vetoed, {}", heard()),
        WitnessMode::Require => format!("{left}; {}/3 votes, {}", permit.votes, heard()),
    };
    if permit.mode != WitnessMode::Off && permit.witness_heard.is_none_or(|at| now.since(at) > status.threshold) {
        role = Role::Warn;
    }
    (text, role)
}

/// What a failed primary does, and what holds things back for now.
pub fn policy(status: &HaStatus, now: Time) -> String {
    let mut parts = vec![status.on_failure.as_str().to_owned()];
    if let Some(until) = status.hold_off_until.filter(|until| *until > now) {
        parts.push(format!("hold-off for {}", human(until.since(now))));
    }
    if let Some(until) = status.quiet_until.filter(|until| *until > now) {
        parts.push(format!("quiet for {} (a t accepts the takeover)", human(until.since(now))));
    }
    parts.join(", ")
}
