//! What is wrong now, worst and oldest first; Enter shows evidence and advice.

use ratatui::layout::Rect;

use crate::app::App;
use crate::app::alarms::{Standing, step_words};
use crate::app::lists::List;
use crate::app::mouse::Hit;
use crate::domain::{Cluster, Finding, Subject, Time, time};
use crate::ui::glyphs::{Glyphs, severity_role};
use crate::ui::list::{self, Column, Shape};
use crate::ui::pen::{Pen, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let findings = app.findings();
    let Some(cluster) = app.cluster() else { return };
    if findings.is_empty() {
        let hidden = app
            .quiet_note()
            .filter(|_| app.is_quiet_hidden())
            .map(|note| format!("Nothing that needs anybody: {note}; o shows them."));
        let (text, role) = match app.hidden_by_filter("finding").or(hidden) {
            Some(hidden) => (hidden, Role::Muted),
            // Nothing is known to be wrong where nobody has told anything.
            None if cluster.peers.iter().all(|p| p.row.is_none()) => {
                ("No peer has told anything yet.".to_owned(), Role::Unknown)
            }
            None => ("Nothing is wrong.".to_owned(), Role::Ok),
        };
        pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), &text, role);
        return;
    }
    let moment = app.moment(now);
    let g = pen.glyphs();
    let subjects: Vec<String> = findings.iter().map(|f| subject(cluster, &f.subject, g)).collect();
    let widest = subjects.iter().map(|s| text::width(s)).max().unwrap_or(0).clamp(7, 30);
    let place = app.finding_place().min(findings.len() - 1);
    if app.is_zoomed() {
        evidence(pen, area, findings[place], app, moment);
        return;
    }
    let states: Vec<String> = findings.iter().map(|f| state(&app.standing(cluster, f), moment)).collect();
    let state_width = states.iter().map(|s| text::width(s)).max().unwrap_or(0).min(26);
    let columns = [
        Column { title: "severity", width: 12, from_width: 0 },
        Column { title: "since", width: 11, from_width: 0 },
        Column { title: "subject", width: u16::try_from(widest + 2).unwrap_or(32), from_width: 60 },
        Column { title: "kind", width: 20, from_width: 130 },
        // Without a word of the watch there is nothing to show in it.
        Column {
            title: "state",
            width: u16::try_from(state_width.max(5) + 2).unwrap_or(28),
            from_width: if state_width == 0 { u16::MAX } else { 70 },
        },
        Column { title: "finding", width: 40, from_width: 0 },
    ];
    let lower = if app.is_finding_open() { (area.height / 2).max(4) } else { 0 };
    let needed = u16::try_from(findings.len() + 1).unwrap_or(u16::MAX);
    let height = needed.min(area.height.saturating_sub(lower));
    let shape = Shape {
        chosen: app.chosen_columns(List::Findings),
        sorted: app.sorted_column(List::Findings),
        cursor: Some(place),
        ..Shape::new(&columns)
    };
    list::draw(pen, above(area, height), &shape, findings.len(), |at| {
        let f = findings[at];
        let standing = app.standing(cluster, f);
        // What needs nobody is dimmed, and has a letter in place of the sign: state is never colour alone.
        let quiet = standing.is_quiet();
        let role = |role: Role| if quiet { Role::Muted } else { role };
        let sign = match (standing.ack, standing.silence) {
            (Some(_), _) => "a",
            (None, Some(_)) => "s",
            (None, None) => g.finding,
        };
        vec![
            piece(format!("{sign} {}", f.severity.as_str()), role(severity_role(f.severity))),
            piece(text::age(moment.since(f.since)), role(Role::Text)),
            piece(subjects[at].clone(), role(Role::Text)),
            piece(f.kind.as_str(), Role::Muted),
            piece(states[at].clone(), if quiet { Role::Muted } else { Role::Accent }),
            piece(f.text.as_str(), role(Role::Text)),
        ]
    });
    list::hits(pen, above(area, height), findings.len(), Some(place), |at| Hit::Finding(findings[at].id.clone()));
    if app.is_finding_open() {
        let rest = below(area, height);
        let gap = u16::from(rest.height > 6);
        evidence(pen, below(rest, gap), findings[place], app, moment);
    }
}

/// Whom a finding is about, by names.
#[must_use]
pub fn subject(cluster: &Cluster, subject: &Subject, g: &Glyphs) -> String {
    match subject {
        Subject::Watcher => "this console".to_owned(),
        Subject::Cluster => cluster.name.to_string(),
        Subject::Peer(peer) => cluster.label(peer).to_owned(),
        Subject::Link { from, to } => format!("{} {} {}", cluster.label(from), g.arrow, cluster.label(to)),
        Subject::Pair { a, b } => format!("{} + {}", cluster.label(a), cluster.label(b)),
        Subject::Group(group) => group.to_string(),
        Subject::Groups { a, b } => format!("{a} + {b}"),
        Subject::Ha(group) => group.to_string(),
    }
}

/// Who looks after it, until when it is silenced, whether it comes and goes: as short as can be.
fn state(standing: &Standing<'_>, now: Time) -> String {
    let mut words = Vec::new();
    words.extend(standing.ack.map(|ack| format!("ack {}", short(ack.by.as_str()))));
    words.extend(standing.silence.map(|s| format!("silenced {}", text::calm_span(s.until.since(now)))));
    words.extend(standing.flapping.map(|n| format!("flapping {n}")));
    words.join(", ")
}

/// The user of `user@host`.
fn short(by: &str) -> &str {
    by.split('@').next().unwrap_or(by)
}

fn evidence(pen: &mut Pen<'_>, area: Rect, finding: &Finding, app: &App, now: Time) {
    if area.height == 0 {
        return;
    }
    pen.rule(above(area, 1), finding.kind.as_str());
    let inner = below(Rect { x: area.x + 2, width: area.width.saturating_sub(4), ..area }, 1);
    let zone = if app.is_utc() { jiff::tz::TimeZone::UTC } else { pen.look.zone.clone() };
    let since =
        format!("since {}, for {}", text::clock(finding.since, now, &zone), text::age(now.since(finding.since)));
    let mut lines = vec![(since, Role::Muted)];
    let columns = usize::from(inner.width);
    let ellipsis = pen.glyphs().ellipsis;
    let mut sentence = |value: &str, role: Role| {
        lines.extend(text::wrap(value, columns, 4, ellipsis).into_iter().map(|line| (line, role)));
    };
    sentence(finding.text.as_str(), severity_role(finding.severity));
    if !finding.advice.is_empty() {
        sentence(&format!("Do: {}", finding.advice), Role::Accent);
    }
    if let Some(cluster) = app.cluster() {
        let standing = app.standing(cluster, finding);
        if let Some(ack) = standing.ack {
            let why = if ack.reason.is_empty() { String::new() } else { format!(": {}", ack.reason) };
            let at = text::clock(ack.at, now, &zone);
            sentence(&format!("Acknowledged by {} at {at}{why}", ack.by), Role::Accent);
        }
        if let Some(silence) = standing.silence {
            let (until, what) = (text::clock(silence.until, now, &zone), app.matcher_words(&silence.matcher));
            let who = format!("Silenced until {until} by {}: {} ({what})", silence.by, silence.reason);
            sentence(&who, Role::Accent);
        }
        if let Some(n) = standing.flapping {
            sentence(&format!("Flapping: it came and went {n} times"), Role::Warn);
        }
    }
    for line in &finding.evidence {
        sentence(&format!("- {line}"), Role::Text);
    }
    let past = app.past_of(finding);
    if !past.steps.is_empty() {
        let known =
            past.known_from.map(|at| format!(", as far as is known here: since {}", text::clock(at, now, &zone)));
        let times = if past.raised == 1 { "once".to_owned() } else { format!("{} times", past.raised) };
        let summary = format!(
            "History: raised {times} in 24 h, for {} together{}",
            time::human(past.lasted),
            known.unwrap_or_default()
        );
        sentence(&summary, Role::Muted);
        for step in &past.steps {
            sentence(&format!("  {} {}", text::clock(step.at, now, &zone), step_words(step)), Role::Text);
        }
    }
    for (y, (line, role)) in (inner.y..inner.bottom()).zip(&lines) {
        pen.put(inner.x, y, inner.width, line, *role);
    }
    if lines.len() > usize::from(inner.height) && inner.height > 0 {
        let more = format!(" +{} lines ", lines.len() - usize::from(inner.height));
        let width = u16::try_from(more.len()).unwrap_or(0);
        pen.put(area.right().saturating_sub(width + 1), area.y, width, &more, Role::Warn);
    }
}
