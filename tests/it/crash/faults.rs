//! A disk that fails under SQLite: a library before libc's answers writes and syncs of the database with errors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use peerdeck::daemon::StoreError;
use peerdeck::daemon::disk::Disk;

use super::{child, place, work};
use crate::daemon::disk::{change, changes};

const CHILD: &str = "crash::faults::child_with_a_bad_disk";
const WHAT: &str = "PEERDECK_TEST_WHAT";
/// While this file stands in the state directory, the disk is bad; it holds how many writes still go well.
const SWITCH: &str = "bad-disk";

/// Only of the database and its log: the mark has its blocks already, and is not synced.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int kind(void) {
    const char *what = getenv("PEERDECK_TEST_WHAT");
    if (!what) return 0;
    if (!strcmp(what, "sync") || !strcmp(what, "sync-then-kill")) return EIO;
    return !strcmp(what, "full") ? ENOSPC : 0;
}

static int is_database(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return strstr(path, "settings.db") != NULL;
}

/* -1: the disk is well; else how many writes were to go well. */
static long room(void) {
    const char *dir = getenv("PEERDECK_TEST_DIR");
    char path[4096];
    if (!dir) return -1;
    snprintf(path, sizeof path, "%s/bad-disk", dir);
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    long n = 0;
    if (fscanf(file, "%ld", &n) != 1) n = 0;
    fclose(file);
    return n;
}

static long written;

static int write_fails(int fd) {
    if (kind() != ENOSPC || !is_database(fd)) return 0;
    long n = room();
    if (n < 0) { written = 0; return 0; }
    return written++ >= n;
}

static int sync_fails(int fd) {
    return kind() == EIO && is_database(fd) && room() >= 0;
}

ssize_t write(int fd, const void *bytes, size_t n) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (write_fails(fd)) { errno = ENOSPC; return -1; }
    return real(fd, bytes, n);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    if (write_fails(fd)) { errno = ENOSPC; return -1; }
    return real(fd, bytes, n, at);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (sync_fails(fd)) { errno = EIO; return -1; }
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (sync_fails(fd)) { errno = EIO; return -1; }
    return real(fd);
}
"#;

/// The C compiler that builds SQLite builds this.
fn shim(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("shim.c"), dir.join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

fn refused(disk: &mut Disk, range: std::ops::RangeInclusive<u64>) -> String {
    let error = disk.append(&changes(range), Some(b"actor")).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    error.to_string()
}

#[test]
#[ignore = "another process of the tests here"]
fn child_with_a_bad_disk() {
    let Some(dir) = work() else { return };
    let switch = dir.join(SWITCH);
    let what = std::env::var(WHAT).unwrap();
    let (mut disk, _) = Disk::open(&dir).unwrap();
    disk.append(&changes(1..=3), Some(b"actor")).unwrap();
    if what == "full" {
        // Every write of a batch that spans pages is the first that fails, once; then one that fails at the very next.
        for room in 0.. {
            fs::write(&switch, room.to_string()).unwrap();
            let last = disk.count() + 1;
            let batch = [change(last, 9_000), change(last + 1, 30_000)];
            let done = disk.append(&batch, None);
            fs::remove_file(&switch).unwrap();
            let Err(error) = done else {
                println!("\nall {room} writes of a batch were tried");
                assert!(room > 5, "{room} writes can't have failed all");
                break;
            };
            assert!(error.to_string().contains("database or disk is full"), "{error}");
            disk.append(&[change(last, 200)], None).unwrap();
        }
        let (count, path) = (disk.count(), dir.clone());
        drop(disk);
        let (_, kept) = Disk::open(&path).unwrap();
        assert_eq!((kept.changes.len() as u64, kept.restored), (count, false));
        return;
    }
    fs::write(&switch, "0").unwrap();
    // A second try would overwrite what the first has left in the log.
    let tries = if what == "sync-then-kill" { 1 } else { 3 };
    for _ in 0..tries {
        let text = refused(&mut disk, 4..=6);
        assert!(text.contains("disk I/O error") && text.contains("settings.db can't be written"), "{text}");
    }
    if what == "sync-then-kill" {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    fs::remove_file(&switch).unwrap();
    disk.append(&changes(7..=8), None).unwrap();
}

fn run(what: &str) -> tempfile::TempDir {
    let (dir, tools) = (place(), tempfile::tempdir().unwrap());
    let shim = shim(tools.path());
    let child = child(CHILD, dir.path(), &[(WHAT, what), ("LD_PRELOAD", shim.to_str().unwrap())]);
    let done = child.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    println!("{text}");
    assert_eq!(done.status.success(), what != "sync-then-kill", "{text}");
    assert!(!text.contains("panicked"), "{text}");
    dir
}

#[test]
fn c16_a_failing_sync_refuses_and_the_next_batch_goes_through_when_it_works_again() {
    let dir = run("sync");
    let (_, kept) = Disk::open(dir.path()).unwrap();
    let mut wanted = changes(1..=3);
    wanted.extend(changes(7..=8));
    assert!(kept.changes == wanted, "{} changes are there", kept.changes.len());
    assert!(!kept.restored);
}

/// The refused batch stands in the log as a whole: SQLite alone would bring it back.
#[test]
fn c16_what_a_failing_sync_refused_does_not_come_back_after_a_kill() {
    let dir = run("sync-then-kill");
    let log = fs::metadata(dir.path().join("settings.db-wal")).unwrap().len();
    for start in 0..2 {
        let (_, kept) = Disk::open(dir.path()).unwrap();
        let has = kept.changes.len();
        assert!(kept.changes == changes(1..=3), "start {start}, log of {log} bytes: {has} changes are there");
        assert!(!kept.restored && kept.missing == 0);
    }
}

#[test]
fn c16_a_disk_that_is_full_at_any_write_refuses_and_the_store_stays_usable() {
    run("full");
}

#[test]
#[ignore = "needs root"]
fn c16_a_full_file_system_refuses_and_takes_changes_again_when_there_is_room() {
    let dir = place();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=400k,mode=700", "none"]).arg(dir.path()).status();
    assert!(mount.unwrap().success(), "a file system can't be mounted");
    let outcome = std::panic::catch_unwind(|| {
        let (mut disk, _) = Disk::open(dir.path()).unwrap();
        let filler = dir.path().join("filler");
        let mut n = 0;
        for _ in 0..20 {
            // Takes what there is; it is meant to fail.
            assert!(fs::write(&filler, vec![7; 500_000]).is_err());
            while disk.append(&[change(n + 1, 3_000)], None).is_ok() {
                n += 1;
            }
            let error = disk.append(&[change(n + 1, 3_000)], None).unwrap_err().to_string();
            assert!(error.contains("full") && error.contains("check room"), "{error}");
            // Emptied first: a process that another test is just starting may have it open still.
            fs::write(&filler, []).unwrap();
            fs::remove_file(&filler).unwrap();
            if disk.append(&[change(n + 1, 3_000)], None).is_err() {
                break; // The store itself fills it.
            }
            n += 1;
        }
        drop(disk);
        let (_, kept) = Disk::open(dir.path()).unwrap();
        assert_eq!(kept.changes.len() as u64, n);
        assert!(n > 10 && !kept.restored, "{n}");
    });
    assert!(Command::new("umount").arg(dir.path()).status().unwrap().success());
    outcome.unwrap();
}
