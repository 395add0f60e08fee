//! How this console reaches a peer itself: the observer's own link, beside the mesh.

use std::net::SocketAddr;
use std::time::Duration;

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::domain::command::Outcome;
use crate::domain::ids::{ClusterName, HostName, PeerId};
use crate::domain::mesh::link::Cause;
use crate::domain::observation::Observation;
use crate::domain::plan::Plan;
use crate::domain::settings::{CommitId, Key, Past};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Where the connection to a peer stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ReachState {
    /// First attempt under way.
    Connecting,
    /// Connected and reporting.
    Connected,
    /// Lost or never had; dialled again by itself.
    Unreachable,
    /// The host key is unknown and somebody must look at its fingerprint.
    AskHostKey,
}

/// The connection to one peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Where it stands.
    pub state: ReachState,
    /// Why it is not connected.
    pub cause: Option<Cause>,
    /// What was tried and what happened, for the reader.
    pub detail: Line,
    /// Since when it is in this state.
    pub since: Time,
    /// When the peer last said anything.
    pub heard: Option<Time>,
    /// Newest round trip of a request.
    pub rtt: Option<Duration>,
    /// Where it was dialled.
    pub address: Option<SocketAddr>,
    /// Dials since it was last connected.
    pub attempts: u32,
    /// When it will be dialled next.
    pub next_attempt: Option<Time>,
}

impl Reach {
    /// Before the first attempt.
    #[must_use]
    pub fn new(since: Time) -> Self {
        Self {
            state: ReachState::Connecting,
            cause: None,
            detail: Line::default(),
            since,
            heard: None,
            rtt: None,
            address: None,
            attempts: 0,
            next_attempt: None,
        }
    }
}

/// Names one configured or discovered connection of one cluster: `cluster/host:port`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EndpointKey {
    /// Name of the cluster in the fleet file (or that the first peer told).
    pub cluster: ClusterName,
    /// Host name or address.
    pub host: HostName,
    /// Administration port.
    pub port: u16,
}

/// What to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Its name.
    pub key: EndpointKey,
    /// The serial number that must answer, when the membership told it.
    pub expected: Option<PeerId>,
    /// The address for cluster traffic that the membership told, dialled instead of the host name's when it is an IP address.
    pub address: Option<HostName>,
    /// The host key that a peer of the cluster, itself verified, vouches for. `known_hosts` outranks it.
    pub vouched_host_key: Option<Line>,
}

/// What a peer's actor tells the engine about one endpoint.
#[derive(Clone, PartialEq, Debug)]
pub enum PeerEvent {
    /// A dial begins.
    Dialing {
        /// Dials since it was last connected, this one included.
        attempt: u32,
    },
    /// The connection stands, the peer has said who it is; its facts follow.
    Connected {
        /// Where.
        address: Option<SocketAddr>,
        /// From the begin of the dial to the first report.
        took: Duration,
        /// Who answered.
        id: PeerId,
    },
    /// A request was answered.
    RoundTrip(Duration),
    /// Facts, in the order in which they came. `observer` of each is the peer that answered.
    Observed(Vec<Observation>),
    /// The host key is not known. Where somebody can be asked, no dial until [`PeerRequest::TrustHostKey`] comes;
    /// where nobody can, [`PeerEvent::Lost`] follows at once, with the time of the next dial.
    AskHostKey {
        /// `ssh-ed25519 AAAA...`
        key: Line,
        /// `SHA256:...`
        fingerprint: Line,
    },
    /// A dial failed or the connection ended.
    Lost {
        /// Why.
        cause: Cause,
        /// What was tried and what happened; the host key's fingerprints where it is about them.
        detail: Line,
        /// Where, if it came so far.
        address: Option<SocketAddr>,
        /// How long until the next dial; `None` when it will not be dialled again by itself.
        retry_in: Option<Duration>,
    },
    /// What the peer said to a command.
    Executed {
        /// As in [`PeerRequest::Execute`].
        id: u64,
        /// Accepted, refused, failed or unknown; never observed, which only the engine can say.
        outcome: Outcome,
        /// Of a commit that was accepted: its name.
        commit: Option<CommitId>,
    },
    /// What a register was, as asked for.
    History {
        /// As in [`PeerRequest::History`].
        id: u64,
        /// The past, newest first; or why there is none.
        past: Result<Vec<Past>, Line>,
    },
    /// Observations had to be dropped because the engine did not take them in time.
    Dropped(u64),
}

/// What the engine asks of a peer's actor.
#[derive(Clone, PartialEq, Debug)]
pub enum PeerRequest {
    /// Rows of these peers are wanted too, and no others.
    Relay(Vec<PeerId>),
    /// Carry out a plan; what comes of it is seen in observations. `id` names it in [`PeerEvent::Executed`].
    Execute {
        /// Names the command.
        id: u64,
        /// What.
        plan: Plan,
    },
    /// The person looked at the fingerprint and accepts this key; it is kept in our `known_hosts`.
    TrustHostKey {
        /// As in [`PeerEvent::AskHostKey`].
        key: Line,
    },
    /// Its settings tree is wanted from now on, whole and then as it changes; or not any more.
    Tree(bool),
    /// All versions that a register ever had, newest first; answered by [`PeerEvent::History`].
    History {
        /// Names the question.
        id: u64,
        /// Which register; `None`: the newest commits of all.
        key: Option<Key>,
    },
    /// Dial now instead of at the end of the back-off.
    DialNow,
}
