//! The subsystem `peerdeck`: what observers and scripts are told.

use std::time::Duration;

use peerdeck::proto::observe::Report;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::real::{PATIENCE, Place};
use peerdeck::ssh::client::Session;
use peerdeck::ssh::net::BoxStream;

struct Client {
    lines: Lines<BufReader<ReadHalf<BoxStream>>>,
    writer: WriteHalf<BoxStream>,
    _session: Session,
}

impl Client {
    async fn connect(place: &Place, peer: usize) -> Self {
        Self::over(place.login(peer).await).await
    }

    async fn over(session: Session) -> Self {
        let stream = session.subsystem("peerdeck").await.unwrap();
        let (reader, writer) = tokio::io::split(stream);
        Self { lines: BufReader::new(reader).lines(), writer, _session: session }
    }

    async fn send(&mut self, text: &str) {
        self.writer.write_all(format!("{text}\n").as_bytes()).await.unwrap();
        self.writer.flush().await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap().expect("a line");
        serde_json::from_str(&line).unwrap()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()).await;
        loop {
            let answer = self.next().await;
            if answer.get("id") == Some(&json!(7)) {
                return answer;
            }
        }
    }

    async fn report(&mut self) -> Report {
        loop {
            let message = self.next().await;
            if message.get("method") == Some(&json!("report")) {
                return serde_json::from_value(message["params"].clone()).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_report_is_whole_and_later_ones_are_deltas() {
    let place = Place::start(3).await;
    let mut client = Client::connect(&place, 0).await;
    client.call("observe", json!({"as-what": "console"})).await;
    let first = client.report().await;
    let identity = first.identity.unwrap();
    assert_eq!((first.n, identity.host.as_str(), identity.level), (1, "lab1.example.com", 1));
    assert_eq!(first.membership.unwrap().machines.len(), 3);
    assert_eq!(first.row.unwrap().links.len(), 2);
    let sessions = first.sessions.unwrap();
    assert_eq!((sessions[0].user.as_str(), sessions[0].what.as_str()), ("admin", "console"));
    // One that was not there yet at the first dial is back.
    let up = ["link to lab2.example.com is up", "remote host is back: lab2.example.com"];
    assert!(first.events.iter().any(|e| up.contains(&e.text.as_str())), "{:?}", first.events);

    assert!(first.events.iter().map(|e| e.n).eq((1..).map(Some).take(first.events.len())), "{:?}", first.events);
    let mut again = Client::connect(&place, 0).await;
    again.call("observe", json!({})).await;
    let told = again.report().await.events;
    assert!(told.len() >= first.events.len() && told[0].n == Some(1), "what was logged before is told too: {told:?}");
    drop(again);

    let mut pings = 0;
    for n in 2..=5 {
        let report = client.report().await;
        assert_eq!(report.n, n);
        assert!(report.row.is_none() && report.membership.is_none() && report.identity.is_none());
        pings += report.delta.unwrap().pings.iter().filter(|p| **p > 0).count();
    }
    assert!(pings >= 4, "each link is pinged each interval: {pings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_told_at_once() {
    let mut place = Place::prepare(2);
    for setup in &mut place.setups {
        setup.report_interval = Duration::from_hours(1);
    }
    for i in 0..2 {
        place.start_one(i).await;
    }
    place.wait_up(0, 1).await;
    let mut client = Client::connect(&place, 0).await;
    client.call("observe", json!({})).await;
    client.report().await;
    place.peers[1].take().unwrap().kill();
    // With a report an hour, whatever comes now came because of the change.
    loop {
        let delta = client.report().await.delta.unwrap();
        if delta.changed.iter().any(|l| l.state == "down") {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_others_are_relayed_as_asked() {
    let place = Place::start(3).await;
    let other = place.membership.machines[1].id.to_string();
    let mut client = Client::connect(&place, 0).await;
    let refused = client.call("relay", json!({"serials": [other]})).await;
    assert_eq!(refused["error"]["code"], json!(-32600));
    client.call("observe", json!({})).await;
    assert!(client.report().await.relayed.is_empty());
    client.call("relay", json!({"serials": [other]})).await;
    let row = loop {
        if let Some(row) = client.report().await.relayed.pop() {
            break row;
        }
    };
    assert_eq!((row.origin, row.links.len()), (other, 2));
    assert!(row.age <= 2000, "it was vouched for lately: {}", row.age);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_input_gets_an_error_and_the_connection_goes_on() {
    let place = Place::start(1).await;
    let mut client = Client::connect(&place, 0).await;
    for (text, code, id) in [
        ("{nonsense", -32700, Value::Null),
        ("[1, 2]", -32600, Value::Null),
        (r#"{"jsonrpc":"1.0","id":3,"method":"ping"}"#, -32600, json!(3)),
        (r#"{"jsonrpc":"2.0","id":"a","method":"fly"}"#, -32601, json!("a")),
        (r#"{"jsonrpc":"2.0","id":4,"method":"observe","params":{"interval":"soon"}}"#, -32602, json!(4)),
    ] {
        client.send(text).await;
        let answer = client.next().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{text}: {answer}");
    }
    client.send("[]").await;
    assert!(client.next().await["error"]["message"].as_str().unwrap().contains("batches are not taken"));
    assert_eq!(client.call("ping", Value::Null).await["result"], json!({}));
    let described = client.call("describe", Value::Null).await;
    assert_eq!(described["result"]["identity"]["host"], json!("lab1.example.com"));
    assert_eq!(described["result"]["membership"]["name"], json!("Example"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_line_ends_the_connection() {
    let place = Place::start(1).await;
    let mut client = Client::connect(&place, 0).await;
    let chunk = vec![b'x'; 64 * 1024];
    // The peer closes somewhere on the way: a failing write is what is wanted.
    for _ in 0..80 {
        if client.writer.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut rest = String::new();
    let ended = timeout(PATIENCE, async {
        while let Ok(Some(line)) = client.lines.next_line().await {
            rest.push_str(&line);
        }
    });
    ended.await.expect("the connection ends");
    assert!(rest.contains("a line of more than 4194304 bytes"), "{rest}");
    assert_eq!(place.exec(0, "version").await.1, Some(0), "nobody else suffers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_are_answered_by_their_ids() {
    let place = Place::start(1).await;
    let mut client = Client::connect(&place, 0).await;
    let methods = ["describe", "ping", "execute"];
    let request = |id: usize| json!({"jsonrpc": "2.0", "id": id, "method": methods[id % 3]}).to_string();
    client.send(&(0..30).map(request).collect::<Vec<_>>().join("\n")).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 30 {
        let answer = client.next().await;
        let id = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
        let fits =
            [answer["result"]["identity"].is_object(), answer["result"] == json!({}), answer["error"].is_object()];
        assert!(fits[id % 3], "{answer}");
        assert!(seen.insert(id), "{id} is answered once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_and_the_end_are_answered_and_then_closed() {
    let place = Place::start(1).await;
    let session = place.login(0).await;
    let mut stream = session.subsystem("peerdeck").await.unwrap();
    stream.write_all(br#"{"jsonrpc":"2.0","id":1,"method":"describe"}"#).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(r#""id":1"#) && text.contains("lab1.example.com"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c22_disconnect_and_reconnect_over_another_peer() {
    let place = Place::start(3).await;
    let target = place.membership.machines[2].id.to_string();
    let guest = place.try_login(0, "noc", &place.guest).await.unwrap();
    let mut guest = Client::over(guest).await;
    let refused = guest.call("execute", json!({"command": "disconnect", "peer": target})).await;
    assert_eq!(refused["error"]["code"], json!(-32000), "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("may only look"), "{refused}");

    let mut client = Client::connect(&place, 0).await;
    let basis = |detached: bool| json!({"membership": 1, "detached": detached});
    let params = json!({"command": "disconnect", "peer": target, "reason": "upgrade", "basis": basis(false)});
    let sent = client.call("execute", params.clone()).await;
    assert_eq!(sent["result"]["state"], json!("accepted"), "the word of the machine itself: {sent}");
    place.wait_up(0, 1).await;
    place.wait_up(2, 0).await;
    place.exec_until(0, "clusterconfig list", |t| t.contains(") (disconnected)\n")).await;
    let again = client.call("execute", params).await;
    assert!(again["error"]["message"].as_str().unwrap().contains("detached now"), "{again}");

    let described = client.call("describe", Value::Null).await;
    let can = json!([
        "observe",
        "relay",
        "tree",
        "history",
        "execute.disconnect",
        "execute.reconnect",
        "execute.maintenance-on",
        "execute.maintenance-off",
        "execute.ha",
        "execute.commit",
    ]);
    assert_eq!(described["result"]["capabilities"], can);
    let described = guest.call("describe", Value::Null).await;
    assert_eq!(described["result"]["capabilities"], json!(["observe", "relay", "tree", "history"]));
    // Only the machine itself can refuse this: the reason comes back over the one that was asked.
    let without = client.call("execute", json!({"command": "disconnect", "peer": target})).await;
    assert_eq!(without["error"]["message"], json!("lab3.example.com is detached already"), "{without}");

    let mut there = Client::connect(&place, 2).await;
    let wrong = json!({"command": "reconnect", "peer": target, "basis": {"membership": 9}});
    let wrong = there.call("execute", wrong).await;
    assert!(wrong["error"]["message"].as_str().unwrap().contains("membership has changed"), "{wrong}");
    let back = json!({"command": "reconnect", "peer": target, "basis": basis(true)});
    let accepted = there.call("execute", back).await;
    assert_eq!(accepted["result"]["state"], json!("accepted"), "{accepted}");
    for i in 0..3 {
        place.wait_up(i, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_told_to_those_who_asked_and_the_past_to_whoever_asks() {
    let place = Place::start(1).await;
    let mut client = Client::connect(&place, 0).await;
    let early = client.call("tree", json!({"wanted": true})).await;
    assert_eq!(early["error"]["code"], json!(-32600), "{early}");
    let past = client.call("history", json!({})).await;
    assert!(past["result"]["past"].is_array(), "{past}");
    let unknown = client.call("history", json!({"key": "z/nothing"})).await;
    assert_eq!(unknown["error"]["code"], json!(-32602), "{unknown}");
    assert!(unknown["error"]["message"].as_str().unwrap().contains("`z/nothing`"), "{unknown}");
    client.call("observe", json!({"interval": 100})).await;
    let first = client.report().await;
    assert!(first.holding.is_some() && first.tree.is_none(), "what it holds is told anyway, the settings are not");
    for _ in 0..2 {
        assert_eq!(client.call("tree", json!({"wanted": true})).await["result"], json!({}));
        let mut tree = None;
        while tree.is_none() {
            let report = client.report().await;
            assert!(report.holding.is_none(), "it has not changed");
            tree = report.tree;
        }
        let tree = tree.unwrap();
        assert!(tree.first, "whoever asks again gets all of it again");
    }
    assert_eq!(client.call("tree", json!({"wanted": false})).await["result"], json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_only_look_has_short_lines_and_a_whole_commit_is_read_from_others() {
    let place = Place::start(1).await;
    let edits: Vec<Value> = (0..9_000)
        .map(|n| json!({"edit": "set", "key": format!("m/m{n}/smtproutes"), "value": {"x": "y".repeat(100)}}))
        .collect();
    let target = place.peers[0].as_ref().unwrap().identity().to_string();
    let commit = json!({"command": "commit", "peer": target, "edits": edits, "reason": "large"});
    let mut client = Client::connect(&place, 0).await;
    let answer = client.call("execute", commit.clone()).await;
    // Nobody is a machine of these names: it was read to its end and judged.
    assert_eq!(answer["error"]["code"], json!(-32000), "{answer}");
    assert_eq!(client.call("ping", Value::Null).await["result"], json!({}), "the channel goes on");
    let mut guest = Client::over(place.try_login(0, "noc", &place.guest).await.unwrap()).await;
    guest.send(&"x".repeat(70_000)).await;
    let answer = guest.next().await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("a line of more than 65536 bytes"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_on_one_peer_is_told_by_another_as_a_change_with_its_past() {
    let place = Place::start(2).await;
    let mut there = Client::connect(&place, 0).await;
    there.call("observe", json!({"interval": 100})).await;
    there.call("tree", json!({"wanted": true})).await;
    let mut whole = there.report().await.tree;
    while whole.as_ref().is_none_or(|t| !t.last) {
        whole = there.report().await.tree;
    }
    let whole = whole.unwrap();
    assert!(whole.first && whole.registers.iter().any(|r| r.key.ends_with("/identity")), "{whole:?}");
    let mut here = Client::connect(&place, 1).await;
    let target = place.peers[1].as_ref().unwrap().identity().to_string();
    let edit = json!({"edit": "set", "key": "c/smtproutes", "value": {".example.com": ["mx1"]}});
    let commit = json!({"command": "commit", "peer": target, "edits": [edit], "reason": "routes"});
    let taken = here.call("execute", commit).await;
    let (actor, seq): (String, u64) = serde_json::from_value(taken["result"]["commit"].clone()).expect("its name");
    let (mut change, mut has) = (None, false);
    while change.is_none() || !has {
        let report = there.report().await;
        has |= report.holding.is_some_and(|h| h.have.get(&actor).is_some_and(|n| *n >= seq));
        let told = report.tree.filter(|t| t.registers.iter().any(|r| r.key == "c/smtproutes"));
        change = change.or(told);
    }
    let change = change.unwrap();
    assert!(!change.first && change.last, "only what changed: {change:?}");
    let register = change.registers.iter().find(|r| r.key == "c/smtproutes").unwrap();
    assert_eq!(register.versions[0].value, Some(json!({".example.com": ["mx1"]})));
    let past = there.call("history", json!({"key": "c/smtproutes"})).await;
    assert_eq!(past["result"]["past"][0]["commit"], json!([actor, seq]), "{past}");
    assert_eq!(past["result"]["past"][0]["comment"], json!("routes"), "{past}");
}
