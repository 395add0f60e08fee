//! What can be looked at: a ring, a recording, or a bundle.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::RecordError;
use super::block::unpack;
use super::bundle::{Bundle, MAGIC};
use super::tables::{database_of, open_to_read, store_error};
use crate::domain::finding::Severity;
use crate::domain::past::Mark;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Most bytes that one tree may unpack to.
const TREE_MAX: u64 = 256 * 1024 * 1024;

/// Most packed bytes of one block.
const BLOCK_MAX: usize = 256 * 1024 * 1024;

/// Most blocks that are looked at.
const BLOCKS_MAX: i64 = 200_000;

/// The newest marks that are told.
const MARKS_MAX: i64 = 20_000;

/// A block, by its place in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Names it; rises.
    pub id: i64,
    /// Its first frame.
    pub began: Time,
    /// Its last.
    pub ended: Time,
    /// How many it has.
    pub frames: u64,
}

/// What kind of thing was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A ring that may still grow, or a recording.
    Recording,
    /// A signed incident file.
    Bundle,
}

/// Somewhere where blocks are kept.
pub enum Source {
    /// In SQLite.
    Database {
        /// Read only.
        db: Connection,
        /// Which.
        path: PathBuf,
    },
    /// In a bundle that was verified as a whole.
    Bundle(Box<Bundle>),
}

impl Source {
    /// Opens the folder of a ring, a recording or a bundle; the latter is verified before anything of it is believed.
    ///
    /// # Errors
    /// When it is none of them, or anything is wrong with it.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let file = database_of(path);
        if path.is_dir() && !file.exists() {
            return Err(RecordError::nothing(path, "nothing is recorded there"));
        }
        let mut head = [0; 16];
        let mut reader = File::open(&file).map_err(|e| RecordError::io(&file, e))?;
        let n = reader.read(&mut head).map_err(|e| RecordError::io(&file, e))?;
        if MAGIC.as_bytes().starts_with(&head[..n]) && n > 0 {
            return Ok(Self::Bundle(Box::new(Bundle::open(&file)?)));
        }
        if head[..n] != *b"SQLite format 3\0" {
            return Err(RecordError::refused(&file, "it is neither a recording nor a bundle of peerdeck"));
        }
        Ok(Self::Database { db: open_to_read(&file)?, path: file })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Database { .. } => Kind::Recording,
            Self::Bundle(_) => Kind::Bundle,
        }
    }

    /// The bundle, if it is one.
    #[must_use]
    pub fn bundle(&self) -> Option<&Bundle> {
        match self {
            Self::Database { .. } => None,
            Self::Bundle(bundle) => Some(bundle),
        }
    }

    /// Which file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Database { path, .. } => path,
            Self::Bundle(bundle) => bundle.path(),
        }
    }

    /// All blocks, in the order in which they were written.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn blocks(&self) -> Result<Vec<Block>, RecordError> {
        match self {
            Self::Bundle(bundle) => Ok(bundle.blocks()),
            Self::Database { db, path } => {
                let error = store_error(path);
                let sql = "SELECT id, began, ended, frames FROM blocks ORDER BY id LIMIT ?";
                let mut query = db.prepare_cached(sql).map_err(&error)?;
                let block = |r: &rusqlite::Row<'_>| {
                    let (began, ended) = (time(r.get(1)?), time(r.get(2)?));
                    Ok(Block { id: r.get(0)?, began, ended, frames: r.get::<_, i64>(3)?.max(0).cast_unsigned() })
                };
                let rows = query.query_map([BLOCKS_MAX], block).map_err(&error)?;
                rows.collect::<Result<_, _>>().map_err(&error)
            }
        }
    }

    /// The packed frames of a block.
    ///
    /// # Errors
    /// When it is gone or can't be read.
    pub fn load(&mut self, id: i64) -> Result<Vec<u8>, RecordError> {
        match self {
            Self::Bundle(bundle) => bundle.load(id),
            Self::Database { db, path } => {
                let error = store_error(path);
                let sql = "SELECT data FROM chunks WHERE block = ? ORDER BY id";
                let mut query = db.prepare_cached(sql).map_err(&error)?;
                let mut rows = query.query([id]).map_err(&error)?;
                let mut all = Vec::new();
                while let Some(row) = rows.next().map_err(&error)? {
                    let data = row.get_ref(0).map_err(&error)?.as_blob().map_err(|e| error(e.into()))?;
                    if all.len() + data.len() > BLOCK_MAX {
                        return Err(RecordError::refused(path, "one of its blocks is too large"));
                    }
                    all.extend_from_slice(data);
                }
                if all.is_empty() {
                    return Err(RecordError::nothing(path, "that time is no longer kept"));
                }
                Ok(all)
            }
        }
    }

    /// A tree, packed.
    ///
    /// # Errors
    /// When it is not there.
    pub fn packed_tree(&mut self, digest: &str) -> Result<Vec<u8>, RecordError> {
        match self {
            Self::Bundle(bundle) => bundle.tree(digest),
            Self::Database { db, path } => {
                let sql = "SELECT data FROM blobs WHERE digest = ?";
                let data: Option<Vec<u8>> =
                    db.query_row(sql, [digest], |r| r.get(0)).optional().map_err(store_error(path))?;
                data.ok_or_else(|| RecordError::refused(path, "settings that a picture names are missing"))
            }
        }
    }

    /// A tree.
    ///
    /// # Errors
    /// When it is not there, or is not what its name says.
    pub fn tree(&mut self, digest: &str) -> Result<Vec<u8>, RecordError> {
        let packed = self.packed_tree(digest)?;
        let bytes = unpack(&packed, TREE_MAX).map_err(|e| RecordError::refused(self.path(), e))?;
        if super::sum(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(RecordError::refused(self.path(), "settings that a picture names are damaged"))
        }
    }

    /// The trees that a block begins with.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn trees_of(&self, block: i64) -> Result<Vec<String>, RecordError> {
        match self {
            Self::Bundle(bundle) => Ok(bundle.trees()),
            Self::Database { db, path } => {
                let error = store_error(path);
                let mut query =
                    db.prepare_cached("SELECT digest FROM uses WHERE block = ? ORDER BY digest").map_err(&error)?;
                let rows = query.query_map([block], |r| r.get(0)).map_err(&error)?;
                rows.collect::<Result<_, _>>().map_err(&error)
            }
        }
    }

    /// The number of the newest mark: where it is the same, the marks are.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn newest_mark(&self) -> Result<i64, RecordError> {
        match self {
            Self::Bundle(_) => Ok(0),
            Self::Database { db, path } => {
                let newest = db.query_row("SELECT max(id) FROM marks", [], |r| r.get::<_, Option<i64>>(0));
                newest.map(Option::unwrap_or_default).map_err(store_error(path))
            }
        }
    }

    /// Findings that came and went, oldest first; of too many the newest.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn marks(&self) -> Result<Vec<Mark>, RecordError> {
        match self {
            Self::Bundle(bundle) => Ok(bundle.marks().to_vec()),
            Self::Database { db, path } => {
                let error = store_error(path);
                let sql = "SELECT at, severity, raised, text FROM marks ORDER BY id DESC LIMIT ?";
                let mut query = db.prepare_cached(sql).map_err(&error)?;
                let mark = |r: &rusqlite::Row<'_>| {
                    let (severity, text): (String, String) = (r.get(1)?, r.get(3)?);
                    let severity = severity.parse().unwrap_or(Severity::Warning);
                    Ok(Mark { at: time(r.get(0)?), severity, raised: r.get(2)?, text: Line::new(&text) })
                };
                let rows = query.query_map(params![MARKS_MAX], mark).map_err(&error)?;
                let mut marks: Vec<Mark> = rows.collect::<Result<_, _>>().map_err(&error)?;
                marks.reverse();
                marks.sort_by_key(|m| m.at); // Stable: those of one moment stay as they were.
                Ok(marks)
            }
        }
    }

    /// As long as `true` was the last word, a ring stays as it is for this reader.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn hold(&self, hold: bool) -> Result<(), RecordError> {
        match self {
            Self::Bundle(_) => Ok(()),
            Self::Database { db, path } => {
                db.execute_batch(if hold { "BEGIN" } else { "COMMIT" }).map_err(store_error(path))
            }
        }
    }
}

fn time(ms: i64) -> Time {
    Time::from_millis(ms.max(0).cast_unsigned())
}
