//! Who looks after a finding, what is silenced, and what became of a finding before (B5).
//!
//! What is written down stands in the state of the watch on this machine; the console shows it and asks for changes.

use std::sync::Arc;
use std::time::Duration;

use strum::IntoEnumIterator;

use super::acts::READ_ONLY;
use super::field::TextField;
use super::filter::contains;
use super::keys::Key;
use super::panel::{Panel, PanelKind};
use super::settings::form::{Field, Form, Kind, Purpose};
use super::{Action, App, Cmd, Overlay, View};
use crate::domain::alert::{Ack, Alert, Book, Matcher, Notice, Order, SILENCE_MAX, Seen, Silence, Told};
use crate::domain::event::EventKind;
use crate::domain::{Cause, Cluster, Finding, Line, Severity, Time, span, time};

/// How far back the history of a finding is counted.
pub const HISTORY: Duration = Duration::from_hours(24);

/// Lines of a finding's history that are shown, the newest.
pub const HISTORY_LINES: usize = 40;

/// Spans that a silence is offered for.
const SPANS: [&str; 4] = ["30m", "1h", "4h", "1d"];

/// Said when a console that only looks is asked to write something down.
const LOOKS_ONLY: &str = "this console is read-only: acknowledge and silence in one that is not, or with peerdeck ack";

/// What is written down, and how the Findings view shows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarms {
    pub book: Arc<Book>,
    /// Whether what is quiet is left out.
    pub hidden: bool,
    /// The moment of the last message: silences begin and end by it.
    pub now: Time,
}

/// How it stands with a finding for those who are told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing<'a> {
    /// Who looks after it.
    pub ack: Option<&'a Ack>,
    /// The silence that holds longest.
    pub silence: Option<&'a Silence>,
    /// It comes and goes: so often within the window of the watch's rules.
    pub flapping: Option<u32>,
}

impl Standing<'_> {
    /// Whether somebody looks after it, or nobody is told of it.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.ack.is_some() || self.silence.is_some()
    }
}

/// Raised findings of one severity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// Which.
    pub severity: Severity,
    /// How many there are.
    pub all: usize,
    /// Of these, how many somebody looks after.
    pub acked: usize,
    /// Of the others, how many are silenced.
    pub silenced: usize,
}

impl Count {
    /// How many need somebody.
    #[must_use]
    pub fn open(self) -> usize {
        self.all - self.acked - self.silenced
    }
}

/// Something that became of a finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// When.
    pub at: Time,
    /// What: `raised`, `told: acknowledged`.
    pub what: String,
    /// How long it had lasted, where that is known.
    pub lasted: Option<Duration>,
}

/// What became of a finding before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// The newest first.
    pub steps: Vec<Step>,
    /// How often it was raised within [`HISTORY`], as far as it is known here.
    pub raised: usize,
    /// For how long together.
    pub lasted: Duration,
    /// Since when anything is known here.
    pub known_from: Option<Time>,
}

impl App {
    /// What is written down about alerts on this machine.
    #[must_use]
    pub fn alert_book(&self) -> &Arc<Book> {
        &self.alarms.book
    }

    /// The moment at which silences are looked at.
    fn alarm_time(&self) -> Time {
        self.moment(self.alarms.now)
    }

    /// How it stands with `finding` of `cluster`.
    #[must_use]
    pub fn standing(&self, cluster: &Cluster, finding: &Finding) -> Standing<'_> {
        let at = self.alarm_time();
        let book = &self.alarms.book;
        let mut holding = book.silences.iter().filter(|s| s.holds(at)).peekable();
        let silence = if holding.peek().is_some() {
            let seen = Seen::of(Some(cluster), finding.clone());
            holding.filter(|s| s.matcher.fits(&seen)).max_by_key(|s| s.until)
        } else {
            None
        };
        let newest = book.notices.iter().rev().find(|n| n.at <= at && *n.alert.id() == finding.id);
        let told = newest.filter(|n| n.told != Told::Cleared);
        Standing {
            ack: book.acks.get(&finding.id).filter(|a| a.at <= at),
            silence,
            flapping: told.and_then(|n| n.alert.flapping),
        }
    }

    /// Whether what is quiet is left out of the Findings view.
    #[must_use]
    pub fn is_quiet_hidden(&self) -> bool {
        self.alarms.hidden
    }

    /// Findings of the cluster on screen that somebody looks after, and others that are silenced.
    #[must_use]
    pub fn quiet_counts(&self) -> (usize, usize) {
        self.counts().iter().fold((0, 0), |(a, s), c| (a + c.acked, s + c.silenced))
    }

    pub(super) fn quiet_count(&self) -> usize {
        let (acked, silenced) = self.quiet_counts();
        acked + silenced
    }

    /// Raised findings of each severity, the worst first.
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        let mut counts: Vec<Count> =
            Severity::iter().rev().map(|severity| Count { severity, all: 0, acked: 0, silenced: 0 }).collect();
        let Some(cluster) = self.cluster() else { return counts };
        for finding in cluster.findings.iter() {
            let standing = self.standing(cluster, finding);
            if let Some(count) = counts.iter_mut().find(|c| c.severity == finding.severity) {
                count.all += 1;
                count.acked += usize::from(standing.ack.is_some());
                count.silenced += usize::from(standing.ack.is_none() && standing.silence.is_some());
            }
        }
        counts
    }

    /// The selected finding.
    #[must_use]
    pub fn finding_selected(&self) -> Option<&Finding> {
        let findings = self.findings();
        findings.get(self.finding_place()).copied()
    }

    /// What became of `finding` before: by the watch's notices, and by what the picture remembers of its subject.
    #[must_use]
    pub fn past_of(&self, finding: &Finding) -> Past {
        let at = self.alarm_time();
        let mut past = Past::default();
        let notices = self.alarms.book.notices.iter().filter(|n| n.at <= at && *n.alert.id() == finding.id);
        past.steps.extend(notices.clone().map(step_of));
        let mut raised: Option<Time> = None;
        let mut seen = Vec::new();
        let events = || self.events_here().filter(|e| e.subject == finding.subject && e.at <= at);
        for event in events().filter(|e| is_same(e.text.as_str(), finding.text.as_str())) {
            let (what, lasted) = match event.kind {
                EventKind::Raised => {
                    raised = Some(event.at);
                    ("raised", None)
                }
                EventKind::Changed => ("changed", None),
                EventKind::Cleared => ("cleared", raised.take().map(|since| event.at.since(since))),
                EventKind::Link
                | EventKind::Reach
                | EventKind::Membership
                | EventKind::Peer
                | EventKind::Role
                | EventKind::Command => {
                    continue;
                }
            };
            seen.push(Step { at: event.at, what: what.to_owned(), lasted });
        }
        past.known_from =
            [events().next().map(|e| e.at), notices.clone().next().map(|n| n.at)].into_iter().flatten().min();
        // Both tell of the same raising: the watch's word counts where it has one.
        let lately = |step: &&Step| at.since(step.at) <= HISTORY;
        let of_watch = past.steps.iter().filter(lately).filter(|s| s.what == "told: raised").count();
        let of_picture = seen.iter().filter(lately).filter(|s| s.what == "raised").count();
        past.raised = of_watch.max(of_picture);
        let sum = |steps: &[Step]| steps.iter().filter(lately).filter_map(|s| s.lasted).sum::<Duration>();
        past.lasted = sum(&past.steps).max(sum(&seen)) + at.since(finding.since).min(HISTORY);
        past.steps.extend(seen);
        past.steps.sort_by_key(|s| std::cmp::Reverse(s.at));
        past.steps.truncate(HISTORY_LINES);
        past
    }

    /// Silences that contain `query`: those that hold first, by their end; then those that have ended.
    #[must_use]
    pub fn silence_lines(&self, query: &str) -> Vec<&Silence> {
        let at = self.alarm_time();
        let low = query.trim().to_lowercase();
        let fits = |s: &&Silence| {
            let words = [s.by.as_str(), s.reason.as_str(), &self.matcher_words(&s.matcher)];
            words.iter().any(|w| contains(w, &low))
        };
        let mut lines: Vec<&Silence> = self.alarms.book.silences.iter().filter(fits).collect();
        lines.sort_by_key(|s| {
            (!s.holds(at), if s.holds(at) { s.until.as_millis() } else { u64::MAX - s.until.as_millis() })
        });
        lines
    }

    /// What a silence is about, in words.
    #[must_use]
    pub fn matcher_words(&self, matcher: &Matcher) -> String {
        let Matcher { id, kind, cluster, host } = matcher;
        let mut words = Vec::new();
        if let Some(id) = id {
            let all = self.picture().clusters.iter().flat_map(|c| c.findings.iter());
            let found = all.into_iter().find(|f| f.id == *id);
            words.push(found.map_or_else(|| id.to_string(), |f| f.text.to_string()));
        }
        words.extend(kind.map(|k| format!("all {}", k.as_str())));
        words.extend(host.as_ref().map(|h| format!("all of {h}")));
        if id.is_none() && (self.has_clusters() || words.is_empty()) {
            words.extend(cluster.as_ref().map(|c| format!("in {c}")));
        }
        if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
    }

    /// The silence that an action would be about: the selected one of the list, or the one that fits the finding.
    fn silence_meant(&self) -> Option<&Silence> {
        if let Some(Panel { kind: PanelKind::Silences, query, .. }) = self.panel() {
            let lines = self.silence_lines(query.as_str());
            let place = self.panel().map_or(0, |p| p.place(lines.len()));
            return lines.get(place).copied();
        }
        let (cluster, finding) = (self.cluster()?, self.finding_selected()?);
        self.standing(cluster, finding).silence
    }

    /// Why an action on alerts does nothing now.
    pub(super) fn alarm_refusal(&self, action: Action) -> Option<String> {
        if let Some(why) = self.hindrance() {
            return Some(if why == READ_ONLY { LOOKS_ONLY } else { why }.to_owned());
        }
        let no_finding = || self.finding_selected().is_none().then(|| "no finding is selected".to_owned());
        match action {
            Action::Acknowledge | Action::Silence => no_finding(),
            Action::Unacknowledge => no_finding().or_else(|| {
                let (cluster, finding) = (self.cluster()?, self.finding_selected()?);
                let nobody = self.standing(cluster, finding).ack.is_none();
                nobody.then(|| "nobody has acknowledged it".to_owned())
            }),
            Action::Unsilence => match self.silence_meant() {
                None => Some("no silence is about it".to_owned()),
                Some(silence) if !silence.holds(self.alarm_time()) => Some("that silence has ended".to_owned()),
                Some(_) => None,
            },
            _ => None,
        }
    }

    /// An action on alerts.
    pub(super) fn act_on_alarm(&mut self, action: Action, key: Option<Key>, now: Time) -> Vec<Cmd> {
        match action {
            Action::Silences => {
                self.open_panel(PanelKind::Silences, now);
                return Vec::new();
            }
            Action::HideQuiet => {
                self.alarms.hidden = !self.alarms.hidden;
                return Vec::new();
            }
            _ => {}
        }
        if let Some(why) = self.alarm_refusal(action) {
            self.toast(why, Severity::Warning, now);
            return Vec::new();
        }
        let finding = self.finding_selected().cloned();
        match (action, finding) {
            (Action::Acknowledge, Some(finding)) => {
                let purpose = Purpose::Acknowledge(finding.id.clone());
                let title = format!("acknowledge: {}", finding.text);
                self.open_alarm_form(purpose, title, vec![text_field("reason", "", &[])], key, now);
            }
            (Action::Silence, Some(finding)) => self.open_silence(&finding, key, now),
            (Action::Unacknowledge, Some(finding)) => {
                return vec![Cmd::Order(Order::Unacknowledge(finding.id))];
            }
            (Action::Unsilence, _) => {
                return self.silence_meant().map(|s| Cmd::Order(Order::Unsilence(s.id))).into_iter().collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn open_silence(&mut self, finding: &Finding, key: Option<Key>, now: Time) {
        let Some(cluster) = self.cluster() else { return };
        let seen = Seen::of(Some(cluster), finding.clone());
        let of_cluster = || Matcher { cluster: Some(finding.cluster.clone()), ..Matcher::default() };
        let mut choices =
            vec![("this finding".to_owned(), Matcher { id: Some(finding.id.clone()), ..Matcher::default() })];
        for host in &seen.hosts {
            choices.push((format!("all of {host}"), Matcher { host: Some(host.clone()), ..of_cluster() }));
        }
        let kind = finding.kind;
        choices.push((format!("all {}", kind.as_str()), Matcher { kind: Some(kind), ..of_cluster() }));
        let words: Vec<&str> = choices.iter().map(|(word, _)| word.as_str()).collect();
        let fields =
            vec![text_field("for", "1h", &SPANS), text_field("what", words[0], &words), text_field("reason", "", &[])];
        let title = format!("silence: {}", finding.text);
        self.open_alarm_form(Purpose::Silence(choices), title, fields, key, now);
    }

    fn open_alarm_form(&mut self, purpose: Purpose, title: String, fields: Vec<Field>, key: Option<Key>, now: Time) {
        let form = Form {
            cluster: Line::default(),
            purpose,
            title,
            fields,
            at: 0,
            told: String::new(),
            is_table: false,
            opener: key,
        };
        self.open_over(Overlay::Form(Box::new(form)), now);
    }

    /// Enter in a form about alerts; `None` when it is a form about something else.
    pub(super) fn take_alarm_form(&mut self, now: Time) -> Option<Vec<Cmd>> {
        let Some(Overlay::Form(form)) = &self.overlay else { return None };
        let typed = |name: &str| {
            let field = form.fields.iter().find(|f| &*f.name == name);
            field.map_or("", |f| f.text.as_str().trim()).to_owned()
        };
        let by = Line::new(&self.options.author);
        let order = match &form.purpose {
            Purpose::Acknowledge(id) => {
                let ack = Ack { by, at: now, reason: Line::new(&typed("reason")) };
                Ok(Order::Acknowledge { id: id.clone(), ack })
            }
            Purpose::Silence(choices) => silence(choices, &typed("what"), &typed("for"), &typed("reason"), by, now),
            Purpose::Value { .. } | Purpose::Addgroup | Purpose::Renamegroup(_) | Purpose::Setname => return None,
        };
        // It may have been opened before the picture was held.
        let order = match self.hindrance() {
            Some(why) => Err(why.to_owned()),
            None => order,
        };
        match order {
            Ok(order) => {
                self.close_overlay();
                Some(vec![Cmd::Order(order)])
            }
            Err(why) => {
                if let Some(Overlay::Form(form)) = &mut self.overlay {
                    form.told = why;
                }
                Some(Vec::new())
            }
        }
    }

    /// Whether nobody is to be disturbed by this finding, because it is silenced.
    pub(super) fn is_silenced(&self, finding: &Finding) -> bool {
        let cluster = self.live.clusters.iter().find(|c| c.name == finding.cluster);
        cluster.is_some_and(|c| {
            let seen = Seen::of(Some(c), finding.clone());
            self.alarms.book.silences.iter().any(|s| s.holds(self.alarms.now) && s.matcher.fits(&seen))
        })
    }

    /// Whether the Findings view leaves something out, and how much.
    #[must_use]
    pub fn quiet_note(&self) -> Option<String> {
        if self.view != View::Findings {
            return None;
        }
        let (acked, silenced) = self.quiet_counts();
        let mut parts = Vec::new();
        if acked > 0 {
            parts.push(format!("{acked} ack"));
        }
        if silenced > 0 {
            parts.push(format!("{silenced} silenced"));
        }
        if parts.is_empty() {
            return None;
        }
        Some(format!("{}{}", parts.join(", "), if self.alarms.hidden { ", hidden" } else { "" }))
    }
}

fn text_field(name: &str, text: &str, options: &[&str]) -> Field {
    Field {
        name: name.into(),
        kind: Kind::Text,
        text: TextField::new(text),
        options: options.iter().map(|o| (*o).to_owned()).collect(),
    }
}

/// The silence that was typed.
fn silence(
    choices: &[(String, Matcher)],
    what: &str,
    lasting: &str,
    reason: &str,
    by: Line,
    now: Time,
) -> Result<Order, String> {
    let lasting = span::parse(lasting).map_err(|why| format!("for: {why}"))?;
    if lasting.is_zero() {
        return Err("for: a silence of no time is none".to_owned());
    }
    if lasting > SILENCE_MAX {
        return Err(format!("for: at most {}: what is silenced for good is forgotten", span::format(SILENCE_MAX)));
    }
    let matcher = choices.iter().find(|(word, _)| word == what).map(|(_, matcher)| matcher.clone());
    let Some(matcher) = matcher else {
        let words: Vec<&str> = choices.iter().map(|(word, _)| word.as_str()).collect();
        return Err(format!("what: one of {}", words.join(", ")));
    };
    if reason.is_empty() {
        return Err("reason: say why, for whoever looks next".to_owned());
    }
    let silence = Silence { id: 0, matcher, by, reason: Line::new(reason), from: now, until: now + lasting };
    Ok(Order::Silence(silence))
}

fn step_of(notice: &Notice) -> Step {
    let Alert { flapping, ack, .. } = &notice.alert;
    let more = match (notice.told, flapping, ack, notice.before) {
        (Told::Acknowledged, _, Some(ack), _) if ack.reason.is_empty() => format!(" by {}", ack.by),
        (Told::Acknowledged, _, Some(ack), _) => format!(" by {}: {}", ack.by, ack.reason),
        (Told::Changed, _, _, Some(before)) => format!(", was {}", before.as_str()),
        (Told::Changed, Some(n), _, None) => format!(", flapping {n}"),
        (Told::Raised | Told::Changed | Told::Repeated | Told::Acknowledged | Told::Cleared, ..) => String::new(),
    };
    Step { at: notice.at, what: format!("told: {}{more}", notice.told.as_str()), lasted: notice.lasted() }
}

/// Whether two texts tell of the same, whatever cause or amount they name.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    a == b || material(a) == material(b)
}

fn material(text: &str) -> String {
    let mut text = text.to_owned();
    for cause in Cause::iter() {
        text = text.replace(&format!(" ({})", cause.as_str()), "");
    }
    let end = text.find(" by about ").unwrap_or(text.len());
    text.truncate(end);
    text
}

/// `told: cleared after 2 m 14 s`
#[must_use]
pub fn step_words(step: &Step) -> String {
    match step.lasted {
        Some(lasted) => format!("{} after {}", step.what, time::human(lasted)),
        None => step.what.clone(),
    }
}
