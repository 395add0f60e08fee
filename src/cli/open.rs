//! Which console opens, and on what: a fleet, one peer, or a lab.

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::Arc;

use anyhow::Context as _;
use futures::FutureExt;
use tokio::runtime::Runtime;

use super::args::{Color, Console, Screen};
use super::connect::{self, Face};
use super::console::past::Past;
use super::console::{self, ConsoleOptions, Diagnose, Faults};
use super::follow::{Files, Follower, News};
use super::{Context, Done, diagnose, places, record, reload, shell};
use crate::app::Diagnosis;
use crate::app::palette::FaultKind;
use crate::config::{Choice, Fleet, Via};
use crate::domain::Line;
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
        Some(fleet) => show(context, fleet, false, Screen::default()),
        None if on_terminal() && context.global.cluster.is_none() => {
            eprintln!(
                "peerdeck: there is no fleet file, so this is a lab of made-up peers. A real fleet: \
                 peerdeck console user@host, or write {} (peerdeck config template)",
                context.paths.default_fleet().display()
            );
            lab(context, Options::default(), Screen::default())
        }
        None => context.fleet().and_then(|fleet| show(context, fleet, false, Screen::default())),
    }
}

/// `console`.
///
/// # Errors
/// When there is no fleet, or it can't be used or kept.
pub fn console(context: &Context, args: &Console) -> anyhow::Result<Done> {
    let Some(target) = &args.target else {
        return show(context, context.fleet()?, args.read_only, args.screen);
    };
    if context.choice() != Choice::Default {
        anyhow::bail!("either --fleet or a target, not both");
    }
    if let Some(name) = &args.save {
        save(context, name, target)?;
    }
    show(context, Fleet::of_target(target), args.read_only, args.screen)
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
    let network = super::process::peer_runtime()?;
    let lab = network.block_on(Lab::start(options))?;
    let choice = Choice::File(lab.fleet_path());
    let shown = match choice.load(&context.paths) {
        Ok(fleet) => {
            let fleet = fleet.context("the lab has no fleet file");
            fleet.and_then(|fleet| {
                run(context, &network, (Some(choice), fleet), false, screen, Some(faults(&lab, &network)))
            })
        }
        Err(e) => Err(e.into()),
    };
    network.block_on(lab.shutdown());
    shown
}

fn show(context: &Context, fleet: Fleet, read_only: bool, screen: Screen) -> anyhow::Result<Done> {
    // One that was named by a target comes from no file that could change.
    let choice = fleet.file.is_some().then(|| context.choice());
    let network = super::process::network_runtime()?;
    let shown = run(context, &network, (choice, fleet), read_only, screen, None);
    network.shutdown_background();
    shown
}

/// Faults into `lab`, for the console over it; they are done where the lab runs.
fn faults(lab: &Lab, network: &Runtime) -> Faults {
    let (lab, network) = (lab.clone(), network.handle().clone());
    let kind = |k: &Kind| FaultKind { word: k.word.to_owned(), args: k.args.to_owned(), help: k.help.to_owned() };
    Faults {
        kinds: KINDS.iter().map(kind).collect(),
        apply: Arc::new(move |words| {
            let lab = lab.clone();
            let done = network.spawn(async move { lab.apply_words(&words).await.map_err(|e| e.to_string()) });
            async move { done.await.unwrap_or_else(|e| Err(format!("the lab failed: {e}"))) }.boxed()
        }),
    }
}

/// The screen has a thread with timers of its own: a hundred handshakes don't delay a key, and a second that passes
/// wakes no thread but this one.
fn run(
    context: &Context,
    network: &Runtime,
    (choice, fleet): (Option<Choice>, Fleet),
    read_only: bool,
    screen: Screen,
    faults: Option<Faults>,
) -> anyhow::Result<Done> {
    let within = network.enter();
    let connected = connect::start(&fleet, &context.paths, FACE)?;
    let lab = fleet.is_lab();
    let lab_config = fleet.file.as_ref().filter(|_| lab).map(|f| f.with_file_name(SSH_CONFIG));
    let state = places::watch_state(&context.paths, &fleet);
    let files = Files { paths: context.paths.clone(), choice, cluster: context.global.cluster.clone() };
    let fleet_now = fleet.clone();
    let (follower, told) = Follower::new(files, fleet);
    let wrong = |news: News| if let News::Wrong(text) = news { Some(text) } else { None };
    let ring = record::folder(&context.paths, &fleet_now);
    let mut recording = record::ring(network.handle(), &context.paths, &fleet_now, &connected.observer);
    let past = match &mut recording {
        Ok(Some(recording)) => Past::recorded(ring, recording.take_news(), recording.feeder()),
        // Another console may have recorded it.
        Ok(None) | Err(_) => Past::ring(ring),
    };
    let problem = recording.as_ref().err().map(|why| format!("nothing is recorded: {why}"));
    let options = ConsoleOptions {
        past: Some(past),
        ascii: (screen.ascii || screen.unicode).then_some(screen.ascii),
        bell: !screen.no_bell,
        mouse: screen.mouse,
        title: !screen.no_title,
        dumps: Some(context.paths.state.join("dumps")),
        shells: Some(shell::shells(connected.observer.clone(), connected.links.clone(), lab_config)),
        lab,
        history: Some(context.paths.state.join("console-history")),
        faults,
        audit: Some(context.paths.clone()),
        theme: (context.global.color == Color::Never).then(|| MONO.to_owned()),
        themes: follower.themes(),
        keymap: follower.keymap().clone(),
        problems: told.into_iter().filter_map(wrong).chain(problem).collect(),
        // A console that can't act follows its files all the same.
        reload: Some(reload::follow(follower, Arc::clone(&connected.links), connected.commander.reconfigurer())),
        // It looks and can't act: a read-only console has it as well.
        historian: Some(connected.commander.historian()),
        alarms: Some(state),
        author: super::audit::who(),
        ..ConsoleOptions::default()
    };
    let commander = (!read_only).then_some(connected.commander);
    let diagnose = beside(network, diagnose::for_console(connected.observer.clone(), connected.links.clone()));
    let clock = connected.links.clock.clone();
    drop(within);
    let terminal = super::process::small_runtime()?;
    let ended = terminal.block_on(console::run(options, connected.observer, commander, diagnose, clock));
    drop(recording); // Writes what waits.
    ended?;
    Ok(0)
}

/// Diagnoses where the connections live, not on the thread of the screen.
fn beside(network: &Runtime, diagnose: Diagnose) -> Diagnose {
    let handle = network.handle().clone();
    Arc::new(move |request| {
        let task = handle.spawn(diagnose(request));
        let failed = |e| Diagnosis { title: Line::new(&format!("the diagnosis ended early: {e}")), steps: Vec::new() };
        Box::pin(async move { task.await.unwrap_or_else(failed) })
    })
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
    use std::path::Path;

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
