//! Health bars at the margins: which share of the links of a row or column is up.

use crate::app::grid::Grid;
use crate::domain::{Cluster, LinkState, Time};
use crate::ui::glyphs::{ASCII, Glyphs};
use crate::ui::theme::Role;

/// Columns that the bar of a row takes.
pub const BAR: u16 = 4;

/// Eighths of a column, from the left.
const EIGHTHS: [&str; 9] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/// Links, and how many of them are up by fresh evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// Links of whom somebody has told in time.
    pub told: usize,
    /// All of them.
    pub all: usize,
    /// Those that stand.
    pub up: usize,
}

impl Share {
    /// Of both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { told: self.told + other.told, all: self.all + other.all, up: self.up + other.up }
    }

    /// How it is to be taken.
    #[must_use]
    pub fn role(self) -> Role {
        match () {
            () if self.up == self.all => Role::Ok,
            () if self.told == 0 => Role::Unknown,
            () if self.up * 2 < self.all => Role::Crit,
            () => Role::Warn,
        }
    }

    /// So many of `steps`: all only when all are up, none only when none is.
    fn steps(self, steps: usize) -> usize {
        match self.all {
            0 => 0,
            _ if self.up == 0 => 0,
            all => (self.up * steps / all).max(1),
        }
    }

    /// A level bar of [`BAR`] columns; percent where there are no parts of a column.
    #[must_use]
    pub fn bar(self, glyphs: &Glyphs) -> String {
        if self.told == 0 && self.all > 0 {
            return format!("{:>width$}", glyphs.unknown, width = usize::from(BAR));
        }
        if *glyphs == ASCII {
            return format!("{:>3}%", self.up * 100 / self.all.max(1));
        }
        let eighths = self.steps(usize::from(BAR) * 8);
        (0..usize::from(BAR)).map(|n| EIGHTHS[eighths.saturating_sub(n * 8).min(8)]).collect()
    }

    /// An upright bar of one column; tenths, rounded down, where there are no parts of a column.
    #[must_use]
    pub fn column(self, glyphs: &Glyphs) -> String {
        if self.told == 0 && self.all > 0 {
            return glyphs.unknown.to_owned();
        }
        if *glyphs == ASCII {
            let full = self.up == self.all;
            return if full { "=".to_owned() } else { (self.up * 10 / self.all.max(1)).to_string() };
        }
        match self.steps(8) {
            0 => "_".to_owned(),
            n => glyphs.bars[n - 1].to_owned(),
        }
    }
}

/// The shares of all peers of the cluster, by position.
pub struct Health {
    /// Of the links from each peer to those in the columns.
    pub from: Vec<Share>,
    /// Of the links to each peer from those in the rows.
    pub to: Vec<Share>,
}

impl Health {
    /// Counts what is shown, once for a frame.
    #[must_use]
    pub fn new(cluster: &Cluster, grid: &Grid, now: Time) -> Self {
        let n = cluster.peers.len();
        let (mut from, mut to) = (vec![Share::default(); n], vec![Share::default(); n]);
        for i in &grid.rows {
            let observer = &cluster.peers[*i];
            let fresh = observer.is_row_fresh(&cluster.limits, now);
            for j in grid.cols.iter().filter(|j| *j != i) {
                let link = if fresh { observer.cells.get(*j).and_then(Option::as_ref) } else { None };
                let one = Share {
                    all: 1,
                    told: usize::from(link.is_some()),
                    up: usize::from(link.is_some_and(|l| l.state == LinkState::Connected)),
                };
                from[*i] = from[*i].and(one);
                to[*j] = to[*j].and(one);
            }
        }
        Self { from, to }
    }
}
