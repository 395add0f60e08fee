//! Is anything wrong: `status`.

use std::fmt::Write;

use serde::Serialize;

use super::check::{Check, Value, plugin_line};
use super::connstatus::{Counts, age, judged, totals};
use super::findings::{self, FindingDoc};
use super::table::{Style, Tone, paint};
use super::{chosen, count, rfc3339};
use crate::domain::finding::Severity;
use crate::domain::snapshot::{Cluster, Snapshot};

/// `peerdeck.status/1`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StatusDoc {
    schema: &'static str,
    at: String,
    complete: bool,
    /// `OK`, `WARNING`, `CRITICAL` or `UNKNOWN`.
    status: &'static str,
    counts: Counts,
    severities: Severities,
    clusters: Vec<ClusterDoc>,
    findings: Vec<FindingDoc>,
}

/// A cluster's counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct ClusterDoc {
    cluster: String,
    counts: Counts,
    severities: Severities,
}

/// Findings by severity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Severities {
    /// Need somebody now.
    pub critical: usize,
    /// Need a look.
    pub warning: usize,
    /// Good to know.
    pub notice: usize,
}

impl Severities {
    /// Those of one cluster.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let mut sum = Self::default();
        for f in cluster.findings.iter() {
            *match f.severity {
                Severity::Critical => &mut sum.critical,
                Severity::Warning => &mut sum.warning,
                Severity::Notice => &mut sum.notice,
            } += 1;
        }
        sum
    }

    /// Those of all chosen clusters.
    #[must_use]
    pub fn all(snapshot: &Snapshot, only: Option<&str>) -> Self {
        chosen(snapshot, only).map(Self::of).fold(Self::default(), |a, b| Self {
            critical: a.critical + b.critical,
            warning: a.warning + b.warning,
            notice: a.notice + b.notice,
        })
    }
}

/// The document.
#[must_use]
pub fn document(snapshot: &Snapshot, only: Option<&str>, complete: bool) -> StatusDoc {
    let now = snapshot.at;
    StatusDoc {
        schema: "peerdeck.status/1",
        at: rfc3339(now),
        complete,
        status: check(snapshot, only, complete).word(),
        counts: totals(snapshot, only),
        severities: Severities::all(snapshot, only),
        clusters: chosen(snapshot, only)
            .map(|c| ClusterDoc {
                cluster: c.name.to_string(),
                counts: Counts::of(c, now),
                severities: Severities::of(c),
            })
            .collect(),
        findings: chosen(snapshot, only)
            .flat_map(|c| c.findings.iter().map(move |f| FindingDoc::new(Some(c), f)))
            .collect(),
    }
}

/// The answer: the worst finding; unknown when not everything could be seen and nothing critical was.
#[must_use]
pub fn check(snapshot: &Snapshot, only: Option<&str>, complete: bool) -> Check {
    let worst = chosen(snapshot, only).filter_map(Cluster::worst).max().map_or(Check::Ok, Check::from);
    let counts = totals(snapshot, only);
    let judged = judged(snapshot, only);
    let blind = !complete || counts.peers == 0 || judged.unknown + judged.peers_unknown > 0;
    if blind { worst.max(Check::Unknown) } else { worst }
}

/// The line of a monitoring plugin.
#[must_use]
pub fn plugin(snapshot: &Snapshot, only: Option<&str>, complete: bool) -> String {
    let counts = totals(snapshot, only);
    let sum = Severities::all(snapshot, only);
    let total = sum.critical + sum.warning + sum.notice;
    let worst = chosen(snapshot, only).flat_map(|c| c.findings.iter()).max_by_key(|f| f.severity);
    let text = match worst {
        Some(f) if total > 1 => format!("{} (and {} more); {}", f.text, total - 1, counts.text()),
        Some(f) => format!("{}; {}", f.text, counts.text()),
        None => counts.text(),
    };
    let mut values = counts.values();
    values.push(Value::count("critical", sum.critical, None).crit_above(0));
    values.push(Value::count("warning", sum.warning, None).warn_above(0));
    values.extend(age(snapshot, only));
    plugin_line(check(snapshot, only, complete), &text, &values)
}

/// A few lines and the findings of each cluster.
#[must_use]
pub fn text(snapshot: &Snapshot, only: Option<&str>, complete: bool, style: Style) -> String {
    let check = check(snapshot, only, complete);
    let tone = match check {
        Check::Ok => Tone::Good,
        Check::Warning | Check::Unknown => Tone::Warn,
        Check::Critical => Tone::Bad,
    };
    let mut out = paint(check.word(), tone, style);
    if !complete {
        out.push_str("  not every peer has answered or failed within the time; --timeout gives more");
    }
    out.push('\n');
    for cluster in chosen(snapshot, only) {
        let now = snapshot.at;
        let counts = Counts::of(cluster, now);
        let mut head = format!("\n{}  {}", cluster.name, counts.text());
        if counts.unknown + counts.peers_unknown > 0 {
            let _ = write!(
                head,
                " ({} and {} unknown)",
                count(counts.peers_unknown, "peer"),
                count(counts.unknown, "link")
            );
        }
        out.push_str(&head);
        out.push('\n');
        let table = findings::table(cluster, now, style);
        if table.is_empty() {
            out.push_str("  no findings\n");
        } else {
            out.push('\n');
            out.push_str(&table);
        }
    }
    out
}
