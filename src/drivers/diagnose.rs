//! Why a peer can't be reached, step by step; nothing is kept and nothing is asked.

use std::net::IpAddr;
use std::time::Duration;

use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::Profile;
use super::dial::{self, DialError};
use super::lines::Lines;
use crate::clock::Clock;
use crate::domain::ids::PeerId;
use crate::domain::mesh::{Cause, DnsResult, LinkState};
use crate::domain::observation::{Fact, Observation};
use crate::domain::reach::Endpoint;
use crate::domain::text::clean;
use crate::domain::time::human;
use crate::proto::observe::Report;
use crate::proto::rpc::{ObserveParams, Request, Response, SUBSYSTEM};
use crate::proto::{self, DOCUMENT_MAX};
use crate::ssh::auth;
use crate::ssh::client::{self, ConnectError, Session, Stage};
use crate::ssh::net::{BoxStream, Net};

/// The steps, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum StepName {
    /// Host name to address.
    DnsForward,
    /// Address to host name.
    DnsReverse,
    /// The TCP connection, or the way through the jump host.
    Tcp,
    /// SSH version and key exchange.
    KeyExchange,
    /// Is the host key the right one?
    HostKey,
    /// Login.
    Authentication,
    /// The subsystem and its first report.
    Channel,
    /// What answers: product, version, level.
    Version,
    /// What it knows of its cluster.
    Membership,
    /// What it says of its own links.
    Mesh,
}

impl StepName {
    /// The word that stands in `--json` and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How a step went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum StepResult {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Failed,
    /// Not tried, because one before it failed or because it does not apply.
    Skipped,
}

impl StepResult {
    /// The word that stands in `--json` and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Which.
    pub step: StepName,
    /// How it went.
    pub result: StepResult,
    /// How long it took; zero when skipped.
    pub took: Duration,
    /// What was tried and what came.
    pub detail: String,
    /// What to do about it, in plain words; empty when there is nothing to do.
    pub hint: String,
}

/// Goes through all steps of reaching `endpoint` as `profile` says. Always gives every step once, in order.
pub async fn diagnose(endpoint: &Endpoint, profile: &Profile, clock: &dyn Clock, net: &dyn Net) -> Vec<Step> {
    let mut steps = Steps(Vec::new());
    let now = clock.wall_ms() / 1000;
    // The jump host's session must live as long as the one that it carries.
    if let Some((session, _jump)) = connect(&mut steps, endpoint, profile, net, now).await {
        look(&mut steps, &session, endpoint, profile, clock).await;
        session.close().await;
    }
    steps.complete()
}

struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, step: StepName, result: StepResult, took: Duration, detail: impl Into<String>, hint: &str) {
        self.0.push(Step { step, result, took, detail: detail.into(), hint: hint.to_owned() });
    }

    fn ok(&mut self, step: StepName, took: Duration, detail: impl Into<String>) {
        self.add(step, StepResult::Ok, took, detail, "");
    }

    fn failed(&mut self, step: StepName, took: Duration, detail: impl Into<String>, hint: &str) {
        self.add(step, StepResult::Failed, took, detail, hint);
    }

    /// What came before the failing stage went well, which is all that is known of it.
    fn error(&mut self, e: &ConnectError, took: Duration) {
        let step = step_of(e.stage);
        let passed = StepName::iter().filter(|s| *s < step && *s >= StepName::KeyExchange);
        for passed in passed.filter(|s| !self.0.iter().any(|t| t.step == *s)).collect::<Vec<_>>() {
            self.ok(passed, Duration::ZERO, "");
        }
        let trust = "look at the fingerprint on the machine itself (ssh-keygen -lf), then: peerdeck trust HOST";
        self.failed(step, took, e.detail.clone(), if e.unknown_key.is_some() { trust } else { e.cause.hint() });
    }

    fn complete(mut self) -> Vec<Step> {
        for step in StepName::iter() {
            if !self.0.iter().any(|s| s.step == step) {
                self.add(step, StepResult::Skipped, Duration::ZERO, "", "");
            }
        }
        self.0.sort_by_key(|s| s.step);
        self.0
    }
}

fn step_of(stage: Stage) -> StepName {
    match stage {
        Stage::DnsForward => StepName::DnsForward,
        Stage::DnsReverse => StepName::DnsReverse,
        Stage::Tcp => StepName::Tcp,
        Stage::KeyExchange => StepName::KeyExchange,
        Stage::HostKey => StepName::HostKey,
        Stage::Auth => StepName::Authentication,
        Stage::Channel => StepName::Channel,
    }
}

/// From the look-up to the login; the second session is the jump host's.
async fn connect(
    steps: &mut Steps,
    endpoint: &Endpoint,
    profile: &Profile,
    net: &dyn Net,
    now: u64,
) -> Option<(Session, Option<Session>)> {
    let (credentials, problems) = auth::resolve(&profile.credentials).await;
    let mut target = dial::target(endpoint, profile, credentials, now);
    let name = dial::wanted_name(endpoint, profile);
    let begin = Instant::now();
    let (stream, jump): (BoxStream, Option<Session>) = if let Some(via) = &profile.via {
        for step in [StepName::DnsForward, StepName::DnsReverse] {
            steps.add(step, StepResult::Skipped, Duration::ZERO, format!("the jump host {} looks it up", via.host), "");
        }
        let way = match dial::jump(via, profile, net, now).await {
            Ok(session) => session.forward(&name, target.port).await.map(|stream| (stream, session)),
            Err(DialError { error, .. }) => Err(error),
        };
        match way {
            Ok((stream, session)) => {
                steps.ok(StepName::Tcp, begin.elapsed(), format!("through {}", via.host));
                (stream, Some(session))
            }
            Err(e) => {
                steps.failed(StepName::Tcp, begin.elapsed(), e.detail, e.cause.hint());
                return None;
            }
        }
    } else {
        let addresses = forward(steps, &name, profile).await?;
        reverse(steps, &name, &addresses, profile).await;
        let begin = Instant::now();
        match dial::first_that_answers(&addresses, target.port, net, &target).await {
            Ok((stream, address)) => {
                steps.ok(StepName::Tcp, begin.elapsed(), format!("{address} answers"));
                dial::set_also(&mut target, endpoint, profile, &[name, address.ip().to_string()], now);
                (stream, None)
            }
            Err((e, _)) => {
                steps.error(&e, begin.elapsed());
                return None;
            }
        }
    };
    let begin = Instant::now();
    match client::connect_stream(stream, &target).await {
        Ok(session) => {
            let how = session.established();
            steps.ok(StepName::KeyExchange, how.key_exchange, how.algorithms.clone());
            steps.ok(StepName::HostKey, Duration::ZERO, how.host_key.clone());
            steps.ok(StepName::Authentication, how.login, format!("logged in as {}", clean(&target.user, 80)));
            Some((session, jump))
        }
        Err(mut e) => {
            if e.stage == Stage::Auth {
                for problem in problems {
                    e.detail = format!("{}; {problem}", e.detail);
                }
            }
            steps.error(&e, begin.elapsed());
            None
        }
    }
}

async fn forward(steps: &mut Steps, name: &str, profile: &Profile) -> Option<Vec<IpAddr>> {
    let found = profile.resolver.forward(name, profile.deadlines.resolve).await;
    if found.result == DnsResult::Ok {
        steps.ok(StepName::DnsForward, found.took, found.detail);
        return Some(found.answers);
    }
    let hint = "check the A/AAAA record of the host name and the DNS servers of this machine";
    steps.failed(StepName::DnsForward, found.took, found.detail, hint);
    None
}

/// A missing reverse record does not stop the connection from here, but members that address each other by IP need it (C19).
async fn reverse(steps: &mut Steps, name: &str, addresses: &[IpAddr], profile: &Profile) {
    let Some(address) = addresses.first() else { return };
    let found = profile.resolver.reverse(*address, profile.deadlines.resolve).await;
    let hint = "check the PTR record of the address: fellows of the cluster may refuse this machine without it";
    if found.result != DnsResult::Ok {
        steps.failed(StepName::DnsReverse, found.took, found.detail, hint);
    } else if name.parse::<IpAddr>().is_err() && !found.answers.iter().any(|n| n.eq_ignore_ascii_case(name)) {
        steps.failed(StepName::DnsReverse, found.took, format!("{}; {name} was expected", found.detail), hint);
    } else {
        steps.ok(StepName::DnsReverse, found.took, found.detail);
    }
}

/// What the peer says of itself.
async fn look(steps: &mut Steps, session: &Session, endpoint: &Endpoint, profile: &Profile, clock: &dyn Clock) {
    let begin = Instant::now();
    let stream = match session.subsystem(SUBSYSTEM).await {
        Ok(stream) => stream,
        Err(e) => {
            let hint = "the login works, but what answers is no peerdeck peer, or it is over its limit of sessions";
            steps.failed(StepName::Channel, begin.elapsed(), e.detail, hint);
            return;
        }
    };
    let limit = profile.deadlines.channel.max(Duration::from_secs(3));
    let report = match timeout(limit, first_report(stream, profile)).await {
        Ok(Ok(report)) => report,
        Ok(Err(why)) => {
            steps.failed(StepName::Channel, begin.elapsed(), why, "look at the log of the peer");
            return;
        }
        Err(_) => {
            let why = format!("no report within {}", human(limit));
            steps.failed(StepName::Channel, begin.elapsed(), why, Cause::Timeout.hint());
            return;
        }
    };
    steps.ok(StepName::Channel, begin.elapsed(), format!("subsystem {SUBSYSTEM} reports"));
    let unheard = PeerId::unheard(endpoint.key.host.as_str(), endpoint.key.port);
    match report.into_observations(&unheard, clock.now(), clock.wall_ms()) {
        Ok(facts) => judge(steps, &facts, endpoint),
        Err(e) => steps.failed(StepName::Version, Duration::ZERO, e.to_string(), Cause::Version.hint()),
    }
}

async fn first_report(stream: BoxStream, profile: &Profile) -> Result<Report, String> {
    let (reader, mut writer) = tokio::io::split(stream);
    let params = ObserveParams { as_what: profile.as_what.clone(), ..ObserveParams::default() };
    let mut line = proto::write(&Request::call(1, "observe", &params));
    line.push(b'\n');
    writer.write_all(&line).await.map_err(|e| format!("the request could not be sent: {e}"))?;
    let mut lines = Lines::new(reader, DOCUMENT_MAX);
    loop {
        let line = lines.next().await.map_err(|e| format!("no report came: {e:?}"))?;
        if let Ok(request) = proto::read::<Request>(line) {
            if request.method == "report" {
                return serde_json::from_value(request.params).map_err(|e| clean(&e.to_string(), 160));
            }
        } else {
            let answer: Response = proto::read(line).map_err(|e| e.to_string())?;
            if let Some(e) = answer.error {
                return Err(format!("the peer does not let itself be observed: {}", clean(&e.message, 160)));
            }
        }
    }
}

fn judge(steps: &mut Steps, facts: &[Observation], endpoint: &Endpoint) {
    let zero = Duration::ZERO;
    let mut observer = None;
    let mut members = None;
    for fact in facts {
        match &fact.fact {
            Fact::Identity(i) => {
                observer = Some(i.id.clone());
                let detail = format!("{} at level {}, {} ({})", i.version, i.level, i.host, i.id);
                match endpoint.expected.as_ref().filter(|e| **e != i.id && !e.is_unheard()) {
                    Some(expected) => {
                        let hint =
                            "another machine answers under this name: check its address in the membership and in DNS";
                        steps.failed(StepName::Version, zero, format!("{detail}; {expected} was expected"), hint);
                    }
                    None => steps.ok(StepName::Version, zero, detail),
                }
            }
            Fact::Membership(m) => {
                members = Some(m);
                let detail = format!("cluster {}: {} machines in {} groups", m.name, m.machines.len(), m.groups.len());
                let itself = observer.as_ref().is_none_or(|id| m.machine(id).is_some());
                if itself {
                    steps.ok(StepName::Membership, zero, detail);
                } else {
                    let hint = "the machine is not in its own membership: it was removed, or its state directory is another machine's";
                    steps.failed(StepName::Membership, zero, detail, hint);
                }
            }
            Fact::Row(row) if row.via.is_none() => {
                let bad: Vec<_> = row
                    .links
                    .iter()
                    .filter(|l| !matches!(l.state, LinkState::Connected | LinkState::Detached))
                    .collect();
                let detail =
                    format!("{} of {} links connected or detached", row.links.len() - bad.len(), row.links.len());
                if bad.is_empty() {
                    steps.ok(StepName::Mesh, zero, detail);
                } else {
                    let host = |id: &PeerId| match members.and_then(|m| m.machine(id)) {
                        Some(machine) => machine.host.to_string(),
                        None => id.to_string(),
                    };
                    let named = bad.iter().take(8).map(|l| {
                        let cause = l.cause.map(|c| format!(" ({})", c.as_str())).unwrap_or_default();
                        format!("{} {}{cause}", host(&l.to), l.state.as_str())
                    });
                    let detail = format!("{detail}; {}", named.collect::<Vec<_>>().join(", "));
                    let hint = bad.iter().find_map(|l| l.cause).map_or("", Cause::hint);
                    steps.failed(StepName::Mesh, zero, detail, hint);
                }
            }
            Fact::Row(_)
            | Fact::RowDelta(_)
            | Fact::Health(_)
            | Fact::Holding(_)
            | Fact::Ha(_)
            | Fact::Tree(_)
            | Fact::Sessions(_)
            | Fact::Event(_)
            | Fact::Logged { .. }
            | Fact::Unparsed { .. } => {}
        }
    }
    if observer.is_none() {
        steps.failed(StepName::Version, zero, "the peer does not say who it is", "look at the log of the peer");
    }
    if !steps.0.iter().any(|s| s.step == StepName::Membership) {
        let hint = "the peer is in no cluster: join it, or provision its membership";
        steps.failed(StepName::Membership, zero, "the peer reports no membership", hint);
    }
}
