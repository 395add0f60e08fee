//! Addresses of a lab: one per peer where the system has 127.x.y.z, else one for all and a port each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use super::LabError;
use super::dns::DnsSockets;

/// Second octets that are tried.
const OCTETS: std::ops::Range<u8> = 88..128;

/// The administration port, and what is taken when that is not free.
const PORTS: [u16; 5] = [2200, 2300, 2400, 2500, 2600];

/// The DNS server's last octet; peers have 1 to 200.
const DNS_HOST: u8 = 253;
/// Nobody is here: what a wrong DNS answer names.
const NOBODY: u8 = 254;

const DNS_PORTS: [u16; 4] = [5300, 5301, 5302, 5303];

/// Where everything listens.
#[derive(Debug)]
pub(super) struct Ground {
    /// Of each peer.
    pub peers: Vec<SocketAddr>,
    /// The DNS server's sockets: as long as they live, no other lab takes this ground.
    pub dns: DnsSockets,
    /// Nobody is here.
    pub nobody: IpAddr,
    /// All peers have one address.
    pub by_port: bool,
}

impl Ground {
    /// Finds free ground for so many peers.
    pub async fn find(peers: usize) -> Result<Self, LabError> {
        let mut last = None;
        // Another lab has its octet's first DNS port; a further one is asked only where no octet has that free.
        for (dns_port, octet) in DNS_PORTS.into_iter().flat_map(|p| OCTETS.map(move |o| (p, o))) {
            match Self::claim(octet, dns_port, peers).await {
                Ok(ground) => return Ok(ground),
                Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => return Self::one_address(peers).await,
                Err(e) => last = Some(e),
            }
        }
        Err(LabError::NoGround(last.map_or_else(String::new, |e| e.to_string())))
    }

    async fn claim(octet: u8, dns_port: u16, peers: usize) -> io::Result<Self> {
        let at = |host: u8| IpAddr::from(Ipv4Addr::new(127, octet, 0, host));
        let dns = DnsSockets::bind(SocketAddr::new(at(DNS_HOST), dns_port)).await?;
        let hosts = || (1..=peers).filter_map(|n| u8::try_from(n).ok());
        let peers = free(|port| hosts().map(|n| SocketAddr::new(at(n), port)).collect())?;
        Ok(Self { peers, dns, nobody: at(NOBODY), by_port: false })
    }

    async fn one_address(peers: usize) -> Result<Self, LabError> {
        let here = IpAddr::from(Ipv4Addr::LOCALHOST);
        let no_ground = |e: io::Error| LabError::NoGround(e.to_string());
        let dns = DnsSockets::bind(SocketAddr::new(here, 0)).await.map_err(no_ground)?;
        let offsets = || (0..peers).filter_map(|n| u16::try_from(n).ok());
        let peers = free(|port| offsets().map(|n| SocketAddr::new(here, port + n)).collect()).map_err(no_ground)?;
        Ok(Self { peers, dns, nobody: Ipv4Addr::new(127, 0, 0, 2).into(), by_port: true })
    }
}

/// The first of the ports with which all addresses are free, for logins and mesh by TCP and probes by UDP.
fn free(addresses: impl Fn(u16) -> Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in PORTS {
        let all = addresses(port);
        match all.iter().try_for_each(|a| TcpListener::bind(a).and(UdpSocket::bind(a)).map(drop)) {
            Ok(()) => return Ok(all),
            Err(e) => last = e,
        }
    }
    Err(last)
}
