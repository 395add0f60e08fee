//! One directed edge of the mesh: what a peer says about another.

use std::net::SocketAddr;
use std::time::Duration;

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// The state of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum LinkState {
    /// A control connection stands and its pings are answered.
    Connected,
    /// Being built; no attempt has failed yet.
    Connecting,
    /// Not usable, with a [`Cause`].
    Down,
    /// Disconnected on purpose.
    Detached,
    /// Nobody told us, or what we were told is too old. Never reported by a peer.
    Unknown,
}

impl LinkState {
    /// The word that stands in `--json` and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a link is not up (`10-peer.md`, "The mesh").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Cause {
    /// The host name has no address, a wrong one, or the look-up failed (C19).
    DnsForward,
    /// The address has no reverse record, a wrong one, or not in time (C19).
    DnsReverse,
    /// Nothing listens on the port.
    Refused,
    /// No answer within the deadline, or too many pings without an answer.
    Timeout,
    /// The host key is not the one that is pinned.
    HostKey,
    /// No common algorithm, or the exchange broke.
    KeyExchange,
    /// The login was refused.
    Auth,
    /// The caller does not appear to be in the cluster.
    NotInCluster,
    /// Another settings and mesh level (C15).
    Version,
    /// The connection broke.
    Dropped,
    /// Over the session limit of the other side (C30).
    TooManyConnections,
    /// Disconnected on purpose.
    Detached,
    /// A cause that this version of peerdeck has no word for; the detail has the peer's own.
    Unlisted,
}

impl Cause {
    /// The word that stands in `--json` and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// What to do about it, in plain words for the operator.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::DnsForward => {
                "check the A/AAAA record of its main host name on the DNS servers of the observing peer"
            }
            Self::DnsReverse => "check the PTR record of its address on the DNS servers of the observing peer",
            Self::Refused => {
                "the machine answers but nothing listens there: is the peer process running, is the port right?"
            }
            Self::Timeout => {
                "no answer on the way: check the machine, the network between the two and firewalls in both directions"
            }
            Self::HostKey => {
                "the host key is not the pinned one: a reinstalled machine, or somebody in between. Verify before you trust it"
            }
            Self::KeyExchange => {
                "the two sides have no common algorithm, or the exchange broke: compare their versions"
            }
            Self::Auth => "the login was refused: check the machine key in the membership, or your own key",
            Self::NotInCluster => {
                "the other side does not know this machine as a member: compare the membership on both"
            }
            Self::Version => "bring both to the same level; until then nothing is synchronised between them",
            Self::Dropped => "the connection broke: it is dialled again by itself; if it repeats, look at the network",
            Self::TooManyConnections => {
                "the other side has too many sessions: close logins there, it comes back by itself"
            }
            Self::Detached => "it was disconnected on purpose; reconnect it when its work is done",
            Self::Unlisted => "this peerdeck does not know the cause that the peer named; see the detail",
        }
    }
}

/// What datagrams say about one direction, apart from the connection (one TCP connection fails both ways).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Probe {
    /// Not asked, or too short a time: says nothing.
    #[default]
    Untested,
    /// A datagram of the other side arrived within the ping limits.
    Heard,
    /// The other side should have sent, and nothing arrived within the ping limits.
    Silent,
}

/// The outcome of one look-up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum DnsResult {
    /// Not asked.
    #[default]
    Untested,
    /// As it should be.
    Ok,
    /// The name does not exist.
    Missing,
    /// It exists and says something else.
    Wrong,
    /// No answer in time.
    Timeout,
    /// The server answered with a failure.
    Failed,
}

impl DnsResult {
    /// Whether it is known to be bad.
    #[must_use]
    pub fn is_bad(self) -> bool {
        match self {
            Self::Untested | Self::Ok => false,
            Self::Missing | Self::Wrong | Self::Timeout | Self::Failed => true,
        }
    }

    /// The word that stands in `--json` and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What the observing peer's DNS says of the observed one (C19).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DnsCheck {
    /// Host name to address.
    pub forward: DnsResult,
    /// Address to host name.
    pub reverse: DnsResult,
    /// What was answered, for the reader.
    pub answer: Line,
}

/// What `from` says about `to`. Times are on the holder's clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The observed peer.
    pub to: PeerId,
    /// Never [`LinkState::Unknown`] as reported.
    pub state: LinkState,
    /// Set when the state is down or detached.
    pub cause: Option<Cause>,
    /// What exactly, for the reader.
    pub detail: Line,
    /// Since when it is in this state.
    pub since: Time,
    /// Newest round trip of a ping over the connection.
    pub rtt: Option<Duration>,
    /// Pings or dials failed in a row.
    pub failures: u32,
    /// When anything of the other side was last received.
    pub heard: Option<Time>,
    /// Whether the other side's datagrams arrive here.
    pub probe: Probe,
    /// The look-ups of the other side's name and address.
    pub dns: DnsCheck,
    /// Where it was dialled, or from where it came.
    pub address: Option<SocketAddr>,
    /// Dials since it was last connected.
    pub attempts: u32,
    /// When it will be dialled next.
    pub next_attempt: Option<Time>,
    /// State changes within the last ten minutes, as the observer counts them.
    pub changes: u32,
    /// How often answers turned between prompt and late within the last two minutes, in steps from 5 on: it goes up and
    /// down faster than pings give it up.
    pub falters: u32,
}

impl Link {
    /// A link of which nothing is known but that it is wanted.
    #[must_use]
    pub fn connecting(to: PeerId, since: Time) -> Self {
        Self {
            to,
            state: LinkState::Connecting,
            cause: None,
            detail: Line::default(),
            since,
            rtt: None,
            failures: 0,
            heard: None,
            probe: Probe::Untested,
            dns: DnsCheck::default(),
            address: None,
            attempts: 0,
            next_attempt: None,
            changes: 0,
            falters: 0,
        }
    }
}
