//! The binary as a user runs it: a headless lab in one process, commands against it in others.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::PATIENCE;

/// The binary in a home of its own, so that no file of the person who tests is read.
pub fn peerdeck(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerdeck"));
    command.args(args).env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A process that runs until it is told to stop, with its lines as they come.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that fits; those before it are left out.
    pub fn line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
                    if fits(&value) {
                        return value;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no line within {PATIENCE:?}: {what}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without: {what}"),
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; the exit code.
    pub fn code(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it has not ended within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A headless lab and a home.
pub struct Whole {
    pub dir: tempfile::TempDir,
    pub fleet: String,
    lab: Running,
    ready: Value,
}

impl Whole {
    pub fn start(peers: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("pd").tempdir().unwrap();
        let state = dir.path().join("lab");
        let args = ["lab", "--headless", "--peers", peers, "--seed", "1", "--ping-interval", "250ms", "--state-dir"];
        let mut command = peerdeck(dir.path(), &args);
        command.arg(&state);
        let lab = Running::start(command);
        let ready = lab.line("the ready line", |_| true);
        let fleet = ready["fleet"].as_str().unwrap().to_owned();
        Self { dir, fleet, lab, ready }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = peerdeck(self.dir.path(), args);
        command.args(["--fleet", &self.fleet]);
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn json(&self, args: &[&str]) -> (Value, i32) {
        let out = self.run(&[args, &["--json"]].concat());
        let value = serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {} {}", text(&out.stdout), text(&out.stderr)));
        (value, out.status.code().unwrap())
    }

    pub fn fault(&self, words: &[&str]) {
        let state = self.dir.path().join("lab");
        let state = state.to_str().unwrap();
        let out =
            peerdeck(self.dir.path(), &[&["lab", "fault", "--state-dir", state], words].concat()).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{words:?}: {}", text(&out.stderr));
    }

    /// Asks for `connstatus` until it fits.
    pub fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let (doc, _) = self.json(&["connstatus"]);
            if fits(&doc) {
                return doc;
            }
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}: {doc:#}");
        }
    }
}

pub fn list<'a>(doc: &'a Value, name: &str) -> &'a Vec<Value> {
    doc[name].as_array().unwrap_or_else(|| panic!("no list {name} in {doc:#}"))
}

pub fn link<'a>(doc: &'a Value, from: &str, to: &str) -> &'a Value {
    let host = |v: &Value, name: &str| v.as_str().is_some_and(|h| h.split('.').next() == Some(name));
    list(doc, "links").iter().find(|l| host(&l["from"], from) && host(&l["to"], to)).unwrap()
}

pub fn all_connected(doc: &Value) -> bool {
    list(doc, "links").iter().all(|l| l["state"] == "connected")
}

#[test]
fn a_headless_lab_answers_every_question() {
    let whole = Whole::start("4");
    assert_eq!(
        (&whole.ready["ready"], &whole.ready["peers"], &whole.ready["links"]),
        (&true.into(), &4.into(), &12.into())
    );

    let (doc, code) = whole.json(&["connstatus"]);
    assert_eq!((doc["schema"].as_str(), code), (Some("peerdeck.connstatus/1"), 0), "{doc:#}");
    assert_eq!((list(&doc, "peers").len(), list(&doc, "links").len()), (4, 12));
    for link in list(&doc, "links") {
        assert_eq!(link["state"], "connected", "{link}");
        assert!(link["rtt_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{link}");
        assert!(link["since"].as_str().is_some_and(|s| s.parse::<jiff::Timestamp>().is_ok()), "{link}");
        assert!(link["age_s"].as_f64().is_some_and(|s| s < 3.0), "{link}");
        assert!(link["cluster"].is_string() && link["via"].is_null() && link["cause"].is_null(), "{link}");
    }
    for peer in list(&doc, "peers") {
        assert_eq!((&peer["reachable"], &peer["detached"]), (&true.into(), &false.into()), "{peer}");
        assert!(peer["serial"].is_string() && peer["group"].is_string() && peer["level"].is_u64(), "{peer}");
    }

    let (doc, code) = whole.json(&["list"]);
    let groups = list(&doc["clusters"][0], "groups");
    let machines: usize = groups.iter().map(|g| list(g, "machines").len()).sum();
    assert_eq!((code, machines, groups[0]["name"].as_str()), (0, 4, Some("Main_Group")), "{doc:#}");

    let (doc, code) = whole.json(&["status"]);
    assert_eq!((code, doc["status"].as_str(), list(&doc, "findings").len()), (0, Some("OK"), 0), "{doc:#}");
    for check in ["status", "connstatus"] {
        let out = whole.run(&[check, "--plugin"]);
        let line = text(&out.stdout);
        assert!(line.starts_with("PEERDECK OK - 4/4 peers, 12/12 links |") && line.lines().count() == 1, "{line}");
    }

    let (doc, code) = whole.json(&["diagnose", "lab1"]);
    assert_eq!(code, 0);
    assert!(list(&doc, "steps").iter().all(|s| s["result"] == "ok"), "{doc:#}");
    let (doc, _) = whole.json(&["diagnose", "lab1.example.com", "lab2"]);
    assert!(list(&doc, "steps").iter().all(|s| s["result"] == "ok"), "{doc:#}");
    let out = whole.run(&["diagnose", "lab"]);
    assert_eq!(out.status.code(), Some(3), "a prefix is no name");
    assert!(text(&out.stderr).contains("did you mean"), "{}", text(&out.stderr));

    let out = whole.run(&["events", "--json"]);
    assert_eq!(out.status.code(), Some(0));
    for line in text(&out.stdout).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["type"].is_string() && event["at"].is_string() && event["text"].is_string(), "{line}");
    }
    // Tables of the same: every peer is in them.
    for command in ["connstatus", "list"] {
        let table = text(&whole.run(&[command]).stdout);
        assert!((1..=4).all(|n| table.contains(&format!("lab{n}"))), "{table}");
    }
}

#[test]
fn a_cut_is_told_once_and_healed_once() {
    let mut whole = Whole::start("4");
    let mut watch = Running::start(whole.command(&["watch", "--json", "--heartbeat", "1s"]));
    let beat = watch.line("the first sign of life", |v| v["type"] == "heartbeat");
    assert_eq!(beat["counts"]["connected"], 12, "{beat}");

    whole.fault(&["cut", "lab1", "lab3"]);
    let down =
        |doc: &Value| link(doc, "lab1", "lab3")["state"] == "down" && link(doc, "lab3", "lab1")["state"] == "down";
    let doc = whole.until("both cells turn", down);
    let cell = link(&doc, "lab1", "lab3");
    assert!(cell["cause"].is_string() && cell["rtt_ms"].is_null(), "{cell}");
    whole.until("a way over a relay is named", |doc| link(doc, "lab1", "lab3")["via"].is_array());
    let (doc, code) = whole.json(&["status"]);
    assert_eq!((code, doc["status"].as_str()), (2, Some("CRITICAL")), "{doc:#}");
    let kinds: Vec<_> = list(&doc, "findings").iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["link-down"], "{doc:#}");
    let (doc, _) = whole.json(&["diagnose", "lab1", "lab3"]);
    assert!(list(&doc, "steps").iter().any(|s| s["result"] == "failed" && s["hint"].is_string()), "{doc:#}");

    let raised = watch.line("the finding is raised", |v| v["type"] == "alert");
    assert_eq!(
        (raised["transition"].as_str(), raised["kind"].as_str()),
        (Some("raised"), Some("link-down")),
        "{raised}"
    );
    whole.fault(&["heal"]);
    whole.until("all is connected again", all_connected);
    // A text that changes meanwhile is told as changed, and never as raised again.
    let cleared = watch.line("the finding is cleared", |v| v["type"] == "alert" && v["transition"] != "changed");
    assert_eq!((&cleared["transition"], &cleared["id"]), (&"cleared".into(), &raised["id"]), "{cleared}");
    watch.line("a sign of life after it, and no other line", |v| {
        assert_eq!(v["type"], "heartbeat", "{v}");
        true
    });
    watch.signal(Signal::TERM);
    assert_eq!(watch.code(), Some(0));
    whole.lab.signal(Signal::TERM);
    assert_eq!(whole.lab.code(), Some(0), "the lab ends as asked");
}

#[test]
fn one_trusted_key_opens_the_fellows_and_no_key_is_taken_unseen() {
    let whole = Whole::start("3");
    // As the lab's own fleet file, but only one peer is named and its host key is not known.
    let own = std::fs::read_to_string(&whole.fleet).unwrap();
    let lines = own
        .lines()
        .filter(|l| !l.starts_with("known-hosts") && !l.starts_with("lab "))
        .map(|l| if l.starts_with("discover") { "discover = true" } else { l });
    let text_of: String = lines.flat_map(|l| [l, "\n"]).collect();
    let second = text_of.match_indices("[[cluster.peer]]").nth(1).unwrap().0;
    let file: PathBuf = whole.dir.path().join("one.toml");
    std::fs::write(&file, &text_of[..second]).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let fleet = file.to_str().unwrap();
    let run = |args: &[&str]| peerdeck(whole.dir.path(), &[args, &["--fleet", fleet]].concat()).output().unwrap();

    let out = run(&["status", "--json"]);
    assert!(text(&out.stdout).contains("host-key-unknown"), "{} {}", text(&out.stdout), text(&out.stderr));
    let out = run(&["trust", "lab1.example.com"]);
    assert_eq!(out.status.code(), Some(1), "nobody is there to look: refused");
    assert!(text(&out.stdout).contains("SHA256:"), "{}", text(&out.stdout));
    let out = run(&["trust", "lab1.example.com", "--yes"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let out = run(&["connstatus", "--json"]);
    let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(list(&doc, "peers").len() == 3 && all_connected(&doc), "its fellows are vouched for: {doc:#}");
    assert_eq!(text(&run(&["trust", "lab1.example.com"]).stdout).matches("known already").count(), 1);
}

#[test]
fn a_peer_that_never_speaks_gives_a_partial_answer_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.toml");
    let port = silent.local_addr().unwrap().port();
    std::fs::write(
        &file,
        format!("[[cluster]]\nname = \"x\"\n[[cluster.peer]]\nhost = \"127.0.0.1\"\nport = {port}\n"),
    )
    .unwrap();
    let args = ["connstatus", "--json", "--timeout", "300ms", "--fleet", file.to_str().unwrap()];
    let out = peerdeck(dir.path(), &args).output().unwrap();
    let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), &doc["complete"]), (Some(3), &false.into()), "{doc:#}");
    assert!(doc["peers"][0]["reachable"].is_null() && doc["peers"][0]["serial"].is_null(), "{doc:#}");
}

#[test]
fn errors_say_what_to_do_and_have_their_codes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".config/peerdeck/prod.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "[[cluster]]\nname = \"x\"\n[[cluster.peer]]\nhots = \"h\"\n").unwrap();
    let cases: [(&[&str], i32, &str); 12] = [
        (&["status"], 3, "there is no fleet"),
        (&[], 3, "there is no fleet"),
        (&["--fleet", "prid", "connstatus"], 3, "did you mean \"prod\"?"),
        (&["--fleet", "/nowhere.toml", "list"], 3, "can't be read"),
        (
            &["list", "--fleet", "prod"],
            3,
            "prod.toml:4: unknown key \"hots\" in [[cluster.peer]], did you mean \"host\"?",
        ),
        (&["constatus"], 3, "'connstatus'"),
        (&["status", "--timeot", "3s"], 3, "'--timeout'"),
        (&["status", "--timeout", "3"], 3, "is not a time"),
        (&["trust"], 64, "user@"),
        (&["trust", "a b"], 64, "is not [user@]host[:port]"),
        (&["lab", "fault", "cutt", "lab1", "lab2"], 64, "did you mean \"cut\"?"),
        (&["lab", "--peers", "0"], 3, "1..=200"),
    ];
    for (args, code, says) in cases {
        let out = peerdeck(dir.path(), args).output().unwrap();
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(out.stdout.is_empty(), "{args:?}: {}", text(&out.stdout));
    }
    let out = peerdeck(dir.path(), &["--help"]).output().unwrap();
    assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0));
}

#[test]
fn a_closed_pipe_is_quiet_and_ends_what_runs_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = peerdeck(dir.path(), &["config", "template"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));

    let file = dir.path().join("f.toml");
    std::fs::write(&file, "[[cluster]]\nname = \"x\"\n[[cluster.peer]]\nhost = \"127.0.0.1\"\nport = 9\n").unwrap();
    for command in [&["watch", "--heartbeat", "1h"][..], &["events", "--follow"]] {
        let mut command = peerdeck(dir.path(), command);
        let mut running = Running::start_raw(command.arg("--fleet").arg(&file));
        // Once it has written something it is surely running; then nobody reads any more, and it writes nothing more.
        let mut one = [0];
        running.child.stdout.as_mut().unwrap().read_exact(&mut one).unwrap();
        drop(running.child.stdout.take());
        assert_eq!(running.code(), Some(0));
    }
}

impl Running {
    /// Without a reader of its own.
    pub fn start_raw(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap(), lines: channel().1 }
    }

    /// What a peer says when it can be asked; its log goes the same way. Nobody reads on.
    pub fn until_it_listens(&mut self) -> String {
        let mut said = Vec::new();
        for line in BufReader::new(self.child.stderr.take().unwrap()).lines().map(Result::unwrap) {
            if line.contains(" listens on ") {
                return line;
            }
            said.push(line);
        }
        panic!("it has ended: {said:#?}");
    }
}

#[test]
fn a_peer_alone_runs_answers_and_says_that_it_is_in_no_cluster() {
    let dir = tempfile::Builder::new().prefix("pd").tempdir().unwrap();
    let key = russh::keys::PrivateKey::random(&mut rand::rng(), russh::keys::Algorithm::Ed25519).unwrap();
    let public = key.public_key().to_openssh().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("key"), key.to_openssh(russh::keys::ssh_key::LineEnding::LF).unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(at("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let peer = format!(
        "host-name = \"mx1.example.com\"\nstate-dir = \"{}\"\nlisten = \"127.0.0.1:0\"\n\n[[user]]\nname = \"op\"\n\
         keys = [\"{public}\"]\nrole = \"guest\"\n",
        at("state")
    );
    std::fs::write(at("peer.toml"), peer).unwrap();
    let mut running = Running::start_raw(&mut peerdeck(dir.path(), &["peer", "--config", &at("peer.toml")]));
    let said = running.until_it_listens();
    assert!(said.contains("mx1.example.com"), "{said}");
    let port = said.rsplit(':').next().unwrap();

    let fleet = format!(
        "[[cluster]]\nname = \"x\"\nuser = \"op\"\nauth = [\"key:key\"]\n[[cluster.peer]]\nhost = \"127.0.0.1\"\nport = {port}\n"
    );
    std::fs::write(at("f.toml"), fleet).unwrap();
    let run = |args: &[&str]| peerdeck(dir.path(), &[args, &["--fleet", &at("f.toml")]].concat()).output().unwrap();
    let out = run(&["trust", "127.0.0.1", "--yes"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let out = run(&["connstatus", "--json"]);
    let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
    let peer = &doc["peers"][0];
    assert_eq!((&peer["reachable"], peer["peer"].as_str()), (&true.into(), Some("mx1.example.com")), "{doc:#}");
    assert_eq!(run(&["list"]).status.code(), Some(3), "nobody has told a membership");
    let out = run(&["diagnose", "mx1", "--json"]);
    let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
    let failed: Vec<_> = list(&doc, "steps").iter().filter(|s| s["result"] == "failed").map(|s| &s["step"]).collect();
    assert!(failed.contains(&&Value::from("membership")), "{doc:#}");

    running.signal(Signal::TERM);
    assert_eq!(running.code(), Some(0));
}

#[test]
fn bare_peerdeck_on_a_terminal_opens_the_lab_and_says_so() {
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    let dir = tempfile::Builder::new().prefix("pd").tempdir().unwrap();
    let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_peerdeck"));
    command.env_clear();
    for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("HOME", dir.path().to_str().unwrap())] {
        command.env(name, value);
    }
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let screen = Arc::new(Mutex::new(vt100::Parser::new(40, 120, 0)));
    let mut reader = pair.master.try_clone_reader().unwrap();
    let into = Arc::clone(&screen);
    std::thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(n @ 1..) = reader.read(&mut bytes) {
            into.lock().unwrap().process(&bytes[..n]);
        }
    });
    let until = |what: &str, fits: &dyn Fn(&str, bool) -> bool| {
        let end = Instant::now() + PATIENCE;
        loop {
            let (text, full) = {
                let parser = screen.lock().unwrap();
                (parser.screen().contents(), parser.screen().alternate_screen())
            };
            if fits(&text, full) {
                return;
            }
            assert!(Instant::now() < end, "{what} did not come within {PATIENCE:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until("a whole grid with the badge", &|text, _| {
        ["LAB", "6/6", "30/30", "lab6"].iter().all(|word| text.contains(word))
    });
    let mut keys = pair.master.take_writer().unwrap();
    keys.write_all(b"q").unwrap();
    keys.flush().unwrap();
    until("the way to a real fleet", &|text, full| !full && text.contains("peerdeck console user@host"));
    assert!(child.wait().unwrap().success());
}
