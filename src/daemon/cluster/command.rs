//! Commands: carried out on the machine that they are about, passed on to it otherwise. What the machine says to one
//! goes back the way that the command came.

use std::sync::Arc;

use strum::IntoEnumIterator;

use super::asked::Waiting;
use super::settings::Asker;
use super::{Core, Effect, RequestId};
use crate::domain::command::{CommandKind, OutcomeState};
use crate::domain::ids::PeerId;
use crate::domain::mesh::route::Route;
use crate::domain::text::{Line, clean};
use crate::domain::time::Time;
use crate::proto::frame::Frame;
use crate::proto::rpc::{ExecuteParams, ExecuteResult};

/// Hops that a command may take.
const TTL: u8 = 16;

/// How a command came that a fellow passed on.
pub(super) struct Came {
    /// From whom.
    pub from: PeerId,
    /// Its number there, if an answer is wanted.
    pub n: Option<u64>,
    /// Hops that are left.
    pub ttl: u8,
    /// Who wants it; older peers don't say.
    pub by: Line,
}

/// Where a command goes next.
struct Way {
    next: PeerId,
    conn: super::ConnId,
    detail: String,
}

impl Core {
    /// A session of this peer wants something done.
    pub(super) fn on_execute(
        &mut self,
        now: Time,
        request: RequestId,
        by: &Line,
        params: ExecuteParams,
        out: &mut Vec<Effect>,
    ) {
        let target = PeerId::new(&params.peer);
        if target == self.config.id {
            if is_commit(&params) {
                self.on_commit(now, Asker::Session(request), by, params, out);
                return;
            }
            if is_ha(&params) {
                self.on_ha(now, Asker::Session(request), by, &params, out);
                return;
            }
            let result = self.carry_out(now, by, &params, out);
            let result =
                result.map(|detail| ExecuteResult { state: word(OutcomeState::Accepted), detail, commit: None });
            out.push(Effect::Answer { request, result });
            return;
        }
        let way = match self.way(now, &target, TTL, &params) {
            Ok(way) => way,
            Err(why) => {
                out.push(Effect::Answer { request, result: Err(why) });
                return;
            }
        };
        let by = format!("{by}, at {}", self.config.host);
        let n = if self.asked.has_room() {
            let waiting = Waiting::Session { request, sent: way.detail.clone() };
            Some(self.asked.add(now, way.next.clone(), waiting))
        } else {
            let result =
                Ok(ExecuteResult { state: word(OutcomeState::Sent), detail: way.detail.clone(), commit: None });
            out.push(Effect::Answer { request, result });
            None
        };
        pass(&way, &target, TTL - 1, params, n, by, out);
    }

    /// A fellow passes on a command, for us or for another.
    pub(super) fn on_command(
        &mut self,
        now: Time,
        came: &Came,
        target: &PeerId,
        params: ExecuteParams,
        out: &mut Vec<Effect>,
    ) {
        let from = &came.from;
        let by = if came.by.is_empty() { Line::new(&format!("a session on {from}")) } else { came.by.clone() };
        let what = format!("{} {target}", clean(&params.command, 20));
        if *target == self.config.id && is_commit(&params) {
            self.on_commit(now, Asker::Fellow { id: from.clone(), n: came.n }, &by, params, out);
            return;
        }
        if *target == self.config.id && is_ha(&params) {
            self.on_ha(now, Asker::Fellow { id: from.clone(), n: came.n }, &by, &params, out);
            return;
        }
        let result = if *target == self.config.id {
            self.carry_out(now, &by, &params, out).map(Some)
        } else {
            self.way(now, target, came.ttl, &params).map(|way| {
                let waiting = came.n.map(|n| Waiting::Fellow { id: from.clone(), n });
                let n = waiting.filter(|_| self.asked.has_room()).map(|w| self.asked.add(now, way.next.clone(), w));
                pass(&way, target, came.ttl.saturating_sub(1), params, n, by.to_string(), out);
                None
            })
        };
        if let Err(why) = &result {
            self.log.push(now, Some(from), &format!("refused \"{what}\" that came from {from}: {why}"));
        }
        let answer = match result {
            Ok(Some(detail)) => (OutcomeState::Accepted, detail),
            Ok(None) => return, // The target will say.
            Err(why) => (OutcomeState::Refused, why),
        };
        if let Some(n) = came.n {
            self.answer_fellow(from, n, &word(answer.0), answer.1, None, out);
        }
    }

    /// What became of a command that we passed on: for whoever waits for it here, or further back.
    pub(super) fn on_outcome(&mut self, now: Time, from: &PeerId, n: u64, said: &ExecuteResult, out: &mut Vec<Effect>) {
        let detail = Line::new(&said.detail).to_string();
        match self.asked.take(n, from) {
            Some(waiting) => {
                let accepted = said.state == word(OutcomeState::Accepted);
                let commit = said.commit.as_ref().map(|(actor, seq)| (clean(actor, 80), *seq));
                let result = ExecuteResult { state: clean(&said.state, 20), detail, commit };
                self.answer_waiting(waiting, result, accepted, out);
            }
            // Nobody waits any more; a refusal must not get lost without a trace.
            None if said.state == word(OutcomeState::Refused) => {
                self.log.push(now, Some(from), &format!("a refusal came too late from {from}: {detail}"));
            }
            None => {}
        }
    }

    /// Those whose targets said nothing in time learn that their commands are on their way, as far as we know.
    pub(super) fn give_up_asked(&mut self, now: Time, out: &mut Vec<Effect>) {
        for waiting in self.asked.overdue(now) {
            match waiting {
                Waiting::Session { request, sent } => {
                    let detail = format!("{sent}; no word of it within {} s", super::asked::PATIENCE.as_secs());
                    out.push(Effect::Answer {
                        request,
                        result: Ok(ExecuteResult { state: word(OutcomeState::Sent), detail, commit: None }),
                    });
                }
                Waiting::Fellow { .. } => {} // It gives up by itself.
            }
        }
    }

    pub(super) fn answer_fellow(
        &self,
        to: &PeerId,
        n: u64,
        state: &str,
        detail: String,
        commit: Option<(String, u64)>,
        out: &mut Vec<Effect>,
    ) {
        let Some(conn) = self.fellows.get(to).and_then(|f| f.active()).map(|c| c.id) else { return };
        let state = clean(state, 20);
        out.push(Effect::Send { conn, frame: Arc::new(Frame::Outcome { n, state, detail, commit }) });
    }

    /// Where to send a command for `target`, if it may be sent by what this peer knows.
    fn way(&self, now: Time, target: &PeerId, ttl: u8, params: &ExecuteParams) -> Result<Way, String> {
        if self.config.detached.is_some() {
            return Err(format!(
                "{} is detached and can't be used to change others; ask another member, or reconnect it first",
                self.config.host
            ));
        }
        let Some(fellow) = self.fellows.get(target) else {
            return Err(format!("{target} is not a member of this cluster"));
        };
        kind_of(&params.command)?;
        self.check_membership(&params.basis)?;
        self.check_basis_of(now, fellow, &params.basis)?;
        if ttl == 0 {
            return Err("it went in a circle".into());
        }
        let nowhere = || format!("no way leads to {} now", fellow.machine.host);
        let next = if fellow.active().is_some() {
            target.clone()
        } else {
            match self.control_routes(now).remove(target) {
                Some(Route::Relayed { via, .. }) if !via.is_empty() => via[0].clone(),
                Some(Route::Relayed { .. } | Route::Direct | Route::None) | None => return Err(nowhere()),
            }
        };
        let relay = self.fellows.get(&next);
        let Some(conn) = relay.and_then(|f| f.active()).map(|c| c.id) else { return Err(nowhere()) };
        let detail = match relay {
            Some(relay) if next != *target => format!("on its way over {}", relay.machine.host),
            Some(_) | None => format!("on its way to {}", fellow.machine.host),
        };
        Ok(Way { next, conn, detail })
    }

    /// Does it, here, if what it was decided on still holds.
    fn carry_out(
        &mut self,
        now: Time,
        by: &Line,
        params: &ExecuteParams,
        out: &mut Vec<Effect>,
    ) -> Result<String, String> {
        let kind = kind_of(&params.command)?;
        self.end_maintenance(now, out); // Its timer may be a moment late.
        self.check_membership(&params.basis)?;
        self.check_own_basis(now, &params.basis)?;
        let reason = Line::new(&params.reason);
        match kind {
            CommandKind::Disconnect => self.set_detached(now, by, &reason, true, out),
            CommandKind::Reconnect => self.set_detached(now, by, &reason, false, out),
            CommandKind::MaintenanceOn => self.begin_maintenance(now, by, &reason, params.lasting, out),
            CommandKind::MaintenanceOff => self.finish_maintenance(now, by, &reason, out),
            // See `on_commit` and `on_ha`.
            CommandKind::Commit | CommandKind::Ha => Err("this is not carried out like this".into()),
        }
    }

    fn set_detached(
        &mut self,
        now: Time,
        by: &Line,
        reason: &Line,
        disconnect: bool,
        out: &mut Vec<Effect>,
    ) -> Result<String, String> {
        let host = self.config.host.clone();
        if disconnect == self.config.detached.is_some() {
            return Err(format!("{host} is {} already", if disconnect { "detached" } else { "connected" }));
        }
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        self.config.detached = disconnect.then_some(now);
        out.push(Effect::KeepDetached(self.config.detached));
        if !disconnect {
            // C22: on return it dials all members at once.
            for fellow in self.fellows.values_mut().filter(|f| f.conns.is_empty() && f.dialing.is_none()) {
                fellow.dial_at = Some(now);
            }
        }
        let did = if disconnect { "disconnected from" } else { "reconnected to" };
        self.log.push(now, None, &format!("{host} was {did} the cluster by {by}{because}"));
        self.greet_all(now, out);
        self.settle_all(now);
        self.touch(now);
        Ok(format!("{host} is {did} the cluster"))
    }
}

fn pass(
    way: &Way,
    target: &PeerId,
    ttl: u8,
    command: ExecuteParams,
    n: Option<u64>,
    by: String,
    out: &mut Vec<Effect>,
) {
    let frame = Frame::Command { to: target.to_string(), ttl, command, n, by };
    out.push(Effect::Send { conn: way.conn, frame: Arc::new(frame) });
}

/// What is asked for; else what can be.
fn kind_of(command: &str) -> Result<CommandKind, String> {
    command.parse().map_err(|_| {
        let known: Vec<&str> = CommandKind::iter().map(Into::into).collect();
        format!("this peer can't do \"{}\"; it can: {}", clean(command, 40), known.join(", "))
    })
}

fn is_ha(params: &ExecuteParams) -> bool {
    params.command == <&str>::from(CommandKind::Ha)
}

fn is_commit(params: &ExecuteParams) -> bool {
    params.command == <&str>::from(CommandKind::Commit)
}

fn word(state: OutcomeState) -> String {
    <&str>::from(state).to_owned()
}
