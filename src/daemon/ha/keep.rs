//! What a unit must not forget: epoch, role, whether it gave its address away (`10-peer.md`, "High availability").
//!
//! One small file, replaced as a whole and synced with its folder, so that a unit that is killed at any instant finds
//! the old one or the new one.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Kept;
use crate::daemon::disk::DiskFault;
use crate::daemon::store::{self, StoreError};
use crate::proto::VERSION;

/// Its name in the state directory.
pub const FILE: &str = "ha.json";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    v: u32,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceding: Option<u64>,
    failed: bool,
}

/// What the last start left; nothing at the first one.
///
/// # Errors
/// When the file is there but can't be read: an epoch that was forgotten could bring the address up twice.
pub fn read(state_dir: &Path) -> Result<Kept, StoreError> {
    let path = state_dir.join(FILE);
    if !path.exists() {
        return Ok(Kept::default());
    }
    let file: File = store::read_json(&path)?;
    let malformed = |why: String| StoreError::Malformed { path: path.clone(), why };
    crate::proto::check_version(file.v).map_err(|e| malformed(e.to_string()))?;
    let role = file.role.map(|word| word.parse().map_err(|_| malformed(format!("it names the role \"{word}\""))));
    Ok(Kept { epoch: file.epoch, role: role.transpose()?, ceding: file.ceding, failed: file.failed })
}

/// Writes and syncs it; blocks for as long as the disk takes.
///
/// # Errors
/// When it may not be on disk.
pub fn write(state_dir: &Path, kept: &Kept, faults: &watch::Receiver<DiskFault>) -> Result<(), String> {
    match *faults.borrow() {
        DiskFault::ReadOnly => return Err("the disk is read-only (a fault of the lab)".to_owned()),
        DiskFault::Full => return Err("the disk is full (a fault of the lab)".to_owned()),
        DiskFault::Ok => {}
    }
    let file = File {
        v: VERSION,
        epoch: kept.epoch,
        role: kept.role.map(|r| r.as_str().to_owned()),
        ceding: kept.ceding,
        failed: kept.failed,
    };
    store::write_json(&state_dir.join(FILE), &file).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ha::Effective;

    #[test]
    fn b2_what_was_kept_is_read_again_and_a_failed_write_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (fault, faults) = watch::channel(DiskFault::Ok);
        assert_eq!(read(dir.path()).unwrap(), Kept::default());
        let kept = Kept { epoch: 7, role: Some(Effective::Primary), ceding: Some(8), failed: true };
        write(dir.path(), &kept, &faults).unwrap();
        assert_eq!(read(dir.path()).unwrap(), kept);
        for spoilt in [DiskFault::ReadOnly, DiskFault::Full] {
            fault.send(spoilt).unwrap();
            assert!(write(dir.path(), &Kept { epoch: 8, ..kept.clone() }, &faults).is_err());
            assert_eq!(read(dir.path()).unwrap(), kept);
        }
    }

    #[test]
    fn b2_an_epoch_that_cant_be_read_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let (_fault, faults) = watch::channel(DiskFault::Ok);
        write(dir.path(), &Kept { epoch: 7, ..Kept::default() }, &faults).unwrap();
        let path = dir.path().join(FILE);
        for text in ["", "{", "{\"v\":9,\"epoch\":1}", "{\"v\":1,\"epoch\":1,\"role\":\"king\"}"] {
            std::fs::write(&path, text).unwrap();
            assert!(read(dir.path()).is_err(), "{text}");
        }
    }
}
