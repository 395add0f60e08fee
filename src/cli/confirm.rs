//! The question before an action: what must be typed depends on what can break.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{QueueSelector, tcflush};
use tokio::sync::oneshot;

use crate::domain::command::Command;
use crate::domain::ha::HaAct;
use crate::domain::plan::{DangerClass, Plan};
use crate::domain::settings::{Edit, Tree};
use crate::domain::snapshot::Cluster;
use crate::report::edits;

/// What a person must type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// Each of these is a yes.
    pub answers: Vec<String>,
}

impl Question {
    /// For `plans`, which are carried out one after the other; `None` when there are none.
    #[must_use]
    pub fn new(cluster: &Cluster, plans: &[Plan]) -> Option<Self> {
        let first = plans.first()?;
        let class = plans.iter().map(Plan::class).max()?;
        let (word, n) = (first.command.word(), plans.len());
        let target = first.command.target();
        let label = cluster.label(target).to_owned();
        if let (Command::Commit { edits, .. }, Some(settings)) = (&first.command, &cluster.settings) {
            return Some(Self::commit(&settings.tree, edits, class));
        }
        let group = match &first.command {
            Command::Ha { act: HaAct::Restart, .. }
            | Command::Disconnect { .. }
            | Command::Reconnect { .. }
            | Command::MaintenanceOn { .. }
            | Command::MaintenanceOff { .. }
            | Command::Commit { .. } => None,
            Command::Ha { on, .. } => cluster.peer(on).and_then(|p| p.ha.as_ref()).map(|(s, _)| s.group.to_string()),
        };
        if let Some(group) = group.filter(|_| class > DangerClass::Reversible) {
            let text = format!("Type {group} to {word} {group}: ");
            return Some(Self { text, answers: vec![group] });
        }
        Some(match (class, n) {
            (DangerClass::Reversible, 1) => {
                Self { text: format!("Type y for {word} on {label}: "), answers: vec!["y".into(), "yes".into()] }
            }
            (DangerClass::Reversible, _) => {
                Self { text: format!("Type y for {word} on {n} peers: "), answers: vec!["y".into(), "yes".into()] }
            }
            (DangerClass::Disruptive | DangerClass::Critical, 1) => {
                let host = cluster.peer(target).map(|p| p.host.to_string());
                let text = format!("Type {label} to {word} {label}: ");
                Self { text, answers: [label].into_iter().chain(host).collect() }
            }
            (DangerClass::Disruptive | DangerClass::Critical, _) => Self {
                text: format!("Type {n} to {word} {n} peers, one after the other: "),
                answers: vec![n.to_string()],
            },
        })
    }

    /// For a commit: the name of what is changed, or the number of changes.
    fn commit(tree: &Tree, all: &[Edit], class: DangerClass) -> Self {
        let what = match all {
            [one] => edits::text(tree, one),
            several => format!("commit {} changes", several.len()),
        };
        match (class, all) {
            (DangerClass::Reversible, _) => {
                Self { text: format!("Type y to {what}: "), answers: vec!["y".into(), "yes".into()] }
            }
            (DangerClass::Disruptive | DangerClass::Critical, [one]) => {
                let subject = edits::subject(tree, one);
                Self { text: format!("Type {subject} to {what}: "), answers: vec![subject] }
            }
            (DangerClass::Disruptive | DangerClass::Critical, several) => {
                let n = several.len().to_string();
                Self { text: format!("Type {n} to {what}: "), answers: vec![n] }
            }
        }
    }

    /// Whether `typed` is a yes.
    #[must_use]
    pub fn is_yes(&self, typed: &str) -> bool {
        self.answers.iter().any(|a| a.eq_ignore_ascii_case(typed.trim()))
    }

    /// Asks on the terminal; what was typed before the question does not count. The returned channel closes
    /// without an answer when nobody will give one.
    #[must_use]
    pub fn ask(&self) -> oneshot::Receiver<String> {
        let (answer, answered) = oneshot::channel();
        let text = self.text.clone();
        // A thread of its own: the connections go on meanwhile, and a signal ends the process without an answer.
        std::thread::spawn(move || {
            // Refused: then what was typed ahead is read as the answer, and has to be the right word.
            let _ = tcflush(io::stdin(), QueueSelector::IFlush);
            eprint!("{text}");
            let mut typed = String::new();
            let read = io::stderr().flush().and_then(|()| io::stdin().lock().read_line(&mut typed));
            if read.is_ok_and(|n| n > 0) {
                // Nobody waits any more: nothing is to be done.
                let _ = answer.send(typed);
            }
        });
        answered
    }
}

/// Whether a person is there who can read a plan and answer.
#[must_use]
pub fn somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
