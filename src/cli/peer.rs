//! `peer`: the daemon.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

use super::signals::Stop;
use super::{Done, UNKNOWN};
use crate::clock::SystemClock;
use crate::daemon::disk::DiskFault;
use crate::daemon::ha::HaWorld;
use crate::daemon::{self, Environment};
use crate::dns::Resolver;
use crate::ssh::net::OsNet;

/// Runs the peer until a signal comes.
///
/// # Errors
/// When it can't be started.
pub fn run(config: &Path) -> anyhow::Result<Done> {
    let (setup, dns) = match daemon::config::load(config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            return Ok(UNKNOWN);
        }
    };
    super::process::peer_runtime()?.block_on(async {
        let mut stop = Stop::new().context("signals can't be received")?;
        let resolver = if dns.is_empty() {
            Resolver::system().context("the system's resolver can't be set up; name servers with `dns`")?
        } else {
            Resolver::with_servers(&dns)
        };
        // Only a lab freezes a peer or spoils its disk.
        let ((_frozen, gate), (_spoilt, disk)) = (watch::channel(false), watch::channel(DiskFault::Ok));
        let (net, clock) = (Arc::new(OsNet), Arc::new(SystemClock::new()));
        let environment = Environment { net, clock, resolver, gate, disk, ha: HaWorld::none() };
        let host = setup.host.clone();
        let running = daemon::start(setup, environment).await.with_context(|| format!("{host} can't be started"))?;
        eprintln!("peerdeck: {host} ({}) listens on {}", running.identity(), running.addr());
        let signal = stop.wait().await;
        tracing::info!("ends on {signal}");
        running.stop().await;
        Ok(0)
    })
}
