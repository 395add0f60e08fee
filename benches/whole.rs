//! The console as a whole process on labs of real peers: time to the first complete grid, CPU, memory, bytes to
//! the terminal. Run it with `cargo bench --bench whole -- 20 100 200`; figures go to `benches/README.md`.
//!
//! Each size starts `peerdeck lab --headless`, waits until every link is up, opens the console in a PTY of 220x60
//! and reads its CPU time and memory from the system after it has settled.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use console_process::PEERDECK;

#[path = "console_process.rs"]
#[expect(dead_code, reason = "the bench `idle` counts wake-ups thread by thread")]
mod console_process;

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![20] } else { sizes };
    println!("| peers | lab ready s | links | {} |", console_process::COLUMNS);
    println!("|---|---|---|{}", console_process::RULE);
    for n in sizes {
        measure(n);
    }
}

fn measure(peers: usize) {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("lab");
    // Pings of large meshes would take both cores from the console; reports stay at one a second.
    let ping = if peers > 60 { "10s" } else { "1s" };
    let began = Instant::now();
    let mut lab = Command::new(PEERDECK)
        .args(["lab", "--headless", "--peers", &peers.to_string(), "--ping-interval", ping, "--state-dir"])
        .arg(&state)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(lab.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let ready = began.elapsed();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let fleet = told["fleet"].as_str().unwrap().to_owned();

    let figures = console_process::measure(&fleet, dir.path(), |_| ());
    println!("| {peers} | {:.2} | {} | {figures} |", ready.as_secs_f64(), told["links"]);
    std::io::stdout().flush().unwrap();
    lab.kill().unwrap();
    lab.wait().unwrap();
}
