//! Something to be done on peers, and what was observed afterwards.

use std::sync::Arc;
use std::time::Duration;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use crate::domain::ha::HaAct;
use crate::domain::ids::PeerId;
use crate::domain::plan::DangerClass;
use crate::domain::settings::{Edit, EditKind};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Longest reason, in characters: a peer cuts what is longer.
pub const REASON_MAX: usize = 200;

/// What can be done.
#[derive(Clone, PartialEq, Debug, EnumDiscriminants)]
#[strum_discriminants(name(CommandKind))]
#[strum_discriminants(doc = "What can be done, without to whom. Its word stands on the wire and in the audit log.")]
#[strum_discriminants(derive(PartialOrd, Ord, Hash, EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(strum(serialize_all = "kebab-case"))]
pub enum Command {
    /// Detach a machine from its cluster on purpose (C22).
    Disconnect {
        /// Which.
        peer: PeerId,
        /// Why, for the log.
        reason: Line,
    },
    /// Bring a detached machine back (C22).
    Reconnect {
        /// Which.
        peer: PeerId,
        /// Why, for the log.
        reason: Line,
    },
    /// Announce that a machine is worked on. Anew for one that is in maintenance: another end, another reason.
    MaintenanceOn {
        /// Which.
        peer: PeerId,
        /// For how long; at most [`crate::domain::maintenance::LASTING_MAX`].
        lasting: Duration,
        /// Why; everybody sees it.
        reason: Line,
    },
    /// The work is done.
    MaintenanceOff {
        /// Which.
        peer: PeerId,
        /// Why, for the log.
        reason: Line,
    },
    /// Something that a unit of an HA group is asked for (F4, F15).
    Ha {
        /// What.
        act: HaAct,
        /// The unit that carries it out: the one that gives its role away, or that takes it.
        on: PeerId,
        /// Why, for the log.
        reason: Line,
    },
    /// Change settings or structure: all of the edits or none (C16).
    Commit {
        /// Who writes it; any member can.
        on: PeerId,
        /// What.
        edits: Arc<[Edit]>,
        /// The author's comment.
        comment: Line,
    },
}

impl Command {
    /// The word in the audit log, and on the wire where it is not a word of [`HaAct`].
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ha { act, .. } => act.as_str(),
            Self::Disconnect { .. }
            | Self::Reconnect { .. }
            | Self::MaintenanceOn { .. }
            | Self::MaintenanceOff { .. }
            | Self::Commit { .. } => CommandKind::from(self).into(),
        }
    }

    /// Who is changed by it.
    #[must_use]
    pub fn target(&self) -> &PeerId {
        match self {
            Self::Disconnect { peer, .. }
            | Self::Reconnect { peer, .. }
            | Self::MaintenanceOn { peer, .. }
            | Self::MaintenanceOff { peer, .. } => peer,
            Self::Ha { on, .. } | Self::Commit { on, .. } => on,
        }
    }

    /// Why, in the words of whoever wants it; may be empty.
    #[must_use]
    pub fn reason(&self) -> &Line {
        match self {
            Self::Disconnect { reason, .. }
            | Self::Reconnect { reason, .. }
            | Self::MaintenanceOn { reason, .. }
            | Self::MaintenanceOff { reason, .. }
            | Self::Ha { reason, .. } => reason,
            Self::Commit { comment, .. } => comment,
        }
    }

    /// How much it can break: of a commit, as much as the worst of its edits (`20-console.md`, "Keys and actions").
    #[must_use]
    pub fn class(&self) -> DangerClass {
        match self {
            Self::Disconnect { .. } => PeerAct::Disconnect.class(),
            Self::Reconnect { .. } => PeerAct::Reconnect.class(),
            Self::MaintenanceOn { .. } => PeerAct::MaintenanceOn.class(),
            Self::MaintenanceOff { .. } => PeerAct::MaintenanceOff.class(),
            Self::Ha { act, .. } => act.class(),
            Self::Commit { edits, .. } => {
                edits.iter().map(|e| EditKind::from(e).class()).max().unwrap_or(DangerClass::Reversible)
            }
        }
    }
}

/// Commands about the state of one peer: all but a commit. The words are those of [`CommandKind`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum PeerAct {
    /// [`Command::Disconnect`].
    Disconnect,
    /// [`Command::Reconnect`].
    Reconnect,
    /// [`Command::MaintenanceOn`].
    MaintenanceOn,
    /// [`Command::MaintenanceOff`].
    MaintenanceOff,
}

impl PeerAct {
    /// How much it can break (`20-console.md`, "Keys and actions").
    #[must_use]
    pub fn class(self) -> DangerClass {
        match self {
            Self::Disconnect | Self::Reconnect => DangerClass::Disruptive,
            Self::MaintenanceOn | Self::MaintenanceOff => DangerClass::Reversible,
        }
    }

    /// The command for `peer`; `lasting` counts where maintenance begins.
    #[must_use]
    pub fn command(self, peer: PeerId, lasting: Duration, reason: Line) -> Command {
        match self {
            Self::Disconnect => Command::Disconnect { peer, reason },
            Self::Reconnect => Command::Reconnect { peer, reason },
            Self::MaintenanceOn => Command::MaintenanceOn { peer, lasting, reason },
            Self::MaintenanceOff => Command::MaintenanceOff { peer, reason },
        }
    }
}

/// How far a command has come. Done means observed (rule 6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum OutcomeState {
    /// On its way.
    Sent,
    /// The peer has taken it.
    Accepted,
    /// The peer is at it.
    Running,
    /// A later observation shows the new state.
    Observed,
    /// Not carried out, and nothing changed.
    Refused,
    /// Carried out in part, or not at all.
    Failed,
    /// Nobody can say: the peer went away, or time ran out.
    Unknown,
}

impl OutcomeState {
    /// Whether nothing more will be said.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Sent | Self::Accepted | Self::Running => false,
            Self::Observed | Self::Refused | Self::Failed | Self::Unknown => true,
        }
    }
}

/// What became of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How far it came.
    pub state: OutcomeState,
    /// When that was seen.
    pub at: Time,
    /// Why, or what was seen.
    pub detail: Line,
}
