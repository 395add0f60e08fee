//! How often links change between connected and down.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::domain::ids::PeerId;
use crate::domain::time::Time;

/// Changes are counted over this time.
pub(super) const WINDOW: Duration = Duration::from_mins(10);

/// A link that has kept its state for this long flaps no more, whatever it did before.
pub(super) const CALM: Duration = Duration::from_mins(2);

/// No more than this many are remembered of one link.
const KEPT: usize = 64;

/// The changes of each directed link that has changed lately.
#[derive(Debug, Default)]
pub(super) struct Flaps(BTreeMap<(PeerId, PeerId), VecDeque<Time>>);

impl Flaps {
    /// A link went from connected to down, or back.
    pub fn count(&mut self, from: &PeerId, to: &PeerId, now: Time) {
        let times = self.0.entry((from.clone(), to.clone())).or_default();
        if times.len() == KEPT {
            times.pop_front();
        }
        times.push_back(now);
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Time) {
        self.0.retain(|_, times| {
            while times.front().is_some_and(|t| now.since(*t) > WINDOW) {
                times.pop_front();
            }
            !times.is_empty()
        });
    }

    /// Links with at least `limit` changes that go on changing, how many, and since when.
    pub fn over(&self, limit: u32, now: Time) -> impl Iterator<Item = (&PeerId, &PeerId, u32, Time)> {
        self.0.iter().filter_map(move |((from, to), times)| {
            let n = u32::try_from(times.len()).unwrap_or(u32::MAX);
            let goes_on = times.back().is_some_and(|t| now.since(*t) <= CALM);
            times.front().filter(|_| n >= limit && goes_on).map(|first| (from, to, n, *first))
        })
    }
}
