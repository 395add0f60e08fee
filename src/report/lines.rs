//! Lines of `events` and `watch`: one object each.

use std::fmt::Write as _;

use serde::Serialize;

use super::connstatus::{Counts, totals};
use super::findings::{FindingDoc, SubjectDoc};
use super::rfc3339;
use super::status::Severities;
use super::vitals::{SinkVitals, Vitals};
use crate::domain::alert::Notice;
use crate::domain::event::Event;
use crate::domain::ids::ClusterName;
use crate::domain::snapshot::{Cluster, Snapshot};
use crate::domain::time::{Time, human};

/// A line of `events --json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EventLine {
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    cluster: Option<String>,
    subject: SubjectDoc,
    text: String,
}

/// An event as a line.
#[must_use]
pub fn event(snapshot: &Snapshot, event: &Event) -> EventLine {
    let cluster = event.cluster.as_ref().and_then(|name| named(snapshot, name));
    EventLine {
        kind: event.kind.into(),
        at: rfc3339(event.at),
        cluster: cluster.map(|c| &c.name).or(event.cluster.as_ref()).map(ToString::to_string),
        subject: SubjectDoc::new(cluster, &event.subject),
        text: event.text.to_string(),
    }
}

/// The cluster of this name; the only one, if it was renamed since.
#[must_use]
pub fn named<'a>(snapshot: &'a Snapshot, name: &ClusterName) -> Option<&'a Cluster> {
    let clusters = snapshot.clusters.iter().map(AsRef::as_ref);
    let mut fitting = clusters.filter(|c| c.name == *name || snapshot.clusters.len() == 1);
    fitting.next()
}

/// An event as a line of text.
#[must_use]
pub fn event_text(snapshot: &Snapshot, event: &Event) -> String {
    let kind: &str = event.kind.into();
    let cluster = match &event.cluster {
        Some(name) if snapshot.clusters.len() > 1 => format!("{name}  "),
        Some(_) | None => String::new(),
    };
    format!("{}  {kind:<10}  {cluster}{}\n", rfc3339(event.at), event.text)
}

/// A line of `watch --json` about a finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AlertLine {
    #[serde(rename = "type")]
    kind: &'static str,
    transition: &'static str,
    at: String,
    #[serde(flatten)]
    finding: FindingDoc,
    event_id: Option<String>,
    seq: Option<u64>,
    hosts: Vec<String>,
    raised_at: String,
    duration_s: Option<u64>,
    flapping: Option<u32>,
    acknowledged_by: Option<String>,
}

/// A notice as a line. `event_id` is null where the finding is shown and not told, as by `--once` without a state.
#[must_use]
pub fn alert(notice: &Notice, event_id: Option<&str>) -> AlertLine {
    let alert = &notice.alert;
    AlertLine {
        kind: "alert",
        transition: notice.told.as_str(),
        at: rfc3339(notice.at),
        finding: FindingDoc::of(&alert.seen),
        event_id: event_id.map(ToOwned::to_owned),
        seq: event_id.map(|_| notice.seq),
        hosts: alert.seen.hosts.iter().map(ToString::to_string).collect(),
        raised_at: rfc3339(alert.raised),
        duration_s: notice.lasted().map(|d| d.as_secs()),
        flapping: alert.flapping,
        acknowledged_by: alert.ack.as_ref().map(|a| a.by.to_string()),
    }
}

/// A notice as a line of text.
#[must_use]
pub fn alert_text(notice: &Notice) -> String {
    let alert = &notice.alert;
    let finding = &alert.seen.finding;
    let mut more = String::new();
    let mut add = |text: String| {
        more.push_str(if more.is_empty() { "  (" } else { ", " });
        more.push_str(&text);
    };
    if let Some(changes) = alert.flapping {
        add(format!("flapping, {changes} changes"));
    }
    if let Some(before) = notice.before {
        add(format!("was {}", before.as_str()));
    }
    if let Some(ack) = &alert.ack {
        let why = if ack.reason.as_str().is_empty() { String::new() } else { format!(": {}", ack.reason) };
        add(format!("{} looks after it{why}", ack.by));
    }
    if let Some(lasted) = notice.lasted() {
        add(format!("after {}", human(lasted)));
    }
    if !more.is_empty() {
        more.push(')');
    }
    let (word, severity) = (notice.told.as_str(), finding.severity.as_str());
    format!("{}  {word:<12}  {severity:<8}  {}  {}{more}\n", rfc3339(notice.at), finding.cluster, finding.text)
}

/// A line of `watch --json` that says that the watch lives, and what it sees.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeartbeatLine {
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    clusters: Vec<String>,
    counts: Counts,
    severities: Severities,
    dropped: u64,
    seq: u64,
    sinks: Vec<SinkLine>,
    troubles: Vec<String>,
}

/// How a way out fares.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SinkLine {
    name: String,
    waiting: u64,
    delivered: u64,
    dropped: u64,
    by_fellow: u64,
    failures: u64,
    last_success: Option<String>,
    last_error: Option<String>,
}

impl SinkLine {
    fn new(sink: &SinkVitals) -> Self {
        Self {
            name: sink.name.clone(),
            waiting: sink.waiting,
            delivered: sink.delivered,
            dropped: sink.dropped,
            by_fellow: sink.by_fellow,
            failures: sink.failures,
            last_success: sink.succeeded.map(rfc3339),
            last_error: sink.error.clone(),
        }
    }
}

/// The sign of life, with how the watch itself fares.
#[must_use]
pub fn heartbeat(snapshot: &Snapshot, only: Option<&str>, vitals: &Vitals, at: Time) -> HeartbeatLine {
    HeartbeatLine {
        kind: "heartbeat",
        at: rfc3339(at),
        clusters: super::chosen(snapshot, only).map(|c| c.name.to_string()).collect(),
        counts: totals(snapshot, only),
        severities: Severities::all(snapshot, only),
        dropped: snapshot.dropped,
        seq: vitals.seq,
        sinks: vitals.sinks.iter().map(SinkLine::new).collect(),
        troubles: vitals.troubles(at),
    }
}

/// The sign of life as a line of text.
#[must_use]
pub fn heartbeat_text(snapshot: &Snapshot, only: Option<&str>, vitals: &Vitals, at: Time) -> String {
    let sum = Severities::all(snapshot, only);
    let counts = totals(snapshot, only).text();
    let mut text = format!(
        "{}  alive         {counts}; {} critical, {} warning, {} notice",
        rfc3339(at),
        sum.critical,
        sum.warning,
        sum.notice
    );
    // Writing into a text can't fail.
    for sink in vitals.sinks.iter().filter(|s| s.failures > 0 || s.dropped > 0) {
        let _ = write!(text, "; sink {}: {} waiting, {} dropped", sink.name, sink.waiting, sink.dropped);
        if let Some(error) = &sink.error {
            let _ = write!(text, ", fails: {error}");
        }
    }
    for trouble in vitals.troubles(at) {
        let _ = write!(text, "; {trouble}");
    }
    text.push('\n');
    text
}
