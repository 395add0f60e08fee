//! The loop of a unit: one event after the other into the core, and what it decides carried out.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::board::{Heard, Post, Voice};
use super::{feel, guard_config};
use crate::daemon::cluster;
use crate::daemon::ha::core::Core;
use crate::daemon::ha::hooks::{self, Call};
use crate::daemon::ha::wire::{Refusal, Sealer, Via};
use crate::daemon::ha::{
    Config, Effect, Event, Guard, GuardOrder, GuardReport, HaConfig, Kept, Secrets, Way, keep, monitor,
};
use crate::daemon::shared::{HaDesk, Input, Shared};
use crate::domain::ha::{HaStatus, MonitorKind};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::beat::Message;

/// Events that may wait for the core, beside datagrams and what the guard reports.
const INBOX: usize = 256;

/// How often the status is published when nothing changes. A lease of a second is renewed several times meanwhile: in an
/// older status it would look as if it were over.
const PUBLISH: Duration = Duration::from_millis(250);

/// How long after the guard ended another one is tried.
const GUARD_AGAIN: Duration = Duration::from_secs(1);

/// What a check may take over its own limit, before it counts as failed here.
const CHECK_OVER: Duration = Duration::from_millis(500);

/// What a unit needs that was opened before.
pub(super) struct Parts {
    pub config: HaConfig,
    pub secrets: Secrets,
    pub kept: Kept,
    pub guard: Option<Guard>,
    pub post: Arc<Post>,
    pub heard: mpsc::Receiver<Heard>,
    /// For what takes time and need not be punctual.
    pub office: Handle,
}

/// A unit that is ready to run.
pub(super) struct Unit {
    core: Core,
    /// What the core wants done first.
    first: Vec<Effect>,
    events: mpsc::Receiver<Event>,
    heard: mpsc::Receiver<Heard>,
    reports: Option<mpsc::Receiver<GuardReport>>,
    hands: Hands,
}

impl Unit {
    pub fn new(shared: Arc<Shared>, parts: Parts) -> Self {
        let Parts { config, secrets, kept, guard, post, heard, office } = parts;
        let setup = &shared.setup;
        let sealer = Sealer::new(config.group.clone(), shared.keys.id.clone(), shared.boot);
        let started = Config {
            id: shared.keys.id.clone(),
            host: setup.host.clone(),
            boot: shared.boot,
            level: setup.level,
            ha: config.clone(),
            kept,
            seed: setup.seed.unwrap_or_else(rand::random),
        };
        let now = shared.env.clock.now();
        let (core, first) = Core::new(started, now);
        let (inbox, events) = mpsc::channel(INBOX);
        let (status, newest) = watch::channel(Arc::new(core.status(now)));
        let (turned, stopped) = (Arc::new(AtomicU64::new(now.as_millis())), CancellationToken::new());
        let desk = HaDesk { inbox: inbox.clone(), status: newest, stopped: stopped.clone(), turned: turned.clone() };
        if shared.ha.set(desk).is_err() {
            warn!("a peer has one unit only: this one will take no commands");
        }
        let (orders, reports) = guard.map(|g| (g.orders, g.reports)).unzip();
        let calls = (!config.hook.is_empty())
            .then(|| hooks::start(&office, shared.over.clone(), &config, &secrets, inbox.clone()));
        feel::start(&office, &shared, &config, &inbox);
        let hands = Hands {
            shared,
            config,
            post,
            sealer,
            inbox,
            status,
            turned,
            stopped,
            office,
            orders,
            order: None,
            checking: BTreeSet::new(),
            calls,
            publish_at: now,
            has_changed: false,
            share: None,
            stood_in: Vec::new(),
        };
        Self { core, first, events, heard, reports, hands }
    }

    /// Until the peer ends.
    pub async fn run(mut self, voice: Arc<Voice>) {
        let clock = self.hands.shared.env.clock.clone();
        let over = self.hands.shared.over.clone();
        let (guards, mut new_guards) = mpsc::channel(1);
        let first = std::mem::take(&mut self.first);
        self.hands.carry_out(&voice, first);
        loop {
            let now = clock.now();
            let wait = self.core.next_wake().min(self.hands.publish_at).since(now);
            let turn = tokio::select! {
                biased;
                () = over.cancelled() => return,
                report = next_report(&mut self.reports) => Turn::Report(report),
                event = self.events.recv() => Turn::Event(event),
                () = hand_over(self.hands.orders.as_ref(), self.hands.order.as_ref()) => Turn::Told,
                Some(guard) = new_guards.recv() => Turn::NewGuard(guard),
                heard = self.heard.recv() => Turn::Heard(heard),
                () = tokio::time::sleep_until(Instant::now() + wait) => Turn::Time,
            };
            tokio::select! {
                biased;
                () = over.cancelled() => return,
                () = self.hands.shared.thawed() => {}
            }
            let now = clock.now();
            let event = match turn {
                Turn::Report(Some(report)) => Some(Event::Guard(report)),
                Turn::Report(None) => Some(self.guard_ended(&guards)),
                Turn::Event(event) => event,
                Turn::Told => {
                    self.hands.order = None;
                    None
                }
                Turn::NewGuard(guard) => Some(self.hands.take_guard(guard, &mut self.reports)),
                Turn::Heard(heard) => heard.and_then(|heard| self.hands.read(now, heard)),
                Turn::Time => None,
            };
            if let Some(event) = event {
                if let Event::Checked { kind, .. } = &event {
                    self.hands.checking.remove(kind);
                }
                self.step(&voice, now, event);
            }
            // However much comes: time goes by.
            if self.core.next_wake() <= now {
                self.step(&voice, now, Event::Tick);
            }
            for event in std::mem::take(&mut self.hands.stood_in) {
                self.step(&voice, now, event);
            }
            self.hands.publish(now, &self.core);
        }
    }

    fn step(&mut self, voice: &Voice, now: Time, event: Event) {
        let effects = self.core.step(now, event);
        self.hands.carry_out(voice, effects);
    }

    /// Without a guard the kernel lets the addresses go. Another one is started until one runs.
    fn guard_ended(&mut self, guards: &mpsc::Sender<Guard>) -> Event {
        self.reports = None;
        self.hands.orders = None;
        warn!("the guard of the virtual addresses has ended; it is started again");
        let (shared, config, guards) = (self.hands.shared.clone(), guard_config(&self.hands.config), guards.clone());
        tokio::spawn(async move {
            let Some(config) = config else { return };
            loop {
                tokio::select! {
                    () = shared.over.cancelled() => return,
                    () = tokio::time::sleep(GUARD_AGAIN) => {}
                }
                match shared.env.ha.addresses.start(config.clone()).await {
                    Ok(guard) => {
                        // Nobody takes it any more when the peer has ended.
                        let _ = guards.send(guard).await;
                        return;
                    }
                    Err(error) => warn!(%error, "the guard of the virtual addresses can't be started again"),
                }
            }
        });
        Event::Guard(GuardReport::Failed(Line::new(
            "the guard of the virtual addresses has ended; it is started again",
        )))
    }
}

async fn next_report(reports: &mut Option<mpsc::Receiver<GuardReport>>) -> Option<GuardReport> {
    match reports {
        Some(reports) => reports.recv().await,
        None => std::future::pending().await,
    }
}

/// Gives the guard an order that it had no room for.
async fn hand_over(orders: Option<&mpsc::Sender<GuardOrder>>, order: Option<&GuardOrder>) {
    match (orders, order) {
        (Some(orders), Some(order)) => {
            // Of one that has ended the reports end too: then it is started anew.
            if let Ok(room) = orders.reserve().await {
                room.send(order.clone());
            }
        }
        (Some(_), None) | (None, _) => std::future::pending().await,
    }
}

/// Why the loop turns.
enum Turn {
    Report(Option<GuardReport>),
    Event(Option<Event>),
    Told,
    NewGuard(Guard),
    Heard(Option<Heard>),
    Time,
}

/// What the core's effects are carried out with.
struct Hands {
    shared: Arc<Shared>,
    config: HaConfig,
    post: Arc<Post>,
    sealer: Sealer,
    inbox: mpsc::Sender<Event>,
    status: watch::Sender<Arc<HaStatus>>,
    turned: Arc<AtomicU64>,
    stopped: CancellationToken,
    office: Handle,
    orders: Option<mpsc::Sender<GuardOrder>>,
    /// The newest order, while the guard takes none.
    order: Option<GuardOrder>,
    /// Checks under way.
    checking: BTreeSet<MonitorKind>,
    calls: Option<mpsc::Sender<Call>>,
    publish_at: Time,
    has_changed: bool,
    /// Who writes the group's settings, as the cluster core was told last.
    share: Option<cluster::Share>,
    /// What a guard would report, where there is nothing to guard.
    stood_in: Vec<Event>,
}

impl Hands {
    fn carry_out(&mut self, voice: &Voice, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { way, message } => self.send(voice, way, message),
                Effect::Keep { ticket, kept } => self.keep(ticket, kept),
                Effect::Guard(order) => self.order(order),
                Effect::Check { kind } => self.check(kind),
                Effect::Hook { from, to, epoch, reason } => {
                    let Some(calls) = &self.calls else { continue };
                    let call = Call { from, to, epoch, reason: self.named(&reason) };
                    if calls.try_send(call).is_err() {
                        let text = "a hook was left out: others before it have not ended";
                        self.stood_in.push(Event::Hooked(Err(Line::new(text))));
                    }
                }
                Effect::Answer { request, result } => {
                    let said = |text: String| self.named(&Line::new(&text)).to_string();
                    let result = result.map(said).map_err(said);
                    let answer = cluster::Event::HaAnswered { request, result };
                    if self.shared.inbox.try_send(Input::Event(answer)).is_err() {
                        self.shared.count_drop();
                    }
                }
                Effect::Sync => {
                    if self.shared.inbox.try_send(Input::Event(cluster::Event::SyncShare)).is_err() {
                        self.shared.count_drop();
                    }
                }
                Effect::Log(line) => {
                    let line = self.named(&line);
                    info!(group = %self.config.group, "HA: {line}");
                    self.note(&line);
                }
                Effect::Changed => self.has_changed = true,
                Effect::Stopped => self.stopped.cancel(),
            }
        }
    }

    /// What the core says, with host names in place of serial numbers: it knows no others.
    fn named(&self, line: &Line) -> Line {
        let roster = self.shared.roster();
        let mut text = line.to_string();
        for machine in roster.membership.machines.iter().filter(|m| line.as_str().contains(m.id.as_str())) {
            text = text.replace(machine.id.as_str(), machine.host.short());
        }
        Line::new(&text)
    }

    /// A line of the log that operators see.
    fn note(&self, line: &Line) {
        let note = cluster::Event::Note(Line::new(&format!("HA {}: {line}", self.config.group)));
        if self.shared.inbox.try_send(Input::Event(note)).is_err() {
            self.shared.count_drop();
        }
    }

    fn send(&mut self, voice: &Voice, way: Way, message: Message) {
        let via = match way {
            Way::Link(name, _) => Via::Link(name),
            Way::Witness(_) => Via::Witness,
        };
        let Some(datagram) = self.sealer.seal(&self.post.keys, via, message) else {
            self.post.counters.dropped.fetch_add(1, Ordering::Relaxed);
            warn!("a message is too long for a datagram");
            return;
        };
        let port = self.config.base_port;
        match way {
            Way::Link(name, peer) => {
                let Some(link) = self.config.links.iter().find(|l| l.name == name && l.peer == peer) else { return };
                let (from, to) = (SocketAddr::new(link.local, port), SocketAddr::new(peer, port));
                voice.say(from, to, datagram, &self.post.counters);
            }
            Way::Witness(to) => voice.say_to_witness(to, datagram, &self.post.counters),
        }
    }

    /// What the core is told of a datagram; nothing of one that waited too long.
    fn read(&self, now: Time, heard: Heard) -> Option<Event> {
        if heard.is_stale(now) {
            self.post.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        match heard.what {
            Ok(opened) => {
                let way = self.post.way(heard.to, heard.from, opened.via)?;
                Some(Event::Heard { way, from: opened.from, boot: opened.boot, message: opened.message })
            }
            Err(Refusal::Stranger(ref why)) => Some(Event::Stranger { text: heard.stranger(why) }),
            Err(Refusal::Replayed) => Some(Event::Replayed),
        }
    }

    /// On a thread of its own: a slow disk must not hold up the beats.
    fn keep(&self, ticket: u64, kept: Kept) {
        let (dir, faults) = (self.shared.setup.state_dir.clone(), self.shared.env.disk.clone());
        let (inbox, over) = (self.inbox.clone(), self.shared.over.clone());
        self.office.spawn(async move {
            let write = tokio::task::spawn_blocking(move || keep::write(&dir, &kept, &faults));
            let result = write.await.unwrap_or_else(|e| Err(e.to_string()));
            tokio::select! {
                () = over.cancelled() => {}
                // The loop has ended when it takes no more.
                _ = inbox.send(Event::Kept { ticket, result }) => {}
            }
        });
    }

    /// The newest order counts; the guard is never waited for.
    fn order(&mut self, order: GuardOrder) {
        let Some(orders) = &self.orders else {
            self.stand_in(&order);
            return;
        };
        self.order = match orders.try_send(order) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => None,
            Err(mpsc::error::TrySendError::Full(order)) => Some(order),
        };
    }

    /// Where nothing is to be guarded, all of it is held and dropped at once; a guard that has ended reports nothing.
    fn stand_in(&mut self, order: &GuardOrder) {
        if self.config.holds_addresses() {
            return;
        }
        let report = match order {
            GuardOrder::Hold { epoch, until, .. } => GuardReport::Held { epoch: *epoch, until: *until },
            GuardOrder::Drop => GuardReport::Dropped,
        };
        self.stood_in.push(Event::Guard(report));
    }

    /// Another guard begins: its first deed was to delete what the last one had left.
    fn take_guard(&mut self, guard: Guard, reports: &mut Option<mpsc::Receiver<GuardReport>>) -> Event {
        self.orders = Some(guard.orders);
        *reports = Some(guard.reports);
        Event::Guard(GuardReport::Lapsed)
    }

    fn check(&mut self, kind: MonitorKind) {
        let Some(config) = self.config.monitors.iter().find(|m| m.kind == kind).cloned() else {
            let result = Err("no such monitor is configured".to_owned());
            self.stood_in.push(Event::Checked { kind, result });
            return;
        };
        if !self.checking.insert(kind) {
            return;
        }
        let (shared, inbox, ports) = (self.shared.clone(), self.inbox.clone(), self.config.monitored_ports.clone());
        self.office.spawn(async move {
            let over = shared.over.clone();
            let work = async {
                let (net, senses) = (&shared.net, shared.env.ha.senses.as_ref());
                let check = monitor::check(net, senses, &config, &ports, &shared.setup.state_dir);
                let limit = config.wait + CHECK_OVER;
                let result = timeout(limit, check).await.unwrap_or_else(|_| Err(format!("no end within {limit:?}")));
                // What a frozen peer felt before it was frozen is told when it is thawed.
                shared.thawed().await;
                result
            };
            tokio::select! {
                () = over.cancelled() => {}
                result = work => {
                    let _ = inbox.send(Event::Checked { kind, result }).await;
                }
            }
        });
    }

    /// Who writes the group's settings (F3). What finds no room is told with the next status.
    fn tell_share(&mut self, status: &HaStatus) {
        let share = cluster::Share::of(status);
        if share != self.share && self.shared.inbox.try_send(Input::Event(cluster::Event::Share(share.clone()))).is_ok()
        {
            self.share = share;
        }
    }

    /// What has begun to be wrong, and what no longer is: a log without a reader of the status must tell it too.
    fn log_troubles(&self, status: &HaStatus) {
        let group = &self.config.group;
        let before = self.status.borrow();
        // Two that differ in figures alone are one: some count down.
        let words = |line: &Line| line.as_str().replace(|c: char| c.is_ascii_digit() || c == '.', "");
        let missing = |a: &HaStatus, b: &HaStatus| -> Vec<Line> {
            let known: Vec<String> = b.troubles.iter().map(words).collect();
            a.troubles.iter().filter(|t| !known.contains(&words(t))).cloned().collect()
        };
        for trouble in missing(status, &before) {
            warn!(%group, "HA: {trouble}");
        }
        for trouble in missing(&before, status) {
            info!(%group, "HA: no longer: {trouble}");
        }
    }

    fn publish(&mut self, now: Time, core: &Core) {
        self.turned.store(now.as_millis(), Ordering::Relaxed);
        if !self.has_changed && now < self.publish_at {
            return;
        }
        let mut status = core.status(now);
        let counters = &self.post.counters;
        status.strangers = counters.strangers.load(Ordering::Relaxed);
        status.replays = counters.replays.load(Ordering::Relaxed);
        status.reason = self.named(&status.reason);
        for change in &mut status.changes {
            change.reason = self.named(&change.reason);
        }
        for trouble in &mut status.troubles {
            *trouble = self.named(trouble);
        }
        self.log_troubles(&status);
        self.tell_share(&status);
        self.status.send_replace(Arc::new(status));
        if std::mem::take(&mut self.has_changed) {
            self.shared.changed.send_modify(|n| *n += 1);
        }
        self.publish_at = now + PUBLISH;
    }
}
