//! The network of a lab: the system's sockets, with a table of faults between the nodes.
//!
//! Each peer has a [`PeerNet`] of its own and dials from its own address, so that the accepting side knows who
//! calls. Faults act on the bytes between the peers: in a cut they are held, as TCP would hold them, and come out
//! after the heal; datagrams are dropped.

mod datagrams;
mod life;
mod line;
mod socket;
mod table;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::time::sleep;

use self::datagrams::FaultDatagrams;
use self::life::{Life, Slot, killed};
use self::socket::{Connection, Socket, Source};
pub use self::table::{Faults, Node, Passage};
use crate::ssh::net::{BoxFuture, BoxStream, Datagrams, Listener, Net};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A lost first packet of a connection is sent again after this, then after twice as long.
const SYN_RETRANSMIT: Duration = Duration::from_secs(1);

/// The network of one start of one peer; a killed one never comes back, the next start gets a new one.
pub struct PeerNet {
    life: Arc<Life>,
    ip: IpAddr,
    /// All peers have the same IP address: the port of a dial is announced in the table.
    by_port: bool,
}

impl PeerNet {
    /// The network of `me`, which has the address `ip`; `by_port` when it shares that with the others.
    #[must_use]
    pub fn new(faults: Arc<Faults>, me: Node, ip: IpAddr, by_port: bool) -> Self {
        Self { life: Arc::new(Life::new(faults, me)), ip, by_port }
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
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if self.ip.is_ipv4() == to.is_ipv4() {
            socket.bind(SocketAddr::new(self.ip, 0))?;
        }
        socket.set_nodelay(true)?;
        let source = if self.by_port { Some(Source::announce(faults, socket.local_addr()?, me)) } else { None };
        let socket = Socket::new(socket.connect(to).await?);
        self.life.keep(&socket);
        Ok(Box::new(Connection::new(socket, Arc::clone(faults), me, other, source)))
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

impl Net for PeerNet {
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
            if self.by_port {
                self.life.faults.own_socket(local, self.life.me);
            }
            let slot = Arc::new(Slot::new(listener));
            self.life.keep(&slot);
            Ok(Box::new(FaultListener { slot, local, life: Arc::clone(&self.life) }) as Box<dyn Listener>)
        })
    }

    fn datagrams(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Arc<dyn Datagrams>>> {
        Box::pin(async move {
            self.life.check()?;
            let socket = UdpSocket::bind(on).await?;
            if self.by_port {
                self.life.faults.own_socket(socket.local_addr()?, self.life.me);
            }
            let slot = Arc::new(Slot::new(Arc::new(socket)));
            self.life.keep(&slot);
            Ok(Arc::new(FaultDatagrams::new(slot, Arc::clone(&self.life))) as Arc<dyn Datagrams>)
        })
    }
}

struct FaultListener {
    slot: Arc<Slot<TcpListener>>,
    local: SocketAddr,
    life: Arc<Life>,
}

impl Listener for FaultListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let (faults, me) = (&self.life.faults, self.life.me);
            let accepted = poll_fn(|cx| match &*self.slot.lock() {
                Some(listener) => listener.poll_accept(cx),
                None => Poll::Ready(Err(killed())),
            });
            let (stream, from) = tokio::select! {
                accepted = accepted => accepted?,
                () = self.life.ended() => return Err(killed()),
            };
            faults.until_thawed(me).await; // The kernel has accepted it; the process has not.
            stream.set_nodelay(true)?;
            let socket = Socket::new(stream);
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
