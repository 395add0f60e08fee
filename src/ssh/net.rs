//! The network as a seam: the system's own, or one that a lab can cut (`lab::net`).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::Instant;

use crate::clock::shared_moment;

/// `limit` from now, rounded up to a moment that the deadlines of many dials share: those that began together end
/// together, and wake the process once.
#[must_use]
pub fn deadline(limit: Duration, apart: Duration) -> Instant {
    shared_moment((Instant::now() + limit).into_std(), apart).into()
}

/// A future that can be boxed and sent.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A byte stream of whatever kind.
pub type BoxStream = Box<dyn Stream>;

/// Where connections and datagrams come from.
pub trait Net: Send + Sync + 'static {
    /// Waits for its turn to build a connection to `host`, before any deadline runs; the turn ends when what it
    /// gives is dropped. Only where many peers share one process they take turns, so that all their handshakes
    /// at once don't make each other late.
    fn turn<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Box<dyn Send>> {
        let _ = host;
        Box::pin(async { Box::new(()) as Box<dyn Send> })
    }

    /// Connects with `TCP_NODELAY`; the caller sets the deadline.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxStream>>;

    /// Listens. Port 0 takes a free one.
    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Binds a socket for datagrams.
    fn datagrams(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Arc<dyn Datagrams>>>;
}

/// A listening socket.
pub trait Listener: Send + Sync + 'static {
    /// The next connection, with `TCP_NODELAY`.
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>>;

    /// Where it listens.
    ///
    /// # Errors
    /// When the system can't tell.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A datagram socket.
pub trait Datagrams: Send + Sync + 'static {
    /// Sends one; it may be lost.
    fn send_to<'a>(&'a self, bytes: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>>;

    /// The next one: its length and sender.
    fn recv_from<'a>(&'a self, into: &'a mut [u8]) -> BoxFuture<'a, io::Result<(usize, SocketAddr)>>;
}

/// The system's network.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsNet;

impl Net for OsNet {
    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }

    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move { Ok(Box::new(TcpListener::bind(on).await?) as Box<dyn Listener>) })
    }

    fn datagrams(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Arc<dyn Datagrams>>> {
        Box::pin(async move { Ok(Arc::new(UdpSocket::bind(on).await?) as Arc<dyn Datagrams>) })
    }
}

impl Listener for TcpListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let (stream, from) = Self::accept(self).await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as BoxStream, from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl Datagrams for UdpSocket {
    fn send_to<'a>(&'a self, bytes: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { Self::send_to(self, bytes, to).await.map(|_| ()) })
    }

    fn recv_from<'a>(&'a self, into: &'a mut [u8]) -> BoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(async move { Self::recv_from(self, into).await })
    }
}
