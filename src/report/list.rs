//! Who belongs to which cluster and group: `list`.

use serde::Serialize;

use super::table::{Style, Table, Tone, cell, paint};
use super::{MaintenanceDoc, chosen, count, detached, group_rank, rfc3339, serial};
use crate::domain::snapshot::{Peer, Snapshot};

/// `peerdeck.list/1`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ListDoc {
    schema: &'static str,
    at: String,
    complete: bool,
    clusters: Vec<ClusterDoc>,
}

/// A cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct ClusterDoc {
    cluster: String,
    groups: Vec<GroupDoc>,
}

/// A group; the name is null for peers whose group nobody has told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct GroupDoc {
    cluster: String,
    name: Option<String>,
    machines: Vec<MachineDoc>,
}

/// A machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct MachineDoc {
    cluster: String,
    peer: String,
    serial: Option<String>,
    version: Option<String>,
    detached: Option<bool>,
    maintenance: Option<MaintenanceDoc>,
}

/// The document.
#[must_use]
pub fn document(snapshot: &Snapshot, only: Option<&str>, complete: bool) -> ListDoc {
    let now = snapshot.at;
    let clusters = chosen(snapshot, only).map(|cluster| {
        let machine = |p: &Peer| MachineDoc {
            cluster: cluster.name.to_string(),
            peer: p.host.to_string(),
            serial: serial(p),
            version: p.identity.as_ref().map(|i| i.version.to_string()),
            detached: detached(cluster, p, now),
            maintenance: MaintenanceDoc::of(p, now),
        };
        let group = |name: Option<String>, rank: usize| GroupDoc {
            cluster: cluster.name.to_string(),
            name,
            machines: cluster.peers.iter().filter(|p| group_rank(cluster, p) == rank).map(|p| machine(p)).collect(),
        };
        let mut groups: Vec<GroupDoc> =
            cluster.groups.iter().enumerate().map(|(i, g)| group(Some(g.to_string()), i)).collect();
        let strays = group(None, usize::MAX);
        if !strays.machines.is_empty() {
            groups.push(strays);
        }
        ClusterDoc { cluster: cluster.name.to_string(), groups }
    });
    ListDoc { schema: "peerdeck.list/1", at: rfc3339(now), complete, clusters: clusters.collect() }
}

/// Whether a peer has told the membership of every chosen cluster.
#[must_use]
pub fn is_answered(snapshot: &Snapshot, only: Option<&str>) -> bool {
    let mut clusters = chosen(snapshot, only).peekable();
    clusters.peek().is_some() && clusters.all(|c| c.membership_revision.is_some())
}

/// A table a cluster.
#[must_use]
pub fn text(snapshot: &Snapshot, only: Option<&str>, style: Style) -> String {
    let mut out = String::new();
    for cluster in chosen(snapshot, only) {
        if !out.is_empty() {
            out.push('\n');
        }
        let sum = format!(
            "{}  {} in {}",
            cluster.name,
            count(cluster.peers.len(), "machine"),
            count(cluster.groups.len(), "group")
        );
        out.push_str(&paint(&sum, Tone::Head, style));
        out.push_str("\n\n");
        let mut table = Table::new(&["GROUP", "MACHINE", "SERIAL", "VERSION", "DETACHED"]);
        for rank in (0..cluster.groups.len()).chain([usize::MAX]) {
            let group = cluster.groups.get(rank).map_or("-", |g| g.as_str());
            let mut members = cluster.peers.iter().filter(|p| group_rank(cluster, p) == rank).peekable();
            if members.peek().is_none() && rank != usize::MAX {
                table.row([group.into(), cell("(empty)", Tone::Dim), "".into(), "".into(), "".into()]);
            }
            for peer in members {
                let detached = match detached(cluster, peer, snapshot.at) {
                    Some(true) => cell("yes", Tone::Warn),
                    Some(false) => cell("no", Tone::Plain),
                    None => cell("unknown", Tone::Dim),
                };
                table.row([
                    group.into(),
                    peer.host.as_str().into(),
                    serial(peer).unwrap_or_else(|| "-".into()).into(),
                    peer.identity.as_ref().map_or("-", |i| i.version.as_str()).into(),
                    detached,
                ]);
            }
        }
        out.push_str(&table.render(style));
    }
    out
}
