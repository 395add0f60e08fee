//! Values as people type and read them: JSON. What can't be read says where.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::domain::settings::{DEPTH_MAX, Value};

/// Longest text that is read, in bytes: that of the largest value that a peer takes in one commit is far below.
const TEXT_MAX: usize = 1 << 20;

/// The value that `text` says.
///
/// # Errors
/// What is wrong, and at which line and column.
pub fn parse(text: &str) -> Result<Value, String> {
    if text.len() > TEXT_MAX {
        return Err(format!("the text is longer than {TEXT_MAX} bytes"));
    }
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.wrong("nothing may follow the value"));
    }
    Ok(value)
}

/// `value` in indented lines, for reading and for an editor.
#[must_use]
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    out
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    let pad = "  ".repeat(depth + 1);
    let close = "  ".repeat(depth);
    // What is short and flat stays on one line.
    let flat = |v: &Value| matches!(v, Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_));
    let is_short = |items: &[Value]| items.iter().all(flat) && value.to_string().len() <= 60;
    match value {
        Value::List(items) if !items.is_empty() && !is_short(items) => {
            out.push_str("[\n");
            for (i, item) in items.iter().enumerate() {
                out.push_str(&pad);
                write_value(out, item, depth + 1);
                out.push_str(if i + 1 < items.len() { ",\n" } else { "\n" });
            }
            out.push_str(&close);
            out.push(']');
        }
        Value::Table(fields) if !fields.is_empty() => {
            out.push_str("{\n");
            for (i, (name, item)) in fields.iter().enumerate() {
                let _ = write!(out, "{pad}{}: ", Value::text(name));
                write_value(out, item, depth + 1);
                out.push_str(if i + 1 < fields.len() { ",\n" } else { "\n" });
            }
            out.push_str(&close);
            out.push('}');
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Table(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn wrong(&self, what: &str) -> String {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        if line == 1 && !self.text.contains('\n') {
            format!("no JSON at column {column}: {what}")
        } else {
            format!("no JSON at line {line}, column {column}: {what}")
        }
    }

    fn take(&mut self, token: char) -> bool {
        self.space();
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len_utf8();
        }
        there
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(self.wrong(&format!("nested deeper than {DEPTH_MAX}")));
        }
        self.space();
        match self.rest().chars().next() {
            Some('{') => self.table(depth),
            Some('[') => self.list(depth),
            Some('"') => Ok(Value::Text(self.text()?.into())),
            Some('t' | 'f' | 'n') => self.word(),
            Some('-' | '0'..='9') => self.number(),
            Some(_) => Err(self.wrong("a value is expected: {}, [], \"text\", a number, true or false")),
            None => Err(self.wrong("a value is missing")),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        for (word, value) in [("true", true), ("false", false)] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(Value::Bool(value));
            }
        }
        if self.rest().starts_with("null") {
            return Err(self.wrong("there is no null: unset the feature, or leave the field out"));
        }
        Err(self.wrong("a text stands in quotation marks"))
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = self.rest();
        let end = rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9')).unwrap_or(rest.len());
        let word = &rest[..end];
        let digits = word.trim_start_matches('-');
        let plain = digits.starts_with(|c: char| c.is_ascii_digit()) && !digits.ends_with(['.', 'e', 'E', '+', '-']);
        let padded =
            digits.len() > 1 && digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
        if !plain || padded {
            return Err(self.wrong("no number"));
        }
        let value = if word.contains(['.', 'e', 'E']) {
            word.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::Float)
        } else {
            word.parse::<i64>().ok().map(Value::Int)
        };
        let value = value.ok_or_else(|| self.wrong("the number is too large"))?;
        self.at += end;
        Ok(value)
    }

    /// A text, from its quotation mark on.
    fn text(&mut self) -> Result<String, String> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                self.at = start;
                return Err(self.wrong("the text has no end"));
            };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                c if u32::from(c) < 0x20 => {
                    self.at -= c.len_utf8();
                    return Err(self.wrong("a control character must be written as \\n, \\t or \\u...."));
                }
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let Some(c) = self.rest().chars().next() else { return Err(self.wrong("the text has no end")) };
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.unit()?;
                let pair = (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u");
                let units = if pair {
                    self.at += 2;
                    vec![high, self.unit()?]
                } else {
                    vec![high]
                };
                let mut decoded = char::decode_utf16(units);
                match (decoded.next(), decoded.next()) {
                    (Some(Ok(c)), None) => c,
                    _ => return Err(self.wrong("\\u stands for no character")),
                }
            }
            _ => return Err(self.wrong("after \\ comes one of \" \\ / b f n r t u")),
        })
    }

    fn unit(&mut self) -> Result<u16, String> {
        let digits = self.rest().get(..4).filter(|d| d.chars().all(|c| c.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u16::from_str_radix(d, 16).ok());
        let unit = unit.ok_or_else(|| self.wrong("after \\u come four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(']') {
                return Ok(Value::List(items));
            }
            if !self.take(',') {
                return Err(self.wrong("a comma or ] is expected"));
            }
        }
    }

    fn table(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut fields: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        if self.take('}') {
            return Ok(Value::Table(fields));
        }
        loop {
            self.space();
            if !self.rest().starts_with('"') {
                return Err(self.wrong("the name of a field is expected, in quotation marks"));
            }
            let start = self.at;
            let name = self.text()?;
            if !self.take(':') {
                return Err(self.wrong("a colon is expected after the name of a field"));
            }
            let value = self.value(depth + 1)?;
            if fields.insert(name.as_str().into(), value).is_some() {
                self.at = start;
                return Err(self.wrong(&format!("the field {} stands there twice", Value::text(&name))));
            }
            if self.take('}') {
                return Ok(Value::Table(fields));
            }
            if !self.take(',') {
                return Err(self.wrong("a comma or } is expected"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e12f64..1e12).prop_map(Value::Float),
            any::<String>().prop_map(|s| Value::text(&s)),
        ];
        scalar.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                prop::collection::btree_map(any::<String>().prop_map(|s| s.as_str().into()), inner, 0..6)
                    .prop_map(Value::Table),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_value()) {
            prop_assert_eq!(parse(&value.to_string()), Ok(value.clone()));
            prop_assert_eq!(parse(&pretty(&value)), Ok(value));
        }

        #[test]
        fn no_text_breaks_it(text in "[\\[\\]{}\":,\\\\a-u0-9.\\-+eE \n]{0,60}") {
            if let Ok(value) = parse(&text) {
                prop_assert_eq!(parse(&value.to_string()), Ok(value));
            }
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, told) in [
            ("", "a value is missing"),
            ("{\"a\": null}", "there is no null"),
            ("{\"a\": 1, \"a\": 2}", "column 10: the field \"a\" stands there twice"),
            ("[1,]", "column 4: a value is expected"),
            ("{\n  a: 1\n}", "line 2, column 3: the name of a field"),
            ("hello", "a value is expected"),
            ("007", "no number"),
            ("1 2", "nothing may follow"),
            ("\"a", "the text has no end"),
            ("99999999999999999999", "too large"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(told), "{text:?}: {why}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).unwrap_err().contains("nested deeper"));
    }
}
