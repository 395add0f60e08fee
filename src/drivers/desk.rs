//! An actor's desk: requests come in, events go out, and neither ever holds up the connection.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::domain::command::{Outcome, OutcomeState};
use crate::domain::ids::PeerId;
use crate::domain::reach::{EndpointKey, PeerEvent, PeerRequest};
use crate::domain::settings::CommitId;
use crate::domain::text::Line;

/// Reports that may wait for the engine; beyond that a fresh state is worth more than the old ones.
const REPORTS_MAX: usize = 64;

/// Events of all kinds that may wait.
const EVENTS_MAX: usize = 512;

/// The engine or the console is gone: the actor ends.
#[derive(Debug)]
pub(super) struct Gone;

/// Requests in, events out.
pub(super) struct Desk {
    pub(super) key: EndpointKey,
    pub(super) clock: Arc<dyn Clock>,
    requests: mpsc::Receiver<PeerRequest>,
    events: mpsc::Sender<(EndpointKey, PeerEvent)>,
    outbox: VecDeque<PeerEvent>,
    reports: usize,
    dropped: u64,
    /// Rows of these peers are wanted.
    pub(super) relay: Vec<PeerId>,
    /// The settings tree is wanted.
    pub(super) tree: bool,
    /// Set by [`PeerRequest::DialNow`] until a dial begins.
    pub(super) dial_now: bool,
    /// Set by [`PeerRequest::TrustHostKey`] until it is used.
    pub(super) trusted: Option<Line>,
    /// Facts were dropped: deltas no longer fit, the whole state must be asked for again.
    pub(super) gap: bool,
}

impl Desk {
    pub(super) fn new(
        key: EndpointKey,
        requests: mpsc::Receiver<PeerRequest>,
        events: mpsc::Sender<(EndpointKey, PeerEvent)>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            key,
            clock,
            requests,
            events,
            outbox: VecDeque::new(),
            reports: 0,
            dropped: 0,
            relay: Vec::new(),
            tree: false,
            dial_now: false,
            trusted: None,
            gap: false,
        }
    }

    /// Puts an event into the outbox. Facts are dropped when too many reports wait; of the other events the oldest
    /// only when the engine has taken nothing for very long.
    pub(super) fn post(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Observed(facts) => {
                if self.gap || self.reports >= REPORTS_MAX {
                    // What waits can't be continued without what is dropped.
                    self.gap = true;
                    self.dropped += facts.len() as u64;
                    self.reports = 0;
                    let dropped = &mut self.dropped;
                    self.outbox.retain(|e| match e {
                        PeerEvent::Observed(old) => {
                            *dropped += old.len() as u64;
                            false
                        }
                        _ => true,
                    });
                    return;
                }
                self.reports += 1;
                self.outbox.push_back(PeerEvent::Observed(facts));
            }
            PeerEvent::RoundTrip(rtt) => {
                // Only the newest counts.
                self.outbox.retain(|e| !matches!(e, PeerEvent::RoundTrip(_)));
                self.outbox.push_back(PeerEvent::RoundTrip(rtt));
            }
            other => self.outbox.push_back(other),
        }
        if self.outbox.len() > EVENTS_MAX {
            self.dropped += 1;
            if let Some(PeerEvent::Observed(_)) = self.outbox.pop_front() {
                self.reports = self.reports.saturating_sub(1);
                self.gap = true;
            }
        }
    }

    /// Whether everything has been taken: the moment to close a gap.
    pub(super) fn is_clear(&self) -> bool {
        self.outbox.is_empty() && self.dropped == 0
    }

    /// Waits for the next request, handing over events meanwhile.
    pub(super) async fn next(&mut self) -> Result<PeerRequest, Gone> {
        loop {
            let has_post = !self.is_clear();
            tokio::select! {
                request = self.requests.recv() => return request.ok_or(Gone),
                permit = self.events.reserve(), if has_post => {
                    let permit = permit.map_err(|_| Gone)?;
                    let event = match self.outbox.pop_front() {
                        Some(PeerEvent::Observed(facts)) => {
                            self.reports = self.reports.saturating_sub(1);
                            PeerEvent::Observed(facts)
                        }
                        Some(other) => other,
                        None => PeerEvent::Dropped(std::mem::take(&mut self.dropped)),
                    };
                    permit.send((self.key.clone(), event));
                    if self.is_clear() && self.gap {
                        // Lets the caller close the gap.
                        return Ok(PeerRequest::Relay(self.relay.clone()));
                    }
                }
                () = self.events.closed() => return Err(Gone),
            }
        }
    }

    /// Runs `work` while requests are answered as far as they can be without a connection.
    pub(super) async fn attend<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Gone> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                request = self.next() => { let request = request?; self.handle_apart(request); }
            }
        }
    }

    /// As [`Self::attend`], until `work` is done or somebody wants the dial now or accepts a host key.
    pub(super) async fn wait(&mut self, work: impl Future<Output = ()>) -> Result<(), Gone> {
        tokio::pin!(work);
        while !self.dial_now && self.trusted.is_none() {
            tokio::select! {
                () = &mut work => return Ok(()),
                request = self.next() => { let request = request?; self.handle_apart(request); }
            }
        }
        Ok(())
    }

    /// A request while there is no connection.
    pub(super) fn handle_apart(&mut self, request: PeerRequest) {
        match request {
            PeerRequest::Relay(peers) => self.relay = peers,
            PeerRequest::DialNow => self.dial_now = true,
            PeerRequest::Tree(wanted) => self.tree = wanted,
            PeerRequest::History { id, .. } => {
                let why = Line::new(&format!("there is no connection to {}", self.key.host));
                self.post(PeerEvent::History { id, past: Err(why) });
            }
            PeerRequest::TrustHostKey { key } => self.trusted = Some(key),
            PeerRequest::Execute { id, plan } => {
                let detail =
                    format!("`{}` was not sent: there is no connection to {}", plan.command.word(), self.key.host);
                self.outcome(id, OutcomeState::Refused, &detail);
            }
        }
    }

    /// Says what became of a command.
    pub(super) fn outcome(&mut self, id: u64, state: OutcomeState, detail: &str) {
        self.outcome_of(id, state, detail, None);
    }

    /// As [`Self::outcome`]; of a commit that was taken, with its name.
    pub(super) fn outcome_of(&mut self, id: u64, state: OutcomeState, detail: &str, commit: Option<CommitId>) {
        let outcome = Outcome { state, at: self.clock.now(), detail: Line::new(detail) };
        self.post(PeerEvent::Executed { id, outcome, commit });
    }
}
