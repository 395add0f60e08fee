//! The man page, out of the command tree and the table of keys.

use std::fmt::Write;

use clap::{Arg, Command};

use super::command;
use crate::app::action;

/// Commands by their kind, with what their exit codes mean; the README has the same table.
const EXIT_CODES: &[(&str, &str)] = &[
    (
        "checks: status, connstatus, check, ha, watch --once, replay --json",
        "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, usage and configuration errors too",
    ),
    (
        "queries: list, settings, commitdetail, diagnose, events, silence list, record, replay, bundle, config, generate",
        "0 answered, 3 not answered, usage and configuration errors too",
    ),
    (
        "actions: disconnect, reconnect, maintenance, set, unset, copy, move, edit, apply, setgroup, addgroup, renamegroup, \
         deletegroup, removemachine, create, sethost, setname, resolve, switchover, failover, restore, sync, accept, restart-ha, trust, ack, silence, \
         lab fault",
        "0 done and observed, 1 refused and nothing was changed, 2 failed or done in part, 3 outcome unknown, 64 usage \
         or configuration error and nothing was sent; with --dry-run 0 would run, 1 would be refused",
    ),
    ("console, lab, peer, wall, watch", "0 ended as asked, 3 could not start"),
];

const FILES: &[(&str, &str)] = &[
    (
        "~/.config/peerdeck/fleet.toml",
        "the fleet that is taken when none is named; NAME.toml beside it is --fleet NAME",
    ),
    ("~/.config/peerdeck/themes/", "own themes"),
    ("~/.local/state/peerdeck/known_hosts", "host keys that a person has accepted"),
    (
        "~/.local/state/peerdeck/audit.jsonl",
        "the audit log: a line before each command, one for each state on its way, and one with what was observed",
    ),
    ("~/.ssh/config, ~/.ssh/known_hosts", "fill what the fleet file leaves open; never written"),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("XDG_CONFIG_HOME, XDG_STATE_HOME", "instead of ~/.config and ~/.local/state"),
    ("SSH_AUTH_SOCK", "the agent that logs in"),
    ("NO_COLOR", "no colours, if it is set and not empty"),
    ("TERM, COLORTERM, LC_ALL, LC_CTYPE, LANG", "what the terminal can show"),
    ("VISUAL, EDITOR", "what `edit` opens; vi without them"),
    ("USER, LOGNAME, SSH_CONNECTION", "who acts, for the audit log"),
];

/// The page in roff.
#[must_use]
pub fn page() -> String {
    let mut root = command();
    root.build();
    let mut out = String::new();
    let version = root.get_version().unwrap_or_default().to_owned();
    let _ = writeln!(out, ".TH PEERDECK 1 \"\" \"peerdeck {}\" \"User Commands\"", escape(&version));
    out.push_str(".nh\n.ad l\n");
    section(&mut out, "NAME");
    text(&mut out, &format!("peerdeck - {}", about(&root)));
    section(&mut out, "SYNOPSIS");
    let _ = writeln!(out, ".B peerdeck\n[OPTIONS] [COMMAND] ...");
    section(&mut out, "DESCRIPTION");
    text(&mut out, &root.get_after_help().map(ToString::to_string).unwrap_or_default());
    text(
        &mut out,
        "Peers are named by full host name, by first label if that is unique, or by serial number, and by nothing \
         shorter. What is missing after --timeout is unknown: never green, never down by guess.",
    );
    section(&mut out, "OPTIONS OF EVERY COMMAND");
    for arg in root.get_arguments().filter(|a| a.is_global_set()) {
        option(&mut out, arg);
    }
    section(&mut out, "COMMANDS");
    commands(&mut out, "peerdeck", &root);
    section(&mut out, "KEYS OF THE CONSOLE");
    for spec in action::TABLE {
        let scopes: Vec<&str> = spec.scopes.iter().map(|s| s.title()).collect();
        let what = format!("{}: {} (in: {})", spec.action.name(), spec.help, scopes.join(", "));
        entry(&mut out, &spec.keys.join("  "), &what);
    }
    for (name, entries) in [("EXIT STATUS", EXIT_CODES), ("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT)] {
        section(&mut out, name);
        for (what, meaning) in entries {
            entry(&mut out, what, meaning);
        }
    }
    section(&mut out, "SEE ALSO");
    out.push_str(".BR ssh (1),\n.BR ssh_config (5)\n");
    out
}

/// Every command that does something, with its own options.
fn commands(out: &mut String, path: &str, of: &Command) {
    for sub in of.get_subcommands() {
        let path = format!("{path} {}", sub.get_name());
        if !sub.has_subcommands() || ["lab", "silence"].contains(&sub.get_name()) {
            let mut usage = sub.clone().render_usage().to_string();
            usage = usage.trim_start_matches("Usage: ").lines().next().unwrap_or_default().to_owned();
            let _ = writeln!(out, ".SS {}", quoted(&usage));
            text(out, &about(sub));
            for arg in sub.get_arguments().filter(|a| !a.is_global_set() && !is_built_in(a)) {
                option(out, arg);
            }
            // The exit codes of actions stand in a section of their own.
            let after = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            if !after.is_empty() && !after.starts_with("Exit code") {
                let _ = writeln!(out, ".PP\n.nf\n{}\n.fi", escape(&after));
            }
        }
        commands(out, &path, sub);
    }
}

fn is_built_in(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn about(of: &Command) -> String {
    of.get_about().map(ToString::to_string).unwrap_or_default()
}

fn option(out: &mut String, arg: &Arg) {
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|c| format!("-{c}")));
    names.extend(arg.get_long().map(|l| format!("--{l}")));
    let takes = arg.is_positional() || arg.get_action().takes_values();
    let value: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let mut head = names.join(", ");
    if takes && !value.is_empty() {
        let space = if head.is_empty() { "" } else { " " };
        let _ = write!(head, "{space}{}", value.join(" "));
    }
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
    if takes && !possible.is_empty() {
        let _ = write!(help, " ({})", possible.join(", "));
    }
    let preset: Vec<String> = arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if takes && !preset.is_empty() && !arg.is_hide_default_value_set() {
        let _ = write!(help, " [default: {}]", preset.join(" "));
    }
    entry(out, &head, &help);
}

fn section(out: &mut String, name: &str) {
    let _ = writeln!(out, ".SH {}", quoted(name));
}

fn entry(out: &mut String, head: &str, what: &str) {
    let _ = writeln!(out, ".TP\n.B {}", quoted(head));
    let _ = writeln!(out, "{}", escape(what));
}

fn text(out: &mut String, paragraph: &str) {
    let _ = writeln!(out, ".PP\n{}", escape(paragraph));
}

/// As one argument of a macro.
fn quoted(of: &str) -> String {
    format!("\"{}\"", escape(of).replace('"', "\\(dq"))
}

/// Text that roff prints as it stands: no macro, no escape, and real hyphens so that options can be copied.
fn escape(of: &str) -> String {
    let plain = of.replace('\\', "\\e").replace('-', "\\-");
    let lines = plain.lines().map(|line| match line.chars().next() {
        Some('.' | '\'') => format!("\\&{line}"),
        Some(_) | None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_macro_or_an_escape() {
        assert_eq!(escape(".SH x\n'y \\n -a"), "\\&.SH x\n\\&'y \\en \\-a");
        assert_eq!(quoted("say \"x\""), "\"say \\(dqx\\(dq\"");
    }
}
