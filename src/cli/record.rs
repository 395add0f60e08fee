//! `record`, and the recorder of every face that lasts: it takes the picture and writes it down (B6).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::args::Record as Args;
use super::connect::{self, Face};
use super::signals::Stop;
use super::{Context, Done, UNKNOWN, places};
use crate::clock::shared_moment;
use crate::config::{Fleet, Paths};
use crate::domain::snapshot::Snapshot;
use crate::engine::runtime::Observer;
use crate::record::{Bounds, Feeder, Recorder, State, Target};

const FACE: Face = Face { name: "record", interactive: false, one_shot: false };

/// Pictures with news are taken no more often than this,
const NEWS: Duration = Duration::from_millis(250);
/// and those that differ in ages alone no more often than this, with others.
const AGES: Duration = Duration::from_secs(1);
/// What comes within this of the picture before takes its place: nobody has seen that.
const FRAME: Duration = Duration::from_millis(33);
/// News that were taken wait this long for more, then they are on disk: one that is killed loses five seconds at most,
const WAIT: Duration = Duration::from_millis(3900);
/// and of pictures in which time alone has passed this much, where nothing happens that takes them along.
const QUIET: Duration = Duration::from_millis(6900);
/// Such moments are shared with what the connections wake up for.
const TOGETHER: Duration = Duration::from_millis(1024);
/// Words that wait to be shown.
const TELLING: usize = 4;

/// The folder of what is recorded of `fleet`; a lab has its own, which goes with it.
#[must_use]
pub fn folder(paths: &Paths, fleet: &Fleet) -> PathBuf {
    match fleet.file.as_deref().and_then(Path::parent) {
        Some(lab) if fleet.is_lab() => lab.join("record"),
        Some(_) | None => places::recording(paths, fleet),
    }
}

/// A recorder, and what feeds it; dropped, it writes what waits.
pub struct Recording {
    recorder: Recorder,
    /// What has to be told to people: that it fails, or goes on again.
    news: mpsc::Receiver<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Recording {
    /// What it has to tell, from now on to whoever takes it.
    pub fn take_news(&mut self) -> mpsc::Receiver<String> {
        std::mem::replace(&mut self.news, mpsc::channel(1).1)
    }

    /// Where it stands.
    #[must_use]
    pub fn feeder(&self) -> Feeder {
        self.recorder.feeder()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the recorder that the fleet file wants, if it does; what feeds it runs on `on`.
///
/// # Errors
/// When there is no thread for it.
pub fn ring(on: &Handle, paths: &Paths, fleet: &Fleet, observer: &Observer) -> Result<Option<Recording>, String> {
    if !fleet.record.on {
        return Ok(None);
    }
    let bounds = Bounds { keep: fleet.record.keep, bytes: u64::from(fleet.record.size_mib) << 20 };
    start(on, Target::Ring { folder: folder(paths, fleet), bounds }, observer).map(Some)
}

fn start(on: &Handle, target: Target, observer: &Observer) -> Result<Recording, String> {
    let (told, news) = mpsc::channel(TELLING);
    let tell = told.clone();
    let recorder = Recorder::start(
        target,
        Box::new(move |state| {
            let text = match state {
                State::Recording => "it is recorded again".to_owned(),
                State::Failed(why) => format!("nothing is recorded any more: {why}"),
                State::Elsewhere => {
                    tracing::info!("another process records this fleet already");
                    return;
                }
            };
            tracing::warn!("{text}");
            let _ = tell.try_send(text); // Where nobody reads, it stands in the log.
        }),
    )?;
    let task = on.spawn(feed(observer.snapshots.clone(), observer.every(), recorder.feeder(), told));
    Ok(Recording { recorder, news, task })
}

/// Takes each picture with news, and one a second of those in which time alone has passed; wakes the recorder for several.
/// It runs where the engine does, so that a picture wakes nobody, and it waits for nothing while none comes.
async fn feed(
    mut pictures: watch::Receiver<Arc<Snapshot>>,
    mut every: watch::Receiver<()>,
    feeder: Feeder,
    tell: mpsc::Sender<String>,
) {
    let mut last = Arc::clone(&pictures.borrow_and_update());
    feeder.offer(&last);
    let mut taken = Instant::now();
    // When to look again, since when something is held, and when that is written at the latest.
    let (mut look, mut held, mut write) = (None::<Instant>, None::<Instant>, None::<Instant>);
    let mut warned = false;
    loop {
        let due = look.into_iter().chain(write).min();
        tokio::select! {
            changed = every.changed() => if changed.is_err() { return },
            () = sleep_until(due.unwrap_or(taken)), if due.is_some() => {}
        }
        let now = Instant::now();
        let is_news = pictures.has_changed().unwrap_or(false);
        let picture = Arc::clone(&pictures.borrow());
        let soon = taken + if is_news { NEWS } else { AGES };
        if Arc::ptr_eq(&picture, &last) {
            look = None;
        } else if now < taken + FRAME && held.is_some() {
            pictures.mark_unchanged();
            feeder.amend(&picture);
            (last, look) = (picture, None);
            if is_news {
                write = Some(sooner(write, shared(now + WAIT, TOGETHER)));
            }
        } else if now < soon {
            look = Some(sooner(look, shared(soon, if is_news { NEWS } else { TOGETHER })));
        } else {
            pictures.mark_unchanged();
            feeder.hold(&picture);
            (last, taken, look) = (picture, now, None);
            held.get_or_insert(now);
            write = Some(sooner(write, shared(now + if is_news { WAIT } else { QUIET }, TOGETHER)));
        }
        if write.is_some_and(|at| at <= now) || held.is_some_and(|since| since + WAIT <= now) {
            (held, write) = (None, None);
            feeder.hand_over();
            if !warned && feeder.dropped() > 0 {
                warned = true;
                let text = "the disk does not keep up: some pictures are not recorded";
                tracing::warn!("{text}");
                let _ = tell.try_send(text.to_owned());
            }
        }
    }
}

/// The sooner of a moment that may be set already and `at`.
fn sooner(known: Option<Instant>, at: Instant) -> Instant {
    known.map_or(at, |known| known.min(at))
}

fn shared(at: Instant, apart: Duration) -> Instant {
    Instant::from_std(shared_moment(at.into_std(), apart))
}

/// Records until a signal comes or the time is over: 0 recorded, 3 not.
///
/// # Errors
/// When there is no fleet, or the file is there already.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    if args.file.exists() {
        anyhow::bail!("{} exists already: choose another name, nothing is written over", args.file.display());
    }
    let runtime = super::process::small_runtime()?;
    let (feeder, failed) = runtime.block_on(async {
        let mut stop = Stop::new().context("signals can't be received")?;
        let connected = connect::start(&fleet, &context.paths, FACE)?;
        drop(connected.commander);
        let target = Target::File(args.file.clone());
        let started = start(&Handle::current(), target, &connected.observer);
        let mut recording = started.map_err(anyhow::Error::msg)?;
        let feeder = recording.feeder();
        let end = args.lasting.map(|span| Instant::now() + span);
        tokio::select! {
            biased;
            signal = stop.wait() => tracing::info!("ends on {signal}"),
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {}
            Some(_) = recording.news.recv() => {
                // A file that can't be written is not begun again: nothing would come of waiting.
                if let State::Failed(why) = feeder.state() {
                    return Ok((feeder, Some(why)));
                }
                tokio::select! {
                    _ = stop.wait() => {}
                    () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {}
                }
            }
        }
        tokio::task::spawn_blocking(move || drop(recording)).await?;
        anyhow::Ok((feeder, None))
    })?;
    let failed = failed.or(if let State::Failed(why) = feeder.state() { Some(why) } else { None });
    if let Some(why) = failed {
        eprintln!("peerdeck: {why}");
        return Ok(UNKNOWN);
    }
    let (written, dropped) = (feeder.written(), feeder.dropped());
    let missed = if dropped > 0 { format!(", {dropped} were not taken in time") } else { String::new() };
    eprintln!("peerdeck: {written} pictures in {}{missed}", args.file.display());
    Ok(0)
}
