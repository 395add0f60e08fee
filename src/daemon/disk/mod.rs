//! The settings store's disk: every change and its signature, in the order in which this peer got them (C16).
//!
//! SQLite with a write-ahead log and full sync: [`Disk::append`] returns when its batch is on disk, as a whole or
//! not at all. Beside the database stands a mark (`mark`) of what was answered last, so that a database that is
//! older than that (a restored backup, a log that lost its end) is noticed instead of believed.
//! One process at a time has the database open; SQLite's own lock says so to the others.

mod chain;
mod mark;
mod wal;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, params};
use tokio::sync::watch;

use self::chain::Head;
use self::mark::{Mark, MarkFile};
use super::replica::StoredChange;
use super::store::{StoreError, make_dir, refuse_open};
use crate::domain::ids::MemberId;

const DATABASE: &str = "settings.db";
const LOG: &str = "settings.db-wal";
const INDEX: &str = "settings.db-shm";

/// Of the tables below; rises when they change.
const SCHEMA: i64 = 1;

/// How long another process may keep the database before it counts as taken: one that was just told to end goes in this time.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// In the place of a signature: the row says that another one no longer counts. Rows are never taken out, for the sums
/// go over all of them.
const FORGET: &[u8] = b"forget";

/// The same, and the row says that a forgotten change came back and counts again.
const RECALL: &[u8] = b"recall";

const ACTOR: &str = "actor";
const CLUSTER: &str = "cluster";
const SETTLED: &str = "settled";

const TABLES: &str = "
    CREATE TABLE changes (
        n INTEGER PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        bytes BLOB NOT NULL,
        signer TEXT NOT NULL,
        signature BLOB NOT NULL,
        sum BLOB NOT NULL
    ) STRICT;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL, sum BLOB NOT NULL) STRICT;
    PRAGMA user_version = 1;
";

/// What a lab does to a peer's disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, strum::EnumString, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum DiskFault {
    /// Nothing can be written.
    ReadOnly,
    /// There is no room.
    Full,
    /// It works.
    #[default]
    Ok,
}

/// What an opened store holds.
#[derive(Debug)]
pub struct Kept {
    /// The actor id under which this peer made its changes; `None` when a new one has to be drawn: in a new store, and
    /// in a restored one, where the old one would give a number a second time that fellows know already.
    pub actor: Option<Vec<u8>>,
    /// Id of the cluster that the changes belong to, if one was kept.
    pub cluster: Option<String>,
    /// All changes, in the order in which they were appended.
    pub changes: Vec<StoredChange>,
    /// The database is older than what this peer has answered, or another file than the one it wrote: a backup came
    /// back. Fellows have what is missing, as far as they heard of it.
    pub restored: bool,
    /// How many changes were answered and are not here, as far as that is known.
    pub missing: u64,
    /// The last process closed the store in order.
    pub clean: bool,
}

/// The open store. Dropping it closes the file; nothing is lost by that.
#[derive(Debug)]
pub struct Disk {
    db: Connection,
    path: PathBuf,
    mark: MarkFile,
    head: Head,
    /// A batch was refused and its frames may still stand in the log, complete.
    unsettled: bool,
    /// Hashes of changes that no longer count.
    forgotten: BTreeSet<[u8; 32]>,
    faults: Option<watch::Receiver<DiskFault>>,
}

impl Disk {
    /// Opens the store in `state_dir`, makes it where there is none, checks all of it and reads all changes.
    /// Waits up to 2 s for another process that has it open: not for an async thread that others need.
    ///
    /// # Errors
    /// [`StoreError`] when another process has it open, others may read it, it is damaged or too new, or the system
    /// refuses. A damaged store is left as it is, to the byte.
    pub fn open(state_dir: &Path) -> Result<(Self, Kept), StoreError> {
        make_dir(state_dir)?;
        let path = state_dir.join(DATABASE);
        for name in [DATABASE, LOG, INDEX] {
            let file = state_dir.join(name);
            if file.exists() {
                refuse_open(&file)?;
            }
        }
        let (mark_file, mark) = MarkFile::open(state_dir)?;
        let log = state_dir.join(LOG);
        prepare(&path, &log, mark.as_ref())?;
        let db = connect(&path)?;
        let read = read(&db).map_err(|e| e.at(&path))?;
        let mut kept = Kept {
            actor: read.actor,
            cluster: read.cluster,
            changes: read.changes,
            restored: false,
            missing: 0,
            clean: mark.as_ref().is_some_and(|m| m.clean),
        };
        let mut disk = Self {
            db,
            path,
            mark: mark_file,
            head: read.head,
            unsettled: false,
            forgotten: BTreeSet::new(),
            faults: None,
        };
        disk.compare(&mut kept, mark.as_ref(), &read.sums, &log)?;
        disk.db
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(|e| Problem::from(e).at(&disk.path))?;
        disk.mark.rewrite(&disk.note(false, false), &disk.path)?;
        disk.forgotten = take_out_forgotten(&mut kept.changes);
        Ok((disk, kept))
    }

    /// Fails appends from now on as `faults` says (lab).
    pub fn heed(&mut self, faults: watch::Receiver<DiskFault>) {
        self.faults = Some(faults);
    }

    /// Keeps `changes`, and `actor` as the one that this peer makes its changes under, if given. Those that are kept
    /// already are left out. Returns when all of it is on disk, to survive a power cut.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: nothing of the batch is kept, now or after a restart; the store can be used on, and
    /// takes changes again when the cause is gone.
    pub fn append(&mut self, changes: &[StoredChange], actor: Option<&[u8]>) -> Result<(), StoreError> {
        self.replace(&[], changes, actor)
    }

    /// As [`Disk::append`], and from now on the changes with the hashes in `forget` are no longer told when the store
    /// is opened.
    ///
    /// # Errors
    /// As [`Disk::append`].
    pub fn replace(
        &mut self,
        forget: &[[u8; 32]],
        changes: &[StoredChange],
        actor: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let forgotten = self.forgotten.clone();
        let after = self.transact(|tx, head| {
            let mut now = forgotten;
            for hash in forget {
                if now.insert(*hash) {
                    insert(tx, head, &stone(FORGET, hash, head.n))?;
                }
            }
            for change in changes {
                if now.remove(&change.hash) {
                    insert(tx, head, &stone(RECALL, &change.hash, head.n))?;
                }
                insert(tx, head, change)?;
            }
            actor.map_or(Ok(()), |actor| put(tx, ACTOR, actor))?;
            Ok(now)
        })?;
        self.forgotten = after;
        Ok(())
    }

    /// Keeps which cluster the changes belong to.
    ///
    /// # Errors
    /// As [`Disk::append`].
    pub fn set_cluster(&mut self, id: &str) -> Result<(), StoreError> {
        self.transact(|tx, _| put(tx, CLUSTER, id.as_bytes()))
    }

    /// How many rows are kept: changes, and what says that some no longer count.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.head.n
    }

    /// Closes the store in order.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses; nothing is lost by that.
    pub fn close(self) -> Result<(), StoreError> {
        let note = self.note(self.unsettled, true);
        let Self { db, path, mut mark, .. } = self;
        db.close().map_err(|(_, e)| Problem::from(e).at(&path))?;
        mark.rewrite(&note, &path)
    }

    fn note(&self, strict: bool, clean: bool) -> Mark {
        Mark { head: self.head, strict, clean, file: mark::identity(&self.path) }
    }

    /// Holds what the database says against what was answered last.
    fn compare(
        &mut self,
        kept: &mut Kept,
        mark: Option<&Mark>,
        sums: &[[u8; 32]],
        log: &Path,
    ) -> Result<(), StoreError> {
        let Some(mark) = mark else {
            kept.restored = self.head.n > 0;
            return self.forget_actor(kept);
        };
        // Sums begin with that of no change at all.
        let same = usize::try_from(mark.head.n).ok().and_then(|n| sums.get(n)) == Some(&mark.head.sum);
        if !same {
            if wal::has_unread(log).map_err(|error| StoreError::Io { path: log.to_owned(), error })? {
                let why = format!(
                    "{} ends in something unreadable, and {} changes that were answered stand behind it",
                    log.display(),
                    mark.head.n.saturating_sub(self.head.n).max(1)
                );
                return Err(StoreError::Damaged { path: self.path.clone(), why });
            }
            kept.missing = mark.head.n.saturating_sub(self.head.n);
            kept.restored = true;
            return self.forget_actor(kept);
        }
        if mark.strict && self.head.n > mark.head.n {
            self.drop_refused(mark.head).map_err(|e| e.at(&self.path))?;
            kept.changes.truncate(usize::try_from(mark.head.n).unwrap_or(usize::MAX));
        }
        kept.restored = mark.file.is_some_and(|file| Some(file) != mark::identity(&self.path));
        self.forget_actor(kept)
    }

    /// In a restored store; kept before the mark is renewed, so that a second start knows it too.
    fn forget_actor(&mut self, kept: &mut Kept) -> Result<(), StoreError> {
        if kept.restored {
            kept.actor = None;
            let forget = self.db.execute("DELETE FROM meta WHERE key = ?1", [ACTOR]);
            forget.map_err(|e| Problem::from(e).at(&self.path))?;
        }
        Ok(())
    }

    /// Takes out what was refused when it was written, but reached the disk after all.
    fn drop_refused(&mut self, head: Head) -> Result<(), Problem> {
        let last = i64::try_from(head.n).map_err(|_| Problem::Damaged("numbers are out of range".into()))?;
        self.db.execute("DELETE FROM changes WHERE n > ?1", [last])?;
        self.head = head;
        Ok(())
    }

    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Head) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        if self.unsettled {
            self.settle()?;
        }
        match self.write(work) {
            Ok((head, done)) => {
                self.head = head;
                // The batch is on disk; without a mark only a later loss would be harder to see.
                let _ = self.mark.write(&self.note(false, false));
                Ok(done)
            }
            Err(error) => {
                self.unsettled = true;
                // Where even this fails, a restart may find the batch whole; the file system is read-only then.
                let _ = self.mark.write(&self.note(true, false));
                Err(error)
            }
        }
    }

    /// Overwrites what a refused batch has left in the log, and says so in the mark.
    fn settle(&mut self) -> Result<(), StoreError> {
        let count = self.head.n.to_be_bytes();
        self.write(|tx, _| {
            // Two writes, so that a page changes even where the value stays.
            tx.execute("DELETE FROM meta WHERE key = ?1", [SETTLED])?;
            put(tx, SETTLED, &count)
        })?;
        // On disk before anything follows: after a power cut the old mark would have that dropped as refused.
        self.mark.rewrite(&self.note(false, false), &self.path)?;
        self.unsettled = false;
        Ok(())
    }

    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Head) -> Result<T, rusqlite::Error>,
    ) -> Result<(Head, T), StoreError> {
        let fault = self.faults.as_ref().map_or(DiskFault::Ok, |f| *f.borrow());
        let mut head = self.head;
        let done = match fault {
            DiskFault::ReadOnly => Err("the disk is read-only (a fault of the lab)".to_owned()),
            DiskFault::Full | DiskFault::Ok => write_in(&mut self.db, &mut head, fault, work),
        };
        done.map(|done| (head, done)).map_err(|why| self.refused(&why))
    }

    fn refused(&self, why: &str) -> StoreError {
        StoreError::Refused { path: self.path.clone(), why: why.to_owned() }
    }
}

/// One transaction; a full disk (lab) lets it get as far as a real one does.
fn write_in<T>(
    db: &mut Connection,
    head: &mut Head,
    fault: DiskFault,
    work: impl FnOnce(&Transaction<'_>, &mut Head) -> Result<T, rusqlite::Error>,
) -> Result<T, String> {
    let all = || {
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let done = work(&tx, head)?;
        if fault == DiskFault::Full { tx.rollback().map(|()| None) } else { tx.commit().map(|()| Some(done)) }
    };
    match all() {
        Ok(Some(done)) => Ok(done),
        Ok(None) => Err("no space is left on the disk (a fault of the lab)".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// What a database holds.
struct Read {
    actor: Option<Vec<u8>>,
    cluster: Option<String>,
    changes: Vec<StoredChange>,
    /// After each number of changes, from none on.
    sums: Vec<[u8; 32]>,
    head: Head,
}

/// Why a database can't be used.
enum Problem {
    Sqlite(rusqlite::Error),
    Damaged(String),
    Newer(i64),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Problem {
    fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        let error = match self {
            Self::Damaged(why) => return StoreError::Damaged { path, why },
            Self::Newer(schema) => return StoreError::Newer { path, schema, known: SCHEMA },
            Self::Sqlite(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path },
            // What can't be converted has another type than we wrote; our statements are right, so an unknown form or a table that
            // is missing (code 1, "unknown") is damage too.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) | None => {
                StoreError::Damaged { path, why: error.to_string() }
            }
            Some(_) => StoreError::Io { path, error: io::Error::other(error.to_string()) },
        }
    }
}

/// Makes an empty file where there is none; refuses what SQLite would take for a new database.
fn prepare(path: &Path, log: &Path, mark: Option<&Mark>) -> Result<(), StoreError> {
    let io = |error| StoreError::Io { path: path.to_owned(), error };
    let damaged = |why: &str| Err(StoreError::Damaged { path: path.to_owned(), why: why.into() });
    let size = |path: &Path| fs::metadata(path).map(|m| m.len());
    let logged = size(log).is_ok_and(|n| n > 0);
    match size(path) {
        Ok(0) if logged => damaged("it is empty, but its log is not"),
        Ok(0) if mark.is_some_and(|m| m.head.n > 0) => damaged("it is empty, but was not"),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if logged {
                return damaged("it is missing, but its log is there");
            }
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
            let dir = path.parent().unwrap_or(path);
            fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, Problem> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(LOCK_WAIT)?;
        // Until all is checked, closing must not move the log into the database.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "trusted_schema", "OFF")?;
        db.pragma_update(None, "cell_size_check", "ON")?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let journal: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        match version {
            0 => create(&db)?,
            SCHEMA if journal != "wal" => return Err(Problem::Damaged("its header names no log".into())),
            SCHEMA => {}
            newer if newer > SCHEMA => return Err(Problem::Newer(newer)),
            _ => return Err(Problem::Damaged(format!("it has schema {version}"))),
        }
        db.pragma_update(None, "synchronous", "FULL")?;
        Ok(db)
    };
    open().map_err(|e| e.at(path))
}

fn create(db: &Connection) -> Result<(), Problem> {
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables != 0 {
        return Err(Problem::Damaged("it has tables, but no schema number".into()));
    }
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} COMMIT;"))?;
    Ok(())
}

/// All of it, checked.
fn read(db: &Connection) -> Result<Read, Problem> {
    let verdict: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Problem::Damaged(verdict));
    }
    let mut head = Head::default();
    let mut changes = Vec::new();
    let mut sums = vec![head.sum];
    let mut rows = db.prepare("SELECT n, hash, bytes, signer, signature, sum FROM changes ORDER BY n")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(0)?;
        let signer: String = row.get(3)?;
        let change = StoredChange {
            hash: row.get(1)?,
            bytes: row.get(2)?,
            signer: MemberId::new(&signer),
            signature: row.get(4)?,
        };
        let sum: [u8; 32] = row.get(5)?;
        head = head.after(&change);
        if i64::try_from(head.n).ok() != Some(n) || head.sum != sum {
            return Err(Problem::Damaged(format!("change {} is not what was written", head.n)));
        }
        changes.push(change);
        sums.push(sum);
    }
    let actor = get(db, ACTOR)?;
    let cluster = get(db, CLUSTER)?.map(String::from_utf8).transpose();
    let cluster = cluster.map_err(|_| Problem::Damaged("the cluster's id is no text".into()))?;
    Ok(Read { actor, cluster, changes, sums, head })
}

fn insert(tx: &Transaction<'_>, head: &mut Head, change: &StoredChange) -> Result<(), rusqlite::Error> {
    const INSERT: &str = "INSERT INTO changes (n, hash, bytes, signer, signature, sum)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (hash) DO NOTHING";
    let after = head.after(change);
    let n = i64::try_from(after.n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, i64::MAX))?;
    let row = params![n, change.hash, change.bytes, change.signer.as_str(), change.signature, after.sum];
    if tx.prepare_cached(INSERT)?.execute(row)? == 1 {
        *head = after;
    }
    Ok(())
}

fn put(tx: &Transaction<'_>, key: &str, value: &[u8]) -> Result<(), rusqlite::Error> {
    const PUT: &str = "INSERT INTO meta (key, value, sum) VALUES (?1, ?2, ?3)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, sum = excluded.sum
        WHERE value IS NOT excluded.value";
    tx.prepare_cached(PUT)?.execute(params![key, value, chain::meta(key, value)])?;
    Ok(())
}

fn get(db: &Connection, key: &str) -> Result<Option<Vec<u8>>, Problem> {
    let row = db.query_row("SELECT value, sum FROM meta WHERE key = ?1", [key], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, [u8; 32]>(1)?))
    });
    match row.optional()? {
        Some((value, sum)) if chain::meta(key, &value) == sum => Ok(Some(value)),
        Some(_) => Err(Problem::Damaged(format!("\"{key}\" is not what was written"))),
        None => Ok(None),
    }
}

/// A row about the change `hash`; `n` makes it another one each time.
fn stone(what: &[u8], hash: &[u8; 32], n: u64) -> StoredChange {
    StoredChange {
        hash: chain::digest(&[what, hash, &n.to_be_bytes()]),
        bytes: hash.to_vec(),
        signer: MemberId::new(""),
        signature: what.to_vec(),
    }
}

/// Takes the stones out, and what they say is forgotten; tells that.
fn take_out_forgotten(changes: &mut Vec<StoredChange>) -> BTreeSet<[u8; 32]> {
    let mut forgotten = BTreeSet::new();
    changes.retain(|c| {
        // No member's id is empty, and no signature so short.
        let Ok(hash) = <[u8; 32]>::try_from(c.bytes.as_slice()) else { return true };
        match c.signature.as_slice() {
            _ if !c.signer.as_str().is_empty() => true,
            FORGET => {
                forgotten.insert(hash);
                false
            }
            RECALL => {
                forgotten.remove(&hash);
                false
            }
            _ => true,
        }
    });
    changes.retain(|c| !forgotten.contains(&c.hash));
    forgotten
}
