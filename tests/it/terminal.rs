//! The console on a real terminal: this binary starts itself once more inside a pseudo terminal, where
//! [`child`] runs the real event loop over the real engine, fed by peers that only say what they are told to.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peerdeck::app::{Diagnosis, DiagnosisStep, StepResult};
use peerdeck::cli::console::{self, Diagnose};
use peerdeck::clock::{Clock, SystemClock};
use peerdeck::domain::ids::{BootId, GroupName, HostName, PeerId};
use peerdeck::domain::membership::{Addressing, Machine};
use peerdeck::domain::observation::{Fact, Identity, Observation};
use peerdeck::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use peerdeck::domain::snapshot::Limits;
use peerdeck::domain::{Line, Link, LinkState, Membership, Row};
use peerdeck::engine::runtime::{Connector, spawn};
use peerdeck::engine::{ClusterConfig, Config};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

/// Says to [`child`] what to be.
const CHILD: &str = "PEERDECK_TEST_CHILD";
/// How long a test waits for what must come. Generous: the machine may be busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(20);
const PEERS: usize = 3;

/// Peers that report that all is well, once a second.
struct Told(Arc<dyn Clock>);

impl Connector for Told {
    fn start(&self, endpoint: Endpoint, events: mpsc::Sender<(EndpointKey, PeerEvent)>) -> mpsc::Sender<PeerRequest> {
        let (requests, mut inbox) = mpsc::channel(8);
        let clock = Arc::clone(&self.0);
        tokio::spawn(async move {
            let me: usize = endpoint.key.host.short().trim_start_matches("lab").parse().unwrap();
            let id = peer(me);
            let hello = PeerEvent::Connected { address: None, took: Duration::from_millis(3), id: id.clone() };
            let _ = events.send((endpoint.key.clone(), hello)).await;
            let mut seq = 0;
            loop {
                seq += 1;
                let now = clock.now();
                let facts =
                    [Fact::Identity(identity(me)), Fact::Membership(Arc::new(members())), Fact::Row(row(me, seq, now))];
                let facts = facts.map(|fact| Observation { at: now, observer: id.clone(), fact });
                if events.send((endpoint.key.clone(), PeerEvent::Observed(facts.into()))).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    request = inbox.recv() => if request.is_none() { return },
                }
            }
        });
        requests
    }
}

fn peer(n: usize) -> PeerId {
    PeerId::new(&format!("SN{n:04}"))
}

fn host(n: usize) -> HostName {
    HostName::new(&format!("lab{n}.example.com"))
}

fn identity(me: usize) -> Identity {
    Identity {
        id: peer(me),
        host: host(me),
        version: Line::new("peerdeck test"),
        level: 1,
        boot: BootId(1),
        interval: Duration::from_secs(1),
    }
}

fn members() -> Membership {
    let machine = |n| Machine {
        id: peer(n),
        host: host(n),
        group: GroupName::new("Paris"),
        address: host(n),
        port: 22,
        machine_key: Line::default(),
        host_key: Line::default(),
    };
    Membership {
        cluster_id: Line::new("c1"),
        name: "americas".into(),
        revision: 1,
        addressing: Addressing::HostName,
        groups: vec![GroupName::new("Paris")],
        machines: (1..=PEERS).map(|n| Arc::new(machine(n))).collect(),
    }
}

fn row(me: usize, seq: u64, now: peerdeck::domain::Time) -> Arc<Row> {
    let links = (1..=PEERS).filter(|n| *n != me).map(|n| {
        let mut link = Link::connecting(peer(n), now.before(Duration::from_mins(1)));
        link.state = LinkState::Connected;
        link.rtt = Some(Duration::from_micros(700));
        Arc::new(link)
    });
    Arc::new(Row {
        origin: peer(me),
        boot: BootId(1),
        seq,
        vouched: now,
        via: None,
        detached: None,
        maintenance: None,
        level: 1,
        links: links.collect(),
    })
}

/// Not a test by itself: the program inside the pseudo terminal.
#[test]
#[ignore = "started by the tests of this module inside a pseudo terminal"]
fn child() {
    let Ok(mode) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let endpoints = (1..=PEERS).map(|n| Endpoint {
            key: EndpointKey { cluster: "americas".into(), host: host(n), port: 22 },
            expected: None,
            address: None,
            vouched_host_key: None,
        });
        let cluster = ClusterConfig {
            name: "americas".into(),
            endpoints: endpoints.collect(),
            discover: false,
            limits: Limits::default(),
            catalogue: Arc::default(),
        };
        let (observer, commander) =
            spawn(Config { clusters: vec![cluster] }, Arc::new(Told(Arc::clone(&clock))), Arc::clone(&clock));
        let diagnose: Diagnose = match mode.as_str() {
            "panic" => Arc::new(|_| panic!("the console itself fails")),
            "foreign" => Arc::new(|_| Box::pin(async { panic!("something else fails") })),
            _ => Arc::new(|request| {
                let step = DiagnosisStep {
                    step: Line::new("tcp"),
                    result: StepResult::Failed,
                    took: Some(Duration::from_millis(2)),
                    detail: Line::new("connection refused"),
                    hint: Line::new("is the peer process running?"),
                };
                let title = Line::new(&format!("{} from here", request.to));
                Box::pin(async move { Diagnosis { title, steps: vec![step] } })
            }),
        };
        let commander = (mode != "read-only").then_some(commander);
        console::run(crate::terminal_side::options(), observer, commander, diagnose, clock).await
    });
    match result {
        Ok(()) => println!("ended well"),
        Err(error) => println!("refused: {error}"),
    }
}

/// The program inside a pseudo terminal, and what its screen shows.
pub struct Pty {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Everything that came, as it came.
    raw: Arc<Mutex<Vec<u8>>>,
    /// Set by us: let go of the terminal at its next output.
    close: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

fn command(mode: &str, env: &[(&str, &str)]) -> CommandBuilder {
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "terminal::child", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env_clear();
    let mut vars = BTreeMap::from([
        ("TERM", "xterm-256color"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("RUST_BACKTRACE", "0"),
        (CHILD, mode),
    ]);
    vars.extend(env.iter().copied());
    for (name, value) in vars {
        command.env(name, value);
    }
    command
}

impl Pty {
    pub fn start(mode: &str, size: (u16, u16), env: &[(&str, &str)]) -> Self {
        Self::start_with(mode, size, env, true)
    }

    fn start_with(mode: &str, size: (u16, u16), env: &[(&str, &str)], controlling: bool) -> Self {
        let mut command = command(mode, env);
        command.set_controlling_tty(controlling);
        Self::run(command, size)
    }

    pub fn run(command: CommandBuilder, size: (u16, u16)) -> Self {
        let pair = native_pty_system().openpty(pty_size(size)).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(size.1, size.0, 0)));
        let closed = Arc::new(AtomicBool::new(false));
        let close = Arc::new(AtomicBool::new(false));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&raw);
        let (into, ended, stop) = (Arc::clone(&screen), Arc::clone(&closed), Arc::clone(&close));
        std::thread::spawn(move || {
            let mut bytes = [0; 8192];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..n]);
                into.lock().unwrap().process(&bytes[..n]);
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
            drop(reader);
            ended.store(true, Ordering::SeqCst);
        });
        Self { child, master: Some(pair.master), keys: Some(keys), screen, raw, close, closed }
    }

    pub fn press(&mut self, keys: &str) {
        let out = self.keys.as_mut().unwrap();
        out.write_all(keys.as_bytes()).unwrap();
        out.flush().unwrap();
    }

    pub fn resize(&self, size: (u16, u16)) {
        self.screen.lock().unwrap().screen_mut().set_size(size.1, size.0);
        self.master.as_ref().unwrap().resize(pty_size(size)).unwrap();
    }

    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until `what` holds of the screen.
    pub fn until(&self, why: &str, what: impl Fn(&vt100::Screen) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            {
                let parser = self.screen.lock().unwrap();
                if what(parser.screen()) {
                    return;
                }
                assert!(Instant::now() < end, "{why} did not come; the screen shows:\n{}", parser.screen().contents());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that was written to the terminal so far.
    pub fn raw(&self) -> Vec<u8> {
        self.raw.lock().unwrap().clone()
    }

    pub fn until_text(&self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.process_id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The state letter of the process, from /proc.
    #[cfg(target_os = "linux")]
    pub fn process_state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.process_id().unwrap())).unwrap();
        stat.rsplit(") ").next().unwrap().chars().next().unwrap()
    }

    /// Waits for the end of the process, and of its output; says how long it took.
    pub fn ended(&mut self) -> Duration {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < DEADLINE, "it does not end; the screen shows:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = start.elapsed();
        while self.master.is_some() && !self.closed.load(Ordering::SeqCst) {
            assert!(start.elapsed() < DEADLINE, "its output does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        took
    }

    pub fn assert_restored(&self) {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is still on:\n{}", screen.contents());
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste(), "pasting is still marked");
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pty_size((cols, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

pub const SIZE: (u16, u16) = (100, 30);

/// The sentence of a mesh in which all is well.
pub const WELL: &str = "All 3 peers see each other: 6 links are up.";

#[test]
fn starts_shows_the_grid_moves_and_quits_leaving_the_terminal_as_it_was() {
    let mut pty = Pty::start("plain", SIZE, &[]);
    pty.until_text(WELL);
    pty.until("the alternate screen", |s| s.alternate_screen() && s.hide_cursor() && s.bracketed_paste());
    pty.press("jl");
    pty.until_text("lab2.example.com");
    pty.press("l");
    pty.until_text("lab2 → lab3");
    pty.press("\r");
    pty.until_text("lab2 sees 2 of 2 fellows connected");
    pty.press("\x1b");
    pty.until_text("lab2 → lab3");
    pty.press("d");
    pty.until_text("is the peer process running?");
    pty.press("q");
    pty.until("no diagnosis", |s| !s.contents().contains("Diagnosis"));
    pty.press("q");
    pty.ended();
    pty.assert_restored();
    pty.until_text("ended well");
}

#[test]
fn pasted_text_is_no_keys() {
    let mut pty = Pty::start("plain", SIZE, &[]);
    pty.until_text(WELL);
    pty.press("\x1b[200~q4?\x1b[201~j");
    pty.until("the second row", |s| s.contents().contains("lab2 → lab1"));
    assert!(pty.text().contains(WELL), "{}", pty.text());
}

#[test]
fn a_resize_storm_while_typing_loses_no_key() {
    let mut pty = Pty::start("plain", SIZE, &[]);
    pty.until_text(WELL);
    pty.press("/");
    let mut typed = String::new();
    for (n, c) in (0u16..60).zip(('a'..='z').cycle()) {
        typed.push(c);
        pty.resize((90 + n % 20, 24 + n % 9));
        pty.press(c.encode_utf8(&mut [0; 4]));
        pty.resize((120 - n % 20, 30));
    }
    pty.resize((100, 30));
    pty.until_text(&format!("/{typed}"));
    pty.press("\x1b");
    pty.until_text(WELL);
    pty.until("no filter", |s| !s.contents().contains("filter: abc"));
    pty.press("q");
    pty.ended();
    pty.assert_restored();
}

#[test]
fn a_panic_of_the_console_gives_the_terminal_back_before_its_message() {
    let mut pty = Pty::start("panic", SIZE, &[]);
    pty.until_text(WELL);
    pty.press("d");
    pty.ended();
    pty.assert_restored();
    pty.until_text("the console itself fails");
}

#[test]
fn a_panic_elsewhere_is_told_and_the_screen_stays() {
    let mut pty = Pty::start("foreign", SIZE, &[]);
    pty.until_text(WELL);
    pty.press("d");
    pty.until_text("a part of peerdeck failed");
    assert!(pty.screen.lock().unwrap().screen().alternate_screen());
    pty.press("qq");
    pty.ended();
    pty.assert_restored();
}

#[test]
fn terminate_and_interrupt_end_it_and_give_the_terminal_back() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut pty = Pty::start("plain", SIZE, &[]);
        pty.until_text(WELL);
        pty.signal(signal);
        pty.ended();
        pty.assert_restored();
    }
}

/// What is wrong takes longer each time; a machine that had no time, now and then.
#[track_caller]
fn within_a_second(ends: impl Fn() -> Duration) {
    let tries: Vec<Duration> = (0..3).map(|_| ends()).take_while(|took| *took >= Duration::from_secs(1)).collect();
    assert!(tries.len() < 3, "it took {tries:?}");
}

#[test]
fn a_hangup_ends_it_within_a_second() {
    within_a_second(|| {
        let mut pty = Pty::start("plain", SIZE, &[]);
        pty.until_text(WELL);
        pty.signal(Signal::HUP);
        pty.ended()
    });
}

/// Until it ends, once its terminal is closed.
fn after_the_terminal(mut pty: Pty) -> Duration {
    pty.until_text(WELL);
    pty.keys = None;
    pty.master = None;
    pty.close.store(true, Ordering::SeqCst);
    // Its ages run, so that there is output within a second.
    pty.until("the closed terminal", |_| pty.closed.load(Ordering::SeqCst));
    pty.ended()
}

#[test]
fn a_closed_terminal_ends_it_within_a_second() {
    within_a_second(|| after_the_terminal(Pty::start("plain", SIZE, &[])));
}

#[test]
fn a_terminal_that_closes_without_a_hangup_signal_ends_it_as_well() {
    // Not its controlling terminal: nobody sends a signal.
    within_a_second(|| after_the_terminal(Pty::start_with("plain", SIZE, &[], false)));
}

#[test]
#[cfg(target_os = "linux")]
fn stops_and_goes_on_with_a_whole_screen() {
    let mut pty = Pty::start("plain", SIZE, &[]);
    pty.until_text(WELL);
    for stop in ["signal", "key"] {
        match stop {
            "signal" => pty.signal(Signal::TSTP),
            _ => pty.press("\x1a"),
        }
        pty.until("a stopped process", |s| !s.alternate_screen());
        let end = Instant::now() + DEADLINE;
        while pty.process_state() != 'T' {
            assert!(Instant::now() < end, "it does not stop: {}", pty.process_state());
            std::thread::sleep(Duration::from_millis(5));
        }
        pty.signal(Signal::CONT);
        pty.until("the console again", |s| s.alternate_screen() && s.contents().contains(WELL));
    }
    pty.press("q");
    pty.ended();
    pty.assert_restored();
}

#[test]
fn too_small_is_told_and_q_works() {
    let mut pty = Pty::start("plain", (30, 8), &[]);
    pty.until_text("too small: 30x8");
    pty.resize(SIZE);
    pty.until_text(WELL);
    pty.resize((39, 9));
    pty.until_text("peerdeck needs 40x10");
    pty.press("q");
    pty.ended();
    pty.assert_restored();
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let exe = std::env::current_exe().unwrap();
    let run = std::process::Command::new(exe)
        .args(["--exact", "terminal::child", "--ignored", "--nocapture"])
        .env(CHILD, "plain")
        .env("TERM", "xterm")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(text.contains("refused: the console needs a terminal"), "{text}");
    assert!(text.contains("peerdeck watch"), "{text}");
    assert!(!text.contains('\u{1b}'), "no escape sequence goes into a pipe: {text:?}");
}

#[test]
fn a_dumb_terminal_is_refused_in_words() {
    let mut pty = Pty::start("plain", SIZE, &[("TERM", "dumb")]);
    pty.until_text("refused: the console can't draw on a terminal of type `dumb`");
    pty.ended();
}

#[test]
fn without_colour_and_without_unicode_it_still_works() {
    let mut pty = Pty::start("plain", SIZE, &[("NO_COLOR", "1"), ("LANG", "C")]);
    pty.until_text(WELL);
    {
        let parser = pty.screen.lock().unwrap();
        let screen = parser.screen();
        assert!(screen.contents().is_ascii(), "{}", screen.contents());
        for (y, x) in (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (y, x))) {
            let cell = screen.cell(y, x).unwrap();
            let plain = (cell.fgcolor(), cell.bgcolor());
            assert_eq!(plain, (vt100::Color::Default, vt100::Color::Default), "at {x},{y}");
        }
    }
    pty.press("q");
    pty.ended();
    pty.assert_restored();
}

#[test]
fn a_read_only_console_offers_no_action() {
    let mut pty = Pty::start("read-only", SIZE, &[]);
    pty.until_text(WELL);
    pty.until_text("READ-ONLY");
    assert!(!pty.text().contains("redial"), "{}", pty.text());
    pty.press("?");
    pty.until_text("Keys: Mesh");
    assert!(!pty.text().contains("dial the row's peer"), "{}", pty.text());
}

/// The program itself with a lab, its files in a folder of its own.
pub fn lab(state: &std::path::Path, peers: usize) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_peerdeck"));
    command.args(["lab", "-v", "--peers", &peers.to_string(), "--seed", "7"]);
    command.arg("--state-dir");
    command.arg(state.join("lab"));
    command.arg("--log-file");
    command.arg(state.join("log"));
    command.env_clear();
    let home = state.to_str().unwrap();
    for (name, value) in
        [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("TZ", "UTC"), ("RUST_BACKTRACE", "0"), ("HOME", home)]
    {
        command.env(name, value);
    }
    command
}

#[test]
fn the_lab_opens_with_a_whole_grid_and_logs_when_it_was_there() {
    let state = tempfile::tempdir().unwrap();
    let mut pty = Pty::run(lab(state.path(), 3), SIZE);
    pty.until_text("All 3 peers see each other: 6 links are up.");
    pty.until_text("LAB");
    pty.press("q");
    pty.ended();
    pty.assert_restored();
    let log = std::fs::read_to_string(state.path().join("log")).unwrap();
    assert!(log.contains("grid complete"), "{log}");
}

/// Another file is written and renamed over the old one, as most editors do it.
fn replace(file: &std::path::Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file).unwrap();
}

#[test]
fn keymap_theme_and_fleet_are_taken_over_while_it_runs_and_broken_ones_are_told() {
    let state = tempfile::tempdir().unwrap();
    // Wide, so that there is room for all hints.
    let mut pty = Pty::run(lab(state.path(), 3), (180, 40));
    pty.until_text(WELL);
    let config = state.path().join(".config/peerdeck");
    let keys = config.join("keys.toml");
    replace(&keys, "\"F6\" = \"sort\"\n");
    pty.until_text("F6 sort");
    pty.press("\x1b[17~");
    pty.until_text("order: ");
    replace(&keys, "\"F6\" = \"srot\"\n");
    pty.until_text("did you mean \"sort\"? The last good");
    pty.until_text("F6 sort");
    replace(&keys, "\"F8\" = \"sort\"\n");
    pty.until_text("keys.toml recovered");
    pty.until_text("F8 sort");

    let ground = |s: &vt100::Screen| s.cell(5, 0).map(vt100::Cell::bgcolor);
    assert_eq!(ground(pty.screen.lock().unwrap().screen()), Some(vt100::Color::Default));
    replace(&config.join("themes/terminal.toml"), "inherits = \"terminal\"\n[roles]\ntext = { bg = \"5\" }\n");
    pty.until("the new ground", |s| ground(s) == Some(vt100::Color::Idx(5)));
    replace(&config.join("themes/terminal.toml"), "inherits = \"treminal\"\n");
    pty.until_text("terminal.toml:1: there is no theme");
    pty.until("the last good ground", |s| ground(s) == Some(vt100::Color::Idx(5)));

    let fleet = state.path().join("lab/fleet.toml");
    let text = std::fs::read_to_string(&fleet).unwrap();
    let last = text.rfind("[[cluster.peer]]").unwrap();
    replace(&fleet, &format!("{}# one peer less\n", &text[..last]));
    pty.until_text("the fleet file was read again");
    replace(&fleet, &text.replace("discover", "discvoer"));
    pty.until_text("The last good fleet stays");
    pty.press("q");
    pty.ended();
    pty.assert_restored();
}
