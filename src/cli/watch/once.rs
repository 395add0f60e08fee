//! `watch --once`: one look, for cron and for people.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::output::{emit, style};
use super::super::{Context, Done, checks, once, process};
use super::State;
use crate::alerts::Event;
use crate::clock::{Clock, SystemClock};
use crate::domain::alert::{Alert, Notice, Seen, Told};
use crate::report::vitals::Vitals;
use crate::report::{self, findings, lines};

/// How long all sinks have to take what is told; what they have not taken then waits for the next time.
const DELIVERED: Duration = Duration::from_secs(30);

/// The findings of now; nothing is kept.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub(super) fn show(context: &Context) -> anyhow::Result<Done> {
    let look = checks::look(context, true)?;
    let snapshot = &look.snapshot;
    let vitals = Vitals::default();
    let mut out = String::new();
    for cluster in &snapshot.clusters {
        if !context.global.json {
            out.push_str(&findings::table(cluster, snapshot.at, style(&context.global)));
            continue;
        }
        for f in cluster.findings.iter() {
            let alert = Alert { seen: Seen::of(Some(cluster), f.clone()), raised: f.since, flapping: None, ack: None };
            let notice = Notice { seq: 0, at: snapshot.at, told: Told::Raised, alert, before: None };
            out.push_str(&report::line(&lines::alert(&notice, None)));
        }
    }
    if context.global.json {
        out.push_str(&report::line(&lines::heartbeat(snapshot, None, &vitals, snapshot.at)));
    } else {
        out.push_str(&lines::heartbeat_text(snapshot, None, &vitals, snapshot.at));
    }
    emit(&out)?;
    Ok(report::status::check(snapshot, None, look.complete).code())
}

/// What has changed since the last time, to everybody.
///
/// # Errors
/// When there is no fleet, its state can't be used, or another watch uses it.
pub(super) fn tell(context: &Context, file: &Path) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    let state = State::open(context, file)?;
    let look = checks::look(context, true)?;
    let runtime = process::small_runtime()?;
    let code = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let gone = Arc::new(Notify::new());
        let mut office = super::open(context, &fleet, state, Arc::clone(&clock), gone).await?;
        let now = clock.now();
        let seen = look.snapshot.clusters.iter().flat_map(|c| c.findings.iter().map(|f| Seen::of(Some(c), f.clone())));
        let mut events = office.desk.orders_at_start(now).await;
        // Whoever was not heard may be as wrong as before.
        events.insert(0, Event::Picture { seen: seen.collect(), settled: look.complete });
        let routes = office.dispatcher.routes();
        office.desk.step(now, events, &routes).await;
        if let Some(why) = office.desk.refused() {
            anyhow::bail!("nothing was told: {why}");
        }
        office.dispatcher.wake();
        let end = Instant::now() + DELIVERED;
        if !office.dispatcher.flush(end).await {
            tracing::warn!("not everybody has taken what there was to tell: it waits for the next time");
        }
        let snapshot = Arc::new(look.snapshot);
        let snapshot = once::as_of(&snapshot, clock.now());
        let line = office.health.read(|v| {
            if context.global.json {
                report::line(&lines::heartbeat(&snapshot, None, v, snapshot.at))
            } else {
                lines::heartbeat_text(&snapshot, None, v, snapshot.at)
            }
        });
        office.dispatcher.close(Instant::now() + Duration::from_secs(1)).await;
        emit(&line)?;
        Ok(report::status::check(&snapshot, None, look.complete).code())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}
