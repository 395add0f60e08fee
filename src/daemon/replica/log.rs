//! The changes of the document in the order in which they were taken in, with what Automerge does not keep: who signed
//! them, and whether they are on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use automerge::Change;
use ring::digest::{SHA256, digest};

use super::StoredChange;
use super::register::{self, Message, Write};
use crate::domain::ids::MemberId;
use crate::domain::settings::{Content, Key, Value};

/// Hash of a change.
pub(super) type ChangeId = [u8; 32];

/// What the beginning of a change tells, read without touching the rest.
pub(super) struct Header {
    /// Names the change.
    pub hash: ChangeId,
    /// What it was made upon.
    pub deps: Vec<ChangeId>,
    /// Its author's actor.
    pub actor: Vec<u8>,
    /// Counts the actor's changes from 1.
    pub seq: u64,
    /// Counter of its first operation.
    pub start: u64,
}

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHANGE_CHUNK: u8 = 1;

impl Header {
    /// `None` when this is not one uncompressed change.
    pub(super) fn read(chunk: &[u8]) -> Option<Self> {
        let (start, body) = chunk.split_at_checked(8)?;
        if start[..4] != MAGIC || *body.first()? != CHANGE_CHUNK {
            return None;
        }
        let hash: ChangeId = digest(&SHA256, body).as_ref().try_into().ok()?;
        if start[4..] != hash[..4] {
            return None;
        }
        let mut rest = &body[1..];
        if usize::try_from(number(&mut rest)?).ok()? != rest.len() {
            return None;
        }
        let deps =
            (0..number(&mut rest)?).map(|_| take(&mut rest, 32)?.try_into().ok()).collect::<Option<Vec<ChangeId>>>()?;
        let length = usize::try_from(number(&mut rest)?).ok()?;
        let actor = take(&mut rest, length)?.to_vec();
        Some(Self { hash, deps, actor, seq: number(&mut rest)?, start: number(&mut rest)? })
    }
}

pub(super) fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (first, after) = rest.split_at_checked(n)?;
    *rest = after;
    Some(first)
}

/// An unsigned LEB128 number.
pub(super) fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut n = 0_u64;
    for shift in (0..63).step_by(7) {
        let byte = take(rest, 1)?[0];
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// One change.
pub(super) struct Logged {
    pub stored: StoredChange,
    pub actor: Vec<u8>,
    pub seq: u64,
    /// Counter of its first operation.
    pub start: u64,
    pub ops: u64,
    /// Places in the log.
    pub deps: Vec<usize>,
    /// Its stamp, in milliseconds.
    pub at: u64,
    /// It touches structure.
    pub structure: bool,
    /// A hash of each key it writes; made when it is first wanted.
    keys: OnceLock<Box<[u64]>>,
}

impl Logged {
    /// Counter of its last operation.
    pub(super) fn last(&self) -> u64 {
        self.start + self.ops - 1
    }

    pub(super) fn change(&self) -> Option<Change> {
        Change::try_from(self.stored.bytes.as_slice()).ok()
    }

    pub(super) fn writes(&self) -> Vec<Write> {
        self.change().and_then(|c| register::writes(c.decode()).ok()).unwrap_or_default()
    }

    pub(super) fn keys(&self) -> &[u64] {
        self.keys.get_or_init(|| self.writes().iter().map(|w| key_hash(&w.key)).collect())
    }
}

/// Short stand-in for a key's text.
pub(super) fn key_hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A removal, as a change wrote it.
pub(super) struct Removal {
    /// Whose membership ends.
    pub target: MemberId,
    /// Place in the log.
    pub by: usize,
}

/// All changes.
#[derive(Default)]
pub(super) struct Log {
    all: Vec<Logged>,
    by_hash: HashMap<ChangeId, usize>,
    /// Places of each actor's changes, by sequence.
    actors: BTreeMap<Vec<u8>, Vec<usize>>,
    heads: BTreeSet<ChangeId>,
    /// Every machine key that a membership ever had.
    keys: BTreeMap<MemberId, BTreeSet<String>>,
    /// Where memberships were written, and of whom.
    joins: Vec<(MemberId, usize)>,
    removals: Vec<Removal>,
    /// Changes that touch structure.
    structural: u64,
    /// Size of all changes as stored.
    bytes: u64,
}

impl Log {
    pub(super) fn structural(&self) -> u64 {
        self.structural
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn all(&self) -> &[Logged] {
        &self.all
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn has(&self, hash: &ChangeId) -> bool {
        self.by_hash.contains_key(hash)
    }

    pub(super) fn place(&self, hash: &ChangeId) -> Option<usize> {
        self.by_hash.get(hash).copied()
    }

    pub(super) fn heads(&self) -> &BTreeSet<ChangeId> {
        &self.heads
    }

    /// Each actor with its highest sequence.
    pub(super) fn actors(&self) -> impl Iterator<Item = (&Vec<u8>, u64)> {
        self.actors.iter().map(|(actor, places)| (actor, places.len() as u64))
    }

    pub(super) fn seq(&self, actor: &[u8]) -> u64 {
        self.actors.get(actor).map_or(0, |places| places.len() as u64)
    }

    /// The last change of an actor.
    pub(super) fn latest(&self, actor: &[u8]) -> Option<usize> {
        self.actors.get(actor)?.last().copied()
    }

    /// Keys that a membership has, or ever had.
    pub(super) fn keys_of(&self, member: &MemberId) -> impl Iterator<Item = &str> {
        self.keys.get(member).into_iter().flatten().map(String::as_str)
    }

    pub(super) fn removals(&self) -> &[Removal] {
        &self.removals
    }

    pub(super) fn joins(&self) -> &[(MemberId, usize)] {
        &self.joins
    }

    /// Puts a change at the end; its dependencies must be there. `writes`: decoded already.
    pub(super) fn push(&mut self, stored: StoredChange, change: &Change, writes: Option<&[Write]>) {
        let place = self.all.len();
        for dep in change.deps() {
            self.heads.remove(&dep.0);
        }
        self.heads.insert(stored.hash);
        self.by_hash.insert(stored.hash, place);
        let actor = change.actor_id().to_bytes().to_vec();
        self.actors.entry(actor.clone()).or_default().push(place);
        let logged = Logged {
            actor,
            seq: change.seq(),
            start: change.start_op().get(),
            ops: change.len() as u64,
            deps: change.deps().iter().filter_map(|h| self.by_hash.get(&h.0).copied()).collect(),
            at: u64::try_from(change.timestamp()).unwrap_or(0),
            structure: Message::read(change.message()).unwrap_or_default().s,
            keys: OnceLock::new(),
            stored,
        };
        if let Some(writes) = writes {
            drop(logged.keys.set(writes.iter().map(|w| key_hash(&w.key)).collect()));
        }
        self.bytes += logged.stored.bytes.len() as u64;
        if logged.structure {
            self.structural += 1;
            match writes {
                Some(writes) => self.note_structure(place, writes),
                None => self.note_structure(place, &register::writes(change.decode()).unwrap_or_default()),
            }
        }
        self.all.push(logged);
    }

    fn note_structure(&mut self, place: usize, writes: &[Write]) {
        for write in writes {
            let Ok(Some(key)) = register::key(&write.key) else { continue };
            let value = || match register::read(register::version_id(0, &[]), &write.text).ok()?.content {
                Content::Inherits => None,
                Content::Value(value) => Some(value),
            };
            match key {
                Key::MachineIdentity(member) => {
                    let Some(value) = value() else { continue };
                    let key = value.field("machine-key").and_then(Value::as_text).unwrap_or_default();
                    self.keys.entry(member.clone()).or_default().insert(key.to_owned());
                    self.joins.push((member, place));
                }
                Key::MachineRemoved(target) if value().is_some() => self.removals.push(Removal { target, by: place }),
                Key::MachineRemoved(_)
                | Key::ClusterName
                | Key::Addressing
                | Key::GroupName(_)
                | Key::GroupDeleted(_)
                | Key::MachineGroup(_)
                | Key::SecretKey(..)
                | Key::Feature(..) => {}
            }
        }
    }

    /// The key hash of the register that an operation wrote.
    pub(super) fn key_of(&self, counter: u64, actor: &[u8]) -> Option<u64> {
        let places = self.actors.get(actor)?;
        let at = places.partition_point(|p| self.all[*p].start <= counter).checked_sub(1)?;
        let logged = &self.all[places[at]];
        logged.keys().get(usize::try_from(counter - logged.start).ok()?).copied()
    }

    /// Whether the change at `old` is one of `from` or an ancestor of one.
    pub(super) fn is_past(&self, old: usize, from: &[usize]) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack: Vec<usize> = from.to_vec();
        while let Some(place) = stack.pop() {
            if place == old {
                return true;
            }
            // Dependencies stand before what depends on them.
            if place > old && seen.insert(place) {
                stack.extend(&self.all[place].deps);
            }
        }
        false
    }

    /// The change at `place` and all that rest on it.
    pub(super) fn future(&self, place: usize) -> BTreeSet<usize> {
        let mut future = BTreeSet::from([place]);
        for (i, logged) in self.all.iter().enumerate().skip(place + 1) {
            if logged.deps.iter().any(|dep| future.contains(dep)) {
                future.insert(i);
            }
        }
        future
    }

    /// The change that an actor wrote under this number.
    pub(super) fn nth(&self, actor: &[u8], seq: u64) -> Option<usize> {
        self.actors.get(actor)?.get(usize::try_from(seq.checked_sub(1)?).ok()?).copied()
    }

    /// The change at `place` and all its ancestors.
    pub(super) fn past(&self, place: usize) -> Vec<bool> {
        let mut past = vec![false; self.all.len()];
        past[place] = true;
        for i in (0..=place).rev() {
            if past[i] {
                for dep in &self.all[i].deps {
                    past[*dep] = true;
                }
            }
        }
        past
    }
}
