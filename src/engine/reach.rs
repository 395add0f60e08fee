//! What a peer's actor says about its connection.

use std::net::SocketAddr;
use std::time::Duration;

use super::cluster::ClusterState;
use super::out::Out;
use crate::domain::command::{Outcome, OutcomeState};
use crate::domain::event::EventKind;
use crate::domain::finding::Subject;
use crate::domain::ids::{ClusterName, PeerId};
use crate::domain::mesh::link::Cause;
use crate::domain::reach::{EndpointKey, PeerEvent, PeerRequest, Reach, ReachState};
use crate::domain::text::Line;

use super::Effect;

impl ClusterState {
    /// Takes what an actor says. `twins` are the names of the other clusters.
    pub fn on_peer(&mut self, key: &EndpointKey, event: PeerEvent, twins: &[ClusterName], out: &mut Out<'_>) {
        if !self.contacts.contains_key(key) {
            return; // A last word of an actor that was stopped.
        }
        match event {
            PeerEvent::Dialing { attempt } => self.on_dialing(key, attempt),
            PeerEvent::Connected { address, took, id } => self.on_connected(key, address, took, id, out),
            PeerEvent::RoundTrip(rtt) => {
                if let Some(at) = self.seat(key) {
                    let reach = &mut self.peer_quietly(at).reach;
                    reach.rtt = Some(rtt);
                    reach.heard = Some(out.now);
                }
            }
            PeerEvent::Observed(facts) => self.on_observed(key, facts, twins, out),
            PeerEvent::AskHostKey { key: offered, fingerprint } => self.on_ask(key, offered, fingerprint, out),
            PeerEvent::Lost { cause, detail, address, retry_in } => {
                self.on_lost(key, cause, detail, address, retry_in, out);
            }
            PeerEvent::Executed { id, outcome, commit } => self.on_executed(id, &outcome, commit, out),
            PeerEvent::History { id, past } => self.on_history(id, past, out),
            PeerEvent::Dropped(n) => {
                *out.dropped = out.dropped.saturating_add(n);
                self.dropping = Some(out.now);
                self.dirty = true;
            }
        }
    }

    /// Whose connection it is; `None` while what it says is not taken.
    pub(super) fn seat(&self, key: &EndpointKey) -> Option<usize> {
        let contact = self.contacts.get(key).filter(|c| c.ignored.is_none())?;
        match &contact.id {
            // Of two ways to one machine, the one that has answered tells how it is reached.
            Some(id) if contact.answered || self.contact_of(id).is_none_or(|(k, c)| k == key || !c.answered) => {
                self.position(id)
            }
            Some(_) => None,
            None => self.position(&PeerId::unheard(key.host.as_str(), key.port)),
        }
    }

    fn on_dialing(&mut self, key: &EndpointKey, attempt: u32) {
        let Some(at) = self.seat(key) else { return };
        // One more dial of a peer that stays away: whoever looks sees its number, and nobody is woken for it.
        self.repeated = self.cluster.peers[at].reach.state == ReachState::Unreachable;
        let peer = if self.repeated { self.peer_quietly(at) } else { self.peer_mut(at) };
        peer.reach.attempts = attempt;
    }

    fn on_connected(
        &mut self,
        key: &EndpointKey,
        address: Option<SocketAddr>,
        took: Duration,
        id: PeerId,
        out: &mut Out<'_>,
    ) {
        let refusal = self.refusal(key, &id);
        let Some(contact) = self.contacts.get_mut(key) else { return };
        contact.has_base = false;
        contact.asked = Vec::new();
        contact.offered = None;
        if let Some(why) = refusal {
            contact.live = false;
            if contact.ignored.as_ref() != Some(&why) {
                out.happened(EventKind::Reach, Subject::Peer(id), why.as_str());
                contact.ignored = Some(why);
            }
            self.unsettled = true;
            self.rebuild(out.now);
            return;
        }
        contact.ignored = None;
        contact.live = true;
        contact.answered = true;
        contact.id = Some(id.clone());
        let now = out.now;
        self.source_connected(key, now);
        self.rebuild(now);
        let Some(at) = self.position(&id) else { return };
        let label = self.cluster.label(&id).to_owned();
        let before = self.cluster.peers[at].reach.state;
        let reach = &mut self.peer_mut(at).reach;
        *reach = Reach { heard: Some(now), address, rtt: reach.rtt, ..Reach::new(now) };
        reach.state = ReachState::Connected;
        self.disturb(&id, now);
        if before != ReachState::Connected {
            let took = crate::domain::time::human_rtt(took);
            out.happened(EventKind::Reach, Subject::Peer(id), &format!("{label} is reached, in {took}"));
        }
    }

    /// Why this connection can't be taken for the peer that it says it is.
    fn refusal(&self, key: &EndpointKey, id: &PeerId) -> Option<Line> {
        let contact = self.contacts.get(key)?;
        let name = format!("{}:{}", key.host, key.port);
        if id.is_unheard() || id.as_str().is_empty() {
            return Some(Line::new(&format!("{name} gave no serial number; what it says is not taken")));
        }
        if let Some(expected) = contact.endpoint.expected.as_ref().filter(|e| *e != id) {
            return Some(Line::new(&format!(
                "{name} answered with serial number {id} where the membership has {expected}; what it says is not taken"
            )));
        }
        let other = self.contacts.iter().find(|(k, c)| *k != key && c.live && c.id.as_ref() == Some(id))?;
        Some(Line::new(&format!(
            "{name} answered with serial number {id}, as {}:{} did before: a second name of one machine, or a clone; what it says is not taken",
            other.0.host, other.0.port
        )))
    }

    fn on_ask(&mut self, key: &EndpointKey, offered: Line, fingerprint: Line, out: &mut Out<'_>) {
        let Some(contact) = self.contacts.get_mut(key) else { return };
        contact.live = false;
        contact.has_base = false;
        let same = contact.offered.as_ref().is_some_and(|(key, _)| *key == offered);
        contact.offered = Some((offered, fingerprint.clone()));
        let Some(at) = self.seat(key) else { return };
        let now = out.now;
        let id = self.cluster.peers[at].id.clone();
        let reach = &mut self.peer_mut(at).reach;
        if reach.state == ReachState::AskHostKey && same {
            return;
        }
        reach.state = ReachState::AskHostKey;
        reach.since = now;
        reach.cause = Some(Cause::HostKey);
        reach.detail = fingerprint;
        reach.next_attempt = None;
        self.disturb(&id, now);
        let text = format!("the host key of {} is not known here and must be looked at", self.cluster.label(&id));
        out.happened(EventKind::Reach, Subject::Peer(id), &text);
    }

    fn on_lost(
        &mut self,
        key: &EndpointKey,
        cause: Cause,
        detail: Line,
        address: Option<SocketAddr>,
        retry_in: Option<Duration>,
        out: &mut Out<'_>,
    ) {
        // Before the state changes: whose connection it was.
        let seat = self.seat(key);
        self.commands_lost(key, out);
        let Some(contact) = self.contacts.get_mut(key) else { return };
        contact.live = false;
        contact.has_base = false;
        contact.asked = Vec::new();
        // Dialled again by itself although the key is not known: nobody is there to be asked, and it stays unknown.
        let unknown = cause == Cause::HostKey && contact.offered.is_some() && retry_in.is_some();
        if !unknown {
            contact.offered = None;
        }
        let Some(at) = seat else { return };
        let now = out.now;
        let id = self.cluster.peers[at].id.clone();
        let label = self.cluster.label(&id).to_owned();
        let before = &self.cluster.peers[at].reach;
        let news = before.state != ReachState::Unreachable || before.cause != Some(cause);
        // Lost again for the same reason: only the moment of the next dial is another.
        self.repeated = !news && before.detail == detail && before.address == address.or(before.address);
        let peer = if self.repeated { self.peer_quietly(at) } else { self.peer_mut(at) };
        let reach = &mut peer.reach;
        if unknown && reach.state == ReachState::AskHostKey {
            reach.detail = detail;
            reach.address = address.or(reach.address);
            reach.next_attempt = retry_in.map(|span| now + span);
            return;
        }
        if reach.state != ReachState::Unreachable {
            // Never had: it is missed since it was first wanted.
            reach.since = if reach.state == ReachState::Connecting { reach.since } else { now };
            reach.state = ReachState::Unreachable;
        }
        let text = format!("{label} is not reached ({}): {detail}", cause.as_str());
        reach.cause = Some(cause);
        reach.detail = detail;
        reach.address = address.or(reach.address);
        reach.next_attempt = retry_in.map(|span| now + span);
        self.unsettled |= !self.repeated;
        if news {
            self.disturb(&id, now);
            out.happened(EventKind::Reach, Subject::Peer(id), &text);
        }
    }

    /// Somebody looked at `line` and accepts it; whether it is what the peer offers.
    pub fn trust(&mut self, peer: &PeerId, line: &Line, out: &mut Out<'_>) {
        let found = self.contacts.iter().find(|(key, c)| {
            let is_it = c.id.as_ref() == Some(peer) || PeerId::unheard(key.host.as_str(), key.port) == *peer;
            is_it && c.offered.as_ref().is_some_and(|(key, print)| line == key || line == print)
        });
        let text = if let Some((key, contact)) = found {
            let offered = contact.offered.as_ref().map(|(key, _)| key.clone()).unwrap_or_default();
            let request = PeerRequest::TrustHostKey { key: offered };
            out.effect(Effect::Request { key: key.clone(), request });
            format!("the host key of {} was accepted: {line}", self.cluster.label(peer))
        } else {
            format!("{} does not offer the host key that was accepted: nothing is trusted", self.cluster.label(peer))
        };
        out.happened(EventKind::Command, Subject::Peer(peer.clone()), &text);
    }

    /// An actor was too busy to take a request: rows are asked for again, a plan is never kept waiting.
    pub fn not_taken(&mut self, key: &EndpointKey, request: &PeerRequest, out: &mut Out<'_>) {
        match request {
            PeerRequest::Relay(_) => {
                if let Some(contact) = self.contacts.get_mut(key) {
                    contact.asked = Vec::new();
                }
            }
            PeerRequest::Execute { id, .. } => {
                let detail = format!("{}:{} is too busy to take it; nothing was sent", key.host, key.port);
                let outcome = Outcome { state: OutcomeState::Refused, at: out.now, detail: Line::new(&detail) };
                self.on_executed(*id, &outcome, None, out);
            }
            PeerRequest::Tree(wanted) => self.tree_not_taken(key, *wanted),
            PeerRequest::History { id, .. } => {
                let why = format!("{}:{} is too busy to be asked; ask again in a moment", key.host, key.port);
                self.on_history(*id, Err(Line::new(&why)), out);
            }
            PeerRequest::TrustHostKey { .. } | PeerRequest::DialNow => {}
        }
    }

    /// Dials now, one peer or all that are not connected.
    pub fn dial_now(&mut self, peer: Option<&PeerId>, out: &mut Out<'_>) {
        for (key, contact) in &self.contacts {
            let stand_in = PeerId::unheard(key.host.as_str(), key.port);
            let is_it = peer.is_none_or(|p| contact.id.as_ref() == Some(p) || stand_in == *p);
            if is_it && !contact.live {
                out.effect(Effect::Request { key: key.clone(), request: PeerRequest::DialNow });
            }
        }
    }
}
