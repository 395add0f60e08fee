//! A small network in virtual time: N cores, connections and datagrams that can be cut in each direction.
//!
//! Connections behave like TCP: what is sent into a cut waits there and arrives in order when it is healed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use peerdeck::daemon::cluster::{Config, ConnId, Core, DialError, Dialled, Effect, Event, View};
use peerdeck::domain::maintenance::Maintenance;
use peerdeck::domain::membership::{Addressing, Machine, Membership};
use peerdeck::domain::mesh::{Cause, DnsCheck, Link, LinkState};
use peerdeck::domain::{BootId, ClusterName, GroupName, HostName, Line, PeerId, Time};
use peerdeck::proto::frame::Frame;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub const INTERVAL: Duration = Duration::from_secs(1);
pub const FAILURES: u32 = 3;
/// Silence after which every core has noticed a fault: the pings, the beat on which they are counted, jitter.
pub const NOTICED: Duration = Duration::from_millis(5500);
/// Time after a heal within which everything must be up and known again.
pub const SETTLED: Duration = Duration::from_secs(9);

#[derive(Debug)]
enum Parcel {
    Event(Event),
    Dial { conn: ConnId, from: usize, to: usize },
    Open { pipe: usize },
    Frame { pipe: usize, to: usize, frame: Arc<Frame> },
    Fin { pipe: usize, to: usize },
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

pub struct Node {
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
            machine_key: Line::default(),
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
        };
        for _ in 0..n {
            sim.nodes.push(Node {
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
        let (core, effects) = Core::new(config, self.now);
        node.core = Some(core);
        self.carry_out(i, effects);
    }

    /// As SIGKILL: connections end, nothing is said.
    pub fn kill(&mut self, i: usize) {
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
        self.post(Duration::ZERO, i, Parcel::Event(event));
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
            Parcel::Event(event) => self.step(node, event),
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
        let Some(core) = &mut self.nodes[i].core else { return };
        let effects = core.step(self.now, event);
        self.carry_out(i, effects);
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
            Parcel::Event(Event::Dialled { conn, result: Err(error) })
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
                        self.post(delay, to, Parcel::Event(event));
                    }
                }
                Effect::KeepDetached(since) => self.nodes[i].detached = since,
                Effect::KeepMaintenance(maintenance) => self.nodes[i].maintenance = maintenance,
                Effect::Answer { result, .. } => self.nodes[i].answers.push(result.map(|r| r.state)),
                Effect::CheckDns { .. } | Effect::Changed => {}
            }
        }
    }
}

fn address(n: usize) -> std::net::SocketAddr {
    format!("127.0.1.{n}:2022").parse().unwrap()
}
