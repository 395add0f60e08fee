//! What waits for which sink.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError, millis, number, readable};
use crate::domain::alert::{Notice, Told};
use crate::domain::finding::Severity;
use crate::domain::time::Time;
use crate::proto::alert::WireNotice;

/// A way out, as the outbox knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The sink's name.
    pub sink: String,
    /// Nothing that is less bad goes there, unless it was told of worse before.
    pub least: Severity,
    /// So many notices wait at most; the oldest go first, counted.
    pub queue: u32,
}

/// How a sink fares, over restarts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Queue {
    /// Notices that wait.
    pub waiting: u64,
    /// Notices that it has confirmed.
    pub delivered: u64,
    /// Deliveries that failed.
    pub failed: u64,
    /// Notices that it will never get.
    pub dropped: u64,
    /// Notices that a fellow had told already.
    pub by_fellow: u64,
    /// When it last confirmed one.
    pub succeeded: Option<Time>,
    /// The last failure, since it last confirmed one.
    pub error: Option<String>,
}

/// What became of notices that were taken from the outbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gone {
    /// The other side has them.
    Delivered(Time),
    /// A fellow has told them.
    ByFellow,
    /// They will never be taken.
    Refused,
}

/// Puts `notice` into the boxes of all sinks that are to tell it.
pub(super) fn route(tx: &Transaction<'_>, routes: &[Route], notice: &Notice) -> rusqlite::Result<()> {
    let id = notice.alert.id().as_str();
    for route in routes {
        let row = params![route.sink, id];
        let mut known = tx.prepare_cached("SELECT 1 FROM told WHERE sink = ?1 AND id = ?2")?;
        let was_told = known.query_row(row, |_| Ok(())).optional()?.is_some();
        let is_bad_enough = notice.alert.severity() >= route.least;
        let goes = match notice.told {
            // What a sink was told of it also hears the end of, and that it got better.
            Told::Cleared => was_told,
            Told::Changed | Told::Acknowledged => is_bad_enough || was_told,
            Told::Raised | Told::Repeated => is_bad_enough,
        };
        if !goes {
            continue;
        }
        let mut put = tx.prepare_cached("INSERT OR IGNORE INTO outbox (sink, seq) VALUES (?1, ?2)")?;
        put.execute(params![route.sink, number(notice.seq)?])?;
        let sql = "INSERT INTO sinks (name, waiting) VALUES (?1, 1)
            ON CONFLICT (name) DO UPDATE SET waiting = waiting + 1";
        tx.prepare_cached(sql)?.execute([&route.sink])?;
        let sql = match notice.told {
            Told::Cleared => "DELETE FROM told WHERE sink = ?1 AND id = ?2",
            Told::Raised | Told::Changed | Told::Repeated | Told::Acknowledged => {
                "INSERT OR IGNORE INTO told (sink, id) VALUES (?1, ?2)"
            }
        };
        tx.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}

/// Drops the oldest of what is too much.
pub(super) fn bound(tx: &Transaction<'_>, routes: &[Route]) -> rusqlite::Result<()> {
    for route in routes {
        let mut count = tx.prepare_cached("SELECT waiting FROM sinks WHERE name = ?1")?;
        let waiting: Option<i64> = count.query_row([&route.sink], |row| row.get(0)).optional()?;
        let over = waiting.unwrap_or(0) - i64::from(route.queue);
        if over <= 0 {
            continue;
        }
        let sql = "DELETE FROM outbox WHERE sink = ?1
            AND seq IN (SELECT seq FROM outbox WHERE sink = ?1 ORDER BY seq LIMIT ?2)";
        let gone = tx.execute(sql, params![route.sink, over])?;
        let sql = "UPDATE sinks SET waiting = waiting - ?2, dropped = dropped + ?2 WHERE name = ?1";
        tx.execute(sql, params![route.sink, count_of(gone)])?;
    }
    Ok(())
}

fn count_of(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Store {
    /// The oldest notices that wait for `sink`, no more than `limit`, oldest first. What can't be read,
    /// as a newer version wrote it, is taken out and counts as dropped.
    ///
    /// # Errors
    /// [`StoreError`] when the file can't be used.
    pub fn waiting(&mut self, sink: &str, limit: usize) -> Result<Vec<Notice>, StoreError> {
        let rows = self.boxed(sink, limit)?;
        let all: Vec<u64> = rows.iter().map(|(seq, _)| *seq).collect();
        let notices = readable(rows, |seq, wire: WireNotice| wire.into_domain(seq));
        if notices.len() < all.len() {
            let lost: Vec<u64> = all.into_iter().filter(|seq| notices.iter().all(|n| n.seq != *seq)).collect();
            self.take_out(sink, &lost, Gone::Refused)?;
        }
        Ok(notices)
    }

    fn boxed(&self, sink: &str, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        let read = || {
            let sql = "SELECT seq, body FROM outbox JOIN notices USING (seq) WHERE sink = ?1 ORDER BY seq LIMIT ?2";
            let mut rows = self.db.prepare_cached(sql)?;
            let rows = rows.query_map(params![sink, count_of(limit)], |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|e| self.error("read", &e))
    }

    /// Takes notices that [`Store::waiting`] gave out of the box of `sink`. What was dropped meanwhile as too much and
    /// got through after all no longer counts as dropped.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses; they wait on then.
    pub fn take_out(&mut self, sink: &str, seqs: &[u64], gone: Gone) -> Result<(), StoreError> {
        // That it is told once more after a power cut is better than to wait for the disk each time.
        self.transact(false, |tx| {
            let mut out = 0;
            for seq in seqs {
                let mut delete = tx.prepare_cached("DELETE FROM outbox WHERE sink = ?1 AND seq = ?2")?;
                out += delete.execute(params![sink, number(*seq)?])?;
            }
            let (all, out) = (count_of(seqs.len()), count_of(out));
            // What is out already was dropped as too much; only a refusal counts the same.
            let over = all - out;
            match gone {
                Gone::Delivered(at) => {
                    let sql = "UPDATE sinks SET waiting = waiting - ?2, dropped = dropped - ?3,
                        delivered = delivered + ?4, succeeded = ?5, error = NULL WHERE name = ?1";
                    tx.prepare_cached(sql)?.execute(params![sink, out, over, all, millis(at)?])
                }
                Gone::ByFellow => {
                    let sql = "UPDATE sinks SET waiting = waiting - ?2, dropped = dropped - ?3,
                        by_fellow = by_fellow + ?4 WHERE name = ?1";
                    tx.prepare_cached(sql)?.execute(params![sink, out, over, all])
                }
                Gone::Refused => {
                    let sql = "UPDATE sinks SET waiting = waiting - ?2, dropped = dropped + ?2 WHERE name = ?1";
                    tx.prepare_cached(sql)?.execute(params![sink, out])
                }
            }
            .map(drop)
        })
    }

    /// A delivery has failed.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses.
    pub fn failed(&mut self, sink: &str, why: &str) -> Result<(), StoreError> {
        self.transact(false, |tx| {
            let sql = "INSERT INTO sinks (name, failed, error) VALUES (?1, 1, ?2)
                ON CONFLICT (name) DO UPDATE SET failed = failed + 1, error = excluded.error";
            tx.prepare_cached(sql)?.execute(params![sink, why]).map(drop)
        })
    }

    /// How `sink` fares.
    ///
    /// # Errors
    /// [`StoreError`] when the file can't be read.
    pub fn queue(&self, sink: &str) -> Result<Queue, StoreError> {
        let sql = "SELECT waiting, delivered, failed, dropped, by_fellow, succeeded, error FROM sinks WHERE name = ?1";
        let read = || {
            let mut one = self.db.prepare_cached(sql)?;
            let queue = one.query_row([sink], |row| {
                let n = |i: usize| row.get::<_, i64>(i).map(i64::unsigned_abs);
                Ok(Queue {
                    waiting: n(0)?,
                    delivered: n(1)?,
                    failed: n(2)?,
                    dropped: n(3)?,
                    by_fellow: n(4)?,
                    succeeded: row.get::<_, Option<i64>>(5)?.map(|at| Time::from_millis(at.unsigned_abs())),
                    error: row.get(6)?,
                })
            });
            queue.optional().map(Option::unwrap_or_default)
        };
        read().map_err(|e| self.error("read", &e))
    }

    /// Empties the boxes of sinks that are not in `routes`: how many notices will not be told, of each.
    ///
    /// # Errors
    /// [`StoreError`] when the system refuses.
    pub fn keep_only(&mut self, routes: &[Route]) -> Result<Vec<(String, u64)>, StoreError> {
        self.transact(false, |tx| {
            let mut gone = Vec::new();
            let names = {
                let mut rows = tx.prepare("SELECT name, waiting FROM sinks")?;
                let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
                rows.collect::<Result<Vec<_>, _>>()?
            };
            for (name, waiting) in names.into_iter().filter(|(name, _)| routes.iter().all(|r| r.sink != *name)) {
                for table in ["outbox WHERE sink", "told WHERE sink", "sinks WHERE name"] {
                    tx.execute(&format!("DELETE FROM {table} = ?1"), [&name])?;
                }
                if waiting > 0 {
                    gone.push((name, waiting.unsigned_abs()));
                }
            }
            Ok(gone)
        })
    }
}
