//! What is told, and when, by kind and cluster: `[alerts]` of the fleet file.

use std::time::Duration;

use crate::domain::finding::{Finding, FindingKind, Severity};
use crate::domain::ids::ClusterName;

/// When coming and going counts as one thing. Two thresholds, so that it does not flap about flapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flapping {
    /// So many changes within the window are flapping.
    pub high: u32,
    /// No more than so many within the window: it flaps no longer. Below `high`.
    pub low: u32,
    /// Over which time changes are counted.
    pub window: Duration,
}

impl Default for Flapping {
    fn default() -> Self {
        Self { high: 6, low: 2, window: Duration::from_mins(10) }
    }
}

/// What holds for findings that fit. The first rule that fits and says something about a matter counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rule {
    /// Of these kinds; empty: of all.
    pub kinds: Vec<FindingKind>,
    /// Of this cluster; `None`: of all.
    pub cluster: Option<ClusterName>,
    /// How bad instead of what the kind says.
    pub severity: Option<Severity>,
    /// For how long the finding must be there before it is told.
    pub hold: Option<Duration>,
    /// For how long it must be gone before that is told.
    pub recovery: Option<Duration>,
    /// How often it is told again while it lasts; zero: never.
    pub repeat: Option<Duration>,
    /// Never told.
    pub ignore: Option<bool>,
}

impl Rule {
    fn fits(&self, finding: &Finding) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&finding.kind))
            && self.cluster.as_ref().is_none_or(|c| *c == finding.cluster)
    }
}

/// All rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// Where no rule says it: see [`Rule::hold`]. The engine itself holds conditions back for its grouping time.
    pub hold: Duration,
    /// Where no rule says it: see [`Rule::recovery`].
    pub recovery: Duration,
    /// Where no rule says it: see [`Rule::repeat`].
    pub repeat: Duration,
    /// When coming and going counts as one thing.
    pub flapping: Flapping,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            hold: Duration::ZERO,
            recovery: Duration::ZERO,
            repeat: Duration::from_hours(4),
            flapping: Flapping::default(),
        }
    }
}

/// What holds for one finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// How bad.
    pub severity: Severity,
    /// See [`Rule::hold`].
    pub hold: Duration,
    /// See [`Rule::recovery`].
    pub recovery: Duration,
    /// See [`Rule::repeat`]; `None`: never.
    pub repeat: Option<Duration>,
    /// See [`Rule::ignore`].
    pub ignore: bool,
}

impl Rules {
    /// What holds for `finding`.
    #[must_use]
    pub fn terms(&self, finding: &Finding) -> Terms {
        fn first<T: Copy>(rules: &[Rule], finding: &Finding, of: impl Fn(&Rule) -> Option<T>) -> Option<T> {
            rules.iter().filter(|r| r.fits(finding)).find_map(of)
        }
        let rules = &self.rules;
        Terms {
            severity: first(rules, finding, |r| r.severity).unwrap_or(finding.kind.severity()),
            hold: first(rules, finding, |r| r.hold).unwrap_or(self.hold),
            recovery: first(rules, finding, |r| r.recovery).unwrap_or(self.recovery),
            repeat: Some(first(rules, finding, |r| r.repeat).unwrap_or(self.repeat)).filter(|r| !r.is_zero()),
            ignore: first(rules, finding, |r| r.ignore).unwrap_or(false),
        }
    }
}
