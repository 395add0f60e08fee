//! What is written about the program is what the program does: README tables, help texts.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use peerdeck::cli;
use peerdeck::domain::FindingKind;
use strum::IntoEnumIterator;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// What stands between the marks `<!-- name -->` and `<!-- /name -->` of the README.
fn block(name: &str) -> String {
    let readme = file("README.md");
    let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let start = readme.find(&open).unwrap_or_else(|| panic!("{open} is missing")) + open.len();
    let end = readme[start..].find(&close).unwrap_or_else(|| panic!("{close} is missing")) + start;
    readme[start..end].trim().to_owned()
}

/// Fails with the text that belongs between the marks; with `PEERDECK_README=write` puts it there.
fn same(name: &str, wanted: &str) {
    if std::env::var_os("PEERDECK_README").is_some_and(|v| v == "write") {
        let readme = file("README.md");
        let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
        let start = readme.find(&open).unwrap() + open.len();
        let end = readme.find(&close).unwrap();
        let text = format!("{}\n\n{}\n\n{}", &readme[..start], wanted.trim(), &readme[end..]);
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), text).unwrap();
    }
    let is = block(name);
    assert!(
        is == wanted.trim(),
        "README, {name}: PEERDECK_README=write cargo test --test it docs:: writes\n{wanted}\nand there is\n{is}"
    );
}

#[test]
fn the_readme_lists_every_finding_with_its_severity() {
    let mut kinds: Vec<FindingKind> = FindingKind::iter().collect();
    kinds.sort_by_key(|k| std::cmp::Reverse(k.severity()));
    let mut table = String::from("| finding | severity | exit code of `status` | it means |\n|---|---|---|---|\n");
    for kind in kinds {
        let code = peerdeck::report::Check::from(kind.severity()).code();
        let severity = kind.severity().as_str();
        let _ = writeln!(table, "| `{}` | {severity} | {code} | {} |", kind.as_str(), kind.meaning());
    }
    same("findings", &table);
}

#[test]
fn the_readme_lists_every_command() {
    let mut table = String::from("| command | does |\n|---|---|\n");
    for (_, command) in commands() {
        if command.has_subcommands() && !["lab", "silence"].contains(&command.get_name()) {
            continue;
        }
        let mut usage = command.clone().render_usage().to_string();
        usage = usage.lines().next().unwrap().trim_start_matches("Usage: ").replace('|', "\\|");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
        let _ = writeln!(table, "| `{usage}` | {about} |");
    }
    same("commands", &table);
}

#[test]
fn the_readme_lists_every_key() {
    same("keys", &peerdeck::app::action::keys_markdown());
}

#[test]
fn the_readme_names_every_dependency_and_no_other() {
    let manifest: toml::Table = file("Cargo.toml").parse().unwrap();
    let linux = &manifest["target"]["cfg(target_os = \"linux\")"]["dependencies"];
    let tables = [&manifest["dependencies"], linux].map(|t| t.as_table().unwrap());
    let wanted: BTreeSet<String> = tables.into_iter().flat_map(|t| t.keys().cloned()).collect();
    let named: BTreeSet<String> = block("dependencies")
        .lines()
        .filter_map(|l| l.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned()))
        .collect();
    assert_eq!(named, wanted);
}

#[test]
fn the_readmes_fleet_file_is_valid() {
    let readme = file("README.md");
    let start = readme.find("```toml\n").unwrap() + "```toml\n".len();
    let end = readme[start..].find("```").unwrap() + start;
    let fleet = peerdeck::config::Fleet::parse(Path::new("README.md"), &readme[start..end], Path::new("/home/op"));
    assert_eq!(fleet.unwrap().clusters.len(), 1);
}

#[test]
fn b5_the_readmes_watch_has_every_type_of_sink() {
    let text = example("watch example");
    let fleet = peerdeck::config::Fleet::parse(Path::new("README.md"), &text, Path::new("/home/op")).unwrap();
    let template = peerdeck::config::template::template();
    let types: Vec<&str> = template.lines().filter(|l| l.starts_with("#type = ")).collect();
    assert_eq!(fleet.watch.sinks.len(), types.len());
    for line in types {
        assert!(text.contains(&line[1..]), "{line}");
    }
}

/// The code between two marks of the README.
fn example(name: &str) -> String {
    block(name).trim_start_matches("```toml").trim_end_matches("```").to_owned()
}

#[test]
fn the_readmes_keymap_and_theme_are_valid_and_it_names_every_theme() {
    let keys = peerdeck::config::keymap::parse(Path::new("README.md"), &example("keymap example"));
    assert_ne!(keys.unwrap().keymap, peerdeck::app::Keymap::default());
    let own = [("mine.toml".to_owned(), example("theme example"))];
    let (themes, errors) = peerdeck::ui::Themes::load(&own);
    assert_eq!(errors, []);
    assert!(themes.position("mine").is_some());
    let readme = file("README.md");
    for name in peerdeck::ui::theme::embedded_names() {
        assert!(readme.contains(name), "{name}");
    }
}

#[test]
fn every_line_of_the_readme_that_calls_peerdeck_parses() {
    let readme = file("README.md");
    let mut seen = 0;
    let blocks = readme.split("```").skip(1).step_by(2).filter(|b| b.starts_with("sh\n"));
    for line in blocks.flat_map(str::lines).filter(|l| l.starts_with("peerdeck ")) {
        let command = line.split(['#', '|', '&', '>']).next().unwrap();
        let args = command.split_whitespace().map(Into::into).collect::<Vec<_>>();
        if let Err(e) = cli::parse(&args) {
            panic!("{line}: {e}");
        }
        seen += 1;
    }
    assert!(seen >= 8, "the README shows how to call it");
}

/// Every command with its words, the program itself first.
fn commands() -> Vec<(String, clap::Command)> {
    let mut all = Vec::new();
    let mut root = cli::command().term_width(100);
    root.build();
    collect(&mut all, "peerdeck", &root);
    all
}

fn collect(all: &mut Vec<(String, clap::Command)>, path: &str, command: &clap::Command) {
    all.push((path.to_owned(), command.clone()));
    for sub in command.get_subcommands() {
        collect(all, &format!("{path} {}", sub.get_name()), sub);
    }
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let mut text = String::new();
    for (path, mut command) in commands() {
        let _ = writeln!(text, "$ {path} --help\n{}", command.render_help());
    }
    insta::assert_snapshot!("help", text);
}

#[test]
fn global_options_stand_before_and_after_every_command() {
    for (path, command) in commands() {
        if command.has_subcommands() && !["lab", "silence"].contains(&command.get_name()) {
            continue;
        }
        let extra: &[&str] = match path.as_str() {
            "peerdeck peer" => &["--config", "x.toml"],
            "peerdeck diagnose"
            | "peerdeck trust"
            | "peerdeck disconnect"
            | "peerdeck reconnect"
            | "peerdeck removemachine"
            | "peerdeck restart-ha"
            | "peerdeck maintenance off" => &["lab1"],
            "peerdeck switchover" | "peerdeck failover" | "peerdeck restore" | "peerdeck sync" | "peerdeck accept" => {
                &["gw"]
            }
            "peerdeck set" => &["cluster", "smtproutes", "{}"],
            "peerdeck unset" | "peerdeck edit" => &["cluster", "smtproutes"],
            "peerdeck copy" | "peerdeck move" => &["smtproutes", "--from", "lab1", "--to", "all-groups"],
            "peerdeck apply" => &["changes.toml"],
            "peerdeck record" | "peerdeck replay" | "peerdeck bundle" => &["night.peerdeck"],
            "peerdeck setgroup" => &["lab1", "lab2", "Rome"],
            "peerdeck addgroup" | "peerdeck deletegroup" | "peerdeck setname" | "peerdeck create" => &["Oslo"],
            "peerdeck sethost" => &["lab1", "mx1.example.com"],
            "peerdeck renamegroup" => &["Paris", "Oslo"],
            "peerdeck resolve" => &["cluster", "smtproutes", "--use", "lab2"],
            "peerdeck maintenance on" => &["lab1", "--for", "2h"],
            "peerdeck ack" => &["link-down/lab/pair:A+B", "-m", "on it"],
            "peerdeck silence" => &["--kind", "link-down", "--for", "1h", "-m", "cabling"],
            "peerdeck silence end" => &["3"],
            "peerdeck generate completions" => &["bash"],
            "peerdeck lab fault" => &["heal"],
            _ => &[],
        };
        let words: Vec<&str> = path.split(' ').skip(1).collect();
        let global = ["--fleet", "x.toml", "--cluster", "c", "--json", "--timeout", "3s", "--color", "never", "-v"];
        let before = [&["peerdeck"], global.as_slice(), &words, extra].concat();
        let after = [&["peerdeck"], words.as_slice(), &global, extra].concat();
        for args in [before, after] {
            let parsed = cli::parse(&args.iter().map(Into::into).collect::<Vec<_>>());
            let cli = parsed.unwrap_or_else(|e| panic!("{args:?}: {e}"));
            assert!(cli.global.json && cli.global.cluster.as_deref() == Some("c"), "{args:?}");
            assert_eq!(cli.global.timeout, std::time::Duration::from_secs(3), "{args:?}");
        }
    }
}

#[test]
fn a_first_word_with_an_at_sign_is_a_target_of_the_console() {
    let parse = |args: &[&str]| cli::parse(&args.iter().map(Into::into).collect::<Vec<_>>());
    for args in [
        &["peerdeck", "admin@lab1.example.com:2222"][..],
        &["peerdeck", "-v", "admin@lab1.example.com:2222", "--read-only"],
        &["peerdeck", "console", "admin@lab1.example.com:2222"],
    ] {
        let Ok(Some(cli::args::Command::Console(console))) = parse(args).map(|c| c.command) else { panic!("{args:?}") };
        assert_eq!(console.target.unwrap().to_string(), "admin@lab1.example.com:2222");
    }
    let error = parse(&["peerdeck", "constatus"]).unwrap_err().to_string();
    assert!(error.contains("connstatus"), "a typo gets a suggestion: {error}");
    assert!(parse(&["peerdeck", "lab1"]).is_err(), "without an @ it is no target");
    assert!(parse(&["peerdeck", "status", "--plugin", "--json"]).is_err());
    assert!(parse(&["peerdeck", "console", "--save", "x"]).is_err(), "there is nothing to save");
}

/// A page as roff shows it, near enough: escapes and macros taken away.
fn plain(roff: &str) -> String {
    roff.replace("\\-", "-").replace("\\e", "\\").replace("\\(dq", "\"").replace("\\&", "")
}

#[test]
fn the_man_page_names_every_command_option_and_exit_code() {
    let page = plain(&cli::man_page());
    for (path, command) in commands() {
        let leaf = !command.has_subcommands() || ["lab", "silence"].contains(&command.get_name());
        if !leaf {
            continue;
        }
        assert!(page.contains(&format!(".SS \"{path} [OPTIONS]")), "{path} is missing:\n{page}");
        for option in command.get_arguments().filter_map(clap::Arg::get_long).filter(|l| !is_built_in(l)) {
            assert!(page.contains(&format!("--{option}")), "--{option} of {path} is missing");
        }
        let name = path.split(' ').nth(1).unwrap();
        let codes = page.split("EXIT STATUS").nth(1).unwrap().split(".SH").next().unwrap();
        assert!(codes.contains(name), "the exit codes of {name} are missing: {codes}");
    }
    for code in ["64 usage", "1 refused", "audit.jsonl", "NO_COLOR"] {
        assert!(page.contains(code), "{code}");
    }
}

fn is_built_in(option: &str) -> bool {
    matches!(option, "help" | "version")
}

#[test]
fn the_man_pages_keys_are_those_of_the_table_and_no_others() {
    let page = plain(&cli::man_page());
    let keys = page.split(".SH \"KEYS OF THE CONSOLE\"").nth(1).unwrap().split(".SH").next().unwrap();
    let entries: Vec<&str> = keys.split(".TP\n.B ").skip(1).collect();
    let table = peerdeck::app::action::TABLE;
    assert_eq!(entries.len(), table.len());
    for (entry, spec) in entries.iter().zip(table) {
        let (shown, what) = entry.split_once('\n').unwrap();
        assert_eq!(shown.trim_matches('"'), spec.keys.join("  "));
        assert!(what.starts_with(&format!("{}: {}", spec.action.name(), spec.help)), "{what}");
    }
}

#[test]
fn the_man_page_has_only_macros_that_it_means() {
    for line in cli::man_page().lines().filter(|l| l.starts_with(['.', '\''])) {
        let known = [".TH ", ".SH ", ".SS ", ".TP", ".B ", ".BR ", ".PP", ".nf", ".fi", ".nh", ".ad l"];
        assert!(known.iter().any(|m| line.starts_with(m)), "{line}");
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cli::generate::completions(shell.parse().unwrap());
        for (path, _) in commands() {
            let name = path.rsplit(' ').next().unwrap();
            assert!(script.contains(name), "{shell}: {path}");
        }
    }
}

#[test]
fn the_readme_shows_each_action_and_its_exit_codes() {
    let readme = file("README.md");
    let codes = readme.lines().find(|l| l.starts_with("| actions:")).unwrap();
    for kind in peerdeck::domain::PeerAct::iter() {
        let word: &str = kind.into();
        let name = word.split('-').next().unwrap();
        assert!(codes.contains(&format!("`{name}`")), "{name} in {codes}");
        assert!(readme.contains(&format!("\npeerdeck {}", word.replace('-', " "))), "{word}");
    }
}
