//! The question about a host key: never accepted by Enter alone, never twice in silence.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::app::message::HostKeyQuestion;
use crate::domain::{ClusterName, HostName, Line, Time};

/// Keys typed this soon after a dialog opened were meant for something else.
pub const TYPE_AHEAD: Duration = Duration::from_millis(300);

/// Questions that wait at a time; each unreached peer asks again by itself, so that none is lost for good.
const WAITING_MAX: usize = 256;

/// The buttons of the dialog.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Button {
    /// No connection is made.
    Reject,
    /// The key is kept.
    Accept,
}

/// What the person said.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// Accepted.
    Accepted,
    /// Rejected.
    Rejected,
}

/// The question that stands on screen.
#[derive(Clone, Debug)]
pub struct Open {
    /// What is asked.
    pub question: HostKeyQuestion,
    /// Since when it stands there; `None` until it is first shown.
    pub since: Time,
    /// Where the focus is.
    pub button: Button,
    /// Whether the focus was moved: only then does Enter press the button.
    pub chosen: bool,
    /// What was answered before, if it was asked before.
    pub before: Option<Before>,
}

/// An earlier answer for the same endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Before {
    /// What was said.
    pub answer: Answer,
    /// To which key.
    pub fingerprint: Line,
    /// When.
    pub at: Time,
}

/// All questions: the open one, those that wait, and what was answered.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    open: Option<Open>,
    waiting: VecDeque<HostKeyQuestion>,
    /// By host, not by serial number: an unknown machine has none yet.
    answered: BTreeMap<(ClusterName, HostName), Before>,
}

impl Questions {
    /// The question on screen.
    #[must_use]
    pub fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// How many wait behind it.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a question. The same key is not asked again after a rejection, nor twice at a time.
    pub fn ask(&mut self, question: HostKeyQuestion, now: Time) {
        let same = |q: &HostKeyQuestion| key_of(q) == key_of(&question);
        if let Some(before) = self.answered.get(&key_of(&question))
            && before.answer == Answer::Rejected
            && before.fingerprint == question.fingerprint
        {
            return;
        }
        if let Some(open) = self.open.as_mut().filter(|o| same(&o.question)) {
            if open.question != question {
                // Another key under the reader's eyes: it must be read again from the start.
                *open =
                    Open { question, since: now, button: Button::Reject, chosen: false, before: open.before.take() };
            }
            return;
        }
        self.waiting.retain(|q| !same(q));
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(question);
        }
        self.next(now);
    }

    /// Drops questions that are settled: answered elsewhere, or the peer is gone.
    pub fn keep(&mut self, still_asked: impl Fn(&HostKeyQuestion) -> bool, now: Time) {
        self.waiting.retain(|q| still_asked(q));
        if self.open.as_ref().is_some_and(|o| !still_asked(&o.question)) {
            self.open = None;
            self.next(now);
        }
    }

    /// A rejected key may be asked again: somebody dials this host on purpose.
    pub fn forget_rejections(&mut self, host: &str) {
        self.answered.retain(|(_, h), before| h.as_str() != host || before.answer == Answer::Accepted);
    }

    /// Whether keys count already.
    #[must_use]
    pub fn is_awake(&self, now: Time) -> bool {
        self.open.as_ref().is_some_and(|o| now.since(o.since) >= TYPE_AHEAD)
    }

    /// Moves the focus to the other button.
    pub fn switch_button(&mut self) {
        if let Some(open) = &mut self.open {
            open.chosen = true;
            open.button = match open.button {
                Button::Reject => Button::Accept,
                Button::Accept => Button::Reject,
            };
        }
    }

    /// The button that Enter presses, once one was chosen.
    #[must_use]
    pub fn pressed(&self) -> Option<Button> {
        self.open.as_ref().filter(|o| o.chosen).map(|o| o.button)
    }

    /// Closes the open question with an answer and opens the next one.
    pub fn answer(&mut self, answer: Answer, now: Time) -> Option<HostKeyQuestion> {
        let open = self.open.take()?;
        let before = Before { answer, fingerprint: open.question.fingerprint.clone(), at: now };
        self.answered.insert(key_of(&open.question), before);
        self.next(now);
        Some(open.question)
    }

    fn next(&mut self, now: Time) {
        if self.open.is_none()
            && let Some(question) = self.waiting.pop_front()
        {
            let before = self.answered.get(&key_of(&question)).cloned();
            self.open = Some(Open { question, since: now, button: Button::Reject, chosen: false, before });
        }
    }
}

fn key_of(question: &HostKeyQuestion) -> (ClusterName, HostName) {
    (question.cluster.clone(), question.host.clone())
}
