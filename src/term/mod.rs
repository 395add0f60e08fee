//! The terminal as a guarded resource: modes, input, signals.
//!
//! [`Guard`] takes the terminal and gives it back however the program ends; [`Signals`] are those that the
//! console answers; [`Hangup`] notices a terminal that is gone, which the input alone does not. [`Caps`] are what a
//! terminal understands; [`probe`] asks it how wide it draws signs; [`clipboard`] copies; [`child`] lends it to
//! another program.

use std::io::{self, IsTerminal, Write};

mod alarm;
mod caps;
pub mod child;
pub mod clipboard;
mod guard;
mod hangup;
mod panic;
mod plain;
pub mod probe;
mod signals;
pub mod typed;

pub use alarm::Alarm;
pub use caps::{Caps, Multiplexer, Palette};
pub use guard::Guard;
pub use hangup::Hangup;
pub use panic::{install_hook, own, take_foreign_panic};
pub use plain::PlainColours;
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

/// What the locale says about signs outside ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locale {
    /// They are not shown.
    Ascii,
    /// They are shown.
    Unicode,
    /// They are shown, and some may be two columns wide.
    Doubtful,
}

/// By the first of the variables `LC_ALL`, `LC_CTYPE` and `LANG` that is set.
#[must_use]
pub fn locale(lc_all: Option<&str>, lc_ctype: Option<&str>, lang: Option<&str>) -> Locale {
    let locale = [lc_all, lc_ctype, lang].into_iter().flatten().find(|v| !v.is_empty()).unwrap_or("");
    let locale = locale.to_ascii_lowercase();
    let wide = ["zh", "ja", "ko"].iter().any(|language| locale.starts_with(language));
    match locale.contains("utf-8") || locale.contains("utf8") {
        false => Locale::Ascii,
        true if wide => Locale::Doubtful,
        true => Locale::Unicode,
    }
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
        assert_eq!(locale(None, None, Some("en_US.UTF-8")), Locale::Unicode);
        assert_eq!(locale(Some(""), Some("C.utf8"), Some("C")), Locale::Unicode);
        assert_eq!(locale(Some("C"), None, Some("en_US.UTF-8")), Locale::Ascii);
        assert_eq!(locale(None, Some("ja_JP.UTF-8"), Some("C")), Locale::Doubtful);
        assert_eq!(locale(None, None, Some("zh_CN.GB18030")), Locale::Ascii);
        assert_eq!(locale(None, None, None), Locale::Ascii);
    }

    #[test]
    fn a_title_carries_no_control_characters() {
        let mut out = Vec::new();
        set_title(&mut out, "a\x1b]0;evil\x07b").unwrap();
        assert_eq!(out, b"\x1b]0;a]0;evilb\x07");
    }
}
