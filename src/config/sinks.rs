//! `[[watch.sink]]` of the fleet file.

use std::ops::Range;

use toml::de::DeTable;

use super::alerts::NamedSink;
use super::fleet::{Parser, short};
use super::keys;
use super::problem::did_you_mean;
use crate::alerts::sinks::{FileSpec, Spec};
use crate::domain::finding::Severity;

/// How many notices wait for one sink at most, unless it says otherwise.
const QUEUE: u32 = 10_000;

/// The types that there are.
const TYPES: &[&str] = &["file"];

impl Parser<'_> {
    /// One sink; `None` after a complaint.
    pub(super) fn sink(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Option<NamedSink> {
        self.known(table, "[[watch.sink]]", keys::SINK, &[]);
        let Some(value) = table.get("type") else {
            let what = format!("this [[watch.sink]] has no \"type\" (there are {})", TYPES.join(", "));
            self.reader.complain(span, what);
            return None;
        };
        let kind = self.reader.string("type", value)?;
        let spec = match kind.as_str() {
            "file" => {
                let path = table.get("path").and_then(|v| self.reader.string("path", v)).map(|p| self.path(&p));
                let Some(path) = path else {
                    self.reader.complain(span, "a sink of the type \"file\" needs a \"path\"");
                    return None;
                };
                Spec::File(FileSpec::new(path))
            }
            other => {
                let hint = did_you_mean(other, TYPES.iter().copied());
                let what = format!("there is no sink \"{}\"{hint} (there are {})", short(other), TYPES.join(", "));
                self.reader.complain(&value.span(), what);
                return None;
            }
        };
        let name = table.get("name").and_then(|v| self.reader.string("name", v)).unwrap_or(kind);
        let least = table.get("least").and_then(|v| self.severity("least", v)).unwrap_or(Severity::Notice);
        let queue = table.get("queue").and_then(|v| self.reader.integer("queue", v, 1..=1_000_000)).unwrap_or(QUEUE);
        Some(NamedSink { name, spec, least, queue })
    }
}
