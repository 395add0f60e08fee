//! What a lab writes before its peers start: keys, membership, and the files that a person or a program connects with.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::{Algorithm, LineEnding};
use russh::keys::{PrivateKey, PublicKey};
use tokio::task::JoinSet;

use super::place::{FLEET, KNOWN_HOSTS, Place, SSH_CONFIG, USER_KEY};
use super::{LabError, unit};
use crate::daemon::{self, Provisioned};
use crate::domain::ids::{ClusterName, GroupName, HostName};
use crate::domain::membership::{Addressing, MAIN_GROUP, Machine, Membership};
use crate::domain::text::Line;

/// The cluster, in the membership and in the fleet file.
pub(super) const CLUSTER: &str = "lab";
/// Who may log in, with the lab's key.
pub(super) const USER: &str = "admin";

/// The groups, filled in order.
const GROUPS: [&str; 3] = [MAIN_GROUP, "Paris", "Rome"];

/// A peer before it starts.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub host: HostName,
    pub group: GroupName,
    pub dir: PathBuf,
    pub address: SocketAddr,
    pub made: Provisioned,
}

/// All groups.
pub(super) fn groups() -> Vec<GroupName> {
    GROUPS.iter().map(|g| GroupName::new(g)).collect()
}

/// Makes identities and keys of all peers at once, then writes the membership to each.
pub(super) async fn seats(place: &Place, addresses: &[SocketAddr]) -> Result<Vec<Seat>, LabError> {
    let mut making = JoinSet::new();
    for (i, address) in addresses.iter().copied().enumerate() {
        let label = format!("lab{}", i + 1);
        let (dir, host) = (place.peer(&label), HostName::new(&format!("{label}.example.com")));
        let group = GroupName::new(GROUPS[i * GROUPS.len() / addresses.len()]);
        making.spawn_blocking(move || {
            unit::restore_host_key(&dir)?;
            let made = daemon::provision(&dir, &host)?;
            Ok::<_, LabError>((i, Seat { host, group, dir, address, made }))
        });
    }
    let mut seats = all(making).await?;
    seats.sort_by_key(|(i, _)| *i);
    let seats: Vec<Seat> = seats.into_iter().map(|(_, seat)| seat).collect();

    let membership = Arc::new(membership(&seats));
    let mut writing = JoinSet::new();
    for seat in &seats {
        let (dir, membership) = (seat.dir.clone(), Arc::clone(&membership));
        writing.spawn_blocking(move || Ok::<_, LabError>(daemon::write_membership(&dir, &membership)?));
    }
    all(writing).await?;
    Ok(seats)
}

async fn all<T: 'static>(mut tasks: JoinSet<Result<T, LabError>>) -> Result<Vec<T>, LabError> {
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(joined) = tasks.join_next().await {
        done.push(joined.map_err(|e| LabError::Peer(e.to_string()))??);
    }
    Ok(done)
}

fn membership(seats: &[Seat]) -> Membership {
    let machines = seats.iter().map(|seat| {
        Arc::new(Machine {
            id: seat.made.id.clone(),
            host: seat.host.clone(),
            group: seat.group.clone(),
            address: seat.host.clone(),
            port: seat.address.port(),
            machine_key: Line::new(&seat.made.machine_key),
            host_key: Line::new(&seat.made.host_key),
        })
    });
    let mut membership = Membership {
        cluster_id: Line::new(&format!("{:032x}", rand::random::<u128>())),
        name: ClusterName::new(CLUSTER),
        revision: 1,
        addressing: Addressing::HostName,
        groups: groups(),
        machines: machines.collect(),
    };
    membership.sort();
    membership
}

/// The user's key, made if there is none; tells its public half.
pub(super) fn user_key(place: &Place) -> Result<String, LabError> {
    let path = place.file(USER_KEY);
    let refused = |why: &dyn std::fmt::Display| LabError::Key { path: path.clone(), why: why.to_string() };
    if !path.exists() {
        let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(|e| refused(&e))?;
        key.set_comment("peerdeck-lab");
        let text = key.to_openssh(LineEnding::LF).map_err(|e| refused(&e))?;
        place.write(USER_KEY, &text)?;
    }
    let text = fs::read(&path).map_err(|e| LabError::file(&path, e))?;
    // The parser's words could quote the key: say only that it failed.
    let key = PrivateKey::from_openssh(text).map_err(|_| refused(&"it is not an OpenSSH private key"))?;
    let mut public: PublicKey = key.public_key().clone();
    public.set_comment("");
    Ok(public.to_openssh().map_err(|e| refused(&e))?.trim().to_owned())
}

/// Writes `fleet.toml`, `known_hosts` and `ssh_config`.
pub(super) fn write_files(place: &Place, seats: &[Seat], dns: SocketAddr) -> Result<(), LabError> {
    place.write(KNOWN_HOSTS, &known_hosts(seats))?;
    place.write(SSH_CONFIG, &ssh_config(place, seats)?)?;
    place.write(FLEET, &fleet(place, seats, dns)?)
}

fn known_hosts(seats: &[Seat]) -> String {
    let mut text = String::new();
    for Seat { host, address, made, .. } in seats {
        let (port, ip) = (address.port(), address.ip());
        // Writing to a String never fails.
        let _ = writeln!(text, "[{host}]:{port},[{ip}]:{port} {}", made.host_key);
    }
    text
}

fn ssh_config(place: &Place, seats: &[Seat]) -> Result<String, LabError> {
    let quoted = |name: &str| -> Result<String, LabError> {
        let path = utf8(&place.file(name))?;
        // OpenSSH expands % in these and has no way to write a quotation mark.
        if path.contains('"') { Err(LabError::OddPath(path)) } else { Ok(format!("\"{}\"", path.replace('%', "%%"))) }
    };
    let mut text = String::from("# Made by peerdeck lab, for: ssh -F THIS lab1\n");
    for Seat { host, address, .. } in seats {
        let _ = writeln!(text, "Host {} {host}", host.short());
        let _ = writeln!(text, "    HostName {}\n    Port {}", address.ip(), address.port());
    }
    let _ = write!(
        text,
        "Host *\n    User {USER}\n    IdentityFile {}\n    IdentitiesOnly yes\n    UserKnownHostsFile {}\n    \
         GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n    LogLevel ERROR\n",
        quoted(USER_KEY)?,
        quoted(KNOWN_HOSTS)?,
    );
    Ok(text)
}

fn fleet(place: &Place, seats: &[Seat], dns: SocketAddr) -> Result<String, LabError> {
    let string = |text: String| toml::Value::String(text).to_string();
    let key = string(format!("key:{}", utf8(&place.file(USER_KEY))?));
    let known_hosts = string(utf8(&place.file(KNOWN_HOSTS))?);
    let mut text = format!(
        "# Made by peerdeck lab, for: peerdeck --fleet THIS connstatus\n[defaults]\nuser = \"{USER}\"\nauth = [{key}]\n\
         dns = [\"{dns}\"]\nknown-hosts = [{known_hosts}]\nlab = true\n\n[[cluster]]\nname = \"{CLUSTER}\"\ndiscover = false\n"
    );
    for Seat { host, address, .. } in seats {
        let _ = write!(text, "\n[[cluster.peer]]\nhost = \"{host}\"\nport = {}\n", address.port());
    }
    Ok(text)
}

fn utf8(path: &Path) -> Result<String, LabError> {
    path.to_str().map(str::to_owned).ok_or_else(|| LabError::OddPath(path.display().to_string()))
}
