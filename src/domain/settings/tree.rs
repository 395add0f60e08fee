//! All registers of a cluster at one moment, and what they mean for each machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Key, ModeId, Value, Version};
use crate::domain::ids::{ClusterName, FeatureName, GroupId, GroupName, HostName, KeyId, MemberId, PeerId};
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
    /// Where in `members` each membership is.
    places: BTreeMap<MemberId, usize>,
    /// Where in `members` each machine is.
    peers: BTreeMap<PeerId, usize>,
}

impl Structure {
    pub(super) fn new(
        name: Line,
        addressing: Addressing,
        groups: Vec<(GroupId, GroupName)>,
        members: Vec<Member>,
        mended: Vec<Line>,
    ) -> Self {
        let places = members.iter().enumerate().map(|(i, m)| (m.id.clone(), i)).collect();
        let peers = members.iter().enumerate().map(|(i, m)| (m.machine.id.clone(), i)).collect();
        Self { name, addressing, groups, members, mended, places, peers }
    }

    /// Whether this is a machine that is in no cluster: its settings have no cluster's name (C3).
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.name.is_empty() && self.members.len() == 1
    }

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
        self.members.get(*self.places.get(id)?)
    }

    /// The membership of a machine.
    #[must_use]
    pub fn member_of(&self, peer: &PeerId) -> Option<&Member> {
        self.members.get(*self.peers.get(peer)?)
    }
}

/// What is written at one mode.
type Features = BTreeMap<FeatureName, (Key, Entry)>;

/// One of them.
type Written = (FeatureName, (Key, Entry));

/// All registers of a cluster. A clone costs little: what is not changed is shared, mode by mode.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tree {
    /// Random id of the cluster.
    pub cluster_id: Line,
    /// Who belongs to the cluster, and the wrapped keys of its secrets.
    belonging: Arc<BTreeMap<Key, Entry>>,
    /// Features by mode; a mode without any is left out.
    modes: BTreeMap<ModeId, Arc<Features>>,
    structure: Arc<Structure>,
}

/// An iterator that knows how many are to come.
struct Counted<I> {
    items: I,
    left: usize,
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let next = self.items.next();
        self.left = self.left.saturating_sub(usize::from(next.is_some()));
        next
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<I: Iterator> ExactSizeIterator for Counted<I> {}

impl Tree {
    /// Of these registers.
    #[must_use]
    pub fn new(cluster_id: Line, registers: impl IntoIterator<Item = (Key, Entry)>) -> Self {
        let mut belonging = BTreeMap::new();
        // By mode first, for whole maps are made faster than grown.
        let mut modes: Vec<(ModeId, Vec<Written>)> = Vec::new();
        for (key, entry) in registers {
            let Key::Feature(mode, feature) = &key else {
                belonging.insert(key, entry);
                continue;
            };
            let feature = feature.clone();
            match modes.last_mut() {
                Some((last, features)) if last == mode => features.push((feature, (key, entry))),
                Some(_) | None => modes.push((mode.clone(), vec![(feature, (key, entry))])),
            }
        }
        let mut gathered: BTreeMap<ModeId, Vec<Written>> = BTreeMap::new();
        for (mode, features) in modes {
            gathered.entry(mode).or_default().extend(features);
        }
        let modes = gathered.into_iter().map(|(mode, features)| (mode, Arc::new(features.into_iter().collect())));
        let mut tree =
            Self { cluster_id, belonging: Arc::new(belonging), modes: modes.collect(), structure: Arc::default() };
        tree.structure = Arc::new(tree.make_structure());
        tree
    }

    /// Puts registers in the place of those with the same keys; `None` takes one away.
    pub fn update(&mut self, changes: impl IntoIterator<Item = (Key, Option<Entry>)>) {
        let mut structure = false;
        for (key, entry) in changes {
            structure |= key.is_structure();
            self.put(key, entry);
        }
        if structure {
            self.structure = Arc::new(self.make_structure());
        }
    }

    fn put(&mut self, key: Key, entry: Option<Entry>) {
        let Key::Feature(mode, feature) = &key else {
            let belonging = Arc::make_mut(&mut self.belonging);
            match entry {
                Some(entry) => belonging.insert(key, entry),
                None => belonging.remove(&key),
            };
            return;
        };
        let (mode, feature) = (mode.clone(), feature.clone());
        if let Some(entry) = entry {
            Arc::make_mut(self.modes.entry(mode).or_default()).insert(feature, (key, entry));
        } else if let Some(features) = self.modes.get_mut(&mode) {
            Arc::make_mut(features).remove(&feature);
            if features.is_empty() {
                self.modes.remove(&mode);
            }
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
        match key {
            Key::Feature(mode, feature) => self.modes.get(mode)?.get(feature).map(|(_, entry)| entry),
            Key::ClusterName
            | Key::Addressing
            | Key::GroupName(_)
            | Key::GroupDeleted(_)
            | Key::MachineIdentity(_)
            | Key::MachineGroup(_)
            | Key::MachineRemoved(_)
            | Key::SecretKey(..) => self.belonging.get(key),
        }
    }

    /// All registers, in the order of their keys.
    #[must_use]
    pub fn registers(&self) -> impl ExactSizeIterator<Item = (&Key, &Entry)> {
        let features = self.modes.values().flat_map(|features| features.values().map(|(key, entry)| (key, entry)));
        let left = self.belonging.len() + self.modes.values().map(|features| features.len()).sum::<usize>();
        Counted { items: self.belonging.iter().chain(features), left }
    }

    /// The registers that say who belongs to the cluster, in the order of their keys.
    pub(super) fn structural(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.belonging.iter()
    }

    /// The wrapped cluster keys, by key and member.
    pub fn secret_keys(&self) -> impl Iterator<Item = (&KeyId, &MemberId, &Entry)> {
        self.belonging.iter().filter_map(|(key, entry)| match key {
            Key::SecretKey(id, member) => Some((id, member, entry)),
            Key::ClusterName
            | Key::Addressing
            | Key::GroupName(_)
            | Key::GroupDeleted(_)
            | Key::MachineIdentity(_)
            | Key::MachineGroup(_)
            | Key::MachineRemoved(_)
            | Key::Feature(..) => None,
        })
    }

    /// The features that say something else at `mode` in `other`, by name.
    pub(super) fn differences(&self, other: &Self, mode: &ModeId) -> Vec<FeatureName> {
        match (self.modes.get(mode), other.modes.get(mode)) {
            (None, None) => return Vec::new(),
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => return Vec::new(),
            (_, _) => {}
        }
        let says = |tree: &Self, feature: &FeatureName| tree.defined(mode, feature).map(|v| v.content.clone());
        let features: BTreeSet<&FeatureName> = self.at(mode).chain(other.at(mode)).map(|(f, _)| f).collect();
        features.into_iter().filter(|f| says(self, f) != says(other, f)).cloned().collect()
    }

    /// The features that `a` and `b` define otherwise, by name.
    #[must_use]
    pub fn differing(&self, a: &ModeId, b: &ModeId) -> Vec<FeatureName> {
        let says = |mode: &ModeId, feature: &FeatureName| self.defined(mode, feature).map(|v| v.content.clone());
        let features: BTreeSet<&FeatureName> = self.at(a).chain(self.at(b)).map(|(f, _)| f).collect();
        features.into_iter().filter(|f| says(a, f) != says(b, f)).cloned().collect()
    }

    /// What is written at `mode`, inherited or not: the features with their registers.
    pub fn at(&self, mode: &ModeId) -> impl Iterator<Item = (&FeatureName, &Entry)> {
        self.modes.get(mode).into_iter().flat_map(|features| features.iter().map(|(name, (_, entry))| (name, entry)))
    }

    /// The modes at which something is written, deleted groups and removed machines too.
    pub(super) fn written_modes(&self) -> impl Iterator<Item = &ModeId> {
        self.modes.keys()
    }

    /// What is defined at `mode` itself, which may be empty; `None`: it inherits.
    #[must_use]
    pub fn defined(&self, mode: &ModeId, feature: &FeatureName) -> Option<&Version> {
        let version = self.modes.get(mode)?.get(feature)?.1.effective();
        version.content.value().map(|_| version)
    }

    /// The version that applies at `mode`, and where it is defined: machine, else its group, else cluster.
    #[must_use]
    pub fn applies(&self, mode: &ModeId, feature: &FeatureName) -> Option<(ModeId, &Version)> {
        let at = |mode: ModeId| self.defined(&mode, feature).map(|v| (mode, v));
        let own = self.defined(mode, feature).map(|v| (mode.clone(), v));
        // Without a list in between: this is asked for each machine and feature.
        own.or_else(|| match mode {
            ModeId::Cluster => None,
            ModeId::Group(_) => at(ModeId::Cluster),
            ModeId::Machine(id) => {
                let group = self.structure.member(id)?.group.clone();
                at(ModeId::Group(group)).or_else(|| at(ModeId::Cluster))
            }
        })
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

    /// Every mode, the cluster first, each group before its machines; of a machine that is in no cluster its own alone.
    #[must_use]
    pub fn modes(&self) -> Vec<Mode> {
        let s = &self.structure;
        if s.is_alone() {
            let own = |m: &Member| Mode { id: ModeId::Machine(m.id.clone()), name: Line::new(m.machine.host.as_str()) };
            return s.members.iter().map(own).collect();
        }
        let mut modes = vec![Mode { id: ModeId::Cluster, name: s.name.clone() }];
        let mut members = s.members.iter().peekable();
        for (id, name) in &s.groups {
            modes.push(Mode { id: ModeId::Group(id.clone()), name: Line::new(name.as_str()) });
            while let Some(m) = members.next_if(|m| m.group == *id) {
                modes.push(Mode { id: ModeId::Machine(m.id.clone()), name: Line::new(m.machine.host.as_str()) });
            }
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

    pub(super) fn value(&self, key: &Key) -> Option<&Arc<Value>> {
        self.entry(key)?.effective().content.value()
    }

    pub(super) fn text(&self, key: &Key) -> Option<&str> {
        self.value(key)?.as_text()
    }
}
