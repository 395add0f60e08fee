//! Properties of the domain and of the wire form.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::membership::{Addressing, Membership, natural};
use peerdeck::domain::mesh::link::{Cause, DnsCheck, DnsResult, Link, LinkState, Probe};
use peerdeck::domain::mesh::pulse::{Beat, PULSE_LEN, Pulse};
use peerdeck::domain::mesh::route::{Edges, Route, routes};
use peerdeck::domain::mesh::verdict::Verdict;
use peerdeck::domain::observation::{Fact, Observation};
use peerdeck::domain::reach::PeerEvent;
use peerdeck::domain::snapshot::{Limits, Snapshot};
use peerdeck::domain::text::{LINE_MAX, NAME_MAX, clean};
use peerdeck::domain::{BootId, FindingKind, HostName, Line, PeerId, Row, Time};
use peerdeck::engine::{ClusterConfig, Config, Engine, Event};
use peerdeck::proto::membership::WireMembership;
use peerdeck::proto::observe::{Report, WireDelta, WireEvent, WireIdentity, WireLink, WireRow, WireSession};
use peerdeck::proto::{ClockMap, ProtoError, VERSION, read, write};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::engine::world::{endpoint, machine};

// Text

/// Text as a hostile peer would send it.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        "[a-z0-9.-]{1,20}",
        Just("\u{1b}[2J".to_owned()),
        Just("\u{1b}]0;title\u{7}".to_owned()),
        Just("\u{1b}]8;;http://x\u{1b}\\".to_owned()),
        Just("\u{9b}31m".to_owned()),
        Just("\u{202e}evil\u{2066}".to_owned()),
        Just("\u{200b}\u{feff}\u{e0041}".to_owned()),
        Just("\r\n\t \u{85}\u{a0}".to_owned()),
        Just("x".repeat(700)),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|v| v.concat())
}

proptest! {
    /// Plain names take a shorter way to the same text.
    #[test]
    fn lines_and_names_are_clean_text(raw in prop_oneof![hostile(), "[ -~]{0,20}", "[a-c ]{390,410}", "[a-c ]{245,260}"]) {
        let line = Line::new(&raw);
        prop_assert_eq!(line.as_str(), clean(&raw, LINE_MAX));
        let host = HostName::new(&raw);
        prop_assert_eq!(host.as_str(), clean(&raw, NAME_MAX));
    }

    #[test]
    fn clean_text_is_bounded_idempotent_and_can_steer_nothing(raw in hostile(), max in 0usize..500) {
        let once = clean(&raw, max);
        prop_assert!(once.chars().count() <= max);
        prop_assert_eq!(&clean(&once, max), &once, "cleaning twice changes nothing");
        let bad = |c: char| c.is_control()
            || ('\u{200b}'..='\u{200f}').contains(&c) || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c) || c == '\u{feff}';
        prop_assert!(!once.chars().any(bad), "{once:?}");
        prop_assert!(!once.starts_with(' ') && !once.ends_with(' '));
        prop_assert!(Line::new(&raw).as_str().chars().count() <= LINE_MAX);
        prop_assert!(HostName::new(&raw).as_str().chars().count() <= NAME_MAX);
    }

    #[test]
    fn natural_order_is_total(a in "[ab0-9.-]{0,6}", b in "[ab0-9.-]{0,6}", c in "[ab0-9.-]{0,6}") {
        prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
        prop_assert_eq!(natural(&a, &b).is_eq(), a == b, "only equal names are equal");
        let mut sorted = [a.as_str(), b.as_str(), c.as_str()];
        sorted.sort_by(|x, y| natural(x, y));
        prop_assert!(natural(sorted[0], sorted[1]).is_le() && natural(sorted[1], sorted[2]).is_le());
        prop_assert!(natural(sorted[0], sorted[2]).is_le(), "transitive");
    }

    #[test]
    fn numbers_in_names_count_as_numbers(m in 0u64..10_000, n in 0u64..10_000) {
        prop_assert_eq!(natural(&format!("lab{m}.x"), &format!("lab{n}.x")), m.cmp(&n));
    }

    #[test]
    fn a_pulse_keeps_round_trips_to_within_ten_percent(us in 10u64..60_000_000) {
        let mut pulse = Pulse::default();
        pulse.push(Some(Duration::from_micros(us)));
        let Some(Beat::Answered(kept)) = pulse.beats().last() else { panic!("no beat") };
        let kept = kept.as_secs_f64() * 1e6;
        let real = Duration::from_micros(us).as_secs_f64() * 1e6;
        prop_assert!((kept - real).abs() <= real * 0.1, "{us} became {kept}");
    }

    #[test]
    fn a_pulse_keeps_the_newest_in_order(pings in proptest::collection::vec(any::<Option<u32>>(), 0..40)) {
        let mut pulse = Pulse::default();
        for ping in &pings {
            pulse.push(ping.map(|us| Duration::from_micros(u64::from(us))));
        }
        let lost: Vec<bool> = pulse.beats().filter(|b| *b != Beat::None).map(|b| b == Beat::Lost).collect();
        let expected: Vec<bool> = pings.iter().map(Option::is_none).collect();
        prop_assert_eq!(pulse.beats().count(), PULSE_LEN);
        prop_assert_eq!(lost, expected[expected.len().saturating_sub(PULSE_LEN)..].to_vec());
    }
}

// Routes

fn id(n: usize) -> PeerId {
    PeerId::new(&format!("S{n}"))
}

fn edges_of(list: &[(usize, usize, u64)]) -> Edges {
    let mut edges = Edges::new();
    for (a, b, us) in list {
        edges.entry(id(*a)).or_default().push((id(*b), Duration::from_micros(*us)));
    }
    edges
}

/// Hops from 0, by plain breadth-first search.
fn hops(list: &[(usize, usize, u64)], n: usize) -> BTreeMap<PeerId, usize> {
    let mut distance = BTreeMap::from([(id(0), 0)]);
    let mut queue = VecDeque::from([0]);
    while let Some(at) = queue.pop_front() {
        let here = distance[&id(at)];
        for to in (0..n).filter(|to| list.iter().any(|(a, b, _)| (*a, *b) == (at, *to))) {
            distance.entry(id(to)).or_insert_with(|| {
                queue.push_back(to);
                here + 1
            });
        }
    }
    distance
}

proptest! {
    #[test]
    fn c18_routes_are_valid_shortest_and_the_same_for_any_order_of_links(
        list in proptest::collection::btree_map((0usize..8, 0usize..8), 1u64..5_000, 0..30),
        seed in any::<u64>(),
    ) {
        let list: Vec<(usize, usize, u64)> = list.into_iter().map(|((a, b), us)| (a, b, us)).collect();
        let found = routes(&id(0), &edges_of(&list));
        let mut shuffled = list.clone();
        shuffled.sort_by_key(|(a, b, us)| (seed ^ ((a * 31 + b * 7) as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ us);
        prop_assert_eq!(&found, &routes(&id(0), &edges_of(&shuffled)));
        let distance = hops(&list, 8);
        prop_assert_eq!(found.len(), distance.len() - 1, "every reachable peer, and no other, has a route");
        let cost = |a: &PeerId, b: &PeerId| list.iter().find(|(x, y, _)| (id(*x), id(*y)) == (a.clone(), b.clone())).map(|l| l.2);
        for (to, route) in &found {
            let via = match route {
                Route::Direct => Vec::new(),
                Route::Relayed { via, .. } => via.clone(),
                Route::None => panic!("a route to nowhere"),
            };
            prop_assert_eq!(via.len() + 1, distance[to], "fewest hops");
            let way: Vec<PeerId> = std::iter::once(id(0)).chain(via).chain([to.clone()]).collect();
            let costs: Option<Vec<u64>> = way.windows(2).map(|w| cost(&w[0], &w[1])).collect();
            let Some(costs) = costs else { panic!("{way:?} uses a link that is not there") };
            if let Route::Relayed { rtt, .. } = route {
                prop_assert_eq!(*rtt, Duration::from_micros(costs.iter().sum()));
            }
        }
    }
}

// Wire form

fn some_time() -> impl Strategy<Value = Time> {
    (1_000_000u64..2_000_000_000).prop_map(Time::from_millis)
}

fn cause() -> impl Strategy<Value = Option<Cause>> {
    proptest::option::of(prop_oneof![
        Just(Cause::Timeout),
        Just(Cause::Refused),
        Just(Cause::Dropped),
        Just(Cause::HostKey),
        Just(Cause::Version),
        Just(Cause::DnsForward),
        Just(Cause::DnsReverse),
        Just(Cause::NotInCluster),
    ])
}

fn dns_result() -> impl Strategy<Value = DnsResult> {
    prop_oneof![Just(DnsResult::Untested), Just(DnsResult::Ok), Just(DnsResult::Missing), Just(DnsResult::Timeout)]
}

prop_compose! {
    fn link()(
        n in 0usize..50,
        state in prop_oneof![Just(LinkState::Connected), Just(LinkState::Connecting), Just(LinkState::Down), Just(LinkState::Detached)],
        cause in cause(),
        since in some_time(),
        rtt in proptest::option::of(0u64..90_000_000),
        failures in 0u32..9,
        heard in proptest::option::of(some_time()),
        probe in prop_oneof![Just(Probe::Untested), Just(Probe::Heard), Just(Probe::Silent)],
        forward in dns_result(),
        reverse in dns_result(),
        port in proptest::option::of(any::<u16>()),
        next_attempt in proptest::option::of(some_time()),
        changes in 0u32..99,
    ) -> Link {
        Link {
            to: id(n),
            state,
            cause,
            detail: "as told".into(),
            since,
            rtt: rtt.map(Duration::from_micros),
            failures,
            heard,
            probe,
            dns: DnsCheck { forward, reverse, answer: "127.0.0.1".into() },
            address: port.map(|p| SocketAddr::from(([127, 0, 0, 1], p))),
            attempts: failures,
            next_attempt,
            changes,
            falters: changes,
        }
    }
}

prop_compose! {
    fn some_row()(
        mut links in proptest::collection::vec(link(), 0..8),
        boot in any::<u64>(),
        seq in any::<u64>(),
        detached in proptest::option::of(some_time()),
        level in 0u32..9,
    ) -> Row {
        links.sort_by(|a, b| a.to.cmp(&b.to));
        links.dedup_by(|a, b| a.to == b.to);
        Row {
            origin: id(99),
            boot: BootId(boot),
            seq,
            vouched: Time::from_millis(2_000_000_000),
            via: None,
            detached, maintenance: None,
            level,
            links: links.into_iter().map(Arc::new).collect(),
        }
    }
}

/// Adds a field that this version does not know to every object.
fn with_news(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: serde_json::Map<String, Value> = map.into_iter().map(|(k, v)| (k, with_news(v))).collect();
            map.insert("from-the-future".into(), json!({"any": ["thing"]}));
            Value::Object(map)
        }
        Value::Array(list) => Value::Array(list.into_iter().map(with_news).collect()),
        other => other,
    }
}

proptest! {
    #[test]
    fn rows_survive_the_wire_and_unknown_fields_are_ignored(row in some_row()) {
        let now = Time::from_millis(2_000_000_500);
        let same = ClockMap { there: now.as_millis(), here: now };
        let wire = WireRow::from_row(&row, now);
        let newer = write(&with_news(serde_json::to_value(&wire).unwrap()));
        for bytes in [write(&wire), newer] {
            let back: WireRow = read(&bytes).unwrap();
            prop_assert_eq!(&back.into_row(same).unwrap(), &row);
        }
    }

    #[test]
    fn the_clock_of_the_sender_never_shows(stamp in 0u64..4_000_000, there in 0u64..4_000_000, here in 5_000_000u64..9_000_000) {
        let map = ClockMap { there, here: Time::from_millis(here) };
        let time = map.time(stamp);
        if stamp <= there {
            prop_assert_eq!(Time::from_millis(here).since(time), Duration::from_millis(there - stamp), "the age is kept");
        } else {
            prop_assert_eq!(time.since(Time::from_millis(here)), Duration::from_millis(stamp - there));
        }
        let next = map.time(stamp + 1);
        prop_assert!(next >= time, "order is kept");
    }

    #[test]
    fn whatever_is_sent_is_refused_or_understood(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in any::<String>()) {
        // Neither panics; what comes through is bounded.
        let _ = read::<Report>(&bytes);
        let document = json!({"v": VERSION, "row": {"origin": text, "links": [{"to": text, "state": text, "cause": text, "detail": text.repeat(30)}]}});
        let report: Report = read(&write(&document)).unwrap();
        let facts = report.into_observations(&id(1), Time::from_millis(5), 5).unwrap();
        for o in facts {
            if let Fact::Row(row) = o.fact {
                prop_assert_eq!(&row.origin, &id(1), "a peer speaks for itself in its own row");
                prop_assert!(row.links[0].detail.as_str().chars().count() <= LINE_MAX);
            }
        }
    }
}

#[test]
fn a_stamp_far_in_the_future_is_cut_to_a_day() {
    let map = ClockMap { there: 10, here: Time::from_millis(1_000) };
    assert_eq!(map.time(u64::MAX), Time::from_millis(1_000 + 86_400_000));
}

#[test]
fn words_of_a_later_version_become_unlisted_or_unknown() {
    let wire: WireLink =
        read(br#"{"to":"S1","state":"quantum","cause":"moonlight","detail":"x","probe":"felt"}"#).unwrap();
    let link = wire.into_link(ClockMap { there: 0, here: Time::from_millis(9) });
    assert_eq!(link.state, LinkState::Unknown);
    assert_eq!(link.cause, Some(Cause::Unlisted));
    assert_eq!(link.detail.as_str(), "moonlight: x", "the peer's own word stays readable");
    assert_eq!(link.probe, Probe::Untested);
}

#[test]
fn a_report_becomes_facts_in_their_order() {
    let report = Report {
        v: VERSION,
        n: 1,
        clock: 1_000,
        wall: 70_000,
        identity: Some(WireIdentity {
            serial: "S1".into(),
            host: "LAB1.example.com".into(),
            ..WireIdentity::default()
        }),
        membership: Some(WireMembership {
            v: VERSION,
            cluster_id: "c".into(),
            name: "americas".into(),
            revision: 3,
            addressing: "ip".into(),
            groups: vec![],
            machines: vec![],
        }),
        row: Some(WireRow { origin: "S2".into(), ..WireRow::default() }),
        delta: Some(WireDelta { pings: vec![0, -1, 250], ..WireDelta::default() }),
        relayed: vec![WireRow { origin: "S3".into(), age: 400, ..WireRow::default() }],
        sessions: Some(vec![WireSession { user: "ann\u{1b}[31m".into(), ..WireSession::default() }]),
        events: vec![WireEvent { n: Some(3), at: 900, peer: None, text: "hello".into() }],
        ..Report::default()
    };
    let back: Report = read(&write(&report)).unwrap();
    let here = Time::from_millis(50_000);
    let facts = back.into_observations(&id(7), here, 10_000).unwrap();
    assert!(facts.iter().all(|o| o.observer == id(1)), "once it said who it is, that counts");
    let kinds: Vec<&str> = facts
        .iter()
        .map(|o| match &o.fact {
            Fact::Identity(i) => {
                assert_eq!(i.host.as_str(), "lab1.example.com");
                "identity"
            }
            Fact::Membership(m) => {
                assert_eq!(m.addressing, Addressing::Ip);
                "membership"
            }
            Fact::Holding(_) => "holding",
            Fact::Ha(_) => "ha",
            Fact::Tree(_) => "tree",
            Fact::Row(row) if row.via.is_some() => {
                assert_eq!((row.origin.clone(), row.vouched), (id(3), Time::from_millis(49_600)));
                "relayed"
            }
            Fact::Row(row) => {
                assert_eq!(row.origin, id(1));
                "row"
            }
            Fact::RowDelta(delta) => {
                assert_eq!(delta.pings, [None, Some(None), Some(Some(Duration::from_micros(250)))]);
                "delta"
            }
            Fact::Health(health) => {
                assert_eq!(health.clock_offset_ms, 60_000);
                "health"
            }
            Fact::Sessions(s) => {
                assert_eq!(s[0].user.as_str(), "ann");
                "sessions"
            }
            Fact::Event(_) => "unnumbered",
            Fact::Logged { n, event: e } => {
                assert_eq!(*n, 3);
                assert_eq!(e.at, Time::from_millis(49_900));
                "event"
            }
            Fact::Unparsed { .. } => "unparsed",
        })
        .collect();
    assert_eq!(kinds, ["identity", "membership", "row", "delta", "relayed", "health", "sessions", "event"]);
}

#[test]
fn what_is_too_new_too_long_or_doubled_is_refused() {
    let report = Report { v: VERSION + 1, ..Report::default() };
    let refused = report.into_observations(&id(1), Time::ZERO, 0).unwrap_err();
    assert_eq!(refused, ProtoError::TooNew(VERSION + 1));
    let events = vec![WireEvent::default(); 10_000];
    let report = Report { v: VERSION, events, ..Report::default() };
    assert!(matches!(report.into_observations(&id(1), Time::ZERO, 0), Err(ProtoError::TooLarge(_))));
    let twice = json!({"v": VERSION, "cluster-id": "c", "name": "n", "machines": [
        {"serial": "S1", "host": "a", "group": "g", "address": "a", "port": 22},
        {"serial": "S1", "host": "b", "group": "g", "address": "b", "port": 22}]});
    let wire: WireMembership = read(&write(&twice)).unwrap();
    assert!(matches!(Membership::try_from(wire), Err(ProtoError::Malformed(_))));
}

// Verdict

/// What one peer says, and how this console reaches it.
#[derive(Clone, Debug)]
struct Said {
    links: Vec<(LinkState, Option<Cause>, Probe)>,
    lost: Option<Cause>,
    level: u32,
}

fn said(n: usize) -> impl Strategy<Value = Said> {
    let down = cause().prop_map(|c| (LinkState::Down, c));
    let state =
        prop_oneof![6 => Just((LinkState::Connected, None)), 3 => down, 1 => Just((LinkState::Connecting, None))];
    let probe = prop_oneof![Just(Probe::Untested), Just(Probe::Heard), Just(Probe::Silent)];
    let link = (state, probe).prop_map(|((s, c), p)| (s, c, p));
    let lost = prop_oneof![5 => Just(None), 1 => Just(Some(Cause::Timeout)), 1 => Just(Some(Cause::HostKey)), 1 => Just(Some(Cause::Auth)), 1 => Just(Some(Cause::DnsForward))];
    (proptest::collection::vec(link, n), lost, prop_oneof![8 => Just(1u32), 1 => Just(2u32)])
        .prop_map(|(links, lost, level)| Said { links, lost, level })
}

fn world_of(peers: &[Said], order: &[usize]) -> Arc<Snapshot> {
    let now = Time::from_millis(1_000_000_000);
    let n = peers.len();
    let name = |i: usize| format!("lab{i}");
    let cluster = "americas".into();
    let endpoints = (0..n).map(|i| endpoint(&cluster, &name(i))).collect();
    let config = ClusterConfig {
        name: cluster.clone(),
        endpoints,
        discover: false,
        limits: Limits::default(),
        catalogue: Arc::default(),
    };
    let (mut engine, _) = Engine::new(Config { clusters: vec![config] }, now);
    let mut membership = Membership {
        cluster_id: "c".into(),
        name: cluster.clone(),
        revision: 1,
        addressing: Addressing::HostName,
        groups: vec!["Paris".into(), "Rome".into()],
        machines: (0..n)
            .map(|i| {
                let group = if i % 2 == 0 { "Paris" } else { "Rome" };
                Arc::new(machine(&name(i), &format!("{}.example.com", name(i)), group))
            })
            .collect(),
    };
    membership.sort();
    let membership = Arc::new(membership);
    for i in order {
        let said = &peers[*i];
        let (key, id) = (endpoint(&cluster, &name(*i)).key, PeerId::new(&name(*i)));
        if let Some(cause) = said.lost {
            let lost = PeerEvent::Lost { cause, detail: "x".into(), address: None, retry_in: None };
            engine.step(now, Event::Peer { key, event: lost });
            continue;
        }
        let links = (0..n).filter(|j| j != i).zip(&said.links).map(|(j, (state, cause, probe))| {
            let mut link =
                Link::connecting(PeerId::new(&name(j)), Time::from_millis(999_000_000 + (i * 10 + j) as u64));
            (link.state, link.cause, link.probe) = (*state, *cause, *probe);
            Arc::new(link)
        });
        let row = Row {
            origin: id.clone(),
            boot: BootId(1),
            seq: 1,
            vouched: now,
            via: None,
            detached: None,
            maintenance: None,
            level: said.level,
            links: links.collect(),
        };
        let connected = PeerEvent::Connected { address: None, took: Duration::ZERO, id: id.clone() };
        engine.step(now, Event::Peer { key: key.clone(), event: connected });
        let facts = [Fact::Membership(Arc::clone(&membership)), Fact::Row(Arc::new(row))];
        let facts = facts.into_iter().map(|fact| Observation { at: now, observer: id.clone(), fact }).collect();
        engine.step(now, Event::Peer { key, event: PeerEvent::Observed(facts) });
    }
    engine.step(now, Event::Tick);
    engine.snapshot(now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn verdicts_explain_every_cell_once_whatever_the_order_of_observations(
        (peers, order) in (2usize..8).prop_flat_map(|n| {
            let order: Vec<usize> = (0..n).collect();
            (proptest::collection::vec(said(n), n), Just(order).prop_shuffle())
        })
    ) {
        let straight: Vec<usize> = (0..peers.len()).collect();
        let snapshot = world_of(&peers, &straight);
        let verdicts: &Vec<Verdict> = &snapshot.clusters[0].verdicts;
        prop_assert_eq!(verdicts, &*world_of(&peers, &order).clusters[0].verdicts);
        let cluster = &snapshot.clusters[0];
        if verdicts.iter().any(|v| v.kind == FindingKind::WatcherBlind) {
            prop_assert_eq!(verdicts.len(), 1);
            return Ok(());
        }
        let mut covered = BTreeSet::new();
        for cell in verdicts.iter().flat_map(|v| &v.cells) {
            prop_assert!(covered.insert(*cell), "{cell:?} explained twice: {verdicts:#?}");
            let state = cluster.cell(cell.0, cell.1, snapshot.at).state;
            prop_assert!(matches!(state, LinkState::Down | LinkState::Unknown), "{cell:?} is {state:?}");
        }
        for (i, j) in (0..peers.len()).flat_map(|i| (0..peers.len()).map(move |j| (i, j))).filter(|(i, j)| i != j) {
            let down = cluster.cell(i, j, snapshot.at).state == LinkState::Down;
            prop_assert!(!down || covered.contains(&(i, j)), "({i}, {j}) is not explained: {verdicts:#?}");
        }
        let subjects: BTreeSet<String> = verdicts.iter().map(|v| format!("{:?} {}", v.kind, v.subject)).collect();
        prop_assert_eq!(subjects.len(), verdicts.len(), "one verdict a kind and subject");
        prop_assert!(verdicts.windows(2).all(|w| w[0].kind.severity() >= w[1].kind.severity()), "worst first");
    }
}
