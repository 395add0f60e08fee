//! One peer of a lab: started, stopped, killed and frozen from outside.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::clock::SkewedClock;
use super::net::{Faults, Node, PeerNet};
use super::{LabError, Shared};
use crate::daemon::disk::DiskFault;
use crate::daemon::ha::HaWorld;
use crate::daemon::{self, Environment, LinkCounts, Running, Setup};
use crate::domain::ha::HaStatus;

/// The host key, and where the right one is kept while a wrong one is in use.
const HOST_KEY: &str = "host_key";
const RIGHT_HOST_KEY: &str = "host_key.right";

/// A clean stop takes at most three seconds by its own word.
const STOP: Duration = Duration::from_secs(5);

/// One peer.
pub(super) struct Unit {
    node: Node,
    setup: Setup,
    clock: Arc<SkewedClock>,
    /// Outlives a restart, as a full disk does.
    disk: watch::Sender<DiskFault>,
    live: Option<Live>,
}

/// One start of it.
struct Live {
    running: Running,
    net: Arc<PeerNet>,
    frozen: watch::Sender<bool>,
}

impl Unit {
    pub fn new(node: Node, setup: Setup, clock: Arc<SkewedClock>) -> Self {
        Self { node, setup, clock, disk: watch::Sender::default(), live: None }
    }

    /// Starts it, unless it runs.
    pub async fn start(&mut self, shared: &Shared) -> Result<(), LabError> {
        if self.live.is_some() {
            return Ok(());
        }
        let ip = self.setup.listen.ip();
        let net = Arc::new(PeerNet::new(Arc::clone(&shared.faults), self.node, ip, shared.wiring.clone()));
        let frozen = watch::Sender::new(false);
        let environment = Environment {
            net: Arc::clone(&net) as _,
            clock: Arc::clone(&self.clock) as _,
            resolver: shared.resolver.clone(),
            gate: frozen.subscribe(),
            disk: self.disk.subscribe(),
            ha: self.world(shared),
        };
        let started = daemon::start(self.setup.clone(), environment).await;
        let running = started.map_err(|e| LabError::Peer(format!("{}: {e}", self.setup.host)))?;
        self.live = Some(Live { running, net, frozen });
        Ok(())
    }

    fn world(&self, shared: &Shared) -> HaWorld {
        match (self.node, &shared.ha) {
            (Node::Peer(i), Some(ha)) => ha.world(i, &shared.faults, self.disk.subscribe()),
            (Node::Peer(_), None) | (Node::Console, _) => HaWorld::none(),
        }
    }

    /// What it tells of its HA group, while it runs.
    pub fn ha_status(&self) -> Option<Arc<HaStatus>> {
        self.live.as_ref().and_then(|live| live.running.ha()).map(|status| status.borrow().clone())
    }

    /// Stops it cleanly; one that does not end in time is killed.
    pub async fn stop(&mut self, faults: &Faults) {
        self.leave(faults, false).await;
    }

    /// The same, and its fellow in an HA group shall wait for it.
    pub async fn stop_to_restart(&mut self, faults: &Faults) {
        self.leave(faults, true).await;
    }

    async fn leave(&mut self, faults: &Faults, restarting: bool) {
        self.thaw(faults);
        if let Some(live) = self.live.take() {
            let said = async { if restarting { live.running.restart().await } else { live.running.stop().await } };
            drop(timeout(STOP, said).await);
            live.net.kill();
        }
    }

    /// Ends it at once. False if it did not run.
    pub fn kill(&mut self, faults: &Faults) -> bool {
        let Some(live) = self.live.take() else { return false };
        live.net.kill();
        live.running.kill();
        faults.thaw(self.node); // The next start is another process.
        true
    }

    /// Holds it where it stands. False if it does not run.
    pub fn freeze(&self, faults: &Faults) -> bool {
        let Some(live) = &self.live else { return false };
        live.frozen.send_replace(true);
        faults.freeze(self.node);
        true
    }

    /// Lets it go on. False if it was not frozen.
    pub fn thaw(&self, faults: &Faults) -> bool {
        let was_frozen = self.is_frozen();
        if let Some(live) = &self.live {
            live.frozen.send_replace(false);
        }
        faults.thaw(self.node);
        was_frozen
    }

    pub fn is_frozen(&self) -> bool {
        self.live.as_ref().is_some_and(|live| *live.frozen.borrow())
    }

    pub fn is_running(&self) -> bool {
        self.live.is_some()
    }

    /// How many of its links are up, while it runs.
    pub fn links(&self) -> Option<watch::Receiver<LinkCounts>> {
        self.live.as_ref().map(|live| live.running.links())
    }

    /// Speaks another level, now and after a restart.
    pub fn set_level(&mut self, level: u32) {
        self.setup.level = level;
        if let Some(live) = &self.live {
            live.running.set_level(level);
        }
    }

    pub fn level(&self) -> u32 {
        self.setup.level
    }

    /// What its disk does with settings, now and after a restart.
    pub fn set_disk(&self, fault: DiskFault) {
        self.disk.send_replace(fault);
    }

    pub fn set_clock_off(&self, ms: i64) {
        self.clock.set_off(ms);
    }

    /// Puts a host key in place that nobody knows; the right one is kept beside it.
    pub fn change_host_key(&self) -> Result<(), LabError> {
        let (key, right) = (self.setup.state_dir.join(HOST_KEY), self.setup.state_dir.join(RIGHT_HOST_KEY));
        if !right.exists() {
            fs::copy(&key, &right).map_err(|e| LabError::file(&right, e))?;
        }
        daemon::new_host_key(&self.setup.state_dir)?;
        Ok(())
    }

    /// Puts the right host key back. False if it was in place.
    pub fn restore_host_key(&self) -> Result<bool, LabError> {
        restore_host_key(&self.setup.state_dir)
    }
}

/// Puts back what [`Unit::change_host_key`] has set aside, if anything.
pub(super) fn restore_host_key(state_dir: &Path) -> Result<bool, LabError> {
    let right = state_dir.join(RIGHT_HOST_KEY);
    if !right.exists() {
        return Ok(false);
    }
    fs::rename(&right, state_dir.join(HOST_KEY)).map_err(|e| LabError::file(&right, e))?;
    Ok(true)
}
