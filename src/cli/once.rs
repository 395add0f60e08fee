//! One look: wait until every peer has answered or failed, or the time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::domain::snapshot::{Cluster, Snapshot};
use crate::domain::{ReachState, Time};
use crate::engine::runtime::Observer;

/// What was seen.
pub struct Look {
    /// The picture, as old as it is now.
    pub snapshot: Snapshot,
    /// Whether every peer had answered or failed.
    pub complete: bool,
}

/// How far a look is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// Somebody is still being dialled, or has not told what it sees.
    Open,
    /// All have answered or failed; of those who failed, fellows may still tell something.
    Failed,
    /// All have answered.
    Answered,
}

/// How long fellows have to pass on what a peer that is not reached said last.
const RELAY: Duration = Duration::from_millis(1500);
/// How long the engine has to judge what came last.
const JUDGE: Duration = Duration::from_millis(300);

/// Looks until everything is in or `timeout` is over. `judged`: findings are wanted too.
pub async fn look(observer: &Observer, clock: &dyn Clock, timeout: Duration, judged: bool) -> Look {
    let mut pictures = observer.snapshots.clone();
    let deadline = Instant::now() + timeout;
    let mut since: Option<(Progress, Instant)> = None;
    loop {
        let snapshot = as_of(&pictures.borrow_and_update(), clock.now());
        let progress = progress(&snapshot);
        if since.is_none_or(|(p, _)| p != progress) {
            since = Some((progress, Instant::now()));
        }
        let enough = match progress {
            Progress::Open => None,
            Progress::Failed => Some(RELAY),
            Progress::Answered => Some(if judged { JUDGE } else { Duration::ZERO }),
        };
        let enough = enough.zip(since).map(|(wait, (_, from))| from + wait);
        if enough.is_some_and(|at| at <= Instant::now()) {
            return Look { snapshot, complete: true };
        }
        tokio::select! {
            changed = pictures.changed() => if changed.is_err() {
                return Look { snapshot, complete: false };
            },
            () = sleep_until(enough.unwrap_or(deadline)), if enough.is_some_and(|at| at < deadline) => {}
            () = sleep_until(deadline) => {
                let snapshot = as_of(&pictures.borrow(), clock.now());
                let complete = self::progress(&snapshot) != Progress::Open;
                return Look { snapshot, complete };
            }
        }
    }
}

/// Looks on for a short while until `enough` holds: what only fellows can tell comes later than what is dialled.
pub async fn look_on(observer: &Observer, clock: &dyn Clock, look: Look, enough: impl Fn(&Snapshot) -> bool) -> Look {
    look_until(observer, clock, look, Instant::now() + RELAY, enough).await
}

/// As [`look_on`], at the longest to `deadline`.
pub async fn look_until(
    observer: &Observer,
    clock: &dyn Clock,
    look: Look,
    deadline: Instant,
    enough: impl Fn(&Snapshot) -> bool,
) -> Look {
    let mut pictures = observer.snapshots.clone();
    let mut look = look;
    while !enough(&look.snapshot) {
        tokio::select! {
            changed = pictures.changed() => if changed.is_err() {
                return look;
            },
            () = sleep_until(deadline) => return look,
        }
        look.snapshot = as_of(&pictures.borrow_and_update(), clock.now());
    }
    look
}

/// The picture with its facts as old as they are at `now`: the engine makes no new one while nothing changes.
#[must_use]
pub fn as_of(snapshot: &Arc<Snapshot>, now: Time) -> Snapshot {
    let at = now.max(snapshot.at);
    Snapshot { at, ..Snapshot::clone(snapshot) }
}

fn progress(snapshot: &Snapshot) -> Progress {
    let all = snapshot.clusters.iter().map(|c| of_cluster(snapshot, c));
    all.min_by_key(|p| match p {
        Progress::Open => 0,
        Progress::Failed => 1,
        Progress::Answered => 2,
    })
    .unwrap_or(Progress::Answered)
}

fn of_cluster(snapshot: &Snapshot, cluster: &Cluster) -> Progress {
    let mut progress = Progress::Answered;
    let relays = cluster.peers.iter().any(|p| p.is_reached());
    for peer in &cluster.peers {
        let told = peer.is_row_fresh(&cluster.limits, snapshot.at);
        if !peer.observed {
            continue;
        }
        match peer.reach.state {
            ReachState::Connecting => return Progress::Open,
            ReachState::Connected if !told => return Progress::Open,
            ReachState::Connected => {}
            ReachState::Unreachable | ReachState::AskHostKey => {
                if !told && relays {
                    progress = Progress::Failed;
                }
            }
        }
    }
    progress
}
