//! Which console opens, and on what: a fleet, one peer, or a lab.

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use anyhow::Context as _;

use super::args::Console;
use super::{Context, Done};
use crate::config::{Choice, Fleet, Via};

/// `peerdeck` alone: the console on the fleet; on a terminal without any fleet file, the lab.
///
/// # Errors
/// When a named fleet is missing or can't be used, or there is none and no terminal.
pub fn bare(context: &Context) -> anyhow::Result<Done> {
    match context.fleet_if_any()? {
        Some(fleet) => show(context, &fleet, false),
        None if on_terminal() && context.global.cluster.is_none() => {
            anyhow::bail!("the lab is not in this build")
        }
        None => context.fleet().and_then(|fleet| show(context, &fleet, false)),
    }
}

/// `console`.
///
/// # Errors
/// When there is no fleet, or it can't be used or kept.
pub fn console(context: &Context, args: &Console) -> anyhow::Result<Done> {
    let Some(target) = &args.target else { return show(context, &context.fleet()?, args.read_only) };
    if context.choice() != Choice::Default {
        anyhow::bail!("either --fleet or a target, not both");
    }
    if let Some(name) = &args.save {
        save(context, name, target)?;
    }
    show(context, &Fleet::of_target(target), args.read_only)
}

fn on_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn show(context: &Context, fleet: &Fleet, read_only: bool) -> anyhow::Result<Done> {
    let _ = (context, fleet, read_only);
    anyhow::bail!("the console is not in this build")
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
    use std::path::Path;

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
