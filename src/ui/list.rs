//! Tables of which only the visible lines are made.

use ratatui::layout::Rect;

use crate::app::mouse::Hit;
use crate::ui::pen::{Pen, Piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// How wide it is; the last one takes what is left.
    pub width: u16,
    /// Kept when the screen is narrower than this.
    pub from_width: u16,
}

/// The columns that `width` has room for, as places in `columns`.
#[must_use]
pub fn fitting(columns: &[Column], width: u16) -> Vec<usize> {
    let mut left = width.saturating_sub(2);
    let mut shown = Vec::new();
    for (i, column) in columns.iter().enumerate().filter(|(_, c)| c.from_width <= width) {
        if left < column.width.min(9) {
            break;
        }
        left = left.saturating_sub(column.width);
        shown.push(i);
    }
    shown
}

/// The first of `len` lines to show in `room` lines, so that `cursor` is visible and stands in the middle if it can.
#[must_use]
pub fn first_shown(len: usize, cursor: usize, room: usize) -> usize {
    cursor.saturating_sub(room / 2).min(len.saturating_sub(room))
}

/// Notes what a click on the titles and on each visible line hits; `of` says it of a line. Call it with the area,
/// length and cursor of [`draw`].
pub fn hits(pen: &mut Pen<'_>, area: Rect, len: usize, cursor: Option<usize>, of: impl Fn(usize) -> Hit) {
    if area.height == 0 {
        return;
    }
    pen.hit(Rect { height: 1, ..area }, || Hit::Titles);
    let first = first_shown(len, cursor.unwrap_or(0), usize::from(area.height - 1));
    for (y, at) in (area.y + 1..area.bottom()).zip(first..len) {
        pen.hit(Rect { y, height: 1, ..area }, || of(at));
    }
}

/// Draws titles and the visible ones of `len` lines; `line` gives the pieces of one, a piece a column of `columns`.
pub fn draw(
    pen: &mut Pen<'_>,
    area: Rect,
    columns: &[Column],
    len: usize,
    cursor: Option<usize>,
    line: impl Fn(usize) -> Vec<Piece>,
) {
    if area.height == 0 || area.width < 4 {
        return;
    }
    let shown = fitting(columns, area.width);
    let widths: Vec<u16> = shown.iter().map(|i| columns[*i].width).collect();
    let titles = shown.iter().map(|i| Piece { text: columns[*i].title.to_owned(), role: Role::Muted });
    put_line(pen, Rect { height: 1, ..area }, &widths, titles, "  ");
    let room = usize::from(area.height - 1);
    let first = first_shown(len, cursor.unwrap_or(0), room);
    for (row, at) in (first..len).take(room).enumerate() {
        let y = area.y + 1 + u16::try_from(row).unwrap_or(u16::MAX);
        let pieces = line(at);
        let selected = cursor == Some(at);
        let mark = if selected { pen.glyphs().pointer } else { " " };
        let area = Rect { y, height: 1, ..area };
        if selected {
            pen.fill(area, Role::Selection);
        }
        let shown_pieces = shown.iter().filter_map(|i| pieces.get(*i)).cloned();
        put_line(pen, area, &widths, shown_pieces, &format!("{mark} "));
        if selected {
            pen.restyle(area, Role::Selection);
        }
    }
    if len > room && room > 0 {
        let last = (first + room).min(len);
        let note = format!(" {}-{last}/{len} ", first + 1);
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(area.right().saturating_sub(width), area.y, width, &note, Role::Muted);
    }
}

fn put_line(pen: &mut Pen<'_>, area: Rect, widths: &[u16], pieces: impl Iterator<Item = Piece>, mark: &str) {
    let mut x = pen.put(area.x, area.y, 2, mark, Role::Text);
    let last = widths.len().saturating_sub(1);
    for (i, (piece, width)) in pieces.zip(widths).enumerate() {
        let left = area.right().saturating_sub(x);
        let room = if i == last { left } else { width.saturating_sub(1).min(left) };
        pen.put_cut(x, area.y, room, &piece.text, piece.role);
        x = x.saturating_add(*width).min(area.right());
    }
}
