//! Other loss thresholds, tried on what was recorded: how many takeovers there would have been (`20-console.md`, "Look back").
//!
//! Pure. Pictures come in, in their order; of each the times at which a unit that waits last heard its primary.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ha::config::THRESHOLD_BEATS;
use crate::domain::ha::group::{Member, groups};
use crate::domain::ha::{Effective, GroupKind};
use crate::domain::ids::{ClusterName, HaName, PeerId};
use crate::domain::snapshot::Cluster;
use crate::domain::time::Time;

/// Thresholds that are tried, seconds.
const SECONDS: [u64; 7] = [3, 5, 8, 10, 15, 20, 30];

/// And so many intervals.
const BEATS: [u32; 5] = [3, 5, 10, 20, 30];

/// Two pictures further apart say nothing about what was between them.
const WATCHED: Duration = Duration::from_secs(20);

/// Silences that are kept of one group, the longest.
const SILENCES_MAX: usize = 4_096;

/// A time in which a unit heard nothing on any link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Silence {
    /// Who heard nothing.
    pub unit: PeerId,
    /// Its last beat before.
    pub began: Time,
    /// How long.
    pub lasted: Duration,
}

/// What came of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WhatIf {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub group: HaName,
    /// The first picture of it,
    pub from: Time,
    /// the last.
    pub until: Time,
    /// How much of that was seen.
    pub watched: Duration,
    /// The threshold that it has, by the newest word.
    pub threshold: Duration,
    /// Threshold to takeovers that there would have been.
    pub rows: Vec<(Duration, usize)>,
    /// Takeovers that there were: somebody became primary out of waiting.
    pub took: usize,
    /// The longest silences, the longest first.
    pub longest: Vec<Silence>,
}

/// What was last seen of a unit.
#[derive(Clone, Debug)]
struct Last {
    at: Time,
    heard: Time,
    /// It waits: its silence would make it take over.
    waits: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    from: Time,
    until: Time,
    watched: Duration,
    threshold: Duration,
    interval: Duration,
    took: BTreeMap<(PeerId, u64), Time>,
    last: BTreeMap<PeerId, Last>,
    silences: Vec<Silence>,
}

/// Takes pictures in.
#[derive(Clone, Debug, Default)]
pub struct Collector(BTreeMap<(ClusterName, HaName), Seen>);

impl Collector {
    /// One picture of a cluster, taken at `now`; they come in their order.
    pub fn look(&mut self, cluster: &Cluster, now: Time) {
        for group in groups(cluster, now).into_iter().filter(|g| g.kind == GroupKind::ActivePassive) {
            let Some(first) = group.fresh().next() else { continue };
            let key = (cluster.name.clone(), group.name.clone());
            let seen = self.0.entry(key).or_insert_with(|| Seen {
                from: now,
                until: now,
                watched: Duration::ZERO,
                threshold: first.status.threshold,
                interval: first.status.interval,
                took: BTreeMap::new(),
                last: BTreeMap::new(),
                silences: Vec::new(),
            });
            let gap = now.since(seen.until);
            if gap <= WATCHED {
                seen.watched += gap;
            }
            seen.until = now;
            (seen.threshold, seen.interval) = (first.status.threshold, first.status.interval);
            for member in group.fresh() {
                seen.unit(member);
            }
        }
    }

    /// What came of it, group by group.
    #[must_use]
    pub fn finish(self) -> Vec<WhatIf> {
        self.0.into_iter().map(|((cluster, group), seen)| seen.finish(cluster, group)).collect()
    }
}

impl Seen {
    fn unit(&mut self, m: &Member) {
        let s = &m.status;
        let from = self.from;
        let took = s.changes.iter().filter(|c| c.to == Effective::Primary && c.from != Effective::Primary);
        let took = took.filter(|c| matches!(c.from, Effective::Secondary | Effective::HoldOff) && c.at >= from);
        self.took.extend(took.map(|c| ((m.id.clone(), c.epoch), c.at)));
        let Some(heard) = s.heartbeats.iter().filter_map(|h| h.heard).max() else { return };
        let waits = s.effective == Effective::Secondary;
        let now = Last { at: m.at, heard, waits };
        let Some(last) = self.last.insert(m.id.clone(), now) else {
            self.silent(&m.id, heard, m.at.since(heard), waits);
            return;
        };
        if m.at.since(last.at) > WATCHED {
            return; // Nobody saw what was between.
        }
        if heard <= last.heard {
            self.silent(&m.id, last.heard, m.at.since(last.heard), last.waits);
            return;
        }
        // Beats came since: the longest pause is told by the link on which it was the shortest.
        let span = heard.since(last.heard);
        let beats = usize::try_from(span.as_millis() / s.interval.as_millis().max(1)).unwrap_or(usize::MAX);
        let pause = |ms: &[u32]| ms.iter().rev().take(beats.saturating_add(1)).max().copied();
        let told = s.heartbeats.iter().filter_map(|h| pause(&h.intervals)).min();
        let lasted = told.map_or(span, |ms| Duration::from_millis(ms.into()).min(span));
        self.silent(&m.id, last.heard, lasted, last.waits);
    }

    /// A silence that has lasted so long by now; the same one grows.
    fn silent(&mut self, unit: &PeerId, began: Time, lasted: Duration, waits: bool) {
        if let Some(same) = self.silences.iter_mut().rev().take(8).find(|s| s.unit == *unit && s.began == began) {
            same.lasted = same.lasted.max(lasted);
            return;
        }
        // What is shorter than any threshold can be is no news.
        if !waits || lasted < self.interval * (2 * THRESHOLD_BEATS - 1) / 2 {
            return;
        }
        if self.silences.len() == SILENCES_MAX {
            let least = self.silences.iter().enumerate().min_by_key(|(_, s)| s.lasted).map(|(at, _)| at);
            self.silences.swap_remove(least.unwrap_or_default());
        }
        self.silences.push(Silence { unit: unit.clone(), began, lasted });
    }

    fn finish(mut self, cluster: ClusterName, group: HaName) -> WhatIf {
        self.silences.sort_by(|a, b| b.lasted.cmp(&a.lasted).then_with(|| a.began.cmp(&b.began)));
        let seconds = SECONDS.iter().map(|s| Duration::from_secs(*s));
        let beats = BEATS.iter().map(|n| self.interval * *n);
        let mut tried: Vec<Duration> = seconds.chain(beats).chain([self.threshold]).collect();
        tried.retain(|t| *t >= self.interval * THRESHOLD_BEATS);
        tried.sort_unstable();
        tried.dedup();
        let takes = |t: &Duration| (*t, self.silences.iter().filter(|s| s.lasted >= *t).count());
        WhatIf {
            cluster,
            group,
            from: self.from,
            until: self.until,
            watched: self.watched,
            threshold: self.threshold,
            rows: tried.iter().map(takes).collect(),
            took: self.took.len(),
            longest: self.silences,
        }
    }
}
