//! Dated facts, as one peer reported them: the only input of the picture.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::Event;
use crate::domain::ha::HaStatus;
use crate::domain::ids::{BootId, HostName, PeerId};
use crate::domain::maintenance::Maintenance;
use crate::domain::membership::Membership;
use crate::domain::mesh::link::Link;
use crate::domain::mesh::row::Row;
use crate::domain::settings::{Entry, Holding, Key};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// A fact, who reported it, and when it was true.
#[derive(Clone, PartialEq, Debug)]
pub struct Observation {
    /// When it was true, on the holder's clock.
    pub at: Time,
    /// Who reported it.
    pub observer: PeerId,
    /// What.
    pub fact: Fact,
}

/// What a peer can report.
#[derive(Clone, PartialEq, Debug)]
pub enum Fact {
    /// Who it is; the first fact of every connection.
    Identity(Identity),
    /// The members that it knows.
    Membership(Arc<Membership>),
    /// A whole link row, its own or one that it passes on (`row.via` is set then).
    Row(Arc<Row>),
    /// Changes to its own row, on top of the last one it sent over this connection.
    RowDelta(RowDelta),
    /// How it fares itself.
    Health(Health),
    /// What it holds of the settings.
    Holding(Arc<Holding>),
    /// How it stands in its HA group.
    Ha(Arc<HaStatus>),
    /// Registers of its settings tree; told by the one peer that was asked for them.
    Tree(TreePart),
    /// People who are logged in there.
    Sessions(Vec<OperatorSession>),
    /// Something that happened there.
    Event(Event),
    /// A line of its log, which it may tell again over another connection.
    Logged {
        /// Its number since the observer's start.
        n: u64,
        /// The line.
        event: Event,
    },
    /// The peer sent what can't be understood or is over a limit; the connection ends after it.
    Unparsed {
        /// What was wrong with it, clean.
        why: Line,
    },
}

/// Who a peer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Serial number.
    pub id: PeerId,
    /// Main host name.
    pub host: HostName,
    /// Product and version (`peerdeck 0.1.0`).
    pub version: Line,
    /// Level of settings and mesh (C15).
    pub level: u32,
    /// Its current start.
    pub boot: BootId,
    /// How often it reports.
    pub interval: Duration,
}

/// Registers of a peer's tree: a whole one comes in parts, and then what changes.
#[derive(Clone, PartialEq, Debug)]
pub struct TreePart {
    /// Random id of the cluster.
    pub cluster_id: Line,
    /// A whole tree begins: what was told before no longer counts.
    pub first: bool,
    /// With this part it is complete.
    pub last: bool,
    /// Digest of the document, as in [`Holding::digest`].
    pub digest: Line,
    /// The registers; `None`: it is gone.
    pub registers: Vec<(Key, Option<Entry>)>,
}

/// Changes to a row.
#[derive(Clone, PartialEq, Debug)]
pub struct RowDelta {
    /// The new sequence number of the row.
    pub seq: u64,
    /// Since when the origin is detached, if it is.
    pub detached: Option<Time>,
    /// The maintenance that was announced for the origin.
    pub maintenance: Option<Maintenance>,
    /// Its level.
    pub level: u32,
    /// Links that differ from what was sent last.
    pub changed: Vec<Arc<Link>>,
    /// Links that are gone.
    pub removed: Vec<PeerId>,
    /// One entry per link in order of the serial numbers: the ping since the last report. `None` = no ping,
    /// `Some(None)` = lost.
    pub pings: Vec<Option<Option<Duration>>>,
}

/// How a peer fares itself: what it says about others weighs less when it is unwell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// Its wall clock less ours at the same moment, in milliseconds.
    pub clock_offset_ms: i64,
    /// The longest that its own loop was late since the last report.
    pub late: Duration,
    /// What it had to drop since its start.
    pub dropped: u64,
}

/// From which lateness on a peer's loop counts as unwell: a ping limit may have passed unseen.
pub const LATE_LIMIT: Duration = Duration::from_secs(1);

impl Health {
    /// Whether its own loop ran so late that its accusations weigh less.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.late >= LATE_LIMIT
    }
}

/// A person at work on a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorSession {
    /// User name.
    pub user: Line,
    /// From where.
    pub from: Line,
    /// Since when.
    pub since: Time,
    /// Console, shell or a command.
    pub what: Line,
}
