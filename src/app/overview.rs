//! Several clusters: a line for each, and what is remembered of one while another is on screen (C32).

use std::time::Duration;

use super::grid::{Cursor, Order};
use super::marks::Marks;
use super::{App, FilterState, SLOTS};
use crate::domain::{Cluster, ClusterName, Event, Finding, FindingId, Severity, Snapshot, Time};

/// Former names that are remembered.
const RENAMED_MAX: usize = 64;

/// A cluster in one line.
#[derive(Clone, Debug)]
pub struct ClusterLine<'a> {
    /// Its place in the fleet.
    pub place: usize,
    /// Its name.
    pub name: &'a ClusterName,
    /// Its worst finding.
    pub worst: Option<&'a Finding>,
    /// Raised findings, critical and warning.
    pub findings: (usize, usize),
    /// Peers that are up, and all.
    pub peers: (usize, usize),
    /// Links that are up, and all.
    pub links: (usize, usize),
    /// Age of the oldest fact that counts as current.
    pub fresh: Option<Duration>,
    /// Age of the newest fact, however old.
    pub newest: Option<Duration>,
    /// Peers in maintenance.
    pub maintenance: usize,
    /// Peers that are detached on purpose.
    pub detached: usize,
}

/// Where somebody was in a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    connections: bool,
    zoom: [bool; SLOTS],
    cursor: Cursor,
    order: Order,
    faults_only: bool,
    filters: [FilterState; SLOTS],
    settings: super::settings::Place,
    finding: Option<FindingId>,
    finding_at: usize,
    finding_open: bool,
    event: Option<Event>,
    marks: Marks,
    unit: super::ha::Place,
}

impl App {
    /// Shows the cluster at `place` of the fleet as it was left; nothing of the present one goes along but the view.
    pub(super) fn enter_cluster(&mut self, place: usize, now: Time) {
        let clusters = &self.picture().clusters;
        let Some(name) = clusters.get(place).map(|c| c.name.clone()) else { return };
        if place == self.cluster {
            return;
        }
        let left = Place {
            connections: self.connections,
            zoom: self.zoom,
            cursor: std::mem::take(&mut self.cursor),
            order: std::mem::take(&mut self.order),
            faults_only: self.faults_only,
            filters: std::mem::take(&mut self.filters),
            finding: self.finding.take(),
            finding_at: self.finding_place,
            finding_open: self.finding_open,
            event: self.event.take(),
            marks: std::mem::take(&mut self.marks),
            settings: std::mem::take(&mut self.desk.place),
            unit: std::mem::take(&mut self.unit),
        };
        if let Some(old) = self.cluster().map(|c| c.name.clone()) {
            self.places.insert(old, left);
        }
        let found = self.places.remove(&name).unwrap_or_default();
        self.cluster = place;
        self.connections = found.connections;
        self.zoom = found.zoom;
        self.cursor = found.cursor;
        self.order = found.order;
        self.faults_only = found.faults_only;
        self.filters = found.filters;
        self.finding = found.finding;
        self.finding_place = found.finding_at;
        self.finding_open = found.finding_open;
        self.event = found.event;
        self.marks = found.marks;
        self.desk.place = found.settings;
        self.unit = found.unit;
        self.settle(now);
    }

    /// Whether the fleet has more than one cluster.
    #[must_use]
    pub fn has_clusters(&self) -> bool {
        self.picture().clusters.len() > 1
    }

    /// Every cluster of the fleet whose name contains `query`, in the fleet's order.
    #[must_use]
    pub fn cluster_lines(&self, query: &str, now: Time) -> Vec<ClusterLine<'_>> {
        let low = query.trim().to_lowercase();
        let moment = self.moment(now);
        let clusters = self.picture().clusters.iter().enumerate();
        clusters
            .filter(|(_, c)| super::filter::contains(c.name.as_str(), &low))
            .map(|(place, c)| line(place, c, moment))
            .collect()
    }

    /// The events of the cluster on screen, oldest first, whatever the filter.
    #[must_use]
    pub fn events_here(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.picture().events.iter().filter(|e| self.is_event_here(e))
    }

    /// Whether `name` is the present cluster's, now or before its peers said how they call it.
    pub(super) fn is_name_here(&self, name: &ClusterName) -> bool {
        let now = self.renamed.get(name).unwrap_or(name);
        self.cluster().is_some_and(|c| c.name == *now)
    }

    /// Notes that clusters are called otherwise in `next`: what is remembered under the old name goes along.
    pub(super) fn note_names(&mut self, next: &Snapshot) {
        let is_used = |name: &ClusterName| next.clusters.iter().any(|c| c.name == *name);
        if self.live.clusters.len() != next.clusters.len() {
            return;
        }
        let pairs = self.live.clusters.iter().zip(&next.clusters).map(|(a, b)| (a.name.clone(), b.name.clone()));
        for (old, new) in pairs.filter(|(old, new)| old != new && !is_used(old)).collect::<Vec<_>>() {
            self.renamed.values_mut().filter(|v| **v == old).for_each(|v| v.clone_from(&new));
            if self.renamed.len() < RENAMED_MAX {
                self.renamed.insert(old.clone(), new.clone());
            }
            if let Some(place) = self.places.remove(&old) {
                self.places.insert(new, place);
            }
        }
    }

    /// Whether an event belongs to the cluster on screen.
    pub(super) fn is_event_here(&self, event: &Event) -> bool {
        !self.has_clusters() || event.cluster.as_ref().is_none_or(|name| self.is_name_here(name))
    }
}

fn line(place: usize, cluster: &Cluster, now: Time) -> ClusterLine<'_> {
    let count = |severity| cluster.findings.iter().filter(|f| f.severity == severity).count();
    let ages = || cluster.peers.iter().filter_map(|p| p.row_age(now));
    let (links, links_up) = cluster.link_counts(now);
    ClusterLine {
        place,
        name: &cluster.name,
        // They stand worst first.
        worst: cluster.findings.first(),
        findings: (count(Severity::Critical), count(Severity::Warning)),
        peers: (peers_up(cluster, now), cluster.peers.len()),
        links: (links_up, links),
        fresh: ages().filter(|age| *age <= cluster.limits.stale).max(),
        newest: ages().min(),
        maintenance: cluster.peers.iter().filter(|p| p.maintenance(now).is_some()).count(),
        detached: cluster.peers.iter().filter(|p| p.detached().is_some()).count(),
    }
}

/// Peers that are on the line, or known by fellows' fresh word.
pub(super) fn peers_up(cluster: &Cluster, now: Time) -> usize {
    cluster.peers.iter().filter(|p| p.is_reached() || p.is_row_fresh(&cluster.limits, now)).count()
}
