//! What applies where, and what would change where (B4).

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::Catalogue;
pub use super::tree::Effective;
use super::{ModeId, Origin, Tree};
use crate::domain::ids::{FeatureName, GroupId, MemberId};

/// An effective setting that becomes another one.
#[derive(Clone, PartialEq, Debug)]
pub struct Effect {
    /// On which machine.
    pub machine: MemberId,
    /// Which setting.
    pub feature: FeatureName,
    /// What applied.
    pub before: Effective,
    /// What will apply.
    pub after: Effective,
}

/// What applies at any mode; at a group or the cluster: to machines that override nothing.
#[must_use]
pub fn at(tree: &Tree, catalogue: &Catalogue, mode: &ModeId, feature: &FeatureName) -> Effective {
    match tree.applies(mode, feature) {
        Some((from, version)) => Effective { value: version.content.value().cloned(), origin: Origin::Mode(from) },
        None => {
            Effective { value: catalogue.feature(feature).and_then(|f| f.factory.clone()), origin: Origin::Factory }
        }
    }
}

/// The modes where `feature` is looked at, with what each defines itself (C10): `None` where it inherits.
#[must_use]
pub fn show(tree: &Tree, feature: &FeatureName) -> Vec<(super::Mode, Option<super::Version>)> {
    let defined = |mode: super::Mode| {
        let version = tree.defined(&mode.id, feature).cloned();
        (mode, version)
    };
    tree.modes().into_iter().map(defined).collect()
}

/// Which effective values differ between two trees, on machines that are members in either; by machine and feature.
///
/// A value that only comes from elsewhere is the same value.
#[must_use]
pub fn effects(before: &Tree, after: &Tree, catalogue: &Catalogue) -> Vec<Effect> {
    let places = |tree: &Tree| -> BTreeMap<MemberId, GroupId> {
        tree.structure().members.iter().map(|m| (m.id.clone(), m.group.clone())).collect()
    };
    let (was, is) = (places(before), places(after));
    let machines: BTreeSet<&MemberId> = was.keys().chain(is.keys()).collect();
    let mut changed: BTreeMap<ModeId, Vec<FeatureName>> = BTreeMap::new();
    let mut differ = |mode: &ModeId| -> Vec<FeatureName> {
        changed.entry(mode.clone()).or_insert_with(|| before.differences(after, mode)).clone()
    };
    let mut found = Vec::new();
    for machine in machines {
        let own = ModeId::Machine(machine.clone());
        let mut features: BTreeSet<FeatureName> = differ(&own).into_iter().collect();
        match (was.get(machine), is.get(machine)) {
            (Some(old), Some(new)) if old == new => {
                features.extend(differ(&ModeId::Group(new.clone())));
                features.extend(differ(&ModeId::Cluster));
            }
            // It inherits from elsewhere now: whatever it inherited or inherits may differ.
            (old, new) => {
                for (tree, group) in [(before, old), (after, new)] {
                    let Some(group) = group else { continue };
                    for mode in [ModeId::Group(group.clone()), ModeId::Cluster] {
                        features.extend(tree.at(&mode).map(|(f, _)| f.clone()));
                    }
                }
            }
        }
        for feature in features {
            let (old, new) = (at(before, catalogue, &own, &feature), at(after, catalogue, &own, &feature));
            if old.value != new.value {
                found.push(Effect { machine: machine.clone(), feature, before: old, after: new });
            }
        }
    }
    found
}
