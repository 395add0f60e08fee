//! Hands notices to the sinks: a task for each, so that none waits for another (D9, B5).
//!
//! What a sink has not confirmed stands in the state file. Its task takes the oldest, hands them over in order, and
//! takes out what was confirmed: at least once, with the same event id each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::super::serve::Health;
use super::fellows::Turn;
use super::form::unkept;
use super::keep::Keep;
use super::runner::{Runner, Words};
use crate::alerts::sinks::{Beat, Sink, Telling};
use crate::alerts::store::Route;
use crate::clock::Clock;
use crate::domain::alert::{Alert, Notice};
use crate::report::vitals::SinkVitals;

/// So many notices that could not be written wait for one sink.
const UNKEPT: usize = 1_000;

/// A way out, ready to be used.
pub(super) struct Way {
    pub route: Route,
    pub sink: Box<dyn Sink>,
    /// Its turn among several watchers; `None`: it tells at once, as nobody else tells the same there.
    pub turn: Option<Turn>,
}

/// What all tasks share.
#[derive(Clone)]
pub(super) struct Shared {
    pub keep: Keep,
    /// The random name of the state file.
    pub state: String,
    pub clock: Arc<dyn Clock>,
    pub health: Arc<Health>,
    /// All that is raised and told.
    pub raised: watch::Receiver<Arc<Vec<Alert>>>,
}

/// All sinks.
pub(super) struct Dispatcher {
    shared: Shared,
    tasks: BTreeMap<String, Task>,
}

struct Task {
    route: Route,
    wake: Arc<Notify>,
    beats: watch::Sender<Option<Beat>>,
    unkept: mpsc::Sender<Telling>,
    close: watch::Sender<bool>,
    handle: JoinHandle<()>,
}

impl Dispatcher {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, tasks: BTreeMap::new() }
    }

    /// Starts a way out, instead of the one of this name if there is one.
    pub(super) async fn open(&mut self, way: Way) {
        let name = way.route.sink.clone();
        self.close_one(&name).await;
        let vitals = SinkVitals { name: name.clone(), ..SinkVitals::default() };
        self.shared.health.note(|v| v.sinks.push(vitals));
        let wake = Arc::new(Notify::new());
        let (beats, beat) = watch::channel(None);
        let (unkept, direct) = mpsc::channel(UNKEPT);
        let (close, closed) = watch::channel(false);
        let route = way.route.clone();
        let runner = Runner::new(
            self.shared.clone(),
            way,
            Arc::clone(&wake),
            Words { beats: beat, unkept: direct, close: closed },
        );
        let handle = tokio::spawn(runner.run());
        self.tasks.insert(name, Task { route, wake, beats, unkept, close, handle });
    }

    /// Ends the way out of this name; what waits for it stays.
    pub(super) async fn close_one(&mut self, name: &str) {
        let Some(task) = self.tasks.remove(name) else { return };
        task.end(Instant::now() + Duration::from_secs(3)).await;
        self.shared.health.note(|v| v.sinks.retain(|s| s.name != name));
    }

    /// In the order of `names`, for those who look.
    pub(super) fn sort(&self, names: &[String]) {
        let at = |s: &SinkVitals| names.iter().position(|n| *n == s.name).unwrap_or(usize::MAX);
        self.shared.health.note(|v| v.sinks.sort_by_key(at));
    }

    /// The ways out, for the outbox.
    pub(super) fn routes(&self) -> Vec<Route> {
        self.tasks.values().map(|t| t.route.clone()).collect()
    }

    /// Something waits.
    pub(super) fn wake(&self) {
        for task in self.tasks.values() {
            task.wake.notify_one();
        }
    }

    /// Hands notices over that could not be written: to each sink once, as nothing remembers them.
    pub(super) fn tell_unkept(&self, notices: Vec<Notice>) {
        for notice in notices {
            let telling = unkept(&self.shared.state, notice);
            tracing::error!("told without being kept: {}", telling.text);
            for task in self.tasks.values().filter(|t| telling.notice.alert.severity() >= t.route.least) {
                if task.unkept.try_send(telling.clone()).is_err() {
                    tracing::error!("sink {}: too much waits: not told before the state is written", task.route.sink);
                }
            }
        }
    }

    /// Passes the sign of life on.
    pub(super) fn beat(&self, beat: &Beat) {
        for task in self.tasks.values() {
            task.beats.send_replace(Some(beat.clone()));
        }
    }

    /// Ends all: what is under way may still arrive before `deadline`, everything else waits on disk.
    pub(super) async fn close(&mut self, deadline: Instant) {
        for task in self.tasks.values() {
            task.close.send_replace(true);
        }
        for (_, task) in std::mem::take(&mut self.tasks) {
            task.end(deadline).await;
        }
    }

    /// Waits until nothing waits for any sink, at the longest to `deadline`. Whether that is so.
    pub(super) async fn flush(&self, deadline: Instant) -> bool {
        loop {
            let names: Vec<String> = self.tasks.keys().cloned().collect();
            let waiting = self
                .shared
                .keep
                .with(move |store| names.iter().map(|n| store.queue(n).map(|q| q.waiting)).sum::<Result<u64, _>>());
            if waiting.await == Ok(0) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Task {
    async fn end(mut self, deadline: Instant) {
        self.close.send_replace(true);
        if timeout_at(deadline, &mut self.handle).await.is_err() {
            self.handle.abort();
        }
    }
}
