//! One fellow as this peer sees it: its connections, its pings, and the link state that follows from them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::steady::Steady;
use super::types::{ConnId, PingCount};
use crate::domain::ids::{BootId, PeerId};
use crate::domain::membership::Machine;
use crate::domain::mesh::{Cause, DnsCheck, DnsResult, Link, LinkState, Probe};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// State changes are counted over this span.
const CHANGES_SPAN: Duration = Duration::from_mins(10);

/// So many of them are remembered.
const CHANGES_MAX: usize = 1000;

/// What a fellow said in its newest hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Greeting {
    pub boot: BootId,
    pub level: u32,
}

/// One open control connection.
#[derive(Debug)]
pub struct Conn {
    pub id: ConnId,
    /// The other end.
    pub address: SocketAddr,
    /// Whether we dialled it.
    pub dialled: bool,
    /// `None` until the other side has greeted.
    pub greeting: Option<Greeting>,
    /// When it was opened, or last became useless.
    pub since: Time,
    /// Number of the newest ping sent.
    pub ping: u64,
    /// Pings without an answer, oldest first.
    pub unanswered: VecDeque<u64>,
    /// Number of the newest ping received.
    pub heard: u64,
    /// Whether our whole row went out over it; changes are enough from then on.
    pub told: bool,
}

impl Conn {
    pub fn new(id: ConnId, address: SocketAddr, dialled: bool, now: Time) -> Self {
        Self {
            id,
            address,
            dialled,
            greeting: None,
            since: now,
            ping: 0,
            unanswered: VecDeque::new(),
            heard: 0,
            told: false,
        }
    }
}

/// What datagrams say.
#[derive(Debug, Default)]
pub struct ProbeState {
    /// When one arrived.
    pub heard: Option<Time>,
    /// Start and number of the newest one: older ones are replays.
    pub guard: (BootId, u64),
    /// Until when ours go out although the link is healthy, because the other side probes us.
    pub answer_until: Time,
}

/// What the state of a link depends on beside the fellow itself.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    pub level: u32,
    pub detached: bool,
    /// How long silence is borne.
    pub limit: Duration,
}

/// One fellow.
#[derive(Debug)]
pub struct Fellow {
    pub machine: Arc<Machine>,
    /// Whether our serial number is the lower: we dial first, and we alone close duplicates.
    pub lower: bool,
    /// As observers see it.
    pub link: Link,
    /// Open connections; the one that greeted last is at the end.
    pub conns: Vec<Conn>,
    /// The dial under way.
    pub dialing: Option<ConnId>,
    /// When to dial.
    pub dial_at: Option<Time>,
    /// When to ping.
    pub beat_at: Time,
    /// Beats so far.
    pub beats: u64,
    /// When we dialled it last, another host key than the pinned one answered. What the fellow says of our own key is
    /// no reason to refuse it: both would refuse each other for ever.
    pub wrong_key: bool,
    /// Why there is no connection; `None` before the first attempt failed.
    pub fault: Option<(Cause, Line)>,
    /// Since when the fellow is detached, as far as it is known.
    pub detached: Option<Time>,
    /// The version of its own row that it told last.
    pub announced: (BootId, u64),
    /// Where it answered last.
    pub last_good: Option<SocketAddr>,
    pub pings: PingCount,
    /// Since when the session is not healthy.
    pub trouble: Option<Time>,
    pub probe: ProbeState,
    changes: VecDeque<Time>,
    /// Whether it answers by turns at once and late.
    pub steady: Steady,
    /// The connection over which settings are synchronised.
    pub synced: Option<ConnId>,
    /// Whether "remote host has disconnected" was logged for this outage.
    pub lost_said: bool,
}

/// What [`Fellow::settle`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    /// Nothing that anybody must be told of.
    Same,
    /// The same state, told differently.
    Detail,
    /// Another state; this one before.
    State(LinkState),
}

impl Fellow {
    pub fn new(machine: Arc<Machine>, lower: bool, now: Time) -> Self {
        Self {
            link: Link::connecting(machine.id.clone(), now),
            machine,
            lower,
            conns: Vec::new(),
            dialing: None,
            dial_at: None,
            beat_at: now,
            beats: 0,
            wrong_key: false,
            fault: None,
            detached: None,
            announced: (BootId(0), 0),
            last_good: None,
            pings: PingCount::default(),
            trouble: Some(now),
            probe: ProbeState::default(),
            changes: VecDeque::new(),
            steady: Steady::default(),
            synced: None,
            lost_said: false,
        }
    }

    pub fn id(&self) -> &PeerId {
        &self.machine.id
    }

    /// The connection in use: the newest that has greeted.
    pub fn active(&self) -> Option<&Conn> {
        self.conns.iter().rev().find(|c| c.greeting.is_some())
    }

    pub fn active_mut(&mut self) -> Option<&mut Conn> {
        self.conns.iter_mut().rev().find(|c| c.greeting.is_some())
    }

    pub fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|c| c.id == id)
    }

    /// The connection over which settings should be synchronised: that of a connected link.
    pub fn wants_settings(&self) -> Option<ConnId> {
        self.active().filter(|_| self.link.state == LinkState::Connected).map(|c| c.id)
    }

    /// Whether a session stands and answers; one ping is always on its way.
    pub fn is_healthy(&self) -> bool {
        self.active().is_some_and(|c| c.unanswered.len() <= 1)
    }

    /// A look-up that confirms the other end's address makes it a place to come back to.
    pub fn looked_up(&mut self, check: &DnsCheck) {
        if check.forward == DnsResult::Ok && self.last_good.is_none() {
            let port = self.machine.port;
            self.last_good = self.active().map(|c| SocketAddr::new(c.address.ip(), port));
        }
    }

    /// Counts one ping, for observers.
    pub fn count_ping(&mut self, rtt: Option<Duration>) {
        self.pings.n += 1;
        self.pings.last = rtt;
    }

    /// The timers of this fellow.
    pub fn timers(&self) -> [Option<Time>; 3] {
        [Some(self.beat_at), self.dial_at, self.steady.extra_at]
    }

    /// Where a datagram would reach it.
    pub fn probe_address(&self) -> Option<SocketAddr> {
        let port = self.machine.port;
        let known = self.active().map(|c| c.address).or(self.last_good).or(self.link.address);
        known
            .map(|a| SocketAddr::new(a.ip(), port))
            .or_else(|| Some(SocketAddr::new(self.machine.address.as_str().parse().ok()?, port)))
    }

    /// Derives the link from the facts.
    pub fn settle(&mut self, now: Time, own: Own) -> Settled {
        if self.is_healthy() {
            self.trouble = None;
        } else if self.trouble.is_none() {
            self.trouble = Some(now);
        }
        let (state, cause, detail) = self.derive(own);
        let probe = self.derive_probe(now, own.limit);
        let was = self.link.state;
        let falters = self.steady.told(now);
        let told_differently = self.link.cause != cause
            || self.link.detail != detail
            || self.link.probe != probe
            || self.link.falters != falters;
        self.link.falters = falters;
        self.link.cause = cause;
        self.link.detail = detail;
        self.link.probe = probe;
        if was != state {
            self.link.state = state;
            self.link.since = now;
            if self.changes.len() == CHANGES_MAX {
                self.changes.pop_front();
            }
            self.changes.push_back(now);
        }
        while self.changes.front().is_some_and(|t| now.since(*t) > CHANGES_SPAN) {
            self.changes.pop_front();
        }
        self.link.changes = u32::try_from(self.changes.len()).unwrap_or(u32::MAX);
        match (was == state, told_differently) {
            (false, _) => Settled::State(was),
            (true, true) => Settled::Detail,
            (true, false) => Settled::Same,
        }
    }

    fn derive(&self, own: Own) -> (LinkState, Option<Cause>, Line) {
        if own.detached || self.detached.is_some() {
            let who = if own.detached { "this machine" } else { self.machine.host.as_str() };
            let mut detail = format!("{who} was disconnected on purpose");
            if let (None, Some((cause, text))) = (self.active(), &self.fault) {
                detail = format!("{detail}; no control link either ({}: {text})", cause.as_str());
            }
            return (LinkState::Detached, Some(Cause::Detached), detail.into());
        }
        match self.active().and_then(|c| c.greeting) {
            Some(greeting) if greeting.level != own.level => {
                let detail = format!("level {} there, {} here", greeting.level, own.level);
                (LinkState::Down, Some(Cause::Version), detail.into())
            }
            Some(_) => (LinkState::Connected, None, Line::default()),
            None => match &self.fault {
                Some((cause, detail)) => (LinkState::Down, Some(*cause), detail.clone()),
                None => (LinkState::Connecting, None, Line::default()),
            },
        }
    }

    fn derive_probe(&self, now: Time, limit: Duration) -> Probe {
        let Some(trouble) = self.trouble else { return Probe::Untested };
        match self.probe.heard {
            Some(heard) if now.since(heard) <= limit => Probe::Heard,
            Some(_) | None if now.since(trouble) > limit => Probe::Silent,
            Some(_) | None => Probe::Untested,
        }
    }
}
