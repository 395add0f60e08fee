//! The grid of a large mesh: a column a peer, up to two rows a line, equal rows folded, health bars at the margins.

use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::grid::{Context, is_fading};
use super::health::{BAR, Health, Share};
use crate::app::fold::{Alike, Fold, fold, unfolded};
use crate::domain::{Cluster, LinkState, Peer, Time};
use crate::ui::glyphs::{ASCII, cell_role};
use crate::ui::pen::{Look, Pen};
use crate::ui::text;
use crate::ui::theme::Role;

/// Names and folds are cut to this.
const NAME_MAX: usize = 28;
/// Names of groups stand beside the rows from this width on.
const GROUPS_FROM: u16 = 100;
/// And are cut to this.
const GROUP_MAX: usize = 10;
/// Columns carry a number at each so many.
const NUMBERED: usize = 10;
/// Lines above the rows: groups, numbers, health.
const HEADS: u16 = 3;

/// A line of the grid: places among the rows.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Line {
    One(usize),
    Two(usize, usize),
    Many(std::ops::Range<usize>, Alike),
}

impl Line {
    fn first(&self) -> usize {
        match self {
            Self::One(row) | Self::Two(row, _) => *row,
            Self::Many(rows, _) => rows.start,
        }
    }

    fn last(&self) -> usize {
        match self {
            Self::One(row) | Self::Two(_, row) => *row,
            Self::Many(rows, _) => rows.end.saturating_sub(1),
        }
    }

    fn has(&self, row: usize) -> bool {
        (self.first()..=self.last()).contains(&row)
    }
}

/// What stands where.
pub struct Plan {
    lines: Vec<Line>,
    health: Health,
    group: u16,
    index: u16,
    name: u16,
    /// Where each column begins, counted from the first one.
    starts: Vec<u16>,
}

impl Plan {
    /// The layout of all rows and columns; two rows are one line where not all fit into `height` lines otherwise.
    pub fn new(cx: &Context<'_>, look: &Look, width: u16, height: u16) -> Self {
        let border = |a: usize, b: usize| cx.is_border(cx.grid.rows[a], cx.grid.rows[b]);
        let cursor = cx.app.cursor().row();
        let folds = if cx.app.is_folded(cx.grid) {
            fold(cx.cluster, cx.grid, cursor, border, cx.now)
        } else {
            unfolded(cx.grid)
        };
        let halves = folds.len() > usize::from(height.saturating_sub(HEADS)) && shows_halves(look);
        let lines = lines(folds, halves, border);
        let narrow = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let names = lines.iter().map(|line| text::width(&name(cx, line, look.glyphs.ellipsis))).max().unwrap_or(0);
        let groups = cx.cluster.groups.iter().map(|g| text::width(g.as_str())).max().unwrap_or(0);
        let group = if cx.grouped && width >= GROUPS_FROM { groups.min(GROUP_MAX) + 1 } else { 0 };
        let mut starts = Vec::with_capacity(cx.grid.cols.len());
        let mut x = 0_u16;
        for (at, j) in cx.grid.cols.iter().enumerate() {
            x = x.saturating_add(u16::from(at > 0 && cx.is_border(cx.grid.cols[at - 1], *j)));
            starts.push(x);
            x = x.saturating_add(1);
        }
        Self {
            lines,
            health: Health::new(cx.cluster, cx.grid, cx.now),
            group: narrow(group),
            index: narrow(cx.cluster.peers.len().to_string().len()),
            name: narrow(names.min(if width >= GROUPS_FROM { NAME_MAX } else { NAME_MAX - 8 })),
            starts,
        }
    }

    /// Lines that it takes of `available`.
    pub fn height(&self, available: u16) -> u16 {
        u16::try_from(self.lines.len()).unwrap_or(u16::MAX).saturating_add(HEADS).min(available)
    }

    /// Columns that it takes.
    pub fn width(&self) -> u16 {
        self.left().saturating_add(self.starts.last().map_or(0, |x| x + 1))
    }

    fn left(&self) -> u16 {
        // Index, name, mark and bar, with a column between them.
        1 + self.group + self.index + 1 + self.name + 1 + 1 + BAR + 1
    }

    /// The columns that fit into `room`, the cursor's among them, and where.
    fn visible(&self, cursor: usize, room: u16) -> Vec<(usize, u16)> {
        let total = self.starts.last().map_or(0, |x| x + 1);
        let at = self.starts.get(cursor).copied().unwrap_or(0);
        let origin = if total <= room { 0 } else { at.saturating_sub(room / 2).min(total - room) };
        let shown = self.starts.iter().enumerate().filter(|(_, x)| **x >= origin && **x - origin < room);
        shown.map(|(c, x)| (c, x - origin)).collect()
    }
}

/// Whether halves of a sign can be told apart: they are no letters, and only colours say what kind of trouble it is.
pub(in crate::ui) fn shows_halves(look: &Look) -> bool {
    look.glyphs != ASCII && look.theme.get(Role::Crit).fg != look.theme.get(Role::Unknown).fg
}

/// Rows by twos, never over a border.
fn lines(folds: Vec<Fold>, halves: bool, is_border: impl Fn(usize, usize) -> bool) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::with_capacity(folds.len());
    for fold in folds {
        match (fold, lines.last_mut()) {
            (Fold::Row(row), Some(Line::One(above))) if halves && !is_border(*above, row) => {
                let above = *above;
                lines.pop();
                lines.push(Line::Two(above, row));
            }
            (Fold::Row(row), _) => lines.push(Line::One(row)),
            (Fold::Many(rows, alike), _) => lines.push(Line::Many(rows, alike)),
        }
    }
    lines
}

/// Draws what is visible.
pub fn draw(pen: &mut Pen<'_>, area: Rect, cx: &Context<'_>, plan: &Plan) {
    let room = area.width.saturating_sub(plan.left());
    if room == 0 || area.height <= HEADS {
        return;
    }
    let x = area.x + plan.left();
    let cols: Vec<(usize, u16)> =
        plan.visible(cx.app.cursor().col(), room).into_iter().map(|(c, at)| (c, x + at)).collect();
    let body = Rect { y: area.y + HEADS, height: area.height - HEADS, ..area };
    let cursor = cx.app.cursor().row();
    let at = plan.lines.iter().position(|line| line.has(cursor)).unwrap_or(0);
    let first = crate::ui::list::first_shown(plan.lines.len(), at, usize::from(body.height));
    let shown = &plan.lines[first..plan.lines.len().min(first + usize::from(body.height))];
    heads(pen, area, cx, plan, &cols, shown);
    let mut above: Option<usize> = None;
    for (line, y) in shown.iter().zip(body.y..) {
        let begins = above.is_none_or(|a| cx.is_border(cx.grid.rows[a], cx.grid.rows[line.first()]));
        above = Some(line.last());
        margin(pen, Rect { y, height: 1, ..area }, cx, plan, line, begins);
        for (c, x) in &cols {
            cell(pen, *x, y, cx, line, cx.grid.cols[*c]);
            if line.has(cursor) && *c == cx.app.cursor().col() {
                pen.restyle(Rect { x: *x, y, width: 1, height: 1 }, Role::Selection);
            }
        }
    }
}

fn heads(pen: &mut Pen<'_>, area: Rect, cx: &Context<'_>, plan: &Plan, cols: &[(usize, u16)], shown: &[Line]) {
    let g = pen.glyphs();
    let (groups, numbers, bars) = (area.y, area.y + 1, area.y + 2);
    let rows = cx.grid.rows.len();
    let corner = match (shown.first(), shown.last()) {
        (Some(a), Some(b)) if shown.len() < plan.lines.len() => format!("{}-{} of {rows}", a.first() + 1, b.last() + 1),
        _ => format!("{rows} rows"),
    };
    pen.put_cut(area.x + 1, numbers, plan.left() - 2, &corner, Role::Muted);
    pen.put(area.x + plan.left() - 1 - BAR, bars, BAR, "up", Role::Muted);
    let mut last: Option<usize> = None;
    let mut free = 0;
    for (c, x) in cols {
        let j = cx.grid.cols[*c];
        if cx.grouped && last.is_none_or(|before| cx.is_border(before, j)) {
            let name = cx.cluster.peers[j].group.as_ref().map_or("", |group| group.as_str());
            let next = cols.iter().find(|(d, _)| d > c && cx.is_border(j, cx.grid.cols[*d]));
            let end = next.map_or(area.right(), |(_, x)| x - 1);
            let space = end.saturating_sub(*x);
            pen.put_cut(*x, groups, space, name, Role::Muted);
        }
        last = Some(j);
        let number = (j + 1).to_string();
        if j.is_multiple_of(NUMBERED) && *x >= free && x + u16::try_from(number.len()).unwrap_or(0) <= area.right() {
            free = pen.put(*x, numbers, area.right() - x, &number, Role::Muted) + 1;
        }
        let share = plan.health.to[j];
        let role = if *c == cx.app.cursor().col() { Role::Crosshair } else { share.role() };
        pen.put(*x, bars, 1, &share.column(g), role);
    }
    if let Some((c, x)) = cols.iter().find(|(c, _)| *c == cx.app.cursor().col()) {
        // Over the numbers of its neighbours.
        let j = cx.grid.cols[*c];
        let name = format!(" {} {} ", j + 1, cx.labels[j]);
        let wide = u16::try_from(text::width(&name)).unwrap_or(1).min(area.width);
        let from = (x.saturating_sub(1)).min(area.right() - wide).max(area.x + plan.left());
        pen.put(from, numbers, wide, &name, Role::Crosshair);
    }
    if cols.first().is_some_and(|(c, _)| *c > 0) {
        pen.put(area.x + plan.left() - 1, bars, 1, g.more[2], Role::Warn);
    }
    if cols.last().is_some_and(|(c, _)| c + 1 < cx.grid.cols.len()) {
        pen.put(area.right() - 1, groups, 1, g.more[3], Role::Warn);
    }
}

/// Group, number, name, mark and health of a line.
fn margin(pen: &mut Pen<'_>, area: Rect, cx: &Context<'_>, plan: &Plan, line: &Line, begins: bool) {
    let ellipsis = pen.glyphs().ellipsis;
    let mut x = area.x + 1;
    let peer = |row: usize| -> &Peer { &cx.cluster.peers[cx.grid.rows[row]] };
    if plan.group > 0 {
        if begins {
            let group = peer(line.first()).group.as_ref().map_or("", |g| g.as_str());
            let group = text::cut_middle(group, usize::from(plan.group - 1), ellipsis);
            pen.put(x, area.y, plan.group - 1, &group, Role::Muted);
        }
        x += plan.group;
    }
    let cursor = cx.app.cursor().row();
    let selected = line.has(cursor);
    let row = if selected { cursor } else { line.first() };
    let number = format!("{:>width$}", cx.grid.rows[row] + 1, width = usize::from(plan.index));
    pen.put(x, area.y, plan.index, &number, Role::Muted);
    let positions = || (line.first()..=line.last()).map(|r| cx.grid.rows[r]);
    if positions().any(|i| cx.app.marks().holds(&cx.cluster.peers[i].id)) {
        pen.put(x + plan.index, area.y, 1, pen.glyphs().mark, Role::Accent);
    }
    x += plan.index + 1;
    let role = match line {
        _ if positions().any(|i| cx.meant[i]) => Role::BadgeLoud,
        _ if selected => Role::Crosshair,
        Line::Many(_, Alike::Silent) => Role::Unknown,
        Line::Many(_, Alike::AllBut(but)) if but.is_empty() => Role::Ok,
        Line::One(_) | Line::Two(..) | Line::Many(..) => Role::Text,
    };
    let name = text::cut_middle(&name(cx, line, ellipsis), usize::from(plan.name), ellipsis);
    pen.put(x, area.y, plan.name, &name, role);
    x += plan.name;
    let marks = match line {
        Line::Two(a, b) => vec![*a, *b],
        Line::One(a) => vec![*a],
        Line::Many(..) => Vec::new(),
    };
    if let Some((mark, role)) = marks.into_iter().map(|r| cx.row_mark(pen, peer(r))).find(|(mark, _)| *mark != " ") {
        pen.put(x, area.y, 1, mark, role);
    }
    let share =
        (line.first()..=line.last()).map(|r| plan.health.from[cx.grid.rows[r]]).fold(Share::default(), Share::and);
    pen.put(x + 2, area.y, BAR, &share.bar(pen.glyphs()), share.role());
}

/// What a line is called: a peer, two of them, or many and what is common to them.
fn name(cx: &Context<'_>, line: &Line, ellipsis: &str) -> String {
    let label = |row: usize| cx.labels[cx.grid.rows[row]];
    match line {
        Line::One(row) => label(*row).to_owned(),
        // The one under the cursor alone, so that it is told from the other.
        Line::Two(a, b) if [*a, *b].contains(&cx.app.cursor().row()) => label(cx.app.cursor().row()).to_owned(),
        Line::Two(a, b) => {
            let (a, b) = (label(*a), label(*b));
            let digits = |s: &str| s.len() - s.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let stem = &b[..b.len() - digits(b)];
            let short = if !stem.is_empty() && a.starts_with(stem) { &b[stem.len()..] } else { b };
            format!("{a}/{short}")
        }
        Line::Many(rows, alike) => {
            let (a, b) = (label(rows.start), label(rows.end - 1));
            let cut = |name: &str| text::cut_middle(name, 10, ellipsis);
            let what = match alike {
                Alike::Silent => "silent".to_owned(),
                Alike::AllBut(but) => match &but[..] {
                    [] => "all ok".to_owned(),
                    [(j, _)] => format!("but {}", cx.labels[*j]),
                    [(j, _), (k, _)] => format!("but {}, {}", cx.labels[*j], cx.labels[*k]),
                    many => format!("but {}", many.len()),
                },
            };
            format!("[{}-{}] {what}", cut(a), cut(b))
        }
    }
}

/// What a row says of a column, as one half of a sign shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) enum Half {
    /// A peer and itself.
    Own,
    /// Connected; its role fades with its age.
    Up(Role),
    /// Anything else.
    Trouble(Role),
}

/// What the peer at place `i` says of the one at `j`.
pub(in crate::ui) fn half(cluster: &Cluster, i: usize, j: usize, now: Time) -> Half {
    if i == j {
        return Half::Own;
    }
    let seen = cluster.cell(i, j, now);
    match seen.state {
        LinkState::Connected if is_fading(&seen, cluster.limits.stale) => Half::Up(Role::Stale),
        LinkState::Connected => Half::Up(Role::Ok),
        LinkState::Connecting | LinkState::Down | LinkState::Detached | LinkState::Unknown => {
            Half::Trouble(cell_role(&seen))
        }
    }
}

fn cell(pen: &mut Pen<'_>, x: u16, y: u16, cx: &Context<'_>, line: &Line, j: usize) {
    let g = pen.glyphs();
    match line {
        Line::One(row) | Line::Many(std::ops::Range { start: row, .. }, _) => {
            let i = cx.grid.rows[*row];
            if i == j && *line == Line::One(*row) {
                pen.put(x, y, 1, g.own, Role::Muted);
                return;
            }
            // Of equal rows the first stands for all; where it is itself observed, the next.
            let i = if i == j { cx.grid.rows[row + 1] } else { i };
            let seen = cx.cluster.cell(i, j, cx.now);
            let fades = is_fading(&seen, cx.cluster.limits.stale);
            let role = if fades { Role::Stale } else { cell_role(&seen) };
            // What is well and many stays in the background.
            let sign = if seen.state == LinkState::Connected && matches!(line, Line::Many(..)) {
                g.own
            } else {
                g.cell(&seen)
            };
            pen.put(x, y, 1, sign, role);
        }
        Line::Two(upper, lower) => {
            let says = |row: usize| half(cx.cluster, cx.grid.rows[row], j, cx.now);
            let (sign, style) = halves(pen, says(*upper), says(*lower));
            pen.put_styled(x, y, 1, sign, style);
        }
    }
}

/// The sign of two rows in one line.
pub(in crate::ui) fn halves(pen: &Pen<'_>, upper: Half, lower: Half) -> (&'static str, Style) {
    let (own, on) = (pen.glyphs().own, |role| pen.look.on(pen.base, role));
    match (upper, lower) {
        (Half::Trouble(a), Half::Trouble(b)) if a == b => ("█", on(a)),
        (Half::Trouble(a), Half::Trouble(b)) => ("▀", two(pen.look, a, b)),
        (Half::Trouble(a), Half::Own | Half::Up(_)) => ("▀", on(a)),
        (Half::Own | Half::Up(_), Half::Trouble(b)) => ("▄", on(b)),
        (Half::Own, _) | (_, Half::Own) => (own, on(Role::Muted)),
        (Half::Up(Role::Ok), Half::Up(Role::Ok)) => (own, on(Role::Ok)),
        (Half::Up(_), Half::Up(_)) => (own, on(Role::Stale)),
    }
}

/// The upper half in one role, the lower in another.
fn two(look: &Look, upper: Role, lower: Role) -> Style {
    let style = look.on(Role::Text, upper);
    style.bg(look.theme.get(lower).fg.unwrap_or(Color::Reset))
}
