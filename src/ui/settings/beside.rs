//! Two modes side by side, what differs first.

use ratatui::layout::Rect;

use super::value;
use crate::app::App;
use crate::app::mouse::Hit;
use crate::app::settings::{Book, Shown};
use crate::domain::Time;
use crate::ui::list::first_shown;
use crate::ui::pen::{Pen, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, book: &Book, _now: Time) {
    let Some(other) = app.beside() else { return };
    let here = app.mode();
    let tree = book.tree();
    let places = app.feature_places();
    let g = pen.glyphs();
    let names = (area.width / 4).clamp(12, 26);
    let half = area.width.saturating_sub(names + 4) / 2;
    let column = |n: u16| Rect { x: area.x + names + 4 + n * half, width: half, height: 1, ..area };
    pen.put_cut(area.x + 4, area.y, names, "feature", Role::Muted);
    for (n, mode) in [(0, &here), (1, other)] {
        let at = column(n);
        pen.put_cut(at.x, at.y, at.width.saturating_sub(1), &tree.mode_name(mode), Role::Accent);
    }
    let lower = (area.height / 2).saturating_sub(1);
    let list = Rect { height: area.height.saturating_sub(lower), ..area };
    let list = below(list, 1);
    let selected = app.feature().and_then(|f| places.iter().position(|at| book.features()[*at] == *f)).unwrap_or(0);
    let first = first_shown(places.len(), selected, usize::from(list.height));
    for (y, (n, place)) in (list.y..list.bottom()).zip(places.iter().enumerate().skip(first)) {
        let feature = &book.features()[*place];
        let of = |mode| Shown::of(tree, app.catalogue(), mode, feature);
        let (left, right) = (of(&here), of(other));
        let differs = !left.says_as(&right);
        let row = Rect { y, height: 1, ..area };
        let is_selected = n == selected;
        let pointer = if is_selected { g.pointer } else { " " };
        let sign = if differs { g.differs } else { "=" };
        let role = if differs { Role::Warn } else { Role::Muted };
        let name = text::cut_middle(feature.as_str(), usize::from(names.saturating_sub(1)), g.ellipsis);
        pen.line(
            Rect { width: names + 4, ..row },
            &[
                piece(format!("{pointer} "), Role::Accent),
                piece(format!("{sign} "), role),
                piece(name, if differs { Role::Text } else { Role::Muted }),
            ],
        );
        for (n, shown) in [(0, &left), (1, &right)] {
            let at = Rect { y, ..column(n) };
            let pieces = value::brief_piece(shown, g);
            pen.line(Rect { width: at.width.saturating_sub(1), ..at }, &pieces);
        }
        if is_selected {
            pen.restyle(row, Role::Selection);
        }
        pen.hit(row, || Hit::Feature(feature.clone()));
    }
    let Some(feature) = app.feature() else { return };
    let lower = Rect { y: area.bottom().saturating_sub(lower), height: lower, ..area };
    if lower.height < 2 {
        return;
    }
    pen.rule(above(lower, 1), feature.as_str());
    let inner = below(lower, 1);
    let half = inner.width / 2;
    for (n, mode) in [(0u16, &here), (1, other)] {
        let place = Rect { x: inner.x + 1 + n * (half + 1), width: half.saturating_sub(3), ..inner };
        let lines = value::short_lines(app, book, mode, feature);
        let top = app.value_top().min(lines.len().saturating_sub(usize::from(place.height)));
        for (y, (line, role)) in (place.y..place.bottom()).zip(lines.iter().skip(top)) {
            pen.put_cut(place.x, y, place.width, line, *role);
        }
        if n == 1 {
            pen.upright(Rect { x: place.x.saturating_sub(2), width: 1, ..place });
        }
    }
}
