//! Whether an address of our own links answers: the kernel asks it (ARP, neighbour discovery) and tells the answer.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::packet_core::Parseable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::netlink::{GET_ROUTE, Netlink, bytes};
use crate::clock::boot_time;

const NEW_NEIGHBOUR: u16 = 28;
const GET_NEIGHBOUR: u16 = 30;
/// Multicast group: neighbours.
const GROUP: u32 = 3;
const CREATE: u16 = 0x400;
const REPLACE: u16 = 0x100;

/// The kernel asks three times, a second apart.
const PATIENCE: Duration = Duration::from_millis(3500);

/// Waits for it, [`PATIENCE`] at most. An address behind a gateway answers when its gateway does: that is as far as our own
/// link goes.
///
/// # Errors
/// It does not, or there is no way to it.
pub fn answers(address: IpAddr) -> Result<(), String> {
    match ask(address) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{address} does not answer")),
        Err(error) => Err(format!("{address} can't be asked: {error}")),
    }
}

fn ask(address: IpAddr) -> io::Result<bool> {
    let mut netlink = Netlink::open()?;
    let Some((index, hop)) = route(&mut netlink, address)? else { return Ok(true) };
    // Heard from before the question on.
    let events = Netlink::listen(&[GROUP])?;
    let know = state(&mut netlink, index, hop)?;
    let mut message = NeighbourMessage::default();
    message.header.family = family(hop);
    message.header.ifindex = index;
    message.attributes.push(NeighbourAttribute::Destination(neighbour(hop)));
    let valid = match know {
        Some(NeighbourState::Permanent | NeighbourState::Noarp) => return Ok(true),
        Some(NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe) => true,
        Some(_) | None => false,
    };
    // What was reachable some time ago is asked anew; what is unknown is looked for.
    if valid {
        message.header.state = NeighbourState::Probe;
    } else {
        message.header.flags = NeighbourFlags::Use;
    }
    netlink.ask(NEW_NEIGHBOUR, CREATE | REPLACE, &bytes(&message))?;
    let deadline = boot_time() + PATIENCE;
    loop {
        let left = deadline.saturating_sub(boot_time());
        if left.is_zero() {
            return Ok(false);
        }
        let wait = Timespec::try_from(left).map_err(io::Error::other)?;
        let fd = events.fd();
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for (_, body) in events.heard()? {
            let Ok(told) = NeighbourMessage::parse(&body) else { continue };
            if told.header.ifindex != index || destination(&told) != Some(hop) {
                continue;
            }
            match told.header.state {
                NeighbourState::Reachable => return Ok(true),
                NeighbourState::Failed => return Ok(false),
                _other => {}
            }
        }
    }
}

/// Over which port, and whom there. `None`: it is ourselves.
fn route(netlink: &mut Netlink, address: IpAddr) -> io::Result<Option<(u32, IpAddr)>> {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
    let to = match address {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    };
    message.attributes.push(RouteAttribute::Destination(to));
    let found = netlink.ask(GET_ROUTE, 0, &bytes(&message))?;
    let Some((_, body)) = found.first() else { return Err(io::Error::other("there is no route")) };
    let route = RouteMessage::parse(body).map_err(io::Error::other)?;
    if route.header.kind == netlink_packet_route::route::RouteType::Local {
        return Ok(None);
    }
    let (mut index, mut hop) = (None, address);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(i) => index = Some(*i),
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => hop = (*ip).into(),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => hop = (*ip).into(),
            _other => {}
        }
    }
    index.map(|index| Some((index, hop))).ok_or_else(|| io::Error::other("the route names no port"))
}

/// What the kernel knows of it now.
fn state(netlink: &mut Netlink, index: u32, hop: IpAddr) -> io::Result<Option<NeighbourState>> {
    let mut message = NeighbourMessage::default();
    message.header = NeighbourHeader { family: family(hop), ..NeighbourHeader::default() };
    let all = netlink.dump(GET_NEIGHBOUR, &bytes(&message))?;
    let all = all.iter().filter_map(|body| NeighbourMessage::parse(body).ok());
    Ok(all.filter(|n| n.header.ifindex == index && destination(n) == Some(hop)).map(|n| n.header.state).next())
}

fn destination(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some((*ip).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some((*ip).into()),
        _other => None,
    })
}

fn neighbour(ip: IpAddr) -> NeighbourAddress {
    match ip {
        IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
        IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
    }
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
