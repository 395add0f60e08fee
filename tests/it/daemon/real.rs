//! Real peers over real SSH on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use peerdeck::clock::SystemClock;
use peerdeck::daemon::disk::DiskFault;
use peerdeck::daemon::{self, Environment, LinkCounts, Role, Running, Setup, User};
use peerdeck::dns::Resolver;
use peerdeck::domain::membership::{Addressing, Machine, Membership};
use peerdeck::domain::{ClusterName, GroupName, HostName, Line};
use peerdeck::ssh::client::{
    self, ConnectError, Credential, Deadlines, HostKeyPolicy, HostKeyVerdict, Session, Target,
};
use peerdeck::ssh::net::OsNet;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, PublicKey};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::watch;

use crate::support::free_port;

/// Every wait in these tests ends by then: long, as a debug build beside all other tests on two cores is slow.
pub const PATIENCE: Duration = Duration::from_mins(3);

pub struct Place {
    pub dir: TempDir,
    pub user: Arc<PrivateKey>,
    pub guest: Arc<PrivateKey>,
    pub membership: Membership,
    pub setups: Vec<Setup>,
    pub gates: Vec<watch::Sender<bool>>,
    pub peers: Vec<Option<Running>>,
    pub resolver: Resolver,
}

struct Anything;

impl HostKeyPolicy for Anything {
    fn judge(&self, _host: &str, _port: u16, _key: &PublicKey) -> HostKeyVerdict {
        HostKeyVerdict::Accepted
    }
}

pub fn new_key() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap())
}

impl Place {
    /// State directories of `n` peers, not started.
    pub fn prepare(n: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (user, guest) = (new_key(), new_key());
        let mut setups = Vec::new();
        let mut machines = Vec::new();
        for i in 1..=n {
            let host = HostName::new(&format!("lab{i}.example.com"));
            let state_dir = dir.path().join(format!("lab{i}"));
            let who = daemon::provision(&state_dir, &host).unwrap();
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
            machines.push(Arc::new(Machine {
                id: who.id,
                host: host.clone(),
                group: GroupName::new("Main_Group"),
                address: HostName::new("127.0.0.1"),
                port: listen.port(),
                machine_key: Line::new(&who.machine_key),
                host_key: Line::new(&who.host_key),
            }));
            let login = |name: &str, key: &PrivateKey, role| User {
                name: name.into(),
                keys: vec![key.public_key().to_openssh().unwrap()],
                role,
            };
            setups.push(Setup {
                state_dir,
                host,
                listen,
                level: daemon::LEVEL,
                ping_interval: Duration::from_millis(300),
                ping_failures: 3,
                report_interval: Duration::from_millis(300),
                users: vec![login("admin", &user, Role::Administrator), login("noc", &guest, Role::Guest)],
                max_sessions: 4,
                seed: Some(i as u64),
                ha: peerdeck::daemon::ha::HaSetup::default(),
            });
        }
        let membership = Membership {
            cluster_id: Line::new("5c1b"),
            name: ClusterName::new("Example"),
            revision: 1,
            addressing: Addressing::HostName,
            groups: vec![GroupName::new("Main_Group"), GroupName::new("Paris")],
            machines,
        };
        for setup in &setups {
            daemon::write_membership(&setup.state_dir, &membership).unwrap();
        }
        let gates = (0..n).map(|_| watch::Sender::new(false)).collect();
        let peers = (0..n).map(|_| None).collect();
        let resolver = Resolver::with_servers(&["127.0.0.1:9".parse().unwrap()]);
        Self { dir, user, guest, membership, setups, gates, peers, resolver }
    }

    pub async fn start(n: usize) -> Self {
        let mut place = Self::prepare(n);
        place.start_all().await;
        place
    }

    pub async fn start_all(&mut self) {
        let n = self.setups.len();
        for i in 0..n {
            self.start_one(i).await;
        }
        for i in 0..n {
            self.wait_up(i, n - 1).await;
        }
    }

    /// Changes the membership of all before they start.
    pub fn change_membership(&mut self, change: impl Fn(&mut Membership)) {
        change(&mut self.membership);
        for setup in &self.setups {
            daemon::write_membership(&setup.state_dir, &self.membership).unwrap();
        }
    }

    pub fn environment(&self, i: usize) -> Environment {
        Environment {
            net: Arc::new(OsNet),
            clock: Arc::new(SystemClock::new()),
            resolver: self.resolver.clone(),
            gate: self.gates[i].subscribe(),
            disk: watch::channel(DiskFault::Ok).1,
            ha: peerdeck::daemon::ha::HaWorld::none(),
        }
    }

    pub async fn start_one(&mut self, i: usize) {
        let running = daemon::start(self.setups[i].clone(), self.environment(i)).await.unwrap();
        self.peers[i] = Some(running);
    }

    pub fn peer(&self, i: usize) -> &Running {
        self.peers[i].as_ref().unwrap()
    }

    pub async fn wait_up(&self, i: usize, connected: usize) {
        let mut links = self.peer(i).links();
        let total = self.setups.len() - 1;
        let wanted = LinkCounts { connected, total };
        let outcome = tokio::time::timeout(PATIENCE, links.wait_for(|l| *l == wanted)).await;
        assert!(outcome.is_ok(), "peer {i}: {:?} instead of {wanted:?}", self.peer(i).links().borrow());
    }

    pub async fn try_login(&self, i: usize, user: &str, key: &Arc<PrivateKey>) -> Result<Session, ConnectError> {
        let target = Target {
            host: self.setups[i].host.to_string(),
            port: self.setups[i].listen.port(),
            user: user.into(),
            credentials: vec![Credential::Key(key.clone())],
            policy: Arc::new(Anything),
            deadlines: Deadlines::default(),
        };
        client::connect(&OsNet, self.setups[i].listen, &target).await
    }

    pub async fn login(&self, i: usize) -> Session {
        self.try_login(i, "admin", &self.user).await.unwrap()
    }

    pub async fn exec(&self, i: usize, command: &str) -> (String, Option<u32>) {
        let output = self.login(i).await.exec(command, 1 << 20, PATIENCE).await.unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status)
    }

    /// Runs `command` until its output satisfies `enough`.
    pub async fn exec_until(&self, i: usize, command: &str, enough: impl Fn(&str) -> bool) -> String {
        let begin = tokio::time::Instant::now();
        loop {
            let (text, _) = self.exec(i, command).await;
            if enough(&text) {
                return text;
            }
            assert!(begin.elapsed() < PATIENCE, "{command}: {text}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Private key of the user, as a file for OpenSSH.
    pub fn user_key_file(&self) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir.path().join("user_key");
        std::fs::write(&path, self.user.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c18_three_peers_connect_all_and_tell_the_whole_mesh() {
    let place = Place::start(3).await;
    let full = |text: &str| text.matches(": connected").count() == 6;
    let text = place.exec_until(0, "clusterconfig connstatus", full).await;
    assert!(text.starts_with("Cluster Example\n===============\nMachine lab1.example.com (Serial #: "), "{text}");
    assert!(text.contains("\n    lab3.example.com (127.0.0.1): connected\n"), "{text}");
}

/// Peers that ran alone first, with nothing set, are given a membership.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_peer_that_was_alone_takes_the_membership_that_it_is_given() {
    let mut place = Place::prepare(2);
    for setup in &place.setups {
        std::fs::remove_file(setup.state_dir.join("membership.json")).unwrap();
    }
    for i in 0..2 {
        place.start_one(i).await;
        let (text, _) = place.exec(i, "clusterconfig list").await;
        assert!(text.contains("not part of a cluster"), "{text}");
        place.peers[i].take().unwrap().stop().await;
    }
    place.change_membership(|_| {});
    place.start_all().await;
    let text = place.exec_until(0, "clusterconfig list", |t| t.contains("lab2")).await;
    assert!(text.contains("cluster = Example"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c21_a_killed_peer_is_refused_and_comes_back() {
    let mut place = Place::start(3).await;
    place.peers[2].take().unwrap().kill();
    place.wait_up(0, 1).await;
    place.wait_up(1, 1).await;
    let gone = |text: &str| text.contains("lab3.example.com (127.0.0.1): disconnected (refused");
    place.exec_until(0, "clusterconfig connstatus", gone).await;
    place.start_one(2).await;
    for i in 0..3 {
        place.wait_up(i, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_peer_says_so() {
    let mut place = Place::start(2).await;
    place.peers[1].take().unwrap().stop().await;
    place.wait_up(0, 0).await;
    let session = place.login(0).await;
    let mut stream = session.subsystem("peerdeck").await.unwrap();
    stream.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"observe\"}\n").await.unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(stream);
    tokio::time::timeout(PATIENCE, reader.read_line(&mut first)).await.unwrap().unwrap();
    assert!(first.contains("it was connected (dropped: lab2.example.com was stopped)"), "{first}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_peer_times_out_and_comes_back_when_thawed() {
    let place = Place::start(3).await;
    place.gates[1].send_replace(true);
    place.wait_up(0, 1).await;
    let (text, _) = place.exec(0, "clusterconfig connstatus").await;
    assert!(text.contains("lab2.example.com (127.0.0.1): disconnected (timeout"), "{text}");
    place.gates[1].send_replace(false);
    for i in 0..3 {
        place.wait_up(i, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c15_levels_are_named_on_both_sides() {
    let place = Place::start(2).await;
    place.peer(1).set_level(2);
    let named = |text: &str| text.contains("disconnected (version: level 2 there, 1 here)");
    place.exec_until(0, "clusterconfig connstatus", named).await;
    let named = |text: &str| text.contains("disconnected (version: level 1 there, 2 here)");
    place.exec_until(1, "clusterconfig connstatus", named).await;
    place.peer(1).set_level(1);
    place.wait_up(0, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_host_key_is_no_connection() {
    // Of three, one at least has a lower and one a higher serial number than the one in the middle.
    let mut place = Place::start(3).await;
    let mut order = [0, 1, 2];
    order.sort_by_key(|i| place.peer(*i).identity().clone());
    let (low, changed, high) = (order[0], order[1], order[2]);
    place.peers[changed].take().unwrap().kill();
    daemon::new_host_key(&place.setups[changed].state_dir).unwrap();
    place.start_one(changed).await;
    for i in [low, high] {
        let refused = |text: &str| {
            let own = text.split("Machine ").find(|t| t.starts_with(place.setups[i].host.as_str())).unwrap();
            own.contains("(host-key: ") && own.contains("the membership pins SHA256:")
        };
        place.exec_until(i, "clusterconfig connstatus", refused).await;
        assert_eq!(place.peer(i).links().borrow().connected, 1);
    }
    let own = |text: &str| text.matches("(host-key: this machine's own host key SHA256:").count() == 2;
    place.exec_until(changed, "clusterconfig connstatus", own).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_machine_learns_that_it_is_not_in_the_cluster() {
    let mut place = Place::prepare(3);
    let mut known = place.membership.clone();
    known.machines.retain(|m| m.host.short() != "lab3");
    for i in 0..2 {
        daemon::write_membership(&place.setups[i].state_dir, &known).unwrap();
    }
    for i in 0..3 {
        place.start_one(i).await;
    }
    let told = |text: &str| text.matches("disconnected (not-in-cluster: ").count() == 2;
    place.exec_until(2, "clusterconfig connstatus", told).await;
    let mut links = place.peer(0).links();
    tokio::time::timeout(PATIENCE, links.wait_for(|l| l.connected == 1 && l.total == 1)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_logs_in_and_nothing_is_forwarded() {
    let place = Place::start(2).await;
    let stranger = place.try_login(0, "admin", &new_key()).await.err().unwrap();
    assert_eq!(stranger.cause, peerdeck::domain::Cause::Auth, "{stranger}");
    let session = place.login(0).await;
    assert!(session.subsystem("peerdeck-mesh").await.is_err(), "machine keys only");
    assert!(session.subsystem("sftp").await.is_err());
    let port = place.setups[1].listen.port();
    assert!(session.forward("127.0.0.1", port).await.is_err());

    let keys = peerdeck::daemon::store::read_keys(&place.setups[1].state_dir).unwrap();
    let machine = place.try_login(0, keys.id.as_str(), &Arc::new(keys.machine)).await.unwrap();
    assert!(machine.exec("version", 1000, PATIENCE).await.is_err(), "a machine key opens no command");
    assert!(machine.subsystem("peerdeck").await.is_err(), "nor the observers' subsystem");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c30_surplus_logins_are_dropped_and_links_stay() {
    let place = Place::start(2).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let session = place.login(0).await;
        held.push((session.subsystem("peerdeck").await.unwrap(), session));
    }
    let surplus = match place.try_login(0, "admin", &place.user).await {
        Err(e) => e,
        Ok(session) => session.exec("version", 1000, PATIENCE).await.err().unwrap(),
    };
    assert_eq!(surplus.cause, peerdeck::domain::Cause::TooManyConnections, "{surplus}");
    assert_eq!(place.peer(0).links().borrow().connected, 1);
    drop(held.pop());
    let begin = tokio::time::Instant::now();
    while place.try_login(0, "noc", &place.guest).await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "the place was not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_answer_in_the_dialect_with_a_status() {
    let place = Place::start(2).await;
    let (text, status) = place.exec(0, "version").await;
    assert!(text.starts_with("Current Version\n===============\nProduct: ") && text.contains("\nSerial #: "), "{text}");
    assert_eq!(status, Some(0));
    let (text, status) = place.exec(0, "clustermode cluster; clusterconfig list").await;
    assert!(
        text.starts_with("cluster = Example\nGroup Main_Group:\n    Machine lab1.example.com (Serial #: "),
        "{text}"
    );
    assert!(text.ends_with("Group Paris:\n"), "{text}");
    assert_eq!(status, Some(0));
    let (text, status) = place.exec(0, "frobnicate now").await;
    assert_eq!((text.as_str(), status), ("Unknown command or missing feature key: frobnicate\n", Some(1)));
    let (text, status) = place.exec(0, "status").await;
    assert!(text.contains("System status:                 Online\n") && text.contains("1 of 1 connected"), "{text}");
    assert_eq!(status, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c18_a_mesh_of_twenty_forms() {
    let mut place = Place::prepare(20);
    for setup in &mut place.setups {
        // Unhurried: 380 debug links on a busy machine would miss three pings of a second each by turns.
        setup.ping_interval = Duration::from_secs(5);
    }
    place.start_all().await;
    place.exec_until(7, "clusterconfig connstatus", |text| text.matches(": connected").count() == 380).await;
}
