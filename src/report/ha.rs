//! HA groups: who has which role, who hears whom, who holds the address (F14): `ha`.

use std::time::Duration;

use serde::Serialize;

use super::check::{Check, Value, plugin_line};
use super::findings::FindingDoc;
use super::{chosen, count, host, rfc3339, seconds};
use crate::domain::finding::{Finding, FindingKind, Subject};
use crate::domain::ha::group::{HaGroup, Member, groups};
use crate::domain::ha::status::{Address, Heartbeat, Monitor, Rehearsal, RoleChange};
use crate::domain::ha::{Effective, GroupKind};
use crate::domain::snapshot::{Cluster, Snapshot};
use crate::domain::time::Time;

/// `peerdeck.ha/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct HaDoc {
    schema: &'static str,
    at: String,
    complete: bool,
    /// `OK`, `WARNING`, `CRITICAL` or `UNKNOWN`.
    status: &'static str,
    groups: Vec<GroupDoc>,
}

/// An HA group.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct GroupDoc {
    cluster: String,
    name: String,
    kind: &'static str,
    /// The highest that any unit has told.
    epoch: u64,
    status: &'static str,
    /// Who is primary by fresh word; null for nobody, and for several.
    primary: Option<String>,
    /// "If A died now, B takes over in 16.0 to 16.2 s."
    rehearsal: Option<String>,
    members: Vec<MemberDoc>,
    /// Role changes of all units, the oldest first.
    changes: Vec<ChangeDoc>,
    findings: Vec<FindingDoc>,
}

/// A unit. What it said too long ago is null.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct MemberDoc {
    peer: String,
    configured: &'static str,
    effective: Option<&'static str>,
    /// Whether the two differ.
    drift: Option<bool>,
    epoch: u64,
    since: Option<String>,
    reason: Option<String>,
    /// How old its word is.
    age_s: f64,
    on_failure: &'static str,
    interval_s: f64,
    threshold_s: f64,
    takeover_after_s: f64,
    split_brain: &'static str,
    heartbeats: Vec<HeartbeatDoc>,
    services: Vec<ServiceDoc>,
    addresses: Vec<AddressDoc>,
    permit: PermitDoc,
    config_synced_at: Option<String>,
    data_synced_at: Option<String>,
    sync_trouble: Option<String>,
    hold_off_until: Option<String>,
    quiet_until: Option<String>,
    distrust: Option<String>,
    troubles: Vec<String>,
    strangers: u64,
    replays: u64,
    rehearsal: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct HeartbeatDoc {
    link: &'static str,
    /// Who is at its other end; null before it was heard.
    peer: Option<String>,
    address: String,
    age_s: Option<f64>,
    threshold_s: f64,
    state: Option<&'static str>,
    /// Whether the other end says that it hears this unit on this link.
    hears_us: Option<bool>,
    missed: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct ServiceDoc {
    name: &'static str,
    state: Option<&'static str>,
    failures: u32,
    retries: u32,
    next_in_s: Option<f64>,
    detail: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct AddressDoc {
    address: String,
    prefix: u8,
    interface: String,
    action: &'static str,
    held: Option<bool>,
    lease_left_s: Option<f64>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct PermitDoc {
    witness: &'static str,
    left_s: Option<f64>,
    votes: Option<u8>,
    witness_age_s: Option<f64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct ChangeDoc {
    at: String,
    peer: String,
    from: &'static str,
    to: &'static str,
    epoch: u64,
    /// Of the state table; null for none of them.
    row: Option<u8>,
    reason: String,
}

/// A group of the picture, with its cluster.
pub(super) struct Seen<'a> {
    pub cluster: &'a Cluster,
    pub group: HaGroup,
    pub now: Time,
}

/// The groups that are asked for: all, or those of this name.
pub(super) fn wanted<'a>(snapshot: &'a Snapshot, only: Option<&'a str>, name: Option<&'a str>) -> Vec<Seen<'a>> {
    let now = snapshot.at;
    let of = |cluster: &'a Cluster| groups(cluster, now).into_iter().map(move |group| Seen { cluster, group, now });
    chosen(snapshot, only).flat_map(of).filter(|s| name.is_none_or(|n| s.group.name.as_str() == n)).collect()
}

/// The names of the groups that are there.
#[must_use]
pub fn names(snapshot: &Snapshot, only: Option<&str>) -> Vec<String> {
    wanted(snapshot, only, None).iter().map(|s| s.group.name.to_string()).collect()
}

impl Seen<'_> {
    pub fn label(&self, member: &Member) -> &str {
        self.cluster.peer(&member.id).map_or("?", |p| self.cluster.label(&p.id))
    }

    /// What is wrong with the group or one of its units.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let of = |f: &&Finding| match &f.subject {
            Subject::Ha(name) => *name == self.group.name,
            Subject::Peer(id) => {
                let dead = matches!(
                    f.kind,
                    FindingKind::PeerUnreachable | FindingKind::PeerUnobserved | FindingKind::PeerIsolated
                );
                (f.kind.is_ha() || dead) && self.group.members.iter().any(|m| m.id == *id)
            }
            Subject::Watcher
            | Subject::Cluster
            | Subject::Link { .. }
            | Subject::Pair { .. }
            | Subject::Group(_)
            | Subject::Groups { .. } => false,
        };
        self.cluster.findings.iter().filter(of)
    }

    /// The answer: the worst finding, and what one look shows already; unknown where a unit's word is too old.
    pub fn check(&self) -> Check {
        let worst = self.findings().map(|f| Check::from(f.severity)).max().unwrap_or(Check::Ok);
        let pair = self.group.kind == GroupKind::ActivePassive;
        let told_by_other = self.group.hearsay(self.now).iter().any(|s| s.effective == Effective::Primary);
        let blind = self.group.members.iter().any(|m| !m.fresh) || told_by_other;
        let twice = self.group.holders().values().any(|who| who.len() > 1);
        let refuses = |m: &Member| matches!(m.status.rehearsal, Rehearsal::Refuses(_));
        let alone = self.group.fresh().any(|m| m.status.effective == Effective::Secondary && refuses(m));
        let seen = match self.group.primaries().len() {
            0 if !blind && pair => Check::Critical,
            1 if twice => Check::Critical,
            1 if alone => Check::Warning,
            0 | 1 => Check::Ok,
            _ => Check::Critical,
        };
        let told = worst.max(seen);
        if blind { told.max(Check::Unknown) } else { told }
    }

    /// Role changes of all units, the oldest first.
    pub fn changes(&self) -> Vec<(&Member, &RoleChange)> {
        let mut all: Vec<(&Member, &RoleChange)> =
            self.group.members.iter().flat_map(|m| m.status.changes.iter().map(move |c| (m, c))).collect();
        all.sort_by_key(|(m, c)| (c.at, m.id.clone()));
        all
    }

    /// The sentence of the unit that would take over.
    pub fn rehearsal(&self) -> Option<String> {
        self.group.fresh().find_map(|m| self.rehearsal_of(m))
    }

    fn rehearsal_of(&self, member: &Member) -> Option<String> {
        if member.status.effective == Effective::Primary || self.group.members.len() < 2 {
            return None;
        }
        self.group.rehearsal(member, |id| self.cluster.label(id).to_owned())
    }

    fn document(&self) -> GroupDoc {
        let primaries = self.group.primaries();
        GroupDoc {
            cluster: self.cluster.name.to_string(),
            name: self.group.name.to_string(),
            kind: self.group.kind.as_str(),
            epoch: self.group.epoch(),
            status: self.check().word(),
            primary: match primaries.as_slice() {
                [one] => Some(host(self.cluster, &one.id)),
                _ => None,
            },
            rehearsal: self.rehearsal(),
            members: self.group.members.iter().map(|m| self.member(m)).collect(),
            changes: self.changes().into_iter().map(|(m, c)| self.change(m, c)).collect(),
            findings: self.findings().map(|f| FindingDoc::new(Some(self.cluster), f)).collect(),
        }
    }

    fn member(&self, m: &Member) -> MemberDoc {
        let (s, now) = (&m.status, self.now);
        let text = |line: &Option<crate::domain::Line>| line.as_ref().map(ToString::to_string);
        let left = |until: Option<Time>| until.filter(|_| m.fresh).map(|at| seconds(at.since(now)));
        MemberDoc {
            peer: host(self.cluster, &m.id),
            configured: s.configured.as_str(),
            effective: m.fresh.then(|| s.effective.as_str()),
            drift: m.fresh.then(|| !s.is_as_configured()),
            epoch: s.epoch,
            since: m.fresh.then(|| rfc3339(s.since)),
            reason: Some(s.reason.to_string()).filter(|r| m.fresh && !r.is_empty()),
            age_s: seconds(now.since(m.at)),
            on_failure: s.on_failure.as_str(),
            interval_s: seconds(s.interval),
            threshold_s: seconds(s.threshold),
            takeover_after_s: seconds(s.takeover_after),
            split_brain: s.split_brain.as_str(),
            heartbeats: s.heartbeats.iter().map(|h| self.heartbeat(m, h)).collect(),
            services: s.monitors.iter().map(|x| service(m, x, now)).collect(),
            addresses: s.addresses.iter().map(|a| address(m, a)).collect(),
            permit: PermitDoc {
                witness: s.permit.mode.as_str(),
                left_s: left(s.permit.until),
                votes: m.fresh.then_some(s.permit.votes),
                witness_age_s: s.permit.witness_heard.map(|at| seconds(now.since(at))),
            },
            config_synced_at: s.config_synced.map(rfc3339),
            data_synced_at: s.data_synced.map(rfc3339),
            sync_trouble: text(&s.sync_trouble),
            hold_off_until: s.hold_off_until.map(rfc3339),
            quiet_until: s.quiet_until.filter(|until| *until > now).map(rfc3339),
            distrust: text(&s.distrust),
            troubles: s.troubles.iter().chain(&s.hook_trouble).map(ToString::to_string).collect(),
            strangers: s.strangers,
            replays: s.replays,
            rehearsal: self.rehearsal_of(m),
        }
    }

    fn heartbeat(&self, m: &Member, h: &Heartbeat) -> HeartbeatDoc {
        HeartbeatDoc {
            link: h.link.as_str(),
            peer: h.peer.as_ref().map(|id| host(self.cluster, id)),
            address: h.address.to_string(),
            age_s: h.heard.map(|at| seconds(self.now.since(at))),
            threshold_s: seconds(m.status.threshold),
            state: m.fresh.then(|| h.state.as_str()),
            hears_us: h.hears_us.filter(|_| m.fresh),
            missed: h.missed,
        }
    }

    fn change(&self, m: &Member, c: &RoleChange) -> ChangeDoc {
        ChangeDoc {
            at: rfc3339(c.at),
            peer: host(self.cluster, &m.id),
            from: c.from.as_str(),
            to: c.to.as_str(),
            epoch: c.epoch,
            row: (c.row > 0).then_some(c.row),
            reason: c.reason.to_string(),
        }
    }
}

fn service(m: &Member, monitor: &Monitor, now: Time) -> ServiceDoc {
    ServiceDoc {
        name: monitor.kind.as_str(),
        state: m.fresh.then(|| monitor.state.as_str()),
        failures: monitor.failures,
        retries: monitor.retries,
        next_in_s: monitor.next.filter(|_| m.fresh).map(|at| seconds(at.since(now))),
        detail: Some(monitor.detail.to_string()).filter(|d| !d.is_empty()),
    }
}

fn address(m: &Member, a: &Address) -> AddressDoc {
    AddressDoc {
        address: a.address.to_string(),
        prefix: a.prefix,
        interface: a.interface.to_string(),
        action: a.action.as_str(),
        held: m.fresh.then_some(a.held),
        lease_left_s: a.lease_until.filter(|_| m.fresh && a.held).map(|until| seconds(until.since(m.at))),
    }
}

/// The document.
#[must_use]
pub fn document(snapshot: &Snapshot, only: Option<&str>, name: Option<&str>, complete: bool) -> HaDoc {
    HaDoc {
        schema: "peerdeck.ha/1",
        at: rfc3339(snapshot.at),
        complete,
        status: check(snapshot, only, name, complete).word(),
        groups: wanted(snapshot, only, name).iter().map(Seen::document).collect(),
    }
}

/// The answer: the worst of the groups; unknown where no peer tells of one.
#[must_use]
pub fn check(snapshot: &Snapshot, only: Option<&str>, name: Option<&str>, complete: bool) -> Check {
    let worst = wanted(snapshot, only, name).iter().map(Seen::check).max().unwrap_or(Check::Unknown);
    if complete { worst } else { worst.max(Check::Unknown) }
}

/// The line of a monitoring plugin, with the age of what each unit last heard against its threshold.
#[must_use]
pub fn plugin(snapshot: &Snapshot, only: Option<&str>, name: Option<&str>, complete: bool) -> String {
    let seen = wanted(snapshot, only, name);
    let mut values = Vec::new();
    let (mut primaries, mut texts) = (0, Vec::new());
    for s in &seen {
        let of = s.group.primaries();
        primaries += usize::from(of.len() == 1);
        let who = match of.as_slice() {
            [one] => s.label(one).to_owned(),
            [] => "nobody".to_owned(),
            several => several.iter().map(|m| s.label(m)).collect::<Vec<_>>().join(" and "),
        };
        texts.push(format!("{}: primary is {who}, epoch {}", s.group.name, s.group.epoch()));
        for m in s.group.fresh().filter(|_| s.group.kind == GroupKind::ActivePassive) {
            if let Some(age) = m.status.silence(snapshot.at) {
                let label = plain(&format!("{}_{}_heartbeat", s.group.name, s.label(m)));
                let (half, whole) = (m.status.threshold / 2, m.status.threshold);
                values.push(Value::age_within(label, age, half, whole));
            }
        }
    }
    let worst = seen.iter().flat_map(Seen::findings).max_by_key(|f| f.severity);
    let text = match (worst, texts.is_empty()) {
        (_, true) => "no peer tells of an HA group".to_owned(),
        (Some(f), false) => format!("{}; {}", f.text, texts.join("; ")),
        (None, false) => texts.join("; "),
    };
    let groups = count(seen.len(), "group");
    let mut all = vec![Value::count("groups", seen.len(), None), Value::count("with_one_primary", primaries, None)];
    all.append(&mut values);
    plugin_line(check(snapshot, only, name, complete), &format!("{groups}; {text}"), &all)
}

/// A label of performance data: letters, digits and underscores.
fn plain(text: &str) -> String {
    let one = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    text.chars().map(one).collect()
}

/// Groups by how they stand, for metrics: all, without a primary, with two, and takeovers that wait to be accepted.
pub(super) fn counts(cluster: &Cluster, now: Time) -> [usize; 4] {
    let all: Vec<HaGroup> = groups(cluster, now);
    let pairs = || all.iter().filter(|g| g.kind == GroupKind::ActivePassive);
    let told = |g: &&HaGroup| g.members.iter().all(|m| m.fresh);
    let quiet = |g: &&HaGroup| g.fresh().any(|m| m.status.quiet_until.is_some_and(|until| until > now));
    [
        all.len(),
        pairs().filter(told).filter(|g| g.primaries().is_empty()).count(),
        all.iter().filter(|g| g.primaries().len() > 1).count(),
        pairs().filter(quiet).count(),
    ]
}

/// How long since, as a share of the threshold, drawn in `cells` signs.
pub(super) fn gauge(age: Duration, threshold: Duration, cells: usize) -> String {
    let share = if threshold.is_zero() { 1.0 } else { (age.as_secs_f64() / threshold.as_secs_f64()).min(1.0) };
    let full = (0..cells).filter(|n| share * cells_f64(cells) > cells_f64(*n)).count();
    format!("[{}{}]", "#".repeat(full), "-".repeat(cells - full))
}

fn cells_f64(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
