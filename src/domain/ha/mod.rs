//! High availability: roles, heartbeats, and who may hold the address (F1 to F18, B1, B2).
//!
//! What a unit is told stands in [`config`], what it tells of itself in [`status`], and what all members of a group tell
//! together in [`group`]. The words are those of `facts/fortimail.md`, sections 2 to 4.

pub mod config;
pub mod group;
pub mod status;
pub mod what_if;
pub mod words;

pub use config::{HaConfig, WitnessConfig};
pub use status::HaStatus;
pub use words::{
    AddressAction, BeatState, Configured, Effective, GroupKind, HaAct, LinkName, MonitorKind, MonitorState, OnFailure,
    Service, SplitBrain, WitnessMode,
};
