//! Values: trees of tables, lists and scalars.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Deepest nesting of a value.
pub const DEPTH_MAX: usize = 32;

/// A value of a feature. There is no null: what is not set inherits, what is empty is an empty table, list or text.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number; never infinite or NaN.
    Float(f64),
    /// Text. Not cleaned: it is a setting and must come back as it went in; cleaned where it is shown.
    Text(Arc<str>),
    /// In order.
    List(Vec<Self>),
    /// By name.
    Table(BTreeMap<Arc<str>, Self>),
}

impl Value {
    /// An empty table, list or text: as an override it applies nothing (C2).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => false,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Table(fields) => fields.is_empty(),
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::List(_) | Self::Table(_) => None,
        }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Bool(_) | Self::Float(_) | Self::Text(_) | Self::List(_) | Self::Table(_) => None,
        }
    }

    /// The field of a table.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Table(fields) => fields.get(name),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// Whether it is nested at most `depth` deep; a scalar is one deep.
    #[must_use]
    pub fn fits(&self, depth: usize) -> bool {
        depth > 0
            && match self {
                Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) => true,
                Self::List(items) => items.iter().all(|v| v.fits(depth - 1)),
                Self::Table(fields) => fields.values().all(|v| v.fits(depth - 1)),
            }
    }

    /// About how many bytes it takes: those of its texts and names, and eight for each part.
    #[must_use]
    pub fn bytes(&self) -> usize {
        8 + match self {
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::Text(text) => text.len(),
            Self::List(items) => items.iter().map(Self::bytes).sum(),
            Self::Table(fields) => fields.iter().map(|(name, v)| name.len() + v.bytes()).sum(),
        }
    }

    /// Whether a number in it is infinite or NaN: such can't be written as JSON and equal nothing.
    #[must_use]
    pub fn has_odd_number(&self) -> bool {
        match self {
            Self::Float(n) => !n.is_finite(),
            Self::Bool(_) | Self::Int(_) | Self::Text(_) => false,
            Self::List(items) => items.iter().any(Self::has_odd_number),
            Self::Table(fields) => fields.values().any(Self::has_odd_number),
        }
    }

    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// A table of these fields.
    #[must_use]
    pub fn table<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Table(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

/// As JSON on one line: what people type and read. Secrets are only marked.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n:?}"),
            // Whoever prints a value shows no secret, wherever it is.
            Self::Text(text) => quoted(f, super::secrets::shown(text)),
            Self::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Table(fields) => {
                f.write_str("{")?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A JSON string; whatever could move a cursor is escaped.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            c if crate::domain::text::is_dangerous(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(f, "\\u{unit:04x}")?;
                }
            }
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
