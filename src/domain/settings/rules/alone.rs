//! A machine that is in no cluster: what it may configure, its cluster when one is made of it (C3), and what stays when
//! the last machine leaves (C14).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Content, Done, Draft, Key, NAME_MAX, refuse};
use crate::domain::ids::{FeatureName, GroupId, MemberId};
use crate::domain::membership::MAIN_GROUP;
use crate::domain::settings::{Edit, Level, ModeId, Value};
use crate::domain::text::Line;

impl Draft<'_> {
    /// Refuses what makes no sense while the machine is in no cluster: it has no mode but its own.
    pub(super) fn check_alone(&self, edit: &Edit) -> Result<(), Line> {
        if !self.alone {
            return Ok(());
        }
        let host = self.lone_host();
        match edit {
            Edit::Set { mode, feature, .. } | Edit::Unset { mode, feature } if mode.level() != Level::Machine => {
                refuse(format!(
                    "{host} is in no cluster: {feature} can be set at Machine {host} only (`peerdeck create NAME` \
                     makes a cluster of it)"
                ))
            }
            Edit::Set { .. }
            | Edit::Unset { .. }
            | Edit::Resolve { .. }
            | Edit::Create { .. }
            | Edit::SetHost { .. } => Ok(()),
            Edit::RemoveMachine { .. } => refuse(format!("{host} is in no cluster: there is nothing to leave")),
            Edit::SetName { .. }
            | Edit::AddGroup { .. }
            | Edit::RenameGroup { .. }
            | Edit::DeleteGroup { .. }
            | Edit::SetGroup { .. } => {
                refuse(format!("{host} is in no cluster: `peerdeck create NAME` makes one of it first"))
            }
        }
    }

    /// C3: the machine's settings become the cluster's, but for those that make no sense above it.
    pub(super) fn create(&mut self, name: &Line) -> Result<Done, Line> {
        let lone = self.members.keys().next().filter(|_| self.alone).cloned();
        let Some(machine) = lone else {
            let cluster = &self.tree.structure().name;
            return refuse(format!(
                "there is a cluster already, {cluster}: one is made of a machine that is in none (`setname` gives \
                 this one another name)"
            ));
        };
        self.name_cluster(name)?;
        let own = ModeId::Machine(machine);
        for feature in self.defined_at(&own) {
            let key = Key::Feature(own.clone(), feature.clone());
            let moves =
                self.catalogue.feature(&feature).is_some_and(|f| f.clusterable && f.levels.allow(Level::Cluster));
            if let Some(value) = self.content(&key).and_then(Content::value).cloned().filter(|_| moves) {
                self.write(Key::Feature(ModeId::Cluster, feature), Content::Value(value));
                self.write(key, Content::Inherits);
            }
        }
        self.alone = false;
        Ok(Done::Written)
    }

    /// The cluster is called so from now on.
    pub(super) fn name_cluster(&mut self, name: &Line) -> Result<(), Line> {
        if name.is_empty() || name.as_str().chars().count() > NAME_MAX {
            return refuse(format!("a cluster's name has 1 to {NAME_MAX} characters"));
        }
        self.write(Key::ClusterName, Content::Value(Arc::new(Value::text(name.as_str()))));
        Ok(())
    }

    /// C14: the last machine takes the cluster with it. All that it inherited is its own by now; nothing stays above it.
    pub(super) fn dissolve(&mut self, machine: &MemberId, group: &GroupId) {
        let empty = Content::Value(Arc::new(Value::text("")));
        self.write(Key::ClusterName, empty);
        let modes = self.groups.keys().cloned().map(ModeId::Group).chain([ModeId::Cluster]);
        for mode in modes.collect::<Vec<_>>() {
            for feature in self.written_at(&mode) {
                let key = Key::Feature(mode.clone(), feature);
                if self.content(&key).and_then(Content::value).is_some() || self.in_conflict(&key) {
                    self.write(key, Content::Inherits);
                }
            }
        }
        // As a machine that never was in a cluster: in the one group.
        let main = self.groups.iter().find(|(_, name)| name.as_str() == MAIN_GROUP).map(|(id, _)| id.clone());
        let stays = main.unwrap_or_else(|| {
            self.groups.insert(group.clone(), MAIN_GROUP.into());
            self.write(Key::GroupName(group.clone()), Content::Value(Arc::new(Value::text(MAIN_GROUP))));
            group.clone()
        });
        let into = Content::Value(Arc::new(Value::text(stays.as_str())));
        let others: Vec<GroupId> = self.groups.keys().filter(|id| **id != stays).cloned().collect();
        for id in others {
            self.groups.remove(&id);
            self.write(Key::GroupDeleted(id), into.clone());
        }
        self.members.insert(machine.clone(), stays);
        self.alone = true;
    }

    /// The features that a mode writes, in the tree or by the edits so far.
    pub(super) fn written_at(&self, mode: &ModeId) -> BTreeSet<FeatureName> {
        let staged = self.written.keys().filter_map(|key| match key {
            Key::Feature(m, f) if m == mode => Some(f.clone()),
            _ => None,
        });
        self.tree.at(mode).map(|(f, _)| f.clone()).chain(staged).collect()
    }

    fn defined_at(&self, mode: &ModeId) -> Vec<FeatureName> {
        let has =
            |f: &FeatureName| self.content(&Key::Feature(mode.clone(), f.clone())).and_then(Content::value).is_some();
        self.written_at(mode).into_iter().filter(has).collect()
    }

    fn lone_host(&self) -> String {
        self.members.keys().next().map_or_else(|| "this machine".to_owned(), |id| self.tree.host(id))
    }
}
