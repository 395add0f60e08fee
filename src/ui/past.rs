//! The time line of a recording: what is shown, where that lies, and where findings were raised and cleared (B6).

use jiff::tz::TimeZone;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::past::Looking;
use crate::domain::past::{Mark, Moment};
use crate::domain::{Severity, Time, time};
use crate::ui::glyphs::{Glyphs, severity_role};
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// From this height on the strip has a line of its own for words.
const ROOMY: u16 = 20;

/// Lines that the strip takes of a screen of this height.
#[must_use]
pub fn height(app: &App, screen: u16) -> u16 {
    match app.looking() {
        None => 0,
        Some(_) if screen >= ROOMY => 2,
        Some(_) => 1,
    }
}

/// The badge in the header: nobody may take the past for the present.
#[must_use]
pub fn badge(pen: &Pen<'_>, app: &App, now: Time) -> Option<String> {
    let looking = app.looking()?;
    let word = if app.options().replay { "REPLAY" } else { "PAST" };
    let zone = zone(pen, app);
    let at = app.past_at().map_or_else(String::new, |at| format!(" {}", text::clock(at, now.max(at), &zone)));
    let news = match looking.alerts() {
        0 => String::new(),
        1 => ", 1 alert".to_owned(),
        n => format!(", {n} alerts"),
    };
    Some(format!("{word}{at}{news}"))
}

/// Draws the strip.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let Some(looking) = app.looking() else { return };
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let Some(moment) = looking.moment() else {
        pen.put_cut(area.x, area.y, area.width, "asking the recording ...", Role::Muted);
        return;
    };
    let zone = zone(pen, app);
    if area.height < 2 {
        let words = format!("{} ", distance(app, moment, now));
        let wide = u16::try_from(text::width(&words)).unwrap_or(0).min(area.width / 2);
        pen.put_cut(area.x, area.y, wide, &words, Role::Accent);
        bar(pen, Rect { x: area.x + wide, width: area.width - wide, ..area }, moment);
        return;
    }
    pen.line(Rect { height: 1, ..area }, &words(pen, area.width, app, looking, moment, now));
    let line = Rect { y: area.y + 1, height: 1, ..area };
    let (from, until) = (text::clock(moment.from, now, &zone), text::clock(moment.until, now.max(moment.until), &zone));
    let (left, right) = (text::width(&from), text::width(&until));
    if line.width < 60 {
        bar(pen, line, moment);
        return;
    }
    pen.put(line.x, line.y, line.width, &from, Role::Muted);
    let end = line.right() - u16::try_from(right).unwrap_or(0);
    pen.put(end, line.y, line.width, &until, Role::Muted);
    let x = line.x + u16::try_from(left + 1).unwrap_or(0);
    bar(pen, Rect { x, width: end.saturating_sub(x + 1), ..line }, moment);
}

fn words(pen: &Pen<'_>, width: u16, app: &App, looking: &Looking, moment: &Moment, now: Time) -> Vec<Piece> {
    let clock = text::clock(moment.at, now.max(moment.at), &zone(pen, app));
    let mut pieces = vec![piece(clock, Role::Accent), piece(format!("  {}", distance(app, moment, now)), Role::Text)];
    if let Some(play) = looking.play() {
        pieces.push(piece(format!("  x{}", play.speed), Role::Accent));
    }
    let columns = u32::from(width).max(1);
    if let Some(mark) = looking.mark_near(moment.until.since(moment.from) / columns) {
        let (sign, role) = sign(pen.glyphs(), mark);
        let word = if mark.raised { "raised" } else { "cleared" };
        pieces.push(piece(format!("  {sign} {word}: "), role));
        pieces.push(piece(mark.text.as_str(), Role::Text));
    }
    pieces
}

/// How far the moment lies back: from now, of a replay from its end.
fn distance(app: &App, moment: &Moment, now: Time) -> String {
    if app.options().replay {
        return format!("{} before the end", time::human(moment.until.since(moment.at)));
    }
    format!("{} ago", time::human(now.since(moment.at)))
}

fn zone(pen: &Pen<'_>, app: &App) -> TimeZone {
    if app.is_utc() { TimeZone::UTC } else { pen.look.zone.clone() }
}

/// Its sign says how bad and whether it came or went, without colour as well.
fn sign(g: &Glyphs, mark: &Mark) -> (&'static str, Role) {
    let sign = match (mark.raised, mark.severity) {
        (true, Severity::Critical) => g.finding,
        (true, Severity::Warning) => g.mark,
        (true, Severity::Notice) => g.own,
        (false, _) => g.connecting,
    };
    (sign, if mark.raised { severity_role(mark.severity) } else { Role::Ok })
}

/// The column of `at` among `columns`.
fn column(moment: &Moment, at: Time, columns: u16) -> u16 {
    let span = time::millis(moment.until.since(moment.from)).max(1);
    let into = time::millis(at.since(moment.from)).min(span);
    let column = u128::from(into) * u128::from(columns.saturating_sub(1)) / u128::from(span);
    u16::try_from(column).unwrap_or(0)
}

fn bar(pen: &mut Pen<'_>, area: Rect, moment: &Moment) {
    if area.width == 0 {
        return;
    }
    let line = pen.glyphs().level_line.repeat(usize::from(area.width));
    pen.put(area.x, area.y, area.width, &line, Role::Border);
    // In one column the worst counts, and what came before what went.
    let mut marks: Vec<&Mark> = moment.marks.iter().collect();
    marks.sort_by_key(|m| (m.raised, m.severity));
    for mark in marks {
        let (sign, role) = sign(pen.glyphs(), mark);
        pen.put(area.x + column(moment, mark.at, area.width), area.y, 1, sign, role);
    }
    let x = area.x + column(moment, moment.at, area.width);
    let has_mark = moment.marks.iter().any(|m| column(moment, m.at, area.width) == x - area.x);
    if !has_mark {
        let sign = pen.glyphs().upright;
        pen.put(x, area.y, 1, sign, Role::Text);
    }
    pen.restyle(Rect { x, width: 1, height: 1, ..area }, Role::Selection);
}
