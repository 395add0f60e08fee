//! Takes the terminal and gives it back.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::queue;
use crossterm::style::{Attribute, ResetColor, SetAttribute};
use crossterm::terminal::{
    Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};

use super::Caps;

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether operating system commands and window operations may be sent to it.
static COMMANDS: AtomicBool = AtomicBool::new(true);
/// Whether it brings back what stood on it before.
static ALTERNATE: AtomicBool = AtomicBool::new(true);
/// Whether it tells us about the mouse.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// Presses and the wheel, with coordinates beyond column 223. Motion is not asked for: it would come in floods.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";

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
    pub fn take(caps: &Caps) -> io::Result<Self> {
        COMMANDS.store(caps.commands, Ordering::SeqCst);
        ALTERNATE.store(caps.alternate, Ordering::SeqCst);
        MOUSE.store(false, Ordering::SeqCst);
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
        } else if COMMANDS.load(Ordering::SeqCst) {
            out.write_all(PUSH_TITLE.as_bytes())?;
        }
        enable_raw_mode()?;
        queue!(out, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        if MOUSE.load(Ordering::SeqCst) {
            out.write_all(MOUSE_ON.as_bytes())?;
        }
        out.flush()
    }

    /// Switches clicks and the wheel on or off. Off, the terminal's own selection of text works.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    pub fn mouse(&self, on: bool) -> io::Result<()> {
        MOUSE.store(on, Ordering::SeqCst);
        let mut out = io::stdout();
        out.write_all(if on { MOUSE_ON } else { MOUSE_OFF }.as_bytes())?;
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
    if MOUSE.load(Ordering::SeqCst) {
        let _ = out.write_all(MOUSE_OFF.as_bytes());
    }
    let _ = queue!(out, EndSynchronizedUpdate, DisableBracketedPaste, ResetColor, Show, LeaveAlternateScreen);
    if COMMANDS.load(Ordering::SeqCst) {
        let _ = out.write_all(POP_TITLE.as_bytes());
    }
    if !ALTERNATE.load(Ordering::SeqCst) {
        // What stood there does not come back: the prompt begins on an empty screen, not in our last one.
        let _ = queue!(out, SetAttribute(Attribute::Reset), Clear(ClearType::All), MoveTo(0, 0));
    }
    let _ = out.flush();
    let _ = disable_raw_mode();
}
