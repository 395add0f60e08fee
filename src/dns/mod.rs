//! Look-ups: forward and reverse, each with a deadline and an answer that names what is wrong.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::domain::mesh::DnsResult;

/// A resolver over given servers, or the system's.
#[derive(Clone)]
pub struct Resolver {}

/// What a look-up gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup<T> {
    /// Ok, missing, timeout or failed; never wrong, which only the caller can say.
    pub result: DnsResult,
    /// The answers.
    pub answers: Vec<T>,
    /// How long it took.
    pub took: Duration,
    /// For the reader: what was asked of whom and what came.
    pub detail: String,
}

impl Resolver {
    /// Asks these servers only (UDP, then TCP), without the hosts file and without a cache that outlives a record's TTL.
    #[must_use]
    pub fn with_servers(servers: &[SocketAddr]) -> Self {
        let _ = servers;
        unimplemented!("helper C")
    }

    /// The system's own configuration, hosts file included.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn system() -> std::io::Result<Self> {
        unimplemented!("helper C")
    }

    /// The addresses of `host`, or `host` itself if it is one.
    pub async fn forward(&self, host: &str, deadline: Duration) -> Lookup<IpAddr> {
        let _ = (host, deadline);
        unimplemented!("helper C")
    }

    /// The names of `address`, lower case, without a final dot.
    pub async fn reverse(&self, address: IpAddr, deadline: Duration) -> Lookup<String> {
        let _ = (address, deadline);
        unimplemented!("helper C")
    }
}
