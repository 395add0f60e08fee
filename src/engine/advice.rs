//! What to do about a finding, in plain words.

use crate::domain::finding::FindingKind;
use crate::domain::mesh::link::Cause;
use crate::domain::text::Line;

/// The advice for a kind of finding; where a cause is known, its own hint.
pub(super) fn of(kind: FindingKind, cause: Option<Cause>) -> Line {
    let text = match kind {
        FindingKind::PeerUnreachable => "check its power, its process and its network; its fellows go on without it",
        FindingKind::PeerUnobserved => {
            "look at the way between this console and the peer; what its fellows relay is shown meanwhile"
        }
        FindingKind::PeerIsolated => "look at its network interface, its switch port and the firewall in front of it",
        FindingKind::ObserverSick => "look at its load, its clock and its resolver; what it says of others weighs less",
        FindingKind::LinkDown => {
            return Line::new(
                cause.map_or("look at the network between the two and at firewalls on both", Cause::hint),
            );
        }
        FindingKind::LinkOneSided => {
            "look at firewalls and routes of the direction that fails; the other direction needs no repair"
        }
        FindingKind::LinkFlapping => "look at cables, duplex, duplicate addresses and load between the two",
        FindingKind::GroupsCut => "look at the network between the sites: the peers themselves are not the cause",
        FindingKind::UnknownTooLong => "log in to the peer and look whether its process runs and reports",
        FindingKind::DnsForward => Cause::DnsForward.hint(),
        FindingKind::DnsReverse => Cause::DnsReverse.hint(),
        FindingKind::HostKeyChanged => Cause::HostKey.hint(),
        FindingKind::HostKeyUnknown => "compare the fingerprint with the machine's own, then: peerdeck trust HOST",
        FindingKind::LevelMismatch => Cause::Version.hint(),
        FindingKind::VersionMismatch => "finish the upgrade; builds of one level work together meanwhile",
        FindingKind::DetachedLong => "reconnect it when its work is done, or remove it from the cluster",
        FindingKind::Maintenance => "end it when the work is done; it ends by itself at the time that is told",
        FindingKind::ClockSkew => "look at its time service (NTP): logs and merges of settings rest on the clock",
        FindingKind::LoginRefused => "check user, key and password of the fleet file, and the users on the peer",
        FindingKind::AnswerUnparsed => "compare the versions of both; if they fit, somebody else answers there",
        FindingKind::WatcherBlind => "look at the network of this machine before you look at the peers",
        FindingKind::SettingsNotKept => {
            "make room on its disk, or replace it; what it has is safe, commits go elsewhere"
        }
        FindingKind::Inconsistency => {
            "compare the versions and settle it: peerdeck resolve, or the console's conflicts"
        }
        FindingKind::DanglingReference => "promote what is named, or demote what names it; it is disabled meanwhile",
        FindingKind::CommitNotPropagated => {
            "look at its links, its load and its level; what it lacks comes by itself once a way leads there"
        }
        FindingKind::BlankTable => "define it, or let the mode inherit it again if that is not wanted",
        FindingKind::StructureMended => "look at groups and machines, and set what you want; that settles it",
        FindingKind::GroupNamedLikeCluster => {
            "rename one of them: people mistake the group's settings for the cluster's"
        }
        FindingKind::TooManyMachines => "make several clusters: more machines slow each other down",
        FindingKind::HistorySize => "nothing is wrong: look whether something commits in a loop",
        FindingKind::ObservationsDropped => "this machine or the peer is too busy: facts are late, none is wrong",
    };
    Line::new(text)
}
