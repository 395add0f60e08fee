//! Takes the terminal and gives it back.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::queue;
use crossterm::style::ResetColor;
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Push and pop of the window's title (xterm); what does not know them ignores them.
const PUSH_TITLE: &str = "\x1b[22;0t";
const POP_TITLE: &str = "\x1b[23;0t";

/// The terminal, taken: raw, on the alternate screen, cursor hidden, pasting marked. Given back when dropped.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it refuses; it is given back then.
    pub fn take() -> io::Result<Self> {
        let guard = Self(());
        guard.again()?;
        Ok(guard)
    }

    /// Takes it once more after [`Guard::give_back`], or after somebody else changed its modes.
    ///
    /// # Errors
    /// When it refuses.
    pub fn again(&self) -> io::Result<()> {
        let mut out = io::stdout();
        if TAKEN.swap(true, Ordering::SeqCst) {
            // Whoever stopped us may have left other modes behind: start from what it was.
            disable_raw_mode()?;
        } else {
            out.write_all(PUSH_TITLE.as_bytes())?;
        }
        enable_raw_mode()?;
        queue!(out, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        out.flush()
    }

    /// Gives it back for a while.
    pub fn give_back(&self) {
        restore();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether the terminal is taken.
pub(super) fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Gives the terminal back, once. Errors are nobody's any more: it may be gone.
pub(super) fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = queue!(out, EndSynchronizedUpdate, DisableBracketedPaste, ResetColor, Show, LeaveAlternateScreen);
    let _ = out.write_all(POP_TITLE.as_bytes());
    let _ = out.flush();
    let _ = disable_raw_mode();
}
