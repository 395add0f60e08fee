//! Findings and their subjects, as documents name them.

use serde::Serialize;

use super::table::{Style, Table, Tone, cell};
use super::{host, rfc3339};
use crate::domain::alert::Seen;
use crate::domain::finding::{Finding, Severity, Subject};
use crate::domain::ids::PeerId;
use crate::domain::snapshot::Cluster;
use crate::domain::time::{Time, human};

/// What a finding or an event is about, with full host names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SubjectDoc {
    /// The observer itself.
    Watcher,
    /// The whole cluster.
    Cluster,
    /// One peer.
    Peer {
        /// Which.
        peer: String,
    },
    /// One direction.
    Link {
        /// Who observes.
        from: String,
        /// Who is observed.
        to: String,
    },
    /// Both directions between two peers.
    Pair {
        /// The two.
        peers: [String; 2],
    },
    /// One group.
    Group {
        /// Which.
        group: String,
    },
    /// The border between two groups.
    Groups {
        /// The two.
        groups: [String; 2],
    },
    /// One HA group.
    Ha {
        /// Which.
        group: String,
    },
}

impl SubjectDoc {
    /// With the names of `cluster`; with serial numbers where there is none.
    #[must_use]
    pub fn new(cluster: Option<&Cluster>, subject: &Subject) -> Self {
        let host = |id: &PeerId| cluster.map_or_else(|| id.to_string(), |c| host(c, id));
        match subject {
            Subject::Watcher => Self::Watcher,
            Subject::Cluster => Self::Cluster,
            Subject::Peer(p) => Self::Peer { peer: host(p) },
            Subject::Link { from, to } => Self::Link { from: host(from), to: host(to) },
            Subject::Pair { a, b } => Self::Pair { peers: [host(a), host(b)] },
            Subject::Group(g) => Self::Group { group: g.to_string() },
            Subject::Groups { a, b } => Self::Groups { groups: [a.to_string(), b.to_string()] },
            Subject::Ha(g) => Self::Ha { group: g.to_string() },
        }
    }

    /// With the names that were known when it was seen.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        let name = |n: usize, id: &PeerId| seen.hosts.get(n).map_or_else(|| id.to_string(), ToString::to_string);
        match &seen.finding.subject {
            Subject::Watcher => Self::Watcher,
            Subject::Cluster => Self::Cluster,
            Subject::Peer(p) => Self::Peer { peer: name(0, p) },
            Subject::Link { from, to } => Self::Link { from: name(0, from), to: name(1, to) },
            Subject::Pair { a, b } => Self::Pair { peers: [name(0, a), name(1, b)] },
            Subject::Group(g) => Self::Group { group: g.to_string() },
            Subject::Groups { a, b } => Self::Groups { groups: [a.to_string(), b.to_string()] },
            Subject::Ha(g) => Self::Ha { group: g.to_string() },
        }
    }
}

/// A finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FindingDoc {
    /// Of which cluster.
    pub cluster: String,
    /// Stable id.
    pub id: String,
    /// `notice`, `warning` or `critical`.
    pub severity: &'static str,
    /// The word of its kind.
    pub kind: &'static str,
    /// About whom.
    pub subject: SubjectDoc,
    /// Since when.
    pub since: String,
    /// In one sentence.
    pub text: String,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// What to do.
    pub advice: String,
}

impl FindingDoc {
    /// With the names of `cluster`; with serial numbers where there is none.
    #[must_use]
    pub fn new(cluster: Option<&Cluster>, finding: &Finding) -> Self {
        Self::about(SubjectDoc::new(cluster, &finding.subject), finding)
    }

    /// With the names that were known when it was seen.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        Self::about(SubjectDoc::of(seen), &seen.finding)
    }

    fn about(subject: SubjectDoc, finding: &Finding) -> Self {
        Self {
            cluster: finding.cluster.to_string(),
            id: finding.id.to_string(),
            severity: finding.severity.as_str(),
            kind: finding.kind.as_str(),
            subject,
            since: rfc3339(finding.since),
            text: finding.text.to_string(),
            evidence: finding.evidence.iter().map(ToString::to_string).collect(),
            advice: finding.advice.to_string(),
        }
    }
}

/// How the severity looks.
#[must_use]
pub fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Notice => Tone::Dim,
        Severity::Warning => Tone::Warn,
        Severity::Critical => Tone::Bad,
    }
}

/// The findings of a cluster as a table.
#[must_use]
pub fn table(cluster: &Cluster, now: Time, style: Style) -> String {
    let mut table = Table::new(&["SEVERITY", "SINCE", "KIND", "WHAT"]);
    for f in cluster.findings.iter() {
        table.row([
            cell(f.severity.as_str(), tone(f.severity)),
            human(now.since(f.since)).into(),
            f.kind.as_str().into(),
            f.text.as_str().into(),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render(style) }
}
