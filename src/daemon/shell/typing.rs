//! What a session types: with a terminal it is edited, without one it is taken as it comes.

pub(super) use super::line::Input;
use super::line::LineEditor;

/// Longest line without a terminal, in bytes; the rest of a longer one is left out.
const LINE_MAX: usize = 4096;

/// The line that is being typed.
pub(super) enum Typing {
    /// A person at a terminal.
    Terminal(Box<LineEditor>),
    /// A script that writes lines.
    Plain(Vec<u8>),
}

impl Typing {
    /// `columns`: of the terminal, if there is one.
    pub fn new(columns: Option<u32>) -> Self {
        columns.map_or_else(|| Self::Plain(Vec::new()), |c| Self::Terminal(Box::new(LineEditor::new(c))))
    }

    /// The terminal's window has so many columns now.
    pub fn resize(&mut self, columns: u32) {
        match self {
            Self::Terminal(editor) => editor.resize(columns),
            Self::Plain(_) => {}
        }
    }

    /// Shows the prompt of the next line.
    pub fn prompt(&mut self, prompt: &str, out: &mut Vec<u8>) {
        match self {
            Self::Terminal(editor) => editor.prompt(prompt, out),
            Self::Plain(_) => out.extend_from_slice(prompt.as_bytes()),
        }
    }

    /// Takes one byte; what a terminal shall show for it is appended to `out`.
    pub fn feed(&mut self, byte: u8, out: &mut Vec<u8>) -> Option<Input> {
        let line = match self {
            Self::Terminal(editor) => return editor.feed(byte, out),
            Self::Plain(line) => line,
        };
        match byte {
            b'\n' => return Some(Input::Line(String::from_utf8_lossy(&std::mem::take(line)).into_owned())),
            b'\r' => {}
            _ if line.len() < LINE_MAX => line.push(byte),
            _ => {}
        }
        None
    }
}
