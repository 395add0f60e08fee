//! What somebody wants, in the words that were typed or stand in a file; and the edits that these are for one cluster.

use std::sync::Arc;

use super::mode;
use crate::domain::ids::{FeatureName, GroupId, GroupName};
use crate::domain::settings::{Catalogue, Edit, Key, ModeId, Target, Tree, Value, rules};
use crate::domain::text::Line;

/// Where a copy or a move goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum To {
    /// One mode, in words.
    Mode(String),
    /// Every group.
    AllGroups,
}

impl To {
    /// From what was typed.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        if word == "all-groups" { Self::AllGroups } else { Self::Mode(word.to_owned()) }
    }
}

/// Which conflicts are settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// One feature at one mode.
    Feature {
        /// Mode, in words.
        mode: String,
        /// Feature.
        feature: String,
    },
    /// One register by its own name: groups and machines conflict too.
    Register(String),
    /// All.
    All,
}

/// One thing that is wanted; names are as people write them.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "the fields are the words of the command of the same name")]
pub enum Want {
    /// Define a feature.
    Set { mode: String, feature: String, value: Arc<Value> },
    /// Inherit it again.
    Unset { mode: String, feature: String },
    /// Define it elsewhere as it is defined here.
    Copy { feature: String, from: String, to: To },
    /// The same, and inherit it here.
    Move { feature: String, from: String, to: To },
    /// Put machines into a group.
    SetGroup { peers: Vec<String>, group: String },
    /// A new group.
    AddGroup { name: String },
    /// Another name for a group.
    RenameGroup { old: String, new: String },
    /// Take a group away.
    DeleteGroup { name: String, move_to: Option<String> },
    /// End a membership.
    RemoveMachine { peer: String },
    /// Rename the cluster.
    SetName { name: String },
    /// Settle conflicts with the word of one peer.
    Resolve { which: Which, with: String },
}

/// The edits for all of `wants`, in their order, on `tree`. Each sees what those before it have changed.
///
/// # Errors
/// When something that is named is not there, or the rules refuse it; the number of the want, from 0, and why.
pub fn edits(tree: &Tree, catalogue: &Catalogue, wants: &[Want]) -> Result<Vec<Edit>, (usize, String)> {
    let mut now = tree.clone();
    let mut all = Vec::new();
    for (n, want) in wants.iter().enumerate() {
        let mut some = want.edits(&now, catalogue).map_err(|why| (n, why))?;
        if n + 1 < wants.len() {
            // Only looked at: a peer draws the real id of a new group.
            let mut fresh = 0;
            let mut id = || {
                fresh += 1;
                GroupId::new(&format!("new-{n}-{fresh}"))
            };
            let writes = rules::writes(&now, catalogue, &some, &mut id).map_err(|why| (n, why.to_string()))?;
            now = rules::after(&now, &writes);
        }
        all.append(&mut some);
    }
    if let Some((n, name)) = unborn(tree, wants, &all) {
        return Err((n, format!("group {name} is made by the same commit: add it first, in one of its own")));
    }
    Ok(all)
}

/// The first want that needs a group that only this commit makes: nobody knows its id yet.
fn unborn(tree: &Tree, wants: &[Want], edits: &[Edit]) -> Option<(usize, String)> {
    let is_new = |id: &GroupId| tree.structure().group(id).is_none() && id.as_str().starts_with("new-");
    let needs = |edit: &Edit| match edit {
        Edit::Set { mode: ModeId::Group(id), .. } | Edit::Unset { mode: ModeId::Group(id), .. } => is_new(id),
        Edit::RenameGroup { group, .. } | Edit::SetGroup { group, .. } => is_new(group),
        Edit::DeleteGroup { group, into } => is_new(group) || is_new(into),
        Edit::Set { .. }
        | Edit::Unset { .. }
        | Edit::Resolve { .. }
        | Edit::SetName { .. }
        | Edit::AddGroup { .. }
        | Edit::RemoveMachine { .. }
        | Edit::SetHost { .. } => false,
    };
    edits.iter().any(needs).then(|| {
        let made = wants.iter().enumerate().find_map(|(n, w)| match w {
            Want::AddGroup { name } => Some((n, name.clone())),
            _ => None,
        });
        made.unwrap_or_default()
    })
}

impl Want {
    /// The edits on `tree`.
    ///
    /// # Errors
    /// When something that is named is not there; in words.
    pub fn edits(&self, tree: &Tree, catalogue: &Catalogue) -> Result<Vec<Edit>, String> {
        Ok(match self {
            Self::Set { mode, feature, value } => {
                let mode = mode::find(tree, mode)?;
                vec![Edit::Set { mode, feature: FeatureName::new(feature), value: Arc::clone(value) }]
            }
            Self::Unset { mode, feature } => {
                vec![Edit::Unset { mode: mode::find(tree, mode)?, feature: FeatureName::new(feature) }]
            }
            Self::Copy { feature, from, to } => {
                let (from, to) = (mode::find(tree, from)?, targets(tree, to)?);
                rules::copy(tree, catalogue, &FeatureName::new(feature), &from, &to).map_err(|w| w.to_string())?
            }
            Self::Move { feature, from, to } => {
                let (from, to) = (mode::find(tree, from)?, targets(tree, to)?);
                rules::shift(tree, catalogue, &FeatureName::new(feature), &from, &to).map_err(|w| w.to_string())?
            }
            Self::SetGroup { peers, group } => {
                let group = mode::group(tree, group)?;
                let mut edits = Vec::new();
                for peer in peers {
                    let edit = Edit::SetGroup { machine: mode::machine(tree, peer)?, group: group.clone() };
                    if !edits.contains(&edit) {
                        edits.push(edit);
                    }
                }
                edits
            }
            Self::AddGroup { name } => vec![Edit::AddGroup { name: group_name(name)? }],
            Self::RenameGroup { old, new } => {
                vec![Edit::RenameGroup { group: mode::group(tree, old)?, name: group_name(new)? }]
            }
            Self::DeleteGroup { name, move_to } => {
                let group = mode::group(tree, name)?;
                let into = heir(tree, &group, move_to.as_deref())?;
                vec![Edit::DeleteGroup { group, into }]
            }
            Self::RemoveMachine { peer } => vec![Edit::RemoveMachine { machine: mode::machine(tree, peer)? }],
            Self::SetName { name } => {
                let clean = Line::new(name);
                if clean.as_str() != name || name.is_empty() {
                    return Err(format!("\"{}\" can't be the name of a cluster", clean.as_str()));
                }
                vec![Edit::SetName { name: clean }]
            }
            Self::Resolve { which, with } => resolve(tree, which, with)?,
        })
    }
}

fn targets(tree: &Tree, to: &To) -> Result<Target, String> {
    Ok(match to {
        To::AllGroups => Target::AllGroups,
        To::Mode(word) => Target::Mode(mode::find(tree, word)?),
    })
}

/// A name that is as it was typed, or none: what cleaning would change is refused rather than changed.
fn group_name(name: &str) -> Result<GroupName, String> {
    let clean = GroupName::new(name);
    if clean.as_str() != name || name.is_empty() {
        return Err(format!("\"{clean}\" can't be the name of a group"));
    }
    Ok(clean)
}

/// Where the machines of a deleted group go.
fn heir(tree: &Tree, group: &GroupId, named: Option<&str>) -> Result<GroupId, String> {
    if let Some(name) = named {
        return mode::group(tree, name);
    }
    let structure = tree.structure();
    let others: Vec<&GroupId> = structure.groups.iter().map(|(id, _)| id).filter(|id| *id != group).collect();
    let is_empty = !structure.members.iter().any(|m| m.group == *group);
    match others.as_slice() {
        // The rules say that the last group stays.
        [] => Ok(group.clone()),
        [one] => Ok((*one).clone()),
        [first, ..] if is_empty => Ok((*first).clone()),
        [_, ..] => {
            let name = |id: &&&GroupId| structure.group(id).map(ToString::to_string);
            let names: Vec<String> = others.iter().filter_map(|id| name(&id)).collect();
            let n = structure.members.iter().filter(|m| m.group == *group).count();
            Err(format!("it has {n} machines: say with --move-to where they go ({})", names.join(", ")))
        }
    }
}

/// The edits that put the word of the peer `with` over all others.
fn resolve(tree: &Tree, which: &Which, with: &str) -> Result<Vec<Edit>, String> {
    let writers = mode::machine_ever(tree, with)?;
    let keys = conflicts(tree, which)?;
    let mut edits = Vec::new();
    for key in &keys {
        let Some(entry) = tree.entry(key) else { continue };
        // The most recent first.
        if let Some(version) = entry.versions().iter().find(|v| writers.contains(&v.stamp.on)) {
            edits.push(Edit::Resolve { key: key.clone(), version: version.id.clone() });
        }
    }
    if edits.is_empty() {
        let on: Vec<String> = keys.iter().filter_map(|key| tree.entry(key)).flat_map(|e| e.versions()).map(|v| tree.host(&v.stamp.on)).collect();
        return Err(format!("{with} has written none of the versions: they are of {}", on.join(", ")));
    }
    Ok(edits)
}

/// The registers in conflict that are meant; never none.
///
/// # Errors
/// When there is no such conflict, in words.
pub fn conflicts(tree: &Tree, which: &Which) -> Result<Vec<Key>, String> {
    let all = rules::conflicts(tree);
    let one = |key: Key, what: String| {
        if all.iter().any(|(k, _)| *k == key) { Ok(vec![key]) } else { Err(format!("{what} has no conflict to resolve")) }
    };
    match which {
        Which::All if all.is_empty() => Err("there is no conflict to resolve".into()),
        Which::All => Ok(all.into_iter().map(|(key, _)| key).collect()),
        Which::Feature { mode, feature } => {
            let mode = mode::find(tree, mode)?;
            let what = format!("{feature} at {}", tree.mode_name(&mode));
            one(Key::Feature(mode, FeatureName::new(feature)), what)
        }
        Which::Register(name) => {
            let key = name.parse().map_err(|e| format!("\"{name}\": {e} (`peerdeck check --json` names them)"))?;
            one(key, name.clone())
        }
    }
}
