//! A peer that is in no cluster, as a user configures it and makes a cluster of it: real processes.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use peerdeck::domain::membership::{Addressing, MAIN_GROUP, Membership};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::oneshot::LONG;
use crate::support::free_port;
use crate::whole::{Running, list, peerdeck, text};

struct Alone {
    dir: tempfile::TempDir,
    port: u16,
    peer: Running,
}

/// Starts the peer whose files are in `dir`; it runs when this returns.
fn start(dir: &Path) -> Running {
    let config = dir.join("peer.toml");
    let mut running = Running::start_raw(&mut peerdeck(dir, &["peer", "--config", config.to_str().unwrap()]));
    running.until_it_listens();
    running
}

impl Alone {
    fn new() -> Self {
        Self::called("mx1.example.com")
    }

    fn called(host: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("pd").tempdir().unwrap();
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let public = key.public_key().to_openssh().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(at("key"), key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        std::fs::set_permissions(at("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let port = free_port();
        let peer = format!(
            "host-name = \"{host}\"\nstate-dir = \"{}\"\nlisten = \"127.0.0.1:{port}\"\n\n[[user]]\n\
             name = \"op\"\nkeys = [\"{public}\"]\nrole = \"administrator\"\n",
            at("state")
        );
        std::fs::write(at("peer.toml"), peer).unwrap();
        let fleet = format!(
            "[[cluster]]\nname = \"x\"\nuser = \"op\"\nauth = [\"key:key\"]\n[[cluster.peer]]\nhost = \"127.0.0.1\"\n\
             port = {port}\n"
        );
        std::fs::write(at("f.toml"), fleet).unwrap();
        let peer = start(dir.path());
        let this = Self { dir, port, peer };
        assert_eq!(this.run(&["trust", "127.0.0.1", "--yes"]).0, Some(0));
        this
    }

    fn restart(&mut self) {
        self.peer.signal(Signal::TERM);
        assert_eq!(self.peer.code(), Some(0));
        self.peer = start(self.dir.path());
    }

    /// Exit code, standard output, standard error.
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let fleet = self.dir.path().join("f.toml");
        let out = peerdeck(self.dir.path(), &[args, &["--fleet", fleet.to_str().unwrap()]].concat()).output().unwrap();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    }

    fn json(&self, args: &[&str]) -> (Value, Option<i32>) {
        let (code, out, err) = self.run(&[args, &["--json", "--timeout", LONG]].concat());
        (serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out} {err}")), code)
    }

    fn commit(&self, args: &[&str]) -> Value {
        let (doc, code) = self.json(&[args, &["--yes"]].concat());
        assert_eq!((code, &doc["outcome"]["state"]), (Some(0), &"observed".into()), "{args:?}: {doc:#}");
        doc
    }

    /// Value of a feature at the machine and the level that it comes from.
    fn effective(&self, feature: &str) -> (Value, String) {
        self.effective_of("mx1", feature)
    }

    fn effective_of(&self, peer: &str, feature: &str) -> (Value, String) {
        let (doc, code) = self.json(&["settings", peer, feature]);
        assert_eq!(code, Some(0), "{doc:#}");
        let told = &list(&doc, "features")[0];
        (told["value"].clone(), told["effective_from"]["level"].as_str().unwrap().to_owned())
    }
}

#[test]
fn a_peer_whose_log_nobody_takes_runs_and_answers() {
    let mut alone = Alone::new();
    alone.peer.signal(Signal::TERM);
    assert_eq!(alone.peer.code(), Some(0));
    let config = alone.dir.path().join("peer.toml");
    alone.peer = Running::start_raw(&mut peerdeck(alone.dir.path(), &["peer", "--config", config.to_str().unwrap()]));
    drop(alone.peer.child.stderr.take());
    while TcpStream::connect((Ipv4Addr::LOCALHOST, alone.port)).is_err() {
        assert_eq!(alone.peer.child.try_wait().unwrap(), None, "it ended");
    }
    let (doc, _) = alone.json(&["connstatus"]);
    assert_eq!(doc["peers"][0]["reachable"], true, "{doc:#}");
    alone.peer.signal(Signal::TERM);
    assert_eq!(alone.peer.code(), Some(0));
}

#[test]
fn c3_a_cluster_is_made_of_a_machine_that_is_in_none_and_ends_with_it() {
    let mut alone = Alone::new();
    let routes = json!({ "example.com": ["mx9"] });
    let ports = json!({ "Data 1": { "ip": "192.0.2.1" } });
    assert_eq!(alone.run(&["list"]).0, Some(3), "it is in no cluster");
    alone.commit(&["set", "mx1", "smtproutes", &routes.to_string(), "-m", "before"]);
    alone.commit(&["set", "mx1", "interfaceconfig", &ports.to_string()]);
    alone.commit(&["set", "mx1", "userconfig", "{\"op\": {}}"]);
    let (doc, code) = alone.json(&["set", "cluster", "smtproutes", "{}", "--yes"]);
    assert_eq!((code, &doc["outcome"]["state"]), (Some(1), &"refused".into()), "{doc:#}");
    assert!(doc["plan"]["obstacles"][0].as_str().unwrap().contains("in no cluster"), "{doc:#}");
    // They are its own and outlast a restart; it is still in no cluster.
    alone.restart();
    assert_eq!(alone.effective("smtproutes"), (routes.clone(), "machine".into()));
    assert_eq!(alone.run(&["list"]).0, Some(3), "settings make no cluster");
    let (doc, _) = alone.json(&["settings"]);
    let modes = list(&doc, "modes");
    assert!(modes.len() == 1 && modes[0]["level"] == "machine", "{doc:#}");

    let (code, _, said) = alone.run(&["create", "europe", "--yes"]);
    assert!(code == Some(64) && said.contains("--on PEER"), "{said}");
    let (doc, code) = alone.json(&["create", "europe", "--on", "mx1", "--dry-run"]);
    let effects = doc["plan"]["effects"].to_string();
    assert_eq!(code, Some(0), "{doc:#}");
    for says in [
        "cluster europe is made, of mx1.example.com alone, in group Main_Group",
        "become the cluster's, the others stay the machine's: smtproutes, userconfig",
        "no effective setting changes",
    ] {
        assert!(effects.contains(says), "{says}: {doc:#}");
    }
    assert_eq!(alone.run(&["list"]).0, Some(3), "a dry run makes none");
    alone.commit(&["create", "europe", "--on", "mx1", "-m", "the first"]);
    let (doc, code) = alone.json(&["list"]);
    assert_eq!((code, &doc["clusters"][0]["cluster"]), (Some(0), &"europe".into()), "{doc:#}");
    assert!(doc.to_string().contains("Main_Group") && doc.to_string().contains("mx1.example.com"), "{doc:#}");
    assert_eq!(alone.effective("smtproutes"), (routes.clone(), "cluster".into()));
    assert_eq!(alone.effective("userconfig").1, "cluster");
    assert_eq!(alone.effective("interfaceconfig"), (ports.clone(), "machine".into()));
    alone.restart();
    let (doc, code) = alone.json(&["create", "other", "--on", "mx1", "--yes"]);
    assert_eq!((code, &doc["outcome"]["state"]), (Some(1), &"refused".into()), "{doc:#}");
    assert!(doc["plan"]["obstacles"][0].as_str().unwrap().contains("there is a cluster already, europe"), "{doc:#}");

    // The last machine takes it along (C14), and may make another.
    let (doc, _) = alone.json(&["removemachine", "mx1", "--dry-run"]);
    assert!(doc["plan"]["effects"].to_string().contains("cluster europe ends"), "{doc:#}");
    alone.commit(&["removemachine", "mx1"]);
    assert_eq!(alone.run(&["list"]).0, Some(3), "there is no cluster any more");
    assert_eq!(alone.effective("smtproutes"), (routes.clone(), "machine".into()));
    alone.restart();
    assert_eq!(alone.run(&["list"]).0, Some(3), "nor after a restart");
    alone.commit(&["create", "africa", "--on", "mx1"]);
    assert_eq!(alone.json(&["list"]).0["clusters"][0]["cluster"], "africa");
    assert_eq!(alone.effective("smtproutes"), (routes, "cluster".into()));
}

#[test]
fn features_of_the_site_are_known_to_commands_as_to_peers() {
    let mut alone = Alone::new();
    let here = alone.dir.path().join("features.d");
    let there = alone.dir.path().join("state/features.d");
    let unknown = alone.json(&["set", "mx1", "relaypolicy", "{}", "--yes"]).0;
    assert!(unknown["plan"]["obstacles"][0].as_str().unwrap().contains("no feature is called"), "{unknown:#}");
    let good = "[relaypolicy]\ntitle = \"Relay policy of the site\"\nfactory = { strict = true }\n";
    for folder in [&here, &there] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("site.toml"), good).unwrap();
    }
    alone.restart();
    assert_eq!(alone.effective("relaypolicy"), (json!({ "strict": true }), "factory".into()));
    alone.commit(&["set", "mx1", "relaypolicy", "{\"strict\": false}"]);
    assert_eq!(alone.effective("relaypolicy"), (json!({ "strict": false }), "machine".into()));
    let (code, info, _) = alone.run(&["config", "info"]);
    assert!(code == Some(0) && info.contains("site features") && info.contains(here.to_str().unwrap()), "{info}");
    let (code, good, said) = alone.run(&["config", "check"]);
    let file = here.join("site.toml").display().to_string();
    assert!(code == Some(0) && good.contains(&format!("{file}: good")), "{good} {said}");

    // All that is wrong in any file is told at once, by file and line, and nothing is sent.
    std::fs::write(here.join("a.toml"), "[one]\ntitle = 7\n\n[two]\nlevel = \"any\"\n").unwrap();
    std::fs::write(here.join("b.toml"), "[smtproutes]\ntitle = \"mine\"\n").unwrap();
    std::fs::write(here.join("c.toml"), "").unwrap();
    std::fs::set_permissions(here.join("c.toml"), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    for (args, wanted) in
        [(&["config", "check"][..], 3), (&["set", "mx1", "relaypolicy", "{}", "--yes"], 64), (&["settings"], 3)]
    {
        let (code, _, said) = alone.run(args);
        assert_eq!(code, Some(wanted), "{args:?}: {said}");
        for place in ["a.toml:2:", "a.toml:5:", "b.toml:1:", "c.toml: others may write it"] {
            assert!(said.contains(place), "{args:?}: {place}: {said}");
        }
    }
}

#[test]
fn c3_settings_of_its_own_are_not_lost_to_a_membership_that_is_put_beside_them() {
    let mut alone = Alone::new();
    alone.commit(&["set", "mx1", "smtproutes", "{\"a\": [\"mx9\"]}"]);
    alone.peer.signal(Signal::TERM);
    assert_eq!(alone.peer.code(), Some(0));
    let given = Membership {
        cluster_id: "5c1b".into(),
        name: "Example".into(),
        revision: 1,
        addressing: Addressing::HostName,
        groups: vec![MAIN_GROUP.into()],
        machines: Vec::new(),
    };
    peerdeck::daemon::write_membership(&alone.dir.path().join("state"), &given).unwrap();
    let config = alone.dir.path().join("peer.toml");
    let out = peerdeck(alone.dir.path(), &["peer", "--config", config.to_str().unwrap()]).output().unwrap();
    let said = text(&out.stderr);
    assert!(!out.status.success() && said.contains("cluster Example") && said.contains("membership.json"), "{said}");
    std::fs::remove_file(alone.dir.path().join("state/membership.json")).unwrap();
    alone.peer = start(alone.dir.path());
    assert_eq!(alone.effective("smtproutes"), (json!({ "a": ["mx9"] }), "machine".into()));
}

#[test]
fn c3_of_several_machines_without_a_cluster_the_one_that_is_named_makes_one() {
    let (one, two) = (Alone::new(), Alone::called("mx2.example.com"));
    two.commit(&["set", "mx2", "smtproutes", "{\"a\": [\"two\"]}"]);
    // One fleet of both: what the one has is not the other's.
    let of_two = std::fs::read_to_string(two.dir.path().join("f.toml")).unwrap();
    let port = of_two.rsplit("port = ").next().unwrap().trim();
    let key = two.dir.path().join("key").display().to_string();
    let file = one.dir.path().join("f.toml");
    let known = two.dir.path().join(".local/state/peerdeck/known_hosts").display().to_string();
    let second = format!(
        "[[cluster.peer]]\nhost = \"127.0.0.1\"\nport = {port}\nauth = [\"key:{key}\"]\nknown-hosts = [\"{known}\"]\n"
    );
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &second).unwrap();
    assert_eq!(one.run(&["settings", "--timeout", "2s"]).0, Some(3), "settings of several would be mixed");
    one.commit(&["create", "europe", "--on", "mx2"]);
    let (doc, _) = two.json(&["list"]);
    assert_eq!(doc["clusters"][0]["cluster"], "europe", "{doc:#}");
    assert_eq!(two.effective_of("mx2", "smtproutes").1, "cluster");
    let (doc, _) = one.json(&["settings", "--on", "mx1"]);
    let modes = list(&doc, "modes");
    assert!(modes.len() == 1 && modes[0]["name"] == "mx1.example.com", "the other is as it was: {doc:#}");
}
