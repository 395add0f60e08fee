//! Connections to fellows: when they are dialled, and what it means when they don't come about or end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::fellow::Conn;
use super::{CONNS_MAX, ConnId, Core, DialError, Dialled, Effect};
use crate::domain::ids::PeerId;
use crate::domain::mesh::{Cause, DnsResult};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::frame::Frame;

impl Core {
    /// Opens a connection, unless one stands or is on its way.
    pub(super) fn dial(&mut self, now: Time, id: &PeerId, out: &mut Vec<Effect>) {
        let patience = self.greeting_patience();
        let Some(fellow) = self.fellows.get_mut(id) else { return };
        fellow.dial_at = None;
        fellow.link.next_attempt = None;
        if fellow.dialing.is_some() || fellow.active().is_some() {
            return;
        }
        if !fellow.conns.is_empty() {
            fellow.dial_at = Some(now + patience);
            return;
        }
        if let Some(unfit) = &self.config.unfit {
            fellow.fault = Some(unfit.clone());
            self.settle(now, id);
            return;
        }
        self.next_conn += 2;
        let conn = ConnId(self.next_conn);
        fellow.dialing = Some(conn);
        fellow.link.attempts += 1;
        out.push(Effect::Dial { conn, peer: id.clone(), last_good: fellow.last_good });
    }

    pub(super) fn on_dialled(
        &mut self,
        now: Time,
        conn: ConnId,
        result: Result<Dialled, DialError>,
        out: &mut Vec<Effect>,
    ) {
        let Some(fellow) = self.fellows.values_mut().find(|f| f.dialing == Some(conn)) else {
            // Given up meanwhile.
            if result.is_ok() {
                out.push(Effect::Close { conn });
            }
            return;
        };
        fellow.dialing = None;
        let id = fellow.id().clone();
        match result {
            Ok(dialled) => {
                fellow.wrong_key = false;
                let reverse = fellow.link.dns.reverse;
                fellow.link.dns = dialled.dns;
                if fellow.link.dns.reverse == DnsResult::Untested {
                    fellow.link.dns.reverse = reverse; // Asked again once the link stands.
                }
                fellow.link.address = Some(dialled.address);
                fellow.conns.insert(0, Conn::new(conn, dialled.address, true, now));
                self.index(conn, &id);
                let hello = self.hello(now);
                out.push(Effect::Send { conn, frame: hello });
            }
            Err(error) => {
                fellow.wrong_key |= error.cause == Cause::HostKey;
                let address = error.address.or(fellow.link.address);
                let news = fellow.link.dns != error.dns || fellow.link.address != address;
                fellow.link.dns = error.dns;
                fellow.link.address = address;
                if fellow.active().is_none() {
                    fellow.link.failures = fellow.link.failures.saturating_add(1);
                    self.lost(now, &id, error.cause, &error.detail);
                    self.say_lost(now, &id);
                }
                self.settle(now, &id);
                // That it failed once more in the same way is told with the regular reports.
                if news {
                    self.touch(now);
                }
            }
        }
    }

    pub(super) fn on_accepted(
        &mut self,
        now: Time,
        conn: ConnId,
        peer: &PeerId,
        from: SocketAddr,
        out: &mut Vec<Effect>,
    ) {
        let hello = self.hello(now);
        let refuse = |cause: Cause, detail: &str, out: &mut Vec<Effect>| {
            let bye = Frame::Bye { cause: cause.as_str().into(), detail: detail.into() };
            out.push(Effect::Send { conn, frame: Arc::new(bye) });
            out.push(Effect::Close { conn });
        };
        let Some(fellow) = self.fellows.get_mut(peer).filter(|_| !self.stopped) else {
            refuse(Cause::NotInCluster, &format!("{peer} does not appear to be in the cluster"), out);
            return;
        };
        if fellow.wrong_key {
            // Its machine key is right, its host key is not: one that we dial ourselves must come first.
            refuse(Cause::HostKey, "your host key is not the one that the membership pins", out);
            return;
        }
        if fellow.conns.len() >= CONNS_MAX {
            refuse(Cause::TooManyConnections, &format!("{CONNS_MAX} control connections stand already"), out);
            return;
        }
        fellow.conns.insert(0, Conn::new(conn, from, false, now));
        self.index(conn, peer);
        out.push(Effect::Send { conn, frame: hello });
    }

    /// A connection is gone. What the link is now depends on what else stands.
    pub(super) fn on_closed(&mut self, now: Time, conn: ConnId, cause: Cause, detail: &str) {
        let Some(id) = self.fellow_of(conn) else { return };
        let Some(fellow) = self.fellows.get_mut(&id) else { return };
        let Some(at) = fellow.conns.iter().position(|c| c.id == conn) else { return };
        let was = fellow.conns.remove(at);
        let counts = was.greeting.is_some() || (was.dialled && fellow.conns.is_empty());
        if counts && fellow.active().is_none() {
            self.lost(now, &id, cause, detail);
        }
        self.settle(now, &id);
    }

    /// There is no connection any more, or still none: why, and when to dial.
    pub(super) fn lost(&mut self, now: Time, id: &PeerId, cause: Cause, detail: &str) {
        let Some(fellow) = self.fellows.get(id) else { return };
        let (attempts, lower) = (fellow.link.attempts, fellow.lower);
        let wait = if attempts == 0 { self.first_dial(lower) } else { self.back_off(attempts) };
        if let Some(fellow) = self.fellows.get_mut(id) {
            fellow.fault = Some((cause, Line::new(detail)));
            if fellow.dialing.is_none() {
                fellow.dial_at = Some(now + wait);
                fellow.link.next_attempt = fellow.dial_at;
            }
        }
    }

    /// C21: all attempts to reach it have failed.
    fn say_lost(&mut self, now: Time, id: &PeerId) {
        let Some(fellow) = self.fellows.get_mut(id) else { return };
        if fellow.lost_said || fellow.active().is_some() {
            return;
        }
        fellow.lost_said = true;
        let why = fellow.fault.as_ref().map_or_else(String::new, |(c, d)| format!(" ({}: {d})", c.as_str()));
        self.log.push(now, Some(id), &format!("remote host has disconnected: {}{why}", fellow.machine.host));
    }

    /// How long a connection may stand without a greeting.
    pub(super) fn greeting_patience(&self) -> Duration {
        (self.config.ping_interval * 2).clamp(Duration::from_secs(2), Duration::from_secs(10))
    }

    /// A moment, so that not all dial in the same millisecond.
    fn spread(&mut self) -> Duration {
        let most = (self.config.ping_interval / 20).min(Duration::from_millis(200));
        most.mul_f64(self.rng.random_range(0.0..1.0))
    }

    /// The lower serial number dials at once, the higher only if that came to nothing.
    pub(super) fn first_dial(&mut self, lower: bool) -> Duration {
        if lower { self.spread() } else { self.config.ping_interval * 2 + self.spread() }
    }

    /// Full jitter under a doubling cap, which never exceeds the ping interval.
    fn back_off(&mut self, attempts: u32) -> Duration {
        let interval = self.config.ping_interval;
        let base = (interval / 4).min(Duration::from_millis(250));
        let cap = base.saturating_mul(1 << attempts.min(16)).min(interval);
        let floor = cap.min(Duration::from_millis(20));
        floor + cap.saturating_sub(floor).mul_f64(self.rng.random_range(0.0..1.0))
    }
}
