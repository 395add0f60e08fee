//! What we write ourselves: commits, stamps, and the actor that they are written under.

use std::collections::BTreeMap;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ROOT, ReadDoc};
use ring::digest::{SHA256, digest};

use super::register::{self, Message};
use super::{AHEAD_MAX, Batch, CHANGE_MAX, Replica, ReplicaError, StoredChange, WRITES_MAX, actor_id, check, hex};
use crate::domain::ids::MemberId;
use crate::domain::settings::{CommitId, Content, Key, Stamp};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Bytes of an actor: the first half tells whose it is, the other is drawn.
pub(super) const ACTOR_BYTES: usize = 16;

/// The first half of a member's actors: nobody can write as another.
pub(super) fn actor_prefix(member: &MemberId) -> [u8; 8] {
    let hash = digest(&SHA256, format!("peerdeck actor\0{member}").as_bytes());
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&hash.as_ref()[..8]);
    prefix
}

/// One step of `SplitMix64`.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Replica {
    /// Writes these registers, all or none. What they rest on is the caller's to compare (C23).
    ///
    /// # Errors
    /// [`ReplicaError`]; then nothing has changed.
    pub fn commit(
        &mut self,
        wall: Time,
        by: &Line,
        comment: &Line,
        writes: &[(Key, Content)],
    ) -> Result<Batch, ReplicaError> {
        if self.pending.is_some() {
            return Err(ReplicaError::Busy);
        }
        let member = self.member.clone().ok_or(ReplicaError::NotMember)?;
        let (at, count) = self.next_stamp(wall);
        let stamp = Stamp { at, count, on: member.clone() };
        // Of several writes of one register the last counts.
        let writes: BTreeMap<&Key, &Content> = writes.iter().map(|(k, c)| (k, c)).collect();
        if writes.is_empty() {
            return Err(ReplicaError::Empty);
        }
        if writes.len() > WRITES_MAX {
            return Err(ReplicaError::TooLarge(format!("{} registers, {WRITES_MAX} are taken", writes.len())));
        }
        let mut texts = Vec::with_capacity(writes.len());
        let mut size = 0;
        for (key, content) in &writes {
            let text = register::write(content, &stamp, by).map_err(ReplicaError::TooLarge)?;
            let key = key.to_string();
            size += key.len() + text.len() + 64;
            texts.push((key, text));
        }
        if size > CHANGE_MAX {
            return Err(ReplicaError::TooLarge(format!("{size} bytes, {CHANGE_MAX} are taken")));
        }
        if !self.is_actor_good() {
            self.draw_actor(&member);
        }
        self.doc.set_actor(actor_id(&self.actor));
        let structure = writes.keys().any(|k| k.is_structure());
        let message = Message { c: comment.to_string(), s: structure }.text();
        let time = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        let batch = self.write(&texts, time, message, &member)?;
        self.stamps.insert((at, count));
        let id = self.begin(writes.keys().map(|k| (*k).clone()).collect());
        Ok(Batch { id, ..batch })
    }

    fn write(
        &mut self,
        texts: &[(String, String)],
        time: i64,
        message: String,
        member: &MemberId,
    ) -> Result<Batch, ReplicaError> {
        let failed = |e: String| ReplicaError::Document(format!("the commit can't be written: {e}"));
        let mut tx = self.doc.transaction();
        for (key, text) in texts {
            if let Err(e) = tx.put(ROOT, key.as_str(), text.as_str()) {
                tx.rollback();
                return Err(failed(e.to_string()));
            }
        }
        let (hash, _) = tx.commit_with(CommitOptions::default().with_time(time).with_message(message));
        let change = hash.and_then(|hash| self.doc.get_change_by_hash(&hash));
        let mut change = change.ok_or_else(|| failed("nothing was written".into()))?;
        let hash = change.hash().0;
        let signature = self.config.signing.sign(&check::signed(self.cluster_id.as_str(), &hash));
        let bytes = change.bytes().into_owned();
        let stored = StoredChange { hash, bytes, signer: member.clone(), signature };
        let commit = CommitId { actor: Line::new(&hex(&self.actor)), seq: change.seq() };
        self.log.push(stored.clone(), &change, None);
        Ok(Batch { changes: vec![stored], commit: Some(commit), actor: Some(self.actor.clone()), ..Batch::default() })
    }

    /// Not behind our clock, nor behind anything that we saw, unless that is far ahead of our clock.
    fn next_stamp(&mut self, wall: Time) -> (Time, u32) {
        let limit = (wall + AHEAD_MAX, u32::MAX);
        let Some(high) = self.stamps.range(..=limit).next_back().copied() else { return (wall, 0) };
        // What lies below will never count again.
        self.stamps = self.stamps.split_off(&high);
        match high.0.cmp(&wall) {
            std::cmp::Ordering::Less => (wall, 0),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => match high.1.checked_add(1) {
                Some(count) => (high.0, count),
                None => (Time::from_millis(high.0.as_millis().saturating_add(1)), 0),
            },
        }
    }

    /// Whether we may go on under our actor. After a start only when half of the others have told us what they have:
    /// they would know what we wrote and a restored backup forgot.
    fn is_actor_good(&self) -> bool {
        let Some(member) = &self.member else { return false };
        if self.actor.len() != ACTOR_BYTES || self.actor[..8] != actor_prefix(member) {
            return false;
        }
        let members = &self.tree.structure().members;
        let others = members.iter().filter(|m| m.machine.id != self.config.peer);
        let heard = others.clone().filter(|m| self.heard.contains(&m.machine.id)).count();
        self.sure || heard * 2 >= others.count()
    }

    /// Draws a first actor where none was kept, or the kept one is another membership's.
    pub(super) fn choose_actor(&mut self) {
        let Some(member) = self.member.clone() else { return };
        if self.actor.len() != ACTOR_BYTES || self.actor[..8] != actor_prefix(&member) {
            self.draw_actor(&member);
        }
    }

    /// A new actor, which nobody has ever seen.
    pub(super) fn draw_actor(&mut self, member: &MemberId) {
        let mut actor = actor_prefix(member).to_vec();
        loop {
            self.draws += 1;
            actor.truncate(8);
            actor.extend(mix(self.config.seed.wrapping_add(mix(self.draws))).to_be_bytes());
            if self.log.seq(&actor) == 0 {
                break;
            }
        }
        self.actor = actor;
        self.sure = true;
    }
}
