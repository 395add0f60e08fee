//! A commit on one of 20 real peers, until all of them have it on disk and show it: over SSH, with full sync of each
//! peer's disk. All peers and the observers share this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peerdeck::lab::{Lab, Options};
use peerdeck::proto::rpc::SUBSYSTEM;
use peerdeck::ssh::client::{Credential, Deadlines, HostKeyPolicy, HostKeyVerdict, Session, Target, connect};
use peerdeck::ssh::net::{BoxStream, OsNet};
use russh::keys::{PrivateKey, PublicKey};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, ReadHalf, WriteHalf};

const PEERS: usize = 20;
const COMMITS: usize = 50;

/// How long an observer waits before it asks a peer again: it finds a commit so much too late at most.
const POLL: Duration = Duration::from_millis(5);

/// It is our own lab, on loopback.
struct Anyone;

impl HostKeyPolicy for Anyone {
    fn judge(&self, _: &str, _: u16, _: &PublicKey) -> HostKeyVerdict {
        HostKeyVerdict::Accepted
    }
}

struct Client {
    lines: Lines<BufReader<ReadHalf<BoxStream>>>,
    writer: WriteHalf<BoxStream>,
    _session: Session,
}

impl Client {
    async fn open(lab: &Lab, peer: usize) -> Self {
        let address = lab.address(peer).unwrap();
        let key = PrivateKey::from_openssh(std::fs::read(lab.state_dir().join("lab_key")).unwrap()).unwrap();
        let short = Duration::from_secs(5);
        let deadlines = Deadlines {
            resolve: short,
            connect: short,
            key_exchange: short,
            auth: short,
            channel: short,
            silence: short,
        };
        let target = Target {
            host: lab.roster().peers[peer].host.to_string(),
            port: address.port(),
            user: "admin".to_owned(),
            credentials: vec![Credential::Key(Arc::new(key))],
            policy: Arc::new(Anyone),
            deadlines,
        };
        let session = connect(&OsNet, address, &target).await.unwrap();
        let (reader, writer) = tokio::io::split(session.subsystem(SUBSYSTEM).await.unwrap());
        Self { lines: BufReader::new(reader).lines(), writer, _session: session }
    }

    async fn call(&mut self, method: &str, params: &Value) -> Value {
        let text = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string() + "\n";
        self.writer.write_all(text.as_bytes()).await.unwrap();
        self.writer.flush().await.unwrap();
        loop {
            let line = self.lines.next_line().await.unwrap().unwrap();
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer.get("id") == Some(&json!(1)) {
                assert!(answer.get("error").is_none(), "{answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Asks until the peer has this comment on the register.
    async fn wait(&mut self, comment: &str) {
        loop {
            let told = self.call("history", &json!({"key": "c/smtproutes", "limit": 1})).await;
            if told["past"][0]["comment"] == json!(comment) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Prints two lines: until the author's answer, and until all peers have it.
pub fn commits() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (answered, everywhere) = runtime.block_on(run());
    super::tell("commit on one of 20 lab peers: answered, on its disk", answered);
    super::tell("commit on one of 20 lab peers: all 20 have it on disk", everywhere);
}

async fn run() -> (Vec<Duration>, Vec<Duration>) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { peers: PEERS, state_dir: Some(dir.path().join("lab")), ..Options::default() };
    let lab = Lab::start(options).await.unwrap();
    lab.wait_links_up(Duration::from_mins(1)).await.unwrap();
    let mut clients = Vec::new();
    for peer in 0..PEERS {
        clients.push(Client::open(&lab, peer).await);
    }
    let (mut answered, mut everywhere) = (Vec::new(), Vec::new());
    for n in 0..COMMITS {
        let author = n % PEERS;
        let comment = format!("commit {n}");
        let edit = json!({"edit": "set", "key": "c/smtproutes", "value": {".example.com": [format!("mx{n}")]}});
        let target = lab.roster().peers[author].id.to_string();
        let commit = json!({"command": "commit", "peer": target, "edits": [edit], "reason": comment});
        let began = Instant::now();
        clients[author].call("execute", &commit).await;
        answered.push(began.elapsed());
        futures::future::join_all(clients.iter_mut().map(|c| c.wait(&comment))).await;
        everywhere.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    lab.shutdown().await;
    (answered, everywhere)
}
