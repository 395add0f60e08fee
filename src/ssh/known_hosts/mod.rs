//! Which host keys are known: `known_hosts` files, parsed once into a map of our own.
//!
//! russh's reader ignores `@revoked`, `@cert-authority`, wildcards, negation and tabs, and takes a file that it can't
//! read for an empty one (`50-measured.md`, B8).

mod entry;
mod policy;

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use russh::keys::PublicKey;
use russh::keys::ssh_key::{Algorithm, Certificate, certificate::CertType};

pub(in crate::ssh) use entry::glob;
use entry::{Entry, Hosts, Marker, canonical};
pub use policy::{KnownHostsPolicy, Pinned};

use super::client::{HostKeyVerdict, fingerprint};
use crate::domain::text::clean;

/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 32 * 1024 * 1024;

/// The known host keys of several files. Clones share them.
#[derive(Clone, Debug)]
pub struct KnownHosts {
    files: Arc<[PathBuf]>,
    own: Arc<Path>,
    state: Arc<RwLock<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// Entries of plain names, by name.
    by_name: HashMap<String, Vec<usize>>,
    /// Entries that must be asked one by one: hashed, wildcards.
    others: Vec<usize>,
    /// Files that are there and can't be read.
    unreadable: Vec<String>,
    notes: Vec<String>,
    stamps: Vec<Option<(SystemTime, u64)>>,
}

impl KnownHosts {
    /// Reads `files`, the first ones first; `own` is read too and is where [`Self::append`] writes. A file that
    /// does not exist is an empty one.
    #[must_use]
    pub fn load(files: &[PathBuf], own: &Path) -> Self {
        let mut all: Vec<PathBuf> = files.to_vec();
        if !all.iter().any(|f| f == own) {
            all.push(own.to_owned());
        }
        let state = State::read(&all);
        Self { files: all.into(), own: own.into(), state: Arc::new(RwLock::new(state)) }
    }

    /// `~/.ssh/known_hosts`, `/etc/ssh/ssh_known_hosts` and our own under `state` (`~/.local/state/peerdeck`).
    #[must_use]
    pub fn standard(state: &Path) -> Self {
        let files = [super::auth::home_path("~/.ssh/known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts")];
        Self::load(&files, &state.join("known_hosts"))
    }

    /// Where [`Self::append`] writes.
    #[must_use]
    pub fn own_file(&self) -> &Path {
        &self.own
    }

    /// Files that are there and can't be read: until they can, no unknown key is taken for merely unknown.
    #[must_use]
    pub fn unreadable(&self) -> Vec<String> {
        self.look(|s| s.unreadable.clone())
    }

    /// Lines that were skipped, with their place.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.look(|s| s.notes.clone())
    }

    /// Reads the files again if one of them has changed. Blocks on the disk.
    pub fn refresh(&self) {
        if self.look(|s| s.stamps != stamps(&self.files)) {
            let fresh = State::read(&self.files);
            *self.state.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    /// The verdict on `key`, offered by the host that is known under `names`, the first one first, at `port`.
    ///
    /// A name further back counts only while those before it are not recorded at all.
    #[must_use]
    pub fn judge(&self, names: &[&str], port: u16, key: &PublicKey) -> HostKeyVerdict {
        self.look(|s| s.judge(names, port, key))
    }

    /// The verdict on a host certificate; `now` in seconds since 1970. Its key is judged alone if no authority vouches for it.
    #[must_use]
    pub fn judge_certificate(&self, names: &[&str], port: u16, cert: &Certificate, now: u64) -> HostKeyVerdict {
        self.look(|s| s.judge_certificate(names, port, cert, now))
    }

    /// Algorithms of the keys that are recorded for the host.
    #[must_use]
    pub fn recorded(&self, names: &[&str], port: u16) -> Vec<Algorithm> {
        self.look(|s| {
            let known = names.iter().flat_map(|n| s.about(n, port).into_iter().chain(s.about_any_port(n, port)));
            known.filter(|e| e.marker == Marker::Plain).map(|e| e.key.algorithm()).collect()
        })
    }

    /// Whether an authority may certify the host.
    #[must_use]
    pub fn has_authority(&self, names: &[&str], port: u16) -> bool {
        self.look(|s| {
            let known = names.iter().flat_map(|n| s.about(n, port).into_iter().chain(s.about_any_port(n, port)));
            known.into_iter().any(|e| e.marker == Marker::Authority)
        })
    }

    /// Keeps `key` as the key of `host:port` in our own file (0600, replaced atomically) and in memory. Another
    /// key of the same kind that our own file has for exactly this host is replaced.
    ///
    /// # Errors
    /// When the file can't be written; the key is not kept then.
    pub fn append(&self, host: &str, port: u16, key: &PublicKey) -> io::Result<()> {
        let name = canonical(host, port);
        if name.contains(|c: char| c.is_whitespace() || c.is_control() || ",*?!|#@".contains(c)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is no host name", clean(host, 80))));
        }
        let line = PublicKey::new(key.key_data().clone(), "").to_openssh().map_err(io::Error::other)?;
        let directory = self.own.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Two consoles may write at the same time.
        let lock = std::fs::File::open(directory)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        let old = match std::fs::read_to_string(&self.own) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e),
        };
        let place: Arc<str> = "".into();
        let replaced = |line: &str| match Entry::parse(line, &place) {
            Ok(Some(Entry { marker: Marker::Plain, hosts: Hosts::Names(names), key: other, .. })) => {
                names == [name.as_str()] && other.algorithm() == key.algorithm()
            }
            Ok(_) | Err(_) => false,
        };
        let mut text: String = old.lines().filter(|l| !replaced(l)).flat_map(|l| [l, "\n"]).collect();
        text.extend([name.as_str(), " ", line.trim(), "\n"]);
        let temporary = self.own.with_extension(format!("new-{}", std::process::id()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&temporary, &*self.own));
        if let Err(e) = written {
            // Nothing depends on whether the left-over could be removed.
            let _ = std::fs::remove_file(&temporary);
            return Err(e);
        }
        let fresh = State::read(&self.files);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |f: &PathBuf| std::fs::metadata(f).ok().and_then(|m| Some((m.modified().ok()?, m.len())));
    files.iter().map(stamp).collect()
}

impl State {
    fn read(files: &[PathBuf]) -> Self {
        let mut state = Self { stamps: stamps(files), ..Self::default() };
        for file in files {
            match read_bounded(file) {
                Ok(text) => state.take(&text, file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => state.unreadable.push(format!("{}: {e}", file.display())),
            }
        }
        state
    }

    fn take(&mut self, text: &str, file: &Path) {
        for (n, line) in text.lines().enumerate() {
            let place: Arc<str> = format!("{}:{}", file.display(), n + 1).into();
            match Entry::parse(line, &place) {
                Ok(None) => {}
                Ok(Some(entry)) => {
                    let index = self.entries.len();
                    match &entry.hosts {
                        Hosts::Names(names) => {
                            for name in names {
                                self.by_name.entry(name.clone()).or_default().push(index);
                            }
                        }
                        Hosts::Patterns(_) | Hosts::Hashed { .. } => self.others.push(index),
                    }
                    self.entries.push(entry);
                }
                Err(why) => self.notes.push(format!("{place}: skipped: {why}")),
            }
        }
    }

    fn about_name(&self, name: &str) -> Vec<&Entry> {
        let named = self.by_name.get(name).into_iter().flatten();
        let others = self.others.iter().filter(|i| self.entries[**i].is_about(name));
        named.chain(others).map(|i| &self.entries[*i]).collect()
    }

    /// What is recorded for exactly this host and port.
    fn about(&self, host: &str, port: u16) -> Vec<&Entry> {
        self.about_name(&canonical(host, port))
    }

    /// As OpenSSH does: a line without port may accept, and may revoke, at any port, but its other keys refuse nothing there.
    fn about_any_port(&self, host: &str, port: u16) -> Vec<&Entry> {
        if port == 22 {
            return Vec::new();
        }
        self.about_name(&host.to_ascii_lowercase())
    }

    fn judge(&self, names: &[&str], port: u16, key: &PublicKey) -> HostKeyVerdict {
        if let Some(revoked) = self.revocation(names, port, key) {
            return HostKeyVerdict::Refused(revoked);
        }
        for name in names {
            let exact: Vec<&Entry> = self.about(name, port);
            let plain: Vec<&&Entry> = exact.iter().filter(|e| e.marker == Marker::Plain).collect();
            let any_port = self.about_any_port(name, port);
            let fits = |e: &Entry| e.marker == Marker::Plain && e.key.key_data() == key.key_data();
            if exact.iter().chain(&any_port).any(|e| fits(e)) {
                return HostKeyVerdict::Accepted;
            }
            if !plain.is_empty() {
                let known: Vec<String> = plain
                    .iter()
                    .take(4)
                    .map(|e| format!("{} {} ({})", e.key.algorithm(), fingerprint(&e.key), e.place))
                    .collect();
                return HostKeyVerdict::Refused(format!("known for {} is {}", clean(name, 120), known.join(", ")));
            }
        }
        if self.unreadable.is_empty() {
            HostKeyVerdict::Unknown
        } else {
            HostKeyVerdict::Refused(format!("whether it is known can't be said: {}", self.unreadable.join("; ")))
        }
    }

    fn judge_certificate(&self, names: &[&str], port: u16, cert: &Certificate, now: u64) -> HostKeyVerdict {
        let key = PublicKey::from(cert.public_key().clone());
        let authority = PublicKey::from(cert.signature_key().clone());
        for key in [&key, &authority] {
            if let Some(revoked) = self.revocation(names, port, key) {
                return HostKeyVerdict::Refused(revoked);
            }
        }
        let vouches = |e: &Entry| e.marker == Marker::Authority && e.key.key_data() == authority.key_data();
        let vouching =
            names.iter().find(|n| self.about(n, port).iter().chain(&self.about_any_port(n, port)).any(|e| vouches(e)));
        if vouching.is_none() {
            return self.judge(names, port, &key);
        }
        let by = format!("its certificate, signed by {},", fingerprint(&authority));
        if cert.cert_type() != CertType::Host {
            return HostKeyVerdict::Refused(format!("{by} is not one of a host"));
        }
        if !cert.critical_options().is_empty() {
            return HostKeyVerdict::Refused(format!("{by} has critical options that are not known here"));
        }
        if !cert.valid_principals().iter().any(|p| names.iter().any(|n| glob(p, n))) {
            return HostKeyVerdict::Refused(format!("{by} does not name this host"));
        }
        match cert.validate_at(now, [&authority.fingerprint(russh::keys::HashAlg::Sha256)]) {
            Ok(()) => HostKeyVerdict::Accepted,
            Err(_) => HostKeyVerdict::Refused(format!("{by} is not valid now, or its signature is wrong")),
        }
    }

    fn revocation(&self, names: &[&str], port: u16, key: &PublicKey) -> Option<String> {
        names.iter().find_map(|name| {
            let all = self.about(name, port).into_iter().chain(self.about_any_port(name, port));
            let mut revoked = all.filter(|e| e.marker == Marker::Revoked && e.key.key_data() == key.key_data());
            revoked.next().map(|e| format!("{} is revoked ({})", fingerprint(key), e.place))
        })
    }
}

fn read_bounded(file: &Path) -> io::Result<String> {
    use std::io::Read;
    let open = std::fs::File::open(file)?;
    if open.metadata()?.len() > FILE_MAX {
        return Err(io::Error::other(format!("longer than {FILE_MAX} bytes")));
    }
    let mut bytes = Vec::new();
    open.take(FILE_MAX).read_to_end(&mut bytes)?;
    // A line that is not text is skipped by itself; the others still count.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
