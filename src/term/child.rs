//! A program that has the terminal for a while, as a shell would give it to one.

use std::io::{self, Write};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal as Number, WaitOptions, kill_process, waitpid};
use tokio::sync::mpsc;

use super::{Signal, Signals, probe, stop_self};

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Not yet: we were told to end ourselves.
    Told(Signal),
}

/// What a program did.
enum Change {
    Stopped,
    Ended(Ended),
}

/// Starts `command` on the terminal and waits until it ends, is stopped and goes on with it.
///
/// The terminal must have been given back, and nobody may read from it. SIGINT and SIGQUIT from the keyboard
/// are the program's; when it stops, so do we, and the shell's `fg` wakes both.
///
/// # Errors
/// When it can't be started or waited for.
pub async fn run(mut command: Command, signals: &mut Signals) -> io::Result<Ended> {
    let child = command.spawn()?;
    let pid = pid_of(&child)?;
    let (changes, mut reports) = mpsc::channel(4);
    std::thread::spawn(move || watch(pid, &changes));
    loop {
        tokio::select! {
            biased;
            change = reports.recv() => match change {
                Some(Ok(Change::Ended(how))) => return Ok(how),
                // `~^Z` of ssh stops only itself: the shell must learn of it.
                Some(Ok(Change::Stopped)) => stop_self()?,
                Some(Err(error)) => return Err(error),
                None => return Err(io::Error::other("the program is not watched any more")),
            },
            signal = signals.next() => match signal {
                // To the whole job: the program got it as well.
                Signal::Stop => stop_self()?,
                Signal::Interrupt => {}
                Signal::Continue => ignore_gone(kill_process(pid, Number::CONT))?,
                Signal::Hangup | Signal::Terminate => {
                    ignore_gone(kill_process(pid, Number::HUP))?;
                    return Ok(Ended::Told(signal));
                }
            },
        }
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let raw = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    raw.ok_or_else(|| io::Error::other("the program has no usable process number"))
}

fn ignore_gone(done: rustix::io::Result<()>) -> io::Result<()> {
    match done {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn watch(pid: Pid, changes: &mpsc::Sender<io::Result<Change>>) {
    loop {
        let change = match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => Ok(Change::Stopped),
            Ok(Some((_, status))) => {
                let by_signal = || Ended::Signal(status.terminating_signal().unwrap_or(0));
                Ok(Change::Ended(status.exit_status().map_or_else(by_signal, Ended::Code)))
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(error) => Err(error.into()),
        };
        let last = !matches!(change, Ok(Change::Stopped));
        // The console may have ended meanwhile.
        if changes.blocking_send(change).is_err() || last {
            return;
        }
    }
}

/// Says `text` and waits for Enter, or for the end of input.
///
/// # Errors
/// When the terminal can't be read from or written to.
pub async fn wait_for_enter(text: &str, signals: &mut Signals) -> io::Result<()> {
    let tty = probe::tty()?;
    let mut out = io::stdout();
    write!(out, "{text}")?;
    out.flush()?;
    let mut byte = [0; 1];
    loop {
        // The terminal gathers a whole line; until then other things may happen.
        if probe::is_ready(&tty, Duration::ZERO)? {
            match rustix::io::read(&tty, &mut byte) {
                Ok(0) => return Ok(()),
                Ok(_) if byte[0] == b'\n' || byte[0] == b'\r' => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            signal = signals.next() => match signal {
                Signal::Stop => stop_self()?,
                Signal::Continue => {}
                Signal::Interrupt | Signal::Hangup | Signal::Terminate => return Ok(()),
            },
        }
    }
}
