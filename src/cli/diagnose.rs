//! `diagnose PEER [OTHER]`: step by step, where a connection fails.

use std::sync::Arc;

use super::args::Diagnose as Args;
use super::checks::ONE_SHOT;
use super::connect::Links;
use super::console::Diagnose;
use super::names::find;
use super::output::{emit, style};
use super::{Context, Done, UNKNOWN};
use super::{connect, once};
use crate::app::message::{self, Diagnosis, DiagnosisRequest, DiagnosisStep};
use crate::domain::Line;
use crate::domain::snapshot::Snapshot;
use crate::drivers::diagnose as driver;
use crate::engine::runtime::Observer;
use crate::report;
use crate::report::diagnose::{self, Step, StepResult};
use crate::ssh::net::OsNet;

/// Runs the command: 0 when there is an answer, whatever it is.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    super::process::small_runtime()?.block_on(async {
        let connected = connect::start(&fleet, &context.paths, ONE_SHOT)?;
        drop(connected.commander);
        let look = once::look(&connected.observer, connected.links.clock.as_ref(), context.global.timeout, false).await;
        let snapshot = &look.snapshot;
        let (cluster, peer) = find(snapshot, None, &args.peer).map_err(anyhow::Error::msg)?;
        let (from, to, steps) = if let Some(other) = &args.other {
            let (of, other) = find(snapshot, Some(cluster.name.as_str()), other).map_err(anyhow::Error::msg)?;
            let steps = diagnose::of_link(of, &peer.id, &other.id, snapshot.at);
            (Some(peer.host.to_string()), other.host.to_string(), steps)
        } else if let Some((endpoint, profile)) = connected.links.of(cluster, peer) {
            let steps = driver::diagnose(&endpoint, &profile, connected.links.clock.as_ref(), &OsNet).await;
            (None, peer.host.to_string(), steps.into_iter().map(step).collect())
        } else {
            eprintln!("peerdeck: {} is known only from its fellows: nothing here connects to it", peer.host);
            return Ok(UNKNOWN);
        };
        emit(&if context.global.json {
            report::document(&diagnose::document(snapshot.at, cluster.name.as_str(), from.as_deref(), &to, &steps))
        } else {
            diagnose::text(from.as_deref(), &to, &steps, style(&context.global))
        })?;
        Ok(0)
    })
}

/// Answers the console: a peer's own connection, or what one peer says about another.
#[must_use]
pub fn for_console(observer: Observer, links: Arc<Links>) -> Diagnose {
    Arc::new(move |request| {
        let snapshot = once::as_of(&observer.snapshots.borrow(), links.clock.now());
        let links = Arc::clone(&links);
        Box::pin(async move { answer(&snapshot, &links, &request).await })
    })
}

async fn answer(snapshot: &Snapshot, links: &Links, request: &DiagnosisRequest) -> Diagnosis {
    let cluster = snapshot.clusters.iter().find(|c| c.name == request.cluster);
    let Some((cluster, peer)) = cluster.and_then(|c| Some((c, c.peer(&request.from)?))) else {
        return Diagnosis { title: Line::new("this peer is no longer there"), steps: Vec::new() };
    };
    let (title, steps) = if request.from != request.to {
        let title = format!("{} to {}, as {0} says", cluster.label(&request.from), cluster.label(&request.to));
        (title, diagnose::of_link(cluster, &request.from, &request.to, snapshot.at))
    } else if let Some((endpoint, profile)) = links.of(cluster, peer) {
        let steps = driver::diagnose(&endpoint, &profile, links.clock.as_ref(), &OsNet).await;
        (format!("this machine to {}", peer.host), steps.into_iter().map(step).collect())
    } else {
        (format!("{} is known only from its fellows: nothing here connects to it", peer.host), Vec::new())
    };
    Diagnosis { title: Line::new(&title), steps: steps.iter().map(shown).collect() }
}

/// A report's step as the console has it.
fn shown(of: &Step) -> DiagnosisStep {
    let result = match of.result {
        StepResult::Ok => message::StepResult::Ok,
        StepResult::Warning => message::StepResult::Warning,
        StepResult::Failed => message::StepResult::Failed,
        StepResult::Skipped | StepResult::Unknown => message::StepResult::Skipped,
    };
    DiagnosisStep {
        step: Line::new(&of.step),
        result,
        took: of.took,
        detail: Line::new(&of.detail),
        hint: Line::new(&of.hint),
    }
}

/// The driver's step as a report has it.
fn step(of: driver::Step) -> Step {
    let result = match of.result {
        driver::StepResult::Ok => StepResult::Ok,
        driver::StepResult::Failed => StepResult::Failed,
        driver::StepResult::Skipped => StepResult::Skipped,
    };
    let took = Some(of.took).filter(|t| !t.is_zero());
    Step { step: of.step.as_str().to_owned(), result, took, detail: of.detail, hint: of.hint }
}
