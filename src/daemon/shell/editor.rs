//! The smallest line editor that a person can work with: echo, erase, cancel, leave.

/// Longest line, in bytes.
const LINE_MAX: usize = 4096;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const CTRL_W: u8 = 23;
const ESCAPE: u8 = 27;
const DELETE: u8 = 127;

/// What a byte came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// The line goes on.
    Editing,
    /// The line is complete.
    Line(String),
    /// The line was given up.
    Cancel,
    /// The session is.
    Leave,
}

/// A line that is being typed.
#[derive(Debug)]
pub(super) struct Editor {
    line: Vec<u8>,
    echo: bool,
    /// Within an escape sequence (an arrow key, for instance), which is left out.
    escape: Option<u8>,
    was_return: bool,
}

impl Editor {
    /// `echo`: a terminal is at the other end.
    pub fn new(echo: bool) -> Self {
        Self { line: Vec::new(), echo, escape: None, was_return: false }
    }

    /// Takes one byte: what to show for it, and what it came to.
    pub fn take(&mut self, byte: u8) -> (String, Key) {
        if !self.echo {
            return (String::new(), self.take_plain(byte));
        }
        let was_return = std::mem::replace(&mut self.was_return, byte == b'\r');
        if let Some(first) = self.escape {
            let ends = match first {
                0 => byte != b'[' && byte != b'O',
                _ => byte.is_ascii_alphabetic() || byte == b'~',
            };
            self.escape = if ends { None } else { Some(byte.max(1)) };
            return (String::new(), Key::Editing);
        }
        match byte {
            b'\n' if was_return => (String::new(), Key::Editing),
            b'\r' | b'\n' => ("\n".into(), Key::Line(self.finish())),
            CTRL_C => {
                self.line.clear();
                ("^C\n".into(), Key::Cancel)
            }
            CTRL_D if self.line.is_empty() => ("\n".into(), Key::Leave),
            BACKSPACE | DELETE => (self.erase(1), Key::Editing),
            CTRL_U => (self.erase(usize::MAX), Key::Editing),
            CTRL_W => {
                let text = String::from_utf8_lossy(&self.line).into_owned();
                let kept = text.trim_end().rfind(' ').map_or(0, |at| at + 1);
                let gone = text.chars().count() - text[..kept].chars().count();
                (self.erase(gone), Key::Editing)
            }
            ESCAPE => {
                self.escape = Some(0);
                (String::new(), Key::Editing)
            }
            0..32 => (String::new(), Key::Editing),
            _ if self.line.len() >= LINE_MAX => (String::new(), Key::Editing),
            _ => {
                self.line.push(byte);
                (self.shown(), Key::Editing)
            }
        }
    }

    fn take_plain(&mut self, byte: u8) -> Key {
        match byte {
            b'\n' => Key::Line(self.finish()),
            b'\r' => Key::Editing,
            _ => {
                if self.line.len() < LINE_MAX {
                    self.line.push(byte);
                }
                Key::Editing
            }
        }
    }

    /// The character that the last byte completed.
    fn shown(&self) -> String {
        let tail = self.line.len().saturating_sub(4);
        (tail..self.line.len())
            .find_map(|from| {
                let text = std::str::from_utf8(&self.line[from..]).ok()?;
                text.chars().last().map(String::from)
            })
            .unwrap_or_default()
    }

    fn erase(&mut self, characters: usize) -> String {
        let mut shown = String::new();
        for _ in 0..characters {
            // The bytes of one character: continuation bytes, then its first.
            let mut any = false;
            while let Some(byte) = self.line.pop() {
                any = true;
                if byte & 0xc0 != 0x80 {
                    break;
                }
            }
            if !any {
                break;
            }
            shown.push_str("\u{8} \u{8}");
        }
        shown
    }

    fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> (String, Vec<Key>) {
        let mut editor = Editor::new(true);
        let mut shown = String::new();
        let mut keys = Vec::new();
        for b in bytes {
            let (echo, key) = editor.take(*b);
            shown.push_str(&echo);
            if key != Key::Editing {
                keys.push(key);
            }
        }
        (shown, keys)
    }

    #[test]
    fn a_line_is_echoed_and_completed_once() {
        assert_eq!(typed(b"version\r\n"), ("version\n".into(), vec![Key::Line("version".into())]));
    }

    #[test]
    fn erasing_takes_whole_characters() {
        let (shown, keys) = typed("stä\u{7f}atux\u{7f}s\r".as_bytes());
        assert_eq!(keys, vec![Key::Line("status".into())]);
        assert_eq!(shown.matches('\u{8}').count(), 4);
    }

    #[test]
    fn arrows_leave_nothing_behind() {
        assert_eq!(typed(b"ver\x1b[A\x1b[1;5Dsion\x1bOB\r").1, vec![Key::Line("version".into())]);
    }

    #[test]
    fn control_keys_cancel_erase_and_leave() {
        assert_eq!(typed(b"bad\x03").1, vec![Key::Cancel]);
        assert_eq!(typed(b"one two\x17three\x15ok\r").1, vec![Key::Line("ok".into())]);
        assert_eq!(typed(b"one two\x17three\r").1, vec![Key::Line("one three".into())]);
        assert_eq!(typed(b"x\x04\r").1, vec![Key::Line("x".into())], "not while something is typed");
        assert_eq!(typed(b"\x04").1, vec![Key::Leave]);
    }
}
