//! The thread that writes: pictures go in by a short queue of batches, and what can't be taken in time is counted, never waited for.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::RecordError;
use super::ring::{Bounds, Ring};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::Time;

/// Batches that wait at most.
const QUEUE: usize = 4;
/// Pictures in a batch at most.
const BATCH: usize = 16;
/// After a failure it is tried again this much later,
const AGAIN: Duration = Duration::from_secs(30);
/// and this much later while another process records.
const LOOK: Duration = Duration::from_secs(5);

/// Where to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A ring, for looking back; one process writes it.
    Ring {
        /// Its folder.
        folder: PathBuf,
        /// How much is kept.
        bounds: Bounds,
    },
    /// A file of its own, as long as it takes.
    File(PathBuf),
}

/// How it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing has come yet, or all is written.
    Recording,
    /// Another process records the same fleet.
    Elsewhere,
    /// It can't be written, and why.
    Failed(String),
}

struct Shared {
    dropped: AtomicU64,
    written: AtomicU64,
    state: Mutex<State>,
    /// Pictures that nobody is woken for yet.
    held: Mutex<Vec<Arc<Snapshot>>>,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Vec<Arc<Snapshot>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Order {
    Pictures(Vec<Arc<Snapshot>>),
    /// Somebody waits until all before this is on disk.
    Tell(SyncSender<()>),
    End,
}

/// Called when it can't be written any more, once, and when it can again.
pub type Tell = Box<dyn Fn(&State) + Send>;

/// A recorder that runs. Dropping it writes what waits and ends it; that takes a moment, so not on an async thread.
pub struct Recorder {
    feeder: Feeder,
    thread: Option<JoinHandle<()>>,
}

/// Hands pictures to a recorder, as long as that runs.
#[derive(Clone)]
pub struct Feeder {
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
}

impl Feeder {
    /// Takes a picture, which is written with the next [`Feeder::hand_over`], or at the end: the thread that writes is
    /// woken once for several.
    pub fn hold(&self, snapshot: &Arc<Snapshot>) {
        let full = {
            let mut held = self.shared.held();
            held.push(Arc::clone(snapshot));
            held.len() >= BATCH
        };
        if full {
            self.hand_over();
        }
    }

    /// Takes a picture in the place of the last one, which was shown for too short to be seen.
    pub fn amend(&self, snapshot: &Arc<Snapshot>) {
        self.shared.held().pop();
        self.hold(snapshot);
    }

    /// Has what is held written, in one transaction; never waits. What finds no room is counted: the next picture says
    /// all that has changed.
    pub fn hand_over(&self) {
        let held = std::mem::take(&mut *self.shared.held());
        if held.is_empty() {
            return;
        }
        match self.orders.try_send(Order::Pictures(held)) {
            Err(TrySendError::Full(Order::Pictures(held))) => {
                self.shared.dropped.fetch_add(held.len() as u64, Ordering::Relaxed);
            }
            Ok(()) | Err(TrySendError::Full(Order::End | Order::Tell(_)) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Has all that was taken until now written, and waits for that no longer than `patience`: for who wants to read it.
    pub fn settle(&self, patience: Duration) {
        self.hand_over();
        let (done, told) = sync_channel(1);
        if self.orders.try_send(Order::Tell(done)).is_ok() {
            let _ = told.recv_timeout(patience); // Late or ended: what is there is read.
        }
    }

    /// A picture that is written at once.
    pub fn offer(&self, snapshot: &Arc<Snapshot>) {
        self.hold(snapshot);
        self.hand_over();
    }

    /// Pictures that could not be taken in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Pictures that are on disk.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Recorder {
    /// Starts the thread; nothing is opened before the first picture.
    ///
    /// # Errors
    /// When the system gives no thread or no random bytes.
    pub fn start(target: Target, tell: Tell) -> Result<Self, String> {
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).map_err(|_| "the system gives no random bytes")?;
        let (orders, queue) = sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            dropped: AtomicU64::new(0),
            written: AtomicU64::new(0),
            state: Mutex::new(State::Recording),
            held: Mutex::default(),
        });
        let mut writer = Writer { target, random, tell, shared: Arc::clone(&shared), ring: None, again: Time::ZERO };
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || writer.run(&queue));
        let thread = Some(thread.map_err(|e| format!("there is no thread for it: {e}"))?);
        Ok(Self { feeder: Feeder { orders, shared }, thread })
    }

    /// Where pictures go in.
    #[must_use]
    pub fn feeder(&self) -> Feeder {
        self.feeder.clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let held = std::mem::take(&mut *self.feeder.shared.held());
        let _ = self.feeder.orders.send(Order::Pictures(held)); // Fails as the next one does.
        if self.feeder.orders.send(Order::End).is_ok() {
            let _ = thread.join(); // One that failed has nothing to write any more.
        }
    }
}

struct Writer {
    target: Target,
    random: [u8; 32],
    tell: Tell,
    shared: Arc<Shared>,
    ring: Option<Ring>,
    /// Not before this moment is it tried again.
    again: Time,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Order>) {
        // Nobody is woken where nothing waits.
        while let Ok(order) = queue.recv() {
            match order {
                Order::Pictures(batch) => match self.take(&batch) {
                    Ok(taken) => {
                        self.shared.written.fetch_add(taken, Ordering::Relaxed);
                    }
                    Err((error, at)) => self.failed(&error, at),
                },
                Order::Tell(done) => {
                    let _ = done.try_send(()); // Nobody waits any more.
                }
                Order::End => break,
            }
        }
        if let Some(ring) = self.ring.take()
            && let Err(error) = ring.close()
        {
            self.failed(&error, Time::ZERO);
        }
    }

    /// Writes a batch; how many of it.
    fn take(&mut self, batch: &[Arc<Snapshot>]) -> Result<u64, (RecordError, Time)> {
        let (mut taken, mut last) = (0, Time::ZERO);
        for snapshot in batch {
            let at = snapshot.at;
            let ring = match &mut self.ring {
                Some(ring) => ring,
                None if at < self.again => continue,
                None => {
                    let ring = Ring::open(&self.target, &self.random).map_err(|e| (e, at))?;
                    self.set(&State::Recording);
                    self.ring.insert(ring)
                }
            };
            ring.add(snapshot).map_err(|e| (e, at))?;
            (taken, last) = (taken + 1, at);
        }
        self.ring.as_mut().map_or(Ok(()), Ring::commit).map_err(|e| (e, last))?;
        Ok(taken)
    }

    fn failed(&mut self, error: &RecordError, at: Time) {
        self.ring = None;
        let (state, pause) = match error {
            RecordError::InUse { .. } => (State::Elsewhere, LOOK),
            RecordError::Io { .. }
            | RecordError::Store { .. }
            | RecordError::Refused { .. }
            | RecordError::Nothing { .. } => (State::Failed(error.to_string()), AGAIN),
        };
        // A file that was begun is not begun again.
        self.again = match self.target {
            Target::Ring { .. } => at + pause,
            Target::File(_) => Time::from_millis(u64::MAX),
        };
        self.set(&state);
    }

    fn set(&self, state: &State) {
        let mut known = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *known, state.clone());
        drop(known);
        if std::mem::discriminant(&before) != std::mem::discriminant(state) {
            (self.tell)(state);
        }
    }
}
