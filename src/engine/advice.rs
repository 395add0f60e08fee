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
        FindingKind::HaTwoPrimaries => {
            "look at the heartbeat links between the two; if they stay primary both: peerdeck switchover GROUP lets the wrong one (lower epoch) go"
        }
        FindingKind::HaNoPrimary => {
            "look at why neither serves; peerdeck failover GROUP makes the secondary primary, peerdeck restart-ha PEER starts HA again"
        }
        FindingKind::HaAddressTwo => {
            "mail goes to either of them: peerdeck switchover GROUP lets the one with the lower epoch go at once, if both are primary"
        }
        FindingKind::HaAddressNone => {
            "look at the troubles and the permit of the primary: it may not hold the address, or can't set it"
        }
        FindingKind::HaServiceFailed => {
            "mend the service on the unit itself, then: peerdeck restore GROUP, or restart-ha PEER"
        }
        FindingKind::HaTwoConfigured => {
            "set `mode` in peer.toml so that exactly one unit is configured primary, and restart it"
        }
        FindingKind::HaRoleDrift => {
            "if all is well again: peerdeck restore GROUP; until then nothing is wrong with serving in this role"
        }
        FindingKind::HaLinkSilent => {
            "look at cable, switch and firewall (UDP) of that link; the other link carries the heartbeats meanwhile"
        }
        FindingKind::HaBeatLate => {
            "look at the heartbeat links and the load of both units: a takeover comes at the threshold"
        }
        FindingKind::HaServiceFailing => {
            "look at the service before it counts as failed: peerdeck ha GROUP shows how many failures are left"
        }
        FindingKind::HaSyncOld => "look at the link between the units and at levels; then: peerdeck sync GROUP",
        FindingKind::HaTakeover => {
            "look at why, then: peerdeck accept GROUP; peerdeck restore GROUP brings the configured roles back"
        }
        FindingKind::HaNoTakeover => "mend what is named: until then the group has no failover",
        FindingKind::HaWitnessSilent => {
            "look at the witness and the way to it: without it the next death may leave the group without an address"
        }
        FindingKind::HaStranger => {
            "look at who sends there: a group with the same port, another password, or somebody who tries"
        }
        FindingKind::HaDistrust => {
            "look at its load, its carrier and its gateway: it does not take part in takeovers until it is well"
        }
        FindingKind::HaTrouble => {
            "mend what is named; a unit that can't set addresses or run its hook can't serve after a takeover"
        }
        FindingKind::HaMixed => "set both units alike in peer.toml; finish the upgrade where levels differ",
        FindingKind::HaHoldOff => "wait for the restart to end; at the time that is told the usual rule applies",
        FindingKind::HaMaySplit => "name a third peer as witness in peer.toml: witness = \"require\"",
        FindingKind::ObservationsDropped => "this machine or the peer is too busy: facts are late, none is wrong",
    };
    Line::new(text)
}
