//! How a peer reaches another now: direct, over relays, or not at all (C18).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::domain::ids::PeerId;

/// A way from one peer to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// Over their own link.
    Direct,
    /// Over others, the next hop first.
    Relayed {
        /// The peers in between, in order; never empty.
        via: Vec<PeerId>,
        /// Sum of the known round trips.
        rtt: Duration,
    },
    /// No way is known.
    None,
}

/// Usable links by origin: target and round trip (zero where it is unknown).
pub type Edges = BTreeMap<PeerId, Vec<(PeerId, Duration)>>;

/// The best way from `from` to every peer: fewest hops, then the smallest sum of round trips, then the
/// lower serial numbers, so that every holder of the same rows computes the same table.
#[must_use]
pub fn routes(from: &PeerId, edges: &Edges) -> BTreeMap<PeerId, Route> {
    let mut best: BTreeMap<&PeerId, (usize, Duration, Vec<&PeerId>)> = BTreeMap::new();
    best.insert(from, (0, Duration::ZERO, Vec::new()));
    let mut queue = VecDeque::from([from]);
    // Level by level: all ways of n hops are settled before one of n + 1 is looked at.
    while let Some(at) = queue.pop_front() {
        let Some((hops, rtt, path)) = best.get(at).cloned() else { continue };
        for (to, cost) in edges.get(at).into_iter().flatten() {
            let mut way = path.clone();
            way.push(to);
            let candidate = (hops + 1, rtt.saturating_add(*cost), way);
            match best.get(to) {
                None => queue.push_back(to),
                Some(known) if candidate < *known => {}
                Some(_) => continue,
            }
            best.insert(to, candidate);
        }
    }
    best.into_iter()
        .filter(|(to, _)| *to != from)
        .map(|(to, (_, rtt, mut way))| {
            way.pop();
            let route = if way.is_empty() {
                Route::Direct
            } else {
                Route::Relayed { via: way.into_iter().cloned().collect(), rtt }
            };
            (to.clone(), route)
        })
        .collect()
}
