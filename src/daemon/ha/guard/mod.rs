//! The guard of the virtual addresses: a small process that owns them (F12), and what a peer feels of its machine (F10).
//!
//! ```text
//! peer ──lines of JSON──▶ guard ──netlink──▶ kernel (lease)
//!      ◀──reports───────        ──frames───▶ neighbours (announcements, probes)
//! ```
//!
//! It runs as a process of its own, started as `peerdeck guard`, so that nothing that keeps the peer busy (keys, disk,
//! sessions) keeps the address alive or lets it go. Stopped or killed, the kernel ends the lease.

#[cfg(target_os = "linux")]
mod air;
#[cfg(target_os = "linux")]
mod aside;
pub mod frames;
pub mod keeper;
#[cfg(target_os = "linux")]
mod neighbours;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
mod senses;
#[cfg(target_os = "linux")]
mod system;
pub mod wire;
#[cfg(target_os = "linux")]
mod world;

#[cfg(target_os = "linux")]
pub use system::{system, with_program};

/// Virtual addresses need Linux: elsewhere none can be set, which a peer that is told to tells at its start.
///
/// # Errors
/// None here.
#[cfg(not(target_os = "linux"))]
pub fn system(
    _state_dir: &std::path::Path,
    _clock: std::sync::Arc<dyn crate::clock::Clock>,
) -> std::io::Result<super::ports::HaWorld> {
    Ok(super::ports::HaWorld::none())
}
