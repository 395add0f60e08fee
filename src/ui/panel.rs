//! Lists that lie over a view: the command log, past toasts, sessions, columns; and the page of clusters.

use ratatui::layout::Rect;

use crate::app::overview::ClusterLine;
use crate::app::panel::{Panel, PanelKind};
use crate::app::{App, plural};
use crate::domain::{OutcomeState, Severity, Time};
use crate::ui::glyphs::severity_role;
use crate::ui::list::{self, Column, Shape};
use crate::ui::pen::{Pen, Piece, above, below, piece};
use crate::ui::theme::Role;
use crate::ui::{alarms, settings, text};

const fn column(title: &'static str, width: u16, from_width: u16) -> Column {
    Column { title, width, from_width }
}

/// Draws a panel that is a box over the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, panel: &Panel, now: Time) {
    let len = app.panel_len(panel, now);
    let title = match panel.kind {
        PanelKind::Overview => return,
        PanelKind::Log => "Command log".to_owned(),
        PanelKind::Notices => "Past toasts".to_owned(),
        PanelKind::Sessions => "Sessions on the peers; one of each is this console's".to_owned(),
        PanelKind::Columns => "Columns".to_owned(),
        PanelKind::Silences => "Silences: what is not told, until when, and why".to_owned(),
        PanelKind::Recent => alarms::recent_title(app, now),
        PanelKind::Changes | PanelKind::Conflicts | PanelKind::Versions | PanelKind::Pick(_) => {
            return settings_list(pen, area, app, panel, len, now);
        }
    };
    let wide = match panel.kind {
        PanelKind::Columns => 44,
        PanelKind::Overview
        | PanelKind::Log
        | PanelKind::Notices
        | PanelKind::Sessions
        | PanelKind::Changes
        | PanelKind::Conflicts
        | PanelKind::Versions
        | PanelKind::Pick(_)
        | PanelKind::Silences
        | PanelKind::Recent => 130,
    };
    let height = u16::try_from(len + 8).unwrap_or(u16::MAX).clamp(8, area.height.saturating_sub(2).max(8));
    let inner = pen.dialog(area, (area.width - 2).min(wide), height.min(area.height), &title);
    let body = Rect { height: inner.height.saturating_sub(1), ..inner };
    if len == 0 {
        for (y, line) in (body.y..body.bottom()).zip(text::wrap(&empty(app, panel), usize::from(body.width), 3, "")) {
            pen.put(body.x, y, body.width, &line, Role::Muted);
        }
    } else {
        // What is cut in its line stands in full below the list.
        let whole = selected_text(app, panel, len, now);
        let wrapped = text::wrap(&whole, usize::from(body.width), 3, pen.glyphs().ellipsis);
        let room = usize::from(body.width).saturating_sub(24);
        let below_list = if text::width(&whole) > room && body.height > 5 { wrapped } else { Vec::new() };
        let used = u16::try_from(below_list.len()).unwrap_or(0);
        lines(pen, Rect { height: body.height - used, ..body }, app, panel, len, now);
        for (y, line) in (body.bottom() - used..body.bottom()).zip(&below_list) {
            pen.put(body.x, y, body.width, line, Role::Accent);
        }
    }
    foot(pen, Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner }, panel);
}

/// Draws a list of the Settings view.
fn settings_list(pen: &mut Pen<'_>, area: Rect, app: &App, panel: &Panel, len: usize, now: Time) {
    let (wide, extra) = match panel.kind {
        PanelKind::Pick(_) => (100, 4),
        _ => (150, usize::from(area.height)),
    };
    let height = u16::try_from(len + extra + 4).unwrap_or(u16::MAX).clamp(8, area.height.saturating_sub(2).max(8));
    let title = settings::lists::title(app, panel.kind);
    let inner = pen.dialog(area, (area.width - 2).min(wide), height.min(area.height), &title);
    let body = Rect { height: inner.height.saturating_sub(1), ..inner };
    if len == 0 {
        let text = empty(app, panel);
        for (y, line) in (body.y..body.bottom()).zip(text::wrap(&text, usize::from(body.width), 3, "")) {
            pen.put(body.x, y, body.width, &line, Role::Muted);
        }
    } else {
        settings::lists::draw(pen, body, app, panel, now);
    }
    foot(pen, Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner }, panel);
}

/// The text of the selected line, where lines are sentences.
fn selected_text(app: &App, panel: &Panel, len: usize, now: Time) -> String {
    let (query, place) = (panel.query.as_str(), panel.place(len));
    match panel.kind {
        PanelKind::Log => app.log_lines(query).get(place).map(|e| e.text.clone()).unwrap_or_default(),
        PanelKind::Notices => app.notice_lines(query).get(place).map(|n| n.text.clone()).unwrap_or_default(),
        PanelKind::Silences => {
            let lines = app.silence_lines(query);
            lines.get(place).map(|s| format!("{}: {}", app.matcher_words(&s.matcher), s.reason)).unwrap_or_default()
        }
        PanelKind::Recent => app.recent_lines(query, now).get(place).map(|l| l.text.clone()).unwrap_or_default(),
        PanelKind::Overview
        | PanelKind::Sessions
        | PanelKind::Columns
        | PanelKind::Changes
        | PanelKind::Conflicts
        | PanelKind::Versions
        | PanelKind::Pick(_) => String::new(),
    }
}

/// What stands in a panel without lines.
fn empty(app: &App, panel: &Panel) -> String {
    if !panel.query.as_str().is_empty() {
        return "Nothing contains what is searched for. Press / and Esc to end the search.".to_owned();
    }
    match panel.kind {
        PanelKind::Changes | PanelKind::Conflicts | PanelKind::Versions | PanelKind::Pick(_) => {
            settings::lists::empty(app, panel.kind)
        }
        PanelKind::Overview => "The fleet has no cluster.".to_owned(),
        PanelKind::Log => "No command was sent from here yet.".to_owned(),
        PanelKind::Notices => "Nothing was told yet.".to_owned(),
        PanelKind::Sessions => match app.cluster().map(|c| c.peers.iter().filter(|p| p.is_reached()).count()) {
            None | Some(0) => "No peer is on the line that could tell who is logged in.".to_owned(),
            Some(n) => format!(
                "The {n} {} on the line {} of no session.",
                plural(n, "peer"),
                if n == 1 { "tells" } else { "tell" }
            ),
        },
        PanelKind::Columns => "This view has no columns to choose.".to_owned(),
        PanelKind::Silences => "Nothing is silenced, and nothing was lately.".to_owned(),
        PanelKind::Recent => alarms::nothing_changed(app),
    }
}

fn foot(pen: &mut Pen<'_>, area: Rect, panel: &Panel) {
    let query = panel.query.as_str();
    if panel.typing || !query.is_empty() {
        let cursor = if panel.typing { "_" } else { "" };
        pen.line(area, &[piece("/", Role::Key), piece(query, Role::Text), piece(cursor, Role::Accent)]);
        return;
    }
    let keys: &[(&str, &str)] = match panel.kind {
        PanelKind::Columns => &[("Enter", "on or off"), ("u", "usual ones"), ("Esc", "closes")],
        PanelKind::Overview | PanelKind::Log | PanelKind::Notices | PanelKind::Sessions => {
            &[("Esc", "closes"), ("j k", "move"), ("/", "searches"), ("U", "local/UTC")]
        }
        PanelKind::Silences => &[("x", "ends it"), ("Esc", "closes"), ("j k", "move"), ("/", "searches")],
        PanelKind::Recent => &[("s", "further back"), ("Esc", "closes"), ("j k", "move"), ("/", "searches")],
        PanelKind::Changes | PanelKind::Conflicts | PanelKind::Versions | PanelKind::Pick(_) => {
            settings::lists::keys(panel.kind)
        }
    };
    let pieces: Vec<Piece> =
        keys.iter().flat_map(|(k, w)| [piece(*k, Role::Key), piece(format!(" {w}   "), Role::Muted)]).collect();
    pen.line(area, &pieces);
}

fn lines(pen: &mut Pen<'_>, area: Rect, app: &App, panel: &Panel, len: usize, now: Time) {
    let query = panel.query.as_str();
    let place = panel.place(len);
    let moment = app.moment(now);
    let zone = zone(pen, app);
    let clock = |at: Time| piece(text::clock(at, moment.max(at), &zone), Role::Muted);
    let shape = |columns| Shape { cursor: Some(place), ..Shape::new(columns) };
    match panel.kind {
        PanelKind::Overview | PanelKind::Changes | PanelKind::Conflicts | PanelKind::Versions | PanelKind::Pick(_) => {}
        PanelKind::Silences => alarms::silences(pen, area, app, panel, now),
        PanelKind::Recent => alarms::recent(pen, area, app, panel, now),
        PanelKind::Log => {
            let entries = app.log_lines(query);
            let columns = [column("time", 13, 0), column("by", 6, 60), column("command and outcome", 60, 0)];
            list::draw(pen, area, &shape(&columns), len, |at| {
                let entry = entries[at];
                vec![
                    clock(entry.at),
                    piece(entry.by, Role::Text),
                    piece(entry.text.as_str(), entry.state().map_or(Role::Text, outcome_role)),
                ]
            });
        }
        PanelKind::Notices => {
            let notices = app.notice_lines(query);
            let columns = [column("time", 13, 0), column("severity", 10, 60), column("text", 60, 0)];
            list::draw(pen, area, &shape(&columns), len, |at| {
                let notice = notices[at];
                let role = severity_role(notice.severity);
                let told = if notice.severity == Severity::Notice { Role::Text } else { role };
                vec![clock(notice.at), piece(notice.severity.as_str(), role), piece(notice.text.as_str(), told)]
            });
        }
        PanelKind::Sessions => {
            let sessions = app.session_lines(query);
            let Some(cluster) = app.cluster() else { return };
            let widest = sessions.iter().map(|(p, _)| text::width(cluster.label(&p.id))).max().unwrap_or(4);
            let columns = [
                column("peer", u16::try_from(widest.clamp(4, 24) + 2).unwrap_or(12), 0),
                column("who", 14, 0),
                column("from", 24, 60),
                column("since", 13, 40),
                column("doing", 30, 50),
            ];
            list::draw(pen, area, &shape(&columns), len, |at| {
                let (peer, session) = sessions[at];
                vec![
                    piece(cluster.label(&peer.id), Role::Accent),
                    piece(session.user.as_str(), Role::Text),
                    piece(session.from.as_str(), Role::Text),
                    clock(session.since),
                    piece(session.what.as_str(), Role::Text),
                ]
            });
        }
        PanelKind::Columns => {
            let columns = app.column_lines(query);
            let titles = [column("shown", 8, 0), column("column", 30, 0)];
            list::draw(pen, area, &shape(&titles), len, |at| {
                let (_, name, wanted) = columns[at];
                vec![piece(if wanted { "[x]" } else { "[ ]" }, Role::Text), piece(name, Role::Text)]
            });
        }
    }
}

fn zone(pen: &Pen<'_>, app: &App) -> jiff::tz::TimeZone {
    if app.is_utc() { jiff::tz::TimeZone::UTC } else { pen.look.zone.clone() }
}

fn outcome_role(state: OutcomeState) -> Role {
    match state {
        OutcomeState::Sent | OutcomeState::Accepted | OutcomeState::Running => Role::Text,
        OutcomeState::Observed => Role::Ok,
        OutcomeState::Refused | OutcomeState::Unknown => Role::Warn,
        OutcomeState::Failed => Role::Crit,
    }
}

/// Draws the page of clusters in place of the view.
pub fn overview(pen: &mut Pen<'_>, area: Rect, app: &App, panel: &Panel, now: Time) {
    let lines = app.cluster_lines(panel.query.as_str(), now);
    let head = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..above(area, 1) };
    let ill = lines.iter().filter(|l| l.worst.is_some()).count();
    let sentence = match (lines.len(), ill) {
        (0, _) => empty(app, panel),
        (n, 0) => format!("{n} {}, and nothing is wrong.", plural(n, "cluster")),
        (n, ill) => format!("{ill} of {n} clusters {} findings.", if ill == 1 { "has" } else { "have" }),
    };
    pen.put_cut(head.x, head.y, head.width, &sentence, if ill > 0 { Role::Warn } else { Role::Ok });
    if panel.typing || !panel.query.as_str().is_empty() {
        let search = format!("  /{}{}", panel.query.as_str(), if panel.typing { "_" } else { "" });
        let width = u16::try_from(text::width(&search)).unwrap_or(0);
        pen.put_cut(head.right().saturating_sub(width), head.y, width, &search, Role::Accent);
    }
    if lines.is_empty() {
        return;
    }
    let name = lines.iter().map(|l| text::width(l.name.as_str())).max().unwrap_or(7).clamp(7, 24);
    let columns = [
        column("cluster", u16::try_from(name + 2).unwrap_or(26), 0),
        column("worst", 14, 0),
        column("peers", 9, 0),
        column("links", 12, 46),
        column("news", 11, 58),
        column("maint", 7, 90),
        column("detached", 10, 100),
        column("worst finding", 40, 72),
    ];
    let shape = Shape { cursor: Some(panel.place(lines.len())), ..Shape::new(&columns) };
    let sign = pen.glyphs().finding;
    list::draw(pen, below(area, 2), &shape, lines.len(), |at| cluster_line(sign, &lines[at]));
}

fn cluster_line(sign: &str, line: &ClusterLine<'_>) -> Vec<Piece> {
    let count = |(up, all): (usize, usize)| {
        piece(format!("{up}/{all}"), if up == all && all > 0 { Role::Ok } else { Role::Warn })
    };
    let worst = match (line.worst, line.findings) {
        (None, _) if line.peers.1 == 0 => piece("unknown", Role::Unknown),
        (None, _) => piece("ok", Role::Ok),
        (Some(f), (0, n)) if f.severity == Severity::Warning => {
            piece(format!("{sign} {n} warning"), severity_role(f.severity))
        }
        (Some(f), (n, _)) if f.severity == Severity::Critical => {
            piece(format!("{sign} {n} critical"), severity_role(f.severity))
        }
        (Some(f), _) => piece(format!("{sign} {}", f.severity.as_str()), severity_role(f.severity)),
    };
    let news = match (line.fresh, line.newest) {
        (Some(age), _) => piece(text::age(age), Role::Ok),
        (None, Some(age)) => piece(format!("{} old", text::short_span(age)), Role::Crit),
        (None, None) => piece("none yet", Role::Unknown),
    };
    let some = |n: usize| piece(if n == 0 { String::new() } else { n.to_string() }, Role::Detached);
    vec![
        piece(line.name.as_str(), Role::Accent),
        worst,
        count(line.peers),
        count(line.links),
        news,
        some(line.maintenance),
        some(line.detached),
        piece(line.worst.map_or("", |f| f.text.as_str()), Role::Text),
    ]
}
