//! Whether the facts that a command was decided on still hold, by what this peer knows itself.

use super::Core;
use super::fellow::Fellow;
use crate::domain::ids::PeerId;
use crate::domain::membership::MACHINES_MAX;
use crate::domain::mesh::{LinkState, Row};
use crate::domain::text::clean;
use crate::domain::time::Time;
use crate::proto::rpc::WireBasis;

/// Of many changes so many are named.
const NAMED_MAX: usize = 5;

impl Core {
    /// Refuses a command for this machine whose basis has changed, and says in what.
    pub(super) fn check_own_basis(&self, now: Time, basis: &WireBasis) -> Result<(), String> {
        self.check(now, &self.config.id, self.config.detached.is_some(), Some(&self.own_row(now)), basis)
    }

    /// The same for a fellow: its own word counts while it is fresh. It will look again itself.
    pub(super) fn check_basis_of(&self, now: Time, fellow: &Fellow, basis: &WireBasis) -> Result<(), String> {
        let fresh = self.silence_limit() * 2;
        let row = self.rows.get(fellow.id()).filter(|r| now.since(r.vouched) <= fresh);
        self.check(now, fellow.id(), fellow.detached.is_some(), row.map(|r| &**r), basis)
    }

    fn check(
        &self,
        now: Time,
        target: &PeerId,
        detached: bool,
        row: Option<&Row>,
        basis: &WireBasis,
    ) -> Result<(), String> {
        let mut changes = Vec::new();
        let name = self.name_of(target);
        if basis.detached.is_some_and(|was| was != detached) {
            changes.push(format!("{name} is {} now", if detached { "detached" } else { "connected" }));
        }
        let maintenance = row.map(|r| r.maintenance.as_ref().is_some_and(|m| m.holds(now)));
        if let (Some(was), Some(is)) = (basis.maintenance, maintenance)
            && was != is
        {
            changes.push(format!("{name} is {}", if is { "in maintenance now" } else { "no longer in maintenance" }));
        }
        for (serial, was) in basis.links.iter().take(MACHINES_MAX) {
            let Some(row) = row else { break };
            let fellow = PeerId::new(serial);
            let is = row.link(&fellow).is_some_and(|l| l.state == LinkState::Connected);
            if is != *was {
                let state = if is { "is connected now" } else { "is no longer connected" };
                changes.push(format!("the link from {name} to {} {state}", self.name_of(&fellow)));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let more = changes.len().saturating_sub(NAMED_MAX);
        changes.truncate(NAMED_MAX);
        let more = if more > 0 { format!("; and {more} more changes") } else { String::new() };
        Err(format!("{}{more}", changes.join("; ")))
    }

    /// Refuses a command that was decided on another membership.
    pub(super) fn check_membership(&self, basis: &WireBasis) -> Result<(), String> {
        let ours = self.config.membership.revision;
        match basis.membership {
            Some(theirs) if theirs != ours => {
                Err(format!("the membership has changed: revision {ours} now, {theirs} when it was decided"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The host name of a member; of others the serial number, as far as it can be shown.
    pub(super) fn name_of(&self, id: &PeerId) -> String {
        match self.config.membership.machine(id) {
            Some(machine) => machine.host.to_string(),
            None => clean(id.as_str(), 40),
        }
    }
}
