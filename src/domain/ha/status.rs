//! What a unit tells of itself, and what it last heard of the others.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ha::words::{
    AddressAction, BeatState, Configured, Effective, GroupKind, LinkName, MonitorKind, MonitorState, OnFailure,
    SplitBrain, WitnessMode,
};
use crate::domain::ids::{HaName, PeerId};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Newest role changes that are told.
pub const CHANGES_MAX: usize = 32;

/// Newest intervals between beats that are told, for the sparkline.
pub const INTERVALS_MAX: usize = 60;

/// A unit of an HA group, by its own word.
#[derive(Clone, PartialEq, Debug)]
pub struct HaStatus {
    /// Its group.
    pub group: HaName,
    /// Of which kind.
    pub kind: GroupKind,
    /// What the settings say.
    pub configured: Configured,
    /// What it does.
    pub effective: Effective,
    /// Rises with each takeover; of two primaries the higher one is right (B2).
    pub epoch: u64,
    /// Since when it has this role, and why.
    pub since: Time,
    /// Why.
    pub reason: Line,
    /// `on-failure`.
    pub on_failure: OnFailure,
    /// Time between beats.
    pub interval: Duration,
    /// Silence that counts as death.
    pub threshold: Duration,
    /// Silence after which it really takes over ([`crate::domain::ha::HaConfig::takeover_after`]).
    pub takeover_after: Duration,
    /// What two primaries do.
    pub split_brain: SplitBrain,
    /// Its heartbeat links.
    pub heartbeats: Vec<Heartbeat>,
    /// Its monitors.
    pub monitors: Vec<Monitor>,
    /// Its virtual addresses.
    pub addresses: Vec<Address>,
    /// By what it may hold them.
    pub permit: Permit,
    /// What would happen if the other died now.
    pub rehearsal: Rehearsal,
    /// Until when an announced restart is waited for.
    pub hold_off_until: Option<Time>,
    /// Until when services trigger no takeover and nobody returns by himself.
    pub quiet_until: Option<Time>,
    /// Why it distrusts itself; it then neither accuses nor takes over.
    pub distrust: Option<Line>,
    /// When its configuration was last seen equal to the primary's (F14).
    pub config_synced: Option<Time>,
    /// When mail data was last synchronised (F5); `None`: not switched on.
    pub data_synced: Option<Time>,
    /// Why configuration is not synchronised, if it is not.
    pub sync_trouble: Option<Line>,
    /// Datagrams that were not authentic, and repeated ones, since the start (F17).
    pub strangers: u64,
    /// Replays of old ones.
    pub replays: u64,
    /// The last stranger: from where, and when.
    pub last_stranger: Option<(Line, Time)>,
    /// What the last hook did wrong.
    pub hook_trouble: Option<Line>,
    /// Other trouble of this unit, a line each (no right to set addresses, a duplicate address, a disk that takes no epoch).
    pub troubles: Vec<Line>,
    /// Role changes, the newest last.
    pub changes: Vec<RoleChange>,
}

/// One way to one fellow.
#[derive(Clone, PartialEq, Debug)]
pub struct Heartbeat {
    /// Which link.
    pub link: LinkName,
    /// To whom, once one was heard.
    pub peer: Option<PeerId>,
    /// Its address.
    pub address: IpAddr,
    /// How it stands.
    pub state: BeatState,
    /// When one was last heard.
    pub heard: Option<Time>,
    /// Whether the other hears us on this link, by its last beat on any.
    pub hears_us: Option<bool>,
    /// Beats that were missed, since the start.
    pub missed: u64,
    /// Newest intervals, milliseconds, the newest last.
    pub intervals: Arc<[u32]>,
    /// What the other said of itself in its last beat.
    pub said: Option<Said>,
}

/// What a fellow says of itself in a beat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// What its settings say.
    pub configured: Configured,
    /// What it does.
    pub effective: Effective,
    /// Its epoch.
    pub epoch: u64,
    /// Whether it holds the address.
    pub holds: bool,
}

/// A monitor.
#[derive(Clone, PartialEq, Debug)]
pub struct Monitor {
    /// Which.
    pub kind: MonitorKind,
    /// How it stands.
    pub state: MonitorState,
    /// Failures in a row,
    pub failures: u32,
    /// of so many that count.
    pub retries: u32,
    /// When it is next run.
    pub next: Option<Time>,
    /// What the last failure was.
    pub detail: Line,
}

/// A virtual address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Its prefix.
    pub prefix: u8,
    /// The port.
    pub interface: Line,
    /// What is done with it.
    pub action: AddressAction,
    /// Whether this unit has it now, by the word of its guard.
    pub held: bool,
    /// Until when at most it stays without renewal.
    pub lease_until: Option<Time>,
}

/// By what an address may be held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    /// How it is given.
    pub mode: WitnessMode,
    /// Until when it holds; `None`: there is none.
    pub until: Option<Time>,
    /// When the witness last answered; `None`: never.
    pub witness_heard: Option<Time>,
    /// Votes that hold now, the own one included.
    pub votes: u8,
}

/// "If A died now": the decision without the action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rehearsal {
    /// Nothing to rehearse: no pair, or HA is off.
    None,
    /// The other one died now: this unit takes over between the two.
    Takes {
        /// At the earliest,
        from: Duration,
        /// at the latest.
        to: Duration,
        /// In witness mode `off`: a cut on all links would give two holders.
        may_split: bool,
    },
    /// It would not, and why.
    Refuses(Line),
}

/// A role change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleChange {
    /// When.
    pub at: Time,
    /// From which role.
    pub from: Effective,
    /// To which.
    pub to: Effective,
    /// In which epoch it then was.
    pub epoch: u64,
    /// Why, in words.
    pub reason: Line,
    /// The row of the state table that says so (`daemon/ha/core/table.rs`): 1 to 17 are those of `facts/fortimail.md` 4.2,
    /// 18 to 20 the choices of 4.3; 0: a rule of ours.
    pub row: u8,
}

impl HaStatus {
    /// Whether it holds any virtual address now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.addresses.iter().any(|a| a.held)
    }

    /// How long all links have been silent; `None`: one was never heard of.
    #[must_use]
    pub fn silence(&self, now: Time) -> Option<Duration> {
        self.heartbeats.iter().filter_map(|h| h.heard).max().map(|at| now.since(at))
    }

    /// Whether it does what it is told.
    #[must_use]
    pub fn is_as_configured(&self) -> bool {
        self.configured.effective() == self.effective
    }
}
