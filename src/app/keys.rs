//! Keys as the console knows them, apart from any terminal library, and chords made of them.

use std::fmt;
use std::str::FromStr;

/// What was pressed, without modifiers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Code {
    /// A character, as typed: `G` is not `g`.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Insert.
    Insert,
    /// A function key, from 1.
    F(u8),
}

const NAMED: [(&str, Code); 28] = [
    ("Enter", Code::Enter),
    ("Esc", Code::Esc),
    ("Tab", Code::Tab),
    ("Shift-Tab", Code::BackTab),
    ("Backspace", Code::Backspace),
    ("Delete", Code::Delete),
    ("Up", Code::Up),
    ("Down", Code::Down),
    ("Left", Code::Left),
    ("Right", Code::Right),
    ("Home", Code::Home),
    ("End", Code::End),
    ("PageUp", Code::PageUp),
    ("PageDown", Code::PageDown),
    ("Space", Code::Char(' ')),
    ("Insert", Code::Insert),
    ("F1", Code::F(1)),
    ("F2", Code::F(2)),
    ("F3", Code::F(3)),
    ("F4", Code::F(4)),
    ("F5", Code::F(5)),
    ("F6", Code::F(6)),
    ("F7", Code::F(7)),
    ("F8", Code::F(8)),
    ("F9", Code::F(9)),
    ("F10", Code::F(10)),
    ("F11", Code::F(11)),
    ("F12", Code::F(12)),
];

/// One key press. Shift is part of the character.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// What was pressed.
    pub code: Code,
    /// With Ctrl held.
    pub ctrl: bool,
    /// With Alt held.
    pub alt: bool,
}

impl Key {
    /// A key without modifiers.
    #[must_use]
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    /// What a terminal sends the same bytes for, so that this key never arrives as it is written.
    #[must_use]
    pub fn arrives_as(self) -> Option<Self> {
        let Code::Char(c) = self.code else { return None };
        if !self.ctrl {
            return None;
        }
        let code = match c {
            'i' | 'I' => Code::Tab,
            'm' | 'M' => Code::Enter,
            '[' => Code::Esc,
            c if c.is_ascii_uppercase() => return Some(Self { code: Code::Char(c.to_ascii_lowercase()), ..self }),
            _ => return None,
        };
        Some(Self { code, ctrl: false, ..self })
    }

    /// The character that a text field takes for it.
    #[must_use]
    pub fn text(self) -> Option<char> {
        match self.code {
            Code::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

/// A key that can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a key: write a character, `Enter`, `Esc`, `Tab`, `Up`, `PageDown`, ... or `Ctrl-` and a letter")]
pub struct UnknownKey(String);

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, code)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(Self::plain(*code));
        }
        for (prefix, ctrl) in [("Ctrl-", true), ("Alt-", false)] {
            if let Some(rest) = text.strip_prefix(prefix) {
                let key: Self = rest.parse()?;
                return Ok(Self { ctrl: key.ctrl || ctrl, alt: key.alt || !ctrl, ..key });
            }
        }
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() && !c.is_whitespace() => Ok(Self::plain(Code::Char(c))),
            (Some(_) | None, _) => Err(UnknownKey(text.to_owned())),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("Ctrl-")?;
        }
        if self.alt {
            f.write_str("Alt-")?;
        }
        match NAMED.iter().find(|(_, code)| *code == self.code) {
            Some((name, _)) => f.write_str(name),
            None => match self.code {
                Code::Char(c) => write!(f, "{c}"),
                other => write!(f, "{other:?}"),
            },
        }
    }
}

/// The keys that have a name.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(name, _)| *name)
}

/// One or more keys, pressed one after the other: `g g`.
///
/// # Errors
/// When one of them is not a key.
pub fn chord(text: &str) -> Result<Vec<Key>, UnknownKey> {
    let keys: Vec<Key> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(UnknownKey(text.to_owned())) } else { Ok(keys) }
}

/// A chord as it is written.
#[must_use]
pub fn print(chord: &[Key]) -> String {
    chord.iter().map(Key::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_names_characters_and_modifiers() {
        assert_eq!("G".parse(), Ok(Key::plain(Code::Char('G'))));
        assert_eq!("enter".parse(), Ok(Key::plain(Code::Enter)));
        assert_eq!("Ctrl-c".parse(), Ok(Key { code: Code::Char('c'), ctrl: true, alt: false }));
        assert_eq!(chord("g g").map(|k| k.len()), Ok(2));
        assert!("".parse::<Key>().is_err());
        assert!("gg".parse::<Key>().is_err());
        assert!(chord("  ").is_err());
    }

    proptest! {
        #[test]
        fn printing_a_key_and_reading_it_again_gives_the_same(c in "\\PC", ctrl: bool, alt: bool) {
            let c = c.chars().next().unwrap();
            prop_assume!(!c.is_whitespace() || c == ' ');
            let key = Key { code: Code::Char(c), ctrl, alt };
            prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
        }
    }
}
