//! The word of a unit about its HA group: taken, steadied, and told once where its role has changed.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::ClusterState;
use super::out::Out;
use crate::domain::event::{Event, EventKind};
use crate::domain::finding::Subject;
use crate::domain::ha::HaStatus;
use crate::domain::ha::status::RoleChange;
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// A moment of the past comes out a little different with each report, by what the report took on its way.
const JITTER: Duration = Duration::from_secs(1);

/// What is remembered of a unit's words beside the newest one.
#[derive(Debug, Default)]
pub(super) struct HaSeen {
    /// The newest role change that was told.
    told: Option<RoleChange>,
    /// Datagrams of strangers and repeated ones, as last counted.
    strange: Option<u64>,
    /// When that count last rose.
    pub rose: Option<Time>,
}

impl HaSeen {
    /// Role changes that were not told yet; they count as told then.
    fn news(&mut self, changes: &[RoleChange]) -> Vec<RoleChange> {
        let new = match &self.told {
            None => changes,
            Some(told) => match changes.iter().rposition(|c| is_same(c, told)) {
                Some(at) => &changes[at + 1..],
                // A new start, or more changes than are told: what came after it is new.
                None => &changes[changes.iter().position(|c| c.at > told.at).unwrap_or(changes.len())..],
            },
        };
        let new = new.to_vec();
        if let Some(last) = new.last() {
            self.told = Some(last.clone());
        }
        new
    }

    fn count(&mut self, status: &HaStatus, now: Time) {
        let n = status.strangers.saturating_add(status.replays);
        if self.strange.is_some_and(|before| n > before) {
            self.rose = Some(now);
        }
        self.strange = Some(n);
    }
}

impl ClusterState {
    /// How a unit stands in its HA group: the newest word counts.
    pub fn on_ha(&mut self, at: usize, mut ha: Arc<HaStatus>, out: &mut Out<'_>) {
        let now = out.now;
        let id = self.cluster.peers[at].id.clone();
        let before = self.cluster.peers[at].ha.as_ref().map(|(status, _)| Arc::clone(status));
        let same = before.as_ref().is_some_and(|before| {
            steady(Arc::make_mut(&mut ha), before);
            ageless(&ha) == ageless(before)
        });
        if same {
            self.peer_quietly(at).ha = Some((ha, now));
            return;
        }
        let seen = &mut self.extra_mut(&id).ha;
        seen.count(&ha, now);
        let news = seen.news(&ha.changes);
        self.tell_roles(&id, &ha, &news, out);
        self.peer_mut(at).ha = Some((ha, now));
        self.unsettled = true;
    }

    fn tell_roles(&self, id: &PeerId, ha: &HaStatus, news: &[RoleChange], out: &mut Out<'_>) {
        let name = self.cluster.label(id);
        for change in news {
            let row = if change.row > 0 { format!(", row {}", change.row) } else { String::new() };
            let because = if change.reason.is_empty() { String::new() } else { format!(": {}", change.reason) };
            let text = format!(
                "{}: {name} is {}, was {} (epoch {}{row}){because}",
                ha.group,
                change.to.as_str(),
                change.from.as_str(),
                change.epoch
            );
            let subject = Subject::Ha(ha.group.clone());
            out.event(Event { at: change.at, cluster: None, kind: EventKind::Role, subject, text: Line::new(&text) });
        }
    }
}

fn is_same(a: &RoleChange, b: &RoleChange) -> bool {
    is_near(a.at, b.at) && *a == RoleChange { at: a.at, ..b.clone() }
}

fn is_near(a: Time, b: Time) -> bool {
    a.since(b) <= JITTER && b.since(a) <= JITTER
}

/// Moments that are only told once more keep the time that is known.
fn steady(new: &mut HaStatus, old: &HaStatus) {
    let keep = |new: &mut Time, old: Time| {
        if is_near(*new, old) {
            *new = old;
        }
    };
    let keep_if = |new: &mut Option<Time>, old: Option<Time>| {
        if let (Some(new), Some(old)) = (new.as_mut(), old) {
            keep(new, old);
        }
    };
    keep(&mut new.since, old.since);
    keep_if(&mut new.hold_off_until, old.hold_off_until);
    keep_if(&mut new.quiet_until, old.quiet_until);
    if let (Some((_, new)), Some((_, old))) = (&mut new.last_stranger, &old.last_stranger) {
        keep(new, *old);
    }
    for change in &mut new.changes {
        if let Some(known) = old.changes.iter().find(|k| is_same(k, change)) {
            change.at = known.at;
        }
    }
}

/// The word without what passes with time alone.
fn ageless(status: &HaStatus) -> HaStatus {
    let mut status = status.clone();
    for beat in &mut status.heartbeats {
        beat.heard = beat.heard.map(|_| Time::ZERO);
        beat.missed = 0;
        beat.intervals = Arc::from([]);
    }
    for monitor in &mut status.monitors {
        monitor.next = None;
    }
    for address in &mut status.addresses {
        address.lease_until = address.lease_until.map(|_| Time::ZERO);
    }
    status.permit.until = status.permit.until.map(|_| Time::ZERO);
    status.permit.witness_heard = status.permit.witness_heard.map(|_| Time::ZERO);
    status.config_synced = status.config_synced.map(|_| Time::ZERO);
    status.data_synced = status.data_synced.map(|_| Time::ZERO);
    status
}
