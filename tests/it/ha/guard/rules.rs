//! The keeper over a made-up kernel: whatever pauses, nothing outlives its permit.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use peerdeck::daemon::ha::guard::keeper::{Keeper, Kernel};
use peerdeck::daemon::ha::guard::wire::FromGuard;
use peerdeck::domain::ha::config::{gone_after, permit_length};
use proptest::prelude::*;

const LEASE: Duration = Duration::from_secs(1);

/// A kernel in which each call takes as long as the next pause says, before and after its effect.
struct Fake {
    now: Cell<Duration>,
    pauses: Vec<u64>,
    next: Cell<usize>,
    /// Per address: when it was last added or renewed.
    there: Vec<Option<Duration>>,
    refuse: Option<usize>,
}

impl Fake {
    fn new(pauses: Vec<u64>) -> Self {
        let now = Cell::new(Duration::from_secs(100));
        Self { now, pauses, next: Cell::new(0), there: vec![None; 2], refuse: None }
    }

    fn pause(&self) {
        let ms = self.pauses.get(self.next.get()).copied().unwrap_or(0);
        self.next.set(self.next.get() + 1);
        self.pass(Duration::from_millis(ms));
    }

    fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    /// As late as the real one at most.
    fn expire(&mut self) {
        let now = self.now.get();
        for there in &mut self.there {
            *there = there.filter(|at| now < *at + gone_after(LEASE));
        }
    }
}

impl Kernel for Fake {
    fn now(&self) -> Duration {
        self.now.get()
    }
    fn count(&self) -> usize {
        self.there.len()
    }
    fn prepare(&mut self) -> io::Result<()> {
        self.pause();
        Ok(())
    }
    fn add(&mut self, number: usize) -> io::Result<()> {
        self.pause();
        self.expire();
        if self.refuse == Some(number) || self.there[number].is_some() {
            return Err(io::Error::other("refused"));
        }
        self.there[number] = Some(self.now.get());
        self.pause();
        Ok(())
    }
    fn renew(&mut self, number: usize) -> io::Result<()> {
        self.pause();
        self.expire();
        self.there[number] = Some(self.now.get());
        self.pause();
        Ok(())
    }
    fn delete(&mut self, number: usize) -> io::Result<()> {
        self.there[number] = None;
        Ok(())
    }
    fn settle(&mut self) -> io::Result<()> {
        self.pause();
        Ok(())
    }
    fn restore(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// An order, with a permit of so many milliseconds from now; may be past.
    Hold(i64),
    Drop,
    /// Time goes by, and the keeper has its turn.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (-500_i64..6000).prop_map(Step::Hold),
        1 => Just(Step::Drop),
        6 => (1_u64..700).prop_map(Step::Wait),
        1 => (700_u64..9000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Once a call of the keeper is over, each address that is there is gone for certain at the end of its permit, even if
    /// the guard is stopped right then: the kernel is the backstop.
    #[test]
    fn f12_whatever_pauses_nothing_outlives_its_permit(
        steps in prop::collection::vec(step(), 1..40),
        pauses in prop::collection::vec(prop_oneof![6 => Just(0_u64), 2 => 0_u64..30, 1 => 0_u64..5000], 0..200),
    ) {
        let (mut keeper, mut kernel, mut until) = (Keeper::new(LEASE), Fake::new(pauses), Duration::ZERO);
        for step in steps {
            match step {
                Step::Hold(ms) => {
                    let now = kernel.now.get();
                    let span = Duration::from_millis(ms.unsigned_abs());
                    until = if ms < 0 { now.saturating_sub(span) } else { now + span };
                    keeper.hold(&mut kernel, 1, until);
                }
                Step::Drop => {
                    let said = keeper.drop_now(&mut kernel);
                    prop_assert_eq!(said, Some(FromGuard::Dropped));
                }
                Step::Wait(ms) => {
                    kernel.pass(Duration::from_millis(ms));
                    kernel.expire();
                    keeper.turn(&mut kernel);
                }
            }
            let now = kernel.now.get();
            let there = kernel.there.iter().flatten().copied().collect::<Vec<_>>();
            prop_assert!(there.len() == kernel.there.len() || !keeper.holds() || now >= until, "all or none");
            prop_assert!(keeper.holds() || there.is_empty(), "nothing is there that is not held");
            for renewed in there {
                // A shorter permit than the one it was renewed under can't shorten the lease, only end it in time.
                prop_assert!(now <= until, "held past the permit");
                prop_assert!(keeper.wake().is_some_and(|w| w <= until && w <= renewed + LEASE), "and its end is awaited");
            }
        }
    }

    /// As long as permits are only prolonged, the kernel's own end of the lease is never later than the permit's.
    #[test]
    fn f12_the_kernel_alone_ends_it_in_time(
        waits in prop::collection::vec(1_u64..900, 1..40),
        permit in 3000_u64..4500,
        pauses in prop::collection::vec(prop_oneof![6 => Just(0_u64), 2 => 0_u64..30, 1 => 0_u64..5000], 0..200),
    ) {
        let (mut keeper, mut kernel, mut until) = (Keeper::new(LEASE), Fake::new(pauses), Duration::ZERO);
        for (n, ms) in waits.into_iter().enumerate() {
            if n % 3 == 0 {
                until = until.max(kernel.now.get() + Duration::from_millis(permit));
                keeper.hold(&mut kernel, 1, until);
            } else {
                kernel.pass(Duration::from_millis(ms));
                kernel.expire();
                keeper.turn(&mut kernel);
            }
            for renewed in kernel.there.iter().flatten() {
                prop_assert!(*renewed + gone_after(LEASE) <= until, "stopped now, it would be there past its permit");
            }
        }
    }
}

#[test]
fn f12_held_without_a_gap_while_punctual_beats_prolong_the_permit() {
    let (mut keeper, mut kernel) = (Keeper::new(LEASE), Fake::new(Vec::new()));
    // Beats each second; the permit of `witness = "off"` at 1 s x 3.
    let (mut beat, end) = (kernel.now(), kernel.now() + Duration::from_mins(1));
    let mut renewals = 0;
    while kernel.now() < end {
        if kernel.now() >= beat {
            keeper.hold(&mut kernel, 1, beat + permit_length(LEASE));
            beat += Duration::from_secs(1);
        }
        let said = keeper.turn(&mut kernel);
        assert_ne!(said, Some(FromGuard::Lapsed), "at {:?}", kernel.now());
        renewals += u32::from(said.is_some());
        assert!(keeper.holds());
        kernel.now.set(keeper.wake().unwrap().min(beat));
    }
    assert!((60..=240).contains(&renewals), "about three a lease at most: {renewals}");
}

#[test]
fn f12_one_that_can_not_be_added_takes_the_others_with_it() {
    let (mut keeper, mut kernel) = (Keeper::new(LEASE), Fake::new(Vec::new()));
    kernel.refuse = Some(1);
    let until = kernel.now() + Duration::from_secs(10);
    assert!(matches!(keeper.hold(&mut kernel, 1, until), Some(FromGuard::Failed(_))));
    assert_eq!(kernel.there, [None, None]);
    assert!(!keeper.holds() && keeper.wake().is_none());
}

#[test]
fn f12_a_permit_that_is_past_or_too_short_adds_nothing() {
    let (mut keeper, mut kernel) = (Keeper::new(LEASE), Fake::new(Vec::new()));
    for left in [0, 1, 2999, 3000] {
        let until = kernel.now() + Duration::from_millis(left);
        assert!(matches!(keeper.hold(&mut kernel, 1, until), Some(FromGuard::Failed(_))), "{left} ms");
        assert_eq!(kernel.there, [None, None]);
    }
}
