//! The one table of actions: it drives keys, help, hints, and the README's table of keys.

use std::fmt::Write as _;

use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::domain::DangerClass;

/// Everything that a key can do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Action {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One column left.
    Left,
    /// One column right.
    Right,
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// Half a screen up.
    PageUp,
    /// Half a screen down.
    PageDown,
    /// Show what is selected in full.
    Open,
    /// One step back.
    Back,
    /// To the next fault.
    NextFault,
    /// To the previous fault.
    PreviousFault,
    /// Type a filter.
    Filter,
    /// Only what is faulty.
    FaultsOnly,
    /// The next order of rows and columns.
    Sort,
    /// The detail alone, or grid and detail.
    Zoom,
    /// Equal rows as one line, or each by itself.
    Fold,
    /// Step by step, why a peer is not reached.
    Diagnose,
    /// Dial a peer at once.
    Redial,
    /// The Mesh view.
    Mesh,
    /// The Findings view.
    Findings,
    /// The Events view.
    Events,
    /// The next view.
    NextView,
    /// The previous view.
    PreviousView,
    /// The next cluster.
    NextCluster,
    /// The display stands still.
    Pause,
    /// Times local or UTC.
    Clock,
    /// The next theme.
    Theme,
    /// The bell on new criticals, on or off.
    Bell,
    /// What the cursor stands on into the clipboard.
    CopyCell,
    /// Its line into the clipboard.
    CopyRow,
    /// All lines into the clipboard.
    CopyTable,
    /// The mouse, on or off.
    Mouse,
    /// The screen into a file.
    Dump,
    /// A shell on a peer.
    Shell,
    /// This help.
    Help,
    /// Close what lies over the view.
    Close,
    /// Accept the host key that is shown.
    Accept,
    /// Reject the host key that is shown.
    Reject,
    /// Mark or unmark the row's peer.
    Mark,
    /// Detach peers from the cluster.
    Disconnect,
    /// Bring detached peers back.
    Reconnect,
    /// Announce that peers are worked on.
    MaintenanceOn,
    /// The work is done.
    MaintenanceOff,
    /// What became of the last commands.
    Results,
    /// Send nothing more of the commands that still wait.
    StopRest,
    /// Do what the dialog asks about.
    Confirm,
    /// Don't do it.
    Cancel,
    /// Take the facts as they are now and look again.
    ReadAgain,
    /// The observing peer.
    PickObserver,
    /// The observed peer.
    PickObserved,
    /// To the other button.
    SwitchButton,
    /// To the field or button before.
    SwitchBack,
    /// Press the chosen button.
    Press,
    /// Read keymap, themes and fleet file again.
    Reload,
    /// Draw the whole screen anew.
    Redraw,
    /// Stop the console as the shell's job control does.
    Suspend,
    /// Leave.
    Quit,
    /// Leave, from anywhere.
    Interrupt,
}

/// Where keys go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Scope {
    /// The Mesh view.
    Mesh,
    /// The connections of one peer.
    Connections,
    /// The Findings view.
    Findings,
    /// The Events view.
    Events,
    /// The help.
    Help,
    /// The result of a diagnosis.
    Result,
    /// A question that waits for an answer.
    Question,
    /// The confirmation of what would change a peer.
    Dialog,
    /// Which of two peers an action is about.
    Choice,
    /// What became of commands.
    Outcomes,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// What it does.
    pub action: Action,
    /// In one word or two, for the line of hints; empty where it is not hinted.
    pub hint: &'static str,
    /// In one sentence, for the help.
    pub help: &'static str,
    /// Where it works.
    pub scopes: &'static [Scope],
    /// What it can break; `None` when it only looks.
    pub class: Option<DangerClass>,
    /// Chords, the one for the hints first.
    pub keys: &'static [&'static str],
}

use Scope::{Choice, Connections, Dialog, Events, Findings, Help, Mesh, Outcomes, Question, Result};

const VIEWS: &[Scope] = &[Mesh, Connections, Findings, Events];
const LISTS: &[Scope] = &[Mesh, Connections, Findings, Events, Help, Result, Outcomes];
const SCROLLS: &[Scope] = &[Mesh, Connections, Findings, Events, Help, Result, Outcomes, Dialog, Choice];
const LINKS: &[Scope] = &[Mesh, Connections];
const EVERYWHERE: &[Scope] = &[Mesh, Connections, Findings, Events, Help, Result, Question, Dialog, Choice, Outcomes];

const fn look(
    action: Action,
    keys: &'static [&'static str],
    scopes: &'static [Scope],
    hint: &'static str,
    help: &'static str,
) -> Spec {
    Spec { action, hint, help, scopes, class: None, keys }
}

/// One that changes a peer: behind the leader, for the peers that are marked or under the cursor.
const fn change(action: Action, class: DangerClass, keys: &'static [&'static str], help: &'static str) -> Spec {
    Spec { action, hint: "", help, scopes: LINKS, class: Some(class), keys }
}

/// The table, in the order in which hints are dropped from the end when the screen is narrow.
pub const TABLE: &[Spec] = &[
    look(Action::Quit, &["q"], VIEWS, "quit", "leave peerdeck"),
    look(Action::Help, &["?"], VIEWS, "help", "all keys of this view; / searches them"),
    look(Action::Close, &["Esc", "q", "Enter"], &[Help, Result, Outcomes], "close", "close what lies over the view"),
    look(Action::Back, &["Esc"], VIEWS, "back", "one step back: filter, detail, list, marks"),
    look(
        Action::Open,
        &["Enter"],
        &[Mesh, Findings],
        "open",
        "connections of the row's peer; evidence and advice of a finding",
    ),
    look(Action::NextFault, &["n"], LINKS, "next fault", "to the next link that is down"),
    look(Action::PreviousFault, &["N"], LINKS, "", "to the previous link that is down"),
    look(Action::Diagnose, &["d"], LINKS, "diagnose", "find out why: DNS, TCP, keys, login, version, in steps"),
    Spec {
        action: Action::Disconnect,
        hint: "act",
        help: "detach the peer, or all marked ones, from its cluster",
        scopes: LINKS,
        class: Some(DangerClass::Disruptive),
        keys: &["a d"],
    },
    change(Action::Reconnect, DangerClass::Disruptive, &["a r"], "bring a detached peer, or all marked ones, back"),
    change(
        Action::MaintenanceOn,
        DangerClass::Reversible,
        &["a m"],
        "maintenance: announce work on it, hold back its alerts",
    ),
    change(
        Action::MaintenanceOff,
        DangerClass::Reversible,
        &["a M"],
        "end the maintenance: its alerts are raised again",
    ),
    look(Action::Mark, &["Space"], LINKS, "mark", "mark or unmark the row's peer: a acts on all marked ones"),
    look(Action::Results, &["A"], VIEWS, "results", "what became of the last commands, a line for each peer"),
    look(
        Action::Filter,
        &["/"],
        &[Mesh, Connections, Findings, Events, Help],
        "filter",
        "filter: text, !text, host: group: state: cause:",
    ),
    look(Action::FaultsOnly, &["f"], LINKS, "faults only", "show only peers and links in trouble"),
    Spec {
        action: Action::Redial,
        hint: "redial",
        help: "dial the row's peer now instead of at the end of the back-off",
        scopes: LINKS,
        class: Some(DangerClass::Reversible),
        keys: &["r"],
    },
    look(Action::Sort, &["s"], LINKS, "sort", "order: group, name, state, faults first; it changes only on this key"),
    look(
        Action::Fold,
        &["F"],
        &[Mesh],
        "fold",
        "equal rows as one line, or each by itself; above 60 rows they are one",
    ),
    look(Action::Zoom, &["z"], &[Mesh], "zoom", "the detail of the selected link alone, and back"),
    look(Action::Pause, &["P"], VIEWS, "pause", "the display stands still; collecting goes on"),
    look(Action::NextView, &["Tab"], VIEWS, "next view", "the next view"),
    look(Action::PreviousView, &["Shift-Tab"], VIEWS, "", "the previous view"),
    look(Action::NextCluster, &["C"], VIEWS, "cluster", "the next cluster of the fleet"),
    look(Action::Theme, &["T"], VIEWS, "theme", "the next theme"),
    look(Action::Clock, &["U"], VIEWS, "local/UTC", "times local or UTC"),
    look(Action::Bell, &["B"], VIEWS, "", "the bell on a new critical finding, on or off"),
    look(Action::CopyCell, &["y c"], VIEWS, "", "copy what the cursor stands on to the terminal's clipboard (OSC 52)"),
    look(Action::CopyRow, &["y r"], VIEWS, "", "copy the cursor's line, with tabs between its values"),
    look(Action::CopyTable, &["y t"], VIEWS, "", "copy all lines that pass the filter, with titles"),
    look(Action::Shell, &["!"], LINKS, "shell", "ssh to the row's peer; the console comes back when it ends"),
    look(Action::Dump, &["S"], EVERYWHERE, "", "write the screen to a file, as text and with its colours"),
    look(Action::Mouse, &["M"], VIEWS, "", "the mouse on or off; off, the terminal selects text"),
    look(Action::Mesh, &["1"], VIEWS, "", "the Mesh view: who sees whom"),
    look(Action::Findings, &["4"], VIEWS, "", "the Findings view: what is wrong now"),
    look(Action::Events, &["5"], VIEWS, "", "the Events view: what changed, newest at the bottom"),
    look(Action::Up, &["k", "Up"], SCROLLS, "", "up"),
    look(Action::Down, &["j", "Down"], SCROLLS, "", "down"),
    look(Action::Left, &["h", "Left"], &[Mesh], "", "left"),
    look(Action::Right, &["l", "Right"], &[Mesh], "", "right"),
    look(Action::Top, &["g g", "Home"], LISTS, "", "to the first row"),
    look(Action::Bottom, &["G", "End"], LISTS, "", "to the last row; in Events: follow again"),
    look(Action::PageUp, &["Ctrl-u", "PageUp"], SCROLLS, "", "half a screen up"),
    look(Action::PageDown, &["Ctrl-d", "PageDown"], SCROLLS, "", "half a screen down"),
    look(Action::Reject, &["n", "Esc"], &[Question], "reject", "reject the host key: no connection is made"),
    Spec {
        action: Action::Accept,
        hint: "accept",
        help: "accept the host key after comparing its fingerprint; it is kept",
        scopes: &[Question],
        class: Some(DangerClass::Reversible),
        keys: &["y"],
    },
    look(Action::Cancel, &["Esc", "n", "q"], &[Dialog, Choice], "cancel", "change nothing"),
    Spec {
        action: Action::Confirm,
        hint: "confirm",
        help: "do it; where a name or a number is asked for, only once that is typed",
        scopes: &[Dialog],
        class: Some(DangerClass::Disruptive),
        keys: &["y"],
    },
    look(Action::ReadAgain, &["R"], &[Dialog], "read again", "take the facts as they are now, and look at them again"),
    look(Action::PickObserver, &["1"], &[Choice], "observer", "the peer of the row: who observes"),
    look(Action::PickObserved, &["2"], &[Choice], "observed", "the peer of the column: who is observed"),
    look(Action::StopRest, &["s"], &[Outcomes], "stop the rest", "send nothing more of what still waits"),
    look(
        Action::SwitchButton,
        &["Tab", "Left", "Right", "h", "l"],
        &[Question, Dialog],
        "other button",
        "to the next field or button",
    ),
    look(Action::SwitchBack, &["Shift-Tab"], &[Dialog], "", "to the field or button before"),
    look(
        Action::Press,
        &["Enter"],
        &[Question, Dialog, Choice],
        "",
        "press the chosen button; does nothing before one was chosen",
    ),
    look(Action::Reload, &["Ctrl-r"], VIEWS, "", "read keymap, themes and fleet file again now"),
    look(Action::Redraw, &["Ctrl-l"], EVERYWHERE, "", "draw the whole screen anew"),
    look(Action::Suspend, &["Ctrl-z"], EVERYWHERE, "", "stop the console; fg in the shell brings it back"),
    look(Action::Interrupt, &["Ctrl-c"], EVERYWHERE, "", "leave peerdeck, from anywhere"),
];

impl Action {
    /// Its word, as key files and the log write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Scope {
    /// Its word, as key files write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// How the help calls it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Mesh => "Mesh",
            Self::Connections => "Connections of a peer",
            Self::Findings => "Findings",
            Self::Events => "Events",
            Self::Help => "Help",
            Self::Result => "Diagnosis",
            Self::Question => "Question about a host key",
            Self::Dialog => "Confirmation",
            Self::Choice => "Which of two peers",
            Self::Outcomes => "Results",
        }
    }
}

/// The table of keys for the README, in Markdown.
#[must_use]
pub fn keys_markdown() -> String {
    let mut out = String::from("| keys | action | where | what it does |\n|---|---|---|---|\n");
    for spec in TABLE {
        let keys: Vec<String> = spec.keys.iter().map(|k| format!("`{k}`")).collect();
        let scopes = if spec.scopes.len() == Scope::iter().count() {
            "everywhere".to_owned()
        } else if spec.scopes == VIEWS {
            "views".to_owned()
        } else if spec.scopes == SCROLLS {
            "views, lists and dialogs".to_owned()
        } else if spec.scopes == LISTS {
            "views and lists".to_owned()
        } else {
            spec.scopes.iter().map(|s| s.title()).collect::<Vec<_>>().join(", ")
        };
        let name = spec.action.name();
        let _ = writeln!(out, "| {} | {name} | {scopes} | {} |", keys.join(" "), spec.help);
    }
    out
}
