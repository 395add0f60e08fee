//! One block of a file that people write: each key is taken once, what is wrong is gathered, and what nobody took is unknown.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use strum::IntoEnumIterator;
use toml::{Table, Value};

/// A block, and what is wrong with it.
pub(super) struct Block {
    /// How it is called in problems: `[ha]`.
    at: String,
    table: Table,
    known: Vec<&'static str>,
    problems: Vec<String>,
}

impl Block {
    /// The block `at`; anything but a table is a problem.
    pub fn new(at: &str, value: Value) -> Self {
        let (table, problems) = match value {
            Value::Table(table) => (table, Vec::new()),
            other => (Table::new(), vec![format!("{at}: a table is expected, this is {}", kind(&other))]),
        };
        Self { at: at.to_owned(), table, known: Vec::new(), problems }
    }

    /// Blocks of a list (`[[...]]`).
    pub fn list(at: &str, value: Value) -> Vec<Self> {
        match value {
            Value::Array(blocks) => blocks.into_iter().map(|block| Self::new(at, block)).collect(),
            other => vec![Self::new(at, other)],
        }
    }

    /// Calls it by a better name, once one is known.
    pub fn rename(&mut self, at: String) {
        self.at = at;
    }

    /// What stands there, as it is.
    pub fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// Something is wrong with this key.
    pub fn problem(&mut self, key: &str, what: &str) {
        self.problems.push(format!("{} {key}: {what}", self.at));
    }

    /// As [`Block::problem`], unless something else about this key was found wrong already.
    pub fn missing(&mut self, key: &str, what: &str) {
        let about = format!("{} {key}: ", self.at);
        if !self.problems.iter().any(|p| p.starts_with(&about)) {
            self.problem(key, what);
        }
    }

    /// A text that must be there and not be empty.
    pub fn needed(&mut self, key: &'static str, example: &str) -> String {
        let text = self.text(key).unwrap_or_default();
        if text.is_empty() {
            self.missing(key, &format!("it is missing; give one, like {example}"));
        }
        text
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => {
                self.problem(key, &format!("a text in quotes is expected, this is {}", kind(&other)));
                None
            }
        }
    }

    /// Texts: one, or a list of them.
    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        let values = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(one) => vec![one],
        };
        let mut texts = Vec::new();
        for value in values {
            match value {
                Value::String(text) => texts.push(text),
                other => self.problem(key, &format!("texts in quotes are expected, this is {}", kind(&other))),
            }
        }
        texts
    }

    /// A whole number in a range.
    pub fn number(&mut self, key: &'static str, from: u32, to: u32, default: u32) -> u32 {
        let Some(value) = self.take(key) else { return default };
        let number = value.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| (from..=to).contains(n));
        number.unwrap_or_else(|| {
            self.problem(key, &format!("{value} is not a whole number from {from} to {to}"));
            default
        })
    }

    /// A port.
    pub fn port(&mut self, key: &'static str, default: u16) -> u16 {
        u16::try_from(self.number(key, 1, u16::MAX.into(), default.into())).unwrap_or(default)
    }

    /// `enable` or `disable`, `true` or `false`.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Value::Boolean(on)) => on,
            Some(Value::String(word)) if word == "enable" => true,
            Some(Value::String(word)) if word == "disable" => false,
            Some(other) => {
                self.problem(key, &format!("{other} is neither `enable` nor `disable`"));
                default
            }
        }
    }

    /// One of the words of `T`; `None`: it is not there, or another word.
    pub fn word<T: FromStr + IntoEnumIterator + Into<&'static str>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        let word = text.parse().ok();
        if word.is_none() {
            let words: Vec<&'static str> = T::iter().map(Into::into).collect();
            let mean = nearest(&text, &words);
            self.problem(key, &format!("`{text}` is not known; {}{mean}", one_of(&words)));
        }
        word
    }

    /// `1 s`, `500 ms`.
    pub fn span(&mut self, key: &'static str, default: Duration) -> Duration {
        let Some(text) = self.text(key) else { return default };
        super::parse_span(&text).unwrap_or_else(|why| {
            self.problem(key, &why);
            default
        })
    }

    /// An address that a socket can be bound to or reached at.
    pub fn address(&mut self, key: &'static str) -> Option<IpAddr> {
        let text = self.text(key)?;
        self.read_address(key, &text)
    }

    /// Addresses: one, or a list of them.
    pub fn addresses(&mut self, key: &'static str) -> Vec<IpAddr> {
        let texts = self.texts(key);
        texts.iter().filter_map(|text| self.read_address(key, text)).collect()
    }

    fn read_address(&mut self, key: &str, text: &str) -> Option<IpAddr> {
        let Ok(address) = text.parse::<IpAddr>() else {
            self.problem(key, &format!("`{text}` is not an address like 192.0.2.11 or 2001:db8::11"));
            return None;
        };
        let why = match address {
            _ if address.is_unspecified() => Some("says nothing"),
            _ if address.is_multicast() => Some("is a multicast address"),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(
                "is link-local, which means nothing without its port: take a global or unique local one (fd00::/8)",
            ),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        if let Some(why) = why {
            self.problem(key, &format!("`{text}` {why}"));
            return None;
        }
        Some(address)
    }

    /// Addresses with ports; those without one get `port`.
    pub fn sockets(&mut self, key: &'static str, port: u16) -> Vec<SocketAddr> {
        let texts = self.texts(key);
        let read = |this: &mut Self, text: &String| {
            let with_port = text.parse::<SocketAddr>().ok();
            with_port.or_else(|| this.read_address(key, text).map(|ip| SocketAddr::new(ip, port)))
        };
        texts.iter().filter_map(|text| read(self, text)).collect()
    }

    /// Addresses with prefixes: `192.0.2.10/24`.
    pub fn prefixes(&mut self, key: &'static str) -> Vec<(IpAddr, u8)> {
        let texts = self.texts(key);
        let mut prefixes = Vec::new();
        for text in texts {
            let Some((address, prefix)) = text.split_once('/') else {
                self.problem(key, &format!("`{text}` has no prefix; write it like 192.0.2.10/24"));
                continue;
            };
            let Ok(prefix) = prefix.parse() else {
                self.problem(key, &format!("`{text}` has no prefix that is a number; write it like 192.0.2.10/24"));
                continue;
            };
            prefixes.extend(self.read_address(key, address).map(|address| (address, prefix)));
        }
        prefixes
    }

    /// Files, as absolute paths.
    pub fn files(&mut self, key: &'static str) -> Vec<PathBuf> {
        let files: Vec<PathBuf> = self.texts(key).into_iter().map(PathBuf::from).collect();
        for file in files.iter().filter(|f| !f.is_absolute()) {
            self.problem(key, &format!("`{}` is not an absolute path", file.display()));
        }
        files
    }

    /// What is wrong with it, what nobody knows included.
    pub fn finish(mut self, problems: &mut Vec<String>) {
        for key in self.table.keys() {
            let mean = nearest(key, &self.known);
            self.problems.push(format!("{} {key}: no such key{mean}", self.at));
        }
        problems.append(&mut self.problems);
    }
}

/// `a, b and c are`.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => "none is".to_owned(),
        [only] => format!("{only} is"),
        [first @ .., last] => format!("{} and {last} are", first.join(", ")),
    }
}

/// `; do you mean X?`, if one is near.
fn nearest(word: &str, known: &[&'static str]) -> String {
    let distance = |k: &&&str| strsim::damerau_levenshtein(word, k);
    let near = known.iter().min_by_key(distance).filter(|k| strsim::damerau_levenshtein(word, k) <= 1 + word.len() / 3);
    near.map(|k| format!("; do you mean `{k}`?")).unwrap_or_default()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
