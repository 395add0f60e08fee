//! The console as a process of its own, in a PTY of 220x60: what the benches `whole` and `sources` measure.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

pub const PEERDECK: &str = env!("CARGO_BIN_EXE_peerdeck");
/// What [`Figures`] prints, as the head of a table.
pub const COLUMNS: &str = "first complete grid ms | CPU % of a core | RSS MiB | bytes/s to the terminal | \
                           key to paint ms p50 / p99 | bytes a key frame p50 / p99 | wake-ups/s";
/// The rule below it.
pub const RULE: &str = "---|---|---|---|---|---|---|";
/// How long CPU is counted.
const WINDOW: Duration = Duration::from_secs(30);
/// Keys whose frames are waited for.
const KEYS: usize = 400;
/// So many in one direction; fewer than there are peers in the smallest mesh.
const STRETCH: usize = 15;
/// Ends a frame.
const FRAME_END: &[u8] = b"\x1b[?2026l";

/// Cells of a row of the table.
pub struct Figures {
    /// Milliseconds to the first complete grid of five starts, sorted.
    grids: Vec<u64>,
    percent: f64,
    rss: f64,
    rate: f64,
    keys: Keys,
    wakes: f64,
}

/// How long keys took to show, sorted, and the bytes of their frames, sorted.
struct Keys {
    took: Vec<Duration>,
    bytes: Vec<usize>,
}

/// The value below which `share` percent of a sorted list lie.
fn percentile<T: Copy>(sorted: &[T], share: usize) -> T {
    sorted[(sorted.len() - 1) * share / 100]
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { grids, percent, rss, rate, keys, wakes } = self;
        write!(f, "{} [{}..{}] | {percent:.2} | {rss:.1} | {rate:.0}", grids[2], grids[0], grids[4])?;
        let ms = |share| percentile(&keys.took, share).as_secs_f64() * 1e3;
        let bytes = |share| percentile(&keys.bytes, share);
        write!(f, " | {:.1} / {:.1} | {} / {} | {wakes:.1}", ms(50), ms(99), bytes(50), bytes(99))
    }
}

/// Five starts, then one console in its steady state, then keys; at the end `last` gets the process. Its logs go to
/// `dir`.
pub fn measure(fleet: &str, dir: &Path, last: impl FnOnce(u32)) -> Figures {
    let mut grids: Vec<u64> = (0..5).map(|i| first_grid(fleet, &dir.join(format!("start-{i}.log")))).collect();
    grids.sort_unstable();

    let log = dir.join("steady.log");
    let Opened { mut child, bytes, frames, mut writer } = open(fleet, &log);
    let pid = child.process_id().unwrap();
    wait_for_grid(&log);
    std::thread::sleep(Duration::from_secs(5)); // Measured is the steady state, not the start.
    let (cpu, sent, at) = (cpu_seconds(pid), bytes.load(Ordering::Relaxed), Instant::now());
    let woken = wake_ups(pid);
    std::thread::sleep(WINDOW);
    #[expect(clippy::cast_precision_loss, reason = "a figure for a table")]
    let wakes = (wake_ups(pid) - woken) as f64 / at.elapsed().as_secs_f64();
    let span = at.elapsed().as_secs_f64();
    let percent = (cpu_seconds(pid) - cpu) / span * 100.0;
    #[expect(clippy::cast_precision_loss, reason = "a figure for a table")]
    let rate = (bytes.load(Ordering::Relaxed) - sent) as f64 / span;
    let rss = resident_mib(pid);
    let keys = press_keys(&frames, &mut *writer);
    last(pid);
    child.kill().unwrap();
    child.wait().unwrap();
    Figures { grids, percent, rss, rate, keys, wakes }
}

/// A console in its steady state: `work` gets the process and the count of what it wrote to its terminal, in bytes.
pub fn with_console(fleet: &str, dir: &Path, work: impl FnOnce(u32, &AtomicU64)) {
    let log = dir.join("console.log");
    let Opened { mut child, bytes, frames: _frames, writer: _writer } = open(fleet, &log);
    wait_for_grid(&log);
    work(child.process_id().unwrap(), &bytes);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Wake-ups of a process from one moment on, those of threads that end meanwhile included.
pub struct Wakes {
    pid: u32,
    /// By thread: at first (new ones begin at zero), and at last.
    threads: BTreeMap<u32, (u64, u64)>,
}

impl Wakes {
    pub fn start(pid: u32) -> Self {
        let threads = wakes_by_thread(pid).into_iter().map(|(id, n)| (id, (n, n))).collect();
        Self { pid, threads }
    }

    pub fn read(&mut self) {
        for (id, n) in wakes_by_thread(self.pid) {
            self.threads.entry(id).or_default().1 = n;
        }
    }

    /// Of the first thread, which draws, and of all others.
    pub fn told(&self) -> (u64, u64) {
        let of = |main: bool| self.threads.iter().filter(move |(id, _)| (**id == self.pid) == main);
        let sum = |main| of(main).map(|(_, (first, last))| last - first).sum();
        (sum(true), sum(false))
    }
}

/// Moves the cursor and waits for the frame in which another link is selected: from the write of the key to the last
/// byte of the frame, both at the master's side of the PTY.
fn press_keys(frames: &Receiver<Frame>, writer: &mut dyn Write) -> Keys {
    let mut screen = vt100::Parser::new(ROWS, COLS, 0);
    catch_up(frames, &mut screen);
    let (mut took, mut sizes) = (Vec::new(), Vec::new());
    for n in 0..KEYS {
        // Down and right, and back: the cross-hair moves, and in large meshes the grid scrolls.
        let key = [b'j', b'l', b'k', b'h'][n / STRETCH % 4];
        catch_up(frames, &mut screen);
        let before = selected(&screen);
        let sent = Instant::now();
        writer.write_all(&[key]).unwrap();
        writer.flush().unwrap();
        let mut size = 0;
        loop {
            let text = screen.screen().contents();
            assert!(sent.elapsed() < Duration::from_secs(10), "key {n} shows nothing; before: {before:?}\n{text}");
            let frame = frames.recv_timeout(Duration::from_secs(5)).expect("no frame came within 5 s of a key");
            screen.process(&frame.bytes);
            size += frame.bytes.len();
            if selected(&screen) != before {
                took.push(frame.complete.duration_since(sent));
                sizes.push(size);
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(23)); // Frames of their own, at any phase of the reports.
    }
    took.sort_unstable();
    sizes.sort_unstable();
    Keys { took, bytes: sizes }
}

/// Puts what was drawn meanwhile on the screen.
fn catch_up(frames: &Receiver<Frame>, screen: &mut vt100::Parser) {
    for frame in frames.try_iter() {
        screen.process(&frame.bytes);
    }
}

/// The title of the selected link, as the detail shows it.
fn selected(screen: &vt100::Parser) -> String {
    let text = screen.screen().contents();
    let line = text.lines().find(|l| l.contains(" \u{2192} ")).unwrap_or_default();
    line.to_owned()
}

/// Times that a thread of the process gave up the processor by itself: each is a wake-up.
pub fn wake_ups(pid: u32) -> u64 {
    wakes_by_thread(pid).into_iter().map(|(_, n)| n).sum()
}

fn wakes_by_thread(pid: u32) -> Vec<(u32, u64)> {
    let count = |dir: std::fs::DirEntry| -> Option<(u32, u64)> {
        let status = std::fs::read_to_string(dir.path().join("status")).ok()?;
        let line = status.lines().find(|l| l.starts_with("voluntary_ctxt_switches:"))?;
        Some((dir.file_name().to_str()?.parse().ok()?, line.split_whitespace().nth(1)?.parse().ok()?))
    };
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.flatten().filter_map(count).collect()
}

/// Milliseconds from the console's start to its first complete grid, as it logs them itself.
fn first_grid(fleet: &str, log: &Path) -> u64 {
    let Opened { mut child, frames: _frames, writer: _writer, .. } = open(fleet, log);
    let ms = wait_for_grid(log);
    child.kill().unwrap();
    child.wait().unwrap();
    ms
}

struct Opened {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    bytes: Arc<AtomicU64>,
    frames: Receiver<Frame>,
    writer: Box<dyn Write + Send>,
}

/// What the console wrote up to the end of a frame, and when the last byte was there.
struct Frame {
    bytes: Vec<u8>,
    complete: Instant,
}

const ROWS: u16 = 60;
const COLS: u16 = 220;

fn open(fleet: &str, log: &Path) -> Opened {
    let pty = native_pty_system().openpty(PtySize { rows: ROWS, cols: COLS, pixel_width: 0, pixel_height: 0 }).unwrap();
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
    let (sender, frames) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _master = pty.master;
        let mut buffer = vec![0; 65_536];
        let mut frame = Vec::new();
        while let Ok(n) = reader.read(&mut buffer) {
            if n == 0 {
                break;
            }
            count.fetch_add(n as u64, Ordering::Relaxed);
            let complete = Instant::now();
            frame.extend_from_slice(&buffer[..n]);
            while let Some(at) = frame.windows(FRAME_END.len()).position(|w| w == FRAME_END) {
                let rest = frame.split_off(at + FRAME_END.len());
                let bytes = std::mem::replace(&mut frame, rest);
                let _ = sender.send(Frame { bytes, complete }); // Nobody measures keys any more.
            }
        }
    });
    Opened { child, bytes, frames, writer }
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
