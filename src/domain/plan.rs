//! A command with its effects, its danger class and its basis: the facts it was decided on.

use std::collections::{BTreeMap, BTreeSet};

use strum::IntoStaticStr;

use crate::domain::command::{Command, CommandKind};
use crate::domain::ids::PeerId;
use crate::domain::mesh::link::LinkState;
use crate::domain::settings::Seen;
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
    /// Of the registers that the command writes, the versions that were seen (C23).
    pub settings: Seen,
}

impl Basis {
    /// The facts for `command` as `cluster` shows them. Links to those in `apart` don't count: they are changed by
    /// the same person in the same go.
    #[must_use]
    pub fn of(cluster: &Cluster, command: &Command, apart: &BTreeSet<PeerId>, now: Time) -> Self {
        let target = cluster.peer(command.target());
        let row = target.and_then(|p| p.row.as_ref());
        let cuts = match CommandKind::from(command) {
            CommandKind::Disconnect => true,
            CommandKind::Reconnect | CommandKind::MaintenanceOn | CommandKind::MaintenanceOff | CommandKind::Commit => {
                false
            }
        };
        let links = row.into_iter().flat_map(|r| &r.links).filter(|l| cuts && !apart.contains(&l.to));
        Self {
            membership: cluster.membership_revision,
            detached: row.is_some_and(|r| r.detached.is_some()),
            maintenance: target.is_some_and(|p| p.maintenance(now).is_some()),
            links: links.map(|l| (l.to.clone(), l.state == LinkState::Connected)).collect(),
            settings: Seen::new(),
        }
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
        let is = Basis::of(cluster, &self.command, &BTreeSet::new(), now);
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
        for (fellow, was) in &self.basis.links {
            let is = is.links.get(fellow).copied().unwrap_or(false);
            if is != *was {
                let state = if is { "is connected now" } else { "is no longer connected" };
                changes.push(format!("the link from {name} to {} {state}", cluster.label(fellow)));
            }
        }
        changes.iter().map(|c| Line::new(c)).collect()
    }
}
