//! The rules of holding, over a kernel that is an argument: the deadline is looked at before and after every call, so that
//! a pause anywhere leaves nothing behind (F12).

use std::io;
use std::time::Duration;

use super::wire::{FromGuard, nanos, short};
use crate::domain::ha::config::gone_after;

/// A call is not begun so shortly before its last moment.
const CALL: Duration = Duration::from_millis(20);
/// The last renewal under a permit is planned so long before its last moment: a busy machine runs it late.
const EARLY: Duration = Duration::from_millis(70);
/// Renewals closer than this to the one before are not worth it.
const APART: Duration = Duration::from_millis(50);
/// A deletion that the system refused is tried again after this.
const AGAIN: Duration = Duration::from_millis(50);

/// What the keeper needs of the system. Addresses are numbered from 0; calls have effect when they return, or before.
pub trait Kernel {
    /// `CLOCK_BOOTTIME`.
    fn now(&self) -> Duration;

    /// How many addresses there are.
    fn count(&self) -> usize;

    /// What must be done before the first is added, however long it takes.
    ///
    /// # Errors
    /// When it can't: then none is added.
    fn prepare(&mut self) -> io::Result<()>;

    /// Adds one with a fresh lease; fails if it is there.
    ///
    /// # Errors
    /// As the system says.
    fn add(&mut self, number: usize) -> io::Result<()>;

    /// Gives one a fresh lease, or makes it anew if it is not there.
    ///
    /// # Errors
    /// As the system says.
    fn renew(&mut self, number: usize) -> io::Result<()>;

    /// Deletes one; none there is fine.
    ///
    /// # Errors
    /// As the system says.
    fn delete(&mut self, number: usize) -> io::Result<()>;

    /// All are there: the port's own go, where asked for.
    ///
    /// # Errors
    /// When they don't.
    fn settle(&mut self) -> io::Result<()>;

    /// None is there any more: the port's own come back.
    ///
    /// # Errors
    /// When they don't.
    fn restore(&mut self) -> io::Result<()>;
}

/// Holds addresses.
#[derive(Debug)]
pub struct Keeper {
    lease: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    Free,
    Held(Held),
    /// They are to go, but the system would not delete one.
    Going {
        say: FromGuard,
        again: Duration,
        /// By then the kernel has ended the lease.
        gone: Duration,
    },
}

#[derive(Debug)]
struct Held {
    epoch: u64,
    until: Duration,
    /// Start of the last renewal.
    renewed: Duration,
    /// The end of their lease, or of the permit if that is sooner.
    ends: Duration,
}

impl Keeper {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(lease: Duration) -> Self {
        Self { lease, state: State::Free }
    }

    /// Whether the addresses are there.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.state {
            State::Held(_) => true,
            State::Free | State::Going { .. } => false,
        }
    }

    /// Whether an address that is added or renewed at `now` is gone for certain at `until`.
    #[must_use]
    pub fn permits(&self, now: Duration, until: Duration) -> bool {
        now + CALL + gone_after(self.lease) <= until
    }

    /// When [`Keeper::turn`] has something to do.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        match &self.state {
            State::Free => None,
            State::Held(held) => Some(self.renewal(held).map_or(held.ends, |at| at.min(held.ends))),
            State::Going { again, .. } => Some(*again),
        }
    }

    /// The next renewal: a third of the lease after the last one, or the last moment that the permit allows.
    fn renewal(&self, held: &Held) -> Option<Duration> {
        let next = held.renewed + self.lease / 3;
        let last = held.until.checked_sub(gone_after(self.lease) + EARLY)?;
        (last >= held.renewed + APART).then(|| next.min(last))
    }

    /// An order to hold. Those who probe do it before.
    pub fn hold(&mut self, kernel: &mut impl Kernel, epoch: u64, until: Duration) -> Option<FromGuard> {
        match &mut self.state {
            State::Free => Some(self.take(kernel, epoch, until)),
            State::Held(held) => {
                (held.epoch, held.until, held.ends) = (epoch, until, held.ends.min(until));
                let now = kernel.now();
                if now >= held.ends {
                    // What has run out is let go: an order must not hide it, and may be what ends it.
                    return self.let_go(kernel, FromGuard::Lapsed);
                }
                let due = now >= held.renewed + self.lease / 6 && self.permits(now, until);
                if due { self.renew(kernel) } else { None }
            }
            State::Going { .. } => Some(FromGuard::Failed("the addresses from before are not gone yet".into())),
        }
    }

    fn take(&mut self, kernel: &mut impl Kernel, epoch: u64, until: Duration) -> FromGuard {
        if !self.permits(kernel.now(), until) {
            return FromGuard::Failed("the permit is too short, or past: nothing was added".into());
        }
        if let Err(error) = kernel.prepare() {
            return FromGuard::Failed(short(&format!("nothing was added: {error}")));
        }
        let began = kernel.now();
        let mut added = 0;
        match self.add_all(kernel, &mut added, began, until) {
            Ok(()) => {
                let ends = until.min(began + self.lease);
                self.state = State::Held(Held { epoch, until, renewed: began, ends });
                FromGuard::Held { epoch, until: nanos(ends) }
            }
            Err(error) => {
                let say = FromGuard::Failed(short(&error.to_string()));
                // Only what was added: the one that failed may be somebody else's.
                self.delete(kernel, added, say.clone()).unwrap_or(say)
            }
        }
    }

    fn add_all(&self, kernel: &mut impl Kernel, added: &mut usize, began: Duration, until: Duration) -> io::Result<()> {
        let late = || io::Error::other("it took too long: the permit or the lease ended meanwhile");
        for number in 0..kernel.count() {
            if !self.permits(kernel.now(), until) {
                return Err(late());
            }
            kernel.add(number)?;
            *added = number + 1;
        }
        kernel.settle()?;
        let now = kernel.now();
        if now + gone_after(self.lease) > until || now >= began + self.lease { Err(late()) } else { Ok(()) }
    }

    fn renew(&mut self, kernel: &mut impl Kernel) -> Option<FromGuard> {
        let State::Held(held) = &self.state else { return None };
        let (until, ends, epoch) = (held.until, held.ends, held.epoch);
        let began = kernel.now();
        for number in 0..kernel.count() {
            let now = kernel.now();
            if now >= ends {
                return self.let_go(kernel, FromGuard::Lapsed);
            }
            if !self.permits(now, until) {
                // Those that were renewed go with the others, at the end that stands.
                return None;
            }
            let done = kernel.renew(number);
            let now = kernel.now();
            // After its end it was made anew; past the permit's last moment its lease is too long.
            if done.is_err() || now >= ends || now + gone_after(self.lease) > until {
                return self.let_go(kernel, FromGuard::Lapsed);
            }
        }
        let ends = until.min(began + self.lease);
        self.state = State::Held(Held { epoch, until, renewed: began, ends });
        Some(FromGuard::Held { epoch, until: nanos(ends) })
    }

    /// Deletes all; `say` is what that means, or `None` while one could not be deleted.
    fn let_go(&mut self, kernel: &mut impl Kernel, say: FromGuard) -> Option<FromGuard> {
        self.delete(kernel, kernel.count(), say)
    }

    fn delete(&mut self, kernel: &mut impl Kernel, count: usize, say: FromGuard) -> Option<FromGuard> {
        let mut left = false;
        for number in 0..count {
            left |= kernel.delete(number).is_err();
        }
        let now = kernel.now();
        if left {
            self.state = State::Going { say, again: now + AGAIN, gone: now + gone_after(self.lease) };
            return None;
        }
        self.state = State::Free;
        // Its own addresses come back at the next chance, or at the next start.
        match kernel.restore() {
            Ok(()) => Some(say),
            Err(error) => match say {
                FromGuard::Failed(text) => Some(FromGuard::Failed(short(&format!("{text}; {error}")))),
                other => Some(other),
            },
        }
    }

    /// An order to delete.
    pub fn drop_now(&mut self, kernel: &mut impl Kernel) -> Option<FromGuard> {
        self.let_go(kernel, FromGuard::Dropped)
    }

    /// One of them is gone, though nobody here deleted it: the others go too.
    pub fn lost(&mut self, kernel: &mut impl Kernel) -> Option<FromGuard> {
        match self.state {
            State::Held(_) => self.let_go(kernel, FromGuard::Lapsed),
            State::Free | State::Going { .. } => None,
        }
    }

    /// Does what is due.
    pub fn turn(&mut self, kernel: &mut impl Kernel) -> Option<FromGuard> {
        let now = kernel.now();
        match &self.state {
            State::Free => None,
            State::Held(held) if now >= held.ends => self.let_go(kernel, FromGuard::Lapsed),
            State::Held(held) => {
                let due = self.renewal(held).is_some_and(|at| now >= at);
                if due && self.permits(now, held.until) { self.renew(kernel) } else { None }
            }
            State::Going { again, .. } if now < *again => None,
            State::Going { say, gone, .. } => {
                let (say, gone) = (say.clone(), *gone);
                let said = self.let_go(kernel, say.clone());
                if let State::Going { gone: by, .. } = &mut self.state {
                    *by = gone;
                    if now >= gone {
                        self.state = State::Free;
                        return Some(say);
                    }
                }
                said
            }
        }
    }
}
