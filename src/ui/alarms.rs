//! Lists over the view: silences, and what changed lately.

use jiff::tz::TimeZone;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::panel::Panel;
use crate::app::recent::{Change, Recent};
use crate::domain::{Time, time};
use crate::ui::findings::subject;
use crate::ui::glyphs::severity_role;
use crate::ui::list::{self, Column, Shape};
use crate::ui::pen::{Pen, piece};
use crate::ui::text;
use crate::ui::theme::Role;

const fn column(title: &'static str, width: u16, from_width: u16) -> Column {
    Column { title, width, from_width }
}

/// What stands on the frame of the list of what changed.
#[must_use]
pub fn recent_title(app: &App, now: Time) -> String {
    let span = app.recent_span();
    let words = match span.as_secs() / 60 {
        10 => "ten minutes",
        60 => "hour",
        _ => "day",
    };
    let reaches = app.moment(now).since(app.recent_from(now));
    if reaches < span {
        return format!("What changed in the last {words}; only {} are kept", time::human(reaches));
    }
    format!("What changed in the last {words}")
}

/// What stands in the list of what changed when there is nothing.
#[must_use]
pub fn nothing_changed(app: &App) -> String {
    format!("Nothing has changed in the last {}.", time::human(app.recent_span()))
}

/// Draws the silences.
pub fn silences(pen: &mut Pen<'_>, area: Rect, app: &App, panel: &Panel, now: Time) {
    let lines = app.silence_lines(panel.query.as_str());
    let moment = app.moment(now);
    let zone = if app.is_utc() { TimeZone::UTC } else { pen.look.zone.clone() };
    let columns = [
        column("until", 12, 0),
        column("left", 10, 0),
        column("by", 20, 60),
        column("what", 34, 0),
        column("why", 30, 50),
    ];
    let shape = Shape { cursor: Some(panel.place(lines.len())), ..Shape::new(&columns) };
    list::draw(pen, area, &shape, lines.len(), |at| {
        let silence = lines[at];
        let holds = silence.holds(moment);
        let role = if holds { Role::Text } else { Role::Muted };
        let left = if holds { text::calm_span(silence.until.since(moment)) } else { "ended".to_owned() };
        vec![
            piece(text::clock(silence.until, moment, &zone), role),
            piece(left, role),
            piece(silence.by.as_str(), role),
            piece(app.matcher_words(&silence.matcher), if holds { Role::Accent } else { Role::Muted }),
            piece(silence.reason.as_str(), role),
        ]
    });
}

/// Draws what changed.
pub fn recent(pen: &mut Pen<'_>, area: Rect, app: &App, panel: &Panel, now: Time) {
    let lines = app.recent_lines(panel.query.as_str(), now);
    let Some(cluster) = app.cluster() else { return };
    let moment = app.moment(now);
    let zone = if app.is_utc() { TimeZone::UTC } else { pen.look.zone.clone() };
    let g = pen.glyphs();
    let subjects: Vec<String> = lines.iter().map(|l| subject(cluster, &l.subject, g)).collect();
    let widest = subjects.iter().map(|s| text::width(s)).max().unwrap_or(0).clamp(7, 24);
    let columns = [
        column("about", u16::try_from(widest + 2).unwrap_or(26), 0),
        column("last", 13, 50),
        column("what", 10, 60),
        column("change", 40, 0),
    ];
    let shape = Shape { cursor: Some(panel.place(lines.len())), ..Shape::new(&columns) };
    list::draw(pen, area, &shape, lines.len(), |at| {
        let line = &lines[at];
        // A subject is named once, above what belongs to it.
        let again = at > 0 && lines[at - 1].subject == line.subject;
        let (word, role) = kind(line);
        let times =
            if line.count > 1 && is_plain(line.change) { format!(" ({} times)", line.count) } else { String::new() };
        vec![
            piece(if again { String::new() } else { subjects[at].clone() }, Role::Accent),
            piece(text::clock(line.at, moment.max(line.at), &zone), Role::Muted),
            piece(word, role),
            piece(format!("{}{times}", line.text), Role::Text),
        ]
    });
}

/// Whether the number is not in the sentence already.
fn is_plain(change: Change) -> bool {
    match change {
        Change::Role | Change::Reach | Change::Membership | Change::Command | Change::Log => true,
        Change::Raised(_) | Change::LinksDown | Change::CameAndWent | Change::LinksUp | Change::Cleared => false,
    }
}

fn kind(line: &Recent) -> (&'static str, Role) {
    match line.change {
        Change::Raised(severity) => (severity.0.as_str(), severity_role(severity.0)),
        Change::LinksDown => ("links", Role::Warn),
        Change::Role => ("role", Role::Warn),
        Change::Reach => ("reach", Role::Accent),
        Change::CameAndWent => ("over", Role::Stale),
        Change::LinksUp => ("links", Role::Ok),
        Change::Cleared => ("cleared", Role::Ok),
        Change::Membership => ("member", Role::Accent),
        Change::Command => ("command", Role::Accent),
        Change::Log => ("peer", Role::Muted),
    }
}
