//! What `known_hosts` files say, with files as OpenSSH writes them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use peerdeck::ssh::client::{HostKeyPolicy, HostKeyVerdict};
use peerdeck::ssh::known_hosts::{KnownHosts, KnownHostsPolicy, Pinned};
use russh::keys::PublicKey;
use russh::keys::ssh_key::{Algorithm, Certificate};

const A: &str = include_str!("fixtures/a.pub");
const B: &str = include_str!("fixtures/b.pub");
const RSA: &str = include_str!("fixtures/rsa.pub");
const EC: &str = include_str!("fixtures/ec.pub");
const CA: &str = include_str!("fixtures/ca.pub");

fn key(text: &str) -> PublicKey {
    PublicKey::from_openssh(text.trim()).unwrap()
}

struct Files {
    known: KnownHosts,
    dir: tempfile::TempDir,
}

fn files(text: &str) -> Files {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("user");
    std::fs::write(&file, text).unwrap();
    let known = KnownHosts::load(&[file], &dir.path().join("own/known_hosts"));
    Files { known, dir }
}

fn verdict(text: &str, host: &str, port: u16, offered: &str) -> HostKeyVerdict {
    files(text).known.judge(&[host], port, &key(offered))
}

fn word(verdict: &HostKeyVerdict) -> &'static str {
    match verdict {
        HostKeyVerdict::Accepted => "accepted",
        HostKeyVerdict::Unknown => "unknown",
        HostKeyVerdict::Refused(_) => "refused",
    }
}

#[test]
fn each_form_of_a_line() {
    let (a, b) = (A.trim(), B.trim());
    let cases = [
        (format!("lab1 {a}"), "lab1", 22, A, "accepted"),
        (format!("lab1 {a}"), "LAB1", 22, A, "accepted"),
        (format!("lab1 {a}"), "lab1", 22, B, "refused"),
        (format!("lab1 {a}"), "lab10", 22, A, "unknown"),
        (format!("  lab1\t{}  a comment", a.replace(' ', "\t")), "lab1", 22, A, "accepted"),
        (format!("lab0,lab1,127.0.0.9 {a}"), "127.0.0.9", 22, A, "accepted"),
        (format!("[lab1]:2222 {a}"), "lab1", 2222, A, "accepted"),
        (format!("[lab1]:2222 {a}"), "lab1", 22, A, "unknown"),
        (format!("[lab1]:2222 {a}"), "lab1", 2222, B, "refused"),
        (format!("[lab1]:22 {a}"), "lab1", 22, B, "refused"),
        (format!("[::1]:2222 {a}"), "::1", 2222, A, "accepted"),
        // As OpenSSH: a line without port may accept at another port, and refuses nothing there.
        (format!("lab1 {a}"), "lab1", 2222, A, "accepted"),
        (format!("lab1 {a}"), "lab1", 2222, B, "unknown"),
        (format!("*.example.com {a}"), "lab1.example.com", 22, A, "accepted"),
        (format!("*.example.com {a}"), "example.com", 22, A, "unknown"),
        (format!("lab?.example.com {a}"), "lab12.example.com", 22, A, "unknown"),
        (format!("[*.example.com]:* {a}"), "lab1.example.com", 2222, A, "accepted"),
        (format!("*.example.com,!lab1.example.com {a}"), "lab1.example.com", 22, A, "unknown"),
        (format!("!lab1.example.com,*.example.com {a}"), "lab2.example.com", 22, A, "accepted"),
        (format!("@revoked lab1 {a}\nlab1 {a}"), "lab1", 22, A, "refused"),
        (format!("@revoked * {a}"), "lab1", 2222, A, "refused"),
        (format!("@revoked * {a}"), "lab1", 22, B, "unknown"),
        (format!("@cert-authority * {a}"), "lab1", 22, A, "unknown"),
        // Several keys: each of them is right.
        (format!("lab1 {a}\nlab1 {b}"), "lab1", 22, B, "accepted"),
        (format!("# lab1 {a}\n\n"), "lab1", 22, A, "unknown"),
    ];
    for (text, host, port, offered, expected) in cases {
        let found = verdict(&text, host, port, offered);
        assert_eq!(word(&found), expected, "{host}:{port} against\n{text}\n{found:?}");
    }
}

#[test]
fn hashed_lines_as_ssh_keygen_writes_them() {
    let text = include_str!("fixtures/hashed_known_hosts");
    assert_eq!(verdict(text, "lab1.example.com", 22, A), HostKeyVerdict::Accepted);
    assert_eq!(verdict(text, "LAB1.example.com", 22, A), HostKeyVerdict::Accepted);
    assert_eq!(verdict(text, "127.0.0.11", 22, A), HostKeyVerdict::Accepted);
    assert_eq!(verdict(text, "lab2.example.com", 2222, B), HostKeyVerdict::Accepted);
    assert_eq!(verdict(text, "lab2.example.com", 22, B), HostKeyVerdict::Unknown);
    assert_eq!(word(&verdict(text, "lab1.example.com", 22, B)), "refused");
}

#[test]
fn a_refusal_names_the_known_key_and_its_line() {
    let HostKeyVerdict::Refused(why) = verdict(&format!("\nlab1 {A}"), "lab1", 22, B) else { panic!() };
    assert!(why.contains("SHA256:") && why.contains("user:2"), "{why}");
}

#[test]
fn lines_that_cant_be_read_are_told_and_the_others_count() {
    let f = files(&format!("lab1 ssh-ed25519 AAAA\n@odd lab1 {A}\n|2|x|y {A}\nlab1\n\u{1b}\x00\nlab1 {A}"));
    assert_eq!(f.known.notes().len(), 5, "{:?}", f.known.notes());
    assert!(f.known.notes()[0].contains("user:1"));
    assert_eq!(f.known.judge(&["lab1"], 22, &key(A)), HostKeyVerdict::Accepted);
}

#[test]
fn a_file_that_cant_be_read_is_no_empty_file() {
    let dir = tempfile::tempdir().unwrap();
    // A directory can be read by nobody, root included.
    let known = KnownHosts::load(&[dir.path().to_owned()], &dir.path().join("own"));
    assert_eq!(known.unreadable().len(), 1);
    let HostKeyVerdict::Refused(why) = known.judge(&["lab1"], 22, &key(A)) else { panic!("taken for unknown") };
    assert!(why.contains(&dir.path().display().to_string()), "{why}");
    let missing = KnownHosts::load(&[PathBuf::from("/nonexistent/known_hosts")], &dir.path().join("own"));
    assert_eq!(missing.judge(&["lab1"], 22, &key(A)), HostKeyVerdict::Unknown);
}

#[test]
fn a_further_name_counts_only_while_the_first_is_not_recorded() {
    let f = files(&format!("lab1 {A}\n127.0.0.1 {B}"));
    let judge = |names: &[&str], k: &str| word(&f.known.judge(names, 22, &key(k)));
    assert_eq!(judge(&["lab1", "127.0.0.1"], A), "accepted");
    assert_eq!(judge(&["lab1", "127.0.0.1"], B), "refused");
    assert_eq!(judge(&["lab2", "127.0.0.1"], B), "accepted");
    assert_eq!(judge(&["lab2", "127.0.0.1"], A), "refused");
}

#[test]
fn what_is_recorded_is_asked_for_first() {
    let f = files(&format!("lab1 {RSA}\nlab2 {EC}\n@cert-authority *.example.com {CA}"));
    assert!(matches!(f.known.recorded(&["lab1"], 22)[..], [Algorithm::Rsa { .. }]));
    assert!(matches!(f.known.recorded(&["lab2"], 22)[..], [Algorithm::Ecdsa { .. }]));
    assert!(f.known.recorded(&["lab3.example.com"], 22).is_empty());
    assert!(f.known.has_authority(&["lab3.example.com"], 22) && !f.known.has_authority(&["lab3"], 22));
}

#[test]
fn host_certificates_of_a_known_authority() {
    let cert = |text: &str| Certificate::from_openssh(text.trim()).unwrap();
    let now = 1_700_000_000;
    let judge =
        |text: &str, host: &str, c: &str| word(&files(text).known.judge_certificate(&[host], 22, &cert(c), now));
    let good = include_str!("fixtures/host-cert.pub");
    let authority = format!("@cert-authority *.example.com {CA}");
    assert_eq!(judge(&authority, "lab1.example.com", good), "accepted");
    assert_eq!(judge(&authority, "lab2.example.com", good), "refused");
    assert_eq!(judge(&authority, "lab1.example.com", include_str!("fixtures/expired-cert.pub")), "refused");
    assert_eq!(judge(&authority, "lab1.example.com", include_str!("fixtures/user-cert.pub")), "refused");
    assert_eq!(judge(&authority, "lab1.example.com", include_str!("fixtures/stranger-cert.pub")), "unknown");
    assert_eq!(judge("", "lab1.example.com", good), "unknown");
    // Its plain key is known, or it or its authority is revoked.
    assert_eq!(judge(&format!("lab1.example.com {A}"), "lab1.example.com", good), "accepted");
    assert_eq!(judge(&format!("{authority}\n@revoked * {CA}"), "lab1.example.com", good), "refused");
    assert_eq!(judge(&format!("{authority}\n@revoked * {A}"), "lab1.example.com", good), "refused");
}

#[test]
fn known_hosts_outranks_what_fellows_vouch_for() {
    let judge = |text: &str, vouched: Option<&str>, offered: &str| {
        let files = files(text).known;
        let policy = KnownHostsPolicy { files, also: Vec::new(), vouched: vouched.map(key), now: 0 };
        word(&policy.judge("lab1", 22, &key(offered)))
    };
    assert_eq!(judge("", Some(A), A), "accepted");
    assert_eq!(judge("", Some(A), B), "refused");
    assert_eq!(judge("", None, A), "unknown");
    assert_eq!(judge(&format!("lab1 {B}"), Some(A), A), "refused");
    assert_eq!(judge(&format!("lab1 {B}"), Some(A), B), "accepted");
    assert_eq!(judge(&format!("@revoked * {A}"), Some(A), A), "refused");
    assert_eq!(word(&Pinned(key(A)).judge("lab1", 22, &key(A))), "accepted");
    assert_eq!(word(&Pinned(key(A)).judge("lab1", 22, &key(B))), "refused");
}

#[test]
fn a_trusted_key_is_kept_privately_and_replaces_only_its_own_line() {
    let f = files("");
    f.known.append("lab1", 22, &key(A)).unwrap();
    f.known.append("lab2", 2222, &key(A)).unwrap();
    f.known.append("lab1", 22, &key(RSA)).unwrap();
    f.known.append("LAB1", 22, &key(B)).unwrap();
    let own = f.dir.path().join("own/known_hosts");
    let text = std::fs::read_to_string(&own).unwrap();
    assert_eq!(text, format!("[lab2]:2222 {A}lab1 {RSA}lab1 {B}"));
    assert_eq!(std::fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(own.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_dir(own.parent().unwrap()).unwrap().count(), 1, "left-overs");
    assert_eq!(f.known.judge(&["lab1"], 22, &key(B)), HostKeyVerdict::Accepted);
    assert_eq!(word(&f.known.judge(&["lab1"], 22, &key(A))), "refused");
    for bad in ["lab1 lab2", "*", "a,b", "x\ny", "#x"] {
        assert!(f.known.append(bad, 22, &key(A)).is_err(), "{bad}");
    }
}

#[test]
fn a_change_of_the_file_is_seen() {
    let f = files("");
    let policy = |f: &Files| word(&f.known.judge(&["lab1"], 22, &key(A)));
    assert_eq!(policy(&f), "unknown");
    std::fs::write(f.dir.path().join("user"), format!("lab1 {A}")).unwrap();
    f.known.refresh();
    assert_eq!(policy(&f), "accepted");
    // Clones share what was read.
    let clone = f.known.clone();
    f.known.append("lab9", 22, &key(B)).unwrap();
    assert_eq!(clone.judge(&["lab9"], 22, &key(B)), HostKeyVerdict::Accepted);
}

proptest::proptest! {
    /// Whatever stands in a file: no panic, and no other host is let in by a line for `lab1`.
    #[test]
    fn any_file_can_be_read(noise in "\\PC{0,200}", lines in proptest::collection::vec("[|@!*?,\\[\\]:a-z0-9 \\t=]{0,40}", 0..20)) {
        let text = format!("{noise}\n{}\nlab1 {A}", lines.join("\n"));
        let f = files(&text);
        proptest::prop_assert_eq!(f.known.judge(&["lab1"], 22, &key(A)), HostKeyVerdict::Accepted);
        proptest::prop_assert!(f.known.judge(&["zzz.example.net"], 22, &key(A)) != HostKeyVerdict::Accepted);
    }
}
