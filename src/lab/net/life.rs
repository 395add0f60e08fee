//! The life of one start of a peer: what dies with it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use super::table::{Faults, Node};

/// What the kernel closes when a process dies.
pub(super) trait Mortal: Send + Sync {
    /// Closes it at once, whoever uses it.
    fn kill(&self);
}

/// A socket that can be taken away from its user.
pub(super) struct Slot<T>(Mutex<Option<T>>);

impl<T> Slot<T> {
    pub fn new(held: T) -> Self {
        Self(Mutex::new(Some(held)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Mortal for Slot<T> {
    fn kill(&self) {
        self.lock().take();
    }
}

/// One start of one peer.
pub(super) struct Life {
    pub faults: Arc<Faults>,
    pub me: Node,
    over: watch::Sender<bool>,
    mortals: Mutex<Vec<Weak<dyn Mortal>>>,
}

impl Life {
    pub fn new(faults: Arc<Faults>, me: Node) -> Self {
        Self { faults, me, over: watch::Sender::new(false), mortals: Mutex::default() }
    }

    /// What shall die with this life; at once if it is over.
    pub fn keep<M: Mortal + 'static>(&self, mortal: &Arc<M>) {
        {
            let mut mortals = self.lock();
            if mortals.len() == mortals.capacity() {
                mortals.retain(|m| m.strong_count() > 0);
            }
            let weak: Weak<M> = Arc::downgrade(mortal);
            mortals.push(weak);
        }
        if *self.over.borrow() {
            mortal.kill();
        }
    }

    pub fn end(&self) {
        self.over.send_replace(true);
        let mortals = std::mem::take(&mut *self.lock());
        for mortal in mortals.iter().filter_map(Weak::upgrade) {
            mortal.kill();
        }
    }

    /// Resolves when it is over.
    pub async fn ended(&self) {
        // The sender lives as long as `self`.
        drop(self.over.subscribe().wait_for(|over| *over).await);
    }

    /// Refuses what a dead process can't do.
    pub fn check(&self) -> io::Result<()> {
        if *self.over.borrow() { Err(killed()) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Mortal>>> {
        self.mortals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn killed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the lab has killed this peer")
}
