//! Several watchers of one fleet: who tells first, and who asks whether it was told (D9).
//!
//! Rank 0 tells at once. A higher rank waits for its turn and then asks those before it. Whatever goes wrong with
//! asking, it tells: twice is better than not at all.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::domain::Time;
use crate::domain::alert::{Notice, Told};

/// For asking one fellow.
const DEADLINE: Duration = Duration::from_secs(2);
/// One that did not answer is not asked again for so long: many notices must not wait for it one after the other.
const SHUNNED: Duration = Duration::from_secs(10);
/// Clocks of two watchers may differ by so much.
const SKEW: Duration = Duration::from_secs(30);
/// No answer is longer, in bytes.
const ANSWER_MAX: u64 = 8 * 1024;

/// The turn of this watcher.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    wait: Duration,
    fellows: Vec<Fellow>,
}

#[derive(Clone, Debug)]
struct Fellow {
    /// `host:port`.
    at: String,
    /// What stands before `/told`.
    path: String,
    shunned: Option<Instant>,
}

/// What a fellow says that it told last of an alert.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
struct Said {
    transition: String,
    at: String,
}

impl Turn {
    /// The turn of `rank` among `fellows`, which are in the order of their ranks. Those that are no `http` addresses
    /// are left out, with a warning.
    pub(super) fn new(rank: u32, stagger: Duration, fellows: &[String]) -> Self {
        let lower = fellows.iter().take(usize::try_from(rank).unwrap_or(usize::MAX));
        let fellows = lower.filter_map(|url| {
            let fellow = parse(url);
            if fellow.is_none() {
                tracing::warn!("the fellow \"{url}\" can't be asked: it is not like http://noc2:9469");
            }
            fellow
        });
        Self { wait: stagger.saturating_mul(rank), fellows: fellows.collect() }
    }

    /// How long this one waits before it tells.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// Whether a fellow has told it. All are asked at the same time.
    pub(super) async fn is_told(&mut self, notice: &Notice) -> bool {
        let now = Instant::now();
        let asked =
            self.fellows.iter_mut().filter(|f| f.shunned.is_none_or(|until| until <= now)).map(async |fellow| {
                match timeout(DEADLINE, fellow.ask(notice)).await {
                    Ok(Ok(said)) => said.is_some_and(|said| said.covers(notice)),
                    Ok(Err(why)) => fellow.fails(&why),
                    Err(_) => fellow.fails("no answer within 2 s"),
                }
            });
        futures::future::join_all(asked).await.into_iter().any(|told| told)
    }
}

/// `http://host:port`, with a path or without.
fn parse(url: &str) -> Option<Fellow> {
    let rest = url.strip_prefix("http://")?;
    let (at, path) = rest.split_once('/').map_or((rest, String::new()), |(at, path)| (at, format!("/{path}")));
    if at.is_empty() || at.contains(['@', ' ']) || path.contains([' ', '\r', '\n', '?', '#']) {
        return None;
    }
    let has_port = at.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let at = if has_port { at.to_owned() } else { format!("{at}:80") };
    Some(Fellow { at, path: path.trim_end_matches('/').to_owned(), shunned: None })
}

impl Fellow {
    fn fails(&mut self, why: &str) -> bool {
        tracing::warn!("the fellow {} can't be asked what it has told ({why}): told here as well", self.at);
        self.shunned = Some(Instant::now() + SHUNNED);
        false
    }

    async fn ask(&self, notice: &Notice) -> Result<Option<Said>, String> {
        let (id, told) = (encode(notice.alert.id().as_str()), notice.told.as_str());
        let request = format!(
            "GET {}/told/{id}?transition={told} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.path, self.at
        );
        let all = async {
            let mut socket = TcpStream::connect(&self.at).await?;
            socket.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            socket.take(ANSWER_MAX).read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = all.await.map_err(|e| e.to_string())?;
        read(&String::from_utf8_lossy(&answer))
    }
}

/// `None`: it has told nothing of it.
fn read(answer: &str) -> Result<Option<Said>, String> {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    match status {
        "200" => {}
        "404" => return Ok(None),
        other => return Err(format!("it answers {:?}", crate::domain::text::clean(other, 20))),
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let (from, to) = (body.find('{'), body.rfind('}'));
    let json = from.zip(to).and_then(|(from, to)| body.get(from..=to)).unwrap_or_default();
    serde_json::from_str(json).map(Some).map_err(|e| format!("its answer can't be read: {e}"))
}

impl Said {
    /// Whether what the fellow told last is as good as telling `notice`.
    fn covers(&self, notice: &Notice) -> bool {
        let Ok(last) = self.transition.parse::<Told>() else { return false };
        let Ok(at) = self.at.parse::<jiff::Timestamp>() else { return false };
        let at = Time::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0)) + SKEW;
        match (notice.told, last) {
            // It has told the end of another time that the same was wrong, if that was before this one.
            (Told::Cleared, Told::Cleared) => at >= notice.alert.raised,
            (Told::Cleared, Told::Raised | Told::Changed | Told::Repeated | Told::Acknowledged)
            | (Told::Raised | Told::Changed | Told::Repeated | Told::Acknowledged, Told::Cleared) => false,
            (Told::Raised | Told::Repeated, _) => true,
            // It may know of no change, and an acknowledgement is known where it was given.
            (Told::Changed | Told::Acknowledged, _) => at >= notice.at,
        }
    }
}

/// For a path: everything but letters, digits and `-_.~` as `%2F`.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // Writing into a text can't fail.
        }
    }
    out
}
