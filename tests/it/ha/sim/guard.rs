//! The guard process and the kernel of one unit's machine, as they are stated: `10-peer.md`, "Who may hold the address".

use std::time::Duration;

use peerdeck::daemon::ha::{GuardOrder, GuardReport};
use peerdeck::domain::time::Time;
use rand::RngExt;
use rand::rngs::StdRng;

use super::Bug;

/// The lease, as the kernel counts it.
const LEASE_MS: u64 = 1_000;

/// K.
pub const GONE: Duration = Duration::from_secs(3);

/// The guard may stand still so long between its check and its call; that and the kernel's lateness stay within K.
pub const BETWEEN: u64 = 40;

/// How late the kernel may be, beside that.
const LATE: u64 = 2_000 - BETWEEN - 10;

/// What the guard does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Look at the order again, after so many ms of its clock.
    Look(u64),
    /// The check was good: make the call after so many ms.
    Call(u64),
    /// Delete after so many ms.
    Delete(u64),
    /// Wait for an order.
    Rest,
}

#[derive(Debug, Default)]
pub struct Guard {
    pub order: Option<GuardOrder>,
    /// Whether the kernel has the address.
    pub present: bool,
    /// When the kernel removes it, on its own clock.
    pub expires: u64,
    /// Names the lease: an older expiry does not count.
    pub lease: u64,
    renewed: u64,
    told: bool,
    probed: bool,
}

impl Guard {
    /// As one that was just started; older leases no longer count.
    pub fn after(earlier: &Self) -> Self {
        Self { lease: earlier.lease + 1, ..Self::default() }
    }

    /// Looks at the newest order at `now` of its clock.
    pub fn look(&mut self, now: Time, rng: &mut StdRng, bug: Option<Bug>, reports: &mut Vec<GuardReport>) -> Next {
        if self.told && !self.present {
            self.told = false;
            self.probed = false;
            reports.push(GuardReport::Lapsed);
        }
        match &self.order {
            None => Next::Rest,
            Some(GuardOrder::Drop) => Next::Delete(rng.random_range(0..BETWEEN)),
            Some(GuardOrder::Hold { until, probe, .. }) => {
                let may = now + GONE <= *until || bug == Some(Bug::RenewsWithoutPermit);
                if may && *probe && !self.present && !self.probed {
                    self.probed = true;
                    return Next::Look(200);
                }
                if may {
                    // Most calls follow at once; some wait for the processor.
                    let wait = if rng.random_bool(0.1) { rng.random_range(0..BETWEEN) } else { 0 };
                    return Next::Call(if bug == Some(Bug::NeverLooksAgain) && rng.random_bool(0.02) {
                        6_000
                    } else {
                        wait
                    });
                }
                if self.present && now.as_millis() >= self.renewed + LEASE_MS {
                    return Next::Delete(0);
                }
                Next::Look(100)
            }
        }
    }

    /// Adds or renews, at `now`.
    pub fn call(&mut self, now: Time, rng: &mut StdRng, bug: Option<Bug>, reports: &mut Vec<GuardReport>) -> Next {
        let Some(GuardOrder::Hold { epoch, until, .. }) = self.order.clone() else { return Next::Look(0) };
        let late = match rng.random_range(0..100) {
            0..80 => rng.random_range(0..650),
            80..98 => rng.random_range(0..1_200),
            _ => rng.random_range(0..LATE),
        };
        self.present = true;
        self.told = true;
        self.renewed = now.as_millis();
        self.lease += 1;
        self.expires = now.as_millis() + LEASE_MS + late;
        if now > until && bug != Some(Bug::NeverLooksAgain) && bug != Some(Bug::RenewsWithoutPermit) {
            return Next::Delete(0);
        }
        reports.push(GuardReport::Held { epoch, until: now + GONE });
        Next::Look(rng.random_range(200..350))
    }

    /// Deletes.
    pub fn delete(&mut self, reports: &mut Vec<GuardReport>) -> Next {
        self.present = false;
        self.lease += 1;
        let by_order = self.order == Some(GuardOrder::Drop);
        if by_order {
            self.order = None;
            reports.push(GuardReport::Dropped);
        } else if self.told {
            reports.push(GuardReport::Lapsed);
        }
        self.told = false;
        self.probed = false;
        if by_order { Next::Rest } else { Next::Look(100) }
    }
}
