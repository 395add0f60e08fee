//! The seams of the HA core: what comes in, what goes out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::domain::ha::{AddressAction, Effective, HaAct, HaConfig, LinkName, MonitorKind};
use crate::domain::ids::{BootId, HostName, PeerId};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::beat::Message;

/// What a core is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our serial number.
    pub id: PeerId,
    /// Our main host name.
    pub host: HostName,
    /// Our start.
    pub boot: BootId,
    /// Level of settings and mesh.
    pub level: u32,
    /// The group; free of [`HaConfig::problems`].
    pub ha: HaConfig,
    /// What the last start left on disk.
    pub kept: Kept,
    /// Seed of the jitter.
    pub seed: u64,
}

/// What outlives a restart. Written and synced before it has effect.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// The highest epoch that this unit has been in or has heard of.
    pub epoch: u64,
    /// Its effective role then; `None` at the first start.
    pub role: Option<Effective>,
    /// It gives its address away: it never takes it back by itself in an epoch up to this one.
    pub ceding: Option<u64>,
    /// It failed or was stopped by a monitor (`on-failure` decides at the next start).
    pub failed: bool,
}

/// A way to somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Way {
    /// A heartbeat link to the fellow at this address.
    Link(LinkName, IpAddr),
    /// The witness at this address.
    Witness(SocketAddr),
}

/// What the core is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time went by.
    Tick,
    /// An authentic datagram that is no replay.
    Heard {
        /// How it came.
        way: Way,
        /// Who sent it.
        from: PeerId,
        /// Its start.
        boot: BootId,
        /// What it says.
        message: Message,
    },
    /// A datagram that is not authentic.
    Stranger {
        /// From where, and what is wrong with it.
        text: Line,
    },
    /// An old datagram once more.
    Replayed,
    /// [`Effect::Keep`] ended.
    Kept {
        /// As asked.
        ticket: u64,
        /// Or why it is not on disk.
        result: Result<(), String>,
    },
    /// The guard says.
    Guard(GuardReport),
    /// [`Effect::Check`] ended.
    Checked {
        /// Which monitor.
        kind: MonitorKind,
        /// Good, or why not.
        result: Result<(), String>,
    },
    /// Whether any heartbeat port has a carrier or any reference address answers; told when it changes.
    Footing(Result<(), Line>),
    /// A person asks.
    Act {
        /// Names the answer.
        request: u64,
        /// What.
        act: HaAct,
        /// By whom.
        by: Line,
        /// Why.
        reason: Line,
        /// On which role and epoch it was decided; `None`: not checked.
        basis: Option<(Effective, u64)>,
    },
    /// How the configuration stands (F3).
    Configuration(Configuration),
    /// A hook ended: what went wrong.
    Hooked(Result<(), Line>),
    /// The peer stops: let go, say good-bye.
    Stop {
        /// It comes back: the other shall wait ([`crate::domain::ha::config::HOLD_OFF`]).
        restarting: bool,
    },
}

/// How the configuration of this unit stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Configuration {
    /// Digest of the settings; empty: none.
    pub digest: String,
    /// What stands against synchronisation (another level, no link), if anything.
    pub trouble: Option<Line>,
}

/// What the runtime shall do.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Send a datagram; it may be lost.
    Send {
        /// To whom.
        way: Way,
        /// What.
        message: Message,
    },
    /// Write and sync; answered by [`Event::Kept`]. One at a time.
    Keep {
        /// Names the answer.
        ticket: u64,
        /// What.
        kept: Kept,
    },
    /// Tell the guard.
    Guard(GuardOrder),
    /// Run a monitor's check once; answered by [`Event::Checked`] within its wait.
    Check {
        /// Which.
        kind: MonitorKind,
    },
    /// Run the hook: the role has changed.
    Hook {
        /// From,
        from: Effective,
        /// to.
        to: Effective,
        /// In which epoch.
        epoch: u64,
        /// Why.
        reason: Line,
    },
    /// Answer a person.
    Answer {
        /// As in [`Event::Act`].
        request: u64,
        /// It was taken up, or why not.
        result: Result<String, String>,
    },
    /// Bring the configuration in step now (F4).
    Sync,
    /// Something that operators should read in the log.
    Log(Line),
    /// The status changed in more than ages.
    Changed,
    /// Everything that [`Event::Stop`] asked for is said and done.
    Stopped,
}

/// To the guard of the addresses: the newest order counts. All virtual addresses go together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GuardOrder {
    /// Hold the addresses: add them if they are not there, renew their lease while `now + K` is not past `until`.
    Hold {
        /// In which epoch.
        epoch: u64,
        /// When the permit ends.
        until: Time,
        /// Look for somebody else who has them, before they are added (never after a release: that is proof).
        probe: bool,
    },
    /// Delete them now.
    Drop,
}

/// From the guard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GuardReport {
    /// All addresses are there, and announced.
    Held {
        /// In which epoch.
        epoch: u64,
        /// They stay until then at most without renewal.
        until: Time,
    },
    /// None of them is there any more: deleted by order.
    Dropped,
    /// They went without an order: the lease ran out or somebody deleted them.
    Lapsed,
    /// Somebody else has one of them: they were not added.
    Conflict(Line),
    /// The system refused; nothing is held that was not before.
    Failed(Line),
}

/// What a guard is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardConfig {
    /// The virtual addresses, without those to be ignored.
    pub addresses: Vec<GuardAddress>,
    /// Valid lifetime that the kernel is given, whole seconds.
    pub lease: Duration,
}

/// An address of the guard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardAddress {
    /// The port.
    pub interface: String,
    /// Instead of the port's own, or beside it.
    pub action: AddressAction,
    /// The address.
    pub address: IpAddr,
    /// Its prefix.
    pub prefix: u8,
}
