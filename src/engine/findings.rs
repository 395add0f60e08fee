//! Conditions into findings: raised once after they held, cleared once after they were gone.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use strum::IntoEnumIterator;

use super::Effect;
use super::advice;
use super::out::Out;
use crate::domain::event::EventKind;
use crate::domain::finding::{Finding, FindingId, FindingKind, Severity, Subject, Transition};
use crate::domain::mesh::link::Cause;
use crate::domain::snapshot::{Cluster, Limits};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// While things are in motion a condition waits for at most this many grouping times.
const UNQUIET_MAX: u32 = 3;

/// A condition that holds now, before anybody is told.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub kind: FindingKind,
    pub subject: Subject,
    pub since: Time,
    pub text: Line,
    pub evidence: Vec<Line>,
    /// What to do; chosen by the cause.
    pub cause: Option<Cause>,
    /// Cells that it explains: a finding about them alone is part of it.
    pub cells: Vec<(usize, usize)>,
    /// Not before this moment.
    pub not_before: Time,
    /// When something last changed around it: explanations may still shift.
    pub disturbed: Option<Time>,
    /// Held for at least this long, if that is longer than the grouping time.
    pub hold: Duration,
}

#[derive(Debug)]
struct Entry {
    candidate: Candidate,
    /// Since when it holds without a break.
    first: Time,
    raised: Option<Finding>,
    gone: Option<Time>,
    /// Another text than the one that was told, and since when: told once it has held too.
    news: Option<(String, Time)>,
}

/// The findings of one cluster.
#[derive(Debug, Default)]
pub(super) struct Tracker(BTreeMap<(FindingKind, Subject), Entry>);

impl Tracker {
    /// Takes the conditions that hold now; whether the raised findings changed.
    ///
    /// While this console is `blind` nothing is known of other findings: those that are raised stay as they
    /// are, and none is added.
    pub fn update(&mut self, candidates: Vec<Candidate>, blind: bool, cluster: &Cluster, out: &mut Out<'_>) -> bool {
        let now = out.now;
        let limits = &cluster.limits;
        let mut changed = false;
        let mut present: BTreeMap<(FindingKind, Subject), Candidate> = BTreeMap::new();
        for candidate in candidates {
            let key = (candidate.kind, candidate.subject.clone());
            present.entry(key).and_modify(|c| c.evidence.extend(candidate.evidence.clone())).or_insert(candidate);
        }
        for (key, candidate) in &present {
            let entry = self.0.entry(key.clone()).or_insert_with(|| Entry {
                candidate: candidate.clone(),
                first: now,
                raised: None,
                gone: None,
                news: None,
            });
            entry.gone = None;
            entry.candidate = candidate.clone();
            match &mut entry.raised {
                None if entry.candidate.is_ripe(entry.first, limits.group, now) => {
                    let mut finding = entry.candidate.finding(cluster);
                    finding.since = finding.since.min(entry.first);
                    tell(Transition::Raised, &finding, out);
                    entry.raised = Some(finding);
                    changed = true;
                }
                None => {}
                Some(finding) => {
                    changed |= refresh(finding, &mut entry.news, &entry.candidate, limits.group, out);
                }
            }
        }
        let covering: Vec<&Candidate> = present
            .iter()
            .filter(|(key, _)| self.0.get(*key).is_some_and(|e| e.raised.is_some()))
            .map(|(_, c)| c)
            .collect();
        self.0.retain(|key, entry| {
            if present.contains_key(key) {
                return true;
            }
            let Some(finding) = &entry.raised else { return blind && entry.raised.is_some() };
            if blind {
                return true;
            }
            let gone = *entry.gone.get_or_insert(now);
            let part = covering.iter().any(|c| c.covers(&entry.candidate.subject, cluster));
            if part || entry.candidate.is_announced() || now.since(gone) >= limits.recovery {
                tell(Transition::Cleared, finding, out);
                changed = true;
                return false;
            }
            true
        });
        changed
    }

    /// Clears all that is raised: their subject is no longer looked at.
    pub fn clear(&mut self, out: &mut Out<'_>) {
        for finding in std::mem::take(&mut self.0).values().filter_map(|e| e.raised.as_ref()) {
            tell(Transition::Cleared, finding, out);
        }
    }

    /// Whether no condition holds, raised or not yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When conditions that hold now, or are gone, have been so for long enough.
    pub fn next<'a>(&'a self, limits: &'a Limits) -> impl Iterator<Item = Time> + 'a {
        self.0.values().filter_map(|entry| match (entry.gone, &entry.raised, &entry.news) {
            (Some(gone), _, _) => Some(gone + limits.recovery),
            (None, None, _) => Some(entry.candidate.ripe(entry.first, limits.group)),
            (None, Some(_), Some((_, since))) => Some(*since + limits.group),
            (None, Some(_), None) => None,
        })
    }

    /// Raised findings, worst and oldest first.
    pub fn raised(&self) -> Vec<Finding> {
        let mut raised: Vec<Finding> = self.0.values().filter_map(|e| e.raised.clone()).collect();
        raised.sort_by(|a, b| place(a).cmp(&place(b)));
        raised
    }
}

/// What findings are sorted by.
fn place(finding: &Finding) -> (Reverse<Severity>, Reverse<bool>, Time, &FindingId) {
    (Reverse(finding.severity), Reverse(finding.kind.is_doubly_held()), finding.since, &finding.id)
}

impl Candidate {
    fn is_ripe(&self, first: Time, group: Duration, now: Time) -> bool {
        now >= self.ripe(first, group)
    }

    /// When it has held for long enough, if nothing more is disturbed around it.
    fn ripe(&self, first: Time, group: Duration) -> Time {
        if self.is_announced() {
            return first;
        }
        let quiet = self.disturbed.map_or(first, |at| (at + group).min(first + group * UNQUIET_MAX));
        (first + group.max(self.hold)).max(self.not_before).max(quiet)
    }

    /// Whether somebody said so, instead of it being seen: it needs no time to prove itself, nor does its end.
    fn is_announced(&self) -> bool {
        self.kind == FindingKind::Maintenance
    }

    /// Whether a finding about `subject` alone is part of this one.
    fn covers(&self, subject: &Subject, cluster: &Cluster) -> bool {
        let (a, b) = match subject {
            Subject::Pair { a, b } | Subject::Link { from: a, to: b } => (a, b),
            Subject::Peer(p) if self.is_announced() => return self.subject == Subject::Peer(p.clone()),
            Subject::Peer(p) => {
                let Some(at) = cluster.index.get(p) else { return false };
                let whole = matches!(self.subject, Subject::Group(_)) && self.kind == FindingKind::GroupsCut;
                return whole && self.cells.iter().any(|(i, j)| i == at || j == at);
            }
            Subject::Watcher | Subject::Cluster | Subject::Group(_) | Subject::Groups { .. } | Subject::Ha(_) => {
                return false;
            }
        };
        let (Some(i), Some(j)) = (cluster.index.get(a), cluster.index.get(b)) else { return false };
        self.cells.iter().any(|cell| *cell == (*i, *j) || *cell == (*j, *i))
    }

    fn finding(&self, cluster: &Cluster) -> Finding {
        Finding {
            id: FindingId::new(self.kind, &cluster.name, &self.subject),
            cluster: cluster.name.clone(),
            kind: self.kind,
            severity: self.kind.severity(),
            subject: self.subject.clone(),
            since: self.since,
            text: self.text.clone(),
            evidence: self.evidence.clone(),
            advice: advice::of(self.kind, self.cause),
        }
    }
}

/// Takes over what is news, once it has held; whether anything of the finding changed.
fn refresh(
    finding: &mut Finding,
    news: &mut Option<(String, Time)>,
    candidate: &Candidate,
    group: Duration,
    out: &mut Out<'_>,
) -> bool {
    let mut changed = false;
    if finding.evidence != candidate.evidence {
        finding.evidence.clone_from(&candidate.evidence);
        changed = true;
    }
    if finding.text == candidate.text {
        *news = None;
        return changed;
    }
    let (told, now) = (material(&finding.text), material(&candidate.text));
    if told != now {
        // While something comes and goes, explanations shift for a moment.
        let since = match news {
            Some((text, since)) if *text == now => *since,
            Some(_) | None => {
                *news = Some((now, out.now));
                return changed;
            }
        };
        if out.now.since(since) < group {
            return changed;
        }
    }
    *news = None;
    finding.text = candidate.text.clone();
    finding.advice = advice::of(candidate.kind, candidate.cause);
    if told != material(&finding.text) {
        tell(Transition::Changed, finding, out);
    }
    true
}

/// The text without what may change from dial to dial: the cause in brackets, and amounts.
fn material(text: &Line) -> String {
    let mut text = text.to_string();
    for cause in Cause::iter() {
        text = text.replace(&format!(" ({})", cause.as_str()), "");
    }
    match text.split_once(" by about ") {
        Some((before, _)) => before.to_owned(),
        None => text,
    }
}

fn tell(transition: Transition, finding: &Finding, out: &mut Out<'_>) {
    let kind = match transition {
        Transition::Raised => EventKind::Raised,
        Transition::Changed => EventKind::Changed,
        Transition::Cleared => EventKind::Cleared,
    };
    out.effect(Effect::Alert(transition, finding.clone()));
    out.happened(kind, finding.subject.clone(), finding.text.as_str());
}
