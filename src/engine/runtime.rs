//! The only impure file of the engine: tokio channels around the pure step.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::domain::Snapshot;
use crate::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};

/// Starts actors; implemented where drivers and engine are wired together.
pub trait Connector: Send + Sync + 'static {
    /// Starts the actor of `endpoint`. It ends when the returned sender is dropped.
    fn start(&self, endpoint: Endpoint, events: mpsc::Sender<(EndpointKey, PeerEvent)>) -> mpsc::Sender<PeerRequest>;
}

/// What every face gets: it can look and cannot act (rule 8).
#[derive(Clone)]
pub struct Observer {
    /// The newest picture.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
}
