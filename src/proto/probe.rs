//! The signed datagram with which one direction is told from the other (`10-peer.md`, "The mesh").

use serde::{Deserialize, Serialize};

/// Longest datagram that is looked at, in bytes.
pub const PROBE_MAX: usize = 1024;

/// What is signed, as JSON. The datagram is the 64 bytes of an ed25519 signature over the rest, then this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ProbeBody {
    /// Protocol version.
    pub v: u32,
    /// Random id of the cluster.
    pub cluster_id: String,
    /// Serial number of the sender.
    pub from: String,
    /// Serial number of the receiver.
    pub to: String,
    /// Start of the sender; with `n` it guards against replay.
    pub boot: u64,
    /// Rises with each datagram of one start.
    pub n: u64,
}
