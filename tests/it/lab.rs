//! The lab: its network, its DNS, its peers and what each fault does to them.

mod dns;
mod eyes;
mod fault;
mod files;
mod net;
mod peers;
