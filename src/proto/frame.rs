//! Peer to peer: frames of the subsystem `peerdeck-mesh`, JSON behind a four-byte length.

use serde::{Deserialize, Serialize};

use super::observe::WireRow;

/// Name of the subsystem that takes machine keys only.
pub const MESH_SUBSYSTEM: &str = "peerdeck-mesh";

/// Longest frame, in bytes.
pub const FRAME_MAX: usize = super::DOCUMENT_MAX;

/// One frame. Frames of a kind that is not known here are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "kebab-case")]
pub enum Frame {
    /// First frame of both sides.
    Hello(Hello),
    /// Numbered; says what was last heard of the receiver.
    Ping(Ping),
    /// Answer to a ping.
    Pong {
        /// Number of the ping.
        n: u64,
    },
    /// Link rows that the receiver lacks.
    Rows {
        /// The sender's clock, milliseconds.
        clock: u64,
        /// The rows; each with its age.
        rows: Vec<WireRow>,
    },
    /// A command for a machine; forwarded along the route table if it is not the receiver.
    Command {
        /// Serial number of the machine that shall carry it out.
        to: String,
        /// Hops that are left.
        ttl: u8,
        /// As of `execute`.
        command: super::rpc::ExecuteParams,
        /// The sender's number for it; with one, [`Frame::Outcome`] is wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n: Option<u64>,
        /// Who wants it, for the log.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    /// What the target said to a command, sent back hop by hop the way it came.
    Outcome {
        /// The receiver's number for the command.
        n: u64,
        /// `accepted` or `refused`.
        state: String,
        /// For the reader.
        detail: String,
        /// Of a commit that was accepted: its actor and sequence number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<(String, u64)>,
    },
    /// A part of a message of the settings' synchronisation; whole messages may be longer than a frame should be.
    Sync(Sync),
    /// So many parts of the receiver's were taken: it may send as many more.
    SyncCredit {
        /// How many.
        parts: u32,
    },
    /// Last frame before the sender closes on purpose.
    Bye {
        /// See [`crate::domain::mesh::Cause`].
        cause: String,
        /// For the reader.
        detail: String,
    },
    /// A kind that this version has no word for.
    #[serde(other)]
    Unknown,
}

/// Who is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Hello {
    /// Protocol version.
    pub v: u32,
    /// Random id of the cluster.
    pub cluster_id: String,
    /// Serial number of the sender.
    pub serial: String,
    /// Its main host name.
    pub host: String,
    /// Its start.
    pub boot: u64,
    /// Its level.
    pub level: u32,
    /// Its product and version.
    pub version: String,
    /// Since when it is detached (age in milliseconds), if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detached_age: Option<u64>,
}

/// A part of a message of the settings' synchronisation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Sync {
    /// Random id of the cluster: documents of two clusters never meet.
    pub cluster_id: String,
    /// Number of the sender's session: another one means that it began anew.
    pub session: u64,
    /// The receiver's session that the sender knows of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Base64 of the part.
    pub data: String,
    /// The message is complete with this part.
    pub last: bool,
}

/// A ping.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Ping {
    /// Rises by one per connection.
    pub n: u64,
    /// Number of the newest ping of the receiver that arrived here.
    pub heard: u64,
    /// The sender's own row stands at this (start, sequence).
    pub row: (u64, u64),
    /// Rows of others that the sender does not get from their origins: (serial, start, sequence) as it has
    /// them. The receiver answers with what it has newer, or younger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub want: Vec<(String, u64, u64)>,
}
