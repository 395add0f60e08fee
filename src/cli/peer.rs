//! `peer`: the daemon.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::service::Service;
use super::signals::Stop;
use super::{Done, UNKNOWN};
use crate::clock::SystemClock;
use crate::daemon::disk::DiskFault;
use crate::daemon::ha::HaWorld;
use crate::daemon::{self, Environment, Running};
use crate::dns::Resolver;
use crate::domain::HostName;
use crate::domain::ha::HaStatus;
use crate::ssh::net::OsNet;

/// How often the service manager is told how it stands, at least.
const TELL: Duration = Duration::from_secs(1);

/// The loop of the HA core turns once a second. One that has not for so long is no longer punctual: it gets no word to
/// the service manager's watchdog.
const LATE: Duration = Duration::from_secs(3);

/// How long the announcement of a restart (SIGUSR2) counts: the stop follows at once, or somebody changed his mind.
const ANNOUNCED: Duration = Duration::from_mins(1);

/// Runs the peer until a signal comes. SIGUSR2 before it says that it will be started again at once: the other unit of its
/// HA group then waits for it.
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
        let mut restart = signal(SignalKind::user_defined2()).context("signals can't be received")?;
        let resolver = if dns.is_empty() {
            Resolver::system().context("the system's resolver can't be set up; name servers with `dns`")?
        } else {
            Resolver::with_servers(&dns)
        };
        // Only a lab freezes a peer or spoils its disk.
        let ((_frozen, gate), (_spoilt, disk)) = (watch::channel(false), watch::channel(DiskFault::Ok));
        let (net, clock) = (Arc::new(OsNet), Arc::new(SystemClock::new()));
        let ha = if setup.ha.unit.is_some() {
            daemon::ha::guard::system(&setup.state_dir, clock.clone()).context("virtual addresses can't be guarded")?
        } else {
            HaWorld::none()
        };
        let environment = Environment { net, clock, resolver, gate, disk, ha };
        let host = setup.host.clone();
        let running = daemon::start(setup, environment).await.with_context(|| format!("{host} can't be started"))?;
        // Whether anybody reads it or not.
        let _ = writeln!(io::stderr(), "peerdeck: {host} ({}) listens on {}", running.identity(), running.addr());
        let mut service = Service::new();
        Service::ready();
        let mut announced = None;
        let mut tick = interval(service.every().unwrap_or(TELL).min(TELL));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let signal = loop {
            tokio::select! {
                signal = stop.wait() => break signal,
                _ = restart.recv() => announced = Some(Instant::now()),
                _ = tick.tick() => {
                    let late = running.ha_turned();
                    if late < LATE {
                        service.lives();
                    } else {
                        tracing::warn!("the loop of the HA core has not turned for {late:?}");
                    }
                    service.status(status(&host, &running));
                }
            }
        };
        tracing::info!("ends on {signal}");
        Service::stops();
        if announced.is_some_and(|at: Instant| at.elapsed() < ANNOUNCED) {
            running.restart().await;
        } else {
            running.stop().await;
        }
        Ok(0)
    })
}

/// In one line, for `systemctl status`.
fn status(host: &HostName, running: &Running) -> String {
    let links = *running.links().borrow();
    let mut text = format!("{host}: {} of {} links up", links.connected, links.total);
    if let Some(ha) = running.ha() {
        text.push_str(&ha_status(&ha.borrow()));
    }
    text
}

fn ha_status(ha: &HaStatus) -> String {
    let held: Vec<String> = ha.addresses.iter().filter(|a| a.held).map(|a| a.address.to_string()).collect();
    let held = if held.is_empty() { String::new() } else { format!(", holds {}", held.join(", ")) };
    format!("; HA {}: {}, epoch {}{held}", ha.group, ha.effective.as_str(), ha.epoch)
}
