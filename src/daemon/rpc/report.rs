//! What an observer is told: everything first, then what differs from what was told last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::tree::TreePages;
use super::{identity, wire_time};
use crate::daemon::cluster::View;
use crate::daemon::shared::{Operator, Shared};
use crate::domain::ids::{BootId, PeerId};
use crate::domain::mesh::{Link, Row};
use crate::domain::settings::Holding;
use crate::domain::time::Time;
use crate::proto::ha::WireHa;
use crate::proto::membership::WireMembership;
use crate::proto::observe::{LIST_MAX, Report, WireDelta, WireEvent, WireLink, WireMaintenance, WireRow, WireSession};
use crate::proto::settings::WireHolding;
use crate::proto::{VERSION, micros, ms};

/// What one observer knows already. Deltas are made when they are sent, so that a slow reader never queues.
pub(super) struct Reporter {
    interval: Duration,
    relay: Vec<PeerId>,
    n: u64,
    at: Time,
    row: Option<Arc<Row>>,
    level: u32,
    revision: Option<u64>,
    pings: BTreeMap<PeerId, u64>,
    relayed: BTreeMap<PeerId, (BootId, u64, Time)>,
    operators: Option<Vec<Operator>>,
    log: u64,
    holding: Option<Arc<Holding>>,
    tree: TreePages,
}

impl Reporter {
    pub fn new(interval: Duration, relay: Vec<PeerId>) -> Self {
        Self {
            interval,
            relay,
            n: 0,
            at: Time::ZERO,
            row: None,
            level: 0,
            revision: None,
            pings: BTreeMap::new(),
            relayed: BTreeMap::new(),
            operators: None,
            log: 0,
            holding: None,
            tree: TreePages::default(),
        }
    }

    /// The settings tree is wanted from now on, whole first; or not any more.
    pub fn tree(&mut self, wanted: bool) {
        self.tree.want(wanted);
    }

    /// Whether another part of the tree waits to be told.
    pub fn has_more(&self) -> bool {
        self.tree.has_more()
    }

    /// Rows of these are wanted from now on.
    pub fn relay(&mut self, relay: Vec<PeerId>) {
        self.relay = relay;
        self.relayed.clear();
    }

    /// What is new in `view`.
    pub fn report(&mut self, shared: &Shared, view: &View) -> Report {
        self.n += 1;
        let mut report = Report {
            v: VERSION,
            n: self.n,
            clock: wire_time(view.at),
            wall: shared.env.clock.wall_ms(),
            late: ms(view.late.iter().filter(|(t, _)| *t > self.at).map(|(_, l)| *l).max().unwrap_or_default()),
            dropped: view.dropped,
            ..Report::default()
        };
        if self.n == 1 || self.level != view.row.level {
            self.level = view.row.level;
            report.identity = Some(identity(shared, view, self.interval));
        }
        if !view.membership.machines.is_empty() && self.revision != Some(view.membership.revision) {
            self.revision = Some(view.membership.revision);
            report.membership = Some(WireMembership::from(&*view.membership));
        }
        match self.row.take() {
            None => {
                report.row = Some(WireRow::from_row(&view.row, view.at));
                // The row has the round trips; only later pings count.
                self.pings = view.row.links.iter().zip(&view.pings).map(|(l, p)| (l.to.clone(), p.n)).collect();
            }
            Some(last) => report.delta = Some(self.delta(&last, view)),
        }
        self.row = Some(view.row.clone());
        report.relayed = self.relayed_rows(view);
        let operators = shared.operators();
        if self.operators.as_ref() != Some(&operators) {
            report.sessions = Some(operators.iter().take(LIST_MAX).map(wire_session).collect());
            self.operators = Some(operators);
        }
        if self.holding.as_ref().is_none_or(|told| !Arc::ptr_eq(told, &view.holding) && *told != view.holding) {
            self.holding = Some(Arc::clone(&view.holding));
            report.holding = Some(WireHolding::from(&*view.holding));
        }
        report.ha = shared.ha_status().map(|status| Box::new(WireHa::from(&*status)));
        report.tree = self.tree.page(view);
        report.events = view
            .log
            .iter()
            .filter(|l| l.n > self.log)
            .map(|l| WireEvent {
                n: Some(l.n),
                at: wire_time(l.at),
                peer: l.peer.as_ref().map(ToString::to_string),
                text: l.text.to_string(),
            })
            .collect();
        self.log = view.log.last().map_or(self.log, |l| l.n);
        self.at = view.at;
        report
    }

    fn delta(&mut self, last: &Row, view: &View) -> WireDelta {
        let row = &view.row;
        let changed = row.links.iter().filter(|l| last.link(&l.to).is_none_or(|was| differs(was, l)));
        let removed = last.links.iter().filter(|l| row.link(&l.to).is_none());
        let mut pings = Vec::with_capacity(row.links.len());
        for (link, count) in row.links.iter().zip(&view.pings) {
            let told = self.pings.insert(link.to.clone(), count.n).unwrap_or(0);
            pings.push(match count.last {
                _ if count.n == told => 0,
                Some(rtt) => i64::try_from(micros(rtt).max(1)).unwrap_or(i64::MAX),
                None => -1,
            });
        }
        if pings.iter().all(|p| *p == 0) {
            pings.clear();
        }
        WireDelta {
            seq: row.seq,
            detached: row.detached.map(wire_time),
            maintenance: row.maintenance.as_ref().map(WireMaintenance::from_domain),
            level: row.level,
            changed: changed.map(|l| WireLink::from_link(l)).collect(),
            removed: removed.map(|l| l.to.to_string()).collect(),
            pings,
        }
    }

    fn relayed_rows(&mut self, view: &View) -> Vec<WireRow> {
        let mut rows = Vec::new();
        for id in &self.relay {
            let Some(row) = view.rows.get(id) else { continue };
            let version = (row.boot, row.seq, row.vouched);
            if self.relayed.insert(id.clone(), version) != Some(version) {
                rows.push(WireRow::from_row(row, view.at));
            }
        }
        rows
    }
}

/// Whether an observer must be told: the round trip and the time of the last sign of life go with the pings.
fn differs(was: &Link, is: &Link) -> bool {
    let silent = |l: &Link| Link { rtt: None, heard: None, ..l.clone() };
    silent(was) != silent(is)
}

fn wire_session(o: &Operator) -> WireSession {
    WireSession { user: o.user.clone(), from: o.from.clone(), since: wire_time(o.since), what: o.what.clone() }
}
