//! The replicated settings of a cluster: an Automerge document whose changes are signed, checked, and shown only when
//! they are on disk (C16, C18, C22, C23, C32). Pure: no clock, no disk, no sockets.
//!
//! One batch of changes is under way at a time: [`Replica::commit`] and [`Replica::receive`] hand out a [`Batch`]; the
//! owner writes it to disk and says [`Replica::kept`] or [`Replica::lost`]. Until then further ones are refused with
//! [`ReplicaError::Busy`], nothing of it is shown, and nothing is sent.

mod author;
mod check;
mod columns;
mod genesis;
mod ignore;
mod load;
mod log;
mod read;
mod rebase;
mod register;
mod sync;
mod unfold;

pub use genesis::{provisioned_group, provisioned_member};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use automerge::{ActorId, Automerge};

use self::ignore::Ignored;
use self::log::{ChangeId, Log};
use self::sync::Fellow;
use crate::domain::ids::{HostName, MemberId, PeerId};
use crate::domain::membership::Membership;
use crate::domain::settings::{CommitId, Holding, Key, Tree};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Stamps that are further ahead of our clock don't advance it, and are reported.
pub const AHEAD_MAX: Duration = Duration::from_mins(5);

/// Largest sync message, in bytes.
pub const MESSAGE_MAX: usize = 64 << 20;

/// Largest change, in bytes.
pub const CHANGE_MAX: usize = 16 << 20;

/// Most registers that one change writes.
pub const WRITES_MAX: usize = 100_000;

/// A change as it is on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredChange {
    /// Names it.
    pub hash: [u8; 32],
    /// Automerge's form of it.
    pub bytes: Vec<u8>,
    /// The membership that made it; that of the first change of a document is empty, and so is its signature.
    pub signer: MemberId,
    /// Of the machine key of that membership.
    pub signature: Vec<u8>,
}

/// Signs with our machine key and verifies with anybody's.
pub trait Signing: Send + Sync {
    /// The signature of `message` by our machine key.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
    /// Whether `public_key` (`ssh-ed25519 AAAA...`) signed `message`.
    fn verify(&self, public_key: &str, message: &[u8], signature: &[u8]) -> bool;
}

/// Who we are.
#[derive(Clone)]
pub struct Config {
    /// Serial number.
    pub peer: PeerId,
    /// Main host name.
    pub host: HostName,
    /// The actor that was kept; a new one is drawn when it is no longer good.
    pub actor: Option<Vec<u8>>,
    /// Random; new actors are drawn from it.
    pub seed: u64,
    /// Our machine key.
    pub signing: Arc<dyn Signing>,
}

/// Why something was not done. Says what to do where the reader can do something.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// Try again when the batch that is under way is kept or lost.
    #[error("changes are being written to disk")]
    Busy,
    /// We are no member (any more).
    #[error("this machine is not a member of the cluster: join it before changing its settings")]
    NotMember,
    /// A commit without changes.
    #[error("there is nothing to commit")]
    Empty,
    /// A commit that nobody would take.
    #[error("the commit is too large: {0}; split it")]
    TooLarge(String),
    /// A sync message of another cluster, or of one that was founded otherwise.
    #[error("{fellow} belongs to another cluster: {why}; nothing was taken from it")]
    OtherCluster {
        /// Who sent it.
        fellow: PeerId,
        /// How that shows.
        why: String,
    },
    /// A sync message that can't be read.
    #[error("the sync message of {fellow} can't be read: {why}")]
    Malformed {
        /// Who sent it.
        fellow: PeerId,
        /// What is wrong.
        why: String,
    },
    /// The document can't be made, or what was stored is damaged.
    #[error("the settings can't be used: {0}")]
    Document(String),
}

/// What the log should say about a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A change was not taken.
    Refused {
        /// Who sent it.
        fellow: PeerId,
        /// Beginning of its hash.
        change: Line,
        /// Who is said to have made it.
        signer: MemberId,
        /// Why.
        why: Line,
    },
    /// A change was taken, but its author's clock is ahead of ours.
    Ahead {
        /// Who made it.
        member: MemberId,
        /// By how much.
        by: Duration,
    },
    /// A removed machine wrote; that is ignored everywhere.
    Ignored {
        /// Who made it.
        member: MemberId,
        /// How many changes.
        changes: usize,
    },
    /// Others know more of what we wrote than we do: we were restored from a backup, or there is a copy of this machine.
    Restored {
        /// Who told us.
        fellow: PeerId,
    },
    /// Our own changes that nobody else has were written anew, under another actor.
    Rebased {
        /// How many.
        changes: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { fellow, change, signer, why } => {
                write!(f, "change {change} signed by {signer}, told by {fellow}, is refused: {why}")
            }
            Self::Ahead { member, by } => write!(
                f,
                "the clock of {member} is {} ahead of ours: set it right, its changes win over later ones",
                crate::domain::time::human(*by)
            ),
            Self::Ignored { member, changes } => {
                write!(f, "{changes} changes that {member} made after it was removed are ignored everywhere")
            }
            Self::Restored { fellow } => write!(
                f,
                "{fellow} has changes of this machine that it does not have itself: it was restored from a backup or \
                 there is a copy of it; it goes on under a new name in the document"
            ),
            Self::Rebased { changes } => {
                write!(f, "{changes} changes that this machine alone had were written anew: nothing is lost")
            }
        }
    }
}

/// Changes to be kept on disk, all or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Names it in [`Replica::kept`] and [`Replica::lost`].
    pub id: u64,
    /// In this order; none: there is nothing to keep.
    pub changes: Vec<StoredChange>,
    /// Changes that no longer count: take them off the disk with the same transaction.
    pub forget: Vec<[u8; 32]>,
    /// The commit that this is, if it is one.
    pub commit: Option<CommitId>,
    /// Our actor, to be kept with the changes when it is given.
    pub actor: Option<Vec<u8>>,
    /// What the log should say.
    pub notes: Vec<Note>,
}

impl Batch {
    /// Whether there is nothing to keep; then [`Replica::kept`] need not be called.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.forget.is_empty()
    }
}

/// A batch that is being written to disk.
struct Pending {
    id: u64,
    /// Registers to be read anew.
    touched: BTreeSet<Key>,
    /// For a new beginning, if it is lost.
    before: Option<Box<Replica>>,
}

/// The document of a cluster, as one peer holds it.
pub struct Replica {
    config: Config,
    cluster_id: Line,
    genesis: ChangeId,
    /// Revision of the provisioned membership.
    founded: u64,
    doc: Automerge,
    log: Log,
    /// Changes from the beginning of the log that are on disk.
    on_disk: usize,
    ignored: Ignored,
    tree: Arc<Tree>,
    holding: Arc<Holding>,
    revision: u64,
    member: Option<MemberId>,
    actor: Vec<u8>,
    /// Nobody can know more of our actor than we do.
    sure: bool,
    draws: u64,
    /// Fellows whose whole document we have seen since the start.
    heard: BTreeSet<PeerId>,
    /// Stamps that a new one must not be behind.
    stamps: BTreeSet<(Time, u32)>,
    fellows: BTreeMap<PeerId, Fellow>,
    pending: Option<Pending>,
    next: u64,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what it holds: there may be secrets in it.
        f.debug_struct("Replica").field("changes", &self.log.len()).finish_non_exhaustive()
    }
}

impl Replica {
    /// The document of a cluster that was provisioned with this membership. The first change is shown at once, for it
    /// can be made again from the membership at any time; the batch is only there to be kept.
    ///
    /// # Errors
    /// [`ReplicaError::Document`] when the first change can't be made.
    pub fn found(config: Config, membership: &Membership) -> Result<(Self, Batch), ReplicaError> {
        let (_, mut change) = genesis::make(membership)?;
        let first = StoredChange {
            hash: change.hash().0,
            bytes: change.bytes().into_owned(),
            signer: MemberId::new(""),
            signature: Vec::new(),
        };
        let replica = Self::load(config, vec![first.clone()])?;
        Ok((replica, Batch { changes: vec![first], ..Batch::default() }))
    }

    /// All registers, as far as they are on disk.
    #[must_use]
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// What is on disk.
    #[must_use]
    pub fn holding(&self) -> &Arc<Holding> {
        &self.holding
    }

    /// Rises with each change of the structure; equal on peers with equal documents.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Random id of the cluster.
    #[must_use]
    pub fn cluster_id(&self) -> &Line {
        &self.cluster_id
    }

    /// Under which we write into the document; to be kept.
    #[must_use]
    pub fn actor(&self) -> Vec<u8> {
        self.actor.clone()
    }

    /// Our membership; `None` when we are no member any more.
    #[must_use]
    pub fn member(&self) -> Option<&MemberId> {
        self.member.as_ref()
    }

    /// Whether a batch is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// Removed machines that wrote after their removal, with the number of those changes: they are ignored everywhere.
    #[must_use]
    pub fn ignored(&self) -> BTreeMap<MemberId, usize> {
        let mut by = BTreeMap::new();
        for place in self.ignored.changes.iter().filter(|p| **p < self.on_disk) {
            *by.entry(self.log.all()[*place].stored.signer.clone()).or_default() += 1;
        }
        by
    }

    /// The batch is on disk: shows it. Returns the registers that it changed.
    pub fn kept(&mut self, batch: u64) -> BTreeSet<Key> {
        let Some(pending) = self.pending.take_if(|p| p.id == batch) else { return BTreeSet::new() };
        let news = &self.log.all()[self.on_disk.min(self.log.len())..];
        let plain = news.iter().all(|l| !l.structure && self.tree.structure().member(&l.stored.signer).is_some());
        self.on_disk = self.log.len();
        let mut touched = pending.touched;
        if !plain && !self.log.removals().is_empty() {
            let ignored = Ignored::of(&self.log);
            touched.extend(ignored.moved(&self.ignored, &self.log));
            self.ignored = ignored;
        }
        self.read_some(&touched);
        touched
    }

    /// The batch could not be written to disk: forgets it. What others made comes again after the next
    /// [`Replica::poll`]: so ask for that only when the disk can be written again.
    ///
    /// # Errors
    /// [`ReplicaError::Document`] when the document can't be made anew; then the replica can't be used any more.
    pub fn lost(&mut self, batch: u64) -> Result<(), ReplicaError> {
        let Some(pending) = self.pending.take_if(|p| p.id == batch) else { return Ok(()) };
        let mut fresh = match pending.before {
            Some(before) => *before,
            None => self.again(self.log.all()[..self.on_disk].iter().map(|l| l.stored.clone()).collect())?,
        };
        fresh.next = self.next;
        fresh.draws = fresh.draws.max(self.draws);
        for conversation in fresh.fellows.values_mut() {
            *conversation = Fellow::again();
        }
        *self = fresh;
        Ok(())
    }

    /// The same replica from these changes, with its conversations begun anew.
    fn again(&self, stored: Vec<StoredChange>) -> Result<Self, ReplicaError> {
        let config = Config { actor: Some(self.actor.clone()), ..self.config.clone() };
        let mut fresh = Self::load(config, stored)?;
        fresh.sure = self.sure;
        fresh.draws = self.draws;
        fresh.heard.clone_from(&self.heard);
        fresh.next = self.next;
        fresh.stamps.extend(self.stamps.iter().copied());
        fresh.fellows = self.fellows.keys().map(|fellow| (fellow.clone(), Fellow::again())).collect();
        Ok(fresh)
    }

    /// Begins a batch.
    fn begin(&mut self, touched: BTreeSet<Key>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.pending = Some(Pending { id, touched, before: None });
        id
    }
}

/// Whether Automerge and the log know the same changes.
fn heads_agree(doc: &Automerge, log: &Log) -> bool {
    let heads: BTreeSet<ChangeId> = doc.get_heads().into_iter().map(|h| h.0).collect();
    heads == *log.heads()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn actor_id(bytes: &[u8]) -> ActorId {
    ActorId::from(bytes)
}
