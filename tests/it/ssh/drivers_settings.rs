//! The driver and settings: trees, the past, commits; and peers that answer nonsense.

use std::sync::Mutex;

use peerdeck::domain::settings::{CommitId, Edit, Key};
use peerdeck::proto::rpc::REQUEST_MAX;
use peerdeck::proto::settings::{WireHolding, WireRegister, WireTree, WireVersion};
use serde_json::Value;

use super::*;

/// What the peer was asked, in order: method and parameters.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

fn tree(digest: &str) -> WireTree {
    let version = WireVersion {
        id: "v1".into(),
        value: Some(json!({"x": "mx"})),
        at: 5,
        on: "m1".into(),
        ..WireVersion::default()
    };
    let register = WireRegister { key: "c/smtproutes".into(), versions: vec![version] };
    let unknown = WireRegister { key: "z/later".into(), versions: Vec::new() };
    let registers = vec![register, unknown];
    WireTree { cluster_id: "c1".into(), first: true, last: true, digest: digest.into(), registers }
}

/// A peer with settings. What is asked of the register `m/m1/FEATURE` says how it answers.
async fn told(stream: ChannelStream<Msg>, asked: Asked, hang_up: bool) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let mut n = 0;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        let text = tokio::select! {
            next = lines.next_line() => match next {
                Ok(Some(text)) => text,
                Ok(None) | Err(_) => return,
            },
            _ = tick.tick() => {
                if n > 0 {
                    n += 1;
                    if writer.write_all(&line(&report(n))).await.is_err() {
                        return;
                    }
                }
                continue;
            }
        };
        let request: Request = serde_json::from_str(&text).unwrap();
        asked.lock().unwrap().push((request.method.clone(), request.params.clone()));
        let id = request.id.unwrap();
        let version = json!({"id": "v1", "value": {"x": "mx"}, "at": 5, "on": "m1", "by": "admin"});
        let past =
            |version: Value| json!({"key": "c/smtproutes", "version": version, "commit": ["a1", 3], "stands": true});
        let answer = match (request.method.as_str(), request.params["key"].as_str().unwrap_or_default()) {
            ("history", "m/m1/silent") => continue,
            ("history", "m/m1/refused") => Response::error(id, -32602, "no register has this name"),
            ("history", "m/m1/rotten") => Response::ok(id, &json!({"past": [past(json!({"value": null, "at": "x"}))]})),
            ("history", "m/m1/endless") => Response::ok(id, &json!({"past": vec![past(version); 2_001]})),
            ("history", _) => Response::ok(id, &json!({"past": [past(version)]})),
            ("execute", _) => Response::ok(id, &json!({"state": "accepted", "detail": "on disk", "commit": ["a1", 4]})),
            _ => Response::ok(id, &json!({})),
        };
        let mut out = [peerdeck::proto::write(&answer), b"\n".to_vec()].concat();
        match request.method.as_str() {
            "observe" => {
                n += 1;
                out.extend(line(&report(n)));
            }
            "tree" if request.params["wanted"] == true => {
                n += 1;
                let holding =
                    WireHolding { digest: "d1".into(), have: [("a1".into(), 3)].into(), ..WireHolding::default() };
                out.extend(line(&Report { tree: Some(tree("d1")), holding: Some(holding), ..report(n) }));
                if hang_up {
                    let _ = writer.write_all(&out).await;
                    return;
                }
            }
            _ => {}
        }
        if writer.write_all(&out).await.is_err() {
            return;
        }
    }
}

fn teller(net: &MemNet, hang_up: bool) -> (Behaviour, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    (Behaviour::new(net).script(move |_, stream| told(stream, Arc::clone(&log), hang_up)), asked)
}

async fn told_tree(rig: &mut Rig) -> (usize, bool, bool) {
    rig.find(|e| match e {
        PeerEvent::Observed(facts) => facts.into_iter().find_map(|o| match o.fact {
            Fact::Tree(part) => Some((part.registers.len(), part.first, part.last)),
            _ => None,
        }),
        _ => None,
    })
    .await
}

fn count(asked: &Asked, method: &str, wanted: bool) -> usize {
    asked.lock().unwrap().iter().filter(|(m, p)| m == method && p["wanted"] == wanted).count()
}

#[tokio::test(start_paused = true)]
async fn the_tree_is_asked_for_once_and_again_by_itself_after_a_loss() {
    let net = MemNet::default();
    let (server, asked) = teller(&net, true);
    let mut rig = Rig::start(server, |_, _| {});
    rig.connected().await;
    rig.requests.send(PeerRequest::Tree(true)).await.unwrap();
    for n in 1..=3 {
        assert_eq!(told_tree(&mut rig).await, (1, true, true), "what this version does not know is left out");
        assert_eq!(count(&asked, "tree", true), n);
        rig.lost().await;
    }
    // While there is no connection: it counts for the next one.
    rig.requests.send(PeerRequest::Tree(false)).await.unwrap();
    let before = count(&asked, "tree", true);
    rig.connected().await;
    rig.requests.send(PeerRequest::History { id: 1, key: None }).await.unwrap();
    rig.find(|e| matches!(e, PeerEvent::History { .. }).then_some(())).await;
    assert_eq!((count(&asked, "tree", true), count(&asked, "tree", false)), (before, 0));
}

#[tokio::test(start_paused = true)]
async fn asked_twice_it_is_sent_once_and_taken_back_when_it_is_not_wanted() {
    let net = MemNet::default();
    let (server, asked) = teller(&net, false);
    let mut rig = Rig::start(server, |_, _| {});
    rig.connected().await;
    for wanted in [true, true, false, false, true] {
        rig.requests.send(PeerRequest::Tree(wanted)).await.unwrap();
    }
    for _ in 0..2 {
        told_tree(&mut rig).await;
    }
    assert_eq!((count(&asked, "tree", true), count(&asked, "tree", false)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn every_question_for_the_past_gets_one_answer_however_the_peer_behaves() {
    let net = MemNet::default();
    let (server, _) = teller(&net, false);
    let mut rig = Rig::start(server, |_, _| {});
    rig.requests.send(PeerRequest::History { id: 1, key: None }).await.unwrap();
    let history = |e| if let PeerEvent::History { id, past } = e { Some((id, past)) } else { None };
    let (id, past) = rig.find(history).await;
    assert!(id == 1 && past.is_err_and(|e| e.as_str().contains("there is no connection to 127.0.0.1")));
    rig.connected().await;
    let cases = [
        ("c/smtproutes", None),
        ("m/m1/refused", Some("the peer does not tell: no register has this name")),
        ("m/m1/rotten", Some("the answer can't be read")),
        ("m/m1/endless", Some("2001 versions, 2000 are taken")),
        ("m/m1/silent", Some("127.0.0.1 did not answer within 10 s")),
    ];
    for (n, (key, why)) in (2..).zip(cases) {
        let key: Option<Key> = Some(key.parse().unwrap());
        rig.requests.send(PeerRequest::History { id: n, key }).await.unwrap();
        let (id, past) = rig.find(history).await;
        assert_eq!(id, n);
        match (past, why) {
            (Ok(past), None) => assert_eq!((past.len(), past[0].commit.seq, past[0].stands), (1, 3, true)),
            (Err(told), Some(why)) => assert!(told.as_str().contains(why), "{told}"),
            (past, why) => panic!("{past:?} instead of {why:?}"),
        }
    }
    for id in 100..117 {
        rig.requests.send(PeerRequest::History { id, key: Some("m/m1/silent".parse().unwrap()) }).await.unwrap();
    }
    let (id, past) = rig.find(history).await;
    assert!(id == 116 && past.is_err_and(|e| e.as_str().contains("wait for an answer already")), "{id}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_comes_back_with_its_name_and_one_that_is_too_long_is_not_sent() {
    let net = MemNet::default();
    let (server, asked) = teller(&net, false);
    let mut rig = Rig::start(server, |_, _| {});
    rig.connected().await;
    let commit = |name: &str| {
        let edits: Arc<[Edit]> = [Edit::AddGroup { name: name.into() }].into();
        Plan { command: Command::Commit { on: PeerId::new("S1"), edits, comment: "c".into() }, ..plan("S1") }
    };
    rig.requests.send(PeerRequest::Execute { id: 5, plan: commit("Rome") }).await.unwrap();
    let executed =
        |e| if let PeerEvent::Executed { id, outcome, commit } = e { Some((id, outcome, commit)) } else { None };
    assert_eq!(rig.find(executed).await.1.state, OutcomeState::Sent);
    let (id, outcome, named) = rig.find(executed).await;
    assert_eq!((id, outcome.state), (5, OutcomeState::Accepted));
    assert_eq!(named, Some(CommitId { actor: "a1".into(), seq: 4 }));
    let sent = asked.lock().unwrap().last().unwrap().1.clone();
    assert_eq!(sent["edits"][0], json!({"edit": "add-group", "name": "Rome"}));
    let text = peerdeck::domain::settings::Value::text(&"x".repeat(REQUEST_MAX));
    let edit = Edit::Set {
        mode: peerdeck::domain::settings::ModeId::Cluster,
        feature: "smtproutes".into(),
        value: Arc::new(text),
    };
    let command = Command::Commit { on: PeerId::new("S1"), edits: [edit].into(), comment: "c".into() };
    rig.requests.send(PeerRequest::Execute { id: 6, plan: Plan { command, ..plan("S1") } }).await.unwrap();
    let (id, outcome, _) = rig.find(executed).await;
    assert_eq!((id, outcome.state), (6, OutcomeState::Refused));
    assert!(outcome.detail.as_str().contains("nothing was sent"), "{}", outcome.detail);
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_is_too_large_or_rotten_is_not_taken() {
    let net = MemNet::default();
    let many =
        WireTree { registers: vec![WireRegister { key: "c/x".into(), versions: Vec::new() }; 2_001], ..tree("d") };
    let mut rotten = tree("d");
    rotten.registers[0].versions[0].value = Some(json!({"x": [null]}));
    let mut crowd = tree("d");
    crowd.registers[0].versions = vec![crowd.registers[0].versions[0].clone(); 257];
    for (tree, why) in [(many, "2001 registers"), (rotten, "null is no value"), (crowd, "257 versions")] {
        let speech = line(&Report { tree: Some(tree), ..report(1) });
        let mut rig = Rig::start(speaker(&net, speech, false), |_, _| {});
        let told = rig.unparsed().await;
        assert!(told.contains(why), "{told}");
    }
}
