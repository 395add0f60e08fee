//! The console as a whole process on labs of real peers: time to the first complete grid, CPU, memory, bytes to
//! the terminal. Run it with `cargo bench --bench whole -- 20 100 200`; figures go to `benches/README.md`.
//!
//! Each size starts `peerdeck lab --headless`, waits until every link is up, opens the console in a PTY of 220x60
//! and reads its CPU time and memory from the system after it has settled.
#![expect(clippy::unwrap_used, reason = "a harness: it stops at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

const PEERDECK: &str = env!("CARGO_BIN_EXE_peerdeck");
/// How long CPU is counted.
const WINDOW: Duration = Duration::from_secs(30);

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![20] } else { sizes };
    println!(
        "| peers | lab ready s | links | first complete grid ms | CPU % of a core | RSS MiB | bytes/s to the terminal |"
    );
    println!("|---|---|---|---|---|---|---|");
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

    let grids: Vec<u64> = (0..5).map(|i| first_grid(&fleet, &dir.path().join(format!("start-{i}.log")))).collect();
    let mut sorted = grids;
    sorted.sort_unstable();

    let log = dir.path().join("steady.log");
    let (mut child, bytes, _writer) = open(&fleet, &log);
    let pid = child.process_id().unwrap();
    wait_for_grid(&log);
    std::thread::sleep(Duration::from_secs(5)); // Measured is the steady state, not the start.
    let (cpu, sent, at) = (cpu_seconds(pid), bytes.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(WINDOW);
    let span = at.elapsed().as_secs_f64();
    let percent = (cpu_seconds(pid) - cpu) / span * 100.0;
    #[expect(clippy::cast_precision_loss, reason = "a figure for a table")]
    let rate = (bytes.load(Ordering::Relaxed) - sent) as f64 / span;
    let rss = resident_mib(pid);
    child.kill().unwrap();
    child.wait().unwrap();
    println!(
        "| {peers} | {:.2} | {} | {} [{}..{}] | {percent:.2} | {rss:.1} | {rate:.0} |",
        ready.as_secs_f64(),
        told["links"],
        sorted[2],
        sorted[0],
        sorted[4]
    );
    std::io::stdout().flush().unwrap();
    lab.kill().unwrap();
    lab.wait().unwrap();
}

/// Milliseconds from the console's start to its first complete grid, as it logs them itself.
fn first_grid(fleet: &str, log: &std::path::Path) -> u64 {
    let (mut child, _bytes, _writer) = open(fleet, log);
    let ms = wait_for_grid(log);
    child.kill().unwrap();
    child.wait().unwrap();
    ms
}

type Opened = (Box<dyn portable_pty::Child + Send + Sync>, Arc<AtomicU64>, Box<dyn Write + Send>);

fn open(fleet: &str, log: &std::path::Path) -> Opened {
    let pty = native_pty_system().openpty(PtySize { rows: 60, cols: 220, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(PEERDECK);
    command.args(["console", "--fleet", fleet, "-v", "--log-file"]);
    command.arg(log);
    command.env("TERM", "xterm-256color");
    command.env("COLORTERM", "truecolor");
    command.env("LANG", "C.UTF-8");
    let child = pty.slave.spawn_command(command).unwrap();
    let mut reader = pty.master.try_clone_reader().unwrap();
    let writer = pty.master.take_writer().unwrap();
    let bytes = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&bytes);
    std::thread::spawn(move || {
        let _master = pty.master;
        let mut buffer = vec![0; 65_536];
        while let Ok(n) = reader.read(&mut buffer) {
            if n == 0 {
                break;
            }
            count.fetch_add(n as u64, Ordering::Relaxed);
        }
    });
    (child, bytes, writer)
}

fn wait_for_grid(log: &std::path::Path) -> u64 {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if let Some(line) = text.lines().find(|l| l.contains("grid complete")) {
            let after = line.rsplit("ms=").next().unwrap();
            return after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
        }
        assert!(Instant::now() < deadline, "no complete grid within 120 s; the log says:\n{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// User and system time of a process so far.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
