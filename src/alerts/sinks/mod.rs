//! Where alerts go. Each sink takes notices in order and says whether it has them; whoever calls it keeps what it
//! has not confirmed, waits longer after each failure, and never lets one sink wait for another.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::alert::Notice;

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
}

/// See [`Spec::File`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSpec {
    /// Where.
    pub path: PathBuf,
}

/// Makes a way out of what the fleet file says of it. `watcher`: who tells, in what it sends. Nothing is opened or
/// connected to before something is handed over.
///
/// # Errors
/// When it can't be made at all, in words.
pub fn build(spec: &Spec, watcher: &str) -> Result<Box<dyn Sink>, String> {
    let _ = watcher;
    match spec {
        Spec::File(_) => Err("not there yet".to_owned()),
    }
}
