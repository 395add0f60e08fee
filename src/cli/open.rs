//! Which console opens, and on what: a fleet, one peer, or a lab.

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use futures::FutureExt;

use super::args::{Color, Console, Screen};
use super::connect::{self, Face};
use super::console::{self, ConsoleOptions, Faults};
use super::{Context, Done, diagnose, shell};
use crate::app::palette::FaultKind;
use crate::config::{Choice, Fleet, Via, load};
use crate::lab::fault::{KINDS, Kind};
use crate::lab::{Lab, Options, SSH_CONFIG};
use crate::ui::theme::MONO;

const FACE: Face = Face { name: "console", interactive: true, one_shot: false };

/// `peerdeck` alone: the console on the fleet; on a terminal without any fleet file, the lab.
///
/// # Errors
/// When a named fleet is missing or can't be used, or there is none and no terminal.
pub fn bare(context: &Context) -> anyhow::Result<Done> {
    match context.fleet_if_any()? {
        Some(fleet) => show(context, &fleet, false, Screen::default()),
        None if on_terminal() && context.global.cluster.is_none() => {
            eprintln!(
                "peerdeck: there is no fleet file, so this is a lab of made-up peers. A real fleet: \
                 peerdeck console user@host, or write {} (peerdeck config template)",
                context.paths.default_fleet().display()
            );
            lab(context, Options::default(), Screen::default())
        }
        None => context.fleet().and_then(|fleet| show(context, &fleet, false, Screen::default())),
    }
}

/// `console`.
///
/// # Errors
/// When there is no fleet, or it can't be used or kept.
pub fn console(context: &Context, args: &Console) -> anyhow::Result<Done> {
    let Some(target) = &args.target else {
        return show(context, &context.fleet()?, args.read_only, args.screen);
    };
    if context.choice() != Choice::Default {
        anyhow::bail!("either --fleet or a target, not both");
    }
    if let Some(name) = &args.save {
        save(context, name, target)?;
    }
    show(context, &Fleet::of_target(target), args.read_only, args.screen)
}

fn on_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// A lab in this process, and the console on it.
///
/// # Errors
/// When it can't be started.
pub fn lab(context: &Context, options: Options, screen: Screen) -> anyhow::Result<Done> {
    if !on_terminal() {
        anyhow::bail!("the console needs a terminal; `peerdeck lab --headless` runs without one");
    }
    super::process::lock_no_memory();
    super::process::peer_runtime()?.block_on(async {
        let lab = Lab::start(options).await?;
        let fleet = Choice::File(lab.fleet_path()).load(&context.paths)?.context("the lab has no fleet file")?;
        let shown = Box::pin(run(context, &fleet, false, screen, Some(faults(&lab)))).await;
        lab.shutdown().await;
        shown
    })
}

fn show(context: &Context, fleet: &Fleet, read_only: bool, screen: Screen) -> anyhow::Result<Done> {
    // The screen has a thread of its own, so that a hundred handshakes don't delay a key.
    super::process::peer_runtime()?.block_on(run(context, fleet, read_only, screen, None))
}

/// Faults into `lab`, for the console over it.
fn faults(lab: &Lab) -> Faults {
    let lab = lab.clone();
    let kind = |k: &Kind| FaultKind { word: k.word.to_owned(), args: k.args.to_owned(), help: k.help.to_owned() };
    Faults {
        kinds: KINDS.iter().map(kind).collect(),
        apply: Arc::new(move |words| {
            let lab = lab.clone();
            async move { lab.apply_words(&words).await.map_err(|e| e.to_string()) }.boxed()
        }),
    }
}

async fn run(
    context: &Context,
    fleet: &Fleet,
    read_only: bool,
    screen: Screen,
    faults: Option<Faults>,
) -> anyhow::Result<Done> {
    let connected = connect::start(fleet, &context.paths, FACE)?;
    let theme = fleet.clusters.iter().find_map(|c| c.theme.as_ref()).map(|t| t.value.clone());
    let lab_config = fleet.file.as_ref().filter(|_| fleet.is_lab()).map(|f| f.with_file_name(SSH_CONFIG));
    let options = ConsoleOptions {
        ascii: (screen.ascii || screen.unicode).then_some(screen.ascii),
        bell: !screen.no_bell,
        mouse: screen.mouse,
        title: !screen.no_title,
        dumps: Some(context.paths.state.join("dumps")),
        shells: Some(shell::shells(connected.observer.clone(), connected.links.clone(), lab_config)),
        lab: fleet.is_lab(),
        theme: if context.global.color == Color::Never { Some(MONO.to_owned()) } else { theme },
        history: Some(context.paths.state.join("console-history")),
        faults,
        audit: Some(context.paths.clone()),
        own_themes: own_themes(&context.paths.config.join("themes")),
        ..ConsoleOptions::default()
    };
    let commander = (!read_only).then_some(connected.commander);
    let diagnose = diagnose::for_console(connected.observer.clone(), connected.links.clone());
    let clock = connected.links.clock.clone();
    console::run(options, connected.observer, commander, diagnose, clock).await?;
    Ok(0)
}

/// The user's themes: name and text of every file that nobody else may write.
fn own_themes(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    let named = |file: PathBuf| match load::read(&file) {
        Ok(text) => Some((file.file_stem()?.to_str()?.to_owned(), text)),
        Err(why) => {
            tracing::warn!("{why}");
            None
        }
    };
    files.into_iter().filter_map(named).collect()
}

/// Writes a fleet file for `target`; one that is there is never overwritten.
fn save(context: &Context, name: &str, target: &Via) -> anyhow::Result<()> {
    let Ok(Choice::Name(name)) = Choice::parse(name) else {
        anyhow::bail!("\"{name}\" is no name for a fleet: letters, digits, - and _");
    };
    let file = context.paths.named_fleet(&name);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&context.paths.config)?;
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .with_context(|| format!("{} can't be made (one that is there is not overwritten)", file.display()))?;
    out.write_all(fleet_text(&name, target).as_bytes())?;
    Ok(())
}

/// A fleet file with one peer, which tells its fellows.
fn fleet_text(name: &str, target: &Via) -> String {
    let user = target.user.as_ref().map_or_else(String::new, |u| format!("user = {u:?}\n"));
    let port = target.port.map_or_else(String::new, |p| format!("port = {p}\n"));
    format!(
        "# Kept by `peerdeck console {target} --save {name}`; `peerdeck config template` explains every key.\n\
         [[cluster]]\nname = {name:?}\ndiscover = true\n{user}\n[[cluster.peer]]\nhost = {:?}\n{port}",
        target.host
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_can_be_loaded() {
        for text in ["admin@lab1.example.com:2222", "lab1.example.com", "o@[::1]:22"] {
            let target = Via::parse(text).unwrap();
            let fleet = Fleet::parse(Path::new("x.toml"), &fleet_text("x", &target), Path::new("/")).unwrap();
            let settings = &fleet.clusters[0].peers[0].settings;
            assert_eq!(settings.user.as_ref().map(|u| &u.value), target.user.as_ref());
            assert_eq!(settings.port.as_ref().map(|p| p.value), target.port);
            assert_eq!(fleet.clusters[0].peers[0].host.as_str(), target.host);
        }
    }
}
