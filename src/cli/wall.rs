//! `wall`: a picture for a control room. It looks and can't act: nothing here leads to a peer but the eyes (D9).

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{Event as Input, EventStream};
use futures::StreamExt;
use tokio::sync::mpsc;

use super::args::{Color, Wall as Args};
use super::connect::{self, Face};
use super::follow::{Files, Follower, News};
use super::looks::Looks;
use super::screen::{self, Opened};
use super::{Context, Done, reload};
use crate::app::wall::{Cmd, Msg, Options, Wall};
use crate::clock::Clock;
use crate::config::{Choice, Fleet};
use crate::domain::Time;
use crate::engine::runtime::Observer;
use crate::term::{self, Alarm, Guard, Hangup, Signal, Signals};
use crate::ui::theme::MONO;

const FACE: Face = Face { name: "wall", interactive: false, one_shot: false };

/// News is drawn no more often than this.
const FRAME: Duration = Duration::from_millis(250);
/// The clock shows seconds.
const SECOND: u64 = 1000;

/// Runs until somebody quits, the terminal goes away, or a signal ends it.
///
/// # Errors
/// When there is no fleet, no terminal fit for it, or the terminal fails.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Done> {
    let (choice, fleet) = match &args.target {
        None => {
            let fleet = context.fleet()?;
            (fleet.file.is_some().then(|| context.choice()), fleet)
        }
        Some(_) if context.choice() != Choice::Default => anyhow::bail!("either --fleet or a target, not both"),
        Some(target) => (None, Fleet::of_target(target)),
    };
    let network = super::process::network_runtime()?;
    let within = network.enter();
    let looking = connect::look(&fleet, &context.paths, FACE)?;
    let lab = fleet.is_lab();
    let files = Files { paths: context.paths.clone(), choice, cluster: context.global.cluster.clone() };
    let (follower, told) = Follower::new(files, fleet);
    let themes = follower.themes();
    let clock = looking.links.clock.clone();
    let reload = reload::follow(follower, Arc::clone(&looking.links), looking.reconfigurer);
    drop(within);
    let terminal = super::process::small_runtime()?;
    let shown = terminal.block_on(async {
        let wish = screen::Wish {
            theme: (context.global.color == Color::Never).then_some(MONO),
            themes: &themes,
            ascii: (args.ascii || args.unicode).then_some(args.ascii),
            patience: None,
        };
        let Opened { looks, wrong, signals, guard, terminal, typed, caps: _ } = screen::open(wish).await?;
        let size = terminal.size()?;
        let options = Options {
            rotate: args.rotate,
            themes: looks.list(),
            utc: args.utc,
            lab,
            width: size.width,
            height: size.height,
        };
        let now = clock.now();
        let wall = Wall::new(options, Arc::clone(&looking.observer.snapshots.borrow()), now);
        let mut face =
            Screen { wall, terminal, guard: &guard, looks, clock, drawn: None, wants_draw: true, stopped: false };
        for item in told.into_iter().chain(wrong.map(News::Wrong)) {
            face.take(item)?;
        }
        for event in typed {
            if matches!(face.event(&event)?, Next::End) {
                return Ok(());
            }
        }
        // Whoever asks for the files to be read again: nobody, but without it they are not followed.
        let (_ask, news) = (reload.ask, reload.news);
        let ended = term::own(Box::pin(face.turn(looking.observer, signals, Some(news)))).await;
        drop(guard);
        ended
    });
    network.shutdown_background();
    shown?;
    Ok(0)
}

/// The wall on its terminal.
struct Screen<'a> {
    wall: Wall,
    terminal: screen::Out,
    guard: &'a Guard,
    looks: Looks,
    clock: Arc<dyn Clock>,
    drawn: Option<Instant>,
    wants_draw: bool,
    /// The terminal is somebody else's until we go on.
    stopped: bool,
}

/// Whether the loop goes on.
enum Next {
    On,
    End,
}

impl Screen<'_> {
    async fn turn(
        mut self,
        mut observer: Observer,
        mut signals: Signals,
        mut files: Option<mpsc::Receiver<News>>,
    ) -> io::Result<()> {
        let mut input = EventStream::new();
        let alarm = Alarm::new();
        let hangup = Hangup::watch();
        let mut gone = pin!(hangup.gone());
        self.tick()?;
        self.draw()?;
        loop {
            let frame = self.wants_draw.then(|| self.drawn.map_or_else(Instant::now, |d| d + FRAME));
            let wake = frame.map_or_else(|| self.next_second(), |at| at.min(self.next_second()));
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Hangup | Signal::Terminate | Signal::Interrupt => return Ok(()),
                    Signal::Stop => {
                        self.guard.give_back();
                        self.stopped = true;
                        term::stop_self()?;
                    }
                    Signal::Continue => {
                        self.stopped = false;
                        self.guard.again()?;
                        screen::forget(&mut self.terminal)?;
                        self.draw()?;
                    }
                },
                () = &mut gone => return Ok(()),
                event = input.next() => match event {
                    // End of input or a read error: nobody is there any more.
                    None | Some(Err(_)) => return Ok(()),
                    Some(Ok(event)) => match self.event(&event)? {
                        Next::On => {}
                        Next::End => return Ok(()),
                    },
                },
                item = screen::next(&mut files), if files.is_some() => match item {
                    Some(item) => self.take(item)?,
                    None => files = None,
                },
                changed = observer.snapshots.changed() => {
                    changed.map_err(|_| io::Error::other("the engine has ended: there is nothing left to show"))?;
                    let picture = Arc::clone(&observer.snapshots.borrow_and_update());
                    self.update(Msg::Snapshot(picture))?;
                    self.wants_draw = true;
                }
                () = alarm.at(wake) => {
                    // Newer ages are not announced.
                    let picture = Arc::clone(&observer.snapshots.borrow_and_update());
                    self.update(Msg::Snapshot(picture))?;
                    self.tick()?;
                    if let Some(text) = term::take_foreign_panic() {
                        self.update(Msg::Warning(format!("a part of peerdeck failed: {text}")))?;
                    }
                    self.draw()?;
                }
            }
        }
    }

    /// When the clock shows another second.
    fn next_second(&self) -> Instant {
        Instant::now() + Duration::from_millis(SECOND - self.clock.wall_ms() % SECOND)
    }

    fn tick(&mut self) -> io::Result<()> {
        let shown = Time::from_millis(self.clock.wall_ms());
        self.update(Msg::Tick(shown)).map(|_| ())
    }

    /// Takes an event of the terminal. Pasted text and the mouse are nothing to a wall.
    fn event(&mut self, event: &Input) -> io::Result<Next> {
        self.wants_draw = true;
        match event {
            Input::Key(key) => screen::key_of(*key).map_or(Ok(Next::On), |key| self.update(Msg::Key(key))),
            Input::Resize(width, height) => self.update(Msg::Resize(*width, *height)),
            Input::Paste(_) | Input::Mouse(_) | Input::FocusGained | Input::FocusLost => Ok(Next::On),
        }
    }

    fn update(&mut self, msg: Msg) -> io::Result<Next> {
        match self.wall.update(msg, self.clock.now()) {
            Some(Cmd::Quit) => return Ok(Next::End),
            Some(Cmd::Redraw) if !self.stopped => screen::forget(&mut self.terminal)?,
            Some(Cmd::Redraw) | None => {}
        }
        Ok(Next::On)
    }

    /// Takes over what changed in files; the engine has a new fleet already.
    fn take(&mut self, news: News) -> io::Result<()> {
        let msg = match news {
            News::Themes(themes) => {
                self.looks.change(themes);
                Msg::Themes(self.looks.list())
            }
            News::Wrong(text) => {
                tracing::warn!("{text}");
                Msg::Warning(text)
            }
            News::Good(_) => Msg::Notice,
            // A keymap is nothing to a wall: its keys can't be changed.
            News::Keymap(_) | News::Fleet(_) => return Ok(()),
        };
        self.wants_draw = true;
        self.update(msg).map(|_| ())
    }

    fn draw(&mut self) -> io::Result<()> {
        self.wants_draw = false;
        if self.stopped {
            return Ok(());
        }
        let now = self.clock.now();
        self.looks.show(self.wall.theme());
        let (wall, look) = (&self.wall, &self.looks.look);
        screen::show(&mut self.terminal, |buf| crate::ui::wall::draw(buf, wall, look, now))?;
        self.drawn = Some(Instant::now());
        Ok(())
    }
}
