//! Two simulated days of a wall, and what the process weighs meanwhile: `cargo bench --bench wall`, or with another number
//! of seconds behind `--`. Figures go to `benches/README.md`.
//!
//! The real engine in simulated time: six peers report once a second, a round of faults each ten minutes, and each second
//! a picture is drawn at 200x50.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]

use std::time::Instant;

#[path = "../tests/it/wall/days.rs"]
mod days;
#[path = "../tests/it/engine/pair.rs"]
mod pair;
#[path = "../tests/it/engine/world.rs"]
#[expect(dead_code, reason = "the engine's tests use more of it")]
mod world;

use days::{Days, ROUND};

/// Seconds in two days.
const TWO_DAYS: u64 = 172_800;

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn main() {
    let seconds = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(TWO_DAYS);
    let mut days = Days::new((200, 50));
    println!("| simulated hours | RSS KiB | s |");
    println!("|---|---|---|");
    let began = Instant::now();
    // After two rounds every fault and every page has been there.
    let warm = 2 * ROUND;
    let mut first = 0;
    for second in 1..=seconds {
        days.pass();
        if second == warm {
            first = resident();
        }
        if second == warm || second % (seconds / 8).max(1) == 0 {
            let (hours, tenths) = (second / 3600, second % 3600 / 360);
            println!("| {hours}.{tenths} | {} | {:.0} |", resident(), began.elapsed().as_secs_f64());
        }
    }
    let last = resident();
    println!("\nseconds fine, in trouble, cut off: {:?}; from warm to the end {first} to {last} KiB", days.seen);
    // A tenth of a byte a picture would be 17 KiB.
    assert!(last <= first + 1024, "it grew from {first} to {last} KiB");
}
