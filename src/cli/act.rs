//! One-shot actions: one picture, one plan for each peer, one question, and then what was observed.

use std::io::IsTerminal;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};

use super::args::{Acting, MaintenanceCommand, OnHaGroup, OnPeers, RestartHa, Switchover};
use super::audit::{Audit, AuditError, Face};
use super::checks::ONE_SHOT;
use super::confirm::{Question, somebody_there};
use super::connect::{self, Connected};
use super::ha_wish::HaWish;
use super::once::{self, Look};
use super::output::{emit, error_style, style};
use super::signals::Stop;
use super::subjects::{Sets, resolve};
use super::{Context, Done, FAILED, REFUSED, UNKNOWN};
use crate::config::span;
use crate::domain::command::{Command, Outcome, OutcomeState, PeerAct};
use crate::domain::ha::HaAct;
use crate::domain::ids::PeerId;
use crate::domain::plan::Plan;
use crate::domain::snapshot::{Cluster, Peer, Snapshot};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::engine::bulk::{Bulk, Step, StepState};
use crate::engine::plans::plans;
use crate::report;
use crate::report::action::{self, Result as Came};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Request {
    wish: Wish,
    acting: Acting,
}

/// On whom, and what.
#[derive(Clone, Debug)]
enum Wish {
    /// On peers.
    Peers { kind: PeerAct, words: Vec<String>, lasting: std::time::Duration },
    /// On an HA group, or a unit of one.
    Ha(HaWish),
}

/// On whom it falls.
pub(super) struct Found<'a> {
    pub cluster: &'a Cluster,
    pub ids: Vec<PeerId>,
    /// What stands against it beyond what the plans say.
    pub obstacles: Vec<Line>,
}

impl Request {
    /// `disconnect`.
    #[must_use]
    pub fn disconnect(args: OnPeers) -> Self {
        Self::new(PeerAct::Disconnect, args.peers, args.acting)
    }

    /// `reconnect`.
    #[must_use]
    pub fn reconnect(args: OnPeers) -> Self {
        Self::new(PeerAct::Reconnect, args.peers, args.acting)
    }

    /// `maintenance on` and `off`.
    #[must_use]
    pub fn maintenance(command: MaintenanceCommand) -> Self {
        match command {
            MaintenanceCommand::On { subjects, lasting, acting } => {
                let wish = Wish::Peers { kind: PeerAct::MaintenanceOn, words: subjects, lasting };
                Self { wish, acting }
            }
            MaintenanceCommand::Off { subjects, acting } => Self::new(PeerAct::MaintenanceOff, subjects, acting),
        }
    }

    /// `switchover`.
    #[must_use]
    pub fn switchover(args: Switchover) -> Self {
        Self { wish: Wish::Ha(HaWish::Group(HaAct::Switchover, args.group, args.to)), acting: args.acting }
    }

    /// `failover`, `restore`, `sync` and `accept`.
    #[must_use]
    pub fn on_group(act: HaAct, args: OnHaGroup) -> Self {
        Self { wish: Wish::Ha(HaWish::Group(act, args.group, None)), acting: args.acting }
    }

    /// `restart-ha`.
    #[must_use]
    pub fn restart_ha(args: RestartHa) -> Self {
        Self { wish: Wish::Ha(HaWish::Restart(args.peer)), acting: args.acting }
    }

    fn new(kind: PeerAct, words: Vec<String>, acting: Acting) -> Self {
        Self { wish: Wish::Peers { kind, words, lasting: std::time::Duration::ZERO }, acting }
    }

    fn command(&self, peer: PeerId) -> Command {
        let reason = Line::new(&self.acting.reason);
        match &self.wish {
            Wish::Peers { kind, lasting, .. } => kind.command(peer, *lasting, reason),
            Wish::Ha(wish) => Command::Ha { act: wish.act(), on: peer, reason },
        }
    }

    /// Whom it is about.
    fn find<'a>(&self, snapshot: &'a Snapshot) -> Result<Found<'a>, String> {
        match &self.wish {
            Wish::Peers { kind, words, .. } => {
                let concerned = |p: &Peer| concerns(*kind, p, snapshot.at);
                let (cluster, ids) = resolve(snapshot, words, sets(*kind), concerned)?;
                Ok(Found { cluster, ids, obstacles: Vec::new() })
            }
            Wish::Ha(wish) => wish.find(snapshot),
        }
    }

    /// Whether all of them have told lately what they are, by themselves or by way of a fellow.
    fn is_told(&self, snapshot: &Snapshot) -> bool {
        match self.find(snapshot) {
            Ok(Found { cluster, ids, .. }) => {
                ids.iter().filter_map(|id| cluster.peer(id)).all(|p| p.is_row_fresh(&cluster.limits, snapshot.at))
            }
            // A group is known once one of its units has told of it.
            Err(_) => matches!(self.wish, Wish::Peers { .. }),
        }
    }
}

/// Whether a group or the whole cluster can be named.
fn sets(kind: PeerAct) -> Sets {
    match kind {
        PeerAct::Disconnect | PeerAct::Reconnect => Sets::Refused,
        PeerAct::MaintenanceOn | PeerAct::MaintenanceOff => Sets::Allowed,
    }
}

/// Which machines of a named group it is about.
fn concerns(kind: PeerAct, peer: &Peer, now: Time) -> bool {
    match kind {
        PeerAct::MaintenanceOff => peer.maintenance(now).is_some(),
        PeerAct::Disconnect | PeerAct::Reconnect | PeerAct::MaintenanceOn => true,
    }
}

/// Plans, asks, acts, and tells what was observed.
///
/// # Errors
/// When there is no fleet or a peer is not in it: nothing was sent.
pub fn run(context: &Context, request: &Request) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    super::process::small_runtime()?.block_on(async {
        let mut stop = Stop::new().context("signals can't be received")?;
        let connected = connect::start(&fleet, &context.paths, ONE_SHOT)?;
        let clock = connected.links.clock.clone();
        let looking = async {
            let look = once::look(&connected.observer, clock.as_ref(), context.global.timeout, false).await;
            once::look_on(&connected.observer, clock.as_ref(), look, |s| request.is_told(s)).await
        };
        let look = tokio::select! {
            look = looking => look,
            signal = stop.wait() => {
                eprintln!("peerdeck: {signal}: nothing was sent");
                return Ok(REFUSED);
            }
        };
        let now = look.snapshot.at;
        let found = request.find(&look.snapshot).map_err(|why| anyhow::Error::msg(with_hint(why, &look)))?;
        let cluster = found.cluster;
        let commands = found.ids.into_iter().map(|id| request.command(id)).collect();
        let mut plans: Vec<Plan> = plans(cluster, commands, now).into_iter().map(|p| hindered(cluster, p)).collect();
        if let Some(first) = plans.first_mut() {
            first.obstacles.extend(found.obstacles);
        }
        let acting = &request.acting;
        if acting.dry_run {
            let refused = plans.iter().any(|p| !p.obstacles.is_empty());
            let results = vec![Came::None; plans.len()];
            emit(&text(context, cluster, plans.iter().zip(&results)))?;
            return Ok(if refused { REFUSED } else { 0 });
        }
        let Some(mut actor) = Actor::new(context, &connected, cluster, stop) else { return Ok(REFUSED) };
        let mut bulk = Bulk::new(plans.clone());
        if plans.iter().any(|p| !p.obstacles.is_empty()) {
            // What is known to be refused stops all: nobody wanted half of it.
            let results: Vec<Came> = plans.iter().map(|p| actor.refuse(p)).collect();
            return Ok(finish(context, cluster, &plans, &results, Told::Nothing));
        }
        if !acting.yes
            && let Err(why) = actor.confirm(&plans).await
        {
            let refused = Outcome { state: OutcomeState::Refused, at: clock.now(), detail: Line::new(&why) };
            let results = vec![Came::Outcome(refused); plans.len()];
            return Ok(finish(context, cluster, &plans, &results, Told::Nothing));
        }
        while let Some((at, plan)) = bulk.take_next() {
            let outcome = actor.carry_out(&plan).await;
            actor.tell_end(&plan, &outcome);
            bulk.on_outcome(at, outcome);
        }
        let results = results(cluster, bulk.steps());
        Ok(finish(context, cluster, &plans, &results, Told::Ends))
    })
}

/// What stands against a plan beyond the picture of its target.
pub(super) fn hindered(cluster: &Cluster, mut plan: Plan) -> Plan {
    let (target, name) = (plan.command.target(), cluster.label(plan.command.target()));
    if !cluster.peers.iter().any(|p| p.is_reached()) {
        plan.obstacles.push(Line::new("no peer is reached that could carry it out or pass it on"));
    } else if target.is_unheard() {
        let why = format!("{name} has never answered, and no member tells its serial number");
        plan.obstacles.push(Line::new(&why));
    }
    plan
}

pub(super) fn with_hint(why: String, look: &Look) -> String {
    let all = look.snapshot.clusters.iter().flat_map(|c| &c.peers).filter(|p| p.observed);
    let silent = all.filter(|p| !p.is_reached()).count();
    if look.complete && silent == 0 {
        return why;
    }
    format!("{why}; of the peers that are known, {silent} did not answer")
}

/// Carries plans out: asks, hands in, waits, and writes all of it down.
pub(super) struct Actor<'a> {
    context: &'a Context,
    connected: &'a Connected,
    audit: Audit,
    cluster: &'a Cluster,
    stop: Stop,
}

impl<'a> Actor<'a> {
    /// With the audit log open; `None` when it can't be, which is told: then nothing may be sent.
    pub(super) fn new(
        context: &'a Context,
        connected: &'a Connected,
        cluster: &'a Cluster,
        stop: Stop,
    ) -> Option<Self> {
        match Audit::open(&context.paths, Face::OneShot) {
            Ok(audit) => Some(Self { context, connected, audit, cluster, stop }),
            Err(error) => {
                eprintln!("peerdeck: refused: {error}; nothing was sent");
                None
            }
        }
    }

    /// Shows the plans and waits for the word that confirms them; why not, in words.
    pub(super) async fn confirm(&mut self, plans: &[Plan]) -> Result<(), String> {
        if !somebody_there() {
            return Err("nobody is there to confirm it, and --yes was not given: nothing was sent".into());
        }
        let style = error_style(&self.context.global);
        for plan in plans {
            eprint!("{}", action::plan_text(self.cluster, plan, style));
        }
        let Some(question) = Question::new(self.cluster, plans) else { return Err("there is nothing to do".into()) };
        tokio::select! {
            typed = question.ask() => match typed {
                Ok(typed) if question.is_yes(&typed) => Ok(()),
                Ok(_) => Err("not confirmed: nothing was sent".into()),
                Err(_) => Err("not confirmed, the terminal gave no answer: nothing was sent".into()),
            },
            signal = self.stop.wait() => {
                eprintln!();
                Err(format!("not confirmed ({signal}): nothing was sent"))
            }
        }
    }

    /// Hands `plan` in and waits for what is observed, both in the audit log.
    pub(super) async fn carry_out(&mut self, plan: &Plan) -> Outcome {
        let id = match self.audit.begin(self.cluster, plan) {
            Ok(id) => id,
            Err(error) => return self.outcome(OutcomeState::Refused, &format!("{error}; nothing was sent")),
        };
        let timeout = self.context.global.timeout;
        let deadline = Instant::now() + timeout;
        let mut submitted = self.connected.commander.submit(self.cluster.name.clone(), plan.clone()).await;
        let mut last: &str = "handed in";
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = submitted.outcomes.recv() => match outcome {
                    Some(outcome) if outcome.state.is_final() => break outcome,
                    Some(outcome) => {
                        last = outcome.state.into();
                        self.tell(plan, &outcome);
                        warn(self.audit.progress(&id, &outcome));
                    }
                    None => break self.outcome(OutcomeState::Unknown, "peerdeck ended before anything was seen"),
                },
                signal = self.stop.wait() => {
                    let why = format!("interrupted ({signal}) after it was {last}: what came of it was not waited for");
                    break self.outcome(OutcomeState::Unknown, &why);
                }
                () = sleep_until(deadline) => {
                    let span = span::format(timeout);
                    let why = format!("{last}, and no observation showed the new state within {span} (--timeout)");
                    break self.outcome(OutcomeState::Unknown, &why);
                }
            }
        };
        warn(self.audit.end(&id, &outcome));
        outcome
    }

    /// A plan that is known to be refused, or stands beside one: nothing is sent, and the attempt is written down.
    pub(super) fn refuse(&self, plan: &Plan) -> Came {
        let why: Vec<&str> = plan.obstacles.iter().map(Line::as_str).collect();
        if why.is_empty() {
            return Came::Skipped(Line::new("nothing was sent, because another one would be refused"));
        }
        let outcome = self.outcome(OutcomeState::Refused, &why.join("; "));
        warn(self.audit.begin(self.cluster, plan).and_then(|id| self.audit.end(&id, &outcome)));
        Came::Outcome(outcome)
    }

    pub(super) fn outcome(&self, state: OutcomeState, detail: &str) -> Outcome {
        Outcome { state, at: self.connected.links.clock.now(), detail: Line::new(detail) }
    }

    /// A state on the way, for a person who watches.
    fn tell(&self, plan: &Plan, outcome: &Outcome) {
        if std::io::stderr().is_terminal() {
            let came = Came::Outcome(outcome.clone());
            eprint!("{}", action::result_text(self.cluster, plan, &came, error_style(&self.context.global)));
        }
    }

    /// An end: at once on standard output, unless one document will hold them all.
    pub(super) fn tell_end(&self, plan: &Plan, outcome: &Outcome) {
        if self.context.global.json {
            self.tell(plan, outcome);
        } else {
            let came = Came::Outcome(outcome.clone());
            print(&text(self.context, self.cluster, [(plan, &came)]));
        }
    }
}

/// What is done is done; that it is not in the log must be known.
fn warn(written: Result<(), AuditError>) {
    if let Err(error) = written {
        eprintln!("peerdeck: {error}: the log lacks a line about this command");
    }
}

/// A result for each step.
fn results(cluster: &Cluster, steps: &[Step]) -> Vec<Came> {
    let bad = |s: &&Step| matches!(&s.state, StepState::Over(o) if o.state != OutcomeState::Observed);
    let culprit = steps.iter().find(bad).map_or("another one", |s| cluster.label(s.plan.command.target()));
    let skipped = Line::new(&format!("never sent, because {culprit} stopped the rest"));
    let came = |step: &Step| match &step.state {
        StepState::Over(outcome) | StepState::Running(Some(outcome)) => Came::Outcome(outcome.clone()),
        StepState::Waiting | StepState::Running(None) | StepState::Skipped => Came::Skipped(skipped.clone()),
    };
    steps.iter().map(came).collect()
}

/// What was printed already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    /// Nothing.
    Nothing,
    /// The ends as they came, unless one document holds them all.
    Ends,
}

/// Prints the results; the exit code.
fn finish(context: &Context, cluster: &Cluster, plans: &[Plan], results: &[Came], told: Told) -> Done {
    let open = |(_, came): &(&Plan, &Came)| match (told, came) {
        (Told::Ends, Came::Outcome(_)) => context.global.json,
        (Told::Ends | Told::Nothing, _) => true,
    };
    print(&text(context, cluster, plans.iter().zip(results).filter(open)));
    code(results)
}

/// That nobody reads it changes nothing of what was done.
pub(super) fn print(text: &str) {
    if let Err(error) = emit(text) {
        eprintln!("peerdeck: the result can't be printed: {error:#}");
    }
}

/// The document about plans and what came of them, or a text about each.
pub(super) fn text<'a>(
    context: &Context,
    cluster: &Cluster,
    results: impl IntoIterator<Item = (&'a Plan, &'a Came)>,
) -> String {
    if context.global.json {
        return report::document(&action::document(cluster, results));
    }
    let style = style(&context.global);
    let line = |(plan, came): (&Plan, &Came)| {
        let shown = if *came == Came::None { action::plan_text(cluster, plan, style) } else { String::new() };
        shown + &action::result_text(cluster, plan, came, style)
    };
    results.into_iter().map(line).collect()
}

/// Refused means that nothing was changed: once a part was done, the whole has failed.
pub(super) fn code(results: &[Came]) -> Done {
    let state = |came: &Came| match came {
        Came::Outcome(outcome) => Some(outcome.state),
        Came::None | Came::Skipped(_) => None,
    };
    let part = results.iter().any(|r| state(r) == Some(OutcomeState::Observed));
    match results.iter().filter_map(state).find(|s| *s != OutcomeState::Observed) {
        None | Some(OutcomeState::Observed) => 0,
        Some(OutcomeState::Refused) if !part => REFUSED,
        Some(OutcomeState::Refused | OutcomeState::Failed) => FAILED,
        Some(OutcomeState::Unknown | OutcomeState::Sent | OutcomeState::Accepted | OutcomeState::Running) => UNKNOWN,
    }
}
