//! Faults on the network, seen without any peer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerdeck::lab::net::{Faults, Hub, Node, Passage, PeerNet, Wiring};
use peerdeck::ssh::net::{BoxStream, Datagrams, Listener, Net};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{PATIENCE, QUIET, wait_until};

const A: Node = Node::Peer(0);
const B: Node = Node::Peer(1);

struct Pair {
    faults: Arc<Faults>,
    a: PeerNet,
    b: PeerNet,
}

fn ip(node: Node) -> IpAddr {
    match node {
        Node::Peer(i) => Ipv4Addr::new(127, 77, 0, u8::try_from(i).unwrap() + 1).into(),
        Node::Console => Ipv4Addr::LOCALHOST.into(),
    }
}

fn pair(seed: u64) -> Pair {
    wired(seed, &Wiring::Sockets)
}

fn wired(seed: u64, wiring: &Wiring) -> Pair {
    let faults = Arc::new(Faults::new(seed));
    for node in [A, B] {
        faults.own_ip(ip(node), node);
    }
    let net = |node| PeerNet::new(Arc::clone(&faults), node, ip(node), wiring.clone());
    Pair { a: net(A), b: net(B), faults }
}

async fn listen(net: &PeerNet, node: Node) -> Box<dyn Listener> {
    net.listen(SocketAddr::new(ip(node), 0)).await.unwrap()
}

/// A connection from A to B.
async fn connected(p: &Pair) -> (BoxStream, BoxStream) {
    let listener = listen(&p.b, B).await;
    let to = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(p.a.connect(to), listener.accept());
    let (far, from) = far.unwrap();
    assert_eq!(p.faults.node_at(from), A, "the accepting side knows who calls");
    (near.unwrap(), far)
}

async fn expect(stream: &mut (impl tokio::io::AsyncRead + Unpin), wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    timeout(PATIENCE, stream.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, wanted);
}

async fn expect_nothing(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut byte = [0];
    assert!(timeout(QUIET, stream.read(&mut byte)).await.is_err(), "nothing may come, not even the end");
}

fn both_wirings() -> [Wiring; 2] {
    [Wiring::Sockets, Wiring::Memory(Arc::new(Hub::default()))]
}

#[tokio::test]
async fn a_cut_holds_bytes_of_both_directions_and_the_heal_brings_them() {
    for wiring in both_wirings() {
        cut_and_heal(&wired(1, &wiring)).await;
    }
}

async fn cut_and_heal(p: &Pair) {
    let (mut a, mut b) = connected(p).await;
    a.write_all(b"before").await.unwrap();
    expect(&mut b, b"before").await;
    p.faults.cut(&[A], &[B]);
    a.write_all(b"held").await.unwrap();
    b.write_all(b"held too").await.unwrap();
    expect_nothing(&mut b).await;
    expect_nothing(&mut a).await;
    p.faults.clear();
    expect(&mut b, b"held").await;
    expect(&mut a, b"held too").await;
}

#[tokio::test]
async fn a_heal_wakes_a_reader_that_waits_already() {
    let p = pair(1);
    let (mut a, mut b) = connected(&p).await;
    p.faults.cut(&[A], &[B]);
    a.write_all(b"x").await.unwrap();
    let reader = tokio::spawn(async move { expect(&mut b, b"x").await });
    expect_nothing(&mut a).await;
    p.faults.clear();
    timeout(PATIENCE, reader).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_one_way_cut_lets_the_other_way_pass() {
    let p = pair(1);
    let (mut a, mut b) = connected(&p).await;
    p.faults.cut_one_way(A, B);
    a.write_all(b"lost on the way").await.unwrap();
    b.write_all(b"arrives").await.unwrap();
    expect(&mut a, b"arrives").await;
    expect_nothing(&mut b).await;
}

#[tokio::test]
async fn a_sender_in_a_cut_is_stopped_when_the_buffers_are_full() {
    let p = pair(1);
    let (mut a, b) = connected(&p).await;
    p.faults.cut(&[A], &[B]);
    let megabyte = vec![0; 1 << 20];
    let mut sent = 0;
    while timeout(QUIET, a.write_all(&megabyte)).await.is_ok() {
        sent += 1;
        assert!(sent < 64, "{sent} MiB were taken in a cut");
    }
    drop(b);
}

#[tokio::test]
async fn a_dial_in_a_cut_of_either_direction_waits_for_the_heal() {
    for (from, to) in [(A, B), (B, A)] {
        let p = pair(1);
        let listener = listen(&p.b, B).await;
        p.faults.cut_one_way(from, to);
        let dial = p.a.connect(listener.local_addr().unwrap());
        tokio::pin!(dial);
        assert!(timeout(QUIET, &mut dial).await.is_err());
        p.faults.clear();
        assert!(timeout(PATIENCE, dial).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn the_good_bye_of_a_connection_that_is_closed_in_a_cut_comes_after_the_heal() {
    let p = pair(1);
    let (a, mut b) = connected(&p).await;
    p.faults.cut(&[A], &[B]);
    drop(a);
    expect_nothing(&mut b).await;
    b.write_all(b"nobody tells that the other side is gone").await.unwrap();
    b.write_all(b"still not").await.unwrap();
    expect_nothing(&mut b).await;
    p.faults.clear();
    let mut rest = Vec::new();
    // The end or a reset: the other side has closed with unread bytes.
    let read = timeout(PATIENCE, b.read_to_end(&mut rest)).await.unwrap();
    assert!(read.is_err() || rest.is_empty());
}

#[tokio::test]
async fn a_killed_peer_is_gone_at_once_and_can_start_again() {
    for wiring in both_wirings() {
        kill_and_start(&wired(1, &wiring), &wiring).await;
    }
}

async fn kill_and_start(p: &Pair, wiring: &Wiring) {
    let listener = listen(&p.b, B).await;
    let to = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(p.a.connect(to), listener.accept());
    let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
    p.b.kill();
    let mut byte = [0];
    let end = timeout(PATIENCE, near.read(&mut byte)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "the other side sees the end");
    let own = timeout(PATIENCE, far.read(&mut byte)).await.unwrap();
    assert!(own.is_err(), "the dead one can't read");
    assert!(listener.accept().await.is_err(), "nor accept");
    assert!(p.b.connect(to).await.is_err(), "nor dial");
    let refused = p.a.connect(to).await.err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let again = PeerNet::new(Arc::clone(&p.faults), B, ip(B), wiring.clone());
    let listener = again.listen(to).await.unwrap();
    let (near, far) = tokio::join!(p.a.connect(to), listener.accept());
    assert!(near.is_ok() && far.is_ok());
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_its_own_death() {
    let p = pair(1);
    let (near, mut far) = connected(&p).await;
    let waiting = tokio::spawn(async move { far.read(&mut [0]).await });
    tokio::task::yield_now().await;
    p.b.kill();
    assert!(timeout(PATIENCE, waiting).await.unwrap().unwrap().is_err());
    drop(near);
}

#[tokio::test]
async fn a_frozen_peer_accepts_and_says_nothing_until_it_is_thawed() {
    for wiring in both_wirings() {
        freeze_and_thaw(&wired(1, &wiring)).await;
    }
}

async fn freeze_and_thaw(p: &Pair) {
    let listener = listen(&p.b, B).await;
    let to = listener.local_addr().unwrap();
    p.faults.freeze(B);
    let serving = tokio::spawn(async move {
        let (mut far, _) = listener.accept().await.unwrap();
        far.write_all(b"banner").await.unwrap();
        expect(&mut far, b"hello").await;
    });
    let mut near = timeout(PATIENCE, p.a.connect(to)).await.unwrap().unwrap();
    near.write_all(b"hello").await.unwrap();
    expect_nothing(&mut near).await;
    assert!(!serving.is_finished());
    p.faults.thaw(B);
    expect(&mut near, b"banner").await;
    timeout(PATIENCE, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn slow_bytes_come_late_and_in_order() {
    let p = pair(1);
    let (mut a, mut b) = connected(&p).await;
    let late = Duration::from_millis(80);
    p.faults.slow(A, B, late);
    let start = Instant::now();
    let sent: Vec<u8> = (0..200).collect();
    for part in sent.chunks(7) {
        a.write_all(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    expect(&mut b, &sent).await;
    assert!(start.elapsed() >= late);
    p.faults.clear();
    a.write_all(b"quick").await.unwrap();
    expect(&mut b, b"quick").await;
}

#[tokio::test]
async fn lossy_bytes_come_all_and_in_order() {
    let p = pair(7);
    let (mut a, mut b) = connected(&p).await;
    p.faults.loss(A, B, 0.5);
    let sent: Vec<u8> = (0..=255).collect();
    a.write_all(&sent).await.unwrap();
    expect(&mut b, &sent).await;
    drop(a);
    let mut rest = Vec::new();
    timeout(PATIENCE, b.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());
}

async fn sockets(p: &Pair) -> (Arc<dyn Datagrams>, Arc<dyn Datagrams>, SocketAddr) {
    // The trait does not tell where it is bound: a free port is found first.
    let free = std::net::UdpSocket::bind(SocketAddr::new(ip(B), 0)).unwrap().local_addr().unwrap();
    let a = p.a.datagrams(SocketAddr::new(ip(A), 0)).await.unwrap();
    (a, p.b.datagrams(free).await.unwrap(), free)
}

async fn received(b: &Arc<dyn Datagrams>, wait: Duration) -> Option<u8> {
    let mut buf = [0; 16];
    let (n, from) = timeout(wait, b.recv_from(&mut buf)).await.ok()?.unwrap();
    assert_eq!((n, from.ip()), (1, ip(A)));
    Some(buf[0])
}

#[tokio::test]
async fn datagrams_are_dropped_in_a_cut_and_not_held() {
    let p = pair(1);
    let (a, b, to) = sockets(&p).await;
    p.faults.cut_one_way(A, B);
    a.send_to(&[1], to).await.unwrap();
    assert_eq!(received(&b, QUIET).await, None);
    p.faults.clear();
    a.send_to(&[2], to).await.unwrap();
    assert_eq!(received(&b, PATIENCE).await, Some(2));
}

/// Which of 200 datagrams arrive.
async fn lucky(seed: u64) -> Vec<u8> {
    let p = pair(seed);
    let (a, b, to) = sockets(&p).await;
    p.faults.loss(A, B, 0.3);
    for n in 0..200 {
        a.send_to(&[n], to).await.unwrap();
    }
    p.faults.clear();
    a.send_to(&[255], to).await.unwrap();
    let mut got = Vec::new();
    loop {
        match received(&b, PATIENCE).await {
            Some(255) => return got,
            Some(n) => got.push(n),
            None => panic!("the last one was sent without loss"),
        }
    }
}

#[tokio::test]
async fn loss_drops_datagrams_and_a_seed_repeats_it() {
    let (first, again, other) = (lucky(5).await, lucky(5).await, lucky(6).await);
    assert!((100..180).contains(&first.len()), "{} of 200 arrived at 30 % loss", first.len());
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[tokio::test]
async fn slow_datagrams_come_late_and_in_order() {
    let p = pair(1);
    let (a, b, to) = sockets(&p).await;
    let late = Duration::from_millis(80);
    p.faults.slow(A, B, late);
    let start = Instant::now();
    for n in 0..50 {
        a.send_to(&[n], to).await.unwrap();
    }
    for n in 0..50 {
        assert_eq!(received(&b, PATIENCE).await, Some(n));
    }
    assert!(start.elapsed() >= late);
}

#[tokio::test]
async fn a_flap_closes_and_opens_by_itself() {
    let p = pair(1);
    let (mut a, mut b) = connected(&p).await;
    p.faults.flap(A, B, 5.0);
    assert!(matches!(p.faults.passage(A, B), Passage::Held { until: Some(_) }), "it begins with a cut");
    a.write_all(b"after the turn").await.unwrap();
    expect(&mut b, b"after the turn").await;
    let held = || matches!(p.faults.passage(B, A), Passage::Held { .. });
    wait_until(PATIENCE, "cut again", held).await;
    wait_until(PATIENCE, "open again", || !held()).await;
}

#[tokio::test]
async fn a_cut_from_the_console_holds_what_our_side_reads_and_writes() {
    let p = pair(1);
    let listener = listen(&p.b, B).await;
    let to = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(to), listener.accept());
    let (mut near, (mut far, from)) = (near.unwrap(), far.unwrap());
    assert_eq!(p.faults.node_at(from), Node::Console);
    far.write_all(b"one").await.unwrap();
    expect(&mut near, b"one").await;
    p.faults.cut(&[B], &[Node::Console]);
    far.write_all(b"two").await.unwrap();
    near.write_all(b"three").await.unwrap();
    expect_nothing(&mut near).await;
    expect_nothing(&mut far).await;
    p.faults.clear();
    expect(&mut near, b"two").await;
    expect(&mut far, b"three").await;
    far.write_all(b"last words").await.unwrap();
    drop(far);
    expect(&mut near, b"last words").await;
    assert_eq!(timeout(PATIENCE, near.read(&mut [0])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn peers_with_one_address_are_told_apart_by_port() {
    let faults = Arc::new(Faults::new(1));
    let here: IpAddr = Ipv4Addr::LOCALHOST.into();
    let net = |node| PeerNet::new(Arc::clone(&faults), node, here, Wiring::SharedAddress);
    let (a, b) = (net(A), net(B));
    let listener = b.listen(SocketAddr::new(here, 0)).await.unwrap();
    let to = listener.local_addr().unwrap();
    assert_eq!(faults.node_at(to), B);
    let (near, far) = tokio::join!(a.connect(to), listener.accept());
    let (far, from) = far.unwrap();
    assert_eq!(faults.node_at(from), A);
    drop((near, far));
    assert_eq!(faults.node_at(from), Node::Console, "the port is free for others again");
}

#[tokio::test]
async fn handshakes_take_turns_and_dials_without_an_answer_need_none() {
    let p = pair(1);
    for (host, node) in [("lab1.example.com", A), ("lab2.example.com", B)] {
        p.faults.own_host(host, node);
    }
    let mut turns = Vec::new();
    while let Ok(turn) = timeout(QUIET, p.a.turn("lab2.example.com")).await {
        turns.push(turn);
        assert!(turns.len() < 1000, "there is no end of turns");
    }
    p.faults.cut(&[A], &[B]);
    assert!(timeout(PATIENCE, p.a.turn("lab2.example.com")).await.is_ok(), "it would hang, so it needs no turn");
    p.faults.clear();
    drop(turns.pop());
    assert!(timeout(PATIENCE, p.a.turn("lab2.example.com")).await.is_ok(), "one was given back");
}
