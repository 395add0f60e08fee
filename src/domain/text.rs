//! Text from outside, made harmless where it enters (rule 1 of the overview).
//!
//! A peer's name or message may hold terminal escapes, bidirectional controls or ten thousand
//! characters. [`clean`] is the only door: control characters go, invisible and direction-changing
//! ones too, white space becomes a plain space, and what is too long ends in an ellipsis.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// Longest [`Line`], in characters: room for a sentence with two host names.
pub const LINE_MAX: usize = 400;

/// Longest name, in characters: the limit of a DNS name.
pub const NAME_MAX: usize = 253;

/// One line of clean, bounded text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(Arc<str>);

impl Line {
    /// Cleans `raw` and keeps at most [`LINE_MAX`] characters.
    #[must_use]
    pub fn new(raw: &str) -> Self {
        if raw.is_empty() { Self::default() } else { Self(cleaned(raw, LINE_MAX).into()) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Line {
    fn default() -> Self {
        // Most facts have no text: they share this one.
        static EMPTY: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        Self(EMPTY.clone())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&str> for Line {
    fn from(raw: &str) -> Self {
        Self::new(raw)
    }
}

impl From<String> for Line {
    fn from(raw: String) -> Self {
        Self::new(&raw)
    }
}

/// `raw` without anything that could move a cursor, hide or reorder text, at most `max` characters long.
///
/// Cleaning twice changes nothing.
#[must_use]
pub fn clean(raw: &str, max: usize) -> String {
    let mut out = String::with_capacity(raw.len().min(max.saturating_mul(4)));
    let mut count = 0;
    let mut blank = true; // Leading white space is dropped.
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' || c == '\u{9b}' || c == '\u{9d}' || c == '\u{90}' {
            skip_escape(c, &mut chars);
            continue;
        }
        let c = if c.is_whitespace() { ' ' } else { c };
        if is_dangerous(c) || (c == ' ' && blank) {
            continue;
        }
        if count == max {
            out.pop();
            while out.ends_with(' ') {
                out.pop();
            }
            if max > 0 {
                out.push('…');
            }
            return out;
        }
        blank = c == ' ';
        out.push(c);
        count += 1;
    }
    while out.ends_with(' ') {
        out.pop();
    }
    out
}

/// As [`clean`], without a copy of what is plain ASCII and clean already: nearly all names are.
pub(crate) fn cleaned(raw: &str, max: usize) -> Cow<'_, str> {
    let mut blank = true;
    let plain = raw.len() <= max
        && raw.bytes().all(|b| {
            let before = std::mem::replace(&mut blank, b == b' ');
            b.is_ascii_graphic() || (b == b' ' && !before)
        });
    if plain && (!blank || raw.is_empty()) { Cow::Borrowed(raw) } else { Cow::Owned(clean(raw, max)) }
}

/// Characters that steer a terminal, are invisible, or change the direction of what follows.
pub(crate) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Leaves out what belongs to an escape sequence, so that its parameters don't stay behind as text.
fn skip_escape(start: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let kind = match start {
        '\u{1b}' => match chars.peek() {
            Some('[') => '[',
            Some(']' | 'P' | '_' | '^' | 'X') => ']',
            Some(c) if c.is_ascii_graphic() => {
                chars.next();
                return;
            }
            Some(_) | None => return,
        },
        '\u{9b}' => '[',
        _ => ']',
    };
    if start == '\u{1b}' {
        chars.next();
    }
    // Bounded: an unterminated sequence must not swallow a whole message.
    for _ in 0..64 {
        match chars.peek() {
            Some(c) if kind == '[' && ('@'..='~').contains(c) => {
                chars.next();
                return;
            }
            Some('\u{7}') if kind == ']' => {
                chars.next();
                return;
            }
            Some('\u{1b}') | None => return,
            Some(_) => {
                chars.next();
            }
        }
    }
}
