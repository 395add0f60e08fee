//! Plans for HA groups: what stands against a command, what it does, and what shows that it was done (F15).

use std::time::Duration;

use crate::domain::ha::group::{HaGroup, groups};
use crate::domain::ha::{Effective, GroupKind, HaAct, HaStatus};
use crate::domain::snapshot::{Cluster, Peer};
use crate::domain::time::{Time, human};

/// A change that was seen so long before the command was sent still counts as made by it: clocks of two machines.
const SKEW: Duration = Duration::from_secs(1);

/// Why the unit would refuse, as far as can be told from here.
pub(super) fn obstacle(peer: &Peer, name: &str, act: HaAct, now: Time) -> Option<String> {
    let Some((status, at)) = &peer.ha else { return Some(format!("{name} is in no HA group")) };
    if status.kind == GroupKind::ConfigOnly && !matches!(act, HaAct::Sync | HaAct::Restart) {
        return Some(format!("group {} is config-only: it has no failover", status.group));
    }
    let role = status.effective;
    match act {
        HaAct::Switchover if role != Effective::Primary => {
            Some(format!("{name} is {}, only the primary can hand over", role.as_str()))
        }
        HaAct::Failover if role == Effective::Primary => Some(format!("{name} is primary already")),
        HaAct::Restore if status.is_as_configured() => {
            Some(format!("{name} is {} as configured", status.configured.as_str()))
        }
        HaAct::Restart if !matches!(role, Effective::Off | Effective::Failed) => {
            Some(format!("{name} is {}: HA runs there", role.as_str()))
        }
        HaAct::Accept if status.quiet_until.is_none_or(|until| until <= now) => {
            Some(format!("no takeover waits to be acknowledged at {name}"))
        }
        HaAct::Switchover | HaAct::Failover | HaAct::Restore | HaAct::Restart | HaAct::Sync | HaAct::Accept => {
            let age = now.since(*at);
            (!peer.is_reached()).then(|| format!("{name} is not reached; its last word is {} old", human(age)))
        }
    }
}

/// What it will do.
pub(super) fn effects(cluster: &Cluster, peer: &Peer, name: &str, act: HaAct, now: Time) -> Vec<String> {
    let Some((status, _)) = &peer.ha else { return Vec::new() };
    let other = other(cluster, peer, status, now);
    let other = other.as_deref().unwrap_or("the other unit");
    match act {
        HaAct::Switchover => vec![
            format!("{name} lets its addresses go, then {other} takes them: connections that are open break"),
            format!("{other} becomes primary in epoch {}, {name} secondary", status.epoch + 1),
        ],
        HaAct::Failover => vec![
            format!(
                "{name} becomes primary in epoch {} and takes the addresses, whatever {other} says",
                status.epoch + 1
            ),
            format!("what {other} has taken and not handed over is lost until it is back"),
        ],
        HaAct::Restore => {
            vec![format!("{name} becomes {} as configured; {other} is asked to swap", status.configured.as_str())]
        }
        HaAct::Restart => vec![format!("HA starts again on {name}; mend the cause first, or its monitor fires again")],
        HaAct::Sync => vec![format!("the configuration of the primary is brought to {name} now")],
        HaAct::Accept => vec!["the quiet period ends: services may trigger a takeover again".into()],
    }
}

/// What the unit's own word shows of it; `None` as long as it shows nothing.
pub(super) fn seen(peer: &Peer, act: HaAct, sent: Time) -> Option<String> {
    let (status, _) = peer.ha.as_ref()?;
    let is = format!("it is {} in epoch {}", status.effective.as_str(), status.epoch);
    let done = match act {
        HaAct::Switchover => status.effective == Effective::Secondary,
        HaAct::Failover => status.effective == Effective::Primary,
        HaAct::Restore => status.is_as_configured(),
        HaAct::Restart => !matches!(status.effective, Effective::Off | Effective::Failed),
        HaAct::Sync => {
            let synced = status.config_synced.filter(|at| *at >= sent.before(SKEW))?;
            let _ = synced;
            return Some("its configuration is in step".into());
        }
        HaAct::Accept => return status.quiet_until.is_none().then(|| "its quiet period is over".into()),
    };
    done.then_some(is)
}

fn other(cluster: &Cluster, peer: &Peer, status: &HaStatus, now: Time) -> Option<String> {
    let group: HaGroup = groups(cluster, now).into_iter().find(|g| g.name == status.group)?;
    let mut others = group.members.iter().filter(|m| m.id != peer.id);
    let first = others.next()?;
    others.next().is_none().then(|| cluster.label(&first.id).to_owned())
}
