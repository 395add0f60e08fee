//! All registers of a cluster at one moment, and what they mean for each machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Content, Key, ModeId, Value, Version};
use crate::domain::ids::{ClusterName, FeatureName, GroupId, GroupName, HostName, MemberId, PeerId};
use crate::domain::membership::{Addressing, Machine, Membership};
use crate::domain::text::Line;

/// The concurrent versions of one register; never none.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The most recent first.
    versions: Arc<[Version]>,
}

impl Entry {
    /// Of these versions; `None` for none.
    #[must_use]
    pub fn new(mut versions: Vec<Version>) -> Option<Self> {
        versions.sort_by(|a, b| b.stamp.cmp(&a.stamp).then_with(|| b.id.cmp(&a.id)));
        versions.dedup_by(|a, b| a.id == b.id);
        (!versions.is_empty()).then(|| Self { versions: versions.into() })
    }

    /// The most recent one: it applies everywhere, until somebody resolves the conflict (C23).
    #[must_use]
    pub fn effective(&self) -> &Version {
        &self.versions[0]
    }

    /// All that nobody has superseded, the effective one first.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Whether concurrent versions say different things. Equal ones are no inconsistency.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.versions[1..].iter().any(|v| v.content != self.versions[0].content)
    }
}

/// Where an effective value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It is defined at this mode.
    Mode(ModeId),
    /// Nobody defines it: the factory default.
    Factory,
}

/// What applies on a machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Effective {
    /// The value; `None` when nobody defines it and there is no factory default.
    pub value: Option<Arc<Value>>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A mode with the name that people know it by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mode {
    /// Its id.
    pub id: ModeId,
    /// Name of the cluster or group, or host name of the machine.
    pub name: Line,
}

/// One machine, as it joined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its membership.
    pub id: MemberId,
    /// The group it is in.
    pub group: GroupId,
    /// Who it is.
    pub machine: Arc<Machine>,
}

/// Who belongs to the cluster, after the fixed rules for structural conflicts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Structure {
    /// Name of the cluster.
    pub name: Line,
    /// How members address each other.
    pub addressing: Addressing,
    /// Groups that exist, in the order in which they were made (by id where that is not known).
    pub groups: Vec<(GroupId, GroupName)>,
    /// Members, in the order of their groups, then by host name.
    pub members: Vec<Member>,
    /// What the rules had to mend, a sentence each.
    pub mended: Vec<Line>,
}

impl Structure {
    /// The name of a group.
    #[must_use]
    pub fn group(&self, id: &GroupId) -> Option<&GroupName> {
        self.groups.iter().find(|(g, _)| g == id).map(|(_, name)| name)
    }

    /// The id of a group.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<&GroupId> {
        self.groups.iter().find(|(_, n)| n.as_str() == name).map(|(id, _)| id)
    }

    /// A member.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.iter().find(|m| m.id == *id)
    }

    /// The membership of a machine.
    #[must_use]
    pub fn member_of(&self, peer: &PeerId) -> Option<&Member> {
        self.members.iter().find(|m| m.machine.id == *peer)
    }
}

/// All registers of a cluster.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tree {
    /// Random id of the cluster.
    pub cluster_id: Line,
    registers: BTreeMap<Key, Entry>,
    structure: Arc<Structure>,
}

impl Tree {
    /// Of these registers.
    #[must_use]
    pub fn new(cluster_id: Line, registers: impl IntoIterator<Item = (Key, Entry)>) -> Self {
        let mut tree = Self { cluster_id, registers: registers.into_iter().collect(), structure: Arc::default() };
        tree.structure = Arc::new(tree.make_structure());
        tree
    }

    /// Puts registers in the place of those with the same keys; `None` takes one away.
    pub fn update(&mut self, changes: impl IntoIterator<Item = (Key, Option<Entry>)>) {
        let mut structure = false;
        for (key, entry) in changes {
            structure |= key.is_structure();
            match entry {
                Some(entry) => self.registers.insert(key, entry),
                None => self.registers.remove(&key),
            };
        }
        if structure {
            self.structure = Arc::new(self.make_structure());
        }
    }

    /// Who belongs to the cluster.
    #[must_use]
    pub fn structure(&self) -> &Arc<Structure> {
        &self.structure
    }

    /// One register.
    #[must_use]
    pub fn entry(&self, key: &Key) -> Option<&Entry> {
        self.registers.get(key)
    }

    /// All registers, in the order of their keys.
    pub fn registers(&self) -> impl ExactSizeIterator<Item = (&Key, &Entry)> {
        self.registers.iter()
    }

    /// The registers that say who belongs to the cluster, in the order of their keys.
    pub(super) fn structural(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.registers.range(..Key::Feature(ModeId::Cluster, FeatureName::new("")))
    }

    /// The features that say something else at `mode` in `other`, by name.
    pub(super) fn differences(&self, other: &Self, mode: &ModeId) -> Vec<FeatureName> {
        let says = |tree: &Self, feature: &FeatureName| tree.defined(mode, feature).map(|v| v.content.clone());
        let features: BTreeSet<&FeatureName> = self.at(mode).chain(other.at(mode)).map(|(f, _)| f).collect();
        features.into_iter().filter(|f| says(self, f) != says(other, f)).cloned().collect()
    }

    /// What is written at `mode`, inherited or not: the features with their registers.
    pub fn at(&self, mode: &ModeId) -> impl Iterator<Item = (&FeatureName, &Entry)> {
        let from = Key::Feature(mode.clone(), FeatureName::new(""));
        self.registers.range(from..).map_while(move |(key, entry)| match key {
            Key::Feature(m, feature) if m == mode => Some((feature, entry)),
            _ => None,
        })
    }

    /// What is defined at `mode` itself, which may be empty; `None`: it inherits.
    #[must_use]
    pub fn defined(&self, mode: &ModeId, feature: &FeatureName) -> Option<&Version> {
        let version = self.registers.get(&Key::Feature(mode.clone(), feature.clone()))?.effective();
        version.content.value().map(|_| version)
    }

    /// The version that applies at `mode`, and where it is defined: machine, else its group, else cluster.
    #[must_use]
    pub fn applies(&self, mode: &ModeId, feature: &FeatureName) -> Option<(ModeId, &Version)> {
        self.above(mode).into_iter().find_map(|m| self.defined(&m, feature).map(|v| (m, v)))
    }

    /// `mode` and the modes that it inherits from, nearest first.
    #[must_use]
    pub fn above(&self, mode: &ModeId) -> Vec<ModeId> {
        match mode {
            ModeId::Cluster => vec![ModeId::Cluster],
            ModeId::Group(_) => vec![mode.clone(), ModeId::Cluster],
            ModeId::Machine(id) => {
                // One that is no member any more has its own settings only.
                let above = |m: &Member| [ModeId::Group(m.group.clone()), ModeId::Cluster];
                std::iter::once(mode.clone()).chain(self.structure.member(id).into_iter().flat_map(above)).collect()
            }
        }
    }

    /// Every mode, the cluster first, each group before its machines.
    #[must_use]
    pub fn modes(&self) -> Vec<Mode> {
        let s = &self.structure;
        let mut modes = vec![Mode { id: ModeId::Cluster, name: s.name.clone() }];
        for (id, name) in &s.groups {
            modes.push(Mode { id: ModeId::Group(id.clone()), name: Line::new(name.as_str()) });
            let members = s.members.iter().filter(|m| m.group == *id);
            modes.extend(
                members.map(|m| Mode { id: ModeId::Machine(m.id.clone()), name: Line::new(m.machine.host.as_str()) }),
            );
        }
        modes
    }

    /// `Cluster americas`, `Group Paris`, `Machine lab1.example.com`.
    #[must_use]
    pub fn mode_name(&self, mode: &ModeId) -> String {
        match mode {
            ModeId::Cluster => format!("Cluster {}", self.structure.name),
            ModeId::Group(id) => match self.structure.group(id) {
                Some(name) => format!("Group {name}"),
                None => format!("Group {id} (deleted)"),
            },
            ModeId::Machine(id) => format!("Machine {}", self.host(id)),
        }
    }

    /// The host name of a machine that is or was a member.
    #[must_use]
    pub fn host(&self, member: &MemberId) -> String {
        let now = self.structure.member(member).map(|m| m.machine.host.to_string());
        now.or_else(|| {
            let value = self.value(&Key::MachineIdentity(member.clone()))?;
            Some(format!("{} (removed)", HostName::new(value.field("host")?.as_text()?)))
        })
        .unwrap_or_else(|| member.to_string())
    }

    /// The membership, in the form that the mesh works with.
    #[must_use]
    pub fn membership(&self, revision: u64) -> Membership {
        let s = &self.structure;
        Membership {
            cluster_id: self.cluster_id.clone(),
            name: ClusterName::new(s.name.as_str()),
            revision,
            addressing: s.addressing,
            groups: s.groups.iter().map(|(_, name)| name.clone()).collect(),
            machines: s.members.iter().map(|m| m.machine.clone()).collect(),
        }
    }

    fn value(&self, key: &Key) -> Option<&Arc<Value>> {
        self.registers.get(key)?.effective().content.value()
    }

    fn text(&self, key: &Key) -> Option<&str> {
        self.value(key)?.as_text()
    }

    /// The fixed rules: a machine of a deleted group goes to the group that the deletion names, else to the one with
    /// the lowest id; if all groups were deleted, the lowest id survives; of two groups with one name the later made
    /// gets a suffix.
    fn make_structure(&self) -> Structure {
        let mut mended = Vec::new();
        let named: BTreeMap<&GroupId, &Version> = self
            .registers
            .iter()
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
            mended
                .push(Line::new(&format!("all groups were deleted: group {} stays", group_name(named[first], first))));
        }
        let mut order: Vec<(&GroupId, &Version)> =
            named.iter().filter(|(id, _)| alive.contains(*id)).map(|(i, v)| (*i, *v)).collect();
        order.sort_by(|a, b| (&a.1.stamp, a.0).cmp(&(&b.1.stamp, b.0)));
        let mut taken: BTreeSet<GroupName> = BTreeSet::new();
        let mut names: BTreeMap<&GroupId, GroupName> = BTreeMap::new();
        for (id, version) in order {
            let wanted = group_name(version, id);
            let mut name = wanted.clone();
            let mut n = 2;
            while !taken.insert(name.clone()) {
                name = GroupName::new(&format!("{wanted}-{n}"));
                n += 1;
            }
            if name != wanted {
                mended.push(Line::new(&format!("two groups are called {wanted}: the later one is shown as {name}")));
            }
            names.insert(id, name);
        }
        let lowest = alive.iter().next().copied();
        let mut members = Vec::new();
        for key in self.registers.keys() {
            let Key::MachineIdentity(id) = key else { continue };
            if self.value(&Key::MachineRemoved(id.clone())).is_some() {
                continue;
            }
            let mut group = self.text(&Key::MachineGroup(id.clone())).map(GroupId::new);
            let mut hops = 0;
            while let Some(g) = &group {
                if alive.contains(g) || hops > named.len() {
                    break;
                }
                group = heir(g);
                hops += 1;
            }
            let Some(group) = group.filter(|g| alive.contains(g)).or_else(|| lowest.cloned()) else { continue };
            if let Some(machine) = self.machine(id, &names[&group]) {
                members.push(Member { id: id.clone(), group, machine: Arc::new(machine) });
            }
        }
        let mut groups: Vec<(GroupId, GroupName)> = names.into_iter().map(|(id, name)| (id.clone(), name)).collect();
        groups.sort();
        let rank = |g: &GroupId| groups.iter().position(|(id, _)| id == g);
        members.sort_by(|a, b| {
            let by_name = || crate::domain::membership::natural(a.machine.host.as_str(), b.machine.host.as_str());
            rank(&a.group).cmp(&rank(&b.group)).then_with(by_name).then_with(|| a.id.cmp(&b.id))
        });
        Structure {
            name: Line::new(self.text(&Key::ClusterName).unwrap_or_default()),
            addressing: match self.text(&Key::Addressing) {
                Some("ip") => Addressing::Ip,
                Some(_) | None => Addressing::HostName,
            },
            groups,
            members,
            mended,
        }
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

fn group_name(version: &Version, id: &GroupId) -> GroupName {
    match &version.content {
        Content::Value(value) if !value.is_empty() => GroupName::new(value.as_text().unwrap_or(id.as_str())),
        Content::Value(_) | Content::Inherits => GroupName::new(id.as_str()),
    }
}
