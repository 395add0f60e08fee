//! What is written down about alerts: read for the console, followed, and changed as it asks (B5).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::alerts::store::{Store, StoreError};
use crate::app::Msg;
use crate::cli::reload::Eyes;
use crate::clock::Clock;
use crate::config::watch::{Spot, spots_of};
use crate::domain::alert::{Book, Order};
use crate::domain::{Time, span};

/// Orders that wait; more at once are no person's.
const ORDERS: usize = 16;

/// Follows the state of the watch at `path` until the console lets go of `results`, and carries out orders.
///
/// The file is made by the first order, or by a watch; until then there is nothing to read.
pub fn follow(path: PathBuf, clock: Arc<dyn Clock>, results: mpsc::Sender<Msg>) -> mpsc::Sender<Order> {
    let (sender, orders) = mpsc::channel(ORDERS);
    tokio::spawn(run(Desk { path, store: None, told: None }, clock, results, orders));
    sender
}

/// The file, as far as it could be opened.
struct Desk {
    path: PathBuf,
    store: Option<Store>,
    /// What was wrong with it last: told once.
    told: Option<String>,
}

async fn run(mut desk: Desk, clock: Arc<dyn Clock>, results: mpsc::Sender<Msg>, mut orders: mpsc::Receiver<Order>) {
    // Its log is written without ever being closed: what is written counts, not only what is renamed or closed.
    let mut eyes = Eyes::open_for_writes();
    let mut order = None;
    loop {
        // Watched first and read then, so that nothing falls in between.
        let path = desk.path.clone();
        let Ok(spots) = spawn_blocking(move || spots(&path)).await else { return };
        eyes.arm(&spots);
        let (asked, now) = (order.take(), clock.now());
        let Ok((back, news)) = spawn_blocking(move || desk.look(asked.as_ref(), now)).await else { return };
        desk = back;
        for msg in news {
            if results.send(msg).await.is_err() {
                return;
            }
        }
        tokio::select! {
            asked = orders.recv() => match asked {
                Some(asked) => order = Some(asked),
                None => return,
            },
            () = eyes.change() => {}
        }
    }
}

/// The file and its log, wherever links lead.
fn spots(path: &Path) -> BTreeSet<Spot> {
    let mut spots = spots_of(path);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    spots.append(&mut spots_of(Path::new(&log)));
    spots
}

impl Desk {
    /// Carries out an order, if there is one, and reads what is written down, if it is new.
    fn look(mut self, order: Option<&Order>, now: Time) -> (Self, Vec<Msg>) {
        let mut news = Vec::new();
        match self.work(order, now, &mut news) {
            Ok(()) => self.told = None,
            Err(error) => {
                let text = error.to_string();
                // A person who asks is answered each time.
                if order.is_some() || self.told.as_ref() != Some(&text) {
                    news.push(Msg::Warning(text.clone()));
                }
                self.told = Some(text);
                self.store = None;
            }
        }
        (self, news)
    }

    fn work(&mut self, order: Option<&Order>, now: Time, news: &mut Vec<Msg>) -> Result<(), StoreError> {
        let fresh = self.store.is_none();
        if self.store.is_none() {
            self.store = match order {
                Some(_) => Some(Store::open(&self.path)?),
                None => Store::open_existing(&self.path)?,
            };
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        if let Some(order) = order {
            let id = store.order(order, now)?;
            news.push(Msg::Notice(written(order, id, &self.path)));
        }
        // What another one has written, or this one just now.
        if store.changed()? || fresh || order.is_some() {
            let book: Book = store.book(now)?;
            news.push(Msg::Book(Arc::new(book)));
        }
        Ok(())
    }
}

/// What was done, and where it stands now.
fn written(order: &Order, id: Option<u64>, path: &Path) -> String {
    let what = match order {
        Order::Acknowledge { ack, .. } => format!("acknowledged by {}", ack.by),
        Order::Unacknowledge(_) => "the acknowledgement is taken back".to_owned(),
        Order::Silence(silence) => {
            let number = id.map_or_else(String::new, |id| format!(" {id}"));
            format!("silence{number} for {} by {}", span::format(silence.until.since(silence.from)), silence.by)
        }
        Order::Unsilence(id) => format!("silence {id} has ended"),
    };
    format!("{what}; written to {}", path.display())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::alert::{Ack, Matcher, Silence};
    use crate::domain::{FindingId, Line};

    const DEADLINE: Duration = Duration::from_secs(30);

    async fn book(results: &mut mpsc::Receiver<Msg>, holds: impl Fn(&Book) -> bool) -> Vec<String> {
        let mut told = Vec::new();
        let wanted = async {
            while let Some(msg) = results.recv().await {
                match msg {
                    Msg::Book(book) if holds(&book) => return,
                    Msg::Notice(text) | Msg::Warning(text) => told.push(text),
                    _ => {}
                }
            }
        };
        timeout(DEADLINE, wanted).await.unwrap();
        told
    }

    fn ack(id: &str) -> Order {
        let ack = Ack { by: Line::new("ann@noc"), at: Time::from_millis(5), reason: Line::default() };
        Order::Acknowledge { id: FindingId::named(id), ack }
    }

    #[tokio::test]
    async fn b5_orders_are_written_and_what_others_write_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watch/noc.db");
        let (sender, mut results) = mpsc::channel(8);
        let orders = follow(path.clone(), Arc::new(SystemClock::new()), sender);
        orders.send(ack("a")).await.unwrap();
        let told = book(&mut results, |b| b.acks.len() == 1).await;
        assert_eq!(told, [format!("acknowledged by ann@noc; written to {}", path.display())]);
        // Another process: a watch, or `peerdeck silence`.
        let mut other = Store::open(&path).unwrap();
        let now = SystemClock::new().now();
        let silence = Silence {
            id: 0,
            matcher: Matcher { id: Some(FindingId::named("b")), ..Matcher::default() },
            by: Line::new("bob@noc"),
            reason: Line::new("known"),
            from: now,
            until: now + Duration::from_hours(1),
        };
        other.order(&Order::Silence(silence), now).unwrap();
        book(&mut results, |b| b.silences.len() == 1 && b.acks.len() == 1).await;
        drop(orders);
    }

    #[tokio::test]
    async fn b5_a_file_that_is_none_is_told_and_orders_are_answered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("noc.db");
        std::fs::write(&path, "not a database, but long enough to be looked at as one. ".repeat(40)).unwrap();
        let (sender, mut results) = mpsc::channel(8);
        let orders = follow(path.clone(), Arc::new(SystemClock::new()), sender);
        for _ in 0..2 {
            let Some(Msg::Warning(text)) = timeout(DEADLINE, results.recv()).await.unwrap() else {
                panic!("no warning")
            };
            assert!(text.contains("noc.db"), "{text}");
            orders.send(ack("a")).await.unwrap();
        }
    }
}
