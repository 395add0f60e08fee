//! Standard output: flushed, fitted to the terminal, and quiet when nobody reads any more.

use std::future::pending;
use std::io::{self, ErrorKind, IsTerminal, Write};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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
    let terminal = io::stdout().is_terminal();
    let width = terminal
        .then(|| rustix::termios::tcgetwinsize(io::stdout()).ok())
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
    let Ok(fd) = AsyncFd::with_interest(io::stdout(), Interest::ERROR) else { return pending().await };
    loop {
        match fd.ready(Interest::ERROR).await {
            Ok(mut guard) => {
                if guard.ready().is_error() || guard.ready().is_write_closed() {
                    return;
                }
                guard.clear_ready();
            }
            Err(_) => return pending().await,
        }
    }
}
