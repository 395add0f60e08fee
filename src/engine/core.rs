//! The pure core: an event in, effects out, and the picture on demand.

use std::sync::Arc;

use super::cluster::{ClusterState, Look};
use super::out::{Out, Ring};
use super::{Config, Effect, Event, reconfigure};
use crate::domain::command::{Outcome, OutcomeState};
use crate::domain::ids::ClusterName;
use crate::domain::snapshot::Snapshot;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// The one owner of the truth.
pub struct Engine {
    clusters: Vec<ClusterState>,
    ring: Ring,
    dropped: u64,
    generation: u64,
    shared: Option<Arc<Snapshot>>,
}

impl Engine {
    /// The engine for `config`, and the connections that it wants from the start.
    #[must_use]
    pub fn new(config: Config, now: Time) -> (Self, Vec<Effect>) {
        let mut engine = Self { clusters: Vec::new(), ring: Ring::default(), dropped: 0, generation: 0, shared: None };
        let mut out =
            Out { now, cluster: None, effects: Vec::new(), ring: &mut engine.ring, dropped: &mut engine.dropped };
        for cluster in config.clusters {
            out.cluster = Some(cluster.name.clone());
            engine.clusters.push(ClusterState::new(cluster, now, &mut out));
        }
        let effects = out.effects;
        (engine, effects)
    }

    /// Takes one event and says what is to be done about it.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Effect> {
        let dropped = self.dropped;
        let names: Vec<ClusterName> = self.clusters.iter().map(|c| c.cluster.name.clone()).collect();
        let mut out = Out { now, cluster: None, effects: Vec::new(), ring: &mut self.ring, dropped: &mut self.dropped };
        match event {
            Event::Peer { key, event } => {
                if let Some(at) = self.clusters.iter().position(|c| c.config.name == key.cluster) {
                    let twins: Vec<ClusterName> =
                        names.into_iter().enumerate().filter(|(i, _)| *i != at).map(|(_, n)| n).collect();
                    out.cluster = Some(self.clusters[at].cluster.name.clone());
                    self.clusters[at].on_peer(&key, event, &twins, &mut out);
                    self.clusters[at].settle(false, &mut out);
                }
            }
            Event::Tick => {
                for cluster in &mut self.clusters {
                    out.cluster = Some(cluster.cluster.name.clone());
                    cluster.settle(true, &mut out);
                }
            }
            Event::Submit { id, cluster, plan } => {
                if let Some(cluster) = self.clusters.iter_mut().find(|c| c.is_called(&cluster)) {
                    out.cluster = Some(cluster.cluster.name.clone());
                    cluster.submit(id, plan, &mut out);
                } else {
                    let detail = Line::new(&format!("there is no cluster {cluster}"));
                    let outcome = Outcome { state: OutcomeState::Refused, at: now, detail };
                    out.effect(Effect::Outcome { id, outcome });
                }
            }
            Event::History { id, cluster, key } => {
                if let Some(cluster) = self.clusters.iter_mut().find(|c| c.is_called(&cluster)) {
                    cluster.ask_history(id, key, &mut out);
                } else {
                    let why = Line::new(&format!("there is no cluster {cluster}"));
                    out.effect(Effect::History { id, past: Err(why) });
                }
            }
            Event::TrustHostKey { cluster, peer, line } => {
                if let Some(cluster) = self.clusters.iter_mut().find(|c| c.is_called(&cluster)) {
                    out.cluster = Some(cluster.cluster.name.clone());
                    cluster.trust(&peer, &line, &mut out);
                }
            }
            Event::DialNow { cluster, peer } => {
                if let Some(cluster) = self.clusters.iter_mut().find(|c| c.is_called(&cluster)) {
                    out.cluster = Some(cluster.cluster.name.clone());
                    cluster.dial_now(peer.as_ref(), &mut out);
                }
            }
            Event::Reconfigure(new) => reconfigure::apply(&mut self.clusters, new, &mut out),
            Event::NotTaken { key, request } => {
                *out.dropped += 1;
                if let Some(cluster) = self.clusters.iter_mut().find(|c| c.config.name == key.cluster) {
                    out.cluster = Some(cluster.cluster.name.clone());
                    cluster.not_taken(&key, &request, &mut out);
                }
            }
        }
        let effects = out.effects;
        self.ring.dirty |= self.dropped != dropped;
        effects
    }

    /// Whether [`Engine::snapshot`] would give another picture than last time.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.shared.is_none() || self.ring.dirty || self.clusters.iter().any(|c| c.dirty)
    }

    /// Whether [`Engine::snapshot`] would give a picture that differs in ages, round trips and clocks alone.
    #[must_use]
    pub fn is_aged(&self) -> bool {
        self.clusters.iter().any(|c| c.aged)
    }

    /// When the next [`Event::Tick`] is due at the latest because of what happened since it was asked last;
    /// `None` leaves it where it was.
    pub fn look_sooner(&mut self, now: Time) -> Option<Look> {
        let sooner = |c: &mut ClusterState| {
            if std::mem::take(&mut c.shifted) { Some(c.next_look(now)) } else { c.look_by() }
        };
        self.clusters.iter_mut().filter_map(sooner).reduce(Look::and)
    }

    /// When time alone may change something next: a fact gets too old, a condition has held long enough, or it is
    /// time for a look at all ages. Until then no [`Event::Tick`] is needed unless something else happens.
    #[must_use]
    pub fn next_look(&self, now: Time) -> Look {
        let idle = Look { at: now + super::cluster::LOOK_IDLE, is_limit: false };
        self.clusters.iter().map(|c| c.next_look(now)).reduce(Look::and).unwrap_or(idle)
    }

    /// The picture. The same one as last time where nothing has changed; parts that have not changed are shared.
    pub fn snapshot(&mut self, now: Time) -> Arc<Snapshot> {
        if let Some(shared) = self.shared.as_ref().filter(|_| !self.is_dirty() && !self.is_aged()) {
            return Arc::clone(shared);
        }
        self.generation += 1;
        self.ring.dirty = false;
        let snapshot = Arc::new(Snapshot {
            at: now,
            generation: self.generation,
            clusters: self.clusters.iter_mut().map(ClusterState::share).collect(),
            events: self.ring.share(),
            dropped: self.dropped,
        });
        self.shared = Some(Arc::clone(&snapshot));
        snapshot
    }
}
