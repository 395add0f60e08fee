//! The pure core and its state on disk: a step, and the transaction that makes it count.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::super::serve::Health;
use super::keep::Keep;
use crate::alerts::store::{Asked, Route, Step};
use crate::alerts::{Alerts, Effect, Event, Kept, Memory, Rules};
use crate::domain::Time;
use crate::domain::alert::{Alert, Notice, Told};
use crate::report::vitals::{ToldOf, Unwritten};

/// An order about a finding of which nothing is known waits for so long: whoever gave it may see more than is known here.
const UNKNOWN: Duration = Duration::from_mins(1);
/// That an alert was over is remembered for fellows for so long.
const OVER: Duration = Duration::from_hours(24);
/// So many effects wait in memory while the state can't be written.
const PENDING: usize = 100_000;

/// See the module.
pub(super) struct Desk {
    alerts: Alerts,
    keep: Keep,
    health: Arc<Health>,
    raised: watch::Sender<Arc<Vec<Alert>>>,
    /// Orders that wait for their finding.
    asked: Vec<Asked>,
    /// Effects and orders that could not be written yet.
    pending: Vec<Effect>,
    done: Vec<i64>,
    /// Why they could not.
    refused: Option<String>,
    /// So many of those that wait to be written were handed out as they are.
    handed: usize,
    /// Notices that could not be written, to be told all the same.
    unkept: Vec<Notice>,
    /// When time alone may change something.
    next: Option<Time>,
}

impl Desk {
    pub(super) fn new(
        rules: Rules,
        memory: Memory,
        keep: Keep,
        health: Arc<Health>,
        raised: watch::Sender<Arc<Vec<Alert>>>,
    ) -> Self {
        let seq = memory.seq;
        let told = memory.kept.iter().filter_map(|k| {
            let last = k.told.as_ref()?;
            Some((k.seen.finding.id.clone(), ToldOf { told: Told::Raised, at: last.at }))
        });
        let told = told.collect();
        health.note(|v| (v.seq, v.told) = (seq, told));
        Self {
            alerts: Alerts::new(rules, memory),
            keep,
            health,
            raised,
            asked: Vec::new(),
            pending: Vec::new(),
            done: Vec::new(),
            refused: None,
            handed: 0,
            unkept: Vec::new(),
            next: None,
        }
    }

    /// Takes events and writes down what comes of them. Whether something is to be told.
    pub(super) async fn step(&mut self, now: Time, events: Vec<Event>, routes: &[Route]) -> bool {
        let effects = self.alerts.step(now, events);
        self.next = self.alerts.next(now);
        let notices: Vec<&Notice> = effects.iter().filter_map(notice).collect();
        self.health.note(|v| {
            for notice in &notices {
                *v.notices.entry(notice.told).or_default() += 1;
                v.seq = notice.seq;
            }
            v.turn = Some(now);
        });
        if effects.is_empty() && self.pending.is_empty() && self.done.is_empty() {
            return false;
        }
        self.pending.extend(effects);
        self.show(now);
        self.write(routes).await
    }

    /// Writes down what waits. Whether something is to be told.
    async fn write(&mut self, routes: &[Route]) -> bool {
        let (effects, done, to) = (self.pending.clone(), self.done.clone(), routes.to_vec());
        let tells = effects.iter().any(|e| notice(e).is_some());
        let written = self.keep.with(move |store| store.commit(Step { effects: &effects, done: &done, routes: &to }));
        match written.await {
            Ok(()) => {
                self.pending.clear();
                self.handed = 0;
                self.done.clear();
                if self.refused.take().is_some() {
                    self.health.note(|v| v.unwritten = None);
                    tracing::warn!("the state of the watch is written again");
                }
                tells
            }
            Err(why) => {
                if self.refused.as_ref() != Some(&why) {
                    tracing::error!(
                        "what is told now is told once, and again when this is mended; it is tried each second: {why}"
                    );
                }
                // Two messages are better than none: it is told now, and again once it is written.
                let new = &self.pending[self.handed.min(self.pending.len())..];
                self.unkept.extend(new.iter().filter_map(notice).cloned());
                self.health.note(|v| {
                    let since = v.unwritten.as_ref().map_or(v.turn.unwrap_or(v.began), |u| u.since);
                    v.unwritten = Some(Unwritten { since, why: why.clone() });
                });
                self.refused = Some(why);
                if self.pending.len() > PENDING {
                    // Only the newest form of each finding counts; what is told is told.
                    self.pending = squeeze(std::mem::take(&mut self.pending));
                }
                self.handed = self.pending.len();
                false
            }
        }
    }

    /// Tries again to write what could not be written. Whether something is to be told.
    pub(super) async fn again(&mut self, routes: &[Route]) -> bool {
        if self.refused.is_none() { false } else { self.write(routes).await }
    }

    /// Notices that could not be written since this was asked.
    pub(super) fn take_unkept(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.unkept)
    }

    /// Why nothing can be written.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// What other processes have asked for since, as events.
    pub(super) async fn orders(&mut self, now: Time) -> Vec<Event> {
        let read = self
            .keep
            .with(|store| if store.changed()? { Ok(Some((store.silences()?, store.asked()?))) } else { Ok(None) });
        match read.await {
            Ok(Some((silences, asked))) => {
                self.asked = asked;
                let mut events = Vec::new();
                if silences != self.alerts.silences() {
                    events.push(Event::Silences(silences));
                }
                events.extend(self.carry_out(now));
                events
            }
            Ok(None) => self.carry_out(now),
            Err(why) => {
                tracing::error!("acknowledgements and silences can't be read: {why}");
                Vec::new()
            }
        }
    }

    /// All that was asked for before this watch began.
    pub(super) async fn orders_at_start(&mut self, now: Time) -> Vec<Event> {
        if let Ok(asked) = self.keep.with(|store| store.asked()).await {
            self.asked = asked;
        }
        self.carry_out(now)
    }

    /// Orders whose finding is an alert; those of others wait for a while.
    fn carry_out(&mut self, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        for asked in std::mem::take(&mut self.asked) {
            let kept = self.alerts.kept().find(|k| k.seen.finding.id == asked.id);
            let is_ready = kept.is_some_and(|k| k.raised.is_some());
            let is_coming = kept.is_some_and(|k| k.present) || now.since(asked.at) < UNKNOWN;
            if !is_ready && is_coming {
                self.asked.push(asked);
                continue;
            }
            self.done.push(asked.n);
            events.push(match asked.ack {
                Some(ack) => Event::Acknowledge { id: asked.id, ack },
                None => Event::Unacknowledge(asked.id),
            });
        }
        events
    }

    /// What is known of each finding.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.alerts.kept()
    }

    /// When time alone may change something.
    pub(super) fn next(&self) -> Option<Time> {
        self.next
    }

    /// Shows what is raised: to those who ask, and for reminders.
    fn show(&self, now: Time) {
        let mut counts = HashMap::new();
        let mut raised = Vec::new();
        for (kept, held) in self.alerts.raised(now) {
            let severity = kept.told.as_ref().map_or(kept.seen.finding.kind.severity(), |t| t.severity);
            let key = (kept.seen.finding.cluster.clone(), severity, held);
            *counts.entry(key).or_default() += 1;
            raised.extend(alert(kept));
        }
        self.raised.send_replace(Arc::new(raised));
        self.health.note(|v| {
            v.raised = counts;
            v.told.retain(|_, t| t.told != Told::Cleared || now.since(t.at) < OVER);
        });
    }

    /// As [`Desk::show`], at the start.
    pub(super) fn show_now(&self, now: Time) {
        self.show(now);
    }
}

fn notice(effect: &Effect) -> Option<&Notice> {
    match effect {
        Effect::Tell(notice) => Some(notice),
        Effect::Keep(_) | Effect::Forget(_) => None,
    }
}

/// As it was told; `None`: it was not.
fn alert(kept: &Kept) -> Option<Alert> {
    let (raised, told) = (kept.raised?, kept.told.as_ref()?);
    let mut seen = kept.seen.clone();
    seen.finding.severity = told.severity;
    let changes = u32::try_from(kept.toggles.len()).unwrap_or(u32::MAX);
    Some(Alert { seen, raised, flapping: kept.flapping.then_some(changes), ack: kept.ack.clone() })
}

/// Of each finding only the last word; notices all, in their order.
fn squeeze(effects: Vec<Effect>) -> Vec<Effect> {
    let mut last = HashMap::new();
    for (n, effect) in effects.iter().enumerate() {
        match effect {
            Effect::Keep(kept) => last.insert(kept.seen.finding.id.clone(), n),
            Effect::Forget(id) => last.insert(id.clone(), n),
            Effect::Tell(_) => None,
        };
    }
    let counts = |n: usize, e: &Effect| match e {
        Effect::Keep(kept) => last.get(&kept.seen.finding.id) == Some(&n),
        Effect::Forget(id) => last.get(id) == Some(&n),
        Effect::Tell(_) => true,
    };
    effects.into_iter().enumerate().filter(|(n, e)| counts(*n, e)).map(|(_, e)| e).collect()
}
