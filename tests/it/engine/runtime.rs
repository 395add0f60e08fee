//! The runtime around the pure step, with actors that do what the test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use peerdeck::clock::Clock;
use peerdeck::domain::mesh::link::Cause;
use peerdeck::domain::observation::{Fact, Observation};
use peerdeck::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest, ReachState};
use peerdeck::domain::snapshot::{Limits, Snapshot};
use peerdeck::domain::{BootId, Command, FindingKind, Outcome, OutcomeState, PeerId, Plan, Row, Time};
use peerdeck::engine::runtime::{Commander, Connector, Fed, Observer, spawn};
use peerdeck::engine::{ClusterConfig, Config};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::world::endpoint;

/// Counts with tokio's clock, which a paused test moves by itself.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_millis(1_000_000_000) + self.0.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        self.now().as_millis()
    }
}

/// The test's ends of the actors.
#[derive(Default)]
struct Stage(Mutex<Vec<Actor>>);

impl Connector for Stage {
    fn start(&self, endpoint: Endpoint, events: mpsc::Sender<(EndpointKey, PeerEvent)>) -> mpsc::Sender<PeerRequest> {
        let (sender, requests) = mpsc::channel(4);
        self.0.lock().unwrap().push(Actor { key: endpoint.key, events, requests });
        sender
    }
}

struct Actor {
    key: EndpointKey,
    events: mpsc::Sender<(EndpointKey, PeerEvent)>,
    requests: mpsc::Receiver<PeerRequest>,
}

impl Actor {
    async fn say(&self, event: PeerEvent) {
        self.events.send((self.key.clone(), event)).await.unwrap();
    }

    fn id(&self) -> PeerId {
        PeerId::new(self.key.host.short())
    }

    async fn connect(&self) {
        self.say(PeerEvent::Connected { address: None, took: Duration::ZERO, id: self.id() }).await;
    }

    async fn lose(&self) {
        self.say(PeerEvent::Lost { cause: Cause::Auth, detail: "no".into(), address: None, retry_in: None }).await;
    }

    async fn row(&self, at: Time, detached: Option<Time>) {
        let row = Row {
            origin: self.id(),
            boot: BootId(1),
            seq: at.as_millis(),
            vouched: at,
            via: None,
            detached,
            maintenance: None,
            level: 1,
            links: Vec::new(),
        };
        let fact = Fact::Row(Arc::new(row));
        self.say(PeerEvent::Observed(vec![Observation { at, observer: self.id(), fact }])).await;
    }
}

fn start(names: &[&str]) -> (Observer, Commander, Vec<Actor>, Arc<TestClock>) {
    let cluster = "americas".into();
    let endpoints = names.iter().map(|n| endpoint(&cluster, n)).collect();
    let config = Config {
        clusters: vec![ClusterConfig {
            name: cluster,
            endpoints,
            discover: false,
            limits: Limits::default(),
            catalogue: Arc::default(),
        }],
    };
    let stage = Arc::new(Stage::default());
    let clock = Arc::new(TestClock(Instant::now()));
    let (observer, commander) =
        spawn(config, Arc::clone(&stage) as Arc<dyn Connector>, Arc::clone(&clock) as Arc<dyn Clock>);
    let actors = std::mem::take(&mut *stage.0.lock().unwrap());
    (observer, commander, actors, clock)
}

/// Waits until the picture is as wanted.
async fn see(observer: &mut Observer, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let seen = timeout(Duration::from_mins(1), observer.snapshots.wait_for(|s| wanted(s))).await;
    Arc::clone(&seen.unwrap_or_else(|_| panic!("never: {what}")).unwrap())
}

fn disconnect(snapshot: &Snapshot, name: &str) -> Plan {
    let command = Command::Disconnect { peer: PeerId::new(name), reason: "test".into() };
    peerdeck::engine::plans::plan(&snapshot.clusters[0], command, snapshot.at)
}

#[tokio::test(start_paused = true)]
async fn a_picture_comes_at_once_when_idle_and_seldom_under_load() {
    let (mut observer, _commander, actors, clock) = start(&["lab1", "lab2"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    observer.snapshots.mark_unchanged();
    let before = Instant::now();
    actors[0].connect().await;
    observer.snapshots.changed().await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO, "at once when idle");
    // 2,000 reports within a second.
    let first = observer.snapshots.borrow().generation;
    for n in 0..2_000u64 {
        if n % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        actors[0].row(clock.now(), None).await;
    }
    let end = clock.now().as_millis();
    let last =
        see(&mut observer, "the last row", |s| s.clusters[0].peers[0].row.as_ref().is_some_and(|r| r.seq == end)).await;
    let pictures = last.generation - first;
    assert!((10..=40).contains(&pictures), "{pictures} pictures of 2,000 reports in a second");
}

#[tokio::test(start_paused = true)]
async fn alerts_are_fed_once_each_and_stand_in_the_picture_before_they_are_told() {
    let (mut observer, _commander, actors, _clock) = start(&["lab1", "lab2"]);
    let mut alerts = observer.alerts();
    actors[0].connect().await;
    actors[1].lose().await;
    let Some(Fed::Item(alert)) = alerts.next().await else { panic!("no alert") };
    assert_eq!(alert.finding.kind, FindingKind::LoginRefused);
    let shown = observer.snapshots.borrow_and_update().clusters[0].findings.clone();
    assert!(shown.contains(&alert.finding), "{shown:?}");
    let more = timeout(Duration::from_secs(20), alerts.next()).await;
    assert!(!matches!(&more, Ok(Some(Fed::Item(a))) if a.finding.id == alert.finding.id), "told twice: {more:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_lags_is_told_how_much_it_missed() {
    let (mut observer, _commander, actors, _clock) = start(&["lab1", "lab2"]);
    let mut events = observer.events();
    for _ in 0..4_000 {
        actors[0].connect().await;
        actors[0].lose().await;
    }
    see(&mut observer, "the last loss", |s| {
        s.clusters[0].peers[0].reach.state == ReachState::Unreachable && s.generation > 1
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let Some(Fed::Missed(n)) = events.next().await else { panic!("nothing was missed") };
    assert!(n >= 3_000, "{n}");
    assert!(matches!(events.next().await, Some(Fed::Item(_))), "and it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_plan_goes_to_its_peer_and_its_outcomes_come_back() {
    let (mut observer, commander, mut actors, clock) = start(&["lab1", "lab2"]);
    actors[0].connect().await;
    actors[0].row(clock.now(), None).await;
    let snapshot = see(&mut observer, "its row", |s| s.clusters[0].peers[0].row.is_some()).await;
    let mut submitted = commander.submit("americas".into(), disconnect(&snapshot, "lab1")).await;
    assert_eq!(submitted.outcomes.recv().await.unwrap().state, OutcomeState::Sent);
    let execute = loop {
        if let PeerRequest::Execute { id, plan } = actors[0].requests.recv().await.unwrap() {
            break (id, plan);
        }
    };
    assert_eq!(execute.0, submitted.id);
    let outcome = Outcome { state: OutcomeState::Accepted, at: clock.now(), detail: "ok".into() };
    actors[0].say(PeerEvent::Executed { id: submitted.id, outcome, commit: None }).await;
    actors[0].row(clock.now(), Some(clock.now())).await;
    assert_eq!(submitted.outcomes.recv().await.unwrap().state, OutcomeState::Accepted);
    assert_eq!(submitted.outcomes.recv().await.unwrap().state, OutcomeState::Observed);
    assert!(submitted.outcomes.recv().await.is_none(), "nothing comes after the last one");
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_takes_no_requests_refuses_a_plan_instead_of_holding_up_the_rest() {
    let (mut observer, commander, actors, clock) = start(&["lab1"]);
    actors[0].connect().await;
    actors[0].row(clock.now(), None).await;
    let snapshot = see(&mut observer, "its row", |s| s.clusters[0].peers[0].row.is_some()).await;
    let mut last = Vec::new();
    for _ in 0..6 {
        let mut submitted = commander.submit("americas".into(), disconnect(&snapshot, "lab1")).await;
        assert_eq!(submitted.outcomes.recv().await.unwrap().state, OutcomeState::Sent);
        last.push(timeout(Duration::from_secs(1), submitted.outcomes.recv()).await.ok().flatten().map(|o| o.state));
    }
    let refused = last.iter().filter(|s| **s == Some(OutcomeState::Refused)).count();
    // A lone peer was asked for its settings, too.
    assert_eq!(refused, 3, "four requests fit into its queue: {last:?}");
}

#[tokio::test(start_paused = true)]
async fn actors_end_when_nobody_looks_or_acts_any_more() {
    let (observer, commander, mut actors, _clock) = start(&["lab1", "lab2"]);
    let second = observer.clone();
    drop(observer);
    drop(commander);
    let still = timeout(Duration::from_secs(5), actors[0].requests.recv()).await;
    assert!(still.is_err(), "one observer is left");
    drop(second);
    for actor in &mut actors {
        let end = timeout(Duration::from_secs(5), actor.requests.recv()).await;
        assert_eq!(end, Ok(None), "the actor is let go");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_everything_for_all() {
    let (observer, _commander, mut actors, _clock) = start(&["lab1"]);
    let mut alerts = observer.alerts();
    observer.shutdown();
    assert_eq!(timeout(Duration::from_secs(5), actors[0].requests.recv()).await, Ok(None));
    let mut pictures = observer.snapshots.clone();
    assert!(timeout(Duration::from_secs(5), pictures.changed()).await.unwrap().is_err());
    drop(observer);
    assert!(timeout(Duration::from_secs(5), alerts.next()).await.unwrap().is_none());
}
