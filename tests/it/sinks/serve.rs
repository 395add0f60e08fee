//! What a watch serves to those who watch it.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::alerts::sinks::Telling;
use peerdeck::cli::serve::{Health, SinkVitals, ToldOf, Vitals, serve, told_path};
use peerdeck::clock::{Clock, SystemClock};
use peerdeck::domain::alert::Told;
use peerdeck::domain::finding::{FindingKind, Severity, Subject};
use peerdeck::domain::ids::ClusterName;
use peerdeck::domain::snapshot::Snapshot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::raised;
use crate::ui::scene::Scene;

pub struct Served {
    pub address: String,
    pub health: Arc<Health>,
    pub clock: Arc<SystemClock>,
    _snapshots: watch::Sender<Arc<Snapshot>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A picture of 12 peers with two findings, and a watch that has two sinks.
pub async fn served() -> Served {
    let mut scene = Scene::lab(12);
    scene.cut(2, 8, 31).stale(6, 21).silent(11);
    let (a, b) = (scene.id(2), scene.id(8));
    scene.verdict(FindingKind::LinkDown, Subject::pair(&a, &b), 2, 31, "lab3 and lab9 do not reach each other");
    let (send, snapshots) = watch::channel(Arc::new(scene.build()));
    let clock = Arc::new(SystemClock::new());
    let now = clock.now();
    let one: Telling = raised(4);
    let sink = |name: &str, waiting| SinkVitals {
        name: name.to_owned(),
        waiting,
        delivered: 3,
        succeeded: Some(now),
        ..SinkVitals::default()
    };
    let told = ToldOf { told: Told::Raised, at: now };
    let vitals = Vitals {
        watcher: "noc1".to_owned(),
        began: now,
        turns_every: Duration::from_secs(10),
        heartbeat: Duration::from_mins(1),
        seq: 4,
        raised: [((ClusterName::new("americas"), Severity::Critical, None), 1)].into(),
        notices: [(Told::Raised, 4)].into(),
        sinks: vec![sink("file", 0), sink("say \"hi\"\\", 7)],
        told: [(one.notice.alert.id().clone(), told)].into(),
        ..Vitals::default()
    };
    let health = Arc::new(Health::new(vitals));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(serve(listener, health.clone(), snapshots, clock.clone()));
    Served { address, health, clock, _snapshots: send, task }
}

/// Status and body of one request.
pub async fn ask(address: &str, request: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let _ = socket.read_to_string(&mut text).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?}: {text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

pub async fn get(address: &str, path: &str) -> (u16, String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn d9_metrics_have_few_series_and_no_peer_in_them() {
    let served = served().await;
    let (status, head, text) = get(&served.address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(!text.contains("lab3") && !text.contains("SERIAL"), "never by peer");
    let value = |series: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series}\n{text}")).parse::<f64>().unwrap()
    };
    let links: f64 = text
        .lines()
        .filter(|l| l.starts_with("peerdeck_links{"))
        .map(|l| l.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert!((links - 132.0).abs() < 0.5, "12 x 11 directions, each in one state");
    assert!((value("peerdeck_sink_waiting{sink=\"say \\\"hi\\\"\\\\\"}") - 7.0).abs() < 0.5);
    assert!((value("peerdeck_notices_total{transition=\"raised\"}") - 4.0).abs() < 0.5);
    assert!(value("peerdeck_watch_healthy").abs() < 0.5, "no picture has come yet");
    assert!(text.contains("peerdeck_build_info{version="));
    assert!(text.contains("kind=\"link-down\",severity=\"critical\"} 1\n"), "{text}");
}

#[tokio::test]
async fn d9_health_is_not_ok_until_a_picture_came_and_while_alerts_do_not_get_out() {
    let served = served().await;
    let (status, _, text) = get(&served.address, "/healthz").await;
    assert_eq!((status, text.as_str()), (503, "the loop has not turned yet\nno picture has come yet\n"));
    let now = served.clock.now();
    served.health.note(|v| (v.turn, v.picture) = (Some(now), Some(now)));
    let (status, _, text) = get(&served.address, "/healthz").await;
    assert_eq!((status, text.as_str()), (200, "ok\n"));
    served.health.note(|v| v.picture = Some(now.before(Duration::from_mins(1))));
    let (status, _, text) = get(&served.address, "/healthz").await;
    assert_eq!(status, 503);
    assert!(text.starts_with("no picture has come for 1 m 00 s (limit 35 s)"), "{text}");
    served.health.note(|v| {
        v.picture = Some(served.clock.now());
        v.sinks[1].failing = Some(now.before(Duration::from_mins(6)));
        v.sinks[1].error = Some("POST to https://hooks.example.com: answered 500".to_owned());
    });
    let (status, _, text) = get(&served.address, "/healthz?json").await;
    let doc: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, doc["ok"].as_bool(), doc["watcher"].as_str()), (503, Some(false), Some("noc1")));
    assert!(doc["reasons"][0].as_str().unwrap().contains("fails for 6 m"), "{doc}");
    assert_eq!(doc["sinks"][1]["waiting"], 7);
}

#[tokio::test]
async fn d9_a_fellow_can_ask_what_was_told() {
    let served = served().await;
    let id = raised(4).notice.alert.id().clone();
    let (status, _, text) = get(&served.address, &told_path(&id)).await;
    let doc: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, doc["id"].as_str(), doc["transition"].as_str()), (200, Some(id.as_str()), Some("raised")));
    assert_eq!(get(&served.address, "/told/link-down/americas/peer:x").await.0, 404);
    assert_eq!(get(&served.address, "/told/%zz").await.0, 404);
}

#[tokio::test]
async fn d9_nothing_but_looking_is_possible() {
    let served = served().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"] {
        let request =
            format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(ask(&served.address, &request).await.0, 405, "{method}");
    }
    let (status, _, body) =
        ask(&served.address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert_eq!(get(&served.address, "/").await.0, 200);
    assert_eq!(get(&served.address, "/../etc/passwd").await.0, 404);
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(500));
    for request in [long, many] {
        let mut socket = TcpStream::connect(&served.address).await.unwrap();
        let _ = socket.write_all(request.as_bytes()).await; // It may be closed on us half-way.
        let mut text = Vec::new();
        let _ = socket.read_to_end(&mut text).await;
        assert!(!String::from_utf8_lossy(&text).contains("200 OK"));
    }
}

#[tokio::test(start_paused = true)]
async fn d9_who_dawdles_loses_the_connection_and_others_are_served() {
    let served = served().await;
    let mut slow = TcpStream::connect(&served.address).await.unwrap();
    slow.write_all(b"GET /metr").await.unwrap();
    let mut text = Vec::new();
    let _ = slow.read_to_end(&mut text).await; // It ends: time moves only because everybody waits.
    assert!(!String::from_utf8_lossy(&text).contains("200 OK"));
    let mut crowd = Vec::new();
    for _ in 0..70 {
        crowd.push(TcpStream::connect(&served.address).await.unwrap());
    }
    let mut late = crowd.pop().unwrap();
    assert_eq!(late.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof, "too many at once");
    drop(crowd);
    let end = tokio::time::Instant::now() + Duration::from_mins(10);
    loop {
        let mut socket = TcpStream::connect(&served.address).await.unwrap();
        let _ = socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let mut text = String::new();
        if socket.read_to_string(&mut text).await.is_ok() && text.contains("200 OK") {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "nobody is served any more");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
