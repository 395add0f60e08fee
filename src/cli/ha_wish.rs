//! Whom a command to an HA group falls on.

use super::act::Found;
use super::names::find;
use crate::config::problem::did_you_mean;
use crate::domain::ha::group::{HaGroup, Member, groups};
use crate::domain::ha::{Effective, GroupKind, HaAct};
use crate::domain::ids::PeerId;
use crate::domain::snapshot::{Cluster, Snapshot};
use crate::domain::text::Line;
use crate::report::{chosen, ha};

/// What is wanted.
#[derive(Clone, Debug)]
pub enum HaWish {
    /// Of this group; of a switchover, to whom.
    Group(HaAct, String, Option<String>),
    /// `restart-ha` on this unit.
    Restart(String),
}

impl HaWish {
    /// What the unit is asked for.
    pub fn act(&self) -> HaAct {
        match self {
            Self::Group(act, ..) => *act,
            Self::Restart(_) => HaAct::Restart,
        }
    }

    /// The units that are asked.
    ///
    /// # Errors
    /// When there is no such group or peer, in words.
    pub fn find<'a>(&self, snapshot: &'a Snapshot) -> Result<Found<'a>, String> {
        match self {
            Self::Restart(name) => {
                let (cluster, peer) = find(snapshot, None, name)?;
                Ok(Found { cluster, ids: vec![peer.id.clone()], obstacles: Vec::new() })
            }
            Self::Group(act, name, to) => {
                let (cluster, group) = named(snapshot, name)?;
                let ids = units(*act, &group, snapshot);
                let mut obstacles = Vec::new();
                if let Some(to) = to {
                    let (_, peer) = find(snapshot, Some(cluster.name.as_str()), to)?;
                    if !group.members.iter().any(|m| m.id == peer.id) {
                        return Err(format!("{to} is no unit of HA group {}", group.name));
                    }
                    if ids.contains(&peer.id) {
                        let label = cluster.label(&peer.id);
                        obstacles.push(Line::new(&match group.wrong_primary() {
                            Some(_) => {
                                format!("{label} is the wrong one of two primaries: end that first, without --to")
                            }
                            None => format!("{label} has the role already: nothing is handed over"),
                        }));
                    }
                }
                Ok(Found { cluster, ids, obstacles })
            }
        }
    }
}

fn named<'a>(snapshot: &'a Snapshot, name: &str) -> Result<(&'a Cluster, HaGroup), String> {
    let name = name.strip_prefix("ha:").unwrap_or(name);
    let all = chosen(snapshot, None).flat_map(|c| groups(c, snapshot.at).into_iter().map(move |g| (c, g)));
    let mut fitting: Vec<(&Cluster, HaGroup)> = all.filter(|(_, g)| g.name.as_str() == name).collect();
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => Err(unknown(snapshot, name)),
        _ => {
            let names: Vec<&str> = fitting.iter().map(|(c, _)| c.name.as_str()).collect();
            Err(format!("several clusters have an HA group \"{name}\": {}. Choose with --cluster", names.join(", ")))
        }
    }
}

/// That there is no such group, and which there are.
pub fn unknown(snapshot: &Snapshot, name: &str) -> String {
    let names = ha::names(snapshot, None);
    match names.as_slice() {
        [] => "no peer tells of an HA group".to_owned(),
        names => {
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            format!("no HA group is named \"{name}\"{hint} (there is {})", names.join(", "))
        }
    }
}

/// The first word of each: who is there now, then anybody, so that the plan can say what stands against it.
fn units(act: HaAct, group: &HaGroup, snapshot: &Snapshot) -> Vec<PeerId> {
    let is_primary = |m: &&Member| matches!(m.status.effective, Effective::Primary | Effective::ConfigPrimary);
    let some = |of: &dyn Fn(&&Member) -> bool| -> Vec<PeerId> {
        let fresh: Vec<PeerId> = group.fresh().filter(of).map(|m| m.id.clone()).collect();
        if fresh.is_empty() { group.members.iter().filter(of).map(|m| m.id.clone()).collect() } else { fresh }
    };
    let one = |ids: Vec<PeerId>| {
        let any = || group.members.first().map(|m| m.id.clone());
        ids.into_iter().next().or_else(any).into_iter().collect::<Vec<_>>()
    };
    match act {
        HaAct::Switchover => {
            // Of two primaries the wrong one lets go.
            let from = group.wrong_primary().or_else(|| group.primaries().first().copied());
            one(from.map_or_else(|| some(&is_primary), |m| vec![m.id.clone()]))
        }
        HaAct::Failover => one(some(&|m| !is_primary(m))),
        HaAct::Restore => {
            let differ = some(&|m| !m.status.is_as_configured());
            // Of a pair that has swapped, the one is asked that shall be primary: the other swaps with it.
            let shall = |id: &PeerId| {
                group.members.iter().any(|m| m.id == *id && m.status.configured.effective() == Effective::Primary)
            };
            match differ.iter().position(shall) {
                Some(at) if group.kind == GroupKind::ActivePassive => vec![differ[at].clone()],
                Some(_) | None if differ.is_empty() => one(Vec::new()),
                Some(_) | None => differ,
            }
        }
        HaAct::Sync => {
            let others = some(&|m| !is_primary(m));
            if others.is_empty() { one(others) } else { others }
        }
        HaAct::Accept => {
            let quiet = some(&|m| m.status.quiet_until.is_some_and(|until| until > snapshot.at));
            if quiet.is_empty() { one(quiet) } else { quiet }
        }
        HaAct::Restart => one(some(&|m| matches!(m.status.effective, Effective::Off | Effective::Failed))),
    }
}
