//! What a peer feels of its machine: ports, disk, and whether a reference address answers (F10).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::spawn_blocking;

use super::neighbours;
use super::netlink::Netlink;
use crate::clock::boot_time;
use crate::daemon::ha::ports::Senses;
use crate::ssh::net::BoxFuture;

/// Of this machine.
#[derive(Default)]
pub struct SystemSenses {
    /// A probe of the disk has not ended: a disk that hangs must not take thread after thread.
    probing: Arc<AtomicBool>,
}

impl Senses for SystemSenses {
    fn port<'a>(&'a self, interface: &'a str) -> BoxFuture<'a, Result<(), String>> {
        let name = interface.to_owned();
        Box::pin(async move { ended(spawn_blocking(move || port(&name)).await) })
    }

    fn disk<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, Result<(), String>> {
        let (dir, probing) = (dir.to_owned(), Arc::clone(&self.probing));
        Box::pin(async move {
            if probing.swap(true, Ordering::AcqRel) {
                return Err("the probe of the disk before this one has not ended yet".to_owned());
            }
            let probe = spawn_blocking(move || {
                let result = disk(&dir);
                probing.store(false, Ordering::Release);
                result
            });
            ended(probe.await)
        })
    }

    fn answers(&self, address: IpAddr) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { ended(spawn_blocking(move || neighbours::answers(address)).await) })
    }
}

fn ended(result: Result<Result<(), String>, tokio::task::JoinError>) -> Result<(), String> {
    result.unwrap_or_else(|e| Err(format!("the look at it was cut short: {e}")))
}

fn port(name: &str) -> Result<(), String> {
    let told = |e: io::Error| format!("{name} can't be looked at: {e}");
    match Netlink::open().and_then(|mut netlink| netlink.port(name)).map_err(told)? {
        None => Err(format!("there is no port {name}")),
        Some(port) if !port.up => Err(format!("{name} is switched off")),
        Some(port) if !port.carrier => Err(format!("{name} has no carrier ({})", port.state)),
        Some(_) => Ok(()),
    }
}

/// What is synced has reached the disk, or the sync fails; the read back shows a file system that took it and lost it.
/// Without `O_DIRECT`: many file systems refuse it, and a device that lies to `fsync` lies to that too.
fn disk(dir: &Path) -> Result<(), String> {
    let path: PathBuf = dir.join(format!("ha-probe-{}", std::process::id()));
    let text = format!("peerdeck {:?}\n", boot_time());
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    let read = || {
        let mut back = String::new();
        File::open(&path)?.read_to_string(&mut back).map(|_| back)
    };
    let result = write().map_err(|e| format!("{} can't be written: {e}", path.display()));
    let result = result.and_then(|()| match read() {
        Ok(back) if back == text => Ok(()),
        Ok(_) => Err(format!("{} reads otherwise than it was written", path.display())),
        Err(e) => Err(format!("{} can't be read back: {e}", path.display())),
    });
    let gone = std::fs::remove_file(&path).map_err(|e| format!("{} can't be removed: {e}", path.display()));
    result.and(gone)
}
