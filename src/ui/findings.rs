//! What is wrong now, worst and oldest first; Enter shows evidence and advice.

use ratatui::layout::Rect;

use crate::app::App;
use crate::app::mouse::Hit;
use crate::domain::{Cluster, Finding, Subject, Time, time};
use crate::ui::glyphs::{Glyphs, severity_role};
use crate::ui::list::{self, Column};
use crate::ui::pen::{Pen, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let findings = app.findings();
    let Some(cluster) = app.cluster() else { return };
    if findings.is_empty() {
        let text = if app.filter().text.is_empty() {
            "Nothing is wrong."
        } else {
            "No finding passes the filter. Press Esc to end it."
        };
        pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), text, Role::Ok);
        return;
    }
    let moment = app.moment(now);
    let g = pen.glyphs();
    let subjects: Vec<String> = findings.iter().map(|f| subject(cluster, &f.subject, g)).collect();
    let widest = subjects.iter().map(|s| text::width(s)).max().unwrap_or(0).clamp(7, 30);
    let columns = [
        Column { title: "severity", width: 12, from_width: 0 },
        Column { title: "since", width: 11, from_width: 0 },
        Column { title: "subject", width: u16::try_from(widest + 2).unwrap_or(32), from_width: 60 },
        Column { title: "finding", width: 40, from_width: 0 },
    ];
    let place = app.finding_place().min(findings.len() - 1);
    let lower = if app.is_finding_open() { (area.height / 2).max(4) } else { 0 };
    let needed = u16::try_from(findings.len() + 1).unwrap_or(u16::MAX);
    let height = needed.min(area.height.saturating_sub(lower));
    list::draw(pen, above(area, height), &columns, findings.len(), Some(place), |at| {
        let f = findings[at];
        vec![
            piece(format!("{} {}", g.finding, f.severity.as_str()), severity_role(f.severity)),
            piece(time::human(moment.since(f.since)), Role::Text),
            piece(subjects[at].clone(), Role::Text),
            piece(f.text.as_str(), Role::Text),
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
    }
}

fn evidence(pen: &mut Pen<'_>, area: Rect, finding: &Finding, app: &App, now: Time) {
    if area.height == 0 {
        return;
    }
    pen.rule(above(area, 1), finding.kind.as_str());
    let inner = below(Rect { x: area.x + 2, width: area.width.saturating_sub(4), ..area }, 1);
    let zone = if app.is_utc() { jiff::tz::TimeZone::UTC } else { pen.look.zone.clone() };
    let since =
        format!("since {}, for {}", text::clock(finding.since, now, &zone), time::human(now.since(finding.since)));
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
    for line in &finding.evidence {
        sentence(&format!("- {line}"), Role::Text);
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
