//! Findings and alerts as they are kept on disk: in the state of the watch and in recordings.

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Ack, Alert, Seen};
use crate::domain::finding::{Finding, FindingId, FindingKind, Severity, Subject};
use crate::domain::ids::{ClusterName, GroupName, HaName, HostName, PeerId};
use crate::domain::text::Line;
use crate::domain::time::Time;

use super::ProtoError;

/// See [`Subject`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "as in the domain")]
pub enum WireSubject {
    Watcher,
    Cluster,
    Peer { peer: String },
    Link { from: String, to: String },
    Pair { a: String, b: String },
    Group { group: String },
    Groups { a: String, b: String },
    Ha { group: String },
}

impl WireSubject {
    /// For the disk.
    #[must_use]
    pub fn from_domain(subject: &Subject) -> Self {
        match subject {
            Subject::Watcher => Self::Watcher,
            Subject::Cluster => Self::Cluster,
            Subject::Peer(p) => Self::Peer { peer: p.to_string() },
            Subject::Link { from, to } => Self::Link { from: from.to_string(), to: to.to_string() },
            Subject::Pair { a, b } => Self::Pair { a: a.to_string(), b: b.to_string() },
            Subject::Group(g) => Self::Group { group: g.to_string() },
            Subject::Groups { a, b } => Self::Groups { a: a.to_string(), b: b.to_string() },
            Subject::Ha(g) => Self::Ha { group: g.to_string() },
        }
    }

    /// Into the domain, cleaned.
    #[must_use]
    pub fn into_domain(self) -> Subject {
        match self {
            Self::Watcher => Subject::Watcher,
            Self::Cluster => Subject::Cluster,
            Self::Peer { peer } => Subject::Peer(PeerId::new(&peer)),
            Self::Link { from, to } => Subject::Link { from: PeerId::new(&from), to: PeerId::new(&to) },
            Self::Pair { a, b } => Subject::pair(&PeerId::new(&a), &PeerId::new(&b)),
            Self::Group { group } => Subject::Group(GroupName::new(&group)),
            Self::Groups { a, b } => Subject::groups(&GroupName::new(&a), &GroupName::new(&b)),
            Self::Ha { group } => Subject::Ha(HaName::new(&group)),
        }
    }
}

/// See [`Finding`]; the id follows from kind, cluster and subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireFinding {
    /// Of which cluster.
    pub cluster: String,
    /// The word of its kind.
    pub kind: String,
    /// How bad.
    pub severity: String,
    /// About whom.
    pub subject: WireSubject,
    /// Since when, milliseconds since 1970.
    pub since: u64,
    /// In one sentence.
    pub text: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl WireFinding {
    /// For the disk.
    #[must_use]
    pub fn from_domain(f: &Finding) -> Self {
        Self {
            cluster: f.cluster.to_string(),
            kind: f.kind.as_str().to_owned(),
            severity: f.severity.as_str().to_owned(),
            subject: WireSubject::from_domain(&f.subject),
            since: f.since.as_millis(),
            text: f.text.to_string(),
            evidence: f.evidence.iter().map(ToString::to_string).collect(),
            advice: f.advice.to_string(),
        }
    }

    /// Into the domain, cleaned.
    ///
    /// # Errors
    /// When the kind or the severity is of a version that this one does not know.
    pub fn into_domain(self) -> Result<Finding, ProtoError> {
        let unknown = |what: &str, word: &str| {
            ProtoError::Malformed(format!("unknown {what} \"{}\"", crate::domain::text::clean(word, 60)))
        };
        let kind = self.kind.parse::<FindingKind>().map_err(|_| unknown("finding", &self.kind))?;
        let severity = self.severity.parse::<Severity>().map_err(|_| unknown("severity", &self.severity))?;
        let (cluster, subject) = (ClusterName::new(&self.cluster), self.subject.into_domain());
        Ok(Finding {
            id: FindingId::new(kind, &cluster, &subject),
            cluster,
            kind,
            severity,
            subject,
            since: Time::from_millis(self.since),
            text: Line::new(&self.text),
            evidence: self.evidence.iter().map(|l| Line::new(l)).collect(),
            advice: Line::new(&self.advice),
        })
    }
}

/// See [`Ack`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireAck {
    /// Who.
    pub by: String,
    /// When, milliseconds since 1970.
    pub at: u64,
    /// What is being done.
    #[serde(default)]
    pub reason: String,
}

impl WireAck {
    /// For the disk.
    #[must_use]
    pub fn from_domain(ack: &Ack) -> Self {
        Self { by: ack.by.to_string(), at: ack.at.as_millis(), reason: ack.reason.to_string() }
    }

    /// Into the domain, cleaned.
    #[must_use]
    pub fn into_domain(self) -> Ack {
        Ack { by: Line::new(&self.by), at: Time::from_millis(self.at), reason: Line::new(&self.reason) }
    }
}

/// See [`Alert`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireAlert {
    /// The finding.
    pub finding: WireFinding,
    /// Host names of the subject's peers.
    pub hosts: Vec<String>,
    /// Since when it counts, milliseconds since 1970.
    pub raised: u64,
    /// How often it came and went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flapping: Option<u32>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<WireAck>,
}

impl WireAlert {
    /// For the disk.
    #[must_use]
    pub fn from_domain(alert: &Alert) -> Self {
        Self {
            finding: WireFinding::from_domain(&alert.seen.finding),
            hosts: alert.seen.hosts.iter().map(ToString::to_string).collect(),
            raised: alert.raised.as_millis(),
            flapping: alert.flapping,
            ack: alert.ack.as_ref().map(WireAck::from_domain),
        }
    }

    /// Into the domain, cleaned.
    ///
    /// # Errors
    /// As [`WireFinding::into_domain`].
    pub fn into_domain(self) -> Result<Alert, ProtoError> {
        Ok(Alert {
            seen: Seen {
                finding: self.finding.into_domain()?,
                hosts: self.hosts.iter().map(|h| HostName::new(h)).collect(),
            },
            raised: Time::from_millis(self.raised),
            flapping: self.flapping,
            ack: self.ack.map(WireAck::into_domain),
        })
    }
}
