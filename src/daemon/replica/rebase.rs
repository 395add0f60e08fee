//! A machine that was restored from a backup and wrote again before it heard what it had forgotten: two changes under
//! one number. Its own branch, as long as nobody has built on it, is written anew under another actor: same values,
//! same stamps, upon the same versions, so that nothing is lost and nothing is superseded that it did not know.

use std::collections::{BTreeSet, HashMap};

use automerge::sync::Message;
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{Change, ChangeHash, ROOT, ReadDoc};

use super::log::{ChangeId, Header, Logged};
use super::sync::Seals;
use super::{Batch, Note, Pending, Replica, ReplicaError, StoredChange, actor_id, check, register};
use crate::domain::ids::{MemberId, PeerId};
use crate::domain::time::Time;

impl Replica {
    /// The place of the first change of ours that the message has another one for, signed by us too, if the changes
    /// from there on are ours alone.
    pub(super) fn own_fork(&self, message: &Message, seals: &Seals) -> Option<usize> {
        let member = self.member.as_ref()?;
        let forked = message.changes.iter().filter_map(|chunk| {
            let header = Header::read(chunk)?;
            let place = self.log.nth(&header.actor, header.seq)?;
            if self.log.has(&header.hash) || self.log.all()[place].stored.signer != *member {
                return None;
            }
            let (signer, signature) = seals.get(&header.hash)?;
            let message = check::signed(self.cluster_id.as_str(), &header.hash);
            let ours = |key| self.config.signing.verify(key, &message, signature);
            (signer == member && self.log.keys_of(member).any(ours)).then_some(place)
        });
        let first = forked.min()?;
        let alone = self.log.future(first).iter().all(|place| self.log.all()[*place].stored.signer == *member);
        alone.then_some(first)
    }

    /// Takes the message as if our branch did not exist, then writes that anew.
    pub(super) fn rebase(
        &mut self,
        fellow: &PeerId,
        message: &[u8],
        wall: Time,
        place: usize,
    ) -> Result<Batch, ReplicaError> {
        let Some(member) = self.member.clone() else { return Err(ReplicaError::NotMember) };
        let branch = self.log.future(place);
        let stays = |(at, logged): (usize, &Logged)| (!branch.contains(&at)).then(|| logged.stored.clone());
        let stored = self.log.all().iter().enumerate().filter_map(stays).collect();
        let mut fresh = self.again(stored)?;
        // Until the batch is kept, what was shown is shown.
        fresh.tree = self.tree.clone();
        fresh.holding = self.holding.clone();
        fresh.revision = self.revision;
        let mut batch = fresh.receive(fellow, message, wall)?;
        fresh.draw_actor(&member);
        let mut touched = fresh.pending.take().map(|p| p.touched).unwrap_or_default();
        let mut renamed: HashMap<ChangeId, ChangeId> = HashMap::new();
        for at in &branch {
            let old = &self.log.all()[*at];
            let stored = fresh.write_anew(old, &renamed, &member)?;
            renamed.insert(old.stored.hash, stored.hash);
            batch.forget.push(old.stored.hash);
            batch.changes.push(stored);
            touched.extend(old.writes().iter().filter_map(|w| register::key(&w.key).ok().flatten()));
        }
        if !batch.notes.iter().any(|n| matches!(n, Note::Restored { .. })) {
            batch.notes.push(Note::Restored { fellow: fellow.clone() });
        }
        batch.notes.push(Note::Rebased { changes: branch.len() });
        batch.actor = Some(fresh.actor.clone());
        batch.id = self.next;
        fresh.next = self.next + 1;
        let before = std::mem::replace(self, fresh);
        self.pending = Some(Pending { id: batch.id, touched, before: Some(Box::new(before)) });
        Ok(batch)
    }

    /// The same writes upon the same versions, under our actor of now.
    fn write_anew(
        &mut self,
        old: &Logged,
        renamed: &HashMap<ChangeId, ChangeId>,
        member: &MemberId,
    ) -> Result<StoredChange, ReplicaError> {
        let failed = |e: String| ReplicaError::Document(format!("a commit can't be written anew: {e}"));
        let change = old.change().ok_or_else(|| failed("it is damaged".into()))?;
        let deps: BTreeSet<ChangeId> = change.deps().iter().map(|h| *renamed.get(&h.0).unwrap_or(&h.0)).collect();
        let deps: Vec<ChangeHash> = deps.into_iter().map(ChangeHash).collect();
        let mut aside = self.doc.fork_at(&deps).map_err(|e| failed(e.to_string()))?;
        aside.set_actor(actor_id(&self.actor));
        let mut tx = aside.transaction();
        for write in old.writes() {
            tx.put(ROOT, write.key, write.text).map_err(|e| failed(e.to_string()))?;
        }
        let mut options = CommitOptions::default().with_time(change.timestamp());
        options.message = change.message().map(str::to_owned);
        let (hash, _) = tx.commit_with(options);
        let fresh = hash.and_then(|hash| aside.get_change_by_hash(&hash));
        let mut fresh: Change = fresh.ok_or_else(|| failed("nothing was written".into()))?;
        self.doc.apply_changes([fresh.clone()]).map_err(|e| failed(e.to_string()))?;
        let hash = fresh.hash().0;
        let signature = self.config.signing.sign(&check::signed(self.cluster_id.as_str(), &hash));
        let stored = StoredChange { hash, bytes: fresh.bytes().into_owned(), signer: member.clone(), signature };
        self.log.push(stored.clone(), &fresh, None);
        Ok(stored)
    }
}
