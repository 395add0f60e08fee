//! The keeper's kernel: the real one.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use netlink_packet_route::address::{AddressMessage, AddressScope};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::packet_core::Parseable;

use super::air::Air;
use super::aside::{Aside, Remembered, Store};
use super::frames::{self, Mac};
use super::keeper::Kernel;
use super::netlink::{self, Netlink, Port};
use super::wire::{Address, Start};
use crate::clock::boot_time;

/// An address and its port as it is now.
pub struct Place {
    /// What is guarded.
    pub what: Address,
    index: u32,
    mac: Option<Mac>,
}

/// Sets addresses.
pub struct World {
    netlink: Netlink,
    store: Store,
    remembered: Remembered,
    lease: u32,
    /// What is guarded.
    pub places: Vec<Place>,
}

impl World {
    /// Looks whether it can be done, clears up after an earlier guard.
    ///
    /// # Errors
    /// In words for whoever wrote the configuration.
    pub fn new(start: &Start) -> Result<Self, String> {
        if !(1..=60).contains(&start.lease) {
            return Err(format!("vip-lease: {} is not a whole number of seconds from 1 to 60", start.lease));
        }
        let told = |what: &str, e: io::Error| format!("virtual addresses can't be set: {what}: {e}");
        let mut netlink = Netlink::open().map_err(|e| told("netlink", e))?;
        netlink.may_set().map_err(|e| {
            format!("virtual addresses can't be set: the right is missing (CAP_NET_ADMIN; run as root or give it): {e}")
        })?;
        let store = Store::new(&start.state_dir);
        let remembered = store.read().map_err(|e| format!("virtual addresses can't be set: {e}"))?;
        let mut places = Vec::new();
        for what in &start.addresses {
            let port = find(&mut netlink, &what.interface).map_err(|e| format!("virtual address {what}: {e}"))?;
            let Port { index, mac, .. } = port;
            places.push(Place { what: what.clone(), index, mac });
        }
        let mut world = Self { netlink, store, remembered, lease: start.lease, places };
        world.clear_up().map_err(|e| format!("what an earlier start has left can't be cleared up: {e}"))?;
        for place in &world.places {
            if let Some(mac) = place.mac {
                Air::open(&place.what.interface, place.index, mac, frames::kind(place.what.address)).map_err(|e| {
                    format!(
                        "virtual address {}: it can't be announced: the right is missing (CAP_NET_RAW): {e}",
                        place.what
                    )
                })?;
            }
        }
        world.remembered.guarded.clone_from(&start.addresses);
        world.store.write(&world.remembered).map_err(|e| format!("virtual addresses can't be set: {e}"))?;
        Ok(world)
    }

    /// Deletes what an earlier guard has left behind, and puts back what it took away. An address that stays for good was
    /// not set by any guard.
    fn clear_up(&mut self) -> io::Result<()> {
        let ours = self.places.iter().map(|p| p.what.clone());
        let left: Vec<Address> = self.remembered.guarded.iter().cloned().chain(ours).collect();
        for what in left {
            let Some(port) = self.netlink.port(&what.interface)? else { continue };
            let there = self.netlink.addresses(port.index)?;
            let Some(found) = there.iter().find(|a| is(a, &what)) else { continue };
            if netlink::is_leased(found) {
                self.netlink.delete(port.index, what.address, what.prefix)?;
            } else if self.places.iter().any(|p| p.what.interface == what.interface && p.what.address == what.address) {
                return Err(io::Error::other(format!(
                    "{what} stands there for good: take it out of the system's configuration"
                )));
            }
        }
        self.restore()
    }

    /// Whether all are there. Wrong only when the kernel can't be asked.
    pub fn all_there(&mut self) -> bool {
        let netlink = &mut self.netlink;
        self.places
            .iter()
            .all(|place| netlink.addresses(place.index).map_or(true, |there| there.iter().any(|a| is(a, &place.what))))
    }

    /// Whether a message is about one of ours.
    pub fn concerns(&self, message: &AddressMessage) -> bool {
        self.places.iter().any(|p| p.index == message.header.index && is(message, &p.what))
    }

    /// Tells the neighbours of all addresses.
    ///
    /// # Errors
    /// What went wrong with the last that could not be told.
    pub fn announce(&self) -> io::Result<()> {
        let mut result = Ok(());
        for place in &self.places {
            if let Some(mac) = place.mac {
                let what = &place.what;
                let air = Air::open(&what.interface, place.index, mac, frames::kind(what.address));
                if let Err(error) = air.and_then(|mut air| air.announce(what.address)) {
                    result = Err(io::Error::new(error.kind(), format!("{what} can't be announced: {error}")));
                }
            }
        }
        result
    }

    /// Sockets for a probe of each address.
    ///
    /// # Errors
    /// As the system says.
    pub fn airs(&self) -> io::Result<Vec<(Address, Air)>> {
        let mut airs = Vec::new();
        for place in &self.places {
            if let Some(mac) = place.mac {
                let what = &place.what;
                airs.push((what.clone(), Air::open(&what.interface, place.index, mac, frames::kind(what.address))?));
            }
        }
        Ok(airs)
    }

    /// The own addresses of a port that give way: of the virtual ones' families, but none that is of the link alone.
    fn own(&mut self, interface: &str, index: u32, families: [bool; 2]) -> io::Result<(Aside, Vec<AddressMessage>)> {
        let mut own = self.netlink.addresses(index)?;
        own.retain(|a| {
            let Some(ip) = netlink::ip_of(a) else { return false };
            let ours = self.places.iter().any(|p| p.index == index && is(a, &p.what));
            !ours && a.header.scope == AddressScope::Universe && families[usize::from(ip.is_ipv6())]
        });
        let routes = self.netlink.dump(netlink::GET_ROUTE, &netlink::bytes(&RouteMessage::default()))?;
        let routes = routes.into_iter().filter(|body| {
            let Ok(route) = RouteMessage::parse(body) else { return false };
            let over = route.attributes.iter().any(|a| matches!(a, RouteAttribute::Oif(i) if *i == index));
            over && route.header.protocol != RouteProtocol::Kernel
        });
        let aside = Aside {
            interface: interface.to_owned(),
            addresses: own.iter().map(|a| HEXLOWER.encode(&netlink::bytes(a))).collect(),
            routes: routes.map(|body| HEXLOWER.encode(&body)).collect(),
        };
        Ok((aside, own))
    }

    /// Ports whose own addresses give way, and of which families (IPv4, IPv6).
    fn instead(&self) -> Vec<(String, u32, [bool; 2])> {
        let mut found: Vec<(String, u32, [bool; 2])> = Vec::new();
        for place in self.places.iter().filter(|p| p.what.instead) {
            let at = found.iter().position(|(name, ..)| *name == place.what.interface).unwrap_or_else(|| {
                found.push((place.what.interface.clone(), place.index, [false; 2]));
                found.len() - 1
            });
            found[at].2[usize::from(place.what.address.is_ipv6())] = true;
        }
        found
    }

    fn put_back(&mut self, aside: &Aside) -> io::Result<()> {
        let Some(port) = self.netlink.port(&aside.interface)? else {
            return Err(io::Error::other(format!("{} is gone, its own addresses too", aside.interface)));
        };
        for hex in &aside.addresses {
            let body = HEXLOWER.decode(hex.as_bytes()).map_err(io::Error::other)?;
            let mut message = AddressMessage::parse(&body).map_err(io::Error::other)?;
            message.header.index = port.index;
            self.netlink.put_back(netlink::NEW_ADDRESS, &netlink::bytes(&message))?;
        }
        self.put_back_routes(aside);
        Ok(())
    }

    /// Routes that the kernel forgot with an address. One that needs an address which is not there has to wait.
    fn put_back_routes(&mut self, aside: &Aside) {
        for body in aside.routes.iter().filter_map(|hex| HEXLOWER.decode(hex.as_bytes()).ok()) {
            let _ = self.netlink.put_back(netlink::NEW_ROUTE, &body);
        }
    }
}

impl Kernel for World {
    fn now(&self) -> Duration {
        boot_time()
    }

    fn count(&self) -> usize {
        self.places.len()
    }

    fn prepare(&mut self) -> io::Result<()> {
        for place in &mut self.places {
            // It may have been made anew, with another number.
            let port = find(&mut self.netlink, &place.what.interface).map_err(io::Error::other)?;
            (place.index, place.mac) = (port.index, port.mac);
        }
        let mut aside = Vec::new();
        for (name, index, families) in self.instead() {
            aside.push(self.own(&name, index, families)?.0);
        }
        if !aside.is_empty() {
            self.remembered.aside = aside;
            self.store.write(&self.remembered)?;
        }
        Ok(())
    }

    fn add(&mut self, number: usize) -> io::Result<()> {
        let Place { what, index, .. } = &self.places[number];
        let told = |e: io::Error| io::Error::new(e.kind(), format!("{what} can't be added: {e}"));
        self.netlink.lease(*index, what.address, what.prefix, self.lease, true).map_err(told)
    }

    fn renew(&mut self, number: usize) -> io::Result<()> {
        let Place { what, index, .. } = &self.places[number];
        self.netlink.lease(*index, what.address, what.prefix, self.lease, false)
    }

    fn delete(&mut self, number: usize) -> io::Result<()> {
        let Place { what, index, .. } = &self.places[number];
        self.netlink.delete(*index, what.address, what.prefix)
    }

    fn settle(&mut self) -> io::Result<()> {
        for (name, index, families) in self.instead() {
            let (_, own) = self.own(&name, index, families)?;
            for message in &own {
                self.netlink.delete_exactly(message)?;
            }
            // The kernel takes the others of a net away with its first address: ours may be among them.
            for number in 0..self.places.len() {
                if self.places[number].index == index {
                    self.renew(number)?;
                }
            }
            let aside = self.remembered.aside.iter().find(|a| a.interface == name).cloned();
            if let Some(aside) = aside {
                self.put_back_routes(&aside);
            }
        }
        Ok(())
    }

    fn restore(&mut self) -> io::Result<()> {
        if self.remembered.aside.is_empty() {
            return Ok(());
        }
        let aside = self.remembered.aside.clone();
        aside.iter().try_for_each(|a| self.put_back(a))?;
        self.remembered.aside.clear();
        self.store.write(&self.remembered)
    }
}

fn find(netlink: &mut Netlink, name: &str) -> Result<Port, String> {
    match netlink.port(name) {
        Ok(Some(port)) => Ok(port),
        Ok(None) => Err(format!("there is no port {name} on this machine (`ip link` lists them)")),
        Err(error) => Err(format!("the port {name} can't be looked at: {error}")),
    }
}

fn is(message: &AddressMessage, what: &Address) -> bool {
    let ip: Option<IpAddr> = netlink::ip_of(message);
    ip == Some(what.address) && message.header.prefix_len == what.prefix
}
