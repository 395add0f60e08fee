//! Every stage of a connection, broken in every way, ends in the right stage and cause within its deadline.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peerdeck::domain::mesh::Cause;
use peerdeck::ssh::client::{
    ConnectError, Credential, Deadlines, HostKeyPolicy, HostKeyVerdict, Session, Stage, Target, connect, fingerprint,
};
use peerdeck::ssh::known_hosts::Pinned;
use russh::keys::PublicKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::net::MemNet;
use super::server::{Behaviour, Channels, Login, key};

const AT: &str = "127.0.0.1:2222";

fn at() -> SocketAddr {
    AT.parse().unwrap()
}

struct Unknown;

impl HostKeyPolicy for Unknown {
    fn judge(&self, _: &str, _: u16, _: &PublicKey) -> HostKeyVerdict {
        HostKeyVerdict::Unknown
    }
}

fn target(policy: impl HostKeyPolicy) -> Target {
    Target {
        host: "lab1.example.com".into(),
        port: 2222,
        user: "admin".into(),
        credentials: vec![Credential::Key(Arc::new(key()))],
        policy: Arc::new(policy),
        deadlines: Deadlines::default(),
    }
}

fn pinned(server: &Behaviour) -> Target {
    target(Pinned(server.host_key.public_key().clone()))
}

async fn fails(net: &MemNet, target: &Target) -> ConnectError {
    match connect(net, at(), target).await {
        Ok(_) => panic!("a session came about"),
        Err(e) => {
            assert!(e.detail.starts_with("admin@lab1.example.com:2222: "), "{}", e.detail);
            e
        }
    }
}

async fn session(net: &MemNet, target: &Target) -> Session {
    connect(net, at(), target).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn tcp_refused_and_tcp_silence_differ() {
    let net = MemNet::default();
    let e = fails(&net, &target(Unknown)).await;
    assert_eq!((e.stage, e.cause), (Stage::Tcp, Cause::Refused), "{e}");
    net.silent(at());
    let begin = Instant::now();
    let e = fails(&net, &target(Unknown)).await;
    assert_eq!((e.stage, e.cause), (Stage::Tcp, Cause::Timeout), "{e}");
    assert_eq!(begin.elapsed().as_secs(), Deadlines::default().connect.as_secs());
}

#[tokio::test(start_paused = true)]
async fn one_that_accepts_and_never_speaks_ends_in_the_key_exchange_deadline() {
    let net = MemNet::default();
    let _held = net.open(at());
    let begin = Instant::now();
    let e = fails(&net, &target(Unknown)).await;
    assert_eq!((e.stage, e.cause), (Stage::KeyExchange, Cause::Timeout), "{e}");
    assert_eq!(begin.elapsed().as_secs(), Deadlines::default().key_exchange.as_secs());
}

#[tokio::test(start_paused = true)]
async fn one_that_stops_within_the_key_exchange_keeps_no_connection() {
    let net = MemNet::default();
    let mut incoming = net.open(at());
    let closed = tokio::spawn(async move {
        let mut stream = incoming.recv().await.unwrap();
        stream.write_all(b"SSH-2.0-tarpit\r\n").await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all
    });
    let e = fails(&net, &target(Unknown)).await;
    assert_eq!((e.stage, e.cause), (Stage::KeyExchange, Cause::Timeout), "{e}");
    let heard = timeout(Duration::from_mins(1), closed).await.expect("the connection stays open for ever").unwrap();
    assert!(heard.starts_with(b"SSH-2.0-peerdeck"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_ssh_and_what_hangs_up_is_said() {
    let long = vec![b'x'; 1 << 20];
    let cases: [(&[u8], Cause); 4] = [
        (b"220 mail.example.com ESMTP\r\n\x1b[2J".as_slice(), Cause::Dropped),
        (&long, Cause::KeyExchange),
        (b"", Cause::Dropped),
        (b"SSH-2.0-x\r\n\0\0\0\x0c\x0anot a kex init at all", Cause::KeyExchange),
    ];
    for (speech, cause) in cases {
        let net = MemNet::default();
        let mut incoming = net.open(at());
        let speech = speech.to_vec();
        tokio::spawn(async move {
            let mut stream = incoming.recv().await.unwrap();
            let _ = stream.write_all(&speech).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let e = fails(&net, &target(Unknown)).await;
        assert_eq!((e.stage, e.cause), (Stage::KeyExchange, cause), "{e}");
        assert!(!e.detail.contains('\x1b'));
    }
}

#[tokio::test(start_paused = true)]
async fn no_common_algorithm_is_named() {
    let net = MemNet::default();
    let server = Behaviour { kex: Some(vec![russh::kex::DH_G1_SHA1]), ..Behaviour::new(&net) };
    let target = pinned(&server);
    server.serve(at());
    let e = fails(&net, &target).await;
    assert_eq!((e.stage, e.cause), (Stage::KeyExchange, Cause::KeyExchange), "{e}");
    assert!(e.detail.contains("diffie-hellman-group1-sha1") && e.detail.contains("mlkem768x25519"), "{e}");
}

#[tokio::test(start_paused = true)]
async fn c31_another_host_key_than_the_pinned_one_is_refused_with_both_fingerprints() {
    let net = MemNet::default();
    let server = Behaviour::new(&net);
    let (offered, expected) = (fingerprint(server.host_key.public_key()), key());
    server.serve(at());
    let e = fails(&net, &target(Pinned(expected.public_key().clone()))).await;
    assert_eq!((e.stage, e.cause), (Stage::HostKey, Cause::HostKey), "{e}");
    assert!(e.detail.contains(&offered) && e.detail.contains(&fingerprint(expected.public_key())), "{e}");
    assert_eq!(e.unknown_key, None);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_host_key_is_handed_on_so_that_somebody_can_be_asked() {
    let net = MemNet::default();
    let server = Behaviour::new(&net);
    let offered = server.host_key.public_key().clone();
    server.serve(at());
    let e = fails(&net, &target(Unknown)).await;
    assert_eq!((e.stage, e.cause), (Stage::HostKey, Cause::HostKey), "{e}");
    assert_eq!(e.unknown_key.map(|k| k.key_data().clone()), Some(offered.key_data().clone()));
    assert!(e.detail.contains(&fingerprint(&offered)), "{}", e.detail);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_says_what_was_tried_and_what_is_taken() {
    let net = MemNet::default();
    let server = Behaviour { login: Login::Refuse, ..Behaviour::new(&net) };
    let target = pinned(&server);
    server.serve(at());
    let e = fails(&net, &target).await;
    assert_eq!((e.stage, e.cause), (Stage::Auth, Cause::Auth), "{e}");
    let Credential::Key(key) = &target.credentials[0] else { panic!() };
    assert!(e.detail.contains(&fingerprint(key.public_key())) && e.detail.contains("publickey"), "{e}");
    let none = Target { credentials: Vec::new(), ..target };
    let e = fails(&net, &none).await;
    assert!(e.detail.contains("no credentials are configured"), "{e}");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_hangs_ends_in_its_own_deadline() {
    let net = MemNet::default();
    let server = Behaviour { login: Login::Hang, ..Behaviour::new(&net) };
    let target = pinned(&server);
    server.serve(at());
    let begin = Instant::now();
    let e = fails(&net, &target).await;
    assert_eq!((e.stage, e.cause), (Stage::Auth, Cause::Timeout), "{e}");
    assert_eq!(begin.elapsed().as_secs(), Deadlines::default().auth.as_secs());
}

#[tokio::test(start_paused = true)]
async fn c30_our_own_words_in_a_farewell_become_the_cause() {
    for (words, cause) in [
        ("too-many-connections: 8 sessions are allowed", Cause::TooManyConnections),
        ("not-in-cluster: S9 does not appear to be in the cluster", Cause::NotInCluster),
        ("see you", Cause::Dropped),
    ] {
        let net = MemNet::default();
        let server = Behaviour { login: Login::Bye(words), ..Behaviour::new(&net) };
        let target = pinned(&server);
        server.serve(at());
        let (found, detail) = match connect(&net, at(), &target).await {
            Err(e) => (e.cause, e.detail),
            Ok(session) => {
                timeout(Duration::from_secs(5), session.closed()).await.unwrap();
                session.ending()
            }
        };
        assert_eq!(found, cause, "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
    let net = MemNet::default();
    let banner = Some("not-in-cluster: this machine does not know you\x1b[31m");
    let server = Behaviour { login: Login::Refuse, banner, ..Behaviour::new(&net) };
    let target = pinned(&server);
    server.serve(at());
    let e = fails(&net, &target).await;
    assert_eq!((e.stage, e.cause), (Stage::Auth, Cause::NotInCluster), "{e}");
    assert!(!e.detail.contains('\x1b'));
}

#[tokio::test(start_paused = true)]
async fn passwords_answer_both_methods_and_only_hidden_questions() {
    let net = MemNet::default();
    let password = |p: &str| vec![Credential::Key(Arc::new(key())), Credential::Password(p.into())];
    for (login, given, good) in [
        (Login::Password("right"), "right", true),
        (Login::Password("right"), "wrong", false),
        (Login::Ask("right", vec![("Password: ", false)]), "right", true),
        (Login::Ask("right", vec![("Password: ", false)]), "wrong", false),
        (Login::Ask("right", vec![("Your name: ", true)]), "right", false),
        (Login::Ask("right", vec![("Password: ", false), ("Token: ", false)]), "right", false),
    ] {
        let server = Behaviour { login, ..Behaviour::new(&net) };
        let target = Target { credentials: password(given), ..pinned(&server) };
        server.serve(at());
        match connect(&net, at(), &target).await {
            Ok(_) => assert!(good),
            Err(e) => {
                assert!(!good, "{e}");
                assert_eq!((e.stage, e.cause), (Stage::Auth, Cause::Auth), "{e}");
                assert!(!e.detail.contains(given), "a secret in the message");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn channels_that_are_never_opened_or_refused() {
    let net = MemNet::default();
    for (channels, cause) in [
        (Channels::NeverOpen, Cause::Timeout),
        (Channels::RefuseOpen, Cause::TooManyConnections),
        (Channels::RefuseRequest, Cause::Dropped),
    ] {
        let server = Behaviour { channels, ..Behaviour::new(&net) };
        let target = pinned(&server);
        server.serve(at());
        let session = session(&net, &target).await;
        let Err(e) = session.subsystem("peerdeck").await else { panic!("a channel came about") };
        assert_eq!((e.stage, e.cause), (Stage::Channel, cause), "{e}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subsystem_carries_bytes_both_ways_and_ends_with_its_session() {
    let net = MemNet::default();
    let server = Behaviour::new(&net);
    let target = pinned(&server);
    server.serve(at());
    let session = session(&net, &target).await;
    assert!(session.established().algorithms.contains("mlkem768x25519"), "{:?}", session.established());
    assert!(session.established().algorithms.contains("aes256-gcm"), "{:?}", session.established());
    let (mut reader, mut writer) = tokio::io::split(session.subsystem("peerdeck").await.unwrap());
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let mut back = vec![0; expected.len()];
    reader.read_exact(&mut back).await.unwrap();
    assert!(back == expected);
    let _writer = writing.await.unwrap();
    drop(session);
    assert_eq!(reader.read(&mut back).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_before_the_yes_to_the_subsystem_is_not_lost() {
    let net = MemNet::default();
    // The script begins with the channel, the yes comes with the request for the subsystem.
    let server = Behaviour::new(&net).script(|_, mut stream| async move {
        let _ = stream.write_all(b"first ").await;
        let _ = stream.read(&mut [0; 1]).await;
        let _ = stream.write_all(b"second").await;
    });
    let target = pinned(&server);
    server.serve(at());
    let session = session(&net, &target).await;
    let mut stream = session.subsystem("peerdeck").await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut all = [0; 12];
    stream.read_exact(&mut all).await.unwrap();
    assert_eq!(&all, b"first second");
}

/// Measured (B7): an unread channel freezes the whole session, unless something drains it.
#[tokio::test(start_paused = true)]
async fn an_unread_channel_holds_up_no_other_and_is_closed_when_too_much_waits() {
    let net = MemNet::default();
    let server = Behaviour::new(&net).script(|_, stream| async move {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut first = [0; 1];
        if reader.read_exact(&mut first).await.is_ok() && first == *b"F" {
            let flood = vec![b'x'; 64 * 1024];
            while writer.write_all(&flood).await.is_ok() {}
        } else {
            let _ = writer.write_all(b"pong").await;
            let _ = reader.read_to_end(&mut Vec::new()).await;
        }
    });
    let target = pinned(&server);
    server.serve(at());
    let session = session(&net, &target).await;
    let mut flooded = session.subsystem("a").await.unwrap();
    flooded.write_all(b"F").await.unwrap();
    let mut other = session.subsystem("b").await.unwrap();
    other.write_all(b"P").await.unwrap();
    let mut answer = [0; 4];
    timeout(Duration::from_secs(10), other.read_exact(&mut answer)).await.expect("the session is frozen").unwrap();
    assert_eq!(&answer, b"pong");
    let mut all = Vec::new();
    let end = timeout(Duration::from_mins(1), async {
        // Nothing is read until the inbox has run over.
        tokio::time::sleep(Duration::from_secs(30)).await;
        flooded.read_to_end(&mut all).await
    });
    assert!(end.await.unwrap().unwrap_err().to_string().contains("closed"));
    assert!(all.len() <= 8 * 1024 * 1024, "{}", all.len());
}

#[tokio::test(start_paused = true)]
async fn commands_give_both_outputs_their_status_and_no_more_than_is_wanted() {
    let net = MemNet::default();
    let server = Behaviour { channels: Channels::RefuseRequest, ..Behaviour::new(&net) };
    let target = pinned(&server);
    server.serve(at());
    let session = session(&net, &target).await;
    let output = session.exec("clusterconfig list", 9, Duration::from_secs(2)).await.unwrap();
    assert_eq!(output.stdout, b"clusterco");
    assert_eq!(output.stderr, b"about clu");
    assert_eq!(output.status, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_jump_host_carries_a_second_session() {
    let net = MemNet::default();
    let (bastion, inner) = (Behaviour::new(&net), Behaviour::new(&net));
    let (to_bastion, to_inner) = (pinned(&bastion), pinned(&inner));
    bastion.serve(at());
    inner.serve("127.0.0.9:22".parse().unwrap());
    let jump = session(&net, &to_bastion).await;
    let stream = jump.forward("127.0.0.9", 22).await.unwrap();
    let session = peerdeck::ssh::client::connect_stream(stream, &to_inner).await.unwrap();
    let output = session.exec("version", 100, Duration::from_secs(2)).await.unwrap();
    assert_eq!(output.stdout, b"version");
    let Err(e) = jump.forward("127.0.0.8", 22).await else { panic!("nothing listens there") };
    assert_eq!((e.stage, e.cause), (Stage::Tcp, Cause::Refused), "{e}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_noticed() {
    let net = MemNet::default();
    let server = Behaviour::new(&net);
    let target = pinned(&server);
    server.serve(at());
    let session = session(&net, &target).await;
    net.freeze();
    timeout(Duration::from_secs(25), session.closed()).await.expect("nobody notices");
    let (cause, detail) = session.ending();
    assert_eq!(cause, Cause::Timeout, "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_dropped_or_closed_leaves_nothing_open() {
    let net = MemNet::default();
    let server = Behaviour::new(&net);
    let target = pinned(&server);
    let ended = Arc::new(Mutex::new(0));
    let count = Arc::clone(&ended);
    let server = server.script(move |_, mut stream| {
        let count = Arc::clone(&count);
        async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
            *count.lock().unwrap() += 1;
        }
    });
    server.serve(at());
    let dropped = session(&net, &target).await;
    let _stream = dropped.subsystem("x").await.unwrap();
    drop(dropped);
    let closed = session(&net, &target).await;
    let _other = closed.subsystem("x").await.unwrap();
    closed.close().await;
    timeout(Duration::from_secs(10), async {
        while *ended.lock().unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a channel stayed open");
}
