//! The links around the cursor, large enough to be read: for grids in which a link is less than a sign.

use ratatui::layout::Rect;

use crate::app::grid::Grid;
use crate::app::{App, labels};
use crate::domain::Time;
use crate::ui::glyphs::cell_role;
use crate::ui::pen::{Pen, above};
use crate::ui::text;
use crate::ui::theme::Role;

/// Most rows and columns that are shown.
const SPAN: usize = 7;
/// Fewest columns of the screen for a link.
const CELL_MIN: u16 = 5;
/// Most of them.
const CELL_MAX: u16 = 8;
/// Names of rows are cut to this.
const NAME_MAX: u16 = 10;

/// Draws the lens, with a title; says how many lines it took.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, grid: &Grid, now: Time) -> u16 {
    let Some(cluster) = app.cluster() else { return 0 };
    if area.height < 4 || area.width < NAME_MAX + 3 * CELL_MIN || grid.rows.is_empty() || grid.cols.is_empty() {
        return 0;
    }
    let now = app.moment(now);
    let names = labels(cluster);
    let g = pen.glyphs();
    let room = |space: u16, each: u16| {
        let fits = usize::from(space / each).min(SPAN);
        fits - usize::from(fits % 2 == 0) // Odd, so that the cursor stands in the middle.
    };
    let rows = around(grid.rows.len(), app.cursor().row(), room(area.height - 2, 1).max(1));
    let cols = around(grid.cols.len(), app.cursor().col(), room(area.width - NAME_MAX - 1, CELL_MIN).max(1));
    let shown = u16::try_from(cols.len()).unwrap_or(1);
    let cell = ((area.width - NAME_MAX - 1) / shown).clamp(CELL_MIN, CELL_MAX);
    pen.rule(above(area, 1), "lens");
    let at = |n: usize| area.x + NAME_MAX + 1 + u16::try_from(n).unwrap_or(0) * cell;
    for (n, col) in cols.clone().enumerate() {
        let name = text::cut_middle(names[grid.cols[col]], usize::from(cell - 1), g.ellipsis);
        let role = if col == app.cursor().col() { Role::Crosshair } else { Role::Muted };
        pen.put(at(n), area.y + 1, cell - 1, &name, role);
    }
    for (row, y) in rows.clone().zip(area.y + 2..area.bottom()) {
        let i = grid.rows[row];
        let name = text::cut_middle(names[i], usize::from(NAME_MAX), g.ellipsis);
        let role = if row == app.cursor().row() { Role::Crosshair } else { Role::Text };
        pen.put(area.x, y, NAME_MAX, &name, role);
        for (n, col) in cols.clone().enumerate() {
            let j = grid.cols[col];
            let (sign, role) = if i == j {
                (g.own, Role::Muted)
            } else {
                let seen = cluster.cell(i, j, now);
                (g.cell(&seen), cell_role(&seen))
            };
            pen.put(at(n) + 1, y, 1, sign, role);
            if row == app.cursor().row() && col == app.cursor().col() {
                pen.restyle(Rect { x: at(n), y, width: 3, height: 1 }, Role::Selection);
            }
        }
    }
    u16::try_from(rows.len()).unwrap_or(0) + 2
}

/// `span` of `len` places, with `at` in the middle where that is possible.
fn around(len: usize, at: usize, span: usize) -> std::ops::Range<usize> {
    let first = at.saturating_sub(span / 2).min(len.saturating_sub(span));
    first..(first + span).min(len)
}
