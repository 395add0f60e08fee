//! Files that people write: what is taken, what is refused, and in which words.

use std::fmt::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peerdeck::config::settings::{AuthRef, Driver, Origin};
use peerdeck::config::{Choice, Fleet, Paths, Via, load, template};

const GOOD: &str = r#"
[defaults]
user = "admin"
auth = ["agent", "key:~/.ssh/id_ed25519", "password-command:pass show mail/admin"]
driver = "native"
stale = "4s"

[[cluster]]
name = "americas"
theme = "production-red"
discover = false
dns = ["192.0.2.53", "[2001:db8::53]:5353"]

[[cluster.peer]]
host = "Lab1.example.com."
port = 2222
via = "jump@bastion.example.com:2200"

[[cluster.peer]]
host = "lab2.example.com"
user = "operator"
known-hosts = ["hosts"]

[[cluster]]
name = "lab"
lab = true
interval = "2s"
[[cluster.peer]]
host = "127.88.0.1"
"#;

fn parse(text: &str) -> Fleet {
    Fleet::parse(Path::new("/etc/fleets/a.toml"), text, Path::new("/home/op")).unwrap()
}

#[test]
fn a_fleet_file_is_read_with_the_place_of_every_value() {
    let fleet = parse(GOOD);
    let [americas, lab] = fleet.clusters.as_slice() else { panic!("two clusters") };
    assert_eq!((americas.name.as_str(), americas.discover), ("americas", false));
    assert_eq!(americas.theme.as_ref().unwrap().value, "production-red");
    let [lab1, lab2] = americas.peers.as_slice() else { panic!("two peers") };

    assert_eq!(lab1.host.as_str(), "lab1.example.com", "lower case, without the final dot");
    let user = lab1.settings.user.as_ref().unwrap();
    assert_eq!((user.value.as_str(), user.origin), ("admin", Origin::Defaults(3)));
    assert_eq!(lab1.settings.port.as_ref().unwrap().value, 2222);
    assert_eq!(lab1.settings.driver.as_ref().unwrap().value, Driver::Native);
    let jump = Via { user: Some("jump".into()), host: "bastion.example.com".into(), port: Some(2200) };
    assert_eq!(lab1.settings.via.as_ref().unwrap().value, jump);
    let key = AuthRef::Key("/home/op/.ssh/id_ed25519".into());
    let command = AuthRef::PasswordCommand("pass show mail/admin".into());
    assert_eq!(lab1.settings.auth.as_ref().unwrap().value, [AuthRef::Agent, key, command]);
    let dns: Vec<SocketAddr> = vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:5353".parse().unwrap()];
    assert_eq!(lab1.settings.dns.as_ref().unwrap().value, dns);

    let user = lab2.settings.user.as_ref().unwrap();
    assert_eq!((user.value.as_str(), user.origin), ("operator", Origin::Peer(21)));
    assert_eq!(lab2.settings.known_hosts.as_ref().unwrap().value, [PathBuf::from("/etc/fleets/hosts")]);

    assert_eq!(americas.settings.limits().stale, Duration::from_secs(4));
    assert!(fleet.is_lab());
    assert!(!fleet.clone().only("americas").unwrap().is_lab());
    assert!(fleet.clone().only("america").unwrap_err().contains("did you mean \"americas\"?"));
    assert_eq!(lab.settings.limits().stale, Duration::from_secs(4), "set is set, whatever the interval");
}

#[test]
fn stale_follows_a_longer_interval() {
    let text = "[[cluster]]\nname = \"x\"\ninterval = \"10s\"\n[[cluster.peer]]\nhost = \"h\"\n";
    assert_eq!(parse(text).clusters[0].settings.limits().stale, Duration::from_secs(30));
}

#[test]
fn every_invalid_file_has_its_message() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid_configs"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
    files.sort();
    assert!(files.len() >= 10, "the files are there");
    let mut said = String::new();
    for file in files {
        let name = PathBuf::from(file.file_name().unwrap());
        let text = std::fs::read_to_string(&file).unwrap();
        let invalid = Fleet::parse(&name, &text, Path::new("/home/op")).unwrap_err();
        assert!(!invalid.to_string().contains("hunter2"), "{name:?}: a secret is never repeated");
        let _ = writeln!(said, "{invalid}\n");
    }
    insta::assert_snapshot!("invalid_configs", said);
}

#[test]
fn the_template_loads_once_its_comments_are_taken_away() {
    let template = template::template();
    assert!(template.lines().all(|l| l.starts_with('#')), "all of it is a comment");
    let text: String = template.lines().flat_map(|l| [&l[1..], "\n"]).collect();
    let fleet = parse(&text);
    assert_eq!(fleet.clusters[0].peers.len(), 2);
    assert_eq!(
        fleet.clusters[0].settings.limits(),
        peerdeck::domain::snapshot::Limits::default(),
        "it shows the presets"
    );
    assert!(template.lines().all(|l| l.len() <= 120));
    insta::assert_snapshot!("template", template);
}

fn paths(dir: &Path) -> Paths {
    Paths { home: dir.to_owned(), config: dir.join("config"), state: dir.join("state") }
}

fn put(file: &Path, mode: u32) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, "[[cluster]]\nname = \"x\"\n[[cluster.peer]]\nhost = \"h\"\n").unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fleet.toml");
    for mode in [0o620, 0o602, 0o666] {
        put(&file, mode);
        let why = load::read(&file).unwrap_err().to_string();
        assert!(why.contains("chmod go-w"), "{why}");
    }
    put(&file, 0o644);
    assert!(load::read(&file).is_ok());
    assert!(load::read(dir.path()).unwrap_err().to_string().contains("is not a file"));
}

#[test]
fn a_lost_fleet_is_an_error_and_never_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    assert_eq!(Choice::Default.load(&paths).unwrap(), None, "nothing was named and there is none");
    put(&paths.named_fleet("production"), 0o600);
    let why = Choice::parse("prodution").unwrap().load(&paths).unwrap_err().to_string();
    assert!(why.contains("did you mean \"production\"?"), "{why}");
    let missing = dir.path().join("gone.toml");
    assert!(Choice::parse(missing.to_str().unwrap()).unwrap().load(&paths).is_err());
    assert!(Choice::parse("production").unwrap().load(&paths).unwrap().is_some());
    put(&paths.default_fleet(), 0o622);
    assert!(Choice::Default.load(&paths).is_err(), "a default file that can't be trusted is not skipped");
    std::fs::remove_file(paths.default_fleet()).unwrap();
    std::os::unix::fs::symlink("nowhere", paths.default_fleet()).unwrap();
    assert!(Choice::Default.load(&paths).is_err(), "a dangling link is not the same as no file");
}

#[test]
fn fleet_is_a_file_a_name_or_a_peer() {
    assert_eq!(Choice::parse("a/b"), Ok(Choice::File("a/b".into())));
    assert_eq!(Choice::parse("b.toml"), Ok(Choice::File("b.toml".into())));
    assert_eq!(Choice::parse("prod"), Ok(Choice::Name("prod".into())));
    let Ok(Choice::Target(via)) = Choice::parse("admin@lab1.example.com:2222") else { panic!("a peer") };
    assert_eq!(via.to_string(), "admin@lab1.example.com:2222");
    let fleet = Fleet::of_target(&via);
    assert_eq!(fleet.clusters[0].peers[0].settings.port.as_ref().unwrap().value, 2222);
    assert!(fleet.clusters[0].settings.port.is_none(), "the fellows have ports of their own");
    assert!(fleet.clusters[0].discover);
    for wrong in ["", "..", "a b", "admin@", "@host", "admin@host:0", "admin@host:x", "admin@-oProxyCommand=x"] {
        assert!(Choice::parse(wrong).is_err(), "{wrong}");
    }
    for (text, host, port) in [("[::1]:22", "::1", Some(22)), ("::1", "::1", None), ("h:1", "h", Some(1))] {
        let via = Via::parse(text).unwrap();
        assert_eq!((via.host.as_str(), via.port, via.to_string().as_str()), (host, port, text));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[defaults\\]\n|\\[\\[cluster\\]\\]\n|\\[\\[cluster.peer\\]\\]\n|[a-z-]{1,8} = [a-z0-9\"\\[\\]:é]{0,12}\n|\\PC{0,12}\n){0,12}") {
        let file = Path::new("fleet.toml");
        if let Err(invalid) = Fleet::parse(file, &text, Path::new("/home/op")) {
            proptest::prop_assert!(!invalid.0.is_empty());
            let lines = text.split('\n').count();
            proptest::prop_assert!(invalid.0.iter().all(|p| p.line.is_none_or(|l| l >= 1 && l <= lines)));
        }
    }
}
