//! Settings on the command line, as a user runs it: a headless lab in one process, commands on it in others.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};

use crate::oneshot::{LONG, Typed};
use crate::support::PATIENCE;
use crate::whole::{Whole, link, list, text};

impl Whole {
    /// Commits; it must be observed.
    fn commit(&self, args: &[&str]) -> Value {
        let (doc, code) = self.act(&[args, &["--yes"]].concat());
        assert_eq!((code, &doc["outcome"]["state"]), (0, &"observed".into()), "{args:?}: {doc:#}");
        doc
    }

    /// What `args` ask of `settings`: the one feature.
    fn feature(&self, args: &[&str]) -> Value {
        let (doc, code) = self.json(&[&["settings"], args, &["--timeout", LONG]].concat());
        assert_eq!((code, doc["schema"].as_str()), (0, Some("peerdeck.settings/1")), "{args:?}: {doc:#}");
        let features = list(&doc, "features");
        assert_eq!(features.len(), 1, "{args:?}: {doc:#}");
        features[0].clone()
    }

    /// Asks for `check` until it fits.
    fn check_until(&self, what: &str, fits: impl Fn(&Value, i32) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let (doc, code) = self.json(&["check", "--timeout", LONG]);
            if fits(&doc, code) {
                return doc;
            }
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}: {doc:#}");
        }
    }

    /// Waits until all peers tell one digest.
    fn agree(&self) -> Value {
        self.check_until("all peers hold the same", |doc, _| {
            let digests: Vec<&Value> = list(doc, "peers").iter().map(|p| &p["digest"]).collect();
            digests.iter().all(|d| d.is_string() && **d == *digests[0])
        })
    }

    /// The group of a machine.
    fn group_of(&self, peer: &str) -> String {
        let (doc, _) = self.json(&["connstatus"]);
        let of = |p: &&Value| p["peer"].as_str().unwrap().split('.').next() == Some(peer);
        list(&doc, "peers").iter().find(of).unwrap()["group"].as_str().unwrap().to_owned()
    }
}

/// `{"example.com":["<route>"]}`.
fn routes(route: &str) -> String {
    json!({ "example.com": [route] }).to_string()
}

fn on(version: &Value) -> &str {
    version["updated_on"].as_str().unwrap().split('.').next().unwrap()
}

#[test]
fn c2_show_1_each_machine_names_value_and_origin_and_empty_is_not_absent() {
    let whole = Whole::start("6");
    // Two machines in each group, in order.
    let (own, paris) = ("lab5".to_owned(), ["lab3", "lab4"].map(str::to_owned));
    assert_eq!((whole.group_of("lab3"), whole.group_of("lab5")), ("Paris".into(), "Rome".into()));
    let doc = whole.commit(&["set", "cluster", "smtproutes", &routes("mx1"), "-m", "relay"]);
    assert_eq!(
        (&doc["plan"]["command"], &doc["plan"]["changes"][0]["feature"]),
        (&"commit".into(), &"smtproutes".into())
    );
    assert!(!list(&doc["plan"], "effects").is_empty(), "{doc:#}");
    whole.commit(&["set", "group:Paris", "smtproutes", "{}"]);
    let doc = whole.commit(&["set", &own, "smtproutes", &routes("mx5")]);
    let author = doc["plan"]["peer"].as_str().unwrap().split('.').next().unwrap().to_owned();
    for n in 1..=6 {
        let peer = format!("lab{n}");
        let told = whole.feature(&[&peer, "smtproutes"]);
        let level = told["effective_from"]["level"].as_str().unwrap();
        let expected = if peer == own {
            ("machine", Some("mx5"))
        } else if paris.contains(&peer) {
            ("group", None)
        } else {
            ("cluster", Some("mx1"))
        };
        assert_eq!((level, told["value"]["example.com"][0].as_str()), expected, "{told:#}");
        assert_eq!(
            (&told["defined"], &told["empty"]),
            (&(peer == own).into(), &paris.contains(&peer).into()),
            "{told:#}"
        );
        // Every peer tells the same.
        let same = whole.feature(&[&own, "smtproutes", "--on", &peer]);
        assert_eq!((&same["value"]["example.com"][0], on(&same)), (&"mx5".into(), author.as_str()), "{peer}: {same:#}");
    }
    whole.agree();
    let group = whole.feature(&["Paris", "smtproutes"]);
    assert_eq!((&group["defined"], &group["empty"], &group["value"]), (&true.into(), &true.into(), &json!({})));
    let absent = whole.feature(&["Rome", "smtproutes"]);
    assert_eq!((&absent["defined"], &absent["empty"]), (&false.into(), &false.into()));
    let shown = text(&whole.run(&["settings"]).stdout);
    assert!(shown.contains("{} (empty)") && shown.contains("(inherits all)"), "{shown}");
    let (defined, _) = whole.json(&["settings", "--defined", "smtproutes"]);
    assert_eq!(list(&defined, "features").len(), 3, "{defined:#}");
    // Back again, and who has it.
    whole.commit(&["unset", &own, "smtproutes", "-m", "back"]);
    assert_eq!(whole.feature(&[&own, "smtproutes"])["effective_from"]["level"], "cluster");
    let (detail, code) = whole.json(&["commitdetail", "--timeout", LONG]);
    let newest = &detail["commits"][0];
    assert_eq!(
        (code, &newest["comment"], newest["changes"][0]["defined"].as_bool()),
        (0, &"back".into(), Some(false)),
        "{detail:#}"
    );
    assert!(list(newest, "peers").iter().all(|p| p["has"] == true), "{detail:#}");
}

#[test]
fn c23_c24_show_2_both_sides_of_a_partition_are_named_resolved_and_remembered() {
    let whole = Whole::start("4");
    whole.commit(&["set", "cluster", "smtproutes", &routes("mx0")]);
    whole.agree();
    assert_eq!(whole.act(&["disconnect", "lab2", "lab4", "--yes"]).1, 0);
    let doc = whole.commit(&["set", "cluster", "smtproutes", &routes("mx2"), "--on", "lab2"]);
    assert_eq!(doc["plan"]["peer"], "lab2.example.com", "{doc:#}");
    whole.commit(&["set", "cluster", "smtproutes", &routes("mx4"), "--on", "lab4"]);
    let route = |at: &str| whole.feature(&["cluster", "smtproutes", "--on", at])["value"]["example.com"][0].clone();
    assert_eq!((route("lab1"), route("lab2"), route("lab4")), ("mx0".into(), "mx2".into(), "mx4".into()));
    assert_eq!(whole.act(&["reconnect", "lab2", "lab4", "--yes"]).1, 0);
    let doc = whole.check_until("both versions are known", |doc, code| {
        code == 1 && doc["inconsistencies"][0]["versions"].as_array().is_some_and(|v| v.len() == 2)
    });
    assert_eq!(doc["consistent"], false, "{doc:#}");
    let conflict = &doc["inconsistencies"][0];
    assert_eq!((&conflict["feature"], &conflict["mode"]["level"]), (&"smtproutes".into(), &"cluster".into()));
    let versions = list(conflict, "versions");
    assert_eq!((on(&versions[0]), on(&versions[1])), ("lab4", "lab2"), "the most recent first: {doc:#}");
    for version in versions {
        assert!(version["updated_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{version:#}");
        assert!(
            !version["updated_by"].as_str().unwrap().is_empty() && version["peer"] == version["updated_on"],
            "{version:#}"
        );
    }
    assert_ne!(versions[0]["digest"], versions[1]["digest"]);
    whole.agree();
    for n in 1..=4 {
        assert_eq!(route(&format!("lab{n}")), "mx4", "the most recent is effective everywhere");
    }
    let plugin = whole.run(&["check", "--plugin", "--timeout", LONG]);
    assert!(
        plugin.status.code() == Some(1) && text(&plugin.stdout).starts_with("PEERDECK WARNING"),
        "{}",
        text(&plugin.stdout)
    );

    let (doc, code) = whole.json(&["resolve", "cluster", "smtproutes", "--ignore"]);
    assert_eq!((code, &doc["outcome"]["state"]), (0, &"ignored".into()), "{doc:#}");
    assert_eq!(whole.json(&["check", "--timeout", LONG]).1, 1, "it changes nothing");
    assert_eq!(
        whole.run(&["resolve", "cluster", "smtproutes", "--use", "lab1", "--yes"]).status.code(),
        Some(64),
        "it has no word"
    );
    whole.commit(&["resolve", "cluster", "smtproutes", "--use", "lab2"]);
    let doc = whole.check_until("it is settled", |doc, code| code == 0 && doc["consistent"] == true);
    assert!(list(&doc, "inconsistencies").is_empty());
    whole.agree();
    for n in 1..=4 {
        assert_eq!(route(&format!("lab{n}")), "mx2", "resolved on every peer");
    }
    let (past, code) = whole.json(&["settings", "--history", "cluster", "smtproutes"]);
    let loser = list(&past, "versions").iter().find(|v| v["value"]["example.com"][0] == "mx4").unwrap();
    assert_eq!((code, &loser["stands"], on(loser)), (0, &false.into(), "lab4"), "{past:#}");
    assert!(
        list(&past, "versions").iter().any(|v| v["effective"] == true && v["value"]["example.com"][0] == "mx2"),
        "{past:#}"
    );
}

#[test]
fn c23_show_3_the_second_of_two_sessions_sees_both_and_may_discard_or_override() {
    let whole = Whole::start("3");
    whole.commit(&["set", "cluster", "smtproutes", &routes("mx0")]);
    whole.agree();
    let mine = routes("mine");
    let cluster = whole.json(&["list"]).0["clusters"][0]["cluster"].as_str().unwrap().to_owned();
    for (flags, other, lasts) in [(&[][..], "one", "one"), (&["--override"][..], "two", "mine")] {
        let mut asked =
            Typed::start(&whole, &[&["set", "cluster", "smtproutes", &mine, "--timeout", LONG], flags].concat());
        asked.until(&format!("Type {cluster} to set smtproutes"));
        whole.commit(&["set", "cluster", "smtproutes", &routes(other)]);
        asked.type_keys(&format!("{cluster}\r"));
        asked.until("was changed by somebody else meanwhile");
        let (code, said) = asked.code();
        assert!(["Looked at:", "Now:", "Yours:", other, "mine"].iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(code, u32::from(flags.is_empty()), "{said}");
        assert_eq!(whole.feature(&["cluster", "smtproutes"])["value"]["example.com"][0], lasts, "{said}");
    }
    let log = whole.audited();
    let refused = log.iter().find(|l| l["phase"] == "end" && l["outcome"]["state"] == "refused").unwrap();
    assert_eq!(refused["changes"][0]["feature"], "smtproutes", "{refused:#}");
    assert!(
        refused["changes"][0]["value"].is_null() && !refused.to_string().contains("mine"),
        "no values in the log: {refused:#}"
    );
    assert!(refused["basis"]["settings"]["c/smtproutes"].is_array(), "{refused:#}");
}

#[test]
fn b4_c7_show_4_setgroup_tells_what_would_change_and_then_all_peers_say_so() {
    let whole = Whole::start("6");
    let moved = "lab3".to_owned();
    assert_eq!(whole.group_of(&moved), "Paris");
    whole.commit(&["set", "cluster", "smtproutes", &routes("mx1")]);
    whole.commit(&["set", "group:Rome", "smtproutes", &routes("mx-rome")]);
    whole.agree();
    let (doc, code) = whole.act(&["setgroup", &moved, "Rome", "--dry-run"]);
    let effects = doc["plan"]["effects"].to_string();
    assert!(code == 0 && doc["outcome"].is_null(), "{doc:#}");
    assert!(effects.contains("smtproutes") && effects.contains("mx-rome") && effects.contains(&moved), "{doc:#}");
    assert_ne!(whole.group_of(&moved), "Rome", "a dry run changes nothing");
    let doc = whole.commit(&["setgroup", &moved, "Rome"]);
    assert!(doc["outcome"]["detail"].as_str().unwrap().contains("all 6 peers have it"), "{doc:#}");
    assert_eq!(whole.feature(&[&moved, "smtproutes"])["effective_from"]["name"], "Rome");
    let (doc, code) = whole.act(&["setgroup", &moved, "Rome", "--yes"]);
    assert_eq!((code, &doc["outcome"]["state"]), (1, &"refused".into()), "it is there already: {doc:#}");

    // Groups come, are renamed, and go with their machines.
    whole.commit(&["addgroup", "Oslo"]);
    whole.commit(&["renamegroup", "Oslo", "Bergen"]);
    whole.commit(&["setgroup", &moved, "Bergen"]);
    whole.until("the group is Bergen everywhere", |_| whole.group_of(&moved) == "Bergen");
    assert_eq!(whole.run(&["deletegroup", "Bergen", "--yes"]).status.code(), Some(64), "where do its machines go?");
    whole.commit(&["deletegroup", "Bergen", "--move-to", "Rome"]);
    whole.until("its machines are in Rome", |_| whole.group_of(&moved) == "Rome");
    whole.commit(&["setname", "europe"]);
    assert_eq!(whole.feature(&["cluster", "smtproutes"])["mode"]["name"], "europe");
}

#[test]
fn c16_a_file_of_changes_is_one_commit_or_none() {
    let whole = Whole::start("2");
    let file = whole.dir.path().join("changes.toml");
    let good = "comment = \"both\"\n[[change]]\nmode = \"cluster\"\nfeature = \"smtproutes\"\nvalue = { a = [\"mx1\"] }\n\
                [[change]]\nmode = \"lab1\"\nfeature = \"smtproutes\"\nvalue = {}\n";
    std::fs::write(&file, good.replace("lab1", "lab9")).unwrap();
    let path = file.to_str().unwrap();
    let out = whole.run(&["apply", path, "--yes"]);
    assert_eq!(out.status.code(), Some(64));
    let said = text(&out.stderr);
    assert!(said.contains("line 6") && said.contains("lab9"), "{said}");
    assert_eq!(whole.feature(&["cluster", "smtproutes"])["defined"], false, "nothing of it is done");
    let args = ["apply", "-", "--yes", "--json", "--timeout", LONG];
    let mut child = whole.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(good.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let doc: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), &doc["outcome"]["state"]), (Some(0), &"observed".into()), "{doc:#}");
    assert_eq!((list(&doc["plan"], "changes").len(), &doc["plan"]["reason"]), (2, &"both".into()), "{doc:#}");
    let (past, _) = whole.json(&["settings", "--history", "lab1", "smtproutes"]);
    let (other, _) = whole.json(&["settings", "--history", "cluster", "smtproutes"]);
    assert_eq!(past["versions"][0]["commit"], other["versions"][0]["commit"], "one commit: {past:#}");
}

#[test]
fn an_own_editor_changes_a_value_and_one_that_changes_nothing_sends_nothing() {
    let whole = Whole::start("2");
    let editor = whole.dir.path().join("editor");
    let edit = |script: &str, args: &[&str]| {
        std::fs::write(&editor, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let args = [&["edit", "cluster", "smtproutes", "--yes", "--timeout", LONG], args].concat();
        whole.command(&args).env("EDITOR", &editor).output().unwrap()
    };
    let out = edit("exit 0", &[]);
    assert_eq!(out.status.code(), Some(0));
    assert!(text(&out.stderr).contains("nothing was sent"), "{}", text(&out.stderr));
    assert_eq!(whole.feature(&["cluster", "smtproutes"])["defined"], false);
    let out = edit("echo '{\"example.com\": [\"mx7\"]}' > \"$1\"", &[]);
    assert_eq!(out.status.code(), Some(0), "{} {}", text(&out.stdout), text(&out.stderr));
    assert_eq!(whole.feature(&["cluster", "smtproutes"])["value"]["example.com"][0], "mx7");
    let out = edit("sed -i s/mx7/mx8/ \"$1\"", &["--toml"]);
    assert_eq!(out.status.code(), Some(0), "{} {}", text(&out.stdout), text(&out.stderr));
    assert_eq!(whole.feature(&["cluster", "smtproutes"])["value"]["example.com"][0], "mx8");
}

#[test]
fn what_is_named_wrongly_is_told_with_what_was_meant_and_nothing_is_sent() {
    let whole = Whole::start("2");
    let cases: [(&[&str], &str); 7] = [
        (&["set", "lab", "smtproutes", "{}"], "no mode is named"),
        (&["set", "cluster", "smtproutes", "mx1"], "'\"mx1\"'"),
        (&["set", "cluster", "smtproutes", "@/does/not/exist"], "/does/not/exist"),
        (&["set", "group:Pari", "smtproutes", "{}"], "did you mean \"Paris\""),
        (&["setgroup", "lab1", "Romee"], "no group is named"),
        (&["set", "cluster", "smtproutes", "{}", "--on", "lab9"], "no peer is named"),
        (&["resolve", "--all", "--use", "lab1"], "no conflict"),
    ];
    for (args, says) in cases {
        let out = whole.run(&[args, &["--yes"]].concat());
        let said = text(&out.stderr);
        assert!(out.status.code() == Some(64) && said.contains(says), "{args:?}: {:?} {said}", out.status);
    }
    for args in
        [&["set", "cluster"][..], &["resolve", "--use", "lab1"], &["resolve", "cluster", "smtproutes"], &["copy", "x"]]
    {
        assert_eq!(whole.run(args).status.code(), Some(64), "{args:?}");
    }
    let out = whole.run(&["settings", "lab9"]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    assert_eq!(whole.run(&["settings", "cluster", "smtprutes"]).status.code(), Some(3));
    let (doc, code) = whole.act(&["set", "cluster", "smtprutes", "{}", "--yes"]);
    assert_eq!((code, &doc["outcome"]["state"]), (1, &"refused".into()), "{doc:#}");
    assert!(doc["plan"]["obstacles"][0].as_str().unwrap().contains("did you mean \"smtproutes\""), "{doc:#}");
    let out = whole.run(&["set", "cluster", "smtproutes", "{}"]);
    assert!(
        out.status.code() == Some(1) && text(&out.stdout).contains("--yes"),
        "nobody is there: {}",
        text(&out.stdout)
    );
    let (doc, _) = whole.json(&["connstatus"]);
    assert_eq!(link(&doc, "lab1", "lab2")["state"], "connected");
    assert_eq!(whole.feature(&["cluster", "smtproutes"])["defined"], false);
}

#[test]
fn c14_a_machine_that_is_removed_waits_for_nobody_and_nobody_waits_for_it() {
    let whole = Whole::start("3");
    whole.commit(&["set", "cluster", "smtproutes", &routes("mx1")]);
    let (doc, code) = whole.act(&["removemachine", "lab3", "--dry-run"]);
    assert_eq!((code, &doc["plan"]["class"]), (0, &"critical".into()), "{doc:#}");
    whole.commit(&["removemachine", "lab3", "-m", "sold"]);
    let (past, _) = whole.json(&["settings", "--history", "cluster", "smtproutes"]);
    assert_eq!(list(&past, "versions").len(), 1, "{past:#}");
    assert_eq!(whole.run(&["settings", "machine:lab3"]).status.code(), Some(3), "it is no mode any more");
    // It is still in the fleet file and still answers.
    for route in ["mx2", "mx3"] {
        let doc = whole.commit(&["set", "cluster", "smtproutes", &routes(route)]);
        assert_ne!(doc["plan"]["peer"], "lab3.example.com", "{doc:#}");
        assert_eq!(whole.feature(&["cluster", "smtproutes"])["value"]["example.com"][0], route);
    }
    assert_eq!(whole.run(&["set", "lab3", "smtproutes", "{}", "--yes"]).status.code(), Some(64));
}

#[test]
fn c33_a_new_host_name_is_told_by_every_peer_and_the_old_one_by_none() {
    let whole = Whole::start("3");
    whole.agree();
    let (doc, code) = whole.act(&["sethost", "lab2", "mx2.example.com", "--dry-run"]);
    let effects = doc["plan"]["effects"].to_string();
    assert_eq!((code, &doc["plan"]["class"]), (0, &"disruptive".into()), "{doc:#}");
    for says in
        ["lab2.example.com is called mx2.example.com", "mx2.example.com must lead to lab2", "is gone everywhere"]
    {
        assert!(effects.contains(says), "{says}: {doc:#}");
    }
    let (doc, code) = whole.act(&["sethost", "lab2", "lab3.example.com", "--yes"]);
    assert_eq!((code, &doc["outcome"]["state"]), (1, &"refused".into()), "it is taken: {doc:#}");

    whole.fault(&["alias", "lab2", "mx2.example.com"]);
    whole.commit(&["sethost", "lab2", "mx2.example.com", "-m", "a new rack"]);
    // Who restarts reads it from its disk, dials by the new name and is dialled by it.
    for peer in ["lab2", "lab3"] {
        whole.fault(&["restart", peer]);
    }
    whole.until("all links are up by the new name", |doc| {
        let links = list(doc, "links");
        links.len() == 6 && links.iter().all(|l| l["state"] == "connected") && !doc.to_string().contains("lab2")
    });
    for on in ["lab1", "mx2", "lab3"] {
        let (doc, code) = whole.json(&["settings", "mx2", "--on", on, "--timeout", LONG]);
        assert_eq!((code, &doc["features"][0]["mode"]["name"]), (0, &"mx2.example.com".into()), "{on}: {doc:#}");
        let told = text(&whole.run(&["list", "--json"]).stdout);
        assert!(told.contains("mx2.example.com") && !told.contains("lab2.example.com"), "{told}");
    }
    assert_eq!(whole.run(&["settings", "lab2"]).status.code(), Some(3), "nobody is called so any more");
}

#[test]
fn c33_a_name_that_dns_does_not_know_takes_links_down_and_an_address_needs_no_dns() {
    let whole = Whole::start("2");
    whole.agree();
    whole.commit(&["sethost", "lab2", "mx2.example.com"]);
    // One good look-up is enough for a link: neither may have one.
    whole.fault(&["dns", "lab1", "nxdomain"]);
    whole.fault(&["restart", "lab2"]);
    whole.until("its name can't be looked up", |doc| {
        let l = link(doc, "mx2", "lab1");
        l["state"] == "down" && l["cause"].as_str().is_some_and(|c| c.starts_with("dns-"))
    });
    let known = std::fs::read_to_string(whole.dir.path().join("lab/ssh_config")).unwrap();
    let of_lab2 = known.split("Host lab2 ").nth(1).unwrap();
    let address = of_lab2.split("HostName ").nth(1).unwrap().lines().next().unwrap();
    let args = ["sethost", "mx2", "mx2.example.com", "--address", address, "--on", "mx2"];
    let (doc, _) = whole.act(&[&args[..], &["--dry-run"]].concat());
    assert!(doc["plan"]["effects"].to_string().contains("use one kind for all"), "{doc:#}");
    whole.commit(&args);
    whole.fault(&["dns", "lab1", "ok"]);
    whole.until("all links are up", |doc| list(doc, "links").iter().all(|l| l["state"] == "connected"));
    whole.agree();
    whole.fault(&["dns", "lab1", "nxdomain"]);
    whole.fault(&["restart", "lab2"]);
    whole.until("it is dialled by its address", |doc| link(doc, "mx2", "lab1")["state"] == "connected");
}

/// Whether the text stands in any file in here.
fn is_written(folder: &std::path::Path, text: &str) -> bool {
    let holds = |bytes: Vec<u8>| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.file_type().unwrap() {
        t if t.is_dir() => is_written(&entry.path(), text),
        t if t.is_file() => std::fs::read(entry.path()).is_ok_and(holds),
        _ => false,
    })
}

#[test]
fn a_secret_is_neither_told_nor_written_anywhere_in_plain_text() {
    let whole = Whole::start("2");
    let set = |value: &str| {
        let args = ["set", "cluster", "smtpauthconfig", "-", "--yes", "--json", "--timeout", LONG];
        let mut child = whole.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let (said, warned) = (text(&out.stdout), text(&out.stderr));
        assert_eq!(out.status.code(), Some(0), "{said} {warned}");
        assert!(said.contains("(secret)") && !said.contains("hunter2") && !said.contains("secret:"), "{said}");
        assert!(!warned.contains("hunter2"), "{warned}");
    };
    set(r#"{"relay": {"host": "mx1", "password": "hunter2"}}"#);
    let told = whole.feature(&["lab2", "smtpauthconfig"]);
    assert_eq!(told["value"], json!({ "relay": { "host": "mx1", "password": "(secret)" } }));
    // What was told can be sent back: the secret stays.
    set(&told["value"].to_string().replace("mx1", "mx2"));
    assert_eq!(whole.feature(&["lab2", "smtpauthconfig"])["value"]["relay"]["host"], "mx2");
    for args in
        [&["settings", "--history", "cluster", "smtpauthconfig"][..], &["settings", "cluster", "smtpauthconfig"]]
    {
        let said = text(&whole.run(args).stdout);
        assert!(said.contains("(secret)") && !said.contains("secret:") && !said.contains("hunter2"), "{said}");
    }
    // The audit log and the disks of the peers; that this would see it, the name of the feature shows.
    assert!(is_written(whole.dir.path(), "smtpauthconfig"));
    assert!(!is_written(whole.dir.path(), "hunter2"));
}
