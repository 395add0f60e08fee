//! Blocks: frames packed one after the other into one deflate stream, which can be cut after any frame.
//!
//! A stream that was never finished (its recorder was killed) is read up to its last cut.

use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Take, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::proto::record::LINE_BYTES_MAX;

/// Most bytes that one block may unpack to: a key frame of a thousand peers and what follows.
pub const UNPACKED_MAX: u64 = 768 * 1024 * 1024;

/// Packs lines.
pub struct Packer(DeflateEncoder<Vec<u8>>);

impl Default for Packer {
    fn default() -> Self {
        // The lines of one picture are much alike: a quick search finds nearly all that a long one does.
        Self(DeflateEncoder::new(Vec::new(), Compression::new(4)))
    }
}

impl Packer {
    /// Adds lines.
    pub fn push(&mut self, lines: &[u8]) {
        let _ = self.0.write_all(lines); // Memory does not fail.
    }

    /// What has come since the last cut, readable without what follows.
    pub fn cut(&mut self) -> Vec<u8> {
        let _ = self.0.flush();
        std::mem::take(self.0.get_mut())
    }

    /// What has come since the last cut, and the end.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().unwrap_or_default()
    }
}

/// `bytes`, packed.
#[must_use]
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.push(bytes);
    packer.finish()
}

/// What was packed, at most `max` bytes.
///
/// # Errors
/// For what is no packed stream, and for more bytes.
pub fn unpack(packed: &[u8], max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut reader = DeflateDecoder::new(packed).take(max + 1);
    reader.read_to_end(&mut bytes).map_err(|e| format!("it can't be unpacked: {e}"))?;
    if bytes.len() as u64 > max { Err(format!("it unpacks to more than {max} bytes")) } else { Ok(bytes) }
}

/// Reads the lines of a block, one at a time.
pub struct Lines(BufReader<Take<DeflateDecoder<Cursor<Vec<u8>>>>>);

impl Lines {
    /// Of a packed block.
    #[must_use]
    pub fn new(packed: Vec<u8>) -> Self {
        Self(BufReader::new(DeflateDecoder::new(Cursor::new(packed)).take(UNPACKED_MAX)))
    }

    /// The next line, without its end; `None` at the end.
    ///
    /// # Errors
    /// For what is no packed stream, and for too long lines and blocks.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        let mut bounded = self.0.by_ref().take(LINE_BYTES_MAX as u64 + 1);
        match bounded.read_until(b'\n', &mut line) {
            Ok(_) => {}
            // Still being written, or its recorder was killed: what is there counts.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(format!("it can't be unpacked: {error}")),
        }
        if line.pop() == Some(b'\n') {
            return Ok(Some(line));
        }
        if line.len() >= LINE_BYTES_MAX {
            return Err(format!("a line is longer than {LINE_BYTES_MAX} bytes"));
        }
        if self.0.get_ref().limit() == 0 {
            return Err(format!("a block unpacks to more than {UNPACKED_MAX} bytes"));
        }
        Ok(None) // What has no end was cut off in the middle: its frame does not count.
    }
}
