//! Connections: the network seam, SSH client, host keys, authentication.

pub mod auth;
pub mod backoff;
pub mod client;
pub mod config_file;
pub mod known_hosts;
pub mod net;

mod channel;
mod handshake;
mod login;

/// The longest packet that is taken, in bytes. Small, because a session keeps a buffer of this size.
pub(crate) const PACKET_MAX: u32 = 8 * 1024;

pub(crate) use channel::{Cuttable, Drained, INBOX_MAX};
