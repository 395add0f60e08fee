//! The mesh: who sees whom, and why not.

pub mod link;
pub mod pulse;
pub mod route;
pub mod row;
pub mod verdict;

pub use link::{Cause, DnsCheck, DnsResult, Link, LinkState, Probe};
pub use pulse::Pulse;
pub use route::Route;
pub use row::Row;
