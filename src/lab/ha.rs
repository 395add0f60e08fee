//! The HA groups of a lab: an active-passive pair with a witness and a virtual address, and a config-only group of four.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use strum::IntoEnumIterator;
use tokio::sync::watch;

use super::LabError;
use super::addresses::{LabAddresses, Virtual};
use super::mail::{Mail, Stand, port};
use super::net::{Faults, Node};
use super::provision::Seat;
use super::senses::LabSenses;
use crate::daemon::disk::DiskFault;
use crate::daemon::ha::{HaSetup, HaWorld, Secrets};
use crate::domain::ha::config::{AddressConfig, BASE_PORT, LinkConfig, MonitorConfig};
use crate::domain::ha::{
    AddressAction, Configured, HaConfig, LinkName, MonitorKind, OnFailure, Service, SplitBrain, WitnessConfig,
    WitnessMode,
};
use crate::domain::ids::HaName;

/// The active-passive pair: `lab1`, which is configured primary, and `lab2`.
pub const PAIR: &str = "gw";
/// The config-only group: `lab3`, which is configured primary, to `lab6`.
pub const EDGE: &str = "edge";

/// The fewest peers of a lab with HA: two, the witness, and those of the other group.
pub const PEERS_MIN: usize = 6;

/// Ports of each unit: heartbeats, heartbeats again, and mail with the virtual address.
pub const PORTS: [&str; 3] = ["port1", "port2", "port3"];

/// Positions of the units of each group; the first one is configured primary.
const PAIR_UNITS: [usize; 2] = [0, 1];
const EDGE_UNITS: [usize; 4] = [2, 3, 4, 5];
/// The witness of the pair.
const WITNESS: usize = 2;

/// The virtual address's last octet, beside those of the peers.
const VIRTUAL: u8 = 250;

/// Base ports that are tried.
const BASES: [u16; 4] = [BASE_PORT, BASE_PORT + 100, BASE_PORT + 200, BASE_PORT + 300];

/// Why there is no HA where all peers share one address.
pub(super) const ONE_ADDRESS: &str = "--ha needs an address for each unit and port, and this system has only 127.0.0.1: \
     give the loopback interface the network 127.0.0.0/8";

/// Why there is no HA with so few peers.
pub(super) fn too_few(peers: usize) -> String {
    format!("--ha needs at least {PEERS_MIN} peers (a pair, its witness, and a group of four), {peers} were asked for")
}

/// What the groups of a lab are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaOptions {
    /// What a failed primary does.
    pub on_failure: OnFailure,
    /// Who else must agree before the address is held.
    pub witness: WitnessMode,
    /// What two primaries do.
    pub split_brain: SplitBrain,
    /// Silence that counts as death; at least three intervals.
    pub threshold: Duration,
    /// Time between heartbeats, 50 ms to 5 s.
    pub interval: Duration,
    /// Lease of the virtual address, whole seconds.
    pub lease: Duration,
    /// How long an announced restart is waited for.
    pub hold_off: Duration,
    /// After a takeover, how long services trigger none.
    pub quiet: Duration,
    /// How often the secondary speaks to the primary's SMTP service.
    pub remote_checks: Duration,
    /// How often a primary looks at its own ports and disk.
    pub local_checks: Duration,
}

impl Default for HaOptions {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::default(),
            witness: WitnessMode::Require,
            split_brain: SplitBrain::default(),
            threshold: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            lease: Duration::from_secs(1),
            hold_off: Duration::from_mins(1),
            quiet: Duration::from_secs(30),
            remote_checks: Duration::from_secs(5),
            local_checks: Duration::from_secs(2),
        }
    }
}

/// An HA group, as faults name it.
#[derive(Clone, Debug)]
pub struct HaMembers {
    /// Its name.
    pub name: HaName,
    /// Positions of its units, the configured primary first.
    pub units: Vec<u16>,
    /// Its heartbeat links.
    pub links: Vec<LinkName>,
}

/// All of it, before the peers start.
pub(super) struct Ha {
    options: HaOptions,
    base_port: u16,
    virtual_address: IpAddr,
    password: Secrets,
    virtuals: Arc<Virtual>,
    units: Vec<HaUnit>,
}

/// One unit: its ports and its mail services.
struct HaUnit {
    ports: [IpAddr; 3],
    mail: Arc<Mail>,
    /// The services at its own address.
    _own: Arc<Stand>,
}

impl Ha {
    /// Finds ports on addresses beside those of the `seats`, and starts the mail services there.
    pub fn start(
        options: HaOptions,
        seats: &[Seat],
        faults: &Arc<Faults>,
        clock: &Arc<dyn crate::clock::Clock>,
        seed: u64,
    ) -> Result<Self, LabError> {
        let ports = seats.iter().take(PEERS_MIN).map(|s| own_ports(s.address.ip())).collect::<Option<Vec<_>>>();
        let (Some(ports), Some(witness)) = (ports, seats.get(WITNESS).map(|s| s.address.ip())) else {
            return Err(LabError::Ha("--ha needs loopback addresses like 127.88.1.1, IPv4".to_owned()));
        };
        let virtual_address = beside(ports[PAIR_UNITS[0]][2], 0, VIRTUAL);
        let base_port = free_base(&ports, witness)?;
        let refused = |e: io::Error| {
            let numbers: Vec<String> = Service::iter().map(|s| port(s).to_string()).collect();
            LabError::Ha(format!("the lab's mail services can't listen on {}.*: {e}", numbers.join(", ")))
        };
        for service in Service::iter() {
            TcpListener::bind((virtual_address, port(service))).map_err(refused)?;
        }
        let virtuals =
            Arc::new(Virtual::new(vec![virtual_address], Arc::clone(faults), Arc::clone(clock), seed ^ 0x4841));
        let mut units = Vec::new();
        for ((i, seat), ports) in (0..).zip(seats).zip(ports) {
            for ip in ports {
                faults.own_ip(ip, Node::Peer(i));
            }
            let mail = Arc::new(Mail::new(seat.host.as_str(), Arc::clone(faults)));
            let own = mail.open(ports[2], ports[2]).map_err(refused)?;
            units.push(HaUnit { ports, mail, _own: own });
        }
        let password = Secrets(vec![crate::daemon::ha::Secret::MadeUp(format!("{:032x}", rand::random::<u128>()))]);
        let ha = Self { options, base_port, virtual_address, password, virtuals, units };
        ha.check(seats)?;
        Ok(ha)
    }

    /// Better told here than by the first peer that does not start.
    fn check(&self, seats: &[Seat]) -> Result<(), LabError> {
        let problems = self.setup(PAIR_UNITS[0], seats).unit.map(|(config, _)| config.problems()).unwrap_or_default();
        if problems.is_empty() { Ok(()) } else { Err(LabError::Ha(problems.join("; "))) }
    }

    /// The groups, for the words of faults.
    pub fn members() -> Vec<HaMembers> {
        let positions = |units: &[usize]| units.iter().filter_map(|u| u16::try_from(*u).ok()).collect();
        vec![
            HaMembers {
                name: HaName::new(PAIR),
                units: positions(&PAIR_UNITS),
                links: vec![LinkName::Primary, LinkName::Secondary],
            },
            HaMembers { name: HaName::new(EDGE), units: positions(&EDGE_UNITS), links: vec![LinkName::Primary] },
        ]
    }

    /// Who holds which virtual address when.
    pub fn virtuals(&self) -> &Virtual {
        &self.virtuals
    }

    /// The one virtual address.
    pub fn virtual_address(&self) -> IpAddr {
        self.virtual_address
    }

    /// The mail services of a unit, if it is one.
    pub fn mail(&self, peer: u16) -> Option<&Mail> {
        self.units.get(usize::from(peer)).map(|u| &*u.mail)
    }

    /// Starts all services again.
    pub fn heal(&self) -> io::Result<()> {
        self.units.iter().try_for_each(|u| Service::iter().try_for_each(|s| u.mail.switch(s, true)))
    }

    /// The address of a unit's port.
    pub fn port(&self, peer: u16, name: &str) -> Option<IpAddr> {
        let unit = self.units.get(usize::from(peer))?;
        PORTS.iter().zip(unit.ports).find(|(n, _)| **n == name).map(|(_, ip)| ip)
    }

    /// The directions in which the heartbeats of a link go: from an address to a socket; those of the configured
    /// primary first and alone with `one_way`.
    pub fn beats(&self, group: &HaMembers, link: LinkName, one_way: bool) -> Vec<(IpAddr, SocketAddr)> {
        let at = |unit: u16| self.units.get(usize::from(unit)).map(|u| u.ports[index(link)]);
        let mut ways = Vec::new();
        for (i, from) in group.units.iter().enumerate().filter(|(i, _)| *i == 0 || !one_way) {
            for to in group.units.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, to)| to) {
                if let (Some(from), Some(to)) = (at(*from), at(*to)) {
                    ways.push((from, SocketAddr::new(to, self.base_port)));
                }
            }
        }
        ways
    }

    /// What the peer at this position is told of HA.
    pub fn setup(&self, peer: usize, seats: &[Seat]) -> HaSetup {
        let mut setup = HaSetup::default();
        if PAIR_UNITS.contains(&peer) {
            setup.unit = Some((self.pair(peer, seats), self.password.clone()));
        }
        if EDGE_UNITS.contains(&peer) {
            setup.unit = Some((self.edge(peer), self.password.clone()));
        }
        if peer == WITNESS && self.options.witness != WitnessMode::Off {
            let witness = WitnessConfig {
                group: HaName::new(PAIR),
                base_port: self.base_port,
                local: vec![seats[WITNESS].address.ip()],
                lease: self.options.lease,
                units: PAIR_UNITS.iter().map(|u| seats[*u].host.clone()).collect(),
            };
            setup.witness.push((witness, self.password.clone()));
        }
        setup
    }

    /// What a unit feels and sets.
    pub fn world(&self, peer: u16, faults: &Arc<Faults>, disk: watch::Receiver<DiskFault>) -> HaWorld {
        let Some(unit) = self.units.get(usize::from(peer)) else { return HaWorld::none() };
        let ports: Vec<(String, IpAddr)> = PORTS.iter().map(|n| (*n).to_owned()).zip(unit.ports).collect();
        let virtuals = Arc::clone(&self.virtuals);
        let senses = LabSenses {
            faults: Arc::clone(faults),
            me: Node::Peer(peer),
            ports: ports.clone(),
            virtuals: Arc::clone(&virtuals),
            disk,
        };
        let addresses = LabAddresses { virtuals, me: peer, mail: Arc::clone(&unit.mail), ports };
        HaWorld { addresses: Arc::new(addresses), senses: Arc::new(senses) }
    }

    fn pair(&self, peer: usize, seats: &[Seat]) -> HaConfig {
        let other = PAIR_UNITS.iter().copied().find(|u| *u != peer).unwrap_or(peer);
        let configured = if peer == PAIR_UNITS[0] { Configured::Primary } else { Configured::Secondary };
        let o = &self.options;
        let monitor = |kind, target, interval| {
            let wait = Duration::from_secs(2).min(interval * 2);
            MonitorConfig { kind, target, interval, wait, retries: 3 }
        };
        let smtp = SocketAddr::new(self.units[other].ports[2], port(Service::Smtp));
        HaConfig {
            links: [LinkName::Primary, LinkName::Secondary].map(|l| self.link(l, peer, other)).to_vec(),
            monitored_ports: vec![PORTS[2].to_owned()],
            addresses: vec![AddressConfig {
                interface: PORTS[2].to_owned(),
                action: AddressAction::Add,
                address: self.virtual_address,
                prefix: 32,
            }],
            monitors: vec![
                monitor(MonitorKind::Remote(Service::Smtp), Some(smtp), o.remote_checks),
                monitor(MonitorKind::Ports, None, o.local_checks),
                monitor(MonitorKind::Disk, None, o.local_checks),
            ],
            witness: o.witness,
            witness_at: if o.witness == WitnessMode::Off {
                Vec::new()
            } else {
                vec![SocketAddr::new(seats[WITNESS].address.ip(), self.base_port)]
            },
            ..self.group(PAIR, configured)
        }
    }

    fn edge(&self, peer: usize) -> HaConfig {
        let configured = if peer == EDGE_UNITS[0] { Configured::ConfigPrimary } else { Configured::ConfigSecondary };
        let others = EDGE_UNITS.iter().copied().filter(|u| *u != peer);
        HaConfig {
            links: others.map(|other| self.link(LinkName::Primary, peer, other)).collect(),
            ..self.group(EDGE, configured)
        }
    }

    fn link(&self, name: LinkName, peer: usize, other: usize) -> LinkConfig {
        let port = index(name);
        LinkConfig {
            name,
            interface: PORTS[port].to_owned(),
            local: self.units[peer].ports[port],
            peer: self.units[other].ports[port],
        }
    }

    /// What all groups of the lab have in common.
    fn group(&self, name: &str, configured: Configured) -> HaConfig {
        let o = &self.options;
        HaConfig {
            group: HaName::new(name),
            configured,
            on_failure: o.on_failure,
            base_port: self.base_port,
            interval: o.interval,
            threshold: o.threshold,
            services_as_heartbeat: false,
            split_brain: o.split_brain,
            witness: WitnessMode::Off,
            witness_at: Vec::new(),
            lease: o.lease,
            hold_off: o.hold_off,
            quiet: o.quiet,
            links: Vec::new(),
            monitored_ports: Vec::new(),
            addresses: Vec::new(),
            monitors: Vec::new(),
            references: Vec::new(),
            hook: Vec::new(),
            hook_limit: Duration::from_secs(10),
        }
    }
}

/// Which of [`PORTS`] carries a link.
fn index(link: LinkName) -> usize {
    match link {
        LinkName::Primary => 0,
        LinkName::Secondary => 1,
    }
}

/// The addresses of a peer's ports, beside its main one: 127.88.0.1 has 127.88.1.1, 127.88.2.1 and 127.88.3.1.
fn own_ports(main: IpAddr) -> Option<[IpAddr; 3]> {
    let IpAddr::V4(ip) = main else { return None };
    let host = ip.octets()[3];
    Some([1, 2, 3].map(|net| beside(main, net, host)))
}

/// In the lab's second octet; `net` 0 keeps the third one.
fn beside(ip: IpAddr, net: u8, host: u8) -> IpAddr {
    let IpAddr::V4(v4) = ip else { return ip };
    let [a, b, c, _] = v4.octets();
    Ipv4Addr::new(a, b, if net == 0 { c } else { net }, host).into()
}

/// The first base port that is free everywhere.
fn free_base(ports: &[[IpAddr; 3]], witness: IpAddr) -> Result<u16, LabError> {
    let mut last = None;
    for base in BASES {
        let mut all = ports.iter().flat_map(|p| [p[0], p[1]]).chain([witness]);
        match all.try_for_each(|ip| UdpSocket::bind((ip, base)).map(drop)) {
            Ok(()) => return Ok(base),
            Err(e) => last = Some(e),
        }
    }
    let why = last.map_or_else(String::new, |e| e.to_string());
    Err(LabError::Ha(format!("no free UDP port for heartbeats, {BASES:?} were tried: {why}")))
}
