//! Whether a link answers by turns at once and late: it goes up and down faster than pings give it up.
//!
//! A cut of half a second breaks no connection: what was sent in it arrives late. One late answer says nothing; so
//! after it the link is looked at more closely for a while, with more pings, whose silence counts for nothing.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::time::Time;

/// No answer is late before this, however quick the link is.
const LATE_FLOOR: Duration = Duration::from_millis(200);

/// An answer is late that takes so many times as long as usual.
const LATE_FACTOR: u32 = 8;

/// No answer is odd before this.
const ODD_FLOOR: Duration = Duration::from_millis(30);

/// An answer is odd that takes so many times as long as usual.
const ODD_FACTOR: u32 = 4;

/// Without a turn for this long the link is steady.
const CALM: Duration = Duration::from_mins(2);

/// Turns within the calm time below this are not told of.
const TOLD_MIN: u32 = 5;

/// So many turns are remembered.
const TURNS_MAX: usize = 1000;

/// How a link answers.
#[derive(Debug, Default)]
pub struct Steady {
    /// How long an answer takes when nothing is wrong, smoothed.
    usual: Option<Duration>,
    late: bool,
    /// When answers turned from prompt to late or back.
    turns: VecDeque<Time>,
    look_until: Time,
    /// When the next ping beside the regular ones is due.
    pub extra_at: Option<Time>,
}

impl Steady {
    /// Whether an answer that took `rtt` is late.
    pub fn is_late(&self, rtt: Duration) -> bool {
        rtt >= LATE_FLOOR.max(self.usual.unwrap_or(rtt) * LATE_FACTOR)
    }

    /// An answer took `rtt`; whether it is another kind of answer than the one before.
    pub fn answered(&mut self, rtt: Duration) -> bool {
        let late = self.is_late(rtt);
        // Soon down and slowly up: late answers by turns must not become the usual ones, a longer way must in a while.
        let smooth = |usual: Duration| {
            let weight = if rtt < usual { 8 } else { 256 };
            usual * (weight - 1) / weight + rtt / weight
        };
        self.usual = Some(self.usual.map_or(rtt, smooth));
        std::mem::replace(&mut self.late, late) != late
    }

    /// Counts a turn, and looks closely for the next `span`.
    pub fn turned(&mut self, now: Time, span: Duration) {
        if self.turns.len() == TURNS_MAX {
            self.turns.pop_front();
        }
        self.turns.push_back(now);
        self.look(now, span);
    }

    /// Whether an answer that took `rtt` is a reason for a closer look, though not late.
    pub fn is_odd(&self, rtt: Duration) -> bool {
        self.usual.is_some_and(|usual| rtt >= ODD_FLOOR.max(usual * ODD_FACTOR))
    }

    /// Looks closely for at least the next `span`.
    pub fn look(&mut self, now: Time, span: Duration) {
        self.look_until = self.look_until.max(now + span);
        self.extra_at = self.extra_at.or(Some(now));
    }

    /// A ping beside the regular ones was sent: when the next one is due.
    pub fn next_extra(&mut self, now: Time, gap: Duration) {
        self.extra_at = (self.look_until > now).then_some(now + gap);
    }

    /// Everything is late here: it says nothing about this link.
    pub fn disregard(&mut self) {
        self.turns.clear();
        self.look_until = Time::ZERO;
        self.extra_at = None;
    }

    /// How often it turned within the calm time, in steps (5, 10, 20, 40, ...), so that it is no news each time.
    pub fn told(&mut self, now: Time) -> u32 {
        if self.turns.back().is_none_or(|t| now.since(*t) > CALM) {
            self.turns.clear();
            return 0;
        }
        match u32::try_from(self.turns.len()).unwrap_or(u32::MAX) / TOLD_MIN {
            0 => 0,
            steps => TOLD_MIN << steps.ilog2(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn answers_that_are_late_by_turns_are_counted_and_forgotten() {
        let mut steady = Steady::default();
        let mut now = Time::from_millis(1_000_000);
        assert!(!steady.answered(ms(1)), "the first one is the usual one");
        for n in 0..12 {
            now = now + ms(500);
            assert!(steady.answered(if n % 2 == 0 { ms(300) } else { ms(1) }));
            steady.turned(now, ms(10_000));
        }
        assert_eq!(steady.told(now), 10);
        assert!(steady.extra_at.is_some());
        steady.next_extra(now + ms(11_000), ms(250));
        assert_eq!(steady.extra_at, None, "the closer look ends");
        assert_eq!(steady.told(now + CALM), 10);
        assert_eq!(steady.told(now + CALM + ms(1)), 0);
    }

    #[test]
    fn a_link_that_is_slow_from_now_on_turns_once() {
        let mut steady = Steady::default();
        assert!(!steady.answered(ms(20)));
        let turns = (0..300).filter(|_| steady.answered(ms(400))).count();
        assert_eq!(turns, 2, "late at first, and then the usual");
        let mut slow = Steady::default();
        assert!(!(0..100).any(|n| slow.answered(ms(300 + n % 50))), "what always takes long is not late");
    }
}
