//! What has become of a finding for those who are told of it: alerts, notices, acknowledgements, silences (B5).
//!
//! A finding is what is wrong in the picture; an alert is that somebody is being told of it, held back or not.

use std::collections::BTreeMap;
use std::time::Duration;

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::domain::finding::{Finding, FindingId, FindingKind, Severity};
use crate::domain::ids::{ClusterName, HostName, PeerId};
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Longest time that a silence may hold: what is silenced for good is forgotten.
pub const SILENCE_MAX: Duration = Duration::from_hours(24 * 30);

/// A finding with the names that its subject has for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// What is wrong.
    pub finding: Finding,
    /// Host names of the peers that the subject names, in its order; of a link: from, to.
    pub hosts: Vec<HostName>,
}

impl Seen {
    /// `finding` with the names that `cluster` has for its peers; serial numbers where it has none.
    #[must_use]
    pub fn of(cluster: Option<&Cluster>, finding: Finding) -> Self {
        let host = |id: &PeerId| {
            let peer = cluster.and_then(|c| c.peer(id));
            peer.map_or_else(|| HostName::new(id.as_str()), |p| p.host.clone())
        };
        let hosts = finding.subject.peers().map(host).collect();
        Self { finding, hosts }
    }
}

/// Somebody looks after it; ends with the alert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Who.
    pub by: Line,
    /// When.
    pub at: Time,
    /// What is being done; may be empty.
    pub reason: Line,
}

/// What a silence is about; every part that is given must fit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Matcher {
    /// This very finding.
    pub id: Option<FindingId>,
    /// Findings of this kind.
    pub kind: Option<FindingKind>,
    /// Findings of this cluster.
    pub cluster: Option<ClusterName>,
    /// Findings whose subject names this host.
    pub host: Option<HostName>,
}

impl Matcher {
    /// Whether `seen` is meant. One without any part means nothing.
    #[must_use]
    pub fn fits(&self, seen: &Seen) -> bool {
        let Self { id, kind, cluster, host } = self;
        let some = id.is_some() || kind.is_some() || cluster.is_some() || host.is_some();
        some && id.as_ref().is_none_or(|id| seen.finding.id == *id)
            && kind.is_none_or(|kind| seen.finding.kind == kind)
            && cluster.as_ref().is_none_or(|c| seen.finding.cluster == *c)
            && host.as_ref().is_none_or(|h| seen.hosts.contains(h))
    }
}

/// Alerts that fit are not told until it ends. What was told before and ends meanwhile is told all the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Silence {
    /// Names it, unique in one state file.
    pub id: u64,
    /// What is silenced.
    pub matcher: Matcher,
    /// Who wants it.
    pub by: Line,
    /// Why.
    pub reason: Line,
    /// From when on.
    pub from: Time,
    /// When it ends by itself; at most [`SILENCE_MAX`] later.
    pub until: Time,
}

impl Silence {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Time) -> bool {
        self.from <= now && now < self.until
    }
}

/// Why an alert that is raised is not told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Held {
    /// It follows from another one that is raised.
    Inhibited,
    /// A silence fits.
    Silenced,
    /// A rule says so.
    Ignored,
}

/// A finding that somebody is, was or will be told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// The newest form of the finding, with the severity that the rules give it.
    pub seen: Seen,
    /// Since when it counts as an alert.
    pub raised: Time,
    /// It comes and goes: so often within the window of the rules.
    pub flapping: Option<u32>,
    /// Who looks after it.
    pub ack: Option<Ack>,
}

impl Alert {
    /// Its stable id: the finding's.
    #[must_use]
    pub fn id(&self) -> &FindingId {
        &self.seen.finding.id
    }

    /// How bad, by the rules.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.seen.finding.severity
    }
}

/// What is told of an alert; the word stands as `transition` in `watch --json`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Told {
    /// It is new.
    Raised,
    /// Its severity or its text is another, or it began to come and go.
    Changed,
    /// It is still there.
    Repeated,
    /// Somebody looks after it.
    Acknowledged,
    /// It is gone.
    Cleared,
}

impl Told {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Something that is told, to every sink.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Rises by one with each notice of one state file, over restarts too: a gap is a loss.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What.
    pub told: Told,
    /// Of what, as it was then.
    pub alert: Alert,
    /// Its severity until now, where that is what changed.
    pub before: Option<Severity>,
}

impl Notice {
    /// For how long the alert was raised, once it is cleared.
    #[must_use]
    pub fn lasted(&self) -> Option<Duration> {
        match self.told {
            Told::Cleared => Some(self.at.since(self.alert.raised)),
            Told::Raised | Told::Changed | Told::Repeated | Told::Acknowledged => None,
        }
    }
}

/// What is written down about alerts on this machine, for faces that show it: in the state file of the watch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Book {
    /// Who looks after what.
    pub acks: BTreeMap<FindingId, Ack>,
    /// All silences, those that have ended lately too.
    pub silences: Vec<Silence>,
    /// The newest notices, oldest first; bounded. None where no watch has run here.
    pub notices: Vec<Notice>,
}

/// A change of the book that a person asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Somebody looks after it.
    Acknowledge {
        /// Which finding.
        id: FindingId,
        /// Who, and why.
        ack: Ack,
    },
    /// Nobody looks after it any more.
    Unacknowledge(FindingId),
    /// Alerts that fit are not told for a while; the book gives it its id.
    Silence(Silence),
    /// The silence of this id ends.
    Unsilence(u64),
}
