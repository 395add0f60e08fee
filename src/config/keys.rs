//! The keys of the fleet file, in one table: it makes the template, the suggestions and the checks.

/// Where a key may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// In `[defaults]`, in a `[[cluster]]` and in a `[[cluster.peer]]`: how one peer is connected to.
    Peer,
    /// In `[defaults]` and in a `[[cluster]]`: how a whole cluster is judged.
    Cluster,
    /// In a section of its own.
    Section,
}

/// A key that stands for a setting.
pub(super) struct Key {
    /// Its name.
    pub name: &'static str,
    /// Where it may stand.
    pub scope: Scope,
    /// A value, as TOML; the preset where there is one.
    pub example: &'static str,
    /// What it means.
    pub help: &'static str,
}

const fn peer(name: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { name, scope: Scope::Peer, example, help }
}

const fn own(name: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { name, scope: Scope::Section, example, help }
}

const fn cluster(name: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { name, scope: Scope::Cluster, example, help }
}

/// Every setting.
pub(super) const SETTINGS: &[Key] = &[
    peer("user", "\"admin\"", "Who logs in. Without it: ~/.ssh/config, else your own user name."),
    peer(
        "auth",
        "[\"agent\", \"key:~/.ssh/id_ed25519\", \"password-command:pass show mail/admin\"]",
        "Ways to log in, tried in this order: agent, key:FILE, password-command:COMMAND, password-env:VARIABLE, \
         password-file:FILE. Secrets never stand in this file. Without it: the agent, then the key files of ~/.ssh.",
    ),
    peer("driver", "\"native\"", "What speaks with the peer. This build has native only."),
    peer("port", "22", "Administration port. Without it: ~/.ssh/config, else 22."),
    peer("via", "\"bastion.example.com\"", "Jump host, as [user@]host[:port]. Without it: ProxyJump of ~/.ssh/config."),
    peer("dns", "[\"192.0.2.53:53\"]", "DNS servers that are asked instead of the system's."),
    peer(
        "known-hosts",
        "[\"~/.ssh/known_hosts\"]",
        "Files with host keys, beside peerdeck's own. Without it: ~/.ssh/known_hosts.",
    ),
    peer("interval", "\"1s\"", "How often a peer is asked to report. Without it: the peer's own interval."),
    cluster("lab", "false", "These are peers of a lab: the console says so all the time."),
    cluster("stale", "\"3s\"", "A fact that is older than this counts as unknown."),
    cluster("unreachable", "\"5s\"", "A peer that is not reached for this long counts as unreachable."),
    cluster("group-for", "\"2s\"", "A condition is a finding once it holds for this long."),
    cluster("recovery", "\"5s\"", "A finding is cleared once its condition is gone for this long."),
    cluster("detached-for", "\"1d\"", "A peer that is detached for longer is a finding."),
    cluster("clock-skew", "\"5s\"", "A peer whose clock is further off is a finding."),
    cluster("unknown-for", "\"30s\"", "A link that nobody has told of for longer is a finding."),
    cluster("flap-changes", "10", "So many changes of a link within ten minutes are flapping."),
    cluster("propagation", "\"30s\"", "A peer that lacks a commit which others have for longer is a finding."),
    cluster("machines", "20", "More machines than this in the cluster are a finding."),
    cluster("history-mib", "256", "A history of settings of so many MiB is a finding."),
];

/// Keys of `[alerts]`.
pub(super) const ALERTS: &[Key] = &[
    own("for", "\"0s\"", "A finding is told once it is there for this long, beside the group-for of its cluster."),
    own("recovery", "\"0s\"", "It is told as gone once it is gone for this long, beside the recovery of its cluster."),
    own("repeat", "\"4h\"", "What lasts and nobody has acknowledged is told again this often; \"0s\": never."),
    own("flap-high", "6", "So many comings and goings within flap-window are one alert that flaps."),
    own("flap-low", "2", "With no more than so many it flaps no longer."),
    own("flap-window", "\"10m\"", "Over which time they are counted."),
];

/// Keys of an `[[alerts.rule]]`. The first rule that fits and says something about a matter counts.
pub(super) const RULE: &[Key] = &[
    own("kind", "[\"link-down\", \"link-one-sided\"]", "Which findings; without it all."),
    own("cluster", "\"americas\"", "Of which cluster; without it of all."),
    own("severity", "\"warning\"", "How bad instead: notice, warning or critical."),
    own("for", "\"30s\"", "As in [alerts]."),
    own("recovery", "\"1m\"", "As in [alerts]."),
    own("repeat", "\"1d\"", "As in [alerts]."),
    own("ignore", "false", "Never told."),
];

/// Keys of `[watch]`.
pub(super) const WATCH: &[Key] = &[
    own("heartbeat", "\"1m\"", "How often the watch says that it lives."),
    own("listen", "\"127.0.0.1:9469\"", "Where /metrics and /healthz are served. Without it: nowhere."),
    own("name", "\"noc1\"", "The watcher's name in what it sends. Without it: the machine's."),
    own("rank", "0", "Among several watchers: one of a higher rank tells only what those below it have not told."),
    own("stagger", "\"15s\"", "How long each rank waits for the one before."),
    own("fellows", "[\"http://noc2:9469\"]", "Where the other watchers serve, lowest rank first."),
    own(
        "state",
        "\"/var/lib/peerdeck/watch.db\"",
        "What must survive a restart. Without it: in peerdeck's own folder.",
    ),
];

/// Keys that every `[[watch.sink]]` may have.
pub(super) const SINK: &[Key] = &[
    own("type", "\"file\"", "What it is: file, journald, syslog, webhook, alertmanager, mail or command."),
    own("name", "\"file\"", "Under which name its failures are told. Without it: its type."),
    own("least", "\"notice\"", "Nothing that is less bad goes there."),
    own("queue", "10000", "So many notices wait for it at most; beyond that the oldest are dropped, and counted."),
];

/// A type of `[[watch.sink]]`.
pub(super) struct SinkType {
    /// The word of `type`.
    pub word: &'static str,
    /// What it is.
    pub help: &'static str,
    /// Its own keys.
    pub keys: &'static [Key],
    /// Its secrets: `token` stands for `token-file`, `token-env` and `token-command`.
    pub secrets: &'static [&'static str],
}

/// How a secret is referred to: `token-file`, `token-env`, `token-command`.
pub(super) const SECRET_WAYS: &[&str] = &["file", "env", "command"];

const CA_FILE: Key = own(
    "ca-file",
    "\"/etc/ssl/certs/our-ca.pem\"",
    "Certificate authorities that are trusted instead of the system's, for TLS.",
);
const TOKEN: Key = own(
    "token-file",
    "\"~/.config/peerdeck/token\"",
    "File, for its owner only, with the bearer token; or token-env = VARIABLE, or token-command = COMMAND.",
);
const TIMEOUT: Key = own("timeout", "\"10s\"", "How long the other side may take.");

/// Every type of sink.
pub(super) const SINKS: &[SinkType] = &[
    SinkType {
        word: "file",
        help: "Lines into a file, on the disk before they count as told.",
        keys: &[
            own("path", "\"/var/log/peerdeck/alerts.log\"", "Where."),
            own("format", "\"json\"", "json or text."),
            own("max-mib", "16", "It is rotated before it becomes larger, to FILE.1, FILE.2 and so on."),
            own("keep", "5", "So many rotated files are kept."),
        ],
        secrets: &[],
    },
    SinkType {
        word: "journald",
        help: "The systemd journal, with fields: journalctl PEERDECK_KIND=peer-unreachable.",
        keys: &[own("socket", "\"/run/systemd/journal/socket\"", "Where the journal listens.")],
        secrets: &[],
    },
    SinkType {
        word: "syslog",
        help: "Syslog as in RFC 5424, with structured data [peerdeck@32473 ...]. No syslog confirms anything: over tcp and tls \
               what was written within 15 s before a connection broke is written again; over udp little is noticed.",
        keys: &[
            own(
                "server",
                "\"tls://logs.example.com:6514\"",
                "udp://, tcp:// or tls://, host and port; without a port 514, 601 or 6514.",
            ),
            own("facility", "\"local0\"", "kern to ftp, local0 to local7, by its word."),
            CA_FILE,
        ],
        secrets: &[],
    },
    SinkType {
        word: "webhook",
        help: "HTTP POST of each notice as JSON, with an Idempotency-Key; 2xx confirms. Redirects are not followed.",
        keys: &[
            own(
                "url",
                "\"https://hooks.example.com/peerdeck\"",
                "Where to. Is it itself a secret: url-file = FILE, url-env = VARIABLE or url-command = COMMAND instead.",
            ),
            own("batch", "1", "1: an object each. More: arrays of at most so many."),
            TOKEN,
            own(
                "hmac-file",
                "\"~/.config/peerdeck/hmac\"",
                "File with a key; the header X-Peerdeck-Signature is sha256=HMAC of the body then. Or hmac-env, hmac-command.",
            ),
            TIMEOUT,
            CA_FILE,
        ],
        secrets: &["url", "token", "hmac"],
    },
    SinkType {
        word: "alertmanager",
        help: "Alertmanager, API v2. PeerdeckWatchdog always fires there: be told when it does not.",
        keys: &[
            own(
                "urls",
                "[\"http://am1.example.com:9093\", \"http://am2.example.com:9093\"]",
                "All members of one cluster of Alertmanagers; one that takes it is enough, the others are told later.",
            ),
            TOKEN,
            TIMEOUT,
            CA_FILE,
        ],
        secrets: &["token"],
    },
    SinkType {
        word: "mail",
        help: "Mail by SMTP, a thread for each alert; several notices that wait are one message.",
        keys: &[
            own("server", "\"smtp.example.com:587\"", "Mail server; without a port by tls: 587, 465 or 25."),
            own("tls", "\"starttls\"", "starttls, tls (from the first byte) or none (then nobody logs in)."),
            own("from", "\"peerdeck <noc@example.com>\"", "Who sends."),
            own("to", "[\"oncall@example.com\"]", "Who gets it."),
            own("user", "\"noc\"", "Who logs in. Without it nobody does."),
            own(
                "password-file",
                "\"~/.config/peerdeck/smtp\"",
                "File, for its owner only, with the password; or password-env, password-command.",
            ),
            own("timeout", "\"1m\"", "How long a message may take."),
            CA_FILE,
        ],
        secrets: &["password"],
    },
    SinkType {
        word: "command",
        help: "A program for each notice: JSON on its standard input, PEERDECK_TRANSITION, PEERDECK_KIND and so on in \
               its environment. Code 0 confirms, 75 and signals are tried again, others so often as tries says.",
        keys: &[
            own("command", "[\"/usr/local/bin/page\", \"--team\", \"mail\"]", "Program and arguments; no shell."),
            own("timeout", "\"10s\"", "It is killed after so long, with all that it started."),
            own("tries", "5", "A notice is dropped once it failed so often with a code other than 0 and 75."),
        ],
        secrets: &[],
    },
];

/// Keys of `[record]`.
pub(super) const RECORD: &[Key] = &[
    own("on", "true", "Whether the picture is recorded, so that the console can look back (u)."),
    own("keep", "\"1d\"", "For how long it is kept."),
    own("size-mib", "256", "How much of it is kept at most, in MiB."),
];

/// Keys of a `[[cluster]]` beside the settings.
pub(super) const CLUSTER: &[&str] = &["name", "theme", "discover", "peer"];
/// Keys of a `[[cluster.peer]]` beside the settings.
pub(super) const PEER: &[&str] = &["host"];
/// Keys of the whole file.
pub(super) const TOP: &[&str] = &["defaults", "cluster", "alerts", "watch", "record"];
/// Words that people use for secrets; they get a message of their own.
pub(super) const SECRETS: &[&str] =
    &["password", "passwd", "passphrase", "pass", "secret", "token", "private-key", "auth-password"];
