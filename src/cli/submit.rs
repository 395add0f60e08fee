//! Commands of the console on their way: written to the audit log before and after, news of each told as it comes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::audit::{Audit, AuditError, AuditId, Face};
use crate::clock::Clock;
use crate::config::Paths;
use crate::domain::{Cluster, Line, Outcome, OutcomeState, Plan};
use crate::engine::runtime::Commander;

/// News that wait to be taken by the screen.
const NEWS: usize = 64;
/// How long the last lines of the audit log may take when the console is left.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What became of a command, or a word about it.
#[derive(Clone, Debug)]
pub enum News {
    /// How far it came.
    Outcome {
        /// Of which run.
        run: u64,
        /// Which of its steps.
        step: usize,
        /// How far.
        outcome: Outcome,
    },
    /// Something that the person must know.
    Warning(String),
}

/// What a command needs on its way.
#[derive(Clone)]
struct Desk {
    commander: Commander,
    /// Where the audit log is; without one nothing is sent.
    paths: Option<Paths>,
    clock: Arc<dyn Clock>,
    news: mpsc::Sender<News>,
    leaving: watch::Receiver<bool>,
}

/// All commands of one console.
pub struct Submitter {
    desk: Desk,
    tasks: JoinSet<()>,
    leave: watch::Sender<bool>,
}

impl Submitter {
    /// For the commands of one console; what comes of them can be read from the receiver.
    #[must_use]
    pub fn new(commander: Commander, paths: Option<Paths>, clock: Arc<dyn Clock>) -> (Self, mpsc::Receiver<News>) {
        let (news, inbox) = mpsc::channel(NEWS);
        let (leave, leaving) = watch::channel(false);
        (Self { desk: Desk { commander, paths, clock, news, leaving }, tasks: JoinSet::new(), leave }, inbox)
    }

    /// Sends one; returns at once.
    pub fn submit(&mut self, run: u64, step: usize, cluster: Arc<Cluster>, plan: Plan) {
        while self.tasks.try_join_next().is_some() {}
        let desk = self.desk.clone();
        self.tasks.spawn(async move {
            let outcome = desk.carry_out((run, step), cluster, plan).await;
            desk.tell(run, step, outcome).await;
        });
    }

    /// The console is left: what is on its way is written down as unknown.
    pub async fn leave(mut self) {
        self.leave.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // A log on a disk that hangs must not keep the terminal.
        let _ = timeout(LAST_LINES, all).await;
    }
}

impl Desk {
    async fn carry_out(&self, (run, step): (u64, usize), cluster: Arc<Cluster>, plan: Plan) -> Outcome {
        let name = cluster.name.clone();
        let (audit, id) = match self.begin(cluster, plan.clone()).await {
            Ok(begun) => begun,
            Err(why) => return self.outcome(OutcomeState::Refused, &format!("{why}; nothing was sent")),
        };
        let mut leaving = self.leaving.clone();
        let mut submitted = self.commander.submit(name, plan).await;
        let last = loop {
            tokio::select! {
                biased;
                outcome = submitted.outcomes.recv() => match outcome {
                    Some(outcome) if outcome.state.is_final() => break outcome,
                    Some(outcome) => {
                        self.write(&audit, &id, &outcome, Audit::progress).await;
                        self.tell(run, step, outcome).await;
                    }
                    None => break self.outcome(OutcomeState::Unknown, "the engine ended before anything was seen"),
                },
                // An error means that the console is gone: that is leaving as well.
                () = async { drop(leaving.wait_for(|left| *left).await) } => {
                    break self.outcome(OutcomeState::Unknown, "the console was left before anything was seen");
                }
            }
        };
        self.write(&audit, &id, &last, Audit::end).await;
        last
    }

    /// Writes the first line; without it nothing may be sent.
    async fn begin(&self, cluster: Arc<Cluster>, plan: Plan) -> Result<(Arc<Audit>, AuditId), String> {
        let Some(paths) = self.paths.clone() else { return Err("there is no audit log".to_owned()) };
        let first_line = move || -> Result<(Arc<Audit>, AuditId), AuditError> {
            let audit = Audit::open(&paths, Face::Console)?;
            let id = audit.begin(&cluster, &plan)?;
            Ok((Arc::new(audit), id))
        };
        match tokio::task::spawn_blocking(first_line).await {
            Ok(begun) => begun.map_err(|e| e.to_string()),
            Err(e) => Err(format!("the audit log failed: {e}")),
        }
    }

    async fn write(
        &self,
        audit: &Arc<Audit>,
        id: &AuditId,
        outcome: &Outcome,
        how: fn(&Audit, &AuditId, &Outcome) -> Result<(), AuditError>,
    ) {
        let (audit, id, outcome) = (Arc::clone(audit), id.clone(), outcome.clone());
        let written = tokio::task::spawn_blocking(move || how(&audit, &id, &outcome)).await;
        let problem = match written {
            Ok(Ok(())) => return,
            Ok(Err(e)) => e.to_string(),
            Err(e) => e.to_string(),
        };
        tracing::error!("{problem}");
        let text = format!("{problem}: the log lacks a line about this command");
        let _ = self.news.send(News::Warning(text)).await;
    }

    async fn tell(&self, run: u64, step: usize, outcome: Outcome) {
        // The console may have ended meanwhile.
        let _ = self.news.send(News::Outcome { run, step, outcome }).await;
    }

    fn outcome(&self, state: OutcomeState, detail: &str) -> Outcome {
        Outcome { state, at: self.clock.now(), detail: Line::new(detail) }
    }
}
