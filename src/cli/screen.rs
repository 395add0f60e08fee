//! What every face that draws does alike with the terminal: takes it, finds out what it can show, draws whole frames.

use std::io::{self, BufWriter, Stdout, Write};
use std::time::Duration;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::mpsc;

use super::follow::{News, ThemesNow};
use super::looks::{Environment, Looks};
use crate::app::keys::{Code, Key};
use crate::term::{self, Caps, Guard, Locale, PlainColours, Signals, probe, typed};
use crate::ui::{Glyphs, glyphs};

/// What is written at once to the terminal.
const OUTPUT: usize = 1 << 16;

/// Where frames are drawn.
pub type Out = Terminal<CrosstermBackend<PlainColours<BufWriter<Stdout>>>>;

/// What is wanted of the terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// A theme that is named, whatever files say.
    pub theme: Option<&'a str>,
    /// All themes.
    pub themes: &'a ThemesNow,
    /// Signs in ASCII or not; `None` asks the terminal.
    pub ascii: Option<bool>,
    /// How long the terminal may take to answer; `None`: as near or far as it is.
    pub patience: Option<Duration>,
}

/// The terminal, taken.
pub(super) struct Opened {
    /// What it understands.
    pub caps: Caps,
    /// How the screen looks.
    pub looks: Looks,
    /// What is wrong with the theme that was named.
    pub wrong: Option<String>,
    /// The signals that are answered from now on.
    pub signals: Signals,
    /// Gives it back when dropped.
    pub guard: Guard,
    /// What was typed while it was asked about its signs.
    pub typed: Vec<Input>,
    /// Where frames are drawn.
    pub terminal: Out,
}

/// Takes the terminal.
///
/// # Errors
/// When there is none that can be drawn on, or it fails.
pub(super) async fn open(wish: Wish<'_>) -> io::Result<Opened> {
    let env = Environment::read();
    term::check(env.term.as_deref()).map_err(io::Error::other)?;
    let caps = Caps::of(env.term.as_deref(), env.tmux.as_deref(), env.sty.as_deref());
    let (mut looks, wrong) = Looks::new(wish.theme, wish.themes, &env);
    term::install_hook();
    let signals = Signals::listen()?;
    let guard = Guard::take(&caps)?;
    let near = if env.ssh_tty.is_some() { probe::PATIENCE_FAR } else { probe::PATIENCE };
    let (signs, typed) = choose_signs(wish.ascii, caps, env.locale(), wish.patience.unwrap_or(near)).await?;
    looks.look.glyphs = signs;
    let out = PlainColours::new(BufWriter::with_capacity(OUTPUT, io::stdout()), caps.palette);
    let terminal = Terminal::new(CrosstermBackend::new(out))?;
    Ok(Opened { caps, looks, wrong, signals, guard, typed, terminal })
}

/// Shows a frame, whole or not at all.
///
/// # Errors
/// When the terminal can't be written to.
pub fn show(terminal: &mut Out, draw: impl FnOnce(&mut Buffer)) -> io::Result<()> {
    queue!(terminal.backend_mut(), BeginSynchronizedUpdate)?;
    terminal.draw(|frame| draw(frame.buffer_mut()))?;
    queue!(terminal.backend_mut(), EndSynchronizedUpdate)?;
    Write::flush(terminal.backend_mut())
}

/// Every cell is written anew with the next frame. (`Terminal::clear` would ask the terminal where the cursor is, and
/// wait two seconds for one that does not answer.)
///
/// # Errors
/// When the terminal can't be written to.
pub fn forget(terminal: &mut Out) -> io::Result<()> {
    let size = terminal.size()?;
    // Nothing is shown before the frame that follows ends the update.
    queue!(terminal.backend_mut(), BeginSynchronizedUpdate)?;
    terminal.resize(Rect::new(0, 0, size.width, size.height))
}

/// The set of signs that this terminal shows one column wide, and what was typed while it was asked.
///
/// Without an answer within `patience` the locale decides; where that is Chinese, Japanese or Korean, ASCII is the safe choice.
async fn choose_signs(
    wanted: Option<bool>,
    caps: Caps,
    locale: Locale,
    patience: Duration,
) -> io::Result<(Glyphs, Vec<Input>)> {
    match wanted {
        Some(true) => return Ok((glyphs::ASCII, Vec::new())),
        Some(false) => return Ok((glyphs::UNICODE, Vec::new())),
        None if !caps.unicode || locale == Locale::Ascii => return Ok((glyphs::ASCII, Vec::new())),
        None => {}
    }
    let asked = tokio::task::spawn_blocking(move || probe::widths(glyphs::ASKED, patience))
        .await
        .map_err(io::Error::other)??;
    let answered = asked.columns.len() == glyphs::ASKED.len();
    let wide = glyphs::ASKED.iter().zip(&asked.columns).filter(|(_, columns)| **columns != 1).count();
    tracing::info!(answered, wide, ?locale, "asked the terminal how wide it draws signs");
    let signs = match (wide, answered, locale) {
        (1.., _, _) | (_, false, Locale::Doubtful) => glyphs::NARROW,
        (0, _, _) => glyphs::UNICODE,
    };
    Ok((signs, typed::events(&asked.typed)))
}

/// What the terminal has ready beside what came. Not by polling the stream once more: that would leave it with a waker
/// that wakes nobody, and the next key would wait for the next timer.
pub fn ready() -> Option<io::Result<Input>> {
    match crossterm::event::poll(Duration::ZERO) {
        Ok(true) => Some(crossterm::event::read()),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    }
}

/// The next item; never, where nothing is followed.
pub async fn next(news: &mut Option<mpsc::Receiver<News>>) -> Option<News> {
    match news {
        Some(news) => news.recv().await,
        None => std::future::pending().await,
    }
}

/// A key press as the console knows it.
pub fn key_of(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let code = match event.code {
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::Insert => Code::Insert,
        KeyCode::F(n @ 1..=12) => Code::F(n),
        _ => return None,
    };
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    Some(Key { code, ctrl, alt: event.modifiers.contains(KeyModifiers::ALT) })
}
