//! Reading a TOML document so that every problem is found and knows its line.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::span;

/// Collects the problems of one file.
pub(super) struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

/// A value with its place.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

impl<'a> Reader<'a> {
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, problems: Vec::new() }
    }

    /// The document; with syntax errors there is none, because whatever else would be said of it could be wrong.
    pub fn document(&mut self) -> Option<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let what = error.message().trim().replace('\n', ", ");
            self.complain(&error.span().unwrap_or(0..0), what);
        }
        self.problems.is_empty().then(|| table.into_inner())
    }

    /// The line on which `span` begins, from 1.
    pub fn line(&self, span: &Range<usize>) -> usize {
        let end = span.start.min(self.text.len());
        self.text.get(..end).map_or(1, |before| before.split('\n').count())
    }

    /// Notes a problem.
    pub fn complain(&mut self, span: &Range<usize>, what: impl Into<String>) {
        let line = Some(self.line(span));
        self.problems.push(Problem { file: self.file.to_owned(), line, what: what.into() });
    }

    /// Notes a problem with the whole file.
    pub fn complain_of_file(&mut self, what: impl Into<String>) {
        self.problems.push(Problem { file: self.file.to_owned(), line: None, what: what.into() });
    }

    /// What was found, by line.
    pub fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| p.line);
        // One stray bracket makes a parser complain several times about the same line.
        self.problems.dedup();
        self.problems
    }

    pub fn string(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(s) if !s.trim().is_empty() => Some(s.trim().to_owned()),
            DeValue::String(_) => self.wrong(key, value, "a text that is not empty"),
            other => self.mismatch(key, value, "a text in quotes", other),
        }
    }

    pub fn boolean(&mut self, key: &str, value: &Value<'_>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(b) => Some(*b),
            other => self.mismatch(key, value, "true or false", other),
        }
    }

    pub fn integer(&mut self, key: &str, value: &Value<'_>, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        match value.get_ref() {
            DeValue::Integer(i) => {
                let number = u32::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok();
                number.filter(|n| range.contains(n)).or_else(|| self.wrong(key, value, &wanted))
            }
            other => self.mismatch(key, value, &wanted, other),
        }
    }

    pub fn span(&mut self, key: &str, value: &Value<'_>) -> Option<Duration> {
        match value.get_ref() {
            DeValue::String(s) => match span::parse(s) {
                Ok(span) => Some(span),
                Err(why) => {
                    self.complain(&value.span(), format!("\"{key}\": {why}"));
                    None
                }
            },
            other => self.mismatch(key, value, "a time like \"5s\"", other),
        }
    }

    /// A list of texts, each with its place.
    pub fn strings(&mut self, key: &str, value: &Value<'_>) -> Option<Vec<(String, Range<usize>)>> {
        let DeValue::Array(items) = value.get_ref() else {
            return self.mismatch(key, value, "a list of texts, like [\"a\", \"b\"]", value.get_ref());
        };
        let mut out = Vec::new();
        for item in items {
            out.push((self.string(key, item)?, item.span()));
        }
        Some(out)
    }

    /// A table, or a problem.
    pub fn table<'v, 'i>(&mut self, key: &str, value: &'v Value<'i>) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(t) => Some(t),
            other => self.mismatch(key, value, &format!("a table: write [{key}]"), other),
        }
    }

    /// The tables of an array of tables, each with its place.
    pub fn tables<'v, 'i>(&mut self, header: &str, value: &'v Value<'i>) -> Vec<(&'v DeTable<'i>, Range<usize>)> {
        let DeValue::Array(items) = value.get_ref() else {
            self.complain(
                &value.span(),
                format!("there can be several of these: write [[{header}]] instead of [{header}]"),
            );
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items {
            if let Some(t) = self.table(header, item) {
                out.push((t, item.span()));
            }
        }
        out
    }

    fn mismatch<T>(&mut self, key: &str, value: &Value<'_>, wanted: &str, got: &DeValue<'_>) -> Option<T> {
        self.complain(&value.span(), format!("\"{key}\" must be {wanted}, this is {}", article(got.type_str())));
        None
    }

    fn wrong<T>(&mut self, key: &str, value: &Value<'_>, wanted: &str) -> Option<T> {
        self.complain(&value.span(), format!("\"{key}\" must be {wanted}"));
        None
    }
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}
