//! Reads keymap, themes and fleet file again whenever they change, for a console that runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::Links;
use super::follow::{Files, Follower, News, fleet_file};
#[cfg(target_os = "linux")]
use crate::config::watch::Watch;
use crate::config::watch::{Spot, spots_of};
use crate::engine::runtime::Reconfigurer;

/// Changes that follow each other within this time are one.
const QUIET: Duration = Duration::from_millis(100);
/// Changes that never end are looked at this often all the same.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where folders can't be watched the files are looked at this often.
const POLL: Duration = Duration::from_secs(2);

/// The console's end.
#[derive(Debug)]
pub struct Reload {
    /// What is new.
    pub news: mpsc::Receiver<News>,
    /// Asks for a look at once.
    pub ask: mpsc::Sender<()>,
}

/// Follows the files until the console lets go of its end. A new fleet goes to the engine by way of `links`.
#[must_use]
pub fn follow(follower: Follower, links: Arc<Links>, engine: Reconfigurer) -> Reload {
    let (sender, news) = mpsc::channel(16);
    let (ask, asked) = mpsc::channel(1);
    tokio::spawn(run(follower, links, engine, sender, asked));
    Reload { news, ask }
}

async fn run(
    mut follower: Follower,
    links: Arc<Links>,
    engine: Reconfigurer,
    sender: mpsc::Sender<News>,
    mut asked: mpsc::Receiver<()>,
) {
    let mut eyes = Eyes::open();
    let mut by_hand = false;
    loop {
        // Watched first and read then, so that nothing falls in between.
        let Ok((spots, mut given)) = spawn_blocking(move || (follower.spots(), follower)).await else { return };
        eyes.arm(&spots);
        let looked = spawn_blocking(move || {
            let news = given.look(by_hand);
            (given.spots(), given, news)
        });
        let Ok((spots_now, back, news)) = looked.await else { return };
        follower = back;
        for item in news {
            let item = match item {
                News::Fleet(fleet) => {
                    let links = Arc::clone(&links);
                    match spawn_blocking(move || links.change(&fleet)).await {
                        Ok(Ok(new)) => {
                            engine.reconfigure(new).await;
                            News::Good("the fleet file was read again, and holds".to_owned())
                        }
                        Ok(Err(error)) => News::Wrong(format!("the new fleet can't be taken over: {error:#}")),
                        Err(_) => return,
                    }
                }
                News::Wrong(text) => {
                    tracing::warn!("{text}");
                    News::Wrong(text)
                }
                other @ (News::Keymap(_) | News::Themes(_) | News::Good(_)) => other,
            };
            if sender.send(item).await.is_err() {
                return;
            }
        }
        // What the look itself found to watch may be more than before it.
        if spots_now != spots {
            by_hand = false;
            continue;
        }
        tokio::select! {
            ask = asked.recv() => match ask {
                Some(()) => by_hand = true,
                None => return,
            },
            () = eyes.change() => by_hand = false,
        }
    }
}

/// Says whenever the fleet file may have changed, until nobody listens any more.
pub(super) async fn changes(files: Files, sender: mpsc::Sender<()>) {
    let (mut eyes, mut first) = (Eyes::open(), true);
    let Some(file) = fleet_file(&files) else { return sender.closed().await };
    loop {
        let file = file.clone();
        let Ok(spots) = spawn_blocking(move || spots_of(&file)).await else { return };
        eyes.arm(&spots);
        if std::mem::take(&mut first) {
            // It may have changed since it was read for the first time.
            let _ = sender.try_send(()); // Nothing stands in it yet.
        }
        tokio::select! {
            () = eyes.change() => match sender.try_send(()) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(())) => {}
                Err(mpsc::error::TrySendError::Closed(())) => return,
            },
            () = sender.closed() => return,
        }
    }
}

/// What sees that something changed.
pub(super) struct Eyes {
    #[cfg(target_os = "linux")]
    watch: Option<AsyncFd<Watch>>,
    /// Whether every folder that matters is watched.
    whole: bool,
}

#[cfg(target_os = "linux")]
impl Eyes {
    fn open() -> Self {
        Self::of(Watch::new())
    }

    /// As [`Self::open`], for files that are written and never closed.
    pub(super) fn open_for_writes() -> Self {
        Self::of(Watch::new().map(Watch::with_writes))
    }

    #[expect(
        deprecated,
        reason = "sound for a Watch, whose descriptor never changes; what replaces it is unsafe to call"
    )]
    fn of(watch: std::io::Result<Watch>) -> Self {
        let watch = watch.and_then(AsyncFd::new);
        if let Err(error) = &watch {
            tracing::warn!("folders can't be watched ({error}): files are looked at every {} s", POLL.as_secs());
        }
        Self { watch: watch.ok(), whole: true }
    }

    pub(super) fn arm(&mut self, spots: &BTreeSet<Spot>) {
        if let Some(watch) = &mut self.watch {
            self.whole = watch.get_mut().arm(spots);
        }
    }

    /// Until something that matters has changed and it is quiet again.
    pub(super) async fn change(&mut self) {
        let Some(watch) = &mut self.watch else { return tokio::time::sleep(POLL).await };
        let poll = sleep_until(Instant::now() + POLL);
        let seen_any = async { while !seen(watch).await {} };
        tokio::select! {
            () = seen_any => {}
            () = poll, if !self.whole => return,
        }
        let end = Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                more = timeout(QUIET, seen(watch)) => if more.is_err() { return },
                () = sleep_until(end) => return,
            }
        }
    }
}

/// Waits for events: whether any of them matters.
#[cfg(target_os = "linux")]
async fn seen(watch: &mut AsyncFd<Watch>) -> bool {
    let Ok(mut ready) = watch.readable_mut().await else {
        return std::future::pending().await;
    };
    let matters = ready.get_inner_mut().drain();
    ready.clear_ready();
    matters
}

#[cfg(not(target_os = "linux"))]
impl Eyes {
    fn open() -> Self {
        Self {}
    }

    pub(super) fn open_for_writes() -> Self {
        Self::open()
    }

    pub(super) fn arm(&mut self, _: &BTreeSet<Spot>) {}

    pub(super) async fn change(&mut self) {
        tokio::time::sleep(POLL).await;
    }
}
