//! The console's event loop: terminal, engine and state wired together.
//!
//! Nothing here waits for the network: what the state wants done is handed to tasks of its own.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use crossterm::event::{Event as Input, EventStream};
use futures::StreamExt;
use russh::keys::ssh_key::Fingerprint;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::follow::News as FileNews;
use super::history;
use super::looks::Looks;
use super::screen::{self, Opened};
use super::shell::Shells;
use super::submit::{News, Submitter};
use crate::app::{self, App, Cmd, HostKeyQuestion, Msg};
use crate::clock::{Clock, shared_moment};
use crate::domain::alert::Order;
use crate::domain::{ClusterName, Glance, Line, Outcome, OutcomeState, PeerId, Plan, ReachState, Snapshot, Time};
use crate::engine::runtime::{Commander, Fed, Historian, Observer};
use crate::term::{self, Alarm, Caps, Guard, Hangup, Signal, Signals, clipboard};
use crate::ui::{self, Hits};

mod alarms;
mod editor;
mod options;
pub mod past;
mod terminal;

use editor::Editing;
pub use options::{ApplyFault, ConsoleOptions, Diagnose, Faults};

/// Data draws no more often than this.
const FRAME: Duration = Duration::from_millis(33);
/// Ages that show seconds are drawn this often, about:
const SECOND: Duration = Duration::from_secs(1);
/// on moments this far apart, which timers of connections share,
const BEAT: Duration = Duration::from_millis(1024);
/// or so much later, when what they have to tell was told.
const BEHIND: Duration = Duration::from_millis(48);
/// A frame this young needs no other for its ages.
const JUST_DRAWN: Duration = Duration::from_millis(200);
/// Events that are taken from the terminal before the screen is drawn.
const BATCH: usize = 256;
/// The slowest fault restarts all peers of a lab.
const FAULT: Duration = Duration::from_secs(30);
/// Keys that are read this soon after the one that opens a shell were typed along with it.
const TYPED_ALONG: Duration = Duration::from_millis(20);

/// Runs the console until the person leaves it, the terminal goes away, or a signal ends it.
///
/// Without a `commander` it is read-only by construction.
///
/// # Errors
/// When there is no terminal fit for it, the terminal fails, or the engine ended. A theme that does not exist or
/// can't be read is told on screen and does not keep the console from starting.
pub async fn run(
    mut options: ConsoleOptions,
    observer: Observer,
    commander: Option<Commander>,
    diagnose: Diagnose,
    clock: Arc<dyn Clock>,
) -> io::Result<()> {
    let wish = screen::Wish {
        theme: options.theme.as_deref(),
        themes: &options.themes,
        ascii: options.ascii,
        patience: options.patience,
    };
    let Opened { caps, looks, wrong, signals, guard, typed, terminal } = screen::open(wish).await?;
    let mut problems = std::mem::take(&mut options.problems);
    problems.extend(wrong);
    if options.mouse {
        guard.mouse(true)?;
    }
    let size = terminal.size()?;
    let app_options = app::Options {
        lab: options.lab,
        read_only: commander.is_none(),
        themes: looks.list(),
        faults: options.faults.as_ref().map(|f| f.kinds.clone()).unwrap_or_default(),
        history: options.history.as_deref().map(history::load).unwrap_or_default(),
        utc: options.utc,
        bell: options.bell,
        mouse: options.mouse,
        replay: options.replay,
        author: options.author,
        zone: Some(looks.look.zone.clone()),
        width: size.width,
        height: size.height,
    };
    let snapshot = Arc::clone(&observer.snapshots.borrow());
    let mut app = App::new(app_options, snapshot, clock.now());
    app.update(Msg::Keymap(options.keymap), clock.now());
    for problem in problems {
        tracing::warn!("{problem}");
        app.update(Msg::Warning(problem), clock.now());
    }
    let (ask, files) = options.reload.map(|r| (r.ask, r.news)).unzip();
    let (results, results_in) = mpsc::channel(8);
    let orders = options.alarms.map(|path| alarms::follow(path, Arc::clone(&clock), results.clone()));
    let keeper = options.history.map(history::Keeper::start);
    let (submitter, news) = match &commander {
        Some(commander) => {
            let (submitter, news) = Submitter::new(commander.clone(), options.audit, Arc::clone(&clock));
            (Some(submitter), news)
        }
        None => (None, mpsc::channel(1).1),
    };
    let console = Console {
        app,
        terminal,
        guard: &guard,
        caps,
        looks,
        titled: options.title && caps.commands,
        dumps: options.dumps,
        shells: options.shells,
        lent: None,
        historian: options.historian,
        hits: Vec::new(),
        commander,
        submitter,
        diagnose,
        clock,
        past: options.past.map(|past| past.start(results.clone())),
        results,
        orders,
        keeper: keeper.as_ref().map(history::Keeper::sender),
        faults: options.faults.map(|f| f.apply),
        ask,
        asked: BTreeMap::new(),
        title: String::new(),
        digest: 0,
        drawn: None,
        drawn_at: None,
        wants_draw: true,
        stopped: false,
        started: options.started,
        complete: false,
    };
    let (ended, left_behind) =
        term::own(Box::pin(console.run(observer, signals, Inbox { results: results_in, news, files, typed }))).await;
    drop(guard);
    if let Some(keeper) = keeper {
        keeper.finish().await;
    }
    for line in left_behind {
        eprintln!("peerdeck: {line}");
    }
    ended
}

/// What tasks of the console tell it.
struct Inbox {
    results: mpsc::Receiver<Msg>,
    news: mpsc::Receiver<News>,
    files: Option<mpsc::Receiver<FileNews>>,
    /// Keys that came while the terminal was asked about its signs.
    typed: Vec<Input>,
}

#[expect(clippy::struct_excessive_bools, reason = "each says something else about the screen")]
struct Console<'a> {
    app: App,
    terminal: screen::Out,
    guard: &'a Guard,
    caps: Caps,
    /// Whether the window's title is ours.
    titled: bool,
    dumps: Option<PathBuf>,
    shells: Option<Shells>,
    /// Who asked for the terminal: it is lent as soon as nobody reads from it any more.
    lent: Option<Lent>,
    /// Asks peers for the past of settings.
    historian: Option<Historian>,
    /// What a click would hit on the last frame.
    hits: Hits,
    looks: Looks,
    commander: Option<Commander>,
    submitter: Option<Submitter>,
    diagnose: Diagnose,
    clock: Arc<dyn Clock>,
    /// What tasks of their own found out.
    results: mpsc::Sender<Msg>,
    /// Changes what is written down about alerts.
    orders: Option<mpsc::Sender<Order>>,
    keeper: Option<mpsc::Sender<String>>,
    /// Asks the recording for moments.
    past: Option<SyncSender<Glance>>,
    faults: Option<ApplyFault>,
    /// Asks for the files to be read again.
    ask: Option<mpsc::Sender<()>>,
    /// Fingerprints that the person was asked about, as long as the peer waits for the answer.
    asked: BTreeMap<(ClusterName, PeerId), Line>,
    title: String,
    digest: u64,
    drawn: Option<Instant>,
    drawn_at: Option<Time>,
    wants_draw: bool,
    /// The terminal is somebody else's until we go on.
    stopped: bool,
    started: Instant,
    complete: bool,
}

/// What the terminal can be lent to.
enum Lent {
    /// A shell on the peer of this name.
    Shell(String, Box<Command>),
    /// An editor.
    Editor(Editing),
}

/// Whether the loop goes on.
enum Next {
    On,
    End,
}

impl Console<'_> {
    /// Runs to the end; also says what is left behind on its way.
    async fn run(mut self, observer: Observer, signals: Signals, inbox: Inbox) -> (io::Result<()>, Vec<Line>) {
        let ended = self.turn(observer, signals, inbox).await;
        if let Some(submitter) = self.submitter.take() {
            submitter.leave().await;
        }
        (ended, self.app.left_behind())
    }

    async fn turn(&mut self, mut observer: Observer, mut signals: Signals, inbox: Inbox) -> io::Result<()> {
        let Inbox { mut results, mut news, mut files, typed } = inbox;
        let mut input = EventStream::new();
        let mut alerts = observer.alerts();
        let alarm = Alarm::new();
        let hangup = Hangup::watch();
        let mut gone = pin!(hangup.gone());
        self.ask_host_keys(&Arc::clone(&observer.snapshots.borrow_and_update()));
        for event in typed {
            if matches!(self.event(event)?, Next::End) {
                return Ok(());
            }
        }
        self.draw()?;
        loop {
            if let Some(lent) = self.lent.take() {
                // What was typed along with the key is nobody's: not the shell's any more, and not the console's.
                while let Ok(Some(Ok(_))) = timeout(TYPED_ALONG, input.next()).await {}
                drop(input);
                let next = match lent {
                    Lent::Shell(name, command) => self.lend(&name, *command, &mut signals).await?,
                    Lent::Editor(editing) => self.lend_to_editor(editing, &mut signals).await?,
                };
                if matches!(next, Next::End) {
                    return Ok(());
                }
                input = EventStream::new();
            }
            let now = self.clock.now();
            // What waits to be drawn is drawn when its frame is due; otherwise only passing time changes ages.
            let frame = (self.wants_draw && !self.stopped).then(|| self.drawn.map_or_else(Instant::now, |d| d + FRAME));
            let tick = self.app.next_wake(now).map(|wait| Instant::now() + wait);
            let paused = self.app.stands_still();
            let ages = if paused || self.stopped { None } else { self.ages_at() };
            let wake = [frame, tick, ages].into_iter().flatten().min();
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Hangup | Signal::Terminate | Signal::Interrupt => return Ok(()),
                    Signal::Stop => self.stop()?,
                    Signal::Continue => self.resume()?,
                },
                () = &mut gone => return Ok(()),
                event = input.next() => match self.input(event)? {
                    Next::On => self.draw()?,
                    Next::End => return Ok(()),
                },
                alert = alerts.next() => {
                    let msg = match alert {
                        Some(Fed::Item(alert)) => Msg::Alert(alert.transition, alert.finding),
                        Some(Fed::Missed(n)) => Msg::AlertsMissed(n),
                        None => return Err(ended()),
                    };
                    self.update(msg)?;
                    self.wants_draw = true;
                }
                Some(msg) = results.recv() => {
                    self.update(msg)?;
                    self.wants_draw = true;
                }
                Some(news) = news.recv() => {
                    self.update(match news {
                        News::Outcome { run, step, outcome } => Msg::Outcome { run, step, outcome },
                        News::Warning(text) => Msg::Notice(text),
                    })?;
                    self.wants_draw = true;
                }
                item = screen::next(&mut files), if files.is_some() => match item {
                    Some(item) => self.take(item)?,
                    None => files = None,
                },
                changed = observer.snapshots.changed(), if !paused => {
                    changed.map_err(|_| ended())?;
                    let snapshot = Arc::clone(&observer.snapshots.borrow_and_update());
                    self.snapshot(snapshot)?;
                }
                () = alarm.at(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.update(Msg::Tick)?;
                    if !paused {
                        // Newer ages and round trips are not announced.
                        let snapshot = Arc::clone(&observer.snapshots.borrow_and_update());
                        self.update(Msg::Snapshot(snapshot))?;
                    }
                    if let Some(text) = term::take_foreign_panic() {
                        self.update(Msg::Notice(format!("a part of peerdeck failed: {text}")))?;
                    }
                    self.draw()?;
                }
            }
            if paused && !self.app.stands_still() {
                // What came while the display stood still.
                let snapshot = Arc::clone(&observer.snapshots.borrow_and_update());
                self.snapshot(snapshot)?;
                self.draw()?;
            }
        }
    }

    /// Takes what the terminal has ready, resizes as one; every key counts.
    fn input(&mut self, first: Option<io::Result<Input>>) -> io::Result<Next> {
        let mut next = Some(first);
        let mut resized = None;
        for _ in 0..BATCH {
            match next.take() {
                // End of input or a read error: nobody is there any more.
                Some(None | Some(Err(_))) => return Ok(Next::End),
                Some(Some(Ok(event))) => {
                    if let Input::Resize(width, height) = event {
                        resized = Some(Msg::Resize { width, height });
                    } else if matches!(self.event(event)?, Next::End) {
                        return Ok(Next::End);
                    }
                    if self.lent.is_some() {
                        // What comes now is the shell's.
                        break;
                    }
                }
                None => break,
            }
            next = screen::ready().map(Some);
        }
        if let Some(msg) = resized {
            self.update(msg)?;
            // Even to the size that it had: a terminal that was smaller in between has lost what did not fit.
            self.forget_screen()?;
        }
        Ok(Next::On)
    }

    /// Takes one event of the terminal that is no change of its size.
    fn event(&mut self, event: Input) -> io::Result<Next> {
        match event {
            Input::Key(key) => match screen::key_of(key) {
                Some(key) => self.update(Msg::Key(key)),
                None => Ok(Next::On),
            },
            Input::Paste(text) => self.update(Msg::Paste(text)),
            Input::Mouse(event) => match self.mouse_of(event) {
                Some(mouse) => self.update(Msg::Mouse(mouse)),
                None => Ok(Next::On),
            },
            Input::FocusGained | Input::FocusLost | Input::Resize(..) => Ok(Next::On),
        }
    }

    /// When the ages on screen are drawn anew. Counted from the last frame, or a steady stream of pictures would put it
    /// off for ever; seconds pass just after the moments at which connections wake up, so that their news come first and
    /// one frame shows both.
    fn ages_at(&self) -> Option<Instant> {
        let (drawn, at) = self.drawn.zip(self.drawn_at)?;
        if self.app.ages_step(at) == SECOND {
            return Some(shared_moment(drawn + JUST_DRAWN, BEAT) + BEHIND);
        }
        Some(drawn + self.app.ages_due(at))
    }

    fn snapshot(&mut self, snapshot: Arc<Snapshot>) -> io::Result<()> {
        self.ask_host_keys(&snapshot);
        self.update(Msg::Snapshot(snapshot))?;
        let digest = self.app.digest(self.clock.now());
        // Round trips and ages alone wait for the next tick.
        self.wants_draw |= digest != self.digest;
        self.digest = digest;
        Ok(())
    }

    /// Asks about host keys that nobody was asked about yet. A console that can't act does not ask.
    fn ask_host_keys(&mut self, snapshot: &Arc<Snapshot>) {
        if self.commander.is_none() {
            return;
        }
        let mut waiting = BTreeMap::new();
        for cluster in &snapshot.clusters {
            for peer in cluster.peers.iter().filter(|p| p.observed && p.reach.state == ReachState::AskHostKey) {
                let fingerprint = peer.reach.detail.clone();
                let key = (cluster.name.clone(), peer.id.clone());
                if self.asked.get(&key) != Some(&fingerprint) {
                    let question = HostKeyQuestion {
                        cluster: cluster.name.clone(),
                        peer: peer.id.clone(),
                        host: peer.host.clone(),
                        address: peer.reach.address,
                        art: picture(&fingerprint),
                        fingerprint: fingerprint.clone(),
                    };
                    // The answer comes with a key; there is nothing else to do now but the bell.
                    let _ = self.update(Msg::AskHostKey(question));
                    self.wants_draw = true;
                }
                waiting.insert(key, fingerprint);
            }
        }
        self.asked = waiting;
    }

    fn update(&mut self, msg: Msg) -> io::Result<Next> {
        for cmd in self.app.update(msg, self.clock.now()) {
            match cmd {
                Cmd::Quit => return Ok(Next::End),
                Cmd::Suspend => term::stop_group()?,
                Cmd::Redraw => self.forget_screen()?,
                Cmd::Reload => {
                    if let Some(ask) = &self.ask {
                        // One that is asked for already is enough.
                        let _ = ask.try_send(());
                    }
                }
                Cmd::Bell => term::bell(self.terminal.backend_mut())?,
                Cmd::Copy(text) if self.caps.commands => {
                    clipboard::copy(self.terminal.backend_mut(), &text, self.caps.multiplexer)?;
                }
                Cmd::Copy(_) => self.tell("nothing was copied: this terminal has no clipboard".to_owned()),
                Cmd::Mouse(on) => self.guard.mouse(on)?,
                Cmd::Dump => self.dump(),
                Cmd::Shell { cluster, peer } => self.open_shell(&cluster, &peer),
                Cmd::Edit { cluster, mode, feature, text } => {
                    self.lent = Some(Lent::Editor(Editing { cluster, mode, feature, text }));
                }
                Cmd::History { cluster, key } => self.ask_history(cluster, key),
                Cmd::Diagnose(request) => {
                    let work = (self.diagnose)(request.clone());
                    let results = self.results.clone();
                    tokio::spawn(async move {
                        let diagnosis = work.await;
                        // The console may have ended meanwhile.
                        let _ = results.send(Msg::Diagnosed(request, diagnosis)).await;
                    });
                }
                Cmd::Order(order) => {
                    let why = match &self.orders {
                        None => "there is no state of a watch to write to",
                        Some(orders) if orders.try_send(order).is_err() => "the disk does not keep up",
                        Some(_) => continue,
                    };
                    self.warn(format!("nothing was written: {why}"));
                }
                Cmd::Past(glance) => self.look_back(glance),
                Cmd::Remember(line) => {
                    if let Some(keeper) = &self.keeper
                        && keeper.try_send(line).is_err()
                    {
                        tracing::warn!("a line of the palette was not kept: the disk does not keep up");
                    }
                }
                Cmd::Fault(words) => {
                    let Some(apply) = self.faults.clone() else { continue };
                    let results = self.results.clone();
                    tokio::spawn(async move {
                        let line = words.join(" ");
                        let late = || Err(format!("{line}: not done within {FAULT:?}"));
                        let result = timeout(FAULT, apply(words)).await.unwrap_or_else(|_| late());
                        let _ = results.send(Msg::Faulted(line, result)).await;
                    });
                }
                Cmd::TrustHostKey { cluster, peer, fingerprint } => {
                    if let Some(commander) = self.commander.clone() {
                        tokio::spawn(async move { commander.trust_host_key(cluster, peer, fingerprint).await });
                    }
                }
                Cmd::Submit { run, step, cluster, plan } => self.submit(run, step, &cluster, plan)?,
                Cmd::DialNow { cluster, peer } => {
                    if let Some(commander) = self.commander.clone() {
                        tokio::spawn(async move { commander.dial_now(cluster, Some(peer)).await });
                    }
                }
            }
        }
        Ok(Next::On)
    }

    /// Asks for a moment of the recording. What finds no room is asked again by whoever wants it.
    fn look_back(&mut self, glance: Glance) {
        let asked = self.past.as_ref().is_some_and(|past| past.try_send(glance).is_ok());
        if !asked && glance != Glance::Live {
            let _ = self.results.try_send(Msg::Past(Err(Line::new("nothing is recorded here"))));
        }
    }

    /// Hands a plan over; without the right to act it is refused as by construction.
    fn submit(&mut self, run: u64, step: usize, cluster: &ClusterName, plan: Plan) -> io::Result<()> {
        let picture = self.app.picture().clusters.iter().find(|c| c.name == *cluster).cloned();
        if let (Some(submitter), Some(cluster)) = (&mut self.submitter, picture) {
            submitter.submit(run, step, cluster, plan);
            return Ok(());
        }
        let detail = Line::new("this console can't act, or the cluster is gone; nothing was sent");
        let outcome = Outcome { state: OutcomeState::Refused, at: self.clock.now(), detail };
        self.update(Msg::Outcome { run, step, outcome })?;
        Ok(())
    }

    /// Takes over what changed in files.
    fn take(&mut self, news: FileNews) -> io::Result<()> {
        let msg = match news {
            FileNews::Keymap(keymap) => Msg::Keymap(keymap),
            FileNews::Themes(themes) => {
                self.looks.change(themes);
                Msg::Themes(self.looks.list())
            }
            FileNews::Wrong(text) => Msg::Warning(text),
            FileNews::Good(text) => Msg::Notice(text),
            // The engine has it already.
            FileNews::Fleet(_) => return Ok(()),
        };
        self.update(msg)?;
        self.wants_draw = true;
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        if self.stopped {
            return Ok(());
        }
        let now = self.clock.now();
        self.looks.show(self.app.theme());
        let (app, look) = (&self.app, &self.looks.look);
        let hits = &mut self.hits;
        screen::show(&mut self.terminal, |buf| *hits = ui::draw_with_hits(buf, app, look, now))?;
        self.drawn = Some(Instant::now());
        self.drawn_at = Some(now);
        self.wants_draw = false;
        self.digest = self.app.digest(now);
        let title = if self.titled { self.app.title() } else { String::new() };
        if title != self.title {
            term::set_title(self.terminal.backend_mut(), &title)?;
            self.title = title;
        }
        if !self.complete && self.app.is_complete(now) {
            self.complete = true;
            let peers = self.app.peer_counts(now).1;
            let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(ms, peers, "grid complete");
        }
        Ok(())
    }

    /// Gives the terminal back and stops. The signal to go on takes it again: this thread may run for a moment
    /// after the signal to stop was sent.
    fn stop(&mut self) -> io::Result<()> {
        self.guard.give_back();
        self.stopped = true;
        term::stop_self()
    }

    fn resume(&mut self) -> io::Result<()> {
        self.stopped = false;
        self.guard.again()?;
        self.title.clear();
        self.forget_screen()?;
        self.draw()
    }

    fn forget_screen(&mut self) -> io::Result<()> {
        screen::forget(&mut self.terminal)
    }
}

fn ended() -> io::Error {
    io::Error::other("the engine has ended: there is nothing left to show")
}

/// The fingerprint as OpenSSH draws it.
fn picture(fingerprint: &Line) -> Vec<String> {
    let art = fingerprint.as_str().parse::<Fingerprint>().map(|f| f.to_randomart("[host key]"));
    art.map(|art| art.lines().map(str::to_owned).collect()).unwrap_or_default()
}
