//! The grid: rows observe, columns are observed.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::layout::Rect;

use crate::app::dialog::Dialog;
use crate::app::grid::{Grid, Sort};
use crate::app::mouse::Hit;
use crate::app::{App, labels};
use crate::domain::snapshot::Cell;
use crate::domain::{Cluster, LinkState, Peer, ReachState, Time};
use crate::ui::glyphs::cell_role;
use crate::ui::pen::Pen;
use crate::ui::text;
use crate::ui::theme::Role;

/// Up to so many peers cells may hold numbers.
const NUMBERS_PEERS: usize = 8;
/// Beyond so many columns they carry an index instead of a name.
const NAMED_COLUMNS: usize = 20;
/// Names in the row headers are cut to this.
const NAME_MAX: usize = 20;
/// Names of groups are cut to this.
const GROUP_MAX: usize = 12;
/// Round trips fit into cells of this width.
const NUMBERS_CELL: u16 = 9;

/// What the grid is drawn from.
pub struct Context<'a> {
    pub(super) app: &'a App,
    pub(super) cluster: &'a Cluster,
    pub(super) grid: &'a Grid,
    pub(super) now: Time,
    pub(super) labels: Vec<&'a str>,
    /// Over others there is a way, per cell of the cluster; only for rows with a link that is down.
    relayed: Vec<Vec<bool>>,
    level: Option<u32>,
    pub(super) grouped: bool,
    /// Whom the open dialog is about, by position; and whether their links would change.
    pub(super) meant: Vec<bool>,
    cuts: bool,
}

/// How columns are headed and how wide cells are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Heads {
    Names,
    Index,
}

/// A layout of the grid.
#[derive(Clone, Debug)]
pub struct Plan {
    heads: Heads,
    cell: u16,
    gutter: u16,
    group: u16,
    name: u16,
    index: u16,
    /// Where each column begins, counted from the first one.
    starts: Vec<u16>,
    /// Empty lines between groups of rows.
    gaps: bool,
    rows: u16,
    /// Columns that the whole grid takes.
    pub width: u16,
}

impl Plan {
    fn head_lines(&self) -> u16 {
        match self.heads {
            Heads::Names => 2,
            Heads::Index if self.cell > self.index => 2,
            Heads::Index => 1 + self.index,
        }
    }

    /// Lines that it takes of `available`.
    #[must_use]
    pub fn height(&self, available: u16) -> u16 {
        (self.head_lines() + self.rows).min(available)
    }

    fn left(&self) -> u16 {
        1 + self.group + self.index + u16::from(self.index > 0) + self.name + 2
    }
}

impl<'a> Context<'a> {
    /// Prepares what is common to all layouts.
    pub fn new(app: &'a App, cluster: &'a Cluster, grid: &'a Grid, now: Time) -> Self {
        let now = app.moment(now);
        let grouped = app.sort() == Sort::Group && cluster.peers.iter().any(|p| p.group.is_some());
        Self {
            app,
            cluster,
            grid,
            now,
            labels: labels(cluster),
            // A sign that stands beside others needs a column of its own.
            relayed: if grid.is_large() { Vec::new() } else { relayed(cluster, grid, now) },
            level: common_level(cluster),
            grouped,
            meant: cluster.peers.iter().map(|p| app.dialog().is_some_and(|d| d.is_about(&p.id))).collect(),
            cuts: app.dialog().is_some_and(Dialog::changes_links),
        }
    }

    /// Whether the cell would change by what the open dialog asks about.
    fn would_change(&self, i: usize, j: usize) -> bool {
        self.cuts && i != j && (self.meant[i] || self.meant[j])
    }

    /// The widest layout that fits whole into `width` columns.
    #[must_use]
    pub fn plan(&self, width: u16, height: u16) -> Option<Plan> {
        self.candidates().into_iter().map(|(heads, cell)| self.layout(heads, cell, height)).find(|p| p.width <= width)
    }

    /// The widest layout that fits, or the one that shows most of it.
    #[must_use]
    pub fn scrolled(&self, width: u16, height: u16) -> Plan {
        self.plan(width, height).unwrap_or_else(|| {
            let named = self.grid.cols.len() <= NAMED_COLUMNS && self.told_apart(4);
            let (heads, cell) = if named { (Heads::Names, 5) } else { (Heads::Index, 2) };
            self.layout(heads, cell, height)
        })
    }

    fn candidates(&self) -> Vec<(Heads, u16)> {
        let widest = self.grid.cols.iter().map(|j| text::width(self.labels[*j])).max().unwrap_or(1);
        let named = u16::try_from(widest + 1).unwrap_or(u16::MAX);
        let mut widths = Vec::new();
        if self.cluster.peers.len() <= NUMBERS_PEERS {
            widths.push(named.clamp(NUMBERS_CELL, 12));
        }
        if self.grid.cols.len() <= NAMED_COLUMNS {
            widths.extend([10, 7, 5].into_iter().filter(|w| *w <= named.max(5)));
        }
        let mut all: Vec<(Heads, u16)> =
            widths.into_iter().filter(|w| self.told_apart(usize::from(w - 1))).map(|w| (Heads::Names, w)).collect();
        let index = u16::try_from(self.cluster.peers.len().to_string().len()).unwrap_or(3);
        all.extend([(Heads::Index, 5), (Heads::Index, index + 1), (Heads::Index, 2), (Heads::Index, 1)]);
        if self.grid.cols.len() > NUMBERS_PEERS {
            all.retain(|candidate| *candidate != (Heads::Index, 5));
        }
        all
    }

    /// Whether the names of the columns still differ when they are cut to `room`.
    fn told_apart(&self, room: usize) -> bool {
        let mut names: Vec<String> =
            self.grid.cols.iter().map(|j| text::cut_middle(self.labels[*j], room, "~")).collect();
        names.sort_unstable();
        names.windows(2).all(|pair| pair[0] != pair[1])
    }

    fn layout(&self, heads: Heads, cell: u16, height: u16) -> Plan {
        let narrow = u16::try_from;
        let widest = |of: &mut dyn Iterator<Item = usize>| of.max().unwrap_or(0);
        let name = widest(&mut self.grid.rows.iter().map(|i| text::width(self.labels[*i]))).min(NAME_MAX);
        let group = if self.grouped {
            let names = self.grid.rows.iter().filter_map(|i| self.cluster.peers[*i].group.as_ref());
            widest(&mut names.map(|g| text::width(g.as_str()))).min(GROUP_MAX) + 1
        } else {
            0
        };
        let index = match heads {
            Heads::Names => 0,
            Heads::Index => self.cluster.peers.len().to_string().len(),
        };
        let gutter = if cell >= 5 { 2 } else { 1 };
        let mut starts = Vec::with_capacity(self.grid.cols.len());
        let mut x = 0u16;
        for (at, j) in self.grid.cols.iter().enumerate() {
            if at > 0 && self.is_border(self.grid.cols[at - 1], *j) {
                x = x.saturating_add(gutter);
            }
            starts.push(x);
            x = x.saturating_add(cell);
        }
        let borders = self.grid.rows.windows(2).filter(|w| self.is_border(w[0], w[1])).count();
        let count = narrow(self.grid.rows.len()).unwrap_or(u16::MAX);
        let with_gaps = count.saturating_add(narrow(borders).unwrap_or(0));
        let mut plan = Plan {
            heads,
            cell,
            gutter,
            group: narrow(group).unwrap_or(0),
            name: narrow(name).unwrap_or(0),
            index: narrow(index).unwrap_or(0),
            starts,
            gaps: false,
            rows: count,
            width: 0,
        };
        plan.gaps = self.grid.rows.len() <= NAMED_COLUMNS && plan.head_lines() + with_gaps + 4 <= height;
        if plan.gaps {
            plan.rows = with_gaps;
        }
        plan.width = plan.left().saturating_add(x);
        plan
    }

    pub(super) fn is_border(&self, before: usize, after: usize) -> bool {
        self.grouped && self.cluster.peers[before].group != self.cluster.peers[after].group
    }

    /// The sign beside a row's name and what it says: the worst that is wrong with the observer.
    pub(super) fn row_mark(&self, pen: &Pen<'_>, peer: &Peer) -> (&'static str, Role) {
        let g = pen.glyphs();
        let level = peer.row.as_ref().map(|r| r.level).or(peer.identity.as_ref().map(|i| i.level));
        // It explains whatever else may be seen of the peer.
        if peer.maintenance(self.now).is_some() {
            return (g.maintenance, Role::Detached);
        }
        match peer.reach.state {
            ReachState::AskHostKey => ("?", Role::Warn),
            ReachState::Unreachable if peer.observed => (g.unreached, Role::Crit),
            ReachState::Connecting if peer.observed => (g.connecting, Role::Connecting),
            ReachState::Unreachable | ReachState::Connecting | ReachState::Connected => {
                if peer.detached().is_some() {
                    (g.detached, Role::Detached)
                } else if level.is_some() && level != self.level {
                    (g.level, Role::Warn)
                } else if peer.health.is_late() {
                    (g.hatch, Role::Warn)
                } else {
                    (" ", Role::Text)
                }
            }
        }
    }
}

/// The level that most peers speak.
fn common_level(cluster: &Cluster) -> Option<u32> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for row in cluster.peers.iter().filter_map(|p| p.row.as_ref()) {
        *counts.entry(row.level).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(level, count)| (*count, *level)).map(|(level, _)| level)
}

/// Whether a way over others exists where the link itself is down, from the fresh rows of all peers.
fn relayed(cluster: &Cluster, grid: &Grid, now: Time) -> Vec<Vec<bool>> {
    let n = cluster.peers.len();
    let state = |i: usize, j: usize| cluster.cell(i, j, now).state;
    let needs: Vec<bool> = (0..n)
        .map(|i| grid.rows.contains(&i) && grid.cols.iter().any(|j| *j != i && state(i, *j) == LinkState::Down))
        .collect();
    if !needs.contains(&true) {
        return Vec::new();
    }
    let next: Vec<Vec<usize>> =
        (0..n).map(|i| (0..n).filter(|j| i != *j && state(i, *j) == LinkState::Connected).collect()).collect();
    let reach = |from: usize| {
        let mut seen = vec![false; n];
        let mut todo = vec![from];
        seen[from] = true;
        while let Some(at) = todo.pop() {
            for to in &next[at] {
                if !std::mem::replace(&mut seen[*to], true) {
                    todo.push(*to);
                }
            }
        }
        seen
    };
    (0..n).map(|i| if needs[i] { reach(i) } else { Vec::new() }).collect()
}

/// Draws what is visible of the grid.
pub fn draw(pen: &mut Pen<'_>, area: Rect, cx: &Context<'_>, plan: &Plan) {
    let left = plan.left();
    let room = area.width.saturating_sub(left);
    if room == 0 || area.height <= plan.head_lines() {
        return;
    }
    let first_col = first_visible(plan, cx.app.cursor().col(), room);
    let origin = plan.starts.get(first_col).copied().unwrap_or(0);
    let cols: Vec<(usize, u16)> = (first_col..plan.starts.len())
        .map(|c| (c, plan.starts[c] - origin))
        .take_while(|(_, x)| x + plan.cell <= room)
        .map(|(c, x)| (c, area.x + left + x))
        .collect();
    let body = area.y + plan.head_lines();
    let lines = area.bottom().saturating_sub(body);
    let len = cx.grid.rows.len();
    let first_row =
        if plan.gaps { 0 } else { crate::ui::list::first_shown(len, cx.app.cursor().row(), usize::from(lines)) };
    heads(pen, area, cx, plan, &cols, first_row, usize::from(lines));
    let mut y = body;
    for row in first_row..len {
        let border = row > first_row && cx.is_border(cx.grid.rows[row - 1], cx.grid.rows[row]);
        if border && plan.gaps {
            gutters(pen, y, cx, plan, &cols);
            y += 1;
        }
        if y >= area.bottom() {
            break;
        }
        draw_row(pen, Rect { y, height: 1, ..area }, cx, plan, &cols, row, row == first_row || border);
        y += 1;
    }
}

fn first_visible(plan: &Plan, cursor: usize, room: u16) -> usize {
    let total = plan.starts.last().map_or(0, |x| x + plan.cell);
    if total <= room || plan.starts.is_empty() {
        return 0;
    }
    let at = plan.starts[cursor.min(plan.starts.len() - 1)];
    let centred = plan.starts.iter().position(|s| at - (*s).min(at) <= room.saturating_sub(plan.cell) / 2).unwrap_or(0);
    let last_needed = plan.starts.iter().position(|s| total - s <= room).unwrap_or(plan.starts.len() - 1);
    centred.min(last_needed)
}

fn heads(
    pen: &mut Pen<'_>,
    area: Rect,
    cx: &Context<'_>,
    plan: &Plan,
    cols: &[(usize, u16)],
    first_row: usize,
    lines: usize,
) {
    let below = area.y + plan.head_lines() - 1;
    pen.hit(Rect { height: plan.head_lines(), ..area }, || Hit::Titles);
    let g = pen.glyphs();
    pen.put(area.x + plan.left().saturating_sub(5), area.y, 4, " to ", Role::Muted);
    let len = cx.grid.rows.len();
    let corner = if !plan.gaps && len > lines {
        format!("{}-{} of {len}", first_row + 1, (first_row + lines).min(len))
    } else {
        "from".to_owned()
    };
    pen.put_cut(area.x + 1, below, plan.left() - 2, &corner, Role::Muted);
    let mut last: Option<usize> = None;
    for (c, x) in cols {
        let j = cx.grid.cols[*c];
        let border = last.is_some_and(|before| cx.is_border(before, j));
        if border && plan.cell >= 5 {
            for y in area.y..=below {
                pen.put(x - plan.gutter, y, 1, g.upright, Role::Border);
            }
        }
        if cx.grouped && (border || last.is_none()) {
            let name = cx.cluster.peers[j].group.as_ref().map_or("", |group| group.as_str());
            let end = cols
                .iter()
                .find(|(d, _)| *d > *c && cx.is_border(j, cx.grid.cols[*d]))
                .map_or(area.right(), |(_, x)| x - plan.gutter);
            let room = usize::from(end.saturating_sub(*x)).min(GROUP_MAX + 4);
            let name = text::cut_middle(name, room, g.ellipsis);
            pen.put(*x, area.y, u16::try_from(room).unwrap_or(0), &name, Role::Muted);
        }
        last = Some(j);
        let role = if *c == cx.app.cursor().col() { Role::Crosshair } else { Role::Text };
        let role = if cx.meant[j] { Role::BadgeLoud } else { role };
        let marked = cx.app.marks().holds(&cx.cluster.peers[j].id);
        match plan.heads {
            Heads::Names => {
                let room = usize::from(plan.cell - 1);
                let label = text::cut_middle(cx.labels[j], room, g.ellipsis);
                let shift = if plan.cell >= NUMBERS_CELL { 0 } else { (room - text::width(&label)) / 2 };
                let x = x + u16::try_from(shift).unwrap_or(0);
                pen.put(x, below, plan.cell - 1, &label, role);
                if marked {
                    pen.put(x.saturating_sub(1), below, 1, g.mark, Role::Accent);
                }
            }
            Heads::Index if plan.cell > plan.index => {
                let number = format!("{:>width$}", j + 1, width = usize::from(plan.index));
                pen.put(*x, below, plan.index, &number, role);
            }
            Heads::Index => {
                // A digit below the other.
                let number = format!("{:>width$}", j + 1, width = usize::from(plan.index));
                for (y, digit) in (area.y + 1..=below).zip(number.chars()) {
                    pen.put(*x, y, 1, digit.encode_utf8(&mut [0; 4]), role);
                }
            }
        }
    }
    let first = cols.first().map_or(0, |(c, _)| *c);
    let shown_to = cols.last().map_or(0, |(c, _)| *c + 1);
    if first > 0 {
        pen.put(area.x + plan.left() - 1, below, 1, g.more[2], Role::Warn);
    }
    if shown_to < cx.grid.cols.len() {
        pen.put(area.right() - 1, below, 1, g.more[3], Role::Warn);
    }
}

fn gutters(pen: &mut Pen<'_>, y: u16, cx: &Context<'_>, plan: &Plan, cols: &[(usize, u16)]) {
    if plan.cell < 5 {
        return;
    }
    for pair in cols.windows(2) {
        if cx.is_border(cx.grid.cols[pair[0].0], cx.grid.cols[pair[1].0]) {
            pen.put(pair[1].1 - plan.gutter, y, 1, pen.look.glyphs.upright, Role::Border);
        }
    }
}

fn draw_row(
    pen: &mut Pen<'_>,
    area: Rect,
    cx: &Context<'_>,
    plan: &Plan,
    cols: &[(usize, u16)],
    row: usize,
    names_group: bool,
) {
    let i = cx.grid.rows[row];
    let peer = &cx.cluster.peers[i];
    let ellipsis = pen.glyphs().ellipsis;
    let mut x = area.x + 1;
    if plan.group > 0 {
        if names_group {
            let name = peer.group.as_ref().map_or("", |g| g.as_str());
            let name = text::cut_middle(name, usize::from(plan.group - 1), ellipsis);
            pen.put(x, area.y, plan.group - 1, &name, Role::Muted);
        }
        x += plan.group;
    }
    let under_cursor = row == cx.app.cursor().row();
    let role = if under_cursor { Role::Crosshair } else { Role::Text };
    if plan.index > 0 {
        let number = format!("{:>width$}", i + 1, width = usize::from(plan.index));
        pen.put(x, area.y, plan.index, &number, Role::Muted);
        x += plan.index + 1;
    }
    let name = text::cut_middle(cx.labels[i], usize::from(plan.name), ellipsis);
    let role = if cx.meant[i] { Role::BadgeLoud } else { role };
    pen.put(x, area.y, plan.name, &name, role);
    if cx.app.marks().holds(&peer.id) {
        pen.put(x.saturating_sub(1), area.y, 1, pen.look.glyphs.mark, Role::Accent);
    }
    x += plan.name;
    pen.hit(Rect { x: area.x, width: x - area.x, ..area }, || Hit::Row(peer.id.clone()));
    let (mark, mark_role) = cx.row_mark(pen, peer);
    pen.put(x, area.y, 1, mark, mark_role);
    for (c, x) in cols {
        let j = cx.grid.cols[*c];
        let selected = under_cursor && *c == cx.app.cursor().col();
        draw_cell(pen, *x, area.y, cx, plan, (i, j), selected);
        pen.hit(Rect { x: *x, width: plan.cell, ..area }, || Hit::Cell {
            from: peer.id.clone(),
            to: cx.cluster.peers[j].id.clone(),
        });
    }
    gutters(pen, area.y, cx, plan, cols);
}

fn draw_cell(pen: &mut Pen<'_>, x: u16, y: u16, cx: &Context<'_>, plan: &Plan, at: (usize, usize), selected: bool) {
    let g = pen.glyphs();
    let wide = plan.cell.saturating_sub(1).max(1);
    let numbers = plan.cell >= NUMBERS_CELL && plan.heads == Heads::Names && cx.cluster.peers.len() <= NUMBERS_PEERS;
    // Where the sign stands: below the middle of the name, or first when numbers follow it.
    let shift = match plan.heads {
        Heads::Index if plan.cell > plan.index => plan.index - 1,
        Heads::Names if !numbers => (wide - 1) / 2,
        Heads::Index | Heads::Names => 0,
    };
    if at.0 == at.1 {
        pen.put(x + shift, y, 1, g.own, Role::Muted);
    } else {
        let cell = cx.cluster.cell(at.0, at.1, cx.now);
        if cell.hatched && plan.cell >= 2 {
            let wide = wide.max(2);
            pen.put(x, y, wide, &g.hatch.repeat(usize::from(wide)), Role::Stale);
        }
        let role = if is_fading(&cell, cx.cluster.limits.stale) { Role::Stale } else { cell_role(&cell) };
        let end = pen.put(x + shift, y, 1, g.cell(&cell), role);
        let relayed = cell.state == LinkState::Down && cx.relayed.get(at.0).and_then(|r| r.get(at.1)) == Some(&true);
        if relayed && plan.cell >= 2 {
            pen.put(end, y, 1, g.relayed, Role::Muted);
        }
        if numbers {
            let number = match (cell.state, cell.link) {
                (LinkState::Connected, Some(_)) => cell.rtt.map(text::short_rtt).unwrap_or_default(),
                (LinkState::Down | LinkState::Detached | LinkState::Connecting, Some(link)) => {
                    text::short_span(cx.now.since(link.since))
                }
                (LinkState::Unknown, Some(_)) => cell.age.map(text::short_span).unwrap_or_default(),
                (_, None) => String::new(),
            };
            let quiet = if cell.state == LinkState::Connected { Role::Muted } else { role };
            pen.put(x + 2, y, wide - 2, &number, quiet);
        }
    }
    if cx.would_change(at.0, at.1) {
        pen.restyle(Rect { x, y, width: wide, height: 1 }, Role::BadgeLoud);
    }
    if selected {
        let (from, width) = match () {
            () if numbers => (x, wide),
            () if plan.cell < 3 => (x, 1),
            () => (x + shift - u16::from(shift > 0), 3.min(wide)),
        };
        pen.restyle(Rect { x: from, y, width, height: 1 }, Role::Selection);
    }
}

/// Green only as long as it is young: from two thirds of the limit on it fades.
pub(super) fn is_fading(cell: &Cell<'_>, stale: Duration) -> bool {
    cell.state == LinkState::Connected && cell.age.is_some_and(|age| age * 3 > stale * 2)
}
