//! Names of registers. Flat and by ids, not by names: renaming a group moves nothing.

use std::fmt;
use std::str::FromStr;

use super::Level;
use crate::domain::ids::{FeatureName, GroupId, KeyId, MemberId};

/// A member of a level, by its id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ModeId {
    /// The cluster.
    Cluster,
    /// A group.
    Group(GroupId),
    /// A machine, as it joined.
    Machine(MemberId),
}

impl ModeId {
    /// Its level.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Cluster => Level::Cluster,
            Self::Group(_) => Level::Group,
            Self::Machine(_) => Level::Machine,
        }
    }
}

/// A register of the store. Its text is the key in the replicated document and on the wire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// `cluster/name`: the cluster's name, a text.
    ClusterName,
    /// `cluster/addressing`: `host-name` or `ip` (C19).
    Addressing,
    /// `group/<id>/name`: a group exists since its name was written.
    GroupName(GroupId),
    /// `group/<id>/deleted`: a text, the id of the group that its machines go to.
    GroupDeleted(GroupId),
    /// `machine/<id>/identity`: a table of `serial`, `host`, `address`, `port`, `machine-key`, `host-key`.
    MachineIdentity(MemberId),
    /// `machine/<id>/group`: a text, the id of its group.
    MachineGroup(MemberId),
    /// `machine/<id>/removed`: anything written here ends the membership for good.
    MachineRemoved(MemberId),
    /// `secret/<key>/<machine>`: a text, the cluster key of that id, wrapped for that member.
    SecretKey(KeyId, MemberId),
    /// `c/<feature>`, `g/<group>/<feature>`, `m/<machine>/<feature>`: a feature at a mode.
    Feature(ModeId, FeatureName),
}

impl Key {
    /// Whether it says who belongs to the cluster and where, rather than how somebody is set up.
    #[must_use]
    pub fn is_structure(&self) -> bool {
        match self {
            Self::ClusterName
            | Self::Addressing
            | Self::GroupName(_)
            | Self::GroupDeleted(_)
            | Self::MachineIdentity(_)
            | Self::MachineGroup(_)
            | Self::MachineRemoved(_) => true,
            Self::SecretKey(..) | Self::Feature(..) => false,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterName => f.write_str("cluster/name"),
            Self::Addressing => f.write_str("cluster/addressing"),
            Self::GroupName(id) => write!(f, "group/{id}/name"),
            Self::GroupDeleted(id) => write!(f, "group/{id}/deleted"),
            Self::MachineIdentity(id) => write!(f, "machine/{id}/identity"),
            Self::MachineGroup(id) => write!(f, "machine/{id}/group"),
            Self::MachineRemoved(id) => write!(f, "machine/{id}/removed"),
            Self::SecretKey(key, id) => write!(f, "secret/{key}/{id}"),
            Self::Feature(ModeId::Cluster, name) => write!(f, "c/{name}"),
            Self::Feature(ModeId::Group(id), name) => write!(f, "g/{id}/{name}"),
            Self::Feature(ModeId::Machine(id), name) => write!(f, "m/{id}/{name}"),
        }
    }
}

/// A text that names no register that is known here; a later version may know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownKey;

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no register has this name")
    }
}

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|p| p.is_empty()) {
            return Err(UnknownKey);
        }
        let key = match parts.as_slice() {
            ["cluster", "name"] => Self::ClusterName,
            ["cluster", "addressing"] => Self::Addressing,
            ["group", id, "name"] => Self::GroupName(GroupId::new(id)),
            ["group", id, "deleted"] => Self::GroupDeleted(GroupId::new(id)),
            ["machine", id, "identity"] => Self::MachineIdentity(MemberId::new(id)),
            ["machine", id, "group"] => Self::MachineGroup(MemberId::new(id)),
            ["machine", id, "removed"] => Self::MachineRemoved(MemberId::new(id)),
            ["secret", key, id] => Self::SecretKey(KeyId::new(key), MemberId::new(id)),
            ["c", name] => Self::Feature(ModeId::Cluster, FeatureName::new(name)),
            ["g", id, name] => Self::Feature(ModeId::Group(GroupId::new(id)), FeatureName::new(name)),
            ["m", id, name] => Self::Feature(ModeId::Machine(MemberId::new(id)), FeatureName::new(name)),
            _ => return Err(UnknownKey),
        };
        // What cleaning would change is not the name of any register of ours.
        if key.to_string() == text { Ok(key) } else { Err(UnknownKey) }
    }
}
