//! While nothing is wrong: how many are there, and nothing else.

use ratatui::layout::Rect;

use super::big::{self, SIZES, Size};
use super::state_role;
use crate::app::calm_sentence;
use crate::app::wall::{Face, State, Wall};
use crate::domain::{Finding, FindingKind, Severity, Time};
use crate::ui::glyphs::Charset;
use crate::ui::pen::Pen;
use crate::ui::text;
use crate::ui::theme::Role;

/// HA groups that are told of, at most.
const HA_LINES: usize = 4;

/// A line of a column, in the middle.
struct Row {
    size: Size,
    text: String,
    role: Role,
}

/// How big the parts of all columns are, so that they stand side by side.
struct Sizes {
    name: Option<Size>,
    count: Size,
    peers: Size,
    links: Size,
}

/// Draws clusters side by side; their names where there are `several`.
pub fn draw(pen: &mut Pen<'_>, area: Rect, wall: &Wall, faces: &[Face<'_>], several: bool, now: Time) {
    let Some(each) = u16::try_from(faces.len()).ok().and_then(|n| area.width.checked_div(n)) else {
        pen.put_cut(area.x, area.y, area.width, "The fleet has no cluster to show.", Role::Unknown);
        return;
    };
    let width = if faces.len() > 1 { each - 2 } else { each };
    let sizes = sizes(faces, several, width, area.height, pen.glyphs().charset);
    let column = |place: u16| Rect { x: area.x + place * each, width, ..area };
    let rows: Vec<Vec<Row>> = faces.iter().map(|f| rows(pen, column(0), wall, f, &sizes, now)).collect();
    let tallest = rows.iter().map(|rows| rows.iter().map(|r| r.size.lines()).sum()).max().unwrap_or(0);
    let top = area.y + area.height.saturating_sub(tallest) / 2;
    for (place, rows) in (0..).zip(rows) {
        let column = column(place);
        if place > 0 {
            pen.upright(Rect { x: column.x - 2, width: 1, ..area });
        }
        stack(pen, Rect { y: top, height: area.bottom() - top, ..column }, rows);
    }
}

fn sizes(faces: &[Face<'_>], several: bool, width: u16, height: u16, charset: Charset) -> Sizes {
    let all = |sizes: &[Size], lines: u16, text: &dyn Fn(&Face<'_>) -> String| {
        let fits = |s: &&Size| {
            let fits = |text: String| s.width(&text) <= width && s.can(&text, charset);
            s.lines() <= lines && faces.iter().all(|f| fits(text(f)))
        };
        sizes.iter().find(fits).copied().unwrap_or(Size::Text)
    };
    let names = [Size::Times(2), Size::Times(1), Size::Quarter];
    let name = several.then(|| all(&names, height / 5, &|f| f.cluster.name.to_string()));
    let used = name.map_or(0, |size| size.lines() + 1);
    // On a low screen only the count is big.
    let half = if height < 12 { height.saturating_sub(used + 3) } else { height / 2 };
    let count = all(SIZES, half, &count);
    let left = height.saturating_sub(used + count.lines() + 6);
    let peers = all(smaller(count), left.min(height / 4), &|_| "peers".to_owned());
    let links = all(smaller(count), left.saturating_sub(peers.lines()).min(4), &links);
    Sizes { name, count, peers, links }
}

fn count(face: &Face<'_>) -> String {
    format!("{}/{}", face.peers.0, face.peers.1)
}

fn links(face: &Face<'_>) -> String {
    format!("{}/{} links", face.links.0, face.links.1)
}

fn rows(pen: &Pen<'_>, area: Rect, wall: &Wall, face: &Face<'_>, sizes: &Sizes, now: Time) -> Vec<Row> {
    let g = pen.glyphs();
    let width = usize::from(area.width);
    let role = state_role(face.state);
    let mut rows = Vec::new();
    let mut row = |size: Size, text: String, role: Role| rows.push(Row { size, text, role });
    if let Some(size) = sizes.name {
        let name = text::cut_middle(face.cluster.name.as_str(), width / usize::from(size.columns()), g.ellipsis);
        row(size, name, Role::Accent);
        row(Size::Text, String::new(), Role::Text);
    }
    row(sizes.count, count(face), role);
    row(sizes.peers, "peers".to_owned(), role);
    row(sizes.links, links(face), role);
    if area.height >= 12 {
        row(Size::Text, String::new(), Role::Text);
    }
    let sentence = match face.state {
        // What is missing has its reason below.
        State::Fine if !face.detached.is_empty() || !face.maintained.is_empty() => "All is well.".to_owned(),
        _ => calm_sentence(face.cluster, now).to_string(),
    };
    for line in text::wrap(&sentence, width, 3, g.ellipsis) {
        row(Size::Text, line, Role::Muted);
    }
    for (line, well) in face.ha.iter().take(HA_LINES) {
        row(Size::Text, text::cut(line, width, g.ellipsis), if *well { Role::Muted } else { Role::Warn });
    }
    for (text, role) in on_purpose(face, wall, pen, now) {
        row(Size::Text, text::cut(&text, width, g.ellipsis), role);
    }
    rows
}

/// What is as it is because somebody wants it so, and what is only good to know.
fn on_purpose(face: &Face<'_>, wall: &Wall, pen: &Pen<'_>, now: Time) -> Vec<(String, Role)> {
    let g = pen.glyphs();
    let mut lines = Vec::new();
    for (name, until) in &face.maintained {
        let until = super::clock(pen, wall, *until, now);
        lines.push((format!("{} {name} is in maintenance until {until}", g.maintenance), Role::Accent));
    }
    match face.detached.as_slice() {
        [] => {}
        [one] => lines.push((format!("{} {one} is detached on purpose", g.detached), Role::Detached)),
        several => {
            lines.push((format!("{} detached on purpose: {}", g.detached, several.join(", ")), Role::Detached));
        }
    }
    let is_notice = |f: &&Finding| f.severity == Severity::Notice && f.kind != FindingKind::Maintenance;
    lines.extend(face.cluster.findings.iter().filter(is_notice).map(|f| (format!("notice: {}", f.text), Role::Muted)));
    let most = 4;
    if lines.len() > most {
        let more = lines.len() - most;
        lines.truncate(most);
        lines.push((format!("+{more} more"), Role::Muted));
    }
    lines
}

/// The sizes below `size`.
fn smaller(size: Size) -> &'static [Size] {
    let place = SIZES.iter().position(|s| *s == size).unwrap_or(0);
    &SIZES[(place + 1).min(SIZES.len() - 1)..]
}

/// Writes rows one below the other, each in the middle of `area`.
fn stack(pen: &mut Pen<'_>, area: Rect, rows: Vec<Row>) {
    let mut y = area.y;
    for row in rows {
        if y + row.size.lines() > area.bottom() {
            return;
        }
        let width = row.size.width(&row.text).min(area.width);
        let x = area.x + (area.width - width) / 2;
        big::put(pen, x, y, width, row.size, &row.text, row.role);
        y += row.size.lines();
    }
}

/// The biggest size of all `names` alike.
pub fn common_size(names: &[&str], columns: u16, charset: Charset) -> Size {
    let fits = |s: &&Size| names.iter().all(|n| s.can(n, charset) && s.width(n) <= columns);
    [Size::Times(1), Size::Quarter].iter().find(fits).copied().unwrap_or(Size::Text)
}
