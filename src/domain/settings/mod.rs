//! Settings by mode: cluster, group, machine (C1, C2). The only place that knows how they inherit.
//!
//! Everything that the replicated store holds is a *register*: a [`Key`] with one or more concurrent [`Version`]s.
//! Settings and structure (groups, machines) are registers alike, so that both conflict, merge and are blamed alike.
//! A [`Tree`] is all registers of a cluster at one moment; a peer makes it from its document, an observer from what a
//! peer tells. Rules are pure functions over it.

pub mod catalogue;
/// How settings travel, for readers.
#[doc = include_str!("../../docs/settings.md")]
pub mod guide {}

mod edit;
mod effects;
mod key;
pub mod mirror;
mod notices;
mod references;
pub mod rules;
pub mod secrets;
mod structure;
mod transfer;
mod tree;
mod value;
pub mod words;

pub use catalogue::{Catalogue, Feature, Levels};
pub use edit::{CommitId, EDITS_MAX, Edit, EditKind, Holding, Past, Seen};
pub use effects::{Effect, show};
pub use key::{Key, ModeId};
pub use notices::{GOOD_MACHINES, good_practice, sentence};
pub use references::{DANGLING_MAX, Dangling, Remedy};
pub use transfer::Target;
pub use tree::{Effective, Entry, Member, Mode, Origin, Structure, Tree};
pub use value::{DEPTH_MAX, Value};

use std::sync::Arc;

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::domain::ids::MemberId;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// The three levels, from the general to the special.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Level {
    /// The whole cluster.
    Cluster,
    /// One group.
    Group,
    /// One machine.
    Machine,
}

/// When something was written: a hybrid logical clock. Orders concurrent versions; the highest is effective.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stamp {
    /// Wall clock of the writer (UTC), never behind a stamp that it had seen.
    pub at: Time,
    /// Counts writes within one millisecond.
    pub count: u32,
    /// On which machine; the higher id wins a tie.
    pub on: MemberId,
}

/// Names one version of one register, for ever and on every peer. Opaque: compare it, don't read it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VersionId(Arc<str>);

impl VersionId {
    /// From its text; at most 80 characters count.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(crate::domain::text::cleaned(text, 80).into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a register says.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// Nothing: the mode above applies. Written as a value, so that taking a setting back conflicts and is blamed
    /// like any other change.
    Inherits,
    /// This, which may be empty: an empty override.
    Value(Arc<Value>),
}

impl Content {
    /// The value, if there is one.
    #[must_use]
    pub fn value(&self) -> Option<&Arc<Value>> {
        match self {
            Self::Inherits => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// One version of a register.
#[derive(Clone, PartialEq, Debug)]
pub struct Version {
    /// Its name.
    pub id: VersionId,
    /// What it says.
    pub content: Content,
    /// When and on which machine it was written.
    pub stamp: Stamp,
    /// By which user.
    pub by: Line,
}
