//! Something wrong or notable in a snapshot.

use std::fmt;

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::domain::ids::{ClusterName, GroupName, HaName, PeerId};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// How bad it is; ordered, the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Notice,
    /// Needs a look in working hours.
    Warning,
    /// Needs somebody now.
    Critical,
}

impl Severity {
    /// The word that stands in `--json` and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a finding is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// This observer itself (console or watch).
    Watcher,
    /// A whole cluster.
    Cluster,
    /// One peer.
    Peer(PeerId),
    /// One direction.
    Link {
        /// Who observes.
        from: PeerId,
        /// Who is observed.
        to: PeerId,
    },
    /// Both directions between two peers; `a < b`.
    Pair {
        /// The lower serial number.
        a: PeerId,
        /// The higher one.
        b: PeerId,
    },
    /// One group.
    Group(GroupName),
    /// The border between two groups; `a < b`.
    Groups {
        /// The first by name.
        a: GroupName,
        /// The second.
        b: GroupName,
    },
    /// One HA group.
    Ha(HaName),
}

impl Subject {
    /// Both directions between `x` and `y`, in whichever order they come.
    #[must_use]
    pub fn pair(x: &PeerId, y: &PeerId) -> Self {
        let (a, b) = if x <= y { (x, y) } else { (y, x) };
        Self::Pair { a: a.clone(), b: b.clone() }
    }

    /// The border between `x` and `y`, in whichever order they come.
    #[must_use]
    pub fn groups(x: &GroupName, y: &GroupName) -> Self {
        let (a, b) = if x <= y { (x, y) } else { (y, x) };
        Self::Groups { a: a.clone(), b: b.clone() }
    }

    /// The peers that are named.
    pub fn peers(&self) -> impl Iterator<Item = &PeerId> {
        let (a, b) = match self {
            Self::Watcher | Self::Cluster | Self::Group(_) | Self::Groups { .. } | Self::Ha(_) => (None, None),
            Self::Peer(p) => (Some(p), None),
            Self::Link { from, to } => (Some(from), Some(to)),
            Self::Pair { a, b } => (Some(a), Some(b)),
        };
        a.into_iter().chain(b)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watcher => write!(f, "watcher"),
            Self::Cluster => write!(f, "cluster"),
            Self::Peer(p) => write!(f, "peer:{p}"),
            Self::Link { from, to } => write!(f, "link:{from}>{to}"),
            Self::Pair { a, b } => write!(f, "pair:{a}+{b}"),
            Self::Group(g) => write!(f, "group:{g}"),
            Self::Groups { a, b } => write!(f, "groups:{a}+{b}"),
            Self::Ha(g) => write!(f, "ha:{g}"),
        }
    }
}

/// Kinds of findings (`20-console.md`, "Findings to detect").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum FindingKind {
    /// Nobody reaches a peer, this console included: dead or cut off from all.
    PeerUnreachable,
    /// The peer lives, its fellows see it, but this console does not reach it.
    PeerUnobserved,
    /// A peer that this console reaches sees nobody and is seen by nobody.
    PeerIsolated,
    /// A peer accuses several fellows that all others see well, and runs late or alone with it.
    ObserverSick,
    /// Two peers don't reach each other.
    LinkDown,
    /// One direction between two peers fails, the other works.
    LinkOneSided,
    /// A link goes up and down.
    LinkFlapping,
    /// All links between two groups are down.
    GroupsCut,
    /// Nobody has told of a link, a row or a peer for too long.
    UnknownTooLong,
    /// A host name does not resolve to where the peer is (C19).
    DnsForward,
    /// An address has no proper reverse record in time (C19).
    DnsReverse,
    /// A host key is not the one that is known.
    HostKeyChanged,
    /// A host key is not known at all, and nobody is there to be asked.
    HostKeyUnknown,
    /// Peers of different levels don't synchronise (C15).
    LevelMismatch,
    /// Peers of one level run different builds.
    VersionMismatch,
    /// A peer is detached for longer than the limit.
    DetachedLong,
    /// Somebody works on a peer: findings about it are held back.
    Maintenance,
    /// A peer's wall clock is off.
    ClockSkew,
    /// The peer refuses this console's login.
    LoginRefused,
    /// A peer sent what can't be understood, or too much of it.
    AnswerUnparsed,
    /// This console reaches no peer at all.
    WatcherBlind,
    /// Observations were dropped because they came faster than they could be read.
    ObservationsDropped,
    /// A peer can't keep changes of settings: its disk is full or fails.
    SettingsNotKept,
    /// A setting has concurrent versions that nobody has resolved (C23, C24).
    Inconsistency,
    /// A setting names what does not exist on a machine (C25).
    DanglingReference,
    /// A peer lacks a commit that another has, for longer than the limit.
    CommitNotPropagated,
    /// A setting without a factory default is empty (C11).
    BlankTable,
    /// Contradictions about groups and machines were mended by fixed rules.
    StructureMended,
    /// A group has the name of its cluster (C28).
    GroupNamedLikeCluster,
    /// More machines in one cluster than is good practice (C28).
    TooManyMachines,
    /// The history of the settings has become large.
    HistorySize,
    /// Two units of an HA group are primary at the same time (B2).
    HaTwoPrimaries,
    /// No unit of an active-passive group is primary.
    HaNoPrimary,
    /// Two units hold one virtual address.
    HaAddressTwo,
    /// Nobody holds a virtual address, although there is a primary.
    HaAddressNone,
    /// A monitored service, port or disk has failed as often as counts (F10, F11).
    HaServiceFailed,
    /// Two units are configured primary, or none, or an active-passive group has more than two units (F1).
    HaTwoConfigured,
    /// A unit does not have the role that it is configured for.
    HaRoleDrift,
    /// A heartbeat link is silent, and the other unit lives (F2).
    HaLinkSilent,
    /// No heartbeat has come for half of the loss threshold.
    HaBeatLate,
    /// Checks of a service, port or disk fail, not yet as often as counts.
    HaServiceFailing,
    /// Configuration or mail data is not synchronised for too long (F3, F5).
    HaSyncOld,
    /// A takeover happened; until somebody accepts it, or its quiet period is over.
    HaTakeover,
    /// The secondary would not take over if the primary died now.
    HaNoTakeover,
    /// The witness of a group does not answer (B1).
    HaWitnessSilent,
    /// Heartbeats came that are not authentic, or repeated ones (F17).
    HaStranger,
    /// A unit distrusts itself: it neither accuses nor takes over.
    HaDistrust,
    /// A unit has trouble with its HA: a hook, its addresses, its disk.
    HaTrouble,
    /// The units of a group are not set alike (F16).
    HaMixed,
    /// A unit waits for the other, which has announced a restart.
    HaHoldOff,
    /// A cut between the units gives two holders of the address: no witness prevents it.
    HaMaySplit,
}

impl FindingKind {
    /// The word that stands in `--json` and in ids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it is about an HA group or one of its units as such.
    #[must_use]
    pub fn is_ha(self) -> bool {
        self.as_str().starts_with("ha-")
    }

    /// Its severity; the README's table is made from it.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::PeerUnreachable
            | Self::PeerIsolated
            | Self::LinkDown
            | Self::LinkOneSided
            | Self::GroupsCut
            | Self::HostKeyChanged
            | Self::WatcherBlind
            | Self::SettingsNotKept
            | Self::HaTwoPrimaries
            | Self::HaNoPrimary
            | Self::HaAddressTwo
            | Self::HaAddressNone
            | Self::HaServiceFailed
            | Self::HaTwoConfigured => Severity::Critical,
            Self::PeerUnobserved
            | Self::ObserverSick
            | Self::LinkFlapping
            | Self::UnknownTooLong
            | Self::DnsForward
            | Self::DnsReverse
            | Self::HostKeyUnknown
            | Self::LevelMismatch
            | Self::DetachedLong
            | Self::ClockSkew
            | Self::LoginRefused
            | Self::AnswerUnparsed
            | Self::ObservationsDropped
            | Self::Inconsistency
            | Self::DanglingReference
            | Self::CommitNotPropagated
            | Self::HaRoleDrift
            | Self::HaLinkSilent
            | Self::HaBeatLate
            | Self::HaServiceFailing
            | Self::HaSyncOld
            | Self::HaTakeover
            | Self::HaNoTakeover
            | Self::HaWitnessSilent
            | Self::HaStranger
            | Self::HaDistrust
            | Self::HaTrouble
            | Self::HaMixed => Severity::Warning,
            Self::VersionMismatch
            | Self::Maintenance
            | Self::BlankTable
            | Self::StructureMended
            | Self::GroupNamedLikeCluster
            | Self::TooManyMachines
            | Self::HistorySize
            | Self::HaHoldOff
            | Self::HaMaySplit => Severity::Notice,
        }
    }

    /// Whether two hold what one alone may hold: mail goes astray while it lasts, so it stands before all others of
    /// its severity.
    #[must_use]
    pub fn is_doubly_held(self) -> bool {
        matches!(self, Self::HaTwoPrimaries | Self::HaAddressTwo)
    }

    /// What it means, for the README's table and the help.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::PeerUnreachable => "nobody reaches a peer, this console included",
            Self::PeerUnobserved => "its fellows see a peer, this console does not reach it",
            Self::PeerIsolated => "a peer sees none of its fellows, and none sees it",
            Self::ObserverSick => "a peer accuses fellows that all others see well",
            Self::LinkDown => "two peers don't reach each other",
            Self::LinkOneSided => "one direction between two peers fails, the other works",
            Self::LinkFlapping => "a link goes up and down",
            Self::GroupsCut => "all links between two groups are down",
            Self::UnknownTooLong => "nobody has told of a peer's links for too long",
            Self::DnsForward => "a host name does not resolve to where the peer is",
            Self::DnsReverse => "an address has no proper reverse record in time",
            Self::HostKeyChanged => "a host key is not the one that is known: no connection is made",
            Self::HostKeyUnknown => "a host key is not known and must be looked at first",
            Self::LevelMismatch => "peers of different levels don't synchronise",
            Self::VersionMismatch => "peers of one level run different builds",
            Self::DetachedLong => "a peer is detached for longer than the limit",
            Self::Maintenance => "somebody works on a peer: findings about it and its links are held back",
            Self::ClockSkew => "a peer's wall clock is off",
            Self::LoginRefused => "a peer refuses this console's login",
            Self::AnswerUnparsed => "a peer sent what can't be understood, or too much of it",
            Self::WatcherBlind => "this console reaches no peer at all",
            Self::ObservationsDropped => "observations came faster than they could be read",
            Self::SettingsNotKept => "a peer can't keep changes of settings: commits there are refused",
            Self::Inconsistency => "a setting has several versions that nobody has resolved",
            Self::DanglingReference => "a setting names what does not exist on a machine",
            Self::CommitNotPropagated => "a peer lacks a commit that another has for longer than the limit",
            Self::BlankTable => "a setting without a factory default is empty, by an override or after a move",
            Self::StructureMended => "contradictions about groups and machines were mended by fixed rules",
            Self::GroupNamedLikeCluster => "a group has the name of its cluster",
            Self::TooManyMachines => "more machines in one cluster than the limit",
            Self::HistorySize => "the history of the settings is larger than the limit",
            Self::HaTwoPrimaries => "two units of an HA group are primary at the same time",
            Self::HaNoPrimary => "no unit of an active-passive group is primary: nobody serves",
            Self::HaAddressTwo => "two units hold one virtual address",
            Self::HaAddressNone => "nobody holds a virtual address, although there is a primary",
            Self::HaServiceFailed => "a monitored service, port or disk has failed as often as counts",
            Self::HaTwoConfigured => {
                "an HA group has two configured primaries, or none, or more units than its kind has"
            }
            Self::HaRoleDrift => "a unit does not have the role that it is configured for",
            Self::HaLinkSilent => "a heartbeat link is silent, and the other unit lives",
            Self::HaBeatLate => "no heartbeat has come for half of the loss threshold",
            Self::HaServiceFailing => "checks of a service, port or disk fail, not yet as often as counts",
            Self::HaSyncOld => "configuration or mail data is not synchronised for too long",
            Self::HaTakeover => "a takeover happened, and nobody has accepted it yet",
            Self::HaNoTakeover => "the secondary would not take over if the primary died now",
            Self::HaWitnessSilent => "the witness of an HA group does not answer",
            Self::HaStranger => "heartbeats came that are not authentic, or repeated ones",
            Self::HaDistrust => "a unit distrusts itself: it neither accuses nor takes over",
            Self::HaTrouble => "a unit has trouble with its HA: a hook, its addresses, its disk",
            Self::HaMixed => "the units of an HA group are not set alike, or are of different levels",
            Self::HaHoldOff => "a unit waits for the other, which has announced a restart",
            Self::HaMaySplit => "a cut between the units would give two primaries: no witness prevents it",
        }
    }
}

/// Longest id that is read, in characters.
const ID_MAX: usize = 1_000;

/// Stable from run to run and from watcher to watcher: `kind/cluster/subject`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FindingId(String);

impl FindingId {
    /// The id of a kind of finding about a subject of a cluster.
    #[must_use]
    pub fn new(kind: FindingKind, cluster: &ClusterName, subject: &Subject) -> Self {
        Self(format!("{}/{cluster}/{subject}", kind.as_str()))
    }

    /// The id that somebody named, cleaned; whether there is such a finding is another matter.
    #[must_use]
    pub fn named(text: &str) -> Self {
        Self(crate::domain::text::clean(text, ID_MAX))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something wrong or notable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Stable id.
    pub id: FindingId,
    /// Of which cluster.
    pub cluster: ClusterName,
    /// Of which kind.
    pub kind: FindingKind,
    /// How bad.
    pub severity: Severity,
    /// About whom.
    pub subject: Subject,
    /// Since when the condition holds, as far as the evidence reaches back.
    pub since: Time,
    /// In one sentence, with names.
    pub text: Line,
    /// What it rests on, a line each.
    pub evidence: Vec<Line>,
    /// What to do, in plain words.
    pub advice: Line,
}

/// What happened to a finding. Never coalesced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Transition {
    /// It is new.
    Raised,
    /// Its severity or its text changed.
    Changed,
    /// It is gone.
    Cleared,
}
