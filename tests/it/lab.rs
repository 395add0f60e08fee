//! The lab: its network, its DNS, its peers and what each fault does to them.

mod dns;
mod fault;
mod files;
mod net;
