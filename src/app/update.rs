//! Messages in, commands out.

use std::sync::Arc;

use super::acts::READ_ONLY;
use super::copy::Extent;
use super::field::{Edit, TextField};
use super::grid::{Grid, Order};
use super::keymap::Match;
use super::lists::{List, ListSort};
use super::palette::Palette;
use super::panel::{Panel, PanelKind};
use super::past::IN_THE_PAST;
use super::question::{Answer, Button};
use super::{Action, App, Cmd, DiagnosisRequest, Held, HostKeyQuestion, Msg, Overlay, Scope, View};
use crate::app::keys::{Code, Key};
use crate::domain::finding::Transition;
use crate::domain::{ClusterName, Event, Finding, LinkState, ReachState, Severity, Snapshot, Time};

impl App {
    /// Takes note of `msg` and says what shall be done.
    pub fn update(&mut self, msg: Msg, now: Time) -> Vec<Cmd> {
        self.alarms.now = now;
        let cmds = match msg {
            Msg::Key(key) => self.key(key, now),
            Msg::Mouse(mouse) => self.mouse(mouse, now),
            Msg::Paste(text) => {
                self.paste(&text, now);
                Vec::new()
            }
            Msg::Resize { width, height } => {
                self.options.width = width;
                self.options.height = height;
                Vec::new()
            }
            Msg::Snapshot(snapshot) => {
                self.note_names(&snapshot);
                self.journal.take(&self.live.events, &snapshot.events);
                if !self.stands_still() {
                    self.follow_cluster(&snapshot);
                }
                self.live = snapshot;
                let live = Arc::clone(&self.live);
                self.questions.keep(|q| is_asked(&live, q), now);
                self.compare_basis(&live, now);
                self.name_commits();
                Vec::new()
            }
            Msg::Alert(transition, finding) => self.alert(transition, &finding, now),
            Msg::AlertsMissed(n) => {
                self.alerts_missed = self.alerts_missed.saturating_add(n);
                Vec::new()
            }
            Msg::AskHostKey(question) => {
                self.pending.clear();
                self.questions.ask(question, now);
                vec![Cmd::Bell; usize::from(self.options.bell)]
            }
            Msg::Diagnosed(request, diagnosis) => {
                self.diagnosed(&request, &diagnosis, now);
                Vec::new()
            }
            Msg::Faulted(words, result) => {
                self.faulted(&words, result, now);
                Vec::new()
            }
            Msg::History { cluster, key, past } => {
                self.history_came(&cluster, &key, past);
                Vec::new()
            }
            Msg::Edited { cluster, mode, feature, text } => {
                self.edited(&cluster, mode, feature, text, now);
                Vec::new()
            }
            Msg::Outcome { run, step, outcome } => self.outcome(run, step, outcome, now),
            Msg::Book(book) => {
                self.alarms.book = book;
                Vec::new()
            }
            Msg::Past(told) => self.past_came(told, now),
            Msg::Notice(text) => {
                self.toast(text, Severity::Notice, now);
                Vec::new()
            }
            Msg::Warning(text) => {
                self.toast(text, Severity::Warning, now);
                Vec::new()
            }
            Msg::Themes(themes) => {
                self.options.themes = themes;
                Vec::new()
            }
            Msg::Keymap(keymap) => {
                self.keymap = keymap;
                self.pending.clear();
                Vec::new()
            }
            Msg::Tick => {
                self.toasts.retain(|t| t.until > now);
                self.play_on(now)
            }
        };
        self.settle(now);
        cmds
    }

    /// The cluster on screen stays the same one when the fleet file puts it elsewhere.
    fn follow_cluster(&mut self, snapshot: &Snapshot) {
        let place = |name: &ClusterName| snapshot.clusters.iter().position(|c| c.name == *name);
        if let Some(shown) = self.live.clusters.get(self.cluster)
            && let Some(place) = place(&shown.name)
        {
            self.cluster = place;
        }
    }

    /// Keeps selections on what is there.
    pub(super) fn settle(&mut self, now: Time) {
        self.cluster = self.cluster.min(self.picture().clusters.len().saturating_sub(1));
        self.connections &= self.selected_row().is_some();
        let cluster = self.cluster().cloned();
        self.marks.settle(cluster.as_deref());
        self.settle_settings();
        self.settle_unit(now);
        if let Some(cluster) = self.cluster().cloned() {
            let mut cursor = self.cursor.clone();
            cursor.settle(&cluster, &self.cursor_grid(now));
            self.cursor = cursor;
        }
        let findings = self.findings();
        let place = self.finding.as_ref().and_then(|id| findings.iter().position(|f| f.id == *id));
        let place = place.unwrap_or(self.finding_place.min(findings.len().saturating_sub(1)));
        let id = findings.get(place).map(|f| f.id.clone());
        self.finding_place = place;
        self.finding = id;
    }

    /// What the cursor moves on: the grid, or the one row whose connections are listed.
    fn cursor_grid(&self, now: Time) -> Grid {
        if !self.connections {
            return self.grid(now);
        }
        let row = self.selected_row();
        Grid { rows: row.into_iter().collect(), cols: self.connection_targets(now) }
    }

    fn selected_row(&self) -> Option<usize> {
        self.cluster()?.index.get(self.cursor.from()?).copied()
    }

    fn paste(&mut self, text: &str, now: Time) {
        if self.questions.open().is_some() {
            return;
        }
        self.paste_into_dialog(text, now);
        if let Some(Overlay::Form(form)) = &mut self.overlay {
            form.paste(text);
        }
        if let Some(Overlay::Help { query, typing: true, .. } | Overlay::Panel(Panel { query, typing: true, .. })) =
            &mut self.overlay
        {
            query.paste(text);
        } else if let Some(Overlay::Palette(palette)) = &mut self.overlay {
            palette.paste(text);
        } else if self.overlay.is_none()
            && let Some(field) = &mut self.filter_mut().typing
        {
            field.paste(text);
            let text = field.as_str().to_owned();
            self.set_filter(&text);
        }
    }

    fn alert(&mut self, transition: Transition, finding: &Finding, now: Time) -> Vec<Cmd> {
        if let Some(held) = &mut self.held {
            held.alerts += 1;
        }
        self.count_past_alert();
        match (transition, finding.severity) {
            (Transition::Raised | Transition::Changed | Transition::Cleared, _) if self.is_silenced(finding) => {
                Vec::new()
            }
            (Transition::Raised, Severity::Critical) => {
                let text = self.of_cluster(finding, "");
                self.toast(text, Severity::Critical, now);
                vec![Cmd::Bell; usize::from(self.options.bell)]
            }
            (Transition::Cleared, Severity::Critical) => {
                let text = self.of_cluster(finding, "cleared: ");
                self.toast(text, Severity::Notice, now);
                Vec::new()
            }
            (Transition::Raised | Transition::Changed | Transition::Cleared, _) => Vec::new(),
        }
    }

    fn key(&mut self, key: Key, now: Time) -> Vec<Cmd> {
        let scope = self.scope();
        if scope == Scope::Question {
            self.pending.clear();
        } else if self.key_of_dialog(key, now) || (self.is_typing() && self.type_key(key)) {
            return Vec::new();
        }
        if !self.pending.is_empty() && key == Key::plain(Code::Esc) {
            // Closes the menu of the keys that could follow, and nothing else.
            self.pending.clear();
            return Vec::new();
        }
        let leading = self.is_leading(scope, &self.pending);
        self.pending.push(key);
        loop {
            match self.meaning(scope) {
                Match::Action(action) => {
                    self.pending.clear();
                    return self.act(action, Some(key), now);
                }
                Match::Prefix if self.leads_nowhere(scope) => {
                    self.pending.clear();
                    self.toast(READ_ONLY.to_owned(), Severity::Notice, now);
                    return Vec::new();
                }
                Match::Prefix => return Vec::new(),
                // Behind the leader a wrong key does nothing: it was meant for the menu.
                Match::None if leading && !key.ctrl => {
                    self.pending.clear();
                    return Vec::new();
                }
                // A chord that leads nowhere: its last key may still mean something by itself.
                Match::None if self.pending.len() > 1 => self.pending = vec![key],
                Match::None => {
                    self.pending.clear();
                    return Vec::new();
                }
            }
        }
    }

    /// What the keys typed so far mean: the time line's own go before those of the view.
    fn meaning(&self, scope: Scope) -> Match {
        let over = self.has_past_keys().then(|| self.keymap.find(Scope::Past, &self.pending));
        over.filter(|m| *m != Match::None).unwrap_or_else(|| self.keymap.find(scope, &self.pending))
    }

    /// Gives the key to the text field that is open; false if it is none of a field's.
    fn type_key(&mut self, key: Key) -> bool {
        if let Some(Overlay::Palette(palette)) = &mut self.overlay {
            return palette.key(key);
        }
        if let Some(Overlay::Form(form)) = &mut self.overlay {
            return form.key(key);
        }
        if let Some(Overlay::Panel(Panel { query, typing, at: top, kind })) = &mut self.overlay {
            match query.key(key) {
                Edit::Changed => *top = (!kind.follows()).then_some(0),
                Edit::Done => *typing = false,
                Edit::Cancelled => {
                    *query = TextField::default();
                    *typing = false;
                }
                Edit::Ignored => return false,
            }
            return true;
        }
        if let Some(Overlay::Help { query, typing, top }) = &mut self.overlay {
            match query.key(key) {
                Edit::Changed => *top = 0,
                Edit::Done => *typing = false,
                Edit::Cancelled => {
                    *query = TextField::default();
                    *typing = false;
                }
                Edit::Ignored => return false,
            }
            return true;
        }
        if self.overlay.is_some() {
            return false;
        }
        let vocabulary = self.vocabulary();
        let state = self.filter_mut();
        let Some(field) = &mut state.typing else { return false };
        if key == Key::plain(Code::Tab) {
            // In a field Tab completes; it does not change the view under it.
            *field = TextField::new(&vocabulary.complete(field.as_str()));
        }
        match field.key(key) {
            Edit::Changed => {
                let text = field.as_str().to_owned();
                state.set(&text, vocabulary);
            }
            Edit::Done => state.typing = None,
            Edit::Cancelled => {
                state.typing = None;
                state.set("", vocabulary);
            }
            Edit::Ignored => return key.code == Code::Tab || key.code == Code::BackTab,
        }
        true
    }

    pub(super) fn act(&mut self, action: Action, key: Option<Key>, now: Time) -> Vec<Cmd> {
        if self.past.is_some() && Self::needs_the_present(action) {
            self.toast(self.no_acting().unwrap_or(IN_THE_PAST).to_owned(), Severity::Notice, now);
            return Vec::new();
        }
        match action {
            Action::Quit => return self.quit(now),
            Action::Interrupt => return vec![Cmd::Quit],
            Action::Disconnect | Action::Reconnect | Action::MaintenanceOn | Action::MaintenanceOff => {
                return self.begin(action, key, now);
            }
            Action::Switchover
            | Action::Failover
            | Action::Restore
            | Action::Sync
            | Action::AcceptTakeover
            | Action::RestartHa => return self.begin_ha(action, key, now),
            Action::NextPane if self.view == View::Ha => self.next_ha_group(true, now),
            Action::PreviousPane if self.view == View::Ha => self.next_ha_group(false, now),
            Action::Mark => return self.mark(now),
            Action::Results => self.overlay = Some(Overlay::Results { top: 0 }),
            Action::StopRest => self.stop_rest(now),
            Action::Confirm => return self.confirm_by_key(key, now),
            Action::ReadAgain => self.read_again(now),
            Action::PickObserver => return self.pick(0, now),
            Action::PickObserved => return self.pick(1, now),
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
            | Action::Setname
            | Action::AsJson
            | Action::NextPane
            | Action::PreviousPane => return self.act_in_settings(action, key, now),
            Action::SwitchBack if matches!(self.overlay, Some(Overlay::Form(_))) => self.shift_form(false),
            Action::SwitchButton if matches!(self.overlay, Some(Overlay::Form(_))) => self.shift_form(true),
            Action::Press if matches!(self.overlay, Some(Overlay::Form(_))) => return self.take_form(now),
            Action::SwitchBack => self.shift_focus(false),
            Action::LookBack
            | Action::Live
            | Action::FrameBack
            | Action::FrameOn
            | Action::MinuteBack
            | Action::MinuteOn
            | Action::PreviousMark
            | Action::NextMark
            | Action::PastStart
            | Action::PastEnd
            | Action::Play => return self.act_in_past(action, now),
            Action::Acknowledge
            | Action::Unacknowledge
            | Action::Silence
            | Action::Unsilence
            | Action::Silences
            | Action::HideQuiet => return self.act_on_alarm(action, key, now),
            Action::Changes => self.open_panel(PanelKind::Recent, now),
            Action::Span => self.next_span(),
            Action::Suspend => return vec![Cmd::Suspend],
            Action::Redraw => return vec![Cmd::Redraw],
            Action::Reload => return vec![Cmd::Reload],
            Action::Up => self.step(-1, 0, now),
            Action::Down => self.step(1, 0, now),
            Action::Left => self.step(0, -1, now),
            Action::Right => self.step(0, 1, now),
            Action::Top => self.step(isize::MIN, 0, now),
            Action::Bottom => self.step(isize::MAX, 0, now),
            Action::PageUp => self.step(-self.half_page(), 0, now),
            Action::PageDown => self.step(self.half_page(), 0, now),
            Action::NextFault => self.jump_to_fault(true, now),
            Action::PreviousFault => self.jump_to_fault(false, now),
            Action::Open if self.panel().is_some() => return self.open_in_panel(now).unwrap_or_default(),
            Action::Open => match self.view {
                View::Settings => self.turn_pane(true, false),
                View::Mesh => self.connections = self.selected_row().is_some(),
                View::Ha => self.open_unit(),
                View::Findings => self.finding_open = !self.finding_open,
                View::Events => {}
            },
            Action::Back => self.back(),
            Action::Filter => self.open_field(),
            Action::FaultsOnly => self.faults_only = !self.faults_only,
            Action::Sort => self.sort_next(now),
            Action::Zoom => {
                let slot = self.filter_slot();
                self.zoom[slot] = !self.zoom[slot];
            }
            Action::Fold => self.fold = Some(!self.is_folded(&self.grid(now))),
            Action::Diagnose => return self.diagnose(),
            Action::Redial => return self.redial(now),
            Action::Mesh => self.show(View::Mesh),
            Action::Settings => self.show(View::Settings),
            Action::Ha => self.show(View::Ha),
            Action::Findings => self.show(View::Findings),
            Action::Events => self.show(View::Events),
            Action::NextView => self.show(self.view.next()),
            Action::PreviousView => self.show(self.view.previous()),
            Action::NextCluster => {
                let count = self.picture().clusters.len();
                self.enter_cluster((self.cluster + 1) % count.max(1), now);
            }
            Action::Pause => {
                self.held = match self.held.take() {
                    Some(_) => None,
                    None => Some(Held { snapshot: Arc::clone(&self.live), at: now, alerts: 0 }),
                }
            }
            Action::Clock => self.options.utc = !self.options.utc,
            Action::Theme => {
                if let Some(name) = self.options.themes.after(self.theme()).map(str::to_owned) {
                    self.toast(format!("theme: {name}"), Severity::Notice, now);
                    self.theme = Some(name);
                }
            }
            Action::Bell => {
                self.options.bell = !self.options.bell;
                let text = if self.options.bell { "bell on" } else { "bell off" };
                self.toast(text.to_owned(), Severity::Notice, now);
            }
            Action::CopyCell => return self.copy(Extent::Cell, now),
            Action::CopyRow => return self.copy(Extent::Row, now),
            Action::CopyTable => return self.copy(Extent::Table, now),
            Action::Mouse => return self.switch_mouse(now),
            Action::Dump => return vec![Cmd::Dump],
            Action::Shell => return self.shell(now),
            Action::Help => {
                self.open_over(Overlay::Help { query: TextField::default(), typing: false, top: 0 }, now);
            }
            Action::Close | Action::Cancel => self.close_overlay(),
            Action::Palette => self.open_over(Overlay::Palette(Palette::default()), now),
            Action::Run => return self.run_palette(now),
            Action::Complete => self.complete_palette(now),
            Action::PreviousEntry => self.step_palette(false, now),
            Action::NextEntry => self.step_palette(true, now),
            Action::Overview => self.open_panel(PanelKind::Overview, now),
            Action::CommandLog => self.open_panel(PanelKind::Log, now),
            Action::Notices => self.open_panel(PanelKind::Notices, now),
            Action::Sessions => self.open_panel(PanelKind::Sessions, now),
            Action::Columns => self.open_panel(PanelKind::Columns, now),
            Action::UsualColumns => self.usual_columns(),
            Action::Accept => return self.answer(Answer::Accepted, now),
            Action::Reject => return self.answer(Answer::Rejected, now),
            Action::SwitchButton if self.questions.open().is_none() => self.shift_focus(true),
            Action::SwitchButton => {
                if self.questions.is_awake(now) {
                    self.questions.switch_button();
                }
            }
            Action::Press if self.questions.open().is_none() => return self.press_in_dialog(now),
            Action::Press => match self.questions.pressed() {
                Some(Button::Accept) => return self.answer(Answer::Accepted, now),
                Some(Button::Reject) => return self.answer(Answer::Rejected, now),
                None => {}
            },
        }
        Vec::new()
    }

    pub(super) fn show(&mut self, view: View) {
        if view == View::Mesh && self.view == View::Mesh {
            self.connections = false;
        }
        self.view = view;
    }

    fn half_page(&self) -> isize {
        isize::from(i16::try_from(self.options.height / 2).unwrap_or(i16::MAX)).max(1)
    }

    pub(super) fn step(&mut self, down: isize, right: isize, now: Time) {
        match &mut self.overlay {
            Some(Overlay::Help { top, query, .. }) => {
                let query = query.as_str().to_owned();
                let at = *top;
                let last = self.help(&query).len().saturating_sub(1);
                if let Some(Overlay::Help { top, .. }) = &mut self.overlay {
                    *top = moved(at, down, last);
                }
                return;
            }
            Some(Overlay::Diagnosis { result, top, .. }) => {
                // Up to three lines a step: itself, its detail, its hint.
                let last = result.as_ref().map_or(0, |d| d.steps.len() * 3);
                *top = moved(*top, down, last);
                return;
            }
            Some(Overlay::Panel(_)) if right != 0 => {
                self.step_version(right);
                return;
            }
            Some(Overlay::Panel(_)) => {
                self.step_panel(down, now);
                return;
            }
            Some(Overlay::Dialog(dialog)) => {
                let lines = dialog.plans().iter().map(|p| p.evidence.len() + p.effects.len() + 2).sum();
                dialog.top = moved(dialog.top, down, lines);
                return;
            }
            Some(Overlay::Choice(choice)) => {
                choice.at = moved(choice.at, down, 1);
                return;
            }
            Some(Overlay::Results { top }) => {
                let lines = self.runs.newest_first().map(|r| r.names.len() * 2 + 2).sum();
                *top = moved(*top, down, lines);
                return;
            }
            Some(Overlay::Leave { .. } | Overlay::Palette(_) | Overlay::Form(_)) => return,
            None => {}
        }
        match self.view {
            View::Mesh => {
                let Some(cluster) = self.cluster().cloned() else { return };
                let grid = self.cursor_grid(now);
                let (mut row, mut col) = (self.cursor.row(), self.cursor.col());
                if self.connections {
                    col = moved(col, down, grid.cols.len().saturating_sub(1));
                } else {
                    row = moved(row, down, grid.rows.len().saturating_sub(1));
                    col = moved(col, right, grid.cols.len().saturating_sub(1));
                }
                self.cursor.place(&cluster, &grid, row, col);
            }
            View::Settings => self.step_settings(down, right),
            View::Ha => self.step_unit(down, now),
            View::Findings => {
                let findings = self.findings();
                let place = moved(self.finding_place, down, findings.len().saturating_sub(1));
                let id = findings.get(place).map(|f| f.id.clone());
                self.finding_place = place;
                self.finding = id;
            }
            View::Events => self.step_events(down),
        }
    }

    fn step_events(&mut self, down: isize) {
        let events = self.events();
        let last = events.len().saturating_sub(1);
        // What is sorted by time follows its end.
        let rest = if self.list_sort(List::Events) == ListSort::Usual { last } else { 0 };
        let at = self.event_place(&events).unwrap_or(rest);
        let place = moved(at, down, last);
        let selected: Option<Event> = (place != rest).then(|| events[place].clone());
        self.event = selected;
    }

    /// To the next cell that is down, row by row, around the end; to the next unknown one if none is down.
    fn jump_to_fault(&mut self, forward: bool, now: Time) {
        if self.view == View::Settings {
            self.jump_to_conflict(forward, now);
            return;
        }
        let Some(cluster) = self.cluster().cloned() else { return };
        let grid = self.cursor_grid(now);
        let moment = self.moment(now);
        let (height, width) = (grid.rows.len(), grid.cols.len());
        let count = height * width;
        if count == 0 {
            return;
        }
        let start = if self.connections { self.cursor.col() } else { self.cursor.row() * width + self.cursor.col() };
        let places = (1..=count)
            .map(|step| if forward { (start + step) % count } else { (start + count - step % count) % count });
        let state = |place: usize| {
            let (i, j) = (grid.rows[place / width], grid.cols[place % width]);
            (i != j).then(|| cluster.cell(i, j, moment).state)
        };
        let find = |wanted: LinkState| places.clone().find(|p| state(*p) == Some(wanted));
        if let Some(place) = find(LinkState::Down).or_else(|| find(LinkState::Unknown)) {
            self.cursor.place(&cluster, &grid, place / width, place % width);
        }
    }

    fn back(&mut self) {
        let slot = self.filter_slot();
        if self.overlay.is_some() {
            self.close_overlay();
        } else if !self.filter().text.is_empty() {
            self.set_filter("");
        } else if self.zoom[slot] {
            self.zoom[slot] = false;
        } else if self.view == View::Settings {
            self.back_in_settings();
        } else if self.view == View::Ha {
            self.close_unit();
        } else if self.view == View::Findings {
            self.finding_open = false;
        } else if self.view == View::Mesh {
            if self.connections {
                self.connections = false;
            } else if self.faults_only {
                self.faults_only = false;
            } else {
                self.marks.clear();
            }
        } else {
            self.event = None;
        }
    }

    fn open_field(&mut self) {
        if let Some(Overlay::Help { typing, .. }) = &mut self.overlay {
            *typing = true;
            return;
        }
        if let Some(Overlay::Panel(panel)) = &mut self.overlay {
            panel.typing = true;
            return;
        }
        let state = self.filter_mut();
        state.typing = Some(TextField::new(&state.text));
    }

    fn sort_next(&mut self, now: Time) {
        if self.view == View::Ha {
            return;
        }
        if self.view == View::Settings {
            self.next_feature_order();
            return;
        }
        if let Some(list @ (List::Findings | List::Events)) = self.list() {
            self.next_list_sort(list);
            return;
        }
        let moment = self.moment(now);
        if let Some(cluster) = self.cluster() {
            self.order = Order::taken(self.order.sort.next(), cluster, moment);
        }
    }

    fn diagnose(&mut self) -> Vec<Cmd> {
        let (Some(cluster), Some(from), Some(to)) = (self.cluster(), self.cursor.from(), self.cursor.to()) else {
            return Vec::new();
        };
        let request = DiagnosisRequest { cluster: cluster.name.clone(), from: from.clone(), to: to.clone() };
        self.overlay = Some(Overlay::Diagnosis { request: request.clone(), result: None, top: 0 });
        vec![Cmd::Diagnose(request)]
    }

    fn redial(&mut self, now: Time) -> Vec<Cmd> {
        let (Some(cluster), Some(peer)) = (self.cluster(), self.cursor.from()) else { return Vec::new() };
        if self.options.read_only {
            return Vec::new();
        }
        let host = cluster.peer(peer).map(|p| p.host.clone());
        let cmd = Cmd::DialNow { cluster: cluster.name.clone(), peer: peer.clone() };
        let (name, of) = (cluster.label(peer).to_owned(), cluster.name.clone());
        if let Some(host) = host {
            self.questions.forget_rejections(host.as_str());
        }
        self.journal.done(Some(of), format!("redial {name}: sent"), now);
        self.toast(format!("dialling {name} now"), Severity::Notice, now);
        vec![cmd]
    }

    /// A shell can change what it likes: a read-only console has none.
    fn shell(&mut self, now: Time) -> Vec<Cmd> {
        if self.options.read_only {
            self.toast("no shell from a read-only console".to_owned(), Severity::Notice, now);
            return Vec::new();
        }
        let meant = if self.view == View::Ha { self.unit() } else { self.cursor.from() };
        let (Some(cluster), Some(peer)) = (self.cluster(), meant) else { return Vec::new() };
        vec![Cmd::Shell { cluster: cluster.name.clone(), peer: peer.clone() }]
    }

    fn answer(&mut self, answer: Answer, now: Time) -> Vec<Cmd> {
        if !self.questions.is_awake(now) {
            return Vec::new();
        }
        match (self.questions.answer(answer, now), answer) {
            (Some(question), Answer::Accepted) => {
                vec![Cmd::TrustHostKey {
                    cluster: question.cluster,
                    peer: question.peer,
                    fingerprint: question.fingerprint,
                }]
            }
            (Some(question), Answer::Rejected) => {
                let text = format!("rejected the host key of {}: no connection is made", question.host);
                self.toast(text, Severity::Warning, now);
                Vec::new()
            }
            (None, _) => Vec::new(),
        }
    }
}

/// Whether the peer still waits for an answer to this question.
fn is_asked(snapshot: &Snapshot, question: &HostKeyQuestion) -> bool {
    let cluster = snapshot.clusters.iter().find(|c| c.name == question.cluster);
    let peer = cluster.and_then(|c| c.peer(&question.peer));
    peer.is_some_and(|p| p.reach.state == ReachState::AskHostKey && p.reach.detail == question.fingerprint)
}

/// `at`, moved by `by` and kept between 0 and `last`.
pub(super) fn moved(at: usize, by: isize, last: usize) -> usize {
    at.saturating_add_signed(by).min(last)
}
