//! The Settings view: what applies where, what somebody wants to change, and what is in conflict.
//!
//! Selection is by mode and feature, never by row number. Nothing here is sent: changes are staged until a commit is
//! confirmed, which goes the way of all commands.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub mod act;
pub mod book;
mod commit;
pub mod draft;
pub mod form;
pub mod json;
pub mod lists;
mod moves;
pub mod rows;
pub mod stage;
mod staging;

pub use book::{Book, ModeLine};
pub use draft::Draft;
pub use form::Form;
pub use rows::{Shown, Standing};
pub use stage::{Stage, Staged};

use super::filter::Facts;
use super::keys::Key as Press;
use super::{App, Overlay, panel::PanelKind};
use crate::domain::settings::catalogue::Catalogue;
use crate::domain::settings::{Key, ModeId, Past, Tree, VersionId};
use crate::domain::{ClusterName, FeatureName, Line, MemberId};

/// The parts of the view, from left to right.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pane {
    /// Cluster, groups and machines.
    #[default]
    Modes,
    /// Features at the selected mode.
    Features,
    /// The value of the selected feature there.
    Value,
}

/// The order of the features.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum FeatureOrder {
    /// By name.
    #[default]
    Name,
    /// What is set at the mode first, what nobody sets last.
    State,
    /// What most modes below set otherwise first.
    Overridden,
}

/// Where somebody is in the settings of one cluster.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Place {
    pane: Pane,
    mode: Option<ModeId>,
    feature: Option<FeatureName>,
    /// Where they stood: if one goes away, its neighbour is selected.
    mode_at: usize,
    feature_at: usize,
    beside: Option<ModeId>,
    order: FeatureOrder,
    /// First line of the value that is shown.
    top: usize,
}

/// Versions of a register that were asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// Of which cluster.
    pub cluster: ClusterName,
    /// Of which register.
    pub key: Key,
    /// What was told; `None` until something is.
    pub past: Option<Result<Vec<Past>, Line>>,
}

/// All of the view's state besides the stage of each cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Desk {
    pub(super) place: Place,
    book: Option<Arc<Book>>,
    /// By the id of the cluster: its name may change.
    stages: BTreeMap<Line, Stage>,
    /// The selected line of the open list, by identity.
    key: Option<Key>,
    /// The version that is chosen in the list of inconsistencies.
    version: Option<VersionId>,
    /// The machines that the open list of groups is about.
    machines: Vec<MemberId>,
    /// The key that opened the list: it never confirms what comes of it.
    opener: Option<Press>,
    asked: Option<Asked>,
    told: Option<Arc<staging::Told>>,
}

impl App {
    /// The index of the settings on screen; `None` until a peer has told them.
    #[must_use]
    pub fn book(&self) -> Option<&Arc<Book>> {
        let tree = &self.cluster()?.settings.as_ref()?.tree;
        self.desk.book.as_ref().filter(|b| b.is_of(tree))
    }

    /// What is known of features.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        static NONE: LazyLock<Catalogue> = LazyLock::new(Catalogue::default);
        self.book().map_or(&*NONE, |b| b.catalogue())
    }

    /// The settings on screen.
    pub(super) fn tree(&self) -> Option<&Arc<Tree>> {
        self.book().map(|b| b.tree())
    }

    /// The pane that has the keys.
    #[must_use]
    pub fn pane(&self) -> Pane {
        self.desk.place.pane
    }

    /// The selected mode.
    #[must_use]
    pub fn mode(&self) -> ModeId {
        self.desk.place.mode.clone().unwrap_or(ModeId::Cluster)
    }

    /// The selected feature.
    #[must_use]
    pub fn feature(&self) -> Option<&FeatureName> {
        self.desk.place.feature.as_ref()
    }

    /// The mode beside the selected one, when two are compared.
    #[must_use]
    pub fn beside(&self) -> Option<&ModeId> {
        self.desk.place.beside.as_ref()
    }

    /// The order of the features.
    #[must_use]
    pub fn feature_order(&self) -> FeatureOrder {
        self.desk.place.order
    }

    /// First line of the value that is shown.
    #[must_use]
    pub fn value_top(&self) -> usize {
        self.desk.place.top
    }

    /// What is staged for the cluster on screen.
    #[must_use]
    pub fn stage(&self) -> Option<&Stage> {
        let id = &self.tree()?.cluster_id;
        self.desk.stages.get(id).filter(|s| !s.is_empty())
    }

    /// How many changes are staged for the cluster on screen.
    #[must_use]
    pub fn staged_count(&self) -> usize {
        self.stage().map_or(0, Stage::len)
    }

    /// The versions that were asked for.
    #[must_use]
    pub fn asked(&self) -> Option<&Asked> {
        self.desk.asked.as_ref()
    }

    /// How the feature stands at the mode on screen.
    #[must_use]
    pub fn shown(&self, mode: &ModeId, feature: &FeatureName) -> Option<Shown> {
        self.tree().map(|t| Shown::of(t, self.catalogue(), mode, feature))
    }

    /// The features that pass the filter, in their order: places in [`Book::features`].
    #[must_use]
    pub fn feature_places(&self) -> Vec<usize> {
        let Some(book) = self.book() else { return Vec::new() };
        let mode = self.mode();
        let state = &self.filters[super::SETTINGS_SLOT];
        let filter = &state.filter;
        let all = book.features();
        let mut places: Vec<usize> = (0..all.len()).collect();
        if !filter.is_empty() {
            places.retain(|at| {
                let feature = &all[*at];
                let shown = Shown::of(book.tree(), self.catalogue(), &mode, feature);
                let mut states = vec![shown.standing.word()];
                if shown.is_conflict() {
                    states.push("conflict");
                }
                if self.staged_at(&mode, feature).is_some() {
                    states.push("staged");
                }
                if book.defined_below(&mode, feature) > 0 {
                    states.push("overridden");
                }
                let title = self.catalogue().title(feature);
                let text = [feature.as_str(), title.as_str()];
                filter.fits(&Facts { states: &states, text: &text, ..Facts::default() })
            });
        }
        if let Some(other) = self.beside() {
            let differs = |at: &usize| {
                let of = |mode| Shown::of(book.tree(), self.catalogue(), mode, &all[*at]);
                !of(&mode).says_as(&of(other))
            };
            places.sort_by_cached_key(|at| !differs(at));
            return places;
        }
        match self.feature_order() {
            FeatureOrder::Name => {}
            FeatureOrder::State => places.sort_by_cached_key(|at| {
                let shown = Shown::of(book.tree(), self.catalogue(), &mode, &all[*at]);
                (!shown.is_conflict(), shown.standing.rank())
            }),
            FeatureOrder::Overridden => {
                places.sort_by_cached_key(|at| std::cmp::Reverse(book.defined_below(&mode, &all[*at])));
            }
        }
        places
    }

    /// What is staged for a feature at a mode.
    #[must_use]
    pub fn staged_at(&self, mode: &ModeId, feature: &FeatureName) -> Option<&Staged> {
        self.stage()?.get(&Key::Feature(mode.clone(), feature.clone()))
    }

    /// Makes the index of a new tree, and keeps selections on what is there.
    pub(super) fn settle_settings(&mut self) {
        let told =
            self.cluster().and_then(|c| Some((Arc::clone(&c.settings.as_ref()?.tree), Arc::clone(&c.catalogue))));
        let Some((tree, catalogue)) = told else {
            self.desk.book = None;
            return;
        };
        if !self.desk.book.as_ref().is_some_and(|b| b.is_of(&tree)) {
            self.desk.book = Some(Arc::new(Book::new(&tree, catalogue)));
        }
        let Some(book) = self.desk.book.clone() else { return };
        let place = &mut self.desk.place;
        let mode = place.mode.as_ref().and_then(|m| book.place(m));
        let at = mode.unwrap_or(place.mode_at.min(book.modes().len().saturating_sub(1)));
        place.mode_at = at;
        place.mode = book.modes().get(at).map(|m| m.id.clone());
        if place.beside.as_ref().is_some_and(|m| book.place(m).is_none()) {
            place.beside = None;
        }
        let places = self.feature_places();
        let features = book.features();
        let place = &mut self.desk.place;
        let found = place.feature.as_ref().and_then(|f| places.iter().position(|at| features[*at] == *f));
        let at = found.unwrap_or(place.feature_at.min(places.len().saturating_sub(1)));
        place.feature_at = at;
        place.feature = places.get(at).map(|at| features[*at].clone());
        self.settle_list();
    }

    /// The open list stays on what was selected, and what the review tells is of the present tree and stage.
    fn settle_list(&mut self) {
        let Some(kind) = self.panel().map(|p| p.kind) else { return };
        match kind {
            PanelKind::Changes => self.tell(),
            PanelKind::Conflicts => {}
            PanelKind::Pick(_)
            | PanelKind::Versions
            | PanelKind::Overview
            | PanelKind::Log
            | PanelKind::Notices
            | PanelKind::Sessions
            | PanelKind::Columns
            | PanelKind::Silences
            | PanelKind::Recent => return,
        }
        let Some(panel) = self.panel() else { return };
        let keys = self.list_keys(kind, panel.query.as_str());
        let found = self.desk.key.as_ref().and_then(|k| keys.iter().position(|key| key == k));
        let at = found.unwrap_or_else(|| panel.place(keys.len()));
        self.desk.key = keys.get(at).cloned();
        if let Some(Overlay::Panel(panel)) = &mut self.overlay {
            panel.at = Some(at);
        }
    }
}
