//! The pure core: an event in, effects out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::entry::Kept;
use super::inhibit::{explains, follows};
use super::rules::{Rules, Terms};
use super::{Effect, Event, Memory};
use crate::domain::alert::{Held, Notice, Seen, Silence, Told};
use crate::domain::finding::{Finding, FindingId, FindingKind, Transition};
use crate::domain::ids::ClusterName;
use crate::domain::time::Time;

/// That something is explained by something else is noted no more often than this.
const MARKED: Duration = Duration::from_secs(1);

/// Decides what is told.
#[derive(Clone, Debug)]
pub struct Alerts {
    rules: Rules,
    kept: BTreeMap<FindingId, Kept>,
    silences: Vec<Silence>,
    seq: u64,
}

impl Alerts {
    /// Goes on from what was kept; nothing of it counts as gone before the picture is settled.
    #[must_use]
    pub fn new(rules: Rules, memory: Memory) -> Self {
        let kept = memory.kept.into_iter().map(|k| (k.seen.finding.id.clone(), k)).collect();
        Self { rules, kept, silences: memory.silences, seq: memory.seq }
    }

    /// Takes events in their order and says what is to be done about them.
    pub fn step(&mut self, now: Time, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut touched: BTreeSet<FindingId> = BTreeSet::new();
        let mut dirty: BTreeSet<FindingId> = BTreeSet::new();
        for event in events {
            if let Event::Told(_, seen) = &event
                && !touched.insert(seen.finding.id.clone())
            {
                // What comes and goes within one batch is told as if it had been two.
                self.settle(now, &mut dirty, &mut effects);
                touched = BTreeSet::from([seen.finding.id.clone()]);
            }
            self.apply(event, &mut dirty, now);
        }
        self.settle(now, &mut dirty, &mut effects);
        effects.extend(dirty.into_iter().map(|id| match self.kept.get(&id) {
            Some(kept) => Effect::Keep(Box::new(kept.clone())),
            None => Effect::Forget(id),
        }));
        effects
    }

    fn apply(&mut self, event: Event, dirty: &mut BTreeSet<FindingId>, now: Time) {
        match event {
            Event::Told(transition, seen) => {
                dirty.insert(seen.finding.id.clone());
                match transition {
                    Transition::Raised => self.take(seen, false, now),
                    Transition::Changed => self.take(seen, true, now),
                    Transition::Cleared => {
                        if let Some(kept) = self.kept.get_mut(&seen.finding.id) {
                            kept.is_gone(now);
                        }
                    }
                }
            }
            Event::Picture { seen, settled } => self.picture(seen, settled, dirty, now),
            Event::Acknowledge { id, ack } => {
                if let Some(kept) = self.kept.get_mut(&id).filter(|k| k.raised.is_some()) {
                    kept.ack = Some(ack);
                    dirty.insert(id);
                }
            }
            Event::Unacknowledge(id) => {
                if let Some(kept) = self.kept.get_mut(&id) {
                    kept.ack = None;
                    dirty.insert(id);
                }
            }
            Event::Silences(silences) => self.silences = silences,
            Event::Rules(rules) => self.rules = rules,
            Event::Tick => {}
        }
    }

    /// When the next [`Event::Tick`] is due, if nothing else happens.
    #[must_use]
    pub fn next(&self, now: Time) -> Option<Time> {
        let silences = self.silences.iter().flat_map(|s| [s.from, s.until]).filter(|t| *t > now);
        let causes = self.causes();
        let entries = self.kept.values().filter_map(|kept| {
            let terms = self.rules.terms(&kept.seen.finding);
            kept.next(&terms, &self.rules.flapping, self.held_by(kept, &causes, now), now)
        });
        silences.chain(entries).min()
    }

    /// What is kept of each finding.
    pub fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.values()
    }

    /// All silences, those that have ended too.
    #[must_use]
    pub fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// Why a raised alert is not told.
    #[must_use]
    pub fn held(&self, kept: &Kept, now: Time) -> Option<Held> {
        self.held_by(kept, &self.causes(), now)
    }

    /// All that is raised, and why it is not told.
    #[must_use]
    pub fn raised(&self, now: Time) -> Vec<(&Kept, Option<Held>)> {
        let causes = self.causes();
        let raised = self.kept.values().filter(|k| k.raised.is_some());
        raised.map(|k| (k, self.held_by(k, &causes, now))).collect()
    }

    fn held_by(&self, kept: &Kept, causes: &[Finding], now: Time) -> Option<Held> {
        if self.rules.terms(&kept.seen.finding).ignore {
            return Some(Held::Ignored);
        }
        if self.silences.iter().any(|s| s.holds(now) && s.matcher.fits(&kept.seen)) {
            return Some(Held::Silenced);
        }
        causes.iter().any(|cause| follows(&kept.seen.finding, cause)).then_some(Held::Inhibited)
    }

    /// What is there now and explains others.
    fn causes(&self) -> Vec<Finding> {
        let there = self.kept.values().filter(|k| k.present || k.flapping).map(|k| &k.seen.finding);
        there.filter(|f| explains(f.kind)).cloned().collect()
    }

    fn take(&mut self, seen: Seen, reworded: bool, now: Time) {
        match self.kept.get_mut(&seen.finding.id) {
            Some(kept) => kept.is_seen(seen, reworded, now),
            None => {
                self.kept.insert(seen.finding.id.clone(), Kept::new(seen, now));
            }
        }
    }

    fn picture(&mut self, seen: Vec<Seen>, settled: bool, dirty: &mut BTreeSet<FindingId>, now: Time) {
        let there: BTreeSet<FindingId> = seen.iter().map(|s| s.finding.id.clone()).collect();
        // Of a cluster in which nobody is seen nothing is known to be gone but that.
        let is_blind = |s: &&Seen| s.finding.kind == FindingKind::WatcherBlind;
        let blind: BTreeSet<ClusterName> = seen.iter().filter(is_blind).map(|s| s.finding.cluster.clone()).collect();
        for one in seen {
            if self.kept.get(&one.finding.id).is_none_or(|k| !k.present || k.seen != one) {
                dirty.insert(one.finding.id.clone());
                self.take(one, false, now);
            }
        }
        if !settled {
            return;
        }
        for (id, kept) in &mut self.kept {
            if kept.present && !there.contains(id) && !blind.contains(&kept.seen.finding.cluster) {
                kept.is_gone(now);
                dirty.insert(id.clone());
            }
        }
    }

    /// Tells what is due.
    fn settle(&mut self, now: Time, dirty: &mut BTreeSet<FindingId>, effects: &mut Vec<Effect>) {
        let causes = self.causes();
        for id in self.in_order() {
            let Some(before) = self.kept.get(&id) else { continue };
            let (held, terms) = (self.held_by(before, &causes, now), self.rules.terms(&before.seen.finding));
            let is_blind =
                before.seen.finding.kind != FindingKind::WatcherBlind && blinds(&causes, &before.seen.finding);
            let mut kept = before.clone();
            if held == Some(Held::Inhibited) {
                // Marked now and then only, as it is kept on disk.
                let long_ago = kept.explained.is_none_or(|at| now.since(at) >= MARKED);
                kept.explained = if long_ago { Some(now) } else { kept.explained };
            }
            let notice = self.settle_one(&mut kept, &terms, held, is_blind, now);
            if let Some(notice) = notice {
                self.seq += 1;
                effects.push(Effect::Tell(Box::new(Notice { seq: self.seq, ..notice })));
            }
            if kept.raised.is_none() && !kept.present && kept.toggles.is_empty() {
                self.kept.remove(&id);
                dirty.insert(id);
            } else if self.kept.get(&id) != Some(&kept) {
                self.kept.insert(id.clone(), kept);
                dirty.insert(id);
            }
        }
    }

    /// Moves one finding on; what there is to tell of it.
    fn settle_one(
        &self,
        kept: &mut Kept,
        terms: &Terms,
        held: Option<Held>,
        is_blind: bool,
        now: Time,
    ) -> Option<Notice> {
        let flapping = &self.rules.flapping;
        let changes = kept.count(flapping, now);
        kept.flapping = if kept.flapping { changes > flapping.low } else { changes >= flapping.high };
        let notice = |told, alert, before| Some(Notice { seq: 0, at: now, told, alert, before });
        if is_blind {
            // Nobody sees whether it is there or gone.
            return None;
        }
        if kept.present || kept.flapping {
            // Between two comings of what comes and goes it is not over.
            if kept.raised.is_none() && (kept.flapping || kept.is_due(terms, now)) {
                kept.raised = Some(now);
            }
            let raised = kept.raised?;
            if held.is_some() || (kept.told.is_none() && (!kept.present || kept.is_explained(now))) {
                return None;
            }
            let (told, before) = kept.news(terms, now)?;
            kept.is_told(terms.severity, now);
            return notice(told, kept.alert(raised, terms.severity, changes), before);
        }
        if kept.raised.is_some() && !kept.is_due(terms, now) {
            return None;
        }
        let last = kept.raised.zip(kept.told.as_ref().map(|t| t.severity));
        let alert = last.map(|(raised, severity)| kept.alert(raised, severity, changes));
        kept.is_over();
        notice(Told::Cleared, alert?, None)
    }

    /// Causes before what follows from them, worst first, else by id, so that the same is always told in one order.
    fn in_order(&self) -> Vec<FindingId> {
        let mut all: Vec<&Finding> = self.kept.values().map(|k| &k.seen.finding).collect();
        all.sort_by_key(|f| (!explains(f.kind), Reverse(f.severity)));
        all.into_iter().map(|f| f.id.clone()).collect()
    }
}

/// Whether nobody is seen in the cluster of `finding`.
fn blinds(causes: &[Finding], finding: &Finding) -> bool {
    causes.iter().any(|c| c.kind == FindingKind::WatcherBlind && c.cluster == finding.cluster)
}
