//! What people want changed, before it becomes writes to registers.
//!
//! Console, one-shot commands and peers share these and the rules over them: what a plan shows is what the peer does.

use std::collections::BTreeMap;
use std::sync::Arc;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use super::{Key, ModeId, Value, Version, VersionId};
use crate::domain::ids::{FeatureName, GroupId, GroupName, HostName, MemberId};
use crate::domain::plan::DangerClass;
use crate::domain::text::Line;

/// Most edits of one commit.
pub const EDITS_MAX: usize = 10_000;

/// One change. A commit has one or more of them and is carried out as a whole or not at all.
#[derive(Clone, PartialEq, Debug, EnumDiscriminants)]
#[strum_discriminants(name(EditKind))]
#[strum_discriminants(doc = "What is changed, without where. Its word stands on the wire and in the audit log.")]
#[strum_discriminants(derive(PartialOrd, Ord, Hash, EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(strum(serialize_all = "kebab-case"))]
pub enum Edit {
    /// Define a feature at a mode; an empty value is an empty override.
    Set {
        /// Where.
        mode: ModeId,
        /// What.
        feature: FeatureName,
        /// To what.
        value: Arc<Value>,
    },
    /// Let a mode inherit a feature again.
    Unset {
        /// Where.
        mode: ModeId,
        /// What.
        feature: FeatureName,
    },
    /// Settle a conflict: this version's content is written anew, over all others (C24).
    Resolve {
        /// Which register.
        key: Key,
        /// Whose content.
        version: VersionId,
    },
    /// Make a cluster of a machine that is in none: its settings become the cluster's, but for those that make no sense
    /// above the machine (C3). A commit of its own.
    Create {
        /// What the cluster is called.
        name: Line,
    },
    /// Rename the cluster.
    SetName {
        /// To this.
        name: Line,
    },
    /// A new group.
    AddGroup {
        /// Its name.
        name: GroupName,
    },
    /// Another name for a group.
    RenameGroup {
        /// Which.
        group: GroupId,
        /// To this.
        name: GroupName,
    },
    /// Take a group away; its machines move, its settings stay in the history.
    DeleteGroup {
        /// Which.
        group: GroupId,
        /// Where its machines go.
        into: GroupId,
    },
    /// Move a machine to another group.
    SetGroup {
        /// Which.
        machine: MemberId,
        /// Where.
        group: GroupId,
    },
    /// End a membership. What the machine inherits becomes its own (C14).
    RemoveMachine {
        /// Which.
        machine: MemberId,
    },
    /// A member's new main host name or address (C33).
    SetHost {
        /// Which.
        machine: MemberId,
        /// Main host name.
        host: HostName,
        /// Where cluster traffic reaches it; may be the host name.
        address: HostName,
    },
}

impl Edit {
    /// The word on the wire and in the audit log.
    #[must_use]
    pub fn word(&self) -> &'static str {
        EditKind::from(self).into()
    }

    /// Which feature it changes, and where; `None`: it changes the structure.
    #[must_use]
    pub fn feature(&self) -> Option<(&ModeId, &FeatureName)> {
        match self {
            Self::Set { mode, feature, .. }
            | Self::Unset { mode, feature }
            | Self::Resolve { key: Key::Feature(mode, feature), .. } => Some((mode, feature)),
            Self::Resolve { .. }
            | Self::Create { .. }
            | Self::SetName { .. }
            | Self::AddGroup { .. }
            | Self::RenameGroup { .. }
            | Self::DeleteGroup { .. }
            | Self::SetGroup { .. }
            | Self::RemoveMachine { .. }
            | Self::SetHost { .. } => None,
        }
    }
}

impl EditKind {
    /// How much it can break (`20-console.md`, "Keys and actions").
    #[must_use]
    pub fn class(self) -> DangerClass {
        match self {
            Self::AddGroup | Self::SetName | Self::RenameGroup => DangerClass::Reversible,
            Self::Set | Self::Unset | Self::SetGroup | Self::DeleteGroup | Self::SetHost | Self::Create => {
                DangerClass::Disruptive
            }
            Self::Resolve | Self::RemoveMachine => DangerClass::Critical,
        }
    }
}

/// What a commit rests on: for each register that it writes, the versions that its author saw. A commit is refused
/// when the *set* has moved (C23).
pub type Seen = BTreeMap<Key, Vec<VersionId>>;

/// Names a commit for ever: its author's actor in the document, and the sequence number there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommitId {
    /// Actor, as text.
    pub actor: Line,
    /// Counts the actor's commits from 1.
    pub seq: u64,
}

/// One line of the history: a version that a register had, or has.
#[derive(Clone, PartialEq, Debug)]
pub struct Past {
    /// Which register.
    pub key: Key,
    /// The version.
    pub version: Version,
    /// The commit that wrote it.
    pub commit: CommitId,
    /// The author's comment.
    pub comment: Line,
    /// Nothing has superseded it: it applies, or waits to be resolved.
    pub stands: bool,
}

/// What a peer holds of the settings: enough to tell who has which commit already.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holding {
    /// Peers with equal digests hold equal documents.
    pub digest: Line,
    /// How many commits of each actor it has.
    pub have: BTreeMap<Line, u64>,
    /// Commits in its history.
    pub changes: u64,
    /// Size of its history on disk, in bytes.
    pub bytes: u64,
    /// Why it can't keep changes now (a full disk); empty when all is well.
    pub trouble: Line,
}

impl Holding {
    /// Whether it has this commit.
    #[must_use]
    pub fn has(&self, commit: &CommitId) -> bool {
        self.have.get(&commit.actor).is_some_and(|n| *n >= commit.seq)
    }
}
