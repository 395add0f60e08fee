//! Settings over the wire: values as JSON, registers, edits, and what a peer holds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value as Json};

use super::ProtoError;
use crate::domain::ids::{FeatureName, GroupId, GroupName, HostName, MemberId};
use crate::domain::observation::TreePart;
use crate::domain::settings::{
    CommitId, Content, DEPTH_MAX, EDITS_MAX, Edit, EditKind, Entry, Holding, Key, ModeId, Past, Seen, Stamp, Value,
    Version, VersionId,
};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Most registers of one page of a tree.
pub const PAGE_MAX: usize = 2_000;

/// Most concurrent versions of one register that are read.
pub const VERSIONS_MAX: usize = 256;

const NULL: &str = "null is no value: write `{}`, `[]` or `\"\"` for empty, or take the setting back";

/// A value as JSON.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(n) => Json::Number((*n).into()),
        Value::Float(n) => Number::from_f64(*n).map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Table(fields) => Json::Object(fields.iter().map(|(k, v)| (k.to_string(), to_json(v))).collect()),
    }
}

/// A value from JSON.
///
/// # Errors
/// [`ProtoError::Malformed`] for null, for numbers that no field can hold, and for too deep nesting.
pub fn from_json(json: &Json) -> Result<Value, ProtoError> {
    at_depth(json, DEPTH_MAX)
}

fn at_depth(json: &Json, left: usize) -> Result<Value, ProtoError> {
    let wrong = |why: &str| Err(ProtoError::Malformed(why.into()));
    if left == 0 {
        return wrong("a value that is nested too deeply");
    }
    Ok(match json {
        Json::Null => return wrong(NULL),
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(f)) if n.is_f64() && f.is_finite() => Value::Float(f),
            (None, _) => return wrong("a number that is too large"),
        },
        Json::String(text) => Value::Text(text.as_str().into()),
        Json::Array(items) => Value::List(items.iter().map(|i| at_depth(i, left - 1)).collect::<Result<_, _>>()?),
        Json::Object(fields) => {
            let field = |(k, v): (&String, &Json)| Ok((k.as_str().into(), at_depth(v, left - 1)?));
            Value::Table(fields.iter().map(field).collect::<Result<_, ProtoError>>()?)
        }
    })
}

/// A value read straight from JSON text: the same as [`from_json`] makes of it, and refused where that refuses. Where a
/// name comes twice, the last one counts for both, but here the first must be a value too.
#[derive(Clone, PartialEq, Debug)]
pub struct Parsed(pub Value);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Left(DEPTH_MAX).deserialize(deserializer).map(Self)
    }
}

/// How deep a value may still be nested.
#[derive(Clone, Copy)]
struct Left(usize);

impl<'de> DeserializeSeed<'de> for Left {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.0 == 0 {
            return Err(D::Error::custom("a value that is nested too deeply"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Left {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value other than null")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Err(E::custom(NULL))
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Value, E> {
        i64::try_from(n).map(Value::Int).map_err(|_| E::custom("a number that is too large"))
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Value, E> {
        if n.is_finite() { Ok(Value::Float(n)) } else { Err(E::custom("a number that is too large")) }
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self(self.0 - 1))? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut table = BTreeMap::new();
        while let Some(name) = fields.next_key_seed(Name)? {
            table.insert(name, fields.next_value_seed(Self(self.0 - 1))?);
        }
        Ok(Value::Table(table))
    }
}

/// The name of a field.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(text.into())
    }
}

/// See [`Version`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireVersion {
    /// Its name.
    pub id: String,
    /// The value; absent: it inherits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Milliseconds since 1970 by the wall clock of the writer.
    pub at: u64,
    /// Counts within a millisecond.
    #[serde(skip_serializing_if = "is_zero")]
    pub count: u32,
    /// On which machine: the id of its membership.
    pub on: String,
    /// By whom.
    pub by: String,
}

/// A register and its concurrent versions; none: it is gone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireRegister {
    /// Its key.
    pub key: String,
    /// All versions that nobody has superseded.
    pub versions: Vec<WireVersion>,
}

/// Registers of the sender's tree, in one or more pages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireTree {
    /// Random id of the cluster.
    pub cluster_id: String,
    /// These pages begin a whole tree: what was told before no longer counts.
    pub first: bool,
    /// With this page the receiver has everything.
    pub last: bool,
    /// Digest of the document, as in [`WireHolding::digest`].
    pub digest: String,
    /// The registers.
    pub registers: Vec<WireRegister>,
}

/// See [`Holding`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireHolding {
    /// Equal digests: equal documents.
    pub digest: String,
    /// Commits of each actor.
    pub have: BTreeMap<String, u64>,
    /// Commits in the history.
    pub changes: u64,
    /// Bytes of the history on disk.
    pub bytes: u64,
    /// Why nothing can be kept now.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trouble: String,
}

/// See [`Edit`]; `edit` is a word of [`EditKind`], the other fields are those of its kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireEdit {
    /// What kind.
    pub edit: String,
    /// Register: for `set`, `unset` and `resolve`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// For `set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// For `resolve`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// A new name: of the cluster, a group; the main host name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Id of a group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// For `delete-group`: id of the group that the machines go to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub into: String,
    /// Id of a membership.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub machine: String,
    /// For `set-host`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
}

impl From<&Version> for WireVersion {
    fn from(v: &Version) -> Self {
        Self {
            id: v.id.as_str().into(),
            value: v.content.value().map(|v| to_json(v)),
            at: v.stamp.at.as_millis(),
            count: v.stamp.count,
            on: v.stamp.on.to_string(),
            by: v.by.to_string(),
        }
    }
}

impl TryFrom<WireVersion> for Version {
    type Error = ProtoError;

    fn try_from(w: WireVersion) -> Result<Self, ProtoError> {
        let content = match &w.value {
            None => Content::Inherits,
            Some(json) => Content::Value(Arc::new(from_json(json)?)),
        };
        let stamp = Stamp { at: Time::from_millis(w.at), count: w.count, on: MemberId::new(&w.on) };
        Ok(Self { id: VersionId::new(&w.id), content, stamp, by: Line::new(&w.by) })
    }
}

impl WireRegister {
    /// For the wire; `None`: it is gone.
    #[must_use]
    pub fn new(key: &Key, entry: Option<&Entry>) -> Self {
        let versions = entry.map(|e| e.versions().iter().map(WireVersion::from).collect()).unwrap_or_default();
        Self { key: key.to_string(), versions }
    }

    /// Into the domain; `None` for a register that this version does not know.
    ///
    /// # Errors
    /// [`ProtoError`] for values that can't be read, and for too many versions.
    pub fn into_domain(self) -> Result<Option<(Key, Option<Entry>)>, ProtoError> {
        let Ok(key) = self.key.parse::<Key>() else { return Ok(None) };
        if self.versions.len() > VERSIONS_MAX {
            return Err(ProtoError::TooLarge(format!("{} versions of {key}", self.versions.len())));
        }
        let versions = self.versions.into_iter().map(Version::try_from).collect::<Result<_, _>>()?;
        Ok(Some((key, Entry::new(versions))))
    }
}

impl WireTree {
    /// Into the domain; registers that this version does not know are left out.
    ///
    /// # Errors
    /// [`ProtoError`] for a register that can't be read, and for more than [`PAGE_MAX`] of them.
    pub fn into_part(self) -> Result<TreePart, ProtoError> {
        if self.registers.len() > PAGE_MAX {
            return Err(ProtoError::TooLarge(format!("{} registers, {PAGE_MAX} are taken", self.registers.len())));
        }
        let mut registers = Vec::with_capacity(self.registers.len());
        for register in self.registers {
            registers.extend(register.into_domain()?);
        }
        let (cluster_id, digest) = (Line::new(&self.cluster_id), Line::new(&self.digest));
        Ok(TreePart { cluster_id, first: self.first, last: self.last, digest, registers })
    }
}

/// See [`Past`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WirePast {
    /// Which register.
    pub key: String,
    /// The version.
    pub version: WireVersion,
    /// The commit: actor and sequence number.
    pub commit: (String, u64),
    /// The author's comment.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Nothing has superseded it.
    pub stands: bool,
}

impl From<&Past> for WirePast {
    fn from(p: &Past) -> Self {
        Self {
            key: p.key.to_string(),
            version: WireVersion::from(&p.version),
            commit: (p.commit.actor.to_string(), p.commit.seq),
            comment: p.comment.to_string(),
            stands: p.stands,
        }
    }
}

impl WirePast {
    /// Into the domain; `None` for a register that this version does not know.
    ///
    /// # Errors
    /// [`ProtoError`] for a value that can't be read.
    pub fn into_past(self) -> Result<Option<Past>, ProtoError> {
        let Ok(key) = self.key.parse::<Key>() else { return Ok(None) };
        let commit = CommitId { actor: Line::new(&self.commit.0), seq: self.commit.1 };
        let (version, comment) = (self.version.try_into()?, Line::new(&self.comment));
        Ok(Some(Past { key, version, commit, comment, stands: self.stands }))
    }
}

impl From<&Holding> for WireHolding {
    fn from(h: &Holding) -> Self {
        Self {
            digest: h.digest.to_string(),
            have: h.have.iter().map(|(a, n)| (a.to_string(), *n)).collect(),
            changes: h.changes,
            bytes: h.bytes,
            trouble: h.trouble.to_string(),
        }
    }
}

impl From<WireHolding> for Holding {
    fn from(w: WireHolding) -> Self {
        Self {
            digest: Line::new(&w.digest),
            have: w.have.into_iter().take(super::PARTS_MAX).map(|(a, n)| (Line::new(&a), n)).collect(),
            changes: w.changes,
            bytes: w.bytes,
            trouble: Line::new(&w.trouble),
        }
    }
}

impl From<&Edit> for WireEdit {
    fn from(edit: &Edit) -> Self {
        let this = Self { edit: edit.word().into(), ..Self::default() };
        let feature = |mode: &ModeId, feature: &FeatureName| Key::Feature(mode.clone(), feature.clone()).to_string();
        match edit {
            Edit::Set { mode, feature: f, value } => {
                Self { key: feature(mode, f), value: Some(to_json(value)), ..this }
            }
            Edit::Unset { mode, feature: f } => Self { key: feature(mode, f), ..this },
            Edit::Resolve { key, version } => Self { key: key.to_string(), version: version.as_str().into(), ..this },
            Edit::Create { name } | Edit::SetName { name } => Self { name: name.to_string(), ..this },
            Edit::AddGroup { name } => Self { name: name.to_string(), ..this },
            Edit::RenameGroup { group, name } => Self { group: group.to_string(), name: name.to_string(), ..this },
            Edit::DeleteGroup { group, into } => Self { group: group.to_string(), into: into.to_string(), ..this },
            Edit::SetGroup { machine, group } => {
                Self { machine: machine.to_string(), group: group.to_string(), ..this }
            }
            Edit::RemoveMachine { machine } => Self { machine: machine.to_string(), ..this },
            Edit::SetHost { machine, host, address } => {
                Self { machine: machine.to_string(), name: host.to_string(), address: address.to_string(), ..this }
            }
        }
    }
}

impl TryFrom<&WireEdit> for Edit {
    type Error = ProtoError;

    fn try_from(w: &WireEdit) -> Result<Self, ProtoError> {
        let wrong = |what: String| ProtoError::Malformed(what);
        let kind: EditKind = w.edit.parse().map_err(|_| wrong(format!("no edit is called \"{}\"", w.edit)))?;
        let key = || w.key.parse::<Key>().map_err(|_| wrong(format!("no register is called \"{}\"", w.key)));
        let feature = || match key()? {
            Key::Feature(mode, feature) => Ok((mode, feature)),
            other => Err(wrong(format!("{other} is not a feature"))),
        };
        let group = |text: &str| match text {
            "" => Err(wrong(format!("{} without a group", w.edit))),
            text => Ok(GroupId::new(text)),
        };
        let machine = || match w.machine.as_str() {
            "" => Err(wrong(format!("{} without a machine", w.edit))),
            text => Ok(MemberId::new(text)),
        };
        Ok(match kind {
            EditKind::Set => {
                let (mode, feature) = feature()?;
                let value = w.value.as_ref().ok_or_else(|| wrong("set without a value".into()))?;
                Self::Set { mode, feature, value: Arc::new(from_json(value)?) }
            }
            EditKind::Unset => {
                let (mode, feature) = feature()?;
                Self::Unset { mode, feature }
            }
            EditKind::Resolve => Self::Resolve { key: key()?, version: VersionId::new(&w.version) },
            EditKind::Create => Self::Create { name: Line::new(&w.name) },
            EditKind::SetName => Self::SetName { name: Line::new(&w.name) },
            EditKind::AddGroup => Self::AddGroup { name: GroupName::new(&w.name) },
            EditKind::RenameGroup => Self::RenameGroup { group: group(&w.group)?, name: GroupName::new(&w.name) },
            EditKind::DeleteGroup => Self::DeleteGroup { group: group(&w.group)?, into: group(&w.into)? },
            EditKind::SetGroup => Self::SetGroup { machine: machine()?, group: group(&w.group)? },
            EditKind::RemoveMachine => Self::RemoveMachine { machine: machine()? },
            EditKind::SetHost => Self::SetHost {
                machine: machine()?,
                host: HostName::new(&w.name.to_ascii_lowercase()),
                address: HostName::new(&w.address),
            },
        })
    }
}

/// Edits from the wire.
///
/// # Errors
/// [`ProtoError`] for one that can't be read, and for more than [`EDITS_MAX`].
pub fn edits(wire: &[WireEdit]) -> Result<Arc<[Edit]>, ProtoError> {
    if wire.len() > EDITS_MAX {
        return Err(ProtoError::TooLarge(format!("{} edits in one commit, {EDITS_MAX} are taken", wire.len())));
    }
    wire.iter().map(Edit::try_from).collect()
}

/// What was seen, for the wire.
#[must_use]
pub fn wire_seen(seen: &Seen) -> BTreeMap<String, Vec<String>> {
    let texts = |ids: &[VersionId]| ids.iter().map(|id| id.as_str().to_owned()).collect();
    seen.iter().map(|(key, ids)| (key.to_string(), texts(ids))).collect()
}

/// What was seen, from the wire; registers that are not known here are left out.
#[must_use]
pub fn seen(wire: &BTreeMap<String, Vec<String>>) -> Seen {
    let ids = |texts: &[String]| texts.iter().take(VERSIONS_MAX).map(|t| VersionId::new(t)).collect();
    wire.iter().filter_map(|(key, texts)| Some((key.parse().ok()?, ids(texts)))).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}
