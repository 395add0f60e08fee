//! The native driver: JSON-RPC over the SSH subsystem `peerdeck`, one document a line.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use russh::keys::PublicKey;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use super::Profile;
use super::desk::{Desk, Gone};
use super::dial::Dialed;
use super::lines::{Lines, NoLine};
use crate::domain::command::CommandKind;
use crate::domain::command::{Command, OutcomeState};
use crate::domain::ids::PeerId;
use crate::domain::mesh::Cause;
use crate::domain::observation::{Fact, Observation};
use crate::domain::plan::{Basis, Plan};
use crate::domain::reach::{Endpoint, PeerEvent, PeerRequest};
use crate::domain::settings::{CommitId, Key, Past};
use crate::domain::text::{Line, clean};
use crate::domain::time::{human, millis};
use crate::proto::observe::Report;
use crate::proto::rpc::{
    ExecuteParams, ExecuteResult, HISTORY_MAX, History, HistoryParams, INVALID_PARAMS, INVALID_REQUEST,
    METHOD_NOT_FOUND, ObserveParams, REFUSED, REQUEST_MAX, RelayParams, Request, RpcError, SUBSYSTEM, TreeParams,
    WireBasis,
};
use crate::proto::settings::{WireEdit, wire_seen};
use crate::proto::{self, DOCUMENT_MAX, ProtoError};
use crate::ssh::net::{BoxStream, deadline};

/// The least patience for a report.
const PATIENCE: Duration = Duration::from_secs(5);

/// Patience ends on moments this far apart: peers that fall silent together are lost together.
const TOGETHER: Duration = Duration::from_millis(1024);

/// How long a command may be without an answer; then nobody can say what became of it.
const ANSWER: Duration = Duration::from_secs(10);

/// Questions for the past that may be without an answer.
const QUESTIONS_MAX: usize = 16;

/// How long the reason may take to follow the end of a channel.
const FAREWELL: Duration = Duration::from_millis(200);

/// A round trip is measured with each so many reports: it is for the eye, the reports tell whether the peer lives.
const PING_EACH: u32 = 5;

/// How often a peer reports when the peer has not said how often it reports.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why a connection ended or did not come about.
pub(super) struct Lost {
    pub(super) cause: Cause,
    pub(super) detail: String,
    pub(super) address: Option<SocketAddr>,
    /// Dialling again soon won't help.
    pub(super) wary: bool,
    /// An unknown host key, and whose it is.
    pub(super) unknown: Option<(String, u16, Box<PublicKey>)>,
}

/// A connected peer.
pub(super) struct Watch<'a> {
    endpoint: &'a Endpoint,
    profile: &'a Profile,
    dialed: Dialed,
    began: Instant,
    /// Known from the first report on.
    id: Option<PeerId>,
    interval: Duration,
    last_request: u64,
    ping: Option<(u64, Instant)>,
    /// Commands without an answer: their number by the number of the request, and until when to wait.
    commands: HashMap<u64, (u64, Instant)>,
    /// Questions for the past without an answer, as the commands.
    questions: HashMap<u64, (u64, Instant)>,
    /// The rows that the peer was last asked for.
    relayed: Vec<PeerId>,
    /// Whether it was last asked for its settings tree.
    tree: bool,
}

/// Any line that a peer can send.
#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Option<Report>,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<RpcError>,
}

/// Why reading a channel ends.
enum Stop {
    Lost(Lost),
    Gone,
    /// Facts were dropped: the state must be asked for anew, over a fresh channel.
    Again,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

type Writer = WriteHalf<BoxStream>;

impl<'a> Watch<'a> {
    pub(super) fn new(endpoint: &'a Endpoint, profile: &'a Profile, dialed: Dialed, began: Instant) -> Self {
        Self {
            endpoint,
            profile,
            dialed,
            began,
            id: None,
            interval: if profile.interval.is_zero() { INTERVAL } else { profile.interval },
            last_request: 0,
            ping: None,
            commands: HashMap::new(),
            questions: HashMap::new(),
            relayed: Vec::new(),
            tree: false,
        }
    }

    /// Observes until the connection ends. Says why, and whether the peer had reported.
    pub(super) async fn run(mut self, desk: &mut Desk) -> Result<(Lost, bool), Gone> {
        let stop = loop {
            let opened = desk.attend(self.dialed.session.subsystem(SUBSYSTEM)).await?;
            let stream = match opened {
                Ok(stream) => stream,
                Err(e) => break self.lost(e.cause, e.detail, false),
            };
            let (reader, mut writer) = tokio::io::split(stream);
            let mut lines = Lines::new(reader, DOCUMENT_MAX);
            match self.observe(desk, &mut lines, &mut writer).await {
                Stop::Again => {
                    desk.gap = false;
                    // Numbers of the old channel mean nothing on the new one.
                    self.ping = None;
                    self.give_up_commands(desk, "the channel was renewed before the peer answered");
                }
                Stop::Gone => return Err(Gone),
                Stop::Lost(lost) => break lost,
            }
        };
        self.give_up_commands(desk, "the connection ended before the peer answered");
        let connected = self.id.is_some();
        // Good-bye is said in passing: a peer that hangs must not hold up the next dial.
        tokio::spawn(self.dialed.session.close());
        Ok((stop, connected))
    }

    async fn observe(&mut self, desk: &mut Desk, lines: &mut Lines<ReadHalf<BoxStream>>, writer: &mut Writer) -> Stop {
        match self.observe_inner(desk, lines, writer).await {
            Ok(never) => match never {},
            Err(stop) => stop,
        }
    }

    async fn observe_inner(
        &mut self,
        desk: &mut Desk,
        lines: &mut Lines<ReadHalf<BoxStream>>,
        writer: &mut Writer,
    ) -> Result<std::convert::Infallible, Stop> {
        self.relayed.clone_from(&desk.relay);
        let params = ObserveParams {
            interval: millis(self.profile.interval),
            relay: serials(&self.relayed),
            as_what: self.profile.as_what.clone(),
        };
        let observing = self.call(writer, "observe", &params).await?;
        // A new channel knows nothing of what was asked on the one before.
        self.tree = false;
        self.ask_tree(desk.tree, writer).await?;
        let mut patience = deadline(self.patience(), TOGETHER);
        let mut next_ping = Instant::now();
        loop {
            if desk.gap && desk.is_clear() {
                return Err(Stop::Again);
            }
            let answer_due = self.commands.values().chain(self.questions.values()).map(|(_, due)| *due).min();
            tokio::select! {
                line = lines.next() => match line {
                    Ok(line) => {
                        if self.read(desk, line, observing)? {
                            let now = Instant::now();
                            patience = deadline(self.patience(), TOGETHER);
                            // With a report, not by a timer of its own: an idle console is not woken for it.
                            if now >= next_ping {
                                next_ping = now + self.interval * PING_EACH - self.interval / 2;
                                self.send_ping(writer).await?;
                            }
                        }
                    }
                    Err(e) => return Err(self.no_line(desk, e).await),
                },
                request = desk.next() => self.request(desk, writer, request?).await?,
                () = sleep_until(patience) => {
                    let why = format!("no report within {}", human(self.patience()));
                    return Err(self.stop(Cause::Timeout, &why, false));
                }
                () = sleep_until(answer_due.unwrap_or(patience)), if answer_due.is_some() => self.overdue(desk),
            }
        }
    }

    /// Handles one line. Whether it was a report.
    fn read(&mut self, desk: &mut Desk, line: &[u8], observing: u64) -> Result<bool, Stop> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(false);
        }
        let incoming = match proto::read::<Incoming>(line) {
            Ok(incoming) => incoming,
            // A notification that this version does not know may carry anything.
            Err(e) => match proto::read::<Request>(line) {
                Ok(other) if other.method != "report" => return Ok(false),
                Ok(_) | Err(_) => return Err(self.unparsed(desk, &e)),
            },
        };
        match (incoming.method.as_deref(), incoming.params) {
            (Some("report"), Some(report)) => self.report(desk, report).map(|()| true),
            (Some("report"), None) => {
                Err(self.unparsed(desk, &ProtoError::Malformed("a report without anything in it".into())))
            }
            (Some(_), _) => Ok(false),
            (None, _) => {
                self.answer(desk, &incoming.id, incoming.result, incoming.error, observing)?;
                Ok(false)
            }
        }
    }

    fn report(&mut self, desk: &mut Desk, report: Report) -> Result<(), Stop> {
        let observer = match &self.id {
            Some(id) => id.clone(),
            None => PeerId::unheard(self.endpoint.key.host.as_str(), self.endpoint.key.port),
        };
        let facts = match report.into_observations(&observer, desk.clock.now(), desk.clock.wall_ms()) {
            Ok(facts) => facts,
            Err(e) => return Err(self.unparsed(desk, &e)),
        };
        let identity = facts.iter().find_map(|o| match &o.fact {
            Fact::Identity(identity) => Some(identity.clone()),
            _ => None,
        });
        if let Some(identity) = identity {
            let expected = self.id.as_ref().or(self.endpoint.expected.as_ref());
            if let Some(expected) = expected.filter(|e| **e != identity.id && !e.is_unheard()) {
                let why = format!("another machine answers: {} ({}) instead of {expected}", identity.id, identity.host);
                return Err(self.stop(Cause::NotInCluster, &why, true));
            }
            if identity.id.as_str().is_empty() || identity.id.is_unheard() {
                return Err(self.unparsed(desk, &ProtoError::Malformed("an identity without a serial number".into())));
            }
            self.interval = identity.interval;
            if self.id.is_none() {
                self.id = Some(identity.id.clone());
                let (address, took) = (self.dialed.address, self.began.elapsed());
                desk.post(PeerEvent::Connected { address, took, id: identity.id });
            }
        } else if self.id.is_none() {
            return Err(self.unparsed(desk, &ProtoError::Malformed("the first report does not say who it is".into())));
        }
        desk.post(PeerEvent::Observed(facts));
        Ok(())
    }

    /// The answer to a request of ours.
    fn answer(
        &mut self,
        desk: &mut Desk,
        id: &Value,
        result: Option<Value>,
        error: Option<RpcError>,
        observing: u64,
    ) -> Result<(), Stop> {
        let Some(id) = id.as_u64() else { return Ok(()) };
        if let Some((ping, sent)) = self.ping
            && ping == id
        {
            self.ping = None;
            desk.post(PeerEvent::RoundTrip(sent.elapsed()));
        } else if let Some((command, _)) = self.commands.remove(&id) {
            let (state, detail, commit) = outcome(result, error);
            desk.outcome_of(command, state, &detail, commit);
        } else if let Some((question, _)) = self.questions.remove(&id) {
            desk.post(PeerEvent::History { id: question, past: past(result, error) });
        } else if id == observing
            && let Some(e) = error
        {
            let why = format!("the peer does not let itself be observed: {} ({})", clean(&e.message, 160), e.code);
            return Err(self.stop(Cause::Auth, &why, true));
        }
        Ok(())
    }

    async fn request(&mut self, desk: &mut Desk, writer: &mut Writer, request: PeerRequest) -> Result<(), Stop> {
        match request {
            PeerRequest::Relay(peers) => {
                desk.relay = peers;
                if desk.relay != self.relayed {
                    self.relayed.clone_from(&desk.relay);
                    let params = RelayParams { serials: serials(&self.relayed) };
                    self.call(writer, "relay", &params).await?;
                }
            }
            PeerRequest::Execute { id, plan } => {
                let params = execute(&plan);
                let size = proto::write(&params).len();
                if size > REQUEST_MAX {
                    let why = format!("nothing was sent: it is {size} bytes long, a peer takes {REQUEST_MAX}");
                    desk.outcome(id, OutcomeState::Refused, &format!("{why}; commit it in several parts"));
                    return Ok(());
                }
                match self.call(writer, "execute", &params).await {
                    Ok(request) => {
                        self.commands.insert(request, (id, Instant::now() + ANSWER));
                        desk.outcome(id, OutcomeState::Sent, "sent to the peer");
                    }
                    Err(stop) => {
                        desk.outcome(id, OutcomeState::Unknown, "the connection broke while the command was sent");
                        return Err(stop);
                    }
                }
            }
            // There is a connection, so neither changes anything.
            PeerRequest::DialNow | PeerRequest::TrustHostKey { .. } => {}
            PeerRequest::Tree(wanted) => {
                desk.tree = wanted;
                self.ask_tree(wanted, writer).await?;
            }
            PeerRequest::History { id, key } => self.ask_history(desk, writer, id, key.as_ref()).await?,
        }
        Ok(())
    }

    /// Asks for the settings tree, or for no more of it, where that differs from what was asked last.
    async fn ask_tree(&mut self, wanted: bool, writer: &mut Writer) -> Result<(), Stop> {
        if self.tree != wanted {
            self.tree = wanted;
            self.call(writer, "tree", &TreeParams { wanted }).await?;
        }
        Ok(())
    }

    async fn ask_history(
        &mut self,
        desk: &mut Desk,
        writer: &mut Writer,
        id: u64,
        key: Option<&Key>,
    ) -> Result<(), Stop> {
        if self.questions.len() >= QUESTIONS_MAX {
            let host = &self.endpoint.key.host;
            let why = format!("{QUESTIONS_MAX} questions to {host} wait for an answer already; ask again in a moment");
            desk.post(PeerEvent::History { id, past: Err(Line::new(&why)) });
            return Ok(());
        }
        let params = HistoryParams { key: key.map(ToString::to_string).unwrap_or_default(), limit: 0 };
        match self.call(writer, "history", &params).await {
            Ok(request) => {
                self.questions.insert(request, (id, Instant::now() + ANSWER));
                Ok(())
            }
            Err(stop) => {
                let why = format!("the connection to {} broke while it was asked", self.endpoint.key.host);
                desk.post(PeerEvent::History { id, past: Err(Line::new(&why)) });
                Err(stop)
            }
        }
    }

    async fn send_ping(&mut self, writer: &mut Writer) -> Result<(), Stop> {
        // One that is still on its way measures the longer round trip; the reports decide whether the peer lives.
        if self.ping.is_none() {
            let sent = Instant::now();
            let id = self.call(writer, "ping", &Value::Null).await?;
            self.ping = Some((id, sent));
        }
        Ok(())
    }

    /// Sends a request; its number.
    async fn call<P: serde::Serialize>(&mut self, writer: &mut Writer, method: &str, params: &P) -> Result<u64, Stop> {
        self.last_request += 1;
        let id = self.last_request;
        let mut line = proto::write(&Request::call(id, method, params));
        line.push(b'\n');
        let limit = self.profile.deadlines.channel;
        match timeout(limit, writer.write_all(&line)).await {
            Ok(Ok(())) => Ok(id),
            Ok(Err(_)) => Err(self.ended("").await),
            Err(_) => {
                let why = format!("the peer took no request within {}", human(limit));
                Err(self.stop(Cause::Timeout, &why, false))
            }
        }
    }

    fn overdue(&mut self, desk: &mut Desk) {
        let now = Instant::now();
        let late: Vec<u64> = self.commands.iter().filter(|(_, (_, due))| *due <= now).map(|(id, _)| *id).collect();
        for request in late {
            if let Some((id, _)) = self.commands.remove(&request) {
                let why = format!("the peer did not answer within {}; look at what it reports", human(ANSWER));
                desk.outcome(id, OutcomeState::Unknown, &why);
            }
        }
        let late: Vec<u64> = self.questions.iter().filter(|(_, (_, due))| *due <= now).map(|(id, _)| *id).collect();
        for (id, _) in late.iter().filter_map(|request| self.questions.remove(request)).collect::<Vec<_>>() {
            let why = format!("{} did not answer within {}", self.endpoint.key.host, human(ANSWER));
            desk.post(PeerEvent::History { id, past: Err(Line::new(&why)) });
        }
    }

    fn give_up_commands(&mut self, desk: &mut Desk, why: &str) {
        for (_, (id, _)) in self.commands.drain() {
            desk.outcome(id, OutcomeState::Unknown, why);
        }
        for (_, (id, _)) in self.questions.drain() {
            desk.post(PeerEvent::History { id, past: Err(Line::new(why)) });
        }
    }

    fn patience(&self) -> Duration {
        (self.interval * 3).max(PATIENCE)
    }

    async fn no_line(&self, desk: &mut Desk, e: NoLine) -> Stop {
        match e {
            NoLine::End { torn: false } => self.ended("").await,
            NoLine::End { torn: true } => self.ended(" in the middle of a line").await,
            NoLine::TooLong => {
                let why = format!("a line of more than {DOCUMENT_MAX} bytes");
                self.unparsed(desk, &ProtoError::TooLarge(why))
            }
            NoLine::Broken(e) => self.stop(Cause::Dropped, &clean(&e.to_string(), 160), false),
        }
    }

    /// The stream ended: the session knows why, if it has ended too.
    async fn ended(&self, torn: &str) -> Stop {
        // A farewell with its reason may follow the end of the channel.
        let _ = timeout(FAREWELL, self.dialed.session.closed()).await;
        if !self.dialed.session.is_closed() {
            return self.stop(Cause::Dropped, &format!("the peer closed the channel{torn}"), false);
        }
        let (cause, why) = self.dialed.session.ending();
        Stop::Lost(self.lost(cause, format!("{why}{torn}"), false))
    }

    /// Tells what could not be read, and ends the connection.
    fn unparsed(&self, desk: &mut Desk, e: &ProtoError) -> Stop {
        let observer = match (&self.id, &self.endpoint.expected) {
            (Some(id), _) | (None, Some(id)) => id.clone(),
            (None, None) => PeerId::unheard(self.endpoint.key.host.as_str(), self.endpoint.key.port),
        };
        let why = Line::new(&e.to_string());
        let fact = Fact::Unparsed { why };
        desk.post(PeerEvent::Observed(vec![Observation { at: desk.clock.now(), observer, fact }]));
        let cause = match e {
            ProtoError::TooNew(_) => Cause::Version,
            ProtoError::Malformed(_) | ProtoError::TooLarge(_) => Cause::Dropped,
        };
        self.stop(cause, &format!("its answer is not taken: {e}"), true)
    }

    fn stop(&self, cause: Cause, why: &str, wary: bool) -> Stop {
        let key = &self.endpoint.key;
        Stop::Lost(self.lost(cause, format!("{}:{}: {why}", key.host, key.port), wary))
    }

    fn lost(&self, cause: Cause, detail: String, wary: bool) -> Lost {
        Lost { cause, detail, address: self.dialed.address, wary, unknown: None }
    }
}

fn serials(peers: &[PeerId]) -> Vec<String> {
    peers.iter().map(ToString::to_string).collect()
}

fn execute(plan: &Plan) -> ExecuteParams {
    let peer = plan.command.target();
    let lasting = match &plan.command {
        Command::MaintenanceOn { lasting, .. } => Some(crate::proto::ms(*lasting)),
        Command::Disconnect { .. }
        | Command::Reconnect { .. }
        | Command::MaintenanceOff { .. }
        | Command::Ha { .. }
        | Command::Commit { .. } => None,
    };
    let act = match &plan.command {
        Command::Ha { act, .. } => Some(act.as_str().to_owned()),
        Command::Disconnect { .. }
        | Command::Reconnect { .. }
        | Command::MaintenanceOn { .. }
        | Command::MaintenanceOff { .. }
        | Command::Commit { .. } => None,
    };
    let edits = match &plan.command {
        Command::Commit { edits, .. } => edits.iter().map(WireEdit::from).collect(),
        Command::Disconnect { .. }
        | Command::Reconnect { .. }
        | Command::MaintenanceOn { .. }
        | Command::MaintenanceOff { .. }
        | Command::Ha { .. } => Vec::new(),
    };
    let Basis { membership, detached, maintenance, links, ha, settings } = &plan.basis;
    ExecuteParams {
        command: <&str>::from(CommandKind::from(&plan.command)).to_owned(),
        peer: peer.to_string(),
        reason: plan.command.reason().to_string(),
        lasting,
        act,
        edits,
        basis: WireBasis {
            membership: *membership,
            detached: Some(*detached),
            maintenance: Some(*maintenance),
            links: links.iter().map(|(id, up)| (id.to_string(), *up)).collect(),
            ha: ha.map(|(role, epoch)| (role.as_str().to_owned(), epoch)),
            settings: wire_seen(settings),
        },
    }
}

/// What a peer's answer to a command means; of a commit that it took, its name.
fn outcome(result: Option<Value>, error: Option<RpcError>) -> (OutcomeState, String, Option<CommitId>) {
    if let Some(e) = error {
        let state = match e.code {
            REFUSED | METHOD_NOT_FOUND | INVALID_PARAMS | INVALID_REQUEST => OutcomeState::Refused,
            _ => OutcomeState::Failed,
        };
        return (state, e.message, None);
    }
    let result = result.and_then(|r| serde_json::from_value::<ExecuteResult>(r).ok()).unwrap_or_default();
    let state = match result.state.as_str() {
        // `observed` too: whether the new state is there, only an observation can say.
        "accepted" | "observed" | "sent" => OutcomeState::Accepted,
        "running" => OutcomeState::Running,
        "refused" => OutcomeState::Refused,
        "failed" => OutcomeState::Failed,
        _ => OutcomeState::Unknown,
    };
    // The first commit of an actor is number one: without that nobody could ever be told to have it.
    let named = result.commit.filter(|(actor, seq)| !actor.is_empty() && *seq > 0);
    (state, result.detail, named.map(|(actor, seq)| CommitId { actor: Line::new(&actor), seq }))
}

/// What a peer's answer to a question for the past means.
fn past(result: Option<Value>, error: Option<RpcError>) -> Result<Vec<Past>, Line> {
    if let Some(e) = error {
        return Err(Line::new(&format!("the peer does not tell: {}", e.message)));
    }
    let wrong = |why: &dyn std::fmt::Display| Line::new(&format!("the answer can't be read: {why}"));
    let history: History = serde_json::from_value(result.unwrap_or_default()).map_err(|e| wrong(&e))?;
    if history.past.len() > HISTORY_MAX {
        return Err(wrong(&format!("{} versions, {HISTORY_MAX} are taken", history.past.len())));
    }
    let mut past = Vec::with_capacity(history.past.len());
    for version in history.past {
        past.extend(version.into_past().map_err(|e| wrong(&e))?);
    }
    Ok(past)
}
