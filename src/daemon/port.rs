//! Between the server's sessions and the peer's runtime: what sessions see and what they ask for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::daemon::cluster::View;
use crate::domain::Line;
use crate::domain::ids::{BootId, PeerId};
use crate::proto::rpc::{ExecuteParams, ExecuteResult};
use crate::ssh::net::BoxStream;

/// What every session of the server gets from the runtime.
#[derive(Clone)]
pub struct Port {
    /// Serial number of this peer.
    pub id: PeerId,
    /// This start.
    pub boot: BootId,
    /// How often observers get a report.
    pub report_interval: Duration,
    /// The newest picture; the runtime sends it on each change (coalesced) and at least each ping interval.
    pub view: watch::Receiver<Arc<View>>,
    /// Control connections of fellows, known by their machine keys.
    pub mesh: mpsc::Sender<MeshStream>,
    /// Commands of users.
    pub execute: mpsc::Sender<ExecuteRequest>,
}

/// A fellow has opened the mesh subsystem.
pub struct MeshStream {
    /// Whose machine key it was.
    pub peer: PeerId,
    /// From where.
    pub from: SocketAddr,
    /// Frames, both ways. Dropping it closes the connection.
    pub stream: BoxStream,
}

/// A user wants a command carried out.
pub struct ExecuteRequest {
    /// By whom, for the log.
    pub by: Line,
    /// What.
    pub params: ExecuteParams,
    /// Where the answer goes; the error is the refusal in plain words.
    pub answer: oneshot::Sender<Result<ExecuteResult, String>>,
}
