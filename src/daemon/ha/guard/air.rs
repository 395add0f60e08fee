//! Frames out and in: announcements and probes (F12).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::time::Duration;

use pnet_datalink::{Channel, ChannelType, Config, DataLinkReceiver, DataLinkSender, MacAddr, NetworkInterface};
use socket2::{Domain, Protocol, Socket, Type};

use super::frames::{self, Mac};

/// A packet socket on a port, for one Ethernet type.
pub struct Air {
    mac: Mac,
    /// The same socket once more: to wait for it.
    wait: Socket,
    sender: Box<dyn DataLinkSender>,
    receiver: Box<dyn DataLinkReceiver>,
}

impl Air {
    /// Opens one.
    ///
    /// # Errors
    /// Without the right to send frames, or when the port is gone.
    pub fn open(name: &str, index: u32, mac: Mac, kind: u16) -> io::Result<Self> {
        // Hears nothing before it is bound to port and type.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None::<Protocol>)?;
        let wait = socket.try_clone()?;
        let m = mac;
        let port = NetworkInterface {
            name: name.to_owned(),
            description: String::new(),
            index,
            mac: Some(MacAddr(m[0], m[1], m[2], m[3], m[4], m[5])),
            ips: Vec::new(),
            flags: 0,
        };
        let config = Config {
            channel_type: ChannelType::Layer3(kind),
            read_timeout: Some(Duration::ZERO),
            write_timeout: Some(Duration::ZERO),
            promiscuous: false,
            socket_fd: Some(socket.into_raw_fd()),
            ..Config::default()
        };
        match pnet_datalink::channel(&port, config)? {
            Channel::Ethernet(sender, receiver) => Ok(Self { mac, wait, sender, receiver }),
            _other => Err(io::Error::other("not a port of Ethernet")),
        }
    }

    /// Sends what announces `address`.
    ///
    /// # Errors
    /// As the system says.
    pub fn announce(&mut self, address: IpAddr) -> io::Result<()> {
        frames::announcements(self.mac, address).iter().try_for_each(|frame| self.send(frame))
    }

    /// Asks for a holder of `address`.
    ///
    /// # Errors
    /// As the system says.
    pub fn probe(&mut self, address: IpAddr) -> io::Result<()> {
        self.send(&frames::probe(self.mac, address))
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.sender.send_to(frame, None).unwrap_or(Ok(()))
    }

    /// Of the frames that have come in: somebody else who holds `address`.
    pub fn holder(&mut self, address: IpAddr) -> Option<Mac> {
        // A flood must not keep the guard from its deadlines.
        for _ in 0..64 {
            match self.receiver.next() {
                Ok(frame) => {
                    if let Some(other) = frames::holder(frame, self.mac, address) {
                        return Some(other);
                    }
                }
                Err(_) => return None,
            }
        }
        None
    }

    /// To be waited for.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wait.as_fd()
    }
}
