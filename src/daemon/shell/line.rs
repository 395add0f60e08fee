//! Line editing: bytes of a terminal in, bytes for the terminal and whole lines out. Knows no channel and no clock.

use unicode_width::UnicodeWidthChar;

/// Longest line, in characters.
const LINE_MAX: usize = 1024;

/// Lines that are remembered.
const HISTORY_MAX: usize = 100;

/// Longest escape sequence that is waited for, in bytes.
const ESCAPE_MAX: usize = 16;

/// What the person at the terminal has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A line is finished.
    Line(String),
    /// Ctrl-C: the line is given up.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
}

/// Where in an escape sequence or a character the input stands.
#[derive(Default)]
enum Pending {
    #[default]
    Nothing,
    /// After ESC.
    Escape,
    /// After ESC [ or ESC O, with what came since.
    Sequence(Vec<u8>),
    /// Within a character of several bytes.
    Utf8(Vec<u8>),
}

/// The line that is being typed.
pub(super) struct LineEditor {
    prompt: String,
    columns: usize,
    line: Vec<char>,
    cursor: usize,
    /// First character that is shown.
    left: usize,
    history: Vec<String>,
    /// Place in the history, and the line that was being typed.
    recall: Option<(usize, Vec<char>)>,
    pending: Pending,
    /// The last byte was a carriage return: a line feed after it belongs to it.
    after_return: bool,
}

impl LineEditor {
    /// For a terminal of so many columns.
    pub(super) fn new(columns: u32) -> Self {
        let mut editor = Self {
            prompt: String::new(),
            columns: 80,
            line: Vec::new(),
            cursor: 0,
            left: 0,
            history: Vec::new(),
            recall: None,
            pending: Pending::Nothing,
            after_return: false,
        };
        editor.resize(columns);
        editor
    }

    /// The terminal has another width now. Some clients say 0 for "unknown".
    pub(super) fn resize(&mut self, columns: u32) {
        self.columns = match columns {
            0 => 80,
            n => usize::try_from(n).unwrap_or(80).clamp(20, 1000),
        };
    }

    /// Shows the prompt of the next line.
    pub(super) fn prompt(&mut self, prompt: &str, out: &mut Vec<u8>) {
        prompt.clone_into(&mut self.prompt);
        out.extend_from_slice(prompt.as_bytes());
    }

    /// Takes one byte and appends what the terminal shall show to `out`.
    pub(super) fn feed(&mut self, byte: u8, out: &mut Vec<u8>) -> Option<Input> {
        let after_return = std::mem::take(&mut self.after_return);
        match std::mem::take(&mut self.pending) {
            Pending::Nothing => {}
            Pending::Escape => {
                match byte {
                    b'[' | b'O' => self.pending = Pending::Sequence(Vec::new()),
                    _ => {} // Alt and a key: nothing here.
                }
                return None;
            }
            Pending::Sequence(mut parameters) => {
                if (0x40..=0x7e).contains(&byte) {
                    self.key(&parameters, byte, out);
                } else if parameters.len() < ESCAPE_MAX && (0x20..0x40).contains(&byte) {
                    parameters.push(byte);
                    self.pending = Pending::Sequence(parameters);
                }
                return None;
            }
            Pending::Utf8(mut bytes) => {
                if byte & 0xc0 == 0x80 {
                    bytes.push(byte);
                    match std::str::from_utf8(&bytes) {
                        Ok(text) => {
                            for c in text.chars() {
                                self.insert(c, out);
                            }
                        }
                        Err(_) if bytes.len() < 4 => self.pending = Pending::Utf8(bytes),
                        Err(_) => {}
                    }
                    return None;
                }
                // A broken character is left out; the byte itself counts.
            }
        }
        match byte {
            b'\n' if after_return => None,
            b'\r' | b'\n' => {
                self.after_return = byte == b'\r';
                Some(Input::Line(self.enter(out)))
            }
            0x01 => self.go(0, out),
            0x02 => self.go(self.cursor.saturating_sub(1), out),
            0x03 => {
                self.clear();
                out.extend_from_slice(b"^C\r\n");
                Some(Input::Interrupt)
            }
            0x04 if self.line.is_empty() => {
                out.extend_from_slice(b"\r\n");
                Some(Input::End)
            }
            0x04 => self.delete(self.cursor, self.cursor + 1, out),
            0x05 => self.go(self.line.len(), out),
            0x06 => self.go(self.cursor + 1, out),
            0x08 | 0x7f => self.delete(self.cursor.saturating_sub(1), self.cursor, out),
            0x0b => self.delete(self.cursor, self.line.len(), out),
            0x0c => {
                out.extend_from_slice(b"\x1b[H\x1b[2J");
                self.draw(out);
                None
            }
            0x0e => self.newer(out),
            0x10 => self.older(out),
            0x15 => self.delete(0, self.cursor, out),
            0x17 => self.delete(self.word_start(), self.cursor, out),
            0x1b => {
                self.pending = Pending::Escape;
                None
            }
            0x20..0x7f => self.insert(char::from(byte), out),
            0xc2..0xf5 => {
                self.pending = Pending::Utf8(vec![byte]);
                None
            }
            0x00..0x20 | 0x80..0xc2 | 0xf5..=0xff => None,
        }
    }

    /// A key that sends an escape sequence.
    fn key(&mut self, parameters: &[u8], end: u8, out: &mut Vec<u8>) {
        match (parameters, end) {
            (_, b'A') => self.older(out),
            (_, b'B') => self.newer(out),
            (_, b'C') => self.go(self.cursor + 1, out),
            (_, b'D') => self.go(self.cursor.saturating_sub(1), out),
            (_, b'H') | (b"1" | b"7", b'~') => self.go(0, out),
            (_, b'F') | (b"4" | b"8", b'~') => self.go(self.line.len(), out),
            (b"3", b'~') => self.delete(self.cursor, self.cursor + 1, out),
            _ => None,
        };
    }

    fn insert(&mut self, c: char, out: &mut Vec<u8>) -> Option<Input> {
        // Control characters, and those that join to others, would break the count of columns.
        c.width().filter(|w| *w > 0)?;
        if self.line.len() >= LINE_MAX {
            out.push(0x07);
            return None;
        }
        self.line.insert(self.cursor, c);
        self.cursor += 1;
        let fits = self.left == 0 && self.used(0, self.line.len()) < self.room();
        if self.cursor == self.line.len() && fits {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            self.draw(out);
        }
        None
    }

    fn delete(&mut self, from: usize, to: usize, out: &mut Vec<u8>) -> Option<Input> {
        let to = to.min(self.line.len());
        if from < to {
            self.line.drain(from..to);
            self.cursor = from;
            self.draw(out);
        }
        None
    }

    fn go(&mut self, to: usize, out: &mut Vec<u8>) -> Option<Input> {
        let to = to.min(self.line.len());
        if to != self.cursor {
            self.cursor = to;
            self.draw(out);
        }
        None
    }

    fn word_start(&self) -> usize {
        let before = &self.line[..self.cursor];
        let word_end = before.iter().rposition(|c| *c != ' ').map_or(0, |i| i + 1);
        before[..word_end].iter().rposition(|c| *c == ' ').map_or(0, |i| i + 1)
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> String {
        let line: String = self.line.iter().collect();
        if self.left > 0 || self.cursor < self.line.len() {
            self.cursor = self.line.len();
            self.draw(out);
        }
        out.extend_from_slice(b"\r\n");
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            if self.history.len() == HISTORY_MAX {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        self.clear();
        line
    }

    fn clear(&mut self) {
        self.line.clear();
        self.cursor = 0;
        self.left = 0;
        self.recall = None;
    }

    fn older(&mut self, out: &mut Vec<u8>) -> Option<Input> {
        let at = self.recall.as_ref().map_or(self.history.len(), |(at, _)| *at);
        let at = at.checked_sub(1)?;
        if self.recall.is_none() {
            self.recall = Some((at, self.line.clone()));
        }
        self.show(at, out)
    }

    fn newer(&mut self, out: &mut Vec<u8>) -> Option<Input> {
        let at = self.recall.as_ref()?.0 + 1;
        self.show(at, out)
    }

    /// Shows the remembered line `at`, or after the last one what was being typed.
    fn show(&mut self, at: usize, out: &mut Vec<u8>) -> Option<Input> {
        match self.history.get(at) {
            Some(line) => {
                self.line = line.chars().collect();
                if let Some((place, _)) = &mut self.recall {
                    *place = at;
                }
            }
            None => self.line = self.recall.take()?.1,
        }
        self.cursor = self.line.len();
        self.draw(out);
        None
    }

    /// Columns of the characters from `from` to `to`.
    fn used(&self, from: usize, to: usize) -> usize {
        self.line[from..to].iter().map(|c| c.width().unwrap_or(0)).sum()
    }

    /// Columns for the line: a long one scrolls sideways instead of wrapping, so that one row is all that is drawn.
    fn room(&self) -> usize {
        let prompt: usize = self.prompt.chars().map(|c| c.width().unwrap_or(0)).sum();
        self.columns.saturating_sub(prompt).max(10)
    }

    /// Draws prompt and line anew and puts the cursor where it belongs.
    fn draw(&mut self, out: &mut Vec<u8>) {
        let room = self.room();
        self.left = self.left.min(self.cursor);
        while self.used(self.left, self.cursor) >= room {
            self.left += 1;
        }
        // No unused room on the right while something is hidden on the left.
        while self.left > 0 && self.used(self.left - 1, self.line.len()) < room {
            self.left -= 1;
        }
        let mut end = self.left;
        while end < self.line.len() && self.used(self.left, end + 1) < room {
            end += 1;
        }
        out.push(b'\r');
        out.extend_from_slice(self.prompt.as_bytes());
        out.extend(self.line[self.left..end].iter().collect::<String>().into_bytes());
        out.extend_from_slice(b"\x1b[K");
        let back = self.used(self.cursor, end.max(self.cursor));
        if back > 0 {
            out.extend_from_slice(format!("\x1b[{back}D").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(editor: &mut LineEditor, bytes: &[u8]) -> (Vec<Input>, String) {
        let mut out = Vec::new();
        let inputs = bytes.iter().filter_map(|b| editor.feed(*b, &mut out)).collect();
        (inputs, String::from_utf8(out).expect("only whole characters come out"))
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        let (inputs, _) = type_in(&mut LineEditor::new(80), bytes);
        inputs
            .into_iter()
            .filter_map(|i| match i {
                Input::Line(line) => Some(line),
                Input::Interrupt | Input::End => None,
            })
            .collect()
    }

    /// What the terminal shows in its last row, and the column of the cursor.
    fn screen(bytes: &[u8], columns: u16) -> (String, u16) {
        let mut editor = LineEditor::new(u32::from(columns));
        let mut out = Vec::new();
        editor.prompt("> ", &mut out);
        for b in bytes {
            editor.feed(*b, &mut out);
        }
        let mut terminal = vt100::Parser::new(4, columns, 0);
        terminal.process(&out);
        let (row, column) = terminal.screen().cursor_position();
        assert_eq!(row, 0, "the line never wraps");
        (terminal.screen().rows(0, columns).next().unwrap_or_default(), column)
    }

    #[test]
    fn echoes_and_ends_lines_of_every_kind() {
        assert_eq!(lines(b"version\rstatus\nhelp\r\n\r"), ["version", "status", "help", ""]);
        let (_, echo) = type_in(&mut LineEditor::new(80), b"ab\r");
        assert_eq!(echo, "ab\r\n");
    }

    #[test]
    fn backspace_and_control_keys_edit() {
        assert_eq!(lines(b"statxx\x7f\x08us\r"), ["status"]);
        assert_eq!(lines(b"rubbish\x15version\r"), ["version"]);
        assert_eq!(lines(b"clusterconfig list  \x17connstatus\r"), ["clusterconfig connstatus"]);
        assert_eq!(lines(b"abcd\x02\x02\x0b\r"), ["ab"]);
        assert_eq!(lines(b"bcd\x01a\x05e\r"), ["abcde"]);
        assert_eq!(lines(b"abx\x1b[D\x1b[3~c\r"), ["abc"]);
        assert_eq!(lines(b"bc\x1b[Ha\x1b[Fd\x1b[1~_\x1b[4~_\r"), ["_abcd_"]);
        assert_eq!(lines(b"ac\x1bOD\x02\x06b\r"), ["abc"]);
    }

    #[test]
    fn interrupt_gives_the_line_up_and_end_needs_an_empty_one() {
        let (inputs, echo) = type_in(&mut LineEditor::new(80), b"rem\x03\x04");
        assert_eq!(inputs, [Input::Interrupt, Input::End]);
        assert!(echo.contains("^C\r\n"));
        let (inputs, _) = type_in(&mut LineEditor::new(80), b"ab\x01\x04\r");
        assert_eq!(inputs, [Input::Line("b".into())]);
    }

    #[test]
    fn history_goes_up_and_down_and_keeps_what_was_typed() {
        assert_eq!(lines(b"one\rtwo\r\x1b[A\x1b[A\r"), ["one", "two", "one"]);
        assert_eq!(lines(b"one\rtwo\rhalf\x1b[A\x1b[A\x1b[A\x1b[B\x1b[B!\r"), ["one", "two", "half!"]);
        assert_eq!(lines(b"one\rone\r \r\x10\x10\r"), ["one", "one", " ", "one"]);
    }

    #[test]
    fn characters_of_several_bytes_stay_whole() {
        assert_eq!(lines("grüße 測試\x7f\r".as_bytes()), ["grüße 測"]);
        // A broken one is left out, and so is what would steer the terminal.
        assert_eq!(lines(b"a\xc3b\xff\xe6\xb8c\x00\x07\r"), ["abc"]);
        assert_eq!(lines("a\u{9b}31mb\u{202e}\r".as_bytes()), ["a31mb"]);
    }

    #[test]
    fn long_lines_scroll_sideways() {
        let text = "0123456789".repeat(5);
        let (row, column) = screen(text.as_bytes(), 30);
        assert!(row.starts_with("> ") && row.ends_with('9'), "{row:?}");
        assert!(column <= 29);
        let (row, column) = screen(format!("{text}\x01").as_bytes(), 30);
        assert!(row.starts_with("> 0123456789"), "{row:?}");
        assert_eq!(column, 2);
        let (row, _) = screen(format!("{text}\x15abc").as_bytes(), 30);
        assert_eq!(row.trim_end(), "> abc");
    }

    #[test]
    fn the_cursor_stands_where_the_next_character_goes() {
        assert_eq!(screen("測試ab\x02\x02\x02".as_bytes(), 40), ("> 測試ab".into(), 4));
        assert_eq!(screen(b"abc\x1b[D\x7f", 40), ("> ac".into(), 3));
    }

    #[test]
    fn lines_are_bounded() {
        let mut bytes = vec![b'x'; 5000];
        bytes.push(b'\r');
        assert_eq!(lines(&bytes)[0].len(), LINE_MAX);
        let mut escape = b"\x1b[".to_vec();
        escape.extend(vec![b'1'; 5000]);
        escape.extend(b"\rok\r");
        assert!(lines(&escape).last().is_some_and(|l| l.ends_with("ok")));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, columns: u32) {
            let mut editor = LineEditor::new(columns);
            let mut out = Vec::new();
            for b in bytes {
                editor.feed(b, &mut out);
                proptest::prop_assert!(editor.cursor <= editor.line.len() && editor.left <= editor.cursor);
            }
            proptest::prop_assert!(String::from_utf8(out).is_ok());
        }
    }
}
