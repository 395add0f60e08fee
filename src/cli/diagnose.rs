//! `diagnose PEER [OTHER]`: step by step, where a connection fails.

use super::args::Diagnose;
use super::checks::ONE_SHOT;
use super::names::find;
use super::output::{emit, style};
use super::{Context, Done, UNKNOWN};
use super::{connect, once};
use crate::drivers::diagnose as driver;
use crate::report;
use crate::report::diagnose::{self, Step, StepResult};
use crate::ssh::net::OsNet;

/// Runs the command: 0 when there is an answer, whatever it is.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn run(context: &Context, args: &Diagnose) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    super::process::small_runtime()?.block_on(async {
        let connected = connect::start(&fleet, &context.paths, ONE_SHOT)?;
        drop(connected.commander);
        let look = once::look(&connected.observer, context.global.timeout, false).await;
        let snapshot = &look.snapshot;
        let (cluster, peer) = find(snapshot, None, &args.peer).map_err(anyhow::Error::msg)?;
        let (from, to, steps) = match &args.other {
            Some(other) => {
                let (of, other) = find(snapshot, Some(cluster.name.as_str()), other).map_err(anyhow::Error::msg)?;
                let steps = diagnose::of_link(of, &peer.id, &other.id, snapshot.at);
                (Some(peer.host.to_string()), other.host.to_string(), steps)
            }
            None => {
                let Some((endpoint, profile)) = connected.links.of(cluster, peer) else {
                    eprintln!("peerdeck: {} is known only from its fellows: nothing here connects to it", peer.host);
                    return Ok(UNKNOWN);
                };
                let steps = driver::diagnose(&endpoint, &profile, connected.links.clock.as_ref(), &OsNet).await;
                (None, peer.host.to_string(), steps.into_iter().map(step).collect())
            }
        };
        emit(&if context.global.json {
            report::document(&diagnose::document(snapshot.at, cluster.name.as_str(), from.as_deref(), &to, &steps))
        } else {
            diagnose::text(from.as_deref(), &to, &steps, style(&context.global))
        })?;
        Ok(0)
    })
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
