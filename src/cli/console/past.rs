//! Looking back in the console: a thread with a reader of its own, asked for one moment at a time (B6).

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::app::Msg;
use crate::domain::Line;
use crate::domain::past::Glance;
use crate::record::{Feeder, Reader};

/// Questions that wait; the newest one is answered.
const QUEUE: usize = 64;

/// How long a look waits for what is just being written.
const PATIENCE: Duration = Duration::from_millis(250);

/// What can be looked back into.
pub struct Past {
    /// Opened when it is first asked, and again after a failure: a ring may not be there yet.
    path: PathBuf,
    reader: Option<Box<Reader>>,
    first: Option<Glance>,
    /// What the recorder has to say to people.
    news: Option<mpsc::Receiver<String>>,
    /// Of the recorder that writes it, if that is ours.
    feeder: Option<Feeder>,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Past").field(&self.path).finish()
    }
}

impl Past {
    /// The ring in this folder, which somebody else may record.
    #[must_use]
    pub fn ring(path: PathBuf) -> Self {
        Self { path, reader: None, first: None, news: None, feeder: None }
    }

    /// The ring in this folder, what its recorder tells, and the way to it.
    #[must_use]
    pub fn recorded(path: PathBuf, news: mpsc::Receiver<String>, feeder: Feeder) -> Self {
        Self { news: Some(news), feeder: Some(feeder), ..Self::ring(path) }
    }

    /// A recording that is open, shown at this moment.
    #[must_use]
    pub fn of(reader: Reader, first: Glance) -> Self {
        let path = reader.source().path().to_owned();
        Self { reader: Some(Box::new(reader)), first: Some(first), ..Self::ring(path) }
    }

    /// Starts the thread. It ends when the returned sender is dropped.
    pub(super) fn start(mut self, results: mpsc::Sender<Msg>) -> SyncSender<Glance> {
        let (ask, asked) = sync_channel(QUEUE);
        if let Some(first) = self.first.take() {
            let _ = ask.try_send(first); // The queue is empty.
        }
        if let Some(mut news) = self.news.take() {
            let results = results.clone();
            tokio::spawn(async move {
                while let Some(text) = news.recv().await {
                    if results.send(Msg::Warning(text)).await.is_err() {
                        return;
                    }
                }
            });
        }
        let started = thread::Builder::new().name("past".into()).spawn(move || self.answer(&asked, &results));
        if let Err(error) = started {
            tracing::warn!("nobody can look back: there is no thread for it: {error}");
        }
        ask
    }

    fn answer(&mut self, asked: &Receiver<Glance>, results: &mpsc::Sender<Msg>) {
        while let Ok(first) = asked.recv() {
            let glance = asked.try_iter().fold(first, newest);
            let told = match self.look(glance) {
                Ok(None) => continue,
                Ok(Some(moment)) => Ok(moment),
                Err(why) => {
                    tracing::info!("no picture of then: {why}");
                    Err(Line::new(&why))
                }
            };
            if results.blocking_send(Msg::Past(told)).is_err() {
                return; // The console has ended.
            }
        }
    }

    fn look(&mut self, glance: Glance) -> Result<Option<crate::domain::Moment>, String> {
        // What was just seen can be looked back at.
        if let Some(feeder) = self.feeder.as_ref().filter(|_| glance != Glance::Live) {
            feeder.settle(PATIENCE);
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None if glance == Glance::Live => return Ok(None),
            None => {
                let reader = Reader::open(&self.path).map_err(|e| e.to_string())?;
                self.reader.insert(Box::new(reader))
            }
        };
        reader.glance(glance).map_err(|e| e.to_string())
    }
}

/// What is asked once `later` was asked too: steps add up, of two moments the later one counts.
fn newest(earlier: Glance, later: Glance) -> Glance {
    match (earlier, later) {
        (Glance::Step(a), Glance::Step(b)) => Glance::Step(a.saturating_add(b)),
        (Glance::Mark(a), Glance::Mark(b)) => Glance::Mark(a.saturating_add(b)),
        (Glance::At(_) | Glance::Step(_) | Glance::Mark(_) | Glance::Live, later) => later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Time;

    #[test]
    fn b6_scrubbing_quickly_asks_for_the_newest_moment_alone() {
        let at = |ms| Glance::At(Time::from_millis(ms));
        let all = |glances: &[Glance]| glances.iter().copied().reduce(newest).unwrap();
        assert_eq!(all(&[at(1), at(2), at(3)]), at(3));
        assert_eq!(all(&[Glance::Step(-1), Glance::Step(-1), Glance::Step(1)]), Glance::Step(-1));
        assert_eq!(all(&[Glance::Mark(1), Glance::Mark(1)]), Glance::Mark(2));
        assert_eq!(all(&[at(1), Glance::Live]), Glance::Live);
    }
}
