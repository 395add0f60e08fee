//! SIGKILL while the store appends, reads its log back, or moves it into the database.

use std::io::BufReader;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use peerdeck::daemon::disk::{Disk, Kept};
use rand::RngExt;
use rand::rngs::StdRng;

use super::{child, dice, number, place, told, work};
use crate::daemon::disk::change;

const CHILD: &str = "crash::disk::child_that_appends";
const ACK: &str = "ANSWERED ";

/// Batches of a child have from one to so many changes.
const BATCH: u64 = 5;

/// What a run has seen.
#[derive(Default)]
struct Counts {
    kills: u64,
    answered: u64,
    /// Batches that were on disk, but whose answer the kill forestalled.
    unanswered: u64,
    /// Kills before the first answer: while the store was opened.
    opening: u64,
}

/// The size goes from a line to pages, so that the log is moved into the database now and then.
fn sized(n: u64) -> peerdeck::daemon::replica::StoredChange {
    change(n, if n.is_multiple_of(50) { 300_000 } else { 60 + (n % 11) as usize * 400 })
}

#[test]
#[ignore = "another process of the tests here"]
fn child_that_appends() {
    let Some(dir) = work() else { return };
    let (mut disk, kept) = Disk::open(&dir).unwrap();
    check(&kept, 0);
    let mut n = kept.changes.len() as u64;
    loop {
        let last = n + 1 + n % BATCH;
        let batch: Vec<_> = (n + 1..=last).map(sized).collect();
        disk.append(&batch, (n == 0).then_some(b"actor")).unwrap();
        n = last;
        println!("{ACK}{n}");
    }
}

/// All that was answered is there, unchanged and in its order, and the store takes itself for whole.
fn check(kept: &Kept, answered: u64) {
    let has = kept.changes.len() as u64;
    assert!(has >= answered, "{answered} changes were answered, {has} are there");
    assert!(!kept.restored && kept.missing == 0, "{} missing", kept.missing);
    assert_eq!(kept.actor.is_some(), has > 0);
    for (n, kept) in (1..).zip(&kept.changes) {
        assert!(*kept == sized(n), "change {n} is another one");
    }
}

fn kill_often(kills: u64, dice: &mut StdRng) -> Counts {
    let mut counts = Counts::default();
    let mut dir = place();
    let mut answered = 0;
    while counts.kills < kills {
        if counts.kills.is_multiple_of(200) {
            // Now and then a new store: its making is killed as well, and reading stays quick.
            dir = place();
            answered = 0;
        }
        let before = answered;
        answered = kill_once(dir.path(), answered, dice);
        counts.kills += 1;
        counts.answered += answered - before;
        counts.opening += u64::from(answered == before);
        // Else the next child has to recover, and may be killed at that.
        if dice.random_bool(0.5) {
            let (disk, kept) = Disk::open(dir.path()).unwrap();
            check(&kept, answered);
            counts.unanswered += u64::from(disk.count() > answered);
        }
    }
    let (_, kept) = Disk::open(dir.path()).unwrap();
    check(&kept, answered);
    counts
}

/// Lets a child append for a random while and kills it; tells what it had answered.
fn kill_once(dir: &Path, answered: u64, dice: &mut StdRng) -> u64 {
    let begin = Instant::now();
    let mut child = child(CHILD, dir, &[]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut last = answered;
    // Half of the time counted from the start of the process, half from an answer.
    let patience = Duration::from_micros(dice.random_range(0..40_000));
    let mut since = begin;
    if dice.random_bool(0.5) {
        let wait = dice.random_range(1..20);
        for n in told(&mut out, ACK).take(wait) {
            last = n;
        }
        since = Instant::now();
    }
    // The instant is what the test is about: nothing is waited for.
    thread::sleep(patience.saturating_sub(since.elapsed()));
    let is_over = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    last = told(&mut out, ACK).last().unwrap_or(last);
    let done = child.wait_with_output().unwrap();
    assert!(!is_over, "the child ended by itself: {}", String::from_utf8_lossy(&done.stderr));
    last
}

fn run(name: &str, kills: u64) {
    let begin = Instant::now();
    let counts = kill_often(kills, &mut dice(name));
    let Counts { kills, answered, unanswered, opening } = counts;
    println!(
        "{name}: {kills} kills in {:.0?}, {answered} changes answered, none missing; {opening} kills before an answer, \
         {unanswered} times a batch was there whose answer did not come",
        begin.elapsed()
    );
    assert!(answered > 0, "nothing was ever answered: the test shows nothing");
}

#[test]
fn c16_nothing_that_was_answered_is_missing_after_kills() {
    run("kills of a store", 30);
}

#[test]
#[ignore = "long: PEERDECK_KILLS kills of a process that appends (default 3,000, some 5 minutes)"]
fn long_c16_nothing_that_was_answered_is_missing_after_thousands_of_kills() {
    run("kills of a store", number("PEERDECK_KILLS").unwrap_or(3_000));
}
