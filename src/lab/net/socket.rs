//! A connection of a peer, whose socket can be taken away from outside.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::life::{Mortal, killed};
use super::line::{Line, UNDER_WAY_MAX};
use super::table::{Faults, Node, Passage};

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Wire {
    /// The system's socket.
    Tcp(TcpStream),
    /// A pipe in memory.
    Pipe(DuplexStream),
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Pipe(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Pipe(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // The kernel, or the other side's buffer, has it.
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Pipe(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A socket that can be closed by somebody else than its user, as a kernel does when a process dies.
#[derive(Debug)]
pub(super) struct Socket(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    stream: Option<Wire>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Socket {
    pub fn new(stream: Wire) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { stream: Some(stream), reader: None, writer: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        let Some(stream) = &mut inner.stream else { return Poll::Ready(Err(killed())) };
        let poll = Pin::new(stream).poll_read(cx, buf);
        if poll.is_pending() {
            remember(&mut inner.reader, cx);
        }
        poll
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        let Some(stream) = &mut inner.stream else { return Poll::Ready(Err(killed())) };
        let poll = Pin::new(stream).poll_write(cx, bytes);
        if poll.is_pending() {
            remember(&mut inner.writer, cx);
        }
        poll
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Mortal for Socket {
    fn kill(&self) {
        let (stream, reader, writer) = {
            let mut inner = self.lock();
            (inner.stream.take(), inner.reader.take(), inner.writer.take())
        };
        drop(stream);
        for waker in [reader, writer].into_iter().flatten() {
            waker.wake();
        }
    }
}

fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}

/// A source port that is announced in the table as long as its connection lives.
pub(super) struct Source {
    faults: Arc<Faults>,
    address: SocketAddr,
}

impl Source {
    pub fn announce(faults: &Arc<Faults>, address: SocketAddr, node: Node) -> Self {
        faults.own_socket(address, node);
        Self { faults: Arc::clone(faults), address }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.faults.disown_socket(self.address);
    }
}

/// The reading side of a [`Socket`].
pub(super) struct Reading(Arc<Socket>);

impl AsyncRead for Reading {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

/// The writing side of a [`Socket`].
struct Writing(Arc<Socket>);

impl AsyncWrite for Writing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // The kernel has it.
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

/// A connection as a peer holds it.
///
/// Between peers each side holds back what it *reads*: what was sent stays in order and is not lost. With a
/// console only our side is ours, so what we *write* goes through a line of its own.
pub(super) struct Connection {
    socket: Arc<Socket>,
    inbound: Line<Reading>,
    outbound: Outbound,
    faults: Arc<Faults>,
    me: Node,
    other: Node,
    /// Told apart by this port, where all peers share one address.
    _source: Option<Source>,
}

enum Outbound {
    Direct(Writing),
    Line(DuplexStream),
}

impl Connection {
    pub fn new(socket: Arc<Socket>, faults: Arc<Faults>, me: Node, other: Node, source: Option<Source>) -> Self {
        let inbound = Line::new(Reading(Arc::clone(&socket)), Arc::clone(&faults), other, me);
        let outbound = match other {
            Node::Peer(_) => Outbound::Direct(Writing(Arc::clone(&socket))),
            Node::Console => {
                let (pen, rest) = duplex(UNDER_WAY_MAX);
                let line = Line::new(rest, Arc::clone(&faults), me, other);
                tokio::spawn(carry(line, Arc::clone(&socket)));
                Outbound::Line(pen)
            }
        };
        Self { socket, inbound, outbound, faults, me, other, _source: source }
    }
}

/// Carries what a peer has written to a console; ends with the writer or with the socket.
async fn carry(mut line: Line<DuplexStream>, socket: Arc<Socket>) {
    let mut pen = Writing(socket);
    // A failed copy means that the other side is gone, which the reading side notices by itself.
    drop(tokio::io::copy(&mut line, &mut pen).await);
    drop(pen.shutdown().await);
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inbound).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.outbound {
            Outbound::Direct(pen) => Pin::new(pen).poll_write(cx, bytes),
            Outbound::Line(pen) => Pin::new(pen).poll_write(cx, bytes),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.outbound {
            Outbound::Direct(pen) => Pin::new(pen).poll_flush(cx),
            Outbound::Line(pen) => Pin::new(pen).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.outbound {
            Outbound::Direct(pen) => Pin::new(pen).poll_shutdown(cx),
            Outbound::Line(pen) => Pin::new(pen).poll_shutdown(cx),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let held = matches!(self.faults.passage(self.me, self.other), Passage::Held { .. });
        // The good-bye of a closed connection is held like any byte: the other side learns of it after the heal.
        if let (true, Outbound::Direct(_), Ok(runtime)) = (held, &self.outbound, Handle::try_current()) {
            let (socket, faults, me, other) = (Arc::clone(&self.socket), Arc::clone(&self.faults), self.me, self.other);
            runtime.spawn(async move {
                faults.until_passable(me, other).await;
                drop(socket);
            });
        }
    }
}
