//! What follows from what: an alert that another one explains is not told beside it.
//!
//! The engine already explains cells by the smallest set of broken things. What is left here are findings of
//! different makers about the same peer or link, and those that were raised before the explanation came.

use crate::domain::finding::{Finding, FindingKind as K, Subject};

/// Whether `effect` follows from `cause`, both of them there.
pub(super) fn follows(effect: &Finding, cause: &Finding) -> bool {
    if effect.id == cause.id || effect.cluster != cause.cluster {
        return false;
    }
    let Some(reach) = reach(cause.kind) else { return false };
    match reach {
        Reach::Everything => true,
        Reach::Named(kinds) => is_about_peer_of(cause, effect) && kinds(effect.kind),
        Reach::Same(kinds) => same_peer(cause, effect) && kinds.contains(&effect.kind),
        Reach::Said => from_peer_of(cause, effect) && ACCUSED.contains(&effect.kind),
        Reach::Ends => same_ends(cause, effect) && ACCUSED.contains(&effect.kind),
        Reach::Ha(kinds) => same_ha(cause, effect) && kinds.contains(&effect.kind),
    }
}

/// Whether anything ever follows from findings of this kind.
pub(super) fn explains(kind: K) -> bool {
    reach(kind).is_some()
}

const ACCUSED: &[K] = &[K::LinkDown, K::LinkOneSided];

/// What follows from a finding.
enum Reach {
    /// All of its cluster.
    Everything,
    /// Findings of these kinds whose subject names its peer.
    Named(fn(K) -> bool),
    /// Findings of these kinds about the same peer.
    Same(&'static [K]),
    /// What its peer says of links.
    Said,
    /// What is said of the link between the same two.
    Ends,
    /// Findings of these kinds about the same HA group.
    Ha(&'static [K]),
}

fn reach(kind: K) -> Option<Reach> {
    match kind {
        // Whoever sees nobody knows nothing of anybody.
        K::WatcherBlind => Some(Reach::Everything),
        K::PeerUnreachable | K::PeerIsolated | K::HostKeyChanged => Some(Reach::Named(is_state)),
        K::PeerUnobserved => Some(Reach::Same(&[K::UnknownTooLong, K::LoginRefused])),
        K::ObserverSick => Some(Reach::Said),
        K::LinkFlapping => Some(Reach::Ends),
        K::Maintenance => Some(Reach::Named(|_| true)),
        K::LevelMismatch => Some(Reach::Same(&[K::VersionMismatch])),
        K::SettingsNotKept => Some(Reach::Same(&[K::CommitNotPropagated])),
        K::HaTwoPrimaries => Some(Reach::Ha(&[K::HaAddressTwo, K::HaRoleDrift])),
        K::HaNoPrimary => Some(Reach::Ha(&[K::HaAddressNone, K::HaNoTakeover, K::HaRoleDrift])),
        K::HaTakeover => Some(Reach::Ha(&[K::HaRoleDrift])),
        K::HaNoTakeover => Some(Reach::Ha(&[K::HaWitnessSilent])),
        K::LinkDown
        | K::LinkOneSided
        | K::GroupsCut
        | K::UnknownTooLong
        | K::DnsForward
        | K::DnsReverse
        | K::HostKeyUnknown
        | K::VersionMismatch
        | K::DetachedLong
        | K::ClockSkew
        | K::LoginRefused
        | K::AnswerUnparsed
        | K::ObservationsDropped
        | K::Inconsistency
        | K::DanglingReference
        | K::CommitNotPropagated
        | K::BlankTable
        | K::StructureMended
        | K::GroupNamedLikeCluster
        | K::TooManyMachines
        | K::HistorySize
        | K::HaAddressTwo
        | K::HaAddressNone
        | K::HaServiceFailed
        | K::HaTwoConfigured
        | K::HaRoleDrift
        | K::HaLinkSilent
        | K::HaBeatLate
        | K::HaServiceFailing
        | K::HaSyncOld
        | K::HaWitnessSilent
        | K::HaStranger
        | K::HaDistrust
        | K::HaTrouble
        | K::HaMixed
        | K::HaHoldOff
        | K::HaMaySplit => None,
    }
}

/// What can't be known, or goes without saying, of a peer that nobody reaches.
fn is_state(kind: K) -> bool {
    match kind {
        K::PeerUnobserved
        | K::LinkDown
        | K::LinkOneSided
        | K::LinkFlapping
        | K::UnknownTooLong
        | K::DnsForward
        | K::DnsReverse
        | K::ClockSkew
        | K::LoginRefused
        | K::AnswerUnparsed
        | K::ObserverSick
        | K::CommitNotPropagated
        | K::VersionMismatch
        | K::HaServiceFailed
        | K::HaServiceFailing
        | K::HaDistrust
        | K::HaTrouble => true,
        K::PeerUnreachable
        | K::PeerIsolated
        | K::GroupsCut
        | K::HostKeyChanged
        | K::HostKeyUnknown
        | K::LevelMismatch
        | K::DetachedLong
        | K::Maintenance
        | K::WatcherBlind
        | K::ObservationsDropped
        | K::SettingsNotKept
        | K::Inconsistency
        | K::DanglingReference
        | K::BlankTable
        | K::StructureMended
        | K::GroupNamedLikeCluster
        | K::TooManyMachines
        | K::HistorySize
        | K::HaTwoPrimaries
        | K::HaNoPrimary
        | K::HaAddressTwo
        | K::HaAddressNone
        | K::HaTwoConfigured
        | K::HaRoleDrift
        | K::HaLinkSilent
        | K::HaBeatLate
        | K::HaSyncOld
        | K::HaTakeover
        | K::HaNoTakeover
        | K::HaWitnessSilent
        | K::HaStranger
        | K::HaMixed
        | K::HaHoldOff
        | K::HaMaySplit => false,
    }
}

/// `effect` names the peer that `cause` is about.
fn is_about_peer_of(cause: &Finding, effect: &Finding) -> bool {
    let Subject::Peer(peer) = &cause.subject else { return false };
    effect.subject.peers().any(|p| p == peer)
}

fn same_peer(cause: &Finding, effect: &Finding) -> bool {
    matches!(cause.subject, Subject::Peer(_)) && cause.subject == effect.subject
}

fn same_ha(cause: &Finding, effect: &Finding) -> bool {
    matches!(cause.subject, Subject::Ha(_)) && cause.subject == effect.subject
}

/// `effect` is what the peer that `cause` is about says of others.
fn from_peer_of(cause: &Finding, effect: &Finding) -> bool {
    match (&cause.subject, &effect.subject) {
        (Subject::Peer(peer), Subject::Link { from, .. }) => from == peer,
        (Subject::Peer(peer), Subject::Pair { a, b }) => a == peer || b == peer,
        _ => false,
    }
}

/// Both are about the same two peers, whichever direction.
fn same_ends(cause: &Finding, effect: &Finding) -> bool {
    let ends = |f: &Finding| match &f.subject {
        Subject::Pair { a, b } | Subject::Link { from: a, to: b } => Some(Subject::pair(a, b)),
        Subject::Watcher
        | Subject::Cluster
        | Subject::Peer(_)
        | Subject::Group(_)
        | Subject::Groups { .. }
        | Subject::Ha(_) => None,
    };
    ends(cause).is_some() && ends(cause) == ends(effect)
}
