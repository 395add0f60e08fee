//! What goes over the wire and into recordings: serde types only, versioned and tolerant.
//!
//! Every message carries `v`; unknown fields are ignored, missing ones have defaults, unknown words of an
//! enumeration become its "unlisted" form, so that mixed versions and old recordings keep working.
//! Whatever comes from a peer is cleaned and bounded here, on its way into [`crate::domain`].

/// How the wire works, for readers and for other clients.
#[doc = include_str!("../docs/protocol.md")]
pub mod guide {}

pub mod alert;
pub mod beat;
pub mod features;
pub mod finding;
pub mod frame;
pub mod ha;
pub mod ha_ages;
pub mod membership;
pub mod observe;
pub mod probe;
pub mod record;
pub mod rpc;
pub mod settings;

use std::time::Duration;

use crate::domain::time::{Time, millis};

/// Version of the forms in this module.
pub const VERSION: u32 = 1;

/// The oldest version that is still understood.
pub const VERSION_OLDEST: u32 = 1;

/// Longest JSON document, in bytes, that is read from anybody: whole rows of all members fit.
pub const DOCUMENT_MAX: usize = 4 * 1024 * 1024;

/// Most objects and lists in one document: a few bytes on the wire may each become hundreds in memory.
pub const PARTS_MAX: usize = 65_536;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// Not JSON, or not of this form.
    #[error("not a message of this protocol: {0}")]
    Malformed(String),
    /// From a version that this one can't read.
    #[error("protocol version {0} is not understood here (this peerdeck reads {VERSION_OLDEST} to {VERSION})")]
    TooNew(u32),
    /// Over a limit.
    #[error("over the limit: {0}")]
    TooLarge(String),
}

/// Refuses versions that can't be read.
///
/// # Errors
/// [`ProtoError::TooNew`], for versions older than [`VERSION_OLDEST`] too.
pub fn check_version(v: u32) -> Result<(), ProtoError> {
    if (VERSION_OLDEST..=VERSION).contains(&v) { Ok(()) } else { Err(ProtoError::TooNew(v)) }
}

/// Reads one JSON document of at most [`DOCUMENT_MAX`] bytes and [`PARTS_MAX`] objects and lists.
///
/// # Errors
/// [`ProtoError::TooLarge`] and [`ProtoError::Malformed`]; the latter names line and column, never the text itself.
pub fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ProtoError> {
    if bytes.len() > DOCUMENT_MAX {
        return Err(ProtoError::TooLarge(format!("a document of {} bytes, {DOCUMENT_MAX} are read", bytes.len())));
    }
    // Those within texts count too; honest texts have few.
    let parts = bytes.iter().filter(|b| matches!(b, b'{' | b'[')).count();
    if parts > PARTS_MAX {
        return Err(ProtoError::TooLarge(format!("a document of {parts} parts, {PARTS_MAX} are read")));
    }
    serde_json::from_slice(bytes).map_err(|e| ProtoError::Malformed(crate::domain::text::clean(&e.to_string(), 160)))
}

/// One JSON document, without a line end.
#[must_use]
pub fn write<T: serde::Serialize>(message: &T) -> Vec<u8> {
    // Our own types have string keys only and no failing Serialize.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Translates a sender's times into ours: what counts is how old a stamp was when it was sent.
#[derive(Clone, Copy, Debug)]
pub struct ClockMap {
    /// The sender's clock in the message, in milliseconds.
    pub there: u64,
    /// Our clock when it came.
    pub here: Time,
}

impl ClockMap {
    /// `stamp` on our clock. Stamps far in the future are cut to a day ahead.
    #[must_use]
    pub fn time(&self, stamp: u64) -> Time {
        if stamp <= self.there {
            self.here.before(Duration::from_millis(self.there - stamp))
        } else {
            self.here + Duration::from_millis((stamp - self.there).min(86_400_000))
        }
    }
}

/// Microseconds on the wire.
#[must_use]
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds on the wire.
#[must_use]
pub fn ms(span: Duration) -> u64 {
    millis(span)
}
