//! What peers report: rows first of all, their own and those that they pass on.

use std::sync::Arc;

use super::cluster::ClusterState;
use super::out::Out;
use super::{roster, rules};
use crate::domain::event::EventKind;
use crate::domain::finding::Subject;
use crate::domain::ids::{ClusterName, PeerId};
use crate::domain::maintenance::Maintenance;
use crate::domain::mesh::link::{Cause, Link, LinkState};
use crate::domain::mesh::row::Row;
use crate::domain::observation::{Fact, Health, Identity, Observation, RowDelta};
use crate::domain::reach::{EndpointKey, ReachState};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Fellows that reach a peer again make this console dial it no more often than this.
const REDIAL: std::time::Duration = std::time::Duration::from_secs(5);

impl ClusterState {
    /// One report of a connected peer.
    pub fn on_observed(
        &mut self,
        key: &EndpointKey,
        facts: Vec<Observation>,
        twins: &[ClusterName],
        out: &mut Out<'_>,
    ) {
        let Some(contact) = self.contacts.get(key) else { return };
        let Some(id) = contact.id.clone().filter(|_| contact.live) else {
            self.on_unasked(key, facts, out);
            return;
        };
        let mut understood = true;
        let mut row_changed = false;
        let mut has_base = contact.has_base;
        for Observation { observer, fact, .. } in facts {
            if observer != id {
                *out.dropped += 1; // A connection speaks for the one peer that answered on it.
                continue;
            }
            let Some(at) = self.position(&id) else { return };
            match fact {
                Fact::Identity(identity) => self.on_identity(at, identity, out.now),
                Fact::Membership(told) => self.take_membership(key, &id, &told, twins, out),
                Fact::Row(row) if row.via.is_some() => self.on_relayed(&id, &row, out),
                Fact::Row(row) if row.origin == id => {
                    has_base = true;
                    row_changed = true;
                    self.put_row(at, &row, out);
                }
                Fact::RowDelta(delta) if has_base => row_changed |= self.on_delta(at, &delta, out),
                // Of another origin, or changes to a row that was never sent.
                Fact::Row(_) | Fact::RowDelta(_) => *out.dropped += 1,
                Fact::Health(health) => self.on_health(at, health, out.now),
                Fact::Holding(holding) => self.on_holding(at, holding, out),
                Fact::Ha(ha) => self.on_ha(at, ha, out),
                Fact::Tree(part) => self.on_tree(key, &id, part, out),
                Fact::Sessions(sessions) if *sessions == *self.cluster.peers[at].sessions => {}
                Fact::Sessions(sessions) => self.peer_mut(at).sessions = sessions.into(),
                Fact::Event(event) => out.event(event),
                Fact::Logged { n, event } => {
                    let boot = self.cluster.peers[at].identity.as_ref().map(|i| i.boot);
                    if self.extra_mut(&id).is_new_line(boot, n) {
                        out.event(event);
                    }
                }
                Fact::Unparsed { why } => {
                    understood = false;
                    self.on_unparsed(&id, why, out);
                }
            }
        }
        if let Some(contact) = self.contacts.get_mut(key) {
            contact.has_base = has_base;
        }
        // Each report vouches for the row that it stands on.
        if let Some(at) = self.position(&id).filter(|_| understood) {
            let now = out.now;
            let peer = self.peer_quietly(at);
            peer.reach.heard = Some(now);
            if has_base {
                peer.confirmed = now;
            }
            let extra = self.extra_mut(&id);
            if extra.unparsed.as_ref().is_some_and(|(at, _)| now.since(*at) >= rules::SENSIBLE) {
                extra.unparsed = None;
                self.unsettled = true;
            }
            if row_changed {
                self.note_row(at, now);
            }
            self.row_for_commands(at, out);
            self.holding_for_commands(out);
        }
    }

    /// Facts of a peer that has not said who it is, or is not taken for who it says: of these only counts that
    /// it can't be understood.
    fn on_unasked(&mut self, key: &EndpointKey, facts: Vec<Observation>, out: &mut Out<'_>) {
        let seat = self.seat(key).map(|at| self.cluster.peers[at].id.clone());
        for Observation { fact, .. } in facts {
            match (fact, &seat) {
                (Fact::Unparsed { why }, Some(id)) => self.on_unparsed(id, why, out),
                _ => *out.dropped = out.dropped.saturating_add(1),
            }
        }
    }

    /// What a peer sent can't be taken.
    pub(super) fn on_unparsed(&mut self, id: &PeerId, why: Line, out: &mut Out<'_>) {
        let text = format!("{} sent what can't be understood: {why}", self.cluster.label(id));
        self.extra_mut(id).unparsed = Some((out.now, why));
        self.unsettled = true;
        out.happened(EventKind::Peer, Subject::Peer(id.clone()), &text);
    }

    fn on_identity(&mut self, at: usize, identity: Identity, now: Time) {
        if self.cluster.peers[at].identity.as_deref() == Some(&identity) {
            return;
        }
        let restarted = self.cluster.peers[at].identity.as_ref().is_some_and(|i| i.boot != identity.boot);
        let peer = self.peer_mut(at);
        peer.identity = Some(Arc::new(identity));
        if restarted {
            peer.ha = None; // Whether it is a unit of an HA group is told anew, or no more.
        }
        self.unsettled = true;
        self.rebuild(now); // It may stand under another name now.
        self.fold_limits();
    }

    fn on_health(&mut self, at: usize, health: Health, now: Time) {
        let before = self.cluster.peers[at].health;
        if before == health {
            return;
        }
        let id = self.cluster.peers[at].id.clone();
        if before.is_late() != health.is_late() {
            self.disturb(&id, now);
        }
        if health.dropped > before.dropped && before != Health::default() {
            let drops = &mut self.extra_mut(&id).drops;
            if drops.len() == rules::DROPS {
                drops.pop_front();
            }
            drops.push_back(now);
        }
        // The offset of the clock is measured anew with each report: a millisecond more or less is no news.
        if before.is_late() == health.is_late() && before.dropped == health.dropped {
            self.peer_quietly(at).health = health;
        } else {
            self.peer_mut(at).health = health;
        }
    }

    /// A row that another peer passes on: taken only where it is newer than what is held, and never instead of
    /// what the origin itself says.
    fn on_relayed(&mut self, via: &PeerId, row: &Arc<Row>, out: &mut Out<'_>) {
        let Some(at) = self.position(&row.origin).filter(|_| row.origin != *via) else {
            *out.dropped += 1;
            return;
        };
        let peer = &self.cluster.peers[at];
        let speaks_itself = peer.row.as_ref().is_some_and(|r| r.via.is_none())
            && peer.is_reached()
            && peer.is_row_fresh(&self.cluster.limits, out.now);
        if speaks_itself {
            return;
        }
        // A relay that is ahead of us can't make a fact look younger than its arrival.
        let vouched = row.vouched.min(out.now);
        let Some(held) = &peer.row else {
            self.put_row(at, row, out);
            return;
        };
        if row.is_newer_than(held) {
            self.put_row(at, row, out);
        } else if (row.boot, row.seq) == (held.boot, held.seq) && vouched > held.vouched.max(peer.confirmed) {
            let same_way = held.via.as_ref() == Some(via);
            let peer = if same_way { self.peer_quietly(at) } else { self.peer_mut(at) };
            if let Some(held) = peer.row.as_mut().map(Arc::make_mut) {
                held.vouched = vouched;
                held.via = Some(via.clone());
            }
        }
        self.note_row(at, out.now);
        self.row_for_commands(at, out);
    }

    /// A whole row takes the place of the one that is held.
    fn put_row(&mut self, at: usize, row: &Arc<Row>, out: &mut Out<'_>) {
        let old = self.cluster.peers[at].row.clone();
        let cells = roster::cells(Some(row), &self.cluster.index);
        let id = row.origin.clone();
        let index = Arc::clone(&self.cluster.index);
        let peer = self.peer_mut(at);
        peer.cells = cells;
        let pulses = Arc::make_mut(&mut peer.pulses);
        for (link, j) in row.links.iter().filter_map(|l| Some((l, index.get(&l.to)?))) {
            // A round trip that a relayed or new row brings is a ping too.
            if link.state == LinkState::Connected && link.rtt.is_some() && pulses[*j].rtt() != link.rtt {
                pulses[*j].push(link.rtt);
            }
            pulses[*j].set_rtt(link.rtt);
        }
        peer.row = Some(Arc::clone(row));
        keep_told(peer.row.as_mut().map(Arc::make_mut), old.as_deref().and_then(|o| o.maintenance.as_ref()));
        peer.confirmed = Time::ZERO;
        self.extra_mut(&id).places.clear();
        let Some(old) = old else {
            self.disturb(&id, out.now);
            return;
        };
        if old.maintenance.is_some() != row.maintenance.is_some() {
            self.unsettled = true;
        }
        if old.detached.is_some() != row.detached.is_some() || old.level != row.level || old.boot != row.boot {
            self.disturb(&id, out.now);
        }
        let mut before = old.links.iter().peekable();
        for link in &row.links {
            while before.next_if(|b| b.to < link.to).is_some() {}
            let was = before.next_if(|b| b.to == link.to);
            self.link_changed(&id, was.map(Arc::as_ref), link, out);
        }
        if old.links.len() != row.links.len() {
            self.unsettled = true;
        }
    }

    /// Changes on top of the row that the peer sent last over this connection; whether there were any but pings.
    fn on_delta(&mut self, at: usize, delta: &RowDelta, out: &mut Out<'_>) -> bool {
        let Some(row) = &self.cluster.peers[at].row else { return false };
        let announced = match (&row.maintenance, &delta.maintenance) {
            (None, None) => true,
            (Some(a), Some(b)) => a.is_same(b),
            (Some(_), None) | (None, Some(_)) => false,
        };
        let same = announced
            && (row.seq, row.detached.is_some(), row.level) == (delta.seq, delta.detached.is_some(), delta.level);
        let changes = !same || !delta.changed.is_empty() || !delta.removed.is_empty();
        if changes {
            self.change_row(at, delta, out);
        }
        self.take_pings(at, delta);
        changes
    }

    fn change_row(&mut self, at: usize, delta: &RowDelta, out: &mut Out<'_>) {
        let index = Arc::clone(&self.cluster.index);
        let peer = Arc::make_mut(&mut self.cluster.peers[at]);
        let Some(row) = &mut peer.row else { return };
        let row = Arc::make_mut(row);
        let id = row.origin.clone();
        let mut changes: Vec<(Option<Arc<Link>>, Arc<Link>)> = Vec::new();
        let disturbed = row.detached.is_some() != delta.detached.is_some() || row.level != delta.level;
        let announced = row.maintenance.take();
        row.maintenance.clone_from(&delta.maintenance);
        keep_told(Some(row), announced.as_ref());
        if announced != row.maintenance {
            self.unsettled = true;
        }
        row.seq = delta.seq;
        row.detached = delta.detached;
        row.level = delta.level;
        let cells = Arc::make_mut(&mut peer.cells);
        let pulses = Arc::make_mut(&mut peer.pulses);
        for to in &delta.removed {
            if let Ok(k) = row.links.binary_search_by(|l| l.to.cmp(to)) {
                row.links.remove(k);
                if let Some(j) = index.get(to) {
                    cells[*j] = None;
                }
                self.unsettled = true;
            }
        }
        for link in &delta.changed {
            let was = match row.links.binary_search_by(|l| l.to.cmp(&link.to)) {
                Ok(k) => Some(std::mem::replace(&mut row.links[k], Arc::clone(link))),
                Err(k) => {
                    row.links.insert(k, Arc::clone(link));
                    None
                }
            };
            if let Some(j) = index.get(&link.to) {
                cells[*j] = Some(Arc::clone(link));
                pulses[*j].set_rtt(link.rtt);
            }
            changes.push((was, Arc::clone(link)));
        }
        self.dirty = true;
        self.extra_mut(&id).places.clear();
        if disturbed {
            self.disturb(&id, out.now);
        }
        for (was, link) in changes {
            self.link_changed(&id, was.as_deref(), &link, out);
        }
    }

    /// New round trips, in the order of the row. The links themselves stay as they were told and shared.
    fn take_pings(&mut self, at: usize, delta: &RowDelta) {
        if delta.pings.is_empty() {
            return;
        }
        let Some(row) = self.cluster.peers[at].row.clone() else { return };
        let index = Arc::clone(&self.cluster.index);
        let extra = self.extra_mut(&row.origin);
        if extra.places.len() != row.links.len() {
            extra.places = row.links.iter().map(|l| index.get(&l.to).copied()).collect();
        }
        let places = std::mem::take(&mut extra.places);
        let pulses = Arc::make_mut(&mut self.peer_quietly(at).pulses);
        for (place, ping) in places.iter().zip(&delta.pings) {
            if let (Some(j), Some(ping)) = (place, ping) {
                pulses[*j].push(*ping);
            }
        }
        self.extra_mut(&row.origin).places = places;
    }

    /// Tells of a change, counts it, and says whether the verdict must look again.
    fn link_changed(&mut self, from: &PeerId, was: Option<&Link>, is: &Link, out: &mut Out<'_>) {
        let judged = |l: &Link| (l.state, l.cause, l.probe, l.dns.forward.is_bad(), l.dns.reverse.is_bad());
        if was.map(judged) == Some(judged(is)) {
            return;
        }
        self.unsettled = true;
        if was.is_some_and(|w| w.probe != is.probe) {
            self.disturb(from, out.now);
            self.disturb(&is.to, out.now);
        }
        let before = was.map_or(LinkState::Unknown, |l| l.state);
        if before == is.state && was.and_then(|l| l.cause) == is.cause {
            return;
        }
        if !self.cluster.index.contains_key(&is.to) {
            return;
        }
        if before != is.state {
            self.disturb(from, out.now);
            self.disturb(&is.to, out.now);
        }
        match (before, is.state) {
            (LinkState::Connected, LinkState::Down) | (LinkState::Down, LinkState::Connected) => {
                self.flaps.count(from, &is.to, out.now);
            }
            _ => {}
        }
        if is.state == LinkState::Connected {
            self.follow_fellow(&is.to, out);
        }
        let (a, b) = (self.cluster.label(from), self.cluster.label(&is.to));
        let why = is.cause.map_or_else(String::new, |c| format!(" ({})", c.as_str()));
        let text = format!("{a} → {b}: {}{why}, was {}", is.state.as_str(), before.as_str());
        let subject = Subject::Link { from: from.clone(), to: is.to.clone() };
        out.happened(EventKind::Link, subject, &text);
    }
}

impl ClusterState {
    /// A fellow reaches it again: where this console does not, it need not wait for the end of its back-off.
    fn follow_fellow(&mut self, to: &PeerId, out: &mut Out<'_>) {
        let Some(reach) = self.cluster.peer(to).filter(|p| p.observed).map(|p| &p.reach) else { return };
        let silent = matches!(reach.cause, Some(Cause::Refused | Cause::Timeout | Cause::Dropped));
        if reach.state != ReachState::Unreachable || !silent {
            return;
        }
        let extra = self.extra_mut(to);
        if out.now.since(extra.redialled) >= REDIAL {
            extra.redialled = out.now;
            self.dial_now(Some(to), out);
        }
    }
}

/// An announcement that is told once more keeps the times that are known: on the wire they shift by what a message takes.
fn keep_told(row: Option<&mut Row>, known: Option<&Maintenance>) {
    if let (Some(row), Some(known)) = (row, known)
        && row.maintenance.as_ref().is_some_and(|m| m != known && m.is_same(known))
    {
        row.maintenance = Some(known.clone());
    }
}
