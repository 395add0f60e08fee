//! What a watch must not forget, in one SQLite file (B5): what was told of which finding, silences, who looks after
//! what, the last notices, and what waits for which sink.
//!
//! All effects of one step and the rows that make the sinks tell them are one transaction. The watch has the file for
//! itself as the one that tells ([`Store::lock`]); others may open it at the same time to look and to order.

mod forms;
mod open;
mod outbox;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

pub use self::open::{Lock, StoreError};
pub use self::outbox::{Gone, Queue, Route};
use super::{Effect, Kept, Memory};
use crate::domain::alert::{Ack, Book, Notice, Order, Silence};
use crate::domain::finding::FindingId;
use crate::domain::time::Time;
use crate::proto::alert::{WireKept, WireNotice, WireOrder, WireSilence};
use crate::proto::finding::WireAck;

/// So many of the last notices are kept.
pub const HISTORY: u64 = 10_000;
/// So many of them are in a [`Book`].
const BOOK: i64 = 1_000;
/// So many silences hold at the same time at most.
const SILENCES: i64 = 1_000;
/// For how long a silence is shown after its end.
const ENDED: Duration = Duration::from_hours(24 * 7);
/// So many orders wait for a watch at most; the oldest go first.
const ORDERS: i64 = 1_000;
/// Older notices than the history holds are swept out once in so many.
const SWEEP: u64 = 64;

/// An order about an acknowledgement that the watch has yet to carry out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Names it, for [`Step::done`].
    pub n: i64,
    /// About which finding.
    pub id: FindingId,
    /// Who looks after it from now on; `None`: nobody.
    pub ack: Option<Ack>,
    /// When it was asked for.
    pub at: Time,
}

/// What one step of the watch writes down.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// All effects of the step.
    pub effects: &'a [Effect],
    /// Orders that were carried out in it, or never can be.
    pub done: &'a [i64],
    /// All ways out that there are.
    pub routes: &'a [Route],
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    watcher: String,
    version: i64,
}

impl Store {
    /// Opens the file, and makes it where there is none (0600, in a folder 0700).
    ///
    /// # Errors
    /// [`StoreError`] in words: somebody else may write it, it is no such file, damaged or too new, or the system
    /// refuses. It is left as it is then.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        open::make(path)?;
        Self::of(path)
    }

    /// As [`Store::open`]; `None` where there is no file.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(path: &Path) -> Result<Option<Self>, StoreError> {
        if open::is_there(path)? { Self::of(path).map(Some) } else { Ok(None) }
    }

    fn of(path: &Path) -> Result<Self, StoreError> {
        let db = open::connect(path)?;
        let watcher = db.query_row("SELECT value FROM meta WHERE key = 'watcher'", [], |row| row.get(0));
        let mut store = Self { db, path: path.to_owned(), watcher: String::new(), version: 0 };
        store.watcher = watcher.map_err(|e| store.error("read", &e))?;
        store.version = store.data_version()?;
        Ok(store)
    }

    /// Takes the file for one watch; until the lock is dropped or its process has ended.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another watch has it.
    pub fn lock(path: &Path) -> Result<Lock, StoreError> {
        Lock::take(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Random, drawn when the file was made: with the number of a notice it names that notice for ever.
    #[must_use]
    pub fn watcher(&self) -> &str {
        &self.watcher
    }

    /// What the watch goes on from.
    ///
    /// # Errors
    /// [`StoreError`] when the file can't be read. A row that a newer version has written is left out, with a warning.
    pub fn load(&self) -> Result<Memory, StoreError> {
        let seq = self.db.query_row("SELECT coalesce(max(seq), 0) FROM notices", [], |row| row.get::<_, i64>(0));
        let seq = seq.map_err(|e| self.error("read", &e))?;
        Ok(Memory { kept: self.kept()?, silences: self.silences()?, seq: seq.unsigned_abs() })
    }

    fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        let rows = self.rows("SELECT 0, body FROM kept ORDER BY id")?;
        Ok(readable(rows, |_, wire: WireKept| forms::kept(wire)))
    }

    /// All silences, those that have ended lately too.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        let rows = self.rows("SELECT id, body FROM silences ORDER BY id")?;
        Ok(readable(rows, |id, wire: WireSilence| wire.into_domain(id)))
    }

    /// Orders that wait, oldest first.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn asked(&self) -> Result<Vec<Asked>, StoreError> {
        let read = || {
            let mut rows = self.db.prepare_cached("SELECT n, finding, at, body FROM orders ORDER BY n")?;
            let rows = rows.query_map([], |row| {
                let (n, id, at, body): (i64, String, i64, String) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                Ok((n, FindingId::named(&id), Time::from_millis(at.unsigned_abs()), body))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        let rows = read().map_err(|e| self.error("read", &e))?;
        let asked = rows.into_iter().filter_map(|(n, id, at, body)| {
            let order: WireOrder = serde_json::from_str(&body).ok()?;
            Some(Asked { n, id, ack: order.ack.map(WireAck::into_domain), at })
        });
        Ok(asked.collect())
    }

    /// Writes a step down, all of it or nothing; it is on disk when this returns. How many notices each route got
    /// stands in its [`Queue`].
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses; nothing of the step is kept then.
    pub fn commit(&mut self, step: Step<'_>) -> Result<(), StoreError> {
        self.transact(true, |tx| {
            for effect in step.effects {
                match effect {
                    Effect::Keep(kept) => keep(tx, kept)?,
                    Effect::Forget(id) => {
                        tx.prepare_cached("DELETE FROM kept WHERE id = ?1")?.execute([id.as_str()])?;
                    }
                    Effect::Tell(notice) => {
                        write_notice(tx, notice)?;
                        outbox::route(tx, step.routes, notice)?;
                    }
                }
            }
            for n in step.done {
                tx.prepare_cached("DELETE FROM orders WHERE n = ?1")?.execute([n])?;
            }
            outbox::bound(tx, step.routes)
        })
    }

    /// Carries out what a person asks for; a running watch sees it within a second. The id of a new silence.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses, or too many silences hold.
    pub fn order(&mut self, order: &Order, now: Time) -> Result<Option<u64>, StoreError> {
        let path = self.path.clone();
        self.transact(true, |tx| match order {
            Order::Acknowledge { id, ack } => ask(tx, id, Some(ack), now).map(|()| Ok(None)),
            Order::Unacknowledge(id) => ask(tx, id, None, now).map(|()| Ok(None)),
            Order::Silence(silence) => Ok(silence_one(tx, silence, now)?.map(Some).ok_or(StoreError::TooMany { path })),
            Order::Unsilence(id) => unsilence(tx, *id, now).map(|()| Ok(None)),
        })?
    }

    /// What is written down, for people. Silences that ended more than a week before `now` are left out.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn book(&self, now: Time) -> Result<Book, StoreError> {
        let acked = self.kept()?.into_iter().filter_map(|k| Some((k.seen.finding.id.clone(), k.ack?)));
        let mut acks: std::collections::BTreeMap<_, _> = acked.collect();
        for asked in self.asked()? {
            match asked.ack {
                Some(ack) => acks.insert(asked.id, ack),
                None => acks.remove(&asked.id),
            };
        }
        let mut silences = self.silences()?;
        silences.retain(|s| s.until + ENDED > now);
        let newest = format!("SELECT seq, body FROM notices ORDER BY seq DESC LIMIT {BOOK}");
        let mut notices = readable(self.rows(&newest)?, |seq, wire: WireNotice| wire.into_domain(seq));
        notices.reverse();
        Ok(Book { acks, silences, notices })
    }

    /// Whether another process, or another [`Store`] of this one, has written since this was asked last.
    ///
    /// # Errors
    /// [`StoreError`] when the file can't be read.
    pub fn changed(&mut self) -> Result<bool, StoreError> {
        let version = self.data_version()?;
        Ok(std::mem::replace(&mut self.version, version) != version)
    }

    fn data_version(&self) -> Result<i64, StoreError> {
        let version = self.db.pragma_query_value(None, "data_version", |row| row.get(0));
        version.map_err(|e| self.error("read", &e))
    }

    /// Number and text of each row.
    fn rows(&self, sql: &str) -> Result<Vec<(u64, String)>, StoreError> {
        let read = || {
            let mut rows = self.db.prepare_cached(sql)?;
            let rows = rows.query_map([], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|e| self.error("read", &e))
    }

    /// One transaction. `durable`: it survives a power cut when this returns; else only the end of the process.
    fn transact<T>(
        &mut self,
        durable: bool,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let all = || {
            self.db.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&tx)?;
            tx.commit().map(|()| done)
        };
        all().map_err(|e| self.error("written", &e))
    }

    fn error(&self, tried: &'static str, error: &rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, tried, error)
    }
}

/// Rows in the domain's form; what can't be read is left out, with a warning.
fn readable<W: serde::de::DeserializeOwned, T>(
    rows: Vec<(u64, String)>,
    into: impl Fn(u64, W) -> Result<T, crate::proto::ProtoError>,
) -> Vec<T> {
    let read = |(n, body): (u64, String)| {
        let wire = serde_json::from_str(&body).map_err(|e| e.to_string());
        let one = wire.and_then(|wire| into(n, wire).map_err(|e| e.to_string()));
        one.inspect_err(|why| tracing::warn!("a row of the watch's state is left out: {why}")).ok()
    };
    rows.into_iter().filter_map(read).collect()
}

fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// As SQLite counts.
fn number(n: u64) -> rusqlite::Result<i64> {
    i64::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, i64::MAX))
}

fn millis(at: Time) -> rusqlite::Result<i64> {
    number(at.as_millis())
}

fn keep(tx: &Transaction<'_>, kept: &Kept) -> rusqlite::Result<()> {
    let body = json(&forms::wire_kept(kept))?;
    let sql = "INSERT INTO kept (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
    tx.prepare_cached(sql)?.execute(params![kept.seen.finding.id.as_str(), body]).map(drop)
}

fn write_notice(tx: &Transaction<'_>, notice: &Notice) -> rusqlite::Result<()> {
    let row = params![number(notice.seq)?, json(&WireNotice::from_domain(notice))?];
    tx.prepare_cached("INSERT INTO notices (seq, body) VALUES (?1, ?2)")?.execute(row)?;
    if notice.seq > HISTORY && notice.seq.is_multiple_of(SWEEP) {
        let sql = "DELETE FROM notices WHERE seq <= ?1
            AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.seq = notices.seq)";
        tx.prepare_cached(sql)?.execute([number(notice.seq - HISTORY)?])?;
    }
    Ok(())
}

fn ask(tx: &Transaction<'_>, id: &FindingId, ack: Option<&Ack>, now: Time) -> rusqlite::Result<()> {
    let body = json(&WireOrder { ack: ack.map(WireAck::from_domain) })?;
    let sql = "INSERT OR REPLACE INTO orders (finding, at, body) VALUES (?1, ?2, ?3)";
    tx.execute(sql, params![id.as_str(), millis(now)?, body])?;
    let sql = "DELETE FROM orders WHERE n <= (SELECT n FROM orders ORDER BY n DESC LIMIT 1 OFFSET ?1)";
    tx.execute(sql, [ORDERS]).map(drop)
}

/// The id of the new silence; `None` when there are too many.
fn silence_one(tx: &Transaction<'_>, silence: &Silence, now: Time) -> rusqlite::Result<Option<u64>> {
    tx.execute("DELETE FROM silences WHERE until <= ?1", [millis(now.before(ENDED))?])?;
    let hold: i64 = tx.query_row("SELECT count(*) FROM silences WHERE until > ?1", [millis(now)?], |row| row.get(0))?;
    if hold >= SILENCES {
        return Ok(None);
    }
    let row = params![millis(silence.until)?, json(&WireSilence::from_domain(silence))?];
    tx.execute("INSERT INTO silences (until, body) VALUES (?1, ?2)", row)?;
    Ok(Some(tx.last_insert_rowid().unsigned_abs()))
}

fn unsilence(tx: &Transaction<'_>, id: u64, now: Time) -> rusqlite::Result<()> {
    let id = number(id)?;
    let body =
        tx.query_row("SELECT body FROM silences WHERE id = ?1", [id], |row| row.get::<_, String>(0)).optional()?;
    let Some(Ok(mut wire)) = body.map(|b| serde_json::from_str::<WireSilence>(&b)) else { return Ok(()) };
    if wire.until > now.as_millis() {
        wire.until = now.as_millis();
        let row = params![id, millis(now)?, json(&wire)?];
        tx.execute("UPDATE silences SET until = ?2, body = ?3 WHERE id = ?1", row)?;
    }
    Ok(())
}
