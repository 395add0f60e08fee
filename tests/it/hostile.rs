//! The binary against peers that lie, babble, hang and plant things, together with a healthy lab.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use peerdeck::domain::membership::MACHINES_MAX;
use peerdeck::ssh::net::Net;
use portable_pty::CommandBuilder;
use russh::ChannelStream;
use russh::server::Msg;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::ssh::net::MemNet;
use crate::ssh::server::Behaviour;
use crate::support::PATIENCE;
use crate::terminal::Pty;
use crate::whole::{Running, Whole, link, list, text};

/// A title, the clipboard, a cleared screen, a colour that stays, hidden and reversed text, line ends and a NUL.
const EVIL: &str =
    "\u{1b}]0;PWNTITLE\u{7}\u{1b}]52;c;UFdORUQ=\u{7}\u{1b}[2J\u{1b}[31;5m\u{202e}\u{2066}\r\n\u{0}\u{9b}31mevil";

/// What the planted text is known by, should it come through.
const PLANTED: [&[u8]; 4] = [b"PWNTITLE", b"UFdORUQ", b"\x1b]52", b"\x1b[31;5m"];

/// More than a console of so few peers may ever need.
const MEMORY_MAX: u64 = 150 * 1024 * 1024;

/// More than a picture of 1,024 machines may ever need, whoever they are.
const CROWD_MAX: u64 = 300 * 1024 * 1024;

/// What a peer does with whoever observes it.
#[derive(Clone)]
enum Act {
    /// These documents one after the other, then ordinary reports.
    Say(Arc<Vec<Vec<u8>>>),
    /// A line that never ends.
    Endless,
    /// Reports as fast as they are taken.
    Flood,
}

/// A peer made by the test.
struct Hostile {
    at: SocketAddr,
    key: String,
    act: watch::Sender<Act>,
    /// Reports that a flood has sent.
    said: Arc<AtomicU64>,
}

/// The lab, the hostile peers, and a fleet file that names them all.
struct Ground {
    whole: Whole,
    runtime: Runtime,
    /// Each peer has a loopback address of its own, by which it is named until it says its name.
    next: AtomicU8,
}

impl Ground {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { whole: Whole::start("3"), runtime, next: AtomicU8::new(1) }
    }

    /// Adds a peer to the fleet that is not ours, at `at`; with its host key, if it has one.
    fn add(&self, at: SocketAddr, key: Option<&str>) {
        let mut fleet = std::fs::OpenOptions::new().append(true).open(&self.whole.fleet).unwrap();
        write!(fleet, "\n[[cluster.peer]]\nhost = \"{}\"\nport = {}\n", at.ip(), at.port()).unwrap();
        if let Some(key) = key {
            let known = Path::new(&self.whole.fleet).with_file_name("known_hosts");
            let mut known = std::fs::OpenOptions::new().append(true).open(known).unwrap();
            writeln!(known, "[{}]:{} {key}", at.ip(), at.port()).unwrap();
        }
    }

    fn hostile(&self, act: Act) -> Hostile {
        let hostile = self.runtime.block_on(serve(act, self.address()));
        self.add(hostile.at, Some(&hostile.key));
        hostile
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 77, 0, self.next.fetch_add(1, Ordering::Relaxed)], 0))
    }

    fn saying(&self, documents: Vec<Vec<u8>>) -> Hostile {
        self.hostile(Act::Say(Arc::new(documents)))
    }

    /// Asks until it fits.
    fn until(&self, args: &[&str], what: &str, fits: impl Fn(&Value) -> bool) -> (Value, i32) {
        let end = Instant::now() + PATIENCE;
        loop {
            let (doc, code) = self.whole.json(args);
            if fits(&doc) {
                return (doc, code);
            }
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}: {doc:#}");
        }
    }

    fn watch(&self) -> Running {
        Running::start(self.whole.command(&["watch", "--json", "--heartbeat", "1s"]))
    }
}

async fn serve(act: Act, at: SocketAddr) -> Hostile {
    let listener = TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (act, now) = watch::channel(act);
    let net = MemNet::default();
    let said = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&said);
    let server = Behaviour::new(&net).script(move |_, stream| play(now.clone(), stream, Arc::clone(&count)));
    let key = server.host_key.public_key().to_openssh().unwrap();
    server.serve(at);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let net = net.clone();
            tokio::spawn(async move {
                let mut far = net.connect(at).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    Hostile { at, key, act, said }
}

/// Does what the act says until it is another one.
async fn play(mut now: watch::Receiver<Act>, stream: ChannelStream<Msg>, said: Arc<AtomicU64>) {
    let act = now.borrow_and_update().clone();
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let _ = lines.next_line().await;
    // What is asked later is read and not answered.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let playing = async {
        match act {
            Act::Say(documents) => {
                for document in documents.iter() {
                    if writer.write_all(document).await.is_err() || writer.write_all(b"\n").await.is_err() {
                        return;
                    }
                }
                let mut pace = tokio::time::interval(Duration::from_millis(200));
                for n in 2.. {
                    pace.tick().await;
                    if writer.write_all(&delta(n)).await.is_err() {
                        return;
                    }
                }
            }
            Act::Endless => {
                let part = vec![b'x'; 64 * 1024];
                // 32 MiB: the reader must have gone long before.
                for _ in 0..512 {
                    if writer.write_all(&part).await.is_err() {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            }
            Act::Flood => {
                let _ = writer.write_all(&hello("SN-FLOOD", "flood.example.com")).await;
                for n in 0.. {
                    let many: Vec<u8> = (0..100).flat_map(|k| delta(2 + n * 100 + k)).collect();
                    if writer.write_all(&many).await.is_err() {
                        return;
                    }
                    said.fetch_add(100, Ordering::Relaxed);
                }
            }
        }
    };
    tokio::select! {
        () = playing => {}
        _ = now.changed() => {}
    }
    // The client learns of it at once.
    let _ = writer.shutdown().await;
}

fn wall() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn line(params: &Value) -> Vec<u8> {
    serde_json::to_vec(&json!({ "jsonrpc": "2.0", "method": "report", "params": params })).unwrap()
}

/// The first report as it should be.
fn first(serial: &str, host: &str) -> Value {
    json!({
        "v": 1, "n": 1, "clock": 1000, "wall": wall(),
        "identity": {
            "serial": serial, "host": host, "version": "peerdeck 0.1.0", "level": 1, "boot": 7, "interval": 1000
        },
        "row": { "origin": serial, "boot": 7, "seq": 1, "level": 1, "links": [] },
    })
}

fn with(mut report: Value, name: &str, value: Value) -> Value {
    report[name] = value;
    report
}

fn hello(serial: &str, host: &str) -> Vec<u8> {
    let mut line = line(&first(serial, host));
    line.push(b'\n');
    line
}

fn delta(n: u64) -> Vec<u8> {
    let report = json!({ "v": 1, "n": n, "clock": 1000 + n, "wall": wall(), "delta": { "seq": n, "level": 1 } });
    let mut line = line(&report);
    line.push(b'\n');
    line
}

/// Whether the lab's own links are all told as connected, and not late.
fn is_lab_well(doc: &Value) -> bool {
    let names = ["lab1", "lab2", "lab3"];
    let pairs = names.iter().flat_map(|a| names.iter().map(move |b| (a, b))).filter(|(a, b)| a != b);
    pairs.into_iter().all(|(a, b)| {
        let link = link(doc, a, b);
        link["state"] == "connected" && link["age_s"].as_f64().is_some_and(|s| s < 3.0)
    })
}

/// No byte that steers a terminal, and no character that hides or turns text.
#[track_caller]
fn assert_harmless(what: &str, bytes: &[u8]) {
    let all = text(bytes);
    let odd = all.chars().find(|c| (c.is_control() && *c != '\n') || ('\u{2028}'..='\u{202e}').contains(c));
    assert_eq!(odd, None, "{what}: {all:?}");
    for planted in PLANTED {
        assert!(!bytes.windows(planted.len()).any(|w| w == planted), "{what}: {all:?}");
    }
    assert!(all.lines().all(|l| l.chars().count() < 20_000), "{what}: a line without measure");
}

/// The most memory that a process has had, in bytes.
#[cfg(target_os = "linux")]
fn memory_peak(process: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[cfg(not(target_os = "linux"))]
fn memory_peak(_: &Running) -> u64 {
    0
}

#[test]
fn a_peer_that_accepts_and_never_speaks_delays_nobody_else() {
    let ground = Ground::start();
    let silent = StdListener::bind("127.0.0.1:0").unwrap();
    ground.add(silent.local_addr().unwrap(), None);
    // A byte of its greeting a second.
    let tar = ground.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let tar_at = tar.local_addr().unwrap();
    ground.add(tar_at, None);
    ground.runtime.spawn(async move {
        while let Ok((mut stream, _)) = tar.accept().await {
            tokio::spawn(async move {
                let mut pace = tokio::time::interval(Duration::from_secs(1));
                for byte in b"SSH-2.0-".iter().chain(std::iter::repeat(&b'x')) {
                    pace.tick().await;
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let began = Instant::now();
    let (doc, code) = ground.whole.json(&["connstatus", "--timeout", "3s"]);
    // Seconds of grace for a machine that is busy; the handshakes themselves would take for ever.
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!((&doc["complete"], code), (&false.into(), 3), "{doc:#}");
    assert!(is_lab_well(&doc), "{doc:#}");
    let unheard = list(&doc, "peers").iter().filter(|p| p["peer"] == "127.0.0.1");
    assert!(unheard.clone().count() == 2 && unheard.clone().all(|p| p["reachable"].is_null()), "{doc:#}");

    // With the time to see it fail, the cause is told.
    let (doc, _) = ground.whole.json(&["connstatus", "--timeout", "15s"]);
    assert_eq!(doc["complete"], true, "{doc:#}");
    assert!(is_lab_well(&doc), "{doc:#}");
    let unheard = list(&doc, "peers").iter().filter(|p| p["peer"] == "127.0.0.1");
    for peer in unheard {
        assert_eq!((&peer["reachable"], &peer["cause"]), (&false.into(), &"timeout".into()), "{peer}");
    }
}

#[test]
fn garbage_of_every_kind_is_a_finding_and_no_damage() {
    let ground = Ground::start();
    let deep = |open: &str, n| format!("{{\"jsonrpc\":\"2.0\",\"method\":\"report\",\"params\":{}", open.repeat(n));
    let machine =
        |n: usize| json!({ "serial": format!("S{n}"), "host": "h", "group": "g", "address": "a", "port": 22 });
    let crowd = |machines: usize| {
        let machines: Vec<Value> = (0..machines).map(machine).collect();
        json!({ "v": 1, "cluster-id": "c", "name": "n", "revision": 1, "machines": machines })
    };
    let links = format!("[{}{{}}]", "{},".repeat(1_300_000));
    let many = format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"report\",\"params\":{{\"v\":1,\"relayed\":[{{\"links\":{links}}}]}}}}"
    );
    let known = |name: &str| line(&first(&format!("SN-{name}"), &format!("{name}.example.com")));
    // What it is called in findings, and what it says.
    let acts = [
        ("", vec![line(&with(first("SN-NEW", "new.example.com"), "v", 99.into()))]),
        ("later", vec![known("later"), line(&json!({ "v": 99, "n": 2 }))]),
        ("", vec![b"\x00\x1b]0;PWNTITLE\x07{{{".to_vec()]),
        ("torn", vec![known("torn"), b"\xff\xfe not json".to_vec()]),
        ("deep", vec![known("deep"), deep("[", 100_000).into_bytes()]),
        ("nested", vec![known("nested"), deep("{\"x\":", 60_000).into_bytes()]),
        ("crowd", vec![known("crowd"), line(&json!({ "v": 1, "membership": crowd(40_000) }))]),
        ("huge", vec![known("huge"), line(&json!({ "v": 1, "membership": crowd(100_000) }))]),
        ("many", vec![known("many"), many.into_bytes()]),
        ("", vec![line(&json!({ "v": 1, "n": 1 }))]),
    ];
    let mut wanted: BTreeMap<String, Hostile> = BTreeMap::new();
    for (name, documents) in acts {
        let hostile = ground.saying(documents);
        let name = if name.is_empty() { hostile.at.ip().to_string() } else { format!("{name}.example.com") };
        wanted.insert(name, hostile);
    }
    let endless = ground.hostile(Act::Endless);
    wanted.insert(endless.at.ip().to_string(), endless);

    let mut watch = ground.watch();
    let found: RefCell<BTreeSet<String>> = RefCell::default();
    // One of them comes to its senses as soon as it is found out; later it would be dialled more seldom.
    let back = "torn.example.com";
    let cleared = Cell::new(false);
    let see = |v: &Value| {
        if v["kind"] != "answer-unparsed" {
            return;
        }
        let of = v["subject"]["peer"].as_str().unwrap();
        if v["transition"] == "cleared" {
            assert_eq!(of, back, "{v}");
            cleared.set(true);
        } else if found.borrow_mut().insert(of.to_owned()) && of == back {
            wanted[back].act.send_replace(Act::Say(Arc::new(vec![known("torn")])));
        }
    };
    watch.line(&format!("a finding for each of {:?}", wanted.keys()), |v| {
        see(v);
        wanted.keys().all(|w| found.borrow().contains(w))
    });
    assert!(found.borrow().len() == wanted.len(), "nobody else is blamed: {found:?}");
    let peak = memory_peak(&watch);
    assert!(peak < MEMORY_MAX, "{peak} bytes");

    let out = ground.whole.run(&["connstatus", "--json", "--timeout", "10s"]);
    assert_harmless("connstatus", &out.stdout);
    assert!(is_lab_well(&serde_json::from_slice(&out.stdout).unwrap()), "{}", text(&out.stdout));
    let out = ground.whole.run(&["status", "--json", "--timeout", "10s"]);
    assert_harmless("status", &out.stdout);
    let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
    let kinds: BTreeSet<_> = list(&doc, "findings").iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains("answer-unparsed") && !kinds.contains("link-down"), "{doc:#}");
    assert_ne!(out.status.code(), Some(0), "{doc:#}");

    watch.line("the finding of the one that came to its senses is cleared, and no other", |v| {
        see(v);
        cleared.get()
    });
    watch.signal(Signal::TERM);
    assert_eq!(watch.code(), Some(0));
}

#[test]
fn planted_text_reaches_no_terminal_and_no_document() {
    let ground = Ground::start();
    let long = "N".repeat(10_000);
    let evil_link = json!({
        "to": EVIL, "state": "down", "cause": EVIL, "detail": EVIL, "dns-answer": EVIL, "probe": EVIL, "address": EVIL,
        "since": u64::MAX, "rtt": u64::MAX, "heard": u64::MAX, "failures": u32::MAX, "attempts": u32::MAX,
        "next-attempt": u64::MAX, "changes": u32::MAX,
    });
    let limits = |report: Value| {
        let report = with(report, "wall", u64::MAX.into());
        let report = with(report, "late", u64::MAX.into());
        with(report, "dropped", u64::MAX.into())
    };
    let mut evil = first(&format!("SN{EVIL}"), EVIL);
    evil["identity"]["version"] = EVIL.into();
    evil["row"]["links"] = json!([evil_link, evil_link]);
    evil["events"] = json!([{ "at": u64::MAX, "peer": EVIL, "text": EVIL }, { "at": 0, "text": long }]);
    evil["sessions"] = json!([{ "user": EVIL, "from": EVIL, "since": u64::MAX, "what": long }]);
    let mut big = limits(first("SN-BIG", &long));
    big["identity"]["version"] = long.clone().into();
    big["identity"]["interval"] = u64::MAX.into();
    big["identity"]["boot"] = u64::MAX.into();
    big["identity"]["level"] = u32::MAX.into();
    big["clock"] = u64::MAX.into();
    big["row"] = json!({
        "seq": u64::MAX, "boot": u64::MAX, "age": u64::MAX, "detached": u64::MAX, "level": u32::MAX, "links": [evil_link]
    });
    let pings = json!({ "v": 1, "n": u64::MAX, "clock": 0, "delta": {
        "seq": 0, "pings": [i64::MIN, -1, 0, i64::MAX], "removed": [EVIL, long], "changed": [evil_link],
    } });
    let _evil = ground.saying(vec![line(&evil)]);
    let _big = ground.saying(vec![line(&big), line(&pings)]);

    let size = (140, 40);
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_peerdeck"));
    command.args(["console", "--fleet", &ground.whole.fleet]);
    command.env_clear();
    let home = ground.whole.dir.path().to_str().unwrap();
    for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("TZ", "UTC"), ("HOME", home)] {
        command.env(name, value);
    }
    let mut pty = Pty::run(command, size);
    pty.until("the whole grid", |s| {
        let all = s.contents();
        all.contains("5/5") && ["lab1", "lab2", "lab3", "evil"].iter().all(|n| all.contains(n))
    });
    // Every tab, and the details of the row of each peer.
    for keys in ["2", "3", "4", "5", "1", "j", "j", "j", "j", "\r", "\x1b", "d"] {
        pty.press(keys);
        pty.until("the lab is still there", |s| s.alternate_screen() && !s.contents().trim().is_empty());
    }
    let heard = |doc: &Value| {
        let told = |name: &str| list(doc, "peers").iter().any(|p| p["peer"].as_str().is_some_and(|h| h.contains(name)));
        is_lab_well(doc) && told("evil") && told("NNN".to_lowercase().as_str())
    };
    let (doc, _) = ground.until(&["connstatus"], "all are told", heard);
    for peer in list(&doc, "peers") {
        assert!(peer["peer"].as_str().unwrap().chars().count() <= 253, "{peer}");
        assert!(peer["version"].as_str().is_none_or(|v| v.chars().count() <= 400), "{peer}");
    }
    for args in [
        &["connstatus", "--json"][..],
        &["connstatus"],
        &["connstatus", "--plugin"],
        &["status", "--json"],
        &["status"],
        &["status", "--plugin"],
        &["list", "--json"],
        &["list"],
        &["events", "--json"],
        &["events"],
        &["watch", "--once", "--json"],
        &["watch", "--once"],
    ] {
        let out = ground.whole.run(args);
        assert_harmless(&args.join(" "), &out.stdout);
        assert_harmless(&args.join(" "), &out.stderr);
        assert!(out.status.code().is_some_and(|c| c <= 3), "{args:?}: {}", text(&out.stderr));
        assert!(!text(&out.stderr).contains("panicked"), "{args:?}: {}", text(&out.stderr));
    }
    pty.press("\x1b");
    pty.press("\x1b");
    pty.press("1");
    pty.until("the grid", |s| ["lab1", "lab2", "lab3"].iter().all(|n| s.contents().contains(n)));
    pty.press("q");
    pty.ended();
    pty.assert_restored();
    let raw = pty.raw();
    for planted in PLANTED {
        assert!(!raw.windows(planted.len()).any(|w| w == planted), "{}", String::from_utf8_lossy(planted));
    }
}

#[test]
fn who_lies_about_others_changes_nothing_of_what_they_say_themselves() {
    let ground = Ground::start();
    let (doc, _) = ground.until(&["connstatus"], "the lab is well", is_lab_well);
    let serial = |name: &str| {
        let named = |p: &&Value| p["peer"].as_str().is_some_and(|h| h.starts_with(name));
        list(&doc, "peers").iter().find(named).unwrap()["serial"].as_str().unwrap().to_owned()
    };
    let serials = ["lab1", "lab2", "lab3"].map(serial);
    let down = |to: &String| json!({ "to": to, "state": "down", "cause": "refused", "since": 0 });
    let rows: Vec<Value> = serials
        .iter()
        .map(|s| {
            let links: Vec<Value> = serials.iter().filter(|o| *o != s).map(down).collect();
            json!({ "origin": s, "boot": u64::MAX, "seq": u64::MAX, "age": 0, "level": 1, "links": links })
        })
        .collect();
    let machine = |s: &String| {
        json!({ "serial": s, "host": format!("{s}.evil.example"), "group": "Evil", "address": "192.0.2.1", "port": 1,
                "host-key": "ssh-ed25519 AAAA" })
    };
    let mut lie = first("SN-LIAR", "liar.example.com");
    let links: Vec<Value> = serials.iter().map(down).collect();
    lie["row"]["links"] = links.into();
    lie["relayed"] = rows.into();
    let members: Vec<Value> = serials.iter().map(machine).collect();
    lie["membership"] =
        json!({ "v": 1, "cluster-id": "another", "name": "evil", "revision": u64::MAX, "machines": members });
    let _liar = ground.saying(vec![line(&lie)]);
    // A clone that answers later than the peer whose serial number it has: it says nothing at first.
    let clone = ground.saying(Vec::new());

    let watch = ground.watch();
    watch.line("the lab is seen", |v| v["type"] == "heartbeat" && v["counts"]["connected"].as_u64() >= Some(6));
    clone.act.send_replace(Act::Say(Arc::new(vec![line(&first(&serials[0], "lab1.example.com"))])));
    let alert = watch.line("the clone is named", |v| {
        v["type"] == "alert"
            && v["kind"] == "answer-unparsed"
            && v["text"].as_str().is_some_and(|t| t.contains("a clone"))
    });
    assert!(alert["text"].as_str().unwrap().contains(&clone.at.to_string()), "{alert}");
    let beat = watch.line("a sign of life", |v| v["type"] == "heartbeat");
    assert!(beat["counts"]["connected"].as_u64() >= Some(6), "{beat}");
    let (doc, _) = ground.whole.json(&["connstatus"]);
    // Whoever answered first: names, members and links are as those say whom they are about. Of lab1 and its clone
    // the one that answered first is taken.
    let own = list(&doc, "links").iter().filter(|l| serials_of(l, &["lab2", "lab3"]));
    assert!(own.clone().count() == 2 && own.clone().all(|l| l["state"] == "connected"), "{doc:#}");
    assert!(!doc.to_string().contains("evil"), "{doc:#}");
    let lied = list(&doc, "links").iter().filter(|l| l["state"] == "down");
    assert!(lied.clone().count() == 3 && lied.clone().all(|l| l["from"] == "liar.example.com"), "{doc:#}");

    // It takes another serial number: the finding goes.
    clone.act.send_replace(Act::Say(Arc::new(vec![line(&first("SN-OWN", "own.example.com"))])));
    watch.line("the finding is cleared", |v| {
        v["transition"] == "cleared" && v["text"].as_str().is_some_and(|t| t.contains("a clone"))
    });
}

/// Whether a link is between two of these.
fn serials_of(link: &Value, names: &[&str]) -> bool {
    let is = |v: &Value| v.as_str().is_some_and(|h| names.contains(&h.split('.').next().unwrap_or_default()));
    is(&link["from"]) && is(&link["to"])
}

#[test]
fn a_flood_of_reports_fills_no_memory_and_delays_nobody_else() {
    let ground = Ground::start();
    let flood = ground.hostile(Act::Flood);
    let mut watch = ground.watch();
    let well = |v: &Value| v["type"] == "heartbeat" && v["counts"]["connected"].as_u64() >= Some(6);
    watch.line("the lab is seen", well);
    let before = flood.said.load(Ordering::Relaxed);
    // Three seconds of it.
    for _ in 0..3 {
        let beat = watch.line("a sign of life", |v| v["type"] == "heartbeat");
        assert!(well(&beat), "{beat}");
    }
    let said = flood.said.load(Ordering::Relaxed) - before;
    assert!(said > 10_000, "only {said} reports were taken off it");
    let peak = memory_peak(&watch);
    assert!(peak < MEMORY_MAX, "{peak} bytes");
    let (doc, _) = ground.whole.json(&["connstatus"]);
    assert!(is_lab_well(&doc), "{doc:#}");
    watch.signal(Signal::TERM);
    assert_eq!(watch.code(), Some(0));
}

#[test]
fn members_that_are_made_up_cost_little_and_go_when_most_peers_know_better() {
    let ground = Ground::start();
    let serial = |n: usize| format!("S{n}");
    let machine = |n: usize| json!({ "serial": serial(n), "host": format!("h{n}"), "group": "g", "address": "192.0.2.1", "port": 22 });
    // As many as are taken at all, and a row of each.
    let machines: Vec<Value> = (0..MACHINES_MAX - 1).map(machine).collect();
    let me = json!({ "serial": "SN-ONE", "host": "one.example.com", "group": "g", "address": "192.0.2.1", "port": 22 });
    let machines = [vec![me], machines].concat();
    let crowd = json!({ "v": 1, "cluster-id": "c", "name": "n", "revision": 1, "machines": machines });
    let row =
        |n: usize| json!({ "origin": serial(n), "boot": 1, "seq": 1, "level": 1, "links": [{ "to": serial(n + 1) }] });
    let rows: Vec<Value> = (0..MACHINES_MAX - 1).map(row).collect();
    let report = with(first("SN-ONE", "one.example.com"), "membership", crowd);
    let _liar = ground.saying(vec![line(&with(report, "relayed", rows.into()))]);
    let mut watch = ground.watch();
    watch.line("the lab's own members, and the liar", |v| {
        v["type"] == "heartbeat" && v["counts"]["peers"] == 4 && v["counts"]["connected"] == 6
    });
    let peak = memory_peak(&watch);
    assert!(peak < CROWD_MAX, "{peak} bytes");
    watch.signal(Signal::TERM);
    assert_eq!(watch.code(), Some(0));
}
