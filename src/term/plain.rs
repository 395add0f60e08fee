//! Colours for terminals that know only a few: `38;5;N` means "blink, then something" to an old one.

use std::io::{self, Write};

use super::Palette;

/// The longest sequence that is looked at; a longer one is no colour.
const SEQUENCE_MAX: usize = 64;

/// Writes on, with the colours of the first sixteen as the terminal's own numbers.
#[derive(Debug)]
pub struct PlainColours<W> {
    out: W,
    palette: Palette,
    /// A sequence whose end has not come yet.
    open: Vec<u8>,
}

impl<W: Write> PlainColours<W> {
    /// Writes to `out` for a terminal of `palette`.
    pub fn new(out: W, palette: Palette) -> Self {
        Self { out, palette, open: Vec::new() }
    }

    fn byte(&mut self, byte: u8) -> io::Result<()> {
        match (self.open.len(), byte) {
            (0, 0x1b) | (1, b'[') => self.open.push(byte),
            (0, _) => self.out.write_all(&[byte])?,
            (2.., b'm') => {
                let text = rewritten(&self.open[2..], self.palette);
                self.open.clear();
                write!(self.out, "\x1b[{text}m")?;
            }
            (2..SEQUENCE_MAX, b'0'..=b'9' | b';') => self.open.push(byte),
            (_, _) => {
                self.out.write_all(&self.open)?;
                self.open.clear();
                if byte == 0x1b {
                    self.open.push(byte);
                } else {
                    self.out.write_all(&[byte])?;
                }
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for PlainColours<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.palette == Palette::Full {
            return self.out.write(bytes);
        }
        for byte in bytes {
            self.byte(*byte)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn rewritten(parameters: &[u8], palette: Palette) -> String {
    let text = String::from_utf8_lossy(parameters);
    let parts: Vec<&str> = text.split(';').collect();
    let mut out: Vec<String> = Vec::with_capacity(parts.len());
    let mut at = 0;
    while at < parts.len() {
        let number = || parts.get(at + 2).and_then(|n| n.parse::<u8>().ok()).filter(|n| *n < 16);
        match (parts[at], parts.get(at + 1), number()) {
            (ground @ ("38" | "48"), Some(&"5"), Some(n)) => {
                out.push(own_number(ground == "38", n, palette).to_string());
                at += 3;
            }
            (other, _, _) => {
                out.push(other.to_owned());
                at += 1;
            }
        }
    }
    out.join(";")
}

fn own_number(foreground: bool, n: u8, palette: Palette) -> u8 {
    let base = if foreground { 30 } else { 40 };
    match (palette, n) {
        (_, 0..8) => base + n,
        (Palette::Sixteen | Palette::Full, _) => base + 60 + n - 8,
        // Grey would be black on black.
        (Palette::Eight, 8) => base + 9,
        (Palette::Eight, _) => base + n - 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(pieces: &[&str], palette: Palette) -> String {
        let mut out = PlainColours::new(Vec::new(), palette);
        for piece in pieces {
            out.write_all(piece.as_bytes()).unwrap();
        }
        String::from_utf8(out.out).unwrap()
    }

    #[test]
    fn c15_an_old_terminal_never_blinks() {
        assert_eq!(written(&["\x1b[38;5;9;48;5;0mX\x1b[0m"], Palette::Sixteen), "\x1b[91;40mX\x1b[0m");
        assert_eq!(written(&["\x1b[38;5;9mX"], Palette::Eight), "\x1b[31mX");
        assert_eq!(written(&["\x1b[38;5;8mX"], Palette::Eight), "\x1b[39mX", "grey stays readable");
        assert_eq!(written(&["\x1b[38", ";5;", "1mX\x1b[2", "J"], Palette::Eight), "\x1b[31mX\x1b[2J", "in pieces");
        assert_eq!(written(&["\x1b[38;5;200m"], Palette::Sixteen), "\x1b[38;5;200m");
        assert_eq!(written(&["\x1b[39;49;1mé\x1b[1;1H"], Palette::Eight), "\x1b[39;49;1mé\x1b[1;1H");
    }

    proptest! {
        #[test]
        fn all_else_is_written_as_it_is(text in "[ -~\\x1b\\[;m0-9é]{0,80}") {
            prop_assume!(!text.contains("38;5;") && !text.contains("48;5;"));
            // What is still open at the end waits for its end.
            let text = format!("{text} ");
            prop_assert_eq!(written(&[&text], Palette::Eight), text);
        }
    }
}
