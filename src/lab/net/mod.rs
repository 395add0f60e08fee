//! The network of a lab: the system's sockets, with a table of faults between the nodes.
//!
//! Each peer has a [`PeerNet`] of its own and dials from its own address, so that the accepting side knows who
//! calls. Faults act on the bytes between the peers: in a cut they are held, as TCP would hold them, and come out
//! after the heal; datagrams are dropped.

mod datagrams;
mod hub;
mod life;
mod line;
mod socket;
mod table;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use self::datagrams::FaultDatagrams;
pub use self::hub::Hub;
use self::hub::{Entry, Visit};
use self::life::{Life, Mortal, Slot, killed};
use self::socket::{Connection, Socket, Source, Wire};
pub use self::table::{Faults, Node, Passage};
use crate::ssh::net::{BoxFuture, BoxStream, Datagrams, Listener, Net};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A lost first packet of a connection is sent again after this, then after twice as long.
const SYN_RETRANSMIT: Duration = Duration::from_secs(1);

/// Whoever needs longer for a handshake no longer holds up the others.
const TURN: Duration = Duration::from_secs(2);

/// The network of one start of one peer; a killed one never comes back, the next start gets a new one.
pub struct PeerNet {
    life: Arc<Life>,
    ip: IpAddr,
    wiring: Wiring,
}

/// How the peers of a lab are joined to each other; consoles always come over sockets.
#[derive(Clone, Debug)]
pub enum Wiring {
    /// Sockets, and an IP address for each.
    Sockets,
    /// Sockets, and one IP address for all: the port of each dial is announced in the table.
    SharedAddress,
    /// Pipes in memory, and an IP address for each.
    Memory(Arc<Hub>),
}

impl PeerNet {
    /// The network of `me`, which has the address `ip`.
    #[must_use]
    pub fn new(faults: Arc<Faults>, me: Node, ip: IpAddr, wiring: Wiring) -> Self {
        Self { life: Arc::new(Life::new(faults, me)), ip, wiring }
    }

    /// Closes all its sockets at once, as the kernel does when a process dies; nothing can be opened afterwards.
    pub fn kill(&self) {
        self.life.end();
    }

    async fn dial(&self, to: SocketAddr) -> io::Result<BoxStream> {
        let (faults, me) = (&self.life.faults, self.life.me);
        let other = faults.node_at(to);
        handshake(faults, me, other).await;
        self.life.check()?;
        let (wire, source) = match (&self.wiring, other) {
            // Beside the mesh's listeners, what a peer calls are its fellows' mail services, which have sockets.
            (Wiring::Memory(hub), Node::Peer(_)) if hub.is_called(to) => (Wire::Pipe(hub.connect(self.ip, to)?), None),
            (Wiring::SharedAddress, Node::Peer(_) | Node::Console) => {
                let socket = self.caller(to)?;
                let source = Source::announce(faults, socket.local_addr()?, me);
                (Wire::Tcp(socket.connect(to).await?), Some(source))
            }
            (Wiring::Sockets | Wiring::Memory(_), Node::Peer(_) | Node::Console) => {
                (Wire::Tcp(self.caller(to)?.connect(to).await?), None)
            }
        };
        let socket = Socket::new(wire);
        self.life.keep(&socket);
        Ok(Box::new(Connection::new(socket, Arc::clone(faults), me, other, source)))
    }

    /// A socket that calls from our own address, so that the other side knows who calls.
    fn caller(&self, to: SocketAddr) -> io::Result<TcpSocket> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if self.ip.is_ipv4() == to.is_ipv4() {
            socket.bind(SocketAddr::new(self.ip, 0))?;
        }
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    /// Tells the table that this socket is ours, where the address alone does not.
    fn announce(&self, local: SocketAddr) {
        if matches!(self.wiring, Wiring::SharedAddress) {
            self.life.faults.own_socket(local, self.life.me);
        }
    }
}

/// Waits as long as a handshake would: it needs both directions.
async fn handshake(faults: &Faults, me: Node, other: Node) {
    loop {
        faults.until_dialable(me, other).await;
        let mut late = Duration::ZERO;
        for (from, to) in [(me, other), (other, me)] {
            if let Passage::Impaired { slow, loss } = faults.on_the_wire(from, to) {
                late += slow + line::bad_luck(&mut faults.luck(from, to), loss, SYN_RETRANSMIT);
            }
        }
        if late.is_zero() {
            return;
        }
        sleep(late).await;
        let cut = |from, to| matches!(faults.on_the_wire(from, to), Passage::Held { .. });
        if !cut(me, other) && !cut(other, me) {
            return;
        }
    }
}

/// A turn at building a connection: given back when dropped, or when it takes too long.
struct Turn(AbortHandle);

impl Turn {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        let keeper = tokio::spawn(async move {
            let _permit = permit;
            sleep(TURN).await;
        });
        Self(keeper.abort_handle())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Net for PeerNet {
    fn turn<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Box<dyn Send>> {
        Box::pin(async move {
            // A dial that gets no answer costs nothing and must not hold up others.
            if !self.life.faults.is_answered(self.life.me, host) {
                return Box::new(()) as Box<dyn Send>;
            }
            Box::new(self.life.faults.turn().await.map(Turn::new)) as Box<dyn Send>
        })
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(async move {
            tokio::select! {
                dialled = self.dial(to) => dialled,
                () = self.life.ended() => Err(killed()),
            }
        })
    }

    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            self.life.check()?;
            let socket = if on.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(on)?;
            let listener = socket.listen(BACKLOG)?;
            let local = listener.local_addr()?;
            self.announce(local);
            let slot = Arc::new(Slot::new(listener));
            self.life.keep(&slot);
            let visits = match &self.wiring {
                Wiring::Memory(hub) => {
                    let (entry, visits) = hub.listen(local);
                    self.life.keep(&entry);
                    Some((entry, Mutex::new(visits)))
                }
                Wiring::Sockets | Wiring::SharedAddress => None,
            };
            Ok(Box::new(FaultListener { slot, local, visits, life: Arc::clone(&self.life) }) as Box<dyn Listener>)
        })
    }

    fn datagrams(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Arc<dyn Datagrams>>> {
        Box::pin(async move {
            self.life.check()?;
            let socket = UdpSocket::bind(on).await?;
            let local = socket.local_addr()?;
            self.announce(local);
            let slot = Arc::new(Slot::new(Arc::new(socket)));
            self.life.keep(&slot);
            Ok(Arc::new(FaultDatagrams::new(slot, local.ip(), Arc::clone(&self.life))) as Arc<dyn Datagrams>)
        })
    }
}

struct FaultListener {
    slot: Arc<Slot<TcpListener>>,
    local: SocketAddr,
    /// Calls in memory.
    visits: Option<(Arc<Entry>, Mutex<mpsc::Receiver<Visit>>)>,
    life: Arc<Life>,
}

impl FaultListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Wire, SocketAddr)>> {
        if let Some((_, visits)) = &self.visits
            && let Poll::Ready(Some((pipe, from))) = visits.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(cx)
        {
            return Poll::Ready(Ok((Wire::Pipe(pipe), from)));
        }
        let slot = self.slot.lock();
        let Some(listener) = &*slot else { return Poll::Ready(Err(killed())) };
        let (stream, from) = ready!(listener.poll_accept(cx))?;
        stream.set_nodelay(true)?;
        Poll::Ready(Ok((Wire::Tcp(stream), from)))
    }
}

impl Drop for FaultListener {
    fn drop(&mut self) {
        if let Some((entry, _)) = &self.visits {
            entry.kill();
        }
    }
}

impl Listener for FaultListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let (faults, me) = (&self.life.faults, self.life.me);
            let (wire, from) = tokio::select! {
                accepted = poll_fn(|cx| self.poll_accept(cx)) => accepted?,
                () = self.life.ended() => return Err(killed()),
            };
            faults.until_thawed(me).await; // The kernel has accepted it; the process has not.
            let socket = Socket::new(wire);
            self.life.keep(&socket);
            let other = faults.node_at(from);
            let connection = Connection::new(socket, Arc::clone(faults), me, other, None);
            Ok((Box::new(connection) as BoxStream, from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}
