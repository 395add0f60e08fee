//! What must be remembered over a crash: which addresses were guarded, and which of the port's own were taken away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::wire::Address;

/// Name of the file in the state directory.
const NAME: &str = "ha-addresses.json";

/// What is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remembered {
    /// Addresses that may be left behind.
    #[serde(default)]
    pub guarded: Vec<Address>,
    /// The ports' own that were taken away.
    #[serde(default)]
    pub aside: Vec<Aside>,
}

/// Of one port, as the kernel gave it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Aside {
    /// The port.
    pub interface: String,
    /// Bodies of netlink messages, hexadecimal, in the kernel's order: its addresses,
    pub addresses: Vec<String>,
    /// and the routes over it that are not the kernel's own, which it forgets with the last address.
    pub routes: Vec<String>,
}

/// The file.
pub struct Store(PathBuf);

impl Store {
    /// In this directory.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(dir.join(NAME))
    }

    /// What the last guard left; nothing when there is none.
    ///
    /// # Errors
    /// When it can't be read: an address may be left behind that nobody knows of.
    pub fn read(&self) -> io::Result<Remembered> {
        let told = |e: &dyn std::fmt::Display| io::Error::other(format!("{} can't be read: {e}", self.0.display()));
        match std::fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| told(&e)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Remembered::default()),
            Err(error) => Err(told(&error)),
        }
    }

    /// Written whole and synced, or not at all.
    ///
    /// # Errors
    /// As the system says.
    pub fn write(&self, remembered: &Remembered) -> io::Result<()> {
        let told = |e: io::Error| io::Error::new(e.kind(), format!("{} can't be written: {e}", self.0.display()));
        let new = self.0.with_extension("new");
        let bytes = serde_json::to_vec(remembered)?;
        let write = || {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, &self.0)?;
            File::open(self.0.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        write().map_err(told)
    }
}
