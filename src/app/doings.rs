//! Small doings of the comforts: what came of diagnoses and faults, columns, how much a filter hides.

use super::{App, Diagnosis, DiagnosisRequest, Overlay, Scope, StepResult, View};
use crate::domain::{Finding, Severity, Time};

impl App {
    pub(super) fn diagnosed(&mut self, request: &DiagnosisRequest, diagnosis: &Diagnosis, now: Time) {
        let failed = diagnosis.steps.iter().find(|s| s.result == StepResult::Failed);
        let what = failed.map_or_else(|| "no step failed".to_owned(), |s| format!("{} failed", s.step));
        self.journal.done(Some(request.cluster.clone()), format!("diagnose {}: done, {what}", diagnosis.title), now);
        let all = self.overlay.iter_mut().chain(&mut self.under);
        for overlay in all {
            if let Overlay::Diagnosis { request: wanted, result, .. } = overlay
                && wanted == request
            {
                *result = Some(diagnosis.clone());
            }
        }
    }

    pub(super) fn faulted(&mut self, words: &str, result: Result<String, String>, now: Time) {
        let cluster = self.cluster().map(|c| c.name.clone());
        let (text, state, severity) = match result {
            Ok(text) => (text, "done", Severity::Notice),
            Err(why) => (why, "refused", Severity::Warning),
        };
        self.journal.done(cluster, format!("fault {words}: {state}, {text}"), now);
        self.toast(text, severity, now);
    }

    /// The text of a finding, with its cluster where there are several.
    pub(super) fn of_cluster(&self, finding: &Finding, before: &str) -> String {
        if self.has_clusters() {
            format!("{}: {before}{}", finding.cluster, finding.text)
        } else {
            format!("{before}{}", finding.text)
        }
    }

    pub(super) fn usual_columns(&mut self) {
        if let Some(list) = self.list() {
            // No names are known names.
            let _ = self.choose_columns(list, &[]);
        }
    }

    /// Whether something is selected that can be shown alone.
    pub(super) fn can_zoom(&self) -> bool {
        match self.view {
            View::Mesh => self.selected().is_some(),
            View::Settings => self.feature().is_some(),
            View::Ha => self.unit().is_some(),
            View::Findings => !self.findings().is_empty(),
            View::Events => !self.events().is_empty(),
        }
    }

    /// What the help is about: where one was before it was opened.
    #[must_use]
    pub fn help_scope(&self) -> Scope {
        self.under.last().map_or_else(|| self.view_scope(), Overlay::scope)
    }

    /// What the newest lines of the journal are, so that a panel that shows them is drawn anew.
    pub(super) fn journal_len(&self) -> (usize, usize, Option<Time>) {
        (self.notices().count(), self.command_log().count(), self.command_log().next_back().map(|e| e.at))
    }

    /// Where one is, below the tab of the view: cluster, peer, what is open.
    #[must_use]
    pub fn crumbs(&self, now: Time) -> Vec<String> {
        let mut crumbs = Vec::new();
        let Some(cluster) = self.cluster() else { return crumbs };
        if self.has_clusters() {
            crumbs.push(cluster.name.to_string());
        }
        if let Some(peer) = self.connections_of() {
            crumbs.push(peer.host.to_string());
        }
        if self.view == View::Settings {
            crumbs.extend(self.settings_crumbs());
            return crumbs;
        }
        if !self.is_zoomed() {
            return crumbs;
        }
        let other = self.selected().map(|(_, to)| cluster.label(&cluster.peers[to].id).to_owned());
        crumbs.extend(match self.view {
            View::Mesh if self.connections => other,
            View::Settings => None,
            View::Ha => self.unit().map(|id| cluster.label(id).to_owned()),
            View::Mesh => self.selected().zip(other).map(|((from, _), to)| {
                let from = cluster.label(&cluster.peers[from].id);
                if from == to { to } else { format!("{from} to {to}") }
            }),
            View::Findings => {
                self.finding.as_ref().map(|_| format!("{} of {}", self.finding_place + 1, self.hits(now).0))
            }
            View::Events => Some("event".to_owned()),
        });
        crumbs
    }

    /// How many lines (in Mesh: peers) pass the filter, and how many there are.
    #[must_use]
    pub fn hits(&self, now: Time) -> (usize, usize) {
        let cluster = self.cluster();
        match self.view {
            View::Mesh if self.connections => {
                (self.connection_targets(now).len(), cluster.map_or(0, |c| c.peers.len().saturating_sub(1)))
            }
            View::Mesh => (self.grid(now).rows.len(), cluster.map_or(0, |c| c.peers.len())),
            View::Settings => (self.feature_places().len(), self.book().map_or(0, |b| b.features().len())),
            View::Ha => self.ha_hits(now),
            View::Findings => (self.findings().len(), cluster.map_or(0, |c| c.findings.len())),
            View::Events => (self.events().len(), self.events_here().count()),
        }
    }

    /// Why the view on screen is empty although there is something, and how to end it; `None` without a filter.
    #[must_use]
    pub fn hidden_by_filter(&self, what: &str) -> Option<String> {
        let filter = self.filter();
        if filter.text.is_empty() {
            return None;
        }
        let hidden = filter.problem().map_or_else(|| format!("No {what} passes the filter."), str::to_owned);
        Some(format!("{hidden} Press Esc to end it."))
    }
}
