//! What a picture is on disk: the lines of a recording (B6).
//!
//! A recording is a row of *frames*, each some lines of JSON: a key frame says everything, the others what differs from
//! the one before. What is absent is as it was. Times are milliseconds since 1970 on the recorder's clock; those that
//! change with every report are written as what they lie before the frame, which packs better.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::finding::{WireFinding, WireSubject};
use super::ha::WireHa;
pub use super::ha_ages::WireHaAges;
use super::observe::{WireIdentity, WireLink, WireMaintenance, WireRow, WireSession};
use super::settings::{WireHolding, WireRegister, from_json, to_json};
use super::{ClockMap, PARTS_MAX, ProtoError};
use crate::domain::event::{Event, EventKind};
use crate::domain::finding::FindingKind;
use crate::domain::ids::{BootId, ClusterName, FeatureName, HostName, PeerId};
use crate::domain::mesh::link::Cause;
use crate::domain::mesh::verdict::Verdict;
use crate::domain::observation::{Health, Identity, OperatorSession};
use crate::domain::reach::{Reach, ReachState};
use crate::domain::settings::catalogue::{Feature, Path, Reference};
use crate::domain::settings::{CommitId, Levels};
use crate::domain::snapshot::{Committed, Limits};
use crate::domain::text::{Line, clean};
use crate::domain::time::{Time, millis};

/// Version of these forms.
pub const RECORD_VERSION: u32 = 1;

/// Longest line of a recording, in bytes.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Stamps as they are.
pub const EXACT: ClockMap = ClockMap { there: u64::MAX, here: Time::from_millis(u64::MAX) };

/// Reads one line of a recording.
///
/// # Errors
/// [`ProtoError`] for what is too long, has too many parts, or is no line of a recording.
pub fn read_line(bytes: &[u8]) -> Result<WireRecord, ProtoError> {
    if bytes.len() > LINE_BYTES_MAX {
        return Err(ProtoError::TooLarge(format!("a line of {} bytes, {LINE_BYTES_MAX} are read", bytes.len())));
    }
    let parts = bytes.iter().filter(|b| matches!(b, b'{' | b'[')).count();
    if parts > PARTS_MAX {
        return Err(ProtoError::TooLarge(format!("a line of {parts} parts, {PARTS_MAX} are read")));
    }
    serde_json::from_slice(bytes).map_err(|e| ProtoError::Malformed(clean(&e.to_string(), 160)))
}

/// Tells "it is gone" (null) from "it is as it was" (absent).
#[expect(clippy::option_option, reason = "absent, gone, there: three cases")]
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// One line: exactly one of these, or something that this version does not know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireRecord {
    /// A frame begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<WireFrame>,
    /// What a cluster is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<WireCluster>,
    /// What a peer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<WirePeer>,
    /// Registers of a cluster's settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registers: Option<WireRegisters>,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<WireEvents>,
}

/// The head of a frame.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireFrame {
    /// Of a key frame: the version of these forms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<u32>,
    /// When the picture was made.
    pub at: u64,
    /// Its number.
    pub generation: u64,
    /// Observations that had been dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// How many clusters there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<u32>,
}

/// One place of a list: where it stood in the list before, or what is new.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Item<T> {
    /// As it was at this place.
    Old(u32),
    /// Something else.
    New(T),
}

/// See `domain::snapshot::Cluster`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireCluster {
    /// Which, by place.
    pub n: u32,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Ids of its peers, in order. All of them are told anew then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<String>>,
    /// Revision of the membership.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub revision: Option<Option<u64>>,
    /// What counts as too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<WireLimits>,
    /// How often the picture has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// What explains the cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<Vec<Item<WireVerdict>>>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<Item<WireFinding>>>,
    /// Commits of this console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<Vec<Item<WireCommitted>>>,
    /// Where its settings are from.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub settings: Option<Option<WireSettings>>,
    /// The features that a site has added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<WireFeature>>,
}

/// See `domain::snapshot::Settings`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireSettings {
    /// Id of the cluster.
    pub cluster_id: String,
    /// Whose tree it is.
    pub source: String,
    /// Digest of the document.
    pub digest: String,
    /// When it was complete.
    pub at: u64,
    /// A tree that stands beside the block, by the SHA-256 of its pages; absent: the tree before, and what registers say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
}

/// Changes to a tree, on top of what was said before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireRegisters {
    /// Which cluster, by place.
    pub cluster: u32,
    /// Registers that are others; without versions: gone.
    pub changed: Vec<WireRegister>,
}

/// Changes to the list of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireEvents {
    /// So many of the oldest are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<u32>,
    /// New ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<WireHappened>,
}

/// See [`Event`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireHappened {
    /// When.
    pub at: u64,
    /// In which cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Of which kind.
    pub kind: String,
    /// To whom.
    pub subject: WireSubject,
    /// In one sentence.
    pub text: String,
}

impl WireHappened {
    /// For the disk.
    #[must_use]
    pub fn from_domain(e: &Event) -> Self {
        let kind: &'static str = e.kind.into();
        Self {
            at: e.at.as_millis(),
            cluster: e.cluster.as_ref().map(ToString::to_string),
            kind: kind.to_owned(),
            subject: WireSubject::from_domain(&e.subject),
            text: e.text.to_string(),
        }
    }

    /// Into the domain, cleaned; a kind that is not known here becomes a line of a peer's log.
    #[must_use]
    pub fn into_domain(self) -> Event {
        Event {
            at: Time::from_millis(self.at),
            cluster: self.cluster.map(|c| ClusterName::new(&c)),
            kind: self.kind.parse().unwrap_or(EventKind::Peer),
            subject: self.subject.into_domain(),
            text: Line::new(&self.text),
        }
    }
}

/// See [`Limits`]; milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "as in the domain")]
pub struct WireLimits {
    pub stale: u64,
    pub unreachable: u64,
    pub group: u64,
    pub recovery: u64,
    pub detached: u64,
    pub clock_skew: u64,
    pub unknown: u64,
    pub flap_changes: u32,
    pub propagation: u64,
    pub machines: u64,
    pub history_mib: u64,
}

impl WireLimits {
    /// For the disk.
    #[must_use]
    pub fn from_domain(l: &Limits) -> Self {
        Self {
            stale: millis(l.stale),
            unreachable: millis(l.unreachable),
            group: millis(l.group),
            recovery: millis(l.recovery),
            detached: millis(l.detached),
            clock_skew: millis(l.clock_skew),
            unknown: millis(l.unknown),
            flap_changes: l.flap_changes,
            propagation: millis(l.propagation),
            machines: u64::try_from(l.machines).unwrap_or(u64::MAX),
            history_mib: l.history_mib,
        }
    }

    /// Into the domain.
    #[must_use]
    pub fn into_domain(self) -> Limits {
        let ms = Duration::from_millis;
        Limits {
            stale: ms(self.stale),
            unreachable: ms(self.unreachable),
            group: ms(self.group),
            recovery: ms(self.recovery),
            detached: ms(self.detached),
            clock_skew: ms(self.clock_skew),
            unknown: ms(self.unknown),
            flap_changes: self.flap_changes,
            propagation: ms(self.propagation),
            machines: usize::try_from(self.machines).unwrap_or(usize::MAX),
            history_mib: self.history_mib,
        }
    }
}

/// See [`Verdict`]. It is recorded and not made anew: rules look at ages and change from version to version, and what was
/// shown then is what is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireVerdict {
    /// The word of its kind.
    pub kind: String,
    /// About whom.
    pub subject: WireSubject,
    /// Since when.
    pub since: u64,
    /// Who saw it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// In one sentence.
    pub text: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The cells that it explains: row, column, row, column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<u32>,
}

impl WireVerdict {
    /// For the disk.
    #[must_use]
    pub fn from_domain(v: &Verdict) -> Self {
        let place = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            kind: v.kind.as_str().to_owned(),
            subject: WireSubject::from_domain(&v.subject),
            since: v.since.as_millis(),
            first: v.first_seen_by.as_ref().map(ToString::to_string),
            text: v.text.to_string(),
            evidence: v.evidence.iter().map(ToString::to_string).collect(),
            cells: v.cells.iter().flat_map(|(a, b)| [place(*a), place(*b)]).collect(),
        }
    }

    /// Into the domain, cleaned; cells beyond `peers` are left out.
    ///
    /// # Errors
    /// For a kind that this version does not know.
    pub fn into_domain(self, peers: usize) -> Result<Verdict, ProtoError> {
        let unknown = || ProtoError::Malformed(format!("unknown finding \"{}\"", clean(&self.kind, 60)));
        let kind = self.kind.parse::<FindingKind>().map_err(|_| unknown())?;
        let pairs = self.cells.chunks_exact(2).map(|p| (p[0] as usize, p[1] as usize));
        Ok(Verdict {
            kind,
            subject: self.subject.into_domain(),
            since: Time::from_millis(self.since),
            first_seen_by: self.first.map(|p| PeerId::new(&p)),
            text: Line::new(&self.text),
            evidence: self.evidence.iter().map(|l| Line::new(l)).collect(),
            cells: pairs.filter(|(a, b)| *a < peers && *b < peers).collect(),
        })
    }
}

/// See [`Committed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireCommitted {
    /// Number of the command.
    pub id: u64,
    /// The commit: actor and sequence number.
    pub commit: (String, u64),
    /// By which peer.
    pub on: String,
    /// When.
    pub at: u64,
    /// The author's comment.
    pub comment: String,
}

impl WireCommitted {
    /// For the disk.
    #[must_use]
    pub fn from_domain(c: &Committed) -> Self {
        let commit = (c.commit.actor.to_string(), c.commit.seq);
        Self { id: c.id, commit, on: c.on.to_string(), at: c.at.as_millis(), comment: c.comment.to_string() }
    }

    /// Into the domain, cleaned.
    #[must_use]
    pub fn into_domain(self) -> Committed {
        Committed {
            id: self.id,
            commit: CommitId { actor: Line::new(&self.commit.0), seq: self.commit.1 },
            on: PeerId::new(&self.on),
            at: Time::from_millis(self.at),
            comment: Line::new(&self.comment),
        }
    }
}

/// See [`Feature`]: one that a site has added.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "as in the domain")]
pub struct WireFeature {
    pub name: String,
    pub title: String,
    pub command: bool,
    pub levels: String,
    pub clusterable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factory: Option<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<WireReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// See [`Reference`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "as in the domain")]
pub struct WireReference {
    pub path: String,
    pub to: String,
    pub items: String,
    pub what: String,
    pub except: Vec<String>,
}

impl WireFeature {
    /// For the disk; a factory default has no secrets in it when it comes here.
    #[must_use]
    pub fn from_domain(f: &Feature) -> Self {
        use crate::domain::settings::catalogue::Kind;
        let levels: &'static str = f.levels.into();
        let reference = |r: &Reference| WireReference {
            path: r.path.to_string(),
            to: r.to.to_string(),
            items: r.items.to_string(),
            what: r.what.to_string(),
            except: r.except.iter().map(ToString::to_string).collect(),
        };
        Self {
            name: f.name.to_string(),
            title: f.title.to_string(),
            command: f.kind == Kind::Command,
            levels: levels.to_owned(),
            clusterable: f.clusterable,
            factory: f.factory.as_deref().map(to_json),
            references: f.references.iter().map(reference).collect(),
            secrets: f.secrets.iter().map(ToString::to_string).collect(),
        }
    }

    /// Into the domain, cleaned.
    ///
    /// # Errors
    /// For a factory default that can't be read.
    pub fn into_domain(self) -> Result<Feature, ProtoError> {
        use crate::domain::settings::catalogue::Kind;
        let text = |t: &String| clean(t, crate::domain::text::LINE_MAX);
        let reference = |r: &WireReference| Reference {
            path: Path::new(&text(&r.path)),
            to: FeatureName::new(&r.to),
            items: Path::new(&text(&r.items)),
            what: Line::new(&r.what),
            except: r.except.iter().map(|e| text(e).into()).collect(),
        };
        Ok(Feature {
            name: FeatureName::new(&self.name),
            title: Line::new(&self.title),
            kind: if self.command { Kind::Command } else { Kind::Feature },
            levels: self.levels.parse::<Levels>().unwrap_or_default(),
            clusterable: self.clusterable,
            factory: self.factory.as_ref().map(from_json).transpose()?.map(std::sync::Arc::new),
            references: self.references.iter().map(reference).collect(),
            secrets: self.secrets.iter().map(|s| Path::new(&text(s))).collect(),
            site: true,
        })
    }
}

/// See `domain::snapshot::Peer`; `cells` follow from row and places.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WirePeer {
    /// Which cluster, by place.
    pub c: u32,
    /// Which of its peers, by place.
    pub p: u32,
    /// Main host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub group: Option<Option<String>>,
    /// Whether the recorder connected to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<bool>,
    /// How the recorder reached it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<WireReach>,
    /// When it was last heard, this long before the frame; all else of `reach` is as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<i64>,
    /// Newest round trip, nanoseconds; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<u64>,
    /// Who it says it is.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub identity: Option<Option<WireIdentity>>,
    /// What it says about the others.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub row: Option<Option<WireRow>>,
    /// Changes to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<WireRowDelta>,
    /// When the row was vouched for, before the frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vouched: Option<i64>,
    /// When it last said that its row still holds, before the frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<i64>,
    /// By place of the other peer: 0 nothing new, -1 a ping was lost, n was answered in n - 1 microseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pings: Vec<i64>,
    /// What can't be said so: place, codes that come after those before (hex), newest round trip.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beats: Vec<(u32, String, u32)>,
    /// Clock offset and lateness in milliseconds, drops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<(i64, u64, u64)>,
    /// What it holds of the settings.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub holding: Option<Option<WireHolding>>,
    /// How it stands in its HA group.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub ha: Option<Option<Box<WireHa>>>,
    /// When it said so, before the frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha_at: Option<i64>,
    /// What of that has passed with time alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha_ages: Option<WireHaAges>,
    /// Who is logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<WireSession>>,
}

/// Changes to a row of the same origin and start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireRowDelta {
    /// The new sequence number.
    pub seq: u64,
    /// Who passed it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Since when the origin is detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detached: Option<u64>,
    /// What was announced for the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<WireMaintenance>,
    /// Its level.
    pub level: u32,
    /// Links that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<WireLink>,
    /// Links that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// See [`Reach`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "as in the domain")]
pub struct WireReach {
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    pub since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<u64>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    pub attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<u64>,
}

/// Nanoseconds.
#[must_use]
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl WireReach {
    /// For the disk.
    #[must_use]
    pub fn from_domain(r: &Reach) -> Self {
        let state: &'static str = r.state.into();
        Self {
            state: state.to_owned(),
            cause: r.cause.map(|c| c.as_str().to_owned()),
            detail: r.detail.to_string(),
            since: r.since.as_millis(),
            heard: r.heard.map(Time::as_millis),
            rtt: r.rtt.map(nanos),
            address: r.address.map(|a| a.to_string()),
            attempts: r.attempts,
            next_attempt: r.next_attempt.map(Time::as_millis),
        }
    }

    /// Into the domain, cleaned; a state that is not known here counts as not reached.
    #[must_use]
    pub fn into_domain(self) -> Reach {
        Reach {
            state: self.state.parse().unwrap_or(ReachState::Unreachable),
            cause: self.cause.map(|c| c.parse().unwrap_or(Cause::Unlisted)),
            detail: Line::new(&self.detail),
            since: Time::from_millis(self.since),
            heard: self.heard.map(Time::from_millis),
            rtt: self.rtt.map(Duration::from_nanos),
            address: self.address.and_then(|a| a.parse().ok()),
            attempts: self.attempts,
            next_attempt: self.next_attempt.map(Time::from_millis),
        }
    }
}

/// An identity, for the disk.
#[must_use]
pub fn wire_identity(i: &Identity) -> WireIdentity {
    WireIdentity {
        serial: i.id.to_string(),
        host: i.host.to_string(),
        version: i.version.to_string(),
        level: i.level,
        boot: i.boot.0,
        interval: millis(i.interval),
    }
}

/// An identity from the disk, cleaned.
#[must_use]
pub fn identity(w: &WireIdentity) -> Identity {
    Identity {
        id: PeerId::new(&w.serial),
        host: HostName::new(&w.host),
        version: Line::new(&w.version),
        level: w.level,
        boot: BootId(w.boot),
        interval: Duration::from_millis(w.interval),
    }
}

/// A session, for the disk.
#[must_use]
pub fn wire_session(s: &OperatorSession) -> WireSession {
    let (user, from, what) = (s.user.to_string(), s.from.to_string(), s.what.to_string());
    WireSession { user, from, since: s.since.as_millis(), what }
}

/// A session from the disk, cleaned.
#[must_use]
pub fn session(w: &WireSession) -> OperatorSession {
    let (user, from, what) = (Line::new(&w.user), Line::new(&w.from), Line::new(&w.what));
    OperatorSession { user, from, since: Time::from_millis(w.since), what }
}

/// How a peer fares, for the disk.
#[must_use]
pub fn wire_health(h: &Health) -> (i64, u64, u64) {
    (h.clock_offset_ms, millis(h.late), h.dropped)
}

/// How a peer fares, from the disk.
#[must_use]
pub fn health((clock_offset_ms, late, dropped): (i64, u64, u64)) -> Health {
    Health { clock_offset_ms, late: Duration::from_millis(late), dropped }
}
