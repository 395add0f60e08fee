//! The thread that writes: pictures go in by a short queue, and what can't be taken in time is counted, never waited for.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::RecordError;
use super::ring::{Bounds, Ring};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::Time;

/// Pictures that wait at most.
const QUEUE: usize = 4;
/// What was taken is on disk after this time, with the next picture; at the latest after three times as long.
const COMMIT: Duration = Duration::from_secs(1);
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
}

enum Order {
    Picture(Arc<Snapshot>),
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
    /// Hands a picture over; never waits. What finds no room is counted: the next one says all that has changed.
    pub fn offer(&self, snapshot: &Arc<Snapshot>) {
        match self.orders.try_send(Order::Picture(Arc::clone(snapshot))) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
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
        });
        let mut writer =
            Writer { target, random, tell, shared: Arc::clone(&shared), ring: None, again: Time::ZERO, due: None };
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
    /// What waits is committed at this moment.
    due: Option<Time>,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Order>) {
        let mut waiting = 0;
        loop {
            // Nobody is woken where nothing waits.
            let order = match self.due {
                // The next picture commits what is due; where none comes, this does.
                Some(_) => queue.recv_timeout(COMMIT * 3),
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let done = match order {
                Ok(Order::Picture(snapshot)) => {
                    let taken = self.take(&snapshot);
                    waiting += u64::from(matches!(taken, Ok(true)));
                    taken.and_then(|_| if self.due.is_some_and(|d| snapshot.at >= d) { self.commit() } else { Ok(()) })
                }
                Err(RecvTimeoutError::Timeout) => self.commit(),
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => {
                    if let Some(ring) = self.ring.take()
                        && let Err(error) = ring.close()
                    {
                        self.failed(&error, Time::ZERO);
                    } else {
                        self.shared.written.fetch_add(waiting, Ordering::Relaxed);
                    }
                    return;
                }
            };
            match done {
                Ok(()) if self.due.is_none() => {
                    self.shared.written.fetch_add(std::mem::take(&mut waiting), Ordering::Relaxed);
                }
                Ok(()) => {}
                Err((error, at)) => {
                    waiting = 0;
                    self.failed(&error, at);
                }
            }
        }
    }

    /// Takes a picture; whether it was.
    fn take(&mut self, snapshot: &Arc<Snapshot>) -> Result<bool, (RecordError, Time)> {
        let at = snapshot.at;
        let ring = match &mut self.ring {
            Some(ring) => ring,
            None if at < self.again => return Ok(false),
            None => {
                let ring = Ring::open(&self.target, &self.random).map_err(|e| (e, at))?;
                self.set(&State::Recording);
                self.ring.insert(ring)
            }
        };
        ring.add(snapshot).map_err(|e| (e, at))?;
        self.due.get_or_insert(at + COMMIT);
        Ok(true)
    }

    fn commit(&mut self) -> Result<(), (RecordError, Time)> {
        let due = self.due.take().unwrap_or_default();
        self.ring.as_mut().map_or(Ok(()), Ring::commit).map_err(|e| (e, due))
    }

    fn failed(&mut self, error: &RecordError, at: Time) {
        self.ring = None;
        self.due = None;
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
