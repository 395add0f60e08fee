//! Notices as JSON by HTTP POST.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;

use super::http::{Poster, post};
use super::{Delivery, Failure, Remote, SecretRef, Sink, Telling, Url};

/// Names what is sent, so that the other side can tell a second delivery from a second notice.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// HMAC-SHA256 of the body: `sha256=<hex>`.
const SIGNATURE: HeaderName = HeaderName::from_static("x-peerdeck-signature");

/// See [`super::Spec::Webhook`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookSpec {
    /// Where to.
    pub target: Target,
    /// At most so many notices in one request. 1: an object each; more: always an array, of one too.
    pub batch: usize,
    /// Key of a signature over the body.
    pub hmac: Option<SecretRef>,
    /// Token, deadlines, trust.
    pub remote: Remote,
}

/// An address, or where it is: that of many a webhook is a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Stands in the fleet file.
    Known(Url),
    /// Stands elsewhere, and is read at each use.
    Secret(SecretRef),
}

pub(super) struct Webhook {
    spec: WebhookSpec,
    poster: Poster,
}

impl Webhook {
    pub(super) fn new(spec: WebhookSpec) -> Self {
        let poster = Poster::new(spec.remote.clone());
        Self { spec, poster }
    }

    async fn send(&mut self, tellings: &[Telling]) -> Result<(), Failure> {
        let url = match &self.spec.target {
            Target::Known(url) => url.clone(),
            Target::Secret(secret) => Url::parse(&secret.read("address").await?).map_err(Failure::later)?,
        };
        // One that takes objects gets one at a time, whatever is handed over.
        let size = self.spec.batch.max(1);
        for tellings in tellings.chunks(size) {
            let json: Vec<&str> = tellings.iter().map(|t| t.json.as_ref()).collect();
            let body = if size == 1 { json.concat() } else { format!("[{}]", json.join(",")) };
            let mut headers = self.poster.headers().await?;
            if let [telling] = tellings {
                let id = HeaderValue::from_str(&telling.event_id);
                headers.insert(KEY, id.map_err(|_| Failure::never("the event id is no header"))?);
            }
            self.sign(&mut headers, body.as_bytes()).await?;
            let client = self.poster.client(&url).await?;
            let secret = matches!(self.spec.target, Target::Secret(_));
            let open = self.poster.is_open() && self.spec.hmac.is_none() && !secret;
            post(client, &url, headers, body.into_bytes(), open, self.poster.timeout()).await?;
        }
        Ok(())
    }

    async fn sign(&self, headers: &mut HeaderMap, body: &[u8]) -> Result<(), Failure> {
        let Some(secret) = &self.spec.hmac else { return Ok(()) };
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.read("key of the signature").await?.as_bytes());
        let mut text = "sha256=".to_owned();
        for byte in hmac::sign(&key, body).as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
        let value = HeaderValue::from_str(&text).map_err(|_| Failure::never("the signature is no header"))?;
        headers.insert(SIGNATURE, value);
        Ok(())
    }
}

impl Sink for Webhook {
    fn deadline(&self) -> Duration {
        self.poster.deadline()
    }

    fn batch(&self) -> usize {
        self.spec.batch.max(1)
    }

    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        Box::pin(self.send(tellings))
    }
}
