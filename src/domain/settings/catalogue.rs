//! Which features and commands there are, and what is known of them: a table of data, not code.
//!
//! The table itself is `features.toml` beside this file, with what a site adds; `proto::features` reads both.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use strum::{EnumIter, EnumString, IntoStaticStr};

use super::{Level, Value};
use crate::domain::ids::FeatureName;
use crate::domain::text::Line;

/// At which levels a feature or a command may be used (C17).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Levels {
    /// At all three.
    #[default]
    Any,
    /// For the whole cluster only.
    ClusterOnly,
    /// On one machine only.
    MachineOnly,
    /// Not on a single machine.
    ClusterOrGroup,
    /// On the machine that one is logged in to only: it works on that machine's files.
    LoginHost,
}

impl Levels {
    /// Whether a feature may be defined, or a command run, at `level`.
    #[must_use]
    pub fn allow(self, level: Level) -> bool {
        match self {
            Self::Any => true,
            Self::ClusterOnly => level == Level::Cluster,
            Self::ClusterOrGroup => level != Level::Machine,
            Self::MachineOnly | Self::LoginHost => level == Level::Machine,
        }
    }

    /// Where it may be used, as the end of a sentence: "for the whole cluster only".
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Any => "in any mode",
            Self::ClusterOnly => "for the whole cluster only",
            Self::MachineOnly => "on single machines only",
            Self::ClusterOrGroup => "for the cluster or a group only",
            Self::LoginHost => "on the machine that one is logged in to only",
        }
    }
}

/// Whether something has a value that can be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Kind {
    /// It configures: it has a value at modes.
    #[default]
    Feature,
    /// It only does or shows something.
    Command,
}

/// One step of a [`Path`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Each field of a table, each item of a list.
    Every,
    /// The field with this name.
    Field(Arc<str>),
}

/// Leads into a value: `*.interface` is the field `interface` of each field. The empty path is the value itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// From its text: names and `*`, with dots between.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let step = |s: &str| if s == "*" { Step::Every } else { Step::Field(s.into()) };
        Self(text.split('.').filter(|s| !s.is_empty()).map(step).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            f.write_str(if i > 0 { "." } else { "" })?;
            match step {
                Step::Every => f.write_str("*")?,
                Step::Field(name) => f.write_str(name)?,
            }
        }
        Ok(())
    }
}

/// That values of one feature name items of another (C25).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Where in the value the names are: texts, or lists of texts. The part up to the first `*` is the dependent item.
    pub path: Path,
    /// The feature whose items are named.
    pub to: FeatureName,
    /// Where in its value the items are: fields of a table, or texts or tables with a field `name` in a list.
    pub items: Path,
    /// What such a name is called in a sentence: "IP interface".
    pub what: Line,
    /// Names that need no item: `none`, `any`.
    pub except: Vec<Arc<str>>,
}

/// Most letters of a feature's name.
pub const NAME_LETTERS: usize = 64;

/// One line of the table.
#[derive(Clone, PartialEq, Debug)]
pub struct Feature {
    /// The command that configures it: `smtproutes`.
    pub name: FeatureName,
    /// As `clustercheck` prints it: "Listeners (including HAT, RAT, bounce profiles)".
    pub title: Line,
    /// Whether it has a value.
    pub kind: Kind,
    /// Where it may be used.
    pub levels: Levels,
    /// Whether a machine that joins takes the cluster's; what is bound to its network stays on the machine (C3, C4).
    pub clusterable: bool,
    /// What applies where nobody defines it; `None`: nothing, so that a move may leave others without (C11).
    pub factory: Option<Arc<Value>>,
    /// What its values name.
    pub references: Vec<Reference>,
    /// Which of its texts only peers may read. What is sealed is bound to the path: a changed one opens it no more.
    pub secrets: Vec<Path>,
    /// Whether a site added it.
    pub site: bool,
}

/// All features and commands that are known here. Peers of one cluster may know different ones of their site's.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Catalogue {
    features: BTreeMap<FeatureName, Feature>,
}

impl Catalogue {
    /// Of these; of two with one name the first counts.
    #[must_use]
    pub fn new(features: impl IntoIterator<Item = Feature>) -> Self {
        let mut table = BTreeMap::new();
        for feature in features {
            table.entry(feature.name.clone()).or_insert(feature);
        }
        Self { features: table }
    }

    /// A feature or command.
    #[must_use]
    pub fn feature(&self, name: &FeatureName) -> Option<&Feature> {
        self.features.get(name)
    }

    /// All of them, by name.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Feature> {
        self.features.values()
    }

    /// Those that have values, by name.
    pub fn settings(&self) -> impl Iterator<Item = &Feature> {
        self.iter().filter(|f| f.kind == Kind::Feature)
    }

    /// The title of a feature; its name where it is not known here.
    #[must_use]
    pub fn title(&self, name: &FeatureName) -> Line {
        self.feature(name).map_or_else(|| Line::new(name.as_str()), |f| f.title.clone())
    }

    /// The known name that is most like `word`, if one is like it at all.
    #[must_use]
    pub fn nearest(&self, word: &str) -> Option<&FeatureName> {
        let letters = word.chars().count();
        if letters > NAME_LETTERS {
            return None;
        }
        let limit = (letters / 3).max(1);
        let found = self.features.keys().map(|name| (distance(word, name.as_str()), name)).min()?;
        (found.0 <= limit).then_some(found.1)
    }
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let letters = |s: &str| s.to_lowercase().chars().collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut new = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (old[j] + usize::from(x != y)).min(old[j + 1] + 1).min(new[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(older[j - 1] + 1);
            }
            new.push(least);
        }
        older = std::mem::replace(&mut old, new);
    }
    old[b.len()]
}
