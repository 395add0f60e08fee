//! What is shown of a feature at a mode: one line, made only for lines that are visible.

use std::sync::Arc;

use crate::domain::settings::catalogue::Catalogue;
use crate::domain::settings::{Content, Entry, Key, ModeId, Tree, Value, Version};
use crate::domain::{FeatureName, Line};

/// How a feature stands at a mode. Empty and not set are never the same (C2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has a value of its own.
    Set,
    /// It is overridden with nothing.
    Empty,
    /// The mode that it is inherited from.
    Inherited(ModeId),
    /// Nobody sets it; the factory default applies.
    Factory,
    /// Nobody sets it and there is no default.
    NotSet,
}

impl Standing {
    /// In a word, for filters, copies and narrow columns.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Empty => "empty",
            Self::Inherited(_) => "inherited",
            Self::Factory => "factory",
            Self::NotSet => "not-set",
        }
    }

    /// What sorts first: what is special to this mode.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Set => 0,
            Self::Empty => 1,
            Self::Inherited(_) => 2,
            Self::Factory => 3,
            Self::NotSet => 4,
        }
    }

    /// In words: `set here`, `from Cluster americas`.
    #[must_use]
    pub fn phrase(&self, tree: &Tree) -> String {
        match self {
            Self::Set => "set here".to_owned(),
            Self::Empty => "empty here".to_owned(),
            Self::Inherited(from) => format!("from {}", tree.mode_name(from)),
            Self::Factory => "factory default".to_owned(),
            Self::NotSet => "not set".to_owned(),
        }
    }
}

/// A feature at a mode.
#[derive(Clone, PartialEq, Debug)]
pub struct Shown {
    /// How it stands.
    pub standing: Standing,
    /// What applies.
    pub value: Option<Arc<Value>>,
    /// The version that applies, if anybody wrote one.
    pub version: Option<Version>,
    /// The register at this very mode, if it was ever written.
    pub entry: Option<Entry>,
}

impl Shown {
    /// Of `feature` at `mode`.
    #[must_use]
    pub fn of(tree: &Tree, catalogue: &Catalogue, mode: &ModeId, feature: &FeatureName) -> Self {
        let entry = tree.entry(&Key::Feature(mode.clone(), feature.clone())).cloned();
        let Some((at, version)) = tree.applies(mode, feature) else {
            let value = catalogue.feature(feature).and_then(|f| f.factory.clone());
            let standing = if value.is_some() { Standing::Factory } else { Standing::NotSet };
            return Self { standing, value, version: None, entry };
        };
        let value = version.content.value().cloned();
        let is_empty = value.as_ref().is_some_and(|v| v.is_empty());
        let standing = match (at == *mode, is_empty) {
            (true, true) => Standing::Empty,
            (true, false) => Standing::Set,
            (false, _) => Standing::Inherited(at),
        };
        Self { standing, value, version: Some(version.clone()), entry }
    }

    /// Whether versions at this mode differ.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.entry.as_ref().is_some_and(Entry::is_conflict)
    }

    /// Whether two modes say the same of a feature: the same value, wherever it comes from.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// A value in one line.
#[must_use]
pub fn brief(value: Option<&Arc<Value>>) -> String {
    match value {
        None => "not set".to_owned(),
        Some(value) if value.is_empty() => format!("empty: {value}"),
        Some(value) => Line::new(&value.to_string()).to_string(),
    }
}

/// What a version says, in one line.
#[must_use]
pub fn brief_content(content: &Content) -> String {
    match content {
        Content::Inherits => "inherits".to_owned(),
        Content::Value(value) => brief(Some(value)),
    }
}
