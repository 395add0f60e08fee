//! What one report and one verdict cost, at 20 and at 200 peers: `cargo bench --bench engine`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use peerdeck::domain::membership::{Addressing, Machine, Membership};
use peerdeck::domain::mesh::link::{Cause, Link, LinkState, Probe};
use peerdeck::domain::mesh::verdict::explain;
use peerdeck::domain::observation::{Health, RowDelta};
use peerdeck::domain::reach::{Endpoint, EndpointKey, PeerEvent};
use peerdeck::domain::snapshot::{Limits, Snapshot};
use peerdeck::domain::{BootId, Fact, Observation, PeerId, Row, Time};
use peerdeck::engine::{ClusterConfig, Config, Engine, Event};

const SIZES: [usize; 2] = [20, 200];

fn name(i: usize) -> String {
    format!("lab{i}")
}

fn key(i: usize) -> EndpointKey {
    EndpointKey { cluster: "americas".into(), host: format!("{}.example.com", name(i)).as_str().into(), port: 22 }
}

fn observed(i: usize, at: Time, facts: Vec<Fact>) -> Event {
    let observer = PeerId::new(&name(i));
    let facts = facts.into_iter().map(|fact| Observation { at, observer: observer.clone(), fact }).collect();
    Event::Peer { key: key(i), event: PeerEvent::Observed(facts) }
}

fn row(i: usize, n: usize, at: Time, state: Cells<'_>) -> Row {
    let mut links: Vec<Arc<Link>> = (0..n)
        .filter(|j| *j != i)
        .map(|j| {
            let mut link = Link::connecting(PeerId::new(&name(j)), at);
            (link.state, link.cause) = state(i, j);
            link.rtt = Some(Duration::from_micros(600));
            link.probe = Probe::Heard;
            Arc::new(link)
        })
        .collect();
    links.sort_by(|a, b| a.to.cmp(&b.to));
    Row {
        origin: PeerId::new(&name(i)),
        boot: BootId(1),
        seq: 1,
        vouched: at,
        via: None,
        detached: None,
        maintenance: None,
        level: 1,
        links,
    }
}

/// An engine that all `n` peers have reported to.
fn engine(n: usize, now: Time, state: Cells<'_>) -> Engine {
    let endpoint = |i| Endpoint { key: key(i), expected: None, address: None, vouched_host_key: None };
    let config = ClusterConfig {
        name: "americas".into(),
        endpoints: (0..n).map(endpoint).collect(),
        discover: false,
        limits: Limits::default(),
        catalogue: Arc::default(),
    };
    let (mut engine, _) = Engine::new(Config { clusters: vec![config] }, now);
    let groups = ["Main_Group", "Paris", "Rome"];
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
        let facts = vec![Fact::Membership(Arc::clone(&membership)), Fact::Row(Arc::new(row(i, n, now, state)))];
        engine.step(now, observed(i, now, facts));
    }
    engine.step(now, Event::Tick);
    engine
}

fn all_up(_: usize, _: usize) -> (LinkState, Option<Cause>) {
    (LinkState::Connected, None)
}

/// A report as it comes each second: a ping of each link, nothing else.
fn quiet_report(i: usize, n: usize, at: Time) -> Event {
    let delta = RowDelta {
        seq: 1,
        detached: None,
        maintenance: None,
        level: 1,
        changed: Vec::new(),
        removed: Vec::new(),
        pings: vec![Some(Some(Duration::from_micros(640))); n - 1],
    };
    observed(i, at, vec![Fact::RowDelta(delta), Fact::Health(Health::default())])
}

fn reports(c: &mut Criterion) {
    let mut group = c.benchmark_group("one report, picture shared out before");
    for n in SIZES {
        let now = Time::from_millis(1_000_000_000);
        let mut engine = engine(n, now, &all_up);
        let mut i = 0;
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            b.iter(|| {
                i = (i + 1) % n;
                let snapshot: Arc<Snapshot> = engine.snapshot(now);
                black_box(engine.step(now, quiet_report(i, n, now)));
                snapshot
            });
        });
    }
    group.finish();
}

fn one_second(c: &mut Criterion) {
    let mut group = c.benchmark_group("one second: a report of each peer, 33 pictures, 4 ticks");
    group.sample_size(20);
    for n in SIZES {
        let mut now = Time::from_millis(1_000_000_000);
        let mut engine = engine(n, now, &all_up);
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            b.iter(|| {
                now = now + Duration::from_secs(1);
                for i in 0..n {
                    black_box(engine.step(now, quiet_report(i, n, now)));
                    if i % (n / 33).max(1) == 0 {
                        black_box(engine.snapshot(now));
                    }
                    if i % (n / 4) == 0 {
                        black_box(engine.step(now, Event::Tick));
                    }
                }
            });
        });
    }
    group.finish();
}

/// What a peer says about another, by their numbers.
type Cells<'a> = &'a dyn Fn(usize, usize) -> (LinkState, Option<Cause>);

fn verdicts(c: &mut Criterion) {
    let mut group = c.benchmark_group("verdict");
    let down = (LinkState::Down, Some(Cause::Timeout));
    let up = (LinkState::Connected, None);
    for n in SIZES {
        let now = Time::from_millis(1_000_000_000);
        let cases: [(&str, Cells<'_>); 4] = [
            ("all well", &all_up),
            ("one link", &|i, j| if i + j == 1 { down } else { up }),
            ("two groups cut", &|i, j| if i % 3 + j % 3 == 1 { down } else { up }),
            ("every fifth link", &|i, j| if (i + j) % 5 == 0 { down } else { up }),
        ];
        for (what, state) in cases {
            let mut engine = engine(n, now, state);
            let snapshot = engine.snapshot(now);
            group.bench_function(BenchmarkId::new(what, n), |b| {
                b.iter(|| black_box(explain(&snapshot.clusters[0], now)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, reports, one_second, verdicts);
criterion_main!(benches);
