//! Order and columns of the lists.

use strum::{EnumIter, IntoStaticStr};

use super::grid::Sort;
use super::{App, View};
use crate::domain::{Cluster, Subject};

/// A view that is a list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EnumIter)]
pub enum List {
    /// Links of one peer.
    Connections,
    /// What is wrong.
    Findings,
    /// What changed.
    Events,
}

/// The order of findings and events.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ListSort {
    /// Findings worst first, events oldest first.
    #[default]
    Usual,
    /// Newest first.
    Newest,
    /// By kind.
    Kind,
    /// By the names of the peers it is about.
    About,
}

impl List {
    /// Titles of its columns, in their usual order.
    #[must_use]
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Connections => {
                &["state", "peer", "back", "since", "cause", "rtt", "dials", "next", "dns", "address", "detail"]
            }
            Self::Findings => &["severity", "since", "subject", "kind", "state", "finding"],
            Self::Events => &["time", "kind", "about", "text"],
        }
    }

    /// The orders that it can stand in.
    #[must_use]
    pub fn sorts(self) -> &'static [ListSort] {
        match self {
            // It stands in the order of the grid.
            Self::Connections => &[],
            Self::Findings => &[ListSort::Usual, ListSort::Newest, ListSort::About, ListSort::Kind],
            Self::Events => &[ListSort::Usual, ListSort::About, ListSort::Kind],
        }
    }
}

/// What was chosen for each list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Lists {
    sorts: [ListSort; 3],
    /// Empty: the usual ones.
    columns: [Vec<&'static str>; 3],
}

impl App {
    /// The list on screen, if the view is one.
    #[must_use]
    pub fn list(&self) -> Option<List> {
        match self.view {
            View::Mesh => self.connections.then_some(List::Connections),
            View::Settings | View::Ha => None,
            View::Findings => Some(List::Findings),
            View::Events => Some(List::Events),
        }
    }

    /// The order of a list of findings or events.
    #[must_use]
    pub fn list_sort(&self, list: List) -> ListSort {
        self.lists.sorts[list as usize]
    }

    pub(super) fn set_list_sort(&mut self, list: List, sort: ListSort) {
        self.lists.sorts[list as usize] = sort;
    }

    pub(super) fn next_list_sort(&mut self, list: List) {
        let sorts = list.sorts();
        let at = sorts.iter().position(|s| *s == self.list_sort(list)).map_or(0, |at| at + 1);
        if let Some(next) = sorts.get(at % sorts.len().max(1)) {
            self.set_list_sort(list, *next);
        }
    }

    /// The column that `list` is sorted by.
    #[must_use]
    pub fn sorted_column(&self, list: List) -> Option<&'static str> {
        match (list, self.list_sort(list)) {
            (List::Connections, _) => match self.order.sort {
                Sort::Name => Some("peer"),
                Sort::State | Sort::Faults => Some("state"),
                Sort::Group => None,
            },
            (List::Findings, ListSort::Usual) => Some("severity"),
            (List::Findings, ListSort::Newest) => Some("since"),
            (List::Findings, ListSort::About) => Some("subject"),
            (List::Events, ListSort::Usual | ListSort::Newest) => Some("time"),
            (List::Events, ListSort::About) => Some("about"),
            (List::Findings | List::Events, ListSort::Kind) => Some("kind"),
        }
    }

    /// The columns that were chosen for `list`; empty for the usual ones.
    #[must_use]
    pub fn chosen_columns(&self, list: List) -> &[&'static str] {
        &self.lists.columns[list as usize]
    }

    /// Chooses columns by name; unknown names are given back, and nothing is changed then.
    pub(super) fn choose_columns<'a>(&mut self, list: List, names: &[&'a str]) -> Result<(), Vec<&'a str>> {
        let known = |name: &&'a str| list.columns().iter().find(|c| c.eq_ignore_ascii_case(name)).copied();
        let unknown: Vec<&'a str> = names.iter().filter(|n| known(n).is_none()).copied().collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let mut chosen: Vec<&'static str> = Vec::new();
        for column in names.iter().filter_map(known) {
            if !chosen.contains(&column) {
                chosen.push(column);
            }
        }
        self.lists.columns[list as usize] = chosen;
        Ok(())
    }

    /// Shows or hides the column at `place`; the last one stays.
    pub(super) fn toggle_column(&mut self, list: List, place: usize) {
        let Some(column) = list.columns().get(place).copied() else { return };
        let all = list.columns();
        let chosen = &mut self.lists.columns[list as usize];
        let shown =
            |c: &&'static str| if chosen.is_empty() { *c != column } else { (*c == column) != chosen.contains(c) };
        let mut now: Vec<&'static str> = all.iter().copied().filter(shown).collect();
        if now.is_empty() {
            return;
        }
        if now.len() == all.len() {
            now.clear();
        }
        *chosen = now;
    }

    /// Whether a column is wanted; narrow screens still leave it out.
    #[must_use]
    pub fn is_column_wanted(&self, list: List, column: &str) -> bool {
        let chosen = self.chosen_columns(list);
        chosen.is_empty() || chosen.contains(&column)
    }
}

/// Whom it is about, as far as it decides an order.
pub(super) fn about(cluster: Option<&Cluster>, subject: &Subject) -> String {
    let names: Vec<&str> = subject.peers().map(|p| cluster.map_or(p.as_str(), |c| c.label(p))).collect();
    if names.is_empty() { subject.to_string() } else { names.join(" ") }
}
