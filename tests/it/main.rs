//! One integration binary; a module a part.
#![expect(clippy::unwrap_used, reason = "tests")]

mod app;
mod comfort;
mod config;
mod daemon;
mod dns;
mod docs;
mod domain;
mod engine;
mod hostile;
mod keys;
mod lab;
mod layering;
mod oneshot;
mod ssh;
mod support;
mod terminal;
mod ui;
mod whole;
