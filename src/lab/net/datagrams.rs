//! Datagrams of a peer: dropped in a cut, late, or lost by bad luck.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::life::{Life, Slot, killed};
use super::table::{Node, Passage};
use crate::ssh::net::{BoxFuture, Datagrams};

/// Late datagrams that may be under way from one socket; more are lost, as on a real network.
const LATE_MAX: usize = 1024;

struct Late {
    due: Instant,
    bytes: Vec<u8>,
    to: SocketAddr,
    node: Node,
}

pub(super) struct FaultDatagrams {
    socket: Arc<Slot<Arc<UdpSocket>>>,
    /// Our address.
    from: IpAddr,
    life: Arc<Life>,
    luck: Mutex<SmallRng>,
    late: mpsc::Sender<Late>,
}

impl FaultDatagrams {
    pub fn new(socket: Arc<Slot<Arc<UdpSocket>>>, from: IpAddr, life: Arc<Life>) -> Self {
        let luck = Mutex::new(life.faults.luck(life.me, life.me));
        let (late, queue) = mpsc::channel(LATE_MAX);
        tokio::spawn(deliver(queue, Arc::clone(&socket), from, Arc::clone(&life)));
        Self { socket, from, life, luck, late }
    }

    fn socket(&self) -> io::Result<Arc<UdpSocket>> {
        self.socket.lock().clone().ok_or_else(killed)
    }

    fn is_lost(&self, loss: f64) -> bool {
        loss > 0.0 && self.luck.lock().unwrap_or_else(PoisonError::into_inner).random_bool(loss.min(1.0))
    }
}

/// Sends what is late when its time has come, if no cut has come in between. Ends with the sending side.
async fn deliver(mut queue: mpsc::Receiver<Late>, socket: Arc<Slot<Arc<UdpSocket>>>, from: IpAddr, life: Arc<Life>) {
    let mut waiting: BTreeMap<(Instant, u64), Late> = BTreeMap::new();
    let mut number = 0;
    loop {
        let next = waiting.first_key_value().map(|((due, _), _)| *due);
        tokio::select! {
            late = queue.recv(), if waiting.len() < LATE_MAX => {
                let Some(late) = late else { return };
                number += 1; // Keeps the order of those that are due together.
                waiting.insert((late.due, number), late);
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                let Some((_, late)) = waiting.pop_first() else { continue };
                let Some(socket) = socket.lock().clone() else { return };
                let held = matches!(life.faults.on_the_wire(life.me, late.node), Passage::Held { .. });
                if !held && !life.faults.is_lost(from, late.to) {
                    drop(socket.try_send_to(&late.bytes, late.to)); // A datagram may be lost.
                }
            }
        }
    }
}

impl Datagrams for FaultDatagrams {
    fn send_to<'a>(&'a self, bytes: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let (socket, faults, me) = (self.socket()?, &self.life.faults, self.life.me);
            let node = faults.node_at(to);
            if faults.is_frozen(me) {
                return Ok(()); // A process that stands still sends nothing.
            }
            if faults.is_lost(self.from, to) {
                return Ok(());
            }
            match faults.on_the_wire(me, node) {
                Passage::Held { .. } => Ok(()),
                Passage::Clear => socket.send_to(bytes, to).await.map(drop),
                Passage::Impaired { loss, .. } if self.is_lost(loss) => Ok(()),
                Passage::Impaired { slow, .. } if slow.is_zero() => socket.send_to(bytes, to).await.map(drop),
                Passage::Impaired { slow, .. } => {
                    let late = Late { due: Instant::now() + slow, bytes: bytes.to_vec(), to, node };
                    drop(self.late.try_send(late)); // Over the limit it is lost.
                    Ok(())
                }
            }
        })
    }

    fn recv_from<'a>(&'a self, into: &'a mut [u8]) -> BoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(async move {
            loop {
                self.life.faults.until_thawed(self.life.me).await;
                let socket = self.socket()?;
                tokio::select! {
                    ready = socket.readable() => ready?,
                    () = self.life.ended() => return Err(killed()),
                }
                if self.life.faults.is_frozen(self.life.me) {
                    continue;
                }
                match socket.try_recv_from(into) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
        })
    }
}
