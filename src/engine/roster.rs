//! Who belongs to the picture: the peers of the fleet file, the members that peers name, and discovery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Effect;
use super::cluster::{ClusterState, Contact, Extra};
use super::out::Out;
use crate::domain::event::EventKind;
use crate::domain::finding::Subject;
use crate::domain::ids::{ClusterName, GroupName, HostName, PeerId};
use crate::domain::membership::{Machine, Membership, natural};
use crate::domain::mesh::link::Link;
use crate::domain::mesh::row::Row;
use crate::domain::reach::{Endpoint, EndpointKey, Reach};
use crate::domain::snapshot::Peer;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// A place in the grid, before it is filled.
struct Seat {
    id: PeerId,
    host: HostName,
    group: Option<GroupName>,
    contact: Option<EndpointKey>,
}

impl ClusterState {
    /// A connection that is wanted from now on.
    pub fn add_contact(&mut self, endpoint: Endpoint, discovered: bool, out: &mut Out<'_>) {
        let key = endpoint.key.clone();
        if self.contacts.contains_key(&key) {
            return; // Named twice in the fleet file.
        }
        let contact = Contact {
            id: endpoint.expected.clone(),
            answered: false,
            endpoint: endpoint.clone(),
            discovered,
            live: false,
            has_base: false,
            ignored: None,
            asked: Vec::new(),
            belongs: None,
            offered: None,
        };
        self.contacts.insert(key, contact);
        out.effect(Effect::Start(endpoint));
    }

    /// What a peer says of the members: the cluster counts to which most peers belong, the first that was
    /// heard of among equals, and of it the highest revision.
    pub fn take_membership(
        &mut self,
        key: &EndpointKey,
        from: &PeerId,
        told: &Arc<Membership>,
        twins: &[ClusterName],
        out: &mut Out<'_>,
    ) {
        if let Some(contact) = self.contacts.get_mut(key) {
            contact.belongs = told.machine(from).is_some().then(|| told.cluster_id.clone());
        }
        match &self.membership {
            Some(held) if held.cluster_id != told.cluster_id => {
                if self.votes(&told.cluster_id) <= self.votes(&held.cluster_id) {
                    let text = format!(
                        "{} belongs to another cluster, {}: its members are not shown here",
                        self.cluster.label(from),
                        told.name
                    );
                    out.happened(EventKind::Membership, Subject::Peer(from.clone()), &text);
                    return;
                }
                let text = format!("most peers belong to {}, not to {}: its members are shown", told.name, held.name);
                out.happened(EventKind::Membership, Subject::Cluster, &text);
            }
            Some(held) if held.revision >= told.revision => return,
            Some(held) => {
                let text = membership_change(held, told);
                out.happened(EventKind::Membership, Subject::Cluster, &text);
            }
            None => {}
        }
        self.membership = Some(Arc::clone(told));
        self.cluster.membership_revision = Some(told.revision);
        if !twins.contains(&told.name) && !told.name.as_str().is_empty() {
            self.cluster.name = told.name.clone();
        }
        self.dirty = true;
        self.unsettled = true;
        self.rebuild(out.now);
        self.discover(out);
    }

    /// There is no cluster any more; the fleet file's name stays.
    pub(super) fn forget_membership(&mut self, out: &mut Out<'_>) {
        if let Some(was) = self.membership.take() {
            let text = format!("cluster {} is no more: its last machine has left it", was.name);
            out.happened(EventKind::Membership, Subject::Cluster, &text);
        }
        self.cluster.membership_revision = None;
        self.cluster.name = self.config.name.clone();
        self.dirty = true;
        self.unsettled = true;
        self.rebuild(out.now);
    }

    /// How many peers say that they belong to this cluster, or said so last: while the others are not reached, one
    /// that lies must not take over.
    fn votes(&self, cluster_id: &Line) -> usize {
        self.contacts.values().filter(|c| c.ignored.is_none() && c.belongs.as_ref() == Some(cluster_id)).count()
    }

    /// Discovery, after the fleet file changed: what was discovered ends where it is no longer wanted.
    pub(super) fn discover_again(&mut self, out: &mut Out<'_>) {
        if self.config.discover {
            self.discover(out);
            return;
        }
        let gone: Vec<EndpointKey> =
            self.contacts.iter().filter(|(_, c)| c.discovered).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.commands_lost(&key, out);
            self.source_gone(&key);
            self.contacts.remove(&key);
            out.effect(Effect::Stop(key));
        }
    }

    /// Starts what the membership names and nobody connects to; stops what it named once and no longer does.
    fn discover(&mut self, out: &mut Out<'_>) {
        let Some(membership) = self.membership.clone().filter(|_| self.config.discover) else { return };
        let mut wanted: BTreeMap<EndpointKey, Endpoint> = BTreeMap::new();
        let configured: BTreeSet<PeerId> =
            self.contacts.values().filter(|c| !c.discovered).filter_map(|c| c.id.clone()).collect();
        for machine in membership.machines.iter().filter(|m| !configured.contains(&m.id)) {
            let endpoint = endpoint_of(&self.config.name, machine);
            if self.contacts.get(&endpoint.key).is_none_or(|c| c.discovered) {
                wanted.insert(endpoint.key.clone(), endpoint);
            }
        }
        // An endpoint that is named otherwise now is begun anew.
        let gone: Vec<EndpointKey> = self
            .contacts
            .iter()
            .filter(|(key, c)| c.discovered && wanted.get(*key) != Some(&c.endpoint))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.commands_lost(&key, out);
            self.source_gone(&key);
            self.contacts.remove(&key);
            out.effect(Effect::Stop(key));
        }
        for endpoint in wanted.into_values() {
            self.add_contact(endpoint, true, out);
        }
        self.rebuild(out.now);
    }

    /// Makes the list of peers anew from membership and connections, and keeps what is known of each.
    pub fn rebuild(&mut self, now: Time) {
        let seats = self.seats();
        let same = seats.len() == self.cluster.peers.len()
            && seats.iter().zip(&self.cluster.peers).all(|(s, p)| {
                s.id == p.id && s.host == p.host && s.group == p.group && s.contact.is_some() == p.observed
            });
        let groups: Vec<GroupName> = self.membership.as_ref().map(|m| m.groups.clone()).unwrap_or_default();
        if groups != self.cluster.groups {
            self.cluster.groups = groups;
            self.dirty = true;
        }
        if same {
            return;
        }
        self.dirty = true;
        self.unsettled = true;
        let old_index = Arc::clone(&self.cluster.index);
        let old = std::mem::take(&mut self.cluster.peers);
        let index: BTreeMap<PeerId, usize> = seats.iter().enumerate().map(|(i, s)| (s.id.clone(), i)).collect();
        let moved: Vec<Option<usize>> = seats.iter().map(|s| old_index.get(&s.id).copied()).collect();
        for seat in seats {
            // Until it told its serial number it stood under its address.
            let stand_in = seat.contact.as_ref().map(|k| PeerId::unheard(k.host.as_str(), k.port));
            let before = old_index.get(&seat.id).or_else(|| old_index.get(stand_in.as_ref()?)).map(|i| &old[*i]);
            let mut peer = before.map_or_else(|| blank(&seat, now), |p| Peer::clone(p));
            if peer.observed != seat.contact.is_some() {
                peer.reach = Reach::new(now);
            }
            peer.id = seat.id;
            peer.host = seat.host;
            peer.group = seat.group;
            peer.observed = seat.contact.is_some();
            peer.cells = cells(peer.row.as_deref(), &index);
            let pulse = |at: &Option<usize>| at.and_then(|i| peer.pulses.get(i)).copied().unwrap_or_default();
            peer.pulses = moved.iter().map(pulse).collect();
            self.extra.entry(peer.id.clone()).or_insert_with(|| Extra {
                known: now,
                disturbed: now,
                redialled: Time::ZERO,
                ..Extra::default()
            });
            self.cluster.peers.push(Arc::new(peer));
        }
        // Verdicts name positions, and those have changed.
        self.cluster.verdicts = Arc::default();
        self.extra.retain(|id, _| index.contains_key(id));
        self.extra.values_mut().for_each(|e| e.places.clear());
        self.cluster.index = Arc::new(index);
        for at in 0..self.cluster.peers.len() {
            self.note_row(at, now);
        }
        self.fold_limits();
    }

    /// Who stands in the grid, in order: members by group and name, then connections that no membership names.
    fn seats(&mut self) -> Vec<Seat> {
        let machines: Vec<Arc<Machine>> = self.membership.as_ref().map(|m| m.machines.clone()).unwrap_or_default();
        self.match_contacts(&machines);
        let mut by_id: BTreeMap<PeerId, EndpointKey> = BTreeMap::new();
        for (key, contact) in self.contacts.iter().filter(|(_, c)| c.ignored.is_none()) {
            if let Some(id) = &contact.id {
                // The one that has answered stands for those that may lead to the same machine.
                let better = by_id.get(id).is_none_or(|k| !self.contacts[k].answered && contact.answered);
                if better {
                    by_id.insert(id.clone(), key.clone());
                }
            }
        }
        let groups: &[GroupName] = self.membership.as_ref().map_or(&[], |m| &m.groups);
        let rank: BTreeMap<&GroupName, usize> = groups.iter().enumerate().map(|(i, g)| (g, i)).collect();
        // Whoever is connected is called what it calls itself: a fellow can't rename it.
        let own = |id: &PeerId, contact: Option<&EndpointKey>| {
            let _ = contact.and_then(|k| self.contacts.get(k)).filter(|c| c.answered)?;
            let told = self.cluster.peer(id)?.identity.as_ref()?.host.clone();
            Some(told).filter(|h| !h.as_str().is_empty())
        };
        let mut seats: Vec<Seat> = machines
            .iter()
            .map(|m| Seat {
                id: m.id.clone(),
                host: own(&m.id, by_id.get(&m.id)).unwrap_or_else(|| m.host.clone()),
                group: Some(m.group.clone()),
                contact: by_id.remove(&m.id),
            })
            .collect();
        seats.sort_by(|a, b| {
            let of = |s: &Seat| s.group.as_ref().and_then(|g| rank.get(g)).copied().unwrap_or(usize::MAX);
            of(a).cmp(&of(b)).then_with(|| natural(a.host.as_str(), b.host.as_str())).then_with(|| a.id.cmp(&b.id))
        });
        let host = |id: &PeerId, key: &EndpointKey| {
            let told = self.cluster.peer(id).and_then(|p| p.identity.as_ref()).map(|i| i.host.clone());
            told.filter(|h| !h.as_str().is_empty()).unwrap_or_else(|| key.host.clone())
        };
        let mut strangers: Vec<Seat> = by_id
            .into_iter()
            .map(|(id, key)| Seat { host: host(&id, &key), id, group: None, contact: Some(key) })
            .chain(self.contacts.iter().filter(|(_, c)| c.id.is_none() && c.ignored.is_none()).map(|(key, _)| Seat {
                id: PeerId::unheard(key.host.as_str(), key.port),
                host: key.host.clone(),
                group: None,
                contact: Some(key.clone()),
            }))
            .collect();
        strangers.sort_by(|a, b| natural(a.host.as_str(), b.host.as_str()).then_with(|| a.id.cmp(&b.id)));
        seats.append(&mut strangers);
        seats
    }

    /// Which member a connection that has not answered yet probably leads to: by host name or address and port.
    fn match_contacts(&mut self, machines: &[Arc<Machine>]) {
        let mut at: BTreeMap<(&str, u16), &PeerId> = BTreeMap::new();
        for m in machines {
            at.insert((m.address.as_str(), m.port), &m.id);
            at.insert((m.host.as_str(), m.port), &m.id);
        }
        for (key, contact) in self.contacts.iter_mut().filter(|(_, c)| !c.answered) {
            let by_address = at.get(&(key.host.as_str(), key.port)).map(|id| (*id).clone());
            contact.id = contact.endpoint.expected.clone().or(by_address);
        }
    }
}

/// A row in the order of the grid.
pub(super) fn cells(row: Option<&Row>, index: &BTreeMap<PeerId, usize>) -> Arc<[Option<Arc<Link>>]> {
    let mut cells: Vec<Option<Arc<Link>>> = vec![None; index.len()];
    for link in row.into_iter().flat_map(|r| &r.links) {
        if let Some(at) = index.get(&link.to) {
            cells[*at] = Some(Arc::clone(link));
        }
    }
    cells.into()
}

fn blank(seat: &Seat, now: Time) -> Peer {
    let (group, observed) = (seat.group.clone(), seat.contact.is_some());
    Peer { group, observed, ..Peer::unknown(seat.id.clone(), seat.host.clone(), now) }
}

fn endpoint_of(cluster: &ClusterName, machine: &Machine) -> Endpoint {
    Endpoint {
        key: EndpointKey { cluster: cluster.clone(), host: machine.host.clone(), port: machine.port },
        expected: Some(machine.id.clone()),
        address: Some(machine.address.clone()).filter(|a| !a.as_str().is_empty()),
        vouched_host_key: Some(machine.host_key.clone()).filter(|k| !k.is_empty()),
    }
}

fn membership_change(held: &Membership, told: &Membership) -> String {
    let ids = |m: &Membership| m.machines.iter().map(|m| m.id.clone()).collect::<BTreeSet<_>>();
    let (before, after) = (ids(held), ids(told));
    let names = |of: &Membership, ids: &BTreeSet<PeerId>, but: &BTreeSet<PeerId>| {
        let hosts: Vec<String> = of
            .machines
            .iter()
            .filter(|m| ids.contains(&m.id) && !but.contains(&m.id))
            .map(|m| m.host.short().to_owned())
            .take(8)
            .collect();
        hosts.join(", ")
    };
    let (joined, left) = (names(told, &after, &before), names(held, &before, &after));
    let mut text = format!("membership revision {}: {} machines", told.revision, told.machines.len());
    if !joined.is_empty() {
        text = format!("{text}; joined: {joined}");
    }
    if !left.is_empty() {
        text = format!("{text}; left: {left}");
    }
    text
}
