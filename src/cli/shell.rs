//! How OpenSSH's `ssh` reaches a peer as the fleet file says. Nothing secret stands among its arguments.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::domain::{Cluster, ClusterName, Peer, PeerId, Snapshot};
use crate::engine::runtime::Observer;

use super::connect::Links;

/// Makes the command for a peer, or says why there is none.
#[derive(Clone)]
pub struct Shells(Arc<Make>);

type Make = dyn Fn(&ClusterName, &PeerId) -> Result<Command, String> + Send + Sync;

impl std::fmt::Debug for Shells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shells")
    }
}

impl Shells {
    /// What `make` makes.
    pub fn new(make: impl Fn(&ClusterName, &PeerId) -> Result<Command, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// The command that opens a shell on `peer`.
    ///
    /// # Errors
    /// Why there is none, in plain words.
    pub fn command(&self, cluster: &ClusterName, peer: &PeerId) -> Result<Command, String> {
        (self.0)(cluster, peer)
    }
}

/// For the peers that `observer` shows, connected to as `links` are; `lab_config` is the `ssh_config` of a lab.
#[must_use]
pub fn shells(observer: Observer, links: Arc<Links>, lab_config: Option<PathBuf>) -> Shells {
    Shells::new(move |cluster, peer| {
        let snapshot = Arc::clone(&observer.snapshots.borrow());
        let (cluster, peer) = find(&snapshot, cluster, peer).ok_or("this peer is not known any more")?;
        let args = match &lab_config {
            Some(config) => lab_args(config, peer),
            None => args(&links, cluster, peer)?,
        };
        let mut command = Command::new("ssh");
        command.args(args);
        Ok(command)
    })
}

fn find<'a>(snapshot: &'a Snapshot, cluster: &ClusterName, peer: &PeerId) -> Option<(&'a Cluster, &'a Peer)> {
    let cluster = snapshot.clusters.iter().find(|c| c.name == *cluster)?;
    Some((cluster, cluster.peer(peer)?))
}

fn lab_args(config: &Path, peer: &Peer) -> Vec<OsString> {
    vec!["-F".into(), config.into(), "-t".into(), "--".into(), peer.host.as_str().into()]
}

/// What the person's own `ssh_config` does not know: what the fleet file says.
fn args(links: &Links, cluster: &Cluster, peer: &Peer) -> Result<Vec<OsString>, String> {
    let told = links
        .told(cluster, peer)
        .ok_or_else(|| format!("{} is known only from its fellows: nothing says how it is connected to", peer.host))?;
    if told.host.starts_with('-') {
        return Err(format!("`{}` is no host name", told.host));
    }
    let mut args: Vec<OsString> = vec!["-t".into()];
    let mut option = |name: &str, value: &str| args.extend(["-o".into(), format!("{name}={value}").into()]);
    option("Port", &told.port.to_string());
    if let Some(user) = &told.user {
        option("User", user);
    }
    if let Some(jump) = &told.jump {
        option("ProxyJump", jump);
    }
    if let Some(address) = &told.address {
        // The fleet has DNS servers of its own, which ssh does not ask; the host key is still the name's.
        option("HostName", address);
        let alias = if told.port == 22 { told.host.clone() } else { format!("[{}]:{}", told.host, told.port) };
        option("HostKeyAlias", &alias);
    }
    let files: Option<Vec<String>> = told.known_hosts.iter().map(|f| quoted(f)).collect();
    let files = files.ok_or("the path of a known_hosts file can't be told to ssh: it holds a quotation mark")?;
    option("UserKnownHostsFile", &files.join(" "));
    for file in &told.identities {
        let file = quoted(file).ok_or("the path of a key file can't be told to ssh: it holds a quotation mark")?;
        option("IdentityFile", &file);
    }
    args.extend(["--".into(), told.host.as_str().into()]);
    Ok(args)
}

/// As `ssh_config` reads it: `%` begins a token, and there is no way to write a quotation mark.
fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|t| !t.contains(['"', '\n']))?;
    Some(format!("\"{}\"", text.replace('%', "%%")))
}

/// What the fleet file says of one peer's connection, for [`shells`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// The name that is dialled.
    pub host: String,
    /// Where it is, when only the fleet's own DNS servers know.
    pub address: Option<String>,
    /// Its port.
    pub port: u16,
    /// Who logs in; `None` leaves it to ssh.
    pub user: Option<String>,
    /// The jump host, as ssh writes it.
    pub jump: Option<String>,
    /// Files with host keys, the one that ssh may add to first.
    pub known_hosts: Vec<PathBuf>,
    /// Key files that the fleet file names.
    pub identities: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_ssh_reads_them() {
        assert_eq!(quoted(Path::new("/a b/100%")).unwrap(), "\"/a b/100%%\"");
        assert_eq!(quoted(Path::new("/a\"b")), None);
    }
}
