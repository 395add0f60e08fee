//! `config check`, `config template`, `config info`.

use std::fmt::Write;

use super::args::ConfigCommand;
use super::audit::Audit;
use super::features;
use super::follow::{read_keymap, theme_texts, unknown_themes};
use super::output::emit;
use super::{Context, Done, UNKNOWN};
use crate::config::load::names;
use crate::config::settings::Set;
use crate::config::span;
use crate::config::{Choice, Invalid, Problem, Settings, keymap, template};
use crate::ui::Themes;
use crate::ui::theme::ThemeError;

/// Runs the command.
///
/// # Errors
/// When nothing can be printed, or there is no home folder.
pub fn run(context: &Context, command: &ConfigCommand) -> anyhow::Result<Done> {
    match command {
        ConfigCommand::Template(args) => {
            emit(&if args.keys { keymap::template() } else { template::template() })?;
            Ok(0)
        }
        ConfigCommand::Check => check(context),
        ConfigCommand::Info => info(context),
    }
}

/// Reads all files, and tells of all of them at once.
fn check(context: &Context) -> anyhow::Result<Done> {
    let (mut good, mut problems, mut code) = (String::new(), Vec::new(), 0);
    let file = context.paths.keymap();
    match read_keymap(&context.paths) {
        Ok(loaded) if file.exists() => {
            let _ = writeln!(good, "{}: good", file.display());
            for remark in &loaded.remarks {
                let _ = writeln!(good, "{remark}");
            }
        }
        Ok(_) => {}
        Err(invalid) => problems.extend(invalid.0),
    }
    let folder = context.paths.themes();
    let (texts, unreadable) = theme_texts(&folder);
    problems.extend(unreadable);
    let own: Vec<(String, String)> = texts.into_iter().collect();
    let (themes, errors) = Themes::load(&own);
    for (name, _) in own.iter().filter(|(name, _)| errors.iter().all(|e| e.file != *name)) {
        let _ = writeln!(good, "{}: good", folder.join(name).display());
    }
    let problem = |e: ThemeError| Problem { file: folder.join(e.file), line: Some(e.line), what: e.problem };
    problems.extend(errors.into_iter().map(problem));
    match context.choice().load(&context.paths) {
        Ok(Some(fleet)) => {
            let peers: usize = fleet.clusters.iter().map(|c| c.peers.len()).sum();
            let names: Vec<&str> = fleet.clusters.iter().map(|c| c.name.as_str()).collect();
            let file = fleet.file.as_ref().map_or("the command line".into(), |f| f.display().to_string());
            let wrong = unknown_themes(&fleet, &themes);
            if wrong.is_empty() {
                let _ = writeln!(good, "{file}: good, with {peers} named peers in: {}", names.join(", "));
            }
            problems.extend(wrong);
            match features::catalogue(&fleet) {
                Ok(_) => {
                    for file in features::folder(&fleet).and_then(|f| features::files(&f).ok()).unwrap_or_default() {
                        let _ = writeln!(good, "{}: good", file.display());
                    }
                }
                Err(invalid) => problems.extend(invalid.0),
            }
        }
        Ok(None) => {
            let file = context.paths.default_fleet();
            eprintln!("peerdeck: there is no fleet file {}; `peerdeck config template` prints one", file.display());
            code = UNKNOWN;
        }
        Err(invalid) => problems.extend(invalid.0),
    }
    emit(&good)?;
    if problems.is_empty() {
        return Ok(code);
    }
    eprintln!("peerdeck: {}", Invalid(problems));
    Ok(UNKNOWN)
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
    path("keymap", &paths.keymap());
    path("themes", &paths.themes());
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
            if let Some(folder) = features::folder(&fleet) {
                let there = if folder.exists() { "" } else { "  (not there)" };
                let _ = writeln!(out, "{:<22} {}{there}", "site features", folder.display());
            }
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
        "propagation", propagation, |d: &std::time::Duration| span::format(*d);
        "machines", machines, ToString::to_string;
        "history-mib", history_mib, ToString::to_string;
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
