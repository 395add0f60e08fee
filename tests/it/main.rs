//! One integration binary; a module a part.
#![expect(clippy::unwrap_used, reason = "tests")]

mod alerts;
mod app;
mod app_acts;
mod app_settings;
mod comfort;
mod config;
mod crash;
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
mod oneshot_alone;
mod oneshot_settings;
mod reload;
mod replica;
mod settings;
mod sinks;
mod ssh;
mod support;
mod terminal;
mod terminal_acts;
mod terminal_side;
mod themes;
mod ui;
mod watching;
mod whole;
