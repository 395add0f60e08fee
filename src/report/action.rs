//! Plans and what came of them: the one-shot actions' documents and texts, and the parts of the audit log.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::edits::{self, EditDoc};
use super::inconsistencies::{self, InconsistencyDoc, VersionDoc};
use super::table::{Style, Tone, paint};
use super::{count, host, rfc3339};
use crate::domain::command::{Command, Outcome, OutcomeState};
use crate::domain::plan::{Basis, DangerClass, Plan};
use crate::domain::settings::{Key, Tree, VersionId};
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;

/// Changes of a commit that a person is shown.
const CHANGES_MAX: usize = 12;

/// `peerdeck.action/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ActionDoc {
    schema: &'static str,
    plans: Vec<StepDoc>,
    /// The only plan and its outcome once more, so that a script for one peer need not look into a list.
    #[serde(flatten)]
    only: Option<StepDoc>,
    /// Of a commit that was refused because somebody else changed the same: both sides (C23).
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<Vec<ConflictDoc>>,
}

/// One register that was changed by somebody else between the look and the commit.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConflictDoc {
    /// What stands there now.
    #[serde(flatten)]
    now: InconsistencyDoc,
    /// What the plan was based on.
    based_on: Vec<VersionDoc>,
}

impl ConflictDoc {
    /// For the register `key`: `then` is the tree that was looked at, `now` the one that is.
    #[must_use]
    pub fn new(cluster: &Cluster, then: &Tree, now: &Tree, key: &Key) -> Self {
        let before = then.entry(key).map_or(&[][..], |e| e.versions());
        Self {
            now: inconsistencies::of_register(cluster.name.as_str(), now, key),
            based_on: before.iter().enumerate().map(|(n, v)| VersionDoc::new(then, v, n == 0)).collect(),
        }
    }
}

impl ActionDoc {
    /// With both sides of what has moved.
    #[must_use]
    pub fn with_conflict(self, conflict: Vec<ConflictDoc>) -> Self {
        Self { conflict: (!conflict.is_empty()).then_some(conflict), ..self }
    }
}

/// One plan and what came of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StepDoc {
    plan: PlanDoc,
    /// `None` in a dry run.
    outcome: Option<OutcomeDoc>,
}

/// A plan as a document.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PlanDoc {
    cluster: String,
    command: &'static str,
    peer: String,
    serial: Option<String>,
    class: &'static str,
    reason: Option<String>,
    /// For how long, seconds; only of maintenance.
    lasting_s: Option<u64>,
    /// What a commit changes; null for what is no commit.
    changes: Option<Vec<EditDoc>>,
    evidence: Vec<String>,
    effects: Vec<String>,
    obstacles: Vec<String>,
    basis: BasisDoc,
}

/// What a plan was decided on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BasisDoc {
    membership: Option<u64>,
    detached: bool,
    maintenance: bool,
    /// Fellow to whether the target was connected to it.
    links: BTreeMap<String, bool>,
    /// Of an HA command: the target's effective role and epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    ha: Option<(&'static str, u64)>,
    /// Of a commit: register to the versions that were seen there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    settings: BTreeMap<String, Vec<String>>,
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OutcomeDoc {
    state: &'static str,
    /// When this was known.
    at: Option<String>,
    /// When the new state was observed; `None` when it was not.
    observed_at: Option<String>,
    detail: String,
}

/// What came of one plan of several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Result {
    /// Nothing was tried: a dry run.
    None,
    /// This.
    Outcome(Outcome),
    /// It was never sent, for this reason.
    Skipped(Line),
}

impl BasisDoc {
    /// With the peers by their host names in `cluster`.
    #[must_use]
    pub fn new(cluster: &Cluster, basis: &Basis) -> Self {
        Self {
            membership: basis.membership,
            detached: basis.detached,
            maintenance: basis.maintenance,
            links: basis.links.iter().map(|(id, up)| (host(cluster, id), *up)).collect(),
            ha: basis.ha.map(|(role, epoch)| (role.as_str(), epoch)),
            settings: basis.settings.iter().map(|(key, ids)| (key.to_string(), versions(ids))).collect(),
        }
    }
}

impl From<&Outcome> for OutcomeDoc {
    fn from(outcome: &Outcome) -> Self {
        let at = rfc3339(outcome.at);
        Self {
            state: outcome.state.into(),
            observed_at: (outcome.state == OutcomeState::Observed).then(|| at.clone()),
            at: Some(at),
            detail: outcome.detail.to_string(),
        }
    }
}

impl PlanDoc {
    /// With the peers by their host names in `cluster`.
    #[must_use]
    pub fn new(cluster: &Cluster, plan: &Plan) -> Self {
        let texts = |lines: &[Line]| lines.iter().map(ToString::to_string).collect();
        let target = plan.command.target();
        Self {
            cluster: cluster.name.to_string(),
            command: plan.command.word(),
            peer: host(cluster, target),
            serial: (!target.is_unheard()).then(|| target.to_string()),
            class: plan.class().into(),
            reason: reason(&plan.command),
            lasting_s: lasting_s(&plan.command),
            changes: changes(cluster, &plan.command),
            evidence: texts(&plan.evidence),
            effects: texts(&plan.effects),
            obstacles: texts(&plan.obstacles),
            basis: BasisDoc::new(cluster, &plan.basis),
        }
    }
}

/// Why, if anything was said.
#[must_use]
pub fn reason(command: &Command) -> Option<String> {
    Some(command.reason()).filter(|r| !r.is_empty()).map(ToString::to_string)
}

fn versions(ids: &[VersionId]) -> Vec<String> {
    ids.iter().map(|id| id.as_str().to_owned()).collect()
}

/// What a commit changes; `None` for what is no commit.
#[must_use]
pub fn changes(cluster: &Cluster, command: &Command) -> Option<Vec<EditDoc>> {
    let Command::Commit { edits, .. } = command else { return None };
    let blank = Tree::default();
    let tree = cluster.settings.as_deref().map_or(&blank, |s| &*s.tree);
    Some(edits.iter().map(|edit| EditDoc::new(tree, edit)).collect())
}

/// `disconnect lab1.example.com`, `commit on lab1.example.com`.
fn what(cluster: &Cluster, command: &Command) -> String {
    let on = match command {
        Command::Commit { .. } => "on ",
        Command::Disconnect { .. }
        | Command::Reconnect { .. }
        | Command::MaintenanceOn { .. }
        | Command::MaintenanceOff { .. } => "",
        Command::Ha { .. } => "at ",
    };
    format!("{} {on}{}", command.word(), host(cluster, command.target()))
}

/// What a commit changes, a line each, as many as a person reads.
fn change_lines(cluster: &Cluster, command: &Command) -> Vec<String> {
    let (Command::Commit { edits, .. }, Some(settings)) = (command, &cluster.settings) else { return Vec::new() };
    let mut lines: Vec<String> = edits.iter().take(CHANGES_MAX).map(|e| edits::text(&settings.tree, e)).collect();
    if edits.len() > CHANGES_MAX {
        lines.push(format!("and {} more changes", edits.len() - CHANGES_MAX));
    }
    lines
}

/// For how long, in seconds; `None` for what does not end by itself.
#[must_use]
pub fn lasting_s(command: &Command) -> Option<u64> {
    match command {
        Command::MaintenanceOn { lasting, .. } => Some(lasting.as_secs()),
        Command::Disconnect { .. }
        | Command::Reconnect { .. }
        | Command::MaintenanceOff { .. }
        | Command::Ha { .. }
        | Command::Commit { .. } => None,
    }
}

/// The document about all of `steps`, which are of one cluster.
#[must_use]
pub fn document<'a>(cluster: &Cluster, steps: impl IntoIterator<Item = (&'a Plan, &'a Result)>) -> ActionDoc {
    let plans: Vec<StepDoc> = steps
        .into_iter()
        .map(|(plan, result)| {
            let outcome = match result {
                Result::None => None,
                Result::Outcome(outcome) => Some(OutcomeDoc::from(outcome)),
                Result::Skipped(why) => {
                    Some(OutcomeDoc { state: "skipped", at: None, observed_at: None, detail: why.to_string() })
                }
            };
            StepDoc { plan: PlanDoc::new(cluster, plan), outcome }
        })
        .collect();
    let only = if let [only] = plans.as_slice() { Some(only.clone()) } else { None };
    ActionDoc { schema: "peerdeck.action/1", plans, only, conflict: None }
}

/// What would be done, for a person to read before it is.
#[must_use]
pub fn plan_text(cluster: &Cluster, plan: &Plan, style: Style) -> String {
    let class = plan.class();
    let tone = match class {
        DangerClass::Reversible => Tone::Plain,
        DangerClass::Disruptive => Tone::Warn,
        DangerClass::Critical => Tone::Bad,
    };
    let title = what(cluster, &plan.command);
    let word: &str = class.into();
    let mut out = format!("{}  ({})\n", paint(&title, Tone::Head, style), paint(word, tone, style));
    let mut section = |name: &str, tone: Tone, lines: &[String]| {
        for (n, line) in lines.iter().enumerate() {
            let name = if n == 0 { name } else { "" };
            let _ = writeln!(out, "  {name:<10} {}", paint(line, tone, style));
        }
    };
    let texts = |lines: &[Line]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    section("change", Tone::Head, &change_lines(cluster, &plan.command));
    section("now", Tone::Plain, &texts(&plan.evidence));
    section("then", Tone::Plain, &texts(&plan.effects));
    section("against it", Tone::Bad, &texts(&plan.obstacles));
    section("basis", Tone::Dim, &[basis_text(&plan.basis)]);
    out
}

fn basis_text(basis: &Basis) -> String {
    let mut facts = Vec::new();
    match basis.membership {
        // Roles rest on nobody's coming or going.
        None if basis.ha.is_some() => {}
        Some(revision) => facts.push(format!("membership revision {revision}")),
        // Changes of settings alone rest on their versions.
        None if !basis.settings.is_empty() => {}
        None => facts.push("membership not known".to_owned()),
    }
    facts.extend(basis.ha.map(|(role, epoch)| format!("{} in epoch {epoch}", role.as_str())));
    facts.push(if basis.detached { "detached" } else { "not detached" }.to_owned());
    if basis.maintenance {
        facts.push("in maintenance".to_owned());
    }
    if !basis.links.is_empty() {
        let up = basis.links.values().filter(|up| **up).count();
        facts.push(format!("{up} of {} connected", count(basis.links.len(), "link")));
    }
    if !basis.settings.is_empty() {
        facts.push(format!("the versions of {} as they are", count(basis.settings.len(), "setting")));
    }
    format!("{}: refused if one of these changes", facts.join(", "))
}

/// A line about what came of a plan.
#[must_use]
pub fn result_text(cluster: &Cluster, plan: &Plan, result: &Result, style: Style) -> String {
    let (word, detail, tone) = match result {
        Result::None if plan.obstacles.is_empty() => ("would run", String::new(), Tone::Good),
        Result::None => ("would be refused", joined(&plan.obstacles), Tone::Bad),
        Result::Skipped(why) => ("skipped", why.to_string(), Tone::Dim),
        Result::Outcome(outcome) => (outcome.state.into(), outcome.detail.to_string(), tone(outcome.state)),
    };
    // "sent" by itself tells nothing that "sent" has not told.
    let detail = if detail.is_empty() || detail == word { String::new() } else { format!(", {detail}") };
    let what = what(cluster, &plan.command);
    format!("{what}: {}{detail}\n", paint(word, tone, style))
}

fn tone(state: OutcomeState) -> Tone {
    match state {
        OutcomeState::Sent | OutcomeState::Accepted | OutcomeState::Running => Tone::Plain,
        OutcomeState::Observed => Tone::Good,
        OutcomeState::Unknown => Tone::Warn,
        OutcomeState::Refused | OutcomeState::Failed => Tone::Bad,
    }
}

fn joined(lines: &[Line]) -> String {
    lines.iter().map(Line::as_str).collect::<Vec<_>>().join("; ")
}

/// `peerdeck.action/1` of what changes nothing on purpose.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IgnoredDoc {
    schema: &'static str,
    plan: Option<PlanDoc>,
    outcome: OutcomeDoc,
    /// What stays as it is.
    ignored: Vec<InconsistencyDoc>,
}

/// The document about conflicts that stay as they are.
#[must_use]
pub fn ignored(ignored: Vec<InconsistencyDoc>) -> IgnoredDoc {
    let detail = "nothing was changed: the most recent version applies, and the conflict is shown on".to_owned();
    let outcome = OutcomeDoc { state: "ignored", at: None, observed_at: None, detail };
    IgnoredDoc { schema: "peerdeck.action/1", plan: None, outcome, ignored }
}
