//! Connections in memory, for labs with more links than the system lets one process have sockets.
//!
//! Only the kernel's socket is left out: the bytes, their faults and everything above are the same.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::life::Mortal;

/// Bytes that one side may be ahead of the other, as in a socket's buffers.
const BUFFER: usize = 64 * 1024;

/// Connections that wait to be accepted.
const BACKLOG: usize = 1024;

/// Ports of callers count through this range, as the kernel's do.
const FIRST_PORT: u16 = 32_768;

/// A caller's end of a connection, and where it calls from.
pub(super) type Visit = (DuplexStream, SocketAddr);

/// Who listens where.
#[derive(Debug, Default)]
pub struct Hub {
    listeners: Mutex<HashMap<SocketAddr, mpsc::Sender<Visit>>>,
    calls: AtomicU16,
}

/// A listener's entry, gone when its peer dies or stops listening.
pub(super) struct Entry {
    hub: Arc<Hub>,
    on: SocketAddr,
}

impl Hub {
    /// Takes calls for this address.
    pub(super) fn listen(self: &Arc<Self>, on: SocketAddr) -> (Arc<Entry>, mpsc::Receiver<Visit>) {
        let (calls, visits) = mpsc::channel(BACKLOG);
        self.lock().insert(on, calls);
        (Arc::new(Entry { hub: Arc::clone(self), on }), visits)
    }

    /// Whether somebody listens there.
    pub(super) fn is_called(&self, to: SocketAddr) -> bool {
        self.lock().contains_key(&to)
    }

    /// Calls a listener.
    pub(super) fn connect(&self, from: IpAddr, to: SocketAddr) -> io::Result<DuplexStream> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let listener = self.lock().get(&to).cloned().ok_or_else(refused)?;
        let port = self.calls.fetch_add(1, Ordering::Relaxed) % (u16::MAX - FIRST_PORT) + FIRST_PORT;
        let (near, far) = duplex(BUFFER);
        listener.try_send((far, SocketAddr::new(from, port))).map_err(|_| refused())?;
        Ok(near)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, mpsc::Sender<Visit>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mortal for Entry {
    fn kill(&self) {
        self.hub.lock().remove(&self.on);
    }
}
