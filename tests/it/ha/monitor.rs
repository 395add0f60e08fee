//! Monitors, against services that do everything wrong, and against real ones (F10, F11, F13).

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use peerdeck::daemon::ha::Senses;
use peerdeck::daemon::ha::monitor::check;
use peerdeck::domain::ha::config::MonitorConfig;
use peerdeck::domain::ha::{MonitorKind, Service};
use peerdeck::ssh::net::{BoxFuture, OsNet};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::post::{Dovecot, Place, Postfix};
use crate::support::{PATIENCE, free_port, wait_until};

/// A machine whose ports and disk are as a test wants them.
struct Fake {
    down: &'static [&'static str],
    disk: Result<(), &'static str>,
    hangs: bool,
}

const WELL: Fake = Fake { down: &[], disk: Ok(()), hangs: false };

impl Senses for Fake {
    fn port<'a>(&'a self, interface: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            if self.down.contains(&interface) { Err("no carrier".to_owned()) } else { Ok(()) }
        })
    }

    fn disk<'a>(&'a self, _dir: &'a Path) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            self.disk.map_err(str::to_owned)
        })
    }

    fn answers(&self, _address: IpAddr) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

fn config(kind: MonitorKind, target: Option<SocketAddr>, wait: Duration) -> MonitorConfig {
    MonitorConfig { kind, target, interval: Duration::from_mins(1), wait, retries: 3 }
}

async fn ask(service: Service, to: SocketAddr, wait: Duration) -> Result<(), String> {
    let config = config(MonitorKind::Remote(service), Some(to), wait);
    check(&OsNet, &WELL, &config, &[], Path::new("/")).await
}

/// What a service does at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Says(&'static str),
    Hangs,
    Closes,
    /// Half a line, and then nothing.
    HalfALine,
    /// A line that never ends.
    EndlessLine,
    /// This line again and again.
    Again(&'static str),
}

/// A service that does one thing after each line that it gets (HTTP: after the empty one), the first at once.
async fn service(acts: Vec<Does>, speaks_first: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acts = acts.clone();
            tokio::spawn(async move { drop(serve(stream, &acts, speaks_first).await) });
        }
    });
    address
}

async fn serve(stream: TcpStream, acts: &[Does], speaks_first: bool) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    for (n, act) in acts.iter().enumerate() {
        let mut line = String::new();
        while (n > 0 || !speaks_first) && stream.read_line(&mut line).await? > 0 {
            if speaks_first || line.ends_with("\r\n\r\n") {
                break;
            }
        }
        match *act {
            Does::Says(text) => stream.write_all(text.as_bytes()).await?,
            Does::Hangs => std::future::pending().await,
            Does::Closes => return Ok(()),
            Does::HalfALine => {
                stream.write_all(b"2").await?;
                stream.flush().await?;
                std::future::pending::<()>().await;
            }
            Does::EndlessLine => loop {
                stream.write_all(&[b'x'; 4096]).await?;
            },
            Does::Again(text) => loop {
                stream.write_all(text.as_bytes()).await?;
            },
        }
        stream.flush().await?;
    }
    Ok(())
}

/// Each service: how it speaks when it is well, and the names of the steps.
type Script = (Service, bool, &'static [(&'static str, &'static str)], &'static str);

const SCRIPTS: [Script; 4] = [
    (
        Service::Smtp,
        true,
        &[
            ("the greeting", "220-mx1 ESMTP\r\n220-waits a little\r\n220 ready\r\n"),
            ("EHLO", "250-mx1\r\n250-PIPELINING\r\n250 8BITMIME\r\n"),
            ("NOOP", "250 2.0.0 Ok\r\n"),
        ],
        "220-again\r\n",
    ),
    (
        Service::Pop3,
        true,
        &[("the greeting", "+OK ready\r\n"), ("CAPA", "+OK\r\nTOP\r\nUIDL\r\n.\r\n")],
        "+OKAY again\r\n",
    ),
    (
        Service::Imap,
        true,
        &[
            ("the greeting", "* OK [CAPABILITY IMAP4rev1] ready\r\n"),
            ("CAPABILITY", "* CAPABILITY IMAP4rev1 LITERAL+\r\n* 1 EXISTS\r\na OK done\r\n"),
        ],
        "* more\r\n",
    ),
    (Service::Http, false, &[("GET /", "HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n")], "HTTP/1.1 102 Wait\r\n\r\n"),
];

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn f10_services_that_are_well_pass_however_they_say_good_bye() {
    for (kind, first, script, _) in SCRIPTS {
        let well = || script.iter().map(|(_, says)| Does::Says(says));
        let byes = [
            Does::Says("221 Bye\r\n"),
            Does::Says("500 what?\r\n"),
            Does::Closes,
            Does::Hangs,
            Does::Again("no\r\n"),
            Does::EndlessLine,
        ];
        for bye in byes {
            let to = service(well().chain([bye]).collect(), first).await;
            // Patience is for services that answer: the good-bye must not use it up.
            assert_eq!(ask(kind, to, PATIENCE).await, Ok(()), "{kind:?} {bye:?}");
        }
    }
}

#[tokio::test]
async fn f10_whatever_goes_wrong_at_whatever_step_is_told_in_time() {
    for (kind, first, script, again) in SCRIPTS {
        for (broken, (step, says)) in script.iter().enumerate() {
            let at = |act: Does| script[..broken].iter().map(|(_, s)| Does::Says(s)).chain([act]).collect::<Vec<_>>();
            let cut: &'static str = &says[..3];
            for (act, wanted) in [
                (Does::Hangs, "no answer within 300ms"),
                (Does::HalfALine, "no answer within 300ms after \"2\""),
                (Does::Closes, "it closed the connection"),
                (Does::EndlessLine, "it says more than it should after \"xxxx"),
                (Does::Says("\u{1b}[2Jjunk\u{202e}\r\n"), "it said \"junk\""),
                (Does::Says("\r\n"), "it said \"\""),
                (Does::Says(cut), "it closed the connection"),
            ] {
                let to = service(at(act), first).await;
                let error = ask(kind, to, SHORT).await.unwrap_err();
                let begins = format!("{to} at {step}: ");
                assert!(error.starts_with(&begins) && error.contains(wanted), "{kind:?} {step} {act:?}: {error}");
                assert!(error.chars().count() < 300 && !error.contains('\u{1b}'), "{error:?}");
            }
            // Lines without an end, each of which is allowed there.
            let to = service(at(Does::Again(again)), first).await;
            let error = ask(kind, to, PATIENCE).await.unwrap_err();
            let over = ["it says more than it should", "it said"];
            assert!(over.iter().any(|o| error.contains(o)), "{kind:?} {step}: {error}");
        }
    }
}

#[tokio::test]
async fn f10_a_service_that_says_no_fails_with_its_own_words() {
    let refusals: [(Service, &[&str], &str); 10] = [
        (Service::Smtp, &["421 4.3.2 shutting down\r\n"], "the greeting: it said \"421 4.3.2 shutting down\""),
        (Service::Smtp, &["554 no service here\r\n"], "the greeting: it said \"554 no service here\""),
        (Service::Smtp, &["2200 ready\r\n"], "the greeting: it said \"2200 ready\""),
        (Service::Smtp, &["220 mx1\r\n", "250-mx1\r\n421 too busy\r\n"], "EHLO: it said \"421 too busy\""),
        (Service::Smtp, &["220 mx1\r\n", "250 mx1\r\n", "451 no disk\r\n"], "NOOP: it said \"451 no disk\""),
        (Service::Pop3, &["-ERR [SYS/TEMP] later\r\n"], "the greeting: it said \"-ERR [SYS/TEMP] later\""),
        (Service::Imap, &["* BYE overloaded\r\n"], "the greeting: it said \"* BYE overloaded\""),
        (Service::Imap, &["* OK\r\n", "* BYE going down\r\n"], "CAPABILITY: it said \"* BYE going down\""),
        (Service::Imap, &["* OK\r\n", "a BAD what\r\n"], "CAPABILITY: it said \"a BAD what\""),
        (Service::Http, &["HTTP/1.1 503 Busy\r\n\r\n"], "GET /: it said \"HTTP/1.1 503 Busy\""),
    ];
    for (kind, says, wanted) in refusals {
        let to = service(says.iter().map(|s| Does::Says(s)).collect(), kind != Service::Http).await;
        let error = ask(kind, to, PATIENCE).await.unwrap_err();
        assert!(error.ends_with(wanted), "{error}");
    }
    // Old and strict ones that serve.
    for (kind, says) in [
        (Service::Pop3, &["+OK\r\n", "-ERR what is CAPA?\r\n"][..]),
        (Service::Imap, &["* PREAUTH hello\r\n", "A ok\r\n"][..]),
        (Service::Http, &["HTTP/1.0 401 Who are you\r\n\r\n"][..]),
        (Service::Http, &["HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"][..]),
    ] {
        let to = service(says.iter().map(|s| Does::Says(s)).collect(), kind != Service::Http).await;
        assert_eq!(ask(kind, to, PATIENCE).await, Ok(()), "{says:?}");
    }
}

#[tokio::test]
async fn f10_nobody_there_and_no_target_are_told() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = ask(Service::Imap, gone, PATIENCE).await.unwrap_err();
    assert!(error.starts_with(&format!("{gone} at connecting: ")), "{error}");
    // A listener whose queue is full drops the handshake: nothing answers.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let full = socket.local_addr().unwrap().as_socket().unwrap();
    let mut callers = Vec::new();
    let began = Instant::now();
    while let Ok(caller) = std::net::TcpStream::connect_timeout(&full, Duration::from_millis(200)) {
        callers.push(caller);
        assert!(began.elapsed() < PATIENCE, "the queue never fills");
    }
    let error = ask(Service::Smtp, full, SHORT).await.unwrap_err();
    assert_eq!(error, format!("{full} at connecting: no answer within 300ms"));
    let nowhere = config(MonitorKind::Remote(Service::Pop3), None, SHORT);
    let error = check(&OsNet, &WELL, &nowhere, &[], Path::new("/")).await.unwrap_err();
    assert_eq!(error, "it has no `ip` to speak to; give it one");
}

#[tokio::test]
async fn f11_f13_ports_and_disk_are_felt_in_time() {
    let ports: Vec<String> = ["eth0", "eth1", "eth2"].map(str::to_owned).to_vec();
    let run = async |senses: &Fake, kind, ports: &[String]| {
        check(&OsNet, senses, &config(kind, None, SHORT), ports, Path::new("/var/x")).await
    };
    assert_eq!(run(&WELL, MonitorKind::Ports, &ports).await, Ok(()));
    assert_eq!(run(&WELL, MonitorKind::Disk, &[]).await, Ok(()));
    let broken = Fake { down: &["eth0", "eth2"], disk: Err("read-only file system"), hangs: false };
    let told = run(&broken, MonitorKind::Ports, &ports).await;
    assert_eq!(told.unwrap_err(), "eth0: no carrier; eth2: no carrier");
    assert_eq!(run(&broken, MonitorKind::Ports, &ports[1..2]).await, Ok(()));
    assert_eq!(run(&broken, MonitorKind::Disk, &[]).await.unwrap_err(), "read-only file system");
    let hangs = Fake { hangs: true, ..broken };
    let told = run(&hangs, MonitorKind::Ports, &ports[..1]).await.unwrap_err();
    assert_eq!(told, "eth0: its state was not told within 300ms");
    let told = run(&hangs, MonitorKind::Disk, &[]).await.unwrap_err();
    assert_eq!(told, "/var/x took no file within 300ms");
}

fn is_open(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[tokio::test]
#[ignore = "needs root and postfix"]
async fn f10_a_real_postfix_passes_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let to: SocketAddr = ([127, 0, 0, 1], port).into();
    let running = Postfix::start(Place::Here, dir.path(), &to.to_string(), None);
    wait_until(PATIENCE, "postfix listens", || is_open(port)).await;
    for _ in 0..3 {
        assert_eq!(ask(Service::Smtp, to, PATIENCE).await, Ok(()));
    }
    // The wrong question at the right place is told with what it answers.
    let error = ask(Service::Pop3, to, PATIENCE).await.unwrap_err();
    assert!(error.contains("at the greeting: it said \"220 post.example.com ESMTP"), "{error}");
    // It complains in its log about nobody who spoke properly to it.
    let log = dir.path().join("mail.log");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_until(PATIENCE, "it has logged the talks", || read().matches("quit=1").count() == 3).await;
    assert_eq!(read().matches("lost connection after NOOP").count(), 0, "{}", read());
    drop(running);
    wait_until(PATIENCE, "postfix has ended", || !is_open(port)).await;
    assert!(ask(Service::Smtp, to, PATIENCE).await.unwrap_err().contains("at connecting: "));
}

#[tokio::test]
#[ignore = "needs root, dovecot-imapd and dovecot-pop3d"]
async fn f10_a_real_dovecot_passes_by_imap_and_pop3() {
    let dir = tempfile::tempdir().unwrap();
    let (imap, pop3) = (free_port(), free_port());
    let mail = dir.path().join("mail");
    let _program = Dovecot::start(&Place::Here, dir.path(), "127.0.0.1", [imap, pop3], &mail, 0);
    wait_until(PATIENCE, "dovecot listens", || is_open(imap) && is_open(pop3)).await;
    let at = |port: u16| -> SocketAddr { ([127, 0, 0, 1], port).into() };
    for _ in 0..3 {
        assert_eq!(ask(Service::Imap, at(imap), PATIENCE).await, Ok(()));
        assert_eq!(ask(Service::Pop3, at(pop3), PATIENCE).await, Ok(()));
    }
    let error = ask(Service::Smtp, at(imap), PATIENCE).await.unwrap_err();
    assert!(error.contains("at the greeting: it said \"* OK"), "{error}");
}

#[tokio::test]
async fn f10_only_what_a_person_could_read_is_told_of_a_flood_of_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().filter(|b| *b != b'\n').take(6000).chain(*b"\r\n").collect();
        stream.write_all(&bytes).await.unwrap();
        drop(stream.read_u8().await);
    });
    let error = ask(Service::Smtp, to, PATIENCE).await.unwrap_err();
    assert!(error.chars().count() < 250 && error.chars().all(|c| !c.is_control()), "{error:?}");
}
