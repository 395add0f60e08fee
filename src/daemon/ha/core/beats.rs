//! Heartbeats: sent, heard, and what their silence means (F2).

use std::time::Duration;

use super::Core;
use super::link::{Heard, Other};
use super::table::Trigger;
use crate::daemon::ha::types::{Effect, Way};
use crate::domain::ha::{BeatState, Effective, WitnessMode};
use crate::domain::ids::{BootId, PeerId};
use crate::domain::text::Line;
use crate::domain::time::{Time, human, millis};
use crate::proto::beat::{Beat, Message};

impl Core {
    /// Time between our beats: the interval; less if a holder's permit would else end between two of them.
    pub(super) fn beat_every(&self) -> Duration {
        let ha = &self.config.ha;
        if !ha.holds_addresses() || ha.witness == WitnessMode::Require {
            return ha.interval;
        }
        // The guard renews for `takeover_after - K` after each beat.
        let window = millis(ha.takeover_after().saturating_sub(ha.gone_after())).max(1);
        let parts = millis(ha.interval).div_ceil(window);
        ha.interval / u32::try_from(parts).unwrap_or(1).max(1)
    }

    pub(super) fn advance_beats(&mut self, now: Time) {
        if now < self.next_beat {
            return;
        }
        let every = self.beat_every();
        self.next_beat = if self.next_beat + every > now { self.next_beat + every } else { now + every };
        self.send_beats(now);
        self.look_at_links(now);
    }

    /// A beat on every link and to the witness, now.
    pub(super) fn send_beats(&mut self, now: Time) {
        // A late beat does not prolong a permit that the other may think to be over.
        if now.since(self.beat_sent) > self.config.ha.takeover_after() / 2 && self.holds_by_beats() {
            self.lapse(now, "its own beats came too late");
        }
        self.beat_sent = now;
        let ways: Vec<Way> = self.links.iter().map(|l| Way::Link(l.name, l.address)).collect();
        for way in ways.into_iter().chain(self.witness_ways()) {
            let message = Message::Beat(self.beat(now, way));
            self.out.push(Effect::Send { way, message });
        }
    }

    pub(super) fn witness_ways(&self) -> Vec<Way> {
        if self.config.ha.witness == WitnessMode::Off {
            return Vec::new();
        }
        self.config.ha.witness_at.iter().map(|at| Way::Witness(*at)).collect()
    }

    pub(super) fn link_ways(&self) -> Vec<Way> {
        self.links.iter().map(|l| Way::Link(l.name, l.address)).collect()
    }

    fn beat(&self, now: Time, way: Way) -> Beat {
        let ha = &self.config.ha;
        let (heard, seen) = match way {
            Way::Link(_, address) if self.is_pair() => {
                let _ = address;
                let other = self.other.as_ref();
                (other.map(|o| millis(now.since(o.heard))), other.map(|o| o.beat.at))
            }
            Way::Link(name, address) => {
                let link = self.links.iter().find(|l| l.name == name && l.address == address);
                (link.and_then(|l| l.heard).map(|at| millis(now.since(at))), None)
            }
            Way::Witness(_) => (None, None),
        };
        let stopping = self.stopping.as_ref();
        let gone = self.role == Effective::Off;
        Beat {
            configured: ha.configured.as_str().to_owned(),
            effective: self.role.as_str().to_owned(),
            epoch: self.told_epoch(),
            holds: self.may_hold(now),
            interval: millis(ha.interval),
            threshold: millis(ha.threshold),
            heard,
            at: now.as_millis(),
            seen,
            restarting: stopping.is_some_and(|s| s.restarting),
            leaving: gone && stopping.is_some_and(|s| !s.restarting),
            unreliable: self.distrust().is_some(),
            digest: self.configuration.digest.clone(),
            level: self.config.level,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The epoch in beats: that of a takeover from when its address may be added. It is on disk by then.
    fn told_epoch(&self) -> u64 {
        let adding = self.taking.as_ref().filter(|t| t.is_adding()).map_or(0, |t| t.epoch);
        self.epoch.max(adding.min(self.disk.on.epoch))
    }

    /// Whether it holds the address, or may add it any moment.
    fn may_hold(&self, now: Time) -> bool {
        self.taking.as_ref().is_some_and(|t| t.is_adding() || self.config.ha.witness != WitnessMode::Require)
            || (self.config.ha.holds_addresses() && !self.address.is_gone(now))
            || (!self.config.ha.holds_addresses() && self.role == Effective::Primary)
    }

    pub(super) fn on_heard(&mut self, now: Time, way: Way, from: &PeerId, boot: BootId, message: Message) {
        if *from == self.config.id {
            return; // Our own, thrown back.
        }
        match (message, way) {
            (Message::Beat(beat), Way::Link(..)) => self.on_beat(now, way, from, boot, beat),
            (Message::Beat(_), Way::Witness(_)) => self.witness_heard = Some(now),
            (Message::Ask { epoch, n, what }, Way::Link(..)) if self.is_other(from) => {
                self.on_ask(now, way, from, epoch, n, what);
            }
            (Message::Grant { n, unit, epoch, refused, top }, _) => {
                if matches!(way, Way::Witness(_)) {
                    self.witness_heard = Some(now);
                } else if !self.is_other(from) {
                    return;
                }
                self.on_grant(now, way, n, &unit, epoch, refused, top);
            }
            (Message::Yield { epoch, reason, row }, Way::Link(..)) if self.is_other(from) => {
                self.on_yield(now, epoch, &Line::new(&reason), row);
            }
            (Message::Swap { epoch, reason, row }, Way::Link(..)) if self.is_other(from) => {
                self.on_swap(now, epoch, &Line::new(&reason), row);
            }
            (Message::Release { epoch, to, reason, row }, Way::Link(..)) if self.is_other(from) => {
                if to == self.config.id.as_str() {
                    self.on_release(now, from, epoch, &Line::new(&reason), row);
                }
            }
            (Message::Taken { epoch }, Way::Link(..)) if self.is_other(from) => self.on_taken(now, epoch),
            (Message::Refused { epoch, reason }, Way::Link(..)) if self.is_other(from) => {
                self.on_refused(now, epoch, &Line::new(&reason));
            }
            (
                Message::Ask { .. }
                | Message::Yield { .. }
                | Message::Swap { .. }
                | Message::Release { .. }
                | Message::Taken { .. }
                | Message::Refused { .. }
                | Message::Unlisted,
                _,
            ) => {}
        }
    }

    /// Whether it is the other unit of the pair, of whom a beat was heard.
    fn is_other(&self, from: &PeerId) -> bool {
        self.is_pair() && self.other.as_ref().is_some_and(|o| o.id == *from)
    }

    fn on_beat(&mut self, now: Time, way: Way, from: &PeerId, boot: BootId, beat: Beat) {
        let Way::Link(name, address) = way else { return };
        let hears_us = beat.heard.map(|ms| Duration::from_millis(ms) < self.config.ha.threshold);
        let heard = Heard::new(beat);
        let Some(link) = self.links.iter_mut().find(|l| l.name == name && l.address == address) else { return };
        if self.config.ha.configured.kind() != Some(crate::domain::ha::GroupKind::ActivePassive) {
            link.beat(now, from, &heard);
            link.hears_us = hears_us.or(Some(false));
            self.compare(now);
            return;
        }
        // A pair has exactly one other: a second one is trouble, and is heard only when the first is long gone.
        let takes = self.config.ha.takeover_after();
        if let Some(other) = self.other.as_mut().filter(|o| o.id != *from && now.since(o.heard) < takes * 2) {
            if other.stranger.as_ref() != Some(from) {
                other.stranger = Some(from.clone());
                let text = format!("{from} beats on the links to {}: a pair has exactly two units", other.id);
                self.log(&text);
            }
            return;
        }
        if self.other.as_ref().is_some_and(|o| o.id == *from && boot < o.boot) {
            return; // Of an earlier start of it.
        }
        link.beat(now, from, &heard);
        if std::mem::take(&mut link.told) {
            let text = format!("the {} heartbeat link is heard again", name.as_str());
            self.log(&text);
        }
        for link in &mut self.links {
            link.hears_us = hears_us.or(Some(false));
        }
        self.on_pair_beat(now, from, boot, heard);
    }

    fn on_pair_beat(&mut self, now: Time, from: &PeerId, boot: BootId, heard: Heard) {
        let claims = heard.claims();
        let before = self.other.take();
        let same = before.as_ref().filter(|o| o.id == *from);
        let again = same.is_some_and(|o| o.boot == boot);
        if again && same.is_some_and(|o| heard.at < o.beat.at) {
            // Overtaken on the way by a newer one, on another link: it lives, but says nothing new.
            self.other = before.map(|o| Other { heard: now, ..o });
            return;
        }
        let was_primary = match same {
            Some(o) if again => o.was_primary,
            Some(o) => o.beat.said.effective == Effective::Primary || o.was_primary || self.role == Effective::HoldOff,
            None => false,
        };
        let claimed = if claims { Some(now) } else { same.and_then(|o| o.claimed) };
        let first = same.filter(|_| again).map_or(now, |o| o.first);
        let pause = self.config.ha.interval * 2;
        let streak = same.filter(|o| again && now.since(o.heard) <= pause).map_or(now, |o| o.streak);
        let back = self.silent_logged;
        self.silent_logged = false;
        self.services_logged = false;
        if same.is_some() && !again {
            self.log(&format!("{from} has started anew"));
        } else if back {
            self.log(&format!("{from} is heard again"));
        }
        let (restarting, said) = (heard.restarting, heard.said);
        // What made it primary once is past when it has lived on as something else.
        let was_primary = was_primary && matches!(said.effective, Effective::Off | Effective::Primary);
        self.top = self.top.max(said.epoch);
        self.other = Some(Other {
            id: from.clone(),
            boot,
            heard: now,
            first,
            streak,
            claimed,
            beat: heard,
            was_primary,
            stranger: None,
        });
        if self.role != Effective::Primary && self.taking.is_none() && said.epoch > self.epoch {
            self.adopt = self.adopt.max(said.epoch);
            self.disk.want.epoch = self.disk.want.epoch.max(said.epoch);
            if self.disk.on.epoch >= self.adopt {
                self.epoch = self.adopt;
            }
        }
        self.compare(now);
        self.on_said(now, restarting);
    }

    /// Whether the configuration is that of the primary (F14).
    fn compare(&mut self, now: Time) {
        let own = &self.configuration.digest;
        if own.is_empty() || self.configuration.trouble.is_some() {
            return;
        }
        let equal = |link: &super::link::Link| {
            let primary = |e: Effective| matches!(e, Effective::Primary | Effective::ConfigPrimary);
            link.digest == *own
                && (primary(self.role) || link.said.is_some_and(|s| primary(s.effective)))
                && link.heard.is_some_and(|at| now.since(at) < self.config.ha.threshold)
        };
        if self.links.iter().any(equal) {
            self.synced = Some(now);
        }
    }

    /// Silence on some links, or on all, is told once.
    fn look_at_links(&mut self, now: Time) {
        if !self.is_pair() || self.distrust().is_some() {
            return;
        }
        let threshold = self.config.ha.threshold;
        let alive = self.links.iter().any(|l| l.state(now, threshold) == BeatState::Ok);
        let silent: Vec<usize> = (0..self.links.len())
            .filter(|i| !self.links[*i].told && self.links[*i].state(now, threshold) == BeatState::Silent)
            .collect();
        if alive && !silent.is_empty() {
            for i in silent {
                self.links[i].told = true;
                let name = self.links[i].name.as_str();
                if !self.change(now, 2, Trigger::LinkSilent, &format!("{name}; the other one carries on")) {
                    self.out.push(Effect::Changed);
                }
            }
        }
        let gone = self.other.as_ref().filter(|o| now.since(o.heard) >= threshold).map(|o| (o.id.clone(), o.heard));
        if let Some((id, heard)) = gone.filter(|_| !self.silent_logged) {
            self.silent_logged = true;
            let text = format!("{id}, last heard {} ago", human(now.since(heard)));
            if self.row(11, Trigger::AllSilent).is_some() {
                self.change(now, 11, Trigger::AllSilent, &text);
            } else {
                self.log(&format!("no heartbeat on any link of {text}"));
            }
        }
    }
}
