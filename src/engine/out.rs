//! Where a step puts what comes of it: effects, and the ring of events.

use std::sync::Arc;

use super::Effect;
use crate::domain::event::{Event, EventKind};
use crate::domain::finding::Subject;
use crate::domain::ids::ClusterName;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// How many events a snapshot holds.
pub(super) const EVENTS_MAX: usize = 2_000;

/// Cut back only when this many are too many, so that not each event moves all others.
const EVENTS_SLACK: usize = 200;

/// The newest events, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: Arc<Vec<Event>>,
    pub dirty: bool,
}

impl Ring {
    fn push(&mut self, event: Event) {
        let events = Arc::make_mut(&mut self.events);
        if events.len() >= EVENTS_MAX {
            events.drain(..EVENTS_SLACK);
        }
        events.push(event);
        self.dirty = true;
    }

    pub fn share(&self) -> Arc<Vec<Event>> {
        Arc::clone(&self.events)
    }
}

/// What comes of one step.
pub(super) struct Out<'a> {
    pub now: Time,
    /// Of which cluster it all is.
    pub cluster: Option<ClusterName>,
    pub effects: Vec<Effect>,
    pub ring: &'a mut Ring,
    /// Observations that could not be used, to be counted.
    pub dropped: &'a mut u64,
}

impl Out<'_> {
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Into the ring and to whoever listens.
    pub fn happened(&mut self, kind: EventKind, subject: Subject, text: &str) {
        self.event(Event { at: self.now, cluster: None, kind, subject, text: Line::new(text) });
    }

    pub fn event(&mut self, mut event: Event) {
        event.cluster.clone_from(&self.cluster);
        self.ring.push(event.clone());
        self.effects.push(Effect::Happened(event));
    }
}
