//! What a unit is told about its HA group, with defaults, ranges and the arithmetic of the address lease.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::domain::ha::words::{
    AddressAction, Configured, GroupKind, LinkName, MonitorKind, OnFailure, SplitBrain, WitnessMode,
};
use crate::domain::ids::{HaName, HostName};

/// First of the block of ports (UDP: heartbeats).
pub const BASE_PORT: u16 = 20_000;

/// Time between heartbeats: default and range.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Shortest interval.
pub const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Longest interval.
pub const INTERVAL_MAX: Duration = Duration::from_secs(5);

/// Silence on all links after which the other counts as dead.
pub const THRESHOLD: Duration = Duration::from_secs(15);

/// A threshold is at least so many intervals.
pub const THRESHOLD_BEATS: u32 = 3;

/// How long a restart that was announced is waited for.
pub const HOLD_OFF: Duration = Duration::from_mins(5);

/// After a takeover, how long services trigger none and nobody returns by himself.
pub const QUIET: Duration = Duration::from_mins(10);

/// The most members of a config-only group (F1).
pub const MEMBERS_MAX: usize = 25;

/// How long remote services may stand in for heartbeats (F18).
pub const SERVICES_AS_HEARTBEAT_MAX: Duration = Duration::from_mins(5);

/// The kernel removes an address this much later than its lease says, at most (measured: `10-peer.md`).
pub const KERNEL_LATE: Duration = Duration::from_secs(2);

/// What the rules add to be on the safe side.
pub const MARGIN: Duration = Duration::from_millis(500);

/// The `[ha]` block of `peer.toml`, read and checked.
#[derive(Clone, PartialEq, Debug)]
pub struct HaConfig {
    /// Name of the group.
    pub group: HaName,
    /// `mode`.
    pub configured: Configured,
    /// `on-failure`.
    pub on_failure: OnFailure,
    /// `hb-base-port`.
    pub base_port: u16,
    /// `hb-interval`, 50 ms to 5 s.
    pub interval: Duration,
    /// `hb-lost-threshold`, at least three intervals.
    pub threshold: Duration,
    /// `remote-services-as-heartbeat`.
    pub services_as_heartbeat: bool,
    /// `split-brain`.
    pub split_brain: SplitBrain,
    /// `witness`.
    pub witness: WitnessMode,
    /// Where the witness listens, unless `witness` is off: its heartbeat addresses.
    pub witness_at: Vec<SocketAddr>,
    /// `vip-lease`, whole seconds.
    pub lease: Duration,
    /// `hold-off`.
    pub hold_off: Duration,
    /// `quiet-period`.
    pub quiet: Duration,
    /// Heartbeat links, the primary one first. In a config-only group there is one link to each fellow.
    pub links: Vec<LinkConfig>,
    /// Ports with `port-monitor`.
    pub monitored_ports: Vec<String>,
    /// Virtual addresses.
    pub addresses: Vec<AddressConfig>,
    /// Monitors that are on.
    pub monitors: Vec<MonitorConfig>,
    /// Addresses (gateways) of which one must answer, or the unit distrusts itself when it has no carrier either.
    pub references: Vec<IpAddr>,
    /// The command that is run at each role change, with its arguments.
    pub hook: Vec<String>,
    /// How long it may take.
    pub hook_limit: Duration,
}

/// A heartbeat link to one fellow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// Which of the two.
    pub name: LinkName,
    /// The port; empty where only the address counts.
    pub interface: String,
    /// Our address on it.
    pub local: IpAddr,
    /// The other's address on it.
    pub peer: IpAddr,
}

/// A virtual address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressConfig {
    /// The port.
    pub interface: String,
    /// What the acting primary does with it.
    pub action: AddressAction,
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix.
    pub prefix: u8,
}

/// A monitor that is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MonitorConfig {
    /// Which.
    pub kind: MonitorKind,
    /// Remote ones: where. The virtual address or the other unit's own.
    pub target: Option<SocketAddr>,
    /// Time between checks.
    pub interval: Duration,
    /// How long an answer is waited for.
    pub wait: Duration,
    /// So many failures in a row count.
    pub retries: u32,
}

/// A `[[witness]]` block: this peer votes about the address of a group that it does not belong to (B1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WitnessConfig {
    /// Name of the group.
    pub group: HaName,
    /// The port on which it listens: the group's base port.
    pub base_port: u16,
    /// Our addresses on which it listens.
    pub local: Vec<IpAddr>,
    /// The group's lease: grants last as long as its units count with.
    pub lease: Duration,
    /// The two units, for the reader.
    pub units: Vec<HostName>,
}

/// K: from the last renewal until the address is gone for certain.
#[must_use]
pub fn gone_after(lease: Duration) -> Duration {
    lease + KERNEL_LATE
}

/// D: a permit's length, and the least wait before a takeover.
#[must_use]
pub fn permit_length(lease: Duration) -> Duration {
    gone_after(lease) + MARGIN
}

/// What a voter adds to a grant, so that its clock may run 1 % fast.
#[must_use]
pub fn grant_length(lease: Duration) -> Duration {
    permit_length(lease) + permit_length(lease) / 100
}

impl HaConfig {
    /// Which kind of group it is. Off counts as active-passive: that is what would start.
    #[must_use]
    pub fn kind(&self) -> GroupKind {
        self.configured.kind().unwrap_or(GroupKind::ActivePassive)
    }

    /// K of `10-peer.md`.
    #[must_use]
    pub fn gone_after(&self) -> Duration {
        gone_after(self.lease)
    }

    /// D of `10-peer.md`.
    #[must_use]
    pub fn permit_length(&self) -> Duration {
        permit_length(self.lease)
    }

    /// How long after the last beat the other takes over: the threshold, or D if that is longer. Without virtual
    /// addresses there is nothing to wait for but the threshold.
    #[must_use]
    pub fn takeover_after(&self) -> Duration {
        if self.holds_addresses() { self.threshold.max(self.permit_length()) } else { self.threshold }
    }

    /// Whether any virtual address is moved.
    #[must_use]
    pub fn holds_addresses(&self) -> bool {
        self.addresses.iter().any(|a| a.action != AddressAction::Ignore)
    }

    /// What is wrong with it, a line each, with the key's name; empty when it can be used (issue 6, "a threshold below
    /// three intervals", F1).
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&self.interval) {
            problems.push(format!("hb-interval: {:?} is not between 50 ms and 5 s", self.interval));
        }
        let least = self.interval * THRESHOLD_BEATS;
        if self.threshold < least {
            problems.push(format!(
                "hb-lost-threshold: {:?} is less than three intervals ({least:?}): one lost datagram would be half a \
                 failover",
                self.threshold
            ));
        }
        if self.lease.subsec_nanos() != 0 || !(1..=60).contains(&self.lease.as_secs()) {
            problems.push(format!("vip-lease: {:?} is not a whole number of seconds from 1 to 60", self.lease));
        }
        let fellows = self.fellows().count();
        match self.configured.kind() {
            Some(GroupKind::ActivePassive) if fellows != 1 => {
                problems.push(format!(
                    "interface: an active-passive group has exactly two units, links lead to {fellows} others"
                ));
            }
            Some(GroupKind::ConfigOnly) if fellows == 0 || fellows >= MEMBERS_MAX => {
                problems
                    .push(format!("interface: a config-only group has 2 to 25 units, links lead to {fellows} others"));
            }
            Some(GroupKind::ActivePassive | GroupKind::ConfigOnly) | None => {}
        }
        if self.kind() == GroupKind::ConfigOnly && self.holds_addresses() {
            problems.push("virtual-ip: a config-only group has no failover and so no virtual address".to_owned());
        }
        if self.witness != WitnessMode::Off && self.witness_at.is_empty() {
            problems.push(format!(
                "witness: `{}` needs `witness-address`, where the third peer listens",
                self.witness.as_str()
            ));
        }
        for a in &self.addresses {
            let beats_there = self.links.iter().any(|l| !l.interface.is_empty() && l.interface == a.interface);
            if a.action == AddressAction::Set && beats_there {
                problems.push(format!(
                    "action-on-primary: `set` on {} would take the address that heartbeats use; take `add`",
                    a.interface
                ));
            }
            let most = if a.address.is_ipv4() { 32 } else { 128 };
            if a.prefix == 0 || a.prefix > most {
                problems.push(format!("virtual-ip: /{} is not a prefix of {}", a.prefix, a.address));
            }
        }
        problems
    }

    /// The addresses of the fellows on the primary link: one each.
    pub fn fellows(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.links.iter().filter(|l| l.name == LinkName::Primary).map(|l| l.peer)
    }
}
