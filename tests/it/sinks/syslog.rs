//! Syslog over UDP, TCP and TLS.

use std::path::PathBuf;
use std::time::Duration;

use peerdeck::alerts::sinks::{Beat, Facility, Sink, Spec, SyslogSpec, Telling, Way};
use peerdeck::domain::text::Line;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{Certificates, EVIL, certificates, give, later, raised, sink};
use crate::support::PATIENCE;

fn to(way: Way, port: u16, ca_file: Option<PathBuf>) -> Box<dyn Sink> {
    sink(&Spec::Syslog(SyslogSpec { way, host: "localhost".into(), port, facility: Facility::Local3, ca_file }))
}

/// One message by its parts: head up to the structured data, that, and the text.
fn parts(message: &str) -> (String, String, String) {
    let head: Vec<&str> = message.splitn(7, ' ').collect();
    let rest = head[6];
    let mut escaped = false;
    let mut quoted = false;
    let end = rest.char_indices().find(|(_, c)| {
        let ends = *c == ']' && !escaped && !quoted;
        quoted ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (data, text) = rest.split_at(end.unwrap().0 + 1);
    (head[..6].join(" "), data.to_owned(), text.strip_prefix(' ').unwrap().to_owned())
}

/// The next message with its length before it.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut length = String::new();
    loop {
        match stream.read_u8().await.ok()? {
            b' ' => break,
            digit => length.push(char::from(digit)),
        }
    }
    let mut bytes = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(String::from_utf8(bytes).unwrap())
}

fn event(message: &str) -> String {
    let (_, data, _) = parts(message);
    data.split_once("event-id=\"").unwrap().1.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn b5_a_datagram_is_one_message_with_escaped_data() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut sink = to(Way::Udp, server.local_addr().unwrap().port(), None);
    let mut one = raised(1);
    one.notice.alert.seen.finding.advice = Line::new(EVIL);
    give(&mut sink, std::slice::from_ref(&one)).await.unwrap();
    let mut buffer = vec![0; 65_536];
    let n = server.recv(&mut buffer).await.unwrap();
    let (head, data, text) = parts(std::str::from_utf8(&buffer[..n]).unwrap());
    let words: Vec<&str> = head.split(' ').collect();
    assert_eq!(words[0], format!("<{}>1", 19 * 8 + 2), "local3, critical");
    assert!(words[1].parse::<jiff::Timestamp>().is_ok());
    assert_eq!(words[2..4], ["noc1", "peerdeck"]);
    assert_eq!(words[5], "peer-unreachable");
    assert_eq!(text, *one.text, "without a byte order mark");
    assert!(
        data.starts_with("[peerdeck@32473 event-id=\"w1-1\" transition=\"raised\" severity=\"critical\""),
        "{data}"
    );
    assert!(data.contains("hosts=\"lab7.example.com\""));
    assert!(data.contains(r#"advice="it says \"no\"\] \\ and = 'yes' <b>é, 漢字""#), "{data}");
}

#[tokio::test]
async fn b5_a_closed_port_is_noticed_and_what_was_lost_is_sent_again() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let mut sink = to(Way::Udp, address.port(), None);
    give(&mut sink, &[raised(1)]).await.unwrap();
    drop(server);
    assert!(later(give(&mut sink, &[raised(2)]).await).contains("refused"));
    let server = UdpSocket::bind(address).await.unwrap();
    give(&mut sink, &[raised(2)]).await.unwrap();
    let mut buffer = vec![0; 65_536];
    let mut got = Vec::new();
    for _ in 0..2 {
        let n = server.recv(&mut buffer).await.unwrap();
        got.push(event(std::str::from_utf8(&buffer[..n]).unwrap()));
    }
    assert_eq!(got, ["w1-1", "w1-2"]);
}

#[tokio::test]
async fn b5_a_datagram_is_cut_at_its_text() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut sink = to(Way::Udp, server.local_addr().unwrap().port(), None);
    give(&mut sink, &[Telling { text: "漢".repeat(9_000).into(), ..raised(1) }]).await.unwrap();
    let mut buffer = vec![0; 65_536];
    let n = server.recv(&mut buffer).await.unwrap();
    let (_, _, text) = parts(std::str::from_utf8(&buffer[..n]).unwrap());
    assert!(n <= 8_192 && n > 8_180, "{n}");
    assert!(text.chars().all(|c| c == '漢'));
}

#[tokio::test]
async fn b5_over_tcp_each_message_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sink = to(Way::Tcp, listener.local_addr().unwrap().port(), None);
    let all: Vec<Telling> = (1..=3).map(raised).collect();
    let (given, accepted) = tokio::join!(give(&mut sink, &all), listener.accept());
    given.unwrap();
    let (mut stream, _) = accepted.unwrap();
    for n in 1..=3 {
        assert_eq!(event(&frame(&mut stream).await.unwrap()), format!("w1-{n}"));
    }
    give(&mut sink, &[raised(4)]).await.unwrap();
    assert_eq!(event(&frame(&mut stream).await.unwrap()), "w1-4", "on the same connection");
}

/// Until the sink has heard that its connection is gone and has made another.
async fn until_it_connects_again(sink: &mut Box<dyn Sink>, listener: TcpListener) -> TcpStream {
    let beat = Beat { json: "{}".into(), text: "alive".into() };
    let accepted = tokio::spawn(async move { listener.accept().await.unwrap().0 });
    let end = tokio::time::Instant::now() + PATIENCE;
    while !accepted.is_finished() {
        assert!(tokio::time::Instant::now() < end, "it never connects again");
        // A sign of life is when a broken connection is mended.
        sink.beat(&beat).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    accepted.await.unwrap()
}

#[tokio::test]
async fn b5_what_a_broken_connection_may_have_lost_is_written_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sink = to(Way::Tcp, listener.local_addr().unwrap().port(), None);
    let (given, accepted) = tokio::join!(sink.deliver(&[]), listener.accept());
    given.unwrap();
    let (stream, _) = accepted.unwrap();
    give(&mut sink, &[raised(1)]).await.unwrap();
    // Closed with the message unread in it: the other side never saw it, and the sink was told `Ok`.
    drop(stream);
    let mut stream = until_it_connects_again(&mut sink, listener).await;
    give(&mut sink, &[raised(2)]).await.unwrap();
    assert_eq!(event(&frame(&mut stream).await.unwrap()), "w1-1", "again, without an alert that would push it");
    assert_eq!(event(&frame(&mut stream).await.unwrap()), "w1-2");
}

#[tokio::test]
async fn b5_a_server_that_is_not_there_is_a_failure_and_loses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut sink = to(Way::Tcp, address.port(), None);
    let text = later(give(&mut sink, &[raised(1)]).await);
    assert!(text.contains(&format!("tcp://localhost:{}", address.port())) && text.contains("refused"), "{text}");
    let listener = TcpListener::bind(address).await.unwrap();
    let one = [raised(1)];
    let (given, accepted) = tokio::join!(give(&mut sink, &one), listener.accept());
    given.unwrap();
    let (mut stream, _) = accepted.unwrap();
    assert_eq!(event(&frame(&mut stream).await.unwrap()), "w1-1");
    drop(sink);
    assert_eq!(frame(&mut stream).await, None, "once");
}

async fn tls_server(ours: &Certificates) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = tokio_rustls::TlsAcceptor::from(ours.server.clone());
    let (send, got) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (tls, send) = (tls.clone(), send.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = tls.accept(socket).await else { return };
                let _ = send.send(format!("name {:?}", stream.get_ref().1.server_name()));
                while let Some(message) = frame(&mut stream).await {
                    let _ = send.send(event(&message));
                }
            });
        }
    });
    (port, got)
}

#[tokio::test]
async fn b5_over_tls_the_server_is_checked_and_told_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let ours = certificates(dir.path());
    let (port, mut got) = tls_server(&ours).await;
    let mut sink = to(Way::Tls, port, Some(ours.ca_file.clone()));
    give(&mut sink, &[raised(1)]).await.unwrap();
    assert_eq!(got.recv().await.unwrap(), "name Some(\"localhost\")");
    assert_eq!(got.recv().await.unwrap(), "w1-1");
    give(&mut sink, &[raised(2)]).await.unwrap();
    assert_eq!(got.recv().await.unwrap(), "w1-2");
    let other = tempfile::tempdir().unwrap();
    let mut stranger = to(Way::Tls, port, Some(certificates(other.path()).ca_file));
    let text = later(give(&mut stranger, &[raised(3)]).await);
    assert!(text.to_lowercase().contains("certificate"), "{text}");
    assert!(got.try_recv().is_err(), "nothing was said to it");
}

#[tokio::test(start_paused = true)]
async fn b5_a_server_that_never_greets_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ours = certificates(dir.path());
    let mut sink = to(Way::Tls, listener.local_addr().unwrap().port(), Some(ours.ca_file));
    assert!(later(give(&mut sink, &[raised(1)]).await).contains("no answer within 10 s"));
}
