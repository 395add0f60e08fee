//! `clusterset`: settings copied and moved from mode to mode, as edits (C11, C13).

use std::sync::Arc;

use super::catalogue::Catalogue;
use super::rules::{check_mode, may_define, refuse};
use super::{Edit, Level, ModeId, Tree, Value};
use crate::domain::ids::{FeatureName, MemberId};
use crate::domain::text::Line;

/// Where settings go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// To one mode.
    Mode(ModeId),
    /// To all groups.
    AllGroups,
}

/// `feature`, as `from` defines it, at the target too.
///
/// # Errors
/// `from` does not define it (with who does), the target is `from` itself, or may not define it (C17).
pub fn copy(
    tree: &Tree,
    catalogue: &Catalogue,
    feature: &FeatureName,
    from: &ModeId,
    to: &Target,
) -> Result<Vec<Edit>, Line> {
    let value = defined(tree, catalogue, feature, from)?;
    let set = |mode: ModeId| Edit::Set { mode, feature: feature.clone(), value: value.clone() };
    let targets = targets(tree, feature, from, to)?;
    for mode in &targets {
        check_mode(tree, mode)?;
        may_define(tree, catalogue, mode, feature)?;
    }
    Ok(targets.into_iter().map(set).collect())
}

/// `feature`, as `from` defines it, at the target instead. What `from` then inherits follows the usual rule.
///
/// Moved from a group to all groups it stays in that group as well.
///
/// # Errors
/// As for [`copy`].
pub fn shift(
    tree: &Tree,
    catalogue: &Catalogue,
    feature: &FeatureName,
    from: &ModeId,
    to: &Target,
) -> Result<Vec<Edit>, Line> {
    let mut edits = copy(tree, catalogue, feature, from, to)?;
    if !(*to == Target::AllGroups && from.level() == Level::Group) {
        edits.push(Edit::Unset { mode: from.clone(), feature: feature.clone() });
    }
    Ok(edits)
}

/// What was tried out on one machine, for the whole cluster: `features`, or with none all that the machine defines
/// and the cluster may have (C13). The machine inherits them again; overrides of groups stay (`notices`).
///
/// # Errors
/// The machine defines none of them, or the cluster may not have one that was named.
pub fn publish(
    tree: &Tree,
    catalogue: &Catalogue,
    machine: &MemberId,
    features: &[FeatureName],
) -> Result<Vec<Edit>, Line> {
    let own = ModeId::Machine(machine.clone());
    check_mode(tree, &own)?;
    let mut chosen = features.to_vec();
    if chosen.is_empty() {
        let fits = |f: &FeatureName| {
            tree.defined(&own, f).is_some()
                && catalogue.feature(f).is_some_and(|f| f.clusterable && f.levels.allow(Level::Cluster))
        };
        chosen = tree.at(&own).map(|(f, _)| f.clone()).filter(fits).collect();
        if chosen.is_empty() {
            return refuse(format!("{} defines nothing that the cluster may have", tree.mode_name(&own)));
        }
    }
    let mut edits = Vec::new();
    for feature in chosen {
        edits.extend(shift(tree, catalogue, &feature, &own, &Target::Mode(ModeId::Cluster))?);
    }
    Ok(edits)
}

/// `mode` overrides `feature` with the factory default, from which one goes on (C27).
///
/// # Errors
/// The feature has no factory default, or may not be defined there (C17).
pub fn start_fresh(tree: &Tree, catalogue: &Catalogue, feature: &FeatureName, mode: &ModeId) -> Result<Edit, Line> {
    check_mode(tree, mode)?;
    may_define(tree, catalogue, mode, feature)?;
    match catalogue.feature(feature).and_then(|f| f.factory.clone()) {
        Some(value) => Ok(Edit::Set { mode: mode.clone(), feature: feature.clone(), value }),
        None => refuse(format!("{feature} has no factory default: copy it from a mode that defines it")),
    }
}

fn defined(tree: &Tree, catalogue: &Catalogue, feature: &FeatureName, from: &ModeId) -> Result<Arc<Value>, Line> {
    check_mode(tree, from)?;
    if let Some(value) = tree.defined(from, feature).and_then(|v| v.content.value()) {
        return Ok(value.clone());
    }
    if catalogue.feature(feature).is_none() {
        may_define(tree, catalogue, from, feature)?;
    }
    let here = tree.mode_name(from);
    if let Some((source, _)) = tree.applies(from, feature) {
        let there = tree.mode_name(&source);
        return refuse(format!(
            "{feature} is not defined at {here}, which inherits it from {there}: take it from there"
        ));
    }
    let factory = catalogue.feature(feature).is_some_and(|f| f.factory.is_some());
    let applies = if factory { ": the factory default applies" } else { "" };
    refuse(format!("{feature} is not defined at {here}, nor above it{applies}"))
}

fn targets(tree: &Tree, feature: &FeatureName, from: &ModeId, to: &Target) -> Result<Vec<ModeId>, Line> {
    let targets: Vec<ModeId> = match to {
        Target::Mode(mode) => vec![mode.clone()],
        Target::AllGroups => tree.structure().groups.iter().map(|(id, _)| ModeId::Group(id.clone())).collect(),
    };
    let others: Vec<ModeId> = targets.into_iter().filter(|mode| mode != from).collect();
    if others.is_empty() {
        return refuse(format!("{feature}: there is no mode other than {} to put it", tree.mode_name(from)));
    }
    Ok(others)
}
