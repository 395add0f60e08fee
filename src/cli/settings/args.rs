//! The arguments of the commands about settings.

use clap::Args;

use super::want::{To, Want, Which};
use crate::cli::args::Acting;

/// Arguments of `settings`.
#[derive(Debug, Args)]
#[command(after_help = "MODE is cluster, group:NAME, machine:HOST, or the name of a group or machine. \
                        Without a MODE: every mode with what it defines.")]
pub struct Settings {
    /// Which mode: what it defines and what it inherits from where
    #[arg(value_name = "MODE")]
    pub mode: Option<String>,
    /// Only this feature
    #[arg(value_name = "FEATURE")]
    pub feature: Option<String>,
    /// Where FEATURE is defined
    #[arg(long, visible_alias = "show", value_name = "FEATURE", conflicts_with_all = ["mode", "history"])]
    pub defined: Option<String>,
    /// All versions that FEATURE at MODE ever had: who, when, where, and what was superseded
    #[arg(long, requires = "feature")]
    pub history: bool,
    /// Whose word: of this peer alone
    #[arg(long, value_name = "PEER")]
    pub on: Option<String>,
}

/// What every change of settings takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Committing {
    /// How.
    #[command(flatten)]
    pub acting: Acting,
    /// Which peer carries it out; one that is detached or cut off is changed by itself and merges later [default: any]
    #[arg(long, value_name = "PEER")]
    pub on: Option<String>,
    /// When somebody else changes the same meanwhile: take that as seen, and go on
    #[arg(long = "override")]
    pub over: bool,
}

/// Arguments of `set`.
#[derive(Debug, Args)]
pub struct Set {
    /// cluster, group:NAME, machine:HOST, or the name of a group or machine
    #[arg(value_name = "MODE")]
    pub mode: String,
    /// The configuration command, as smtproutes
    #[arg(value_name = "FEATURE")]
    pub feature: String,
    /// JSON; - reads standard input, @FILE a file. An empty table, list or text overrides with nothing
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: String,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `unset`.
#[derive(Debug, Args)]
pub struct Unset {
    /// cluster, group:NAME, machine:HOST, or the name of a group or machine
    #[arg(value_name = "MODE")]
    pub mode: String,
    /// The configuration command, as smtproutes
    #[arg(value_name = "FEATURE")]
    pub feature: String,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `copy` and `move`.
#[derive(Debug, Args)]
pub struct Transfer {
    /// The configuration command, as smtproutes
    #[arg(value_name = "FEATURE")]
    pub feature: String,
    /// The mode that defines it
    #[arg(long, value_name = "MODE")]
    pub from: String,
    /// The mode that shall
    #[arg(long, value_name = "MODE|all-groups")]
    pub to: String,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `edit`.
#[derive(Debug, Args)]
pub struct Edit {
    /// cluster, group:NAME, machine:HOST, or the name of a group or machine
    #[arg(value_name = "MODE")]
    pub mode: String,
    /// The configuration command, as smtproutes
    #[arg(value_name = "FEATURE")]
    pub feature: String,
    /// As TOML instead of JSON; for values that are tables
    #[arg(long)]
    pub toml: bool,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// TOML or JSON; - reads standard input. Tables named change, or a list of them, each with do = "set" (the default),
    /// unset, copy, move, setgroup, addgroup, renamegroup, deletegroup, removemachine, sethost or setname, and what
    /// belongs to it: mode, feature, value; from, to; peers, group; name; move-to; peer; host, address
    #[arg(value_name = "FILE")]
    pub file: String,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `setgroup`.
#[derive(Debug, Args)]
pub struct SetGroup {
    /// Full host name, first label if it is unique, or serial number; the last word is the group
    #[arg(value_name = "PEER", required = true, num_args = 1..)]
    pub peers: Vec<String>,
    /// Where they go
    #[arg(value_name = "GROUP", required = true)]
    pub group: String,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `addgroup` and `setname`.
#[derive(Debug, Args)]
pub struct Named {
    /// The new name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `renamegroup`.
#[derive(Debug, Args)]
pub struct RenameGroup {
    /// What it is called
    #[arg(value_name = "OLD")]
    pub old: String,
    /// What it shall be called
    #[arg(value_name = "NEW")]
    pub new: String,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `deletegroup`.
#[derive(Debug, Args)]
pub struct DeleteGroup {
    /// Which
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where its machines go; needed when it has some and there is more than one other group
    #[arg(long, value_name = "NAME")]
    pub move_to: Option<String>,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `removemachine`.
#[derive(Debug, Args)]
pub struct RemoveMachine {
    /// Full host name, first label if it is unique, or serial number
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `create`.
#[derive(Debug, Args)]
pub struct Create {
    /// What the cluster is called
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How; `--on` names the machine.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `sethost`.
#[derive(Debug, Args)]
pub struct SetHost {
    /// Which machine: full host name, first label if it is unique, or serial number
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// Its new main host name; DNS must know it on every machine
    #[arg(value_name = "HOST")]
    pub host: String,
    /// Where cluster traffic reaches it: a host name or an IP address [default: HOST; an IP address stays]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

/// Arguments of `resolve`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").args(["feature", "register", "all"]).required(true)))]
#[command(group(clap::ArgGroup::new("with").args(["use_", "ignore"]).required(true)))]
pub struct Resolve {
    /// cluster, group:NAME, machine:HOST, or the name of a group or machine
    #[arg(value_name = "MODE", requires = "feature", conflicts_with_all = ["register", "all"])]
    pub mode: Option<String>,
    /// The configuration command, as smtproutes
    #[arg(value_name = "FEATURE")]
    pub feature: Option<String>,
    /// A conflict about a group or machine, by the name that `check --json` gives it
    #[arg(long, value_name = "NAME")]
    pub register: Option<String>,
    /// All conflicts in which the peer has a word
    #[arg(long)]
    pub all: bool,
    /// The version that was written on this peer shall apply (`peerdeck check` shows who wrote what)
    #[arg(id = "use_", long = "use", value_name = "PEER")]
    pub with: Option<String>,
    /// Leave it as it is: the most recent version applies, and the conflict is shown on
    #[arg(long)]
    pub ignore: bool,
    /// How.
    #[command(flatten)]
    pub how: Committing,
}

impl Resolve {
    /// Which conflicts are meant.
    #[must_use]
    pub fn which(&self) -> Which {
        match (&self.mode, &self.feature, &self.register) {
            (Some(mode), Some(feature), _) => Which::Feature { mode: mode.clone(), feature: feature.clone() },
            (_, _, Some(register)) => Which::Register(register.clone()),
            _ => Which::All,
        }
    }
}

impl Transfer {
    /// As a copy.
    #[must_use]
    pub fn copy(self) -> (Want, Committing) {
        (Want::Copy { feature: self.feature, from: self.from, to: To::parse(&self.to) }, self.how)
    }

    /// As a move.
    #[must_use]
    pub fn shift(self) -> (Want, Committing) {
        (Want::Move { feature: self.feature, from: self.from, to: To::parse(&self.to) }, self.how)
    }
}
