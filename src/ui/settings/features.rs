//! The features at the selected mode.

use ratatui::layout::Rect;

use super::standing_look;
use crate::app::App;
use crate::app::mouse::Hit;
use crate::app::settings::{Book, Pane, Shown};
use crate::ui::list::first_shown;
use crate::ui::pen::{Pen, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws the visible lines.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, book: &Book) {
    let places = app.feature_places();
    if places.is_empty() {
        let text = app.hidden_by_filter("feature").unwrap_or_else(|| "No feature is known.".to_owned());
        for (y, line) in
            (area.y..area.bottom()).zip(text::wrap(&text, usize::from(area.width.saturating_sub(1)), 4, ""))
        {
            pen.put(area.x + 1, y, area.width.saturating_sub(1), &line, Role::Muted);
        }
        return;
    }
    let mode = app.mode();
    let selected = app.feature().and_then(|f| places.iter().position(|at| book.features()[*at] == *f)).unwrap_or(0);
    let room = usize::from(area.height);
    let first = first_shown(places.len(), selected, room);
    let visible = &places[first..(first + room).min(places.len())];
    let widest = visible.iter().map(|at| text::width(book.features()[*at].as_str())).max().unwrap_or(8);
    let names = widest.clamp(8, usize::from(area.width / 2).max(12));
    let focused = app.pane() == Pane::Features;
    // Where there is no room for both, how it stands is told in words and what is wrong with it by signs.
    let wordy = area.width >= 40;
    let g = pen.glyphs();
    for (y, (n, place)) in (area.y..area.bottom()).zip(visible.iter().enumerate()) {
        let feature = &book.features()[*place];
        let shown = Shown::of(book.tree(), app.catalogue(), &mode, feature);
        let (sign, role) = standing_look(g, &shown.standing);
        let row = Rect { y, height: 1, ..area };
        let is_selected = first + n == selected;
        if is_selected && focused {
            pen.fill(row, Role::Selection);
        }
        let below = book.defined_below(&mode, feature);
        let mut notes = Vec::new();
        if shown.is_conflict() {
            let word = if wordy { "conflict" } else { "" };
            notes.push(piece(format!(" {}{word}", g.finding), Role::Warn));
        }
        if let Some(staged) = app.staged_at(&mode, feature) {
            let word = match (wordy, staged.sent.is_some()) {
                (false, _) => "",
                (true, true) => "sent",
                (true, false) => "staged",
            };
            notes.push(piece(format!(" {}{word}", g.staged), Role::Connecting));
        }
        if below > 0 {
            notes.push(piece(format!(" {}{below}", g.more[1]), Role::Muted));
        }
        let wide: usize = notes.iter().map(|p| text::width(&p.text)).sum();
        let pointer = if is_selected { g.pointer } else { " " };
        let name = text::pad(&text::cut_middle(feature.as_str(), names, g.ellipsis), names);
        let pieces = [
            piece(format!("{pointer} "), Role::Accent),
            piece(format!("{sign} "), role),
            piece(format!("{name} "), role),
            piece(shown.standing.phrase(book.tree()), role),
        ];
        let width = row.width.saturating_sub(u16::try_from(wide).unwrap_or(0));
        let end = pen.line(Rect { width, ..row }, &pieces);
        pen.line(Rect { x: end, width: row.right().saturating_sub(end), ..row }, &notes);
        if is_selected && focused {
            pen.restyle(row, Role::Selection);
        }
        pen.hit(row, || Hit::Feature(feature.clone()));
    }
    if places.len() > room && room > 0 {
        let last = (first + room).min(places.len());
        let note = format!(" {}-{last}/{} ", first + 1, places.len());
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(area.right().saturating_sub(width), area.y.saturating_sub(1), width, &note, Role::Muted);
    }
}
