//! What somebody means to change and has not committed yet (C16): one change a register, with what was seen of it.

use std::collections::BTreeMap;

use crate::domain::settings::rules;
use crate::domain::settings::{Content, Edit, EditKind, Key, Seen, Tree};

/// A staged change.
#[derive(Clone, PartialEq, Debug)]
pub struct Staged {
    /// What.
    pub edit: Edit,
    /// The versions that its author saw (C23).
    pub seen: Seen,
    /// Left out of the next commit.
    pub kept_back: bool,
    /// The run that carries it, while that is on its way.
    pub sent: Option<u64>,
}

/// The staged changes of one cluster.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stage {
    changes: BTreeMap<Key, Staged>,
}

impl Stage {
    /// Whether nothing is staged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes are staged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// What is staged for a register.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Staged> {
        self.changes.get(key)
    }

    /// All changes, in the order of their registers.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Staged)> {
        self.changes.iter()
    }

    /// Stages a change of a feature in place of what was staged for it. What the register says already needs none.
    pub fn put(&mut self, edit: Edit, tree: &Tree) {
        let (key, wanted) = match &edit {
            Edit::Set { mode, feature, value } => {
                (Key::Feature(mode.clone(), feature.clone()), Content::Value(value.clone()))
            }
            Edit::Unset { mode, feature } => (Key::Feature(mode.clone(), feature.clone()), Content::Inherits),
            // Structure is changed at once, each change by itself.
            Edit::Resolve { .. }
            | Edit::Create { .. }
            | Edit::SetName { .. }
            | Edit::AddGroup { .. }
            | Edit::RenameGroup { .. }
            | Edit::DeleteGroup { .. }
            | Edit::SetGroup { .. }
            | Edit::RemoveMachine { .. }
            | Edit::SetHost { .. } => return,
        };
        let says_so = match tree.entry(&key) {
            Some(entry) => !entry.is_conflict() && entry.effective().content == wanted,
            None => wanted == Content::Inherits,
        };
        if says_so {
            self.changes.remove(&key);
            return;
        }
        let seen = rules::seen(tree, [&key]);
        self.changes.insert(key, Staged { edit, seen, kept_back: false, sent: None });
    }

    /// Takes a change out.
    pub fn discard(&mut self, key: &Key) {
        self.changes.remove(key);
    }

    /// Drops all (`clearchanges`).
    pub fn clear(&mut self) {
        self.changes.clear();
    }

    /// Leaves a change out of the next commit, or takes it in again.
    pub fn keep_back(&mut self, key: &Key) {
        if let Some(staged) = self.changes.get_mut(key) {
            staged.kept_back = !staged.kept_back;
        }
    }

    /// Takes what the register says now as seen: the change goes over it.
    pub fn override_with(&mut self, key: &Key, tree: &Tree) {
        if let Some(staged) = self.changes.get_mut(key) {
            staged.seen = rules::seen(tree, [key]);
            staged.kept_back = false;
        }
    }

    /// Whether somebody else has written the register since it was staged.
    #[must_use]
    pub fn is_moved(&self, key: &Key, tree: &Tree) -> bool {
        self.changes.get(key).is_some_and(|s| s.sent.is_none() && !rules::moved(tree, &s.seen).is_empty())
    }

    /// The registers whose change must be decided on before a commit: written by somebody else, and not left out.
    #[must_use]
    pub fn undecided(&self, tree: &Tree) -> Vec<Key> {
        let open = self.changes.iter().filter(|(key, s)| !s.kept_back && self.is_moved(key, tree));
        open.map(|(key, _)| key.clone()).collect()
    }

    /// What the next commit would carry.
    #[must_use]
    pub fn edits(&self) -> Vec<Edit> {
        self.changes.values().filter(|s| !s.kept_back && s.sent.is_none()).map(|s| s.edit.clone()).collect()
    }

    /// What the next commit would rest on.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let carried = self.changes.values().filter(|s| !s.kept_back && s.sent.is_none());
        carried.flat_map(|s| s.seen.clone()).collect()
    }

    /// The changes of the next commit are on their way in this run.
    pub(super) fn send(&mut self, run: u64) {
        for staged in self.changes.values_mut().filter(|s| !s.kept_back && s.sent.is_none()) {
            staged.sent = Some(run);
        }
    }

    /// The changes of this run are on disk, or nobody knows: they are no longer staged.
    pub(super) fn landed(&mut self, run: u64) {
        self.changes.retain(|_, s| s.sent != Some(run));
    }

    /// The changes of this run were not taken: they are staged as before.
    pub(super) fn came_back(&mut self, run: u64) {
        for staged in self.changes.values_mut().filter(|s| s.sent == Some(run)) {
            staged.sent = None;
        }
    }

    /// In a few words: `2 set, 1 unset`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut counts: BTreeMap<EditKind, usize> = BTreeMap::new();
        for staged in self.changes.values() {
            *counts.entry(EditKind::from(&staged.edit)).or_default() += 1;
        }
        counts.iter().map(|(kind, n)| format!("{n} {}", <&str>::from(*kind))).collect::<Vec<_>>().join(", ")
    }
}
