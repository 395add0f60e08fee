//! What can go wrong in a lab: one table of kinds makes parsing, usage and help.

use std::time::Duration;

use strsim::damerau_levenshtein;
use strum::{EnumIter, EnumString, IntoStaticStr};

use super::dns::DnsFault;
use super::ha::{HaMembers, PORTS};
use super::net::Node;
use crate::daemon::disk::DiskFault;
use crate::domain::ha::Service;
use crate::domain::ids::{GroupName, HaName, HostName, PeerId};

/// A fault, or its end.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// Bytes between the two are held, datagrams dropped.
    Cut(Node, Node),
    /// The same for one direction.
    CutOneWay {
        /// What this one sends,
        from: Node,
        /// this one does not get.
        to: Node,
    },
    /// Cuts a part of the lab off.
    Isolate(Island),
    /// A cut that comes and goes.
    Flap(Node, Node, f64),
    /// Everything between the two comes late, in each direction.
    Slow(Node, Node, Duration),
    /// Datagrams between the two are lost with this probability (0 to 1), chunks of connections come late.
    Loss(Node, Node, f64),
    /// As SIGKILL.
    Kill(u16),
    /// As SIGSTOP.
    Freeze(u16),
    /// As SIGCONT.
    Thaw(u16),
    /// Stops and starts.
    Restart(u16),
    /// Starts one that was killed.
    Start(u16),
    /// Starts again with a host key that nobody knows.
    HostKey(u16),
    /// What DNS says of it.
    Dns(u16, DnsFault),
    /// DNS knows it by a further name, which then has the reverse record too.
    Alias(u16, HostName),
    /// Its wall clock is off by so many milliseconds.
    Skew(u16, i64),
    /// It speaks another level.
    Level(u16, u32),
    /// What its disk does with changes of settings, with the HA role and with the probe of the disk.
    Disk(u16, DiskFault),
    /// What happens to the heartbeats of a link of an HA group.
    Heartbeat(HaName, Links, BeatFault),
    /// Whether a mail service of it runs.
    Service(u16, Service, Switch),
    /// Whether a port of it, by its name, has a carrier.
    Interface(u16, &'static str, PortFault),
    /// Ends all of it.
    Heal,
}

/// A part of a lab that can be cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Island {
    /// One peer from all others; a console still reaches it.
    Peer(u16),
    /// One group from the others.
    Group(GroupName),
    /// Every console from all peers.
    Console,
}

/// Heartbeat links.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Links {
    /// The primary one.
    Primary,
    /// The secondary one.
    Secondary,
    /// All that the group has.
    Both,
}

/// What happens to heartbeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum BeatFault {
    /// All are lost.
    Off,
    /// Those of the configured primary are lost.
    OffOneWay,
    /// They arrive.
    On,
}

/// Whether something runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Switch {
    /// Not.
    Off,
    /// It does.
    On,
}

/// Whether a port has a carrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum PortFault {
    /// Not.
    Down,
    /// It has.
    Up,
}

/// The services of faults: as people and the vendor name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
enum ServiceWord {
    Smtp,
    Pop,
    Imap,
    Http,
}

impl From<ServiceWord> for Service {
    fn from(word: ServiceWord) -> Self {
        match word {
            ServiceWord::Smtp => Self::Smtp,
            ServiceWord::Pop => Self::Pop3,
            ServiceWord::Imap => Self::Imap,
            ServiceWord::Http => Self::Http,
        }
    }
}

/// One kind of fault, for usage and help.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The first word.
    pub word: &'static str,
    /// What follows it.
    pub args: &'static str,
    /// What it does.
    pub help: &'static str,
    parse: fn(&Reader<'_>) -> Result<Fault, FaultError>,
}

/// All kinds. `A` and `B` are peers, or `console` where a connection is meant.
pub const KINDS: &[Kind] = &[
    Kind {
        word: "cut",
        args: "A B",
        help: "hold everything between the two",
        parse: |r| r.pair().map(|(a, b)| Fault::Cut(a, b)),
    },
    Kind {
        word: "cut-one-way",
        args: "A B",
        help: "hold what A sends to B; the way back works",
        parse: |r| r.pair().map(|(from, to)| Fault::CutOneWay { from, to }),
    },
    Kind {
        word: "isolate",
        args: "A|group:G|console",
        help: "cut a peer from all peers, a group from the other groups, or the console from all peers",
        parse: |r| r.island().map(Fault::Isolate),
    },
    Kind {
        word: "flap",
        args: "A B HZ",
        help: "cut and mend so many times a second (0.01 to 50)",
        parse: |r| {
            let (a, b) = r.pair()?;
            Ok(Fault::Flap(a, b, r.number(2, "", 0.01, 50.0)?))
        },
    },
    Kind {
        word: "slow",
        args: "A B MS",
        help: "everything between the two comes late, each way (0 to 60000)",
        parse: |r| {
            let (a, b) = r.pair()?;
            Ok(Fault::Slow(a, b, Duration::from_secs_f64(r.number(2, "ms", 0.0, 60_000.0)? / 1000.0)))
        },
    },
    Kind {
        word: "loss",
        args: "A B PERCENT",
        help: "lose datagrams and delay connections, as a bad line does (0 to 100)",
        parse: |r| {
            let (a, b) = r.pair()?;
            Ok(Fault::Loss(a, b, r.number(2, "%", 0.0, 100.0)? / 100.0))
        },
    },
    Kind {
        word: "kill",
        args: "A",
        help: "end the peer at once: its sockets close, dials are refused",
        parse: |r| r.peer(0).map(Fault::Kill),
    },
    Kind {
        word: "freeze",
        args: "A",
        help: "stop the peer where it stands: its kernel accepts, nobody speaks",
        parse: |r| r.peer(0).map(Fault::Freeze),
    },
    Kind { word: "thaw", args: "A", help: "let a frozen peer go on", parse: |r| r.peer(0).map(Fault::Thaw) },
    Kind { word: "restart", args: "A", help: "stop and start the peer", parse: |r| r.peer(0).map(Fault::Restart) },
    Kind { word: "start", args: "A", help: "start a killed peer", parse: |r| r.peer(0).map(Fault::Start) },
    Kind {
        word: "hostkey",
        args: "A",
        help: "restart the peer with a new host key that nobody knows",
        parse: |r| r.peer(0).map(Fault::HostKey),
    },
    Kind {
        word: "dns",
        args: "A nxdomain|wrong|timeout|ok",
        help: "what DNS says of the peer, forward and reverse",
        parse: |r| Ok(Fault::Dns(r.peer(0)?, r.word(1, "DNS answer")?)),
    },
    Kind {
        word: "alias",
        args: "A NAME",
        help: "DNS knows the peer by NAME too, such as one that it will get (until the lab ends)",
        parse: |r| Ok(Fault::Alias(r.peer(0)?, r.host_name(1)?)),
    },
    Kind {
        word: "skew",
        args: "A SECONDS",
        help: "set the peer's wall clock wrong (0: right again)",
        parse: |r| {
            let seconds = r.number(1, "s", -1e9, 1e9)?;
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            let ms = (seconds * 1000.0) as i64;
            Ok(Fault::Skew(r.peer(0)?, ms))
        },
    },
    Kind {
        word: "level",
        args: "A N",
        help: "the peer speaks another level (1 to 1000)",
        parse: |r| Ok(Fault::Level(r.peer(0)?, r.level(1)?)),
    },
    Kind {
        word: "disk",
        args: "A readonly|full|ok",
        help: "the peer's disk takes neither settings nor HA roles, or takes them again",
        parse: |r| Ok(Fault::Disk(r.peer(0)?, r.word(1, "disk fault")?)),
    },
    Kind {
        word: "heartbeat",
        args: "GROUP primary|secondary|both off|off-one-way|on",
        help: "lose the heartbeats of an HA group's link, or only those of its configured primary (lab --ha)",
        parse: |r| Ok(Fault::Heartbeat(r.ha_group(0)?, r.word(1, "heartbeat link")?, r.word(2, "heartbeat fault")?)),
    },
    Kind {
        word: "service",
        args: "A smtp|pop|imap|http off|on",
        help: "stop a mail service of the peer, or start it again (lab --ha)",
        parse: |r| {
            let service: ServiceWord = r.word(1, "service")?;
            Ok(Fault::Service(r.peer(0)?, service.into(), r.word(2, "state of a service")?))
        },
    },
    Kind {
        word: "interface",
        args: "A port1|port2|port3 down|up",
        help: "port1 and port2 carry heartbeats, port3 mail and the virtual address (lab --ha)",
        parse: |r| Ok(Fault::Interface(r.peer(0)?, r.port(1)?, r.word(2, "state of a port")?)),
    },
    Kind {
        word: "heal",
        args: "",
        help: "end all faults: network, DNS, clocks, keys, levels, disks, services; thaw and start all peers",
        parse: |_| Ok(Fault::Heal),
    },
];

/// Who can be meant.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// In the order of their numbers.
    pub peers: Vec<Named>,
    /// All groups.
    pub groups: Vec<GroupName>,
    /// All HA groups.
    pub ha: Vec<HaMembers>,
}

/// A peer and what it is called.
#[derive(Clone, Debug)]
pub struct Named {
    /// Main host name.
    pub host: HostName,
    /// Serial number.
    pub id: PeerId,
    /// Its group.
    pub group: GroupName,
}

/// Why words are no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No such kind.
    #[error("there is no fault \"{word}\"{}; there are: {}", did_you_mean(.nearest.as_deref()), words())]
    Kind {
        /// As given.
        word: String,
        /// The kind that was probably meant.
        nearest: Option<String>,
    },
    /// Nobody of that name.
    #[error("there is no {what} \"{word}\"{}; usage: {usage}", did_you_mean(.nearest.as_deref()))]
    Name {
        /// Peer, group, port, or one of a few words.
        what: &'static str,
        /// As given.
        word: String,
        /// The name that was probably meant.
        nearest: Option<String>,
        /// How it is written.
        usage: String,
    },
    /// Too few or too many words, or a number that is none.
    #[error("{why}; usage: {usage}")]
    Usage {
        /// What is wrong.
        why: String,
        /// How it is written.
        usage: String,
    },
}

impl Kind {
    /// `cut A B`.
    #[must_use]
    pub fn usage(&self) -> String {
        format!("{} {}", self.word, self.args).trim_end().to_owned()
    }
}

impl Fault {
    /// Reads the words of a command line; peers are named by host name, first label or serial number.
    ///
    /// # Errors
    /// [`FaultError`], with the nearest known word and the usage.
    pub fn parse(words: &[String], roster: &Roster) -> Result<Self, FaultError> {
        let word = words.first().map_or("", String::as_str);
        let Some(kind) = KINDS.iter().find(|k| k.word == word) else {
            let nearest = nearest(word, KINDS.iter().map(|k| k.word));
            return Err(FaultError::Kind { word: word.to_owned(), nearest });
        };
        let reader = Reader { kind, args: &words[1..], roster };
        let wanted = kind.args.split_whitespace().count();
        if reader.args.len() != wanted {
            let why = format!("{word} takes {wanted} words, {} were given", reader.args.len());
            return Err(reader.usage(why));
        }
        (kind.parse)(&reader)
    }
}

/// All kinds, a line each, without a line end after the last.
#[must_use]
pub fn help() -> String {
    let width = KINDS.iter().map(|k| k.usage().len()).max().unwrap_or(0);
    KINDS.iter().map(|k| format!("  {:width$}  {}", k.usage(), k.help)).collect::<Vec<_>>().join("\n")
}

struct Reader<'a> {
    kind: &'a Kind,
    args: &'a [String],
    roster: &'a Roster,
}

impl Reader<'_> {
    fn usage(&self, why: String) -> FaultError {
        FaultError::Usage { why, usage: self.kind.usage() }
    }

    fn unknown<'b>(&self, what: &'static str, word: &str, known: impl Iterator<Item = &'b str>) -> FaultError {
        let nearest = nearest(word, known);
        FaultError::Name { what, word: word.to_owned(), nearest, usage: self.kind.usage() }
    }

    fn peer(&self, at: usize) -> Result<u16, FaultError> {
        let word = self.args[at].as_str();
        let is_named = |n: &Named| n.host.as_str() == word || n.host.short() == word || n.id.as_str() == word;
        let position = self.roster.peers.iter().position(is_named).and_then(|i| u16::try_from(i).ok());
        position.ok_or_else(|| self.unknown("peer", word, self.labels()))
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        self.roster.peers.iter().map(|n| n.host.short())
    }

    fn node(&self, at: usize) -> Result<Node, FaultError> {
        if self.args[at] == "console" { Ok(Node::Console) } else { self.peer(at).map(Node::Peer) }
    }

    fn pair(&self) -> Result<(Node, Node), FaultError> {
        let (a, b) = (self.node(0)?, self.node(1)?);
        if a == b { Err(self.usage(format!("{} is named twice", self.args[0]))) } else { Ok((a, b)) }
    }

    fn island(&self) -> Result<Island, FaultError> {
        let word = self.args[0].as_str();
        if word == "console" {
            return Ok(Island::Console);
        }
        let Some(name) = word.strip_prefix("group:") else { return self.peer(0).map(Island::Peer) };
        let group = self.roster.groups.iter().find(|g| g.as_str() == name).cloned();
        group.map(Island::Group).ok_or_else(|| {
            let known = self.roster.groups.iter().map(GroupName::as_str);
            self.unknown("group", name, known)
        })
    }

    fn ha_group(&self, at: usize) -> Result<HaName, FaultError> {
        let word = self.args[at].as_str();
        if self.roster.ha.is_empty() {
            return Err(self.usage("this lab has no HA groups: start one with `lab --ha`".to_owned()));
        }
        let names = || self.roster.ha.iter().map(|g| &g.name);
        let group = names().find(|n| n.as_str() == word).cloned();
        group.ok_or_else(|| self.unknown("HA group", word, names().map(HaName::as_str)))
    }

    fn port(&self, at: usize) -> Result<&'static str, FaultError> {
        let word = self.args[at].as_str();
        PORTS.into_iter().find(|p| *p == word).ok_or_else(|| self.unknown("port", word, PORTS.into_iter()))
    }

    fn number(&self, at: usize, unit: &str, least: f64, most: f64) -> Result<f64, FaultError> {
        let word = self.args[at].as_str();
        let number = word.strip_suffix(unit).unwrap_or(word).parse::<f64>().ok();
        number
            .filter(|n| (least..=most).contains(n))
            .ok_or_else(|| self.usage(format!("\"{word}\" is not a number from {least} to {most}")))
    }

    fn level(&self, at: usize) -> Result<u32, FaultError> {
        let word = self.args[at].as_str();
        let level = word.parse().ok().filter(|n| (1..=1000).contains(n));
        level.ok_or_else(|| self.usage(format!("\"{word}\" is not a level from 1 to 1000")))
    }

    /// A name in the domain of the lab that nobody has.
    fn host_name(&self, at: usize) -> Result<HostName, FaultError> {
        let word = self.args[at].to_ascii_lowercase();
        let name = HostName::new(&word);
        let is_label = |l: &str| !l.is_empty() && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let fits = word.strip_suffix(".example.com").is_some_and(is_label) && name.as_str() == word;
        if !fits {
            return Err(self.usage(format!("\"{name}\" is not a name like mx1.example.com")));
        }
        if self.roster.peers.iter().any(|p| p.host == name) {
            return Err(self.usage(format!("{name} is a peer of the lab")));
        }
        Ok(name)
    }

    /// One of the words that a list knows.
    fn word<T>(&self, at: usize, what: &'static str) -> Result<T, FaultError>
    where
        T: std::str::FromStr + strum::IntoEnumIterator + Into<&'static str>,
    {
        let word = self.args[at].as_str();
        word.parse().map_err(|_| self.unknown(what, word, T::iter().map(Into::into)))
    }
}

/// The known word that was probably meant.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let far = |k: &str| damerau_levenshtein(word, k);
    let limit = (word.chars().count() / 2).max(1);
    known.filter(|k| far(k) <= limit).min_by_key(|k| far(k)).map(str::to_owned)
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |n| format!(", did you mean \"{n}\"?"))
}

fn words() -> String {
    KINDS.iter().map(|k| k.word).collect::<Vec<_>>().join(", ")
}
