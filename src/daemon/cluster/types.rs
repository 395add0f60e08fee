//! What goes into the core and what comes out of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::daemon::replica::StoredChange;
use crate::domain::ha::{Effective, HaAct};
use crate::domain::ids::{BootId, HostName, PeerId};
use crate::domain::maintenance::Maintenance;
use crate::domain::membership::Membership;
use crate::domain::mesh::{Cause, DnsCheck, Row};
use crate::domain::settings::{Holding, Tree};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::frame::Frame;
use crate::proto::rpc::{ExecuteParams, ExecuteResult};

/// Names one control connection for as long as the peer runs. Those that the core dials are even, accepted ones odd.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// Names a request of a session that waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// What the core is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its serial number.
    pub id: PeerId,
    /// Its main host name.
    pub host: HostName,
    /// This start.
    pub boot: BootId,
    /// The level it speaks.
    pub level: u32,
    /// Every this long each fellow is pinged.
    pub ping_interval: Duration,
    /// So many unanswered pings in a row make a link down.
    pub ping_failures: u32,
    /// The members, itself among them.
    pub membership: Arc<Membership>,
    /// Since when it is detached, if it is.
    pub detached: Option<Time>,
    /// The maintenance that was announced for it; what has ended meanwhile is dropped.
    pub maintenance: Option<Maintenance>,
    /// Why it must not dial its fellows: its own host key is not the one that they pin.
    pub unfit: Option<(Cause, Line)>,
    /// Seed of all jitter.
    pub seed: u64,
}

/// A control connection that this peer dialled and that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// Where.
    pub address: SocketAddr,
    /// What the look-ups said.
    pub dns: DnsCheck,
}

/// A dial that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialError {
    /// In the field's words.
    pub cause: Cause,
    /// What was tried and why it failed.
    pub detail: String,
    /// Where, if it came so far.
    pub address: Option<SocketAddr>,
    /// What the look-ups said.
    pub dns: DnsCheck,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The time that [`super::Core::next_wake`] named has come.
    Tick,
    /// A dial ended.
    Dialled {
        /// As in [`Effect::Dial`].
        conn: ConnId,
        /// How.
        result: Result<Dialled, DialError>,
    },
    /// A fellow, known by its machine key, opened a control connection to us.
    Accepted {
        /// Its name from now on.
        conn: ConnId,
        /// Whose key it was.
        peer: PeerId,
        /// From where.
        from: SocketAddr,
    },
    /// A frame came.
    Frame {
        /// Over which connection.
        conn: ConnId,
        /// What.
        frame: Frame,
    },
    /// A ping was answered.
    Pong {
        /// Over which connection.
        conn: ConnId,
        /// Number of the ping.
        n: u64,
        /// Measured where the frames are written and read.
        rtt: Duration,
    },
    /// A connection ended, by the other side or by itself.
    Closed {
        /// Which.
        conn: ConnId,
        /// [`Cause::Dropped`] if nothing more is known.
        cause: Cause,
        /// What was seen.
        detail: String,
    },
    /// A datagram whose signature is right.
    Probe {
        /// Who signed it.
        peer: PeerId,
        /// Start of the sender.
        boot: BootId,
        /// Its number.
        n: u64,
    },
    /// The look-ups on a live link ended.
    Dns {
        /// About whom.
        peer: PeerId,
        /// What they said.
        check: DnsCheck,
    },
    /// A session wants a command carried out.
    Execute {
        /// Names the answer.
        request: RequestId,
        /// By whom, for the log.
        by: Line,
        /// What.
        params: ExecuteParams,
    },
    /// What the HA core said to [`Effect::Ha`].
    HaAnswered {
        /// As in [`Effect::Ha`].
        request: u64,
        /// It was taken up, or why not.
        result: Result<String, String>,
    },
    /// What [`Effect::Keep`] asked for is on disk, or can't be written: why.
    Kept {
        /// As in [`Effect::Keep`].
        ticket: u64,
        /// How it went.
        result: Result<(), String>,
    },
    /// Something that operators should read in the log.
    Note(Line),
    /// Speak another level from now on.
    SetLevel(u32),
    /// Another membership.
    Membership(Arc<Membership>),
    /// Say good-bye to everybody.
    Stop,
}

/// What the runtime shall do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Open a control connection; answered by [`Event::Dialled`] in any case.
    Dial {
        /// Its name.
        conn: ConnId,
        /// To whom.
        peer: PeerId,
        /// Where it answered last.
        last_good: Option<SocketAddr>,
    },
    /// Send a frame; it may be dropped when the connection doesn't take it in time.
    Send {
        /// Over which connection.
        conn: ConnId,
        /// What.
        frame: Arc<Frame>,
    },
    /// Send what is queued, then close. No [`Event::Closed`] follows.
    Close {
        /// Which; a dial that is still under way is given up.
        conn: ConnId,
    },
    /// Send a signed datagram.
    Probe {
        /// To whom.
        peer: PeerId,
        /// Where.
        address: SocketAddr,
        /// Its number.
        n: u64,
    },
    /// Look up a fellow's name and address; answered by [`Event::Dns`].
    CheckDns {
        /// About whom.
        peer: PeerId,
        /// Address at the other end of the link.
        address: SocketAddr,
    },
    /// Keep on disk since when this peer is detached.
    KeepDetached(Option<Time>),
    /// Keep on disk what maintenance is announced for this peer.
    KeepMaintenance(Option<Maintenance>),
    /// Keep changes of the settings on disk, all or none; answered by [`Event::Kept`]. One at a time.
    Keep {
        /// Names the answer.
        ticket: u64,
        /// The changes, in order.
        changes: Arc<[StoredChange]>,
        /// Changes that no longer count, to be taken off the disk.
        forget: Arc<[[u8; 32]]>,
        /// The actor that this peer writes as from now on; kept with them.
        actor: Option<Vec<u8>>,
    },
    /// A command for the HA core of this machine; answered by [`Event::HaAnswered`].
    Ha {
        /// Names the answer.
        request: u64,
        /// What.
        act: HaAct,
        /// By whom.
        by: Line,
        /// Why.
        reason: Line,
        /// Role and epoch that it was decided on.
        basis: Option<(Effective, u64)>,
    },
    /// Others belong to the cluster from now on.
    Roster(Arc<Membership>),
    /// Answer a session.
    Answer {
        /// As in [`Event::Execute`].
        request: RequestId,
        /// Done or on its way; or refused, with the reason.
        result: Result<ExecuteResult, String>,
    },
    /// Something changed that observers want to see at once.
    Changed,
}

/// A line of the peer's own log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// Counts from 1.
    pub n: u64,
    /// When.
    pub at: Time,
    /// About whom, if not the peer itself.
    pub peer: Option<PeerId>,
    /// In one sentence.
    pub text: Line,
}

/// The pings of one link, as observers count them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PingCount {
    /// Answered or lost so far.
    pub n: u64,
    /// The newest of them; `None` is a lost one.
    pub last: Option<Duration>,
}

/// Everything that observers are told of, at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// When.
    pub at: Time,
    /// Main host name.
    pub host: HostName,
    /// The members.
    pub membership: Arc<Membership>,
    /// The own row, as it is now.
    pub row: Arc<Row>,
    /// One per link of the row, in the same order.
    pub pings: Vec<PingCount>,
    /// The rows of the others.
    pub rows: BTreeMap<PeerId, Arc<Row>>,
    /// The newest lines of the log, oldest first.
    pub log: Vec<LogLine>,
    /// How late the loop was, by when it was noticed; the last minute.
    pub late: Vec<(Time, Duration)>,
    /// What had to be dropped since the start.
    pub dropped: u64,
    /// The settings.
    pub tree: Arc<Tree>,
    /// What it holds of them, at the same moment.
    pub holding: Arc<Holding>,
}
