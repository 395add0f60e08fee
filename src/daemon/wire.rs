//! One control connection: frames in and out, each direction with its own bounds.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use super::cluster::{ConnId, Event};
use super::shared::{Input, Shared};
use crate::domain::mesh::Cause;
use crate::domain::text::clean;
use crate::proto::ProtoError;
use crate::proto::frame::{FRAME_MAX, Frame};
use crate::proto::observe::WireRow;
use crate::ssh::client::Session;
use crate::ssh::net::BoxStream;

/// Frames that may wait for a connection; more are dropped and counted.
pub(super) const QUEUE: usize = 256;

/// How long a frame may take to leave.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// How long what the other side said before it closed is still read.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Pings of which the sending time is remembered.
const PINGS_KEPT: usize = 64;

/// A frame as it goes out, and its number if it is a ping.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub bytes: Bytes,
    pub ping: Option<u64>,
}

impl Outgoing {
    pub fn new(frame: &Frame) -> Self {
        let ping = match frame {
            Frame::Ping(ping) => Some(ping.n),
            Frame::Hello(_)
            | Frame::Pong { .. }
            | Frame::Rows { .. }
            | Frame::Command { .. }
            | Frame::Outcome { .. }
            | Frame::Sync(_)
            | Frame::SyncCredit { .. }
            | Frame::Bye { .. }
            | Frame::Unknown => None,
        };
        Self { bytes: crate::proto::write(frame).into(), ping }
    }
}

/// When pings left, to tell the round trip where it happens.
#[derive(Default)]
struct Stamps(Mutex<VecDeque<(u64, Instant)>>);

impl Stamps {
    fn sent(&self, n: u64) {
        let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps.len() == PINGS_KEPT {
            stamps.pop_front();
        }
        stamps.push_back((n, Instant::now()));
    }

    /// The round trip of ping `n`, once.
    fn answered(&self, n: u64) -> Option<Duration> {
        let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = stamps.iter().position(|(m, _)| *m == n)?;
        stamps.remove(at).map(|(_, sent)| sent.elapsed())
    }
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(FRAME_MAX).new_codec()
}

/// Carries frames until either side ends it. `session` is the SSH session of a connection that we dialled.
pub(super) async fn carry(
    shared: Arc<Shared>,
    conn: ConnId,
    stream: BoxStream,
    session: Option<Session>,
    queue: mpsc::Receiver<Outgoing>,
) {
    let (reader, writer) = tokio::io::split(stream);
    let stamps = Stamps::default();
    let mut reading = pin!(read(&shared, conn, FramedRead::new(reader, codec()), &stamps));
    let ended = tokio::select! {
        () = shared.over.cancelled() => return,
        detail = &mut reading => Ok(detail),
        detail = write(FramedWrite::new(writer, codec()), queue, &stamps) => Err(detail),
    };
    let mut detail = match ended {
        Ok(detail) | Err(detail @ None) => detail,
        // What can't be written any more has been closed over there: why may stand in what is still to be read.
        Err(broken) => timeout(LAST_WORDS, reading).await.unwrap_or(broken),
    };
    let mut cause = Cause::Dropped;
    if let Some(session) = &session {
        let (ending, why) = session.ending();
        if ending != Cause::Dropped {
            (cause, detail) = (ending, Some(why));
        }
    }
    let event = Event::Closed { conn, cause, detail: detail.unwrap_or_default() };
    // The loop has ended when it takes no more.
    let _ = shared.inbox.send(Input::Event(event)).await;
    if let Some(session) = session {
        session.close().await;
    }
}

async fn read(
    shared: &Shared,
    conn: ConnId,
    mut frames: FramedRead<ReadHalf<BoxStream>, LengthDelimitedCodec>,
    stamps: &Stamps,
) -> Option<String> {
    loop {
        let bytes = match frames.next().await {
            None => return Some("the connection was closed from the other side".into()),
            Some(Err(e)) => return Some(format!("the connection broke: {}", clean(&e.to_string(), 160))),
            Some(Ok(bytes)) => bytes,
        };
        let event = match read_frame(&bytes) {
            Ok(Frame::Pong { n }) => match stamps.answered(n) {
                Some(rtt) => Event::Pong { conn, n, rtt },
                None => continue,
            },
            Ok(frame) => Event::Frame { conn, frame },
            Err(e) => return Some(format!("closed here, the other side sent something else: {e}")),
        };
        drop(bytes);
        let buffer = frames.read_buffer_mut();
        if buffer.is_empty() {
            *buffer = BytesMut::new(); // It grows to the longest frame ever, and a peer has hundreds of them.
        }
        shared.inbox.send(Input::Event(event)).await.ok()?;
    }
}

/// The tag first, then the rest: serde would copy a whole row aside to look for the tag itself.
fn read_frame(bytes: &[u8]) -> Result<Frame, ProtoError> {
    #[derive(serde::Deserialize)]
    struct Tag {
        t: String,
    }
    #[derive(serde::Deserialize)]
    struct Rows {
        clock: u64,
        rows: Vec<WireRow>,
    }
    if crate::proto::read::<Tag>(bytes)?.t == "rows" {
        let Rows { clock, rows } = crate::proto::read(bytes)?;
        return Ok(Frame::Rows { clock, rows });
    }
    crate::proto::read(bytes)
}

async fn write(
    mut frames: FramedWrite<WriteHalf<BoxStream>, LengthDelimitedCodec>,
    mut queue: mpsc::Receiver<Outgoing>,
    stamps: &Stamps,
) -> Option<String> {
    // The queue ends when the core has closed the connection: what was queued before still goes out.
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        let mut failed = None;
        while let Some(frame) = next {
            if let Some(n) = frame.ping {
                stamps.sent(n);
            }
            match timeout(WRITE_LIMIT, SinkExt::<Bytes>::feed(&mut frames, frame.bytes)).await {
                Ok(Ok(())) => next = queue.try_recv().ok(),
                Ok(Err(e)) => {
                    failed = Some(e.to_string());
                    next = None;
                }
                Err(_) => return Some(format!("nothing left for {} s", WRITE_LIMIT.as_secs())),
            }
        }
        match timeout(WRITE_LIMIT, SinkExt::<Bytes>::flush(&mut frames)).await {
            Ok(Ok(())) if failed.is_none() => *frames.write_buffer_mut() = BytesMut::new(),
            Ok(Ok(())) => return Some(format!("the connection broke: {}", clean(&failed.unwrap_or_default(), 160))),
            Ok(Err(e)) => return Some(format!("the connection broke: {}", clean(&e.to_string(), 160))),
            Err(_) => return Some(format!("nothing left for {} s", WRITE_LIMIT.as_secs())),
        }
    }
    let _ = timeout(Duration::from_secs(1), SinkExt::<Bytes>::close(&mut frames)).await;
    None
}
