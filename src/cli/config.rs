//! `config check`, `config template`, `config info`.

use std::fmt::Write;

use super::args::ConfigCommand;
use super::audit::Audit;
use super::output::emit;
use super::{Context, Done, UNKNOWN};
use crate::config::load::names;
use crate::config::settings::Set;
use crate::config::span;
use crate::config::{Choice, Settings, template};

/// Runs the command.
///
/// # Errors
/// When nothing can be printed, or there is no home folder.
pub fn run(context: &Context, command: &ConfigCommand) -> anyhow::Result<Done> {
    match command {
        ConfigCommand::Template => {
            emit(&template::template())?;
            Ok(0)
        }
        ConfigCommand::Check => check(context),
        ConfigCommand::Info => info(context),
    }
}

fn check(context: &Context) -> anyhow::Result<Done> {
    let Some(fleet) = context.choice().load(&context.paths)? else {
        let file = context.paths.default_fleet();
        eprintln!("peerdeck: there is no fleet file {}; `peerdeck config template` prints one", file.display());
        return Ok(UNKNOWN);
    };
    let peers: usize = fleet.clusters.iter().map(|c| c.peers.len()).sum();
    let names: Vec<&str> = fleet.clusters.iter().map(|c| c.name.as_str()).collect();
    let file = fleet.file.as_ref().map_or("the command line".into(), |f| f.display().to_string());
    emit(&format!("{file}: good, with {peers} named peers in: {}\n", names.join(", ")))?;
    Ok(0)
}

fn info(context: &Context) -> anyhow::Result<Done> {
    let paths = &context.paths;
    let mut out = String::new();
    let mut path = |what: &str, path: &std::path::Path| {
        let there = if path.exists() { "" } else { "  (not there)" };
        let _ = writeln!(out, "{what:<22} {}{there}", path.display());
    };
    path("configuration", &paths.config);
    path("default fleet file", &paths.default_fleet());
    path("state", &paths.state);
    path("audit log", &Audit::path_in(paths));
    path("accepted host keys", &paths.known_hosts());
    path("OpenSSH settings", &paths.ssh_config());
    path("OpenSSH host keys", &paths.ssh_known_hosts());
    let fleets = names(paths);
    let _ = writeln!(out, "{:<22} {}", "fleets", if fleets.is_empty() { "none".into() } else { fleets.join(", ") });
    let source = match context.choice() {
        Choice::Default => "the default file".to_owned(),
        Choice::File(f) => format!("--fleet {}", f.display()),
        Choice::Name(n) => format!("--fleet {n}: {}", paths.named_fleet(&n).display()),
        Choice::Target(t) => format!("--fleet {t}"),
    };
    let _ = writeln!(out, "{:<22} {source}", "fleet taken");
    let fleet = context.choice().load(paths);
    let code = match fleet {
        Ok(Some(fleet)) => {
            for cluster in &fleet.clusters {
                let discover = if cluster.discover { "fellows are discovered" } else { "only the named peers" };
                let _ = writeln!(out, "\ncluster {} ({discover})", cluster.name);
                values(&mut out, &cluster.settings, None);
                for peer in &cluster.peers {
                    let _ = writeln!(out, "  peer {}", peer.host);
                    values(&mut out, &peer.settings, Some(&cluster.settings));
                }
            }
            0
        }
        Ok(None) => 0,
        Err(invalid) => {
            let _ = writeln!(out, "\n{invalid}");
            UNKNOWN
        }
    };
    emit(&out)?;
    Ok(code)
}

/// The values that are set, with their origin; of a peer only those that differ from its cluster's.
fn values(out: &mut String, settings: &Settings, beside: Option<&Settings>) {
    macro_rules! show {
        ($($name:literal, $field:ident, $format:expr;)*) => {
            $(if let Some(set) = &settings.$field
                && beside.is_none_or(|b| b.$field.as_ref() != Some(set))
            {
                let text: String = $format(&set.value);
                let _ = writeln!(out, "    {:<14} {text}  ({})", $name, origin(set));
            })*
        };
    }
    show! {
        "user", user, Clone::clone;
        "auth", auth, |v: &Vec<_>| joined(v);
        "driver", driver, |d: &crate::config::Driver| { let word: &str = d.into(); word.to_owned() };
        "port", port, ToString::to_string;
        "via", via, ToString::to_string;
        "dns", dns, |v: &Vec<_>| joined(v);
        "known-hosts", known_hosts, |v: &Vec<std::path::PathBuf>| {
            v.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
        };
        "interval", interval, |d: &std::time::Duration| span::format(*d);
        "lab", lab, ToString::to_string;
        "stale", stale, |d: &std::time::Duration| span::format(*d);
        "unreachable", unreachable, |d: &std::time::Duration| span::format(*d);
        "group-for", group_for, |d: &std::time::Duration| span::format(*d);
        "recovery", recovery, |d: &std::time::Duration| span::format(*d);
        "detached-for", detached_for, |d: &std::time::Duration| span::format(*d);
        "clock-skew", clock_skew, |d: &std::time::Duration| span::format(*d);
        "unknown-for", unknown_for, |d: &std::time::Duration| span::format(*d);
        "flap-changes", flap_changes, ToString::to_string;
    }
    if beside.is_none() {
        let limits = settings.limits();
        let _ = writeln!(
            out,
            "    what is not set: stale {}, unreachable {}, group-for {}, recovery {}; user, port and jump host from \
             ~/.ssh/config",
            span::format(limits.stale),
            span::format(limits.unreachable),
            span::format(limits.group),
            span::format(limits.recovery)
        );
    }
}

fn origin<T>(set: &Set<T>) -> String {
    set.origin.to_string()
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
