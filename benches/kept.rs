//! What an HA unit waits for before it takes over: its epoch on disk, while others write as well.
//! `cargo bench --bench kept`, or with seconds behind `--` (15). Figures go to `benches/README.md`.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use peerdeck::daemon::disk::DiskFault;
use peerdeck::daemon::ha::{Kept, keep};
use tokio::sync::watch;

/// Between two writes.
const PACE: Duration = Duration::from_millis(100);
/// What the others write before they begin anew.
const FILLED: u64 = 1 << 30;

fn main() {
    let seconds = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(15);
    println!("| others | kept | writes | ms p50 | p99 | most |");
    println!("|---|---|---|---|---|---|");
    for busy in [false, true] {
        // Beside the build: a temporary folder may be in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if busy {
                scope.spawn(|| fill(&dir.path().join("others"), &over));
            }
            let took = measure(dir.path(), Duration::from_secs(seconds));
            over.store(true, Ordering::Relaxed);
            let others = if busy { "write a GiB after the other" } else { "write nothing" };
            for (how, mut took) in ["in place (ours)", "as a new file, renamed"].into_iter().zip(took) {
                took.sort();
                let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
                println!("| {others} | {how} | {} | {:.1} | {:.1} | {:.1} |", took.len(), at(50), at(99), at(100));
            }
        });
    }
}

/// Both, again and again, so that they meet the same disk.
fn measure(dir: &Path, during: Duration) -> [Vec<Duration>; 2] {
    let (_fault, faults) = watch::channel(DiskFault::Ok);
    // The first one makes the file.
    keep::write(dir, &Kept::default(), &faults).unwrap();
    let (began, mut took) = (Instant::now(), [Vec::new(), Vec::new()]);
    for epoch in 1.. {
        if began.elapsed() >= during {
            break;
        }
        // Whoever comes second waits less: they take turns.
        for turn in 0..2 {
            let ours = (epoch + turn) % 2 == 0;
            let start = Instant::now();
            if ours {
                keep::write(dir, &Kept { epoch, ..Kept::default() }, &faults).unwrap();
            } else {
                replace(dir, epoch);
            }
            took[usize::from(!ours)].push(start.elapsed());
        }
        std::thread::sleep(PACE);
    }
    took
}

/// As it was kept before, and as most programs keep such a thing.
fn replace(dir: &Path, epoch: u64) {
    let aside = dir.join("aside");
    let mut file = File::create(&aside).unwrap();
    write!(file, "{{\"v\":1,\"epoch\":{epoch}}}").unwrap();
    file.sync_all().unwrap();
    fs::rename(&aside, dir.join("replaced")).unwrap();
    File::open(dir).unwrap().sync_all().unwrap();
}

/// Writes and syncs nothing, as a copy or a compiler does.
fn fill(path: &Path, over: &AtomicBool) {
    let block = vec![7; 1 << 20];
    while !over.load(Ordering::Relaxed) {
        let mut file = File::create(path).unwrap();
        for _ in 0..FILLED / block.len() as u64 {
            if over.load(Ordering::Relaxed) {
                break;
            }
            file.write_all(&block).unwrap();
        }
    }
}
