//! Who sees whom: `connstatus`.

use std::fmt::Write;

use std::collections::BTreeMap;

use serde::Serialize;

use super::check::{Check, Value, plugin_line};
use super::table::{Style, Table, Tone, cell, paint};
use super::{
    MaintenanceDoc, chosen, count, detached, host, is_heard, maintenance_note, milliseconds, reachable, rfc3339,
    seconds, serial,
};
use crate::domain::ids::PeerId;
use crate::domain::mesh::link::Link;
use crate::domain::mesh::route::{Edges, Route, routes};
use crate::domain::snapshot::{Cluster, Snapshot};
use crate::domain::time::{Time, human, human_rtt};
use crate::domain::{LinkState, ReachState};

/// `peerdeck.connstatus/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConnstatusDoc {
    schema: &'static str,
    /// When the picture was made.
    at: String,
    /// Whether every peer had answered or failed by then.
    complete: bool,
    /// Every peer.
    pub peers: Vec<PeerDoc>,
    /// Every directed link.
    pub links: Vec<LinkDoc>,
}

/// A peer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PeerDoc {
    /// Full host name.
    pub peer: String,
    /// Serial number.
    pub serial: Option<String>,
    /// Its cluster.
    pub cluster: String,
    /// Whether it is reached from here.
    pub reachable: Option<bool>,
    /// Why it is not.
    pub cause: Option<&'static str>,
    /// Product and version.
    pub version: Option<String>,
    /// Level of settings and mesh.
    pub level: Option<u32>,
    /// Its group.
    pub group: Option<String>,
    /// Whether it is disconnected on purpose.
    pub detached: Option<bool>,
    /// What was announced while somebody works on it.
    pub maintenance: Option<MaintenanceDoc>,
    /// Age of what it said last.
    pub age_s: Option<f64>,
}

/// A link.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LinkDoc {
    /// Its cluster.
    pub cluster: String,
    /// Who observes.
    pub from: String,
    /// Who is observed.
    pub to: String,
    /// `connected`, `connecting`, `down`, `detached` or `unknown`.
    pub state: &'static str,
    /// Why it is not connected.
    pub cause: Option<&'static str>,
    /// Round trip of the newest ping, while it is connected.
    pub rtt_ms: Option<f64>,
    /// Since when it is in this state.
    pub since: Option<String>,
    /// The peers in between, when another way is known; null when it is direct or there is none.
    pub via: Option<Vec<String>>,
    /// Age of the evidence.
    pub age_s: Option<f64>,
}

/// The document.
#[must_use]
pub fn document(snapshot: &Snapshot, only: Option<&str>, complete: bool) -> ConnstatusDoc {
    let now = snapshot.at;
    let mut peers = Vec::new();
    let mut links = Vec::new();
    for cluster in chosen(snapshot, only) {
        for peer in &cluster.peers {
            let identity = peer.identity.as_ref();
            peers.push(PeerDoc {
                peer: peer.host.to_string(),
                serial: serial(peer),
                cluster: cluster.name.to_string(),
                reachable: reachable(cluster, peer, now),
                cause: peer
                    .reach
                    .cause
                    .filter(|_| peer.reach.state == ReachState::Unreachable)
                    .map(super::super::domain::mesh::link::Cause::as_str),
                version: identity.map(|i| i.version.to_string()),
                level: identity.map(|i| i.level),
                group: peer.group.as_ref().map(ToString::to_string),
                detached: detached(cluster, peer, now),
                maintenance: MaintenanceDoc::of(peer, now),
                age_s: peer.reach.heard.map(|h| seconds(now.since(h))),
            });
        }
        for_each_link(cluster, now, |link| links.push(link.document(cluster)));
    }
    ConnstatusDoc { schema: "peerdeck.connstatus/1", at: rfc3339(now), complete, peers, links }
}

/// A cell of the grid with its way.
struct Seen<'a> {
    from: usize,
    to: usize,
    cell: crate::domain::snapshot::Cell<'a>,
    via: Option<Vec<PeerId>>,
}

impl Seen<'_> {
    fn document(&self, cluster: &Cluster) -> LinkDoc {
        let known = self.cell.link.filter(|_| self.cell.state != LinkState::Unknown);
        LinkDoc {
            cluster: cluster.name.to_string(),
            from: cluster.peers[self.from].host.to_string(),
            to: cluster.peers[self.to].host.to_string(),
            state: self.cell.state.as_str(),
            cause: self.cell.cause.map(super::super::domain::mesh::link::Cause::as_str),
            rtt_ms: known.and(self.cell.rtt).filter(|_| self.cell.state == LinkState::Connected).map(milliseconds),
            since: known.map(|l| rfc3339(l.since)),
            via: self.via.as_ref().map(|v| v.iter().map(|id| host(cluster, id)).collect()),
            age_s: self.cell.age.map(seconds),
        }
    }
}

/// Calls `f` for every directed link, row by row. The ways are computed once for each row that needs one.
fn for_each_link(cluster: &Cluster, now: Time, mut f: impl FnMut(Seen<'_>)) {
    let edges = edges(cluster, now);
    for from in 0..cluster.peers.len() {
        let mut table: Option<BTreeMap<PeerId, Route>> = None;
        for to in 0..cluster.peers.len() {
            if from == to {
                continue;
            }
            let cell = cluster.cell(from, to, now);
            let via = match cell.state {
                LinkState::Connected | LinkState::Unknown => None,
                LinkState::Connecting | LinkState::Down | LinkState::Detached => {
                    let ways = table.get_or_insert_with(|| routes(&cluster.peers[from].id, &edges));
                    match ways.get(&cluster.peers[to].id) {
                        Some(Route::Relayed { via, .. }) => Some(via.clone()),
                        Some(Route::Direct | Route::None) | None => None,
                    }
                }
            };
            f(Seen { from, to, cell, via });
        }
    }
}

/// The links that are up by fresh rows.
fn edges(cluster: &Cluster, now: Time) -> Edges {
    let fresh = cluster.peers.iter().filter(|p| p.is_row_fresh(&cluster.limits, now));
    fresh
        .filter_map(|p| p.row.as_ref().map(|row| (p, row)))
        .map(|(p, row)| {
            let up = row.links.iter().filter(|l| l.state == LinkState::Connected);
            let rtt = |l: &Link| cluster.index.get(&l.to).and_then(|to| p.rtt(*to)).or(l.rtt).unwrap_or_default();
            (row.origin.clone(), up.map(|l| (l.to.clone(), rtt(l))).collect())
        })
        .collect()
}

/// How many peers and links are in which state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// All peers.
    pub peers: usize,
    /// Those that are reached.
    pub reachable: usize,
    /// Those of which it is not known.
    pub peers_unknown: usize,
    /// Those that somebody works on.
    pub peers_in_maintenance: usize,
    /// All directed links.
    pub links: usize,
    /// Links that are connected.
    pub connected: usize,
    /// Links that are being built.
    pub connecting: usize,
    /// Links that are down.
    pub down: usize,
    /// Links that are detached on purpose.
    pub detached: usize,
    /// Links of which nothing is known.
    pub unknown: usize,
}

impl Counts {
    /// Counts one cluster.
    #[must_use]
    pub fn of(cluster: &Cluster, now: Time) -> Self {
        Self::over(cluster, &(0..cluster.peers.len()).collect::<Vec<_>>(), now)
    }

    /// Counts what a check judges: neither peers that somebody works on nor their links.
    #[must_use]
    pub fn judged(cluster: &Cluster, now: Time) -> Self {
        let in_service = |i: &usize| cluster.peers[*i].maintenance(now).is_none();
        Self::over(cluster, &(0..cluster.peers.len()).filter(in_service).collect::<Vec<_>>(), now)
    }

    /// Counts these peers and the links between them.
    fn over(cluster: &Cluster, which: &[usize], now: Time) -> Self {
        let mut counts = Self { peers: which.len(), ..Self::default() };
        for peer in which.iter().map(|i| &cluster.peers[*i]) {
            match reachable(cluster, peer, now) {
                Some(true) => counts.reachable += 1,
                Some(false) => {}
                None => counts.peers_unknown += 1,
            }
            counts.peers_in_maintenance += usize::from(peer.maintenance(now).is_some());
        }
        for from in which {
            for to in which.iter().filter(|to| *to != from) {
                counts.links += 1;
                *match cluster.cell(*from, *to, now).state {
                    LinkState::Connected => &mut counts.connected,
                    LinkState::Connecting => &mut counts.connecting,
                    LinkState::Down => &mut counts.down,
                    LinkState::Detached => &mut counts.detached,
                    LinkState::Unknown => &mut counts.unknown,
                } += 1;
            }
        }
        counts
    }

    /// Adds another cluster's.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            peers: self.peers + other.peers,
            reachable: self.reachable + other.reachable,
            peers_unknown: self.peers_unknown + other.peers_unknown,
            peers_in_maintenance: self.peers_in_maintenance + other.peers_in_maintenance,
            links: self.links + other.links,
            connected: self.connected + other.connected,
            connecting: self.connecting + other.connecting,
            down: self.down + other.down,
            detached: self.detached + other.detached,
            unknown: self.unknown + other.unknown,
        }
    }

    /// `6/6 peers, 28/30 links`; with `, 1 in maintenance` when there is one.
    #[must_use]
    pub fn text(self) -> String {
        let work = match self.peers_in_maintenance {
            0 => String::new(),
            n => format!(", {n} in maintenance"),
        };
        format!("{}/{} peers, {}/{} links{work}", self.reachable, self.peers, self.connected, self.links)
    }

    /// As values of a monitoring plugin.
    #[must_use]
    pub fn values(self) -> Vec<Value> {
        let of_peers = |label, n| Value::count(label, n, Some(self.peers));
        let of_links = |label, n| Value::count(label, n, Some(self.links));
        vec![
            of_peers("peers_reachable", self.reachable),
            of_peers("peers_unknown", self.peers_unknown),
            of_peers("peers_in_maintenance", self.peers_in_maintenance),
            of_links("links_connected", self.connected),
            of_links("links_down", self.down),
            of_links("links_unknown", self.unknown),
        ]
    }

    /// The same with the limits of [`check`], which leaves out what is in maintenance: `judged`.
    fn limited(self, judged: Self) -> Vec<Value> {
        let spared = self.reachable.saturating_sub(judged.reachable);
        let needed = judged.peers.saturating_sub(judged.peers_unknown) + spared;
        let mut values = self.values();
        values[0] = values[0].clone().crit_below(needed);
        values[4] = values[4].clone().crit_above(self.down.saturating_sub(judged.down));
        values
    }
}

/// How old the word of the peer is that was silent for longest, as a value of a monitoring plugin.
pub(super) fn age(snapshot: &Snapshot, only: Option<&str>) -> Option<Value> {
    let ages = chosen(snapshot, only).flat_map(|c| c.peers.iter()).filter_map(|p| p.row_age(snapshot.at));
    ages.max().map(|age| Value::age("age", age))
}

/// The counts of all chosen clusters.
#[must_use]
pub fn totals(snapshot: &Snapshot, only: Option<&str>) -> Counts {
    chosen(snapshot, only).map(|c| Counts::of(c, snapshot.at)).fold(Counts::default(), Counts::plus)
}

/// As [`totals`], of what a check judges.
#[must_use]
pub fn judged(snapshot: &Snapshot, only: Option<&str>) -> Counts {
    chosen(snapshot, only).map(|c| Counts::judged(c, snapshot.at)).fold(Counts::default(), Counts::plus)
}

/// The answer as a check: down and unreachable are critical, not known is unknown, being built is a warning; detached on purpose and maintenance are none of them.
#[must_use]
pub fn check(snapshot: &Snapshot, only: Option<&str>) -> Check {
    let c = judged(snapshot, only);
    if c.down > 0 || c.reachable + c.peers_unknown < c.peers {
        Check::Critical
    } else if totals(snapshot, only).peers == 0 || c.unknown > 0 || c.peers_unknown > 0 {
        Check::Unknown
    } else if c.connecting > 0 {
        Check::Warning
    } else {
        Check::Ok
    }
}

/// The line of a monitoring plugin.
#[must_use]
pub fn plugin(snapshot: &Snapshot, only: Option<&str>) -> String {
    let counts = totals(snapshot, only);
    let mut values = counts.limited(judged(snapshot, only));
    values.extend(age(snapshot, only));
    plugin_line(check(snapshot, only), &counts.text(), &values)
}

/// Tables: every peer, then the links that are not connected (all of them when verbose).
#[must_use]
pub fn text(snapshot: &Snapshot, only: Option<&str>, style: Style) -> String {
    let now = snapshot.at;
    let mut out = String::new();
    for cluster in chosen(snapshot, only) {
        if !out.is_empty() {
            out.push('\n');
        }
        let title = format!("{}  {}", cluster.name, Counts::of(cluster, now).text());
        out.push_str(&paint(&title, Tone::Head, style));
        out.push_str("\n\n");
        out.push_str(&peers(cluster, now, style).render(style));
        let mut links = Table::new(&["FROM", "TO", "STATE", "CAUSE", "SINCE", "RTT", "VIA", "DETAIL"]);
        for_each_link(cluster, now, |seen| link_row(&mut links, cluster, now, &seen, style));
        if links.is_empty() && cluster.peers.len() > 1 {
            let _ = write!(out, "\nall {} are connected\n", count(cluster.link_counts(now).0, "link"));
        } else if !links.is_empty() {
            out.push('\n');
            out.push_str(&links.render(style));
        }
    }
    out
}

fn peers(cluster: &Cluster, now: Time, style: Style) -> Table {
    let mut table = Table::new(&["PEER", "GROUP", "REACHED", "LINKS", "VERSION", "AGE", "NOTE"]);
    for (i, peer) in cluster.peers.iter().enumerate() {
        let reached = match (reachable(cluster, peer, now), peer.reach.state) {
            (Some(true), _) => cell("yes", Tone::Good),
            (Some(false), _) => cell("no", Tone::Bad),
            (None, ReachState::AskHostKey) => cell("host key?", Tone::Warn),
            (None, ReachState::Connecting | ReachState::Connected | ReachState::Unreachable) => {
                cell("unknown", Tone::Dim)
            }
        };
        let others = (0..cluster.peers.len()).filter(|j| *j != i);
        let up = others.filter(|j| cluster.cell(i, *j, now).state == LinkState::Connected).count();
        let mut notes = Vec::new();
        if let Some(since) = peer.detached() {
            notes.push(format!("detached for {}", human(now.since(since))));
        }
        notes.extend(maintenance_note(peer, now));
        if !is_heard(cluster, peer, now) && !peer.reach.detail.is_empty() {
            notes.push(peer.reach.detail.to_string());
        }
        if peer.health.is_late() {
            notes.push(format!("its loop is {} late", human(peer.health.late)));
        }
        let host = if style.verbose { peer.host.as_str() } else { cluster.label(&peer.id) };
        table.row([
            if peer.id.is_unheard() { peer.host.as_str() } else { host }.into(),
            peer.group.as_ref().map_or("-", |g| g.as_str()).into(),
            reached,
            format!("{up}/{}", cluster.peers.len().saturating_sub(1)).into(),
            peer.identity.as_ref().map_or("-", |i| i.version.as_str()).into(),
            peer.reach.heard.map_or_else(|| "-".to_owned(), |h| human(now.since(h))).into(),
            notes.join("; ").into(),
        ]);
    }
    table
}

fn link_row(table: &mut Table, cluster: &Cluster, now: Time, seen: &Seen<'_>, style: Style) {
    let tone = match seen.cell.state {
        LinkState::Connected => Tone::Good,
        LinkState::Connecting => Tone::Warn,
        LinkState::Down => Tone::Bad,
        LinkState::Detached | LinkState::Unknown => Tone::Dim,
    };
    if seen.cell.state == LinkState::Connected && !style.verbose {
        return;
    }
    let known = seen.cell.link.filter(|_| seen.cell.state != LinkState::Unknown);
    let rtt = known.and(seen.cell.rtt).filter(|_| seen.cell.state == LinkState::Connected);
    let via = seen.via.iter().flatten().map(|id| cluster.label(id)).collect::<Vec<_>>().join(", ");
    let detail = match known {
        Some(l) => l.detail.to_string(),
        None => {
            seen.cell.age.map_or_else(|| "nobody has told".to_owned(), |age| format!("last told {} ago", human(age)))
        }
    };
    table.row([
        cluster.label(&cluster.peers[seen.from].id).into(),
        cluster.label(&cluster.peers[seen.to].id).into(),
        cell(seen.cell.state.as_str(), tone),
        seen.cell.cause.map_or("", |c| c.as_str()).into(),
        known.map_or_else(String::new, |l| human(now.since(l.since))).into(),
        rtt.map_or_else(String::new, human_rtt).into(),
        via.into(),
        detail.into(),
    ]);
}
