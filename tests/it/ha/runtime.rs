//! Real units over real datagrams on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use peerdeck::daemon::disk::DiskFault;
use peerdeck::daemon::ha::keep;
use peerdeck::daemon::ha::wire::{Sealer, Via};
use peerdeck::daemon::ha::{
    Addresses, Guard, GuardConfig, GuardOrder, GuardReport, HaSetup, HaWorld, Keys, Secret, Secrets,
};
use peerdeck::daemon::{self, Setup};
use peerdeck::domain::ha::config::{AddressConfig, LinkConfig};
use peerdeck::domain::ha::{
    AddressAction, Configured, Effective, HaConfig, HaStatus, LinkName, OnFailure, SplitBrain, WitnessConfig,
    WitnessMode,
};
use peerdeck::domain::ids::{BootId, HaName};
use peerdeck::domain::{Line, PeerId};
use peerdeck::proto::beat::{Beat, DATAGRAM_MAX, Envelope, MAC, Message};
use peerdeck::ssh::net::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::daemon::real::{PATIENCE, Place};

const PORT: u16 = 20_000;
const GROUP: &str = "gw";
const PASSWORD: &str = "correct horse battery";

/// Longer than any of these tests: with it, nobody takes over because of silence.
const NEVER: Duration = Duration::from_hours(1);

/// Silence that counts, where it shall: many intervals, as other tests run at the same time.
const SOON: Duration = Duration::from_millis(800);

/// Loopback addresses that no other test has.
struct Net([u8; 3]);

impl Net {
    fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        Self([1 + high % 120, low, NEXT.fetch_add(1, Ordering::Relaxed)])
    }

    fn at(&self, n: u8) -> IpAddr {
        let [b, c, d] = self.0;
        // Four of each test: units, witness, a stranger.
        Ipv4Addr::new(127, b, c, d * 4 + n).into()
    }
}

fn config(net: &Net, me: u8, threshold: Duration) -> HaConfig {
    let other = 1 - me;
    HaConfig {
        group: HaName::new(GROUP),
        configured: if me == 0 { Configured::Primary } else { Configured::Secondary },
        on_failure: OnFailure::BecomeSecondary,
        base_port: PORT,
        interval: Duration::from_millis(50),
        threshold,
        services_as_heartbeat: false,
        split_brain: SplitBrain::Resolve,
        witness: WitnessMode::Off,
        witness_at: Vec::new(),
        lease: Duration::from_secs(1),
        hold_off: Duration::from_mins(5),
        quiet: Duration::from_secs(1),
        links: vec![LinkConfig {
            name: LinkName::Primary,
            interface: String::new(),
            local: net.at(me),
            peer: net.at(other),
        }],
        monitored_ports: Vec::new(),
        addresses: Vec::new(),
        monitors: Vec::new(),
        references: Vec::new(),
        hook: Vec::new(),
        hook_limit: Duration::from_secs(30),
    }
}

fn secrets(word: &str) -> Secrets {
    Secrets(vec![Secret::MadeUp(word.to_owned())])
}

fn unit(setup: &mut Setup, config: HaConfig) {
    setup.ha = HaSetup { unit: Some((config, secrets(PASSWORD))), ..HaSetup::default() };
}

/// Two units that are not started.
fn pair(threshold: Duration) -> (Place, Net) {
    let (mut place, net) = (Place::prepare(2), Net::new());
    for me in 0..2 {
        unit(&mut place.setups[usize::from(me)], config(&net, me, threshold));
    }
    (place, net)
}

async fn until(place: &Place, i: usize, what: &str, enough: impl Fn(&HaStatus) -> bool) -> Arc<HaStatus> {
    let mut status = place.peer(i).ha().expect("a unit");
    let found = timeout(PATIENCE, status.wait_for(|s| enough(s))).await.map(|s| s.unwrap().clone());
    found.unwrap_or_else(|_| panic!("unit {i} is never {what}: {:?}", status.borrow()))
}

fn is(role: Effective) -> impl Fn(&HaStatus) -> bool {
    move |s| s.effective == role
}

async fn started(threshold: Duration) -> (Place, Net) {
    let (mut place, net) = pair(threshold);
    place.start_one(0).await;
    place.start_one(1).await;
    until(&place, 0, "primary", is(Effective::Primary)).await;
    until(&place, 1, "secondary", is(Effective::Secondary)).await;
    (place, net)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_a_killed_primary_is_followed_by_the_secondary() {
    let (mut place, _net) = pair(SOON);
    // As `peerdeck peer` runs it; the other as a lab does.
    place.setups[1].ha.own_thread = true;
    place.start_one(0).await;
    place.start_one(1).await;
    let before = until(&place, 0, "primary", is(Effective::Primary)).await;
    until(&place, 1, "secondary", |s| s.effective == Effective::Secondary && s.epoch >= before.epoch).await;
    place.peers[0].take().unwrap().kill();
    let after = until(&place, 1, "primary", is(Effective::Primary)).await;
    assert!(after.epoch > before.epoch, "{} after {}", after.epoch, before.epoch);
    // It comes back as what it may be: the other holds a later epoch.
    place.start_one(0).await;
    let back = until(&place, 0, "secondary", is(Effective::Secondary)).await;
    assert_eq!(back.configured, Configured::Primary);
}

/// Nobody waits for silence here: it would take an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_a_stopped_primary_hands_over_before_it_ends() {
    let (mut place, _net) = started(NEVER).await;
    place.peers[0].take().unwrap().stop().await;
    let after = until(&place, 1, "primary", is(Effective::Primary)).await;
    assert!(!after.changes.is_empty() && after.changes.iter().all(|c| !c.reason.as_str().is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_a_unit_with_another_password_is_a_stranger_to_both() {
    let (mut place, net) = started(NEVER).await;
    let before = until(&place, 0, "primary", is(Effective::Primary)).await;
    place.peers[1].take().unwrap().kill();
    place.setups[1].ha.unit = Some((config(&net, 1, NEVER), secrets("wrong horse battery")));
    place.start_one(1).await;
    let told = |s: &HaStatus| {
        s.strangers >= 3 && s.last_stranger.as_ref().is_some_and(|(l, _)| l.as_str().contains("another password"))
    };
    let second = until(&place, 1, "told of strangers", told).await;
    let first = until(&place, 0, "told of strangers", told).await;
    assert_eq!((first.effective, first.epoch), (Effective::Primary, before.epoch));
    assert_ne!(second.effective, Effective::Primary);
    assert_eq!((first.replays, second.replays), (0, 0));
}

/// A fellow that this test plays.
struct Played {
    socket: UdpSocket,
    keys: Keys,
    sealer: Sealer,
    to: SocketAddr,
}

impl Played {
    async fn new(net: &Net) -> Self {
        let keys = tokio::task::spawn_blocking(|| Keys::derive(&HaName::new(GROUP), &secrets(PASSWORD)).unwrap());
        Self {
            socket: UdpSocket::bind((net.at(1), PORT)).await.unwrap(),
            keys: keys.await.unwrap(),
            sealer: Sealer::new(HaName::new(GROUP), PeerId::new("PLAYED"), BootId(7)),
            to: (net.at(0), PORT).into(),
        }
    }

    fn beat(&mut self) -> Vec<u8> {
        let beat = Beat {
            configured: "secondary".into(),
            effective: "secondary".into(),
            interval: 50,
            threshold: 3_600_000,
            level: 1,
            ..Beat::default()
        };
        self.sealer.seal(&self.keys, Via::Link(LinkName::Primary), Message::Beat(beat)).unwrap()
    }

    async fn say(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.to).await.unwrap();
    }

    async fn hear(&self) -> Envelope {
        let mut buffer = [0; DATAGRAM_MAX];
        let n = timeout(PATIENCE, self.socket.recv(&mut buffer)).await.unwrap().unwrap();
        let (mac, text) = buffer[..n].split_at(MAC);
        let envelope: Envelope = serde_json::from_slice(text).unwrap();
        assert!(self.keys.verify(&envelope.key, text, mac));
        envelope
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_replays_and_forgeries_are_counted_and_change_nothing() {
    let (mut place, net) = pair(NEVER);
    let mut other = Played::new(&net).await;
    place.start_one(0).await;
    let first = other.beat();
    other.say(&first).await;
    until(&place, 0, "told of its fellow", |s| s.heartbeats.iter().any(|h| h.heard.is_some())).await;
    for n in 1..=3 {
        other.say(&first).await;
        until(&place, 0, "told of a replay", |s| s.replays == n).await;
    }
    let mut forged = other.beat();
    forged[MAC + 20] ^= 1;
    other.say(&forged).await;
    let status = until(&place, 0, "told of a stranger", |s| s.strangers == 1).await;
    assert_eq!(status.replays, 3);
    // An authentic datagram that came from elsewhere is none of this link.
    let elsewhere = UdpSocket::bind((net.at(3), 0)).await.unwrap();
    let beat = other.beat();
    elsewhere.send_to(&beat, other.to).await.unwrap();
    until(&place, 0, "told of another stranger", |s| s.strangers == 2).await;
    // It used no number up: over its own link it is welcome.
    other.say(&beat).await;
    other.say(&beat).await;
    let status = until(&place, 0, "told of a replay", |s| s.replays == 4).await;
    assert_eq!(status.strangers, 2);
}

fn epoch_on_disk(state_dir: &Path) -> u64 {
    keep::read(state_dir).unwrap().epoch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_an_epoch_is_on_disk_before_the_first_beat_that_bears_it() {
    let (mut place, net) = pair(SOON);
    let other = Played::new(&net).await;
    let dir = place.setups[0].state_dir.clone();
    place.start_one(0).await;
    loop {
        let Message::Beat(beat) = other.hear().await.message else { continue };
        assert!(epoch_on_disk(&dir) >= beat.epoch, "epoch {} is told and not on disk", beat.epoch);
        if beat.effective == "primary" {
            assert!(beat.epoch > 0);
            break;
        }
    }
    until(&place, 0, "primary", is(Effective::Primary)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_unit_whose_disk_takes_no_epoch_does_not_become_primary() {
    // Time enough to spoil the disk after the start, which needs it.
    let (mut place, net) = pair(4 * SOON);
    let other = Played::new(&net).await;
    let (fault, disk) = watch::channel(DiskFault::Ok);
    let environment = daemon::Environment { disk, ..place.environment(0) };
    place.peers[0] = Some(daemon::start(place.setups[0].clone(), environment).await.unwrap());
    fault.send(DiskFault::ReadOnly).unwrap();
    let status = place.peer(0).ha().unwrap();
    let is_told = || status.borrow().troubles.iter().any(|t| t.as_str().contains("read-only"));
    let begin = tokio::time::Instant::now();
    while !is_told() {
        assert!(begin.elapsed() < PATIENCE, "{:?}", status.borrow());
        if let Message::Beat(beat) = other.hear().await.message {
            assert_ne!(beat.effective, "primary");
            assert_eq!(beat.epoch, 0);
        }
    }
    fault.send(DiskFault::Ok).unwrap();
    until(&place, 0, "primary", is(Effective::Primary)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_a_hook_that_hangs_is_killed_and_told_and_delays_nothing() {
    let (mut place, net) = pair(SOON);
    let file = place.dir.path().join("called");
    let script = format!(
        "echo \"$PEERDECK_ROLE $PEERDECK_OLD_ROLE $PEERDECK_EPOCH $PEERDECK_GROUP\" >> '{}'\n\
         echo \"reason: $PEERDECK_REASON\"\n[ \"$PEERDECK_ROLE\" != primary ] || sleep 3600",
        file.display()
    );
    let mut config = config(&net, 0, SOON);
    config.hook = vec!["/bin/sh".into(), "-c".into(), script];
    config.hook_limit = Duration::from_millis(500);
    unit(&mut place.setups[0], config);
    place.start_one(0).await;
    let late = |s: &HaStatus| s.hook_trouble.as_ref().is_some_and(|l| l.as_str().contains("longer than 500ms"));
    let status = until(&place, 0, "told of its hook", late).await;
    assert_eq!(status.effective, Effective::Primary);
    let called = std::fs::read_to_string(&file).unwrap();
    let line = called.lines().find(|l| l.starts_with("primary ")).unwrap();
    assert!(line.ends_with(&format!(" {} {GROUP}", status.epoch)), "{called}");
    let words = status.hook_trouble.as_ref().unwrap().to_string();
    assert!(words.contains("it said: reason: "), "{words}");
}

/// Carries a command out over the subsystem `peerdeck`: whether it was accepted, and what was said.
async fn act(place: &Place, i: usize, act: &str, basis: Value) -> (bool, String) {
    let session = place.login(i).await;
    let stream = session.subsystem("peerdeck").await.unwrap();
    let (reader, mut writer) = tokio::io::split(stream);
    let peer = place.peer(i).identity().to_string();
    let params = json!({"command": "ha", "peer": peer, "reason": "a test", "act": act, "basis": basis});
    let request = json!({"jsonrpc": "2.0", "id": 7, "method": "execute", "params": params});
    writer.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    writer.flush().await.unwrap();
    let mut lines = BufReader::new(reader).lines();
    loop {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        if answer["id"] == json!(7) {
            return (answer.get("result").is_some(), answer.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_a_person_moves_the_role_over_the_subsystem() {
    let (place, _net) = started(NEVER).await;
    let before = until(&place, 0, "primary", is(Effective::Primary)).await;
    let (is_taken, words) = act(&place, 0, "switchover", json!({"ha": ["primary", before.epoch + 7]})).await;
    assert!(!is_taken, "it was decided on another epoch: {words}");
    let basis = json!({"ha": ["primary", before.epoch]});
    // Configurations are in step a moment after the start; until then a switchover is refused.
    let begin = tokio::time::Instant::now();
    loop {
        let (is_taken, words) = act(&place, 0, "switchover", basis.clone()).await;
        if is_taken {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{words}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = until(&place, 1, "primary", is(Effective::Primary)).await;
    assert_eq!(after.epoch, before.epoch + 1);
    until(&place, 0, "secondary", is(Effective::Secondary)).await;
    // What the core has to say stands in the log that operators see.
    let (log, _) = place.exec(1, "status").await;
    assert!(!log.is_empty());
}

/// Holds what it is told to, in memory.
struct Fake;

impl Addresses for Fake {
    fn start(&self, config: GuardConfig) -> BoxFuture<'_, std::io::Result<Guard>> {
        assert_eq!(config.addresses.len(), 1);
        Box::pin(async {
            let ((orders, mut ordered), (report, reports)) = (mpsc::channel(1), mpsc::channel(64));
            tokio::spawn(async move {
                while let Some(order) = ordered.recv().await {
                    let answer = match order {
                        GuardOrder::Hold { epoch, until, .. } => GuardReport::Held { epoch, until },
                        GuardOrder::Drop => GuardReport::Dropped,
                    };
                    if report.send(answer).await.is_err() {
                        return;
                    }
                }
            });
            Ok(Guard { orders, reports })
        })
    }
}

fn with_address(net: &Net, me: u8) -> HaConfig {
    let mut config = config(net, me, SOON);
    config.witness = WitnessMode::Require;
    config.witness_at = vec![SocketAddr::new(net.at(2), PORT)];
    config.addresses = vec![AddressConfig {
        interface: "none".into(),
        action: AddressAction::Add,
        address: "192.0.2.10".parse().unwrap(),
        prefix: 24,
    }];
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_with_a_witness_the_address_moves_by_two_of_three_votes() {
    let (mut place, net) = (Place::prepare(3), Net::new());
    for me in 0..2_u8 {
        unit(&mut place.setups[usize::from(me)], with_address(&net, me));
    }
    let witness = WitnessConfig {
        group: HaName::new(GROUP),
        base_port: PORT,
        local: vec![net.at(2)],
        lease: Duration::from_secs(1),
        units: Vec::new(),
    };
    // It is a unit of another group on the same port and address: they share a socket.
    let mut edge = config(&net, 1, NEVER);
    edge.group = HaName::new("edge");
    edge.configured = Configured::ConfigPrimary;
    edge.links =
        vec![LinkConfig { name: LinkName::Primary, interface: String::new(), local: net.at(2), peer: net.at(3) }];
    place.setups[2].ha = HaSetup {
        unit: Some((edge, secrets("another password"))),
        witness: vec![(witness, secrets(PASSWORD))],
        own_thread: true,
    };
    for i in 0..3 {
        let ha = HaWorld { addresses: Arc::new(Fake), senses: HaWorld::none().senses };
        let environment = daemon::Environment { ha, ..place.environment(i) };
        place.peers[i] = Some(daemon::start(place.setups[i].clone(), environment).await.unwrap());
    }
    let held = |s: &HaStatus| s.effective == Effective::Primary && s.holds() && s.permit.votes >= 2;
    let before = until(&place, 0, "holder by votes", held).await;
    assert!(before.permit.witness_heard.is_some());
    until(&place, 1, "secondary", is(Effective::Secondary)).await;
    place.peers[0].take().unwrap().kill();
    let after = until(&place, 1, "holder by votes", held).await;
    assert!(after.epoch > before.epoch, "{before:?}\n{after:?}");
    let edge = place.peer(2).ha().unwrap();
    assert_eq!((edge.borrow().strangers, edge.borrow().effective), (0, Effective::ConfigPrimary));
    // Without the witness as well, the one vote that is left is not enough.
    place.peers[2].take().unwrap().kill();
    until(&place, 1, "without the address", |s| !s.holds()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_what_can_not_work_is_told_at_the_start() {
    let (mut place, net) = pair(SOON);
    let refused = async |place: &Place| match daemon::start(place.setups[0].clone(), place.environment(0)).await {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    };
    unit(&mut place.setups[0], with_address(&net, 0));
    for own_thread in [false, true] {
        place.setups[0].ha.own_thread = own_thread;
        let words = refused(&place).await;
        assert!(words.contains("CAP_NET_ADMIN") && words.contains(GROUP), "{words}");
    }
    unit(&mut place.setups[0], config(&net, 0, Duration::from_millis(100)));
    let words = refused(&place).await;
    assert!(words.contains("hb-lost-threshold"), "{words}");
    unit(&mut place.setups[0], config(&net, 0, SOON));
    place.setups[0].ha.unit.as_mut().unwrap().1 = secrets("short");
    let words = refused(&place).await;
    assert!(words.contains("shorter than") && !words.contains("short."), "{words}");
    unit(&mut place.setups[0], config(&net, 0, SOON));
    let taken = UdpSocket::bind((net.at(0), PORT)).await.unwrap();
    let words = refused(&place).await;
    assert!(words.contains("local-ip") && words.contains(&net.at(0).to_string()), "{words}");
    drop(taken);
    std::fs::write(place.setups[0].state_dir.join(keep::FILE), "{").unwrap();
    let words = refused(&place).await;
    assert!(words.contains(keep::FILE), "{words}");
    // Whatever it was: nothing of it is left over.
    std::fs::remove_file(place.setups[0].state_dir.join(keep::FILE)).unwrap();
    place.start_one(0).await;
    until(&place, 0, "primary", is(Effective::Primary)).await;
    assert_eq!(Line::new(GROUP).as_str(), place.peer(0).ha().unwrap().borrow().group.as_str());
}

/// The units for systemd, with this build in the place of the installed one.
#[test]
#[ignore = "needs systemd"]
fn the_services_are_what_systemd_takes() {
    for name in ["peerdeck-peer.service", "peerdeck-watch.service"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)).unwrap();
        let text = text.replace("/usr/bin/peerdeck", env!("CARGO_BIN_EXE_peerdeck"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        // Who does not exist here is no mistake of the file.
        std::fs::write(&file, text.replace("User=peerdeck", "User=root").replace("Group=peerdeck", "Group=root"))
            .unwrap();
        let output =
            std::process::Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert!(!said.contains(name), "{name}: {said}");
    }
}
