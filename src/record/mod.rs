//! The picture over time, on disk: the ring that the console looks back into, recordings, and signed incident files
//! (B6).
//!
//! What is kept is what was *shown*: the recorder is a face of the snapshot like any other. It writes key frames and
//! what differs from frame to frame ([`encode`]); reading them back ([`decode`]) gives snapshots that draw the same.
//! Frames stand in blocks ([`block`]) that are understood each by itself, so that looking at any moment costs one block.

pub mod block;
pub mod bundle;
pub mod decode;
pub mod encode;
pub mod mask;
pub mod reader;
pub mod recorder;
pub mod ring;
mod signer;
mod source;
mod tables;

pub use reader::Reader;
pub use recorder::{Feeder, Recorder, State, Target};
pub use ring::Bounds;
pub use signer::Signer;
pub use source::{Kind, Source};

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::text::clean;

/// Why something could not be recorded or looked at.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system refused.
    #[error("{path}: {error}; check that it exists, is yours and that the disk has room")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// SQLite refused.
    #[error("{path}: {why}; check room and health of the disk")]
    Store {
        /// Which file.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// It is something else, or damaged.
    #[error("{path} is refused: {why}")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process records there.
    #[error("{path} is being written by another process")]
    InUse {
        /// Which folder.
        path: PathBuf,
    },
    /// There is nothing to be looked at.
    #[error("{path}: {why}")]
    Nothing {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
}

impl RecordError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }

    fn refused(path: &Path, why: impl AsRef<str>) -> Self {
        Self::Refused { path: path.to_owned(), why: clean(why.as_ref(), 300) }
    }

    fn nothing(path: &Path, why: impl Into<String>) -> Self {
        Self::Nothing { path: path.to_owned(), why: why.into() }
    }
}

/// Letters of a sum: `9f86d0...`.
fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// The SHA-256 of `bytes`, in letters.
fn sum(bytes: &[u8]) -> String {
    hex(::ring::digest::digest(&::ring::digest::SHA256, bytes).as_ref())
}
