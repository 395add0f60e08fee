//! What is set once for the whole process: file handles, log, runtime.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tracing_subscriber::EnvFilter;

use super::args::Global;
use crate::clock::timers_began;

/// A runtime whose start took longer is started again,
const VAGUE: Duration = Duration::from_micros(900);
/// so many times at most.
const TRIES: u32 = 5;

/// Takes as many file handles as the system gives: a connection needs one or two, and 1,024 are few.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Refused: then connections beyond the limit fail with a clear error.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// The SSH library locks each session's key in memory, which splits the process's address space: with 20,000 sessions
/// the system's limit of 65,530 mappings is reached, and allocations fail. A lab's keys are no secrets.
pub fn lock_no_memory() {
    // Refused: then only the largest labs miss it.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: getrlimit(Resource::Memlock).maximum });
    if let Ok(mut sets) = capabilities(None) {
        sets.effective.remove(CapabilitySet::IPC_LOCK);
        let _ = set_capabilities(None, sets);
    }
}

/// Starts the log: to the file if one is named, else to standard error, unless the terminal is needed for the console.
/// Only our own lines: a library's debug output may hold what was typed or sent.
///
/// A peer tells what it does without being asked to: who took over, when and why, is nowhere else once it is gone.
///
/// # Errors
/// When the file can't be written.
pub fn start_log(global: &Global, draws: bool, serves: bool) -> anyhow::Result<()> {
    let level = match global.verbose.max(u8::from(serves)) {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::new(format!("off,peerdeck={level}"));
    // A log that nobody takes any more must not end what it tells of: a complaint about it would go the same way, and panic.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).log_internal_errors(false);
    if let Some(path) = &global.log_file {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("the log file {} can't be written", path.display()))?;
        builder.with_ansi(false).with_writer(Mutex::new(file)).init();
    } else if !draws {
        builder.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).init();
    }
    Ok(())
}

/// A runtime of one thread: a face spends its time waiting, and a second thread only costs (measured).
///
/// # Errors
/// When the system refuses.
pub fn small_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime can't be started")
}

/// A runtime of one thread for the connections of a console, beside the thread that draws: reports are handed from
/// task to task, and a second thread would be woken for each hand-over (measured).
///
/// # Errors
/// When the system refuses.
pub fn network_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut tries = 0;
    loop {
        let before = Instant::now();
        let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = built.context("the runtime can't be started")?;
        let took = before.elapsed();
        tries += 1;
        // Its timers count from some moment in between: where that is too vague, each would wake the process twice.
        if took <= VAGUE || tries == TRIES {
            timers_began(before + took / 2);
            return Ok(runtime);
        }
        runtime.shutdown_background();
    }
}

/// A runtime of a few threads, for peers.
///
/// # Errors
/// When the system refuses.
pub fn peer_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime can't be started")
}
