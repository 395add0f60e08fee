//! The keymap file: a person's differences over the table of actions.
//!
//! ```toml
//! "x" = "sort"          # wherever sort works
//! "d" = "unbind"        # everywhere
//! [events]              # in one place only; weighs more than the lines above
//! "g e" = "bottom"
//! ```

use std::fmt::Write as _;
use std::path::Path;

use strum::IntoEnumIterator;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::problem::{Invalid, Problem, did_you_mean};
use super::table::{Reader, Value};
use crate::app::action::{Action, Scope, TABLE};
use crate::app::keymap::{Change, Clash, Keymap, Place, Remark};
use crate::app::keys::{self, Key};
use crate::domain::text::clean;

/// The word that takes what keys do away.
const UNBIND: &str = "unbind";

/// A keymap that was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Loaded {
    /// What keys do.
    pub keymap: Keymap,
    /// What is worth a word: actions without any key.
    pub remarks: Vec<Problem>,
}

/// Reads the text of a keymap file.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(file: &Path, text: &str) -> Result<Loaded, Invalid> {
    let mut reader = Reader::new(file, text);
    let changes = read(&mut reader);
    match Keymap::with(&changes) {
        Ok((keymap, remarks)) => {
            let problems = reader.finish();
            if problems.is_empty() {
                let remarks = remarks.iter().map(|r| remark(file, &keymap, r)).collect();
                Ok(Loaded { keymap, remarks })
            } else {
                Err(Invalid(problems))
            }
        }
        Err(clashes) => {
            let mut problems = reader.finish();
            problems.extend(clashes.iter().map(|c| problem(file, c)));
            problems.sort_by_key(|p| p.line);
            Err(Invalid(problems))
        }
    }
}

/// The differences as a file says them.
///
/// # Errors
/// What is wrong with the file itself, before differences are held against each other.
pub fn changes(file: &Path, text: &str) -> Result<Vec<Change>, Invalid> {
    let mut reader = Reader::new(file, text);
    let changes = read(&mut reader);
    let problems = reader.finish();
    if problems.is_empty() { Ok(changes) } else { Err(Invalid(problems)) }
}

/// A file that says these differences.
#[must_use]
pub fn print(changes: &[Change]) -> String {
    let mut out = String::new();
    let mut lines = |scope: Option<Scope>| {
        let of = changes.iter().filter(|c| c.scope == scope);
        let text: String = of.map(line).collect();
        match scope {
            Some(scope) if !text.is_empty() => {
                let _ = writeln!(out, "[{}]", scope.name());
            }
            Some(_) | None => {}
        }
        out.push_str(&text);
    };
    lines(None);
    for scope in Scope::iter() {
        lines(Some(scope));
    }
    out
}

fn line(change: &Change) -> String {
    let chord = keys::print(&change.chord).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{chord}\" = \"{}\"\n", change.action.map_or(UNBIND, Action::name))
}

/// A keymap file in which every line is a comment: explanations begin with `##`, keys with `#`.
/// With the first `#` of every line taken away it is valid and changes nothing.
#[must_use]
pub fn template() -> String {
    let mut out = String::from(
        "## Keymap of peerdeck: ~/.config/peerdeck/keys.toml. It holds only what differs from the keys below.\n\
         ## A line above all sections holds wherever the action works; a section holds in one place and weighs more.\n\
         ## Keys: a character, Enter, Esc, Tab, Shift-Tab, Space, Up, PageDown, F1, ...; Ctrl-x, Alt-x; chords: \"g g\".\n\
         ## \"unbind\" takes away what keys do. `peerdeck config check` reads this file; a running console takes it over.\n\
         #\n##\"Ctrl-n\" = \"next-fault\"\n##\"f\" = \"unbind\"\n",
    );
    for scope in Scope::iter() {
        let _ = writeln!(out, "#\n## {}\n#[{}]", scope.title(), scope.name());
        for spec in TABLE.iter().filter(|s| s.scopes.contains(&scope)) {
            let _ = writeln!(out, "## {}: {}", spec.action.name(), spec.help);
            for chord in spec.keys.iter().filter_map(|k| keys::chord(k).ok()) {
                let change = Change { scope: Some(scope), chord, action: Some(spec.action), line: 0 };
                let _ = write!(out, "#{}", line(&change));
            }
        }
    }
    out
}

fn read(reader: &mut Reader<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    let Some(document) = reader.document() else { return changes };
    for (key, value) in &document {
        let DeValue::Table(table) = value.get_ref() else {
            changes.extend(change(reader, None, key, value));
            continue;
        };
        let name = key.get_ref().as_ref();
        let Some(scope) = Scope::iter().find(|s| s.name() == name) else {
            let names: Vec<&str> = Scope::iter().map(Scope::name).collect();
            let hint = did_you_mean(name, names.iter().copied());
            let what = format!("unknown section [{}]{hint} (there are {})", short(name), names.join(", "));
            reader.complain(&key.span(), what);
            // Its lines are read all the same, so that all that is wrong is told at once.
            changes_of(reader, None, table);
            continue;
        };
        changes.extend(changes_of(reader, Some(scope), table));
    }
    changes.sort_by_key(|c| c.line);
    changes
}

fn changes_of(reader: &mut Reader<'_>, scope: Option<Scope>, table: &DeTable<'_>) -> Vec<Change> {
    table.iter().filter_map(|(key, value)| change(reader, scope, key, value)).collect()
}

fn change(
    reader: &mut Reader<'_>,
    scope: Option<Scope>,
    key: &Spanned<DeString<'_>>,
    value: &Value<'_>,
) -> Option<Change> {
    let chord = chord(reader, key);
    let name = reader.string(&short(key.get_ref().as_ref()), value)?;
    let action = if name == UNBIND {
        None
    } else {
        let found = Action::iter().find(|a| a.name() == name);
        if found.is_none() {
            let hint = did_you_mean(&name, Action::iter().map(Action::name).chain([UNBIND]));
            let what =
                format!("unknown action \"{}\"{hint} (`peerdeck config template --keys` lists them)", short(&name));
            reader.complain(&value.span(), what);
            return None;
        }
        found
    };
    Some(Change { scope, chord: chord?, action, line: reader.line(&key.span()) })
}

fn chord(reader: &mut Reader<'_>, key: &Spanned<DeString<'_>>) -> Option<Vec<Key>> {
    let text = key.get_ref().as_ref();
    if text.trim().is_empty() {
        reader.complain(&key.span(), "no key is named: write the space bar as \"Space\"");
        return None;
    }
    let mut chord = Vec::new();
    for word in text.split_whitespace() {
        let Ok(typed) = word.parse::<Key>() else {
            let what = format!(
                "\"{}\" is not a key{} (a character, Enter, Esc, Up, F1, ..., Ctrl-x or Alt-x; chords with a space between: \
                 \"g g\")",
                short(word),
                key_hint(word)
            );
            reader.complain(&key.span(), what);
            continue;
        };
        if let Some(other) = typed.arrives_as() {
            reader.complain(&key.span(), format!("a terminal can't tell {typed} from {other}: write \"{other}\""));
        } else {
            chord.push(typed);
        }
    }
    (chord.len() == text.split_whitespace().count()).then_some(chord)
}

/// What was probably meant by a word that is no key: other programs' ways to write one, keys without spaces.
fn key_hint(word: &str) -> String {
    let bare = word.trim_start_matches('<').trim_end_matches('>');
    let lower = bare.to_lowercase();
    for (prefix, ours) in [
        ("ctrl-", "Ctrl-"),
        ("ctrl+", "Ctrl-"),
        ("c-", "Ctrl-"),
        ("^", "Ctrl-"),
        ("alt-", "Alt-"),
        ("alt+", "Alt-"),
        ("m-", "Alt-"),
    ] {
        let Some(rest) = lower.strip_prefix(prefix) else { continue };
        let candidate = format!("{ours}{rest}");
        if candidate.parse::<Key>().is_ok() {
            return format!(", did you mean \"{candidate}\"?");
        }
    }
    let hint = did_you_mean(bare, keys::names());
    if hint.is_empty() && bare.chars().count() == 2 && bare.chars().all(char::is_alphanumeric) {
        let spaced: Vec<String> = bare.chars().map(String::from).collect();
        return format!(", did you mean \"{}\"?", spaced.join(" "));
    }
    hint
}

fn problem(file: &Path, clash: &Clash) -> Problem {
    let (line, what) = match clash {
        Clash::Twice { chord, first, second } => {
            let what = format!("\"{}\" is bound already, at {}", keys::print(chord), place(file, Place::Line(*first)));
            (Some(*second), what)
        }
        Clash::Prefix { scopes, short, long } => {
            let name = |(chord, action, at): &(Vec<Key>, Action, Place)| {
                format!("\"{}\" = {} ({})", keys::print(chord), action.name(), place(file, *at))
            };
            let what = format!(
                "{} is the beginning of {}, in {}: one of them could never be typed. Unbind one",
                name(short),
                name(long),
                titles(scopes)
            );
            let lines = [short.2, long.2].into_iter().filter_map(|p| match p {
                Place::Line(line) => Some(line),
                Place::BuiltIn => None,
            });
            (lines.max(), what)
        }
        Clash::NotThere { action, scope, line } => {
            let spec = TABLE.iter().find(|s| s.action == *action);
            let there: Vec<&str> = spec.map_or(&[][..], |s| s.scopes).iter().map(|s| s.name()).collect();
            let what =
                format!("{} does nothing in [{}]; it works in {}", action.name(), scope.name(), there.join(", "));
            (Some(*line), what)
        }
        Clash::Enter { action, line } => {
            (Some(*line), format!("Enter alone never does \"{}\": choose another key", action.name()))
        }
        Clash::NoWayOut { scopes } => {
            let what = format!(
                "no key is left for \"{}\" in {}: nobody could leave from there",
                Action::Interrupt.name(),
                titles(scopes)
            );
            (None, what)
        }
    };
    Problem { file: file.to_owned(), line, what }
}

fn remark(file: &Path, keymap: &Keymap, remark: &Remark) -> Problem {
    let (line, what) = match remark {
        Remark::Keyless { action, scopes, line } => {
            let elsewhere = Scope::iter().any(|s| keymap.first_key(s, *action).is_some());
            let at = if elsewhere { format!(" in {}", titles(scopes)) } else { String::new() };
            (*line, format!("\"{}\" has no key left{at}", action.name()))
        }
        Remark::Idle { chord, line } => {
            (*line, format!("\"{}\" did nothing before: nothing to unbind", keys::print(chord)))
        }
    };
    Problem { file: file.to_owned(), line: Some(line), what }
}

fn place(file: &Path, place: Place) -> String {
    match place {
        Place::Line(line) => format!("{}:{line}", file.display()),
        Place::BuiltIn => "built in".to_owned(),
    }
}

fn titles(scopes: &[Scope]) -> String {
    scopes.iter().map(|s| format!("[{}]", s.name())).collect::<Vec<_>>().join(", ")
}

fn short(text: &str) -> String {
    clean(text, 40)
}
