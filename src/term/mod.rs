//! The terminal as a guarded resource: modes, input, signals.
//!
//! [`Guard`] takes the terminal and gives it back however the program ends; [`Signals`] are those that the
//! console answers; [`Hangup`] notices a terminal that is gone, which the input alone does not.

use std::io::{self, IsTerminal, Write};

mod alarm;
mod guard;
mod hangup;
mod panic;
mod signals;

pub use alarm::Alarm;
pub use guard::Guard;
pub use hangup::Hangup;
pub use panic::{install_hook, own, take_foreign_panic};
pub use signals::{Signal, Signals, stop_group, stop_self};

/// Why there can be no console here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Output goes elsewhere.
    #[error(
        "the console needs a terminal, and standard output is none. Start it in a terminal, or use `peerdeck status`, `peerdeck connstatus --json` or `peerdeck watch`, which need none"
    )]
    Output,
    /// Input comes from elsewhere, and there is no controlling terminal either.
    #[error(
        "the console needs a keyboard: standard input is no terminal, and there is no /dev/tty. Use `ssh -t`, `docker run -it`, or `peerdeck status` and `peerdeck watch`, which need none"
    )]
    Input,
    /// The terminal can't place text.
    #[error(
        "the console can't draw on a terminal of type `dumb` or without a type: set TERM to what it is (for instance `xterm-256color`), or use `peerdeck status` or `peerdeck watch`"
    )]
    Dumb,
}

/// Whether there is a terminal that a console can be drawn on; `term` is the variable TERM.
///
/// # Errors
/// What is missing, and what to do.
pub fn check(term: Option<&str>) -> Result<(), Refusal> {
    if !io::stdout().is_terminal() {
        return Err(Refusal::Output);
    }
    if !io::stdin().is_terminal() && std::fs::File::open("/dev/tty").is_err() {
        return Err(Refusal::Input);
    }
    match term {
        None | Some("" | "dumb") => Err(Refusal::Dumb),
        Some(_) => Ok(()),
    }
}

/// Whether signs outside ASCII are shown: by the locale, and never on the Linux console, whose font lacks them.
#[must_use]
pub fn shows_unicode(lc_all: Option<&str>, lc_ctype: Option<&str>, lang: Option<&str>, term: Option<&str>) -> bool {
    let locale = [lc_all, lc_ctype, lang].into_iter().flatten().find(|v| !v.is_empty()).unwrap_or("");
    let locale = locale.to_ascii_lowercase();
    term != Some("linux") && (locale.contains("utf-8") || locale.contains("utf8"))
}

/// Sounds the bell.
///
/// # Errors
/// When the terminal can't be written to.
pub fn bell(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"\x07")?;
    out.flush()
}

/// Sets the title. Control characters are left out.
///
/// # Errors
/// When the terminal can't be written to.
pub fn set_title(out: &mut impl Write, title: &str) -> io::Result<()> {
    let clean: String = title.chars().filter(|c| !c.is_control()).collect();
    write!(out, "\x1b]0;{clean}\x07")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_that_is_set_decides_about_unicode() {
        assert!(shows_unicode(None, None, Some("en_US.UTF-8"), Some("xterm")));
        assert!(shows_unicode(Some(""), Some("C.utf8"), Some("C"), Some("xterm")));
        assert!(!shows_unicode(Some("C"), None, Some("en_US.UTF-8"), Some("xterm")));
        assert!(!shows_unicode(None, None, Some("en_US.UTF-8"), Some("linux")));
        assert!(!shows_unicode(None, None, None, None));
    }

    #[test]
    fn a_title_carries_no_control_characters() {
        let mut out = Vec::new();
        set_title(&mut out, "a\x1b]0;evil\x07b").unwrap();
        assert_eq!(out, b"\x1b]0;a]0;evilb\x07");
    }
}
