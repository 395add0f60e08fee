//! Lines out of a byte stream, none longer than a bound.

use tokio::io::{AsyncRead, AsyncReadExt};

/// What stays allocated between lines.
const KEPT: usize = 8 * 1024;

/// Reads lines; cancelling [`Lines::next`] loses nothing.
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Bytes at the front that are known to hold no line end.
    searched: usize,
    /// Bytes at the front that were handed out already.
    taken: usize,
    max: usize,
}

/// Why there is no further line.
#[derive(Debug)]
pub(super) enum NoLine {
    /// The stream ended, between lines or within one.
    End {
        /// Within one.
        torn: bool,
    },
    /// The line is longer than the bound.
    TooLong,
    /// Reading failed.
    Broken(std::io::Error),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, max: usize) -> Self {
        Self { reader, buffer: Vec::new(), searched: 0, taken: 0, max }
    }

    /// The next line, without its end.
    pub(super) async fn next(&mut self) -> Result<&[u8], NoLine> {
        self.buffer.drain(..self.taken);
        self.searched = self.searched.saturating_sub(self.taken);
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') {
                let end = self.searched + at;
                self.searched = end + 1;
                self.taken = end + 1;
                let line = &self.buffer[..end];
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.max {
                return Err(NoLine::TooLong);
            }
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(NoLine::End { torn: !self.buffer.is_empty() }),
                Ok(_) => {}
                Err(e) => return Err(NoLine::Broken(e)),
            }
        }
    }
}
