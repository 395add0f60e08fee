//! Files that people write: loading and validation.
//!
//! TOML with kebab-case keys. Unknown keys are refused with file, line and the nearest known key, and all
//! problems of a file are reported at once. A file that somebody else may write is not read at all.

pub mod alerts;
pub mod fleet;
pub mod keymap;
mod keys;
pub mod load;
pub mod problem;
pub mod settings;
mod sinks;
mod table;
pub mod template;
pub mod watch;

pub use crate::domain::span;
pub use alerts::{NamedSink, Recording, Watching};
pub use fleet::{Fleet, FleetCluster, FleetPeer};
pub use load::{Choice, Paths};
pub use problem::{Invalid, Problem};
pub use settings::{AuthRef, Driver, Origin, Set, Settings, Via};
