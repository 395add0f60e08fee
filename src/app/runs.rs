//! Commands that were sent, and what became of each: a line for each peer, kept until newer ones make room.

use std::collections::VecDeque;

use super::dialog::About;
use super::{App, Cmd, plural};
use crate::domain::settings::CommitId;
use crate::domain::{ClusterName, Line, Outcome, OutcomeState, Plan, Severity, Time};
use crate::engine::bulk::Bulk;
use crate::engine::settings::spread;

pub use crate::engine::bulk::StepState;
pub use crate::engine::settings::Has;

/// Runs that are kept.
const KEPT: usize = 32;

/// What one person decided on at once.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Names it in this session.
    pub id: u64,
    /// Of which cluster the peers are.
    pub cluster: ClusterName,
    /// What is done.
    pub about: About,
    /// The names of the peers, as they were called then.
    pub names: Vec<String>,
    /// Since when.
    pub since: Time,
    /// Where each of them stands.
    pub bulk: Bulk,
    /// Of a commit: its name, once that is known.
    pub commit: Option<CommitId>,
}

impl Run {
    /// In a few words: `disconnect lab3`, `disconnect 3 peers`.
    #[must_use]
    pub fn title(&self) -> String {
        let word = self.about.word();
        match (&self.about, self.names.as_slice()) {
            (About::Commit(draft), _) => format!("{word} {}", draft.about),
            (About::Ha { group, .. }, names) => format!("{word} {group} at {}", names.join(", ")),
            (About::Peers(_), [one]) => format!("{word} {one}"),
            (About::Peers(_), several) => format!("{word} {} {}", several.len(), plural(several.len(), "peer")),
        }
    }

    /// Whether something of it is not sent yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.bulk.steps().iter().any(|s| s.state == StepState::Waiting)
    }

    /// What is to be told when it is over.
    fn summary(&self) -> (String, Severity) {
        let title = self.title();
        let steps = self.bulk.steps();
        let bad = steps.iter().zip(&self.names).find_map(|(step, name)| match &step.state {
            StepState::Over(outcome) if outcome.state != OutcomeState::Observed => Some((name, outcome)),
            StepState::Over(_) | StepState::Waiting | StepState::Running(_) | StepState::Skipped => None,
        });
        let skipped = steps.iter().filter(|s| s.state == StepState::Skipped).count();
        let rest = match skipped {
            0 => String::new(),
            n => format!("; {n} not sent"),
        };
        match bad {
            None if skipped == 0 => (format!("{title}: observed"), Severity::Notice),
            None => (format!("{title}: stopped{rest}"), Severity::Warning),
            Some((name, outcome)) => {
                let state: &str = outcome.state.into();
                (format!("{title}: {name} {state}, {}{rest}", outcome.detail), Severity::Warning)
            }
        }
    }
}

/// All that were started, the newest last.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    runs: VecDeque<Run>,
    next: u64,
}

impl Runs {
    /// All that are kept, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().rev()
    }

    /// Whether nothing was ever done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Those of which something is still to come.
    pub fn unfinished(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|r| !r.bulk.is_over())
    }
}

impl App {
    /// What was done, and what became of it.
    #[must_use]
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Starts carrying out `plans`, the first alone.
    pub(super) fn start(
        &mut self,
        about: About,
        cluster: ClusterName,
        names: Vec<String>,
        plans: Vec<Plan>,
        now: Time,
    ) -> Vec<Cmd> {
        if self.runs.runs.len() >= KEPT {
            let Some(oldest) = self.runs.runs.iter().position(|r| r.bulk.is_over()) else {
                let text = format!("{KEPT} commands are on their way already; wait for one to end");
                self.toast(text, Severity::Warning, now);
                return Vec::new();
            };
            self.runs.runs.remove(oldest);
        }
        let id = self.runs.next;
        self.runs.next += 1;
        self.runs.runs.push_back(Run { id, cluster, about, names, since: now, bulk: Bulk::new(plans), commit: None });
        self.stage_is_sent(id);
        self.advance(id)
    }

    /// The next of a run, if nothing of it is on its way.
    fn advance(&mut self, id: u64) -> Vec<Cmd> {
        let Some(run) = self.runs.runs.iter_mut().find(|r| r.id == id) else { return Vec::new() };
        let cluster = run.cluster.clone();
        run.bulk.take_next().map(|(step, plan)| Cmd::Submit { run: id, step, cluster, plan }).into_iter().collect()
    }

    /// News of a command.
    pub(super) fn outcome(&mut self, id: u64, step: usize, outcome: Outcome, now: Time) -> Vec<Cmd> {
        let Some(run) = self.runs.runs.iter_mut().find(|r| r.id == id) else { return Vec::new() };
        if run.bulk.is_over() {
            return Vec::new();
        }
        let state = outcome.state;
        run.bulk.on_outcome(step, outcome);
        if run.bulk.is_over() {
            let (text, severity) = run.summary();
            self.toast(text, severity, now);
        }
        self.stage_heard(id, state);
        self.advance(id)
    }

    /// The names of commits of ours, by which peers say whether they have them: each belongs to the first run that it
    /// can be of.
    pub(super) fn name_commits(&mut self) {
        let live = std::sync::Arc::clone(&self.live);
        let runs = &mut self.runs.runs;
        for cluster in &live.clusters {
            for told in cluster.commits.iter() {
                if runs.iter().any(|r| r.commit.as_ref() == Some(&told.commit)) {
                    continue;
                }
                let fits = |r: &&mut Run| {
                    let step = r.bulk.steps().first();
                    r.commit.is_none()
                        && r.cluster == cluster.name
                        && r.since <= told.at
                        && matches!(r.about, About::Commit(_))
                        && step.is_some_and(|s| {
                            *s.plan.command.target() == told.on && *s.plan.command.reason() == told.comment
                        })
                };
                if let Some(run) = runs.iter_mut().find(fits) {
                    run.commit = Some(told.commit.clone());
                }
            }
        }
    }

    /// Who has a commit (`commitdetail`, C16): the names of the peers by what they say.
    #[must_use]
    pub fn spread(&self, run: &Run) -> Vec<(Has, Vec<String>)> {
        let cluster = self.live.clusters.iter().find(|c| c.name == run.cluster);
        let (Some(cluster), Some(commit)) = (cluster, &run.commit) else { return Vec::new() };
        let all = spread(cluster, commit);
        let those = |has: Has| {
            let names = all.iter().filter(|(_, h)| *h == has).map(|(id, _)| cluster.label(id).to_owned());
            (has, names.collect::<Vec<_>>())
        };
        [Has::Yes, Has::No, Has::Unknown].map(those).into_iter().filter(|(_, names)| !names.is_empty()).collect()
    }

    /// Nothing more is sent of what still waits; what is on its way goes on.
    pub(super) fn stop_rest(&mut self, now: Time) {
        let mut stopped = 0;
        for run in self.runs.runs.iter_mut().filter(|r| !r.bulk.is_over()) {
            stopped += run.bulk.steps().iter().filter(|s| s.state == StepState::Waiting).count();
            run.bulk.stop();
        }
        let text = match stopped {
            0 => "nothing waits to be sent".to_owned(),
            n => format!(
                "{n} {} not be sent; what is on its way goes on",
                if n == 1 { "command will" } else { "commands will" }
            ),
        };
        self.toast(text, Severity::Notice, now);
    }

    /// What leaving now would leave behind, a line each.
    #[must_use]
    pub fn left_behind(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for run in self.runs.unfinished() {
            let word = run.about.word();
            for (step, name) in run.bulk.steps().iter().zip(&run.names) {
                match step.state {
                    StepState::Running(_) => {
                        lines.push(Line::new(&format!("{word} {name} is on its way: what comes of it stays unknown")));
                    }
                    StepState::Waiting => lines.push(Line::new(&format!("{word} {name} will not be sent"))),
                    StepState::Over(_) | StepState::Skipped => {}
                }
            }
        }
        lines
    }
}
