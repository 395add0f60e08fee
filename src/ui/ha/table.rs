//! A config-only group: a line a unit. It has no failover, and nothing here speaks of one.

use super::gauge::{figures, gauge};
use super::{Part, Row, Scene, card};
use crate::app::ha::face::{links_heard, troubles};
use crate::domain::ha::group::{HaGroup, Member};
use crate::domain::time::human;
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Adds a line for each unit.
pub fn rows(pen: &Pen<'_>, scene: &Scene<'_>, group: &HaGroup, rows: &mut Vec<Row>) {
    let labels = group.members.iter().map(|m| text::width(scene.cluster.label(&m.id)));
    let widest = labels.max().unwrap_or(4).clamp(4, 30);
    for member in &group.members {
        let selected = Some(&member.id) == scene.app.unit();
        let pieces = line(pen, scene, member, widest);
        let part = Part { x: 0, width: scene.width, pieces, unit: Some(member.id.clone()), selected };
        rows.push(Row { parts: vec![part], ground: None });
    }
}

fn line(pen: &Pen<'_>, scene: &Scene<'_>, member: &Member, widest: usize) -> Vec<Piece> {
    let g = pen.glyphs();
    let (status, now) = (&member.status, scene.now);
    let pointer = if Some(&member.id) == scene.app.unit() { g.pointer } else { " " };
    let (sign, role) = card::sign(g, member);
    let name = text::pad(&text::cut_middle(scene.cluster.label(&member.id), widest, g.ellipsis), widest);
    let mut pieces = vec![piece(format!("{pointer}{sign} "), role), piece(format!("{name} "), Role::Accent)];
    if !member.fresh {
        let (age, was) = (human(now.since(member.at)), status.effective.as_str());
        pieces.push(piece(format!(" {} unknown, last word {age} ago (was {was})", g.hatch), Role::Unknown));
        return pieces;
    }
    let effective = text::pad(status.effective.as_str(), 16);
    if status.is_as_configured() {
        pieces.push(piece(format!(" {effective}"), card::role_of(status.effective)));
    } else {
        let configured = status.configured.as_str();
        pieces
            .push(piece(format!(" {configured} {} {} {} differs ", g.arrow, effective.trim(), g.differs), Role::Warn));
    }
    let (heard, all, longest) = links_heard(status, now);
    let role = if heard == all { Role::Text } else { Role::Warn };
    pieces.push(piece(format!(" hears {heard}/{all}  "), role));
    if let Some(silent) = longest.filter(|_| scene.width >= 70) {
        pieces.extend(gauge(g, status, silent, 8, true));
        pieces.push(piece(format!(" {}  ", text::pad(&figures(status, silent), 12)), Role::Muted));
    }
    if let Some(trouble) = troubles(status, now).first() {
        pieces.push(piece(format!("{} {trouble}", g.finding), Role::Warn));
    } else {
        let sync = status
            .config_synced
            .map_or_else(|| "not compared yet".to_owned(), |at| format!("in step {} ago", human(now.since(at))));
        pieces.push(piece(sync, Role::Muted));
        let since = format!("  since {}", scene.clock(status.since));
        pieces.push(piece(since, Role::Muted));
    }
    pieces
}
