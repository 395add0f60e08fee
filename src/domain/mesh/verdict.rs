//! The verdict: the smallest set of broken things that explains the cells (`20-console.md`, "Mesh").

use crate::domain::finding::{FindingKind, Subject};
use crate::domain::ids::PeerId;
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// One broken thing, with the cells that it explains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What it is.
    pub kind: FindingKind,
    /// Whom it is about.
    pub subject: Subject,
    /// Since when, as far as the evidence reaches back.
    pub since: Time,
    /// Who saw it first.
    pub first_seen_by: Option<PeerId>,
    /// In one sentence, with names; without since and first seen.
    pub text: Line,
    /// What it rests on, a line each.
    pub evidence: Vec<Line>,
    /// The cells that it explains, as positions of the cluster's peers.
    pub cells: Vec<(usize, usize)>,
}

/// The verdicts on `cluster` at `now`, worst first.
#[must_use]
pub fn explain(cluster: &Cluster, now: Time) -> Vec<Verdict> {
    let _ = (cluster, now);
    Vec::new()
}
