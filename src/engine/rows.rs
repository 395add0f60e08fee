//! What peers report: rows first of all, their own and those that they pass on.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::ClusterState;
use super::out::Out;
use super::{roster, rules};
use crate::domain::event::EventKind;
use crate::domain::finding::Subject;
use crate::domain::ids::{ClusterName, PeerId};
use crate::domain::maintenance::Maintenance;
use crate::domain::mesh::link::{Link, LinkState};
use crate::domain::mesh::row::Row;
use crate::domain::observation::{Fact, Health, Identity, Observation, RowDelta};
use crate::domain::reach::EndpointKey;
use crate::domain::text::Line;
use crate::domain::time::Time;

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
                    self.put_row(at, &row, out);
                }
                Fact::RowDelta(delta) if has_base => self.on_delta(at, &delta, out),
                // Of another origin, or changes to a row that was never sent.
                Fact::Row(_) | Fact::RowDelta(_) => *out.dropped += 1,
                Fact::Health(health) => self.on_health(at, health, out.now),
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
            let peer = self.peer_mut(at);
            peer.reach.heard = Some(now);
            let extra = self.extra_mut(&id);
            if extra.unparsed.as_ref().is_some_and(|(at, _)| now.since(*at) >= rules::SENSIBLE) {
                extra.unparsed = None;
                self.unsettled = true;
            }
            let peer = self.peer_mut(at);
            if let Some(row) = peer.row.as_mut().filter(|r| has_base && r.vouched < now) {
                Arc::make_mut(row).vouched = now;
            }
            self.row_seen(at, out);
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

    fn on_unparsed(&mut self, id: &PeerId, why: Line, out: &mut Out<'_>) {
        let text = format!("{} sent what can't be understood: {why}", self.cluster.label(id));
        self.extra_mut(id).unparsed = Some((out.now, why));
        self.unsettled = true;
        out.happened(EventKind::Peer, Subject::Peer(id.clone()), &text);
    }

    fn on_identity(&mut self, at: usize, identity: Identity, now: Time) {
        if self.cluster.peers[at].identity.as_deref() == Some(&identity) {
            return;
        }
        self.peer_mut(at).identity = Some(Arc::new(identity));
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
        self.peer_mut(at).health = health;
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
        } else if (row.boot, row.seq) == (held.boot, held.seq) && vouched > held.vouched {
            let held = self.peer_mut(at).row.as_mut().map(Arc::make_mut);
            if let Some(held) = held {
                held.vouched = vouched;
                held.via = Some(via.clone());
            }
        }
        self.row_seen(at, out);
    }

    /// A whole row takes the place of the one that is held.
    fn put_row(&mut self, at: usize, row: &Arc<Row>, out: &mut Out<'_>) {
        let old = self.cluster.peers[at].row.clone();
        let cells = roster::cells(Some(row), &self.cluster.index);
        let id = row.origin.clone();
        let index = Arc::clone(&self.cluster.index);
        let peer = self.peer_mut(at);
        peer.cells = cells;
        // A round trip that a relayed or new row brings is a ping too.
        for link in row.links.iter().filter(|l| l.state == LinkState::Connected && l.rtt.is_some()) {
            let before = old.as_ref().and_then(|o| o.link(&link.to)).and_then(|l| l.rtt);
            if let Some(j) = index.get(&link.to).filter(|_| before != link.rtt) {
                Arc::make_mut(&mut peer.pulses)[*j].push(link.rtt);
            }
        }
        peer.row = Some(Arc::clone(row));
        keep_told(peer.row.as_mut().map(Arc::make_mut), old.as_deref().and_then(|o| o.maintenance.as_ref()));
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

    /// Changes on top of the row that the peer sent last over this connection.
    fn on_delta(&mut self, at: usize, delta: &RowDelta, out: &mut Out<'_>) {
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
            }
            changes.push((was, Arc::clone(link)));
        }
        if !delta.pings.is_empty() {
            let pulses = Arc::make_mut(&mut peer.pulses);
            for (link, ping) in row.links.iter_mut().zip(&delta.pings) {
                let (Some(ping), Some(j)) = (ping, index.get(&link.to)) else { continue };
                pulses[*j].push(*ping);
                take_ping(link, *ping, out.now);
                cells[*j] = Some(Arc::clone(link));
            }
        }
        self.dirty = true;
        if disturbed {
            self.disturb(&id, out.now);
        }
        for (was, link) in changes {
            self.link_changed(&id, was.as_deref(), &link, out);
        }
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
        let (a, b) = (self.cluster.label(from), self.cluster.label(&is.to));
        let why = is.cause.map_or_else(String::new, |c| format!(" ({})", c.as_str()));
        let text = format!("{a} → {b}: {}{why}, was {}", is.state.as_str(), before.as_str());
        let subject = Subject::Link { from: from.clone(), to: is.to.clone() };
        out.happened(EventKind::Link, subject, &text);
    }

    /// After a peer's row was touched: what the rules need of it, and what waits for it.
    fn row_seen(&mut self, at: usize, out: &mut Out<'_>) {
        self.note_row(at, out.now);
        self.row_for_commands(at, out);
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

/// A ping of a link that stands otherwise as it was told last.
fn take_ping(link: &mut Arc<Link>, ping: Option<Duration>, now: Time) {
    if let Some(rtt) = ping {
        let link = Arc::make_mut(link);
        link.rtt = Some(rtt);
        link.heard = Some(now);
    }
}
