//! `[[watch.sink]]` of the fleet file.

use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use strum::IntoEnumIterator;
use toml::de::DeTable;

use super::alerts::NamedSink;
use super::fleet::{Parser, short};
use super::keys::{self, SECRET_WAYS, SINKS, SinkType};
use super::problem::did_you_mean;
use super::settings::Via;
use crate::alerts::sinks::{
    AlertmanagerSpec, CommandSpec, Facility, FileSpec, JournaldSpec, MailSpec, MailTls, Mailbox, Remote, SecretRef,
    Spec, SyslogSpec, Target, Url, Way, WebhookSpec,
};
use crate::domain::finding::Severity;

/// How many notices wait for one sink at most, unless it says otherwise.
const QUEUE: u32 = 10_000;

/// Longest deadline that a sink may have.
const TIMEOUT_MAX: Duration = Duration::from_mins(10);

/// The table of one sink, and where it begins.
struct Sink<'t, 'i> {
    table: &'t DeTable<'i>,
    span: &'t Range<usize>,
    kind: &'static SinkType,
}

impl Parser<'_> {
    /// One sink; `None` after a complaint.
    pub(super) fn sink(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Option<NamedSink> {
        let words = || SINKS.iter().map(|s| s.word);
        let all = || words().collect::<Vec<_>>().join(", ");
        let Some(value) = table.get("type") else {
            self.reader.complain(span, format!("this [[watch.sink]] has no \"type\" (there are {})", all()));
            return None;
        };
        let word = self.reader.string("type", value)?;
        let Some(kind) = SINKS.iter().find(|s| s.word == word) else {
            let hint = did_you_mean(&word, words());
            let what = format!("there is no sink \"{}\"{hint} (there are {})", short(&word), all());
            self.reader.complain(&value.span(), what);
            return None;
        };
        let ways = kind.secrets.iter().flat_map(|s| SECRET_WAYS.iter().map(move |way| format!("{s}-{way}")));
        let ways: Vec<String> = ways.collect();
        let own = kind.keys.iter().map(|k| k.name).chain(ways.iter().map(String::as_str));
        let header = format!("[[watch.sink]] of the type \"{}\"", kind.word);
        self.known(table, &header, keys::SINK, &own.collect::<Vec<_>>());
        let sink = Sink { table, span, kind };
        let spec = match kind.word {
            "file" => self.file_sink(&sink).map(Spec::File),
            "journald" => Some(Spec::Journald(self.journald_sink(&sink))),
            "syslog" => self.syslog_sink(&sink).map(Spec::Syslog),
            "webhook" => self.webhook_sink(&sink).map(Spec::Webhook),
            "alertmanager" => self.alertmanager_sink(&sink).map(Spec::Alertmanager),
            "mail" => self.mail_sink(&sink).map(Spec::Mail),
            "command" => self.command_sink(&sink).map(Spec::Command),
            other => {
                self.reader.complain(&value.span(), format!("\"{other}\" has no reader"));
                None
            }
        };
        let name = table.get("name").and_then(|v| self.reader.string("name", v)).unwrap_or(word);
        let least = table.get("least").and_then(|v| self.severity("least", v)).unwrap_or(Severity::Notice);
        let queue = table.get("queue").and_then(|v| self.reader.integer("queue", v, 1..=1_000_000)).unwrap_or(QUEUE);
        Some(NamedSink { name, spec: spec?, least, queue })
    }

    fn file_sink(&mut self, sink: &Sink<'_, '_>) -> Option<FileSpec> {
        let path = self.needed(sink, "path");
        let mut spec = FileSpec::new(path.as_deref().map(|p| self.path(p)).unwrap_or_default());
        if let Some(value) = sink.table.get("format")
            && let Some(word) = self.reader.string("format", value)
        {
            match word.as_str() {
                "json" => spec.json = true,
                "text" => spec.json = false,
                _ => self
                    .reader
                    .complain(&value.span(), format!("\"format\": \"{}\" is none of json, text", short(&word))),
            }
        }
        if let Some(mib) = sink.table.get("max-mib").and_then(|v| self.reader.integer("max-mib", v, 1..=65_536)) {
            spec.max_bytes = u64::from(mib) << 20;
        }
        if let Some(keep) = sink.table.get("keep").and_then(|v| self.reader.integer("keep", v, 0..=1_000)) {
            spec.keep = keep;
        }
        path.map(|_| spec)
    }

    fn journald_sink(&mut self, sink: &Sink<'_, '_>) -> JournaldSpec {
        self.optional_path(sink, "socket").map_or_else(JournaldSpec::default, |socket| JournaldSpec { socket })
    }

    fn syslog_sink(&mut self, sink: &Sink<'_, '_>) -> Option<SyslogSpec> {
        let text = self.needed(sink, "server")?;
        let server = text.split_once("://").and_then(|(way, rest)| {
            let via = Via::parse(rest).ok().filter(|v| v.user.is_none())?;
            Some((way.parse::<Way>().ok()?, via))
        });
        let facility = self.word(sink, "facility", Facility::Local0);
        let ca_file = self.optional_path(sink, "ca-file");
        let Some((way, via)) = server else {
            let what = format!("\"server\": \"{}\" is not like \"tls://logs.example.com:6514\"", short(&text));
            self.complain_at(sink, "server", what);
            return None;
        };
        Some(SyslogSpec { way, port: via.port.unwrap_or(way.port()), host: via.host, facility, ca_file })
    }

    fn webhook_sink(&mut self, sink: &Sink<'_, '_>) -> Option<WebhookSpec> {
        let secret = self.secret(sink, "url");
        let target = match (sink.table.get("url"), secret) {
            (Some(_), Some(_)) => {
                self.complain_at(sink, "url", "give one of \"url\" and where it is, not both");
                None
            }
            (None, Some(secret)) => Some(Target::Secret(secret)),
            (_, None) => self.needed(sink, "url").and_then(|text| self.url(sink, "url", &text)).map(Target::Known),
        };
        let batch = sink.table.get("batch").and_then(|v| self.reader.integer("batch", v, 1..=1_000)).unwrap_or(1);
        let hmac = self.secret(sink, "hmac");
        let remote = self.remote(sink);
        Some(WebhookSpec { target: target?, batch: usize::try_from(batch).unwrap_or(1), hmac, remote })
    }

    fn alertmanager_sink(&mut self, sink: &Sink<'_, '_>) -> Option<AlertmanagerSpec> {
        let remote = self.remote(sink);
        let Some(value) = sink.table.get("urls") else {
            self.missing(sink, "urls");
            return None;
        };
        let texts = self.reader.strings("urls", value)?;
        if texts.is_empty() {
            self.reader.complain(&value.span(), "\"urls\" is empty");
        }
        let urls = texts.iter().filter_map(|(text, _)| self.url(sink, "urls", text)).collect();
        Some(AlertmanagerSpec { urls, remote })
    }

    fn mail_sink(&mut self, sink: &Sink<'_, '_>) -> Option<MailSpec> {
        let tls = self.word(sink, "tls", MailTls::Starttls);
        let server = self.needed(sink, "server");
        let via = server.as_deref().and_then(|s| Via::parse(s).ok()).filter(|v| v.user.is_none());
        if let (Some(server), None) = (&server, &via) {
            let what = format!("\"server\": \"{}\" is not like \"smtp.example.com:587\"", short(server));
            self.complain_at(sink, "server", what);
        }
        let from = self.needed(sink, "from").and_then(|text| self.mailbox(sink, "from", &text));
        let to = if let Some(value) = sink.table.get("to") {
            let texts = self.reader.strings("to", value).unwrap_or_default();
            if texts.is_empty() {
                self.reader.complain(&value.span(), "\"to\" is empty: nobody would get it");
            }
            texts.iter().filter_map(|(text, _)| self.mailbox(sink, "to", text)).collect()
        } else {
            self.missing(sink, "to");
            Vec::new()
        };
        let user = sink.table.get("user").and_then(|v| self.reader.string("user", v));
        let password = self.secret(sink, "password");
        let login = match (user, password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            (Some(_), None) => {
                self.complain_at(sink, "user", "\"user\" needs a password-file, password-env or password-command");
                None
            }
            (None, Some(_)) => {
                self.reader.complain(sink.span, "this [[watch.sink]] has a password and no \"user\"");
                None
            }
        };
        if login.is_some() && tls == MailTls::None {
            self.complain_at(sink, "tls", "\"tls\" is none: a password is never sent in the clear");
        }
        let timeout = self.timeout(sink, Duration::from_mins(1));
        let ca_file = self.optional_path(sink, "ca-file");
        let via = via?;
        let port = via.port.unwrap_or(tls.port());
        Some(MailSpec { host: via.host, port, tls, from: from?, to, login, ca_file, timeout })
    }

    fn command_sink(&mut self, sink: &Sink<'_, '_>) -> Option<CommandSpec> {
        let timeout = self.timeout(sink, Duration::from_secs(10));
        let tries = sink.table.get("tries").and_then(|v| self.reader.integer("tries", v, 1..=1_000)).unwrap_or(5);
        let Some(value) = sink.table.get("command") else {
            self.missing(sink, "command");
            return None;
        };
        let words = self.reader.strings("command", value)?;
        let mut command: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
        let Some(program) = command.first_mut() else {
            self.reader.complain(&value.span(), "\"command\" is empty");
            return None;
        };
        if program.contains('/') {
            *program = self.path(program).to_string_lossy().into_owned();
        }
        Some(CommandSpec { command, timeout, tries })
    }

    fn remote(&mut self, sink: &Sink<'_, '_>) -> Remote {
        let preset = Remote::default();
        Remote {
            token: self.secret(sink, "token"),
            timeout: self.timeout(sink, preset.timeout),
            ca_file: self.optional_path(sink, "ca-file"),
        }
    }

    /// `stem-file`, `stem-env` or `stem-command`; several are one too many.
    fn secret(&mut self, sink: &Sink<'_, '_>, stem: &str) -> Option<SecretRef> {
        let mut found = None;
        for way in SECRET_WAYS {
            let key = format!("{stem}-{way}");
            let Some(value) = sink.table.get(key.as_str()) else { continue };
            let Some(text) = self.reader.string(&key, value) else { continue };
            if found.is_some() {
                let ways: Vec<String> = SECRET_WAYS.iter().map(|w| format!("{stem}-{w}")).collect();
                self.reader.complain(&value.span(), format!("give one of {}", ways.join(", ")));
            }
            found = Some(match *way {
                "file" => SecretRef::File(self.path(&text)),
                "env" => SecretRef::Env(text),
                _ => SecretRef::Command(text),
            });
        }
        found
    }

    fn url(&mut self, sink: &Sink<'_, '_>, key: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text);
        if let Err(why) = &url {
            self.complain_at(sink, key, format!("\"{key}\": {why}"));
        }
        url.ok()
    }

    fn mailbox(&mut self, sink: &Sink<'_, '_>, key: &str, text: &str) -> Option<Mailbox> {
        let mailbox = Mailbox::parse(text);
        if let Err(why) = &mailbox {
            self.complain_at(sink, key, format!("\"{key}\": {why}"));
        }
        mailbox.ok()
    }

    /// One of a few words.
    fn word<T>(&mut self, sink: &Sink<'_, '_>, key: &str, preset: T) -> T
    where
        T: FromStr + IntoEnumIterator + Into<&'static str>,
    {
        let Some(value) = sink.table.get(key) else { return preset };
        let Some(word) = self.reader.string(key, value) else { return preset };
        word.parse().unwrap_or_else(|_| {
            let words: Vec<&str> = T::iter().map(Into::into).collect();
            let hint = did_you_mean(&word, words.iter().copied());
            let what = format!("\"{key}\": \"{}\" is none of {}{hint}", short(&word), words.join(", "));
            self.reader.complain(&value.span(), what);
            preset
        })
    }

    fn timeout(&mut self, sink: &Sink<'_, '_>, preset: Duration) -> Duration {
        let Some(value) = sink.table.get("timeout") else { return preset };
        let Some(span) = self.reader.span("timeout", value) else { return preset };
        if span.is_zero() || span > TIMEOUT_MAX {
            self.reader.complain(&value.span(), "\"timeout\" must be more than nothing and at most 10m");
        }
        span
    }

    fn optional_path(&mut self, sink: &Sink<'_, '_>, key: &str) -> Option<PathBuf> {
        let text = sink.table.get(key).and_then(|v| self.reader.string(key, v))?;
        Some(self.path(&text))
    }

    fn needed(&mut self, sink: &Sink<'_, '_>, key: &str) -> Option<String> {
        let Some(value) = sink.table.get(key) else {
            self.missing(sink, key);
            return None;
        };
        self.reader.string(key, value)
    }

    fn missing(&mut self, sink: &Sink<'_, '_>, key: &str) {
        let what = format!("a sink of the type \"{}\" needs a \"{key}\"", sink.kind.word);
        self.reader.complain(sink.span, what);
    }

    /// A complaint at the value of `key`.
    fn complain_at(&mut self, sink: &Sink<'_, '_>, key: &str, what: impl Into<String>) {
        let span = sink.table.get(key).map_or_else(|| sink.span.clone(), toml::Spanned::span);
        self.reader.complain(&span, what);
    }
}
