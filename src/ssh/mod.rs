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

pub(crate) use channel::{Cuttable, Drained, INBOX_MAX};
