//! The first change of a document: a pure function of what the peers were provisioned with, so that each of them makes
//! the same one, bit by bit, and two clusters never share one (C32).

use std::collections::BTreeMap;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, Change, ROOT};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::ReplicaError;
use super::register::{self, CLUSTER_ID, Message};
use crate::domain::ids::{GroupId, GroupName, MemberId, PeerId};
use crate::domain::membership::{Addressing, Membership};
use crate::domain::settings::{Content, Key, Stamp, Value};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// What stands at [`CLUSTER_ID`].
#[derive(Serialize, Deserialize)]
pub(super) struct Founding {
    /// Random id of the cluster.
    pub id: String,
    /// Revision of the membership that the peers were provisioned with.
    pub revision: u64,
}

/// The membership id of a machine that a cluster was provisioned with. Later members get random ones.
#[must_use]
pub fn provisioned_member(cluster_id: &Line, machine: &PeerId) -> MemberId {
    let hash = digest(&SHA256, format!("peerdeck member\0{cluster_id}\0{machine}").as_bytes());
    MemberId::new(&format!("m{}", HEXLOWER.encode(&hash.as_ref()[..8])))
}

/// The id of the group that stands at this place of a provisioned membership, counted from 0.
#[must_use]
pub fn provisioned_group(at: usize) -> GroupId {
    GroupId::new(&format!("g{:06}", at + 1))
}

/// The actor of the first change.
pub(super) fn actor(cluster_id: &str) -> Vec<u8> {
    digest(&SHA256, format!("peerdeck genesis\0{cluster_id}").as_bytes()).as_ref()[..16].to_vec()
}

/// A document with only the first change.
pub(super) fn make(membership: &Membership) -> Result<(Automerge, Change), ReplicaError> {
    let wrong = |why: String| ReplicaError::Document(format!("the first change can't be made: {why}"));
    let mut doc = Automerge::new();
    doc.set_actor(ActorId::from(actor(membership.cluster_id.as_str())));
    let founding = Founding { id: membership.cluster_id.to_string(), revision: membership.revision };
    let founding = serde_json::to_string(&founding).map_err(|e| wrong(e.to_string()))?;
    let mut tx = doc.transaction();
    tx.put(ROOT, CLUSTER_ID, founding).map_err(|e| wrong(e.to_string()))?;
    let stamp = Stamp { at: Time::ZERO, count: 0, on: MemberId::new("provisioned") };
    for (key, value) in registers(membership) {
        let content = Content::Value(value.into());
        let text = register::write(&content, &stamp, &Line::new("provisioned")).map_err(wrong)?;
        tx.put(ROOT, key.to_string(), text).map_err(|e| wrong(e.to_string()))?;
    }
    let message = Message { c: String::new(), s: true }.text();
    let (hash, _) = tx.commit_with(CommitOptions::default().with_time(0).with_message(message));
    let change = hash.and_then(|h| automerge::ReadDoc::get_change_by_hash(&doc, &h));
    change.map(|c| (doc, c)).ok_or_else(|| wrong("nothing was written".into()))
}

/// The registers of a provisioned membership, in a fixed order.
fn registers(membership: &Membership) -> Vec<(Key, Value)> {
    let addressing = match membership.addressing {
        Addressing::HostName => "host-name",
        Addressing::Ip => "ip",
    };
    let mut all =
        vec![(Key::ClusterName, Value::text(membership.name.as_str())), (Key::Addressing, Value::text(addressing))];
    let mut groups: BTreeMap<&GroupName, GroupId> = BTreeMap::new();
    for (at, name) in membership.groups.iter().enumerate() {
        let id = provisioned_group(at);
        groups.entry(name).or_insert_with(|| id.clone());
        all.push((Key::GroupName(id), Value::text(name.as_str())));
    }
    let mut machines = BTreeMap::new();
    for m in &membership.machines {
        machines.insert(provisioned_member(&membership.cluster_id, &m.id), m);
    }
    for (id, m) in machines {
        let identity = Value::table([
            ("serial", Value::text(m.id.as_str())),
            ("host", Value::text(m.host.as_str())),
            ("address", Value::text(m.address.as_str())),
            ("port", Value::Int(i64::from(m.port))),
            ("machine-key", Value::text(m.machine_key.as_str())),
            ("host-key", Value::text(m.host_key.as_str())),
        ]);
        all.push((Key::MachineIdentity(id.clone()), identity));
        if let Some(group) = groups.get(&m.group) {
            all.push((Key::MachineGroup(id), Value::text(group.as_str())));
        }
    }
    all
}

/// What the first change says, if it is one.
pub(super) fn founding(change: &Change) -> Option<Founding> {
    let first = register::writes(change.decode()).ok()?.into_iter().next()?;
    let founding: Founding = (first.key == CLUSTER_ID).then(|| serde_json::from_str(&first.text).ok())??;
    let ours = change.deps().is_empty() && change.seq() == 1 && change.actor_id().to_bytes() == actor(&founding.id);
    ours.then_some(founding)
}
