//! One look at a fleet with its settings: at all peers, or with the eyes of one that has settings of its own.

use std::sync::Arc;

use tokio::time::Instant;

use crate::cli::Context;
use crate::cli::act::with_hint;
use crate::cli::checks::ONE_SHOT;
use crate::cli::connect::{self, Connected};
use crate::cli::names;
use crate::cli::once::{self, Look};
use crate::config::span;
use crate::config::{Fleet, FleetPeer, Origin, Set};
use crate::domain::ids::PeerId;
use crate::domain::snapshot::{Cluster, Peer, Snapshot};

/// An engine that runs, and what was seen.
pub(super) struct Seen {
    /// The engine.
    pub connected: Connected,
    /// The picture.
    pub look: Look,
    /// The peer that was named with `--on`.
    pub on: Option<PeerId>,
    /// Whose settings nobody has told in time, in words.
    pub untold: Vec<String>,
}

impl Seen {
    /// Tells whose settings are not known, for a person who waits for an answer.
    pub fn complain(&self) {
        for why in &self.untold {
            eprintln!("peerdeck: {why}");
        }
    }
}

/// Looks until the settings of every cluster are told, or the time is over.
///
/// `on`: this peer's word counts. Where it is detached or holds other settings than the peer that was asked, it alone is
/// connected to, so that tree, basis and observation are its own.
///
/// # Errors
/// When there is no fleet, or no such peer in it.
pub(super) async fn look(context: &Context, on: Option<&str>) -> anyhow::Result<Seen> {
    let fleet = context.fleet()?;
    let deadline = Instant::now() + context.global.timeout;
    let (connected, look) = look_at(context, &fleet, deadline).await?;
    let Some(word) = on else {
        return Ok(seen(context, connected, look, None));
    };
    let found = names::find(&look.snapshot, None, word);
    let (cluster, peer) = found.map_err(|why| anyhow::Error::msg(with_hint(why, &look)))?;
    let id = peer.id.clone();
    if !peer.is_reached() {
        let untold = vec![format!("{} is not reached from here: {}", peer.host, peer.reach.detail)];
        return Ok(Seen { connected, look, on: Some(id), untold });
    }
    if !is_apart(cluster, peer) {
        return Ok(seen(context, connected, look, Some(id)));
    }
    let alone = only(&fleet, &connected, cluster, peer).map_err(anyhow::Error::msg)?;
    connected.observer.shutdown();
    drop(connected);
    let (connected, look) = look_at(context, &alone, Instant::now() + context.global.timeout).await?;
    Ok(seen(context, connected, look, Some(id)))
}

fn seen(context: &Context, connected: Connected, look: Look, on: Option<PeerId>) -> Seen {
    let missing = look.snapshot.clusters.iter().filter(|c| c.settings.is_none());
    let untold = missing.map(|c| untold(context, c)).collect();
    Seen { connected, look, on, untold }
}

async fn look_at(context: &Context, fleet: &Fleet, deadline: Instant) -> anyhow::Result<(Connected, Look)> {
    let connected = connect::start(fleet, &context.paths, ONE_SHOT)?;
    let clock = Arc::clone(&connected.links.clock);
    let left = deadline.saturating_duration_since(Instant::now());
    let look = once::look(&connected.observer, clock.as_ref(), left, false).await;
    let look = once::look_until(&connected.observer, clock.as_ref(), look, deadline, is_told).await;
    // Those that answered tell what they hold a moment later.
    let look = once::look_on(&connected.observer, clock.as_ref(), look, holdings_are_told).await;
    Ok((connected, look))
}

/// Whether there is nothing more to wait for: where nobody is reached, nobody will tell.
fn is_told(snapshot: &Snapshot) -> bool {
    snapshot
        .clusters
        .iter()
        .all(|c| c.settings.is_some() || !c.peers.iter().any(|p| p.is_reached()) || are_all_alone(c))
}

/// Several machines that have told all and are in no cluster: each has settings of its own, nobody tells the cluster's.
fn are_all_alone(cluster: &Cluster) -> bool {
    cluster.membership_revision.is_none()
        && cluster.peers.len() > 1
        && cluster.peers.iter().all(|p| p.is_reached() && p.row.is_some())
}

fn holdings_are_told(snapshot: &Snapshot) -> bool {
    snapshot.clusters.iter().flat_map(|c| &c.peers).all(|p| p.holding.is_some() || !p.is_reached())
}

/// Settings of its own: a detached machine, or one that holds something else than the peer whose settings are shown.
fn is_apart(cluster: &Cluster, peer: &Peer) -> bool {
    let others = cluster.settings.as_ref().filter(|s| s.source != peer.id);
    let differs = others.zip(peer.holding.as_ref()).is_some_and(|(s, h)| s.digest != h.digest);
    peer.detached().is_some() || differs || cluster.settings.is_none()
}

/// The fleet cut down to one peer, without asking it for fellows.
fn only(fleet: &Fleet, connected: &Connected, cluster: &Cluster, peer: &Peer) -> Result<Fleet, String> {
    let Some((endpoint, _)) = connected.links.of(cluster, peer) else {
        return Err(format!("{} is not connected to from here", peer.host));
    };
    let key = &endpoint.key;
    let mut fleet = fleet.clone();
    fleet.clusters.retain(|c| c.name == key.cluster);
    for own in &mut fleet.clusters {
        own.discover = false;
        let port = |p: &FleetPeer| p.settings.port.as_ref().map_or(22, |port| port.value);
        own.peers.retain(|p| p.host == key.host && port(p) == key.port);
        if own.peers.is_empty() {
            // It was discovered: it is connected to as the cluster's others are.
            let mut settings = own.settings.clone();
            settings.port = Some(Set { value: key.port, origin: Origin::CommandLine });
            own.peers.push(FleetPeer { host: key.host.clone(), settings });
        }
    }
    Ok(fleet)
}

fn untold(context: &Context, cluster: &Cluster) -> String {
    let names = |reached: bool| {
        let some = cluster.peers.iter().filter(|p| p.observed && p.is_reached() == reached);
        some.map(|p| cluster.label(&p.id).to_owned()).collect::<Vec<_>>().join(", ")
    };
    let (reached, silent) = (names(true), names(false));
    let span = span::format(context.global.timeout);
    if reached.is_empty() {
        return format!("no peer of cluster {} is reached ({silent}): its settings are not known", cluster.name);
    }
    let silent = if silent.is_empty() { String::new() } else { format!("; not reached: {silent}") };
    format!(
        "no peer of cluster {} has told its settings within {span} (--timeout); connected, and silent about them: \
         {reached}{silent}",
        cluster.name
    )
}
