//! The fleet file: which clusters there are, and how their peers are connected to.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable};

use super::alerts::{Recording, Watching};
use super::keys::{self, Scope};
use super::problem::{Invalid, did_you_mean};
use super::settings::{AUTH_WORDS, AuthRef, Driver, Origin, Set, Settings, Via, is_host};
use super::table::{Reader, Value};
use crate::alerts::Rules;
use crate::domain::ids::{ClusterName, HostName};

/// What is to be observed, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fleet {
    /// The file it stands in; `None` when it comes from the command line.
    pub file: Option<PathBuf>,
    /// In the order of the file.
    pub clusters: Vec<FleetCluster>,
    /// What is told of findings.
    pub alerts: Rules,
    /// How the headless watch tells it.
    pub watch: Watching,
    /// What is recorded for looking back.
    pub record: Recording,
}

/// One cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FleetCluster {
    /// Its name.
    pub name: ClusterName,
    /// Theme of the console for this cluster.
    pub theme: Option<Set<String>>,
    /// Whether fellows that a peer names are connected to as well.
    pub discover: bool,
    /// What holds for the whole cluster and for peers that are discovered: its own settings over the defaults.
    pub settings: Settings,
    /// The peers that the file names.
    pub peers: Vec<FleetPeer>,
}

/// One peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FleetPeer {
    /// Host name or address.
    pub host: HostName,
    /// Its own settings over the cluster's over the defaults.
    pub settings: Settings,
}

impl Fleet {
    /// A fleet of one peer, named on the command line; its fellows are asked for.
    #[must_use]
    pub fn of_target(target: &Via) -> Self {
        let set = |value: &str| Set { value: value.to_owned(), origin: Origin::CommandLine };
        let settings = Settings {
            user: target.user.as_deref().map(set),
            port: target.port.map(|value| Set { value, origin: Origin::CommandLine }),
            ..Settings::default()
        };
        // The port is that one peer's; fellows have their own from the membership.
        let shared = Settings { port: None, ..settings.clone() };
        let host = HostName::new(&target.host);
        Self {
            file: None,
            clusters: vec![FleetCluster {
                name: ClusterName::new(host.as_str()),
                theme: None,
                discover: true,
                settings: shared,
                peers: vec![FleetPeer { host, settings }],
            }],
            ..Self::default()
        }
    }

    /// Reads the text of a fleet file. `home` stands for `~`, and paths that don't begin at the root begin at the file's folder.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse(file: &Path, text: &str, home: &Path) -> Result<Self, Invalid> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut parser = Parser { reader: Reader::new(file, text), home, folder };
        let fleet = parser.file();
        let problems = parser.reader.finish();
        if problems.is_empty() { Ok(Self { file: Some(file.to_owned()), ..fleet }) } else { Err(Invalid(problems)) }
    }

    /// Keeps only the cluster of this name.
    ///
    /// # Errors
    /// When there is none, with the names that there are.
    pub fn only(mut self, name: &str) -> Result<Self, String> {
        let names: Vec<String> = self.clusters.iter().map(|c| c.name.to_string()).collect();
        self.clusters.retain(|c| c.name.as_str() == name);
        if self.clusters.is_empty() {
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            return Err(format!("the fleet has no cluster \"{name}\"{hint} (it has {})", names.join(", ")));
        }
        Ok(self)
    }

    /// Whether this is a lab's fleet.
    #[must_use]
    pub fn is_lab(&self) -> bool {
        self.clusters.iter().any(|c| c.settings.lab.as_ref().is_some_and(|l| l.value))
    }
}

pub(super) struct Parser<'a> {
    pub(super) reader: Reader<'a>,
    home: &'a Path,
    folder: &'a Path,
}

/// In which kind of table we are.
#[derive(Clone, Copy)]
enum Section {
    Defaults,
    Cluster,
    Peer,
}

impl Section {
    fn origin(self, line: usize) -> Origin {
        match self {
            Self::Defaults => Origin::Defaults(line),
            Self::Cluster => Origin::Cluster(line),
            Self::Peer => Origin::Peer(line),
        }
    }

    fn header(self) -> &'static str {
        match self {
            Self::Defaults => "[defaults]",
            Self::Cluster => "[[cluster]]",
            Self::Peer => "[[cluster.peer]]",
        }
    }

    fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::Defaults => &[],
            Self::Cluster => keys::CLUSTER,
            Self::Peer => keys::PEER,
        }
    }
}

impl Parser<'_> {
    fn file(&mut self) -> Fleet {
        let mut fleet = Fleet::default();
        let Some(document) = self.reader.document() else { return fleet };
        for key in document.keys() {
            let name = key.get_ref().as_ref();
            if keys::TOP.contains(&name) {
                continue;
            }
            let what = if keys::SETTINGS.iter().any(|k| k.name == name) {
                format!("\"{name}\" stands outside of a section: put it under [defaults]")
            } else if keys::SECRETS.contains(&name) {
                secret(name)
            } else {
                format!("unknown section or key \"{}\"{}", short(name), did_you_mean(name, keys::TOP.iter().copied()))
            };
            self.reader.complain(&key.span(), what);
        }
        let defaults = document.get("defaults").and_then(|v| {
            let table = self.reader.table("defaults", v)?;
            Some(self.settings(table, Section::Defaults))
        });
        let defaults = defaults.unwrap_or_default();
        fleet.alerts = document.get("alerts").map(|v| self.alerts(v)).unwrap_or_default();
        fleet.watch = document.get("watch").map(|v| self.watching(v)).unwrap_or_default();
        fleet.record = document.get("record").map(|v| self.recording(v)).unwrap_or_default();
        let Some(value) = document.get("cluster") else {
            self.reader.complain_of_file("no [[cluster]] in it; `peerdeck config template` prints an example");
            return fleet;
        };
        let clusters = &mut fleet.clusters;
        for (table, span) in self.reader.tables("cluster", value) {
            let Some(cluster) = self.cluster(table, &span, &defaults) else { continue };
            if clusters.iter().any(|c| c.name == cluster.name) {
                self.reader.complain(&span, format!("there are two clusters \"{}\"", cluster.name));
            }
            clusters.push(cluster);
        }
        fleet
    }

    fn cluster(&mut self, table: &DeTable<'_>, span: &Range<usize>, defaults: &Settings) -> Option<FleetCluster> {
        let settings = self.settings(table, Section::Cluster).over(defaults);
        let name = if let Some(v) = table.get("name") {
            self.reader.string("name", v)
        } else {
            self.reader.complain(span, "this [[cluster]] has no \"name\"");
            None
        };
        let theme = table.get_key_value("theme").and_then(|(k, v)| {
            let origin = Origin::Cluster(self.reader.line(&k.span()));
            self.reader.string("theme", v).map(|value| Set { value, origin })
        });
        let discover = table.get("discover").and_then(|v| self.reader.boolean("discover", v)).unwrap_or(true);
        let mut peers: Vec<FleetPeer> = Vec::new();
        match table.get("peer") {
            Some(value) => {
                for (table, span) in self.reader.tables("cluster.peer", value) {
                    let Some(peer) = self.peer(table, &span, &settings) else { continue };
                    let port = |p: &FleetPeer| p.settings.port.as_ref().map(|s| s.value);
                    if peers.iter().any(|p| p.host == peer.host && port(p) == port(&peer)) {
                        self.reader.complain(&span, format!("the peer {} stands here twice", peer.host));
                    }
                    peers.push(peer);
                }
            }
            None => self.reader.complain(span, "this [[cluster]] has no [[cluster.peer]]"),
        }
        Some(FleetCluster { name: ClusterName::new(&name?), theme, discover, settings, peers })
    }

    fn peer(&mut self, table: &DeTable<'_>, span: &Range<usize>, cluster: &Settings) -> Option<FleetPeer> {
        let settings = self.settings(table, Section::Peer).over(cluster);
        let Some(value) = table.get("host") else {
            self.reader.complain(span, "this [[cluster.peer]] has no \"host\"");
            return None;
        };
        let host = self.reader.string("host", value)?;
        if !is_host(&host) {
            let what = match Via::parse(&host) {
                Ok(v) if v.user.is_some() || v.port.is_some() => {
                    let user = v.user.map_or_else(String::new, |u| format!(", user = \"{u}\""));
                    let port = v.port.map_or_else(String::new, |p| format!(", port = {p}"));
                    format!("\"host\" is a host name alone: write host = \"{}\"{user}{port}, a line each", v.host)
                }
                Ok(_) | Err(_) => format!("\"{}\" is not a host name or an address", short(&host)),
            };
            self.reader.complain(&value.span(), what);
            return None;
        }
        Some(FleetPeer { host: HostName::new(&host.trim_end_matches('.').to_lowercase()), settings })
    }

    /// The settings in `table`, unknown keys noted.
    fn settings(&mut self, table: &DeTable<'_>, section: Section) -> Settings {
        let mut settings = Settings::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if section.own_keys().contains(&name) {
                continue;
            }
            match keys::SETTINGS.iter().find(|k| k.name == name) {
                Some(k) if k.scope == Scope::Cluster && matches!(section, Section::Peer) => {
                    let what =
                        format!("\"{name}\" judges a whole cluster: put it into its [[cluster]] or into [defaults]");
                    self.reader.complain(&key.span(), what);
                }
                Some(_) => self.setting(&mut settings, key, value, section),
                None => self.unknown(key, section),
            }
        }
        settings
    }

    fn unknown(&mut self, key: &Spanned<DeString<'_>>, section: Section) {
        let name = key.get_ref().as_ref();
        if keys::SECRETS.contains(&name.to_lowercase().as_str()) {
            self.reader.complain(&key.span(), secret(name));
            return;
        }
        let known = keys::SETTINGS.iter().map(|k| k.name).chain(section.own_keys().iter().copied());
        let hint = did_you_mean(name, known);
        self.reader.complain(&key.span(), format!("unknown key \"{}\" in {}{hint}", short(name), section.header()));
    }

    fn setting(&mut self, into: &mut Settings, key: &Spanned<DeString<'_>>, value: &Value<'_>, section: Section) {
        let name = key.get_ref().as_ref();
        let origin = section.origin(self.reader.line(&key.span()));
        let r = &mut self.reader;
        macro_rules! set {
            ($field:ident, $value:expr) => {
                into.$field = $value.map(|value| Set { value, origin })
            };
        }
        match name {
            "user" => set!(user, r.string(name, value)),
            "auth" => set!(auth, self.auth(value)),
            "driver" => set!(driver, self.driver(value)),
            "port" => {
                set!(port, r.integer(name, value, 1..=65_535).and_then(|p| u16::try_from(p).ok()));
            }
            "via" => set!(via, self.via(value)),
            "dns" => set!(dns, self.dns(value)),
            "known-hosts" => {
                let files = r.strings(name, value);
                set!(known_hosts, files.map(|f| f.iter().map(|(p, _)| self.path(p)).collect()));
            }
            "interval" => set!(interval, r.span(name, value)),
            "lab" => set!(lab, r.boolean(name, value)),
            "stale" => set!(stale, r.span(name, value)),
            "unreachable" => set!(unreachable, r.span(name, value)),
            "group-for" => set!(group_for, r.span(name, value)),
            "recovery" => set!(recovery, r.span(name, value)),
            "detached-for" => set!(detached_for, r.span(name, value)),
            "clock-skew" => set!(clock_skew, r.span(name, value)),
            "unknown-for" => set!(unknown_for, r.span(name, value)),
            "flap-changes" => set!(flap_changes, r.integer(name, value, 2..=10_000)),
            "propagation" => set!(propagation, r.span(name, value)),
            "machines" => {
                set!(machines, r.integer(name, value, 1..=1024).and_then(|n| usize::try_from(n).ok()));
            }
            "history-mib" => set!(history_mib, r.integer(name, value, 1..=1_048_576).map(u64::from)),
            other => r.complain(&key.span(), format!("\"{}\" has no reader", short(other))),
        }
    }

    fn auth(&mut self, value: &Value<'_>) -> Option<Vec<AuthRef>> {
        let items = self.reader.strings("auth", value)?;
        if items.is_empty() {
            self.reader.complain(&value.span(), "\"auth\" is empty: nobody could log in. Leave it out for the presets");
        }
        let mut out = Vec::new();
        for (text, span) in items {
            let (word, rest) = text.split_once(':').map_or((text.as_str(), None), |(w, r)| (w, Some(r.trim())));
            match (word, rest.filter(|r| !r.is_empty())) {
                ("agent", None) => out.push(AuthRef::Agent),
                ("key", Some(path)) => out.push(AuthRef::Key(self.path(path))),
                ("password-command", Some(command)) => out.push(AuthRef::PasswordCommand(command.to_owned())),
                ("password-env", Some(variable)) => out.push(AuthRef::PasswordEnv(variable.to_owned())),
                ("password-file", Some(path)) => out.push(AuthRef::PasswordFile(self.path(path))),
                ("password", _) => self.reader.complain(&span, secret("auth")),
                // Never the text itself: it may be a secret that somebody put there.
                (word, _) if AUTH_WORDS.contains(&word) && word != "agent" => {
                    self.reader.complain(&span, format!("\"auth\": \"{word}:\" needs a value after the colon"));
                }
                (word, _) => {
                    let hint = did_you_mean(word, AUTH_WORDS.iter().copied());
                    let what = format!("\"auth\": not one of {}{hint}", AUTH_WORDS.join(", "));
                    self.reader.complain(&span, what);
                }
            }
        }
        Some(out)
    }

    fn driver(&mut self, value: &Value<'_>) -> Option<Driver> {
        let name = self.reader.string("driver", value)?;
        let Ok(driver) = name.parse::<Driver>() else {
            let words = ["native", "asyncos", "fortimail", "auto"];
            let hint = did_you_mean(&name, words);
            let what = format!("unknown driver \"{}\"{hint} (there are {})", short(&name), words.join(", "));
            self.reader.complain(&value.span(), what);
            return None;
        };
        match driver {
            Driver::Native => Some(driver),
            Driver::Asyncos | Driver::Fortimail | Driver::Auto => {
                self.reader
                    .complain(&value.span(), format!("driver \"{name}\": this build has only the native driver"));
                None
            }
        }
    }

    fn via(&mut self, value: &Value<'_>) -> Option<Via> {
        let text = self.reader.string("via", value)?;
        match Via::parse(&text) {
            Ok(via) => Some(via),
            Err(why) => {
                self.reader.complain(&value.span(), format!("\"via\": {why}"));
                None
            }
        }
    }

    fn dns(&mut self, value: &Value<'_>) -> Option<Vec<std::net::SocketAddr>> {
        let mut out = Vec::new();
        for (text, span) in self.reader.strings("dns", value)? {
            let address = text.parse().ok().or_else(|| Some((text.parse::<std::net::IpAddr>().ok()?, 53).into()));
            if let Some(a) = address {
                out.push(a);
            } else {
                let what = format!("\"dns\": \"{}\" is not an address like \"192.0.2.53:53\"", short(&text));
                self.reader.complain(&span, what);
            }
        }
        Some(out)
    }

    pub(super) fn path(&self, text: &str) -> PathBuf {
        super::load::expand(text, self.home, self.folder)
    }
}

pub(super) fn short(text: &str) -> String {
    crate::domain::text::clean(text, 60)
}

fn secret(key: &str) -> String {
    format!(
        "\"{}\": a secret does not belong into this file. Say where it is instead: auth = [\"agent\", \"key:FILE\", \
         \"password-command:COMMAND\", \"password-env:VARIABLE\", \"password-file:FILE\"]",
        short(key)
    )
}
