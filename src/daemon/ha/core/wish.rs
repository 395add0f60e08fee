//! What this unit asks the holder for: YIELD and SWAP, repeated until it answers or time is over.

use std::time::Duration;

use super::Core;
use crate::daemon::ha::types::Effect;
use crate::domain::ha::Effective;
use crate::domain::text::Line;
use crate::domain::time::{Time, human};
use crate::proto::beat::Message;

/// Time between two of them.
const EVERY: Duration = Duration::from_millis(100);

/// A refused return is tried again so much later.
const AGAIN: Duration = Duration::from_mins(1);

/// How it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    /// It shall let go, whatever its preflight says.
    Yield,
    /// It shall hand over in good order.
    Swap,
}

/// What is asked of the holder.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) row: u8,
    ask: Ask,
    why: Line,
    epoch: u64,
    pub(super) next: Time,
    pub(super) until: Time,
    /// A person waits for the answer.
    pub(super) request: Option<u64>,
}

impl Core {
    pub(super) fn ask_holder(&mut self, now: Time, row: u8, ask: Ask, why: &str, request: Option<u64>) {
        let Some(epoch) = self.other.as_ref().map(|o| o.beat.said.epoch) else { return };
        if let Some(request) = self.wish.take().and_then(|w| w.request) {
            self.answer(request, Err("another change was asked for meanwhile".to_owned()));
        }
        let until = now + self.config.ha.permit_length();
        self.log(&format!("asks the primary to hand over: {why}"));
        self.wish = Some(Wish { row, ask, why: Line::new(why), epoch, next: now, until, request });
    }

    pub(super) fn advance_wish(&mut self, now: Time) {
        self.begin_return(now);
        let Some(wish) = &mut self.wish else { return };
        if self.role != Effective::Secondary || self.taking.is_some() {
            if wish.request.is_none() {
                self.wish = None;
            }
            return;
        }
        if now >= wish.until {
            let (row, request) = (wish.row, wish.request);
            self.wish = None;
            let why = format!("the primary did not answer for {}", human(self.config.ha.permit_length()));
            self.log(&why);
            self.put_off(now, row);
            if let Some(request) = request {
                self.answer(request, Err(why));
            }
            return;
        }
        if now < wish.next {
            return;
        }
        wish.next = now + EVERY;
        let (epoch, reason, row) = (wish.epoch, wish.why.as_str().to_owned(), wish.row);
        let message = match wish.ask {
            Ask::Yield => Message::Yield { epoch, reason, row },
            Ask::Swap => Message::Swap { epoch, reason, row },
        };
        for way in self.link_ways() {
            self.out.push(Effect::Send { way, message: message.clone() });
        }
    }

    /// `restore-role`: well again and quiet, it asks for its role back (row 19).
    fn begin_return(&mut self, now: Time) {
        let due = self.return_at.is_some_and(|at| now >= at) && self.quiet_until.is_none();
        let idle = self.wish.is_none() && self.taking.is_none() && self.stopping.is_none();
        let primary = self.other.as_ref().is_some_and(|o| o.beat.said.effective == Effective::Primary);
        if due && idle && primary && self.role == Effective::Secondary && self.is_heard(now) {
            self.return_at = Some(now + AGAIN);
            self.ask_holder(
                now,
                19,
                Ask::Swap,
                "it is configured as primary, well again, and on-failure is restore-role",
                None,
            );
        }
    }

    fn put_off(&mut self, now: Time, row: u8) {
        match row {
            19 => self.return_at = Some(now + AGAIN),
            4 => self.accuse_at = now + self.config.ha.takeover_after(),
            _ => {}
        }
    }

    /// The holder has released: a person hears so.
    pub(super) fn wish_granted(&mut self, _now: Time) {
        if let Some(request) = self.wish.take().and_then(|w| w.request) {
            self.answer(request, Ok("the primary has released its address; this unit takes over".to_owned()));
        }
    }

    pub(super) fn wish_refused(&mut self, now: Time, epoch: u64, reason: &Line) {
        let Some(wish) = self.wish.take_if(|w| w.epoch == epoch) else { return };
        self.log(&format!("the primary refuses: {reason}"));
        self.put_off(now, wish.row);
        if let Some(request) = wish.request {
            self.answer(request, Err(format!("the primary refuses: {reason}")));
        }
    }

    pub(super) fn answer(&mut self, request: u64, result: Result<String, String>) {
        self.out.push(Effect::Answer { request, result });
    }
}
