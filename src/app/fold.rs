//! Rows of the grid that say the same are one line, so that those that differ are seen.

use std::ops::Range;

use crate::app::grid::Grid;
use crate::domain::{Cluster, LinkState, Time};

/// Fewer equal rows than this stay as they are.
const FOLD_MIN: usize = 3;
/// Rows with more exceptions than this stay as they are: they would not be told apart by a few words.
const EXCEPTIONS_MAX: usize = 3;

/// What equal rows say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Alike {
    /// Every link of theirs that is shown is up, but these: positions of the observed peers.
    AllBut(Vec<(usize, LinkState)>),
    /// Nobody has told of their links in time.
    Silent,
}

/// One line of the grid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fold {
    /// A row by itself: its place in [`Grid::rows`].
    Row(usize),
    /// Equal rows, by their places.
    Many(Range<usize>, Alike),
}

/// The rows of `grid` with equal ones folded. The row at place `cursor` always stands by itself, and no fold goes
/// over a border (`is_border` of two neighbouring places).
#[must_use]
pub fn fold(
    cluster: &Cluster,
    grid: &Grid,
    cursor: usize,
    is_border: impl Fn(usize, usize) -> bool,
    now: Time,
) -> Vec<Fold> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < grid.rows.len() {
        let alike = if at == cursor { None } else { signature(cluster, grid, at, now) };
        let mut end = at + 1;
        if alike.is_some() {
            while end < grid.rows.len()
                && end != cursor
                && !is_border(end - 1, end)
                && signature(cluster, grid, end, now) == alike
            {
                end += 1;
            }
        }
        match alike {
            Some(alike) if end - at >= FOLD_MIN => lines.push(Fold::Many(at..end, alike)),
            Some(_) | None => lines.extend((at..end).map(Fold::Row)),
        }
        at = end;
    }
    lines
}

/// Rows unfolded, a line each.
#[must_use]
pub fn unfolded(grid: &Grid) -> Vec<Fold> {
    (0..grid.rows.len()).map(Fold::Row).collect()
}

/// What the row at `place` says, if a few words can tell it.
fn signature(cluster: &Cluster, grid: &Grid, place: usize, now: Time) -> Option<Alike> {
    let i = grid.rows[place];
    let observer = &cluster.peers[i];
    if !observer.is_row_fresh(&cluster.limits, now) {
        return Some(Alike::Silent);
    }
    // Whoever is unwell or detached itself is no part of a crowd.
    if observer.health.is_late() || observer.detached().is_some() || (observer.observed && !observer.is_reached()) {
        return None;
    }
    let mut exceptions = Vec::new();
    for j in grid.cols.iter().copied().filter(|j| *j != i) {
        let state = observer.cells.get(j).and_then(Option::as_ref).map_or(LinkState::Unknown, |l| l.state);
        if state != LinkState::Connected {
            if exceptions.len() == EXCEPTIONS_MAX {
                return None;
            }
            exceptions.push((j, state));
        }
    }
    Some(Alike::AllBut(exceptions))
}
