//! The clipboard of the person's own terminal, by OSC 52: it works over SSH, where no other way does.

use std::io::{self, Write};

use data_encoding::BASE64;

use super::Multiplexer;

/// The most that is copied at once, in bytes: terminals drop sequences that are longer than about 100 kB.
pub const COPY_MAX: usize = 72 * 1024;

/// GNU screen drops device control strings that are longer than 768 bytes.
const SCREEN_CHUNK: usize = 700;

/// The sequences that put `text` into the clipboard of the terminal behind `multiplexer`.
#[must_use]
pub fn copy_sequence(text: &str, multiplexer: Multiplexer) -> String {
    let plain = format!("\x1b]52;c;{}\x07", BASE64.encode(text.as_bytes()));
    match multiplexer {
        Multiplexer::None => plain,
        // Once for tmux itself (`set-clipboard on`), once past it (`allow-passthrough on`): either may be off.
        Multiplexer::Tmux => format!("{plain}\x1bPtmux;{}\x1b\\", plain.replace('\x1b', "\x1b\x1b")),
        Multiplexer::Screen => past_screen(&plain),
        // tmux ignores what is wrapped for screen, and screen ignores the plain form.
        Multiplexer::Either => format!("{plain}{}", past_screen(&plain)),
    }
}

fn past_screen(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + plain.len() / SCREEN_CHUNK * 4 + 8);
    let mut rest = plain;
    while !rest.is_empty() {
        // All of it is ASCII.
        let (chunk, after) = rest.split_at(rest.len().min(SCREEN_CHUNK));
        out.push_str("\x1bP");
        out.push_str(chunk);
        out.push_str("\x1b\\");
        rest = after;
    }
    out
}

/// Puts `text` into the clipboard.
///
/// # Errors
/// When the terminal can't be written to.
pub fn copy(out: &mut impl Write, text: &str, multiplexer: Multiplexer) -> io::Result<()> {
    out.write_all(copy_sequence(text, multiplexer).as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c15_goes_through_tmux_and_screen() {
        assert_eq!(copy_sequence("hi", Multiplexer::None), "\x1b]52;c;aGk=\x07");
        assert_eq!(copy_sequence("hi", Multiplexer::Tmux), "\x1b]52;c;aGk=\x07\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\");
        assert_eq!(copy_sequence("hi", Multiplexer::Screen), "\x1bP\x1b]52;c;aGk=\x07\x1b\\");
    }

    #[test]
    fn screen_gets_pieces_that_it_takes_and_that_make_up_the_whole() {
        let text = "x".repeat(5000);
        let sent = copy_sequence(&text, Multiplexer::Screen);
        let pieces: Vec<&str> = sent.split("\x1b\\").filter(|p| !p.is_empty()).collect();
        assert!(pieces.len() > 5 && pieces.iter().all(|p| p.len() <= 768));
        let whole: String = pieces.iter().map(|p| p.strip_prefix("\x1bP").unwrap()).collect();
        assert_eq!(whole, copy_sequence(&text, Multiplexer::None));
    }
}
