//! What stands in a mail.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};

use crate::alerts::sinks::Telling;
use crate::alerts::sinks::fields::rfc3339;
use crate::domain::alert::{Notice, Told};
use crate::domain::finding::Severity;
use crate::domain::text::clean;
use crate::domain::time::human;

/// Longest subject, in characters.
const SUBJECT_MAX: usize = 160;

/// The message as it is sent, with all its headers.
pub(super) fn message<'a>(
    from: &Mailbox,
    to: impl Iterator<Item = &'a Mailbox>,
    tellings: &[Telling],
    watcher: &Arc<str>,
) -> Result<Vec<u8>, String> {
    let (Some(first), Some(last)) = (tellings.first(), tellings.last()) else { return Err("nothing to say".into()) };
    let domain = from.email.domain();
    let mut builder = Message::builder().from(from.clone());
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    let date = UNIX_EPOCH + Duration::from_millis(last.notice.at.as_millis());
    builder = builder.date(date).message_id(Some(format!("<{}@{domain}>", word(&last.event_id))));
    let (subject, body) = if tellings.len() == 1 {
        // Nobody ever sent the message that all of an alert answer to: so they are one thread, in whichever order
        // they come and whichever watcher sends them.
        let alert = &first.notice.alert;
        let root = format!("{} {}", alert.id(), alert.raised.as_millis());
        let root = HEXLOWER.encode(&digest(&SHA256, root.as_bytes()).as_ref()[..16]);
        let root = format!("<alert.{root}@{domain}>");
        builder = builder.in_reply_to(root.clone()).references(root);
        (subject(&first.notice), paragraphs(first, watcher))
    } else {
        (subject_of_all(tellings), list(tellings, watcher))
    };
    let raw = |name: &'static str, value: String| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
    builder = builder
        .subject(clean(&subject, SUBJECT_MAX))
        .raw_header(raw("Auto-Submitted", "auto-generated".to_owned()))
        .raw_header(raw("X-Peerdeck-Event", word(&last.event_id)))
        .header(ContentType::TEXT_PLAIN);
    builder.body(body).map(|m| m.formatted()).map_err(|e| e.to_string())
}

/// What may stand in a message id.
fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' }).collect()
}

fn subject(notice: &Notice) -> String {
    let finding = &notice.alert.seen.finding;
    format!("[peerdeck] {} {}: {}", headline(notice), finding.cluster, finding.text)
}

/// What is told, in a word that stands out.
fn headline(notice: &Notice) -> String {
    match notice.told {
        Told::Raised | Told::Changed | Told::Repeated => notice.alert.severity().as_str().to_uppercase(),
        Told::Acknowledged | Told::Cleared => notice.told.as_str().to_uppercase(),
    }
}

fn subject_of_all(tellings: &[Telling]) -> String {
    let is_bad = |t: &&Telling| t.notice.told == Told::Raised && t.notice.alert.severity() == Severity::Critical;
    let critical = tellings.iter().filter(is_bad).count();
    let worst = tellings.iter().find(is_bad).or(tellings.first());
    let worst = worst.map_or_else(String::new, |t| t.notice.alert.seen.finding.text.to_string());
    format!("[peerdeck] {} notices, {critical} CRITICAL: {worst}", tellings.len())
}

fn paragraphs(telling: &Telling, watcher: &Arc<str>) -> String {
    let notice = &telling.notice;
    let alert = &notice.alert;
    let finding = &alert.seen.finding;
    let mut out = format!("{}\n\n", finding.text);
    let mut say = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<13} {value}");
    };
    say("What", &format!("{} ({})", notice.told.as_str(), finding.severity.as_str()));
    if let Some(before) = notice.before {
        say("Until now", before.as_str());
    }
    say("Cluster", finding.cluster.as_str());
    say("Since", &rfc3339(finding.since));
    if let Some(lasted) = notice.lasted() {
        say("Lasted", &human(lasted));
    }
    if let Some(n) = alert.flapping {
        say("Flapping", &format!("it came and went {n} times"));
    }
    if let Some(ack) = &alert.ack {
        let because = if ack.reason.is_empty() { String::new() } else { format!(": {}", ack.reason) };
        say("Looked after", &format!("by {}{because}", ack.by));
    }
    say("Finding", finding.id.as_str());
    say("Watcher", watcher);
    say("Event", &telling.event_id);
    if !finding.evidence.is_empty() {
        out.push_str("\nEvidence\n");
        for line in &finding.evidence {
            let _ = writeln!(out, "  {line}");
        }
    }
    if !finding.advice.is_empty() && notice.told != Told::Cleared {
        let _ = write!(out, "\nWhat to do\n  {}\n", finding.advice);
    }
    out
}

fn list(tellings: &[Telling], watcher: &Arc<str>) -> String {
    let mut out = format!("{} notices of {watcher}, oldest first.\n\n", tellings.len());
    for telling in tellings {
        let _ = writeln!(out, "{}", telling.text);
        let advice = &telling.notice.alert.seen.finding.advice;
        if telling.notice.told == Told::Raised && !advice.is_empty() {
            let _ = writeln!(out, "    {advice}");
        }
        let _ = writeln!(out, "    event {}", telling.event_id);
    }
    out
}
