//! Whom an action is about: peers by name, `group:NAME`, `machine:HOST` or `cluster`.

use super::names::find;
use crate::config::problem::did_you_mean;
use crate::domain::ids::PeerId;
use crate::domain::snapshot::{Cluster, Peer, Snapshot};
use crate::report::chosen;

/// What one word means.
enum Subject<'a> {
    /// One machine.
    Peer(&'a str),
    /// All machines of a group.
    Group(&'a str),
    /// All machines of the cluster.
    Cluster,
}

/// The machines that are meant, each once, in the order in which they were named; all of one cluster.
///
/// Of a group or the whole cluster only those that `counts` says are concerned, but all of them if none is.
///
/// # Errors
/// When a word fits nothing or several things, or the machines are of several clusters; in words.
pub fn resolve<'a>(
    snapshot: &'a Snapshot,
    words: &[String],
    sets: Sets,
    counts: impl Fn(&Peer) -> bool,
) -> Result<(&'a Cluster, Vec<PeerId>), String> {
    let mut found: Option<&Cluster> = None;
    let mut ids: Vec<PeerId> = Vec::new();
    for word in words {
        let (cluster, some) = match subject(word, sets) {
            Subject::Peer(name) => {
                let (cluster, peer) = find(snapshot, None, name)?;
                (cluster, vec![peer.id.clone()])
            }
            Subject::Group(name) => {
                let cluster = with_group(snapshot, name)?;
                let of = |p: &&Peer| p.group.as_ref().is_some_and(|g| g.as_str() == name);
                (cluster, concerned(cluster, of, &counts))
            }
            Subject::Cluster => {
                let cluster = only_cluster(snapshot)?;
                (cluster, concerned(cluster, |_| true, &counts))
            }
        };
        if some.is_empty() {
            return Err(format!("\"{word}\" has no machines"));
        }
        if let Some(other) = found.filter(|c| c.name != cluster.name) {
            return Err(format!(
                "{} and {} are different clusters: one at a time, with --cluster",
                other.name, cluster.name
            ));
        }
        found = Some(cluster);
        for id in some {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    found.map(|cluster| (cluster, ids)).ok_or_else(|| "no peer is named".to_owned())
}

/// Whether a word may mean several machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sets {
    /// Groups and the cluster too.
    Allowed,
    /// Machines only: each must be named.
    Refused,
}

fn subject(word: &str, sets: Sets) -> Subject<'_> {
    match sets {
        Sets::Refused => Subject::Peer(word),
        Sets::Allowed if word == "cluster" => Subject::Cluster,
        Sets::Allowed => match (word.strip_prefix("group:"), word.strip_prefix("machine:")) {
            (Some(group), _) => Subject::Group(group),
            (None, Some(host)) => Subject::Peer(host),
            (None, None) => Subject::Peer(word),
        },
    }
}

fn concerned<'a>(cluster: &'a Cluster, of: impl Fn(&&'a Peer) -> bool, counts: impl Fn(&Peer) -> bool) -> Vec<PeerId> {
    let all: Vec<&Peer> = cluster.peers.iter().map(AsRef::as_ref).filter(of).collect();
    let some: Vec<&Peer> = all.iter().copied().filter(|p| counts(p)).collect();
    (if some.is_empty() { all } else { some }).into_iter().map(|p| p.id.clone()).collect()
}

fn with_group<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Cluster, String> {
    let has = |c: &&Cluster| c.groups.iter().any(|g| g.as_str() == name);
    let fitting: Vec<&Cluster> = chosen(snapshot, None).filter(has).collect();
    match fitting.as_slice() {
        [one] => Ok(one),
        [] => {
            let groups: Vec<&str> =
                chosen(snapshot, None).flat_map(|c| &c.groups).map(crate::domain::GroupName::as_str).collect();
            let hint = did_you_mean(name, groups.iter().copied());
            Err(format!("no group is named \"{name}\"{hint} (`peerdeck list` shows all)"))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|c| c.name.as_str()).collect();
            Err(format!("several clusters have a group \"{name}\": {}. Choose with --cluster", names.join(", ")))
        }
    }
}

fn only_cluster(snapshot: &Snapshot) -> Result<&Cluster, String> {
    let all: Vec<&Cluster> = chosen(snapshot, None).collect();
    match all.as_slice() {
        [one] => Ok(one),
        several => {
            let names: Vec<&str> = several.iter().map(|c| c.name.as_str()).collect();
            Err(format!("the fleet has several clusters: {}. Choose with --cluster", names.join(", ")))
        }
    }
}
