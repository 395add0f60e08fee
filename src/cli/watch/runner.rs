//! One sink's task.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::Backoff;
use super::dispatch::{Shared, Way};
use super::fellows::Turn;
use super::form::telling;
use crate::alerts::sinks::{Again, Beat, Failure, Sink, Telling};
use crate::alerts::store::{Gone, Queue, Route};
use crate::domain::Time;
use crate::domain::alert::{Notice, Told};
use crate::domain::finding::FindingId;
use crate::report::vitals::{SinkVitals, ToldOf};

/// Notices in memory at the same time, at least; a sink's batch if that is more.
const WINDOW: usize = 64;
/// What can't be read from the state is tried again after.
const REREAD: Duration = Duration::from_secs(1);

/// What the dispatcher says to the task of a sink.
pub(super) struct Words {
    pub beats: watch::Receiver<Option<Beat>>,
    /// Notices that could not be written.
    pub unkept: mpsc::Receiver<Telling>,
    pub close: watch::Receiver<bool>,
}

/// See the module.
pub(super) struct Runner {
    shared: Shared,
    route: Route,
    sink: Box<dyn Sink>,
    turn: Option<Turn>,
    wake: Arc<Notify>,
    words: Words,
    backoff: Backoff,
    window: VecDeque<Telling>,
    /// So many more go one by one, to find the one that is refused for good.
    single: usize,
    /// Alerts whose beginning this watcher told itself: it tells their end as well, whatever fellows say.
    mine: BTreeSet<FindingId>,
    /// It fails, and that was said in the log.
    failing: bool,
    /// So many were dropped when that was last said in the log.
    dropped: Option<u64>,
}

impl Runner {
    pub(super) fn new(shared: Shared, way: Way, wake: Arc<Notify>, words: Words) -> Self {
        let Way { route, sink, turn } = way;
        Self {
            shared,
            route,
            sink,
            turn,
            wake,
            words,
            backoff: Backoff::default(),
            window: VecDeque::new(),
            single: 0,
            mine: BTreeSet::new(),
            failing: false,
            dropped: None,
        }
    }

    /// Until it is closed.
    pub(super) async fn run(mut self) {
        let every = self.sink.reminder();
        let mut remind = every.map(|every| Instant::now() + every);
        // A sign of life was noticed and not passed on yet.
        let mut beats = false;
        self.tally().await;
        loop {
            if *self.words.close.borrow() {
                return;
            }
            if (beats || self.words.beats.has_changed().unwrap_or(false)) && self.has_time() {
                beats = false;
                self.beat().await;
            }
            if remind.is_some_and(|at| at <= Instant::now()) {
                self.remind().await;
                remind = every.map(|every| Instant::now() + every);
            }
            while let Ok(telling) = self.words.unkept.try_recv() {
                self.tell_unkept(telling).await;
            }
            let wait = match self.due().await {
                Due::Now => {
                    if let Some(wait) = self.deliver().await {
                        self.rest(wait).await;
                    }
                    continue;
                }
                Due::In(wait) => Some(Instant::now() + wait),
                Due::Never => None,
            };
            let until = wait.into_iter().chain(remind).min();
            let later = until.unwrap_or_else(Instant::now);
            let has_time = self.has_time();
            let Words { beats: life, unkept, close } = &mut self.words;
            let is_open = tokio::select! {
                Some(telling) = unkept.recv() => {
                    self.tell_unkept(telling).await;
                    true
                }
                () = self.wake.notified(), if wait.is_none() => true,
                beat = life.changed(), if has_time => {
                    beats = true;
                    beat.is_ok()
                }
                closed = close.changed() => closed.is_ok(),
                () = sleep_until(later), if until.is_some() => true,
            };
            if !is_open {
                return;
            }
        }
    }

    /// Signs of life don't stand in the way of notices that the other side does not take.
    fn has_time(&self) -> bool {
        !self.failing || self.window.is_empty()
    }

    /// Hands over what nothing remembers: once, as it comes again when the state can be written.
    async fn tell_unkept(&mut self, telling: Telling) {
        let limit = self.sink.deadline();
        let name = &self.route.sink;
        match timeout(limit, self.sink.deliver(std::slice::from_ref(&telling))).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::error!("sink {name}: not told: {failure}"),
            Err(_) => tracing::error!("sink {name}: not told: no answer within {} s", limit.as_secs()),
        }
    }

    /// Waits after a failure; news wake nobody who rests.
    async fn rest(&mut self, wait: Duration) {
        tokio::select! {
            () = sleep(wait) => {}
            _ = self.words.close.changed() => {}
        }
    }

    /// When the oldest that waits is to be told.
    async fn due(&mut self) -> Due {
        if self.window.is_empty() {
            let limit = WINDOW.max(self.sink.batch());
            let sink = self.route.sink.clone();
            match self.shared.keep.with(move |store| store.waiting(&sink, limit)).await {
                Ok(notices) => self.window.extend(notices.into_iter().map(|n| telling(&self.shared.state, n))),
                Err(why) => {
                    tracing::error!("sink {}: {why}", self.route.sink);
                    return Due::In(REREAD);
                }
            }
        }
        let Some(first) = self.window.front() else { return Due::Never };
        let due = self.turn.as_ref().map_or(first.notice.at, |t| first.notice.at + t.wait());
        let now = self.shared.clock.now();
        if due <= now { Due::Now } else { Due::In(due.since(now)) }
    }

    /// Hands the next ones over; how long to wait if that failed.
    async fn deliver(&mut self) -> Option<Duration> {
        let now = self.shared.clock.now();
        let most = if self.single > 0 { 1 } else { self.sink.batch().max(1) };
        let wait = self.turn.as_ref().map_or(Duration::ZERO, Turn::wait);
        let due = self.window.iter().take_while(|t| t.notice.at + wait <= now).take(most).count();
        let mut batch: Vec<Telling> = self.window.drain(..due).collect();
        self.single = self.single.saturating_sub(1);
        let by_fellow = self.told_by_fellows(&mut batch).await;
        if let Err(why) = self.take_out(by_fellow, Gone::ByFellow).await {
            return Some(self.has_lost(&why));
        }
        if batch.is_empty() {
            return None;
        }
        let limit = self.sink.deadline();
        let done = timeout(limit, self.sink.deliver(&batch)).await;
        let late = || Failure::later(format!("no answer within {} s", limit.as_secs()));
        match done.unwrap_or_else(|_| Err(late())) {
            Ok(()) => {
                self.backoff.reset();
                let at = self.shared.clock.now();
                let (seqs, notices) = split(batch);
                let kept = self.take_out(seqs, Gone::Delivered(at)).await;
                self.is_told(&notices, at);
                kept.err().map(|why| self.has_lost(&why))
            }
            Err(failure) => {
                let refused = failure.again == Again::Never;
                self.fails(&failure).await;
                if refused && batch.len() == 1 {
                    // What is refused for good holds nobody up; the next one may be taken.
                    let gone = self.take_out(split(batch).0, Gone::Refused).await;
                    return gone.err().map(|why| self.has_lost(&why));
                }
                // Read again: some of them may be dropped as too much meanwhile.
                self.window.clear();
                if refused {
                    self.single = batch.len();
                    return None;
                }
                let asked = match failure.again {
                    Again::After(asked) => Some(asked),
                    Again::Later | Again::Never => None,
                };
                Some(self.backoff.wait(asked, rand::random::<f64>()))
            }
        }
    }

    /// Takes out of `batch` what a fellow has told; the numbers.
    async fn told_by_fellows(&mut self, batch: &mut Vec<Telling>) -> Vec<u64> {
        let Some(turn) = &mut self.turn else { return Vec::new() };
        let mut told = Vec::new();
        for telling in batch.iter() {
            let notice = &telling.notice;
            if !self.mine.contains(notice.alert.id()) && turn.is_told(notice).await {
                told.push(notice.seq);
            }
        }
        batch.retain(|t| !told.contains(&t.notice.seq));
        told
    }

    /// Takes notices out of the outbox.
    async fn take_out(&mut self, seqs: Vec<u64>, gone: Gone) -> Result<(), String> {
        if seqs.is_empty() {
            return Ok(());
        }
        let sink = self.route.sink.clone();
        let queue = self.shared.keep.with(move |store| {
            store.take_out(&sink, &seqs, gone)?;
            store.queue(&sink)
        });
        let queue = queue.await?;
        self.show(&queue);
        Ok(())
    }

    /// The state can't be written: what was handed over may be handed over again.
    fn has_lost(&mut self, why: &str) -> Duration {
        tracing::error!("sink {}: {why}; what was told may be told again", self.route.sink);
        self.window.clear();
        self.backoff.wait(None, 1.0)
    }

    /// Those whose sink has confirmed it.
    fn is_told(&mut self, notices: &[Notice], at: Time) {
        for notice in notices {
            match notice.told {
                Told::Cleared => self.mine.remove(notice.alert.id()),
                Told::Raised | Told::Changed | Told::Repeated | Told::Acknowledged => {
                    self.mine.insert(notice.alert.id().clone())
                }
            };
        }
        let is_outside = self.turn.is_some();
        let name = &self.route.sink;
        let trouble = self.sink.trouble();
        let recovered = self.shared.health.note(|v| {
            for notice in notices.iter().filter(|_| is_outside) {
                v.told.insert(notice.alert.id().clone(), ToldOf { told: notice.told, at });
            }
            let sink = v.sinks.iter_mut().find(|s| s.name == *name)?;
            (sink.failures, sink.error) = (0, trouble);
            sink.failing.take()
        });
        if std::mem::take(&mut self.failing) {
            let since = recovered.map_or(Duration::ZERO, |since| at.since(since));
            tracing::warn!("sink {name} works again, after {}", crate::domain::time::human(since));
        }
    }

    /// A delivery, beat or reminder has failed.
    async fn fails(&mut self, failure: &Failure) {
        let (name, now) = (self.route.sink.clone(), self.shared.clock.now());
        let text = failure.text.clone();
        let said = self.shared.health.note(|v| {
            let sink = v.sinks.iter_mut().find(|s| s.name == name)?;
            sink.failures += 1;
            sink.failed += 1;
            sink.failing.get_or_insert(now);
            sink.error.replace(text.clone())
        });
        if !self.failing || said.as_ref() != Some(&text) {
            tracing::warn!("sink {name} fails: {text}");
        }
        self.failing = true;
        let kept = self.shared.keep.with(move |store| {
            store.failed(&name, &text)?;
            store.queue(&name)
        });
        // The state has its own way to say that it can't be written.
        if let Ok(queue) = kept.await {
            self.show(&queue);
        }
    }

    /// Shows what stands in the state.
    async fn tally(&mut self) {
        let sink = self.route.sink.clone();
        if let Ok(queue) = self.shared.keep.with(move |store| store.queue(&sink)).await {
            self.show(&queue);
        }
    }

    fn show(&mut self, queue: &Queue) {
        let name = &self.route.sink;
        self.shared.health.note(|v| {
            if let Some(sink) = v.sinks.iter_mut().find(|s| s.name == *name) {
                show(sink, queue);
            }
        });
        let before = self.dropped.replace(queue.dropped).unwrap_or(queue.dropped);
        if queue.dropped > before {
            tracing::warn!("sink {name}: {} notices will never be told there", queue.dropped);
        }
    }

    async fn beat(&mut self) {
        let Some(beat) = self.words.beats.borrow_and_update().clone() else { return };
        let done = timeout(self.sink.deadline(), self.sink.beat(&beat)).await;
        self.heeds(done.unwrap_or_else(|_| Err(Failure::later("no answer to the sign of life")))).await;
    }

    async fn remind(&mut self) {
        let now = self.shared.clock.now();
        let raised = Arc::clone(&self.shared.raised.borrow());
        let raised = raised.iter().filter(|a| a.severity() >= self.route.least).map(|alert| {
            let notice = Notice { seq: 0, at: now, told: Told::Repeated, alert: alert.clone(), before: None };
            telling(&self.shared.state, notice)
        });
        let raised: Vec<Telling> = raised.collect();
        let done = timeout(self.sink.deadline(), self.sink.remind(&raised)).await;
        self.heeds(done.unwrap_or_else(|_| Err(Failure::later("no answer to a reminder")))).await;
    }

    /// Of what is not kept: it is said again anyway.
    async fn heeds(&mut self, done: Result<(), Failure>) {
        match done {
            Ok(()) => {
                if self.failing && self.window.is_empty() {
                    let now = self.shared.clock.now();
                    self.is_told(&[], now);
                }
            }
            Err(failure) => self.fails(&failure).await,
        }
    }
}

/// When something is to be told.
enum Due {
    Now,
    In(Duration),
    Never,
}

fn split(batch: Vec<Telling>) -> (Vec<u64>, Vec<Notice>) {
    batch.into_iter().map(|t| (t.notice.seq, t.notice)).unzip()
}

/// What stands in the state of a sink, for those who look.
pub(super) fn show(sink: &mut SinkVitals, queue: &Queue) {
    sink.waiting = queue.waiting;
    sink.delivered = queue.delivered;
    sink.failed = queue.failed;
    sink.dropped = queue.dropped;
    sink.by_fellow = queue.by_fellow;
    sink.succeeded = queue.succeeded;
}
