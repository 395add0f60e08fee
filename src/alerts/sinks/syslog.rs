//! Syslog, RFC 5424, over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425).
//!
//! No syslog transport confirms anything. Over TCP and TLS a connection that breaks may have lost what was written
//! last: that is written again on the next one. Over UDP only a port that is closed is noticed, one message late.

mod format;
mod stream;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strum::{EnumIter, EnumString, IntoStaticStr};
use tokio::net::{UdpSocket, lookup_host};

use self::format::message;
use self::stream::Stream;
use super::{Beat, Delivery, Failure, Sink, Telling, within};

/// How long connecting, greeting and writing may take together.
const DEADLINE: Duration = Duration::from_secs(10);

/// Longest datagram in bytes: what receivers take as a rule.
const DATAGRAM_MAX: usize = 8_192;

/// Longest message over a connection in bytes.
const FRAME_MAX: usize = 65_536;

/// Notices in one delivery.
const BATCH: usize = 100;

/// How long a word about a closed port is waited for.
const ECHO: Duration = Duration::from_millis(50);

/// What was written so long before a connection broke may not have arrived.
const DOUBT: Duration = Duration::from_secs(15);

/// So many messages are kept for that; older ones count as arrived.
const KEPT_MAX: usize = 1_000;

/// How a message travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Way {
    /// A datagram each.
    Udp,
    /// One connection, in the clear.
    Tcp,
    /// One connection, encrypted, the server's certificate checked.
    Tls,
}

impl Way {
    /// The port where nothing else is said.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Udp => 514,
            Self::Tcp => 601,
            Self::Tls => 6514,
        }
    }
}

/// What the other side files it under; the number is its place (RFC 5424, table 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "as in the RFC")]
pub enum Facility {
    Kern = 0,
    User = 1,
    Mail = 2,
    Daemon = 3,
    Auth = 4,
    Syslog = 5,
    Lpr = 6,
    News = 7,
    Uucp = 8,
    Cron = 9,
    Authpriv = 10,
    Ftp = 11,
    Local0 = 16,
    Local1 = 17,
    Local2 = 18,
    Local3 = 19,
    Local4 = 20,
    Local5 = 21,
    Local6 = 22,
    Local7 = 23,
}

/// See [`super::Spec::Syslog`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyslogSpec {
    /// How.
    pub way: Way,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Under which facility.
    pub facility: Facility,
    /// Trusted instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
}

pub(super) struct Syslog {
    spec: SyslogSpec,
    watcher: Arc<str>,
    datagrams: Option<UdpSocket>,
    stream: Option<Stream>,
    /// What was written to the stream or the socket that is open, and when.
    recent: VecDeque<(Instant, Vec<u8>)>,
    /// What one that broke may have lost: written again first.
    doubtful: Vec<Vec<u8>>,
}

impl Syslog {
    pub(super) fn new(spec: SyslogSpec, watcher: Arc<str>) -> Self {
        Self { spec, watcher, datagrams: None, stream: None, recent: VecDeque::new(), doubtful: Vec::new() }
    }

    fn doing(&self) -> String {
        let way: &str = self.spec.way.into();
        let host = if self.spec.host.contains(':') { format!("[{}]", self.spec.host) } else { self.spec.host.clone() };
        format!("syslog {way}://{host}:{}", self.spec.port)
    }

    async fn send(&mut self, tellings: &[Telling]) -> Result<(), Failure> {
        let doing = self.doing();
        let max = if self.spec.way == Way::Udp { DATAGRAM_MAX } else { FRAME_MAX };
        let messages: Vec<Vec<u8>> =
            tellings.iter().map(|t| message(t, &self.watcher, self.spec.facility as u8, max)).collect();
        within(DEADLINE, &doing, async {
            match self.spec.way {
                Way::Udp => self.send_datagrams(messages).await,
                Way::Tcp | Way::Tls => self.write_frames(&messages).await,
            }
            .map_err(|why| Failure::later(format!("{doing}: {why}")))
        })
        .await
    }

    async fn send_datagrams(&mut self, messages: Vec<Vec<u8>>) -> Result<(), String> {
        let socket = match self.datagrams.take() {
            Some(socket) => socket,
            None => self.open_datagrams().await?,
        };
        let all: Vec<Vec<u8>> = self.doubtful.iter().cloned().chain(messages).collect();
        let mut refused = socket.take_error().ok().flatten();
        for bytes in &all {
            if refused.is_none() {
                refused = socket.send(bytes).await.err();
            }
        }
        if refused.is_none() {
            // A closed port is said by the other machine, if at all, a moment later.
            tokio::time::sleep(ECHO).await;
            refused = socket.take_error().ok().flatten();
        }
        if let Some(e) = refused {
            // What went before is gone too; the name may lead elsewhere by now.
            self.doubt(Instant::now());
            return Err(e.to_string());
        }
        self.doubtful.clear();
        self.keep(all);
        self.datagrams = Some(socket);
        Ok(())
    }

    async fn open_datagrams(&self) -> Result<UdpSocket, String> {
        let address = lookup_host((self.spec.host.as_str(), self.spec.port)).await.map_err(|e| e.to_string())?.next();
        let address = address.ok_or("the name has no address")?;
        let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(local).await.map_err(|e| e.to_string())?;
        socket.connect(address).await.map_err(|e| e.to_string())?;
        Ok(socket)
    }

    async fn write_frames(&mut self, messages: &[Vec<u8>]) -> Result<(), String> {
        if let Some(ended) = self.stream.as_ref().and_then(Stream::ended) {
            self.stream = None;
            self.doubt(ended);
        }
        let counted = |m: &Vec<u8>| [format!("{} ", m.len()).as_bytes(), m].concat();
        let frames: Vec<Vec<u8>> = self.doubtful.iter().cloned().chain(messages.iter().map(counted)).collect();
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::open(&self.spec).await?,
        };
        // Until they are written, by whatever this is ended: the stream is gone with half a frame in it, and what was
        // written to it shortly before is in doubt.
        self.doubt(Instant::now());
        stream.write(&frames).await?;
        self.doubtful.clear();
        self.keep(frames);
        self.stream = Some(stream);
        Ok(())
    }

    /// What was written shortly before `ended` is in doubt.
    fn doubt(&mut self, ended: Instant) {
        let late = |at: &Instant| ended.saturating_duration_since(*at) <= DOUBT;
        let lost = self.recent.iter().filter(|(at, _)| late(at)).map(|(_, frame)| frame);
        self.doubtful.extend(lost.cloned());
        let over = self.doubtful.len().saturating_sub(KEPT_MAX);
        self.doubtful.drain(..over);
    }

    fn keep(&mut self, frames: Vec<Vec<u8>>) {
        let now = Instant::now();
        self.recent.extend(frames.into_iter().map(|f| (now, f)));
        let over = self.recent.len().saturating_sub(KEPT_MAX);
        self.recent.drain(..over);
    }
}

impl Sink for Syslog {
    fn batch(&self) -> usize {
        BATCH
    }

    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        Box::pin(self.send(tellings))
    }

    /// Tells nothing, but mends a connection that broke since, so that what it lost does not wait for the next alert.
    fn beat<'a>(&'a mut self, _beat: &'a Beat) -> Delivery<'a> {
        Box::pin(async move {
            let broken = self.stream.as_ref().is_some_and(|s| s.ended().is_some());
            if broken || !self.doubtful.is_empty() { self.send(&[]).await } else { Ok(()) }
        })
    }
}
