//! How a watch itself fares: what its loop notes, and whether it can be trusted (D9). Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;

use crate::domain::alert::{Held, Told};
use crate::domain::finding::{FindingId, Severity};
use crate::domain::ids::ClusterName;
use crate::domain::time::{Time, human};

/// A sink that fails for longer is a reason not to trust the watch.
const SINK_FAILS: Duration = Duration::from_mins(5);

/// What the loop of a watch notes about itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Vitals {
    /// The watcher's name in all that it sends.
    pub watcher: String,
    /// When it began.
    pub began: Time,
    /// When the newest picture came.
    pub picture: Option<Time>,
    /// When its loop last turned.
    pub turn: Option<Time>,
    /// Its loop turns at least so often, and a picture comes at least so often; zero: nobody has promised.
    pub turns_every: Duration,
    /// How often it says that it lives.
    pub heartbeat: Duration,
    /// Number of the last notice.
    pub seq: u64,
    /// Alerts that are raised now: so many of a cluster, a severity, held back or told.
    pub raised: HashMap<(ClusterName, Severity, Option<Held>), u64>,
    /// Notices since the start.
    pub notices: HashMap<Told, u64>,
    /// The ways out, in the order of the fleet file.
    pub sinks: Vec<SinkVitals>,
    /// What must survive a restart can't be written: it is told without being kept.
    pub unwritten: Option<Unwritten>,
    /// What was last told of each alert, to the outside: at least one sink has confirmed it.
    pub told: BTreeMap<FindingId, ToldOf>,
}

/// How a way out fares.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SinkVitals {
    /// Its name.
    pub name: String,
    /// Notices that wait for it.
    pub waiting: u64,
    /// Notices that it has confirmed.
    pub delivered: u64,
    /// Deliveries that failed since the last that succeeded.
    pub failures: u64,
    /// Deliveries that failed at all.
    pub failed: u64,
    /// Notices that it will never get: refused, or too many waited.
    pub dropped: u64,
    /// Notices that a fellow had told already.
    pub by_fellow: u64,
    /// When it last confirmed one.
    pub succeeded: Option<Time>,
    /// Since when it fails; `None`: it does not.
    pub failing: Option<Time>,
    /// The last failure; no secret in it.
    pub error: Option<String>,
}

/// That the state of the watch can't be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unwritten {
    /// Since when.
    pub since: Time,
    /// What was tried, where, and why it failed.
    pub why: String,
}

/// What was last told of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToldOf {
    /// What.
    pub told: Told,
    /// When.
    pub at: Time,
}

impl Vitals {
    /// Why it can't be trusted at `now`; none: all is well.
    #[must_use]
    pub fn troubles(&self, now: Time) -> Vec<String> {
        let mut out = Vec::new();
        let limit = self.turns_every * 3 + Duration::from_secs(5);
        let promised = !self.turns_every.is_zero();
        let mut late = |what: &str, last: Option<Time>| {
            let age = now.since(last.unwrap_or(self.began));
            if promised && age > limit {
                out.push(format!("{what} for {} (limit {})", human(age), human(limit)));
            } else if last.is_none() {
                out.push(format!("{what} yet"));
            }
        };
        late("the loop has not turned", self.turn);
        late("no picture has come", self.picture);
        if let Some(Unwritten { since, why }) = &self.unwritten {
            out.push(format!("the state can't be written for {}: {why}", human(now.since(*since))));
        }
        for sink in &self.sinks {
            if let Some(since) = sink.failing
                && now.since(since) >= SINK_FAILS
            {
                let error = sink.error.as_deref().unwrap_or("no reason known");
                let SinkVitals { name, waiting, .. } = sink;
                out.push(format!("sink {name} fails for {} ({waiting} waiting): {error}", human(now.since(since))));
            }
        }
        out
    }
}

/// `peerdeck.health/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct HealthDoc {
    schema: &'static str,
    at: String,
    watcher: String,
    /// Whether it can be trusted.
    ok: bool,
    /// Why not.
    reasons: Vec<String>,
    seq: u64,
    picture_age_s: Option<f64>,
    loop_age_s: Option<f64>,
    sinks: Vec<SinkDoc>,
}

/// A way out.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct SinkDoc {
    name: String,
    waiting: u64,
    delivered: u64,
    consecutive_failures: u64,
    failures: u64,
    dropped: u64,
    told_by_fellow: u64,
    last_success: Option<String>,
    last_error: Option<String>,
}

/// `vitals` as a document.
#[must_use]
pub fn health(vitals: &Vitals, now: Time) -> HealthDoc {
    let reasons = vitals.troubles(now);
    let age = |at: Option<Time>| at.map(|at| super::seconds(now.since(at)));
    HealthDoc {
        schema: "peerdeck.health/1",
        at: super::rfc3339(now),
        watcher: vitals.watcher.clone(),
        ok: reasons.is_empty(),
        reasons,
        seq: vitals.seq,
        picture_age_s: age(vitals.picture),
        loop_age_s: age(vitals.turn),
        sinks: vitals.sinks.iter().map(SinkDoc::of).collect(),
    }
}

impl SinkDoc {
    fn of(sink: &SinkVitals) -> Self {
        Self {
            name: sink.name.clone(),
            waiting: sink.waiting,
            delivered: sink.delivered,
            consecutive_failures: sink.failures,
            failures: sink.failed,
            dropped: sink.dropped,
            told_by_fellow: sink.by_fellow,
            last_success: sink.succeeded.map(super::rfc3339),
            last_error: sink.error.clone(),
        }
    }
}

/// What was told of one alert, for fellows that ask before they tell it themselves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToldDoc {
    id: String,
    /// `raised`, `changed`, `repeated`, `acknowledged` or `cleared`.
    transition: &'static str,
    at: String,
}

/// What was last told of `id`; `None`: nothing.
#[must_use]
pub fn told(vitals: &Vitals, id: &FindingId) -> Option<ToldDoc> {
    let told = vitals.told.get(id)?;
    Some(ToldDoc { id: id.to_string(), transition: told.told.as_str(), at: super::rfc3339(told.at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d9_a_watch_whose_state_can_not_be_written_says_so_at_once() {
        let now = Time::from_millis(1_000_000);
        let mut vitals = Vitals { turn: Some(now), picture: Some(now), ..Vitals::default() };
        assert_eq!(vitals.troubles(now), [] as [String; 0]);
        vitals.unwritten = Some(Unwritten { since: now, why: "watch.db: the disk is full".into() });
        let later = now + Duration::from_secs(3);
        assert_eq!(vitals.troubles(later), ["the state can't be written for 3.0 s: watch.db: the disk is full"]);
    }
}
