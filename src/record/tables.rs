//! The SQLite form of rings and recordings: the tables, and opening them without believing them.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::RecordError;

/// The file in a ring's folder.
pub const RING: &str = "ring.db";

/// Of the tables below; rises when they change.
const SCHEMA: i64 = 1;

/// Says that a database is a recording of ours.
const APPLICATION: i64 = 0x7065_6572;

/// How long another process may hold the database for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// Each of them stands in the database as it stands here.
const TABLES: [&str; 6] = [
    "CREATE TABLE blocks (id INTEGER PRIMARY KEY, began INTEGER NOT NULL, ended INTEGER NOT NULL, frames INTEGER NOT NULL) STRICT",
    "CREATE TABLE chunks (id INTEGER PRIMARY KEY, block INTEGER NOT NULL, data BLOB NOT NULL) STRICT",
    "CREATE INDEX chunks_of ON chunks (block)",
    "CREATE TABLE blobs (digest TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT",
    "CREATE TABLE uses (block INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (block, digest)) STRICT",
    "CREATE TABLE marks (id INTEGER PRIMARY KEY, block INTEGER NOT NULL, at INTEGER NOT NULL, severity TEXT NOT NULL, raised INTEGER NOT NULL, text TEXT NOT NULL) STRICT",
];

/// What SQLite says, about this file.
pub fn store_error(path: &Path) -> impl Fn(rusqlite::Error) -> RecordError + '_ {
    |error| RecordError::Store { path: path.to_owned(), why: crate::domain::text::clean(&error.to_string(), 200) }
}

/// Makes a folder that is nobody else's, and refuses one that others may read.
pub fn own_folder(folder: &Path) -> Result<(), RecordError> {
    let io = |e| RecordError::io(folder, e);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    let mode = fs::metadata(folder).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        let why = format!("other users may read it (mode {:03o}): run `chmod 700` on it", mode & 0o777);
        return Err(RecordError::refused(folder, why));
    }
    Ok(())
}

/// Opens a database to write in; makes it where there is none, 0600.
pub fn open_to_write(path: &Path, wal_pages: u32) -> Result<Connection, RecordError> {
    let error = store_error(path);
    if !path.exists() {
        let options = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        options.map_err(|e| RecordError::io(path, e))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(&error)?;
    db.busy_timeout(PATIENCE).map_err(&error)?;
    let fresh: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(&error)?;
    if fresh == 0 {
        db.execute_batch(&format!("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = {APPLICATION};"))
            .map_err(&error)?;
    }
    // Not synced with each commit: what a power cut may take is the last moments, never the whole.
    db.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = {wal_pages};
         PRAGMA journal_size_limit = {}; PRAGMA cache_size = -1024;",
        u64::from(wal_pages) * 4096
    ))
    .map_err(&error)?;
    if fresh == 0 {
        let tables = TABLES.join(";\n");
        db.execute_batch(&format!("BEGIN;\n{tables};\nPRAGMA user_version = {SCHEMA};\nCOMMIT;")).map_err(&error)?;
    }
    check(&db, path)?;
    Ok(db)
}

/// Opens a database to read in.
pub fn open_to_read(path: &Path) -> Result<Connection, RecordError> {
    let error = store_error(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(&error)?;
    db.busy_timeout(PATIENCE).map_err(&error)?;
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -1024;")
        .map_err(&error)?;
    check(&db, path)?;
    Ok(db)
}

/// Whether the tables are ours and nothing else is there: a view or a trigger of somebody else's is never run.
fn check(db: &Connection, path: &Path) -> Result<(), RecordError> {
    let error = store_error(path);
    let number = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0));
    let (application, schema) = (number("application_id").map_err(&error)?, number("user_version").map_err(&error)?);
    if application != APPLICATION {
        return Err(RecordError::refused(path, "it is no recording of peerdeck"));
    }
    if schema != SCHEMA {
        let why = format!("it is of another version of peerdeck (form {schema}, this one knows {SCHEMA})");
        return Err(RecordError::refused(path, why));
    }
    let mut query = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL LIMIT 20").map_err(&error)?;
    let found: Vec<String> =
        query.query_map([], |r| r.get(0)).map_err(&error)?.collect::<Result<_, _>>().map_err(&error)?;
    if found.len() != TABLES.len() || !TABLES.iter().all(|t| found.iter().any(|f| f == t)) {
        return Err(RecordError::refused(path, "its tables are not those of a recording"));
    }
    Ok(())
}

/// The database of a path: the ring's in a folder, else the file itself.
pub fn database_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(RING) } else { path.to_owned() }
}
