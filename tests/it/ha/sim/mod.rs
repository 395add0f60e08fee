//! A deterministic simulation of two units and a witness: clocks that drift, a kernel that is late, processes that pause
//! anywhere, machines that sleep, a network that loses, delays, reorders and is cut, disks that fail, people who act.
//!
//! Checked at every instant: `f12` nobody but the holder has the address (invariant 1), nobody holds it without another's
//! vote (`require`), no epoch is shown before it is on disk, and none goes back. After the network heals: one primary.

mod guard;
mod runs;
mod world;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use peerdeck::domain::ha::config::{AddressConfig, LinkConfig, MonitorConfig};
use peerdeck::domain::ha::{
    AddressAction, Configured, HaConfig, LinkName, MonitorKind, OnFailure, Service, SplitBrain, WitnessConfig,
    WitnessMode,
};
use peerdeck::domain::ids::{HaName, PeerId};

/// A fault in what surrounds the core, to see that the checks see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::EnumIter)]
pub enum Bug {
    /// The guard renews whatever the permit says.
    RenewsWithoutPermit,
    /// A permit is taken for longer than it is.
    PermitTooLong,
    /// The guard says that the addresses are gone before they are.
    SaysDroppedTooSoon,
    /// The witness gives its vote to everybody.
    WitnessGrantsAll,
    /// The witness forgets its votes when it is started anew, and grants at once.
    WitnessForgets,
    /// What is kept is on disk a while after that was said.
    KeepsLater,
    /// A guard that was stopped between its check and the call does not look again after it.
    NeverLooksAgain,
    /// A unit that is started anew has lost its epoch.
    ForgetsEpoch,
}

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub witness: WitnessMode,
    pub interval: Duration,
    pub threshold: Duration,
    pub on_failure: OnFailure,
    pub split_brain: SplitBrain,
    /// Datagrams that are lost all the time.
    pub loss: f64,
    /// Cuts and losses of the network among the faults.
    pub network: bool,
    /// Any faults at all.
    pub faults: bool,
    pub bug: Option<Bug>,
}

pub const LEASE: Duration = Duration::from_secs(1);

pub fn id(unit: usize) -> PeerId {
    PeerId::new(["AAAA-1", "BBBB-2", "WWWW-3"][unit])
}

/// The address of a unit on a link; link 2 is the way to the witness.
pub fn at(unit: usize, link: usize) -> IpAddr {
    let last = u8::try_from(unit + 1).unwrap();
    IpAddr::V4(Ipv4Addr::new(10, 0, u8::try_from(link).unwrap(), last))
}

pub fn witness() -> SocketAddr {
    (at(2, 2), 20_000).into()
}

pub fn witness_config() -> WitnessConfig {
    WitnessConfig {
        group: HaName::new("gw"),
        base_port: 20_000,
        local: vec![at(2, 2)],
        lease: LEASE,
        units: Vec::new(),
    }
}

pub fn config(plan: &Plan, unit: usize) -> HaConfig {
    let other = 1 - unit;
    let link = |name, n| LinkConfig { name, interface: format!("hb{n}"), local: at(unit, n), peer: at(other, n) };
    let monitor = |kind, target| MonitorConfig {
        kind,
        target,
        interval: Duration::from_secs(2),
        wait: Duration::from_secs(1),
        retries: 3,
    };
    let smtp = MonitorKind::Remote(Service::Smtp);
    HaConfig {
        group: HaName::new("gw"),
        configured: [Configured::Primary, Configured::Secondary][unit],
        on_failure: plan.on_failure,
        base_port: 20_000,
        interval: plan.interval,
        threshold: plan.threshold,
        services_as_heartbeat: false,
        split_brain: plan.split_brain,
        witness: plan.witness,
        witness_at: if plan.witness == WitnessMode::Off { Vec::new() } else { vec![witness()] },
        lease: LEASE,
        hold_off: Duration::from_secs(20),
        quiet: Duration::from_secs(20),
        links: vec![link(LinkName::Primary, 0), link(LinkName::Secondary, 1)],
        monitored_ports: vec!["eth0".into()],
        addresses: vec![AddressConfig {
            interface: "eth0".into(),
            action: AddressAction::Add,
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
            prefix: 24,
        }],
        monitors: vec![
            monitor(smtp, Some((at(other, 0), 25).into())),
            monitor(MonitorKind::Ports, None),
            monitor(MonitorKind::Disk, None),
        ],
        references: Vec::new(),
        hook: Vec::new(),
        hook_limit: Duration::from_secs(30),
    }
}
