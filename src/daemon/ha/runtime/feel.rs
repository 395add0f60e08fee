//! What a unit feels of its own machine and knows of its own configuration; told to the core when it changes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::daemon::cluster::View;
use crate::daemon::ha::{Configuration, Event, HaConfig, Senses};
use crate::daemon::shared::Shared;
use crate::domain::ids::PeerId;
use crate::domain::mesh::LinkState;
use crate::domain::text::Line;

/// How often ports and reference addresses are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long one look may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How often the settings are looked at, at most and at least.
const SETTINGS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Begins to feel and to look, until the peer ends.
pub(super) fn start(office: &Handle, shared: &Arc<Shared>, config: &HaConfig, inbox: &mpsc::Sender<Event>) {
    let ports: BTreeSet<String> = config.links.iter().map(|l| l.interface.clone()).filter(|i| !i.is_empty()).collect();
    let references = config.references.clone();
    if !ports.is_empty() || !references.is_empty() {
        let (shared, inbox) = (shared.clone(), inbox.clone());
        office.spawn(async move {
            let over = shared.over.clone();
            tokio::select! {
                () = over.cancelled() => {}
                () = footing(&shared, &ports, &references, &inbox) => {}
            }
        });
    }
    let (shared, inbox) = (shared.clone(), inbox.clone());
    office.spawn(async move {
        let over = shared.over.clone();
        tokio::select! {
            () = over.cancelled() => {}
            () = settings(&shared, &inbox) => {}
        }
    });
}

async fn footing(shared: &Shared, ports: &BTreeSet<String>, references: &[IpAddr], inbox: &mpsc::Sender<Event>) {
    let senses = shared.env.ha.senses.as_ref();
    let mut last = None;
    loop {
        shared.thawed().await;
        let now = stands(senses, ports, references).await;
        if last.as_ref() != Some(&now) {
            if inbox.send(Event::Footing(now.clone())).await.is_err() {
                return;
            }
            last = Some(now);
        }
        sleep(LOOK).await;
    }
}

/// Whether any of the ports has a carrier or any of the reference addresses answers.
async fn stands(senses: &dyn Senses, ports: &BTreeSet<String>, references: &[IpAddr]) -> Result<(), Line> {
    let mut wrong = Vec::new();
    for port in ports {
        match timeout(ANSWER, senses.port(port)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => wrong.push(why),
            Err(_) => wrong.push(format!("{port} could not be looked at in time")),
        }
    }
    for address in references {
        match timeout(ANSWER, senses.answers(*address)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => wrong.push(why),
            Err(_) => wrong.push(format!("{address} does not answer")),
        }
    }
    Err(Line::new(&wrong.join("; ")))
}

async fn settings(shared: &Shared, inbox: &mpsc::Sender<Event>) {
    let mut changed = shared.changed.subscribe();
    let mut last = None;
    loop {
        let Some(view) = shared.view().await else { return };
        let fellows = shared.ha.get().map(|desk| desk.status.borrow().clone());
        let fellows = fellows.iter().flat_map(|s| s.heartbeats.iter().filter_map(|h| h.peer.clone())).collect();
        let now = Configuration { digest: view.holding.digest.to_string(), trouble: trouble(&view, &fellows) };
        if last.as_ref() != Some(&now) {
            if inbox.send(Event::Configuration(now.clone())).await.is_err() {
                return;
            }
            last = Some(now);
        }
        sleep(SETTINGS.0).await;
        // Not much is missed by whoever looks late: the view holds everything.
        let _ = timeout(SETTINGS.1, changed.changed()).await;
    }
}

/// What stands against the same configuration on all units: a fellow that is no member of this cluster, speaks another
/// level, or is not linked.
fn trouble(view: &View, fellows: &BTreeSet<PeerId>) -> Option<Line> {
    let text = fellows.iter().find_map(|fellow| {
        let Some(machine) = view.membership.machine(fellow) else {
            return Some(format!("{fellow} is not a machine of this cluster: it has a configuration of its own"));
        };
        let host = &machine.host;
        let theirs = view.rows.get(fellow).map_or(view.row.level, |row| row.level);
        if theirs != view.row.level {
            return Some(format!(
                "{host} speaks level {theirs}, this one {}: they share no configuration",
                view.row.level
            ));
        }
        let link = view.row.link(fellow)?;
        match link.state {
            LinkState::Connected | LinkState::Connecting => None,
            LinkState::Down => Some(format!("the cluster link to {host} is down")),
            LinkState::Detached => Some(format!("the cluster link to {host} is disconnected on purpose")),
            LinkState::Unknown => Some(format!("nothing is known of the cluster link to {host}")),
        }
    });
    text.map(|text| Line::new(&text))
}
