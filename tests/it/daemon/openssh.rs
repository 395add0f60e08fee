//! OpenSSH's own client against a peer.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::real::{PATIENCE, Place};

fn ssh(place: &Place, peer: usize) -> Command {
    let mut command = Command::new("ssh");
    command
        .args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-i"])
        .arg(place.user_key_file())
        .args(["-p", &place.setups[peer].listen.port().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs ssh"]
async fn a_command_is_answered_at_once() {
    let place = Place::start(2).await;
    place.exec_until(0, "clusterconfig connstatus", |t| t.matches(": connected").count() == 2).await;
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        let output = ssh(&place, 0).args(["admin@127.0.0.1", "clusterconfig", "connstatus"]).output();
        let output = timeout(PATIENCE, output).await.unwrap().unwrap();
        fastest = fastest.min(begin.elapsed());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches(": connected").count(), 2, "{text}");
        assert!(output.status.success());
    }
    // A server that makes the first refusal wait costs every client a whole second.
    assert!(fastest < Duration::from_millis(900), "{fastest:?}");
    let output = ssh(&place, 0).args(["admin@127.0.0.1", "nonsense"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "the exit status is passed on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs ssh"]
async fn one_line_of_json_rpc_is_answered_and_the_client_ends() {
    let place = Place::start(1).await;
    let mut child = ssh(&place, 0).stdin(Stdio::piped()).args(["-s", "admin@127.0.0.1", "peerdeck"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"describe\"}\n").await.unwrap();
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["result"]["identity"]["host"], "lab1.example.com", "{answer}");
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs ssh"]
async fn a_terminal_session_prompts_echoes_and_leaves() {
    let place = Place::start(1).await;
    let mut child = ssh(&place, 0).stdin(Stdio::piped()).args(["-tt", "admin@127.0.0.1"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"versiom\x7fn\rexit\r").await.unwrap();
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\r\n(Machine lab1.example.com)> "), "{text:?}");
    assert!(text.contains("Current Version\r\n"), "{text:?}");
}
