//! What a unit tells of its HA group: the wire form of [`HaStatus`].
//!
//! Words that are not known here become the most careful one of their kind, so that mixed versions can be read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ClockMap, ms};
use crate::domain::ha::status::{
    Address, CHANGES_MAX, HaStatus, Heartbeat, INTERVALS_MAX, Monitor, Permit, Rehearsal, RoleChange, Said,
};
use crate::domain::ha::{
    AddressAction, BeatState, Configured, Effective, GroupKind, LinkName, MonitorKind, MonitorState, OnFailure,
    SplitBrain, WitnessMode,
};
use crate::domain::ids::{HaName, PeerId};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Most links, monitors, addresses and troubles that are read of one unit.
pub const LIST_MAX: usize = 128;

/// See [`HaStatus`]. Times are on the sender's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the fields are those of the domain type")]
pub struct WireHa {
    pub group: String,
    pub kind: String,
    pub configured: String,
    pub effective: String,
    pub epoch: u64,
    pub since: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    pub on_failure: String,
    pub interval: u64,
    pub threshold: u64,
    pub takeover_after: u64,
    pub split_brain: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heartbeats: Vec<WireHeartbeat>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub monitors: Vec<WireMonitor>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<WireAddress>,
    pub permit: WirePermit,
    pub rehearsal: WireRehearsal,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_off_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distrust: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_synced: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_synced: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_trouble: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub strangers: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub replays: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_stranger: Option<(String, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_trouble: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<WireRoleChange>,
}

/// See [`Heartbeat`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the fields are those of the domain type")]
pub struct WireHeartbeat {
    pub link: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    pub address: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hears_us: Option<bool>,
    #[serde(skip_serializing_if = "is_zero")]
    pub missed: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<u32>,
    /// Configured and effective role, epoch, whether it holds the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<(String, String, u64, bool)>,
}

/// See [`Monitor`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the fields are those of the domain type")]
pub struct WireMonitor {
    pub kind: String,
    pub state: String,
    pub failures: u32,
    pub retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// See [`Address`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the fields are those of the domain type")]
pub struct WireAddress {
    pub address: String,
    pub prefix: u8,
    pub interface: String,
    pub action: String,
    pub held: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<u64>,
}

/// See [`Permit`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the fields are those of the domain type")]
pub struct WirePermit {
    pub mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness_heard: Option<u64>,
    pub votes: u8,
}

/// See [`Rehearsal`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of the domain type")]
pub enum WireRehearsal {
    Takes {
        from: u64,
        to: u64,
        may_split: bool,
    },
    Refuses(String),
    #[default]
    #[serde(other)]
    None,
}

/// See [`RoleChange`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the fields are those of the domain type")]
pub struct WireRoleChange {
    pub at: u64,
    pub from: String,
    pub to: String,
    pub epoch: u64,
    pub reason: String,
    pub row: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl From<&HaStatus> for WireHa {
    fn from(s: &HaStatus) -> Self {
        let at = |t: Option<Time>| t.map(Time::as_millis);
        let text = |l: &Option<Line>| l.as_ref().map(ToString::to_string);
        Self {
            group: s.group.to_string(),
            kind: s.kind.as_str().into(),
            configured: s.configured.as_str().into(),
            effective: s.effective.as_str().into(),
            epoch: s.epoch,
            since: s.since.as_millis(),
            reason: s.reason.to_string(),
            on_failure: s.on_failure.as_str().into(),
            interval: ms(s.interval),
            threshold: ms(s.threshold),
            takeover_after: ms(s.takeover_after),
            split_brain: s.split_brain.as_str().into(),
            heartbeats: s.heartbeats.iter().map(WireHeartbeat::from).collect(),
            monitors: s.monitors.iter().map(WireMonitor::from).collect(),
            addresses: s.addresses.iter().map(WireAddress::from).collect(),
            permit: WirePermit {
                mode: s.permit.mode.as_str().into(),
                until: at(s.permit.until),
                witness_heard: at(s.permit.witness_heard),
                votes: s.permit.votes,
            },
            rehearsal: match &s.rehearsal {
                Rehearsal::None => WireRehearsal::None,
                Rehearsal::Takes { from, to, may_split } => {
                    WireRehearsal::Takes { from: ms(*from), to: ms(*to), may_split: *may_split }
                }
                Rehearsal::Refuses(why) => WireRehearsal::Refuses(why.to_string()),
            },
            hold_off_until: at(s.hold_off_until),
            quiet_until: at(s.quiet_until),
            distrust: text(&s.distrust),
            config_synced: at(s.config_synced),
            data_synced: at(s.data_synced),
            sync_trouble: text(&s.sync_trouble),
            strangers: s.strangers,
            replays: s.replays,
            last_stranger: s.last_stranger.as_ref().map(|(from, at)| (from.to_string(), at.as_millis())),
            hook_trouble: text(&s.hook_trouble),
            troubles: s.troubles.iter().map(ToString::to_string).collect(),
            changes: s.changes.iter().map(WireRoleChange::from).collect(),
        }
    }
}

impl From<&Heartbeat> for WireHeartbeat {
    fn from(h: &Heartbeat) -> Self {
        let said = |s: Said| (s.configured.as_str().into(), s.effective.as_str().into(), s.epoch, s.holds);
        Self {
            link: h.link.as_str().into(),
            peer: h.peer.as_ref().map(ToString::to_string),
            address: h.address.to_string(),
            state: h.state.as_str().into(),
            heard: h.heard.map(Time::as_millis),
            hears_us: h.hears_us,
            missed: h.missed,
            intervals: h.intervals.to_vec(),
            said: h.said.map(said),
        }
    }
}

impl From<&Monitor> for WireMonitor {
    fn from(m: &Monitor) -> Self {
        Self {
            kind: m.kind.as_str().into(),
            state: m.state.as_str().into(),
            failures: m.failures,
            retries: m.retries,
            next: m.next.map(Time::as_millis),
            detail: m.detail.to_string(),
        }
    }
}

impl From<&Address> for WireAddress {
    fn from(a: &Address) -> Self {
        Self {
            address: a.address.to_string(),
            prefix: a.prefix,
            interface: a.interface.to_string(),
            action: a.action.as_str().into(),
            held: a.held,
            lease_until: a.lease_until.map(Time::as_millis),
        }
    }
}

impl From<&RoleChange> for WireRoleChange {
    fn from(c: &RoleChange) -> Self {
        Self {
            at: c.at.as_millis(),
            from: c.from.as_str().into(),
            to: c.to.as_str().into(),
            epoch: c.epoch,
            reason: c.reason.to_string(),
            row: c.row,
        }
    }
}

impl WireHa {
    /// Into the domain, cleaned and bounded; addresses that are none are left out.
    #[must_use]
    pub fn into_status(self, clock: ClockMap) -> HaStatus {
        let at = |t: Option<u64>| t.map(|t| clock.time(t));
        let text = |t: Option<String>| t.map(|t| Line::new(&t));
        HaStatus {
            group: HaName::new(&self.group),
            kind: self.kind.parse().unwrap_or(GroupKind::ActivePassive),
            configured: self.configured.parse().unwrap_or(Configured::Off),
            effective: self.effective.parse().unwrap_or(Effective::Off),
            epoch: self.epoch,
            since: clock.time(self.since),
            reason: Line::new(&self.reason),
            on_failure: self.on_failure.parse().unwrap_or(OnFailure::Off),
            interval: Duration::from_millis(self.interval),
            threshold: Duration::from_millis(self.threshold),
            takeover_after: Duration::from_millis(self.takeover_after),
            split_brain: self.split_brain.parse().unwrap_or(SplitBrain::Hold),
            heartbeats: self.heartbeats.into_iter().take(LIST_MAX).filter_map(|h| h.into_heartbeat(clock)).collect(),
            monitors: self.monitors.into_iter().take(LIST_MAX).filter_map(|m| m.into_monitor(clock)).collect(),
            addresses: self.addresses.into_iter().take(LIST_MAX).filter_map(|a| a.into_address(clock)).collect(),
            permit: Permit {
                mode: self.permit.mode.parse().unwrap_or(WitnessMode::Off),
                until: at(self.permit.until),
                witness_heard: at(self.permit.witness_heard),
                votes: self.permit.votes,
            },
            rehearsal: match self.rehearsal {
                WireRehearsal::None => Rehearsal::None,
                WireRehearsal::Takes { from, to, may_split } => {
                    Rehearsal::Takes { from: Duration::from_millis(from), to: Duration::from_millis(to), may_split }
                }
                WireRehearsal::Refuses(why) => Rehearsal::Refuses(Line::new(&why)),
            },
            hold_off_until: self.hold_off_until.map(|t| clock.time(t)),
            quiet_until: self.quiet_until.map(|t| clock.time(t)),
            distrust: text(self.distrust),
            config_synced: at(self.config_synced),
            data_synced: at(self.data_synced),
            sync_trouble: text(self.sync_trouble),
            strangers: self.strangers,
            replays: self.replays,
            last_stranger: self.last_stranger.map(|(from, at)| (Line::new(&from), clock.time(at))),
            hook_trouble: text(self.hook_trouble),
            troubles: self.troubles.iter().take(LIST_MAX).map(|t| Line::new(t)).collect(),
            changes: {
                let skip = self.changes.len().saturating_sub(CHANGES_MAX);
                self.changes.into_iter().skip(skip).map(|c| c.into_change(clock)).collect()
            },
        }
    }
}

impl WireHeartbeat {
    fn into_heartbeat(self, clock: ClockMap) -> Option<Heartbeat> {
        let skip = self.intervals.len().saturating_sub(INTERVALS_MAX);
        Some(Heartbeat {
            link: self.link.parse().unwrap_or(LinkName::Secondary),
            peer: self.peer.map(|p| PeerId::new(&p)),
            address: self.address.parse().ok()?,
            state: self.state.parse().unwrap_or(BeatState::Waiting),
            heard: self.heard.map(|t| clock.time(t)),
            hears_us: self.hears_us,
            missed: self.missed,
            intervals: self.intervals.get(skip..).unwrap_or_default().into(),
            said: self.said.map(|(configured, effective, epoch, holds)| Said {
                configured: configured.parse().unwrap_or(Configured::Off),
                effective: effective.parse().unwrap_or(Effective::Off),
                epoch,
                holds,
            }),
        })
    }
}

impl WireMonitor {
    fn into_monitor(self, clock: ClockMap) -> Option<Monitor> {
        Some(Monitor {
            kind: MonitorKind::named(&self.kind)?,
            state: self.state.parse().unwrap_or(MonitorState::Idle),
            failures: self.failures,
            retries: self.retries,
            next: self.next.map(|t| clock.time(t)),
            detail: Line::new(&self.detail),
        })
    }
}

impl WireAddress {
    fn into_address(self, clock: ClockMap) -> Option<Address> {
        Some(Address {
            address: self.address.parse().ok()?,
            prefix: self.prefix,
            interface: Line::new(&self.interface),
            action: self.action.parse().unwrap_or(AddressAction::Ignore),
            held: self.held,
            lease_until: self.lease_until.map(|t| clock.time(t)),
        })
    }
}

impl WireRoleChange {
    fn into_change(self, clock: ClockMap) -> RoleChange {
        RoleChange {
            at: clock.time(self.at),
            from: self.from.parse().unwrap_or(Effective::Off),
            to: self.to.parse().unwrap_or(Effective::Off),
            epoch: self.epoch,
            reason: Line::new(&self.reason),
            row: self.row,
        }
    }
}
