//! Everything that changed, newest at the bottom.

use jiff::tz::TimeZone;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::lists::{List, ListSort};
use crate::app::mouse::Hit;
use crate::domain::event::{Event, EventKind};
use crate::domain::{Subject, Time};
use crate::ui::list::{self, Column, Shape};
use crate::ui::pen::{Pen, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let events = app.events();
    if events.is_empty() {
        let text = app.hidden_by_filter("event").unwrap_or_else(|| "Nothing has changed yet.".to_owned());
        pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), &text, Role::Muted);
        return;
    }
    let place = app.event_place(&events);
    let by_time = app.list_sort(List::Events) == ListSort::Usual;
    if app.is_zoomed() {
        let rest = if by_time { events.len() - 1 } else { 0 };
        alone(pen, area, events[place.unwrap_or(rest)], app, now);
        return;
    }
    let note = match place {
        None if by_time => "following; newest at the bottom".to_owned(),
        None => format!("{} events", events.len()),
        Some(at) if by_time => {
            format!("{} of {}, {} newer; G follows again", at + 1, events.len(), events.len() - 1 - at)
        }
        Some(at) => format!("{} of {}", at + 1, events.len()),
    };
    let columns = [
        Column { title: "time", width: 13, from_width: 0 },
        Column { title: "kind", width: 9, from_width: 0 },
        Column { title: "about", width: 18, from_width: 130 },
        Column { title: "text", width: 60, from_width: 0 },
    ];
    let shape = Shape {
        chosen: app.chosen_columns(List::Events),
        sorted: app.sorted_column(List::Events),
        cursor: place,
        anchor: if by_time { events.len() - 1 } else { 0 },
        columns: &columns,
    };
    pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), &note, Role::Muted);
    let (g, zone) = (pen.glyphs(), pen.look.zone.clone());
    list::draw(pen, below(area, 1), &shape, events.len(), |at| {
        let event = events[at];
        let (word, role) = kind_word(event.kind);
        let about = app.cluster().map(|c| crate::ui::findings::subject(c, &event.subject, g)).unwrap_or_default();
        vec![
            piece(clock(&zone, app, event.at, now), Role::Muted),
            piece(word, role),
            piece(about, Role::Text),
            piece(format!("{}{}", whose(event, app), event.text), Role::Text),
        ]
    });
    let at = place.unwrap_or(shape.anchor);
    list::hits(pen, below(area, 1), events.len(), Some(at), |at| Hit::Event(Box::new(events[at].clone())));
}

/// One event in full.
fn alone(pen: &mut Pen<'_>, area: Rect, event: &Event, app: &App, now: Time) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let (word, role) = kind_word(event.kind);
    let at = clock(&pen.look.zone, app, event.at, now);
    let ago = text::age(app.moment(now).since(event.at));
    pen.line(area, &[piece(format!("{word}  "), role), piece(format!("{at}, {ago} ago"), Role::Muted)]);
    let about = app.cluster().map(|c| crate::ui::findings::subject(c, &event.subject, pen.glyphs()));
    pen.put_cut(area.x, area.y + 1, area.width, &about.unwrap_or_default(), Role::Accent);
    let rest = below(area, 3);
    let text =
        text::wrap(event.text.as_str(), usize::from(area.width), usize::from(rest.height), pen.glyphs().ellipsis);
    for (y, line) in (rest.y..rest.bottom()).zip(&text) {
        pen.put(rest.x, y, rest.width, line, Role::Text);
    }
}

/// The newest events that fit into `area`, newest at the bottom.
pub fn tail(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    // What a peer's own log says of its links stands in the link events already.
    let told = app.events_here().rev().filter(|e| e.kind != EventKind::Peer);
    let newest: Vec<&Event> = told.take(usize::from(area.height)).collect();
    for (y, event) in (area.y..area.bottom()).zip(newest.into_iter().rev()) {
        line(pen, above(Rect { y, ..area }, 1), event, app, now);
    }
}

fn line(pen: &mut Pen<'_>, area: Rect, event: &Event, app: &App, now: Time) {
    let (word, role) = kind_word(event.kind);
    let at = clock(&pen.look.zone, app, event.at, now);
    pen.line(
        area,
        &[
            piece(format!("{}  ", text::pad(&at, 8)), Role::Muted),
            piece(text::pad(word, 9), role),
            piece(whose(event, app), Role::Accent),
            piece(event.text.as_str(), Role::Text),
        ],
    );
}

fn clock(zone: &TimeZone, app: &App, at: Time, now: Time) -> String {
    let zone = if app.is_utc() { &TimeZone::UTC } else { zone };
    text::clock(at, app.moment(now), zone)
}

/// A line of a peer's log does not say whose it is.
fn whose(event: &Event, app: &App) -> String {
    match (&event.subject, event.kind, app.cluster()) {
        (Subject::Peer(peer), EventKind::Peer, Some(cluster)) => format!("{}: ", cluster.label(peer)),
        _ => String::new(),
    }
}

fn kind_word(kind: EventKind) -> (&'static str, Role) {
    match kind {
        EventKind::Link => ("link", Role::Text),
        EventKind::Reach => ("reach", Role::Accent),
        EventKind::Raised => ("raised", Role::Crit),
        EventKind::Changed => ("changed", Role::Warn),
        EventKind::Cleared => ("cleared", Role::Ok),
        EventKind::Membership => ("member", Role::Accent),
        EventKind::Peer => ("peer", Role::Muted),
        EventKind::Role => ("role", Role::Warn),
        EventKind::Command => ("command", Role::Accent),
    }
}
