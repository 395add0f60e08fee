//! The native driver's actor against peers that report, hang, lie and stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::clock::{Clock, SystemClock};
use peerdeck::dns::Resolver;
use peerdeck::domain::mesh::Cause;
use peerdeck::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use peerdeck::domain::{Basis, Command, Fact, Line, OutcomeState, PeerId, Plan};
use peerdeck::drivers::diagnose::{StepName, StepResult, diagnose};
use peerdeck::drivers::{Dials, JumpHost, Profile, start};
use peerdeck::proto::observe::{Report, WireDelta, WireIdentity, WireLink, WireRow};
use peerdeck::proto::rpc::{Request, Response};
use peerdeck::proto::{DOCUMENT_MAX, VERSION};
use peerdeck::ssh::auth::CredentialSource;
use peerdeck::ssh::client::{Credential, fingerprint};
use peerdeck::ssh::known_hosts::KnownHosts;
use russh::ChannelStream;
use russh::server::Msg;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::net::MemNet;
use super::server::{Behaviour, Channels, Login, key};

#[path = "drivers_settings.rs"]
mod settings;

fn at() -> SocketAddr {
    "127.0.0.1:2222".parse().unwrap()
}

fn endpoint(server: &Behaviour) -> Endpoint {
    Endpoint {
        key: EndpointKey { cluster: "americas".into(), host: "127.0.0.1".into(), port: 2222 },
        expected: None,
        address: None,
        vouched_host_key: Some(Line::new(&server.host_key.public_key().to_openssh().unwrap())),
    }
}

fn profile(state: &Path) -> Profile {
    let known = KnownHosts::load(&[], &state.join("known_hosts"));
    let credential = CredentialSource::given(Credential::Key(Arc::new(key())));
    let profile = Profile::new("admin", Resolver::with_servers(&[]), known, "test");
    Profile { credentials: vec![credential], ..profile }
}

struct Rig {
    requests: mpsc::Sender<PeerRequest>,
    events: mpsc::Receiver<(EndpointKey, PeerEvent)>,
    state: tempfile::TempDir,
}

impl Rig {
    fn start(server: Behaviour, change: impl FnOnce(&mut Endpoint, &mut Profile)) -> Self {
        Self::with_room(server, 256, change)
    }

    fn with_room(server: Behaviour, room: usize, change: impl FnOnce(&mut Endpoint, &mut Profile)) -> Self {
        let state = tempfile::tempdir().unwrap();
        let (mut endpoint, mut profile) = (endpoint(&server), profile(state.path()));
        change(&mut endpoint, &mut profile);
        let net = Arc::new(server.net.clone());
        server.serve(at());
        let (sender, events) = mpsc::channel(room);
        let requests = start(endpoint, profile, Dials::default(), Arc::new(SystemClock::new()), net, sender);
        Self { requests, events, state }
    }

    async fn next(&mut self) -> PeerEvent {
        timeout(Duration::from_mins(5), self.events.recv()).await.expect("no event").expect("the actor ended").1
    }

    /// The next event that `pick` takes.
    async fn find<T>(&mut self, pick: impl Fn(PeerEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next().await) {
                return found;
            }
        }
    }

    async fn lost(&mut self) -> (Cause, String, Duration) {
        self.find(|e| match e {
            PeerEvent::Lost { cause, detail, retry_in, .. } => Some((cause, detail.to_string(), retry_in.unwrap())),
            _ => None,
        })
        .await
    }

    async fn connected(&mut self) -> PeerId {
        self.find(|e| if let PeerEvent::Connected { id, .. } = e { Some(id) } else { None }).await
    }

    async fn unparsed(&mut self) -> String {
        self.find(|e| match e {
            PeerEvent::Observed(facts) => facts.into_iter().find_map(|o| match o.fact {
                Fact::Unparsed { why } => Some(why.to_string()),
                _ => None,
            }),
            _ => None,
        })
        .await
    }
}

fn report(n: u64) -> Report {
    let link = WireLink { to: "S2".into(), state: "connected".into(), ..WireLink::default() };
    Report {
        v: VERSION,
        n,
        clock: 1000 + n,
        identity: (n == 1).then(|| WireIdentity {
            serial: "S1".into(),
            host: "lab1.example.com".into(),
            version: "peerdeck 0.1.0".into(),
            level: 1,
            boot: 7,
            interval: 1000,
        }),
        row: (n == 1).then(|| WireRow {
            origin: "S1".into(),
            boot: 7,
            seq: 1,
            links: vec![link],
            ..WireRow::default()
        }),
        delta: (n > 1).then(|| WireDelta { seq: n, ..WireDelta::default() }),
        ..Report::default()
    }
}

fn line(report: &Report) -> Vec<u8> {
    [peerdeck::proto::write(&Request::notification("report", report)), b"\n".to_vec()].concat()
}

/// A peer that reports every `every` and answers what it is asked.
async fn honest(stream: ChannelStream<Msg>, every: Duration, reports: u64) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let (mut n, mut observed) = (0, false);
    let mut tick = tokio::time::interval(every);
    loop {
        tokio::select! {
            next = lines.next_line() => {
                let Ok(Some(text)) = next else { return };
                let request: Request = serde_json::from_str(&text).unwrap();
                observed |= request.method == "observe";
                let result = match request.method.as_str() {
                    "execute" if request.params["peer"] == "S3" => {
                        Err(Response::error(request.id.clone().unwrap(), -32000, "the membership has changed"))
                    }
                    "execute" => Ok(json!({"state": "accepted", "detail": request.params["command"]})),
                    _ => Ok(json!({})),
                };
                let id = request.id.unwrap();
                let answer = result.map_or_else(|e| e, |r| Response::ok(id, &r));
                let answer = [peerdeck::proto::write(&answer), b"\n".to_vec()].concat();
                if writer.write_all(&answer).await.is_err() { return }
            }
            _ = tick.tick(), if observed && n < reports => {
                n += 1;
                if writer.write_all(&line(&report(n))).await.is_err() { return }
            }
        }
    }
}

fn honest_server(net: &MemNet) -> Behaviour {
    Behaviour::new(net).script(|_, stream| honest(stream, Duration::from_secs(1), u64::MAX))
}

/// Waits for `observe`, then says `speech` and hangs up if told so.
fn speaker(net: &MemNet, speech: impl Into<Vec<u8>>, hang_up: bool) -> Behaviour {
    let speech: Arc<[u8]> = speech.into().into();
    Behaviour::new(net).script(move |_, stream| {
        let speech = Arc::clone(&speech);
        async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let mut asked = [0; 1];
            let _ = reader.read_exact(&mut asked).await;
            let _ = writer.write_all(&speech).await;
            if hang_up {
                let _ = writer.shutdown().await;
            }
            let _ = reader.read_to_end(&mut Vec::new()).await;
        }
    })
}

fn plan(peer: &str) -> Plan {
    let peer = PeerId::new(peer);
    let basis = Basis { membership: Some(3), ..Basis::default() };
    Plan {
        command: Command::Disconnect { peer, reason: Line::new("disks") },
        evidence: Vec::new(),
        effects: Vec::new(),
        obstacles: Vec::new(),
        basis,
    }
}

#[tokio::test(start_paused = true)]
async fn d1_a_peer_is_observed_until_it_goes_and_again_when_it_is_back() {
    let net = MemNet::default();
    // Three reports, then silence with open connections.
    let server = Behaviour::new(&net).script(|_, stream| honest(stream, Duration::from_secs(1), 3));
    let mut rig = Rig::start(server, |_, _| {});
    for _ in 0..2 {
        assert!(matches!(rig.next().await, PeerEvent::Dialing { attempt: 1 }));
        assert_eq!(rig.connected().await, PeerId::new("S1"));
        let facts = rig.find(|e| if let PeerEvent::Observed(f) = e { Some(f) } else { None }).await;
        assert!(matches!(&facts[0].fact, Fact::Identity(i) if i.level == 1), "{facts:?}");
        assert!(facts.iter().any(|o| matches!(&o.fact, Fact::Row(r) if r.links.len() == 1)));
        assert!(facts.iter().all(|o| o.observer == PeerId::new("S1")));
        rig.find(|e| matches!(e, PeerEvent::RoundTrip(_)).then_some(())).await;
        let (cause, detail, _) = rig.lost().await;
        assert_eq!(cause, Cause::Timeout, "{detail}");
        assert!(detail.contains("no report within 5.0 s"), "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_taken_become_a_fact_and_a_wary_back_off() {
    let net = MemNet::default();
    let too_new = line(&Report { v: VERSION + 1, ..report(1) });
    let nameless = line(&Report { identity: None, ..report(1) });
    let deep = |n| format!("{{\"method\":\"report\",\"params\":{{\"row\":{}\n", "[".repeat(n)).into_bytes();
    let endless = vec![b'a'; DOCUMENT_MAX + 100_000];
    let cases: [(Vec<u8>, &str, Cause); 6] = [
        (b"hello\n".to_vec(), "not a message", Cause::Dropped),
        (too_new, "protocol version 2", Cause::Version),
        (nameless, "does not say who it is", Cause::Dropped),
        (deep(10_000), "not a message", Cause::Dropped),
        (deep(100_000), "over the limit", Cause::Dropped),
        (endless, "over the limit", Cause::Dropped),
    ];
    for (speech, why, cause) in cases {
        let mut rig = Rig::start(speaker(&net, speech, false), |_, _| {});
        let told = rig.unparsed().await;
        assert!(told.contains(why), "{told}");
        let (lost, detail, _) = rig.lost().await;
        assert_eq!(lost, cause, "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn d1_a_line_that_is_torn_is_a_loss_and_no_finding() {
    let net = MemNet::default();
    let half = line(&report(1));
    let mut rig = Rig::start(speaker(&net, &half[..half.len() / 2], true), |_, _| {});
    let (cause, detail, retry) = rig.lost().await;
    assert_eq!(cause, Cause::Dropped);
    assert!(detail.contains("closed the channel in the middle of a line"), "{detail}");
    assert!(retry <= Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn unknown_notifications_and_fields_are_tolerated() {
    let net = MemNet::default();
    let mut speech = b"{\"jsonrpc\":\"2.0\",\"method\":\"weather\",\"params\":[1,{\"x\":null}]}\n\n".to_vec();
    let text = String::from_utf8(line(&report(1))).unwrap().replace("\"clock\":", "\"mood\":[1],\"clock\":");
    speech.extend(text.into_bytes());
    let mut rig = Rig::start(speaker(&net, speech, false), |_, _| {});
    assert_eq!(rig.connected().await, PeerId::new("S1"));
}

#[tokio::test(start_paused = true)]
async fn c32_another_machine_than_the_expected_one_is_not_observed() {
    let net = MemNet::default();
    let mut rig = Rig::start(honest_server(&net), |e, _| e.expected = Some(PeerId::new("S9")));
    let (cause, detail, _) = rig.lost().await;
    assert_eq!(cause, Cause::NotInCluster);
    assert!(detail.contains("S1") && detail.contains("S9"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn each_stage_that_fails_names_its_cause_and_is_tried_again_sooner_or_later() {
    let net = MemNet::default();
    let other = key();
    let wrong = Line::new(&other.public_key().to_openssh().unwrap());
    let hang = Behaviour { login: Login::Hang, ..honest_server(&net) };
    let refuse = Behaviour { login: Login::Refuse, ..honest_server(&net) };
    let channel = Behaviour { channels: Channels::NeverOpen, ..honest_server(&net) };
    let cases = [(hang, Cause::Timeout), (refuse, Cause::Auth), (channel, Cause::Timeout)];
    for (server, cause) in cases {
        let mut rig = Rig::start(server, |_, _| {});
        for attempt in 1..=2 {
            assert!(matches!(rig.next().await, PeerEvent::Dialing { attempt: a } if a == attempt));
            assert_eq!(rig.lost().await.0, cause);
        }
    }
    let mut rig = Rig::start(honest_server(&net), |e, _| e.vouched_host_key = Some(wrong));
    let (cause, detail, _) = rig.lost().await;
    assert_eq!(cause, Cause::HostKey);
    assert!(detail.contains(&fingerprint(other.public_key())), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_host_key_is_asked_about_and_kept() {
    let net = MemNet::default();
    let server = honest_server(&net);
    let offered = server.host_key.public_key().clone();
    let mut rig = Rig::start(server, |e, p| {
        e.vouched_host_key = None;
        p.interactive = true;
    });
    let (line, print) = rig
        .find(|e| if let PeerEvent::AskHostKey { key, fingerprint } = e { Some((key, fingerprint)) } else { None })
        .await;
    assert_eq!(print.as_str(), fingerprint(&offered));
    // An answer about another key changes nothing.
    let other = Line::new(&key().public_key().to_openssh().unwrap());
    rig.requests.send(PeerRequest::TrustHostKey { key: other }).await.unwrap();
    rig.requests.send(PeerRequest::TrustHostKey { key: line.clone() }).await.unwrap();
    rig.connected().await;
    let kept = std::fs::read_to_string(rig.state.path().join("known_hosts")).unwrap();
    assert_eq!(kept, format!("[127.0.0.1]:2222 {line}\n"));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_host_key_without_anybody_to_ask_says_how_to_trust_it() {
    let net = MemNet::default();
    let mut rig = Rig::start(honest_server(&net), |e, _| e.vouched_host_key = None);
    let (cause, detail, _) = rig.lost().await;
    assert_eq!(cause, Cause::HostKey);
    assert!(detail.contains("unknown") && detail.contains("peerdeck trust 127.0.0.1:2222"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn commands_are_answered_with_and_without_a_connection() {
    let net = MemNet::default();
    let mut rig = Rig::start(honest_server(&net), |_, _| {});
    let executed =
        |e| if let PeerEvent::Executed { id, outcome, commit: None } = e { Some((id, outcome)) } else { None };
    // Nobody has taken an event yet, so the actor may still be dialling: either way there is an answer.
    rig.connected().await;
    rig.requests.send(PeerRequest::Execute { id: 5, plan: plan("S2") }).await.unwrap();
    let (id, outcome) = rig.find(executed).await;
    assert_eq!((id, outcome.state), (5, OutcomeState::Sent));
    let (id, outcome) = rig.find(executed).await;
    assert_eq!((id, outcome.state, outcome.detail.as_str()), (5, OutcomeState::Accepted, "disconnect"));
    rig.requests.send(PeerRequest::Execute { id: 6, plan: plan("S3") }).await.unwrap();
    rig.find(executed).await;
    let (id, outcome) = rig.find(executed).await;
    assert_eq!((id, outcome.state, outcome.detail.as_str()), (6, OutcomeState::Refused, "the membership has changed"));

    let down = Behaviour { login: Login::Refuse, ..honest_server(&net) };
    let mut rig = Rig::start(down, |_, _| {});
    rig.lost().await;
    rig.requests.send(PeerRequest::Execute { id: 7, plan: plan("S2") }).await.unwrap();
    let (id, outcome) = rig.find(executed).await;
    assert_eq!((id, outcome.state), (7, OutcomeState::Refused), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_gets_no_answer_is_unknown_and_never_failed() {
    let net = MemNet::default();
    let server = Behaviour::new(&net).script(|_, stream| async move {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut some = [0; 4096];
        let mut read = reader.read(&mut some).await;
        for n in 1.. {
            if read.is_err() || matches!(read, Ok(0)) || writer.write_all(&line(&report(n))).await.is_err() {
                break;
            }
            read = timeout(Duration::from_secs(1), reader.read(&mut some)).await.unwrap_or(Ok(1));
        }
    });
    let mut rig = Rig::start(server, |_, _| {});
    rig.connected().await;
    rig.requests.send(PeerRequest::Execute { id: 1, plan: plan("S2") }).await.unwrap();
    let state = rig
        .find(|e| match e {
            PeerEvent::Executed { outcome, .. } if outcome.state != OutcomeState::Sent => Some(outcome.state),
            _ => None,
        })
        .await;
    assert_eq!(state, OutcomeState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_in_the_middle_of_a_command_leaves_it_unknown() {
    let net = MemNet::default();
    // It reports, takes the command, and is gone without a word.
    let server = Behaviour::new(&net).script(|_, stream| async move {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(request)) = lines.next_line().await {
            if request.contains("\"execute\"") || writer.write_all(&line(&report(1))).await.is_err() {
                break;
            }
        }
    });
    let mut rig = Rig::start(server, |_, _| {});
    rig.connected().await;
    rig.requests.send(PeerRequest::Execute { id: 9, plan: plan("S2") }).await.unwrap();
    let executed =
        |e| if let PeerEvent::Executed { id, outcome, commit: None } = e { Some((id, outcome)) } else { None };
    let (_, sent) = rig.find(executed).await;
    assert_eq!(sent.state, OutcomeState::Sent);
    let (id, outcome) = rig.find(executed).await;
    assert_eq!((id, outcome.state), (9, OutcomeState::Unknown), "{outcome:?}");
    assert!(outcome.detail.as_str().contains("before the peer answered"), "{outcome:?}");
    rig.lost().await;
}

#[tokio::test(start_paused = true)]
async fn dial_now_cuts_the_wait_short() {
    let net = MemNet::default();
    let server = Behaviour { login: Login::Refuse, ..honest_server(&net) };
    let mut rig = Rig::start(server, |_, _| {});
    // Waits grow to a minute; with somebody who can't wait, ten dials take no time at all.
    let mut longest = Duration::ZERO;
    let begin = Instant::now();
    for _ in 0..10 {
        longest = longest.max(rig.lost().await.2);
        rig.requests.send(PeerRequest::DialNow).await.unwrap();
    }
    assert!(longest > Duration::from_secs(5), "{longest:?}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

/// What the engine does not take in time is dropped and counted, and a whole row comes afterwards.
#[tokio::test(start_paused = true)]
async fn a_slow_engine_loses_reports_and_gets_a_fresh_row() {
    let net = MemNet::default();
    let server = Behaviour::new(&net).script(|_, stream| honest(stream, Duration::from_millis(10), u64::MAX));
    let mut rig = Rig::with_room(server, 1, |_, _| {});
    rig.connected().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let dropped = rig.find(|e| if let PeerEvent::Dropped(n) = e { Some(n) } else { None }).await;
    assert!(dropped > 100, "{dropped}");
    let first = rig.find(|e| if let PeerEvent::Observed(f) = e { Some(f) } else { None }).await;
    assert!(first.iter().any(|o| matches!(o.fact, Fact::Row(_))), "a delta without the row it belongs to: {first:?}");
}

#[tokio::test(start_paused = true)]
async fn the_actor_ends_with_its_sender_in_every_state() {
    let net = MemNet::default();
    let tarpit = Behaviour { login: Login::Hang, ..honest_server(&net) };
    let refusing = Behaviour { login: Login::Refuse, ..honest_server(&net) };
    for (server, connected, lost) in
        [(tarpit, false, false), (refusing, false, true), (honest_server(&net), true, false)]
    {
        let mut rig = Rig::start(server, |_, _| {});
        rig.find(|e| matches!(e, PeerEvent::Dialing { .. }).then_some(())).await;
        if connected {
            rig.connected().await;
        }
        if lost {
            rig.lost().await;
        }
        drop(rig.requests);
        let begin = Instant::now();
        while timeout(Duration::from_secs(5), rig.events.recv()).await.expect("the actor goes on").is_some() {}
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn tar_pits_delay_nobody_else() {
    let net = MemNet::default();
    let dials = Dials::new(4);
    let state = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (sender, mut events) = mpsc::channel(256);
    let mut held = Vec::new();
    let good = honest_server(&net);
    let mut requests = Vec::new();
    for n in 1..=3_u16 {
        let at = SocketAddr::new("127.0.0.1".parse().unwrap(), n);
        held.push(net.open(at));
        let mut endpoint = endpoint(&good);
        endpoint.key.port = n;
        requests.push(start(
            endpoint,
            profile(state.path()),
            dials.clone(),
            Arc::clone(&clock),
            Arc::new(net.clone()),
            sender.clone(),
        ));
    }
    let to_good = endpoint(&good);
    good.serve(at());
    requests.push(start(to_good, profile(state.path()), dials, clock, Arc::new(net.clone()), sender));
    let begin = Instant::now();
    loop {
        let (key, event) = events.recv().await.unwrap();
        if matches!(event, PeerEvent::Connected { .. }) {
            assert_eq!(key.port, 2222);
            break;
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_jump_host_is_used_and_its_own_failures_are_named() {
    let net = MemNet::default();
    let bastion = Behaviour::new(&net);
    let known = format!("127.0.0.7 {}\n", bastion.host_key.public_key().to_openssh().unwrap());
    bastion.serve("127.0.0.7:22".parse().unwrap());
    let via = JumpHost {
        host: "127.0.0.7".into(),
        port: 22,
        user: "hop".into(),
        credentials: vec![CredentialSource::given(Credential::Key(Arc::new(key())))],
    };
    let mut rig = Rig::start(honest_server(&net), |_, p| p.via = Some(via.clone()));
    let (cause, detail, _) = rig.lost().await;
    assert_eq!(cause, Cause::HostKey);
    assert!(
        detail.starts_with("jump host hop@127.0.0.7:22") && detail.contains("peerdeck trust 127.0.0.7"),
        "{detail}"
    );
    std::fs::write(rig.state.path().join("known_hosts"), known).unwrap();
    rig.requests.send(PeerRequest::DialNow).await.unwrap();
    assert_eq!(rig.connected().await, PeerId::new("S1"));
}

/// A stock sshd refuses from ten unauthenticated connections on, so the peers behind a bastion share one session.
#[tokio::test(start_paused = true)]
async fn peers_behind_one_jump_host_share_its_session() {
    let net = MemNet::default();
    let state = tempfile::tempdir().unwrap();
    let bastion = Behaviour::new(&net);
    let known = format!("127.0.0.7 {}\n", bastion.host_key.public_key().to_openssh().unwrap());
    std::fs::write(state.path().join("known_hosts"), known).unwrap();
    bastion.serve("127.0.0.7:22".parse().unwrap());
    let credentials = vec![CredentialSource::given(Credential::Key(Arc::new(key())))];
    let via = JumpHost { host: "127.0.0.7".into(), port: 22, user: "hop".into(), credentials };
    let dials = Dials::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (sender, mut events) = mpsc::channel(256);
    let mut requests = Vec::new();
    for n in 1..=12_u16 {
        let server = honest_server(&net);
        let mut endpoint = endpoint(&server);
        endpoint.key.port = n;
        server.serve(SocketAddr::new("127.0.0.1".parse().unwrap(), n));
        let profile = Profile { via: Some(via.clone()), ..profile(state.path()) };
        requests.push(start(
            endpoint,
            profile,
            dials.clone(),
            Arc::clone(&clock),
            Arc::new(net.clone()),
            sender.clone(),
        ));
    }
    let mut connected = 0;
    while connected < 12 {
        let (key, event) = timeout(Duration::from_secs(30), events.recv()).await.unwrap().unwrap();
        match event {
            PeerEvent::Connected { .. } => connected += 1,
            PeerEvent::Lost { detail, .. } => panic!("{key:?}: {detail}"),
            _ => {}
        }
    }
    assert_eq!(net.connections("127.0.0.7:22".parse().unwrap()), 1);
}

#[tokio::test(start_paused = true)]
async fn diagnose_gives_every_step_once_and_stops_at_the_one_that_fails() {
    let net = MemNet::default();
    let state = tempfile::tempdir().unwrap();
    let clock = SystemClock::new();
    let other = key();
    let steps = async |server: Behaviour, wrong_key: bool, serve: bool| {
        let (mut endpoint, profile) = (endpoint(&server), profile(state.path()));
        if wrong_key {
            endpoint.vouched_host_key = Some(Line::new(&other.public_key().to_openssh().unwrap()));
        }
        if serve {
            server.serve(at());
        }
        let steps = diagnose(&endpoint, &profile, &clock, &net).await;
        let names: Vec<StepName> = steps.iter().map(|s| s.step).collect();
        assert!(names.is_sorted() && names.len() == 10, "{names:?}");
        steps
    };
    let failing = |steps: &[peerdeck::drivers::diagnose::Step]| {
        let failed: Vec<_> =
            steps.iter().filter(|s| s.result == StepResult::Failed && s.step != StepName::DnsReverse).collect();
        let [only] = failed[..] else { panic!("{steps:?}") };
        assert!(!only.hint.is_empty() && !only.detail.is_empty(), "{only:?}");
        let after = steps.iter().filter(|s| s.step > only.step);
        assert!(after.clone().all(|s| s.result == StepResult::Skipped), "{steps:?}");
        only.step
    };
    let s = steps(honest_server(&net), false, false).await;
    assert_eq!(failing(&s), StepName::Tcp);
    let s = steps(honest_server(&net), true, true).await;
    assert_eq!(failing(&s), StepName::HostKey);
    let s = steps(Behaviour { login: Login::Refuse, ..honest_server(&net) }, false, true).await;
    assert_eq!(failing(&s), StepName::Authentication);
    let s = steps(Behaviour { channels: Channels::RefuseRequest, ..honest_server(&net) }, false, true).await;
    assert_eq!(failing(&s), StepName::Channel);
    let s = steps(honest_server(&net), false, true).await;
    // Everything but the membership, which this peer does not report, and reverse DNS without a server.
    let not_ok: Vec<_> = s.iter().filter(|s| s.result != StepResult::Ok).map(|s| s.step).collect();
    assert_eq!(not_ok, [StepName::DnsReverse, StepName::Membership], "{s:?}");
    assert!(s[3].detail.contains("mlkem768x25519") && s[9].detail.contains("1 of 1 links"), "{s:?}");
}

#[tokio::test(start_paused = true)]
async fn dials_of_peers_that_stay_away_fall_on_shared_moments() {
    const PEERS: u16 = 6;
    let net = MemNet::default();
    let server = Behaviour::new(&net);
    let state = tempfile::tempdir().unwrap();
    let (sender, mut events) = mpsc::channel(1024);
    let dials = Dials::default();
    let mut requests = Vec::new();
    for port in 3000..3000 + PEERS {
        net.silent(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut endpoint = endpoint(&server);
        endpoint.key.port = port;
        let clock = Arc::new(SystemClock::new());
        let profile = profile(state.path());
        requests.push(start(endpoint, profile, dials.clone(), clock, Arc::new(net.clone()), sender.clone()));
        // Peers that are lost one after the other meet all the same.
        tokio::time::sleep(Duration::from_millis(137)).await;
    }
    let began = Instant::now();
    let mut dialled: std::collections::BTreeMap<Duration, usize> = std::collections::BTreeMap::new();
    let mut longest = Duration::ZERO;
    while began.elapsed() < Duration::from_mins(4) {
        let (_, event) = events.recv().await.unwrap();
        match event {
            PeerEvent::Dialing { .. } => *dialled.entry(began.elapsed()).or_default() += 1,
            PeerEvent::Lost { retry_in, .. } => {
                let wait = retry_in.unwrap();
                // Gone for half a minute it may be 20 s, before that never more than 5.
                assert!(wait <= Duration::from_secs(if began.elapsed().as_secs() < 28 { 5 } else { 20 }), "{wait:?}");
                longest = longest.max(wait);
            }
            _ => {}
        }
    }
    let minute = dialled.range(Duration::from_secs(10)..Duration::from_mins(1));
    let (moments, dials) = minute.fold((0, 0), |(moments, dials), (_, n)| (moments + 1, dials + n));
    assert!(dials >= 6 * 3 && moments * 2 <= dials, "{moments} wake-ups for {dials} dials: {dialled:?}");
    let last: Vec<_> = dialled.range(Duration::from_mins(3)..Duration::from_mins(4)).map(|(_, n)| *n).collect();
    assert!(last.len() >= 3 && last.iter().all(|n| *n == usize::from(PEERS)), "{dialled:?}");
    assert!(longest > Duration::from_secs(5), "after many failures it is dialled more rarely: {longest:?}");
}

#[test]
fn shared_moments_are_ahead_and_those_far_apart_are_among_those_close_by() {
    let began = std::time::Instant::now();
    for ms in (0..100_000).step_by(77) {
        let now = began + Duration::from_millis(ms);
        for (failures, most) in [(1, 250), (2, 500), (3, 1000), (5, 4000), (9, 5000), (60, 5000)] {
            let at = peerdeck::ssh::backoff::OBSERVER.shared(failures, now);
            let wait = at.duration_since(now);
            assert!(at > now && wait <= Duration::from_millis(most), "{failures}: {wait:?}");
            assert_eq!(peerdeck::clock::shared_moment(at, Duration::from_millis(100)), at, "{failures}");
        }
    }
}
