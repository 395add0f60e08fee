//! The peer at work: executes what the core decides, over SSH, datagrams, DNS and timers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::PublicKey;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::cluster::{self, ConnId, Core, Effect, Event, RequestId};
use super::disk::{Disk, DiskFault};
use super::replica::{self, Replica, StoredChange};
use super::shared::{DialOutcome, Input, Requests, Shared};
use super::signing::MachineKey;
use super::store::{self, Keys, StoreError};
use super::vault::{MachineVault, Vault};
use super::wire::{self, Outgoing};
use super::{Environment, Setup, dial, ha, server, udp};
use crate::domain::ha::HaStatus;
use crate::domain::ids::{ClusterName, GroupName, PeerId};
use crate::domain::membership::{Addressing, MAIN_GROUP, Machine, Membership};
use crate::domain::mesh::Cause;
use crate::domain::settings::Catalogue;
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::proto::frame::Frame;
use crate::proto::rpc::ExecuteResult;
use crate::ssh::client::{Session, fingerprint};
use crate::ssh::net::{BoxStream, Datagrams, Net};

/// Inputs that may wait for the core.
const INBOX: usize = 4096;

/// Dials under way at a time; one per target, so that a stock sshd's limit of ten is never near.
const DIALS: usize = 64;

/// How long good-byes may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long the hand-over to the other HA unit may take.
const HA_FAREWELL: Duration = Duration::from_secs(2);

/// Why a peer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its port.
    #[error("can't listen on {on}: {error}; is another peer running there, or the port reserved?")]
    Listen {
        /// Where.
        on: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// A bug.
    #[error("the settings could not be opened: {0}")]
    Panicked(String),
    /// High availability.
    #[error(transparent)]
    Ha(#[from] ha::HaError),
    /// Files of `features.d`.
    #[error("the features that the site adds can't be read:\n{0}")]
    Features(String),
    /// What it has kept of the settings makes no sense.
    #[error(
        "the settings that were kept can't be read: {0}; restore the state directory from a backup, or remove `settings.db` to take everything from the fellows anew"
    )]
    Settings(#[from] replica::ReplicaError),
    /// A membership was put beside settings that are not its cluster's.
    #[error(
        "this peer was given the membership of cluster {cluster}, but has settings of its own from when it was in no \
         cluster; remove `settings.db*` to take the cluster's, or `membership.json` to stay alone"
    )]
    Lone {
        /// Of which.
        cluster: String,
    },
    /// A user or member has a key that can't be read.
    #[error("{whose} has a key that can't be read: {why}; it must be an OpenSSH public key (`ssh-ed25519 AAAA...`)")]
    Key {
        /// Whose.
        whose: String,
        /// What is wrong with it.
        why: String,
    },
}

/// How many links of a peer are up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkCounts {
    /// Connected links.
    pub connected: usize,
    /// All wanted links.
    pub total: usize,
}

/// A peer that runs. Dropping it kills it.
pub struct Running {
    shared: Arc<Shared>,
    addr: SocketAddr,
    links: watch::Receiver<LinkCounts>,
}

impl Running {
    /// Its serial number.
    #[must_use]
    pub fn identity(&self) -> &PeerId {
        &self.shared.keys.id
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many of its links are up, as it changes.
    #[must_use]
    pub fn links(&self) -> watch::Receiver<LinkCounts> {
        self.links.clone()
    }

    /// Speaks another level from now on (C15; for tests and the lab). Lost only if 4,096 inputs wait.
    pub fn set_level(&self, level: u32) {
        if self.shared.inbox.try_send(Input::Event(Event::SetLevel(level))).is_err() {
            self.shared.count_drop();
        }
    }

    /// How this machine stands in its HA group, as it changes; `None`: it is a unit of none.
    #[must_use]
    pub fn ha(&self) -> Option<watch::Receiver<Arc<HaStatus>>> {
        self.shared.ha.get().map(|desk| desk.status.clone())
    }

    /// How long ago the loop of the HA core last turned; zero without one. It turns once a second at least.
    #[must_use]
    pub fn ha_turned(&self) -> Duration {
        let turned = self.shared.ha.get().map(|desk| Time::from_millis(desk.turned.load(Ordering::Relaxed)));
        turned.map_or(Duration::ZERO, |at| self.shared.env.clock.now().since(at))
    }

    /// Lets virtual addresses go, says good-bye to its fellows and ends; at most three seconds, frozen or not.
    pub async fn stop(self) {
        self.leave(false).await;
    }

    /// As [`Running::stop`]; the other unit of its HA group shall wait, as this one comes back.
    pub async fn restart(self) {
        self.leave(true).await;
    }

    async fn leave(self, restarting: bool) {
        if let Some(desk) = self.shared.ha.get() {
            let let_go = async {
                desk.inbox.send(ha::Event::Stop { restarting }).await.ok()?;
                desk.stopped.cancelled().await;
                Some(())
            };
            if timeout(HA_FAREWELL, let_go).await.is_err() {
                warn!("the other HA unit may not know that this one stops: addresses go without a hand-over");
            }
        }
        let (tx, rx) = oneshot::channel();
        let farewell = async {
            self.shared.inbox.send(Input::Stop(tx)).await.ok()?;
            rx.await.ok()
        };
        // A frozen or overloaded peer ends without a word.
        let _ = timeout(FAREWELL, farewell).await;
    }

    /// Ends at once, as a killed process would: sockets closed, nothing said.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.over.cancel();
    }
}

/// Starts a peer with what stands in its state directory; makes an identity if there is none.
///
/// # Errors
/// [`StartError`] when the state directory, a key or the port can't be used.
pub async fn start(setup: Setup, env: Environment) -> Result<Running, StartError> {
    store::provision(&setup.state_dir, &setup.host)?;
    let keys = store::read_keys(&setup.state_dir)?;
    let settings = {
        let (setup, keys, faults) = (setup.clone(), keys.clone(), env.disk.clone());
        // Another process may hold the database for a moment.
        let open = tokio::task::spawn_blocking(move || open_settings(&setup, &keys, faults));
        open.await.map_err(|e| StartError::Panicked(e.to_string()))??
    };
    let membership =
        settings.as_ref().map_or_else(cluster::alone, |(replica, _)| cluster::membership(replica, &keys.id));
    let membership = Arc::new(membership);
    let detached = store::read_detached(&setup.state_dir)?;
    let maintenance = store::read_maintenance(&setup.state_dir)?;
    let boot = store::begin_boot(&setup.state_dir, env.clock.wall_ms())?;
    let catalogue = features(&setup)?;
    let (inbox, inputs) = mpsc::channel(INBOX);
    let listen = setup.listen;
    let shared = Arc::new(Shared::new(setup, env, keys, boot, membership, catalogue, inbox)?);

    let refused = |error| StartError::Listen { on: listen, error };
    let listener = shared.net.listen(listen).await.map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    let socket = match shared.net.datagrams(addr).await {
        Ok(socket) => Some(socket),
        Err(error) => {
            warn!(%addr, %error, "no datagrams: one-sided faults can't be told from others");
            None
        }
    };

    let setup = &shared.setup;
    let config = cluster::Config {
        id: shared.keys.id.clone(),
        host: setup.host.clone(),
        boot,
        level: setup.level,
        ping_interval: setup.ping_interval,
        ping_failures: setup.ping_failures,
        membership: shared.roster().membership.clone(),
        detached,
        maintenance,
        unfit: own_key_fault(&shared),
        seed: setup.seed.unwrap_or_else(rand::random),
    };
    if let Err(error) = ha::runtime::start(&shared).await {
        shared.over.cancel();
        return Err(error.into());
    }
    let (counts, links) = watch::channel(LinkCounts { connected: 0, total: shared.roster().members.len() });
    if let Some(socket) = &socket {
        tokio::spawn(udp::receive(shared.clone(), socket.clone()));
    }
    tokio::spawn(server::accept(shared.clone(), listener));
    let settings = settings.map(|(replica, disk)| (replica, Arc::new(Mutex::new(disk))));
    tokio::spawn(run(shared.clone(), config, inputs, socket, counts, settings));
    info!(host = %setup.host, serial = %shared.keys.id, %addr, "peer started");
    Ok(Running { shared, addr, links })
}

/// What can be configured: the built-in features and those that the site has put into `features.d`.
fn features(setup: &Setup) -> Result<Arc<Catalogue>, StartError> {
    let site = store::read_features(&setup.state_dir)?;
    if site.is_empty() {
        return Ok(crate::proto::features::built_in());
    }
    let texts: Vec<(&str, &str)> = site.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let told = |problems: Vec<crate::proto::features::FeatureProblem>| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        StartError::Features(lines.join("\n"))
    };
    crate::proto::features::catalogue(&texts).map(Arc::new).map_err(told)
}

/// The settings that this peer has kept; at its first start they are founded on the membership that it was given.
fn open_settings(
    setup: &Setup,
    keys: &Keys,
    faults: watch::Receiver<DiskFault>,
) -> Result<Option<(Replica, Disk)>, StartError> {
    let (mut disk, kept) = Disk::open(&setup.state_dir)?;
    disk.heed(faults);
    if kept.restored {
        let missing = kept.missing;
        warn!(
            missing,
            "the settings on disk are older than what this peer had answered, or were copied: taken for a restored \
             backup; fellows send what they have of it"
        );
    }
    let Some(signing) = MachineKey::new(&keys.machine) else { return Ok(None) };
    let config = replica::Config {
        peer: keys.id.clone(),
        host: setup.host.clone(),
        actor: kept.actor,
        seed: rand::random(),
        signing: Arc::new(signing),
    };
    let given = store::read_membership(&setup.state_dir)?;
    let mut forget = Vec::new();
    if !kept.changes.is_empty() {
        let hashes: Vec<[u8; 32]> = kept.changes.iter().map(|c| c.hash).collect();
        let replica = Replica::load(config.clone(), kept.changes)?;
        let other = given.as_ref().filter(|m| m.cluster_id != *replica.cluster_id());
        let Some(cluster) = other.filter(|_| replica.tree().structure().is_alone()) else {
            return Ok(Some((replica, disk)));
        };
        // It was in no cluster until now, and is given one.
        if hashes.len() > 1 {
            return Err(StartError::Lone { cluster: cluster.name.to_string() });
        }
        forget = hashes;
    }
    let membership = given.unwrap_or_else(|| lone(setup, keys));
    let (mut replica, batch) = Replica::found(config, &membership)?;
    disk.replace(&forget, &batch.changes, Some(&replica.actor()))?;
    replica.kept(batch.id);
    Ok(Some((replica, disk)))
}

/// What a peer founds its settings on that was given no membership: itself, in a cluster that has no name (C3).
fn lone(setup: &Setup, keys: &Keys) -> Membership {
    let text =
        |key: &PublicKey| Line::new(&PublicKey::new(key.key_data().clone(), "").to_openssh().unwrap_or_default());
    let group = GroupName::new(MAIN_GROUP);
    let machine = Machine {
        id: keys.id.clone(),
        host: setup.host.clone(),
        group: group.clone(),
        address: setup.host.clone(),
        // A port that the system draws is another one at each start: then the usual one is as good as any.
        port: if setup.listen.port() == 0 { 22 } else { setup.listen.port() },
        machine_key: text(keys.machine.public_key()),
        host_key: text(keys.host.public_key()),
    };
    Membership {
        cluster_id: Line::new(&format!("{:032x}", rand::random::<u128>())),
        name: ClusterName::new(""),
        revision: 1,
        addressing: Addressing::HostName,
        groups: vec![group],
        machines: vec![Arc::new(machine)],
    }
}

/// Fellows would refuse our host key: coming in over connections that we dial would only hide that from them.
fn own_key_fault(shared: &Shared) -> Option<(Cause, Line)> {
    let pinned = shared.roster().membership.machine(&shared.keys.id)?.host_key.clone();
    let own = shared.keys.host.public_key();
    let same = PublicKey::from_openssh(pinned.as_str()).is_ok_and(|key| key.key_data() == own.key_data());
    (!same).then(|| {
        let text = format!("this machine's own host key {} is not the one that the membership pins", fingerprint(own));
        warn!("{text}");
        (Cause::HostKey, Line::new(&text))
    })
}

/// The core's hands.
struct Loop {
    shared: Arc<Shared>,
    socket: Option<Arc<dyn Datagrams>>,
    signer: Option<Arc<MachineKey>>,
    queues: BTreeMap<ConnId, mpsc::Sender<Outgoing>>,
    dials: BTreeMap<ConnId, AbortHandle>,
    answers: BTreeMap<RequestId, oneshot::Sender<Result<ExecuteResult, String>>>,
    requests: Requests,
    room: Arc<Semaphore>,
    /// Connections that write what is left.
    carriers: Vec<tokio::task::JoinHandle<()>>,
    next_accepted: u64,
    /// Where the settings are kept.
    disk: Option<Arc<Mutex<Disk>>>,
    /// The frame that was encoded last: one row goes to many.
    encoded: Option<(Arc<Frame>, Outgoing)>,
}

async fn run(
    shared: Arc<Shared>,
    config: cluster::Config,
    mut inputs: mpsc::Receiver<Input>,
    socket: Option<Arc<dyn Datagrams>>,
    counts: watch::Sender<LinkCounts>,
    settings: Option<(Replica, Arc<Mutex<Disk>>)>,
) {
    let (replica, disk) = settings.unzip();
    let mut this = Loop {
        signer: MachineKey::new(&shared.keys.machine).map(Arc::new),
        socket,
        queues: BTreeMap::new(),
        dials: BTreeMap::new(),
        answers: BTreeMap::new(),
        requests: Requests::default(),
        room: Arc::new(Semaphore::new(DIALS)),
        carriers: Vec::new(),
        next_accepted: 1,
        disk,
        encoded: None,
        shared,
    };
    let clock = this.shared.env.clock.clone();
    let over = this.shared.over.clone();
    let catalogue = this.shared.catalogue.clone();
    // Its key was fit to sign: it is Ed25519, and there is a vault.
    let vault = MachineVault::new(&this.shared.keys.machine);
    let settings = replica.zip(vault).map(|(replica, vault)| (replica, catalogue, Arc::new(vault) as Arc<dyn Vault>));
    let (mut core, effects) = Core::with_settings(config, settings, clock.now());
    core.set_wall(Time::from_millis(clock.wall_ms()));
    this.carry_out(effects);
    loop {
        let wait = core.next_wake().since(clock.now());
        let input = tokio::select! {
            biased;
            () = over.cancelled() => return,
            input = inputs.recv() => input,
            () = tokio::time::sleep_until(Instant::now() + wait) => Some(Input::Event(Event::Tick)),
        };
        tokio::select! {
            biased;
            () = over.cancelled() => return,
            () = this.shared.thawed() => {}
        }
        let Some(input) = input else { return };
        let now = clock.now();
        core.set_wall(Time::from_millis(clock.wall_ms()));
        if let Input::Stop(done) = input {
            let effects = core.step(now, Event::Stop);
            this.carry_out(effects);
            this.farewell().await;
            this.close_disk().await;
            // Whoever waits for it may have given up.
            let _ = done.send(());
            return;
        }
        this.take(&mut core, now, input);
        let (connected, total) = core.counts();
        counts.send_if_modified(|c| {
            std::mem::replace(c, LinkCounts { connected, total }) != LinkCounts { connected, total }
        });
    }
}

impl Loop {
    fn take(&mut self, core: &mut Core, now: Time, input: Input) {
        let event = match input {
            Input::Event(event) => {
                if let Event::Closed { conn, .. } = &event {
                    self.queues.remove(conn);
                }
                event
            }
            Input::Dialled { conn, outcome } => return self.dialled(core, now, conn, *outcome),
            Input::Accepted { peer, from, stream } => {
                let conn = ConnId(self.next_accepted);
                self.next_accepted += 2;
                self.carry(conn, stream, None);
                Event::Accepted { conn, peer, from }
            }
            Input::View(answer) => {
                // Whoever asked may have gone.
                let _ = answer.send(core.view(now, self.shared.dropped.load(Ordering::Relaxed)));
                return;
            }
            Input::Routes(answer) => {
                let _ = answer.send(core.routes(now));
                return;
            }
            Input::History { key, limit, answer } => {
                let _ = answer.send(core.history(key.as_ref(), limit));
                return;
            }
            Input::Execute { by, params, answer } => {
                let request = self.requests.next();
                self.answers.insert(request, answer);
                Event::Execute { request, by, params }
            }
            Input::Stop(_) => Event::Stop,
        };
        let effects = core.step(now, event);
        self.carry_out(effects);
    }

    fn dialled(&mut self, core: &mut Core, now: Time, conn: ConnId, outcome: DialOutcome) {
        self.dials.remove(&conn);
        let result = outcome.map(|(dialled, stream, session)| {
            self.carry(conn, stream, Some(session));
            dialled
        });
        let effects = core.step(now, Event::Dialled { conn, result });
        self.carry_out(effects);
    }

    fn carry(&mut self, conn: ConnId, stream: BoxStream, session: Option<Session>) {
        let (tx, rx) = mpsc::channel(wire::QUEUE);
        self.queues.insert(conn, tx);
        self.carriers.retain(|c| !c.is_finished());
        self.carriers.push(tokio::spawn(wire::carry(self.shared.clone(), conn, stream, session, rx)));
    }

    /// Waits until all that was queued is written.
    async fn farewell(&mut self) {
        self.shared.closing.cancel();
        self.queues.clear();
        let all = async {
            for carrier in self.carriers.drain(..) {
                // One that failed has nothing left to say.
                let _ = carrier.await;
            }
        };
        let _ = timeout(FAREWELL / 2, all).await;
        // What the server's sessions hold must still reach the sockets.
        self.shared.connections.close();
        let _ = timeout(FAREWELL / 4, self.shared.connections.wait()).await;
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Dial { conn, peer, last_good } => self.dial(conn, &peer, last_good),
                Effect::Send { conn, frame } => self.send(conn, frame),
                Effect::Close { conn } => {
                    self.queues.remove(&conn);
                    if let Some(dial) = self.dials.remove(&conn) {
                        dial.abort();
                    }
                }
                Effect::Probe { peer, address, n } => {
                    if let (Some(socket), Some(signer)) = (&self.socket, &self.signer) {
                        let datagram = udp::signed(signer, &udp::body(&self.shared, &peer, n));
                        udp::send(&self.shared, socket, datagram, address);
                    }
                }
                Effect::CheckDns { peer, address } => self.check_dns(peer, address),
                Effect::KeepDetached(since) => {
                    // On disk before anybody is told: it is one small file.
                    if let Err(error) = store::write_detached(&self.shared.setup.state_dir, since) {
                        warn!(%error, "can't keep whether this peer is detached; a restart would forget it");
                    }
                }
                Effect::KeepMaintenance(maintenance) => {
                    if let Err(error) = store::write_maintenance(&self.shared.setup.state_dir, maintenance.as_ref()) {
                        warn!(%error, "can't keep the maintenance of this peer; a restart would forget it");
                    }
                }
                Effect::Keep { ticket, changes, forget, actor } => self.keep(ticket, changes, forget, actor),
                Effect::Ha { request, act, by, reason, basis } => {
                    self.shared.ask_ha(request, act, by, reason, basis);
                }
                Effect::Roster(membership) => {
                    for error in self.shared.set_roster(membership) {
                        warn!(%error, "a member is left out");
                    }
                }
                Effect::Answer { request, result } => {
                    if let Some(answer) = self.answers.remove(&request) {
                        // The session may have gone.
                        let _ = answer.send(result);
                    }
                }
                Effect::Changed => self.shared.changed.send_modify(|n| *n += 1),
            }
        }
    }

    fn send(&mut self, conn: ConnId, frame: Arc<Frame>) {
        let vital = matches!(&*frame, Frame::Sync(_) | Frame::SyncCredit { .. });
        let Some(queue) = self.queues.get(&conn) else { return };
        let outgoing = match &self.encoded {
            Some((last, outgoing)) if Arc::ptr_eq(last, &frame) => outgoing.clone(),
            Some(_) | None => {
                let outgoing = Outgoing::new(&frame);
                self.encoded = Some((frame, outgoing.clone()));
                outgoing
            }
        };
        // A closed queue belongs to a connection that has ended: nothing was dropped for want of room.
        if let Err(mpsc::error::TrySendError::Full(_)) = queue.try_send(outgoing) {
            self.shared.count_drop();
            if vital {
                self.choked(conn);
            }
        }
    }

    /// Closes the settings in order; a peer that is killed needs no more than it has.
    async fn close_disk(&mut self) {
        let Some(disk) = self.disk.take().and_then(Arc::into_inner) else { return };
        let disk = disk.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || disk.close()).await {
            warn!(%error, "the settings could not be closed in order");
        }
    }

    /// What the settings say to each other must not have gaps: a connection that takes no more is given up.
    fn choked(&mut self, conn: ConnId) {
        self.queues.remove(&conn);
        let detail = "it did not take what was sent".to_owned();
        let closed = Event::Closed { conn, cause: Cause::Dropped, detail };
        let inbox = self.shared.inbox.clone();
        // The loop that empties the inbox is the one that is here.
        tokio::spawn(async move { inbox.send(Input::Event(closed)).await });
    }

    /// Writes on a thread of its own: a slow disk must not hold up the pings.
    fn keep(&self, ticket: u64, changes: Arc<[StoredChange]>, forget: Arc<[[u8; 32]]>, actor: Option<Vec<u8>>) {
        let (disk, inbox, over) = (self.disk.clone(), self.shared.inbox.clone(), self.shared.over.clone());
        tokio::spawn(async move {
            let write = move || match disk {
                Some(disk) => {
                    let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
                    disk.replace(&forget, &changes, actor.as_deref()).map_err(|e| e.to_string())
                }
                None => Err("there is no place to keep it".to_owned()),
            };
            let result = match tokio::task::spawn_blocking(write).await {
                Ok(result) => result,
                Err(error) => Err(error.to_string()),
            };
            tokio::select! {
                () = over.cancelled() => {}
                // The loop has ended when it takes no more.
                _ = inbox.send(Input::Event(Event::Kept { ticket, result })) => {}
            }
        });
    }

    fn dial(&mut self, conn: ConnId, peer: &PeerId, last_good: Option<SocketAddr>) {
        let Some(machine) = self.shared.roster().membership.machine(peer).cloned() else { return };
        let (shared, room) = (self.shared.clone(), self.room.clone());
        let task = tokio::spawn(async move {
            let work = async {
                let _permit = room.acquire_owned().await.ok();
                shared.thawed().await;
                let _turn = shared.env.net.turn(machine.host.as_str()).await;
                dial::dial(&shared, &machine, last_good).await
            };
            let outcome = tokio::select! {
                () = shared.over.cancelled() => return,
                outcome = work => outcome,
            };
            // The loop has ended when it takes no more.
            let _ = shared.inbox.send(Input::Dialled { conn, outcome: Box::new(outcome) }).await;
        });
        self.dials.insert(conn, task.abort_handle());
    }

    fn check_dns(&self, peer: PeerId, address: SocketAddr) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let check = tokio::select! {
                () = shared.over.cancelled() => return,
                check = dial::check(&shared, &peer, address) => check,
            };
            if let Some(check) = check
                && shared.inbox.try_send(Input::Event(Event::Dns { peer, check })).is_err()
            {
                shared.count_drop();
            }
        });
    }
}
