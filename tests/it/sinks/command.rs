//! A program for each notice.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use peerdeck::alerts::sinks::{CommandSpec, Sink, Spec};
use peerdeck::domain::text::Line;

use super::{EVIL, give, later, never, raised, sink};
use crate::support::{PATIENCE, wait_until};

/// A sink whose program is this script.
fn script(dir: &Path, text: &str) -> Box<dyn Sink> {
    let path = dir.join("hook");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let command = vec![path.to_str().unwrap().to_owned(), "a b".to_owned(), "$HOME;".to_owned()];
    sink(&Spec::Command(CommandSpec { command, timeout: Duration::from_secs(20), tries: 3 }))
}

#[tokio::test]
async fn b5_a_program_gets_json_fields_and_its_arguments_unread_by_any_shell() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let text = format!(
        "{{ cat; printf '%s\\n' \"$1\" \"$2\" \"$PEERDECK_EVENT_ID\" \"$PEERDECK_TRANSITION\" \"$PEERDECK_HOSTS\" \
         \"$PEERDECK_ADVICE\" \"$PEERDECK_EVIDENCE\"; }} > {}",
        out.display()
    );
    let mut sink = script(dir.path(), &text);
    let mut one = raised(1);
    one.notice.alert.seen.finding.advice = Line::new("$(touch /tmp/never); `id`");
    give(&mut sink, std::slice::from_ref(&one)).await.unwrap();
    let got = std::fs::read_to_string(out).unwrap();
    let evil = Line::new(EVIL);
    let wanted = [&one.json, "a b", "$HOME;", "w1-1", "raised", "lab7.example.com", "$(touch /tmp/never); `id`"];
    assert_eq!(got, format!("{}\nlab1 says: timeout\n{evil}\n", wanted.join("\n")));
}

#[tokio::test]
async fn b5_the_code_of_a_program_decides() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = script(dir.path(), "echo the pager is out; echo no tone >&2; exit 75");
    for _ in 0..5 {
        let text = later(give(&mut sink, &[raised(1)]).await);
        assert!(text.contains("75") && text.contains("no tone") && text.contains("the pager is out"), "{text}");
    }
    let mut sink = script(dir.path(), "exit 3");
    for n in [1, 2] {
        later(give(&mut sink, &[raised(n)]).await);
        later(give(&mut sink, &[raised(n)]).await);
        assert!(
            never(give(&mut sink, &[raised(n)]).await).contains("try 3, the last"),
            "each notice has its own tries"
        );
    }
    let mut sink = script(dir.path(), "kill -9 $$");
    for _ in 0..5 {
        assert!(later(give(&mut sink, &[raised(1)]).await).contains("signal"));
    }
    let mut sink = script(dir.path(), "exec 0<&-; exit 0");
    give(&mut sink, &[raised(1)]).await.unwrap();
    let none = CommandSpec { command: vec!["/no/such/program".into()], timeout: Duration::from_secs(1), tries: 3 };
    assert!(later(give(&mut super::sink(&Spec::Command(none)), &[raised(1)]).await).contains("/no/such/program"));
}

#[tokio::test]
async fn b5_a_program_that_takes_too_long_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let hook = script(dir.path(), &format!("sleep 1000 & echo $$ $! > {}; wait", pids.display()));
    drop(hook);
    let command = vec![dir.path().join("hook").to_str().unwrap().to_owned()];
    let mut sink = sink(&Spec::Command(CommandSpec { command, timeout: Duration::from_millis(1_500), tries: 3 }));
    assert!(later(give(&mut sink, &[raised(1)]).await).contains("was killed"));
    let text = std::fs::read_to_string(&pids).unwrap();
    let gone = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    let all: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    assert_eq!(all.len(), 2);
    wait_until(PATIENCE, "both are gone", || all.iter().all(|p| gone(p))).await;
}

#[tokio::test]
async fn b5_a_program_that_talks_too_much_or_leaves_something_behind_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = script(dir.path(), "head -c 10000000 /dev/zero | tr '\\0' x; exit 75");
    let text = later(give(&mut sink, &[raised(1)]).await);
    assert!(text.len() < 1_000 && text.contains("xxx"), "{}", text.len());
    let pid = dir.path().join("pid");
    let mut sink = script(dir.path(), &format!("sleep 1000 & echo $! > {}; exit 0", pid.display()));
    give(&mut sink, &[raised(1)]).await.unwrap();
    let left: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(left).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
}
