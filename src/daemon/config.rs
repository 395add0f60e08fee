//! `peer.toml`: what a machine needs before it knows its cluster.

/// High availability in it.
#[doc = include_str!("../docs/ha-config.md")]
pub mod guide {}

mod block;
mod ha;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{LEVEL, Role, Setup, User};
use crate::domain::ids::HostName;

/// The administration port that a peer listens on when its file names none.
pub const DEFAULT_PORT: u16 = 22;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    host_name: String,
    state_dir: PathBuf,
    listen: Option<String>,
    #[serde(default)]
    dns: Vec<String>,
    #[serde(default)]
    dialect: Option<String>,
    ping_interval: Option<String>,
    ping_failures: Option<u32>,
    report_interval: Option<String>,
    level: Option<u32>,
    max_sessions: Option<usize>,
    #[serde(default, rename = "user")]
    users: Vec<FileUser>,
    /// Read by itself, so that all its problems are told at once.
    #[serde(default, rename = "ha")]
    _ha: IgnoredAny,
    #[serde(default, rename = "witness")]
    _witness: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileUser {
    name: String,
    #[serde(default)]
    keys: Vec<String>,
    role: Option<String>,
}

/// Reads `peer.toml`: how to start the peer, and the DNS servers to ask (none: the system's).
///
/// # Errors
/// Every problem of the file, a line each, with the file's name.
pub fn load(path: &Path) -> Result<(Setup, Vec<SocketAddr>), Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| vec![format!("{}: {e}", path.display())])?;
    parse(&text).map_err(|problems| problems.into_iter().map(|p| format!("{}: {p}", path.display())).collect())
}

/// As [`load`], of text at hand.
///
/// # Errors
/// Every problem, a line each.
pub fn parse(text: &str) -> Result<(Setup, Vec<SocketAddr>), Vec<String>> {
    let told = |e: &toml::de::Error| e.to_string().trim_end().to_owned();
    let mut table: toml::Table = toml::from_str(text).map_err(|e| vec![told(&e)])?;
    let mut ha_problems = Vec::new();
    let ha = ha::read(table.remove("ha"), table.remove("witness"), &mut ha_problems);
    let mut problems = Vec::new();
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            problems.push(told(&error));
            problems.append(&mut ha_problems);
            return Err(problems);
        }
    };
    let host = file.host_name.trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() || host.chars().any(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))) {
        problems.push(format!("host-name: `{host}` is not a host name; give the full one, like mx1.example.com"));
    }
    if !file.state_dir.is_absolute() {
        problems.push(format!("state-dir: `{}` is not an absolute path", file.state_dir.display()));
    }
    let listen = file
        .listen
        .map_or(Some(([0, 0, 0, 0], DEFAULT_PORT).into()), |text| socket("listen", &text, DEFAULT_PORT, &mut problems));
    let dns = file.dns.iter().filter_map(|text| socket("dns", text, 53, &mut problems)).collect();
    match file.dialect.as_deref() {
        None | Some("asyncos") => {}
        Some("fortimail") => problems.push("dialect: `fortimail` is not built yet; `asyncos` is".into()),
        Some(other) => problems.push(format!("dialect: `{other}` is not known; `asyncos` is")),
    }
    let ping_interval = span("ping-interval", file.ping_interval, 60, &mut problems);
    let report_interval = span("report-interval", file.report_interval, 1, &mut problems);
    let ping_failures = file.ping_failures.unwrap_or(3);
    if ping_failures == 0 {
        problems.push("ping-failures: at least 1".into());
    }
    let users = file.users.into_iter().map(|u| user(u, &mut problems)).collect();
    problems.append(&mut ha_problems);
    let Some(listen) = listen.filter(|_| problems.is_empty()) else { return Err(problems) };
    let setup = Setup {
        state_dir: file.state_dir,
        host: HostName::new(&host),
        listen,
        level: file.level.unwrap_or(LEVEL),
        ping_interval,
        ping_failures,
        report_interval,
        users,
        max_sessions: file.max_sessions.unwrap_or(30),
        seed: None,
        ha,
    };
    Ok((setup, dns))
}

fn user(user: FileUser, problems: &mut Vec<String>) -> User {
    if user.name.is_empty() {
        problems.push("user: a name is missing".into());
    }
    if user.keys.is_empty() {
        problems.push(format!("user {}: no keys, so nobody could log in", user.name));
    }
    for (n, key) in user.keys.iter().enumerate() {
        if russh::keys::PublicKey::from_openssh(key).is_err() {
            problems.push(format!(
                "user {}: key {} is not an OpenSSH public key (`ssh-ed25519 AAAA...`)",
                user.name,
                n + 1
            ));
        }
    }
    let role = user.role.map_or(Role::default(), |word| {
        word.parse().unwrap_or_else(|_| {
            problems
                .push(format!("user {}: role `{word}` is not known; administrator, operator and guest are", user.name));
            Role::default()
        })
    });
    User { name: user.name, keys: user.keys, role }
}

/// `ADDRESS` or `ADDRESS:PORT`.
fn socket(key: &str, text: &str, port: u16, problems: &mut Vec<String>) -> Option<SocketAddr> {
    let parsed = text.parse::<SocketAddr>().ok().or_else(|| Some((text.parse::<IpAddr>().ok()?, port).into()));
    if parsed.is_none() {
        problems.push(format!("{key}: `{text}` is not an address like 192.0.2.1 or 192.0.2.1:{port}"));
    }
    parsed
}

fn span(key: &str, text: Option<String>, default_s: u64, problems: &mut Vec<String>) -> Duration {
    let default = Duration::from_secs(default_s);
    let Some(text) = text else { return default };
    parse_span(&text).unwrap_or_else(|why| {
        problems.push(format!("{key}: {why}"));
        default
    })
}

/// `60 s`, `500 ms`, `2 m`; a bare number is not taken, because nobody can tell its unit.
fn parse_span(text: &str) -> Result<Duration, String> {
    let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text.trim()[digits.len()..].trim();
    let scale = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" | "min" => Some(60_000),
        _other => None,
    };
    match (digits.parse::<u64>(), scale) {
        (Ok(n), Some(scale)) if (50..=3_600_000).contains(&n.saturating_mul(scale)) => {
            Ok(Duration::from_millis(n * scale))
        }
        (Ok(_) | Err(_), _) => Err(format!("`{text}` is not a time between 50 ms and 60 m, like `60 s`")),
    }
}
