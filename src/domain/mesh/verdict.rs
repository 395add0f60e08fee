//! The verdict: the smallest set of broken things that explains the cells (`20-console.md`, "Mesh").
//!
//! A greedy cover, from the widest explanation to the narrowest: each step takes the cells that it explains
//! away from the later ones. Pure and deterministic; what comes out depends on the picture alone, not on the
//! order in which it was observed.

mod links;
mod peers;
mod view;

use std::cmp::Reverse;

use crate::domain::finding::{FindingKind, Subject};
use crate::domain::ids::PeerId;
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;
use crate::domain::time::Time;

use view::View;

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
    let mut view = View::new(cluster, now);
    if let Some(blind) = peers::blind(&mut view) {
        return vec![blind];
    }
    if view.is_calm() {
        return Vec::new();
    }
    let mut found = Vec::new();
    found.extend(peers::dead(&mut view));
    found.extend(peers::isolated(&mut view));
    found.extend(peers::host_key(&mut view));
    found.extend(peers::level(&mut view));
    found.extend(peers::dns(&mut view));
    found.extend(links::groups_cut(&mut view));
    found.extend(links::split(&mut view));
    found.extend(links::sick(&mut view));
    found.extend(links::single(&mut view));
    let unobserved = peers::unobserved(&view, &found);
    found.extend(unobserved);
    // The sort is stable: within one severity the order above stands, the widest explanation first.
    found.sort_by_key(|v| Reverse(v.kind.severity()));
    found
}
