//! The command line: one file per command, wired together here.

pub mod act;
pub mod alarms;
pub mod args;
pub mod audit;
pub mod bundle;
pub mod checks;
pub mod config;
mod confirm;
pub mod connect;
pub mod console;
pub mod diagnose;
mod dump;
pub mod events;
pub mod features;
pub mod follow;
pub mod generate;
pub mod guard;
pub mod ha;
mod ha_wish;
pub mod history;
pub mod lab;
mod looks;
mod man;
mod names;
pub mod once;
pub mod open;
pub mod output;
pub mod peer;
pub mod places;
mod process;
pub mod record;
pub mod reload;
pub mod replay;
mod screen;
pub mod serve;
mod service;
pub mod settings;
pub mod shell;
mod signals;
mod subjects;
mod submit;
pub mod trust;
pub mod wall;
pub mod watch;
mod ways;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use self::args::{Cli, Command, ConfigCommand, Global, LabCommand, SilenceCommand};
use self::settings::commit::Request;
use crate::config::{Choice, Fleet, Paths};
use crate::domain::ha::HaAct;

/// An exit code.
pub type Done = u8;

/// Checks and queries: no answer, usage and configuration errors too.
pub const UNKNOWN: Done = 3;
/// Actions: refused, nothing was changed.
pub const REFUSED: Done = 1;
/// Actions: failed.
pub const FAILED: Done = 2;
/// Actions: usage or configuration error, nothing was sent.
pub const USAGE: Done = 64;

/// The options and folders that every command gets.
pub struct Context {
    /// The options.
    pub global: Global,
    /// The folders.
    pub paths: Paths,
}

impl Context {
    /// What `--fleet` says.
    #[must_use]
    pub fn choice(&self) -> Choice {
        self.global.fleet.clone().unwrap_or(Choice::Default)
    }

    /// The fleet, cut down to `--cluster`.
    ///
    /// # Errors
    /// When there is none or it can't be used.
    pub fn fleet(&self) -> anyhow::Result<Fleet> {
        match self.fleet_if_any()? {
            Some(fleet) => Ok(fleet),
            None => anyhow::bail!(
                "there is no fleet: {} does not exist. Name one with --fleet FILE, NAME or user@host; \
                 `peerdeck config template` prints an example, `peerdeck lab` makes peers to try",
                self.paths.default_fleet().display()
            ),
        }
    }

    /// As [`Context::fleet`]; `None` when nothing was named and there is no default file.
    ///
    /// # Errors
    /// When a named one is missing or can't be used.
    pub fn fleet_if_any(&self) -> anyhow::Result<Option<Fleet>> {
        let Some(fleet) = self.choice().load(&self.paths)? else { return Ok(None) };
        match &self.global.cluster {
            Some(name) => Ok(Some(fleet.only(name).map_err(anyhow::Error::msg)?)),
            None => Ok(Some(fleet)),
        }
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(&std::env::args_os().collect::<Vec<_>>()))
}

/// Runs a command line.
#[must_use]
pub fn run(args: &[OsString]) -> Done {
    if args.len() == 2 && args[1] == guard::WORD {
        return guard::run().unwrap_or_else(|error| {
            eprintln!("peerdeck guard: {error:#}");
            UNKNOWN
        });
    }
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody may read it any more, and then there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { usage_code(args) } else { 0 };
        }
    };
    let code = if cli.command.as_ref().is_some_and(is_action) { USAGE } else { UNKNOWN };
    match dispatch(cli) {
        Ok(done) => done,
        Err(error) => {
            eprintln!("peerdeck: {error:#}");
            code
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Done> {
    let draws = match &cli.command {
        None | Some(Command::Console(_) | Command::Replay(_) | Command::Wall(_)) => true,
        Some(Command::Lab(lab)) => lab.command.is_none() && !lab.headless,
        Some(_) => false,
    };
    let serves = matches!(cli.command, Some(Command::Peer(_)));
    process::start_log(&cli.global, draws, serves)?;
    process::raise_file_limit();
    let context = Context { global: cli.global, paths: Paths::from_env()? };
    match cli.command {
        None => open::bare(&context),
        Some(Command::Console(args)) => open::console(&context, &args),
        Some(Command::Lab(args)) => match &args.command {
            Some(LabCommand::Fault(fault)) => lab::fault(&context, fault),
            None => lab::run(&context, &args),
        },
        Some(Command::Peer(args)) => peer::run(&args.config),
        Some(Command::Status(args)) => checks::status(&context, args.plugin),
        Some(Command::Connstatus(args)) => checks::connstatus(&context, args.plugin),
        Some(Command::List) => checks::list(&context),
        Some(Command::Settings(args)) => settings::query::settings(&context, &args),
        Some(Command::Check(args)) => settings::query::check(&context, args.plugin),
        Some(Command::Ha(args)) => ha::run(&context, &args),
        Some(Command::Commitdetail) => settings::query::commitdetail(&context),
        Some(Command::Diagnose(args)) => diagnose::run(&context, &args),
        Some(Command::Events(args)) => events::run(&context, args.follow),
        Some(Command::Trust(args)) => trust::run(&context, &args),
        Some(Command::Watch(args)) => watch::run(&context, &args),
        Some(Command::Record(args)) => record::run(&context, &args),
        Some(Command::Replay(args)) => replay::run(&context, &args),
        Some(Command::Bundle(args)) => bundle::run(&context, &args),
        Some(Command::Ack(args)) => alarms::ack(&context, &args),
        Some(Command::Silence(args)) => alarms::silence(&context, &args),
        Some(Command::Wall(args)) => wall::run(&context, &args),
        Some(Command::Disconnect(args)) => act::run(&context, &act::Request::disconnect(args)),
        Some(Command::Reconnect(args)) => act::run(&context, &act::Request::reconnect(args)),
        Some(Command::Maintenance(args)) => act::run(&context, &act::Request::maintenance(args.command)),
        Some(Command::Switchover(args)) => act::run(&context, &act::Request::switchover(args)),
        Some(Command::Failover(args)) => act::run(&context, &act::Request::on_group(HaAct::Failover, args)),
        Some(Command::Restore(args)) => act::run(&context, &act::Request::on_group(HaAct::Restore, args)),
        Some(Command::Sync(args)) => act::run(&context, &act::Request::on_group(HaAct::Sync, args)),
        Some(Command::Accept(args)) => act::run(&context, &act::Request::on_group(HaAct::Accept, args)),
        Some(Command::RestartHa(args)) => act::run(&context, &act::Request::restart_ha(args)),
        Some(Command::Set(args)) => settings::commit::run(&context, &Request::set(args)?),
        Some(Command::Unset(args)) => settings::commit::run(&context, &Request::unset(args)),
        Some(Command::Copy(args)) => settings::commit::run(&context, &Request::copy(args)),
        Some(Command::Move(args)) => settings::commit::run(&context, &Request::shift(args)),
        Some(Command::Edit(args)) => settings::commit::run(&context, &Request::edit(args)),
        Some(Command::Apply(args)) => settings::commit::run(&context, &Request::apply(args)?),
        Some(Command::Setgroup(args)) => settings::commit::run(&context, &Request::setgroup(args)),
        Some(Command::Addgroup(args)) => settings::commit::run(&context, &Request::addgroup(args)),
        Some(Command::Renamegroup(args)) => settings::commit::run(&context, &Request::renamegroup(args)),
        Some(Command::Deletegroup(args)) => settings::commit::run(&context, &Request::deletegroup(args)),
        Some(Command::Removemachine(args)) => settings::commit::run(&context, &Request::removemachine(args)),
        Some(Command::Create(args)) => settings::commit::run(&context, &Request::create(args)?),
        Some(Command::Sethost(args)) => settings::commit::run(&context, &Request::sethost(args)),
        Some(Command::Setname(args)) => settings::commit::run(&context, &Request::setname(args)),
        Some(Command::Resolve(args)) => settings::commit::run(&context, &Request::resolve(args)),
        Some(Command::Config(args)) => config::run(&context, &args.command),
        Some(Command::Generate(args)) => generate::run(&args.command),
    }
}

/// Whether a command changes something, and so has the exit codes of actions.
fn is_action(command: &Command) -> bool {
    match command {
        Command::Trust(_)
        | Command::Ack(_)
        | Command::Disconnect(_)
        | Command::Reconnect(_)
        | Command::Maintenance(_)
        | Command::Switchover(_)
        | Command::Failover(_)
        | Command::Restore(_)
        | Command::Sync(_)
        | Command::Accept(_)
        | Command::RestartHa(_)
        | Command::Set(_)
        | Command::Unset(_)
        | Command::Copy(_)
        | Command::Move(_)
        | Command::Edit(_)
        | Command::Apply(_)
        | Command::Setgroup(_)
        | Command::Addgroup(_)
        | Command::Renamegroup(_)
        | Command::Deletegroup(_)
        | Command::Removemachine(_)
        | Command::Create(_)
        | Command::Sethost(_)
        | Command::Setname(_)
        | Command::Resolve(_) => true,
        Command::Lab(lab) => lab.command.is_some(),
        Command::Silence(silence) => !matches!(silence.command, Some(SilenceCommand::List)),
        Command::Config(c) => match c.command {
            ConfigCommand::Check | ConfigCommand::Template(_) | ConfigCommand::Info => false,
        },
        Command::Console(_)
        | Command::Peer(_)
        | Command::Status(_)
        | Command::Connstatus(_)
        | Command::List
        | Command::Settings(_)
        | Command::Check(_)
        | Command::Ha(_)
        | Command::Commitdetail
        | Command::Diagnose(_)
        | Command::Events(_)
        | Command::Wall(_)
        | Command::Watch(_)
        | Command::Record(_)
        | Command::Replay(_)
        | Command::Bundle(_)
        | Command::Generate(_) => false,
    }
}

/// Commands that have the exit codes of actions, beside `lab fault`.
const ACTIONS: &[&str] = &[
    "trust",
    "ack",
    "silence",
    "disconnect",
    "reconnect",
    "maintenance",
    "switchover",
    "failover",
    "restore",
    "sync",
    "accept",
    "restart-ha",
    "set",
    "unset",
    "copy",
    "move",
    "edit",
    "apply",
    "setgroup",
    "addgroup",
    "renamegroup",
    "deletegroup",
    "removemachine",
    "create",
    "sethost",
    "setname",
    "resolve",
];

/// The code of a command line that can't be read: by the command that it seems to be.
fn usage_code(args: &[OsString]) -> Done {
    let words: Vec<&str> = args.iter().skip(1).filter_map(|a| a.to_str()).collect();
    let tree = command();
    let named = words.iter().find(|w| tree.find_subcommand(w).is_some());
    let acts = match named {
        Some(&"silence") => !words.contains(&"list"),
        Some(&name) if ACTIONS.contains(&name) => true,
        Some(&"lab") => words.contains(&"fault"),
        Some(_) | None => false,
    };
    if acts { USAGE } else { UNKNOWN }
}

/// Reads the command line. A first word with an `@` in it, where a command should stand, is a target of `console`.
///
/// # Errors
/// As clap says it, help and version too.
pub fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let error = match Cli::try_parse_from(args) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    if error.kind() != ErrorKind::InvalidSubcommand {
        return Err(error);
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return Err(error) };
    if !word.contains('@') {
        return Err(error);
    }
    // The word may stand there twice, as a value of --fleet too: the last one is the target.
    let Some(at) = args.iter().rposition(|a| a.to_str() == Some(word)) else { return Err(error) };
    let mut args = args.to_vec();
    args.insert(at, "console".into());
    Cli::try_parse_from(args)
}

/// The man page, in roff.
#[must_use]
pub fn man_page() -> String {
    man::page()
}

/// The command tree, for documentation and its tests.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}
