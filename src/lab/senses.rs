//! What a unit of a lab feels of its machine: ports and disk are as the faults say.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::addresses::Virtual;
use super::net::{Faults, Node};
use crate::daemon::disk::DiskFault;
use crate::daemon::ha::Senses;
use crate::ssh::net::BoxFuture;

/// What is written, synced and read back.
const PROBE: &str = "ha.probe";

/// Of one unit.
pub(super) struct LabSenses {
    pub faults: Arc<Faults>,
    pub me: Node,
    /// Its ports and their addresses.
    pub ports: Vec<(String, IpAddr)>,
    pub virtuals: Arc<Virtual>,
    pub disk: watch::Receiver<DiskFault>,
}

impl Senses for LabSenses {
    fn port<'a>(&'a self, interface: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            match self.ports.iter().find(|(name, _)| name == interface) {
                None => Err(format!("there is no port {interface}")),
                Some((_, ip)) if self.faults.is_down(*ip) => Err(format!("{interface} is down (a fault of the lab)")),
                Some(_) => Ok(()),
            }
        })
    }

    fn disk<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            match *self.disk.borrow() {
                DiskFault::ReadOnly => return Err("the disk is read-only (a fault of the lab)".to_owned()),
                DiskFault::Full => return Err("the disk is full (a fault of the lab)".to_owned()),
                DiskFault::Ok => {}
            }
            probe(dir).await.map_err(|e| format!("{}: {e}", dir.join(PROBE).display()))
        })
    }

    fn answers(&self, address: IpAddr) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let has_port = self.ports.iter().any(|(_, ip)| !self.faults.is_down(*ip));
            let there = if self.virtuals.is_virtual(address) {
                self.virtuals.answers(address, self.me).is_some()
            } else {
                self.virtuals.reaches(self.me, self.faults.node_at((address, 0).into()))
            };
            if has_port && there { Ok(()) } else { Err(format!("{address} does not answer")) }
        })
    }
}

/// As a real unit does it.
async fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join(PROBE);
    let text = format!("{:032x}", rand::random::<u128>());
    let mut file = tokio::fs::File::create(&path).await?;
    file.write_all(text.as_bytes()).await?;
    file.sync_all().await?;
    drop(file);
    let back = tokio::fs::read_to_string(&path).await?;
    if back == text { Ok(()) } else { Err(io::Error::new(ErrorKind::InvalidData, "it reads otherwise than written")) }
}
