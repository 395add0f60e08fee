//! The settings at this peer: commits, synchronisation with fellows, and nothing told before it is on disk.
//!
//! One batch of changes is written at a time. Until it is kept, it is neither shown nor acknowledged nor passed on,
//! and whatever else comes waits in a queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;

use super::asked::Waiting;
use super::secrets::Secrets;
use super::{ConnId, Core, Effect, RequestId};
use crate::daemon::replica::{Batch, Note, Replica};
use crate::daemon::vault::Vault;
use crate::domain::command::OutcomeState;
use crate::domain::ids::{FeatureName, GroupId, HostName, PeerId};
use crate::domain::membership::Membership;
use crate::domain::settings::{Catalogue, CommitId, Edit, Holding, Key, Past, Tree, Value, rules, words};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::frame::{Frame, Sync};
use crate::proto::rpc::{ExecuteParams, ExecuteResult};

/// Bytes of a message that one frame carries: a ping behind it waits a few milliseconds at most.
const PART: usize = 24 * 1024;

/// Parts that may be on their way to one fellow.
const WINDOW: u32 = 8;

/// Longest message that is put together.
const MESSAGE_MAX: usize = 64 * 1024 * 1024;

/// Commits and messages that may wait for the disk.
const WAITING_MAX: usize = 1024;

/// After a write that failed, fellows are asked again so much later.
const RETRY: Duration = Duration::from_secs(5);

/// Who wants an answer to a commit.
#[derive(Debug)]
pub(super) enum Asker {
    /// A session of this peer.
    Session(RequestId),
    /// A fellow that passed the command on, with its number for it.
    Fellow { id: PeerId, n: Option<u64> },
}

#[derive(Debug)]
enum Work {
    Commit { asker: Asker, by: Line, params: Box<ExecuteParams> },
    Message { from: PeerId, bytes: Vec<u8> },
}

/// A batch on its way to the disk.
#[derive(Debug)]
struct Keeping {
    /// Names it.
    batch: u64,
    commit: Option<CommitId>,
    /// Of a commit: who waits, and what to say.
    asker: Option<(Asker, String)>,
}

/// Synchronisation over one connection. Both sides number theirs, so that each notices when the other began anew.
#[derive(Debug)]
struct Session {
    conn: ConnId,
    own: u64,
    theirs: Option<u64>,
    out: VecDeque<Frame>,
    /// Parts that may still be sent.
    credit: u32,
    /// Parts that were taken and not yet acknowledged: small messages need no answer.
    owed: u32,
    assembly: Vec<u8>,
}

/// The settings of one peer.
#[derive(Debug)]
pub(super) struct Settings {
    replica: Replica,
    catalogue: Arc<Catalogue>,
    sessions: BTreeMap<PeerId, Session>,
    last_session: u64,
    waiting: VecDeque<Work>,
    keeping: Option<Keeping>,
    retry_at: Option<Time>,
    trouble: Line,
    /// Fellows that may have to be told something: to ask for all after each message would be most of the work.
    stirred: BTreeSet<PeerId>,
    next_group: u64,
    secrets: Secrets,
    /// How they belong together with those of an HA group.
    pub(super) share: Option<super::Share>,
    /// The units of that group may differ: looked at when nothing waits.
    pub(super) unlike: bool,
}

impl Settings {
    pub fn new(replica: Replica, catalogue: Arc<Catalogue>, vault: Arc<dyn Vault>) -> Self {
        Self {
            replica,
            catalogue,
            sessions: BTreeMap::new(),
            last_session: 0,
            waiting: VecDeque::new(),
            keeping: None,
            retry_at: None,
            trouble: Line::default(),
            stirred: BTreeSet::new(),
            next_group: 0,
            secrets: Secrets::new(vault),
            share: None,
            unlike: false,
        }
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Says everything to a fellow once more.
    pub fn say_again(&mut self, fellow: &PeerId) {
        self.restart(fellow);
    }

    pub fn tree(&self) -> &Arc<Tree> {
        self.replica.tree()
    }

    /// As the mesh needs it.
    pub fn membership(&self, me: &PeerId) -> Membership {
        super::membership(&self.replica, me)
    }

    /// What the settings call this machine, member of a cluster or not.
    pub fn host(&self, me: &PeerId) -> Option<HostName> {
        self.replica.tree().structure().member_of(me).map(|m| m.machine.host.clone())
    }

    pub fn holding(&self) -> Arc<Holding> {
        if self.trouble.is_empty() {
            return self.replica.holding().clone();
        }
        Arc::new(Holding { trouble: self.trouble.clone(), ..(**self.replica.holding()).clone() })
    }

    pub fn history(&self, key: Option<&Key>, limit: usize) -> Vec<Past> {
        self.replica.history(key, limit)
    }

    /// See [`Core::reveal`].
    pub fn reveal(&mut self, me: &PeerId, feature: &FeatureName, value: &Value) -> Result<Value, String> {
        let tree = self.replica.tree().clone();
        let member = tree.structure().member_of(me).ok_or_else(|| format!("{me} is no member of the cluster"))?;
        match self.catalogue.feature(feature) {
            Some(known) => self.secrets.reveal(&tree, known, &member.id, value),
            None => Ok(value.clone()),
        }
    }

    /// When a failed write is made good.
    pub fn due(&self) -> Option<Time> {
        self.retry_at
    }
}

impl Core {
    /// A value of a feature with its secrets in plain text, for this machine itself: never to be shown, told or kept.
    ///
    /// # Errors
    /// Which secret can't be read here, and why.
    pub fn reveal(&mut self, feature: &FeatureName, value: &Value) -> Result<Value, String> {
        let Some(settings) = &mut self.settings else { return Err("this peer holds no settings".into()) };
        settings.reveal(&self.config.id, feature, value)
    }

    /// A commit, for this peer: answered when it is on disk, or refused.
    pub(super) fn on_commit(
        &mut self,
        now: Time,
        asker: Asker,
        by: &Line,
        params: ExecuteParams,
        out: &mut Vec<Effect>,
    ) {
        let host = self.config.host.clone();
        let refusal = match &self.settings {
            None => Some(format!("{host} is in no cluster and holds no settings")),
            Some(s) if s.waiting.len() >= WAITING_MAX => Some(format!("{host} has {WAITING_MAX} changes waiting")),
            Some(_) => None,
        };
        if let Some(why) = refusal {
            self.answer_commit(now, asker, Err(why), out);
        } else if let Some(settings) = &mut self.settings {
            settings.waiting.push_back(Work::Commit { asker, by: by.clone(), params: Box::new(params) });
        }
    }

    /// A part of a message of a fellow.
    pub(super) fn on_sync(&mut self, now: Time, id: &PeerId, conn: ConnId, sync: &Sync, out: &mut Vec<Effect>) {
        let cluster_id = self.config.membership.cluster_id.clone();
        let Some(settings) = &mut self.settings else { return };
        let Some(session) = settings.sessions.get_mut(id).filter(|s| s.conn == conn) else { return };
        session.owed += 1;
        if session.owed >= WINDOW / 2 {
            let parts = std::mem::take(&mut session.owed);
            out.push(Effect::Send { conn, frame: Arc::new(Frame::SyncCredit { parts }) });
        }
        if sync.cluster_id != cluster_id.as_str() {
            self.log.push(now, Some(id), "sent settings of another cluster; they are not taken");
            return;
        }
        if session.theirs != Some(sync.session) {
            // It began anew: what was sent before may have got lost.
            if session.theirs.is_some() {
                settings.last_session += 1;
                *session = Session::new(conn, settings.last_session);
                settings.replica.disconnect(id);
                settings.replica.connect(id);
            }
            session.theirs = Some(sync.session);
            session.assembly.clear();
            settings.stirred.insert(id.clone());
        }
        if sync.to.is_some_and(|to| to != session.own) {
            return; // For an earlier session of ours; the fellow will notice.
        }
        let Ok(part) = BASE64.decode(sync.data.as_bytes()) else {
            self.log.push(now, Some(id), "sent a part of a settings message that can't be read");
            return;
        };
        session.assembly.extend_from_slice(&part);
        if session.assembly.len() > MESSAGE_MAX {
            session.assembly = Vec::new();
            self.log.push(now, Some(id), "sent a settings message that is too long");
        } else if sync.last {
            let bytes = std::mem::take(&mut session.assembly);
            if settings.waiting.len() < WAITING_MAX {
                settings.waiting.push_back(Work::Message { from: id.clone(), bytes });
            } else {
                settings.restart(id); // It says it once more when there is room.
            }
        }
    }

    /// A fellow has room for more parts.
    pub(super) fn on_sync_credit(&mut self, id: &PeerId, conn: ConnId, parts: u32, out: &mut Vec<Effect>) {
        let Some(settings) = &mut self.settings else { return };
        if let Some(session) = settings.sessions.get_mut(id).filter(|s| s.conn == conn) {
            session.credit = session.credit.saturating_add(parts).min(WINDOW);
            session.send(out);
            if session.out.is_empty() {
                settings.stirred.insert(id.clone());
            }
        }
    }

    /// The batch is on disk, or could not be written.
    pub(super) fn on_kept(&mut self, now: Time, ticket: u64, result: Result<(), String>, out: &mut Vec<Effect>) {
        let Some(settings) = &mut self.settings else { return };
        let Some(keeping) = settings.keeping.take_if(|k| k.batch == ticket) else { return };
        let Keeping { batch, commit, asker } = keeping;
        match result {
            Ok(()) => {
                settings.trouble = Line::default();
                let revision = settings.replica.revision();
                settings.replica.kept(batch);
                settings.stirred = settings.sessions.keys().cloned().collect();
                settings.unlike = settings.share.is_some();
                let moved = settings.replica.revision() != revision;
                if let Some((asker, detail)) = asker {
                    let commit = commit.map(|c| (c.actor.to_string(), c.seq));
                    let result = ExecuteResult { state: state(OutcomeState::Accepted), detail, commit };
                    self.answer_commit(now, asker, Ok(result), out);
                }
                // Those that have just been removed hear of it before their links are closed.
                self.tell_fellows(out);
                if moved {
                    self.adopt_structure(now, out);
                }
                out.push(Effect::Changed);
            }
            Err(why) => {
                if let Err(error) = settings.replica.lost(batch) {
                    self.log.push(now, None, &format!("the settings can't be read back: {error}; restart the peer"));
                }
                settings.trouble = Line::new(&why);
                settings.retry_at = Some(now + RETRY);
                let text = format!("changes of settings can't be kept: {why}");
                self.log.push(now, None, &text);
                if let Some((asker, _)) = asker {
                    self.answer_commit(now, asker, Err(text), out);
                }
                out.push(Effect::Changed);
            }
        }
    }

    /// Runs at the end of each step: sessions follow the links, work goes to the disk, fellows are told.
    pub(super) fn run_settings(&mut self, now: Time, out: &mut Vec<Effect>) {
        let moved = std::mem::take(&mut self.unfollowed);
        if self.settings.is_none() {
            return;
        }
        for id in moved {
            self.follow_link(&id);
        }
        if let Some(settings) = &mut self.settings
            && settings.retry_at.is_some_and(|t| t <= now)
        {
            settings.retry_at = None;
            let ids: Vec<PeerId> = settings.sessions.keys().cloned().collect();
            for id in ids {
                settings.restart(&id);
            }
        }
        self.work(now, out);
        if self.settings.as_ref().is_some_and(|s| !s.stirred.is_empty()) {
            self.tell_fellows(out);
        }
    }

    /// Over a link that is connected settings are synchronised, over no other.
    fn follow_link(&mut self, id: &PeerId) {
        let wanted = self.fellows.get_mut(id).and_then(|f| {
            f.synced = f.wants_settings();
            f.synced
        });
        let Some(settings) = &mut self.settings else { return };
        if settings.sessions.get(id).map(|s| s.conn) == wanted {
            return;
        }
        settings.stirred.insert(id.clone());
        if settings.sessions.remove(id).is_some() {
            settings.replica.disconnect(id);
        }
        if let Some(conn) = wanted {
            settings.last_session += 1;
            settings.sessions.insert(id.clone(), Session::new(conn, settings.last_session));
            settings.replica.connect(id);
        }
    }

    /// Takes what waits, until something must be written.
    fn work(&mut self, now: Time, out: &mut Vec<Effect>) {
        loop {
            let Some(settings) = self.settings.as_mut().filter(|s| s.keeping.is_none()) else { return };
            match settings.waiting.pop_front() {
                None => return self.make_alike(now, out),
                Some(Work::Commit { asker, by, params }) => match self.try_commit(&by, &params) {
                    Ok((batch, detail)) => {
                        self.log.push(now, None, &format!("{by}: {detail}"));
                        self.keep(batch, Some((asker, detail)), out);
                    }
                    Err(why) => self.answer_commit(now, asker, Err(why), out),
                },
                Some(Work::Message { from, bytes }) => match settings.replica.receive(&from, &bytes, self.wall) {
                    Ok(batch) => {
                        settings.stirred.insert(from.clone());
                        self.tell_notes(now, &batch.notes);
                        if !batch.is_empty() {
                            self.keep(batch, None, out);
                        }
                    }
                    Err(error) => {
                        settings.restart(&from);
                        let text = format!("a settings message of {} is not taken: {error}", self.name_of(&from));
                        self.log.push(now, Some(&from), &text);
                    }
                },
            }
        }
    }

    fn tell_notes(&mut self, now: Time, notes: &[Note]) {
        for note in notes {
            let text = note.to_string();
            self.log.push(now, None, &text);
        }
    }

    pub(super) fn keep(&mut self, batch: Batch, asker: Option<(Asker, String)>, out: &mut Vec<Effect>) {
        let Some(settings) = &mut self.settings else { return };
        let Batch { id, changes, forget, commit, actor, .. } = batch;
        settings.keeping = Some(Keeping { batch: id, commit, asker });
        out.push(Effect::Keep { ticket: id, changes: changes.into(), forget: forget.into(), actor });
    }

    /// Makes the batch of a commit, if what it was decided on still holds and the rules allow it.
    fn try_commit(&mut self, by: &Line, params: &ExecuteParams) -> Result<(Batch, String), String> {
        self.check_membership(&params.basis)?;
        let edits = crate::proto::settings::edits(&params.edits).map_err(|e| e.to_string())?;
        if edits.is_empty() {
            return Err("a commit without any change".into());
        }
        self.commit_checked(by, params, &edits)
    }

    /// The basis of a commit, and whether this unit may write it.
    fn commit_checked(&mut self, by: &Line, params: &ExecuteParams, edits: &[Edit]) -> Result<(Batch, String), String> {
        if let Some(settings) = &self.settings {
            let tree = settings.replica.tree();
            let moved = rules::moved(tree, &crate::proto::settings::seen(&params.basis.settings));
            if !moved.is_empty() {
                return Err(conflict_text(tree, &moved));
            }
            let name = |peer: &PeerId| self.name_of(peer);
            if let Some(why) = super::share::refusal(settings, tree, &self.config.id, edits, name) {
                return Err(why);
            }
        }
        self.commit_edits(by, &Line::new(&params.reason), edits)
    }

    /// Makes the batch of `edits`, if the rules allow them.
    pub(super) fn commit_edits(
        &mut self,
        by: &Line,
        comment: &Line,
        edits: &[Edit],
    ) -> Result<(Batch, String), String> {
        let detached = self.config.detached.is_some();
        let (id, host, wall) = (self.config.id.clone(), self.config.host.clone(), self.wall);
        let Some(settings) = &mut self.settings else { return Err(format!("{host} holds no settings")) };
        let tree = settings.replica.tree().clone();
        let Some(me) = tree.structure().member_of(&id) else {
            return Err(format!("{host} is no longer a member of the cluster: what it writes would be ignored"));
        };
        let next = &mut settings.next_group;
        let mut new_group = || {
            *next += 1;
            // Rising with time, so that groups stand in the order in which they were made; unique by its author.
            GroupId::new(&format!("{:012x}-{}-{next}", wall.as_millis(), me.id))
        };
        let mut writes = rules::writes(&tree, &settings.catalogue, edits, &mut new_group).map_err(|e| e.to_string())?;
        if writes.is_empty() {
            return Err("nothing would change".into());
        }
        if detached {
            words::may_alone(&tree, &id, &writes).map_err(|e| e.to_string())?;
        }
        let n = writes.len();
        let sealed = settings.secrets.seal(&tree, &settings.catalogue, &me.id, &mut writes)?;
        let user = Line::new(by.as_str().split_whitespace().next().unwrap_or_default());
        let batch = settings.replica.commit(wall, &user, comment, &writes).map_err(|e| e.to_string())?;
        let about = if comment.is_empty() { String::new() } else { format!(": {comment}") };
        let registers = if n == 1 { "1 change".into() } else { format!("{n} changes") };
        let key = if sealed { "; secrets have a new key" } else { "" };
        Ok((batch, format!("committed {registers} on {host}{about}{key}")))
    }

    pub(super) fn answer_commit(
        &mut self,
        now: Time,
        asker: Asker,
        result: Result<ExecuteResult, String>,
        out: &mut Vec<Effect>,
    ) {
        match asker {
            Asker::Session(request) => out.push(Effect::Answer { request, result }),
            Asker::Fellow { id, n } => {
                let (word, detail, commit) = match result {
                    Ok(done) => (done.state, done.detail, done.commit),
                    Err(why) => {
                        self.log.push(now, Some(&id), &format!("refused a command that came from {id}: {why}"));
                        (state(OutcomeState::Refused), why, None)
                    }
                };
                if let Some(n) = n {
                    self.answer_fellow(&id, n, &word, detail, commit, out);
                }
            }
        }
    }

    /// What a fellow said to a commit that we passed on.
    pub(super) fn answer_waiting(
        &mut self,
        waiting: Waiting,
        result: ExecuteResult,
        accepted: bool,
        out: &mut Vec<Effect>,
    ) {
        match waiting {
            Waiting::Session { request, .. } => {
                let result = if accepted { Ok(result) } else { Err(result.detail) };
                out.push(Effect::Answer { request, result });
            }
            Waiting::Fellow { id, n } => {
                self.answer_fellow(&id, n, &result.state, result.detail, result.commit, out);
            }
        }
    }

    fn tell_fellows(&mut self, out: &mut Vec<Effect>) {
        let cluster_id = self.config.membership.cluster_id.to_string();
        let Some(settings) = &mut self.settings else { return };
        for id in std::mem::take(&mut settings.stirred) {
            let Some(session) = settings.sessions.get_mut(&id) else { continue };
            // The next message is made when the last one is out: it then says all that has come meanwhile.
            if session.out.is_empty()
                && let Some(message) = settings.replica.poll(&id)
            {
                session.queue(&cluster_id, &message);
            }
            session.send(out);
        }
    }

    /// Groups or members changed: the mesh follows.
    fn adopt_structure(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(settings) = &self.settings else { return };
        let membership = Arc::new(settings.membership(&self.config.id));
        if let Some(host) = settings.host(&self.config.id) {
            self.config.host = host;
        }
        let was = self.config.membership.machine(&self.config.id).map(|_| self.config.membership.name.clone());
        let is = membership.machine(&self.config.id).is_some();
        let host = &self.config.host;
        let text = match was {
            Some(_) if is => Some(format!("the membership has changed: revision {}", membership.revision)),
            Some(name) => Some(format!("{host} was removed from cluster {name}")),
            None if is => Some(format!("{host} is in cluster {} now", membership.name)),
            None => None,
        };
        if let Some(text) = text {
            self.log.push(now, None, &text);
        }
        self.config.membership = membership;
        out.push(Effect::Roster(self.config.membership.clone()));
        self.adopt_members(now, out);
        self.touch(now);
    }
}

impl Session {
    fn new(conn: ConnId, own: u64) -> Self {
        Self { conn, own, theirs: None, out: VecDeque::new(), credit: WINDOW, owed: 0, assembly: Vec::new() }
    }

    fn queue(&mut self, cluster_id: &str, message: &[u8]) {
        let parts = message.len().div_ceil(PART).max(1);
        for n in 0..parts {
            let part = &message[n * PART..message.len().min((n + 1) * PART)];
            self.out.push_back(Frame::Sync(Sync {
                cluster_id: cluster_id.to_owned(),
                session: self.own,
                to: self.theirs,
                data: BASE64.encode(part),
                last: n + 1 == parts,
            }));
        }
    }

    fn send(&mut self, out: &mut Vec<Effect>) {
        while self.credit > 0
            && let Some(frame) = self.out.pop_front()
        {
            self.credit -= 1;
            out.push(Effect::Send { conn: self.conn, frame: Arc::new(frame) });
        }
    }
}

impl Settings {
    /// Begins anew with one fellow, over the same connection.
    fn restart(&mut self, id: &PeerId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        self.last_session += 1;
        *session = Session::new(session.conn, self.last_session);
        self.replica.disconnect(id);
        self.replica.connect(id);
        self.stirred.insert(id.clone());
    }
}

/// What moved under a commit, by whom (C23).
fn conflict_text(tree: &Tree, moved: &[Key]) -> String {
    const NAMED: usize = 3;
    let name = |key: &Key| {
        let what = words::called(tree, key);
        match tree.entry(key).map(crate::domain::settings::Entry::effective) {
            Some(v) => format!("{what} was changed meanwhile by {} on {}", v.by, tree.host(&v.stamp.on)),
            None => format!("{what} was changed meanwhile"),
        }
    };
    let named: Vec<String> = moved.iter().take(NAMED).map(name).collect();
    let more = moved.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}; look again, then discard, keep or override", named.join("; "))
}

fn state(state: OutcomeState) -> String {
    <&str>::from(state).to_owned()
}
