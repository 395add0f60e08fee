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

/// What a table looks like besides its lines.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Its columns.
    pub columns: &'a [Column],
    /// Titles of the columns that somebody chose, in that order; empty: all that the width is for.
    pub chosen: &'a [&'static str],
    /// Title of the column that it is sorted by.
    pub sorted: Option<&'static str>,
    /// The selected line.
    pub cursor: Option<usize>,
    /// The line that must be visible when none is selected.
    pub anchor: usize,
}

impl<'a> Shape<'a> {
    /// With all columns, nothing chosen.
    #[must_use]
    pub fn new(columns: &'a [Column]) -> Self {
        Self { columns, chosen: &[], sorted: None, cursor: None, anchor: 0 }
    }
}

/// The columns that `width` has room for, as places in `columns`.
#[must_use]
pub fn fitting(columns: &[Column], chosen: &[&'static str], width: u16) -> Vec<usize> {
    let mut left = width.saturating_sub(2);
    let mut shown = Vec::new();
    let usual = || columns.iter().enumerate().filter(|(_, c)| c.from_width <= width).map(|(i, _)| i).collect();
    let wanted: Vec<usize> = if chosen.is_empty() {
        usual()
    } else {
        chosen.iter().filter_map(|title| columns.iter().position(|c| c.title == *title)).collect()
    };
    for i in wanted {
        let column = &columns[i];
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
pub fn draw(pen: &mut Pen<'_>, area: Rect, shape: &Shape<'_>, len: usize, line: impl Fn(usize) -> Vec<Piece>) {
    if area.height == 0 || area.width < 4 {
        return;
    }
    let (columns, cursor) = (shape.columns, shape.cursor);
    let shown = fitting(columns, shape.chosen, area.width);
    let sign = pen.glyphs().more[1];
    let widths: Vec<u16> = shown.iter().map(|i| columns[*i].width).collect();
    let titles = shown.iter().map(|i| match columns[*i].title {
        title if shape.sorted == Some(title) => Piece { text: format!("{title}{sign}"), role: Role::Accent },
        title => Piece { text: title.to_owned(), role: Role::Muted },
    });
    put_line(pen, Rect { height: 1, ..area }, &widths, titles, "  ");
    let room = usize::from(area.height - 1);
    let first = first_shown(len, cursor.unwrap_or(shape.anchor), room);
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
