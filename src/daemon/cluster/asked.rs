//! Commands that were passed on: who waits for the word of their targets. Bounded, and each with a deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use super::RequestId;
use crate::domain::ids::PeerId;
use crate::domain::time::Time;

/// How long the word of a target is waited for. Longer than a way over several relays takes, shorter than the
/// patience of those that ask; older peers never answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// So many may be open.
const OPEN_MAX: usize = 256;

/// Who waits.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A session of this peer; told this if nothing comes.
    Session { request: RequestId, sent: String },
    /// A fellow that passed the command on to us under this number.
    Fellow { id: PeerId, n: u64 },
}

#[derive(Debug)]
struct Open {
    /// To whom it went: only that fellow can answer.
    next: PeerId,
    waiting: Waiting,
    due: Time,
}

/// The open ones by our own numbers.
#[derive(Debug, Default)]
pub(super) struct Asked {
    last: u64,
    open: BTreeMap<u64, Open>,
}

impl Asked {
    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.open.len() < OPEN_MAX
    }

    /// Notes a command that goes to `next`; its number. The caller has asked whether there is room.
    pub fn add(&mut self, now: Time, next: PeerId, waiting: Waiting) -> u64 {
        self.last += 1;
        self.open.insert(self.last, Open { next, waiting, due: now + PATIENCE });
        self.last
    }

    /// Who waits for the answer that `from` gives under number `n`; nobody if it was not asked that.
    pub fn take(&mut self, n: u64, from: &PeerId) -> Option<Waiting> {
        if self.open.get(&n)?.next != *from {
            return None;
        }
        self.open.remove(&n).map(|o| o.waiting)
    }

    /// When the first of them is given up.
    pub fn due(&self) -> Option<Time> {
        self.open.values().next().map(|o| o.due) // They all wait equally long: the oldest is first.
    }

    /// Those that have waited long enough.
    pub fn overdue(&mut self, now: Time) -> Vec<Waiting> {
        let late: Vec<u64> = self.open.iter().take_while(|(_, o)| o.due <= now).map(|(n, _)| *n).collect();
        late.into_iter().filter_map(|n| self.open.remove(&n)).map(|o| o.waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_that_was_asked_can_answer_and_only_once() {
        let (mut asked, now) = (Asked::default(), Time::from_millis(1));
        let n = asked.add(now, PeerId::new("b"), Waiting::Fellow { id: PeerId::new("a"), n: 9 });
        assert!(asked.take(n, &PeerId::new("c")).is_none());
        assert!(matches!(asked.take(n, &PeerId::new("b")), Some(Waiting::Fellow { n: 9, .. })));
        assert!(asked.take(n, &PeerId::new("b")).is_none());
    }

    #[test]
    fn what_is_not_answered_is_given_up_and_there_is_an_end_to_it() {
        let (mut asked, now) = (Asked::default(), Time::from_millis(1));
        while asked.has_room() {
            asked.add(now, PeerId::new("b"), Waiting::Session { request: RequestId(1), sent: String::new() });
        }
        assert_eq!(asked.due(), Some(now + PATIENCE));
        assert!(asked.overdue(now).is_empty());
        assert_eq!(asked.overdue(now + PATIENCE).len(), OPEN_MAX);
        assert!(asked.has_room() && asked.due().is_none());
    }
}
