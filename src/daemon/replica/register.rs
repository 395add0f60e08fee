//! Registers as they stand in the document: one JSON text per version, and the message of a change.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use automerge::ExpandedChange;
use automerge::legacy::{Key as LegacyKey, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, ScalarValue};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::domain::ids::{FeatureName, MemberId};
use crate::domain::settings::{Content, Key, ModeId, Stamp, Version, VersionId};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::settings::{Parsed, to_json};

/// The key that only the first change writes.
pub(super) const CLUSTER_ID: &str = "cluster/id";

/// Largest text of one version, in bytes.
pub(super) const VERSION_BYTES_MAX: usize = 4 << 20;

#[derive(Serialize)]
struct Stored {
    /// Absent: it inherits.
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<Json>,
    /// Milliseconds and count.
    t: (u64, u32),
    /// Membership that wrote it.
    on: String,
    /// User.
    by: String,
}

/// As [`Stored`].
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(default)]
    v: Option<Parsed>,
    t: (u64, u32),
    #[serde(borrow)]
    on: Cow<'a, str>,
    #[serde(borrow)]
    by: Cow<'a, str>,
}

/// Keeps names that many versions share once, and spares cleaning them each time.
#[derive(Default)]
pub(super) struct Names {
    on: Option<MemberId>,
    by: Option<Line>,
    /// The text of the mode of the last key.
    mode: Option<(String, ModeId)>,
    features: HashMap<String, FeatureName>,
    id: String,
}

impl Names {
    /// As [`key`].
    pub(super) fn key(&mut self, text: &str) -> Result<Option<Key>, String> {
        let parts = text.rsplit_once('/');
        if let (Some((prefix, name)), Some((last, mode))) = (parts, &self.mode)
            && prefix == last
            && let Some(feature) = self.features.get(name)
        {
            return Ok(Some(Key::Feature(mode.clone(), feature.clone())));
        }
        let mut key = key(text)?;
        if let (Some((prefix, name)), Some(Key::Feature(mode, feature))) = (parts, &mut key) {
            self.mode = Some((prefix.to_owned(), mode.clone()));
            *feature = self.features.entry(name.to_owned()).or_insert_with(|| feature.clone()).clone();
        }
        Ok(key)
    }

    /// As [`version_id`]; `actor` in hex.
    pub(super) fn version_id(&mut self, counter: u64, actor: &str) -> VersionId {
        self.id.clear();
        // Writing to a text does not fail.
        let _ = write!(self.id, "{counter}@{actor}");
        VersionId::new(&self.id)
    }

    /// As [`read`].
    pub(super) fn read(&mut self, id: VersionId, text: &str) -> Result<Version, String> {
        if text.len() > VERSION_BYTES_MAX {
            return Err(format!("a value of {} bytes, {VERSION_BYTES_MAX} are taken", text.len()));
        }
        let read: Read<'_> = serde_json::from_str(text).map_err(|e| format!("not a version: {e}"))?;
        let content = read.v.map_or(Content::Inherits, |v| Content::Value(v.0.into()));
        let on = match self.on.take().filter(|on| on.as_str() == read.on) {
            Some(on) => on,
            None => MemberId::new(&read.on),
        };
        if on.as_str() != read.on {
            return Err("the name of its machine is not clean".into());
        }
        let by = match self.by.take().filter(|by| by.as_str() == read.by) {
            Some(by) => by,
            None => Line::new(&read.by),
        };
        (self.on, self.by) = (Some(on.clone()), Some(by.clone()));
        let stamp = Stamp { at: Time::from_millis(read.t.0), count: read.t.1, on };
        Ok(Version { id, content, stamp, by })
    }
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
    Names::default().read(id, text)
}

/// The name of the version that this operation wrote.
pub(super) fn version_id(counter: u64, actor: &[u8]) -> VersionId {
    VersionId::new(&format!("{counter}@{}", actor_text(actor)))
}

/// An actor, as in the names of its versions.
pub(super) fn actor_text(actor: &[u8]) -> String {
    HEXLOWER.encode(actor)
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
