//! The settings of a cluster: one peer is asked for them, and what it tells is put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Effect;
use super::cluster::ClusterState;
use super::out::Out;
use crate::domain::event::EventKind;
use crate::domain::finding::Subject;
use crate::domain::ids::PeerId;
use crate::domain::observation::TreePart;
use crate::domain::reach::{EndpointKey, PeerRequest};
use crate::domain::settings::{CommitId, Content, Entry, Holding, Key, Past, Tree, Value};
use crate::domain::snapshot::{Cluster, Peer, Settings};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Most registers that are taken of a cluster: a thousand machines with two hundred settings each.
const REGISTERS_MAX: usize = 200_000;

/// Most bytes that the registers of a cluster may take here, roughly.
const BYTES_MAX: usize = 128 * 1024 * 1024;

/// Most authors of commits: each peer of a cluster has a few in its life.
const ACTORS_MAX: usize = 8_192;

/// A peer that was asked has this long for the next part.
const PATIENCE: Duration = Duration::from_secs(10);

/// One that did not tell, or told nonsense, is not asked again for this long.
const AGAIN: Duration = Duration::from_mins(1);

/// Questions for the past on their way at a time.
const QUESTIONS_MAX: usize = 64;

/// Who tells the settings, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Who was asked.
    source: Option<EndpointKey>,
    /// When it was asked, or told the last part.
    heard: Time,
    /// Whether it has told everything once.
    complete: bool,
    building: Option<Building>,
    /// What the registers that are shown take.
    bytes: usize,
    /// Who was asked in vain, and when.
    failed: BTreeMap<EndpointKey, Time>,
    /// Questions for the past without an answer: their numbers, and who was asked.
    questions: Vec<(u64, EndpointKey)>,
}

/// Parts that have come so far.
#[derive(Debug)]
struct Building {
    /// A whole tree; else changes to the one that is shown.
    whole: bool,
    registers: BTreeMap<Key, Option<Entry>>,
    bytes: usize,
}

/// How good a source is: the better one is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "compared as a whole, in the order of their weight")]
struct Fitness {
    fresh: bool,
    /// One that was removed gets no changes any more.
    member: bool,
    /// Settings of a detached machine are its own.
    attached: bool,
    /// Peers of other levels don't synchronise (C15).
    level: bool,
}

impl ClusterState {
    /// Asks another peer for the settings where the one that was asked is no good any more.
    pub fn choose_source(&mut self, out: &mut Out<'_>) {
        let now = out.now;
        let id = self.membership.as_ref().map(|m| &m.cluster_id);
        let other = |s: &Settings| match id {
            Some(id) => s.tree.cluster_id != *id,
            None => !self.is_lone(),
        };
        if self.cluster.settings.as_deref().is_some_and(other) {
            // They are of the cluster that was shown before.
            self.cluster.settings = None;
            self.settings.building = None;
            self.settings.complete = false;
            self.dirty = true;
        }
        self.settings.failed.retain(|_, at| now.since(*at) < AGAIN);
        let present = self.settings.source.clone().filter(|key| self.contacts.contains_key(key));
        if present.as_ref().is_some_and(|key| self.is_mute(key, now)) {
            self.fail(out);
        }
        let present = self.settings.source.clone().filter(|key| self.contacts.contains_key(key));
        let fitness = present.as_ref().and_then(|key| self.fitness(key, now));
        if fitness == Some(Fitness { fresh: true, member: true, attached: true, level: true }) {
            return;
        }
        let failed = |key: &EndpointKey| self.settings.failed.contains_key(key);
        let candidates = self.contacts.keys().filter(|key| !failed(key));
        let ranked = candidates.filter_map(|key| Some((self.fitness(key, now)?, self.progress(key), key)));
        // Of equals the first: all consoles choose alike.
        let best = ranked.reduce(|a, b| if (b.0, b.1) > (a.0, a.1) { b } else { a });
        let Some((better, _, key)) = best else { return };
        if present.as_ref() == Some(key) || fitness.is_some_and(|f| f >= better) {
            return;
        }
        let key = key.clone();
        self.release(out);
        self.settings.source = Some(key.clone());
        self.settings.heard = now;
        out.effect(Effect::Request { key, request: PeerRequest::Tree(true) });
    }

    /// Whether it was asked and says nothing.
    fn is_mute(&self, key: &EndpointKey, now: Time) -> bool {
        let waits = !self.settings.complete || self.settings.building.is_some();
        waits && self.contacts[key].live && now.since(self.settings.heard) >= PATIENCE
    }

    /// The source is not taken: nobody asks it again soon.
    fn fail(&mut self, out: &mut Out<'_>) {
        if let Some(key) = self.settings.source.clone() {
            self.settings.failed.insert(key, out.now);
        }
        self.release(out);
    }

    /// The source need not tell any more.
    fn release(&mut self, out: &mut Out<'_>) {
        self.settings.building = None;
        self.settings.complete = false;
        if let Some(key) = self.settings.source.take().filter(|key| self.contacts.contains_key(key)) {
            out.effect(Effect::Request { key, request: PeerRequest::Tree(false) });
        }
    }

    fn fitness(&self, key: &EndpointKey, now: Time) -> Option<Fitness> {
        let contact = self.contacts.get(key).filter(|c| c.live && c.has_base && c.ignored.is_none())?;
        let peer = self.cluster.peer(contact.id.as_ref()?)?;
        let (belongs, member) = match &self.membership {
            Some(m) => (contact.belongs.as_ref() == Some(&m.cluster_id), m.machine(&peer.id).is_some()),
            None => (self.is_lone(), true),
        };
        belongs.then(|| Fitness {
            fresh: peer.is_row_fresh(&self.cluster.limits, now),
            member,
            attached: peer.detached().is_none(),
            level: peer.identity.as_ref().map(|i| i.level) == usual_level(&self.cluster),
        })
    }

    /// Nobody tells of a cluster, and there is one peer: its settings are its own (C3). Those of several would be mixed.
    fn is_lone(&self) -> bool {
        self.membership.is_none() && self.contacts.values().filter(|c| c.ignored.is_none()).count() == 1
    }

    /// How many commits the peer behind a connection has.
    fn progress(&self, key: &EndpointKey) -> u64 {
        let peer = self.contacts.get(key).and_then(|c| self.cluster.peer(c.id.as_ref()?));
        let holding = peer.and_then(|p| p.holding.as_ref());
        holding.map_or(0, |h| h.have.values().fold(0, |sum, n| sum.saturating_add(*n)))
    }

    /// An actor was too busy to be asked for its tree.
    pub fn tree_not_taken(&mut self, key: &EndpointKey, wanted: bool) {
        if wanted && self.settings.source.as_ref() == Some(key) {
            self.settings.source = None;
        }
    }

    /// The actor of `key` is stopped or begun anew: it knows nothing of what it was asked.
    pub fn source_gone(&mut self, key: &EndpointKey) {
        if self.settings.source.as_ref() == Some(key) {
            self.settings.source = None;
            self.settings.building = None;
            self.settings.complete = false;
        }
        self.settings.failed.remove(key);
    }

    /// Its connection is new: what it had begun to tell is told anew.
    pub fn source_connected(&mut self, key: &EndpointKey, now: Time) {
        if self.settings.source.as_ref() == Some(key) {
            self.settings.building = None;
            self.settings.complete = false;
            self.settings.heard = now;
        }
    }

    /// What a peer holds.
    pub fn on_holding(&mut self, at: usize, holding: Arc<Holding>, out: &mut Out<'_>) {
        if holding.have.len() > ACTORS_MAX {
            let id = self.cluster.peers[at].id.clone();
            let why = format!("commits of {} authors, {ACTORS_MAX} are taken", holding.have.len());
            self.on_unparsed(&id, Line::new(&why), out);
        } else if self.cluster.peers[at].holding.as_ref() != Some(&holding) {
            self.peer_mut(at).holding = Some(holding);
            self.unsettled = true;
        }
    }

    /// A part of a settings tree.
    pub fn on_tree(&mut self, key: &EndpointKey, id: &PeerId, part: TreePart, out: &mut Out<'_>) {
        if self.settings.source.as_ref() != Some(key) {
            // It does not know yet that it need not tell, or was too busy to hear it.
            out.effect(Effect::Request { key: key.clone(), request: PeerRequest::Tree(false) });
            return;
        }
        self.settings.heard = out.now;
        let ours = self.membership.as_ref().map(|m| &m.cluster_id);
        let fits = ours.map_or_else(|| self.is_lone() && !part.cluster_id.is_empty(), |id| part.cluster_id == *id);
        if !fits {
            // One that holds no settings at all tells no cluster.
            if !(part.cluster_id.is_empty() && part.registers.is_empty()) {
                let text = format!("{} tells settings of another cluster: they are not taken", self.cluster.label(id));
                out.happened(EventKind::Peer, Subject::Peer(id.clone()), &text);
            }
            self.fail(out);
            return;
        }
        if part.first {
            self.settings.building = Some(Building { whole: true, registers: BTreeMap::new(), bytes: 0 });
        } else if self.settings.building.is_none() {
            if !self.settings.complete {
                *out.dropped += 1; // Changes to what was never told.
                return;
            }
            self.settings.building = Some(Building { whole: false, registers: BTreeMap::new(), bytes: 0 });
        }
        let Some(building) = &mut self.settings.building else { return };
        for (key, entry) in part.registers {
            building.bytes = building.bytes.saturating_add(weight(&key, entry.as_ref()));
            building.registers.insert(key, entry);
        }
        if building.registers.len() > REGISTERS_MAX || building.bytes > BYTES_MAX {
            self.too_much(id, out);
        } else if part.last {
            self.complete(id, part.cluster_id, part.digest, out);
        }
    }

    fn too_much(&mut self, id: &PeerId, out: &mut Out<'_>) {
        let limits = format!("{REGISTERS_MAX} registers and {} MiB are taken", BYTES_MAX / (1024 * 1024));
        let why = Line::new(&format!("more settings than can be taken here: {limits}"));
        self.on_unparsed(id, why, out);
        self.fail(out);
    }

    /// With this part the tree is as the peer has it.
    fn complete(&mut self, id: &PeerId, cluster_id: Line, digest: Line, out: &mut Out<'_>) {
        let Some(building) = self.settings.building.take() else { return };
        let shown = self.cluster.settings.clone();
        let shown = shown.filter(|s| !building.whole || s.tree.cluster_id == cluster_id);
        let tree = match shown {
            Some(shown) if building.registers.is_empty() && !building.whole => Arc::clone(&shown.tree),
            Some(shown) if !building.whole => {
                let old = |key: &Key| shown.tree.entry(key).map_or(0, |e| weight(key, Some(e)));
                let gone: usize = building.registers.keys().map(old).sum();
                self.settings.bytes = self.settings.bytes.saturating_sub(gone).saturating_add(building.bytes);
                let mut tree = Tree::clone(&shown.tree);
                tree.update(building.registers);
                Arc::new(tree)
            }
            shown @ (Some(_) | None) => {
                self.settings.bytes = building.bytes;
                let registers = building.registers.into_iter().filter_map(|(key, entry)| Some((key, entry?)));
                let tree = Tree::new(cluster_id, registers);
                // Another peer may tell the same: whoever looks at trees need not look again.
                let same = shown.filter(|s| *s.tree == tree);
                same.map_or_else(|| Arc::new(tree), |s| Arc::clone(&s.tree))
            }
        };
        if tree.registers().len() > REGISTERS_MAX || self.settings.bytes > BYTES_MAX {
            self.too_much(id, out);
            return;
        }
        let s = tree.structure();
        match &self.membership {
            // It was removed from a cluster of which nobody here tells.
            None if !s.is_alone() => return self.fail(out),
            // The last machine has left: there is no cluster any more (C14).
            Some(m)
                if s.is_alone() && s.member_of(id).is_some() && matches!(&m.machines[..], [one] if one.id == *id) =>
            {
                self.forget_membership(out);
            }
            Some(_) | None => {}
        }
        self.settings.complete = true;
        let settings = Settings { tree, source: id.clone(), digest, at: out.now };
        self.cluster.settings = Some(Arc::new(settings));
        self.dirty = true;
        self.unsettled = true;
    }

    /// Somebody wants to know what a register was: the peer that tells the settings is asked, else any.
    pub fn ask_history(&mut self, id: u64, key: Option<Key>, out: &mut Out<'_>) {
        let live = |k: &&EndpointKey| self.contacts.get(*k).is_some_and(|c| c.live && c.ignored.is_none());
        let source = self.settings.source.as_ref().filter(live);
        let Some(via) = source.or_else(|| self.contacts.keys().find(live)).cloned() else {
            let why = format!("no peer of cluster {} is connected that could be asked", self.cluster.name);
            out.effect(Effect::History { id, past: Err(Line::new(&why)) });
            return;
        };
        if self.settings.questions.len() >= QUESTIONS_MAX {
            let why = format!("{QUESTIONS_MAX} questions wait for an answer already; ask again in a moment");
            out.effect(Effect::History { id, past: Err(Line::new(&why)) });
            return;
        }
        self.settings.questions.push((id, via.clone()));
        out.effect(Effect::Request { key: via, request: PeerRequest::History { id, key } });
    }

    /// What the peer said to a question.
    pub fn on_history(&mut self, id: u64, past: Result<Vec<Past>, Line>, out: &mut Out<'_>) {
        let open = self.settings.questions.len();
        self.settings.questions.retain(|(n, _)| *n != id);
        if self.settings.questions.len() < open {
            out.effect(Effect::History { id, past });
        }
    }

    /// The connection over which questions went is gone.
    pub fn questions_lost(&mut self, key: &EndpointKey, out: &mut Out<'_>) {
        let lost = self.settings.questions.extract_if(.., |(_, via)| via == key);
        for (id, via) in lost {
            let why = format!("the connection to {} was lost before it answered", via.host.short());
            out.effect(Effect::History { id, past: Err(Line::new(&why)) });
        }
    }
}

/// The level that most peers that are reached speak; of equals the higher one.
pub(super) fn usual_level(cluster: &Cluster) -> Option<u32> {
    let mut levels: BTreeMap<u32, usize> = BTreeMap::new();
    for identity in cluster.peers.iter().filter(|p| p.is_reached()).filter_map(|p| p.identity.as_ref()) {
        *levels.entry(identity.level).or_default() += 1;
    }
    levels.into_iter().max_by_key(|(level, n)| (*n, *level)).map(|(level, _)| level)
}

/// What a register takes in memory, roughly.
fn weight(key: &Key, entry: Option<&Entry>) -> usize {
    let of = |content: &Content| content.value().map_or(0, |v| value_weight(v));
    let versions = entry.map_or(&[][..], Entry::versions);
    let key = match key {
        Key::Feature(_, name) => 96 + name.as_str().len(),
        _ => 96,
    };
    key + versions.iter().map(|v| 200 + of(&v.content)).sum::<usize>()
}

fn value_weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(value_weight).sum(),
            Value::Table(fields) => fields.iter().map(|(name, v)| 32 + name.len() + value_weight(v)).sum(),
        }
}

/// Whether a peer has a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Has {
    /// By its own word.
    Yes,
    /// By its own word, not yet.
    No,
    /// It is not reached, or has not said what it holds.
    Unknown,
}

/// Who has a commit: a line for each peer, in the order of the grid (`commitdetail`).
#[must_use]
pub fn spread(cluster: &Cluster, commit: &CommitId) -> Vec<(PeerId, Has)> {
    cluster.peers.iter().map(|p| (p.id.clone(), has(p, commit))).collect()
}

/// Whether one peer has a commit. What a peer had once it has for ever, reached or not.
fn has(peer: &Peer, commit: &CommitId) -> Has {
    match &peer.holding {
        Some(holding) if holding.has(commit) => Has::Yes,
        Some(_) if peer.is_reached() => Has::No,
        Some(_) | None => Has::Unknown,
    }
}

/// In words, once every peer that must have it has it: who has it, and who could not be asked. `None` until then.
///
/// Peers that are reached and attached must have it; of a machine that is detached, only itself.
pub(super) fn observed(cluster: &Cluster, on: &PeerId, commit: &CommitId) -> Option<String> {
    let author = cluster.peer(on)?;
    if has(author, commit) != Has::Yes {
        return None;
    }
    if author.detached().is_some() {
        let name = cluster.label(on);
        return Some(format!("{name} has it; it is detached, the others get it when it is reconnected"));
    }
    let level = usual_level(cluster);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for peer in &cluster.peers {
        let other = peer.is_reached() && peer.identity.as_ref().map(|i| i.level) != level;
        match has(peer, commit) {
            Has::Yes => with.push(peer),
            Has::No if peer.detached().is_some() => without.push((peer, "detached")),
            // It gets no changes any more.
            Has::No if is_removed(cluster, peer) => {}
            Has::No if other => without.push((peer, "another level")),
            Has::Unknown if !peer.is_reached() => without.push((peer, "not reached")),
            Has::No | Has::Unknown => return None,
        }
    }
    let names = with.iter().map(|p| cluster.label(&p.id));
    let mut text = if without.is_empty() && with.len() > 1 {
        format!("all {} peers have it", with.len())
    } else {
        format!("{} it: {}", if with.len() == 1 { "has" } else { "have" }, listed(names, 12))
    };
    if !without.is_empty() {
        let names = without.iter().map(|(p, why)| format!("{} ({why})", cluster.label(&p.id)));
        text = format!("{text}; not known to have it: {}", listed(names, 12));
    }
    Some(text)
}

/// Whether the settings say that a peer is no member, although it is still observed.
fn is_removed(cluster: &Cluster, peer: &Peer) -> bool {
    cluster.settings.as_ref().is_some_and(|s| s.tree.structure().member_of(&peer.id).is_none())
}

/// Who does not have a commit of those that should, in words, for a wait that came to nothing.
pub(super) fn lacking(cluster: &Cluster, commit: &CommitId) -> Option<String> {
    let of = |p: &Peer| match has(p, commit) {
        Has::No if p.detached().is_none() && !is_removed(cluster, p) => Some(cluster.label(&p.id).to_owned()),
        Has::Unknown if p.is_reached() => Some(format!("{} (does not say what it has)", cluster.label(&p.id))),
        Has::Yes | Has::No | Has::Unknown => None,
    };
    let names: Vec<String> = cluster.peers.iter().filter_map(|p| of(p)).collect();
    (!names.is_empty()).then(|| format!("not yet on {}", listed(names, 12)))
}

/// `a, b, c and 4 more`.
pub(super) fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>, most: usize) -> String {
    let names: Vec<S> = names.into_iter().collect();
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// How many commits `mine` has that are not in any of `theirs`, and how many it lacks.
pub(super) fn apart<'a>(mine: &Holding, theirs: impl IntoIterator<Item = &'a Holding>) -> (u64, u64) {
    let mut all: BTreeMap<&Line, u64> = BTreeMap::new();
    for (actor, n) in theirs.into_iter().flat_map(|h| &h.have) {
        let most = all.entry(actor).or_default();
        *most = (*most).max(*n);
    }
    let brings = mine.have.iter().map(|(a, n)| n.saturating_sub(all.get(a).copied().unwrap_or(0)));
    let brings = brings.fold(0_u64, u64::saturating_add);
    let lacks = all.iter().map(|(a, n)| n.saturating_sub(mine.have.get(*a).copied().unwrap_or(0)));
    (brings, lacks.fold(0_u64, u64::saturating_add))
}
