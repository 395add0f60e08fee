//! Channels as byte streams that never hold up the session they belong to.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::net::BoxStream;

/// The most bytes that wait to be read: two of the longest documents.
pub(crate) const INBOX_MAX: usize = 2 * crate::proto::DOCUMENT_MAX;

/// How long a reader may take to say why a flooded channel ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What stays allocated once the inbox is empty.
const INBOX_KEPT: usize = 4 * 1024;

/// A channel whose input is always taken off the session by a task of its own.
///
/// russh grants the window on receipt, not on consumption, so the peer can't be held back; when the
/// inbox is full the channel is closed and reading ends in an error.
pub(crate) struct Drained<S: From<(ChannelId, ChannelMsg)>> {
    inbox: Arc<Mutex<Inbox>>,
    max: Arc<AtomicUsize>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    half: Arc<ChannelWriteHalf<S>>,
    gone: CancellationToken,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
    _closes: DropGuard,
}

#[derive(Default)]
struct Inbox {
    bytes: VecDeque<u8>,
    end: Option<End>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy)]
enum End {
    Closed,
    Overflow,
}

impl<S: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static> Drained<S> {
    /// Reads `early` first, then what comes over `channel`. More than `max` bytes that wait end the channel.
    pub(crate) fn new(channel: Channel<S>, early: &[u8], max: usize) -> Self {
        let (reader, half) = channel.split();
        let half = Arc::new(half);
        let inbox = Inbox { bytes: early.iter().copied().collect(), ..Inbox::default() };
        let (inbox, max) = (Arc::new(Mutex::new(inbox)), Arc::new(AtomicUsize::new(max)));
        let (dropped, gone) = (CancellationToken::new(), CancellationToken::new());
        let writer: Pin<Box<dyn AsyncWrite + Send>> = Box::pin(half.make_writer());
        let ends = gone.clone().drop_guard();
        let draining = drain(reader, half.clone(), Arc::clone(&inbox), max.clone(), dropped.clone());
        tokio::spawn(async move {
            let (reader, half) = draining.await;
            drop(ends);
            wind_up(reader, &half).await;
        });
        let wait = Box::pin(gone.clone().cancelled_owned());
        Self { inbox, max, writer, half, gone, wait, _closes: dropped.drop_guard() }
    }

    /// From now on so many bytes may wait.
    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Cancelled when the channel has ended in both directions; the other side's end of input alone does not count.
    pub(crate) fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// For what is no data: the exit status, the end.
    pub(crate) fn half(&self) -> Arc<ChannelWriteHalf<S>> {
        Arc::clone(&self.half)
    }
}

/// Moves what comes into the inbox until the channel ends, the inbox is full or the stream is dropped.
async fn drain<S: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static>(
    mut reader: ChannelReadHalf,
    writer: Arc<ChannelWriteHalf<S>>,
    inbox: Arc<Mutex<Inbox>>,
    max: Arc<AtomicUsize>,
    dropped: CancellationToken,
) -> (ChannelReadHalf, Arc<ChannelWriteHalf<S>>) {
    let end = loop {
        let message = tokio::select! {
            message = reader.wait() => message,
            () = dropped.cancelled() => break End::Closed,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                let mut inbox = lock(&inbox);
                if inbox.bytes.len() + data.len() > max.load(Ordering::Relaxed) {
                    break End::Overflow;
                }
                inbox.bytes.extend(&data[..]);
                inbox.wake();
            }
            Some(ChannelMsg::Eof) => lock(&inbox).finish(End::Closed),
            Some(ChannelMsg::Close) | None => break End::Closed,
            Some(_) => {} // Standard error, window changes, exit status: nothing for a byte stream.
        }
    };
    lock(&inbox).finish(end);
    if matches!(end, End::Overflow) {
        // Whoever reads may say why it ends; what comes meanwhile is thrown away.
        let thrown = async {
            let mut left = INBOX_MAX;
            while let Some(message) = reader.wait().await {
                match message {
                    ChannelMsg::Data { data } if data.len() <= left => left -= data.len(),
                    ChannelMsg::Data { .. } | ChannelMsg::Close => return,
                    _ => {} // Nothing for a byte stream.
                }
            }
        };
        tokio::select! {
            () = dropped.cancelled() => {}
            _ = tokio::time::timeout(LAST_WORDS, thrown) => {}
        }
    }
    (reader, writer)
}

/// Closes the channel from this side too.
async fn wind_up<S>(mut reader: ChannelReadHalf, writer: &ChannelWriteHalf<S>)
where
    S: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
{
    // Bounded: the session's own queue may be blocked by its network.
    let _ = tokio::time::timeout(Duration::from_secs(1), writer.close()).await;
    // What is still on its way must go somewhere until the peer has closed too.
    let _ = tokio::time::timeout(Duration::from_secs(10), async { while reader.wait().await.is_some() {} }).await;
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<S: From<(ChannelId, ChannelMsg)>> AsyncRead for Drained<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inbox = lock(&self.inbox);
        if inbox.bytes.is_empty() {
            return match inbox.end {
                Some(End::Closed) => Poll::Ready(Ok(())),
                Some(End::Overflow) => Poll::Ready(Err(io::Error::other(format!(
                    "more than {} bytes came than were read; the channel was closed",
                    self.max.load(Ordering::Relaxed)
                )))),
                None => {
                    inbox.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let (front, _) = inbox.bytes.as_slices();
        let n = front.len().min(buf.remaining());
        buf.put_slice(&front[..n]);
        inbox.bytes.drain(..n);
        if inbox.bytes.is_empty() && inbox.bytes.capacity() > INBOX_KEPT {
            inbox.bytes = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: From<(ChannelId, ChannelMsg)>> AsyncWrite for Drained<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Without window from a peer that has closed the channel the write would hang.
        if self.gone.is_cancelled() || self.wait.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.writer.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(cx)
    }
}

/// A stream that somebody else can end: from then on it reads as closed and takes no more bytes.
pub(crate) struct Cuttable {
    stream: BoxStream,
    cut: CancellationToken,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cuttable {
    pub(crate) fn new(stream: BoxStream, cut: CancellationToken) -> Self {
        Self { stream, wait: Box::pin(cut.clone().cancelled_owned()), cut }
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        // A future must not be polled again once it is ready, so the token is asked first.
        self.cut.is_cancelled() || self.wait.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_cut(cx) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut(cx) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
