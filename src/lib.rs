//! peerdeck: a terminal dashboard and HA monitor for clusters of mail gateways.
//!
//! One snapshot, many faces: drivers turn what peers say into dated observations, the engine turns
//! observations into an immutable picture with findings, and console, watch and one-shot commands show it.
//!
//! ```text
//! peers ──SSH──▶ drivers ──Observation──▶ engine ──Arc<Snapshot>──▶ console · watch · one-shot
//! ```
//!
//! | layer | holds | may use |
//! |---|---|---|
//! | [`domain`] | what things are and the rules between them | std |
//! | [`proto`] | wire and recording form | domain |
//! | [`clock`] | the one place that reads clocks | domain |
//! | [`engine`] | observations in; snapshot, findings, plans out | domain (`runtime.rs`: tokio channels, clock) |
//! | [`alerts`] | rules over findings: what is told (pure); its state, and the ways out | domain, proto; sinks: tokio, http, mail; store: SQLite |
//! | [`ssh`], [`dns`] | connections, host keys, authentication; look-ups | domain, proto, clock |
//! | [`drivers`] | frames and text to observations | domain, proto, ssh, dns, clock |
//! | [`daemon`] | the peer | domain, proto, ssh, dns, clock |
//! | [`record`] | the picture over time: ring on disk, recordings, signed incident files | domain, proto, SQLite |
//! | [`report`] | snapshot to JSON and tables | domain |
//! | [`app`] | state of the console | domain, engine's plans |
//! | [`ui`] | drawing | app, domain |
//! | [`term`] | the terminal | nothing of ours |
//! | [`config`] | files that people write | domain, app's actions and keys |
//! | [`lab`] | peers on loopback, faults | daemon, ssh, dns, proto, domain, clock |
//! | [`cli`] | one file per sub-command | all |
//!
//! A test reads the `use` lines of every file and fails on what the table does not allow.

pub mod alerts;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod dns;
pub mod domain;
pub mod drivers;
pub mod engine;
pub mod lab;
pub mod proto;
pub mod record;
pub mod report;
pub mod ssh;
pub mod term;
pub mod ui;
