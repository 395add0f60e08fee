//! Machines that are set up alike: the units of an HA group (F3, F6).
//!
//! What is bound to a machine's network stays its own (interface addresses, host name, management address, and whatever
//! else is not clusterable); role, heartbeats and monitors never stand in the settings at all.

use super::{Catalogue, Edit, ModeId, Tree};
use crate::domain::ids::{FeatureName, MemberId};

/// What must be written so that each of `to` is set up as `from` at the level of the machine. Features that are not known
/// here are left alone: nobody can say whether they are bound to a network.
#[must_use]
pub fn mirror(tree: &Tree, catalogue: &Catalogue, from: &MemberId, to: &[MemberId]) -> Vec<Edit> {
    let model = ModeId::Machine(from.clone());
    let others = to.iter().filter(|id| *id != from && tree.structure().member(id).is_some());
    let mut edits = Vec::new();
    for mode in others.map(|id| ModeId::Machine(id.clone())) {
        for feature in tree.differing(&model, &mode).into_iter().filter(|f| is_shared(catalogue, f)) {
            edits.push(match tree.defined(&model, &feature).and_then(|v| v.content.value()) {
                Some(value) => Edit::Set { mode: mode.clone(), feature, value: value.clone() },
                None => Edit::Unset { mode: mode.clone(), feature },
            });
        }
    }
    edits
}

/// Whether `feature` is the same on all units of an HA group.
#[must_use]
pub fn is_shared(catalogue: &Catalogue, feature: &FeatureName) -> bool {
    catalogue.feature(feature).is_some_and(|f| f.clusterable)
}
