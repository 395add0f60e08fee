//! A group as all its members tell it together.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::ha::status::{HaStatus, Heartbeat, Rehearsal, Said};
use crate::domain::ha::words::{BeatState, Configured, Effective, GroupKind};
use crate::domain::ids::{HaName, PeerId};
use crate::domain::snapshot::{Cluster, Limits, Peer};
use crate::domain::time::Time;

/// One HA group.
#[derive(Clone, Debug)]
pub struct HaGroup {
    /// Its name.
    pub name: HaName,
    /// Its kind, by the word of its first member.
    pub kind: GroupKind,
    /// Who says to belong to it, in the order of the cluster's peers.
    pub members: Vec<Member>,
}

/// A member, and what it said last.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub id: PeerId,
    /// What it says.
    pub status: Arc<HaStatus>,
    /// When it said so.
    pub at: Time,
    /// Whether that is young enough to count, and the peer is on the line.
    pub fresh: bool,
}

/// Who of two primaries is right: the one with the greater rank. The higher epoch, then the configured primary, then the
/// lower serial.
#[must_use]
pub fn rank(epoch: u64, configured: Configured, id: &PeerId) -> impl Ord + '_ {
    (epoch, configured == Configured::Primary, Reverse(id))
}

impl Member {
    fn rank(&self) -> impl Ord + '_ {
        rank(self.status.epoch, self.status.configured, &self.id)
    }
}

/// The HA groups of `cluster`, by name.
#[must_use]
pub fn groups(cluster: &Cluster, now: Time) -> Vec<HaGroup> {
    let mut groups: BTreeMap<HaName, HaGroup> = BTreeMap::new();
    for peer in &cluster.peers {
        let Some(member) = member(peer, &cluster.limits, now) else { continue };
        let group = groups.entry(member.status.group.clone()).or_insert_with(|| HaGroup {
            name: member.status.group.clone(),
            kind: member.status.kind,
            members: Vec::new(),
        });
        group.members.push(member);
    }
    groups.into_values().collect()
}

fn member(peer: &Peer, limits: &Limits, now: Time) -> Option<Member> {
    let (status, at) = peer.ha.clone()?;
    let fresh = peer.is_reached() && now.since(at) <= limits.stale;
    Some(Member { id: peer.id.clone(), status, at, fresh })
}

impl HaGroup {
    /// The highest epoch that any member knows.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.members.iter().map(|m| m.status.epoch).max().unwrap_or(0)
    }

    /// Members whose word is fresh.
    pub fn fresh(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.fresh)
    }

    /// Members that say to be primary, by fresh word.
    #[must_use]
    pub fn primaries(&self) -> Vec<&Member> {
        self.fresh().filter(|m| matches!(m.status.effective, Effective::Primary | Effective::ConfigPrimary)).collect()
    }

    /// Of two primaries the one that is wrong, and lets go: by [`rank`] the lowest. `None`: there are not two.
    #[must_use]
    pub fn wrong_primary(&self) -> Option<&Member> {
        let primaries = self.primaries();
        primaries.iter().copied().min_by_key(|m| m.rank()).filter(|_| primaries.len() > 1)
    }

    /// "If A died now, B takes over in 16.0 to 16.2 s", or why not, by the word of `member`; `None` where there is
    /// nothing to rehearse. `label` names a peer.
    #[must_use]
    pub fn rehearsal(&self, member: &Member, label: impl Fn(&PeerId) -> String) -> Option<String> {
        let other = self.members.iter().find(|m| m.id != member.id);
        let dies = other.map_or_else(|| "the other unit".to_owned(), |m| label(&m.id));
        let name = label(&member.id);
        match &member.status.rehearsal {
            Rehearsal::None => None,
            Rehearsal::Takes { from, to, may_split } => {
                let split = if *may_split { "; a cut between them would give two primaries" } else { "" };
                let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
                Some(format!("if {dies} died now, {name} takes over in {from:.1} to {to:.1} s{split}"))
            }
            Rehearsal::Refuses(why) => Some(format!("if {dies} died now, {name} would not take over: {why}")),
        }
    }

    /// What units of a pair hear now of a fellow whose own word does not come here.
    #[must_use]
    pub fn hearsay(&self, now: Time) -> Vec<Said> {
        let silent = |m: &Member| self.members.iter().find(|o| o.id != m.id).is_none_or(|o| !o.fresh);
        let heard = |m: &Member| {
            let status = Arc::clone(&m.status);
            let now_heard = |h: &Heartbeat| {
                let comes = matches!(h.state, BeatState::Ok | BeatState::Late);
                comes && h.heard.is_some_and(|at| now.since(at) <= status.threshold)
            };
            status.heartbeats.iter().filter(|h| now_heard(h)).filter_map(|h| h.said).collect::<Vec<_>>()
        };
        self.fresh().filter(|m| self.kind == GroupKind::ActivePassive && silent(m)).flat_map(heard).collect()
    }

    /// Who holds each virtual address, by fresh word.
    #[must_use]
    pub fn holders(&self) -> BTreeMap<IpAddr, Vec<&PeerId>> {
        let mut holders: BTreeMap<IpAddr, Vec<&PeerId>> = BTreeMap::new();
        for member in &self.members {
            for address in &member.status.addresses {
                let who = holders.entry(address.address).or_default();
                if address.held && member.fresh {
                    who.push(&member.id);
                }
            }
        }
        holders
    }
}
