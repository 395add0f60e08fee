//! Rules over findings: what is told, when, once, and to whom not (B5). Pure but for [`sinks`] and [`store`].
//!
//! The engine says what is wrong; here it is decided what somebody is told of it. [`Alerts::step`] takes the time
//! as an argument and answers with effects: what to keep on disk and what to tell. Both belong into one
//! transaction, so that a restart neither repeats nor forgets.

/// How it works, for readers.
#[doc = include_str!("../docs/alerts.md")]
pub mod guide {}

mod core;
mod entry;
mod inhibit;
pub mod rules;
pub mod sinks;
pub mod store;

pub use core::Alerts;
pub use entry::{Kept, LastTold};
pub use rules::{Flapping, Rule, Rules, Terms};

use crate::domain::alert::{Ack, Notice, Seen, Silence};
use crate::domain::finding::{FindingId, Transition};

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// The engine told of a finding. With the picture it says the same twice, which does no harm.
    Told(Transition, Seen),
    /// All findings of the picture.
    Picture {
        /// All of them.
        seen: Vec<Seen>,
        /// Every peer has answered or failed since this watch started: what is not there is gone.
        settled: bool,
    },
    /// Somebody looks after an alert; refused where there is none.
    Acknowledge {
        /// Which.
        id: FindingId,
        /// Who, and why.
        ack: Ack,
    },
    /// Nobody looks after it any more.
    Unacknowledge(FindingId),
    /// All silences that there are.
    Silences(Vec<Silence>),
    /// Other rules.
    Rules(Rules),
    /// Time has passed; at the latest when [`Alerts::next`] says.
    Tick,
}

/// What shall be done; all of one step, or nothing of it.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Keep this on disk instead of what was kept of this finding.
    Keep(Box<Kept>),
    /// Nothing is kept of it any more.
    Forget(FindingId),
    /// Tell everybody.
    Tell(Box<Notice>),
}

/// What was kept over a restart.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memory {
    /// Of each finding.
    pub kept: Vec<Kept>,
    /// All silences.
    pub silences: Vec<Silence>,
    /// The number of the last notice.
    pub seq: u64,
}
