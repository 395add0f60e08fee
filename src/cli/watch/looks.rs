//! The picture as events of the alert core: what is there, and from when on what is not there is gone.

use std::time::Duration;

use crate::alerts::{Event, Kept};
use crate::config::Fleet;
use crate::domain::Time;
use crate::domain::alert::Seen;
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::snapshot::{Limits, Snapshot};
use crate::report::lines;

/// A link has flapped over this time; the engine begins anew with each start.
const FLAPPING: Duration = Duration::from_mins(10);

/// From when on a picture that lacks something means that it is gone.
#[derive(Clone, Debug)]
pub(super) struct Settling {
    began: Time,
    /// Every peer has answered or failed.
    complete: bool,
    limits: Limits,
}

impl Settling {
    /// The watch of `fleet` began at `began`.
    pub(super) fn new(fleet: &Fleet, began: Time) -> Self {
        let longest = |a: Limits, b: Limits| Limits {
            unreachable: a.unreachable.max(b.unreachable),
            group: a.group.max(b.group),
            recovery: a.recovery.max(b.recovery),
            unknown: a.unknown.max(b.unknown),
            propagation: a.propagation.max(b.propagation),
            ..a
        };
        let limits = fleet.clusters.iter().map(|c| c.settings.limits()).reduce(longest).unwrap_or_default();
        Self { began, complete: false, limits }
    }

    /// Every peer has answered or failed.
    pub(super) fn is_complete(&mut self) {
        self.complete = true;
    }

    /// When it is settled, if every peer has answered or failed by then.
    pub(super) fn at(&self) -> Time {
        let Limits { unreachable, group, recovery, .. } = self.limits;
        self.began + unreachable + group * 3 + recovery
    }

    /// Whether the engine has had the time to find out again that `finding` is there.
    fn is_over(&self, kind: FindingKind, now: Time) -> bool {
        let more = if kind == FindingKind::UnknownTooLong {
            self.limits.unknown
        } else if kind == FindingKind::CommitNotPropagated {
            self.limits.propagation
        } else if kind == FindingKind::LinkFlapping {
            FLAPPING
        } else {
            Duration::ZERO
        };
        self.complete && now >= self.at() + more
    }

    /// The whole picture as an event. What the engine can't know yet counts as there as long as it was.
    pub(super) fn picture<'a>(&self, snapshot: &Snapshot, kept: impl Iterator<Item = &'a Kept>, now: Time) -> Event {
        let mut seen: Vec<Seen> =
            snapshot.clusters.iter().flat_map(|c| c.findings.iter().map(|f| Seen::of(Some(c), f.clone()))).collect();
        let settled = self.complete && now >= self.at();
        if settled {
            let open: Vec<Seen> = kept
                .filter(|k| k.present && !self.is_over(k.seen.finding.kind, now))
                .filter(|k| seen.iter().all(|s| s.finding.id != k.seen.finding.id))
                .map(|k| k.seen.clone())
                .collect();
            seen.extend(open);
        }
        Event::Picture { seen, settled }
    }
}

/// A finding with the names of the picture.
pub(super) fn seen(snapshot: &Snapshot, finding: Finding) -> Seen {
    Seen::of(lines::named(snapshot, &finding.cluster), finding)
}
