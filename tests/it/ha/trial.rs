//! Two hosts that share an address, and a third one: what goes wrong with the holder, who takes over when, and whether two
//! ever held at once. For `tests/it/ha/hosts.rs` and `benches/failover.rs`. Needs root; keepalived for that side.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::ns::{Net, Recorder, Seen, boot, holders, overlaps, sh};

/// Where the services behind the address listen.
pub const SERVICE: u16 = 2525;
/// The host that is the witness, and the client.
pub const WITNESS: usize = 2;
/// How long anything may take before the harness gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// The shared address.
pub fn vip() -> IpAddr {
    IpAddr::from([192, 0, 2, 100])
}

/// Who shares it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// keepalived, as Debian has it.
    Keepalived,
    /// Ours, with this `witness`.
    Peerdeck(&'static str),
}

/// How often beats go, and how many may be missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Between beats.
    pub interval: Duration,
    /// So many missed.
    pub missed: u32,
}

impl Setting {
    /// Silence that counts as death.
    pub fn threshold(self) -> Duration {
        self.interval * self.missed
    }

    /// Within this of the fault the other has the address (a lease of 1 s), as the rehearsal says: with `require` the last
    /// vote for the holder may have been asked for with its last breath.
    pub fn bound(self, system: System) -> Duration {
        let permit = Duration::from_millis(3500);
        let vote = match system {
            System::Peerdeck("require") => permit * 111 / 100,
            System::Peerdeck(_) | System::Keepalived => permit,
        };
        self.threshold().max(vote) + Duration::from_millis(500)
    }
}

/// What goes wrong with the holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Its daemon alone is killed.
    Kill,
    /// All its processes are killed.
    KillAll,
    /// Its daemon alone is stopped for so many thresholds, then goes on.
    Stop(u32),
    /// All its processes are.
    StopAll(u32),
    /// It is ended as an administrator would.
    End,
    /// Its ports are switched off, later on again.
    PortsOff,
    /// Nothing reaches it, later all does.
    Partition,
    /// The two hear nothing of each other, the third host hears both.
    Between,
    /// The holder and the third host hear nothing of each other.
    FromWitness,
}

impl Fault {
    /// For a table.
    pub fn text(self) -> String {
        match self {
            Self::Kill => "SIGKILL of the daemon".into(),
            Self::KillAll => "SIGKILL of all its processes".into(),
            Self::Stop(n) => format!("SIGSTOP of the daemon, {n} x threshold"),
            Self::StopAll(n) => format!("SIGSTOP of all, {n} x threshold"),
            Self::End => "clean stop".into(),
            Self::PortsOff => "all its ports down".into(),
            Self::Partition => "isolated from all".into(),
            Self::Between => "cut between the two".into(),
            Self::FromWitness => "cut from the witness".into(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From the fault, once it was whole, until the other had the address; `None`: it did not take it.
    pub took: Option<Duration>,
    /// How often two held at once, and how long in all.
    pub two: (usize, Duration),
    /// From the last end of holding before the takeover until it.
    pub nobody: Option<Duration>,
    /// All that was seen: for messages of tests.
    pub seen: Seens,
}

/// As [`Recorder::seen`] says it, with who was there when.
#[derive(Clone)]
pub struct Seens(pub Vec<Seen>);

impl std::fmt::Debug for Seens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for s in &self.0 {
            writeln!(f, "{:?} host {} {}", s.at, s.host, if s.there { "has it" } else { "lost it" })?;
        }
        Ok(())
    }
}

/// What else stands in the configuration of each unit.
#[derive(Clone, Default, Debug)]
pub struct More {
    /// Keys of `[ha]`.
    pub keys: String,
    /// Tables after all others.
    pub tables: String,
}

/// The hosts at work.
pub struct Hosts {
    /// Where.
    pub net: Net,
    /// What runs there.
    pub system: System,
    /// How.
    pub setting: Setting,
    /// Who holds.
    pub recorder: Recorder,
    dir: tempfile::TempDir,
    program: String,
    more: More,
    running: [Option<Child>; 3],
    stop: Arc<AtomicBool>,
}

impl Hosts {
    /// Starts all, waits until one holds. `program` is peerdeck's path.
    pub fn start(program: &str, system: System, setting: Setting) -> Self {
        Self::with(program, system, setting, More::default())
    }

    /// The same, with more in each unit's configuration.
    pub fn with(program: &str, system: System, setting: Setting, more: More) -> Self {
        let net = Net::new("pdh", 3, 2);
        let recorder = Recorder::new(&net, vip());
        let dir = tempfile::Builder::new().prefix("pdh").tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let program = program.to_owned();
        let mut hosts = Self { net, system, setting, recorder, dir, program, more, running: [None, None, None], stop };
        for host in 0..2 {
            hosts.serve(host);
        }
        if hosts.has_witness() {
            hosts.run(WITNESS);
        }
        hosts.run(0);
        hosts.run(1);
        hosts.recorder.wait(PATIENCE, "somebody holds", |s| s.there);
        hosts
    }

    fn has_witness(&self) -> bool {
        matches!(self.system, System::Peerdeck(witness) if witness != "off")
    }

    /// A service that greets, as SMTP does.
    fn serve(&self, host: usize) {
        let (stop, name) = (Arc::clone(&self.stop), self.net.hosts[host].clone());
        let net = &self.net;
        let listener = std::thread::scope(|scope| {
            let there = scope.spawn(move || {
                net.enter(host);
                TcpListener::bind(("0.0.0.0", SERVICE)).unwrap()
            });
            there.join().unwrap()
        });
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        let _ = stream.write_all(format!("220 {name}\r\n").as_bytes());
                    }
                    Err(_) => std::thread::sleep(Duration::from_micros(300)),
                }
            }
        });
    }

    /// Starts the daemon of a host.
    pub fn run(&mut self, host: usize) {
        let dir = self.dir.path().join(&self.net.hosts[host]);
        std::fs::create_dir_all(&dir).unwrap();
        let mut command = match self.system {
            System::Keepalived => {
                let conf = dir.join("keepalived.conf");
                std::fs::write(&conf, self.keepalived(host)).unwrap();
                let mut command = self.net.command(host, "keepalived");
                let file = |name: &str| dir.join(name).into_os_string();
                // A killed one's child may stay a zombie for a while, which keepalived takes for itself.
                for name in ["pid", "vrrp"] {
                    let _ = std::fs::remove_file(file(name));
                }
                command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file"]).arg(&conf);
                command.arg("--pid").arg(file("pid")).arg("--vrrp_pid").arg(file("vrrp"));
                command
            }
            System::Peerdeck(witness) => {
                let conf = dir.join("peer.toml");
                std::fs::write(&conf, self.peer(host, witness, &dir)).unwrap();
                let mut command = self.net.command(host, &self.program);
                command.args(["-v", "peer", "--config"]).arg(&conf);
                command
            }
        };
        let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running[host] = Some(command.spawn().unwrap());
    }

    fn keepalived(&self, host: usize) -> String {
        let secs = self.setting.interval.as_secs_f64();
        let priority = 100 - host * 10;
        format!(
            "global_defs {{\n vrrp_version 3\n vrrp_garp_master_repeat 5\n}}\n\
             vrrp_instance gw {{\n state BACKUP\n nopreempt\n interface eth1\n virtual_router_id 51\n \
             priority {priority}\n advert_int {secs}\n virtual_ipaddress {{\n  {}/24 dev eth0\n }}\n}}\n",
            vip()
        )
    }

    fn peer(&self, host: usize, witness: &str, dir: &std::path::Path) -> String {
        let password = dir.join("password");
        if !password.exists() {
            std::fs::write(&password, "a password for tests of high availability\n").unwrap();
            sh(&format!("chmod 600 {}", password.display()));
        }
        let ms = |d: Duration| format!("{} ms", d.as_millis());
        let mut text = format!(
            "host-name = \"h{host}.example.com\"\nstate-dir = \"{}\"\nlisten = \"0.0.0.0:2222\"\n",
            dir.join("state").display()
        );
        if host == WITNESS {
            writeln!(
                text,
                "[[witness]]\ngroup = \"gw\"\nhb-base-port = 20000\nlocal-ip = [\"{}\", \"{}\"]\nvip-lease = \"1 s\"\n\
                 password-file = [\"{}\"]",
                Net::ip(host, 1),
                Net::ip(host, 0),
                password.display()
            )
            .unwrap();
            return text;
        }
        let other = 1 - host;
        let mode = if host == 0 { "primary" } else { "secondary" };
        writeln!(
            text,
            "[ha]\ngroup = \"gw\"\nmode = \"{mode}\"\non-failure = \"become-secondary\"\nhb-interval = \"{}\"\n\
             hb-lost-threshold = \"{}\"\nwitness = \"{witness}\"\nvip-lease = \"1 s\"\npassword-file = [\"{}\"]",
            ms(self.setting.interval),
            ms(self.setting.threshold()),
            password.display()
        )
        .unwrap();
        if witness != "off" {
            let at = |link| SocketAddr::from((Net::ip(WITNESS, link), 20_000));
            writeln!(text, "witness-address = [\"{}\", \"{}\"]", at(1), at(0)).unwrap();
        }
        text.push_str(&self.more.keys);
        for (link, status) in [(1, "primary"), (0, "secondary")] {
            writeln!(
                text,
                "[[ha.interface]]\nname = \"eth{link}\"\nheartbeat-status = \"{status}\"\nlocal-ip = \"{}\"\n\
                 peer-ip = \"{}\"",
                Net::ip(host, link),
                Net::ip(other, link)
            )
            .unwrap();
            if link == 0 {
                writeln!(text, "virtual-ip = \"{}/24\"\naction-on-primary = \"add\"", vip()).unwrap();
            }
        }
        text.push_str(&self.more.tables);
        text
    }

    /// Who holds now; panics unless it is exactly one.
    #[track_caller]
    pub fn holder(&self) -> usize {
        let seen = self.recorder.seen();
        let now = holders(&seen);
        assert_eq!(now.len(), 1, "one holder: {seen:?}\n{}", self.logs());
        now[0]
    }

    /// The end of what the daemons said.
    pub fn logs(&self) -> String {
        sh(&format!("tail -n 40 {}/*/log 2>/dev/null || true", self.dir.path().display()))
    }

    /// The processes of a host: its daemon's, or all.
    fn processes(&self, host: usize, all: bool) -> Vec<Pid> {
        let pids = sh(&format!("ip netns pids {}", self.net.hosts[host]));
        let daemon = |pid: &str| {
            // Neither the guard nor what else serves there; keepalived has two that are one.
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            matches!(name.trim_end(), "peerdeck" | "keepalived")
        };
        let wanted = pids.lines().filter(|pid| all || daemon(pid));
        wanted.filter_map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    /// Does it to the holder, heals it, and tells what came of it. `settle`: how long all stays as it is before and after.
    pub fn trial(&mut self, fault: Fault, settle: Duration) -> Outcome {
        std::thread::sleep(settle);
        let holder = self.holder();
        let other = 1 - holder;
        // Looked for beforehand: a moment of a busy machine between two of them would be a fault of another kind.
        let all = matches!(fault, Fault::KillAll | Fault::StopAll(_));
        let processes = self.processes(holder, all);
        self.recorder.clear();
        let threshold = self.setting.threshold();
        let stay = self.setting.bound(self.system).max(threshold * 2);
        let taken = |hosts: &Self| hosts.recorder.seen().iter().any(|s| s.host == other && s.there);
        // As long as a fault lasts: until the other has it, and a moment more; else as long as it should have taken.
        let lasting = |hosts: &Self| {
            let end = Instant::now() + stay;
            while Instant::now() < end && !taken(hosts) {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(500));
        };
        let began;
        match fault {
            Fault::Kill | Fault::KillAll => {
                began = signal(&processes, Signal::KILL);
                lasting(self);
                self.reap(holder);
                if self.system == System::Keepalived {
                    // What it left behind it does not always take away when it starts again.
                    let name = &self.net.hosts[holder];
                    sh(&format!("ip -n {name} addr del {}/24 dev eth0 2>/dev/null || true", vip()));
                }
                self.run(holder);
            }
            Fault::Stop(n) | Fault::StopAll(n) => {
                began = signal(&processes, Signal::STOP);
                std::thread::sleep(threshold * n);
                signal(&processes, Signal::CONT);
            }
            Fault::End => {
                began = signal(&processes, Signal::TERM);
                lasting(self);
                self.reap(holder);
                self.run(holder);
            }
            Fault::PortsOff => {
                for link in 0..2 {
                    self.net.port(holder, link, false);
                }
                began = boot();
                lasting(self);
                for link in 0..2 {
                    self.net.port(holder, link, true);
                }
            }
            Fault::Partition => {
                for link in 0..2 {
                    self.net.cut(holder, link, true);
                }
                began = boot();
                lasting(self);
                for link in 0..2 {
                    self.net.cut(holder, link, false);
                }
            }
            Fault::Between | Fault::FromWitness => {
                let third = if fault == Fault::Between { other } else { WITNESS };
                self.net.cut_between(holder, third, true);
                began = boot();
                lasting(self);
                self.net.cut_between(holder, third, false);
            }
        }
        // Until one holds again, and it stays so.
        let end = Instant::now() + PATIENCE;
        while holders(&self.recorder.seen()).len() != 1 {
            assert!(Instant::now() < end, "{fault:?}: nobody, or two, for good\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(settle);
        let seen = self.recorder.seen();
        let took = seen.iter().find(|s| s.host == other && s.there).map(|s| s.at);
        let gone = took.and_then(|took| seen.iter().rfind(|s| s.at <= took && s.host == holder && !s.there));
        Outcome {
            took: took.map(|at| at.saturating_sub(began)),
            two: overlaps(&seen),
            nobody: took.zip(gone).map(|(took, gone)| took.saturating_sub(gone.at)),
            seen: Seens(seen),
        }
    }

    fn reap(&mut self, host: usize) {
        if let Some(mut child) = self.running[host].take() {
            let end = Instant::now() + PATIENCE;
            while child.try_wait().unwrap().is_none() {
                assert!(Instant::now() < end, "a daemon does not end\n{}", self.logs());
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Ends the holder cleanly while a client connects again and again (each 2 ms): the longest time without a greeting.
    pub fn switchover_gap(&mut self, settle: Duration) -> Duration {
        let stop = AtomicBool::new(false);
        let mut gap = Duration::ZERO;
        std::thread::scope(|scope| {
            let (net, stop) = (&self.net, &stop);
            let client = scope.spawn(move || {
                net.enter(WITNESS);
                let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let greeted =
                        TcpStream::connect_timeout(&SocketAddr::from((vip(), SERVICE)), Duration::from_millis(10))
                            .and_then(|mut s| {
                                s.set_read_timeout(Some(Duration::from_millis(50)))?;
                                s.read_exact(&mut [0; 3])
                            });
                    if greeted.is_ok() {
                        longest = longest.max(last.elapsed());
                        last = Instant::now();
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                longest.max(last.elapsed())
            });
            std::thread::sleep(settle);
            let holder = self.holder();
            signal(&self.processes(holder, false), Signal::TERM);
            std::thread::sleep(self.setting.bound(self.system) + settle);
            stop.store(true, Ordering::Relaxed);
            gap = client.join().unwrap();
        });
        let idle = (0..2).find(|h| self.running[*h].as_mut().is_some_and(|c| c.try_wait().is_ok_and(|s| s.is_some())));
        if let Some(host) = idle {
            self.reap(host);
            self.run(host);
        }
        gap
    }
}

/// Sends it to all of them at once; tells when.
fn signal(processes: &[Pid], signal: Signal) -> Duration {
    let began = boot();
    // keepalived's child says good-bye when its parent is gone: of two that are killed none may see the other die.
    let first = (signal == Signal::KILL).then_some(Signal::STOP);
    for signal in first.into_iter().chain([signal]) {
        for pid in processes {
            // The guard of a stopped daemon ends, and so has nothing to go on with.
            let _ = kill_process(*pid, signal);
        }
    }
    began
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for host in 0..3 {
            let name = &self.net.hosts[host];
            let _ = std::process::Command::new("sh")
                .args(["-c", &format!("for p in $(ip netns pids {name}); do kill -KILL $p; done")])
                .status();
            if let Some(mut child) = self.running[host].take() {
                let _ = child.wait();
            }
        }
    }
}
