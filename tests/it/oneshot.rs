//! One-shot actions as a user runs them: a headless lab in one process, actions on it in others.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;

use crate::support::PATIENCE;
use crate::whole::{Whole, link, list, peerdeck, text};

/// Long enough for a busy machine.
pub const LONG: &str = "20s";

impl Whole {
    fn audit(&self) -> PathBuf {
        self.dir.path().join(".local/state/peerdeck/audit.jsonl")
    }

    pub fn audited(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.audit()).unwrap_or_default();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// The last line about `peer`.
    fn last_audited(&self, peer: &str) -> Value {
        let about = |v: &Value| v["peer"].as_str().unwrap().split('.').next() == Some(peer);
        self.audited().into_iter().rfind(about).unwrap_or_else(|| panic!("nothing about {peer}"))
    }

    pub fn act(&self, args: &[&str]) -> (Value, i32) {
        self.json(&[args, &["--timeout", LONG]].concat())
    }

    pub fn detached(&self, peer: &str) -> Option<bool> {
        let (doc, _) = self.json(&["connstatus"]);
        let of = |p: &&Value| p["peer"].as_str().unwrap().split('.').next() == Some(peer);
        list(&doc, "peers").iter().find(of).unwrap()["detached"].as_bool()
    }
}

fn states(doc: &Value) -> Vec<&str> {
    list(doc, "plans").iter().map(|p| p["outcome"]["state"].as_str().unwrap()).collect()
}

#[test]
fn d7_c22_disconnect_and_reconnect_are_done_when_observed_and_stand_in_the_audit_log() {
    let whole = Whole::start("3");
    let (doc, code) = whole.act(&["disconnect", "lab2", "--dry-run"]);
    assert_eq!((code, doc["schema"].as_str()), (0, Some("peerdeck.action/1")), "{doc:#}");
    assert!(doc["outcome"].is_null() && doc["plans"][0]["outcome"].is_null(), "{doc:#}");
    let plan = &doc["plan"];
    assert_eq!((&plan["command"], &plan["class"]), (&"disconnect".into(), &"disruptive".into()), "{doc:#}");
    assert_eq!(plan["peer"], "lab2.example.com");
    assert_eq!(plan["basis"]["links"]["lab1.example.com"], true, "{doc:#}");
    assert!(["evidence", "effects"].iter().all(|name| !list(plan, name).is_empty()), "{doc:#}");
    let shown = text(&whole.run(&["disconnect", "lab2", "--dry-run"]).stdout);
    assert!(["then", "basis", "would run"].iter().all(|word| shown.contains(word)), "{shown}");

    let out = whole.run(&["disconnect", "lab2"]);
    assert_eq!(out.status.code(), Some(1), "nobody is there to confirm it");
    assert!(text(&out.stdout).contains("--yes"), "{}", text(&out.stdout));
    for words in [&["disconnect", "lab9", "--yes"][..], &["disconnect", "lab", "--yes"], &["disconnect", "--yes"]] {
        assert_eq!(whole.run(words).status.code(), Some(64), "{words:?}");
    }
    assert_eq!(whole.detached("lab2"), Some(false), "so far nothing was sent");
    assert_eq!(whole.audited().len(), 0, "so far nothing was tried");

    let (doc, code) = whole.act(&["disconnect", "lab2.example.com", "--yes", "-m", "disk change"]);
    assert_eq!((code, &doc["outcome"]["state"]), (0, &"observed".into()), "{doc:#}");
    assert!(doc["outcome"]["observed_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{doc:#}");
    assert_eq!(whole.detached("lab2"), Some(true));
    whole.until("its links are detached on both sides", |doc| {
        link(doc, "lab1", "lab2")["state"] == "detached" && link(doc, "lab2", "lab1")["state"] == "detached"
    });
    let log = whole.audited();
    let phases: Vec<&str> = log.iter().map(|l| l["phase"].as_str().unwrap()).collect();
    assert_eq!((phases.first(), phases.last()), (Some(&"begin"), Some(&"end")), "{log:#?}");
    assert!(log.iter().all(|l| l["id"] == log[0]["id"] && l["reason"] == "disk change"), "{log:#?}");
    assert_eq!(log[0]["basis"]["links"]["lab3.example.com"], true, "{log:#?}");
    assert_eq!(log.last().unwrap()["outcome"]["state"], "observed", "{log:#?}");

    let (doc, code) = whole.act(&["disconnect", "lab2", "--dry-run"]);
    assert!(code == 1 && !list(&doc["plan"], "obstacles").is_empty(), "it would be refused: {doc:#}");
    let (doc, code) = whole.act(&["disconnect", "lab3", "lab2", "--yes"]);
    assert_eq!((code, states(&doc)), (1, vec!["skipped", "refused"]), "known before: nothing is sent at all: {doc:#}");
    assert_eq!(whole.detached("lab3"), Some(false));
    assert_eq!(whole.last_audited("lab2")["outcome"]["state"], "refused");

    let serial = plan["serial"].as_str().unwrap();
    let (doc, code) = whole.act(&["reconnect", serial, "lab2", "--yes"]);
    assert_eq!((code, states(&doc)), (0, vec!["observed"]), "named twice, done once: {doc:#}");
    assert_eq!(whole.last_audited("lab2")["outcome"]["state"], "observed");
    whole.until("all is connected again", |doc| list(doc, "links").iter().all(|l| l["state"] == "connected"));
}

#[test]
fn d7_of_three_peers_the_canary_goes_first_and_the_dead_one_stops_the_rest() {
    let whole = Whole::start("4");
    whole.fault(&["kill", "lab2"]);
    whole.until("lab2 is seen to be down", |doc| link(doc, "lab1", "lab2")["state"] == "down");
    let (doc, code) = whole.json(&["disconnect", "lab1", "lab2", "lab3", "--yes"]);
    let states = states(&doc);
    assert_eq!((states[0], states[2]), ("observed", "skipped"), "{doc:#}");
    assert!(doc["plan"].is_null() && doc.get("outcome").is_none(), "several have no one plan: {doc:#}");
    match states[1] {
        "refused" => assert_eq!(code, 2, "a part was done: {doc:#}"),
        "unknown" => assert_eq!(code, 3, "{doc:#}"),
        other => panic!("{other}: {doc:#}"),
    }
    assert!(doc["plans"][2]["outcome"]["detail"].as_str().unwrap().contains("lab2"), "{doc:#}");
    assert_eq!((whole.detached("lab1"), whole.detached("lab3")), (Some(true), Some(false)));
    assert_eq!(whole.last_audited("lab2")["outcome"]["state"], states[1]);
    let peers: Vec<Value> = whole.audited().iter().map(|l| l["peer"].clone()).collect();
    assert!(!peers.contains(&"lab3.example.com".into()), "what was never sent is no act: {peers:?}");
    assert_eq!(whole.act(&["reconnect", "lab1", "--yes"]).1, 0);
}

#[test]
fn c22_maintenance_of_a_group_is_announced_seen_by_all_and_ended() {
    let whole = Whole::start("4");
    let on = ["maintenance", "on", "group:Main_Group", "--for", "2h", "-m", "new racks"];
    let (doc, code) = whole.act(&[&on[..], &["--dry-run"]].concat());
    let peers: Vec<&str> = list(&doc, "plans").iter().map(|p| p["plan"]["peer"].as_str().unwrap()).collect();
    assert_eq!((code, peers.len() > 1), (0, true), "{doc:#}");
    assert!(list(&doc, "plans").iter().all(|p| p["plan"]["class"] == "reversible"), "{doc:#}");
    assert_eq!(doc["plans"][0]["plan"]["lasting_s"], 7200, "{doc:#}");
    let (doc, code) = whole.act(&[&on[..], &["--yes"]].concat());
    assert_eq!((code, states(&doc)), (0, vec!["observed"; peers.len()]), "{doc:#}");
    let (doc, _) = whole.json(&["status"]);
    let told = |f: &&Value| f["kind"] == "maintenance" && f["text"].as_str().unwrap().contains("new racks");
    assert_eq!(list(&doc, "findings").iter().filter(told).count(), peers.len(), "{doc:#}");

    let (doc, code) = whole.act(&["maintenance", "off", "machine:lab3", "--yes"]);
    assert_eq!((code, states(&doc)), (1, vec!["refused"]), "{doc:#}");
    let (doc, code) = whole.act(&["maintenance", "off", "cluster", "--yes"]);
    let off: Vec<&str> = list(&doc, "plans").iter().map(|p| p["plan"]["peer"].as_str().unwrap()).collect();
    assert_eq!((code, off), (0, peers), "only those that are in maintenance: {doc:#}");
    let (doc, code) = whole.act(&["maintenance", "on", "lab3", "--for", "31d", "--yes"]);
    assert_eq!((code, states(&doc)), (1, vec!["refused"]), "{doc:#}");
    let long = "x".repeat(201);
    let cases: [&[&str]; 4] = [
        &["maintenance", "on", "group:Main_Grup", "--for", "1h", "--yes"],
        &["maintenance", "on", "lab1", "--yes"],
        &["maintenance", "lab1"],
        &["maintenance", "on", "lab1", "--for", "1h", "--yes", "-m", &long],
    ];
    for words in cases {
        let out = whole.run(words);
        assert_eq!(out.status.code(), Some(64), "{words:?}: {}", text(&out.stderr));
    }
    assert!(text(&whole.run(cases[0]).stderr).contains("did you mean \"Main_Group\""));
}

#[test]
fn c22_a_peer_that_only_its_fellows_reach_is_disconnected_and_reconnected_by_way_of_one() {
    let whole = Whole::start("3");
    let own = std::fs::read_to_string(&whole.fleet).unwrap();
    let without: Vec<&str> = own.split("[[cluster.peer]]").filter(|part| !part.contains("\"lab2.")).collect();
    let file = whole.dir.path().join("without.toml");
    std::fs::write(&file, without.join("[[cluster.peer]]")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for command in ["disconnect", "reconnect"] {
        let args = [command, "lab2", "--yes", "--json", "--timeout", LONG, "--fleet", file.to_str().unwrap()];
        let out = peerdeck(whole.dir.path(), &args).output().unwrap();
        let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!((out.status.code(), &doc["outcome"]["state"]), (Some(0), &"observed".into()), "{doc:#}");
        let said = whole.audited().into_iter().map(|l| l["outcome"]["detail"].to_string()).collect::<String>();
        assert!(said.contains("by way of lab"), "{said}");
        assert_eq!(whole.detached("lab2"), Some(command == "disconnect"));
    }
}

#[test]
fn d7_what_cannot_be_written_down_is_not_done() {
    let whole = Whole::start("2");
    let log = whole.audit();
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "").unwrap();
    std::fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let out = whole.run(&["disconnect", "lab1", "--yes"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("chmod go-w"), "{}", text(&out.stderr));
    assert_eq!(whole.detached("lab1"), Some(false));
    let info = text(&whole.run(&["config", "info"]).stdout);
    assert!(info.contains(log.to_str().unwrap()), "{info}");
}

/// A command on a terminal of its own.
pub struct Typed {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    said: Arc<Mutex<String>>,
}

impl Typed {
    pub fn start(whole: &Whole, args: &[&str]) -> Self {
        let size = PtySize { rows: 40, cols: 200, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_peerdeck"));
        command.env_clear();
        for (name, value) in [("TERM", "dumb"), ("HOME", whole.dir.path().to_str().unwrap())] {
            command.env(name, value);
        }
        command.args(args.iter().copied().chain(["--fleet", &whole.fleet]));
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let said = Arc::new(Mutex::new(String::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let into = Arc::clone(&said);
        std::thread::spawn(move || {
            // Kept until its end, so that the terminal is not hung up.
            let _master = pair.master;
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { child, keys, said }
    }

    pub fn until(&self, word: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.said.lock().unwrap().clone();
            if said.contains(word) {
                return;
            }
            assert!(Instant::now() < end, "\"{word}\" did not come within {PATIENCE:?}:\n{said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn code(mut self) -> (u32, String) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.exit_code(), self.said.lock().unwrap().clone());
            }
            assert!(Instant::now() < end, "it has not ended: {}", self.said.lock().unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn d7_a_person_reads_the_plan_and_types_the_name_and_nothing_less() {
    let whole = Whole::start("2");
    for wrong in ["y\r", "\r", "lab\r", "\u{3}", "\u{4}"] {
        let mut asked = Typed::start(&whole, &["disconnect", "lab1"]);
        asked.until("Type lab1 to disconnect");
        asked.type_keys(wrong);
        let (code, said) = asked.code();
        assert!(code == 1 && said.contains("nothing was sent"), "{wrong:?}: {code} {said}");
    }
    let mut asked = Typed::start(&whole, &["disconnect", "lab1", "lab2"]);
    asked.until("Type 2 to disconnect 2 peers");
    asked.type_keys("lab1\r");
    assert_eq!(asked.code().0, 1);
    assert_eq!((whole.detached("lab1"), whole.audited().len()), (Some(false), 0));

    let mut asked = Typed::start(&whole, &["disconnect", "lab1", "--timeout", LONG]);
    asked.until("Type lab1 to disconnect");
    asked.type_keys("lab1\r");
    asked.until("observed");
    let (code, said) = asked.code();
    assert_eq!(code, 0, "{said}");
    assert!(["basis", ": sent", ": accepted"].iter().all(|word| said.contains(word)), "{said}");
    assert!(whole.audited()[0]["who"]["tty"].is_string());
}

#[test]
fn d8_what_was_typed_before_the_question_is_no_answer() {
    let whole = Whole::start("2");
    // The frozen peer holds the picture up, so that the keys surely come before the question.
    whole.fault(&["freeze", "lab2"]);
    let mut asked = Typed::start(&whole, &["disconnect", "lab1", "--timeout", "4s"]);
    asked.type_keys("lab1\r");
    asked.until("Type lab1 to disconnect");
    asked.type_keys("no\r");
    let (code, said) = asked.code();
    assert!(code == 1 && said.contains("not confirmed"), "{code} {said}");
    assert_eq!(whole.audited().len(), 0);
}

#[test]
fn d7_a_peer_that_vanishes_in_the_middle_or_an_impatient_person_leaves_it_unknown() {
    let whole = Whole::start("3");
    for (peer, how) in [("lab2", "killed"), ("lab3", "interrupted")] {
        let mut asked = Typed::start(&whole, &["disconnect", peer, "--timeout", "60s"]);
        asked.until("Type ");
        whole.fault(&["freeze", peer]);
        asked.type_keys(&format!("{peer}\r"));
        asked.until(": sent");
        if how == "killed" {
            whole.fault(&["kill", peer]);
        } else {
            asked.type_keys("\u{3}");
        }
        let (code, said) = asked.code();
        assert_eq!(code, 3, "{how}: {said}");
        assert!(said.contains("unknown"), "{how}: {said}");
        let last = whole.last_audited(peer);
        assert_eq!((&last["phase"], &last["outcome"]["state"]), (&"end".into(), &"unknown".into()), "{last:#}");
        let detail = last["outcome"]["detail"].as_str().unwrap();
        assert_eq!(detail.contains("SIGINT"), how == "interrupted", "{detail}");
    }
}
