//! Mail by SMTP. A single notice is a message in the thread of its alert; several that wait are one message.

mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use strum::{EnumIter, EnumString, IntoStaticStr};

use super::{Delivery, Failure, SecretRef, Sink, Telling, within};
use crate::domain::text::clean;

/// Notices in one message.
const BATCH: usize = 50;

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// How the connection is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum MailTls {
    /// Begins in the clear and must be able to go on encrypted.
    Starttls,
    /// Encrypted from the first byte.
    Tls,
    /// Never encrypted.
    None,
}

impl MailTls {
    /// The port where nothing else is said.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// A mail address that was checked, with or without a name: `NOC <noc@example.com>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mailbox(lettre::message::Mailbox);

impl Mailbox {
    /// Reads one.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is not a mail address", clean(text, 80));
        if text.chars().any(char::is_control) {
            return Err(wrong());
        }
        let mailbox: lettre::message::Mailbox = text.parse().map_err(|_| wrong())?;
        // Without them every server takes it, not only those with SMTPUTF8.
        if mailbox.email.to_string().is_ascii() { Ok(Self(mailbox)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// See [`super::Spec::Mail`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailSpec {
    /// Host name or address of the mail server.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Who sends.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Vec<Mailbox>,
    /// Who logs in, and where the password is. Never without TLS.
    pub login: Option<(String, SecretRef)>,
    /// Trusted instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// For a whole message.
    pub timeout: Duration,
}

pub(super) struct Mail {
    spec: MailSpec,
    watcher: Arc<str>,
    /// Of the message that is tried now: who has it already, or never will.
    done: (String, BTreeSet<usize>),
    /// Recipients that were refused for good while others were taken.
    refused: Option<String>,
}

impl Mail {
    pub(super) fn new(spec: MailSpec, watcher: Arc<str>) -> Self {
        Self { spec, watcher, done: (String::new(), BTreeSet::new()), refused: None }
    }

    async fn send(&mut self, tellings: &[Telling]) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (tellings.first(), tellings.last()) else { return Ok(()) };
        let key = format!("{}..{}", first.event_id, last.event_id);
        if self.done.0 != key {
            self.done = (key, BTreeSet::new());
        }
        let doing = format!("mail by {}:{}", self.spec.host, self.spec.port);
        let message = text::message(&self.spec.from.0, self.spec.to.iter().map(|m| &m.0), tellings, &self.watcher)
            .map_err(|e| Failure::never(format!("{doing}: the message can't be made: {e}")))?;
        let limit = self.spec.timeout;
        within(limit, &doing, async {
            let mut connection = self.connect(&doing).await?;
            let handed = self.hand_over(&mut connection, &doing, &message).await;
            // What counts is said: how it takes the goodbye does not matter.
            let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
            handed
        })
        .await
    }

    async fn connect(&self, doing: &str) -> Result<AsyncSmtpConnection, Failure> {
        let spec = &self.spec;
        let tls = match spec.tls {
            MailTls::None => None,
            MailTls::Starttls | MailTls::Tls => Some(self.trust(doing).await?),
        };
        let wrapped = tls.clone().filter(|_| spec.tls == MailTls::Tls);
        let hello = ClientId::default();
        let server = (spec.host.as_str(), spec.port);
        let connected = AsyncSmtpConnection::connect_tokio1(server, Some(spec.timeout), &hello, wrapped, None).await;
        let mut connection = connected.map_err(|e| failure(doing, "connecting", &e))?;
        if let Some(tls) = tls.filter(|_| spec.tls == MailTls::Starttls) {
            connection.starttls(tls, &hello).await.map_err(|e| failure(doing, "STARTTLS", &e))?;
        }
        if let Some((user, password)) = &spec.login {
            if spec.tls == MailTls::None {
                return Err(Failure::later(format!("{doing}: a password is never sent without TLS")));
            }
            let credentials = Credentials::new(user.clone(), password.read("password").await?);
            let answered = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            // Later, whatever it says: it may be the password's fault, and not the notice's. Without the other side's
            // words, which might repeat what was sent.
            answered.map_err(|e| {
                let code = e.status().map_or_else(|| "no way to log in that both know".to_owned(), |c| c.to_string());
                Failure::later(format!("{doing}: the login as {} was refused: {code}", clean(user, 80)))
            })?;
        }
        Ok(connection)
    }

    async fn trust(&self, doing: &str) -> Result<TlsParameters, Failure> {
        let (host, file) = (self.spec.host.clone(), self.spec.ca_file.clone());
        let made = tokio::task::spawn_blocking(move || {
            let mut builder = TlsParameters::builder(host);
            if let Some(file) = file {
                let failed = |e: &dyn fmt::Display| format!("ca-file {}: {e}", file.display());
                let pem = std::fs::read(&file).map_err(|e| failed(&e))?;
                let certificates = Certificate::from_pem(&pem).map_err(|e| failed(&e))?;
                builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificates);
            }
            builder.build().map_err(|e| e.to_string())
        });
        let made = made.await.unwrap_or_else(|e| Err(e.to_string()));
        made.map_err(|why| Failure::later(format!("{doing}: TLS: {why}")))
    }

    /// To all who don't have it yet. Some may be taken and others not.
    async fn hand_over(
        &mut self,
        connection: &mut AsyncSmtpConnection,
        doing: &str,
        message: &[u8],
    ) -> Result<(), Failure> {
        let from = MailFrom::new(Some(self.spec.from.0.email.clone()), Vec::new());
        connection.command(from).await.map_err(|e| failure(doing, "MAIL", &e))?;
        let (mut taken, mut refused, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for (i, to) in self.spec.to.iter().enumerate() {
            if self.done.1.contains(&i) {
                continue;
            }
            match connection.command(Rcpt::new(to.0.email.clone(), Vec::new())).await {
                Ok(_) => taken.push(i),
                Err(e) if e.is_permanent() => refused.push((i, failure(doing, &format!("RCPT {}", to.0.email), &e))),
                Err(e) if e.is_transient() => later.push(failure(doing, &format!("RCPT {}", to.0.email), &e)),
                Err(e) => return Err(failure(doing, "RCPT", &e)),
            }
        }
        if !taken.is_empty() {
            connection.command(Data).await.map_err(|e| failure(doing, "DATA", &e))?;
            connection.message(message).await.map_err(|e| failure(doing, "the message", &e))?;
            self.done.1.extend(taken);
        }
        let alone = self.done.1.is_empty() && later.is_empty();
        self.done.1.extend(refused.iter().map(|(i, _)| *i));
        self.refused = refused.first().map(|(_, f)| f.text.clone());
        match (later.into_iter().next(), refused.into_iter().next()) {
            (Some(failure), _) => Err(failure),
            (None, Some((_, failure))) if alone => {
                self.done.1.clear();
                Err(failure)
            }
            (None, _) => Ok(()),
        }
    }
}

impl Sink for Mail {
    fn deadline(&self) -> Duration {
        self.spec.timeout + Duration::from_secs(5)
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        Box::pin(self.send(tellings))
    }

    fn trouble(&self) -> Option<String> {
        self.refused.clone()
    }
}

/// 5xx of a command about the message: never; everything else may go away.
fn failure(doing: &str, step: &str, error: &lettre::transport::smtp::Error) -> Failure {
    let mut text = format!("{doing}: {step}: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    let text = clean(&text, 300);
    // A server that refuses to speak at all is not refusing this message.
    let greeting = matches!(step, "connecting" | "STARTTLS");
    if error.is_permanent() && !greeting { Failure::never(text) } else { Failure::later(text) }
}
