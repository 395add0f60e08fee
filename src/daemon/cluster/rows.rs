//! Flooding: every peer knows the whole grid, even over a chain.
//!
//! The own row is pushed to all fellows when it changes. What comes from one is passed on to those that, by
//! their own rows, don't hear the origin themselves. Each ping asks a few fellows for what is still missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ConnId, Core, Effect};
use crate::domain::ids::{BootId, PeerId};
use crate::domain::membership::MACHINES_MAX;
use crate::domain::mesh::route::{Edges, Route, routes};
use crate::domain::mesh::{Cause, Link, LinkState, Row};
use crate::domain::time::{Time, millis};
use crate::proto::ClockMap;
use crate::proto::frame::Frame;
use crate::proto::observe::{WireLink, WireRow};

/// Whether news of the other end come over this link: it carries frames, whatever else it may not carry.
fn carries_news(link: &Link) -> bool {
    match link.state {
        LinkState::Connected => true,
        LinkState::Detached => link.failures == 0,
        LinkState::Down => link.cause == Some(Cause::Version),
        LinkState::Connecting | LinkState::Unknown => false,
    }
}

/// Whether somebody else must tell news of the other end: a first attempt still under way may soon bring them.
fn lacks_news(link: &Link) -> bool {
    !carries_news(link) && link.state != LinkState::Connecting
}

/// What of a link is news to other peers: round trips and counters go out with what else changes.
fn essence(link: &Link) -> Link {
    Link { rtt: None, heard: None, failures: 0, attempts: 0, next_attempt: None, ..link.clone() }
}

/// Whether `new` has to be told to those who know `old`.
fn is_news(new: &Link, known: &Row) -> bool {
    known.link(&new.to).is_none_or(|old| essence(old) != essence(new))
}

/// Who is asked for which rows, worked out once a ping interval.
#[derive(Debug, Default)]
pub(super) struct Asks {
    round: Option<u64>,
    of: BTreeMap<PeerId, Vec<PeerId>>,
}

impl Core {
    /// Pushes the own row: whole where it never went out, else what changed since the last push. In a large mesh
    /// whole rows after each change would be most of all traffic.
    fn push_own(&mut self, now: Time, out: &mut Vec<Effect>) {
        let row = Arc::new(self.own_row(now));
        let before = std::mem::replace(&mut self.pushed, row.clone());
        let same_members = row.links.iter().map(|l| &l.to).eq(before.links.iter().map(|l| &l.to));
        let mut change = WireRow::from_row(&Row { links: Vec::new(), ..Row::clone(&row) }, now);
        change.base = Some(before.seq);
        change.links = row.links.iter().filter(|l| is_news(l, &before)).map(|l| WireLink::from_link(l)).collect();
        let change = Arc::new(Frame::Rows { clock: now.as_millis(), rows: vec![change] });
        let mut whole: Option<Arc<Frame>> = None;
        for conn in self.fellows.values_mut().filter_map(|f| f.active_mut()) {
            let frame = if conn.told && same_members {
                change.clone()
            } else {
                conn.told = true;
                whole.get_or_insert_with(|| Arc::new(Self::rows_frame(now, &[&row]))).clone()
            };
            out.push(Effect::Send { conn: conn.id, frame });
        }
    }

    /// The own row to everybody who has a session, if it changed; rows of others to those that don't hear the
    /// origin themselves. Of all that could pass one on only two do, or a mesh with many broken links would drown
    /// in copies; pings ask for what is lost.
    pub(super) fn push_news(&mut self, now: Time, out: &mut Vec<Effect>) {
        if std::mem::take(&mut self.own_news) {
            self.push_own(now, out);
        }
        let news = std::mem::take(&mut self.news);
        let mut frames: BTreeMap<&PeerId, Arc<Frame>> = BTreeMap::new();
        for (to, lacking) in &self.lacking {
            let Some(conn) = self.fellows.get(to).and_then(|f| f.active()) else { continue };
            for origin in lacking.iter().filter(|o| news.contains(*o)) {
                let Some(row) = self.rows.get(origin).filter(|r| r.via.as_ref() != Some(to)) else { continue };
                if self.is_relay(origin, to) {
                    let frame = frames.entry(origin).or_insert_with(|| Arc::new(Self::rows_frame(now, &[row])));
                    out.push(Effect::Send { conn: conn.id, frame: frame.clone() });
                }
            }
        }
    }

    fn rows_frame(now: Time, rows: &[&Row]) -> Frame {
        let rows = rows.iter().map(|row| WireRow::from_row(row, now)).collect();
        Frame::Rows { clock: now.as_millis(), rows }
    }

    /// The origin of this row is alive and said which version holds.
    pub(super) fn vouch(&mut self, now: Time, id: &PeerId) {
        let Some(fellow) = self.fellows.get(id) else { return };
        if let Some(row) = self.rows.get_mut(id)
            && (row.boot, row.seq) == fellow.announced
        {
            let row = Arc::make_mut(row);
            row.vouched = now;
            row.via = None;
        }
    }

    pub(super) fn on_rows(&mut self, now: Time, from: &PeerId, clock: u64, rows: Vec<WireRow>) {
        let clock = ClockMap { there: clock, here: now };
        for wire in rows.into_iter().take(MACHINES_MAX) {
            let base = wire.base;
            // A row over the limits is left out; its sender is a member and will send the next one.
            let Ok(mut row) = wire.into_row(clock) else { continue };
            if !self.fellows.contains_key(&row.origin) {
                continue;
            }
            row.via = (row.origin != *from).then(|| from.clone());
            match base {
                Some(base) => self.take_change(now, row, base),
                None => self.take_row(now, row),
            }
        }
    }

    /// What changed since the row with number `base`. Without that row the next ping asks for the whole.
    fn take_change(&mut self, now: Time, change: Row, base: u64) {
        let Some(known) = self.rows.get_mut(&change.origin) else { return };
        if known.boot != change.boot || known.seq != base || change.seq <= base {
            return;
        }
        let known = Arc::make_mut(known);
        let lacking = self.lacking.entry(change.origin.clone()).or_default();
        for link in &change.links {
            match known.links.binary_search_by(|l| l.to.cmp(&link.to)) {
                Ok(at) => known.links[at] = link.clone(),
                Err(at) => known.links.insert(at, link.clone()),
            }
            if lacks_news(link) {
                lacking.insert(link.to.clone());
            } else {
                lacking.remove(&link.to);
            }
        }
        let links = std::mem::take(&mut known.links);
        *known = Row { links, ..change };
        let (origin, direct, detached) = (known.origin.clone(), known.via.is_none(), known.detached);
        self.taken(now, origin, direct, detached);
    }

    fn take_row(&mut self, now: Time, row: Row) {
        let origin = row.origin.clone();
        if let Some(known) = self.rows.get_mut(&origin)
            && !row.is_newer_than(known)
        {
            if (known.boot, known.seq) == (row.boot, row.seq) && row.vouched > known.vouched {
                let known = Arc::make_mut(known);
                known.vouched = row.vouched;
                known.via = row.via;
            }
            return;
        }
        let (direct, detached) = (row.via.is_none(), row.detached);
        let lacking = row.links.iter().filter(|l| lacks_news(l)).map(|l| l.to.clone()).collect();
        self.lacking.insert(origin.clone(), lacking);
        self.rows.insert(origin.clone(), Arc::new(row));
        self.taken(now, origin, direct, detached);
    }

    /// Another row of `origin` is held.
    fn taken(&mut self, now: Time, origin: PeerId, direct: bool, detached: Option<Time>) {
        if let Some(fellow) = self.fellows.get_mut(&origin) {
            // With a session of our own its greetings count: a row over others may be late.
            if direct || fellow.active().is_none() {
                fellow.detached = detached;
                self.settle(now, &origin);
            }
        }
        // At the start everybody is still dialling everybody: most rows come from their origins a moment later.
        if now.since(self.started) >= self.config.ping_interval * 3 {
            self.news.insert(origin);
            self.flood_soon(now);
        }
    }

    /// Whether it is on us to pass news of `origin` on to `to`: of those that hear both, the lowest two.
    fn is_relay(&self, origin: &PeerId, to: &PeerId) -> bool {
        let hears = |row: &Row, id: &PeerId| row.origin == *id || row.link(id).is_some_and(|l| carries_news(l));
        let before_us = self.rows.values().take_while(|r| r.origin < self.config.id);
        before_us.filter(|r| r.origin != *to && hears(r, origin) && hears(r, to)).count() < 2
    }

    /// What the next ping to `asked` asks for: rows that don't come from their origins, spread over those that
    /// may know, and the row of `asked` itself if what it announced did not arrive.
    pub(super) fn wanted_of(&mut self, now: Time, asked: &PeerId) -> Vec<(String, u64, u64)> {
        if now.since(self.started) < self.config.ping_interval * 3 {
            return Vec::new(); // Everybody is still dialling everybody: most rows come by themselves.
        }
        let interval = millis(self.config.ping_interval).max(1);
        let round = now.as_millis() / interval;
        if self.asks.round != Some(round) {
            self.asks = Asks { round: Some(round), of: self.ask_whom(round) };
        }
        let mut wanted: Vec<&PeerId> = self.asks.of.get(asked).into_iter().flatten().collect();
        if let Some(fellow) = self.fellows.get(asked)
            && self.rows.get(asked).is_none_or(|r| (r.boot, r.seq) < fellow.announced)
        {
            wanted.push(asked);
        }
        let held = |id: &PeerId| self.rows.get(id).map_or((0, 0), |r| (r.boot.0, r.seq));
        wanted.into_iter().map(|id| (id.to_string(), held(id).0, held(id).1)).collect()
    }

    /// Of whom each helper is asked in this round: fellows without a session whose first attempt has failed. One
    /// helper a round, another in the next, so that one who lost a row does not matter for long.
    fn ask_whom(&self, round: u64) -> BTreeMap<PeerId, Vec<PeerId>> {
        let helpers: Vec<&PeerId> =
            self.fellows.values().filter(|f| f.active().is_some()).map(super::Fellow::id).collect();
        let round = usize::try_from(round).unwrap_or(0);
        let mut of: BTreeMap<PeerId, Vec<PeerId>> = BTreeMap::new();
        for (origin, _) in self.fellows.iter().filter(|(_, f)| f.active().is_none() && f.fault.is_some()) {
            let hears = |h: &&&PeerId| self.rows.get(**h).and_then(|r| r.link(origin)).is_some_and(|l| carries_news(l));
            let mut best: Vec<&PeerId> = helpers.iter().filter(hears).copied().collect();
            if best.is_empty() {
                best.clone_from(&helpers);
            }
            if let Some(helper) = best.get(round % best.len().max(1)) {
                of.entry(PeerId::clone(helper)).or_default().push(origin.clone());
            }
        }
        of
    }

    pub(super) fn answer_wanted(&self, now: Time, conn: ConnId, wanted: &[(String, u64, u64)], out: &mut Vec<Effect>) {
        if wanted.is_empty() {
            return;
        }
        // What goes out under one sequence number is always the same row, or differences would have no sure base.
        let own = Row { vouched: now, ..Row::clone(&self.pushed) };
        let useful = self.config.ping_interval * 3;
        let rows: Vec<&Row> = wanted
            .iter()
            .take(MACHINES_MAX)
            .filter_map(|(serial, boot, seq)| {
                let id = PeerId::new(serial);
                let row = if id == own.origin { &own } else { &**self.rows.get(&id)? };
                let theirs = (BootId(*boot), *seq);
                let newer = (row.boot, row.seq) > theirs;
                let younger = (row.boot, row.seq) == theirs && now.since(row.vouched) <= useful;
                (newer || younger).then_some(row)
            })
            .collect();
        if !rows.is_empty() {
            out.push(Effect::Send { conn, frame: Arc::new(Self::rows_frame(now, &rows)) });
        }
    }

    /// How each fellow is reached now, by the rows that are still fresh.
    #[must_use]
    pub fn routes(&self, now: Time) -> std::collections::BTreeMap<PeerId, Route> {
        self.routes_over(now, |l| l.state == LinkState::Connected)
    }

    /// As [`Core::routes`], over every link that carries frames: commands reach detached machines too.
    pub(super) fn control_routes(&self, now: Time) -> std::collections::BTreeMap<PeerId, Route> {
        self.routes_over(now, carries_news)
    }

    fn routes_over(&self, now: Time, usable: impl Fn(&Link) -> bool) -> std::collections::BTreeMap<PeerId, Route> {
        let fresh = self.silence_limit() * 2;
        let own = self.own_row(now);
        let edges: Edges = self
            .rows
            .values()
            .map(|r| &**r)
            .filter(|r| now.since(r.vouched) <= fresh)
            .chain(std::iter::once(&own))
            .map(|row| {
                let out = row.links.iter().filter(|l| usable(l));
                (row.origin.clone(), out.map(|l| (l.to.clone(), l.rtt.unwrap_or_default())).collect())
            })
            .collect();
        routes(&self.config.id, &edges)
    }
}
