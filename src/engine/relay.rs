//! Whom this console does not reach, it knows from others: two fellows are asked to pass on their rows.

use std::time::Duration;

use super::Effect;
use super::cluster::ClusterState;
use super::out::Out;
use crate::domain::ids::PeerId;
use crate::domain::reach::{EndpointKey, PeerRequest};

/// How many fellows are asked; the second stands in when the first goes too.
const RELAYS: usize = 2;

/// A peer that is being dialled for the first time is given this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

impl ClusterState {
    /// Asks for the rows that are wanted now, where that differs from what was asked last.
    pub fn ask_relays(&mut self, out: &mut Out<'_>) {
        let now = out.now;
        let limits = self.cluster.limits;
        let is_wanted =
            |id: &PeerId| !id.is_unheard() && self.extra.get(id).is_some_and(|e| now.since(e.known) >= PATIENCE);
        let mut wanted: Vec<PeerId> = self
            .cluster
            .peers
            .iter()
            .filter(|p| !(p.is_reached() && p.is_row_fresh(&limits, now)))
            .filter(|p| is_wanted(&p.id))
            .map(|p| p.id.clone())
            .collect();
        wanted.sort();
        let usable = |key: &EndpointKey| {
            let contact = &self.contacts[key];
            contact.live && contact.has_base && contact.id.as_ref().is_some_and(|id| !wanted.contains(id))
        };
        // Those that relay already go on with it, so that rows don't jump between relays.
        let mut relays: Vec<EndpointKey> =
            self.contacts.iter().filter(|(k, c)| !c.asked.is_empty() && usable(k)).map(|(k, _)| k.clone()).collect();
        relays.truncate(RELAYS);
        if !wanted.is_empty() && relays.len() < RELAYS {
            let in_order = self.cluster.peers.iter().filter_map(|p| self.contact_of(&p.id).map(|(k, _)| k));
            let more: Vec<EndpointKey> =
                in_order.filter(|k| usable(k) && !relays.contains(k)).take(RELAYS - relays.len()).cloned().collect();
            relays.extend(more);
        }
        for (key, contact) in self.contacts.iter_mut().filter(|(_, c)| c.live) {
            let ask = if relays.contains(key) { wanted.clone() } else { Vec::new() };
            if contact.asked != ask {
                contact.asked.clone_from(&ask);
                out.effect(Effect::Request { key: key.clone(), request: PeerRequest::Relay(ask) });
            }
        }
    }
}
