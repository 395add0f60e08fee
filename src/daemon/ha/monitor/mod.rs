//! Monitors of services, ports and the disk (F10, F11, F13): one check at a time; the core decides what failures mean.

mod services;
mod talk;

use std::net::SocketAddr;
use std::path::Path;

use tokio::time::{Instant, timeout_at};

use self::talk::Talk;
use super::ports::Senses;
use crate::domain::ha::config::MonitorConfig;
use crate::domain::ha::{MonitorKind, Service};
use crate::domain::text::Line;
use crate::ssh::net::Net;

/// Checks once what `config` names: a remote service is really spoken to over `net` (F10), the `ports` with
/// `port-monitor` are looked at (F11, F13), a file is written, synced and read back in `dir` (F11). It is over after
/// `config.wait` at the latest; `interval` and `retries` are the caller's.
///
/// # Errors
/// What was spoken to, at which step, and what it said or did; which monitor it was the caller knows.
pub async fn check(
    net: &dyn Net,
    senses: &dyn Senses,
    config: &MonitorConfig,
    ports: &[String],
    dir: &Path,
) -> Result<(), String> {
    let end = Instant::now() + config.wait;
    let done = match (config.kind, config.target) {
        (MonitorKind::Remote(service), Some(to)) => remote(net, service, to, config, end).await,
        (MonitorKind::Remote(_), None) => Err("it has no `ip` to speak to; give it one".to_owned()),
        (MonitorKind::Ports, _) => look_at(senses, ports, config, end).await,
        (MonitorKind::Disk, _) => match timeout_at(end, senses.disk(dir)).await {
            Ok(tried) => tried,
            Err(_) => Err(format!("{} took no file within {:?}", dir.display(), config.wait)),
        },
    };
    done.map_err(|why| Line::new(&why).to_string())
}

async fn remote(
    net: &dyn Net,
    service: Service,
    to: SocketAddr,
    config: &MonitorConfig,
    end: Instant,
) -> Result<(), String> {
    let spoken = async {
        let talk = Talk::open(net, to, end, config.wait).await?;
        match service {
            Service::Smtp => services::smtp(talk).await,
            Service::Pop3 => services::pop3(talk).await,
            Service::Imap => services::imap(talk).await,
            Service::Http => services::http(talk, to).await,
        }
    };
    spoken.await.map_err(|why| format!("{to} at {why}"))
}

/// All of them, even if the first is down: an operator wants to know of each.
async fn look_at(senses: &dyn Senses, ports: &[String], config: &MonitorConfig, end: Instant) -> Result<(), String> {
    let mut down = Vec::new();
    for port in ports {
        match timeout_at(end, senses.port(port)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => down.push(format!("{port}: {why}")),
            Err(_) => down.push(format!("{port}: its state was not told within {:?}", config.wait)),
        }
    }
    if down.is_empty() { Ok(()) } else { Err(down.join("; ")) }
}
