//! The tree of modes.

use ratatui::layout::Rect;

use crate::app::App;
use crate::app::mouse::Hit;
use crate::app::settings::{Book, ModeLine, Pane};
use crate::domain::settings::{Level, ModeId};
use crate::ui::list::first_shown;
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws the visible lines.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, book: &Book) {
    let selected = book.place(&app.mode()).unwrap_or(0);
    let room = usize::from(area.height);
    let first = first_shown(book.modes().len(), selected, room);
    let focused = app.pane() == Pane::Modes;
    for (y, at) in (area.y..area.bottom()).zip(first..book.modes().len()) {
        let line = &book.modes()[at];
        let row = Rect { y, height: 1, ..area };
        if at == selected {
            let role = if focused { Role::Selection } else { Role::Crosshair };
            if focused {
                pen.fill(row, Role::Selection);
            }
            mode_line(pen, row, app, book, line, role);
            if focused {
                pen.restyle(row, Role::Selection);
            }
        } else {
            mode_line(pen, row, app, book, line, Role::Text);
        }
        pen.hit(row, || Hit::Mode(line.id.clone()));
    }
    if book.modes().len() > room && room > 0 {
        let last = (first + room).min(book.modes().len());
        let note = format!(" {}-{last}/{} ", first + 1, book.modes().len());
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(area.right().saturating_sub(width), area.y.saturating_sub(1), width, &note, Role::Muted);
    }
}

fn mode_line(pen: &mut Pen<'_>, row: Rect, app: &App, book: &Book, line: &ModeLine, role: Role) {
    let g = pen.glyphs();
    let depth = match line.id.level() {
        Level::Cluster => 0,
        Level::Group => 1,
        Level::Machine => 2,
    };
    let (name, marked) = match &line.id {
        ModeId::Cluster | ModeId::Group(_) => (line.name.to_string(), false),
        ModeId::Machine(id) => {
            let peer = book.tree().structure().member(id).map(|m| &m.machine.id);
            let label = peer.and_then(|p| app.cluster().map(|c| c.label(p).to_owned()));
            let marked = peer.is_some_and(|p| app.marks().holds(p) || app.dialog().is_some_and(|d| d.is_about(p)));
            // A machine that the mesh does not know (yet) has no label.
            let label = label.filter(|l| peer.is_some_and(|p| l != p.as_str()));
            (label.unwrap_or_else(|| line.name.to_string()), marked)
        }
    };
    let pointer = if role == Role::Text { " " } else { g.pointer };
    let mark = if marked { g.mark } else { " " };
    let notes = notes(pen, line);
    let wide: usize = notes.iter().map(|p| text::width(&p.text)).sum();
    let room = usize::from(row.width).saturating_sub(wide + 1);
    let indent = "  ".repeat(depth);
    let shown = text::cut_middle(&name, room.saturating_sub(2 + indent.len()), g.ellipsis);
    let x = pen.put(row.x, row.y, row.width, pointer, Role::Accent);
    let x = pen.put(x, row.y, row.right().saturating_sub(x), mark, Role::Accent);
    pen.put(x, row.y, row.right().saturating_sub(x), &format!("{indent}{shown}"), role);
    let x = row.right().saturating_sub(u16::try_from(wide).unwrap_or(0));
    pen.line(Rect { x, width: row.right().saturating_sub(x), ..row }, &notes);
}

/// Conflicts, what is set here, what is set below: worst first.
fn notes(pen: &Pen<'_>, line: &ModeLine) -> Vec<Piece> {
    let g = pen.glyphs();
    let mut notes = Vec::new();
    let conflicts = line.own.conflicts + line.below.conflicts;
    if conflicts > 0 {
        notes.push(piece(format!(" {}{conflicts}", g.finding), Role::Warn));
    }
    if line.dangling > 0 {
        notes.push(piece(format!(" {}{}", g.dangling, line.dangling), Role::Warn));
    }
    if line.own.defined > 0 {
        notes.push(piece(format!(" {}{}", g.connected, line.own.defined), Role::Accent));
    }
    if line.below.defined > 0 {
        notes.push(piece(format!(" {}{}", g.more[1], line.below.defined), Role::Muted));
    }
    notes
}
