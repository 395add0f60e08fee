//! The only impure file of the engine: tokio channels around the pure step.
//!
//! One task owns the engine. It never waits for anybody: requests go out by `try_send`, alerts by a ring that
//! tells a slow reader how many it missed, pictures by a `watch` channel that holds the newest one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::cluster::HABIT_LATE;
use super::{Config, Effect, Engine, Event, Look, Reconfiguration};
use crate::clock::{Clock, shared_moment};
use crate::domain::command::{Outcome, OutcomeState};
use crate::domain::event::Event as Happening;
use crate::domain::finding::{Finding, Transition};
use crate::domain::ids::{ClusterName, PeerId};
use crate::domain::plan::Plan;
use crate::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use crate::domain::settings::{Key, Past};
use crate::domain::snapshot::Snapshot;
use crate::domain::text::Line;

/// Events of actors that wait to be taken; a full queue makes the actors wait, and they count what they drop.
const EVENTS: usize = 1024;
/// Alerts and events that a slow reader may be behind.
const FEED: usize = 4096;
/// Orders that wait to be taken.
const ORDERS: usize = 64;
/// Under load no more than one picture in this time.
const FRAME: Duration = Duration::from_millis(30);
/// Pictures that differ in ages and round trips alone come no more often than this,
const AGES: Duration = Duration::from_millis(250);
/// or up to so much later, on moments that others share: a screen draws its ages just after them.
const AGES_LATE: Duration = Duration::from_millis(512);
/// A look at a limit that is known in advance may be this late.
const TOGETHER: Duration = Duration::from_millis(64);
/// No more than this many events are taken between two pictures.
const BATCH: usize = 256;

/// Starts actors; implemented where drivers and engine are wired together.
pub trait Connector: Send + Sync + 'static {
    /// Starts the actor of `endpoint`. It ends when the returned sender is dropped.
    fn start(&self, endpoint: Endpoint, events: mpsc::Sender<(EndpointKey, PeerEvent)>) -> mpsc::Sender<PeerRequest>;
}

/// A finding was raised, changed or cleared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// Which of the three.
    pub transition: Transition,
    /// The finding as it is now, or as it was when it was cleared.
    pub finding: Finding,
}

/// What a [`Feed`] gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fed<T> {
    /// The next one.
    Item(T),
    /// The reader was so slow that this many are lost to it.
    Missed(u64),
}

/// Alerts or events, none coalesced.
pub struct Feed<T>(broadcast::Receiver<T>);

impl<T: Clone> Feed<T> {
    /// The next one, as soon as there is one; `None` when the engine has ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<Fed<T>> {
        match self.0.recv().await {
            Ok(item) => Some(Fed::Item(item)),
            Err(broadcast::error::RecvError::Lagged(n)) => Some(Fed::Missed(n)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// What every face gets: it can look and cannot act (rule 8).
#[derive(Clone)]
pub struct Observer {
    /// The newest picture. It announces changes; one that differs in ages, round trips and clocks alone takes the
    /// place of the one before without a word, so that nobody is woken for it.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Announces each picture, also one that is none of the above: for who wants them all on this runtime's threads.
    every: watch::Receiver<()>,
    alerts: broadcast::Sender<Alert>,
    events: broadcast::Sender<Happening>,
    stop: Arc<Notify>,
    _alive: mpsc::Sender<()>,
    /// Of a picture that stands still: keeps the channel open.
    _still: Option<Arc<watch::Sender<Arc<Snapshot>>>>,
}

impl Observer {
    /// Of a picture that does not change, without an engine: nothing is connected to (B6).
    #[must_use]
    pub fn still(snapshot: Arc<Snapshot>) -> Self {
        let (picture, snapshots) = watch::channel(snapshot);
        let (alerts, _) = broadcast::channel(1);
        let (events, _) = broadcast::channel(1);
        let alive = mpsc::channel(1).0;
        let every = watch::channel(()).1;
        Self { snapshots, every, alerts, events, stop: Arc::default(), _alive: alive, _still: Some(Arc::new(picture)) }
    }

    /// Changes with each picture from now on, ages or news; closes with the engine.
    #[must_use]
    pub fn every(&self) -> watch::Receiver<()> {
        self.every.clone()
    }

    /// Alerts from now on. A picture that is taken after this call holds every finding that was told before it;
    /// one that is raised in between may be in both, with the same id.
    #[must_use]
    pub fn alerts(&self) -> Feed<Alert> {
        Feed(self.alerts.subscribe())
    }

    /// Events from now on; those before stand in the snapshot.
    #[must_use]
    pub fn events(&self) -> Feed<Happening> {
        Feed(self.events.subscribe())
    }

    /// Ends the engine and all its actors, for all its observers.
    pub fn shutdown(&self) {
        self.stop.notify_one();
    }
}

/// For those who may act: the console without `--read-only` and one-shot actions.
#[derive(Clone)]
pub struct Commander {
    orders: mpsc::Sender<Order>,
    next: Arc<AtomicU64>,
    stop: Arc<Notify>,
}

/// For whoever reads the fleet file again: it changes what is observed, and can't act on any peer.
#[derive(Clone)]
pub struct Reconfigurer(mpsc::Sender<Order>);

impl Reconfigurer {
    /// Hands another fleet in.
    pub async fn reconfigure(&self, new: Reconfiguration) {
        let _ = self.0.send(Order::Event(Event::Reconfigure(new))).await;
    }

    /// Returns once the engine has taken everything that came before: whether it still runs.
    pub async fn is_alive(&self) -> bool {
        let (answer, alive) = oneshot::channel();
        self.0.send(Order::Answer(answer)).await.is_ok() && alive.await.is_ok()
    }
}

/// For whoever wants to know how settings came about: it looks and can't act.
#[derive(Clone)]
pub struct Historian {
    orders: mpsc::Sender<Order>,
    next: Arc<AtomicU64>,
}

impl std::fmt::Debug for Historian {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Historian")
    }
}

impl Historian {
    /// What a register was, newest first; of all registers without a key.
    ///
    /// # Errors
    /// Why nobody could tell, in words.
    pub async fn past(&self, cluster: ClusterName, key: Option<Key>) -> Result<Vec<Past>, Line> {
        let (answer, past) = oneshot::channel();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let ended = || Line::new("the observation has ended; nobody was asked");
        self.orders.send(Order::History { id, cluster, key, answer }).await.map_err(|_| ended())?;
        past.await.map_err(|_| ended())?
    }
}

enum Order {
    Event(Event),
    Answer(oneshot::Sender<()>),
    History { id: u64, cluster: ClusterName, key: Option<Key>, answer: oneshot::Sender<Result<Vec<Past>, Line>> },
    Submit { id: u64, cluster: ClusterName, plan: Plan, outcomes: mpsc::Sender<Outcome> },
}

/// A plan that was handed in.
pub struct Submitted {
    /// Names the command in this run.
    pub id: u64,
    /// How far it comes: the last one is observed, refused, failed or unknown, then the channel closes.
    pub outcomes: mpsc::Receiver<Outcome>,
}

impl Commander {
    /// Hands a plan in, to be carried out in `cluster`.
    pub async fn submit(&self, cluster: ClusterName, plan: Plan) -> Submitted {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        // Sent, accepted, running, and the last one.
        let (sender, outcomes) = mpsc::channel(8);
        // If the engine has ended, the dropped sender closes the channel: nothing was sent.
        let _ = self.orders.send(Order::Submit { id, cluster, plan, outcomes: sender }).await;
        Submitted { id, outcomes }
    }

    /// Accepts the host key that was looked at: `line` is the fingerprint or the key that was shown.
    pub async fn trust_host_key(&self, cluster: ClusterName, peer: PeerId, line: Line) {
        let _ = self.orders.send(Order::Event(Event::TrustHostKey { cluster, peer, line })).await;
    }

    /// Dials now instead of at the end of the back-off: one peer, or all that are not connected.
    pub async fn dial_now(&self, cluster: ClusterName, peer: Option<PeerId>) {
        let _ = self.orders.send(Order::Event(Event::DialNow { cluster, peer })).await;
    }

    /// Asks how settings came about, and nothing else.
    #[must_use]
    pub fn historian(&self) -> Historian {
        Historian { orders: self.orders.clone(), next: Arc::clone(&self.next) }
    }

    /// Changes what is observed, and nothing else.
    #[must_use]
    pub fn reconfigurer(&self) -> Reconfigurer {
        Reconfigurer(self.orders.clone())
    }

    /// Ends the engine and all its actors.
    pub fn shutdown(&self) {
        self.stop.notify_one();
    }
}

/// Starts the engine. It ends, and its actors with it, when all observers and commanders are dropped or one of
/// them says so.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn spawn(config: Config, connector: Arc<dyn Connector>, clock: Arc<dyn Clock>) -> (Observer, Commander) {
    let (mut engine, effects) = Engine::new(config, clock.now());
    let (picture, snapshots) = watch::channel(engine.snapshot(clock.now()));
    let (every_picture, every) = watch::channel(());
    let (event_sender, event_queue) = mpsc::channel(EVENTS);
    let (orders, order_queue) = mpsc::channel(ORDERS);
    let (alive, dropped) = mpsc::channel(1);
    let (alerts, _) = broadcast::channel(FEED);
    let (events, _) = broadcast::channel(FEED);
    let stop = Arc::new(Notify::new());
    let observer = Observer {
        snapshots,
        every,
        alerts: alerts.clone(),
        events: events.clone(),
        stop: Arc::clone(&stop),
        _alive: alive,
        _still: None,
    };
    let commander = Commander { orders, next: Arc::new(AtomicU64::new(1)), stop: Arc::clone(&stop) };
    let mut task = Task {
        engine,
        connector,
        clock,
        actors: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        histories: BTreeMap::new(),
        event_sender,
        picture,
        every: every_picture,
        alerts,
        events,
        shown: Instant::now(),
    };
    task.carry_out(effects);
    tokio::spawn(async move { task.run(event_queue, order_queue, dropped, &stop).await });
    (observer, commander)
}

/// `at`, or up to `apart` later where a timer wakes the process only once.
fn together(at: Instant, apart: Duration) -> Instant {
    shared_moment(at.into_std(), apart).into()
}

struct Task {
    engine: Engine,
    connector: Arc<dyn Connector>,
    clock: Arc<dyn Clock>,
    actors: BTreeMap<EndpointKey, mpsc::Sender<PeerRequest>>,
    outcomes: BTreeMap<u64, mpsc::Sender<Outcome>>,
    histories: BTreeMap<u64, oneshot::Sender<Result<Vec<Past>, Line>>>,
    event_sender: mpsc::Sender<(EndpointKey, PeerEvent)>,
    picture: watch::Sender<Arc<Snapshot>>,
    every: watch::Sender<()>,
    alerts: broadcast::Sender<Alert>,
    events: broadcast::Sender<Happening>,
    shown: Instant,
}

impl Task {
    async fn run(
        &mut self,
        mut events: mpsc::Receiver<(EndpointKey, PeerEvent)>,
        mut orders: mpsc::Receiver<Order>,
        mut observers: mpsc::Receiver<()>,
        stop: &Notify,
    ) {
        let mut tick = self.next_tick();
        let (mut observed, mut commanded) = (true, true);
        while observed || commanded {
            let (is_dirty, is_aged) = (self.engine.is_dirty(), self.engine.is_aged());
            let due = if is_dirty { self.shown + FRAME } else { together(self.shown + AGES, AGES_LATE) };
            tokio::select! {
                biased;
                () = stop.notified() => return,
                order = orders.recv(), if commanded => match order {
                    Some(order) => self.obey(order),
                    None => commanded = false,
                },
                () = sleep_until(tick) => {
                    self.step(Event::Tick);
                    tick = self.next_tick();
                }
                () = sleep_until(due), if is_dirty || is_aged => self.publish(),
                event = events.recv() => {
                    // Others that were woken by the same timer speak first: their words make one picture with this one.
                    tokio::task::yield_now().await;
                    let mut next = event;
                    let mut taken = 0;
                    while let Some((key, event)) = next {
                        self.step(Event::Peer { key, event });
                        taken += 1;
                        next = if taken < BATCH { events.try_recv().ok() } else { None };
                    }
                }
                _ = observers.recv(), if observed => observed = false,
            }
            let now = self.clock.now();
            if let Some(sooner) = self.engine.look_sooner(now) {
                tick = tick.min(self.tick_at(sooner));
            }
            if self.engine.is_dirty() && self.shown.elapsed() >= FRAME {
                self.publish();
            }
        }
    }

    fn next_tick(&self) -> Instant {
        self.tick_at(self.engine.next_look(self.clock.now()))
    }

    fn tick_at(&self, look: Look) -> Instant {
        let at = Instant::now() + look.at.since(self.clock.now());
        together(at, if look.is_limit { TOGETHER } else { HABIT_LATE })
    }

    fn step(&mut self, event: Event) {
        let effects = self.engine.step(self.clock.now(), event);
        self.carry_out(effects);
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Event(event) => self.step(event),
            Order::Answer(answer) => {
                let _ = answer.send(()); // Whoever asked may have gone.
            }
            Order::History { id, cluster, key, answer } => {
                self.histories.insert(id, answer);
                self.step(Event::History { id, cluster, key });
            }
            Order::Submit { id, cluster, plan, outcomes } => {
                self.outcomes.insert(id, outcomes);
                self.step(Event::Submit { id, cluster, plan });
            }
        }
    }

    fn publish(&mut self) {
        self.shown = Instant::now();
        let is_news = self.engine.is_dirty();
        let snapshot = self.engine.snapshot(self.clock.now());
        self.picture.send_if_modified(|picture| {
            *picture = snapshot;
            is_news
        });
        self.every.send_replace(());
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        // Whoever subscribes and then looks must not miss what was told just before.
        if effects.iter().any(|e| matches!(e, Effect::Alert(..))) {
            self.publish();
        }
        for effect in effects {
            match effect {
                Effect::Start(endpoint) => {
                    let key = endpoint.key.clone();
                    let sender = self.connector.start(endpoint, self.event_sender.clone());
                    self.actors.insert(key, sender);
                }
                Effect::Stop(key) => {
                    self.actors.remove(&key);
                }
                Effect::Request { key, request } => self.request(&key, request),
                // Nobody listens: that is no error.
                Effect::Alert(transition, finding) => {
                    let _ = self.alerts.send(Alert { transition, finding });
                }
                Effect::Happened(event) => {
                    let _ = self.events.send(event);
                }
                Effect::Outcome { id, outcome } => self.tell(id, outcome),
                Effect::History { id, past } => {
                    if let Some(answer) = self.histories.remove(&id) {
                        let _ = answer.send(past); // Whoever asked may have gone.
                    }
                }
            }
        }
    }

    fn tell(&mut self, id: u64, outcome: Outcome) {
        let last = match outcome.state {
            OutcomeState::Sent | OutcomeState::Accepted | OutcomeState::Running => false,
            OutcomeState::Observed | OutcomeState::Refused | OutcomeState::Failed | OutcomeState::Unknown => true,
        };
        if let Some(sender) = self.outcomes.get(&id) {
            let _ = sender.try_send(outcome); // Whoever does not read has the snapshot's events.
        }
        if last {
            self.outcomes.remove(&id);
        }
    }

    fn request(&mut self, key: &EndpointKey, request: PeerRequest) {
        let Some(sender) = self.actors.get(key) else { return };
        if let Err(refused) = sender.try_send(request) {
            self.step(Event::NotTaken { key: key.clone(), request: refused.into_inner() });
        }
    }
}
