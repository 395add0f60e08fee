//! State of the wall: pictures in, nothing out but its own end (D9).
//!
//! It looks and can't act, by construction (rule 8): no type here holds anything that leads to a peer or to the
//! engine, and the only keys are those that end it and change its theme.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::ThemeList;
use super::ha::face::calm_line;
use super::keys::{Code, Key};
use super::overview::peers_up;
use crate::domain::ha::group::groups;
use crate::domain::time::millis;
use crate::domain::{Cluster, Finding, FindingKind, LinkState, Peer, Severity, Snapshot, Time};

/// Each page is shown for so long where nothing else is said.
pub const ROTATE: Duration = Duration::from_secs(20);
/// The picture moves against burn-in this often.
pub const SHIFT: Duration = Duration::from_mins(1);
/// How far it moves, columns and lines, one after the other; never further than [`SHIFT_MAX`].
const SHIFTS: [(u16, u16); 6] = [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1)];
/// Columns and lines that stay free for it.
pub const SHIFT_MAX: (u16, u16) = (2, 1);
/// A cluster beside others has at least so many columns.
pub const COLUMN: u16 = 38;
/// On screens smaller than this there is one kind of page.
pub const PAGES_FROM: (u16, u16) = (60, 16);
/// What was told about files stands for so long.
const NOTE: Duration = Duration::from_mins(5);

/// What the wall is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How long each page is shown; zero shows the first one for ever.
    pub rotate: Duration,
    /// The themes that can be chosen.
    pub themes: ThemeList,
    /// Whether times are UTC.
    pub utc: bool,
    /// The peers are those of a lab.
    pub lab: bool,
    /// Columns of the terminal.
    pub width: u16,
    /// Lines of the terminal.
    pub height: u16,
}

/// What the wall is told.
#[derive(Clone, Debug)]
pub enum Msg {
    /// The newest picture.
    Snapshot(Arc<Snapshot>),
    /// Time has passed; what the wall clock shows now, which may step.
    Tick(Time),
    /// A key was pressed.
    Key(Key),
    /// The terminal has another size, in columns and lines.
    Resize(u16, u16),
    /// Other themes can be chosen.
    Themes(ThemeList),
    /// Something is wrong with a file.
    Warning(String),
    /// Something about files is in order again.
    Notice,
}

/// What the wall wants done: nothing that leaves this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cmd {
    /// End.
    Quit,
    /// Write every cell anew.
    Redraw,
}

/// How a cluster stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// All that there is is up, by fresh evidence.
    Fine,
    /// No finding, and yet not all is up or known: for the moment.
    Unsettled,
    /// Nobody has told anything yet.
    Waiting,
    /// There are findings, the worst of this severity.
    Trouble(Severity),
    /// What is known is too old, and no finding says so yet.
    Silent,
    /// The wall itself reaches nobody.
    Blind,
}

impl State {
    /// Whether what is shown of it may be called current.
    #[must_use]
    pub fn is_current(self) -> bool {
        match self {
            Self::Fine | Self::Unsettled | Self::Trouble(_) => true,
            Self::Waiting | Self::Silent | Self::Blind => false,
        }
    }
}

/// A cluster as the wall counts it.
#[derive(Clone, Debug)]
pub struct Face<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// How it stands.
    pub state: State,
    /// Peers that are up, and all.
    pub peers: (usize, usize),
    /// Links that are up by fresh evidence, and all that nobody has detached.
    pub links: (usize, usize),
    /// What was up when something was last known, however long ago: peers and links.
    pub last_known: (usize, usize),
    /// Names of peers that are detached on purpose.
    pub detached: Vec<&'a str>,
    /// Names of peers that somebody works on, and until when.
    pub maintained: Vec<(&'a str, Time)>,
    /// Age of the newest fact.
    pub newest: Option<Duration>,
    /// Its HA groups in a line each, and whether they are well.
    pub ha: Vec<(String, bool)>,
}

/// How much something weighs; the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// A warning.
    Warning,
    /// A critical finding.
    Critical,
    /// Nothing is heard, and nobody has said why.
    Silent,
    /// The wall itself is cut off.
    Blind,
}

impl Weight {
    /// The word for it: state is never colour alone.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Silent => "NO NEWS",
            Self::Blind => "CUT OFF",
        }
    }
}

/// Something that must be seen.
#[derive(Clone, Copy, Debug)]
pub struct Trouble<'a> {
    /// How much it weighs.
    pub weight: Weight,
    /// In which cluster.
    pub cluster: &'a Cluster,
    /// What; `None` where nothing is heard and nobody has said why.
    pub finding: Option<&'a Finding>,
    /// Since when.
    pub since: Time,
    /// How old it is, where nothing newer can be known.
    pub old: Option<Duration>,
}

/// What is on screen while nothing is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// So many clusters side by side, from this place on.
    Clusters {
        /// The first.
        first: usize,
        /// How many.
        count: usize,
    },
    /// Who sees whom, in the cluster at this place.
    Mesh(usize),
    /// The peers of the cluster at this place.
    Peers(usize),
}

/// State of the wall.
#[derive(Clone, Debug)]
pub struct Wall {
    options: Options,
    /// The theme that was chosen by hand.
    theme: Option<String>,
    picture: Arc<Snapshot>,
    /// Since when everything is fine.
    fine: Option<Time>,
    /// What the wall clock shows, less our own clock, in milliseconds.
    ahead: i64,
    shift: usize,
    note: Option<(String, Time)>,
}

impl Wall {
    /// The wall over a first picture.
    #[must_use]
    pub fn new(options: Options, picture: Arc<Snapshot>, now: Time) -> Self {
        let shift = shift_at(now);
        let mut wall = Self { options, theme: None, picture, fine: None, ahead: 0, shift, note: None };
        wall.settle(now);
        wall
    }

    /// Takes a message. Keys other than `q`, Ctrl-C and `T` do nothing.
    pub fn update(&mut self, msg: Msg, now: Time) -> Option<Cmd> {
        let cmd = match msg {
            Msg::Snapshot(picture) => {
                self.picture = picture;
                None
            }
            Msg::Tick(clock) => {
                self.ahead = signed(clock).saturating_sub(signed(now));
                let shift = shift_at(now);
                // A screen that nobody touches is written anew now and then, whatever has been written over it.
                (std::mem::replace(&mut self.shift, shift) != shift).then_some(Cmd::Redraw)
            }
            Msg::Key(key) => self.key(key),
            Msg::Resize(width, height) => {
                (self.options.width, self.options.height) = (width, height);
                Some(Cmd::Redraw)
            }
            Msg::Themes(themes) => {
                self.options.themes = themes;
                None
            }
            Msg::Warning(text) => {
                self.note = Some((text, now + NOTE));
                None
            }
            Msg::Notice => {
                self.note = None;
                None
            }
        };
        self.settle(now);
        cmd
    }

    fn key(&mut self, key: Key) -> Option<Cmd> {
        match (key.code, key.ctrl, key.alt) {
            (Code::Char('q'), false, false) | (Code::Char('c'), true, false) => return Some(Cmd::Quit),
            (Code::Char('T'), false, false) => {
                self.theme = self.options.themes.after(self.theme()).map(str::to_owned);
            }
            _ => {}
        }
        None
    }

    /// Notes since when everything is fine.
    fn settle(&mut self, now: Time) {
        let fine = !self.picture.clusters.is_empty() && self.faces(now).iter().all(|f| f.state == State::Fine);
        self.fine = fine.then(|| self.fine.unwrap_or(now));
    }

    /// How far the picture stands from the upper left corner, in columns and lines.
    #[must_use]
    pub fn shift(&self) -> (u16, u16) {
        SHIFTS[self.shift]
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The picture on screen.
    #[must_use]
    pub fn picture(&self) -> &Arc<Snapshot> {
        &self.picture
    }

    /// The place of the theme that is on: the cluster's where there is one, else the usual one.
    #[must_use]
    pub fn theme(&self) -> usize {
        let cluster = if self.picture.clusters.len() == 1 { 0 } else { usize::MAX };
        self.options.themes.shown(self.theme.as_deref(), cluster)
    }

    /// What is wrong with files, as long as it stands.
    #[must_use]
    pub fn note(&self, now: Time) -> Option<&str> {
        self.note.as_ref().filter(|(_, until)| now < *until).map(|(text, _)| text.as_str())
    }

    /// What the wall clock shows when our own clock says `at`.
    #[must_use]
    pub fn clock(&self, at: Time) -> Time {
        Time::from_millis(u64::try_from(signed(at).saturating_add(self.ahead)).unwrap_or(0))
    }

    /// The clusters in the order of the fleet, counted.
    #[must_use]
    pub fn faces(&self, now: Time) -> Vec<Face<'_>> {
        self.picture.clusters.iter().map(|c| face(c, now)).collect()
    }

    /// When the cluster that is heard of least was last heard of; `None` where one has told nothing at all.
    #[must_use]
    pub fn updated(&self, now: Time) -> Option<Time> {
        let newest = |c: &Arc<Cluster>| newest(c, now).map(|age| now.before(age));
        self.picture.clusters.iter().map(newest).min().flatten()
    }

    /// What must be seen, worst first; what can't be known any more comes last.
    #[must_use]
    pub fn troubles(&self, now: Time) -> Vec<Trouble<'_>> {
        let mut all: Vec<Trouble<'_>> = self.picture.clusters.iter().flat_map(|c| troubles(c, now)).collect();
        let is_doubly_held = |t: &Trouble<'_>| t.finding.is_some_and(|f| f.kind.is_doubly_held());
        all.sort_by_key(|t| (t.old.is_some(), Reverse(t.weight), Reverse(is_doubly_held(t)), t.since));
        all
    }

    /// The page that is on, while nothing is wrong.
    #[must_use]
    pub fn page(&self, now: Time) -> Page {
        let pages = self.pages();
        let first = pages.first().copied().unwrap_or(Page::Clusters { first: 0, count: 0 });
        let Some(fine) = self.fine.filter(|_| !self.options.rotate.is_zero()) else { return first };
        let turns = now.since(fine).as_millis() / self.options.rotate.as_millis().max(1);
        let place = usize::try_from(turns % pages.len().max(1) as u128).unwrap_or(0);
        pages.get(place).copied().unwrap_or(first)
    }

    /// All pages, in the order in which they are shown.
    #[must_use]
    pub fn pages(&self) -> Vec<Page> {
        let (width, height) = (self.options.width, self.options.height);
        let all = self.picture.clusters.len();
        let each = clusters_beside(width, all);
        let mut pages: Vec<Page> =
            (0..all).step_by(each).map(|first| Page::Clusters { first, count: each.min(all - first) }).collect();
        if width >= PAGES_FROM.0 && height >= PAGES_FROM.1 {
            for (place, cluster) in self.picture.clusters.iter().enumerate() {
                let n = cluster.peers.len();
                // A line at each end, a name with a line around it.
                if n > 1 && n <= usize::from(width - SHIFT_MAX.0) && n <= 2 * usize::from(height.saturating_sub(10)) {
                    pages.push(Page::Mesh(place));
                }
                if n > 0 {
                    pages.push(Page::Peers(place));
                }
            }
        }
        pages
    }
}

/// How many of `all` clusters stand side by side on `width` columns; at least one.
#[must_use]
pub fn clusters_beside(width: u16, all: usize) -> usize {
    usize::from(width.saturating_sub(SHIFT_MAX.0) / COLUMN).clamp(1, all.max(1))
}

/// Where the picture stands at `now`, as a place of [`SHIFTS`].
fn shift_at(now: Time) -> usize {
    let times = now.as_millis() / millis(SHIFT);
    usize::try_from(times % SHIFTS.len() as u64).unwrap_or(0)
}

fn signed(at: Time) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

fn newest(cluster: &Cluster, now: Time) -> Option<Duration> {
    cluster.peers.iter().filter_map(|p| p.row_age(now)).min()
}

fn face(cluster: &Cluster, now: Time) -> Face<'_> {
    let excused: Vec<bool> = cluster.peers.iter().map(|p| p.maintenance(now).is_some()).collect();
    // Whoever was heard of at the same time as the last one.
    let last = cluster.peers.iter().filter_map(|p| p.vouched()).max();
    let spoke = |p: &Peer| p.vouched().zip(last).is_some_and(|(at, last)| last.since(at) <= cluster.limits.stale);
    let (mut up, mut all, mut known, mut missing) = (0, 0, 0, 0);
    for (i, from) in cluster.peers.iter().enumerate() {
        let fresh = from.is_row_fresh(&cluster.limits, now);
        for (j, to) in cluster.peers.iter().enumerate().filter(|(j, _)| *j != i) {
            let state = from.cells.get(j).and_then(Option::as_ref).map(|l| l.state);
            let apart = from.detached().is_some() || to.detached().is_some();
            let wanted = !apart && state != Some(LinkState::Detached);
            let is_up = fresh && state == Some(LinkState::Connected);
            all += usize::from(wanted);
            up += usize::from(is_up);
            known += usize::from(spoke(from) && state == Some(LinkState::Connected));
            missing += usize::from(wanted && !is_up && !excused[i] && !excused[j]);
        }
    }
    let peers = (peers_up(cluster, now), cluster.peers.len());
    let newest = newest(cluster, now);
    let worst = cluster.worst().filter(|s| *s >= Severity::Warning);
    // Only what somebody works on may be down and all be well.
    let is_up = |i: usize| excused[i] || cluster.peers[i].is_row_fresh(&cluster.limits, now);
    let well = missing == 0 && (0..peers.1).all(is_up);
    let ha: Vec<(String, bool)> = groups(cluster, now).iter().map(|g| calm_line(cluster, g, now)).collect();
    // An announced maintenance excuses a unit that is away; its group is told of all the same.
    let stands = ha.iter().all(|(_, well)| *well) || excused.iter().any(|e| *e);
    let state = match (newest, worst) {
        _ if blind(cluster).is_some() => State::Blind,
        (Some(age), _) if age > cluster.limits.stale => State::Silent,
        (_, Some(severity)) => State::Trouble(severity),
        (None, None) => State::Waiting,
        (Some(_), None) if well && stands => State::Fine,
        (Some(_), None) => State::Unsettled,
    };
    let label = |i: usize| cluster.label(&cluster.peers[i].id);
    Face {
        cluster,
        state,
        peers,
        links: (up, all),
        last_known: (cluster.peers.iter().filter(|p| spoke(p)).count(), known),
        detached: (0..peers.1).filter(|i| cluster.peers[*i].detached().is_some()).map(label).collect(),
        maintained: (0..peers.1)
            .filter_map(|i| cluster.peers[i].maintenance(now).map(|m| (label(i), m.until)))
            .collect(),
        newest,
        ha,
    }
}

/// The finding that the wall itself reaches nobody of this cluster.
fn blind(cluster: &Cluster) -> Option<&Finding> {
    cluster.findings.iter().find(|f| f.kind == FindingKind::WatcherBlind)
}

fn troubles(cluster: &Cluster, now: Time) -> Vec<Trouble<'_>> {
    let age = newest(cluster, now);
    let blind = blind(cluster);
    let stale = age.filter(|age| *age > cluster.limits.stale);
    let old = match blind {
        Some(f) => Some(stale.unwrap_or_else(|| now.since(f.since))),
        None => stale,
    };
    let weighed = |finding| {
        let f: &Finding = finding;
        let (weight, old) = match f.severity {
            _ if f.kind == FindingKind::WatcherBlind => (Weight::Blind, None),
            Severity::Critical => (Weight::Critical, old),
            Severity::Warning => (Weight::Warning, old),
            Severity::Notice => return None,
        };
        Some(Trouble { weight, cluster, finding: Some(f), since: f.since, old })
    };
    let mut found: Vec<Trouble<'_>> = cluster.findings.iter().filter_map(weighed).collect();
    if let (None, Some(age)) = (blind, stale) {
        let since = now.before(age);
        found.push(Trouble { weight: Weight::Silent, cluster, finding: None, since, old: None });
    }
    found
}
