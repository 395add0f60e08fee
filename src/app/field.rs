//! A one-line text field.

use crate::app::keys::{Code, Key};
use crate::domain::text::clean;

/// Longest text that is taken, in characters.
const MAX: usize = 200;

/// Longest text of any field.
const LONG_MAX: usize = 65_536;

/// Text that is being typed; the cursor stands at its end.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TextField {
    text: String,
    /// How many characters more than usual it takes.
    more: usize,
}

/// What a key did to a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit {
    /// The text may have changed.
    Changed,
    /// Enter: the text stands.
    Done,
    /// Escape: never mind.
    Cancelled,
    /// Nothing that a field knows.
    Ignored,
}

impl TextField {
    /// A field that holds `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), more: 0 }
    }

    /// A field that holds `text` and takes up to `max` characters.
    #[must_use]
    pub fn long(text: &str, max: usize) -> Self {
        Self { text: text.to_owned(), more: max.min(LONG_MAX).saturating_sub(MAX) }
    }

    /// What stands in it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Edit {
        match key.code {
            Code::Enter => return Edit::Done,
            Code::Esc => return Edit::Cancelled,
            Code::Backspace => {
                self.text.pop();
            }
            Code::Char('u') if key.ctrl => self.text.clear(),
            Code::Char('w') if key.ctrl => {
                let kept = self.text.trim_end();
                let last = kept.rsplit(char::is_whitespace).next().unwrap_or("");
                let end = kept.len() - last.len();
                self.text.truncate(end);
            }
            _ => match key.text() {
                Some(c) => self.push(c),
                None => return Edit::Ignored,
            },
        }
        Edit::Changed
    }

    /// Takes pasted text, its first line only and cleaned.
    pub fn paste(&mut self, text: &str) {
        let line = text.lines().next().unwrap_or("");
        for c in clean(line, MAX + self.more).chars() {
            self.push(c);
        }
    }

    fn push(&mut self, c: char) {
        if !c.is_control() && self.text.chars().count() < MAX + self.more {
            self.text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_and_keeps_control_characters_out() {
        let mut field = TextField::default();
        field.paste("lab3 st\u{1b}[31mate\nq");
        assert_eq!(field.as_str(), "lab3 state");
        assert_eq!(field.key(Key { code: Code::Char('w'), ctrl: true, alt: false }), Edit::Changed);
        assert_eq!(field.as_str(), "lab3 ");
        assert_eq!(field.key(Key::plain(Code::Up)), Edit::Ignored);
        let mut wide = TextField::new("a\u{3000}b");
        assert_eq!(wide.key(Key { code: Code::Char('w'), ctrl: true, alt: false }), Edit::Changed);
        assert_eq!(wide.as_str(), "a\u{3000}", "a wide space is a space");
        field.paste(&"x".repeat(1000));
        assert_eq!(field.as_str().len(), MAX);
    }
}
