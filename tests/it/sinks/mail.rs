//! Mail, to a server that says yes and no as it is told to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peerdeck::alerts::sinks::{MailSpec, MailTls, Mailbox, SecretRef, Sink, Spec};
use peerdeck::domain::alert::Told;
use peerdeck::domain::text::Line;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;

use super::{Certificates, SECRET, certificates, give, later, never, raised, secret, sink, telling};

/// What it says to a command that begins so, instead of yes.
type Says = Arc<Mutex<BTreeMap<&'static str, &'static str>>>;

#[derive(Default, Clone)]
struct Post {
    says: Says,
    /// All commands, those before TLS with `clear ` before them.
    heard: Arc<Mutex<Vec<String>>>,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Post {
    fn say(&self, to: &'static str, answer: &'static str) {
        self.says.lock().unwrap().insert(to, answer);
    }

    fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    fn heard(&self, what: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|h| h.contains(what)).count()
    }

    async fn start(&self, tls: Option<&Certificates>, wrapped: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = tls.map(|t| tokio_rustls::TlsAcceptor::from(t.server.clone()));
        let office = self.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (office, tls) = (office.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) if wrapped => {
                            if let Ok(socket) = tls.accept(socket).await {
                                office.attend(BufStream::new(socket), true, true).await;
                            }
                        }
                        Some(tls) => {
                            if let Some(socket) = office.attend(BufStream::new(socket), true, false).await
                                && let Ok(socket) = tls.accept(socket.into_inner()).await
                            {
                                office.attend(BufStream::new(socket), false, true).await;
                            }
                        }
                        None => {
                            office.attend(BufStream::new(socket), true, true).await;
                        }
                    }
                });
            }
        });
        port
    }

    /// Speaks until the end; gives the stream back at STARTTLS.
    async fn attend<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: BufStream<S>,
        greets: bool,
        safe: bool,
    ) -> Option<BufStream<S>> {
        if greets {
            let greeting = self.says.lock().unwrap().get("greeting").copied().unwrap_or("220 post ESMTP\r\n");
            put(&mut stream, greeting).await?;
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let command = line.trim_end().to_owned();
            self.heard.lock().unwrap().push(format!("{}{command}", if safe { "" } else { "clear " }));
            let answer = self.says.lock().unwrap().iter().find(|(to, _)| command.starts_with(**to)).map(|(_, a)| *a);
            if answer == Some("hang") {
                std::future::pending::<()>().await;
            }
            if let Some(answer) = answer {
                put(&mut stream, answer).await?;
            } else if command.starts_with("EHLO") {
                let offers = if safe { "250 AUTH PLAIN LOGIN" } else { "250 STARTTLS" };
                put(&mut stream, &format!("250-post\r\n250-8BITMIME\r\n{offers}\r\n")).await?;
            } else if command == "STARTTLS" {
                put(&mut stream, "220 go\r\n").await?;
                return Some(stream);
            } else if command == "DATA" {
                put(&mut stream, "354 go\r\n").await?;
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut message).await.ok()?;
                }
                let answer = self.says.lock().unwrap().get("message").copied();
                if answer.is_none() {
                    self.messages.lock().unwrap().push(message);
                }
                put(&mut stream, answer.unwrap_or("250 taken\r\n")).await?;
            } else {
                put(&mut stream, "250 yes\r\n").await?;
            }
        }
    }
}

async fn put(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

fn spec(port: u16) -> MailSpec {
    let mailbox = |text: &str| Mailbox::parse(text).unwrap();
    MailSpec {
        host: "localhost".into(),
        port,
        tls: MailTls::None,
        from: mailbox("peerdeck <noc@example.com>"),
        to: vec![mailbox("Ann <ann@example.com>"), mailbox("bob@example.com")],
        login: None,
        ca_file: None,
        timeout: Duration::from_secs(5),
    }
}

fn to(spec: MailSpec) -> Box<dyn Sink> {
    sink(&Spec::Mail(spec))
}

/// The head of a message, its folded lines as one, and the body.
fn split(message: &str) -> (Vec<(String, String)>, String) {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ");
    let lines = head.split("\r\n").map(|l| l.split_once(": ").unwrap());
    (lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), body.to_owned())
}

fn header(message: &str, name: &str) -> String {
    let (head, _) = split(message);
    let found: Vec<_> = head.into_iter().filter(|(n, _)| n == name).map(|(_, v)| v).collect();
    assert_eq!(found.len(), 1, "{name}\n{message}");
    found[0].clone()
}

#[tokio::test]
async fn b5_a_mail_says_all_and_is_in_the_thread_of_its_alert() {
    let office = Post::default();
    let mut sink = to(spec(office.start(None, false).await));
    give(&mut sink, &[raised(1)]).await.unwrap();
    give(&mut sink, &[telling(2, Told::Cleared)]).await.unwrap();
    let [first, second] = &office.messages()[..] else { panic!("two mails") };
    assert_eq!(header(first, "Subject"), "[peerdeck] CRITICAL americas: nobody reaches lab7");
    assert_eq!(header(second, "Subject"), "[peerdeck] CLEARED americas: nobody reaches lab7");
    assert_eq!(header(first, "Message-ID"), "<w1-1@example.com>");
    assert_eq!(header(first, "Auto-Submitted"), "auto-generated", "no answering machine answers");
    assert_eq!(header(first, "From"), "peerdeck <noc@example.com>");
    assert!(header(first, "To").contains("ann@example.com") && header(first, "To").contains("bob@example.com"));
    assert!(header(first, "In-Reply-To").ends_with("@example.com>"));
    assert_eq!(header(first, "In-Reply-To"), header(first, "References"));
    let (_, body) = split(first);
    for part in ["nobody reaches lab7", "lab1 says: timeout", "look at the machine", "w1-1", "noc1"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(split(second).1.contains("1 m 00 s"), "how long it lasted");
    assert_eq!(office.heard("RCPT TO:<ann@example.com>"), 2);
}

#[tokio::test]
async fn b5_mails_of_one_alert_answer_to_the_same_message() {
    let office = Post::default();
    let mut sink = to(spec(office.start(None, false).await));
    let first = raised(1);
    let mut second = first.clone();
    (second.notice.seq, second.notice.told, second.event_id) = (2, Told::Repeated, "w1-2".into());
    give(&mut sink, &[first]).await.unwrap();
    give(&mut sink, &[second]).await.unwrap();
    let all = office.messages();
    assert_eq!(header(&all[0], "In-Reply-To"), header(&all[1], "In-Reply-To"));
    assert_ne!(header(&all[0], "Message-ID"), header(&all[1], "Message-ID"));
}

#[tokio::test]
async fn b5_several_notices_that_wait_are_one_mail() {
    let office = Post::default();
    let mut sink = to(spec(office.start(None, false).await));
    let all: Vec<_> = (1..=20).map(raised).collect();
    assert!(sink.batch() >= all.len());
    give(&mut sink, &all).await.unwrap();
    let messages = office.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(header(&messages[0], "Subject"), "[peerdeck] 20 notices, 20 CRITICAL: nobody reaches lab7");
    assert!((1..=20).all(|n| messages[0].contains(&format!("event w1-{n}\r\n"))));
}

#[tokio::test]
async fn b5_no_finding_can_write_a_header() {
    let office = Post::default();
    let mut sink = to(spec(office.start(None, false).await));
    let mut evil = raised(1);
    let text = "a\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<x> é 漢字 \u{202e}".repeat(3);
    evil.notice.alert.seen.finding.text = Line::new(&text);
    evil.event_id = "w1-1>\r\nBcc: eve@example.com".into();
    give(&mut sink, &[evil]).await.unwrap();
    let messages = office.messages();
    let (head, _) = split(&messages[0]);
    let mut names: Vec<&str> = head.iter().map(|(n, _)| n.as_str()).collect();
    names.sort_unstable();
    let known = [
        "Auto-Submitted",
        "Content-Transfer-Encoding",
        "Content-Type",
        "Date",
        "From",
        "In-Reply-To",
        "MIME-Version",
        "Message-ID",
        "References",
        "Subject",
        "To",
        "X-Peerdeck-Event",
    ];
    assert!(names.iter().all(|n| known.contains(n)), "{names:?}");
    assert_eq!(office.heard("MAIL"), 1);
    assert_eq!(office.heard("eve"), 0, "nobody else gets it");
}

#[tokio::test]
async fn b5_a_mail_server_decides_whether_it_is_tried_again() {
    let office = Post::default();
    let mut sink = to(spec(office.start(None, false).await));
    for to in ["MAIL", "RCPT", "message"] {
        office.say(to, "451 4.3.0 later\r\n");
        assert!(later(give(&mut sink, &[raised(1)]).await).contains("451"), "{to}");
        office.say(to, "554 5.7.1 no\r\n");
        assert!(never(give(&mut sink, &[raised(1)]).await).contains("554"), "{to}");
        office.says.lock().unwrap().clear();
    }
    office.say("greeting", "554 not today\r\n");
    later(give(&mut sink, &[raised(1)]).await);
    office.say("greeting", "HTTP/1.1 200 OK\r\n\r\n");
    later(give(&mut sink, &[raised(1)]).await);
    office.says.lock().unwrap().clear();
    office.say("MAIL", "hang");
    let mut hasty = to(MailSpec { timeout: Duration::from_millis(300), ..spec(office.start(None, false).await) });
    assert!(later(give(&mut hasty, &[raised(1)]).await).contains("no answer"));
    assert!(office.messages().is_empty());
}

#[tokio::test]
async fn b5_who_can_get_a_mail_gets_it_once() {
    let office = Post::default();
    let mut sink = to(spec(office.start(None, false).await));
    office.say("RCPT TO:<bob", "451 4.2.2 full\r\n");
    later(give(&mut sink, &[raised(1)]).await);
    office.says.lock().unwrap().clear();
    give(&mut sink, &[raised(1)]).await.unwrap();
    assert_eq!((office.heard("RCPT TO:<ann"), office.heard("RCPT TO:<bob")), (1, 2), "Ann has it already");
    office.say("RCPT TO:<bob", "550 5.1.1 nobody of that name\r\n");
    give(&mut sink, &[raised(2)]).await.unwrap();
    assert!(sink.trouble().unwrap().contains("bob@example.com"), "it is shown");
    office.says.lock().unwrap().clear();
    give(&mut sink, &[raised(3)]).await.unwrap();
    assert_eq!(sink.trouble(), None);
}

fn guarded(port: u16, tls: MailTls, ours: &Certificates, dir: &Path) -> MailSpec {
    let login = Some(("noc".to_owned(), SecretRef::File(secret(dir))));
    MailSpec { tls, login, ca_file: Some(ours.ca_file.clone()), ..spec(port) }
}

#[tokio::test]
async fn b5_nobody_logs_in_before_the_line_is_safe() {
    let dir = tempfile::tempdir().unwrap();
    let ours = certificates(dir.path());
    for (tls, wrapped) in [(MailTls::Starttls, false), (MailTls::Tls, true)] {
        let office = Post::default();
        let port = office.start(Some(&ours), wrapped).await;
        give(&mut to(guarded(port, tls, &ours, dir.path())), &[raised(1)]).await.unwrap();
        assert_eq!(office.messages().len(), 1);
        let plain = data_encoding::BASE64.encode(format!("\0noc\0{SECRET}").as_bytes());
        assert_eq!(office.heard(&format!("AUTH PLAIN {plain}")), 1);
        assert!(office.heard("clear ") <= 2, "EHLO and STARTTLS");
        let other = tempfile::tempdir().unwrap();
        let stranger = certificates(other.path());
        let text = later(give(&mut to(guarded(port, tls, &stranger, dir.path())), &[raised(2)]).await);
        assert!(text.to_lowercase().contains("certificate"), "{text}");
    }
    // A server, or somebody in between, that offers no STARTTLS gets nothing.
    let office = Post::default();
    let port = office.start(None, false).await;
    let text = later(give(&mut to(guarded(port, MailTls::Starttls, &ours, dir.path())), &[raised(1)]).await);
    assert!(text.contains("STARTTLS"), "{text}");
    assert_eq!((office.heard("AUTH"), office.heard("MAIL")), (0, 0));
}

#[tokio::test]
async fn b5_a_refused_login_tells_no_secret_and_drops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ours = certificates(dir.path());
    let office = Post::default();
    let port = office.start(Some(&ours), true).await;
    office.say("AUTH", "535 5.7.8 no, not hunter2-in-a-file\r\n");
    let text = later(give(&mut to(guarded(port, MailTls::Tls, &ours, dir.path())), &[raised(1)]).await);
    assert!(text.contains("535") && text.contains("noc"), "{text}");
}
