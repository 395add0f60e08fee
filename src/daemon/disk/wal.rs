//! A look into SQLite's write-ahead log: whether something stands in it that SQLite will not read.
//!
//! The log is a header of 32 bytes and frames of 24 bytes and a page. SQLite reads up to the last commit before the
//! first frame whose sum is wrong, and says nothing of what follows (<https://www.sqlite.org/fileformat2.html#walformat>).

use std::fs;
use std::io;
use std::path::Path;

const HEADER: usize = 32;
const FRAME: usize = 24;

/// Whether frames of the running log, or pieces of one, stand behind the last commit that SQLite reads.
///
/// # Errors
/// What the system said.
pub fn has_unread(path: &Path) -> io::Result<bool> {
    match fs::read(path) {
        Ok(bytes) => Ok(unread(&bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn unread(log: &[u8]) -> bool {
    let Some((header, frames)) = log.split_first_chunk::<HEADER>() else { return !log.is_empty() };
    let magic = word(header, 0);
    let is_big = magic & 1 == 1;
    let sum = checksum(is_big, (0, 0), &header[..24]);
    let page = word(header, 8) as usize;
    if magic & !1 != 0x377f_0682 || sum != (word(header, 24), word(header, 28)) || page < 512 {
        return true;
    }
    let salts = &header[16..24];
    let mut running = sum;
    let mut open = false;
    for frame in frames.chunks(FRAME + page) {
        // Frames of an earlier turn have other salts: what follows is not of this log.
        if frame.len() >= 16 && &frame[8..16] != salts {
            return open;
        }
        if frame.len() < FRAME + page {
            return true;
        }
        running = checksum(is_big, running, &frame[..8]);
        running = checksum(is_big, running, &frame[FRAME..]);
        if running != (word(frame, 16), word(frame, 20)) {
            return true;
        }
        open = word(frame, 4) == 0;
    }
    open
}

/// SQLite's sum: two words that take the bytes in, eight at a time.
fn checksum(is_big: bool, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let read = |w: &[u8]| {
        let w = word(w, 0);
        if is_big { w } else { w.swap_bytes() }
    };
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(read(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(read(&pair[4..])).wrapping_add(a);
    }
    (a, b)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |w| u32::from_be_bytes(*w))
}
