//! The signals that the console answers.

use std::io;

use rustix::process::{Signal as Number, getpid, kill_current_process_group, kill_process};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A signal that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// The terminal is gone.
    Hangup,
    /// End.
    Terminate,
    /// End, from the keyboard.
    Interrupt,
    /// Stop until further notice.
    Stop,
    /// Go on.
    Continue,
}

/// All of them.
#[derive(Debug)]
pub struct Signals {
    hangup: Stream,
    terminate: Stream,
    interrupt: Stream,
    stop: Stream,
    go_on: Stream,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            stop: signal(SignalKind::from_raw(Number::TSTP.as_raw()))?,
            go_on: signal(SignalKind::from_raw(Number::CONT.as_raw()))?,
        })
    }

    /// The next one. Safe to cancel.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.hangup.recv() => Signal::Hangup,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.stop.recv() => Signal::Stop,
            _ = self.go_on.recv() => Signal::Continue,
        }
    }
}

/// Stops this process, as the default action of SIGTSTP does. May return a moment before it is stopped.
///
/// # Errors
/// When the system refuses.
pub fn stop_self() -> io::Result<()> {
    Ok(kill_process(getpid(), Number::STOP)?)
}

/// Asks the whole job to stop, as Ctrl-Z does on a terminal that is not raw: the shell waits for all of it.
///
/// # Errors
/// When the system refuses.
pub fn stop_group() -> io::Result<()> {
    Ok(kill_current_process_group(Number::TSTP)?)
}
