//! The immutable picture of everything known at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::Event;
use crate::domain::finding::{Finding, Severity};
use crate::domain::ha::{Effective, HaStatus};
use crate::domain::ids::{ClusterName, GroupName, HostName, PeerId};
use crate::domain::maintenance::Maintenance;
use crate::domain::mesh::link::{Cause, Link, LinkState};
use crate::domain::mesh::pulse::Pulse;
use crate::domain::mesh::route::Route;
use crate::domain::mesh::row::Row;
use crate::domain::mesh::verdict::Verdict;
use crate::domain::observation::{Health, Identity, OperatorSession};
use crate::domain::reach::{Reach, ReachState};
use crate::domain::settings::{Catalogue, CommitId, GOOD_MACHINES, Holding, Tree};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Everything known, for all faces alike.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was made.
    pub at: Time,
    /// Rises with each snapshot.
    pub generation: u64,
    /// In the order of the fleet file. Nothing of one ever mixes with another (C32).
    pub clusters: Vec<Arc<Cluster>>,
    /// The newest events, oldest first; bounded.
    pub events: Arc<Vec<Event>>,
    /// Observations that had to be dropped since the start (rule 3).
    pub dropped: u64,
}

/// One cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name: the peers' own, or the fleet file's until a peer has answered.
    pub name: ClusterName,
    /// In order; empty ones too.
    pub groups: Vec<GroupName>,
    /// In the order of their groups, then by name. Rows and columns of the grid stand in this order.
    pub peers: Vec<Arc<Peer>>,
    /// Where each peer stands in `peers`.
    pub index: Arc<BTreeMap<PeerId, usize>>,
    /// Revision of the membership that is shown, if any peer has told one.
    pub membership_revision: Option<u64>,
    /// The smallest set of broken things that explains the cells, worst first.
    pub verdicts: Arc<Vec<Verdict>>,
    /// Raised findings, worst and oldest first.
    pub findings: Arc<Vec<Finding>>,
    /// The settings, as the one peer that was asked tells them.
    pub settings: Option<Arc<Settings>>,
    /// The newest commits that peers have taken from this console, the newest last; bounded. Who has one already:
    /// `engine::settings::spread`.
    pub commits: Arc<Vec<Committed>>,
    /// The features that are known, here and on the peers alike.
    pub catalogue: Arc<Catalogue>,
    /// What counts as too old.
    pub limits: Limits,
    /// Rises when the picture changes in more than ages and round trips, so that a face need not compare all cells.
    pub changes: u64,
}

/// From when on a fact no longer counts, and how long conditions must hold (all in the fleet file).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// A fact is stale after this.
    pub stale: Duration,
    /// A peer that is not reached counts as unreachable after this.
    pub unreachable: Duration,
    /// A condition is a finding after this.
    pub group: Duration,
    /// A finding is cleared when its condition is gone for this long.
    pub recovery: Duration,
    /// Detached for longer is a finding.
    pub detached: Duration,
    /// A clock that is further off is a finding.
    pub clock_skew: Duration,
    /// Unknown for longer is a finding.
    pub unknown: Duration,
    /// This many changes of a link's state within ten minutes are flapping.
    pub flap_changes: u32,
    /// A peer that lacks a commit for longer is a finding.
    pub propagation: Duration,
    /// More machines than this are a finding (C28).
    pub machines: usize,
    /// A history of settings of so many MiB is a finding.
    pub history_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stale: Duration::from_secs(3),
            unreachable: Duration::from_secs(5),
            group: Duration::from_secs(2),
            recovery: Duration::from_secs(5),
            detached: Duration::from_hours(24),
            clock_skew: Duration::from_secs(5),
            unknown: Duration::from_secs(30),
            flap_changes: 10,
            propagation: Duration::from_secs(30),
            machines: GOOD_MACHINES,
            history_mib: 256,
        }
    }
}

/// A commit that a peer has taken from this console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Names the command in this run, as it was submitted.
    pub id: u64,
    /// Its name for everybody.
    pub commit: CommitId,
    /// By which peer.
    pub on: PeerId,
    /// When.
    pub at: Time,
    /// The author's comment.
    pub comment: Line,
}

/// A complete settings tree, and who told it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// All registers.
    pub tree: Arc<Tree>,
    /// Whose tree it is.
    pub source: PeerId,
    /// Digest of the document that it comes from, as in [`Holding::digest`].
    pub digest: Line,
    /// When it was complete, or last changed.
    pub at: Time,
}

/// One peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Serial number, or a stand-in as long as it has never answered and no fellow has named it.
    pub id: PeerId,
    /// Main host name.
    pub host: HostName,
    /// Its group, if a membership names it.
    pub group: Option<GroupName>,
    /// Whether this console connects to it (a member that no fleet file and no discovery covers is only seen by others).
    pub observed: bool,
    /// How this console reaches it.
    pub reach: Reach,
    /// Who it says it is.
    pub identity: Option<Arc<Identity>>,
    /// What it says about the others.
    pub row: Option<Arc<Row>>,
    /// When it last said that its row still holds; [`Time::ZERO`]: not since it came. See [`Peer::vouched`].
    pub confirmed: Time,
    /// The row once more, in the order of the cluster's peers.
    pub cells: Arc<[Option<Arc<Link>>]>,
    /// The last pings of its links and the newest round trips, in the order of the cluster's peers.
    pub pulses: Arc<[Pulse]>,
    /// How it fares itself.
    pub health: Health,
    /// What it holds of the settings, by its own word.
    pub holding: Option<Arc<Holding>>,
    /// How it stands in its HA group, by its own word, and when it said so.
    pub ha: Option<(Arc<HaStatus>, Time)>,
    /// People who are logged in there.
    pub sessions: Arc<[OperatorSession]>,
}

/// A cell of the grid, as it may be shown at one moment: never green on stale evidence.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// What may be shown: [`LinkState::Unknown`] when nobody told us or the evidence is too old.
    pub state: LinkState,
    /// Why it is not up.
    pub cause: Option<Cause>,
    /// What the observer last said, however old.
    pub link: Option<&'a Arc<Link>>,
    /// The newest round trip that the observer told, however old.
    pub rtt: Option<Duration>,
    /// How old the evidence is.
    pub age: Option<Duration>,
    /// The observer is unwell: what it says weighs less.
    pub hatched: bool,
    /// The link is down, and yet datagrams of this direction arrive: the fault is the other way.
    pub arrives: bool,
}

impl Peer {
    /// A peer of which nothing is known but its name, as of `now`.
    #[must_use]
    pub fn unknown(id: PeerId, host: HostName, now: Time) -> Self {
        Self {
            id,
            host,
            group: None,
            observed: false,
            reach: Reach::new(now),
            identity: None,
            row: None,
            confirmed: Time::ZERO,
            cells: Arc::from([]),
            pulses: Arc::from([] as [Pulse; 0]),
            health: Health::default(),
            holding: None,
            ha: None,
            sessions: Arc::from([]),
        }
    }

    /// Since when it is detached, by its own word.
    #[must_use]
    pub fn detached(&self) -> Option<Time> {
        self.row.as_ref().and_then(|r| r.detached)
    }

    /// The maintenance that is announced for it and still holds.
    #[must_use]
    pub fn maintenance(&self, now: Time) -> Option<&Maintenance> {
        self.row.as_ref().and_then(|r| r.maintenance.as_ref()).filter(|m| m.holds(now))
    }

    /// Whether a commit can be given to it: it is reached, attached, and no unit of an HA group that only its primary
    /// writes for.
    #[must_use]
    pub fn takes_commits(&self) -> bool {
        let waits = self.ha.as_ref().is_some_and(|(ha, _)| match ha.effective {
            Effective::Primary | Effective::ConfigPrimary | Effective::Off => false,
            Effective::Secondary | Effective::ConfigSecondary | Effective::Failed | Effective::HoldOff => true,
        });
        self.is_reached() && self.detached().is_none() && !waits
    }

    /// Whether this console has it on the line.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.reach.state == ReachState::Connected
    }

    /// When it was last vouched for its row: by the row itself, or by a later report that left it as it was.
    #[must_use]
    pub fn vouched(&self) -> Option<Time> {
        self.row.as_ref().map(|r| r.vouched.max(self.confirmed))
    }

    /// How old its row is.
    #[must_use]
    pub fn row_age(&self, now: Time) -> Option<Duration> {
        self.vouched().map(|at| now.since(at))
    }

    /// The newest round trip to the peer at position `to`: of a ping since the link was told of, or as told.
    #[must_use]
    pub fn rtt(&self, to: usize) -> Option<Duration> {
        let pinged = self.pulses.get(to).and_then(Pulse::rtt);
        pinged.or_else(|| self.cells.get(to)?.as_ref()?.rtt)
    }

    /// Whether its row is there and young enough to be shown as current.
    #[must_use]
    pub fn is_row_fresh(&self, limits: &Limits, now: Time) -> bool {
        self.row_age(now).is_some_and(|age| age <= limits.stale)
    }
}

impl Cluster {
    /// A cluster of which nothing is known yet.
    #[must_use]
    pub fn unknown(name: ClusterName, catalogue: Arc<Catalogue>, limits: Limits) -> Self {
        Self {
            name,
            groups: Vec::new(),
            peers: Vec::new(),
            index: Arc::default(),
            membership_revision: None,
            verdicts: Arc::default(),
            findings: Arc::default(),
            settings: None,
            commits: Arc::default(),
            catalogue,
            limits,
            changes: 0,
        }
    }

    /// The peer with this serial number.
    #[must_use]
    pub fn peer(&self, id: &PeerId) -> Option<&Arc<Peer>> {
        self.index.get(id).and_then(|i| self.peers.get(*i))
    }

    /// The name that stands on screen for `id`: the first label where that is unique, else the whole name.
    #[must_use]
    pub fn label<'a>(&'a self, id: &'a PeerId) -> &'a str {
        let Some(peer) = self.peer(id) else { return id.as_str() };
        let short = peer.host.short();
        let twins = self.peers.iter().filter(|p| p.host.short() == short).count();
        if twins == 1 { short } else { peer.host.as_str() }
    }

    /// The cell in row `from` and column `to`, by position.
    ///
    /// # Panics
    /// When `from` or `to` is not a position of [`Cluster::peers`].
    #[must_use]
    pub fn cell(&self, from: usize, to: usize, now: Time) -> Cell<'_> {
        let observer = &self.peers[from];
        let link = observer.cells.get(to).and_then(Option::as_ref);
        let age = observer.row_age(now);
        let fresh = age.is_some_and(|a| a <= self.limits.stale);
        let state = match link {
            Some(l) if fresh => l.state,
            Some(_) | None => LinkState::Unknown,
        };
        Cell {
            state,
            cause: if fresh { link.and_then(|l| l.cause) } else { None },
            link,
            rtt: observer.rtt(to),
            age,
            hatched: observer.health.is_late(),
            arrives: state == LinkState::Down && self.arrives(from, to, now) == Some(true),
        }
    }

    /// Whether datagrams from `from` arrive at `to`, by the fresh word of `to`; `None` where nobody knows.
    #[must_use]
    pub fn arrives(&self, from: usize, to: usize, now: Time) -> Option<bool> {
        use crate::domain::mesh::link::Probe;
        let receiver = &self.peers[to];
        if !receiver.is_row_fresh(&self.limits, now) {
            return None;
        }
        match receiver.cells.get(from).and_then(Option::as_ref)?.probe {
            Probe::Heard => Some(true),
            Probe::Silent => Some(false),
            Probe::Untested => None,
        }
    }

    /// How many directed links there are, and how many are connected by fresh evidence.
    #[must_use]
    pub fn link_counts(&self, now: Time) -> (usize, usize) {
        let n = self.peers.len();
        let up = |i: usize| {
            let links = self.peers[i].cells.iter().enumerate().filter(|(j, _)| *j != i).filter_map(|(_, l)| l.as_ref());
            links.filter(|l| l.state == LinkState::Connected).count()
        };
        let fresh = (0..n).filter(|i| self.peers[*i].is_row_fresh(&self.limits, now));
        (n * n.saturating_sub(1), fresh.map(up).sum())
    }

    /// The worst raised severity.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).max()
    }

    /// The way from `from` to `to` by the fresh rows of all peers.
    #[must_use]
    pub fn route(&self, from: &PeerId, to: &PeerId, now: Time) -> Route {
        let edges = self
            .peers
            .iter()
            .filter(|p| p.is_row_fresh(&self.limits, now))
            .filter_map(|p| p.row.as_ref().map(|r| (p, r)))
            .map(|(p, r)| {
                let rtt = |l: &Link| self.index.get(&l.to).and_then(|to| p.rtt(*to)).or(l.rtt).unwrap_or_default();
                let up = r.links.iter().filter(|l| l.state == LinkState::Connected);
                (r.origin.clone(), up.map(|l| (l.to.clone(), rtt(l))).collect())
            })
            .collect();
        crate::domain::mesh::route::routes(from, &edges).remove(to).unwrap_or(Route::None)
    }
}
