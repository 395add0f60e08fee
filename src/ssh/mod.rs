//! Connections: the network seam, SSH client, host keys, authentication.

pub mod client;
pub mod net;

mod channel;
mod handshake;
mod login;
