//! What people should know about a change before they commit it, and about a cluster as it stands (C11, C12, C25, C28).

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::Catalogue;
use super::effects::effects;
use super::references::{Dangling, Remedy, dangling};
use super::{Edit, Level, Member, Mode, ModeId, Tree, Value};
use crate::domain::ids::{FeatureName, MemberId};
use crate::domain::membership::Addressing;
use crate::domain::text::Line;

/// More machines than this in one cluster are not good practice (C28).
pub const GOOD_MACHINES: usize = 20;

/// Most edited settings whose overrides are looked up.
const EDITED_MAX: usize = 200;

/// Most dangling items with a sentence each.
const ITEMS_MAX: usize = 50;

/// A machine that overrides as many settings as this is hardly set up with the others any more (C28).
pub const GOOD_OVERRIDES: usize = 10;

/// Most names in one sentence.
const NAMES_MAX: usize = 6;

/// What to know about `edits`, which lead from `before` to `after`: who is not affected because of overrides (C12),
/// what becomes empty where (C11), references that would lead nowhere (C25), secrets that a removed machine knew (C14), practices that are not good (C28).
#[must_use]
pub fn notices(before: &Tree, after: &Tree, catalogue: &Catalogue, edits: &[Edit]) -> Vec<Line> {
    let mut lines = overrides(after, edits);
    lines.extend(edits.iter().flat_map(|edit| renamed(before, edit)));
    let gone = before.structure().members.iter().filter(|m| after.structure().member(&m.id).is_none());
    lines.extend(gone.flat_map(|m| super::secrets::known_to(before, catalogue, &m.id)));
    lines.extend(blanks(before, after, catalogue));
    let old: BTreeSet<(MemberId, FeatureName, Line, Line)> = dangling(before, catalogue).into_iter().map(id).collect();
    let new = dangling(after, catalogue).into_iter().filter(|d| !old.contains(&id(d.clone())));
    lines.extend(tell_dangling(after, new.collect()));
    let known = good_practice(before);
    lines.extend(good_practice(after).into_iter().filter(|line| !known.contains(line)));
    lines
}

fn id(d: Dangling) -> (MemberId, FeatureName, Line, Line) {
    (d.machine, d.feature, d.item, d.name)
}

/// C12: an edit above an override does not reach below it.
fn overrides(after: &Tree, edits: &[Edit]) -> Vec<Line> {
    let mut edited: Vec<(&ModeId, &FeatureName)> = Vec::new();
    for edit in edits {
        if let Some((mode, feature)) = edit.feature()
            && mode.level() != Level::Machine
            && !edited.contains(&(mode, feature))
        {
            edited.push((mode, feature));
        }
        if edited.len() == EDITED_MAX {
            break;
        }
    }
    if edited.is_empty() {
        return Vec::new();
    }
    let modes = after.modes();
    let tell = |(mode, feature): (&ModeId, &FeatureName)| {
        let below = overriding(after, &modes, mode, feature);
        let here = after.mode_name(mode);
        (!below.is_empty())
            .then(|| Line::new(&format!("{feature} at {here} will not affect {}, which override it", names(below))))
    };
    edited.into_iter().filter_map(tell).collect()
}

/// The modes below `mode` that have their own setting; of a group that has one the machines are not named.
fn overriding(tree: &Tree, modes: &[Mode], mode: &ModeId, feature: &FeatureName) -> Vec<String> {
    let mut found = Vec::new();
    let mut told = false;
    for below in modes {
        let within = match (mode, &below.id) {
            (ModeId::Cluster, ModeId::Group(_)) => {
                told = false;
                true
            }
            (ModeId::Cluster, ModeId::Machine(_)) => !told,
            (ModeId::Group(group), ModeId::Machine(id)) => {
                tree.structure().member(id).is_some_and(|m| m.group == *group)
            }
            (ModeId::Cluster | ModeId::Group(_) | ModeId::Machine(_), _) => false,
        };
        if within && tree.defined(&below.id, feature).is_some() {
            told |= below.id.level() == Level::Group;
            found.push(tree.mode_name(&below.id));
        }
    }
    found
}

/// C33: what another host name needs, and what becomes of the old one.
fn renamed(before: &Tree, edit: &Edit) -> Vec<Line> {
    let Edit::SetHost { machine, host, address } = edit else { return Vec::new() };
    let Some(member) = before.structure().member(machine) else { return Vec::new() };
    let (was, had) = (&member.machine.host, &member.machine.address);
    let mut lines = Vec::new();
    if address != had && address.as_str().parse::<std::net::IpAddr>().is_err() {
        lines.push(Line::new(&format!(
            "{address} must lead to {was} in the DNS of every machine: links that are up stay, new ones look it up"
        )));
    }
    if host != was {
        lines.push(Line::new(&format!(
            "the name {was} is gone everywhere afterwards: put {host} where it is written down, as in fleet files"
        )));
    }
    lines
}

/// C11: what has a value now and would have none.
fn blanks(before: &Tree, after: &Tree, catalogue: &Catalogue) -> Vec<Line> {
    let mut bare: BTreeMap<FeatureName, Vec<String>> = BTreeMap::new();
    for effect in effects(before, after, catalogue) {
        if effect.after.value.is_none() && effect.before.value.is_some_and(|v| !v.is_empty()) {
            bare.entry(effect.feature).or_default().push(after.host(&effect.machine));
        }
    }
    bare.into_iter()
        .map(|(feature, hosts)| {
            let names = names(hosts);
            Line::new(&format!("{feature} has no factory default: it becomes empty on {names}; copy it instead"))
        })
        .collect()
}

/// A sentence for each item that names what some machines do not have.
fn tell_dangling(tree: &Tree, found: Vec<Dangling>) -> Vec<Line> {
    let mut items: BTreeMap<(FeatureName, Line, Line), (Vec<String>, Dangling)> = BTreeMap::new();
    for d in found {
        let key = (d.feature.clone(), d.item.clone(), d.name.clone());
        items.entry(key).or_insert_with(|| (Vec::new(), d.clone())).0.push(tree.host(&d.machine));
    }
    let more = items.len().saturating_sub(ITEMS_MAX);
    let mut lines: Vec<Line> =
        items.into_values().take(ITEMS_MAX).map(|(hosts, d)| Line::new(&sentence(tree, hosts, &d))).collect();
    if more > 0 {
        lines.push(Line::new(&format!("{more} more items name what is not there")));
    }
    lines
}

/// What is wrong with `d` on these machines and what to do, as one sentence.
#[must_use]
pub fn sentence(tree: &Tree, hosts: Vec<String>, d: &Dangling) -> String {
    let item = if d.item.is_empty() { String::new() } else { format!(" {}", d.item) };
    let advice: Vec<String> = d
        .remedies
        .iter()
        .take(2)
        .map(|remedy| match remedy {
            Remedy::Promote { feature, from, to } => {
                format!("promote {feature} from {} to {}", tree.mode_name(from), tree.mode_name(to))
            }
            Remedy::Demote { feature, from, to } => {
                format!("demote {feature} from {} to {}", tree.mode_name(from), tree.mode_name(to))
            }
        })
        .collect();
    let advice = if advice.is_empty() { format!("add it with {}", d.to) } else { advice.join(", or ") };
    let (feature, what, name, hosts) = (&d.feature, &d.what, &d.name, names(hosts));
    format!("{feature}{item} names the {what} {name}, which is not there on {hosts}: it is disabled there; {advice}")
}

/// What is not good practice in this cluster, with advice (C28).
#[must_use]
pub fn good_practice(tree: &Tree) -> Vec<Line> {
    let s = tree.structure();
    let mut lines = Vec::new();
    if s.members.len() > GOOD_MACHINES {
        lines.push(Line::new(&format!(
            "{} machines in one cluster: more than {GOOD_MACHINES} slow each other down; make several clusters",
            s.members.len()
        )));
    }
    if let Some(name) = s.groups.iter().map(|(_, n)| n).find(|n| n.as_str().eq_ignore_ascii_case(s.name.as_str())) {
        lines.push(Line::new(&format!("group {name} is called like the cluster: rename one of them")));
    }
    let is_ip = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
    let (ips, names): (Vec<_>, Vec<_>) = s.members.iter().partition(|m| is_ip(m.machine.address.as_str()));
    let odd = match s.addressing {
        Addressing::HostName => ips,
        Addressing::Ip => names,
    };
    if !odd.is_empty() && odd.len() < s.members.len() {
        let hosts = self::names(odd.iter().map(|m| m.machine.host.to_string()).collect());
        let (all, these) = match s.addressing {
            Addressing::HostName => ("host names", "addresses"),
            Addressing::Ip => ("addresses", "host names"),
        };
        lines.push(Line::new(&format!("the cluster uses {all}, but {these} for {hosts}: use one kind for all")));
    }
    lines.extend(piles(tree));
    lines.extend(odd_interfaces(tree));
    lines
}

/// Settings that pile up on single machines although a mode above has them too.
fn piles(tree: &Tree) -> Option<Line> {
    let overrides = |m: &Member| {
        let above = [ModeId::Group(m.group.clone()), ModeId::Cluster];
        let own = ModeId::Machine(m.id.clone());
        tree.at(&own)
            .filter(|(_, entry)| entry.effective().content.value().is_some())
            .filter(|(feature, _)| above.iter().any(|mode| tree.defined(mode, feature).is_some()))
            .count()
    };
    let members = &tree.structure().members;
    let heavy: Vec<String> =
        members.iter().filter(|m| overrides(m) >= GOOD_OVERRIDES).map(|m| m.machine.host.to_string()).collect();
    (!heavy.is_empty()).then(|| {
        let (n, hosts) = (GOOD_OVERRIDES, names(heavy));
        Line::new(&format!("{n} or more settings are overridden on {hosts}: leave them to group or cluster"))
    })
}

/// Machines whose interfaces are called otherwise than those of most: listeners can't be shared with them.
fn odd_interfaces(tree: &Tree) -> Option<Line> {
    let feature = FeatureName::new("interfaceconfig");
    let mut sets: BTreeMap<BTreeSet<&str>, Vec<String>> = BTreeMap::new();
    for m in &tree.structure().members {
        let Some(version) = tree.defined(&ModeId::Machine(m.id.clone()), &feature) else { continue };
        if let Some(Value::Table(fields)) = version.content.value().map(|v| &**v) {
            sets.entry(fields.keys().map(|k| &**k).collect()).or_default().push(m.machine.host.to_string());
        }
    }
    // Of two sets that are as common, the others differ from the first by name.
    let most = sets.iter().max_by(|a, b| a.1.len().cmp(&b.1.len()).then_with(|| b.0.cmp(a.0)))?.0.clone();
    let odd: Vec<String> = sets.into_iter().filter(|(set, _)| *set != most).flat_map(|(_, hosts)| hosts).collect();
    (!odd.is_empty()).then(|| {
        let hosts = names(odd);
        Line::new(&format!("interfaces are called otherwise on {hosts}: call them alike, so that listeners fit"))
    })
}

fn names(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    let listed = names.join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}
