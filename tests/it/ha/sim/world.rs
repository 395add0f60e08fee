//! The world of the simulation: three machines, their clocks, disks, guards and the network between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use peerdeck::daemon::ha::core::Core;
use peerdeck::daemon::ha::core::witness::Ballot;
use peerdeck::daemon::ha::{Config, Configuration, Effect, Event, Kept, Way};
use peerdeck::domain::ha::config::grant_length;
use peerdeck::domain::ha::{Effective, HaAct, HaStatus, LinkName, MonitorKind, WitnessMode};
use peerdeck::domain::ids::{BootId, HostName};
use peerdeck::domain::text::Line;
use peerdeck::domain::time::Time;
use peerdeck::proto::beat::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::guard::{GONE, Guard, Next};
use super::{Bug, LEASE, Plan, at, config, id, witness, witness_config};

const UNITS: usize = 2;
const WITNESS: usize = 2;

/// Everything that waits for its moment.
enum Item {
    Deliver { to: usize, from: usize, link: usize, boot: u64, seq: u64, message: Message },
    Wake { node: usize, turn: u64 },
    Feed { node: usize, life: u64, event: Event },
    Kept { node: usize, life: u64, ticket: u64, kept: Kept, fails: bool },
    Durable { node: usize, kept: Kept },
    Order { node: usize, life: u64, order: peerdeck::daemon::ha::GuardOrder },
    Guard { node: usize, turn: u64, next: Next },
    Expire { node: usize, lease: u64 },
    Rouse { node: usize },
    Fault,
    Look,
}

struct Node {
    /// Its clock: `base + true * rate`.
    base: u64,
    rate: f64,
    core: Option<Core>,
    witness: Option<Ballot>,
    life: u64,
    boot: u64,
    seq: u64,
    turn: u64,
    disk: Kept,
    disk_fails: bool,
    /// Stands still until then: process; and with it the guard, or the whole machine.
    paused: u64,
    guard_paused: u64,
    asleep: u64,
    woke: u64,
    backlog: VecDeque<Event>,
    heard: BTreeMap<(usize, usize), (u64, u64)>,
    guard: Guard,
    guard_alive: bool,
    guard_turn: u64,
    /// What its monitors find.
    bad: Vec<MonitorKind>,
    stopping: bool,
    /// When its guard gets the last order.
    ordered: u64,
    /// The epoch of the last primary's beat or hold.
    claimed: u64,
}

pub struct World {
    pub plan: Plan,
    pub now: u64,
    rng: StdRng,
    queue: BTreeMap<(u64, u64), Item>,
    next: u64,
    nodes: Vec<Node>,
    /// From, to, link (2: the way to or from the witness).
    cut: BTreeSet<(usize, usize, usize)>,
    loss: f64,
    /// By unit: until when some other voter's vote for it holds at most.
    votes: [u64; 2],
    /// Who claimed an epoch by holding the address in it, since the last start of a voter: one that was started anew has
    /// forgotten which epochs are over.
    holders: BTreeMap<u64, usize>,
    /// Until when what is held may rest on votes from before such a start: the voter has forgotten those epochs as well.
    forgotten: u64,
    both_since: Option<u64>,
    /// How long two had the address.
    pub overlap: u64,
    pub takeovers: u64,
    pub problems: Vec<String>,
    pub log: VecDeque<String>,
    request: u64,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut rng = StdRng::seed_from_u64(plan.seed);
        let nodes = (0..3).map(|_| Node {
            base: rng.random_range(1_000_000..9_000_000),
            rate: rng.random_range(0.996..1.004),
            core: None,
            witness: None,
            life: 0,
            boot: 0,
            seq: 0,
            turn: 0,
            disk: Kept::default(),
            disk_fails: false,
            paused: 0,
            guard_paused: 0,
            asleep: 0,
            woke: 0,
            backlog: VecDeque::new(),
            heard: BTreeMap::new(),
            guard: Guard::default(),
            guard_alive: false,
            guard_turn: 0,
            bad: Vec::new(),
            stopping: false,
            ordered: 0,
            claimed: 0,
        });
        let nodes = nodes.collect();
        let mut world = Self {
            loss: plan.loss,
            plan,
            now: 0,
            rng,
            queue: BTreeMap::new(),
            next: 0,
            nodes,
            cut: BTreeSet::new(),
            votes: [0; 2],
            holders: BTreeMap::new(),
            forgotten: 0,
            both_since: None,
            overlap: 0,
            takeovers: 0,
            problems: Vec::new(),
            log: VecDeque::new(),
            request: 0,
        };
        for node in 0..3 {
            world.start(node);
        }
        if world.plan.faults {
            world.post(10_000, Item::Fault);
        }
        world
    }

    // Clocks.

    fn local(&self, node: usize) -> Time {
        let n = &self.nodes[node];
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "short runs"
        )]
        let run = (self.now as f64 * n.rate) as u64;
        Time::from_millis(n.base + run)
    }

    /// The first true moment at which the clock of `node` shows `at`.
    fn truly(&self, node: usize, at: Time) -> u64 {
        let n = &self.nodes[node];
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "short runs"
        )]
        let due = (at.as_millis().saturating_sub(n.base) as f64 / n.rate).ceil() as u64;
        due.max(self.now)
    }

    fn post(&mut self, after: u64, item: Item) {
        self.post_at(self.now + after, item);
    }

    fn post_at(&mut self, at: u64, item: Item) {
        self.next += 1;
        self.queue.insert((at, self.next), item);
    }

    fn note(&mut self, text: &str) {
        if self.log.len() > 400 {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:>8} {text}", self.now));
    }

    fn problem(&mut self, text: &str) {
        let text = format!("{} ms: {text}", self.now);
        self.note(&format!("PROBLEM {text}"));
        self.problems.push(text);
    }

    /// Runs until `until`, or the first problem.
    pub fn run(&mut self, until: u64) {
        while let Some((&(at, n), _)) = self.queue.first_key_value() {
            if at > until || !self.problems.is_empty() {
                break;
            }
            let Some(item) = self.queue.remove(&(at, n)) else { break };
            self.now = at.max(self.now);
            self.item(item);
            self.check();
        }
        self.now = self.now.max(until);
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Deliver { to, from, link, boot, seq, message } => self.arrived(to, from, link, boot, seq, message),
            Item::Wake { node, turn } if self.nodes[node].turn == turn => self.feed(node, Event::Tick),
            Item::Feed { node, life, event } if self.nodes[node].life == life => self.feed(node, event),
            Item::Kept { node, life, ticket, kept, fails } if self.nodes[node].life == life => {
                let result = if fails { Err("the disk is read-only".to_owned()) } else { Ok(()) };
                if !fails {
                    if self.plan.bug == Some(Bug::KeepsLater) {
                        self.post(700, Item::Durable { node, kept });
                    } else {
                        self.durable(node, kept);
                    }
                }
                self.feed(node, Event::Kept { ticket, result });
            }
            Item::Durable { node, kept } => self.durable(node, kept),
            Item::Order { node, life, order } if self.nodes[node].life == life && self.nodes[node].guard_alive => {
                self.nodes[node].guard.order = Some(order);
                self.guard_in(node, 0, Next::Look(0));
            }
            Item::Guard { node, turn, next } if self.nodes[node].guard_turn == turn => self.guard(node, next),
            Item::Expire { node, lease } if self.nodes[node].guard.lease == lease => {
                if self.nodes[node].asleep > self.now {
                    let wake = self.nodes[node].asleep + self.rng.random_range(0..500);
                    self.post_at(wake, Item::Expire { node, lease });
                } else {
                    self.nodes[node].guard.present = false;
                    self.note(&format!("{node}: the kernel removed the address"));
                }
            }
            Item::Rouse { node } => self.rouse(node),
            Item::Fault => self.fault(),
            Item::Look
            | Item::Wake { .. }
            | Item::Feed { .. }
            | Item::Kept { .. }
            | Item::Order { .. }
            | Item::Guard { .. }
            | Item::Expire { .. } => {}
        }
    }

    fn durable(&mut self, node: usize, kept: Kept) {
        if kept.epoch < self.nodes[node].disk.epoch {
            self.problem(&format!("{node} writes epoch {} over {}", kept.epoch, self.nodes[node].disk.epoch));
        }
        self.nodes[node].disk = kept;
    }

    // Machines.

    /// Starts what does not run.
    pub fn start(&mut self, node: usize) {
        if self.plan.bug == Some(Bug::ForgetsEpoch) {
            self.nodes[node].disk = Kept::default();
        }
        let now = self.local(node);
        let n = &mut self.nodes[node];
        if n.core.is_some() || n.witness.is_some() {
            return;
        }
        self.holders.clear();
        self.forgotten = self.now + u64::try_from(grant_length(LEASE).as_millis()).unwrap() * 101 / 100;
        n.life += 1;
        n.boot += 1;
        n.turn += 1;
        n.stopping = false;
        n.backlog.clear();
        n.heard.clear();
        let what = format!("{node}: started, life {}, kept {:?}", n.life, n.disk);
        if node == WITNESS {
            let since =
                if self.plan.bug == Some(Bug::WitnessForgets) { now.before(Duration::from_mins(1)) } else { now };
            n.witness = Some(Ballot::new(&witness_config(), since));
            return self.note(&what);
        }
        // A guard that starts deletes what an earlier one has left.
        n.guard = Guard::after(&n.guard);
        n.guard_alive = true;
        n.guard_turn += 1;
        let config = Config {
            id: id(node),
            host: HostName::new(["a.example.com", "b.example.com"][node]),
            boot: BootId(n.boot),
            level: 1,
            ha: config(&self.plan, node),
            kept: n.disk.clone(),
            seed: self.plan.seed ^ n.boot,
        };
        self.note(&what);
        let (core, effects) = Core::new(config, now);
        self.nodes[node].core = Some(core);
        self.effects(node, effects);
        self.feed(node, Event::Configuration(Configuration { digest: "same".into(), trouble: None }));
    }

    fn kill(&mut self, node: usize, guard_too: bool) {
        self.settle_writes(node);
        let n = &mut self.nodes[node];
        n.core = None;
        n.witness = None;
        n.life += 1;
        n.turn += 1;
        n.paused = 0;
        n.backlog.clear();
        if node != WITNESS && n.guard_alive {
            n.guard_alive = false;
            n.guard_turn += 1;
            if !guard_too {
                // Its input ends: it deletes and goes.
                n.guard.order = Some(peerdeck::daemon::ha::GuardOrder::Drop);
                let wait = self.rng.random_range(0..30);
                self.guard_in(node, wait, Next::Delete(0));
            }
        }
        self.note(&format!("{node}: killed{}", if guard_too { ", its guard too" } else { "" }));
    }

    /// What a process that is killed had handed to the disk reaches it now or never: the next one starts when it is gone.
    fn settle_writes(&mut self, node: usize) {
        let of = |item: &Item| matches!(item, Item::Kept { node: n, .. } if *n == node);
        let writes: Vec<_> = self.queue.iter().filter(|(_, item)| of(item)).map(|(at, _)| *at).collect();
        for at in writes {
            if let Some(Item::Kept { kept, fails: false, .. }) = self.queue.remove(&at)
                && self.rng.random_bool(0.5)
            {
                self.durable(node, kept);
            }
        }
    }

    fn rouse(&mut self, node: usize) {
        let n = &mut self.nodes[node];
        if n.paused > self.now || n.asleep > self.now {
            return;
        }
        let backlog = std::mem::take(&mut n.backlog);
        if self.rng.random_bool(0.5) {
            self.feed(node, Event::Tick);
        }
        for event in backlog {
            self.feed(node, event);
        }
        self.feed(node, Event::Tick);
    }

    /// The process of a machine takes an event, unless it stands still: then it waits.
    fn feed(&mut self, node: usize, event: Event) {
        let now = self.local(node);
        let n = &mut self.nodes[node];
        let still = n.paused.max(n.asleep);
        if n.core.is_none() {
            return;
        }
        if still > self.now {
            if !matches!(event, Event::Tick) && n.backlog.len() < 256 {
                n.backlog.push_back(event);
            }
            self.post_at(still, Item::Rouse { node });
            return;
        }
        let Some(core) = &mut n.core else { return };
        let before = core.status(now).effective;
        let effects = core.step(now, event);
        let status = core.status(now);
        let wake = core.next_wake();
        n.turn += 1;
        let turn = n.turn;
        if status.effective != before {
            if before == Effective::Secondary && status.effective == Effective::Primary {
                self.takeovers += 1;
            }
            self.note(&format!(
                "{node}: {before:?} -> {:?} in epoch {}: {}",
                status.effective, status.epoch, status.reason
            ));
        }
        let mut due = self.truly(node, wake);
        if due <= self.now {
            // A core that wants to be woken at once for ever would hang.
            due = self.now + 1;
        }
        // Timers are a little late, and now and then much.
        due += if self.rng.random_bool(0.01) { self.rng.random_range(0..300) } else { self.rng.random_range(0..2) };
        self.post_at(due, Item::Wake { node, turn });
        self.effects(node, effects);
    }

    fn effects(&mut self, node: usize, effects: Vec<Effect>) {
        let mut late = 0;
        for effect in effects {
            if self.plan.faults && self.rng.random_bool(0.0005) {
                // Off the processor between two effects.
                late += self.rng.random_range(0..4_000);
            }
            self.effect(node, effect, late);
        }
        if late > 0 {
            let n = &mut self.nodes[node];
            n.paused = n.paused.max(self.now + late);
            self.post(late, Item::Rouse { node });
        }
    }

    fn effect(&mut self, node: usize, effect: Effect, late: u64) {
        let life = self.nodes[node].life;
        match effect {
            Effect::Send { way, message } => {
                let (to, link) = match way {
                    Way::Link(LinkName::Primary, _) => (1 - node, 0),
                    Way::Link(LinkName::Secondary, _) => (1 - node, 1),
                    Way::Witness(_) => (WITNESS, 2),
                };
                if let Message::Beat(beat) = &message
                    && beat.effective == "primary"
                {
                    self.claim(node, beat.epoch, "beats");
                }
                self.vote(node, &message);
                self.send(node, to, link, message, late);
            }
            Effect::Keep { ticket, kept } => {
                let fails = self.nodes[node].disk_fails;
                let slow = if self.rng.random_bool(0.02) { 900 } else { 15 };
                let after = late + self.rng.random_range(0..slow);
                self.post(after, Item::Kept { node, life, ticket, kept, fails });
            }
            Effect::Guard(mut order) => {
                if let peerdeck::daemon::ha::GuardOrder::Hold { epoch, until, .. } = &mut order {
                    let epoch = *epoch;
                    if self.plan.bug == Some(Bug::PermitTooLong) {
                        *until = *until + Duration::from_secs(3);
                    }
                    self.claim(node, epoch, "holds");
                }
                // A pipe: none overtakes the one before.
                let at = (self.now + late + self.rng.random_range(0..3)).max(self.nodes[node].ordered);
                self.nodes[node].ordered = at;
                self.post_at(at, Item::Order { node, life, order });
            }
            Effect::Check { kind } => {
                let bad = self.nodes[node].bad.contains(&kind)
                    || (kind.is_remote()
                        && (self.nodes[1 - node].core.is_none() || self.nodes[1 - node].bad.contains(&kind)));
                let result = if bad { Err("421 not now".to_owned()) } else { Ok(()) };
                let after = late + self.rng.random_range(1..60);
                self.post(after, Item::Feed { node, life, event: Event::Checked { kind, result } });
            }
            Effect::Stopped => {
                self.note(&format!("{node}: stopped"));
                self.kill(node, false);
            }
            Effect::Answer { result, .. } => self.note(&format!("{node}: answers {result:?}")),
            Effect::Log(text) => self.note(&format!("{node}: says {text}")),
            Effect::Hook { .. } | Effect::Sync | Effect::Changed => {}
        }
    }

    /// A unit shows itself as primary in an epoch: that is on its disk, and never an older one.
    fn claim(&mut self, node: usize, epoch: u64, how: &str) {
        let (disk, claimed) = (self.nodes[node].disk.epoch, self.nodes[node].claimed);
        if disk < epoch {
            self.problem(&format!("{node} {how} in epoch {epoch}, on its disk is {disk}"));
        }
        if epoch < claimed {
            self.problem(&format!("{node} {how} in epoch {epoch} after {claimed}"));
        }
        self.nodes[node].claimed = epoch.max(claimed);
    }

    // Votes.

    fn vote(&mut self, voter: usize, message: &Message) {
        if let Message::Grant { unit, refused: None, .. } = message
            && let Some(unit) = (0..UNITS).find(|u| id(*u).as_str() == unit)
            && unit != voter
        {
            // The grant's length, with the voter's drift.
            self.votes[unit] = self.votes[unit].max(self.now + 3_560);
        }
    }

    // Network.

    fn send(&mut self, from: usize, to: usize, link: usize, message: Message, late: u64) {
        let n = &mut self.nodes[from];
        n.seq += 1;
        let (boot, seq) = (n.boot, n.seq);
        if self.cut.contains(&(from, to, link)) || (self.loss > 0.0 && self.rng.random_bool(self.loss)) {
            return;
        }
        let delay = match self.rng.random_range(0..1000) {
            0..980 => self.rng.random_range(0..5),
            980..998 => self.rng.random_range(0..60),
            _ => self.rng.random_range(0..700),
        };
        if self.rng.random_bool(0.002) {
            let again = late + delay + self.rng.random_range(0..400);
            self.post(again, Item::Deliver { to, from, link, boot, seq, message: message.clone() });
        }
        self.post(late + delay, Item::Deliver { to, from, link, boot, seq, message });
    }

    fn arrived(&mut self, to: usize, from: usize, link: usize, boot: u64, seq: u64, message: Message) {
        let n = &mut self.nodes[to];
        if n.core.is_none() && n.witness.is_none() {
            return;
        }
        // What the runtime's guard against replays lets through.
        let last = n.heard.entry((from, link)).or_default();
        if (boot, seq) <= *last {
            return;
        }
        *last = (boot, seq);
        if to == WITNESS {
            return self.ask_witness(from, message);
        }
        let way = match link {
            0 => Way::Link(LinkName::Primary, at(from, 0)),
            1 => Way::Link(LinkName::Secondary, at(from, 1)),
            _ => Way::Witness(witness()),
        };
        self.feed(to, Event::Heard { way, from: id(from), boot: BootId(boot), message });
    }

    fn ask_witness(&mut self, from: usize, message: Message) {
        let now = self.local(WITNESS);
        let n = &mut self.nodes[WITNESS];
        if n.paused.max(n.asleep) > self.now {
            return; // Its socket is full of others.
        }
        let Some(witness) = &mut n.witness else { return };
        let mut answer = witness.take(now, &id(from), message);
        if self.plan.bug == Some(Bug::WitnessGrantsAll)
            && let Some(Message::Grant { refused, .. }) = &mut answer
        {
            *refused = None;
        }
        if let Some(answer) = answer {
            self.vote(WITNESS, &answer);
            self.send(WITNESS, from, 2, answer, 0);
        }
    }

    // Guards.

    fn guard_in(&mut self, node: usize, after: u64, next: Next) {
        self.nodes[node].guard_turn += 1;
        let turn = self.nodes[node].guard_turn;
        self.post(after, Item::Guard { node, turn, next });
    }

    fn guard(&mut self, node: usize, next: Next) {
        let now = self.local(node);
        let (rng, bug) = (&mut self.rng, self.plan.bug);
        let n = &mut self.nodes[node];
        let still = n.guard_paused.max(n.asleep);
        if still > self.now {
            // One that was stopped after its check looks again before the call: that is stated.
            let next =
                if matches!(next, Next::Call(_)) && bug != Some(Bug::NeverLooksAgain) { Next::Look(0) } else { next };
            let turn = n.guard_turn;
            return self.post_at(still, Item::Guard { node, turn, next });
        }
        let mut reports = Vec::new();
        let was = n.guard.present;
        let next = match next {
            Next::Look(_) => n.guard.look(now, rng, bug, &mut reports),
            Next::Call(_) => {
                let next = n.guard.call(now, rng, bug, &mut reports);
                let (lease, expires) = (n.guard.lease, n.guard.expires);
                let due = self.truly(node, Time::from_millis(expires));
                self.post_at(due, Item::Expire { node, lease });
                if self.plan.witness == WitnessMode::Require
                    && self.now > self.votes[node] + super::guard::BETWEEN
                    && self.nodes[node].guard.present
                    && !matches!(next, Next::Delete(_))
                {
                    self.problem(&format!("{node} renews without the vote of another"));
                }
                next
            }
            Next::Delete(_) if bug == Some(Bug::SaysDroppedTooSoon) && was => {
                let lease = n.guard.lease;
                let next = n.guard.delete(&mut reports);
                (n.guard.present, n.guard.lease) = (true, lease);
                next
            }
            Next::Delete(_) => n.guard.delete(&mut reports),
            Next::Rest => Next::Rest,
        };
        if self.nodes[node].guard.present != was {
            let does = if was { "deleted" } else { "added" };
            self.note(&format!("{node}: {does} the address"));
            if !was
                && let Some(peerdeck::daemon::ha::GuardOrder::Hold { epoch, .. }) = self.nodes[node].guard.order
                && self.plan.witness == WitnessMode::Require
                && self.now >= self.forgotten
                && *self.holders.entry(epoch).or_insert(node) != node
            {
                self.problem(&format!("both units held the address in epoch {epoch}"));
            }
        }
        let life = self.nodes[node].life;
        for report in reports {
            let after = self.rng.random_range(0..3);
            self.post(after, Item::Feed { node, life, event: Event::Guard(report) });
        }
        match next {
            Next::Rest => {}
            Next::Look(after) | Next::Call(after) | Next::Delete(after) => self.guard_in(node, after, next),
        }
    }

    // Faults.

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.random_range(0..of.len())]
    }

    fn fault(&mut self) {
        let gone = u64::try_from(self.plan.threshold.as_millis()).unwrap();
        let unit = self.rng.random_range(0..UNITS);
        let span = self.pick(&[gone / 2, gone, gone * 3, gone * 10]);
        match self.rng.random_range(0..if self.plan.network { 20 } else { 13 }) {
            0 | 1 => {
                let too = self.rng.random_bool(0.5);
                self.kill(unit, too);
            }
            2..5 => {
                self.note(&format!("{unit}: stopped for {span}"));
                // What stands still already goes on no sooner: its work waits for the end that it knew.
                let until = self.now + span;
                let both = self.rng.random_bool(0.5);
                let n = &mut self.nodes[unit];
                n.paused = n.paused.max(until);
                if both {
                    n.guard_paused = n.guard_paused.max(until);
                }
                self.post(span, Item::Rouse { node: unit });
            }
            5 => {
                self.note(&format!("{unit}: suspended for {span}"));
                let n = &mut self.nodes[unit];
                let until = n.asleep.max(self.now + span);
                (n.asleep, n.woke) = (until, until);
                self.post(span, Item::Rouse { node: unit });
                self.post(span + 3_100, Item::Look);
            }
            6 => {
                self.kill(WITNESS, false);
                let after = self.rng.random_range(0..5_000);
                if self.rng.random_bool(0.5) {
                    self.now += 0;
                    self.post(after, Item::Look);
                }
                self.start(WITNESS);
            }
            7 => self.nodes[WITNESS].paused = self.now + span,
            8 => {
                let act = self.pick(&[
                    HaAct::Switchover,
                    HaAct::Switchover,
                    HaAct::Failover,
                    HaAct::Restore,
                    HaAct::Restart,
                    HaAct::Accept,
                ]);
                self.act(unit, act);
            }
            9 => {
                let restarting = self.rng.random_bool(0.5);
                self.note(&format!("{unit}: asked to stop, restarting: {restarting}"));
                self.nodes[unit].stopping = true;
                self.feed(unit, Event::Stop { restarting });
            }
            10 => {
                let kind = self.pick(&MonitorKind::ALL);
                self.note(&format!("{unit}: {} fails", kind.as_str()));
                self.nodes[unit].bad.push(kind);
            }
            11 => self.nodes[unit].disk_fails = true,
            12 => self.heal(),
            13 => {
                let (a, b) = self.pick(&[(0, 1), (1, 0)]);
                self.note(&format!("cut one way {a} > {b}"));
                self.cut.insert((a, b, 0));
                self.cut.insert((a, b, 1));
            }
            14 => {
                self.note("cut between the units");
                for (a, b) in [(0, 1), (1, 0)] {
                    self.cut.insert((a, b, 0));
                    self.cut.insert((a, b, 1));
                }
            }
            15 => {
                let link = self.rng.random_range(0..2);
                self.cut.insert((0, 1, link));
                self.cut.insert((1, 0, link));
            }
            16 => {
                self.note(&format!("cut {unit} from the witness"));
                self.cut.insert((unit, WITNESS, 2));
                if self.rng.random_bool(0.7) {
                    self.cut.insert((WITNESS, unit, 2));
                }
            }
            17 => {
                self.note(&format!("{unit} cut off from all"));
                for (other, link) in [(1 - unit, 0), (1 - unit, 1), (WITNESS, 2)] {
                    self.cut.insert((unit, other, link));
                    self.cut.insert((other, unit, link));
                }
            }
            18 => self.loss = self.pick(&[0.0, 0.2, 0.5]),
            _ => self.cut.clear(),
        }
        for node in 0..3 {
            if self.rng.random_bool(0.5) {
                self.start(node);
            }
        }
        let after = self.rng.random_range(200..12_000);
        self.post(after, Item::Fault);
    }

    pub fn act(&mut self, unit: usize, act: HaAct) {
        self.request += 1;
        let request = self.request;
        self.note(&format!("{unit}: asked to {}", act.as_str()));
        let (by, reason) = (Line::new("admin"), Line::new("test"));
        self.feed(unit, Event::Act { request, act, by, reason, basis: None });
    }

    /// Ends all faults but those of the plan; what was stopped is started.
    pub fn heal(&mut self) {
        self.note("healed");
        self.cut.clear();
        self.loss = self.plan.loss;
        for node in 0..3 {
            let n = &mut self.nodes[node];
            n.bad.clear();
            n.disk_fails = false;
            self.start(node);
        }
    }

    /// No more faults from now on.
    pub fn calm(&mut self) {
        self.queue.retain(|_, item| !matches!(item, Item::Fault));
        self.heal();
        self.plan.faults = false;
    }

    pub fn status(&self, unit: usize) -> Option<HaStatus> {
        let now = self.local(unit);
        self.nodes[unit].core.as_ref().map(|core| core.status(now))
    }

    pub fn has_address(&self, unit: usize) -> bool {
        self.nodes[unit].guard.present
    }

    pub fn report(&self) -> String {
        let newest = self.log.iter().cloned().collect::<Vec<_>>().join("\n");
        format!("seed {} of {:?}:\n{newest}\n{}", self.plan.seed, self.plan, self.problems.join("\n"))
    }

    // Checks.

    fn check(&mut self) {
        let counts = |w: &Self, i: usize| {
            let n = &w.nodes[i];
            let gone = u64::try_from(GONE.as_millis()).unwrap();
            // A machine that sleeps, or has just woken: the stated exception.
            let excepted = n.asleep > w.now || (n.woke > 0 && w.now < n.woke + gone + gone / 100);
            n.guard.present && !excepted
        };
        let both = counts(self, 0) && counts(self, 1);
        match (both, self.both_since) {
            (true, None) => {
                self.both_since = Some(self.now);
                let allowed = match self.plan.witness {
                    WitnessMode::Require => false,
                    WitnessMode::Off | WitnessMode::Advise => self.plan.network,
                };
                if !allowed {
                    self.problem("two units have the address");
                }
            }
            (false, Some(since)) => {
                self.overlap += self.now - since;
                self.both_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
        for unit in 0..UNITS {
            if self.queue.len() > 100_000 {
                self.problem(&format!("{unit}: too much waits"));
            }
        }
    }
}
