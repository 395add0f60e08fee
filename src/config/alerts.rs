//! `[alerts]`, `[watch]` and `[record]` of the fleet file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use strum::IntoEnumIterator;
use toml::de::DeTable;

use super::fleet::Parser;
use super::keys::{self, Key};
use super::problem::did_you_mean;
use super::table::Value;
use crate::alerts::sinks::Spec;
use crate::alerts::{Flapping, Rule, Rules};
use crate::domain::finding::{FindingKind, Severity};
use crate::domain::ids::ClusterName;

/// How the headless watch tells what it sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watching {
    /// How often it says that it lives.
    pub heartbeat: Duration,
    /// Where `/metrics` and `/healthz` are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Its name in everything that it sends; `None`: the machine's.
    pub name: Option<String>,
    /// Among several watchers: one of a higher rank waits for those below it, and tells what none of them has told.
    pub rank: u32,
    /// For how long one rank waits for the one before.
    pub stagger: Duration,
    /// Where the others serve (`http://host:port`).
    pub fellows: Vec<String>,
    /// Where it keeps what it must not forget; `None`: in peerdeck's own folder.
    pub state: Option<PathBuf>,
    /// Where alerts go, beside standard output.
    pub sinks: Vec<NamedSink>,
}

/// A way out, with the name under which its failures and drops are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedSink {
    /// Unique among the sinks; the type where none is given.
    pub name: String,
    /// What it is.
    pub spec: Spec,
    /// Nothing that is less bad goes there.
    pub least: Severity,
    /// How many notices wait for it at most, on disk; the oldest go first, counted.
    pub queue: u32,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_mins(1),
            listen: None,
            name: None,
            rank: 0,
            stagger: Duration::from_secs(15),
            fellows: Vec::new(),
            state: None,
            sinks: Vec::new(),
        }
    }
}

/// What is recorded of the picture, for looking back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recording {
    /// Whether anything is.
    pub on: bool,
    /// For how long it is kept.
    pub keep: Duration,
    /// How much of it is kept at most, in MiB.
    pub size_mib: u32,
}

impl Default for Recording {
    fn default() -> Self {
        Self { on: true, keep: Duration::from_hours(24), size_mib: 256 }
    }
}

impl Parser<'_> {
    pub(super) fn alerts(&mut self, value: &Value<'_>) -> Rules {
        let mut rules = Rules::default();
        let Some(table) = self.reader.table("alerts", value) else { return rules };
        self.known(table, "[alerts]", keys::ALERTS, &["rule"]);
        let r = &mut self.reader;
        let mut span = |key: &str, preset: Duration| table.get(key).and_then(|v| r.span(key, v)).unwrap_or(preset);
        rules.hold = span("for", rules.hold);
        rules.recovery = span("recovery", rules.recovery);
        rules.repeat = span("repeat", rules.repeat);
        let preset = Flapping::default();
        let window = span("flap-window", preset.window);
        let mut count = |key: &str, preset| table.get(key).and_then(|v| r.integer(key, v, 1..=60)).unwrap_or(preset);
        rules.flapping = Flapping { high: count("flap-high", preset.high), low: count("flap-low", preset.low), window };
        if rules.flapping.low >= rules.flapping.high {
            let Flapping { high, low, .. } = rules.flapping;
            let what = format!("\"flap-low\" ({low}) must be less than \"flap-high\" ({high})");
            self.reader.complain(&value.span(), what);
        }
        if let Some(list) = table.get("rule") {
            for (table, _) in self.reader.tables("alerts.rule", list) {
                rules.rules.push(self.rule(table));
            }
        }
        rules
    }

    fn rule(&mut self, table: &DeTable<'_>) -> Rule {
        self.known(table, "[[alerts.rule]]", keys::RULE, &[]);
        let mut rule = Rule::default();
        if let Some(value) = table.get("kind") {
            for (word, span) in self.reader.strings("kind", value).unwrap_or_default() {
                if let Ok(kind) = word.parse::<FindingKind>() {
                    rule.kinds.push(kind);
                } else {
                    let hint = did_you_mean(&word, FindingKind::iter().map(FindingKind::as_str));
                    let what = format!("\"kind\": there is no finding \"{}\"{hint}", super::fleet::short(&word));
                    self.reader.complain(&span, what);
                }
            }
        }
        let r = &mut self.reader;
        rule.cluster = table.get("cluster").and_then(|v| r.string("cluster", v)).map(|c| ClusterName::new(&c));
        rule.ignore = table.get("ignore").and_then(|v| r.boolean("ignore", v));
        let mut span = |key: &str| table.get(key).and_then(|v| r.span(key, v));
        (rule.hold, rule.recovery, rule.repeat) = (span("for"), span("recovery"), span("repeat"));
        rule.severity = table.get("severity").and_then(|v| self.severity("severity", v));
        rule
    }

    pub(super) fn severity(&mut self, key: &str, value: &Value<'_>) -> Option<Severity> {
        let word = self.reader.string(key, value)?;
        let severity = word.parse::<Severity>().ok();
        if severity.is_none() {
            let words: Vec<&str> = Severity::iter().map(Severity::as_str).collect();
            let what = format!("\"{key}\": \"{}\" is none of {}", super::fleet::short(&word), words.join(", "));
            self.reader.complain(&value.span(), what);
        }
        severity
    }

    pub(super) fn watching(&mut self, value: &Value<'_>) -> Watching {
        let mut watching = Watching::default();
        let Some(table) = self.reader.table("watch", value) else { return watching };
        self.known(table, "[watch]", keys::WATCH, &["sink"]);
        let r = &mut self.reader;
        let mut span = |key: &str, preset: Duration| table.get(key).and_then(|v| r.span(key, v)).unwrap_or(preset);
        watching.heartbeat = span("heartbeat", watching.heartbeat);
        watching.stagger = span("stagger", watching.stagger);
        watching.rank = table.get("rank").and_then(|v| r.integer("rank", v, 0..=16)).unwrap_or(0);
        watching.name = table.get("name").and_then(|v| r.string("name", v));
        let fellows = table.get("fellows").and_then(|v| r.strings("fellows", v)).unwrap_or_default();
        watching.fellows = fellows.into_iter().map(|(url, _)| url).collect();
        if let Some(value) = table.get("listen")
            && let Some(text) = self.reader.string("listen", value)
        {
            watching.listen = text.parse().ok();
            if watching.listen.is_none() {
                let what = format!("\"listen\": \"{}\" is not like \"127.0.0.1:9469\"", super::fleet::short(&text));
                self.reader.complain(&value.span(), what);
            }
        }
        watching.state = table.get("state").and_then(|v| self.reader.string("state", v)).map(|p| self.path(&p));
        if let Some(list) = table.get("sink") {
            for (table, span) in self.reader.tables("watch.sink", list) {
                let Some(sink) = self.sink(table, &span) else { continue };
                if sink.name == "stdout" {
                    self.reader.complain(&span, "\"stdout\" is the name of standard output: give this sink another");
                }
                if watching.sinks.iter().any(|s| s.name == sink.name) {
                    let what = format!("there are two sinks \"{}\": give each a \"name\"", sink.name);
                    self.reader.complain(&span, what);
                }
                watching.sinks.push(sink);
            }
        }
        watching
    }

    pub(super) fn recording(&mut self, value: &Value<'_>) -> Recording {
        let preset = Recording::default();
        let Some(table) = self.reader.table("record", value) else { return preset };
        self.known(table, "[record]", keys::RECORD, &[]);
        let r = &mut self.reader;
        Recording {
            on: table.get("on").and_then(|v| r.boolean("on", v)).unwrap_or(preset.on),
            keep: table.get("keep").and_then(|v| r.span("keep", v)).unwrap_or(preset.keep),
            size_mib: table
                .get("size-mib")
                .and_then(|v| r.integer("size-mib", v, 1..=65_536))
                .unwrap_or(preset.size_mib),
        }
    }

    /// Complains about keys that are not known in this section.
    pub(super) fn known(&mut self, table: &DeTable<'_>, header: &str, keys: &[Key], tables: &[&str]) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            let known = || keys.iter().map(|k| k.name).chain(tables.iter().copied());
            if known().any(|k| k == name) {
                continue;
            }
            if keys::SECRETS.contains(&name.to_lowercase().as_str()) {
                let what = format!(
                    "\"{}\": a secret does not belong into this file. Say where it is instead, as in \
                     {name}-file = \"FILE\", {name}-env = \"VARIABLE\" or {name}-command = \"COMMAND\"",
                    super::fleet::short(name)
                );
                self.reader.complain(&key.span(), what);
                continue;
            }
            let hint = did_you_mean(name, known());
            let what = format!("unknown key \"{}\" in {header}{hint}", super::fleet::short(name));
            self.reader.complain(&key.span(), what);
        }
    }
}
