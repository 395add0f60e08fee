//! Lists of the Settings view: what is staged, inconsistencies, versions of a setting, modes and groups to pick from.

use crate::app::App;
use crate::app::filter::contains;
use crate::app::panel::PanelKind;
use crate::domain::settings::words::called;
use crate::domain::settings::{Entry, Key, Level, ModeId, Past, Target, VersionId};

/// What is picked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PickFor {
    /// The mode beside the selected one.
    SideBySide,
    /// Where a value goes as well.
    Copy,
    /// Where a value goes instead.
    Move,
    /// The group that machines go to.
    Setgroup,
    /// The group that the machines of a deleted one go to.
    Deletegroup,
}

/// One that can be picked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pick {
    /// What.
    pub target: Target,
    /// Its name.
    pub name: String,
    /// Its place among the modes, for what is told beside it.
    pub place: Option<usize>,
}

impl App {
    /// The registers of a list whose names contain `query`.
    #[must_use]
    pub fn list_keys(&self, kind: PanelKind, query: &str) -> Vec<Key> {
        let low = query.trim().to_lowercase();
        let Some(book) = self.book() else { return Vec::new() };
        let fits = |key: &&Key| low.is_empty() || contains(&called(book.tree(), key), &low);
        match kind {
            PanelKind::Changes => {
                let stage = self.stage().into_iter();
                stage.flat_map(|s| s.iter().map(|(key, _)| key)).filter(fits).cloned().collect()
            }
            PanelKind::Conflicts => book.conflicts().iter().map(|(key, _)| key).filter(fits).cloned().collect(),
            PanelKind::Pick(_)
            | PanelKind::Versions
            | PanelKind::Overview
            | PanelKind::Log
            | PanelKind::Notices
            | PanelKind::Sessions
            | PanelKind::Columns
            | PanelKind::Silences
            | PanelKind::Recent => Vec::new(),
        }
    }

    /// The selected register of the open list.
    #[must_use]
    pub fn list_key(&self) -> Option<&Key> {
        self.desk.key.as_ref()
    }

    /// The selected inconsistency.
    #[must_use]
    pub fn conflict(&self) -> Option<(&Key, &Entry)> {
        let key = self.list_key()?;
        self.book()?.conflicts().iter().find(|(k, _)| k == key).map(|(k, e)| (k, e))
    }

    /// The place of the chosen version of the selected inconsistency: the effective one until another is chosen.
    #[must_use]
    pub fn chosen_version(&self) -> usize {
        let versions = self.conflict().map_or(&[][..], |(_, e)| e.versions());
        let chosen: Option<&VersionId> = self.desk.version.as_ref();
        chosen.and_then(|id| versions.iter().position(|v| v.id == *id)).unwrap_or(0)
    }

    /// To the next version of the selected inconsistency, or the one before.
    pub(in crate::app) fn step_version(&mut self, right: isize) {
        let at = self.chosen_version();
        let Some((_, entry)) = self.conflict() else { return };
        let last = entry.versions().len().saturating_sub(1);
        let at = at.saturating_add_signed(right).min(last);
        self.desk.version = entry.versions().get(at).map(|v| v.id.clone());
    }

    /// What can be picked and contains `query`, in the order of the tree.
    #[must_use]
    pub fn picks(&self, pick: PickFor, query: &str) -> Vec<Pick> {
        let Some(book) = self.book() else { return Vec::new() };
        let low = query.trim().to_lowercase();
        let here = self.mode();
        let mut picks = Vec::new();
        let all_groups = match pick {
            PickFor::Copy | PickFor::Move => true,
            PickFor::SideBySide | PickFor::Setgroup | PickFor::Deletegroup => false,
        };
        if all_groups && contains("all groups", &low) {
            picks.push(Pick { target: Target::AllGroups, name: "all groups".to_owned(), place: None });
        }
        for (place, line) in book.modes().iter().enumerate() {
            let wanted = match pick {
                PickFor::SideBySide | PickFor::Copy | PickFor::Move => line.id != here,
                PickFor::Setgroup => line.id.level() == Level::Group,
                PickFor::Deletegroup => line.id.level() == Level::Group && line.id != here,
            };
            let level: &str = line.id.level().into();
            if wanted && (contains(line.name.as_str(), &low) || contains(level, &low)) {
                picks.push(Pick { target: Target::Mode(line.id.clone()), name: line.full_name(), place: Some(place) });
            }
        }
        picks
    }

    /// The versions that were told of the register that was asked about, the newest first.
    #[must_use]
    pub fn past_lines(&self, query: &str) -> Vec<&Past> {
        let low = query.trim().to_lowercase();
        let past = self.asked().and_then(|a| a.past.as_ref()).and_then(|p| p.as_ref().ok());
        let fits =
            |p: &&Past| low.is_empty() || contains(p.version.by.as_str(), &low) || contains(p.comment.as_str(), &low);
        past.into_iter().flatten().filter(fits).collect()
    }

    /// How many machines are in a group.
    #[must_use]
    pub fn machines_in(&self, mode: &ModeId) -> usize {
        let ModeId::Group(id) = mode else { return 0 };
        self.book().map_or(0, |b| b.tree().structure().members.iter().filter(|m| m.group == *id).count())
    }

    /// What the list to pick from is about.
    #[must_use]
    pub fn pick_title(&self, pick: PickFor) -> String {
        let here = self.tree().map(|t| t.mode_name(&self.mode())).unwrap_or_default();
        let feature = self.feature().map_or("", |f| f.as_str());
        match pick {
            PickFor::SideBySide => format!("Which mode beside {here}?"),
            PickFor::Copy => format!("copy {feature} of {here} to"),
            PickFor::Move => format!("move {feature} from {here} to"),
            PickFor::Setgroup => format!("setgroup {} to", self.machine_names()),
            PickFor::Deletegroup => format!("deletegroup {here}: its machines go to"),
        }
    }

    /// The machines that the open list is about, in words.
    pub(super) fn machine_names(&self) -> String {
        let Some(tree) = self.tree() else { return String::new() };
        let hosts: Vec<String> = self.desk.machines.iter().map(|id| tree.host(id)).collect();
        match hosts.as_slice() {
            [one] => one.split('.').next().unwrap_or(one).to_owned(),
            several => format!("{} machines", several.len()),
        }
    }
}
