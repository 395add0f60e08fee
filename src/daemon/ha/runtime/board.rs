//! Sockets for heartbeats: several groups may share one (a unit of one group that is the witness of another).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use super::HaError;
use crate::daemon::ha::keys::Keys;
use crate::daemon::ha::wire::{Opened, Opener, Refusal, Via, group_of};
use crate::daemon::ha::{HaConfig, Way};
use crate::daemon::shared::Shared;
use crate::domain::ha::WitnessConfig;
use crate::domain::ha::config::LinkConfig;
use crate::domain::ids::HaName;
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::beat::DATAGRAM_MAX;
use crate::ssh::net::{Datagrams, Net};

/// Datagrams that may wait for a group.
const HEARD: usize = 256;

/// Datagrams that may wait for a socket.
const SAID: usize = 64;

/// How long one may take to be handed to the system.
const SAY: Duration = Duration::from_millis(100);

/// A datagram that waited longer (the process stood still) is not news: it would look as if it had been sent now.
const STALE: Duration = Duration::from_millis(250);

/// How often a socket without datagrams notes that it listens.
const PULSE: Duration = Duration::from_millis(100);

/// How long a socket is emptied at most after a pause.
const DRAIN: Duration = Duration::from_millis(50);

/// How often a group is told of strangers or of replays; counters are exact all the same.
const TELL: Duration = Duration::from_secs(1);

/// What a group hears.
#[derive(Debug)]
pub(in crate::daemon::ha) struct Heard {
    /// When it came.
    pub at: Time,
    /// To which of our sockets.
    pub to: SocketAddr,
    /// From where.
    pub from: SocketAddr,
    /// What.
    pub what: Result<Opened, Refusal>,
}

/// What was refused, since the start.
#[derive(Debug, Default)]
pub(in crate::daemon::ha) struct Counters {
    /// Not authentic.
    pub strangers: AtomicU64,
    /// Old ones.
    pub replays: AtomicU64,
    /// That came or were to be said and had no room, or waited too long.
    pub dropped: AtomicU64,
}

#[derive(Debug)]
enum Ways {
    Unit { links: Vec<LinkConfig>, witness_at: Vec<SocketAddr> },
    Witness,
}

#[derive(Debug)]
struct Door {
    opener: Opener,
    told_stranger: Option<Time>,
    told_replay: Option<Time>,
}

/// One group's place at the sockets.
#[derive(Debug)]
pub(in crate::daemon::ha) struct Post {
    pub group: HaName,
    pub keys: Arc<Keys>,
    pub counters: Counters,
    ways: Ways,
    door: Mutex<Door>,
    heard: mpsc::Sender<Heard>,
}

impl Post {
    /// For a unit.
    pub fn unit(config: &HaConfig, keys: Arc<Keys>, shared: &Shared) -> (Arc<Self>, mpsc::Receiver<Heard>) {
        let ways = Ways::Unit { links: config.links.clone(), witness_at: config.witness_at.clone() };
        Self::new(config.group.clone(), keys, shared, ways)
    }

    /// For a witness.
    pub fn witness(config: &WitnessConfig, keys: Arc<Keys>, shared: &Shared) -> (Arc<Self>, mpsc::Receiver<Heard>) {
        Self::new(config.group.clone(), keys, shared, Ways::Witness)
    }

    fn new(group: HaName, keys: Arc<Keys>, shared: &Shared, ways: Ways) -> (Arc<Self>, mpsc::Receiver<Heard>) {
        let (heard, inbox) = mpsc::channel(HEARD);
        let opener = Opener::new(group.clone(), shared.keys.id.clone());
        let door = Mutex::new(Door { opener, told_stranger: None, told_replay: None });
        (Arc::new(Self { group, keys, counters: Counters::default(), ways, door, heard }), inbox)
    }

    /// The way of a datagram, if it came as it says.
    pub fn way(&self, to: SocketAddr, from: SocketAddr, via: Via) -> Option<Way> {
        match (&self.ways, via) {
            (Ways::Unit { links, .. }, Via::Link(name)) => links
                .iter()
                .find(|l| l.name == name && l.peer == from.ip() && l.local == to.ip())
                .map(|l| Way::Link(name, l.peer)),
            (Ways::Unit { witness_at, .. }, Via::Witness) => {
                witness_at.iter().find(|at| **at == from).map(|at| Way::Witness(*at))
            }
            (Ways::Witness, Via::Witness) => Some(Way::Witness(from)),
            (Ways::Witness, Via::Link(_)) => None,
        }
    }

    fn take(&self, now: Time, to: SocketAddr, from: SocketAddr, datagram: &[u8]) {
        let what = {
            let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |via| self.way(to, from, via).is_some();
            let what = door.opener.open(&self.keys, datagram, fits);
            let (count, told) = match &what {
                Ok(_) => (None, None),
                Err(Refusal::Stranger(_)) => (Some(&self.counters.strangers), Some(&mut door.told_stranger)),
                Err(Refusal::Replayed) => (Some(&self.counters.replays), Some(&mut door.told_replay)),
            };
            if let Some(count) = count {
                count.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(told) = told {
                if told.is_some_and(|at| now.since(at) < TELL) {
                    return;
                }
                *told = Some(now);
            }
            what
        };
        if self.heard.try_send(Heard { at: now, to, from, what }).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Heard {
    /// Whether it waited so long that it may no longer be taken for news.
    pub fn is_stale(&self, now: Time) -> bool {
        now.since(self.at) > STALE
    }

    /// Who was refused, in words.
    pub fn stranger(&self, why: &Line) -> Line {
        Line::new(&format!("{why}, from {} to {}", self.from, self.to.ip()))
    }
}

struct Socket {
    socket: Arc<dyn Datagrams>,
    posts: Vec<Arc<Post>>,
}

/// All sockets, open; nothing is read yet.
pub(in crate::daemon::ha) struct Board {
    shared: Arc<Shared>,
    sockets: BTreeMap<SocketAddr, Socket>,
}

impl Board {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, sockets: BTreeMap::new() }
    }

    /// A group listens there; others may do so already.
    pub async fn listen(&mut self, on: SocketAddr, post: &Arc<Post>) -> Result<(), HaError> {
        if !self.sockets.contains_key(&on) {
            let socket = self.shared.net.datagrams(on).await.map_err(|error| HaError::Listen { on, error })?;
            self.sockets.insert(on, Socket { socket, posts: Vec::new() });
        }
        if let Some(socket) = self.sockets.get_mut(&on)
            && !socket.posts.iter().any(|p| Arc::ptr_eq(p, post))
        {
            socket.posts.push(post.clone());
        }
        Ok(())
    }

    /// A group speaks with the witness at `to`, over whatever way the system takes; answers come back to the same socket.
    pub async fn reach(&mut self, to: SocketAddr, post: &Arc<Post>) -> Result<(), HaError> {
        self.listen(own_for(&self.shared, to), post).await
    }

    /// Sets everybody to work until the peer ends.
    pub fn spawn(self) -> Arc<Voice> {
        let mut said = BTreeMap::new();
        for (on, Socket { socket, posts }) in self.sockets {
            let (say, queue) = mpsc::channel(SAID);
            said.insert(on, say);
            tokio::spawn(speak(self.shared.clone(), socket.clone(), queue));
            tokio::spawn(listen(self.shared.clone(), socket, on, posts));
        }
        Arc::new(Voice { shared: self.shared, said })
    }
}

/// The socket for a witness: on the address of the administration port if that is one, else the system chooses.
fn own_for(shared: &Shared, to: SocketAddr) -> SocketAddr {
    let own = shared.setup.listen.ip();
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // From loopback nobody else is reached.
    let fits = own.is_ipv4() == to.is_ipv4() && (!own.is_loopback() || to.ip().is_loopback());
    let ip = if fits { own } else { any };
    SocketAddr::new(ip, 0)
}

/// Says things.
pub(in crate::daemon::ha) struct Voice {
    shared: Arc<Shared>,
    said: BTreeMap<SocketAddr, mpsc::Sender<(Vec<u8>, SocketAddr)>>,
}

impl Voice {
    /// From one of our sockets; never waits, may be lost.
    pub fn say(&self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>, counters: &Counters) {
        let queue = self.said.get(&from);
        if queue.is_none_or(|q| q.try_send((datagram, to)).is_err()) {
            counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// To a witness.
    pub fn say_to_witness(&self, to: SocketAddr, datagram: Vec<u8>, counters: &Counters) {
        self.say(own_for(&self.shared, to), to, datagram, counters);
    }
}

/// One after the other, so that numbers rise on the line as they were given.
async fn speak(shared: Arc<Shared>, socket: Arc<dyn Datagrams>, mut queue: mpsc::Receiver<(Vec<u8>, SocketAddr)>) {
    loop {
        let next = tokio::select! {
            () = shared.over.cancelled() => return,
            next = queue.recv() => next,
        };
        let Some((datagram, to)) = next else { return };
        match timeout(SAY, socket.send_to(&datagram, to)).await {
            Ok(Ok(())) => {}
            // What could not be sent is a beat that did not arrive: the other side counts it.
            Ok(Err(error)) => debug!(%to, %error, "a heartbeat was not sent"),
            Err(_) => debug!(%to, "a heartbeat was not sent in time"),
        }
    }
}

async fn listen(shared: Arc<Shared>, socket: Arc<dyn Datagrams>, on: SocketAddr, posts: Vec<Arc<Post>>) {
    // One byte more than is read, so that a longer one is seen to be longer.
    let mut buffer = [0; DATAGRAM_MAX + 1];
    let clock = shared.env.clock.clone();
    let mut alive = clock.now();
    loop {
        let got = tokio::select! {
            () = shared.over.cancelled() => return,
            got = socket.recv_from(&mut buffer) => Some(got),
            () = sleep(PULSE) => None,
        };
        tokio::select! {
            () = shared.over.cancelled() => return,
            () = shared.thawed() => {}
        }
        if clock.now().since(alive) > STALE {
            let n = drain(socket.as_ref(), &mut buffer).await + u64::from(matches!(got, Some(Ok(_))));
            for post in &posts {
                post.counters.dropped.fetch_add(n, Ordering::Relaxed);
            }
            debug!(%on, n, "this process stood still: what had come meanwhile is no news");
            alive = clock.now();
            continue;
        }
        alive = clock.now();
        let (length, from) = match got {
            None => continue,
            Some(Ok(got)) => got,
            Some(Err(error)) => {
                // An error of one datagram (a port unreachable that came back) says nothing about the next.
                debug!(%on, %error, "no heartbeat could be read");
                sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let Some(datagram) = buffer.get(..length) else { continue };
        let group = group_of(datagram);
        let named = posts.iter().find(|p| group.as_deref() == Some(p.group.as_str()));
        match named {
            Some(post) => post.take(alive, on, from, datagram),
            // Whosoever it is: everybody here is told.
            None => posts.iter().for_each(|post| post.take(alive, on, from, datagram)),
        }
    }
}

/// Reads and drops what waits.
async fn drain(socket: &dyn Datagrams, buffer: &mut [u8]) -> u64 {
    let end = Instant::now() + DRAIN;
    let mut n = 0;
    while Instant::now() < end {
        match timeout(Duration::from_millis(1), socket.recv_from(buffer)).await {
            Ok(Ok(_)) => n += 1,
            Ok(Err(error)) => debug!(%error, "no heartbeat could be read"),
            Err(_) => return n,
        }
    }
    warn!("heartbeats come faster than they can be dropped: somebody floods this port");
    n
}
