//! `trust HOST`: pins a host key after somebody has looked at its fingerprint.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use russh::keys::PublicKey;
use russh::keys::ssh_key::HashAlg;

use super::args::Trust;
use super::connect::{Face, Links};
use super::output::emit;
use super::{Context, Done, FAILED, REFUSED};
use crate::config::{Fleet, Via};
use crate::domain::ids::HostName;
use crate::domain::reach::Endpoint;
use crate::drivers::Profile;
use crate::ssh::client::{self, HostKeyPolicy, HostKeyVerdict, Target, fingerprint};
use crate::ssh::known_hosts::KnownHosts;
use crate::ssh::net::{BoxStream, Net, OsNet};

const FACE: Face = Face { name: "trust", interactive: true, one_shot: true };

/// Fetches the key, shows it, asks, writes.
///
/// # Errors
/// When there is no fleet that can be used, or nothing can be printed.
pub fn run(context: &Context, args: &Trust) -> anyhow::Result<Done> {
    let (fleet, host) = fleet_of(context, &args.host)?;
    let cluster = fleet.clusters.first().context("the fleet has no cluster")?.clone();
    let peer = cluster.peers.iter().find(|p| p.host == host).context("the host is not in its own fleet")?;
    let found = super::process::small_runtime()?.block_on(async {
        let links = Links::new(&fleet, &context.paths, FACE)?;
        let endpoint = links.endpoint(&cluster.name, &peer.host, &peer.settings);
        let profile = links.profile(&endpoint.key).context("the host has no settings")?;
        let wait = tokio::time::timeout(context.global.timeout, offered(&endpoint, &profile));
        let key = wait.await.unwrap_or_else(|_| Err("no host key within --timeout".into()));
        anyhow::Ok((endpoint, profile, key))
    });
    let (endpoint, profile, key) = found?;
    let (name, port) = (endpoint.key.host.to_string(), endpoint.key.port);
    let key = match key {
        Ok(key) => key,
        Err(why) => {
            eprintln!("peerdeck: the host key of {name}:{port} can't be had: {why}");
            return Ok(FAILED);
        }
    };
    decide(&profile.known_hosts, &name, port, &key, args.yes)
}

/// The fleet with the host in it: the user's, if the host is named there, else one of that host alone.
fn fleet_of(context: &Context, target: &Via) -> anyhow::Result<(Fleet, HostName)> {
    let host = HostName::new(&target.host.trim_end_matches('.').to_lowercase());
    let Some(mut fleet) = context.fleet_if_any()? else { return Ok((Fleet::of_target(target), host)) };
    for cluster in &mut fleet.clusters {
        cluster.peers.retain(|p| {
            let port = p.settings.port.as_ref().map(|s| s.value);
            p.host == host && (target.port.is_none() || port.unwrap_or(22) == target.port.unwrap_or(22))
        });
    }
    fleet.clusters.retain(|c| !c.peers.is_empty());
    if fleet.clusters.is_empty() { Ok((Fleet::of_target(target), host)) } else { Ok((fleet, host)) }
}

/// Takes note of the key and goes no further: nobody logs in.
#[derive(Default)]
struct Witness(Mutex<Option<PublicKey>>);

impl HostKeyPolicy for Witness {
    fn judge(&self, _: &str, _: u16, key: &PublicKey) -> HostKeyVerdict {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        HostKeyVerdict::Unknown
    }
}

/// The key that the host shows.
async fn offered(endpoint: &Endpoint, profile: &Profile) -> Result<PublicKey, String> {
    let witness = Arc::new(Witness::default());
    let target = Target {
        host: endpoint.key.host.to_string(),
        port: endpoint.key.port,
        user: profile.user.clone(),
        credentials: Vec::new(),
        policy: witness.clone(),
        deadlines: profile.deadlines,
    };
    let ended = match stream(endpoint, profile, &target).await {
        Ok(stream) => client::connect_stream(stream, &target).await.err().map(|e| e.detail),
        Err(why) => Some(why),
    };
    let seen = witness.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    seen.ok_or_else(|| ended.unwrap_or_else(|| "the host showed none".into()))
}

async fn stream(endpoint: &Endpoint, profile: &Profile, target: &Target) -> Result<BoxStream, String> {
    if profile.via.is_some() {
        return Err("it is behind a jump host: fetch the key there, or connect with the console, which asks".into());
    }
    let name = profile.host_name.as_deref().unwrap_or(endpoint.key.host.as_str());
    let found = profile.resolver.forward(name, profile.deadlines.resolve).await;
    let mut last = found.detail;
    for address in found.answers {
        let net: &dyn Net = &OsNet;
        match client::dial(net, (address, endpoint.key.port).into(), target).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e.detail,
        }
    }
    Err(last)
}

fn decide(known: &KnownHosts, host: &str, port: u16, key: &PublicKey, yes: bool) -> anyhow::Result<Done> {
    let art = key.fingerprint(HashAlg::Sha256).to_randomart(&format!("[{}]", key.algorithm().as_str()));
    emit(&format!("{host}:{port} shows\n  {}\n{art}\n", fingerprint(key)))?;
    match known.judge(&[host], port, key) {
        HostKeyVerdict::Accepted => {
            emit("This key is known already; nothing to do.\n")?;
            return Ok(0);
        }
        HostKeyVerdict::Refused(why) => {
            eprintln!(
                "peerdeck: refused: {why}. If the machine was really reinstalled, take the old entry away by hand; \
                 if nobody reinstalled it, somebody may stand in between"
            );
            return Ok(REFUSED);
        }
        HostKeyVerdict::Unknown => {}
    }
    if !yes && !confirmed()? {
        eprintln!("peerdeck: not trusted, nothing was written");
        return Ok(REFUSED);
    }
    known.append(host, port, key).with_context(|| format!("{} can't be written", known.own_file().display()))?;
    emit(&format!("Kept in {}.\n", known.own_file().display()))?;
    Ok(0)
}

/// Asks on the terminal; only the whole word counts.
fn confirmed() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        eprintln!("peerdeck: nobody is there to compare the fingerprint; --yes when that was done by other means");
        return Ok(false);
    }
    eprint!("Compare it with what the machine's own console shows. Type \"yes\" to trust it: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
