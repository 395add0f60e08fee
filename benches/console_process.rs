//! The console as a process of its own, in a PTY of 220x60: what the benches `whole` and `sources` measure.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

pub const PEERDECK: &str = env!("CARGO_BIN_EXE_peerdeck");
/// What [`Figures`] prints, as the head of a table.
pub const COLUMNS: &str = "first complete grid ms | CPU % of a core | RSS MiB | bytes/s to the terminal";
/// How long CPU is counted.
const WINDOW: Duration = Duration::from_secs(30);

/// Cells of a row of the table.
pub struct Figures {
    /// Milliseconds to the first complete grid of five starts, sorted.
    grids: Vec<u64>,
    percent: f64,
    rss: f64,
    rate: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { grids, percent, rss, rate } = self;
        write!(f, "{} [{}..{}] | {percent:.2} | {rss:.1} | {rate:.0}", grids[2], grids[0], grids[4])
    }
}

/// Five starts, then one console in its steady state. Its logs go to `dir`.
pub fn measure(fleet: &str, dir: &Path) -> Figures {
    let mut grids: Vec<u64> = (0..5).map(|i| first_grid(fleet, &dir.join(format!("start-{i}.log")))).collect();
    grids.sort_unstable();

    let log = dir.join("steady.log");
    let (mut child, bytes, _writer) = open(fleet, &log);
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
    Figures { grids, percent, rss, rate }
}

/// Milliseconds from the console's start to its first complete grid, as it logs them itself.
fn first_grid(fleet: &str, log: &Path) -> u64 {
    let (mut child, _bytes, _writer) = open(fleet, log);
    let ms = wait_for_grid(log);
    child.kill().unwrap();
    child.wait().unwrap();
    ms
}

type Opened = (Box<dyn portable_pty::Child + Send + Sync>, Arc<AtomicU64>, Box<dyn Write + Send>);

fn open(fleet: &str, log: &Path) -> Opened {
    let pty = native_pty_system().openpty(PtySize { rows: 60, cols: 220, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(PEERDECK);
    // A real terminal says within a millisecond how wide it draws signs; this one never answers.
    command.args(["console", "--unicode", "--fleet", fleet, "-v", "--log-file"]);
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

fn wait_for_grid(log: &Path) -> u64 {
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
