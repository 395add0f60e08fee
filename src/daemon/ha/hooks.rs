//! The command that is run at each role change (`10-peer.md`, "Changing roles"): one at a time, in order, with a time limit.
//!
//! It never holds the loop up. A command that ends well may leave something running (that is how a mail server is
//! started); one that is late is killed with everything in its process group.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Event, HaConfig, Secret, Secrets};
use crate::domain::ha::Effective;
use crate::domain::text::Line;

/// Role changes whose hooks may wait.
const QUEUE: usize = 16;

/// So many bytes of what it writes are kept.
const OUTPUT: usize = 4096;

/// How long what it has written is waited for after its end.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A role change.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub from: Effective,
    pub to: Effective,
    pub epoch: u64,
    pub reason: Line,
}

struct Hook {
    command: Vec<String>,
    limit: Duration,
    group: String,
    /// Variables that are none of its business.
    hidden: Vec<String>,
}

/// Begins to run them, until the peer ends. What goes wrong is told to the core.
pub(super) fn start(
    office: &Handle,
    over: CancellationToken,
    config: &HaConfig,
    secrets: &Secrets,
    told: mpsc::Sender<Event>,
) -> mpsc::Sender<Call> {
    let (calls, mut queue) = mpsc::channel::<Call>(QUEUE);
    let passwords = secrets.0.iter().filter_map(|s| match s {
        Secret::Env(name) => Some(name.clone()),
        Secret::File(_) | Secret::MadeUp(_) => None,
    });
    let service_manager = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].map(str::to_owned);
    let hook = Hook {
        command: config.hook.clone(),
        limit: config.hook_limit,
        group: config.group.to_string(),
        hidden: passwords.chain(service_manager).collect(),
    };
    office.spawn(async move {
        let work = async {
            while let Some(call) = queue.recv().await {
                let result = hook.run(&call).await;
                match &result {
                    Ok(()) => info!(role = call.to.as_str(), epoch = call.epoch, "the hook has ended well"),
                    Err(why) => warn!(role = call.to.as_str(), epoch = call.epoch, "{why}"),
                }
                if told.send(Event::Hooked(result)).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = over.cancelled() => {}
            () = work => {}
        }
    });
    calls
}

impl Hook {
    async fn run(&self, call: &Call) -> Result<(), Line> {
        let Some((program, arguments)) = self.command.split_first() else { return Ok(()) };
        let told = |what: &str| Line::new(&format!("hook {program} for the role {}: {what}", call.to.as_str()));
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PEERDECK_ROLE", call.to.as_str())
            .env("PEERDECK_OLD_ROLE", call.from.as_str())
            .env("PEERDECK_EPOCH", call.epoch.to_string())
            .env("PEERDECK_REASON", call.reason.as_str())
            .env("PEERDECK_GROUP", &self.group)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for name in &self.hidden {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(|e| told(&format!("it can't be started: {e}; check `hook`")))?;
        let killer = Killer(child.id());
        let said = Arc::new(Mutex::new(Vec::new()));
        let readers = [child.stdout.take().map(|o| gather(o, said.clone())).map(tokio::spawn)];
        let others = [child.stderr.take().map(|e| gather(e, said.clone())).map(tokio::spawn)];
        let ended = timeout(self.limit, child.wait()).await;
        if ended.is_ok() {
            // A child of it may hold the pipe open for ever: its last words are waited for, not that.
            for reader in readers.into_iter().chain(others).flatten() {
                let mut reader = reader;
                if timeout(LAST_WORDS, &mut reader).await.is_err() {
                    reader.abort();
                }
            }
        }
        let text = String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            info!("hook: {}", Line::new(line));
        }
        let last = text.lines().rfind(|l| !l.trim().is_empty()).map(|l| format!("; it said: {l}")).unwrap_or_default();
        match ended {
            Ok(Ok(status)) => {
                killer.spare();
                if status.success() { Ok(()) } else { Err(told(&format!("it ended with {status}{last}"))) }
            }
            Ok(Err(error)) => Err(told(&format!("it can't be waited for: {error}"))),
            Err(_) => Err(told(&format!("it took longer than {:?} and was killed{last}", self.limit))),
        }
    }
}

/// Kills a process group when dropped: at the time limit, and when the peer ends.
struct Killer(Option<u32>);

impl Killer {
    fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        let pid = self.0.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Reads to the end, and keeps the beginning.
async fn gather(mut pipe: impl AsyncRead + Unpin + Send + 'static, said: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(n) = pipe.read(&mut buffer).await {
        if n == 0 {
            return;
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT.saturating_sub(said.len()).min(n);
        said.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
}
