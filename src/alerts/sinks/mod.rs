//! Where alerts go. Each sink takes notices in order and says whether it has them; whoever calls it keeps what it
//! has not confirmed, waits longer after each failure, and never lets one sink wait for another.

mod alertmanager;
mod command;
mod fields;
mod file;
mod http;
mod journald;
mod mail;
mod secret;
mod syslog;
mod tls;
mod webhook;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use alertmanager::AlertmanagerSpec;
pub use command::CommandSpec;
pub use file::FileSpec;
pub use http::{Remote, Url};
pub use journald::JournaldSpec;
pub use mail::{MailSpec, MailTls, Mailbox};
pub use secret::SecretRef;
pub use syslog::{Facility, SyslogSpec, Way};
pub use webhook::{Target, WebhookSpec};

use crate::domain::alert::Notice;
use crate::domain::time::human;

/// A notice with the forms that every sink may need.
#[derive(Clone, Debug)]
pub struct Telling {
    /// The same at every delivery of this notice, and no other's: `<watcher>-<seq>`.
    pub event_id: String,
    /// What is told.
    pub notice: Notice,
    /// One line of JSON, as `watch --json` prints it, without the line end.
    pub json: Arc<str>,
    /// One line for people, without the line end.
    pub text: Arc<str>,
}

/// Why a sink has not taken what it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What was tried, where, and why it failed; no secret in it.
    pub text: String,
    /// Whether it may succeed later. What can't is counted as dropped and told, not tried for ever.
    pub again: Again,
}

/// Whether something that failed is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// After a while.
    Later,
    /// Not before so long, as the other side asked for.
    After(Duration),
    /// The other side has refused this for good.
    Never,
}

impl Failure {
    /// One that may go away.
    #[must_use]
    pub fn later(text: impl Into<String>) -> Self {
        Self { text: text.into(), again: Again::Later }
    }

    /// One that will not.
    #[must_use]
    pub fn never(text: impl Into<String>) -> Self {
        Self { text: text.into(), again: Again::Never }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What comes of handing something over.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// The sign of life, in the forms that sinks need.
#[derive(Clone, Debug)]
pub struct Beat {
    /// One line of JSON, without the line end.
    pub json: Arc<str>,
    /// One line for people, without the line end.
    pub text: Arc<str>,
}

/// One way out. It has a deadline for everything it waits for, and may be dropped at any await.
pub trait Sink: Send {
    /// How many notices it takes at once, at least 1.
    fn batch(&self) -> usize {
        1
    }

    /// It gives up by itself before so long: whoever waits for a delivery need not be less patient.
    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Hands `tellings` over, in order. `Ok`: the other side has all of them, as far as its protocol can say.
    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a>;

    /// Says that the watch lives. Most sinks tell alerts only.
    fn beat<'a>(&'a mut self, _beat: &'a Beat) -> Delivery<'a> {
        Box::pin(async { Ok(()) })
    }

    /// Called now and then with everything that is raised and told, for other sides that forget what they are not
    /// reminded of; `None`: never.
    fn reminder(&self) -> Option<Duration> {
        None
    }

    /// What is wrong though deliveries succeed, as one of two other sides that is down; `None`: nothing.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Reminds the other side of all that is raised; what is not there is over.
    fn remind<'a>(&'a mut self, _raised: &'a [Telling]) -> Delivery<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// What a sink is, as the fleet file says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spec {
    /// Lines into a file that is rotated.
    File(FileSpec),
    /// Entries of the systemd journal.
    Journald(JournaldSpec),
    /// RFC 5424 over UDP, TCP or TLS.
    Syslog(SyslogSpec),
    /// JSON by HTTP POST.
    Webhook(WebhookSpec),
    /// Alertmanager's API v2.
    Alertmanager(AlertmanagerSpec),
    /// Mail by SMTP.
    Mail(MailSpec),
    /// A program that is started for each notice.
    Command(CommandSpec),
}

/// Makes a way out of what the fleet file says of it. `watcher`: who tells, in what it sends. Nothing is opened or
/// connected to before something is handed over.
///
/// # Errors
/// When it can't be made at all, in words. None of today's can fail here.
pub fn build(spec: &Spec, watcher: &str) -> Result<Box<dyn Sink>, String> {
    let watcher: Arc<str> = watcher.into();
    Ok(match spec.clone() {
        Spec::File(spec) => Box::new(file::File::new(spec)),
        Spec::Journald(spec) => Box::new(journald::Journald::new(spec, watcher)),
        Spec::Syslog(spec) => Box::new(syslog::Syslog::new(spec, watcher)),
        Spec::Webhook(spec) => Box::new(webhook::Webhook::new(spec)),
        Spec::Alertmanager(spec) => Box::new(alertmanager::Alertmanager::new(spec, watcher)),
        Spec::Mail(spec) => Box::new(mail::Mail::new(spec, watcher)),
        Spec::Command(spec) => Box::new(command::Command::new(spec, watcher)),
    })
}

/// Waits for `what` no longer than `limit`; `doing` names it in the failure.
async fn within<T>(limit: Duration, doing: &str, what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, what).await {
        Ok(done) => done,
        Err(_) => Err(Failure::later(format!("{doing}: no answer within {}", human(limit)))),
    }
}
