//! `peer.toml`.

use std::time::Duration;

use peerdeck::daemon::Role;
use peerdeck::daemon::config::parse;
use peerdeck::domain::ha::{Configured, HaConfig, LinkName};

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

fn example(name: &str) -> peerdeck::daemon::Setup {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/examples/ha").join(name);
    peerdeck::daemon::config::load(&path).unwrap().0
}

#[test]
fn f2_the_examples_of_a_pair_and_its_witness_fit_together() {
    let (one, two, three) = (example("mx1.toml"), example("mx2.toml"), example("witness.toml"));
    let (first, second) = (one.ha.unit.unwrap(), two.ha.unit.unwrap());
    assert_eq!((first.0.configured, second.0.configured), (Configured::Primary, Configured::Secondary));
    assert_eq!(first.1, second.1);
    let ways = |c: &HaConfig| c.links.iter().map(|l| (l.name, l.local, l.peer)).collect::<Vec<_>>();
    let turned: Vec<_> = ways(&second.0).into_iter().map(|(name, local, peer)| (name, peer, local)).collect();
    assert_eq!(ways(&first.0), turned);
    assert_eq!(first.0.links[0].name, LinkName::Primary, "the primary link is the first");
    assert_eq!(first.0.addresses, second.0.addresses);
    assert_eq!(first.0.addresses.len(), 2);
    assert_eq!(first.0.monitors.len(), 3);
    assert_eq!(first.0.monitored_ports, ["eth0"]);
    let (witness, secrets) = &three.ha.witness[0];
    assert_eq!((&witness.group, secrets), (&first.0.group, &first.1));
    assert_eq!(first.0.witness_at, [std::net::SocketAddr::new(witness.local[0], witness.base_port)]);
    assert_eq!(witness.lease, first.0.lease);
    assert!(one.ha.own_thread);
}

#[test]
fn f2_all_problems_of_an_ha_block_are_told_at_once_with_the_nearest_key() {
    let text = r#"
host-name = "mx1.example.com"
state-dir = "/var/lib/peerdeck"

[ha]
group = "gw"
mode = "primari"
hb-intervall = "1 s"
hb-lost-threshold = "2 s"
vip-lease = "1500 ms"
witness = "require"
password-file = "relative"
password-env = "HA_PASSWORD"
hook = "role-changed"
reference-addresses = ["fe80::1"]

[[ha.interface]]
name = "eth0"
heartbeat-status = "primary"
local-ip = "192.0.2.11"
peer-ip = "192.0.2.11"
virtual-ip = "192.0.2.10"
action-on-primary = "sett"
port-monitr = "enable"

[ha.service.remote-smpt]
ip = "192.0.2.10"

[ha.service.remote-imap]
retries = 0

[ha.service.local-ports]

[[witness]]
group = "gw"
vip-lease = "90 s"
"#;
    let problems = parse(text).unwrap_err();
    for word in [
        "[ha] mode: `primari` is not known; off, primary, secondary, config-primary and config-secondary are; do you mean `primary`?",
        "[ha] hb-intervall: no such key; do you mean `hb-interval`?",
        "[ha] password-file: `relative` is not an absolute path",
        "[ha] password-file: give `password-file` or `password-env`, not both",
        "[ha] hook: its program is not an absolute path",
        "[ha] reference-addresses: `fe80::1` is link-local",
        "[[ha.interface]] eth0 peer-ip: 192.0.2.11 is this machine's own `local-ip`",
        "[[ha.interface]] eth0 virtual-ip: `192.0.2.10` has no prefix",
        "[[ha.interface]] eth0 action-on-primary: `sett` is not known; ignore, set and add are; do you mean `set`?",
        "[[ha.interface]] eth0 port-monitr: no such key; do you mean `port-monitor`?",
        "[ha.service] remote-smpt: no such key; do you mean `remote-smtp`?",
        "[ha.service.remote-imap] ip: it is missing",
        "[ha.service.remote-imap] retries: 0 is not a whole number from 1 to 100",
        "[ha.service.local-ports]: no port has `port-monitor = \"enable\"`",
        "[[witness]] local-ip: it is missing",
        "[[witness]] vip-lease: it is not a whole number",
        "[[witness]] password-file: it is missing",
        "[[witness]] group: this machine is a unit of gw",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(word)), "{word}\n{problems:#?}");
    }
    assert_eq!(problems.len(), 18, "{problems:#?}");
}

/// What the whole block means is looked at too, and problems elsewhere don't hide it.
#[test]
fn f2_rules_between_keys_are_told_with_the_rest() {
    let text = r#"
host-name = "mx1.example.com"
state-dir = "/var/lib/peerdeck"
nonsense = 1

[ha]
group = "gw"
mode = "primary"
password-file = "/etc/peerdeck/gw.password"
hb-lost-threshold = "2 s"
witness = "require"

[[ha.interface]]
name = "eth0"
heartbeat-status = "secondary"
local-ip = "192.0.2.11"
peer-ip = "192.0.2.12"
virtual-ip = "192.0.2.10/24"
action-on-primary = "set"
"#;
    let problems = parse(text).unwrap_err();
    let about = ["nonsense", "hb-lost-threshold", "lead to 0 others", "witness-address", "`set` on eth0"];
    for word in about {
        assert!(problems.iter().any(|p| p.contains(word)), "{word}: {problems:#?}");
    }
    assert_eq!(problems.len(), about.len(), "{problems:#?}");
}

#[test]
fn f1_a_config_only_group_has_one_link_to_each_fellow() {
    let text = r#"
host-name = "mx1.example.com"
state-dir = "/var/lib/peerdeck"
[ha]
group = "edge"
mode = "config-primary"
password-env = ["HA_NEW", "HA_OLD"]
[[ha.interface]]
name = "eth0"
heartbeat-status = "primary"
local-ip = "192.0.2.11"
peer-ip = ["192.0.2.12", "192.0.2.13", "192.0.2.14"]
"#;
    let (setup, _) = parse(text).unwrap();
    let (ha, secrets) = setup.ha.unit.unwrap();
    assert_eq!(ha.fellows().count(), 3);
    assert_eq!((ha.interval, ha.threshold), (Duration::from_secs(1), Duration::from_secs(15)));
    assert_eq!(secrets.0.len(), 2);
}

/// The guide names every key that is read: whoever adds one is told here.
#[test]
fn f2_the_guide_names_every_key_of_the_ha_blocks() {
    let read =
        |file: &str| std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let (code, guide) = (read("src/daemon/config/ha.rs"), read("src/docs/ha-config.md"));
    let quoted = code.split('"').skip(1).step_by(2);
    let is_key = |w: &&str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let keys: std::collections::BTreeSet<&str> = quoted.filter(is_key).filter(|w| *w != "kebab-case").collect();
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        assert!(
            guide.contains(&format!("`{key}`")) || guide.contains(&format!(".{key}]")),
            "{key} stands nowhere in the guide"
        );
    }
}
