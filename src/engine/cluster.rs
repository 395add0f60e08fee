//! All that the engine knows of one cluster. Nothing here ever sees another one (C32).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ClusterConfig;
use super::commands::Pending;
use super::findings::Tracker;
use super::flaps::Flaps;
use super::ha_word::HaSeen;
use super::out::Out;
use super::settings::Telling;
use super::settings_rules::{Behind, Judged};
use super::{relay, rules};
use crate::domain::finding::FindingKind;
use crate::domain::ids::{BootId, ClusterName, PeerId};
use crate::domain::membership::Membership;
use crate::domain::mesh::link::{Link, LinkState};
use crate::domain::mesh::verdict::explain;
use crate::domain::reach::{Endpoint, EndpointKey};
use crate::domain::snapshot::{Cluster, Peer};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Above this many peers the verdict is made anew at most every [`EXPLAIN_PAUSE`].
const SMALL: usize = 32;
const EXPLAIN_PAUSE: Duration = Duration::from_millis(100);

/// With something wrong, the verdict is made anew at least this often, because some rules look at ages.
const EXPLAIN_AGAIN: Duration = Duration::from_secs(1);

/// A limit is noticed this late at most.
const LATE: Duration = Duration::from_millis(250);
/// How often all ages are looked at while peers report,
const LOOK: Duration = Duration::from_secs(1);
/// while something is wrong and nobody says anything,
const LOOK_SILENT: Duration = Duration::from_secs(2);
/// more rarely the longer it has been so, up to this (limits that are known in advance are looked at in time),
const LOOK_LASTING: Duration = Duration::from_secs(15);
/// and while nothing is wrong and nobody says anything.
pub(super) const LOOK_IDLE: Duration = Duration::from_secs(5);

/// A look that nothing but habit asks for may be this late: it falls where dials and their deadlines do.
pub(super) const HABIT_LATE: Duration = Duration::from_millis(1024);

/// A peer can't make facts of its cluster live longer than this by claiming long reporting intervals.
const STALE_MAX: Duration = Duration::from_mins(3);

/// One connection, wanted or standing.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that hold independently of each other")]
pub(super) struct Contact {
    pub endpoint: Endpoint,
    /// Whether a membership named it, not the fleet file.
    pub discovered: bool,
    /// Whom it leads to: as it answered, or as the membership says.
    pub id: Option<PeerId>,
    /// Whether `id` is its own word.
    pub answered: bool,
    /// Whether it is connected and what it says is taken.
    pub live: bool,
    /// Whether it has sent a whole row over this connection.
    pub has_base: bool,
    /// Why what it says is not taken.
    pub ignored: Option<Line>,
    /// Whose rows it was asked to relay.
    pub asked: Vec<PeerId>,
    /// The cluster that it says it is a member of.
    pub belongs: Option<Line>,
    /// Key and fingerprint that somebody must look at.
    pub offered: Option<(Line, Line)>,
}

/// What the engine remembers of a peer beside what is shown.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Since when it is known.
    pub known: Time,
    /// When one of its links or its own connection last changed.
    pub disturbed: Time,
    /// When it was last dialled because a fellow reached it again.
    pub redialled: Time,
    /// When it last sent something that was not understood, and what.
    pub unparsed: Option<(Time, Line)>,
    /// When it reported drops of its own, the last few times.
    pub drops: VecDeque<Time>,
    /// Positions whose look-ups fail on a live link.
    pub dns_bad: Vec<usize>,
    /// Positions whose links change often by its own count.
    pub flapping: Vec<usize>,
    /// Of whom its row says nothing, and since when.
    pub missing: BTreeMap<PeerId, Time>,
    /// Where the links of its row stand in the grid; empty when the row has changed since.
    pub places: Vec<Option<usize>>,
    /// The start of the peer and the newest line of its log since then that was taken.
    pub logged: Option<(BootId, u64)>,
    /// What it lacks of the settings that others have.
    pub behind: Behind,
    /// What was told and counted of its HA.
    pub ha: HaSeen,
}

impl Extra {
    /// Whether line `n` of the log was not taken yet; it counts as taken then. After a reconnect a peer tells its
    /// newest lines again, so that what it logged meanwhile is not lost.
    pub fn is_new_line(&mut self, boot: Option<BootId>, n: u64) -> bool {
        let Some(boot) = boot else { return true };
        if self.logged.is_some_and(|(b, last)| b == boot && n <= last) {
            return false;
        }
        self.logged = Some((boot, n));
        true
    }
}

/// When to look next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// At this moment, or up to `HABIT_LATE` later.
    pub at: Time,
    /// Something is due then; else it is a look at all ages, which may wait for others.
    pub is_limit: bool,
}

impl Look {
    /// The one look that does for both.
    pub(super) fn and(self, other: Self) -> Self {
        let (first, second) = if self.at <= other.at { (self, other) } else { (other, self) };
        // One that may wait must not make the other late.
        if !first.is_limit && second.is_limit && second.at <= first.at + HABIT_LATE { second } else { first }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "facts that hold independently of each other")]
pub(super) struct ClusterState {
    pub config: ClusterConfig,
    /// The picture, always current; shared out by [`Self::share`].
    pub cluster: Cluster,
    pub contacts: BTreeMap<EndpointKey, Contact>,
    pub membership: Option<Arc<Membership>>,
    pub extra: BTreeMap<PeerId, Extra>,
    pub flaps: Flaps,
    pub tracker: Tracker,
    pub commands: Vec<Pending>,
    pub settings: Telling,
    pub judged: Judged,
    /// When this console itself last had to drop observations.
    pub dropping: Option<Time>,
    /// Set when something changed that is shown.
    pub dirty: bool,
    /// Set when nothing but ages, round trips and clocks changed.
    pub aged: bool,
    /// Set when something changed that the verdict looks at.
    pub unsettled: bool,
    /// Set when an event only repeats what is known: nothing follows from it.
    pub repeated: bool,
    /// Set by everything that happens but the passing of time, until the next tick.
    stirred: bool,
    /// When that was last so.
    stirred_at: Time,
    /// Set when [`Self::next_look`] may be sooner than it was.
    pub shifted: bool,
    explained: Time,
    ticked: Time,
    fresh: Vec<bool>,
    shared: Option<Arc<Cluster>>,
}

impl ClusterState {
    pub fn new(config: ClusterConfig, now: Time, out: &mut Out<'_>) -> Self {
        let cluster = Cluster::unknown(config.name.clone(), Arc::clone(&config.catalogue), config.limits);
        let mut state = Self {
            cluster,
            contacts: BTreeMap::new(),
            membership: None,
            extra: BTreeMap::new(),
            flaps: Flaps::default(),
            tracker: Tracker::default(),
            commands: Vec::new(),
            settings: Telling::default(),
            judged: Judged::default(),
            dropping: None,
            dirty: true,
            aged: false,
            unsettled: true,
            repeated: false,
            stirred: true,
            stirred_at: now,
            shifted: true,
            explained: now,
            ticked: now,
            fresh: Vec::new(),
            shared: None,
            config,
        };
        for endpoint in state.config.endpoints.clone() {
            state.add_contact(endpoint, false, out);
        }
        state.rebuild(now);
        state
    }

    /// Whether `name` means this cluster.
    pub fn is_called(&self, name: &ClusterName) -> bool {
        self.config.name == *name || self.cluster.name == *name
    }

    pub fn position(&self, id: &PeerId) -> Option<usize> {
        self.cluster.index.get(id).copied()
    }

    /// The peer at `at`, to be changed; what is shared out already stays as it was.
    pub fn peer_mut(&mut self, at: usize) -> &mut Peer {
        self.dirty = true;
        Arc::make_mut(&mut self.cluster.peers[at])
    }

    /// As [`Self::peer_mut`], for what passes with time: ages, round trips, clocks.
    pub fn peer_quietly(&mut self, at: usize) -> &mut Peer {
        self.aged = true;
        Arc::make_mut(&mut self.cluster.peers[at])
    }

    /// The connection over which a peer is asked: a live one first.
    pub fn contact_of(&self, id: &PeerId) -> Option<(&EndpointKey, &Contact)> {
        let of = || self.contacts.iter().filter(|(_, c)| c.id.as_ref() == Some(id) && c.ignored.is_none());
        of().find(|(_, c)| c.live).or_else(|| of().next())
    }

    pub fn extra_mut(&mut self, id: &PeerId) -> &mut Extra {
        self.extra.entry(id.clone()).or_default()
    }

    /// Something of this peer changed between good and bad: explanations may shift.
    pub fn disturb(&mut self, id: &PeerId, now: Time) {
        self.unsettled = true;
        if let Some(extra) = self.extra.get_mut(id) {
            extra.disturbed = now;
        }
    }

    /// What counts as stale, from the limits and from how often the peers report.
    pub fn fold_limits(&mut self) {
        let slowest = self.cluster.peers.iter().filter_map(|p| p.identity.as_ref().map(|i| i.interval)).max();
        let stale = self.config.limits.stale.max(slowest.unwrap_or_default().saturating_mul(3).min(STALE_MAX));
        if self.cluster.limits.stale != stale {
            self.cluster.limits.stale = stale;
            self.dirty = true;
            self.unsettled = true;
        }
    }

    /// After each event: verdict, findings, commands, relays.
    pub fn settle(&mut self, tick: bool, out: &mut Out<'_>) {
        let now = out.now;
        if std::mem::take(&mut self.repeated) && !tick && !self.unsettled {
            return;
        }
        self.stirred = !tick;
        if self.stirred {
            self.stirred_at = now;
        }
        self.shifted |= self.unsettled || !self.commands.is_empty();
        if tick {
            self.ticked = now;
            self.see_staleness(now);
            self.flaps.expire(now);
            self.watch_commands(out);
            self.ask_relays(out);
        }
        if tick || self.unsettled {
            self.choose_source(out);
        }
        let age = now.since(self.explained);
        let again = tick && age >= EXPLAIN_AGAIN && self.is_uneasy();
        let due = self.unsettled && (tick || self.cluster.peers.len() <= SMALL || age >= EXPLAIN_PAUSE);
        let explain_now = due || again;
        if self.unsettled {
            self.cluster.changes += 1;
            self.dirty = true;
        }
        if explain_now {
            self.unsettled = false;
            self.explained = now;
            let verdicts = explain(&self.cluster, now);
            if verdicts != *self.cluster.verdicts {
                self.cluster.verdicts = Arc::new(verdicts);
                self.dirty = true;
            }
        }
        if explain_now || tick {
            self.judge(out);
        }
    }

    /// Verdicts and rules into findings.
    fn judge(&mut self, out: &mut Out<'_>) {
        let blind = self.cluster.verdicts.iter().any(|v| v.kind == FindingKind::WatcherBlind);
        self.note_settings(out.now);
        let candidates = rules::candidates(self, out.now);
        let changed = self.tracker.update(candidates, blind, &self.cluster, out);
        if changed {
            self.cluster.findings = Arc::new(self.tracker.raised());
            self.dirty = true;
        }
    }

    /// When all ages are to be looked at because somebody has said something since the last time.
    pub fn look_by(&self) -> Option<Look> {
        self.stirred.then(|| Look { at: rounded(self.ticked + LOOK), is_limit: false })
    }

    /// When time alone may change something next, rounded so that limits that lie close together are one wake-up.
    pub fn next_look(&self, now: Time) -> Look {
        if self.unsettled || !self.commands.is_empty() {
            return Look { at: rounded(now + LATE), is_limit: true };
        }
        let limits = &self.cluster.limits;
        let usual = match self.is_uneasy() || !self.tracker.is_empty() {
            _ if self.stirred => LOOK,
            true => (self.ticked.since(self.stirred_at) / 4).clamp(LOOK_SILENT, LOOK_LASTING),
            false => LOOK_IDLE,
        };
        // A fact is too old after its limit, not at it.
        let old = |p: &Arc<Peer>| Some(p.vouched()? + limits.stale + Duration::from_millis(1));
        let ages = self.cluster.peers.iter().filter_map(old);
        let heard = self.cluster.peers.iter().filter_map(|p| p.reach.heard.map(|h| h + limits.stale));
        let known = self.extra.values().map(|e| e.known + relay::PATIENCE);
        let ripe = self.tracker.next(limits);
        let ends = self.cluster.peers.iter().filter_map(|p| Some(p.row.as_ref()?.maintenance.as_ref()?.until));
        let soon = ages.chain(heard).chain(known).chain(ripe).chain(ends).chain(self.behind_due()).filter(|t| *t > now);
        let limit = soon.min().map(|at| Look { at: rounded(at), is_limit: true });
        let habit = Look { at: rounded(self.ticked + usual).max(now), is_limit: false };
        limit.map_or(habit, |limit| limit.and(habit))
    }

    /// Whether ages matter: something is wrong, or somebody is not there.
    fn is_uneasy(&self) -> bool {
        !self.cluster.verdicts.is_empty() || self.fresh.iter().any(|f| !f)
    }

    fn see_staleness(&mut self, now: Time) {
        let limits = self.cluster.limits;
        let fresh = self.cluster.peers.iter().map(|p| p.is_row_fresh(&limits, now));
        if !fresh.clone().eq(self.fresh.iter().copied()) {
            self.fresh = fresh.collect();
            self.unsettled = true;
        }
    }

    /// The picture as it is now; the same one as long as nothing changed.
    pub fn share(&mut self) -> Arc<Cluster> {
        match &self.shared {
            Some(shared) if !self.dirty && !self.aged => Arc::clone(shared),
            Some(_) | None => {
                let shared = Arc::new(self.cluster.clone());
                self.dirty = false;
                self.aged = false;
                self.shared = Some(Arc::clone(&shared));
                shared
            }
        }
    }

    /// Goes through the row of a peer once and notes what the rules need, so that they don't have to.
    pub fn note_row(&mut self, at: usize, now: Time) {
        let peer = Arc::clone(&self.cluster.peers[at]);
        let limit = self.config.limits.flap_changes;
        let told = peer.row.is_some() && peer.detached().is_none();
        let (mut dns_bad, mut flapping, mut silent_of) = (Vec::new(), Vec::new(), Vec::new());
        for (j, link) in peer.cells.iter().enumerate().filter(|(j, _)| *j != at) {
            match link {
                Some(link) => {
                    if is_dns_bad(link) {
                        dns_bad.push(j);
                    }
                    if link.changes >= limit || link.falters >= limit {
                        flapping.push(j);
                    }
                    if link.state == LinkState::Unknown {
                        silent_of.push(j);
                    }
                }
                None if told => silent_of.push(j),
                None => {}
            }
        }
        let silent_of: BTreeSet<PeerId> = silent_of.into_iter().map(|j| self.cluster.peers[j].id.clone()).collect();
        let extra = self.extra_mut(&peer.id);
        extra.dns_bad = dns_bad;
        extra.flapping = flapping;
        extra.missing.retain(|id, _| silent_of.contains(id));
        for id in silent_of {
            extra.missing.entry(id).or_insert(now);
        }
    }
}

/// The next moment that all limits share.
fn rounded(at: Time) -> Time {
    let grid = crate::domain::time::millis(LATE);
    Time::from_millis(at.as_millis().div_ceil(grid) * grid)
}

/// A look-up that fails although the link stands.
fn is_dns_bad(link: &Link) -> bool {
    link.state == LinkState::Connected && (link.dns.forward.is_bad() || link.dns.reverse.is_bad())
}
