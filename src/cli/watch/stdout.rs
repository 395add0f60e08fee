//! Standard output as a sink: one line per notice and per sign of life.
//!
//! A thread of its own writes, so that a reader who does not read holds up nobody else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::{Notify, oneshot};

use super::super::output::{Reader, emit};
use crate::alerts::sinks::{Beat, Delivery, Failure, Sink, Telling};

/// Lines at once.
const BATCH: usize = 64;

/// Its name among the sinks.
pub(super) const NAME: &str = "stdout";

type Written = Result<Reader, String>;

/// See the module.
pub(super) struct Stdout {
    json: bool,
    writer: SyncSender<(String, oneshot::Sender<Written>)>,
    /// What was handed to the writer and not heard of since, as the caller gave up waiting.
    open: Option<(Vec<String>, oneshot::Receiver<Written>)>,
    gone: Arc<Notify>,
}

impl Stdout {
    /// `gone` is told when nobody reads any more.
    pub(super) fn new(json: bool, gone: Arc<Notify>) -> Self {
        let (writer, lines) = sync_channel(1);
        // Not a task of the runtime: that would wait for it at the end, though its reader may never read.
        std::thread::spawn(move || write(&lines));
        Self { json, writer, open: None, gone }
    }

    async fn put(&mut self, ids: Vec<String>, text: String) -> Result<(), Failure> {
        let (answer, written) = oneshot::channel();
        self.writer.try_send((text, answer)).map_err(|_| Failure::later("standard output is not read"))?;
        self.open = Some((ids, written));
        self.settle().await.map(drop)
    }

    /// Waits for what is under way; its ids.
    async fn settle(&mut self) -> Result<Vec<String>, Failure> {
        let Some((_, written)) = &mut self.open else { return Ok(Vec::new()) };
        // Cancelled here, it stays open.
        let written = written.await;
        let ids = self.open.take().map(|(ids, _)| ids).unwrap_or_default();
        match written {
            Ok(Ok(Reader::There)) => Ok(ids),
            Ok(Ok(Reader::Gone)) => {
                self.gone.notify_one();
                Err(Failure::later("nobody reads standard output any more"))
            }
            Ok(Err(why)) => Err(Failure::later(format!("standard output can't be written: {why}"))),
            Err(_) => Err(Failure::later("standard output is written no more")),
        }
    }
}

fn write(lines: &Receiver<(String, oneshot::Sender<Written>)>) {
    for (text, answer) in lines {
        let _ = answer.send(emit(&text).map_err(|e| e.to_string())); // The end of the watch: nobody waits any more.
    }
}

impl Sink for Stdout {
    fn batch(&self) -> usize {
        BATCH
    }

    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        Box::pin(async move {
            let done = self.settle().await?;
            let rest: Vec<&Telling> = tellings.iter().filter(|t| !done.contains(&t.event_id)).collect();
            if rest.is_empty() {
                return Ok(());
            }
            let text = rest.iter().flat_map(|t| [if self.json { &*t.json } else { &*t.text }, "\n"]).collect();
            self.put(rest.iter().map(|t| t.event_id.clone()).collect(), text).await
        })
    }

    fn beat<'a>(&'a mut self, beat: &'a Beat) -> Delivery<'a> {
        Box::pin(async move {
            // What it says of notices that are under way is heard when they are delivered.
            if self.open.is_some() {
                return Ok(());
            }
            let line = if self.json { &beat.json } else { &beat.text };
            self.put(Vec::new(), format!("{line}\n")).await
        })
    }
}
