//! Acting by keys on a real lab in a pseudo terminal.

use std::time::Instant;

use peerdeck::app::question::TYPE_AHEAD;

use crate::terminal::{Pty, lab};

/// A dialog that is on screen takes keys only after a moment.
fn awake(pty: &Pty) {
    let shown = Instant::now();
    pty.until("the end of the time in which keys don't count", |_| shown.elapsed() > TYPE_AHEAD);
}

#[test]
fn d7_disconnects_and_reconnects_by_keys_until_it_is_observed() {
    let state = tempfile::tempdir().unwrap();
    let mut pty = Pty::run(lab(state.path(), 3), (100, 30));
    pty.until_text("All 3 peers see each other: 6 links are up.");
    // To lab3 itself: row and column of the diagonal.
    pty.press("Gll");
    pty.until_text("lab3.example.com");
    pty.press("a");
    pty.until_text("a  on lab3");
    pty.press("d");
    pty.until_text("Enter alone does nothing");
    awake(&pty);
    pty.press("\r\t");
    pty.until_text("[ Disconnect ]");
    pty.press("\r");
    pty.until("the outcome", |s| {
        let text = s.contents();
        text.contains("observed") && text.contains("lab3 says that it is detached")
    });
    pty.press("\x1b");
    // Whatever follows an escape too closely would be taken as Alt.
    pty.until("no results", |s| !s.contents().contains("Results"));
    pty.until_text("1 peer is detached on purpose");
    pty.press("ar");
    pty.until_text("y does it");
    awake(&pty);
    pty.press("y");
    pty.until_text("lab3 says that it is no longer detached");
    pty.press("\x1b");
    pty.until("no results", |s| !s.contents().contains("Results"));
    pty.until_text("All 3 peers see each other: 6 links are up.");
    pty.press("q");
    pty.ended();
    pty.assert_restored();
    let audit = state.path().join(".local/state/peerdeck/audit.jsonl");
    let audit = std::fs::read_to_string(audit).unwrap();
    for word in ["\"disconnect\"", "\"reconnect\""] {
        let of = |phase: &str| audit.lines().filter(|l| l.contains(word) && l.contains(phase)).count();
        assert_eq!((of("\"begin\""), of("\"end\"")), (1, 1), "{audit}");
    }
    assert!(audit.contains("\"console\"") && audit.contains("\"observed\""), "{audit}");
}
