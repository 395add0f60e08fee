//! What one setting names in another, and where such a name leads nowhere (C25).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catalogue::{Catalogue, Feature, Path, Reference, Step};
use super::{Effective, Level, ModeId, Origin, Tree, Value};
use crate::domain::ids::{FeatureName, MemberId};
use crate::domain::text::Line;

/// What can be done about a name that leads nowhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Remedy {
    /// Define the named thing higher: move or copy `feature` from a mode that has it to `to`, where the dependent item
    /// is defined.
    Promote {
        /// The feature that is named.
        feature: FeatureName,
        /// Where the name exists.
        from: ModeId,
        /// Where it should.
        to: ModeId,
    },
    /// Define the dependent item lower: only where what it names exists.
    Demote {
        /// The feature that names.
        feature: FeatureName,
        /// Where it is defined now.
        from: ModeId,
        /// Where what it names exists.
        to: ModeId,
    },
}

/// An item of a setting that names what does not exist on a machine: it is disabled there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dangling {
    /// On which machine.
    pub machine: MemberId,
    /// The feature that names.
    pub feature: FeatureName,
    /// Which item of it: `InboundMail`; empty when it is the whole setting.
    pub item: Line,
    /// Where that item is defined.
    pub origin: Origin,
    /// What kind of thing is named: "IP interface".
    pub what: Line,
    /// The name that leads nowhere.
    pub name: Line,
    /// The feature that should have it.
    pub to: FeatureName,
    /// What can be done; may be nothing but to add it.
    pub remedies: Vec<Remedy>,
}

/// Names that an effective value holds and the machine does not have: item and name.
type Missing = Arc<[(Line, Line)]>;

/// All references that lead nowhere, by machine (in the order of the structure) and feature.
#[must_use]
pub fn dangling(tree: &Tree, catalogue: &Catalogue) -> Vec<Dangling> {
    let mut found = Vec::new();
    // Machines that inherit the same two values miss the same names: found once for all of them.
    let mut known: BTreeMap<(usize, usize, usize), Missing> = BTreeMap::new();
    let mut count = 0;
    for feature in catalogue.settings() {
        for reference in &feature.references {
            count += 1;
            for member in &tree.structure().members {
                let mode = ModeId::Machine(member.id.clone());
                let value = super::effects::at(tree, catalogue, &mode, &feature.name);
                let Some(names) = &value.value else { continue };
                let target = super::effects::at(tree, catalogue, &mode, &reference.to).value;
                let address = |v: &Arc<Value>| Arc::as_ptr(v).addr();
                let missing = known
                    .entry((count, address(names), target.as_ref().map_or(0, address)))
                    .or_insert_with(|| missing(names, target.as_deref(), reference));
                for (item, name) in missing.iter() {
                    found.push(Dangling {
                        machine: member.id.clone(),
                        feature: feature.name.clone(),
                        item: item.clone(),
                        origin: value.origin.clone(),
                        what: reference.what.clone(),
                        name: name.clone(),
                        to: reference.to.clone(),
                        remedies: remedies(tree, catalogue, feature, reference, &value, name),
                    });
                }
            }
        }
    }
    let rank: BTreeMap<&MemberId, usize> =
        tree.structure().members.iter().enumerate().map(|(i, m)| (&m.id, i)).collect();
    found.sort_by(|a, b| (rank.get(&a.machine), &a.feature).cmp(&(rank.get(&b.machine), &b.feature)));
    found
}

fn missing(value: &Value, target: Option<&Value>, reference: &Reference) -> Missing {
    let mut there = BTreeSet::new();
    if let Some(target) = target {
        walk(target, &reference.items.0, None, &mut |_, items| names_of_items(items, &mut there));
    }
    let mut missing = BTreeSet::new();
    walk(value, &reference.path.0, None, &mut |item, found| {
        let mut check = |name: &str| {
            let fine = name.is_empty() || there.contains(name) || reference.except.iter().any(|e| **e == *name);
            if !fine {
                missing.insert((Line::new(item.unwrap_or_default()), Line::new(name)));
            }
        };
        match found {
            Value::Text(name) => check(name),
            Value::List(items) => items.iter().filter_map(Value::as_text).for_each(check),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Table(_) => {}
        }
    });
    missing.into_iter().collect()
}

fn names_of_items<'v>(items: &'v Value, into: &mut BTreeSet<&'v str>) {
    match items {
        Value::Table(fields) => into.extend(fields.keys().map(|k| &**k)),
        Value::List(items) => {
            into.extend(items.iter().filter_map(|i| i.as_text().or_else(|| i.field("name")?.as_text())));
        }
        Value::Text(name) => {
            into.insert(name);
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

/// Calls `see` with each part of `value` that `steps` leads to, and the item that it is a part of.
fn walk<'v>(value: &'v Value, steps: &[Step], item: Option<&'v str>, see: &mut dyn FnMut(Option<&'v str>, &'v Value)) {
    let Some((step, rest)) = steps.split_first() else { return see(item, value) };
    match (step, value) {
        (Step::Field(name), Value::Table(fields)) => {
            if let Some(field) = fields.get(name) {
                walk(field, rest, item, see);
            }
        }
        (Step::Every, Value::Table(fields)) => {
            for (name, field) in fields {
                walk(field, rest, item.or(Some(name)), see);
            }
        }
        (Step::Every, Value::List(items)) => {
            for part in items {
                let name = part.as_text().or_else(|| part.field("name")?.as_text());
                walk(part, rest, item.or(name), see);
            }
        }
        (Step::Every | Step::Field(_), _) => {}
    }
}

/// Whether `value` has an item called `name` where `path` leads.
fn has(value: &Value, path: &Path, name: &str) -> bool {
    let mut there = BTreeSet::new();
    walk(value, &path.0, None, &mut |_, items| names_of_items(items, &mut there));
    there.contains(name)
}

fn remedies(
    tree: &Tree,
    catalogue: &Catalogue,
    feature: &Feature,
    reference: &Reference,
    value: &Effective,
    name: &Line,
) -> Vec<Remedy> {
    let Origin::Mode(dependent) = &value.origin else { return Vec::new() };
    // Where the name exists, below the mode that the dependent item is defined at.
    let lower = |level: Level| -> Vec<ModeId> {
        let here = |mode: &ModeId| {
            tree.above(mode).contains(dependent)
                && mode != dependent
                && mode.level() == level
                && tree
                    .defined(mode, &reference.to)
                    .and_then(|v| v.content.value())
                    .is_some_and(|v| has(v, &reference.items, name.as_str()))
        };
        tree.modes().into_iter().map(|m| m.id).filter(here).collect()
    };
    let sources: Vec<ModeId> = lower(Level::Group).into_iter().chain(lower(Level::Machine)).collect();
    let mut remedies = Vec::new();
    let allow = |name: &FeatureName, level| catalogue.feature(name).is_some_and(|f| f.levels.allow(level));
    if let Some(from) = sources.first()
        && allow(&reference.to, dependent.level())
    {
        remedies.push(Remedy::Promote { feature: reference.to.clone(), from: from.clone(), to: dependent.clone() });
    }
    for to in sources.iter().take(8).filter(|to| feature.levels.allow(to.level())) {
        remedies.push(Remedy::Demote { feature: feature.name.clone(), from: dependent.clone(), to: to.clone() });
    }
    remedies
}
