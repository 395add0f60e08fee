//! A command with its effects, its danger class and its basis: the facts it was decided on.

use std::collections::{BTreeMap, BTreeSet};

use strum::IntoStaticStr;

use crate::domain::command::{Command, CommandKind};
use crate::domain::ha::Effective;
use crate::domain::ids::{GroupId, PeerId};
use crate::domain::mesh::link::LinkState;
use crate::domain::settings::words::called;
use crate::domain::settings::{Edit, Key, Seen, Tree, VersionId, rules};
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// How much a command can break (`20-console.md`, "Keys and actions").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum DangerClass {
    /// Undone by the opposite key.
    Reversible,
    /// Interrupts something.
    Disruptive,
    /// May lose something.
    Critical,
}

/// Registers that changed are named up to this many.
const CHANGES_MAX: usize = 12;

/// The facts that a plan rests on, as its target told them last. Ages and round trips are never among them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Basis {
    /// Revision of the membership, if it is known.
    pub membership: Option<u64>,
    /// Whether the target was detached.
    pub detached: bool,
    /// Whether the target was in maintenance.
    pub maintenance: bool,
    /// Where the command cuts links: to which fellows the target was connected, and to which not.
    pub links: BTreeMap<PeerId, bool>,
    /// Of an HA command: the target's effective role and epoch.
    pub ha: Option<(Effective, u64)>,
    /// Of the registers that the command writes, the versions that were seen (C23).
    pub settings: Seen,
}

impl Basis {
    /// The facts for `command` as `cluster` shows them: of a commit also the versions of the registers that it writes. Links to those in `apart` don't count: they are changed by
    /// the same person in the same go.
    #[must_use]
    pub fn of(cluster: &Cluster, command: &Command, apart: &BTreeSet<PeerId>, now: Time) -> Self {
        let settings = match (command, &cluster.settings) {
            (Command::Commit { edits, .. }, Some(settings)) => seen(cluster, &settings.tree, edits),
            _ => Seen::new(),
        };
        Self { settings, ..Self::beside(cluster, command, apart, now) }
    }

    /// As [`Self::of`], without the settings.
    fn beside(cluster: &Cluster, command: &Command, apart: &BTreeSet<PeerId>, now: Time) -> Self {
        let target = cluster.peer(command.target());
        let row = target.and_then(|p| p.row.as_ref());
        let cuts = match CommandKind::from(command) {
            CommandKind::Disconnect => true,
            CommandKind::Reconnect
            | CommandKind::MaintenanceOn
            | CommandKind::MaintenanceOff
            | CommandKind::Ha
            | CommandKind::Commit => false,
        };
        let links = row.into_iter().flat_map(|r| &r.links).filter(|l| cuts && !apart.contains(&l.to));
        Self {
            membership: cluster.membership_revision.filter(|_| rests_on_membership(command)),
            detached: row.is_some_and(|r| r.detached.is_some()),
            maintenance: target.is_some_and(|p| p.maintenance(now).is_some()),
            links: links.map(|l| (l.to.clone(), l.state == LinkState::Connected)).collect(),
            ha: match command {
                Command::Ha { .. } => target.and_then(|p| p.ha.as_ref()).map(|(s, _)| (s.effective, s.epoch)),
                Command::Disconnect { .. }
                | Command::Reconnect { .. }
                | Command::MaintenanceOn { .. }
                | Command::MaintenanceOff { .. }
                | Command::Commit { .. } => None,
            },
            settings: Seen::new(),
        }
    }
}

/// A commit that writes settings alone is right whoever joins or leaves meanwhile.
fn rests_on_membership(command: &Command) -> bool {
    match command {
        Command::Disconnect { .. }
        | Command::Reconnect { .. }
        | Command::MaintenanceOn { .. }
        | Command::MaintenanceOff { .. } => true,
        // Roles are not changed by who joins: role and epoch stand in the basis.
        Command::Ha { .. } => false,
        Command::Commit { edits, .. } => edits.iter().any(|edit| match edit {
            Edit::Set { .. } | Edit::Unset { .. } => false,
            Edit::Resolve { key, .. } => key.is_structure(),
            Edit::Create { .. }
            | Edit::SetName { .. }
            | Edit::AddGroup { .. }
            | Edit::RenameGroup { .. }
            | Edit::DeleteGroup { .. }
            | Edit::SetGroup { .. }
            | Edit::RemoveMachine { .. }
            | Edit::SetHost { .. } => true,
        }),
    }
}

/// The versions of what `edits` write (C23). Groups that they make are not there yet, whatever their ids will be.
fn seen(cluster: &Cluster, tree: &Tree, edits: &[Edit]) -> Seen {
    let mut made = BTreeSet::new();
    let mut new_group = || {
        let id = GroupId::new(&format!("new-{}", made.len()));
        made.insert(id.clone());
        id
    };
    // What is refused rests on nothing: the plan says why.
    let writes = rules::writes(tree, &cluster.catalogue, edits, &mut new_group).unwrap_or_default();
    let is_made = |key: &Key| matches!(key, Key::GroupName(id) if made.contains(id));
    rules::seen(tree, writes.iter().map(|(key, _)| key).filter(|key| !is_made(key)))
}

/// Who changed a register since then, as far as it can be told.
fn moved(tree: &Tree, key: &Key, seen: &[VersionId]) -> String {
    let what = called(tree, key);
    let versions = tree.entry(key).map_or(&[][..], |e| e.versions());
    match versions.iter().find(|v| !seen.contains(&v.id)) {
        Some(v) => format!("{what} was changed meanwhile by {} on {}", v.by, tree.host(&v.stamp.on)),
        None if versions.is_empty() => format!("{what} is gone"),
        None => format!("{what} has fewer versions now than when it was decided"),
    }
}

/// What would be done, before it is done.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The command.
    pub command: Command,
    /// What is known now that matters for the decision, a line each; and what can't be known.
    pub evidence: Vec<Line>,
    /// What it will do, a line each.
    pub effects: Vec<Line>,
    /// Why it would be refused now; empty when nothing stands against it.
    pub obstacles: Vec<Line>,
    /// What it rests on.
    pub basis: Basis,
}

impl Plan {
    /// How much it can break.
    #[must_use]
    pub fn class(&self) -> DangerClass {
        self.command.class()
    }

    /// What is no longer as it was decided on, in words; empty when the plan still holds.
    #[must_use]
    pub fn changes(&self, cluster: &Cluster, now: Time) -> Vec<Line> {
        let target = self.command.target();
        let name = cluster.label(target);
        if cluster.peer(target).is_none() {
            return vec![Line::new(&format!("{name} is no longer a member"))];
        }
        let is = Basis::beside(cluster, &self.command, &BTreeSet::new(), now);
        let mut changes = Vec::new();
        if self.basis.membership != is.membership {
            let revision = |r: Option<u64>| r.map_or_else(|| "unknown".to_owned(), |r| r.to_string());
            let (was, is) = (revision(self.basis.membership), revision(is.membership));
            changes.push(format!("the membership has changed: revision {is} now, {was} when it was decided"));
        }
        if self.basis.detached != is.detached {
            changes.push(format!("{name} is {} now", if is.detached { "detached" } else { "connected" }));
        }
        if self.basis.maintenance != is.maintenance {
            changes.push(format!("{name} is {} maintenance now", if is.maintenance { "in" } else { "no longer in" }));
        }
        if self.basis.ha != is.ha {
            let words = |ha: Option<(Effective, u64)>| {
                ha.map_or_else(
                    || "in no HA group".to_owned(),
                    |(role, epoch)| format!("{} in epoch {epoch}", role.as_str()),
                )
            };
            changes.push(format!("{name} is {} now, it was {}", words(is.ha), words(self.basis.ha)));
        }
        for (fellow, was) in &self.basis.links {
            let is = is.links.get(fellow).copied().unwrap_or(false);
            if is != *was {
                let state = if is { "is connected now" } else { "is no longer connected" };
                changes.push(format!("the link from {name} to {} {state}", cluster.label(fellow)));
            }
        }
        match &cluster.settings {
            Some(settings) => {
                let keys = rules::moved(&settings.tree, &self.basis.settings);
                let words = keys.iter().map(|key| moved(&settings.tree, key, &self.basis.settings[key]));
                changes.extend(words.take(CHANGES_MAX));
                if keys.len() > CHANGES_MAX {
                    changes.push(format!("and {} more settings were changed", keys.len() - CHANGES_MAX));
                }
            }
            None if self.basis.settings.is_empty() => {}
            None => changes.push("the settings are not known here any more".into()),
        }
        changes.iter().map(|c| Line::new(c)).collect()
    }
}
