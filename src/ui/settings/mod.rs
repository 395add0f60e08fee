//! The Settings view: modes on the left, features in the middle, the value on the right. Only visible lines are made.

use ratatui::layout::Rect;

mod beside;
mod features;
pub mod form;
pub mod lists;
mod modes;
mod value;

use crate::app::App;
use crate::app::mouse::Hit;
use crate::app::settings::{Pane, Standing};
use crate::domain::Time;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::{Pen, above, below};
use crate::ui::theme::Role;

/// From this width on all three panes stand side by side.
const THREE: u16 = 76;

/// From this width on two panes do.
const TWO: u16 = 52;

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let Some(book) = app.book() else {
        let text = match app.cluster() {
            None => return,
            Some(c) if c.peers.iter().any(|p| p.is_reached()) => "No peer has told its settings yet.",
            Some(_) => "No peer is on the line that could tell the settings.",
        };
        pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), text, Role::Unknown);
        return;
    };
    if app.beside().is_some() {
        beside::draw(pen, area, app, book, now);
        return;
    }
    if app.is_zoomed() {
        let inner = titled(pen, area, app, Pane::Value);
        value::draw(pen, inner, app, book, now);
        return;
    }
    for (pane, place) in panes(area, app.pane()) {
        let inner = titled(pen, place, app, pane);
        match pane {
            Pane::Modes => modes::draw(pen, inner, app, book),
            Pane::Features => features::draw(pen, inner, app, book),
            Pane::Value => value::draw(pen, inner, app, book, now),
        }
        if place.x > area.x {
            pen.upright(Rect { x: place.x - 1, width: 1, ..place });
        }
        pen.hit(above(place, 1), || Hit::Pane(pane));
    }
}

/// Which panes there is room for, and where.
fn panes(area: Rect, focus: Pane) -> Vec<(Pane, Rect)> {
    let split = |widths: &[(Pane, u16)]| {
        let mut x = area.x;
        let mut out = Vec::new();
        for (n, (pane, width)) in widths.iter().enumerate() {
            let last = n + 1 == widths.len();
            let width = if last { area.right().saturating_sub(x) } else { *width };
            out.push((*pane, Rect { x, width, ..area }));
            // A column for the line between them.
            x += width + 1;
        }
        out
    };
    match area.width {
        THREE.. => {
            let modes = (area.width * 24 / 100).clamp(20, 34);
            let features = (area.width * 38 / 100).clamp(30, 60);
            split(&[(Pane::Modes, modes), (Pane::Features, features), (Pane::Value, 0)])
        }
        TWO..THREE => match focus {
            Pane::Modes => split(&[(Pane::Modes, area.width * 2 / 5), (Pane::Features, 0)]),
            Pane::Features | Pane::Value => split(&[(Pane::Features, area.width / 2), (Pane::Value, 0)]),
        },
        _ => vec![(focus, area)],
    }
}

/// Writes the title of a pane; gives what is below it.
fn titled(pen: &mut Pen<'_>, place: Rect, app: &App, pane: Pane) -> Rect {
    let Some(book) = app.book() else { return place };
    let mode = book.tree().mode_name(&app.mode());
    let title = match pane {
        Pane::Modes => "Modes".to_owned(),
        Pane::Features => format!("Features at {mode}"),
        Pane::Value => match app.feature() {
            Some(feature) => format!("{feature} at {mode}"),
            None => "Value".to_owned(),
        },
    };
    let focused = app.pane() == pane;
    // A sign as well: the focus is not a matter of colour.
    let sign = if focused { pen.glyphs().pointer } else { " " };
    let role = if focused { Role::TabActive } else { Role::Muted };
    pen.put_cut(place.x, place.y, place.width, &format!("{sign}{title} "), role);
    below(place, 1)
}

/// The sign of how a feature stands at a mode, and in which role the line is.
fn standing_look(g: &Glyphs, standing: &Standing) -> (&'static str, Role) {
    match standing {
        Standing::Set => (g.connected, Role::Accent),
        Standing::Empty => (g.empty, Role::Accent),
        Standing::Inherited(_) => (g.more[0], Role::Muted),
        Standing::Factory => (g.factory, Role::Muted),
        Standing::NotSet => (g.not_set, Role::Unknown),
    }
}

/// The zone in which times are shown.
fn zone(pen: &Pen<'_>, app: &App) -> jiff::tz::TimeZone {
    if app.is_utc() { jiff::tz::TimeZone::UTC } else { pen.look.zone.clone() }
}
