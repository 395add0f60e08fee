//! Plans and what came of them: the one-shot actions' documents and texts, and the parts of the audit log.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::table::{Style, Tone, paint};
use super::{count, host, rfc3339};
use crate::domain::command::{Command, Outcome, OutcomeState};
use crate::domain::plan::{Basis, DangerClass, Plan};
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;

/// `peerdeck.action/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ActionDoc {
    schema: &'static str,
    plans: Vec<StepDoc>,
    /// The only plan and its outcome once more, so that a script for one peer need not look into a list.
    #[serde(flatten)]
    only: Option<StepDoc>,
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

/// For how long, in seconds; `None` for what does not end by itself.
#[must_use]
pub fn lasting_s(command: &Command) -> Option<u64> {
    match command {
        Command::MaintenanceOn { lasting, .. } => Some(lasting.as_secs()),
        Command::Disconnect { .. }
        | Command::Reconnect { .. }
        | Command::MaintenanceOff { .. }
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
    ActionDoc { schema: "peerdeck.action/1", plans, only }
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
    let title = format!("{} {}", plan.command.word(), host(cluster, plan.command.target()));
    let word: &str = class.into();
    let mut out = format!("{}  ({})\n", paint(&title, Tone::Head, style), paint(word, tone, style));
    let mut section = |name: &str, tone: Tone, lines: &[String]| {
        for (n, line) in lines.iter().enumerate() {
            let name = if n == 0 { name } else { "" };
            let _ = writeln!(out, "  {name:<10} {}", paint(line, tone, style));
        }
    };
    let texts = |lines: &[Line]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    section("now", Tone::Plain, &texts(&plan.evidence));
    section("then", Tone::Plain, &texts(&plan.effects));
    section("against it", Tone::Bad, &texts(&plan.obstacles));
    section("basis", Tone::Dim, &[basis_text(&plan.basis)]);
    out
}

fn basis_text(basis: &Basis) -> String {
    let mut facts = vec![match basis.membership {
        Some(revision) => format!("membership revision {revision}"),
        None => "membership not known".to_owned(),
    }];
    facts.push(if basis.detached { "detached" } else { "not detached" }.to_owned());
    if basis.maintenance {
        facts.push("in maintenance".to_owned());
    }
    if !basis.links.is_empty() {
        let up = basis.links.values().filter(|up| **up).count();
        facts.push(format!("{up} of {} connected", count(basis.links.len(), "link")));
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
    let what = format!("{} {}", plan.command.word(), host(cluster, plan.command.target()));
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
