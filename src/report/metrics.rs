//! The text that Prometheus reads (exposition format 0.0.4, D9). Pure: picture and vitals in, text out.
//!
//! Few series, whatever the size of the mesh: by cluster, group, state, kind, severity and sink, never by peer or link.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use strum::IntoEnumIterator;

use super::vitals::{SinkVitals, Vitals};
use crate::domain::alert::{Held, Told};
use crate::domain::finding::{FindingKind, Severity};
use crate::domain::snapshot::{Cluster, Snapshot};
use crate::domain::time::{Time, millis};
use crate::domain::{LinkState, ReachState};

/// The type of the text, as HTTP names it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics at `now`.
#[must_use]
pub fn text(snapshot: &Snapshot, vitals: &Vitals, now: Time) -> String {
    let mut page = Page::default();
    page.gauge("build_info", "The running peerdeck.", [(labels([("version", env!("CARGO_PKG_VERSION"))]), 1.0)]);
    page.gauge("watch_start_timestamp_seconds", "When the watch began.", one(stamp(vitals.began)));
    watch(&mut page, vitals, now);
    picture(&mut page, snapshot, now);
    alerts(&mut page, snapshot, vitals);
    sinks(&mut page, &vitals.sinks);
    page.out
}

fn watch(page: &mut Page, vitals: &Vitals, now: Time) {
    let healthy = vitals.troubles(now).is_empty();
    page.gauge("watch_healthy", "1 while /healthz answers 200.", one(if healthy { 1.0 } else { 0.0 }));
    let age = |at: Option<Time>| one(super::seconds(now.since(at.unwrap_or(vitals.began))));
    page.gauge("watch_loop_age_seconds", "Time since the loop of the watch last turned.", age(vitals.turn));
    page.gauge("watch_picture_age_seconds", "Time since the newest picture came.", age(vitals.picture));
    let heartbeat = vitals.heartbeat.as_secs_f64();
    page.gauge("watch_heartbeat_interval_seconds", "How often the watch says that it lives.", one(heartbeat));
}

fn picture(page: &mut Page, snapshot: &Snapshot, now: Time) {
    let clusters = || snapshot.clusters.iter().map(AsRef::as_ref);
    let peers: Vec<Row> = clusters().flat_map(peers).collect();
    page.gauge("peers", "Peers by how this watch reaches them.", peers);
    let links: Vec<Row> = clusters().flat_map(|c| links(c, now)).collect();
    page.gauge("links", "Directed links by state; unknown is what nobody has told of lately.", links);
    let oldest: Vec<Row> = clusters()
        .filter_map(|c| {
            let age = c.peers.iter().filter(|p| p.observed).filter_map(|p| p.row_age(now)).max()?;
            Some((labels([("cluster", c.name.as_str())]), super::seconds(age)))
        })
        .collect();
    page.gauge("oldest_observation_age_seconds", "Age of the oldest word that a peer of the cluster gave.", oldest);
    let states = ["all", "without-primary", "two-primaries", "takeover-not-accepted"];
    let rows = clusters().flat_map(|c| {
        let rows = states.iter().zip(super::ha::counts(c, now));
        rows.map(|(state, n)| {
            (labels([("cluster", c.name.as_str()), ("state", state)]), number(u64::try_from(n).unwrap_or(u64::MAX)))
        })
    });
    page.gauge("ha_groups", "HA groups by how they stand.", rows.collect::<Vec<_>>());
    let help = "Observations that came faster than they could be read.";
    page.counter("observations_dropped_total", help, one(number(snapshot.dropped)));
}

fn peers(cluster: &Cluster) -> Vec<Row> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let states = || ReachState::iter().map(Into::into).chain([UNOBSERVED]);
    for group in cluster.groups.iter().map(crate::domain::ids::GroupName::as_str) {
        counts.extend(states().map(|state: &str| ((group, state), 0)));
    }
    for peer in &cluster.peers {
        let group = peer.group.as_ref().map_or("", |g| g.as_str());
        let state = if peer.observed { peer.reach.state.into() } else { UNOBSERVED };
        *counts.entry((group, state)).or_default() += 1;
    }
    let row = |((group, state), n)| {
        (labels([("cluster", cluster.name.as_str()), ("group", group), ("state", state)]), number(n))
    };
    counts.into_iter().map(row).collect()
}

/// A peer that this watch does not connect to.
const UNOBSERVED: &str = "unobserved";

fn links(cluster: &Cluster, now: Time) -> Vec<Row> {
    let mut counts: BTreeMap<LinkState, u64> = LinkState::iter().map(|s| (s, 0)).collect();
    let n = cluster.peers.len();
    for (from, to) in (0..n).flat_map(|from| (0..n).map(move |to| (from, to))).filter(|(from, to)| from != to) {
        *counts.entry(cluster.cell(from, to, now).state).or_default() += 1;
    }
    let row = |(state, n): (LinkState, u64)| {
        (labels([("cluster", cluster.name.as_str()), ("state", state.as_str())]), number(n))
    };
    counts.into_iter().map(row).collect()
}

fn alerts(page: &mut Page, snapshot: &Snapshot, vitals: &Vitals) {
    let mut rows = Vec::new();
    for cluster in &snapshot.clusters {
        let mut counts: BTreeMap<(FindingKind, Severity), u64> =
            FindingKind::iter().map(|k| ((k, k.severity()), 0)).collect();
        for finding in cluster.findings.iter() {
            *counts.entry((finding.kind, finding.severity)).or_default() += 1;
        }
        rows.extend(counts.into_iter().map(|((kind, severity), n)| {
            let (cluster, severity) = (cluster.name.as_str(), severity.as_str());
            (labels([("cluster", cluster), ("kind", kind.as_str()), ("severity", severity)]), number(n))
        }));
    }
    page.gauge("findings", "What is wrong in the picture.", rows);
    let mut rows = Vec::new();
    for cluster in &snapshot.clusters {
        for severity in Severity::iter() {
            for held in Held::iter().map(Some).chain([None]) {
                let n = vitals.raised.get(&(cluster.name.clone(), severity, held)).copied().unwrap_or_default();
                let held = held.map_or("no", Into::into);
                let labels =
                    labels([("cluster", cluster.name.as_str()), ("held", held), ("severity", severity.as_str())]);
                rows.push((labels, number(n)));
            }
        }
    }
    page.gauge("alerts", "Alerts that are raised; held=\"no\" are told.", rows);
    let of = |told: Told| vitals.notices.get(&told).copied().unwrap_or_default();
    let rows = Told::iter().map(|t| (labels([("transition", t.as_str())]), number(of(t))));
    page.counter("notices_total", "What was told since the watch began.", rows.collect::<Vec<_>>());
    page.gauge("notice_sequence", "Number of the last notice: it goes on over restarts.", one(number(vitals.seq)));
}

fn sinks(page: &mut Page, sinks: &[SinkVitals]) {
    let rows = |value: fn(&SinkVitals) -> Option<f64>| -> Vec<Row> {
        sinks.iter().filter_map(|s| Some((labels([("sink", s.name.as_str())]), value(s)?))).collect()
    };
    page.gauge("sink_waiting", "Notices that wait for the sink.", rows(|s| Some(number(s.waiting))));
    let help = "Notices that the sink has confirmed.";
    page.counter("sink_delivered_total", help, rows(|s| Some(number(s.delivered))));
    let help = "Deliveries that failed and were tried again or given up.";
    page.counter("sink_failures_total", help, rows(|s| Some(number(s.failed))));
    let help = "Deliveries that failed since the last that did not.";
    page.gauge("sink_consecutive_failures", help, rows(|s| Some(number(s.failures))));
    let help = "Notices that the sink will never get: refused, or too many waited.";
    page.counter("sink_dropped_total", help, rows(|s| Some(number(s.dropped))));
    let help = "Notices that another watcher had told already.";
    page.counter("sink_told_by_fellow_total", help, rows(|s| Some(number(s.by_fellow))));
    let help = "When the sink last confirmed something.";
    page.gauge("sink_last_success_timestamp_seconds", help, rows(|s| s.succeeded.map(stamp)));
}

/// Labels and value.
type Row = (String, f64);

#[derive(Default)]
struct Page {
    out: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = Row>) {
        self.family(name, "gauge", help, rows);
    }

    fn counter(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = Row>) {
        self.family(name, "counter", help, rows);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, rows: impl IntoIterator<Item = Row>) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return;
        }
        let _ = writeln!(self.out, "# HELP peerdeck_{name} {help}\n# TYPE peerdeck_{name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(self.out, "peerdeck_{name}{labels} {value}");
        }
    }
}

fn one(value: f64) -> [Row; 1] {
    [(String::new(), value)]
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in pairs.iter().enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{}{name}=\"{value}\"", if i > 0 { "," } else { "" });
    }
    out.push('}');
    out
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn number(n: u64) -> f64 {
    n as f64
}

fn stamp(time: Time) -> f64 {
    number(millis(time.since(Time::ZERO))) / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::labels;

    proptest! {
        #[test]
        fn d9_no_name_can_end_its_label(value in "[\"\\\\\n},{= a-z]{0,30}|.{0,30}") {
            let text = labels([("a", value.as_str()), ("b", "x")]);
            prop_assert!(!text.contains('\n'));
            let inner = text.strip_prefix("{a=\"").and_then(|t| t.strip_suffix("\",b=\"x\"}")).unwrap();
            let (mut read, mut chars) = (String::new(), inner.chars());
            while let Some(c) = chars.next() {
                match c {
                    '\\' => read.push(match chars.next().unwrap() { 'n' => '\n', c => c }),
                    '"' => prop_assert!(false, "the value ends too early"),
                    c => read.push(c),
                }
            }
            prop_assert_eq!(read, value);
        }
    }
}
