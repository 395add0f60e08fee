//! Alertmanager, API v2. What several watchers send of one alert has the same labels, so that it is one there too.
//!
//! Alertmanager forgets what it is not reminded of, and each of several members must be told: the members of a cluster
//! of Alertmanagers share what was notified, not what was received.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::fields::{evidence, rfc3339};
use super::http::{Poster, post};
use super::{Again, Beat, Delivery, Failure, Remote, Sink, Telling, Url};
use crate::domain::alert::Told;
use crate::domain::finding::{Severity, Subject};
use crate::domain::time::Time;

/// Notices in one request.
const BATCH: usize = 200;

/// How often it is reminded: well before its `resolve_timeout` of five minutes.
const REMIND: Duration = Duration::from_mins(1);

/// What it is not reminded of is over after so long.
const LASTS: Duration = Duration::from_mins(5);

/// So many alerts are remembered for a member that is down; it is reminded of those that are raised anyhow.
const OWED_MAX: usize = 1_000;

/// See [`super::Spec::Alertmanager`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertmanagerSpec {
    /// All members, without `/api/v2`.
    pub urls: Vec<Url>,
    /// Token, deadlines, trust.
    pub remote: Remote,
}

/// As `POST /api/v2/alerts` takes it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
}

struct Member {
    url: Url,
    /// What it did not take while others did, the newest of each alert.
    owed: BTreeMap<BTreeMap<&'static str, String>, Posted>,
    /// Its last failure, until it takes something.
    failed: Option<String>,
}

pub(super) struct Alertmanager {
    watcher: Arc<str>,
    members: Vec<Member>,
    poster: Poster,
    began: Time,
    beaten: Option<Time>,
}

impl Alertmanager {
    pub(super) fn new(spec: AlertmanagerSpec, watcher: Arc<str>) -> Self {
        let member = |url: &Url| Member { url: url.join("/api/v2/alerts"), owed: BTreeMap::new(), failed: None };
        let members = spec.urls.iter().map(member).collect();
        Self { watcher, members, poster: Poster::new(spec.remote), began: wall(), beaten: None }
    }

    /// Posts to all members at once; well if one of them has taken it.
    async fn send(&mut self, alerts: Vec<Posted>) -> Result<(), Failure> {
        let headers = self.poster.headers().await?;
        let (limit, open) = (self.poster.timeout(), self.poster.is_open());
        let mut posts = Vec::new();
        for member in &self.members {
            let client = self.poster.client(&member.url).await?;
            let mut all: Vec<&Posted> = member.owed.values().collect();
            all.extend(&alerts);
            let body = serde_json::to_vec(&all).map_err(|e| Failure::never(format!("no JSON: {e}")))?;
            posts.push(post(client, &member.url, headers.clone(), body, open, limit));
        }
        let results: Vec<Result<(), Failure>> = futures::future::join_all(posts).await;
        let taken = results.iter().any(Result::is_ok);
        let mut worst: Option<Failure> = None;
        for (member, result) in self.members.iter_mut().zip(results) {
            match result {
                Ok(()) => {
                    member.owed.clear();
                    member.failed = None;
                }
                Err(failure) => {
                    member.failed = Some(failure.text.clone());
                    if taken && failure.again == Again::Never {
                        member.owed.clear();
                    } else if taken {
                        member.owe(&alerts);
                    }
                    worst = Some(match worst {
                        None => failure,
                        Some(w) => Failure {
                            text: format!("{}; {}", w.text, failure.text),
                            // One that only is down may still take it.
                            again: if w.again == Again::Never { failure.again } else { w.again },
                        },
                    });
                }
            }
        }
        match worst {
            Some(failure) if !taken => Err(failure),
            Some(_) | None => Ok(()),
        }
    }

    /// A notice as alerts: where its severity is another, that of the old severity ends.
    fn alerts(&self, telling: &Telling, now: Time) -> Vec<Posted> {
        let notice = &telling.notice;
        let alert = &notice.alert;
        let ends = if notice.told == Told::Cleared { notice.at } else { now + LASTS };
        let annotations = annotations(telling, &self.watcher);
        let posted = |severity, ends| Posted {
            labels: labels(telling, severity, &self.watcher),
            annotations: annotations.clone(),
            starts_at: rfc3339(alert.raised),
            // Our clock and the system's may differ, and what ends before it begins is refused.
            ends_at: rfc3339(Time::max(ends, alert.raised)),
        };
        let before = notice.before.filter(|b| *b != alert.severity()).map(|before| posted(before, notice.at));
        before.into_iter().chain([posted(alert.severity(), ends)]).collect()
    }

    fn all(&self, tellings: &[Telling]) -> Vec<Posted> {
        let now = wall();
        tellings.iter().flat_map(|t| self.alerts(t, now)).collect()
    }

    async fn watchdog(&mut self, beat: &Beat) -> Result<(), Failure> {
        let now = wall();
        // Where signs of life are rare it must hold until the next one but one.
        let gap = self.beaten.map_or(Duration::ZERO, |last| now.since(last));
        self.beaten = Some(now);
        let lasts = LASTS.max(gap * 3);
        let watcher = self.watcher.to_string();
        let labels =
            [("alertname", "PeerdeckWatchdog".to_owned()), ("severity", "none".to_owned()), ("watcher", watcher)];
        let annotations = [
            ("summary", "peerdeck watches: this alert must always be there".to_owned()),
            ("description", beat.text.to_string()),
        ];
        let posted = Posted {
            labels: labels.into(),
            annotations: annotations.into(),
            starts_at: rfc3339(self.began),
            ends_at: rfc3339(now + lasts),
        };
        self.send(vec![posted]).await
    }
}

impl Member {
    fn owe(&mut self, alerts: &[Posted]) {
        for alert in alerts {
            if self.owed.len() >= OWED_MAX && !self.owed.contains_key(&alert.labels) {
                self.owed.pop_first();
            }
            self.owed.insert(alert.labels.clone(), alert.clone());
        }
    }
}

/// What makes it this alert and no other: nothing of who watches, and nothing that changes while it lasts but its
/// severity.
fn labels(telling: &Telling, severity: Severity, watcher: &Arc<str>) -> BTreeMap<&'static str, String> {
    let seen = &telling.notice.alert.seen;
    let finding = &seen.finding;
    let mut out = BTreeMap::from([
        ("alertname", finding.kind.as_str().to_owned()),
        ("cluster", finding.cluster.to_string()),
        ("severity", severity.as_str().to_owned()),
    ]);
    let mut hosts = seen.hosts.iter().map(ToString::to_string);
    let mut add = |name, value: Option<String>| {
        out.extend(value.filter(|v| !v.is_empty()).map(|v| (name, v)));
    };
    match &finding.subject {
        // What is wrong with one watcher is not what is wrong with another.
        Subject::Watcher => add("watcher", Some(watcher.to_string())),
        Subject::Cluster => {}
        Subject::Peer(_) => add("peer", hosts.next()),
        Subject::Link { .. } | Subject::Pair { .. } => {
            add("from", hosts.next());
            add("to", hosts.next());
        }
        Subject::Group(group) => add("group", Some(group.to_string())),
        Subject::Ha(group) => add("ha_group", Some(group.to_string())),
        Subject::Groups { a, b } => {
            add("group", Some(a.to_string()));
            add("other_group", Some(b.to_string()));
        }
    }
    out
}

fn annotations(telling: &Telling, watcher: &Arc<str>) -> BTreeMap<&'static str, String> {
    let alert = &telling.notice.alert;
    let finding = &alert.seen.finding;
    let mut out = BTreeMap::from([
        ("summary", finding.text.to_string()),
        ("description", evidence(&telling.notice)),
        ("advice", finding.advice.to_string()),
        ("id", finding.id.to_string()),
        ("event_id", telling.event_id.clone()),
        ("watcher", watcher.to_string()),
    ]);
    if let Some(ack) = &alert.ack {
        out.insert("acknowledged_by", ack.by.to_string());
        out.insert("acknowledged_because", ack.reason.to_string());
    }
    if let Some(n) = alert.flapping {
        out.insert("flapping", n.to_string());
    }
    out.retain(|_, value| !value.is_empty());
    out
}

/// The wall clock: Alertmanager compares with its own.
fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::ZERO + since
}

impl Sink for Alertmanager {
    fn deadline(&self) -> Duration {
        self.poster.deadline()
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        let alerts = self.all(tellings);
        Box::pin(self.send(alerts))
    }

    fn beat<'a>(&'a mut self, beat: &'a Beat) -> Delivery<'a> {
        Box::pin(self.watchdog(beat))
    }

    fn reminder(&self) -> Option<Duration> {
        Some(REMIND)
    }

    fn remind<'a>(&'a mut self, raised: &'a [Telling]) -> Delivery<'a> {
        let alerts = self.all(raised);
        Box::pin(async move {
            if alerts.is_empty() && self.members.iter().all(|m| m.owed.is_empty()) {
                return Ok(());
            }
            self.send(alerts).await
        })
    }

    fn trouble(&self) -> Option<String> {
        let failed: Vec<&str> = self.members.iter().filter_map(|m| m.failed.as_deref()).collect();
        (!failed.is_empty() && failed.len() < self.members.len()).then(|| failed.join("; "))
    }
}
