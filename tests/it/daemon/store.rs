//! The state directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use std::time::Duration;

use peerdeck::daemon::store::{
    begin_boot, read_detached, read_keys, read_maintenance, write_detached, write_maintenance,
};
use peerdeck::daemon::{StoreError, new_host_key, provision, read_membership};
use peerdeck::domain::maintenance::Maintenance;
use peerdeck::domain::{HostName, Time};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn provisioning_is_private_and_changes_nothing_the_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/lab1");
    let host = HostName::new("lab1.example.com");
    let first = provision(&state, &host).unwrap();
    assert_eq!(provision(&state, &host).unwrap(), first);
    let serial = first.id.as_str();
    let (a, b) = serial.split_once('-').unwrap();
    assert!(a.len() == 12 && a.bytes().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_lowercase()), "{serial}");
    assert!(b.len() == 7 && b.bytes().all(|c| c.is_ascii_alphanumeric() && !c.is_ascii_lowercase()), "{serial}");
    assert!(first.machine_key.starts_with("ssh-ed25519 ") && first.machine_key != first.host_key);
    assert_eq!(mode(&state), 0o700);
    for file in fs::read_dir(&state).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    assert_eq!(read_membership(&state).unwrap(), None);
}

#[test]
fn a_new_host_key_is_another_one_and_the_machine_key_stays() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("lab1");
    let host = HostName::new("lab1.example.com");
    let before = provision(&state, &host).unwrap();
    let key = new_host_key(&state).unwrap();
    let after = provision(&state, &host).unwrap();
    assert_eq!(after.host_key, key);
    assert_ne!(after.host_key, before.host_key);
    assert_eq!((after.id, after.machine_key), (before.id, before.machine_key));
}

#[test]
fn what_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("lab1");
    let host = HostName::new("lab1.example.com");
    provision(&state, &host).unwrap();
    fs::set_permissions(state.join("machine_key"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = provision(&state, &host).unwrap_err();
    assert!(matches!(error, StoreError::Open { mode: 0o640, .. }), "{error}");
    assert!(error.to_string().contains("chmod go-rwx"), "{error}");
}

#[test]
fn a_broken_key_is_named_without_its_text() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("lab1");
    provision(&state, &HostName::new("lab1.example.com")).unwrap();
    fs::write(state.join("host_key"), "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n").unwrap();
    let error = read_keys(&state).err().unwrap().to_string();
    assert!(error.contains("host_key") && !error.contains("c2VjcmV0"), "{error}");
}

#[test]
fn boot_ids_rise_even_when_the_clock_goes_back_and_detaching_survives() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("lab1");
    provision(&state, &HostName::new("lab1.example.com")).unwrap();
    let first = begin_boot(&state, 5_000).unwrap();
    write_detached(&state, Some(Time::from_millis(77))).unwrap();
    let second = begin_boot(&state, 4_000).unwrap();
    assert!(second > first, "{first:?} {second:?}");
    assert_eq!(read_detached(&state).unwrap(), Some(Time::from_millis(77)));
    write_detached(&state, None).unwrap();
    assert!(begin_boot(&state, 0).unwrap() > second);
    assert_eq!(read_detached(&state).unwrap(), None);
}

#[test]
fn c22_maintenance_survives_a_start_beside_detaching_and_a_state_of_an_older_version_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("lab1");
    provision(&state, &HostName::new("lab1.example.com")).unwrap();
    fs::write(state.join("state.json"), b"{\"boot\": 5, \"detached\": 77}\n").unwrap();
    fs::set_permissions(state.join("state.json"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read_maintenance(&state).unwrap(), None);
    let weeks = Duration::from_hours(24 * 20);
    let announced = Maintenance::lasting(Time::from_millis(1_700_000_000_123), weeks, "admin".into(), "disk".into());
    write_maintenance(&state, Some(&announced)).unwrap();
    begin_boot(&state, 9_000).unwrap();
    assert_eq!(read_maintenance(&state).unwrap(), Some(announced), "to the millisecond, and weeks ahead");
    assert_eq!(read_detached(&state).unwrap(), Some(Time::from_millis(77)));
    assert_eq!(mode(&state.join("state.json")), 0o600);
    write_detached(&state, None).unwrap();
    assert!(read_maintenance(&state).unwrap().is_some(), "one does not touch the other");
    write_maintenance(&state, None).unwrap();
    assert_eq!(read_maintenance(&state).unwrap(), None);
}
