//! The time line of role changes, all units together, the newest first.

use ratatui::layout::Rect;

use super::Scene;
use crate::app::ha::face::{Turn, named, turns};
use crate::domain::ha::group::HaGroup;
use crate::ui::list::{self, Column, Shape};
use crate::ui::pen::{Pen, Piece, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws the time line into what is left.
pub fn draw(pen: &mut Pen<'_>, area: Rect, scene: &Scene<'_>, groups: &[HaGroup]) {
    if area.height < 2 {
        return;
    }
    pen.rule(above(area, 1), "Role changes, newest first");
    let inner = below(area, 1);
    let turns = turns(groups);
    if turns.is_empty() {
        pen.put_cut(inner.x + 1, inner.y, inner.width.saturating_sub(2), "None is known.", Role::Muted);
        return;
    }
    let widest = |of: &dyn Fn(&Turn<'_>) -> usize| turns.iter().map(of).max().unwrap_or(0).clamp(4, 24);
    let unit = widest(&|t| text::width(scene.cluster.label(t.unit)));
    let group = widest(&|t| text::width(t.group.name.as_str()));
    let column =
        |title, width: usize, from_width| Column { title, width: u16::try_from(width).unwrap_or(24), from_width };
    let columns = [
        column("time", 13, 0),
        column("group", group + 2, if groups.len() > 1 { 60 } else { u16::MAX }),
        column("unit", unit + 2, 0),
        column("change", 26, 0),
        column("epoch", 6, 60),
        column("row", 4, 90),
        column("reason", 30, 50),
    ];
    // Titles only where there is room for several changes below them.
    let titled = inner.height > 4;
    let place = if titled { inner } else { Rect { y: inner.y - 1, height: inner.height + 1, ..inner } };
    let arrow = pen.glyphs().arrow;
    list::draw(pen, place, &Shape::new(&columns), turns.len(), |at| line(arrow, scene, &turns[at]));
    if !titled {
        pen.fill(above(area, 1), Role::Text);
        pen.rule(above(area, 1), "Role changes, newest first");
    }
}

/// The cells of a change.
fn line(arrow: &str, scene: &Scene<'_>, turn: &Turn<'_>) -> Vec<Piece> {
    let change = turn.change;
    let row = if change.row == 0 { String::new() } else { change.row.to_string() };
    vec![
        piece(scene.clock(change.at), Role::Muted),
        piece(turn.group.name.as_str(), Role::Text),
        piece(scene.cluster.label(turn.unit), Role::Text),
        piece(format!("{} {arrow} {}", change.from.as_str(), change.to.as_str()), super::card::role_of(change.to)),
        piece(change.epoch.to_string(), Role::Muted),
        piece(row, Role::Muted),
        piece(named(scene.cluster, change.reason.as_str()), Role::Text),
    ]
}
