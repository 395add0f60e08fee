//! Moving in the Settings view.

use super::{FeatureOrder, Pane};
use crate::app::dialog::About;
use crate::app::update::moved;
use crate::app::{App, Overlay, View};
use crate::domain::settings::{Key, ModeId};
use crate::domain::{OutcomeState, Time};

/// Lines that a value can be scrolled by: more than any that is taken.
const LINES_MAX: usize = 100_000;

impl App {
    /// Down by lines, and right by panes.
    pub(in crate::app) fn step_settings(&mut self, down: isize, right: isize) {
        if right != 0 {
            self.turn_pane(right > 0, false);
            return;
        }
        let Some(book) = self.book().cloned() else { return };
        match self.pane() {
            Pane::Modes => {
                let at = moved(self.desk.place.mode_at, down, book.modes().len().saturating_sub(1));
                if let Some(line) = book.modes().get(at) {
                    self.go_to_mode(line.id.clone());
                }
            }
            Pane::Features => {
                let places = self.feature_places();
                let at = moved(self.desk.place.feature_at, down, places.len().saturating_sub(1));
                let place = &mut self.desk.place;
                place.feature_at = at;
                place.feature = places.get(at).map(|at| book.features()[*at].clone());
                place.top = 0;
            }
            Pane::Value => self.desk.place.top = moved(self.desk.place.top, down, LINES_MAX),
        }
    }

    /// To the next pane or the one before; with `around` past the ends as well.
    pub(in crate::app) fn turn_pane(&mut self, forward: bool, around: bool) {
        let place = &mut self.desk.place;
        place.pane = match (place.pane, forward) {
            (Pane::Value, true) if around => Pane::Modes,
            (Pane::Modes, false) if around => Pane::Value,
            (Pane::Modes, true) | (Pane::Value, false) => Pane::Features,
            (Pane::Features | Pane::Value, true) => Pane::Value,
            (Pane::Modes | Pane::Features, false) => Pane::Modes,
        };
    }

    /// Selects a mode.
    pub(in crate::app) fn go_to_mode(&mut self, mode: ModeId) {
        let at = self.book().and_then(|b| b.place(&mode));
        let place = &mut self.desk.place;
        place.mode_at = at.unwrap_or(place.mode_at);
        place.mode = Some(mode);
        place.top = 0;
    }

    /// Selects a feature, whatever hides it.
    pub(in crate::app) fn go_to_feature(&mut self, feature: crate::domain::FeatureName, now: Time) {
        self.desk.place.feature = Some(feature.clone());
        self.desk.place.top = 0;
        self.settle(now);
        if self.feature() != Some(&feature) {
            self.set_filter("");
            self.desk.place.feature = Some(feature);
            self.settle(now);
        }
    }

    /// One step back; whether there was one.
    pub(in crate::app) fn back_in_settings(&mut self) {
        let place = &mut self.desk.place;
        if place.beside.is_some() {
            place.beside = None;
        } else if place.pane != Pane::Modes {
            self.turn_pane(false, false);
        } else {
            self.marks.clear();
        }
    }

    /// Whether one step back leads anywhere.
    pub(in crate::app) fn can_go_back_in_settings(&self) -> bool {
        self.view == View::Settings && (self.beside().is_some() || self.pane() != Pane::Modes || !self.marks.is_empty())
    }

    /// The next order of the features.
    pub(in crate::app) fn next_feature_order(&mut self) {
        self.desk.place.order = match self.desk.place.order {
            FeatureOrder::Name => FeatureOrder::State,
            FeatureOrder::State => FeatureOrder::Overridden,
            FeatureOrder::Overridden => FeatureOrder::Name,
        };
    }

    /// This order of the features.
    pub(in crate::app) fn sort_features(&mut self, order: FeatureOrder) {
        self.desk.place.order = order;
    }

    /// Selects the machine of a peer; whether it is a member.
    pub(in crate::app) fn go_to_machine(&mut self, peer: &crate::domain::PeerId) -> bool {
        let member = self.tree().and_then(|t| t.structure().member_of(peer)).map(|m| m.id.clone());
        if let Some(id) = member.clone() {
            self.go_to_mode(ModeId::Machine(id));
        }
        member.is_some()
    }

    /// To the next feature in conflict, around the end.
    pub(in crate::app) fn jump_to_conflict(&mut self, forward: bool, now: Time) {
        let Some(book) = self.book().cloned() else { return };
        let mut at: Vec<(usize, ModeId, crate::domain::FeatureName)> = book
            .conflicts()
            .iter()
            .filter_map(|(key, _)| match key {
                Key::Feature(mode, feature) => Some((book.place(mode)?, mode.clone(), feature.clone())),
                Key::ClusterName
                | Key::Addressing
                | Key::GroupName(_)
                | Key::GroupDeleted(_)
                | Key::MachineIdentity(_)
                | Key::MachineGroup(_)
                | Key::MachineRemoved(_)
                | Key::SecretKey(..) => None,
            })
            .collect();
        at.sort_by(|a, b| (a.0, &a.2).cmp(&(b.0, &b.2)));
        let feature = self.feature().cloned();
        let here = (self.desk.place.mode_at, feature);
        let of = |c: &(usize, ModeId, crate::domain::FeatureName)| (c.0, Some(c.2.clone()));
        let found = if forward {
            at.iter().find(|c| of(c) > here).or_else(|| at.first())
        } else {
            at.iter().rev().find(|c| of(c) < here).or_else(|| at.last())
        };
        if let Some((_, mode, feature)) = found.cloned() {
            self.go_to_mode(mode);
            self.desk.place.pane = Pane::Features;
            self.go_to_feature(feature, now);
        }
    }
}

impl App {
    /// The pane that has the keys from now on.
    pub(in crate::app) fn turn_to(&mut self, pane: Pane) {
        self.desk.place.pane = pane;
    }

    /// Notes by identity what the open list stands on.
    pub(in crate::app) fn note_selected(&mut self) {
        let Some(panel) = self.panel() else { return };
        let keys = self.list_keys(panel.kind, panel.query.as_str());
        let key = keys.get(panel.place(keys.len())).cloned();
        if key != self.desk.key {
            self.desk.key = key;
            self.desk.version = None;
        }
    }

    /// To the next field of the form, or the one before.
    pub(in crate::app) fn shift_form(&mut self, forward: bool) {
        if let Some(Overlay::Form(form)) = &mut self.overlay {
            form.shift(forward);
        }
    }

    /// Where one is in the Settings view: modes, then the feature.
    pub(in crate::app) fn settings_crumbs(&self) -> Vec<String> {
        let Some(tree) = self.tree() else { return Vec::new() };
        let mode = tree.mode_name(&self.mode());
        let mut crumbs = vec![match self.beside() {
            Some(other) => format!("{mode} and {}", tree.mode_name(other)),
            None => mode,
        }];
        if self.pane() != Pane::Modes || self.beside().is_some() {
            crumbs.extend(self.feature().map(ToString::to_string));
        }
        crumbs
    }

    /// The staged changes that a run carries are on their way.
    pub(in crate::app) fn stage_is_sent(&mut self, run: u64) {
        let Some(found) = self.runs().newest_first().find(|r| r.id == run) else { return };
        let About::Commit(draft) = &found.about else { return };
        if draft.staged.is_none() {
            return;
        }
        let edits = draft.edits.clone();
        for stage in self.desk.stages.values_mut() {
            // Only that cluster's stage has just these.
            if stage.edits() == *edits {
                stage.send(run);
            }
        }
    }

    /// News of a run: what is on disk is no longer staged, what was not taken is staged as before.
    pub(in crate::app) fn stage_heard(&mut self, run: u64, state: OutcomeState) {
        for stage in self.desk.stages.values_mut() {
            match state {
                OutcomeState::Sent => {}
                OutcomeState::Accepted | OutcomeState::Running | OutcomeState::Observed => stage.landed(run),
                // Whoever can't know may look: it is shown as written meanwhile if it was.
                OutcomeState::Refused | OutcomeState::Failed | OutcomeState::Unknown => stage.came_back(run),
            }
        }
        self.desk.stages.retain(|_, stage| !stage.is_empty());
    }
}
