//! The settings of a peer or a cluster, each with the place it comes from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::domain::snapshot::Limits;

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// `[defaults]`, on this line.
    Defaults(usize),
    /// A `[[cluster]]`, on this line.
    Cluster(usize),
    /// A `[[cluster.peer]]`, on this line.
    Peer(usize),
    /// The command line.
    CommandLine,
}

impl Origin {
    /// The line of the fleet file, if it stands in one.
    #[must_use]
    pub fn line(self) -> Option<usize> {
        match self {
            Self::Defaults(line) | Self::Cluster(line) | Self::Peer(line) => Some(line),
            Self::CommandLine => None,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Defaults(line) => write!(f, "[defaults], line {line}"),
            Self::Cluster(line) => write!(f, "[[cluster]], line {line}"),
            Self::Peer(line) => write!(f, "[[cluster.peer]], line {line}"),
            Self::CommandLine => f.write_str("the command line"),
        }
    }
}

/// A value that somebody has set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set<T> {
    /// What.
    pub value: T,
    /// Where.
    pub origin: Origin,
}

/// Who speaks with a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Driver {
    /// peerdeck's own protocol.
    Native,
    /// Cisco `AsyncOS`; understood, not in this build.
    Asyncos,
    /// Fortinet `FortiMail`; understood, not in this build.
    Fortimail,
    /// Finds out by itself; understood, not in this build.
    Auto,
}

/// A way to log in. Never a secret itself, only where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthRef {
    /// The agent at `SSH_AUTH_SOCK`.
    Agent,
    /// A key file.
    Key(PathBuf),
    /// The first line that a command prints.
    PasswordCommand(String),
    /// A variable of the environment.
    PasswordEnv(String),
    /// The first line of a file that only its owner may read.
    PasswordFile(PathBuf),
}

/// The words before the colon of an [`AuthRef`].
pub(super) const AUTH_WORDS: &[&str] = &["agent", "key", "password-command", "password-env", "password-file"];

impl std::fmt::Display for AuthRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::Key(p) => write!(f, "key:{}", p.display()),
            Self::PasswordCommand(c) => write!(f, "password-command:{c}"),
            Self::PasswordEnv(v) => write!(f, "password-env:{v}"),
            Self::PasswordFile(p) => write!(f, "password-file:{}", p.display()),
        }
    }
}

/// A jump host, or the target of `console`: `[user@]host[:port]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Via {
    /// Who logs in there.
    pub user: Option<String>,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: Option<u16>,
}

impl Via {
    /// Reads `[user@]host[:port]`; an IPv6 address with a port stands in brackets.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is not [user@]host[:port]", crate::domain::text::clean(text, 60));
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (host, tail) = inner.split_once(']').ok_or_else(wrong)?;
            match tail.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if tail.is_empty() => (host, None),
                None => return Err(wrong()),
            }
        } else if rest.parse::<std::net::Ipv6Addr>().is_ok() {
            (rest, None)
        } else {
            match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        let port = match port {
            Some(p) => Some(p.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(wrong)?),
            None => None,
        };
        if !is_host(host) || user.as_deref().is_some_and(|u| u.is_empty() || u.contains(char::is_whitespace)) {
            return Err(wrong());
        }
        Ok(Self { user, host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Whether `text` can be a host name or an address.
pub(super) fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !text.is_empty()
        && text.len() <= crate::domain::text::NAME_MAX
        && !text.starts_with('-')
        && (text.chars().all(plain) || text.parse::<std::net::Ipv6Addr>().is_ok())
}

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $kind:ty,)*) => {
        /// Everything that can be set; what is `None` was left open.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub struct Settings {
            $($(#[$doc])* pub $field: Option<Set<$kind>>,)*
        }

        impl Settings {
            /// What is set here, and from `base` what is left open here.
            #[must_use]
            pub fn over(&self, base: &Self) -> Self {
                Self { $($field: self.$field.clone().or_else(|| base.$field.clone()),)* }
            }
        }
    };
}

settings! {
    /// Who logs in.
    user: String,
    /// Ways to log in, in order.
    auth: Vec<AuthRef>,
    /// Who speaks with it.
    driver: Driver,
    /// Administration port.
    port: u16,
    /// Jump host.
    via: Via,
    /// DNS servers instead of the system's.
    dns: Vec<SocketAddr>,
    /// Files with host keys.
    known_hosts: Vec<PathBuf>,
    /// How often to report.
    interval: Duration,
    /// Peers of a lab.
    lab: bool,
    /// See [`Limits::stale`].
    stale: Duration,
    /// See [`Limits::unreachable`].
    unreachable: Duration,
    /// See [`Limits::group`].
    group_for: Duration,
    /// See [`Limits::recovery`].
    recovery: Duration,
    /// See [`Limits::detached`].
    detached_for: Duration,
    /// See [`Limits::clock_skew`].
    clock_skew: Duration,
    /// See [`Limits::unknown`].
    unknown_for: Duration,
    /// See [`Limits::flap_changes`].
    flap_changes: u32,
    /// See [`Limits::propagation`].
    propagation: Duration,
    /// See [`Limits::machines`].
    machines: usize,
    /// See [`Limits::history_mib`].
    history_mib: u64,
}

impl Settings {
    /// The limits, with the presets where nothing is set. Where only the interval is set, a fact is stale after three of them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let preset = Limits::default();
        let or = |set: &Option<Set<Duration>>, preset| set.as_ref().map_or(preset, |s| s.value);
        let interval = self.interval.as_ref().map(|s| s.value * 3);
        Limits {
            stale: or(&self.stale, interval.map_or(preset.stale, |i| i.max(preset.stale))),
            unreachable: or(&self.unreachable, preset.unreachable),
            group: or(&self.group_for, preset.group),
            recovery: or(&self.recovery, preset.recovery),
            detached: or(&self.detached_for, preset.detached),
            clock_skew: or(&self.clock_skew, preset.clock_skew),
            unknown: or(&self.unknown_for, preset.unknown),
            flap_changes: self.flap_changes.as_ref().map_or(preset.flap_changes, |s| s.value),
            propagation: or(&self.propagation, preset.propagation),
            machines: self.machines.as_ref().map_or(preset.machines, |s| s.value),
            history_mib: self.history_mib.as_ref().map_or(preset.history_mib, |s| s.value),
        }
    }
}
