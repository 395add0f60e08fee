//! An index over a tree of settings, made once for each tree: a frame looks things up and counts nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::settings::catalogue::Catalogue;
use crate::domain::settings::{Dangling, Entry, Key, Level, ModeId, Tree, rules};
use crate::domain::{FeatureName, Line};

/// What is counted of a mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Features that are defined.
    pub defined: usize,
    /// Registers in conflict.
    pub conflicts: usize,
}

/// A mode in the tree of modes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModeLine {
    /// Which.
    pub id: ModeId,
    /// Name of the cluster or group, or host name of the machine.
    pub name: Line,
    /// Of the mode itself.
    pub own: Counts,
    /// Of the modes below it.
    pub below: Counts,
    /// References of the machine that lead nowhere.
    pub dangling: usize,
}

/// The index.
#[derive(Clone, Debug)]
pub struct Book {
    tree: Arc<Tree>,
    catalogue: Arc<Catalogue>,
    modes: Vec<ModeLine>,
    /// By place: that of the mode above; the cluster's is its own.
    above: Vec<usize>,
    places: BTreeMap<ModeId, usize>,
    features: Vec<FeatureName>,
    /// By feature: places of the modes that define it, in their order.
    defined_at: Vec<Vec<usize>>,
    conflicts: Vec<(Key, Entry)>,
    dangling: Vec<Dangling>,
}

impl Book {
    /// Of `tree`, with the features that `catalogue` knows and those that are set anyway.
    #[must_use]
    pub fn new(tree: &Arc<Tree>, catalogue: Arc<Catalogue>) -> Self {
        let (modes, above) = lines(tree);
        let places: BTreeMap<ModeId, usize> = modes.iter().enumerate().map(|(at, m)| (m.id.clone(), at)).collect();
        let mut names: BTreeMap<FeatureName, usize> = catalogue.settings().map(|f| (f.name.clone(), 0)).collect();
        for (key, _) in tree.registers() {
            if let Key::Feature(_, feature) = key
                && !names.contains_key(feature)
            {
                names.insert(feature.clone(), 0);
            }
        }
        for (at, place) in names.values_mut().enumerate() {
            *place = at;
        }
        let mut book = Self {
            defined_at: vec![Vec::new(); names.len()],
            features: names.keys().cloned().collect(),
            conflicts: rules::conflicts(tree),
            dangling: rules::dangling(tree, &catalogue),
            catalogue,
            modes,
            above,
            places,
            tree: Arc::clone(tree),
        };
        for (key, entry) in tree.registers() {
            let Key::Feature(mode, feature) = key else { continue };
            // Of a deleted group, or of a machine that left: kept, but it applies nowhere.
            let (Some(at), Some(name)) = (book.places.get(mode).copied(), names.get(feature).copied()) else {
                continue;
            };
            if entry.effective().content.value().is_some() {
                book.defined_at[name].push(at);
                book.count(at, |c| c.defined += 1);
            }
        }
        for list in &mut book.defined_at {
            list.sort_unstable();
        }
        for at in 0..book.conflicts.len() {
            let mode = mode_of(&book.conflicts[at].0);
            if let Some(place) = mode.and_then(|m| book.places.get(&m)).copied() {
                book.count(place, |c| c.conflicts += 1);
            }
        }
        for at in 0..book.dangling.len() {
            let id = ModeId::Machine(book.dangling[at].machine.clone());
            if let Some(place) = book.places.get(&id).copied() {
                book.modes[place].dangling += 1;
            }
        }
        book
    }

    /// Counts something at a mode, and below those above it.
    fn count(&mut self, at: usize, add: impl Fn(&mut Counts)) {
        add(&mut self.modes[at].own);
        let mut at = at;
        while self.above[at] != at {
            at = self.above[at];
            add(&mut self.modes[at].below);
        }
    }

    /// Whether it is the index of this very tree.
    #[must_use]
    pub fn is_of(&self, tree: &Arc<Tree>) -> bool {
        Arc::ptr_eq(&self.tree, tree)
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// What is known of features.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// All modes: the cluster, then each group before its machines.
    #[must_use]
    pub fn modes(&self) -> &[ModeLine] {
        &self.modes
    }

    /// Where a mode stands among [`Self::modes`].
    #[must_use]
    pub fn place(&self, mode: &ModeId) -> Option<usize> {
        self.places.get(mode).copied()
    }

    /// All features, by name.
    #[must_use]
    pub fn features(&self) -> &[FeatureName] {
        &self.features
    }

    /// The modes that define `feature` (C10), in the order of the tree.
    #[must_use]
    pub fn defined_at(&self, feature: &FeatureName) -> impl ExactSizeIterator<Item = &ModeLine> {
        let places = self.features.binary_search(feature).ok().map_or(&[][..], |at| &self.defined_at[at][..]);
        places.iter().map(|at| &self.modes[*at])
    }

    /// How many modes below `mode` define `feature` otherwise than by inheriting it.
    #[must_use]
    pub fn defined_below(&self, mode: &ModeId, feature: &FeatureName) -> usize {
        let Ok(at) = self.features.binary_search(feature) else { return 0 };
        let places = &self.defined_at[at];
        let Some(place) = self.place(mode) else { return 0 };
        let end = match mode {
            ModeId::Cluster => self.modes.len(),
            ModeId::Machine(_) => place + 1,
            // Its machines follow it.
            ModeId::Group(_) => {
                let machines = self.modes[place + 1..].iter().take_while(|m| m.id.level() == Level::Machine).count();
                place + 1 + machines
            }
        };
        places.partition_point(|p| *p < end) - places.partition_point(|p| *p <= place)
    }

    /// Registers with concurrent versions that differ, in the order of their keys.
    #[must_use]
    pub fn conflicts(&self) -> &[(Key, Entry)] {
        &self.conflicts
    }

    /// References that lead nowhere.
    #[must_use]
    pub fn dangling(&self) -> &[Dangling] {
        &self.dangling
    }
}

/// The mode that a register belongs to: its own for structure as well.
#[must_use]
pub fn mode_of(key: &Key) -> Option<ModeId> {
    Some(match key {
        Key::ClusterName | Key::Addressing => ModeId::Cluster,
        Key::GroupName(id) | Key::GroupDeleted(id) => ModeId::Group(id.clone()),
        Key::MachineIdentity(id) | Key::MachineGroup(id) | Key::MachineRemoved(id) | Key::SecretKey(_, id) => {
            ModeId::Machine(id.clone())
        }
        Key::Feature(mode, _) => mode.clone(),
    })
}

/// All modes, and by place that of the mode above each.
fn lines(tree: &Tree) -> (Vec<ModeLine>, Vec<usize>) {
    let line = |id, name: &str| ModeLine {
        id,
        name: Line::new(name),
        own: Counts::default(),
        below: Counts::default(),
        dangling: 0,
    };
    let s = tree.structure();
    let (mut out, mut above) = (vec![line(ModeId::Cluster, s.name.as_str())], vec![0]);
    // Members stand in the order of their groups: one walk for all.
    let mut members = s.members.iter().peekable();
    for (id, name) in &s.groups {
        let group = out.len();
        out.push(line(ModeId::Group(id.clone()), name.as_str()));
        above.push(0);
        while let Some(member) = members.next_if(|m| m.group == *id) {
            out.push(line(ModeId::Machine(member.id.clone()), member.machine.host.as_str()));
            above.push(group);
        }
    }
    (out, above)
}

impl ModeLine {
    /// `Group Paris`, as [`Tree::mode_name`] says it.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.id {
            ModeId::Cluster => format!("Cluster {}", self.name),
            ModeId::Group(_) => format!("Group {}", self.name),
            ModeId::Machine(_) => format!("Machine {}", self.name),
        }
    }
}
