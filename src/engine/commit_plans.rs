//! Plans for commits: what would change where, who has which commits, and what stands against it.

use std::collections::{BTreeMap, BTreeSet};

use super::held_back::utc;
use super::settings::{apart, listed};
use crate::domain::ids::{GroupId, PeerId};
use crate::domain::membership::natural;
use crate::domain::settings::words::{called, may_alone};
use crate::domain::settings::{Content, Edit, Effective, Holding, Key, ModeId, Origin, Tree, rules};
use crate::domain::snapshot::{Cluster, Peer, Settings};
use crate::domain::text::clean;
use crate::domain::time::Time;

/// Lines of one kind that a plan has; more are counted.
const LINES: usize = 12;

/// Characters of a value that are shown.
const VALUE_SHOWN: usize = 60;

/// The lines of a plan.
#[derive(Default)]
pub(super) struct Lines {
    pub evidence: Vec<String>,
    pub effects: Vec<String>,
    pub obstacles: Vec<String>,
}

/// What is to be known of a commit by the peer `on`.
pub(super) fn plan(cluster: &Cluster, on: &Peer, edits: &[Edit]) -> Lines {
    let mut lines = Lines::default();
    let Some(settings) = &cluster.settings else {
        let name = &cluster.name;
        lines.obstacles.push(format!("no peer has told the settings of {name} yet: what would change is not known"));
        return lines;
    };
    let tree = &*settings.tree;
    lines.evidence.extend(sources(cluster, on, settings));
    let mut n = 0;
    let mut new_group = || {
        n += 1;
        GroupId::new(&format!("new-{n}"))
    };
    let writes = match rules::writes(tree, &cluster.catalogue, edits, &mut new_group) {
        Ok(writes) => writes,
        Err(why) => {
            lines.obstacles.push(why.to_string());
            return lines;
        }
    };
    if on.detached().is_some()
        && let Err(why) = may_alone(tree, &on.id, &writes)
    {
        lines.obstacles.push(why.to_string());
    }
    lines.evidence.extend(bounded(writes.iter().map(|(key, _)| now(tree, key)).collect(), "registers"));
    let after = rules::after(tree, &writes);
    lines.effects.extend(bounded(edits.iter().filter_map(|e| structural(tree, e)).collect(), "changes"));
    lines.effects.extend(moved_up(&writes, edits));
    lines.effects.extend(what_if(cluster, tree, &after));
    let notices = rules::notices(tree, &after, &cluster.catalogue, edits);
    lines.effects.extend(bounded(notices.iter().map(ToString::to_string).collect(), "notices"));
    lines.effects.push(match on.detached() {
        Some(_) => format!("{} alone has it until it is reconnected", cluster.label(&on.id)),
        None => "every machine gets it at once, those that are not reached or detached when they are back".into(),
    });
    lines
}

fn bounded(mut lines: Vec<String>, what: &str) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    if more > 0 {
        lines.push(format!("and {more} more {what}"));
    }
    lines
}

/// Whose settings these are, and who is known to have others.
fn sources(cluster: &Cluster, on: &Peer, settings: &Settings) -> Vec<String> {
    let mut out = Vec::new();
    let name = |id: &PeerId| cluster.label(id).to_owned();
    let source = cluster.peer(&settings.source);
    if source.is_none_or(|p| !p.is_reached()) {
        out.push(format!("the settings are as {} told them, which is not reached now", name(&settings.source)));
    } else if on.id != settings.source
        && on.holding.as_ref().is_some_and(|h| h.digest != settings.digest)
        && let (Some(mine), Some(shown)) = (&on.holding, source.and_then(|p| p.holding.as_ref()))
    {
        let (brings, lacks) = apart(mine, [&**shown]);
        let (on, source) = (name(&on.id), name(&settings.source));
        out.push(format!(
            "{on} has {brings} commits that {source}, whose settings are shown, has not, and lacks {lacks}"
        ));
    }
    let is_member = |p: &&Peer| settings.tree.structure().member_of(&p.id).is_some();
    let members = || cluster.peers.iter().map(|p| &**p).filter(is_member);
    let holdings = || members().filter_map(|p| p.holding.as_ref());
    let behind: Vec<String> = members()
        .filter(|p| p.is_reached() && p.detached().is_none())
        .filter_map(|p| {
            let (_, lacks) = apart(p.holding.as_ref()?, holdings().map(|h| &**h));
            (lacks > 0).then(|| format!("{} ({lacks})", name(&p.id)))
        })
        .collect();
    if !behind.is_empty() {
        out.push(format!("commits are on their way to: {}", listed(behind, LINES)));
    }
    let detached: Vec<String> = cluster.peers.iter().filter(|p| p.detached().is_some()).map(|p| name(&p.id)).collect();
    if !detached.is_empty() {
        out.push(format!("detached, with settings of their own: {}", listed(detached, LINES)));
    }
    let unreached: Vec<String> = cluster.peers.iter().filter(|p| !p.is_reached()).map(|p| name(&p.id)).collect();
    if !unreached.is_empty() {
        out.push(format!("not reached, what they have can't be known: {}", listed(unreached, LINES)));
    }
    out
}

/// What a register says now, and who wrote that.
fn now(tree: &Tree, key: &Key) -> String {
    let what = called(tree, key);
    let Some(entry) = tree.entry(key) else {
        return match key {
            Key::Feature(mode, feature) => match tree.applies(mode, feature) {
                Some((from, _)) => format!("{what} is not defined now, it inherits from {}", tree.mode_name(&from)),
                None => format!("{what} is not defined now, nor above it"),
            },
            _ => format!("{what} is not written yet"),
        };
    };
    let version = entry.effective();
    let says = match (&version.content, key) {
        (Content::Inherits, _) => "inherits".to_owned(),
        (Content::Value(group), Key::MachineGroup(_)) => match group.as_text() {
            Some(id) => format!("is {}", tree.mode_name(&ModeId::Group(GroupId::new(id)))),
            None => "was written".to_owned(),
        },
        (Content::Value(_), Key::MachineIdentity(_)) => "was written".to_owned(),
        (Content::Value(value), _) => format!("is {}", clean(&value.to_string(), VALUE_SHOWN)),
    };
    let (host, at) = (tree.host(&version.stamp.on), utc(version.stamp.at));
    let others = entry.versions().len() - 1;
    let conflict = match others {
        _ if !entry.is_conflict() => String::new(),
        1 => "; another version waits to be resolved and gives way".into(),
        n => format!("; {n} other versions wait to be resolved and give way"),
    };
    // What a peer was given before its first start has no author.
    if version.stamp.at == Time::ZERO {
        return format!("{what} {says}, as provisioned{conflict}");
    }
    format!("{what} {says}, by {} on {host}, {at}{conflict}", version.by)
}

fn structural(tree: &Tree, edit: &Edit) -> Option<String> {
    let group = |id: &GroupId| tree.structure().group(id).map_or_else(|| id.to_string(), ToString::to_string);
    let members = |id: &GroupId| tree.structure().members.iter().filter(|m| m.group == *id).count();
    Some(match edit {
        Edit::Set { .. } | Edit::Unset { .. } => return None,
        Edit::Resolve { key, version } => {
            let entry = tree.entry(key)?;
            let kept = entry.versions().iter().find(|v| v.id == *version)?;
            let (what, host) = (called(tree, key), tree.host(&kept.stamp.on));
            format!("{what}: the version by {} on {host} stays, the others go to the history", kept.by)
        }
        Edit::Create { name } => {
            let host = tree.structure().members.first().map(|m| m.machine.host.to_string()).unwrap_or_default();
            let group = tree.structure().groups.first().map(|(_, name)| name.to_string()).unwrap_or_default();
            format!("cluster {name} is made, of {host} alone, in group {group}")
        }
        Edit::SetName { name } => format!("the cluster is called {name} everywhere, it was {}", tree.structure().name),
        Edit::AddGroup { name } => format!("group {name} is made, without machines"),
        Edit::RenameGroup { group: id, name } => format!("group {} is called {name}", group(id)),
        Edit::DeleteGroup { group: id, into } => {
            let (name, into, n) = (group(id), group(into), members(id));
            format!("group {name} and its settings go; its machines ({n}) are in group {into} then")
        }
        Edit::SetGroup { machine, group: to } => {
            let from = tree.structure().member(machine).map_or_else(|| "?".to_owned(), |m| group(&m.group));
            format!("{} moves from group {from} to group {}", tree.host(machine), group(to))
        }
        Edit::RemoveMachine { machine } => {
            let host = tree.host(machine);
            if tree.structure().members.len() == 1 {
                let name = &tree.structure().name;
                return Some(format!(
                    "{host} is the last machine: cluster {name} ends; what it inherits becomes its own"
                ));
            }
            format!(
                "{host} is no member any more; what it inherits becomes its own, and what it writes then is ignored"
            )
        }
        Edit::SetHost { machine, host, address } => {
            format!("{} is called {host} and reached at {address}", tree.host(machine))
        }
    })
}

/// Of a cluster that is made: what becomes the cluster's (C3).
fn moved_up(writes: &[(Key, Content)], edits: &[Edit]) -> Option<String> {
    if !edits.iter().any(|e| matches!(e, Edit::Create { .. })) {
        return None;
    }
    let up = writes.iter().filter_map(|(key, _)| match key {
        Key::Feature(ModeId::Cluster, feature) => Some(feature.to_string()),
        _ => None,
    });
    let up: Vec<String> = up.collect();
    Some(if up.is_empty() {
        "the machine keeps all its settings: none of them can be the cluster's".into()
    } else {
        format!("these settings become the cluster's, the others stay the machine's: {}", listed(up, LINES))
    })
}

/// Which effective settings change on which machine (B4).
fn what_if(cluster: &Cluster, before: &Tree, after: &Tree) -> Vec<String> {
    let found = rules::effects(before, after, &cluster.catalogue);
    if found.is_empty() {
        return vec!["no effective setting changes on any machine".into()];
    }
    let machines: BTreeSet<_> = found.iter().map(|e| &e.machine).collect();
    let settings = if found.len() == 1 {
        "1 effective setting changes".into()
    } else {
        format!("{} effective settings change", found.len())
    };
    let on = if machines.len() == 1 { "1 machine".into() } else { format!("{} machines", machines.len()) };
    let mut lines = vec![format!("{settings} on {on}:")];
    // Machines to which the same happens are one line.
    let mut alike: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for effect in &found {
        let (was, is) = (shown(before, &effect.before), shown(after, &effect.after));
        let line = format!("{}: {is} instead of {was}", effect.feature);
        alike.entry(line).or_default().push(after.host(&effect.machine));
    }
    lines.extend(bounded(
        alike.into_iter().map(|(line, on)| format!("{line} on {}", listed(in_order(on), 6))).collect(),
        "like these",
    ));
    lines
}

/// Host names as people count: they come by the machines' ids, which are random.
fn in_order(mut hosts: Vec<String>) -> Vec<String> {
    hosts.sort_by(|a, b| natural(a, b));
    hosts
}

fn shown(tree: &Tree, effective: &Effective) -> String {
    let value = match &effective.value {
        None => "nothing".to_owned(),
        Some(value) if value.is_empty() => "empty".to_owned(),
        Some(value) => clean(&value.to_string(), VALUE_SHOWN),
    };
    match &effective.origin {
        Origin::Factory if effective.value.is_none() => value,
        Origin::Factory => format!("{value} (factory default)"),
        Origin::Mode(mode @ (ModeId::Cluster | ModeId::Group(_))) => format!("{value} (from {})", tree.mode_name(mode)),
        Origin::Mode(ModeId::Machine(_)) => format!("{value} (its own)"),
    }
}

/// What reconnecting `peer` merges, as far as it is known (C22).
pub(super) fn merge(cluster: &Cluster, peer: &Peer, name: &str) -> Vec<String> {
    let attached = cluster.peers.iter().filter(|p| p.id != peer.id && p.detached().is_none());
    let others: Vec<&Holding> = attached.filter_map(|p| p.holding.as_deref()).collect();
    let (Some(mine), false) = (&peer.holding, others.is_empty()) else {
        let who = if peer.holding.is_none() { name } else { "the others" };
        return vec![
            format!("settings are merged both ways; how much can't be told: nobody tells what {who} have"),
            SIDES.into(),
        ];
    };
    match apart(mine, others) {
        (0, 0) => vec![format!("nothing is to be merged: {name} and the others have the same settings")],
        (0, lacks) => vec![format!("{name} gets {} that it lacks; it brings none", commits(lacks))],
        (brings, 0) => vec![format!("the others get {} of {name} that they lack; it lacks none", commits(brings))],
        (brings, lacks) => vec![
            format!("settings are merged: {name} brings {} and gets {}", commits(brings), commits(lacks)),
            SIDES.into(),
        ],
    }
}

/// Which side wins (C23).
const SIDES: &str =
    "where both sides changed the same setting the most recent change applies, and both are kept until resolved";

fn commits(n: u64) -> String {
    if n == 1 { "1 commit".into() } else { format!("{n} commits") }
}
