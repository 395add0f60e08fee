//! How often an idle console wakes up. Run it with `cargo bench --bench idle -- 240` (seconds of silence; add
//! `--profile dev` for a quick one: wake-ups don't depend on optimisation); figures go to `benches/README.md`.
//!
//! A lab of six in a process of its own is observed by a console in a PTY. Once it stands, the lab is held by SIGSTOP, its
//! DNS server included, and the voluntary context switches of all threads of the console are counted, and the
//! bytes that it writes to its terminal.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use console_process::PEERDECK;
use rustix::process::{Pid, Signal, kill_process};

#[path = "console_process.rs"]
#[expect(dead_code, reason = "other benches measure more")]
mod console_process;

/// Seconds since the lab was held at which a row of the table ends.
const ENDS: [u64; 8] = [4, 14, 24, 44, 64, 120, 180, 240];

/// Killed with the bench, stopped or not.
struct Lab(Child);

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let last = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(240);
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab(Command::new(PEERDECK)
        .args(["lab", "--headless", "--peers", "6", "--state-dir"])
        .arg(dir.path().join("lab"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap());
    let mut line = String::new();
    BufReader::new(lab.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    println!("| since the lab was held | wake-ups/s | of the drawing thread | of all others | bytes to the terminal |");
    println!("|---|---|---|---|---|");
    console_process::with_console(told["fleet"].as_str().unwrap(), dir.path(), |console, sent| {
        std::thread::sleep(Duration::from_secs(5)); // Measured is the steady state, not the start.
        row("not yet", console, sent, Duration::from_secs(10));
        let id = Pid::from_raw(i32::try_from(lab.0.id()).unwrap()).unwrap();
        kill_process(id, Signal::STOP).unwrap();
        let (held, mut from) = (Instant::now(), 0);
        for end in ENDS.into_iter().filter(|end| *end <= last) {
            let span = Duration::from_secs(end).saturating_sub(held.elapsed());
            row(&format!("{from} to {end} s"), console, sent, span);
            from = end;
        }
    });
}

/// Counts for `span` and prints a row.
fn row(name: &str, console: u32, sent: &AtomicU64, span: Duration) {
    let (began, before) = (Instant::now(), sent.load(Ordering::Relaxed));
    let mut counts = console_process::Wakes::start(console);
    // Threads that end take their counts with them: they are read often, which does not wake the console.
    while began.elapsed() < span {
        std::thread::sleep(Duration::from_millis(200));
        counts.read();
    }
    let seconds = began.elapsed().as_secs_f64();
    let (main, others) = counts.told();
    let rate = |n: u64| f64::from(u32::try_from(n).unwrap()) / seconds;
    let drawn = sent.load(Ordering::Relaxed) - before;
    println!("| {name} | {:.2} | {:.2} | {:.2} | {drawn} |", rate(main + others), rate(main), rate(others));
    std::io::stdout().flush().unwrap();
}
