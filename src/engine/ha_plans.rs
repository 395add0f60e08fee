//! Plans for HA groups: what is known, what stands against a command, what it does, and what shows that it was done (F15).

use std::time::Duration;

use super::ha_rules::list;
use crate::domain::ha::group::{HaGroup, Member, groups};
use crate::domain::ha::status::Heartbeat;
use crate::domain::ha::{BeatState, Effective, GroupKind, HaAct, HaStatus};
use crate::domain::snapshot::{Cluster, Peer};
use crate::domain::time::{Time, human};

/// A change that was seen so long before the command was sent still counts as made by it: clocks of two machines.
const SKEW: Duration = Duration::from_secs(1);

/// The lines of a plan.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// What is known, and what can't be.
    pub evidence: Vec<String>,
    /// What it will do.
    pub effects: Vec<String>,
    /// What stands against it.
    pub obstacles: Vec<String>,
}

/// One command to one unit, and all that is known around it.
struct Case<'a> {
    cluster: &'a Cluster,
    peer: &'a Peer,
    name: &'a str,
    status: &'a HaStatus,
    group: HaGroup,
    act: HaAct,
    now: Time,
}

/// The plan for `act` on `peer`.
pub(super) fn plan(cluster: &Cluster, peer: &Peer, name: &str, act: HaAct, now: Time) -> Lines {
    let Some((status, _)) = &peer.ha else {
        return Lines { obstacles: vec![format!("{name} is in no HA group")], ..Lines::default() };
    };
    let Some(group) = groups(cluster, now).into_iter().find(|g| g.name == status.group) else {
        return Lines::default();
    };
    let case = Case { cluster, peer, name, status, group, act, now };
    Lines { evidence: case.evidence(), effects: case.effects(), obstacles: case.obstacles() }
}

impl Case<'_> {
    fn label(&self, member: &Member) -> &str {
        self.cluster.peer(&member.id).map_or("?", |p| self.cluster.label(&p.id))
    }

    /// The other unit of a pair.
    fn other(&self) -> Option<&Member> {
        let mut others = self.group.members.iter().filter(|m| m.id != self.peer.id);
        others.next().filter(|_| self.group.kind == GroupKind::ActivePassive && others.next().is_none())
    }

    fn other_name(&self) -> &str {
        self.other().map_or("the other unit", |m| self.label(m))
    }

    /// Whose role or address is at stake: the other unit, or in a larger group whoever is primary.
    fn concerned(&self) -> Vec<&Member> {
        let is_primary = |m: &&Member| matches!(m.status.effective, Effective::Primary | Effective::ConfigPrimary);
        let of = |m: &&Member| match self.group.kind {
            GroupKind::ActivePassive => true,
            GroupKind::ConfigOnly => m.id == self.peer.id || is_primary(m),
        };
        self.group.members.iter().filter(of).collect()
    }

    fn evidence(&self) -> Vec<String> {
        let mut out = Vec::new();
        for m in self.concerned() {
            let (name, s) = (self.label(m), &m.status);
            let age = human(self.now.since(m.at));
            let (role, configured) = (s.effective.as_str(), s.configured.as_str());
            out.push(if m.fresh {
                format!("{name} is {role} (configured {configured}) in epoch {}", s.epoch)
            } else {
                format!(
                    "{name} said {age} ago that it is {role} in epoch {}; what it is now can't be known here",
                    s.epoch
                )
            });
            out.extend(self.beats(m));
        }
        if self.group.kind == GroupKind::ActivePassive {
            out.extend(self.addresses());
        }
        out.extend(self.sync());
        let told = self.group.fresh().find_map(|m| self.group.rehearsal(m, |id| self.cluster.label(id).to_owned()));
        out.extend(told);
        out
    }

    /// Who was heard when, on each link.
    fn beats(&self, m: &Member) -> Option<String> {
        let beats: Vec<&Heartbeat> = m.status.heartbeats.iter().collect();
        if !m.fresh || beats.is_empty() || self.group.kind == GroupKind::ConfigOnly {
            return None;
        }
        let one = |h: &&Heartbeat| match h.heard {
            Some(at) => format!("{} ago on the {} link", human(self.now.since(at)), h.link.as_str()),
            None => format!("never on the {} link", h.link.as_str()),
        };
        let of = self.group.members.iter().find(|o| o.id != m.id).map_or("the other unit", |o| self.label(o));
        let threshold = human(m.status.threshold);
        Some(format!("{} heard {of} {} (dead after {threshold})", self.label(m), list(beats.iter().map(one))))
    }

    fn addresses(&self) -> Vec<String> {
        let holders = self.group.holders();
        let line = |(address, who): (&std::net::IpAddr, &Vec<&crate::domain::ids::PeerId>)| match who.as_slice() {
            [] if self.group.members.iter().all(|m| m.fresh) => format!("{address} is held by nobody"),
            [] => format!("who holds {address} can't be known here"),
            who => format!("{address} is held by {}", list(who.iter().map(|id| self.cluster.label(id).to_owned()))),
        };
        holders.iter().map(line).collect()
    }

    /// How far the unit that waits is behind.
    fn sync(&self) -> Vec<String> {
        let mut out = Vec::new();
        let waits = |m: &&Member| matches!(m.status.effective, Effective::Secondary | Effective::ConfigSecondary);
        let of = self.concerned();
        for m in of.into_iter().filter(|m| m.fresh).filter(waits) {
            let name = self.label(m);
            out.push(match (&m.status.sync_trouble, m.status.config_synced) {
                (Some(why), _) => format!("the configuration of {name} is not in step: {why}"),
                (None, Some(at)) => {
                    format!("the configuration of {name} was in step {} ago", human(self.now.since(at)))
                }
                (None, None) => format!("whether the configuration of {name} is in step is not known"),
            });
            if self.group.kind == GroupKind::ActivePassive {
                out.push(match m.status.data_synced {
                    Some(at) => format!(
                        "mail data was brought to {name} {} ago: later mail is on the other unit alone",
                        human(self.now.since(at))
                    ),
                    None => format!("mail data is not brought to {name}: what waits on the other unit stays there"),
                });
            }
        }
        out
    }

    /// Why the unit would refuse, as far as can be told from here.
    fn obstacles(&self) -> Vec<String> {
        let (name, role) = (self.name, self.status.effective);
        if self.group.kind == GroupKind::ConfigOnly && !matches!(self.act, HaAct::Sync | HaAct::Restart) {
            return vec![format!("group {} is config-only: it has no failover", self.group.name)];
        }
        let first = match self.act {
            HaAct::Switchover if role != Effective::Primary => {
                Some(format!("{name} is {}, only the primary can hand over", role.as_str()))
            }
            HaAct::Failover if role == Effective::Primary => Some(format!("{name} is primary already")),
            HaAct::Restore if self.group.wrong_primary().is_some() => {
                Some("two units are primary: `switchover` ends that, then roles can be restored".into())
            }
            HaAct::Restore if self.status.is_as_configured() => {
                Some(format!("{name} is {} as configured", self.status.configured.as_str()))
            }
            HaAct::Restart if !matches!(role, Effective::Off | Effective::Failed) => {
                Some(format!("{name} is {}: HA runs there", role.as_str()))
            }
            HaAct::Accept if self.status.quiet_until.is_none_or(|until| until <= self.now) => {
                Some(format!("no takeover waits to be accepted at {name}"))
            }
            HaAct::Switchover | HaAct::Failover | HaAct::Restore | HaAct::Restart | HaAct::Sync | HaAct::Accept => {
                let age = self.peer.ha.as_ref().map(|(_, at)| human(self.now.since(*at))).unwrap_or_default();
                (!self.peer.is_reached()).then(|| format!("{name} is not reached; its last word is {age} old"))
            }
        };
        match first {
            Some(why) => vec![why],
            None if self.act == HaAct::Switchover => self.preflight(),
            None => Vec::new(),
        }
    }

    /// A switchover loses nothing, or it is refused: the other must be well and in step.
    fn preflight(&self) -> Vec<String> {
        let mut out = Vec::new();
        let (name, other) = (self.name, self.other_name());
        let heard = |h: &Heartbeat| h.state == BeatState::Ok;
        if !self.status.heartbeats.iter().any(heard) {
            out.push(format!("{name} hears nothing of {other}: `failover` takes the role by force"));
        }
        let Some(m) = self.other() else {
            out.push(format!("{name} has no other unit that is known here"));
            return out;
        };
        if let Some(wrong) = self.group.wrong_primary() {
            if wrong.id != self.peer.id {
                out.push(format!(
                    "{} is primary too, and wrong: it is the one that shall hand over",
                    self.label(wrong)
                ));
            }
            return out;
        }
        if !m.fresh {
            return out; // What the holder hears of it counts then, and it decides.
        }
        if m.status.effective != Effective::Secondary {
            out.push(format!("{other} is {}, not secondary", m.status.effective.as_str()));
        }
        if let Some(why) = &m.status.distrust {
            out.push(format!("{other} distrusts itself: {why}"));
        }
        let level = |id| self.cluster.peer(id).and_then(|p| p.identity.as_ref()).map(|i| i.level);
        if let (Some(a), Some(b)) = (level(&self.peer.id), level(&m.id))
            && a != b
        {
            out.push(format!("{name} is of level {a}, {other} of level {b}"));
        }
        if let Some(why) = &m.status.sync_trouble {
            out.push(format!("the configuration of {other} is not in step: {why}"));
        } else if let Some(at) = m.status.config_synced
            && self.now.since(at) > self.cluster.limits.propagation
        {
            let age = human(self.now.since(at));
            out.push(format!("the configuration of {other} was last in step {age} ago; `sync` brings it there"));
        }
        out
    }

    /// What it will do.
    fn effects(&self) -> Vec<String> {
        let (name, other, next) = (self.name, self.other_name(), self.group.epoch() + 1);
        match self.act {
            HaAct::Switchover if self.group.wrong_primary().is_some() => {
                vec![format!("{name} lets its addresses go and becomes secondary; {other} stays primary")]
            }
            HaAct::Switchover => vec![
                format!("{name} lets its addresses go, then {other} takes them: connections that are open break"),
                format!("{other} becomes primary in epoch {next}, {name} secondary; nothing is lost"),
            ],
            HaAct::Failover => vec![
                format!("{name} becomes primary in epoch {next} and takes the addresses, whatever {other} says"),
                format!("mail that {other} has taken and not handed over is out of reach until it is back"),
                format!("if {other} lives and is cut off, it keeps serving until its permit ends"),
            ],
            HaAct::Restore => {
                let configured = self.status.configured.as_str();
                vec![format!("{name} becomes {configured} as configured; {other} swaps with it")]
            }
            HaAct::Restart => {
                vec![format!("HA starts again on {name}; mend the cause first, or its monitor fires again")]
            }
            HaAct::Sync => vec![format!("the configuration of the primary is brought to {name} now")],
            HaAct::Accept => vec![
                "the quiet period ends: services may trigger a takeover again, and the takeover is no finding any more"
                    .into(),
            ],
        }
    }
}

/// What the unit's own word shows of it; `None` as long as it shows nothing. `basis`: its role and epoch as it was decided.
pub(super) fn seen(peer: &Peer, act: HaAct, sent: Time, basis: Option<(Effective, u64)>, now: Time) -> Option<String> {
    let (status, told) = peer.ha.as_ref()?;
    if *told < sent {
        return None;
    }
    let is = format!("it is {} in epoch {}", status.effective.as_str(), status.epoch);
    let rose = basis.is_none_or(|(_, epoch)| status.epoch > epoch);
    let done = match act {
        HaAct::Switchover => status.effective == Effective::Secondary && rose,
        HaAct::Failover => status.effective == Effective::Primary && rose,
        HaAct::Restore => status.is_as_configured(),
        HaAct::Restart => !matches!(status.effective, Effective::Off | Effective::Failed),
        HaAct::Sync => {
            let synced = status.config_synced.is_some_and(|at| at >= sent.before(SKEW));
            return (synced && status.sync_trouble.is_none()).then(|| "its configuration is in step".into());
        }
        HaAct::Accept => {
            let over = status.quiet_until.is_none_or(|until| until <= now);
            return over.then(|| "its quiet period is over".into());
        }
    };
    done.then_some(is)
}
