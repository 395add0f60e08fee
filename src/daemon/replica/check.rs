//! What must be true of a change of somebody else before it is taken in. Nothing in Automerge is signed, and it trusts
//! what it is given: everything is checked here, the signature before anything else is read.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::Change;

use super::author::{ACTOR_BYTES, actor_prefix};
use super::columns;
use super::log::{Header, key_hash};
use super::register::{self, Message, Write};
use super::{CHANGE_MAX, Replica, WRITES_MAX};
use crate::domain::ids::MemberId;
use crate::domain::settings::{Key, Stamp};

/// Longest message of a change, in bytes: a comment of 400 characters, escaped.
const COMMENT_MAX: usize = 8 << 10;

/// A change that passed.
pub(super) struct Checked {
    pub change: Change,
    pub writes: Vec<Write>,
    pub keys: BTreeSet<Key>,
    pub stamp: Stamp,
}

/// Why one did not.
pub(super) enum Unfit {
    /// It is another change under a number that we know already.
    Forked,
    /// Something else, as a sentence.
    Wrong(String),
}

impl From<&str> for Unfit {
    fn from(why: &str) -> Self {
        Self::Wrong(why.into())
    }
}

impl From<String> for Unfit {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

/// What is signed: nothing else that a machine key signs looks like it, and no other cluster takes it.
pub(super) fn signed(cluster_id: &str, hash: &[u8; 32]) -> Vec<u8> {
    let mut message = b"peerdeck settings change 1\0".to_vec();
    message.extend(cluster_id.as_bytes());
    message.push(0);
    message.extend(hash);
    message
}

impl Replica {
    /// Judges a change whose dependencies are all there.
    pub(super) fn check(
        &self,
        header: &Header,
        chunk: &[u8],
        signer: &MemberId,
        signature: &[u8],
    ) -> Result<Checked, Unfit> {
        if signature.is_empty() {
            return Err("it is not signed".into());
        }
        let message = signed(self.cluster_id.as_str(), &header.hash);
        let mut keys = self.log.keys_of(signer).peekable();
        if keys.peek().is_none() {
            return Err(format!("{signer} is and was no member").into());
        }
        if !keys.any(|key| self.config.signing.verify(key, &message, signature)) {
            return Err(format!("its signature is not of {signer}").into());
        }
        self.check_place(header, signer)?;
        if chunk.len() > CHANGE_MAX {
            return Err(format!("it has {} bytes, {CHANGE_MAX} are taken", chunk.len()).into());
        }
        if !columns::are_bounded(chunk) {
            return Err("its columns say more than a change can hold".into());
        }
        // Automerge panics on some columns that no author of ours makes.
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let change = Change::try_from(chunk).map_err(|e| e.to_string())?;
            if change.len() > WRITES_MAX {
                return Err(format!("it writes {} registers, {WRITES_MAX} are taken", change.len()));
            }
            let writes = register::writes(change.decode())?;
            Ok((change, writes))
        }));
        let (change, writes) = decoded.map_err(|_| Unfit::from("its columns are damaged"))??;
        if change.hash().0 != header.hash || !change.extra_bytes().is_empty() {
            return Err("it holds more than it should".into());
        }
        let (keys, stamp) = self.check_writes(&change, &writes, signer)?;
        Ok(Checked { change, writes, keys, stamp })
    }

    /// It must stand at the next place of an actor of its signer, upon that actor's last change.
    fn check_place(&self, header: &Header, signer: &MemberId) -> Result<(), Unfit> {
        if header.actor.len() != ACTOR_BYTES || header.actor[..8] != actor_prefix(signer) {
            return Err(format!("its actor is not one of {signer}").into());
        }
        let deps: Vec<usize> = header.deps.iter().filter_map(|h| self.log.place(h)).collect();
        if deps.is_empty() || deps.len() != header.deps.len() {
            return Err("it rests on nothing".into());
        }
        let last = deps.iter().map(|p| self.log.all()[*p].last()).max().unwrap_or(0);
        if header.start != last + 1 || u32::try_from(header.start).is_err() {
            return Err("its operations are numbered wrongly".into());
        }
        match self.log.seq(&header.actor) {
            known if header.seq <= known => Err(Unfit::Forked),
            known if header.seq > known + 1 => Err("it skips a number".into()),
            _ => match self.log.latest(&header.actor) {
                Some(place) if !self.log.is_past(place, &deps) => Err("it does not rest on its author's last".into()),
                Some(_) | None => Ok(()),
            },
        }
    }

    fn check_writes(
        &self,
        change: &Change,
        writes: &[Write],
        signer: &MemberId,
    ) -> Result<(BTreeSet<Key>, Stamp), Unfit> {
        if change.message().is_some_and(|m| m.len() > COMMENT_MAX) {
            return Err("its comment is too long".into());
        }
        let message = Message::read(change.message()).ok_or_else(|| Unfit::from("its comment can't be read"))?;
        let (mut keys, mut stamp) = (BTreeSet::new(), None);
        for write in writes {
            let key = register::key(&write.key)?.ok_or_else(|| Unfit::from("it writes the cluster's id"))?;
            let version = register::read(register::version_id(write.counter, &[]), &write.text)?;
            if version.stamp.on != *signer {
                return Err(format!("it is said to be made by {}", version.stamp.on).into());
            }
            if stamp.get_or_insert_with(|| version.stamp.clone()) != &version.stamp {
                return Err("it has several stamps".into());
            }
            let hash = key_hash(&write.key);
            if write.over.iter().any(|(counter, actor)| self.log.key_of(*counter, actor) != Some(hash)) {
                return Err(format!("it supersedes something that is no version of {key}").into());
            }
            if !keys.insert(key) {
                return Err("it writes a register twice".into());
            }
        }
        let stamp = stamp.ok_or_else(|| Unfit::from("it writes nothing"))?;
        if u64::try_from(change.timestamp()) != Ok(stamp.at.as_millis()) {
            return Err("its time is not that of its stamp".into());
        }
        if message.s != keys.iter().any(Key::is_structure) {
            return Err("it does not tell whether it touches the structure".into());
        }
        Ok((keys, stamp))
    }
}
