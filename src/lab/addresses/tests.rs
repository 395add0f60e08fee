//! Two units and one address, on loopback.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};

use super::super::mail::port;
use super::*;
use crate::clock::SystemClock;
use crate::domain::ha::Service;

const LEASE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

struct Pair {
    address: IpAddr,
    clock: Arc<dyn Clock>,
    faults: Arc<Faults>,
    virtuals: Arc<Virtual>,
    units: [LabAddresses; 2],
}

/// On a network of its own, so that tests don't meet.
fn pair(net: u8) -> Pair {
    let at = |host| IpAddr::from(Ipv4Addr::new(127, 77, net, host));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let faults = Arc::new(Faults::new(1));
    let virtuals = Arc::new(Virtual::new(vec![at(250)], Arc::clone(&faults), Arc::clone(&clock), 1));
    let unit = |me: u16, host| LabAddresses {
        virtuals: Arc::clone(&virtuals),
        me,
        mail: Arc::new(Mail::new(&format!("lab{host}"), Arc::clone(&faults))),
        ports: vec![("port3".to_owned(), at(host))],
    };
    let units = [unit(0, 1), unit(1, 2)];
    Pair { address: at(250), clock, faults, virtuals, units }
}

impl Pair {
    fn config(&self, interface: &str, action: AddressAction) -> GuardConfig {
        let address = GuardAddress { interface: interface.to_owned(), action, address: self.address, prefix: 32 };
        GuardConfig { addresses: vec![address], lease: LEASE }
    }

    async fn start(&self, unit: usize) -> Guard {
        self.units[unit].start(self.config("port3", AddressAction::Add)).await.unwrap()
    }

    fn hold(&self, permit: Duration, probe: bool) -> GuardOrder {
        GuardOrder::Hold { epoch: 1, until: self.clock.now() + permit, probe }
    }

    /// Who greets at the virtual address.
    fn who(&self) -> Option<String> {
        let mut stream = TcpStream::connect((self.address, port(Service::Smtp))).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut greeting = [0; 8];
        stream.read_exact(&mut greeting).ok()?;
        Some(String::from_utf8_lossy(&greeting[4..]).into_owned())
    }

    /// The one time that the address was held; over.
    fn held(&self) -> (Time, Time) {
        let held = self.virtuals.held();
        assert_eq!(held.len(), 1, "{held:?}");
        (held[0].from, held[0].to.expect("it ended"))
    }
}

async fn next(guard: &mut Guard) -> GuardReport {
    tokio::time::timeout(PATIENCE, guard.reports.recv()).await.expect("in time").expect("the guard lives")
}

/// The next report that is no renewal.
async fn end(guard: &mut Guard) -> GuardReport {
    loop {
        match next(guard).await {
            GuardReport::Held { .. } => {}
            other => return other,
        }
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_an_address_is_there_by_order_names_its_unit_and_goes_by_order() {
    let p = pair(1);
    let mut guard = p.start(0).await;
    assert_eq!(p.who(), None);
    guard.orders.send(p.hold(PATIENCE, true)).await.unwrap();
    assert!(matches!(next(&mut guard).await, GuardReport::Held { epoch: 1, .. }));
    assert_eq!(p.who().as_deref(), Some("lab1"));
    // It is renewed beyond its lease without further orders.
    let (from, mut last) = (p.clock.now(), Time::ZERO);
    while p.clock.now().since(from) < LEASE * 2 {
        let GuardReport::Held { until, .. } = next(&mut guard).await else { panic!("it went") };
        assert!(until > last, "renewed");
        last = until;
    }
    guard.orders.send(GuardOrder::Drop).await.unwrap();
    assert_eq!(end(&mut guard).await, GuardReport::Dropped);
    assert_eq!(p.who(), None, "at once");
    p.held();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_without_its_guard_the_lease_runs_out_and_not_before() {
    let p = pair(2);
    let mut guard = p.start(0).await;
    guard.orders.send(p.hold(PATIENCE, false)).await.unwrap();
    assert!(matches!(next(&mut guard).await, GuardReport::Held { .. }));
    let renewed = p.clock.now();
    drop(guard);
    assert_eq!(p.who().as_deref(), Some("lab1"), "a killed unit's address stays for a while");
    until("the lease ends", || p.virtuals.held()[0].to.is_some()).await;
    let (_, to) = p.held();
    assert!(to.since(renewed) > LEASE / 2, "it ended before its lease: {:?}", to.since(renewed));
    assert_eq!(p.who(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_permit_that_is_not_renewed_ends_the_address_before_itself() {
    let p = pair(3);
    let mut guard = p.start(0).await;
    // Shorter than what makes it certain to be gone in time: not even added.
    guard.orders.send(p.hold(Duration::from_secs(2), false)).await.unwrap();
    assert!(matches!(next(&mut guard).await, GuardReport::Failed(_)));
    let permit = p.clock.now() + Duration::from_secs(5);
    guard.orders.send(GuardOrder::Hold { epoch: 1, until: permit, probe: false }).await.unwrap();
    assert!(matches!(next(&mut guard).await, GuardReport::Held { .. }));
    assert_eq!(end(&mut guard).await, GuardReport::Lapsed);
    let (_, to) = p.held();
    assert!(to <= permit, "held {:?} past its permit", to.since(permit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_probe_finds_the_other_holder_unless_the_network_is_cut() {
    let p = pair(4);
    let (mut one, mut two) = (p.start(0).await, p.start(1).await);
    one.orders.send(p.hold(PATIENCE, true)).await.unwrap();
    assert!(matches!(next(&mut one).await, GuardReport::Held { .. }));
    two.orders.send(p.hold(PATIENCE, true)).await.unwrap();
    let GuardReport::Conflict(text) = next(&mut two).await else { panic!("no conflict") };
    assert_eq!(text.as_str(), format!("lab1 answers for {}", p.address));
    // Frozen, its kernel still answers.
    p.faults.freeze(Node::Peer(0));
    two.orders.send(p.hold(PATIENCE, true)).await.unwrap();
    assert!(matches!(next(&mut two).await, GuardReport::Conflict(_)));
    p.faults.cut(&[Node::Peer(0)], &[Node::Peer(1)]);
    two.orders.send(p.hold(PATIENCE, true)).await.unwrap();
    assert!(matches!(next(&mut two).await, GuardReport::Held { .. }));
    let open = || p.virtuals.held().into_iter().filter(|h| h.to.is_none()).count();
    assert_eq!(open(), 2, "two machines would both have it");
    one.orders.send(GuardOrder::Drop).await.unwrap();
    assert_eq!(end(&mut one).await, GuardReport::Dropped);
    assert_eq!(p.who().as_deref(), Some("lab2"));
    // The next start of a unit clears up after the one before.
    drop(two);
    let _two = p.start(1).await;
    assert_eq!(open(), 0);
    assert_eq!(p.who(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f13_a_port_that_is_down_neither_greets_nor_answers_a_probe() {
    let p = pair(5);
    let (mut one, mut two) = (p.start(0).await, p.start(1).await);
    one.orders.send(p.hold(PATIENCE, true)).await.unwrap();
    assert!(matches!(next(&mut one).await, GuardReport::Held { .. }));
    let port3 = p.units[0].ports[0].1;
    p.faults.set_down(port3, true);
    assert_eq!(p.virtuals.answers(p.address, Node::Peer(1)), None);
    let mut stream = TcpStream::connect((p.address, port(Service::Smtp))).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    assert!(stream.read_exact(&mut [0; 4]).is_err(), "nobody greets");
    p.faults.set_down(port3, false);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    two.orders.send(p.hold(PATIENCE, true)).await.unwrap();
    assert!(matches!(next(&mut two).await, GuardReport::Conflict(_)));
}

#[tokio::test]
async fn f12_what_a_lab_can_not_hold_is_refused_at_the_start() {
    let p = pair(6);
    for (interface, action, wanted) in
        [("port9", AddressAction::Add, "there is no port port9"), ("port3", AddressAction::Set, "take `add`")]
    {
        let error = p.units[0].start(p.config(interface, action)).await.err().unwrap();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let mut config = p.config("port3", AddressAction::Add);
    config.addresses[0].address = Ipv4Addr::LOCALHOST.into();
    let error = p.units[0].start(config).await.err().unwrap();
    assert!(error.to_string().contains("127.0.0.1 is no virtual address"), "{error}");
}
