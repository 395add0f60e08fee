//! Virtual addresses of a lab: services on loopback that are leased as the kernel leases an address, and guarded by the
//! rules of the real guard ([`Keeper`]).
//!
//! They live in the lab, not in a unit: a unit that is killed or stands still keeps its address until permit or lease
//! end, as it would keep it in its machine's kernel.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use super::mail::{Mail, Stand};
use super::net::{Faults, Node, Passage};
use crate::clock::Clock;
use crate::daemon::ha::guard::keeper::{Keeper, Kernel};
use crate::daemon::ha::guard::wire::FromGuard;
use crate::daemon::ha::ports::REPORTS;
use crate::daemon::ha::{Addresses, Guard, GuardAddress, GuardConfig, GuardOrder, GuardReport};
use crate::domain::ha::AddressAction;
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::ssh::net::BoxFuture;

/// Orders that may wait: only the newest counts.
const ORDERS: usize = 64;

/// A kernel ends a lease late by this at most in the lab (measured of Linux: 650 ms, rarely more).
const LATE: Duration = Duration::from_millis(650);

/// Newest times of holding that are remembered.
const HELD_MAX: usize = 1000;

/// That a unit had a virtual address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// Which.
    pub address: IpAddr,
    /// Who had it: a position, 0 is `lab1`.
    pub peer: u16,
    /// Since when,
    pub from: Time,
    /// until when; `None`: it has it now.
    pub to: Option<Time>,
}

/// All virtual addresses of a lab, by whoever has them.
pub(super) struct Virtual {
    faults: Arc<Faults>,
    clock: Arc<dyn Clock>,
    /// That are virtual at all.
    all: Vec<IpAddr>,
    inner: Mutex<Inner>,
}

struct Inner {
    leases: BTreeMap<(IpAddr, Node), Lease>,
    held: Vec<Holding>,
    luck: SmallRng,
}

/// An address in the kernel of one unit.
struct Lease {
    /// When it ends, if it is not renewed.
    ends: Time,
    /// Another one is another number.
    number: u64,
    /// The own address of its port.
    port: IpAddr,
    _services: Arc<Stand>,
}

impl Virtual {
    /// Nobody has any.
    pub fn new(all: Vec<IpAddr>, faults: Arc<Faults>, clock: Arc<dyn Clock>, seed: u64) -> Self {
        let inner = Inner { leases: BTreeMap::new(), held: Vec::new(), luck: SmallRng::seed_from_u64(seed) };
        Self { faults, clock, all, inner: Mutex::new(inner) }
    }

    /// Whether it is one of them.
    pub fn is_virtual(&self, address: IpAddr) -> bool {
        self.all.contains(&address)
    }

    /// Who has had which address when, the newest last.
    pub fn held(&self) -> Vec<Holding> {
        self.lock().held.clone()
    }

    /// A unit that `me` hears answering for `address`, if there is one beside itself.
    pub fn answers(&self, address: IpAddr, me: Node) -> Option<Node> {
        let holders: Vec<(Node, IpAddr)> = {
            let inner = self.lock();
            inner.leases.iter().filter(|((ip, _), _)| *ip == address).map(|((_, n), lease)| (*n, lease.port)).collect()
        };
        let hears = |n: Node, port| n != me && !self.faults.is_down(port) && self.reaches(me, n);
        holders.into_iter().find(|(n, port)| hears(*n, *port)).map(|(n, _)| n)
    }

    /// Whether a question gets through and its answer comes back. A kernel answers for a process that stands still.
    pub fn reaches(&self, me: Node, other: Node) -> bool {
        let held = |from, to| matches!(self.faults.on_the_wire(from, to), Passage::Held { .. });
        !held(me, other) && !held(other, me)
    }

    fn remove(&self, address: IpAddr, node: Node) {
        let lease = self.lock().remove(address, node, self.clock.now());
        drop(lease); // Its services close without the lock.
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, address: IpAddr, node: Node, now: Time) -> Option<Lease> {
        let lease = self.leases.remove(&(address, node))?;
        let open = |h: &&mut Holding| h.to.is_none() && h.address == address && Node::Peer(h.peer) == node;
        if let Some(holding) = self.held.iter_mut().rev().find(open) {
            holding.to = Some(now);
        }
        Some(lease)
    }
}

/// The guard of one unit.
#[derive(Clone)]
pub(super) struct LabAddresses {
    pub virtuals: Arc<Virtual>,
    pub me: u16,
    pub mail: Arc<Mail>,
    /// Its ports and their addresses.
    pub ports: Vec<(String, IpAddr)>,
}

impl Addresses for LabAddresses {
    fn start(&self, config: GuardConfig) -> BoxFuture<'_, io::Result<Guard>> {
        Box::pin(async move {
            let mut addresses = Vec::new();
            for address in config.addresses.iter().filter(|a| a.action != AddressAction::Ignore) {
                addresses.push((address.clone(), self.check(address)?));
            }
            for (address, _) in &addresses {
                self.virtuals.remove(address.address, Node::Peer(self.me)); // What the start before has left.
            }
            let (orders, inbox) = mpsc::channel(ORDERS);
            let (outbox, reports) = mpsc::channel(REPORTS);
            let gone = Arc::new(Notify::new());
            let kernel = LabKernel { of: self.clone(), addresses, lease: config.lease, gone: Arc::clone(&gone) };
            tokio::spawn(serve(Keeper::new(config.lease), kernel, gone, inbox, outbox));
            Ok(Guard { orders, reports })
        })
    }
}

impl LabAddresses {
    /// The address of the port, if this one can be held there.
    fn check(&self, address: &GuardAddress) -> io::Result<IpAddr> {
        let refused = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let port = self.ports.iter().find(|(name, _)| *name == address.interface);
        let (_, ip) = port.ok_or_else(|| refused(format!("there is no port {}", address.interface)))?;
        if !self.virtuals.is_virtual(address.address) {
            return Err(refused(format!("{} is no virtual address of this lab", address.address)));
        }
        match address.action {
            AddressAction::Ignore | AddressAction::Add => Ok(*ip),
            AddressAction::Set => {
                Err(refused("a lab has only addresses beside a port's own: take `add`".to_owned())) // Nothing to take away.
            }
        }
    }
}

/// The kernel of one unit.
struct LabKernel {
    of: LabAddresses,
    /// And the own address of the port of each.
    addresses: Vec<(GuardAddress, IpAddr)>,
    lease: Duration,
    /// Told when a lease has run out.
    gone: Arc<Notify>,
}

impl LabKernel {
    fn key(&self, number: usize) -> io::Result<(IpAddr, Node)> {
        let (address, _) = self.addresses.get(number).ok_or(io::ErrorKind::NotFound)?;
        Ok((address.address, Node::Peer(self.of.me)))
    }
}

/// Time in the lab is whole milliseconds; the keeper only compares.
fn span(at: Time) -> Duration {
    Duration::from_millis(at.as_millis())
}

fn time(at: Duration) -> Time {
    Time::from_millis(crate::domain::time::millis(at))
}

impl Kernel for LabKernel {
    fn now(&self) -> Duration {
        span(self.of.virtuals.clock.now())
    }

    fn count(&self) -> usize {
        self.addresses.len()
    }

    fn prepare(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn add(&mut self, number: usize) -> io::Result<()> {
        let key = self.key(number)?;
        let (virtuals, port) = (&self.of.virtuals, self.addresses[number].1);
        let services = self.of.mail.open(key.0, port)?;
        let now = virtuals.clock.now();
        let mut inner = virtuals.lock();
        if inner.leases.contains_key(&key) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = inner.luck.random();
        inner.leases.insert(key, Lease { ends: now + self.lease, number, port, _services: services });
        inner.held.push(Holding { address: key.0, peer: self.of.me, from: now, to: None });
        let surplus = inner.held.len().saturating_sub(HELD_MAX);
        inner.held.drain(..surplus);
        tokio::spawn(run_out(Arc::downgrade(virtuals), key, number, Arc::clone(&self.gone)));
        Ok(())
    }

    fn renew(&mut self, number: usize) -> io::Result<()> {
        let key = self.key(number)?;
        let virtuals = &self.of.virtuals;
        let now = virtuals.clock.now();
        let is_there = virtuals.lock().leases.get_mut(&key).map(|lease| lease.ends = now + self.lease).is_some();
        if is_there { Ok(()) } else { self.add(number) }
    }

    fn delete(&mut self, number: usize) -> io::Result<()> {
        let (address, node) = self.key(number)?;
        self.of.virtuals.remove(address, node);
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn restore(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends a lease, as late as a kernel does.
async fn run_out(virtuals: Weak<Virtual>, key: (IpAddr, Node), number: u64, gone: Arc<Notify>) {
    loop {
        let wait = {
            let Some(virtuals) = virtuals.upgrade() else { return };
            let now = virtuals.clock.now();
            let mut inner = virtuals.lock();
            let late = inner.luck.random_range(Duration::ZERO..LATE);
            match inner.leases.get(&key) {
                Some(lease) if lease.number == number => lease.ends.since(now) + late,
                Some(_) | None => return,
            }
        };
        sleep(wait).await;
        let Some(virtuals) = virtuals.upgrade() else { return };
        let now = virtuals.clock.now();
        let is_over = virtuals.lock().leases.get(&key).is_some_and(|l| l.number == number && l.ends <= now);
        if is_over {
            virtuals.remove(key.0, key.1);
            gone.notify_one();
            return;
        }
    }
}

/// The guard's loop, until nobody gives orders any more. It deletes nothing then: a guard that is killed with its unit
/// can't, and the lease runs out. A unit that stops has given the order before.
async fn serve(
    mut keeper: Keeper,
    mut kernel: LabKernel,
    gone: Arc<Notify>,
    mut orders: mpsc::Receiver<GuardOrder>,
    reports: mpsc::Sender<GuardReport>,
) {
    loop {
        let wait = keeper.wake().map(|at| at.saturating_sub(kernel.now()));
        let (mut order, mut lost) = (None, false);
        tokio::select! {
            next = orders.recv() => match next {
                Some(next) => order = Some(next),
                None => return,
            },
            () = gone.notified() => lost = true,
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
        // First what has run out, then orders: one from before must not hide that the lease ended.
        let mut said = keeper.turn(&mut kernel);
        if lost && said.is_none() {
            said = keeper.lost(&mut kernel);
        }
        let lapsed = said == Some(FromGuard::Lapsed);
        tell(&reports, said);
        while let Ok(newer) = orders.try_recv() {
            order = Some(newer);
        }
        let said = match order {
            None => None,
            Some(GuardOrder::Drop) => keeper.drop_now(&mut kernel),
            Some(GuardOrder::Hold { .. }) if lapsed => {
                Some(FromGuard::Failed("an order from before the lease ended".into()))
            }
            Some(GuardOrder::Hold { epoch, until, probe }) => match conflict(&keeper, &kernel, probe) {
                Some(text) => Some(FromGuard::Conflict(text)),
                None => keeper.hold(&mut kernel, epoch, span(until)),
            },
        };
        tell(&reports, said);
    }
}

/// Somebody else who answers for one of the addresses, if it is asked for.
fn conflict(keeper: &Keeper, kernel: &LabKernel, probe: bool) -> Option<String> {
    if !probe || keeper.holds() {
        return None;
    }
    let (of, faults) = (&kernel.of, &kernel.of.virtuals.faults);
    kernel.addresses.iter().filter(|(_, port)| !faults.is_down(*port)).find_map(|(address, _)| {
        let other = of.virtuals.answers(address.address, Node::Peer(of.me))?;
        let name = match other {
            Node::Peer(i) => format!("lab{}", i + 1),
            Node::Console => "somebody".to_owned(), // Nobody but a unit holds one.
        };
        Some(format!("{name} answers for {}", address.address))
    })
}

fn tell(reports: &mpsc::Sender<GuardReport>, said: Option<FromGuard>) {
    let report = match said {
        None | Some(FromGuard::Ready) => return,
        Some(FromGuard::Held { epoch, until }) => GuardReport::Held { epoch, until: time(Duration::from_nanos(until)) },
        Some(FromGuard::Dropped) => GuardReport::Dropped,
        Some(FromGuard::Lapsed) => GuardReport::Lapsed,
        Some(FromGuard::Conflict(text)) => GuardReport::Conflict(Line::new(&text)),
        Some(FromGuard::Failed(text) | FromGuard::Refused(text)) => GuardReport::Failed(Line::new(&text)),
    };
    if let Err(mpsc::error::TrySendError::Full(lost)) = reports.try_send(report) {
        tracing::warn!("a report of a guard is lost: {lost:?}");
    }
}

#[cfg(test)]
mod tests;
