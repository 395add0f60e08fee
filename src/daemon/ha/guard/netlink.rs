//! The kernel's side of addresses and ports: one request at a time, answered before the call returns.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, State};
use rtnetlink::packet_core::{Emitable, Parseable};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::frames::Mac;

/// The kernel answers in the call itself; longer than this is a defect.
const PATIENCE: Duration = Duration::from_secs(2);

const HEADER: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
/// An address is there, or is changed.
pub const NEW_ADDRESS: u16 = 20;
/// An address goes.
pub const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
/// A route is there.
pub const NEW_ROUTE: u16 = 24;
/// Asks for routes.
pub const GET_ROUTE: u16 = 26;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const REPLACE: u16 = 0x100;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

/// Multicast groups: addresses of both families.
pub const ADDRESS_GROUPS: [u32; 2] = [5, 9];

/// A conversation with the kernel.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// A port.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its number.
    pub index: u32,
    /// Its hardware address, where frames of Ethernet go.
    pub mac: Option<Mac>,
    /// Switched on.
    pub up: bool,
    /// Its cable is plugged in.
    pub carrier: bool,
    /// In words, when it does not work.
    pub state: String,
}

impl Netlink {
    /// Opens one.
    ///
    /// # Errors
    /// As the system says.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Opens one that hears what happens to `groups`.
    ///
    /// # Errors
    /// As the system says.
    pub fn listen(groups: &[u32]) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for &group in groups {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// To be waited for.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What happened: type and body of each message. Nothing when there is nothing.
    ///
    /// # Errors
    /// When something was lost (ENOBUFS), too.
    pub fn heard(&self) -> io::Result<Vec<(u16, Vec<u8>)>> {
        match self.socket.recv_from_full() {
            Ok((bytes, _)) => Ok(messages(&bytes).into_iter().map(|(kind, _, body)| (kind, body)).collect()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// One request; what it brings.
    ///
    /// # Errors
    /// As the kernel says, and when it doesn't answer.
    pub fn ask(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<(u16, Vec<u8>)>> {
        self.sequence += 1;
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST | if flags & DUMP == DUMP { 0 } else { ACK }).to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        self.socket.send(&bytes, 0)?;
        let mut brought = Vec::new();
        loop {
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
            let wait = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
            match poll(&mut fds, Some(&wait)) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel does not answer")),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let (bytes, _) = match self.socket.recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                other => other?,
            };
            for (kind, sequence, body) in messages(&bytes) {
                if sequence != self.sequence {
                    continue;
                }
                match kind {
                    DONE => return Ok(brought),
                    ERROR => {
                        let code = body.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
                        return if code == 0 { Ok(brought) } else { Err(io::Error::from_raw_os_error(-code)) };
                    }
                    _other => brought.push((kind, body)),
                }
            }
        }
    }

    /// Whether this process may set addresses here: asks for a change that can't be, of a port that can't be. The right
    /// is looked at first.
    ///
    /// # Errors
    /// When it may not.
    pub fn may_set(&mut self) -> io::Result<()> {
        let message = address(i32::MAX.unsigned_abs(), IpAddr::from([192, 0, 2, 1]), 32);
        match self.ask(DEL_ADDRESS, 0, &bytes(&message)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The port of this name, if there is one.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn port(&mut self, name: &str) -> io::Result<Option<Port>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let found = match self.ask(GET_LINK, 0, &bytes(&message)) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => return Ok(None),
            other => other?,
        };
        let Some((_, body)) = found.iter().find(|(kind, _)| *kind == NEW_LINK) else { return Ok(None) };
        let link = LinkMessage::parse(body).map_err(io::Error::other)?;
        let (mut mac, mut carrier, mut state) = (None, None, State::Unknown);
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::Address(bytes) => mac = <Mac>::try_from(&bytes[..]).ok(),
                LinkAttribute::Carrier(on) => carrier = Some(*on != 0),
                LinkAttribute::OperState(is) => state = *is,
                _other => {}
            }
        }
        let flags = link.header.flags;
        let frames = link.header.link_layer_type == LinkLayerType::Ether && !flags.contains(LinkFlags::Noarp);
        let works = state == State::Up || state == State::Unknown;
        Ok(Some(Port {
            index: link.header.index,
            mac: mac.filter(|_| frames),
            up: flags.contains(LinkFlags::Up),
            carrier: carrier.unwrap_or(true) && works,
            state: format!("{state:?}"),
        }))
    }

    /// The addresses of a port.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn addresses(&mut self, index: u32) -> io::Result<Vec<AddressMessage>> {
        let found = self.ask(GET_ADDRESS, DUMP, &bytes(&AddressMessage::default()))?;
        let parsed = found.iter().filter_map(|(_, body)| AddressMessage::parse(body).ok());
        Ok(parsed.filter(|a| a.header.index == index).collect())
    }

    /// Adds (`fresh`), or renews, with a lease of so many seconds. IPv6 without its own probe for duplicates.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn lease(&mut self, index: u32, ip: IpAddr, prefix: u8, seconds: u32, fresh: bool) -> io::Result<()> {
        let mut message = address(index, ip, prefix);
        let mut life = CacheInfo::default();
        (life.ifa_valid, life.ifa_preferred) = (seconds, seconds);
        message.attributes.push(AddressAttribute::CacheInfo(life));
        if ip.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let how = if fresh { EXCLUSIVE } else { REPLACE };
        self.ask(NEW_ADDRESS, how | CREATE, &bytes(&message)).map(drop)
    }

    /// Deletes; none there is fine.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn delete(&mut self, index: u32, ip: IpAddr, prefix: u8) -> io::Result<()> {
        self.delete_exactly(&address(index, ip, prefix))
    }

    /// Deletes the very one.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn delete_exactly(&mut self, message: &AddressMessage) -> io::Result<()> {
        use rustix::io::Errno;
        match self.ask(DEL_ADDRESS, 0, &bytes(message)) {
            Err(error)
                if [Errno::ADDRNOTAVAIL, Errno::NODEV]
                    .iter()
                    .any(|e| error.raw_os_error() == Some(e.raw_os_error())) =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Puts back what was there: body of a message as the kernel gave it. One that is there already is fine.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn put_back(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        match self.ask(kind, EXCLUSIVE | CREATE, body) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map(drop),
        }
    }

    /// All messages of a kind, as they are.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn dump(&mut self, kind: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        Ok(self.ask(kind, DUMP, body)?.into_iter().map(|(_, body)| body).collect())
    }
}

/// Whether it goes by itself.
#[must_use]
pub fn is_leased(message: &AddressMessage) -> bool {
    message.attributes.iter().any(|a| matches!(a, AddressAttribute::CacheInfo(life) if life.ifa_valid != u32::MAX))
}

/// The address that a message is about: where peers differ, our own end.
#[must_use]
pub fn ip_of(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => return Some(*ip),
            AddressAttribute::Address(ip) => found = Some(*ip),
            _other => {}
        }
    }
    found
}

/// As it goes over the wire.
#[must_use]
pub fn bytes(message: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn address(index: u32, ip: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.header.family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes.push(AddressAttribute::Local(ip));
    message.attributes.push(AddressAttribute::Address(ip));
    message
}

/// Type, sequence number and body of each.
fn messages(bytes: &[u8]) -> Vec<(u16, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(head) = rest.first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(body) = rest.get(HEADER..length) else { break };
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let sequence = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
        found.push((kind, sequence, body.to_vec()));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}
