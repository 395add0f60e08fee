//! Settings on the command line: questions about them, and commits.

pub mod apply;
pub mod args;
pub mod commit;
pub mod editor;
mod look;
pub mod mode;
pub mod query;
pub mod value;
pub mod want;
