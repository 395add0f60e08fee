//! What a unit must not forget: epoch, role, whether it gave its address away (`10-peer.md`, "High availability").
//!
//! One small file with two copies, written in turn, in place: a unit that is killed at any instant finds the one or the
//! other. In place because a takeover waits for it: that is one sync, where a file that is replaced needs two and the file
//! system's journal (`benches/README.md`, "What a takeover waits for").

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Kept;
use crate::daemon::disk::DiskFault;
use crate::daemon::store::{self, StoreError};
use crate::proto::VERSION;

/// Its name in the state directory.
pub const FILE: &str = "ha.state";

/// Its name before there were two copies.
const BEFORE: &str = "ha.json";

/// A copy fills a block of its own: what is torn when the power goes is never the other one.
const COPY: usize = 4096;

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    v: u32,
    /// Which write it was: of two whole copies the later one counts.
    n: u64,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceding: Option<u64>,
    failed: bool,
}

impl File {
    /// Digest and text, filled up with spaces.
    fn copy(&self) -> Result<[u8; COPY], serde_json::Error> {
        let text = serde_json::to_string(self)?;
        let line = format!("{} {text}\n", sum(text.as_bytes()));
        let mut copy = [b' '; COPY];
        copy[..line.len()].copy_from_slice(line.as_bytes());
        Ok(copy)
    }

    /// What a copy says; `None` if it is not whole: it was never written, or its write was never answered.
    fn of(copy: &[u8]) -> Option<Result<Self, String>> {
        let text = std::str::from_utf8(copy).ok()?;
        let (sum_of, text) = text.trim_end().split_once(' ')?;
        (sum_of == sum(text.as_bytes())).then(|| serde_json::from_str(text).map_err(|e| e.to_string()))
    }

    fn kept(self) -> Result<Kept, String> {
        crate::proto::check_version(self.v).map_err(|e| e.to_string())?;
        let role = self.role.map(|word| word.parse().map_err(|_| format!("it names the role \"{word}\"")));
        Ok(Kept { epoch: self.epoch, role: role.transpose()?, ceding: self.ceding, failed: self.failed })
    }
}

fn sum(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

/// What the last start left; nothing at the first one.
///
/// # Errors
/// When the file is there but can't be read: an epoch that was forgotten could bring the address up twice.
pub fn read(state_dir: &Path) -> Result<Kept, StoreError> {
    let path = state_dir.join(FILE);
    let malformed = |path: &Path, why: String| StoreError::Malformed { path: path.to_owned(), why };
    if path.exists() {
        let bytes = store::read(&path)?;
        let whole: Result<Vec<File>, String> = bytes.chunks(COPY).filter_map(File::of).collect();
        let newest = whole.map_err(|why| malformed(&path, why))?.into_iter().max_by_key(|file| file.n);
        let file = newest.ok_or_else(|| malformed(&path, "neither of its two copies is whole".to_owned()))?;
        return file.kept().map_err(|why| malformed(&path, why));
    }
    let path = state_dir.join(BEFORE);
    if !path.exists() {
        return Ok(Kept::default());
    }
    let file: File = store::read_json(&path)?;
    file.kept().map_err(|why| malformed(&path, why))
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
    let mut file = File {
        v: VERSION,
        n: 1,
        epoch: kept.epoch,
        role: kept.role.map(|r| r.as_str().to_owned()),
        ceding: kept.ceding,
        failed: kept.failed,
    };
    let path = state_dir.join(FILE);
    let malformed = |e: serde_json::Error| format!("{}: {e}", path.display());
    if !path.exists() {
        let both = [file.copy().map_err(malformed)?, [b' '; COPY]].concat();
        store::write_atomic(&path, &both).map_err(|e| e.to_string())?;
        // Should the new one ever be removed by hand, it must not come up again.
        let _ = fs::remove_file(state_dir.join(BEFORE));
        return Ok(());
    }
    let turn = |file: &mut File| -> io::Result<()> {
        let there = fs::OpenOptions::new().read(true).write(true).open(&path)?;
        let mut bytes = [0; 2 * COPY];
        there.read_exact_at(&mut bytes, 0)?;
        let number = |copy: &[u8]| File::of(copy).and_then(Result::ok).map_or(0, |file| file.n);
        let (first, second) = (number(&bytes[..COPY]), number(&bytes[COPY..]));
        file.n = first.max(second) + 1;
        let at = if first <= second { 0 } else { COPY };
        // Its place on disk does not change: no journal has to be waited for.
        let done = there.write_all_at(&file.copy()?, at as u64).and_then(|()| there.sync_data());
        if done.is_err() {
            // It may look written and not be on disk: the next write has to take this place again, not the good copy's.
            let _ = there.write_all_at(&[b' '; COPY], at as u64);
        }
        done
    };
    turn(&mut file).map_err(|error| StoreError::Io { path: path.clone(), error }.to_string())
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
    fn b2_a_write_that_is_torn_anywhere_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (_fault, faults) = watch::channel(DiskFault::Ok);
        let path = dir.path().join(FILE);
        for epoch in 1..=4 {
            let before = fs::read(&path).ok();
            write(dir.path(), &Kept { epoch, ..Kept::default() }, &faults).unwrap();
            let Some(before) = before else { continue };
            let after = fs::read(&path).unwrap();
            assert_eq!(after.len(), 2 * COPY);
            let mut cuts: Vec<usize> = (0..after.len()).filter(|at| before[*at] != after[*at]).collect();
            // Without its last byte, a line's end, it may be whole all the same.
            cuts.pop();
            for cut in cuts {
                let torn = [&after[..cut], &before[cut..]].concat();
                fs::write(&path, torn).unwrap();
                assert_eq!(read(dir.path()).unwrap().epoch, epoch - 1, "torn at {cut}");
            }
            fs::write(&path, &after).unwrap();
            assert_eq!(read(dir.path()).unwrap().epoch, epoch);
        }
    }

    #[test]
    fn b2_what_an_earlier_version_kept_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let (_fault, faults) = watch::channel(DiskFault::Ok);
        let old = File { v: VERSION, epoch: 7, role: Some("primary".to_owned()), ..File::default() };
        store::write_json(&dir.path().join(BEFORE), &old).unwrap();
        assert_eq!(read(dir.path()).unwrap().epoch, 7);
        write(dir.path(), &Kept { epoch: 8, ..Kept::default() }, &faults).unwrap();
        assert_eq!(read(dir.path()).unwrap().epoch, 8);
        assert!(!dir.path().join(BEFORE).exists());
        fs::remove_file(dir.path().join(FILE)).unwrap();
        store::write_json(&dir.path().join(BEFORE), &File { v: 9, ..old }).unwrap();
        assert!(read(dir.path()).is_err(), "a newer version wrote it");
    }

    #[test]
    fn b2_a_copy_that_is_not_whole_is_written_next_and_the_good_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (_fault, faults) = watch::channel(DiskFault::Ok);
        let path = dir.path().join(FILE);
        for epoch in 1..=3 {
            write(dir.path(), &Kept { epoch, ..Kept::default() }, &faults).unwrap();
        }
        // As a write that failed leaves it: the third one lies first, the second behind it.
        let mut bytes = fs::read(&path).unwrap();
        let good = bytes[COPY..].to_vec();
        bytes[..COPY].fill(b' ');
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(dir.path()).unwrap().epoch, 2);
        write(dir.path(), &Kept { epoch: 4, ..Kept::default() }, &faults).unwrap();
        assert_eq!(read(dir.path()).unwrap().epoch, 4);
        assert_eq!(fs::read(&path).unwrap()[COPY..], good);
    }

    #[test]
    fn b2_an_epoch_that_cant_be_read_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let (_fault, faults) = watch::channel(DiskFault::Ok);
        write(dir.path(), &Kept { epoch: 7, ..Kept::default() }, &faults).unwrap();
        let path = dir.path().join(FILE);
        let newer = File { v: 9, epoch: 1, ..File::default() };
        let king = File { v: VERSION, role: Some("king".to_owned()), ..File::default() };
        let copies = [newer, king].map(|file| file.copy().unwrap().to_vec());
        for bytes in [&b""[..], b"{", &[b' '; 2 * COPY], &copies[0], &copies[1]] {
            fs::write(&path, bytes).unwrap();
            assert!(read(dir.path()).is_err(), "{}", String::from_utf8_lossy(bytes).trim_end());
        }
    }
}
