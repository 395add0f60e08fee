//! The subsystem `peerdeck`: JSON-RPC 2.0, one document a line.

mod report;

use std::sync::Arc;
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelWriteHalf};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::session::Visitor;
use super::shared::Shared;
use crate::domain::ids::PeerId;
use crate::domain::membership::MACHINES_MAX;
use crate::domain::text::clean;
use crate::domain::time::Time;
use crate::proto::membership::WireMembership;
use crate::proto::observe::WireIdentity;
use crate::proto::rpc::{
    Describe, ExecuteParams, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, ObserveParams, PARSE_ERROR, REFUSED,
    RelayParams, Request, Response,
};
use crate::proto::{DOCUMENT_MAX, VERSION, ms};
use report::Reporter;

/// Requests that may wait; a client that sends faster than it reads is cut off.
const WAITING_MAX: usize = 64;

/// How long a line may take to leave.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// Changes are gathered so long before they are reported.
const GATHER: Duration = Duration::from_millis(50);

/// Time between reports that an observer may ask for.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// What came from the client.
enum Incoming {
    Line(Vec<u8>),
    TooLong,
}

/// Serves one channel until its client closes it, or has sent everything and observes nothing.
pub(super) async fn serve(shared: Arc<Shared>, visitor: Visitor, channel: Channel<Msg>) {
    let (mut reader, writer) = channel.split();
    let (tx, lines) = mpsc::channel(WAITING_MAX);
    let over = shared.over.clone();
    let reading = tokio::spawn(async move {
        // Always drained: an unread channel would hold up the whole session.
        read_lines(reader.make_reader(), &tx).await;
    });
    tokio::select! {
        () = over.cancelled() => {}
        () = converse(&shared, &visitor, &writer, lines) => {}
    }
    reading.abort();
    close(&writer, 0).await;
}

/// Ends a channel properly.
pub(super) async fn close(writer: &ChannelWriteHalf<Msg>, status: u32) {
    // A client that has gone needs none of these.
    let farewell = async {
        let _ = writer.exit_status(status).await;
        let _ = writer.eof().await;
        let _ = writer.close().await;
    };
    let _ = timeout(Duration::from_secs(2), farewell).await;
}

async fn read_lines(reader: impl AsyncRead + Unpin, lines: &mpsc::Sender<Incoming>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        let (taken, ended) = match reader.fill_buf().await {
            Ok([]) | Err(_) => {
                // A last line without its end counts too.
                if !line.is_empty() {
                    let _ = lines.try_send(Incoming::Line(line));
                }
                return;
            }
            Ok(bytes) => {
                let end = bytes.iter().position(|b| *b == b'\n');
                line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
                (end.map_or(bytes.len(), |end| end + 1), end.is_some())
            }
        };
        reader.consume(taken);
        if line.len() > DOCUMENT_MAX {
            let _ = lines.try_send(Incoming::TooLong);
            return;
        }
        if ended && lines.try_send(Incoming::Line(std::mem::take(&mut line))).is_err() {
            return; // Too many at once: the channel is closed.
        }
    }
}

async fn converse(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    writer: &ChannelWriteHalf<Msg>,
    mut lines: mpsc::Receiver<Incoming>,
) {
    let out = writer.make_writer();
    tokio::pin!(out);
    let mut changed = shared.changed.subscribe();
    let mut observer: Option<Observer> = None;
    let mut open = true;
    while open || observer.is_some() {
        let due = observer.as_ref().map(|o| o.due);
        let heed = observer.as_ref().is_some_and(|o| !o.hurried);
        tokio::select! {
            line = lines.recv(), if open => match line {
                None => open = false,
                Some(Incoming::TooLong) => {
                    let why = format!("a line of more than {DOCUMENT_MAX} bytes; the connection ends");
                    send(&mut out, &Response::error(Value::Null, PARSE_ERROR, why)).await;
                    return;
                }
                Some(Incoming::Line(line)) => {
                    shared.thawed().await;
                    let answer = answer(shared, visitor, &mut observer, &line).await;
                    if let Some(answer) = answer && !send(&mut out, &answer).await {
                        return;
                    }
                }
            },
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
                o.due = Instant::now() + o.interval;
                changed.mark_unchanged();
                if !send(&mut out, &Request::notification("report", &report)).await {
                    return;
                }
            }
        }
        // A client that closed its side while observing has gone when nothing can be written any more.
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

/// The answer to one line; `None` for notifications and blank lines.
async fn answer(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    observer: &mut Option<Observer>,
    line: &[u8],
) -> Option<Response> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let value: Value = match crate::proto::read(line) {
        Ok(value) => value,
        Err(e) => return Some(Response::error(Value::Null, PARSE_ERROR, e.to_string())),
    };
    let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned();
    let request: Request = match serde_json::from_value(value) {
        Ok(request) => request,
        Err(e) => {
            let why = format!("not a request: {}", clean(&e.to_string(), 160));
            return Some(Response::error(id.unwrap_or(Value::Null), INVALID_REQUEST, why));
        }
    };
    if request.jsonrpc != "2.0" {
        let why = "not a request of JSON-RPC 2.0: `jsonrpc` must be \"2.0\"";
        return Some(Response::error(id.unwrap_or(Value::Null), INVALID_REQUEST, why));
    }
    let result = call(shared, visitor, observer, request).await;
    let id = id?;
    Some(match result {
        Ok(result) => Response::ok(id, &result),
        Err((code, why)) => Response::error(id, code, why),
    })
}

type Refusal = (i64, String);

async fn call(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    observer: &mut Option<Observer>,
    request: Request,
) -> Result<Value, Refusal> {
    match request.method.as_str() {
        "ping" => Ok(Value::Object(serde_json::Map::new())),
        "describe" => {
            let view = shared.view().await.ok_or_else(stopping)?;
            to_value(&describe(shared, visitor, &view))
        }
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
        "execute" => {
            let params: ExecuteParams = params(request.params)?;
            if !visitor.role.may_execute() {
                let role: &str = visitor.role.into();
                return Err((REFUSED, format!("{} may only look here (role {role})", visitor.name)));
            }
            let by = format!("{} from {}", visitor.name, visitor.from.ip());
            let result = shared.execute(&by, params).await.map_err(|why| (REFUSED, why))?;
            to_value(&result)
        }
        other => {
            let why = format!("no method `{}`; there are describe, observe, relay, ping and execute", clean(other, 40));
            Err((METHOD_NOT_FOUND, why))
        }
    }
}

fn describe(shared: &Shared, visitor: &Visitor, view: &super::cluster::View) -> Describe {
    let mut capabilities = vec!["observe".to_owned(), "relay".into()];
    if visitor.role.may_execute() {
        capabilities.extend(["execute.disconnect".to_owned(), "execute.reconnect".into()]);
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
