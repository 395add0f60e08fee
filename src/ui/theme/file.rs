//! One theme file: what it says, and everything that is wrong with it.

use std::collections::BTreeMap;
use std::ops::Range;

use ratatui::style::{Color, Modifier, Style};
use strum::IntoEnumIterator;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Role, ThemeError};
use crate::app::words::did_you_mean;
use crate::ui::colour;

const TOP: [&str; 4] = ["name", "inherits", "palette", "roles"];
const MODIFIERS: [(&str, Modifier); 5] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underlined", Modifier::UNDERLINED),
    ("reversed", Modifier::REVERSED),
];

/// What a file says of one role: names of colours, not yet looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Look {
    fg: Option<String>,
    bg: Option<String>,
    modifiers: Modifier,
    /// Counted from 1.
    pub line: usize,
}

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct File {
    /// As it is called in messages.
    pub path: String,
    pub name: String,
    /// Another theme, and on which line it is named.
    pub inherits: Option<(String, usize)>,
    pub palette: BTreeMap<String, Color>,
    pub roles: BTreeMap<Role, Look>,
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    errors: Vec<ThemeError>,
}

impl File {
    /// Reads a file. One that gives no name is called as the file is.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<ThemeError>> {
        let mut reader = Reader { file, text, errors: Vec::new() };
        let read = reader.read();
        let mut errors = reader.errors;
        errors.sort_by_key(|e| e.line);
        errors.dedup();
        match read {
            Some(read) if errors.is_empty() => Ok(read),
            Some(_) | None => Err(errors),
        }
    }
}

/// The name that a theme file has if it gives none.
pub(super) fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".toml").unwrap_or(name)
}

impl Reader<'_> {
    fn complain(&mut self, span: &Range<usize>, problem: String) {
        self.errors.push(ThemeError { file: self.file.to_owned(), line: self.line(span), problem });
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let end = span.start.min(self.text.len());
        self.text.get(..end).map_or(1, |before| before.matches('\n').count() + 1)
    }

    fn read(&mut self) -> Option<File> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.complain(&error.span().unwrap_or(0..0), error.message().trim().replace('\n', ", "));
        }
        if !self.errors.is_empty() {
            return None;
        }
        let document = document.into_inner();
        let mut read = File {
            path: self.file.to_owned(),
            name: stem(self.file).to_owned(),
            inherits: None,
            palette: BTreeMap::new(),
            roles: BTreeMap::new(),
        };
        for (key, value) in &document {
            match key.get_ref().as_ref() {
                "name" => {
                    if let Some(name) = self.text_of("name", value) {
                        read.name = name;
                    }
                }
                "inherits" => {
                    let line = self.line(&value.span());
                    read.inherits = self.text_of("inherits", value).map(|name| (name, line));
                }
                "palette" => read.palette = self.palette(value),
                "roles" => read.roles = self.roles(value),
                other => {
                    let hint = did_you_mean(other, TOP);
                    self.complain(&key.span(), format!("unknown key `{other}`{hint} (there are {})", TOP.join(", ")));
                }
            }
        }
        Some(read)
    }

    fn palette(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Color> {
        let mut palette = BTreeMap::new();
        let Some(table) = self.table("palette", value) else { return palette };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(text) = self.text_of(name, value) else { continue };
            match colour::parse(&text) {
                Some(colour) => {
                    palette.insert(name.to_owned(), colour);
                }
                None => self.complain(&value.span(), unknown_colour(&text, &BTreeMap::new())),
            }
        }
        palette
    }

    fn roles(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<Role, Look> {
        let mut roles = BTreeMap::new();
        let Some(table) = self.table("roles", value) else { return roles };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(role) = Role::iter().find(|r| r.name() == name) else {
                let hint = did_you_mean(name, Role::iter().map(Role::name));
                self.complain(&key.span(), format!("unknown role `{name}`{hint}"));
                continue;
            };
            if let Some(look) = self.look(name, value) {
                roles.insert(role, look);
            }
        }
        roles
    }

    fn look(&mut self, role: &str, value: &Spanned<DeValue<'_>>) -> Option<Look> {
        let mut look = Look { fg: None, bg: None, modifiers: Modifier::empty(), line: self.line(&value.span()) };
        for (key, value) in self.table(role, value)? {
            let name = key.get_ref().as_ref();
            match (name, MODIFIERS.iter().find(|(m, _)| *m == name)) {
                ("fg", _) => look.fg = self.text_of("fg", value),
                ("bg", _) => look.bg = self.text_of("bg", value),
                (_, Some((_, modifier))) => match value.get_ref() {
                    DeValue::Boolean(on) => look.modifiers.set(*modifier, *on),
                    other => {
                        self.complain(
                            &value.span(),
                            format!("`{name}` must be true or false, not {}", other.type_str()),
                        );
                    }
                },
                (_, None) => {
                    let known: Vec<&str> = ["fg", "bg"].into_iter().chain(MODIFIERS.map(|(m, _)| m)).collect();
                    let hint = did_you_mean(name, known.iter().copied());
                    self.complain(&key.span(), format!("unknown key `{name}`{hint} (there are {})", known.join(", ")));
                }
            }
        }
        Some(look)
    }

    fn table<'v, 'i>(&mut self, key: &str, value: &'v Spanned<DeValue<'i>>) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                self.complain(&value.span(), format!("`{key}` must be a table, not {}", other.type_str()));
                None
            }
        }
    }

    fn text_of(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.as_ref().to_owned()),
            other => {
                self.complain(&value.span(), format!("`{key}` must be a text in quotes, not {}", other.type_str()));
                None
            }
        }
    }
}

impl Look {
    /// The style, with the colours of `palette`.
    ///
    /// # Errors
    /// Each colour that is none.
    pub fn style(&self, palette: &BTreeMap<String, Color>) -> Result<Style, Vec<String>> {
        let mut wrong = Vec::new();
        let mut colour = |name: &Option<String>| {
            let Some(name) = name else { return Color::Reset };
            palette.get(name).copied().or_else(|| colour::parse(name)).unwrap_or_else(|| {
                wrong.push(unknown_colour(name, palette));
                Color::Reset
            })
        };
        let (fg, bg) = (colour(&self.fg), colour(&self.bg));
        // Complete, so that nothing of what stood in a cell before shines through.
        let mut style = Style::new().fg(fg).bg(bg);
        style.sub_modifier = Modifier::all();
        if wrong.is_empty() { Ok(style.add_modifier(self.modifiers)) } else { Err(wrong) }
    }
}

fn unknown_colour(name: &str, palette: &BTreeMap<String, Color>) -> String {
    let mut known: Vec<&str> = palette.keys().map(String::as_str).collect();
    known.extend(colour::names());
    let hint = did_you_mean(name, known);
    format!(
        "`{name}` is no colour{hint} (a name of the palette, `#rrggbb`, 0 to 255, `default`, or one of the 16 names: \
         `red`, `bright-red`, ...)"
    )
}
