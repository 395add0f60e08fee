//! One direction of one connection: bytes wait, come late or pass, as the table says, and always in order.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::table::{Faults, Node, Passage};
use crate::ssh::net::BoxFuture;

/// Bytes that may be under way in one direction; a sender beyond that waits (the kernel's buffers come on top).
pub(super) const UNDER_WAY_MAX: usize = 256 * 1024;

/// The first retransmission of TCP comes after this; each further one after twice as long.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// Retransmissions in a row that bad luck can cost one chunk.
const RETRANSMITS_MAX: u32 = 6;

const CHUNK: usize = 16 * 1024;

/// What comes out of `inner`, as the faults of the direction let it.
pub(super) struct Line<R> {
    inner: R,
    faults: Arc<Faults>,
    from: Node,
    to: Node,
    luck: SmallRng,
    queue: VecDeque<Chunk>,
    queued: usize,
    /// The end, or what broke the connection, has been read and stands last in the queue.
    ended: bool,
    newest: Option<Instant>,
    wait: Option<Wait>,
}

struct Chunk {
    due: Instant,
    /// Empty: the end.
    what: io::Result<Vec<u8>>,
    given: usize,
}

enum Wait {
    Passage(BoxFuture<'static, ()>),
    Due(Instant, Pin<Box<Sleep>>),
}

impl<R: AsyncRead + Unpin> Line<R> {
    pub fn new(inner: R, faults: Arc<Faults>, from: Node, to: Node) -> Self {
        let luck = faults.luck(from, to);
        Self {
            inner,
            faults,
            from,
            to,
            luck,
            queue: VecDeque::new(),
            queued: 0,
            ended: false,
            newest: None,
            wait: None,
        }
    }

    /// Takes in what has arrived, and says when it may come out.
    fn take_in(&mut self, cx: &mut Context<'_>, slow: Duration, loss: f64) {
        while !self.ended && self.queued < UNDER_WAY_MAX {
            let mut chunk = vec![0; CHUNK];
            let mut buf = ReadBuf::new(&mut chunk);
            let what = match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {
                    let n = buf.filled().len();
                    chunk.truncate(n);
                    self.ended = n == 0;
                    self.queued += n;
                    Ok(chunk)
                }
                Poll::Ready(Err(e)) => {
                    self.ended = true;
                    Err(e)
                }
            };
            let due = Instant::now() + slow + bad_luck(&mut self.luck, loss, RETRANSMIT);
            let due = self.newest.map_or(due, |n| n.max(due)); // In order, as TCP is.
            self.newest = Some(due);
            self.queue.push_back(Chunk { due, what, given: 0 });
        }
    }

    /// Gives out the head of the queue.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let Some(mut head) = self.queue.pop_front() else { return Ok(()) };
        match &head.what {
            Err(_) => head.what.map(drop),
            Ok(bytes) => {
                let rest = &bytes[head.given..];
                let n = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..n]);
                head.given += n;
                self.queued = self.queued.saturating_sub(n);
                if n < rest.len() {
                    self.queue.push_front(head);
                }
                Ok(())
            }
        }
    }

    fn poll_passable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.wait, Some(Wait::Passage(_))) {
            let (faults, from, to) = (Arc::clone(&self.faults), self.from, self.to);
            self.wait = Some(Wait::Passage(Box::pin(async move { faults.until_passable(from, to).await })));
        }
        self.poll_wait(cx)
    }

    fn poll_due(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(&self.wait, Some(Wait::Due(at, _)) if *at == due) {
            self.wait = Some(Wait::Due(due, Box::pin(sleep_until(due))));
        }
        self.poll_wait(cx)
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.wait {
            Some(Wait::Passage(until)) => ready!(until.as_mut().poll(cx)),
            Some(Wait::Due(_, sleep)) => ready!(sleep.as_mut().poll(cx)),
            None => {}
        }
        self.wait = None;
        Poll::Ready(())
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Line<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        loop {
            let (slow, loss) = match me.faults.passage(me.from, me.to) {
                Passage::Clear if me.queue.is_empty() && !me.ended => {
                    return Pin::new(&mut me.inner).poll_read(cx, buf);
                }
                Passage::Clear => (Duration::ZERO, 0.0),
                Passage::Impaired { slow, loss } => (slow, loss),
                Passage::Held { .. } => {
                    ready!(me.poll_passable(cx));
                    continue;
                }
            };
            me.take_in(cx, slow, loss);
            match me.queue.front() {
                None if me.ended => return Poll::Ready(Ok(())),
                None => return Poll::Pending,
                Some(head) if head.due <= Instant::now() => return Poll::Ready(me.give(buf)),
                Some(head) => {
                    let due = head.due;
                    ready!(me.poll_due(due, cx));
                }
            }
        }
    }
}

/// How much later something comes that has to be sent again as long as luck is bad: `first`, then twice as long each time.
pub(super) fn bad_luck(luck: &mut SmallRng, loss: f64, first: Duration) -> Duration {
    let mut late = Duration::ZERO;
    let mut wait = first;
    for _ in 0..RETRANSMITS_MAX {
        if loss <= 0.0 || !luck.random_bool(loss.min(1.0)) {
            break;
        }
        late += wait;
        wait *= 2;
    }
    late
}
