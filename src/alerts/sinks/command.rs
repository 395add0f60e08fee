//! A program that is started for each notice: JSON on its standard input, fields in its environment.

use std::ffi::OsString;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::fields::{evidence, fields, variable};
use super::{Delivery, Failure, Sink, Telling};
use crate::domain::text::clean;
use crate::domain::time::human;

/// "Try again later", as mail programs say it (`sysexits.h`).
const TEMPFAIL: i32 = 75;

/// How much of what it writes is kept, in bytes.
const OUTPUT_MAX: usize = 4_000;

/// How long the output of one that has ended is read on.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// See [`super::Spec::Command`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandSpec {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// It is killed with all that it started after so long.
    pub timeout: Duration,
    /// A notice is given up once it failed so often with a code other than 0 and 75.
    pub tries: u32,
}

pub(super) struct Command {
    spec: CommandSpec,
    watcher: Arc<str>,
    /// How often the notice that is tried now has failed.
    failed: (String, u32),
}

impl Command {
    pub(super) fn new(spec: CommandSpec, watcher: Arc<str>) -> Self {
        Self { spec, watcher, failed: (String::new(), 0) }
    }

    async fn run(&mut self, telling: &Telling) -> Result<(), Failure> {
        let program = self.spec.command.first().cloned().unwrap_or_default();
        let doing = format!("command {}", clean(&program, 200));
        let later = |e: io::Error| Failure::later(format!("{doing}: {e}"));
        let mut child = tokio::process::Command::new(&program)
            .args(self.spec.command.iter().skip(1))
            .envs(environment(telling, &self.watcher))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(later)?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let ended = tokio::time::timeout(self.spec.timeout, talk(&mut child, &telling.json)).await;
        let Ok(ended) = ended else {
            let limit = human(self.spec.timeout);
            return Err(Failure::later(format!("{doing}: it did not end within {limit} and was killed")));
        };
        let (status, output) = ended.map_err(later)?;
        // It has been waited for: its number may be another's from here on.
        group.0 = None;
        if !output.is_empty() {
            tracing::info!("{doing}: {output}");
        }
        self.judge(&doing, telling, status, &output)
    }

    fn judge(&mut self, doing: &str, telling: &Telling, status: ExitStatus, output: &str) -> Result<(), Failure> {
        let said = if output.is_empty() { String::new() } else { format!(": {}", clean(output, 200)) };
        let text = format!("{doing}: it ended with {status}{said}");
        match status.code() {
            Some(0) => Ok(()),
            Some(TEMPFAIL) | None => Err(Failure::later(text)),
            Some(_) => {
                if self.failed.0 != telling.event_id {
                    self.failed = (telling.event_id.clone(), 0);
                }
                self.failed.1 += 1;
                let n = self.failed.1;
                if n >= self.spec.tries {
                    Err(Failure::never(format!("{text} (try {n}, the last)")))
                } else {
                    Err(Failure::later(text))
                }
            }
        }
    }
}

impl Sink for Command {
    fn deadline(&self) -> Duration {
        self.spec.timeout + Duration::from_secs(5)
    }

    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        Box::pin(async move {
            for telling in tellings {
                self.run(telling).await?;
            }
            Ok(())
        })
    }
}

/// All processes that a command started; killed when this goes while there is still one to wait for.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL); // It may have ended by itself just now.
        }
    }
}

/// Feeds it and reads what it says until it ends.
async fn talk(child: &mut Child, json: &str) -> io::Result<(ExitStatus, String)> {
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let status = {
        let mut speak = pin!(async {
            if let Some(mut stdin) = stdin {
                // One that does not want to know closes it: that is its affair.
                let _ = stdin.write_all(json.as_bytes()).await;
                let _ = stdin.write_all(b"\n").await;
            }
        });
        let mut listen = pin!(async { tokio::join!(drain(out, &mut said), drain(err, &mut complained)) });
        let (mut is_said, mut is_quiet) = (false, false);
        loop {
            tokio::select! {
                status = child.wait() => {
                    // What it left running may keep its output open for ever: only what is there is read.
                    if !is_quiet {
                        let _ = tokio::time::timeout(LAST_WORDS, &mut listen).await;
                    }
                    break status?;
                }
                () = &mut speak, if !is_said => is_said = true,
                _ = &mut listen, if !is_quiet => is_quiet = true,
            }
        }
    };
    complained.extend(said);
    Ok((status, clean(&String::from_utf8_lossy(&complained), OUTPUT_MAX)))
}

/// Reads all of it and keeps the begin, so that a program that talks too much does not hang.
async fn drain(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 4_096];
    while let Ok(n) = from.read(&mut buffer).await {
        if n == 0 {
            return;
        }
        let room = OUTPUT_MAX.saturating_sub(into.len()).min(n);
        into.extend_from_slice(&buffer[..room]);
    }
}

fn environment(telling: &Telling, watcher: &Arc<str>) -> Vec<(OsString, OsString)> {
    let finding = &telling.notice.alert.seen.finding;
    let mut out = fields(telling, watcher);
    out.push(("text", finding.text.to_string()));
    out.push(("advice", finding.advice.to_string()));
    out.push(("evidence", evidence(&telling.notice)));
    out.into_iter().map(|(name, value)| (variable(name).into(), value.into())).collect()
}
