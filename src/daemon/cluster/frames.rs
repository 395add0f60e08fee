//! What fellows say over their control connections.

use std::sync::Arc;
use std::time::Duration;

use super::command::Came;
use super::fellow::Greeting;
use super::{ConnId, Core, Effect};
use crate::domain::ids::{BootId, PeerId};
use crate::domain::mesh::Cause;
use crate::domain::text::{Line, clean};
use crate::domain::time::Time;
use crate::proto::check_version;
use crate::proto::frame::{Frame, Hello, Ping};
use crate::proto::rpc::ExecuteResult;

/// Longest text that a fellow's good-bye may put into a link's detail.
const DETAIL_MAX: usize = 200;

impl Core {
    pub(super) fn on_frame(&mut self, now: Time, conn: ConnId, frame: Frame, out: &mut Vec<Effect>) {
        let Some(id) = self.fellow_of(conn) else { return };
        if let Some(fellow) = self.fellows.get_mut(&id) {
            fellow.link.heard = Some(now);
        }
        match frame {
            Frame::Hello(hello) => self.on_hello(now, &id, conn, &hello, out),
            Frame::Ping(ping) => self.on_ping(now, &id, conn, &ping, out),
            Frame::Rows { clock, rows } => self.on_rows(now, &id, clock, rows),
            Frame::Command { to, ttl, command, n, by } => {
                let came = Came { from: id, n, ttl, by: Line::new(&by) };
                self.on_command(now, &came, &PeerId::new(&to), command, out);
            }
            Frame::Outcome { n, state, detail, commit } => {
                let said = ExecuteResult { state, detail, commit };
                self.on_outcome(now, &id, n, &said, out);
            }
            Frame::Bye { cause, detail } => {
                let detail = clean(&detail, DETAIL_MAX);
                out.push(Effect::Close { conn });
                match cause.parse::<Cause>() {
                    Ok(cause) => self.on_closed(now, conn, cause, &detail),
                    Err(_) => self.on_closed(now, conn, Cause::Unlisted, &format!("{}: {detail}", clean(&cause, 40))),
                }
            }
            Frame::Sync(sync) => self.on_sync(now, &id, conn, &sync, out),
            Frame::SyncCredit { parts } => self.on_sync_credit(&id, conn, parts, out),
            // Pongs come as events of their own, with the round trip; unknown kinds are ignored.
            Frame::Pong { .. } | Frame::Unknown => {}
        }
    }

    /// The first frame of a connection; later ones tell of another level, or of detaching.
    fn on_hello(&mut self, now: Time, id: &PeerId, conn: ConnId, hello: &Hello, out: &mut Vec<Effect>) {
        if let Some((cause, detail)) = self.objection(id, hello) {
            let bye = Frame::Bye { cause: cause.as_str().into(), detail: detail.clone() };
            out.push(Effect::Send { conn, frame: Arc::new(bye) });
            out.push(Effect::Close { conn });
            self.on_closed(now, conn, cause, &detail);
            return;
        }
        let greeting = Greeting { boot: BootId(hello.boot), level: hello.level };
        let Some(fellow) = self.fellows.get_mut(id) else { return };
        let newest = fellow.conns.iter().filter_map(|c| c.greeting).map(|g| g.boot).max();
        if newest.is_some_and(|boot| boot > greeting.boot) {
            // A connection of an earlier start, come late.
            out.push(Effect::Close { conn });
            fellow.conns.retain(|c| c.id != conn);
            return;
        }
        let Some(at) = fellow.conns.iter().position(|c| c.id == conn) else { return };
        let first = fellow.conns[at].greeting.is_none();
        fellow.conns[at].greeting = Some(greeting);
        fellow.detached = hello.detached_age.map(|age| now.before(Duration::from_millis(age)));
        if !first {
            self.settle(now, id);
            self.touch(now);
            return;
        }

        // The newest connection is the one in use.
        let newcomer = fellow.conns.remove(at);
        let (address, dialled) = (newcomer.address, newcomer.dialled);
        let lower = fellow.lower;
        fellow.conns.retain_mut(|c| {
            let Some(other) = c.greeting else { return true };
            // Of duplicates the newer start wins, else only the lower serial number closes one: both
            // sides closing a different one would leave none.
            let close = other.boot < greeting.boot || lower;
            if close {
                out.push(Effect::Close { conn: c.id });
            }
            c.since = now;
            !close
        });
        fellow.conns.push(newcomer);
        if lower && let Some(dialing) = fellow.dialing.take() {
            out.push(Effect::Close { conn: dialing });
        }
        fellow.fault = None;
        fellow.dial_at = None;
        fellow.link.next_attempt = None;
        fellow.link.attempts = 0;
        fellow.link.failures = 0;
        fellow.link.address = Some(address);
        if dialled {
            fellow.last_good = Some(address);
        }
        out.push(Effect::CheckDns { peer: id.clone(), address });
        self.settle(now, id);
        self.touch(now);
        self.ping(now, id, out);
    }

    /// Why this greeting can't be taken.
    fn objection(&self, id: &PeerId, hello: &Hello) -> Option<(Cause, String)> {
        if let Err(e) = check_version(hello.v) {
            return Some((Cause::Version, e.to_string()));
        }
        let ours = self.config.membership.cluster_id.as_str();
        if hello.cluster_id != ours {
            let theirs = clean(&hello.cluster_id, 40);
            return Some((Cause::NotInCluster, format!("it is in another cluster (id {theirs}, ours is {ours})")));
        }
        (hello.serial != id.as_str()).then(|| {
            let detail = format!("it calls itself {}, its key is that of {id}", clean(&hello.serial, 40));
            (Cause::NotInCluster, detail)
        })
    }

    fn on_ping(&mut self, now: Time, id: &PeerId, conn: ConnId, ping: &Ping, out: &mut Vec<Effect>) {
        out.push(Effect::Send { conn, frame: Arc::new(Frame::Pong { n: ping.n }) });
        let Some(fellow) = self.fellows.get_mut(id) else { return };
        fellow.announced = (BootId(ping.row.0), ping.row.1);
        if let Some(conn) = fellow.conn_mut(conn) {
            conn.heard = conn.heard.max(ping.n);
        }
        self.vouch(now, id);
        self.answer_wanted(now, conn, &ping.want, out);
    }
}
