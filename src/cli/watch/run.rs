//! The loop of the headless watch: what the engine says, into the alert core, onto disk, to the sinks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::super::connect::{self, Links};
use super::super::follow::{Files, read_fleet};
use super::super::output::reader_gone;
use super::super::service::Service;
use super::super::{Context, Done, args, once, process, record, serve};
use super::looks::{self, Settling};
use super::{FACE, Office, State, name_of, state_of, stdout};
use crate::alerts::Event;
use crate::alerts::sinks::Beat;
use crate::config::{Fleet, Watching};
use crate::domain::snapshot::Snapshot;
use crate::engine::runtime::{Alert, Fed, Feed, Observer, Reconfigurer};
use crate::report::{self, lines};

/// How often the state is looked at for what people order, and the engine is asked whether it runs.
const LOOK: Duration = Duration::from_secs(1);
/// How often the whole picture is compared with what is known.
const WHOLE: Duration = Duration::from_mins(1);
/// The engine answers within this time, or not at all.
const ANSWER: Duration = Duration::from_millis(500);
/// So many transitions are taken in one step at most.
const STEP: usize = 4096;
/// A look that waits for everybody ends after this; then another one begins.
const PATIENCE: Duration = Duration::from_hours(1);
/// At the end, what is under way has so long to arrive.
const LAST: Duration = Duration::from_secs(3);

/// Runs until a signal comes, or nobody is there any more to be told.
///
/// # Errors
/// When there is no fleet, its state can't be used, or another watch uses it.
pub(super) fn run(context: &Context, args: &args::Watch) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    let state = State::open(context, &state_of(context, &fleet, args.state.as_ref()))?;
    let runtime = process::small_runtime()?;
    let mut recording = None;
    let done = runtime.block_on(async {
        let gone = Arc::new(Notify::new());
        let connected = connect::start(&fleet, &context.paths, FACE)?;
        let clock = connected.links.clock.clone();
        match record::ring(runtime.handle(), &context.paths, &fleet, &connected.observer) {
            Ok(started) => recording = started,
            Err(why) => tracing::warn!("nothing is recorded: {why}"),
        }
        let office = super::open(context, &fleet, state, clock.clone(), Arc::clone(&gone)).await?;
        let mut watch = Watch {
            settling: Settling::new(&fleet, clock.now()),
            heartbeat: args.heartbeat.unwrap_or(fleet.watch.heartbeat),
            // It changes what is observed and can't act on any peer; the commander is dropped here.
            engine: connected.commander.reconfigurer(),
            observer: connected.observer,
            links: connected.links,
            service: Service::new(),
            server: None,
            fleet,
            office,
            context,
            args,
        };
        drop(connected.commander);
        watch.listen().await?;
        let done = watch.turn(&gone).await;
        Service::stops();
        watch.office.dispatcher.close(Instant::now() + LAST).await;
        done
    });
    drop(recording); // Writes what waits.
    // A sink that hangs in the system holds up nobody.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

struct Watch<'a> {
    context: &'a Context,
    args: &'a args::Watch,
    fleet: Fleet,
    observer: Observer,
    engine: Reconfigurer,
    links: Arc<Links>,
    office: Office,
    settling: Settling,
    service: Service,
    server: Option<(SocketAddr, AbortHandle)>,
    heartbeat: Duration,
}

impl Watch<'_> {
    async fn turn(&mut self, gone: &Notify) -> anyhow::Result<Done> {
        let told = |kind| signal(kind).context("signals can't be received");
        let (mut interrupt, mut terminate) = (told(SignalKind::interrupt())?, told(SignalKind::terminate())?);
        let mut hang_up = told(SignalKind::hangup())?;
        let mut alerts = self.observer.alerts();
        let mut changes = self.follow();
        let mut reader = Box::pin(reader_gone());
        let mut is_read = true;
        let now = self.links.clock.now();
        let mut events = self.office.desk.orders_at_start(now).await;
        events.insert(0, self.picture());
        self.step(events).await;
        self.office.desk.show_now(now);
        self.promise();
        Service::ready();
        self.service.status("looks for the first time".into());
        let mut look = Box::pin(self.look(self.context.global.timeout));
        let (mut first, mut looking) = (true, true);
        let mut second = interval(self.service.every().unwrap_or(LOOK).min(LOOK));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut beat, mut whole) = (Instant::now() + self.heartbeat, Instant::now() + WHOLE);
        let mut was_settled = false;
        loop {
            let now = self.links.clock.now();
            let next = self.office.desk.next().map(|at| Instant::now() + at.since(now));
            let settles = self.settling.at();
            let ends = |signal: &str| {
                tracing::info!("ends on {signal}");
                Ok(0)
            };
            tokio::select! {
                biased;
                _ = interrupt.recv() => return ends("SIGINT"),
                _ = terminate.recv() => return ends("SIGTERM"),
                () = gone.notified() => {
                    if self.has_no_reader().await {
                        return Ok(0);
                    }
                }
                () = &mut reader, if is_read => {
                    is_read = false;
                    if self.has_no_reader().await {
                        return Ok(0);
                    }
                }
                alert = alerts.next() => {
                    let Some(events) = self.transitions(alert, &mut alerts) else {
                        anyhow::bail!("the observation has ended by itself: this is a bug; start the watch again");
                    };
                    self.step(events).await;
                }
                // The first sign of life says that the watch has seen everybody once.
                complete = &mut look, if looking => {
                    looking = !complete;
                    if complete {
                        self.settling.is_complete();
                    } else {
                        look = Box::pin(self.look(PATIENCE));
                    }
                    if std::mem::take(&mut first) {
                        self.beat();
                    }
                }
                () = sleep_until(next.unwrap_or(beat)), if next.is_some() => self.step(vec![Event::Tick]).await,
                _ = second.tick() => {
                    self.second().await;
                    if !was_settled && !looking && self.links.clock.now() >= settles {
                        was_settled = true;
                        whole = Instant::now();
                    }
                }
                () = sleep_until(whole) => {
                    whole = Instant::now() + WHOLE;
                    let events = vec![self.picture()];
                    self.step(events).await;
                }
                () = sleep_until(beat) => {
                    beat = (beat + self.heartbeat).max(Instant::now());
                    self.beat();
                }
                Some(()) = hang_up.recv() => {
                    if self.reload(true).await {
                        (look, looking, was_settled) = (Box::pin(self.look(PATIENCE)), true, false);
                    }
                    beat = beat.min(Instant::now() + self.heartbeat);
                }
                Some(()) = changes.recv() => {
                    if self.reload(false).await {
                        (look, looking, was_settled) = (Box::pin(self.look(PATIENCE)), true, false);
                    }
                    beat = beat.min(Instant::now() + self.heartbeat);
                }
            }
        }
    }

    /// Waits until every peer has answered or failed; whether that is so.
    fn look(&self, limit: Duration) -> impl Future<Output = bool> + use<> {
        let (observer, clock) = (self.observer.clone(), self.links.clock.clone());
        async move { once::look(&observer, clock.as_ref(), limit, false).await.complete }
    }

    fn snapshot(&self) -> Snapshot {
        once::as_of(&self.observer.snapshots.borrow(), self.links.clock.now())
    }

    fn picture(&self) -> Event {
        let snapshot = self.snapshot();
        self.settling.picture(&snapshot, self.office.desk.kept(), snapshot.at)
    }

    /// All transitions that are there now, as events; `None`: the engine has ended.
    fn transitions(&self, first: Option<Fed<Alert>>, feed: &mut Feed<Alert>) -> Option<Vec<Event>> {
        let snapshot = self.observer.snapshots.borrow().clone();
        let (mut events, mut missed) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(fed) = next {
            match fed? {
                Fed::Item(Alert { transition, finding }) => {
                    events.push(Event::Told(transition, looks::seen(&snapshot, finding)));
                }
                Fed::Missed(n) => missed += n,
            }
            next = if events.len() < STEP { feed.next().now_or_never() } else { None };
        }
        if missed > 0 {
            tracing::warn!("{missed} transitions came faster than they could be taken: caught up from the picture");
            events.push(self.picture());
        }
        Some(events)
    }

    async fn step(&mut self, events: Vec<Event>) {
        let routes = self.office.dispatcher.routes();
        if self.office.desk.step(self.links.clock.now(), events, &routes).await {
            self.office.dispatcher.wake();
        }
        let unkept = self.office.desk.take_unkept();
        self.office.dispatcher.tell_unkept(unkept);
    }

    /// What is to be done each second.
    async fn second(&mut self) {
        let now = self.links.clock.now();
        let events = self.office.desk.orders(now).await;
        if !events.is_empty() {
            self.step(events).await;
        }
        let routes = self.office.dispatcher.routes();
        if self.office.desk.again(&routes).await {
            self.office.dispatcher.wake();
        }
        let answers = timeout(ANSWER, self.engine.is_alive()).await.unwrap_or(false);
        let newest = self.observer.snapshots.borrow().at;
        self.office.health.note(|v| {
            v.turn = Some(now);
            let seen = if answers { now } else { newest };
            v.picture = Some(v.picture.map_or(seen, |before| before.max(seen)));
        });
        if answers {
            self.service.lives();
        } else {
            tracing::error!("the engine does not answer");
        }
    }

    fn beat(&mut self) {
        let snapshot = self.snapshot();
        let (json, text) = self.office.health.read(|v| {
            let json = report::line(&lines::heartbeat(&snapshot, None, v, snapshot.at));
            (json, lines::heartbeat_text(&snapshot, None, v, snapshot.at))
        });
        let beat = Beat { json: Arc::from(json.trim_end()), text: Arc::from(text.trim_end()) };
        self.service.status(beat.text.split_once("alive").map_or("", |(_, rest)| rest).trim().to_owned());
        self.office.dispatcher.beat(&beat);
    }

    /// Nobody reads standard output any more; whether nobody is left who is told.
    async fn has_no_reader(&mut self) -> bool {
        if self.fleet.watch.sinks.is_empty() && self.server.is_none() {
            return true;
        }
        tracing::warn!("nobody reads standard output any more; the other ways out go on");
        self.office.dispatcher.close_one(stdout::NAME).await;
        if let Err(why) = self.office.forget_others(&self.fleet.watch, false).await {
            tracing::error!("{why}");
        }
        false
    }

    /// Tells those who ask what they may expect.
    fn promise(&self) {
        let (heartbeat, watcher) = (self.heartbeat, name_of(&self.fleet.watch));
        self.office.health.note(|v| {
            v.heartbeat = heartbeat;
            v.turns_every = heartbeat.max(LOOK);
            v.watcher = watcher;
        });
    }

    /// Serves where the fleet file says.
    async fn listen(&mut self) -> anyhow::Result<()> {
        let wanted = self.fleet.watch.listen;
        if self.server.as_ref().map(|(at, _)| *at) == wanted {
            return Ok(());
        }
        if let Some((_, old)) = self.server.take() {
            old.abort();
        }
        let Some(at) = wanted else { return Ok(()) };
        let listener = TcpListener::bind(at).await;
        let listener = listener
            .with_context(|| format!("/metrics and /healthz can't be served at {at} (\"listen\" in [watch])"))?;
        let (health, snapshots) = (Arc::clone(&self.office.health), self.observer.snapshots.clone());
        let task = tokio::spawn(serve::serve(listener, health, snapshots, self.links.clock.clone()));
        self.server = Some((at, task.abort_handle()));
        Ok(())
    }

    fn files(&self) -> Files {
        Files {
            paths: self.context.paths.clone(),
            choice: Some(self.context.choice()),
            cluster: self.context.global.cluster.clone(),
        }
    }

    /// A word whenever the fleet file may have changed.
    fn follow(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(super::super::reload::changes(self.files(), sender));
        receiver
    }

    /// Reads the fleet file again; whether other peers are watched now. `by_hand`: somebody asked for it.
    async fn reload(&mut self, by_hand: bool) -> bool {
        if by_hand {
            Service::reloads();
        }
        let changed = self.take_over(by_hand).await;
        if by_hand {
            Service::ready();
        }
        changed
    }

    async fn take_over(&mut self, by_hand: bool) -> bool {
        let files = self.files();
        let Ok(read) = spawn_blocking(move || read_fleet(&files)).await else { return false };
        let new = match read {
            Some(Ok(new)) => new,
            Some(Err(why)) => {
                tracing::warn!("{why}");
                return false;
            }
            None => return false,
        };
        if new == self.fleet {
            if by_hand {
                tracing::warn!("the fleet file was read again: nothing is new");
            }
            return false;
        }
        let others = new.clusters != self.fleet.clusters;
        if others {
            let (links, to) = (Arc::clone(&self.links), new.clone());
            match spawn_blocking(move || links.change(&to)).await {
                Ok(Ok(change)) => self.engine.reconfigure(change).await,
                Ok(Err(why)) => {
                    tracing::warn!("the new fleet can't be taken over: {why:#}. The last good fleet stays");
                    return false;
                }
                Err(_) => return false,
            }
            self.settling = Settling::new(&new, self.links.clock.now());
        }
        let old = std::mem::replace(&mut self.fleet, new);
        if self.args.state.is_none() && old.watch.state != self.fleet.watch.state {
            tracing::warn!("another state file is taken when the watch is started again");
        }
        self.heartbeat = self.args.heartbeat.unwrap_or(self.fleet.watch.heartbeat);
        self.promise();
        self.replace_sinks(&old.watch).await;
        if let Err(why) = self.listen().await {
            tracing::error!("{why:#}");
        }
        if old.alerts != self.fleet.alerts {
            self.step(vec![Event::Rules(self.fleet.alerts.clone())]).await;
        }
        tracing::warn!("the fleet file was read again, and holds");
        others
    }

    /// Sinks that are as they were go on; others keep what waits for them, by their name.
    async fn replace_sinks(&mut self, old: &Watching) {
        let new = self.fleet.watch.clone();
        let ranks = |w: &Watching| (w.rank, w.stagger, w.fellows.clone(), name_of(w));
        let is_same_watcher = ranks(old) == ranks(&new);
        for sink in old.sinks.iter().filter(|s| new.sinks.iter().all(|n| n.name != s.name)) {
            self.office.dispatcher.close_one(&sink.name).await;
        }
        for sink in &new.sinks {
            if is_same_watcher && old.sinks.contains(sink) {
                continue;
            }
            match super::way(sink, &new) {
                Some(way) => self.office.dispatcher.open(way).await,
                None => self.office.dispatcher.close_one(&sink.name).await,
            }
        }
        let has_stdout = self.office.dispatcher.routes().iter().any(|r| r.sink == stdout::NAME);
        if let Err(why) = self.office.forget_others(&new, has_stdout).await {
            tracing::error!("{why}");
        }
        self.office.sort(&new);
    }
}
