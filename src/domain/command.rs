//! Something to be done on peers, and what was observed afterwards.

use strum::IntoStaticStr;

use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// What can be done.
#[derive(Clone, PartialEq, Eq, Debug)]
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
    },
}

impl Command {
    /// The word of the command line.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Disconnect { .. } => "disconnect",
            Self::Reconnect { .. } => "reconnect",
        }
    }

    /// Who is changed by it.
    #[must_use]
    pub fn target(&self) -> &PeerId {
        match self {
            Self::Disconnect { peer, .. } | Self::Reconnect { peer } => peer,
        }
    }
}

/// How far a command has come. Done means observed (rule 6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, IntoStaticStr)]
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
