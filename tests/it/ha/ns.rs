//! Network namespaces on a bridge, and a recorder of who holds an address: for tests and for `benches/failover.rs`.
//! Needs root.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_core::Parseable;
use rtnetlink::sys::Socket;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Ports of all tests have numbers of their own: by them one recorder tells the hosts apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Runs a command line; panics with what it said if it fails.
#[track_caller]
pub fn sh(line: &str) -> String {
    let out = Command::new("sh").args(["-ec", line]).stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Time since boot.
pub fn boot() -> Duration {
    peerdeck::clock::boot_time()
}

/// Moves this thread onto the host of that name, for good.
pub fn enter(host: &str) {
    let file = File::open(format!("/run/netns/{host}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// Hosts on bridges. Each has `eth0` (bridge 0), `eth1` (bridge 1) and so on.
pub struct Net {
    /// Namespace of the bridges.
    bridge: String,
    /// Namespaces of the hosts.
    pub hosts: Vec<String>,
    base: u32,
    links: usize,
}

impl Net {
    /// So many hosts, each with so many ports; host h has address `192.0.2.(h+1)` on the first one, `198.51.100.(h+1)` on
    /// the second, and so on, and `2001:db8:l::(h+1)`.
    pub fn new(prefix: &str, hosts: usize, links: usize) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = 1000 + (std::process::id() % 10_000) * 10_000 + number * 100;
        let tag = format!("{prefix}-{}-{number}", std::process::id());
        let bridge = format!("{tag}-br");
        let names: Vec<String> = (0..hosts).map(|h| format!("{tag}-{}", char::from(b"abcdefgh"[h]))).collect();
        sh(&format!("ip netns add {bridge}; ip -n {bridge} link set lo up"));
        let net = Self { bridge, hosts: names, base, links };
        let bridge = &net.bridge;
        for l in 0..links {
            sh(&format!(
                "ip -n {bridge} link add br{l} type bridge forward_delay 0 mcast_snooping 0; ip -n {bridge} link set br{l} up"
            ));
        }
        for (h, name) in net.hosts.iter().enumerate() {
            sh(&format!(
                "ip netns add {name}; ip netns set {name} auto; ip -n {name} link set lo up;
                 ip netns exec {name} sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.arp_notify=0"
            ));
            for l in 0..links {
                let (index, port) = (net.index(h, l), Self::bridge_port(h, l));
                let v4 = Self::ip(h, l);
                sh(&format!(
                    "ip -n {name} link add eth{l} index {index} type veth peer name {port} netns {bridge};
                     ip -n {bridge} link set {port} master br{l} up;
                     ip -n {name} addr add {v4}/24 dev eth{l}; ip -n {name} addr add 2001:db8:{l}::{}/64 dev eth{l} nodad;
                     ip -n {name} link set eth{l} up",
                    h + 1
                ));
            }
        }
        net
    }

    /// Address of a host on a link.
    pub fn ip(host: usize, link: usize) -> IpAddr {
        let nets = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];
        let [a, b, c] = nets[link];
        IpAddr::from([a, b, c, u8::try_from(host + 1).unwrap()])
    }

    fn index(&self, host: usize, link: usize) -> u32 {
        self.base + u32::try_from(host * 10 + link).unwrap()
    }

    fn bridge_port(host: usize, link: usize) -> String {
        format!("h{host}l{link}")
    }

    /// Cuts or heals a host's way into a bridge: its own carrier stays.
    pub fn cut(&self, host: usize, link: usize, cut: bool) {
        // Disabled, or forwarding.
        let state = if cut { 0 } else { 3 };
        sh(&format!("bridge -n {} link set dev {} state {state}", self.bridge, Self::bridge_port(host, link)));
    }

    /// Nothing goes between two hosts on any link, both ways; a third sees both.
    pub fn cut_between(&self, a: usize, b: usize, cut: bool) {
        let how = if cut { "on" } else { "off" };
        for host in [a, b] {
            for l in 0..self.links {
                // Isolated ports of a bridge reach the others, but not each other.
                sh(&format!("bridge -n {} link set dev {} isolated {how}", self.bridge, Self::bridge_port(host, l)));
            }
        }
    }

    /// Switches a host's port off or on.
    pub fn port(&self, host: usize, link: usize, up: bool) {
        sh(&format!("ip -n {} link set eth{link} {}", self.hosts[host], if up { "up" } else { "down" }));
    }

    /// Runs a command line on a host.
    #[track_caller]
    pub fn on(&self, host: usize, line: &str) -> String {
        sh(&format!("ip netns exec {} sh -ec '{line}'", self.hosts[host]))
    }

    /// A command that will run on a host. Its process is the command itself.
    pub fn command(&self, host: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.hosts[host], program]);
        command
    }

    /// Moves this thread onto a host, for good.
    pub fn enter(&self, host: usize) {
        enter(&self.hosts[host]);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in self.hosts.iter().chain([&self.bridge]) {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Something that happened to an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// When it was read; the order is the kernel's own.
    pub at: Duration,
    /// On which host.
    pub host: usize,
    /// It was added or renewed, else it went.
    pub there: bool,
}

/// Hears of an address on all hosts of a net, in the kernel's order: one socket for all namespaces.
pub struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    news: Receiver<Seen>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Recorder {
    /// Of `address` on `eth0` of each host.
    pub fn new(net: &Net, address: IpAddr) -> Self {
        let hosts: BTreeMap<u32, usize> = (0..net.hosts.len()).map(|h| (net.index(h, 0), h)).collect();
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        socket.set_rx_buf_sz(4_u32 << 20).unwrap();
        socket.set_listen_all_namespaces(true).unwrap();
        for group in [5, 9] {
            socket.add_membership(group).unwrap();
        }
        socket2::SockRef::from(&socket).set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(socket.as_raw_fd() >= 0);
        let (seen, stop) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicBool>::default());
        let (sender, news) = channel();
        let (to, until) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let bytes = match socket.recv_from_full() {
                    Ok((bytes, _)) => bytes,
                    // Who is stopped and goes on is interrupted too; nothing is lost.
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
                    // Lost events would be lost holders.
                    Err(e) => panic!("the recorder lost events: {e}"),
                };
                let at = boot();
                let mut rest = &bytes[..];
                while rest.len() >= 16 {
                    let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
                    let kind = u16::from_ne_bytes(rest[4..6].try_into().unwrap());
                    let message = AddressMessage::parse(&rest[16..length]).unwrap();
                    rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                    let ours = message.attributes.iter().any(
                        |a| matches!(a, AddressAttribute::Local(ip) | AddressAttribute::Address(ip) if *ip == address),
                    );
                    let Some(host) = hosts.get(&message.header.index).filter(|_| ours) else { continue };
                    let seen = Seen { at, host: *host, there: kind == 20 };
                    to.lock().unwrap().push(seen);
                    let _ = sender.send(seen);
                }
            }
        });
        Self { seen, news, stop, thread: Some(thread) }
    }

    /// All until now.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets what was.
    pub fn clear(&self) {
        while self.news.try_recv().is_ok() {}
        let mut seen = self.seen.lock().unwrap();
        let holders = holders(&seen);
        // Who holds still does.
        seen.retain(|s| holders.contains(&s.host) && s.there);
        let mut last: BTreeMap<usize, Seen> = BTreeMap::new();
        for s in seen.iter() {
            last.insert(s.host, *s);
        }
        *seen = last.into_values().collect();
    }

    /// The next event that fits.
    #[track_caller]
    pub fn wait(&self, patience: Duration, what: &str, mut fits: impl FnMut(&Seen) -> bool) -> Seen {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(seen) if fits(&seen) => return seen,
                Ok(_) => {}
                Err(e) => panic!("not within {patience:?}: {what} ({e}); seen: {:?}", self.seen()),
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Who holds after all that was seen.
pub fn holders(seen: &[Seen]) -> Vec<usize> {
    let mut there = BTreeMap::new();
    for s in seen {
        there.insert(s.host, s.there);
    }
    there.into_iter().filter(|(_, there)| *there).map(|(host, _)| host).collect()
}

/// How often two held at once, and how long in all. Twice is twice, however short: the order is the kernel's.
pub fn overlaps(seen: &[Seen]) -> (usize, Duration) {
    let (mut count, mut span, mut since) = (0, Duration::ZERO, None);
    for n in 0..seen.len() {
        let two = holders(&seen[..=n]).len() > 1;
        match (two, since) {
            (true, None) => {
                count += 1;
                since = Some(seen[n].at);
            }
            (false, Some(began)) => {
                span += seen[n].at.saturating_sub(began);
                since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    if let Some(began) = since {
        span += boot().saturating_sub(began);
    }
    (count, span)
}
