//! The confirmation of what would change peers: evidence, effects, and keys that can't confirm by accident.

use crate::app::field::TextField;
use crate::app::keys::Key;
use crate::app::question::TYPE_AHEAD;
use crate::app::settings::Draft;
use crate::domain::ha::HaAct;
use crate::domain::maintenance::LASTING_MAX;
use crate::domain::{Cluster, ClusterName, Command, DangerClass, HaName, Line, PeerAct, PeerId, Plan, Time, span};
use crate::engine::plans;

/// How long maintenance lasts unless something else is typed.
const LASTING: &str = "1h";

/// Where the keys go inside the dialog.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Focus {
    /// The field for the reason.
    Reason,
    /// The field for how long.
    Lasting,
    /// The field for the typed name or count.
    Typed,
    /// Change nothing.
    Cancel,
    /// Do it.
    Confirm,
}

/// What a dialog asks about.
#[derive(Clone, PartialEq, Debug)]
pub enum About {
    /// The same for some peers, one after the other.
    Peers(PeerAct),
    /// Something of a unit of an HA group.
    Ha {
        /// What.
        act: HaAct,
        /// Of which group.
        group: HaName,
    },
    /// One commit.
    Commit(Box<Draft>),
}

impl About {
    /// The action's word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Peers(kind) => kind.into(),
            Self::Ha { act, .. } => act.as_str(),
            Self::Commit(draft) => draft.word,
        }
    }
}

/// A confirmation that is open.
#[derive(Clone, PartialEq, Debug)]
pub struct Dialog {
    /// Of which cluster the peers are.
    pub cluster: ClusterName,
    /// What would be done.
    pub about: About,
    /// Since when it stands there, or was read again.
    pub since: Time,
    /// Where the focus is.
    pub focus: Focus,
    /// Whether the focus was moved on purpose: only then does Enter press a button.
    pub moved: bool,
    /// First line of evidence and effects that is shown.
    pub top: usize,
    /// Why, in the person's words.
    pub reason: TextField,
    /// For how long, as typed; only for maintenance.
    pub lasting: TextField,
    /// What was typed to confirm; only where that is asked for.
    pub typed: TextField,
    /// The key that opened it: it never confirms, whatever it is bound to.
    pub opener: Option<Key>,
    wanted: Vec<PeerId>,
    plans: Vec<Plan>,
    left_out: Vec<Line>,
    changes: Vec<Line>,
}

impl Dialog {
    /// A dialog about doing `kind` to those of `wanted` to whom it can be done.
    ///
    /// # Errors
    /// Why it can be done to none of them.
    pub fn new(kind: PeerAct, cluster: &Cluster, wanted: Vec<PeerId>, now: Time) -> Result<Self, String> {
        Self::open(About::Peers(kind), cluster, wanted, now)
    }

    /// A dialog about a commit.
    ///
    /// # Errors
    /// Why it can't be made.
    pub fn of_commit(draft: Draft, cluster: &Cluster, now: Time) -> Result<Self, String> {
        Self::open(About::Commit(Box::new(draft)), cluster, Vec::new(), now)
    }

    /// A dialog about asking `act` of `unit`.
    ///
    /// # Errors
    /// Why it can't be asked.
    pub fn of_ha(act: HaAct, cluster: &Cluster, unit: PeerId, now: Time) -> Result<Self, String> {
        let status = cluster.peer(&unit).and_then(|p| p.ha.as_ref());
        let Some((status, _)) = status else {
            return Err(format!("{} is in no HA group", cluster.label(&unit)));
        };
        let about = About::Ha { act, group: status.group.clone() };
        Self::open(about, cluster, vec![unit], now)
    }

    fn open(about: About, cluster: &Cluster, wanted: Vec<PeerId>, now: Time) -> Result<Self, String> {
        let mut dialog = Self {
            cluster: cluster.name.clone(),
            about,
            since: now,
            focus: Focus::Cancel,
            moved: false,
            top: 0,
            reason: TextField::default(),
            lasting: TextField::new(LASTING),
            typed: TextField::default(),
            opener: None,
            wanted,
            plans: Vec::new(),
            left_out: Vec::new(),
            changes: Vec::new(),
        };
        dialog.read(cluster, now)?;
        Ok(dialog)
    }

    /// Takes the facts as `cluster` shows them now: a new plan, a new basis, and nothing is confirmed yet.
    ///
    /// # Errors
    /// Why it can be done to nobody any more.
    pub fn read(&mut self, cluster: &Cluster, now: Time) -> Result<(), String> {
        self.plans = match &self.about {
            About::Peers(kind) => {
                let mut able = Vec::new();
                self.left_out.clear();
                for peer in &self.wanted {
                    match refusal(*kind, cluster, peer, now) {
                        None => able.push(peer.clone()),
                        Some(why) => self.left_out.push(Line::new(&why)),
                    }
                }
                if able.is_empty() {
                    let why = self.left_out.first().map_or("there is no peer to do it to", Line::as_str);
                    return Err(why.to_owned());
                }
                plans::plans(cluster, able.into_iter().map(|p| self.command(*kind, p)).collect(), now)
            }
            About::Ha { act, .. } => {
                let commands = self.wanted.iter().map(|unit| self.ha_command(*act, unit.clone())).collect();
                let plans = plans::plans(cluster, commands, now);
                if let Some(why) = plans.iter().flat_map(|p| &p.obstacles).next() {
                    return Err(why.to_string());
                }
                plans
            }
            About::Commit(draft) => vec![draft.plan(cluster, self.reason_line(), now)?],
        };
        self.changes.clear();
        self.since = now;
        self.top = 0;
        self.moved = false;
        self.typed = TextField::default();
        self.focus = if self.is_form() { Focus::Reason } else { Focus::Cancel };
        Ok(())
    }

    /// How much it can break: detaching several peers at once may take a group out of service.
    #[must_use]
    pub fn class(&self) -> DangerClass {
        match &self.about {
            About::Peers(PeerAct::Disconnect) if self.plans.len() > 1 => DangerClass::Critical,
            About::Peers(kind) => kind.class(),
            About::Ha { act, .. } => act.class(),
            About::Commit(_) => self.plans.first().map_or(DangerClass::Critical, Plan::class),
        }
    }

    /// What would be done, the canary first.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// Who was wanted and is left out, and why.
    #[must_use]
    pub fn left_out(&self) -> &[Line] {
        &self.left_out
    }

    /// What is no longer as it was decided on; empty while the plans hold.
    #[must_use]
    pub fn changes(&self) -> &[Line] {
        &self.changes
    }

    /// Whether `peer` would be changed.
    #[must_use]
    pub fn is_about(&self, peer: &PeerId) -> bool {
        match &self.about {
            About::Peers(_) | About::Ha { .. } => self.plans.iter().any(|p| p.command.target() == peer),
            About::Commit(draft) => draft.machines.contains(peer),
        }
    }

    /// Whether it only asks for the particulars: what it does is undone by the opposite key.
    #[must_use]
    pub fn is_form(&self) -> bool {
        self.class() == DangerClass::Reversible
    }

    /// What must be typed to confirm: a number for several, the name for one; `None` where a button will do.
    #[must_use]
    pub fn wanted_text(&self, cluster: &Cluster) -> Option<String> {
        if let (About::Commit(draft), DangerClass::Critical) = (&self.about, self.class()) {
            return Some(draft.typed.clone());
        }
        if let (About::Ha { group, .. }, DangerClass::Critical) = (&self.about, self.class()) {
            return Some(group.to_string());
        }
        match (self.class(), self.plans.as_slice()) {
            (DangerClass::Reversible | DangerClass::Disruptive, _) => None,
            (DangerClass::Critical, [one]) => Some(cluster.label(one.command.target()).to_owned()),
            (DangerClass::Critical, several) => Some(several.len().to_string()),
        }
    }

    /// Whether keys count already.
    #[must_use]
    pub fn is_awake(&self, now: Time) -> bool {
        now.since(self.since) >= TYPE_AHEAD
    }

    /// Why it can't be confirmed as it stands.
    #[must_use]
    pub fn obstacle(&self, cluster: &Cluster) -> Option<String> {
        if !self.changes.is_empty() {
            return Some("what it was decided on has changed".to_owned());
        }
        if self.asks_how_long() {
            match span::parse(self.lasting.as_str()) {
                Err(why) => return Some(why),
                Ok(lasting) if lasting.is_zero() || lasting > LASTING_MAX => {
                    return Some(format!("maintenance lasts up to {} days", LASTING_MAX.as_secs() / 86_400));
                }
                Ok(_) => {}
            }
        }
        if let Some(obstacle) = self.plans.iter().flat_map(|p| &p.obstacles).next() {
            return Some(obstacle.to_string());
        }
        let wanted = self.wanted_text(cluster)?;
        (self.typed.as_str().trim() != wanted).then(|| format!("type {wanted} to confirm"))
    }

    /// Whether it asks for how long.
    #[must_use]
    pub fn asks_how_long(&self) -> bool {
        match self.about {
            About::Peers(PeerAct::MaintenanceOn) => true,
            About::Peers(PeerAct::Disconnect | PeerAct::Reconnect | PeerAct::MaintenanceOff)
            | About::Ha { .. }
            | About::Commit(_) => false,
        }
    }

    /// Whether links of the peers would change, and not only what is announced about them.
    #[must_use]
    pub fn changes_links(&self) -> bool {
        match self.about {
            About::Peers(PeerAct::Disconnect | PeerAct::Reconnect) => true,
            About::Peers(PeerAct::MaintenanceOn | PeerAct::MaintenanceOff) | About::Ha { .. } | About::Commit(_) => {
                false
            }
        }
    }

    /// Fields and buttons in the order of the Tab key.
    #[must_use]
    pub fn order(&self) -> Vec<Focus> {
        let mut order = vec![Focus::Reason];
        if self.asks_how_long() {
            order.push(Focus::Lasting);
        }
        if self.class() == DangerClass::Critical {
            order.push(Focus::Typed);
        }
        order.extend([Focus::Cancel, Focus::Confirm]);
        order
    }

    /// Moves the focus.
    pub fn shift(&mut self, forward: bool) {
        let order = self.order();
        let at = order.iter().position(|f| *f == self.focus).unwrap_or(0);
        let step = if forward { 1 } else { order.len() - 1 };
        self.focus = order[(at + step) % order.len()];
        self.moved = true;
    }

    /// The text field that has the keys. A dialog that turned red takes no text: it must be read first.
    pub fn field(&mut self) -> Option<&mut TextField> {
        if !self.changes.is_empty() {
            return None;
        }
        match self.focus {
            Focus::Reason => Some(&mut self.reason),
            Focus::Lasting => Some(&mut self.lasting),
            Focus::Typed => Some(&mut self.typed),
            Focus::Cancel | Focus::Confirm => None,
        }
    }

    /// Whether a text field has the keys.
    #[must_use]
    pub fn is_typing(&self) -> bool {
        self.changes.is_empty()
            && match self.focus {
                Focus::Reason | Focus::Lasting | Focus::Typed => true,
                Focus::Cancel | Focus::Confirm => false,
            }
    }

    /// The text of a field has changed: the plans say so, on the same basis.
    pub fn edited(&mut self, cluster: &Cluster, now: Time) {
        if !self.changes.is_empty() {
            return;
        }
        let commands = match &self.about {
            About::Peers(kind) => self.plans.iter().map(|p| self.command(*kind, p.command.target().clone())).collect(),
            About::Ha { act, .. } => {
                self.plans.iter().map(|p| self.ha_command(*act, p.command.target().clone())).collect()
            }
            About::Commit(_) => {
                // The comment is all that can be typed here: what would be written stays as it was read.
                let reason = self.reason_line();
                for plan in &mut self.plans {
                    if let Command::Commit { comment, .. } = &mut plan.command {
                        *comment = reason.clone();
                    }
                }
                return;
            }
        };
        let bases: Vec<_> = self.plans.iter().map(|p| p.basis.clone()).collect();
        self.plans = plans::plans(cluster, commands, now);
        for (plan, basis) in self.plans.iter_mut().zip(bases) {
            plan.basis = basis;
        }
    }

    /// Compares the newest picture with what the plans rest on. What has changed once must be read again, even if
    /// it changes back. Ages and round trips are no part of it.
    pub fn compare(&mut self, cluster: Option<&Cluster>, now: Time) {
        let mut changes: Vec<Line> = Vec::new();
        match cluster {
            None => changes.push(Line::new(&format!("cluster {} is gone", self.cluster))),
            Some(cluster) => {
                for change in self.plans.iter().flat_map(|p| p.changes(cluster, now)) {
                    if !changes.contains(&change) {
                        changes.push(change);
                    }
                }
            }
        }
        if !changes.is_empty() {
            self.changes = changes;
            self.top = 0;
        }
    }

    fn command(&self, kind: PeerAct, peer: PeerId) -> Command {
        let lasting = span::parse(self.lasting.as_str()).unwrap_or(LASTING_MAX);
        kind.command(peer, lasting, self.reason_line())
    }

    fn ha_command(&self, act: HaAct, on: PeerId) -> Command {
        Command::Ha { act, on, reason: self.reason_line() }
    }

    fn reason_line(&self) -> Line {
        Line::new(self.reason.as_str().trim())
    }
}

/// Why `kind` can't be done to `peer` as things stand; `None` when it can.
#[must_use]
pub fn refusal(kind: PeerAct, cluster: &Cluster, peer: &PeerId, now: Time) -> Option<String> {
    let lasting = span::parse(LASTING).unwrap_or(LASTING_MAX);
    let plan = plans::plan(cluster, kind.command(peer.clone(), lasting, Line::default()), now);
    plan.obstacles.first().map(ToString::to_string)
}
