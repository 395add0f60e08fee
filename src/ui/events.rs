//! Everything that changed, newest at the bottom.

use ratatui::layout::Rect;

use crate::app::App;
use crate::app::mouse::Hit;
use crate::domain::event::{Event, EventKind};
use crate::domain::{Subject, Time};
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
        pen.hit(row, || Hit::Event(Box::new((*event).clone())));
        if place == Some(at) {
            pen.restyle(row, Role::Selection);
        }
    }
}

/// The newest events that fit into `area`, newest at the bottom.
pub fn tail(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    // What a peer's own log says of its links stands in the link events already.
    let told = app.picture().events.iter().rev().filter(|e| e.kind != EventKind::Peer);
    let newest: Vec<&Event> = told.take(usize::from(area.height)).collect();
    for (y, event) in (area.y..area.bottom()).zip(newest.into_iter().rev()) {
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
    // A line of a peer's log does not say whose it is.
    let who = match (&event.subject, event.kind, app.cluster()) {
        (Subject::Peer(peer), EventKind::Peer, Some(cluster)) => format!("{}: ", cluster.label(peer)),
        _ => String::new(),
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
            piece(who, Role::Accent),
            piece(event.text.as_str(), Role::Text),
        ],
    );
}
