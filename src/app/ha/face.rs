//! What a group looks like to a person: what is loud, what is counted down, what became of it. For console and wall.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::app::plural;
use crate::domain::ha::group::{HaGroup, Member};
use crate::domain::ha::status::{Rehearsal, RoleChange};
use crate::domain::ha::{Effective, GroupKind, HaStatus};
use crate::domain::time::{human, millis};
use crate::domain::{Cluster, PeerId, Time};

/// A line above a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Banner {
    /// Whether nothing on the screen may be louder.
    pub loud: bool,
    /// In one sentence, the fact in capitals.
    pub text: String,
}

/// What a waiting unit does about the silence of the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Countdown {
    /// It takes over when the silence has lasted long enough.
    Takes {
        /// How long all links have been silent.
        silent: Duration,
        /// How long they must still be; zero: any moment now.
        left: Duration,
    },
    /// The other has announced a restart, and is waited for.
    Waits {
        /// At most so long.
        left: Duration,
    },
    /// It would not take over.
    Refuses {
        /// How long all links have been silent.
        silent: Duration,
        /// How long until it would be its turn.
        left: Duration,
        /// Why.
        why: String,
    },
}

/// A role change, and whose.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The group.
    pub group: &'a HaGroup,
    /// Whose.
    pub unit: &'a PeerId,
    /// What.
    pub change: &'a RoleChange,
}

/// `text` with the names of peers in place of their serial numbers, as units write them.
#[must_use]
pub fn named(cluster: &Cluster, text: &str) -> String {
    let mut named = text.to_owned();
    for peer in cluster.peers.iter().filter(|p| text.contains(p.id.as_str())) {
        named = named.replace(peer.id.as_str(), cluster.label(&peer.id));
    }
    named
}

/// Whether a beat is missed: one is due each interval, and half of one is allowed for the way.
#[must_use]
pub fn is_overdue(silent: Duration, interval: Duration) -> bool {
    silent * 2 > interval * 3
}

/// What `member` does about the silence of the other; `None` while beats come, or where it does nothing about it.
#[must_use]
pub fn countdown(member: &Member, now: Time) -> Option<Countdown> {
    let status = &member.status;
    if !member.fresh || status.kind == GroupKind::ConfigOnly {
        return None;
    }
    if let (Effective::HoldOff, until) = (status.effective, status.hold_off_until) {
        return Some(Countdown::Waits { left: until.map_or(Duration::ZERO, |until| until.since(now)) });
    }
    // Whether it is silent is told by the unit's word; for how long now, by our clock.
    let told = status.silence(member.at)?;
    if status.effective != Effective::Secondary || !is_overdue(told, status.interval) {
        return None;
    }
    let silent = status.silence(now)?;
    match &status.rehearsal {
        Rehearsal::Refuses(why) => {
            let left = status.takeover_after.saturating_sub(silent);
            Some(Countdown::Refuses { silent, left, why: why.to_string() })
        }
        Rehearsal::None | Rehearsal::Takes { .. } => {
            Some(Countdown::Takes { silent, left: status.takeover_after.saturating_sub(silent) })
        }
    }
}

impl Countdown {
    /// How long all links have been silent, where that is what counts.
    #[must_use]
    pub fn silent(&self) -> Option<Duration> {
        match self {
            Self::Takes { silent, .. } | Self::Refuses { silent, .. } => Some(*silent),
            Self::Waits { .. } => None,
        }
    }

    /// In words, as the end of a sentence about the unit `name`.
    #[must_use]
    pub fn words(&self, name: &str) -> String {
        match self {
            Self::Takes { left, .. } if left.is_zero() => format!("{name} takes over now"),
            Self::Takes { left, .. } => format!("{name} takes over in {}", tenths(*left)),
            Self::Waits { left } if left.is_zero() => format!("{name} waits for a restart"),
            Self::Waits { left } => format!("{name} waits for a restart, at most {}", human(*left)),
            Self::Refuses { why, left, .. } if left.is_zero() => format!("{name} does not take over: {why}"),
            Self::Refuses { why, left, .. } => {
                format!("{name} would not take over when it is time, in {}: {why}", tenths(*left))
            }
        }
    }
}

/// What stands above `group`, the loudest first; empty while all is as it should be.
#[must_use]
pub fn banners(cluster: &Cluster, group: &HaGroup, now: Time) -> Vec<Banner> {
    let mut banners = Vec::new();
    banners.extend(primaries(cluster, group, now));
    for (address, holders) in group.holders() {
        if holders.len() > 1 {
            let names: Vec<&str> = holders.iter().map(|id| cluster.label(id)).collect();
            let text = format!("ADDRESS HELD TWICE in {}: {address} by {}", group.name, names.join(" and "));
            banners.push(Banner { loud: true, text });
        }
    }
    banners
}

fn primaries(cluster: &Cluster, group: &HaGroup, now: Time) -> Option<Banner> {
    let name = &group.name;
    let label = |m: &Member| cluster.label(&m.id).to_owned();
    let what = match group.kind {
        GroupKind::ActivePassive => "PRIMARY",
        GroupKind::ConfigOnly => "CONFIG-PRIMARY",
    };
    let primaries = group.primaries();
    // What the other one says of itself in beats that come, although its word does not come here.
    // Where beats are overdue it counts no more: there the countdown speaks.
    let comes = group.fresh().any(|m| m.status.silence(m.at).is_some_and(|s| !is_overdue(s, m.status.interval)));
    let hearsay = group.hearsay(now).into_iter().find(|said| comes && said.effective == Effective::Primary);
    if let (Some(said), [one]) = (hearsay, primaries.as_slice()) {
        let other = fellow(group, one).map_or("the other unit", |id| cluster.label(id));
        let (epoch, one_epoch) = (said.epoch, one.status.epoch);
        let text = format!(
            "TWO PRIMARIES in {name}: {} (epoch {one_epoch}) and, by its beats, {other} (epoch {epoch})",
            label(one)
        );
        return Some(Banner { loud: true, text });
    }
    if primaries.len() > 1 {
        let count = if primaries.len() == 2 { "TWO".to_owned() } else { primaries.len().to_string() };
        let who: Vec<String> = primaries.iter().map(|m| format!("{} (epoch {})", label(m), m.status.epoch)).collect();
        let what = what.replace("PRIMARY", "PRIMARIES");
        return Some(Banner { loud: true, text: format!("{count} {what} in {name}: {}", who.join(" and ")) });
    }
    if !primaries.is_empty() {
        return None;
    }
    if let (Some(said), Some(witness)) = (hearsay, group.fresh().next()) {
        let other = fellow(group, witness).map_or("the other unit", |id| cluster.label(id));
        let epoch = said.epoch;
        let text = format!(
            "{other} is not heard from here; by its beats to {} it is primary in epoch {epoch}",
            label(witness)
        );
        return Some(Banner { loud: false, text });
    }
    let others: Vec<String> = group
        .members
        .iter()
        .filter(|m| m.fresh)
        .map(|m| match countdown(m, now) {
            Some(countdown) => countdown.words(&label(m)),
            None => match (m.status.effective, m.status.reason.as_str()) {
                (Effective::Off | Effective::Failed, why) if !why.is_empty() => {
                    format!("{} is {} ({why})", label(m), m.status.effective.as_str())
                }
                (role, _) => format!("{} is {}", label(m), role.as_str()),
            },
        })
        .collect();
    let others = match others.as_slice() {
        [] => "no unit is heard of".to_owned(),
        few @ ([_] | [_, _]) => few.join(", "),
        [first, more @ ..] => format!("{first}, and {} {} not primary either", more.len(), plural(more.len(), "other")),
    };
    // A silent one may still be primary: that nobody is would be more than is known.
    let lost = group.members.iter().filter(|m| !m.fresh);
    let lost = lost.filter(|m| matches!(m.status.effective, Effective::Primary | Effective::ConfigPrimary));
    let others = named(cluster, &others);
    let text = match lost.max_by_key(|m| m.at) {
        Some(m) => {
            let age = human(now.since(m.at));
            format!("NO WORD OF THE {what} of {name}: {} was it, last heard of {age} ago; {others}", label(m))
        }
        None if group.members.iter().any(|m| !m.fresh) => format!("NO {what} KNOWN in {name}: {others}"),
        None => format!("NO {what} in {name}: {others}"),
    };
    Some(Banner { loud: true, text })
}

/// What would happen if the other one died now, in the words of each unit that says something of it.
#[must_use]
pub fn rehearsals(cluster: &Cluster, group: &HaGroup, now: Time) -> Vec<(String, bool)> {
    let mut told = Vec::new();
    // One that counts down already needs no rehearsal.
    for member in group.fresh().filter(|m| countdown(m, now).is_none()) {
        let would = !matches!(member.status.rehearsal, Rehearsal::Refuses(_));
        let sentence = group.rehearsal(member, |id| cluster.label(id).to_owned());
        told.extend(sentence.map(|sentence| (named(cluster, &sentence), would)));
    }
    told
}

/// As `time::human`, with tenths of a second for a whole minute: what counts down moves.
#[must_use]
pub fn tenths(span: Duration) -> String {
    match millis(span) {
        ms @ 10_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => human(span),
    }
}

/// `4.0 to 4.2 s`.
#[must_use]
pub fn between(from: Duration, to: Duration) -> String {
    let (from, to) = (tenths(from), tenths(to));
    if from == to {
        return from;
    }
    match from.strip_suffix(" s") {
        Some(number) if to.ends_with(" s") => format!("{number} to {to}"),
        Some(_) | None => format!("{from} to {to}"),
    }
}

/// The other unit of a pair, by the group or by the beats that were heard.
#[must_use]
pub fn fellow<'a>(group: &'a HaGroup, member: &'a Member) -> Option<&'a PeerId> {
    let mut others = group.members.iter().map(|m| &m.id).filter(|id| **id != member.id);
    match (others.next(), others.next()) {
        (Some(only), None) => Some(only),
        (None, _) if group.kind == GroupKind::ActivePassive => {
            member.status.heartbeats.iter().find_map(|h| h.peer.as_ref())
        }
        (None | Some(_), _) => None,
    }
}

/// All role changes of `groups`, the newest first.
#[must_use]
pub fn turns(groups: &[HaGroup]) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = groups
        .iter()
        .flat_map(|group| group.members.iter().map(move |m| (group, m)))
        .flat_map(|(group, m)| m.status.changes.iter().map(move |change| Turn { group, unit: &m.id, change }))
        .collect();
    // Of the same moment the later one in its unit's own list is the newer.
    turns.reverse();
    turns.sort_by_key(|t| std::cmp::Reverse(t.change.at));
    turns
}

/// A group in one calm line, and whether it is well: `gw: lab1 primary, lab2 ready (takes over in 4.0 s)`.
#[must_use]
pub fn calm_line(cluster: &Cluster, group: &HaGroup, now: Time) -> (String, bool) {
    let name = &group.name;
    let label = |m: &Member| cluster.label(&m.id).to_owned();
    if let Some(banner) = banners(cluster, group, now).first() {
        return (banner.text.clone(), false);
    }
    let primary = group.primaries().first().map(|m| (m.id.clone(), label(m), m.status.effective));
    let Some((id, first, role)) = primary else { return (format!("{name}: no primary"), false) };
    let others: Vec<&Member> = group.members.iter().filter(|m| m.id != id).collect();
    if group.kind == GroupKind::ConfigOnly {
        let well = others.iter().filter(|m| m.fresh && m.status.sync_trouble.is_none()).count();
        let all = others.len();
        let rest = if well == all {
            format!("{all} {} ready", plural(all, "other"))
        } else {
            format!("only {well} of {all} others ready")
        };
        return (format!("{name}: {first} {}, {rest}", role.as_str()), well == all);
    }
    let mut parts = vec![format!("{first} {}", role.as_str())];
    let mut well = !others.is_empty();
    if others.is_empty() {
        parts.push("the other unit has told nothing".to_owned());
    }
    for m in others {
        let (text, is_well) = stands_by(m, &label(m), now);
        parts.push(text);
        well &= is_well;
    }
    (format!("{name}: {}", parts.join(", ")), well)
}

/// Who is what, by name: `gw: lab1 failed, lab2 secondary`.
#[must_use]
pub fn roles_line(cluster: &Cluster, group: &HaGroup) -> String {
    let role = |m: &Member| {
        let role = if m.fresh { m.status.effective.as_str() } else { "unknown" };
        format!("{} {role}", cluster.label(&m.id))
    };
    let roles: Vec<String> = group.members.iter().map(role).collect();
    format!("{}: {}", group.name, roles.join(", "))
}

/// Whether a unit that is not primary could take over, in words.
fn stands_by(member: &Member, name: &str, now: Time) -> (String, bool) {
    let status = &member.status;
    if !member.fresh {
        return (format!("{name} unknown for {}", human(now.since(member.at))), false);
    }
    if let Some(countdown) = countdown(member, now) {
        return (countdown.words(name), false);
    }
    match &status.rehearsal {
        Rehearsal::Takes { to, .. } => (format!("{name} ready (takes over in {})", tenths(*to)), true),
        Rehearsal::Refuses(why) => (format!("{name} not ready: {why}"), false),
        Rehearsal::None => (format!("{name} {}", status.effective.as_str()), status.effective == Effective::Secondary),
    }
}

/// What is wrong with a unit by its own word, a line each, the worst first.
#[must_use]
pub fn troubles(status: &HaStatus, now: Time) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(status.distrust.iter().map(|why| format!("distrusts itself: {why}")));
    lines.extend(status.troubles.iter().map(ToString::to_string));
    lines.extend(status.sync_trouble.iter().map(|why| format!("configuration is not synchronised: {why}")));
    lines.extend(status.hook_trouble.iter().map(|why| format!("hook: {why}")));
    if let Some((from, at)) = &status.last_stranger {
        let count = status.strangers;
        let ago = human(now.since(*at));
        lines.push(format!(
            "{count} {} not of this group, the last from {from} {ago} ago",
            plural_of(count, "datagram")
        ));
    } else if status.strangers > 0 {
        lines.push(format!("{} {} not of this group", status.strangers, plural_of(status.strangers, "datagram")));
    }
    if status.replays > 0 {
        lines.push(format!("{} old {} sent again by somebody", status.replays, plural_of(status.replays, "datagram")));
    }
    lines
}

fn plural_of(n: u64, word: &str) -> String {
    plural(usize::try_from(n).unwrap_or(usize::MAX), word)
}

/// Links of a unit that are not silent, and all; and the longest silence of any.
#[must_use]
pub fn links_heard(status: &HaStatus, now: Time) -> (usize, usize, Option<Duration>) {
    // Both links to one fellow are one way: the younger beat counts.
    let mut ways: BTreeMap<String, Option<Time>> = BTreeMap::new();
    for beat in &status.heartbeats {
        let key = beat.peer.as_ref().map_or_else(|| beat.address.to_string(), ToString::to_string);
        let way = ways.entry(key).or_default();
        *way = (*way).max(beat.heard);
    }
    let heard = ways.values().flatten().filter(|at| now.since(**at) < status.threshold).count();
    (heard, ways.len(), ways.values().flatten().map(|at| now.since(*at)).max())
}
