//! The grid as the verdict looks at it: states instead of facts, and which cells are explained already.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Verdict;
use crate::domain::finding::{FindingKind, Subject};
use crate::domain::ids::PeerId;
use crate::domain::mesh::link::{Cause, Link, LinkState};
use crate::domain::reach::ReachState;
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Most lines of evidence that a verdict carries.
const EVIDENCE_MAX: usize = 12;

/// Sightings that lie no further apart than this belong to one onset.
const ONSET_GAP: Duration = Duration::from_secs(30);

/// What a cause says about the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Nothing came back: it may be dead, or cut off.
    Hard,
    /// The other side lives and says no.
    Refusal,
    /// It lives, with another host key.
    HostKey,
    /// It lives, at another level.
    Level,
    /// It was never asked: the name or address could not be looked up.
    Dns,
}

pub(super) fn class(cause: Option<Cause>) -> Class {
    match cause {
        None | Some(Cause::Refused | Cause::Timeout | Cause::KeyExchange | Cause::Dropped | Cause::Unlisted) => {
            Class::Hard
        }
        Some(Cause::Auth | Cause::NotInCluster | Cause::TooManyConnections | Cause::Detached) => Class::Refusal,
        Some(Cause::HostKey) => Class::HostKey,
        Some(Cause::Version) => Class::Level,
        Some(Cause::DnsForward | Cause::DnsReverse) => Class::Dns,
    }
}

/// A cell, by fresh evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    /// Connected.
    Up,
    /// Down.
    Down(Class),
    /// Connecting or detached: explains itself.
    Neutral,
    /// Nobody told, or too long ago.
    Unknown,
}

/// How this console stands with a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Own {
    /// Connected, and heard of within the limit.
    Fresh,
    /// Connected, and silent for too long.
    Silent,
    /// In the first attempt.
    Connecting,
    /// Lost or never had.
    Lost(Class),
    /// It waits for somebody to look at its host key.
    AskHostKey,
    /// Not connected to on purpose.
    NotObserved,
}

pub(super) struct View<'a> {
    pub cluster: &'a Cluster,
    pub now: Time,
    pub n: usize,
    pub own: Vec<Own>,
    pub fresh: Vec<bool>,
    /// Peers that an earlier step has taken out: dead or isolated.
    pub gone: Vec<bool>,
    pub labels: Vec<&'a str>,
    marks: Vec<Mark>,
    covered: Vec<bool>,
    /// Which classes of causes there are at all.
    classes: Vec<Class>,
}

impl<'a> View<'a> {
    pub fn new(cluster: &'a Cluster, now: Time) -> Self {
        let n = cluster.peers.len();
        let fresh: Vec<bool> = cluster.peers.iter().map(|p| p.is_row_fresh(&cluster.limits, now)).collect();
        let mut marks = vec![Mark::Unknown; n * n];
        let mut classes: Vec<Class> = Vec::new();
        for (i, peer) in cluster.peers.iter().enumerate().filter(|(i, _)| fresh[*i]) {
            for (j, link) in peer.cells.iter().enumerate().take(n).filter(|(j, _)| *j != i) {
                let Some(link) = link else { continue };
                marks[i * n + j] = match link.state {
                    LinkState::Connected => Mark::Up,
                    LinkState::Down => {
                        let class = class(link.cause);
                        if !classes.contains(&class) {
                            classes.push(class);
                        }
                        Mark::Down(class)
                    }
                    LinkState::Connecting | LinkState::Detached => Mark::Neutral,
                    LinkState::Unknown => Mark::Unknown,
                };
            }
        }
        let own = cluster
            .peers
            .iter()
            .zip(&fresh)
            .map(|(p, fresh)| match p.reach.state {
                _ if !p.observed => Own::NotObserved,
                ReachState::Connected => {
                    let heard = p.reach.heard.is_some_and(|h| now.since(h) <= cluster.limits.stale);
                    if *fresh || heard { Own::Fresh } else { Own::Silent }
                }
                ReachState::Connecting => Own::Connecting,
                ReachState::Unreachable => Own::Lost(class(p.reach.cause)),
                ReachState::AskHostKey => Own::AskHostKey,
            })
            .collect();
        Self {
            cluster,
            now,
            n,
            own,
            fresh,
            gone: vec![false; n],
            labels: labels(cluster),
            marks,
            covered: vec![false; n * n],
            classes,
        }
    }

    /// Whether there is nothing that could need an explanation.
    pub fn is_calm(&self) -> bool {
        let quiet = |own: &Own| match own {
            Own::Fresh | Own::Silent | Own::Connecting | Own::NotObserved => true,
            Own::Lost(_) | Own::AskHostKey => false,
        };
        self.classes.is_empty() && self.own.iter().all(quiet) && self.one_level()
    }

    /// Whether any cell is down with a cause of this class.
    pub fn has(&self, class: Class) -> bool {
        self.classes.contains(&class)
    }

    fn one_level(&self) -> bool {
        let mut levels = (0..self.n).filter_map(|i| self.level(i));
        let first = levels.next();
        levels.all(|l| Some(l) == first)
    }

    /// The level of a peer by fresh evidence.
    pub fn level(&self, i: usize) -> Option<u32> {
        let row = self.cluster.peers[i].row.as_ref().filter(|_| self.fresh[i]);
        row.map(|r| r.level).filter(|l| *l != 0) // 0: it did not say.
    }

    pub fn mark(&self, i: usize, j: usize) -> Mark {
        self.marks[i * self.n + j]
    }

    pub fn is_down(&self, i: usize, j: usize) -> bool {
        matches!(self.mark(i, j), Mark::Down(_))
    }

    pub fn is_hard(&self, i: usize, j: usize) -> bool {
        self.mark(i, j) == Mark::Down(Class::Hard)
    }

    /// Whether either side says that the link between the two stands.
    pub fn is_pair_up(&self, i: usize, j: usize) -> bool {
        self.mark(i, j) == Mark::Up || self.mark(j, i) == Mark::Up
    }

    /// Whether a cell is down and no verdict explains it yet.
    pub fn is_open(&self, i: usize, j: usize) -> bool {
        self.is_down(i, j) && !self.covered[i * self.n + j]
    }

    pub fn is_pair_open(&self, i: usize, j: usize) -> bool {
        self.is_open(i, j) || self.is_open(j, i)
    }

    pub fn link(&self, i: usize, j: usize) -> Option<&'a Arc<Link>> {
        self.cluster.peers[i].cells.get(j).and_then(Option::as_ref)
    }

    pub fn id(&self, i: usize) -> &'a PeerId {
        &self.cluster.peers[i].id
    }

    /// Whether what a peer says of others counts: it is fresh, and it was not said before this console lost it.
    pub fn is_witness(&self, i: usize) -> bool {
        let peer = &self.cluster.peers[i];
        let since = match self.own[i] {
            Own::Lost(_) => Some(peer.reach.since),
            Own::Fresh | Own::Silent | Own::Connecting | Own::AskHostKey | Own::NotObserved => None,
        };
        self.fresh[i] && since.is_none_or(|lost| peer.vouched().is_some_and(|at| at > lost))
    }

    /// The others, without those that are gone.
    pub fn fellows(&self, p: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.n).filter(move |i| *i != p && !self.gone[*i])
    }

    /// Both cells of a pair that are not connected, not detached and not explained yet; they are explained now.
    pub fn take_pair(&mut self, i: usize, j: usize, cells: &mut Vec<(usize, usize)>) {
        self.take(i, j, cells);
        self.take(j, i, cells);
    }

    /// As [`Self::take_pair`], one direction only.
    pub fn take(&mut self, i: usize, j: usize, cells: &mut Vec<(usize, usize)>) {
        let at = i * self.n + j;
        let needs = match self.marks[at] {
            Mark::Down(_) | Mark::Unknown => true,
            Mark::Up | Mark::Neutral => false,
        };
        if i != j && needs && !self.covered[at] {
            self.covered[at] = true;
            cells.push((i, j));
        }
    }

    /// Takes the row and the column of a peer.
    pub fn take_cross(&mut self, p: usize) -> Vec<(usize, usize)> {
        let mut cells = Vec::new();
        for j in 0..self.n {
            self.take_pair(p, j, &mut cells);
        }
        cells
    }

    /// When the down cells among `cells`, and what this console itself saw at `own`, began, and who saw it first.
    pub fn onset(&self, cells: &[(usize, usize)], own: Option<Time>) -> (Time, Option<PeerId>) {
        let mut seen: Vec<(Time, Option<&PeerId>)> = cells
            .iter()
            .filter(|(i, j)| self.is_down(*i, *j))
            .filter_map(|(i, j)| self.link(*i, *j).map(|l| (l.since, Some(self.id(*i)))))
            .chain(own.map(|t| (t, None)))
            .collect();
        // Of one moment, a peer comes before this console, and the lower serial number before the higher.
        seen.sort_by_key(|(at, by)| (*at, by.is_none(), *by));
        let Some(mut first) = seen.pop() else { return (self.now, None) };
        // An older fault of one link is no part of what has happened now.
        while let Some(earlier) = seen.pop() {
            if first.0.since(earlier.0) > ONSET_GAP {
                break;
            }
            first = earlier;
        }
        (first.0, first.1.cloned())
    }

    /// The cause that most of the down cells name; ties by the order of the words.
    pub fn main_cause(&self, cells: &[(usize, usize)]) -> Option<Cause> {
        let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
        for cause in cells
            .iter()
            .filter(|(i, j)| self.is_down(*i, *j))
            .filter_map(|(i, j)| self.link(*i, *j).and_then(|l| l.cause))
        {
            *counts.entry(cause).or_default() += 1;
        }
        counts.into_iter().min_by_key(|(cause, n)| (std::cmp::Reverse(*n), *cause)).map(|(cause, _)| cause)
    }

    /// The down cells as lines of evidence.
    pub fn evidence(&self, cells: &[(usize, usize)]) -> Vec<Line> {
        let down: Vec<_> = cells.iter().filter(|(i, j)| self.is_down(*i, *j)).collect();
        let mut lines: Vec<Line> = down
            .iter()
            .take(EVIDENCE_MAX)
            .filter_map(|(i, j)| {
                let link = self.link(*i, *j)?;
                let cause = link.cause.map_or("no cause named", Cause::as_str);
                let detail = if link.detail.is_empty() { String::new() } else { format!(": {}", link.detail) };
                Some(Line::new(&format!("{} says {} is down, {cause}{detail}", self.labels[*i], self.labels[*j])))
            })
            .collect();
        if down.len() > EVIDENCE_MAX {
            lines.push(Line::new(&format!("and {} more cells", down.len() - EVIDENCE_MAX)));
        }
        lines
    }

    /// What this console sees of a peer itself, as a line of evidence.
    pub fn own_evidence(&self, p: usize) -> Option<Line> {
        let reach = &self.cluster.peers[p].reach;
        let text = match self.own[p] {
            Own::Lost(_) => {
                let cause = reach.cause.map_or("no cause", Cause::as_str);
                format!("this console does not reach {}, {cause}: {}", self.labels[p], reach.detail)
            }
            Own::Silent => format!("{} is connected to this console and silent", self.labels[p]),
            Own::AskHostKey => format!("the host key of {} is not known here: {}", self.labels[p], reach.detail),
            Own::Fresh => format!("this console reaches {}", self.labels[p]),
            Own::Connecting | Own::NotObserved => return None,
        };
        Some(Line::new(&text))
    }

    /// Since when this console itself has lost a peer.
    pub fn own_since(&self, p: usize) -> Option<Time> {
        match self.own[p] {
            Own::Lost(_) => Some(self.cluster.peers[p].reach.since),
            Own::Fresh | Own::Silent | Own::Connecting | Own::AskHostKey | Own::NotObserved => None,
        }
    }

    /// A verdict with onset and evidence of its cells, and of what this console sees of `own` itself.
    pub fn verdict(
        &self,
        kind: FindingKind,
        subject: Subject,
        text: &str,
        own: Option<usize>,
        mut cells: Vec<(usize, usize)>,
    ) -> Verdict {
        cells.sort_unstable();
        let (since, first_seen_by) = self.onset(&cells, own.and_then(|p| self.own_since(p)));
        let mut evidence: Vec<Line> = own.and_then(|p| self.own_evidence(p)).into_iter().collect();
        evidence.extend(self.evidence(&cells));
        Verdict { kind, subject, since, first_seen_by, text: Line::new(text), evidence, cells }
    }

    /// Names for a sentence: `lab1`, `lab1 and lab2`, `lab1, lab2 and 5 more`.
    pub fn names(&self, of: &[usize]) -> String {
        match of {
            [] => "nobody".to_owned(),
            [a] => self.labels[*a].to_owned(),
            [a, b] => format!("{} and {}", self.labels[*a], self.labels[*b]),
            [a, b, c] => format!("{}, {} and {}", self.labels[*a], self.labels[*b], self.labels[*c]),
            [a, b, rest @ ..] => format!("{}, {} and {} more", self.labels[*a], self.labels[*b], rest.len()),
        }
    }
}

/// What stands on screen for each peer: as [`Cluster::label`], all at once.
fn labels(cluster: &Cluster) -> Vec<&str> {
    let mut twins: BTreeMap<&str, usize> = BTreeMap::new();
    for peer in &cluster.peers {
        *twins.entry(peer.host.short()).or_default() += 1;
    }
    cluster
        .peers
        .iter()
        .map(|p| {
            let short = p.host.short();
            if twins[short] == 1 { short } else { p.host.as_str() }
        })
        .collect()
}

/// ` (timeout)`, or nothing.
pub(super) fn in_brackets(cause: Option<Cause>) -> String {
    cause.map_or_else(String::new, |c| format!(" ({})", c.as_str()))
}
