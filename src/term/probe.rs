//! Asks the terminal how wide it draws signs: print one, ask where the cursor is.
//!
//! Many signs are "ambiguous": one column wide in most terminals, two in Chinese and Japanese ones. No
//! variable tells which, the terminal itself does.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::typed;

/// How long all answers together may take.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// How much longer the end of a sequence may take that has begun.
const TAIL: Duration = Duration::from_millis(50);
/// More than this is no answer, and nobody types as much.
const BYTES_MAX: usize = 1 << 16;

/// What the terminal said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Widths {
    /// Columns of each sign that was asked about; shorter when answers were missing.
    pub columns: Vec<u16>,
    /// What was typed meanwhile, as it came.
    pub typed: Vec<u8>,
}

/// Asks how wide each of `signs` is. The terminal must be taken; nobody else may read from it meanwhile.
///
/// # Errors
/// When the terminal can't be read from or written to.
pub fn widths(signs: &[&str]) -> io::Result<Widths> {
    let mut out = io::stdout();
    out.write_all(question(signs).as_bytes())?;
    out.flush()?;
    let bytes = read_answers(&tty()?, signs.len())?;
    Ok(sorted(&bytes))
}

/// Each sign in the first column and the question where the cursor is then; the line is empty again before
/// anything of it is shown.
fn question(signs: &[&str]) -> String {
    let asked = signs.iter().fold(String::new(), |asked, sign| asked + "\x1b[1;1H" + sign + "\x1b[6n");
    format!("\x1b[?2026h{asked}\x1b[1;1H\x1b[2K\x1b[?2026l")
}

/// Where keys come from, as the event reader chooses it.
pub(super) fn tty() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    if stdin.is_terminal() { stdin.as_fd().try_clone_to_owned() } else { Ok(File::open("/dev/tty")?.into()) }
}

/// Whether there is something to read within `wait`.
pub(super) fn is_ready(tty: &OwnedFd, wait: Duration) -> io::Result<bool> {
    let span =
        Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(wait.subsec_nanos()) };
    match poll(&mut [PollFd::new(tty, PollFlags::IN)], Some(&span)) {
        Ok(n) => Ok(n > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read_answers(tty: &OwnedFd, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let end = Instant::now() + PATIENCE;
    let mut chunk = [0; 1024];
    while bytes.len() < BYTES_MAX && sorted(&bytes).columns.len() < wanted {
        // Half a sequence is waited for a little longer: its rest would be taken for keys.
        let open = typed::open_end(&bytes) > 0;
        let left = (end + if open { TAIL } else { Duration::ZERO }).saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        if is_ready(tty, left)? {
            match rustix::io::read(tty, &mut chunk) {
                Ok(0) => break,
                Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(bytes)
}

/// Answers apart from keys.
fn sorted(bytes: &[u8]) -> Widths {
    let mut found = Widths::default();
    let mut at = 0;
    while at < bytes.len() {
        if let Some((column, used)) = answer(&bytes[at..]) {
            found.columns.push(column.saturating_sub(1));
            at += used;
        } else {
            found.typed.push(bytes[at]);
            at += 1;
        }
    }
    found
}

/// The column of `ESC [ line ; column R` at the beginning of `bytes`, and its length.
fn answer(bytes: &[u8]) -> Option<(u16, usize)> {
    let inner = bytes.strip_prefix(b"\x1b[")?;
    let end = inner.iter().position(|b| !b.is_ascii_digit() && *b != b';').filter(|end| inner[*end] == b'R')?;
    let (line, column) = std::str::from_utf8(&inner[..end]).ok()?.split_once(';')?;
    line.parse::<u16>().ok()?;
    Some((column.parse().ok()?, end + 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_sign_is_asked_about_and_the_line_is_left_empty() {
        let asked = question(&["●", "→"]);
        assert_eq!(asked.matches("\x1b[6n").count(), 2);
        assert!(asked.ends_with("\x1b[1;1H\x1b[2K\x1b[?2026l"));
    }

    proptest! {
        #[test]
        fn no_key_is_lost_between_the_answers(keys in proptest::collection::vec("[a-z]|\\x1b\\[A|\\x1b\\[5~|日", 0..12)) {
            let mut bytes = Vec::new();
            let mut typed = Vec::new();
            for (n, key) in keys.iter().enumerate() {
                bytes.extend_from_slice(format!("\x1b[1;{}R{key}", 2 + n % 2).as_bytes());
                typed.extend_from_slice(key.as_bytes());
            }
            let found = sorted(&bytes);
            let expected: Vec<u16> = (0..keys.len()).map(|n| u16::try_from(1 + n % 2).unwrap()).collect();
            prop_assert_eq!(found.columns, expected);
            prop_assert_eq!(found.typed, typed);
        }
    }
}
