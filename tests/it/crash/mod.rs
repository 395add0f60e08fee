//! What was answered is there afterwards: processes that are killed, logs that are torn, disks that fail (C16).
//!
//! The short forms run always; the long ones take their number from the environment:
//!
//! ```text
//! PEERDECK_KILLS=5000 cargo test --release --test it crash:: -- --ignored --nocapture long_
//! ```
//!
//! `PEERDECK_SEED` repeats the choices of a run (not the instants at which the system does what they ask for).

mod disk;
mod faults;
mod peers;
mod torn;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

/// Where the child works; what it does there.
const DIR: &str = "PEERDECK_TEST_DIR";

/// A folder as a peer's state directory is.
pub fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Choices that can be repeated; tells the seed, which a failing test shows.
pub fn dice(name: &str) -> StdRng {
    let seed = number("PEERDECK_SEED").unwrap_or_else(|| rand::rng().random());
    println!("{name}: PEERDECK_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// This very test binary as another process, in which `test` runs alone, at work in `dir`.
pub fn child(test: &str, dir: &Path, vars: &[(&str, &str)]) -> Child {
    // Not its path: a build may have put another one there meanwhile.
    Command::new("/proc/self/exe")
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The numbers that a child tells with `word`, as they come.
pub fn told<'a>(out: &'a mut BufReader<ChildStdout>, word: &'a str) -> impl Iterator<Item = u64> + 'a {
    let number = move |line: String| {
        let (_, rest) = line.split_once(word)?;
        // A line that was cut off by the kill is no answer.
        rest.strip_suffix('\n')?.trim().parse().ok()
    };
    std::iter::from_fn(move || {
        let mut line = String::new();
        loop {
            line.clear();
            if out.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(n) = number(std::mem::take(&mut line)) {
                return Some(n);
            }
        }
    })
}

/// In a child: where it works; `None` when somebody runs all ignored tests.
pub fn work() -> Option<std::path::PathBuf> {
    std::env::var_os(DIR).map(Into::into)
}
