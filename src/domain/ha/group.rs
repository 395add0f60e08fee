//! A group as all its members tell it together.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::ha::status::HaStatus;
use crate::domain::ha::words::{Effective, GroupKind};
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
