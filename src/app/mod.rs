//! State of the console: messages in, commands out; no I/O.
//!
//! [`App::update`] is the only door. It is pure: the moment is an argument, and what must be done outside
//! comes back as [`Cmd`]s. `ui` draws from the same state and never changes it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub mod action;
pub mod acts;
pub mod alarms;
pub mod copy;
pub mod dialog;
mod doings;
pub mod field;
pub mod filter;
pub mod fold;
pub mod grid;
pub mod ha;
pub mod journal;
pub mod keymap;
pub mod keys;
pub mod lists;
pub mod marks;
pub mod message;
pub mod mouse;
pub mod overview;
pub mod palette;
pub mod panel;
pub mod past;
pub mod question;
pub mod recent;
pub mod runs;
pub mod settings;
pub mod themes;
mod update;
mod view;
pub mod wall;
pub mod words;

pub use action::{Action, Scope};
pub use keymap::Keymap;
pub use message::{Cmd, Diagnosis, DiagnosisRequest, DiagnosisStep, HostKeyQuestion, Msg, StepResult};
pub use themes::ThemeList;
pub use view::{calm_sentence, labels, plural};

use field::TextField;
use filter::{Filter, Vocabulary};
use grid::{Cursor, Order};
use journal::Journal;
use keys::Key;
use lists::Lists;
use overview::Place;
use palette::{FaultKind, History, Palette};
use panel::{Panel, PanelKind};
use question::Questions;

use crate::domain::{ClusterName, Event, FindingId, PeerId, Severity, Snapshot, Time};

/// How long a toast stands.
pub const TOAST_LIFE: Duration = Duration::from_secs(6);

/// Views and lists that have a filter of their own.
const SLOTS: usize = 6;

/// The place of the Settings view among them.
const SETTINGS_SLOT: usize = 4;

/// The place of the HA view among them.
const HA_SLOT: usize = 5;

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
    /// Faults that can be brought into the lab of this process; none without one.
    pub faults: Vec<FaultKind>,
    /// What was typed into the palette in earlier sessions, oldest first.
    pub history: Vec<String>,
    /// Whether times are shown as UTC at the start.
    pub utc: bool,
    /// Whether a new critical finding sounds the bell.
    pub bell: bool,
    /// Whether the terminal tells about the mouse.
    pub mouse: bool,
    /// The pictures are those of a recording: there is no present to go back to.
    pub replay: bool,
    /// Who sits here, as `user@host`: the author of acknowledgements and silences.
    pub author: String,
    /// The zone of local times, for times that are typed; `None`: UTC.
    pub zone: Option<jiff::tz::TimeZone>,
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
    /// What applies where.
    Settings,
    /// Who serves, who waits, and what would happen.
    Ha,
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
            Self::Settings => "Settings",
            Self::Ha => "HA",
            Self::Findings => "Findings",
            Self::Events => "Events",
        }
    }

    /// What shows it.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Mesh => Action::Mesh,
            Self::Settings => Action::Settings,
            Self::Ha => Action::Ha,
            Self::Findings => Action::Findings,
            Self::Events => Action::Events,
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Mesh => Self::Settings,
            Self::Settings => Self::Ha,
            Self::Ha => Self::Findings,
            Self::Findings => Self::Events,
            Self::Events => Self::Mesh,
        }
    }

    fn previous(self) -> Self {
        match self {
            Self::Mesh => Self::Events,
            Self::Settings => Self::Mesh,
            Self::Ha => Self::Settings,
            Self::Findings => Self::Ha,
            Self::Events => Self::Findings,
        }
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
    /// Commands by name.
    Palette(Palette),
    /// A list over the view.
    Panel(Panel),
    /// The confirmation of what would change peers.
    Dialog(Box<dialog::Dialog>),
    /// A value or a name that is being typed.
    Form(Box<settings::Form>),
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

impl Overlay {
    /// Where its keys go.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Help { .. } => Scope::Help,
            Self::Diagnosis { .. } => Scope::Result,
            Self::Palette(_) => Scope::Palette,
            Self::Panel(panel) => panel.kind.scope(),
            Self::Dialog(_) | Self::Leave { .. } => Scope::Dialog,
            Self::Form(_) => Scope::Form,
            Self::Choice(_) => Scope::Choice,
            Self::Results { .. } => Scope::Outcomes,
        }
    }
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
    /// As [`App::filters`].
    zoom: [bool; SLOTS],
    /// Whether equal rows are one line; `None` leaves it to how many there are.
    fold: Option<bool>,
    cursor: Cursor,
    order: Order,
    faults_only: bool,
    filters: [FilterState; SLOTS],
    finding: Option<FindingId>,
    finding_place: usize,
    finding_open: bool,
    /// The selected event; `None` follows the newest.
    event: Option<Event>,
    overlay: Option<Overlay>,
    /// What lies below it, lowest first.
    under: Vec<Overlay>,
    lists: Lists,
    journal: Journal,
    history: History,
    /// What was left behind in the clusters that are not on screen.
    places: BTreeMap<ClusterName, Place>,
    /// Former names of clusters, and how they are called now.
    renamed: BTreeMap<ClusterName, ClusterName>,
    marks: marks::Marks,
    desk: settings::Desk,
    runs: runs::Runs,
    questions: Questions,
    toasts: VecDeque<Toast>,
    pending: Vec<Key>,
    alerts_missed: u64,
    /// What is written down about alerts on this machine.
    alarms: alarms::Alarms,
    /// Which of its spans the list of what changed reaches back.
    recent: usize,
    past: Option<past::Looking>,
    /// Where one is in the HA view.
    unit: ha::Place,
}

impl App {
    /// The console over a first picture.
    #[must_use]
    pub fn new(mut options: Options, snapshot: Arc<Snapshot>, now: Time) -> Self {
        let history = History::new(std::mem::take(&mut options.history));
        let mut app = Self {
            options,
            keymap: Keymap::default(),
            theme: None,
            live: snapshot,
            held: None,
            cluster: 0,
            view: View::Mesh,
            connections: false,
            zoom: [false; SLOTS],
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
            under: Vec::new(),
            lists: Lists::default(),
            journal: Journal::default(),
            history,
            places: BTreeMap::new(),
            renamed: BTreeMap::new(),
            marks: marks::Marks::default(),
            desk: settings::Desk::default(),
            runs: runs::Runs::default(),
            questions: Questions::default(),
            toasts: VecDeque::new(),
            pending: Vec::new(),
            alerts_missed: 0,
            alarms: alarms::Alarms { now, ..alarms::Alarms::default() },
            recent: 0,
            past: None,
            unit: ha::Place::default(),
        };
        if app.options.replay {
            app.past = Some(past::Looking::default());
        }
        app.settle(now);
        app.journal.take_all(&Arc::clone(&app.live).events);
        if app.has_clusters() {
            app.open_panel(PanelKind::Overview, now);
        }
        app
    }

    /// Where keys go now.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.questions.open().is_some() {
            return Scope::Question;
        }
        self.overlay.as_ref().map_or_else(|| self.view_scope(), Overlay::scope)
    }

    /// The scope of the view, whatever lies over it.
    #[must_use]
    pub fn view_scope(&self) -> Scope {
        match self.view {
            View::Mesh if self.connections => Scope::Connections,
            View::Mesh => Scope::Mesh,
            View::Settings => Scope::Settings,
            View::Ha => Scope::Ha,
            View::Findings => Scope::Findings,
            View::Events => Scope::Events,
        }
    }

    fn filter_slot(&self) -> usize {
        match self.view {
            View::Mesh => usize::from(self.connections),
            View::Findings => 2,
            View::Events => 3,
            View::Settings => SETTINGS_SLOT,
            View::Ha => HA_SLOT,
        }
    }

    /// The filter of the view on screen.
    #[must_use]
    pub fn filter(&self) -> &FilterState {
        &self.filters[self.filter_slot()]
    }

    /// The fields that the filter of the view on screen knows.
    #[must_use]
    pub fn vocabulary(&self) -> &'static Vocabulary {
        match self.view {
            View::Mesh => &filter::LINKS,
            View::Settings => &filter::SETTINGS,
            View::Ha => &filter::HA,
            View::Findings => &filter::FINDINGS,
            View::Events => &filter::EVENTS,
        }
    }

    fn filter_mut(&mut self) -> &mut FilterState {
        let slot = self.filter_slot();
        &mut self.filters[slot]
    }

    fn set_filter(&mut self, text: &str) {
        let vocabulary = self.vocabulary();
        self.filter_mut().set(text, vocabulary);
    }

    /// Puts the cell (`from`, `to`) under the cursor.
    pub fn select(&mut self, from: PeerId, to: PeerId, now: Time) {
        self.cursor.select(from, to);
        self.settle(now);
    }

    fn toast(&mut self, text: String, severity: Severity, now: Time) {
        self.journal.notice(&text, severity, now);
        if self.toasts.len() == TOASTS_MAX {
            self.toasts.pop_front();
        }
        self.toasts.push_back(Toast { text, severity, until: now + TOAST_LIFE });
    }
}

impl FilterState {
    fn set(&mut self, text: &str, vocabulary: &Vocabulary) {
        text.clone_into(&mut self.text);
        self.filter = Filter::parse(text, vocabulary);
    }

    /// What of the text is no filter.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.filter.problem()
    }
}
