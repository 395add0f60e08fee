//! `watch`: findings as they come and go, a line each, and a sign of life. It never holds the commander.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::connect::{self, Face};
use super::once;
use super::output::{Reader, emit, reader_gone, style};
use super::signals::Stop;
use super::{Context, Done};
use crate::clock::Clock;
use crate::domain::finding::{Finding, FindingId, Transition};
use crate::domain::snapshot::Snapshot;
use crate::engine::runtime::{Fed, Observer};
use crate::report::{self, findings, lines};

const FACE: Face = Face { name: "watch", interactive: false, one_shot: false };

/// Runs until a signal comes or nobody reads any more.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn run(context: &Context, heartbeat: Duration) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    super::process::small_runtime()?.block_on(async {
        let mut stop = Stop::new().context("signals can't be received")?;
        let connected = connect::start(&fleet, &context.paths, FACE)?;
        drop(connected.commander);
        let mut watch = Watch {
            observer: connected.observer,
            clock: connected.links.clock.clone(),
            json: context.global.json,
            told: BTreeMap::new(),
        };
        tokio::select! {
            biased;
            signal = stop.wait() => {
                tracing::info!("ends on {signal}");
                Ok(0)
            }
            () = reader_gone() => Ok(0),
            done = watch.run(context.global.timeout, heartbeat) => done,
        }
    })
}

/// `watch --once`: the findings of now.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn once(context: &Context) -> anyhow::Result<Done> {
    let look = super::checks::look(context, true)?;
    let snapshot = &look.snapshot;
    let mut out = String::new();
    for cluster in &snapshot.clusters {
        if context.global.json {
            for f in cluster.findings.iter() {
                out.push_str(&report::line(&lines::alert(snapshot, Transition::Raised, f)));
            }
        } else {
            out.push_str(&findings::table(cluster, snapshot.at, style(&context.global)));
        }
    }
    if context.global.json {
        out.push_str(&report::line(&lines::heartbeat(snapshot, None, snapshot.at)));
    } else {
        out.push_str(&lines::heartbeat_text(snapshot, None, snapshot.at));
    }
    emit(&out)?;
    Ok(report::status::check(snapshot, None, look.complete).code())
}

struct Watch {
    observer: Observer,
    clock: Arc<dyn Clock>,
    json: bool,
    /// What was told as raised and not as cleared.
    told: BTreeMap<FindingId, Finding>,
}

impl Watch {
    async fn run(&mut self, timeout: Duration, heartbeat: Duration) -> anyhow::Result<Done> {
        let mut alerts = self.observer.alerts();
        if self.catch_up()? == Reader::Gone {
            return Ok(0);
        }
        let mut settled = Box::pin({
            let (observer, clock) = (self.observer.clone(), self.clock.clone());
            async move {
                once::look(&observer, clock.as_ref(), timeout, false).await;
            }
        });
        let mut first = true;
        let mut beat = interval_at(Instant::now() + heartbeat, heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let reader = tokio::select! {
                alert = alerts.next() => match alert {
                    Some(Fed::Item(alert)) => self.tell(alert.transition, alert.finding)?,
                    Some(Fed::Missed(n)) => {
                        tracing::warn!("{n} transitions came faster than they could be written: caught up from the picture");
                        self.catch_up()?
                    }
                    None => anyhow::bail!("the engine has ended"),
                },
                // The first sign of life says that the watch has seen everybody once.
                () = &mut settled, if first => {
                    first = false;
                    self.beat()?
                }
                _ = beat.tick() => self.beat()?,
            };
            if reader == Reader::Gone {
                return Ok(0);
            }
        }
    }

    /// Tells a transition, unless it was told already.
    fn tell(&mut self, transition: Transition, finding: Finding) -> anyhow::Result<Reader> {
        let known = self.told.get(&finding.id);
        let transition = match (transition, known) {
            (Transition::Raised | Transition::Changed, Some(before)) if *before == finding => return Ok(Reader::There),
            (Transition::Raised | Transition::Changed, Some(_)) => Transition::Changed,
            (Transition::Raised | Transition::Changed, None) => Transition::Raised,
            (Transition::Cleared, Some(_)) => Transition::Cleared,
            (Transition::Cleared, None) => return Ok(Reader::There),
        };
        let snapshot = once::as_of(&self.observer.snapshots.borrow(), self.clock.now());
        let line = self.line(&snapshot, transition, &finding);
        match transition {
            Transition::Raised | Transition::Changed => {
                self.told.insert(finding.id.clone(), finding);
            }
            Transition::Cleared => {
                self.told.remove(&finding.id);
            }
        }
        Ok(emit(&line)?)
    }

    /// Tells what differs between the picture and what was told.
    fn catch_up(&mut self) -> anyhow::Result<Reader> {
        let snapshot = once::as_of(&self.observer.snapshots.borrow(), self.clock.now());
        let now: Vec<Finding> = snapshot.clusters.iter().flat_map(|c| c.findings.iter().cloned()).collect();
        let gone: Vec<Finding> = self.told.values().filter(|f| now.iter().all(|n| n.id != f.id)).cloned().collect();
        let changes = gone.into_iter().map(|f| (Transition::Cleared, f));
        for (transition, finding) in changes.chain(now.into_iter().map(|f| (Transition::Raised, f))) {
            if self.tell(transition, finding)? == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
        Ok(Reader::There)
    }

    fn line(&self, snapshot: &Snapshot, transition: Transition, finding: &Finding) -> String {
        if self.json {
            report::line(&lines::alert(snapshot, transition, finding))
        } else {
            lines::alert_text(transition, finding, snapshot.at)
        }
    }

    fn beat(&self) -> anyhow::Result<Reader> {
        let snapshot = once::as_of(&self.observer.snapshots.borrow(), self.clock.now());
        let line = if self.json {
            report::line(&lines::heartbeat(&snapshot, None, snapshot.at))
        } else {
            lines::heartbeat_text(&snapshot, None, snapshot.at)
        };
        Ok(emit(&line)?)
    }
}
