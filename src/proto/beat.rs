//! Datagrams between the units of an HA group and their witness (F2, F17; `10-peer.md`, "Heartbeat").
//!
//! A datagram is `HMAC-SHA256 (32 bytes)` followed by one JSON document, an [`Envelope`]. The key is derived from the group's
//! password; `key` names which of several, so that passwords can be rotated. Boot id and sequence number stand against
//! replays.

use serde::{Deserialize, Serialize};

/// Longest datagram that is read.
pub const DATAGRAM_MAX: usize = 1400;

/// Length of the authenticator in front.
pub const MAC: usize = 32;

/// What is common to all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Envelope {
    /// Protocol version.
    pub v: u32,
    /// Which key authenticates it: the first eight hexadecimal digits of the key's own SHA-256.
    pub key: String,
    /// Name of the group.
    pub group: String,
    /// Serial number of the sender.
    pub from: String,
    /// Its start: later starts have higher ones.
    pub boot: u64,
    /// Rises with each datagram to anybody.
    pub seq: u64,
    /// On which link it was sent: `primary`, `secondary`, or `witness`.
    pub link: String,
    /// What it says.
    pub message: Message,
}

/// What units and witness say to each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// A sign of life.
    Beat(Beat),
    /// A unit asks a voter for its vote.
    Ask {
        /// In which epoch it holds, or will hold, the address.
        epoch: u64,
        /// Names the answer; rises.
        n: u64,
        /// What for.
        what: Want,
    },
    /// A voter's answer.
    Grant {
        /// As in [`Message::Ask`].
        n: u64,
        /// Of whom the vote is asked; it counts for nobody else.
        unit: String,
        /// For which epoch.
        epoch: u64,
        /// Why not; none: granted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
        /// The highest epoch that the voter has given its vote in, if that was to another; else 0.
        #[serde(default)]
        top: u64,
    },
    /// The secondary asks the primary to let the address go: a service of it has failed.
    Yield {
        /// The epoch that the sender knows the primary in.
        epoch: u64,
        /// Why.
        reason: String,
        /// The row of the state table: 4, or 14 if a person forces it.
        #[serde(default)]
        row: u8,
    },
    /// A unit wants the other to take over (switchover asked at the secondary, restore): the holder then cedes.
    Swap {
        /// The epoch that the sender knows the holder in.
        epoch: u64,
        /// Why.
        reason: String,
        /// The row of the state table that makes it ask.
        #[serde(default)]
        row: u8,
    },
    /// The address is deleted here: take it in this epoch.
    Release {
        /// The epoch of the new holder.
        epoch: u64,
        /// Serial number of the new holder.
        to: String,
        /// Why.
        reason: String,
        /// The row of the state table by which it is given away.
        #[serde(default)]
        row: u8,
    },
    /// The address that was released is held here now.
    Taken {
        /// As in [`Message::Release`].
        epoch: u64,
    },
    /// It is not taken.
    Refused {
        /// As in [`Message::Release`], [`Message::Yield`] or [`Message::Swap`].
        epoch: u64,
        /// Why.
        reason: String,
    },
    /// Of a later version: nothing here understands it.
    #[default]
    #[serde(other)]
    Unlisted,
}

/// For what a vote is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// To hold the address (`require`).
    #[default]
    Hold,
    /// Whether anything speaks against a takeover (`advise`).
    TakeOver,
}

/// A sign of life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(clippy::struct_excessive_bools, reason = "signs that have nothing to do with each other")]
pub struct Beat {
    /// What the settings of the sender say.
    pub configured: String,
    /// What it does.
    pub effective: String,
    /// Its epoch.
    pub epoch: u64,
    /// Whether it holds the address, or may add it any moment.
    pub holds: bool,
    /// Time between its beats, milliseconds.
    pub interval: u64,
    /// Silence that it counts as death, milliseconds.
    pub threshold: u64,
    /// How long ago it last heard the addressee on any link, milliseconds; none: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<u64>,
    /// When it was sent, milliseconds on the sender's own clock; comes back in `seen`.
    pub at: u64,
    /// `at` of the newest beat of the addressee's present start that was heard: proof that the sender lived after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// It restarts on purpose and asks to be waited for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restarting: bool,
    /// It stops on purpose and has let the address go.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// It distrusts itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unreliable: bool,
    /// Digest of its settings, to see whether both are in step.
    pub digest: String,
    /// Level of settings and mesh.
    pub level: u32,
    /// Product and version.
    pub version: String,
}
