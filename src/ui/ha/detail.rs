//! All that a unit tells of itself.

use ratatui::layout::Rect;

use super::gauge::{figures, seconds, silence, sparkline, word_of};
use super::{Scene, card};
use crate::app::ha::face::{named, troubles};
use crate::domain::ha::GroupKind;
use crate::domain::ha::group::{HaGroup, Member};
use crate::domain::ha::status::Rehearsal;
use crate::domain::time::human;
use crate::ui::pen::{Pen, Piece, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Columns of the labels.
const LABEL: usize = 12;

/// Draws all of `member` into `area`; what does not fit is counted.
pub fn draw(pen: &mut Pen<'_>, area: Rect, scene: &Scene<'_>, group: &HaGroup, member: &Member) {
    if area.height == 0 {
        return;
    }
    let name = scene.cluster.label(&member.id);
    pen.rule(above(area, 1), &format!("{name} of {}", group.name));
    let inner = below(Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }, 1);
    let lines = lines(pen, scene, group, member, usize::from(inner.width));
    for (y, line) in (inner.y..inner.bottom()).zip(&lines) {
        pen.line(Rect { y, height: 1, ..inner }, line);
    }
    if lines.len() > usize::from(inner.height) && inner.height > 0 {
        let more = format!(" +{} lines; z shows all ", lines.len() - usize::from(inner.height));
        let width = u16::try_from(text::width(&more)).unwrap_or(0);
        pen.put(area.right().saturating_sub(width + 1), area.y, width, &more, Role::Warn);
    }
}

fn lines(pen: &Pen<'_>, scene: &Scene<'_>, group: &HaGroup, member: &Member, columns: usize) -> Vec<Vec<Piece>> {
    let g = pen.glyphs();
    let (status, now) = (&member.status, scene.now);
    let mut lines: Vec<Vec<Piece>> = vec![card::head(g, scene, member)];
    let room = columns.saturating_sub(LABEL + 2);
    let mut say = |label: &str, value: &str, role: Role| {
        let role = if member.fresh { role } else { Role::Stale };
        for (n, part) in text::wrap(value, room, 4, g.ellipsis).into_iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            lines.push(vec![piece(format!("  {}", text::pad(label, LABEL)), Role::Muted), piece(part, role)]);
        }
    };
    for trouble in troubles(status, now) {
        say("trouble", &named(scene.cluster, &trouble), Role::Warn);
    }
    say("since", &card::since(scene, status), Role::Text);
    let at = if member.fresh { now } else { member.at };
    for beat in &status.heartbeats {
        let whom = beat.peer.as_ref().map_or_else(String::new, |id| format!("{} at ", scene.cluster.label(id)));
        let silent = match silence(beat, at) {
            None => "nothing was heard since its start".to_owned(),
            Some(span) => format!("silent {} {}", figures(status, span), word_of(status, span)).trim().to_owned(),
        };
        let hears = match beat.hears_us {
            Some(true) => ", hears us",
            Some(false) => ", does not hear us",
            None => "",
        };
        let missed = if beat.missed == 0 { String::new() } else { format!(", {} missed", beat.missed) };
        let text = format!("{whom}{}: {silent}{hears}{missed}", beat.address);
        say(beat.link.as_str(), &text, Role::Text);
        if !beat.intervals.is_empty() {
            say("", &format!("intervals {}", sparkline(g, status, beat, room.saturating_sub(10))), Role::Muted);
        }
        if let Some(said) = beat.said {
            let holds = if said.holds { ", holds the address" } else { "" };
            let (configured, effective) = (said.configured.as_str(), said.effective.as_str());
            let text = format!("says: {configured} {} {effective}, epoch {}{holds}", g.arrow, said.epoch);
            say("", &text, Role::Muted);
        }
    }
    for m in &status.monitors {
        let (sign, role) = card::monitor_sign(g, m.state);
        let detail = if m.detail.is_empty() { String::new() } else { format!(": {}", m.detail) };
        let next = m.next.filter(|at| *at > now).map(|at| format!(", next in {}", human(at.since(now))));
        let text = format!(
            "{sign} {} {}, {} of {} failures{}{detail}",
            m.kind.as_str(),
            m.state.as_str(),
            m.failures,
            m.retries,
            next.unwrap_or_default()
        );
        say("monitor", &text, role);
    }
    say("sync", &card::sync(status, now), Role::Text);
    let (threshold, takeover) = (status.threshold, status.takeover_after);
    let acts = if takeover > threshold { format!(", acts after {} s", seconds(takeover)) } else { String::new() };
    let times = format!("a beat each {} s, silent after {} s{acts}", seconds(status.interval), seconds(threshold));
    say("times", &times, Role::Muted);
    if group.kind == GroupKind::ActivePassive {
        for address in &status.addresses {
            let pieces = card::address_pieces(g, address, member.at);
            let text: String = pieces.iter().map(|p| p.text.as_str()).collect();
            let role = pieces.last().map_or(Role::Text, |p| p.role);
            say("address", &format!("{text} ({})", address.action.as_str()), role);
        }
        let (text, role) = card::permit(status, member.at, now);
        say("permit", &format!("{}: {text}", status.permit.mode.as_str()), role);
        say("on failure", &card::policy(status, now), Role::Text);
        say("two at once", status.split_brain.as_str(), Role::Text);
        if let Some(sentence) = group.rehearsal(member, |id| scene.cluster.label(id).to_owned()) {
            let would = !matches!(status.rehearsal, Rehearsal::Refuses(_));
            say("rehearsal", &named(scene.cluster, &sentence), if would { Role::Text } else { Role::Warn });
        }
    }
    for change in status.changes.iter().rev() {
        let row = if change.row == 0 { String::new() } else { format!(" (row {})", change.row) };
        let (from, to) = (change.from.as_str(), change.to.as_str());
        let text = format!(
            "{}  {from} {} {to}, epoch {}{row}: {}",
            scene.clock(change.at),
            g.arrow,
            change.epoch,
            named(scene.cluster, change.reason.as_str())
        );
        say("change", &text, Role::Text);
    }
    lines
}
