//! The dispatcher with sinks that do what a script says (B5, D9).

use std::collections::VecDeque;
use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dispatch::{Dispatcher, Shared, Way};
use super::fellows::Turn;
use super::keep::Keep;
use crate::alerts::Effect;
use crate::alerts::sinks::{Again, Beat, Delivery, Failure, Sink, Telling};
use crate::alerts::store::{Queue, Route, Step, Store};
use crate::cli::serve::Health;
use crate::clock::{Clock, SystemClock};
use crate::domain::alert::{Alert, Notice, Seen, Told};
use crate::domain::finding::{Finding, FindingId, FindingKind, Severity, Subject};
use crate::domain::ids::{ClusterName, HostName};
use crate::domain::text::Line;
use crate::report::vitals::{SinkVitals, Vitals};

/// What a sink does with the next delivery; with all after the last: it takes them.
#[derive(Clone, Copy)]
enum Act {
    Fail(Again),
    Hang,
}

#[derive(Default)]
struct Log {
    /// What was confirmed, in order: number and event id.
    taken: Vec<(u64, String)>,
    /// Deliveries that were tried.
    tried: usize,
    beats: usize,
}

struct Scripted {
    log: Arc<Mutex<Log>>,
    acts: Arc<Mutex<VecDeque<Act>>>,
    /// One that is refused for good.
    never: Option<u64>,
    batch: usize,
}

impl Sink for Scripted {
    fn batch(&self) -> usize {
        self.batch
    }

    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        Box::pin(async move {
            self.log.lock().unwrap().tried += 1;
            let act = self.acts.lock().unwrap().pop_front();
            match act {
                Some(Act::Fail(again)) => return Err(Failure { text: "it answers 500".into(), again }),
                Some(Act::Hang) => return pending().await,
                None => {}
            }
            if tellings.iter().any(|t| Some(t.notice.seq) == self.never) {
                return Err(Failure::never("it answers 400"));
            }
            let taken = tellings.iter().map(|t| (t.notice.seq, t.event_id.clone()));
            self.log.lock().unwrap().taken.extend(taken);
            Ok(())
        })
    }

    fn beat<'a>(&'a mut self, _: &'a Beat) -> Delivery<'a> {
        Box::pin(async {
            self.log.lock().unwrap().beats += 1;
            Ok(())
        })
    }
}

/// A sink and the strings that move it.
#[derive(Clone, Default)]
struct Puppet {
    log: Arc<Mutex<Log>>,
    acts: Arc<Mutex<VecDeque<Act>>>,
    never: Option<u64>,
    batch: usize,
}

impl Puppet {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self { acts: Arc::new(Mutex::new(acts.into_iter().collect())), batch: 1, ..Self::default() }
    }

    fn way(&self, name: &str, queue: u32, turn: Option<Turn>) -> Way {
        let sink = Scripted { log: self.log.clone(), acts: self.acts.clone(), never: self.never, batch: self.batch };
        Way { route: Route { sink: name.into(), least: Severity::Notice, queue }, sink: Box::new(sink), turn }
    }

    fn taken(&self) -> Vec<u64> {
        self.log.lock().unwrap().taken.iter().map(|(seq, _)| *seq).collect()
    }
}

struct Bench {
    dispatcher: Dispatcher,
    keep: Keep,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    seq: u64,
}

impl Bench {
    fn open(file: &Path) -> Self {
        let store = Store::open(file).unwrap();
        let (seq, state) = (store.load().unwrap().seq, store.watcher().to_owned());
        let keep = Keep::new(store);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let health = Arc::new(Health::new(Vitals::default()));
        let shared = Shared {
            keep: keep.clone(),
            state,
            clock: clock.clone(),
            health: health.clone(),
            raised: watch::channel(Arc::new(Vec::new())).1,
        };
        Self { dispatcher: Dispatcher::new(shared), keep, clock, health, seq }
    }

    fn notice(&mut self, kind: FindingKind, peer: &str, told: Told) -> Notice {
        let (cluster, subject) = (ClusterName::new("lab"), Subject::Peer(peer.into()));
        let now = self.clock.now();
        let finding = Finding {
            id: FindingId::new(kind, &cluster, &subject),
            cluster,
            kind,
            severity: kind.severity(),
            subject,
            since: now,
            text: Line::new(kind.meaning()),
            evidence: Vec::new(),
            advice: Line::new(""),
        };
        let seen = Seen { finding, hosts: vec![HostName::new(peer)] };
        self.seq += 1;
        let alert = Alert { seen, raised: now, flapping: None, ack: None };
        Notice { seq: self.seq, at: now, told, alert, before: None }
    }

    async fn tell(&mut self, notices: Vec<Notice>) {
        let effects: Vec<Effect> = notices.into_iter().map(|n| Effect::Tell(Box::new(n))).collect();
        let routes = self.dispatcher.routes();
        let commit = move |store: &mut Store| store.commit(Step { effects: &effects, done: &[], routes: &routes });
        self.keep.with(commit).await.unwrap();
        self.dispatcher.wake();
    }

    async fn raise(&mut self, count: u64) {
        let raised = (0..count).map(|n| self.notice(FindingKind::PeerUnreachable, &format!("lab{n}"), Told::Raised));
        let raised: Vec<Notice> = raised.collect();
        self.tell(raised).await;
    }

    async fn queue(&self, sink: &'static str) -> Queue {
        self.keep.with(move |store| store.queue(sink)).await.unwrap()
    }

    fn vitals(&self, sink: &str) -> SinkVitals {
        self.health.read(|v| v.sinks.iter().find(|s| s.name == sink).unwrap().clone())
    }
}

/// Waits in the time of the tasks.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_hours(2);
    while !is() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn state() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s.db");
    (dir, file)
}

#[tokio::test(start_paused = true)]
async fn b5_a_sink_that_hangs_fails_or_refuses_delays_no_other() {
    let (_dir, file) = state();
    let mut bench = Bench::open(&file);
    let good = Puppet::new([]);
    let fails = Puppet::new([Act::Fail(Again::Later); 3]);
    let asks = Puppet::new([Act::Fail(Again::After(Duration::from_mins(10)))]);
    let refuses = Puppet { never: Some(2), batch: 3, ..Puppet::new([]) };
    let hangs = Puppet::new([Act::Hang; 100]);
    for (name, puppet) in
        [("good", &good), ("fails", &fails), ("asks", &asks), ("refuses", &refuses), ("hangs", &hangs)]
    {
        bench.dispatcher.open(puppet.way(name, 100, None)).await;
    }
    let begin = Instant::now();
    bench.raise(5).await;
    until("the good one has all", || good.taken().len() == 5).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    until("the one that failed has all", || fails.taken().len() == 5).await;
    assert!(begin.elapsed() < Duration::from_mins(1), "1 s, 2 s and 4 s at most, and no hanging one before it");
    until("the one that refuses has the others", || refuses.taken() == [1, 3, 4, 5]).await;
    until("the one that asked for time got it", || asks.taken().len() == 5).await;
    assert!(begin.elapsed() >= Duration::from_mins(10));
    assert_eq!((fails.taken(), asks.taken()), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]), "in order, none twice");
    assert_eq!((bench.queue("fails").await.failed, bench.queue("refuses").await.dropped), (3, 1));
    until("the hanging one is given up", || bench.vitals("hangs").failures >= 3).await;
    let seen = bench.vitals("hangs");
    assert!(seen.error.unwrap().contains("no answer within 30 s") && seen.failing.is_some());
    assert_eq!((bench.queue("hangs").await.waiting, hangs.taken().len()), (5, 0));
    // It comes back, and has all of it.
    hangs.acts.lock().unwrap().clear();
    until("the hanging one has all", || hangs.taken() == [1, 2, 3, 4, 5]).await;
    until("its failure is over", || bench.vitals("hangs").failing.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn b5_a_thousand_findings_at_once_are_told_once_and_full_queues_say_what_they_dropped() {
    let (_dir, file) = state();
    let mut bench = Bench::open(&file);
    let good = Puppet { batch: 7, ..Puppet::new([]) };
    let stuck = Puppet { batch: 16, ..Puppet::new(std::iter::repeat_n(Act::Fail(Again::Later), 10_000)) };
    bench.dispatcher.open(good.way("good", 10_000, None)).await;
    bench.dispatcher.open(stuck.way("stuck", 100, None)).await;
    for _ in 0..10 {
        bench.raise(100).await;
    }
    until("the good one has all", || good.taken().len() == 1_000).await;
    assert_eq!(good.taken(), (1..=1_000).collect::<Vec<_>>());
    let queue = bench.queue("stuck").await;
    assert_eq!((queue.waiting, queue.dropped), (100, 900));
    stuck.acts.lock().unwrap().clear();
    until("what was left arrives", || stuck.taken().len() == 100).await;
    assert_eq!(stuck.taken(), (901..=1_000).collect::<Vec<_>>(), "the newest, in order");
    until("it is shown", || bench.vitals("stuck").waiting == 0).await;
    assert_eq!((bench.vitals("stuck").dropped, bench.vitals("good").dropped), (900, 0));
}

#[tokio::test(start_paused = true)]
async fn b5_what_was_not_confirmed_is_told_after_a_restart_under_the_same_id() {
    let (_dir, file) = state();
    let mut bench = Bench::open(&file);
    let first = Puppet::new([Act::Hang]);
    bench.dispatcher.open(first.way("one", 100, None)).await;
    bench.raise(3).await;
    until("it is under way", || first.log.lock().unwrap().tried == 1).await;
    bench.dispatcher.close(Instant::now()).await;
    drop(bench);
    let mut bench = Bench::open(&file);
    let second = Puppet::new([]);
    bench.dispatcher.open(second.way("one", 100, None)).await;
    until("all of it arrives", || second.taken() == [1, 2, 3]).await;
    let state = Store::open(&file).unwrap().watcher().to_owned();
    let ids: Vec<String> = second.log.lock().unwrap().taken.iter().map(|(_, id)| id.clone()).collect();
    assert_eq!(ids, [format!("{state}-1"), format!("{state}-2"), format!("{state}-3")]);
}

#[tokio::test(start_paused = true)]
async fn b5_signs_of_life_pass_between_notices() {
    let (_dir, file) = state();
    let mut bench = Bench::open(&file);
    let puppet = Puppet::new([]);
    bench.dispatcher.open(puppet.way("one", 100, None)).await;
    for n in 1..=3 {
        bench.dispatcher.beat(&Beat { json: "{}".into(), text: "alive".into() });
        until("it is passed on", || puppet.log.lock().unwrap().beats == n).await;
        bench.raise(1).await;
        until("so is the notice", || puppet.taken().len() == n).await;
    }
}

/// A fellow that answers each question with the next of `answers`, and with the last one from then on.
async fn fellow(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    tokio::spawn(async move {
        let mut answers = VecDeque::from(answers);
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut text = vec![0; 4096];
            let n = socket.read(&mut text).await.unwrap();
            let line = String::from_utf8_lossy(&text[..n]).lines().next().unwrap().to_owned();
            log.lock().unwrap().push(line);
            let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (at, asked)
}

fn said(transition: &str, at: crate::domain::Time) -> String {
    let body = format!("{{\"id\":\"x\",\"transition\":\"{transition}\",\"at\":\"{}\"}}\n", crate::report::rfc3339(at));
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn d9_a_higher_rank_tells_only_what_no_fellow_has_told_and_rather_twice_than_never() {
    let (_dir, file) = state();
    let mut bench = Bench::open(&file);
    let now = bench.clock.now();
    let nothing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned();
    let broken = "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned();
    let (at, asked) = fellow(vec![said("raised", now), nothing, broken]).await;
    let puppet = Puppet::new([]);
    let stagger = Duration::from_millis(30);
    let turn = Turn::new(1, stagger, &[at, "ftp://elsewhere".into()]);
    assert_eq!(turn.wait(), stagger);
    bench.dispatcher.open(puppet.way("pager", 100, Some(turn))).await;
    bench.raise(3).await;
    until("what was not told there", || puppet.taken() == [2, 3]).await;
    let queue = bench.queue("pager").await;
    assert_eq!((queue.by_fellow, queue.delivered, queue.waiting), (1, 2, 0));
    let asked = asked.lock().unwrap().clone();
    assert!(asked[0].starts_with("GET /told/peer-unreachable%2Flab%2Fpeer%3Alab0?transition=raised "), "{asked:?}");
    // Whoever told the beginning tells the end, without a question; others are asked.
    let over = bench.notice(FindingKind::PeerUnreachable, "lab1", Told::Cleared);
    let count = asked.len();
    bench.tell(vec![over]).await;
    until("the end is told", || puppet.taken() == [2, 3, 4]).await;
    assert_eq!(asked.len(), count);
}

#[tokio::test]
async fn d9_a_fellow_that_is_gone_or_silent_keeps_nothing_back() {
    let (_dir, file) = state();
    let mut bench = Bench::open(&file);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = |l: &TcpListener| format!("http://{}", l.local_addr().unwrap());
    let fellows = [url(&silent), url(&gone)];
    drop(gone);
    let puppet = Puppet::new([]);
    let turn = Turn::new(2, Duration::from_millis(10), &fellows);
    bench.dispatcher.open(puppet.way("pager", 100, Some(turn))).await;
    bench.raise(20).await;
    // One deadline for all of them, not one for each.
    until("all is told", || puppet.taken().len() == 20).await;
    assert_eq!(bench.queue("pager").await.by_fellow, 0);
}
