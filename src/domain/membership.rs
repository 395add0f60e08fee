//! Who belongs to a cluster: groups, machines, the keys they are known by.

use std::sync::Arc;

use super::ids::{ClusterName, GroupName, HostName, PeerId};
use super::text::Line;

/// The default group of every new cluster (C1).
pub const MAIN_GROUP: &str = "Main_Group";

/// Most machines of one cluster: five times the largest that is meant. Each two of them cost a few dozen bytes in
/// every observer, so a peer that makes them up must not name many.
pub const MACHINES_MAX: usize = 1024;

/// How the members of a cluster address each other (C19); never mixed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Addressing {
    /// By main host name: the forward look-up must give an address where the port answers.
    #[default]
    HostName,
    /// By IP address: each must have a reverse record in time.
    Ip,
}

/// The members of one cluster, as one peer holds them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// Random id of the cluster: two clusters of one name never flow into one.
    pub cluster_id: Line,
    /// Its name.
    pub name: ClusterName,
    /// Rises with each change.
    pub revision: u64,
    /// How members address each other.
    pub addressing: Addressing,
    /// In the order in which they were made; empty ones too.
    pub groups: Vec<GroupName>,
    /// In the order of their groups, then by host name.
    pub machines: Vec<Arc<Machine>>,
}

/// One member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Serial number.
    pub id: PeerId,
    /// Main host name.
    pub host: HostName,
    /// The one group it is in (C1).
    pub group: GroupName,
    /// Where cluster traffic reaches it: the host name or an address, as [`Addressing`] says.
    pub address: HostName,
    /// Administration port.
    pub port: u16,
    /// Its machine key (`ssh-ed25519 AAAA...`), with which it logs in to fellows.
    pub machine_key: Line,
    /// Its host key, which fellows pin.
    pub host_key: Line,
}

impl Membership {
    /// The machine with this serial number.
    #[must_use]
    pub fn machine(&self, id: &PeerId) -> Option<&Arc<Machine>> {
        self.machines.iter().find(|m| m.id == *id)
    }

    /// Sorts the machines by the order of their groups, then by host name in natural order (`lab2` before `lab10`).
    pub fn sort(&mut self) {
        let groups = self.groups.clone();
        let rank = |g: &GroupName| groups.iter().position(|x| x == g).unwrap_or(usize::MAX);
        self.machines.sort_by(|a, b| {
            rank(&a.group).cmp(&rank(&b.group)).then_with(|| natural(a.host.as_str(), b.host.as_str()))
        });
    }
}

/// Compares names so that runs of digits count as numbers.
#[must_use]
pub fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut x, mut y) = (a.chars().peekable(), b.chars().peekable());
    loop {
        match (x.peek().copied(), y.peek().copied()) {
            (Some(c), Some(d)) if c.is_ascii_digit() && d.is_ascii_digit() => {
                let (m, n) = (digits(&mut x), digits(&mut y));
                let (m, n) = (m.trim_start_matches('0'), n.trim_start_matches('0'));
                let order = m.len().cmp(&n.len()).then_with(|| m.cmp(n));
                if order.is_ne() {
                    return order;
                }
            }
            (Some(c), Some(d)) => {
                if c != d {
                    return c.cmp(&d);
                }
                x.next();
                y.next();
            }
            (None, None) => return a.cmp(b), // `01` and `1` are equal as numbers, not as names.
            (None, Some(_)) => return std::cmp::Ordering::Less,
            (Some(_), None) => return std::cmp::Ordering::Greater,
        }
    }
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut run = String::new();
    while let Some(d) = chars.next_if(char::is_ascii_digit) {
        run.push(d);
    }
    run
}
