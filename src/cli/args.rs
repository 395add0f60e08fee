//! The command line as types.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::settings::args as settings;
use crate::config::{Choice, Via, span};
use crate::domain::command::REASON_MAX;

/// See and steer every peer of a cluster of mail gateways at once.
#[derive(Debug, Parser)]
#[command(
    name = "peerdeck",
    bin_name = "peerdeck",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Without a command: the console; without any fleet file on a terminal: the lab. \
                  A first argument with an @ in it is a peer to connect to, as in `peerdeck admin@lab1.example.com`."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options that stand before or after every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Which fleet: a file, a NAME of ~/.config/peerdeck/NAME.toml, or one peer that tells its fellows
    #[arg(long, global = true, value_name = "FILE|NAME|user@host", value_parser = Choice::parse)]
    pub fleet: Option<Choice>,
    /// Only this cluster of the fleet
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Print one JSON document, or JSON lines
    #[arg(long, global = true)]
    pub json: bool,
    /// How long to wait for answers; what is missing then is unknown
    #[arg(long, global = true, value_name = "TIME", value_parser = span::parse, default_value = "8s")]
    pub timeout: Duration,
    /// Colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Language of texts
    #[arg(long, global = true, value_name = "LANG", default_value = "en")]
    pub lang: Lang,
    /// More detail in tables and log; twice and three times for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Write the log there instead of to standard error
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Languages of this build.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Lang {
    /// English.
    En,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The console: who sees whom, live
    Console(Console),
    /// Real peers on loopback, and the console on them
    Lab(Lab),
    /// The peer daemon
    Peer(Peer),
    /// Check: is anything wrong? (exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)
    Status(Check),
    /// Check: who sees whom? (exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)
    Connstatus(Check),
    /// Clusters, groups and machines
    List,
    /// What is defined at which mode, and what applies where
    Settings(settings::Settings),
    /// Check: do all peers hold one version of every setting? (exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)
    Check(Check),
    /// Check: HA groups, roles, heartbeats, addresses (exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)
    Ha(HaArgs),
    /// Who has the newest commit already, peer by peer
    Commitdetail,
    /// Step by step: where does a connection fail?
    Diagnose(Diagnose),
    /// What happened
    Events(Events),
    /// Pin the host key of a machine after a look at its fingerprint
    Trust(Trust),
    /// The picture for the wall of a control room: nobody can act there, and trouble fills the screen
    Wall(Wall),
    /// Findings as they come and go, without a terminal
    Watch(Watch),
    /// Record what is seen into a file, until interrupted
    Record(Record),
    /// The console on a recording or a bundle, at any moment of it
    Replay(Replay),
    /// Put what was recorded lately into one signed file, for others to replay
    Bundle(Bundle),
    /// Action: say that you look after a finding; until it is over it is not told again
    #[command(after_help = ALARM_CODES)]
    Ack(Ack),
    /// Action: let alerts that fit not be told for a while
    #[command(after_help = ALARM_CODES)]
    Silence(Silence),
    /// Action: detach machines from their cluster on purpose
    #[command(after_help = ACTION_CODES)]
    Disconnect(OnPeers),
    /// Action: bring detached machines back into their cluster
    #[command(after_help = ACTION_CODES)]
    Reconnect(OnPeers),
    /// Action: announce that machines are worked on, or that the work is done
    #[command(after_help = ACTION_CODES)]
    Maintenance(MaintenanceArgs),
    /// Action: define a feature at a mode; an empty value overrides with nothing
    #[command(after_help = ACTION_CODES)]
    Set(settings::Set),
    /// Action: let a mode inherit a feature again
    #[command(after_help = ACTION_CODES)]
    Unset(settings::Unset),
    /// Action: define a feature elsewhere as one mode defines it
    #[command(after_help = ACTION_CODES)]
    Copy(settings::Transfer),
    /// Action: define a feature elsewhere, and inherit it where it was
    #[command(after_help = ACTION_CODES)]
    Move(settings::Transfer),
    /// Action: change a feature at a mode in your own editor ($VISUAL, $EDITOR)
    #[command(after_help = ACTION_CODES)]
    Edit(settings::Edit),
    /// Action: many changes out of a file as one commit
    #[command(after_help = ACTION_CODES)]
    Apply(settings::Apply),
    /// Action: put machines into a group
    #[command(after_help = ACTION_CODES)]
    Setgroup(settings::SetGroup),
    /// Action: make a group
    #[command(after_help = ACTION_CODES)]
    Addgroup(settings::Named),
    /// Action: give a group another name
    #[command(after_help = ACTION_CODES)]
    Renamegroup(settings::RenameGroup),
    /// Action: take a group away; its machines move
    #[command(after_help = ACTION_CODES)]
    Deletegroup(settings::DeleteGroup),
    /// Action: end a membership; what the machine inherits becomes its own
    #[command(after_help = ACTION_CODES)]
    Removemachine(settings::RemoveMachine),
    /// Action: make a cluster of a machine that is in none
    #[command(after_help = ACTION_CODES)]
    Create(settings::Create),
    /// Action: another main host name for a machine, on every peer
    #[command(after_help = ACTION_CODES)]
    Sethost(settings::SetHost),
    /// Action: rename the cluster
    #[command(after_help = ACTION_CODES)]
    Setname(settings::Named),
    /// Action: settle conflicts with the word of one peer, or leave them on purpose
    #[command(after_help = ACTION_CODES)]
    Resolve(settings::Resolve),
    /// Action: the primary of an HA group hands its role and address to the other unit, without loss
    #[command(after_help = ACTION_CODES)]
    Switchover(Switchover),
    /// Action: the secondary of an HA group becomes primary by force; mail may be lost
    #[command(after_help = ACTION_CODES)]
    Failover(OnHaGroup),
    /// Action: the units of an HA group take their configured roles again; of a swapped pair one is asked, the other follows
    #[command(after_help = ACTION_CODES)]
    Restore(OnHaGroup),
    /// Action: bring the primary's configuration to the other units of an HA group now
    #[command(after_help = ACTION_CODES)]
    Sync(OnHaGroup),
    /// Action: a takeover was looked at: its quiet period ends
    #[command(after_help = ACTION_CODES)]
    Accept(OnHaGroup),
    /// Action: start HA again on a unit that a monitor stopped
    #[command(after_help = ACTION_CODES)]
    RestartHa(RestartHa),
    /// Check and explain the fleet file
    Config(ConfigArgs),
    /// Man page and completions of this very program
    Generate(GenerateArgs),
}

/// What every action ends with.
const ACTION_CODES: &str = "Exit code: 0 done and observed, 1 refused, nothing was changed, 2 failed or done in part, \
                            3 outcome unknown, 64 usage or configuration error, nothing was sent. \
                            With --dry-run: 0 would run, 1 would be refused.";

/// What `ack` and `silence` end with.
const ALARM_CODES: &str = "Kept in the state of the watch on this machine; a watch that runs heeds it within a second. \
                           Exit code: 0 done, 1 refused, nothing was changed, 64 usage or configuration error.";

/// Arguments of `console`.
#[derive(Debug, Args)]
pub struct Console {
    /// One peer, which is asked for its fellows
    #[arg(value_name = "user@host[:port]", value_parser = Via::parse)]
    pub target: Option<Via>,
    /// Look only: no command can be sent
    #[arg(long)]
    pub read_only: bool,
    /// Keep the target as ~/.config/peerdeck/NAME.toml
    #[arg(long, value_name = "NAME", requires = "target")]
    pub save: Option<String>,
    /// How the terminal is used.
    #[command(flatten)]
    pub screen: Screen,
}

/// How a console uses the terminal.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Terminal")]
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with each other")]
pub struct Screen {
    /// Signs and text in ASCII only, whatever the terminal says
    #[arg(long, conflicts_with = "unicode")]
    pub ascii: bool,
    /// Unicode signs, without asking the terminal how wide it draws them
    #[arg(long)]
    pub unicode: bool,
    /// Clicks and the wheel from the start (M switches them)
    #[arg(long)]
    pub mouse: bool,
    /// Leave the window's title alone
    #[arg(long)]
    pub no_title: bool,
    /// No bell on new critical findings (B switches it)
    #[arg(long)]
    pub no_bell: bool,
}

/// Arguments of `lab`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Lab {
    /// What to do to a running lab.
    #[command(subcommand)]
    pub command: Option<LabCommand>,
    /// How many peers
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub peers: u16,
    /// No console: print one JSON line when all links are up, run until signalled
    #[arg(long)]
    pub headless: bool,
    /// Where the peers keep their state
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Seed of all that is random in the network and the peers
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How often peers ping each other [default: 1s, longer with more than 44 peers]
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    pub ping_interval: Option<Duration>,
    /// High availability.
    #[command(flatten)]
    pub ha: super::lab::HaArgs,
    /// How the terminal is used.
    #[command(flatten)]
    pub screen: Screen,
}

/// Commands to a running lab.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Put a fault into a running lab, or heal all
    Fault(Fault),
}

/// Arguments of `lab fault`.
#[derive(Debug, Args)]
#[command(after_help = crate::lab::fault::help())]
pub struct Fault {
    /// The state directory of the lab
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The fault and what it takes
    #[arg(value_name = "KIND ARGS", required = true, num_args = 1.., allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// Arguments of `peer`.
#[derive(Debug, Args)]
pub struct Peer {
    /// Its peer.toml
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Arguments of the checks.
#[derive(Debug, Args)]
pub struct Check {
    /// One line with performance data, for monitoring systems
    #[arg(long, conflicts_with = "json")]
    pub plugin: bool,
}

/// Arguments of `ha`.
#[derive(Debug, Args)]
pub struct HaArgs {
    /// Only this HA group
    #[arg(value_name = "GROUP")]
    pub group: Option<String>,
    /// One line with performance data, for monitoring systems
    #[arg(long, conflicts_with_all = ["json", "what_if"])]
    pub plugin: bool,
    /// Out of what is recorded: how many takeovers there would have been with other loss thresholds
    #[arg(long)]
    pub what_if: bool,
    /// From when on, as with `replay --at` [default: all that is kept]
    #[arg(long, value_name = "WHEN", requires = "what_if")]
    pub since: Option<String>,
}

/// Arguments of `switchover`.
#[derive(Debug, Args)]
pub struct Switchover {
    /// The HA group
    #[arg(value_name = "GROUP")]
    pub group: String,
    /// Only if this unit is the one that becomes primary
    #[arg(long, value_name = "PEER")]
    pub to: Option<String>,
    /// How.
    #[command(flatten)]
    pub acting: Acting,
}

/// Arguments of actions on an HA group.
#[derive(Debug, Args)]
pub struct OnHaGroup {
    /// The HA group
    #[arg(value_name = "GROUP")]
    pub group: String,
    /// How.
    #[command(flatten)]
    pub acting: Acting,
}

/// Arguments of `restart-ha`.
#[derive(Debug, Args)]
pub struct RestartHa {
    /// Full host name, first label if it is unique, or serial number
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// How.
    #[command(flatten)]
    pub acting: Acting,
}

/// Arguments of `diagnose`.
#[derive(Debug, Args)]
pub struct Diagnose {
    /// Full host name, first label if it is unique, or serial number
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// With it: what PEER says about this one
    #[arg(value_name = "OTHER")]
    pub other: Option<String>,
}

/// Arguments of `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Go on until interrupted
    #[arg(short, long)]
    pub follow: bool,
}

/// Arguments of `trust`.
#[derive(Debug, Args)]
pub struct Trust {
    /// The machine
    #[arg(value_name = "[user@]host[:port]", value_parser = Via::parse)]
    pub host: Via,
    /// Don't ask. Only when the fingerprint was compared by other means
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `wall`.
#[derive(Debug, Args)]
pub struct Wall {
    /// One peer, which is asked for its fellows
    #[arg(value_name = "user@host[:port]", value_parser = Via::parse)]
    pub target: Option<Via>,
    /// How long each page stands while nothing is wrong; 0s keeps the first
    #[arg(long, value_name = "TIME", value_parser = rotate, default_value = "20s")]
    pub rotate: Duration,
    /// Times as UTC
    #[arg(long)]
    pub utc: bool,
    /// Signs and text in ASCII only, whatever the terminal says
    #[arg(long, conflicts_with = "unicode")]
    pub ascii: bool,
    /// Unicode signs, without asking the terminal how wide it draws them
    #[arg(long)]
    pub unicode: bool,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// One look, and end with the exit code of a check: prints the findings of now; with --state tells, everywhere,
    /// what is new since the last time
    #[arg(long)]
    pub once: bool,
    /// What must survive a restart: what was told, silences, what waits for whom [default: "state" of the fleet file,
    /// else in peerdeck's own folder]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// How often to give a sign of life [default: "heartbeat" of the fleet file, else 1m]
    #[arg(long, value_name = "TIME", value_parser = heartbeat)]
    pub heartbeat: Option<Duration>,
}

/// Arguments of `record`.
#[derive(Debug, Args)]
pub struct Record {
    /// The recording; it must not be there yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// End by itself after this time
    #[arg(long = "for", value_name = "TIME", value_parser = span::parse)]
    pub lasting: Option<Duration>,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// A recording, a bundle, or the folder of a ring
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The moment, in local time: 14:03, 14:03:22, 2026-03-14 14:03, or 2026-03-14T14:03:22Z [default: the end]
    #[arg(long, value_name = "WHEN")]
    pub at: Option<String>,
    /// Only a bundle that is signed by the key with this fingerprint (SHA256:...)
    #[arg(long, value_name = "FINGERPRINT")]
    pub signer: Option<String>,
    /// How the terminal is used.
    #[command(flatten)]
    pub screen: Screen,
}

/// Arguments of `bundle`.
#[derive(Debug, Args)]
pub struct Bundle {
    /// The bundle; it must not be there yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// From when, as with `replay --at` [default: all that is kept]
    #[arg(long, value_name = "WHEN", conflicts_with = "last")]
    pub from: Option<String>,
    /// Until when [default: the newest]
    #[arg(long, value_name = "WHEN", conflicts_with = "last")]
    pub until: Option<String>,
    /// So much of the end
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    pub last: Option<Duration>,
    /// What it is about, for whoever opens it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub note: String,
}

/// Arguments of `ack`.
#[derive(Debug, Args)]
pub struct Ack {
    /// Its id, as `watch --json` and `status --json` print it
    #[arg(value_name = "FINDING")]
    pub finding: String,
    /// What is being done: stands beside the alert
    #[arg(short = 'm', long, value_name = "TEXT", value_parser = reason, default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Nobody looks after it any more
    #[arg(long)]
    pub off: bool,
    /// The state of the watch [default: as that of `watch`]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// Arguments of `silence`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(group = clap::ArgGroup::new("what").args(["finding", "kind", "host"]).required(true).multiple(true))]
pub struct Silence {
    /// What to do with the silences that there are.
    #[command(subcommand)]
    pub command: Option<SilenceCommand>,
    /// The id of one finding, as `watch --json` and `status --json` print it
    #[arg(value_name = "FINDING")]
    pub finding: Option<String>,
    /// Findings of this kind, with --cluster only of that cluster
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Findings about this host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// When it ends by itself; at most 30 days
    #[arg(long = "for", value_name = "TIME", value_parser = span::parse, required = true)]
    pub lasting: Option<Duration>,
    /// Why: stands beside the silence
    #[arg(short = 'm', long, value_name = "REASON", value_parser = reason, required = true)]
    pub reason: Option<String>,
    /// The state of the watch [default: as that of `watch`]
    #[arg(long, value_name = "FILE", global = true)]
    pub state: Option<PathBuf>,
}

/// Commands to silences.
#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    /// Those that hold, and those that have ended lately
    List,
    /// Action: end one now
    #[command(after_help = ALARM_CODES)]
    End {
        /// Its number, as `silence list` prints it
        #[arg(value_name = "ID")]
        id: u64,
    },
}

/// What every action takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Acting {
    /// Why: told to the peer, kept in the audit log, and in maintenance shown to everybody
    #[arg(short = 'm', long, value_name = "TEXT", value_parser = reason, default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Only show the plan: evidence, effects, what stands against it, and its basis
    #[arg(long)]
    pub dry_run: bool,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `disconnect` and `reconnect`.
#[derive(Debug, Args)]
pub struct OnPeers {
    /// Full host name, first label if it is unique, or serial number
    #[arg(value_name = "PEER", required = true, num_args = 1..)]
    pub peers: Vec<String>,
    /// How.
    #[command(flatten)]
    pub acting: Acting,
}

/// Arguments of `maintenance`.
#[derive(Debug, Args)]
pub struct MaintenanceArgs {
    /// On or off.
    #[command(subcommand)]
    pub command: MaintenanceCommand,
}

/// On or off.
#[derive(Debug, Subcommand)]
pub enum MaintenanceCommand {
    /// Action: announce that machines are worked on: alerts about them are held back, automatic failover is not
    #[command(after_help = ACTION_CODES)]
    On {
        /// A peer, group:NAME, or cluster for all its machines
        #[arg(value_name = "SUBJECT", required = true, num_args = 1..)]
        subjects: Vec<String>,
        /// When it ends by itself; at most 30 days
        #[arg(long = "for", value_name = "TIME", value_parser = span::parse)]
        lasting: Duration,
        /// How.
        #[command(flatten)]
        acting: Acting,
    },
    /// Action: the work is done; alerts are raised again
    #[command(after_help = ACTION_CODES)]
    Off {
        /// A peer; group:NAME or cluster for those of its machines that are in maintenance
        #[arg(value_name = "SUBJECT", required = true, num_args = 1..)]
        subjects: Vec<String>,
        /// How.
        #[command(flatten)]
        acting: Acting,
    },
}

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to print.
    #[command(subcommand)]
    pub command: GenerateCommand,
}

/// What can be printed.
#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Print the man page
    Man,
    /// Print the completions of a shell
    Completions {
        /// Which
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Commands about files.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read fleet file, keymap, themes and features of the site, and report everything that is wrong with them
    Check,
    /// Print a commented fleet file, or keymap
    Template(Template),
    /// Print every path, every value, and where it comes from
    Info,
}

/// Arguments of `config template`.
#[derive(Debug, Args)]
pub struct Template {
    /// The keymap, with every action, instead of the fleet file
    #[arg(long)]
    pub keys: bool,
}

fn rotate(text: &str) -> Result<Duration, String> {
    match span::parse(text)? {
        span if !span.is_zero() && span < Duration::from_secs(1) => Err("at least 1s, or 0s".into()),
        span => Ok(span),
    }
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    match span::parse(text)? {
        span if span < Duration::from_millis(100) => Err("at least 100ms".into()),
        span => Ok(span),
    }
}

fn reason(text: &str) -> Result<String, String> {
    let clean = crate::domain::text::clean(text, usize::MAX);
    match clean.chars().count() {
        0..=REASON_MAX => Ok(clean),
        n => Err(format!("a reason has at most {REASON_MAX} characters, not {n}")),
    }
}
