//! The membership: over the wire, and as `membership.json` in a peer's state directory.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ProtoError, VERSION, check_version};
use crate::domain::ids::{ClusterName, GroupName, HostName, PeerId};
use crate::domain::membership::{Addressing, MACHINES_MAX, Machine, Membership};
use crate::domain::text::Line;

/// See [`Membership`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireMembership {
    /// Protocol version.
    pub v: u32,
    /// Random id of the cluster.
    pub cluster_id: String,
    /// Its name.
    pub name: String,
    /// Rises with each change.
    #[serde(default)]
    pub revision: u64,
    /// `host-name` or `ip`.
    #[serde(default)]
    pub addressing: String,
    /// In order.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The members.
    #[serde(default)]
    pub machines: Vec<WireMachine>,
}

/// See [`Machine`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireMachine {
    /// Serial number.
    pub serial: String,
    /// Main host name.
    pub host: String,
    /// Its group.
    pub group: String,
    /// Host name or IP address for cluster traffic.
    pub address: String,
    /// Administration port.
    pub port: u16,
    /// `ssh-ed25519 AAAA...`
    #[serde(default)]
    pub machine_key: String,
    /// `ssh-ed25519 AAAA...`
    #[serde(default)]
    pub host_key: String,
}

impl From<&Membership> for WireMembership {
    fn from(m: &Membership) -> Self {
        Self {
            v: VERSION,
            cluster_id: m.cluster_id.to_string(),
            name: m.name.to_string(),
            revision: m.revision,
            addressing: match m.addressing {
                Addressing::HostName => "host-name".into(),
                Addressing::Ip => "ip".into(),
            },
            groups: m.groups.iter().map(ToString::to_string).collect(),
            machines: m.machines.iter().map(|m| WireMachine::from(&**m)).collect(),
        }
    }
}

impl From<&Machine> for WireMachine {
    fn from(m: &Machine) -> Self {
        Self {
            serial: m.id.to_string(),
            host: m.host.to_string(),
            group: m.group.to_string(),
            address: m.address.to_string(),
            port: m.port,
            machine_key: m.machine_key.to_string(),
            host_key: m.host_key.to_string(),
        }
    }
}

impl TryFrom<WireMembership> for Membership {
    type Error = ProtoError;

    fn try_from(w: WireMembership) -> Result<Self, ProtoError> {
        check_version(w.v)?;
        if w.machines.len() > MACHINES_MAX || w.groups.len() > MACHINES_MAX {
            return Err(ProtoError::TooLarge(format!("a membership of {} machines", w.machines.len())));
        }
        let mut groups: Vec<GroupName> = Vec::new();
        for name in w.groups.iter().chain(w.machines.iter().map(|m| &m.group)) {
            let name = GroupName::new(name);
            if !groups.contains(&name) {
                groups.push(name);
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut machines = Vec::with_capacity(w.machines.len());
        for m in w.machines {
            let id = PeerId::new(&m.serial);
            if id.as_str().is_empty() || id.is_unheard() {
                return Err(ProtoError::Malformed("a machine without a serial number".into()));
            }
            if !seen.insert(id.clone()) {
                return Err(ProtoError::Malformed(format!("serial number {id} twice in the membership")));
            }
            machines.push(Arc::new(Machine {
                id,
                host: HostName::new(&m.host.to_ascii_lowercase()),
                group: GroupName::new(&m.group),
                address: HostName::new(&m.address),
                port: m.port,
                machine_key: Line::new(&m.machine_key),
                host_key: Line::new(&m.host_key),
            }));
        }
        let mut membership = Self {
            cluster_id: Line::new(&w.cluster_id),
            name: ClusterName::new(&w.name),
            revision: w.revision,
            addressing: if w.addressing == "ip" { Addressing::Ip } else { Addressing::HostName },
            groups,
            machines,
        };
        membership.sort();
        Ok(membership)
    }
}
