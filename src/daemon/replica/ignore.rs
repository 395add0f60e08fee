//! What a removed machine wrote outside its removal's causal past. It stays in the document, for refusing it would hide
//! everything made upon it; it is ignored when registers are read.

use std::collections::{BTreeMap, BTreeSet};

use super::log::{Log, key_hash};
use super::register;
use crate::domain::ids::MemberId;
use crate::domain::settings::{Entry, Key, Version, VersionId};

/// The ignored changes, and the registers that they wrote.
#[derive(Default)]
pub(super) struct Ignored {
    /// Places in the log.
    pub changes: BTreeSet<usize>,
    /// Hashes of the keys that they wrote.
    keys: BTreeSet<u64>,
}

impl Ignored {
    pub(super) fn touches(&self, key: &str) -> bool {
        !self.keys.is_empty() && self.keys.contains(&key_hash(key))
    }

    /// Of the whole log. Peers with equal documents get equal sets, in whatever order they took the changes in.
    pub(super) fn of(log: &Log) -> Self {
        let mut changes = BTreeSet::new();
        if !log.removals().is_empty() {
            let pasts = counted_removals(log);
            // A membership that only ignored changes wrote is none.
            let mut known: BTreeSet<&MemberId> = BTreeSet::new();
            let valid = |place: usize, known: &BTreeSet<&MemberId>| {
                let signer = &log.all()[place].stored.signer;
                let removed = |pasts: &Vec<Vec<bool>>| !pasts.iter().any(|past| past[place]);
                place == 0 || known.contains(signer) && !pasts.get(signer).is_some_and(removed)
            };
            loop {
                let before = known.len();
                for (member, place) in log.joins() {
                    if valid(*place, &known) {
                        known.insert(member);
                    }
                }
                if known.len() == before {
                    break;
                }
            }
            changes.extend((0..log.len()).filter(|place| !valid(*place, &known)));
        }
        let keys = changes.iter().flat_map(|place| log.all()[*place].keys()).copied().collect();
        Self { changes, keys }
    }

    /// The texts of the keys that one of the sets has and the other has not.
    pub(super) fn moved(&self, other: &Self, log: &Log) -> BTreeSet<Key> {
        let differ = self.changes.symmetric_difference(&other.changes);
        let writes = differ.flat_map(|place| log.all()[*place].writes());
        writes.filter_map(|w| register::key(&w.key).ok().flatten()).collect()
    }

    /// The versions of a register as if the ignored ones had never been written: what only they superseded stands.
    pub(super) fn entry(&self, log: &Log, key: &Key) -> Option<Entry> {
        struct Node {
            over: Vec<VersionId>,
            version: Option<Version>,
        }
        let (text, wanted) = (key.to_string(), key_hash(&key.to_string()));
        let mut nodes: BTreeMap<VersionId, Node> = BTreeMap::new();
        for (place, logged) in log.all().iter().enumerate() {
            if !logged.keys().contains(&wanted) {
                continue;
            }
            for write in logged.writes().into_iter().filter(|w| w.key == text) {
                let id = register::version_id(write.counter, &logged.actor);
                let over = write.over.iter().map(|(counter, actor)| register::version_id(*counter, actor)).collect();
                let valid = !self.changes.contains(&place);
                let version = valid.then(|| register::read(id.clone(), &write.text).ok()).flatten();
                nodes.insert(id, Node { over, version });
            }
        }
        let mut superseded: BTreeSet<VersionId> = BTreeSet::new();
        let mut stack: Vec<VersionId> =
            nodes.values().filter(|n| n.version.is_some()).flat_map(|n| n.over.clone()).collect();
        while let Some(id) = stack.pop() {
            let Some(node) = nodes.get(&id) else { continue };
            // Through an ignored version a valid one supersedes what that had superseded.
            if superseded.insert(id) && node.version.is_none() {
                stack.extend(node.over.iter().cloned());
            }
        }
        let stands = nodes.into_iter().filter(|(id, _)| !superseded.contains(id));
        Entry::new(stands.filter_map(|(_, n)| n.version).collect())
    }
}

/// The causal pasts of the removals that count, by removed membership. Where two machines removed each other, the
/// earlier removal counts: the same on every peer.
fn counted_removals(log: &Log) -> BTreeMap<MemberId, Vec<Vec<bool>>> {
    let mut order: Vec<_> = log.removals().iter().collect();
    order.sort_by_key(|r| (log.all()[r.by].at, log.all()[r.by].stored.hash, r.target.clone()));
    let mut pasts: BTreeMap<MemberId, Vec<Vec<bool>>> = BTreeMap::new();
    for removal in order {
        let author = pasts.get(&log.all()[removal.by].stored.signer);
        if author.is_some_and(|pasts| !pasts.iter().any(|past| past[removal.by])) {
            continue;
        }
        pasts.entry(removal.target.clone()).or_default().push(log.past(removal.by));
    }
    pasts
}
