//! Something that happened, as one line of the Events view and of `events`.

use strum::{EnumString, IntoStaticStr};

use crate::domain::finding::Subject;
use crate::domain::ids::ClusterName;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When, on the holder's clock.
    pub at: Time,
    /// In which cluster; the engine knows it, a peer does not say it.
    pub cluster: Option<ClusterName>,
    /// Of which kind.
    pub kind: EventKind,
    /// To whom.
    pub subject: Subject,
    /// In one sentence.
    pub text: Line,
}

/// Kinds of events; the word stands as `type` in `events --json`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum EventKind {
    /// A link changed its state.
    Link,
    /// This console reached or lost a peer.
    Reach,
    /// A finding was raised.
    Raised,
    /// A finding changed its severity or text.
    Changed,
    /// A finding was cleared.
    Cleared,
    /// The membership changed.
    Membership,
    /// A line of a peer's own log.
    Peer,
    /// A unit of an HA group changed its role.
    Role,
    /// A command or its outcome.
    Command,
}
