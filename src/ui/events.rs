//! Everything that changed, newest at the bottom.

use ratatui::layout::Rect;

use crate::app::App;
use crate::domain::Time;
use crate::domain::event::{Event, EventKind};
use crate::ui::pen::{Pen, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let events = app.events();
    if events.is_empty() {
        let text = if app.filter().text.is_empty() {
            "Nothing has changed yet."
        } else {
            "No event passes the filter. Press Esc to end it."
        };
        pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), text, Role::Muted);
        return;
    }
    let place = app.event_place(&events);
    let note = match place {
        None => "following; newest at the bottom".to_owned(),
        Some(at) => format!("{} of {}, {} newer; G follows again", at + 1, events.len(), events.len() - 1 - at),
    };
    pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), &note, Role::Muted);
    let list = below(area, 1);
    let room = usize::from(list.height);
    let first = match place {
        None => events.len().saturating_sub(room),
        Some(at) => crate::ui::list::first_shown(events.len(), at, room),
    };
    for (y, (at, event)) in (list.y..list.bottom()).zip(events.iter().enumerate().skip(first)) {
        let row = Rect { x: list.x + 1, y, width: list.width.saturating_sub(2), height: 1 };
        line(pen, row, event, app, now);
        if place == Some(at) {
            pen.restyle(row, Role::Selection);
        }
    }
}

/// The newest events that fit into `area`, newest at the bottom.
pub fn tail(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let events = &app.picture().events;
    let first = events.len().saturating_sub(usize::from(area.height));
    for (y, event) in (area.y..area.bottom()).zip(events.iter().skip(first)) {
        line(pen, above(Rect { y, ..area }, 1), event, app, now);
    }
}

fn line(pen: &mut Pen<'_>, area: Rect, event: &Event, app: &App, now: Time) {
    let moment = app.moment(now);
    let at = if app.is_utc() {
        text::clock(event.at, moment, &jiff::tz::TimeZone::UTC)
    } else {
        text::clock(event.at, moment, &pen.look.zone)
    };
    let (word, role) = match event.kind {
        EventKind::Link => ("link", Role::Text),
        EventKind::Reach => ("reach", Role::Accent),
        EventKind::Raised => ("raised", Role::Crit),
        EventKind::Changed => ("changed", Role::Warn),
        EventKind::Cleared => ("cleared", Role::Ok),
        EventKind::Membership => ("member", Role::Accent),
        EventKind::Peer => ("peer", Role::Muted),
        EventKind::Command => ("command", Role::Accent),
    };
    pen.line(
        area,
        &[
            piece(format!("{}  ", text::pad(&at, 8)), Role::Muted),
            piece(text::pad(word, 9), role),
            piece(event.text.as_str(), Role::Text),
        ],
    );
}
