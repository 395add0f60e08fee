//! `apply FILE`: many changes as one commit, in TOML or JSON.
//!
//! ```toml
//! comment = "new relays"
//!
//! [[change]]
//! mode = "group:Paris"
//! feature = "smtproutes"
//! value = { "example.com" = ["mx1.example.com:25"] }
//!
//! [[change]]
//! do = "unset"
//! mode = "lab5"
//! feature = "smtproutes"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::want::{To, Want};
use crate::config::problem::{Invalid, Problem, did_you_mean};
use crate::domain::settings::{EDITS_MAX, Value};
use crate::proto::settings::from_json;

/// A file of changes.
#[derive(Clone, PartialEq, Debug)]
pub struct Changes {
    /// What it is for; `-m` outranks it.
    pub comment: Option<String>,
    /// In order.
    pub wants: Vec<Want>,
    /// Of each, where it stands: `line 12`, or `change 3` where lines are not known.
    pub places: Vec<String>,
}

/// What `do` may say, and what belongs to it: what must be there, and what may.
const KINDS: &[(&str, &[&str], &[&str])] = &[
    ("set", &["mode", "feature", "value"], &[]),
    ("unset", &["mode", "feature"], &[]),
    ("copy", &["feature", "from", "to"], &[]),
    ("move", &["feature", "from", "to"], &[]),
    ("setgroup", &["peers", "group"], &[]),
    ("addgroup", &["name"], &[]),
    ("renamegroup", &["group", "name"], &[]),
    ("deletegroup", &["group"], &["move-to"]),
    ("removemachine", &["peer"], &[]),
    ("sethost", &["peer", "host"], &["address"]),
    ("setname", &["name"], &[]),
];

/// A field with its line, if that is known.
type Field = (Value, Option<usize>);

/// A table of the file, whichever language it is in.
struct Table {
    fields: BTreeMap<String, Field>,
    line: Option<usize>,
}

/// A whole file.
struct Root {
    fields: BTreeMap<String, Field>,
    changes: Vec<Table>,
}

struct Reader<'a> {
    file: &'a Path,
    problems: Vec<Problem>,
}

/// Reads the text of `file`.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(file: &Path, text: &str) -> Result<Changes, Invalid> {
    let mut reader = Reader { file, problems: Vec::new() };
    let root = if is_json(file, text) { reader.json(text) } else { reader.toml(text) };
    let changes = root.map(|root| reader.changes(root));
    match changes {
        Some(changes) if reader.problems.is_empty() => Ok(changes),
        Some(_) | None => {
            reader.problems.sort_by_key(|p| p.line);
            Err(Invalid(reader.problems))
        }
    }
}

/// By its name; without one by its first letter: TOML begins with neither `{` nor a list.
fn is_json(file: &Path, text: &str) -> bool {
    match file.extension().and_then(|e| e.to_str()) {
        Some("json") => true,
        Some("toml") => false,
        _ => match text.trim_start().as_bytes() {
            [b'{', ..] => true,
            [b'[', rest @ ..] => rest.trim_ascii_start().first() == Some(&b'{') || rest.trim_ascii() == b"]",
            _ => false,
        },
    }
}

impl Reader<'_> {
    fn complain(&mut self, line: Option<usize>, what: impl Into<String>) {
        self.problems.push(Problem { file: self.file.to_owned(), line, what: what.into() });
    }

    fn json(&mut self, text: &str) -> Option<Root> {
        let json: serde_json::Value = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(e) => {
                self.complain(Some(e.line()), format!("this is not JSON: {e}"));
                return None;
            }
        };
        // A bare list is a list of changes.
        let json = if json.is_array() { serde_json::json!({ "change": json }) } else { json };
        let Value::Table(fields) = self.known(from_json(&json).map_err(|e| e.to_string()), None)? else {
            self.complain(None, "this must be a table with a list named \"change\"");
            return None;
        };
        let mut root = Root { fields: BTreeMap::new(), changes: Vec::new() };
        for (key, value) in fields {
            match value {
                Value::List(items) if &*key == "change" => {
                    for (n, item) in items.into_iter().enumerate() {
                        let Value::Table(fields) = item else {
                            self.complain(None, format!("change {}: this must be a table", n + 1));
                            continue;
                        };
                        let fields = fields.into_iter().map(|(k, v)| (k.to_string(), (v, None))).collect();
                        root.changes.push(Table { fields, line: None });
                    }
                }
                value => drop(root.fields.insert(key.to_string(), (value, None))),
            }
        }
        Some(root)
    }

    fn toml(&mut self, text: &str) -> Option<Root> {
        let line = |at: usize| Some(text.get(..at.min(text.len())).map_or(1, |before| before.split('\n').count()));
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let what = error.message().trim().replace('\n', ", ");
            self.complain(line(error.span().map_or(0, |s| s.start)), what);
        }
        if !errors.is_empty() {
            return None;
        }
        let mut out = Root { fields: BTreeMap::new(), changes: Vec::new() };
        for (key, value) in root.get_ref() {
            let at = line(key.span().start);
            let items = match value.get_ref() {
                DeValue::Array(items) if &**key.get_ref() == "change" => items,
                other => {
                    if let Some(value) = self.known(from_toml(other), at) {
                        out.fields.insert(key.get_ref().to_string(), (value, at));
                    }
                    continue;
                }
            };
            for item in items {
                let at = line(item.span().start);
                let DeValue::Table(change) = item.get_ref() else {
                    self.complain(at, "each change is a table: write [[change]]");
                    continue;
                };
                let mut table = Table { fields: BTreeMap::new(), line: at };
                for (key, value) in change {
                    let at = line(key.span().start);
                    if let Some(value) = self.known(from_toml(value.get_ref()), at) {
                        table.fields.insert(key.get_ref().to_string(), (value, at));
                    }
                }
                out.changes.push(table);
            }
        }
        Some(out)
    }

    fn known<T>(&mut self, read: Result<T, String>, line: Option<usize>) -> Option<T> {
        read.map_err(|why| self.complain(line, why)).ok()
    }

    fn changes(&mut self, mut root: Root) -> Changes {
        let comment = root.fields.remove("comment").and_then(|field| self.text("comment", field));
        for (key, (_, line)) in root.fields {
            if key == "change" {
                self.complain(line, "there can be several of these: write [[change]] instead of [change]");
                continue;
            }
            let hint = did_you_mean(&key, ["comment", "change"]);
            self.complain(line, format!("\"{key}\" is not known here{hint}"));
        }
        if root.changes.is_empty() && self.problems.is_empty() {
            self.complain(None, "there is no change in it: write [[change]]");
        }
        if root.changes.len() > EDITS_MAX {
            self.complain(None, format!("{} changes: one commit takes at most {EDITS_MAX}", root.changes.len()));
        }
        let (mut wants, mut places) = (Vec::new(), Vec::new());
        for (n, table) in root.changes.into_iter().enumerate() {
            let place = table.line.map_or_else(|| format!("change {}", n + 1), |line| format!("line {line}"));
            if let Some(want) = self.want(&place, table) {
                wants.push(want);
                places.push(place);
            }
        }
        Changes { comment, wants, places }
    }

    fn want(&mut self, place: &str, mut table: Table) -> Option<Want> {
        let at = table.line;
        // JSON has no lines: the number of the change stands in.
        let said = |what: String| if at.is_some() { what } else { format!("{place}: {what}") };
        let before = self.problems.len();
        let kind = match table.fields.remove("do") {
            Some(field) => self.text("do", field)?,
            None => "set".to_owned(),
        };
        let Some((_, must, may)) = KINDS.iter().find(|(name, ..)| *name == kind) else {
            let names: Vec<&str> = KINDS.iter().map(|(name, ..)| *name).collect();
            let hint = did_you_mean(&kind, names.iter().copied());
            self.complain(at, said(format!("do = \"{kind}\" is not known{hint}: it can be {}", names.join(", "))));
            return None;
        };
        for (key, (_, line)) in &table.fields {
            if !must.contains(&key.as_str()) && !may.contains(&key.as_str()) {
                let hint = did_you_mean(key, must.iter().chain(may.iter()).copied().chain(["do"]));
                let what = format!("\"{key}\" does not belong to {kind}{hint}: it takes {}", must.join(", "));
                self.complain(*line, said(what));
            }
        }
        for key in must.iter().filter(|key| !table.fields.contains_key(**key)) {
            self.complain(at, said(format!("{kind} needs \"{key}\"")));
        }
        if self.problems.len() > before {
            return None;
        }
        let fields = &mut table.fields;
        let mut text = |fields: &mut BTreeMap<String, Field>, key: &str| {
            fields.remove(key).and_then(|field| self.text(key, field))
        };
        Some(match kind.as_str() {
            "unset" => Want::Unset { mode: text(fields, "mode")?, feature: text(fields, "feature")? },
            "copy" | "move" => {
                let (feature, from) = (text(fields, "feature")?, text(fields, "from")?);
                let to = To::parse(&text(fields, "to")?);
                if kind == "copy" { Want::Copy { feature, from, to } } else { Want::Move { feature, from, to } }
            }
            "addgroup" => Want::AddGroup { name: text(fields, "name")? },
            "renamegroup" => Want::RenameGroup { old: text(fields, "group")?, new: text(fields, "name")? },
            "deletegroup" => {
                let name = text(fields, "group")?;
                let move_to = if fields.contains_key("move-to") { Some(text(fields, "move-to")?) } else { None };
                Want::DeleteGroup { name, move_to }
            }
            "removemachine" => Want::RemoveMachine { peer: text(fields, "peer")? },
            "sethost" => {
                let (peer, host) = (text(fields, "peer")?, text(fields, "host")?);
                let address = if fields.contains_key("address") { Some(text(fields, "address")?) } else { None };
                Want::SetHost { peer, host, address }
            }
            "setname" => Want::SetName { name: text(fields, "name")? },
            "setgroup" => {
                let group = text(fields, "group")?;
                let (value, line) = fields.remove("peers")?;
                let Some(peers) = texts(&value) else {
                    self.complain(line, said("\"peers\" must be a list of texts, like [\"lab1\", \"lab2\"]".into()));
                    return None;
                };
                Want::SetGroup { peers, group }
            }
            _ => {
                let (mode, feature) = (text(fields, "mode")?, text(fields, "feature")?);
                Want::Set { mode, feature, value: Arc::new(fields.remove("value")?.0) }
            }
        })
    }

    fn text(&mut self, key: &str, (value, line): Field) -> Option<String> {
        match value.as_text().map(str::trim) {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            Some(_) | None => {
                self.complain(line, format!("\"{key}\" must be a text in quotes that is not empty"));
                None
            }
        }
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::List(items) if !items.is_empty() => items.iter().map(|i| i.as_text().map(str::to_owned)).collect(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Table(_) => None,
    }
}

/// A value from TOML. Dates have no place in settings: they are texts there.
///
/// # Errors
/// For dates, and numbers that no field can hold; in words.
pub fn from_toml(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::text(text),
        DeValue::Integer(n) => {
            let parsed = i64::from_str_radix(&n.as_str().replace('_', ""), n.radix());
            Value::Int(parsed.map_err(|_| format!("{n} is too large for a number"))?)
        }
        DeValue::Float(n) => match n.as_str().replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float(number),
            Ok(_) | Err(_) => return Err(format!("{n} is no number that a setting can hold")),
        },
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Datetime(date) => return Err(format!("a date is a text in settings: write \"{date}\" in quotes")),
        DeValue::Array(items) => Value::List(items.iter().map(|i| from_toml(i.get_ref())).collect::<Result<_, _>>()?),
        DeValue::Table(fields) => {
            let field = |(k, v): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let name: &toml::de::DeString<'_> = k.get_ref();
                Ok((Arc::from(&**name), from_toml(v.get_ref())?))
            };
            Value::Table(fields.iter().map(field).collect::<Result<_, String>>()?)
        }
    })
}

/// What a file that is read from standard input is called.
#[must_use]
pub fn name_of(word: &str) -> PathBuf {
    PathBuf::from(if word == "-" { "standard input" } else { word })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Changes, String> {
        parse(Path::new(name), text).map_err(|e| e.to_string())
    }

    const TOML: &str = r#"comment = "new relays"

[[change]]
mode = "cluster"
feature = "smtproutes"
value = { "example.com" = ["mx1:25"], "b" = [] }

[[change]]
do = "unset"
mode = "lab5"
feature = "smtproutes"

[[change]]
do = "set"
mode = "group:Paris"
feature = "listenerconfig"
[change.value.public]
port = 25
tls = true

[[change]]
do = "move"
feature = "dnsconfig"
from = "lab1"
to = "all-groups"

[[change]]
do = "setgroup"
peers = ["lab3", "lab4"]
group = "Rome"

[[change]]
do = "deletegroup"
group = "Paris"
"#;

    const JSON: &str = r#"{"comment": "new relays", "change": [
        {"mode": "cluster", "feature": "smtproutes", "value": {"example.com": ["mx1:25"], "b": []}},
        {"do": "unset", "mode": "lab5", "feature": "smtproutes"},
        {"do": "set", "mode": "group:Paris", "feature": "listenerconfig", "value": {"public": {"port": 25, "tls": true}}},
        {"do": "move", "feature": "dnsconfig", "from": "lab1", "to": "all-groups"},
        {"do": "setgroup", "peers": ["lab3", "lab4"], "group": "Rome"},
        {"do": "deletegroup", "group": "Paris"}
    ]}"#;

    #[test]
    fn c16_toml_and_json_say_the_same() {
        let toml = read("x.toml", TOML).unwrap();
        assert_eq!(toml.comment.as_deref(), Some("new relays"));
        assert_eq!(toml.wants.len(), 6);
        let value =
            Value::table([("example.com", Value::List(vec![Value::text("mx1:25")])), ("b", Value::List(vec![]))]);
        let set = Want::Set { mode: "cluster".into(), feature: "smtproutes".into(), value: Arc::new(value) };
        assert_eq!(toml.wants[0], set);
        let public = Value::table([("public", Value::table([("port", Value::Int(25)), ("tls", Value::Bool(true))]))]);
        assert!(matches!(&toml.wants[2], Want::Set { value, .. } if **value == public), "{:?}", toml.wants[2]);
        assert!(matches!(&toml.wants[3], Want::Move { to: To::AllGroups, .. }));
        assert_eq!(toml.wants[5], Want::DeleteGroup { name: "Paris".into(), move_to: None });
        assert_eq!(toml.places[..2], ["line 3", "line 8"]);
        let json = read("x.json", JSON).unwrap();
        assert_eq!((&json.wants, json.comment), (&toml.wants, toml.comment));
        assert_eq!(json.places[1], "change 2");
        for text in [TOML, JSON] {
            assert_eq!(read("standard input", text).unwrap().wants, toml.wants, "told apart by its text");
        }
        let list = serde_json::from_str::<serde_json::Value>(JSON).unwrap()["change"].to_string();
        assert_eq!(read("standard input", &list).unwrap().wants, toml.wants, "a bare list");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_with_its_line() {
        let text = "coment = \"x\"\n[[change]]\nmode = \"cluster\"\nfeture = \"smtproutes\"\nvalue = 1\n\n\
                    [[change]]\ndo = \"unste\"\nmode = \"lab1\"\n\n[[change]]\ndo = \"setgroup\"\npeers = \"lab1\"\ngroup = \"\"\n";
        let why = read("x.toml", text).unwrap_err();
        for says in [
            "x.toml:1: \"coment\" is not known here, did you mean \"comment\"?",
            "x.toml:4: \"feture\" does not belong to set, did you mean \"feature\"?",
            "x.toml:2: set needs \"feature\"",
            "did you mean \"unset\"?",
            "x.toml:14: \"group\"",
        ] {
            assert!(why.contains(says), "{says}:\n{why}");
        }
        for (name, text, says) in [
            ("x.toml", "", "there is no change"),
            ("x.json", "[]", "there is no change"),
            ("x.json", "{\n\"change\": [}", "x.json:2: this is not JSON"),
            ("x.toml", "[[change]\n", "x.toml:1:"),
            ("x.toml", "[change]\nmode = \"a\"\n", "write [[change]]"),
            ("x.json", r#"[{"mode": "a", "feature": "b"}]"#, "change 1: set needs \"value\""),
            ("x.json", r#"[{"mode": "a", "feature": "b", "value": null}]"#, "null"),
            ("x.toml", "[[change]]\nmode=\"a\"\nfeature=\"b\"\nvalue=1979-05-27\n", "write \"1979-05-27\" in quotes"),
            ("x.toml", "[[change]]\nmode=\"a\"\nfeature=\"b\"\nvalue=inf\n", "no number"),
            ("x.json", "[3]", "must be a table"),
        ] {
            let why = read(name, text).unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
    }
}
