//! Registers in words, and what a machine that is on its own may write.

use std::collections::BTreeSet;

use super::{Content, Key, ModeId, Tree};
use crate::domain::ids::PeerId;
use crate::domain::text::Line;

/// What people call a register: `smtproutes at Group Paris`, `the group of lab3.example.com`.
#[must_use]
pub fn called(tree: &Tree, key: &Key) -> String {
    let group = |id| tree.mode_name(&ModeId::Group(id));
    match key {
        Key::ClusterName => "the name of the cluster".into(),
        Key::Addressing => "the addressing of the cluster".into(),
        Key::GroupName(id) => format!("the name of {}", group(id.clone())),
        Key::GroupDeleted(id) => format!("the end of {}", group(id.clone())),
        Key::MachineIdentity(id) => format!("the host name and keys of {}", tree.host(id)),
        Key::MachineGroup(id) => format!("the group of {}", tree.host(id)),
        Key::MachineRemoved(id) => format!("the end of the membership of {}", tree.host(id)),
        Key::SecretKey(key, id) => format!("the key {key} of secrets for {}", tree.host(id)),
        Key::Feature(mode, feature) => format!("{feature} at {}", tree.mode_name(mode)),
    }
}

/// Whether the machine `on` may write this while it is detached: what is the cluster's, its own group's or its own, but
/// nothing of other machines and groups (C15, C22).
///
/// # Errors
/// What it may not write, and what to do instead.
pub fn may_alone(tree: &Tree, on: &PeerId, writes: &[(Key, Content)]) -> Result<(), Line> {
    let s = tree.structure();
    let Some(own) = s.member_of(on) else {
        return Err(Line::new(&format!("{on} is not a member of this cluster (any more)")));
    };
    let mates: BTreeSet<_> = s.members.iter().filter(|m| m.group == own.group).map(|m| &m.id).collect();
    let is_own = |key: &Key| match key {
        Key::ClusterName | Key::Addressing | Key::SecretKey(..) | Key::Feature(ModeId::Cluster, _) => true,
        // A group that does not exist yet is nobody's.
        Key::GroupName(id) => *id == own.group || tree.entry(key).is_none(),
        Key::GroupDeleted(id) => *id == own.group && mates.len() == 1,
        Key::Feature(ModeId::Group(id), _) => *id == own.group,
        Key::MachineIdentity(id)
        | Key::MachineGroup(id)
        | Key::MachineRemoved(id)
        | Key::Feature(ModeId::Machine(id), _) => *id == own.id,
    };
    match writes.iter().find(|(key, _)| !is_own(key)) {
        None => Ok(()),
        Some((key, _)) => Err(Line::new(&format!(
            "{} is detached and can't configure others: {}; commit it on an attached machine, or reconnect it first",
            own.machine.host,
            called(tree, key)
        ))),
    }
}
