//! A snapshot as public `--json` documents and as tables. Pure: the snapshot knows what time it is.
//!
//! Names and meaning of the fields are kept. Times are RFC 3339 UTC, a peer is its full host name, what is not
//! known is null, and every peer, link, group and finding carries its cluster. What a peer said too long ago is not known.

pub mod action;
pub mod check;
pub mod connstatus;
pub mod diagnose;
pub mod edits;
pub mod findings;
pub mod ha;
pub mod ha_table;
#[cfg(test)]
pub(crate) mod hand_made;
pub mod history;
pub mod inconsistencies;
pub mod lines;
pub mod list;
pub mod metrics;
pub mod settings;
pub mod status;
pub mod table;
#[cfg(test)]
mod tests;
pub mod vitals;

use std::time::Duration;

use crate::domain::ids::PeerId;
use crate::domain::snapshot::{Cluster, Peer, Snapshot};
use crate::domain::time::human;
use crate::domain::{ReachState, Time};

pub use check::Check;
pub use table::Style;

/// One JSON document, ended by a new line.
#[must_use]
pub fn document<T: serde::Serialize>(document: &T) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
    text.push('\n');
    text
}

/// One JSON object on one line.
#[must_use]
pub fn line<T: serde::Serialize>(object: &T) -> String {
    let mut text = serde_json::to_string(object).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
    text.push('\n');
    text
}

/// A moment as RFC 3339 UTC with milliseconds.
#[must_use]
pub fn rfc3339(time: Time) -> String {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{stamp:.3}")
}

/// Seconds with milliseconds.
fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Milliseconds with microseconds.
fn milliseconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// The full host name of a peer; its serial number when nobody has told the name.
fn host(cluster: &Cluster, id: &PeerId) -> String {
    cluster.peer(id).map_or_else(|| id.to_string(), |p| p.host.to_string())
}

/// The serial number, once somebody has told it.
fn serial(peer: &Peer) -> Option<String> {
    (!peer.id.is_unheard()).then(|| peer.id.to_string())
}

/// Whether it is reached: not known while it is dialled for the first time, waits for a decision about its key, or has gone quiet.
fn reachable(cluster: &Cluster, peer: &Peer, now: Time) -> Option<bool> {
    match peer.reach.state {
        ReachState::Connected if is_heard(cluster, peer, now) => Some(true),
        ReachState::Connected | ReachState::Connecting | ReachState::AskHostKey => None,
        ReachState::Unreachable => Some(false),
    }
}

/// Whether the peer itself has said anything lately.
fn is_heard(cluster: &Cluster, peer: &Peer, now: Time) -> bool {
    peer.reach.heard.is_some_and(|heard| now.since(heard) <= cluster.limits.stale)
}

/// Whether it is detached, by its own fresh word.
fn detached(cluster: &Cluster, peer: &Peer, now: Time) -> Option<bool> {
    peer.is_row_fresh(&cluster.limits, now).then(|| peer.detached().is_some())
}

/// What was announced for a machine that somebody works on. It holds until its end, also while the machine is silent.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct MaintenanceDoc {
    since: String,
    /// When it ends by itself.
    until: String,
    by: String,
    reason: String,
}

impl MaintenanceDoc {
    fn of(peer: &Peer, now: Time) -> Option<Self> {
        peer.maintenance(now).map(|m| Self {
            since: rfc3339(m.since),
            until: rfc3339(m.until),
            by: m.by.to_string(),
            reason: m.reason.to_string(),
        })
    }
}

/// `in maintenance for 12 m 03 s more by admin from 10.0.0.9: new disk`
fn maintenance_note(peer: &Peer, now: Time) -> Option<String> {
    let m = peer.maintenance(now)?;
    let because = if m.reason.is_empty() { String::new() } else { format!(": {}", m.reason) };
    Some(format!("in maintenance for {} more by {}{because}", human(m.until.since(now)), m.by))
}

/// The clusters that a question is about: all, or the one of this name (by its own name or that of the fleet file).
pub fn chosen<'a>(snapshot: &'a Snapshot, only: Option<&'a str>) -> impl Iterator<Item = &'a Cluster> {
    snapshot.clusters.iter().map(AsRef::as_ref).filter(move |c| only.is_none_or(|name| c.name.as_str() == name))
}

/// `1 peer`, `2 peers`.
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Sorting rank of a group: as the cluster lists it.
fn group_rank(cluster: &Cluster, peer: &Peer) -> usize {
    let group = peer.group.as_ref();
    group.and_then(|g| cluster.groups.iter().position(|x| x == g)).unwrap_or(usize::MAX)
}
