//! Look-ups that fail while the links still stand: at the next dial they will be the cause (C19).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::cluster::ClusterState;
use super::findings::Candidate;
use crate::domain::finding::{FindingKind, Subject};
use crate::domain::mesh::link::{Cause, DnsResult};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// What one observer alone says waits this long, because others look the name up at their own time.
pub(super) const HOLD: Duration = Duration::from_secs(10);

/// Who accuses whom, with what and what was answered.
struct Accusation {
    by: usize,
    of: usize,
    forward: DnsResult,
    reverse: DnsResult,
    answer: Line,
}

/// Bad look-ups on live links, one candidate a peer, or one for an observer whose own resolver is the fault.
pub(super) fn live(state: &ClusterState, now: Time) -> Vec<Candidate> {
    let cluster = &state.cluster;
    let mut accusations: Vec<Accusation> = Vec::new();
    for (by, peer) in cluster.peers.iter().enumerate().filter(|(_, p)| p.is_row_fresh(&cluster.limits, now)) {
        let bad = state.extra.get(&peer.id).map(|e| &e.dns_bad[..]).unwrap_or_default();
        for of in bad {
            let Some(link) = peer.cells.get(*of).and_then(Option::as_ref) else { continue };
            accusations.push(Accusation {
                by,
                of: *of,
                forward: link.dns.forward,
                reverse: link.dns.reverse,
                answer: link.dns.answer.clone(),
            });
        }
    }
    if accusations.is_empty() {
        return Vec::new();
    }
    let mut by_accused: BTreeMap<usize, Vec<&Accusation>> = BTreeMap::new();
    let mut by_observer: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for a in &accusations {
        by_accused.entry(a.of).or_default().push(a);
        by_observer.entry(a.by).or_default().insert(a.of);
    }
    let shared: Vec<usize> = by_accused.iter().filter(|(_, by)| by.len() >= 2).map(|(of, _)| *of).collect();
    if shared.len() >= 3 && shared.len() * 2 > cluster.peers.len() {
        let all: Vec<&Accusation> = accusations.iter().collect();
        return vec![candidate(
            state,
            Subject::Cluster,
            "look-ups fail across the cluster, links still stand",
            &all,
            now,
        )];
    }
    let mut found = Vec::new();
    for (of, by) in &by_accused {
        let peer = &cluster.peers[*of];
        if by.len() >= 2 {
            let text = format!("{}; its links still stand", complaint(by, cluster.label(&peer.id)));
            found.push(candidate(state, Subject::Peer(peer.id.clone()), &text, by, now));
            continue;
        }
        let Some(one) = by.first() else { continue };
        let observer = &cluster.peers[one.by];
        let alone: Vec<&Accusation> = accusations
            .iter()
            .filter(|a| a.by == one.by && by_accused.get(&a.of).is_some_and(|by| by.len() == 1))
            .collect();
        let mut c = if alone.len() >= 2 {
            if alone.first().is_some_and(|first| first.of != *of) {
                continue; // Said once for the observer.
            }
            let text =
                format!("look-ups of its fellows fail on {} alone; links still stand", cluster.label(&observer.id));
            candidate(state, Subject::Peer(observer.id.clone()), &text, &alone, now)
        } else {
            let (a, b) = (cluster.label(&observer.id), cluster.label(&peer.id));
            let text = format!("on {a}: {}; the link still stands", complaint(by, b));
            let subject = Subject::Link { from: observer.id.clone(), to: peer.id.clone() };
            candidate(state, subject, &text, by, now)
        };
        c.hold = HOLD;
        found.push(c);
    }
    found
}

fn is_forward(by: &[&Accusation]) -> bool {
    by.iter().any(|a| a.forward.is_bad())
}

/// What is wrong with the records of `name`, as most observers see it.
fn complaint(by: &[&Accusation], name: &str) -> String {
    let forward = is_forward(by);
    let result = |a: &&Accusation| if forward { a.forward } else { a.reverse };
    let votes = |kind: DnsResult| by.iter().filter(|a| result(a) == kind).count();
    let bad = [DnsResult::Missing, DnsResult::Wrong, DnsResult::Timeout, DnsResult::Failed];
    let most = bad.into_iter().rev().max_by_key(|kind| votes(*kind)).unwrap_or(DnsResult::Failed);
    match (most, forward) {
        (DnsResult::Missing, true) => format!("the host name of {name} does not exist in DNS"),
        (DnsResult::Missing, false) => format!("the address of {name} has no reverse record"),
        (DnsResult::Wrong, true) => format!("the host name of {name} resolves to another address"),
        (DnsResult::Wrong, false) => format!("the reverse record of {name} names another host"),
        (DnsResult::Timeout, true) => format!("the look-up of {name}'s host name gets no answer in time"),
        (DnsResult::Timeout, false) => format!("the reverse look-up of {name} gets no answer in time"),
        (DnsResult::Failed | DnsResult::Untested | DnsResult::Ok, true) => {
            format!("the look-up of {name}'s host name fails on the DNS server")
        }
        (DnsResult::Failed | DnsResult::Untested | DnsResult::Ok, false) => {
            format!("the reverse look-up of {name} fails on the DNS server")
        }
    }
}

fn candidate(state: &ClusterState, subject: Subject, text: &str, by: &[&Accusation], now: Time) -> Candidate {
    let (kind, cause) = if is_forward(by) {
        (FindingKind::DnsForward, Cause::DnsForward)
    } else {
        (FindingKind::DnsReverse, Cause::DnsReverse)
    };
    let cluster = &state.cluster;
    let mut c = Candidate::new(kind, subject, now, text);
    c.cause = Some(cause);
    c.evidence = by
        .iter()
        .take(12)
        .map(|a| {
            let (from, to) = (&cluster.peers[a.by].id, &cluster.peers[a.of].id);
            let text = format!(
                "{} looks up {}: forward {}, reverse {}; {}",
                cluster.label(from),
                cluster.label(to),
                a.forward.as_str(),
                a.reverse.as_str(),
                a.answer
            );
            Line::new(&text)
        })
        .collect();
    c
}
