//! A commit that waits for its confirmation.

use std::sync::Arc;

use crate::app::plural;
use crate::domain::settings::{Edit, Seen, Tree, rules};
use crate::domain::{Cluster, Command, Line, PeerId, Plan, Time};
use crate::engine::plans;

/// What would be committed, and what must be typed for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// The action's word: `setgroup`, `resolve`, `commit`.
    pub word: &'static str,
    /// What it is about, in few words.
    pub about: String,
    /// All or none of these.
    pub edits: Arc<[Edit]>,
    /// The machines that would be changed in place.
    pub machines: Vec<PeerId>,
    /// What must be typed when it is critical.
    pub typed: String,
    /// The versions that the author saw, where it was staged before; else what is seen when it is read.
    pub staged: Option<Seen>,
    /// Who carries it out.
    pub on: PeerId,
}

impl Draft {
    /// The plan as `cluster` shows things now.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn plan(&self, cluster: &Cluster, comment: Line, now: Time) -> Result<Plan, String> {
        let Some(settings) = &cluster.settings else { return Err("no peer tells the settings now".to_owned()) };
        let command = Command::Commit { on: self.on.clone(), edits: Arc::clone(&self.edits), comment };
        let mut plan = plans::plan(cluster, command, now);
        if let Some(seen) = &self.staged {
            // What was seen when it was staged, which may be longer ago than the dialog.
            plan.basis.settings = seen.clone();
        }
        let moved = rules::moved(&settings.tree, &plan.basis.settings);
        if !moved.is_empty() {
            let n = moved.len();
            let text = format!("{n} staged {} written by somebody else meanwhile: see the review", plural(n, "change"));
            plan.obstacles.push(Line::new(&text));
        }
        Ok(plan)
    }
}

/// Who carries a commit out: whose settings are shown, if it can; else the first that is reached and not detached.
///
/// # Errors
/// Nobody can.
pub fn author(cluster: &Cluster) -> Result<PeerId, String> {
    let able = |id: &PeerId| cluster.peer(id).is_some_and(|p| p.is_reached() && p.detached().is_none());
    let source = cluster.settings.as_ref().map(|s| &s.source).filter(|id| able(id));
    // Of an HA group only its primary writes.
    let free = |id: &PeerId| cluster.peer(id).is_some_and(|p| p.takes_commits());
    let ids = || cluster.peers.iter().map(|p| &p.id);
    let found = source.filter(|id| free(id)).or_else(|| ids().find(|id| free(id)));
    let found = found.or(source).or_else(|| ids().find(|id| able(id)));
    found
        .cloned()
        .ok_or_else(|| format!("no attached peer of cluster {} is connected that could write it", cluster.name))
}

/// The settings of `cluster`.
///
/// # Errors
/// Nobody has told them.
pub fn tree_of(cluster: &Cluster) -> Result<&Arc<Tree>, String> {
    let settings = cluster.settings.as_ref();
    settings.map(|s| &s.tree).ok_or_else(|| format!("no peer of cluster {} has told its settings yet", cluster.name))
}
