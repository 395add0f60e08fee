//! Documents and tables of one picture, made by hand: a link down with a relay, a stale row, a detached machine, a peer that never answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::vitals::{SinkVitals, Vitals};
use super::*;
use crate::domain::alert::{Ack, Alert, Notice, Seen, Told};
use crate::domain::event::{Event, EventKind};
use crate::domain::finding::{Finding, FindingId, FindingKind, Subject};
use crate::domain::ids::{BootId, ClusterName, GroupName, HostName};
use crate::domain::maintenance::Maintenance;
use crate::domain::mesh::link::{Cause, DnsCheck, DnsResult, Link, LinkState};
use crate::domain::mesh::pulse::Pulse;
use crate::domain::mesh::row::Row;
use crate::domain::observation::{Health, Identity};
use crate::domain::reach::Reach;
use crate::domain::snapshot::Limits;
use crate::domain::text::Line;

const NOW: Time = Time::from_millis(1_794_950_000_500);
const N: usize = 4;

/// lab3, of which nothing is heard, in maintenance.
fn worked_on(snapshot: &mut Snapshot) {
    let cluster = Arc::make_mut(&mut snapshot.clusters[0]);
    let row = Arc::make_mut(&mut cluster.peers[2]).row.as_mut().unwrap();
    let span = Duration::from_mins(90);
    let m = Maintenance::lasting(ago(600_500), span, Line::new("admin from 10.0.0.9"), Line::new("new disk"));
    Arc::make_mut(row).maintenance = Some(m);
}

fn ago(ms: u64) -> Time {
    NOW.before(Duration::from_millis(ms))
}

fn id(n: usize) -> PeerId {
    if n == N { PeerId::unheard("lab4.example.com", 22) } else { PeerId::new(&format!("SERIAL-{n}")) }
}

fn link(from: usize, to: usize) -> Link {
    let mut link = Link::connecting(id(to), ago(60_000));
    link.state = LinkState::Connected;
    link.rtt = Some(Duration::from_micros(400 + 10 * (from + to) as u64));
    link.address = format!("127.88.0.{to}:2222").parse().ok();
    link.dns = DnsCheck { forward: DnsResult::Ok, reverse: DnsResult::Ok, answer: Line::new("127.88.0.1") };
    if (from, to) == (1, 2) {
        link.state = LinkState::Down;
        link.cause = Some(Cause::Timeout);
        link.detail = Line::new("3 pings without an answer");
        link.since = ago(14_250);
        link.failures = 3;
    }
    if to == N {
        link.state = LinkState::Down;
        link.cause = Some(Cause::Refused);
        link.detail = Line::new("127.88.0.4:2222 refuses the connection");
    }
    link
}

fn peer(n: usize) -> Arc<Peer> {
    let stale = n == 3;
    let heard = ago(if stale { 42_000 } else { 400 });
    let row = Row {
        origin: id(n),
        boot: BootId(7),
        seq: 3,
        vouched: heard,
        via: None,
        detached: (n == 2).then(|| ago(3_600_000)),
        maintenance: None,
        level: 1,
        links: (1..=N).filter(|to| *to != n).map(|to| Arc::new(link(n, to))).collect(),
    };
    let mut reach = Reach::new(ago(60_000));
    if n == N {
        reach.state = ReachState::Unreachable;
        reach.cause = Some(Cause::Refused);
        reach.detail = Line::new("lab4.example.com:22 refuses the connection");
    } else {
        reach.state = ReachState::Connected;
        reach.heard = Some(heard);
    }
    let identity = Identity {
        id: id(n),
        host: HostName::new(&format!("lab{n}.example.com")),
        version: Line::new("peerdeck 0.1.0"),
        level: 1,
        boot: BootId(7),
        interval: Duration::from_secs(1),
    };
    let cells = (1..=N).map(|to| row.links.iter().find(|l| l.to == id(to)).filter(|_| n != N).cloned());
    Arc::new(Peer {
        id: id(n),
        host: HostName::new(&format!("lab{n}.example.com")),
        group: (n != N).then(|| GroupName::new(if n < 3 { "Main_Group" } else { "Paris" })),
        observed: true,
        reach,
        identity: (n != N).then(|| Arc::new(identity)),
        cells: cells.collect(),
        pulses: vec![Pulse::default(); N].into(),
        confirmed: Time::ZERO,
        row: (n != N).then(|| Arc::new(row)),
        holding: None,
        ha: None,
        health: Health::default(),
        sessions: Arc::default(),
    })
}

fn finding(kind: FindingKind, subject: Subject, text: &str) -> Finding {
    let cluster = ClusterName::new("americas");
    Finding {
        id: FindingId::new(kind, &cluster, &subject),
        cluster,
        kind,
        severity: kind.severity(),
        subject,
        since: ago(14_250),
        text: Line::new(text),
        evidence: vec![Line::new("lab1 says down, timeout")],
        advice: Line::new(Cause::Timeout.hint()),
    }
}

fn snapshot() -> Snapshot {
    let peers: Vec<Arc<Peer>> = (1..=N).map(peer).collect();
    let index: BTreeMap<PeerId, usize> = peers.iter().enumerate().map(|(i, p)| (p.id.clone(), i)).collect();
    let findings = vec![
        finding(FindingKind::LinkDown, Subject::pair(&id(2), &id(1)), "lab1 and lab2 don't reach each other"),
        finding(FindingKind::DnsReverse, Subject::Peer(id(3)), "lab3 has no | proper PTR record"),
    ];
    let cluster = Cluster {
        name: ClusterName::new("americas"),
        groups: ["Main_Group", "Paris", "Rome"].map(GroupName::new).to_vec(),
        peers,
        index: Arc::new(index),
        membership_revision: Some(4),
        verdicts: Arc::default(),
        findings: Arc::new(findings),
        settings: None,
        commits: Arc::default(),
        catalogue: Arc::default(),
        limits: Limits::default(),
        changes: 0,
    };
    let event = Event {
        at: ago(14_250),
        cluster: Some(ClusterName::new("americas")),
        kind: EventKind::Link,
        subject: Subject::Link { from: id(1), to: id(2) },
        text: Line::new("lab1 to lab2: connected to down, timeout"),
    };
    Snapshot { at: NOW, generation: 9, clusters: vec![Arc::new(cluster)], events: Arc::new(vec![event]), dropped: 0 }
}

fn narrow() -> Style {
    Style { width: Some(80), ..Style::default() }
}

#[test]
fn connstatus_document_and_table() {
    let s = snapshot();
    let doc = connstatus::document(&s, None, true);
    insta::assert_snapshot!("connstatus_json", document(&doc));
    insta::assert_snapshot!("connstatus_table", connstatus::text(&s, None, narrow()));
    assert!(
        doc.links.iter().filter(|l| l.from == "lab3.example.com").all(|l| l.state == "unknown" && l.rtt_ms.is_none())
    );
    let down = doc.links.iter().find(|l| l.from == "lab1.example.com" && l.to == "lab2.example.com").unwrap();
    assert_eq!(
        (down.state, down.cause, down.via.as_ref()),
        ("down", Some("timeout"), None),
        "lab3's word is too old for a relay"
    );
    assert_eq!(connstatus::check(&s, None), Check::Critical);
}

#[test]
fn a_relay_is_named_when_fresh_rows_know_one() {
    let mut s = snapshot();
    let mut cluster = Cluster::clone(&s.clusters[0]);
    let mut third = Peer::clone(&cluster.peers[2]);
    let mut row = Row::clone(third.row.as_ref().unwrap());
    row.vouched = NOW;
    third.row = Some(Arc::new(row));
    cluster.peers[2] = Arc::new(third);
    s.clusters = vec![Arc::new(cluster)];
    let doc = connstatus::document(&s, None, true);
    let down = doc.links.iter().find(|l| l.from == "lab1.example.com" && l.to == "lab2.example.com").unwrap();
    assert_eq!(down.via.as_deref(), Some(["lab3.example.com".to_owned()].as_slice()));
}

#[test]
fn list_document_and_table() {
    let s = snapshot();
    insta::assert_snapshot!("list_json", document(&list::document(&s, None, true)));
    insta::assert_snapshot!("list_table", list::text(&s, None, narrow()));
    assert!(list::is_answered(&s, None));
    assert!(!list::is_answered(&s, Some("europe")), "another cluster was asked for");
}

#[test]
fn status_document_table_and_plugin_line() {
    let s = snapshot();
    insta::assert_snapshot!("status_json", document(&status::document(&s, None, true)));
    insta::assert_snapshot!("status_table", status::text(&s, None, false, narrow()));
    insta::assert_snapshot!("status_plugin", status::plugin(&s, None, true));
    insta::assert_snapshot!("connstatus_plugin", connstatus::plugin(&s, None));
    assert_eq!(status::plugin(&s, None, true).matches('|').count(), 1, "one bar, before the performance data");
}

#[test]
fn what_could_not_be_seen_is_unknown_and_never_ok() {
    let mut s = snapshot();
    let mut cluster = Cluster::clone(&s.clusters[0]);
    cluster.findings = Arc::default();
    s.clusters = vec![Arc::new(cluster)];
    assert_eq!(status::check(&s, None, true), Check::Unknown, "lab3's row is stale");
    s.clusters.clear();
    assert_eq!(status::check(&s, None, true), Check::Unknown, "there is nothing to see");
    assert_eq!(connstatus::check(&s, None), Check::Unknown);
    for (check, code) in [(Check::Ok, 0), (Check::Warning, 1), (Check::Critical, 2), (Check::Unknown, 3)] {
        assert_eq!(check.code(), code);
    }
}

#[test]
fn c22_maintenance_is_told_and_what_it_hides_is_no_unknown() {
    let mut s = snapshot();
    let cluster = Arc::make_mut(&mut s.clusters[0]);
    cluster.findings = Arc::default();
    cluster.peers.truncate(3);
    assert_eq!(status::check(&s, None, true), Check::Unknown, "lab3's row is stale");
    worked_on(&mut s);
    assert_eq!(status::check(&s, None, true), Check::Ok, "somebody works on lab3");
    let doc = serde_json::to_value(connstatus::document(&s, None, true)).unwrap();
    assert_eq!(doc["peers"][0]["maintenance"], serde_json::Value::Null);
    let told = serde_json::json!({
        "since": "2026-11-17T21:03:20.000Z", "until": "2026-11-17T22:33:20.000Z", "by": "admin from 10.0.0.9",
        "reason": "new disk",
    });
    assert_eq!(doc["peers"][2]["maintenance"], told);
    let doc = serde_json::to_value(status::document(&s, None, true)).unwrap();
    assert_eq!(doc["counts"]["peers_in_maintenance"], 1);
    assert_eq!(doc["clusters"][0]["counts"]["peers_in_maintenance"], 1);
    let table = connstatus::text(&s, None, Style { width: Some(160), ..Style::default() });
    assert!(table.contains(", 1 in maintenance"), "{table}");
    assert!(table.contains("in maintenance for 1 h 19 m more by admin from 10.0.0.9: new disk"), "{table}");
    assert!(status::text(&s, None, true, narrow()).contains(", 1 in maintenance"));
    assert_eq!(connstatus::check(&s, None), Check::Critical, "lab1 and lab2 are cut all the same");
    s.at = NOW + Duration::from_hours(2);
    assert!(!status::text(&s, None, true, narrow()).contains("maintenance"), "it has ended by itself");
}

#[test]
fn lines_of_events_and_watch() {
    let s = snapshot();
    let cluster = &s.clusters[0];
    let seen = Seen::of(Some(cluster), cluster.findings[0].clone());
    let alert = Alert { seen, raised: s.at.before(Duration::from_secs(134)), flapping: None, ack: None };
    let raised = Notice { seq: 7, at: s.at, told: Told::Raised, alert, before: None };
    let ack = Ack { by: Line::new("ann@noc"), at: s.at, reason: Line::new("new cable") };
    let over = Alert { flapping: Some(7), ack: Some(ack), ..raised.alert.clone() };
    let over = Notice { seq: 8, told: Told::Cleared, alert: over, ..raised.clone() };
    let sink = SinkVitals {
        name: "webhook".into(),
        waiting: 3,
        dropped: 2,
        failures: 4,
        error: Some("http://127.0.0.1:9/ answers 500".into()),
        ..SinkVitals::default()
    };
    let vitals = Vitals { seq: 8, turn: Some(s.at), picture: Some(s.at), sinks: vec![sink], ..Vitals::default() };
    let text = [
        line(&lines::event(&s, &s.events[0])),
        lines::event_text(&s, &s.events[0]),
        line(&lines::alert(&raised, Some("4f1d8f1d2c3b-7"))),
        line(&lines::alert(&raised, None)),
        lines::alert_text(&raised),
        lines::alert_text(&over),
        line(&lines::alert(&over, Some("4f1d8f1d2c3b-8"))),
        line(&lines::heartbeat(&s, None, &vitals, s.at)),
        lines::heartbeat_text(&s, None, &vitals, s.at),
    ];
    assert!(text.iter().all(|l| l.lines().count() == 1 && l.ends_with('\n')));
    insta::assert_snapshot!("lines", text.concat());
}

#[test]
fn diagnose_of_a_link() {
    let s = snapshot();
    let cluster = &s.clusters[0];
    let mut text = String::new();
    for (from, to) in [(1, 2), (1, 3), (1, N), (3, 1)] {
        let steps = diagnose::of_link(cluster, &id(from), &id(to), s.at);
        text.push_str(&diagnose::text(Some("a"), "b", &steps, narrow()));
        text.push_str("\n----\n");
    }
    insta::assert_snapshot!("diagnose_table", text);
    let steps = diagnose::of_link(cluster, &id(1), &id(2), s.at);
    let doc = diagnose::document(s.at, "americas", Some("lab1.example.com"), "lab2.example.com", &steps);
    insta::assert_snapshot!("diagnose_json", document(&doc));
}

#[test]
fn times_are_rfc_3339_in_utc() {
    assert_eq!(rfc3339(Time::ZERO), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(NOW), "2026-11-17T21:13:20.500Z");
    assert_eq!(rfc3339(Time::from_millis(u64::MAX)).len(), "9999-12-30T22:00:00.999Z".len(), "no panic");
}
