//! `watch`: what somebody has to know of findings, told once, to everybody who is to be told (B5, D9, D10). It never
//! holds the commander, and no terminal code runs.

mod backoff;
mod desk;
mod dispatch;
mod fellows;
mod form;
mod keep;
mod looks;
mod once;
mod run;
mod runner;
mod stdout;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Notify, watch as channel};

use self::desk::Desk;
use self::dispatch::{Dispatcher, Shared, Way};
use self::fellows::Turn;
use self::keep::Keep;
use self::stdout::Stdout;
use super::args;
use super::connect::Face;
use super::places;
use super::serve::Health;
use super::{Context, Done};
use crate::alerts::Memory;
use crate::alerts::sinks::{self, Spec};
use crate::alerts::store::{Lock, Route, Store, StoreError};
use crate::clock::Clock;
use crate::config::{Fleet, NamedSink, Watching};
use crate::domain::finding::Severity;
use crate::report::vitals::Vitals;

const FACE: Face = Face { name: "watch", interactive: false, one_shot: false };

/// So many notices wait for standard output at most.
const STDOUT_QUEUE: u32 = 10_000;

/// `watch`, with or without `--once`.
///
/// # Errors
/// When there is no fleet, its state can't be used, or another watch uses it.
pub fn run(context: &Context, args: &args::Watch) -> anyhow::Result<Done> {
    match (args.once, &args.state) {
        (true, None) => once::show(context),
        (true, Some(state)) => once::tell(context, state),
        (false, _) => run::run(context, args),
    }
}

/// The state that a watch of `fleet` uses.
fn state_of(context: &Context, fleet: &Fleet, named: Option<&PathBuf>) -> PathBuf {
    named.cloned().unwrap_or_else(|| places::watch_state(&context.paths, fleet))
}

/// The watcher's name in all that it sends.
fn name_of(watching: &Watching) -> String {
    let host = || crate::domain::text::clean(&rustix::system::uname().nodename().to_string_lossy(), 255);
    watching.name.clone().unwrap_or_else(host)
}

/// Core, state and sinks, before anything is told.
struct Office {
    desk: Desk,
    dispatcher: Dispatcher,
    health: Arc<Health>,
    keep: Keep,
    /// The state is ours as long as this lives.
    _lock: Lock,
}

/// The state in a file, ours alone.
struct State {
    lock: Lock,
    store: Store,
    memory: Memory,
}

impl State {
    /// Waits for the disk: not within a runtime.
    fn open(context: &Context, file: &Path) -> Result<Self, StoreError> {
        let lock = Store::lock(file)?;
        let store = Store::open(file)?;
        let mut memory = store.load()?;
        // The other clusters of the file may have a watch that knows more of them.
        if let Some(cluster) = &context.global.cluster {
            memory.kept.retain(|k| k.seen.finding.cluster.as_str() == cluster);
        }
        Ok(Self { lock, store, memory })
    }
}

/// Opens all ways out. `gone` is told when nobody reads standard output any more.
async fn open(
    context: &Context,
    fleet: &Fleet,
    state: State,
    clock: Arc<dyn Clock>,
    gone: Arc<Notify>,
) -> anyhow::Result<Office> {
    let State { lock, store, memory } = state;
    let (watcher, began) = (name_of(&fleet.watch), clock.now());
    let health = Arc::new(Health::new(Vitals { watcher, began, ..Vitals::default() }));
    let name = store.watcher().to_owned();
    let keep = Keep::new(store);
    let (raised, looks) = channel::channel(Arc::new(Vec::new()));
    let shared = Shared { keep: keep.clone(), state: name, clock, health: Arc::clone(&health), raised: looks };
    let desk = Desk::new(fleet.alerts.clone(), memory, keep.clone(), Arc::clone(&health), raised);
    let mut office = Office { desk, dispatcher: Dispatcher::new(shared), health, keep, _lock: lock };
    let out = stdout_way(context.global.json, gone);
    office.forget_others(&fleet.watch, true).await.map_err(anyhow::Error::msg)?;
    office.dispatcher.open(out).await;
    for sink in &fleet.watch.sinks {
        if let Some(way) = way(sink, &fleet.watch) {
            office.dispatcher.open(way).await;
        }
    }
    office.sort(&fleet.watch);
    Ok(office)
}

impl Office {
    /// Gives up what waits for sinks that are no longer there.
    async fn forget_others(&self, watching: &Watching, has_stdout: bool) -> Result<(), String> {
        let mut routes: Vec<Route> = watching.sinks.iter().map(route).collect();
        if has_stdout {
            routes.push(Route { sink: stdout::NAME.to_owned(), least: Severity::Notice, queue: STDOUT_QUEUE });
        }
        for (name, waiting) in self.keep.with(move |store| store.keep_only(&routes)).await? {
            tracing::warn!("{waiting} notices waited for the sink {name}, which is no longer there: they are given up");
        }
        Ok(())
    }

    /// Sinks in the order of the fleet file, standard output first.
    fn sort(&self, watching: &Watching) {
        let others = watching.sinks.iter().map(|s| s.name.clone());
        let names: Vec<String> = std::iter::once(stdout::NAME.to_owned()).chain(others).collect();
        self.dispatcher.sort(&names);
    }
}

fn stdout_way(json: bool, gone: Arc<Notify>) -> Way {
    let route = Route { sink: stdout::NAME.to_owned(), least: Severity::Notice, queue: STDOUT_QUEUE };
    Way { route, sink: Box::new(Stdout::new(json, gone)), turn: None }
}

fn route(sink: &NamedSink) -> Route {
    Route { sink: sink.name.clone(), least: sink.least, queue: sink.queue }
}

/// A way out of the fleet file; `None` after a word in the log.
fn way(sink: &NamedSink, watching: &Watching) -> Option<Way> {
    let Watching { rank, stagger, fellows, .. } = watching;
    match sinks::build(&sink.spec, &name_of(watching)) {
        Ok(built) => {
            let turn = is_shared(&sink.spec).then(|| Turn::new(*rank, *stagger, fellows));
            Some(Way { route: route(sink), sink: built, turn })
        }
        Err(why) => {
            tracing::error!("sink {}: {why}; nothing is told there", sink.name);
            None
        }
    }
}

/// Whether somebody is told there who may be told the same by another watcher. What is written here is this watcher's
/// alone, and Alertmanager knows by itself that two watchers mean the same.
fn is_shared(spec: &Spec) -> bool {
    match spec {
        Spec::File(_) | Spec::Journald(_) | Spec::Alertmanager(_) => false,
        Spec::Syslog(_) | Spec::Webhook(_) | Spec::Mail(_) | Spec::Command(_) => true,
    }
}
