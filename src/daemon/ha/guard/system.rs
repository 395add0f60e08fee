//! The peer's side of the guard: starts it, carries orders and reports, starts it anew when it dies.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::senses::SystemSenses;
use super::wire::{FromGuard, Start, ToGuard, nanos};
use crate::clock::{Clock, boot_time};
use crate::daemon::ha::ports::{Addresses, Guard, HaWorld, REPORTS};
use crate::daemon::ha::types::{GuardConfig, GuardOrder, GuardReport};
use crate::domain::Time;
use crate::domain::text::Line;
use crate::ssh::net::BoxFuture;

/// Orders that may wait: only the newest counts.
const ORDERS: usize = 64;
/// A guard begins within this, or something is wrong.
const BEGIN: Duration = Duration::from_secs(10);
/// A guard that takes no order for so long is stopped for good; its lease has long ended.
const STUCK: Duration = Duration::from_secs(5);
/// After its pipe is closed, a guard ends within this.
const END: Duration = Duration::from_secs(5);
/// Between tries to start it anew.
const RETRY: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// The system's world: a guard process, and this machine's ports and disk. `state_dir` is where the guard remembers what
/// must be cleared up after a crash; `clock` is the one that the peer's times are of.
///
/// # Errors
/// None today; a system that has no way to find this program would.
pub fn system(state_dir: &Path, clock: Arc<dyn Clock>) -> io::Result<HaWorld> {
    // Not its path: after an upgrade that is another program, which may speak otherwise.
    Ok(with_program(Path::new("/proc/self/exe"), state_dir, clock))
}

/// As [`system`], with this program as the guard.
#[must_use]
pub fn with_program(program: &Path, state_dir: &Path, clock: Arc<dyn Clock>) -> HaWorld {
    let addresses = GuardProcess { program: program.to_owned(), state_dir: state_dir.to_owned(), clock };
    HaWorld { addresses: Arc::new(addresses), senses: Arc::new(SystemSenses::default()) }
}

#[derive(Clone)]
struct GuardProcess {
    program: PathBuf,
    state_dir: PathBuf,
    clock: Arc<dyn Clock>,
}

/// One that runs.
struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Addresses for GuardProcess {
    fn start(&self, config: GuardConfig) -> BoxFuture<'_, io::Result<Guard>> {
        Box::pin(async move {
            let start = Start::new(self.state_dir.clone(), &config);
            let running = self.spawn(&start).await?;
            let (orders, inbox) = mpsc::channel(ORDERS);
            let (outbox, reports) = mpsc::channel(REPORTS);
            tokio::spawn(self.clone().serve(start, running, inbox, outbox));
            Ok(Guard { orders, reports })
        })
    }
}

impl GuardProcess {
    async fn spawn(&self, start: &Start) -> io::Result<Running> {
        let told = |what: &str, e: &dyn std::fmt::Display| io::Error::other(format!("the guard {what}: {e}"));
        let mut command = Command::new(&self.program);
        command.arg("guard").arg0("peerdeck").current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        // It needs nothing of the environment, where passwords may stand.
        command.env_clear();
        let mut child = command.spawn().map_err(|e| told("can't be started", &e))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the guard has no pipes"));
        };
        let mut running = Running { child, stdin, lines: BufReader::new(stdout).lines() };
        let begin = async {
            running.tell(&ToGuard::Start(start.clone())).await?;
            running.hear().await
        };
        match timeout(BEGIN, begin).await {
            Ok(Ok(Some(FromGuard::Ready))) => Ok(running),
            Ok(Ok(Some(FromGuard::Refused(text)))) => Err(io::Error::other(text)),
            Ok(Ok(other)) => Err(told("began wrongly", &format_args!("{other:?}"))),
            Ok(Err(error)) => Err(told("can't be spoken to", &error)),
            Err(_) => {
                let _ = running.child.start_kill();
                Err(told("did not begin", &format_args!("nothing within {BEGIN:?}")))
            }
        }
    }

    /// Until nobody gives orders any more.
    async fn serve(
        self,
        start: Start,
        mut running: Running,
        mut orders: mpsc::Receiver<GuardOrder>,
        reports: mpsc::Sender<GuardReport>,
    ) {
        loop {
            let death = tokio::select! {
                order = orders.recv() => {
                    let Some(mut order) = order else { break };
                    while let Ok(newer) = orders.try_recv() {
                        order = newer;
                    }
                    match timeout(STUCK, running.tell(&self.order(&order))).await {
                        Ok(Ok(())) => None,
                        Ok(Err(error)) => Some(error.to_string()),
                        Err(_) => Some(format!("it took no order for {STUCK:?}")),
                    }
                }
                heard = running.hear() => match heard {
                    Ok(Some(said)) => {
                        if let Some(report) = self.report(said) {
                            self.pass(&reports, report);
                        }
                        None
                    }
                    Ok(None) => Some("it ended".to_owned()),
                    Err(error) => Some(error.to_string()),
                },
            };
            if let Some(why) = death {
                let _ = running.child.start_kill();
                let _ = timeout(END, running.child.wait()).await;
                let Some(next) = self.again(&start, &why, &reports).await else { return };
                // Orders were for the one that died; and the new one has deleted what that left behind.
                while orders.try_recv().is_ok() {}
                self.pass(&reports, GuardReport::Lapsed);
                running = next;
            }
        }
        let Running { mut child, stdin, lines } = running;
        drop((stdin, lines));
        if timeout(END, child.wait()).await.is_err() {
            let _ = child.start_kill();
        }
    }

    /// Starts another one, however long it takes; `None` when nobody wants it any more.
    async fn again(&self, start: &Start, why: &str, reports: &mpsc::Sender<GuardReport>) -> Option<Running> {
        self.pass(reports, GuardReport::Failed(Line::new(&format!("the guard of the addresses died: {why}"))));
        let mut tries = 0;
        loop {
            sleep(RETRY[tries.min(RETRY.len() - 1)]).await;
            if reports.is_closed() {
                return None;
            }
            match self.spawn(start).await {
                Ok(running) => return Some(running),
                Err(error) => self.pass(reports, GuardReport::Failed(Line::new(&error.to_string()))),
            }
            tries += 1;
        }
    }

    fn order(&self, order: &GuardOrder) -> ToGuard {
        match *order {
            GuardOrder::Hold { epoch, until, probe } => {
                ToGuard::Hold { epoch, until: nanos(self.clock.boot_time(until)), probe }
            }
            GuardOrder::Drop => ToGuard::Drop,
        }
    }

    fn report(&self, said: FromGuard) -> Option<GuardReport> {
        Some(match said {
            FromGuard::Held { epoch, until } => GuardReport::Held { epoch, until: self.time(until) },
            FromGuard::Dropped => GuardReport::Dropped,
            FromGuard::Lapsed => GuardReport::Lapsed,
            FromGuard::Conflict(text) => GuardReport::Conflict(Line::new(&text)),
            FromGuard::Failed(text) | FromGuard::Refused(text) => GuardReport::Failed(Line::new(&text)),
            FromGuard::Ready => return None,
        })
    }

    fn time(&self, boot: u64) -> Time {
        self.clock.now() + Duration::from_nanos(boot).saturating_sub(boot_time())
    }

    /// A peer that reads none of so many has other troubles: the newest is lost, and counted by nobody but the log.
    #[expect(clippy::unused_self, reason = "stands with those that use it")]
    fn pass(&self, reports: &mpsc::Sender<GuardReport>, report: GuardReport) {
        if let Err(mpsc::error::TrySendError::Full(lost)) = reports.try_send(report) {
            tracing::warn!("a report of the guard is lost: {lost:?}");
        }
    }
}

impl Running {
    async fn tell(&mut self, line: &ToGuard) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.stdin.write_all(&bytes).await
    }

    /// `None` at its end. Can be dropped and called again without loss.
    async fn hear(&mut self) -> io::Result<Option<FromGuard>> {
        match self.lines.next_line().await? {
            Some(line) => serde_json::from_str(&line).map(Some).map_err(io::Error::other),
            None => Ok(None),
        }
    }
}
