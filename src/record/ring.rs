//! Writing: a ring in a folder, bounded by age and bytes, or one recording in a file.
//!
//! Blocks of about a minute, each a key frame and what follows; what comes is appended in small transactions, so that
//! a recorder that is killed loses no more than the last of them. One process writes, any number read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::block::{Packer, pack};
use super::encode::{Blob, Encoder};
use super::tables::{RING, open_to_write, own_folder, store_error};
use super::{RecordError, Target};
use crate::domain::finding::{Finding, FindingId};
use crate::domain::past::Mark;
use crate::domain::snapshot::Snapshot;
use crate::domain::time::Time;

/// A block ends after this time,
const BLOCK_TIME: Duration = Duration::from_mins(1);
/// or with this many bytes, unless its key frame is so large that another one would cost more.
const BLOCK_BYTES: usize = 1024 * 1024;

/// How much is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Blocks that ended longer ago go.
    pub keep: Duration,
    /// The oldest blocks go when the files are larger, in bytes.
    pub bytes: u64,
}

/// The block that is being written.
struct Open {
    id: i64,
    packer: Packer,
    began: Time,
    ended: Time,
    frames: u64,
    /// Packed bytes: of the key frame and of all so far.
    key: usize,
    bytes: usize,
    /// Its row stands in the table.
    stored: bool,
    /// Frames that were packed since the last commit.
    waiting: bool,
}

/// What can be written to.
pub struct Ring {
    db: Connection,
    path: PathBuf,
    bounds: Option<Bounds>,
    /// How large the write-ahead log may become, bytes.
    log: u64,
    encoder: Encoder,
    open: Option<Open>,
    blobs: BTreeMap<String, Option<Vec<u8>>>,
    marks: Vec<Mark>,
    raised: BTreeMap<FindingId, Finding>,
    /// Held as long as this process writes.
    _lock: Option<File>,
}

impl Ring {
    /// Opens the ring or makes the file. `random`: see `mask::Mask::new`.
    ///
    /// # Errors
    /// When another process writes there, the file exists already, or the system refuses.
    pub fn open(target: &Target, random: &[u8; 32]) -> Result<Self, RecordError> {
        let (path, bounds, lock) = match target {
            Target::Ring { folder, bounds } => {
                own_folder(folder)?;
                let lock = lock(folder)?;
                (folder.join(RING), Some(*bounds), Some(lock))
            }
            Target::File(path) => {
                if path.exists() {
                    let why = "it exists already: choose another name, so that nothing is written over";
                    return Err(RecordError::refused(path, why));
                }
                (path.clone(), None, None)
            }
        };
        let log = bounds.map_or(4 << 20, |b| (b.bytes / 8).clamp(128 << 10, 4 << 20));
        let db = open_to_write(&path, u32::try_from(log / 4096).unwrap_or(32))?;
        Ok(Self {
            db,
            path,
            bounds,
            log,
            encoder: Encoder::new(random),
            open: None,
            blobs: BTreeMap::new(),
            marks: Vec::new(),
            raised: BTreeMap::new(),
            _lock: lock,
        })
    }

    /// Takes a picture; it is on disk after the next [`Ring::commit`].
    ///
    /// # Errors
    /// When a block had to end and could not be written; when the picture is too large.
    pub fn add(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), RecordError> {
        let most =
            self.bounds.map_or(BLOCK_BYTES, |b| BLOCK_BYTES.min(usize::try_from(b.bytes / 8).unwrap_or(BLOCK_BYTES)));
        let over = |o: &Open| {
            snapshot.at.since(o.began) >= BLOCK_TIME || snapshot.at < o.ended || o.bytes >= most.max(o.key * 2)
        };
        if self.open.as_ref().is_some_and(over) {
            self.end_block()?;
        }
        let key = self.open.is_none();
        let frame = self.encoder.frame(snapshot, key).map_err(|e| RecordError::refused(&self.path, e.to_string()))?;
        for Blob { digest, bytes } in frame.blobs {
            let known = self.blobs.entry(digest).or_default();
            *known = bytes.or(known.take());
        }
        self.note(snapshot);
        let error = store_error(&self.path);
        let open = if let Some(open) = &mut self.open {
            open
        } else {
            let last: Option<i64> = self.db.query_row("SELECT max(id) FROM blocks", [], |r| r.get(0)).map_err(error)?;
            self.open.insert(Open {
                id: last.unwrap_or(0) + 1,
                packer: Packer::default(),
                began: snapshot.at,
                ended: snapshot.at,
                frames: 0,
                key: 0,
                bytes: 0,
                stored: false,
                waiting: false,
            })
        };
        open.packer.push(&frame.lines);
        open.ended = snapshot.at;
        open.frames += 1;
        open.waiting = true;
        Ok(())
    }

    /// Whether something waits to be committed.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.open.as_ref().is_some_and(|o| o.waiting)
    }

    /// Writes what was taken since, in one transaction, and lets go what is over the bounds.
    ///
    /// # Errors
    /// When it can't be written: nothing of it is then.
    pub fn commit(&mut self) -> Result<(), RecordError> {
        let Some(open) = self.open.as_mut().filter(|o| o.waiting) else { return Ok(()) };
        let chunk = open.packer.cut();
        self.store(&chunk)
    }

    /// Ends the recording in order: a file stands for itself afterwards.
    ///
    /// # Errors
    /// As [`Ring::commit`].
    pub fn close(mut self) -> Result<(), RecordError> {
        self.end_block()?;
        if self.bounds.is_none() {
            self.db.execute_batch("PRAGMA journal_mode = DELETE").map_err(store_error(&self.path))?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), RecordError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let chunk = std::mem::take(&mut open.packer).finish();
        self.store(&chunk)?;
        self.open = None;
        Ok(())
    }

    fn store(&mut self, chunk: &[u8]) -> Result<(), RecordError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let error = store_error(&self.path);
        open.bytes += chunk.len();
        if !open.stored {
            open.key = chunk.len();
        }
        let blobs: Vec<(String, Option<Vec<u8>>)> =
            std::mem::take(&mut self.blobs).into_iter().map(|(d, b)| (d, b.map(|b| pack(&b)))).collect();
        let new: usize = chunk.len() + blobs.iter().map(|(_, b)| b.as_ref().map_or(0, Vec::len)).sum::<usize>();
        let transaction = self.db.transaction().map_err(&error)?;
        for (digest, data) in &blobs {
            use_blob(&transaction, open.id, digest, data.as_deref()).map_err(&error)?;
        }
        if let Some(bounds) = self.bounds {
            prune(&transaction, open, bounds, self.log + new as u64 * 9 / 8 + (64 << 10)).map_err(&error)?;
        }
        for (digest, data) in &blobs {
            if let Some(data) = data {
                let sql = "INSERT OR IGNORE INTO blobs (digest, data) VALUES (?, ?)";
                transaction.execute(sql, params![digest, data]).map_err(&error)?;
            }
        }
        put(&transaction, open, chunk, &self.marks).map_err(&error)?;
        transaction.commit().map_err(&error)?;
        open.stored = true;
        open.waiting = false;
        self.marks.clear();
        self.tidy().map_err(&error)
    }

    /// Keeps the files themselves within the bounds.
    fn tidy(&self) -> rusqlite::Result<()> {
        let Some(bounds) = self.bounds else { return Ok(()) };
        let file = |suffix: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |m| m.len())
        };
        if file("-wal") > self.log {
            // Where a reader is in the way, the next one does it.
            let _: Option<i64> = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0)).optional()?;
        }
        if file("") + self.log > bounds.bytes {
            let mut vacuum = self.db.prepare("PRAGMA incremental_vacuum")?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(())
    }

    /// Notes findings that came and went since the last picture.
    fn note(&mut self, snapshot: &Snapshot) {
        let now: BTreeMap<&FindingId, &Finding> =
            snapshot.clusters.iter().flat_map(|c| c.findings.iter()).map(|f| (&f.id, f)).collect();
        let mark = |f: &Finding, raised| Mark { at: snapshot.at, severity: f.severity, raised, text: f.text.clone() };
        self.marks.extend(self.raised.values().filter(|f| !now.contains_key(&f.id)).map(|f| mark(f, false)));
        self.marks.extend(now.values().filter(|f| !self.raised.contains_key(&f.id)).map(|f| mark(f, true)));
        let gone: BTreeSet<FindingId> = self.raised.keys().filter(|id| !now.contains_key(id)).cloned().collect();
        self.raised.retain(|id, _| !gone.contains(id));
        for (id, finding) in now {
            if self.raised.get(id).is_none_or(|f| f.text != finding.text || f.severity != finding.severity) {
                self.raised.insert(id.clone(), finding.clone());
            }
        }
    }
}

fn lock(folder: &Path) -> Result<File, RecordError> {
    let path = folder.join("lock");
    let io = |e| RecordError::io(&path, e);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RecordError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

fn ms(time: Time) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn put(db: &Transaction<'_>, open: &Open, chunk: &[u8], marks: &[Mark]) -> rusqlite::Result<()> {
    let (began, ended, frames) = (ms(open.began), ms(open.ended), open.frames.cast_signed());
    db.prepare_cached(
        "INSERT INTO blocks (id, began, ended, frames) VALUES (?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, frames = excluded.frames",
    )?
    .execute(params![open.id, began, ended, frames])?;
    db.prepare_cached("INSERT INTO chunks (block, data) VALUES (?, ?)")?.execute(params![open.id, chunk])?;
    let mut insert =
        db.prepare_cached("INSERT INTO marks (block, at, severity, raised, text) VALUES (?, ?, ?, ?, ?)")?;
    for mark in marks {
        let (severity, text) = (mark.severity.as_str(), mark.text.as_str());
        insert.execute(params![open.id, ms(mark.at), severity, mark.raised, text])?;
    }
    Ok(())
}

/// A block begins with this tree, which must stay as long as the block does.
fn use_blob(db: &Transaction<'_>, block: i64, digest: &str, data: Option<&[u8]>) -> rusqlite::Result<()> {
    let there = db.query_row("SELECT 1 FROM blobs WHERE digest = ?", [digest], |_| Ok(())).optional()?.is_some();
    if !there && data.is_none() {
        // Never so, or the block would be void: rather an error than that.
        return Err(rusqlite::Error::QueryReturnedNoRows);
    }
    db.execute("INSERT OR IGNORE INTO uses (block, digest) VALUES (?, ?)", params![block, digest]).map(|_| ())
}

/// Takes the oldest blocks away, until the rest and `room` more bytes are within the bounds.
fn prune(db: &Transaction<'_>, open: &Open, bounds: Bounds, room: u64) -> rusqlite::Result<()> {
    let oldest = "SELECT id, ended FROM blocks WHERE id <> ? ORDER BY id LIMIT 1";
    loop {
        let block: Option<(i64, i64)> =
            db.prepare_cached(oldest)?.query_row([open.id], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        let Some((block, ended)) = block else { return Ok(()) };
        let old = ended < ms(open.ended.before(bounds.keep));
        if !old && used(db)? + room <= bounds.bytes {
            return Ok(());
        }
        for table in ["chunks", "marks", "uses"] {
            db.prepare_cached(&format!("DELETE FROM {table} WHERE block = ?"))?.execute([block])?;
        }
        db.prepare_cached("DELETE FROM blocks WHERE id = ?")?.execute([block])?;
        db.prepare_cached("DELETE FROM blobs WHERE digest NOT IN (SELECT digest FROM uses)")?.execute([])?;
    }
}

/// Bytes of the pages that hold something; the others are filled first.
fn used(db: &Connection) -> rusqlite::Result<u64> {
    let number = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok((pages * number("page_size")?).cast_unsigned())
}
