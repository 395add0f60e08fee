//! A short talk with a service, line by line, that ends in time and reads only so much.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, timeout_at};

use crate::domain::text::Line;
use crate::ssh::net::{BoxStream, Net};

/// Longest line that is read: the capabilities of an IMAP server fit.
const LINE_MAX: u64 = 8 * 1024;

/// Most bytes that are read in one talk.
const TALK_MAX: u64 = 64 * 1024;

/// How much of what a service said is told.
const TOLD_MAX: usize = 120;

/// A good-bye is waited for so long: whoever closes at once leaves a complaint in the service's log.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// A connection to a service.
pub(super) struct Talk {
    stream: BufReader<BoxStream>,
    end: Instant,
    wait: Duration,
    left: u64,
    /// What is being tried, for errors.
    step: &'static str,
}

impl Talk {
    /// Connects; everything is over at `end`, which is `wait` after the start.
    pub async fn open(net: &dyn Net, to: SocketAddr, end: Instant, wait: Duration) -> Result<Self, String> {
        match timeout_at(end, net.connect(to)).await {
            Ok(Ok(stream)) => {
                Ok(Self { stream: BufReader::new(stream), end, wait, left: TALK_MAX, step: "the greeting" })
            }
            Ok(Err(error)) => Err(format!("connecting: {error}")),
            Err(_) => Err(format!("connecting: no answer within {wait:?}")),
        }
    }

    /// Sends a line, which is the next step.
    pub async fn say(&mut self, step: &'static str, text: &str) -> Result<(), String> {
        self.step = step;
        let sent = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.write_all(b"\r\n").await?;
            self.stream.flush().await
        };
        match timeout_at(self.end, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.trouble(&error.to_string())),
            Err(_) => Err(self.late()),
        }
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let most = LINE_MAX.min(self.left);
        let mut bounded = (&mut self.stream).take(most);
        match timeout_at(self.end, bounded.read_until(b'\n', &mut line)).await {
            Ok(Ok(0)) if most > 0 => return Err(self.trouble("it closed the connection")),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(self.trouble(&error.to_string())),
            Err(_) if line.is_empty() => return Err(self.late()),
            Err(_) => return Err(format!("{} after {}", self.late(), quoted(&line))),
        }
        self.left -= line.len() as u64;
        if line.last() == Some(&b'\n') {
            let text = String::from_utf8_lossy(&line);
            return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        let why = if line.len() as u64 == most { "it says more than it should" } else { "it closed the connection" };
        Err(format!("{} after {}", self.trouble(why), quoted(&line)))
    }

    /// Ends the talk politely; what the service makes of that decides nothing: it has served.
    pub async fn bye(mut self, text: &str) {
        let end = self.end.min(Instant::now() + GOOD_BYE);
        self.end = end;
        if self.say("the good-bye", text).await.is_ok() {
            // Until it closes, too: then nobody's close meets unread bytes.
            while self.line().await.is_ok() {}
        }
    }

    /// An error of this step: it said something else than it should.
    pub fn said(&self, text: &str) -> String {
        self.trouble(&format!("it said {}", quoted(text.as_bytes())))
    }

    fn trouble(&self, why: &str) -> String {
        format!("{}: {why}", self.step)
    }

    fn late(&self) -> String {
        self.trouble(&format!("no answer within {:?}", self.wait))
    }
}

/// What a service said, cleaned and short.
fn quoted(text: &[u8]) -> String {
    let line = Line::new(&String::from_utf8_lossy(text));
    let mut told: String = line.as_str().trim().chars().take(TOLD_MAX).collect();
    if told.len() < line.as_str().trim().len() {
        told.push('…');
    }
    format!("\"{told}\"")
}
