//! Notices by HTTP POST.

use std::path::Path;
use std::time::Duration;

use peerdeck::alerts::sinks::{Again, Remote, SecretRef, Spec, Target, Url, WebhookSpec};
use ring::hmac;

use super::web::{Answer, Web, ok};
use super::{SECRET, certificates, give, later, never, raised, secret, sink};

fn spec(web: &Web) -> WebhookSpec {
    let url = Url::parse(&format!("http://{}/in?x=1", web.address)).unwrap();
    let remote = Remote { timeout: Duration::from_millis(500), ..Remote::default() };
    WebhookSpec { target: Target::Known(url), batch: 1, hmac: None, remote }
}

/// With a token, a signature, and an address that is a secret too.
fn guarded(web: &Web, dir: &Path) -> WebhookSpec {
    let secret = secret(dir);
    let url = format!("printf 'http://{}/{SECRET}'", web.address);
    let plain = spec(web);
    WebhookSpec {
        target: Target::Secret(SecretRef::Command(url)),
        hmac: Some(SecretRef::File(secret.clone())),
        remote: Remote { token: Some(SecretRef::File(secret)), ..plain.remote },
        ..plain
    }
}

#[tokio::test]
async fn b5_a_webhook_gets_an_object_with_its_event_id() {
    let web = Web::start(ok()).await;
    let mut sink = sink(&Spec::Webhook(spec(&web)));
    assert_eq!(sink.batch(), 1);
    let all = [raised(1), raised(2)];
    give(&mut sink, &all).await.unwrap();
    let asked = web.asked();
    assert_eq!(asked.len(), 2, "an object each");
    for (asked, telling) in asked.iter().zip(&all) {
        assert_eq!(asked.line, "POST /in?x=1 HTTP/1.1");
        assert_eq!(asked.body, *telling.json);
        assert_eq!(asked.head["idempotency-key"], telling.event_id);
        assert_eq!(asked.head["content-type"], "application/json");
        assert!(!asked.head.contains_key("authorization") && !asked.head.contains_key("x-peerdeck-signature"));
    }
}

#[tokio::test]
async fn b5_a_webhook_may_get_arrays() {
    let web = Web::start(ok()).await;
    let mut sink = sink(&Spec::Webhook(WebhookSpec { batch: 2, ..spec(&web) }));
    assert_eq!(sink.batch(), 2);
    give(&mut sink, &[raised(1), raised(2), raised(3)]).await.unwrap();
    let bodies: Vec<usize> = web.asked().iter().map(|a| a.json().as_array().unwrap().len()).collect();
    assert_eq!(bodies, [2, 1], "always an array");
    assert!(web.asked()[1].head.contains_key("idempotency-key"), "of one notice");
}

#[tokio::test]
async fn b5_token_signature_and_a_secret_address_are_read_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let web = Web::start(ok()).await;
    let mut sink = sink(&Spec::Webhook(guarded(&web, dir.path())));
    give(&mut sink, &[raised(1)]).await.unwrap();
    let asked = &web.asked()[0];
    assert_eq!(asked.line, format!("POST /{SECRET} HTTP/1.1"));
    assert_eq!(asked.head["authorization"], format!("Bearer {SECRET}"));
    let hex = asked.head["x-peerdeck-signature"].strip_prefix("sha256=").unwrap();
    let tag = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, asked.body.as_bytes(), &tag).unwrap();
}

#[tokio::test]
async fn b5_what_a_webhook_answers_decides_whether_it_is_tried_again() {
    let web = Web::start(ok()).await;
    let mut sink = sink(&Spec::Webhook(spec(&web)));
    let say = |status, head: &str| web.answer(Answer::Status(status, head.to_owned()));
    for status in ["500 Oops", "502 Bad Gateway", "401 Unauthorized", "403 Forbidden", "404 Not Found", "408 Late"] {
        say(status, "");
        assert!(later(give(&mut sink, &[raised(1)]).await).contains(&status[..3]));
    }
    for status in ["400 Bad Request", "413 Too Large", "422 What"] {
        say(status, "");
        assert!(never(give(&mut sink, &[raised(1)]).await).contains(&status[..3]));
    }
    for status in ["429 Slow down", "503 Busy"] {
        say(status, "Retry-After: 7\r\n");
        assert_eq!(give(&mut sink, &[raised(1)]).await.unwrap_err().again, Again::After(Duration::from_secs(7)));
        say(status, "Retry-After: 99999999\r\n");
        let hour = Again::After(Duration::from_hours(1));
        assert_eq!(give(&mut sink, &[raised(1)]).await.unwrap_err().again, hour, "nobody may silence it for ever");
        say(status, "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
        assert_eq!(give(&mut sink, &[raised(1)]).await.unwrap_err().again, Again::After(Duration::ZERO));
        say(status, "");
        later(give(&mut sink, &[raised(1)]).await);
    }
    web.answer(Answer::Echo("400 Bad Request"));
    let text = never(give(&mut sink, &[raised(1)]).await);
    assert!(text.contains("nobody reaches lab7"), "with nothing secret, the other side's words are told: {text}");
    web.answer(Answer::Status("204 No Content", String::new()));
    give(&mut sink, &[raised(1)]).await.unwrap();
}

#[tokio::test]
async fn b5_a_webhook_that_hangs_or_talks_nonsense_is_left_in_time() {
    let web = Web::start(Answer::Hang).await;
    let mut sink = sink(&Spec::Webhook(spec(&web)));
    assert!(later(give(&mut sink, &[raised(1)]).await).contains("no answer"));
    for answer in [Answer::Garbage, Answer::Close] {
        web.answer(answer);
        let text = later(give(&mut sink, &[raised(1)]).await);
        assert!(text.contains(&web.address) && !text.contains('\u{1b}'), "{text}");
    }
    web.answer(ok());
    give(&mut sink, &[raised(1)]).await.unwrap();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = Url::parse(&format!("http://{nobody}/")).unwrap();
    let mut sink = super::sink(&Spec::Webhook(WebhookSpec { target: Target::Known(url), ..spec(&web) }));
    assert!(later(give(&mut sink, &[raised(1)]).await).contains("refused"));
}

#[tokio::test]
async fn b5_a_redirect_is_not_followed() {
    let other = Web::start(ok()).await;
    let web = Web::start(ok()).await;
    let mut sink = sink(&Spec::Webhook(spec(&web)));
    for status in ["301 Moved", "302 Found", "307 There", "308 There"] {
        web.answer(Answer::Status(status, format!("Location: http://{}/\r\n", other.address)));
        assert!(later(give(&mut sink, &[raised(1)]).await).contains("redirects are not followed"));
    }
    assert!(other.asked().is_empty(), "what was meant for one goes to no other");
}

#[tokio::test]
async fn b5_no_failure_of_a_webhook_tells_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let web = Web::start(ok()).await;
    let mut sink = sink(&Spec::Webhook(guarded(&web, dir.path())));
    for answer in [
        Answer::Echo("400 Bad Request"),
        Answer::Echo("500 Oops"),
        Answer::Echo("401 Who"),
        Answer::Status("302 Found", format!("Location: /{SECRET}\r\n")),
        Answer::Garbage,
        Answer::Close,
        Answer::Hang,
    ] {
        web.answer(answer.clone());
        let failure = give(&mut sink, &[raised(1)]).await.unwrap_err(); // `give` looks for the secret.
        assert!(failure.text.contains(&web.address), "{answer:?}: {failure}");
    }
    assert!(web.asked().iter().all(|a| a.line.contains(SECRET)), "it was in use all the time");
}

#[tokio::test]
async fn b5_a_secret_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let web = Web::start(ok()).await;
    let mut sink = sink(&Spec::Webhook(guarded(&web, dir.path())));
    let file = dir.path().join("secret");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(later(give(&mut sink, &[raised(1)]).await).contains("chmod 600"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "\n").unwrap();
    assert!(later(give(&mut sink, &[raised(1)]).await).contains("empty"));
    std::fs::write(&file, SECRET).unwrap();
    give(&mut sink, &[raised(1)]).await.unwrap();
}

#[tokio::test]
async fn b5_https_trusts_the_authority_of_ca_file_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let ours = certificates(dir.path());
    let web = Web::on(ok(), Some(&ours)).await;
    let url = Url::parse(&format!("https://{}/", web.address)).unwrap();
    let to = |ca_file| {
        let remote = Remote { ca_file, timeout: Duration::from_secs(5), token: None };
        sink(&Spec::Webhook(WebhookSpec { target: Target::Known(url.clone()), remote, ..spec(&web) }))
    };
    give(&mut to(Some(ours.ca_file.clone())), &[raised(1)]).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let text = later(give(&mut to(Some(certificates(other.path()).ca_file)), &[raised(1)]).await);
    assert!(text.to_lowercase().contains("certificate"), "{text}");
    assert!(later(give(&mut to(Some("/nowhere.pem".into())), &[raised(1)]).await).contains("/nowhere.pem"));
    assert_eq!(web.asked().len(), 1);
}
