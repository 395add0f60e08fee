//! A small network in virtual time: N cores, connections and datagrams that can be cut in each direction.
//!
//! Connections behave like TCP: what is sent into a cut waits there and arrives in order when it is healed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use peerdeck::daemon::cluster::{Config, ConnId, Core, DialError, Dialled, Effect, Event, RequestId, View};
use peerdeck::daemon::replica::{self, Replica, Signing, StoredChange};
use peerdeck::daemon::vault::{MachineVault, Vault};
use peerdeck::domain::maintenance::Maintenance;
use peerdeck::domain::membership::{Addressing, Machine, Membership};
use peerdeck::domain::mesh::{Cause, DnsCheck, Link, LinkState};
use peerdeck::domain::settings::{Catalogue, Edit, Seen, Tree};
use peerdeck::domain::{BootId, ClusterName, GroupName, HostName, Line, PeerId, Time};
use peerdeck::proto::frame::Frame;
use peerdeck::proto::rpc::{ExecuteParams, WireBasis};
use peerdeck::proto::settings::{WireEdit, wire_seen};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt, SeedableRng};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;

pub const INTERVAL: Duration = Duration::from_secs(1);
pub const FAILURES: u32 = 3;
/// Silence after which every core has noticed a fault: the pings, the beat on which they are counted, jitter.
pub const NOTICED: Duration = Duration::from_millis(5500);
/// Time after a heal within which everything must be up and known again.
pub const SETTLED: Duration = Duration::from_secs(9);

#[derive(Debug)]
enum Parcel {
    Event(Box<Event>),
    /// Only for this start of the node.
    Boot(u64, Box<Parcel>),
    Written {
        ticket: u64,
    },
    Dial {
        conn: ConnId,
        from: usize,
        to: usize,
    },
    Open {
        pipe: usize,
    },
    Frame {
        pipe: usize,
        to: usize,
        frame: Arc<Frame>,
    },
    Fin {
        pipe: usize,
        to: usize,
    },
}

#[derive(Debug)]
struct Pipe {
    ends: [(usize, ConnId); 2],
    open: [bool; 2],
    boots: [u64; 2],
    /// What waits in a cut, by receiving end.
    waiting: [VecDeque<Option<Arc<Frame>>>; 2],
    pings: BTreeMap<(usize, u64), Time>,
}

/// What shall be written.
#[derive(Clone)]
struct Write {
    changes: Arc<[StoredChange]>,
    forget: Arc<[[u8; 32]]>,
    actor: Option<Vec<u8>>,
}

/// What a node has on disk.
#[derive(Default)]
pub struct Disk {
    pub changes: Vec<StoredChange>,
    pub actor: Option<Vec<u8>>,
    /// Being written: kept, lost or kept without a word when the node is killed now.
    pending: Vec<(u64, Write)>,
    /// Why nothing can be written now.
    pub full: Option<String>,
    backup: Option<Vec<StoredChange>>,
    restored: bool,
}

/// What can be wrong with a runtime: each must be found by the invariants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// Says that it is on disk before it is.
    AnswersEarly,
    /// Says that it is on disk and never writes.
    NeverWrites,
    /// Writes all but the last change of a batch.
    WritesTheFirstOnly,
    /// Loses frames of a connection that stands, without a word.
    LosesFrames,
    /// After a write that failed says that it went well.
    HidesFailures,
}

/// A commit that was answered with success.
#[derive(Clone, Debug)]
pub struct Promised {
    pub node: usize,
    pub commit: (String, u64),
}

pub struct Node {
    pub disk: Disk,
    /// Its wall clock less the true one, in milliseconds.
    pub skew: i64,
    pub core: Option<Core>,
    pub boot: u64,
    frozen: Option<VecDeque<Event>>,
    /// Whether its host answers a dial when the process is dead.
    pub host_up: bool,
    pub level: u32,
    pub detached: Option<Time>,
    pub maintenance: Option<Maintenance>,
    pub answers: Vec<Result<String, String>>,
}

pub struct Sim {
    pub now: Time,
    pub nodes: Vec<Node>,
    pub membership: Arc<Membership>,
    queue: BTreeMap<(Time, u64), (usize, Parcel)>,
    serial: u64,
    pipes: Vec<Pipe>,
    cuts: BTreeSet<(usize, usize)>,
    udp_cuts: bool,
    pub loss: f64,
    /// A connection takes up to so long to open.
    pub slow_dials: Duration,
    rng: StdRng,
    accepted: u64,
    /// Connections that were opened so far.
    pub opened: usize,
    /// Frames of link rows that were sent so far.
    pub row_frames: usize,
    /// Peers hold settings.
    settings: bool,
    pub bug: Option<Bug>,
    /// The effect before which the node that has it dies.
    pub crash_in: Option<(usize, u32)>,
    pub promised: Vec<Promised>,
    /// What must never happen and did.
    pub violations: Vec<String>,
    /// A settings frame is delivered twice with this probability.
    pub doubled: f64,
    next_request: u64,
}

pub fn id(n: usize) -> PeerId {
    PeerId::new(&format!("0000000000{n:02}-AAAAAAA"))
}

fn members(n: usize) -> Membership {
    let machine = |i: usize| {
        Arc::new(Machine {
            id: id(i),
            host: HostName::new(&format!("lab{i}.example.com")),
            group: GroupName::new("Main_Group"),
            address: HostName::new(&format!("127.0.1.{i}")),
            port: 2022,
            machine_key: Line::new(&machine_key(i)),
            host_key: Line::default(),
        })
    };
    Membership {
        cluster_id: Line::new("c1"),
        name: ClusterName::new("Example"),
        revision: 7,
        addressing: Addressing::HostName,
        groups: vec![GroupName::new("Main_Group")],
        machines: (0..n).map(machine).collect(),
    }
}

impl Sim {
    pub fn new(n: usize, seed: u64) -> Self {
        Self::make(n, seed, false)
    }

    /// The same, with peers that hold settings.
    pub fn with_settings(n: usize, seed: u64) -> Self {
        Self::make(n, seed, true)
    }

    fn make(n: usize, seed: u64, settings: bool) -> Self {
        let mut sim = Self {
            now: Time::from_millis(1_700_000_000_000),
            nodes: Vec::new(),
            membership: Arc::new(members(n)),
            queue: BTreeMap::new(),
            serial: 0,
            pipes: Vec::new(),
            cuts: BTreeSet::new(),
            udp_cuts: true,
            loss: 0.0,
            slow_dials: Duration::ZERO,
            rng: StdRng::seed_from_u64(seed),
            accepted: 1,
            opened: 0,
            row_frames: 0,
            settings: false,
            bug: None,
            crash_in: None,
            promised: Vec::new(),
            violations: Vec::new(),
            doubled: 0.0,
            next_request: 0,
        };
        sim.settings = settings;
        for _ in 0..n {
            sim.nodes.push(Node {
                disk: Disk::default(),
                skew: 0,
                core: None,
                boot: 0,
                frozen: None,
                host_up: true,
                level: 1,
                detached: None,
                maintenance: None,
                answers: Vec::new(),
            });
        }
        for i in 0..n {
            sim.start(i);
        }
        sim
    }

    pub fn start(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        if node.core.is_some() {
            return;
        }
        node.boot += 1;
        node.frozen = None;
        let config = Config {
            id: id(i),
            host: HostName::new(&format!("lab{i}.example.com")),
            boot: BootId(node.boot),
            level: node.level,
            ping_interval: INTERVAL,
            ping_failures: FAILURES,
            membership: self.membership.clone(),
            detached: node.detached,
            maintenance: node.maintenance.clone(),
            unfit: None,
            seed: self.rng.random(),
        };
        let replica = self.settings.then(|| (self.open(i), catalogue(), self.vault(i)));
        let (core, effects) = Core::with_settings(config, replica, self.now);
        self.nodes[i].core = Some(core);
        self.carry_out(i, effects);
    }

    /// Real, but for its random bytes.
    fn vault(&mut self, i: usize) -> Arc<dyn Vault> {
        Arc::new(vault(i, self.rng.random()))
    }

    /// What a node finds on its disk; at its first start the membership that it was given.
    fn open(&mut self, i: usize) -> Replica {
        let seed = self.rng.random();
        let node = &mut self.nodes[i];
        let host = HostName::new(&format!("lab{i}.example.com"));
        let actor = node.disk.actor.clone();
        let config = replica::Config { peer: id(i), host, actor, seed, signing: Arc::new(FakeKey(i)) };
        if node.disk.changes.is_empty() {
            let (mut replica, batch) = Replica::found(config, &self.membership).unwrap();
            node.disk.changes.extend(batch.changes.iter().cloned());
            node.disk.actor = Some(replica.actor());
            replica.kept(batch.id);
            replica
        } else {
            match Replica::load(config.clone(), node.disk.changes.clone()) {
                Ok(replica) => replica,
                Err(error) => {
                    self.violations.push(format!("peer {i} can't read its own disk: {error}"));
                    Replica::found(config, &self.membership).unwrap().0
                }
            }
        }
    }

    /// Somebody at node `i` wants this; what he is answered is checked for ever.
    pub fn commit(&mut self, i: usize, edits: &[Edit], seen: &Seen) {
        self.next_request += 1;
        let params = ExecuteParams {
            command: "commit".into(),
            peer: id(i).to_string(),
            edits: edits.iter().map(WireEdit::from).collect(),
            basis: WireBasis { settings: wire_seen(seen), ..WireBasis::default() },
            ..ExecuteParams::default()
        };
        let request = RequestId(self.next_request);
        self.step(i, Event::Execute { request, by: Line::new("admin from 127.0.0.1"), params });
    }

    pub fn tree(&self, i: usize) -> Arc<Tree> {
        self.view(i).tree
    }

    /// All connections of two break, as when a router forgets them.
    pub fn break_connections(&mut self, a: usize, b: usize) {
        for pipe in 0..self.pipes.len() {
            if self.pipes[pipe].ends.iter().all(|e| e.0 == a || e.0 == b) {
                self.close(pipe, 0);
                self.close(pipe, 1);
            }
        }
    }

    fn keep(&mut self, i: usize, ticket: u64, write: Write) {
        let early = self.bug == Some(Bug::AnswersEarly);
        assert!(early || self.nodes[i].disk.pending.is_empty(), "one write at a time");
        self.nodes[i].disk.pending.push((ticket, write));
        let mut wait = Duration::from_millis(self.rng.random_range(1..12));
        if early {
            let kept = Event::Kept { ticket, result: Ok(()) };
            self.post(Duration::ZERO, i, Parcel::Boot(self.nodes[i].boot, Box::new(Parcel::Event(Box::new(kept)))));
            wait += Duration::from_millis(20);
        }
        self.post(wait, i, Parcel::Boot(self.nodes[i].boot, Box::new(Parcel::Written { ticket })));
    }

    /// The disk has written.
    fn written(&mut self, i: usize, ticket: u64) {
        let Some(at) = self.nodes[i].disk.pending.iter().position(|p| p.0 == ticket) else { return };
        let (_, write) = self.nodes[i].disk.pending.remove(at);
        for change in write.changes.iter() {
            // A change that its author has not kept must be nowhere else: it would use the same number again.
            // One whose disk was put back to an older one has kept it, and lost it since.
            let author = (0..self.nodes.len())
                .find(|k| *k != i && !self.nodes[*k].disk.restored && self.member(*k) == change.signer.as_str());
            if let Some(author) = author
                && self.nodes[author].disk.changes.iter().all(|c| c.hash != change.hash)
            {
                self.violations.push(format!("peer {i} was told a change of peer {author} before that had kept it"));
            }
        }
        let disk = &mut self.nodes[i].disk;
        let result = match &disk.full {
            Some(_) if self.bug == Some(Bug::HidesFailures) => Ok(()),
            Some(why) => Err(why.clone()),
            None => {
                disk.write(&write, self.bug);
                Ok(())
            }
        };
        if self.bug != Some(Bug::AnswersEarly) {
            self.step(i, Event::Kept { ticket, result });
        }
    }

    /// As SIGKILL: connections end, nothing is said.
    pub fn kill(&mut self, i: usize) {
        for (_, write) in std::mem::take(&mut self.nodes[i].disk.pending) {
            // It may have come through without anybody being told.
            if self.nodes[i].disk.full.is_none() && self.rng.random_bool(0.5) {
                self.nodes[i].disk.write(&write, self.bug);
            }
        }
        self.nodes[i].core = None;
        self.nodes[i].frozen = None;
        for pipe in 0..self.pipes.len() {
            for end in 0..2 {
                if self.pipes[pipe].ends[end].0 == i {
                    self.close(pipe, end);
                }
            }
        }
    }

    /// Copies the disk of a node, or puts the copy in its place: the peer notices and goes on as another actor.
    pub fn back_up_or_restore(&mut self, i: usize) {
        match self.nodes[i].disk.backup.take() {
            None => self.nodes[i].disk.backup = Some(self.nodes[i].disk.changes.clone()),
            Some(old) => {
                self.kill(i);
                self.nodes[i].disk.changes = old;
                self.nodes[i].disk.actor = None;
                self.nodes[i].disk.restored = true;
                // What it alone had is gone with its disk.
                self.promised.retain(|p| p.node != i);
                self.start(i);
            }
        }
    }

    pub fn freeze(&mut self, i: usize) {
        if self.nodes[i].core.is_some() {
            self.nodes[i].frozen.get_or_insert_with(VecDeque::new);
        }
    }

    pub fn thaw(&mut self, i: usize) {
        for event in self.nodes[i].frozen.take().unwrap_or_default() {
            self.step(i, event);
        }
    }

    pub fn cut_one_way(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
        for pipe in 0..self.pipes.len() {
            for end in 0..2 {
                for item in std::mem::take(&mut self.pipes[pipe].waiting[end]) {
                    self.send_item(pipe, end, item);
                }
            }
        }
    }

    pub fn event(&mut self, i: usize, event: Event) {
        self.post(Duration::ZERO, i, Parcel::Event(Box::new(event)));
    }

    pub fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let wake = (0..self.nodes.len())
                .filter(|i| self.nodes[*i].frozen.is_none())
                .filter_map(|i| Some((self.nodes[i].core.as_ref()?.next_wake().max(self.now), i)))
                .min();
            let parcel = self.queue.keys().next().copied();
            let next = [wake.map(|w| w.0), parcel.map(|p| p.0)].into_iter().flatten().min();
            let Some(at) = next.filter(|t| *t <= until) else { break };
            self.now = at;
            if let Some(key) = parcel.filter(|p| p.0 == at) {
                let (node, parcel) = self.queue.remove(&key).unwrap();
                self.deliver(node, parcel);
            } else if let Some((_, node)) = wake {
                self.step(node, Event::Tick);
            }
        }
        self.now = until;
    }

    /// A frame over the connection of two, as if the first had sent it.
    pub fn say(&mut self, from: usize, to: usize, frame: &Frame) {
        let open =
            self.pipes.iter().position(|p| p.open == [true; 2] && p.ends.iter().all(|e| [from, to].contains(&e.0)));
        let pipe = open.unwrap();
        let end = usize::from(self.pipes[pipe].ends[1].0 == to);
        self.send_item(pipe, end, Some(Arc::new(frame.clone())));
    }

    pub fn view(&self, i: usize) -> View {
        self.nodes[i].core.as_ref().unwrap().view(self.now, 0)
    }

    pub fn link(&self, from: usize, to: usize) -> Link {
        (**self.view(from).row.link(&id(to)).unwrap()).clone()
    }

    pub fn state(&self, from: usize, to: usize) -> LinkState {
        self.link(from, to).state
    }

    pub fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|i| self.nodes[*i].core.is_some()).collect()
    }

    /// Every running peer is connected to every other.
    pub fn assert_all_up(&self, what: &str) {
        for a in self.running() {
            for b in self.running() {
                if a != b {
                    let link = self.link(a, b);
                    assert_eq!(link.state, LinkState::Connected, "{what}: {a} to {b} at {:?}: {link:?}", self.now);
                }
            }
        }
    }

    /// Every running peer holds every other's newest row.
    pub fn assert_same_rows(&self, what: &str) {
        for a in self.running() {
            let seen = self.view(a).rows;
            for b in self.running() {
                if a != b {
                    let own = self.view(b).row;
                    let row = seen.get(&id(b)).unwrap_or_else(|| panic!("{what}: {a} has no row of {b}"));
                    assert_eq!((row.boot, row.seq), (own.boot, own.seq), "{what}: {a} has an old row of {b}");
                    for (l, m) in row.links.iter().zip(&own.links) {
                        assert_eq!((&l.to, l.state, l.cause), (&m.to, m.state, m.cause), "{what}: row of {b} at {a}");
                    }
                }
            }
        }
    }

    /// Each pair keeps one connection.
    pub fn open_pipes(&self) -> usize {
        self.pipes.iter().filter(|p| p.open[0] && p.open[1]).count()
    }

    fn post(&mut self, delay: Duration, to: usize, parcel: Parcel) {
        self.serial += 1;
        self.queue.insert((self.now + delay, self.serial), (to, parcel));
    }

    fn deliver(&mut self, node: usize, parcel: Parcel) {
        match parcel {
            Parcel::Event(event) => self.step(node, *event),
            Parcel::Boot(boot, parcel) => {
                if self.nodes[node].boot == boot && self.nodes[node].core.is_some() {
                    self.deliver(node, *parcel);
                }
            }
            Parcel::Written { ticket } => self.written(node, ticket),
            Parcel::Dial { conn, from, to } => self.dial(conn, from, to),
            Parcel::Open { pipe } => {
                for end in [1, 0] {
                    let (node, conn) = self.pipes[pipe].ends[end];
                    let other = self.pipes[pipe].ends[1 - end].0;
                    let address = address(other);
                    let event = if end == 1 {
                        Event::Accepted { conn, peer: id(other), from: address }
                    } else {
                        Event::Dialled { conn, result: Ok(Dialled { address, dns: DnsCheck::default() }) }
                    };
                    self.step(node, event);
                }
            }
            Parcel::Frame { pipe, to, frame } => {
                let (node, conn) = self.pipes[pipe].ends[to];
                if !self.pipes[pipe].open[to] || self.pipes[pipe].boots[to] != self.nodes[node].boot {
                    return;
                }
                let event = match &*frame {
                    Frame::Pong { n } => {
                        let Some(sent) = self.pipes[pipe].pings.remove(&(to, *n)) else { return };
                        Event::Pong { conn, n: *n, rtt: self.now.since(sent) }
                    }
                    other => Event::Frame { conn, frame: other.clone() },
                };
                self.step(node, event);
            }
            Parcel::Fin { pipe, to } => {
                let (node, conn) = self.pipes[pipe].ends[to];
                if std::mem::replace(&mut self.pipes[pipe].open[to], false) {
                    self.step(node, Event::Closed { conn, cause: Cause::Dropped, detail: "connection reset".into() });
                }
            }
        }
    }

    fn step(&mut self, i: usize, event: Event) {
        if let Some(held) = &mut self.nodes[i].frozen {
            held.push_back(event);
            return;
        }
        let skew = self.nodes[i].skew;
        let Some(core) = &mut self.nodes[i].core else { return };
        core.set_wall(Time::from_millis(self.now.as_millis().saturating_add_signed(skew)));
        let effects = core.step(self.now, event);
        self.carry_out(i, effects);
    }

    /// The membership id of a node, by its own tree.
    fn member(&self, i: usize) -> String {
        let tree = self.nodes[i].core.as_ref().map(|c| c.view(self.now, 0).tree);
        let member = tree.and_then(|t| t.structure().member_of(&id(i)).map(|m| m.id.to_string()));
        member.unwrap_or_default()
    }

    fn blocked(&self, a: usize, b: usize) -> bool {
        self.cuts.contains(&(a, b))
    }

    fn latency(&mut self) -> Duration {
        Duration::from_millis(self.rng.random_range(1..5))
    }

    fn dial(&mut self, conn: ConnId, from: usize, to: usize) {
        if self.nodes[from].core.is_none() {
            return;
        }
        let fail = |cause: Cause, detail: &str| {
            let error =
                DialError { cause, detail: detail.into(), address: Some(address(to)), dns: DnsCheck::default() };
            Parcel::Event(Box::new(Event::Dialled { conn, result: Err(error) }))
        };
        if self.blocked(from, to) || self.blocked(to, from) || !self.nodes[to].host_up {
            self.post(Duration::from_millis(1500), from, fail(Cause::Timeout, "no answer"));
        } else if self.nodes[to].core.is_none() {
            self.post(Duration::from_millis(1), from, fail(Cause::Refused, "connection refused"));
        } else {
            self.accepted += 2;
            self.opened += 1;
            let there = ConnId(self.accepted);
            self.pipes.push(Pipe {
                ends: [(from, conn), (to, there)],
                open: [true; 2],
                boots: [self.nodes[from].boot, self.nodes[to].boot],
                waiting: [VecDeque::new(), VecDeque::new()],
                pings: BTreeMap::new(),
            });
            let pipe = self.pipes.len() - 1;
            self.post(Duration::ZERO, from, Parcel::Open { pipe });
        }
    }

    fn find(&self, node: usize, conn: ConnId) -> Option<(usize, usize)> {
        self.pipes.iter().enumerate().rev().find_map(|(p, pipe)| {
            let end = (0..2).find(|e| pipe.ends[*e] == (node, conn) && pipe.boots[*e] == self.nodes[node].boot)?;
            Some((p, end))
        })
    }

    fn close(&mut self, pipe: usize, end: usize) {
        if std::mem::replace(&mut self.pipes[pipe].open[end], false) {
            self.send_item(pipe, 1 - end, None);
        }
    }

    /// `None` is the end of the connection.
    fn send_item(&mut self, pipe: usize, to: usize, item: Option<Arc<Frame>>) {
        let (from_node, to_node) = (self.pipes[pipe].ends[1 - to].0, self.pipes[pipe].ends[to].0);
        if self.blocked(from_node, to_node) || !self.pipes[pipe].waiting[to].is_empty() {
            self.pipes[pipe].waiting[to].push_back(item);
            return;
        }
        let delay = Duration::from_millis(2); // One latency per connection keeps its order.
        let parcel = match item {
            Some(frame) => Parcel::Frame { pipe, to, frame },
            None => Parcel::Fin { pipe, to },
        };
        self.post(delay, to_node, parcel);
    }

    fn carry_out(&mut self, i: usize, effects: Vec<Effect>) {
        for effect in effects {
            if let Some((node, left)) = &mut self.crash_in
                && *node == i
            {
                if *left == 0 {
                    self.crash_in = None;
                    self.kill(i);
                    return;
                }
                *left -= 1;
            }
            match effect {
                Effect::Dial { conn, peer, .. } => {
                    let to = (0..self.nodes.len()).find(|n| id(*n) == peer).unwrap();
                    let delay = self.latency() + self.slow_dials.mul_f64(self.rng.random_range(0.0..1.0));
                    self.post(delay, i, Parcel::Dial { conn, from: i, to });
                }
                Effect::Send { conn, frame } => {
                    if let Some((pipe, end)) = self.find(i, conn)
                        && self.pipes[pipe].open[end]
                    {
                        if let Frame::Ping(ping) = &*frame {
                            self.pipes[pipe].pings.insert((end, ping.n), self.now);
                        }
                        self.row_frames += usize::from(matches!(&*frame, Frame::Rows { .. }));
                        let sync = matches!(&*frame, Frame::Sync(_));
                        if sync && self.bug == Some(Bug::LosesFrames) && self.rng.random_bool(0.2) {
                            continue;
                        }
                        if sync && self.doubled > 0.0 && self.rng.random_bool(self.doubled) {
                            self.send_item(pipe, 1 - end, Some(frame.clone()));
                        }
                        self.send_item(pipe, 1 - end, Some(frame));
                    }
                }
                Effect::Close { conn } => {
                    if let Some((pipe, end)) = self.find(i, conn) {
                        self.close(pipe, end);
                    }
                }
                Effect::Probe { peer, n, .. } => {
                    let to = (0..self.nodes.len()).find(|n| id(*n) == peer).unwrap();
                    let lost = self.rng.random_bool(self.loss) || (self.udp_cuts && self.blocked(i, to));
                    if !lost {
                        let event = Event::Probe { peer: id(i), boot: BootId(self.nodes[i].boot), n };
                        let delay = self.latency();
                        self.post(delay, to, Parcel::Event(Box::new(event)));
                    }
                }
                Effect::KeepDetached(since) => self.nodes[i].detached = since,
                Effect::KeepMaintenance(maintenance) => self.nodes[i].maintenance = maintenance,
                Effect::Answer { result, .. } => {
                    if let Ok(result) = &result
                        && let Some(commit) = result.commit.clone()
                    {
                        self.promised.push(Promised { node: i, commit });
                    }
                    self.nodes[i].answers.push(result.map(|r| r.state));
                }
                Effect::Keep { ticket, changes, forget, actor } => {
                    self.keep(i, ticket, Write { changes, forget, actor });
                }
                Effect::CheckDns { .. } | Effect::Roster(_) | Effect::Ha { .. } | Effect::Changed => {}
            }
        }
    }
}

impl Disk {
    fn write(&mut self, write: &Write, bug: Option<Bug>) {
        let changes: &[StoredChange] = match bug {
            Some(Bug::NeverWrites) => &[],
            Some(Bug::WritesTheFirstOnly) => &write.changes[..write.changes.len().min(1)],
            _ => &write.changes,
        };
        for change in changes {
            if self.changes.iter().all(|c| c.hash != change.hash) {
                self.changes.push(change.clone());
            }
        }
        self.changes.retain(|c| !write.forget.contains(&c.hash));
        if let Some(actor) = &write.actor {
            self.actor = Some(actor.clone());
        }
    }
}

/// The features of a real peer.
pub fn catalogue() -> Arc<Catalogue> {
    peerdeck::proto::features::built_in()
}

/// Signs by name: whoever knows the name could forge it, which is not what these tests are about.
pub struct FakeKey(pub usize);

impl Signing for FakeKey {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        [format!("{} ", machine_key(self.0)).as_bytes(), message].concat()
    }

    fn verify(&self, public_key: &str, message: &[u8], signature: &[u8]) -> bool {
        signature == [format!("{public_key} ").as_bytes(), message].concat()
    }
}

/// The same in each run.
static MACHINES: LazyLock<Vec<(PrivateKey, String)>> = LazyLock::new(|| {
    let make = |n: u8| {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[n; 32]));
        let public = key.public_key().to_openssh().unwrap();
        (key, public)
    };
    (0..64).map(make).collect()
});

fn machine_key(i: usize) -> String {
    MACHINES[i].1.clone()
}

/// The vault of a node, with random bytes out of a seed.
pub fn vault(i: usize, seed: u64) -> MachineVault {
    let rng = Mutex::new(StdRng::seed_from_u64(seed));
    let random = move |bytes: &mut [u8]| {
        rng.lock().unwrap().fill_bytes(bytes);
        true
    };
    MachineVault::with_random(&MACHINES[i].0, Box::new(random)).unwrap()
}

fn address(n: usize) -> std::net::SocketAddr {
    format!("127.0.1.{n}:2022").parse().unwrap()
}
