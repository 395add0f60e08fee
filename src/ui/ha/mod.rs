//! The HA view: a panel a group, what stands out above it, and the time line of role changes below (F14).
//!
//! Everything is laid out as lines first; what does not fit is told in fewer lines, and scrolled to the selected unit.

use ratatui::layout::Rect;

mod card;
mod detail;
mod gauge;
mod group;
mod line;
mod table;

use crate::app::App;
use crate::app::ha::face;
use crate::app::mouse::Hit;
use crate::domain::ha::group::HaGroup;
use crate::domain::{Cluster, PeerId, Time};
use crate::ui::pen::{Pen, Piece, above, below};
use crate::ui::text;
use crate::ui::theme::Role;

/// From this width on the two units of a pair stand side by side.
const BESIDE: u16 = 100;

/// With fewer lines each group is one.
const LEAST: usize = 5;

/// How much is told of a group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Detail {
    /// A line.
    Line,
    /// What matters most.
    Brief,
    /// All that the view has.
    Full,
}

/// Some pieces in one line, from a column on.
struct Part {
    x: u16,
    width: u16,
    pieces: Vec<Piece>,
    /// The unit that it is about.
    unit: Option<PeerId>,
    /// Whether it is the line that the cursor stands on.
    selected: bool,
}

/// One line of the screen.
#[derive(Default)]
struct Row {
    parts: Vec<Part>,
    /// The ground of the whole line.
    ground: Option<Role>,
}

impl Row {
    fn of(pieces: Vec<Piece>, width: u16) -> Self {
        Self { parts: vec![Part { x: 0, width, pieces, unit: None, selected: false }], ground: None }
    }
}

/// What drawing a group needs to know.
struct Scene<'a> {
    app: &'a App,
    cluster: &'a Cluster,
    /// The moment that is shown.
    now: Time,
    zone: jiff::tz::TimeZone,
    width: u16,
}

impl Scene<'_> {
    fn clock(&self, at: Time) -> String {
        text::clock(at, self.now, &self.zone)
    }
}

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let Some(cluster) = app.cluster() else { return };
    let moment = app.moment(now);
    let groups = app.ha_groups(now);
    if groups.is_empty() {
        nothing(pen, area, app, cluster);
        return;
    }
    let whole = app.ha_groups_whole(now);
    let zone = if app.is_utc() { jiff::tz::TimeZone::UTC } else { pen.look.zone.clone() };
    let scene = Scene { app, cluster, now: moment, zone, width: area.width };
    let mut units = groups.iter().flat_map(|g| g.members.iter().map(move |m| (g, m)));
    let selected = units.find(|(_, m)| Some(&m.id) == app.unit());
    if let Some((group, member)) = selected.filter(|_| app.is_zoomed()) {
        detail::draw(pen, area, &scene, group, member);
        return;
    }
    let loud = group::loud(pen, &scene, &whole);
    let most = usize::from(area.height / 2);
    put(pen, area, &loud[..loud.len().min(most)]);
    let area = below(area, u16::try_from(loud.len().min(most)).unwrap_or(0));
    // Some lines below are kept for the time line, or for all of the selected unit.
    let turns = face::turns(&groups).len();
    let lower = match selected {
        Some(_) if app.is_unit_open() => area.height / 2,
        Some(_) | None => u16::try_from(turns + 1).unwrap_or(u16::MAX).min((area.height / 5).max(3)),
    };
    let lower = if area.height < 10 { 0 } else { lower };
    let room = usize::from(area.height - lower);
    let rows = fitting(pen, &scene, &groups, &whole, room);
    let used = u16::try_from(rows.len().min(room)).unwrap_or(area.height);
    put(pen, above(area, used), &rows);
    let rest = below(area, used);
    match selected {
        Some((group, member)) if app.is_unit_open() => detail::draw(pen, rest, &scene, group, member),
        Some(_) | None => line::draw(pen, rest, &scene, &groups),
    }
}

/// One calm sentence where there is no group.
fn nothing(pen: &mut Pen<'_>, area: Rect, app: &App, cluster: &Cluster) {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let (text, role) = match app.hidden_by_filter("unit") {
        Some(hidden) => (hidden, Role::Muted),
        None if !cluster.peers.iter().any(|p| p.is_reached()) => {
            ("No peer is on the line that could tell of its HA group.".to_owned(), Role::Unknown)
        }
        None => (
            "No peer of this cluster is in an HA group. To make a pair: write an [ha] block into peer.toml of two \
             peers (group, mode, password-file, one [[ha.interface]] with heartbeat-status), and start them again; \
             `peerdeck lab --ha` shows how it looks."
                .to_owned(),
            Role::Muted,
        ),
    };
    let lines = text::wrap(&text, usize::from(inner.width.min(90)), usize::from(inner.height), pen.glyphs().ellipsis);
    for (y, line) in (inner.y..inner.bottom()).zip(lines) {
        pen.put(inner.x, y, inner.width, &line, role);
    }
}

/// As much as fits into `room` lines: the group of the cursor keeps its lines longest.
fn fitting(pen: &Pen<'_>, scene: &Scene<'_>, groups: &[HaGroup], whole: &[HaGroup], room: usize) -> Vec<Row> {
    use Detail::{Brief, Full, Line};
    let mut rows = Vec::new();
    for (here, others) in [(Full, Full), (Full, Brief), (Full, Line), (Brief, Brief), (Brief, Line), (Line, Line)] {
        rows.clear();
        for group in groups {
            let is_here = scene.app.unit_group() == Some(&group.name);
            let all = whole.iter().find(|g| g.name == group.name).unwrap_or(group);
            if !rows.is_empty() && here == Full {
                rows.push(Row::default());
            }
            group::rows(pen, scene, group, all, if is_here { here } else { others }, &mut rows);
        }
        // The group of the cursor is scrolled rather than hidden; only where next to nothing fits all are lines.
        if rows.len() <= room || (others == Line && here == Brief && room >= LEAST) {
            break;
        }
    }
    rows
}

/// Writes the lines that `area` has room for: those around the cursor.
fn put(pen: &mut Pen<'_>, area: Rect, rows: &[Row]) {
    let room = usize::from(area.height);
    let at = rows.iter().position(|r| r.parts.iter().any(|p| p.selected)).unwrap_or(0);
    // What follows the line of the cursor belongs to it.
    let first = if rows.len() <= room { 0 } else { at.saturating_sub(room / 3).min(rows.len() - room) };
    for (y, row) in (area.y..area.bottom()).zip(rows.iter().skip(first)) {
        if let Some(ground) = row.ground {
            pen.fill(Rect { y, height: 1, ..area }, ground);
        }
        for part in &row.parts {
            let x = area.x + part.x.min(area.width);
            let place = Rect { x, y, width: part.width.min(area.right().saturating_sub(x)), height: 1 };
            if part.selected {
                pen.fill(place, Role::Selection);
            }
            pen.line(place, &part.pieces);
            if part.selected {
                pen.restyle(place, Role::Selection);
            }
            if let Some(unit) = &part.unit {
                pen.hit(place, || Hit::Unit(unit.clone()));
            }
        }
    }
    if rows.len() > room && room > 0 {
        let note = format!(" {}-{}/{} ", first + 1, first + room, rows.len());
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(area.right().saturating_sub(width), area.y, width, &note, Role::Badge);
    }
}
