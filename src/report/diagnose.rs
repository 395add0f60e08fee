//! Step by step, where a connection fails: `diagnose`.

use std::fmt::Write;

use std::time::Duration;

use serde::Serialize;
use strum::IntoStaticStr;

use super::table::{Style, Table, Tone, cell, paint};
use super::{milliseconds, rfc3339};
use crate::domain::mesh::link::{Cause, DnsResult, Link};
use crate::domain::snapshot::{Cell, Cluster};
use crate::domain::time::{Time, human, human_rtt};
use crate::domain::{LinkState, PeerId};

/// How a step went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum StepResult {
    /// As it should be.
    Ok,
    /// Works, but something is not as it should be.
    Warning,
    /// This is where it fails.
    Failed,
    /// Not tried, because an earlier step failed.
    Skipped,
    /// Nobody has told.
    Unknown,
}

/// One step.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Its name.
    pub step: String,
    /// How it went.
    pub result: StepResult,
    /// How long it took, where that was measured.
    pub took: Option<Duration>,
    /// What was tried and what came.
    pub detail: String,
    /// What to do, in plain words.
    pub hint: String,
}

/// `peerdeck.diagnose/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DiagnoseDoc {
    schema: &'static str,
    at: String,
    cluster: String,
    from: Option<String>,
    to: String,
    steps: Vec<StepDoc>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct StepDoc {
    step: String,
    result: &'static str,
    took_ms: Option<f64>,
    detail: String,
    hint: Option<String>,
}

/// The document. `from` is the observing peer; `None` is this machine.
#[must_use]
pub fn document(at: Time, cluster: &str, from: Option<&str>, to: &str, steps: &[Step]) -> DiagnoseDoc {
    DiagnoseDoc {
        schema: "peerdeck.diagnose/1",
        at: rfc3339(at),
        cluster: cluster.to_owned(),
        from: from.map(str::to_owned),
        to: to.to_owned(),
        steps: steps
            .iter()
            .map(|s| StepDoc {
                step: s.step.clone(),
                result: s.result.into(),
                took_ms: s.took.map(milliseconds),
                detail: s.detail.clone(),
                hint: (!s.hint.is_empty()).then(|| s.hint.clone()),
            })
            .collect(),
    }
}

/// A table, and the hint of what failed.
#[must_use]
pub fn text(from: Option<&str>, to: &str, steps: &[Step], style: Style) -> String {
    let from = from.unwrap_or("this machine");
    let mut out = paint(&format!("{from} to {to}"), Tone::Head, style);
    out.push_str("\n\n");
    let mut table = Table::new(&["STEP", "RESULT", "TOOK", "DETAIL"]);
    for s in steps {
        let tone = match s.result {
            StepResult::Ok => Tone::Good,
            StepResult::Warning => Tone::Warn,
            StepResult::Failed => Tone::Bad,
            StepResult::Skipped | StepResult::Unknown => Tone::Dim,
        };
        let result: &str = s.result.into();
        table.row([
            s.step.as_str().into(),
            cell(result, tone),
            s.took.map_or_else(String::new, human_rtt).into(),
            s.detail.as_str().into(),
        ]);
    }
    out.push_str(&table.render(style));
    for s in steps.iter().filter(|s| !s.hint.is_empty()) {
        let _ = write!(out, "\n{}: {}\n", s.step, s.hint);
    }
    out
}

/// The steps of a connection, in order, with the causes that mean that it failed there.
const STEPS: [(&str, &[Cause]); 8] = [
    ("dns-forward", &[Cause::DnsForward]),
    ("dns-reverse", &[Cause::DnsReverse]),
    ("tcp", &[Cause::Refused, Cause::Timeout]),
    ("key-exchange", &[Cause::KeyExchange]),
    ("host-key", &[Cause::HostKey]),
    ("authentication", &[Cause::Auth, Cause::TooManyConnections]),
    ("version", &[Cause::Version]),
    ("membership", &[Cause::NotInCluster, Cause::Detached]),
];

/// What `from` says about its link to `to`, step by step.
#[must_use]
pub fn of_link(cluster: &Cluster, from: &PeerId, to: &PeerId, now: Time) -> Vec<Step> {
    let position = |id| cluster.index.get(id).copied();
    let (Some(i), Some(j)) = (position(from), position(to)) else { return Vec::new() };
    let seen = cluster.cell(i, j, now);
    let mut steps = vec![observer(cluster, i, now)];
    let Some(link) = seen.link.filter(|_| seen.state != LinkState::Unknown) else {
        steps.extend(STEPS.iter().map(|(name, _)| step(name, StepResult::Unknown, String::new(), "")));
        return steps;
    };
    let failed_at = seen.cause.and_then(|c| STEPS.iter().position(|(_, causes)| causes.contains(&c)));
    for (n, (name, _)) in STEPS.iter().enumerate() {
        steps.push(match failed_at {
            Some(at) if n == at => {
                step(name, StepResult::Failed, link.detail.to_string(), seen.cause.map_or("", |c| c.hint()))
            }
            Some(at) if n > at => step(name, StepResult::Skipped, String::new(), ""),
            Some(_) | None => passed(name, link, seen.state),
        });
    }
    steps.push(connection(link, &seen, failed_at.is_some(), now));
    steps
}

/// Whether the observer itself can be believed.
fn observer(cluster: &Cluster, i: usize, now: Time) -> Step {
    let peer = &cluster.peers[i];
    let age = peer.row_age(now);
    let told = age.map_or_else(|| "has told nothing".to_owned(), |a| format!("told {} ago", human(a)));
    if !peer.is_row_fresh(&cluster.limits, now) {
        let hint = "the observing peer is silent: what it said last is too old to count. Diagnose the peer itself";
        return step("observer", StepResult::Unknown, told, hint);
    }
    let via = peer.row.as_ref().and_then(|r| r.via.as_ref());
    let told = via.map_or(told.clone(), |v| format!("{told}, passed on by {}", cluster.label(v)));
    if peer.health.is_late() {
        let detail = format!("{told}; its loop is {} late", human(peer.health.late));
        return step("observer", StepResult::Warning, detail, "the observing peer runs late: its word weighs less");
    }
    step("observer", StepResult::Ok, told, "")
}

/// A step that did not fail: the look-ups have results of their own, the others are good if it came so far.
fn passed(name: &'static str, link: &Link, state: LinkState) -> Step {
    let look_up = |r: DnsResult, cause: Cause| match r {
        DnsResult::Ok => step(name, StepResult::Ok, link.dns.answer.to_string(), ""),
        DnsResult::Untested => step(name, StepResult::Unknown, String::new(), ""),
        DnsResult::Missing | DnsResult::Wrong | DnsResult::Timeout | DnsResult::Failed => {
            step(name, StepResult::Warning, format!("{}: {}", r.as_str(), link.dns.answer), cause.hint())
        }
    };
    match name {
        "dns-forward" => look_up(link.dns.forward, Cause::DnsForward),
        "dns-reverse" => look_up(link.dns.reverse, Cause::DnsReverse),
        _ => match state {
            LinkState::Connected => {
                let address = link.address.filter(|_| name == "tcp").map_or_else(String::new, |a| a.to_string());
                step(name, StepResult::Ok, address, "")
            }
            LinkState::Connecting | LinkState::Detached | LinkState::Unknown => {
                step(name, StepResult::Unknown, String::new(), "")
            }
            // A cause that belongs to a later step, or to none: how far it came is not known for certain.
            LinkState::Down => step(name, StepResult::Unknown, String::new(), ""),
        },
    }
}

/// How the connection fares as a whole.
fn connection(link: &Link, cell: &Cell<'_>, explained: bool, now: Time) -> Step {
    let state = cell.state;
    let since = format!("{} for {}", state.as_str(), human(now.since(link.since)));
    let (result, detail) = match state {
        LinkState::Connected => {
            let rtt = cell.rtt.map_or_else(String::new, |r| format!(", round trip {}", human_rtt(r)));
            (StepResult::Ok, format!("{since}{rtt}"))
        }
        LinkState::Down => (StepResult::Failed, format!("{since}: {} failures in a row", link.failures)),
        LinkState::Connecting | LinkState::Detached | LinkState::Unknown => (StepResult::Unknown, since),
    };
    let hint = if explained { "" } else { link.cause.map_or("", Cause::hint) };
    step("connection", result, detail, hint)
}

fn step(name: &str, result: StepResult, detail: String, hint: &str) -> Step {
    Step { step: name.to_owned(), result, took: None, detail, hint: hint.to_owned() }
}
