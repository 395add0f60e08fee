//! Opening the file: what is taken, what is refused, and in which words.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Says whose file it is: "pdwa".
const APPLICATION: i64 = 0x7064_7761;

/// Of the tables below; rises when they change.
const SCHEMA: i64 = 1;

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE kept (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
    CREATE TABLE silences (id INTEGER PRIMARY KEY AUTOINCREMENT, until INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
    CREATE TABLE orders (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        finding TEXT NOT NULL UNIQUE,
        at INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE notices (seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
    CREATE TABLE outbox (sink TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (sink, seq)) STRICT, WITHOUT ROWID;
    CREATE INDEX outbox_seq ON outbox (seq);
    CREATE TABLE told (sink TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (sink, id)) STRICT, WITHOUT ROWID;
    CREATE TABLE sinks (
        name TEXT PRIMARY KEY,
        waiting INTEGER NOT NULL DEFAULT 0,
        delivered INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0,
        dropped INTEGER NOT NULL DEFAULT 0,
        by_fellow INTEGER NOT NULL DEFAULT 0,
        succeeded INTEGER,
        error TEXT
    ) STRICT;
";

/// Why the state of the watch can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refuses.
    #[error("the state of the watch, {}, can't be {tried}: {why}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was tried, as in "can't be read".
        tried: &'static str,
        /// What the system said, and what helps.
        why: String,
    },
    /// Somebody else could have written it.
    #[error("the state of the watch, {}, is not used: {why}", path.display())]
    Unsafe {
        /// The file or its folder.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// It is something else.
    #[error(
        "{} is no state of a watch: {why}. It is left as it is; name another file (--state, or \"state\" in [watch])",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        why: String,
    },
    /// What stands in it can't be right.
    #[error(
        "the state of the watch, {}, is damaged: {why}. It is left as it is; move it away to begin anew: alerts that \
         are raised now are told again then, and silences are lost",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        why: String,
    },
    /// From a version that this one can't read.
    #[error("the state of the watch, {}, is of version {version}; this peerdeck reads {SCHEMA}: use the newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// Another watch has it.
    #[error(
        "another watch{by} uses the state {}: end it first, or name another file (--state, or \"state\" in [watch])",
        path.display()
    )]
    Taken {
        /// The file.
        path: PathBuf,
        /// Which process, if it said so.
        by: String,
    },
    /// No more silences fit.
    #[error("1000 silences hold in {} already: end some (peerdeck silence list)", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    pub(super) fn sqlite(path: &Path, tried: &'static str, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign { path, why: "it is not an SQLite file".into() },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, why: error.to_string() },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let why = format!("another process has been writing it for more than {} s", BUSY.as_secs());
                Self::Refused { path, tried, why }
            }
            Some(ErrorCode::DiskFull) => Self::Refused { path, tried, why: "the disk is full: make room".into() },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                let why = format!("{error}: the file and its folder must be writable for this user");
                Self::Refused { path, tried, why }
            }
            Some(_) | None => Self::Refused { path, tried, why: error.to_string() },
        }
    }

    fn io(path: &Path, tried: &'static str, error: &io::Error) -> Self {
        Self::Refused { path: path.to_owned(), tried, why: error.to_string() }
    }
}

/// A file beside `path`.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Whether there is such a file.
pub(super) fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(StoreError::io(path, "looked at", &e)),
    }
}

/// Makes folder and empty file where there are none.
pub(super) fn make(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| StoreError::io(folder, "made", &e))?;
    if is_there(path)? {
        return Ok(());
    }
    if is_there(&beside(path, "-wal"))? {
        let why = "the file is missing, but its log is there".into();
        return Err(StoreError::Damaged { path: path.to_owned(), why });
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {
            let synced = File::open(folder).and_then(|d| d.sync_all());
            synced.map_err(|e| StoreError::io(folder, "written", &e))
        }
        // Another process was faster.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(StoreError::io(path, "made", &e)),
    }
}

/// Refuses what somebody else could have written.
fn check_owner(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let me = rustix::process::geteuid().as_raw();
    for (at, is_file) in [(folder, false), (path, true)] {
        let meta = fs::metadata(at).map_err(|e| StoreError::io(at, "looked at", &e))?;
        let refuse = |why: String| Err(StoreError::Unsafe { path: at.to_owned(), why });
        if is_file && !meta.is_file() {
            return refuse("it is not a file".into());
        }
        if meta.uid() != me && meta.uid() != 0 {
            return refuse(format!("it belongs to user {}, and must belong to you or to root", meta.uid()));
        }
        // In a folder like /tmp nobody takes another's file away.
        let is_shared = !is_file && meta.mode() & 0o1000 != 0;
        if meta.mode() & 0o022 != 0 && !is_shared {
            let mode = meta.mode() & 0o777;
            return refuse(format!("others may write it (mode {mode:o}): chmod go-w {}", at.display()));
        }
    }
    Ok(())
}

/// Opens what is there, checks it, and makes the tables in a file that is empty.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    check_owner(path)?;
    let sqlite = |e: rusqlite::Error| StoreError::sqlite(path, "opened", &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    db.busy_timeout(BUSY).map_err(sqlite)?;
    // Before anything is written: not a byte of a foreign file changes.
    let ours = |db: &Connection| -> rusqlite::Result<(i64, i64, i64)> {
        let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let tables = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    let whose = |(application, version, tables): (i64, i64, i64)| match (application, version) {
        (0, 0) if tables == 0 => Ok(false),
        (APPLICATION, SCHEMA) => Ok(true),
        (APPLICATION, newer) => Err(StoreError::Newer { path: path.to_owned(), version: newer }),
        _ => Err(StoreError::Foreign { path: path.to_owned(), why: "it is another program's SQLite file".into() }),
    };
    let setup = |db: &Connection| {
        db.pragma_update(None, "trusted_schema", "OFF")?;
        db.pragma_update(None, "cell_size_check", "ON")
    };
    setup(&db).map_err(sqlite)?;
    if !whose(ours(&db).map_err(sqlite)?)? {
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(sqlite)?;
        db.execute_batch("BEGIN IMMEDIATE").map_err(sqlite)?;
        // Another process may have been faster.
        if !whose(ours(&db).map_err(sqlite)?)? {
            create(&db).map_err(sqlite)?;
        }
        db.execute_batch("COMMIT").map_err(sqlite)?;
    }
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
    if verdict != "ok" {
        return Err(StoreError::Damaged { path: path.to_owned(), why: verdict });
    }
    Ok(db)
}

fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(TABLES)?;
    db.pragma_update(None, "application_id", APPLICATION)?;
    db.pragma_update(None, "user_version", SCHEMA)?;
    let watcher = format!("{:012x}", rand::random::<u64>() >> 16);
    db.execute("INSERT INTO meta (key, value) VALUES ('watcher', ?1)", [watcher]).map(drop)
}

/// That one watch has the file.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        make(path)?;
        let at = beside(path, ".lock");
        let io = |tried: &'static str| move |e: io::Error| StoreError::io(path, tried, &e);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&at);
        let mut file = open.map_err(io("locked"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut said = String::new();
                let _ = (&mut file).take(20).read_to_string(&mut said); // Only to name it.
                let pid = said.trim();
                let is_pid = !pid.is_empty() && pid.chars().all(|c| c.is_ascii_digit());
                let by = if is_pid { format!(" (process {pid})") } else { String::new() };
                return Err(StoreError::Taken { path: path.to_owned(), by });
            }
            Err(TryLockError::Error(e)) => return Err(io("locked")(e)),
        }
        let mut note = || {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())
        };
        note().map_err(io("locked"))?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would do as well.
        let _ = self.0.unlock();
    }
}
