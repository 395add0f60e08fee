//! The HA core at work: sockets, timers, disk, guard, monitors and hooks.

mod board;
mod feel;
mod unit;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub(super) use self::board::{Board, Heard, Post, Voice};
use super::keys::{KeyError, Keys};
use super::{Guard, GuardAddress, GuardConfig, HaConfig, Secrets, keep, witness};
use crate::daemon::shared::Shared;
use crate::daemon::store::StoreError;
use crate::domain::ha::{AddressAction, WitnessConfig};

/// Why a peer with HA does not start.
#[derive(Debug, thiserror::Error)]
pub enum HaError {
    /// What was configured can't work.
    #[error("the HA group {group} can't be run as it is configured:\n{problems}")]
    Config {
        /// Its name.
        group: String,
        /// A line each.
        problems: String,
    },
    /// A password.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What it has kept.
    #[error("what this unit kept of its HA role can't be read: {0}")]
    Kept(StoreError),
    /// A port for heartbeats.
    #[error(
        "no heartbeats can be sent and heard on UDP {on}: {error}; is the address set on this machine, and is another peer \
         running there? (`local-ip`, `hb-base-port`)"
    )]
    Listen {
        /// Where.
        on: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// Virtual addresses.
    #[error(
        "this machine will not be able to hold the virtual addresses of HA group {group}: {error}; the peer needs the \
         capabilities CAP_NET_ADMIN and CAP_NET_RAW and the ports of `[[ha.interface]]`, or `action-on-primary = \
         \"ignore\"` everywhere"
    )]
    Addresses {
        /// Whose.
        group: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A bug, or no more threads.
    #[error("the thread for HA can't be started: {0}")]
    Thread(String),
}

/// Starts what `shared.setup.ha` says: the unit, and the votes for other groups. All of it ends with `shared.over`.
///
/// # Errors
/// [`HaError`]: nobody is to learn of it at a failover.
pub(in crate::daemon) async fn start(shared: &Arc<Shared>) -> Result<(), HaError> {
    let ha = &shared.setup.ha;
    if ha.unit.is_none() && ha.witness.is_empty() {
        return Ok(());
    }
    let office = Handle::current();
    if !ha.own_thread {
        return prepare(shared.clone(), office).await.map(Work::spawn);
    }
    let (told, hears) = oneshot::channel();
    let shared = shared.clone();
    let thread = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                // Whoever asked waits for it.
                let _ = told.send(Err(HaError::Thread(error.to_string())));
                return;
            }
        };
        runtime.block_on(async {
            let over = shared.over.clone();
            let result = prepare(shared, office).await.map(Work::spawn);
            let is_up = result.is_ok();
            if told.send(result).is_ok() && is_up {
                over.cancelled().await;
            }
        });
    };
    std::thread::Builder::new()
        .name("peerdeck-ha".to_owned())
        .spawn(thread)
        .map_err(|e| HaError::Thread(e.to_string()))?;
    hears.await.unwrap_or_else(|_| Err(HaError::Thread("it has ended".to_owned())))
}

/// Everything that is needed, open and ready; nothing of it runs yet but what feels.
struct Work {
    board: Board,
    unit: Option<unit::Unit>,
    witnesses: Vec<witness::Witness>,
}

async fn prepare(shared: Arc<Shared>, office: Handle) -> Result<Work, HaError> {
    let setup = shared.setup.ha.clone();
    if let Some((config, _)) = &setup.unit {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(HaError::Config { group: config.group.to_string(), problems: problems.join("\n") });
        }
    }
    let (unit_keys, witness_keys) = derive(&office, &setup.unit, &setup.witness).await?;
    let mut board = Board::new(shared.clone());
    let mut witnesses = Vec::new();
    for ((config, _), keys) in setup.witness.into_iter().zip(witness_keys) {
        let (post, heard) = Post::witness(&config, keys, &shared);
        for local in &config.local {
            board.listen(SocketAddr::new(*local, config.base_port), &post).await?;
        }
        witnesses.push(witness::Witness::new(shared.clone(), config, post, heard));
    }
    let mut unit = None;
    if let Some(((config, secrets), keys)) = setup.unit.zip(unit_keys) {
        let (post, heard) = Post::unit(&config, keys, &shared);
        for link in &config.links {
            board.listen(SocketAddr::new(link.local, config.base_port), &post).await?;
        }
        for to in &config.witness_at {
            board.reach(*to, &post).await?;
        }
        let kept = keep::read(&shared.setup.state_dir).map_err(HaError::Kept)?;
        let guard = start_guard(&shared, &config).await?;
        let parts = unit::Parts { config, secrets, kept, guard, post, heard, office };
        unit = Some(unit::Unit::new(shared, parts));
    }
    Ok(Work { board, unit, witnesses })
}

impl Work {
    fn spawn(self) {
        let board = self.board.spawn();
        if let Some(unit) = self.unit {
            tokio::spawn(unit.run(board.clone()));
        }
        for witness in self.witnesses {
            tokio::spawn(witness.run(board.clone()));
        }
    }
}

type UnitSetup = Option<(HaConfig, Secrets)>;
type WitnessSetup = Vec<(WitnessConfig, Secrets)>;

/// Tens of milliseconds for each password: on a thread of its own.
async fn derive(
    office: &Handle,
    unit: &UnitSetup,
    witness: &WitnessSetup,
) -> Result<(Option<Arc<Keys>>, Vec<Arc<Keys>>), HaError> {
    let unit = unit.as_ref().map(|(config, secrets)| (config.group.clone(), secrets.clone()));
    let witness: Vec<_> = witness.iter().map(|(config, secrets)| (config.group.clone(), secrets.clone())).collect();
    let work = move || {
        let unit = unit.map(|(group, secrets)| Keys::derive(&group, &secrets).map(Arc::new)).transpose()?;
        let witness = witness.iter().map(|(group, secrets)| Keys::derive(group, secrets).map(Arc::new));
        Ok::<_, KeyError>((unit, witness.collect::<Result<Vec<_>, _>>()?))
    };
    let done = office.spawn_blocking(work).await.map_err(|e| HaError::Thread(e.to_string()))?;
    Ok(done?)
}

/// What the guard of this configuration is started with; `None`: there is nothing to guard.
pub(super) fn guard_config(config: &HaConfig) -> Option<GuardConfig> {
    let moved = config.addresses.iter().filter(|a| a.action != AddressAction::Ignore);
    let addresses: Vec<GuardAddress> = moved
        .map(|a| GuardAddress {
            interface: a.interface.clone(),
            action: a.action,
            address: a.address,
            prefix: a.prefix,
        })
        .collect();
    (!addresses.is_empty()).then_some(GuardConfig { addresses, lease: config.lease })
}

async fn start_guard(shared: &Shared, config: &HaConfig) -> Result<Option<Guard>, HaError> {
    let Some(guard) = guard_config(config) else { return Ok(None) };
    let started = shared.env.ha.addresses.start(guard).await;
    started.map(Some).map_err(|error| HaError::Addresses { group: config.group.to_string(), error })
}
