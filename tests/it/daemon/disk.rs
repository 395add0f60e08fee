//! The settings store's disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use peerdeck::daemon::StoreError;
use peerdeck::daemon::disk::{Disk, DiskFault};
use peerdeck::daemon::replica::StoredChange;
use peerdeck::domain::MemberId;
use tempfile::TempDir;
use tokio::sync::watch;

/// The `n`th change of made-up content, `size` bytes long.
pub fn change(n: u64, size: usize) -> StoredChange {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&n.to_be_bytes());
    let byte = |i: usize| u8::try_from((n * 31 + i as u64 * 7) % 251).unwrap();
    let bytes = (0..size).map(byte).collect();
    StoredChange { hash, bytes, signer: MemberId::new(&format!("m-{}", n % 5)), signature: vec![byte(3); 64] }
}

pub fn changes(range: std::ops::RangeInclusive<u64>) -> Vec<StoredChange> {
    range.map(|n| change(n, 100 + (n % 7) as usize * 300)).collect()
}

fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// As a process that is killed leaves it: the files are copied while they are open.
fn crashed(dir: &TempDir) -> TempDir {
    let to = place();
    copy(dir.path(), to.path());
    to
}

fn refused(disk: &mut Disk, batch: &[StoredChange]) -> String {
    let error = disk.append(batch, None).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn c16_what_was_appended_is_there_in_its_order_after_a_restart_and_after_a_crash() {
    let dir = place();
    let (mut disk, kept) = Disk::open(dir.path()).unwrap();
    assert!(kept.changes.is_empty() && kept.actor.is_none() && kept.cluster.is_none() && !kept.restored);
    disk.append(&changes(1..=3), Some(b"actor")).unwrap();
    disk.set_cluster("5c1b").unwrap();
    disk.append(&changes(2..=6), None).unwrap();
    assert_eq!(disk.count(), 6, "what is kept already is left out");
    let crash = crashed(&dir);
    drop(disk);
    for (at, name) in [(&dir, "restart"), (&crash, "crash")] {
        let (mut disk, kept) = Disk::open(at.path()).unwrap();
        assert_eq!(kept.changes, changes(1..=6), "{name}");
        assert_eq!(kept.cluster.as_deref(), Some("5c1b"), "{name}");
        assert_eq!((kept.missing, kept.clean), (0, false), "{name}");
        // The copy is another file than the one that was written: that is a restored backup.
        assert_eq!(kept.restored, name == "crash");
        assert_eq!(kept.actor.is_some(), name == "restart");
        disk.append(&changes(7..=7), None).unwrap();
        disk.close().unwrap();
        let (_disk, kept) = Disk::open(at.path()).unwrap();
        assert_eq!(kept.changes.len(), 7);
        assert!(kept.clean && !kept.restored);
    }
}

#[test]
fn files_are_private_and_what_others_may_read_is_refused() {
    let dir = place();
    let (mut disk, _) = Disk::open(dir.path()).unwrap();
    disk.append(&changes(1..=3), None).unwrap();
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    std::mem::forget(disk); // As if killed: the log stays.
    for file in &files {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Disk::open(dir.path()).unwrap_err();
        assert!(matches!(&error, StoreError::Open { path, mode: 0o644 } if path == file), "{error}");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn one_at_a_time_has_it_open() {
    let dir = place();
    let (mut first, _) = Disk::open(dir.path()).unwrap();
    let error = Disk::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("settings.db is in use") && text.contains("a peer runs on this folder already"), "{text}");
    first.append(&changes(1..=1), None).unwrap();
    drop(first);
    assert_eq!(Disk::open(dir.path()).unwrap().1.changes.len(), 1);
}

#[test]
fn c16_a_fault_of_the_disk_refuses_the_whole_batch_and_the_store_goes_on_when_it_is_over() {
    let dir = place();
    let faults = watch::Sender::new(DiskFault::Ok);
    let (mut disk, _) = Disk::open(dir.path()).unwrap();
    disk.heed(faults.subscribe());
    disk.append(&changes(1..=2), Some(b"a")).unwrap();
    for (fault, word) in [(DiskFault::Full, "no space is left"), (DiskFault::ReadOnly, "read-only")] {
        faults.send_replace(fault);
        let text = refused(&mut disk, &changes(3..=9));
        assert!(text.contains(word) && text.contains("settings.db") && text.contains("nothing was changed"), "{text}");
        assert_eq!(disk.count(), 2);
    }
    let crash = crashed(&dir);
    assert_eq!(Disk::open(crash.path()).unwrap().1.changes, changes(1..=2));
    faults.send_replace(DiskFault::Ok);
    disk.append(&changes(3..=4), None).unwrap();
    drop(disk);
    let (_, kept) = Disk::open(dir.path()).unwrap();
    assert_eq!(kept.changes, changes(1..=4));
    assert_eq!((kept.actor.as_deref(), kept.restored), (Some(&b"a"[..]), false));
}

#[test]
fn a_restored_backup_is_noticed_and_gets_no_actor_until_one_is_kept() {
    let dir = place();
    let (mut disk, _) = Disk::open(dir.path()).unwrap();
    disk.append(&changes(1..=5), Some(b"old")).unwrap();
    disk.close().unwrap();
    let backup = fs::read(dir.path().join("settings.db")).unwrap();
    let (mut disk, kept) = Disk::open(dir.path()).unwrap();
    assert!(!kept.restored && kept.actor.is_some());
    disk.append(&changes(6..=9), None).unwrap();
    disk.close().unwrap();
    // Into the same file: only the mark tells.
    fs::write(dir.path().join("settings.db"), &backup).unwrap();
    for start in 0..2 {
        let (disk, kept) = Disk::open(dir.path()).unwrap();
        assert_eq!(kept.changes, changes(1..=5));
        assert_eq!((kept.restored, kept.missing), if start == 0 { (true, 4) } else { (false, 0) });
        assert_eq!(kept.actor, None, "start {start}");
        drop(disk);
    }
    let (mut disk, _) = Disk::open(dir.path()).unwrap();
    disk.append(&changes(20..=21), Some(b"new")).unwrap();
    drop(disk);
    let (_, kept) = Disk::open(dir.path()).unwrap();
    assert_eq!((kept.actor.as_deref(), kept.restored), (Some(&b"new"[..]), false));
}

#[test]
fn a_database_that_was_moved_away_is_a_restored_one_without_anything() {
    let dir = place();
    let (mut disk, _) = Disk::open(dir.path()).unwrap();
    disk.append(&changes(1..=5), Some(b"old")).unwrap();
    disk.close().unwrap();
    fs::remove_file(dir.path().join("settings.db")).unwrap();
    let (_, kept) = Disk::open(dir.path()).unwrap();
    assert!(kept.restored && kept.changes.is_empty() && kept.actor.is_none());
    assert_eq!(kept.missing, 5);
}

#[test]
fn a_newer_schema_and_a_foreign_file_are_refused_and_stay_as_they_are() {
    let dir = place();
    let path = dir.path().join("settings.db");
    drop(Disk::open(dir.path()).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 7).unwrap();
    drop(db);
    let text = Disk::open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("newer peerdeck (schema 7, this one knows 1)"), "{text}");
    fs::write(&path, "nothing that SQLite knows, but long enough for a header\n".repeat(40)).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Disk::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("move both away"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn c16_what_is_forgotten_is_not_told_any_more_unless_it_comes_back() {
    let dir = place();
    let told = |dir: &TempDir| Disk::open(dir.path()).unwrap().1.changes;
    let (mut disk, _) = Disk::open(dir.path()).unwrap();
    disk.append(&changes(1..=3), None).unwrap();
    disk.replace(&[change(2, 0).hash], &changes(4..=4), Some(b"new")).unwrap();
    drop(disk);
    let mut wanted = changes(1..=4);
    let forgotten = wanted.remove(1);
    assert!(told(&dir) == wanted);
    // In another life it comes again, from a fellow that had heard of it; then it goes again.
    let (mut disk, _) = Disk::open(dir.path()).unwrap();
    disk.append(std::slice::from_ref(&forgotten), None).unwrap();
    drop(disk);
    assert!(told(&dir) == changes(1..=4));
    let (mut disk, _) = Disk::open(dir.path()).unwrap();
    disk.replace(&[forgotten.hash], &[], None).unwrap();
    drop(disk);
    assert!(told(&dir) == wanted);
}
