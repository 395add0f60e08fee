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
    /// The Settings view.
    Settings,
    /// The HA view.
    Ha,
    /// The Findings view.
    Findings,
    /// The Events view.
    Events,
    /// The next pane of the view.
    NextPane,
    /// The pane before.
    PreviousPane,
    /// A value, typed in a form; only staged.
    Set,
    /// A value in `$EDITOR`; only staged.
    Edit,
    /// An empty override; only staged.
    SetEmpty,
    /// Inherit again; only staged.
    Unset,
    /// The value to another mode as well; only staged.
    Copy,
    /// The value to another mode instead; only staged.
    Move,
    /// A second mode beside the first.
    SideBySide,
    /// Former and present versions of a setting.
    History,
    /// What is staged, as a diff.
    Review,
    /// Take the selected change out of the stage.
    Discard,
    /// Leave the selected change staged, and out of this commit.
    KeepStaged,
    /// Commit the selected change over what somebody else has written meanwhile.
    Override,
    /// Drop the whole stage.
    ClearChanges,
    /// Write what is staged.
    Commit,
    /// Move machines to another group.
    Setgroup,
    /// Settle an inconsistency.
    Resolve,
    /// Settle all inconsistencies with what one machine wrote.
    ResolveAll,
    /// A new group.
    Addgroup,
    /// Another name for a group.
    Renamegroup,
    /// Take a group away.
    Deletegroup,
    /// End a membership.
    Removemachine,
    /// Another name for the cluster.
    Setname,
    /// The form's value as JSON text, or as fields.
    AsJson,
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
    /// Say that one looks after a finding.
    Acknowledge,
    /// Take that back.
    Unacknowledge,
    /// Findings are not told for a while.
    Silence,
    /// They are told again.
    Unsilence,
    /// All silences.
    Silences,
    /// What somebody looks after, and what is silenced, shown or not.
    HideQuiet,
    /// What changed lately.
    Changes,
    /// How far back that reaches.
    Span,
    /// Show what was known earlier.
    LookBack,
    /// Show the present again.
    Live,
    /// One recorded picture earlier.
    FrameBack,
    /// One recorded picture later.
    FrameOn,
    /// A minute earlier.
    MinuteBack,
    /// A minute later.
    MinuteOn,
    /// To where a finding was raised or cleared before.
    PreviousMark,
    /// To where one was raised or cleared next.
    NextMark,
    /// To the beginning of the recording.
    PastStart,
    /// To its end.
    PastEnd,
    /// Time runs on by itself, faster each time.
    Play,
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
    /// The primary of an HA group hands its role over.
    Switchover,
    /// The secondary of an HA group takes it by force.
    Failover,
    /// A unit goes back to its configured role.
    Restore,
    /// A unit takes the configuration over now.
    Sync,
    /// A takeover is acknowledged.
    AcceptTakeover,
    /// HA starts again on a unit.
    RestartHa,
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
    /// The Settings view.
    Settings,
    /// The HA view.
    Ha,
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
    /// The confirmation of what would change a peer.
    Dialog,
    /// Which of two peers an action is about.
    Choice,
    /// What became of commands.
    Outcomes,
    /// A value or a name that is being typed.
    Form,
    /// What is staged.
    Changes,
    /// Inconsistencies.
    Conflicts,
    /// Modes or groups to pick one of.
    Pick,
    /// Versions of a setting.
    Versions,
    /// Silences.
    Silences,
    /// What changed lately.
    Recent,
    /// The time line, over any view.
    Past,
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
    Changes, Choice, Columns, Conflicts, Connections, Dialog, Events, Findings, Form, Ha, Help, Log, Mesh, Notices,
    Outcomes, Overview, Palette, Past, Pick, Question, Recent, Result, Sessions, Settings, Silences, Versions,
};

const VIEWS: &[Scope] = &[Mesh, Connections, Settings, Ha, Findings, Events];
/// Views without panes: there Tab goes to the next view.
const PLAIN_VIEWS: &[Scope] = &[Mesh, Connections, Findings, Events];
const LISTS: &[Scope] = &[
    Mesh,
    Connections,
    Settings,
    Ha,
    Findings,
    Events,
    Help,
    Result,
    Outcomes,
    Overview,
    Log,
    Notices,
    Sessions,
    Columns,
    Changes,
    Conflicts,
    Pick,
    Versions,
    Silences,
    Recent,
];
const SCROLLS: &[Scope] = &[
    Mesh,
    Connections,
    Settings,
    Ha,
    Findings,
    Events,
    Help,
    Result,
    Outcomes,
    Overview,
    Log,
    Notices,
    Sessions,
    Columns,
    Changes,
    Conflicts,
    Pick,
    Versions,
    Silences,
    Recent,
    Dialog,
    Choice,
];
const SEARCHED: &[Scope] = &[
    Mesh,
    Connections,
    Settings,
    Ha,
    Findings,
    Events,
    Help,
    Overview,
    Log,
    Notices,
    Sessions,
    Columns,
    Changes,
    Conflicts,
    Pick,
    Versions,
    Silences,
    Recent,
];
/// What can be asked from wherever one is.
const GENERAL: &[Scope] = &[
    Mesh,
    Connections,
    Settings,
    Ha,
    Findings,
    Events,
    Result,
    Outcomes,
    Overview,
    Log,
    Notices,
    Sessions,
    Columns,
    Changes,
    Conflicts,
    Versions,
    Silences,
    Recent,
];
const LINKS: &[Scope] = &[Mesh, Connections];
/// Where one peer is selected.
const PEERS: &[Scope] = &[Mesh, Connections, Ha];
/// Where machines can be marked.
const MACHINES: &[Scope] = &[Mesh, Connections, Settings];
const LOOK_AND_CLOSE: &[Scope] = &[Help, Result, Outcomes, Log, Notices, Sessions, Recent];
const EVERYWHERE: &[Scope] = &[
    Mesh,
    Connections,
    Settings,
    Ha,
    Findings,
    Events,
    Help,
    Result,
    Question,
    Dialog,
    Choice,
    Outcomes,
    Palette,
    Overview,
    Log,
    Notices,
    Sessions,
    Columns,
    Form,
    Changes,
    Conflicts,
    Pick,
    Versions,
    Silences,
    Recent,
    Past,
];

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
    Spec { action, hint: "", help, scopes: PEERS, class: Some(class), keys }
}

/// One that is asked of a unit of an HA group: behind the leader, for the group under the cursor.
const fn ha(action: Action, class: DangerClass, keys: &'static [&'static str], help: &'static str) -> Spec {
    Spec { action, hint: "", help, scopes: &[Ha], class: Some(class), keys }
}

/// One that commits a change of settings or structure: behind the leader.
const fn commit(
    action: Action,
    class: DangerClass,
    keys: &'static [&'static str],
    scopes: &'static [Scope],
    help: &'static str,
) -> Spec {
    Spec { action, hint: "", help, scopes, class: Some(class), keys }
}

/// The table, in the order in which hints are dropped from the end when the screen is narrow.
pub const TABLE: &[Spec] = &[
    look(
        Action::Quit,
        &["q"],
        &[Mesh, Connections, Settings, Ha, Findings, Events, Overview],
        "quit",
        "leave peerdeck",
    ),
    look(
        Action::Help,
        &["?"],
        &[
            Mesh,
            Connections,
            Settings,
            Ha,
            Findings,
            Events,
            Result,
            Outcomes,
            Palette,
            Overview,
            Log,
            Notices,
            Sessions,
            Columns,
            Changes,
            Conflicts,
            Pick,
            Versions,
            Silences,
            Recent,
        ],
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
        &[
            Mesh,
            Connections,
            Settings,
            Ha,
            Findings,
            Events,
            Palette,
            Overview,
            Columns,
            Changes,
            Conflicts,
            Pick,
            Versions,
            Silences,
        ],
        "back",
        "one step back: filter, detail, list, marks",
    ),
    look(
        Action::Open,
        &["Enter"],
        &[Mesh, Settings, Ha, Findings, Overview, Columns, Conflicts, Pick],
        "open",
        "connections of the row's peer; the next pane; all of an HA unit; evidence of a finding; a cluster; a column \
         on or off; pick",
    ),
    look(
        Action::NextFault,
        &["n"],
        MACHINES,
        "next fault",
        "to the next link that is down; in Settings: to the next inconsistency",
    ),
    look(Action::PreviousFault, &["N"], MACHINES, "", "to the previous link that is down, or inconsistency"),
    look(Action::Diagnose, &["d"], LINKS, "diagnose", "find out why: DNS, TCP, keys, login, version, in steps"),
    look(
        Action::Acknowledge,
        &["i"],
        &[Findings],
        "acknowledge",
        "say that you look after the finding, until it is gone; with a reason, if you like",
    ),
    look(Action::Unacknowledge, &["I"], &[Findings], "", "nobody looks after the finding any more"),
    look(
        Action::Silence,
        &["m"],
        &[Findings],
        "silence",
        "the finding, or all of a peer or of a kind, is not told for a while; wants a reason",
    ),
    look(
        Action::Unsilence,
        &["x", "Delete"],
        &[Findings, Silences],
        "end silence",
        "end the silence: what it is about is told again",
    ),
    look(Action::Silences, &["v"], &[Findings], "silences", "all silences: until when, by whom, why"),
    look(
        Action::HideQuiet,
        &["o"],
        &[Findings],
        "",
        "hide what somebody looks after and what is silenced, or show it again",
    ),
    Spec {
        action: Action::Disconnect,
        hint: "act",
        help: "detach the peer, or all marked ones, from its cluster",
        scopes: PEERS,
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
    ha(
        Action::Switchover,
        DangerClass::Critical,
        &["a s"],
        "the primary of the group hands its role and addresses over, without loss",
    ),
    ha(
        Action::Failover,
        DangerClass::Critical,
        &["a f"],
        "the secondary takes role and addresses by force; says what may be lost",
    ),
    ha(Action::Restore, DangerClass::Critical, &["a o"], "the unit goes back to its configured role"),
    ha(Action::Sync, DangerClass::Disruptive, &["a y"], "the unit takes the configuration over now"),
    ha(Action::AcceptTakeover, DangerClass::Reversible, &["a t"], "acknowledge a takeover: its quiet period ends"),
    ha(Action::RestartHa, DangerClass::Disruptive, &["a h"], "start HA again on the unit after a monitor stopped it"),
    look(
        Action::NextPane,
        &["Tab"],
        &[Settings, Ha],
        "next pane",
        "to the next pane: modes, features, value; in HA: to the next group",
    ),
    look(Action::PreviousPane, &["Shift-Tab"], &[Settings, Ha], "", "to the pane, or group, before"),
    look(
        Action::Set,
        &["e"],
        &[Settings],
        "set",
        "type a value for this mode in a form; it is staged, nothing is sent",
    ),
    look(Action::Edit, &["E"], &[Settings], "", "the value in $EDITOR; it is staged, nothing is sent"),
    look(Action::SetEmpty, &["0"], &[Settings], "", "an empty override at this mode; it is staged, nothing is sent"),
    look(
        Action::Unset,
        &["x", "Delete"],
        &[Settings],
        "unset",
        "inherit again at this mode; it is staged, nothing is sent",
    ),
    look(Action::Copy, &["p"], &[Settings], "", "the value to another mode, or all groups, as well; it is staged"),
    look(Action::Move, &["m"], &[Settings], "", "the value to another mode, or all groups, instead; it is staged"),
    look(Action::Review, &["r"], &[Settings], "review", "what is staged, as a diff, and what it would change where"),
    look(Action::SideBySide, &["v"], &[Settings], "compare", "a second mode beside this one; again: one mode"),
    look(Action::History, &["b"], &[Settings], "history", "all versions of this setting: who, when, where, and why"),
    look(Action::Discard, &["x", "Delete"], &[Changes], "discard", "take the selected change out of the stage"),
    look(
        Action::KeepStaged,
        &["s"],
        &[Changes],
        "keep staged",
        "leave the selected change staged and out of this commit, or take it in again",
    ),
    look(
        Action::Override,
        &["o"],
        &[Changes],
        "override",
        "commit the selected change over what somebody else has written meanwhile",
    ),
    look(Action::ClearChanges, &["X"], &[Settings, Changes], "", "drop everything that is staged"),
    Spec {
        action: Action::Commit,
        hint: "commit",
        help: "write what is staged, with a comment, for everybody",
        scopes: &[Settings, Changes],
        class: Some(DangerClass::Disruptive),
        keys: &["a c"],
    },
    commit(
        Action::Setgroup,
        DangerClass::Disruptive,
        &["a g"],
        MACHINES,
        "move the machine, or all marked ones, to another group; shows what changes on which",
    ),
    commit(
        Action::Resolve,
        DangerClass::Critical,
        &["a x"],
        &[Mesh, Connections, Settings, Conflicts],
        "settle an inconsistency: versions side by side, pick the one that shall stand",
    ),
    commit(
        Action::ResolveAll,
        DangerClass::Critical,
        &["a p"],
        &[Conflicts],
        "settle all inconsistencies with what the machine of the chosen version wrote",
    ),
    Spec {
        action: Action::Addgroup,
        hint: "act",
        help: "a new group",
        scopes: &[Settings],
        class: Some(DangerClass::Reversible),
        keys: &["a n"],
    },
    commit(Action::Renamegroup, DangerClass::Reversible, &["a e"], &[Settings], "another name for the group"),
    commit(
        Action::Deletegroup,
        DangerClass::Disruptive,
        &["a k"],
        &[Settings],
        "take the group away; its machines move to another one",
    ),
    commit(
        Action::Removemachine,
        DangerClass::Critical,
        &["a R"],
        &[Settings],
        "end the machine's membership; what it inherits becomes its own",
    ),
    commit(Action::Setname, DangerClass::Reversible, &["a N"], &[Settings], "another name for the cluster"),
    look(Action::AsJson, &["Ctrl-e"], &[Form], "fields/JSON", "the value as one JSON text, or a field each"),
    look(Action::Mark, &["Space"], MACHINES, "mark", "mark or unmark the row's peer: a acts on all marked ones"),
    look(Action::Results, &["A"], VIEWS, "results", "what became of the last commands, a line for each peer"),
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
    look(Action::UsualColumns, &["u"], &[Columns], "usual ones", "the usual columns again"),
    look(Action::Zoom, &["z"], VIEWS, "zoom", "the selected link, finding or event alone, in full, and back"),
    look(
        Action::Fold,
        &["F"],
        &[Mesh],
        "fold",
        "equal rows as one line, or each by itself; above 60 rows they are one",
    ),
    look(Action::Live, &["u", "Esc"], &[Past], "live", "the present again; in a replay there is none"),
    look(Action::FrameBack, &["h", "Left"], &[Past], "earlier", "one recorded picture earlier"),
    look(Action::FrameOn, &["l", "Right"], &[Past], "later", "one recorded picture later"),
    look(Action::PreviousMark, &["N", "K"], &[Past], "", "to where a finding was raised or cleared before"),
    look(Action::NextMark, &["n", "J"], &[Past], "next finding", "to where a finding was raised or cleared next"),
    look(
        Action::Play,
        &["Space"],
        &[Past],
        "play",
        "time runs on by itself; again: 10 times as fast, 60 times, and stop",
    ),
    look(Action::MinuteBack, &["H", "PageUp"], &[Past], "", "a minute earlier"),
    look(Action::MinuteOn, &["L", "PageDown"], &[Past], "", "a minute later"),
    look(Action::PastStart, &["g", "Home"], &[Past], "", "to the beginning of the recording"),
    look(Action::PastEnd, &["G", "End"], &[Past], "", "to the end of the recording"),
    look(Action::Span, &["s", "Tab"], &[Recent], "span", "reach back ten minutes, an hour, or a day"),
    look(Action::Pause, &["P"], VIEWS, "pause", "the display stands still; collecting goes on"),
    look(
        Action::Changes,
        &["D"],
        VIEWS,
        "changes",
        "what changed in the last ten minutes, by whom it is about, worst first",
    ),
    look(
        Action::LookBack,
        &["u"],
        &[Mesh, Connections, Settings, Ha, Findings, Events, Overview],
        "look back",
        "the whole console shows what was known at a moment of the recording; u again: the present",
    ),
    look(Action::NextView, &["Tab"], PLAIN_VIEWS, "next view", "the next view"),
    look(Action::PreviousView, &["Shift-Tab"], PLAIN_VIEWS, "", "the previous view"),
    look(Action::Overview, &["O"], VIEWS, "clusters", "the clusters of the fleet, a line each; Enter goes into one"),
    look(Action::NextCluster, &["C"], VIEWS, "next cluster", "the next cluster of the fleet"),
    look(Action::CommandLog, &["L"], VIEWS, "log", "commands that were sent, by whom, and what became of them"),
    look(Action::Notices, &["H"], VIEWS, "", "the last 100 toasts with their times"),
    look(Action::Sessions, &["W"], VIEWS, "", "who is logged in on the peers, from where, since when, doing what"),
    look(Action::Theme, &["T"], VIEWS, "theme", "the next theme"),
    look(Action::Clock, &["U"], GENERAL, "local/UTC", "times local or UTC"),
    look(Action::Bell, &["B"], VIEWS, "", "the bell on a new critical finding, on or off"),
    look(Action::CopyCell, &["y c"], VIEWS, "", "copy what the cursor stands on to the terminal's clipboard (OSC 52)"),
    look(Action::CopyRow, &["y r"], VIEWS, "", "copy the cursor's line, with tabs between its values"),
    look(Action::CopyTable, &["y t"], VIEWS, "", "copy all lines that pass the filter, with titles"),
    look(Action::Shell, &["!"], PEERS, "", "ssh to the row's peer; the console comes back when it ends"),
    look(Action::Dump, &["S"], EVERYWHERE, "", "write the screen to a file, as text and with its colours"),
    look(Action::Mouse, &["M"], VIEWS, "", "the mouse on or off; off, the terminal selects text"),
    look(Action::Mesh, &["1"], VIEWS, "", "the Mesh view: who sees whom"),
    look(Action::Settings, &["2"], VIEWS, "", "the Settings view: what applies where"),
    look(Action::Ha, &["3"], VIEWS, "", "the HA view: roles, heartbeats, addresses, and what would happen"),
    look(Action::Findings, &["4"], VIEWS, "", "the Findings view: what is wrong now"),
    look(Action::Events, &["5"], VIEWS, "", "the Events view: what changed, newest at the bottom"),
    look(Action::Up, &["k", "Up"], SCROLLS, "", "up"),
    look(Action::Down, &["j", "Down"], SCROLLS, "", "down"),
    look(Action::Left, &["h", "Left"], &[Mesh, Settings, Conflicts], "", "left; the pane before; the version before"),
    look(Action::Right, &["l", "Right"], &[Mesh, Settings, Conflicts], "", "right; the next pane; the next version"),
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
    look(Action::Cancel, &["Esc", "n", "q"], &[Dialog, Choice, Form], "cancel", "change nothing"),
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
        &[Question, Dialog, Form],
        "other button",
        "to the next field or button",
    ),
    look(Action::SwitchBack, &["Shift-Tab"], &[Dialog, Form], "", "to the field or button before"),
    look(
        Action::Press,
        &["Enter"],
        &[Question, Dialog, Choice, Form],
        "",
        "press the chosen button; does nothing before one was chosen; in a form: take what was typed",
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
            Self::Settings => "Settings",
            Self::Ha => "HA",
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
            Self::Dialog => "Confirmation",
            Self::Choice => "Which of two peers",
            Self::Outcomes => "Results",
            Self::Form => "Form",
            Self::Changes => "Staged changes",
            Self::Conflicts => "Inconsistencies",
            Self::Pick => "Pick one",
            Self::Versions => "History of a setting",
            Self::Silences => "Silences",
            Self::Recent => "What changed",
            Self::Past => "Looking back",
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
        } else if spec.scopes == VIEWS || spec.scopes == PLAIN_VIEWS {
            "views".to_owned()
        } else if spec.scopes == SCROLLS {
            "views, lists and dialogs".to_owned()
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
