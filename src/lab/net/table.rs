//! The table of faults: what happens to bytes from one node to another, for all nodes of a lab.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

/// Handshakes at a time: enough to keep each core busy, few enough for each to be over within its deadlines.
const TURNS_PER_CORE: usize = 4;

/// An end of a connection, as the lab sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Node {
    /// A peer of the lab, by its position (0 is `lab1`).
    Peer(u16),
    /// Whoever is not a peer: consoles, OpenSSH clients.
    Console,
}

/// What happens to bytes of one direction now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Passage {
    /// They pass.
    Clear,
    /// They pass late, and some have bad luck.
    Impaired {
        /// Each chunk or datagram is late by this.
        slow: Duration,
        /// Probability of a loss, 0 to 1.
        loss: f64,
    },
    /// They wait: until the table changes, or at the latest until this moment, when it must be asked again.
    Held {
        /// When a flap next turns over.
        until: Option<Instant>,
    },
}

/// The shared table.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    serial: AtomicU64,
    /// Nothing is in the table: the way of nearly all bytes.
    calm: AtomicBool,
    table: RwLock<Table>,
    nodes: RwLock<Nodes>,
    changed: watch::Sender<u64>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Table {
    directions: HashMap<(Node, Node), Direction>,
    frozen: HashSet<Node>,
    /// Datagrams from this address to this socket are lost.
    silent: HashSet<(IpAddr, SocketAddr)>,
    /// Addresses of ports that are down.
    down: HashSet<IpAddr>,
    /// The lab ends: nothing is held any more.
    closed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Direction {
    cut: bool,
    slow: Duration,
    loss: f64,
    flap: Option<Flap>,
}

/// Cut in the first half of each cycle, open in the second.
#[derive(Clone, Copy, Debug)]
struct Flap {
    since: Instant,
    half: Duration,
}

/// Who has which address.
#[derive(Debug, Default)]
struct Nodes {
    ips: HashMap<IpAddr, Node>,
    sockets: HashMap<SocketAddr, Node>,
    hosts: HashMap<String, Node>,
}

impl Faults {
    /// An empty table; `seed` decides the luck of every direction.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            seed,
            serial: AtomicU64::new(0),
            calm: AtomicBool::new(true),
            table: RwLock::default(),
            nodes: RwLock::default(),
            changed: watch::Sender::new(0),
            turns: Arc::new(Semaphore::new(TURNS_PER_CORE * cores)),
        }
    }

    /// Everything that has this IP address is `node`.
    pub fn own_ip(&self, ip: IpAddr, node: Node) {
        write(&self.nodes).ips.insert(ip, node);
    }

    /// This is the host name of `node`.
    pub fn own_host(&self, host: &str, node: Node) {
        write(&self.nodes).hosts.insert(host.to_owned(), node);
    }

    /// Whether a dial of `host` would get an answer now; of names that are not the lab's nothing is known.
    pub(super) fn is_answered(&self, caller: Node, host: &str) -> bool {
        let Some(node) = read(&self.nodes).hosts.get(host).copied() else { return false };
        let held = |from, to| matches!(self.passage(from, to), Passage::Held { .. });
        !held(caller, node) && !held(node, caller)
    }

    /// A turn at building connections. `None` when there is none to be had any more.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// This socket is `node`'s: where all peers share one IP address, only ports tell them apart.
    pub fn own_socket(&self, address: SocketAddr, node: Node) {
        write(&self.nodes).sockets.insert(address, node);
    }

    /// The socket is gone.
    pub fn disown_socket(&self, address: SocketAddr) {
        write(&self.nodes).sockets.remove(&address);
    }

    /// Whose address this is.
    #[must_use]
    pub fn node_at(&self, address: SocketAddr) -> Node {
        let nodes = read(&self.nodes);
        let known = nodes.sockets.get(&address).or_else(|| nodes.ips.get(&address.ip()));
        known.copied().unwrap_or(Node::Console)
    }

    /// Cuts one direction.
    pub fn cut_one_way(&self, from: Node, to: Node) {
        self.update(|t| t.direction(from, to).cut = true);
    }

    /// Cuts both directions between each of `some` and each of `others`; a node is never cut from itself.
    pub fn cut(&self, some: &[Node], others: &[Node]) {
        self.update(|t| {
            for (a, b) in some.iter().flat_map(|a| others.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b) {
                t.direction(a, b).cut = true;
                t.direction(b, a).cut = true;
            }
        });
    }

    /// Cuts both directions and mends them again, `hz` times a second; each cycle begins with the cut.
    pub fn flap(&self, a: Node, b: Node, hz: f64) {
        let half = Duration::from_secs_f64(0.5 / hz.clamp(0.001, 1000.0));
        let flap = Some(Flap { since: Instant::now(), half });
        self.update(|t| {
            t.direction(a, b).flap = flap;
            t.direction(b, a).flap = flap;
        });
    }

    /// Makes everything between the two late by `late`, in each direction.
    pub fn slow(&self, a: Node, b: Node, late: Duration) {
        self.update(|t| {
            t.direction(a, b).slow = late;
            t.direction(b, a).slow = late;
        });
    }

    /// Loses datagrams between the two with this probability (0 to 1); chunks of connections come late instead.
    pub fn loss(&self, a: Node, b: Node, probability: f64) {
        self.update(|t| {
            t.direction(a, b).loss = probability;
            t.direction(b, a).loss = probability;
        });
    }

    /// The node neither reads nor writes any more; the kernel still accepts for it.
    pub fn freeze(&self, node: Node) {
        self.update(|t| {
            t.frozen.insert(node);
        });
    }

    /// The node goes on where it stopped.
    pub fn thaw(&self, node: Node) {
        self.update(|t| {
            t.frozen.remove(&node);
        });
    }

    /// Loses, or no longer loses, the datagrams from an address to a socket.
    pub fn silence(&self, from: IpAddr, to: SocketAddr, silent: bool) {
        self.update(|t| {
            if silent {
                t.silent.insert((from, to))
            } else {
                t.silent.remove(&(from, to))
            };
        });
    }

    /// The port with this address is down, or up again: no datagram leaves or reaches it, no service greets there.
    pub fn set_down(&self, ip: IpAddr, down: bool) {
        self.update(|t| {
            if down {
                t.down.insert(ip)
            } else {
                t.down.remove(&ip)
            };
        });
    }

    /// Whether the port with this address is down.
    #[must_use]
    pub fn is_down(&self, ip: IpAddr) -> bool {
        !self.calm.load(Ordering::Acquire) && read(&self.table).down.contains(&ip)
    }

    /// Waits until the port with this address is up.
    pub async fn until_up(&self, ip: IpAddr) {
        self.until(|| if self.is_down(ip) { Passage::Held { until: None } } else { Passage::Clear }).await;
    }

    /// Whether a datagram from this address to this socket is lost, whoever they belong to.
    #[must_use]
    pub fn is_lost(&self, from: IpAddr, to: SocketAddr) -> bool {
        if self.calm.load(Ordering::Acquire) {
            return false;
        }
        let table = read(&self.table);
        table.silent.contains(&(from, to)) || table.down.contains(&from) || table.down.contains(&to.ip())
    }

    /// Empties the table.
    pub fn clear(&self) {
        self.update(|t| *t = Table { closed: t.closed, ..Table::default() });
    }

    /// Empties the table for good, so that nothing waits for a heal that won't come.
    pub fn close(&self) {
        self.update(|t| {
            *t = Table { closed: true, ..Table::default() };
        });
    }

    /// What happens to bytes that one process has sent to another: cuts, and processes that stand still.
    #[must_use]
    pub fn passage(&self, from: Node, to: Node) -> Passage {
        if self.calm.load(Ordering::Acquire) {
            return Passage::Clear;
        }
        let table = read(&self.table);
        if table.frozen.contains(&from) || table.frozen.contains(&to) {
            return Passage::Held { until: None };
        }
        table.on_the_wire(from, to)
    }

    /// What happens on the network alone, whoever stands still at its ends.
    #[must_use]
    pub fn on_the_wire(&self, from: Node, to: Node) -> Passage {
        if self.calm.load(Ordering::Acquire) {
            return Passage::Clear;
        }
        read(&self.table).on_the_wire(from, to)
    }

    /// Whether the node stands still.
    #[must_use]
    pub fn is_frozen(&self, node: Node) -> bool {
        !self.calm.load(Ordering::Acquire) && read(&self.table).frozen.contains(&node)
    }

    /// Waits until bytes from `from` to `to` pass.
    pub async fn until_passable(&self, from: Node, to: Node) {
        self.until(|| self.passage(from, to)).await;
    }

    /// Waits until `caller` can open a connection to `to`: the handshake needs both directions, and the caller awake.
    pub async fn until_dialable(&self, caller: Node, to: Node) {
        self.until(|| {
            if self.is_frozen(caller) {
                return Passage::Held { until: None };
            }
            match self.on_the_wire(caller, to) {
                held @ Passage::Held { .. } => held,
                Passage::Clear | Passage::Impaired { .. } => self.on_the_wire(to, caller),
            }
        })
        .await;
    }

    /// Waits until the node no longer stands still.
    pub async fn until_thawed(&self, node: Node) {
        self.until(|| if self.is_frozen(node) { Passage::Held { until: None } } else { Passage::Clear }).await;
    }

    async fn until(&self, passage: impl Fn() -> Passage) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            match passage() {
                Passage::Clear | Passage::Impaired { .. } => return,
                // The sender lives as long as `self`: `changed` fails never.
                Passage::Held { until: None } => drop(changed.changed().await),
                Passage::Held { until: Some(turn) } => {
                    tokio::select! {
                        _ = changed.changed() => {}
                        () = sleep_until(turn) => {}
                    }
                }
            }
        }
    }

    /// Luck for one more connection or socket of a direction; the same in each run with the same seed and order.
    pub(super) fn luck(&self, from: Node, to: Node) -> SmallRng {
        let number = |n: Node| match n {
            Node::Peer(i) => u64::from(i),
            Node::Console => 0xffff,
        };
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        SmallRng::seed_from_u64(self.seed ^ (number(from) << 48) ^ (number(to) << 32) ^ serial)
    }

    fn update(&self, change: impl FnOnce(&mut Table)) {
        {
            let mut table = write(&self.table);
            if !table.closed {
                change(&mut table);
            }
            let calm = table.directions.is_empty()
                && table.frozen.is_empty()
                && table.silent.is_empty()
                && table.down.is_empty();
            self.calm.store(calm, Ordering::Release);
        }
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }
}

impl Table {
    fn direction(&mut self, from: Node, to: Node) -> &mut Direction {
        self.directions.entry((from, to)).or_default()
    }

    fn on_the_wire(&self, from: Node, to: Node) -> Passage {
        let Some(d) = self.directions.get(&(from, to)) else { return Passage::Clear };
        if d.cut || d.loss >= 1.0 {
            return Passage::Held { until: None };
        }
        if let Some(until) = d.flap.and_then(|f| f.cut_until(Instant::now())) {
            return Passage::Held { until: Some(until) };
        }
        if d.slow.is_zero() && d.loss <= 0.0 {
            return Passage::Clear;
        }
        Passage::Impaired { slow: d.slow, loss: d.loss }
    }
}

impl Flap {
    /// When the present cut ends, if there is one now.
    fn cut_until(&self, now: Instant) -> Option<Instant> {
        let half = self.half.as_nanos().max(1);
        let halves = now.saturating_duration_since(self.since).as_nanos() / half;
        if halves % 2 == 1 {
            return None;
        }
        let turn = u64::try_from((halves + 1) * half).unwrap_or(u64::MAX);
        Some(self.since + Duration::from_nanos(turn))
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
