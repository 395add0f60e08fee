//! `guard`: the process that owns a peer's virtual addresses. Not in the command tree: a peer starts it, nobody else.

use super::{Done, UNKNOWN};

/// The word that starts it.
pub const WORD: &str = "guard";

/// Runs it until its peer is gone.
///
/// # Errors
/// When it was started by a person, or the system refuses.
#[cfg(target_os = "linux")]
pub fn run() -> anyhow::Result<Done> {
    Ok(if crate::daemon::ha::guard::process::run()? { 0 } else { UNKNOWN })
}

/// Runs nowhere but on Linux.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn run() -> anyhow::Result<Done> {
    anyhow::bail!("virtual addresses need Linux")
}
