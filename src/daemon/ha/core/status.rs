//! How the unit stands, in the words of [`HaStatus`].

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Core;
use crate::domain::ha::status::{Address, Heartbeat, Monitor, Permit};
use crate::domain::ha::{AddressAction, BeatState, Effective, HaStatus, MonitorState, WitnessMode};
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

impl Core {
    /// How the unit stands.
    #[must_use]
    pub fn status(&self, now: Time) -> HaStatus {
        let ha = &self.config.ha;
        HaStatus {
            group: ha.group.clone(),
            kind: ha.kind(),
            configured: ha.configured,
            effective: self.role,
            epoch: self.epoch,
            since: self.since,
            reason: self.reason.clone(),
            on_failure: ha.on_failure,
            interval: ha.interval,
            threshold: ha.threshold,
            takeover_after: ha.takeover_after(),
            split_brain: ha.split_brain,
            heartbeats: self.heartbeats(now),
            monitors: self.monitor_states(),
            addresses: self.addresses(now),
            permit: self.told_permit(now),
            rehearsal: self.rehearsal(now),
            hold_off_until: self.hold_off_until,
            quiet_until: self.quiet_until,
            distrust: self.distrust(),
            config_synced: self.synced,
            data_synced: None,
            sync_trouble: self.configuration.trouble.clone(),
            strangers: self.strangers,
            replays: self.replays,
            last_stranger: self.last_stranger.clone(),
            hook_trouble: self.hook_trouble.clone(),
            troubles: self.troubles(now),
            changes: self.changes.iter().cloned().collect(),
        }
    }

    fn heartbeats(&self, now: Time) -> Vec<Heartbeat> {
        let threshold = self.config.ha.threshold;
        let tell = |l: &super::link::Link| Heartbeat {
            link: l.name,
            peer: l.peer.clone(),
            address: l.address,
            state: l.state(now, threshold),
            heard: l.heard,
            hears_us: l.hears_us.filter(|_| l.state(now, threshold) != BeatState::Silent),
            missed: l.missed + l.heard.map_or(0, |at| super::link::missed(now.since(at), self.config.ha.interval)),
            intervals: l.intervals.iter().copied().collect(),
            said: l.said,
        };
        self.links.iter().map(tell).collect()
    }

    fn monitor_states(&self) -> Vec<Monitor> {
        let tell = |m: &super::monitors::Monitor| Monitor {
            kind: m.config.kind,
            state: if m.is_active() { m.state } else { MonitorState::Idle },
            failures: m.failures,
            retries: m.config.retries,
            next: m.is_active().then_some(m.next),
            detail: m.detail.clone(),
        };
        self.monitors.iter().map(tell).collect()
    }

    fn addresses(&self, now: Time) -> Vec<Address> {
        let held = self.address.held.filter(|_| !self.address.is_gone(now));
        let tell = |a: &crate::domain::ha::config::AddressConfig| {
            let moved = a.action != AddressAction::Ignore;
            Address {
                address: a.address,
                prefix: a.prefix,
                interface: Line::new(&a.interface),
                action: a.action,
                held: moved && held.is_some(),
                lease_until: held.filter(|_| moved),
            }
        };
        self.config.ha.addresses.iter().map(tell).collect()
    }

    fn told_permit(&self, now: Time) -> Permit {
        let holder = self.role == Effective::Primary || self.taking.is_some();
        let until = self.permit().filter(|until| holder && self.is_pair() && *until > now);
        let votes = match self.config.ha.witness {
            WitnessMode::Require => self.votes.count(now),
            WitnessMode::Advise | WitnessMode::Off => u8::from(until.is_some()),
        };
        Permit { mode: self.config.ha.witness, until, witness_heard: self.witness_heard, votes }
    }

    fn troubles(&self, now: Time) -> Vec<Line> {
        let mut troubles: Vec<Line> = Vec::new();
        troubles.extend(self.disk.stands(now));
        troubles.extend(self.guard_trouble.clone());
        troubles.extend(self.conflict.clone());
        let ha = &self.config.ha;
        let mut say = |text: String| troubles.push(Line::new(&text));
        if self.role == Effective::Primary && ha.holds_addresses() && self.address.is_gone(now) {
            let why = match &self.votes.refused {
                _ if self.address.lapsed.is_some() => {
                    "it lapsed, and nothing proves that nobody else has it".to_owned()
                }
                Some(why) if ha.witness == WitnessMode::Require => format!("no majority: {why}"),
                Some(_) | None => "there is no permit for it".to_owned(),
            };
            say(format!("this unit is primary but does not hold the address: {why}"));
        }
        if let Some(other) = self.other.as_ref().filter(|_| self.is_pair()) {
            let (id, beat) = (&other.id, &other.beat);
            if beat.said.configured == ha.configured {
                say(format!(
                    "{id} is configured as {} too: the higher epoch, then the lower serial is right",
                    ha.configured.as_str()
                ));
            }
            if beat.interval != ha.interval {
                let (theirs, ours) = (human(beat.interval), human(ha.interval));
                say(format!("hb-interval of {id} is {theirs}, here {ours}"));
            }
            if beat.threshold != ha.threshold {
                let (theirs, ours) = (human(beat.threshold), human(ha.threshold));
                say(format!("hb-lost-threshold of {id} is {theirs}, here {ours}"));
            }
            if beat.level != self.config.level {
                say(format!(
                    "{id} has level {}, this unit {}: no synchronisation, no switchover",
                    beat.level, self.config.level
                ));
            }
            let version = env!("CARGO_PKG_VERSION");
            if !beat.version.is_empty() && beat.version.as_str() != version {
                say(format!("{id} runs version {}, this unit {version}", beat.version));
            }
            if beat.unreliable {
                say(format!("{id} distrusts itself"));
            }
            if let Some(stranger) = &other.stranger {
                say(format!("{stranger} beats on the links to {id}: a pair has exactly two units"));
            }
            if self.two_logged && self.is_heard(now) {
                say(format!("two primaries: {id} in epoch {}, this unit in {}", beat.said.epoch, self.epoch));
            }
        }
        troubles
    }

    /// Of what is worth telling at once: all but ages and countdowns.
    pub(super) fn fingerprint(&self, now: Time) -> u64 {
        let mut hash = DefaultHasher::new();
        let threshold = self.config.ha.threshold;
        (self.role, self.epoch, self.starting.is_some(), self.address.held.is_some()).hash(&mut hash);
        (self.address.is_gone(now), self.quiet_until, self.hold_off_until, self.distrust()).hash(&mut hash);
        (self.configuration.digest.as_str(), &self.configuration.trouble, &self.hook_trouble).hash(&mut hash);
        for link in &self.links {
            let said = link.said.map(|s| (s.effective, s.epoch, s.holds));
            (link.state(now, threshold), link.hears_us, said).hash(&mut hash);
        }
        for monitor in &self.monitors {
            (monitor.state, monitor.failures).hash(&mut hash);
        }
        self.troubles(now).hash(&mut hash);
        hash.finish()
    }
}
