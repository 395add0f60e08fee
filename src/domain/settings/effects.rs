//! What applies where, and what would change where (B4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catalogue::Catalogue;
pub use super::tree::Effective;
use super::{ModeId, Origin, Tree, Value};
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
    let (was, is) = (places(before), places(after));
    let machines: BTreeSet<&MemberId> = was.keys().chain(is.keys()).copied().collect();
    let modes: BTreeSet<&ModeId> = before.written_modes().chain(after.written_modes()).collect();
    let changed: BTreeMap<&ModeId, Vec<FeatureName>> =
        modes.into_iter().map(|mode| (mode, before.differences(after, mode))).filter(|(_, f)| !f.is_empty()).collect();
    let differ = |mode: &ModeId| changed.get(mode).into_iter().flatten();
    let mut found = Vec::new();
    for machine in machines {
        let own = ModeId::Machine(machine.clone());
        let mut features: BTreeSet<&FeatureName> = differ(&own).collect();
        match (was.get(machine), is.get(machine)) {
            (Some(old), Some(new)) => {
                features.extend(differ(&ModeId::Cluster));
                if old == new {
                    features.extend(differ(&ModeId::Group((*new).clone())));
                } else {
                    features.extend(before.at(&ModeId::Group((*old).clone())).map(|(f, _)| f));
                    features.extend(after.at(&ModeId::Group((*new).clone())).map(|(f, _)| f));
                }
            }
            // It comes or goes: whatever it inherits on one side may be something else on the other.
            (Some(group), None) => features.extend(inherited(before, group)),
            (None, Some(group)) => features.extend(inherited(after, group)),
            (None, None) => {}
        }
        for feature in features {
            let (old, new) = (at(before, catalogue, &own, feature), at(after, catalogue, &own, feature));
            if !same(old.value.as_ref(), new.value.as_ref()) {
                let (machine, feature) = (machine.clone(), feature.clone());
                found.push(Effect { machine, feature, before: old, after: new });
            }
        }
    }
    found
}

/// Each member and its group.
fn places(tree: &Tree) -> BTreeMap<&MemberId, &GroupId> {
    tree.structure().members.iter().map(|m| (&m.id, &m.group)).collect()
}

/// The features that are written above the machines of a group.
fn inherited<'t>(tree: &'t Tree, group: &GroupId) -> impl Iterator<Item = &'t FeatureName> {
    let written: Vec<&FeatureName> = tree.at(&ModeId::Group(group.clone())).map(|(f, _)| f).collect();
    written.into_iter().chain(tree.at(&ModeId::Cluster).map(|(f, _)| f))
}

/// Values that are shared are equal without a look into them.
fn same(a: Option<&Arc<Value>>, b: Option<&Arc<Value>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
