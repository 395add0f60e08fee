//! What changed lately: the picture's events, grouped by whom they are about, worst first.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alarms::is_same;
use super::filter::contains;
use super::lists::about;
use super::{App, plural};
use crate::domain::event::EventKind;
use crate::domain::{Cluster, Event, Severity, Subject, Time};

/// How far back the list can reach.
pub const SPANS: [Duration; 3] = [Duration::from_mins(10), Duration::from_hours(1), Duration::from_hours(24)];

/// What kind of change a line tells of; the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Change {
    /// A finding was raised and is still there.
    Raised(std::cmp::Reverse<Severity>),
    /// Links changed their state and are not up.
    LinksDown,
    /// A unit of an HA group changed its role.
    Role,
    /// A peer was lost, or reached again.
    Reach,
    /// A finding came and went.
    CameAndWent,
    /// Links changed their state and are up again.
    LinksUp,
    /// A finding that was there is gone.
    Cleared,
    /// Membership, settings, maintenance.
    Membership,
    /// Commands and what became of them.
    Command,
    /// A peer's own log.
    Log,
}

/// A line of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recent {
    /// About whom; links that went the same way are one line about the cluster.
    pub subject: Subject,
    /// What kind.
    pub change: Change,
    /// When it happened last.
    pub at: Time,
    /// How often, or how many.
    pub count: usize,
    /// In one sentence.
    pub text: String,
}

impl App {
    /// How far back the list of what changed reaches.
    #[must_use]
    pub fn recent_span(&self) -> Duration {
        SPANS[self.recent % SPANS.len()]
    }

    pub(super) fn next_span(&mut self) {
        self.recent = (self.recent + 1) % SPANS.len();
    }

    /// From when on the list of what changed is complete; later than its span where more happened than is kept.
    #[must_use]
    pub fn recent_from(&self, now: Time) -> Time {
        let from = self.moment(now).before(self.recent_span());
        let oldest = self.picture().events.first().map_or(from, |e| e.at);
        if self.picture().events.len() < EVENTS_KEPT { from } else { from.max(oldest) }
    }

    /// What changed lately in the cluster on screen: grouped by whom it is about, worst first, newest first.
    #[must_use]
    pub fn recent_lines(&self, query: &str, now: Time) -> Vec<Recent> {
        let Some(cluster) = self.cluster() else { return Vec::new() };
        let moment = self.moment(now);
        let from = moment.before(self.recent_span());
        let events: Vec<&Event> = self.events_here().filter(|e| e.at >= from && e.at <= moment).collect();
        let mut lines = links(cluster, &events);
        lines.extend(self.findings_changed(cluster, &events));
        lines.extend(others(&events));
        let low = query.trim().to_lowercase();
        lines.retain(|l| contains(&l.text, &low) || contains(&about(Some(cluster), &l.subject), &low));
        // A subject stands where its worst line stands.
        let mut worst: BTreeMap<Subject, (Change, std::cmp::Reverse<Time>)> = BTreeMap::new();
        for line in &lines {
            let rank = (line.change, std::cmp::Reverse(line.at));
            let known = worst.entry(line.subject.clone()).or_insert(rank);
            *known = (*known).min(rank);
        }
        lines.sort_by_cached_key(|l| {
            (worst.get(&l.subject).copied(), l.subject.clone(), l.change, std::cmp::Reverse(l.at))
        });
        lines
    }

    /// Findings that were raised or cleared: a line each.
    fn findings_changed(&self, cluster: &Cluster, events: &[&Event]) -> Vec<Recent> {
        struct Seen<'a> {
            first: EventKind,
            last: &'a Event,
            raised: usize,
        }
        let mut seen: Vec<Seen<'_>> = Vec::new();
        for event in events {
            let raised = match event.kind {
                EventKind::Raised => 1,
                EventKind::Changed | EventKind::Cleared => 0,
                EventKind::Link
                | EventKind::Reach
                | EventKind::Membership
                | EventKind::Peer
                | EventKind::Role
                | EventKind::Command => {
                    continue;
                }
            };
            let same = |s: &&mut Seen<'_>| {
                s.last.subject == event.subject && is_same(s.last.text.as_str(), event.text.as_str())
            };
            match seen.iter_mut().find(same) {
                Some(known) => {
                    known.last = event;
                    known.raised += raised;
                }
                None => seen.push(Seen { first: event.kind, last: event, raised }),
            }
        }
        let line = |s: Seen<'_>| {
            let (event, n) = (s.last, s.raised);
            let there = cluster
                .findings
                .iter()
                .find(|f| f.subject == event.subject && is_same(f.text.as_str(), event.text.as_str()));
            let told = self.alert_book().notices.iter().rev().map(|n| &n.alert.seen.finding);
            let severity = || {
                let mut known = there.into_iter().chain(told.filter(|f| f.subject == event.subject));
                known.next().map_or(Severity::Warning, |f| f.severity)
            };
            let (change, how) = match (event.kind == EventKind::Cleared, s.first) {
                (false, EventKind::Changed) if n == 0 => {
                    (Change::Raised(std::cmp::Reverse(severity())), "changed".into())
                }
                (false, _) if n > 1 => {
                    (Change::Raised(std::cmp::Reverse(severity())), format!("raised {n} times, is there"))
                }
                (false, _) => (Change::Raised(std::cmp::Reverse(severity())), "raised".to_owned()),
                (true, EventKind::Raised) if n > 1 => (Change::CameAndWent, format!("came and went {n} times")),
                (true, EventKind::Raised) => (Change::CameAndWent, "came and went".to_owned()),
                (true, _) => (Change::Cleared, "cleared".to_owned()),
            };
            let text = format!("{how}: {}", event.text);
            Recent { subject: event.subject.clone(), change, at: event.at, count: n.max(1), text }
        };
        seen.into_iter().map(line).collect()
    }
}

/// Events that a picture keeps: with fewer, nothing was dropped.
const EVENTS_KEPT: usize = 2000;

/// Links that changed their state, folded by what they are now: `12 links: down (timeout)`.
fn links(cluster: &Cluster, events: &[&Event]) -> Vec<Recent> {
    let mut last: BTreeMap<&Subject, &Event> = BTreeMap::new();
    for event in events.iter().filter(|e| e.kind == EventKind::Link) {
        last.insert(&event.subject, event);
    }
    let mut folded: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in last.into_values() {
        let text = event.text.as_str();
        // `lab1 → lab2: down (timeout), was connected`
        let now = text.rsplit_once(": ").map_or(text, |(_, now)| now.split(", was ").next().unwrap_or(now));
        folded.entry(now).or_default().push(event);
    }
    let line = |(now, events): (&str, Vec<&Event>)| {
        let n = events.len();
        let names: Vec<String> = events.iter().take(3).filter_map(|e| link_name(cluster, &e.subject)).collect();
        let more = if n > names.len() { format!(" and {} more", n - names.len()) } else { String::new() };
        let up = now.starts_with("connected");
        Recent {
            subject: Subject::Cluster,
            change: if up { Change::LinksUp } else { Change::LinksDown },
            at: events.iter().map(|e| e.at).max().unwrap_or_default(),
            count: n,
            text: format!("{n} {}: {now}: {}{more}", plural(n, "link"), names.join(", ")),
        }
    };
    folded.into_iter().map(line).collect()
}

fn link_name(cluster: &Cluster, subject: &Subject) -> Option<String> {
    match subject {
        Subject::Link { from, to } => Some(format!("{} to {}", cluster.label(from), cluster.label(to))),
        Subject::Watcher
        | Subject::Cluster
        | Subject::Peer(_)
        | Subject::Pair { .. }
        | Subject::Group(_)
        | Subject::Groups { .. }
        | Subject::Ha(_) => None,
    }
}

/// Everything else: equal sentences about the same subject are one line.
fn others(events: &[&Event]) -> Vec<Recent> {
    let mut lines: Vec<Recent> = Vec::new();
    let mut places: BTreeMap<(Change, &Subject, &str), usize> = BTreeMap::new();
    for event in events {
        let change = match event.kind {
            EventKind::Role => Change::Role,
            EventKind::Reach => Change::Reach,
            EventKind::Membership => Change::Membership,
            EventKind::Command => Change::Command,
            EventKind::Peer => Change::Log,
            EventKind::Link | EventKind::Raised | EventKind::Changed | EventKind::Cleared => continue,
        };
        let place = *places.entry((change, &event.subject, event.text.as_str())).or_insert(lines.len());
        match lines.get_mut(place) {
            Some(line) => {
                line.count += 1;
                line.at = event.at;
            }
            None => lines.push(Recent {
                subject: event.subject.clone(),
                change,
                at: event.at,
                count: 1,
                text: event.text.to_string(),
            }),
        }
    }
    lines
}
