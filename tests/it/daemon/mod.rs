//! The peer: its core in a simulated network, then real peers over real SSH on loopback.

mod config;
mod core;
pub mod disk;
mod dns;
mod maintenance;
mod openssh;
pub mod real;
mod rpc;
mod secrets;
mod session;
mod settings;
mod share;
mod sim;
mod store;
