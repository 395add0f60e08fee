//! Pictures into frames: a key frame says everything, the others what differs from the one before. Pure.
//!
//! Parts that have not changed are shared between snapshots, so that most comparisons are of two pointers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mask::Mask;
use super::sum;
use crate::domain::event::Event;
use crate::domain::ha::HaStatus;
use crate::domain::mesh::pulse::{PULSE_LEN, Pulse};
use crate::domain::mesh::row::Row;
use crate::domain::reach::Reach;
use crate::domain::settings::{Catalogue, Entry, Key, Tree};
use crate::domain::snapshot::{Cluster, Peer, Settings, Snapshot};
use crate::domain::time::Time;
use crate::proto::finding::WireFinding;
use crate::proto::ha::WireHa;
use crate::proto::observe::{WireLink, WireMaintenance, WireRow};
use crate::proto::record::{
    Item, LINE_BYTES_MAX, RECORD_VERSION, WireCluster, WireCommitted, WireEvents, WireFeature, WireFrame, WireHaAges,
    WireHappened, WireLimits, WirePeer, WireReach, WireRecord, WireRegisters, WireRowDelta, WireSettings, WireVerdict,
    nanos, wire_health, wire_identity, wire_session,
};
use crate::proto::settings::{WireHolding, WireRegister, WireTree};
use crate::proto::write;

/// Registers in one line.
const PAGE: usize = 250;
/// Events in one line.
const EVENTS: usize = 250;

/// A tree that stands beside the blocks, because many of them begin with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blob {
    /// SHA-256 of its bytes, in letters.
    pub digest: String,
    /// Lines of pages; `None`: as it was given before.
    pub bytes: Option<Vec<u8>>,
}

/// A frame.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frame {
    /// Lines of JSON, each with its end.
    pub lines: Vec<u8>,
    /// The trees that it names.
    pub blobs: Vec<Blob>,
}

/// A picture that can't be written down: one of its parts is larger than any reader takes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a part of the picture has {0} bytes, {LINE_BYTES_MAX} are recorded")]
pub struct TooLarge(usize);

/// Knows the picture that was written last.
pub struct Encoder {
    mask: Mask,
    last: Option<Arc<Snapshot>>,
    /// The tree of each cluster that was last given as a whole.
    trees: BTreeMap<usize, (Arc<Tree>, String)>,
}

impl Encoder {
    /// Before the first picture. `random`: see [`Mask::new`].
    #[must_use]
    pub fn new(random: &[u8; 32]) -> Self {
        Self { mask: Mask::new(random), last: None, trees: BTreeMap::new() }
    }

    /// The frame for `now`; the first is a key frame in any case.
    ///
    /// # Errors
    /// [`TooLarge`]; the next frame is a key frame then.
    pub fn frame(&mut self, now: &Arc<Snapshot>, key: bool) -> Result<Frame, TooLarge> {
        let last = self.last.take().filter(|_| !key);
        let mut out = Out { frame: Frame::default(), at: now.at, too_large: None };
        let same = last.as_ref().is_some_and(|l| l.clusters.len() == now.clusters.len());
        out.line(WireRecord {
            frame: Some(WireFrame {
                key: last.is_none().then_some(RECORD_VERSION),
                at: now.at.as_millis(),
                generation: now.generation,
                dropped: last.as_ref().is_none_or(|l| l.dropped != now.dropped).then_some(now.dropped),
                clusters: (!same).then_some(place(now.clusters.len())),
            }),
            ..WireRecord::default()
        });
        for (n, cluster) in now.clusters.iter().enumerate() {
            let before = last.as_ref().filter(|_| same).map(|l| &l.clusters[n]);
            if before.is_none_or(|b| !Arc::ptr_eq(b, cluster)) {
                self.cluster(n, before.map(Arc::as_ref), cluster, &mut out);
            }
        }
        events(last.as_ref().map(|l| &l.events), &now.events, &mut out);
        if let Some(bytes) = out.too_large {
            return Err(TooLarge(bytes));
        }
        self.last = Some(Arc::clone(now));
        Ok(out.frame)
    }

    fn cluster(&mut self, n: usize, before: Option<&Cluster>, now: &Cluster, out: &mut Out) {
        let seats = before.filter(|b| b.peers.iter().map(|p| &p.id).eq(now.peers.iter().map(|p| &p.id)));
        let mut wire = WireCluster { n: place(n), ..WireCluster::default() };
        wire.name = before.is_none_or(|b| b.name != now.name).then(|| now.name.to_string());
        wire.groups = before.is_none_or(|b| b.groups != now.groups).then(|| texts(&now.groups));
        wire.peers = seats.is_none().then(|| now.peers.iter().map(|p| p.id.to_string()).collect());
        wire.revision =
            before.is_none_or(|b| b.membership_revision != now.membership_revision).then_some(now.membership_revision);
        wire.limits = before.is_none_or(|b| b.limits != now.limits).then(|| WireLimits::from_domain(&now.limits));
        wire.changes = before.is_none_or(|b| b.changes != now.changes).then_some(now.changes);
        wire.verdicts = items(before.map(|b| &b.verdicts), &now.verdicts, WireVerdict::from_domain);
        wire.findings = items(before.map(|b| &b.findings), &now.findings, WireFinding::from_domain);
        wire.commits = items(before.map(|b| &b.commits), &now.commits, WireCommitted::from_domain);
        if before.is_none_or(|b| !Arc::ptr_eq(&b.catalogue, &now.catalogue)) {
            let site = now.catalogue.iter().filter(|f| f.site);
            wire.features = Some(site.map(|f| WireFeature::from_domain(&self.mask.feature(f))).collect());
        }
        let changed = self.settings(n, before, now, &mut wire, out);
        out.line(WireRecord { cluster: Some(wire), ..WireRecord::default() });
        for page in changed.chunks(PAGE) {
            let registers = WireRegisters { cluster: place(n), changed: page.to_vec() };
            out.line(WireRecord { registers: Some(registers), ..WireRecord::default() });
        }
        for (p, peer) in now.peers.iter().enumerate() {
            let before = seats.map(|s| &s.peers[p]);
            if before.is_none_or(|b| !Arc::ptr_eq(b, peer)) {
                let wire = self::peer(before.map(Arc::as_ref), peer, out.at);
                let wire = WirePeer { c: place(n), p: place(p), ..wire };
                out.line(WireRecord { peer: Some(wire), ..WireRecord::default() });
            }
        }
    }

    /// The head of the settings into `wire`; the registers that changed since.
    fn settings(
        &mut self,
        n: usize,
        before: Option<&Cluster>,
        now: &Cluster,
        wire: &mut WireCluster,
        out: &mut Out,
    ) -> Vec<WireRegister> {
        let old = before.map(|b| &b.settings);
        let head = |s: &Settings, tree| WireSettings {
            cluster_id: s.tree.cluster_id.to_string(),
            source: s.source.to_string(),
            digest: s.digest.to_string(),
            at: s.at.as_millis(),
            tree,
        };
        let Some(settings) = &now.settings else {
            wire.settings = old.is_none_or(Option::is_some).then_some(None);
            return Vec::new();
        };
        match old {
            Some(Some(old)) if Arc::ptr_eq(old, settings) => Vec::new(),
            Some(Some(old)) if old.tree.cluster_id == settings.tree.cluster_id => {
                wire.settings = Some(Some(head(settings, None)));
                if Arc::ptr_eq(&old.tree, &settings.tree) {
                    return Vec::new();
                }
                let changed = differences(&old.tree, &settings.tree);
                let register = |(key, entry): (&Key, Option<&Entry>)| self.register(&now.catalogue, key, entry);
                changed.into_iter().map(register).collect()
            }
            Some(Some(_) | None) | None => {
                let blob = self.blob(n, &settings.tree, &now.catalogue);
                wire.settings = Some(Some(head(settings, Some(blob.digest.clone()))));
                out.frame.blobs.push(blob);
                Vec::new()
            }
        }
    }

    fn register(&self, catalogue: &Catalogue, key: &Key, entry: Option<&Entry>) -> WireRegister {
        let masked = entry.and_then(|e| self.mask.entry(catalogue, key, e));
        WireRegister::new(key, masked.as_ref())
    }

    /// The whole tree, by its digest alone where it was given before.
    fn blob(&mut self, n: usize, tree: &Arc<Tree>, catalogue: &Catalogue) -> Blob {
        if let Some((_, digest)) = self.trees.get(&n).filter(|(known, _)| Arc::ptr_eq(known, tree)) {
            return Blob { digest: digest.clone(), bytes: None };
        }
        let mut bytes = Vec::new();
        let registers: Vec<(&Key, &Entry)> = tree.registers().collect();
        for page in registers.chunks(PAGE) {
            let registers = page.iter().map(|(key, entry)| self.register(catalogue, key, Some(entry))).collect();
            bytes.extend(write(&WireTree {
                cluster_id: tree.cluster_id.to_string(),
                registers,
                ..WireTree::default()
            }));
            bytes.push(b'\n');
        }
        let digest = sum(&bytes);
        self.trees.insert(n, (Arc::clone(tree), digest.clone()));
        Blob { digest, bytes: Some(bytes) }
    }
}

/// Where the lines go.
struct Out {
    frame: Frame,
    at: Time,
    too_large: Option<usize>,
}

impl Out {
    #[expect(clippy::needless_pass_by_value, reason = "made to be written, and then gone")]
    fn line(&mut self, record: WireRecord) {
        let line = write(&record);
        if line.len() > LINE_BYTES_MAX {
            self.too_large = Some(line.len());
        }
        self.frame.lines.extend(line);
        self.frame.lines.push(b'\n');
    }
}

fn place(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn texts<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// How long before the frame `time` lies; what lies after it comes out negative.
fn ago(at: Time, time: Time) -> i64 {
    at.as_millis().wrapping_sub(time.as_millis()).cast_signed()
}

/// The list, where it is another one: what stood in it before by its place.
fn items<T: PartialEq, W>(before: Option<&Arc<Vec<T>>>, now: &Arc<Vec<T>>, wire: fn(&T) -> W) -> Option<Vec<Item<W>>> {
    if before.is_some_and(|b| Arc::ptr_eq(b, now) || b == now) {
        return None;
    }
    let old: &[T] = before.map_or(&[], |b| b);
    let mut next = 0;
    let mut item = |new: &T| {
        // Most stand behind the one that was found last.
        let later = || old.iter().enumerate().skip(next);
        let found = later().chain(old.iter().enumerate().take(next)).find(|(_, o)| *o == new).map(|(at, _)| at);
        match found {
            Some(at) => {
                next = at + 1;
                Item::Old(place(at))
            }
            None => Item::New(wire(new)),
        }
    };
    Some(now.iter().map(&mut item).collect())
}

fn events(before: Option<&Arc<Vec<Event>>>, now: &Arc<Vec<Event>>, out: &mut Out) {
    let old: &[Event] = match before {
        Some(before) if Arc::ptr_eq(before, now) => return,
        Some(before) => before,
        None => &[],
    };
    let goes_on = |gone: &usize| {
        let kept = &old[*gone..];
        now.len() >= kept.len() && now[..kept.len()] == *kept
    };
    let gone = (0..=old.len()).filter(|n| old.get(*n) == now.first() || *n == old.len()).find(goes_on);
    let gone = gone.unwrap_or(old.len());
    let mut drop = (gone > 0).then(|| place(gone));
    let new = &now[old.len() - gone..];
    for page in new.chunks(EVENTS) {
        let add = page.iter().map(WireHappened::from_domain).collect();
        let events = WireEvents { drop: drop.take(), add };
        out.line(WireRecord { events: Some(events), ..WireRecord::default() });
    }
    if drop.is_some() {
        out.line(WireRecord { events: Some(WireEvents { drop, add: Vec::new() }), ..WireRecord::default() });
    }
}

/// The registers that are others in `new`; those that are gone without an entry.
fn differences<'a>(old: &'a Tree, new: &'a Tree) -> Vec<(&'a Key, Option<&'a Entry>)> {
    let mut changed: Vec<(&Key, Option<&Entry>)> =
        new.registers().filter(|(key, entry)| old.entry(key) != Some(entry)).map(|(k, e)| (k, Some(e))).collect();
    changed.extend(old.registers().filter(|(key, _)| new.entry(key).is_none()).map(|(key, _)| (key, None)));
    changed
}

fn peer(before: Option<&Peer>, now: &Peer, at: Time) -> WirePeer {
    let mut wire = WirePeer {
        host: before.is_none_or(|b| b.host != now.host).then(|| now.host.to_string()),
        group: before.is_none_or(|b| b.group != now.group).then(|| now.group.as_ref().map(ToString::to_string)),
        observed: before.is_none_or(|b| b.observed != now.observed).then_some(now.observed),
        ..WirePeer::default()
    };
    reach(before.map(|b| &b.reach), &now.reach, at, &mut wire);
    let same = |a: Option<&Arc<_>>, b: Option<&Arc<_>>| match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if before.is_none_or(|b| !same(b.identity.as_ref(), now.identity.as_ref())) {
        wire.identity = Some(now.identity.as_deref().map(wire_identity));
    }
    row(before.map(|b| b.row.as_ref()), now.row.as_ref(), at, &mut wire);
    wire.confirmed = before.is_none_or(|b| b.confirmed != now.confirmed).then(|| ago(at, now.confirmed));
    pulses(before.map(|b| &b.pulses), &now.pulses, &mut wire);
    wire.health = before.is_none_or(|b| b.health != now.health).then(|| wire_health(&now.health));
    let held = |b: &Peer| match (&b.holding, &now.holding) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if before.is_none_or(|b| !held(b)) {
        wire.holding = Some(now.holding.as_deref().map(WireHolding::from));
    }
    ha(before.and_then(|b| b.ha.as_ref()), now.ha.as_ref(), before.is_none(), at, &mut wire);
    if before.is_none_or(|b| !Arc::ptr_eq(&b.sessions, &now.sessions) && b.sessions != now.sessions) {
        wire.sessions = Some(now.sessions.iter().map(wire_session).collect());
    }
    wire
}

/// How it stands in its HA group; `first`: nothing was written of the peer before.
fn ha(
    before: Option<&(Arc<HaStatus>, Time)>,
    now: Option<&(Arc<HaStatus>, Time)>,
    first: bool,
    at: Time,
    wire: &mut WirePeer,
) {
    let Some((status, told)) = now else {
        wire.ha = (first || before.is_some()).then_some(None);
        return;
    };
    wire.ha_at = before.is_none_or(|(_, was)| was != told).then(|| ago(at, *told));
    match before {
        Some((old, _)) if Arc::ptr_eq(old, status) => {}
        Some((old, _)) if old.ageless() == status.ageless() => {
            wire.ha_ages = WireHaAges::between(old, status, at);
        }
        Some(_) | None => wire.ha = Some(Some(Box::new(WireHa::from(&**status)))),
    }
}

fn reach(before: Option<&Reach>, now: &Reach, at: Time, wire: &mut WirePeer) {
    if before == Some(now) {
        return;
    }
    // Only the newest sign of life differs, as with every report.
    if let (Some(before), Some(heard)) = (before, now.heard)
        && (now.rtt.is_some() || before.rtt.is_none())
        && *now == (Reach { heard: now.heard, rtt: now.rtt, ..before.clone() })
    {
        wire.heard = (before.heard != now.heard).then(|| ago(at, heard));
        wire.rtt = now.rtt.filter(|_| before.rtt != now.rtt).map(nanos);
        return;
    }
    wire.reach = Some(WireReach::from_domain(now));
}

#[expect(clippy::option_option, reason = "nothing before, no row, a row")]
fn row(before: Option<Option<&Arc<Row>>>, now: Option<&Arc<Row>>, at: Time, wire: &mut WirePeer) {
    let Some(now) = now else {
        wire.row = before.is_none_or(|b| b.is_some()).then_some(None);
        return;
    };
    let before = before.flatten();
    if before.is_some_and(|b| Arc::ptr_eq(b, now)) {
        return;
    }
    if before.is_none_or(|b| b.vouched != now.vouched) {
        wire.vouched = Some(ago(at, now.vouched));
    }
    match before {
        Some(b) if (&b.origin, b.boot) == (&now.origin, now.boot) => {
            wire.delta = Some(delta(b, now)).filter(|_| *b != Arc::new(Row { vouched: b.vouched, ..(**now).clone() }));
        }
        Some(_) | None => wire.row = Some(Some(WireRow::from_row(now, now.vouched))),
    }
}

fn delta(before: &Row, now: &Row) -> WireRowDelta {
    let mut changed = Vec::new();
    let mut old = before.links.iter().peekable();
    let mut removed = Vec::new();
    for link in &now.links {
        while let Some(gone) = old.next_if(|o| o.to < link.to) {
            removed.push(gone.to.to_string());
        }
        let was = old.next_if(|o| o.to == link.to);
        if was.is_none_or(|w| !Arc::ptr_eq(w, link) && w != link) {
            changed.push(WireLink::from_link(link));
        }
    }
    removed.extend(old.map(|o| o.to.to_string()));
    WireRowDelta {
        seq: now.seq,
        via: now.via.as_ref().map(ToString::to_string),
        detached: now.detached.map(Time::as_millis),
        maintenance: now.maintenance.as_ref().map(WireMaintenance::from_domain),
        level: now.level,
        changed,
        removed,
    }
}

fn pulses(before: Option<&Arc<[Pulse]>>, now: &Arc<[Pulse]>, wire: &mut WirePeer) {
    if before.is_some_and(|b| Arc::ptr_eq(b, now)) {
        return;
    }
    let none = Pulse::default();
    for (at, new) in now.iter().enumerate() {
        let old = before.and_then(|b| b.get(at)).unwrap_or(&none);
        if old == new {
            continue;
        }
        match one_ping(old, new) {
            Some(ping) => {
                wire.pings.resize(at, 0);
                wire.pings.push(ping);
            }
            None => wire.beats.push(appended(at, old, new)),
        }
    }
}

/// The one ping that makes `old` into `new`, as it is written.
fn one_ping(old: &Pulse, new: &Pulse) -> Option<i64> {
    let mut lost = *old;
    lost.push(None);
    if lost == *new {
        return Some(-1);
    }
    let mut answered = *old;
    answered.push(Some(new.rtt()?));
    (answered == *new).then(|| i64::from(new.parts().1))
}

/// The codes that come after those of `old`, as few as can be.
fn appended(at: usize, old: &Pulse, new: &Pulse) -> (u32, String, u32) {
    let ((was, _), (is, newest)) = (old.parts(), new.parts());
    let fits = |n: &usize| was[*n..] == is[..PULSE_LEN - n];
    let n = (0..PULSE_LEN).find(fits).unwrap_or(PULSE_LEN);
    (place(at), super::hex(&is[PULSE_LEN - n..]), newest)
}
