//! Peers that the person has marked: by identity, never by row number.

use std::collections::BTreeSet;

use super::{App, Cmd, View};
use crate::domain::settings::ModeId;
use crate::domain::{Cluster, PeerId, Severity, Time};

/// The marked peers of the cluster on screen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Marks(BTreeSet<PeerId>);

impl Marks {
    /// Whether nothing is marked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are marked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `peer` is marked.
    #[must_use]
    pub fn holds(&self, peer: &PeerId) -> bool {
        self.0.contains(peer)
    }

    /// The marked ones in the order of the cluster.
    #[must_use]
    pub fn peers(&self, cluster: &Cluster) -> Vec<PeerId> {
        cluster.peers.iter().map(|p| &p.id).filter(|id| self.0.contains(id)).cloned().collect()
    }

    /// Marks `peer`, or takes its mark away.
    pub fn toggle(&mut self, peer: PeerId) {
        if !self.0.remove(&peer) {
            self.0.insert(peer);
        }
    }

    /// Takes all marks away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Only members can be marked.
    pub fn settle(&mut self, cluster: Option<&Cluster>) {
        self.0.retain(|id| cluster.is_some_and(|c| c.peer(id).is_some()));
    }
}

impl App {
    /// The marked peers.
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Marks the row's peer (in the list of connections: the line's peer), or takes its mark away.
    pub(super) fn mark(&mut self, now: Time) -> Vec<Cmd> {
        if self.options.read_only {
            self.toast(super::acts::READ_ONLY.to_owned(), Severity::Notice, now);
            return Vec::new();
        }
        let peer = match self.view {
            View::Mesh if self.connections => self.cursor.to(),
            View::Mesh => self.cursor.from(),
            View::Settings => return self.mark_mode(),
            View::Ha | View::Findings | View::Events => None,
        };
        if let Some(peer) = peer.cloned() {
            self.marks.toggle(peer);
        }
        Vec::new()
    }

    /// Marks the selected machine, or all machines of the selected group (if all are marked: none of them).
    fn mark_mode(&mut self) -> Vec<Cmd> {
        let (Some(book), mode) = (self.book().cloned(), self.mode()) else { return Vec::new() };
        let members = &book.tree().structure().members;
        let meant = |m: &&crate::domain::settings::Member| match &mode {
            ModeId::Machine(id) => m.id == *id,
            ModeId::Group(id) => m.group == *id,
            ModeId::Cluster => false,
        };
        let peers: Vec<PeerId> = members.iter().filter(meant).map(|m| m.machine.id.clone()).collect();
        let all = peers.iter().all(|p| self.marks.holds(p));
        for peer in peers {
            if all == self.marks.holds(&peer) {
                self.marks.toggle(peer);
            }
        }
        Vec::new()
    }
}
