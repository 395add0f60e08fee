//! Frames into pictures. Pure; what comes in may come from anybody, so everything is bounded and cleaned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::Event;
use crate::domain::finding::Finding;
use crate::domain::ids::{ClusterName, GroupName, HostName, PeerId};
use crate::domain::membership::MACHINES_MAX;
use crate::domain::mesh::link::Link;
use crate::domain::mesh::pulse::{PULSE_LEN, Pulse};
use crate::domain::mesh::row::Row;
use crate::domain::mesh::verdict::Verdict;
use crate::domain::settings::{Catalogue, Entry, Key, Tree};
use crate::domain::snapshot::{Cluster, Committed, Limits, Peer, Settings, Snapshot};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::record::{
    EXACT, Item, RECORD_VERSION, WireCluster, WireEvents, WireFrame, WireHappened, WirePeer, WireReach, WireRegisters,
    WireRowDelta, WireSettings, health, identity, read_line, session,
};
use crate::proto::settings::{WireRegister, WireTree};
use crate::proto::{features, read};

/// Most clusters.
const CLUSTERS_MAX: usize = 256;
/// Most cells of all clusters together.
const CELLS_MAX: usize = 2048 * 2048;
/// Most events of one picture.
const EVENTS_MAX: usize = 20_000;
/// Most registers of one tree.
const REGISTERS_MAX: usize = 500_000;
/// Most findings, verdicts, commits of one cluster.
const ITEMS_MAX: usize = 100_000;
/// Most people on one peer.
const SESSIONS_MAX: usize = 4_096;

/// Gives the bytes of a tree by its digest; or why not, in words.
pub type Blobs<'b> = dyn FnMut(&str) -> Result<Vec<u8>, String> + 'b;

/// The picture that grows line by line.
#[derive(Default)]
pub struct Decoder {
    snapshot: Option<Snapshot>,
    /// Rows whose cells must be made anew, by cluster and peer.
    rows: BTreeSet<(usize, usize)>,
    /// The lists of each cluster, with a gap for what this version does not know: places stay what they were.
    lists: BTreeMap<usize, Lists>,
    /// The trees that were read last, so that stepping over blocks does not read them again.
    trees: BTreeMap<usize, (String, Arc<Tree>)>,
}

#[derive(Default)]
struct Lists {
    verdicts: Vec<Option<Verdict>>,
    findings: Vec<Option<Finding>>,
    commits: Vec<Option<Committed>>,
}

/// When the frame that begins with this line was, if one does.
///
/// # Errors
/// For what is no line of a recording.
pub fn frame_of(line: &[u8]) -> Result<Option<Time>, String> {
    // Most lines are of peers, and are not read for this.
    if !line.starts_with(b"{\"frame\"") {
        return Ok(None);
    }
    let record = read_line(line).map_err(|e| e.to_string())?;
    Ok(record.frame.map(|f| Time::from_millis(f.at)))
}

impl Decoder {
    /// Takes one line.
    ///
    /// # Errors
    /// In words; the picture is void then.
    pub fn line(&mut self, line: &[u8], blobs: &mut Blobs<'_>) -> Result<(), String> {
        let record = read_line(line).map_err(|e| e.to_string())?;
        if let Some(frame) = record.frame {
            return self.begin(&frame);
        }
        if let Some(cluster) = record.cluster {
            return self.cluster(cluster, blobs);
        }
        if let Some(peer) = record.peer {
            return self.peer(peer);
        }
        if let Some(registers) = record.registers {
            return self.registers(registers);
        }
        if let Some(events) = record.events {
            return self.events(events);
        }
        Ok(()) // Of a later version.
    }

    /// Forgets the picture, so that only a key frame can begin the next one.
    pub fn clear(&mut self) {
        self.snapshot = None;
        self.rows.clear();
    }

    /// The picture as far as it came: whole when the next line begins a frame.
    ///
    /// # Errors
    /// When there was no key frame.
    pub fn picture(&mut self) -> Result<Arc<Snapshot>, String> {
        let snapshot = self.snapshot.as_mut().ok_or("no key frame")?;
        for (c, p) in std::mem::take(&mut self.rows) {
            let Some(cluster) = snapshot.clusters.get_mut(c).map(Arc::make_mut) else { continue };
            let index = Arc::clone(&cluster.index);
            if let Some(peer) = cluster.peers.get_mut(p).map(Arc::make_mut) {
                peer.cells = cells(peer.row.as_deref(), &index);
            }
        }
        Ok(Arc::new(snapshot.clone()))
    }

    fn begin(&mut self, frame: &WireFrame) -> Result<(), String> {
        match frame.key {
            Some(RECORD_VERSION) => {
                let (at, generation) = (Time::ZERO, 0);
                self.snapshot =
                    Some(Snapshot { at, generation, clusters: Vec::new(), events: Arc::default(), dropped: 0 });
                self.rows.clear();
            }
            Some(version) => return Err(format!("form {version} is not known here ({RECORD_VERSION} is)")),
            None => {}
        }
        let snapshot = self.snapshot.as_mut().ok_or("no key frame at the begin")?;
        snapshot.at = Time::from_millis(frame.at);
        snapshot.generation = frame.generation;
        snapshot.dropped = frame.dropped.unwrap_or(snapshot.dropped);
        if let Some(n) = frame.clusters {
            let n = bounded("clusters", n as usize, CLUSTERS_MAX)?;
            snapshot.clusters = (0..n).map(|_| Arc::new(blank())).collect();
            self.lists.clear();
        }
        Ok(())
    }

    fn open(&mut self) -> Result<&mut Snapshot, String> {
        self.snapshot.as_mut().ok_or_else(|| "no key frame at the begin".into())
    }

    fn at(&mut self, n: u32) -> Result<&mut Cluster, String> {
        let known = self.open()?.clusters.get_mut(n as usize).map(Arc::make_mut);
        known.ok_or_else(|| format!("there is no cluster {n}"))
    }

    fn cluster(&mut self, wire: WireCluster, blobs: &mut Blobs<'_>) -> Result<(), String> {
        let n = wire.n as usize;
        if let Some(ids) = &wire.peers {
            self.seats(wire.n, ids)?;
        }
        let settings = match &wire.settings {
            Some(Some(head)) => Some(Some(self.settings(wire.n, head, blobs)?)),
            Some(None) => Some(None),
            None => None,
        };
        let mut lists = self.lists.remove(&n).unwrap_or_default();
        let cluster = self.at(wire.n)?;
        if let Some(name) = wire.name {
            cluster.name = ClusterName::new(&name);
        }
        if let Some(groups) = wire.groups {
            bounded("groups", groups.len(), ITEMS_MAX)?;
            cluster.groups = groups.iter().map(|g| GroupName::new(g)).collect();
        }
        if let Some(revision) = wire.revision {
            cluster.membership_revision = revision;
        }
        if let Some(limits) = wire.limits {
            cluster.limits = limits.into_domain();
        }
        if let Some(changes) = wire.changes {
            cluster.changes = changes;
        }
        // Of kinds that this version does not know nothing can be shown.
        let peers = cluster.peers.len();
        take(&mut cluster.verdicts, &mut lists.verdicts, wire.verdicts, |v| v.into_domain(peers).ok())?;
        take(&mut cluster.findings, &mut lists.findings, wire.findings, |f| f.into_domain().ok())?;
        take(&mut cluster.commits, &mut lists.commits, wire.commits, |c| Some(c.into_domain()))?;
        if let Some(features) = wire.features {
            bounded("features", features.len(), ITEMS_MAX)?;
            let built_in = features::built_in();
            cluster.catalogue = if features.is_empty() {
                built_in
            } else {
                let site = features.into_iter().map(|f| f.into_domain().map_err(|e| e.to_string()));
                let site: Vec<_> = site.collect::<Result<_, _>>()?;
                Arc::new(Catalogue::new(built_in.iter().cloned().chain(site)))
            };
        }
        if let Some(settings) = settings {
            cluster.settings = settings.map(Arc::new);
        }
        self.lists.insert(n, lists);
        if wire.peers.is_some() {
            self.rows.extend((0..peers).map(|p| (n, p)));
        }
        Ok(())
    }

    /// The peers in their order; nothing is known of them yet.
    fn seats(&mut self, n: u32, ids: &[String]) -> Result<(), String> {
        let others = self.open()?.clusters.iter().enumerate().filter(|(i, _)| *i != n as usize);
        let cells: usize = others.map(|(_, c)| c.peers.len().pow(2)).sum();
        bounded("peers", ids.len(), 2 * MACHINES_MAX)?;
        bounded("cells", cells + ids.len().pow(2), CELLS_MAX)?;
        let cluster = self.at(n)?;
        let ids: Vec<PeerId> = ids.iter().map(|id| PeerId::new(id)).collect();
        let index: BTreeMap<PeerId, usize> = ids.iter().enumerate().map(|(i, id)| (id.clone(), i)).collect();
        if index.len() != ids.len() {
            return Err("a peer stands twice in a cluster".into());
        }
        cluster.index = Arc::new(index);
        let pulses: Arc<[Pulse]> = vec![Pulse::default(); ids.len()].into();
        let cells: Arc<[Option<Arc<Link>>]> = vec![None; ids.len()].into();
        let peer = |id| Peer { pulses: Arc::clone(&pulses), cells: Arc::clone(&cells), ..unknown(id) };
        cluster.peers = ids.into_iter().map(|id| Arc::new(peer(id))).collect();
        Ok(())
    }

    fn settings(&mut self, n: u32, head: &WireSettings, blobs: &mut Blobs<'_>) -> Result<Settings, String> {
        let known = head.tree.as_ref().and_then(|d| self.trees.get(&(n as usize)).filter(|(known, _)| known == d));
        let tree = if let Some((_, tree)) = known {
            Arc::clone(tree)
        } else if let Some(digest) = &head.tree {
            let tree = Arc::new(tree(&blobs(digest)?, &head.cluster_id)?);
            self.trees.insert(n as usize, (digest.clone(), Arc::clone(&tree)));
            tree
        } else {
            let before = self.at(n)?.settings.as_ref().map(|s| Arc::clone(&s.tree));
            before.unwrap_or_else(|| Arc::new(Tree::new(Line::new(&head.cluster_id), [])))
        };
        let (source, digest) = (PeerId::new(&head.source), Line::new(&head.digest));
        Ok(Settings { tree, source, digest, at: Time::from_millis(head.at) })
    }

    fn registers(&mut self, wire: WireRegisters) -> Result<(), String> {
        let cluster = self.at(wire.cluster)?;
        let settings = cluster.settings.as_mut().map(Arc::make_mut).ok_or("registers without a tree")?;
        bounded("registers", settings.tree.registers().len() + wire.changed.len(), REGISTERS_MAX)?;
        let changes = registers(wire.changed)?;
        Arc::make_mut(&mut settings.tree).update(changes);
        Ok(())
    }

    fn events(&mut self, wire: WireEvents) -> Result<(), String> {
        let events: &mut Vec<Event> = Arc::make_mut(&mut self.open()?.events);
        let gone = (wire.drop.unwrap_or(0) as usize).min(events.len());
        events.drain(..gone);
        bounded("events", events.len() + wire.add.len(), EVENTS_MAX)?;
        events.extend(wire.add.into_iter().map(WireHappened::into_domain));
        Ok(())
    }

    fn peer(&mut self, wire: WirePeer) -> Result<(), String> {
        let frame = self.open()?.at;
        let time = |ago: i64| Time::from_millis(frame.as_millis().wrapping_sub(ago.cast_unsigned()));
        let (c, p) = (wire.c as usize, wire.p as usize);
        let cluster = self.at(wire.c)?;
        let Some(peer) = cluster.peers.get_mut(p).map(Arc::make_mut) else {
            return Err(format!("there is no peer {p} in cluster {c}"));
        };
        if let Some(host) = wire.host {
            peer.host = HostName::new(&host);
        }
        if let Some(group) = wire.group {
            peer.group = group.map(|g| GroupName::new(&g));
        }
        peer.observed = wire.observed.unwrap_or(peer.observed);
        if let Some(reach) = wire.reach {
            peer.reach = WireReach::into_domain(reach);
        }
        if let Some(heard) = wire.heard {
            peer.reach.heard = Some(time(heard));
        }
        if let Some(rtt) = wire.rtt {
            peer.reach.rtt = Some(Duration::from_nanos(rtt));
        }
        if let Some(told) = &wire.identity {
            peer.identity = told.as_ref().map(|i| Arc::new(identity(i)));
        }
        let changed = wire.row.is_some() || wire.delta.is_some();
        if let Some(row) = wire.row {
            peer.row = match row {
                Some(row) => Some(Arc::new(row.into_row(EXACT).map_err(|e| e.to_string())?)),
                None => None,
            };
        }
        if let Some(row) = peer.row.as_mut().filter(|_| wire.delta.is_some() || wire.vouched.is_some()) {
            let row = Arc::make_mut(row);
            if let Some(delta) = wire.delta {
                change(row, delta)?;
            }
            if let Some(vouched) = wire.vouched {
                row.vouched = time(vouched);
            }
        }
        if let Some(confirmed) = wire.confirmed {
            peer.confirmed = time(confirmed);
        }
        if !wire.pings.is_empty() || !wire.beats.is_empty() {
            pulses(Arc::make_mut(&mut peer.pulses), &wire.pings, &wire.beats)?;
        }
        if let Some(told) = wire.health {
            peer.health = health(told);
        }
        if let Some(holding) = wire.holding {
            peer.holding = holding.map(|h| Arc::new(h.into()));
        }
        if let Some(told) = wire.ha {
            // When it was told is written by itself, and only when that changed.
            let at = peer.ha.as_ref().map_or(Time::ZERO, |(_, at)| *at);
            peer.ha = told.map(|ha| (Arc::new(ha.into_status(EXACT)), at));
        }
        if let Some((status, told)) = &mut peer.ha {
            if let Some(ages) = wire.ha_ages {
                ages.apply(Arc::make_mut(status), frame);
            }
            *told = wire.ha_at.map_or(*told, time);
        }
        if let Some(sessions) = wire.sessions {
            bounded("sessions", sessions.len(), SESSIONS_MAX)?;
            peer.sessions = sessions.iter().map(session).collect();
        }
        if changed {
            self.rows.insert((c, p));
        }
        Ok(())
    }
}

fn bounded(what: &str, n: usize, max: usize) -> Result<usize, String> {
    if n > max { Err(format!("{n} {what}, {max} are read")) } else { Ok(n) }
}

fn take<T: Clone, W>(
    list: &mut Arc<Vec<T>>,
    places: &mut Vec<Option<T>>,
    told: Option<Vec<Item<W>>>,
    domain: impl Fn(W) -> Option<T>,
) -> Result<(), String> {
    let Some(told) = told else { return Ok(()) };
    bounded("items", told.len(), ITEMS_MAX)?;
    let items = told.into_iter().map(|item| match item {
        Item::Old(at) => places.get(at as usize).cloned().flatten(),
        Item::New(wire) => domain(wire),
    });
    *places = items.collect();
    *list = Arc::new(places.iter().flatten().cloned().collect());
    Ok(())
}

fn registers(wire: Vec<WireRegister>) -> Result<Vec<(Key, Option<Entry>)>, String> {
    let mut changes = Vec::with_capacity(wire.len());
    for register in wire {
        changes.extend(register.into_domain().map_err(|e| e.to_string())?);
    }
    Ok(changes)
}

fn tree(bytes: &[u8], cluster_id: &str) -> Result<Tree, String> {
    let mut all = Vec::new();
    for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let page: WireTree = read(line).map_err(|e| e.to_string())?;
        bounded("registers", all.len() + page.registers.len(), REGISTERS_MAX)?;
        all.extend(registers(page.registers)?.into_iter().filter_map(|(key, entry)| Some((key, entry?))));
    }
    Ok(Tree::new(Line::new(cluster_id), all))
}

fn change(row: &mut Row, delta: WireRowDelta) -> Result<(), String> {
    bounded("links", delta.changed.len() + row.links.len(), 4 * MACHINES_MAX)?;
    row.seq = delta.seq;
    row.via = delta.via.map(|v| PeerId::new(&v));
    row.detached = delta.detached.map(Time::from_millis);
    row.maintenance = delta.maintenance.map(|m| m.into_domain(EXACT));
    row.level = delta.level;
    let find = |row: &Row, to: &PeerId| row.links.binary_search_by(|l| l.to.cmp(to));
    for gone in &delta.removed {
        if let Ok(at) = find(row, &PeerId::new(gone)) {
            row.links.remove(at);
        }
    }
    for link in delta.changed {
        let link = Arc::new(link.into_link(EXACT));
        match find(row, &link.to) {
            Ok(at) => row.links[at] = link,
            Err(at) => row.links.insert(at, link),
        }
    }
    Ok(())
}

fn pulses(pulses: &mut [Pulse], pings: &[i64], beats: &[(u32, String, u32)]) -> Result<(), String> {
    for (pulse, ping) in pulses.iter_mut().zip(pings) {
        match *ping {
            0 => {}
            n if n < 0 => pulse.push(None),
            n => pulse.push(Some(Duration::from_micros(n.unsigned_abs() - 1))),
        }
    }
    for (at, codes, newest) in beats {
        let codes = data_encoding::HEXLOWER.decode(codes.as_bytes()).map_err(|_| "pings that are none")?;
        let n = bounded("pings", codes.len(), PULSE_LEN)?;
        if let Some(pulse) = pulses.get_mut(*at as usize) {
            let (mut all, _) = pulse.parts();
            all.rotate_left(n);
            all[PULSE_LEN - n..].copy_from_slice(&codes);
            *pulse = Pulse::of_parts(all, *newest);
        }
    }
    Ok(())
}

fn cells(row: Option<&Row>, index: &BTreeMap<PeerId, usize>) -> Arc<[Option<Arc<Link>>]> {
    let mut cells: Vec<Option<Arc<Link>>> = vec![None; index.len()];
    for link in row.into_iter().flat_map(|r| &r.links) {
        if let Some(at) = index.get(&link.to) {
            cells[*at] = Some(Arc::clone(link));
        }
    }
    cells.into()
}

fn blank() -> Cluster {
    Cluster::unknown(ClusterName::new(""), features::built_in(), Limits::default())
}

fn unknown(id: PeerId) -> Peer {
    Peer::unknown(id, HostName::new(""), Time::ZERO)
}
