//! What a commit changes, as documents and in words.

use serde::Serialize;
use serde_json::Value as Json;

use super::inconsistencies::digest;
use super::settings::{ModeDoc, json, short};
use crate::domain::ids::GroupId;
use crate::domain::settings::words::called;
use crate::domain::settings::{Content, Edit, Key, ModeId, Tree};
use crate::domain::text::clean;

/// Longest value in a sentence, in characters.
const VALUE_MAX: usize = 100;

/// One change of a commit. What does not belong to its kind is null.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EditDoc {
    change: &'static str,
    mode: Option<ModeDoc>,
    feature: Option<String>,
    value: Option<Json>,
    /// Of the value: equal for equal values.
    digest: Option<String>,
    /// Of the store, where a conflict is settled.
    register: Option<String>,
    version: Option<String>,
    machine: Option<String>,
    group: Option<String>,
    /// A new name.
    name: Option<String>,
}

impl EditDoc {
    /// With the names that `tree` knows; without one, ids stand in.
    #[must_use]
    pub fn new(tree: &Tree, edit: &Edit) -> Self {
        let mut doc = Self {
            change: edit.word(),
            mode: None,
            feature: None,
            value: None,
            digest: None,
            register: None,
            version: None,
            machine: None,
            group: None,
            name: None,
        };
        match edit {
            Edit::Set { mode, feature, value } => {
                doc.mode = Some(ModeDoc::new(tree, mode));
                doc.feature = Some(feature.to_string());
                doc.value = Some(json(value));
                doc.digest = Some(digest(&Content::Value(value.clone())));
            }
            Edit::Unset { mode, feature } => {
                doc.mode = Some(ModeDoc::new(tree, mode));
                doc.feature = Some(feature.to_string());
            }
            Edit::Resolve { key, version } => {
                doc.mode = Some(ModeDoc::of_key(tree, key));
                if let Key::Feature(_, feature) = key {
                    doc.feature = Some(feature.to_string());
                }
                doc.register = Some(key.to_string());
                doc.version = Some(version.as_str().to_owned());
            }
            Edit::Create { name } | Edit::SetName { name } => doc.name = Some(name.to_string()),
            Edit::AddGroup { name } => doc.name = Some(name.to_string()),
            Edit::RenameGroup { group, name } => {
                doc.group = Some(group_name(tree, group));
                doc.name = Some(name.to_string());
            }
            Edit::DeleteGroup { group, into } => {
                doc.group = Some(group_name(tree, group));
                doc.name = Some(group_name(tree, into));
            }
            Edit::SetGroup { machine, group } => {
                doc.machine = Some(tree.host(machine));
                doc.group = Some(group_name(tree, group));
            }
            Edit::RemoveMachine { machine } => doc.machine = Some(tree.host(machine)),
            Edit::SetHost { machine, host, .. } => {
                doc.machine = Some(tree.host(machine));
                doc.name = Some(host.to_string());
            }
        }
        doc
    }

    /// For logs: values may hold secrets, their digests do.
    #[must_use]
    pub fn without_value(self) -> Self {
        Self { value: None, ..self }
    }
}

fn group_name(tree: &Tree, id: &GroupId) -> String {
    tree.structure().group(id).map_or_else(|| id.to_string(), ToString::to_string)
}

/// `set smtproutes at Group Paris to {}`: what a change does.
#[must_use]
pub fn text(tree: &Tree, edit: &Edit) -> String {
    let group = |id: &GroupId| group_name(tree, id);
    let at = |mode: &ModeId| tree.mode_name(mode);
    match edit {
        Edit::Set { mode, feature, value } => {
            format!("set {feature} at {} to {}", at(mode), clean(&short(Some(value)), VALUE_MAX))
        }
        Edit::Unset { mode, feature } => format!("unset {feature} at {}: it inherits", at(mode)),
        Edit::Resolve { key, version } => {
            let kept = tree.entry(key).and_then(|e| e.versions().iter().find(|v| v.id == *version));
            let on = kept.map_or_else(|| version.as_str().to_owned(), |v| tree.host(&v.stamp.on));
            format!("resolve {} with the version of {on}", called(tree, key))
        }
        Edit::Create { name } => format!("make cluster {name} of {}", lone(tree)),
        Edit::SetName { name } => format!("rename cluster {} to {name}", tree.structure().name),
        Edit::AddGroup { name } => format!("add group {name}"),
        Edit::RenameGroup { group: id, name } => format!("rename group {} to {name}", group(id)),
        Edit::DeleteGroup { group: id, into } => format!("delete group {}, its machines to {}", group(id), group(into)),
        Edit::SetGroup { machine, group: id } => format!("put {} into group {}", tree.host(machine), group(id)),
        Edit::RemoveMachine { machine } => format!("remove {} from the cluster", tree.host(machine)),
        Edit::SetHost { machine, host, address } => format!("call {} {host}, at {address}", tree.host(machine)),
    }
}

/// What must be typed to confirm a change: the name of what it is about.
#[must_use]
pub fn subject(tree: &Tree, edit: &Edit) -> String {
    let of = |mode: &ModeId| match mode {
        ModeId::Cluster => tree.structure().name.to_string(),
        ModeId::Group(id) => group_name(tree, id),
        ModeId::Machine(id) => short_host(tree, id),
    };
    match edit {
        Edit::Set { mode, .. } | Edit::Unset { mode, .. } => of(mode),
        Edit::Resolve { key, .. } => match key {
            Key::Feature(mode, _) => of(mode),
            Key::ClusterName | Key::Addressing => of(&ModeId::Cluster),
            Key::GroupName(id) | Key::GroupDeleted(id) => group_name(tree, id),
            Key::MachineIdentity(id) | Key::MachineGroup(id) | Key::MachineRemoved(id) | Key::SecretKey(_, id) => {
                short_host(tree, id)
            }
        },
        Edit::Create { name } => name.to_string(),
        Edit::SetName { .. } => tree.structure().name.to_string(),
        Edit::AddGroup { name } => name.to_string(),
        Edit::RenameGroup { group, .. } | Edit::DeleteGroup { group, .. } => group_name(tree, group),
        Edit::SetGroup { machine, .. } | Edit::RemoveMachine { machine } | Edit::SetHost { machine, .. } => {
            short_host(tree, machine)
        }
    }
}

/// The machine that is in no cluster yet.
fn lone(tree: &Tree) -> String {
    tree.structure().members.first().map_or_else(|| "the machine".to_owned(), |m| m.machine.host.to_string())
}

fn short_host(tree: &Tree, id: &crate::domain::ids::MemberId) -> String {
    tree.structure().member(id).map_or_else(|| tree.host(id), |m| m.machine.host.short().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::settings::{Value, VersionId};
    use crate::report::hand_made::{self, feature, gid, mid};

    #[test]
    fn every_change_is_told_in_words_with_names_and_without_ids() {
        let tree = hand_made::tree();
        let set = Edit::Set {
            mode: ModeId::Group(gid("paris")),
            feature: feature("smtproutes"),
            value: Arc::new(Value::table([])),
        };
        assert_eq!(text(&tree, &set), "set smtproutes at Group Paris to {} (empty)");
        assert_eq!(subject(&tree, &set), "Paris");
        let key = Key::Feature(ModeId::Cluster, feature("dnsconfig"));
        let resolve = Edit::Resolve { key, version: VersionId::new("d2") };
        assert_eq!(text(&tree, &resolve), "resolve dnsconfig at Cluster americas with the version of lab2.example.com");
        let moved = Edit::SetGroup { machine: mid("m3"), group: gid("rome") };
        assert_eq!(
            (text(&tree, &moved), subject(&tree, &moved)),
            ("put lab3.example.com into group Rome".into(), "lab3".into())
        );
        let gone = Edit::DeleteGroup { group: gid("paris"), into: gid("rome") };
        assert_eq!(text(&tree, &gone), "delete group Paris, its machines to Rome");
        let doc = serde_json::to_value(EditDoc::new(&tree, &set)).unwrap();
        assert_eq!(
            (&doc["change"], &doc["mode"]["name"], &doc["value"]),
            (&"set".into(), &"Paris".into(), &serde_json::json!({}))
        );
        let logged = serde_json::to_value(EditDoc::new(&tree, &set).without_value()).unwrap();
        assert!(logged["value"].is_null() && logged["digest"].is_string(), "a log holds no values: {logged}");
    }
}
