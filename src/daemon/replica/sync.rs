//! Conversations with fellows: Automerge's sync protocol, in an envelope with the cluster's id and the signatures (C18).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::sync::{ChunkList, Message, MessageVersion, State, SyncDoc};
use automerge::{Change, ChangeHash};

use super::check::{Checked, Unfit};
use super::ignore::Ignored;
use super::log::{ChangeId, Header, take};
use super::{AHEAD_MAX, Batch, MESSAGE_MAX, Note, Replica, ReplicaError, StoredChange, heads_agree, hex};
use crate::domain::ids::{MemberId, PeerId};
use crate::domain::settings::Key;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// A message carries changes of so many bytes, and goes on in the next one.
const CHANGES_TARGET: usize = 4 << 20;

/// Changes that wait for others that they rest on: so many bytes for each fellow.
const WAITING_MAX: usize = 64 << 20;

const MAGIC: [u8; 4] = *b"PDS1";

/// Longest signature that is read.
const SIGNATURE_MAX: usize = 255;

/// A change with its signature, as it came.
struct Sealed {
    header: Header,
    chunk: Vec<u8>,
    signer: MemberId,
    signature: Vec<u8>,
}

/// A conversation.
#[derive(Default)]
pub(super) struct Fellow {
    state: State,
    /// Changes that rest on others that we have not got yet.
    waiting: BTreeMap<ChangeId, Sealed>,
    /// The last message without changes: it is not said twice, or two who refuse something of each other would
    /// never stop talking.
    said: Vec<u8>,
    /// It sent changes and wants to know what became of them.
    owed: bool,
    /// We no longer have what it has sent us: it shall forget that it did.
    forgot: bool,
}

impl Fellow {
    /// A conversation that begins anew on our side only, because we lost changes.
    pub(super) fn again() -> Self {
        Self { forgot: true, ..Self::default() }
    }
}

/// Signer and signature of each change of a message.
pub(super) type Seals = HashMap<ChangeId, (MemberId, Vec<u8>)>;

struct Envelope {
    message: Message,
    seals: Seals,
}

impl Replica {
    /// Begins a conversation, or begins it anew: a link came up.
    pub fn connect(&mut self, fellow: &PeerId) {
        self.fellows.insert(fellow.clone(), Fellow::default());
    }

    /// Ends a conversation: the link is down.
    pub fn disconnect(&mut self, fellow: &PeerId) {
        self.fellows.remove(fellow);
    }

    /// The next message for a fellow; `None` when there is nothing to say, or a batch is under way. To be asked for
    /// until it gives none: after [`Replica::connect`], [`Replica::receive`] and [`Replica::kept`].
    pub fn poll(&mut self, fellow: &PeerId) -> Option<Vec<u8>> {
        if self.pending.is_some() {
            return None;
        }
        let conversation = self.fellows.get_mut(fellow)?;
        let (doc, log) = (&self.doc, &self.log);
        // A hostile summary of what it has must not take us down.
        let made = catch_unwind(AssertUnwindSafe(|| doc.generate_sync_message(&mut conversation.state)));
        let Ok(made) = made else {
            *conversation = Fellow::again();
            return None;
        };
        let mut message = made?;
        // Without flags fellows send single changes, which can be checked one by one.
        message.flags = None;
        message.version = MessageVersion::V1;
        let missing = missing(&conversation.waiting, |h| log.has(h));
        if !missing.is_empty() || !conversation.waiting.is_empty() {
            message.need.retain(|h| !conversation.waiting.contains_key(&h.0));
            message.need.extend(missing.into_iter().map(ChangeHash));
            message.need.sort();
            message.need.dedup();
            // With a summary of what we have, a fellow sends by that; without, exactly what is named.
            let theirs = conversation.state.their_heads.as_deref().unwrap_or_default();
            if message.need.iter().any(|h| !theirs.contains(h)) {
                message.have.clear();
            }
        }
        // Whoever has nothing is told everything again that it does not have.
        if std::mem::take(&mut conversation.forgot) {
            message.heads.clear();
        }
        // What others rest on goes first, and what does not fit goes in the next message.
        let mut found: Vec<(usize, Header, &[u8])> = Vec::new();
        for chunk in message.changes.iter() {
            let Some(header) = Header::read(chunk) else { continue };
            found.extend(log.place(&header.hash).map(|place| (place, header, chunk)));
        }
        found.sort_by_key(|(place, ..)| *place);
        let (mut chunks, mut seals, mut size) = (Vec::new(), Vec::new(), 0);
        for (place, header, chunk) in found {
            size += chunk.len();
            if chunks.is_empty() || size <= CHANGES_TARGET {
                chunks.push(chunk.to_vec());
                seals.push((header.hash, &log.all()[place].stored));
            } else {
                conversation.state.sent_hashes.remove(&ChangeHash(header.hash));
            }
        }
        let silent = chunks.is_empty();
        message.changes = ChunkList::from(chunks);
        let bytes = envelope(self.cluster_id.as_str(), &self.genesis, &message.encode(), &seals);
        if silent && !conversation.owed && conversation.said == bytes {
            return None;
        }
        conversation.owed = false;
        conversation.said = if silent { bytes.clone() } else { Vec::new() };
        Some(bytes)
    }

    /// Takes a message of a fellow. What can't be taken is left out and stands in the notes.
    ///
    /// # Errors
    /// [`ReplicaError::Busy`]: give it again later, in the same order. Others: nothing was taken, and the conversation
    /// begins anew.
    pub fn receive(&mut self, fellow: &PeerId, message: &[u8], wall: Time) -> Result<Batch, ReplicaError> {
        if self.pending.is_some() {
            return Err(ReplicaError::Busy);
        }
        let bytes = message;
        let Envelope { mut message, seals } = self.open(fellow, bytes)?;
        if let Some(place) = self.own_fork(&message, &seals) {
            return self.rebase(fellow, bytes, wall, place);
        }
        let mut conversation = self.fellows.remove(fellow).unwrap_or_default();
        conversation.owed |= !message.changes.is_empty();
        let mut notes = Vec::new();
        for chunk in message.changes.iter() {
            let Some(header) = Header::read(chunk) else {
                notes.push(refused(fellow, &[], &MemberId::new("nobody"), "it is not one change"));
                continue;
            };
            if self.log.has(&header.hash) {
                continue;
            }
            let (signer, signature) = seals.get(&header.hash).cloned().unwrap_or((MemberId::new("nobody"), Vec::new()));
            let sealed = Sealed { header, chunk: chunk.to_vec(), signer, signature };
            conversation.waiting.insert(sealed.header.hash, sealed);
        }
        let before = self.log.len();
        let (changes, touched) = self.take(fellow, &mut conversation, wall, &mut notes);
        message.changes = ChunkList::empty();
        let news = self.log.len() > before;
        let heads: Vec<ChangeHash> = message.heads.clone();
        let (doc, state) = (&mut self.doc, &mut conversation.state);
        // Not by way of the message: there Automerge checks again what can't be, in time that grows with the document.
        let applied = catch_unwind(AssertUnwindSafe(|| {
            doc.receive_sync_message(state, message).and_then(|()| doc.apply_changes(changes))
        }));
        let fits = match applied {
            Ok(Ok(())) => heads_agree(&self.doc, &self.log).then_some(()).ok_or("what it leads to does not fit".into()),
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err("Automerge can't apply it".into()),
        };
        let complete = heads.iter().all(|h| self.log.has(&h.0));
        if complete {
            conversation.state.shared_heads.clone_from(&heads);
        }
        self.fellows.insert(fellow.clone(), conversation);
        if let Err(why) = fits {
            let kept = self.log.all()[..self.on_disk].iter().map(|l| l.stored.clone()).collect();
            *self = self.again(kept)?;
            return Err(ReplicaError::Malformed { fellow: fellow.clone(), why });
        }
        if complete && !heads.is_empty() {
            self.heard.insert(fellow.clone());
        }
        if !news {
            return Ok(Batch { notes, ..Batch::default() });
        }
        notes.extend(self.newly_ignored());
        let changes = self.log.all()[before..].iter().map(|l| l.stored.clone()).collect();
        let id = self.begin(touched);
        Ok(Batch { id, changes, notes, ..Batch::default() })
    }

    /// Judges what waits, as far as everything that it rests on is there. Returns the changes that were taken.
    fn take(
        &mut self,
        fellow: &PeerId,
        conversation: &mut Fellow,
        wall: Time,
        notes: &mut Vec<Note>,
    ) -> (Vec<Change>, BTreeSet<Key>) {
        let waiting = &mut conversation.waiting;
        waiting.retain(|hash, _| !self.log.has(hash));
        let mut lacks: HashMap<ChangeId, usize> = HashMap::new();
        let mut dependents: HashMap<ChangeId, Vec<ChangeId>> = HashMap::new();
        let mut ready: BTreeSet<ChangeId> = BTreeSet::new();
        for (hash, sealed) in &*waiting {
            let missing: BTreeSet<&ChangeId> = sealed.header.deps.iter().filter(|h| !self.log.has(h)).collect();
            for dep in &missing {
                dependents.entry(**dep).or_default().push(*hash);
            }
            if missing.is_empty() {
                ready.insert(*hash);
            } else {
                lacks.insert(*hash, missing.len());
            }
        }
        let (mut changes, mut touched) = (Vec::new(), BTreeSet::new());
        while let Some(hash) = ready.pop_first() {
            let Some(sealed) = waiting.remove(&hash) else { continue };
            let Sealed { header, chunk, signer, signature } = sealed;
            let why = match self.check(&header, &chunk, &signer, &signature) {
                Ok(checked) => {
                    let (change, keys) = self.admit(fellow, hash, signer, signature, checked, wall, notes);
                    touched.extend(keys);
                    changes.push(change);
                    for dependent in dependents.remove(&hash).into_iter().flatten() {
                        if let Some(n) = lacks.get_mut(&dependent) {
                            *n -= 1;
                            if *n == 0 {
                                ready.insert(dependent);
                            }
                        }
                    }
                    continue;
                }
                Err(Unfit::Forked) => format!(
                    "{signer} wrote something else under this number: it was restored from a backup, or there are two \
                     of it"
                ),
                Err(Unfit::Wrong(why)) => why,
            };
            notes.push(refused(fellow, &hash, &signer, &why));
        }
        let mut bytes = 0;
        // Whoever makes us wait for too much is not waited for.
        waiting.retain(|_, sealed| {
            bytes += sealed.chunk.len();
            bytes <= WAITING_MAX
        });
        (changes, touched)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one change")]
    fn admit(
        &mut self,
        fellow: &PeerId,
        hash: ChangeId,
        signer: MemberId,
        signature: Vec<u8>,
        checked: Checked,
        wall: Time,
        notes: &mut Vec<Note>,
    ) -> (Change, BTreeSet<Key>) {
        let Checked { mut change, writes, keys, stamp } = checked;
        self.stamps.insert((stamp.at, stamp.count));
        if stamp.at > wall + AHEAD_MAX {
            notes.push(Note::Ahead { member: signer.clone(), by: stamp.at.since(wall) });
        }
        // We wrote this and forgot it: a restored backup. What we write from now on must not have the same numbers.
        if change.actor_id().to_bytes() == self.actor {
            notes.push(Note::Restored { fellow: fellow.clone() });
            if let Some(member) = self.member.clone() {
                self.draw_actor(&member);
            }
        }
        let bytes = change.bytes().into_owned();
        self.log.push(StoredChange { hash, bytes, signer, signature }, &change, Some(&writes));
        (change, keys)
    }

    /// What to say about changes of removed machines.
    fn newly_ignored(&self) -> Vec<Note> {
        if self.log.removals().is_empty() {
            return Vec::new();
        }
        let mut by: BTreeMap<MemberId, usize> = BTreeMap::new();
        let ignored = Ignored::of(&self.log).changes;
        for place in ignored.difference(&self.ignored.changes) {
            *by.entry(self.log.all()[*place].stored.signer.clone()).or_default() += 1;
        }
        by.into_iter().map(|(member, changes)| Note::Ignored { member, changes }).collect()
    }

    fn open(&self, fellow: &PeerId, bytes: &[u8]) -> Result<Envelope, ReplicaError> {
        let malformed = |why: &str| ReplicaError::Malformed { fellow: fellow.clone(), why: why.into() };
        if bytes.len() > MESSAGE_MAX {
            return Err(malformed("it is too large"));
        }
        let mut rest = bytes;
        let cut = || malformed("it is cut off");
        if take(&mut rest, 4).ok_or_else(cut)? != MAGIC {
            return Err(malformed("it is none"));
        }
        let other = |why: String| ReplicaError::OtherCluster { fellow: fellow.clone(), why };
        let cluster = text(&mut rest).ok_or_else(cut)?;
        if cluster != self.cluster_id.as_str() {
            return Err(other(format!("its id is {}, ours is {}", Line::new(&cluster), self.cluster_id)));
        }
        if take(&mut rest, 32).ok_or_else(cut)? != self.genesis {
            return Err(other("it was provisioned with another membership than ours".into()));
        }
        let message = prefixed(&mut rest).ok_or_else(cut)?;
        let message = catch_unwind(|| Message::decode(message)).map_err(|_| malformed("Automerge can't read it"))?;
        let message = message.map_err(|e| malformed(&e.to_string()))?;
        let mut seals = HashMap::new();
        while !rest.is_empty() {
            let hash: ChangeId = take(&mut rest, 32).and_then(|h| h.try_into().ok()).ok_or_else(cut)?;
            let signer = MemberId::new(&text(&mut rest).ok_or_else(cut)?);
            let length = usize::from(take(&mut rest, 1).ok_or_else(cut)?[0]);
            seals.insert(hash, (signer, take(&mut rest, length).ok_or_else(cut)?.to_vec()));
        }
        Ok(Envelope { message, seals })
    }
}

/// What the waiting changes rest on that is neither there nor waiting itself.
fn missing(waiting: &BTreeMap<ChangeId, Sealed>, has: impl Fn(&ChangeId) -> bool) -> BTreeSet<ChangeId> {
    let deps = waiting.values().flat_map(|s| &s.header.deps);
    deps.filter(|h| !has(h) && !waiting.contains_key(*h)).copied().collect()
}

fn refused(fellow: &PeerId, hash: &[u8], signer: &MemberId, why: &str) -> Note {
    let change = Line::new(&hex(&hash[..hash.len().min(4)]));
    Note::Refused { fellow: fellow.clone(), change, signer: signer.clone(), why: Line::new(why) }
}

fn envelope(cluster: &str, genesis: &ChangeId, message: &[u8], seals: &[(ChangeId, &StoredChange)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 256 + seals.len() * 160);
    out.extend(MAGIC);
    put_text(&mut out, cluster);
    out.extend(genesis);
    out.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(message);
    for (hash, stored) in seals {
        out.extend(hash);
        put_text(&mut out, stored.signer.as_str());
        let signature = &stored.signature[..stored.signature.len().min(SIGNATURE_MAX)];
        out.push(u8::try_from(signature.len()).unwrap_or(0));
        out.extend(signature);
    }
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(text.as_bytes());
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = u16::from_be_bytes(take(rest, 2)?.try_into().ok()?);
    String::from_utf8(take(rest, usize::from(length))?.to_vec()).ok()
}

fn prefixed<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(take(rest, 4)?.try_into().ok()?);
    take(rest, usize::try_from(length).ok()?)
}
