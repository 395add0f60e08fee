//! What the console is started with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::past::Past;
use crate::app::palette::FaultKind;
use crate::app::{Diagnosis, DiagnosisRequest, Keymap};
use crate::cli::follow::ThemesNow;
use crate::cli::reload::Reload;
use crate::cli::shell::Shells;
use crate::config::Paths;
use crate::engine::runtime::Historian;
use crate::ui::Themes;

/// Finds out step by step why a peer is not reached.
pub type Diagnose = Arc<dyn Fn(DiagnosisRequest) -> BoxFuture<'static, Diagnosis> + Send + Sync>;

/// What the console is started with.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with each other")]
pub struct ConsoleOptions {
    /// The peers are those of an embedded lab.
    pub lab: bool,
    /// Name of the theme, whatever the fleet file says; `None`: the cluster's, else the terminal's own, or no colour
    /// where none is wanted.
    pub theme: Option<String>,
    /// The themes, and which cluster has which.
    pub themes: ThemesNow,
    /// What keys do.
    pub keymap: Keymap,
    /// What was wrong with files, to be told at the start.
    pub problems: Vec<String>,
    /// Brings what changes in files; `None`: nothing is followed.
    pub reload: Option<Reload>,
    /// Signs: ASCII or not; `None` asks the locale.
    pub ascii: Option<bool>,
    /// Whether times are UTC at the start.
    pub utc: bool,
    /// Whether new criticals sound the bell.
    pub bell: bool,
    /// Where what was typed into the palette is kept; `None` keeps nothing.
    pub history: Option<PathBuf>,
    /// Brings faults into the lab of this process, if there is one.
    pub faults: Option<Faults>,
    /// Where the audit log is; without it nothing can be done to peers.
    pub audit: Option<Paths>,
    /// Whether the terminal tells about the mouse at the start.
    pub mouse: bool,
    /// Whether the window's title tells how things stand.
    pub title: bool,
    /// How long the terminal may take to say how wide it draws signs; `None`: as near or far as it is.
    pub patience: Option<Duration>,
    /// Where screen dumps go; `None`: there are none.
    pub dumps: Option<PathBuf>,
    /// How a shell on a peer is opened; `None`: there is none.
    pub shells: Option<Shells>,
    /// Asks peers for the past of settings; `None`: nobody is asked.
    pub historian: Option<Historian>,
    /// What can be looked back into; `None`: nothing.
    pub past: Option<Past>,
    /// The pictures are those of a recording: there is no present.
    pub replay: bool,
    /// Where acknowledgements and silences stand: the state of the watch; `None`: nowhere.
    pub alarms: Option<PathBuf>,
    /// Who sits here, as `user@host`: the author of acknowledgements and silences.
    pub author: String,
    /// When the process started, for the log.
    pub started: Instant,
}

/// Faults of the lab in this process.
#[derive(Clone)]
pub struct Faults {
    /// All kinds.
    pub kinds: Vec<FaultKind>,
    /// Applies one; tells what was done, or why not.
    pub apply: ApplyFault,
}

/// Applies the words of a fault.
pub type ApplyFault = Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("kinds", &self.kinds.len()).finish_non_exhaustive()
    }
}

impl Default for ConsoleOptions {
    fn default() -> Self {
        Self {
            lab: false,
            theme: None,
            themes: ThemesNow { themes: Themes::load(&[]).0, of_clusters: Vec::new() },
            keymap: Keymap::default(),
            problems: Vec::new(),
            reload: None,
            ascii: None,
            utc: false,
            bell: true,
            history: None,
            faults: None,
            audit: None,
            mouse: false,
            title: true,
            patience: None,
            dumps: None,
            shells: None,
            historian: None,
            past: None,
            replay: false,
            alarms: None,
            author: String::new(),
            started: Instant::now(),
        }
    }
}
