//! Alertmanager's API, and several members of one.

use std::time::Duration;

use peerdeck::alerts::sinks::{AlertmanagerSpec, Beat, Remote, Sink, Spec, Url, build};
use peerdeck::domain::alert::Told;
use peerdeck::domain::finding::Severity;
use serde_json::{Value, json};

use super::web::{Answer, Web, ok};
use super::{give, later, never, raised, telling};

fn to(webs: &[&Web], watcher: &str) -> Box<dyn Sink> {
    let urls = webs.iter().map(|w| Url::parse(&format!("http://{}/am/", w.address)).unwrap()).collect();
    let remote = Remote { timeout: Duration::from_secs(2), ..Remote::default() };
    build(&Spec::Alertmanager(AlertmanagerSpec { urls, remote }), watcher).unwrap()
}

fn posted(web: &Web) -> Vec<Value> {
    web.take().iter().flat_map(|a| a.json().as_array().unwrap().clone()).collect()
}

fn moment(alert: &Value, key: &str) -> jiff::Timestamp {
    alert[key].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn b5_an_alert_has_the_same_labels_whoever_sends_it() {
    let web = Web::start(ok()).await;
    let one = raised(1);
    give(&mut to(&[&web], "noc1"), std::slice::from_ref(&one)).await.unwrap();
    assert_eq!(web.asked()[0].line, "POST /am/api/v2/alerts HTTP/1.1");
    let first = posted(&web).remove(0);
    give(&mut to(&[&web], "noc2"), &[one]).await.unwrap();
    let second = posted(&web).remove(0);
    assert_eq!(first["labels"], second["labels"]);
    let labels = json!({
        "alertname": "peer-unreachable", "cluster": "americas", "severity": "critical", "peer": "lab7.example.com",
    });
    assert_eq!(first["labels"], labels);
    assert_eq!(first["annotations"]["summary"], "nobody reaches lab7");
    assert_eq!(first["annotations"]["advice"], "look at the machine");
    assert_eq!(first["annotations"]["watcher"], "noc1");
    assert_eq!(first["annotations"]["event_id"], "w1-1");
    assert_eq!(first["annotations"]["id"], "peer-unreachable/americas/peer:SERIAL-7");
    assert!(first["annotations"]["description"].as_str().unwrap().starts_with("lab1 says: timeout\n"));
    assert!(moment(&first, "endsAt") > jiff::Timestamp::now(), "it lasts");
}

#[tokio::test]
async fn b5_what_is_cleared_ends_and_another_severity_is_another_alert() {
    let web = Web::start(ok()).await;
    let mut sink = to(&[&web], "noc1");
    let mut changed = telling(2, Told::Changed);
    changed.notice.before = Some(Severity::Warning);
    give(&mut sink, &[changed]).await.unwrap();
    let both = posted(&web);
    assert_eq!(both.len(), 2);
    assert_eq!(
        (&both[0]["labels"]["severity"], &both[1]["labels"]["severity"]),
        (&json!("warning"), &json!("critical"))
    );
    assert!(
        moment(&both[0], "endsAt") <= jiff::Timestamp::now() && moment(&both[1], "endsAt") > jiff::Timestamp::now()
    );
    give(&mut sink, &[telling(3, Told::Cleared)]).await.unwrap();
    let cleared = posted(&web).remove(0);
    assert_eq!(cleared["labels"], both[1]["labels"]);
    assert!(moment(&cleared, "endsAt") <= jiff::Timestamp::now());
    assert!(moment(&cleared, "startsAt") < moment(&cleared, "endsAt"));
}

#[tokio::test]
async fn b5_alertmanager_is_reminded_before_it_forgets() {
    let web = Web::start(ok()).await;
    let mut sink = to(&[&web], "noc1");
    assert!(sink.reminder().unwrap() < Duration::from_mins(5), "its resolve_timeout");
    sink.remind(&[raised(1)]).await.unwrap();
    assert_eq!(posted(&web).len(), 1);
    sink.remind(&[]).await.unwrap();
    assert!(web.take().is_empty(), "nothing is raised");
}

#[tokio::test]
async fn d9_a_watchdog_always_fires() {
    let web = Web::start(ok()).await;
    let mut sink = to(&[&web], "noc1");
    let beat = Beat { json: "{}".into(), text: "alive".into() };
    sink.beat(&beat).await.unwrap();
    let dog = posted(&web).remove(0);
    assert_eq!(dog["labels"], json!({ "alertname": "PeerdeckWatchdog", "severity": "none", "watcher": "noc1" }));
    assert!(moment(&dog, "endsAt") > jiff::Timestamp::now());
}

#[tokio::test]
async fn b5_one_of_two_members_is_enough_and_the_other_is_told_later() {
    let (one, two) = (Web::start(ok()).await, Web::start(Answer::Status("500 Oops", String::new())).await);
    let mut sink = to(&[&one, &two], "noc1");
    give(&mut sink, &[raised(1)]).await.unwrap();
    assert!(sink.trouble().unwrap().contains(&two.address), "it is shown all the same");
    give(&mut sink, &[telling(2, Told::Cleared)]).await.unwrap();
    two.take();
    two.answer(ok());
    sink.remind(&[]).await.unwrap();
    let owed = posted(&two);
    assert_eq!(owed.len(), 1, "the newest of each alert");
    assert!(moment(&owed[0], "endsAt") <= jiff::Timestamp::now(), "it is over there too");
    assert_eq!(sink.trouble(), None);
    one.take();
    sink.remind(&[]).await.unwrap();
    assert!(one.take().is_empty() && two.take().is_empty(), "nothing is owed any more");
}

#[tokio::test]
async fn b5_no_member_is_a_failure_that_names_all_of_them() {
    let (one, two) = (Web::start(Answer::Close).await, Web::start(Answer::Status("500 Oops", String::new())).await);
    let mut sink = to(&[&one, &two], "noc1");
    let text = later(give(&mut sink, &[raised(1)]).await);
    assert!(text.contains(&one.address) && text.contains(&two.address), "{text}");
    for web in [&one, &two] {
        web.answer(Answer::Status("400 Bad Request", String::new()));
    }
    never(give(&mut sink, &[raised(1)]).await);
    two.answer(Answer::Close);
    later(give(&mut sink, &[raised(1)]).await);
}
