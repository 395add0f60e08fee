//! The pure HA core: events in, effects out; no clock, no socket, no file.
//!
//! [`Core::step`] takes one [`Event`], then looks at everything that time has made due, always in the same order. What an
//! unit waits for (a write, votes, the guard) it finds in its state at the next step, never in a call that blocks.

/// Why there are never two holders, for readers.
#[doc = include_str!("../../../docs/ha.md")]
pub mod guide {}

mod acts;
mod beats;
mod disk;
mod link;
mod monitors;
mod permit;
mod rehearsal;
mod role;
mod status;
mod swap;
pub mod table;
mod taking;
pub mod voter;
mod wish;
pub mod witness;

use std::collections::VecDeque;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::types::{Config, Configuration, Effect, Event};
use crate::domain::ha::status::{CHANGES_MAX, RoleChange};
use crate::domain::ha::{Effective, GroupKind};
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::{Time, human};
use disk::Disk;
use link::{Link, Other};
use monitors::Monitor;
use permit::{Address, Votes};
use swap::Ceding;
use table::{Row, Trigger};
use taking::Taking;
use voter::Voter;
use wish::Wish;

/// An announced stop takes no longer, whoever does not answer.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A stop says good-bye so often, so that a lost datagram does not matter.
const FAREWELLS: u8 = 3;

/// Time between two of them.
const FAREWELL_EVERY: Duration = Duration::from_millis(20);

/// A clean stop.
#[derive(Debug)]
struct Stopping {
    restarting: bool,
    deadline: Time,
    farewells: u8,
    next: Time,
}

/// One unit.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says that one thing was told")]
pub struct Core {
    config: Config,
    began: Time,
    now: Time,
    wake: Time,
    rng: StdRng,
    out: Vec<Effect>,

    role: Effective,
    epoch: u64,
    /// The highest epoch that was heard, meant or released: a takeover goes beyond.
    top: u64,
    /// The epoch of the other that this unit takes over once it is on disk.
    adopt: u64,
    since: Time,
    reason: Line,
    changes: VecDeque<RoleChange>,
    /// HA starts: until then the other is listened for.
    starting: Option<Time>,
    disk: Disk,

    links: Vec<Link>,
    other: Option<Other>,
    /// Both are heard and neither is primary: since when.
    calm_since: Option<Time>,
    silent_logged: bool,
    next_beat: Time,
    beat_sent: Time,

    voter: Voter,
    /// The own vote is with the other: since when, and when it asked last.
    voted: Option<(Time, Time)>,
    votes: Votes,
    witness_heard: Option<Time>,
    address: Address,

    taking: Option<Taking>,
    ceding: Option<Ceding>,
    wish: Option<Wish>,
    /// No takeover by itself before.
    retry_at: Time,
    /// It asks for no YIELD before: the last one was refused or not answered.
    accuse_at: Time,
    /// It never takes what was released up to this epoch.
    refused: u64,
    hold_off_until: Option<Time>,
    quiet_until: Option<Time>,
    /// It asks for its role back then.
    return_at: Option<Time>,

    monitors: Vec<Monitor>,
    /// What made it fail, while it is `FAILED`.
    failed_by: Option<u8>,
    services_logged: bool,

    /// Its loop ran late: how much; it distrusts itself until it has been punctual for a threshold.
    late: Option<(Duration, Time)>,
    footing: Option<Line>,
    /// What was sent before may lie unread in a socket: silence counts from here.
    listen_from: Time,

    configuration: Configuration,
    synced: Option<Time>,
    strangers: u64,
    replays: u64,
    last_stranger: Option<(Line, Time)>,
    hook_trouble: Option<Line>,
    guard_trouble: Option<Line>,
    conflict: Option<Line>,
    two_logged: bool,
    restart_logged: bool,
    stopping: Option<Stopping>,
    stopped: bool,
    shown: u64,
}

impl Core {
    /// A core that begins at `now`, with what to do first.
    #[must_use]
    pub fn new(config: Config, now: Time) -> (Self, Vec<Effect>) {
        let ha = &config.ha;
        let pair = ha.configured.kind() == Some(GroupKind::ActivePassive);
        let role = if pair { Effective::Off } else { ha.configured.effective() };
        let epoch = config.kept.epoch;
        let links = ha.links.iter().map(Link::new).collect();
        let monitors = ha.monitors.iter().map(|m| Monitor::new(m.clone(), now)).collect();
        let top = epoch.max(config.kept.ceding.unwrap_or(0));
        let mut core = Self {
            voter: Voter::new(now, ha.lease),
            rng: StdRng::seed_from_u64(config.seed),
            disk: Disk::new(config.kept.clone(), now),
            starting: pair.then(|| now + ha.takeover_after()),
            began: now,
            now,
            wake: now,
            out: Vec::new(),
            role,
            epoch,
            top,
            adopt: 0,
            since: now,
            reason: Line::new("started"),
            changes: VecDeque::new(),
            links,
            other: None,
            calm_since: None,
            silent_logged: false,
            next_beat: now,
            beat_sent: now,
            voted: None,
            votes: Votes::default(),
            witness_heard: None,
            address: Address::default(),
            taking: None,
            ceding: None,
            wish: None,
            retry_at: now,
            accuse_at: now,
            refused: 0,
            hold_off_until: None,
            quiet_until: None,
            return_at: None,
            monitors,
            failed_by: None,
            services_logged: false,
            late: None,
            footing: None,
            listen_from: now,
            configuration: Configuration::default(),
            synced: None,
            strangers: 0,
            replays: 0,
            last_stranger: None,
            hook_trouble: None,
            guard_trouble: None,
            conflict: None,
            two_logged: false,
            restart_logged: false,
            stopping: None,
            stopped: false,
            shown: 0,
            config,
        };
        core.advance(now);
        core.settle(now);
        let out = std::mem::take(&mut core.out);
        (core, out)
    }

    /// Takes one event. A `now` before the last one counts as the last one.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Effect> {
        let now = now.max(self.now);
        if self.stopped {
            self.wake = now + Duration::from_hours(1);
            return Vec::new();
        }
        self.measure(now);
        self.now = now;
        self.on_event(now, event);
        self.advance(now);
        self.settle(now);
        std::mem::take(&mut self.out)
    }

    /// When [`Event::Tick`] is due. What comes later than that is held against this unit.
    #[must_use]
    pub fn next_wake(&self) -> Time {
        self.wake
    }

    fn on_event(&mut self, now: Time, event: Event) {
        match event {
            Event::Tick => {}
            Event::Heard { way, from, boot, message } => self.on_heard(now, way, &from, boot, message),
            Event::Stranger { text } => {
                self.strangers = self.strangers.saturating_add(1);
                if self.last_stranger.as_ref().is_none_or(|(t, _)| *t != text) {
                    self.log(&format!("a heartbeat that is not of this group: {text}"));
                }
                self.last_stranger = Some((text, now));
            }
            Event::Replayed => self.replays = self.replays.saturating_add(1),
            Event::Kept { ticket, result } => self.on_kept(now, ticket, result),
            Event::Guard(report) => self.on_guard(now, report),
            Event::Checked { kind, result } => self.on_checked(now, kind, result),
            Event::Footing(result) => {
                let footing = result.err();
                if footing != self.footing {
                    match &footing {
                        Some(why) => self.log(&format!("distrusts itself: {why}")),
                        None => self.log("has carrier or a reference address again"),
                    }
                }
                self.footing = footing;
            }
            Event::Act { request, act, by, reason, basis } => self.on_act(now, request, act, &by, &reason, basis),
            Event::Configuration(configuration) => self.configuration = configuration,
            Event::Hooked(result) => {
                self.hook_trouble = result.err();
                if let Some(why) = self.hook_trouble.clone() {
                    self.log(&format!("hook: {why}"));
                }
            }
            Event::Stop { restarting } => self.on_stop(now, restarting),
        }
    }

    /// Everything that is due, in one order.
    fn advance(&mut self, now: Time) {
        if self.config.ha.configured.kind().is_some() {
            self.advance_beats(now);
        }
        if self.is_pair() {
            self.advance_asks(now);
            self.advance_taking(now);
            self.advance_ceding(now);
            self.advance_role(now);
            self.advance_monitors(now);
            self.advance_wish(now);
            self.advance_taking(now);
            self.advance_holding(now);
        }
        self.pump_disk(now);
        self.advance_stop(now);
    }

    fn is_pair(&self) -> bool {
        self.config.ha.configured.kind() == Some(GroupKind::ActivePassive)
    }

    /// How late this step comes against what was asked for.
    fn measure(&mut self, now: Time) {
        let late = now.since(self.wake);
        let takes = self.config.ha.takeover_after();
        if late > self.config.ha.interval.min(takes / 4) {
            // Beats that came meanwhile may be read after this step.
            self.listen_from = now;
        }
        if late > takes / 4 {
            if self.late.is_none() {
                self.log(&format!("ran {} late: neither accuses nor takes over for a while", human(late)));
            }
            self.late = Some((late, now));
        } else if self.late.is_some_and(|(_, at)| now.since(at) >= self.config.ha.threshold) {
            self.late = None;
        }
    }

    /// Why this unit neither accuses nor takes over.
    fn distrust(&self) -> Option<Line> {
        let late = self.late.map(|(late, _)| Line::new(&format!("its own loop ran {} late", human(late))));
        late.or_else(|| self.footing.clone())
    }

    fn me(&self) -> &PeerId {
        &self.config.id
    }

    fn log(&mut self, text: &str) {
        self.out.push(Effect::Log(Line::new(text)));
    }

    /// The row of the table for this unit as it stands.
    fn row(&self, number: u8, trigger: Trigger) -> Option<&'static Row> {
        table::find(number, trigger, self.role, self.config.ha.on_failure, self.config.ha.split_brain)
    }

    /// Changes the role by a row of the table; tells whether there is one that changes it.
    fn change(&mut self, now: Time, number: u8, trigger: Trigger, detail: &str) -> bool {
        let Some(row) = self.row(number, trigger) else { return false };
        let reason = Line::new(&row.reason.replace("{}", detail));
        let Some(to) = row.to.filter(|to| *to != self.role) else {
            self.out.push(Effect::Log(reason));
            return false;
        };
        self.log(&format!("is {} now, epoch {}: {reason}", to.as_str(), self.epoch));
        let from = std::mem::replace(&mut self.role, to);
        self.since = now;
        self.reason = reason.clone();
        self.calm_since = None;
        self.silent_logged = false;
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        let change = RoleChange { at: now, from, to, epoch: self.epoch, reason: reason.clone(), row: number };
        self.changes.push_back(change);
        self.disk.want.role = Some(to);
        self.out.push(Effect::Hook { from, to, epoch: self.epoch, reason });
        self.out.push(Effect::Changed);
        if to != Effective::HoldOff {
            self.hold_off_until = None;
        }
        self.starting = None;
        self.send_beats(now);
        true
    }

    /// The address is ordered in no epoch up to this one: it was given away.
    fn ceded(&self) -> u64 {
        self.disk.on.ceding.max(self.disk.want.ceding).unwrap_or(0)
    }

    /// What a takeover would be called: beyond everything that was heard or meant.
    fn next_epoch(&self) -> u64 {
        let kept = self.disk.on.epoch.max(self.disk.want.epoch);
        self.top.max(kept).max(self.ceded()).max(self.epoch).saturating_add(1)
    }

    fn on_stop(&mut self, now: Time, restarting: bool) {
        if self.stopping.is_some() {
            return;
        }
        self.log(if restarting { "restarts" } else { "stops" });
        self.stopping = Some(Stopping { restarting, deadline: now + STOP_LIMIT, farewells: 0, next: now });
        self.wish = None;
        if self.taking.is_some() {
            self.undo_taking(now, "this unit stops");
        }
        if self.role == Effective::Primary && self.ceding.is_none() {
            self.cede_for_stop(now, restarting);
        }
    }

    fn advance_stop(&mut self, now: Time) {
        let Some(stop) = &self.stopping else { return };
        let busy = self.ceding.is_some() || self.taking.is_some() || !self.address.is_gone(now);
        if now < stop.deadline && (busy || now < stop.next) {
            return;
        }
        if now >= stop.deadline || stop.farewells >= FAREWELLS {
            if self.address.order.is_some() {
                self.order_drop(now);
            }
            self.out.push(Effect::Stopped);
            self.stopped = true;
            return;
        }
        if self.is_pair() && self.role != Effective::Off {
            let why = if stop.restarting { "it restarts" } else { "by command" };
            self.change(now, 0, Trigger::Stopping, why);
        }
        if let Some(stop) = &mut self.stopping {
            stop.farewells += 1;
            stop.next = now + FAREWELL_EVERY;
        }
        self.send_beats(now);
    }

    /// The next wake, and whether the status is worth telling again.
    fn settle(&mut self, now: Time) {
        let soonest = self.deadlines(now).into_iter().flatten().min().unwrap_or(now + self.config.ha.interval);
        self.wake =
            if self.stopped { now + Duration::from_hours(1) } else { soonest.max(now + Duration::from_millis(1)) };
        let shown = self.fingerprint(now);
        if shown != self.shown {
            self.shown = shown;
            if !self.out.contains(&Effect::Changed) {
                self.out.push(Effect::Changed);
            }
        }
    }

    /// What time makes due; a moment that has passed already counts as soon as possible.
    fn deadlines(&self, now: Time) -> Vec<Option<Time>> {
        let pair = self.is_pair();
        let mut due = vec![
            self.config.ha.configured.kind().map(|_| self.next_beat),
            self.disk.waits().then_some(self.disk.retry),
            self.stopping.as_ref().map(|s| s.deadline),
        ];
        if let Some(stop) = &self.stopping {
            let busy = self.ceding.is_some() || self.taking.is_some();
            due.push((!busy).then(|| if self.address.is_gone(now) { stop.next } else { self.address.until }));
        }
        if pair {
            due.push(self.asking().map(|_| self.votes.next));
            due.push(self.taking.as_ref().and_then(|t| t.next(now)));
            due.push(self.ceding.as_ref().map(|c| c.next(&self.address)));
            due.push(self.wish.as_ref().map(|w| w.next.min(w.until)));
            due.extend(self.monitors.iter().map(Monitor::due));
            due.extend(self.role_deadlines().into_iter().map(|at| at.filter(|at| *at > now)));
        }
        due
    }
}
