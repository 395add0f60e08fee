//! Plans on their way: refused when their basis changed, done when a later observation shows it (rule 6).

use std::sync::Arc;
use std::time::Duration;

use super::Effect;
use super::cluster::ClusterState;
use super::out::Out;
use super::{ha_plans, settings};
use crate::domain::command::{Command, Outcome, OutcomeState};
use crate::domain::event::EventKind;
use crate::domain::finding::Subject;
use crate::domain::ids::PeerId;
use crate::domain::mesh::link::LinkState;
use crate::domain::plan::Plan;
use crate::domain::reach::{EndpointKey, PeerRequest};
use crate::domain::settings::CommitId;
use crate::domain::snapshot::{Committed, Peer};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// How long an observation that shows the new state is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// How far a peer's times may be off, once mapped to our clock.
const SKEW: Duration = Duration::from_secs(2);

/// No more plans than this are on their way at a time.
const PENDING_MAX: usize = 256;

/// Commits of this console that are remembered.
const COMMITS_MAX: usize = 64;

/// A plan that was sent.
#[derive(Debug)]
pub(super) struct Pending {
    id: u64,
    plan: Plan,
    /// Who carries it out or passes it on.
    via: EndpointKey,
    sent: Time,
    taken: bool,
    /// Of a commit: its name, once the peer has told it.
    commit: Option<CommitId>,
}

impl Pending {
    fn target(&self) -> &PeerId {
        self.plan.command.target()
    }
}

impl ClusterState {
    /// Somebody with the right to act wants this done.
    pub fn submit(&mut self, id: u64, plan: Plan, out: &mut Out<'_>) {
        let target = plan.command.target().clone();
        let changes = plan.changes(&self.cluster, out.now);
        let refusal = if let Some(obstacle) = plan.obstacles.first() {
            Some(obstacle.to_string())
        } else if self.position(&target).is_none() {
            Some(format!("{target} is no peer of cluster {}", self.cluster.name))
        } else if !changes.is_empty() {
            let changes: Vec<&str> = changes.iter().map(Line::as_str).collect();
            Some(format!("what it was decided on has changed: {}", changes.join("; ")))
        } else if self.commands.len() >= PENDING_MAX {
            Some(format!("{PENDING_MAX} commands are on their way already"))
        } else {
            None
        };
        if let Some(why) = refusal {
            self.say(id, &plan, OutcomeState::Refused, &why, out);
            return;
        }
        let Some(via) = self.carrier(&target, out.now) else {
            let why = "no peer is connected that could carry it out; nothing was sent";
            self.say(id, &plan, OutcomeState::Refused, why, out);
            return;
        };
        let direct = self.contacts.get(&via).is_some_and(|c| c.id.as_ref() == Some(&target));
        let how = if direct { "sent".to_owned() } else { format!("sent by way of {}", via.host.short()) };
        self.say(id, &plan, OutcomeState::Sent, &how, out);
        out.effect(Effect::Request { key: via.clone(), request: PeerRequest::Execute { id, plan: plan.clone() } });
        self.commands.push(Pending { id, plan, via, sent: out.now, taken: false, commit: None });
    }

    /// The target itself if it is connected, else a fellow that sees it, else any; detached ones pass nothing on.
    fn carrier(&self, target: &PeerId, now: Time) -> Option<EndpointKey> {
        let live = |id: &PeerId| self.contact_of(id).filter(|(_, c)| c.live).map(|(key, _)| key.clone());
        let to = self.position(target)?;
        let fellows: Vec<usize> = (0..self.cluster.peers.len()).filter(|i| *i != to).collect();
        let sees = |i: &&usize| self.cluster.cell(**i, to, now).state == LinkState::Connected;
        let attached = |i: &&usize| self.cluster.peers[**i].detached().is_none();
        live(target)
            .or_else(|| fellows.iter().filter(sees).find_map(|i| live(&self.cluster.peers[*i].id)))
            .or_else(|| fellows.iter().filter(attached).find_map(|i| live(&self.cluster.peers[*i].id)))
            .or_else(|| fellows.iter().find_map(|i| live(&self.cluster.peers[*i].id)))
    }

    /// What the peer said to a command.
    pub fn on_executed(&mut self, id: u64, outcome: &Outcome, commit: Option<CommitId>, out: &mut Out<'_>) {
        let Some(at) = self.commands.iter().position(|p| p.id == id) else { return };
        match outcome.state {
            OutcomeState::Accepted | OutcomeState::Running => {
                self.commands[at].taken = true;
                if let Some(commit) = commit {
                    self.commands[at].commit = Some(commit.clone());
                    self.note_commit(at, commit, out.now);
                }
                let plan = self.commands[at].plan.clone();
                self.say(id, &plan, outcome.state, outcome.detail.as_str(), out);
                // Whoever answers may have told before what it holds.
                self.holding_for_commands(out);
            }
            OutcomeState::Refused | OutcomeState::Failed => {
                let pending = self.commands.remove(at);
                self.say(id, &pending.plan, outcome.state, outcome.detail.as_str(), out);
            }
            // The answer got lost; an observation may still show what came of it.
            OutcomeState::Unknown | OutcomeState::Sent => {}
            // Only an observation says that.
            OutcomeState::Observed => self.commands[at].taken = true,
        }
    }

    /// A row of the peer at `at` came in: does it show what somebody waits for?
    pub fn row_for_commands(&mut self, at: usize, out: &mut Out<'_>) {
        if self.commands.is_empty() {
            return;
        }
        let (peer, now) = (&self.cluster.peers[at], out.now);
        let id = peer.id.clone();
        let vouched = peer.vouched().unwrap_or(Time::ZERO);
        let name = self.cluster.label(&id).to_owned();
        let shows = |p: &Pending| (*p.target() == id && vouched >= p.sent).then(|| seen(p, peer, &name, now)).flatten();
        let mut done = Vec::new();
        let (pending, mut left) = (std::mem::take(&mut self.commands), Vec::new());
        for p in pending {
            match shows(&p) {
                Some(what) => done.push((p, what)),
                None => left.push(p),
            }
        }
        self.commands = left;
        for (pending, what) in done {
            self.say(pending.id, &pending.plan, OutcomeState::Observed, &what, out);
        }
    }

    /// Whoever looks can follow a commit from here on, observed or not.
    fn note_commit(&mut self, at: usize, commit: CommitId, now: Time) {
        let pending = &self.commands[at];
        let (id, on, comment) = (pending.id, pending.target().clone(), pending.plan.command.reason().clone());
        let commits = Arc::make_mut(&mut self.cluster.commits);
        if commits.iter().any(|c| c.commit == commit) {
            return; // The peer has said it before.
        }
        if commits.len() == COMMITS_MAX {
            commits.remove(0);
        }
        commits.push(Committed { id, commit, on, at: now, comment });
        self.dirty = true;
    }

    /// What peers hold came in: is a commit everywhere where it must be?
    pub fn holding_for_commands(&mut self, out: &mut Out<'_>) {
        let there = |p: &Pending| settings::observed(&self.cluster, p.target(), p.commit.as_ref()?);
        if !self.commands.iter().any(|p| there(p).is_some()) {
            return;
        }
        let done: Vec<(u64, String)> = self.commands.iter().filter_map(|p| Some((p.id, there(p)?))).collect();
        for (id, what) in done {
            if let Some(at) = self.commands.iter().position(|p| p.id == id) {
                let pending = self.commands.remove(at);
                self.say(id, &pending.plan, OutcomeState::Observed, &what, out);
            }
        }
    }

    /// The connection over which commands and questions went is gone.
    pub fn commands_lost(&mut self, key: &EndpointKey, out: &mut Out<'_>) {
        self.questions_lost(key, out);
        let (lost, left): (Vec<Pending>, Vec<Pending>) =
            std::mem::take(&mut self.commands).into_iter().partition(|p| p.via == *key && !p.taken);
        self.commands = left;
        for pending in lost {
            let why = format!("the connection to {} was lost before it answered", key.host.short());
            self.say(pending.id, &pending.plan, OutcomeState::Unknown, &why, out);
        }
    }

    /// Nobody will look any more: what was not observed yet is unknown.
    pub fn abandon_commands(&mut self, out: &mut Out<'_>) {
        for pending in std::mem::take(&mut self.commands) {
            let why = "its cluster was taken out of the fleet file before anything was observed";
            self.say(pending.id, &pending.plan, OutcomeState::Unknown, why, out);
        }
    }

    /// What nothing was seen of in time is unknown, not failed.
    pub fn watch_commands(&mut self, out: &mut Out<'_>) {
        let now = out.now;
        let (late, left): (Vec<Pending>, Vec<Pending>) =
            std::mem::take(&mut self.commands).into_iter().partition(|p| now.since(p.sent) >= PATIENCE);
        self.commands = left;
        for pending in late {
            let what = if pending.taken { "it was accepted, and" } else { "it was not answered, and" };
            let lack = pending.commit.as_ref().and_then(|c| settings::lacking(&self.cluster, c));
            let lack = lack.map(|l| format!(": {l}")).unwrap_or_default();
            let why = format!("{what} no observation showed the new state within {} s{lack}", PATIENCE.as_secs());
            self.say(pending.id, &pending.plan, OutcomeState::Unknown, &why, out);
        }
    }

    fn say(&self, id: u64, plan: &Plan, state: OutcomeState, detail: &str, out: &mut Out<'_>) {
        let target = plan.command.target();
        let word: &str = state.into();
        let text = format!("{} {}: {word}, {detail}", plan.command.word(), self.cluster.label(target));
        out.happened(EventKind::Command, Subject::Peer(target.clone()), &text);
        let outcome = Outcome { state, at: out.now, detail: Line::new(detail) };
        out.effect(Effect::Outcome { id, outcome });
    }
}

/// What of the peer's own word shows that the command has come about; `None` as long as it does not.
fn seen(pending: &Pending, peer: &Peer, name: &str, now: Time) -> Option<String> {
    match &pending.plan.command {
        Command::Disconnect { .. } => peer.detached().map(|_| format!("{name} says that it is detached")),
        Command::Reconnect { .. } => {
            peer.detached().is_none().then(|| format!("{name} says that it is no longer detached"))
        }
        Command::MaintenanceOn { reason, .. } => {
            let told = peer.maintenance(now).filter(|m| m.reason == *reason && m.since >= pending.sent.before(SKEW));
            told.map(|_| format!("{name} says that it is in maintenance"))
        }
        Command::MaintenanceOff { .. } => {
            peer.maintenance(now).is_none().then(|| format!("{name} says that it is no longer in maintenance"))
        }
        Command::Ha { act, .. } => ha_plans::seen(peer, *act, pending.sent, pending.plan.basis.ha, now)
            .map(|what| format!("{name} says that {what}")),
        // What it changed is told by no row: see [`ClusterState::holding_for_commands`].
        Command::Commit { .. } => None,
    }
}
