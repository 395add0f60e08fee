//! From a command to a plan: evidence, effects, what stands against it, and its basis. Console and one-shot commands
//! get the same plan from the same picture.

use std::collections::BTreeSet;

use super::{commit_plans, ha_plans};
use crate::domain::command::Command;
use crate::domain::ids::PeerId;
use crate::domain::maintenance::LASTING_MAX;
use crate::domain::mesh::link::LinkState;
use crate::domain::plan::{Basis, Plan};
use crate::domain::snapshot::{Cluster, Peer};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// The plan for one command.
#[must_use]
pub fn plan(cluster: &Cluster, command: Command, now: Time) -> Plan {
    plan_apart(cluster, command, &BTreeSet::new(), now)
}

/// The plans for several commands that one person decides on at once, in this order: what they change at each other
/// is no change of the basis.
#[must_use]
pub fn plans(cluster: &Cluster, commands: Vec<Command>, now: Time) -> Vec<Plan> {
    let apart: BTreeSet<PeerId> = commands.iter().map(|c| c.target().clone()).collect();
    commands.into_iter().map(|c| plan_apart(cluster, c, &apart, now)).collect()
}

fn plan_apart(cluster: &Cluster, command: Command, apart: &BTreeSet<PeerId>, now: Time) -> Plan {
    let basis = Basis::of(cluster, &command, apart, now);
    let (mut evidence, mut effects, mut obstacles) = (Vec::new(), Vec::new(), Vec::new());
    let name = cluster.label(command.target());
    match cluster.peer(command.target()) {
        None => obstacles.push(format!("{name} is no peer of cluster {}", cluster.name)),
        Some(peer) => {
            evidence = evidence_of(cluster, peer, apart, now);
            obstacles.extend(obstacle(peer, name, &command, now));
            effects = effects_of(cluster, peer, name, &command, now);
            if let Command::Commit { edits, .. } = &command {
                let lines = commit_plans::plan(cluster, peer, edits);
                evidence = lines.evidence;
                effects.extend(lines.effects);
                obstacles.extend(lines.obstacles);
            }
            if let Command::Ha { act, .. } = &command {
                let lines = ha_plans::plan(cluster, peer, name, *act, now);
                evidence.splice(0..0, lines.evidence);
                effects.extend(lines.effects);
                obstacles.extend(lines.obstacles);
            }
        }
    }
    let lines = |texts: Vec<String>| texts.iter().map(|t| Line::new(t)).collect();
    Plan { command, evidence: lines(evidence), effects: lines(effects), obstacles: lines(obstacles), basis }
}

/// Who sees whom (those in `apart` are about to be changed as well and can't stand in), whether it is reached from here, and what nobody can know.
fn evidence_of(cluster: &Cluster, peer: &Peer, apart: &BTreeSet<PeerId>, now: Time) -> Vec<String> {
    let name = cluster.label(&peer.id);
    let mut out = Vec::new();
    if let Some(at) = cluster.index.get(&peer.id).copied() {
        let others: Vec<usize> = (0..cluster.peers.len()).filter(|i| *i != at).collect();
        let count =
            |state: &dyn Fn(usize) -> LinkState| others.iter().filter(|i| state(**i) == LinkState::Connected).count();
        let outward = count(&|i| cluster.cell(at, i, now).state);
        let inward = count(&|i| cluster.cell(i, at, now).state);
        let n = others.len();
        out.push(format!("{name} is connected to {outward} of {n} fellows, {inward} of {n} say so too"));
    }
    if let Some(group) = &peer.group {
        let mates: Vec<&str> = cluster
            .peers
            .iter()
            .filter(|p| p.id != peer.id && !apart.contains(&p.id) && p.group.as_ref() == Some(group))
            .filter(|p| p.is_reached() && p.detached().is_none() && p.maintenance(now).is_none())
            .map(|p| cluster.label(&p.id))
            .collect();
        out.push(match mates.as_slice() {
            [] => format!("no other machine of group {group} is known to be in service"),
            _ => format!("in service in group {group} beside it: {}", mates.join(", ")),
        });
    }
    if let Some(maintenance) = peer.maintenance(now) {
        out.push(format!("{name} is in maintenance by {}: {}", maintenance.by, maintenance.reason));
    }
    for session in peer.sessions.iter() {
        out.push(format!("at work on {name}: {} from {} ({})", session.user, session.from, session.what));
    }
    if !peer.is_reached() {
        out.push(match peer.row {
            Some(_) => format!("{name} is not reached from here: what it says comes over others and may be old"),
            None => format!("{name} is not reached from here and nobody tells its word: its state can't be known"),
        });
    }
    out
}

fn obstacle(peer: &Peer, name: &str, command: &Command, now: Time) -> Option<String> {
    let detached = peer.detached().is_some();
    match command {
        Command::Disconnect { .. } => detached.then(|| format!("{name} is detached already")),
        Command::Reconnect { .. } if peer.row.is_none() => {
            Some(format!("nobody tells the word of {name}: whether it is detached is not known"))
        }
        Command::Reconnect { .. } => (!detached).then(|| format!("{name} is not detached")),
        Command::MaintenanceOn { lasting, .. } => (*lasting > LASTING_MAX || lasting.is_zero())
            .then(|| format!("maintenance lasts up to {} days", LASTING_MAX.as_secs() / 86_400)),
        Command::MaintenanceOff { .. } => {
            peer.maintenance(now).is_none().then(|| format!("{name} is not in maintenance"))
        }
        // Of these the lines are made elsewhere: see `ha_plans` and `commit_plans`.
        Command::Ha { .. } | Command::Commit { .. } => None,
    }
}

fn effects_of(cluster: &Cluster, peer: &Peer, name: &str, command: &Command, now: Time) -> Vec<String> {
    let held = "alerts about it are held back; automatic failover is not";
    match command {
        Command::Disconnect { .. } => {
            let links = cluster.peers.len().saturating_sub(1);
            vec![
                format!("{links} links of {name} show \"detached\" on both sides"),
                format!("{name} keeps its settings, can be configured by itself and no longer configures others"),
                "its control links stay, so that it can be reconnected from any member".into(),
            ]
        }
        Command::Reconnect { .. } => {
            let dials = format!("{name} dials all members at once and takes part in the mesh again");
            [dials].into_iter().chain(commit_plans::merge(cluster, peer, name)).collect()
        }
        Command::MaintenanceOn { reason, .. } => {
            let shown = if reason.is_empty() { "without a reason".to_owned() } else { format!("\"{reason}\"") };
            let mut effects = vec![format!("{name} is shown in maintenance everywhere, {shown}"), held.to_owned()];
            if peer.maintenance(now).is_some() {
                effects.push("takes the place of the maintenance that is announced now".into());
            }
            effects
        }
        Command::MaintenanceOff { .. } => vec![format!("alerts about {name} are raised again at once")],
        Command::Ha { .. } | Command::Commit { .. } => Vec::new(),
    }
}
