//! The watch as a user runs it, on a real lab: restarts, kills, orders, reloads, the service manager (B5, D9).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use peerdeck::alerts::store::Store;
use peerdeck::domain::Time;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::whole::{Running, Whole, peerdeck, text};

/// The lab's fleet with quick judgement and more in it.
fn fleet(whole: &Whole, more: &str) -> PathBuf {
    let own = std::fs::read_to_string(&whole.fleet).unwrap();
    let quick = "group-for = \"300ms\"\nrecovery = \"500ms\"\nunreachable = \"2s\"\nlab = true\n";
    let file = whole.dir.path().join("quick.toml");
    std::fs::write(&file, own.replacen("lab = true\n", quick, 1) + more).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

struct Site {
    whole: Whole,
    fleet: PathBuf,
    state: PathBuf,
}

impl Site {
    fn new(peers: &str, more: &str) -> Self {
        let whole = Whole::start(peers);
        let (fleet, state) = (fleet(&whole, more), whole.dir.path().join("state/w.db"));
        Self { whole, fleet, state }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = peerdeck(self.whole.dir.path(), args);
        command.arg("--fleet").arg(&self.fleet).arg("--state").arg(&self.state);
        command
    }

    fn watch(&self) -> Running {
        Running::start(self.command(&["watch", "--json", "--heartbeat", "500ms"]))
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn end(mut watch: Running) {
        watch.signal(Signal::TERM);
        assert_eq!(watch.code(), Some(0));
    }
}

/// About the link between these two; a busy machine may tell of others as well.
fn is_about(v: &Value, pair: [&str; 2]) -> bool {
    let Some(hosts) = v["hosts"].as_array() else { return false };
    hosts.len() == 2 && pair.iter().all(|p| hosts.contains(&Value::from(format!("{p}.example.com"))))
}

/// The next word about the link between two is this one; its text may change meanwhile, nothing else may be told.
fn is_alert(transition: &'static str, pair: [&'static str; 2]) -> impl Fn(&Value) -> bool {
    move |v| {
        let is = v["kind"] == "link-down" && is_about(v, pair);
        if is && v["transition"] != "changed" {
            assert_eq!(v["transition"], transition, "{v}");
        }
        is && v["transition"] == transition
    }
}

#[test]
fn b5_a_restart_during_an_alert_raises_nothing_twice_and_tells_the_end() {
    let site = Site::new("4", "");
    let watch = site.watch();
    watch.line("it has seen all", |v| v["type"] == "heartbeat");
    site.whole.fault(&["cut", "lab1", "lab3"]);
    let raised = watch.line("it is raised", is_alert("raised", ["lab1", "lab3"]));
    Site::end(watch);

    let watch = site.watch();
    let settled = Instant::now() + Duration::from_secs(5);
    watch.line("it goes on without a word for longer than it takes to settle", |v| {
        assert!(v["id"] != raised["id"] || v["transition"] == "changed", "{v}");
        Instant::now() > settled
    });
    site.whole.fault(&["heal"]);
    let cleared = watch.line("the end is told", is_alert("cleared", ["lab1", "lab3"]));
    assert_eq!(cleared["id"], raised["id"]);
    assert!(cleared["duration_s"].as_u64().unwrap() >= 5, "{cleared}");
    assert!(cleared["seq"].as_u64() > raised["seq"].as_u64());
    Site::end(watch);

    // The end comes while no watch runs.
    let watch = site.watch();
    watch.line("it has seen all", |v| v["type"] == "heartbeat");
    site.whole.fault(&["cut", "lab2", "lab4"]);
    let raised = watch.line("it is raised", is_alert("raised", ["lab2", "lab4"]));
    Site::end(watch);
    site.whole.fault(&["heal"]);
    site.whole.until("all is well", crate::whole::all_connected);
    let watch = site.watch();
    let cleared = watch.line("the end is told once all is settled", is_alert("cleared", ["lab2", "lab4"]));
    assert_eq!(cleared["id"], raised["id"]);
    Site::end(watch);
}

#[test]
fn b5_people_acknowledge_and_silence_and_the_watch_heeds_it() {
    let site = Site::new("4", "");
    let out = site.run(&["ack", "link-down/lab/nobody"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("no watch of this fleet has run here"), "{}", text(&out.stderr));
    let watch = site.watch();
    watch.line("it has seen all", |v| v["type"] == "heartbeat");
    site.whole.fault(&["cut", "lab1", "lab3"]);
    let raised = watch.line("it is raised", is_alert("raised", ["lab1", "lab3"]));
    let id = raised["id"].as_str().unwrap();

    let out = site.run(&["ack", &id[..id.len() - 1]]);
    let said = text(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("did you mean") && said.contains(id), "{said}");
    let out = site.run(&["ack", id, "-m", "new cable", "--json"]);
    let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), &doc["heard"]), (Some(0), &Value::Bool(true)), "{doc}");
    let acked = watch.line("everybody hears of it", is_alert("acknowledged", ["lab1", "lab3"]));
    let by = acked["acknowledged_by"].as_str().unwrap();
    assert!(by.contains('@') && Some(by) == doc["by"].as_str(), "{acked}");

    let out = site.run(&["silence", "--host", "lab2", "--for", "1h", "-m", "cabling", "--json"]);
    let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), doc["silence"]["host"].as_str()), (Some(0), Some("lab2.example.com")), "{doc}");
    for (wrong, why) in [
        (&["silence", "--host", "lab9", "--for", "1h", "-m", "x"][..], "no host"),
        (&["silence", "--kind", "link-dwn", "--for", "1h", "-m", "x"], "did you mean"),
        (&["silence", "--kind", "link-down", "--for", "99d", "-m", "x"], "at most"),
        (&["silence", "end", "77"], "no silence 77"),
    ] {
        let out = site.run(wrong);
        assert_eq!(out.status.code(), Some(1), "{wrong:?}");
        assert!(text(&out.stderr).contains(why), "{wrong:?}: {}", text(&out.stderr));
    }
    assert_eq!(site.run(&["silence", "--for", "1h", "-m", "x"]).status.code(), Some(64), "it says not what");
    assert!(text(&site.run(&["silence", "list"]).stdout).contains("cabling"));
    // The watch has read it by then: it looks each second.
    let heard = Instant::now() + Duration::from_secs(3);
    watch.line("a while passes", |_| Instant::now() > heard);
    site.whole.fault(&["cut", "lab2", "lab4"]);
    let silenced = Instant::now() + Duration::from_secs(4);
    watch.line("nothing is told of lab2", |v| {
        assert!(!is_about(v, ["lab2", "lab4"]), "{v}");
        Instant::now() > silenced && v["severities"]["critical"].as_u64() >= Some(2)
    });
    let number = doc["silence"]["id"].as_u64().unwrap().to_string();
    assert_eq!(site.run(&["silence", "end", &number]).status.code(), Some(0));
    watch.line("what is still there is told then", is_alert("raised", ["lab2", "lab4"]));
    Site::end(watch);
}

#[test]
fn b5_two_watches_with_one_state_are_one_too_many() {
    let site = Site::new("2", "");
    let watch = site.watch();
    watch.line("it runs", |v| v["type"] == "heartbeat");
    for more in [&[][..], &["--once"]] {
        let out = site.run(&[&["watch"], more].concat());
        assert_eq!(out.status.code(), Some(3));
        let said = text(&out.stderr);
        assert!(said.contains("another watch (process ") && said.contains("--state"), "{said}");
    }
    Site::end(watch);
    std::fs::write(&site.state, "not a database, but somebody's notes\n".repeat(99)).unwrap();
    let out = site.run(&["watch"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stderr).contains("not an SQLite file"), "{}", text(&out.stderr));
}

#[test]
fn b5_cron_hears_only_what_is_new() {
    let site = Site::new("3", "");
    site.whole.fault(&["cut", "lab1", "lab3"]);
    site.whole.until("it is down", |doc| !crate::whole::all_connected(doc));
    let alerts = |out: &Output| -> Vec<String> {
        let lines = text(&out.stdout);
        let lines = lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        lines.filter(|v| v["type"] == "alert").map(|v| v["transition"].as_str().unwrap().to_owned()).collect()
    };
    let first = site.run(&["watch", "--once", "--json"]);
    assert_eq!((alerts(&first), first.status.code()), (vec!["raised".to_owned()], Some(2)), "{}", text(&first.stderr));
    let second = site.run(&["watch", "--once", "--json"]);
    let news: Vec<String> = alerts(&second).into_iter().filter(|t| t != "changed").collect();
    assert_eq!((news.len(), second.status.code()), (0, Some(2)));
    site.whole.fault(&["heal"]);
    site.whole.until("all is well", crate::whole::all_connected);
    let third = site.run(&["watch", "--once", "--json"]);
    assert_eq!((alerts(&third), third.status.code()), (vec!["cleared".to_owned()], Some(0)));
}

/// Reads what a service manager is told until a line fits.
fn hears(socket: &UnixDatagram, what: &str, fits: impl Fn(&str) -> bool) -> String {
    let end = Instant::now() + PATIENCE;
    let mut buffer = [0; 4096];
    while Instant::now() < end {
        if let Ok(n) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if fits(&text) {
                return text;
            }
        }
    }
    panic!("the service manager never hears: {what}");
}

#[test]
fn d9_the_service_manager_hears_of_start_life_reload_and_end_and_a_broken_file_changes_nothing() {
    let site = Site::new("2", "");
    let at = site.whole.dir.path().join("notify");
    let socket = UnixDatagram::bind(&at).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut command = site.command(&["watch", "--json", "--heartbeat", "500ms"]);
    command.env("NOTIFY_SOCKET", &at).env("WATCHDOG_USEC", "1000000");
    let mut watch = Running::start(command);
    hears(&socket, "ready", |t| t.contains("READY=1"));
    hears(&socket, "a status", |t| t.contains("STATUS=") && t.contains("2 peers"));
    for _ in 0..3 {
        hears(&socket, "life", |t| t.contains("WATCHDOG=1"));
    }
    // A broken file is refused, and the watch goes on.
    let good = std::fs::read_to_string(&site.fleet).unwrap();
    std::fs::write(&site.fleet, good.clone() + "\n[watch]\nheartbeet = \"1s\"\n").unwrap();
    watch.signal(Signal::HUP);
    let said = hears(&socket, "reload", |t| t.contains("RELOADING=1"));
    assert!(said.contains("MONOTONIC_USEC="), "{said}");
    hears(&socket, "ready again", |t| t.contains("READY=1"));
    watch.line("it goes on", |v| v["type"] == "heartbeat");
    // A good one holds at once: a new way out.
    let log = site.whole.dir.path().join("alerts.log");
    let sink = format!("\n[watch]\n[[watch.sink]]\ntype = \"file\"\npath = \"{}\"\n", log.display());
    std::fs::write(&site.fleet, good + &sink).unwrap();
    watch.signal(Signal::HUP);
    watch.line("it has another way out", |v| v["sinks"].as_array().is_some_and(|s| s.len() == 2));
    site.whole.fault(&["cut", "lab1", "lab2"]);
    let raised = watch.line("it is told", |v| v["type"] == "alert");
    let end = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&log).is_ok_and(|t| t.contains(raised["event_id"].as_str().unwrap())) {
        assert!(Instant::now() < end, "it never reaches the file");
        std::thread::sleep(Duration::from_millis(20));
    }
    watch.signal(Signal::TERM);
    hears(&socket, "the end", |t| t.contains("STOPPING=1"));
    assert_eq!(watch.code(), Some(0));
}

#[test]
fn d9_a_service_without_a_reader_goes_on_where_others_are_told() {
    let site = Site::new("2", "");
    let log = site.whole.dir.path().join("alerts.log");
    let sink = format!("\n[[watch.sink]]\ntype = \"file\"\npath = \"{}\"\n", log.display());
    let file = fleet(&site.whole, &sink);
    let site = Site { fleet: file, ..site };
    let mut command = site.command(&["watch", "--json", "--heartbeat", "200ms"]);
    let mut watch = Running::start_raw(&mut command);
    let mut one = [0];
    std::io::Read::read_exact(watch.child.stdout.as_mut().unwrap(), &mut one).unwrap();
    drop(watch.child.stdout.take());
    site.whole.fault(&["cut", "lab1", "lab2"]);
    let end = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&log).is_ok_and(|t| t.contains("\"raised\"")) {
        assert!(Instant::now() < end && watch.child.try_wait().unwrap().is_none(), "it does not go on");
        std::thread::sleep(Duration::from_millis(20));
    }
    watch.signal(Signal::TERM);
    assert_eq!(watch.code(), Some(0));
}

/// What a file sink has, each event once, in the order of the first time.
fn told(log: &Path) -> (Vec<(u64, Value)>, usize) {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let mut first = BTreeMap::new();
    let (mut order, mut twice) = (Vec::new(), 0);
    // A line that a kill has torn is not confirmed: it comes again.
    for value in text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()) {
        let seq = value["seq"].as_u64().unwrap();
        match first.get(&seq) {
            None => {
                first.insert(seq, value.clone());
                order.push((seq, value));
            }
            Some(before) => {
                assert_eq!(*before, value, "one event id, one event");
                twice += 1;
            }
        }
    }
    (order, twice)
}

#[test]
fn b5_kill_9_at_any_moment_loses_no_transition_at_a_sink_that_confirms() {
    let rounds: u64 = std::env::var("PEERDECK_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let site = Site::new("3", "");
    let log = site.whole.dir.path().join("alerts.log");
    let more = format!("\n[alerts]\nflap-high = 60\n[[watch.sink]]\ntype = \"file\"\npath = \"{}\"\n", log.display());
    let file = fleet(&site.whole, &more);
    let site = Site { fleet: file, ..site };
    let mut cut = false;
    for round in 0..rounds {
        let mut watch = site.watch();
        // Now before, now within, now after something is told.
        site.whole.fault(if cut { &["heal"] } else { &["cut", "lab1", "lab3"] });
        cut = !cut;
        std::thread::sleep(Duration::from_millis(300 + round * 1_617 % 5_500));
        watch.child.kill().unwrap();
        watch.child.wait().unwrap();
    }
    site.whole.fault(&["heal"]);
    let watch = site.watch();
    let settled = Instant::now() + Duration::from_secs(6);
    watch.line("all is well and told", |v| {
        let idle = |s: &Value| s["waiting"] == 0;
        Instant::now() > settled
            && v["severities"]["critical"] == 0
            && v["sinks"].as_array().is_some_and(|s| s.iter().all(idle))
    });
    Site::end(watch);
    let (events, twice) = told(&log);
    let notices = Store::open(&site.state).unwrap().book(Time::ZERO).unwrap().notices;
    assert!(!notices.is_empty());
    let seqs: Vec<u64> = events.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, notices.iter().map(|n| n.seq).collect::<Vec<_>>(), "all that was told is there, in order");
    let mut raised: BTreeMap<String, bool> = BTreeMap::new();
    for (_, event) in &events {
        let is_raised = raised.entry(event["id"].as_str().unwrap().to_owned()).or_default();
        match event["transition"].as_str().unwrap() {
            "raised" => assert!(!std::mem::replace(is_raised, true), "raised twice: {event}"),
            "cleared" => assert!(std::mem::take(is_raised), "cleared twice: {event}"),
            _ => assert!(*is_raised, "{event}"),
        }
    }
    let down = raised.iter().filter(|(id, is)| **is && id.starts_with("link-down/"));
    assert_eq!(down.count(), 0, "all of it is over: {raised:?}");
    println!("{rounds} kills: {} events, {twice} told twice", events.len());
}

#[test]
fn b5_what_can_not_be_written_down_is_told_all_the_same_and_again_once_it_can() {
    let site = Site::new("3", "");
    let watch = site.watch();
    watch.line("it sees all", |v| v["type"] == "heartbeat" && v["counts"]["reachable"] == 3);
    // Somebody else holds the file for longer than anybody waits for it.
    let other = rusqlite::Connection::open(&site.state).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    site.whole.fault(&["cut", "lab1", "lab2"]);
    let unkept = |v: &Value| v["event_id"].as_str().is_some_and(|id| id.contains("-unkept-"));
    watch
        .line("told without being kept", |v| is_about(v, ["lab1", "lab2"]) && unkept(v) && v["transition"] == "raised");
    other.execute_batch("ROLLBACK").unwrap();
    watch.line("told again", |v| is_about(v, ["lab1", "lab2"]) && !unkept(v) && v["transition"] == "raised");
    Site::end(watch);
    let notices = Store::open(&site.state).unwrap().book(Time::ZERO).unwrap().notices;
    assert!(notices.iter().any(|n| n.seq == 1), "and it is written down");
}
