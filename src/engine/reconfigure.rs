//! Another fleet while the engine runs: what has not changed is not touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cluster::ClusterState;
use super::out::Out;
use super::{ClusterConfig, Config, Effect, Reconfiguration};
use crate::domain::event::EventKind;
use crate::domain::finding::Subject;
use crate::domain::reach::{EndpointKey, Reach};

/// Takes another fleet over: clusters and endpoints that are new begin, those that are gone end, those whose connection
/// is to be made anew begin anew, limits hold from now on.
pub(super) fn apply(clusters: &mut Vec<ClusterState>, new: Reconfiguration, out: &mut Out<'_>) {
    let Reconfiguration { config: Config { clusters: wanted }, restart } = new;
    let mut old = std::mem::take(clusters);
    for config in wanted {
        if let Some(at) = old.iter().position(|c| c.config.name == config.name) {
            let mut cluster = old.remove(at);
            out.cluster = Some(cluster.cluster.name.clone());
            cluster.reconfigure(config, &restart, out);
            clusters.push(cluster);
        } else {
            out.cluster = Some(config.name.clone());
            out.happened(EventKind::Membership, Subject::Cluster, "the fleet file names this cluster from now on");
            clusters.push(ClusterState::new(config, out.now, out));
        }
    }
    for cluster in &mut old {
        out.cluster = Some(cluster.cluster.name.clone());
        cluster.end(out);
    }
    // Which clusters there are, and in which order, is part of the picture.
    out.ring.dirty = true;
}

impl ClusterState {
    fn reconfigure(&mut self, config: ClusterConfig, restart: &BTreeSet<EndpointKey>, out: &mut Out<'_>) {
        if self.config.limits != config.limits {
            self.cluster.limits = config.limits;
            self.dirty = true;
            self.unsettled = true;
        }
        if self.cluster.catalogue != config.catalogue {
            self.cluster.catalogue = Arc::clone(&config.catalogue);
            self.dirty = true;
            self.unsettled = true;
        }
        self.config = config;
        self.fold_limits();
        let wanted: BTreeSet<EndpointKey> = self.config.endpoints.iter().map(|e| e.key.clone()).collect();
        let gone: Vec<EndpointKey> = self
            .contacts
            .iter()
            .filter(|(k, c)| !c.discovered && !wanted.contains(*k))
            .map(|(k, _)| k.clone())
            .collect();
        for key in gone {
            self.drop_contact(&key, out);
        }
        for endpoint in self.config.endpoints.clone() {
            match self.contacts.get_mut(&endpoint.key) {
                // It was discovered before; the connection stands.
                Some(contact) => contact.discovered = false,
                None => self.add_contact(endpoint, false, out),
            }
        }
        self.discover_again(out);
        let again: Vec<EndpointKey> = self.contacts.keys().filter(|k| restart.contains(*k)).cloned().collect();
        for key in again {
            self.restart(&key, out);
        }
        self.rebuild(out.now);
        for at in 0..self.cluster.peers.len() {
            self.note_row(at, out.now);
        }
        self.settle(false, out);
    }

    /// Ends a connection for good.
    fn drop_contact(&mut self, key: &EndpointKey, out: &mut Out<'_>) {
        self.commands_lost(key, out);
        self.source_gone(key);
        if self.contacts.remove(key).is_some() {
            self.unsettled = true;
            out.effect(Effect::Stop(key.clone()));
        }
    }

    /// Makes a connection anew. Whom it led to is kept: nothing that is known of that peer is forgotten.
    fn restart(&mut self, key: &EndpointKey, out: &mut Out<'_>) {
        self.commands_lost(key, out);
        self.source_gone(key);
        let (seat, now) = (self.seat(key), out.now);
        let Some(contact) = self.contacts.get_mut(key) else { return };
        contact.live = false;
        contact.has_base = false;
        contact.ignored = None;
        contact.offered = None;
        contact.asked = Vec::new();
        let endpoint = contact.endpoint.clone();
        if let Some(at) = seat {
            self.peer_mut(at).reach = Reach::new(now);
            self.unsettled = true;
        }
        out.effect(Effect::Stop(key.clone()));
        out.effect(Effect::Start(endpoint));
    }

    /// The cluster is gone from the fleet file: its connections end, and its findings with them.
    fn end(&mut self, out: &mut Out<'_>) {
        let keys: Vec<EndpointKey> = self.contacts.keys().cloned().collect();
        for key in keys {
            self.drop_contact(&key, out);
        }
        self.abandon_commands(out);
        self.tracker.clear(out);
        out.happened(EventKind::Membership, Subject::Cluster, "the fleet file no longer names this cluster");
    }
}
