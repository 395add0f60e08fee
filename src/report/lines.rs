//! Lines of `events` and `watch`: one object each.

use serde::Serialize;

use super::connstatus::{Counts, totals};
use super::findings::{FindingDoc, SubjectDoc};
use super::rfc3339;
use super::status::Severities;
use crate::domain::event::Event;
use crate::domain::finding::{Finding, Transition};
use crate::domain::ids::ClusterName;
use crate::domain::snapshot::{Cluster, Snapshot};
use crate::domain::time::Time;

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
}

/// A transition as a line.
#[must_use]
pub fn alert(snapshot: &Snapshot, transition: Transition, finding: &Finding) -> AlertLine {
    let at = snapshot.at;
    let finding = FindingDoc::new(named(snapshot, &finding.cluster), finding);
    AlertLine { kind: "alert", transition: transition.into(), at: rfc3339(at), finding }
}

/// A transition as a line of text.
#[must_use]
pub fn alert_text(transition: Transition, finding: &Finding, at: Time) -> String {
    let word: &str = transition.into();
    let severity = finding.severity.as_str();
    format!("{}  {word:<7}  {severity:<8}  {}  {}\n", rfc3339(at), finding.cluster, finding.text)
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
}

/// The sign of life.
#[must_use]
pub fn heartbeat(snapshot: &Snapshot, only: Option<&str>, at: Time) -> HeartbeatLine {
    HeartbeatLine {
        kind: "heartbeat",
        at: rfc3339(at),
        clusters: super::chosen(snapshot, only).map(|c| c.name.to_string()).collect(),
        counts: totals(snapshot, only),
        severities: Severities::all(snapshot, only),
        dropped: snapshot.dropped,
    }
}

/// The sign of life as a line of text.
#[must_use]
pub fn heartbeat_text(snapshot: &Snapshot, only: Option<&str>, at: Time) -> String {
    let sum = Severities::all(snapshot, only);
    let counts = totals(snapshot, only).text();
    let findings = format!("{} critical, {} warning, {} notice", sum.critical, sum.warning, sum.notice);
    format!("{}  alive    {counts}; {findings}\n", rfc3339(at))
}
