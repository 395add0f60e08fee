//! The one table of actions: it drives keys, help, hints, and the README's table of keys.

use std::fmt::Write as _;

use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::app::keys::{self, Key};
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
    /// Commands by name.
    Palette,
    /// Do what stands in the palette.
    Run,
    /// Complete what stands in the palette.
    Complete,
    /// The line above, in the palette.
    PreviousEntry,
    /// The line below, in the palette.
    NextEntry,
    /// The clusters of the fleet, a line each.
    Overview,
    /// Commands and what became of them.
    CommandLog,
    /// The last toasts.
    Notices,
    /// Who is logged in on the peers.
    Sessions,
    /// Which columns the list shows.
    Columns,
    /// The usual columns again.
    UsualColumns,
    /// This help.
    Help,
    /// Close what lies over the view.
    Close,
    /// Accept the host key that is shown.
    Accept,
    /// Reject the host key that is shown.
    Reject,
    /// To the other button.
    SwitchButton,
    /// Press the chosen button.
    Press,
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
    /// The palette.
    Palette,
    /// The clusters of the fleet.
    Overview,
    /// The command log.
    Log,
    /// The last toasts.
    Notices,
    /// Who is logged in on the peers.
    Sessions,
    /// Which columns a list shows.
    Columns,
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

use Scope::{
    Columns, Connections, Events, Findings, Help, Log, Mesh, Notices, Overview, Palette, Question, Result, Sessions,
};

const VIEWS: &[Scope] = &[Mesh, Connections, Findings, Events];
const LISTS: &[Scope] = &[Mesh, Connections, Findings, Events, Help, Result, Overview, Log, Notices, Sessions, Columns];
const SEARCHED: &[Scope] = &[Mesh, Connections, Findings, Events, Help, Overview, Log, Notices, Sessions, Columns];
/// What can be asked from wherever one is.
const GENERAL: &[Scope] = &[Mesh, Connections, Findings, Events, Result, Overview, Log, Notices, Sessions, Columns];
const LINKS: &[Scope] = &[Mesh, Connections];
const LOOK_AND_CLOSE: &[Scope] = &[Help, Result, Log, Notices, Sessions];
const EVERYWHERE: &[Scope] =
    &[Mesh, Connections, Findings, Events, Help, Result, Question, Palette, Overview, Log, Notices, Sessions, Columns];

const fn look(
    action: Action,
    keys: &'static [&'static str],
    scopes: &'static [Scope],
    hint: &'static str,
    help: &'static str,
) -> Spec {
    Spec { action, hint, help, scopes, class: None, keys }
}

/// The table, in the order in which hints are dropped from the end when the screen is narrow.
pub const TABLE: &[Spec] = &[
    look(Action::Quit, &["q"], &[Mesh, Connections, Findings, Events, Overview], "quit", "leave peerdeck"),
    look(
        Action::Help,
        &["?"],
        &[Mesh, Connections, Findings, Events, Result, Palette, Overview, Log, Notices, Sessions, Columns],
        "help",
        "all keys of this place; / searches them; in the palette while it is empty",
    ),
    look(Action::Close, &["Esc", "q", "Enter"], LOOK_AND_CLOSE, "close", "close what lies over the view"),
    look(Action::Run, &["Enter"], &[Palette], "do it", "do what was typed or chosen"),
    look(Action::Complete, &["Tab"], &[Palette], "complete", "complete what was typed with the chosen line"),
    look(
        Action::PreviousEntry,
        &["Up", "Ctrl-p"],
        &[Palette],
        "",
        "the line above; with nothing typed, what was typed before",
    ),
    look(Action::NextEntry, &["Down", "Ctrl-n"], &[Palette], "choose", "the line below"),
    look(
        Action::Back,
        &["Esc"],
        &[Mesh, Connections, Findings, Events, Palette, Overview, Columns],
        "back",
        "one step back: end the filter, the detail, the list of connections",
    ),
    look(
        Action::Open,
        &["Enter"],
        &[Mesh, Findings, Overview, Columns],
        "open",
        "connections of the row's peer; evidence and advice of a finding; a cluster; a column on or off",
    ),
    look(Action::NextFault, &["n"], LINKS, "next fault", "to the next link that is down"),
    look(Action::PreviousFault, &["N"], LINKS, "", "to the previous link that is down"),
    look(
        Action::Filter,
        &["/"],
        SEARCHED,
        "filter",
        "filter: text, !text, field:value; Tab completes a field, Esc ends it; in other lists a search",
    ),
    look(
        Action::Palette,
        &[":"],
        GENERAL,
        "commands",
        "every command by its name, with its key; also theme, sort, filter, peer, cluster, view by name",
    ),
    look(Action::FaultsOnly, &["f"], LINKS, "faults only", "show only peers and links in trouble"),
    look(
        Action::Diagnose,
        &["d"],
        LINKS,
        "diagnose",
        "try each step to the observed peer: DNS, TCP, keys, login, version",
    ),
    Spec {
        action: Action::Redial,
        hint: "redial",
        help: "dial the row's peer now instead of at the end of the back-off",
        scopes: LINKS,
        class: Some(DangerClass::Reversible),
        keys: &["r"],
    },
    look(Action::Sort, &["s"], VIEWS, "sort", "the next order; that of peers and links changes only on this key"),
    look(Action::Columns, &["c"], &[Connections, Findings, Events], "columns", "choose the columns of the list"),
    look(Action::UsualColumns, &["x"], &[Columns], "usual ones", "the usual columns again"),
    look(Action::Zoom, &["z"], VIEWS, "zoom", "the selected link, finding or event alone, in full, and back"),
    look(Action::Pause, &["P"], VIEWS, "pause", "the display stands still; collecting goes on"),
    look(Action::NextView, &["Tab"], VIEWS, "next view", "the next view"),
    look(Action::PreviousView, &["Shift-Tab"], VIEWS, "", "the previous view"),
    look(Action::Overview, &["O"], VIEWS, "clusters", "the clusters of the fleet, a line each; Enter goes into one"),
    look(Action::NextCluster, &["C"], VIEWS, "next cluster", "the next cluster of the fleet"),
    look(Action::CommandLog, &["L"], VIEWS, "log", "commands that were sent, by whom, and what became of them"),
    look(Action::Notices, &["H"], VIEWS, "", "the last 100 toasts with their times"),
    look(Action::Sessions, &["W"], VIEWS, "", "who is logged in on the peers, from where, since when, doing what"),
    look(Action::Theme, &["T"], VIEWS, "theme", "the next theme"),
    look(Action::Clock, &["U"], GENERAL, "local/UTC", "times local or UTC"),
    look(Action::Bell, &["B"], VIEWS, "", "the bell on a new critical finding, on or off"),
    look(Action::Mesh, &["1"], VIEWS, "", "the Mesh view: who sees whom"),
    look(Action::Findings, &["4"], VIEWS, "", "the Findings view: what is wrong now"),
    look(Action::Events, &["5"], VIEWS, "", "the Events view: what changed, newest at the bottom"),
    look(Action::Up, &["k", "Up"], LISTS, "", "up"),
    look(Action::Down, &["j", "Down"], LISTS, "", "down"),
    look(Action::Left, &["h", "Left"], &[Mesh], "", "left"),
    look(Action::Right, &["l", "Right"], &[Mesh], "", "right"),
    look(Action::Top, &["g g", "Home"], LISTS, "", "to the first row"),
    look(Action::Bottom, &["G", "End"], LISTS, "", "to the last row; in Events: follow again"),
    look(Action::PageUp, &["Ctrl-u", "PageUp"], LISTS, "", "half a screen up"),
    look(Action::PageDown, &["Ctrl-d", "PageDown"], LISTS, "", "half a screen down"),
    look(Action::Reject, &["n", "Esc"], &[Question], "reject", "reject the host key: no connection is made"),
    Spec {
        action: Action::Accept,
        hint: "accept",
        help: "accept the host key after comparing its fingerprint; it is kept",
        scopes: &[Question],
        class: Some(DangerClass::Reversible),
        keys: &["y"],
    },
    look(Action::SwitchButton, &["Tab", "Left", "Right", "h", "l"], &[Question], "other button", "to the other button"),
    look(Action::Press, &["Enter"], &[Question], "", "press the chosen button; does nothing before one was chosen"),
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

impl Spec {
    /// The chord that stands in hints.
    #[must_use]
    pub fn first_key(&self) -> &'static str {
        self.keys.first().copied().unwrap_or("")
    }
}

impl Scope {
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
            Self::Palette => "Palette",
            Self::Overview => "Clusters",
            Self::Log => "Command log",
            Self::Notices => "Past toasts",
            Self::Sessions => "Sessions",
            Self::Columns => "Columns",
        }
    }
}

/// What keys typed so far mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Match {
    /// An action.
    Action(Action),
    /// The beginning of a chord.
    Prefix,
    /// Nothing.
    None,
}

/// Chords to actions, a scope at a time.
#[derive(Clone, Debug)]
pub struct Keymap {
    bindings: Vec<(Scope, Vec<Key>, Action)>,
}

impl Keymap {
    /// What `typed` means in `scope`.
    #[must_use]
    pub fn find(&self, scope: Scope, typed: &[Key]) -> Match {
        let mut prefix = false;
        for (_, chord, action) in self.bindings.iter().filter(|(s, _, _)| *s == scope) {
            if chord == typed {
                return Match::Action(*action);
            }
            prefix |= chord.starts_with(typed);
        }
        if prefix && !typed.is_empty() { Match::Prefix } else { Match::None }
    }

    /// All bindings.
    pub fn bindings(&self) -> impl Iterator<Item = (Scope, &[Key], Action)> {
        self.bindings.iter().map(|(scope, chord, action)| (*scope, chord.as_slice(), *action))
    }
}

impl Default for Keymap {
    fn default() -> Self {
        let mut bindings = Vec::new();
        for spec in TABLE {
            for scope in spec.scopes {
                // A key that can't be read is left out here; a test refuses such a table.
                for chord in spec.keys.iter().filter_map(|k| keys::chord(k).ok()) {
                    bindings.push((*scope, chord, spec.action));
                }
            }
        }
        Self { bindings }
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
        } else if spec.scopes == LISTS || spec.scopes == SEARCHED || spec.scopes == GENERAL {
            "views and lists".to_owned()
        } else {
            spec.scopes.iter().map(|s| s.title()).collect::<Vec<_>>().join(", ")
        };
        let name = spec.action.name();
        let _ = writeln!(out, "| {} | {name} | {scopes} | {} |", keys.join(" "), spec.help);
    }
    out
}
