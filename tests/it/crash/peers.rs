//! SIGKILL of whole peers: three processes of the program, commits to all of them over SSH.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peerdeck::daemon::{Role, Setup};
use peerdeck::domain::FeatureName;
use peerdeck::domain::settings::{Edit, ModeId, Value};
use peerdeck::proto::settings::WireEdit;
use peerdeck::ssh::client::Session;
use peerdeck::ssh::net::BoxStream;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, ReadHalf, WriteHalf};
use tokio::time::{sleep, timeout};

use super::{dice, number};
use crate::daemon::real::{PATIENCE, Place};

const PEERS: usize = 3;

/// Each peer's own, so that no commit is refused for another's.
const FEATURES: [&str; PEERS] = ["smtproutes", "dnsconfig", "listenerconfig"];

/// So many kills to a cluster: its history has to fit into one answer.
const KILLS_EACH: u64 = 40;

/// A commit that was answered: on which peer's feature, its actor and number.
type Answered = (usize, String, u64);

/// The processes; none outlives the test.
struct Peers(Vec<Child>);

impl Peers {
    fn spawn(place: &Place) -> Self {
        Self(place.setups.iter().map(spawn).collect())
    }

    /// As `kill -9`.
    fn kill(&mut self, peer: usize) {
        self.0[peer].kill().unwrap();
        self.0[peer].wait().unwrap();
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for peer in 0..self.0.len() {
            self.kill(peer);
        }
    }
}

/// What a client has seen.
#[derive(Default)]
struct Seen {
    count: AtomicU64,
    refusal: Mutex<String>,
}

struct Link {
    lines: Lines<BufReader<ReadHalf<BoxStream>>>,
    writer: WriteHalf<BoxStream>,
    _session: Session,
}

impl Link {
    async fn open(place: &Place, peer: usize) -> Option<Self> {
        let session = place.try_login(peer, "admin", &place.user).await.ok()?;
        let stream = session.subsystem("peerdeck").await.ok()?;
        let (reader, writer) = tokio::io::split(stream);
        Some(Self { lines: BufReader::new(reader).lines(), writer, _session: session })
    }

    /// The answer; `None` when the connection is gone.
    async fn call(&mut self, method: &str, params: serde_json::Value) -> Option<serde_json::Value> {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string();
        self.writer.write_all(format!("{request}\n").as_bytes()).await.ok()?;
        self.writer.flush().await.ok()?;
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("an answer or an end").ok()??;
            // The kill may cut a line off: that is no answer.
            let answer: serde_json::Value = serde_json::from_str(&line).ok()?;
            if answer.get("id") == Some(&json!(7)) {
                return Some(answer);
            }
        }
    }
}

fn spawn(setup: &Setup) -> Child {
    let users: Vec<_> = setup.users.iter().filter(|u| u.role == Role::Administrator).collect();
    let file = format!(
        "host-name = \"{}\"\nstate-dir = \"{}\"\nlisten = \"{}\"\ndns = [\"127.0.0.1:9\"]\nping-interval = \"1s\"\n\
         [[user]]\nname = \"admin\"\nkeys = [\"{}\"]\nrole = \"administrator\"\n",
        setup.host,
        setup.state_dir.display(),
        setup.listen,
        users[0].keys[0].trim()
    );
    let config = setup.state_dir.with_extension("toml");
    std::fs::write(&config, file).unwrap();
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(setup.state_dir.with_extension("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_peerdeck"))
        .args(["peer", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Commits to one peer, one after the other, until `over`; tells what was answered.
async fn commit_on(place: &Place, peer: usize, over: &AtomicBool, seen: &Seen) -> Vec<Answered> {
    let serial = place.membership.machines[peer].id.to_string();
    let mut answered = Vec::new();
    let mut n = 0;
    while !over.load(Ordering::Relaxed) {
        let Some(mut link) = Link::open(place, peer).await else {
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        while !over.load(Ordering::Relaxed) {
            n += 1;
            let value = Arc::new(Value::table([("n", Value::Int(n))]));
            let edit = Edit::Set { mode: ModeId::Cluster, feature: FeatureName::new(FEATURES[peer]), value };
            let params = json!({"command": "commit", "peer": serial, "reason": format!("number {n}"), "edits": [WireEdit::from(&edit)]});
            let Some(answer) = link.call("execute", params).await else { break };
            let commit = &answer["result"]["commit"];
            match (commit[0].as_str(), commit[1].as_u64()) {
                (Some(actor), Some(seq)) => {
                    answered.push((peer, actor.to_owned(), seq));
                    seen.count.fetch_add(1, Ordering::Relaxed);
                }
                _ => *seen.refusal.lock().unwrap() = answer.to_string(),
            }
        }
    }
    answered
}

/// Waits until `peer` has all of it.
async fn has_all(place: &Place, peer: usize, answered: &[Answered]) {
    let begin = Instant::now();
    loop {
        let mut missing = Vec::new();
        if let Some(mut link) = Link::open(place, peer).await {
            for (owner, feature) in FEATURES.iter().enumerate() {
                let Some(answer) = link.call("history", json!({"key": format!("c/{feature}")})).await else { break };
                let past = answer["result"]["past"].as_array().expect("a history").clone();
                let has = |actor: &str, seq: u64| past.iter().any(|p| p["commit"] == json!([actor, seq]));
                missing.extend(answered.iter().filter(|(o, actor, seq)| *o == owner && !has(actor, *seq)));
            }
            if missing.is_empty() {
                return;
            }
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "lab{} lacks {} of {}: {missing:?}",
            peer + 1,
            missing.len(),
            answered.len()
        );
        sleep(Duration::from_millis(50)).await;
    }
}

/// One cluster; tells how many commits were answered.
async fn kill_peers(kills: u64, dice: &mut StdRng) -> usize {
    let place = Arc::new(Place::prepare(PEERS));
    let mut peers = Peers::spawn(&place);
    let over = Arc::new(AtomicBool::new(false));
    let seen: Vec<Arc<Seen>> = (0..PEERS).map(|_| Arc::default()).collect();
    let clients: Vec<_> = (0..PEERS)
        .map(|peer| {
            let (place, over, seen) = (place.clone(), over.clone(), seen[peer].clone());
            tokio::spawn(async move { commit_on(&place, peer, &over, &seen).await })
        })
        .collect();
    for _ in 0..kills {
        let victim = dice.random_range(0..PEERS);
        // Mostly one that is at work; else it may be killed while it starts.
        if dice.random_bool(0.8) {
            let wanted = seen[victim].count.load(Ordering::Relaxed) + 1;
            let begin = Instant::now();
            while seen[victim].count.load(Ordering::Relaxed) < wanted {
                let host = victim + 1;
                let log = || std::fs::read_to_string(place.setups[victim].state_dir.with_extension("log")).unwrap();
                let refusal = || seen[victim].refusal.lock().unwrap().clone();
                assert!(begin.elapsed() < PATIENCE, "lab{host} takes nothing any more: {}; {}", refusal(), log());
                sleep(Duration::from_millis(1)).await;
            }
        }
        // The instant is what the test is about: nothing is waited for.
        sleep(Duration::from_micros(dice.random_range(0..60_000))).await;
        assert!(peers.0[victim].try_wait().unwrap().is_none(), "lab{} ended by itself", victim + 1);
        peers.kill(victim);
        peers.0[victim] = spawn(&place.setups[victim]);
    }
    over.store(true, Ordering::Relaxed);
    assert!(seen.iter().all(|s| s.count.load(Ordering::Relaxed) > 0), "one peer took no commit at all");
    let mut answered = Vec::new();
    for client in clients {
        answered.extend(client.await.unwrap());
    }
    // Once more from the disk alone: all of them at a time.
    drop(peers);
    let _peers = Peers::spawn(&place);
    for peer in 0..PEERS {
        has_all(&place, peer, &answered).await;
    }
    answered.len()
}

async fn run(name: &str, kills: u64) {
    let mut dice = dice(name);
    let begin = Instant::now();
    let (mut left, mut answered) = (kills, 0);
    while left > 0 {
        let some = left.min(KILLS_EACH);
        answered += kill_peers(some, &mut dice).await;
        left -= some;
        println!("{name}: {} kills, {answered} commits answered, none missing, {:.0?}", kills - left, begin.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c16_nothing_that_a_killed_peer_answered_is_missing_on_any() {
    run("kills of peers", 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: PEERDECK_KILLS kills of whole peers (default 3,000)"]
async fn long_c16_thousands_of_killed_peers() {
    run("kills of peers", number("PEERDECK_KILLS").unwrap_or(3_000)).await;
}
