//! One file per sub-command: wires the others together.

pub mod console;
