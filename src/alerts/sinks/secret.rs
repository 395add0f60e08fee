//! Secrets of the other sides: the fleet file says where they are, and they are read when they are needed.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::{Failure, within};

/// Longest secret, and longest output of a command, in bytes.
const SECRET_MAX: u64 = 64 * 1024;

/// How long a command may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// Where a secret is. Never the secret itself.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// The first line of a file that only its owner may read.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// The first line that a command prints.
    Command(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "variable {name}"),
            // A careless command line has the secret in it.
            Self::Command(_) => f.write_str("command"),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRef({self})")
    }
}

impl SecretRef {
    /// The secret, as it is now. `what` names it in a failure, which may go away: somebody mends the file.
    pub(super) async fn read(&self, what: &str) -> Result<String, Failure> {
        let failed = |why: String| Failure::later(format!("the {what} can't be had ({self}): {why}"));
        let text = match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || private(&path));
                let read = async { Ok(read.await.unwrap_or_else(|e| Err(e.to_string()))) };
                within(COMMAND_DEADLINE, &format!("the {what} ({self})"), read).await?.map_err(failed)?
            }
            Self::Env(name) => {
                std::env::var(name).map_err(|_| failed("the variable is not set, or is not text".to_owned()))?
            }
            Self::Command(command) => {
                let run = async { Ok(run(command).await) };
                within(COMMAND_DEADLINE, &format!("the {what} ({self})"), run).await?.map_err(failed)?
            }
        };
        match text.lines().next().map(str::trim) {
            Some(line) if line.chars().any(char::is_control) => Err(failed("it has control characters".to_owned())),
            Some(line) if !line.is_empty() => Ok(line.to_owned()),
            Some(_) | None => Err(failed("it is empty".to_owned())),
        }
    }
}

/// Reads a file that nobody else may read.
fn private(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("it can't be opened: {e}"))?;
    // Of the opened file, so that it can't be exchanged in between.
    let about = file.metadata().map_err(|e| format!("it can't be looked at: {e}"))?;
    if !about.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mode = about.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("others may read it (mode {mode:04o}): chmod 600 it"));
    }
    let mut text = String::new();
    file.take(SECRET_MAX).read_to_string(&mut text).map_err(|e| format!("it can't be read: {e}"))?;
    Ok(text)
}

async fn run(command: &str) -> Result<String, String> {
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("it can't be started: {e}"))?;
    let Some(stdout) = child.stdout.take() else { return Err("it has no output".to_owned()) };
    let mut text = String::new();
    stdout.take(SECRET_MAX).read_to_string(&mut text).await.map_err(|e| format!("its output can't be read: {e}"))?;
    let status = child.wait().await.map_err(|e| format!("it can't be waited for: {e}"))?;
    if status.success() { Ok(text) } else { Err(format!("it ended with {status}")) }
}
