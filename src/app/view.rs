//! What there is to see: the questions that drawing asks of the state.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::dialog::Dialog;
use super::filter::{Facts, Filter};
use super::grid::{Cursor, Grid, MANY, Sort, fits_link, fits_peer, is_fault};
use super::lists::{List, ListSort, about};
use super::question::Questions;
use super::runs::Run;
use super::settings::Pane;
use super::{Action, App, Keymap, Options, Overlay, Scope, Toast, View, action, acts};
use crate::app::keys::Key;
use crate::domain::settings::ModeId;
use crate::domain::{Cluster, DangerClass, Event, Finding, Line, LinkState, Peer, Severity, Snapshot, Subject, Time};

/// How the leader is hinted.
const LEADER: &str = "act";

/// The worst finding in the terminal's title is cut to this; no word of it changes with time alone.
const TITLE_FINDING: usize = 80;

impl App {
    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Which keys do what.
    #[must_use]
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// The picture on screen: the newest, the one that is held, or one of a recording.
    #[must_use]
    pub fn picture(&self) -> &Arc<Snapshot> {
        let past = self.past.as_ref().and_then(|p| p.moment()).map(|m| &m.snapshot);
        past.or_else(|| self.held.as_ref().map(|h| &h.snapshot)).unwrap_or(&self.live)
    }

    /// The moment that the picture shows: now, when the display was stopped, or one of a recording.
    #[must_use]
    pub fn moment(&self, now: Time) -> Time {
        let before_it_came = || self.options.replay.then_some(self.live.at);
        let still = self.past_at().or_else(before_it_came).or_else(|| self.held.as_ref().map(|h| h.at));
        still.unwrap_or(now)
    }

    /// Since when the display stands still.
    #[must_use]
    pub fn paused_at(&self) -> Option<Time> {
        self.held.as_ref().map(|h| h.at)
    }

    /// Alerts that came while the display stood still.
    #[must_use]
    pub fn alerts_while_paused(&self) -> usize {
        self.held.as_ref().map_or(0, |h| h.alerts)
    }

    /// The cluster on screen.
    #[must_use]
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.picture().clusters.get(self.cluster)
    }

    /// Which of how many clusters is on screen, counted from 1.
    #[must_use]
    pub fn cluster_number(&self) -> (usize, usize) {
        (self.cluster + 1, self.picture().clusters.len())
    }

    /// The view on screen.
    #[must_use]
    pub fn view(&self) -> View {
        self.view
    }

    /// The peer whose connections are listed, if Mesh shows them.
    #[must_use]
    pub fn connections_of(&self) -> Option<&Arc<Peer>> {
        if !self.connections {
            return None;
        }
        self.cluster().and_then(|c| c.peer(self.cursor.from()?))
    }

    /// Whether the detail has the body for itself.
    #[must_use]
    pub fn is_zoomed(&self) -> bool {
        self.zoom[self.filter_slot()]
    }

    /// Whether equal rows of `grid` are shown as one line.
    #[must_use]
    pub fn is_folded(&self, grid: &Grid) -> bool {
        self.fold.unwrap_or(grid.rows.len() > MANY)
    }

    /// The selected cell.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The positions of the selected cell's peers in the cluster.
    #[must_use]
    pub fn selected(&self) -> Option<(usize, usize)> {
        let cluster = self.cluster()?;
        Some((*cluster.index.get(self.cursor.from()?)?, *cluster.index.get(self.cursor.to()?)?))
    }

    /// The order of rows and columns.
    #[must_use]
    pub fn sort(&self) -> Sort {
        self.order.sort
    }

    /// Whether only faults are shown.
    #[must_use]
    pub fn is_faults_only(&self) -> bool {
        self.faults_only
    }

    /// Whether times are shown as UTC.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.options.utc
    }

    /// The place of the theme that is on.
    #[must_use]
    pub fn theme(&self) -> usize {
        self.options.themes.shown(self.theme.as_deref(), self.cluster)
    }

    /// What lies over the view.
    #[must_use]
    pub fn overlay(&self) -> Option<&Overlay> {
        self.overlay.as_ref()
    }

    /// Questions about host keys.
    #[must_use]
    pub fn questions(&self) -> &Questions {
        &self.questions
    }

    /// The newest toast that still stands.
    #[must_use]
    pub fn toast_shown(&self, now: Time) -> Option<&Toast> {
        self.toasts.iter().rev().find(|t| t.until > now)
    }

    /// Keys of a chord that is not complete.
    #[must_use]
    pub fn pending(&self) -> &[Key] {
        &self.pending
    }

    /// Alerts that were lost because they came too fast.
    #[must_use]
    pub fn alerts_missed(&self) -> u64 {
        self.alerts_missed
    }

    /// The grid as it stands on screen.
    #[must_use]
    pub fn grid(&self, now: Time) -> Grid {
        let now = self.moment(now);
        let mesh = &self.filters[0].filter;
        self.cluster().map_or_else(Grid::default, |c| Grid::new(c, &self.order, mesh, self.faults_only, now))
    }

    /// The connections of the cursor's row that pass the filter: positions of the other peers.
    #[must_use]
    pub fn connection_targets(&self, now: Time) -> Vec<usize> {
        let now = self.moment(now);
        let (Some(cluster), Some(peer)) = (self.cluster(), self.connections_of()) else { return Vec::new() };
        let Some(from) = cluster.index.get(&peer.id).copied() else { return Vec::new() };
        let filter = &self.filters[1].filter;
        let (about_peers, about_links) = (filter.part(false), filter.part(true));
        let mut targets = self.order.positions(cluster);
        targets.retain(|to| {
            let out = cluster.cell(from, *to, now);
            let back = cluster.cell(*to, from, now);
            *to != from
                && fits_peer(cluster, *to, &about_peers)
                && (fits_link(&out, &about_links) || fits_link(&back, &about_links))
                && (!self.faults_only || is_fault(&out) || is_fault(&back))
        });
        targets
    }

    /// The findings that pass the filter.
    #[must_use]
    pub fn findings(&self) -> Vec<&Finding> {
        let Some(cluster) = self.cluster() else { return Vec::new() };
        let filter = &self.filters[2].filter;
        let fits = |f: &&Finding| {
            if filter.is_empty() {
                return true;
            }
            let standing = self.standing(cluster, f);
            let facts = Facts {
                states: &[f.severity.as_str()],
                causes: &[f.kind.as_str()],
                text: &[f.text.as_str()],
                ack: standing.ack.map(|a| a.by.as_str()),
                silenced: standing.silence.map(|s| s.by.as_str()),
                ..Facts::default()
            };
            subject_fits(cluster, &f.subject, &facts, filter)
        };
        let is_quiet = |f: &Finding| self.standing(cluster, f).is_quiet();
        let shown = |f: &&Finding| !self.is_quiet_hidden() || !is_quiet(f);
        let mut findings: Vec<&Finding> = cluster.findings.iter().filter(fits).filter(shown).collect();
        match self.list_sort(List::Findings) {
            // What needs nobody stands behind the others of its severity.
            ListSort::Usual => findings.sort_by_cached_key(|f| (std::cmp::Reverse(f.severity), is_quiet(f))),
            ListSort::Newest => findings.sort_by_key(|f| std::cmp::Reverse(f.since)),
            ListSort::Kind => findings.sort_by_key(|f| f.kind.as_str()),
            ListSort::About => findings.sort_by_cached_key(|f| about(Some(cluster), &f.subject)),
        }
        findings
    }

    /// Place of the selected finding among those that pass the filter.
    #[must_use]
    pub fn finding_place(&self) -> usize {
        self.finding_place
    }

    /// Whether evidence and advice of the selected finding are shown.
    #[must_use]
    pub fn is_finding_open(&self) -> bool {
        self.finding_open
    }

    /// The events that pass the filter, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<&Event> {
        let picture = self.picture();
        let filter = &self.filters[3].filter;
        let Some(cluster) = self.cluster() else { return picture.events.iter().collect() };
        let fits = |e: &&Event| {
            if !self.is_event_here(e) {
                return false;
            }
            let kind: &'static str = e.kind.into();
            let facts = Facts { states: &[kind], causes: &[kind], text: &[e.text.as_str()], ..Facts::default() };
            filter.is_empty() || subject_fits(cluster, &e.subject, &facts, filter)
        };
        let mut events: Vec<&Event> = picture.events.iter().filter(fits).collect();
        match self.list_sort(List::Events) {
            ListSort::Usual | ListSort::Newest => {}
            ListSort::Kind => events.sort_by_key(|e| <&str>::from(e.kind)),
            ListSort::About => events.sort_by_cached_key(|e| about(Some(cluster), &e.subject)),
        }
        events
    }

    /// Place of the selected event among `events`; `None` follows the newest.
    #[must_use]
    pub fn event_place(&self, events: &[&Event]) -> Option<usize> {
        let selected = self.event.as_ref()?;
        let exact = events.iter().rposition(|e| *e == selected);
        // One that is gone, or filtered away, gives its place to the next later one.
        Some(exact.unwrap_or_else(|| {
            events.iter().position(|e| e.at >= selected.at).unwrap_or(events.len().saturating_sub(1))
        }))
    }

    /// Whether a text field has the keys.
    #[must_use]
    pub fn is_typing(&self) -> bool {
        match &self.overlay {
            Some(Overlay::Help { typing, .. }) => *typing,
            Some(Overlay::Palette(_) | Overlay::Form(_)) => true,
            Some(Overlay::Panel(panel)) => panel.typing,
            Some(Overlay::Dialog(dialog)) => dialog.is_typing(),
            Some(Overlay::Diagnosis { .. } | Overlay::Choice(_) | Overlay::Results { .. } | Overlay::Leave { .. }) => {
                false
            }
            None => self.filter().typing.is_some(),
        }
    }

    /// Peers that are up (on the line, or known by fellows' fresh word), and all.
    #[must_use]
    pub fn peer_counts(&self, now: Time) -> (usize, usize) {
        let now = self.moment(now);
        let Some(cluster) = self.cluster() else { return (0, 0) };
        (super::overview::peers_up(cluster, now), cluster.peers.len())
    }

    /// Sessions of other people on the peers that are on the line; one of each peer's is ours.
    #[must_use]
    pub fn other_sessions(&self) -> usize {
        let reached = |c: &Arc<Cluster>| -> usize {
            c.peers.iter().filter(|p| p.is_reached()).map(|p| p.sessions.len().saturating_sub(1)).sum()
        };
        self.cluster().map_or(0, reached)
    }

    /// How old the oldest row is that counts as current; `None` when there is none.
    #[must_use]
    pub fn freshness(&self, now: Time) -> Option<Duration> {
        let now = self.moment(now);
        let cluster = self.cluster()?;
        let ages = cluster.peers.iter().filter_map(|p| p.row_age(now));
        ages.filter(|age| *age <= cluster.limits.stale).max()
    }

    /// How old the newest row is, however old.
    #[must_use]
    pub fn newest_row(&self, now: Time) -> Option<Duration> {
        let now = self.moment(now);
        self.cluster()?.peers.iter().filter_map(|p| p.row_age(now)).min()
    }

    /// The names of the peers that are worked on.
    #[must_use]
    pub fn in_maintenance(&self, now: Time) -> Vec<&str> {
        let now = self.moment(now);
        let Some(cluster) = self.cluster() else { return Vec::new() };
        cluster.peers.iter().filter(|p| p.maintenance(now).is_some()).map(|p| cluster.label(&p.id)).collect()
    }

    /// Whether the keys of the time line come before those of the view.
    pub(super) fn has_past_keys(&self) -> bool {
        let over = self.overlay.is_some() && self.overview().is_none();
        self.past.is_some() && !over && self.questions.open().is_none() && !self.is_typing()
    }

    /// Whether every cell of the cluster on screen is known.
    #[must_use]
    pub fn is_complete(&self, now: Time) -> bool {
        let now = self.moment(now);
        self.cluster().is_some_and(|c| {
            let n = c.peers.len();
            n > 1 && (0..n).all(|i| (0..n).all(|j| i == j || c.cell(i, j, now).state != LinkState::Unknown))
        })
    }

    /// What the terminal's title shall be.
    #[must_use]
    pub fn title(&self) -> String {
        let name = match self.live.clusters.as_slice() {
            [] => String::new(),
            [one] => one.name.to_string(),
            // What is counted here is all of theirs.
            several => format!("{} clusters", several.len()),
        };
        let count =
            |s| self.live.clusters.iter().map(|c| c.findings.iter().filter(|f| f.severity == s).count()).sum::<usize>();
        let state = match (count(Severity::Critical), count(Severity::Warning)) {
            (0, 0) => return format!("peerdeck {name}: ok"),
            (0, w) => format!("{w} warning"),
            (c, _) => format!("{c} critical"),
        };
        let all = self.live.clusters.iter().flat_map(|c| c.findings.iter());
        let worst = all.max_by_key(|f| (f.severity, std::cmp::Reverse(f.since)));
        let text = worst.map(|f| self.of_cluster(f, "")).unwrap_or_default();
        let text: String = text.chars().take(TITLE_FINDING).collect();
        format!("peerdeck {name}: {state}: {text}")
    }

    /// Whether `action` would do something now: only such actions are hinted.
    #[must_use]
    pub fn can(&self, action: Action, now: Time) -> bool {
        if self.past.is_some() && Self::needs_the_present(action) {
            return false;
        }
        let links = || self.cluster().is_some_and(|c| c.peers.len() > 1);
        match action {
            Action::Open if self.panel().is_some() => self.panel().is_some_and(|p| self.panel_len(p, now) > 0),
            Action::Open => match self.view {
                View::Mesh => self.selected().is_some(),
                View::Settings => self.pane() != Pane::Value && self.book().is_some(),
                View::Ha => self.unit().is_some(),
                View::Findings => !self.findings().is_empty(),
                View::Events => false,
            },
            Action::Back => {
                self.overlay.is_some()
                    || self.connections
                    || self.is_zoomed()
                    || self.can_go_back_in_settings()
                    || (self.view == View::Ha && self.is_unit_open())
                    || (self.view == View::Findings && self.finding_open)
                    || (self.view == View::Events && self.event.is_some())
                    || !self.filter().text.is_empty()
                    || (self.view == View::Mesh && (self.faults_only || !self.marks.is_empty()))
            }
            Action::Disconnect | Action::Reconnect | Action::MaintenanceOn | Action::MaintenanceOff => {
                acts::command_of(action).is_some_and(|kind| self.refusal(kind, now).is_none())
            }
            Action::Switchover
            | Action::Failover
            | Action::Restore
            | Action::Sync
            | Action::AcceptTakeover
            | Action::RestartHa => self.refusal_of(action, now).is_none(),
            Action::Set
            | Action::Edit
            | Action::SetEmpty
            | Action::Unset
            | Action::Copy
            | Action::Move
            | Action::SideBySide
            | Action::History
            | Action::Review
            | Action::Discard
            | Action::KeepStaged
            | Action::Override
            | Action::ClearChanges
            | Action::Commit
            | Action::Setgroup
            | Action::Resolve
            | Action::ResolveAll
            | Action::Addgroup
            | Action::Renamegroup
            | Action::Deletegroup
            | Action::Removemachine
            | Action::Setname => self.settings_refusal(action).is_none(),
            Action::AsJson => matches!(&self.overlay, Some(Overlay::Form(f)) if f.is_value()),
            Action::NextPane | Action::PreviousPane if self.view == View::Ha => self.unit().is_some(),
            Action::NextPane | Action::PreviousPane => self.book().is_some(),
            Action::Results => !self.runs.is_empty(),
            Action::LookBack => self.past.is_none() && self.no_look_back().is_none(),
            Action::Play => self.past_at().is_some(),
            Action::Live => !self.options.replay,
            Action::Acknowledge | Action::Unacknowledge | Action::Silence | Action::Unsilence => {
                self.alarm_refusal(action).is_none()
            }
            Action::HideQuiet => self.quiet_count() > 0,
            Action::StopRest => self.runs.unfinished().any(Run::is_waiting),
            Action::ReadAgain => self.dialog().is_some_and(|d| !d.changes().is_empty()),
            Action::Confirm => self.dialog().is_none_or(|d| {
                !d.is_typing()
                    && d.class() != DangerClass::Critical
                    && self.cluster().is_some_and(|c| d.obstacle(c).is_none())
            }),
            Action::SwitchButton | Action::SwitchBack => {
                self.questions.open().is_some() || self.dialog().is_some_and(|d| d.changes().is_empty())
            }
            Action::NextFault | Action::PreviousFault if self.view == View::Settings => {
                self.book().is_some_and(|b| !b.conflicts().is_empty())
            }
            Action::NextFault | Action::PreviousFault => {
                let now = self.moment(now);
                self.cluster().is_some_and(|c| has_fault(c, now))
            }
            Action::Zoom => self.can_zoom(),
            Action::Diagnose => self.selected().is_some(),
            Action::Mark if self.view == View::Settings => {
                !self.options.read_only && self.book().is_some() && self.mode() != ModeId::Cluster
            }
            Action::Shell if self.view == View::Ha => !self.options.read_only && self.unit().is_some(),
            Action::Redial | Action::Mark | Action::Shell => !self.options.read_only && self.selected().is_some(),
            Action::Sort => self.view != View::Ha && (self.view != View::Mesh || links()),
            Action::FaultsOnly => links(),
            Action::NextCluster | Action::Overview => self.has_clusters(),
            Action::Columns => self.list().is_some(),
            Action::UsualColumns => self.list().is_some_and(|l| !self.is_usual(l)),
            Action::Theme => self.options.themes.names.len() > 1,
            Action::Fold => self.cluster().is_some_and(|c| c.peers.len() > MANY),
            Action::Up
            | Action::Span
            | Action::Changes
            | Action::Silences
            | Action::FrameBack
            | Action::FrameOn
            | Action::MinuteBack
            | Action::MinuteOn
            | Action::PreviousMark
            | Action::NextMark
            | Action::PastStart
            | Action::PastEnd
            | Action::Down
            | Action::Left
            | Action::Right
            | Action::Top
            | Action::Bottom
            | Action::PageUp
            | Action::PageDown
            | Action::Filter
            | Action::Mesh
            | Action::Settings
            | Action::Ha
            | Action::Findings
            | Action::Events
            | Action::NextView
            | Action::PreviousView
            | Action::Pause
            | Action::Clock
            | Action::Bell
            | Action::CopyCell
            | Action::CopyRow
            | Action::CopyTable
            | Action::Mouse
            | Action::Dump
            | Action::Help
            | Action::Palette
            | Action::Run
            | Action::Complete
            | Action::PreviousEntry
            | Action::NextEntry
            | Action::CommandLog
            | Action::Notices
            | Action::Sessions
            | Action::Close
            | Action::Accept
            | Action::Reject
            | Action::Press
            | Action::Reload
            | Action::Cancel
            | Action::PickObserver
            | Action::PickObserved
            | Action::Redraw
            | Action::Suspend
            | Action::Quit
            | Action::Interrupt => true,
        }
    }

    /// Keys and words of what works now, the most needed first.
    #[must_use]
    pub fn hints(&self, now: Time) -> Vec<(String, &'static str)> {
        let scope = self.scope();
        // The leader is hinted as one, whichever of its actions are possible now.
        let can = |s: &action::Spec| if s.hint == LEADER { self.can_act() } else { self.can(s.action, now) };
        let past = self.has_past_keys();
        let layers = past.then_some(Scope::Past).into_iter().chain([scope]);
        let hint = |scope: Scope, s: &action::Spec| {
            if s.hint.is_empty() || !s.scopes.contains(&scope) || !can(s) {
                return None;
            }
            let keys = self.keymap.first_key(scope, s.action)?;
            if past && scope != Scope::Past && self.keymap.is_bound(Scope::Past, &keys) {
                return None;
            }
            let shown = if s.hint == LEADER { keys.split(' ').next().unwrap_or(&keys).to_owned() } else { keys };
            Some((shown, self.hint_word(s)))
        };
        layers.flat_map(|scope| action::TABLE.iter().filter_map(move |s| hint(scope, s))).collect()
    }

    fn hint_word(&self, spec: &action::Spec) -> &'static str {
        match (spec.action, self.view) {
            (Action::Pause, _) if self.held.is_some() => "resume",
            (Action::FaultsOnly, _) if self.faults_only => "show all",
            (Action::Open, _) if self.overview().is_some() => "go in",
            (Action::Open, _) if self.scope() == Scope::Conflicts => "resolve",
            (Action::Open, _) if self.scope() == Scope::Pick => "take it",
            (Action::Open, _) if self.panel().is_some() => "on/off",
            (Action::Open, View::Mesh) => "connections",
            (Action::Open, View::Settings) => "go in",
            (Action::Open, View::Ha) => "details",
            (Action::NextPane, View::Ha) => "next group",
            (Action::Zoom, View::Ha) if self.is_zoomed() => "all",
            (Action::NextFault, View::Settings) => "next conflict",
            (Action::Open, View::Findings) => "evidence",
            (Action::Zoom, View::Mesh) if self.is_zoomed() && !self.connections => "grid",
            (Action::Zoom, _) if self.is_zoomed() => "list",
            (Action::SwitchButton, _) if self.questions.open().is_none() => "next field",
            (Action::Fold, _) if self.fold.unwrap_or(true) => "unfold",
            _ => spec.hint,
        }
    }

    /// Lines of the help, by scope, that contain what is searched for: keys and sentence.
    #[must_use]
    pub fn help(&self, query: &str) -> Vec<(String, &'static str)> {
        let scope = self.help_scope();
        let low = query.trim().to_lowercase();
        let past = self.past.is_some() && scope == self.view_scope();
        let layers = past.then_some(Scope::Past).into_iter().chain([scope]);
        let of =
            |scope: Scope| action::TABLE.iter().filter(move |s| s.scopes.contains(&scope)).map(move |s| (scope, s));
        let specs = layers.flat_map(of).filter(|(_, s)| self.is_offered(s.action));
        let specs = specs.filter(|(of, s)| *of != Scope::Past || !s.scopes.contains(&scope));
        let lines = specs.map(|(of, s)| (self.keymap.keys_of(of, s.action).join("  "), s.help, s.action.name()));
        lines
            .filter(|(keys, help, name)| [keys.as_str(), help, name].iter().any(|t| super::filter::contains(t, &low)))
            .map(|(keys, help, _)| (keys, help))
            .collect()
    }

    /// Whether the action exists at all in this session: a read-only console has none that acts.
    pub(super) fn is_offered(&self, action: Action) -> bool {
        let acts = action == Action::Shell || acts::is_for_acting(action);
        !(self.options.read_only && acts)
    }

    /// How long until the ages on screen are others: to the next whole [`App::ages_step`].
    #[must_use]
    pub fn ages_due(&self, now: Time) -> Duration {
        let step = crate::domain::time::millis(self.ages_step(now));
        Duration::from_millis(step - now.as_millis() % step)
    }

    /// How often the ages on screen are others: each second while one of them shows seconds or something is counted
    /// down, else each minute.
    #[must_use]
    pub fn ages_step(&self, now: Time) -> Duration {
        let young = |at: Time| now.since(at) < Duration::from_mins(1);
        let of_peer = |p: &Arc<Peer>| {
            young(p.reach.since) || {
                let links = p.cells.iter().flatten();
                links.map(|l| (l.since, l.next_attempt)).any(|(s, n)| young(s) || n.is_some_and(|at| at > now))
            }
        };
        let of_cluster = |c: &Arc<Cluster>| {
            // Nearly always the first row decides.
            c.peers.iter().filter_map(|p| p.vouched()).any(young)
                || c.findings.iter().any(|f| young(f.since))
                || c.verdicts.iter().any(|v| young(v.since))
                || c.peers.iter().any(of_peer)
        };
        let picture = self.picture();
        let shown = picture.clusters.iter().enumerate();
        let mut shown = shown.filter(|(at, _)| *at == self.cluster || self.overview().is_some());
        let events = picture.events.last().is_some_and(|e| young(e.at));
        if let Some(step) = self.ha_step(now) {
            return Duration::from_millis(step);
        }
        let busy = events || !self.runs.is_empty() || self.overlay.is_some() || shown.any(|(_, c)| of_cluster(c));
        if busy { Duration::from_secs(1) } else { Duration::from_mins(1) }
    }

    /// How long until the screen shows something else by mere passing of time, the ages of a live picture
    /// ([`App::ages_due`]) left aside; `None`: never.
    ///
    /// When paused only the badge's age runs: each second, and each minute once it shows minutes.
    #[must_use]
    pub fn next_wake(&self, now: Time) -> Option<Duration> {
        let toast = self.toasts.iter().map(|t| t.until.since(now)).filter(|left| !left.is_zero()).min();
        let ages = match &self.held {
            _ if self.past.is_some() => self.past_wake(now),
            None => None,
            Some(held) => {
                let age = now.since(held.at);
                let step: u64 = if age < Duration::from_mins(1) { 1000 } else { 60_000 };
                let into_it = u64::try_from(age.as_millis() % u128::from(step)).unwrap_or(0);
                Some(Duration::from_millis(step - into_it))
            }
        };
        match (toast, ages) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// A number that changes when the picture changes in more than ages and round trips: only then is a
    /// new picture drawn before the next tick.
    #[must_use]
    pub fn digest(&self, now: Time) -> u64 {
        let mut hash = DefaultHasher::new();
        self.dialog().map(Dialog::changes).hash(&mut hash);
        let now = self.moment(now);
        let picture = self.picture();
        picture.dropped.hash(&mut hash);
        (picture.clusters.len(), picture.events.len()).hash(&mut hash);
        picture.events.last().map(|e| (e.at, &e.text)).hash(&mut hash);
        self.journal_len().hash(&mut hash);
        self.asked().map(|a| a.past.is_some()).hash(&mut hash);
        let shown = self.picture().clusters.iter().enumerate();
        let shown = shown.filter(|(at, _)| *at == self.cluster || self.overview().is_some()).map(|(_, c)| c);
        for cluster in shown {
            cluster.name.hash(&mut hash);
            cluster.changes.hash(&mut hash);
            cluster.settings.as_ref().map(|s| &s.digest).hash(&mut hash);
            for peer in &cluster.peers {
                (&peer.id, &peer.host, &peer.group, peer.detached(), peer.sessions.len()).hash(&mut hash);
                peer.maintenance(now).map(|m| (m.until, &m.reason)).hash(&mut hash);
                (peer.reach.state as u8, peer.reach.cause, peer.reach.attempts).hash(&mut hash);
                peer.is_row_fresh(&cluster.limits, now).hash(&mut hash);
            }
            for verdict in cluster.verdicts.iter() {
                (&verdict.text, verdict.since).hash(&mut hash);
            }
            for finding in cluster.findings.iter() {
                (&finding.id, finding.severity, &finding.text).hash(&mut hash);
            }
        }
        hash.finish()
    }

    /// The scopes that the help of this view covers.
    #[must_use]
    pub fn help_title(&self) -> &'static str {
        self.help_scope().title()
    }
}

fn has_fault(cluster: &Cluster, now: Time) -> bool {
    let n = cluster.peers.len();
    (0..n).any(|i| (0..n).any(|j| i != j && is_fault(&cluster.cell(i, j, now))))
}

fn subject_fits(cluster: &Cluster, subject: &Subject, facts: &Facts<'_>, filter: &Filter) -> bool {
    let peers: Vec<&Arc<Peer>> = subject.peers().filter_map(|id| cluster.peer(id)).collect();
    let hosts: Vec<&str> = peers.iter().map(|p| p.host.as_str()).collect();
    let mut groups: Vec<&str> =
        peers.iter().filter_map(|p| p.group.as_ref()).map(crate::domain::GroupName::as_str).collect();
    match subject {
        Subject::Group(g) => groups.push(g.as_str()),
        Subject::Groups { a, b } => groups.extend([a.as_str(), b.as_str()]),
        Subject::Ha(g) => groups.push(g.as_str()),
        Subject::Watcher | Subject::Cluster | Subject::Peer(_) | Subject::Link { .. } | Subject::Pair { .. } => {}
    }
    filter.fits(&Facts { hosts: &hosts, groups: &groups, ..*facts })
}

/// The short name of each peer of `cluster`, by position: the first label where it is unique, else the whole name.
#[must_use]
pub fn labels(cluster: &Cluster) -> Vec<&str> {
    let shorts: Vec<&str> = cluster.peers.iter().map(|p| p.host.short()).collect();
    let mut sorted = shorts.clone();
    sorted.sort_unstable();
    let unique = |s: &str| {
        let first = sorted.partition_point(|x| *x < s);
        sorted.get(first + 1).is_none_or(|next| *next != s)
    };
    let label = |(i, short): (usize, &&'_ str)| {
        let peer = &cluster.peers[i];
        if unique(short) { peer.host.short() } else { peer.host.as_str() }
    };
    shorts.iter().enumerate().map(label).collect()
}

/// What stands above the grid when nothing is broken enough to be named.
#[must_use]
pub fn calm_sentence(cluster: &Cluster, now: Time) -> Line {
    let (all, up) = cluster.link_counts(now);
    let n = cluster.peers.len();
    let silent = cluster.peers.iter().filter(|p| !p.is_row_fresh(&cluster.limits, now)).count();
    let never = cluster.peers.iter().filter(|p| p.row.is_none()).count();
    let detached = cluster.peers.iter().filter(|p| p.detached().is_some()).count();
    let are = |n: usize, what: &str| format!("{n} {} {what}", if n == 1 { "peer is" } else { "peers are" });
    let text = match n {
        0 => "No peers are known yet.".to_owned(),
        _ if never == n => format!("Waiting for the first report of {n} {}.", plural(n, "peer")),
        1 => "One peer, and no fellows that it could see.".to_owned(),
        _ if never > 0 => format!("{up} of {all} links are up; {} still to report.", are(never, "yet")),
        _ if silent > 0 => format!("{up} of {all} links are up; {}.", are(silent, "silent")),
        2 if up == all => "Both peers see each other: 2 links are up.".to_owned(),
        _ if up == all => format!("All {n} peers see each other: {all} links are up."),
        _ if detached > 0 => format!("{up} of {all} links are up; {}.", are(detached, "detached on purpose")),
        _ => format!("{up} of {all} links are up; the others have not been down long enough to be named."),
    };
    Line::new(&text)
}

/// `word` as it stands after the number `n`.
#[must_use]
pub fn plural(n: usize, word: &str) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}
