//! `peer.toml`.

use std::time::Duration;

use peerdeck::daemon::Role;
use peerdeck::daemon::config::parse;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

#[test]
fn a_file_with_everything_is_taken() {
    let text = format!(
        r#"
host-name = "MX1.example.com."
state-dir = "/var/lib/peerdeck"
listen = "192.0.2.11:2022"
dns = ["192.0.2.53", "192.0.2.54:5353"]
dialect = "asyncos"
ping-interval = "30 s"
ping-failures = 5
report-interval = "500 ms"
level = 2
max-sessions = 7

[[user]]
name = "admin"
keys = ["{KEY}"]
role = "administrator"

[[user]]
name = "noc"
keys = ["{KEY}"]
"#
    );
    let (setup, dns) = parse(&text).unwrap();
    assert_eq!(setup.host.as_str(), "mx1.example.com");
    assert_eq!(setup.listen, "192.0.2.11:2022".parse().unwrap());
    assert_eq!((setup.ping_interval, setup.ping_failures), (Duration::from_secs(30), 5));
    assert_eq!(setup.report_interval, Duration::from_millis(500));
    assert_eq!((setup.level, setup.max_sessions), (2, 7));
    assert_eq!(setup.users.iter().map(|u| u.role).collect::<Vec<_>>(), vec![Role::Administrator, Role::Guest]);
    assert_eq!(dns, vec!["192.0.2.53:53".parse().unwrap(), "192.0.2.54:5353".parse().unwrap()]);
}

#[test]
fn little_is_needed_and_the_defaults_are_those_of_the_design() {
    let (setup, dns) = parse("host-name = \"mx1.example.com\"\nstate-dir = \"/var/lib/peerdeck\"\n").unwrap();
    assert_eq!((setup.ping_interval, setup.ping_failures), (Duration::from_mins(1), 3));
    assert!(dns.is_empty());
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "host-name = \"no good\"\nstate-dir = \"here\"\nlisten = \"nowhere\"\nping-interval = \"5\"\n\
                dialect = \"cobol\"\n[[user]]\nname = \"a\"\nkeys = [\"x\"]\nrole = \"king\"\n";
    let problems = parse(text).unwrap_err();
    for word in ["host-name", "state-dir", "listen", "ping-interval", "dialect", "key 1", "role `king`"] {
        assert!(problems.iter().any(|p| p.contains(word)), "{word}: {problems:?}");
    }
}

#[test]
fn unknown_keys_are_refused_with_their_line() {
    let text = "host-name = \"mx1.example.com\"\nstate-dir = \"/var/lib/peerdeck\"\nping-intervall = \"5 s\"\n";
    let problems = parse(text).unwrap_err();
    assert!(problems[0].contains("line 3") && problems[0].contains("ping-intervall"), "{problems:?}");
}
