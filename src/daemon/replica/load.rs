//! A replica from what is on disk. Automerge takes the changes in while the tree is made from the same changes beside
//! it: that takes half the time on two cores, and less on one than reading the document afterwards.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use automerge::{Automerge, Change};

use super::ignore::Ignored;
use super::log::Log;
use super::register::{self, Names};
use super::unfold::unfold;
use super::{Config, Replica, ReplicaError, StoredChange, genesis, heads_agree, hex};
use crate::domain::settings::{Entry, Key};
use crate::domain::text::Line;

/// From so many bytes on a second thread is worth its start.
const TWO_THREADS: usize = 64 << 10;

fn damaged(why: &str) -> ReplicaError {
    ReplicaError::Document(format!("{why}; restore the state directory from a backup"))
}

impl Replica {
    /// From what is on disk, in any order. Works on two threads where there is much.
    ///
    /// # Errors
    /// [`ReplicaError::Document`] when the first change is missing, or a change is damaged or does not fit.
    pub fn load(config: Config, stored: Vec<StoredChange>) -> Result<Self, ReplicaError> {
        let big = stored.iter().map(|s| s.bytes.len()).sum::<usize>() >= TWO_THREADS;
        let half = stored.len() / 2;
        let (first, second) = beside(big, || read(&stored[..half]), || read(&stored[half..]));
        let mut changes = first?;
        changes.extend(second?);
        let first = stored.iter().zip(&changes).find_map(|(s, c)| genesis::founding(c).map(|f| (s.hash, f)));
        let (genesis, founding) = first.ok_or_else(|| damaged("the first change is missing"))?;
        let (doc, ours) = beside(big, || document(&changes), || log_and_registers(stored, &changes));
        let (doc, (log, ignored, registers)) = (doc?, ours?);
        if !heads_agree(&doc, &log) {
            return Err(damaged("the stored changes don't fit together"));
        }
        let mut replica = Self {
            actor: config.actor.clone().unwrap_or_default(),
            config,
            cluster_id: Line::new(&founding.id),
            genesis,
            founded: founding.revision,
            doc,
            on_disk: log.len(),
            ignored,
            log,
            tree: Arc::default(),
            holding: Arc::default(),
            revision: 0,
            member: None,
            sure: false,
            draws: 0,
            heard: BTreeSet::new(),
            stamps: BTreeSet::new(),
            fellows: BTreeMap::new(),
            pending: None,
            next: 1,
        };
        match registers {
            Some(registers) => replica.show_all(registers),
            None => replica.read_all(),
        }
        replica.choose_actor();
        Ok(replica)
    }
}

/// Does both, beside each other if that is wanted and the system has another thread.
fn beside<A: Send, B>(wanted: bool, a: impl Fn() -> A + Sync, b: impl FnOnce() -> B) -> (A, B) {
    if !wanted {
        return (a(), b());
    }
    thread::scope(|scope| {
        let other = thread::Builder::new().name("settings".into()).spawn_scoped(scope, &a);
        let b = b();
        let a = match other {
            Ok(other) => other.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => a(),
        };
        (a, b)
    })
}

/// Reads the changes, and holds them against their hashes.
fn read(stored: &[StoredChange]) -> Result<Vec<Change>, ReplicaError> {
    let one = |stored: &StoredChange| {
        let name = hex(&stored.hash[..4]);
        let change = Change::try_from(stored.bytes.as_slice())
            .map_err(|e| damaged(&format!("the stored change {name} is damaged: {e}")))?;
        if change.hash().0 != stored.hash {
            return Err(damaged(&format!("the stored change {name} is damaged: it has another hash")));
        }
        Ok(change)
    };
    stored.iter().map(one).collect()
}

fn document(changes: &[Change]) -> Result<Automerge, ReplicaError> {
    let mut doc = Automerge::new();
    let applied = catch_unwind(AssertUnwindSafe(|| doc.apply_changes(changes.iter().cloned())));
    match applied {
        Ok(Ok(())) => Ok(doc),
        Ok(Err(e)) => Err(damaged(&e.to_string())),
        Err(_) => Err(damaged("Automerge can't apply the stored changes")),
    }
}

type Registers = Vec<(Key, Entry)>;

fn log_and_registers(
    stored: Vec<StoredChange>,
    changes: &[Change],
) -> Result<(Log, Ignored, Option<Registers>), ReplicaError> {
    let mut log = Log::default();
    let mut late: Vec<(StoredChange, &Change)> = stored.into_iter().zip(changes).collect();
    let mut order = Vec::with_capacity(changes.len());
    // The disk keeps the order; more than one round is for a disk that did not.
    while !late.is_empty() {
        let before = late.len();
        for (stored, change) in std::mem::take(&mut late) {
            if change.deps().iter().all(|h| log.has(&h.0)) {
                log.push(stored, change, None);
                order.push(change);
            } else {
                late.push((stored, change));
            }
        }
        if late.len() == before {
            return Err(damaged(&format!("{before} stored changes rest on others that are missing")));
        }
    }
    let ignored = Ignored::of(&log);
    let registers = registers(&log, &order, &ignored);
    Ok((log, ignored, registers))
}

/// What stands: all that was written and that nothing supersedes. `None` when a change is not like ours.
fn registers(log: &Log, order: &[&Change], ignored: &Ignored) -> Option<Registers> {
    struct Put<'a> {
        key: &'a str,
        text: &'a str,
        counter: u64,
        place: usize,
    }
    let mut puts = Vec::new();
    let mut superseded: HashSet<(u64, &[u8])> = HashSet::new();
    for (place, change) in order.iter().enumerate() {
        let unfolded = unfold(change.raw_bytes(), change.len())?;
        superseded.extend(unfolded.over);
        puts.extend(unfolded.writes.iter().map(|w| Put { key: w.key, text: w.text, counter: w.counter, place }));
    }
    let actor = |put: &Put<'_>| log.all()[put.place].actor.as_slice();
    if !superseded.is_empty() {
        puts.retain(|put| !superseded.contains(&(put.counter, actor(put))));
    }
    // Each change is sorted nearly so already.
    puts.sort_by(|a, b| a.key.cmp(b.key));
    let (mut registers, mut names) = (Vec::with_capacity(puts.len()), Names::default());
    let (mut hexed, mut hexed_of): (String, &[u8]) = (String::new(), &[]);
    for group in puts.chunk_by(|a, b| a.key == b.key) {
        let Ok(Some(key)) = names.key(group[0].key) else { continue };
        let entry = if ignored.touches(group[0].key) {
            ignored.entry(log, &key)
        } else {
            let mut versions = Vec::with_capacity(group.len());
            for put in group {
                if hexed_of != actor(put) {
                    hexed_of = actor(put);
                    hexed = register::actor_text(hexed_of);
                }
                let id = names.version_id(put.counter, &hexed);
                versions.extend(names.read(id, put.text).ok());
            }
            Entry::new(versions)
        };
        registers.extend(entry.map(|e| (key, e)));
    }
    Some(registers)
}
