//! JSON-RPC 2.0 over the SSH subsystem `peerdeck`: one document a line.
//!
//! Methods: `describe`, `observe` (answered once, then `report` notifications), `relay` (which rows of
//! others the reports shall carry), `tree` (whether they shall carry the settings), `history`, `ping`, `execute`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name of the subsystem for observers and scripts.
pub const SUBSYSTEM: &str = "peerdeck";

/// Longest request that a peer takes from those who may act, in bytes: a large commit with its basis fits.
pub const REQUEST_MAX: usize = super::DOCUMENT_MAX - 64 * 1024;

/// Most versions of one answer to `history`.
pub const HISTORY_MAX: usize = 2_000;

/// A request or a notification (without `id`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Always `2.0`.
    pub jsonrpc: String,
    /// Absent in a notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// What is asked.
    pub method: String,
    /// With what.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    /// Always `2.0`.
    pub jsonrpc: String,
    /// That of the request; null when it could not be read.
    pub id: Value,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
}

/// An error, with the codes of JSON-RPC 2.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpcError {
    /// See the constants of this module.
    pub code: i64,
    /// In plain words.
    pub message: String,
}

/// Not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// Not a request.
pub const INVALID_REQUEST: i64 = -32600;
/// No such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters that don't fit the method.
pub const INVALID_PARAMS: i64 = -32602;
/// The basis of a plan has changed, or the plan can't be carried out here.
pub const REFUSED: i64 = -32000;

/// Parameters of `observe`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ObserveParams {
    /// Wanted time between reports, milliseconds; the peer may take its own. 0: the peer's own.
    pub interval: u64,
    /// Serial numbers of the peers whose rows are wanted too.
    pub relay: Vec<String>,
    /// What the observer is, for the list of sessions (`console`, `watch`, ...).
    pub as_what: String,
}

/// Parameters of `relay`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RelayParams {
    /// Serial numbers of the peers whose rows are wanted from now on.
    pub serials: Vec<String>,
}

/// Parameters of `tree`: whether the reports shall carry the settings tree from now on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct TreeParams {
    /// Whole first, then what changes; or not any more.
    pub wanted: bool,
}

/// Parameters of `history`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct HistoryParams {
    /// Which register; empty: the newest versions of all.
    pub key: String,
    /// So many at most; 0: as many as the peer likes to tell.
    pub limit: u32,
}

/// Answer of `history`: newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct History {
    /// The versions.
    pub past: Vec<super::settings::WirePast>,
}

/// Answer of `describe`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Describe {
    /// Protocol version.
    pub v: u32,
    /// Who answers.
    pub identity: super::observe::WireIdentity,
    /// What it can do: `observe`, `relay`, `tree`, `history`, and `execute.` with each [`crate::domain::command::CommandKind`].
    pub capabilities: Vec<String>,
    /// The members that it knows, if it is in a cluster.
    pub membership: Option<super::membership::WireMembership>,
}

/// Parameters of `execute`: a command and its basis.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ExecuteParams {
    /// A word of [`crate::domain::command::CommandKind`].
    pub command: String,
    /// Serial number of the machine that it is about.
    pub peer: String,
    /// Why, for the log.
    pub reason: String,
    /// For `maintenance-on`: for how long, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasting: Option<u64>,
    /// For `ha`: a word of [`crate::domain::ha::HaAct`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
    /// For `commit`: what shall be changed, all or nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<super::settings::WireEdit>,
    /// The facts it was decided on; what is absent is not checked.
    pub basis: WireBasis,
}

/// See [`crate::domain::plan::Basis`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct WireBasis {
    /// Revision of the membership.
    pub membership: Option<u64>,
    /// Whether the machine was detached.
    pub detached: Option<bool>,
    /// Whether it was in maintenance.
    pub maintenance: Option<bool>,
    /// By serial number: whether the machine was connected to this fellow.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub links: std::collections::BTreeMap<String, bool>,
    /// Of an HA command: effective role and epoch of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha: Option<(String, u64)>,
    /// By register: the versions that were seen of it.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub settings: std::collections::BTreeMap<String, Vec<String>>,
}

/// Answer of `execute`: the peer took it; what came of it is seen in the reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ExecuteResult {
    /// See [`crate::domain::command::OutcomeState`].
    pub state: String,
    /// For the reader.
    pub detail: String,
    /// Of a commit: its actor and sequence number, by which everybody tells whether he has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<(String, u64)>,
}

impl Request {
    /// A call that wants an answer.
    #[must_use]
    pub fn call<P: Serialize>(id: u64, method: &str, params: &P) -> Self {
        Self { jsonrpc: "2.0".into(), id: Some(id.into()), method: method.into(), params: to_value(params) }
    }

    /// A call that wants none.
    #[must_use]
    pub fn notification<P: Serialize>(method: &str, params: &P) -> Self {
        Self { jsonrpc: "2.0".into(), id: None, method: method.into(), params: to_value(params) }
    }
}

impl Response {
    /// An answer.
    #[must_use]
    pub fn ok<R: Serialize>(id: Value, result: &R) -> Self {
        Self { jsonrpc: "2.0".into(), id, result: Some(to_value(result)), error: None }
    }

    /// A refusal.
    #[must_use]
    pub fn error(id: Value, code: i64, message: impl Into<String>) -> Self {
        Self { jsonrpc: "2.0".into(), id, result: None, error: Some(RpcError { code, message: message.into() }) }
    }
}

fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
