//! The answer of a check, as monitoring plugins give it.

use std::fmt::Write;

use crate::domain::Severity;

/// The four answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Check {
    /// Nothing is wrong.
    Ok,
    /// Needs a look in working hours.
    Warning,
    /// Not everything could be seen, and what was seen is not critical.
    Unknown,
    /// Needs somebody now.
    Critical,
}

impl Check {
    /// The exit code of monitoring plugins.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The word of monitoring plugins.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl From<Severity> for Check {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Notice => Self::Ok,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

/// The one line of a monitoring plugin: `PEERDECK OK - text | label=value;;;0;max ...`.
#[must_use]
pub fn plugin_line(check: Check, text: &str, values: &[(&str, usize, Option<usize>)]) -> String {
    // The bar begins the performance data, so none may stand in the text.
    let text = crate::domain::text::clean(text, 300).replace('|', "/");
    let mut out = format!("PEERDECK {} - {text} |", check.word());
    for (label, value, max) in values {
        let max = max.map_or_else(String::new, |m| m.to_string());
        let _ = write!(out, " {label}={value};;;0;{max}");
    }
    out.push('\n');
    out
}
