//! Commits from the Settings view: of the stage, of machines and groups, of conflicts. Each is confirmed as its class
//! asks.

use super::draft::{self, Draft};
use super::lists::PickFor;
use crate::app::acts::Targets;
use crate::app::keys::Key as Press;
use crate::app::panel::PanelKind;
use crate::app::{Action, App, Cmd, Scope, View, plural};
use crate::domain::settings::words::called;
use crate::domain::settings::{Edit, Key, ModeId, Tree, Version};
use crate::domain::{MemberId, PeerId, Severity, Time};

impl App {
    pub(super) fn draft(
        &self,
        action: Action,
        about: String,
        edits: Vec<Edit>,
        machines: Vec<PeerId>,
    ) -> Result<Draft, String> {
        let cluster = self.cluster().ok_or("there is no cluster")?;
        Ok(Draft {
            word: action.name(),
            typed: about.clone(),
            about,
            edits: edits.into(),
            machines,
            staged: None,
            on: draft::author(cluster)?,
        })
    }

    pub(super) fn ask_draft(&mut self, draft: Result<Draft, String>, key: Option<Press>, now: Time) -> Vec<Cmd> {
        match draft {
            Ok(draft) => self.ask_commit(draft, key, now),
            Err(why) => {
                self.toast(why, Severity::Warning, now);
                Vec::new()
            }
        }
    }

    pub(super) fn review(&mut self, now: Time) {
        self.desk.key = None;
        self.open_panel(PanelKind::Changes, now);
        self.tell();
    }

    pub(super) fn commit_stage(&mut self, key: Option<Press>, now: Time) -> Vec<Cmd> {
        let (Some(stage), Some(tree)) = (self.stage(), self.tree()) else { return Vec::new() };
        let (edits, seen) = (stage.edits(), stage.seen());
        let undecided = stage.undecided(tree);
        let n = edits.len();
        if let Some(first) = undecided.first().cloned() {
            let text = format!(
                "{} written by somebody else meanwhile: discard, keep staged or override",
                if undecided.len() == 1 {
                    "one change was".to_owned()
                } else {
                    format!("{} changes were", undecided.len())
                }
            );
            if self.scope() != Scope::Changes {
                self.review(now);
            }
            self.desk.key = Some(first);
            self.toast(text, Severity::Warning, now);
            return Vec::new();
        }
        if edits.is_empty() {
            self.toast("all that is staged is kept back or on its way".to_owned(), Severity::Warning, now);
            return Vec::new();
        }
        let draft = self.draft(Action::Commit, format!("{n} {}", plural(n, "change")), edits, Vec::new());
        let draft = draft.map(|d| Draft { staged: Some(seen), ..d });
        self.ask_draft(draft, key, now)
    }

    /// Which machines setgroup is about: in Settings the selected one, unless some are marked.
    pub(super) fn setgroup_targets(&self) -> Targets {
        if self.marks.is_empty() && self.view == View::Settings {
            let ModeId::Machine(id) = self.mode() else { return Targets::Nobody };
            return Targets::These(self.peers_of(&[id]));
        }
        self.targets()
    }

    pub(super) fn begin_setgroup(&mut self, key: Option<Press>, now: Time) {
        match self.setgroup_targets() {
            Targets::Nobody => {}
            Targets::These(peers) => self.pick_group(&peers, now),
            Targets::OneOf { observer, observed } => self.ask_which(Action::Setgroup, [observer, observed], key),
        }
    }

    /// Which group shall these go to?
    pub(in crate::app) fn pick_group(&mut self, peers: &[PeerId], now: Time) {
        self.desk.machines = self.members_of(peers);
        if self.desk.machines.is_empty() {
            self.toast("none of them is a member of the cluster".to_owned(), Severity::Warning, now);
            return;
        }
        self.open_panel(PanelKind::Pick(PickFor::Setgroup), now);
    }

    pub(super) fn members_of(&self, peers: &[PeerId]) -> Vec<MemberId> {
        let Some(tree) = self.tree() else { return Vec::new() };
        peers.iter().filter_map(|p| tree.structure().member_of(p)).map(|m| m.id.clone()).collect()
    }

    pub(super) fn peers_of(&self, members: &[MemberId]) -> Vec<PeerId> {
        let Some(tree) = self.tree() else { return Vec::new() };
        members.iter().filter_map(|m| tree.structure().member(m)).map(|m| m.machine.id.clone()).collect()
    }

    pub(super) fn names_of(&self, members: &[MemberId]) -> String {
        let Some(cluster) = self.cluster() else { return String::new() };
        let peers = self.peers_of(members);
        match peers.len() {
            n if n > 4 => format!("{n} machines"),
            _ => peers.iter().map(|p| cluster.label(p)).collect::<Vec<_>>().join(", "),
        }
    }

    pub(super) fn remove_machine(&mut self, key: Option<Press>, now: Time) -> Vec<Cmd> {
        let ModeId::Machine(machine) = self.mode() else { return Vec::new() };
        let name = self.names_of(std::slice::from_ref(&machine));
        let peers = self.peers_of(std::slice::from_ref(&machine));
        let draft = self.draft(Action::Removemachine, name, vec![Edit::RemoveMachine { machine }], peers);
        self.ask_draft(draft, key, now)
    }

    pub(super) fn open_conflicts(&mut self, now: Time) {
        let here = self.feature().map(|f| Key::Feature(self.mode(), f.clone()));
        let conflicts = self.book().map(|b| b.conflicts().to_vec()).unwrap_or_default();
        let first = conflicts.iter().find(|(k, _)| self.view == View::Settings && Some(k) == here.as_ref());
        self.desk.key = first.or_else(|| conflicts.first()).map(|(k, _)| k.clone());
        self.desk.version = None;
        self.open_panel(PanelKind::Conflicts, now);
    }

    pub(in crate::app) fn resolve_chosen(&mut self, key: Option<Press>, now: Time) -> Vec<Cmd> {
        let at = self.chosen_version();
        let Some((register, version)) =
            self.conflict().and_then(|(k, e)| Some((k.clone(), e.versions().get(at)?.clone())))
        else {
            return Vec::new();
        };
        let Some(tree) = self.tree().cloned() else { return Vec::new() };
        let about = format!("{} as {}", called(&tree, &register), by(&tree, &version));
        let typed = match &register {
            Key::Feature(_, feature) => feature.to_string(),
            Key::ClusterName | Key::Addressing => "cluster".to_owned(),
            Key::GroupName(_) | Key::GroupDeleted(_) => "group".to_owned(),
            Key::MachineIdentity(_) | Key::MachineGroup(_) | Key::MachineRemoved(_) | Key::SecretKey(..) => {
                "machine".to_owned()
            }
        };
        let edit = Edit::Resolve { key: register, version: version.id.clone() };
        let draft = self.draft(Action::Resolve, about, vec![edit], Vec::new()).map(|d| Draft { typed, ..d });
        self.ask_draft(draft, key, now)
    }

    /// All inconsistencies of which the machine of the chosen version has written one.
    pub(super) fn resolve_all(&mut self, key: Option<Press>, now: Time) -> Vec<Cmd> {
        let at = self.chosen_version();
        let machine = self.conflict().and_then(|(_, e)| e.versions().get(at)).map(|v| v.stamp.on.clone());
        let (Some(machine), Some(book), Some(tree)) = (machine, self.book().cloned(), self.tree().cloned()) else {
            return Vec::new();
        };
        // The newest of its versions stands first.
        let edits: Vec<Edit> = book
            .conflicts()
            .iter()
            .filter_map(|(k, e)| {
                let version = e.versions().iter().find(|v| v.stamp.on == machine)?;
                Some(Edit::Resolve { key: k.clone(), version: version.id.clone() })
            })
            .collect();
        let n = edits.len();
        let about = format!("{n} {} as {} has them", plural(n, "setting"), tree.host(&machine));
        let draft = self.draft(Action::ResolveAll, about, edits, Vec::new());
        self.ask_draft(draft.map(|d| Draft { typed: n.to_string(), ..d }), key, now)
    }
}

/// Who wrote a version, and where.
#[must_use]
pub fn by(tree: &Tree, version: &Version) -> String {
    let host = tree.host(&version.stamp.on);
    let host = host.split('.').next().unwrap_or(&host);
    let who = if version.by.is_empty() { "somebody" } else { version.by.as_str() };
    format!("{who} on {host} wrote it")
}
