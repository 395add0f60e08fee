//! What things are, and the rules between them.
//!
//! Nothing here knows a clock, a socket, a file or a terminal: time is an argument, text from outside
//! is cleaned by [`text`] before it becomes a name, and every type is plain data that can be compared.

pub mod alert;
pub mod command;
pub mod event;
pub mod finding;
pub mod ha;
pub mod ids;
pub mod maintenance;
pub mod membership;
pub mod mesh;
pub mod observation;
pub mod past;
pub mod plan;
pub mod reach;
pub mod settings;
pub mod snapshot;
pub mod span;
pub mod text;
pub mod time;

pub use command::{Command, CommandKind, Outcome, OutcomeState, PeerAct};
pub use event::Event;
pub use finding::{Finding, FindingId, FindingKind, Severity, Subject};
pub use ids::{BootId, ClusterName, FeatureName, GroupId, GroupName, HaName, HostName, KeyId, MemberId, PeerId};
pub use maintenance::Maintenance;
pub use membership::{Machine, Membership};
pub use mesh::link::{Cause, Link, LinkState};
pub use mesh::row::Row;
pub use observation::{Fact, Observation};
pub use past::{Glance, Mark, Moment};
pub use plan::{Basis, DangerClass, Plan};
pub use reach::{Reach, ReachState};
pub use snapshot::{Cluster, Peer, Snapshot};
pub use text::Line;
pub use time::Time;
