//! What goes into the console's state and what comes out of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use strum::IntoStaticStr;

use crate::app::keymap::Keymap;
use crate::app::keys::Key;
use crate::app::mouse::Mouse;
use crate::app::themes::ThemeList;
use crate::domain::alert::{Book, Order};
use crate::domain::finding::Transition;
use crate::domain::settings::{self, ModeId, Past};
use crate::domain::{
    ClusterName, FeatureName, Finding, Glance, HostName, Line, Moment, Outcome, PeerId, Plan, Snapshot,
};

/// Something that the console must take note of.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(Key),
    /// Something was done with the mouse.
    Mouse(Mouse),
    /// Text was pasted.
    Paste(String),
    /// The terminal has another size.
    Resize {
        /// Columns.
        width: u16,
        /// Lines.
        height: u16,
    },
    /// A newer picture.
    Snapshot(Arc<Snapshot>),
    /// A finding was raised, changed or cleared.
    Alert(Transition, Finding),
    /// Alerts were lost because they came faster than they were taken.
    AlertsMissed(u64),
    /// A host key is unknown, and somebody must look at it.
    AskHostKey(HostKeyQuestion),
    /// A diagnosis is done.
    Diagnosed(DiagnosisRequest, Diagnosis),
    /// A fault was brought into the lab, or refused: its words, and what the lab said.
    Faulted(String, Result<String, String>),
    /// News of a command that was sent.
    Outcome {
        /// Of which run, as [`Cmd::Submit`] named it.
        run: u64,
        /// Which of its steps.
        step: usize,
        /// How far it came.
        outcome: Outcome,
    },
    /// What was told of the past of a register; or why nothing was.
    History {
        /// Of which cluster.
        cluster: ClusterName,
        /// Of which register.
        key: settings::Key,
        /// The newest version first.
        past: Result<Vec<Past>, Line>,
    },
    /// An editor has ended that a value was lent to.
    Edited {
        /// Of which cluster, by its id.
        cluster: Line,
        /// At which mode.
        mode: ModeId,
        /// Of which feature.
        feature: FeatureName,
        /// The text, `None` if nothing was changed; or why there is none.
        text: Result<Option<String>, String>,
    },
    /// What is written down about alerts on this machine, as it is now.
    Book(Arc<Book>),
    /// What was known at the moment that [`Cmd::Past`] asked for; or why that can't be told.
    Past(Result<Moment, Line>),
    /// Something to be told for a moment.
    Notice(String),
    /// Something that is wrong, to be told for a moment.
    Warning(String),
    /// These themes can be chosen from now on.
    Themes(ThemeList),
    /// Keys do this from now on.
    Keymap(Keymap),
    /// Time has passed.
    Tick,
}

/// Something that the loop shall do; sent, never awaited.
#[derive(Clone, PartialEq, Debug)]
pub enum Cmd {
    /// End the console.
    Quit,
    /// Stop as the shell's job control does.
    Suspend,
    /// Draw every cell anew.
    Redraw,
    /// Read keymap, themes and fleet file again.
    Reload,
    /// Sound the terminal's bell.
    Bell,
    /// Put this into the clipboard of the person's terminal.
    Copy(String),
    /// Clicks and the wheel are wanted, or not any more.
    Mouse(bool),
    /// Write the screen to a file.
    Dump,
    /// Lend the terminal to a shell on this peer.
    Shell {
        /// Of which cluster.
        cluster: ClusterName,
        /// Which.
        peer: PeerId,
    },
    /// Lend the terminal to an editor with this text; it comes back as [`Msg::Edited`].
    Edit {
        /// Of which cluster, by its id.
        cluster: Line,
        /// At which mode.
        mode: ModeId,
        /// Of which feature.
        feature: FeatureName,
        /// What it says now: JSON.
        text: String,
    },
    /// Ask for the past of a register; it comes back as [`Msg::History`].
    History {
        /// Of which cluster.
        cluster: ClusterName,
        /// Of which register.
        key: settings::Key,
    },
    /// Find out step by step why a peer is not reached.
    Diagnose(DiagnosisRequest),
    /// The person accepts this host key.
    TrustHostKey {
        /// Of which cluster.
        cluster: ClusterName,
        /// Of which peer.
        peer: PeerId,
        /// As in [`HostKeyQuestion::fingerprint`].
        fingerprint: Line,
    },
    /// Hand this plan to the engine, and write it to the audit log; each news of it comes back as [`Msg::Outcome`].
    Submit {
        /// Of which run.
        run: u64,
        /// Which of its steps.
        step: usize,
        /// In which cluster.
        cluster: ClusterName,
        /// What.
        plan: Plan,
    },
    /// Dial this peer at once.
    DialNow {
        /// Of which cluster.
        cluster: ClusterName,
        /// Which.
        peer: PeerId,
    },
    /// Change what is written down about alerts; a new [`Msg::Book`] answers, or a [`Msg::Warning`].
    Order(Order),
    /// Ask for a moment of the recording; [`Msg::Past`] answers, to all but [`Glance::Live`].
    Past(Glance),
    /// Keep this line of the palette for later sessions.
    Remember(String),
    /// Bring a fault into the lab of this process.
    Fault(Vec<String>),
}

/// A host key that nobody has accepted yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostKeyQuestion {
    /// Of which cluster.
    pub cluster: ClusterName,
    /// Of which peer.
    pub peer: PeerId,
    /// Its host name.
    pub host: HostName,
    /// Where it was dialled.
    pub address: Option<SocketAddr>,
    /// `SHA256:...`
    pub fingerprint: Line,
    /// The fingerprint as a picture, a line each.
    pub art: Vec<String>,
}

/// Which connection is to be diagnosed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiagnosisRequest {
    /// Of which cluster.
    pub cluster: ClusterName,
    /// The row's peer: who observes.
    pub from: PeerId,
    /// The column's peer: who is observed; the same as `from` on the diagonal.
    pub to: PeerId,
}

/// What a diagnosis found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diagnosis {
    /// What was diagnosed, from where to where, in one line.
    pub title: Line,
    /// In the order in which they were tried.
    pub steps: Vec<DiagnosisStep>,
}

/// One step of a diagnosis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiagnosisStep {
    /// Its name: `dns forward`, `tcp`, `host key`, ...
    pub step: Line,
    /// How it went.
    pub result: StepResult,
    /// How long it took, if it was tried.
    pub took: Option<Duration>,
    /// What was seen.
    pub detail: Line,
    /// What to do, in plain words; empty when all is well.
    pub hint: Line,
}

/// How a step of a diagnosis went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum StepResult {
    /// As it should be.
    Ok,
    /// It works, but not as it should.
    Warning,
    /// It does not work.
    Failed,
    /// Not tried, because an earlier step failed.
    Skipped,
}
