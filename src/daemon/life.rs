//! The sockets of one start of a peer: all of them end when it ends, whoever holds them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::ssh::Cuttable;
use crate::ssh::net::{BoxFuture, BoxStream, Datagrams, Listener, Net};

/// A network whose connections end with the peer that uses it, as those of a killed process do.
pub(super) struct LifeNet {
    inner: Arc<dyn Net>,
    over: CancellationToken,
}

impl LifeNet {
    pub fn new(inner: Arc<dyn Net>, over: CancellationToken) -> Self {
        Self { inner, over }
    }

    /// Binds a stream that came from elsewhere to this life.
    pub fn adopt(&self, stream: BoxStream) -> BoxStream {
        Box::new(Cuttable::new(stream, self.over.child_token()))
    }
}

impl Net for LifeNet {
    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = self.inner.connect(to).await?;
            Ok(self.adopt(stream))
        })
    }

    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        self.inner.listen(on)
    }

    fn datagrams(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Arc<dyn Datagrams>>> {
        self.inner.datagrams(on)
    }
}
