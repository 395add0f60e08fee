//! The mark beside the database: what was answered last.
//!
//! It is written after each batch, before the answer, without a sync: that costs microseconds, survives the end of the
//! process, and after a power cut it is at most older than the database, which is harmless. A mark that is newer than
//! the database means that the database has lost something. Two places take turns, so that a torn write leaves the other.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::chain::{Head, digest};
use crate::daemon::store::{StoreError, refuse_open};

const NAME: &str = "settings.mark";
const MAGIC: &[u8; 8] = b"pd-mark1";

/// Bytes of each of the two places: a disk writes a sector as a whole.
const PLACE: u64 = 512;
const RECORD: usize = 8 + 8 + 8 + 32 + 1 + 16 + 32;

/// What was answered last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Changes that the database had.
    pub head: Head,
    /// What stands behind them was refused.
    pub strict: bool,
    /// The store was closed in order.
    pub clean: bool,
    /// Which file the database was.
    pub file: Option<FileId>,
}

/// Tells a file from its copy: inode, and when it was made (nanoseconds since 1970; 0 where that is unknown).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    inode: u64,
    made: u64,
}

/// Which file stands at `path`.
#[must_use]
pub fn identity(path: &Path) -> Option<FileId> {
    let meta = fs::metadata(path).ok()?;
    let made = meta.created().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let made = made.and_then(|t| u64::try_from(t.as_nanos()).ok()).unwrap_or(0);
    Some(FileId { inode: meta.ino(), made })
}

/// The open mark.
#[derive(Debug)]
pub struct MarkFile {
    file: File,
    turn: u64,
}

impl MarkFile {
    /// Opens it, or makes one; tells what it says, `None` if nothing readable.
    ///
    /// # Errors
    /// [`StoreError`] when others may read it or the system refuses.
    pub fn open(state_dir: &Path) -> Result<(Self, Option<Mark>), StoreError> {
        let path = state_dir.join(NAME);
        let io = |error| StoreError::Io { path: path.clone(), error };
        let is_new = !path.exists();
        if !is_new {
            refuse_open(&path)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
        if is_new {
            // Its blocks are taken now, so that a full disk doesn't keep it from being written later.
            file.write_all_at(&[0; 1024], 0).map_err(io)?;
            file.sync_all().map_err(io)?;
            File::open(state_dir).and_then(|d| d.sync_all()).map_err(io)?;
        }
        let newest = [0, PLACE].into_iter().filter_map(|at| read(&file, at)).max_by_key(|(turn, _)| *turn);
        let turn = newest.as_ref().map_or(0, |(turn, _)| *turn);
        Ok((Self { file, turn }, newest.map(|(_, mark)| mark)))
    }

    /// Writes `mark` over the older of the two.
    ///
    /// # Errors
    /// What the system said; the newer one stands.
    pub fn write(&mut self, mark: &Mark) -> io::Result<()> {
        let turn = self.turn + 1;
        self.file.write_all_at(&encode(turn, mark), turn % 2 * PLACE)?;
        self.turn = turn;
        Ok(())
    }

    /// Writes `mark` over both, to survive a power cut.
    ///
    /// # Errors
    /// [`StoreError`], with the database's `path`: what can't be written here could not be there.
    pub fn rewrite(&mut self, mark: &Mark, path: &Path) -> Result<(), StoreError> {
        let path = path.with_file_name(NAME);
        let all = self.write(mark).and_then(|()| self.write(mark)).and_then(|()| self.file.sync_all());
        all.map_err(|error| StoreError::Io { path, error })
    }
}

fn encode(turn: u64, mark: &Mark) -> Vec<u8> {
    let mut record = Vec::with_capacity(RECORD);
    let file = mark.file.unwrap_or(FileId { inode: 0, made: 0 });
    record.extend_from_slice(MAGIC);
    record.extend_from_slice(&turn.to_be_bytes());
    record.extend_from_slice(&mark.head.n.to_be_bytes());
    record.extend_from_slice(&mark.head.sum);
    record.push(u8::from(mark.strict) | u8::from(mark.clean) << 1 | u8::from(mark.file.is_some()) << 2);
    record.extend_from_slice(&file.inode.to_be_bytes());
    record.extend_from_slice(&file.made.to_be_bytes());
    let sum = digest(&[&record]);
    record.extend_from_slice(&sum);
    record
}

fn read(file: &File, at: u64) -> Option<(u64, Mark)> {
    let mut record = [0; RECORD];
    file.read_exact_at(&mut record, at).ok()?;
    let (body, sum) = record.split_last_chunk::<32>()?;
    if digest(&[body]) != *sum {
        return None;
    }
    let rest = body.strip_prefix(MAGIC)?;
    let (turn, rest) = number(rest)?;
    let (n, rest) = number(rest)?;
    let (sum, rest) = rest.split_first_chunk::<32>()?;
    let (flags, rest) = rest.split_first()?;
    let (inode, rest) = number(rest)?;
    let (made, _) = number(rest)?;
    let is_set = |bit: u8| flags & bit != 0;
    let file = is_set(4).then_some(FileId { inode, made });
    Some((turn, Mark { head: Head { n, sum: *sum }, strict: is_set(1), clean: is_set(2), file }))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}
