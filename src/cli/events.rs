//! `events`: what happened, oldest first.

use anyhow::Context as _;

use super::connect::{self, Face};
use super::once;
use super::output::{Reader, emit, reader_gone};
use super::signals::Stop;
use super::{Context, Done, UNKNOWN};
use crate::domain::event::Event;
use crate::domain::snapshot::Snapshot;
use crate::engine::runtime::Fed;
use crate::report::{self, lines};

const FACE: Face = Face { name: "events", interactive: false, one_shot: false };

/// Prints what is known; with `follow` goes on until a signal comes or nobody reads any more.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn run(context: &Context, follow: bool) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    super::process::small_runtime()?.block_on(async {
        let mut stop = Stop::new().context("signals can't be received")?;
        let connected = connect::start(&fleet, &context.paths, FACE)?;
        drop(connected.commander);
        let observer = connected.observer;
        if !follow {
            let look = once::look(&observer, connected.links.clock.as_ref(), context.global.timeout, true).await;
            for event in look.snapshot.events.iter() {
                if emit(&line(context, &look.snapshot, event))? == Reader::Gone {
                    break;
                }
            }
            let answered = look.snapshot.clusters.iter().any(|c| c.peers.iter().any(|p| p.is_reached()));
            return Ok(if answered { 0 } else { UNKNOWN });
        }
        let mut events = observer.events();
        loop {
            let event = tokio::select! {
                biased;
                _ = stop.wait() => return Ok(0),
                () = reader_gone() => return Ok(0),
                event = events.next() => event,
            };
            match event {
                Some(Fed::Item(event)) => {
                    let snapshot = observer.snapshots.borrow().clone();
                    if emit(&line(context, &snapshot, &event))? == Reader::Gone {
                        return Ok(0);
                    }
                }
                Some(Fed::Missed(n)) => tracing::warn!("{n} events came faster than they could be written"),
                None => anyhow::bail!("the engine has ended"),
            }
        }
    })
}

fn line(context: &Context, snapshot: &Snapshot, event: &Event) -> String {
    if context.global.json { report::line(&lines::event(snapshot, event)) } else { lines::event_text(snapshot, event) }
}
