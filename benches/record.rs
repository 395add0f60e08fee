//! What a recording costs: bytes, time to write, time to look at a random moment. `cargo bench --bench record`; figures go
//! to `benches/README.md`. With numbers (`-- 20 3600`): so many peers for so many seconds.
//!
//! The pictures are those of a real engine, to which each peer reports once a second with a new round trip of each link
//! (100 to 899 µs at random, which packs badly; real ones differ less). Written as the recorder does it: a frame and a
//! transaction a second, on disk.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]
#![expect(clippy::cast_precision_loss, reason = "figures for a table")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerdeck::domain::membership::{Addressing, Machine, Membership};
use peerdeck::domain::mesh::link::{Link, LinkState, Probe};
use peerdeck::domain::observation::{Health, RowDelta};
use peerdeck::domain::reach::{Endpoint, EndpointKey, PeerEvent};
use peerdeck::domain::snapshot::Limits;
use peerdeck::domain::{BootId, Fact, Observation, PeerId, Row, Time};
use peerdeck::engine::{ClusterConfig, Config, Engine, Event};
use peerdeck::record::ring::Ring;
use peerdeck::record::{Bounds, Reader, Target};

const START: Time = Time::from_millis(1_795_000_000_000);

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    println!("| peers | recorded | MiB an hour | ms a second of recording | mean and longest ms to a random moment |");
    println!("|---|---|---|---|---|");
    if let [peers, seconds] = numbers[..] {
        measure(peers, seconds);
    } else {
        measure(20, 86_400);
        measure(200, 600);
    }
}

fn measure(peers: usize, seconds: usize) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ring");
    let bounds = Bounds { keep: Duration::from_hours(48), bytes: 16 << 30 };
    let target = Target::Ring { folder: folder.clone(), bounds };
    let mut ring = Ring::open(&target, &[7; 32]).unwrap();
    let mut engine = engine(peers, START);
    let mut random = Lcg(1);
    let mut writing = Duration::ZERO;
    let mut now = START;
    for _ in 0..seconds {
        for i in 0..peers {
            now = now + Duration::from_micros(1_000_000 / peers as u64);
            engine.step(now, report(i, peers, now, &mut random));
        }
        now = Time::from_millis(now.as_millis().next_multiple_of(1000));
        engine.step(now, Event::Tick);
        let snapshot = engine.snapshot(now);
        let began = Instant::now();
        ring.add(&snapshot).unwrap();
        ring.commit().unwrap();
        writing += began.elapsed();
    }
    ring.close().unwrap();
    let bytes: u64 = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    let mut reader = Reader::open(&folder).unwrap();
    let (from, until) = reader.span().unwrap();
    let (mut all, mut longest) = (Duration::ZERO, Duration::ZERO);
    let seeks = 100;
    for _ in 0..seeks {
        let at = from + Duration::from_millis(random.next() % proto_ms(until.since(from)).max(1));
        let began = Instant::now();
        reader.at(at).unwrap();
        all += began.elapsed();
        longest = longest.max(began.elapsed());
    }
    let ms = |d: Duration| d.as_secs_f64() * 1000.0;
    println!(
        "| {peers} | {:.1} h | {:.1} | {:.2} | {:.1}, {:.1} |",
        seconds as f64 / 3600.0,
        bytes as f64 / 1_048_576.0 / (seconds as f64 / 3600.0),
        ms(writing) / seconds as f64,
        ms(all) / f64::from(seeks),
        ms(longest)
    );
}

fn proto_ms(span: Duration) -> u64 {
    peerdeck::domain::time::millis(span)
}

fn name(i: usize) -> String {
    format!("564D{i:08X}-BENCH")
}

fn key(i: usize) -> EndpointKey {
    EndpointKey { cluster: "americas".into(), host: format!("gw{i}.example.com").as_str().into(), port: 22 }
}

fn observed(i: usize, at: Time, facts: Vec<Fact>) -> Event {
    let observer = PeerId::new(&name(i));
    let facts = facts.into_iter().map(|fact| Observation { at, observer: observer.clone(), fact }).collect();
    Event::Peer { key: key(i), event: PeerEvent::Observed(facts) }
}

fn row(i: usize, n: usize, at: Time) -> Row {
    let link = |j: usize| {
        let mut link = Link::connecting(PeerId::new(&name(j)), at);
        link.state = LinkState::Connected;
        link.rtt = Some(Duration::from_micros(600));
        link.heard = Some(at);
        link.probe = Probe::Heard;
        link.address = format!("127.88.{}.{}:22", j / 250, j % 250 + 1).parse().ok();
        Arc::new(link)
    };
    Row {
        origin: PeerId::new(&name(i)),
        boot: BootId(1),
        seq: 1,
        vouched: at,
        via: None,
        detached: None,
        maintenance: None,
        level: 1,
        links: (0..n).filter(|j| *j != i).map(link).collect(),
    }
}

/// An engine that all `n` peers have reported to.
fn engine(n: usize, now: Time) -> Engine {
    let endpoint = |i| Endpoint { key: key(i), expected: None, address: None, vouched_host_key: None };
    let config = ClusterConfig {
        name: "americas".into(),
        endpoints: (0..n).map(endpoint).collect(),
        discover: false,
        limits: Limits::default(),
        catalogue: peerdeck::proto::features::built_in(),
    };
    let (mut engine, _) = Engine::new(Config { clusters: vec![config] }, now);
    let groups = ["north", "south", "west"];
    let machine = |i: usize| {
        Arc::new(Machine {
            id: PeerId::new(&name(i)),
            host: key(i).host,
            group: groups[i % 3].into(),
            address: key(i).host,
            port: 22,
            machine_key: "ssh-ed25519 AAAA".into(),
            host_key: "ssh-ed25519 BBBB".into(),
        })
    };
    let membership = Arc::new(Membership {
        cluster_id: "c".into(),
        name: "americas".into(),
        revision: 1,
        addressing: Addressing::HostName,
        groups: groups.iter().map(|g| (*g).into()).collect(),
        machines: (0..n).map(machine).collect(),
    });
    for i in 0..n {
        let id = PeerId::new(&name(i));
        let connected = PeerEvent::Connected { address: None, took: Duration::ZERO, id };
        engine.step(now, Event::Peer { key: key(i), event: connected });
        let facts = vec![Fact::Membership(Arc::clone(&membership)), Fact::Row(Arc::new(row(i, n, now)))];
        engine.step(now, observed(i, now, facts));
    }
    engine
}

fn report(i: usize, n: usize, at: Time, random: &mut Lcg) -> Event {
    let delta = RowDelta {
        seq: 1,
        detached: None,
        maintenance: None,
        level: 1,
        changed: Vec::new(),
        removed: Vec::new(),
        pings: (1..n).map(|_| Some(Some(Duration::from_micros(100 + random.next() % 800)))).collect(),
    };
    let health = Health { clock_offset_ms: (random.next() % 3).cast_signed(), ..Health::default() };
    observed(i, at, vec![Fact::RowDelta(delta), Fact::Health(health)])
}

/// Numbers that vary, the same in each run.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}
