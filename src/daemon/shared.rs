//! What all tasks of one running peer share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cluster::{ConnId, DialError, Dialled, Event, RequestId, View};
use super::ha;
use super::life::LifeNet;
use super::runtime::StartError;
use super::store::Keys;
use super::{Environment, Role, Setup};
use crate::domain::ha::{Effective, HaAct, HaStatus};
use crate::domain::ids::{BootId, PeerId};
use crate::domain::membership::Membership;
use crate::domain::mesh::Route;
use crate::domain::settings::Catalogue;
use crate::domain::settings::{Key, Past};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::rpc::{ExecuteParams, ExecuteResult};
use crate::ssh::client::Session;
use crate::ssh::net::BoxStream;

/// A control connection that was dialled: how, its frames, and the SSH session that carries them.
pub(super) type DialOutcome = Result<(Dialled, BoxStream, Session), DialError>;

/// What the core's loop takes.
pub(super) enum Input {
    /// For the core.
    Event(Event),
    /// A dial ended.
    Dialled { conn: ConnId, outcome: Box<DialOutcome> },
    /// A fellow opened the mesh subsystem.
    Accepted { peer: PeerId, from: std::net::SocketAddr, stream: BoxStream },
    /// What observers are told.
    View(oneshot::Sender<View>),
    /// How the fellows are reached.
    Routes(oneshot::Sender<BTreeMap<PeerId, Route>>),
    /// What a register was, or all of them: so many versions at most.
    History { key: Option<Key>, limit: usize, answer: oneshot::Sender<Vec<Past>> },
    /// A session's command.
    Execute { by: Line, params: ExecuteParams, answer: oneshot::Sender<Result<ExecuteResult, String>> },
    /// Say good-bye; answered when everything is said.
    Stop(oneshot::Sender<()>),
}

/// How the rest of the peer meets the HA core.
pub(super) struct HaDesk {
    /// Takes what it shall know.
    pub inbox: mpsc::Sender<ha::Event>,
    /// The newest status.
    pub status: watch::Receiver<Arc<HaStatus>>,
    /// Cancelled when everything that [`ha::Event::Stop`] asked for is said and done.
    pub stopped: CancellationToken,
    /// When its loop last turned, milliseconds on the peer's clock.
    pub turned: Arc<AtomicU64>,
}

/// Somebody at work on this peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub user: String,
    pub from: String,
    pub since: Time,
    pub what: String,
}

/// A user with keys that are read.
pub(super) struct Login {
    pub name: String,
    pub keys: Vec<KeyData>,
    pub role: Role,
}

/// A member with keys that are read.
#[derive(Clone)]
pub(super) struct Member {
    pub id: PeerId,
    pub machine_key: KeyData,
    pub host_key: KeyData,
}

/// Who belongs to the cluster at one moment, with keys that are read.
pub(super) struct Roster {
    pub membership: Arc<Membership>,
    /// The others.
    pub members: Arc<BTreeMap<PeerId, Member>>,
}

impl Roster {
    fn new(membership: Arc<Membership>, me: &PeerId) -> (Self, Vec<StartError>) {
        let (mut members, mut unread) = (BTreeMap::new(), Vec::new());
        for machine in membership.machines.iter().filter(|m| m.id != *me) {
            let key = |text: &str| parse_key(&machine.host.to_string(), text);
            match (key(machine.machine_key.as_str()), key(machine.host_key.as_str())) {
                (Ok(machine_key), Ok(host_key)) => {
                    members.insert(machine.id.clone(), Member { id: machine.id.clone(), machine_key, host_key });
                }
                (Err(error), _) | (_, Err(error)) => unread.push(error),
            }
        }
        (Self { membership, members: Arc::new(members) }, unread)
    }
}

pub(super) struct Shared {
    pub setup: Setup,
    pub env: Environment,
    pub net: LifeNet,
    pub keys: Keys,
    pub boot: BootId,
    /// What can be configured.
    pub catalogue: Arc<Catalogue>,
    roster: RwLock<Arc<Roster>>,
    pub logins: Vec<Login>,
    pub inbox: mpsc::Sender<Input>,
    /// Rises when observers want to look at once.
    pub changed: watch::Sender<u64>,
    /// Nobody new is let in.
    pub closing: CancellationToken,
    /// The end of everything.
    pub over: CancellationToken,
    /// The HA core at work; set once at the start, if there is one.
    pub ha: OnceLock<HaDesk>,
    pub dropped: AtomicU64,
    /// Sessions of users that are logged in.
    pub user_sessions: AtomicUsize,
    /// Connections that the server has taken.
    pub connections: TaskTracker,
    operators: Mutex<BTreeMap<u64, Operator>>,
    next_operator: AtomicU64,
}

impl Shared {
    pub fn new(
        setup: Setup,
        env: Environment,
        keys: Keys,
        boot: BootId,
        membership: Arc<Membership>,
        catalogue: Arc<Catalogue>,
        inbox: mpsc::Sender<Input>,
    ) -> Result<Self, StartError> {
        let over = CancellationToken::new();
        let (roster, unread) = Roster::new(membership, &keys.id);
        if let Some(error) = unread.into_iter().next() {
            return Err(error);
        }
        let mut logins = Vec::new();
        for user in &setup.users {
            let keys = user.keys.iter().map(|k| parse_key(&format!("user {}", user.name), k));
            logins.push(Login {
                name: user.name.clone(),
                keys: keys.collect::<Result<_, StartError>>()?,
                role: user.role,
            });
        }
        Ok(Self {
            net: LifeNet::new(env.net.clone(), over.clone()),
            setup,
            env,
            keys,
            boot,
            catalogue,
            roster: RwLock::new(Arc::new(roster)),
            logins,
            inbox,
            changed: watch::Sender::new(0),
            closing: over.child_token(),
            over,
            ha: OnceLock::new(),
            dropped: AtomicU64::new(0),
            user_sessions: AtomicUsize::new(0),
            connections: TaskTracker::new(),
            operators: Mutex::default(),
            next_operator: AtomicU64::new(1),
        })
    }

    /// Who belongs to the cluster now.
    pub fn roster(&self) -> Arc<Roster> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Others belong to the cluster from now on. Who has a key that can't be read is left out and told.
    pub fn set_roster(&self, membership: Arc<Membership>) -> Vec<StartError> {
        let (roster, unread) = Roster::new(membership, &self.keys.id);
        *self.roster.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(roster);
        unread
    }

    /// Waits while the peer is frozen.
    pub async fn thawed(&self) {
        let mut gate = self.env.gate.clone();
        // Without anybody who could thaw it, it is not frozen.
        let _ = gate.wait_for(|frozen| !frozen).await;
    }

    /// What observers are told, as the core has it now; `None` when the peer has ended.
    pub async fn view(&self) -> Option<View> {
        let (tx, rx) = oneshot::channel();
        self.inbox.send(Input::View(tx)).await.ok()?;
        rx.await.ok()
    }

    /// How the fellows are reached now.
    pub async fn routes(&self) -> Option<BTreeMap<PeerId, Route>> {
        let (tx, rx) = oneshot::channel();
        self.inbox.send(Input::Routes(tx)).await.ok()?;
        rx.await.ok()
    }

    /// What a register was, or all of them, newest first; `None` when the peer has ended.
    pub async fn history(&self, key: Option<Key>, limit: usize) -> Option<Vec<Past>> {
        let (answer, rx) = oneshot::channel();
        self.inbox.send(Input::History { key, limit, answer }).await.ok()?;
        rx.await.ok()
    }

    /// Gives a command to the core.
    pub async fn execute(&self, by: &str, params: ExecuteParams) -> Result<ExecuteResult, String> {
        let ended = || "the peer is being stopped".to_owned();
        let (answer, rx) = oneshot::channel();
        let input = Input::Execute { by: Line::new(by), params, answer };
        self.inbox.send(input).await.map_err(|_| ended())?;
        rx.await.map_err(|_| ended())?
    }

    /// Gives a command to the HA core, which answers with [`Event::HaAnswered`]; so does its absence.
    pub fn ask_ha(&self, request: u64, act: HaAct, by: Line, reason: Line, basis: Option<(Effective, u64)>) {
        let refused = match self.ha.get() {
            None => "this machine is in no HA group",
            Some(ha) => {
                let event = ha::Event::Act { request, act, by, reason, basis };
                match ha.inbox.try_send(event) {
                    Ok(()) => return,
                    Err(_) => "the HA core of this machine takes no more commands now",
                }
            }
        };
        let answer = Event::HaAnswered { request, result: Err(refused.to_owned()) };
        if self.inbox.try_send(Input::Event(answer)).is_err() {
            self.count_drop();
        }
    }

    /// How this machine stands in its HA group, if it is in one.
    pub fn ha_status(&self) -> Option<Arc<HaStatus>> {
        self.ha.get().map(|ha| ha.status.borrow().clone())
    }

    /// Counts something that had no room.
    pub fn count_drop(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes somebody at work until the guard is dropped.
    pub fn operator(self: &Arc<Self>, user: &str, from: &str, what: &str) -> OperatorGuard {
        let n = self.next_operator.fetch_add(1, Ordering::Relaxed);
        let since = self.env.clock.now();
        let operator = Operator { user: user.into(), from: from.into(), since, what: what.into() };
        self.lock_operators().insert(n, operator);
        OperatorGuard { shared: self.clone(), n }
    }

    /// Who is at work now, the earliest first.
    pub fn operators(&self) -> Vec<Operator> {
        self.lock_operators().values().cloned().collect()
    }

    fn lock_operators(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Operator>> {
        self.operators.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an operator off the list when dropped.
pub(super) struct OperatorGuard {
    shared: Arc<Shared>,
    n: u64,
}

impl Drop for OperatorGuard {
    fn drop(&mut self) {
        self.shared.lock_operators().remove(&self.n);
    }
}

fn parse_key(whose: &str, text: &str) -> Result<KeyData, StartError> {
    match PublicKey::from_openssh(text) {
        Ok(key) => Ok(key.key_data().clone()),
        Err(e) => Err(StartError::Key { whose: whose.into(), why: e.to_string() }),
    }
}

/// Numbers requests.
#[derive(Debug, Default)]
pub(super) struct Requests(u64);

impl Requests {
    pub fn next(&mut self) -> RequestId {
        self.0 += 1;
        RequestId(self.0)
    }
}
