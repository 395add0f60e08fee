//! The subsystem `peerdeck`: JSON-RPC 2.0, one document a line.

mod report;
mod tree;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use russh::ChannelWriteHalf;
use russh::server::Msg;
use serde_json::Value;
use strum::IntoEnumIterator;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};

use super::session::{Stream, Visitor};
use super::shared::Shared;
use crate::domain::command::CommandKind;
use crate::domain::ids::PeerId;
use crate::domain::membership::MACHINES_MAX;
use crate::domain::settings::Key;
use crate::domain::text::clean;
use crate::domain::time::Time;
use crate::proto::membership::WireMembership;
use crate::proto::observe::WireIdentity;
use crate::proto::rpc::{
    Describe, ExecuteParams, ExecuteResult, HISTORY_MAX, History, HistoryParams, INVALID_PARAMS, INVALID_REQUEST,
    METHOD_NOT_FOUND, ObserveParams, PARSE_ERROR, REFUSED, RelayParams, Request, Response, TreeParams,
};
use crate::proto::settings::WirePast;
use crate::proto::{DOCUMENT_MAX, PARTS_MAX, VERSION, ms};
use report::Reporter;

/// Requests that may wait; a client that sends faster than it reads is cut off.
const WAITING_MAX: usize = 64;

/// Requests that are worked on at a time; they are answered as they are done.
const IN_FLIGHT: usize = 16;

/// Longest line of a client that may only look, in bytes: its requests are small. Those who may act send whole commits.
const LINE_MAX: usize = 64 * 1024;

/// Most bytes of an answer to `history`: the oldest versions are left out.
const HISTORY_BYTES: usize = 2 * 1024 * 1024;

/// How long a line may take to leave.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// Changes are gathered so long before they are reported.
const GATHER: Duration = Duration::from_millis(50);

/// Time between reports that an observer may ask for.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// What came from the client.
enum Incoming {
    /// With its place among the bytes that may wait.
    Line(Vec<u8>, Option<OwnedSemaphorePermit>),
    /// What comes then is not read any more.
    Refused(String),
}

/// An answer that is being worked out; `None` for a notification.
type Answering<'a> = Pin<Box<dyn Future<Output = Option<Response>> + Send + 'a>>;

/// Serves one channel until its client closes it, or has sent everything and observes nothing.
pub(super) async fn serve(shared: Arc<Shared>, visitor: Visitor, stream: Stream) {
    let (half, gone) = (stream.half(), stream.gone());
    let (reader, mut writer) = tokio::io::split(stream);
    let (tx, lines) = mpsc::channel(WAITING_MAX);
    let line_max = if visitor.role.may_execute() { DOCUMENT_MAX } else { LINE_MAX };
    let reading = tokio::spawn(read_lines(reader, tx, line_max));
    tokio::select! {
        () = shared.over.cancelled() => {}
        () = gone.cancelled() => {}
        () = converse(&shared, &visitor, &mut writer, lines) => {}
    }
    close(&half, 0).await;
    reading.abort();
}

/// Ends a channel properly.
pub(super) async fn close(half: &ChannelWriteHalf<Msg>, status: u32) {
    // A client that has gone needs none of these.
    let farewell = async {
        let _ = half.exit_status(status).await;
        let _ = half.eof().await;
        let _ = half.close().await;
    };
    let _ = timeout(Duration::from_secs(2), farewell).await;
}

/// Reads until the client's end; what follows something that is refused is taken in and thrown away.
async fn read_lines(reader: impl AsyncRead + Unpin, lines: mpsc::Sender<Incoming>, line_max: usize) {
    // Two of the longest lines may wait, or many short ones.
    let room = Arc::new(Semaphore::new(2 * line_max + WAITING_MAX));
    let place = |line: &[u8]| {
        let size = u32::try_from(line.len()).unwrap_or(u32::MAX);
        Arc::clone(&room).try_acquire_many_owned(size).ok()
    };
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        let (taken, ended) = match reader.fill_buf().await {
            Ok([]) => {
                // A last line without its end counts too.
                if !line.is_empty() {
                    let place = place(&line);
                    let _ = lines.try_send(Incoming::Line(line, place));
                }
                return;
            }
            Err(e) => {
                let _ = lines.try_send(Incoming::Refused(e.to_string()));
                return;
            }
            Ok(bytes) => {
                let end = bytes.iter().position(|b| *b == b'\n');
                line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
                (end.map_or(bytes.len(), |end| end + 1), end.is_some())
            }
        };
        reader.consume(taken);
        let why = if line.len() > line_max {
            format!("a line of more than {line_max} bytes; the channel is closed")
        } else if !ended {
            continue;
        } else if lines.capacity() > 1 {
            if let Some(place) = place(&line) {
                // The last place is for the refusal.
                let _ = lines.try_send(Incoming::Line(std::mem::take(&mut line), Some(place)));
                continue;
            }
            format!("requests of more than {} bytes wait; the channel is closed", 2 * line_max)
        } else {
            format!("more than {} requests wait; the channel is closed", WAITING_MAX - 1)
        };
        let _ = lines.try_send(Incoming::Refused(why));
        let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
        return;
    }
}

async fn converse(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    out: &mut (impl AsyncWrite + Unpin),
    mut lines: mpsc::Receiver<Incoming>,
) {
    let mut changed = shared.changed.subscribe();
    let mut observer: Option<Observer> = None;
    let mut answering: FuturesUnordered<Answering> = FuturesUnordered::new();
    let mut open = true;
    while open || observer.is_some() || !answering.is_empty() {
        let due = observer.as_ref().map(|o| o.due);
        let heed = observer.as_ref().is_some_and(|o| !o.hurried);
        tokio::select! {
            line = lines.recv(), if open && answering.len() < IN_FLIGHT => match line {
                None => open = false,
                Some(Incoming::Refused(why)) => {
                    send(out, &Response::error(Value::Null, INVALID_REQUEST, why)).await;
                    return;
                }
                Some(Incoming::Line(line, _place)) => {
                    shared.thawed().await;
                    let answer = match begin(shared, visitor, &mut observer, &line) {
                        Begun::Nothing => None,
                        Begun::Answered(answer) => Some(answer),
                        Begun::Later(work) => {
                            answering.push(work);
                            None
                        }
                    };
                    if let Some(answer) = answer && !send(out, &answer).await {
                        return;
                    }
                }
            },
            Some(answer) = answering.next() => {
                if let Some(answer) = answer && !send(out, &answer).await {
                    return;
                }
            }
            () = wait_changed(&mut changed), if heed => {
                if let Some(o) = &mut observer {
                    o.hurried = true;
                    o.due = o.due.min(Instant::now() + GATHER);
                }
            }
            () = sleep_until(due), if due.is_some() => {
                shared.thawed().await;
                let Some(o) = &mut observer else { continue };
                let Some(view) = shared.view().await else { return };
                let report = o.reporter.report(shared, &view);
                o.hurried = false;
                // The next part of a tree follows at once: the core is asked anew for each, in turn with everybody else.
                o.due = Instant::now() + if o.reporter.has_more() { Duration::ZERO } else { o.interval };
                changed.mark_unchanged();
                if !send(out, &Request::notification("report", &report)).await {
                    return;
                }
            }
        }
    }
}

async fn wait_changed(changed: &mut watch::Receiver<u64>) {
    if changed.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Writes one document; false when it can't be written in time.
async fn send<T: serde::Serialize>(out: &mut (impl AsyncWrite + Unpin), document: &T) -> bool {
    let mut line = crate::proto::write(document);
    line.push(b'\n');
    let write = async {
        out.write_all(&line).await?;
        out.flush().await
    };
    matches!(timeout(WRITE_LIMIT, write).await, Ok(Ok(())))
}

/// An observer of this connection.
struct Observer {
    reporter: Reporter,
    interval: Duration,
    due: Instant,
    /// A change is waiting to be told.
    hurried: bool,
    _listed: super::shared::OperatorGuard,
}

/// What became of one line at once.
enum Begun<'a> {
    /// A blank line, or a notification that is done.
    Nothing,
    Answered(Response),
    /// The core is asked.
    Later(Answering<'a>),
}

/// Begins what one line asks for.
fn begin<'a>(shared: &'a Arc<Shared>, visitor: &'a Visitor, observer: &mut Option<Observer>, line: &[u8]) -> Begun<'a> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Begun::Nothing;
    }
    let value: Value = match crate::proto::read(line) {
        Ok(value) => value,
        Err(e) => return Begun::Answered(Response::error(Value::Null, PARSE_ERROR, e.to_string())),
    };
    if value.is_array() {
        let why = "batches are not taken: send one request a line";
        return Begun::Answered(Response::error(Value::Null, INVALID_REQUEST, why));
    }
    let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned();
    let request: Request = match serde_json::from_value(value) {
        Ok(request) => request,
        Err(e) => {
            let why = format!("not a request: {}", clean(&e.to_string(), 160));
            return Begun::Answered(Response::error(id.unwrap_or(Value::Null), INVALID_REQUEST, why));
        }
    };
    if request.jsonrpc != "2.0" {
        let why = "not a request of JSON-RPC 2.0: `jsonrpc` must be \"2.0\"";
        return Begun::Answered(Response::error(id.unwrap_or(Value::Null), INVALID_REQUEST, why));
    }
    let result = match request.method.as_str() {
        "describe" | "execute" | "history" => {
            return Begun::Later(Box::pin(async move {
                let result = ask_core(shared, visitor, request).await;
                id.map(|id| response(id, result))
            }));
        }
        _ => call(shared, visitor, observer, request),
    };
    id.map_or(Begun::Nothing, |id| Begun::Answered(response(id, result)))
}

fn response(id: Value, result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(result) => Response::ok(id, &result),
        Err((code, why)) => Response::error(id, code, why),
    }
}

type Refusal = (i64, String);

/// What only the core can answer: reports go on meanwhile.
async fn ask_core(shared: &Arc<Shared>, visitor: &Visitor, request: Request) -> Result<Value, Refusal> {
    if request.method == "describe" {
        let view = shared.view().await.ok_or_else(stopping)?;
        return to_value(&describe(shared, visitor, &view));
    }
    if request.method == "history" {
        let params: HistoryParams = params(request.params)?;
        return to_value(&history(shared, params).await?);
    }
    let params: ExecuteParams = params(request.params)?;
    let result = execute(shared, visitor, params).await.map_err(|why| (REFUSED, why))?;
    to_value(&result)
}

/// What a register was, or all of them; as much as fits into one document.
async fn history(shared: &Shared, params: HistoryParams) -> Result<History, Refusal> {
    let key = match params.key.as_str() {
        "" => None,
        text => {
            let unknown = |e| (INVALID_PARAMS, format!("`{}`: {e}", clean(text, 80)));
            Some(text.parse::<Key>().map_err(unknown)?)
        }
    };
    let wanted = usize::try_from(params.limit).unwrap_or(HISTORY_MAX);
    let limit = if wanted == 0 { HISTORY_MAX } else { wanted.min(HISTORY_MAX) };
    let past = shared.history(key, limit).await.ok_or_else(stopping)?;
    let (mut bytes, mut parts) = (0, 0);
    let fits = |past: &WirePast| {
        let text = crate::proto::write(past);
        bytes += text.len();
        parts += text.iter().filter(|b| matches!(b, b'{' | b'[')).count();
        bytes <= HISTORY_BYTES && parts <= PARTS_MAX / 2
    };
    Ok(History { past: past.iter().take(limit).map(WirePast::from).take_while(fits).collect() })
}

/// Gives a command to the core, if its author may give any.
pub(super) async fn execute(
    shared: &Shared,
    visitor: &Visitor,
    params: ExecuteParams,
) -> Result<ExecuteResult, String> {
    if !visitor.role.may_execute() {
        let role: &str = visitor.role.into();
        return Err(format!("{} may only look here (role {role})", visitor.name));
    }
    let by = format!("{} from {}", visitor.name, visitor.from.ip());
    shared.execute(&by, params).await
}

fn call(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    observer: &mut Option<Observer>,
    request: Request,
) -> Result<Value, Refusal> {
    match request.method.as_str() {
        "ping" => Ok(Value::Object(serde_json::Map::new())),
        "observe" => {
            let params: ObserveParams = params(request.params)?;
            let wanted = Duration::from_millis(params.interval);
            let own = shared.setup.report_interval;
            let interval =
                if wanted.is_zero() { own } else { wanted.clamp(INTERVAL_MIN.min(own), Duration::from_hours(1)) };
            let what = if params.as_what.is_empty() { "observer".into() } else { clean(&params.as_what, 40) };
            *observer = Some(Observer {
                reporter: Reporter::new(interval, serials(&params.relay)),
                interval,
                due: Instant::now(),
                hurried: false,
                _listed: shared.operator(&visitor.name, &visitor.from.to_string(), &what),
            });
            to_value(&serde_json::json!({ "interval": ms(interval) }))
        }
        "relay" => {
            let params: RelayParams = params(request.params)?;
            let Some(o) = observer else {
                return Err((INVALID_REQUEST, "`relay` is for those that observe: call `observe` first".into()));
            };
            o.reporter.relay(serials(&params.serials));
            o.due = o.due.min(Instant::now() + GATHER);
            Ok(Value::Object(serde_json::Map::new()))
        }
        "tree" => {
            let params: TreeParams = params(request.params)?;
            let Some(o) = observer else {
                return Err((INVALID_REQUEST, "`tree` is for those that observe: call `observe` first".into()));
            };
            o.reporter.tree(params.wanted);
            if params.wanted {
                o.due = Instant::now();
            }
            Ok(Value::Object(serde_json::Map::new()))
        }
        other => {
            let there = "describe, observe, relay, tree, history, ping and execute";
            let why = format!("no method `{}`; there are {there}", clean(other, 40));
            Err((METHOD_NOT_FOUND, why))
        }
    }
}

fn describe(shared: &Shared, visitor: &Visitor, view: &super::cluster::View) -> Describe {
    let mut capabilities = vec!["observe".to_owned(), "relay".into(), "tree".into(), "history".into()];
    if visitor.role.may_execute() {
        let word = |kind: CommandKind| <&str>::from(kind);
        capabilities.extend(CommandKind::iter().map(|kind| format!("execute.{}", word(kind))));
    }
    Describe {
        v: VERSION,
        identity: identity(shared, view, shared.setup.report_interval),
        capabilities,
        membership: (!view.membership.machines.is_empty()).then(|| WireMembership::from(&*view.membership)),
    }
}

fn identity(shared: &Shared, view: &super::cluster::View, interval: Duration) -> WireIdentity {
    WireIdentity {
        serial: shared.keys.id.to_string(),
        host: view.host.to_string(),
        version: super::VERSION_TEXT.into(),
        level: view.row.level,
        boot: view.row.boot.0,
        interval: ms(interval),
    }
}

fn serials(raw: &[String]) -> Vec<PeerId> {
    raw.iter().take(MACHINES_MAX).map(|s| PeerId::new(s)).collect()
}

fn params<T: serde::de::DeserializeOwned + Default>(value: Value) -> Result<T, Refusal> {
    if value.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(value).map_err(|e| (INVALID_PARAMS, clean(&e.to_string(), 160)))
}

fn to_value<T: serde::Serialize>(value: &T) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|e| (REFUSED, e.to_string()))
}

fn stopping() -> Refusal {
    (REFUSED, "the peer is being stopped".into())
}

/// For the reports' stamps.
fn wire_time(t: Time) -> u64 {
    t.as_millis()
}
