//! `~/.ssh/config` as peerdeck reads it.

use std::path::{Path, PathBuf};

use peerdeck::ssh::config_file::{Jump, SshConfig};

fn parse(text: &str) -> SshConfig {
    SshConfig::parse(text, Path::new("/nonexistent"))
}

#[test]
fn the_first_value_wins_and_patterns_decide() {
    let config = parse(
        "User early\nHost lab1 lab2\n  HostName 10.0.0.%h\n  Port=2222\n  IdentityFile \"/keys/my key\"\n\
         Host *.example.com !bad.example.com\n  User mail\n  ProxyJump hop@bastion:2200, [::1]:22\n\
         Host *\n  Port 22\n  User late\n  IdentityFile /keys/%r@%h:%p-%%\n",
    );
    let lab1 = config.host("lab1");
    assert_eq!(lab1.host_name.as_deref(), Some("10.0.0.lab1"));
    assert_eq!((lab1.user.as_deref(), lab1.port), (Some("early"), Some(2222)));
    // Key files add up, as with ssh.
    assert_eq!(lab1.identity_files, [PathBuf::from("/keys/my key"), PathBuf::from("/keys/early@10.0.0.lab1:2222-%")]);
    let jumps = config.host("a.example.com").proxy_jump;
    assert_eq!(
        jumps,
        [
            Jump { user: Some("hop".into()), host: "bastion".into(), port: Some(2200) },
            Jump { user: None, host: "::1".into(), port: Some(22) }
        ]
    );
    assert_eq!(config.host("bad.example.com").proxy_jump, []);
}

#[test]
fn match_blocks_are_skipped_with_a_note() {
    let config =
        parse("Match host lab1 exec \"true\"\n  User wrong\n  Port 9\nHost lab1\n  User right\nMatch all\n  Port 7\n");
    let lab1 = config.host("lab1");
    assert_eq!((lab1.user.as_deref(), lab1.port), (Some("right"), Some(7)));
    assert_eq!(config.notes().len(), 1, "{:?}", config.notes());
    assert!(config.notes()[0].contains("config:1"), "{:?}", config.notes());
}

#[test]
fn proxy_jump_none_outranks_a_later_one() {
    let config = parse("Host lab1\nProxyJump none\nHost *\nProxyJump bastion\n");
    assert_eq!(config.host("lab1").proxy_jump, []);
    assert_eq!(config.host("lab2").proxy_jump.len(), 1);
}

#[test]
fn includes_are_read_in_place_and_within_their_block() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    write("config", "Host lab*\n  Include d/*.conf\nHost *\n  User last\n");
    write("d/1.conf", "Host lab1\n  User one\n");
    write("d/2.conf", "User two\nInclude ../config\n");
    write("d/ignored", "User no\n");
    let config = SshConfig::load(&dir.path().join("config"));
    assert_eq!(config.host("lab1").user.as_deref(), Some("one"));
    assert_eq!(config.host("lab2").user.as_deref(), Some("two"));
    assert_eq!(config.host("other").user.as_deref(), Some("last"));
}

#[test]
fn a_file_that_includes_itself_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    std::fs::write(&file, "Include config\nUser x\n").unwrap();
    let config = SshConfig::load(&file);
    assert_eq!(config.host("lab1").user.as_deref(), Some("x"));
    assert!(config.notes().iter().any(|n| n.contains("too deeply")), "{:?}", config.notes());
    assert_eq!(SshConfig::load(Path::new("/nonexistent/config")), SshConfig::default());
}

#[test]
fn jump_hosts_that_are_none_are_refused() {
    for bad in ["", "@host", "host:", "host:99999", "user@", "[::1"] {
        assert!(bad.parse::<Jump>().is_err(), "{bad}");
    }
    let bare: Jump = "fe80::1".parse().unwrap();
    assert_eq!((bare.host.as_str(), bare.port), ("fe80::1", None));
    let url: Jump = "ssh://a@b:22".parse().unwrap();
    assert_eq!(url, Jump { user: Some("a".into()), host: "b".into(), port: Some(22) });
}

proptest::proptest! {
    #[test]
    fn any_file_can_be_read(text in "(Host|Match|Port|User|Include|ProxyJump|=|\"|\\*|!|%|#| |\\n|[a-z0-9]){0,60}") {
        let settings = parse(&text).host("lab1");
        proptest::prop_assert!(settings.identity_files.is_empty());
    }
}
