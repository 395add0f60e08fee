//! The fixed rules for structural conflicts: whatever was written concurrently, every peer sees the same structure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Content, Key, Member, Stamp, Structure, Tree, Value, Version};
use crate::domain::ids::{GroupId, GroupName, HostName, MemberId, PeerId};
use crate::domain::membership::{Addressing, Machine, natural};
use crate::domain::text::{Line, clean};

/// Most things that are told to have been mended.
const MENDED_MAX: usize = 100;

/// Most characters of a name that gets a suffix: room for the suffix must be left, or it would be cut off again.
const SUFFIXED_MAX: usize = 200;

impl Tree {
    /// A machine of a deleted group goes to the group that the deletion names, else to the one with the lowest id; if
    /// all groups were deleted, the lowest id survives; of two groups with one name the later made gets a suffix; of
    /// two memberships of one machine the later counts.
    pub(super) fn make_structure(&self) -> Structure {
        let mut mended = Vec::new();
        let named: BTreeMap<&GroupId, &Version> = self
            .structural()
            .filter_map(|(key, entry)| match key {
                Key::GroupName(id) => Some((id, entry.effective())),
                _ => None,
            })
            .collect();
        let heir = |id: &GroupId| self.text(&Key::GroupDeleted(id.clone())).map(GroupId::new);
        let mut alive: BTreeSet<&GroupId> = named.keys().filter(|id| heir(id).is_none()).copied().collect();
        if alive.is_empty()
            && let Some(first) = named.keys().next().copied()
        {
            alive.insert(first);
            let name = group_name(named[first], first);
            mended.push(Line::new(&format!("all groups were deleted: group {name} stays")));
        }
        let groups = names(&named, &alive, &mut mended);
        let mut members = self.members(&groups, &heir, &mut mended);
        mended.truncate(MENDED_MAX);
        let rank: BTreeMap<&GroupId, usize> = groups.iter().enumerate().map(|(i, (id, _))| (id, i)).collect();
        members.sort_by(|a, b| {
            let by_name = || natural(a.machine.host.as_str(), b.machine.host.as_str());
            rank.get(&a.group).cmp(&rank.get(&b.group)).then_with(by_name).then_with(|| a.id.cmp(&b.id))
        });
        let name = Line::new(self.text(&Key::ClusterName).unwrap_or_default());
        let addressing = match self.text(&Key::Addressing) {
            Some("ip") => Addressing::Ip,
            Some(_) | None => Addressing::HostName,
        };
        Structure::new(name, addressing, groups, members, mended)
    }

    /// Members in any order; without a group there are none.
    fn members(
        &self,
        groups: &[(GroupId, GroupName)],
        heir: &dyn Fn(&GroupId) -> Option<GroupId>,
        mended: &mut Vec<Line>,
    ) -> Vec<Member> {
        let names: BTreeMap<&GroupId, &GroupName> = groups.iter().map(|(id, name)| (id, name)).collect();
        let mut found: BTreeMap<PeerId, (Stamp, Member)> = BTreeMap::new();
        let mut known: BTreeMap<GroupId, Option<GroupId>> = BTreeMap::new();
        for (key, entry) in self.structural() {
            let Key::MachineIdentity(id) = key else { continue };
            if self.value(&Key::MachineRemoved(id.clone())).is_some() {
                continue;
            }
            let written = self.text(&Key::MachineGroup(id.clone())).map(GroupId::new);
            let group = written.and_then(|g| landing(g, &names, heir, &mut known));
            let there = group.or_else(|| groups.first().map(|(id, _)| id.clone()));
            let Some(group) = there else { continue };
            let Some(machine) = names.get(&group).and_then(|name| self.machine(id, name)) else { continue };
            let peer = machine.id.clone();
            let stamp = entry.effective().stamp.clone();
            let member = Member { id: id.clone(), group, machine: Arc::new(machine) };
            let other = found.remove(&peer);
            if other.is_some() {
                let host = &member.machine.host;
                mended.push(Line::new(&format!("{host} ({peer}) joined twice: its later membership counts")));
            }
            // One machine is in one group (C1).
            let later = other.filter(|(s, m)| (s, &m.id) > (&stamp, &member.id)).unwrap_or((stamp, member));
            found.insert(peer, later);
        }
        found.into_values().map(|(_, member)| member).collect()
    }

    fn machine(&self, id: &MemberId, group: &GroupName) -> Option<Machine> {
        let value = self.value(&Key::MachineIdentity(id.clone()))?;
        let text = |name: &str| value.field(name).and_then(Value::as_text).unwrap_or_default();
        let host = HostName::new(&text("host").to_ascii_lowercase());
        let peer = PeerId::new(text("serial"));
        (!peer.as_str().is_empty() && !peer.is_unheard()).then(|| Machine {
            id: peer,
            address: HostName::new(if text("address").is_empty() { host.as_str() } else { text("address") }),
            host,
            group: group.clone(),
            port: value.field("port").and_then(Value::as_int).and_then(|n| u16::try_from(n).ok()).unwrap_or(22),
            machine_key: Line::new(text("machine-key")),
            host_key: Line::new(text("host-key")),
        })
    }
}

/// The living group that one leads to, from deletion to deletion; `None` where they lead nowhere or in a circle.
fn landing(
    from: GroupId,
    alive: &BTreeMap<&GroupId, &GroupName>,
    heir: &dyn Fn(&GroupId) -> Option<GroupId>,
    known: &mut BTreeMap<GroupId, Option<GroupId>>,
) -> Option<GroupId> {
    let mut way: BTreeSet<GroupId> = BTreeSet::new();
    let mut next = Some(from);
    while let Some(group) = next.take() {
        if alive.contains_key(&group) {
            next = Some(group);
            break;
        }
        if let Some(end) = known.get(&group) {
            next = end.clone();
            break;
        }
        if !way.insert(group.clone()) {
            break;
        }
        next = heir(&group);
    }
    // Each group is followed once, however many machines were in it.
    known.extend(way.into_iter().map(|group| (group, next.clone())));
    next
}

/// The groups that are alive, by id, each with a name of its own.
fn names(
    named: &BTreeMap<&GroupId, &Version>,
    alive: &BTreeSet<&GroupId>,
    mended: &mut Vec<Line>,
) -> Vec<(GroupId, GroupName)> {
    let mut order: Vec<(&GroupId, &Version)> =
        named.iter().filter(|(id, _)| alive.contains(*id)).map(|(id, v)| (*id, *v)).collect();
    order.sort_by(|a, b| (&a.1.stamp, a.0).cmp(&(&b.1.stamp, b.0)));
    let mut taken: BTreeSet<GroupName> = BTreeSet::new();
    let mut suffixes: BTreeMap<GroupName, usize> = BTreeMap::new();
    let mut groups: BTreeMap<GroupId, GroupName> = BTreeMap::new();
    for (id, version) in order {
        let wanted = group_name(version, id);
        let mut name = wanted.clone();
        while !taken.insert(name.clone()) {
            let n = suffixes.entry(wanted.clone()).or_insert(1);
            *n += 1;
            name = GroupName::new(&format!("{}-{n}", clean(wanted.as_str(), SUFFIXED_MAX)));
        }
        if name != wanted {
            mended.push(Line::new(&format!("two groups are called {wanted}: the later one is shown as {name}")));
        }
        groups.insert(id.clone(), name);
    }
    groups.into_iter().collect()
}

/// What a group is called; one without a name that can be read is called by its id.
fn group_name(version: &Version, id: &GroupId) -> GroupName {
    let text = match &version.content {
        Content::Value(value) => value.as_text().unwrap_or_default(),
        Content::Inherits => "",
    };
    let name = GroupName::new(text);
    if name.as_str().is_empty() { GroupName::new(id.as_str()) } else { name }
}
