//! What every view has around it: header, tabs, hints.

use ratatui::layout::Rect;
use strum::IntoEnumIterator;

use crate::app::alarms::Count;
use crate::app::mouse::Hit;
use crate::app::settings::FeatureOrder;
use crate::app::{App, View, plural};
use crate::domain::{Severity, Time};
use crate::ui::glyphs::severity_role;
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::theme::Role;
use crate::ui::{past, text};

/// Draws the frame and gives the body.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) -> Rect {
    header(pen, Rect { height: 1, ..area }, app, now);
    tabs(pen, Rect { y: area.y + 1, height: 1, ..area }, app, now);
    let last = Rect { y: area.bottom() - 1, height: 1, ..area };
    // A free line above the body when there is room for calm.
    let top = if area.height >= 20 { 3 } else { 2 };
    let strip = past::height(app, area.height);
    let mut bottom = 1 + strip;
    past::draw(pen, Rect { y: last.y - strip, height: strip, ..area }, app, now);
    match app.filter().typing.as_ref().filter(|_| app.overlay().is_none()) {
        Some(field) => {
            bottom += 1;
            filter_field(pen, Rect { y: last.y - strip - 1, ..last }, app, field.as_str(), now, last);
        }
        None => hints(pen, last, app, now),
    }
    Rect { y: area.y + top, height: area.height - top - bottom, ..area }
}

fn header(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    pen.fill(area, Role::Header);
    pen.base = Role::Header;
    // On the page of clusters each line has its own figures.
    let fleet = app.overview().is_some();
    let fresh = if fleet { piece("", Role::Header) } else { freshness(app, now) };
    let fresh_width = width_of(std::slice::from_ref(&fresh));
    let must = must_have(pen, app, now);
    let extra = if fleet { Vec::new() } else { nice_to_have(app, now) };
    let (number, count) = app.cluster_number();
    let (name, which) = match app.cluster() {
        None => ("no cluster", String::new()),
        Some(_) if app.overview().is_some() => ("fleet", format!(" {count} {}", plural(count, "cluster"))),
        Some(c) if count > 1 => (c.name.as_str(), format!(" {number}/{count}")),
        Some(c) => (c.name.as_str(), String::new()),
    };

    // The name gives way first, then what is nice to have from its end; badges and the worst finding never.
    let room = usize::from(area.width).saturating_sub(width_of(&must) + 3 + text::width(&which));
    let name = text::cut(name, room.clamp(6, 32), pen.glyphs().ellipsis);
    let mut pieces = vec![piece(" ", Role::Header), piece(name, Role::Accent), piece(which, Role::Muted)];
    pieces.extend(must);
    let mut used = width_of(&pieces);
    let keep_fresh = used + 2 + fresh_width < usize::from(area.width);
    let limit = usize::from(area.width) - if keep_fresh { fresh_width + 3 } else { 0 };
    for group in extra {
        let wide = width_of(&group);
        if used + wide > limit {
            break;
        }
        used += wide;
        pieces.extend(group);
    }
    pen.line(area, &pieces);
    if keep_fresh {
        let x = area.right() - u16::try_from(fresh_width + 1).unwrap_or(1);
        pen.put(x, area.y, area.width, &fresh.text, fresh.role);
    }
    pen.base = Role::Text;
}

/// Badges and findings.
fn must_have(pen: &Pen<'_>, app: &App, now: Time) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut badge = |text: String, role: Role| {
        pieces.push(piece(" ", Role::Header));
        pieces.push(piece(format!(" {text} "), role));
    };
    // First, so that no narrow screen can lose it.
    if let Some(past) = past::badge(pen, app, now) {
        badge(past, Role::BadgeLoud);
    }
    if app.options().lab {
        badge("LAB".into(), Role::Badge);
    }
    if app.options().read_only {
        badge("READ-ONLY".into(), Role::Badge);
    }
    if let Some(since) = app.paused_at() {
        let news = match app.alerts_while_paused() {
            0 => String::new(),
            n => format!(", {n} {}", plural(n, "alert")),
        };
        badge(format!("PAUSED {}{news}", text::calm_span(now.since(since))), Role::BadgeLoud);
    }
    if app.overview().is_some() {
        return pieces;
    }
    match app.staged_count() {
        0 => {}
        n => badge(format!("{n} STAGED"), Role::Badge),
    }
    let worked_on = app.in_maintenance(now);
    match worked_on.as_slice() {
        [] => {}
        [one] => badge(format!("MAINTENANCE {}", text::cut_middle(one, 12, pen.glyphs().ellipsis)), Role::Badge),
        several => badge(format!("MAINTENANCE {}", several.len()), Role::Badge),
    }
    let mut any = false;
    for count in app.counts() {
        let Count { severity, all, acked, silenced } = count;
        if all > 0 && !(any && severity == Severity::Notice) {
            any = true;
            let quiet = match (acked, silenced) {
                (0, 0) => String::new(),
                (n, 0) => format!(" ({n} ack)"),
                (0, n) => format!(" ({n} silenced)"),
                (a, s) => format!(" ({a} ack, {s} silenced)"),
            };
            let text = format!("  {} {all} {}{quiet}", pen.glyphs().finding, severity.as_str());
            // What somebody looks after is no longer loud.
            pieces.push(piece(text, if count.open() > 0 { severity_role(severity) } else { Role::Muted }));
        }
    }
    pieces
}

/// Counts, the most needed first.
fn nice_to_have(app: &App, now: Time) -> Vec<Vec<Piece>> {
    let (peers_up, peers) = app.peer_counts(now);
    let (links, links_up) = app.cluster().map_or((0, 0), |c| c.link_counts(app.moment(now)));
    let count = |up: usize, all: usize, word: &str| {
        let role = if up == all { Role::Ok } else { Role::Warn };
        vec![piece(format!("  {up}/{all}"), role), piece(format!(" {word}"), Role::Header)]
    };
    let mut groups = vec![count(peers_up, peers, "peers"), count(links_up, links, "links")];
    let dropped = app.picture().dropped.saturating_add(app.alerts_missed());
    if dropped > 0 {
        groups.push(vec![piece(format!("  dropped {dropped}"), Role::Crit)]);
    }
    match app.other_sessions() {
        0 => {}
        n => groups.push(vec![piece(format!("  {n} other {}", plural(n, "session")), Role::Header)]),
    }
    groups
}

fn freshness(app: &App, now: Time) -> Piece {
    match (app.freshness(now), app.newest_row(now)) {
        (Some(age), _) if app.stands_still() => piece(format!("was {}", text::age(age)), Role::Warn),
        (Some(age), _) => piece(format!("live {}", text::age(age)), Role::Ok),
        (None, Some(age)) => piece(format!("no news for {}", text::calm_span(age)), Role::Crit),
        (None, None) => piece("no news yet", Role::Unknown),
    }
}

fn width_of(pieces: &[Piece]) -> usize {
    pieces.iter().map(|p| text::width(&p.text)).sum()
}

fn tabs(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let mut x = area.x + 1;
    if app.overview().is_some() {
        pen.put(x, area.y, area.right().saturating_sub(x), " Clusters ", Role::TabActive);
        return;
    }
    for view in View::iter() {
        let name = view.name();
        let key = app.keymap().first_key(app.view_scope(), view.action()).map_or_else(String::new, |k| format!("{k} "));
        let role = if view == app.view() { Role::TabActive } else { Role::Tab };
        let start = x;
        x = pen.put(x, area.y, area.right().saturating_sub(x), &format!(" {key}{name} "), role) + 1;
        if view == View::Ha && app.is_ha_loud(now) {
            // The loudest thing on the screen, from whatever view.
            x = pen.put(x - 1, area.y, area.right().saturating_sub(x), " !! ", Role::BadgeLoud) + 1;
        }
        pen.hit(Rect { x: start, width: x - start, ..area }, || Hit::Tab(view));
    }
    for crumb in app.crumbs(now) {
        let crumb = format!("{} {} ", pen.glyphs().step, text::cut_middle(&crumb, 40, pen.glyphs().ellipsis));
        x = pen.put_cut(x, area.y, area.right().saturating_sub(x), &crumb, Role::Accent);
    }
    x += 1;
    // What hides something is always told.
    let mut notes = Vec::new();
    if !app.marks().is_empty() {
        notes.push(format!("{} marked", app.marks().len()));
    }
    notes.extend(app.quiet_note());
    if !app.filter().text.is_empty() {
        let (shown, all) = app.hits(now);
        notes.push(format!("filter: {} ({shown}/{all})", app.filter().text));
    }
    if app.view() == View::Mesh {
        if app.is_faults_only() {
            notes.push("faults only".to_owned());
        }
        if app.sort() != crate::app::grid::Sort::Group {
            notes.push(format!("order: {}", app.sort().title()));
        }
    }
    if app.view() == View::Settings && app.feature_order() != FeatureOrder::Name && app.beside().is_none() {
        let order: &str = app.feature_order().into();
        notes.push(format!("order: {order}"));
    }
    if !notes.is_empty() {
        let left = usize::from(area.right().saturating_sub(x + 1));
        let note = text::cut(&format!(" {} ", notes.join("  ")), left, pen.glyphs().ellipsis);
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(area.right().saturating_sub(width + 1), area.y, width, &note, Role::Badge);
    }
}

/// The field, the number of its hits, and below it what can be typed, or what is wrong.
fn filter_field(pen: &mut Pen<'_>, area: Rect, app: &App, field: &str, now: Time, last: Rect) {
    let (shown, all) = app.hits(now);
    let hits = format!("{shown} of {all} ");
    let wide = u16::try_from(text::width(&hits)).unwrap_or(0);
    let room = area.width.saturating_sub(wide + 3);
    // Its end is what is being typed.
    let columns = usize::from(room.saturating_sub(2));
    let from = field.char_indices().map(|(at, _)| at).find(|at| text::width(&field[*at..]) <= columns);
    let x = pen.put(area.x, area.y, room, &format!(" /{}", &field[from.unwrap_or(field.len())..]), Role::Text);
    pen.put(x, area.y, 1, " ", Role::Selection);
    let role = if shown == 0 && all > 0 { Role::Warn } else { Role::Muted };
    pen.put(area.right().saturating_sub(wide), area.y, wide, &hits, role);
    let below = Rect { x: last.x + 1, y: last.y, width: last.width.saturating_sub(2), height: 1 };
    let fields = app.vocabulary().listed();
    let help = format!("text  !text  {fields}   Esc ends  Enter keeps  Tab completes");
    let (told, role) = app.filter().problem().map_or((help, Role::Muted), |p| (p.to_owned(), Role::Warn));
    pen.put_cut(below.x, below.y, below.width, &told, role);
}

fn hints(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let mut x = area.x + 1;
    if !app.pending().is_empty() {
        let typed = crate::app::keys::print(app.pending());
        x = pen.put(x, area.y, area.width, &format!("{typed} {}  ", pen.glyphs().ellipsis), Role::Accent);
    }
    for (key, word) in app.hints(now) {
        let wide = text::width(&key) + text::width(word) + 3;
        if usize::from(x) + wide > usize::from(area.right()) {
            break;
        }
        x = pen.put(x, area.y, area.width, &key, Role::Key);
        x = pen.put(x + 1, area.y, area.width, word, Role::Muted) + 2;
    }
}

/// What is told for a moment, at the end of the last line above the hints.
pub fn toast(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let Some(toast) = app.toast_shown(now) else { return };
    let role = match toast.severity {
        Severity::Critical | Severity::Warning => Role::BadgeLoud,
        Severity::Notice => Role::Badge,
    };
    let text = text::cut(&format!(" {} ", toast.text), usize::from(area.width) - 2, pen.glyphs().ellipsis);
    let width = u16::try_from(text::width(&text)).unwrap_or(0);
    // A field that is being typed into is not covered, nor is the time line.
    let field = app.filter().typing.is_some() && app.overlay().is_none();
    // The question about a host key may reach down to its buttons there.
    let asked = app.questions().open().is_some();
    let up = if asked { 1 } else { 2 + u16::from(field) + past::height(app, area.height) };
    pen.put(area.right() - 1 - width, area.bottom() - up, width, &text, role);
}
