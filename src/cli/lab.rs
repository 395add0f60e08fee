//! `lab` and `lab fault`: real peers on loopback, and what is done to them.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use strum::IntoEnumIterator;

use super::args::{Fault, Lab as Args};
use super::output::{Reader, emit};
use super::signals::Stop;
use super::{Context, Done, FAILED, REFUSED, USAGE, open};
use crate::config::problem::did_you_mean;
use crate::config::span;
use crate::domain::ha::{OnFailure, SplitBrain, WitnessMode};
use crate::lab::fault::KINDS;
use crate::lab::ha::HaOptions;
use crate::lab::{Lab, LabError, Options, control};

/// High availability in a lab.
#[derive(Debug, clap::Args)]
pub struct HaArgs {
    /// An HA pair with a witness and a virtual address (group gw), and a config-only group of four (edge)
    #[arg(long)]
    ha: bool,
    /// With --ha: what a primary does after a failure [default: become-secondary]
    #[arg(long = "ha-on-failure", value_name = "WORD", requires = "ha", value_parser = word::<OnFailure>())]
    on_failure: Option<OnFailure>,
    /// With --ha: who must agree before the address is held [default: require]
    #[arg(long = "ha-witness", value_name = "WORD", requires = "ha", value_parser = word::<WitnessMode>())]
    witness: Option<WitnessMode>,
    /// With --ha: what two primaries do [default: resolve]
    #[arg(long = "ha-split-brain", value_name = "WORD", requires = "ha", value_parser = word::<SplitBrain>())]
    split_brain: Option<SplitBrain>,
    /// With --ha: silence that counts as death [default: 5s]
    #[arg(long = "ha-threshold", value_name = "TIME", requires = "ha", value_parser = span::parse)]
    threshold: Option<Duration>,
    /// With --ha: time between heartbeats [default: 1s]
    #[arg(long = "ha-interval", value_name = "TIME", requires = "ha", value_parser = span::parse)]
    interval: Option<Duration>,
}

/// One of the words that `T` knows.
fn word<T>() -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>
        + IntoEnumIterator
        + Into<&'static str>
        + Clone
        + Send
        + Sync
        + 'static,
{
    PossibleValuesParser::new(T::iter().map(Into::<&'static str>::into)).try_map(|text| text.parse::<T>())
}

impl HaArgs {
    fn options(&self) -> Option<HaOptions> {
        let usual = HaOptions::default();
        self.ha.then(|| HaOptions {
            on_failure: self.on_failure.unwrap_or(usual.on_failure),
            witness: self.witness.unwrap_or(usual.witness),
            split_brain: self.split_brain.unwrap_or(usual.split_brain),
            threshold: self.threshold.unwrap_or(usual.threshold),
            interval: self.interval.unwrap_or(usual.interval),
            ..usual
        })
    }
}

/// How long a lab of `peers` may take to bring all its links up: handshakes are work, and their number is a square.
fn patience(peers: usize) -> Duration {
    let pairs = peers * peers / 2;
    Duration::from_mins(1) + Duration::from_millis(20) * u32::try_from(pairs).unwrap_or(u32::MAX)
}

/// Runs a lab until a signal comes, or until its console is left.
///
/// # Errors
/// When it can't be started.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Done> {
    if context.global.fleet.is_some() {
        anyhow::bail!("a lab has a fleet of its own: leave out --fleet");
    }
    let options = Options {
        peers: args.peers.into(),
        state_dir: args.state_dir.clone(),
        seed: args.seed,
        ping_interval: args.ping_interval.unwrap_or_else(|| Options::ping_interval(args.peers.into())),
        ha: args.ha.options(),
        ..Options::default()
    };
    if args.headless { headless(options) } else { open::lab(context, options, args.screen) }
}

fn headless(options: Options) -> anyhow::Result<Done> {
    super::process::lock_no_memory();
    super::process::peer_runtime()?.block_on(async {
        let peers = options.peers;
        let mut stop = Stop::new().context("signals can't be received")?;
        let lab = Lab::start(options).await?;
        let ended = tokio::select! {
            biased;
            signal = stop.wait() => Ok(signal),
            done = announce(&lab, peers) => done,
        };
        let ended = match ended {
            Ok("") => Ok(stop.wait().await),
            other => other,
        };
        lab.shutdown().await;
        let signal = ended?;
        tracing::info!("ends on {signal}");
        Ok(0)
    })
}

/// Prints the line that says that all links are up.
async fn announce(lab: &Lab, peers: usize) -> anyhow::Result<&'static str> {
    let links = lab.wait_links_up(patience(peers)).await?;
    match emit(&format!("{}\n", lab.ready_line(links)))? {
        Reader::There => Ok(""),
        Reader::Gone => Ok("a closed standard output"),
    }
}

/// Puts a fault into a running lab: 0 done, 1 refused, 2 no answer, 64 no such fault.
///
/// # Errors
/// When nothing can be printed.
pub fn fault(_context: &Context, args: &Fault) -> anyhow::Result<Done> {
    let kinds = || KINDS.iter().map(|k| k.word);
    if let Some(word) = args.words.first()
        && !kinds().any(|k| k == word)
    {
        let hint = did_you_mean(word, kinds());
        eprintln!("peerdeck: no fault is called \"{word}\"{hint} (`peerdeck lab fault --help` lists them)");
        return Ok(USAGE);
    }
    let sent = super::process::small_runtime()?.block_on(control::send(args.state_dir.as_deref(), &args.words));
    match sent {
        Ok(text) => {
            emit(&format!("{text}\n"))?;
            Ok(0)
        }
        Err(error) => {
            eprintln!("peerdeck: {error}");
            Ok(match error {
                LabError::Refused(_) => REFUSED,
                LabError::Fault(_) => USAGE,
                _ => FAILED,
            })
        }
    }
}
