//! What the Settings view does: staging, which sends nothing, and commits, which are confirmed like every command.

use std::sync::Arc;

use super::draft;
use super::form::{Form, Purpose};
use super::lists::PickFor;
use super::{Asked, Pane, Stage, json};
use crate::app::acts::Targets;
use crate::app::keys::Key as Press;
use crate::app::panel::PanelKind;
use crate::app::{Action, App, Cmd, Overlay, Scope, plural};
use crate::domain::settings::{Edit, Key, ModeId, Past, Target, Value, rules, secrets};
use crate::domain::{ClusterName, FeatureName, GroupName, Line, Severity, Time};

/// Longest value that is lent to an editor, in bytes of its text.
const EDITOR_MAX: usize = 1 << 20;

/// Whether `action` commits, by itself or at its end.
#[must_use]
pub fn commits(action: Action) -> bool {
    matches!(
        action,
        Action::Commit
            | Action::Setgroup
            | Action::Resolve
            | Action::ResolveAll
            | Action::Addgroup
            | Action::Renamegroup
            | Action::Deletegroup
            | Action::Removemachine
            | Action::Setname
    )
}

/// Whether `action` stages something: a console that only looks has no use for it.
#[must_use]
pub fn stages(action: Action) -> bool {
    matches!(
        action,
        Action::Set
            | Action::Edit
            | Action::SetEmpty
            | Action::Unset
            | Action::Copy
            | Action::Move
            | Action::Review
            | Action::Discard
            | Action::KeepStaged
            | Action::Override
            | Action::ClearChanges
            | Action::AsJson
    )
}

impl App {
    /// Why an action of the Settings view does nothing now.
    #[must_use]
    pub fn settings_refusal(&self, action: Action) -> Option<String> {
        if (commits(action) || stages(action))
            && let Some(why) = self.hindrance()
        {
            return Some(why.to_owned());
        }
        let Some(cluster) = self.cluster() else { return Some("there is no cluster".to_owned()) };
        if let Err(why) = draft::tree_of(cluster) {
            return Some(why);
        }
        if commits(action)
            && let Err(why) = draft::author(cluster)
        {
            return Some(why);
        }
        let no_feature = || self.feature().is_none().then(|| "no feature is selected".to_owned());
        let at_mode = |wanted: &str, is: bool| (!is).then(|| format!("no {wanted} is selected among the modes"));
        let mode = self.mode();
        let no_stage = || self.stage().is_none().then(|| "nothing is staged".to_owned());
        match action {
            Action::Set | Action::Edit | Action::SetEmpty => {
                let tree = self.tree()?;
                let Some(feature) = self.feature() else { return no_feature() };
                rules::may_define(tree, self.catalogue(), &mode, feature).err().map(|why| why.to_string())
            }
            Action::History => no_feature(),
            Action::Unset | Action::Copy | Action::Move => {
                let Some(feature) = self.feature() else { return no_feature() };
                let shown = self.shown(&mode, feature)?;
                let is_staged = self.staged_at(&mode, feature).is_some();
                let is_here = self.tree()?.defined(&mode, feature).is_some() || shown.is_conflict();
                let useful = is_here || (is_staged && action == Action::Unset);
                (!useful).then(|| {
                    format!("{feature} is not set at {}", self.tree().map_or_else(String::new, |t| t.mode_name(&mode)))
                })
            }
            Action::Review | Action::ClearChanges | Action::Commit => no_stage(),
            Action::Discard | Action::KeepStaged => self.list_key().is_none().then(|| "nothing is staged".to_owned()),
            Action::Override => {
                let tree = self.tree()?;
                let moved = self.list_key().is_some_and(|key| self.stage().is_some_and(|s| s.is_moved(key, tree)));
                (!moved).then(|| "nobody has written it meanwhile".to_owned())
            }
            Action::Setgroup => match self.setgroup_targets() {
                Targets::Nobody => Some("no machine is selected".to_owned()),
                Targets::These(peers) => {
                    let members = self.members_of(&peers);
                    members.is_empty().then(|| "none of them is a member of the cluster".to_owned())
                }
                Targets::OneOf { .. } => None,
            },
            Action::Resolve | Action::ResolveAll => {
                self.book()?.conflicts().is_empty().then(|| "nothing is in conflict".to_owned())
            }
            Action::Renamegroup => at_mode("group", matches!(mode, ModeId::Group(_))),
            Action::Deletegroup => at_mode("group", matches!(mode, ModeId::Group(_))).or_else(|| {
                let groups = self.tree()?.structure().groups.len();
                (groups < 2).then(|| "a cluster has at least one group".to_owned())
            }),
            Action::Removemachine => at_mode("machine", matches!(mode, ModeId::Machine(_))),
            _ => None,
        }
    }

    /// Does an action of the Settings view.
    pub(in crate::app) fn act_in_settings(&mut self, action: Action, key: Option<Press>, now: Time) -> Vec<Cmd> {
        if let Some(why) = self.settings_refusal(action) {
            self.toast(why, Severity::Warning, now);
            return Vec::new();
        }
        self.desk.opener = key;
        match action {
            Action::NextPane => self.turn_pane(true, true),
            Action::PreviousPane => self.turn_pane(false, true),
            Action::Set => self.open_value_form(now),
            Action::Edit => return self.lend_to_editor(now),
            Action::SetEmpty => self.set_empty(now),
            Action::Unset => self.unset(now),
            Action::Copy => self.open_panel(PanelKind::Pick(PickFor::Copy), now),
            Action::Move => self.open_panel(PanelKind::Pick(PickFor::Move), now),
            Action::SideBySide if self.beside().is_some() => self.desk.place.beside = None,
            Action::SideBySide => self.open_panel(PanelKind::Pick(PickFor::SideBySide), now),
            Action::History => return self.ask_history(now),
            Action::Review => self.review(now),
            Action::Discard => self.with_selected_change(|stage, key, _| stage.discard(key), now),
            Action::KeepStaged => self.with_selected_change(|stage, key, _| stage.keep_back(key), now),
            Action::Override => self.with_selected_change(Stage::override_with, now),
            Action::ClearChanges => self.clear_changes(now),
            Action::Commit => return self.commit_stage(key, now),
            Action::Setgroup => self.begin_setgroup(key, now),
            Action::Resolve if self.scope() == Scope::Conflicts => return self.resolve_chosen(key, now),
            Action::Resolve => self.open_conflicts(now),
            Action::ResolveAll => return self.resolve_all(key, now),
            Action::Addgroup => self.open_name_form(Purpose::Addgroup, "addgroup: a new group", "", now),
            Action::Renamegroup => {
                if let ModeId::Group(id) = self.mode() {
                    let name = self.tree().and_then(|t| t.structure().group(&id).cloned());
                    let name = name.map_or_else(String::new, |n| n.to_string());
                    self.open_name_form(Purpose::Renamegroup(id), &format!("renamegroup {name} to"), &name, now);
                }
            }
            Action::Setname => {
                let name = self.tree().map(|t| t.structure().name.to_string()).unwrap_or_default();
                self.open_name_form(Purpose::Setname, "setname: the cluster is called", &name, now);
            }
            Action::Deletegroup => self.open_panel(PanelKind::Pick(PickFor::Deletegroup), now),
            Action::Removemachine => return self.remove_machine(key, now),
            Action::AsJson => {
                if let Some(Overlay::Form(form)) = &mut self.overlay
                    && let Err(why) = form.turn()
                {
                    form.told = why;
                }
            }
            _ => {}
        }
        Vec::new()
    }

    // ---- staging -------------------------------------------------------------------------------------------------

    /// Stages a change and says so.
    pub(super) fn put(&mut self, edits: Vec<Edit>, now: Time) {
        let Some(tree) = self.tree().cloned() else { return };
        let stage = self.desk.stages.entry(tree.cluster_id.clone()).or_default();
        let n = edits.len();
        let what = edits.first().map_or_else(String::new, |edit| words(&tree, edit));
        for edit in edits {
            stage.put(edit, &tree);
        }
        let all = stage.len();
        let text = match (n, all) {
            (_, 0) => format!("{what}: it says so already, nothing is staged"),
            (1, _) => format!("staged: {what}; {all} in all, nothing is sent yet"),
            _ => format!("staged: {what} and {} more; {all} in all, nothing is sent yet", n - 1),
        };
        self.toast(text, Severity::Notice, now);
    }

    fn set_empty(&mut self, now: Time) {
        let (mode, Some(feature)) = (self.mode(), self.feature().cloned()) else { return };
        let shown = self.shown(&mode, &feature);
        // Empty in the form that the feature has.
        let value = match shown.and_then(|s| s.value).as_deref() {
            Some(Value::List(_)) => Value::List(Vec::new()),
            Some(Value::Text(_)) => Value::text(""),
            Some(Value::Table(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => Value::table([]),
        };
        self.put(vec![Edit::Set { mode, feature, value: Arc::new(value) }], now);
    }

    fn unset(&mut self, now: Time) {
        let (mode, Some(feature)) = (self.mode(), self.feature().cloned()) else { return };
        let key = Key::Feature(mode.clone(), feature.clone());
        let is_here = self.tree().is_some_and(|t| t.defined(&mode, &feature).is_some());
        if !is_here && self.staged_at(&mode, &feature).is_some() {
            // What was only staged is unset by taking it out.
            self.with_stage(|stage| stage.discard(&key));
            self.toast(format!("{feature}: no longer staged"), Severity::Notice, now);
            return;
        }
        self.put(vec![Edit::Unset { mode, feature }], now);
    }

    fn with_stage(&mut self, change: impl FnOnce(&mut Stage)) {
        let Some(id) = self.tree().map(|t| t.cluster_id.clone()) else { return };
        if let Some(stage) = self.desk.stages.get_mut(&id) {
            change(stage);
        }
    }

    fn with_selected_change(
        &mut self,
        change: impl FnOnce(&mut Stage, &Key, &crate::domain::settings::Tree),
        now: Time,
    ) {
        let (Some(key), Some(tree)) = (self.list_key().cloned(), self.tree().cloned()) else { return };
        self.with_stage(|stage| change(stage, &key, &tree));
        if self.stage().is_none() {
            self.close_overlay();
            self.toast("nothing is staged any more".to_owned(), Severity::Notice, now);
        }
    }

    fn clear_changes(&mut self, now: Time) {
        let n = self.staged_count();
        self.with_stage(Stage::clear);
        if self.scope() == Scope::Changes {
            self.close_overlay();
        }
        self.toast(format!("{n} staged {} dropped, on all levels", plural(n, "change")), Severity::Notice, now);
    }

    /// What a form or an editor starts from: what is staged, else what applies.
    fn value_to_edit(&self, mode: &ModeId, feature: &FeatureName) -> Option<Arc<Value>> {
        match self.staged_at(mode, feature).map(|s| &s.edit) {
            Some(Edit::Set { value, .. }) => Some(Arc::clone(value)),
            Some(_) | None => self.shown(mode, feature).and_then(|s| s.value),
        }
    }

    /// What was typed with its secrets hidden: a mark stands for what the form or the editor started from.
    fn hidden(&self, mode: &ModeId, feature: &FeatureName, value: Value) -> Result<Arc<Value>, String> {
        let old = self.value_to_edit(mode, feature);
        secrets::hide_in(self.catalogue(), feature, &Arc::new(value), old.as_deref()).map_err(|why| why.to_string())
    }

    fn open_value_form(&mut self, now: Time) {
        let (mode, Some(feature), Some(tree)) = (self.mode(), self.feature().cloned(), self.tree().cloned()) else {
            return;
        };
        let value = self.value_to_edit(&mode, &feature);
        if value.as_ref().is_some_and(|v| v.bytes() > super::form::FORM_MAX) {
            let text = format!("{feature} is too long for a form: edit it in $EDITOR");
            self.toast(text, Severity::Warning, now);
            return;
        }
        let title = format!("set {feature} at {}", tree.mode_name(&mode));
        let purpose = Purpose::Value { mode, feature };
        let mut form = Form::of_value(tree.cluster_id.clone(), purpose, title, value.as_deref());
        form.opener = self.desk.opener;
        self.open_over(Overlay::Form(Box::new(form)), now);
    }

    fn open_name_form(&mut self, purpose: Purpose, title: &str, name: &str, now: Time) {
        let Some(tree) = self.tree() else { return };
        let form = Form::of_name(tree.cluster_id.clone(), purpose, title.to_owned(), name);
        self.open_over(Overlay::Form(Box::new(form)), now);
    }

    /// Enter in a form.
    pub(in crate::app) fn take_form(&mut self, now: Time) -> Vec<Cmd> {
        if let Some(cmds) = self.take_alarm_form(now) {
            return cmds;
        }
        let Some(Overlay::Form(form)) = &self.overlay else { return Vec::new() };
        let form = form.clone();
        if self.tree().is_none_or(|t| t.cluster_id != form.cluster) {
            self.tell_form("this is another cluster than the form was opened for");
            return Vec::new();
        }
        let edit = match &form.purpose {
            Purpose::Value { mode, feature } => {
                let taken = form.value().and_then(|value| {
                    rules::check_value(feature, &value).map_err(|why| why.to_string())?;
                    self.hidden(mode, feature, value)
                });
                match taken {
                    Ok(value) => {
                        self.close_overlay();
                        let (mode, feature) = (mode.clone(), feature.clone());
                        self.put(vec![Edit::Set { mode, feature, value }], now);
                    }
                    Err(why) => self.tell_form(&why),
                }
                return Vec::new();
            }
            Purpose::Addgroup => Edit::AddGroup { name: GroupName::new(form.name()) },
            Purpose::Renamegroup(group) => {
                Edit::RenameGroup { group: group.clone(), name: GroupName::new(form.name()) }
            }
            Purpose::Setname => Edit::SetName { name: Line::new(form.name()) },
            Purpose::Acknowledge(_) | Purpose::Silence(_) => return Vec::new(),
        };
        let action = match &form.purpose {
            Purpose::Addgroup => Action::Addgroup,
            Purpose::Renamegroup(_) => Action::Renamegroup,
            Purpose::Setname | Purpose::Value { .. } | Purpose::Acknowledge(_) | Purpose::Silence(_) => Action::Setname,
        };
        let about = form.name().to_owned();
        match self.draft(action, about, vec![edit], Vec::new()) {
            Ok(draft) => match self.commit_at_once(draft, now) {
                Ok(cmds) => cmds,
                Err(why) => {
                    self.tell_form(&why);
                    Vec::new()
                }
            },
            Err(why) => {
                self.tell_form(&why);
                Vec::new()
            }
        }
    }

    fn tell_form(&mut self, why: &str) {
        if let Some(Overlay::Form(form)) = &mut self.overlay {
            why.clone_into(&mut form.told);
        }
    }

    fn lend_to_editor(&mut self, now: Time) -> Vec<Cmd> {
        let (mode, Some(feature)) = (self.mode(), self.feature().cloned()) else { return Vec::new() };
        let Some(tree) = self.tree() else { return Vec::new() };
        let cluster = tree.cluster_id.clone();
        let value = self.value_to_edit(&mode, &feature);
        let mut text = value.map_or_else(|| "{}".to_owned(), |v| json::pretty(&v));
        text.push('\n');
        if text.len() > EDITOR_MAX {
            self.toast(format!("{feature} is too long to be edited"), Severity::Warning, now);
            return Vec::new();
        }
        vec![Cmd::Edit { cluster, mode, feature, text }]
    }

    /// An editor ended.
    pub(in crate::app) fn edited(
        &mut self,
        cluster: &Line,
        mode: ModeId,
        feature: FeatureName,
        text: Result<Option<String>, String>,
        now: Time,
    ) {
        let text = match text {
            Ok(Some(text)) => text,
            Ok(None) => {
                self.toast(format!("{feature}: nothing was changed in the editor"), Severity::Notice, now);
                return;
            }
            Err(why) => {
                self.toast(format!("{feature}: {why}"), Severity::Warning, now);
                return;
            }
        };
        if self.tree().is_none_or(|t| t.cluster_id != *cluster) {
            let why =
                format!("{feature}: the cluster that it was edited for is not on screen any more; nothing is staged");
            self.toast(why, Severity::Warning, now);
            return;
        }
        let taken = json::parse(&text).and_then(|value| {
            rules::check_value(&feature, &value).map_err(|why| why.to_string())?;
            self.hidden(&mode, &feature, value)
        });
        match taken {
            Ok(value) => self.put(vec![Edit::Set { mode, feature, value }], now),
            Err(why) => {
                // Nothing that was typed is lost.
                let title =
                    format!("set {feature} at {}", self.tree().map_or_else(String::new, |t| t.mode_name(&mode)));
                let purpose = Purpose::Value { mode, feature };
                let form = Form::of_text(cluster.clone(), purpose, title, &text, why);
                self.open_over(Overlay::Form(Box::new(form)), now);
            }
        }
    }

    // ---- history -------------------------------------------------------------------------------------------------

    fn ask_history(&mut self, now: Time) -> Vec<Cmd> {
        let (Some(cluster), Some(feature)) = (self.cluster(), self.feature()) else { return Vec::new() };
        let key = Key::Feature(self.mode(), feature.clone());
        let cluster = cluster.name.clone();
        self.desk.asked = Some(Asked { cluster: cluster.clone(), key: key.clone(), past: None });
        self.open_panel(PanelKind::Versions, now);
        vec![Cmd::History { cluster, key }]
    }

    /// What was told of a register's past.
    pub(in crate::app) fn history_came(&mut self, cluster: &ClusterName, key: &Key, past: Result<Vec<Past>, Line>) {
        if let Some(asked) = &mut self.desk.asked
            && asked.cluster == *cluster
            && asked.key == *key
        {
            asked.past = Some(past);
        }
    }

    // ---- picking -------------------------------------------------------------------------------------------------

    /// Enter in a list to pick from.
    pub(in crate::app) fn picked(&mut self, pick: PickFor, now: Time) -> Vec<Cmd> {
        let Some(panel) = self.panel() else { return Vec::new() };
        let picks = self.picks(pick, panel.query.as_str());
        let Some(target) = picks.get(panel.place(picks.len())).map(|p| p.target.clone()) else { return Vec::new() };
        let key = self.desk.opener;
        self.close_overlay();
        let (mode, feature) = (self.mode(), self.feature().cloned());
        match (pick, target) {
            (PickFor::SideBySide, Target::Mode(other)) => {
                self.desk.place.beside = Some(other);
                // To the first that differs.
                self.desk.place.feature = None;
                self.desk.place.feature_at = 0;
                self.desk.place.pane = Pane::Features;
            }
            (PickFor::Copy | PickFor::Move, target) => {
                let (Some(tree), Some(feature)) = (self.tree().cloned(), feature) else { return Vec::new() };
                let make = if pick == PickFor::Copy { rules::copy } else { rules::shift };
                match make(&tree, self.catalogue(), &feature, &mode, &target) {
                    Ok(edits) => self.put(edits, now),
                    Err(why) => self.toast(why.to_string(), Severity::Warning, now),
                }
            }
            (PickFor::Setgroup, Target::Mode(ModeId::Group(group))) => {
                let machines = std::mem::take(&mut self.desk.machines);
                let edits = machines.iter().map(|m| Edit::SetGroup { machine: m.clone(), group: group.clone() });
                let name = self.tree().and_then(|t| t.structure().group(&group).cloned());
                let name = name.map_or_else(|| group.to_string(), |n| n.to_string());
                let what = self.names_of(&machines);
                let peers = self.peers_of(&machines);
                let draft = self.draft(Action::Setgroup, format!("{what} to {name}"), edits.collect(), peers);
                return self.ask_draft(draft, key, now);
            }
            (PickFor::Deletegroup, Target::Mode(ModeId::Group(into))) => {
                let ModeId::Group(group) = mode else { return Vec::new() };
                let names = self
                    .tree()
                    .map(|t| (t.mode_name(&ModeId::Group(group.clone())), t.mode_name(&ModeId::Group(into.clone()))));
                let (name, heir) = names.unwrap_or_default();
                let inside = self.tree().map(|t| {
                    t.structure().members.iter().filter(|m| m.group == group).map(|m| m.machine.id.clone()).collect()
                });
                let edit = Edit::DeleteGroup { group, into };
                let about = format!("{name}, its machines to {heir}");
                let draft = self.draft(Action::Deletegroup, about, vec![edit], inside.unwrap_or_default());
                return self.ask_draft(draft, key, now);
            }
            (PickFor::SideBySide | PickFor::Setgroup | PickFor::Deletegroup, _) => {}
        }
        Vec::new()
    }
}

/// An edit in words.
fn words(tree: &crate::domain::settings::Tree, edit: &Edit) -> String {
    match edit {
        Edit::Set { mode, feature, value } if value.is_empty() => {
            format!("{feature} empty at {}", tree.mode_name(mode))
        }
        Edit::Set { mode, feature, .. } => format!("{feature} at {}", tree.mode_name(mode)),
        Edit::Unset { mode, feature } => format!("{feature} inherits again at {}", tree.mode_name(mode)),
        Edit::Resolve { .. }
        | Edit::Create { .. }
        | Edit::SetName { .. }
        | Edit::AddGroup { .. }
        | Edit::RenameGroup { .. }
        | Edit::DeleteGroup { .. }
        | Edit::SetGroup { .. }
        | Edit::RemoveMachine { .. }
        | Edit::SetHost { .. } => edit.word().to_owned(),
    }
}
