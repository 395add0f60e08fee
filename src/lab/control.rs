//! The socket of a running lab: one JSON line asks, one answers.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{Lab, LabError, Shared, place};

/// Longest question or answer, in bytes: the status of 200 peers fits.
const LINE_MAX: u64 = 256 * 1024;

/// Callers at a time; more wait.
const CALLERS_MAX: usize = 16;

/// A caller must have asked by then.
const ASK: Duration = Duration::from_secs(5);

/// The slowest fault restarts all peers.
const ANSWER: Duration = Duration::from_secs(30);

/// A caller must have taken the answer by then.
const TAKE: Duration = Duration::from_secs(5);

/// What is asked of a lab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Words of a fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fault: Vec<String>,
    /// Who runs, and what is broken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub status: bool,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// What was done, or why not.
    pub text: String,
}

/// Brings a fault into the lab in `dir`, or into the one that runs; tells what was done.
///
/// # Errors
/// [`LabError`]: no lab, several, or what the lab refused.
pub async fn send(dir: Option<&Path>, words: &[String]) -> Result<String, LabError> {
    ask(dir, &Ask { fault: words.to_vec(), status: false }).await
}

/// Asks the lab in `dir`, or the one that runs.
///
/// # Errors
/// [`LabError`]: no lab, several, or what the lab refused.
pub async fn ask(dir: Option<&Path>, ask: &Ask) -> Result<String, LabError> {
    let dir = find(dir)?;
    let socket = dir.join(place::SOCKET);
    let exchange = async {
        let stream = UnixStream::connect(&socket).await?;
        let (reader, mut writer) = stream.into_split();
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
        let mut answer = Vec::new();
        BufReader::new(reader.take(LINE_MAX)).read_until(b'\n', &mut answer).await?;
        Ok::<Answer, io::Error>(serde_json::from_slice(&answer)?)
    };
    let failed = |why: String| LabError::Control(format!("the lab in {} did not answer: {why}", dir.display()));
    let answer = match timeout(ASK + ANSWER, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(e)) => return Err(failed(format!("{e}; does it run?"))),
        Err(_) => return Err(failed(format!("nothing came within {:?}", ASK + ANSWER))),
    };
    if answer.ok { Ok(answer.text) } else { Err(LabError::Refused(answer.text)) }
}

fn find(dir: Option<&Path>) -> Result<PathBuf, LabError> {
    if let Some(dir) = dir {
        return Ok(dir.to_owned());
    }
    let mut running = place::running()?;
    match running.len() {
        0 => Err(LabError::Control(
            "no lab runs in the default place; start one with `peerdeck lab`, or name its directory with --state-dir"
                .to_owned(),
        )),
        1 => Ok(running.remove(0)),
        _ => {
            let names = running.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
            Err(LabError::Control(format!("several labs run: name one with --state-dir ({names})")))
        }
    }
}

/// Serves the socket as long as the lab lives.
pub(super) async fn serve(lab: &Lab) -> Result<AbortHandle, LabError> {
    let path = lab.0.place.file(place::SOCKET);
    match tokio::fs::remove_file(&path).await {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(LabError::file(&path, e)),
        Ok(()) | Err(_) => {}
    }
    // A path for a socket is short: 107 bytes on Linux, and the system's words don't say so.
    let refused = |e: io::Error| match e.kind() {
        io::ErrorKind::InvalidInput => LabError::Control(format!(
            "{} is too long a path for a socket; name a shorter directory with --state-dir",
            path.display()
        )),
        _ => LabError::file(&path, e),
    };
    let listener = UnixListener::bind(&path).map_err(refused)?;
    // The directory is 0700 already: nobody else gets here before this.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(|e| LabError::file(&path, e))?;
    let lab = Arc::downgrade(&lab.0);
    Ok(tokio::spawn(accept(listener, lab)).abort_handle())
}

async fn accept(listener: UnixListener, lab: Weak<Shared>) {
    let callers = Arc::new(Semaphore::new(CALLERS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&callers).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("the lab's control socket: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await; // Out of files, most likely.
                continue;
            }
        };
        let lab = lab.clone();
        tokio::spawn(async move {
            // A caller that goes away or says nothing is its own fault.
            drop(answer(stream, lab).await);
            drop(permit);
        });
    }
}

async fn answer(stream: UnixStream, lab: Weak<Shared>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    timeout(ASK, BufReader::new(reader.take(LINE_MAX)).read_until(b'\n', &mut line)).await??;
    let answer = match serde_json::from_slice::<Ask>(&line) {
        Ok(ask) => carry_out(ask, lab).await,
        Err(e) => Answer { ok: false, text: format!("not a request: {e}") },
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(TAKE, writer.write_all(&line)).await?
}

async fn carry_out(ask: Ask, lab: Weak<Shared>) -> Answer {
    let Some(shared) = lab.upgrade() else { return Answer { ok: false, text: "the lab is ending".to_owned() } };
    let lab = Lab(shared);
    if ask.status {
        return Answer { ok: true, text: lab.status().await };
    }
    match timeout(ANSWER, lab.apply_words(&ask.fault)).await {
        Ok(Ok(text)) => Answer { ok: true, text },
        Ok(Err(e)) => Answer { ok: false, text: e.to_string() },
        Err(_) => Answer { ok: false, text: format!("not done within {ANSWER:?}; ask for the status") },
    }
}
