//! The stream of observations that a peer sends to whoever observes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ha::WireHa;
use super::membership::WireMembership;
use super::settings::{WireHolding, WireTree};
use super::{ClockMap, ProtoError, check_version, micros, ms};
use crate::domain::event::{Event, EventKind};
use crate::domain::finding::Subject;
use crate::domain::ids::{BootId, HostName, PeerId};
use crate::domain::maintenance::Maintenance;
use crate::domain::membership::MACHINES_MAX;
use crate::domain::mesh::link::{Cause, DnsCheck, DnsResult, Link, LinkState, Probe};
use crate::domain::mesh::row::Row;
use crate::domain::observation::{Fact, Health, Identity, Observation, OperatorSession, RowDelta};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Most events and sessions that one report may carry.
pub const LIST_MAX: usize = 256;

/// One report: what is new since the last one over this connection. The first has identity, membership and row.
///
/// Times are on the sender's own clock, which never steps; `clock` is that clock's now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Report {
    /// Protocol version.
    pub v: u32,
    /// Counts the reports of this connection from 1.
    pub n: u64,
    /// The sender's own clock, milliseconds.
    pub clock: u64,
    /// The sender's wall clock, milliseconds since 1970 UTC; only the clock-skew finding looks at it.
    pub wall: u64,
    /// The longest that the sender's loop was late since the last report, milliseconds.
    pub late: u64,
    /// What the sender had to drop since its start.
    pub dropped: u64,
    /// Who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<WireIdentity>,
    /// The members that it knows, when they changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<WireMembership>,
    /// Its whole row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<WireRow>,
    /// Changes on top of the last row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<WireDelta>,
    /// Rows of others, as asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relayed: Vec<WireRow>,
    /// Who is logged in, when it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<WireSession>>,
    /// What it holds of the settings, when that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holding: Option<WireHolding>,
    /// How it stands in its HA group: in every report of a peer that is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha: Option<Box<WireHa>>,
    /// A part of its settings tree, or changes to it; for those that asked for it (`tree`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<WireTree>,
    /// What happened there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<WireEvent>,
}

/// See [`Identity`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireIdentity {
    /// Serial number.
    pub serial: String,
    /// Main host name.
    pub host: String,
    /// Product and version.
    pub version: String,
    /// Level.
    pub level: u32,
    /// Start.
    pub boot: u64,
    /// Reporting interval, milliseconds.
    pub interval: u64,
}

/// See [`Row`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireRow {
    /// Who says it.
    pub origin: String,
    /// Its start.
    pub boot: u64,
    /// Its sequence number.
    pub seq: u64,
    /// How long ago the origin vouched for it, milliseconds.
    pub age: u64,
    /// Who passed it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Between peers: the links are only those that differ from this sequence number of the same start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// Since when the origin is detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detached: Option<u64>,
    /// What was announced for the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<WireMaintenance>,
    /// Its level.
    pub level: u32,
    /// Its links.
    pub links: Vec<WireLink>,
}

/// See [`Maintenance`]. Times as of the clock that the message names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireMaintenance {
    /// Since when.
    pub since: u64,
    /// When it ends by itself.
    pub until: u64,
    /// Who announced it.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl WireMaintenance {
    /// For the wire.
    #[must_use]
    pub fn from_domain(m: &Maintenance) -> Self {
        let (by, reason) = (m.by.to_string(), m.reason.to_string());
        Self { since: m.since.as_millis(), until: m.until.as_millis(), by, reason }
    }

    /// Into the domain, cleaned.
    #[must_use]
    pub fn into_domain(self, clock: ClockMap) -> Maintenance {
        let lasting = Duration::from_millis(self.until.saturating_sub(self.since));
        Maintenance::lasting(clock.time(self.since), lasting, Line::new(&self.by), Line::new(&self.reason))
    }
}

/// See [`RowDelta`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireDelta {
    /// The new sequence number.
    pub seq: u64,
    /// Since when the sender is detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detached: Option<u64>,
    /// What was announced for the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<WireMaintenance>,
    /// Its level.
    pub level: u32,
    /// Links that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<WireLink>,
    /// Links that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Newest round trip per link in order of the serial numbers, microseconds; 0 = none, -1 = lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pings: Vec<i64>,
}

/// See [`Link`]. Times are on the clock of the row's origin, translated at each hop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireLink {
    /// Serial number of the observed peer.
    pub to: String,
    /// State.
    pub state: String,
    /// Cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What exactly.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Since when.
    pub since: u64,
    /// Round trip, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<u64>,
    /// Failures in a row.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// When anything was last received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<u64>,
    /// Datagrams of the other side.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub probe: String,
    /// Forward look-up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dns_forward: String,
    /// Reverse look-up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dns_reverse: String,
    /// What was answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dns_answer: String,
    /// Where it was dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Dials.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// Next dial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<u64>,
    /// State changes in ten minutes.
    #[serde(skip_serializing_if = "is_zero")]
    pub changes: u32,
    /// Turns between prompt and late answers in two minutes.
    #[serde(skip_serializing_if = "is_zero")]
    pub falters: u32,
}

/// See [`OperatorSession`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireSession {
    /// User name.
    pub user: String,
    /// From where.
    pub from: String,
    /// Since when.
    pub since: u64,
    /// What.
    pub what: String,
}

/// A line of the peer's own log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireEvent {
    /// Its number since the start of the sender, from 1; without one nobody can tell it from another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// When.
    pub at: u64,
    /// About whom, if not the sender itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// In one sentence.
    pub text: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl WireLink {
    /// For the wire; times as they are on the sender's clock.
    #[must_use]
    pub fn from_link(l: &Link) -> Self {
        let word = |result: DnsResult| match result {
            DnsResult::Untested => String::new(),
            DnsResult::Ok | DnsResult::Missing | DnsResult::Wrong | DnsResult::Timeout | DnsResult::Failed => {
                result.as_str().to_owned()
            }
        };
        Self {
            to: l.to.to_string(),
            state: l.state.as_str().to_owned(),
            cause: l.cause.map(|c| c.as_str().to_owned()),
            detail: l.detail.to_string(),
            since: l.since.as_millis(),
            rtt: l.rtt.map(micros),
            failures: l.failures,
            heard: l.heard.map(Time::as_millis),
            probe: match l.probe {
                Probe::Untested => String::new(),
                Probe::Heard => "heard".into(),
                Probe::Silent => "silent".into(),
            },
            dns_forward: word(l.dns.forward),
            dns_reverse: word(l.dns.reverse),
            dns_answer: l.dns.answer.to_string(),
            address: l.address.map(|a| a.to_string()),
            attempts: l.attempts,
            next_attempt: l.next_attempt.map(Time::as_millis),
            changes: l.changes,
            falters: l.falters,
        }
    }

    /// Into the domain, cleaned. A state that is not known here becomes [`LinkState::Unknown`].
    #[must_use]
    pub fn into_link(self, clock: ClockMap) -> Link {
        let (cause, detail) = match self.cause.as_deref() {
            None => (None, self.detail),
            Some(word) => match word.parse::<Cause>() {
                Ok(cause) => (Some(cause), self.detail),
                Err(_) => (Some(Cause::Unlisted), format!("{word}: {}", self.detail)),
            },
        };
        Link {
            to: PeerId::new(&self.to),
            state: self.state.parse().unwrap_or(LinkState::Unknown),
            cause,
            detail: Line::new(&detail),
            since: clock.time(self.since),
            rtt: self.rtt.map(Duration::from_micros),
            failures: self.failures,
            heard: self.heard.map(|h| clock.time(h)),
            probe: self.probe.parse().unwrap_or_default(),
            dns: DnsCheck {
                forward: self.dns_forward.parse().unwrap_or_default(),
                reverse: self.dns_reverse.parse().unwrap_or_default(),
                answer: Line::new(&self.dns_answer),
            },
            address: self.address.and_then(|a| a.parse::<SocketAddr>().ok()),
            attempts: self.attempts,
            next_attempt: self.next_attempt.map(|t| clock.time(t)),
            changes: self.changes,
            falters: self.falters,
        }
    }
}

impl WireRow {
    /// For the wire, as the holder sends it at `now`.
    #[must_use]
    pub fn from_row(row: &Row, now: Time) -> Self {
        Self {
            origin: row.origin.to_string(),
            boot: row.boot.0,
            seq: row.seq,
            age: ms(now.since(row.vouched)),
            via: row.via.as_ref().map(ToString::to_string),
            base: None,
            detached: row.detached.map(Time::as_millis),
            maintenance: row.maintenance.as_ref().map(WireMaintenance::from_domain),
            level: row.level,
            links: row.links.iter().map(|l| WireLink::from_link(l)).collect(),
        }
    }

    /// Into the domain, cleaned, sorted, without doubles.
    ///
    /// # Errors
    /// [`ProtoError::TooLarge`] for more than [`MACHINES_MAX`] links.
    pub fn into_row(self, clock: ClockMap) -> Result<Row, ProtoError> {
        bounded("links", self.links.len(), MACHINES_MAX)?;
        let mut links: Vec<Arc<Link>> = self.links.into_iter().map(|l| Arc::new(l.into_link(clock))).collect();
        links.sort_by(|a, b| a.to.cmp(&b.to));
        links.dedup_by(|a, b| a.to == b.to);
        Ok(Row {
            origin: PeerId::new(&self.origin),
            boot: BootId(self.boot),
            seq: self.seq,
            vouched: clock.here.before(Duration::from_millis(self.age)),
            via: self.via.map(|v| PeerId::new(&v)),
            detached: self.detached.map(|t| clock.time(t)),
            maintenance: self.maintenance.map(|m| m.into_domain(clock)),
            level: self.level,
            links,
        })
    }
}

impl WireDelta {
    fn into_delta(self, clock: ClockMap) -> Result<RowDelta, ProtoError> {
        bounded("changed links", self.changed.len(), MACHINES_MAX)?;
        bounded("removed links", self.removed.len(), MACHINES_MAX)?;
        bounded("pings", self.pings.len(), MACHINES_MAX)?;
        Ok(RowDelta {
            seq: self.seq,
            detached: self.detached.map(|t| clock.time(t)),
            maintenance: self.maintenance.map(|m| m.into_domain(clock)),
            level: self.level,
            changed: self.changed.into_iter().map(|l| Arc::new(l.into_link(clock))).collect(),
            removed: self.removed.iter().map(|r| PeerId::new(r)).collect(),
            pings: self
                .pings
                .into_iter()
                .map(|p| match p {
                    0 => None,
                    us => Some(u64::try_from(us).ok().map(Duration::from_micros)),
                })
                .collect(),
        })
    }
}

impl Report {
    /// What the report says, as observations of `observer`, cleaned and bounded.
    ///
    /// `here` is our own clock and `wall_here` our wall clock (milliseconds since 1970 UTC) when it came.
    /// The identity's serial number is what it says; the caller compares it with the one it expects.
    ///
    /// # Errors
    /// [`ProtoError`] when the version can't be read or a list is over its limit; nothing of the report is taken then.
    pub fn into_observations(
        self,
        observer: &PeerId,
        here: Time,
        wall_here: u64,
    ) -> Result<Vec<Observation>, ProtoError> {
        check_version(self.v)?;
        bounded("events", self.events.len(), LIST_MAX)?;
        bounded("sessions", self.sessions.as_ref().map_or(0, Vec::len), LIST_MAX)?;
        bounded("relayed rows", self.relayed.len(), MACHINES_MAX)?;
        let clock = ClockMap { there: self.clock, here };
        let mut observer = observer.clone();
        let mut facts = Vec::new();
        if let Some(i) = self.identity {
            observer = PeerId::new(&i.serial);
            facts.push(Fact::Identity(Identity {
                id: observer.clone(),
                host: HostName::new(&i.host.to_ascii_lowercase()),
                version: Line::new(&i.version),
                level: i.level,
                boot: BootId(i.boot),
                interval: Duration::from_millis(i.interval.clamp(50, 3_600_000)),
            }));
        }
        if let Some(m) = self.membership {
            facts.push(Fact::Membership(Arc::new(m.try_into()?)));
        }
        if let Some(row) = self.row {
            let mut row = row.into_row(clock)?;
            row.origin = observer.clone(); // A peer speaks for nobody else in its own row.
            row.via = None;
            facts.push(Fact::Row(Arc::new(row)));
        }
        if let Some(delta) = self.delta {
            facts.push(Fact::RowDelta(delta.into_delta(clock)?));
        }
        for row in self.relayed {
            let mut row = row.into_row(clock)?;
            row.via = Some(observer.clone());
            facts.push(Fact::Row(Arc::new(row)));
        }
        facts.push(Fact::Health(Health {
            clock_offset_ms: i64::try_from(i128::from(self.wall) - i128::from(wall_here)).unwrap_or(i64::MAX),
            late: Duration::from_millis(self.late),
            dropped: self.dropped,
        }));
        if let Some(holding) = self.holding {
            facts.push(Fact::Holding(Arc::new(holding.into())));
        }
        if let Some(ha) = self.ha {
            facts.push(Fact::Ha(Arc::new(ha.into_status(clock))));
        }
        if let Some(tree) = self.tree {
            facts.push(Fact::Tree(tree.into_part()?));
        }
        if let Some(sessions) = self.sessions {
            let session = |s: WireSession| OperatorSession {
                user: Line::new(&s.user),
                from: Line::new(&s.from),
                since: clock.time(s.since),
                what: Line::new(&s.what),
            };
            facts.push(Fact::Sessions(sessions.into_iter().map(session).collect()));
        }
        for e in self.events {
            let event = Event {
                cluster: None,
                at: clock.time(e.at),
                kind: EventKind::Peer,
                subject: Subject::Peer(e.peer.map_or_else(|| observer.clone(), |p| PeerId::new(&p))),
                text: Line::new(&e.text),
            };
            facts.push(match e.n {
                Some(n) => Fact::Logged { n, event },
                None => Fact::Event(event),
            });
        }
        Ok(facts.into_iter().map(|fact| Observation { at: here, observer: observer.clone(), fact }).collect())
    }
}

fn bounded(what: &str, n: usize, max: usize) -> Result<(), ProtoError> {
    if n > max { Err(ProtoError::TooLarge(format!("{n} {what}, {max} are taken"))) } else { Ok(()) }
}
