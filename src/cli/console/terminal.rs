//! What the console does with the terminal besides drawing: signs, mouse, screen dumps, shells on peers.

use std::io;
use std::process::Command;
use std::time::Duration;

use crossterm::event::{Event as Input, MouseButton, MouseEvent, MouseEventKind};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tokio::time::timeout;

use super::{Console, Lent, Next};
use crate::app::Msg;
use crate::app::mouse::Mouse;
use crate::cli::dump;
use crate::domain::settings::Key;
use crate::domain::{ClusterName, Line, PeerId};
use crate::term::child::{self, Ended};
use crate::term::{Caps, Locale, Signals, probe, typed};
use crate::ui::{self, Glyphs, glyphs};

/// A peer that is asked for the past of a setting has this long.
const HISTORY: Duration = Duration::from_secs(15);

/// What ssh ends with when it failed itself.
const SSH_FAILED: i32 = 255;

/// The set of signs that this terminal shows one column wide, and what was typed while it was asked.
///
/// Without an answer within `patience` the locale decides; where that is Chinese, Japanese or Korean, ASCII is the safe choice.
pub(super) async fn choose_signs(
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

impl Console<'_> {
    /// What a click or the wheel means on the frame that is on screen.
    pub(super) fn mouse_of(&self, event: MouseEvent) -> Option<Mouse> {
        if !self.app.is_mouse_on() {
            return None;
        }
        match event.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                let at = Position::new(event.column, event.row);
                let hit = self.hits.iter().rev().find(|(area, _)| area.contains(at));
                hit.map(|(_, hit)| Mouse::Press(hit.clone()))
            }
            MouseEventKind::ScrollDown => Some(Mouse::Wheel(1)),
            MouseEventKind::ScrollUp => Some(Mouse::Wheel(-1)),
            MouseEventKind::Down(_)
            | MouseEventKind::Up(_)
            | MouseEventKind::Drag(_)
            | MouseEventKind::Moved
            | MouseEventKind::ScrollLeft
            | MouseEventKind::ScrollRight => None,
        }
    }

    pub(super) fn tell(&mut self, text: String) {
        // Only a toast: there is nothing to be done about it.
        let _ = self.app.update(Msg::Notice(text), self.clock.now());
    }

    /// The same of something that went wrong.
    pub(super) fn warn(&mut self, text: String) {
        let _ = self.app.update(Msg::Warning(text), self.clock.now());
    }

    /// Writes what is on screen to a file.
    pub(super) fn dump(&mut self) {
        let now = self.clock.now();
        let options = self.app.options();
        let mut buf = Buffer::empty(Rect::new(0, 0, options.width, options.height));
        ui::draw(&mut buf, &self.app, &self.looks.look, now);
        let text = match &self.dumps {
            None => "there is no folder for screen dumps".to_owned(),
            Some(folder) => match dump::write(folder, &buf, now.as_millis()) {
                Ok(path) => format!("screen written to {} (and .ansi)", path.display()),
                Err(error) => format!("the screen can't be written to {}: {error}", folder.display()),
            },
        };
        self.tell(text);
    }

    pub(super) fn open_shell(&mut self, cluster: &ClusterName, peer: &PeerId) {
        let (Some(shells), Some(_)) = (&self.shells, &self.commander) else {
            return self.tell("there is no shell from this console".to_owned());
        };
        match shells.command(cluster, peer) {
            Ok(command) => self.lent = Some(Lent::Shell(self.name_of(cluster, peer), Box::new(command))),
            Err(why) => self.tell(format!("no shell: {why}")),
        }
    }

    fn name_of(&self, cluster: &ClusterName, peer: &PeerId) -> String {
        let cluster = self.app.picture().clusters.iter().find(|c| c.name == *cluster);
        cluster.and_then(|c| c.peer(peer)).map_or_else(|| peer.to_string(), |p| p.host.to_string())
    }

    /// Lends the terminal to a shell on the peer `name` until that ends.
    pub(super) async fn lend(&mut self, name: &str, command: Command, signals: &mut Signals) -> io::Result<Next> {
        self.guard.give_back();
        println!("peerdeck: ssh to {name}; the console comes back when it ends");
        let told = match child::run(command, signals).await {
            Ok(Ended::Code(0)) => format!("the shell on {name} has ended"),
            Ok(Ended::Code(SSH_FAILED)) => {
                let ask = "\r\npeerdeck: ssh failed, see above. Enter brings the console back: ";
                child::wait_for_enter(ask, signals).await?;
                format!("ssh to {name} failed or was cut off (exit code {SSH_FAILED})")
            }
            Ok(Ended::Code(code)) => format!("the shell on {name} has ended with exit code {code}"),
            Ok(Ended::Signal(number)) => format!("ssh to {name} was ended by signal {number}"),
            Ok(Ended::Told(_)) => return Ok(Next::End),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                "no shell: there is no `ssh` here; install OpenSSH's client".to_owned()
            }
            Err(error) => format!("no shell on {name}: {error}"),
        };
        self.take_back()?;
        self.tell(told);
        self.draw()?;
        Ok(Next::On)
    }

    /// The terminal is ours again, whatever became of it meanwhile.
    pub(super) fn take_back(&mut self) -> io::Result<()> {
        self.guard.again()?;
        let size = self.terminal.size()?;
        let _ = self.app.update(Msg::Resize { width: size.width, height: size.height }, self.clock.now());
        self.title.clear();
        self.forget_screen()
    }

    /// Asks a peer for the past of a register; the answer comes as a message.
    pub(super) fn ask_history(&self, cluster: ClusterName, key: Key) {
        let (historian, results) = (self.historian.clone(), self.results.clone());
        tokio::spawn(async move {
            let past = match historian {
                Some(historian) => match timeout(HISTORY, historian.past(cluster.clone(), Some(key.clone()))).await {
                    Ok(past) => past,
                    Err(_) => Err(Line::new(&format!("no peer answered within {} s", HISTORY.as_secs()))),
                },
                None => Err(Line::new("this console asks no peers")),
            };
            // The console may have ended meanwhile.
            let _ = results.send(Msg::History { cluster, key, past }).await;
        });
    }
}
