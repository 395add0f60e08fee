//! The HA view: which unit is selected, what of it is shown, and what can be asked of it (F14, F15).

use std::time::Duration;

mod ask;
pub mod face;

use super::update::moved;
use super::{App, HA_SLOT, View};
use crate::app::filter::Facts;
use crate::domain::ha::group::{HaGroup, Member, groups};
use crate::domain::{Cluster, HaName, PeerId, Time};

/// How often what is silent is drawn anew, in milliseconds.
const SILENT_STEP: u64 = 250;

/// How often ages are, in milliseconds.
const CALM_STEP: u64 = 1000;

/// Where one is in the HA view of a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    unit: Option<PeerId>,
    /// Its place among all units, for when it is gone.
    at: usize,
    open: bool,
}

impl App {
    /// The HA groups of the cluster on screen, with the units that pass the filter.
    #[must_use]
    pub fn ha_groups(&self, now: Time) -> Vec<HaGroup> {
        let now = self.moment(now);
        let Some(cluster) = self.cluster() else { return Vec::new() };
        let mut found = in_order(cluster, now);
        let filter = &self.filters[HA_SLOT].filter;
        if filter.is_empty() {
            return found;
        }
        for group in &mut found {
            let name = group.name.clone();
            group.members.retain(|m| {
                let host = cluster.peer(&m.id).map_or("", |p| p.host.as_str());
                let roles = [m.status.effective.as_str(), m.status.configured.as_str()];
                let facts = Facts {
                    hosts: &[host],
                    groups: &[name.as_str()],
                    states: &roles,
                    text: &[m.id.as_str(), m.status.reason.as_str()],
                    ..Facts::default()
                };
                filter.fits(&facts)
            });
        }
        found.retain(|g| !g.members.is_empty());
        found
    }

    /// The groups as they are, whatever the filter: what is wrong with one is seen by all of its units.
    #[must_use]
    pub fn ha_groups_whole(&self, now: Time) -> Vec<HaGroup> {
        let now = self.moment(now);
        self.cluster().map_or_else(Vec::new, |c| in_order(c, now))
    }

    /// The selected unit.
    #[must_use]
    pub fn unit(&self) -> Option<&PeerId> {
        self.unit.unit.as_ref()
    }

    /// The HA group of the selected unit.
    #[must_use]
    pub fn unit_group(&self) -> Option<&HaName> {
        let (status, _) = self.cluster()?.peer(self.unit()?)?.ha.as_ref()?;
        Some(&status.group)
    }

    /// Whether all of the selected unit is shown below the groups.
    #[must_use]
    pub fn is_unit_open(&self) -> bool {
        self.unit.open
    }

    /// Whether a group of the cluster on screen has two primaries, or none.
    #[must_use]
    pub fn is_ha_loud(&self, now: Time) -> bool {
        let moment = self.moment(now);
        let Some(cluster) = self.cluster() else { return false };
        groups(cluster, moment).iter().any(|g| face::banners(cluster, g, moment).iter().any(|b| b.loud))
    }

    pub(super) fn ha_hits(&self, now: Time) -> (usize, usize) {
        let count = |groups: &[HaGroup]| groups.iter().map(|g| g.members.len()).sum();
        (count(&self.ha_groups(now)), count(&self.ha_groups_whole(now)))
    }

    pub(super) fn open_unit(&mut self) {
        self.unit.open = !self.unit.open && self.unit.unit.is_some();
    }

    pub(super) fn close_unit(&mut self) {
        self.unit.open = false;
    }

    pub(super) fn select_unit(&mut self, id: PeerId) {
        self.unit.unit = Some(id);
    }

    /// Keeps the selection on a unit that is there.
    pub(super) fn settle_unit(&mut self, now: Time) {
        let units = units(&self.ha_groups(now));
        let place = self.unit.unit.as_ref().and_then(|id| units.iter().position(|u| u == id));
        self.unit.at = place.unwrap_or(self.unit.at.min(units.len().saturating_sub(1)));
        self.unit.unit = units.get(self.unit.at).cloned();
        self.unit.open &= self.unit.unit.is_some();
    }

    pub(super) fn step_unit(&mut self, down: isize, now: Time) {
        let units = units(&self.ha_groups(now));
        self.unit.at = moved(self.unit.at, down, units.len().saturating_sub(1));
        self.unit.unit = units.get(self.unit.at).cloned();
    }

    /// To the first unit of the group after that of the selected one, or before it; around the ends.
    pub(super) fn next_ha_group(&mut self, forward: bool, now: Time) {
        let groups = self.ha_groups(now);
        let here = groups.iter().position(|g| g.members.iter().any(|m| Some(&m.id) == self.unit.unit.as_ref()));
        let (Some(here), count) = (here, groups.len()) else { return };
        let step = if forward { 1 } else { count - 1 };
        if let Some(first) = groups[(here + step) % count].members.first() {
            self.unit.unit = Some(first.id.clone());
            self.settle_unit(now);
        }
    }

    /// How often the HA view is drawn anew by mere passing of time, in milliseconds: a gauge that fills moves, all
    /// else shows seconds. `None`: it is not on screen, or shows no unit.
    pub(super) fn ha_step(&self, now: Time) -> Option<u64> {
        if self.view != View::Ha {
            return None;
        }
        let groups = self.ha_groups_whole(now);
        let mut members = groups.iter().flat_map(|g| &g.members).peekable();
        members.peek()?;
        Some(if members.any(|m| fills(m, now)) { SILENT_STEP } else { CALM_STEP })
    }
}

/// Whether a gauge of this unit fills: a link is silent for longer than one and a half intervals, by its word, and
/// not yet for as long as its gauge reaches.
fn fills(member: &Member, now: Time) -> bool {
    let status = &member.status;
    let full = status.threshold.max(status.takeover_after) + Duration::from_secs(1);
    member.fresh
        && status
            .heartbeats
            .iter()
            .filter_map(|h| h.heard)
            .any(|at| face::is_overdue(member.at.since(at), status.interval) && now.since(at) <= full)
}

fn units(groups: &[HaGroup]) -> Vec<PeerId> {
    groups.iter().flat_map(|g| g.members.iter().map(|m| m.id.clone())).collect()
}

/// The groups of `cluster`: pairs first, then by name.
fn in_order(cluster: &Cluster, now: Time) -> Vec<HaGroup> {
    let mut found = groups(cluster, now);
    found.sort_by_key(|g| g.kind);
    found
}

/// The whole group of this name.
fn group_named(cluster: &Cluster, name: &HaName, now: Time) -> Option<HaGroup> {
    groups(cluster, now).into_iter().find(|g| g.name == *name)
}
