//! All that one peer says about the others, at one moment.

use std::sync::Arc;

use crate::domain::ids::{BootId, PeerId};
use crate::domain::maintenance::Maintenance;
use crate::domain::mesh::link::Link;
use crate::domain::time::Time;

/// A link row: flooded between peers, and shown as a row of the grid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Who says it.
    pub origin: PeerId,
    /// Its start; a row of an older start is void.
    pub boot: BootId,
    /// Rises with each change within one start.
    pub seq: u64,
    /// When the origin last vouched for it, on the holder's clock.
    pub vouched: Time,
    /// Who passed it on, if it did not come from the origin itself.
    pub via: Option<PeerId>,
    /// Since when the origin is detached, if it is.
    pub detached: Option<Time>,
    /// The maintenance that was announced for the origin; it may have ended by itself.
    pub maintenance: Option<Maintenance>,
    /// The level of the origin (C15).
    pub level: u32,
    /// Sorted by serial number.
    pub links: Vec<Arc<Link>>,
}

impl Row {
    /// What it says of `to`.
    #[must_use]
    pub fn link(&self, to: &PeerId) -> Option<&Arc<Link>> {
        self.links.binary_search_by(|l| l.to.cmp(to)).ok().map(|i| &self.links[i])
    }

    /// Whether `self` replaces `other`, of the same origin: a later start, or a later change.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.boot, self.seq) > (other.boot, other.seq)
    }
}
