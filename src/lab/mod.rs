//! Peers on loopback with real SSH and real DNS, and faults on the network between them.

pub mod clock;
pub mod dns;
pub mod net;
