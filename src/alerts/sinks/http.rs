//! What the sinks over HTTP share: one client with deadlines, that follows nothing, and what its answers mean.

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use super::{Again, Failure, SecretRef, tls, within};
use crate::domain::text::clean;

/// Longest wait that another side may ask for.
const AFTER_MAX: Duration = Duration::from_hours(1);

/// How much of a refusal is read, in bytes, to say why.
const REFUSAL_MAX: usize = 2_000;

/// A checked `http` or `https` address without a user or a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(reqwest::Url);

impl Url {
    /// Reads one.
    ///
    /// # Errors
    /// In words, without the text itself: it may have a secret in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(text).map_err(|e| format!("this is not an address (URL): {e}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the address (URL) must begin with http:// or https://".to_owned());
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("the address (URL) names no host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user or a password does not belong into an address (URL): use token-file, token-env or \
                        token-command"
                .to_owned());
        }
        Ok(Self(url))
    }

    /// With `path` behind its own.
    pub(super) fn join(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        Self(url)
    }

    fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for Url {
    /// Without path and query: those of many a webhook are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What all other sides over HTTP have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Sent as `Authorization: Bearer`.
    pub token: Option<SecretRef>,
    /// For a whole request; connecting may take half of it.
    pub timeout: Duration,
    /// Trusted instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
}

impl Default for Remote {
    fn default() -> Self {
        Self { token: None, timeout: Duration::from_secs(10), ca_file: None }
    }
}

/// Sends to other sides; the client is made when it is first needed.
pub(super) struct Poster {
    remote: Remote,
    plain: Option<Client>,
    tls: Option<Client>,
}

impl Poster {
    pub(super) fn new(remote: Remote) -> Self {
        Self { remote, plain: None, tls: None }
    }

    /// The client for `url`, cheap to clone.
    pub(super) async fn client(&mut self, url: &Url) -> Result<Client, Failure> {
        let slot = if url.is_tls() { &mut self.tls } else { &mut self.plain };
        if let Some(client) = slot {
            return Ok(client.clone());
        }
        let config = if url.is_tls() {
            let file = self.remote.ca_file.clone();
            let made = tokio::task::spawn_blocking(move || tls::client(file.as_deref()));
            made.await.unwrap_or_else(|e| Err(Failure::later(format!("TLS can't be had: {e}"))))?
        } else {
            tls::nobody()?
        };
        let made = Client::builder()
            .tls_backend_preconfigured(config)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(self.remote.timeout / 2)
            .timeout(self.remote.timeout)
            .user_agent(concat!("peerdeck/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = made.map_err(|e| Failure::later(format!("no HTTP client: {}", chain(&e))))?;
        *slot = Some(client.clone());
        Ok(client)
    }

    /// The headers that every request has.
    pub(super) async fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.remote.token {
            let token = token.read("token").await?;
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Failure::later("the token has characters that no header may have"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// Whether what the other side says may be repeated: nothing secret was sent that it could echo.
    pub(super) fn is_open(&self) -> bool {
        self.remote.token.is_none()
    }

    /// For a whole delivery: the request, and whatever says where the secrets are.
    pub(super) fn deadline(&self) -> Duration {
        self.remote.timeout + Duration::from_secs(40)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.remote.timeout
    }
}

/// Posts `body`; `open`: the other side's words may stand in a failure.
pub(super) async fn post(
    client: Client,
    url: &Url,
    headers: HeaderMap,
    body: Vec<u8>,
    open: bool,
    limit: Duration,
) -> Result<(), Failure> {
    let doing = format!("POST to {url}");
    let sent = client.post(url.0.clone()).headers(headers).body(body).send();
    // The client's own deadline covers look-ups only where the resolver gives way.
    within(limit + Duration::from_secs(1), &doing, async {
        let response = sent.await.map_err(|e| Failure::later(format!("{doing}: {}", chain(&e.without_url()))))?;
        judge(&doing, response, open).await
    })
    .await
}

async fn judge(doing: &str, response: Response, open: bool) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(retry_after);
    let mut text = format!("{doing}: answered {status}");
    if status.is_redirection() {
        text.push_str(" (redirects are not followed: give the address that it leads to)");
    } else if open {
        let said = said(response).await;
        if !said.is_empty() {
            text = format!("{text}: {said}");
        }
    }
    Err(Failure { text, again: again(status, after) })
}

/// Whether it is worth to try again. What is wrong with the address or the credentials may be mended without a new
/// notice: only what is wrong with the notice itself is given up.
fn again(status: StatusCode, after: Option<Duration>) -> Again {
    match (status.as_u16(), after) {
        (429 | 503, Some(after)) => Again::After(after.min(AFTER_MAX)),
        (401 | 403 | 404 | 407 | 408 | 421 | 423 | 425 | 429, _) => Again::Later,
        (400..=499, _) => Again::Never,
        _ => Again::Later,
    }
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    let until = Duration::from_millis(u64::try_from(until.as_millisecond()).ok()?);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(until.saturating_sub(now))
}

/// The begin of what the other side says.
async fn said(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < REFUSAL_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(REFUSAL_MAX)]),
            Ok(None) | Err(_) => break,
        }
    }
    clean(&String::from_utf8_lossy(&bytes), 200)
}

/// An error with what it comes from, which reqwest leaves out of its own words.
fn chain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer in time{}", if error.is_connect() { " (connecting)" } else { "" });
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    clean(&text, 300)
}
