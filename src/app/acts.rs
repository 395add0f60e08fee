//! What changes peers: which ones an action is about, what can't be done and why, and the way from a key to a
//! command.

use std::sync::Arc;

use strum::IntoEnumIterator;

use super::action::{self, Action, Scope};
use super::dialog::{About, Dialog, Focus, refusal};
use super::field::Edit;
use super::keymap::Match;
use super::keys::{self, Key};
use super::question::TYPE_AHEAD;
use super::settings::{Draft, act};
use super::{App, Cmd, Overlay, View, plural};
use crate::domain::ha::HaAct;
use crate::domain::{Cluster, DangerClass, PeerAct, PeerId, Severity, Snapshot, Time};

/// Said when somebody wants to act in a console that only looks.
pub const READ_ONLY: &str = "this console is read-only: nothing can be done to a peer from here";

/// Said when somebody wants to act on a picture that stands still.
const PAUSED: &str = "the display stands still and may be old: resume it before you act";

/// Which peers an action is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Targets {
    /// There is nobody.
    Nobody,
    /// These: the marked ones, or the one that is plainly meant.
    These(Vec<PeerId>),
    /// One of the two of a cell: it must be asked which.
    OneOf {
        /// The row's peer.
        observer: PeerId,
        /// The column's peer.
        observed: PeerId,
    },
}

/// The question which of a cell's two peers is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// What would be done.
    pub action: Action,
    /// Who observes, who is observed.
    pub peers: [PeerId; 2],
    /// Which of the two Enter takes.
    pub at: usize,
    opener: Option<Key>,
}

/// What keys can follow those typed so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Menu {
    /// Whom it is about.
    pub title: String,
    /// A line each.
    pub items: Vec<MenuItem>,
}

/// One key of a menu.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MenuItem {
    /// The keys that are left to press.
    pub keys: String,
    /// The action's word.
    pub word: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// Why it can't be done now.
    pub refusal: Option<String>,
}

/// The action that stands for a command. Without a wildcard: a new command has none until it is named here.
#[must_use]
pub fn action_of(kind: PeerAct) -> Action {
    match kind {
        PeerAct::Disconnect => Action::Disconnect,
        PeerAct::Reconnect => Action::Reconnect,
        PeerAct::MaintenanceOn => Action::MaintenanceOn,
        PeerAct::MaintenanceOff => Action::MaintenanceOff,
    }
}

/// The command that an action stands for; `None` when it changes no peer.
#[must_use]
pub fn command_of(action: Action) -> Option<PeerAct> {
    PeerAct::iter().find(|kind| action_of(*kind) == action)
}

/// The action that stands for what is asked of a unit of an HA group. Without a wildcard, as [`action_of`].
#[must_use]
pub fn action_of_ha(act: HaAct) -> Action {
    match act {
        HaAct::Switchover => Action::Switchover,
        HaAct::Failover => Action::Failover,
        HaAct::Restore => Action::Restore,
        HaAct::Restart => Action::RestartHa,
        HaAct::Sync => Action::Sync,
        HaAct::Accept => Action::AcceptTakeover,
    }
}

/// What `action` asks of a unit of an HA group; `None` when it asks nothing of one.
#[must_use]
pub fn ha_act_of(action: Action) -> Option<HaAct> {
    HaAct::iter().find(|act| action_of_ha(*act) == action)
}

/// Actions that change no peer, and are of no use in a console that only looks.
const OTHERS: &[Action] = &[
    Action::Mark,
    Action::Results,
    Action::StopRest,
    Action::Acknowledge,
    Action::Unacknowledge,
    Action::Silence,
    Action::Unsilence,
];

/// Whether `action` is of use only where something can be done: a read-only console has none of these.
#[must_use]
pub(super) fn is_for_acting(action: Action) -> bool {
    let changes = action::TABLE.iter().any(|s| s.action == action && s.class.is_some());
    changes || act::stages(action) || OTHERS.contains(&action)
}

/// Whether `action` ends in a command: such ones stand behind the leader.
#[must_use]
pub fn leads(action: Action) -> bool {
    command_of(action).is_some() || ha_act_of(action).is_some() || act::commits(action)
}

impl App {
    /// Whom an action would be about now.
    #[must_use]
    pub fn targets(&self) -> Targets {
        let Some(cluster) = self.cluster() else { return Targets::Nobody };
        if !self.marks.is_empty() {
            return Targets::These(self.marks.peers(cluster));
        }
        if self.view == View::Ha {
            return self.unit().map_or(Targets::Nobody, |id| Targets::These(vec![id.clone()]));
        }
        let (View::Mesh, Some((from, to))) = (self.view, self.selected()) else { return Targets::Nobody };
        let id = |at: usize| cluster.peers[at].id.clone();
        if self.connections || from == to {
            return Targets::These(vec![id(to)]);
        }
        Targets::OneOf { observer: id(from), observed: id(to) }
    }

    /// Why nothing can be done from here at all.
    pub(super) fn hindrance(&self) -> Option<&'static str> {
        if let Some(why) = self.no_acting() {
            return Some(why);
        }
        if self.past.is_some() {
            return Some(super::past::IN_THE_PAST);
        }
        self.paused_at().map(|_| PAUSED)
    }

    /// Why this console never does anything.
    pub(super) fn no_acting(&self) -> Option<&'static str> {
        self.options.read_only.then_some(READ_ONLY)
    }

    /// Why `action`, which ends in a command, can't be done now.
    #[must_use]
    pub fn refusal_of(&self, action: Action, now: Time) -> Option<String> {
        match (command_of(action), ha_act_of(action)) {
            (Some(kind), _) => self.refusal(kind, now),
            (None, Some(act)) => self.ha_refusal(act, now),
            (None, None) => self.settings_refusal(action),
        }
    }

    /// Why `action` can't be done to one of the two peers of a cell.
    #[must_use]
    pub fn refusal_for(&self, action: Action, peer: &PeerId, now: Time) -> Option<String> {
        match command_of(action) {
            Some(kind) => self.cluster().and_then(|c| refusal(kind, c, peer, now)),
            None => None,
        }
    }

    /// Why `kind` can't be done to anybody that it would be about.
    #[must_use]
    pub fn refusal(&self, kind: PeerAct, now: Time) -> Option<String> {
        if let Some(why) = self.hindrance() {
            return Some(why.to_owned());
        }
        let Some(cluster) = self.cluster() else { return Some("there is no cluster".to_owned()) };
        let peers = match self.targets() {
            Targets::Nobody => return Some("no peer is selected".to_owned()),
            Targets::These(peers) => peers,
            Targets::OneOf { observer, observed } => vec![observer, observed],
        };
        let mut why = Vec::new();
        for peer in &peers {
            why.push(refusal(kind, cluster, peer, now)?);
        }
        let first = why.first()?;
        Some(match why.len() {
            1 => first.clone(),
            2 => format!("{first}; the other can't either"),
            n => format!("{first}; the other {} can't either", n - 1),
        })
    }

    /// Whether anything can be done to anybody now: only then is the leader hinted.
    #[must_use]
    pub(super) fn can_act(&self) -> bool {
        self.hindrance().is_none() && (self.targets() != Targets::Nobody || self.view == View::Settings)
    }

    /// The keys that can follow those typed so far, what they do, and what stands against it.
    #[must_use]
    pub fn menu(&self, now: Time) -> Option<Menu> {
        if self.pending.is_empty() {
            return None;
        }
        let mut items = Vec::new();
        let mut changes = false;
        for (chord, action) in self.keymap.after(self.scope(), &self.pending) {
            changes |= leads(action);
            if ha_act_of(action).is_some_and(|act| !self.has_ha_act(act, now)) {
                // What a group never does is not told at all.
                continue;
            }
            let help = action::TABLE.iter().find(|s| s.action == action).map_or("", |s| s.help);
            let refusal = if leads(action) { self.refusal_of(action, now) } else { None };
            let keys = keys::print(&chord[self.pending.len()..]);
            items.push(MenuItem { keys, word: action.name(), help, refusal });
        }
        let typed = keys::print(&self.pending);
        let title = if changes { format!("{typed}  on {}", self.about()) } else { typed };
        Some(Menu { title, items })
    }

    /// Whom an action would be about, in words.
    fn about(&self) -> String {
        let Some(cluster) = self.cluster() else { return "nobody".to_owned() };
        if let Some(group) = self.unit_group().filter(|_| self.view == View::Ha && self.marks.is_empty()) {
            return format!("{}, group {group}", self.unit().map_or("nobody", |id| cluster.label(id)));
        }
        if self.view == View::Settings && self.marks.is_empty() {
            return self.book().map_or_else(|| "nobody".to_owned(), |b| b.tree().mode_name(&self.mode()));
        }
        match self.targets() {
            Targets::Nobody => "nobody".to_owned(),
            Targets::OneOf { observer, observed } => {
                format!("{} or {}, you will be asked", cluster.label(&observer), cluster.label(&observed))
            }
            Targets::These(peers) => match peers.as_slice() {
                [one] if self.marks.is_empty() => cluster.label(one).to_owned(),
                several => {
                    let names: Vec<&str> = several.iter().map(|p| cluster.label(p)).collect();
                    format!("{} marked: {}", plural_peers(several.len()), names.join(", "))
                }
            },
        }
    }

    /// Whether the keys typed so far lead to nothing but what a read-only console can't do.
    pub(super) fn leads_nowhere(&self, scope: Scope) -> bool {
        self.options.read_only && self.keymap.after(scope, &self.pending).all(|(_, action)| is_for_acting(action))
    }

    /// Whether the keys typed so far lead to what changes peers, and to nothing else.
    pub(super) fn is_leading(&self, scope: Scope, typed: &[Key]) -> bool {
        let mut after = self.keymap.after(scope, typed).peekable();
        after.peek().is_some() && after.all(|(_, action)| leads(action))
    }

    /// An action that changes peers was chosen.
    pub(super) fn begin(&mut self, action: Action, key: Option<Key>, now: Time) -> Vec<Cmd> {
        let Some(kind) = command_of(action) else { return Vec::new() };
        if let Some(why) = self.refusal(kind, now) {
            self.toast(why, Severity::Warning, now);
            return Vec::new();
        }
        match self.targets() {
            Targets::Nobody => Vec::new(),
            Targets::These(peers) => self.ask(kind, peers, key, now),
            Targets::OneOf { observer, observed } => {
                self.ask_which(action, [observer, observed], key);
                Vec::new()
            }
        }
    }

    /// Asks which of a cell's two peers is meant.
    pub(super) fn ask_which(&mut self, action: Action, peers: [PeerId; 2], opener: Option<Key>) {
        self.overlay = Some(Overlay::Choice(Choice { action, peers, at: 0, opener }));
    }

    /// One of a cell's two peers was picked.
    pub(super) fn pick(&mut self, at: usize, now: Time) -> Vec<Cmd> {
        let Some(Overlay::Choice(choice)) = &self.overlay else { return Vec::new() };
        let (action, peer, opener) = (choice.action, choice.peers[at].clone(), choice.opener);
        if let Some(why) = self.refusal_for(action, &peer, now) {
            self.toast(why, Severity::Warning, now);
            return Vec::new();
        }
        self.overlay = None;
        if let Some(kind) = command_of(action) {
            return self.ask(kind, vec![peer], opener, now);
        }
        self.pick_group(&[peer], now);
        Vec::new()
    }

    /// Opens the confirmation, or does at once what needs none.
    fn ask(&mut self, kind: PeerAct, peers: Vec<PeerId>, key: Option<Key>, now: Time) -> Vec<Cmd> {
        let Some(cluster) = self.cluster().cloned() else { return Vec::new() };
        let dialog = Dialog::new(kind, &cluster, peers, now);
        self.open_or_do(dialog, &cluster, key, now)
    }

    fn open_or_do(
        &mut self,
        dialog: Result<Dialog, String>,
        cluster: &Cluster,
        key: Option<Key>,
        now: Time,
    ) -> Vec<Cmd> {
        match dialog {
            Err(why) => {
                self.toast(why, Severity::Warning, now);
                Vec::new()
            }
            Ok(dialog) if dialog.is_form() && !dialog.asks_how_long() => self.carry_out(dialog, cluster, now),
            Ok(mut dialog) => {
                dialog.opener = key;
                self.overlay = Some(Overlay::Dialog(Box::new(dialog)));
                Vec::new()
            }
        }
    }

    /// Opens the confirmation of what is asked of a unit, or asks it at once.
    pub(super) fn ask_ha(&mut self, act: HaAct, unit: PeerId, key: Option<Key>, now: Time) -> Vec<Cmd> {
        let Some(cluster) = self.cluster().cloned() else { return Vec::new() };
        let dialog = Dialog::of_ha(act, &cluster, unit, now);
        self.open_or_do(dialog, &cluster, key, now)
    }

    /// Opens the confirmation of a commit.
    pub(super) fn ask_commit(&mut self, draft: Draft, key: Option<Key>, now: Time) -> Vec<Cmd> {
        let Some(cluster) = self.cluster().cloned() else { return Vec::new() };
        match Dialog::of_commit(draft, &cluster, now) {
            Err(why) => self.toast(why, Severity::Warning, now),
            Ok(mut dialog) => {
                dialog.opener = key;
                self.open_over(Overlay::Dialog(Box::new(dialog)), now);
            }
        }
        Vec::new()
    }

    /// Commits without a confirmation what is undone by the opposite key.
    ///
    /// # Errors
    /// Why it can't be done.
    pub(super) fn commit_at_once(&mut self, draft: Draft, now: Time) -> Result<Vec<Cmd>, String> {
        let cluster = self.cluster().cloned().ok_or("there is no cluster")?;
        let dialog = Dialog::of_commit(draft, &cluster, now)?;
        if let Some(why) = dialog.obstacle(&cluster) {
            return Err(why);
        }
        Ok(self.carry_out(dialog, &cluster, now))
    }

    /// Sends what was confirmed. A single reversible one is told by toasts; others get their panel.
    fn carry_out(&mut self, mut dialog: Dialog, cluster: &Cluster, now: Time) -> Vec<Cmd> {
        dialog.edited(cluster, now);
        let plans = dialog.plans().to_vec();
        let names: Vec<String> = plans.iter().map(|p| cluster.label(p.command.target()).to_owned()).collect();
        let word = dialog.about.word();
        let told = match &dialog.about {
            About::Peers(_) => names.join(", "),
            About::Ha { group, .. } => format!("{group} at {}", names.join(", ")),
            About::Commit(draft) => draft.about.clone(),
        };
        self.under.clear();
        self.overlay = if dialog.is_form() && plans.len() == 1 {
            self.toast(format!("{word} {told}: sent"), Severity::Notice, now);
            None
        } else {
            Some(Overlay::Results { top: 0 })
        };
        // An action spends its marks: the next one shall not meet them by surprise.
        self.marks.clear();
        self.start(dialog.about.clone(), dialog.cluster.clone(), names, plans, now)
    }

    /// The dialog that is open.
    #[must_use]
    pub fn dialog(&self) -> Option<&Dialog> {
        match &self.overlay {
            Some(Overlay::Dialog(dialog)) => Some(dialog),
            _ => None,
        }
    }

    fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        match &mut self.overlay {
            Some(Overlay::Dialog(dialog)) => Some(dialog),
            _ => None,
        }
    }

    /// The cluster that the open dialog is about, as it is now.
    fn dialog_cluster(&self) -> Option<Arc<Cluster>> {
        let dialog = self.dialog()?;
        self.live.clusters.iter().find(|c| c.name == dialog.cluster).cloned()
    }

    /// A newer picture: does the open dialog still rest on it?
    pub(super) fn compare_basis(&mut self, live: &Snapshot, now: Time) {
        if let Some(dialog) = self.dialog_mut() {
            let cluster = live.clusters.iter().find(|c| c.name == dialog.cluster);
            dialog.compare(cluster.map(AsRef::as_ref), now);
        }
    }

    /// Gives a key to what is open, before the keymap; true when it is used up.
    pub(super) fn key_of_dialog(&mut self, key: Key, now: Time) -> bool {
        let cluster = self.dialog_cluster();
        let means = self.keymap.find(Scope::Dialog, &[key]);
        let Some(dialog) = self.dialog_mut() else { return false };
        let text = key.text().is_some();
        if !dialog.is_awake(now) {
            // Control keys still work: leaving, redrawing.
            return !key.ctrl;
        }
        if !dialog.changes().is_empty() {
            // Whoever was typing must not cancel, or choose a button, by the rest of a word.
            return match means {
                Match::Action(Action::ReadAgain) => false,
                Match::Action(Action::SwitchButton | Action::SwitchBack | Action::Press | Action::Confirm) => true,
                Match::Action(_) | Match::Prefix | Match::None => text,
            };
        }
        if text && !dialog.is_typing() && dialog.class() == DangerClass::Critical {
            dialog.focus = Focus::Typed;
            dialog.moved = true;
        }
        let Some(field) = dialog.field() else { return false };
        match field.key(key) {
            Edit::Changed => {
                if let Some(cluster) = cluster {
                    dialog.edited(&cluster, now);
                }
                true
            }
            // Enter and Escape mean what they mean in the dialog.
            Edit::Done | Edit::Cancelled | Edit::Ignored => false,
        }
    }

    /// Text was pasted over the dialog. What must be typed can't be pasted.
    pub(super) fn paste_into_dialog(&mut self, text: &str, now: Time) {
        let cluster = self.dialog_cluster();
        let Some(dialog) = self.dialog_mut() else { return };
        if !dialog.is_awake(now) || dialog.focus == Focus::Typed {
            return;
        }
        if let Some(field) = dialog.field() {
            field.paste(text);
            if let Some(cluster) = cluster {
                dialog.edited(&cluster, now);
            }
        }
    }

    /// Enter in what is open.
    pub(super) fn press_in_dialog(&mut self, now: Time) -> Vec<Cmd> {
        if let Some(Overlay::Choice(choice)) = &self.overlay {
            let at = choice.at;
            return self.pick(at, now);
        }
        let Some(dialog) = self.dialog_mut() else { return Vec::new() };
        match dialog.focus {
            Focus::Reason | Focus::Lasting if !dialog.is_form() => dialog.shift(true),
            Focus::Reason | Focus::Lasting | Focus::Typed => return self.confirm(now),
            Focus::Cancel if dialog.moved => self.close_overlay(),
            Focus::Confirm if dialog.moved => return self.confirm(now),
            Focus::Cancel | Focus::Confirm => {}
        }
        Vec::new()
    }

    /// The key that confirms was pressed.
    pub(super) fn confirm_by_key(&mut self, key: Option<Key>, now: Time) -> Vec<Cmd> {
        match &self.overlay {
            Some(Overlay::Leave { since }) if now.since(*since) >= TYPE_AHEAD => vec![Cmd::Quit],
            Some(Overlay::Dialog(dialog)) if key.is_none() || dialog.opener != key => self.confirm(now),
            _ => Vec::new(),
        }
    }

    fn confirm(&mut self, now: Time) -> Vec<Cmd> {
        let Some(dialog) = self.dialog().cloned() else { return Vec::new() };
        let Some(cluster) = self.dialog_cluster() else { return Vec::new() };
        if self.hindrance().is_some() || !dialog.is_awake(now) || dialog.obstacle(&cluster).is_some() {
            return Vec::new(); // The dialog itself says why.
        }
        self.carry_out(dialog, &cluster, now)
    }

    /// Takes the facts as they are now.
    pub(super) fn read_again(&mut self, now: Time) {
        let cluster = self.dialog_cluster();
        let Some(dialog) = self.dialog_mut() else { return };
        let read = match cluster {
            Some(cluster) => dialog.read(&cluster, now),
            None => Err(format!("cluster {} is gone", dialog.cluster)),
        };
        if let Err(why) = read {
            self.close_overlay();
            self.toast(why, Severity::Warning, now);
        }
    }

    /// Moves the focus of the dialog.
    pub(super) fn shift_focus(&mut self, forward: bool) {
        if let Some(dialog) = self.dialog_mut() {
            dialog.shift(forward);
        }
    }

    /// Leaves at once, or asks while commands are on their way.
    pub(super) fn quit(&mut self, now: Time) -> Vec<Cmd> {
        if self.runs.unfinished().next().is_none() {
            return vec![Cmd::Quit];
        }
        self.overlay = Some(Overlay::Leave { since: now });
        Vec::new()
    }
}

fn plural_peers(n: usize) -> String {
    format!("{n} {}", plural(n, "peer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_an_action_of_its_own_with_its_class_behind_the_leader() {
        let mut seen = Vec::new();
        for kind in PeerAct::iter() {
            let action = action_of(kind);
            assert!(!seen.contains(&action), "{action:?} stands for two commands");
            seen.push(action);
            let spec = action::TABLE.iter().find(|s| s.action == action).unwrap();
            assert_eq!(spec.class, Some(kind.class()), "{action:?}");
            assert!(spec.keys.iter().all(|k| k.starts_with("a ")), "{action:?}");
            assert_eq!(action.name(), <&str>::from(kind), "one word everywhere");
        }
    }

    #[test]
    fn f15_each_act_of_a_unit_has_an_action_of_its_own_with_its_class_behind_the_leader() {
        let mut seen = Vec::new();
        for act in HaAct::iter() {
            let action = action_of_ha(act);
            assert!(!seen.contains(&action), "{action:?} stands for two acts");
            seen.push(action);
            let spec = action::TABLE.iter().find(|s| s.action == action).unwrap();
            assert_eq!(spec.class, Some(act.class()), "{action:?}");
            assert!(spec.keys.iter().all(|k| k.starts_with("a ")), "{action:?}");
            assert!(action.name().starts_with(act.as_str()), "one word everywhere: {action:?}");
        }
    }
}
