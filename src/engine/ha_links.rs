//! Conditions of what an HA group rests on: heartbeats, witness, services, synchronisation, the units themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::findings::Candidate;
use super::ha_rules::{View, list};
use crate::domain::finding::FindingKind;
use crate::domain::ha::group::Member;
use crate::domain::ha::status::{Heartbeat, Monitor};
use crate::domain::ha::{BeatState, Effective, LinkName, MonitorState, WitnessMode};
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

/// Strangers count for so long after the last of them.
const STRANGE: Duration = Duration::from_mins(10);

/// Mail data is synchronised at least every 20 min: twice that is too old.
const DATA_OLD: Duration = Duration::from_mins(40);

/// Lines of evidence of one finding.
const LINES: usize = 12;

/// Into `all` what holds of `view`.
pub(super) fn candidates(view: &View<'_>, all: &mut Vec<Candidate>) {
    all.extend(links(view));
    all.extend(late(view));
    all.extend(witness(view));
    all.extend(services(view));
    all.extend(strangers(view));
    all.extend(sync(view));
    for m in view.group.fresh() {
        all.extend(distrust(view, m));
        all.extend(trouble(view, m));
    }
}

/// To whom a link leads.
fn end<'v>(view: &'v View<'_>, of: &Member, beat: &'v Heartbeat) -> Option<&'v Member> {
    let told = beat.peer.as_ref().and_then(|id| view.group.members.iter().find(|m| m.id == *id));
    told.or_else(|| view.other(&of.id))
}

fn links(view: &View<'_>) -> Option<Candidate> {
    let mut silent: BTreeMap<(PeerId, PeerId), BTreeSet<LinkName>> = BTreeMap::new();
    let mut working: BTreeSet<(PeerId, PeerId)> = BTreeSet::new();
    let mut evidence = Vec::new();
    let (mut since, mut waits_only, mut threshold) = (None, true, Duration::ZERO);
    for m in view.trusted() {
        for beat in &m.status.heartbeats {
            let Some(to) = end(view, m, beat) else { continue };
            let pair = if m.id < to.id { (m.id.clone(), to.id.clone()) } else { (to.id.clone(), m.id.clone()) };
            let goes = |b: &Heartbeat| b.peer == beat.peer && matches!(b.state, BeatState::Ok | BeatState::Late);
            let other_way = m.status.heartbeats.iter().any(goes);
            match beat.state {
                BeatState::Ok | BeatState::Late => {
                    working.insert(pair);
                    continue;
                }
                BeatState::Silent => waits_only = false,
                BeatState::Waiting => {}
            }
            // Of a dead unit nothing is heard on any link: that is told where it is told that it is dead.
            if !other_way && !view.lives(to) {
                continue;
            }
            since = since.max(beat.heard);
            threshold = threshold.max(m.status.threshold);
            silent.entry(pair).or_default().insert(beat.link);
            let (a, b) = (view.name(&m.id), view.name(&to.id));
            evidence.push(Line::new(&format!("{a} hears nothing of {b} on its {} link", beat.link.as_str())));
        }
    }
    let n: usize = silent.values().map(BTreeSet::len).sum();
    let (pair, names) = silent.first_key_value()?;
    let (a, b) = (view.name(&pair.0), view.name(&pair.1));
    let text = match names.first() {
        Some(link) if n == 1 && working.contains(pair) => {
            format!("the {} heartbeat link of {} between {a} and {b} is silent", link.as_str(), view.group.name)
        }
        Some(_) if silent.len() == 1 => {
            format!("no heartbeat of {} passes between {a} and {b}, and both live", view.group.name)
        }
        Some(_) | None => format!("{n} heartbeat links of {} are silent", view.group.name),
    };
    let mut c = view.of_group(FindingKind::HaLinkSilent, since.unwrap_or(view.now), &text);
    evidence.truncate(LINES);
    c.evidence = evidence;
    // On one that was never heard a unit may still be waited for.
    c.hold = if waits_only { threshold } else { Duration::ZERO };
    Some(c)
}

fn late(view: &View<'_>) -> Option<Candidate> {
    let is_late = |m: &&Member| {
        let beats = &m.status.heartbeats;
        let any = |state| beats.iter().any(|h| h.state == state);
        view.is_pair() && any(BeatState::Late) && !any(BeatState::Ok)
    };
    let m = view.trusted().filter(|m| view.other(&m.id).is_some_and(|o| view.lives(o))).find(is_late)?;
    let other = view.other(&m.id)?;
    let heard = m.status.heartbeats.iter().filter_map(|h| h.heard).max().unwrap_or(view.now);
    let (name, of) = (view.name(&m.id), view.name(&other.id));
    let half = human(m.status.threshold / 2);
    let text = format!("{name} of {} has heard nothing of {of} for {half}, half of the threshold", view.group.name);
    let mut c = view.of_group(FindingKind::HaBeatLate, heard, &text);
    let takes = human(m.status.takeover_after);
    c.evidence.push(Line::new(&format!("a takeover comes {takes} after the last heartbeat")));
    Some(c)
}

fn witness(view: &View<'_>) -> Option<Candidate> {
    let asks = |m: &&Member| match m.status.permit.mode {
        WitnessMode::Off => false,
        WitnessMode::Require | WitnessMode::Advise => m.status.effective == Effective::Primary,
    };
    let silent =
        |m: &&Member| m.status.permit.witness_heard.is_none_or(|at| view.now.since(at) > m.status.takeover_after);
    let m = view.trusted().filter(asks).find(silent)?;
    let text = format!("the witness of {} does not answer {}", view.group.name, view.name(&m.id));
    let since = m.status.permit.witness_heard.unwrap_or(view.now);
    let mut c = view.of_group(FindingKind::HaWitnessSilent, since, &text);
    c.evidence.push(Line::new(&format!("witness = {} at {}", m.status.permit.mode.as_str(), view.name(&m.id))));
    c.hold = if m.status.permit.witness_heard.is_none() { m.status.takeover_after } else { Duration::ZERO };
    Some(c)
}

/// Monitors of one unit's services in one state.
struct Fallen {
    names: BTreeSet<&'static str>,
    evidence: Vec<Line>,
}

fn services(view: &View<'_>) -> Vec<Candidate> {
    let mut fallen: BTreeMap<(FindingKind, PeerId), Fallen> = BTreeMap::new();
    for m in view.trusted() {
        for monitor in &m.status.monitors {
            let kind = match monitor.state {
                MonitorState::Idle | MonitorState::Ok => continue,
                MonitorState::Failing => FindingKind::HaServiceFailing,
                MonitorState::Failed => FindingKind::HaServiceFailed,
            };
            let of = if monitor.kind.is_remote() {
                // The services of a dead unit are dead too.
                match view.other(&m.id) {
                    Some(other) if view.lives(other) => &other.id,
                    Some(_) => continue,
                    None => &m.id,
                }
            } else {
                &m.id
            };
            let seen = fallen
                .entry((kind, of.clone()))
                .or_insert_with(|| Fallen { names: BTreeSet::new(), evidence: Vec::new() });
            seen.names.insert(monitor.kind.as_str());
            seen.evidence.push(check(&view.name(&m.id), monitor));
        }
    }
    let one = |((kind, id), of): ((FindingKind, PeerId), Fallen)| {
        let (what, name) = (list(of.names.iter().map(|n| (*n).to_owned())), view.name(&id));
        let failed = kind == FindingKind::HaServiceFailed;
        let text =
            if failed { format!("{what} of {name} has failed") } else { format!("checks of {what} of {name} fail") };
        let mut c = view.of_unit(kind, &id, view.now, &text);
        c.evidence = of.evidence;
        c
    };
    fallen.into_iter().map(one).collect()
}

fn check(by: &str, monitor: &Monitor) -> Line {
    let Monitor { kind, failures, retries, detail, .. } = monitor;
    let why = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    Line::new(&format!("{by} checks {}: {failures} of {retries} failures in a row{why}", kind.as_str()))
}

fn strangers(view: &View<'_>) -> Option<Candidate> {
    let rose = |id: &PeerId| view.state.extra.get(id).and_then(|e| e.ha.rose);
    let at = |m: &Member| m.status.last_stranger.as_ref().map(|(_, at)| *at).max(rose(&m.id));
    let lately = |at: &Time| view.now.since(*at) < STRANGE;
    let of: Vec<(&Member, Time)> = view.group.fresh().filter_map(|m| Some((m, at(m).filter(lately)?))).collect();
    let since = of.iter().map(|(_, at)| *at).min()?;
    let names = list(of.iter().map(|(m, _)| view.name(&m.id)));
    let text = format!("heartbeats that are not of {} reach {names}", view.group.name);
    let mut c = view.of_group(FindingKind::HaStranger, since, &text);
    c.evidence = of
        .iter()
        .map(|(m, _)| {
            let name = view.name(&m.id);
            Line::new(&match &m.status.last_stranger {
                Some((what, _)) => format!("{name}, the last one: {what}"),
                None => format!("{name}: old heartbeats were sent once more"),
            })
        })
        .collect();
    Some(c)
}

fn sync(view: &View<'_>) -> Option<Candidate> {
    let limit = view.state.cluster.limits.propagation;
    let takes = |m: &&Member| matches!(m.status.effective, Effective::Secondary | Effective::ConfigSecondary);
    let attached = |m: &&Member| view.state.cluster.peer(&m.id).is_some_and(|p| p.detached().is_none());
    let primary = || view.group.primaries().first().map(|m| m.id.clone());
    let mut why: Vec<(String, Time, Vec<Line>)> = Vec::new();
    for m in view.group.fresh().filter(takes).filter(attached).filter(|m| primary().is_some_and(|p| p != m.id)) {
        let (name, s) = (view.name(&m.id), &m.status);
        let trouble: Vec<Line> = s.sync_trouble.iter().cloned().collect();
        if !trouble.is_empty() || s.config_synced.is_some_and(|at| view.now.since(at) > limit) {
            let since = s.config_synced.unwrap_or(view.now);
            why.push((format!("the configuration of {name} is not in step with the primary"), since, trouble));
        }
        if let Some(at) = s.data_synced.filter(|at| view.now.since(*at) > DATA_OLD) {
            let text = format!("mail data of {name} was not synchronised for {}", human(DATA_OLD));
            why.push((text, at, Vec::new()));
        }
    }
    let data: BTreeSet<bool> = view.group.fresh().map(|m| m.status.data_synced.is_some()).collect();
    if view.is_pair() && data.len() > 1 {
        let one = view.group.fresh().find(|m| m.status.data_synced.is_none())?;
        let text = format!("mail data is not synchronised on the side of {}", view.name(&one.id));
        why.push((text, view.now, Vec::new()));
    }
    let (first, since, _) = why.first()?;
    let text = format!("{}: {first}", view.group.name);
    let mut c = view.of_group(FindingKind::HaSyncOld, *since, &text);
    c.evidence = why.iter().skip(1).map(|(text, ..)| Line::new(text)).collect();
    c.evidence.extend(why.iter().flat_map(|(.., trouble)| trouble.iter().cloned()));
    c.evidence.truncate(LINES);
    c.not_before = c.since + limit;
    Some(c)
}

fn distrust(view: &View<'_>, m: &Member) -> Option<Candidate> {
    let why = m.status.distrust.as_ref()?;
    let text = format!("{} of {} distrusts itself: {why}", view.name(&m.id), view.group.name);
    Some(view.of_unit(FindingKind::HaDistrust, &m.id, view.now, &text))
}

fn trouble(view: &View<'_>, m: &Member) -> Option<Candidate> {
    let mut all: Vec<Line> = m.status.troubles.clone();
    all.extend(m.status.hook_trouble.iter().map(|why| Line::new(&format!("its hook: {why}"))));
    let first = all.first()?;
    let text = format!("{} of {} has trouble: {first}", view.name(&m.id), view.group.name);
    let mut c = view.of_unit(FindingKind::HaTrouble, &m.id, view.now, &text);
    c.evidence = all.into_iter().take(LINES).collect();
    Some(c)
}
