//! What one setting names in another, and where such a name leads nowhere (C25).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catalogue::{Catalogue, Feature, Path, Reference, Step};
use super::{Level, ModeId, Origin, Tree, Value};
use crate::domain::ids::{FeatureName, MemberId};
use crate::domain::text::Line;

/// Most items that are found: a peer may make up any number of names.
pub const DANGLING_MAX: usize = 10_000;

/// Most places to demote to that are offered.
const DEMOTES_MAX: usize = 8;

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

/// The references that lead nowhere, by machine (in the order of the structure) and feature; at most [`DANGLING_MAX`].
#[must_use]
pub fn dangling(tree: &Tree, catalogue: &Catalogue) -> Vec<Dangling> {
    let mut found = Vec::new();
    // Machines that inherit the same two values miss the same names: found once for all of them.
    let mut known: BTreeMap<(usize, usize, usize), Missing> = BTreeMap::new();
    let mut advice: BTreeMap<(usize, ModeId, Line), Vec<Remedy>> = BTreeMap::new();
    let mut count = 0;
    'all: for feature in catalogue.settings() {
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
                    if found.len() == DANGLING_MAX {
                        break 'all;
                    }
                    let remedies = match &value.origin {
                        Origin::Mode(dependent) => advice
                            .entry((count, dependent.clone(), name.clone()))
                            .or_insert_with(|| remedies(tree, catalogue, feature, reference, dependent, name))
                            .clone(),
                        Origin::Factory => Vec::new(),
                    };
                    found.push(Dangling {
                        machine: member.id.clone(),
                        feature: feature.name.clone(),
                        item: item.clone(),
                        origin: value.origin.clone(),
                        what: reference.what.clone(),
                        name: name.clone(),
                        to: reference.to.clone(),
                        remedies,
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
    let there = target.map(|t| names_of(t, &reference.items)).unwrap_or_default();
    let mut missing = BTreeSet::new();
    walk(value, &reference.path.0, &mut Vec::new(), &mut |item, found| {
        let mut check = |name: &str| {
            let fine = name.is_empty() || there.contains(name) || reference.except.iter().any(|e| **e == *name);
            if !fine {
                missing.insert((Line::new(&item.join(" ")), Line::new(name)));
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

/// The names of the items that `path` leads to.
fn names_of<'v>(value: &'v Value, path: &Path) -> BTreeSet<&'v str> {
    let mut names = BTreeSet::new();
    walk(value, &path.0, &mut Vec::new(), &mut |_, items| match items {
        Value::Table(fields) => names.extend(fields.keys().map(|k| &**k)),
        Value::List(items) => names.extend(items.iter().filter_map(name_of)),
        Value::Text(name) => {
            names.insert(name);
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    });
    names
}

/// What an item of a list is called.
fn name_of(item: &Value) -> Option<&str> {
    item.as_text().or_else(|| item.field("name")?.as_text())
}

/// Calls `see` with each part of `value` that `steps` lead to, and the names of the items that it is within.
fn walk<'v>(value: &'v Value, steps: &[Step], within: &mut Vec<&'v str>, see: &mut dyn FnMut(&[&'v str], &'v Value)) {
    let Some((step, rest)) = steps.split_first() else { return see(within, value) };
    match (step, value) {
        (Step::Field(name), Value::Table(fields)) => {
            if let Some(field) = fields.get(name) {
                walk(field, rest, within, see);
            }
        }
        (Step::Every, Value::Table(fields)) => {
            for (name, field) in fields {
                within.push(name);
                walk(field, rest, within, see);
                within.pop();
            }
        }
        (Step::Every, Value::List(items)) => {
            for item in items {
                within.push(name_of(item).unwrap_or_default());
                walk(item, rest, within, see);
                within.pop();
            }
        }
        (Step::Every | Step::Field(_), _) => {}
    }
}

fn remedies(
    tree: &Tree,
    catalogue: &Catalogue,
    feature: &Feature,
    reference: &Reference,
    dependent: &ModeId,
    name: &Line,
) -> Vec<Remedy> {
    // Nothing is below a machine.
    if dependent.level() == Level::Machine {
        return Vec::new();
    }
    // Where it is defined beside what names it already, somebody below overrides it: only there it can be mended.
    let beside = super::effects::at(tree, catalogue, dependent, &reference.to).value;
    if beside.is_some_and(|v| names_of(&v, &reference.items).contains(name.as_str())) {
        return Vec::new();
    }
    let allow = |name: &FeatureName, level| catalogue.feature(name).is_some_and(|f| f.levels.allow(level));
    // Where the name exists, below the mode that defines the dependent item; groups first.
    let below = |mode: &ModeId| match (dependent, mode) {
        (ModeId::Cluster, mode) => mode.level() != Level::Cluster,
        (ModeId::Group(group), ModeId::Machine(id)) => tree.structure().member(id).is_some_and(|m| m.group == *group),
        (ModeId::Group(_) | ModeId::Machine(_), _) => false,
    };
    let here = |mode: &ModeId| {
        let items = tree.defined(mode, &reference.to).and_then(|v| v.content.value());
        below(mode) && items.is_some_and(|v| names_of(v, &reference.items).contains(name.as_str()))
    };
    let mut sources: Vec<ModeId> = tree.modes().into_iter().map(|m| m.id).filter(here).collect();
    sources.sort_by_key(ModeId::level);
    let mut remedies = Vec::new();
    if let Some(from) = sources.first()
        && allow(&reference.to, dependent.level())
    {
        remedies.push(Remedy::Promote { feature: reference.to.clone(), from: from.clone(), to: dependent.clone() });
    }
    let fits = sources.into_iter().filter(|to| feature.levels.allow(to.level())).take(DEMOTES_MAX);
    remedies.extend(fits.map(|to| Remedy::Demote { feature: feature.name.clone(), from: dependent.clone(), to }));
    remedies
}
