//! Conditions about the settings and those who keep them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cluster::ClusterState;
use super::findings::Candidate;
use super::held_back::utc;
use super::settings::{listed, usual_level};
use crate::domain::finding::{FindingKind, Subject};
use crate::domain::ids::{FeatureName, PeerId};
use crate::domain::settings::catalogue::Catalogue;
use crate::domain::settings::words::called;
use crate::domain::settings::{Content, Dangling, Entry, Key, ModeId, Origin, Tree, Version, rules, sentence};
use crate::domain::snapshot::{Peer, Settings};
use crate::domain::text::{Line, clean};
use crate::domain::time::{Time, human};

/// Lines of evidence of one finding.
const LINES: usize = 12;

/// Names in one sentence.
const NAMES: usize = 6;

/// Characters of a value that are shown.
const VALUE_SHOWN: usize = 80;

/// Authors of commits that a peer lacks, as far as they are remembered.
const BEHIND_MAX: usize = 16;

/// From so many peers on that lack commits, those that have them are named instead, if those that lack them are most.
const MANY_BEHIND: usize = 3;

const MIB: u64 = 1024 * 1024;

/// What was found in a tree, kept as long as it is the tree that is shown.
#[derive(Debug, Default)]
pub(super) struct Judged {
    of: Option<(Arc<Settings>, Arc<Catalogue>)>,
    found: Vec<Candidate>,
}

/// What a peer lacks that another has: by actor the commit that it has to reach, and since when.
pub(super) type Behind = BTreeMap<Line, (u64, Time)>;

impl ClusterState {
    /// Looks once at each tree, and at who lacks which commits since when.
    pub fn note_settings(&mut self, now: Time) {
        self.note_behind(now);
        let Some(settings) = &self.cluster.settings else {
            self.judged = Judged::default();
            return;
        };
        let same = |(s, c): &(Arc<Settings>, Arc<Catalogue>)| {
            Arc::ptr_eq(&s.tree, &settings.tree) && Arc::ptr_eq(c, &self.cluster.catalogue)
        };
        if !self.judged.of.as_ref().is_some_and(same) {
            let found = of_tree(&settings.tree, &self.cluster.catalogue, now);
            self.judged = Judged { of: Some((Arc::clone(settings), Arc::clone(&self.cluster.catalogue))), found };
        }
    }

    fn note_behind(&mut self, now: Time) {
        let level = usual_level(&self.cluster);
        // Who is in no cluster, or in another one, has settings of its own.
        let is_member = |p: &Peer| self.membership.as_ref().is_none_or(|m| m.machine(&p.id).is_some());
        let counts = |p: &&Arc<Peer>| {
            let same = p.identity.as_ref().map(|i| i.level) == level && is_member(p);
            same && p.is_reached() && p.detached().is_none()
        };
        let holdings = || self.cluster.peers.iter().filter(counts).filter_map(|p| Some((p, p.holding.as_ref()?)));
        let first = holdings().next().map(|(_, h)| Arc::clone(h));
        let alike = first.is_none_or(|first| holdings().all(|(_, h)| h.have == first.have));
        if alike {
            self.extra.values_mut().for_each(|e| e.behind.clear());
            return;
        }
        let mut most: BTreeMap<Line, u64> = BTreeMap::new();
        for (actor, n) in holdings().flat_map(|(_, h)| &h.have) {
            let top = most.entry(actor.clone()).or_default();
            *top = (*top).max(*n);
        }
        let all: Vec<(PeerId, Behind)> = holdings()
            .map(|(p, h)| {
                let known = self.extra.get(&p.id).map(|e| &e.behind);
                let lacking = most.iter().filter_map(|(actor, n)| {
                    let has = h.have.get(actor).copied().unwrap_or(0);
                    let waits = known.and_then(|k| k.get(actor)).filter(|(seq, _)| has < *seq);
                    (has < *n).then(|| (actor.clone(), waits.copied().unwrap_or((*n, now))))
                });
                (p.id.clone(), lacking.take(BEHIND_MAX).collect())
            })
            .collect();
        self.extra.values_mut().for_each(|e| e.behind.clear());
        for (id, behind) in all {
            self.extra_mut(&id).behind = behind;
        }
    }

    /// When somebody lacks a commit for too long next.
    pub fn behind_due(&self) -> impl Iterator<Item = Time> + '_ {
        let limit = self.cluster.limits.propagation;
        self.extra.values().flat_map(|e| e.behind.values()).map(move |(_, since)| *since + limit)
    }
}

/// All conditions of a cluster's settings that hold now.
pub(super) fn candidates(state: &ClusterState, now: Time) -> Vec<Candidate> {
    let mut found = state.judged.found.clone();
    found.extend(too_many_machines(state, now));
    found.extend(history_size(state, now));
    found.extend(all_not_propagated(state, now));
    found.extend(state.cluster.peers.iter().filter_map(|p| not_kept(state, p, now)));
    found
}

fn too_many_machines(state: &ClusterState, now: Time) -> Option<Candidate> {
    let (n, limit) = (state.membership.as_ref()?.machines.len(), state.cluster.limits.machines);
    let text = format!("{n} machines in one cluster, more than {limit}");
    (n > limit).then(|| Candidate::new(FindingKind::TooManyMachines, Subject::Cluster, now, &text))
}

fn history_size(state: &ClusterState, now: Time) -> Option<Candidate> {
    let limit = state.cluster.limits.history_mib;
    let over = |p: &&Arc<Peer>| p.holding.as_ref().is_some_and(|h| h.bytes / MIB >= limit);
    let over: Vec<&Arc<Peer>> = state.cluster.peers.iter().filter(over).collect();
    (!over.is_empty()).then(|| {
        let names = listed(over.iter().map(|p| state.cluster.label(&p.id)), NAMES);
        let text = format!("the history of the settings takes {limit} MiB or more on {names}");
        let mut c = Candidate::new(FindingKind::HistorySize, Subject::Cluster, now, &text);
        let size = |p: &&Arc<Peer>| {
            let held = p.holding.as_ref()?;
            let name = state.cluster.label(&p.id);
            Some(Line::new(&format!("{name}: {} MiB, {} commits", held.bytes / MIB, held.changes)))
        };
        c.evidence = over.iter().take(LINES).filter_map(size).collect();
        c
    })
}

fn all_not_propagated(state: &ClusterState, now: Time) -> Vec<Candidate> {
    let cluster = &state.cluster;
    let found: Vec<Candidate> = cluster.peers.iter().filter_map(|p| not_propagated(state, p, now)).collect();
    if found.len() < MANY_BEHIND || found.len() * 2 <= cluster.peers.len() {
        return found;
    }
    let lack: BTreeSet<&PeerId> = found.iter().flat_map(|c| c.subject.peers()).collect();
    let ahead = cluster.peers.iter().filter(|p| p.is_reached() && p.holding.is_some() && !lack.contains(&p.id));
    let ahead = holders(ahead.map(|p| cluster.label(&p.id)).collect());
    let limit = human(cluster.limits.propagation);
    let text = if ahead.is_empty() {
        format!("{} peers each lack commits that others have for longer than {limit}", found.len())
    } else {
        format!("{} peers lack commits that {ahead} for longer than {limit}", found.len())
    };
    let since = found.iter().map(|c| c.since).min().unwrap_or(now);
    let mut c = Candidate::new(FindingKind::CommitNotPropagated, Subject::Cluster, since, &text);
    c.evidence = found.iter().filter_map(|c| c.evidence.first().cloned()).take(LINES).collect();
    vec![c]
}

/// `lab1 has`, `lab1, lab2 have`; nothing for nobody.
fn holders(names: Vec<&str>) -> String {
    match names.len() {
        0 => String::new(),
        1 => format!("{} has", names[0]),
        _ => format!("{} have", listed(names, NAMES)),
    }
}

fn not_propagated(state: &ClusterState, peer: &Peer, now: Time) -> Option<Candidate> {
    let cluster = &state.cluster;
    let behind = &state.extra.get(&peer.id)?.behind;
    let since = behind.values().map(|(_, since)| *since).min()?;
    let limit = cluster.limits.propagation;
    if now.since(since) < limit || peer.detached().is_some() || !peer.is_reached() {
        return None;
    }
    let name = cluster.label(&peer.id);
    let text = format!("{name} lacks commits that others have for longer than {}", human(limit));
    let subject = Subject::Peer(peer.id.clone());
    let mut c = Candidate::new(FindingKind::CommitNotPropagated, subject, since, &text);
    let holds = |actor: &Line, seq: u64| {
        let has = |p: &&Arc<Peer>| p.holding.as_ref().and_then(|h| h.have.get(actor)).is_some_and(|n| *n >= seq);
        holders(cluster.peers.iter().filter(has).map(|p| cluster.label(&p.id)).collect())
    };
    let has = |actor: &Line| peer.holding.as_ref().and_then(|h| h.have.get(actor)).copied().unwrap_or(0);
    let line = |(actor, (seq, _)): (&Line, &(u64, Time))| {
        let author = clean(actor.as_str(), 16);
        Line::new(&format!("commit {seq} of {author}, which {}; {name} has {}", holds(actor, *seq), has(actor)))
    };
    c.evidence = behind.iter().take(LINES).map(line).collect();
    Some(c)
}

fn not_kept(state: &ClusterState, peer: &Peer, now: Time) -> Option<Candidate> {
    let trouble = peer.holding.as_ref().map(|h| &h.trouble).filter(|t| !t.is_empty() && peer.is_reached())?;
    let text = format!("{} can't keep changes of settings", state.cluster.label(&peer.id));
    let mut c = Candidate::new(FindingKind::SettingsNotKept, Subject::Peer(peer.id.clone()), now, &text);
    c.evidence.push(trouble.clone());
    Some(c)
}

/// What holds of a tree, whoever tells it.
fn of_tree(tree: &Tree, catalogue: &Catalogue, now: Time) -> Vec<Candidate> {
    let mut found = inconsistencies(tree, now);
    found.extend(dangling(tree, catalogue, now));
    found.extend(blank_tables(tree, catalogue, now));
    let s = tree.structure();
    if let Some((_, group)) = s.groups.iter().find(|(_, n)| n.as_str().eq_ignore_ascii_case(s.name.as_str())) {
        let text = format!("group {group} is called like the cluster");
        let subject = Subject::Group(group.clone());
        found.push(Candidate::new(FindingKind::GroupNamedLikeCluster, subject, now, &text));
    }
    if let Some(first) = s.mended.first() {
        let text = match s.mended.len() {
            1 => first.to_string(),
            n => format!("{n} contradictions about groups and machines were mended by fixed rules"),
        };
        let mut c = Candidate::new(FindingKind::StructureMended, Subject::Cluster, now, &text);
        c.evidence = s.mended.iter().take(LINES).cloned().collect();
        found.push(c);
    }
    found
}

/// Whom a mode is about; `None` for one that is no more.
fn subject(tree: &Tree, mode: &ModeId) -> Option<Subject> {
    match mode {
        ModeId::Cluster => Some(Subject::Cluster),
        ModeId::Group(id) => tree.structure().group(id).cloned().map(Subject::Group),
        ModeId::Machine(id) => tree.structure().member(id).map(|m| Subject::Peer(m.machine.id.clone())),
    }
}

fn mode_of(key: &Key) -> ModeId {
    match key {
        Key::ClusterName | Key::Addressing => ModeId::Cluster,
        Key::GroupName(id) | Key::GroupDeleted(id) => ModeId::Group(id.clone()),
        Key::MachineIdentity(id) | Key::MachineGroup(id) | Key::MachineRemoved(id) | Key::SecretKey(_, id) => {
            ModeId::Machine(id.clone())
        }
        Key::Feature(mode, _) => mode.clone(),
    }
}

/// A finding for each subject: with one condition in its own words, with several in those of `many`.
fn grouped(
    kind: FindingKind,
    all: BTreeMap<Subject, Vec<(String, Vec<String>)>>,
    now: Time,
    many: impl Fn(&Subject, usize) -> String,
) -> Vec<Candidate> {
    let one = |(subject, mut conditions): (Subject, Vec<(String, Vec<String>)>)| {
        let n = conditions.len();
        let (text, evidence) = if n == 1 {
            conditions.remove(0)
        } else {
            let text = many(&subject, n);
            (text, conditions.into_iter().flat_map(|(text, more)| std::iter::once(text).chain(more)).collect())
        };
        let mut c = Candidate::new(kind, subject, now, &text);
        c.evidence = evidence.iter().take(LINES).map(|line| Line::new(line)).collect();
        if evidence.len() > LINES {
            c.evidence.push(Line::new(&format!("and {} more lines", evidence.len() - LINES)));
        }
        c
    };
    all.into_iter().map(one).collect()
}

/// Unresolved conflicts (C23, C24).
fn inconsistencies(tree: &Tree, now: Time) -> Vec<Candidate> {
    let mut all: BTreeMap<Subject, Vec<(String, Vec<String>)>> = BTreeMap::new();
    let mut names: BTreeMap<Subject, String> = BTreeMap::new();
    for (key, entry) in tree.registers().filter(|(_, e)| e.is_conflict()) {
        let mode = mode_of(key);
        let Some(subject) = subject(tree, &mode) else { continue };
        names.entry(subject.clone()).or_insert_with(|| tree.mode_name(&mode));
        all.entry(subject).or_default().push((conflict(tree, key, entry), versions(tree, entry)));
    }
    let name = |subject: &Subject| names.get(subject).cloned().unwrap_or_default();
    grouped(FindingKind::Inconsistency, all, now, |subject, n| {
        format!("{n} settings at {} have versions that nobody has resolved", name(subject))
    })
}

fn conflict(tree: &Tree, key: &Key, entry: &Entry) -> String {
    let applies = entry.effective();
    let (what, n) = (called(tree, key), entry.versions().len());
    let host = tree.host(&applies.stamp.on);
    format!("{what} has {n} versions that nobody has resolved; that by {} on {host} applies", applies.by)
}

/// Who, when, where, what; the one that applies first.
fn versions(tree: &Tree, entry: &Entry) -> Vec<String> {
    let says = |v: &Version| match &v.content {
        Content::Inherits => "inherits".to_owned(),
        Content::Value(value) => clean(&value.to_string(), VALUE_SHOWN),
    };
    let line = |(i, v): (usize, &Version)| {
        let applies = if i == 0 { ", applies" } else { "" };
        format!("by {} on {}, {}{applies}: {}", v.by, tree.host(&v.stamp.on), utc(v.stamp.at), says(v))
    };
    entry.versions().iter().enumerate().map(line).collect()
}

/// Settings that name what is not there (C25).
fn dangling(tree: &Tree, catalogue: &Catalogue, now: Time) -> Vec<Candidate> {
    let mut items: BTreeMap<(FeatureName, Line, Line), (Vec<String>, Dangling)> = BTreeMap::new();
    for d in rules::dangling(tree, catalogue) {
        let key = (d.feature.clone(), d.item.clone(), d.name.clone());
        let host = tree.host(&d.machine);
        items.entry(key).or_insert_with(|| (Vec::new(), d)).0.push(host);
    }
    let mut all: BTreeMap<Subject, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for (hosts, d) in items.into_values() {
        let place = match &d.origin {
            Origin::Mode(mode) => subject(tree, mode),
            Origin::Factory => None,
        };
        all.entry(place.unwrap_or(Subject::Cluster)).or_default().push((sentence(tree, hosts, &d), Vec::new()));
    }
    grouped(FindingKind::DanglingReference, all, now, |_, n| format!("{n} settings name what is not there"))
}

/// Settings without a factory default that are empty by an override, or that a move left undefined (C11).
fn blank_tables(tree: &Tree, catalogue: &Catalogue, now: Time) -> Vec<Candidate> {
    let bare = |name: &FeatureName| catalogue.feature(name).is_some_and(|f| f.factory.is_none());
    let mut all: BTreeMap<Subject, Vec<(String, Vec<String>)>> = BTreeMap::new();
    let mut defined: BTreeSet<&FeatureName> = BTreeSet::new();
    let mut left: Vec<(&ModeId, &FeatureName, &Version)> = Vec::new();
    for (key, entry) in tree.registers() {
        let Key::Feature(mode, feature) = key else { continue };
        if !bare(feature) {
            continue;
        }
        let version = entry.effective();
        match &version.content {
            Content::Value(value) if value.is_empty() => {
                let Some(subject) = subject(tree, mode) else { continue };
                let what = called(tree, key);
                let text = format!("{what} is empty, and has no factory default to fall back on");
                let who = format!("by {} on {}, {}", version.by, tree.host(&version.stamp.on), utc(version.stamp.at));
                all.entry(subject).or_default().push((text, vec![who]));
            }
            Content::Value(_) => {
                defined.insert(feature);
            }
            Content::Inherits => left.push((mode, feature, version)),
        }
    }
    // Taken back everywhere is nothing that somebody forgot.
    for (mode, feature, version) in left.into_iter().filter(|(_, f, _)| defined.contains(f)) {
        let below = |m: &ModeId| tree.above(m).contains(mode) && tree.applies(m, feature).is_none();
        let members = tree.structure().members.iter().filter(|m| below(&ModeId::Machine(m.id.clone())));
        let hosts: Vec<String> = members.map(|m| m.machine.host.short().to_owned()).collect();
        let Some(subject) = subject(tree, mode).filter(|_| !hosts.is_empty()) else { continue };
        let (here, names) = (tree.mode_name(mode), listed(hosts, NAMES));
        let text = format!("{feature} was taken from {here} and is defined nowhere for {names}");
        let who = format!("by {} on {}, {}", version.by, tree.host(&version.stamp.on), utc(version.stamp.at));
        all.entry(subject).or_default().push((text, vec![who]));
    }
    grouped(FindingKind::BlankTable, all, now, |_, n| format!("{n} settings without a factory default are empty"))
}
