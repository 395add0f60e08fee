//! A command with its effects, its danger class and its basis: the facts it was decided on.

use strum::IntoStaticStr;

use crate::domain::command::Command;
use crate::domain::ids::PeerId;
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;

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

/// The facts that a plan rests on. Ages and round trips are never among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Basis {
    /// Revision of the membership, if it is known.
    pub membership: Option<u64>,
    /// Whether each target was detached.
    pub detached: Vec<(PeerId, bool)>,
}

impl Basis {
    /// The facts as `cluster` shows them for a command on `target`.
    #[must_use]
    pub fn of(cluster: &Cluster, target: &PeerId) -> Self {
        Self {
            membership: cluster.membership_revision,
            detached: vec![(target.clone(), cluster.peer(target).is_some_and(|p| p.detached().is_some()))],
        }
    }

    /// What is no longer as it was decided on; empty when the plan still holds.
    #[must_use]
    pub fn changed_since(&self, now: &Self) -> Vec<Line> {
        let mut changes = Vec::new();
        if self.membership != now.membership {
            changes.push(Line::new("the membership has changed"));
        }
        for (peer, was) in &self.detached {
            let is = now.detached.iter().find(|(p, _)| p == peer).map(|(_, d)| *d);
            match is {
                Some(is) if is == *was => {}
                Some(true) => changes.push(Line::new(&format!("{peer} is detached now"))),
                Some(false) => changes.push(Line::new(&format!("{peer} is connected now"))),
                None => changes.push(Line::new(&format!("{peer} is no longer a member"))),
            }
        }
        changes
    }
}

/// What would be done, before it is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The command.
    pub command: Command,
    /// How much it can break.
    pub class: DangerClass,
    /// What it will do, a line each.
    pub effects: Vec<Line>,
    /// What it rests on.
    pub basis: Basis,
}
