//! Registers as they stand in the document: one JSON text per version, and the message of a change.

use automerge::ExpandedChange;
use automerge::legacy::{Key as LegacyKey, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, ScalarValue};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::domain::ids::MemberId;
use crate::domain::settings::{Content, Key, Stamp, Version, VersionId};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::settings::{from_json, to_json};

/// The key that only the first change writes.
pub(super) const CLUSTER_ID: &str = "cluster/id";

/// Largest text of one version, in bytes.
pub(super) const VERSION_BYTES_MAX: usize = 4 << 20;

#[derive(Serialize, Deserialize)]
struct Stored {
    /// Absent: it inherits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<Json>,
    /// Milliseconds and count.
    t: (u64, u32),
    /// Membership that wrote it.
    on: String,
    /// User.
    by: String,
}

/// What a change's message says.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct Message {
    /// The author's comment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub c: String,
    /// It touches structure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub s: bool,
}

impl Message {
    pub(super) fn read(text: Option<&str>) -> Option<Self> {
        serde_json::from_str(text.unwrap_or("{}")).ok()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The text of a version.
pub(super) fn write(content: &Content, stamp: &Stamp, by: &Line) -> Result<String, String> {
    let v = content.value().map(|v| to_json(v));
    let stored = Stored { v, t: (stamp.at.as_millis(), stamp.count), on: stamp.on.to_string(), by: by.to_string() };
    let text = serde_json::to_string(&stored).map_err(|e| e.to_string())?;
    if text.len() > VERSION_BYTES_MAX {
        return Err(format!("a value of {} bytes, {VERSION_BYTES_MAX} are taken", text.len()));
    }
    Ok(text)
}

/// A version from its text.
pub(super) fn read(id: VersionId, text: &str) -> Result<Version, String> {
    if text.len() > VERSION_BYTES_MAX {
        return Err(format!("a value of {} bytes, {VERSION_BYTES_MAX} are taken", text.len()));
    }
    let stored: Stored = serde_json::from_str(text).map_err(|e| format!("not a version: {e}"))?;
    let content = match &stored.v {
        None => Content::Inherits,
        Some(json) => Content::Value(from_json(json).map_err(|e| e.to_string())?.into()),
    };
    let (at, count) = stored.t;
    let on = MemberId::new(&stored.on);
    if on.as_str() != stored.on {
        return Err("the name of its machine is not clean".into());
    }
    let stamp = Stamp { at: Time::from_millis(at), count, on };
    Ok(Version { id, content, stamp, by: Line::new(&stored.by) })
}

/// The name of the version that this operation wrote.
pub(super) fn version_id(counter: u64, actor: &[u8]) -> VersionId {
    VersionId::new(&format!("{counter}@{}", HEXLOWER.encode(actor)))
}

/// One write of a change: all that a change of ours may consist of.
pub(super) struct Write {
    /// Text of the key.
    pub key: String,
    /// Text of the version.
    pub text: String,
    /// Names the version.
    pub counter: u64,
    /// The versions that it supersedes.
    pub over: Vec<(u64, Vec<u8>)>,
}

/// The writes of a change.
///
/// # Errors
/// A sentence when it does anything but write texts to keys of the root map.
pub(super) fn writes(change: ExpandedChange) -> Result<Vec<Write>, String> {
    let start = change.start_op.get();
    (start..).zip(change.operations).map(|(counter, op)| one(counter, op)).collect()
}

fn one(counter: u64, op: Op) -> Result<Write, String> {
    let Op { action: OpType::Put(ScalarValue::Str(text)), obj: ObjectId::Root, key: LegacyKey::Map(key), pred, insert } =
        op
    else {
        return Err("it does something else than writing registers".into());
    };
    if insert {
        return Err("it inserts into something".into());
    }
    let over = pred.iter().map(|OpId(counter, actor): &OpId| (*counter, ActorId::to_bytes(actor).to_vec())).collect();
    Ok(Write { key: key.to_string(), text: text.to_string(), counter, over })
}

/// The register that a key of the document names; `None` for that of the cluster's id.
pub(super) fn key(text: &str) -> Result<Option<Key>, String> {
    if text == CLUSTER_ID {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("no register is called \"{}\"", Line::new(text)))
}
