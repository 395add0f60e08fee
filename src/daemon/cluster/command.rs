//! Commands: carried out on the machine that they are about, passed on to it otherwise.

use std::sync::Arc;

use super::{Core, Effect, RequestId};
use crate::domain::command::OutcomeState;
use crate::domain::ids::PeerId;
use crate::domain::mesh::route::Route;
use crate::domain::text::{Line, clean};
use crate::domain::time::Time;
use crate::proto::frame::Frame;
use crate::proto::rpc::{ExecuteParams, ExecuteResult};

/// Hops that a command may take.
const TTL: u8 = 16;

/// Longest reason that is kept.
const REASON_MAX: usize = 200;

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
        let result = if target == self.config.id {
            self.carry_out(now, by, &params, out)
                .map(|detail| ExecuteResult { state: word(OutcomeState::Accepted), detail })
        } else {
            self.pass_command(now, &target, TTL, params, out)
                .map(|detail| ExecuteResult { state: word(OutcomeState::Sent), detail })
        };
        out.push(Effect::Answer { request, result });
    }

    /// A fellow passes on a command, for us or for another.
    pub(super) fn on_command(
        &mut self,
        now: Time,
        from: &PeerId,
        to: &str,
        ttl: u8,
        params: ExecuteParams,
        out: &mut Vec<Effect>,
    ) {
        let target = PeerId::new(to);
        let what = format!("{} {target}", clean(&params.command, 20));
        let result = if target == self.config.id {
            self.carry_out(now, &Line::new(&format!("a session on {from}")), &params, out)
        } else {
            self.pass_command(now, &target, ttl, params, out)
        };
        if let Err(why) = result {
            self.log.push(now, Some(from), &format!("refused \"{what}\" that came from {from}: {why}"));
        }
    }

    /// Sends a command towards `target`.
    fn pass_command(
        &mut self,
        now: Time,
        target: &PeerId,
        ttl: u8,
        params: ExecuteParams,
        out: &mut Vec<Effect>,
    ) -> Result<String, String> {
        if self.config.detached.is_some() {
            return Err(format!(
                "{} is detached and can't be used to change others; ask another member, or reconnect it first",
                self.config.host
            ));
        }
        let Some(fellow) = self.fellows.get(target) else {
            return Err(format!("{target} is not a member of this cluster"));
        };
        check_word(&params.command)?;
        self.check_membership(&params)?;
        if let Some(was) = params.basis.detached
            && was != fellow.detached.is_some()
        {
            return Err(format!("{} is {} now", fellow.machine.host, if was { "connected" } else { "detached" }));
        }
        let Some(ttl) = ttl.checked_sub(1) else { return Err("it went in a circle".into()) };
        let next = if fellow.active().is_some() {
            target.clone()
        } else {
            match self.control_routes(now).remove(target) {
                Some(Route::Relayed { via, .. }) if !via.is_empty() => via[0].clone(),
                Some(Route::Relayed { .. } | Route::Direct | Route::None) | None => {
                    return Err(format!("no way leads to {} now", fellow.machine.host));
                }
            }
        };
        let relay = self.fellows.get(&next);
        let Some(conn) = relay.and_then(|f| f.active()).map(|c| c.id) else {
            return Err(format!("no way leads to {} now", fellow.machine.host));
        };
        let detail = match relay {
            Some(relay) if next != *target => format!("on its way over {}", relay.machine.host),
            Some(_) | None => format!("on its way to {}", fellow.machine.host),
        };
        out.push(Effect::Send {
            conn,
            frame: Arc::new(Frame::Command { to: target.to_string(), ttl, command: params }),
        });
        Ok(detail)
    }

    /// Does it, here, if what it was decided on still holds.
    fn carry_out(
        &mut self,
        now: Time,
        by: &Line,
        params: &ExecuteParams,
        out: &mut Vec<Effect>,
    ) -> Result<String, String> {
        check_word(&params.command)?;
        self.check_membership(params)?;
        let detached = self.config.detached.is_some();
        let host = self.config.host.clone();
        if let Some(was) = params.basis.detached
            && was != detached
        {
            return Err(format!("{host} is {} now", if detached { "detached" } else { "connected" }));
        }
        let disconnect = params.command == "disconnect";
        if disconnect == detached {
            return Err(format!("{host} is {} already", if detached { "detached" } else { "connected" }));
        }
        let reason = clean(&params.reason, REASON_MAX);
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

    fn check_membership(&self, params: &ExecuteParams) -> Result<(), String> {
        let ours = self.config.membership.revision;
        match params.basis.membership {
            Some(theirs) if theirs != ours => {
                Err(format!("the membership has changed: revision {ours} now, {theirs} when it was decided"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn check_word(command: &str) -> Result<(), String> {
    match command {
        "disconnect" | "reconnect" => Ok(()),
        other => Err(format!("this peer can't do \"{}\"; it can disconnect and reconnect", clean(other, 40))),
    }
}

fn word(state: OutcomeState) -> String {
    <&str>::from(state).to_owned()
}
