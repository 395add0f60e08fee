//! What of a unit's word passes with time alone, in a form that is small: it is written with each recorded picture.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ha::HaStatus;
use crate::domain::ha::status::{Heartbeat, INTERVALS_MAX};
use crate::domain::time::Time;

/// A moment: so many milliseconds before the frame, after it if negative.
type Ago = Option<i64>;

/// What changed between two words that are equal without their ages ([`HaStatus::ageless`]). What is absent is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireHaAges {
    /// By link: heard, beats that were missed more, intervals that went, intervals that came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub h: Vec<(Ago, i64, u32, Vec<u32>)>,
    /// By monitor: its next check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub m: Vec<Ago>,
    /// By address: the end of its lease.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub a: Vec<Ago>,
    /// End of the permit, and when the witness was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<(Ago, Ago)>,
    /// When configuration and mail data were synchronised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s: Option<(Ago, Ago)>,
}

fn ago(frame: Time, at: Option<Time>) -> Ago {
    at.map(|at| frame.as_millis().wrapping_sub(at.as_millis()).cast_signed())
}

fn time(frame: Time, ago: Ago) -> Option<Time> {
    ago.map(|ago| Time::from_millis(frame.as_millis().wrapping_sub(ago.cast_unsigned())))
}

/// How many of the oldest intervals went, and which came.
fn intervals(old: &[u32], new: &[u32]) -> (u32, Vec<u32>) {
    let fits = |gone: &usize| new.starts_with(&old[*gone..]);
    let gone = (0..old.len()).find(fits).unwrap_or(old.len());
    (u32::try_from(gone).unwrap_or(u32::MAX), new[old.len() - gone..].to_vec())
}

impl WireHaAges {
    /// What makes `old` into `new`, as of `frame`; `None`: nothing.
    #[must_use]
    pub fn between(old: &HaStatus, new: &HaStatus, frame: Time) -> Option<Self> {
        let mut ages = Self::default();
        if old.heartbeats != new.heartbeats {
            let one = |(o, n): (&Heartbeat, &Heartbeat)| {
                let (gone, came) = intervals(&o.intervals, &n.intervals);
                (ago(frame, n.heard), n.missed.wrapping_sub(o.missed).cast_signed(), gone, came)
            };
            ages.h = old.heartbeats.iter().zip(&new.heartbeats).map(one).collect();
        }
        if old.monitors != new.monitors {
            ages.m = new.monitors.iter().map(|m| ago(frame, m.next)).collect();
        }
        if old.addresses != new.addresses {
            ages.a = new.addresses.iter().map(|a| ago(frame, a.lease_until)).collect();
        }
        if old.permit != new.permit {
            ages.p = Some((ago(frame, new.permit.until), ago(frame, new.permit.witness_heard)));
        }
        let synced = |s: &HaStatus| (s.config_synced, s.data_synced);
        if synced(old) != synced(new) {
            ages.s = Some((ago(frame, new.config_synced), ago(frame, new.data_synced)));
        }
        (ages != Self::default()).then_some(ages)
    }

    /// Brings `status` to `frame`.
    pub fn apply(self, status: &mut HaStatus, frame: Time) {
        for (beat, (heard, missed, gone, came)) in status.heartbeats.iter_mut().zip(self.h) {
            beat.heard = time(frame, heard);
            beat.missed = beat.missed.wrapping_add(missed.cast_unsigned());
            let kept = beat.intervals.iter().skip(gone as usize).copied();
            let all: Vec<u32> = kept.chain(came).collect();
            beat.intervals = Arc::from(&all[all.len().saturating_sub(INTERVALS_MAX)..]);
        }
        for (monitor, next) in status.monitors.iter_mut().zip(self.m) {
            monitor.next = time(frame, next);
        }
        for (address, until) in status.addresses.iter_mut().zip(self.a) {
            address.lease_until = time(frame, until);
        }
        if let Some((until, heard)) = self.p {
            status.permit.until = time(frame, until);
            status.permit.witness_heard = time(frame, heard);
        }
        if let Some((config, data)) = self.s {
            status.config_synced = time(frame, config);
            status.data_synced = time(frame, data);
        }
    }
}
