//! Standard output: flushed, fitted to the terminal, and quiet when nobody reads any more.

use std::future::pending;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::unix::pipe;

use super::args::{Color, Global};
use crate::report::Style;

/// Whether anybody still reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// Yes.
    There,
    /// The pipe was closed: no more output is wanted, and that is no error.
    Gone,
}

/// Writes `text` and flushes.
///
/// # Errors
/// When it can't be written for another reason than a closed pipe.
pub fn emit(text: &str) -> io::Result<Reader> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(e) => Err(e),
    }
}

/// How tables may look on standard output.
#[must_use]
pub fn style(global: &Global) -> Style {
    style_on(io::stdout(), global)
}

/// How texts may look on standard error, where a person is shown what is about to happen.
#[must_use]
pub fn error_style(global: &Global) -> Style {
    style_on(io::stderr(), global)
}

fn style_on(out: impl IsTerminal + AsFd, global: &Global) -> Style {
    let terminal = out.is_terminal();
    let width = terminal
        .then(|| rustix::termios::tcgetwinsize(out).ok())
        .flatten()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    let color = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
            terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
        }
    };
    Style { width, color, verbose: global.verbose > 0 }
}

/// Resolves when the reader of standard output has gone; never when it is a file or can't be watched.
pub async fn reader_gone() {
    let Ok(copy) = io::stdout().as_fd().try_clone_to_owned() else { return pending().await };
    // Only asked whether it is closed, never written to, so that it may stay blocking.
    let Ok(pipe) = pipe::Sender::from_owned_fd_unchecked(copy) else { return pending().await };
    loop {
        match pipe.ready(Interest::ERROR).await {
            Ok(ready) if ready.is_error() || ready.is_write_closed() => return,
            Ok(_) => tokio::task::yield_now().await,
            Err(_) => return pending().await,
        }
    }
}
