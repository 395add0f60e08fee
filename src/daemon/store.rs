//! What a peer keeps on disk: identity, keys, membership, and whether it is detached or in maintenance.
//!
//! Files are 0600 in a folder of 0700; what others may read is refused. Each file is replaced as a whole, so
//! that a peer that is killed at any instant finds the old one or the new one.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rand::RngExt;
use russh::keys::ssh_key::{Algorithm, LineEnding};
use russh::keys::{PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};

use super::Provisioned;
use crate::domain::ids::{BootId, HostName, PeerId};
use crate::domain::maintenance::Maintenance;
use crate::domain::membership::Membership;
use crate::domain::time::Time;
use crate::proto::ClockMap;
use crate::proto::membership::WireMembership;
use crate::proto::observe::WireMaintenance;

const IDENTITY: &str = "identity.json";
const MACHINE_KEY: &str = "machine_key";
const HOST_KEY: &str = "host_key";
const MEMBERSHIP: &str = "membership.json";
const STATE: &str = "state.json";
const FEATURES: &str = "features.d";

/// Why the state directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{path}: {error}; check that the folder exists, is writable and has room")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others may read or write it.
    #[error("{path} is open to other users (mode {mode:03o}): run `chmod go-rwx {path}` and check who has seen it")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("{path} can't be read: {why}; restore it from a backup, or remove the folder to start with a new identity")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A store of settings that has lost or changed something.
    #[error(
        "{path} is damaged: {why}; nothing was changed: put {path} and {path}-wal back from a backup, or move both away, \
         to take all settings from the other machines of the cluster"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A store of settings of a later version.
    #[error("{path} was written by a newer peerdeck (schema {schema}, this one knows {known}): run that version")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// What it has.
        schema: i64,
        /// What this version knows.
        known: i64,
    },
    /// Another process has it open.
    #[error(
        "{path} is in use by another process: a peer runs on this folder already; stop that one, or give each peer a \
         state directory of its own"
    )]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// Something could not be kept; nothing of it is.
    #[error(
        "{path} can't be written: {why}; nothing was changed: check room and health of the disk (`df`, kernel log), then \
         do it again"
    )]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What SQLite or the system said.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    serial: String,
    host: String,
}

/// What survives a restart beside identity and membership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct State {
    boot: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detached: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maintenance: Option<WireMaintenance>,
}

/// The keys of a peer, and who it is.
#[derive(Clone)]
pub struct Keys {
    /// Serial number.
    pub id: PeerId,
    /// With which it logs in to fellows and signs probes.
    pub machine: PrivateKey,
    /// Which its SSH server shows.
    pub host: PrivateKey,
}

/// Makes identity and keys in `state_dir` where they are missing, and tells them. Doing it again changes nothing.
///
/// # Errors
/// [`StoreError`] when the folder can't be written, or holds files that others may read or that make no sense.
pub fn provision(state_dir: &Path, host: &HostName) -> Result<Provisioned, StoreError> {
    make_dir(state_dir)?;
    let identity_path = state_dir.join(IDENTITY);
    if !identity_path.exists() {
        let identity = Identity { serial: draw_serial(), host: host.to_string() };
        write_json(&identity_path, &identity)?;
    }
    for name in [MACHINE_KEY, HOST_KEY] {
        if !state_dir.join(name).exists() {
            draw_key(state_dir, name)?;
        }
    }
    let keys = read_keys(state_dir)?;
    Ok(Provisioned {
        id: keys.id,
        machine_key: public_text(keys.machine.public_key(), &state_dir.join(MACHINE_KEY))?,
        host_key: public_text(keys.host.public_key(), &state_dir.join(HOST_KEY))?,
    })
}

/// Replaces the host key by a new one, as a reinstalled machine would have it, and tells its public half.
///
/// # Errors
/// [`StoreError`] when it can't be written.
pub fn new_host_key(state_dir: &Path) -> Result<String, StoreError> {
    let key = draw_key(state_dir, HOST_KEY)?;
    public_text(key.public_key(), &state_dir.join(HOST_KEY))
}

/// Identity and keys.
///
/// # Errors
/// [`StoreError`] when one is missing, open to others or malformed.
pub fn read_keys(state_dir: &Path) -> Result<Keys, StoreError> {
    let path = state_dir.join(IDENTITY);
    let identity: Identity = read_json(&path)?;
    let id = PeerId::new(&identity.serial);
    if id.as_str().is_empty() || id.is_unheard() {
        return Err(StoreError::Malformed { path, why: "it has no serial number".into() });
    }
    Ok(Keys { id, machine: read_key(state_dir, MACHINE_KEY)?, host: read_key(state_dir, HOST_KEY)? })
}

/// The membership, or `None` when the peer is in no cluster.
///
/// # Errors
/// [`StoreError`] when it is open to others or malformed.
pub fn read_membership(state_dir: &Path) -> Result<Option<Membership>, StoreError> {
    let path = state_dir.join(MEMBERSHIP);
    if !path.exists() {
        return Ok(None);
    }
    let wire: WireMembership = read_json(&path)?;
    Membership::try_from(wire).map(Some).map_err(|e| StoreError::Malformed { path, why: e.to_string() })
}

/// Keeps the membership.
///
/// # Errors
/// [`StoreError`] when it can't be written.
pub fn write_membership(state_dir: &Path, membership: &Membership) -> Result<(), StoreError> {
    write_json(&state_dir.join(MEMBERSHIP), &WireMembership::from(membership))
}

/// Begins a new start: a boot id above all earlier ones (from the wall clock where that has moved on), kept before it is used.
///
/// # Errors
/// [`StoreError`] when it can't be read or written.
pub fn begin_boot(state_dir: &Path, wall_ms: u64) -> Result<BootId, StoreError> {
    let mut state = read_state(state_dir)?;
    state.boot = wall_ms.max(state.boot.saturating_add(1));
    write_json(&state_dir.join(STATE), &state)?;
    Ok(BootId(state.boot))
}

/// Since when the peer is detached, if it is.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn read_detached(state_dir: &Path) -> Result<Option<Time>, StoreError> {
    Ok(read_state(state_dir)?.detached.map(Time::from_millis))
}

/// Keeps since when the peer is detached.
///
/// # Errors
/// [`StoreError`] when it can't be written.
pub fn write_detached(state_dir: &Path, since: Option<Time>) -> Result<(), StoreError> {
    let mut state = read_state(state_dir)?;
    state.detached = since.map(Time::as_millis);
    write_json(&state_dir.join(STATE), &state)
}

/// The maintenance that was announced for the peer; it may have ended meanwhile.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn read_maintenance(state_dir: &Path) -> Result<Option<Maintenance>, StoreError> {
    // Its own clock wrote it.
    let own = |m: WireMaintenance| {
        let clock = ClockMap { there: m.since, here: Time::from_millis(m.since) };
        m.into_domain(clock)
    };
    Ok(read_state(state_dir)?.maintenance.map(own))
}

/// Keeps the maintenance that is announced for the peer, or that none is.
///
/// # Errors
/// [`StoreError`] when it can't be written.
pub fn write_maintenance(state_dir: &Path, maintenance: Option<&Maintenance>) -> Result<(), StoreError> {
    let mut state = read_state(state_dir)?;
    state.maintenance = maintenance.map(WireMaintenance::from_domain);
    write_json(&state_dir.join(STATE), &state)
}

/// What the site adds to the features: name and text of each `features.d/*.toml`, in the order of their names.
///
/// # Errors
/// [`StoreError`] when one can't be read.
pub fn read_features(state_dir: &Path) -> Result<Vec<(String, String)>, StoreError> {
    let dir = state_dir.join(FEATURES);
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir).map_err(|error| io_error(&dir, error))? {
        let path = entry.map_err(|error| io_error(&dir, error))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = fs::read_to_string(&path).map_err(|error| io_error(&path, error))?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    Ok(files)
}

fn read_state(state_dir: &Path) -> Result<State, StoreError> {
    let path = state_dir.join(STATE);
    if path.exists() { read_json(&path) } else { Ok(State::default()) }
}

pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| io_error(dir, error))?;
    refuse_open(dir)
}

pub(super) fn refuse_open(path: &Path) -> Result<(), StoreError> {
    let mode = fs::metadata(path).map_err(|error| io_error(path, error))?.permissions().mode() & 0o777;
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(StoreError::Open { path: path.to_owned(), mode }) }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    refuse_open(path)?;
    fs::read(path).map_err(|error| io_error(path, error))
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, StoreError> {
    crate::proto::read(&read(path)?).map_err(|e| StoreError::Malformed { path: path.to_owned(), why: e.to_string() })
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|e| StoreError::Malformed { path: path.to_owned(), why: e.to_string() })?;
    text.push(b'\n');
    write_atomic(path, &text)
}

/// Writes aside, syncs, renames, syncs the folder.
pub(super) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let aside = path.with_extension(format!("new-{:08x}", rand::random::<u32>()));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        if let Some(dir) = path.parent() {
            fs::File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|error| {
        // Left-overs would only confuse; the first error is the one that counts.
        let _ = fs::remove_file(&aside);
        io_error(path, error)
    })
}

fn draw_key(state_dir: &Path, name: &str) -> Result<PrivateKey, StoreError> {
    let path = state_dir.join(name);
    let malformed = |e: russh::keys::ssh_key::Error| StoreError::Malformed { path: path.clone(), why: e.to_string() };
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(malformed)?;
    let text = key.to_openssh(LineEnding::LF).map_err(malformed)?;
    write_atomic(&path, text.as_bytes())?;
    Ok(key)
}

fn read_key(state_dir: &Path, name: &str) -> Result<PrivateKey, StoreError> {
    let path = state_dir.join(name);
    // The parser's words could quote the key: say only that it failed.
    let key = PrivateKey::from_openssh(read(&path)?)
        .map_err(|_| StoreError::Malformed { path: path.clone(), why: "not an OpenSSH private key".into() })?;
    if key.algorithm() == Algorithm::Ed25519 && !key.is_encrypted() {
        Ok(key)
    } else {
        Err(StoreError::Malformed { path, why: "not an unencrypted ed25519 key".into() })
    }
}

fn public_text(key: &PublicKey, path: &Path) -> Result<String, StoreError> {
    let mut key = key.clone();
    key.set_comment("");
    let text = key.to_openssh().map_err(|e| StoreError::Malformed { path: path.to_owned(), why: e.to_string() })?;
    Ok(text.trim().to_owned())
}

/// `XXXXXXXXXXXX-XXXXXXX`: twelve hexadecimal digits, seven letters or digits, as hardware appliances have it.
fn draw_serial() -> String {
    const HEX: &[u8] = b"0123456789ABCDEF";
    const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut rng = rand::rng();
    let mut draw =
        |set: &[u8], n: usize| -> String { (0..n).map(|_| char::from(set[rng.random_range(0..set.len())])).collect() };
    format!("{}-{}", draw(HEX, 12), draw(ALNUM, 7))
}

/// Whether `name` has the shape of a serial number that [`provision`] draws.
#[must_use]
pub fn looks_like_serial(name: &str) -> bool {
    name.split_once('-').is_some_and(|(a, b)| {
        a.len() == 12
            && a.bytes().all(|c| c.is_ascii_hexdigit())
            && b.len() == 7
            && b.bytes().all(|c| c.is_ascii_alphanumeric())
    })
}

fn io_error(path: &Path, error: io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), error }
}
