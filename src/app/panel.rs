//! Lists that lie over a view: clusters, the command log, past toasts, sessions, columns.

use std::sync::Arc;

use super::field::TextField;
use super::filter::contains;
use super::journal::{Entry, Notice};
use super::lists::List;
use super::settings::lists::PickFor;
use super::{Action, App, Cmd, Overlay, Scope};
use crate::domain::observation::OperatorSession;
use crate::domain::{Peer, Time};

/// Which list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PanelKind {
    /// A line a cluster.
    Overview,
    /// Commands and what became of them.
    Log,
    /// Past toasts.
    Notices,
    /// Who is logged in on the peers.
    Sessions,
    /// Columns of the list on screen.
    Columns,
    /// What is staged.
    Changes,
    /// Inconsistencies.
    Conflicts,
    /// Versions of a setting.
    Versions,
    /// Modes or groups to pick one of.
    Pick(PickFor),
    /// Silences.
    Silences,
    /// What changed lately.
    Recent,
}

impl PanelKind {
    /// Where its keys go.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Self::Overview => Scope::Overview,
            Self::Log => Scope::Log,
            Self::Notices => Scope::Notices,
            Self::Sessions => Scope::Sessions,
            Self::Columns => Scope::Columns,
            Self::Changes => Scope::Changes,
            Self::Conflicts => Scope::Conflicts,
            Self::Versions => Scope::Versions,
            Self::Pick(_) => Scope::Pick,
            Self::Silences => Scope::Silences,
            Self::Recent => Scope::Recent,
        }
    }

    /// Whether it stands at its end until somebody moves, because the newest is there.
    #[must_use]
    pub fn follows(self) -> bool {
        match self {
            Self::Log | Self::Notices => true,
            Self::Overview
            | Self::Sessions
            | Self::Columns
            | Self::Changes
            | Self::Conflicts
            | Self::Versions
            | Self::Pick(_)
            | Self::Silences
            | Self::Recent => false,
        }
    }
}

/// A list that lies over a view.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Which.
    pub kind: PanelKind,
    /// What is searched for.
    pub query: TextField,
    /// Whether it is being typed.
    pub typing: bool,
    /// The selected line; `None` stays at the end.
    pub at: Option<usize>,
}

impl Panel {
    fn new(kind: PanelKind) -> Self {
        Self { kind, query: TextField::default(), typing: false, at: (!kind.follows()).then_some(0) }
    }

    /// The selected one of `len` lines.
    #[must_use]
    pub fn place(&self, len: usize) -> usize {
        self.at.unwrap_or(usize::MAX).min(len.saturating_sub(1))
    }
}

impl App {
    /// The list that lies over the view.
    #[must_use]
    pub fn panel(&self) -> Option<&Panel> {
        if let Some(Overlay::Panel(panel)) = &self.overlay { Some(panel) } else { None }
    }

    /// Whether the clusters are listed in place of the view, whatever lies over that.
    #[must_use]
    pub fn overview(&self) -> Option<&Panel> {
        let panels = self.overlay.iter().chain(&self.under);
        let mut panels = panels.filter_map(|o| if let Overlay::Panel(panel) = o { Some(panel) } else { None });
        panels.find(|p| p.kind == PanelKind::Overview)
    }

    pub(super) fn open_panel(&mut self, kind: PanelKind, now: Time) {
        let mut panel = Panel::new(kind);
        match kind {
            PanelKind::Columns if self.list().is_none() => return,
            PanelKind::Overview => panel.at = Some(self.cluster),
            PanelKind::Columns
            | PanelKind::Log
            | PanelKind::Notices
            | PanelKind::Sessions
            | PanelKind::Changes
            | PanelKind::Conflicts
            | PanelKind::Versions
            | PanelKind::Pick(_)
            | PanelKind::Silences
            | PanelKind::Recent => {}
        }
        self.open_over(Overlay::Panel(panel), now);
    }

    /// Puts `overlay` over what is there; closing it brings that back.
    pub(super) fn open_over(&mut self, overlay: Overlay, _now: Time) {
        if let Some(below) = self.overlay.replace(overlay) {
            self.under.push(below);
        }
    }

    /// Closes what lies on top.
    pub(super) fn close_overlay(&mut self) {
        self.overlay = self.under.pop();
    }

    /// The scope below palette and help: where their subjects would work.
    #[must_use]
    pub fn base_scope(&self) -> Scope {
        let below = self.overlay.iter().chain(self.under.iter().rev());
        let mut scopes = below.map(Overlay::scope).filter(|s| *s != Scope::Palette && *s != Scope::Help);
        scopes.next().unwrap_or_else(|| self.view_scope())
    }

    /// Lines of the command log that contain `query`.
    #[must_use]
    pub fn log_lines(&self, query: &str) -> Vec<&Entry> {
        let low = query.trim().to_lowercase();
        self.command_log().filter(|e| contains(&e.text, &low) || contains(e.by, &low)).collect()
    }

    /// Past toasts that contain `query`.
    #[must_use]
    pub fn notice_lines(&self, query: &str) -> Vec<&Notice> {
        let low = query.trim().to_lowercase();
        self.notices().filter(|n| contains(&n.text, &low) || contains(n.severity.as_str(), &low)).collect()
    }

    /// People who are logged in on the peers of the cluster on screen, as those peers tell it: where, and who.
    #[must_use]
    pub fn session_lines(&self, query: &str) -> Vec<(&Arc<Peer>, &OperatorSession)> {
        let low = query.trim().to_lowercase();
        let peers = self.cluster().map(|c| c.peers.iter()).into_iter().flatten();
        let all = peers.filter(|p| p.is_reached()).flat_map(|p| p.sessions.iter().map(move |s| (p, s)));
        let words = |p: &Peer, s: &OperatorSession| {
            [p.host.as_str(), s.user.as_str(), s.from.as_str(), s.what.as_str()].iter().any(|w| contains(w, &low))
        };
        all.filter(|(p, s)| words(p, s)).collect()
    }

    /// Columns of the list on screen whose name contains `query`, with their place and whether they are wanted.
    #[must_use]
    pub fn column_lines(&self, query: &str) -> Vec<(usize, &'static str, bool)> {
        let Some(list) = self.list() else { return Vec::new() };
        let low = query.trim().to_lowercase();
        let all = list.columns().iter().enumerate().map(|(i, c)| (i, *c, self.is_column_wanted(list, c)));
        all.filter(|(_, c, _)| contains(c, &low)).collect()
    }

    /// How many lines the panel has.
    #[must_use]
    pub fn panel_len(&self, panel: &Panel, now: Time) -> usize {
        let query = panel.query.as_str();
        match panel.kind {
            PanelKind::Overview => self.cluster_lines(query, now).len(),
            PanelKind::Log => self.log_lines(query).len(),
            PanelKind::Notices => self.notice_lines(query).len(),
            PanelKind::Sessions => self.session_lines(query).len(),
            PanelKind::Columns => self.column_lines(query).len(),
            PanelKind::Changes | PanelKind::Conflicts => self.list_keys(panel.kind, query).len(),
            PanelKind::Versions => self.past_lines(query).len(),
            PanelKind::Pick(pick) => self.picks(pick, query).len(),
            PanelKind::Silences => self.silence_lines(query).len(),
            PanelKind::Recent => self.recent_lines(query, now).len(),
        }
    }

    /// Moves in the panel on top; whether there is one.
    pub(super) fn step_panel(&mut self, down: isize, now: Time) -> bool {
        let Some(panel) = self.panel() else { return false };
        let len = self.panel_len(panel, now);
        let last = len.saturating_sub(1);
        let place = panel.place(len).saturating_add_signed(down).min(last);
        let at = (!panel.kind.follows() || place < last).then_some(place);
        if let Some(Overlay::Panel(panel)) = &mut self.overlay {
            panel.at = at;
        }
        self.note_selected();
        true
    }

    /// Enter in a panel: into the cluster, the column on or off, what is picked; `None` when there is no panel.
    pub(super) fn open_in_panel(&mut self, now: Time) -> Option<Vec<Cmd>> {
        let panel = self.panel()?;
        let query = panel.query.as_str();
        match panel.kind {
            PanelKind::Overview => {
                let lines = self.cluster_lines(query, now);
                if let Some(place) = lines.get(panel.place(lines.len())).map(|l| l.place) {
                    self.overlay = None;
                    self.under.clear();
                    self.enter_cluster(place, now);
                }
            }
            PanelKind::Columns => {
                let lines = self.column_lines(query);
                let place = lines.get(panel.place(lines.len())).map(|l| l.0);
                if let (Some(list), Some(place)) = (self.list(), place) {
                    self.toggle_column(list, place);
                }
            }
            PanelKind::Pick(pick) => return Some(self.picked(pick, now)),
            PanelKind::Conflicts => return Some(self.act_in_settings(Action::Resolve, None, now)),
            PanelKind::Log
            | PanelKind::Notices
            | PanelKind::Sessions
            | PanelKind::Changes
            | PanelKind::Versions
            | PanelKind::Silences
            | PanelKind::Recent => {}
        }
        Some(Vec::new())
    }

    /// The names of a list's columns and whether they are wanted, for whoever draws it.
    #[must_use]
    pub fn is_usual(&self, list: List) -> bool {
        self.chosen_columns(list).is_empty()
    }
}
