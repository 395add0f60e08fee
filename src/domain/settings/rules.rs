//! From edits to writes of registers, or to a refusal. Pure: console, one-shot commands and peers use the same.

mod alone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catalogue::{Catalogue, Kind, Levels};
pub use super::effects::{Effect, at, effects};
pub use super::notices::notices;
pub use super::references::dangling;
pub use super::transfer::{copy, publish, shift, start_fresh};
use super::{
    Content, DEPTH_MAX, EDITS_MAX, Edit, Effective, Entry, Key, Level, ModeId, Seen, Stamp, Tree, Value, Version,
    VersionId,
};
use crate::domain::ids::{FeatureName, GroupId, GroupName, HostName, MemberId};
use crate::domain::text::{Line, NAME_MAX};
use crate::domain::time::Time;

/// Most bytes of one value, counted as [`Value::bytes`] does.
pub const VALUE_MAX: usize = 256 * 1024;

/// Most characters of a group's name.
pub const GROUP_NAME_MAX: usize = 64;

/// Names that would be mistaken for a level where a mode is typed.
const RESERVED: [&str; 3] = ["cluster", "group", "machine"];

/// What registers must be written so that `edits` are carried out, in the order of their keys; each key once.
///
/// Edits count in their order: a group that one of them deletes is gone for the next. `new_group` draws ids.
///
/// # Errors
/// Why one of the edits can't be carried out, and what to do instead; then none of them is.
pub fn writes(
    tree: &Tree,
    catalogue: &Catalogue,
    edits: &[Edit],
    new_group: &mut dyn FnMut() -> GroupId,
) -> Result<Vec<(Key, Content)>, Line> {
    if edits.is_empty() {
        return Err("there is nothing to commit".into());
    }
    if edits.len() > EDITS_MAX {
        return refuse(format!("{} changes in one commit, {EDITS_MAX} are taken: commit in parts", edits.len()));
    }
    if edits.len() > 1 && edits.iter().any(|e| matches!(e, Edit::Create { .. })) {
        return Err("a cluster is made by a commit of its own: make it first".into());
    }
    let mut draft = Draft::new(tree, catalogue);
    let mut idle = None;
    for edit in edits {
        match draft.edit(edit, new_group)? {
            Done::Written => {}
            Done::Nothing(why) => idle = idle.or(Some(why)),
        }
    }
    match idle {
        Some(why) if draft.written.is_empty() => Err(why),
        Some(_) | None => Ok(draft.written.into_iter().collect()),
    }
}

/// What a commit that writes `keys` rests on: the versions that are there now, in the order of their ids (C23).
#[must_use]
pub fn seen<'k>(tree: &Tree, keys: impl IntoIterator<Item = &'k Key>) -> Seen {
    keys.into_iter().map(|key| (key.clone(), versions(tree, key))).collect()
}

/// The registers whose *set* of versions is another one now (C23).
#[must_use]
pub fn moved(tree: &Tree, seen: &Seen) -> Vec<Key> {
    let set = |ids: &[VersionId]| ids.iter().cloned().collect::<BTreeSet<_>>();
    seen.iter().filter(|(key, then)| set(then) != set(&versions(tree, key))).map(|(key, _)| key.clone()).collect()
}

fn versions(tree: &Tree, key: &Key) -> Vec<VersionId> {
    let mut ids: Vec<VersionId> =
        tree.entry(key).map(|e| e.versions().iter().map(|v| v.id.clone()).collect()).unwrap_or_default();
    ids.sort();
    ids
}

/// The tree as it would be with these writes; they are newer than all that they replace.
#[must_use]
pub fn after(tree: &Tree, writes: &[(Key, Content)]) -> Tree {
    let newest = |keys: &mut dyn Iterator<Item = &Entry>| keys.map(|e| e.effective().stamp.clone()).max();
    let structure = newest(&mut tree.structural().map(|(_, entry)| entry));
    let replaced = newest(&mut writes.iter().filter_map(|(key, _)| tree.entry(key)));
    let last = structure.max(replaced).unwrap_or(Stamp { at: Time::ZERO, count: 0, on: MemberId::new("") });
    let entry = |key: &Key, n: u32, content: &Content| {
        let stamp = Stamp { count: last.count.saturating_add(n), ..last.clone() };
        let id = VersionId::new(&format!("staged {key}"));
        Entry::new(vec![Version { id, content: content.clone(), stamp, by: Line::default() }])
    };
    let mut tree = tree.clone();
    tree.update((1..).zip(writes).map(|(n, (key, content))| (key.clone(), entry(key, n, content))));
    tree
}

/// What applies on a machine: its own setting, else its group's, else the cluster's, else the factory default (C2).
///
/// A machine that is no member has what was its own when it left (C14).
#[must_use]
pub fn effective(tree: &Tree, catalogue: &Catalogue, machine: &MemberId, feature: &FeatureName) -> Effective {
    super::effects::at(tree, catalogue, &ModeId::Machine(machine.clone()), feature)
}

/// Registers whose concurrent versions say different things (C24).
#[must_use]
pub fn conflicts(tree: &Tree) -> Vec<(Key, Entry)> {
    tree.registers().filter(|(_, e)| e.is_conflict()).map(|(key, entry)| (key.clone(), entry.clone())).collect()
}

/// Whether `feature` may be defined at `mode`.
///
/// # Errors
/// Why not, with the mode where it may be (C17).
pub fn may_define(tree: &Tree, catalogue: &Catalogue, mode: &ModeId, feature: &FeatureName) -> Result<(), Line> {
    let Some(known) = catalogue.feature(feature) else {
        let hint = catalogue.nearest(feature.as_str()).map(|n| format!(", did you mean \"{n}\"?"));
        return refuse(format!("no feature is called \"{feature}\" here{}", hint.unwrap_or_default()));
    };
    if known.kind == Kind::Command {
        return refuse(format!("{feature} is a command: it has no settings"));
    }
    if known.levels.allow(mode.level()) {
        return Ok(());
    }
    // There is no other level for a machine that is in no cluster.
    if tree.structure().is_alone() && mode.level() == Level::Machine {
        return Ok(());
    }
    let cluster = tree.mode_name(&ModeId::Cluster);
    let there = match (known.levels, mode) {
        (Levels::ClusterOrGroup, ModeId::Machine(id)) => match tree.structure().member(id) {
            Some(m) => format!("{} or {cluster}", tree.mode_name(&ModeId::Group(m.group.clone()))),
            None => cluster,
        },
        (Levels::ClusterOnly | Levels::ClusterOrGroup | Levels::Any, _) => cluster,
        (Levels::MachineOnly | Levels::LoginHost, _) => {
            let group = match mode {
                ModeId::Group(id) => Some(id),
                ModeId::Cluster | ModeId::Machine(_) => None,
            };
            let first = tree.structure().members.iter().find(|m| group.is_none_or(|g| m.group == *g));
            first.map_or_else(|| "a machine".to_owned(), |m| format!("a machine, such as {}", m.machine.host))
        }
    };
    let (phrase, here) = (known.levels.phrase(), tree.mode_name(mode));
    refuse(format!("{feature} is set {phrase}, not at {here}: set it at {there}"))
}

/// Whether `value` is small and flat enough to be kept.
///
/// # Errors
/// What is wrong with it.
pub fn check_value(feature: &FeatureName, value: &Value) -> Result<(), Line> {
    if !value.fits(DEPTH_MAX) {
        return refuse(format!("{feature}: nested more than {DEPTH_MAX} deep"));
    }
    let bytes = value.bytes();
    if bytes > VALUE_MAX {
        return refuse(format!("{feature}: a value of {bytes} bytes, {VALUE_MAX} are kept"));
    }
    if value.has_odd_number() {
        return refuse(format!("{feature}: a number that is infinite or none at all"));
    }
    Ok(())
}

/// Whether settings can be at `mode` at all.
///
/// # Errors
/// There is no such group or member (any more).
pub fn check_mode(tree: &Tree, mode: &ModeId) -> Result<(), Line> {
    match mode {
        ModeId::Group(id) if tree.structure().group(id).is_none() => no_group(id),
        ModeId::Machine(id) if tree.structure().member(id).is_none() => no_member(tree, id),
        ModeId::Cluster | ModeId::Group(_) | ModeId::Machine(_) => Ok(()),
    }
}

fn no_group<T>(id: &GroupId) -> Result<T, Line> {
    refuse(format!("there is no group {id} (any more): look at the list of groups"))
}

fn no_member<T>(tree: &Tree, id: &MemberId) -> Result<T, Line> {
    refuse(format!("{} is not a member of this cluster (any more)", tree.host(id)))
}

pub(super) fn refuse<T>(why: impl AsRef<str>) -> Result<T, Line> {
    Err(Line::new(why.as_ref()))
}

/// What became of an edit.
enum Done {
    Written,
    /// All is as it asks already.
    Nothing(Line),
}

/// A tree with edits over it. Only what rules ask about is kept up to date, so that thousands of edits are quick.
struct Draft<'t> {
    tree: &'t Tree,
    catalogue: &'t Catalogue,
    written: BTreeMap<Key, Content>,
    groups: BTreeMap<GroupId, GroupName>,
    members: BTreeMap<MemberId, GroupId>,
    hosts: BTreeMap<HostName, MemberId>,
    /// The machine is in no cluster.
    alone: bool,
}

impl<'t> Draft<'t> {
    fn new(tree: &'t Tree, catalogue: &'t Catalogue) -> Self {
        let s = tree.structure();
        Self {
            tree,
            catalogue,
            written: BTreeMap::new(),
            groups: s.groups.iter().cloned().collect(),
            members: s.members.iter().map(|m| (m.id.clone(), m.group.clone())).collect(),
            hosts: s.members.iter().map(|m| (m.machine.host.clone(), m.id.clone())).collect(),
            alone: s.is_alone(),
        }
    }

    fn edit(&mut self, edit: &Edit, new_group: &mut dyn FnMut() -> GroupId) -> Result<Done, Line> {
        self.check_alone(edit)?;
        match edit {
            Edit::Set { mode, feature, value } => {
                self.exists(mode)?;
                may_define(self.tree, self.catalogue, mode, feature)?;
                check_value(feature, value)?;
                let before = self.applies(mode, feature);
                let value = super::secrets::hide_in(self.catalogue, feature, value, before.as_deref())?;
                self.write(Key::Feature(mode.clone(), feature.clone()), Content::Value(value));
            }
            Edit::Unset { mode, feature } => return self.unset(mode, feature),
            Edit::Resolve { key, version } => {
                let found = self.tree.entry(key).and_then(|e| e.versions().iter().find(|v| v.id == *version));
                let Some(found) = found else {
                    return refuse(format!("{}: that version is settled already, look again", self.key_name(key)));
                };
                let content = found.content.clone();
                self.write(key.clone(), content);
            }
            Edit::Create { name } => return self.create(name),
            Edit::SetName { name } => self.name_cluster(name)?,
            Edit::AddGroup { name } => {
                self.check_group_name(name, None)?;
                let id = (0..16).map(|_| new_group()).find(|id| self.is_new(id));
                let Some(id) = id else { return refuse(format!("group {name}: no free id was drawn, try again")) };
                self.groups.insert(id.clone(), name.clone());
                self.write(Key::GroupName(id), Content::Value(Arc::new(Value::text(name.as_str()))));
            }
            Edit::RenameGroup { group, name } => {
                let old = self.group(group)?;
                if old == *name {
                    return Ok(Done::Nothing(Line::new(&format!("the group is called {name} already"))));
                }
                self.check_group_name(name, Some(group))?;
                self.groups.insert(group.clone(), name.clone());
                self.write(Key::GroupName(group.clone()), Content::Value(Arc::new(Value::text(name.as_str()))));
            }
            Edit::DeleteGroup { group, into } => {
                let name = self.group(group)?;
                if self.groups.len() == 1 {
                    return refuse(format!("{name} is the last group: a cluster has at least one"));
                }
                if group == into {
                    return refuse(format!("the machines of {name} must go to another group than {name}"));
                }
                self.group(into)?;
                self.groups.remove(group);
                for place in self.members.values_mut().filter(|place| *place == group) {
                    *place = into.clone();
                }
                // The machines follow by the fixed rule: writing each would conflict with who moves one elsewhere.
                self.write(Key::GroupDeleted(group.clone()), Content::Value(Arc::new(Value::text(into.as_str()))));
            }
            Edit::SetGroup { machine, group } => {
                let name = self.group(group)?;
                let key = Key::MachineGroup(machine.clone());
                if self.member(machine)? == *group && !self.in_conflict(&key) {
                    let host = self.tree.host(machine);
                    return Ok(Done::Nothing(Line::new(&format!("{host} is in group {name} already"))));
                }
                self.members.insert(machine.clone(), group.clone());
                self.write(key, Content::Value(Arc::new(Value::text(group.as_str()))));
            }
            Edit::RemoveMachine { machine } => self.remove(machine)?,
            Edit::SetHost { machine, host, address } => self.set_host(machine, host, address)?,
        }
        Ok(Done::Written)
    }

    fn write(&mut self, key: Key, content: Content) {
        self.written.insert(key, content);
    }

    /// What a register says with the edits so far.
    fn content(&self, key: &Key) -> Option<&Content> {
        self.written.get(key).or_else(|| self.tree.entry(key).map(|e| &e.effective().content))
    }

    /// What applies at a mode with the edits so far: whose secrets a mark stands for.
    fn applies(&self, mode: &ModeId, feature: &FeatureName) -> Option<Arc<Value>> {
        let group = match mode {
            ModeId::Machine(id) => self.members.get(id).map(|g| ModeId::Group(g.clone())),
            ModeId::Cluster | ModeId::Group(_) => None,
        };
        let above = std::iter::once(mode.clone()).chain(group).chain([ModeId::Cluster]);
        above.into_iter().find_map(|m| self.content(&Key::Feature(m, feature.clone()))?.value().cloned())
    }

    fn in_conflict(&self, key: &Key) -> bool {
        !self.written.contains_key(key) && self.tree.entry(key).is_some_and(Entry::is_conflict)
    }

    fn is_new(&self, id: &GroupId) -> bool {
        let key = Key::GroupName(id.clone());
        !id.as_str().is_empty() && key.to_string().parse() == Ok(key.clone()) && self.content(&key).is_none()
    }

    fn group(&self, id: &GroupId) -> Result<GroupName, Line> {
        match self.groups.get(id) {
            Some(name) => Ok(name.clone()),
            None => no_group(id),
        }
    }

    fn member(&self, id: &MemberId) -> Result<GroupId, Line> {
        match self.members.get(id) {
            Some(group) => Ok(group.clone()),
            None => no_member(self.tree, id),
        }
    }

    fn exists(&self, mode: &ModeId) -> Result<(), Line> {
        match mode {
            ModeId::Cluster => Ok(()),
            ModeId::Group(id) => self.group(id).map(|_| ()),
            ModeId::Machine(id) => self.member(id).map(|_| ()),
        }
    }

    fn key_name(&self, key: &Key) -> String {
        match key {
            Key::ClusterName | Key::Addressing | Key::SecretKey(..) => key.to_string(),
            Key::GroupName(id) | Key::GroupDeleted(id) => self.tree.mode_name(&ModeId::Group(id.clone())),
            Key::MachineIdentity(id) | Key::MachineGroup(id) | Key::MachineRemoved(id) => {
                self.tree.mode_name(&ModeId::Machine(id.clone()))
            }
            Key::Feature(mode, feature) => format!("{feature} at {}", self.tree.mode_name(mode)),
        }
    }

    /// What is not known here may be taken back all the same: a site's table may have lost it.
    fn unset(&mut self, mode: &ModeId, feature: &FeatureName) -> Result<Done, Line> {
        self.exists(mode)?;
        let key = Key::Feature(mode.clone(), feature.clone());
        if self.content(&key).and_then(Content::value).is_none() && !self.in_conflict(&key) {
            if self.catalogue.feature(feature).is_none() {
                may_define(self.tree, self.catalogue, mode, feature)?;
            }
            let mode = self.tree.mode_name(mode);
            return Ok(Done::Nothing(Line::new(&format!("{feature} is not defined at {mode}: nothing to take back"))));
        }
        self.write(key, Content::Inherits);
        Ok(Done::Written)
    }

    fn check_group_name(&self, name: &GroupName, renamed: Option<&GroupId>) -> Result<(), Line> {
        let text = name.as_str();
        let count = text.chars().count();
        if count == 0 || count > GROUP_NAME_MAX {
            return refuse(format!("a group's name has 1 to {GROUP_NAME_MAX} characters"));
        }
        let fine = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.');
        if !text.chars().all(fine) || !text.starts_with(char::is_alphanumeric) {
            return refuse(format!(
                "\"{name}\": a group's name begins with a letter or digit and has letters, digits, spaces, _ - . only"
            ));
        }
        if RESERVED.iter().any(|r| text.eq_ignore_ascii_case(r)) {
            return refuse(format!("\"{name}\" is the name of a level: call the group something else"));
        }
        // Also those that differ in case only: people would take one for the other.
        let lower = text.to_lowercase();
        let twin = self.groups.iter().find(|(id, n)| Some(*id) != renamed && n.as_str().to_lowercase() == lower);
        match twin {
            Some((_, twin)) => refuse(format!("there is a group {twin} already: choose another name")),
            None => Ok(()),
        }
    }

    /// C14: what the machine inherits becomes its own, so that nothing changes for it.
    fn remove(&mut self, machine: &MemberId) -> Result<(), Line> {
        let group = self.member(machine)?;
        let above = [ModeId::Group(group.clone()), ModeId::Cluster];
        let features: BTreeSet<FeatureName> = above.iter().flat_map(|mode| self.written_at(mode)).collect();
        for feature in features {
            let own = Key::Feature(ModeId::Machine(machine.clone()), feature.clone());
            if self.content(&own).and_then(Content::value).is_some() {
                continue;
            }
            let inherited = above
                .iter()
                .find_map(|mode| self.content(&Key::Feature(mode.clone(), feature.clone())).and_then(Content::value))
                .cloned();
            if let Some(value) = inherited {
                self.write(own, Content::Value(value));
            }
        }
        if self.members.len() == 1 {
            self.dissolve(machine, &group);
            return Ok(());
        }
        self.members.remove(machine);
        self.hosts.retain(|_, id| id != machine);
        self.write(Key::MachineRemoved(machine.clone()), Content::Value(Arc::new(Value::Bool(true))));
        Ok(())
    }

    /// C33.
    fn set_host(&mut self, machine: &MemberId, host: &HostName, address: &HostName) -> Result<(), Line> {
        self.member(machine)?;
        let was = self.tree.host(machine);
        for (what, name) in [("host name", host), ("address", address)] {
            if !is_host(name.as_str()) {
                return refuse(format!("{was}: \"{name}\" is no {what}: letters, digits, - and . only, or an address"));
            }
        }
        if let Some(other) = self.hosts.get(host)
            && other != machine
        {
            return refuse(format!("{was}: another member is called {host} already"));
        }
        let key = Key::MachineIdentity(machine.clone());
        let Some(Value::Table(fields)) = self.content(&key).and_then(Content::value).map(|v| &**v) else {
            return refuse(format!("{was}: nothing is known of this machine to change"));
        };
        let mut fields = fields.clone();
        fields.insert("host".into(), Value::text(host.as_str()));
        fields.insert("address".into(), Value::text(address.as_str()));
        self.hosts.retain(|_, id| id != machine);
        self.hosts.insert(host.clone(), machine.clone());
        self.write(key, Content::Value(Arc::new(Value::Table(fields))));
        Ok(())
    }
}

/// Whether this is a host name or an address.
fn is_host(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.parse::<std::net::IpAddr>().is_ok() || (text.len() <= NAME_MAX && text.split('.').all(label))
}
