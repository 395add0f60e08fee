//! A group: what is loud, what it is, what would happen, and its units.

use super::{BESIDE, Detail, Part, Row, Scene, card, table};
use crate::app::ha::face::{self, banners, calm_line, rehearsals, roles_line};
use crate::domain::ha::GroupKind;
use crate::domain::ha::group::HaGroup;
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Lines of a sentence, at most.
const SENTENCE: usize = 3;

/// What stands above all groups, and is never scrolled away.
pub fn loud(pen: &Pen<'_>, scene: &Scene<'_>, groups: &[HaGroup]) -> Vec<Row> {
    let g = pen.glyphs();
    let columns = usize::from(scene.width).saturating_sub(4);
    let mut rows = Vec::new();
    let mut banners: Vec<face::Banner> =
        groups.iter().flat_map(|group| banners(scene.cluster, group, scene.now)).collect();
    banners.sort_by_key(|b| !b.loud);
    for banner in banners {
        let role = if banner.loud { Role::BadgeLoud } else { Role::Warn };
        for (n, line) in text::wrap(&banner.text, columns, SENTENCE, g.ellipsis).into_iter().enumerate() {
            let sign = if n == 0 { g.finding } else { " " };
            let mut row = Row::of(vec![piece(format!(" {sign} {line}"), role)], scene.width);
            row.ground = banner.loud.then_some(role);
            rows.push(row);
        }
    }
    rows
}

/// Adds the lines of `group`; `whole` is the same group without a filter: what is wrong is wrong with all of it.
pub fn rows(pen: &Pen<'_>, scene: &Scene<'_>, group: &HaGroup, whole: &HaGroup, detail: Detail, rows: &mut Vec<Row>) {
    let g = pen.glyphs();
    let width = scene.width;
    let columns = usize::from(width).saturating_sub(2);
    let banners = banners(scene.cluster, whole, scene.now);
    if detail == Detail::Line {
        let line = if banners.is_empty() {
            calm_line(scene.cluster, whole, scene.now)
        } else {
            (roles_line(scene.cluster, whole), false)
        };
        rows.push(one_line(pen, scene, group, line));
        return;
    }
    rows.push(head(scene, group, whole));
    if detail == Detail::Full || banners.is_empty() {
        for (sentence, would) in rehearsals(scene.cluster, whole, scene.now) {
            let role = if would { Role::Muted } else { Role::Warn };
            for line in text::wrap(&sentence, columns, if detail == Detail::Full { 2 } else { 1 }, g.ellipsis) {
                rows.push(Row::of(vec![piece(format!("  {line}"), role)], width));
            }
        }
    }
    match group.kind {
        GroupKind::ConfigOnly => table::rows(pen, scene, group, rows),
        GroupKind::ActivePassive => cards(pen, scene, group, detail, rows),
    }
}

/// The name of the group, its kind, its epoch.
fn head(scene: &Scene<'_>, group: &HaGroup, whole: &HaGroup) -> Row {
    let count = whole.members.len();
    let mut pieces = vec![
        piece(format!(" {}", group.name), Role::Accent),
        piece(format!("  {}", group.kind.as_str()), Role::Text),
        piece(format!("  epoch {}", whole.epoch()), Role::Muted),
    ];
    match (group.kind, count) {
        (GroupKind::ActivePassive, 1) => {
            let other = whole.members.first().and_then(|m| face::fellow(whole, m));
            let name = other.map_or("the other unit", |id| scene.cluster.label(id));
            pieces.push(piece(format!("  {name} has told nothing to this console"), Role::Unknown));
        }
        (GroupKind::ActivePassive, 3..) => {
            pieces.push(piece(format!("  {count} units say to be in it: a pair has two"), Role::Crit));
        }
        (GroupKind::ConfigOnly, _) => pieces.push(piece(format!("  {count} units, all serve"), Role::Muted)),
        (GroupKind::ActivePassive, _) => {}
    }
    Row::of(pieces, scene.width)
}

/// A whole group in one line: what is wrong stands above it already.
fn one_line(pen: &Pen<'_>, scene: &Scene<'_>, group: &HaGroup, (line, well): (String, bool)) -> Row {
    let selected = group.members.iter().find(|m| Some(&m.id) == scene.app.unit());
    let (sign, role) = if well { (pen.glyphs().connected, Role::Ok) } else { (pen.glyphs().finding, Role::Warn) };
    let pointer = if selected.is_some() { pen.glyphs().pointer } else { " " };
    let pieces = vec![piece(format!("{pointer}{sign} "), role), piece(line, Role::Text)];
    let mut row = Row::of(pieces, scene.width);
    if let Some(part) = row.parts.first_mut() {
        part.unit = selected.or(group.members.first()).map(|m| m.id.clone());
        part.selected = selected.is_some();
    }
    row
}

/// The units of a pair, side by side where there is room.
fn cards(pen: &Pen<'_>, scene: &Scene<'_>, group: &HaGroup, detail: Detail, rows: &mut Vec<Row>) {
    let beside = scene.width >= BESIDE && group.members.len() == 2;
    let width = if beside { scene.width / 2 } else { scene.width };
    let mut cards: Vec<Vec<Part>> = Vec::new();
    for (n, member) in group.members.iter().enumerate() {
        let x = if beside && n == 1 { width + 1 } else { 0 };
        let width = if beside && n == 1 { scene.width.saturating_sub(x) } else { width };
        let selected = Some(&member.id) == scene.app.unit();
        let lines: Vec<Vec<Piece>> = card::lines(pen, scene, group, member, width, detail);
        let part = |(n, pieces): (usize, Vec<Piece>)| Part {
            x,
            width,
            pieces,
            unit: Some(member.id.clone()),
            selected: selected && n == 0,
        };
        cards.push(lines.into_iter().enumerate().map(part).collect());
    }
    if beside {
        let mut columns: Vec<std::vec::IntoIter<Part>> = cards.into_iter().map(Vec::into_iter).collect();
        loop {
            let parts: Vec<Part> = columns.iter_mut().filter_map(Iterator::next).collect();
            if parts.is_empty() {
                return;
            }
            rows.push(Row { parts, ground: None });
        }
    }
    rows.extend(cards.into_iter().flatten().map(|part| Row { parts: vec![part], ground: None }));
}
