//! Notices, silences and what is kept of findings, as they stand in the state of the watch (B5).

use serde::{Deserialize, Serialize};

use super::ProtoError;
use super::finding::{WireAck, WireAlert, WireFinding};
use crate::domain::alert::{Matcher, Notice, SILENCE_MAX, Silence, Told};
use crate::domain::finding::{FindingId, FindingKind, Severity};
use crate::domain::ids::{ClusterName, HostName};
use crate::domain::text::{Line, clean};
use crate::domain::time::Time;

fn unknown(what: &str, word: &str) -> ProtoError {
    ProtoError::Malformed(format!("unknown {what} \"{}\"", clean(word, 60)))
}

/// A severity by its word.
///
/// # Errors
/// When there is none of this word.
pub fn severity(word: &str) -> Result<Severity, ProtoError> {
    word.parse().map_err(|_| unknown("severity", word))
}

/// See [`Notice`]; its number stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireNotice {
    /// When, milliseconds since 1970.
    pub at: u64,
    /// The word of what is told.
    pub told: String,
    /// Of what.
    pub alert: WireAlert,
    /// Its severity before, where that has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

impl WireNotice {
    /// For the disk.
    #[must_use]
    pub fn from_domain(notice: &Notice) -> Self {
        Self {
            at: notice.at.as_millis(),
            told: notice.told.as_str().to_owned(),
            alert: WireAlert::from_domain(&notice.alert),
            before: notice.before.map(|s| s.as_str().to_owned()),
        }
    }

    /// Into the domain, cleaned, with the number `seq`.
    ///
    /// # Errors
    /// When a word is of a version that this one does not know.
    pub fn into_domain(self, seq: u64) -> Result<Notice, ProtoError> {
        Ok(Notice {
            seq,
            at: Time::from_millis(self.at),
            told: self.told.parse::<Told>().map_err(|_| unknown("transition", &self.told))?,
            alert: self.alert.into_domain()?,
            before: self.before.as_deref().map(severity).transpose()?,
        })
    }
}

/// See [`Silence`]; its id stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireSilence {
    /// This very finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// Findings of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Findings of this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Findings about this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// From when on, milliseconds since 1970.
    pub from: u64,
    /// Until when, milliseconds since 1970.
    pub until: u64,
}

impl WireSilence {
    /// For the disk.
    #[must_use]
    pub fn from_domain(silence: &Silence) -> Self {
        let Matcher { id, kind, cluster, host } = &silence.matcher;
        Self {
            finding: id.as_ref().map(ToString::to_string),
            kind: kind.map(|k| k.as_str().to_owned()),
            cluster: cluster.as_ref().map(ToString::to_string),
            host: host.as_ref().map(ToString::to_string),
            by: silence.by.to_string(),
            reason: silence.reason.to_string(),
            from: silence.from.as_millis(),
            until: silence.until.as_millis(),
        }
    }

    /// Into the domain, cleaned and no longer than [`SILENCE_MAX`], with the id `id`.
    ///
    /// # Errors
    /// When the kind is of a version that this one does not know: what a part means that can't be read is not
    /// silenced.
    pub fn into_domain(self, id: u64) -> Result<Silence, ProtoError> {
        let kind = |word: &str| word.parse::<FindingKind>().map_err(|_| unknown("finding", word));
        let from = Time::from_millis(self.from);
        Ok(Silence {
            id,
            matcher: Matcher {
                id: self.finding.as_deref().map(FindingId::named),
                kind: self.kind.as_deref().map(kind).transpose()?,
                cluster: self.cluster.as_deref().map(ClusterName::new),
                host: self.host.as_deref().map(HostName::new),
            },
            by: Line::new(&self.by),
            reason: Line::new(&self.reason),
            from,
            until: Time::from_millis(self.until).min(from + SILENCE_MAX),
        })
    }
}

/// What is kept of one finding between being seen and being told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireKept {
    /// Its newest form.
    pub finding: WireFinding,
    /// Host names of the subject's peers.
    pub hosts: Vec<String>,
    /// Whether it is there.
    pub present: bool,
    /// Since when it is there, or gone.
    pub since: u64,
    /// Since when it counts as an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<u64>,
    /// What was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<WireLastTold>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<WireAck>,
    /// When it came and went lately, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub toggles: Vec<u64>,
    /// It comes and goes.
    #[serde(default)]
    pub flapping: bool,
    /// Other words than those that were told.
    #[serde(default)]
    pub reworded: bool,
    /// When something else last explained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained: Option<u64>,
}

/// What was told last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireLastTold {
    /// When, milliseconds since 1970.
    pub at: u64,
    /// How bad it was.
    pub severity: String,
    /// That it flapped.
    #[serde(default)]
    pub flapping: bool,
    /// That somebody looks after it.
    #[serde(default)]
    pub acknowledged: bool,
}

/// An order about an acknowledgement that the watch has not carried out yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WireOrder {
    /// Who looks after it; `None`: nobody any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<WireAck>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence() -> WireSilence {
        WireSilence {
            finding: None,
            kind: Some("link-down".into()),
            cluster: None,
            host: Some("lab1\u{1b}[2J.example.com".into()),
            by: "ops@noc\n".into(),
            reason: "cable".into(),
            from: 1_000,
            until: u64::MAX,
        }
    }

    #[test]
    fn b5_a_silence_from_disk_is_cleaned_and_ends() {
        let read = silence().into_domain(7).unwrap();
        assert_eq!((read.id, read.until), (7, Time::from_millis(1_000) + SILENCE_MAX));
        assert!(!read.matcher.host.unwrap().as_str().contains('\u{1b}'));
        assert!(!read.by.as_str().contains('\n'));
    }

    #[test]
    fn b5_a_silence_of_an_unknown_kind_silences_nothing() {
        let newer = WireSilence { kind: Some("of-tomorrow".into()), ..silence() };
        assert!(newer.into_domain(1).unwrap_err().to_string().contains("of-tomorrow"));
    }

    #[test]
    fn b5_every_transition_goes_to_disk_and_back() {
        use strum::IntoEnumIterator;
        for told in Told::iter() {
            assert_eq!(told.as_str().parse::<Told>(), Ok(told));
        }
    }
}
