//! Something that is typed: a value, field by field or as JSON, or a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::json;
use crate::app::field::{Edit as Typed, TextField};
use crate::app::keys::{Code, Key as Press};
use crate::domain::alert::Matcher;
use crate::domain::settings::{ModeId, Value, secrets};
use crate::domain::{FeatureName, FindingId, GroupId, Line};

/// Longest value that is typed in a form, in characters; longer ones are for `$EDITOR`.
pub const FORM_MAX: usize = 8000;

/// What becomes of what is typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// It is staged.
    Value {
        /// Where.
        mode: ModeId,
        /// What.
        feature: FeatureName,
    },
    /// A new group has this name.
    Addgroup,
    /// The group is called so.
    Renamegroup(GroupId),
    /// The cluster is called so.
    Setname,
    /// Somebody looks after this finding.
    Acknowledge(FindingId),
    /// One of these, by its word, is not told for a while.
    Silence(Vec<(String, Matcher)>),
}

/// How the text of a field becomes a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Any value, as JSON.
    Json,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text as it is.
    Text,
}

/// One field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name; empty for the only one.
    pub name: Arc<str>,
    /// What it takes.
    pub kind: Kind,
    /// What is typed.
    pub text: TextField,
    /// Texts that Up and Down offer; any other may be typed all the same.
    pub options: Vec<String>,
}

/// A form that is open.
#[derive(Clone, PartialEq, Debug)]
pub struct Form {
    /// Of which cluster, by its id.
    pub cluster: Line,
    /// What it is for.
    pub purpose: Purpose,
    /// What stands on its frame.
    pub title: String,
    /// The fields.
    pub fields: Vec<Field>,
    /// The one that has the keys.
    pub at: usize,
    /// Why what was typed was not taken.
    pub told: String,
    /// Whether the fields are those of a table.
    pub is_table: bool,
    /// The key that opened it.
    pub opener: Option<Press>,
}

impl Field {
    /// The next of its options, or the one before.
    fn offer(&mut self, forward: bool) {
        let n = self.options.len();
        let at = self.options.iter().position(|o| o == self.text.as_str());
        let next = match (at, forward) {
            (None, true) => 0,
            (None, false) => n - 1,
            (Some(at), true) => (at + 1) % n,
            (Some(at), false) => (at + n - 1) % n,
        };
        self.text = TextField::new(&self.options[next]);
    }
}

impl Form {
    /// A form for a value: a field for each scalar of a flat table, else one for JSON.
    #[must_use]
    pub fn of_value(cluster: Line, purpose: Purpose, title: String, value: Option<&Value>) -> Self {
        let fields = value.and_then(fields).filter(|f| !f.is_empty());
        let is_table = fields.is_some();
        let fields = fields.unwrap_or_else(|| vec![json_field(value)]);
        Self { cluster, purpose, title, fields, at: 0, told: String::new(), is_table, opener: None }
    }

    /// A form for a name.
    #[must_use]
    pub fn of_name(cluster: Line, purpose: Purpose, title: String, name: &str) -> Self {
        let fields =
            vec![Field { name: "name".into(), kind: Kind::Text, text: TextField::new(name), options: Vec::new() }];
        Self { cluster, purpose, title, fields, at: 0, told: String::new(), is_table: false, opener: None }
    }

    /// A form with a JSON text that could not be read, so that nothing typed is lost.
    #[must_use]
    pub fn of_text(cluster: Line, purpose: Purpose, title: String, text: &str, told: String) -> Self {
        let one_line: String = text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
        let field = Field {
            name: "".into(),
            kind: Kind::Json,
            text: TextField::long(&one_line, FORM_MAX),
            options: Vec::new(),
        };
        Self { cluster, purpose, title, fields: vec![field], at: 0, told, is_table: false, opener: None }
    }

    /// Gives a key to the field; whether the field took it.
    pub fn key(&mut self, key: Press) -> bool {
        let Some(field) = self.fields.get_mut(self.at) else { return false };
        if let (Code::Up | Code::Down, false) = (key.code, field.options.is_empty()) {
            field.offer(key.code == Code::Down);
            self.told.clear();
            return true;
        }
        match field.text.key(key) {
            Typed::Changed => {
                self.told.clear();
                true
            }
            Typed::Done | Typed::Cancelled | Typed::Ignored => false,
        }
    }

    /// Takes pasted text.
    pub fn paste(&mut self, text: &str) {
        if let Some(field) = self.fields.get_mut(self.at) {
            // JSON over several lines is the same on one.
            let text = if field.kind == Kind::Json { text.replace(['\n', '\r', '\t'], " ") } else { text.to_owned() };
            field.text.paste(&text);
            self.told.clear();
        }
    }

    /// To the next or the previous field.
    pub fn shift(&mut self, forward: bool) {
        let n = self.fields.len().max(1);
        self.at = (self.at + if forward { 1 } else { n - 1 }) % n;
    }

    /// The value that was typed.
    ///
    /// # Errors
    /// Which field can't be read, and why.
    pub fn value(&self) -> Result<Value, String> {
        if !self.is_table {
            let text = self.fields.first().map_or("", |f| f.text.as_str());
            return json::parse(text);
        }
        let mut table: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for field in &self.fields {
            let value = scalar(field.kind, field.text.as_str()).map_err(|why| format!("{}: {why}", field.name))?;
            table.insert(Arc::clone(&field.name), value);
        }
        Ok(Value::Table(table))
    }

    /// The name that was typed.
    #[must_use]
    pub fn name(&self) -> &str {
        self.fields.first().map_or("", |f| f.text.as_str().trim())
    }

    /// Whether a value is typed, and not a name.
    #[must_use]
    pub fn is_value(&self) -> bool {
        match self.purpose {
            Purpose::Value { .. } => true,
            Purpose::Addgroup
            | Purpose::Renamegroup(_)
            | Purpose::Setname
            | Purpose::Acknowledge(_)
            | Purpose::Silence(_) => false,
        }
    }

    /// From fields to JSON, or back.
    ///
    /// # Errors
    /// Why not: what is typed can't be read, or has no fields.
    pub fn turn(&mut self) -> Result<(), String> {
        if !self.is_value() {
            return Ok(());
        }
        let value = self.value()?;
        if self.is_table {
            self.fields = vec![json_field(Some(&value))];
        } else {
            let fields = fields(&value).filter(|f| !f.is_empty());
            self.fields = fields.ok_or("only a table of plain values has fields")?;
        }
        self.is_table = !self.is_table;
        self.at = 0;
        Ok(())
    }
}

fn json_field(value: Option<&Value>) -> Field {
    let text = value.map_or_else(String::new, ToString::to_string);
    Field { name: "".into(), kind: Kind::Json, text: TextField::long(&text, FORM_MAX), options: Vec::new() }
}

/// A field for each value of a table of scalars; `None` for anything else, or what would not fit.
fn fields(value: &Value) -> Option<Vec<Field>> {
    let Value::Table(table) = value else { return None };
    let field = |(name, value): (&Arc<str>, &Value)| {
        let (kind, text) = match value {
            Value::Bool(b) => (Kind::Bool, b.to_string()),
            Value::Int(n) => (Kind::Int, n.to_string()),
            Value::Float(_) => (Kind::Float, value.to_string()),
            // What a field can't show as it is would come back otherwise.
            Value::Text(text) if text.chars().any(|c| c.is_control() || crate::domain::text::is_dangerous(c)) => {
                return None;
            }
            // Left as it is, the mark keeps the secret.
            Value::Text(text) => (Kind::Text, secrets::shown(text).to_owned()),
            Value::List(_) | Value::Table(_) => return None,
        };
        let fits = text.chars().count() <= FORM_MAX;
        fits.then(|| Field {
            name: Arc::clone(name),
            kind,
            text: TextField::long(&text, FORM_MAX),
            options: Vec::new(),
        })
    };
    table.iter().map(field).collect()
}

fn scalar(kind: Kind, text: &str) -> Result<Value, String> {
    let word = text.trim();
    match kind {
        Kind::Json => json::parse(text),
        Kind::Text => Ok(Value::text(text)),
        Kind::Bool => match word {
            "true" | "yes" => Ok(Value::Bool(true)),
            "false" | "no" => Ok(Value::Bool(false)),
            _ => Err("true or false is expected".to_owned()),
        },
        Kind::Int => word.parse().map(Value::Int).map_err(|_| "a whole number is expected".to_owned()),
        Kind::Float => {
            let number = word.parse::<f64>().ok().filter(|n| n.is_finite());
            number.map(Value::Float).ok_or_else(|| "a number is expected".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(value: &Value) -> Form {
        let purpose = Purpose::Value { mode: ModeId::Cluster, feature: "x".into() };
        Form::of_value("id".into(), purpose, "x".to_owned(), Some(value))
    }

    #[test]
    fn a_flat_table_has_a_field_each_and_keeps_its_kinds() {
        let value = Value::table([("a", Value::Int(7)), ("b", Value::text("7")), ("c", Value::Bool(true))]);
        let mut form = form(&value);
        assert_eq!(form.fields.len(), 3);
        assert_eq!(form.value(), Ok(value.clone()));
        form.paste("x");
        assert_eq!(form.value(), Err("a: a whole number is expected".to_owned()));
        form.fields[0].text = TextField::new("8");
        assert_eq!(form.turn(), Ok(()));
        assert_eq!((form.fields.len(), form.fields[0].text.as_str()), (1, "{\"a\":8,\"b\":\"7\",\"c\":true}"));
        assert_eq!(form.turn(), Ok(()));
        assert_eq!(form.fields.len(), 3);
    }

    #[test]
    fn what_has_no_fields_is_json_and_hidden_signs_stay_visible() {
        for value in [
            Value::table([("a", Value::List(vec![]))]),
            Value::table([]),
            Value::table([("a", Value::text("x\u{202e}y"))]),
        ] {
            let form = form(&value);
            assert!(!form.is_table, "{value}");
            assert_eq!(form.value(), Ok(value));
        }
    }
}
