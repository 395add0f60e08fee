//! While nothing is wrong: how many are there, and nothing else.

use ratatui::layout::Rect;

use super::big::{self, SIZES, Size};
use super::state_role;
use crate::app::calm_sentence;
use crate::app::wall::{Face, State, Wall};
use crate::domain::{Severity, Time};
use crate::ui::glyphs::Charset;
use crate::ui::pen::Pen;
use crate::ui::text;
use crate::ui::theme::Role;

/// A line of a column, in the middle.
struct Row {
    size: Size,
    text: String,
    role: Role,
}

/// Draws clusters side by side; their names where there are `several`.
pub fn draw(pen: &mut Pen<'_>, area: Rect, wall: &Wall, faces: &[Face<'_>], several: bool, now: Time) {
    let Some(each) = u16::try_from(faces.len()).ok().and_then(|n| area.width.checked_div(n)) else {
        pen.put_cut(area.x, area.y, area.width, "The fleet has no cluster to show.", Role::Unknown);
        return;
    };
    for (place, face) in (0..).zip(faces) {
        let x = area.x + place * each;
        let column = Rect { x, width: if faces.len() > 1 { each - 2 } else { each }, ..area };
        if place > 0 {
            pen.upright(Rect { x: x - 2, width: 1, ..area });
        }
        let rows = column_rows(pen, column, wall, face, several, now);
        stack(pen, column, rows);
    }
}

fn column_rows(pen: &Pen<'_>, area: Rect, wall: &Wall, face: &Face<'_>, several: bool, now: Time) -> Vec<Row> {
    let g = pen.glyphs();
    let charset = g.charset;
    let (width, height) = (area.width, area.height);
    let role = state_role(face.state);
    let mut rows = Vec::new();
    let mut row = |size: Size, text: String, role: Role| rows.push(Row { size, text, role });
    if several {
        let name = face.cluster.name.as_str();
        let size = big::largest(&[Size::Times(2), Size::Times(1), Size::Quarter], name, width, height / 5, charset);
        row(size, text::cut_middle(name, usize::from(width / size.columns()), g.ellipsis), Role::Accent);
        row(Size::Text, String::new(), Role::Text);
    }
    let (up, all) = face.peers;
    let count = format!("{up}/{all}");
    let size = big::largest(SIZES, &count, width, height / 2, charset);
    row(size, count, role);
    let smaller = smaller(size);
    let left = height.saturating_sub(size.lines() + 6);
    let peers = big::largest(smaller, "peers", width, left.min(height / 4), charset);
    row(peers, "peers".to_owned(), role);
    let (links_up, links) = face.links;
    let told = format!("{links_up}/{links} links");
    let fitting = big::largest(smaller, &told, width, left.saturating_sub(peers.lines()).min(4), charset);
    row(fitting, told, role);
    if height >= 12 {
        row(Size::Text, String::new(), Role::Text);
    }
    let sentence = match face.state {
        // What is missing has its reason below.
        State::Fine if !face.detached.is_empty() || !face.maintained.is_empty() => "All is well.".to_owned(),
        _ => calm_sentence(face.cluster, now).to_string(),
    };
    for line in text::wrap(&sentence, usize::from(width), 3, g.ellipsis) {
        row(Size::Text, line, Role::Muted);
    }
    for (text, role) in on_purpose(face, wall, pen, now) {
        row(Size::Text, text::cut(&text, usize::from(width), g.ellipsis), role);
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
    let is_notice = |f: &&crate::domain::Finding| {
        f.severity == Severity::Notice && f.kind != crate::domain::FindingKind::Maintenance
    };
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

/// Writes rows one below the other into the middle of `area`.
fn stack(pen: &mut Pen<'_>, area: Rect, rows: Vec<Row>) {
    let lines: u16 = rows.iter().map(|r| r.size.lines()).sum();
    let mut y = area.y + area.height.saturating_sub(lines) / 2;
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
