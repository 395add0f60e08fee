//! Which unit an act is asked of, and what stands against it.

use super::group_named;
use crate::app::acts::ha_act_of;
use crate::app::keys::Key;
use crate::app::{Action, App, Cmd};
use crate::domain::ha::group::{HaGroup, Member};
use crate::domain::ha::{Effective, GroupKind, HaAct};
use crate::domain::{Cluster, Command, Line, PeerId, Severity, Time};
use crate::engine::plans;

impl App {
    /// Whether the group under the cursor knows this act at all: a config-only one has no failover and never shows
    /// one.
    pub(in crate::app) fn has_ha_act(&self, act: HaAct, now: Time) -> bool {
        let moment = self.moment(now);
        let group = self.cluster().zip(self.unit_group()).and_then(|(c, name)| group_named(c, name, moment));
        group.is_none_or(|g| offers(g.kind, act))
    }

    /// Why `act` can't be asked of the group under the cursor.
    #[must_use]
    pub fn ha_refusal(&self, act: HaAct, now: Time) -> Option<String> {
        if let Some(why) = self.hindrance() {
            return Some(why.to_owned());
        }
        let unit = match self.ha_unit(act, now) {
            Ok(unit) => unit,
            Err(why) => return Some(why),
        };
        let cluster = self.cluster()?;
        let plan = plans::plan(cluster, Command::Ha { act, on: unit, reason: Line::default() }, now);
        plan.obstacles.first().map(ToString::to_string)
    }

    /// The unit that `act` is asked of: who gives its role away, or who takes it.
    ///
    /// # Errors
    /// Why there is none, or not just one.
    pub fn ha_unit(&self, act: HaAct, now: Time) -> Result<PeerId, String> {
        let moment = self.moment(now);
        let cluster = self.cluster().ok_or("there is no cluster")?;
        let (Some(selected), Some(name)) = (self.unit(), self.unit_group()) else {
            return Err("no unit of an HA group is selected".to_owned());
        };
        let group = group_named(cluster, name, moment).ok_or_else(|| format!("group {name} is gone"))?;
        if !offers(group.kind, act) {
            return Err(format!("group {name} is config-only: it has no failover"));
        }
        meant(cluster, &group, act, selected, moment)
    }

    /// Something that is asked of a unit was chosen.
    pub(in crate::app) fn begin_ha(&mut self, action: Action, key: Option<Key>, now: Time) -> Vec<Cmd> {
        let Some(act) = ha_act_of(action) else { return Vec::new() };
        match (self.ha_refusal(act, now), self.ha_unit(act, now)) {
            (None, Ok(unit)) => self.ask_ha(act, unit, key, now),
            (Some(why), _) | (None, Err(why)) => {
                self.toast(why, Severity::Warning, now);
                Vec::new()
            }
        }
    }
}

/// What a group of this kind can be asked for.
fn offers(kind: GroupKind, act: HaAct) -> bool {
    match (kind, act) {
        (GroupKind::ActivePassive, _) | (GroupKind::ConfigOnly, HaAct::Sync) => true,
        (
            GroupKind::ConfigOnly,
            HaAct::Switchover | HaAct::Failover | HaAct::Restore | HaAct::Restart | HaAct::Accept,
        ) => false,
    }
}

fn meant(cluster: &Cluster, group: &HaGroup, act: HaAct, selected: &PeerId, now: Time) -> Result<PeerId, String> {
    let name = &group.name;
    // The one under the cursor if it is such a one, else the only such one.
    let one = |is: &dyn Fn(&Member) -> bool, what: &str| {
        let mut such = group.members.iter().filter(|m| is(m));
        if let Some(here) = group.members.iter().find(|m| m.id == *selected && is(m)) {
            return Ok(here.id.clone());
        }
        match (such.next(), such.next()) {
            (Some(only), None) => Ok(only.id.clone()),
            (None, _) => Err(format!("group {name} has no {what}")),
            (Some(a), Some(b)) => {
                let (a, b) = (cluster.label(&a.id), cluster.label(&b.id));
                Err(format!(
                    "group {name} has more than one {what} ({a}, {b}): put the cursor on the one that is meant"
                ))
            }
        }
    };
    let is_primary = |m: &Member| m.status.effective == Effective::Primary;
    match act {
        HaAct::Switchover => one(&|m| m.fresh && is_primary(m), "primary that can hand over"),
        // One that is silent can't take anything; if it is the only other one, its plan says so.
        HaAct::Failover => one(&|m| m.fresh && !is_primary(m), "unit in reach that is not primary"),
        HaAct::Restart => {
            one(&|m| matches!(m.status.effective, Effective::Off | Effective::Failed), "unit on which HA stands still")
        }
        HaAct::Accept => {
            one(&|m| m.status.quiet_until.is_some_and(|until| until > now), "takeover that waits to be acknowledged")
        }
        HaAct::Restore | HaAct::Sync => Ok(selected.clone()),
    }
}
