//! The peer: its core in a simulated network, then real peers over real SSH on loopback.

mod core;
mod sim;
