//! `generate man` and `generate completions`: artefacts that come out of the program itself.

use super::args::GenerateCommand;
use super::output::emit;
use super::{Done, command, man};

/// Prints what is wanted.
///
/// # Errors
/// When nothing can be printed.
pub fn run(what: &GenerateCommand) -> anyhow::Result<Done> {
    match what {
        GenerateCommand::Man => emit(&man::page())?,
        GenerateCommand::Completions { shell } => emit(&completions(*shell))?,
    };
    Ok(0)
}

/// The completions of a shell: commands, options and their values.
#[must_use]
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command(), "peerdeck", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
