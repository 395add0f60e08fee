//! Which peers stand in rows and columns, in which order, and where the cursor is.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use strum::{EnumIter, IntoStaticStr};

use crate::app::filter::{Facts, Filter};
use crate::domain::membership::natural;
use crate::domain::snapshot::Cell;
use crate::domain::{Cause, Cluster, LinkState, PeerId, Time};

/// Above so many rows or columns a link is less than a sign of its own, and equal rows are folded.
pub const MANY: usize = 60;

/// The order of rows and columns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Sort {
    /// As the membership has them: by group, then by name.
    #[default]
    Group,
    /// By host name.
    Name,
    /// Peers that are not reached or not heard of first, then detached ones.
    State,
    /// Peers with the most links in trouble first.
    Faults,
}

impl Sort {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Group => Self::Name,
            Self::Name => Self::State,
            Self::State => Self::Faults,
            Self::Faults => Self::Group,
        }
    }

    /// How it is called on screen.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Name => "name",
            Self::State => "state",
            Self::Faults => "faults first",
        }
    }
}

/// An order that changes only on a key: what was sorted by a passing state keeps its place.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Order {
    /// By what.
    pub sort: Sort,
    /// The places of the peers when the key was pressed.
    fixed: BTreeMap<PeerId, usize>,
}

impl Order {
    /// Sorts by `sort` as things stand now.
    #[must_use]
    pub fn taken(sort: Sort, cluster: &Cluster, now: Time) -> Self {
        let peers = &cluster.peers;
        let mut at: Vec<usize> = (0..peers.len()).collect();
        match sort {
            Sort::Group => {}
            Sort::Name => at.sort_by(|a, b| natural(peers[*a].host.as_str(), peers[*b].host.as_str())),
            Sort::State => at.sort_by_key(|i| {
                let peer = &peers[*i];
                let ill = !peer.is_reached() || !peer.is_row_fresh(&cluster.limits, now);
                (Reverse(ill), Reverse(peer.detached().is_some()), Reverse(peer.health.is_late()))
            }),
            Sort::Faults => at.sort_by_key(|i| {
                let both = |j: usize| {
                    usize::from(is_fault(&cluster.cell(*i, j, now))) + usize::from(is_fault(&cluster.cell(j, *i, now)))
                };
                Reverse((0..peers.len()).filter(|j| j != i).map(both).sum::<usize>())
            }),
        }
        let fixed = at.iter().enumerate().map(|(place, i)| (peers[*i].id.clone(), place)).collect();
        Self { sort, fixed }
    }

    /// Positions of the cluster's peers in this order; newcomers stand at the end.
    #[must_use]
    pub fn positions(&self, cluster: &Cluster) -> Vec<usize> {
        let mut at: Vec<usize> = (0..cluster.peers.len()).collect();
        match self.sort {
            Sort::Group => {}
            Sort::Name => at.sort_by(|a, b| natural(cluster.peers[*a].host.as_str(), cluster.peers[*b].host.as_str())),
            Sort::State | Sort::Faults => {
                at.sort_by_key(|i| self.fixed.get(&cluster.peers[*i].id).copied().unwrap_or(usize::MAX));
            }
        }
        at
    }
}

/// Whether a cell is in trouble: down, or not known. A link under construction or detached on purpose is not.
#[must_use]
pub fn is_fault(cell: &Cell<'_>) -> bool {
    match cell.state {
        LinkState::Down | LinkState::Unknown => true,
        LinkState::Connected | LinkState::Connecting | LinkState::Detached => false,
    }
}

/// Whether a link is down for a fault of the other direction: this one's datagrams arrive, and nobody refused.
#[must_use]
pub fn is_one_sided(cell: &Cell<'_>) -> bool {
    cell.arrives
        && match cell.cause {
            None | Some(Cause::Timeout | Cause::Dropped) => true,
            Some(
                Cause::DnsForward
                | Cause::DnsReverse
                | Cause::Refused
                | Cause::HostKey
                | Cause::KeyExchange
                | Cause::Auth
                | Cause::NotInCluster
                | Cause::Version
                | Cause::TooManyConnections
                | Cause::Detached
                | Cause::Unlisted,
            ) => false,
        }
}

/// What stands in rows (who observes) and columns (who is observed), as positions of the cluster's peers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grid {
    /// Top to bottom.
    pub rows: Vec<usize>,
    /// Left to right.
    pub cols: Vec<usize>,
}

impl Grid {
    /// The part of `cluster` that `filter` and `faults_only` let through. Words about peers choose rows;
    /// words about links, and `faults_only`, choose rows and columns that have such a link.
    #[must_use]
    pub fn new(cluster: &Cluster, order: &Order, filter: &Filter, faults_only: bool, now: Time) -> Self {
        let all = order.positions(cluster);
        let about_peers = filter.part(false);
        let about_links = filter.part(true);
        let mut rows = all.clone();
        if !about_peers.is_empty() {
            rows.retain(|i| fits_peer(cluster, *i, &about_peers));
        }
        if !faults_only && about_links.is_empty() {
            return Self { rows, cols: all };
        }
        let wanted = |i: usize, j: usize| {
            i != j && {
                let cell = cluster.cell(i, j, now);
                (!faults_only || is_fault(&cell)) && fits_link(&cell, &about_links)
            }
        };
        let mut cols = all;
        cols.retain(|j| rows.iter().any(|i| wanted(*i, *j)));
        rows.retain(|i| cols.iter().any(|j| wanted(*i, *j)));
        Self { rows, cols }
    }
}

impl Grid {
    /// Whether there is so much of it that a link is less than a sign of its own.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.rows.len().max(self.cols.len()) > MANY
    }
}

/// Whether the words about peers fit the peer at position `i`.
pub(crate) fn fits_peer(cluster: &Cluster, i: usize, filter: &Filter) -> bool {
    let peer = &cluster.peers[i];
    let group = peer.group.as_ref().map_or("", |g| g.as_str());
    filter.fits(&Facts {
        hosts: &[peer.host.as_str()],
        groups: &[group],
        text: &[peer.id.as_str()],
        ..Facts::default()
    })
}

/// Whether the words about links fit `cell`.
pub(crate) fn fits_link(cell: &Cell<'_>, filter: &Filter) -> bool {
    if filter.is_empty() {
        return true;
    }
    let cause = cell.cause.map_or("", crate::domain::Cause::as_str);
    let one_sided = if is_one_sided(cell) { "one-sided" } else { "" };
    filter.fits(&Facts { states: &[cell.state.as_str(), one_sided], causes: &[cause], ..Facts::default() })
}

/// The selected cell: by identity, with the places where it was last seen.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cursor {
    from: Option<PeerId>,
    to: Option<PeerId>,
    row: usize,
    col: usize,
}

impl Cursor {
    /// The observing peer.
    #[must_use]
    pub fn from(&self) -> Option<&PeerId> {
        self.from.as_ref()
    }

    /// The observed peer.
    #[must_use]
    pub fn to(&self) -> Option<&PeerId> {
        self.to.as_ref()
    }

    /// Place among the rows.
    #[must_use]
    pub fn row(&self) -> usize {
        self.row
    }

    /// Place among the columns.
    #[must_use]
    pub fn col(&self) -> usize {
        self.col
    }

    /// Puts the cursor on these peers, wherever they stand.
    pub fn select(&mut self, from: PeerId, to: PeerId) {
        self.from = Some(from);
        self.to = Some(to);
    }

    /// Follows its peers; where one is gone, the peer that took its place is selected.
    pub fn settle(&mut self, cluster: &Cluster, grid: &Grid) {
        settle_one(&mut self.from, &mut self.row, cluster, &grid.rows);
        settle_one(&mut self.to, &mut self.col, cluster, &grid.cols);
    }

    /// Puts the cursor on these places, or the nearest there are.
    pub fn place(&mut self, cluster: &Cluster, grid: &Grid, row: usize, col: usize) {
        self.from = None;
        self.to = None;
        self.row = row;
        self.col = col;
        self.settle(cluster, grid);
    }
}

fn settle_one(id: &mut Option<PeerId>, place: &mut usize, cluster: &Cluster, shown: &[usize]) {
    if shown.is_empty() {
        return; // Nothing to stand on: the peer is kept for when it is shown again.
    }
    let found = id.as_ref().and_then(|id| cluster.index.get(id)).and_then(|i| shown.iter().position(|s| s == i));
    *place = found.unwrap_or_else(|| (*place).min(shown.len() - 1));
    if found.is_none() {
        *id = Some(cluster.peers[shown[*place]].id.clone());
    }
}
