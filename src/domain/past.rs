//! Looking back: which moment of a recording is asked for, and what was known then (B6).

use std::sync::Arc;

use crate::domain::finding::Severity;
use crate::domain::snapshot::Snapshot;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// What was known at one moment of a recording.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The picture as it was then.
    pub snapshot: Arc<Snapshot>,
    /// When that was, on the clock of whoever recorded it: all ages are counted from here.
    pub at: Time,
    /// The oldest moment that the recording has.
    pub from: Time,
    /// The newest moment that the recording has.
    pub until: Time,
    /// Findings that were raised and cleared in between, oldest first; bounded.
    pub marks: Arc<[Mark]>,
}

/// A place on the time line: a finding was raised or cleared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// When.
    pub at: Time,
    /// How bad it is, or was.
    pub severity: Severity,
    /// Whether it was raised; else it was cleared.
    pub raised: bool,
    /// What it was, in one sentence.
    pub text: Line,
}

/// Which moment is asked for. What lies beyond an end of the recording means that end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Glance {
    /// The newest picture of this moment or before.
    At(Time),
    /// So many pictures later than the one that was told last; earlier, if negative.
    Step(i32),
    /// The mark so many places after the moment that was told last; before it, if negative.
    Mark(i32),
    /// None: the present is shown again, and nothing needs to be kept ready.
    Live,
}
