//! The third voter (B1): a peer that belongs to neither unit of a group, and votes on which of them may hold the address.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::info;

use super::core::witness::Ballot;
use super::runtime::{Heard, Post, Voice};
use super::wire::{Refusal, Sealer, Via};
use crate::daemon::cluster;
use crate::daemon::shared::{Input, Shared};
use crate::domain::ha::WitnessConfig;
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::beat::Message;

/// A witness that is ready to run.
pub(super) struct Witness {
    shared: Arc<Shared>,
    config: WitnessConfig,
    ballot: Ballot,
    post: Arc<Post>,
    heard: mpsc::Receiver<Heard>,
    sealer: Sealer,
    /// Who had the vote when it was last told.
    told: Option<(PeerId, u64)>,
}

impl Witness {
    pub fn new(shared: Arc<Shared>, config: WitnessConfig, post: Arc<Post>, heard: mpsc::Receiver<Heard>) -> Self {
        let ballot = Ballot::new(&config, shared.env.clock.now());
        let sealer = Sealer::new(config.group.clone(), shared.keys.id.clone(), shared.boot);
        Self { shared, config, ballot, post, heard, sealer, told: None }
    }

    /// Until the peer ends.
    pub async fn run(mut self, voice: Arc<Voice>) {
        let (clock, over) = (self.shared.env.clock.clone(), self.shared.over.clone());
        info!(group = %self.config.group, "votes on which unit may hold the address");
        loop {
            let heard = tokio::select! {
                () = over.cancelled() => return,
                heard = self.heard.recv() => heard,
            };
            tokio::select! {
                () = over.cancelled() => return,
                () = self.shared.thawed() => {}
            }
            let Some(heard) = heard else { return };
            let now = clock.now();
            if !heard.is_stale(now) {
                self.take(&voice, now, heard);
            }
        }
    }

    fn take(&mut self, voice: &Voice, now: Time, heard: Heard) {
        let (to, from) = (heard.to, heard.from);
        match heard.what {
            Ok(opened) => {
                if let Some(answer) = self.ballot.take(now, &opened.from, opened.message) {
                    self.answer(voice, to, from, answer);
                }
                self.tell(now);
            }
            Err(Refusal::Stranger(ref why)) => self.note(&heard.stranger(why)),
            Err(why @ Refusal::Replayed) => self.note(&Line::new(&format!("{why}, from {from}"))),
        }
    }

    fn answer(&mut self, voice: &Voice, from: SocketAddr, to: SocketAddr, answer: Message) {
        if let Some(datagram) = self.sealer.seal(&self.post.keys, Via::Witness, answer) {
            voice.say(from, to, datagram, &self.post.counters);
        }
    }

    /// Says who has the vote when that is another one.
    fn tell(&mut self, now: Time) {
        let holder = self.ballot.granted(now).map(|(unit, epoch, _)| (unit.clone(), epoch));
        if holder != self.told && holder.is_some() {
            if let Some((unit, epoch)) = &holder {
                self.note(&Line::new(&format!("the vote of this witness is with {unit} in epoch {epoch}")));
            }
            self.told = holder;
        }
    }

    fn note(&self, line: &Line) {
        info!(group = %self.config.group, "witness: {line}");
        let note = cluster::Event::Note(Line::new(&format!("HA {}: {line}", self.config.group)));
        if self.shared.inbox.try_send(Input::Event(note)).is_err() {
            self.shared.count_drop();
        }
    }
}
