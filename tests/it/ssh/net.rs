//! A network in memory, so that paused time can run through every deadline at once.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use peerdeck::ssh::net::{BoxFuture, BoxStream, Datagrams, Listener, Net};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};

/// What happens to those who connect to an address.
#[derive(Clone)]
enum Port {
    Open(mpsc::Sender<DuplexStream>),
    /// Packets vanish.
    Silent,
}

/// Addresses and who listens there; all others refuse.
#[derive(Clone, Default)]
pub struct MemNet {
    ports: Arc<Mutex<HashMap<SocketAddr, Port>>>,
    connections: Arc<Mutex<HashMap<SocketAddr, usize>>>,
    /// While true, established connections carry nothing in either direction.
    frozen: Arc<watch::Sender<bool>>,
}

impl MemNet {
    pub fn silent(&self, at: SocketAddr) {
        self.ports.lock().unwrap().insert(at, Port::Silent);
    }

    pub fn open(&self, at: SocketAddr) -> mpsc::Receiver<DuplexStream> {
        let (sender, receiver) = mpsc::channel(16);
        self.ports.lock().unwrap().insert(at, Port::Open(sender));
        receiver
    }

    /// How often somebody has connected to `at`.
    pub fn connections(&self, at: SocketAddr) -> usize {
        self.connections.lock().unwrap().get(&at).copied().unwrap_or_default()
    }

    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }
}

impl Net for MemNet {
    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxStream>> {
        let port = self.ports.lock().unwrap().get(&to).cloned();
        let frozen = self.frozen.subscribe();
        *self.connections.lock().unwrap().entry(to).or_default() += 1;
        Box::pin(async move {
            match port {
                None => Err(io::ErrorKind::ConnectionRefused.into()),
                Some(Port::Silent) => std::future::pending().await,
                Some(Port::Open(listener)) => {
                    let (ours, near) = tokio::io::duplex(256 * 1024);
                    let (far, theirs) = tokio::io::duplex(256 * 1024);
                    let (near_in, near_out) = tokio::io::split(near);
                    let (far_in, far_out) = tokio::io::split(far);
                    tokio::spawn(carry(near_in, far_out, frozen.clone()));
                    tokio::spawn(carry(far_in, near_out, frozen));
                    listener.send(theirs).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                    Ok(Box::new(ours) as BoxStream)
                }
            }
        })
    }

    fn listen(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn datagrams(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Arc<dyn Datagrams>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// One direction of a connection.
async fn carry(
    mut from: tokio::io::ReadHalf<DuplexStream>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
    mut frozen: watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(n) = from.read(&mut buffer).await else { return };
        if frozen.wait_for(|f| !*f).await.is_err() {
            return;
        }
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
