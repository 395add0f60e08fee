//! The console as a whole process against synthetic peers, for meshes that a lab in one process can't bring up.
//! Run it with `cargo bench --bench sources -- 20 100 200`; figures go to `benches/README.md`.
//!
//! *Synthetic* is what the peers say: this process plays all of them from a script. Each answers `observe` with
//! a whole report (identity, membership of all in three groups, a row in which every link is up) and from then on
//! sends one delta a second with a new round trip of each link. No peer dials another, nothing ever fails, and
//! there are no events. All of them share one host key and let any user key in.
//!
//! *Real* is everything between that and the screen: a TCP connection on the loopback and an SSH handshake, login
//! and subsystem per peer, with a known host key; and the console, a process of its own in a PTY of 220x60. Its
//! CPU time and memory are read from the system, so the peers' share is not in them. The peers do compete with it
//! for the cores, though, which shows in the time to the first complete grid: their half of each handshake is in it.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use peerdeck::proto::membership::{WireMachine, WireMembership};
use peerdeck::proto::observe::{Report, WireDelta, WireIdentity, WireLink, WireRow};
use peerdeck::proto::rpc::{METHOD_NOT_FOUND, Request, Response, SUBSYSTEM};
use peerdeck::proto::{self, VERSION};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::{Algorithm, LineEnding};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelId, ChannelStream, MethodKind, MethodSet};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval};

#[path = "console_process.rs"]
#[expect(dead_code, reason = "the bench `idle` counts wake-ups thread by thread")]
mod console_process;

const GROUPS: [&str; 3] = ["north", "south", "west"];
/// Between reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// Start of every peer, and the sequence number of its row, which never changes.
const BOOT: u64 = 1;
const SEQ: u64 = 1;

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![20] } else { sizes };
    println!("| synthetic peers | links | {} | wake-ups/s silent, fresh | silent, stale |", console_process::COLUMNS);
    println!("|---|---|---|---|{}", console_process::RULE);
    for n in sizes {
        measure(n);
    }
}

fn measure(peers: usize) {
    let dir = tempfile::tempdir().unwrap();
    let host_key = new_key();
    let servers = Runtime::new().unwrap();
    let mute = Arc::new(AtomicBool::new(false));
    let addresses = servers.block_on(serve(peers, &host_key, &mute));
    let fleet = write_fleet(dir.path(), &addresses, &host_key);
    let mut silent = (0.0, 0.0);
    let figures = console_process::measure(&fleet, dir.path(), |pid| {
        mute.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(500)); // What was on its way has arrived.
        silent.0 = wakes_per_second(pid, Duration::from_secs(2));
        std::thread::sleep(Duration::from_secs(20)); // Facts are stale, connections are given up and dialled again.
        silent.1 = wakes_per_second(pid, Duration::from_secs(20));
    });
    println!("| {peers} | {} | {figures} | {:.1} | {:.1} |", peers * (peers - 1), silent.0, silent.1);
    std::io::stdout().flush().unwrap();
    servers.shutdown_background();
}

#[expect(clippy::cast_precision_loss, reason = "a figure for a table")]
fn wakes_per_second(pid: u32, span: Duration) -> f64 {
    let before = console_process::wake_ups(pid);
    std::thread::sleep(span);
    (console_process::wake_ups(pid) - before) as f64 / span.as_secs_f64()
}

fn new_key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

fn public(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap().trim().to_owned()
}

/// Writes the user's key, `known_hosts` and `fleet.toml`; the path of the latter.
fn write_fleet(dir: &Path, addresses: &[SocketAddr], host_key: &PrivateKey) -> String {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let host_key = public(host_key);
    let mut lines = String::new();
    for at in addresses {
        writeln!(lines, "[{}]:{} {host_key}", at.ip(), at.port()).unwrap();
    }
    let known_hosts = write("known_hosts", &lines);
    let key = write("user_key", &new_key().to_openssh(LineEnding::LF).unwrap());
    let mut text = format!(
        "[defaults]\nuser = \"bench\"\nauth = [\"key:{key}\"]\nknown-hosts = [\"{known_hosts}\"]\n\n\
         [[cluster]]\nname = \"synthetic\"\ndiscover = false\n"
    );
    for at in addresses {
        write!(text, "\n[[cluster.peer]]\nhost = \"{}\"\nport = {}\n", at.ip(), at.port()).unwrap();
    }
    write("fleet.toml", &text)
}

/// Binds and runs all peers; where they listen.
async fn serve(peers: usize, host_key: &PrivateKey, mute: &Arc<AtomicBool>) -> Vec<SocketAddr> {
    let mut listeners = Vec::with_capacity(peers);
    for i in 0..peers {
        let ip = Ipv4Addr::new(127, 88, u8::try_from(i / 250).unwrap(), u8::try_from(i % 250 + 1).unwrap());
        listeners.push(TcpListener::bind((ip, 0)).await.unwrap());
    }
    let addresses: Vec<SocketAddr> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
    let membership = membership(&addresses, &public(host_key));
    let mesh = Arc::new(Mesh { membership, began: Instant::now(), mute: Arc::clone(mute) });
    let config = Arc::new(Config {
        keys: vec![host_key.clone()],
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        nodelay: true,
        ..Config::default()
    });
    for (me, listener) in listeners.into_iter().enumerate() {
        let (mesh, config) = (Arc::clone(&mesh), Arc::clone(&config));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (peer, config) = (Peer { mesh: Arc::clone(&mesh), me }, Arc::clone(&config));
                tokio::spawn(async move {
                    // Consoles are killed at the end of a measurement: errors are no surprise here.
                    if let Ok(running) = run_stream(config, stream, peer).await {
                        let _ = running.await;
                    }
                });
            }
        });
    }
    addresses
}

fn membership(addresses: &[SocketAddr], host_key: &str) -> WireMembership {
    let machine = |(i, at): (usize, &SocketAddr)| WireMachine {
        serial: serial(i),
        host: host(i),
        group: GROUPS[i % GROUPS.len()].to_owned(),
        address: at.ip().to_string(),
        port: at.port(),
        machine_key: host_key.to_owned(),
        host_key: host_key.to_owned(),
    };
    WireMembership {
        v: VERSION,
        cluster_id: format!("{:032x}", 1),
        name: "synthetic".to_owned(),
        revision: 1,
        addressing: "ip".to_owned(),
        groups: GROUPS.map(str::to_owned).to_vec(),
        machines: addresses.iter().enumerate().map(machine).collect(),
    }
}

/// Serial numbers sort as the peers are numbered.
fn serial(i: usize) -> String {
    format!("564D{i:08X}-BENCH")
}

fn host(i: usize) -> String {
    format!("gw{}.example.com", i + 1)
}

struct Mesh {
    membership: WireMembership,
    began: Instant,
    /// Nobody says anything any more, and all go on listening.
    mute: Arc<AtomicBool>,
}

/// One of the peers.
#[derive(Clone)]
struct Peer {
    mesh: Arc<Mesh>,
    me: usize,
}

impl Handler for Peer {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        let peer = self.clone();
        tokio::spawn(async move {
            let _ = peer.talk(channel.into_stream()).await;
        });
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if name == SUBSYSTEM { session.channel_success(id) } else { session.channel_failure(id) }
    }
}

impl Peer {
    /// Answers requests, and reports once it is observed.
    async fn talk(self, stream: ChannelStream<Msg>) -> std::io::Result<()> {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut requests = BufReader::new(reader).lines();
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut random = Lcg(u64::try_from(self.me).unwrap());
        let mut n = 0; // Reports so far; none before `observe`.
        loop {
            let mut out = tokio::select! {
                line = requests.next_line() => {
                    let Some(line) = line? else { return Ok(()) };
                    let request: Request = proto::read(line.as_bytes()).unwrap();
                    let id = request.id.unwrap_or_default();
                    match request.method.as_str() {
                        "observe" => {
                            n = 1;
                            tick.reset();
                            let mut out = proto::write(&Response::ok(id, &json!({})));
                            out.push(b'\n');
                            out.extend(proto::write(&Request::notification("report", &self.first(&mut random))));
                            out
                        }
                        "ping" | "relay" => proto::write(&Response::ok(id, &json!({}))),
                        _ => proto::write(&Response::error(id, METHOD_NOT_FOUND, "not in this script")),
                    }
                }
                _ = tick.tick(), if n > 0 => {
                    n += 1;
                    proto::write(&Request::notification("report", &self.next(n, &mut random)))
                }
            };
            if self.mesh.mute.load(Ordering::Relaxed) {
                continue;
            }
            out.push(b'\n');
            writer.write_all(&out).await?;
            writer.flush().await?;
        }
    }

    /// What every report has.
    fn report(&self, n: u64) -> Report {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Report { v: VERSION, n, clock: self.clock(), wall: proto::ms(wall), ..Report::default() }
    }

    /// Never 0, so that links can be up since before.
    fn clock(&self) -> u64 {
        3_600_000 + proto::ms(self.mesh.began.elapsed())
    }

    fn first(&self, random: &mut Lcg) -> Report {
        let clock = self.clock();
        let links = self.others().map(|to| WireLink {
            to: serial(to),
            state: "connected".to_owned(),
            since: 1,
            rtt: Some(random.round_trip().unsigned_abs()),
            heard: Some(clock),
            address: Some(format!(
                "{}:{}",
                self.mesh.membership.machines[to].address, self.mesh.membership.machines[to].port
            )),
            attempts: 1,
            ..WireLink::default()
        });
        Report {
            identity: Some(WireIdentity {
                serial: serial(self.me),
                host: host(self.me),
                version: concat!("peerdeck ", env!("CARGO_PKG_VERSION")).to_owned(),
                level: 1,
                boot: BOOT,
                interval: proto::ms(INTERVAL),
            }),
            membership: Some(self.mesh.membership.clone()),
            row: Some(WireRow {
                origin: serial(self.me),
                boot: BOOT,
                seq: SEQ,
                level: 1,
                links: links.collect(),
                ..WireRow::default()
            }),
            sessions: Some(Vec::new()),
            ..self.report(1)
        }
    }

    fn next(&self, n: u64, random: &mut Lcg) -> Report {
        let pings = self.others().map(|_| random.round_trip()).collect();
        Report { delta: Some(WireDelta { seq: SEQ, level: 1, pings, ..WireDelta::default() }), ..self.report(n) }
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        let me = self.me;
        (0..self.mesh.membership.machines.len()).filter(move |i| *i != me)
    }
}

/// Numbers that vary, the same in each run.
struct Lcg(u64);

impl Lcg {
    /// 100 to 899 µs.
    fn round_trip(&mut self) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        100 + i64::try_from((self.0 >> 33) % 800).unwrap()
    }
}
