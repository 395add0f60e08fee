//! A notice as named values: one list for all sinks that have fields, so that a name means the same everywhere.

use std::sync::Arc;

use super::Telling;
use crate::domain::alert::{Notice, Told};
use crate::domain::finding::{Severity, Subject};
use crate::domain::ids::HostName;
use crate::domain::text::Line;
use crate::domain::time::{Time, millis};

/// A moment as RFC 3339 UTC with milliseconds.
pub(super) fn rfc3339(time: Time) -> String {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{stamp:.3}")
}

/// The values of one line each, in a fixed order, by their names in kebab case; what does not apply is not there.
/// Evidence is not among them: it has many lines.
pub(super) fn fields(telling: &Telling, watcher: &Arc<str>) -> Vec<(&'static str, String)> {
    let Notice { seq, at, told, alert, before } = &telling.notice;
    let finding = &alert.seen.finding;
    let mut out = vec![
        ("event-id", telling.event_id.clone()),
        ("transition", told.as_str().to_owned()),
        ("severity", finding.severity.as_str().to_owned()),
        ("kind", finding.kind.as_str().to_owned()),
        ("cluster", finding.cluster.to_string()),
        ("id", finding.id.to_string()),
    ];
    let hosts: Vec<&str> = alert.seen.hosts.iter().map(HostName::as_str).collect();
    if !hosts.is_empty() {
        out.push(("hosts", hosts.join(" ")));
    }
    out.extend(groups(&finding.subject).map(|g| ("group", g)));
    out.push(("at", rfc3339(*at)));
    out.push(("since", rfc3339(finding.since)));
    out.push(("raised", rfc3339(alert.raised)));
    if let Some(lasted) = telling.notice.lasted() {
        let ms = millis(lasted);
        out.push(("lasted-s", format!("{}.{:03}", ms / 1000, ms % 1000)));
    }
    if let Some(before) = before {
        out.push(("before", before.as_str().to_owned()));
    }
    if let Some(n) = alert.flapping {
        out.push(("flapping", n.to_string()));
    }
    if let Some(ack) = &alert.ack {
        out.push(("acknowledged-by", ack.by.to_string()));
    }
    out.push(("seq", seq.to_string()));
    out.push(("watcher", watcher.to_string()));
    out
}

/// The groups that are named, as one value.
fn groups(subject: &Subject) -> impl Iterator<Item = String> {
    let names = match subject {
        Subject::Group(g) => Some(g.to_string()),
        Subject::Groups { a, b } => Some(format!("{a} {b}")),
        Subject::Ha(g) => Some(g.to_string()),
        Subject::Watcher | Subject::Cluster | Subject::Peer(_) | Subject::Link { .. } | Subject::Pair { .. } => None,
    };
    names.into_iter()
}

/// The evidence, a line each.
pub(super) fn evidence(notice: &Notice) -> String {
    let lines: Vec<&str> = notice.alert.seen.finding.evidence.iter().map(Line::as_str).collect();
    lines.join("\n")
}

/// Level of syslog and journal (RFC 5424, table 2): critical 2, warning 4, notice 5; what is gone 6.
pub(super) fn level(notice: &Notice) -> u8 {
    match (notice.told, notice.alert.severity()) {
        (Told::Cleared, _) => 6,
        (Told::Raised | Told::Changed | Told::Repeated | Told::Acknowledged, severity) => match severity {
            Severity::Critical => 2,
            Severity::Warning => 4,
            Severity::Notice => 5,
        },
    }
}

/// `event-id` as `PEERDECK_EVENT_ID`.
pub(super) fn variable(name: &str) -> String {
    format!("PEERDECK_{}", name.replace('-', "_").to_ascii_uppercase())
}

/// `text`, cut at a character so that it has no more than `max` bytes.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
