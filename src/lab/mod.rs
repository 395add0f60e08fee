//! Peers on loopback with real SSH and real DNS, and faults on the network between them.
//!
//! [`Lab::start`] makes keys, membership and files in a state directory, a DNS server, and as many peers as wanted,
//! each with its own address, clock and network. [`Lab::apply`] and the socket of [`control`] bring faults into it.

mod addresses;
mod apply;
pub mod clock;
pub mod control;
pub mod dns;
pub mod fault;
mod ground;
pub mod ha;
mod mail;
pub mod net;
mod place;
mod provision;
mod senses;
mod unit;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use self::clock::SkewedClock;
use self::dns::DnsServer;
use self::fault::{FaultError, Named, Roster};
use self::ground::Ground;
use self::ha::{Ha, HaOptions};
use self::net::{Faults, Hub, Node, Wiring};
use self::place::Place;
pub use self::place::{SSH_CONFIG, running};
use self::provision::Seat;
use self::unit::Unit;
use crate::clock::{Clock, SystemClock};
use crate::daemon::{self, Role, Setup, StoreError, User};
use crate::dns::Resolver;
use crate::domain::ha::HaStatus;
use crate::domain::time::Time;

pub use self::addresses::Holding;
pub use self::fault::Fault;
pub use self::mail::port as mail_port;

/// The most peers of a lab.
pub const PEERS_MAX: usize = 200;

/// Logins of people at a time, for each peer: many consoles and programs shall fit.
const SESSIONS: usize = 64;

/// Files beside those of the links: state, DNS, control, logins.
const FILES_BESIDE: u64 = 512;

/// What a lab is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// 1 to [`PEERS_MAX`].
    pub peers: usize,
    /// Where to keep state: identities found there are kept. Without it the default place, emptied.
    pub state_dir: Option<PathBuf>,
    /// Makes the luck of faults and the jitter of peers the same each time.
    pub seed: Option<u64>,
    /// How often each peer pings each other.
    pub ping_interval: Duration,
    /// So many unanswered pings make a link down.
    pub ping_failures: u32,
    /// How often observers get a report.
    pub report_interval: Duration,
    /// The HA groups: an active-passive pair and a config-only group of four. `None`: there are none.
    pub ha: Option<HaOptions>,
}

impl Options {
    /// The ping interval of a lab of so many peers: all of them share one machine, which has about 2,000 pings a
    /// second to spare. 1 s up to 44 peers, 5 s with 100, 20 s with 200.
    #[must_use]
    pub fn ping_interval(peers: usize) -> Duration {
        let links = u32::try_from(peers * peers).unwrap_or(u32::MAX);
        (Duration::from_secs(1) * links / 2_000).max(Duration::from_secs(1))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            peers: 6,
            state_dir: None,
            seed: None,
            ping_interval: Duration::from_secs(1),
            ping_failures: 3,
            report_interval: Duration::from_secs(1),
            ha: None,
        }
    }
}

/// Why a lab did not start or a fault was not applied.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Too few or too many.
    #[error("a lab has 1 to {PEERS_MAX} peers, {0} were asked for")]
    Peers(usize),
    /// No place for it.
    #[error(
        "no place for the lab's state: neither XDG_RUNTIME_DIR nor a home directory is set; name one with --state-dir"
    )]
    NoHome,
    /// A lab lives there.
    #[error("{0} is used by another lab that runs; end that one, or name another directory with --state-dir")]
    InUse(PathBuf),
    /// The system refused.
    #[error("{path}: {error}; check that the directory is yours, writable and has room")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A key file that is none.
    #[error("{path}: {why}; remove it to get a new one")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A path that can't be written into a configuration file.
    #[error("{0} has characters that OpenSSH's configuration can't hold; name another directory with --state-dir")]
    OddPath(String),
    /// Every address is taken.
    #[error(
        "no free loopback addresses between 127.88.0.0 and 127.127.0.0 ({0}); end other labs, or see what listens there"
    )]
    NoGround(String),
    /// More sockets than the system allows.
    #[error("the limit of open files is too low for {0} peers; take fewer, or raise it (ulimit -n)")]
    Files(usize),
    /// The HA groups that were asked for are not to be had.
    #[error("{0}")]
    Ha(String),
    /// A peer's state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A peer did not start.
    #[error("{0}")]
    Peer(String),
    /// Not all links came up in time.
    #[error("not all links are up after {after:?}: {missing}")]
    NotUp {
        /// How long was waited.
        after: Duration,
        /// Which peers lack how many.
        missing: String,
    },
    /// Words that are no fault.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// What was asked makes no sense now.
    #[error("{0}")]
    Refused(String),
    /// The socket of a running lab.
    #[error("{0}")]
    Control(String),
}

impl LabError {
    fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }
}

/// A lab that runs. Clones are the same lab; it ends with the last one, or by [`Lab::shutdown`].
#[derive(Clone)]
pub struct Lab(Arc<Shared>);

/// The line of a lab that is ready, in this order.
#[derive(serde::Serialize)]
#[expect(clippy::struct_field_names, reason = "the word stands in the documented line")]
struct Ready {
    ready: bool,
    fleet: PathBuf,
    ssh_config: PathBuf,
    peers: usize,
    links: usize,
}

/// What belongs to the lab as a whole.
struct Shared {
    place: Place,
    seats: Vec<Seat>,
    units: Vec<Mutex<Unit>>,
    roster: Roster,
    faults: Arc<Faults>,
    dns: DnsServer,
    resolver: Resolver,
    wiring: Wiring,
    truth: Arc<dyn Clock>,
    ha: Option<Ha>,
    /// Words of the faults since the last heal, for `status`.
    applied: StdMutex<Vec<String>>,
    control: StdMutex<Option<AbortHandle>>,
}

impl Lab {
    /// Makes everything and starts all peers; links come up afterwards ([`Lab::wait_links_up`]).
    ///
    /// # Errors
    /// [`LabError`], which says what to do.
    pub async fn start(options: Options) -> Result<Self, LabError> {
        if !(1..=PEERS_MAX).contains(&options.peers) {
            return Err(LabError::Peers(options.peers));
        }
        let has_sockets = raise_file_limit(options.peers);
        if options.ha.is_some() && options.peers < ha::PEERS_MIN {
            return Err(LabError::Ha(ha::too_few(options.peers)));
        }
        let place = Place::take(options.state_dir.as_deref())?;
        let ground = Ground::find(options.peers).await?;
        let wiring = match (ground.by_port, has_sockets) {
            (false, true) => Wiring::Sockets,
            (true, true) => Wiring::SharedAddress,
            (false, false) => Wiring::Memory(Arc::new(Hub::default())),
            (true, false) => return Err(LabError::Files(options.peers)),
        };
        let seats = provision::seats(&place, &ground.peers).await?;
        let key = provision::user_key(&place)?;
        let names: Vec<_> = seats.iter().map(|s| (s.host.clone(), s.address.ip())).collect();
        let dns = DnsServer::start(ground.dns, &names, ground.nobody)
            .map_err(|e| LabError::Peer(format!("the lab's DNS server: {e}")))?;
        provision::write_files(&place, &seats, dns.address())?;

        let seed = options.seed.unwrap_or_else(rand::random);
        let truth: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let faults = Arc::new(Faults::new(seed));
        let ha = match &options.ha {
            Some(_) if ground.by_port => return Err(LabError::Ha(ha::ONE_ADDRESS.to_owned())),
            Some(ha) => Some(Ha::start(ha.clone(), &seats, &faults, &truth, seed)?),
            None => None,
        };
        let mut units = Vec::with_capacity(seats.len());
        for (i, seat) in (0..).zip(&seats) {
            let node = Node::Peer(i);
            faults.own_host(seat.host.as_str(), node);
            if !ground.by_port {
                faults.own_ip(seat.address.ip(), node);
            }
            let clock = Arc::new(SkewedClock::new(Arc::clone(&truth)));
            let mut setup = setup(&options, seat, &key, seed ^ u64::from(i));
            if let Some(ha) = &ha {
                setup.ha = ha.setup(usize::from(i), &seats);
            }
            units.push(Mutex::new(Unit::new(node, setup, clock)));
        }
        let entry = |s: &Seat| Named { host: s.host.clone(), id: s.made.id.clone(), group: s.group.clone() };
        let roster = Roster {
            peers: seats.iter().map(entry).collect(),
            groups: provision::groups(),
            ha: ha.as_ref().map(|_| Ha::members()).unwrap_or_default(),
        };
        let lab = Self(Arc::new(Shared {
            resolver: Resolver::with_servers(&[dns.address()]),
            wiring,
            truth,
            ha,
            applied: StdMutex::default(),
            control: StdMutex::default(),
            place,
            seats,
            units,
            roster,
            faults,
            dns,
        }));
        lab.for_all(|shared, i| async move { shared.units[i].lock().await.start(&shared).await }).await?;
        let serving = control::serve(&lab).await?;
        lab.0.control.lock().unwrap_or_else(PoisonError::into_inner).replace(serving);
        Ok(lab)
    }

    /// Waits until every peer has all its links; tells how many those are.
    ///
    /// # Errors
    /// [`LabError::NotUp`], which names who lacks links.
    pub async fn wait_links_up(&self, deadline: Duration) -> Result<usize, LabError> {
        let until = Instant::now() + deadline;
        let wanted = self.0.seats.len() - 1;
        let (mut up, mut missing) = (0, Vec::new());
        for (unit, seat) in self.0.units.iter().zip(&self.0.seats) {
            let links = unit.lock().await.links();
            let Some(mut links) = links else {
                missing.push(format!("{} does not run", seat.host.short()));
                continue;
            };
            // Late, or ended meanwhile: the count says it.
            drop(timeout_at(until, links.wait_for(|l| l.connected >= wanted)).await);
            let connected = links.borrow().connected;
            up += connected;
            if connected < wanted {
                missing.push(format!("{} has {connected} of {wanted}", seat.host.short()));
            }
        }
        if missing.is_empty() {
            return Ok(up);
        }
        let more = missing.len().saturating_sub(8);
        missing.truncate(8);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        Err(LabError::NotUp { after: deadline, missing: missing.join(", ") + &more })
    }

    /// The line that `peerdeck lab --headless` prints, once [`Lab::wait_links_up`] has told how many links there are.
    #[must_use]
    pub fn ready_line(&self, links: usize) -> String {
        let line = Ready {
            ready: true,
            fleet: self.fleet_path(),
            ssh_config: self.ssh_config_path(),
            peers: self.0.seats.len(),
            links,
        };
        String::from_utf8_lossy(&crate::proto::write(&line)).into_owned()
    }

    /// The fleet file of this lab.
    #[must_use]
    pub fn fleet_path(&self) -> PathBuf {
        self.0.place.file(place::FLEET)
    }

    /// For `ssh -F`.
    #[must_use]
    pub fn ssh_config_path(&self) -> PathBuf {
        self.0.place.file(place::SSH_CONFIG)
    }

    /// Where its state is.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        self.0.place.path()
    }

    /// Who is in it, in the order of their numbers.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.0.roster
    }

    /// Where the peer of this number listens.
    #[must_use]
    pub fn address(&self, peer: usize) -> Option<SocketAddr> {
        self.0.seats.get(peer).map(|s| s.address)
    }

    /// The lab's DNS server, as its peers use it.
    #[must_use]
    pub fn resolver(&self) -> Resolver {
        self.0.resolver.clone()
    }

    /// The virtual address of the pair, in a lab with HA.
    #[must_use]
    pub fn virtual_address(&self) -> Option<IpAddr> {
        self.0.ha.as_ref().map(Ha::virtual_address)
    }

    /// Who has had a virtual address when, the newest last: by the word of the lab, which knows of every instant.
    #[must_use]
    pub fn holdings(&self) -> Vec<Holding> {
        self.0.ha.as_ref().map(|ha| ha.virtuals().held()).unwrap_or_default()
    }

    /// What the peer of this number tells of its HA group.
    pub async fn ha_status(&self, peer: usize) -> Option<Arc<HaStatus>> {
        self.0.units.get(peer)?.lock().await.ha_status()
    }

    /// What time it is by the lab's clock, in which holdings and statuses are told.
    #[must_use]
    pub fn now(&self) -> Time {
        self.0.truth.now()
    }

    /// Stops all peers; takes at most a few seconds. The files stay until the next lab.
    pub async fn shutdown(&self) {
        self.0.faults.close(); // Nothing is held any more, so that good-byes arrive.
        let stopped = self.for_all(|shared, i| async move {
            shared.units[i].lock().await.stop(&shared.faults).await;
            Ok(())
        });
        drop(stopped.await); // Stopping has no errors.
        self.0.end_control();
    }

    /// Does the same for all peers at once.
    async fn for_all<F, R>(&self, what: F) -> Result<(), LabError>
    where
        F: Fn(Arc<Shared>, usize) -> R,
        R: Future<Output = Result<(), LabError>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for i in 0..self.0.units.len() {
            tasks.spawn(what(Arc::clone(&self.0), i));
        }
        while let Some(done) = tasks.join_next().await {
            done.map_err(|e| LabError::Peer(e.to_string()))??;
        }
        Ok(())
    }
}

impl Shared {
    fn end_control(&self) {
        if let Some(serving) = self.control.lock().unwrap_or_else(PoisonError::into_inner).take() {
            serving.abort();
            // The lock tells whether a lab lives; a socket that stays behind is only untidy.
            let _ = std::fs::remove_file(self.place.file(place::SOCKET));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.faults.close();
        self.end_control();
    }
}

fn setup(options: &Options, seat: &Seat, key: &str, seed: u64) -> Setup {
    Setup {
        state_dir: seat.dir.clone(),
        host: seat.host.clone(),
        listen: seat.address,
        level: daemon::LEVEL,
        ping_interval: options.ping_interval,
        ping_failures: options.ping_failures,
        report_interval: options.report_interval,
        users: vec![User { name: provision::USER.to_owned(), keys: vec![key.to_owned()], role: Role::Administrator }],
        max_sessions: SESSIONS,
        seed: Some(seed),
        ha: daemon::ha::HaSetup::default(),
    }
}

/// Raises the limit of open files as far as the system lets us; tells whether all links can be sockets.
fn raise_file_limit(peers: usize) -> bool {
    let n = peers as u64;
    // Two ends of each pair, and for a while two connections where both have dialled.
    let wanted = n * n * 3 / 2 + FILES_BESIDE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|c| c >= wanted) {
        return true;
    }
    let hard = Rlimit { current: maximum, maximum };
    // Who has the right raises the hard limit too.
    let more = Rlimit { current: Some(wanted), maximum: maximum.map(|m| m.max(wanted)) };
    let raised = [more, hard].into_iter().any(|limit| setrlimit(Resource::Nofile, limit).is_ok());
    raised && getrlimit(Resource::Nofile).current.is_none_or(|c| c >= wanted)
}
