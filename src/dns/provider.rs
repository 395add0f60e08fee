//! The runtime's sockets with timers that end together: six look-ups that began together find no answer together.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::net::runtime::{RuntimeProvider, Time, TokioHandle, TokioRuntimeProvider};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::shared_moment;

/// The most by which a wait for an answer is longer than it was asked for.
const ROUNDED: Duration = Duration::from_millis(256);

/// Shorter waits are rounded to less: this part of themselves.
const PART: u32 = 2;

/// The resolver repeats a datagram after at least this long without an answer.
const REPEATED: Duration = Duration::from_millis(333);

/// tokio's sockets and tasks, with [`SharedTime`].
#[derive(Clone, Default)]
pub(super) struct Provider(TokioRuntimeProvider);

impl RuntimeProvider for Provider {
    type Handle = TokioHandle;
    type Timer = SharedTime;
    type Udp = <TokioRuntimeProvider as RuntimeProvider>::Udp;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> TokioHandle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server_addr: SocketAddr,
        bind_addr: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = Result<Self::Tcp, io::Error>>>> {
        self.0.connect_tcp(server_addr, bind_addr, timeout)
    }

    fn bind_udp(
        &self,
        local_addr: SocketAddr,
        server_addr: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = Result<Self::Udp, io::Error>>>> {
        self.0.bind_udp(local_addr, server_addr)
    }
}

/// Waits that end on shared moments ([`crate::clock::shared_moment`]).
pub(super) struct SharedTime;

fn end(duration: Duration) -> Instant {
    shared_moment((Instant::now() + duration).into_std(), ROUNDED.min(duration / PART)).into()
}

// As `async_trait` writes it, which the trait was declared with.
impl Time for SharedTime {
    fn delay_for<'a>(duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        // The next try of the same question, a little later, does as well, and falls on a shared moment.
        let repeats = (REPEATED..super::TRY).contains(&duration);
        let duration = if repeats { super::TRY * 2 } else { duration };
        Box::pin(async move { sleep_until(end(duration)).await })
    }

    fn timeout<'a, F>(
        duration: Duration,
        future: F,
    ) -> Pin<Box<dyn Future<Output = Result<F::Output, io::Error>> + Send + 'a>>
    where
        F: 'static + Future + Send + 'a,
    {
        Box::pin(async move {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            timeout_at(end(duration), future).await.map_err(late)
        })
    }
}
