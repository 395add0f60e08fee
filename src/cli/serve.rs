//! What a watch serves over HTTP, for those who watch the watcher: `/metrics`, `/healthz`, `/told/<id>` (D9). Only
//! looking: there is nothing here that changes anything.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::domain::Time;
use crate::domain::finding::FindingId;
use crate::domain::snapshot::Snapshot;
pub use crate::report::vitals::{SinkVitals, ToldOf, Vitals};
use crate::report::{self, metrics, vitals};

/// How the watch fares, shared by its loop, which writes, and those who ask, who read.
#[derive(Debug, Default)]
pub struct Health(Mutex<Vitals>);

impl Health {
    /// As the loop knows it at its start.
    #[must_use]
    pub fn new(vitals: Vitals) -> Self {
        Self(Mutex::new(vitals))
    }

    /// Notes something. Cheap; `note` must not wait for anything.
    pub fn note<T>(&self, note: impl FnOnce(&mut Vitals) -> T) -> T {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads something. Cheap; `read` must not wait for anything.
    pub fn read<T>(&self, read: impl FnOnce(&Vitals) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Connections at once; more are closed at once.
const CONNECTIONS_MAX: usize = 64;
/// How long the head of a request may take: whoever dawdles loses the connection.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long a connection may last, with all its requests.
const CONNECTION_DEADLINE: Duration = Duration::from_mins(2);
/// Longest head of a request in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Fields in the head of a request.
const FIELDS_MAX: usize = 64;
/// How long nobody is let in after the system refused to (out of file handles).
const PAUSE: Duration = Duration::from_millis(200);

const WELCOME: &str = "peerdeck watch: /metrics (Prometheus), /healthz (200 or 503; ?json), /told/<id> (200 or 404)\n";

/// Serves until it is dropped. Never fails: a caller that misbehaves loses its connection.
pub async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    clock: Arc<dyn Clock>,
) {
    let desk = Desk { health, snapshots, clock };
    let mut callers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) if callers.len() < CONNECTIONS_MAX => {
                    callers.spawn(attend(socket, desk.clone()));
                }
                Ok(_) => tracing::debug!("more than {CONNECTIONS_MAX} connections: one is closed"),
                Err(e) => {
                    tracing::warn!("no connection is let in: {e}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = callers.join_next(), if !callers.is_empty() => {}
        }
    }
}

/// What is needed to answer.
#[derive(Clone)]
struct Desk {
    health: Arc<Health>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    clock: Arc<dyn Clock>,
}

async fn attend(socket: TcpStream, desk: Desk) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = desk.answer(request.method(), request.uri().path(), request.uri().query());
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        .serve_connection(TokioIo::new(socket), service);
    // However it ends, there is nobody to tell.
    let _ = tokio::time::timeout(CONNECTION_DEADLINE, served).await;
}

impl Desk {
    fn answer(&self, method: &Method, path: &str, query: Option<&str>) -> Response<Full<Bytes>> {
        if method != Method::GET && method != Method::HEAD {
            let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let now = self.clock.now();
        match path {
            "/" => page(StatusCode::OK, TEXT, WELCOME.to_owned()),
            "/metrics" => {
                let snapshot = self.snapshots.borrow().clone();
                let vitals = self.health.read(Vitals::clone);
                page(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&snapshot, &vitals, now))
            }
            "/healthz" => self.healthz(now, query == Some("json")),
            other => match other.strip_prefix("/told/").and_then(decode) {
                Some(id) => self.told(&id),
                None => page(StatusCode::NOT_FOUND, TEXT, format!("nothing here; {WELCOME}")),
            },
        }
    }

    fn healthz(&self, now: Time, json: bool) -> Response<Full<Bytes>> {
        let (doc, reasons) = self.health.read(|v| (vitals::health(v, now), v.troubles(now)));
        let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        if json {
            return page(status, JSON, report::document(&doc));
        }
        let text = if reasons.is_empty() { "ok\n".to_owned() } else { reasons.join("\n") + "\n" };
        page(status, TEXT, text)
    }

    fn told(&self, id: &str) -> Response<Full<Bytes>> {
        match self.health.read(|v| vitals::told(v, &FindingId::named(id))) {
            Some(doc) => page(StatusCode::OK, JSON, report::line(&doc)),
            None => page(StatusCode::NOT_FOUND, TEXT, "nothing was told of it\n".to_owned()),
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

fn page(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// `%2F` as `/` and so on; `None` where that is no text.
fn decode(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        out.push(hex(bytes.next()?)? * 16 + hex(bytes.next()?)?);
    }
    String::from_utf8(out).ok()
}

/// `id` as it stands behind `/told/`.
#[must_use]
pub fn told_path(id: &FindingId) -> String {
    let mut out = String::from("/told/");
    for b in id.as_str().bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/') {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decode, told_path};
    use crate::domain::finding::FindingId;

    proptest! {
        #[test]
        fn d9_a_path_leads_back_to_its_id(text in "\\PC{0,60}") {
            let id = FindingId::named(&text);
            let path = told_path(&id);
            prop_assert!(path.is_ascii() && !path.contains(['?', '#', ' ']));
            prop_assert_eq!(decode(path.strip_prefix("/told/").unwrap()), Some(id.to_string()));
        }

        #[test]
        fn d9_no_path_is_too_strange(path in "[%0-9a-fg/é]{0,20}") {
            let _ = decode(&path);
        }
    }
}
