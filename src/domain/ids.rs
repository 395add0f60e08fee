//! Names as types, so that a host name can't stand where a serial number is wanted.

use std::fmt;
use std::sync::Arc;

use super::text::{NAME_MAX, cleaned};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Cleans `raw` ([`clean`](super::text::clean)) and keeps at most [`NAME_MAX`] characters.
            #[must_use]
            pub fn new(raw: &str) -> Self {
                Self(cleaned(raw, NAME_MAX).into())
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<&str> for $name {
            fn from(raw: &str) -> Self {
                Self::new(raw)
            }
        }
    };
}

name! {
    /// A machine's serial number: its stable identity. Host names may change.
    ///
    /// A peer of the fleet file that has never answered has none yet; [`PeerId::unheard`] stands in.
    PeerId
}
name! {
    /// A machine's main host name, lower case, without a final dot.
    HostName
}
name! {
    /// The name of a group of a management cluster.
    GroupName
}
name! {
    /// The name of a management cluster.
    ClusterName
}

name! {
    /// The name of a high-availability group.
    HaName
}
name! {
    /// A group's id in the replicated store: renaming moves nothing.
    GroupId
}
name! {
    /// One membership of a machine, random per join: a machine that comes back finds no old overrides.
    MemberId
}
name! {
    /// The id of a cluster key, under which secrets are sealed.
    KeyId
}
name! {
    /// The name of a feature: the configuration command (`smtproutes`).
    FeatureName
}

impl PeerId {
    /// The stand-in of a peer that has never told its serial number: `?host:port`.
    #[must_use]
    pub fn unheard(host: &str, port: u16) -> Self {
        Self::new(&format!("?{host}:{port}"))
    }

    /// Whether this is a stand-in.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        self.0.starts_with('?')
    }
}

impl HostName {
    /// The first label: `lab1` of `lab1.example.com`. An IP address stays whole.
    #[must_use]
    pub fn short(&self) -> &str {
        if self.0.parse::<std::net::IpAddr>().is_ok() {
            return &self.0;
        }
        self.0.split('.').next().unwrap_or(&self.0)
    }
}

/// Drawn anew at each start of a peer, rising: a later start has a higher number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BootId(pub u64);
