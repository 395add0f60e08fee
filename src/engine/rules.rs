//! Which conditions hold now: the verdicts, and rules about single facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::cluster::ClusterState;
use super::dns_rules;
use super::findings::Candidate;
use super::flaps::CALM;
use super::ha_rules;
use super::held_back;
use super::settings_rules;
use crate::domain::finding::{FindingKind, Subject};
use crate::domain::ids::PeerId;
use crate::domain::mesh::link::{Cause, LinkState};
use crate::domain::mesh::verdict::Verdict;
use crate::domain::reach::ReachState;
use crate::domain::snapshot::Peer;
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

/// Something that happens at one moment (drops, garbage) counts as going on for this long.
const LINGER: Duration = Duration::from_mins(1);

/// A peer that is understood again, so long after it was not, has come to its senses.
pub(super) const SENSIBLE: Duration = Duration::from_secs(10);

/// A peer that drops in one report was stopped for a moment; in this many it is too slow.
pub(super) const DROPS: usize = 3;

/// From so many flapping links on, a peer is named instead of its links.
const FLAPPING_PEER: usize = 3;

impl Candidate {
    pub fn new(kind: FindingKind, subject: Subject, since: Time, text: &str) -> Self {
        Self {
            kind,
            subject,
            since,
            text: Line::new(text),
            evidence: Vec::new(),
            cause: None,
            cells: Vec::new(),
            not_before: Time::ZERO,
            disturbed: None,
            hold: Duration::ZERO,
        }
    }
}

/// All conditions of one cluster that hold at `now`.
pub(super) fn candidates(state: &ClusterState, now: Time) -> Vec<Candidate> {
    let verdicts = &state.cluster.verdicts;
    if let Some(blind) = verdicts.iter().find(|v| v.kind == FindingKind::WatcherBlind) {
        return vec![of_verdict(state, blind, now)];
    }
    let mut all: Vec<Candidate> = verdicts.iter().map(|v| of_verdict(state, v, now)).collect();
    let flapping = flapping(state, now);
    all.retain(|c| !is_part_of_flapping(c, &flapping));
    all.extend(flapping);
    all.extend(host_key_unknown(state));
    let explained = explained_peers(state, &all, now);
    all.extend(unknown_too_long(state, &explained, now));
    all.extend(dns_rules::live(state, now));
    all.extend(versions(state, now));
    all.extend(clock_skew(state, now));
    for peer in &state.cluster.peers {
        all.extend(detached_long(state, peer, now));
        all.extend(unwell_talk(state, peer, now));
    }
    all.extend(ignored(state, now));
    all.extend(settings_rules::candidates(state, now));
    let unseen = ha_rules::candidates(state, &all, now);
    all.extend(unseen);
    if let Some(at) = state.dropping.filter(|at| now.since(*at) < LINGER) {
        let text = "this console could not take in all that was reported";
        all.push(Candidate::new(FindingKind::ObservationsDropped, Subject::Watcher, at, text));
    }
    held_back::hold(state, all, now)
}

fn of_verdict(state: &ClusterState, v: &Verdict, now: Time) -> Candidate {
    let cluster = &state.cluster;
    let mut c = Candidate::new(v.kind, v.subject.clone(), v.since, v.text.as_str());
    c.evidence.clone_from(&v.evidence);
    c.cells.clone_from(&v.cells);
    let link = |(i, j): &(usize, usize)| cluster.peers.get(*i).and_then(|p| p.cells.get(*j)).and_then(Option::as_ref);
    c.cause = v.cells.iter().find_map(|cell| link(cell).and_then(|l| l.cause));
    let reach = v.subject.peers().next().and_then(|p| cluster.peer(p)).map(|p| &p.reach);
    // What only this console saw counts after the longer limit; what fellows agree on after the grouping time.
    let witnessed = v.cells.iter().any(|cell| link(cell).is_some_and(|l| l.state == LinkState::Down));
    match v.kind {
        FindingKind::WatcherBlind => c.not_before = v.since + cluster.limits.unreachable,
        FindingKind::PeerUnobserved | FindingKind::LoginRefused => {
            c.not_before = reach.map_or(v.since, |r| r.since) + cluster.limits.unreachable;
        }
        FindingKind::PeerUnreachable | FindingKind::GroupsCut | FindingKind::DnsForward if !witnessed => {
            c.not_before = v.since + cluster.limits.unreachable;
        }
        _ => {}
    }
    // Only a host key and a level are beyond doubt at once; all else may turn out to be part of something wider.
    let may_shift =
        !matches!(v.kind, FindingKind::HostKeyChanged | FindingKind::LevelMismatch | FindingKind::WatcherBlind);
    if may_shift {
        let cells = v.cells.iter().flat_map(|(i, j)| [*i, *j]).filter_map(|i| cluster.peers.get(i)).map(|p| &p.id);
        let who: BTreeSet<&PeerId> = if v.kind == FindingKind::PeerUnreachable {
            v.subject.peers().collect()
        } else {
            cells.chain(v.subject.peers()).collect()
        };
        c.disturbed = who.into_iter().filter_map(|id| state.extra.get(id)).map(|e| e.disturbed).max();
    }
    if matches!(v.subject, Subject::Link { .. }) && matches!(v.kind, FindingKind::DnsForward | FindingKind::DnsReverse)
    {
        c.hold = dns_rules::HOLD; // A second observer may say the same soon.
    }
    if v.kind == FindingKind::LinkDown && datagrams_pass(state, v, now) {
        // They may just not be missed yet: which direction fails is seen a little later than that one does.
        c.hold = cluster.limits.group * 3;
    }
    c
}

/// Whether a link is said to be silent while the datagrams of both sides arrive.
fn datagrams_pass(state: &ClusterState, v: &Verdict, now: Time) -> bool {
    let silent = |(i, j): &(usize, usize)| {
        let cell = state.cluster.cell(*i, *j, now);
        matches!(cell.cause, None | Some(Cause::Timeout | Cause::Dropped))
    };
    let pass = |(i, j): &(usize, usize)| {
        state.cluster.arrives(*i, *j, now) == Some(true) && state.cluster.arrives(*j, *i, now) == Some(true)
    };
    v.cells.iter().all(silent) && v.cells.first().is_some_and(pass)
}

/// A peer most of whose links flap.
struct Restless {
    most: u32,
    since: Time,
    cells: Vec<(usize, usize)>,
}

/// Links that go up and down; peers all of whose links do.
fn flapping(state: &ClusterState, now: Time) -> Vec<Candidate> {
    let cluster = &state.cluster;
    let limit = cluster.limits.flap_changes;
    let mut pairs: BTreeMap<(PeerId, PeerId), (u32, Time)> = BTreeMap::new();
    let mut late: BTreeSet<(PeerId, PeerId)> = BTreeSet::new();
    let mut note = |a: &PeerId, b: &PeerId, n: u32, since: Time| {
        let key = if a <= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
        let seen = pairs.entry(key).or_insert((n, since));
        *seen = (seen.0.max(n), seen.1.min(since));
    };
    for (from, to, n, since) in state.flaps.over(limit, now) {
        note(from, to, n, since);
    }
    for peer in &cluster.peers {
        let restless = state.extra.get(&peer.id).map(|e| &e.flapping[..]).unwrap_or_default();
        let links = restless.iter().filter_map(|j| peer.cells.get(*j)?.as_ref());
        for link in links {
            if now.since(link.since) <= CALM && link.changes >= limit {
                note(&peer.id, &link.to, link.changes, link.since);
            }
            // Too fast for pings to give it up: the observer counts late answers, and forgets them by itself.
            if link.falters >= limit && peer.row_age(now).is_some_and(|age| age <= cluster.limits.stale) {
                note(&peer.id, &link.to, link.falters, now);
                let (a, b) = (peer.id.clone(), link.to.clone());
                late.insert(if a <= b { (a, b) } else { (b, a) });
            }
        }
    }
    pairs.retain(|(a, b), _| cluster.index.contains_key(a) && cluster.index.contains_key(b));
    let mut degree: BTreeMap<&PeerId, usize> = BTreeMap::new();
    for (a, b) in pairs.keys() {
        *degree.entry(a).or_default() += 1;
        *degree.entry(b).or_default() += 1;
    }
    let whole = |p: &PeerId| {
        let n = degree.get(p).copied().unwrap_or_default();
        n >= FLAPPING_PEER && n * 2 > cluster.peers.len().saturating_sub(1)
    };
    let mut peers: BTreeMap<PeerId, Restless> = BTreeMap::new();
    let mut found = Vec::new();
    for ((a, b), (n, since)) in &pairs {
        let (Some(i), Some(j)) = (cluster.index.get(a), cluster.index.get(b)) else { continue };
        if let Some(p) = [a, b].into_iter().filter(|p| whole(p)).max_by_key(|p| degree.get(p)) {
            let seen = peers.entry(p.clone()).or_insert(Restless { most: *n, since: *since, cells: Vec::new() });
            seen.most = seen.most.max(*n);
            seen.since = seen.since.min(*since);
            seen.cells.extend([(*i, *j), (*j, *i)]);
            continue;
        }
        let text = format!("the link between {} and {} goes up and down", cluster.label(a), cluster.label(b));
        let mut c = Candidate::new(FindingKind::LinkFlapping, Subject::pair(a, b), *since, &text);
        c.evidence.push(Line::new(&if late.contains(&(a.clone(), b.clone())) {
            format!("answers turned at least {n} times between prompt and late within two minutes")
        } else {
            format!("{n} changes within ten minutes")
        }));
        c.cells = vec![(*i, *j), (*j, *i)];
        found.push(c);
    }
    for (p, Restless { most: n, since, cells }) in peers {
        let text = format!("{} goes up and down with most of its links", cluster.label(&p));
        let mut c = Candidate::new(FindingKind::LinkFlapping, Subject::Peer(p), since, &text);
        c.evidence.push(Line::new(&format!("{} links, up to {n} changes within ten minutes", cells.len() / 2)));
        c.cells = cells;
        found.push(c);
    }
    found
}

/// While a link flaps, each time that it is down is no news.
fn is_part_of_flapping(c: &Candidate, flapping: &[Candidate]) -> bool {
    matches!(c.kind, FindingKind::LinkDown | FindingKind::LinkOneSided)
        && c.cells.iter().any(|cell| flapping.iter().any(|f| f.cells.contains(cell)))
}

fn host_key_unknown(state: &ClusterState) -> Vec<Candidate> {
    let observed = state.cluster.peers.iter().filter(|p| p.observed);
    let waiting: Vec<&Arc<Peer>> = observed.clone().filter(|p| p.reach.state == ReachState::AskHostKey).collect();
    let since = waiting.iter().map(|p| p.reach.since).max().unwrap_or_default();
    if waiting.len() >= 2 && waiting.len() == observed.count() {
        let text = format!("none of the {} host keys is known here and nobody has looked at them", waiting.len());
        let mut c = Candidate::new(FindingKind::HostKeyUnknown, Subject::Cluster, since, &text);
        c.evidence = waiting.iter().take(12).map(|p| p.reach.detail.clone()).collect();
        c.not_before = since + state.cluster.limits.unreachable;
        return vec![c];
    }
    waiting
        .into_iter()
        .map(|p| {
            let text =
                format!("the host key of {} is not known here and nobody has looked at it", state.cluster.label(&p.id));
            let subject = Subject::Peer(p.id.clone());
            let mut c = Candidate::new(FindingKind::HostKeyUnknown, subject, p.reach.since, &text);
            c.evidence.push(p.reach.detail.clone());
            c.not_before = p.reach.since + state.cluster.limits.unreachable;
            c
        })
        .collect()
}

/// Peers of which it is said already why nothing is heard.
fn explained_peers(state: &ClusterState, found: &[Candidate], now: Time) -> BTreeSet<PeerId> {
    let aside = state.cluster.peers.iter().filter(|p| p.maintenance(now).is_some());
    let mut explained: BTreeSet<PeerId> = aside.map(|p| p.id.clone()).collect();
    for c in found {
        match c.kind {
            FindingKind::PeerUnreachable
            | FindingKind::PeerUnobserved
            | FindingKind::HostKeyChanged
            | FindingKind::HostKeyUnknown
            | FindingKind::LoginRefused
            | FindingKind::LinkFlapping
            | FindingKind::DnsForward
            | FindingKind::DnsReverse => explained.extend(c.subject.peers().cloned()),
            FindingKind::GroupsCut => {
                if let Subject::Group(g) = &c.subject {
                    let of = state.cluster.peers.iter().filter(|p| p.group.as_ref() == Some(g));
                    explained.extend(of.map(|p| p.id.clone()));
                }
            }
            FindingKind::PeerIsolated
            | FindingKind::ObserverSick
            | FindingKind::LinkDown
            | FindingKind::LinkOneSided
            | FindingKind::UnknownTooLong
            | FindingKind::LevelMismatch
            | FindingKind::VersionMismatch
            | FindingKind::DetachedLong
            | FindingKind::Maintenance
            | FindingKind::ClockSkew
            | FindingKind::AnswerUnparsed
            | FindingKind::WatcherBlind
            | FindingKind::ObservationsDropped
            | FindingKind::SettingsNotKept
            | FindingKind::Inconsistency
            | FindingKind::DanglingReference
            | FindingKind::CommitNotPropagated
            | FindingKind::BlankTable
            | FindingKind::StructureMended
            | FindingKind::GroupNamedLikeCluster
            | FindingKind::TooManyMachines
            | FindingKind::HistorySize
            | FindingKind::HaTwoPrimaries
            | FindingKind::HaNoPrimary
            | FindingKind::HaAddressTwo
            | FindingKind::HaAddressNone
            | FindingKind::HaServiceFailed
            | FindingKind::HaTwoConfigured
            | FindingKind::HaRoleDrift
            | FindingKind::HaLinkSilent
            | FindingKind::HaBeatLate
            | FindingKind::HaServiceFailing
            | FindingKind::HaSyncOld
            | FindingKind::HaTakeover
            | FindingKind::HaNoTakeover
            | FindingKind::HaWitnessSilent
            | FindingKind::HaStranger
            | FindingKind::HaDistrust
            | FindingKind::HaTrouble
            | FindingKind::HaMixed
            | FindingKind::HaHoldOff
            | FindingKind::HaMaySplit => {}
        }
        let whole = matches!(c.kind, FindingKind::LoginRefused | FindingKind::HostKeyUnknown);
        if whole && c.subject == Subject::Cluster {
            explained.extend(state.cluster.peers.iter().map(|p| p.id.clone()));
        }
    }
    explained
}

fn unknown_too_long(state: &ClusterState, explained: &BTreeSet<PeerId>, now: Time) -> Vec<Candidate> {
    let cluster = &state.cluster;
    let limit = cluster.limits.unknown;
    let mut found = Vec::new();
    for peer in cluster.peers.iter().filter(|p| !explained.contains(&p.id)) {
        let Some(extra) = state.extra.get(&peer.id) else { continue };
        if !peer.is_row_fresh(&cluster.limits, now) {
            let since = peer.vouched().unwrap_or(extra.known);
            if now.since(since) > limit {
                let text = format!("nobody has told of {}'s links for too long", cluster.label(&peer.id));
                found.push(Candidate::new(FindingKind::UnknownTooLong, Subject::Peer(peer.id.clone()), since, &text));
            }
            continue;
        }
        let of: Vec<(&PeerId, Time)> = extra
            .missing
            .iter()
            .filter(|(id, since)| now.since(**since) > limit && !explained.contains(*id))
            .map(|(id, since)| (id, *since))
            .collect();
        let since = of.iter().map(|(_, since)| *since).min().unwrap_or(now);
        let (subject, text) = match of[..] {
            [] => continue,
            [(to, _)] => {
                let text = format!("{} says nothing about {}", cluster.label(&peer.id), cluster.label(to));
                (Subject::Link { from: peer.id.clone(), to: to.clone() }, text)
            }
            _ => {
                let text = format!("{} says nothing about several of its fellows", cluster.label(&peer.id));
                (Subject::Peer(peer.id.clone()), text)
            }
        };
        let mut c = Candidate::new(FindingKind::UnknownTooLong, subject, since, &text);
        c.evidence =
            of.iter().take(12).map(|(to, _)| Line::new(&format!("nothing about {}", cluster.label(to)))).collect();
        found.push(c);
    }
    let peers = found.iter().filter(|c| matches!(c.subject, Subject::Peer(_))).count();
    if peers >= 3 && peers * 2 > cluster.peers.len() {
        let since = found.iter().map(|c| c.since).min().unwrap_or(now);
        let text = "nobody has told of the links of most peers for too long";
        let mut c = Candidate::new(FindingKind::UnknownTooLong, Subject::Cluster, since, text);
        c.evidence = found.iter().take(12).map(|f| f.text.clone()).collect();
        return vec![c];
    }
    found
}

/// Different builds within one level.
fn versions(state: &ClusterState, now: Time) -> Vec<Candidate> {
    let cluster = &state.cluster;
    let mut by_level: BTreeMap<u32, BTreeMap<Line, Vec<&PeerId>>> = BTreeMap::new();
    // One that is worked on may be in the middle of an upgrade.
    for peer in cluster.peers.iter().filter(|p| p.is_reached() && p.maintenance(now).is_none()) {
        if let Some(identity) = peer.identity.as_ref().filter(|i| !i.version.is_empty()) {
            by_level.entry(identity.level).or_default().entry(identity.version.clone()).or_default().push(&peer.id);
        }
    }
    let mixed = by_level.into_iter().filter(|(_, versions)| versions.len() > 1);
    let mut found: Vec<Candidate> = Vec::new();
    for (level, versions) in mixed {
        let names: Vec<&str> = versions.keys().map(Line::as_str).collect();
        let text = format!("peers of level {level} run different builds: {}", names.join(", "));
        let mut c = Candidate::new(FindingKind::VersionMismatch, Subject::Cluster, now, &text);
        c.evidence = versions
            .iter()
            .map(|(version, of)| {
                let of: Vec<&str> = of.iter().take(8).map(|id| cluster.label(id)).collect();
                Line::new(&format!("{version}: {}", of.join(", ")))
            })
            .collect();
        // One finding a cluster: the mix of the lowest level names the others as evidence.
        match found.first_mut() {
            Some(first) => first.evidence.extend(c.evidence),
            None => found.push(c),
        }
    }
    found
}

fn clock_skew(state: &ClusterState, now: Time) -> Vec<Candidate> {
    let cluster = &state.cluster;
    let limit = i64::try_from(cluster.limits.clock_skew.as_millis()).unwrap_or(i64::MAX);
    let mut offsets: Vec<(i64, &PeerId)> = cluster
        .peers
        .iter()
        .filter(|p| p.is_reached() && p.is_row_fresh(&cluster.limits, now))
        .map(|p| (p.health.clock_offset_ms, &p.id))
        .collect();
    offsets.sort_unstable();
    let off: Vec<(i64, &PeerId)> = offsets.iter().copied().filter(|(ms, _)| ms.saturating_abs() > limit).collect();
    let how = |ms: i64| {
        let way = if ms > 0 { "ahead of" } else { "behind" };
        (way, human(Duration::from_millis(ms.unsigned_abs())))
    };
    // Where nearly all are off by the same, the one clock that they are compared with is the wrong one.
    let middle = offsets.get(offsets.len() / 2).map_or(0, |(ms, _)| *ms);
    let alike = offsets.iter().filter(|(ms, _)| ms.saturating_sub(middle).saturating_abs() <= limit).count();
    if middle.saturating_abs() > limit && offsets.len() >= 2 && alike * 5 >= offsets.len() * 4 {
        let (way, span) = how(middle.saturating_neg());
        let text = format!("the clock of this machine is {way} those of the peers by about {span}");
        return vec![Candidate::new(FindingKind::ClockSkew, Subject::Watcher, now, &text)];
    }
    off.into_iter()
        .map(|(ms, id)| {
            let (way, span) = how(ms);
            let text = format!("the clock of {} is {way} ours by about {span}", cluster.label(id));
            Candidate::new(FindingKind::ClockSkew, Subject::Peer(id.clone()), now, &text)
        })
        .collect()
}

fn detached_long(state: &ClusterState, peer: &Peer, now: Time) -> Option<Candidate> {
    let since = peer.detached().filter(|at| now.since(*at) > state.cluster.limits.detached)?;
    let span = human(state.cluster.limits.detached);
    let text = format!("{} has been detached for more than {span}", state.cluster.label(&peer.id));
    Some(Candidate::new(FindingKind::DetachedLong, Subject::Peer(peer.id.clone()), since, &text))
}

/// What can't be understood, and what a peer had to drop.
fn unwell_talk(state: &ClusterState, peer: &Peer, now: Time) -> Vec<Candidate> {
    let Some(extra) = state.extra.get(&peer.id) else { return Vec::new() };
    let mut found = Vec::new();
    if extra.unparsed.is_none() && extra.drops.is_empty() {
        return found;
    }
    let (name, subject) = (state.cluster.label(&peer.id), Subject::Peer(peer.id.clone()));
    if let Some((at, why)) = extra.unparsed.as_ref().filter(|(at, _)| now.since(*at) < LINGER) {
        let text = format!("{name} sends what can't be understood");
        let mut c = Candidate::new(FindingKind::AnswerUnparsed, subject.clone(), *at, &text);
        c.evidence.push(why.clone());
        found.push(c);
    }
    let lately: Vec<Time> = extra.drops.iter().copied().filter(|at| now.since(*at) < LINGER).collect();
    if let Some(at) = lately.first().copied().filter(|_| lately.len() >= DROPS) {
        let text = format!("{name} drops part of what it should report");
        found.push(Candidate::new(FindingKind::ObservationsDropped, subject, at, &text));
    }
    found
}

/// Connections that lead to somebody else than they should.
fn ignored(state: &ClusterState, now: Time) -> Vec<Candidate> {
    let ignored = state.contacts.iter().filter_map(|(key, c)| Some((key, c, c.ignored.as_ref()?)));
    ignored
        .map(|(key, contact, why)| {
            let id = contact.id.clone().unwrap_or_else(|| PeerId::unheard(key.host.as_str(), key.port));
            Candidate::new(FindingKind::AnswerUnparsed, Subject::Peer(id), now, why.as_str())
        })
        .collect()
}
