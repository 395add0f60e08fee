//! State of the console: messages in, commands out; no I/O.
//!
//! [`App::update`] is the only door. It is pure: the moment is an argument, and what must be done outside
//! comes back as [`Cmd`]s. `ui` draws from the same state and never changes it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub mod action;
pub mod acts;
pub mod copy;
pub mod dialog;
pub mod field;
pub mod filter;
pub mod fold;
pub mod grid;
pub mod keymap;
pub mod keys;
pub mod marks;
pub mod message;
pub mod mouse;
pub mod question;
pub mod runs;
pub mod themes;
mod update;
mod view;
pub mod words;

pub use action::{Action, Scope};
pub use keymap::Keymap;
pub use message::{Cmd, Diagnosis, DiagnosisRequest, DiagnosisStep, HostKeyQuestion, Msg, StepResult};
pub use themes::ThemeList;
pub use view::{calm_sentence, labels, plural};

use field::TextField;
use filter::Filter;
use grid::{Cursor, Order};
use keys::Key;
use question::Questions;

use crate::domain::{Event, FindingId, PeerId, Severity, Snapshot, Time};

/// How long a toast stands.
pub const TOAST_LIFE: Duration = Duration::from_secs(6);

/// Toasts at a time; older ones make room.
const TOASTS_MAX: usize = 8;

/// What the console is started with.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with each other")]
pub struct Options {
    /// The peers are those of an embedded lab.
    pub lab: bool,
    /// Nothing can be done from here.
    pub read_only: bool,
    /// The themes that can be chosen.
    pub themes: ThemeList,
    /// Whether times are shown as UTC at the start.
    pub utc: bool,
    /// Whether a new critical finding sounds the bell.
    pub bell: bool,
    /// Whether the terminal tells about the mouse.
    pub mouse: bool,
    /// Columns of the terminal.
    pub width: u16,
    /// Lines of the terminal.
    pub height: u16,
}

/// The views; more come with what they show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, strum::EnumIter)]
pub enum View {
    /// Who sees whom.
    #[default]
    Mesh,
    /// What is wrong now.
    Findings,
    /// What changed.
    Events,
}

impl View {
    /// Its name on the tab.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mesh => "Mesh",
            Self::Findings => "Findings",
            Self::Events => "Events",
        }
    }

    /// What shows it.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Mesh => Action::Mesh,
            Self::Findings => Action::Findings,
            Self::Events => Action::Events,
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Mesh => Self::Findings,
            Self::Findings => Self::Events,
            Self::Events => Self::Mesh,
        }
    }

    fn previous(self) -> Self {
        self.next().next()
    }
}

/// What lies over the view.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The keys.
    Help {
        /// What is searched for.
        query: TextField,
        /// Whether it is being typed.
        typing: bool,
        /// First line that is shown.
        top: usize,
    },
    /// A diagnosis.
    Diagnosis {
        /// Of what.
        request: DiagnosisRequest,
        /// What it found, once it is done.
        result: Option<Diagnosis>,
        /// First line that is shown.
        top: usize,
    },
    /// The confirmation of what would change peers.
    Dialog(Box<dialog::Dialog>),
    /// Which of a cell's two peers is meant.
    Choice(acts::Choice),
    /// What became of commands.
    Results {
        /// First line that is shown.
        top: usize,
    },
    /// Leaving while commands are on their way.
    Leave {
        /// Since when it is asked.
        since: Time,
    },
}

/// Something told for a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Toast {
    /// What.
    pub text: String,
    /// How bad.
    pub severity: Severity,
    /// Until when.
    pub until: Time,
}

/// A picture that is held while the display stands still.
#[derive(Clone, Debug)]
struct Held {
    snapshot: Arc<Snapshot>,
    at: Time,
    alerts: usize,
}

/// The filter of one view.
#[derive(Clone, Debug, Default)]
pub struct FilterState {
    /// What is typed, while it is.
    pub typing: Option<TextField>,
    /// The text in force.
    pub text: String,
    filter: Filter,
}

/// State of the console.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with each other")]
pub struct App {
    options: Options,
    keymap: Keymap,
    /// The theme that was chosen by hand, for this session.
    theme: Option<String>,
    live: Arc<Snapshot>,
    held: Option<Held>,
    cluster: usize,
    view: View,
    /// Whether Mesh shows the list of connections of the cursor's row instead of the grid.
    connections: bool,
    zoom: bool,
    /// Whether equal rows are one line; `None` leaves it to how many there are.
    fold: Option<bool>,
    cursor: Cursor,
    order: Order,
    faults_only: bool,
    filters: [FilterState; 4],
    finding: Option<FindingId>,
    finding_place: usize,
    finding_open: bool,
    /// The selected event; `None` follows the newest.
    event: Option<Event>,
    overlay: Option<Overlay>,
    marks: marks::Marks,
    runs: runs::Runs,
    questions: Questions,
    toasts: VecDeque<Toast>,
    pending: Vec<Key>,
    alerts_missed: u64,
}

impl App {
    /// The console over a first picture.
    #[must_use]
    pub fn new(options: Options, snapshot: Arc<Snapshot>, now: Time) -> Self {
        let mut app = Self {
            options,
            keymap: Keymap::default(),
            theme: None,
            live: snapshot,
            held: None,
            cluster: 0,
            view: View::Mesh,
            connections: false,
            zoom: false,
            fold: None,
            cursor: Cursor::default(),
            order: Order::default(),
            faults_only: false,
            filters: Default::default(),
            finding: None,
            finding_place: 0,
            finding_open: false,
            event: None,
            overlay: None,
            marks: marks::Marks::default(),
            runs: runs::Runs::default(),
            questions: Questions::default(),
            toasts: VecDeque::new(),
            pending: Vec::new(),
            alerts_missed: 0,
        };
        app.settle(now);
        app
    }

    /// Where keys go now.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.questions.open().is_some() {
            return Scope::Question;
        }
        match &self.overlay {
            Some(Overlay::Help { .. }) => Scope::Help,
            Some(Overlay::Diagnosis { .. }) => Scope::Result,
            Some(Overlay::Dialog(_) | Overlay::Leave { .. }) => Scope::Dialog,
            Some(Overlay::Choice(_)) => Scope::Choice,
            Some(Overlay::Results { .. }) => Scope::Outcomes,
            None => self.view_scope(),
        }
    }

    /// The scope of the view, whatever lies over it.
    #[must_use]
    pub fn view_scope(&self) -> Scope {
        match self.view {
            View::Mesh if self.connections => Scope::Connections,
            View::Mesh => Scope::Mesh,
            View::Findings => Scope::Findings,
            View::Events => Scope::Events,
        }
    }

    fn filter_slot(&self) -> usize {
        match self.view_scope() {
            Scope::Connections => 1,
            Scope::Findings => 2,
            Scope::Events => 3,
            Scope::Mesh
            | Scope::Help
            | Scope::Result
            | Scope::Question
            | Scope::Dialog
            | Scope::Choice
            | Scope::Outcomes => 0,
        }
    }

    /// The filter of the view on screen.
    #[must_use]
    pub fn filter(&self) -> &FilterState {
        &self.filters[self.filter_slot()]
    }

    fn filter_mut(&mut self) -> &mut FilterState {
        let slot = self.filter_slot();
        &mut self.filters[slot]
    }

    /// Puts the cell (`from`, `to`) under the cursor.
    pub fn select(&mut self, from: PeerId, to: PeerId, now: Time) {
        self.cursor.select(from, to);
        self.settle(now);
    }

    fn toast(&mut self, text: String, severity: Severity, now: Time) {
        if self.toasts.len() == TOASTS_MAX {
            self.toasts.pop_front();
        }
        self.toasts.push_back(Toast { text, severity, until: now + TOAST_LIFE });
    }
}

impl FilterState {
    fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.filter = Filter::parse(text);
    }
}
