//! Peers by name: full host name, first label where it is unique, or serial number; exact matches only.

use std::sync::Arc;

use crate::config::problem::did_you_mean;
use crate::domain::snapshot::{Cluster, Peer, Snapshot};
use crate::report::chosen;

/// Finds the peer that `name` names.
///
/// # Errors
/// When none or several fit, in words.
pub fn find<'a>(
    snapshot: &'a Snapshot,
    only: Option<&'a str>,
    name: &str,
) -> Result<(&'a Cluster, &'a Arc<Peer>), String> {
    let all = || chosen(snapshot, only).flat_map(|c| c.peers.iter().map(move |p| (c, p)));
    let wanted = name.trim_end_matches('.').to_lowercase();
    let exact: Vec<_> = all().filter(|(_, p)| p.host.as_str() == wanted || p.id.as_str() == name).collect();
    let fitting = if exact.is_empty() { all().filter(|(_, p)| p.host.short() == wanted).collect() } else { exact };
    match fitting.as_slice() {
        [one] => Ok(*one),
        [] => {
            let labels: Vec<&str> = all().flat_map(|(_, p)| [p.host.short(), p.host.as_str()]).collect();
            let hint = did_you_mean(&wanted, labels.iter().copied());
            Err(format!("no peer is named \"{name}\"{hint} (`peerdeck list` shows all)"))
        }
        several => {
            let names: Vec<String> = several.iter().map(|(c, p)| format!("{} of {}", p.host, c.name)).collect();
            Err(format!(
                "\"{name}\" fits several peers: {}. Use the full name, the serial number or --cluster",
                names.join(", ")
            ))
        }
    }
}
