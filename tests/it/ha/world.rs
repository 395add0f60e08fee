//! Two units and a witness on one time line: a network that can be cut per direction and link, guards, disks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::time::Duration;

use peerdeck::daemon::ha::core::Core;
use peerdeck::daemon::ha::core::voter::Voter;
use peerdeck::daemon::ha::{Config, Effect, Event, GuardOrder, GuardReport, Kept, Way};
use peerdeck::domain::ha::config::{AddressConfig, HaConfig, LinkConfig, MonitorConfig};
use peerdeck::domain::ha::{
    AddressAction, Configured, Effective, HaAct, HaStatus, LinkName, MonitorKind, OnFailure, Service, SplitBrain,
    WitnessMode,
};
use peerdeck::domain::ids::{BootId, HaName, PeerId};
use peerdeck::domain::text::Line;
use peerdeck::domain::time::Time;
use peerdeck::proto::beat::Message;

pub const A: usize = 0;
pub const B: usize = 1;
pub const WITNESS: usize = 2;

pub fn sec(s: u64) -> Duration {
    Duration::from_secs(s)
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn address(unit: usize, link: LinkName) -> IpAddr {
    let net = if link == LinkName::Primary { 1 } else { 2 };
    IpAddr::from([10, 0, net, u8::try_from(unit).unwrap() + 1])
}

pub fn vip() -> IpAddr {
    IpAddr::from([10, 0, 9, 9])
}

pub fn config(unit: usize) -> HaConfig {
    let link =
        |name| LinkConfig { name, interface: String::new(), local: address(unit, name), peer: address(1 - unit, name) };
    HaConfig {
        group: HaName::new("gw"),
        configured: if unit == A { Configured::Primary } else { Configured::Secondary },
        on_failure: OnFailure::BecomeSecondary,
        base_port: 20_000,
        interval: sec(1),
        threshold: sec(5),
        services_as_heartbeat: false,
        split_brain: SplitBrain::Resolve,
        witness: WitnessMode::Off,
        witness_at: vec!["10.0.3.3:20000".parse().unwrap()],
        lease: sec(1),
        hold_off: sec(300),
        quiet: sec(600),
        links: vec![link(LinkName::Primary), link(LinkName::Secondary)],
        monitored_ports: Vec::new(),
        addresses: vec![AddressConfig {
            interface: "eth0".to_owned(),
            action: AddressAction::Add,
            address: vip(),
            prefix: 24,
        }],
        monitors: Vec::new(),
        references: Vec::new(),
        hook: Vec::new(),
        hook_limit: sec(10),
    }
}

pub fn monitor(kind: MonitorKind) -> MonitorConfig {
    let target = kind.is_remote().then(|| (vip(), 25).into());
    MonitorConfig { kind, target, interval: sec(2), wait: sec(1), retries: 3 }
}

pub const SMTP: MonitorKind = MonitorKind::Remote(Service::Smtp);

#[derive(Debug)]
enum Due {
    Wake(usize, u64),
    Event(usize, u64, Event),
    ToWitness(usize, Message),
}

#[expect(clippy::struct_excessive_bools, reason = "switches of a test")]
pub struct Unit {
    pub core: Core,
    pub kept: Kept,
    pub ha: HaConfig,
    start: u64,
    pub up: bool,
    pub held: Option<(u64, Time)>,
    pub disk: bool,
    /// What a write takes.
    pub write: Duration,
    /// Monitors that fail.
    pub bad: BTreeSet<MonitorKind>,
    pub log: Vec<(Time, String)>,
    pub answers: BTreeMap<u64, Result<String, String>>,
    pub hooks: Vec<(Effective, Effective, u64)>,
    pub stopped: bool,
    pub syncs: u32,
    pub conflict: bool,
    wake: u64,
}

pub struct World {
    pub now: Time,
    pub units: Vec<Unit>,
    pub witness: Voter,
    pub witness_up: bool,
    witness_heard: BTreeMap<usize, Time>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    due: BTreeMap<u64, Due>,
    n: u64,
    /// From, to, link: what is dropped.
    pub cut: BTreeSet<(usize, usize, Option<LinkName>)>,
    /// Both held at these times.
    pub overlaps: Vec<Time>,
    pub gaps: Vec<(Time, Duration)>,
    pub lost: fn(u64) -> bool,
    free_since: Option<Time>,
    request: u64,
}

impl World {
    pub fn new(change: impl Fn(usize, &mut HaConfig)) -> Self {
        Self::with_kept(change, [Kept::default(), Kept::default()])
    }

    pub fn with_kept(change: impl Fn(usize, &mut HaConfig), kept: [Kept; 2]) -> Self {
        let now = Time::from_millis(1_700_000_000_000);
        let mut world = Self {
            now,
            units: Vec::new(),
            witness: Voter::new(now, sec(1)),
            witness_up: true,
            witness_heard: BTreeMap::new(),
            queue: BinaryHeap::new(),
            due: BTreeMap::new(),
            n: 0,
            cut: BTreeSet::new(),
            overlaps: Vec::new(),
            gaps: Vec::new(),
            lost: |_| false,
            free_since: None,
            request: 0,
        };
        for (unit, kept) in kept.into_iter().enumerate() {
            let mut ha = config(unit);
            change(unit, &mut ha);
            assert_eq!(ha.problems(), Vec::<String>::new());
            let (core, out) = Core::new(world.config(unit, &ha, &kept, 1), now);
            world.units.push(Unit {
                core,
                kept,
                ha,
                start: 1,
                up: true,
                held: None,
                disk: true,
                write: ms(3),
                bad: BTreeSet::new(),
                log: Vec::new(),
                answers: BTreeMap::new(),
                hooks: Vec::new(),
                stopped: false,
                syncs: 0,
                conflict: false,
                wake: 0,
            });
            world.apply(unit, out);
        }
        world
    }

    fn config(&self, unit: usize, ha: &HaConfig, kept: &Kept, start: u64) -> Config {
        Config {
            id: PeerId::new(["A", "B"][unit]),
            host: ["a.example", "b.example"][unit].into(),
            boot: BootId(start),
            level: 1,
            ha: ha.clone(),
            kept: kept.clone(),
            seed: self.n + start,
        }
    }

    fn push(&mut self, at: Time, due: Due) {
        self.n += 1;
        self.due.insert(self.n, due);
        self.queue.push(Reverse((at, self.n)));
    }

    pub fn start(&mut self, unit: usize) {
        let u = &self.units[unit];
        let config = self.config(unit, &u.ha.clone(), &u.kept.clone(), u.start + 1);
        let (core, out) = Core::new(config, self.now);
        let u = &mut self.units[unit];
        u.core = core;
        u.start += 1;
        u.up = true;
        u.stopped = false;
        u.held = None;
        self.apply(unit, out);
    }

    /// The process dies; the lease runs out by itself.
    pub fn kill(&mut self, unit: usize) {
        self.units[unit].up = false;
        self.units[unit].start += 1;
    }

    /// The process stands still for `span`.
    pub fn freeze(&mut self, unit: usize, span: Duration) {
        self.units[unit].up = false;
        self.run(span);
        self.units[unit].up = true;
        let now = self.now;
        self.push(now, Due::Event(unit, self.units[unit].start, Event::Tick));
    }

    pub fn tell(&mut self, unit: usize, event: Event) {
        let now = self.now;
        let out = self.units[unit].core.step(now, event);
        self.apply(unit, out);
    }

    pub fn act(&mut self, unit: usize, act: HaAct) -> u64 {
        self.request += 1;
        let request = self.request;
        let event = Event::Act { request, act, by: Line::new("ann"), reason: Line::new("because"), basis: None };
        self.tell(unit, event);
        request
    }

    pub fn cut_links(&mut self) {
        for link in [LinkName::Primary, LinkName::Secondary] {
            self.cut.extend([(A, B, Some(link)), (B, A, Some(link))]);
        }
    }

    pub fn cut_way(&mut self, from: usize, to: usize) {
        self.cut.extend([(from, to, Some(LinkName::Primary)), (from, to, Some(LinkName::Secondary))]);
    }

    pub fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs until `is` holds, at most `span`; tells whether it came to hold.
    pub fn run_until(&mut self, span: Duration, is: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + span;
        while let Some(Reverse((at, n))) = self.queue.peek().copied() {
            if is(self) {
                return true;
            }
            if at > end {
                break;
            }
            self.queue.pop();
            self.look(at);
            self.now = self.now.max(at);
            match self.due.remove(&n).unwrap() {
                Due::Wake(unit, wake) if self.units[unit].wake == wake && self.units[unit].up => {
                    self.tell(unit, Event::Tick);
                }
                Due::Event(unit, start, event) if self.units[unit].start == start => {
                    if self.units[unit].up {
                        self.tell(unit, event);
                    } else if matches!(event, Event::Guard(_) | Event::Kept { .. }) {
                        self.push(at + ms(50), Due::Event(unit, start, event));
                    }
                }
                Due::ToWitness(unit, message) if self.witness_up => self.on_witness(unit, message),
                Due::Wake(..) | Due::Event(..) | Due::ToWitness(..) => {}
            }
            self.look(self.now);
        }
        self.look(end);
        self.now = end;
        is(self)
    }

    /// Leases that have run out, overlaps, gaps. A lease outlives its permit by nothing: the worst that K allows.
    fn look(&mut self, at: Time) {
        let now = at;
        for unit in &mut self.units {
            if let Some((_, until)) = unit.held
                && now >= until
            {
                unit.held = None;
                if self.free_since.is_none() {
                    self.free_since = Some(until);
                }
            }
        }
        let holders = self.units.iter().filter(|u| u.held.is_some()).count();
        if holders > 1 {
            self.overlaps.push(now);
        }
        match (holders, self.free_since) {
            (0, None) => self.free_since = Some(now),
            (1.., Some(since)) => {
                self.gaps.push((now, now.since(since)));
                self.free_since = None;
            }
            (0, Some(_)) | (_, None) => {}
        }
    }

    fn on_witness(&mut self, unit: usize, message: Message) {
        let id = PeerId::new(["A", "B"][unit]);
        let now = self.now;
        match message {
            Message::Beat(beat) if beat.effective == "primary" => {
                self.witness_heard.insert(unit, now);
            }
            Message::Ask { epoch, n, what } => {
                let heard = self.witness_heard.get(&(1 - unit)).is_some_and(|at| now.since(*at) < sec(3));
                let refused = match what {
                    peerdeck::proto::beat::Want::Hold => self.witness.ask(now, &id, epoch).err(),
                    peerdeck::proto::beat::Want::TakeOver => heard.then(|| "the primary is heard here".to_owned()),
                };
                let message = Message::Grant {
                    n,
                    unit: id.as_str().to_owned(),
                    epoch,
                    refused,
                    top: self.witness.top_beside(&id),
                };
                if !self.cut.contains(&(WITNESS, unit, None)) {
                    let way = Way::Witness(self.units[unit].ha.witness_at[0]);
                    let event = Event::Heard { way, from: PeerId::new("W"), boot: BootId(1), message };
                    let start = self.units[unit].start;
                    self.push(now + ms(1), Due::Event(unit, start, event));
                }
            }
            Message::Release { epoch, .. } => self.witness.give_back(&id, epoch),
            _ => {}
        }
    }

    fn apply(&mut self, unit: usize, effects: Vec<Effect>) {
        let now = self.now;
        for effect in effects {
            let start = self.units[unit].start;
            match effect {
                Effect::Send { way, message } => self.send(unit, way, message),
                Effect::Keep { ticket, kept } => {
                    let ok = self.units[unit].disk;
                    if ok {
                        assert!(kept.epoch >= self.units[unit].kept.epoch, "invariant 4: the epoch on disk goes back");
                        self.units[unit].kept = kept;
                    }
                    let result = if ok { Ok(()) } else { Err("no space".to_owned()) };
                    self.push(now + self.units[unit].write, Due::Event(unit, start, Event::Kept { ticket, result }));
                }
                Effect::Guard(order) => self.on_order(unit, &order),
                Effect::Check { kind } => {
                    let result = if self.units[unit].bad.contains(&kind) { Err("refused".to_owned()) } else { Ok(()) };
                    self.push(now + ms(20), Due::Event(unit, start, Event::Checked { kind, result }));
                }
                Effect::Hook { from, to, epoch, .. } => self.units[unit].hooks.push((from, to, epoch)),
                Effect::Answer { request, result } => {
                    self.units[unit].answers.insert(request, result);
                }
                Effect::Sync => self.units[unit].syncs += 1,
                Effect::Log(line) => self.units[unit].log.push((now, line.as_str().to_owned())),
                Effect::Changed => {}
                Effect::Stopped => self.units[unit].stopped = true,
            }
        }
        let wake = self.units[unit].core.next_wake();
        self.units[unit].wake += 1;
        let n = self.units[unit].wake;
        self.push(wake, Due::Wake(unit, n));
    }

    fn on_order(&mut self, unit: usize, order: &GuardOrder) {
        let now = self.now;
        let (start, k) = (self.units[unit].start, self.units[unit].ha.gone_after());
        let report = match *order {
            GuardOrder::Hold { epoch, until, .. } => {
                let kept = &self.units[unit].kept;
                assert!(kept.epoch >= epoch, "invariant 4: an address in an epoch that is not on disk");
                assert!(kept.ceding.is_none_or(|c| c < epoch), "an address in an epoch that was given away");
                if now + k > until {
                    return;
                }
                if self.units[unit].conflict {
                    Some(GuardReport::Conflict(Line::new("00:11:22 answers")))
                } else {
                    let added = self.units[unit].held.is_none();
                    self.units[unit].held = Some((epoch, until));
                    added.then_some(GuardReport::Held { epoch, until })
                }
            }
            GuardOrder::Drop => {
                self.units[unit].held = None;
                Some(GuardReport::Dropped)
            }
        };
        if let Some(report) = report {
            self.push(now + ms(2), Due::Event(unit, start, Event::Guard(report)));
        }
        self.look(now);
    }

    fn send(&mut self, unit: usize, way: Way, message: Message) {
        if let Message::Beat(beat) = &message {
            assert!(beat.epoch <= self.units[unit].kept.epoch, "invariant 4: a beat in an epoch that is not on disk");
        }
        let at = self.now + ms(1);
        match way {
            Way::Link(link, _) => {
                if self.cut.contains(&(unit, 1 - unit, Some(link))) || (self.lost)(self.n) {
                    return;
                }
                let way = Way::Link(link, address(unit, link));
                let boot = BootId(self.units[unit].start);
                let event = Event::Heard { way, from: PeerId::new(["A", "B"][unit]), boot, message };
                if let Some(start) = self.units.get(1 - unit).map(|u| u.start) {
                    self.push(at, Due::Event(1 - unit, start, event));
                }
            }
            Way::Witness(_) => {
                if !self.cut.contains(&(unit, WITNESS, None)) {
                    self.push(at, Due::ToWitness(unit, message));
                }
            }
        }
    }

    pub fn status(&self, unit: usize) -> HaStatus {
        self.units[unit].core.status(self.now)
    }

    pub fn role(&self, unit: usize) -> Effective {
        self.status(unit).effective
    }

    pub fn roles(&self) -> (Effective, Effective) {
        (self.role(A), self.role(B))
    }

    pub fn holders(&self) -> Vec<usize> {
        (0..2).filter(|u| self.units[*u].held.is_some()).collect()
    }

    /// The rows by which its role has changed.
    pub fn rows(&self, unit: usize) -> Vec<u8> {
        self.status(unit).changes.iter().map(|c| c.row).collect()
    }

    /// What went on, for the message of a failed test.
    pub fn story(&self) -> String {
        let mut lines: Vec<(Time, usize, &str)> = Vec::new();
        for (u, unit) in self.units.iter().enumerate() {
            lines.extend(unit.log.iter().map(|(at, l)| (*at, u, l.as_str())));
        }
        lines.sort();
        let began = Time::from_millis(1_700_000_000_000);
        let tell = |(at, u, l): &(Time, usize, &str)| format!("{:?} {} {l}", at.since(began), ["A", "B"][*u]);
        lines.iter().map(tell).collect::<Vec<_>>().join("\n")
    }

    /// A is primary and holds, B is secondary.
    pub fn settled(change: impl Fn(usize, &mut HaConfig)) -> Self {
        let mut world = Self::new(change);
        world.run(sec(15));
        assert_eq!(world.roles(), (Effective::Primary, Effective::Secondary), "{}", world.story());
        assert_eq!(world.holders(), [A], "{}", world.story());
        world.overlaps.clear();
        world.gaps.clear();
        world
    }
}
