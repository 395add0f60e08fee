//! A connection to a syslog server that notices when it ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{SyslogSpec, Way};
use crate::alerts::sinks::tls;

/// A connection on which nothing is confirmed for so long is broken, in milliseconds: less than
/// [`super::DOUBT`].
const UNCONFIRMED_MS: u32 = 10_000;

pub(super) struct Stream {
    writer: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    /// When the other side ended it.
    ended: Arc<Mutex<Option<Instant>>>,
    reader: JoinHandle<()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Stream {
    /// Connects, and greets where the way is TLS. The caller has a deadline.
    pub(super) async fn open(spec: &SyslogSpec) -> Result<Self, String> {
        let socket = TcpStream::connect((spec.host.as_str(), spec.port)).await.map_err(|e| e.to_string())?;
        let _ = socket.set_nodelay(true);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            // Best effort: without it a server that vanished is noticed minutes later.
            let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, UNCONFIRMED_MS);
        }
        if spec.way != Way::Tls {
            let (reader, writer) = socket.into_split();
            return Ok(Self::new(reader, writer));
        }
        let file = spec.ca_file.clone();
        let config = tokio::task::spawn_blocking(move || tls::client(file.as_deref())).await;
        let config = config.map_err(|e| e.to_string())?.map_err(|f| f.text)?;
        let name = ServerName::try_from(spec.host.clone()).map_err(|e| e.to_string())?;
        let greeted = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
        let (reader, writer) = tokio::io::split(greeted.map_err(|e| format!("TLS: {e}"))?);
        Ok(Self::new(reader, writer))
    }

    fn new(
        mut reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Sync + Unpin + 'static,
    ) -> Self {
        let ended = Arc::new(Mutex::new(None));
        let note = ended.clone();
        let reader = tokio::spawn(async move {
            // A syslog server says nothing: all that can come is the end. What it says all the same is not kept.
            let mut buffer = [0; 256];
            while reader.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
            *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        });
        Self { writer: Box::new(writer), ended, reader }
    }

    /// When the other side ended it; `None`: not yet.
    pub(super) fn ended(&self) -> Option<Instant> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all frames. After a failure, or when it is given up half-way, nothing more can be written.
    pub(super) async fn write(&mut self, frames: &[Vec<u8>]) -> Result<(), String> {
        self.writer.write_all(&frames.concat()).await.map_err(|e| e.to_string())?;
        self.writer.flush().await.map_err(|e| e.to_string())
    }
}
