//! Where a lab keeps its state: one directory, held by a lock as long as the lab lives.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::LabError;

/// The fleet file.
pub(super) const FLEET: &str = "fleet.toml";
/// For OpenSSH's client.
pub const SSH_CONFIG: &str = "ssh_config";
/// Host keys of all peers.
pub(super) const KNOWN_HOSTS: &str = "known_hosts";
/// The user's key.
pub(super) const USER_KEY: &str = "lab_key";
/// Where faults are asked for.
pub(super) const SOCKET: &str = "control.sock";
/// A folder a peer.
pub(super) const PEERS: &str = "peers";

const LOCK: &str = "lock";

/// So many labs of one user can live at once.
const LABS_MAX: u32 = 64;

/// A state directory that is ours.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Held for life.
    _lock: File,
}

impl Place {
    /// Takes the named directory, with the identities in it, or the first free one of the default place, emptied.
    pub fn take(named: Option<&Path>) -> Result<Self, LabError> {
        if let Some(path) = named {
            let path = std::path::absolute(path).map_err(|e| LabError::file(path, e))?;
            make_dir(&path)?;
            let lock = lock(&path)?.ok_or_else(|| LabError::InUse(path.clone()))?;
            return Ok(Self { path, _lock: lock });
        }
        Self::first_free(&base()?)
    }

    fn first_free(base: &Path) -> Result<Self, LabError> {
        make_dir(base)?;
        for path in default_places(base) {
            make_dir(&path)?;
            if let Some(lock) = lock(&path)? {
                empty(&path)?;
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(LabError::InUse(base.to_owned()))
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The state directory of a peer.
    pub fn peer(&self, label: &str) -> PathBuf {
        self.path.join(PEERS).join(label)
    }

    /// Writes a file that only we may read.
    pub fn write(&self, name: &str, text: &str) -> Result<(), LabError> {
        let path = self.file(name);
        let written =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).and_then(|mut file| {
                file.set_permissions(fs::Permissions::from_mode(0o600))?;
                file.write_all(text.as_bytes())
            });
        written.map_err(|e| LabError::file(&path, e))
    }
}

/// The labs that run now, in the default place.
///
/// # Errors
/// When there is no default place, or it can't be read.
pub fn running() -> Result<Vec<PathBuf>, LabError> {
    running_below(&base()?)
}

fn running_below(base: &Path) -> Result<Vec<PathBuf>, LabError> {
    let mut found = Vec::new();
    for path in default_places(base).filter(|p| p.join(LOCK).exists()) {
        if lock(&path)?.is_none() {
            found.push(path);
        }
    }
    Ok(found)
}

fn default_places(base: &Path) -> impl Iterator<Item = PathBuf> {
    let name = |n| if n == 1 { "lab".to_owned() } else { format!("lab-{n}") };
    (1..=LABS_MAX).map(move |n| base.join(name(n)))
}

/// `$XDG_RUNTIME_DIR/peerdeck`, else `$XDG_STATE_HOME/peerdeck`, else `~/.local/state/peerdeck`.
fn base() -> Result<PathBuf, LabError> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let runtime = named("XDG_RUNTIME_DIR").filter(|p| p.is_dir());
    let state = || named("XDG_STATE_HOME").or_else(|| std::env::home_dir().map(|h| h.join(".local/state")));
    runtime.or_else(state).map(|p| p.join("peerdeck")).ok_or(LabError::NoHome)
}

/// `None` when another lab holds it.
fn lock(path: &Path) -> Result<Option<File>, LabError> {
    let path = path.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|e| LabError::file(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(LabError::file(&path, e)),
    }
}

fn make_dir(path: &Path) -> Result<(), LabError> {
    let made = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let meta = fs::metadata(path)?;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    };
    made().map_err(|e| LabError::file(path, e))
}

/// Removes what an earlier lab has left, and nothing else.
fn empty(path: &Path) -> Result<(), LabError> {
    let gone = |path: &Path, removed: io::Result<()>| match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(LabError::file(path, e)),
        Ok(()) | Err(_) => Ok(()),
    };
    let peers = path.join(PEERS);
    gone(&peers, fs::remove_dir_all(&peers))?;
    for name in [FLEET, SSH_CONFIG, KNOWN_HOSTS, USER_KEY, SOCKET] {
        let file = path.join(name);
        gone(&file, fs::remove_file(&file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_place_is_taken_emptied_and_told_as_running() {
        let base = tempfile::tempdir().unwrap();
        let (lab, lab2) = (base.path().join("lab"), base.path().join("lab-2"));
        assert!(running_below(base.path()).unwrap().is_empty());
        let one = Place::first_free(base.path()).unwrap();
        let two = Place::first_free(base.path()).unwrap();
        assert_eq!((one.path(), two.path()), (&*lab, &*lab2));
        assert_eq!(running_below(base.path()).unwrap(), [lab.clone(), lab2.clone()]);

        one.write(FLEET, "old").unwrap();
        one.write("notes", "somebody else's").unwrap();
        make_dir(&one.peer("lab1")).unwrap();
        drop(one);
        assert_eq!(running_below(base.path()).unwrap(), [lab2]);
        let again = Place::first_free(base.path()).unwrap();
        assert_eq!(again.path(), lab);
        assert!(!lab.join(FLEET).exists() && !lab.join(PEERS).exists());
        assert!(lab.join("notes").exists(), "what is not the lab's stays");
    }
}
