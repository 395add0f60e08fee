//! The palette: a field, and below it what can be meant, best first.

use ratatui::layout::Rect;

use crate::app::App;
use crate::app::palette::{Entry, Palette};
use crate::domain::Time;
use crate::ui::list::first_shown;
use crate::ui::pen::{Pen, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Lines of entries at a time.
const LINES: u16 = 14;

/// Draws it over `area`.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, palette: &Palette, now: Time) {
    let entries = app.entries(now);
    // Its height stays, so that nothing jumps while somebody types.
    let height = (LINES + 4).min(area.height.saturating_sub(2));
    let inner = pen.dialog(area, 92.min(area.width - 2), height, "Commands");
    let field = [piece(":", Role::Key), piece(palette.text(), Role::Text), piece("_", Role::Accent)];
    pen.line(Rect { height: 1, ..inner }, &field);
    let second = Rect { y: inner.y + 1, height: 1, ..inner };
    let untouched = palette.chosen().is_none() && palette.text().is_empty();
    match entries.get(palette.chosen().unwrap_or(0)) {
        _ if !palette.told().is_empty() => {
            pen.put_cut(second.x, second.y, second.width, palette.told(), Role::Warn);
        }
        Some(meant) if !untouched => {
            pen.put_cut(second.x, second.y, second.width, &explained(meant), Role::Muted);
        }
        Some(_) | None => {
            pen.line(second, &keys(app));
        }
    }
    let list = below(inner, 2);
    if entries.is_empty() {
        let text = if palette.text().contains(' ') {
            "Nothing known can follow here."
        } else {
            "No command is called like that."
        };
        pen.put_cut(list.x, list.y, list.width, text, Role::Muted);
        return;
    }
    let room = usize::from(list.height);
    let first = first_shown(entries.len(), palette.chosen().unwrap_or(0), room);
    let shown = entries.iter().enumerate().skip(first).take(room);
    let widest =
        |width: &dyn Fn(&Entry) -> usize, max: u16| entries.iter().map(width).max().unwrap_or(0).min(usize::from(max));
    let name = widest(&|e| text::width(&label(e)), inner.width / 2);
    let key = widest(&|e| text::width(&e.key), 10);
    for (y, (at, entry)) in (list.y..list.bottom()).zip(shown) {
        let row = Rect { y, height: 1, ..list };
        let meant = palette.chosen().unwrap_or(0) == at && !untouched;
        let ellipsis = pen.glyphs().ellipsis;
        let role = if entry.why_not.is_some() { Role::Muted } else { Role::Text };
        let mark = if meant { pen.glyphs().pointer } else { " " };
        pen.line(
            row,
            &[
                piece(format!("{mark} "), Role::Accent),
                piece(text::pad(&text::cut(&label(entry), name, ellipsis), name), role),
                piece(format!("  {}  ", text::pad(&text::cut(&entry.key, key, ellipsis), key)), Role::Key),
                piece(explained(entry), Role::Muted),
            ],
        );
        if palette.chosen() == Some(at) {
            pen.restyle(row, Role::Selection);
        }
    }
    if entries.len() > room {
        let note = format!(" {}-{}/{} ", first + 1, (first + room).min(entries.len()), entries.len());
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(inner.right().saturating_sub(width), inner.bottom(), width, &note, Role::Muted);
    }
}

/// What it does, or why it does nothing now.
fn explained(entry: &Entry) -> String {
    entry.why_not.as_ref().map_or_else(|| entry.help.clone(), |why| format!("({why})"))
}

fn label(entry: &Entry) -> String {
    if entry.args.is_empty() { entry.text.clone() } else { format!("{} {}", entry.text, entry.args) }
}

fn keys(app: &App) -> Vec<crate::ui::pen::Piece> {
    let mut pieces = Vec::new();
    let mut say = |key: &str, word: &str| {
        pieces.push(piece(key, Role::Key));
        pieces.push(piece(format!(" {word}  "), Role::Muted));
    };
    say("Tab", "completes");
    say("Down", "chooses");
    say("Enter", "does");
    say("Esc", "leaves");
    if !app.history().is_empty() {
        say("Up", "earlier ones");
    }
    say("?", "help");
    pieces
}
