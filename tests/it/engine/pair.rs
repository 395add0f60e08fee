//! Units of HA groups for scenarios: what a step says of one, and what it tells of itself at each report.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::ha::status::{Address, HaStatus, Heartbeat, Monitor, Permit, Rehearsal, RoleChange, Said};
use peerdeck::domain::ha::{
    AddressAction, BeatState, Configured, Effective, LinkName, MonitorKind, OnFailure, SplitBrain, WitnessMode,
};
use peerdeck::domain::{PeerId, Time};
use serde::Deserialize;

/// What a step changes of a unit; what it does not name stays.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Unit {
    pub group: Option<String>,
    pub configured: Option<String>,
    pub effective: Option<String>,
    pub epoch: Option<u64>,
    pub reason: Option<String>,
    pub row: u8,
    /// Seconds.
    pub threshold: Option<u64>,
    pub holds: Option<bool>,
    pub witness: Option<String>,
    /// Whether the witness answers.
    pub witnessed: Option<bool>,
    /// State of the primary link, then of the secondary one.
    pub beats: Option<Vec<String>>,
    /// Monitor to its state.
    pub monitors: std::collections::BTreeMap<String, String>,
    /// Why it would not take over; empty: it would.
    pub refuses: Option<String>,
    /// Seconds from now.
    pub quiet: Option<f64>,
    pub hold_off: Option<f64>,
    pub distrust: Option<String>,
    pub trouble: Option<String>,
    pub stranger: Option<String>,
    pub replays: Option<u64>,
    /// Whether its configuration is in step, and why not.
    pub synced: Option<bool>,
    pub sync_trouble: Option<String>,
}

/// A unit as it is.
#[derive(Clone, Debug)]
pub struct Pair {
    pub status: HaStatus,
    synced: bool,
    witnessed: bool,
}

fn texts(s: &str) -> Option<peerdeck::domain::Line> {
    (!s.is_empty()).then(|| s.into())
}

impl Pair {
    /// In group `gw`, with two heartbeat links to `other` and a witness that is required.
    pub fn new(other: &str, now: Time) -> Self {
        let beat = |link, n| Heartbeat {
            link,
            peer: Some(PeerId::new(other)),
            address: [10, 0, n, 2].into(),
            state: BeatState::Ok,
            heard: Some(now),
            hears_us: Some(true),
            missed: 0,
            intervals: Arc::from([1000, 1001]),
            said: None,
        };
        let status = HaStatus {
            group: "gw".into(),
            kind: peerdeck::domain::ha::GroupKind::ActivePassive,
            configured: Configured::Primary,
            effective: Effective::Off,
            epoch: 1,
            since: now.before(Duration::from_hours(1)),
            reason: "".into(),
            on_failure: OnFailure::BecomeSecondary,
            interval: Duration::from_secs(1),
            threshold: Duration::from_secs(5),
            takeover_after: Duration::from_secs(5),
            split_brain: SplitBrain::Resolve,
            heartbeats: vec![beat(LinkName::Primary, 1), beat(LinkName::Secondary, 2)],
            monitors: Vec::new(),
            addresses: vec![Address {
                address: [10, 0, 0, 10].into(),
                prefix: 24,
                interface: "eth0".into(),
                action: AddressAction::Add,
                held: false,
                lease_until: None,
            }],
            permit: Permit { mode: WitnessMode::Require, until: None, witness_heard: Some(now), votes: 3 },
            rehearsal: Rehearsal::None,
            hold_off_until: None,
            quiet_until: None,
            distrust: None,
            config_synced: Some(now),
            data_synced: None,
            sync_trouble: None,
            strangers: 0,
            replays: 0,
            last_stranger: None,
            hook_trouble: None,
            troubles: Vec::new(),
            changes: Vec::new(),
        };
        Self { status, synced: true, witnessed: true }
    }

    pub fn change(&mut self, unit: &Unit, now: Time) {
        let s = &mut self.status;
        let set = |span: f64| (span > 0.0).then(|| now + Duration::from_secs_f64(span.max(0.0)));
        if let Some(group) = &unit.group {
            s.group = group.as_str().into();
        }
        if let Some(word) = &unit.configured {
            s.configured = word.parse().unwrap();
            s.kind = s.configured.kind().unwrap_or(s.kind);
            s.effective = s.configured.effective();
        }
        s.epoch = unit.epoch.unwrap_or(s.epoch);
        if let Some(word) = &unit.effective {
            let (from, to): (Effective, Effective) = (s.effective, word.parse().unwrap());
            let reason = unit.reason.clone().unwrap_or_default();
            let reason = peerdeck::domain::Line::new(&reason);
            s.changes.push(RoleChange { at: now, from, to, epoch: s.epoch, reason: reason.clone(), row: unit.row });
            (s.effective, s.since, s.reason) = (to, now, reason);
        }
        if let Some(seconds) = unit.threshold {
            s.threshold = Duration::from_secs(seconds);
            s.takeover_after = s.threshold;
        }
        for a in &mut s.addresses {
            a.held = unit.holds.unwrap_or(a.held);
        }
        if let Some(mode) = &unit.witness {
            s.permit.mode = mode.parse().unwrap();
        }
        for (beat, state) in s.heartbeats.iter_mut().zip(unit.beats.iter().flatten()) {
            beat.state = state.parse().unwrap();
        }
        for (name, state) in &unit.monitors {
            let kind = MonitorKind::named(name).unwrap();
            s.monitors.retain(|m| m.kind != kind);
            let detail = "connection refused".into();
            s.monitors.push(Monitor {
                kind,
                state: state.parse().unwrap(),
                failures: 2,
                retries: 3,
                next: None,
                detail,
            });
        }
        if let Some(why) = &unit.refuses {
            s.rehearsal = match texts(why) {
                Some(why) => Rehearsal::Refuses(why),
                None => Rehearsal::Takes { from: s.takeover_after, to: s.takeover_after, may_split: false },
            };
        }
        s.quiet_until = unit.quiet.map_or(s.quiet_until, set);
        s.hold_off_until = unit.hold_off.map_or(s.hold_off_until, set);
        if let Some(why) = &unit.distrust {
            s.distrust = texts(why);
        }
        if let Some(why) = &unit.trouble {
            s.troubles = texts(why).into_iter().collect();
        }
        if let Some(what) = &unit.stranger {
            s.strangers += 1;
            s.last_stranger = Some((what.as_str().into(), now));
        }
        s.replays = unit.replays.unwrap_or(s.replays);
        if let Some(why) = &unit.sync_trouble {
            s.sync_trouble = texts(why);
        }
        self.synced = unit.synced.unwrap_or(self.synced);
        self.witnessed = unit.witnessed.unwrap_or(self.witnessed);
    }

    /// What it tells at `now`; `fellow` is what its beats say.
    pub fn told(&mut self, fellow: Option<&HaStatus>, now: Time) -> Arc<HaStatus> {
        let s = &mut self.status;
        for beat in &mut s.heartbeats {
            if beat.state == BeatState::Ok {
                beat.heard = Some(now);
                let mut intervals = beat.intervals.to_vec();
                intervals.push(u32::try_from(990 + now.as_millis() % 20).unwrap());
                let skip = intervals.len().saturating_sub(8);
                beat.intervals = intervals[skip..].into();
                beat.said = fellow.map(|f| Said {
                    configured: f.configured,
                    effective: f.effective,
                    epoch: f.epoch,
                    holds: f.holds(),
                });
            }
        }
        if self.synced {
            s.config_synced = Some(now);
        }
        if self.witnessed {
            s.permit.witness_heard = Some(now);
        }
        s.permit.until = (s.effective == Effective::Primary).then(|| now + Duration::from_millis(3500));
        Arc::new(s.clone())
    }
}
