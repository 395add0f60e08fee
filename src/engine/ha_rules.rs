//! Conditions of HA groups: who is primary, who holds the addresses, and what a takeover would come to.
//!
//! Only fresh words count: what a unit said too long ago never makes two of anything. What follows from a unit that is
//! dead is not told beside it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cluster::ClusterState;
use super::findings::Candidate;
use super::ha_links;
use super::held_back::utc;
use crate::domain::finding::{FindingKind, Subject};
use crate::domain::ha::group::{HaGroup, Member, groups};
use crate::domain::ha::status::{Rehearsal, RoleChange};
use crate::domain::ha::{AddressAction, BeatState, Configured, Effective, GroupKind, HaStatus, WitnessMode};
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

/// A unit that has been off for no longer than its takeover takes, and this, is starting.
const STARTING: Duration = Duration::from_secs(2);

/// A setting that must be the same on all units: its name, and how it stands on one.
type Fact<'f> = (&'static str, &'f dyn Fn(&Member) -> String);

/// A group at one moment, and what is known of its units beside their word.
pub(super) struct View<'a> {
    pub state: &'a ClusterState,
    pub group: &'a HaGroup,
    /// Peers that live and are not reached from here.
    pub unseen: &'a BTreeSet<&'a PeerId>,
    pub now: Time,
}

/// All conditions of a cluster's HA groups that hold at `now`, beside those that were `found`.
pub(super) fn candidates(state: &ClusterState, found: &[Candidate], now: Time) -> Vec<Candidate> {
    let alive = |c: &&Candidate| {
        matches!(
            c.kind,
            FindingKind::PeerUnobserved
                | FindingKind::LoginRefused
                | FindingKind::HostKeyUnknown
                | FindingKind::HostKeyChanged
        )
    };
    let unseen: BTreeSet<&PeerId> = found.iter().filter(alive).flat_map(|c| c.subject.peers()).collect();
    let mut all = Vec::new();
    for group in &groups(&state.cluster, now) {
        let view = View { state, group, unseen: &unseen, now };
        if group.fresh().next().is_some() {
            view.roles(&mut all);
            ha_links::candidates(&view, &mut all);
        }
    }
    all
}

impl View<'_> {
    pub fn name(&self, id: &PeerId) -> String {
        self.state.cluster.label(id).to_owned()
    }

    /// A condition of the whole group.
    pub fn of_group(&self, kind: FindingKind, since: Time, text: &str) -> Candidate {
        Candidate::new(kind, Subject::Ha(self.group.name.clone()), since, text)
    }

    /// A condition of one unit.
    pub fn of_unit(&self, kind: FindingKind, id: &PeerId, since: Time, text: &str) -> Candidate {
        let _ = self;
        Candidate::new(kind, Subject::Peer(id.clone()), since, text)
    }

    pub fn is_pair(&self) -> bool {
        self.group.kind == GroupKind::ActivePassive
    }

    /// The other unit of a pair.
    pub fn other(&self, id: &PeerId) -> Option<&Member> {
        let mut others = self.group.members.iter().filter(|m| m.id != *id);
        others.next().filter(|_| self.is_pair() && others.next().is_none())
    }

    /// Whether it lives, as far as can be told from here.
    pub fn lives(&self, member: &Member) -> bool {
        member.fresh || self.unseen.contains(&member.id)
    }

    /// Units whose word about others counts.
    pub fn trusted(&self) -> impl Iterator<Item = &Member> {
        let well = |m: &&Member| self.state.cluster.peer(&m.id).is_some_and(|p| !p.health.is_late());
        self.group.fresh().filter(|m| m.status.distrust.is_none()).filter(well)
    }

    fn is_starting(&self, status: &HaStatus) -> bool {
        status.effective == Effective::Off && self.now.since(status.since) <= status.takeover_after + STARTING
    }

    /// Longest wait of its units.
    fn takeover_after(&self) -> Duration {
        self.group.fresh().map(|m| m.status.takeover_after).max().unwrap_or_default()
    }

    fn roles(&self, all: &mut Vec<Candidate>) {
        all.extend(self.two_primaries());
        all.extend(self.configured());
        all.extend(self.mixed());
        all.extend(self.drift());
        if !self.is_pair() {
            return;
        }
        let none = self.no_primary();
        if none.is_none() {
            all.extend(self.nobody_holds());
        }
        all.extend(none);
        all.extend(self.two_hold());
        all.extend(self.takeover());
        all.extend(self.hold_off());
        all.extend(self.may_split());
        all.extend(self.no_takeover());
    }

    fn two_primaries(&self) -> Option<Candidate> {
        let primaries = self.group.primaries();
        // One may have become primary after the last word of the other: both must have been so at one moment.
        let overlaps = |a: &Member, b: &Member| a.at >= b.status.since && b.at >= a.status.since;
        let pairs = || primaries.iter().enumerate().flat_map(|(i, a)| primaries[i + 1..].iter().map(move |b| (a, b)));
        if !pairs().any(|(a, b)| overlaps(a, b)) {
            return None;
        }
        let unit = |m: &&Member| format!("{} in epoch {}", self.name(&m.id), m.status.epoch);
        let mut text =
            format!("{} has {} primaries: {}", self.group.name, primaries.len(), list(primaries.iter().map(unit)));
        if self.is_pair() {
            let holding: Vec<String> =
                self.group.fresh().filter(|m| m.status.holds()).map(|m| self.name(&m.id)).collect();
            let holders = match holding.as_slice() {
                [] => "nobody holds the address".to_owned(),
                [one] => format!("{one} holds the address"),
                several => format!("{} hold the address", list(several.iter().cloned())),
            };
            text = format!("{text}; {holders}");
        }
        let since = primaries.iter().map(|m| m.status.since).max().unwrap_or(self.now);
        let mut c = self.of_group(FindingKind::HaTwoPrimaries, since, &text);
        c.evidence = primaries.iter().map(|m| self.unit_line(m)).collect();
        Some(c)
    }

    /// What a unit is, since when and why, and what it holds.
    fn unit_line(&self, m: &Member) -> Line {
        let s = &m.status;
        let because = if s.reason.is_empty() { String::new() } else { format!(": {}", s.reason) };
        let held: Vec<String> = s.addresses.iter().filter(|a| a.held).map(|a| a.address.to_string()).collect();
        let holds = if held.is_empty() { String::new() } else { format!("; holds {}", held.join(", ")) };
        Line::new(&format!(
            "{} is {} (configured {}) in epoch {} since {}{because}{holds}",
            self.name(&m.id),
            s.effective.as_str(),
            s.configured.as_str(),
            s.epoch,
            utc(s.since)
        ))
    }

    fn no_primary(&self) -> Option<Candidate> {
        let members = &self.group.members;
        let is_primary = |m: &Member| m.status.effective == Effective::Primary;
        let starts = |m: &Member| self.is_starting(&m.status);
        let all_off = members.iter().all(|m| m.status.configured == Configured::Off);
        let one = self.group.fresh().any(is_primary)
            || self.group.hearsay(self.now).iter().any(|s| s.effective == Effective::Primary);
        if one || all_off || self.group.fresh().any(starts) {
            return None;
        }
        let word = |m: &Member| {
            let name = self.name(&m.id);
            match (m.fresh, m.status.effective) {
                (false, _) => format!("nothing is heard of {name}"),
                (true, Effective::HoldOff) => format!("{name} waits for an announced restart (hold-off)"),
                (true, role) => format!("{name} is {}", role.as_str()),
            }
        };
        let text = format!("{} has no primary: {}", self.group.name, list(members.iter().map(word)));
        let since = members.iter().map(|m| if m.fresh { m.status.since } else { m.at }).max().unwrap_or(self.now);
        let mut c = self.of_group(FindingKind::HaNoPrimary, since, &text);
        c.evidence = members.iter().map(|m| self.unit_line(m)).collect();
        c.evidence.extend(
            self.group
                .fresh()
                .filter_map(|m| m.status.hold_off_until)
                .map(|until| Line::new(&format!("the hold-off ends at {}", utc(until)))),
        );
        let limit = self.state.cluster.limits.unreachable;
        // Where one is gone the other takes over in its time.
        c.hold = if members.iter().all(|m| m.fresh) { limit } else { self.takeover_after() + limit };
        Some(c)
    }

    fn two_hold(&self) -> Option<Candidate> {
        let holders = self.group.holders();
        let twice: Vec<_> = holders.iter().filter(|(_, who)| who.len() > 1).collect();
        let (first, who) = twice.first()?;
        let epoch = |id: &&PeerId| {
            let epoch = self.group.members.iter().find(|m| m.id == **id).map_or(0, |m| m.status.epoch);
            format!("{} (epoch {epoch})", self.name(id))
        };
        let more = if twice.len() > 1 { format!(" and {} more", twice.len() - 1) } else { String::new() };
        let text = format!("{first}{more} of {} is held by {}", self.group.name, list(who.iter().map(epoch)));
        let mut c = self.of_group(FindingKind::HaAddressTwo, self.now, &text);
        c.evidence = self.group.fresh().filter(|m| m.status.holds()).map(|m| self.unit_line(m)).collect();
        // The words of two units may be of two moments: an address that moves is not held twice.
        c.hold = self.state.cluster.limits.stale;
        Some(c)
    }

    fn nobody_holds(&self) -> Option<Candidate> {
        let primary = self.group.fresh().find(|m| m.status.effective == Effective::Primary)?;
        if self.group.hearsay(self.now).iter().any(|s| s.holds) {
            return None;
        }
        let holders = self.group.holders();
        let free = |a: &&crate::domain::ha::status::Address| {
            a.action != AddressAction::Ignore && holders.get(&a.address).is_none_or(Vec::is_empty)
        };
        let addresses: Vec<String> =
            primary.status.addresses.iter().filter(free).map(|a| a.address.to_string()).collect();
        if addresses.is_empty() {
            return None;
        }
        let name = self.name(&primary.id);
        let permitted = primary.status.permit.until.is_some_and(|until| until > self.now);
        let why = match (permitted, primary.status.permit.mode) {
            (true, _) => format!("{name} is primary and may, but does not"),
            (false, WitnessMode::Require) => format!("{name} is primary but too few voters let it"),
            (false, WitnessMode::Advise | WitnessMode::Off) => format!("{name} is primary without a permit"),
        };
        let text = format!("nobody holds {} of {}: {why}", list(addresses), self.group.name);
        let since = self.now;
        let mut c = self.of_group(FindingKind::HaAddressNone, since, &text);
        c.evidence.push(self.unit_line(primary));
        c.evidence.extend(primary.status.troubles.iter().cloned());
        c.hold = self.state.cluster.limits.unreachable;
        Some(c)
    }

    fn drift(&self) -> Option<Candidate> {
        let drifts = |m: &&Member| {
            let s = &m.status;
            let told = s.configured != Configured::Off && s.effective != Effective::HoldOff;
            told && !s.is_as_configured() && !self.is_starting(s)
        };
        let of: Vec<&Member> = self.group.fresh().filter(drifts).collect();
        let since = of.iter().map(|m| m.status.since).max()?;
        let word = |m: &&Member| {
            let s = &m.status;
            format!("{} is {}, configured {}", self.name(&m.id), s.effective.as_str(), s.configured.as_str())
        };
        let text = format!("{}: {}", self.group.name, of.iter().map(word).collect::<Vec<_>>().join("; "));
        let mut c = self.of_group(FindingKind::HaRoleDrift, since, &text);
        c.evidence = of.iter().map(|m| self.unit_line(m)).collect();
        c.evidence
            .extend(of.iter().map(|m| {
                Line::new(&format!("on-failure of {} is {}", self.name(&m.id), m.status.on_failure.as_str()))
            }));
        Some(c)
    }

    /// The newest change by which somebody became primary.
    fn last_takeover(&self) -> Option<(&Member, &RoleChange)> {
        let took = |c: &&RoleChange| c.to == Effective::Primary && c.from != Effective::Primary;
        let changes = self.group.members.iter().filter_map(|m| Some((m, m.status.changes.iter().rfind(took)?)));
        changes.max_by_key(|(_, c)| (c.epoch, c.at))
    }

    fn takeover(&self) -> Option<Candidate> {
        let waits = |m: &&Member| m.status.quiet_until.is_some_and(|until| until > self.now);
        let until = self.group.fresh().filter(waits).filter_map(|m| m.status.quiet_until).max()?;
        let quiet = self.group.fresh().find(waits)?;
        let (member, change) = self.last_takeover().map_or((quiet, None), |(m, c)| (m, Some(c)));
        let name = self.name(&member.id);
        let from = self.other(&member.id).map_or_else(String::new, |o| format!(" from {}", self.name(&o.id)));
        let reason = change.map(|c| &c.reason).filter(|r| !r.is_empty());
        let because = reason.map_or_else(String::new, |r| format!(": {r}"));
        let text = format!("{name} took {} over{from}{because}", self.group.name);
        let mut c = self.of_group(FindingKind::HaTakeover, change.map_or(member.status.since, |c| c.at), &text);
        if let Some(change) = change {
            let row = if change.row > 0 { format!(", row {} of the state table", change.row) } else { String::new() };
            c.evidence.push(Line::new(&format!(
                "{name} became primary at {} in epoch {}, it was {}{row}",
                utc(change.at),
                change.epoch,
                change.from.as_str()
            )));
        }
        c.evidence.push(Line::new(&format!("the quiet period ends at {}, or when it is accepted", utc(until))));
        Some(c)
    }

    fn hold_off(&self) -> Option<Candidate> {
        let m = self.group.fresh().find(|m| m.status.effective == Effective::HoldOff)?;
        let name = self.name(&m.id);
        let other = self.other(&m.id).map_or_else(|| "the other unit".to_owned(), |o| self.name(&o.id));
        let until = m.status.hold_off_until.map_or_else(String::new, |at| format!(" until {}", utc(at)));
        let text = format!("{name} of {} waits for {other} to restart{until}", self.group.name);
        let mut c = self.of_group(FindingKind::HaHoldOff, m.status.since, &text);
        c.evidence.push(self.unit_line(m));
        Some(c)
    }

    fn may_split(&self) -> Option<Candidate> {
        let alone = |m: &&Member| match m.status.permit.mode {
            WitnessMode::Require => false,
            WitnessMode::Off => m.status.configured != Configured::Off,
            WitnessMode::Advise => {
                let heard = m.status.permit.witness_heard;
                heard.is_none_or(|at| self.now.since(at) > m.status.takeover_after)
            }
        };
        let m = self.group.fresh().find(alone).filter(|_| self.group.members.len() > 1)?;
        let witness = match m.status.permit.mode {
            WitnessMode::Advise => "its witness does not answer",
            WitnessMode::Off | WitnessMode::Require => "it has no witness",
        };
        let text =
            format!("{} may split: a cut between its units would give two primaries, {witness}", self.group.name);
        let mut c = self.of_group(FindingKind::HaMaySplit, m.status.since, &text);
        let links: BTreeSet<&str> =
            m.status.heartbeats.iter().filter(|h| h.state == BeatState::Ok).map(|h| h.link.as_str()).collect();
        c.evidence.push(Line::new(&match links.len() {
            0 => "no heartbeat link works now".to_owned(),
            1 => "one heartbeat link works: its cut is enough".to_owned(),
            n => format!("{n} heartbeat links work: all of them would have to be cut"),
        }));
        Some(c)
    }

    fn no_takeover(&self) -> Option<Candidate> {
        let refuses = |m: &Member| match &m.status.rehearsal {
            Rehearsal::Refuses(why) if m.status.effective == Effective::Secondary => Some(why.clone()),
            Rehearsal::Refuses(_) | Rehearsal::None | Rehearsal::Takes { .. } => None,
        };
        let known = |m: &&Member| m.status.distrust.is_none() && self.other(&m.id).is_some_and(|o| self.lives(o));
        let (m, why) = self.group.fresh().filter(known).find_map(|m| Some((m, refuses(m)?)))?;
        let primary = self.other(&m.id).map_or_else(|| "the primary".to_owned(), |o| self.name(&o.id));
        let text =
            format!("if {primary} died now, {} would not take {} over: {why}", self.name(&m.id), self.group.name);
        let mut c = self.of_group(FindingKind::HaNoTakeover, self.now, &text);
        c.hold = m.status.takeover_after + self.state.cluster.limits.unreachable;
        Some(c)
    }

    fn configured(&self) -> Option<Candidate> {
        let members = &self.group.members;
        let is_primary = |m: &&Member| matches!(m.status.configured, Configured::Primary | Configured::ConfigPrimary);
        let primaries: Vec<String> = self.group.fresh().filter(is_primary).map(|m| self.name(&m.id)).collect();
        let units = self.group.fresh().filter(|m| m.status.configured != Configured::Off).count();
        let text = if primaries.len() > 1 {
            format!("{} are configured primary of {}: exactly one may be", list(primaries), self.group.name)
        } else if self.is_pair() && units > 2 {
            let names = members.iter().map(|m| self.name(&m.id));
            format!("{} has {units} units ({}), active-passive has two", self.group.name, list(names))
        } else if units > 1 && !members.iter().any(|m| is_primary(&m)) {
            format!("no unit of {} is configured primary", self.group.name)
        } else {
            return None;
        };
        let mut c = self.of_group(FindingKind::HaTwoConfigured, self.now, &text);
        c.evidence = members.iter().map(|m| self.unit_line(m)).collect();
        Some(c)
    }

    fn mixed(&self) -> Option<Candidate> {
        let level = |m: &Member| {
            let identity = self.state.cluster.peer(&m.id).and_then(|p| p.identity.clone());
            identity.map_or_else(String::new, |i| i.level.to_string())
        };
        let facts: [Fact<'_>; 7] = [
            ("kind", &|m| m.status.kind.as_str().to_owned()),
            ("hb-interval", &|m| human(m.status.interval)),
            ("hb-lost-threshold", &|m| human(m.status.threshold)),
            ("takeover time", &|m| human(m.status.takeover_after)),
            ("witness", &|m| m.status.permit.mode.as_str().to_owned()),
            ("split-brain", &|m| m.status.split_brain.as_str().to_owned()),
            ("level", &level),
        ];
        let fresh: Vec<&Member> = self.group.fresh().filter(|m| m.status.configured != Configured::Off).collect();
        let differs = |f: &dyn Fn(&Member) -> String| fresh.iter().map(|m| f(m)).collect::<BTreeSet<_>>().len() > 1;
        let different: Vec<&Fact<'_>> = facts.iter().filter(|(_, f)| differs(f)).collect();
        if different.is_empty() {
            return None;
        }
        let what = list(different.iter().map(|(what, _)| (*what).to_owned()));
        let text = format!("the units of {} are not set alike: {what}", self.group.name);
        let mut c = self.of_group(FindingKind::HaMixed, self.now, &text);
        c.evidence = different
            .iter()
            .map(|(what, f)| {
                let each: Vec<String> = fresh.iter().map(|m| format!("{} {}", self.name(&m.id), f(m))).collect();
                Line::new(&format!("{what}: {}", each.join(", ")))
            })
            .collect();
        Some(c)
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(names: impl IntoIterator<Item = String>) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}
