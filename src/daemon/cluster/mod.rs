//! The cluster core: who is dialled when, what a link's state is, which rows go where.
//!
//! [`Core::step`] takes one [`Event`] and tells what to do about it; it does nothing itself. Time comes in
//! as an argument, randomness from the seed, so that a test plays years and replays a failure exactly.

mod asked;
mod basis;
mod command;
mod connect;
mod fellow;
mod frames;
mod ha;
mod log;
mod look;
mod maintenance;
mod rows;
mod secrets;
mod settings;
mod steady;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use fellow::{Conn, Fellow, Own, Settled};
pub use log::LOG_LEN;
use log::Log;
pub use types::{Config, ConnId, DialError, Dialled, Effect, Event, LogLine, PingCount, RequestId, View};

use super::replica::Replica;
use super::vault::Vault;
use crate::domain::ids::{BootId, PeerId};
use crate::domain::membership::Membership;
use crate::domain::mesh::{Cause, Link, LinkState, Row};
use crate::domain::settings::{Catalogue, Key, Past};
use crate::domain::text::Line;
use crate::domain::time::{Time, millis};
use crate::proto::frame::{Frame, Hello};
use crate::proto::{VERSION, ms};

/// Changes of the own row are gathered so long before anybody is told.
const GATHER: Duration = Duration::from_millis(50);

/// Lateness from which on it is kept for the reports.
const LATE_NOTED: Duration = Duration::from_millis(20);

/// Lateness is kept so long.
const LATE_KEPT: Duration = Duration::from_mins(1);

/// A live link's names are looked up every so many pings.
const DNS_BEATS: u64 = 10;

/// Connections that one fellow may hold open here.
const CONNS_MAX: usize = 4;

/// The decisions of one peer about its mesh.
#[derive(Debug)]
pub struct Core {
    config: Config,
    rng: StdRng,
    fellows: BTreeMap<PeerId, Fellow>,
    /// Which fellow a connection belongs to; also of some that have gone.
    whose: BTreeMap<ConnId, PeerId>,
    /// Rows of the others.
    rows: BTreeMap<PeerId, Arc<Row>>,
    /// By the row of each: of whom it must be told by others.
    lacking: BTreeMap<PeerId, BTreeSet<PeerId>>,
    /// Sequence number of the own row.
    seq: u64,
    /// When the own row's changes are told.
    flush_at: Option<Time>,
    /// When news are pushed to the fellows.
    flood_at: Option<Time>,
    /// The own row is among the news.
    own_news: bool,
    /// The own row as it was pushed last; what fellows are told is the difference.
    pushed: Arc<Row>,
    asks: rows::Asks,
    /// The settings; a peer in no cluster has none.
    settings: Option<settings::Settings>,
    /// Fellows whose links and settings sessions are no longer over the same connection.
    unfollowed: Vec<PeerId>,
    /// The wall clock, as the runtime told it last.
    wall: Time,
    /// Commands that the HA core has not answered, by their numbers.
    ha_asked: BTreeMap<u64, settings::Asker>,
    ha_request: u64,
    /// Commands that were passed on and are not answered.
    asked: asked::Asked,
    /// Rows of these are, for those that don't hear them.
    news: BTreeSet<PeerId>,
    flooded: Time,
    next_conn: u64,
    next_probe: u64,
    log: Log,
    late: VecDeque<(Time, Duration)>,
    /// Who answered late in the last moments, each once.
    late_answers: Vec<(Time, PeerId)>,
    started: Time,
    /// When the core asked to be woken.
    wake: Time,
    stopped: bool,
}

impl Core {
    /// A core that begins at `now`, with what to do first.
    #[must_use]
    pub fn new(config: Config, now: Time) -> (Self, Vec<Effect>) {
        Self::with_settings(config, None, now)
    }

    /// As [`Core::new`], with the settings that this peer has kept, the features that they are of, and what seals secrets.
    #[must_use]
    pub fn with_settings(
        config: Config,
        settings: Option<(Replica, Arc<Catalogue>, Arc<dyn Vault>)>,
        now: Time,
    ) -> (Self, Vec<Effect>) {
        let settings = settings.map(|(replica, catalogue, vault)| settings::Settings::new(replica, catalogue, vault));
        let mut config = config;
        if let Some(settings) = &settings {
            // What is replicated counts, whatever the peer was started with.
            config.membership = Arc::new(settings.membership(&config.id));
            if let Some(host) = settings.host(&config.id) {
                config.host = host;
            }
        }
        let rng = StdRng::seed_from_u64(config.seed);
        let mut core = Self {
            rng,
            fellows: BTreeMap::new(),
            whose: BTreeMap::new(),
            rows: BTreeMap::new(),
            lacking: BTreeMap::new(),
            seq: 1,
            flush_at: None,
            flood_at: None,
            own_news: false,
            asks: rows::Asks::default(),
            settings,
            unfollowed: Vec::new(),
            wall: now,
            asked: asked::Asked::default(),
            ha_asked: BTreeMap::new(),
            ha_request: 0,
            pushed: Arc::new(Row {
                origin: config.id.clone(),
                boot: config.boot,
                seq: 0,
                vouched: now,
                via: None,
                detached: config.detached,
                maintenance: config.maintenance.clone(),
                level: config.level,
                links: Vec::new(),
            }),
            news: BTreeSet::new(),
            flooded: Time::ZERO,
            next_conn: 0,
            next_probe: 0,
            log: Log::default(),
            late: VecDeque::new(),
            late_answers: Vec::new(),
            started: now,
            wake: now,
            stopped: false,
            config,
        };
        let mut out = Vec::new();
        core.adopt_members(now, &mut out);
        core.resume_maintenance(now, &mut out);
        core.schedule(now);
        (core, out)
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn next_wake(&self) -> Time {
        self.wake
    }

    /// The wall clock, which may step; settings are stamped with it. Told before each step.
    pub fn set_wall(&mut self, wall: Time) {
        self.wall = wall;
    }

    /// What a register was, newest first; of all registers without one.
    #[must_use]
    pub fn history(&self, key: Option<&Key>, limit: usize) -> Vec<Past> {
        self.settings.as_ref().map(|s| s.history(key, limit)).unwrap_or_default()
    }

    /// Takes one event.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        self.note_lateness(now);
        let about = self.about(&event);
        match event {
            Event::Tick => {}
            Event::Dialled { conn, result } => self.on_dialled(now, conn, result, &mut out),
            Event::Accepted { conn, peer, from } => self.on_accepted(now, conn, &peer, from, &mut out),
            Event::Frame { conn, frame } => self.on_frame(now, conn, frame, &mut out),
            Event::Pong { conn, n, rtt } => self.on_pong(now, conn, n, rtt),
            Event::Closed { conn, cause, detail } => self.on_closed(now, conn, cause, &detail),
            Event::Probe { peer, boot, n } => self.on_probe(now, &peer, boot, n),
            Event::Dns { peer, check } => {
                if let Some(fellow) = self.fellows.get_mut(&peer) {
                    fellow.looked_up(&check);
                    if fellow.link.dns != check {
                        fellow.link.dns = check;
                        self.touch(now);
                    }
                }
            }
            Event::Execute { request, by, params } => self.on_execute(now, request, &by, params, &mut out),
            Event::HaAnswered { request, result } => self.on_ha_answered(now, request, result, &mut out),
            Event::Kept { ticket, result } => self.on_kept(now, ticket, result, &mut out),
            Event::Note(line) => self.log.push(now, None, line.as_str()),
            Event::SetLevel(level) => {
                self.config.level = level;
                self.log.push(now, None, &format!("speaks level {level} from now on"));
                self.greet_all(now, &mut out);
                self.settle_all(now);
                self.touch(now);
            }
            Event::Membership(membership) => {
                self.config.membership = membership;
                self.adopt_members(now, &mut out);
                self.touch(now);
            }
            Event::Stop => self.on_stop(&mut out),
        }
        if self.stopped {
            return out;
        }
        let any = about.is_none() || self.wake <= now;
        if any {
            self.run_timers(now, &mut out);
        }
        // Last: sessions follow the links as they are now.
        self.run_settings(now, &mut out);
        if any {
            self.schedule(now);
        } else {
            self.schedule_sooner(about.as_ref());
        }
        out
    }

    /// The one fellow whose timers an event can move; `None` where it may be any. In a large mesh nearly all events
    /// are pings, and looking through all timers for each would be most of the work.
    fn about(&self, event: &Event) -> Option<PeerId> {
        match event {
            Event::Pong { conn, .. }
            | Event::Frame {
                conn,
                frame:
                    Frame::Hello(_)
                    | Frame::Ping(_)
                    | Frame::Pong { .. }
                    | Frame::Rows { .. }
                    | Frame::Sync(_)
                    | Frame::SyncCredit { .. },
            } => self.fellow_of(*conn),
            Event::Probe { peer, .. } | Event::Dns { peer, .. } => Some(peer.clone()),
            Event::Frame {
                frame: Frame::Command { .. } | Frame::Outcome { .. } | Frame::Bye { .. } | Frame::Unknown,
                ..
            }
            | Event::Tick
            | Event::Dialled { .. }
            | Event::Accepted { .. }
            | Event::Closed { .. }
            | Event::Execute { .. }
            | Event::HaAnswered { .. }
            | Event::Kept { .. }
            | Event::Note(_)
            | Event::SetLevel(_)
            | Event::Membership(_)
            | Event::Stop => None,
        }
    }

    /// Connected and wanted links.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let up = self.fellows.values().filter(|f| f.link.state == LinkState::Connected).count();
        (up, self.fellows.len())
    }

    /// Everything that observers are told of.
    #[must_use]
    pub fn view(&self, now: Time, dropped: u64) -> View {
        View {
            at: now,
            host: self.config.host.clone(),
            membership: self.config.membership.clone(),
            row: Arc::new(self.own_row(now)),
            pings: self.fellows.values().map(|f| f.pings).collect(),
            rows: self.rows.clone(),
            log: self.log.lines(),
            late: self.late.iter().copied().collect(),
            dropped,
            tree: self.settings.as_ref().map_or_else(Arc::default, |s| s.tree().clone()),
            holding: self.settings.as_ref().map_or_else(Arc::default, settings::Settings::holding),
        }
    }

    /// Takes the fellows from the membership: new ones are dialled, those that are gone are let go.
    fn adopt_members(&mut self, now: Time, out: &mut Vec<Effect>) {
        let membership = self.config.membership.clone();
        let me = self.config.id.clone();
        let gone: Vec<PeerId> = self.fellows.keys().filter(|id| membership.machine(id).is_none()).cloned().collect();
        for id in gone {
            if let Some(fellow) = self.fellows.remove(&id) {
                Self::close_conns(&fellow, Cause::NotInCluster, "no longer a member", out);
            }
            self.rows.remove(&id);
            self.lacking.remove(&id);
            self.unfollowed.push(id);
        }
        for machine in membership.machines.iter().filter(|m| m.id != me) {
            if let Some(fellow) = self.fellows.get_mut(&machine.id) {
                fellow.machine = machine.clone();
                continue;
            }
            let lower = me < machine.id;
            let mut fellow = Fellow::new(machine.clone(), lower, now);
            fellow.dial_at = Some(now + self.first_dial(lower));
            fellow.beat_at = now + self.jittered(self.config.ping_interval);
            self.fellows.insert(machine.id.clone(), fellow);
        }
    }

    fn close_conns(fellow: &Fellow, cause: Cause, detail: &str, out: &mut Vec<Effect>) {
        let bye = Arc::new(Frame::Bye { cause: cause.as_str().into(), detail: detail.into() });
        for conn in &fellow.conns {
            out.push(Effect::Send { conn: conn.id, frame: bye.clone() });
            out.push(Effect::Close { conn: conn.id });
        }
        out.extend(fellow.dialing.map(|conn| Effect::Close { conn }));
    }

    fn on_stop(&mut self, out: &mut Vec<Effect>) {
        self.stopped = true;
        let detail = format!("{} was stopped", self.config.host);
        for (_, fellow) in std::mem::take(&mut self.fellows) {
            Self::close_conns(&fellow, Cause::Dropped, &detail, out);
        }
    }

    /// A loop that ran late has seen nothing of what happened meanwhile: it must not accuse anybody.
    fn note_lateness(&mut self, now: Time) {
        let late = now.since(self.wake);
        while self.late.front().is_some_and(|(t, _)| now.since(*t) > LATE_KEPT) {
            self.late.pop_front();
        }
        if late < LATE_NOTED {
            return;
        }
        if self.late.len() == 256 {
            self.late.pop_front();
        }
        self.late.push_back((now, late));
        if late <= self.config.ping_interval * 2 {
            return;
        }
        self.log.push(now, None, &format!("own loop was {} ms late; the fellows get a fresh chance", millis(late)));
        let ids: Vec<PeerId> = self.fellows.keys().cloned().collect();
        for id in ids {
            let beat_at = now + self.jittered(self.config.ping_interval);
            let Some(fellow) = self.fellows.get_mut(&id) else { continue };
            fellow.beat_at = beat_at;
            fellow.trouble = fellow.trouble.map(|_| now);
            fellow.link.failures = 0;
            for conn in &mut fellow.conns {
                conn.unanswered.clear();
                conn.since = now;
            }
        }
    }

    fn run_timers(&mut self, now: Time, out: &mut Vec<Effect>) {
        let due: Vec<PeerId> = self.fellows.values().filter(|f| f.beat_at <= now).map(|f| f.id().clone()).collect();
        for id in due {
            self.beat(now, &id, out);
        }
        let due: Vec<PeerId> =
            self.fellows.values().filter(|f| f.dial_at.is_some_and(|t| t <= now)).map(|f| f.id().clone()).collect();
        for id in due {
            self.dial(now, &id, out);
        }
        self.look_closely(now, out);
        self.end_maintenance(now, out);
        self.give_up_asked(now, out);
        if self.flush_at.is_some_and(|t| t <= now) {
            self.flush_at = None;
            self.seq += 1;
            out.push(Effect::Changed);
            self.own_news = true;
            self.flood_soon(now);
        }
        if self.flood_at.is_some_and(|t| t <= now) {
            self.flood_at = None;
            self.flooded = now;
            self.push_news(now, out);
        }
    }

    fn schedule(&mut self, now: Time) {
        let far = now + Duration::from_hours(1);
        let fellows = self.fellows.values();
        let maintenance = self.config.maintenance.as_ref().map(|m| m.until);
        let retry = self.settings.as_ref().and_then(settings::Settings::due);
        let own = [self.flush_at, self.flood_at, maintenance, self.asked.due(), retry];
        let timers = fellows.flat_map(Fellow::timers).chain(own);
        self.wake = timers.flatten().min().unwrap_or(far);
    }

    /// As [`Core::schedule`] after an event that moved timers of one fellow only. A timer that was taken back still
    /// wakes the core, once and for nothing.
    fn schedule_sooner(&mut self, about: Option<&PeerId>) {
        let fellow = about.and_then(|id| self.fellows.get(id));
        let timers = fellow.into_iter().flat_map(Fellow::timers);
        if let Some(first) = timers.chain([self.flush_at, self.flood_at]).flatten().min() {
            self.wake = self.wake.min(first);
        }
    }

    /// One ping interval of one fellow has passed.
    fn beat(&mut self, now: Time, id: &PeerId, out: &mut Vec<Effect>) {
        let next = now + self.jittered(self.config.ping_interval);
        let limit = self.config.ping_failures as usize;
        let patience = self.greeting_patience();
        let silence = self.silence_limit();
        let Some(fellow) = self.fellows.get_mut(id) else { return };
        fellow.beat_at = next;
        fellow.beats += 1;

        // Connections that never greeted, and duplicates that nobody closed.
        let active = fellow.active().map(|c| c.id);
        let stale = |c: &Conn| {
            Some(c.id) != active && now.since(c.since) > if c.greeting.is_some() { silence } else { patience }
        };
        let mute = fellow.conns.iter().any(|c| stale(c) && c.greeting.is_none());
        out.extend(fellow.conns.iter().filter(|c| stale(c)).map(|c| Effect::Close { conn: c.id }));
        fellow.conns.retain(|c| !stale(c));
        if mute && active.is_none() {
            let detail =
                format!("{} took the connection and said nothing for {} ms", fellow.machine.host, ms(patience));
            fellow.fault = Some((Cause::Timeout, detail.into()));
            fellow.dial_at.get_or_insert(now);
        }

        let mut silent = None;
        if let Some(conn) = fellow.active_mut() {
            let unanswered = conn.unanswered.len();
            if unanswered >= limit {
                silent = Some(unanswered);
            }
            fellow.link.failures = u32::try_from(unanswered).unwrap_or(u32::MAX);
            if unanswered > 0 {
                fellow.count_ping(None);
            }
        }
        if let Some(unanswered) = silent {
            let detail = format!("{unanswered} pings in a row without an answer");
            for conn in fellow.conns.drain(..) {
                out.push(Effect::Close { conn: conn.id });
            }
            self.lost(now, id, Cause::Timeout, &detail);
        } else {
            self.ping(now, id, out);
        }
        self.look_out_of_step(now, id);
        self.probe(now, id, out);
        self.settle(now, id);
        let check =
            self.fellows.get(id).filter(|f| f.beats % DNS_BEATS == 0).and_then(Fellow::active).map(|c| c.address);
        if let Some(address) = check {
            out.push(Effect::CheckDns { peer: id.clone(), address });
        }
    }

    /// Sends a ping over the connection in use.
    fn ping(&mut self, now: Time, id: &PeerId, out: &mut Vec<Effect>) {
        let want = self.wanted_of(now, id);
        let row = (self.config.boot.0, self.pushed.seq);
        let Some(conn) = self.fellows.get_mut(id).and_then(Fellow::active_mut) else { return };
        conn.ping += 1;
        conn.unanswered.push_back(conn.ping);
        let ping = crate::proto::frame::Ping { n: conn.ping, heard: conn.heard, row, want };
        out.push(Effect::Send { conn: conn.id, frame: Arc::new(Frame::Ping(ping)) });
    }

    /// Sends a datagram if the session is not healthy or the other side probes us.
    fn probe(&mut self, now: Time, id: &PeerId, out: &mut Vec<Effect>) {
        let Some(fellow) = self.fellows.get(id) else { return };
        // Before the first attempt has ended there is nothing to find out.
        let trouble = !fellow.is_healthy() && (fellow.fault.is_some() || fellow.active().is_some());
        if !trouble && fellow.probe.answer_until < now {
            return;
        }
        if let Some(address) = fellow.probe_address() {
            self.next_probe += 1;
            out.push(Effect::Probe { peer: id.clone(), address, n: self.next_probe });
        }
    }

    fn on_probe(&mut self, now: Time, peer: &PeerId, boot: BootId, n: u64) {
        let answer_until = now + self.config.ping_interval * 3;
        let Some(fellow) = self.fellows.get_mut(peer) else { return };
        if (boot, n) <= fellow.probe.guard {
            return;
        }
        fellow.probe.guard = (boot, n);
        fellow.probe.heard = Some(now);
        fellow.probe.answer_until = answer_until;
        self.settle(now, peer);
    }

    fn on_pong(&mut self, now: Time, conn: ConnId, n: u64, rtt: Duration) {
        let Some(id) = self.fellow_of(conn) else { return };
        let Some(fellow) = self.fellows.get_mut(&id) else { return };
        fellow.link.heard = Some(now);
        let Some(conn) = fellow.conn_mut(conn) else { return };
        if n > conn.ping {
            return;
        }
        conn.unanswered.retain(|open| *open > n);
        fellow.link.rtt = Some(rtt);
        fellow.link.failures = 0;
        fellow.count_ping(Some(rtt));
        self.note_answer(now, &id, rtt);
        self.settle(now, &id);
    }

    /// Derives a link's state; logs and tells what changed.
    fn settle(&mut self, now: Time, id: &PeerId) {
        let own = self.own();
        let Some(fellow) = self.fellows.get_mut(id) else { return };
        let settled = fellow.settle(now, own);
        if fellow.wants_settings() != fellow.synced {
            self.unfollowed.push(id.clone());
        }
        match settled {
            Settled::Same => return,
            Settled::Detail => {}
            Settled::State(was) => self.log_state(now, id, was),
        }
        self.touch(now);
    }

    fn log_state(&mut self, now: Time, id: &PeerId, was: LinkState) {
        let Some(fellow) = self.fellows.get_mut(id) else { return };
        let host = &fellow.machine.host;
        let text = match fellow.link.state {
            LinkState::Connected if fellow.lost_said => {
                fellow.lost_said = false;
                format!("remote host is back: {host}")
            }
            LinkState::Connected => format!("link to {host} is up"),
            LinkState::Down => {
                let cause = fellow.link.cause.map_or("", Cause::as_str);
                format!("link to {host} is down, it was {} ({cause}: {})", was.as_str(), fellow.link.detail)
            }
            LinkState::Detached => format!("link to {host} is detached: {}", fellow.link.detail),
            LinkState::Connecting | LinkState::Unknown => return,
        };
        self.log.push(now, Some(id), &text);
    }

    fn settle_all(&mut self, now: Time) {
        let ids: Vec<PeerId> = self.fellows.keys().cloned().collect();
        for id in ids {
            self.settle(now, &id);
        }
    }

    /// Something of the own row changed: told when the gathering time is over.
    fn touch(&mut self, now: Time) {
        self.flush_at.get_or_insert(now + GATHER);
    }

    fn own(&self) -> Own {
        Own { level: self.config.level, detached: self.config.detached.is_some(), limit: self.silence_limit() }
    }

    fn fellow_of(&self, conn: ConnId) -> Option<PeerId> {
        let id = self.whose.get(&conn)?;
        self.fellows.get(id).filter(|f| f.conns.iter().any(|c| c.id == conn)).map(|f| f.id().clone())
    }

    /// Notes whose connection this is. Those that have gone are forgotten when they become many.
    fn index(&mut self, conn: ConnId, id: &PeerId) {
        if self.whose.len() > 2 * CONNS_MAX * self.fellows.len() {
            let open = self.fellows.values().flat_map(|f| f.conns.iter().map(|c| (c.id, f.id().clone())));
            self.whose = open.collect();
        }
        self.whose.insert(conn, id.clone());
    }

    fn own_row(&self, now: Time) -> Row {
        Row {
            origin: self.config.id.clone(),
            boot: self.config.boot,
            seq: self.seq,
            vouched: now,
            via: None,
            detached: self.config.detached,
            maintenance: self.config.maintenance.clone(),
            level: self.config.level,
            links: self.fellows.values().map(|f| Arc::new(f.link.clone())).collect::<Vec<Arc<Link>>>(),
        }
    }

    fn hello(&self, now: Time) -> Arc<Frame> {
        Arc::new(Frame::Hello(Hello {
            v: VERSION,
            cluster_id: self.config.membership.cluster_id.to_string(),
            serial: self.config.id.to_string(),
            host: self.config.host.to_string(),
            boot: self.config.boot.0,
            level: self.config.level,
            version: super::VERSION_TEXT.into(),
            detached_age: self.config.detached.map(|since| ms(now.since(since))),
        }))
    }

    fn greet_all(&self, now: Time, out: &mut Vec<Effect>) {
        let hello = self.hello(now);
        for conn in self.fellows.values().flat_map(|f| &f.conns) {
            out.push(Effect::Send { conn: conn.id, frame: hello.clone() });
        }
    }

    /// Silence that is borne before somebody counts as gone.
    fn silence_limit(&self) -> Duration {
        self.config.ping_interval * (self.config.ping_failures + 1)
    }

    /// News go out at once after a quiet time, else gathered.
    fn flood_soon(&mut self, now: Time) {
        let earliest = now.max(self.flooded + self.flood_gap());
        self.flood_at.get_or_insert(earliest);
    }

    fn flood_gap(&self) -> Duration {
        self.config.ping_interval.min(Duration::from_secs(1))
    }

    /// `span`, 10 % more or less.
    fn jittered(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.rng.random_range(0.9..1.1))
    }
}

/// The membership as the mesh needs it: of nobody for a machine that is in no cluster, or was removed from one.
#[must_use]
pub fn membership(replica: &Replica, me: &PeerId) -> Membership {
    let structure = replica.tree().structure();
    if structure.is_alone() || structure.member_of(me).is_none() {
        return alone();
    }
    replica.tree().membership(replica.revision())
}

/// The domain's membership of nobody but oneself, for a peer that is in no cluster.
#[must_use]
pub fn alone() -> Membership {
    Membership {
        cluster_id: Line::default(),
        name: crate::domain::ids::ClusterName::new(""),
        revision: 0,
        addressing: crate::domain::membership::Addressing::HostName,
        groups: Vec::new(),
        machines: Vec::new(),
    }
}
