//! By what the address is held: votes, permits, orders to the guard (B1; `src/docs/ha.md` has the proofs).

use std::collections::VecDeque;
use std::time::Duration;

use super::Core;
use super::table::Trigger;
use crate::daemon::ha::types::{Effect, GuardOrder, GuardReport, Way};
use crate::domain::ha::{Effective, WitnessMode};
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::{Time, human};
use crate::proto::beat::{Message, Want};

/// Questions that may be open: what is older has no use any more.
const OPEN_MAX: usize = 32;

/// What the three voters have granted, each until when it may be counted with.
#[derive(Debug, Default)]
pub(super) struct Votes {
    epoch: u64,
    pub(super) own: Option<Time>,
    pub(super) other: Option<Time>,
    pub(super) witness: Option<Time>,
    /// When which question was sent.
    open: VecDeque<(u64, Time)>,
    n: u64,
    pub(super) next: Time,
    pub(super) refused: Option<Line>,
}

impl Votes {
    /// Forgets all: grants that are still on their way count for nothing.
    pub(super) fn clear(&mut self, epoch: u64) {
        *self = Self { epoch, n: self.n, next: self.next, ..Self::default() };
    }

    /// A new question at `now`.
    pub(super) fn open(&mut self, now: Time) -> u64 {
        // Numbers of an earlier start are never ours: they follow the clock.
        self.n = self.n.max(now.as_millis()).saturating_add(1);
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back((self.n, now));
        self.n
    }

    /// The own vote and one more: until the earlier of the two ends.
    fn until(&self) -> Option<Time> {
        Some(self.own?.min(self.other.max(self.witness)?))
    }

    pub(super) fn count(&self, now: Time) -> u8 {
        [self.own, self.other, self.witness].into_iter().map(|at| u8::from(at.is_some_and(|at| at > now))).sum()
    }
}

/// What the guard was told and has said.
#[derive(Debug, Default)]
pub(super) struct Address {
    /// It may hold: in which epoch, until when.
    pub(super) order: Option<(u64, Time)>,
    /// The addresses are gone then, whatever the guard does.
    pub(super) until: Time,
    /// It was told to drop and has not answered.
    waiting: bool,
    /// An answer to an earlier order is still to come.
    owed: bool,
    /// They are there, until then without renewal.
    pub(super) held: Option<Time>,
    /// The permit ended or the addresses went away by themselves: they come back only with proof.
    pub(super) lapsed: Option<Time>,
}

impl Address {
    /// Whether none of them is there, for certain.
    pub(super) fn is_gone(&self, now: Time) -> bool {
        now >= self.until || (self.order.is_none() && !self.waiting)
    }
}

impl Core {
    /// D / 10.
    fn ask_every(&self) -> Duration {
        self.config.ha.permit_length() / 10
    }

    /// The epoch that votes are asked for now.
    pub(super) fn asking(&self) -> Option<u64> {
        if self.config.ha.witness != WitnessMode::Require || self.ceding.is_some() {
            return None;
        }
        match &self.taking {
            Some(t) => t.asks(self.disk.on.epoch).then_some(t.epoch),
            None => (self.role == Effective::Primary).then_some(self.epoch),
        }
    }

    pub(super) fn advance_asks(&mut self, now: Time) {
        let Some(epoch) = self.asking() else { return };
        if self.votes.epoch != epoch {
            self.votes.clear(epoch);
            self.votes.next = now;
        }
        if now < self.votes.next {
            return;
        }
        self.votes.next = now + self.ask_every();
        let me = self.me().clone();
        match self.voter.ask(now, &me, epoch) {
            Ok(()) => self.votes.own = Some(now + self.config.ha.permit_length()),
            Err(why) => {
                self.votes.refused = Some(Line::new(&why));
                self.on_later_epoch(now, self.voter.top_beside(&me));
                if self.asking() != Some(epoch) {
                    return;
                }
            }
        }
        let n = self.votes.open(now);
        for way in self.link_ways().into_iter().chain(self.witness_ways()) {
            self.out.push(Effect::Send { way, message: Message::Ask { epoch, n, what: Want::Hold } });
        }
    }

    pub(super) fn on_ask(&mut self, now: Time, way: Way, from: &PeerId, epoch: u64, n: u64, what: Want) {
        let result = match what {
            Want::Hold => self.vote_for(now, from, epoch),
            Want::TakeOver if self.role == Effective::Primary || !self.address.is_gone(now) => {
                Err("this unit holds the address itself".to_owned())
            }
            Want::TakeOver => Ok(()),
        };
        let (unit, top) = (from.as_str().to_owned(), self.voter.top_beside(from));
        let message = Message::Grant { n, unit, epoch, refused: result.err(), top };
        self.out.push(Effect::Send { way, message });
    }

    /// The own vote for another: not against a takeover of our own that comes first.
    fn vote_for(&mut self, now: Time, from: &PeerId, epoch: u64) -> Result<(), String> {
        if let Some(own) = self.taking.as_ref().filter(|t| !t.is_adding()).map(|t| t.epoch) {
            // Of two that take over at once the higher epoch comes first, of equal ones the lower serial: with each
            // other's votes in hand neither would ever have its own.
            if (own, from) >= (epoch, &self.config.id) {
                return Err(format!("this unit takes over itself, in epoch {own}"));
            }
            self.undo_taking(now, &format!("{from} takes over in epoch {epoch}"));
        }
        self.voter.ask(now, from, epoch)?;
        let again = self.voted.filter(|(_, last)| now.since(*last) < self.config.ha.permit_length());
        self.voted = Some((again.map_or(now, |(since, _)| since), now));
        Ok(())
    }

    /// Whether the own vote is with the other, who may be about to take over: for a while that is not disturbed.
    pub(super) fn has_voted(&self, now: Time) -> bool {
        let wait = self.config.ha.takeover_after() * 2;
        self.voted
            .is_some_and(|(since, last)| now.since(last) < self.config.ha.permit_length() && now.since(since) < wait)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(super) fn on_grant(
        &mut self,
        now: Time,
        way: Way,
        n: u64,
        unit: &str,
        epoch: u64,
        refused: Option<String>,
        top: u64,
    ) {
        let Some((_, sent)) = self.votes.open.iter().find(|(open, _)| *open == n).copied() else { return };
        if unit != self.config.id.as_str() {
            return;
        }
        if self.config.ha.witness == WitnessMode::Advise {
            self.on_advice(now, epoch, refused);
            return;
        }
        if epoch != self.votes.epoch || self.asking() != Some(epoch) {
            return;
        }
        if let Some(why) = refused {
            self.votes.refused = Some(Line::new(&why));
            self.on_later_epoch(now, top);
            return;
        }
        let until = Some(sent + self.config.ha.permit_length());
        let vote = match way {
            Way::Link(..) => &mut self.votes.other,
            Way::Witness(_) => &mut self.votes.witness,
        };
        *vote = (*vote).max(until);
    }

    /// A voter has given the epoch that this unit asks for, or a later one, to the other: somebody held the address
    /// meanwhile. In that epoch the vote never comes back; only a new one ends the stand-still.
    fn on_later_epoch(&mut self, now: Time, top: u64) {
        self.top = self.top.max(top);
        // A holder with a majority is right: who only wants to take over votes for itself beyond it.
        let lapsed = self.permit().is_none_or(|until| until <= now);
        let idle = self.taking.is_none() && self.ceding.is_none();
        if self.taking.as_ref().is_some_and(|t| !t.is_adding() && t.epoch <= top) {
            self.undo_taking(now, &format!("epoch {top} has been given already"));
        } else if self.role == Effective::Primary && idle && lapsed && top >= self.epoch {
            self.step_down(now, 0, Trigger::Overtaken, &format!("a voter knows epoch {top}"));
        }
    }

    /// Until when the address may be held.
    pub(super) fn permit(&self) -> Option<Time> {
        match self.config.ha.witness {
            WitnessMode::Require => self.votes.until(),
            WitnessMode::Advise | WitnessMode::Off => {
                self.address.lapsed.is_none().then(|| self.beat_sent + self.config.ha.takeover_after())
            }
        }
    }

    /// Whether the own beats are all that its address hangs on.
    pub(super) fn holds_by_beats(&self) -> bool {
        self.config.ha.witness != WitnessMode::Require && self.address.order.is_some()
    }

    /// Lets the address go, to come back only with proof that nobody else has taken it.
    pub(super) fn lapse(&mut self, now: Time, why: &str) {
        self.log(&format!("lets the address go: {why}"));
        self.order_drop(now);
        self.address.lapsed = Some(now);
        if self.taking.is_some() {
            self.undo_taking(now, why);
        }
    }

    pub(super) fn order_drop(&mut self, now: Time) {
        if self.address.order.take().is_none() && !self.address.waiting {
            return;
        }
        self.address.held = None;
        if now >= self.address.until && self.address.waiting {
            return; // Told already, and gone by itself.
        }
        self.address.waiting = true;
        self.out.push(Effect::Guard(GuardOrder::Drop));
    }

    /// Orders or prolongs, if the permit allows; tells whether an order stands.
    pub(super) fn order_hold(&mut self, now: Time, epoch: u64, probe: bool) -> bool {
        let Some(until) = self.permit() else { return false };
        if epoch <= self.ceded() || epoch > self.disk.on.epoch || now + self.config.ha.gone_after() > until {
            return false;
        }
        match self.address.order {
            Some((e, _)) if e != epoch => {
                self.order_drop(now);
                return false;
            }
            Some((_, before)) if until <= before => return true,
            Some(_) => {}
            None if !self.address.is_gone(now) => return false,
            None => {
                // A drop that was never answered: its answer may still come, and means nothing then.
                self.address.owed |= std::mem::take(&mut self.address.waiting);
            }
        }
        self.address.order = Some((epoch, until));
        self.address.until = self.address.until.max(until);
        self.out.push(Effect::Guard(GuardOrder::Hold { epoch, until, probe }));
        true
    }

    pub(super) fn on_guard(&mut self, now: Time, report: GuardReport) {
        match report {
            GuardReport::Held { epoch, until } => {
                if self.address.order.is_some_and(|(e, _)| e == epoch) {
                    self.address.held = Some(until);
                    self.guard_trouble = None;
                    self.conflict = None;
                    self.on_held(now, epoch);
                }
            }
            GuardReport::Dropped => {
                if std::mem::take(&mut self.address.owed) {
                    return;
                }
                if self.address.order.is_none() {
                    self.address.waiting = false;
                }
                self.address.held = None;
            }
            GuardReport::Lapsed => {
                if self.address.order.is_some() {
                    self.lapse(now, "it went away by itself, or somebody removed it");
                }
            }
            GuardReport::Conflict(line) => {
                let text = format!("somebody else has the address: {line}");
                self.log(&text);
                self.conflict = Some(Line::new(&text));
                self.retry_at = now + self.config.ha.takeover_after();
                if self.address.order.is_some() {
                    self.lapse(now, "somebody else has it");
                }
            }
            GuardReport::Failed(line) => {
                let text = format!("the system refuses to set the address: {line}");
                self.log(&text);
                self.guard_trouble = Some(Line::new(&text));
                if self.taking.as_ref().is_some_and(super::taking::Taking::is_adding) {
                    self.undo_taking(now, &text);
                }
            }
        }
    }

    /// A primary's address: prolonged, let go, brought back.
    pub(super) fn advance_holding(&mut self, now: Time) {
        if self.role != Effective::Primary || self.ceding.is_some() || self.stopping.is_some() {
            return;
        }
        if !self.config.ha.holds_addresses() || self.taking.is_some() {
            return;
        }
        if self.disk.want.ceding.is_some_and(|ceded| ceded >= self.epoch) {
            // In that epoch it will never hold it again.
            self.step_down(now, 0, Trigger::Overtaken, "this unit has given its epoch away");
            return;
        }
        if self.config.ha.witness == WitnessMode::Require {
            // A majority is proof enough: nobody else had one meanwhile without ours having run out.
            if now >= self.retry_at {
                self.address.lapsed = None;
            }
        } else if let Some(at) = self.address.lapsed {
            self.come_back(now, at);
        } else if self.unheard_until().is_some_and(|at| now >= at) {
            self.lapse(now, "the other does not hear this unit and is about to take over");
        }
        // It may have stepped down above.
        if self.address.lapsed.is_none() && self.role == Effective::Primary && self.ceding.is_none() {
            self.order_hold(now, self.epoch, true);
        }
    }

    /// When a holder lets go whom the other, alive, does not hear: one interval before the other's wait ends.
    pub(super) fn unheard_until(&self) -> Option<Time> {
        if self.config.ha.witness == WitnessMode::Require || self.address.order.is_none() {
            return None;
        }
        let other = self.other.as_ref()?;
        let interval = self.config.ha.interval;
        let seen = other.beat.seen.map_or(other.first, |seen| seen.min(other.heard));
        // Its word counts while it is young, and if it is more than a lost datagram.
        let current = self.now.since(other.heard) * 2 <= interval * 3;
        let deaf = other.heard.since(seen) >= interval * 2;
        let at = (seen + self.config.ha.takeover_after()).before(interval);
        // After a cut of both directions its first beats may be older than ours that reached it again: had it wanted to
        // take over, it would have by then, and says so.
        let long_past = self.now.since(at) > interval * 2;
        let steady = other.heard.since(other.streak) >= interval * 2;
        (current && deaf && !other.beat.claims() && (!long_past || steady)).then_some(at)
    }

    fn come_back(&mut self, now: Time, at: Time) {
        if now < self.retry_at || !self.address.is_gone(now) {
            return;
        }
        let epoch = self.epoch;
        // Not from before this unit was stopped and went on: what it reads first then may be long past.
        let at = at.max(self.listen_from);
        let proof = self.other.as_ref().filter(|o| o.beat.seen.is_some_and(|seen| seen >= at));
        let proof = proof.map(|o| (o.beat.claims(), o.beat.said.epoch, o.id.clone()));
        match proof {
            Some((false, theirs, id)) if theirs <= epoch => {
                self.log(&format!("takes the address back: {id} beats, and has not taken over"));
                self.address.lapsed = None;
            }
            Some((_, theirs, id)) if theirs > epoch => {
                self.step_down(now, 0, Trigger::Overtaken, &format!("{id} is in epoch {theirs}"));
            }
            Some(_) | None => {
                let heard = self.other.as_ref().map_or(at, |o| o.heard).max(at);
                let wait = self.config.ha.takeover_after();
                if now.since(heard) >= wait && self.distrust().is_none() {
                    self.log(&format!("takes the address back: nobody was heard for {}", human(wait)));
                    self.address.lapsed = None;
                }
            }
        }
    }

    /// Gives votes back that are not needed: the own one, and by a release those of the others.
    pub(super) fn give_back(&mut self, epoch: u64, reason: &str) {
        let me = self.me().clone();
        self.voter.give_back(&me, epoch);
        self.votes.clear(0);
        if self.config.ha.witness == WitnessMode::Require {
            let to = self.other.as_ref().map(|o| o.id.as_str().to_owned()).unwrap_or_default();
            for way in self.witness_ways() {
                let message = Message::Release { epoch, to: to.clone(), reason: reason.to_owned(), row: 0 };
                self.out.push(Effect::Send { way, message });
            }
        }
    }
}
