//! The table of features: the one that is built in, and what a site adds to it.
//!
//! TOML, a table for each feature: `title`, `kind` (feature, command), `levels` (any, cluster-only, machine-only,
//! cluster-or-group, login-host), `clusterable`, `factory` (any value), `references` (a list of tables of `path`, `to`,
//! `items`, `what`, `except`), `secrets` (a list of paths to texts that only peers may read).

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use strum::IntoEnumIterator;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::ids::FeatureName;
use crate::domain::settings::catalogue::{Catalogue, Feature, Kind, Levels, NAME_LETTERS, Path, Reference};
use crate::domain::settings::rules::check_value;
use crate::domain::settings::{DEPTH_MAX, Key, ModeId, Value};
use crate::domain::text::{Line, clean};

/// The built-in table.
pub const BUILT_IN: &str = include_str!("../domain/settings/features.toml");

/// What problems with the built-in table are reported under.
pub const BUILT_IN_NAME: &str = "features.toml";

/// Most bytes of one file that are read.
pub const FILE_MAX: usize = 1024 * 1024;

/// What may stand in the table of a feature.
const FIELDS: [&str; 7] = ["title", "kind", "levels", "clusterable", "factory", "references", "secrets"];

/// What may stand in a reference.
const REFERENCE_FIELDS: [&str; 5] = ["path", "to", "items", "what", "except"];

/// One thing that is wrong with a table of features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureProblem {
    /// Which file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for FeatureProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// The built-in table alone; parsed once.
#[must_use]
pub fn built_in() -> Arc<Catalogue> {
    // A test reads it: what is embedded is what was tested.
    static TABLE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(catalogue(&[]).unwrap_or_default()));
    TABLE.clone()
}

/// The built-in table with the files of a site (name and text), which may add features but not change built-in ones.
///
/// # Errors
/// Everything that is wrong with any of them, by file and line.
pub fn catalogue(site: &[(&str, &str)]) -> Result<Catalogue, Vec<FeatureProblem>> {
    let mut reader = Reader::default();
    reader.file(BUILT_IN_NAME, BUILT_IN, false);
    for (name, text) in site {
        reader.file(name, text, true);
    }
    let table = Catalogue::new(reader.features);
    // What is named must be known, in whichever file it stands.
    for (file, line, to) in reader.named {
        if table.feature(&to).is_none_or(|f| f.kind == Kind::Command) {
            let hint = table.nearest(to.as_str()).map(|n| format!(", did you mean \"{n}\"?")).unwrap_or_default();
            reader.problems.push(FeatureProblem { file, line, what: format!("no feature is called \"{to}\"{hint}") });
        }
    }
    if reader.problems.is_empty() { Ok(table) } else { Err(reader.problems) }
}

/// Collects what several files say.
#[derive(Default)]
struct Reader {
    features: Vec<Feature>,
    known: BTreeSet<FeatureName>,
    named: Vec<(String, usize, FeatureName)>,
    problems: Vec<FeatureProblem>,
}

/// The file that is being read.
struct File<'a> {
    name: &'a str,
    text: &'a str,
    problems: Vec<FeatureProblem>,
    named: Vec<(String, usize, FeatureName)>,
}

impl Reader {
    fn file(&mut self, name: &str, text: &str, site: bool) {
        let mut file = File { name, text, problems: Vec::new(), named: Vec::new() };
        if text.len() > FILE_MAX {
            file.complain(&(0..0), format!("{} bytes, {FILE_MAX} are read", text.len()));
        } else if let Some(document) = file.document() {
            for (key, value) in &document {
                let feature = FeatureName::new(key.get_ref());
                if !is_name(&feature, key.get_ref()) {
                    let what = "the name of a feature has small letters, digits, - and _ only";
                    file.complain(&key.span(), format!("\"{feature}\": {what}"));
                } else if !self.known.insert(feature.clone()) {
                    let built_in = self.features.iter().any(|f| f.name == feature && !f.site);
                    let why = if built_in { "is built in and can't be changed" } else { "stands in another file too" };
                    file.complain(&key.span(), format!("{feature} {why}: choose another name"));
                } else if let Some(table) = file.table(feature.as_str(), value) {
                    let read = file.feature(feature, table, site, &key.span());
                    self.features.extend(read);
                }
            }
        }
        file.problems.sort_by_key(|p| p.line);
        self.problems.append(&mut file.problems);
        self.named.append(&mut file.named);
    }
}

/// Whether it can be a part of a register's key and be typed on a command line.
fn is_name(name: &FeatureName, raw: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let key = Key::Feature(ModeId::Cluster, name.clone());
    name.as_str() == raw && raw.chars().all(fine) && raw.len() <= NAME_LETTERS && key.to_string().parse() == Ok(key)
}

impl<'a> File<'a> {
    fn complain(&mut self, span: &Range<usize>, what: impl Into<String>) {
        let line = self.line(span);
        self.problems.push(FeatureProblem { file: self.name.to_owned(), line, what: clean(&what.into(), 400) });
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let end = span.start.min(self.text.len());
        self.text.get(..end).map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// The document; with syntax errors there is none, because whatever else would be said of it could be wrong.
    fn document(&mut self) -> Option<DeTable<'a>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.complain(&error.span().unwrap_or(0..0), error.message().trim().replace('\n', ", "));
        }
        self.problems.dedup();
        self.problems.is_empty().then(|| document.into_inner())
    }

    fn feature(&mut self, name: FeatureName, table: &DeTable<'_>, site: bool, at: &Range<usize>) -> Option<Feature> {
        let before = self.problems.len();
        let mut feature = Feature {
            title: Line::default(),
            kind: Kind::default(),
            levels: Levels::default(),
            clusterable: true,
            factory: None,
            references: Vec::new(),
            secrets: Vec::new(),
            site,
            name,
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "title" => feature.title = Line::new(self.text("title", value).unwrap_or_default()),
                "kind" => feature.kind = self.word("kind", value).unwrap_or_default(),
                "levels" => feature.levels = self.word("levels", value).unwrap_or_default(),
                "clusterable" => match value.get_ref() {
                    DeValue::Boolean(yes) => feature.clusterable = *yes,
                    other => self.mismatch("clusterable", value, "true or false", other),
                },
                "factory" => {
                    if let Some(read) = self.value(value, DEPTH_MAX) {
                        if let Err(why) = check_value(&feature.name, &read) {
                            self.complain(&value.span(), why.as_str());
                        }
                        feature.factory = Some(Arc::new(read));
                    }
                }
                "references" => feature.references = self.references(value),
                "secrets" => match value.get_ref() {
                    DeValue::Array(paths) => {
                        feature.secrets = paths.iter().filter_map(|p| self.text("secrets", p)).map(Path::new).collect();
                    }
                    other => self.mismatch("secrets", value, "a list of texts", other),
                },
                _ => self.unknown(key, &FIELDS),
            }
        }
        if feature.title.is_empty() && self.problems.len() == before {
            self.complain(at, format!("{} has no title", feature.name));
        }
        let settings = feature.factory.is_some() || !feature.references.is_empty() || !feature.secrets.is_empty();
        if feature.kind == Kind::Command && settings {
            self.complain(
                at,
                format!("{} is a command: it has no factory default, no references and no secrets", feature.name),
            );
        }
        (self.problems.len() == before).then_some(feature)
    }

    fn references(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Reference> {
        let DeValue::Array(items) = value.get_ref() else {
            self.mismatch("references", value, "a list of tables", value.get_ref());
            return Vec::new();
        };
        items.iter().filter_map(|item| self.reference(item)).collect()
    }

    fn reference(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Reference> {
        let table = self.table("references", value)?;
        let (mut path, mut to, mut what) = (None, None, None);
        let (mut items, mut except) = (Path::default(), Vec::new());
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "path" => path = self.text("path", value).map(Path::new),
                "to" => to = self.text("to", value).map(FeatureName::new),
                "items" => items = self.text("items", value).map(Path::new).unwrap_or_default(),
                "what" => what = self.text("what", value).map(Line::new),
                "except" => match value.get_ref() {
                    DeValue::Array(names) => {
                        except = names.iter().filter_map(|n| self.text("except", n)).map(Arc::from).collect();
                    }
                    other => self.mismatch("except", value, "a list of texts", other),
                },
                _ => self.unknown(key, &REFERENCE_FIELDS),
            }
        }
        let (Some(path), Some(to), Some(what)) = (path, to, what) else {
            self.complain(&value.span(), "a reference needs `path`, `to` and `what`");
            return None;
        };
        self.named.push((self.name.to_owned(), self.line(&value.span()), to.clone()));
        Some(Reference { path, to, items, what, except })
    }

    /// Any value. There are no dates in the store.
    fn value(&mut self, value: &Spanned<DeValue<'_>>, left: usize) -> Option<Value> {
        if left == 0 {
            self.complain(&value.span(), "nested too deeply");
            return None;
        }
        Some(match value.get_ref() {
            DeValue::String(text) => Value::text(text),
            DeValue::Boolean(yes) => Value::Bool(*yes),
            DeValue::Integer(n) => {
                let Ok(n) = i64::from_str_radix(n.as_str(), n.radix()) else {
                    self.complain(&value.span(), "a number that is too large");
                    return None;
                };
                Value::Int(n)
            }
            DeValue::Float(n) => match f64::from_str(n.as_str()) {
                Ok(n) if n.is_finite() => Value::Float(n),
                Ok(_) | Err(_) => {
                    self.complain(&value.span(), "a number that can't be kept");
                    return None;
                }
            },
            DeValue::Array(items) => {
                Value::List(items.iter().map(|v| self.value(v, left - 1)).collect::<Option<Vec<_>>>()?)
            }
            DeValue::Table(fields) => Value::Table(
                fields
                    .iter()
                    .map(|(k, v)| Some((Arc::from(k.get_ref().as_ref()), self.value(v, left - 1)?)))
                    .collect::<Option<_>>()?,
            ),
            DeValue::Datetime(_) => {
                self.complain(&value.span(), "write dates as texts in quotes");
                return None;
            }
        })
    }

    fn table<'v, 'i>(&mut self, key: &str, value: &'v Spanned<DeValue<'i>>) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                self.mismatch(key, value, "a table", other);
                None
            }
        }
    }

    fn text<'v>(&mut self, key: &str, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        match value.get_ref() {
            DeValue::String(text) => Some(text),
            other => {
                self.mismatch(key, value, "a text in quotes", other);
                None
            }
        }
    }

    /// A word of one of the domain's enumerations.
    fn word<T>(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<T>
    where
        T: FromStr + IntoEnumIterator + Into<&'static str>,
    {
        let text = self.text(key, value)?;
        let found = text.parse().ok();
        if found.is_none() {
            let words: Vec<&'static str> = T::iter().map(Into::into).collect();
            self.complain(&value.span(), format!("`{key}` is one of {}, not \"{text}\"", words.join(", ")));
        }
        found
    }

    fn mismatch(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str, found: &DeValue<'_>) {
        self.complain(&value.span(), format!("`{key}` must be {wanted}, not {}", found.type_str()));
    }

    fn unknown(&mut self, key: &Spanned<toml::de::DeString<'_>>, known: &[&str]) {
        self.complain(&key.span(), format!("unknown key `{}` (there are {})", key.get_ref(), known.join(", ")));
    }
}
