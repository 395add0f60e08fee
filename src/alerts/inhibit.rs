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
        | K::HistorySize => None,
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
        | K::VersionMismatch => true,
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
        | K::HistorySize => false,
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
        Subject::Watcher | Subject::Cluster | Subject::Peer(_) | Subject::Group(_) | Subject::Groups { .. } => None,
    };
    ends(cause).is_some() && ends(cause) == ends(effect)
}
