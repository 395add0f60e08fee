//! The guard as a process, in namespaces of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use peerdeck::clock::{Clock, SystemClock};
use peerdeck::daemon::ha::guard::frames;
use peerdeck::daemon::ha::guard::wire::{Address, FromGuard, Start, ToGuard, nanos};
use peerdeck::daemon::ha::guard::with_program;
use peerdeck::daemon::ha::{GuardAddress, GuardConfig, GuardOrder, GuardReport};
use peerdeck::domain::ha::AddressAction;
use peerdeck::domain::ha::config::gone_after;
use rustix::process::{Pid, Signal, kill_process};

use crate::ha::ns::{Net, Recorder, boot, holders, sh};
use crate::support::{PATIENCE, wait_until};

const PEERDECK: &str = env!("CARGO_BIN_EXE_peerdeck");
const LEASE: Duration = Duration::from_secs(1);

fn vip() -> IpAddr {
    "192.0.2.100".parse().unwrap()
}

fn vip6() -> IpAddr {
    "2001:db8:0::100".parse().unwrap()
}

fn add(address: IpAddr) -> Address {
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    Address { interface: "eth0".into(), address, prefix, instead: false }
}

/// A guard on a host.
struct Guard {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<FromGuard>,
    dir: Arc<tempfile::TempDir>,
}

impl Guard {
    fn raw(mut command: std::process::Command, dir: &Arc<tempfile::TempDir>, addresses: &[Address]) -> Self {
        let mut child = command.arg("guard").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let mut guard = Self { child, stdin, lines, dir: Arc::clone(dir) };
        let start = Start { state_dir: dir.path().to_owned(), lease: 1, addresses: addresses.to_vec() };
        guard.tell(&ToGuard::Start(start));
        guard
    }

    fn new(net: &Net, addresses: &[Address]) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::again(net, &dir, addresses)
    }

    fn again(net: &Net, dir: &Arc<tempfile::TempDir>, addresses: &[Address]) -> Self {
        let guard = Self::raw(net.command(0, PEERDECK), dir, addresses);
        assert_eq!(guard.hear(), FromGuard::Ready);
        guard
    }

    fn tell(&mut self, order: &ToGuard) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{}", serde_json::to_string(order).unwrap()).unwrap();
    }

    /// With a permit until then.
    fn hold(&mut self, until: Duration) {
        self.tell(&ToGuard::Hold { epoch: 1, until: nanos(until), probe: false });
    }

    #[track_caller]
    fn hear(&self) -> FromGuard {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// The next that is no renewal.
    #[track_caller]
    fn hear_end(&self) -> FromGuard {
        loop {
            let said = self.hear();
            if !matches!(said, FromGuard::Held { .. }) {
                return said;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_holds_renews_and_deletes_at_once_by_order() {
    let net = Net::new("pdg", 1, 1);
    let recorder = Recorder::new(&net, vip());
    let mut guard = Guard::new(&net, &[add(vip()), add(vip6())]);
    guard.hold(boot() + Duration::from_mins(1));
    assert!(matches!(guard.hear(), FromGuard::Held { epoch: 1, .. }));
    let first = recorder.wait(PATIENCE, "added", |s| s.there).at;
    let mut last = first;
    for _ in 0..7 {
        last = recorder.wait(PATIENCE, "renewed", |s| s.there).at;
    }
    assert!(last < first + LEASE * 4, "about three a lease: {first:?} to {last:?}");
    guard.tell(&ToGuard::Drop);
    assert_eq!(guard.hear_end(), FromGuard::Dropped);
    assert!(sh(&format!("ip -n {} addr show dev eth0", net.hosts[0])).matches("100/").count() == 0);
    recorder.wait(PATIENCE, "deleted", |s| !s.there);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_without_orders_it_lets_go_before_the_permit_ends() {
    let net = Net::new("pdg", 1, 1);
    let recorder = Recorder::new(&net, vip());
    let mut guard = Guard::new(&net, &[add(vip())]);
    let until = boot() + gone_after(LEASE) + Duration::from_millis(900);
    guard.hold(until);
    assert_eq!(guard.hear_end(), FromGuard::Lapsed);
    recorder.wait(PATIENCE, "deleted", |s| !s.there);
    let seen = recorder.seen();
    let last = seen.iter().rfind(|s| s.there).unwrap().at;
    let gone = seen.last().unwrap();
    assert!(!gone.there && gone.at < until, "{seen:?}");
    assert!(last + gone_after(LEASE) < until + Duration::from_millis(50), "renewed only under the permit: {seen:?}");
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_killed_or_stopped_the_kernel_ends_the_lease() {
    for signal in [Signal::KILL, Signal::STOP] {
        let net = Net::new("pdg", 1, 1);
        let recorder = Recorder::new(&net, vip());
        let mut guard = Guard::new(&net, &[add(vip())]);
        guard.hold(boot() + Duration::from_mins(1));
        for _ in 0..4 {
            recorder.wait(PATIENCE, "renewed", |s| s.there);
        }
        guard.signal(signal);
        recorder.wait(PATIENCE, "gone", |s| !s.there);
        let seen = recorder.seen();
        let last = seen.iter().rfind(|s| s.there).unwrap().at;
        let late = seen.last().unwrap().at.saturating_sub(last);
        assert!(late <= gone_after(LEASE), "{signal:?}: {late:?} after the last renewal");
        if signal == Signal::STOP {
            // An order that waited in the pipe was given before the lease ended.
            guard.hold(boot() + Duration::from_mins(1));
            guard.signal(Signal::CONT);
            assert_eq!(guard.hear_end(), FromGuard::Lapsed);
            assert!(matches!(guard.hear(), FromGuard::Failed(_)));
            assert_eq!(holders(&recorder.seen()), [] as [usize; 0]);
            // And a new one counts.
            guard.hold(boot() + Duration::from_mins(1));
            assert!(matches!(guard.hear(), FromGuard::Held { .. }));
        }
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_a_peer_that_dies_or_is_stopped_does_not_keep_the_address() {
    let net = Net::new("pdg", 1, 1);
    let recorder = Recorder::new(&net, vip());
    let mut guard = Guard::new(&net, &[add(vip())]);
    guard.hold(boot() + Duration::from_mins(1));
    recorder.wait(PATIENCE, "added", |s| s.there);
    let at = boot();
    // A signal to the whole session is not its peer's death.
    guard.signal(Signal::TERM);
    guard.signal(Signal::INT);
    recorder.wait(PATIENCE, "renewed", |s| s.there && s.at > at);
    guard.stdin = None;
    let gone = recorder.wait(PATIENCE, "deleted", |s| !s.there);
    assert!(gone.at < at + LEASE, "at once");
    assert!(guard.child.wait().unwrap().success());
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_set_takes_the_own_addresses_away_and_restores_them_exactly() {
    let net = Net::new("pdg", 1, 1);
    let name = &net.hosts[0];
    sh(&format!(
        "ip -n {name} addr add 192.0.2.77/24 brd + dev eth0 label eth0:x; ip -n {name} addr add 10.9.8.7/30 dev eth0;
         ip -n {name} addr add 192.0.2.55/24 dev eth0 valid_lft 5000 preferred_lft 4000; \
         ip -n {name} route add default via 192.0.2.2; ip -n {name} route add 10.77.0.0/16 via 10.9.8.6 metric 7"
    ));
    // Lifetimes count down meanwhile.
    let look = || {
        let text = sh(&format!("ip -n {name} addr show dev eth0; ip -n {name} route; ip -n {name} -6 route"));
        let lines = text.lines().filter(|l| !l.contains("valid_lft 4") && !l.contains("valid_lft 5"));
        lines.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    let before = look();
    let instead = |ip| Address { instead: true, ..add(ip) };
    let mut guard = Guard::new(&net, &[instead(vip()), instead(vip6())]);
    guard.hold(boot() + Duration::from_mins(1));
    assert!(matches!(guard.hear(), FromGuard::Held { .. }));
    let during = look();
    assert!(during.contains("192.0.2.100/24") && during.contains("2001:db8::100/64"), "{during}");
    for gone in ["192.0.2.1/24", "192.0.2.77", "10.9.8.7", "192.0.2.55", "2001:db8::1/64"] {
        assert!(!during.contains(gone), "{gone} is still there: {during}");
    }
    assert!(during.contains("default via 192.0.2.2"), "the way out stays: {during}");
    guard.tell(&ToGuard::Drop);
    assert_eq!(guard.hear_end(), FromGuard::Dropped);
    assert_eq!(look(), before);

    // After a crash the next start does it.
    let recorder = Recorder::new(&net, vip());
    guard.hold(boot() + Duration::from_mins(1));
    recorder.wait(PATIENCE, "added", |s| s.there);
    assert!(matches!(guard.hear(), FromGuard::Held { .. }));
    guard.signal(Signal::KILL);
    let _again = Guard::again(&net, &guard.dir, &[instead(vip()), instead(vip6())]);
    assert_eq!(look(), before);
    recorder.wait(PATIENCE, "the one left behind is deleted", |s| !s.there);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_a_probe_finds_who_has_the_address_already() {
    let net = Net::new("pdg", 2, 1);
    for address in [vip(), vip6()] {
        let recorder = Recorder::new(&net, address);
        let mut guard = Guard::new(&net, &[add(address)]);
        let with_probe = |until| ToGuard::Hold { epoch: 3, until: nanos(until), probe: true };
        net.on(1, &format!("ip addr add {address}/{} dev eth0", add(address).prefix));
        guard.tell(&with_probe(boot() + Duration::from_mins(1)));
        let mac = net.on(1, "cat /sys/class/net/eth0/address");
        let FromGuard::Conflict(text) = guard.hear() else { panic!("no conflict") };
        assert!(text.contains(mac.trim()) && text.contains(&address.to_string()), "{text}");
        assert!(recorder.seen().iter().all(|s| s.host == 1), "{:?}", recorder.seen());
        // Once it is free it is taken.
        net.on(1, &format!("ip addr del {address}/{} dev eth0", add(address).prefix));
        guard.tell(&with_probe(boot() + Duration::from_mins(1)));
        assert!(matches!(guard.hear(), FromGuard::Held { epoch: 3, .. }));
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_neighbours_are_told_five_times_in_both_forms() {
    use pnet_datalink::{Channel, ChannelType, Config};
    let net = Arc::new(Net::new("pdg", 2, 1));
    for address in [vip(), vip6()] {
        let (ready, wait) = channel();
        let there = Arc::clone(&net);
        let listener = std::thread::spawn(move || {
            there.enter(1);
            let port = pnet_datalink::interfaces().into_iter().find(|i| i.name == "eth0").unwrap();
            let config = Config { read_timeout: Some(Duration::from_millis(100)), ..Config::default() };
            assert!(config.channel_type == ChannelType::Layer2);
            let Ok(Channel::Ethernet(_, mut frames)) = pnet_datalink::channel(&port, config) else { panic!() };
            ready.send(()).unwrap();
            let mut found = Vec::new();
            let began = std::time::Instant::now();
            while began.elapsed() < PATIENCE && found.len() < if address.is_ipv4() { 10 } else { 5 } {
                if let Ok(frame) = frames.next()
                    && frames::holder(frame, [0; 6], address).is_some()
                {
                    found.push((began.elapsed(), frame.to_vec()));
                }
            }
            found
        });
        wait.recv().unwrap();
        let mut guard = Guard::new(&net, &[add(address)]);
        guard.hold(boot() + Duration::from_mins(1));
        let found = listener.join().unwrap();
        let count = |kind: u8| found.iter().filter(|(_, f)| f[21] == kind).count();
        if address.is_ipv4() {
            assert_eq!((count(1), count(2)), (5, 5), "requests and replies");
        } else {
            assert_eq!(found.len(), 5);
            assert!(found.iter().all(|(_, f)| f[58] & 0x20 != 0), "with the override flag");
        }
        assert!(found.last().unwrap().0 > found[0].0 + Duration::from_millis(1500), "spread over 2 s");
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_what_can_not_work_is_refused_at_the_start_or_by_order() {
    let net = Net::new("pdg", 1, 1);
    let recorder = Recorder::new(&net, vip());
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let refused = |command, address: &Address| {
        let guard = Guard::raw(command, &dir, std::slice::from_ref(address));
        let FromGuard::Refused(text) = guard.hear() else { panic!("not refused") };
        text
    };
    let text = refused(net.command(0, PEERDECK), &Address { interface: "eth7".into(), ..add(vip()) });
    assert!(text.contains("there is no port eth7"), "{text}");
    // A user without the right, and one who only seems to have it (his own user namespace, not this network's).
    let mut command = net.command(0, "setpriv");
    command.args(["--bounding-set", "-net_admin", "--inh-caps=-net_admin", PEERDECK]);
    let text = refused(command, &add(vip()));
    assert!(text.contains("CAP_NET_ADMIN"), "{text}");
    let mut command = net.command(0, "unshare");
    command.args(["--user", "--map-root-user", PEERDECK]);
    let text = refused(command, &add(vip()));
    assert!(text.contains("CAP_NET_ADMIN"), "{text}");
    let mut command = net.command(0, "setpriv");
    command.args(["--bounding-set", "-net_raw", "--inh-caps=-net_raw", PEERDECK]);
    let text = refused(command, &add(vip()));
    assert!(text.contains("CAP_NET_RAW"), "{text}");
    // It is set for good already.
    net.on(0, "ip addr add 192.0.2.100/24 dev eth0");
    let text = refused(net.command(0, PEERDECK), &add(vip()));
    assert!(text.contains("stands there for good"), "{text}");
    net.on(0, "ip addr del 192.0.2.100/24 dev eth0");
    recorder.clear();
    // Permits that are past; one address of two that the system refuses.
    let mut guard = Guard::again(&net, &dir, &[add(vip())]);
    guard.hold(boot().saturating_sub(Duration::from_secs(1)));
    assert!(matches!(guard.hear(), FromGuard::Failed(_)));
    drop(guard);
    assert_eq!(recorder.seen(), []);
    let wrong = Address { prefix: 33, ..add("192.0.2.101".parse().unwrap()) };
    let mut guard = Guard::again(&net, &dir, &[add(vip()), wrong]);
    guard.hold(boot() + Duration::from_mins(1));
    let FromGuard::Failed(text) = guard.hear() else { panic!("half of them") };
    assert!(text.contains("192.0.2.101"), "{text}");
    recorder.wait(PATIENCE, "rolled back", |s| !s.there);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_one_that_somebody_deletes_takes_the_others_with_it() {
    let net = Net::new("pdg", 1, 1);
    let recorder = Recorder::new(&net, vip6());
    let mut guard = Guard::new(&net, &[add(vip()), add(vip6())]);
    guard.hold(boot() + Duration::from_mins(1));
    recorder.wait(PATIENCE, "added", |s| s.there);
    assert!(matches!(guard.hear(), FromGuard::Held { .. }));
    net.on(0, "ip addr del 192.0.2.100/24 dev eth0");
    recorder.wait(PATIENCE, "the other goes too", |s| !s.there);
    assert_eq!(guard.hear_end(), FromGuard::Lapsed);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn f12_the_systems_world_starts_a_guard_anew_and_feels_ports_disk_and_neighbours() {
    let net = Arc::new(Net::new("pdg", 2, 2));
    let there = Arc::clone(&net);
    let recorder = Recorder::new(&net, vip());
    std::thread::spawn(move || {
        // Its children are on that host too.
        there.enter(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let clock = Arc::new(SystemClock::new());
            let world = with_program(std::path::Path::new(PEERDECK), dir.path(), Arc::clone(&clock) as Arc<dyn Clock>);
            let address = |interface: &str| GuardAddress {
                interface: interface.into(),
                action: AddressAction::Add,
                address: vip(),
                prefix: 24,
            };
            let config = |a| GuardConfig { addresses: vec![a], lease: LEASE };
            let error = world.addresses.start(config(address("eth9"))).await.err().unwrap();
            assert!(error.to_string().contains("eth9"), "{error}");

            let mut guard = world.addresses.start(config(address("eth0"))).await.unwrap();
            let hold = || GuardOrder::Hold { epoch: 5, until: clock.now() + Duration::from_mins(1), probe: true };
            guard.orders.send(hold()).await.unwrap();
            let Some(GuardReport::Held { epoch: 5, until }) = guard.reports.recv().await else { panic!() };
            assert!(until > clock.now() && until <= clock.now() + LEASE);
            recorder.wait(PATIENCE, "added", |s| s.there);
            let pid = sh(&format!(
                "for p in $(ip netns pids {}); do grep -qx peerdeck-guard /proc/$p/comm && echo $p; done; true",
                there.hosts[0]
            ));
            kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), Signal::KILL).unwrap();
            let mut told = Vec::new();
            while told.last() != Some(&GuardReport::Lapsed) {
                told.push(tokio::time::timeout(PATIENCE, guard.reports.recv()).await.unwrap().unwrap());
            }
            assert!(told.iter().any(|r| matches!(r, GuardReport::Failed(_))), "{told:?}");
            recorder.wait(PATIENCE, "deleted", |s| !s.there);
            guard.orders.send(hold()).await.unwrap();
            assert!(matches!(guard.reports.recv().await, Some(GuardReport::Held { .. })));
            recorder.wait(PATIENCE, "added", |s| s.there);
            drop(guard);
            wait_until(PATIENCE, "nobody gives orders", || holders(&recorder.seen()).is_empty()).await;
            let senses = &world.senses;
            assert_eq!(senses.port("eth0").await, Ok(()));
            there.port(0, 1, false);
            assert_eq!(senses.port("eth1").await, Err("eth1 is switched off".into()));
            there.port(0, 1, true);
            assert_eq!(senses.port("eth9").await, Err("there is no port eth9".into()));
            assert_eq!(senses.disk(dir.path()).await, Ok(()));
            assert!(senses.disk(std::path::Path::new("/proc")).await.unwrap_err().contains("can't be written"));
            for (there, not) in [("192.0.2.2", "192.0.2.200"), ("2001:db8::2", "2001:db8::200")] {
                // Looked for, asked anew.
                for _ in 0..3 {
                    assert_eq!(senses.answers(there.parse().unwrap()).await, Ok(()));
                }
                assert!(senses.answers(not.parse().unwrap()).await.is_err());
            }
            assert_eq!(senses.answers("192.0.2.1".parse().unwrap()).await, Ok(()), "ourselves");
            assert!(senses.answers("203.0.113.1".parse().unwrap()).await.unwrap_err().contains("can't be asked"));
        });
    })
    .join()
    .unwrap();
}
